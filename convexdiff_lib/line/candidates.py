"""What a linear spline on the data stands for: a network of the trained class, a dual variable, a score."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._results import result
from .._validation import FloatArray
from ._double_double import DoubleDouble, rounded
from ._passes import interpolated
from .active_set import Spline
from .beam import Tube
from .kink_network import KinkNetwork
from .piecewise_linear import PiecewiseLinearScore
from .problem import LineProblem, SplineClaim
from .spline_certificates import sizes_at_knots
from .tails import Tails, tails_of

__all__ = ["DualVariable", "claim_from_spline", "dual_from_claim", "network_from_claim", "score_from_claim"]

_ROUNDING = 8 * float(np.finfo(np.float64).eps)


@result
class DualVariable:
    """The dual variable z of a fit: a target for every data point, less the value of a linear spline there.

    Parameters
    ----------
    x : array of shape (n,)
        The data, in any order.
    aims : array of shape (n,), or 0
        The targets, less their mean; zero for score matching.
    knots, values : arrays of shape (K,)
        The spline, from the smallest point to the largest.

    Examples
    --------
    >>> import numpy as np
    >>> knots, values = np.array([0.0, 2.0]), np.array([1.0, -1.0])
    >>> z = DualVariable(np.array([2.0, 0.0, 1.0]), 0.0, knots, values)
    >>> z.vector().tolist()
    [1.0, -1.0, 0.0]
    """

    x: FloatArray
    aims: FloatArray | float
    knots: FloatArray
    values: FloatArray

    def on_line(self, ordered: FloatArray) -> FloatArray:
        """Return minus the spline at the data, which are given in increasing order."""
        return interpolated(ordered, np.searchsorted(ordered, self.knots), -self.values)

    def vector(self) -> FloatArray:
        """Return z, shape (n,), in the order of x."""
        order = np.argsort(self.x)
        z = np.empty(len(order))
        z[order] = self.on_line(self.x[order])
        return self.aims + z


def dual_from_claim(problem: LineProblem, claim: SplineClaim) -> DualVariable:
    """Return the dual variable that belongs to a claimed score.

    Examples
    --------
    >>> from convexdiff_lib.line.problem import line_problem
    >>> none, halves = np.zeros(0), np.array([0.5, -0.5])
    >>> claim = SplineClaim(np.array([0, 1]), none, halves, np.zeros(2), -1.0, 0.0, -1)
    >>> dual_from_claim(line_problem([1.0, -1.0], 1.0), claim).vector().tolist()
    [0.5, -0.5]
    """
    return DualVariable(problem.sample.x, problem.sample.labels, problem.points[claim.knots], claim.values)


def claim_from_spline(
    problem: LineProblem, tube: Tube, spline: Spline, values: FloatArray, height: float
) -> SplineClaim:
    """Say in the units of the data what a spline of the solver claims.

    Parameters
    ----------
    problem : LineProblem
    tube : Tube
        Of this problem.
    spline : Spline
    values : array of shape (K + 2,)
        Its knot values, in the units of the tube.
    height : float
        The height of the beam's end, less its level.

    Returns
    -------
    SplineClaim

    Examples
    --------
    >>> from convexdiff_lib.line.problem import line_problem
    >>> from convexdiff_lib.line.beam import tube_of
    >>> problem = line_problem(range(3), 2.0)
    >>> tube = tube_of(line_problem(range(3), 2.0))
    >>> spline = Spline.on_sides(tube, np.zeros(1, dtype=np.int8), 0)
    >>> claim = claim_from_spline(problem, tube, spline, *spline.minimise())
    >>> claim.values.round(6).tolist(), claim.offset  # per unit of length, not of the tube
    ([0.5, -0.5], -2.0)
    """
    end, rest = spline.end, 0.0
    offset = height * (tube.unit * tube.score_unit) if tube.has_targets else height
    if end.fixed:
        bounds = dict(zip(tube.end, problem.end, strict=True))
        held = bounds.get(end.low, DoubleDouble(0.0))
        offset, rest = float(held.high), float(held.low)
    return SplineClaim(
        knots=spline.knots,
        sides=spline.sign,
        values=values * tube.score_unit,
        rests=np.zeros(len(values)),
        offset=offset,
        offset_rest=rest,
        lean=_lean(problem, end.lean, offset),
    )


def _lean(problem: LineProblem, lean: int, offset: float) -> int:
    """The sign of the end's offset; absolute values have one kind of wall only, and do not say."""
    if problem.skip:
        return 0
    return lean if problem.activation == "relu" else int(np.sign(offset))


