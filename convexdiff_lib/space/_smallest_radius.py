r"""The least bound that the constraints of a dual allow, by following the centres of its barrier."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .._validation import FloatArray
from ..certificates import NotCertifiedError
from ._blocks import Blocks, spectral_norms
from ._newton import View, newton
from ._spectral_barrier import SHRINK, barrier_at, first_to_join, joined, log_distance

__all__ = ["check_close", "proven", "smallest_radius"]

_NIL = 1e-3  # a radius below this share of the first one is as good as its absolute error
_DEPENDENT = 1e-12  # singular values of the constraints' map below this share of the largest one are zero
_CLOSE = 1e-6  # relative distance of two bounds that are believed
_SPENT = 1e-3  # the path ends at this share of the wanted gap, if rounding has kept the gap above it


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
    working = first_to_join(sizes)
    part = blocks.part(working)
    image, back = _orthonormal(part)
    point, radius = np.zeros((image.shape[1], c)), 1.1 * upper
    mu = radius / (rank * len(working))
    for _ in range(500):
        try:
            point, radius, found = _centre(image, part.shifts, radius, mu, point)
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
        if len(more := joined(working, norms, radius)) > len(working):
            working = more
            part = blocks.part(working)
            image, back = _orthonormal(part)
            point = image.T @ part.linear(Q).reshape(-1, c)
            mu = max(mu, (1.1 * float(norms.max()) - radius) / (rank * len(working)))
            radius = 1.1 * float(norms.max())
        elif mu * rank * len(working) <= _SPENT * gap * max(radius, nil):
            break
        else:
            mu *= SHRINK
    return best, W, lower


def proven(blocks: Blocks, W: FloatArray, upper: float) -> float:
    """Return the lower bound on a radius below ``upper`` that nearly cancelling blocks prove."""
    return _proof(_orthonormal(blocks)[0], blocks.shifts, W, upper)[1]


def check_close(lower: float, upper: float, scale: float) -> None:
    """Refuse bounds on a critical weight decay that say too little."""
    if upper - lower > _CLOSE * scale:
        raise NotCertifiedError(
            f"critical weight decay only known to lie between {lower:.9g} and {upper:.9g}"
        )


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


def _centre(
    image: FloatArray, shifts: FloatArray, radius: float, mu: float, point: FloatArray
) -> tuple[FloatArray, float, FloatArray]:
    """Return the centre of ``radius - mu sum log det(radius^2 I - M^T M)``: point, radius and blocks."""

    def see(move: FloatArray) -> FloatArray:
        return np.asarray((image @ move.reshape(point.shape)).reshape(shifts.shape))

    def gather(blocks: FloatArray) -> FloatArray:
        return np.asarray(image.T @ blocks.reshape(len(image), -1)).ravel()

    def view_from(here: FloatArray) -> View:
        radius = float(here[-1])
        M = see(here[:-1]) - shifts
        barrier = barrier_at(M, radius)
        trace = np.trace(barrier.inverse, axis1=1, axis2=2).sum()
        cross = -4 * mu * radius * (barrier.pull @ barrier.inverse)
        bend = mu * (4 * radius**2 * np.sum(barrier.inverse**2) - 2 * trace)
        gradient = np.append(gather(2 * mu * barrier.pull), 1.0 - 2 * mu * radius * trace)
        hessian = np.empty((len(gradient), len(gradient)))
        hessian[:-1, :-1] = 2 * mu * barrier.curvature(image.T)
        hessian[-1, :-1] = hessian[:-1, -1] = gather(cross)
        hessian[-1, -1] = bend

        def change(direction: FloatArray, start: float | FloatArray) -> FloatArray:
            return 2 * mu * (start + barrier.turned(see(direction[:-1]))) + direction[-1] * cross

        def residual(direction: FloatArray) -> FloatArray:
            last = np.sum(cross * see(direction[:-1])) + bend * direction[-1]
            return -gradient - np.append(gather(change(direction, 0.0)), last)

        def along(direction: FloatArray) -> Callable[[float], float]:
            turn, grow = see(direction[:-1]), float(direction[-1])
            return lambda t: t * grow - mu * log_distance(M + t * turn, radius + t * grow)

        # The gradient is of order one: blocks have norms up to one.
        return View(gradient, hessian, 1e-14, residual, along, lambda to: change(to, barrier.pull))

    found, W = newton(np.append(point, radius), mu, view_from)
    return found[:-1].reshape(point.shape), float(found[-1]), W
