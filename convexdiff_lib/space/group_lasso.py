r"""The group Lasso with very many features, few of which are needed.

.. math:: \min_Z \tfrac12 \|KZ - L\|_F^2 + \lambda \sum_j \|Z_j\|_p, \qquad p \in \{1, 2\},

with one row :math:`Z_j` per feature.  For p = 1 it is one ordinary Lasso per column of L.  The dual is

.. math:: \max_Q \langle Q, L\rangle - \tfrac12 \|Q\|_F^2
          \quad\text{s.t. } \|K_j^\top Q\|_{p^*} \le \lambda \text{ for all } j .

`solve_group_lasso` hands a general solver the features that respond most, looks which of the others violate
the dual, adds the worst of them, drops what is not used, and repeats until the duality gap over **all**
features is small.
"""

from __future__ import annotations

import clarabel
import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from .._results import result
from .._validation import FloatArray, as_data, as_matrix, as_positive
from ..certificates import Certificate, NotCertifiedError
from ._blocks import Blocks
from ._follow_path import follow_path
from ._weak_duality import weak_duality
from .problem import SpaceProblem

__all__ = [
    "GroupLasso",
    "as_norm",
    "bounds",
    "certify_group_lasso",
    "close_features",
    "responses",
    "solve_group_lasso",
]

_NEWCOMERS = 60
_ROUNDS = 200
_NEGLIGIBLE = 1e-8  # rows of Z below this share of the largest one are left out
_GAP = 1e-10  # relative gap of the interior point for features that are close to each other
_TOLERANCE = 1e-11  # of the general solver; what it reaches is a little less


@result
class GroupLasso:
    """The solution of a group Lasso.

    Parameters
    ----------
    features : int array of shape (k,)
        Which features are used.
    Z : array of shape (k, c)
        Their coefficients.
    Q : array of shape (n, c)
        Dual variable: L - KZ but for rounding.
    certificate : Certificate
        Of the whole problem, with all features.

    Examples
    --------
    >>> fit = solve_group_lasso([[1.0, 0.0], [0.0, 1.0]], [[3.0], [0.5]], 1.0)
    >>> fit.features.tolist(), fit.Z.round(6).tolist()
    ([0], [[2.0]])
    """

    features: np.ndarray
    Z: FloatArray
    Q: FloatArray
    certificate: Certificate


def as_norm(p: int) -> int:
    """Return p if it is 1 or 2.

    Examples
    --------
    >>> as_norm(2)
    2
    """
    if isinstance(p, bool) or not isinstance(p, int | np.integer) or p not in (1, 2):
        raise ValueError(f"p must be 1 or 2; got {p!r}")
    return int(p)


def responses(K: FloatArray, Q: FloatArray, p: int) -> FloatArray:
    r"""Return the dual norms :math:`\|K_j^\top Q\|_{p^*}` of all features, shape (m,).

    Examples
    --------
    >>> responses(np.eye(2), np.array([[3.0, 4.0], [0.0, 1.0]]), 2).tolist()
    [5.0, 1.0]
    """
    products = K.T @ Q
    return np.abs(products).max(axis=1) if p == 1 else np.linalg.norm(products, axis=1)


def certify_group_lasso(
    K: ArrayLike, L: ArrayLike, Z: ArrayLike, Q: ArrayLike, lam: float, *, p: int = 2
) -> Certificate:
    r"""Certify a group Lasso from its data alone.

    Any Q is shrunk until no feature responds above :math:`\lambda`; its dual value is then a lower bound.

    Parameters
    ----------
    K : array of shape (n, m)
    L : array of shape (n, c)
    Z : array of shape (m, c)
    Q : array of shape (n, c)
    lam : float
    p : {1, 2}

    Returns
    -------
    Certificate
        The scale is the larger of the two values.

    Raises
    ------
    ValueError
        If an argument is malformed.

    Examples
    --------
    >>> print(certify_group_lasso([[1.0]], [[3.0]], [[2.0]], [[1.0]], 1.0))
    certificate holds: primal 2.5, dual 2.5
    relative gap <= 1e-12, infeasibility <= 1e-12, score error <= 1e-02
    """
    features, labels = as_matrix(K, "K"), as_matrix(L, "L")
    weights, dual_point = as_matrix(Z, "Z"), as_matrix(Q, "Q")
    for name, given, wanted in (
        ("L", labels.shape[0], features.shape[0]),
        ("Z", weights.shape, (features.shape[1], labels.shape[1])),
        ("Q", dual_point.shape, labels.shape),
    ):
        if given != wanted:
            raise ValueError(f"{name} has {given} where K of shape {features.shape} asks for {wanted}")
    largest = float(responses(features, dual_point, as_norm(p)).max())
    return bounds(
        features @ weights - labels, weights, dual_point, labels, largest, as_positive(lam, "lam"), p
    )


