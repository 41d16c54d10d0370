"""All rounds of the active set in one compiled piece: exchange what is wrong, and look for the beam's end.

First come passes over the points, piece by piece between the knots of a linear spline, then the spline, then
the rounds.  ``knots`` are increasing indices of points, from the first to the last; w is the weight of the
knot on the right of a point, 1 - w that of the knot on its left; the last point belongs to the last piece.
``sign`` says of every inner knot whether the beam touches the top of the tube there, +1, or the bottom, -1.
A state of the end is a row (low, high, lean), as in `convexdiff_lib.line.beam.End`; a chain has all of them,
from low to high.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._compiled import compiled, compiled_sum
from .._validation import FloatArray

__all__ = [
    "Problem",
    "Sums",
    "bends",
    "best_values",
    "blocks_of",
    "changed",
    "functional",
    "gathered",
    "leap",
    "lift",
    "move_of_end",
    "second_moments",
    "shared",
    "solve_tridiagonal",
    "spans",
    "worst_outside",
    "wrongs",
]

_MAX_LEAPS = 100
_MAX_STALLED = 10
_MAX_HEIGHTS = 30
_NEAR = 8  # an eighth of the way to the next knot
_SHORT = 64  # below, it takes longer to cut out a block than to go through it number by number
_BLOCK = 256  # so many terms are added one by one, then their sums: rounding grows with the larger number


@compiled_sum
def shared(points: FloatArray, masses: FloatArray, knots: np.ndarray) -> FloatArray:
    """Share the mass of every point among the knots around it: sums of m (1 - w) and m w."""
    pieces = len(knots) - 1
    sums = np.zeros(pieces + 1)
    for k in range(pieces):
        start = points[knots[k]]
        per_span = 1 / (points[knots[k + 1]] - start)
        end = knots[k + 1] + (1 if k == pieces - 1 else 0)
        for block in range(knots[k], end, _BLOCK):
            x, m = points[block : min(block + _BLOCK, end)], masses[block : min(block + _BLOCK, end)]
            on_left = on_right = 0.0
            for i in range(len(x)):
                right = m[i] * ((x[i] - start) * per_span)
                on_left += m[i] - right
                on_right += right
            sums[k] += on_left
            sums[k + 1] += on_right
    return sums


@compiled_sum
def second_moments(
    points: FloatArray, masses: FloatArray, knots: np.ndarray
) -> tuple[FloatArray, FloatArray]:
    """Return the matrix of the spline's sum of squares in its knot values: diagonal, off-diagonal."""
    pieces = len(knots) - 1
    diagonal, off_diagonal = np.zeros(pieces + 1), np.zeros(pieces)
    for k in range(pieces):
        start = points[knots[k]]
        per_span = 1 / (points[knots[k + 1]] - start)
        end = knots[k + 1] + (1 if k == pieces - 1 else 0)
        for block in range(knots[k], end, _BLOCK):
            x, m = points[block : min(block + _BLOCK, end)], masses[block : min(block + _BLOCK, end)]
            left = mixed = right = 0.0
            for i in range(len(x)):
                weight = (x[i] - start) * per_span
                rest = 1 - weight
                on_right = m[i] * weight
                left += m[i] * rest * rest
                mixed += on_right * rest
                right += on_right * weight
            diagonal[k] += left
            off_diagonal[k] += mixed
            diagonal[k + 1] += right
    return diagonal, off_diagonal


@compiled
def functional(spans: FloatArray, on_first_slope: float, on_kinks: FloatArray) -> FloatArray:
    """Return a linear functional of first slope and kinks as a vector over the knot values."""
    pieces = len(spans)
    on_values = np.zeros(pieces + 1)
    for k in range(pieces):
        on_slope = (on_kinks[k - 1] if k else on_first_slope) - (on_kinks[k] if k < pieces - 1 else 0.0)
        on_values[k] -= on_slope / spans[k]
        on_values[k + 1] += on_slope / spans[k]
    return on_values


