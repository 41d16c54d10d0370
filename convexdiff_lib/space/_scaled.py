"""A training problem with any neurons, in units in which rows, targets and scores are of order one.

`Scaled` is what column generation and Newton's method see.  They do not know whether there are biases, or how
many dimensions: its chambers say which neurons there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .._validation import FloatArray
from ._blocks import Blocks
from .neurons import Neurons

__all__ = ["Chambers", "Scaled"]


class Chambers(Protocol):
    """All that is asked of the chambers of directions: see `convexdiff_lib.space.circles.Circles`."""

    def worst(self, Q: FloatArray) -> tuple[FloatArray, FloatArray]: ...

    def largest(self, Q: FloatArray) -> float: ...

    def hills(self, responses: FloatArray) -> NDArray[np.intp]: ...

    def neurons(self, places: NDArray[np.intp], directions: FloatArray) -> Neurons: ...

    def corners(self, most: int) -> Neurons: ...


@dataclass(frozen=True, eq=False)
class Scaled:
    r"""What is to be minimised over unit neurons and their second-layer weights.

    .. math:: \tfrac12\Big\|L - \sum_j \varphi_j a_j^\top\Big\|^2 + \sum_j \langle t_j, a_j\rangle
              + \beta \sum_j \|a_j\|

    with the values :math:`\varphi_j` of neuron j at the data, and its slope :math:`t_j`.

    Parameters
    ----------
    X : array of shape (n, D)
        The rows.
    goal : array of shape (n, c)
        The targets L, zero for score matching.
    decay : float
        The weight decay.
    chambers : Chambers
    slope : array of shape (c, D), or None
        Where slopes count: the slope t of a neuron is as many times this matrix times its direction as there
        are active rows.
    metric : array of shape (D,)
        Weight decay sees the squares of the coordinates of a direction with these weights; seen so, it has
        length one.
    centred : bool
        Whether a constant is free, so that everything is seen less its mean.
    """

    X: FloatArray
    goal: FloatArray
    decay: float
    chambers: Chambers
    slope: FloatArray | None
    metric: FloatArray
    centred: bool

    def features(self, neurons: Neurons) -> FloatArray:
        """Return the values at the data, shape (k, n), less their means where a constant is free."""
        return self.less_mean(neurons.features(self.X).T).T

    def slopes(self, neurons: Neurons) -> FloatArray:
        """Return the slopes t, shape (k, c); zero where they do not count."""
        if self.slope is None:
            return np.zeros((len(neurons), self.goal.shape[1]))
        return neurons.signs.sum(axis=1)[:, None] * (neurons.directions @ self.slope.T)

    def less_mean(self, columns: FloatArray) -> FloatArray:
        """Return columns of shape (n, k), less their means where a constant is free."""
        return columns - columns.mean(axis=0) if self.centred else columns

    def pulls(self, neurons: Neurons, Q: FloatArray) -> FloatArray:
        """Return the matrices M whose products with a direction are responses, shape (k, D, c)."""
        M = Blocks(self.X, neurons.signs, np.zeros((0, 0, 0))).linear(Q)
        return M if self.slope is None else M - neurons.signs.sum(axis=1)[:, None, None] * self.slope.T

    def atoms(self, neurons: Neurons) -> Blocks:
        """Return the constraints of single neurons."""
        return Blocks(np.ones((len(self.X), 1)), self.features(neurons), self.slopes(neurons)[:, None, :])

    def of_length_one(self, directions: FloatArray) -> FloatArray:
        """Return directions at length one, as weight decay measures it."""
        return directions / np.sqrt(directions**2 @ self.metric)[:, None]
