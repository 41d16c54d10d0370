r"""The convex programs of the paper exactly as printed, in CVXPY.

These are the reference, never the fast path: dense n x 4n matrices, a general-purpose solver.  What the paper
prints and what is right are both here where they differ, under names that say which is which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cvxpy as cp
import numpy as np
from numpy.typing import ArrayLike

from ._validation import FloatArray, as_finite, as_sample, as_weight_decay
from .networks import KinkNetwork, TwoLayerNetwork

__all__ = [
    "LassoProgram",
    "ReluMatrices",
    "reconstruct_relu",
    "relu_matrices",
    "solve_relu_dual",
    "solve_relu_program",
]

_SOLVER_TOLERANCE = 1e-11


@dataclass(frozen=True)
class ReluMatrices:
    r"""The data of program (4) for ReLU without skip connection, Appendix D.2.1.

    Parameters
    ----------
    A1, A2 : arrays of shape (n, n)
        :math:`[A_1]_{ij} = (x_i - x_j)_+` and :math:`[A_2]_{ij} = (x_j - x_i)_+`.
    A : array of shape (n, 4n)
        :math:`[\bar A_1, \bar A_1, \bar A_2, \bar A_2]`, columns centred.
    b : array of shape (4n,)
        :math:`[1^T C_1, 1^T C_2, -1^T C_3, -1^T C_4]`: sums of the derivatives, with the indicator at a kink
        read as 1 in :math:`C_1, C_3` and as 0 in :math:`C_2, C_4`.

    Examples
    --------
    >>> relu_matrices([0.0, 1.0]).b.tolist()
    [2.0, 1.0, 1.0, 0.0, -1.0, -2.0, -0.0, -1.0]
    """

    A1: FloatArray
    A2: FloatArray
    A: FloatArray
    b: FloatArray


@dataclass(frozen=True)
class LassoProgram:
    """A solved program (4).

    Parameters
    ----------
    y : array of shape (4n,)
        Minimiser.
    value : float
        Its objective value, recomputed from y with NumPy.

    Examples
    --------
    >>> LassoProgram(y=np.zeros(4), value=0.0).value
    0.0
    """

    y: FloatArray
    value: float


def relu_matrices(x: ArrayLike) -> ReluMatrices:
    """Build the matrices of program (4) for ReLU, as printed.

    Parameters
    ----------
    x : array of shape (n,)

    Returns
    -------
    ReluMatrices

    Raises
    ------
    ValueError
        If x is empty, not finite or not one-dimensional.

    Examples
    --------
    >>> relu_matrices([0.0, 1.0, 3.0]).A.shape
    (3, 12)
    """
    sample = as_sample(x)
    difference = sample[:, None] - sample[None, :]
    A1, A2 = np.maximum(difference, 0.0), np.maximum(-difference, 0.0)
    C1, C2 = difference >= 0, difference > 0
    C3, C4 = difference <= 0, difference < 0
    A = np.hstack([A1, A1, A2, A2])
    b = np.concatenate([C1.sum(0), C2.sum(0), -C3.sum(0).astype(float), -C4.sum(0).astype(float)])
    return ReluMatrices(A1, A2, A - A.mean(axis=0), b)


def solve_relu_program(x: ArrayLike, beta: float) -> LassoProgram:
    r"""Solve program (4) of Theorem 1 for ReLU with CVXPY.

    .. math:: \min_y \tfrac12 \|A y\|_2^2 + b^T y + \beta \|y\|_1

    Parameters
    ----------
    x : array of shape (n,)
        A few hundred points at most: the program has 4n variables and a dense matrix.
    beta : float

    Returns
    -------
    LassoProgram

    Raises
    ------
    ValueError
        If the program is unbounded (beta below the threshold) or the arguments are malformed.

    Examples
    --------
    >>> round(solve_relu_program([-1.0, 1.0], beta=1.0).value, 6)
    -0.25
    """
    matrices, decay = relu_matrices(x), as_weight_decay(beta)
    y = cp.Variable(matrices.A.shape[1])
    objective = 0.5 * cp.sum_squares(matrices.A @ y) + matrices.b @ y + decay * cp.norm1(y)
    _solve(cp.Problem(cp.Minimize(objective)))
    return LassoProgram(y.value, _lasso_value(matrices, y.value, decay))


def _lasso_value(matrices: ReluMatrices, y: FloatArray, beta: float) -> float:
    return float(0.5 * np.sum((matrices.A @ y) ** 2) + matrices.b @ y + beta * np.abs(y).sum())


def solve_relu_dual(x: ArrayLike, beta: float) -> tuple[FloatArray, float]:
    r"""Solve the dual, display (7) of the paper, with CVXPY.

    .. math:: \max_z -\tfrac12 \|z\|^2 \quad \text{s.t. } |z^T (x - x_i)_+ - \#\{x \ge x_i\}| \le \beta
              \text{ and its three companions},\; z^T 1 = 0

    Parameters
    ----------
    x : array of shape (n,)
    beta : float

    Returns
    -------
    z : array of shape (n,)
    value : float

    Raises
    ------
    ValueError
        If no z is feasible (beta below the threshold) or the arguments are malformed.

    Examples
    --------
    >>> z, value = solve_relu_dual([-1.0, 1.0], beta=1.0)
    >>> round(value, 6)
    -0.25
    """
    sample, decay = as_sample(x), as_weight_decay(beta)
    matrices = relu_matrices(sample)
    z = cp.Variable(len(sample))
    columns = np.hstack([matrices.A1, matrices.A1, matrices.A2, matrices.A2])
    constraints = [cp.abs(columns.T @ z - matrices.b) <= decay, cp.sum(z) == 0]
    _solve(cp.Problem(cp.Minimize(0.5 * cp.sum_squares(z)), constraints))
    return z.value, float(-0.5 * np.sum(z.value**2))


def _solve(problem: cp.Problem) -> None:
    problem.solve(
        solver=cp.CLARABEL,
        tol_gap_abs=_SOLVER_TOLERANCE,
        tol_gap_rel=_SOLVER_TOLERANCE,
        tol_feas=_SOLVER_TOLERANCE,
    )
    if problem.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
        raise ValueError(f"the program has no finite optimum: CVXPY reports {problem.status!r}")


def reconstruct_relu(
    x: ArrayLike, y: ArrayLike, *, epsilon: float = 0.0, rule: Literal["signed", "printed"] = "signed"
) -> TwoLayerNetwork:
    r"""Read a network off a solution of program (4), display (8) of the paper.

    Neuron j has :math:`|w_j| = |\alpha_j| = \sqrt{|y_j|}`; the four blocks of y are kinks at :math:`x_j` and
    :math:`x_j + \epsilon` facing right, then at :math:`x_j` and :math:`x_j - \epsilon` facing left.  The
    printed rule takes every :math:`\alpha_j` positive; the optimum needs :math:`\alpha_j =
    \mathrm{sign}(y_j)\sqrt{|y_j|}`.

    Parameters
    ----------
    x : array of shape (n,)
    y : array of shape (4n,)
    epsilon : float
        Offset of the second and fourth block; zero means the smallest one that floating point can express.
    rule : {"signed", "printed"}

    Returns
    -------
    TwoLayerNetwork

    Raises
    ------
    ValueError
        If y has not four entries per point, epsilon is negative or the rule is unknown.

    Examples
    --------
    >>> net = reconstruct_relu([0.0, 1.0], [0, 0, -4, 0, 0, 0, 0, 0])
    >>> net([0.0, 1.0]).tolist(), net.W2.tolist()[0][2]
    ([2.0, -2.0], -2.0)
    """
    sample, weights = as_sample(x), as_sample(y, "y")
    if len(weights) != 4 * len(sample):
        raise ValueError(f"y must have 4 entries per data point, {4 * len(sample)}; got {len(weights)}")
    if as_finite(epsilon, "epsilon") < 0:
        raise ValueError(f"epsilon must be at least 0; got {epsilon}")
    if rule not in ("signed", "printed"):
        raise ValueError(f"rule must be 'signed' or 'printed'; got {rule!r}")
    n = len(sample)
    facing = np.repeat([1.0, -1.0], 2 * n)
    beyond = np.tile(np.repeat([False, True], n), 2)
    position = np.tile(sample, 4) + np.where(beyond, facing * epsilon, 0.0)
    outgoing = weights if rule == "signed" else np.abs(weights)
    kinks = KinkNetwork(position, facing, outgoing, beyond & (epsilon == 0))
    # The bias is printed for the true weights, b0 = -mean of [A1, A1, A2, A2] y, under either rule.
    difference = sample[:, None] - sample[None, :]
    columns = np.hstack([np.maximum(sign * difference, 0.0) for sign in (1, 1, -1, -1)])
    bias = -float(np.mean(columns @ weights))
    return KinkNetwork(
        kinks.kinks, facing, outgoing, kinks.beyond, origin=0.0, constant=bias, slope=0.0
    ).two_layer()