@compiled
def blocks_of(
    points: FloatArray,
    masses: FloatArray,
    targets: FloatArray,
    middle: FloatArray,
    half_width: FloatArray,
) -> FloatArray:
    """Sum up blocks of points, and bound what the tube does in between; see `worst_outside`.

    For the points from one edge to the next, the left one excluded, with u their distance from it: the sums
    of m, m u, m u^2, m l and m l u and the largest target.  With the left edge, but not the right: how far
    the middle is from its chord, and how much narrower the tube is than at the first point.
    """
    number = (len(points) - 1) // _BLOCK
    blocks = np.zeros((number, 8))
    for b in range(number):
        left, right = b * _BLOCK, (b + 1) * _BLOCK
        incline = (middle[right] - middle[left]) / (points[right] - points[left])
        for i in range(left, right):
            bulge = abs(middle[i] - middle[left] - incline * (points[i] - points[left]))
            blocks[b, 6] = max(blocks[b, 6], bulge)
            blocks[b, 7] = max(blocks[b, 7], half_width[0] - half_width[i])
            j, u = i + 1, points[i + 1] - points[left]
            blocks[b, 0] += masses[j]
            blocks[b, 1] += masses[j] * u
            blocks[b, 2] += masses[j] * u * u
            blocks[b, 3] += masses[j] * targets[j]
            blocks[b, 4] += masses[j] * targets[j] * u
            blocks[b, 5] = max(blocks[b, 5], abs(targets[j]))
    return blocks


@compiled
def worst_outside(
    points: FloatArray,
    masses: FloatArray,
    targets: FloatArray,
    middle: FloatArray,
    half_width: FloatArray,
    unit: float,
    knots: np.ndarray,
    values: FloatArray,
    rise: tuple[float, float],
    tolerance: float,
    blocks: FloatArray,
) -> tuple[int, np.ndarray, FloatArray, FloatArray]:
    """Compare the beam of a spline with its tube, whose walls are moved by ``rise`` (bottom, top).

    Returns how many points between the knots are outside by more than the tolerance; and for every piece and
    either side the worst of them, in order, with its side (+1 top, -1 bottom) and its distance from the tube.

    Where ``blocks`` has the sums of a block between two knots, they lead from one edge to the other.  In
    between the beam is near its chord: slopes change by m z, and a change by d on a length L moves it by
    d L / 4 at most.  If that cannot bring it out of the tube, the points of the block are not looked at.
    """
    pieces = len(knots) - 1
    number, found = 0, 2 * pieces
    where = np.empty(found, dtype=np.int64)
    side = np.empty(found)
    excess = np.empty(found)
    height = moment = 0.0  # from the right end, where both are nil
    per_unit = 1 / unit
    axis, reach = (rise[0] + rise[1]) / 2, (rise[1] - rise[0]) / 2
    off = np.empty(_BLOCK)
    for k in range(pieces - 1, -1, -1):
        incline = (values[k + 1] - values[k]) / (points[knots[k + 1]] - points[knots[k]])
        place, value = points[knots[k + 1]], values[k + 1]
        highest = lowest = tolerance
        at_top, at_bottom = -1, -1
        begin = knots[k + 1]
        while begin > knots[k]:
            end, b = begin, (begin - 1) // _BLOCK
            begin = max(b * _BLOCK, knots[k])
            if end - begin == _BLOCK and b < len(blocks):
                mass, mu, muu, ml, mlu, largest, bulge, narrower = blocks[b]
                length = points[end] - points[begin]
                score = value - (place - points[begin]) * incline
                risen = height + length * moment + (mlu - score * mu - incline * muu) * per_unit
                steepest = largest + max(abs(score), abs(score + incline * length))
                sag = mass * steepest * per_unit * length / 4
                furthest = max(abs(height - middle[end] - axis), abs(risen - middle[begin] - axis))
                if furthest + sag + bulge + narrower <= half_width[0] + reach + tolerance:
                    moment += (ml - score * mass - incline * mu) * per_unit
                    height = risen
                    continue
            if end - begin < _SHORT:
                for i in range(end - 1, begin - 1, -1):
                    score = value - (place - points[i + 1]) * incline
                    moment += masses[i + 1] * (targets[i + 1] - score) * per_unit
                    height += (points[i + 1] - points[i]) * moment
                    off[i - begin] = height - middle[i] - axis
            else:
                x, m, t = points[begin : end + 1], masses[begin + 1 : end + 1], targets[begin + 1 : end + 1]
                c, h, beam = middle[begin:end], half_width[begin:end], off[: end - begin]
                for i in range(len(beam)):  # loops that a processor does for many points at once, but one
                    beam[i] = m[i] * (t[i] - (value - (place - x[i + 1]) * incline)) * per_unit
                for step in range(len(beam)):
                    i = len(beam) - 1 - step
                    moment += beam[i]
                    height += (x[i + 1] - x[i]) * moment
                    beam[i] = height
                some = 0
                for i in range(len(beam)):
                    beam[i] -= c[i] + axis
                    some += abs(beam[i]) - h[i] > reach + tolerance
                if some == 0:
                    continue
            for i in range(end - 1, max(begin - 1, knots[k]), -1):
                outside = abs(off[i - begin]) - (half_width[i] + reach)
                if outside > tolerance:
                    number += 1
                    if off[i - begin] > 0:
                        if outside > highest:
                            highest, at_top = outside, i
                    elif outside > lowest:
                        lowest, at_bottom = outside, i
        first, second = max(at_top, at_bottom), min(at_top, at_bottom)
        for i in (first, second):
            if i >= 0:
                found -= 1
                where[found] = i
                side[found] = 1.0 if i == at_top else -1.0
                excess[found] = highest if i == at_top else lowest
    return number, where[found:], side[found:], excess[found:]


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
    blocks: FloatArray


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
def spans(points: FloatArray, unit: float, knots: np.ndarray) -> FloatArray:
    """Lengths of the pieces."""
    lengths = np.empty(len(knots) - 1)
    for k in range(len(lengths)):
        lengths[k] = (points[knots[k + 1]] - points[knots[k]]) / unit
    return lengths


