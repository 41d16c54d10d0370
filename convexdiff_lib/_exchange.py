"""All rounds of the active set in one compiled piece: exchange what is wrong, and look for the beam's end.

A spline is given by its ``knots``, increasing indices of points from the first to the last, and by the
``sign`` of its inner knots: +1 where the beam touches the top of the tube, -1 at the bottom.  A state of the
end is a row (low, high, lean), as in `convexdiff_lib.active_set.End`; a chain has all of them, from low to
high.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._compiled import compiled
from ._passes import functional, second_moments, shared, thinned, worst_outside
from ._validation import FloatArray

__all__ = [
    "Problem",
    "Sums",
    "bends",
    "best_values",
    "changed",
    "gathered",
    "leap",
    "leap_by_levels",
    "lift",
    "move_of_end",
    "spans",
    "wrongs",
]

_MAX_LEAPS = 100
_MAX_STALLED = 10
_MAX_HEIGHTS = 30
_NEAR = 8  # an eighth of the way to the next knot


class Problem(NamedTuple):
    """What the rounds read of a tube; ``flat`` and ``steep`` are its least and its largest tilt."""

    points: FloatArray
    counts: FloatArray
    targets: FloatArray
    pulls: FloatArray
    centre: FloatArray
    half_width: FloatArray
    has_targets: bool
    unit: float
    level: float
    low: float
    high: float
    flat: float
    steep: float
    tolerance: float


class Sums(NamedTuple):
    """A spline's loss in its knot values: its matrix, diagonal and off-diagonal, and the targets' share."""

    diagonal: FloatArray
    off_diagonal: FloatArray
    pulled: FloatArray


@compiled
def gathered(problem: Problem, knots: np.ndarray) -> Sums:
    """Sum over the points, piece by piece."""
    diagonal, off_diagonal = second_moments(problem.points, problem.counts, knots)
    if problem.has_targets:
        return Sums(diagonal, off_diagonal, shared(problem.points, problem.pulls, knots))
    return Sums(diagonal, off_diagonal, np.zeros(len(knots)))


@compiled
def spans(problem: Problem, knots: np.ndarray) -> FloatArray:
    """Lengths of the pieces."""
    lengths = np.empty(len(knots) - 1)
    for k in range(len(lengths)):
        lengths[k] = (problem.points[knots[k + 1]] - problem.points[knots[k]]) / problem.unit
    return lengths


@compiled
def bends(problem: Problem, knots: np.ndarray, values: FloatArray) -> tuple[float, FloatArray]:
    """Return the slope on the first piece, and by how much it changes at every inner knot."""
    lengths, changes = spans(problem, knots), np.empty(len(knots) - 2)
    first = before = (values[1] - values[0]) / lengths[0]
    for k in range(len(changes)):
        after = (values[k + 2] - values[k + 1]) / lengths[k + 1]
        changes[k] = after - before
        before = after
    return first, changes


@compiled
def lift(problem: Problem, knots: np.ndarray, sign: FloatArray, lean: float) -> FloatArray:
    """The slope that is left for the neurons at the two ends, as a functional of the knot values."""
    on_kinks = np.empty(len(sign))
    for k in range(len(sign)):
        on_kinks[k] = problem.steep if sign[k] * lean < 0 else problem.flat
    return functional(spans(problem, knots), 1.0, on_kinks)


@compiled
def _dot(a: FloatArray, b: FloatArray) -> float:
    total = 0.0
    for k in range(len(a)):
        total += a[k] * b[k]
    return total


@compiled
def _solve(diagonal: FloatArray, off_diagonal: FloatArray, first: FloatArray, second: FloatArray) -> None:
    """Overwrite two right-hand sides with the solutions; with NaN if the matrix is not positive definite."""
    last = len(diagonal) - 1
    pivots = diagonal.copy()
    for k in range(last + 1):
        if k > 0:
            factor = off_diagonal[k - 1] / pivots[k - 1]
            pivots[k] -= factor * off_diagonal[k - 1]
            first[k] -= factor * first[k - 1]
            second[k] -= factor * second[k - 1]
        if not pivots[k] > 0:
            first[:] = np.nan
            second[:] = np.nan
            return
    first[last] /= pivots[last]
    second[last] /= pivots[last]
    for k in range(last - 1, -1, -1):
        first[k] = (first[k] - off_diagonal[k] * first[k + 1]) / pivots[k]
        second[k] = (second[k] - off_diagonal[k] * second[k + 1]) / pivots[k]


@compiled
def best_values(
    problem: Problem, knots: np.ndarray, sign: FloatArray, end: FloatArray, sums: Sums
) -> tuple[FloatArray, float]:
    """Return the knot values of the best spline, and the height of the beam's end less its level."""
    kink_cost = np.empty(len(sign))
    for k in range(len(sign)):
        i = knots[k + 1]
        kink_cost[k] = problem.centre[i] + sign[k] * problem.half_width[i]
    values = sums.pulled - functional(spans(problem, knots), problem.level, kink_cost)
    leaning = lift(problem, knots, sign, end[2])
    response = -leaning
    _solve(sums.diagonal, sums.off_diagonal, values, response)
    height = end[0]
    if end[0] < end[1]:
        height = -_dot(leaning, values) / _dot(leaning, response)
    values += height * response
    return values, height


