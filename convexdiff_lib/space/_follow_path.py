r"""The dual of training with given patterns or neurons, by following the centres of its barrier."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .._validation import FloatArray
from ..certificates import NotCertifiedError
from ._blocks import Blocks
from ._newton import View, newton
from ._spectral_barrier import SHRINK, barrier_at, first_to_join, joined, log_distance

__all__ = ["follow_path"]


def follow_path(
    blocks: Blocks, L: FloatArray, beta: float, inside: FloatArray, gap: float
) -> tuple[FloatArray, FloatArray]:
    """Maximise <Q, L> - |Q|^2 / 2 subject to |M_i(Q)| <= beta, from a strictly feasible point.

    ``gap`` is the relative duality gap to reach.  Returns Q, and W of shape (P, d, c); raises a
    NotCertifiedError if rounding allows no centre at all.
    """

    def value(point: FloatArray) -> float:
        return float(np.sum(point * L) - 0.5 * np.sum(point**2))

    rank = min(blocks.X.shape[1], L.shape[1])
    working = first_to_join(blocks.norms(L))
    part = blocks.part(working)
    stacked = part.stacked()
    Q = inside
    size = max(float(np.sum((L - inside) ** 2)), abs(value(inside)), np.finfo(float).tiny)
    mu = size / (rank * len(working))
    least = np.inf
    best, full = Q, np.zeros((len(blocks.signs), blocks.X.shape[1], L.shape[1]))
    for _ in range(500):
        try:
            Q, W = _centre(part, stacked, L, beta, mu, Q)
        except np.linalg.LinAlgError as error:
            if least == np.inf:
                raise NotCertifiedError(f"a dual problem was lost to rounding: {error}") from error
            break  # beyond what rounding allows: the best pair until now stands
        norms = blocks.norms(Q)
        if len(more := joined(working, norms, beta)) > len(working):
            working = more
            part = blocks.part(working)
            stacked = part.stacked()
            back = _pull_inside(blocks, Q, inside, beta)
            mu = max(mu, (value(Q) - value(back)) / (rank * len(working)))
            Q, least = back, np.inf
            continue
        primal = 0.5 * float(np.sum((part.fitted(W) - L) ** 2) + 2 * np.sum(part.shifts * W))
        primal += beta * float(np.linalg.svd(W, compute_uv=False).sum())
        reached = abs(primal - value(Q))
        if reached < least:
            least, best = reached, Q
            full = np.zeros_like(full)
            full[working] = W
        if mu * rank * len(working) <= gap * max(abs(value(Q)), np.finfo(float).tiny):
            break
        mu *= SHRINK
    return best, full


def _centre(
    blocks: Blocks, stacked: FloatArray, L: FloatArray, beta: float, mu: float, Q: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the centre for the weight mu, and primal blocks whose sum fits L - Q to rounding."""

    def view_from(point: FloatArray) -> View:
        Q = point.reshape(L.shape)
        M = blocks.matrices(Q)
        barrier = barrier_at(M, beta)
        gradient = (Q - L + blocks.fitted(2 * mu * barrier.pull)).ravel()
        hessian = 2 * mu * barrier.curvature(stacked)
        hessian[np.diag_indices_from(hessian)] += 1.0

        def turned(direction: FloatArray) -> FloatArray:
            return barrier.turned(blocks.linear(direction.reshape(L.shape)))

        def residual(direction: FloatArray) -> FloatArray:
            return -gradient - direction - blocks.fitted(2 * mu * turned(direction)).ravel()

        def along(direction: FloatArray) -> Callable[[float], float]:
            move = direction.reshape(L.shape)
            turn = blocks.linear(move)

            def loss(t: float) -> float:
                there = Q + t * move
                fit = float(0.5 * np.sum(there**2) - np.sum(there * L))
                return fit - mu * log_distance(M + t * turn, beta)

            return loss

        def candidate(direction: FloatArray) -> FloatArray:
            return 2 * mu * (barrier.pull + turned(direction))

        return View(gradient, hessian, 1e-14 * float(np.abs(Q - L).max()), residual, along, candidate)

    point, W = newton(Q.ravel(), mu, view_from)
    return point.reshape(Q.shape), W


def _pull_inside(blocks: Blocks, Q: FloatArray, inside: FloatArray, limit: float) -> FloatArray:
    """Move Q towards ``inside`` until all constraints hold, with room to spare."""
    low, high = 0.0, 1.0
    for _ in range(40):  # the norms are convex along the segment
        middle = 0.5 * (low + high)
        if blocks.norms(Q + middle * (inside - Q)).max() < limit:
            high = middle
        else:
            low = middle
    share = min(1.0, 1.1 * high + 1e-12)
    return Q + share * (inside - Q)