@compiled
def bends(lengths: FloatArray, values: FloatArray) -> tuple[float, FloatArray]:
    """Return the slope on the first piece, and by how much it changes at every inner knot."""
    changes = np.empty(len(lengths) - 1)
    first = before = (values[1] - values[0]) / lengths[0]
    for k in range(len(changes)):
        after = (values[k + 2] - values[k + 1]) / lengths[k + 1]
        changes[k] = after - before
        before = after
    return first, changes


@compiled
def lift(lengths: FloatArray, sign: FloatArray, lean: float, flat: float, steep: float) -> FloatArray:
    """The slope that is left for the neurons at the two ends, as a functional of the knot values."""
    on_kinks = np.empty(len(sign))
    for k in range(len(sign)):
        on_kinks[k] = steep if sign[k] * lean < 0 else flat
    return functional(lengths, 1.0, on_kinks)


@compiled
def _dot(a: FloatArray, b: FloatArray) -> float:
    total = 0.0
    for k in range(len(a)):
        total += a[k] * b[k]
    return total


@compiled
def solve_tridiagonal(
    diagonal: FloatArray, off_diagonal: FloatArray, first: FloatArray, second: FloatArray
) -> None:
    """Overwrite two right-hand sides with the solutions; with NaN if the matrix is not positive definite."""
    last = len(diagonal) - 1
    pivots = np.empty(last + 1)
    for k in range(last + 1):
        pivots[k] = diagonal[k]
        if k > 0:
            factor = off_diagonal[k - 1] / pivots[k - 1]
            pivots[k] -= factor * off_diagonal[k - 1]
            first[k] -= factor * first[k - 1]
            second[k] -= factor * second[k - 1]
        if not pivots[k] > 0:
            pivots[last] = np.nan  # all that follows depends on it
            break
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
    lengths = spans(problem.points, problem.unit, knots)
    values, response = functional(lengths, problem.level, kink_cost), np.empty(len(knots))
    leaning = lift(lengths, sign, end[2], problem.flat, problem.steep)
    for k in range(len(knots)):
        values[k], response[k] = sums.pulled[k] - values[k], -leaning[k]
    solve_tridiagonal(sums.diagonal, sums.off_diagonal, values, response)
    height = end[0]
    if end[0] < end[1]:
        height = -_dot(leaning, values) / _dot(leaning, response)
    for k in range(len(knots)):
        values[k] += height * response[k]
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
        problem.blocks,
    )
    changes = bends(spans(problem.points, problem.unit, knots), values)[1]
    turned = np.empty(len(sign), dtype=np.bool_)
    for k in range(len(sign)):
        turned[k] = sign[k] * changes[k] < 0
        number += turned[k]
    return number, turned, where, side, excess


