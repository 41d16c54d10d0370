r"""Training with finitely many given neurons: a cone program, for Clarabel."""

from __future__ import annotations

import clarabel
import numpy as np
from scipy import sparse

from .._validation import FloatArray

__all__ = ["solve_finite"]

_TOLERANCE = 1e-8


def solve_finite(
    features: FloatArray, slopes: FloatArray, goal: FloatArray, decay: float
) -> FloatArray | None:
    r"""Minimise :math:`\tfrac12\|L - \Phi^\top A\|^2 + \langle T, A\rangle + \beta \sum_j \|a_j\|` over A.

    Through its dual, :math:`\max_Q \langle Q, L\rangle - \tfrac12\|Q\|^2` subject to
    :math:`\|\Phi_j Q - t_j\| \le \beta`.

    Parameters
    ----------
    features, slopes : arrays of shapes (k, n) and (k, c)
        Phi and T.
    goal : array of shape (n, c)
        L.
    decay : float

    Returns
    -------
    array of shape (k, c), or None
        None if the loss has no lower bound.

    Examples
    --------
    >>> one, goal = np.array([[1.0]]), np.array([[2.0]])
    >>> solve_finite(one, 0 * one, goal, 0.5).round(6).tolist()
    [[1.5]]
    >>> solve_finite(0 * one, one, goal, 0.5) is None
    True
    """
    k, c = slopes.shape
    if k < len(goal):  # only the part of Q that the neurons see counts
        basis, triangle = np.linalg.qr(features.T)
        features, goal = triangle.T, basis.T @ goal
    # The solver tells what is impossible by absolute tolerances: it sees features of order one.
    sizes = np.linalg.norm(features, axis=1)
    unit = float(np.median(sizes[sizes > 0])) if sizes.any() else 1.0
    features, goal, n = features / unit, goal * unit, len(goal)
    rows = np.zeros((k, c + 1, c, n))
    bound = np.full((k, c + 1), decay)
    for e in range(c):
        rows[:, 1 + e, e] = -features
    bound[:, 1:] = -slopes
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = _TOLERANCE
    solution = clarabel.DefaultSolver(
        sparse.identity(c * n, format="csc"),
        -goal.T.ravel(),
        sparse.csc_matrix(rows.reshape(-1, c * n)),
        bound.ravel(),
        [clarabel.SecondOrderConeT(c + 1)] * k,
        settings,
    ).solve()
    if "Infeasible" in str(solution.status):
        return None
    return -np.asarray(solution.z).reshape(k, c + 1)[:, 1:] / unit**2
