r"""Chains of absolute values to twice the digits of a double, and what a fit by them leaves of the gap.

Beside small gaps between data a score is many times larger than what the dual allows a chain to win, and
doubles lose the digits that a bound on the score's error needs.  Here the kinks of a chain are taken without
rounding from the points at which they are.  A chain that is in the network has to win exactly beta; what it
wins less than that, times its weight, is what it leaves of the gap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._validation import FloatArray
from ._double_double import DoubleDouble
from ._fold_response import fold_response
from .problem import LineProblem

__all__ = ["ExactFit", "exact_values", "total"]


def exact_values(points: FloatArray, kind: int, i: int, j: int) -> DoubleDouble:
    """Return a chain at the points, up to a constant.

    Of kind 0 with one kink, at point i; 1 with the fold at i and an outer kink at j; 2 with these at i and j.

    Examples
    --------
    >>> exact_values(np.array([0.0, 1.0, 3.0]), 2, 0, 2).high.tolist()
    [1.5, 2.5, 1.5]
    """
    x, first, second = DoubleDouble(points), DoubleDouble(points[i]), DoubleDouble(points[j])
    if kind == 0:
        return _size(x - first)
    fold, outer = (first, second) if kind == 1 else ((first + second) * 0.5, first)
    other = fold * 2.0 - outer
    return _size(x - outer) - _size(x - fold) + _size(x - other)


def _size(x: DoubleDouble) -> DoubleDouble:
    sign = np.where(x.high < 0, -1.0, 1.0)
    return DoubleDouble(x.high * sign, x.low * sign)


@dataclass(frozen=True, eq=False)
class ExactFit:
    """Signed chains, side by side, with weights that are to be positive, and maybe a skip connection.

    Parameters
    ----------
    problem : LineProblem
    values : DoubleDouble of shape (m, k)
    slopes : array of shape (k,)
        Sums of slopes of the chains.
    weights : DoubleDouble of shape (k,)
    slope : DoubleDouble
        The skip connection.
    """

    problem: LineProblem
    values: DoubleDouble
    slopes: FloatArray
    weights: DoubleDouble
    slope: DoubleDouble

    @property
    def residuals(self) -> DoubleDouble:
        """Fitted values less targets with the best constant."""
        counts = self.problem.counts
        fitted = self._lever * self.slope - self.problem.aims
        if len(self.slopes):
            fitted = fitted + total(self.values * self.weights, axis=1)
        return fitted - total(fitted * counts) / total(DoubleDouble(counts))

    @property
    def _lever(self) -> DoubleDouble:
        return DoubleDouble(self.problem.points) - self.problem.points[0]

    def missing(self, residuals: DoubleDouble) -> DoubleDouble:
        """Return by how much less than beta every chain wins."""
        pull = DoubleDouble(*((part * 1.0)[:, None] for part in _parts(residuals * self.problem.counts)))
        return total(self.values * pull, axis=0) + (self.slopes + self.problem.beta)

    def slack(self) -> float:
        """Return by how much the loss of these chains can be above the optimum.

        The sum of what the chains leave of the gap, and what the dual variable's excess may hide of it.
        """
        problem, residuals = self.problem, self.residuals
        sizes = np.abs(self.weights.high)
        counted = 1.0 if problem.targets is None else 0.0
        most = fold_response(problem.points, problem.counts, -residuals.high, counted, -residuals.low)
        left = float(sizes @ np.abs(self.missing(residuals).high))
        line = abs(float(self.slope.high) * self.missing_line(residuals)) if problem.skip else 0.0
        return left + line + max(most - problem.beta, 0.0) * float(sizes.sum())

    def missing_line(self, residuals: DoubleDouble) -> float:
        """Return what the skip connection could still win, per unit of it."""
        left = total(residuals * self.problem.counts * self._lever) + self.problem.level
        return float(left.high)


def _parts(x: DoubleDouble) -> tuple[FloatArray, FloatArray]:
    return x.high, x.low


def total(values: DoubleDouble, axis: int = 0) -> DoubleDouble:
    """Sum along an axis, two and two.

    Examples
    --------
    >>> float(total(DoubleDouble(np.array([1.0, 1e-20, -1.0]))).high)
    1e-20
    """
    parts = DoubleDouble(*(np.moveaxis(part, axis, 0) for part in _parts(values)))
    while len(parts) > 1:
        half = len(parts) // 2
        rest = parts[2 * half :]
        parts = parts[:half] + parts[half : 2 * half]
        if len(rest):
            both = zip(_parts(parts), _parts(rest), strict=True)
            parts = DoubleDouble(*(np.concatenate(pair) for pair in both))
    return parts[0]