def bounds(
    residual: FloatArray,
    Z: FloatArray,
    Q: FloatArray,
    L: FloatArray,
    largest: float,
    lam: float,
    p: int,
) -> Certificate:
    """Return both bounds, once the largest response to Q is known.

    Examples
    --------
    >>> one = np.ones((1, 1))
    >>> print(bounds(-one, 2 * one, one, 3 * one, 1.0, 1.0, 2))
    certificate holds: primal 2.5, dual 2.5
    relative gap <= 1e-12, infeasibility <= 1e-12, score error <= 1e-02
    """
    penalty = np.abs(Z).sum() if p == 1 else np.linalg.norm(Z, axis=1).sum()
    primal = float(0.5 * np.sum(residual**2) + lam * penalty)
    return weak_duality(SpaceProblem(L, L, lam), residual + L, primal, Q, largest)


def solve_group_lasso(
    K: ArrayLike, L: ArrayLike, lam: float, *, p: int = 2, tolerance: float = 1e-8
) -> GroupLasso:
    r"""Solve a group Lasso to a certified relative gap.

    Parameters
    ----------
    K : array of shape (n, m)
        Features as columns.
    L : array of shape (n, c)
    lam : float
        Penalty, positive.
    p : {1, 2}
        Norm of the rows of Z.
    tolerance : float
        Relative duality gap to stop at.  If rounding keeps it above, that of a certificate will do.

    Returns
    -------
    GroupLasso

    Raises
    ------
    ValueError
        If an argument is malformed.
    NotCertifiedError
        If the gap stays above both.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> K, L = rng.normal(size=(20, 500)), rng.normal(size=(20, 2))
    >>> solve_group_lasso(K, L, 10.0).certificate.holds
    True
    """
    features, labels = as_data(K, "K", smallest=0.0), as_data(L, "L", smallest=0.0)
    lam, p, tolerance = as_positive(lam, "lam"), as_norm(p), as_positive(tolerance, "tolerance")
    if len(features) != len(labels):
        raise ValueError(f"K and L must have as many rows; got shapes {features.shape} and {labels.shape}")
    if p == 1 and labels.shape[1] > 1:
        return _column_by_column(features, labels, lam, tolerance)
    response = responses(features, labels, p)
    work = np.argsort(-response)[:_NEWCOMERS]
    if response.max() <= lam:  # zero is optimal
        work = work[:0]
    stuck = False
    best: GroupLasso | None = None
    least = np.inf  # gap when features were last left out
    for _ in range(_ROUNDS):
        chosen = features[:, work]
        if stuck:  # what is left of the labels may be nothing but rounding: Q comes from the dual itself
            Z, Q = close_features(chosen, labels, lam)
        else:
            Z = _restricted(chosen, labels, lam, p)
            Q = labels - chosen @ Z
        response = responses(features, Q, p)
        certificate = bounds(chosen @ Z - labels, Z, Q, labels, float(response.max()), lam, p)
        size = np.abs(Z).sum(axis=1)
        used = size > _NEGLIGIBLE * size.max(initial=0.0)
        if best is None or certificate.relative_gap < best.certificate.relative_gap:
            best = GroupLasso(work[used], Z[used], Q, certificate)
        if certificate.relative_gap <= tolerance:
            return best
        outside = np.flatnonzero(response > lam)
        outside = outside[np.argsort(-response[outside])][:_NEWCOMERS]
        # Features left out without progress may come back, and the rounds go in a circle.
        if certificate.relative_gap < least:
            least, kept = certificate.relative_gap, work[used]
        else:
            kept = work
        before, work = work, np.union1d(kept, outside)
        same = len(work) == len(before) and bool((work == np.sort(before)).all())
        if stuck and same:
            break
        stuck = stuck or same  # the general solver has reached its limit
    if best is not None and best.certificate.holds:
        return best
    raise NotCertifiedError(
        f"group Lasso with {features.shape[1]} features, lam = {lam:g}: {certificate}", best
    )


