"""Single passes over sorted points: what is distinct, ranks, spread, straight lines, splines.

Passes that the rounds of the active set call stand with them, in `convexdiff_lib.line._exchange`.
"""

from __future__ import annotations

import numpy as np

from .._compiled import compiled
from .._validation import FloatArray

__all__ = [
    "centred",
    "highest",
    "interpolated",
    "less_line",
    "near",
    "rank_line",
    "spread",
    "tallied",
]


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
