r"""Newton's method for a group Lasso whose Gram matrix fits into memory, however many rows it has.

.. math:: \min_W \tfrac12 \|\Phi W - L\|_F^2 + \beta \sum_i \|W_i\|_F

Because :math:`\|W_i\| = \min_{\eta_i \ge 0} \tfrac12 (\|W_i\|^2/\eta_i + \eta_i)`, the blocks can be
minimised out, which leaves a smooth convex function of one number per block, the length of the optimal one:

.. math:: f(\eta) = \tfrac12 \big\langle L, (I + \tfrac1\beta \Phi D_\eta \Phi^\top)^{-1} L \big\rangle
          + \tfrac\beta2 \sum_i \eta_i, \qquad
          \partial_i f = \tfrac12 \big(\beta - \tfrac1\beta \|C_i\|^2\big), \quad C = \Phi^\top (L - \Phi W) .

With :math:`M = \Phi^\top (I + \frac1\beta\Phi D_\eta \Phi^\top)^{-1} \Phi` its Hessian is
:math:`\langle C_i, M_{ij} C_j\rangle / \beta^2`.  A single block of an isotropic problem has
:math:`1/\|C\|` linear in :math:`\eta`, so Newton's method is applied to :math:`\beta/\|C_i\| = 1`, and to the
gradient of f where that leads uphill.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular
from scipy.linalg.lapack import dpotrf
from scipy.optimize import nnls

from .._validation import FloatArray

__all__ = ["GramProblem", "minimise_lengths"]

_STEPS = 200
_HALVINGS = 5
_RIDGES = (0.0, 1e-13, 1e-11, 1e-9, 1e-7, 1e-5)  # of the largest diagonal entry: blocks may be copies
_ROUNDING = 1e-12  # relative change of f that says nothing
_TINY = 1e-14  # lengths below this share of the largest one are zero


@dataclass(frozen=True, eq=False)
class GramProblem:
    """What is left of the rows: the Gram matrix of the features, their products with L, and its square.

    Parameters
    ----------
    G : array of shape (N, N)
    R : array of shape (N, c)
    total : float
        Sum of the squares of L.
    sizes : int array of shape (P,)
        How many consecutive features every block has; they sum to N.
    beta : float
    """

    G: FloatArray
    R: FloatArray
    total: float
    sizes: NDArray[np.intp]
    beta: float

    @cached_property
    def starts(self) -> NDArray[np.intp]:
        """Where the blocks begin."""
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.intp)

    @cached_property
    def block(self) -> NDArray[np.intp]:
        """To which block each feature belongs."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def lengths(self, W: FloatArray) -> FloatArray:
        """Frobenius norms of the blocks."""
        return np.asarray(np.sqrt(np.add.reduceat(np.sum(W**2, axis=1), self.starts)))


@dataclass(frozen=True, eq=False)
class _At:
    """The best blocks for given lengths, and what they leave over."""

    eta: FloatArray
    used: NDArray[np.intp]  # features of blocks that are not zero
    factor: FloatArray  # lower Cholesky factor of beta I + sqrt(D) G sqrt(D), on these
    W: FloatArray
    C: FloatArray
    value: float  # f
    responses: FloatArray  # lengths of the blocks of C
    gap: float  # relative, as the Gram matrix sees it


def _factor(S: FloatArray) -> FloatArray:
    """Return the lower Cholesky factor of a matrix that is positive but for rounding."""
    size = float(np.diag(S).max(initial=0.0))
    for ridge in _RIDGES:
        raised = S.copy()
        raised[np.diag_indices_from(raised)] += ridge * size
        factor, failed = dpotrf(raised, lower=True, clean=True, overwrite_a=True)
        if not failed:
            return np.asarray(factor)
    return np.sqrt(size or 1.0) * np.eye(len(S))


def _at(problem: GramProblem, eta: FloatArray) -> _At:
    roots = np.sqrt(eta)[problem.block]
    used = np.flatnonzero(roots)
    root = roots[used][:, None]
    inner = root * problem.G[np.ix_(used, used)] * root.T
    inner[np.diag_indices_from(inner)] += problem.beta
    factor = _factor(inner)
    W = root * cho_solve((factor, True), root * problem.R[used], check_finite=False)
    C = problem.R - problem.G[:, used] @ W
    whole = np.zeros_like(problem.R)
    whole[used] = W
    value = 0.5 * (problem.total - float(np.sum(problem.R[used] * W)) + problem.beta * float(eta.sum()))
    responses = problem.lengths(C)
    return _At(eta, used, factor, whole, C, value, responses, _gap(problem, whole, C, responses))


