r"""Univariate three-layer networks as sums of narrow chains: what the convex programs of depth return.

A chain has one neuron per layer.  With balanced weights, :math:`|z|^{1/3}` each, it is

.. math:: z\, \sigma\big( f_2 ( \sigma( f_1 (x - a) ) - c ) \big), \qquad f_1, f_2 = \pm 1,

and its share of the penalty :math:`\tfrac{\beta}{3} \sum |\text{weight}|^3` is :math:`\beta |z|`.  As a
function of x a ReLU chain is the length that x has run through an interval, and a chain of absolute values
has three kinks: a fold, and two that are each other's mirror images in it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._results import result
from .._validation import Activation, FloatArray, as_activation, as_positive, as_truths
from .deep_network import DeepNetwork
from .kink_network import KinkNetwork
from .piecewise_linear import PiecewiseLinearScore

__all__ = ["ChainNetwork"]


@result
class ChainNetwork:
    r"""A univariate network of narrow three-layer chains, each given by its kinks.

    .. math:: s(x) = \sum_k z_k\, u_k(x) + v (x - x_0) + c

    A ReLU chain has two kinks p < q and is the length run in between, :math:`u(x) = (x-p)_+ - (x-q)_+`; for
    :math:`q = \infty` that is :math:`(x-p)_+`, and for :math:`p = -\infty` it is :math:`-(q-x)_+`.  A chain
    of absolute values has three, :math:`p \le a \le q` with a in the middle, and is
    :math:`u(x) = |x-p| - |x-a| + |x-q| - (q-p)/2 = \big| |x-a| - \tfrac{q-p}{2} \big|`; where the three are
    one point, that is :math:`|x-a|`.

    Kinks sit an infinitesimal step to the left or to the right of the place at which they are written: what
    stands there sees them behind it or ahead of it.  The values do not depend on that, but the derivatives
    there do.  This limit is what makes the optimum an infimum.

    Parameters
    ----------
    kinks : array of shape (m, 2) for ReLU, (m, 3) for absolute values
        Their places, from left to right.
    after : bool array of that shape
        Whether each sits just after its place, else just before it.
    weights : array of shape (m,)
        The products z of the weights of each chain, with signs.
    origin, constant, slope : float
        The affine part :math:`v (x - x_0) + c`.
    activation : {"relu", "abs"}

    Raises
    ------
    ValueError
        If shapes do not fit, kinks are not in order, a fold is not in the middle, three kinks sit on sides
        that no chain can have, or the activation is unknown.

    Examples
    --------
    The length run from 0 to 2, and a vee folded at 1:

    >>> import numpy as np
    >>> ramp = ChainNetwork(np.array([[0.0, 2.0]]), np.array([[False, True]]), np.array([3.0]))
    >>> x = np.array([-1.0, 0.0, 1.0, 2.0, 3.0])
    >>> ramp(x).tolist(), ramp.derivative(x).tolist()
    ([0.0, 0.0, 3.0, 6.0, 6.0], [0.0, 3.0, 3.0, 3.0, 0.0])
    >>> kinks, after = np.array([[0.0, 1.0, 2.0]]), np.zeros((1, 3), dtype=bool)
    >>> ChainNetwork(kinks, after, np.array([1.0]), activation="abs")(x).tolist()
    [1.0, 0.0, 1.0, 0.0, 1.0]
    """

    kinks: FloatArray
    after: NDArray[np.bool_]
    weights: FloatArray
    origin: float = 0.0
    constant: float = 0.0
    slope: float = 0.0
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        columns = 2 if as_activation(self.activation) == "relu" else 3
        for name in ("kinks", "weights"):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=np.float64))
        object.__setattr__(self, "after", as_truths(self.after, "after"))
        shape = (len(self.weights), columns) if self.weights.ndim == 1 else None
        if self.kinks.shape != shape or self.after.shape != shape or not np.isfinite(self.weights).all():
            raise ValueError(
                f"kinks and after must have shape (m, {columns}) for finite weights of shape (m,); got "
                f"{self.kinks.shape}, {self.after.shape} and {self.weights.shape}"
            )
        if not (self.kinks[:, 1:] >= self.kinks[:, :-1]).all():
            raise ValueError("the kinks of a chain must stand from left to right, and none may be NaN")
        (_check_runs if columns == 2 else _check_folds)(self.kinks, self.after)

    def _facts(self) -> dict[str, object]:
        affine = {"origin": self.origin, "constant": self.constant, "slope": self.slope}
        return {"chains": len(self.weights)} | affine | {"activation": self.activation}

    @property
    def total_weight(self) -> float:
        r"""The sum :math:`\sum_k |z_k|` that the penalty sees after balancing."""
        return float(np.abs(self.weights).sum())

    @cached_property
    def _hinges(self) -> KinkNetwork:
        """The same function as a two-layer network, whose weight decay is another."""
        relu, affine = self.activation == "relu", (self.origin, self.constant, self.slope)
        if not relu:
            constant = self.constant - float(self.weights @ (self.kinks[:, 2] - self.kinks[:, 0])) / 2
            signs = np.outer(self.weights, [1.0, -1.0, 1.0]).ravel()
            ones = np.ones(signs.size)
            places = self.kinks.ravel(), ones, signs, self.after.ravel()
            return KinkNetwork(*places, self.origin, constant, self.slope, "abs")
        (start, stop), (late_start, late_stop) = self.kinks.T, self.after.T
        inner, runs_on = np.isfinite(start), np.isfinite(stop)
        facing = np.concatenate([np.ones(int(inner.sum())), np.where(inner, 1.0, -1.0)[runs_on]])
        late = np.concatenate([late_start[inner], late_stop[runs_on]])
        weights = np.concatenate([self.weights[inner], -self.weights[runs_on]])
        kinks = np.concatenate([start[inner], stop[runs_on]])
        return KinkNetwork(kinks, facing, weights, late == (facing > 0), *affine, "relu")

    def __call__(self, x: ArrayLike) -> FloatArray:
        """Return s(x), shape (n,)."""
        return self._hinges(x)

    def derivative(self, x: ArrayLike) -> FloatArray:
        """Return s'(x), shape (n,), with every kink on its side."""
        return self._hinges.derivative(x)

    def as_score(self) -> PiecewiseLinearScore:
        """Return the same function as knots, values and outer slopes.

        Examples
        --------
        >>> run = ChainNetwork(np.array([[-np.inf, 1.0]]), np.zeros((1, 2), dtype=bool), np.array([-2.0]))
        >>> run.as_score().slopes.tolist()
        [-2.0, 0.0]
        """
        return self._hinges.as_score()

    def shifted(self, constant: float) -> ChainNetwork:
        """Return the network with a constant added.

        Examples
        --------
        >>> nothing = ChainNetwork(np.zeros((0, 2)), np.zeros((0, 2), dtype=bool), np.zeros(0))
        >>> nothing.shifted(2.0)([0.0]).tolist()
        [2.0]
        """
        return replace(self, constant=self.constant + constant)

    def three_layer(self, epsilon: float) -> DeepNetwork:
        r"""Return a network with literal weights, every kink moved off its place.

        All three weights of a chain have size :math:`|z|^{1/3}`.

        Parameters
        ----------
        epsilon : float
            By how much the kinks move; more than nothing, and less than half the smallest gap of the data.

        Returns
        -------
        DeepNetwork

        Examples
        --------
        >>> ramp = ChainNetwork(np.array([[0.0, 2.0]]), np.array([[False, True]]), np.array([8.0]))
        >>> network = ramp.three_layer(0.25)
        >>> network.derivative([0.0, 1.0, 2.0]).tolist(), round(network.weight_penalty(3.0), 12)
        ([8.0, 8.0, 8.0], 8.0)
        """
        step = as_positive(epsilon, "epsilon")
        fold, offset, inner, outer, sign = (_runs if self.activation == "relu" else _folds)(
            self.kinks, self.after, step
        )
        root = np.cbrt(np.abs(self.weights))
        first, second, last = inner * root, outer * root, np.sign(self.weights) * sign * root
        return DeepNetwork(
            (first[:, None], np.diag(second), last[None, :]),
            (-first * fold, -outer * root**2 * offset, np.array([self.constant - self.slope * self.origin])),
            slope=self.slope,
            activation=self.activation,
        )


