r"""Certificates of a fitted score itself, not only of its loss, recomputed from the data.

Candidate: a linear spline s with knots at data points, and for every knot the side on which a neuron's
constraint should be tight.  This module knows no solver.  It works out from the data how far s is from the
optimal score :math:`s^*`, and keeps the digits where distances between points differ by many powers of ten.

The dual of the training problem asks for a function g (the *beam*): with sorted distinct points
:math:`x_1 < \dots < x_m`, multiplicities :math:`k_j` and targets :math:`\ell_j` (zero for score matching),

.. math:: g_j = \sum_i k_i z_i (x_i - x_j)_+, \qquad \text{so } g_m = 0, \qquad
          | (g_j - c_j) - \theta (g_1 - n) | \le r_j,

with the numbers c, r and theta of `convexdiff_lib.line.beam`.  Put g on the wall of its tube at every knot,
and let it bend like :math:`z = \ell - s` between them.  That fixes g, piece by piece.  At a knot its slope
then changes by :math:`-k_j \tilde z_j` for some :math:`\tilde z_j`, which is :math:`z_j` if s is optimal, and

.. math:: r_j = \tilde z_j - z_j

is the *defect* of the knot.  If g stays in its tube, and the kinks of s and its end neurons have the signs
that the walls ask for, then g is feasible and every neuron of s has its constraint tight.  So the duality gap
is :math:`\tfrac12 \sum_j k_j r_j^2` exactly; s is the optimal score for the targets :math:`\ell + r`, and
because the map from targets to optimal scores never increases distances,

.. math:: \Big( \sum_i (s(x_i) - s^*(x_i))^2 \Big)^{1/2} \le \Big( \sum_j k_j r_j^2 \Big)^{1/2} .

A defect is a sum over the two pieces next to its knot: what happens far away, on another scale, costs it no
digit.  Points at which g touches the wall without a kink of s are pinned to it like knots.  All sums are
taken in doubles first, and in double-double numbers where that does not settle it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._validation import FloatArray
from ..certificates import Certificate
from ._double_double import DoubleDouble, Number, rounded
from ._spline_passes import Sums
from ._wall_beam import EPS, WallBeam, fall, padded, pinned, size_of, thread, tightest, values_at
from .network_certificates import sizes_of_scores
from .problem import LineProblem, SplineClaim
from .tails import tails_of

__all__ = ["EndVerdict", "Verdict", "examine", "sizes_at_knots", "values_at"]

_SPARE = 1e-2  # in doubles rounding is estimated: without this to spare, double-doubles decide
_PINNINGS = 8


@dataclass(frozen=True, eq=False)
class Verdict:
    """A certificate, and what one needs to improve a claim that did not get one.

    Parameters
    ----------
    certificate : Certificate
    defects : array of shape (K + 2,)
        Multiplicity times defect, at every knot.
    end : EndVerdict
        Of the end of the beam.
    outside, outside_sides, excess : arrays of shape (q,)
        Points at which the beam is outside its tube by more than rounding, on which side, and by how much.
    turned : bool array of shape (K,)
        Which inner knots bend to the wrong side.
    sums : Sums
        Over the pieces between the knots.

    Examples
    --------
    >>> from convexdiff_lib.line.problem import line_problem
    >>> problem = line_problem([-1.0, 1.0], 1.0)
    >>> none, halves = np.zeros(0), np.array([0.5, -0.5])
    >>> claim = SplineClaim(np.array([0, 1]), none, halves, np.zeros(2), -1.0, 0.0, -1)
    >>> verdict = examine(problem, claim)
    >>> verdict.certificate.holds, verdict.same_points_touch
    (True, True)
    """

    certificate: Certificate
    defects: FloatArray
    end: EndVerdict
    outside: np.ndarray
    outside_sides: FloatArray
    excess: FloatArray
    turned: np.ndarray
    sums: Sums

    @property
    def same_points_touch(self) -> bool:
        """Whether the optimal score has its kinks at the same knots, as far as can be seen."""
        return not (len(self.outside) or self.turned.any() or self.end.move or self.end.strays)

    @property
    def error(self) -> float:
        """The certificate's bound on the error of the score."""
        error = self.certificate.score_error
        return np.inf if error is None else error

    @property
    def settled(self) -> bool:
        """Whether the certificate holds with so much to spare that its rounding does not matter."""
        return self.certificate.holds and self.error <= _SPARE * self.certificate.score_tolerance


