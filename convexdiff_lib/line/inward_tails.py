"""Find the prices at which no outer slope of a score is above zero: see `convexdiff_lib.line.tails`.

The optimum at given prices is a concave function of them; its gradient, the two outer slopes, is piecewise
linear.  Mostly no price is needed, or one: then it is the root of a decreasing function.  Where both are, one
search runs inside the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from .._validation import FloatArray
from ._double_double import DoubleDouble, rounded
from .beam import Tube, tube_of
from .candidates import claim_from_spline
from .coarse_to_fine import Solution, solve_by_levels
from .problem import LineProblem, SplineClaim
from .sharpening import sharpened_at_these_prices
from .tails import Tails, dearest, tails_of

__all__ = ["Priced", "priced_solution"]

Price: TypeAlias = DoubleDouble | float

_EPS = float(np.finfo(np.float64).eps)
_ROUNDING = 64 * _EPS
_STEPS = 2  # of the secant method: each gains nine digits
_NEAR = 1e-9  # of the highest price: so far the slope is a linear function of it


@dataclass(frozen=True, eq=False)
class Priced:
    """The optimum at given prices of the outer slopes.

    Parameters
    ----------
    problem : LineProblem
        With these prices.
    tube : Tube
    solution : Solution
    claim : SplineClaim
        What the solution claims, sharpened if it was to be exact.
    tails : Tails
    noise : array of shape (2,)
        How well the slopes are known, right and left.

    Examples
    --------
    >>> from convexdiff_lib.line.problem import line_problem
    >>> found = priced_solution(line_problem([0.0, 1.0, 3.0], 1.2, inward_tails=True))
    >>> found.rises(0), found.rises(1)
    (False, False)
    """

    problem: LineProblem
    tube: Tube
    solution: Solution
    claim: SplineClaim
    tails: Tails
    noise: FloatArray

    def slope(self, side: int) -> float:
        """The right outer slope (0) or the left one (1); zero where it is nothing but rounding."""
        slope = (self.tails.right, self.tails.left)[side]
        return 0.0 if abs(slope) <= self.noise[side] else slope

    def rises(self, side: int) -> bool:
        """Whether this slope is above zero."""
        return self.slope(side) > 0


@dataclass(eq=False)
class _Market:
    """Solves a problem at any prices, each time starting from the optimum before."""

    problem: LineProblem
    exactly: bool
    like: Tube | None = None
    before: Solution | None = None

    def at(self, right: Price, left: Price) -> Priced:
        """Solve at these prices."""
        problem = self.problem.priced(right, left)
        tube = tube_of(problem, self.like)
        self.like = self.like or tube
        self.before = found = solve_by_levels(tube, self.before)
        claim = claim_from_spline(problem, tube, found.spline, found.values, found.height)
        if self.exactly:
            claim = sharpened_at_these_prices(problem, claim)
        values, points = DoubleDouble(claim.values, claim.rests), problem.points[claim.knots]
        spans = DoubleDouble(points[1:]) - points[:-1]
        tails = tails_of(problem, claim, (values[1:] - values[:-1]) / spans)
        noise = _ROUNDING * (np.abs(claim.values[1:]) + np.abs(claim.values[:-1])) / spans.high
        # A neuron at an end that acts on the data carries what is left over of all pieces.
        shared = problem.activation == "abs" and not any(problem.tail_prices)
        left_over = [tails.at_last, tails.at_first] if problem.activation == "relu" else [shared, shared]
        blur = noise[[-1, 0]] + np.where(left_over, noise.sum(), 0.0)
        return Priced(problem, tube, found, claim, tails, blur * (_EPS if self.exactly else 1.0))


def priced_solution(problem: LineProblem, *, exactly: bool = False) -> Priced:
    """Return the optimum among scores whose outer slopes are not above zero, with the prices that give it.

    Parameters
    ----------
    problem : LineProblem
    exactly : bool
        Whether to know the slopes to twice the digits of a double, for data on many scales; takes longer.

    Returns
    -------
    Priced

    Examples
    --------
    Far points, beyond which the score rises if it may.

    >>> from convexdiff_lib.line.problem import line_problem
    >>> x = [0.0, 0.1, 0.3, 0.4, 0.8, 10.0, 10.5]
    >>> found = priced_solution(line_problem(x, 2.0, inward_tails=True))
    >>> found.problem.tail_prices.right > 0, abs(found.tails.right) < 1e-12
    (True, True)
    """
    market = _Market(problem, exactly)
    free = market.at(0.0, 0.0)
    if not (free.rises(0) or free.rises(1)):
        return free
    for side in (0, 1):
        if free.rises(side):
            one = _one_price(market, side, 0.0)
            if not one.rises(1 - side):
                return one
    return _root(market, 0, lambda right: _one_price(market, 1, right))


def _one_price(market: _Market, side: int, other: Price) -> Priced:
    """Find the price of one slope, given that of the other."""

    def solve(price: Price) -> Priced:
        return market.at(price, other) if side == 0 else market.at(other, price)

    return _root(market, side, solve, float(rounded(other)))


def _root(market: _Market, side: int, solve: Callable[[Price], Priced], other: float = 0.0) -> Priced:
    """Find the least price at which a slope is not above zero; at the highest, a cap takes the rest away."""
    counts = market.problem.counts
    top = dearest(market.problem)[side]
    # Where neurons at both ends of the data come to cost the same, the slope falls at once.
    tied = (other, other + float(counts[0] - counts[-1]) * (1 if side == 0 else -1))
    low = 0.0
    for high in sorted({0.0, top, *(price for price in tied if 0 < price < top)}):
        found = solve(high)
        if not found.rises(side):
            if high == 0 or not found.slope(side):
                return found
            price = _between(solve, side, low, high, top)
            return _polished(solve, side, price, top) if market.exactly else solve(price)
        low = high
    return found


def _between(solve: Callable[[Price], Priced], side: int, low: float, high: float, top: float) -> float:
    """Find a root between two prices at which the slope has opposite signs."""
    from scipy.optimize import brentq  # takes longer to import than most searches

    def slope(price: float) -> float:
        return solve(price).slope(side)

    return float(brentq(slope, low, high, xtol=_EPS * top, rtol=4 * _EPS))


def _polished(solve: Callable[[Price], Priced], side: int, near: float, top: float) -> Priced:
    """Give a price the digits that a double has no room for: with steep slopes the score needs them."""
    price, found = DoubleDouble(near), solve(near)
    apart = _NEAR * top
    falls = (found.slope(side) - solve(near + apart).slope(side)) / apart
    for _ in range(_STEPS if falls > 0 else 0):
        if not (slope := found.slope(side)):
            break
        price = price + slope / falls
        found = solve(price)
    return found
