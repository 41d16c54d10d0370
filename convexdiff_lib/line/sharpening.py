"""Sharpen a spline until its certificate holds: its last digits, and what touches by a hair.

The rounds of `convexdiff_lib.line.active_set` work in doubles and forgive a little.  Here the answer is
compared with the data as its certificate does: the defects at its knots are taken away by Newton's method,
which ends after a step or two because the problem is linear as long as the same points touch, and what then
bends to the wrong side or is outside the tube leaves or enters.  The knot values keep what rounding cuts off.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .._validation import FloatArray
from ._double_double import DoubleDouble, rounded
from ._exchange import solve_tridiagonal
from .problem import LineProblem, SplineClaim
from .spline_certificates import Verdict, examine, values_at
from .tails import dearest, tails_of

__all__ = ["sharpened", "sharpened_at_these_prices"]

_STEPS = 2  # Newton's steps after a change of what touches: each gains a dozen digits
_ROUNDS = 60
_CAREFUL = 20  # rounds after which one thing is changed at a time
_NO_EFFECT = 1e-8  # of what is natural
_NARROW = 1e-4  # of the tube's radius
_NUDGE = 1e-6  # of the tube's radius: where the end of the beam goes first when it comes free


def sharpened(problem: LineProblem, claim: SplineClaim) -> tuple[SplineClaim, Verdict]:
    """Return a claim as near to the given one as holds, and what is to be said of it; or the best found.

    Parameters
    ----------
    problem : LineProblem
    claim : SplineClaim

    Returns
    -------
    claim, verdict

    Examples
    --------
    A line that is a little too flat:

    >>> from convexdiff_lib.line.problem import line_problem
    >>> problem = line_problem([-1.0, 1.0], 1.0)
    >>> none, values = np.zeros(0), np.array([0.49, -0.49])
    >>> rough = SplineClaim(np.array([0, 1]), none, values, np.zeros(2), -1.0, 0.0, -1)
    >>> claim, verdict = sharpened(problem, rough)
    >>> claim.values.tolist(), verdict.certificate.holds
    ([0.5, -0.5], True)
    """
    claim, verdict = _sharpened(problem, claim)
    if not problem.prices:
        return claim, verdict
    claim = _levelled(problem, claim)
    return claim, examine(problem, claim, exactly=True)


def sharpened_at_these_prices(problem: LineProblem, claim: SplineClaim) -> SplineClaim:
    """Return the optimum at given prices of the outer slopes, to twice the digits of a double.

    Examples
    --------
    >>> from convexdiff_lib.line.problem import line_problem
    >>> problem = line_problem([-1.0, 1.0], 1.0).priced(0.0, 0.0)
    >>> none, values = np.zeros(0), np.array([0.49, -0.49])
    >>> rough = SplineClaim(np.array([0, 1]), none, values, np.zeros(2), -1.0, 0.0, -1)
    >>> sharpened_at_these_prices(problem, rough).values.tolist()
    [0.5, -0.5]
    """
    claim, _ = _sharpened(problem, claim)
    for _ in range(_STEPS):
        claim = _stepped(problem, claim, examine(problem, claim, exactly=True, at_these_prices=True))
    return claim


def _sharpened(problem: LineProblem, claim: SplineClaim) -> tuple[SplineClaim, Verdict]:
    claim, verdict = _with_values(problem, claim, exactly=False)
    return (claim, verdict) if verdict.settled else _with_contacts(problem, claim)


def _with_values(problem: LineProblem, claim: SplineClaim, *, exactly: bool) -> tuple[SplineClaim, Verdict]:
    """Sharpen the values at the knots, and the end of the beam where that is free."""
    verdict = examine(problem, claim, exactly=exactly, at_these_prices=True)
    for _ in range(_STEPS):
        if verdict.settled:
            break
        claim = _stepped(problem, claim, verdict)
        verdict = examine(problem, claim, exactly=exactly, at_these_prices=True)
    return claim, verdict


def _with_contacts(problem: LineProblem, claim: SplineClaim) -> tuple[SplineClaim, Verdict]:
    """Sharpen in double-double numbers, changing what touches where need be."""
    best: tuple[SplineClaim, Verdict] | None = None
    for round_ in range(_ROUNDS):
        claim, verdict = _with_values(problem, claim, exactly=True)
        if best is None or verdict.error < best[1].error:
            best = claim, verdict
        stuck = verdict.same_points_touch or not np.isfinite(claim.values).all()
        if verdict.settled or stuck:
            break
        claim = _changed(problem, claim, verdict, careful=round_ > _CAREFUL)
    assert best is not None
    return best


def _stepped(problem: LineProblem, claim: SplineClaim, verdict: Verdict) -> SplineClaim:
    """Take Newton's step for the knot values, and for the end of the beam where that is free."""
    sums = verdict.sums
    left, right = rounded(sums.left), rounded(sums.right)
    diagonal = problem.counts[claim.knots] + 0.0
    diagonal[:-1] += left
    diagonal[1:] += right
    step, response = -verdict.defects, verdict.end.per_value.copy()
    solve_tridiagonal(diagonal, rounded(sums.mixed), step, response)
    values = DoubleDouble(claim.values, claim.rests)
    if verdict.end.held:
        values = values + step
        return replace(claim, values=values.high, rests=values.low)
    along = float(verdict.end.per_value @ response)
    rise = (verdict.end.lift + float(verdict.end.per_value @ step)) / along if along > 0 else 0.0
    values = values + (step - rise * response)
    offset = DoubleDouble(claim.offset, claim.offset_rest) + rise
    return replace(
        claim,
        values=values.high,
        rests=values.low,
        offset=float(offset.high),
        offset_rest=float(offset.low),
    )


