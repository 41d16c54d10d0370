"""Newton's method for the centre of a barrier, as far as rounding allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from .._validation import FloatArray

__all__ = ["View", "newton"]

_STEPS = 60  # at most, for one centre; a handful is usual
_QUADRATIC = 0.1  # squared Newton decrement, in units of the barrier's weight, below which steps are full
_CENTRED = 1e-10  # the same, where one more step is the last
_REFINEMENTS = 5  # of the solution of one linear system, at most


@dataclass(frozen=True, eq=False)
class View:
    """What is seen of a function with a barrier of weight mu from one point; all vectors are flat."""

    gradient: FloatArray
    hessian: FloatArray
    noise: float  # of the gradient, by rounding
    residual: Callable[[FloatArray], FloatArray]  # of Newton's system, without the matrix
    along: Callable[[FloatArray], Callable[[float], float]]  # the function on a line, infinite outside
    candidate: Callable[[FloatArray], FloatArray]  # for the primal problem, after a step


def newton(
    point: FloatArray, mu: float, view_from: Callable[[FloatArray], View]
) -> tuple[FloatArray, FloatArray]:
    """Return the centre and the primal blocks that go with it."""
    W, best = np.empty(0), np.inf
    for _ in range(_STEPS):
        view = view_from(point)
        direction = _direction(view)
        decrement = -float(np.sum(view.gradient * direction)) / mu
        along = view.along(direction)
        if decrement >= _QUADRATIC:
            step = _step_length(along, -decrement * mu)
        else:
            # Self-concordance: the full step stays inside, and the next decrement is about its square.
            step = float(decrement < best and along(1.0) < np.inf)
            best = decrement
        W = view.candidate(direction)
        if step == 0.0:
            break
        point = point + step * direction
        if decrement <= _CENTRED:
            break
    return point, W


def _direction(view: View) -> FloatArray:
    """Solve Newton's system; rounding in the matrix, and a ridge, show in the residual."""
    solve = _solver(view.hessian)
    direction = solve(-view.gradient)
    for _ in range(_REFINEMENTS):
        residual = view.residual(direction)
        if np.abs(residual).max() <= view.noise:
            break
        direction = direction + solve(residual)
    return direction


def _step_length(value: Callable[[float], float], slope: float) -> float:
    """Return a step along a direction by backtracking; zero if rounding allows none."""
    step, start = 1.0, value(0.0)
    while step > 1e-12:
        if value(step) <= start + 0.2 * step * slope:
            return step
        step *= 0.5
    return 0.0


def _solver(hessian: FloatArray) -> Callable[[FloatArray], FloatArray]:
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