@compiled
def changed(
    knots: np.ndarray,
    sign: FloatArray,
    leaving: np.ndarray,
    entering: np.ndarray,
    side: FloatArray,
    kept: np.ndarray,
) -> tuple[np.ndarray, FloatArray]:
    """Drop the inner knots that are marked as leaving, and let in the points that are marked as kept."""
    new_knots = np.empty(len(knots) + len(entering), dtype=np.int64)
    new_sign = np.empty(len(sign) + len(entering))
    size, e = 1, 0
    new_knots[0] = knots[0]
    for k in range(len(sign) + 1):
        while e < len(entering) and entering[e] < knots[k + 1]:
            if kept[e]:
                new_knots[size], new_sign[size - 1] = entering[e], side[e]
                size += 1
            e += 1
        if k < len(sign) and not leaving[k]:
            new_knots[size], new_sign[size - 1] = knots[k + 1], sign[k]
            size += 1
    new_knots[size] = knots[-1]
    return new_knots[: size + 1], new_sign[: size - 1]


@compiled
def _slid(
    knots: np.ndarray,
    sign: FloatArray,
    turned: np.ndarray,
    where: np.ndarray,
    side: FloatArray,
    excess: FloatArray,
) -> tuple[np.ndarray, np.ndarray]:
    """Let what touches slide: a point that enters near it, on its side, replaces it; the worst, if two do.

    Two points that touch side by side would bend the spline wildly.  Returns which inner knots leave, and
    which of the points enter.
    """
    leaving, instead = np.empty(len(sign), dtype=np.bool_), np.empty(len(sign), dtype=np.int64)
    for j in range(len(sign)):
        leaving[j], instead[j] = turned[j], -1
    kept = np.ones(len(where), dtype=np.bool_)
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
            leaving[j], instead[j] = True, e
            if other >= 0:
                kept[other] = False
        else:
            kept[e] = False
    return leaving, kept


@compiled
def move_of_end(
    chain: FloatArray,
    state: int,
    tilts: tuple[float, float],
    lengths: FloatArray,
    sign: FloatArray,
    values: FloatArray,
    height: float,
) -> int:
    """Where the state of the end has to go: down, up or nowhere.

    A fixed end stays put while the lift seen from below is not negative, and that from above not positive.
    """
    if chain[state, 0] < chain[state, 1]:
        return (1 if height > chain[state, 1] else 0) - (1 if height < chain[state, 0] else 0)
    if state > 0 and _dot(lift(lengths, sign, chain[state - 1, 2], *tilts), values) < 0:
        return -1
    if state < len(chain) - 1 and _dot(lift(lengths, sign, chain[state + 1, 2], *tilts), values) > 0:
        return 1
    return 0


@compiled
def _settled(
    problem: Problem, knots: np.ndarray, sign: FloatArray, end: FloatArray, sums: Sums
) -> tuple[bool, np.ndarray, FloatArray, Sums, FloatArray, np.ndarray]:
    """Change all kinks that are wrong at once, as long as that makes less and less of it.

    Between neighbouring kinks one point at most enters on either side, as in Remez' exchange, and as long as
    there is progress it replaces a kink near it.  Returns whether nothing is wrong any more; the best spline,
    its sums and knot values, and which kinks are turned.
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
        leaving, kept = turned, np.ones(len(where), dtype=np.bool_)
        if stalled == 0:  # where neighbours do touch side by side, sliding may go to and fro
            leaving, kept = _slid(knots, sign, turned, where, side, excess)
        knots, sign = changed(knots, sign, leaving, where, side, kept)
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
    points, unit, tilts = problem.points, problem.unit, (problem.flat, problem.steep)
    low, high = chain[0, 0], chain[-1, 1]
    low_state, high_state = 0, len(chain) - 1
    held, turned = np.empty(3), np.zeros(len(sign), dtype=np.bool_)
    values = np.empty(0)
    for attempt in range(_MAX_HEIGHTS):
        if chain[state, 0] < chain[state, 1]:
            values, proposal = best_values(problem, knots, sign, chain[state], sums)
            if (
                move_of_end(chain, state, tilts, spans(points, unit, knots), sign, values, proposal) == 0
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
        lengths = spans(points, unit, knots)
        if fixed:
            move = move_of_end(chain, state, tilts, lengths, sign, values, height)
        else:
            move = 1 if _dot(lift(lengths, sign, chain[state, 2], *tilts), values) > 0 else -1
        if move == 0:
            return True, knots, sign, state, sums, values, height, turned
        if move > 0:
            low, low_state = height, state + (1 if fixed else 0)
        else:
            high, high_state = height, state - (1 if fixed else 0)
        if fixed:
            state += move
    return False, knots, sign, state, sums, values, height, turned
