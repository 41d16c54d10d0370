r"""Convex programs for activations that the paper does not have, as literal as its own, in CVXPY.

* Smooth activations have no finite list of candidates, so the Lasso runs over a grid of units.
* A network of squares whose biases are penalised is a semidefinite program: of every output the neurons make
  one symmetric matrix, and the penalty is its nuclear norm.

These programs are the reference, never the fast path.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._optional import needed
from .._results import result
from .._validation import (
    FloatArray,
    as_count,
    as_matrix,
    as_not_negative,
    as_positive,
    as_sample,
    as_targets,
    as_weight_decay,
)
from ..certificates import Certificate, score_error_in_space
from ..line._activations import ACTIVATIONS, AnyActivation, as_any_activation
from ..line.smooth import SmoothNetwork
from .univariate_programs import _solve

with needed("CVXPY", '"convexdiff-lib[programs]"'):
    import cvxpy as cp

__all__ = ["QuadraticProgram", "SmoothProgram", "quadratic_program", "smooth_program", "smooth_threshold"]

_FAR = 60.0  # so far from its kink, in units of 1/(temperature w), a smooth unit is a line to the last bit
_MIRRORED = ("abs", "logcosh", "tanh")  # whose units facing left are those facing right, or minus them
_TOLERANCE = 1e-6  # of a general solver for semidefinite programs
_ROUNDING = 1e-12


@result
class SmoothProgram:
    """The solved Lasso over a grid of units.

    Parameters
    ----------
    network : SmoothNetwork
        Of the units that have a weight.
    z : array of shape (n,)
        The dual variable, in the order of the sorted data.
    value : float
        Training loss of the network, with the path norm.
    dual : float
        A lower bound on the loss of all networks of units of the grid, to the tolerance of the solver.

    Examples
    --------
    >>> found = smooth_program([-1.0, 0.0, 0.5, 2.0], 1.5)
    >>> bool(abs(found.value - found.dual) <= 1e-6)
    True
    """

    network: SmoothNetwork
    z: FloatArray
    value: float
    dual: float


def smooth_program(
    x: ArrayLike,
    beta: float,
    *,
    activation: AnyActivation = "softplus",
    temperature: float = 1.0,
    sharpness: ArrayLike = (1.0,),
    resolution: int = 60,
) -> SmoothProgram:
    r"""Solve the Lasso of score matching over a grid of units of any activation.

    .. math:: \min_{y, c} \tfrac12 \|\Phi y + c\|^2 + \ell^T y + \beta \|y\|_1, \qquad
              \varphi(x) = \frac{\sigma_\tau(\pm w (x - t))}{w}

    A column of Phi holds the values of one unit at the data, an entry of l the sum of its slopes there; the
    penalty is the path norm.  The grid of kinks t is finest around the data, at the scale
    :math:`1/(\tau w)` on which a unit bends.  CVXPY is given the dual, which has few variables.

    Parameters
    ----------
    x : array of shape (n,)
        A few points: the matrix is dense.
    beta : float
    activation : str
    temperature : float
    sharpness : array of shape (k,)
        The weights w, positive; with w = 1 alone, the first layer is not trained.
    resolution : int
        Number of kinks on either side of a point, at least 1.

    Returns
    -------
    SmoothProgram

    Raises
    ------
    ValueError
        If an argument is malformed, or the program is unbounded: beta is below `smooth_threshold`.

    Examples
    --------
    >>> from convexdiff_lib import score_matching
    >>> x = [-1.0, 0.0, 0.5, 2.0]
    >>> smooth = smooth_program(x, 1.5, temperature=30.0)
    >>> bool(smooth.value >= score_matching(x, 1.5).value)
    True
    """
    points, decay = np.sort(as_sample(x)), as_weight_decay(beta)
    units = _units(points, activation, temperature, sharpness, resolution)
    length = float(points.std()) or 1.0  # z is measured in units of one over a length
    values = (units.values - units.values.mean(axis=0)) / length
    sizes = np.maximum(np.abs(values).max(axis=0), 1.0)  # rows of order one
    z = cp.Variable(len(points))
    shift = values.T / sizes[:, None] @ z - units.slopes / sizes
    walls = [shift <= decay / sizes, -shift <= decay / sizes]
    _solved(cp.Problem(cp.Minimize(cp.sum_squares(z) / 2), [*walls, cp.sum(z) == 0]))
    pushes = (np.ravel(walls[0].dual_value) - np.ravel(walls[1].dual_value)) / sizes / length**2
    best = z.value / length
    kept = np.abs(pushes) > 1e-9 * np.abs(pushes).max(initial=0.0)
    y, w, kinks = pushes[kept], units.w[kept], units.kinks[kept]
    bare = SmoothNetwork(w, -w * kinks, y / np.abs(w), activation=activation, temperature=temperature)
    network = replace(bare, b0=-float(np.mean(bare(points))))
    value = network.loss(points, decay, penalty="path norm")
    return SmoothProgram(network, best, value, -0.5 * float(best @ best))


def _solved(problem: cp.Problem) -> None:
    """Solve as well as the solver can: neighbours on a fine grid are nearly equal, which it may not bear."""
    for tolerance in (1e-12, 1e-10, 1e-8):
        try:
            problem.solve(
                solver=cp.CLARABEL, tol_gap_abs=tolerance, tol_gap_rel=tolerance, tol_feas=tolerance
            )
        except cp.SolverError:
            continue
        if problem.status == cp.OPTIMAL:
            return
    raise ValueError(f"the program has no finite optimum: CVXPY reports {problem.status!r}")


def smooth_threshold(
    x: ArrayLike,
    *,
    activation: AnyActivation = "softplus",
    temperature: float = 1.0,
    sharpness: ArrayLike = (1.0,),
    resolution: int = 60,
) -> float:
    r"""Return the weight decay below which score matching over a grid of units has no finite optimum.

    The smallest beta for which a z exists with :math:`|z^T \varphi - \ell| \le \beta` for every unit of the
    grid and :math:`z^T 1 = 0`: a linear program.  A finer grid can only raise it.

    Parameters
    ----------
    x, activation, temperature, sharpness, resolution
        As `smooth_program` takes them.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If an argument is malformed.

    Examples
    --------
    >>> x = [0.0, 1.0, 2.0, 3.0]
    >>> round(smooth_threshold(x, activation="gelu", sharpness=[1, 1e5], resolution=200), 3)
    1.129
    """
    from scipy.optimize import linprog

    points = np.sort(as_sample(x))
    values, slopes, *_ = _units(points, activation, temperature, sharpness, resolution)
    n, k = values.shape
    rows = np.vstack([np.hstack([values.T, -np.ones((k, 1))]), np.hstack([-values.T, -np.ones((k, 1))])])
    found = linprog(
        np.append(np.zeros(n), 1.0),
        A_ub=rows,
        b_ub=np.concatenate([slopes, -slopes]),
        A_eq=np.append(np.ones(n), 0.0)[None],
        b_eq=[0.0],
        bounds=[(None, None)] * (n + 1),
        method="highs",
    )
    return float(found.fun)


class _Units(NamedTuple):
    """Values at the data, sums of slopes, weights and kinks of all units of a grid."""

    values: FloatArray
    slopes: FloatArray
    w: FloatArray
    kinks: FloatArray


def _units(
    points: FloatArray, activation: AnyActivation, temperature: float, sharpness: ArrayLike, resolution: int
) -> _Units:
    tau, shape = as_positive(temperature, "temperature"), ACTIVATIONS[as_any_activation(activation)]
    count = as_count(resolution, "resolution", minimum=1)
    parts = []
    for w in as_sample(sharpness, "sharpness"):
        sharp = tau * as_positive(float(w), "sharpness")
        kinks = _kinks(points, sharp, count)
        for facing in (1.0,) if activation in _MIRRORED else (1.0, -1.0):
            u = facing * sharp * (points[:, None] - kinks)
            slopes = facing * shape.slope(u).sum(axis=0)
            parts.append(_Units(shape.value(u) / sharp, slopes, np.full(len(kinks), facing * w), kinks))
    return _Units(*(np.concatenate(columns, axis=-1) for columns in zip(*parts, strict=True)))


def _kinks(points: FloatArray, sharp: float, count: int) -> FloatArray:
    """Kinks around every point at the scale of a unit, some in every gap, and one far beyond either end."""
    steps = np.append(0.0, np.geomspace(0.01, _FAR, count)) / sharp
    near = np.add.outer(points, np.append(-steps, steps)).ravel()
    gaps = np.linspace(points[:-1], points[1:], count // 2 + 2).ravel()
    ends = points[[0, -1]] + np.array([-1.0, 1.0]) * _FAR / sharp
    near = near[(near >= ends[0]) & (near <= ends[1])]
    return np.unique(np.concatenate([near, gaps, ends]))


@result
class QuadraticProgram:
    r"""The solved program of a network of squares in d dimensions, with penalised biases.

    .. math:: s_k(x) = \tilde x^T M_k \tilde x + c_k, \qquad \tilde x = (x, 1)

    Parameters
    ----------
    matrices : array of shape (d, d + 1, d + 1)
        The symmetric matrices M.
    constants : array of shape (d,)
    certificate : Certificate
        Recomputed from the data and these: the dual constraint is a bound on the spectral norm of one matrix
        for every output.

    Examples
    --------
    >>> found = quadratic_program([[-1.0], [0.0], [0.5], [2.0]], 1.0)
    >>> found.matrices.shape, found.certificate.holds
    ((1, 2, 2), True)
    """

    matrices: FloatArray
    constants: FloatArray
    certificate: Certificate

    @property
    def value(self) -> float:
        """Objective, recomputed with NumPy."""
        return self.certificate.primal

    def __call__(self, X: ArrayLike) -> FloatArray:
        """Return the score at X, shape (n, d)."""
        rows = _with_one(as_matrix(X, "X"))
        return np.einsum("ni,kij,nj->nk", rows, self.matrices, rows) + self.constants


def quadratic_program(X: ArrayLike, beta: float, *, targets: ArrayLike | None = None) -> QuadraticProgram:
    r"""Solve the semidefinite program of a network of squares whose biases are penalised.

    Every output has neurons of its own, :math:`s_k(x) = \sum_j \alpha_j (w_j^T x + b_j)^2 + c_k`, with the
    penalty :math:`\frac\beta3 \sum_j (|\alpha_j|^3 + 2 \|(w_j, b_j)\|^3)`, which is at least
    :math:`\beta \sum_j |\alpha_j| \|(w_j, b_j)\|^2`.
    The neurons of an output make one symmetric matrix M, the cheapest way to make it is its eigenvectors, and
    costs :math:`\beta` times its nuclear norm:

    .. math:: \min_{M, c} \sum_i \big[\tfrac12 \|s(x_i)\|^2 + \mathrm{tr} \nabla s(x_i)\big]
              + \beta \sum_k \|M_k\|_*

    Parameters
    ----------
    X : array of shape (n, d)
    beta : float
    targets : array of shape (n, d), optional
        For denoising; without them, score matching.

    Returns
    -------
    QuadraticProgram

    Raises
    ------
    ValueError
        If the data are malformed, or the program has no finite optimum: with few points there are parabolas
        that vanish at all of them, and a small beta does not hold these.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> quadratic_program(rng.normal(size=(12, 2)), 2.0).certificate.holds
    True
    """
    points, decay = as_matrix(X, "X"), as_not_negative(beta, "beta")
    labels = None if targets is None else as_targets(targets, len(points))
    rows, (n, d) = _with_one(points), points.shape
    aims = np.zeros((n, d)) if labels is None else labels
    flat, mean = np.zeros((d, d + 1, d + 1)), aims.mean(axis=0)
    verdict = _judged(points, flat, mean, decay, labels)
    # Where a constant is optimal a solver only comes near to it, and leaves no scale to judge that by.
    if verdict.infeasibility <= _ROUNDING * decay:
        return QuadraticProgram(flat, mean, verdict)
    pairs = np.einsum("ni,nj->nij", rows, rows).reshape(n, -1)
    M = [cp.Variable((d + 1, d + 1), symmetric=True) for _ in range(d)]
    c = cp.Variable(d)
    scores = [pairs @ cp.vec(M[k], order="F") + c[k] for k in range(d)]
    loss = sum(cp.sum_squares(scores[k] - aims[:, k]) / 2 for k in range(d))
    if labels is None:
        loss = loss + sum(2 * cp.sum(rows @ M[k][:, k]) for k in range(d))
    _solve(cp.Problem(cp.Minimize(loss + decay * sum(cp.normNuc(matrix) for matrix in M))))
    matrices, constants = np.array([matrix.value for matrix in M]), np.array(c.value)
    return QuadraticProgram(matrices, constants, _judged(points, matrices, constants, decay, labels))


def _with_one(points: FloatArray) -> FloatArray:
    return np.hstack([points, np.ones((len(points), 1))])


def _judged(
    points: FloatArray, matrices: FloatArray, constants: FloatArray, beta: float, labels: FloatArray | None
) -> Certificate:
    r"""Judge matrices from the data alone.

    The dual value is a lower bound for every z with column sums zero for which the matrices
    :math:`\sum_i z_{ik} \tilde x_i \tilde x_i^T`, less the gradient of the divergence, have spectral norms of
    at most beta.
    """
    rows, (n, d) = _with_one(points), points.shape
    scores = np.einsum("ni,kij,nj->nk", rows, matrices, rows) + constants
    aims = np.zeros((n, d)) if labels is None else labels
    z = aims - scores
    z = z - z.mean(axis=0)
    gradients = np.einsum("nk,ni,nj->kij", z, rows, rows)
    divergence = 0.0
    if labels is None:
        total = rows.sum(axis=0)
        for k in range(d):
            gradients[k, k] -= total
            gradients[k, :, k] -= total
        divergence = float(sum(2 * matrices[k, k] @ total for k in range(d)))
    worst = max(float(np.linalg.norm(gradient, 2)) for gradient in gradients)
    weight = sum(float(np.linalg.norm(matrix, "nuc")) for matrix in matrices)
    primal = 0.5 * float(np.sum((scores - aims) ** 2)) + divergence + beta * weight
    dual = float(np.sum(z * (aims - aims.mean(axis=0))) - 0.5 * np.sum(z**2))
    violation = max(worst - beta, 0.0)
    return Certificate(
        primal,
        dual,
        violation / n,
        max(abs(primal), abs(dual), 0.5 * float(np.sum((aims - aims.mean(axis=0)) ** 2))),
        score_error=score_error_in_space(points, scores, abs(primal - dual) + violation * weight, labels),
        gap_tolerance=_TOLERANCE,
        feasibility_tolerance=_TOLERANCE,
        score_tolerance=1e-1,
    )
