r"""Interior points for problems whose constraints bound the spectral norms of many small matrices.

Both problems here have a variable Q of shape (n, c), signs or indicators :math:`D_1, \dots, D_P`, and the
d by c matrices

.. math:: M_i(Q) = X^\top D_i Q - S_i

`follow_path` maximises :math:`\langle Q, L\rangle - \tfrac12\|Q\|_F^2` subject to
:math:`\|M_i(Q)\|_2 \le \beta`, and `smallest_radius` minimises :math:`\max_i \|M_i(Q)\|_2`.  The barrier of
one constraint is :math:`-\mu \log\det(\beta^2 I - M_i^\top M_i)`.  Its gradient with respect to :math:`M_i`
is the block :math:`W_i = 2\mu M_i (\beta^2 I - M_i^\top M_i)^{-1}` of the primal problem, so that a centred Q
comes with the primal candidate for which :math:`\sum_i D_i X W_i = L - Q`.

Few of the constraints matter.  The path is followed with a working set, and where the centre violates a
constraint left out, that constraint joins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from .._validation import FloatArray
from ._blocks import Blocks, spectral_norms

__all__ = [
    "follow_path",
    "newton_solver",
    "smallest_radius",
    "step_length",
]

_SHRINK = 0.2  # of the barrier's weight from one centre to the next
_NEWTON_STEPS = 60  # at most, for one centre; a handful is usual
_NEWCOMERS = 40  # constraints that join the working set at once
_QUADRATIC = 0.1  # squared Newton decrement, in units of the barrier's weight, below which steps are full
_CENTRED = 1e-10  # the same, where one more step is the last
_REFINEMENTS = 5  # of the solution of one linear system, at most
_NIL = 1e-3  # a radius below this share of the first one is as good as its absolute error
_OUTSIDE = 1e-11  # relative excess that counts as a violation
_DEPENDENT = 1e-12  # singular values of the constraints' map below this share of the largest one are zero
_SPENT = (
    1e-3  # the path ends at this share of the wanted gap, if rounding has kept the gap above it till then
)


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


def _barrier(M: FloatArray, radius: float) -> Barrier:
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


def _log_distance(M: FloatArray, radius: float) -> float:
    """Return the sum of log det(radius^2 I - M^T M), minus infinity on or beyond the boundary."""
    singular = np.linalg.svd(M, compute_uv=False)
    if singular.max(initial=0.0) >= radius:
        return -np.inf
    return float(np.sum(np.log(radius - singular) + np.log(radius + singular)))


def step_length(value: Callable[[float], float], slope: float) -> float:
    """Return a step along a direction by backtracking; zero if rounding allows none."""
    step, start = 1.0, value(0.0)
    while step > 1e-12:
        if value(step) <= start + 0.2 * step * slope:
            return step
        step *= 0.5
    return 0.0


def newton_solver(hessian: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """Factor a positive definite matrix, equilibrated; a ridge stands in where rounding took definiteness."""
    diagonal = np.diag(hessian)
    if not (np.isfinite(hessian).all() and (diagonal > 0).all()):
        raise np.linalg.LinAlgError("the barrier has no positive definite Hessian here, by rounding")
    scale = 1 / np.sqrt(diagonal)
    for ridge in 10.0 ** np.arange(-15, 0, 2):
        scaled = hessian * scale[:, None] * scale
        scaled[np.diag_indices_from(scaled)] += ridge
        try:
            factor = cho_factor(scaled, overwrite_a=True, check_finite=False)
        except np.linalg.LinAlgError:
            continue
        return lambda right: np.asarray(scale * cho_solve(factor, scale * right, check_finite=False))
    raise np.linalg.LinAlgError("the barrier's Hessian is far from positive definite, by rounding")


def _centre(
    blocks: Blocks, stacked: FloatArray, L: FloatArray, beta: float, mu: float, Q: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the centre for the weight mu, and primal blocks whose sum fits L - Q to rounding."""

    def loss(point: FloatArray, M: FloatArray) -> float:
        return float(0.5 * np.sum(point**2) - np.sum(point * L)) - mu * _log_distance(M, beta)

    W, best = np.empty(0), np.inf
    for _ in range(_NEWTON_STEPS):
        M = blocks.matrices(Q)
        barrier = _barrier(M, beta)
        gradient = Q - L + blocks.fitted(2 * mu * barrier.pull)
        hessian = 2 * mu * barrier.curvature(stacked)
        hessian[np.diag_indices_from(hessian)] += 1.0
        solve = newton_solver(hessian)
        direction = solve(-gradient.ravel()).reshape(Q.shape)
        # Rounding in the matrix, and the ridge, show in the residual, which is computed without them.
        for _ in range(_REFINEMENTS):
            turn = blocks.linear(direction)
            residual = -gradient - direction - blocks.fitted(2 * mu * barrier.turned(turn))
            if np.abs(residual).max() <= 1e-14 * np.abs(Q - L).max():
                break
            direction = direction + solve(residual.ravel()).reshape(Q.shape)
        turn = blocks.linear(direction)
        decrement = -float(np.sum(gradient * direction)) / mu
        if decrement >= _QUADRATIC:
            step = step_length(lambda t: loss(Q + t * direction, M + t * turn), -decrement * mu)  # noqa: B023
        else:
            # Self-concordance: the full step stays inside, and the next decrement is about its square.
            step = float(decrement < best and _log_distance(M + turn, beta) > -np.inf)
            best = decrement
        W = 2 * mu * (barrier.pull + barrier.turned(turn))
        if step == 0.0:
            break
        Q = Q + step * direction
        if decrement <= _CENTRED:
            break
    return Q, W