@dataclass(frozen=True, eq=False)
class EndVerdict:
    """What is left for neurons at the two ends of the data, and what that asks of the end of the beam.

    Parameters
    ----------
    lift : float
        The slope that they carry.
    per_value : array of shape (K + 2,)
        Its derivative in the knot values.
    held : bool
        Whether the end is held, at a bound or level; else there must be no lift.
    move : int
        Where it has to go: +1 up, -1 down, 0 nowhere.
    error : float
        By how much the lift may be wrong.
    strays : bool
        Whether it is free, and has left its interval.

    Examples
    --------
    >>> EndVerdict(0.0, np.zeros(2), True, 0, 0.0, False).held
    True
    """

    lift: float
    per_value: FloatArray
    held: bool
    move: int
    error: float
    strays: bool


def examine(
    problem: LineProblem, claim: SplineClaim, *, exactly: bool = False, at_these_prices: bool = False
) -> Verdict:
    r"""Find out how far a claimed spline is from the optimal score.

    Parameters
    ----------
    problem : LineProblem
    claim : SplineClaim
    exactly : bool
        In double-double numbers, where rounding does not count; else in doubles, where it is estimated.
    at_these_prices : bool
        For outer slopes that have prices: whether these are part of the problem, so that it does not matter
        whether a slope is above zero.

    Returns
    -------
    Verdict
        Its certificate holds only if the score is right at every knot, see
        `convexdiff_lib.certificates.Certificate`.

    Examples
    --------
    Two points at -1 and 1 with beta = 1.  The optimum is the line -x/2; half of that slope is refused.

    >>> from convexdiff_lib.line.problem import line_problem
    >>> problem = line_problem([-1.0, 1.0], 1.0)
    >>> ends, none = np.array([0, 1]), np.zeros(0)
    >>> for value in (0.5, 0.25):
    ...     values = np.array([value, -value])
    ...     claim = SplineClaim(ends, none, values, np.zeros(2), -1.0, 0.0, -1)
    ...     print(examine(problem, claim).certificate.holds)
    True
    False
    """
    beam = free = thread(problem, claim, claim.knots, claim.sides, exactly)
    found = first = tightest(beam)
    for _ in range(_PINNINGS):
        if not len(found.points):
            break
        beam = pinned(claim, beam, found)
        found = tightest(beam)
    signs = _check_signs(problem, claim, free, at_these_prices)
    beyond = first.rooms < -first.blur
    return Verdict(
        certificate=_certificate(problem, claim, beam, signs, found.excess),
        defects=rounded(free.defects),
        end=signs.end,
        outside=first.points[beyond],
        outside_sides=first.sides[beyond],
        excess=-first.rooms[beyond],
        turned=signs.turned,
        sums=free.sums,
    )


@dataclass(frozen=True, eq=False)
class _Signs:
    """What the kinks of a spline say: see `Verdict`.

    ``penalty`` is what neurons whose constraint is not tight add to the gap.  A slope that is left over at
    the two ends is taken away by moving the score at one knot: ``correction`` is how much further from the
    optimum that leaves it.  ``weight`` is what the network weighs.
    """

    turned: np.ndarray
    end: EndVerdict
    penalty: float
    correction: float
    weight: float