def _check_runs(kinks: FloatArray, after: NDArray[np.bool_]) -> None:
    """An interval has an inside, and at least one end."""
    start, stop = kinks.T
    if not ((start < stop) | (after[:, 1] & ~after[:, 0])).all() or (np.isinf(start) & np.isinf(stop)).any():
        raise ValueError("a ReLU chain must run through an interval with at least one finite end")


def _check_folds(kinks: FloatArray, after: NDArray[np.bool_]) -> None:
    """The fold is in the middle, and moves with it."""
    left, fold, right = kinks.T
    rounding = 1e-12 * np.maximum(np.abs(kinks).max(axis=1, initial=0.0), right - left)
    if not (np.abs((fold - left) - (right - fold)) <= rounding).all():
        raise ValueError("the second kink of a chain of absolute values must be the middle of the others")
    if ((after[:, 0] == after[:, 2]) & (after[:, 0] != after[:, 1])).any():
        raise ValueError("where the outer kinks of a chain move to one side, so does the fold in the middle")


_Parts = tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]


def _runs(kinks: FloatArray, after: NDArray[np.bool_], step: float) -> _Parts:
    """Return fold a, offset c, both facings and the sign of ReLU chains, kinks moved by a step."""
    start, stop = (kinks + np.where(after, step, -step)).T
    to_right, to_left = np.isinf(stop), np.isinf(start)
    fold = np.where(to_right, start, stop)
    offset = np.where(to_right | to_left, 0.0, stop - start)
    inner = np.where(to_right, 1.0, -1.0)
    outer = np.where(to_right | to_left, 1.0, -1.0)
    return fold, offset, inner, outer, np.where(to_left, -1.0, 1.0)


def _folds(kinks: FloatArray, after: NDArray[np.bool_], step: float) -> _Parts:
    """Do the same for absolute values: moves of the outer kinks whose mean is that of the fold."""
    sides = np.where(after, 1.0, -1.0)
    apart = sides[:, 0] != sides[:, 2]
    longer = sides * np.where(apart[:, None] & (sides == sides[:, [1]]), step, step / 3)
    left, right = kinks[:, 0] + longer[:, 0], kinks[:, 2] + longer[:, 2]
    ones = np.ones(len(kinks))
    fold = kinks[:, 1] + (longer[:, 0] + longer[:, 2]) / 2
    return fold, (right - left) / 2, ones, ones, ones