def score_from_claim(
    problem: LineProblem, claim: SplineClaim, network: KinkNetwork, error: float = 0.0
) -> PiecewiseLinearScore:
    """Return the claimed score on the whole line, with the outer slopes of its network.

    Parameters
    ----------
    problem : LineProblem
    claim : SplineClaim
    network : KinkNetwork
        As `network_from_claim` builds it.
    error : float
        How well the values are known, compared with their sizes: ``score_error`` of `Certificate`.

    Returns
    -------
    PiecewiseLinearScore
        With the claimed values at the knots: a network adds up slopes, and loses digits where distances
        between points differ much.

    Examples
    --------
    >>> from convexdiff_lib.line.problem import line_problem
    >>> problem = line_problem([-1.0, 1.0], 1.0)
    >>> none, halves = np.zeros(0), np.array([0.5, -0.5])
    >>> claim = SplineClaim(np.array([0, 1]), none, halves, np.zeros(2), -1.0, 0.0, -1)
    >>> score = score_from_claim(problem, claim, network_from_claim(problem, claim))
    >>> score.slopes.tolist()
    [-0.25, -0.5, -0.25]
    """
    places, mean = problem.points[claim.knots], problem.sample.mean_target
    bent = np.isin(places, network.kinks)
    bent[[0, -1]] = True
    knots, values = places[bent], claim.values[bent] + mean
    slopes = np.diff(values) / np.diff(knots)
    sizes = (abs(mean) + sizes_at_knots(problem, claim))[bent]
    noise = (_ROUNDING + error) * (sizes[1:] + sizes[:-1]) / np.diff(knots)
    outer = []
    for end, slope, blur, sign in ((0, slopes[0], noise[0], -1), (-1, slopes[-1], noise[-1], 1)):
        ends = problem.turn * float(network.weights[network.kinks == knots[end]].sum())
        outside = float(slope) + sign * ends
        # What rounding leaves of a level tail would decide whether there is a density.
        level = abs(outside) <= blur + _ROUNDING * abs(ends)
        outer.append(0.0 if level or (problem.prices and outside > 0) else outside)
        if level and not ends:
            values[end] = values[1 if end == 0 else -2]
    return PiecewiseLinearScore(knots, values, outer[0], outer[1])


def network_from_claim(problem: LineProblem, claim: SplineClaim) -> KinkNetwork:
    """Build the cheapest network of the class that is this spline on the data.

    Parameters
    ----------
    problem : LineProblem
    claim : SplineClaim

    Returns
    -------
    KinkNetwork

    Examples
    --------
    The line -x/2 through two points: each of two neurons carries half of it.

    >>> from convexdiff_lib.line.problem import line_problem
    >>> problem = line_problem([-1.0, 1.0], 1.0)
    >>> none, halves = np.zeros(0), np.array([0.5, -0.5])
    >>> claim = SplineClaim(np.array([0, 1]), none, halves, np.zeros(2), -1.0, 0.0, -1)
    >>> network = network_from_claim(problem, claim)
    >>> network.kinks.tolist(), network.facing.tolist(), network.weights.tolist()
    ([-1.0, 1.0], [1.0, -1.0], [-0.25, 0.25])
    """
    points, relu = problem.points, problem.activation == "relu"
    places, inner = points[claim.knots], points[claim.knots[1:-1]]
    values = DoubleDouble(claim.values, claim.rests)
    slopes = (values[1:] - values[:-1]) / (DoubleDouble(places[1:]) - places[:-1])
    sizes = sizes_at_knots(problem, claim)
    blur = _ROUNDING / 2 * (sizes[1:] + sizes[:-1]) / np.diff(places)
    kinks, first = rounded(slopes[1:] - slopes[:-1]), float(slopes.high[0])
    kinks = np.where(np.abs(kinks) > blur[1:] + blur[:-1], kinks, 0.0)
    tails = tails_of(problem, claim, slopes) if problem.prices else None
    ends = _ends(problem, tails) if tails else []
    if relu and problem.skip:  # on the first piece no neuron acts
        return _assembled(problem, claim, [_Neurons(inner, 1.0, kinks), *ends], first)
    if relu:
        turned = _turned(claim, first, kinks)
        neurons = [_Neurons(inner, 1.0, kinks - turned), _Neurons(inner, -1.0, turned)]
        lift = first + float(turned.sum())
    else:
        # At its kink |x - t| has slope +1 facing right, -1 facing left: it faces where it lowers the loss.
        neurons = [_Neurons(inner, np.where(kinks > 0, -1.0, 1.0), kinks / 2)]
        lift = first + float(kinks.sum()) / 2
    if problem.skip:
        bent = sum(side * float(neuron.weights[0]) for neuron, side in zip(ends, (-1, 1), strict=False))
        return _assembled(problem, claim, [*neurons, *ends], lift - bent)
    if tails:
        neurons += ends
        lift -= tails.through
    if abs(lift) > float(blur.sum()):
        for place, direction, share in _carriers(problem, claim, lift):
            weight = direction * share * lift
            facing = direction if relu else -1.0 if weight > 0 else 1.0
            neurons.append(_Neurons(points[[place]], facing, np.array([weight])))
    return _assembled(problem, claim, neurons, 0.0)