def _gap(problem: GramProblem, W: FloatArray, C: FloatArray, responses: FloatArray) -> float:
    linear, square = float(np.sum(problem.R * W)), float(np.sum(W * (problem.R - C)))
    rest = max(problem.total - 2 * linear + square, 0.0)
    primal = 0.5 * rest + problem.beta * float(problem.lengths(W).sum())
    largest = float(responses.max(initial=0.0))
    shrink = min(1.0, problem.beta / largest) if largest > 0 else 1.0
    dual = shrink * (problem.total - linear) - 0.5 * shrink**2 * rest
    return (primal - dual) / max(primal, 1e-300)


def _curvature(problem: GramProblem, at: _At, free: NDArray[np.intp]) -> FloatArray:
    r"""Return :math:`\langle C_i, M_{ij} C_j\rangle` for the free blocks."""
    chosen = np.flatnonzero(np.isin(problem.block, free))
    root = np.sqrt(at.eta)[problem.block[at.used]][:, None]
    half = solve_triangular(
        at.factor, root * problem.G[np.ix_(at.used, chosen)], lower=True, check_finite=False
    )
    M = problem.G[np.ix_(chosen, chosen)] - half.T @ half
    C, sizes = at.C[chosen], problem.sizes[free]
    if sizes.max() == 1:
        return np.asarray(M * (C @ C.T))
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)
    S = np.empty((len(free), len(free)))
    for j, (first, size) in enumerate(zip(starts, sizes, strict=True)):
        moved = M[:, first : first + size] @ C[first : first + size]
        S[:, j] = np.add.reduceat(np.sum(C * moved, axis=1), starts)
    return 0.5 * (S + S.T)


def _moved(problem: GramProblem, at: _At, free: NDArray[np.intp], step: FloatArray, share: float) -> _At:
    eta = np.zeros_like(at.eta)
    eta[free] = np.maximum(at.eta[free] + share * step, 0.0)
    eta[eta <= _TINY * eta.max(initial=0.0)] = 0.0
    return _at(problem, eta)


def _is_better(new: _At, old: _At) -> bool:
    """Whether f is lower; where rounding hides that, whether the gap is."""
    return new.value < old.value or (new.value <= old.value * (1 + _ROUNDING) and new.gap < 0.5 * old.gap)


def _better(problem: GramProblem, at: _At) -> _At | None:
    """Return where a step leads, for the reciprocals or else the gradient; None where rounding decides."""
    beta = problem.beta
    free = np.flatnonzero((at.eta > 0) | (at.responses > beta))
    if len(free) == 0:
        return None
    S, size, eta = _curvature(problem, at, free), at.responses[free], at.eta[free]
    scale = 1 / np.sqrt(np.maximum(np.diag(S), 1e-300))
    S = scale[:, None] * S * scale
    factor = _factor(S)
    sides = (size**2 * (size - beta), 0.5 * beta * (size**2 - beta**2))
    for side in sides:
        step = scale * cho_solve((factor, True), scale * side, check_finite=False)
        for halving in range(_HALVINGS):
            new = _moved(problem, at, free, step, 0.5**halving)
            if _is_better(new, at):
                return new
    # Where lengths can be traded for each other, what they may not go below has to be seen beforehand.
    aim = solve_triangular(factor, S @ (eta / scale) + scale * sides[1], lower=True, check_finite=False)
    step = scale * nnls(factor.T, aim, maxiter=100 * len(free))[0] - eta
    for halving in range(4 * _HALVINGS):
        new = _moved(problem, at, free, step, 0.5**halving)
        if _is_better(new, at):
            return new
    return None


def minimise_lengths(
    problem: GramProblem, start: FloatArray | None = None, aim: float = 1e-10
) -> tuple[FloatArray, FloatArray]:
    """Return the blocks W, shape (N, c), and their lengths.

    Parameters
    ----------
    problem : GramProblem
    start : array of shape (P,), optional
        Lengths to begin with.
    aim : float
        Relative gap to stop at; where rounding allows no further step, the best so far is returned.
    """
    if len(problem.sizes) == 0:
        return np.zeros_like(problem.R), np.zeros(0)
    at = _at(problem, _first_guess(problem) if start is None else start)
    for _ in range(_STEPS):
        new = None if at.gap <= aim else _better(problem, at)
        if new is None:
            break
        at = new
    return at.W, at.eta


def _first_guess(problem: GramProblem) -> FloatArray:
    """Each block as if it were alone and isotropic, and all of them together no more than that."""
    responses = problem.lengths(problem.R)
    sizes = np.add.reduceat(np.diag(problem.G), problem.starts) / problem.sizes
    worth = np.maximum(responses - problem.beta, 0.0)
    return np.asarray(worth / np.maximum(sizes, 1e-300) / len(sizes))