def _changed(problem: LineProblem, claim: SplineClaim, verdict: Verdict, careful: bool) -> SplineClaim:
    """Let go of what bends to the wrong side, take in what is outside, and move the state of the end."""
    moved = _moved_end(problem, claim, verdict)
    if moved is not None and (careful or not len(verdict.outside)):
        return moved
    leaving, entering, sides = verdict.turned, verdict.outside, verdict.outside_sides
    if (over := leaving & _is_narrow(problem, claim)).any() and not careful:
        # Where the tube is narrow what bends to the wrong side touches the other wall.
        claim, leaving = replace(claim, sides=np.where(over, -claim.sides, claim.sides)), leaving & ~over
    if careful and len(entering):
        worst = [int(np.argmax(verdict.excess))]
        entering, sides = entering[worst], sides[worst]
        leaving = np.zeros_like(leaving)
    kept = np.concatenate([[True], ~leaving, [True]])
    inner = np.concatenate([claim.knots[kept][1:-1], entering])
    order = np.argsort(inner, kind="stable")
    knots = np.concatenate([claim.knots[:1], inner[order], claim.knots[-1:]])
    values = values_at(problem, claim, knots, exactly=True)
    assert isinstance(values, DoubleDouble)
    changed = replace(
        claim,
        knots=knots,
        sides=np.concatenate([claim.sides[~leaving], sides])[order],
        values=values.high,
        rests=values.low,
    )
    if moved is None:
        return changed
    return replace(changed, offset=moved.offset, offset_rest=moved.offset_rest, lean=moved.lean)


def _moved_end(problem: LineProblem, claim: SplineClaim, verdict: Verdict) -> SplineClaim | None:
    """Set the end of the beam free, or hold it where it has left its interval; None if it may stay."""
    low, high = problem.end
    relu = problem.activation == "relu"
    if verdict.end.held:
        move = verdict.end.move
        if not move:
            return None
        lean = claim.lean or move
        return replace(
            claim, offset=claim.offset + move * _NUDGE * problem.radius, offset_rest=0.0, lean=lean
        )
    end = DoubleDouble(claim.offset, claim.offset_rest)
    if (low - end).high >= 0:
        return _held_at(claim, low, -1)
    if relu and (end * float(claim.lean)).high <= 0:
        return _held_at(claim, DoubleDouble(0.0), 0)
    if (end - high).high >= 0:
        return _held_at(claim, high, 1 if high.high > 0 else 0)
    return None


def _held_at(claim: SplineClaim, height: DoubleDouble, lean: int) -> SplineClaim:
    return replace(claim, offset=float(height.high), offset_rest=float(height.low), lean=lean)


def _levelled(problem: LineProblem, claim: SplineClaim) -> SplineClaim:
    """Move the values at the two ends by what rounding leaves of outer slopes that are to be zero."""
    tops = dearest(problem)
    wrong = [
        (price > 0 or slope > 0) and (price < top or slope < 0)
        for price, top, slope in zip(problem.tail_prices, tops, _outer_slopes(problem, claim), strict=True)
    ]
    if problem.activation == "abs" and not problem.skip:  # the two are opposite
        wrong = [all(price < top for price, top in zip(problem.tail_prices, tops, strict=True))] * 2
    if not any(wrong):
        return claim
    for _ in range(_STEPS):
        slopes = _outer_slopes(problem, claim)
        if not slopes[wrong].any():
            break
        # Try about what is needed: a larger move could let neurons at an end come in, or drop out.
        tries = np.where(slopes, -slopes, np.abs(slopes).max())
        moved = [_steeper(problem, claim, side, tries[side]) for side in (0, 1)]
        response = np.stack([_outer_slopes(problem, claim) - slopes for claim in moved], axis=1) / tries
        response[np.abs(response) <= _NO_EFFECT] = 0.0  # where neurons at both ends share all of a slope
        moves = np.linalg.lstsq(response[wrong], -slopes[wrong])[0]
        for side in (0, 1):
            claim = _steeper(problem, claim, side, moves[side])
    return claim


def _outer_slopes(problem: LineProblem, claim: SplineClaim) -> FloatArray:
    """The outer slopes of a claimed spline, right and left."""
    values = DoubleDouble(claim.values, claim.rests)
    places = problem.points[claim.knots]
    tails = tails_of(problem, claim, (values[1:] - values[:-1]) / (DoubleDouble(places[1:]) - places[:-1]))
    return np.array([tails.right, tails.left])


def _steeper(problem: LineProblem, claim: SplineClaim, side: int, by: float) -> SplineClaim:
    """Make the last piece (0) or the first one (1) steeper by moving the value at the end of the data."""
    knot, sign = ((-1, 1), (0, -1))[side]
    span = float(np.diff(problem.points[claim.knots])[knot])
    values, rests = claim.values.copy(), claim.rests.copy()
    moved = DoubleDouble(values[knot], rests[knot]) + sign * float(by) * span
    values[knot], rests[knot] = moved.high, moved.low
    return replace(claim, values=values, rests=rests)


def _is_narrow(problem: LineProblem, claim: SplineClaim) -> np.ndarray:
    """Say of every inner knot whether the walls of the tube nearly meet there."""
    room = problem.radius - problem.share * problem.counts[claim.knots[1:-1]]
    if problem.activation == "relu":
        room -= abs(claim.offset) / 2
    return room <= _NARROW * problem.radius