@compiled
def wrongs(
    problem: Problem, knots: np.ndarray, sign: FloatArray, values: FloatArray, height: float
) -> tuple[int, np.ndarray, np.ndarray, FloatArray, FloatArray]:
    """Compare the signs of the kinks, and the beam with its tube.

    Returns how much is wrong; which kinks are; and as `worst_outside` does the points that should touch, the
    sides on which, and how far they are outside.
    """
    held = min(max(height, problem.low), problem.high)
    one, other = problem.flat * held, problem.steep * held
    number, where, side, excess = worst_outside(
        problem.points,
        problem.counts,
        problem.targets,
        problem.centre,
        problem.half_width,
        problem.unit,
        knots,
        values,
        (max(one, other), min(one, other)),
        problem.tolerance,
    )
    turned = sign * bends(problem, knots, values)[1] < 0
    number += turned.sum()
    return number, turned, where, side, excess


@compiled
def changed(
    knots: np.ndarray, sign: FloatArray, leaving: np.ndarray, entering: np.ndarray, side: FloatArray
) -> tuple[np.ndarray, FloatArray]:
    """Drop the inner knots that are marked as leaving, and let in others, given in increasing order."""
    new_knots = np.empty(len(knots) + len(entering), dtype=np.int64)
    new_sign = np.empty(len(sign) + len(entering))
    size, e = 1, 0
    new_knots[0] = knots[0]
    for k in range(len(sign) + 1):
        while e < len(entering) and entering[e] < knots[k + 1]:
            new_knots[size], new_sign[size - 1] = entering[e], side[e]
            size += 1
            e += 1
        if k < len(sign) and not leaving[k]:
            new_knots[size], new_sign[size - 1] = knots[k + 1], sign[k]
            size += 1
    new_knots[size] = knots[-1]
    return new_knots[: size + 1].copy(), new_sign[: size - 1].copy()


@compiled
def _slid(
    knots: np.ndarray,
    sign: FloatArray,
    turned: np.ndarray,
    where: np.ndarray,
    side: FloatArray,
    excess: FloatArray,
) -> tuple[np.ndarray, np.ndarray, FloatArray]:
    """Let what touches slide: a point that enters near it, on its side, replaces it; the worst, if two do.

    Two points that touch side by side would bend the spline wildly.  Returns which inner knots leave, and
    the points that enter, with their sides.
    """
    leaving, kept = turned.copy(), np.ones(len(where), dtype=np.bool_)
    instead = np.full(len(sign), -1)
    k = 0
    for e in range(len(where)):
        while knots[k + 1] < where[e]:
            k += 1
        near = (knots[k + 1] - knots[k]) / _NEAR
        # The inner knot j is knot j + 1.
        j = k - 1 if where[e] - knots[k] <= near else k if knots[k + 1] - where[e] <= near else -1
        if j < 0 or j == len(sign) or turned[j] or sign[j] != side[e]:
            continue
        other = instead[j]
        if other < 0 or excess[e] > excess[other]:
            instead[j] = e
            leaving[j] = True
            if other >= 0:
                kept[other] = False
        else:
            kept[e] = False
    return leaving, where[kept], side[kept]


@compiled
def move_of_end(
    problem: Problem,
    chain: FloatArray,
    state: int,
    knots: np.ndarray,
    sign: FloatArray,
    values: FloatArray,
    height: float,
) -> int:
    """Where the state of the end has to go: down, up or nowhere.

    A fixed end stays put while the lift seen from below is not negative, and that from above not positive.
    """
    if chain[state, 0] < chain[state, 1]:
        return (1 if height > chain[state, 1] else 0) - (1 if height < chain[state, 0] else 0)
    if state > 0 and _dot(lift(problem, knots, sign, chain[state - 1, 2]), values) < 0:
        return -1
    if state < len(chain) - 1 and _dot(lift(problem, knots, sign, chain[state + 1, 2]), values) > 0:
        return 1
    return 0


