r"""What happens at the two ends of the data: neurons that stand there, and training that forbids bad tails.

A score whose outer slope is positive on one side has no density: the exponential of its integral is not
integrable there.  With the constraint that neither slope, :math:`s'(-\infty)` or :math:`s'(\infty)`, is
above zero the training problem stays convex.  With a price :math:`a \ge 0` for the right slope and
:math:`b \ge 0` for the left one its Lagrangian is

.. math:: \text{loss}(s) + a\, s'(\infty) + b\, s'(-\infty),

which is training of the same kind: the beam of `convexdiff_lib.line.beam` runs through a tube whose centre is
raised by a and whose level is raised by a + b, and its end has

.. math:: -\beta - \theta \min(a, b) \le g_1 - (n + a + b) \le \beta - \theta \max(k_1 + b,\; k_m + a)

with :math:`\theta = 1` for ReLU and 2 for the absolute value.  A neuron at the last point that does not act
on the data caps the right slope at the cost of its weight: so a is at most :math:`\beta - k_m`, and b at most
:math:`\beta - k_1`.  For the absolute value with a skip connection half of beta takes the place of beta;
without one the slopes are opposite, so that only a - b matters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._double_double import DoubleDouble, Number, rounded
from .problem import LineProblem, SplineClaim

__all__ = ["Tails", "dearest", "tails_of"]

_SAME = 1e-25  # of beta: prices are doubles, and sums of few of them are exact here


@dataclass(frozen=True, eq=False)
class Tails:
    """What the neurons at the two ends of the data do, and the outer slopes that a claimed spline gets.

    Parameters
    ----------
    at_first, at_last : float
        The slopes that neurons at the first and the last point carry through the data.
    right, left : float
        The outer slopes without the caps; those of absolute values without a skip connection are opposite,
        and all that is left of them is taken away in ``at_first`` and ``at_last``.
    right_cap, left_cap : float
        What neurons weigh that do not act on the data, and take a slope above zero away.
    slack : float
        By how much the network costs more than the prices allow: zero at the optimum.

    Examples
    --------
    >>> tails = Tails(-0.25, -0.25, -0.25, 0.5, 0.0, 0.5, 0.0)
    >>> tails.through, tails.weight
    (-0.5, 1.0)
    """

    at_first: float
    at_last: float
    right: float
    left: float
    right_cap: float
    left_cap: float
    slack: float

    @property
    def through(self) -> float:
        """What the two carry together."""
        return self.at_first + self.at_last

    @property
    def weight(self) -> float:
        """What the neurons at the two ends weigh."""
        return abs(self.at_first) + abs(self.at_last) + self.right_cap + self.left_cap


def dearest(problem: LineProblem) -> tuple[float, float]:
    """Return the highest prices, right and left, at which a cap just pays.

    Examples
    --------
    >>> from convexdiff_lib.line.problem import line_problem
    >>> dearest(line_problem([0.0, 1.0, 1.0], 3.0))
    (1.0, 2.0)
    """
    right, left = (max(float(top.high), 0.0) for top in problem.highest_prices)
    return right, left


def tails_of(problem: LineProblem, claim: SplineClaim, slopes: Number) -> Tails:
    """Return what the two ends do in the cheapest network that is a claimed spline on the data.

    Parameters
    ----------
    problem : LineProblem
        With prices.
    claim : SplineClaim
    slopes : array of shape (K + 1,)
        Of its pieces; double-double numbers, where the slack has to be known beyond rounding.

    Returns
    -------
    Tails

    Examples
    --------
    A line of slope -1/2: either end carries half of it, and half is left outside.

    >>> from convexdiff_lib.line.problem import line_problem
    >>> none, halves = np.zeros(0), np.array([0.5, -0.5])
    >>> claim = SplineClaim(np.array([0, 1]), none, halves, np.zeros(2), -1.0, 0.0, -1)
    >>> problem = line_problem([-1.0, 1.0], 1.0).priced(0.0, 0.0)
    >>> tails = tails_of(problem, claim, np.array([-0.5]))
    >>> tails.at_first, tails.at_last, tails.left, tails.right
    (-0.25, -0.25, -0.25, -0.25)
    """
    first, last, turn = slopes[0], slopes[-1], problem.turn
    at_first, at_last = _carried(problem, claim, slopes)
    right, left = (_double(slope) for slope in (last - at_last * turn, first - at_first * turn))
    slack, caps = 0.0, (max(right, 0.0) / turn, max(left, 0.0) / turn)
    if problem.skip or problem.activation == "relu":
        for slope, price, top in zip((right, left), problem.tail_prices, dearest(problem), strict=True):
            slack += price * max(-slope, 0.0) + (top - price) * max(slope, 0.0)
    else:  # opposite slopes: a neuron at one end takes away what is left of both, one at the other makes up
        at_first, at_last, caps = first * 0.5, last * 0.5, (0.0, 0.0)
        for slope, *rooms in zip((_double(at_first), _double(at_last)), *_rooms(problem, claim), strict=True):
            slack += abs(slope) * rooms[int(slope > 0)]
    return Tails(_double(at_first), _double(at_last), right, left, *caps, slack)


def _carried(problem: LineProblem, claim: SplineClaim, slopes: Number) -> tuple[Number, Number]:
    """Return the slopes through the data that neurons at the first and at the last point carry."""
    first, last, none = slopes[0], slopes[-1], slopes[0] * 0.0
    if problem.skip or not any(claim.is_at(bound) for bound in problem.end):
        return none, none
    relu = problem.activation == "relu"
    lift = _lift(claim, first, slopes[1:] - slopes[:-1]) if relu else (first + last) * 0.5
    size = _double(lift)
    if not size:
        return none, none
    at_first, at_last = _rooms(problem, claim)[int(size > 0)]
    negligible = _SAME * problem.beta
    if min(at_first, at_last) > negligible:  # a pair back to back, at a point inside that repeats, carries it
        return none, none
    if abs(at_first - at_last) > negligible:
        return (lift, none) if at_first < at_last else (none, lift)
    # Either may.  Of a slope that has a price nothing is to be left; else half each, if that leaves none.
    none_left, none_right = first * (1 / problem.turn), lift - last * (1 / problem.turn)
    prices = problem.tail_prices
    chosen = none_left if prices.left else none_right if prices.right else lift * 0.5
    if not any(prices):
        chosen = _middle(none_left, chosen, none_right)
    chosen = _middle(none, chosen, lift)
    return chosen, lift - chosen


def _middle(*three: Number) -> Number:
    return sorted(three, key=_double)[1]


def _double(number: Number) -> float:
    return float(rounded(number))


def _lift(claim: SplineClaim, first: Number, kinks: Number) -> Number:
    """Return the slope of the first piece that no ReLU neuron between the ends makes by facing left."""
    if claim.lean:
        return first + _total(kinks, claim.sides * claim.lean < 0)
    # Held level: any kink of one sign may face left.
    steep = _double(first)
    left_over = first + _total(kinks, claim.sides * steep < 0)
    return left_over if _double(left_over) * steep > 0 else first * 0.0


def _total(kinks: Number, some: np.ndarray) -> Number:
    """Sum up some of them, in the same order everywhere."""
    total: Number = np.asarray(0.0)
    for k in np.flatnonzero(some):
        total = kinks[k] + total
    return total


def _rooms(problem: LineProblem, claim: SplineClaim) -> tuple[tuple[float, float], tuple[float, float]]:
    """How far neurons at the first and the last point are from being worth their weight.

    Such that lower the slope through the data first, then such that raise it.
    """
    end, beta, turn = DoubleDouble(claim.offset, claim.offset_rest), DoubleDouble(problem.beta), problem.turn
    right, left = problem.exact_prices
    first, last = problem.end_room
    low = tuple(float((end + beta + price * turn).high) for price in (left, right))
    high = tuple(float((beta - room - end).high) for room in (first, last))
    return (low[0], low[1]), (high[0], high[1])