def _check_signs(problem: LineProblem, claim: SplineClaim, beam: WallBeam, at_these_prices: bool) -> _Signs:
    """Compare the kinks, and the slope left for the two ends, with the walls that the beam touches."""
    unit = 64 * EPS * EPS if beam.exactly else 4 * EPS
    spans, size = rounded(beam.lengths), np.abs(rounded(beam.values))
    slopes = (beam.values[1:] - beam.values[:-1]) / beam.lengths
    steep = unit * (size[1:] + size[:-1]) / spans
    kinks = rounded(slopes[1:] - slopes[:-1])
    sure = claim.sides * kinks - (steep[1:] + steep[:-1])
    # A neuron on the wrong side has its constraint loose by the distance of its two walls.
    width = 2 * (problem.radius - problem.share * problem.counts[beam.at[1:-1]])
    penalty = float(np.maximum(-sure, 0.0) @ width)
    end = _check_end(problem, claim, beam, slopes, steep)
    correction = 0.0
    if end.error > 0:
        shifts = _shifts(end, spans, sure)
        cheapest = int(np.argmin(costs := shifts * _reach_of_knots(problem, beam)))
        correction = float(costs[cheapest])
        if not np.isfinite(correction):
            low, high = (float(bound.high) for bound in problem.end)
            correction, penalty = 0.0, penalty + end.error * max(high - low, 0.0)
    weight = float(np.sum(np.abs(kinks))) / problem.turn
    if problem.prices and not at_these_prices:
        tails = tails_of(problem, claim, slopes)
        penalty += tails.slack
        weight += tails.weight + abs(end.lift - tails.through) * (problem.targets is None)
    elif any(claim.is_at(bound) for bound in problem.end):  # else no neuron stands at the ends
        weight += abs(end.lift)
    return _Signs(turned=sure < 0, end=end, penalty=penalty, correction=correction, weight=weight)


def _shifts(end: EndVerdict, spans: FloatArray, sure: FloatArray) -> FloatArray:
    """By how much the score would have to move at each knot to leave no slope over.

    Infinite where that might turn a kink, there or at a neighbour; ``sure`` is what the kinks have to spare.
    """
    with np.errstate(divide="ignore"):
        shifts = end.error / np.abs(end.per_value)
    spare = np.concatenate([[np.inf], sure, [np.inf]])
    per_span = 1 / spans
    own = padded(per_span, 1, 0) + padded(per_span, 0, 1)
    with np.errstate(invalid="ignore"):  # an infinite shift on no kink
        fine = shifts * own <= spare
        fine[1:] &= shifts[1:] * per_span <= spare[:-1]
        fine[:-1] &= shifts[:-1] * per_span <= spare[1:]
    return np.where(fine, shifts, np.inf)


def _reach_of_knots(problem: LineProblem, beam: WallBeam) -> FloatArray:
    """How much further from the optimum a unit's change of the score at one knot brings it, at most."""
    left, mixed, right = (rounded(sums) for sums in (beam.sums.left, beam.sums.mixed, beam.sums.right))
    counts = problem.counts[beam.at]
    own = padded(left, 0, 1) + padded(right, 1, 0) + counts
    row = own + padded(mixed, 0, 1) + padded(mixed, 1, 0)
    return row / np.sqrt(counts) + np.sqrt(own)


def _check_end(
    problem: LineProblem, claim: SplineClaim, beam: WallBeam, slopes: Number, steep: FloatArray
) -> EndVerdict:
    """Where the end is held, the slope that is left may have one sign; where it is free there is none.

    ``steep`` is the rounding of the slopes.
    """
    at_low, at_high = (claim.is_at(bound) for bound in problem.end)
    relu = problem.activation == "relu"

    def verdict(lean: int, held: bool, may_rise: bool, may_fall: bool) -> EndVerdict:
        tilts = problem.tilts(claim.sides, lean)
        lift = float(rounded(_total(slopes * fall(tilts))))
        noise = 2 * float(steep @ np.abs(fall(tilts)))
        per_value = -np.diff(padded(fall(tilts) / rounded(beam.lengths), 1, 1))
        error = max(lift + noise if may_rise else 0.0, noise - lift if may_fall else 0.0, 0.0)
        move = (int(lift > 0 and may_rise) - int(lift < 0 and may_fall)) if held else 0
        return EndVerdict(
            lift, per_value, held, move, error, not held and _strays(problem, claim, beam.offset) > 0
        )

    if problem.skip:
        return EndVerdict(0.0, np.zeros(len(claim.knots)), True, 0, 0.0, False)
    if relu and claim.lean == 0:
        below = verdict(-1, True, False, True)
        return below if below.error > 0 or at_high else verdict(1, True, True, False)
    if at_low or at_high:  # at a bound the slope may have one sign; where the bounds meet, any
        return verdict(claim.lean, True, not at_high, not at_low)
    return verdict(claim.lean, False, True, True)


def _total(terms: Number) -> Number:
    """Sum up, in the same order everywhere."""
    if not isinstance(terms, DoubleDouble):
        return np.asarray(np.sum(terms))
    total = DoubleDouble(0.0)
    for k in range(len(terms)):
        total = total + terms[k]
    return total


