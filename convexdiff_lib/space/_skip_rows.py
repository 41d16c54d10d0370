"""Rows of data with a constant, a free linear map of them taken out, and features worked out in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._validation import FloatArray, as_data, as_targets, as_weight_decay
from ..certificates import Certificate
from ._group_newton import GramProblem
from ._weak_duality import weak_duality
from .problem import SpaceProblem

__all__ = ["Features", "SkipProblem", "skip_problem"]

_HELD = 1 << 23  # numbers held at once: 64 MiB
_NOISE = 1e-7  # of the targets: what is left of them below this may be rounding
_RANK = 1e-11  # singular values below this share of the largest one are rounding

Features = Callable[[FloatArray], FloatArray]  # rows (k, d + 1) to features (k, N)


@dataclass(frozen=True, eq=False)
class SkipProblem(SpaceProblem):
    """Denoising by features with a penalty, beside an affine map without one; see `skip_problem`."""

    @cached_property
    def rows(self) -> FloatArray:
        """The points with a last coordinate 1, shape (n, d + 1)."""
        return np.column_stack([self.points, np.ones(len(self.points))])

    @cached_property
    def basis(self) -> FloatArray:
        """An orthonormal basis of the values of all affine maps at the points."""
        n = len(self.points)
        left, singular, _ = np.linalg.svd(self.points - self.points.mean(axis=0), full_matrices=False)
        kept = left[:, singular > _RANK * max(float(singular.max(initial=0.0)), 1e-300)]
        return np.linalg.qr(np.column_stack([np.full(n, n**-0.5), kept]))[0]

    def with_decay(self, beta: float) -> SkipProblem:
        """Return the same data with another weight decay; the basis, which takes long, is worked out once."""
        other = replace(self, beta=as_weight_decay(beta))
        other.__dict__.update(rows=self.rows, basis=self.basis)  # where cached properties are kept
        return other

    def without_affine(self, values: FloatArray) -> FloatArray:
        """Values at the points, less the affine map that fits them best."""
        rest = values - self.basis @ (self.basis.T @ values)
        return np.asarray(rest - self.basis @ (self.basis.T @ rest))

    def pieces(self, width: int) -> Iterator[slice]:
        """Return slices of rows whose features fit into memory."""
        step = max(1, _HELD // max(1, width))
        for first in range(0, len(self.points), step):
            yield slice(first, first + step)

    def fitted(self, features: Features, W: FloatArray, V: FloatArray) -> FloatArray:
        """Return the values of the network at the points: features with weights W, affine map V."""
        out = self.rows @ V
        for piece in self.pieces(len(W)):
            out[piece] += features(self.rows[piece]) @ W
        return out

    def correlated(self, features: Features, width: int, Q: FloatArray) -> FloatArray:
        """Return the products of all features with Q, shape (N, c)."""
        out = np.zeros((width, Q.shape[1]))
        for piece in self.pieces(width):
            out += features(self.rows[piece]).T @ Q[piece]
        return out

    def gram(self, features: Features, sizes: NDArray[np.intp]) -> GramProblem:
        """Return the problem that is left when the affine map is minimised out."""
        width = int(sizes.sum())
        aim = self.without_affine(self.labels)
        linear = self.correlated(features, width, self.basis).T
        G, R = np.zeros((width, width)), np.zeros((width, aim.shape[1]))
        for piece in self.pieces(width):
            part = features(self.rows[piece]) - self.basis[piece] @ linear
            G += part.T @ part
            R += part.T @ aim[piece]
        return GramProblem(G, R, float(np.sum(aim**2)), sizes, self.beta)

    def affine(self, values: FloatArray) -> FloatArray:
        """Return the affine map that fits values at the points best, shape (d + 1, c)."""
        centre = self.points.mean(axis=0)
        slope = np.linalg.lstsq(self.points - centre, values - values.mean(axis=0), rcond=_RANK)[0]
        return np.vstack([slope, values.mean(axis=0) - centre @ slope])

    def certificate(
        self, fitted: FloatArray, penalty: float, Q: FloatArray, responses: Callable[[FloatArray], float]
    ) -> Certificate:
        """Judge fitted values with this penalty, once the largest response to a dual variable can be told.

        Whatever Q is given, it is first made orthogonal to all affine maps, then shrunk.
        """
        Q = self.without_affine(Q)
        primal = 0.5 * float(np.sum((fitted - self.labels) ** 2)) + self.beta * penalty
        bounds = weak_duality(self, fitted, primal, Q, responses(Q))
        size = float(np.sqrt(np.sum(self.labels**2)))
        left = float(np.abs(self.basis.T @ Q).max()) / size if size > 0 else 0.0
        # An affine part of the targets costs nothing: it counts for the rounding that it brings alone.
        natural = max(float(np.linalg.norm(self.without_affine(self.labels))), _NOISE * size)
        return replace(bounds, infeasibility=left, scale=max(bounds.scale, 0.5 * natural**2))


def skip_problem(X: ArrayLike, targets: ArrayLike, beta: float) -> SkipProblem:
    """Check what was given.

    Examples
    --------
    >>> skip_problem([[1.0], [2.0]], [[0.0], [1.0]], 1.0).rows.tolist()
    [[1.0, 1.0], [2.0, 1.0]]
    """
    points = as_data(X)
    return SkipProblem(points, as_targets(targets, len(points)), as_weight_decay(beta))
