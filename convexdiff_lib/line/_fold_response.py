r"""What the best chain of absolute values would win at a dual vector, worked out from the data alone.

A chain :math:`||x - a| - c|` has kinks at p = a - c, a and q = a + c.  With

.. math:: S(t) = \sum_i c_i z_i |x_i - t| - \sum_i c_i\, \mathrm{sign}(x_i - t)

(the second sum in score matching alone; c the multiplicities) the dual asks that
:math:`|S(p) - S(a) + S(q)| \le \beta` for all a and c, and for both signs at a point where a kink is.  S is a
line between points, so that p, a and q move freely until two of them are at points: all such triples are
tried, a row of them at a time.  Where all three are at points, p and q before and a after, or the reverse,
can not be.

This module knows no solver.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from .._validation import FloatArray

__all__ = ["fold_response"]


def fold_response(
    points: FloatArray, counts: FloatArray, z: FloatArray, counted: float, rests: FloatArray | None = None
) -> float:
    """Return the largest left side of the dual constraint.

    Parameters
    ----------
    points, counts, z : arrays of shape (m,)
        Distinct points in order, how often each occurs, the dual candidate; its sum is zero.
    counted : float
        1 in score matching, where slopes count, 0 in denoising.
    rests : array of shape (m,), optional
        What rounding has cut off from z; with it sums are exact.

    Returns
    -------
    float

    Examples
    --------
    >>> points, ones = np.array([0.0, 1.0, 3.0]), np.ones(3)
    >>> fold_response(points, ones, np.array([-2.0, 1.0, 1.0]), 1.0)
    5.0
    >>> fold_response(points, ones, np.array([-1.0, 0.5, 0.5]), 1.0)
    3.0
    """
    parts = _rounded(points, counts * z) if rests is None else _exactly(points, counts, z, rests)
    sums = _Sums(points, *parts, counted * counts)
    largest = float((np.abs(sums.at) + sums.step).max())
    for i in range(len(points)):
        largest = max(largest, _folded_at(sums, i), _half_way_from(sums, i))
    return largest


def _rounded(points: FloatArray, mass: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The sums of z up to every point, and S there without what is counted."""
    below = np.cumsum(mass)
    gained = 2 * below[:-1] * np.diff(points)
    return below, mass @ (points - points[0]) + np.concatenate([[0.0], np.cumsum(gained)])


def _exactly(
    points: FloatArray, counts: FloatArray, z: FloatArray, rests: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The same in whole numbers, rounded at the end: the sums can be far smaller than what they add up."""
    places = [Fraction(x) for x in points.tolist()]
    parts = zip(counts.tolist(), z.tolist(), rests.tolist(), strict=True)
    masses = [Fraction(c) * (Fraction(high) + Fraction(low)) for c, high, low in parts]
    below = list(accumulate(masses))
    data = [sum(((x - places[0]) * mass for x, mass in zip(places, masses, strict=True)), Fraction(0))]
    for k in range(len(places) - 1):
        data.append(data[-1] + 2 * below[k] * (places[k + 1] - places[k]))
    return np.array([float(part) for part in below]), np.array([float(part) for part in data])


class _Sums:
    """S at every point, with nothing counted there; its slope on the right; what is counted there."""

    def __init__(self, points: FloatArray, below: FloatArray, data: FloatArray, step: FloatArray) -> None:
        self.points, self.step = points, step
        passed = np.cumsum(step)
        self.at = data - (step.sum() - 2 * passed + step)
        self.slope = np.append(2 * below[:-1], 0.0)

    def between(self, places: FloatArray, sides: NDArray[np.int_]) -> tuple[FloatArray, NDArray[np.int_]]:
        """S at other places, and the points at which these are, -1 for none.

        Where a place and a point are equal in double precision, ``sides`` says on which side of the point the
        place is, 0 where it is the point itself.  The steps of S at points are then left out.
        """
        last = np.searchsorted(self.points, places, side="right") - 1
        k = np.maximum(last, 0)
        equal = (last >= 0) & (self.points[k] == places)
        right = self.at[k] + self.step[k] + self.slope[k] * (places - self.points[k])
        values = np.where(last < 0, self.at[0] - self.step[0], right)
        values = np.where(equal, self.at[k] + sides * self.step[k], values)
        return values, np.where(equal & (sides == 0), k, -1)


def _folded_at(sums: _Sums, i: int) -> float:
    """The fold and one outer kink at points, all those with this fold."""
    x, y = sums.points[i], np.delete(sums.points, i)
    if not len(y):
        return 0.0
    mirror, third = sums.between(2 * x - y, -_order(y, 2 * x - y, x))
    response = np.abs(np.delete(sums.at, i) - sums.at[i] + mirror)
    return float((response + _reach(sums, np.delete(sums.step, i), sums.step[i], third)).max())


def _half_way_from(sums: _Sums, i: int) -> float:
    """Both outer kinks at points, all those with this left one."""
    x, y = sums.points[i], sums.points[i + 1 :]
    if not len(y):
        return 0.0
    fold, third = sums.between((x + y) / 2, _order(x, y, (x + y) / 2))
    response = np.abs(sums.at[i] + sums.at[i + 1 :] - fold)
    return float((response + _reach(sums, sums.step[i + 1 :], sums.step[i], third)).max())


def _reach(sums: _Sums, first: FloatArray, second: float, third: NDArray[np.int_]) -> FloatArray:
    """How much the steps at the kinks can add: all of two, of three at points all but twice the smallest."""
    both = first + second
    also = sums.step[np.maximum(third, 0)]
    return both + np.where(third >= 0, also - 2 * np.minimum(np.minimum(first, second), also), 0.0)


def _order(first: FloatArray, second: FloatArray, middle: FloatArray) -> NDArray[np.int_]:
    """The sign of first + second - 2 middle, with no rounding."""
    total = first + second
    part = total - first
    rest = (first - (total - part)) + (second - part)
    return np.where(total == 2 * middle, np.sign(rest), np.sign(total - 2 * middle)).astype(np.int_)
