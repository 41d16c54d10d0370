r"""Training with finitely many given neurons, and their least response: cone programs, for Clarabel."""

from __future__ import annotations

from typing import Any

import clarabel
import numpy as np
from scipy import sparse

from .._validation import FloatArray

__all__ = ["ROUGHLY", "SHARPLY", "least_radius", "solve_finite"]

ROUGHLY = 1e-8  # where Newton's method takes over
SHARPLY = 1e-10  # where nothing does
_UNLIKE = 1e3  # neurons whose values or slopes differ so much are given one size


def solve_finite(
    features: FloatArray, slopes: FloatArray, goal: FloatArray, decay: float, tolerance: float = ROUGHLY
) -> tuple[FloatArray, FloatArray] | None:
    r"""Minimise :math:`\tfrac12\|L - \Phi^\top A\|^2 + \langle T, A\rangle + \beta \sum_j \|a_j\|` over A.

    Through its dual, :math:`\max_Q \langle Q, L\rangle - \tfrac12\|Q\|^2` subject to
    :math:`\|\Phi_j Q - t_j\| \le \beta`.

    Parameters
    ----------
    features, slopes : arrays of shapes (k, n) and (k, c)
        Phi and T.
    goal : array of shape (n, c)
        L.
    decay, tolerance : float

    Returns
    -------
    weights, Q : arrays of shapes (k, c) and (n, c), or None
        None if the loss has no lower bound.  What the weights leave of the targets is Q but for the root of
        the tolerance, Q itself meets its constraints to the tolerance.

    Examples
    --------
    >>> one, goal = np.array([[1.0]]), np.array([[2.0]])
    >>> [part.round(6).tolist() for part in solve_finite(one, 0 * one, goal, 0.5)]
    [[[1.5]], [[0.5]]]
    >>> solve_finite(0 * one, one, goal, 0.5) is None
    True
    """
    k, c = slopes.shape
    basis, seen = _seen(features)
    aims = basis.T @ goal
    features, unit = _of_order_one(seen)
    bounds = np.full(k, decay)
    sizes = np.maximum.reduce([np.linalg.norm(features, axis=1), np.linalg.norm(slopes, axis=1), bounds])
    if slopes.any() and sizes.max(initial=0.0) > _UNLIKE * sizes.min(initial=np.inf):
        features, slopes, bounds = features / sizes[:, None], slopes / sizes[:, None], bounds / sizes
    else:
        sizes = np.ones(k)
    solution = _solved(
        sparse.identity(c * len(aims), format="csc"),
        -unit * aims.T.ravel(),
        _cones(features, c, np.zeros((k, 0))),
        np.column_stack([bounds, -slopes]),
        tolerance,
    )
    if "Infeasible" in str(solution.status):
        return None
    weights = -np.asarray(solution.z).reshape(k, c + 1)[:, 1:] / unit**2 / sizes[:, None]
    within = np.asarray(solution.x).reshape(c, len(aims)).T / unit
    return weights, goal + basis @ (within - aims)


def least_radius(features: FloatArray, slopes: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    r"""Minimise :math:`r` subject to :math:`\|\Phi_j Q - t_j\| \le r`, roughly.

    Parameters
    ----------
    features, slopes : arrays of shapes (k, n) and (k, c)

    Returns
    -------
    Q : array of shape (n, c)
    W : array of shape (k, c)
        Multipliers: the sum of all :math:`\Phi_j^\top W_j` is nearly zero, that of their lengths one.
    r : float

    Examples
    --------
    >>> Q, _, r = least_radius(np.array([[1.0], [1.0]]), np.array([[1.0], [3.0]]))
    >>> Q.round(6).tolist(), round(r, 6)
    ([[2.0]], 1.0)
    """
    k, c = slopes.shape
    basis, seen = _seen(features)
    seen, unit = _of_order_one(seen)
    n = seen.shape[1]
    solution = _solved(
        sparse.csc_matrix((c * n + 1, c * n + 1)),
        np.append(np.zeros(c * n), 1.0),
        _cones(seen, c, -np.eye(1, c + 1).repeat(k, axis=0)),
        np.column_stack([np.zeros(k), -slopes]),
        SHARPLY,
    )
    found = np.asarray(solution.x)
    multipliers = -np.asarray(solution.z).reshape(k, c + 1)[:, 1:]
    return basis @ found[:-1].reshape(c, n).T / unit, multipliers, float(found[-1])


def _seen(features: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return a basis, as columns, of the part of Q that neurons see, if it is not all, and features in it."""
    k, n = features.shape
    if k >= n:
        return np.eye(n), features
    basis, triangle = np.linalg.qr(features.T)
    return basis, triangle.T


def _of_order_one(features: FloatArray) -> tuple[FloatArray, float]:
    """Return features in a unit in which they are of order one, and the unit.

    The solver tells what is impossible by absolute tolerances.
    """
    sizes = np.linalg.norm(features, axis=1)
    unit = float(np.median(sizes[sizes > 0])) if sizes.any() else 1.0
    return features / unit, unit


def _cones(features: FloatArray, c: int, last: FloatArray) -> sparse.csc_matrix:
    """The rows of all cones, of c + 1 each, for the columns of Q one after the other, and a last unknown."""
    k, n = features.shape
    rows = np.zeros((k, c + 1, c, n))
    for e in range(c):
        rows[:, 1 + e, e] = -features
    return sparse.csc_matrix(
        np.column_stack([rows.reshape(k * (c + 1), c * n), last.reshape(k * (c + 1), -1)])
    )


def _solved(
    quadratic: sparse.csc_matrix,
    linear: FloatArray,
    rows: sparse.csc_matrix,
    bounds: FloatArray,
    tolerance: float,
) -> Any:
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tolerance
    cones = [clarabel.SecondOrderConeT(bounds.shape[1])] * len(bounds)
    return clarabel.DefaultSolver(quadratic, linear, rows, bounds.ravel(), cones, settings).solve()