def _column_by_column(K: FloatArray, L: FloatArray, lam: float, tolerance: float) -> GroupLasso:
    """For p = 1 the columns of L are problems of their own."""
    parts = [solve_group_lasso(K, column[:, None], lam, p=1, tolerance=tolerance) for column in L.T]
    used = np.unique(np.concatenate([part.features for part in parts]))
    Z = np.zeros((len(used), L.shape[1]))
    for c, part in enumerate(parts):
        Z[np.searchsorted(used, part.features), c] = part.Z[:, 0]
    Q = np.column_stack([part.Q for part in parts])
    largest = float(responses(K, Q, 1).max())
    return GroupLasso(used, Z, Q, bounds(K[:, used] @ Z - L, Z, Q, L, largest, lam, 1))


def close_features(K: FloatArray, L: FloatArray, lam: float) -> tuple[FloatArray, FloatArray]:
    """Solve for p = 2, or for one column, with few features that may be very close to each other: Z and Q.

    The interior point of the gated networks does not mind that; the general solver does.

    Raises
    ------
    NotCertifiedError
        If it is lost to rounding.

    Examples
    --------
    >>> close_features(np.eye(2), np.array([[3.0], [0.5]]), 1.0)[0].round(6).tolist()
    [[2.0], [0.0]]
    """
    unit, size = float(np.abs(K).max()) or 1.0, float(np.abs(L).max()) or 1.0
    blocks = Blocks(np.ones((len(L), 1)), K.T / unit, np.zeros((K.shape[1], 1, L.shape[1])))
    Q, W = follow_path(blocks, L / size, lam / (unit * size), np.zeros_like(L), _GAP)
    Z = W[:, 0, :] * (size / unit)
    length = np.linalg.norm(Z, axis=1)
    Z[length <= _NEGLIGIBLE * length.max(initial=0.0)] = 0.0
    return Z, Q * size


def _restricted(K: FloatArray, L: FloatArray, lam: float, p: int) -> FloatArray:
    """Solve with all of these features, with Clarabel.  Variables are Z, bounds on its norms, and KZ - L."""
    (n, m), c = K.shape, L.shape[1]
    if not m:
        return np.zeros((0, c))
    scale, unit = float(np.abs(L).max()), float(np.abs(K).max()) or 1.0
    weights, norms, rest = m * c, m * c if p == 1 else m, n * c
    quadratic = sp.block_diag([sp.csc_matrix((weights + norms, weights + norms)), sp.identity(rest)])
    linear = np.concatenate([np.zeros(weights), np.full(norms, lam / (scale * unit)), np.zeros(rest)])
    fit = sp.hstack(
        [sp.kron(sp.csc_matrix(K / unit), sp.identity(c)), sp.csc_matrix((rest, norms)), -sp.identity(rest)]
    )
    if p == 1:
        one, none = sp.identity(weights), sp.csc_matrix((weights, rest))
        cone_rows = sp.vstack([sp.hstack([one, -one, none]), sp.hstack([-one, -one, none])])
        cones = [clarabel.NonnegativeConeT(2 * weights)]
    else:
        first = np.arange(m) * (c + 1)
        rows = np.concatenate([first, *(first + 1 + k for k in range(c))])
        columns = np.concatenate([weights + np.arange(m), *(np.arange(m) * c + k for k in range(c))])
        shape = (m * (c + 1), weights + norms + rest)
        cone_rows = sp.csc_matrix((-np.ones(len(rows)), (rows, columns)), shape=shape)
        cones = [clarabel.SecondOrderConeT(c + 1)] * m
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = _TOLERANCE
    solver = clarabel.DefaultSolver(
        sp.triu(quadratic).tocsc(),
        linear,
        sp.vstack([fit, cone_rows]).tocsc(),
        np.concatenate([L.ravel() / scale, np.zeros(cone_rows.shape[0])]),
        [clarabel.ZeroConeT(rest), *cones],
        settings,
    )
    return (scale / unit) * np.asarray(solver.solve().x)[:weights].reshape(m, c)