def _certificate(
    problem: LineProblem, claim: SplineClaim, beam: WallBeam, signs: _Signs, excess: float
) -> Certificate:
    """Put together what the defects say of the score and of the loss."""
    counts = problem.counts
    excess = max(excess, _strays(problem, claim, beam.offset))
    defects = (np.abs(rounded(beam.defects)) + beam.noise) / counts[beam.at]
    squares = float(np.sum(counts[beam.at] * defects**2))
    loose = signs.penalty + excess * signs.weight
    distance = float(np.sqrt(squares + 2 * loose) + signs.correction)
    if problem.targets is None:
        squares_of_score = _sum_of_squares(beam, counts[beam.at])
        # A score that is nothing but rounding is zero.
        nothing = (8 * EPS) ** 2 * problem.sample.loss_of_simple_fit
        primal = -0.5 * squares_of_score if squares_of_score > nothing else 0.0
    else:
        rest = np.interp(problem.points, problem.points[claim.knots], claim.values) - problem.targets
        primal = 0.5 * float(counts @ (rest * rest)) + problem.beta * signs.weight + problem.sample.spread
    return Certificate(
        primal=float(primal),
        dual=float(primal - 0.5 * distance**2),
        infeasibility=float(excess / (problem.level or problem.radius)),
        scale=float(max(abs(primal), problem.sample.loss_of_simple_fit)),
        score_error=_relative(problem, claim, distance),
    )


def _strays(problem: LineProblem, claim: SplineClaim, offset: Number) -> float:
    """By how much the end of the beam is outside the interval that its state allows."""
    low, high = problem.end
    beyond: list[Number] = [low - offset, offset - high, offset * -float(claim.lean)]
    if not claim.lean and problem.activation == "relu":
        beyond.append(size_of(offset))  # it should be level
    return max(0.0, *(float(rounded(gap)) for gap in beyond))


def _sum_of_squares(beam: WallBeam, counts: FloatArray) -> float:
    """Sum the squares of the score over the points."""
    first, last = rounded(beam.values)[:-1], rounded(beam.values)[1:]
    left, mixed, right = (rounded(sums) for sums in (beam.sums.left, beam.sums.mixed, beam.sums.right))
    inner = first * first * left + 2 * first * last * mixed + last * last * right
    return float(np.sum(inner) + counts @ rounded(beam.values) ** 2)


def _relative(problem: LineProblem, claim: SplineClaim, distance: float) -> float:
    """Compare the error at every knot with the score there, and with what is natural around it."""
    sizes = sizes_at_knots(problem, claim)
    errors = distance / np.sqrt(problem.counts[claim.knots]) + 2 * EPS * np.abs(claim.values)
    wrong = errors > 0
    return float(np.max(errors[wrong] / sizes[wrong], initial=0.0)) if (sizes[wrong] > 0).all() else np.inf


def sizes_at_knots(problem: LineProblem, claim: SplineClaim) -> FloatArray:
    """Return with what an error of the score at each knot is compared: see ``score_error`` of `Certificate`.

    Parameters
    ----------
    problem : LineProblem
    claim : SplineClaim

    Returns
    -------
    array of shape (K + 2,)

    Examples
    --------
    A score of 4, and one of zero, at a distance of 2:

    >>> from convexdiff_lib.line.problem import line_problem
    >>> problem = line_problem([-1.0, 1.0], 1.0)
    >>> none, values = np.zeros(0), np.array([4.0, 0.0])
    >>> claim = SplineClaim(np.array([0, 1]), none, values, np.zeros(2), -1.0, 0.0, -1)
    >>> sizes_at_knots(problem, claim)
    array([4. , 0.5])
    """
    knots = claim.knots
    if problem.targets is None:
        return sizes_of_scores(problem.points[knots], claim.values)
    masses = np.add.reduceat(problem.counts, knots[:-1])
    squares = np.add.reduceat(problem.counts * problem.targets**2, knots[:-1])
    around = np.sqrt(squares / masses)
    natural = np.maximum(padded(around, 1, 0), padded(around, 0, 1))
    natural = np.where(natural > 0, natural, np.sqrt(squares.sum() / masses.sum()))
    return np.maximum(np.abs(claim.values), natural)