def _join(working: NDArray[np.intp], norms: FloatArray, limit: float) -> NDArray[np.intp]:
    """Return the working set with the worst violated constraints added."""
    outside = np.setdiff1d(np.flatnonzero(norms > limit), working)
    worst = outside[np.argsort(-norms[outside], kind="stable")[:_NEWCOMERS]]
    return np.sort(np.concatenate([working, worst]))


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


def follow_path(
    blocks: Blocks, L: FloatArray, beta: float, inside: FloatArray, gap: float
) -> tuple[FloatArray, FloatArray]:
    """Maximise <Q, L> - |Q|^2 / 2 subject to |M_i(Q)| <= beta, from a strictly feasible point.

    ``gap`` is the relative duality gap to reach.  Returns Q, and W of shape (P, d, c).
    """

    def value(point: FloatArray) -> float:
        return float(np.sum(point * L) - 0.5 * np.sum(point**2))

    rank = min(blocks.X.shape[1], L.shape[1])
    working = np.sort(np.argsort(-blocks.norms(L), kind="stable")[:_NEWCOMERS])
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
        except np.linalg.LinAlgError:
            if least == np.inf:
                raise
            break  # beyond what rounding allows: the best pair until now stands
        norms = blocks.norms(Q)
        if norms.max() > beta * (1 + _OUTSIDE) and len(joined := _join(working, norms, beta)) > len(working):
            working = joined
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
        mu *= _SHRINK
    return best, full


def smallest_radius(blocks: Blocks, gap: float) -> tuple[FloatArray, FloatArray, float]:
    r"""Minimise the largest |M_i(Q)| over Q; return the best Q, blocks W, and the lower bound they prove.

    The sum of D_i X W_i is zero to rounding, and that of the nuclear norms of W is one, or W is zero.  With R
    the sum that rounding leaves, every Q has

    .. math:: \max_i \|M_i(Q)\|_2 \ge -\sum_i \langle S_i, W_i\rangle + \langle Q, R\rangle ,

    and a Q worth looking at is bounded as the constraints see it: so what R may cost is known, and taken off.

    The variable is not Q itself but its image under the linear map of the constraints, in an orthonormal
    basis: lengths of rows, dependent rows and rows that nearly are leave no trace in it.
    """
    d, c = blocks.shifts.shape[1:]
    rank = min(d, c)
    sizes = spectral_norms(blocks.shifts)
    upper, lower = float(sizes.max()), 0.0
    best, W = np.zeros((len(blocks.X), c)), np.zeros((len(blocks.signs), d, c))
    if upper == 0:
        return best, W, lower
    nil = _NIL * upper
    working = np.sort(np.argsort(-sizes, kind="stable")[:_NEWCOMERS])
    part = blocks.part(working)
    image, back = _orthonormal(part)
    point, radius = np.zeros((image.shape[1], c)), 1.1 * upper
    mu = radius / (rank * len(working))
    for _ in range(500):
        try:
            point, radius, found = _centre_radius(image, part.shifts, radius, mu, point)
        except np.linalg.LinAlgError:  # beyond what rounding allows: what was found until now stands
            break
        Q = back @ point
        norms = blocks.norms(Q)
        if norms.max() < upper:
            upper, best = float(norms.max()), Q
        found, bound = _proof(image, part.shifts, found, upper)
        if bound > lower:
            lower = bound
            W = np.zeros_like(W)
            W[working] = found
        if upper - lower <= gap * max(upper, nil):
            break
        if norms.max() > radius * (1 + _OUTSIDE) and len(joined := _join(working, norms, radius)) > len(
            working
        ):
            working = joined
            part = blocks.part(working)
            image, back = _orthonormal(part)
            point = image.T @ part.linear(Q).reshape(-1, c)
            mu = max(mu, (1.1 * float(norms.max()) - radius) / (rank * len(working)))
            radius = 1.1 * float(norms.max())
        elif mu * rank * len(working) <= _SPENT * gap * max(radius, nil):
            break
        else:
            mu *= _SHRINK
    return best, W, lower