@compiled
def _settled(
    problem: Problem, knots: np.ndarray, sign: FloatArray, end: FloatArray, sums: Sums
) -> tuple[bool, np.ndarray, FloatArray, Sums, FloatArray, np.ndarray]:
    """Change all kinks that are wrong at once, as long as that makes less and less of it.

    Between neighbouring kinks one point at most enters on either side, as in Remez' exchange, and as long as
    there is progress it replaces a kink near it.  Returns
    whether nothing is wrong any more; the best spline, its sums and knot values, and which kinks are turned.
    """
    best = (False, knots, sign, sums, np.empty(0), np.empty(0, dtype=np.bool_))
    fewest, stalled = -1, 0
    for _ in range(_MAX_LEAPS):
        values, height = best_values(problem, knots, sign, end, sums)
        number, turned, where, side, excess = wrongs(problem, knots, sign, values, height)
        stalled += 1
        if number < fewest or fewest < 0:
            fewest, stalled = number, 0
            best = (number == 0, knots, sign, sums, values, turned)
        if number == 0 or stalled > _MAX_STALLED:
            break
        leaving = turned
        if stalled == 0:  # where neighbours do touch side by side, sliding may go to and fro
            leaving, where, side = _slid(knots, sign, turned, where, side, excess)
        knots, sign = changed(knots, sign, leaving, where, side)
        sums = gathered(problem, knots)
    return best


@compiled
def leap(
    problem: Problem,
    chain: FloatArray,
    knots: np.ndarray,
    sign: FloatArray,
    state: int,
    height: float,
    sums: Sums,
) -> tuple[bool, np.ndarray, FloatArray, int, Sums, FloatArray, float, np.ndarray]:
    """Find the height of the beam's end by Newton's method, and at each height what touches.

    The optimum is a concave function of the height at which the end is held, and its slope there is the lift.
    What touches at one height proposes the next: the height at which its own lift is nil.  The proposal is
    kept between heights of opposite lift.

    Returns whether nothing is wrong; the spline and the state of its end; its sums, its knot values and the
    height; and which kinks are turned.
    """
    low, high = chain[0, 0], chain[-1, 1]
    low_state, high_state = 0, len(chain) - 1
    held, turned = np.empty(3), np.zeros(len(sign), dtype=np.bool_)
    values = np.empty(0)
    for attempt in range(_MAX_HEIGHTS):
        if chain[state, 0] < chain[state, 1]:
            values, proposal = best_values(problem, knots, sign, chain[state], sums)
            if (
                move_of_end(problem, chain, state, knots, sign, values, proposal) == 0
                and wrongs(problem, knots, sign, values, proposal)[0] == 0
            ):
                return True, knots, sign, state, sums, values, proposal, turned
            if attempt > 0:
                height = proposal
                if height >= chain[state, 1] and state < high_state:
                    state += 1
                elif height <= chain[state, 0] and state > low_state:
                    state -= 1
        fixed = chain[state, 0] == chain[state, 1]
        if fixed:
            height = chain[state, 0]
        else:
            low, high = max(low, chain[state, 0]), min(high, chain[state, 1])
            height = height if low < height < high else (low + high) / 2
        held[0] = held[1] = height
        held[2] = chain[state, 2]
        settled, knots, sign, sums, values, turned = _settled(problem, knots, sign, held, sums)
        if not settled:
            break
        if fixed:
            move = move_of_end(problem, chain, state, knots, sign, values, height)
        else:
            move = 1 if _dot(lift(problem, knots, sign, chain[state, 2]), values) > 0 else -1
        if move == 0:
            return True, knots, sign, state, sums, values, height, turned
        if move > 0:
            low, low_state = height, state + (1 if fixed else 0)
        else:
            high, high_state = height, state - (1 if fixed else 0)
        if fixed:
            state += move
    return False, knots, sign, state, sums, values, height, turned


@compiled
def leap_by_levels(
    problem: Problem, chain: FloatArray, strides: np.ndarray, state: int, height: float
) -> tuple[bool, np.ndarray, FloatArray, int, Sums, FloatArray, float, np.ndarray]:
    """Leap from nothing: first among few of the points, then among more, in the end among all.

    Every stride is a multiple of the next; the last is 1.
    """
    last = len(problem.points) - 1
    knots, sign = np.array([0, last]), np.empty(0)
    for stride in strides:
        knots //= stride
        level = problem
        if stride > 1:
            index = np.append(np.arange(0, last, stride), last)
            knots[-1] = len(index) - 1
            points, counts, targets = thinned(
                problem.points, problem.counts, problem.pulls, problem.has_targets, index
            )
            level = Problem(
                points,
                counts,
                targets,
                counts * targets,
                problem.centre[index],
                problem.half_width[index],
                problem.has_targets,
                problem.unit,
                problem.level,
                problem.low,
                problem.high,
                problem.flat,
                problem.steep,
                problem.tolerance,
            )
        found = leap(level, chain, knots, sign, state, height, gathered(level, knots))
        if stride > 1:
            knots, sign, state, height = found[1] * stride, found[2], found[3], found[6]
            knots[-1] = last
    return found
