"""Single passes over the points of a tube, piece by piece between the knots of a linear spline.

``knots`` are increasing indices into the points, from the first to the last; w is the weight of the knot on
the right of a point, 1 - w that of the knot on its left.  The last point belongs to the last piece.
"""

from __future__ import annotations

import numpy as np

from ._compiled import compiled, compiled_sum
from ._validation import FloatArray

__all__ = [
    "centred",
    "functional",
    "highest",
    "interpolated",
    "less_line",
    "near",
    "rank_line",
    "second_moments",
    "shared",
    "spread",
    "tallied",
    "thinned",
    "walls",
    "worst_outside",
]

_BLOCK = 256  # so many terms are added one by one, then their sums: rounding grows with the larger number


@compiled
def tallied(ordered: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Return the distinct numbers of a sorted sample, how often each occurs, and their smallest distance."""
    points, counts = np.empty(len(ordered)), np.ones(len(ordered))
    points[0] = ordered[0]
    number, closest = 1, np.inf
    for i in range(1, len(ordered)):
        gap = ordered[i] - ordered[i - 1]
        if gap > 0:
            points[number] = ordered[i]
            number += 1
            closest = min(closest, gap)
        else:
            counts[number - 1] += 1
    return points[:number], counts[:number], closest


@compiled
def spread(points: FloatArray, ranks: FloatArray, total: float) -> float:
    """The distance between the quartiles, each read off the line through all points and their ranks."""
    quartiles = np.empty(2)
    for q in range(2):
        rank = (0.25 + 0.5 * q) * total  # as many stand above
        low, high = 0, len(points) - 1  # ranks fall
        while high - low > 1:
            middle = (low + high) // 2
            if ranks[middle] > rank:
                low = middle
            else:
                high = middle
        share = min(max((ranks[low] - rank) / (ranks[low] - ranks[high]), 0.0), 1.0)
        quartiles[q] = points[low] + share * (points[high] - points[low])
    return quartiles[0] - quartiles[1]


@compiled
def rank_line(counts: FloatArray) -> FloatArray:
    """Return for every point how many stand above it, plus half of those at it."""
    middle = np.empty(len(counts))
    above = 0.0
    for i in range(len(counts) - 1, -1, -1):
        middle[i] = above + counts[i] / 2
        above += counts[i]
    return middle


@compiled
def walls(counts: FloatArray, radius: float) -> FloatArray:
    """Return half the width of a tube that half of the counts make narrower."""
    half_width = np.empty(len(counts))
    for i in range(len(counts)):
        half_width[i] = radius - counts[i] / 2
    return half_width


@compiled
def centred(counts: FloatArray, targets: FloatArray) -> tuple[FloatArray, float]:
    """Take the mean off the targets; return the rest, and its root mean square."""
    total, mean, square = counts.sum(), 0.0, 0.0
    for i in range(len(targets)):
        mean += counts[i] * targets[i]
    mean /= total
    rest = targets - mean
    for i in range(len(targets)):
        square += counts[i] * rest[i] ** 2
    return rest, np.sqrt(square / total)


@compiled
def less_line(
    points: FloatArray, counts: FloatArray, targets: FloatArray, unit: float, pull: float
) -> tuple[FloatArray, float]:
    """Take the best line through zero at the mean point off the targets; return the rest, and its slope.

    ``pull`` is what its slope costs.
    """
    mean = across = along = 0.0
    for i in range(len(points)):
        mean += counts[i] * ((points[i] - points[0]) / unit)
    mean /= counts.sum()
    for i in range(len(points)):
        lever = (points[i] - points[0]) / unit - mean
        across += counts[i] * lever * targets[i]
        along += counts[i] * lever * lever
    slope = (across - pull) / along
    rest = np.empty(len(points))
    for i in range(len(points)):
        rest[i] = targets[i] - slope * ((points[i] - points[0]) / unit - mean)
    return rest, slope


@compiled
def highest(points: FloatArray, counts: FloatArray, z: FloatArray, unit: float) -> float:
    """The largest height of a beam of curvature z, in size; at the right end it is nil, and level."""
    moment = height = largest = 0.0
    for i in range(len(points) - 1, 0, -1):
        moment += counts[i] * z[i]
        height += moment * ((points[i] - points[i - 1]) / unit)
        largest = max(largest, abs(height))
    return largest


@compiled
def near(places: np.ndarray, number: int, around: int, elsewhere: int) -> np.ndarray:
    """Return which of a number of points are near some places or near the ends, and some elsewhere."""
    kept = np.zeros(number, dtype=np.bool_)
    kept[::elsewhere] = True
    kept[:around] = True
    kept[max(number - around, 0) :] = True
    for place in places:
        kept[max(place - around, 0) : place + around + 1] = True
    return np.flatnonzero(kept)


@compiled
def thinned(
    points: FloatArray,
    masses: FloatArray,
    pulls: FloatArray,
    has_targets: bool,
    index: np.ndarray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Keep some points only; return them, and the masses and the targets as these points share them."""
    kept = shared(points, masses, index)
    targets = shared(points, pulls, index) / kept if has_targets else np.zeros(len(index))
    return points[index], kept, targets


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
def interpolated(points: FloatArray, knots: np.ndarray, values: FloatArray) -> FloatArray:
    """Return the spline with these knot values at all points; at and after the last knot it is constant."""
    out = np.empty(len(points))
    for k in range(len(knots) - 1):
        start = points[knots[k]]
        per_span = 1 / (points[knots[k + 1]] - start)
        x, s = points[knots[k] : knots[k + 1]], out[knots[k] : knots[k + 1]]
        for i in range(len(x)):
            weight = (x[i] - start) * per_span
            s[i] = values[k] * (1 - weight) + values[k + 1] * weight
    out[knots[-1] :] = values[-1]
    return out


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
) -> tuple[int, np.ndarray, FloatArray, FloatArray]:
    """Compare the beam of a spline with its tube, whose walls are moved by ``rise`` (bottom, top).

    Returns how many points between the knots are outside by more than the tolerance; and for every piece and
    either side the worst of them, in order, with its side (+1 top, -1 bottom) and its distance from the tube.
    """
    pieces = len(knots) - 1
    number, found = 0, 2 * pieces
    where = np.empty(found, dtype=np.int64)
    side = np.empty(found)
    excess = np.empty(found)
    height = moment = 0.0  # from the right end, where both are nil
    per_unit = 1 / unit
    axis, reach = (rise[0] + rise[1]) / 2, (rise[1] - rise[0]) / 2
    for k in range(pieces - 1, -1, -1):
        incline = (values[k + 1] - values[k]) / (points[knots[k + 1]] - points[knots[k]])
        highest = lowest = tolerance
        at_top, at_bottom = -1, -1
        for i in range(knots[k + 1] - 1, knots[k] - 1, -1):
            score = values[k + 1] - (points[knots[k + 1]] - points[i + 1]) * incline
            moment += masses[i + 1] * (targets[i + 1] - score) * per_unit
            height += (points[i + 1] - points[i]) * moment
            off = height - middle[i] - axis
            outside = abs(off) - (half_width[i] + reach)
            if outside > tolerance and i > knots[k]:
                number += 1
                if off > 0:
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
