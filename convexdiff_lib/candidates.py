"""What a linear spline on the data stands for: a network of the trained class, and a dual variable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ._compiled import compiled
from ._passes import interpolated
from ._validation import Activation, FloatArray
from .active_set import Spline
from .beam import Beam, Tube
from .coarse_to_fine import Solution
from .networks import KinkNetwork

__all__ = ["Candidate", "DualVariable", "network_from_candidate"]


@dataclass(frozen=True)
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
    >>> z = DualVariable(np.array([2.0, 0.0, 1.0]), 0.0, np.array([0.0, 2.0]), np.array([1.0, -1.0]))
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


@dataclass(frozen=True)
class Candidate:
    """A score on the data: a linear spline, in the units of its tube.

    Parameters
    ----------
    knots : int array of shape (K + 2,)
        Indices of points, the first and the last among them.
    values : array of shape (K + 2,)
        The score there.
    first_slope : float
    kinks : array of shape (K,)
        Changes of slope at the inner knots, up to what a solver left in them.

    Examples
    --------
    >>> from convexdiff_lib.beam import score_matching_tube, straight_beam
    >>> tube = score_matching_tube(np.arange(3.0), np.ones(3), 3.0, activation="relu", skip=True)
    >>> score = Candidate.from_beam(tube, straight_beam(tube))
    >>> (score.values * tube.score_unit).round(6).tolist()
    [1.5, -1.5]
    """

    knots: np.ndarray
    values: FloatArray
    first_slope: float
    kinks: FloatArray

    @classmethod
    def from_spline(cls, spline: Spline, values: FloatArray) -> Candidate:
        """All follows from the values at the knots."""
        slopes = spline.slopes(values)
        return cls(spline.knots, values, float(slopes[0]), slopes[1:] - slopes[:-1])

    @classmethod
    def from_solution(cls, found: Solution) -> Candidate:
        """The quick answer."""
        return cls.from_spline(found.spline, found.values)

    @classmethod
    def from_beam(cls, tube: Tube, beam: Beam) -> Candidate:
        """The values are those of the dual variable."""
        knots = np.concatenate([[0], beam.knots, [len(tube.points) - 1]])
        return cls(knots, tube.targets[knots] - beam.z[knots], beam.first_slope, beam.kinks)

    def dual(self, tube: Tube, x: FloatArray, aims: FloatArray | float) -> DualVariable:
        """The dual variable that belongs to it."""
        return DualVariable(x, aims, tube.points[self.knots], self.values * tube.score_unit)


def network_from_candidate(
    tube: Tube, score: Candidate, activation: Activation, skip: bool, mean_target: float
) -> KinkNetwork:
    """Build the cheapest network of the class that is this spline on the data.

    Parameters
    ----------
    tube : Tube
    score : Candidate
    activation : {"relu", "abs"}
    skip : bool
    mean_target : float
        What is added to the score; 0 for score matching.

    Returns
    -------
    KinkNetwork

    Examples
    --------
    >>> from convexdiff_lib.beam import score_matching_tube, straight_beam
    >>> tube = score_matching_tube(np.arange(3.0), np.ones(3), 3.0, activation="relu", skip=True)
    >>> score = Candidate.from_beam(tube, straight_beam(tube))
    >>> network_from_candidate(tube, score, "relu", True, 0.0)(np.array([0.0, 2.0])).tolist()
    [1.5, -1.5]
    """
    relu, slope_unit = activation == "relu", tube.score_unit / tube.unit
    first, last = 0, len(tube.points) - 1
    pair = first if tube.pair is None else tube.pair
    carriers = _Carriers(
        pair=pair,
        down=tube.pair is not None and abs(tube.end[0]) >= 2 * tube.half_width[pair],
        up=tube.pair is not None and abs(tube.end[1]) >= 2 * tube.half_width[pair],
        # Of the two ends of the data the cheaper one carries a lift; both, where they cost the same.
        share=(1.0 + np.sign(tube.half_width[last] - tube.half_width[first])) / 2,
    )
    index, facing, weights, slope = _neurons(
        score.knots, score.first_slope, score.kinks, relu, skip, carriers
    )
    # Where slopes are counted, a ReLU neuron that raises the slope should act late, one that lowers it early;
    # see KinkNetwork.beyond.
    late = facing * weights > 0 if relu and not tube.has_targets else np.zeros(len(weights), dtype=np.bool_)
    kinks, weights, slope = tube.points[index], weights * slope_unit, slope * slope_unit
    origin, middle = float(tube.points[0]), tube.points[last // 2]  # there slopes have not added up to much
    there = mean_target + float(np.interp(middle, tube.points[score.knots], score.values)) * tube.score_unit
    constant = there - _without_constant(float(middle), kinks, facing, weights, slope, origin, relu)
    return KinkNetwork(kinks, facing, weights, late, origin, constant, slope, activation)


class _Carriers(NamedTuple):
    """Which two neurons, one facing right and one left, carry a lift most cheaply.

    They stand back to back at ``pair``, if ``up`` or ``down`` says so for a lift of this sign.  Otherwise at
    the two ends of the data, the first with this ``share`` of an upward lift, and with half of a downward.
    """

    pair: int
    down: bool
    up: bool
    share: float


@compiled
def _neurons(
    knots: np.ndarray, first_slope: float, kinks: FloatArray, relu: bool, skip: bool, carriers: _Carriers
) -> tuple[np.ndarray, FloatArray, FloatArray, float]:
    """Return where the neurons stand and face, their weights, and the slope of the skip connection."""
    inner, slope = knots[1:-1].copy(), 0.0
    if skip:
        # Every neuron can face where it likes; the skip carries the rest of the slope.
        index, weights, facing, slope = inner, kinks.copy(), np.ones(len(kinks)), first_slope
        if not relu:
            weights = kinks / 2
            facing, slope = _cheaper_side(weights), first_slope + weights.sum()
    else:
        if relu:
            index, facing, weights, lift = _facing(inner, kinks, first_slope)
        else:
            index, weights, lift = inner, kinks / 2, first_slope + kinks.sum() / 2
            facing = _cheaper_side(weights)
        at_pair, share = (carriers.up, carriers.share) if lift > 0 else (carriers.down, 0.5)
        place, ends = np.array([knots[0], knots[-1]]), np.array([lift * share, -lift * (1 - share)])
        if at_pair:
            place[:] = carriers.pair
            ends[0], ends[1] = lift, -lift
        index, weights = np.concatenate((index, place)), np.concatenate((weights, ends))
        facing = np.concatenate((facing, np.array([1.0, -1.0]) if relu else _cheaper_side(ends)))
    # What is below rounding of slopes of order one (the unit of length is the spread of the data) is zero.
    kept = np.abs(weights) > 1e-14 * max(1.0, np.abs(weights).sum())
    return index[kept], facing[kept], weights[kept], slope


@compiled
def _cheaper_side(weights: FloatArray) -> FloatArray:
    """At its kink |x - t| has slope +1 facing right, -1 facing left; take the one that lowers the loss."""
    return np.where(weights > 0, -1.0, 1.0)


@compiled
def _facing(
    inner: np.ndarray, kinks: FloatArray, first_slope: float
) -> tuple[np.ndarray, FloatArray, FloatArray, float]:
    """Let just enough ReLU neurons face left to carry the first slope; return them and the slope left over.

    On the first interval only left-facing neurons act, with slope minus the sum of their weights.  So their
    weights should sum to minus the first slope: neurons of one sign are turned, from the left, until they do.
    """
    number, sign, missing = len(kinks), -np.sign(first_slope), abs(first_slope)
    weights, lift = np.empty(2 * number), first_slope
    for k in range(number):
        turned = min(missing, max(kinks[k] * sign, 0.0))
        missing -= turned
        weights[k], weights[number + k] = kinks[k] - sign * turned, sign * turned
        lift += sign * turned
    facing = np.ones(2 * number)
    facing[number:] = -1.0
    return np.concatenate((inner, inner)), facing, weights, lift


@compiled
def _without_constant(
    x: float,
    kinks: FloatArray,
    facing: FloatArray,
    weights: FloatArray,
    slope: float,
    origin: float,
    relu: bool,
) -> float:
    """Evaluate the neurons and the skip connection at one point."""
    value = slope * (x - origin)
    for k in range(len(kinks)):
        ahead = facing[k] * (x - kinks[k])
        value += weights[k] * (max(ahead, 0.0) if relu else abs(ahead))
    return value
