r"""The constraints of a dual problem with given activation patterns, and the units in which it is solved.

With signs or indicators :math:`D_1, \dots, D_P` and a variable Q of shape (n, c) they bound the spectral
norms of the d by c matrices

.. math:: M_i(Q) = X^\top D_i Q - S_i
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._validation import FloatArray

__all__ = ["Blocks", "drawn_inside", "root_mean_square", "row_lengths", "spectral_norms"]


@dataclass(frozen=True, eq=False)
class Blocks:
    """The data of the constraints: X of shape (n, d), signs (P, n), and the shifts S of shape (P, d, c)."""

    X: FloatArray
    signs: FloatArray
    shifts: FloatArray

    def matrices(self, Q: FloatArray) -> FloatArray:
        """Return all M_i(Q), shape (P, d, c)."""
        return self.linear(Q) - self.shifts

    def linear(self, Q: FloatArray) -> FloatArray:
        """Return all X^T D_i Q: what M_i changes by when Q is added."""
        products = self.X[:, :, None] * Q[:, None, :]
        return (self.signs @ products.reshape(len(Q), -1)).reshape(-1, *products.shape[1:])

    def norms(self, Q: FloatArray) -> FloatArray:
        """Return the spectral norms of all M_i(Q), shape (P,)."""
        return spectral_norms(self.matrices(Q))

    def largest(self, Q: FloatArray) -> float:
        """Return the largest of these norms."""
        return float(self.norms(Q).max())

    def fitted(self, W: FloatArray) -> FloatArray:
        r"""Return :math:`\sum_i D_i X W_i`, shape (n, c)."""
        summed = (self.signs.T @ W.reshape(len(W), -1)).reshape(len(self.X), *W.shape[1:])
        return np.einsum("kd,kdc->kc", self.X, summed)

    def stacked(self) -> FloatArray:
        """Return [D_1 X, ..., D_P X], shape (n, P d)."""
        return (self.signs.T[:, :, None] * self.X[:, None, :]).reshape(len(self.X), -1)

    def part(self, chosen: NDArray[np.intp]) -> Blocks:
        """Return the constraints with the chosen numbers."""
        return Blocks(self.X, self.signs[chosen], self.shifts[chosen])


def spectral_norms(M: FloatArray) -> FloatArray:
    """Return the largest singular value of every matrix."""
    return np.asarray(np.linalg.svd(M, compute_uv=False)[:, 0])


def drawn_inside(
    Q: FloatArray, inside: FloatArray, largest: Callable[[FloatArray], float], bound: float
) -> FloatArray:
    """Move Q towards a point with room inside, as far as it is outside: what is largest is convex."""
    excess = largest(Q) - bound
    if excess <= 0:
        return Q
    room = bound - largest(inside)
    return Q + excess / (excess + room) * (inside - Q)


def root_mean_square(rows: FloatArray) -> float:
    """Root-mean-square length of the rows, the unit in which they are of order one; 1 where all are zero."""
    largest = float(np.abs(rows).max())
    return largest * float(np.sqrt(np.mean((rows / largest) ** 2) * rows.shape[1])) if largest > 0 else 1.0


def row_lengths(rows: FloatArray) -> FloatArray:
    """Lengths of the rows, shape (n, 1); 1 where a row is zero."""
    largest = np.abs(rows).max(axis=1, keepdims=True)
    largest[largest == 0] = 1.0
    lengths = largest * np.linalg.norm(rows / largest, axis=1, keepdims=True)
    lengths[lengths == 0] = 1.0
    return np.asarray(lengths)
