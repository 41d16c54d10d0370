r"""The barrier of many small matrices whose spectral norms are bounded.

For the matrices :math:`M_i(Q)` of `Blocks` it is :math:`-\mu \sum_i \log\det(\beta^2 I - M_i^\top M_i)`.
Its gradient with respect to :math:`M_i` is the block :math:`W_i = 2\mu M_i (\beta^2 I - M_i^\top M_i)^{-1}`
of the primal problem, so that a centred Q comes with the primal candidate for which
:math:`\sum_i D_i X W_i = L - Q`.

Few of the constraints matter.  A path is followed with a working set, and where the centre violates a
constraint left out, that constraint joins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._validation import FloatArray

__all__ = ["SHRINK", "Barrier", "barrier_at", "first_to_join", "joined", "log_distance"]

SHRINK = 0.2  # of the barrier's weight from one centre to the next
_OUTSIDE = 1e-11  # relative excess that counts as a violation
_NEWCOMERS = 40  # constraints that join the working set at once


@dataclass(frozen=True, eq=False)
class Barrier:
    """What the barrier of a working set says at one point."""

    inverse: FloatArray  # (radius^2 I - M^T M)^-1, shape (a, c, c)
    outer: FloatArray  # (radius^2 I - M M^T)^-1, shape (a, d, d)
    pull: FloatArray  # M (radius^2 I - M^T M)^-1: half the gradient with respect to M, shape (a, d, c)
    radius: float

    def turned(self, turn: FloatArray) -> FloatArray:
        """Return the first-order change of ``pull`` when M changes by ``turn``."""
        mirrored = self.pull @ turn.transpose(0, 2, 1) @ self.pull
        return self.radius**2 * self.outer @ turn @ self.inverse + mirrored

    def curvature(self, stacked: FloatArray) -> FloatArray:
        """Return half the Hessian with respect to Q, as a matrix of order n c; ``stacked`` is (n, a d)."""
        pull = self.pull
        a, d, c = pull.shape
        n = len(stacked)
        columns = stacked.reshape(n, a, d).transpose(1, 0, 2)
        out = np.empty((n, c, n, c))
        for q in range(c):
            for s in range(q, c):
                block = self.radius**2 * self.outer * self.inverse[:, q, s, None, None]
                block = block + pull[:, :, s, None] * pull[:, None, :, q]
                weighted = (columns @ block).transpose(1, 0, 2).reshape(n, a * d)
                out[:, q, :, s] = weighted @ stacked.T
                if s > q:
                    out[:, s, :, q] = out[:, q, :, s].T
        return out.reshape(n * c, n * c)


def barrier_at(M: FloatArray, radius: float) -> Barrier:
    """Build all three matrices from one set of singular vectors.

    Close to the boundary the distance radius - |M| is known to rounding only, but with one set of vectors the
    three still fit together: Newton's system is the derivative of the pull, and can be solved to the end.
    """
    left, singular, right = np.linalg.svd(M)
    share = 1 / ((radius - singular) * (radius + singular))
    k = share.shape[1]

    def spread(vectors: FloatArray) -> FloatArray:
        weights = np.full(vectors.shape[:2], radius**-2)
        weights[:, :k] = share
        return np.asarray((vectors * weights[:, None, :]) @ vectors.transpose(0, 2, 1))

    pull = (left[:, :, :k] * (singular * share)[:, None, :]) @ right[:, :k]
    return Barrier(spread(right.transpose(0, 2, 1)), spread(left), pull, radius)


def log_distance(M: FloatArray, radius: float) -> float:
    """Return the sum of log det(radius^2 I - M^T M), minus infinity on or beyond the boundary."""
    singular = np.linalg.svd(M, compute_uv=False)
    if singular.max(initial=0.0) >= radius:
        return -np.inf
    return float(np.sum(np.log(radius - singular) + np.log(radius + singular)))


def first_to_join(norms: FloatArray) -> NDArray[np.intp]:
    """Return the working set to begin with, given the norms of some point."""
    return np.sort(np.argsort(-norms, kind="stable")[:_NEWCOMERS])


def joined(working: NDArray[np.intp], norms: FloatArray, limit: float) -> NDArray[np.intp]:
    """Return the working set with the worst violated constraints added, if one is violated at all."""
    if norms.max() <= limit * (1 + _OUTSIDE):
        return working
    outside = np.setdiff1d(np.flatnonzero(norms > limit), working)
    worst = outside[np.argsort(-norms[outside], kind="stable")[:_NEWCOMERS]]
    return np.sort(np.concatenate([working, worst]))