def _orthonormal(blocks: Blocks) -> tuple[FloatArray, FloatArray]:
    """Return a basis of what the constraints see of Q, shape (a d, r), and T of shape (n, r): Q = T P."""
    left, size, right = np.linalg.svd(blocks.stacked().T, full_matrices=False)
    seen = size > _DEPENDENT * size.max(initial=0.0)
    return left[:, seen], right[seen].T / size[seen]


def _proof(image: FloatArray, shifts: FloatArray, W: FloatArray, upper: float) -> tuple[FloatArray, float]:
    """Return blocks that cancel, their nuclear norms one in sum, and their lower bound on the radius."""
    for _ in range(2):  # once for what the path left, once for the rounding of that
        W = W - (image @ (image.T @ W.reshape(len(image), -1))).reshape(W.shape)
    size = float(np.linalg.svd(W, compute_uv=False).sum())
    if not 0 < size < np.inf:
        return W, -np.inf
    W = W / size
    rest = float(np.linalg.norm(image.T @ W.reshape(len(image), -1)))
    most = np.sqrt(min(W.shape[1:])) * np.linalg.norm(upper + spectral_norms(shifts))
    return W, -float(np.sum(shifts * W)) - rest * float(most)


def _centre_radius(
    image: FloatArray, shifts: FloatArray, radius: float, mu: float, point: FloatArray
) -> tuple[FloatArray, float, FloatArray]:
    """Return the centre of ``radius - mu sum log det(radius^2 I - M^T M)``: point, radius and blocks."""
    W, best = np.empty(0), np.inf

    def see(move: FloatArray) -> FloatArray:
        return np.asarray((image @ move).reshape(shifts.shape))

    def gather(blocks: FloatArray) -> FloatArray:
        return np.asarray(image.T @ blocks.reshape(len(image), -1))

    for _ in range(_NEWTON_STEPS):
        M = see(point) - shifts
        barrier = _barrier(M, radius)
        trace = np.trace(barrier.inverse, axis1=1, axis2=2).sum()
        squares = np.sum(barrier.inverse**2)
        cross = -4 * mu * radius * (barrier.pull @ barrier.inverse)
        bend = mu * (4 * radius**2 * squares - 2 * trace)
        gradient = np.append(gather(2 * mu * barrier.pull).ravel(), 1.0 - 2 * mu * radius * trace)
        hessian = np.empty((len(gradient), len(gradient)))
        hessian[:-1, :-1] = 2 * mu * barrier.curvature(image.T)
        hessian[-1, :-1] = hessian[:-1, -1] = gather(cross).ravel()
        hessian[-1, -1] = bend
        solve = newton_solver(hessian)
        direction = -solve(gradient)
        for _ in range(_REFINEMENTS):
            turn, grow = see(direction[:-1].reshape(point.shape)), float(direction[-1])
            change = 2 * mu * barrier.turned(turn) + grow * cross
            residual = -gradient - np.append(gather(change).ravel(), np.sum(cross * turn) + bend * grow)
            if np.abs(residual).max() <= 1e-14:  # the gradient is of order one: blocks have norms up to one
                break
            direction = direction + solve(residual)
        move, grow = direction[:-1].reshape(point.shape), float(direction[-1])
        turn = see(move)
        decrement = -float(gradient @ direction) / mu

        def loss(t: float) -> float:
            return t * grow - mu * _log_distance(M + t * turn, radius + t * grow)  # noqa: B023

        if decrement >= _QUADRATIC:
            step = step_length(loss, -decrement * mu)
        else:
            step = float(decrement < best and loss(1.0) < np.inf)
            best = decrement
        W = 2 * mu * (barrier.pull + barrier.turned(turn)) + grow * cross
        if step == 0.0:
            break
        point, radius = point + step * move, radius + step * grow
        if decrement <= _CENTRED:
            break
    return point, radius, W