def _ends(problem: LineProblem, tails: Tails) -> list[_Neurons]:
    """Neurons at the last and the first point where outer slopes may not be above zero.

    Those that cap a slope, with an absolute value and a skip connection first the right one, then the left.
    """
    first, last = problem.points[:1], problem.points[-1:]
    found = [
        (last, 1.0, -tails.right_cap),
        (first, -1.0, tails.left_cap),
        (first, 1.0, tails.at_first),
        (last, -1.0, -tails.at_last),
    ]
    if problem.activation == "abs":
        found = [(place, -1.0 if weight > 0 else 1.0, weight) for place, _, weight in found]
    return [_Neurons(place, facing, np.array([weight])) for place, facing, weight in found]


class _Neurons(NamedTuple):
    """Neurons at some places, facing +1 or -1, with their outgoing weights; those of weight zero are none."""

    places: FloatArray
    facing: FloatArray | float
    weights: FloatArray


def _turned(claim: SplineClaim, first_slope: float, kinks: FloatArray) -> FloatArray:
    """How much of every kink is carried by ReLU neurons that face left: on the first piece they alone act."""
    if claim.lean:
        return np.where(kinks * claim.lean < 0, kinks, 0.0)
    # Level: kinks of one sign are turned, from the left, until they add up to the first slope.
    sizes = np.where(kinks * first_slope < 0, np.abs(kinks), 0.0)
    missing = abs(first_slope) - (np.cumsum(sizes) - sizes)
    turned = np.clip(missing, 0.0, sizes)
    turned = np.where(sizes - turned > _ROUNDING * abs(first_slope), turned, sizes)
    return -np.sign(first_slope) * np.where(turned > _ROUNDING * abs(first_slope), turned, 0.0)


def _carriers(problem: LineProblem, claim: SplineClaim, lift: float) -> list[tuple[int, float, float]]:
    """Which two neurons carry a slope most cheaply, one that faces right and one left: place, facing, share.

    They stand at the two ends of the data; where points are tied it can be cheaper back to back at a point
    that repeats.  There are none where the beam's end is free.
    """
    last = len(problem.points) - 1
    if not any(claim.is_at(bound) for bound in problem.end):
        return []
    if (problem.prices or abs(claim.offset) < problem.beta) and problem.activation == "relu":
        counts = problem.counts
        pair = 1 + int(counts[1:-1].argmax()) if last > 1 else 0
        width = DoubleDouble(problem.beta) * 2.0 - 2 * problem.share * counts[pair]
        if claim.is_at(width) or claim.is_at(-width):
            return [(pair, 1.0, 1.0), (pair, -1.0, 1.0)]
    if lift > 0 and problem.counts[0] != problem.counts[last] and problem.share:
        # Of two ends with different numbers of points the one with more lowers the loss more.
        return [(0, 1.0, 1.0)] if problem.counts[0] > problem.counts[last] else [(last, -1.0, 1.0)]
    return [(0, 1.0, 0.5), (last, -1.0, 0.5)]


def _assembled(
    problem: LineProblem, claim: SplineClaim, neurons: list[_Neurons], slope: float
) -> KinkNetwork:
    """Put a network together; its constant makes it right at the middle point, where little has added up."""
    kinks = np.concatenate([some.places for some in neurons])
    facing = np.concatenate([np.broadcast_to(some.facing, some.places.shape) for some in neurons])
    weights = np.concatenate([some.weights for some in neurons])
    used = weights != 0
    kinks, facing, weights = kinks[used], facing[used], weights[used]
    relu = problem.activation == "relu"
    # A neuron that raises the slope should act late, one that lowers it early; see KinkNetwork.beyond.
    beyond = (facing * weights > 0) & (relu and problem.targets is None)
    middle, origin = problem.points[len(problem.points) // 2], float(problem.points[0])
    reach = facing * (middle - kinks)
    bent = float(weights @ (np.maximum(reach, 0.0) if relu else np.abs(reach)))
    value = float(np.interp(middle, problem.points[claim.knots], claim.values))
    constant = float(problem.sample.mean_target + (value - slope * (middle - origin) - bent))
    return KinkNetwork(kinks, facing, weights, beyond, origin, constant, slope, problem.activation)
