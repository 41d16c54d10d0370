r"""What three layers of ReLU claim: a spline, and the heights of its beam beside both ends of the data.

Let :math:`a \in [-\beta/2, \beta/2 - k_m]` be the centre of the tube, and b the height of the beam's end
above its level and above the centre, in :math:`[-\beta/2, \beta/2 - k_1]`; with a skip connection
:math:`b = -a`.  For any such pair

.. math:: \text{loss}(s) + \tfrac{\beta}{2} \mathrm{TV}(s') + a\, s'(x_m) + b\, s'(x_1)

is at most the loss of three layers.  It is what two layers of absolute values with a skip connection charge
where their outer slopes have the prices a and b, and `convexdiff_lib.line.spline_certificates` knows how far
a spline is from its optimum.  What it leaves is for each outer slope its size times the distance of its price
from the end of the interval at which it is paid for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .._validation import FloatArray
from ._double_double import DoubleDouble
from .problem import LineProblem, SplineClaim
from .sharpening import sharpened_at_these_prices
from .spline_certificates import examine, sizes_at_knots

__all__ = ["Centred", "at_data", "bounds", "levelled", "score_error_of_spline", "sharpest"]

_SETTLED = 1e-8


@dataclass(frozen=True, eq=False)
class Centred:
    """A claimed spline, and the heights that its beam has beside the right and the left end of the data."""

    claim: SplineClaim
    right: DoubleDouble
    left: DoubleDouble


def bounds(problem: LineProblem) -> tuple[DoubleDouble, DoubleDouble, DoubleDouble, DoubleDouble]:
    """Return the interval of the right height, and that of the left one, without rounding."""
    right, left = _twin(problem).highest_prices
    half = DoubleDouble(problem.beta) * 0.5
    return (-left, right, -right, left) if problem.skip else (-half, right, -half, left)


def _twin(problem: LineProblem) -> LineProblem:
    """The problem of two layers in the tube of half the width."""
    return LineProblem(problem.sample, problem.beta, "abs", skip=True)


def _slopes(problem: LineProblem, claim: SplineClaim) -> tuple[DoubleDouble, DoubleDouble]:
    """The last slope and the first."""
    places = problem.points[claim.knots]
    values = DoubleDouble(claim.values, claim.rests)
    slopes = (values[1:] - values[:-1]) / (DoubleDouble(places[1:]) - places[:-1])
    return slopes[-1], slopes[0]


def _is_inside(price: DoubleDouble, low: DoubleDouble, high: DoubleDouble) -> bool:
    return float((price - low).high) > 0 and float((high - price).high) > 0


def levelled(problem: LineProblem, centred: Centred) -> Centred:
    """Make an outer piece level, or both of one slope, where it is but for rounding: inside the interval."""
    low, high, left_low, left_high = bounds(problem)
    claim, places = centred.claim, problem.points[centred.claim.knots]
    values, rests = claim.values.copy(), claim.rests.copy()
    if _is_inside(centred.right, low, high):
        first = _slopes(problem, claim)[1] if problem.skip else DoubleDouble(0.0)
        end = first * (DoubleDouble(places[-1]) - places[-2]) + DoubleDouble(values[-2], rests[-2])
        values[-1], rests[-1] = end.high, end.low
    if not problem.skip and _is_inside(centred.left, left_low, left_high):
        values[0], rests[0] = values[1], rests[1]
    return replace(centred, claim=replace(claim, values=values, rests=rests))


def score_error_of_spline(problem: LineProblem, centred: Centred) -> float:
    """Bound how far a spline is from the optimal score, as ``score_error`` of `Certificate` says it."""
    priced = _twin(problem).priced(centred.right, centred.left)
    error, slack = np.inf, _of_slack(problem, centred)
    for exactly in (False, True):
        verdict = examine(priced, centred.claim, exactly=exactly, at_these_prices=True)
        error = verdict.error + slack if verdict.certificate.infeasibility <= 1e-9 else np.inf
        if error <= _SETTLED:
            break
    return float(error)


def _of_slack(problem: LineProblem, centred: Centred) -> float:
    """What outer slopes that are paid for at another price may change of the score."""
    low, high, left_low, left_high = bounds(problem)
    last, first = _slopes(problem, centred.claim)
    ends = [(last, centred.right, low, high), (first, centred.left, left_low, left_high)]
    if problem.skip:
        ends = [(last - first, centred.right, low, high)]
    slack = 0.0
    for slope, price, least, most in ends:
        below, above = float((price - least).high), float((most - price).high)
        if min(below, above) < 0:
            return np.inf
        slack += abs(float(slope.high)) * (above if slope.high > 0 else below)
    if slack == 0:
        return 0.0
    knots = centred.claim.knots
    sizes = np.sqrt(problem.counts[knots]) * sizes_at_knots(problem, centred.claim)
    return float(np.max(np.sqrt(2 * slack) / sizes)) if (sizes > 0).all() else np.inf


def sharpest(problem: LineProblem, centred: Centred) -> tuple[Centred, float]:
    """Return a claim whose error is small if one is found near the given one, and its error.

    What touches by a hair is found at the given heights, to twice the digits of a double.
    """
    error = score_error_of_spline(problem, centred)
    if error <= _SETTLED:
        return centred, error
    priced = _twin(problem).priced(centred.right, centred.left)
    other = levelled(problem, replace(centred, claim=sharpened_at_these_prices(priced, centred.claim)))
    better = score_error_of_spline(problem, other)
    return (other, better) if better < error else (centred, error)


def at_data(problem: LineProblem, claim: SplineClaim) -> FloatArray:
    """The spline at the distinct points."""
    return np.interp(problem.points, problem.points[claim.knots], claim.values)
