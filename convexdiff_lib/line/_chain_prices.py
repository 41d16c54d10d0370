r"""The price of every chain of absolute values: one sweep over all triples of kinks that can be best.

A chain of width one is, up to its weight and a constant, :math:`||x - a| - c|`: a kink at the fold a and two
at :math:`p = a - c` and :math:`q = a + c`.  Per unit of its weight it changes the loss by

.. math:: T(p) - T(a) + T(q), \qquad
          T(t) = \sum_i c_i r_i |x_i - t| + \sum_i c_i\, \mathrm{sign}(x_i - t),

r the fitted values less the targets, c the multiplicities, the second sum in score matching alone.  T is
linear between points, so that price is extreme where two of the three kinks are at points:

* the fold and one outer kink, the other being its mirror image (reflections);
* both outer kinks, the fold being half-way (midpoints);
* c = 0, one kink at a point, the neuron of two layers.

At a point the sign is that of the side on which the kink stands.  Sides are independent of each other, except
where all three kinks are at points: p and q before theirs and a after its own contradict p + q = 2a, and so
does the reverse.  Of all readings the largest and the smallest are priced.  Whether three kinks are at points
is decided without rounding.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._compiled import compiled
from .._validation import FloatArray
from .problem import LineProblem

__all__ = ["Prices", "chain_prices", "order_of", "steps_of"]


@compiled
def order_of(first: float, second: float, middle: float) -> int:
    """The sign of first + second - 2 middle, without rounding."""
    total = first + second
    if total != 2.0 * middle:
        return 1 if total > 2.0 * middle else -1
    part = total - first
    rest = (first - (total - part)) + (second - part)
    return 1 if rest > 0 else (-1 if rest < 0 else 0)


@compiled
def _sum(high: float, low: float, more: float, rest: float) -> tuple[float, float]:
    """Add two numbers of twice the digits (Knuth)."""
    total = high + more
    part = total - high
    error = (high - (total - part)) + (more - part) + low + rest
    tidy = total + error
    return tidy, error - (tidy - total)


@compiled
def _product(high: float, low: float, more: float, rest: float) -> tuple[float, float]:
    """Multiply two numbers of twice the digits (Dekker)."""
    total = high * more
    scaled, other = 134217729.0 * high, 134217729.0 * more
    a, b = scaled - (scaled - high), other - (other - more)
    error = ((a * b - total) + a * (more - b) + (high - a) * b) + (high - a) * (more - b)
    error += high * rest + low * more
    tidy = total + error
    return tidy, error - (tidy - total)


@compiled
def _tables(
    points: FloatArray, counts: FloatArray, steps: FloatArray, residuals: FloatArray, rests: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """T at every point, where the point itself is on neither side, and the slope of T beyond it.

    Both are at most of the size of beta where residuals can be many times larger; so they are added up to
    twice the digits.
    """
    m = len(points)
    at, slope = np.empty(m), np.empty(m)
    high = low = total = beyond = 0.0
    for i in range(m):
        mass, rest = _product(residuals[i], rests[i], counts[i], 0.0)
        length, more = _sum(points[i], 0.0, -points[0], 0.0)
        moment, other = _product(mass, rest, length, more)
        high, low = _sum(high, low, moment, other)
        beyond += steps[i]
    rest_of_total = 0.0
    for i in range(m):
        if i > 0:
            length, more = _sum(points[i], 0.0, -points[i - 1], 0.0)
            moment, other = _product(2.0 * total, 2.0 * rest_of_total, length, more)
            high, low = _sum(high, low, moment, other)
            beyond -= steps[i - 1]
        mass, rest = _product(residuals[i], rests[i], counts[i], 0.0)
        total, rest_of_total = _sum(total, rest_of_total, mass, rest)
        beyond -= steps[i]
        at[i] = high + (low + beyond)
        slope[i] = 2.0 * total
    slope[m - 1] = 0.0
    return at, slope


@compiled
def _singles(at: FloatArray, steps: FloatArray, best: FloatArray, where: NDArray[np.int64]) -> float:
    """Price the chains with one kink; keep each."""
    largest = 0.0
    for i in range(len(at)):
        price = abs(at[i]) + steps[i]
        best[i], where[i] = price, i
        largest = max(largest, price)
    return largest


@compiled
def _twice_less(middle: float, first: float, second: float) -> float:
    """2 middle - first - second, with no digits lost."""
    one, rest = _sum(middle, 0.0, -first, 0.0)
    other, more = _sum(middle, 0.0, -second, 0.0)
    high, low = _sum(one, rest, other, more)
    return high + low


@compiled
def _value(at: FloatArray, slope: FloatArray, steps: FloatArray, below: int, beyond: float) -> float:
    """T between points: ``beyond`` the last one at or below, -1 if there is none."""
    if below < 0:
        return at[0] + steps[0]
    return at[below] - steps[below] + slope[below] * beyond


@compiled
def _lower(first: float, second: float, third: float) -> float:
    """Three steps of which two can be taken up and one goes down, whichever is the smallest."""
    return first + second + third - 2.0 * min(first, min(second, third))


@compiled
def _reflections(
    points: FloatArray,
    at: FloatArray,
    slope: FloatArray,
    steps: FloatArray,
    best: FloatArray,
    where: NDArray[np.int64],
) -> float:
    """Price the chains whose fold and one outer kink are at points; keep the best for each fold."""
    m = len(points)
    largest = 0.0
    for i in range(m):
        best[i], where[i] = -1.0, -1
        k = i
        for back in range(i):
            j = i - 1 - back
            while k + 1 < m and order_of(points[j], points[k + 1], points[i]) <= 0:
                k += 1
            if k > i and order_of(points[j], points[k], points[i]) == 0:
                price = abs(at[j] - at[i] + at[k]) + _lower(steps[j], steps[i], steps[k])
            else:
                beyond = _twice_less(points[i], points[j], points[k])
                mirror = _value(at, slope, steps, k, beyond)
                price = abs(at[j] - at[i] + mirror) + steps[i] + steps[j]
            if price > best[i]:
                best[i], where[i] = price, j
        k = i
        for j in range(i + 1, m):
            while k >= 0 and order_of(points[j], points[k], points[i]) > 0:
                k -= 1
            if k >= 0 and order_of(points[j], points[k], points[i]) == 0:
                continue  # the mirror image of a chain that was priced
            beyond = _twice_less(points[i], points[j], points[max(k, 0)])
            mirror = _value(at, slope, steps, k, beyond)
            price = abs(at[j] - at[i] + mirror) + steps[i] + steps[j]
            if price > best[i]:
                best[i], where[i] = price, j
        largest = max(largest, best[i])
    return largest


@compiled
def _midpoints(
    points: FloatArray,
    at: FloatArray,
    slope: FloatArray,
    steps: FloatArray,
    best: FloatArray,
    where: NDArray[np.int64],
) -> float:
    """Price the chains whose two outer kinks are at points; keep the best for each left one."""
    m = len(points)
    largest = 0.0
    for i in range(m):
        best[i], where[i] = -1.0, -1
        k = i
        for j in range(i + 1, m):
            while order_of(points[i], points[j], points[k + 1]) >= 0:
                k += 1
            if order_of(points[i], points[j], points[k]) == 0:
                continue  # a reflection
            beyond = -_twice_less(points[k], points[i], points[j]) / 2
            price = abs(at[i] + at[j] - _value(at, slope, steps, k, beyond)) + steps[i] + steps[j]
            if price > best[i]:
                best[i], where[i] = price, j
        largest = max(largest, best[i])
    return largest


class Prices(NamedTuple):
    """The dearest chains: of each kind one for every point, the other point, and the highest price of all."""

    best: FloatArray  # (3, m): one kink, fold and outer kink, both outer kinks at points
    where: NDArray[np.int64]
    largest: float


def chain_prices(problem: LineProblem, residuals: FloatArray, rests: FloatArray | None = None) -> Prices:
    r"""Price every chain at residuals that sum to zero: the largest :math:`|T(p) - T(a) + T(q)|` and where.

    Residuals may have twice the digits of a double: ``rests`` is what rounding has cut off from them.

    Examples
    --------
    >>> from convexdiff_lib.line.sample import Sample
    >>> problem = LineProblem(Sample.of([0.0, 1.0, 3.0]), 3.0, "abs", skip=False)
    >>> chain_prices(problem, np.array([1.0, -0.5, -0.5])).largest
    3.0
    """
    x, steps = problem.points, steps_of(problem)
    at, slope = _tables(x, problem.counts, steps, residuals, np.zeros(len(x)) if rests is None else rests)
    best, where = np.empty((3, len(x))), np.empty((3, len(x)), dtype=np.int64)
    largest = _singles(at, steps, best[0], where[0])
    for kind, price in ((1, _reflections), (2, _midpoints)):
        largest = max(largest, price(x, at, slope, steps, best[kind], where[kind]))
    return Prices(best, where, largest)


def steps_of(problem: LineProblem) -> FloatArray:
    """Half of what the sum of slopes gains when a kink passes a point: nothing in denoising."""
    return np.array(problem.counts) if problem.targets is None else np.zeros(len(problem.points))
