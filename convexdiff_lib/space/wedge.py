r"""The wedge kernel: denoising with weight decay as a group Lasso (Theorem 13, Appendix H.2.1).

Training a two-layer ReLU network without skip connection,

.. math:: p^* = \min_{u_j, \alpha_j} \Big\| \sum_j (Xu_j)_+ \alpha_j^\top - L \Big\|_F^2
          + \lambda \sum_j \big(\|u_j\|_p^2 + \|\alpha_j\|_p^2\big),

display (32) of the paper, asks for directions u.  Candidates are orthogonal to d - 1 rows of the data: they
are generalised cross products, and with every candidate its opposite.  For p = 1 the standard basis vectors
count as rows, too.  With these directions, scaled to :math:`\|u\|_p = 1`, the program

.. math:: \min_Z \|KZ - L\|_F^2 + 2\lambda \sum_j \|Z_j\|_p, \qquad K_{ij} = (x_i^\top u_j)_+

is exact for p = 1, because a linear function on a chamber of the unit ball is largest at a corner.  For p = 2
it is an upper bound; more directions, found one by one where the dual is violated, make it exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike

from .._results import result
from .._validation import FloatArray, as_data, as_flag, as_matrix, as_memory_limit, as_positive
from ..certificates import SCORE_TOLERANCE_BY_LOSS, Certificate, NotCertifiedError, score_error_in_space
from ..networks import TwoLayerNetwork
from .arcs import response_peaks
from .arrangements import chamber_signs
from .cross_products import cross_product
from .group_lasso import as_norm, bounds, close_features, responses, solve_group_lasso

__all__ = ["WedgeScore", "certify_wedge", "largest_response", "wedge_denoising", "wedge_directions"]

_DEPENDENT = 1e-12  # a cross product below this share of the product of lengths is zero
_ROUNDS = 60
_NEWCOMERS = 60
_VIOLATION = 1e-9  # relative excess of a response that the last round may leave
_CLOSED = 3e-9  # relative gap at which the rounds stop, below that of a certificate


@result
class WedgeScore:
    r"""A network trained by the wedge program, with its certificate.  Calling it evaluates the score.

    Parameters
    ----------
    directions : array of shape (k, D)
        The directions u that are used, of p-norm one; D = d, or d + 1 with biases.
    Z : array of shape (k, d)
        Their coefficients.
    constant : array of shape (d,)
        What is added to the output; zero unless biases are free.
    Q : array of shape (n, d)
        Dual variable: the targets minus the fitted values.
    lam : float
    p : int
    certificate : Certificate
        Its values are those of display (32), without the factor one half.  Where ``exact`` is true the lower
        bound holds for every network; else it holds for the program with the wedge directions only.
    exact : bool

    Examples
    --------
    >>> fit = wedge_denoising([[1.0, 0.0], [0.0, 2.0]], [[1.0, 0.0], [0.0, 1.0]], 0.1, p=1)
    >>> fit.certificate.holds, fit.exact, fit([[3.0, 0.0]]).shape
    (True, True, (1, 2))
    """

    directions: FloatArray
    Z: FloatArray
    constant: FloatArray
    Q: FloatArray
    lam: float
    p: int
    certificate: Certificate
    exact: bool
    _network: TwoLayerNetwork = field(repr=False)

    @property
    def value(self) -> float:
        """The loss (32) of the network."""
        return self.certificate.primal

    def network(self) -> TwoLayerNetwork:
        """Return the network of display (34); both layers of every neuron have one p-norm."""
        return self._network

    def __call__(self, x: ArrayLike) -> FloatArray:
        """Return the score at points of shape (n, d)."""
        return self._network(x)


def wedge_directions(
    X: ArrayLike, *, p: int = 2, both: bool = True, basis: bool | None = None, memory_limit: float = 2e9
) -> FloatArray:
    r"""Return the directions orthogonal to d - 1 rows, of p-norm one.

    Parameters
    ----------
    X : array of shape (n, d)
    p : {1, 2}
    both : bool
        Whether every direction comes with its opposite; the printed program has one orientation only.
    basis : bool, optional
        Whether the standard basis vectors count as rows; by default for p = 1.
    memory_limit : float
        Bytes that the kernel of n rows and all directions may need.

    Returns
    -------
    array of shape (m, d)
        Sets of dependent rows are left out.

    Raises
    ------
    ValueError
        If an argument is malformed, or the kernel would need more memory than the limit.

    Examples
    --------
    >>> wedge_directions([[3.0, 0.0]], both=False).tolist()
    [[0.0, -1.0]]
    """
    rows, p = as_data(X), as_norm(p)
    as_flag(both, "both")
    with_basis = (p == 1) if basis is None else as_flag(basis, "basis")
    limit = as_memory_limit(memory_limit)
    return _directions(rows, p, both, np.eye(rows.shape[1]) if with_basis else None, None, limit)


def _directions(
    rows: FloatArray,
    p: int,
    both: bool,
    basis: FloatArray | None,
    penalised: slice | None,
    memory_limit: float = 2e9,
) -> FloatArray:
    n, d = rows.shape
    lines = rows[rows.any(axis=1)]
    lines = lines / np.linalg.norm(lines, axis=1, keepdims=True)
    if basis is not None:
        lines = np.vstack([lines, basis])
    count = comb(len(lines), d - 1) * (2 if both else 1)
    if 8.0 * n * count > memory_limit:
        raise ValueError(
            f"{len(lines)} rows in {d} dimensions have {count:,} wedge directions, and their kernel needs "
            f"{8e-9 * n * count:,.1f} GB; memory_limit is {memory_limit / 1e9:g} GB"
        )
    subsets = np.array(list(combinations(range(len(lines)), d - 1)), dtype=np.intp).reshape(-1, d - 1)
    wedges = cross_product(lines[subsets]).astype(np.float64)
    wedges = wedges[np.linalg.norm(wedges, axis=1) > _DEPENDENT]
    size = np.linalg.norm(wedges[:, penalised or slice(None)], ord=p, axis=1)
    wedges, size = wedges[size > _DEPENDENT], size[size > _DEPENDENT]
    unit = wedges / size[:, None]
    return np.vstack([unit, -unit]) if both else unit


def wedge_denoising(
    X: ArrayLike,
    targets: ArrayLike,
    lam: float,
    *,
    p: int = 2,
    bias: bool = False,
    penalise_bias: bool = True,
    exact: bool = False,
    memory_limit: float = 2e9,
) -> WedgeScore:
    r"""Train a two-layer ReLU network on noisy data by the wedge program.

    Parameters
    ----------
    X : array of shape (n, d)
        Noisy data.
    targets : array of shape (n, d)
        For denoising minus the noise over its level.
    lam : float
        Weight decay of display (32), on the squared p-norms of both layers; no factor one half anywhere.
    p : {1, 2}
        For p = 1 the optimum is that of (32).  For p = 2 it is an upper bound, unless ``exact``.
    bias : bool
        Whether neurons have biases: a constant 1 is appended to the data.
    penalise_bias : bool
        Whether the bias counts as a weight in the norm.  If it does not, a neuron without weights is a
        constant that costs nothing, so the output has a free constant.
    exact : bool
        For p = 2: go on adding directions until no neuron at all violates the dual.  In up to three
        dimensions, the one of a bias that is penalised included.
    memory_limit : float
        Bytes that the kernel may need.

    Returns
    -------
    WedgeScore

    Raises
    ------
    ValueError
        If an argument is malformed, the kernel needs more memory than the limit, or an exact answer for p = 2
        is asked for in four or more dimensions.
    NotCertifiedError
        If the answer does not pass its certificate.

    Examples
    --------
    >>> X, L = np.random.default_rng(0).normal(size=(2, 12, 2))
    >>> upper = wedge_denoising(X, L, 0.5)
    >>> best = wedge_denoising(X, L, 0.5, exact=True)
    >>> bool(best.value <= upper.value + 1e-9), best.certificate.holds
    (True, True)
    """
    points, labels = as_data(X), as_data(targets, "targets", smallest=0.0)
    lam, p = as_positive(lam, "lam"), as_norm(p)
    as_flag(bias, "bias")
    as_flag(exact, "exact")
    as_flag(penalise_bias, "penalise_bias")
    limit = as_memory_limit(memory_limit)
    if labels.shape != points.shape:
        raise ValueError(f"targets must have the shape of X, {points.shape}; got {labels.shape}")
    free = bias and not penalise_bias
    rows = np.column_stack([points, np.ones(len(points))]) if bias else points
    D = rows.shape[1]
    if exact and p == 2:
        _check_dimensions(D - free)
    basis = np.eye(D)[: D - free] if p == 1 else None
    directions = _directions(rows, p, True, basis, slice(D - 1) if free else None, limit)
    centre = labels.mean(axis=0) if free else np.zeros(labels.shape[1])
    goal = labels - centre

    def features(u: FloatArray) -> FloatArray:
        K = np.maximum(rows @ u.T, 0.0)
        return K - K.mean(axis=0) if free else K

    u, Z, Q = directions[:0], np.zeros((0, labels.shape[1])), goal
    if len(directions):
        fit = solve_group_lasso(features(directions), goal, lam, p=p, tolerance=5e-9)
        u, Z, Q = directions[fit.features], fit.Z, fit.Q
    if exact and p == 2:
        u, Z, Q = _all_directions(features, lambda Q: _peaks(rows, Q, free), goal, lam, u, Z, Q)
    constant = (labels - np.maximum(rows @ u.T, 0.0) @ Z).mean(axis=0) if free else np.zeros(labels.shape[1])
    network = _network(u, Z, constant, bias, p)
    sure = exact or p == 1
    certificate = certify_wedge(
        points, labels, network, Q, lam, p=p, bias=bias, penalise_bias=penalise_bias, exact=sure
    )
    if not certificate.holds:
        raise NotCertifiedError(f"wedge program, p = {p}, lam = {lam:g}: {certificate}")
    return WedgeScore(u, Z, constant, Q, lam, p, certificate, sure, network)


def _all_directions(
    features: Callable[[FloatArray], FloatArray],
    peaks_of: Callable[[FloatArray], FloatArray],
    goal: FloatArray,
    lam: float,
    u: FloatArray,
    Z: FloatArray,
    Q: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Add the directions that violate the dual of the 2-norm most, solve again, and repeat until none does.

    The directions close in on each other, so the inner problems go to an interior point that does not mind,
    mostly: now and then it loses a round to rounding.  So the best of both sides is kept.
    """
    primal, dual, least = np.inf, -np.inf, np.inf  # ``least`` is the gap when directions were last left out
    best = u, Z, Q
    for _ in range(_ROUNDS):
        peaks = peaks_of(Q)
        response = responses(features(peaks), Q, 2)
        largest = float(response.max(initial=0.0))
        now = bounds(features(u) @ Z - goal, Z, Q, goal, largest, lam, 2)
        if now.primal < primal:
            primal, best = now.primal, (u, Z, best[2])
        if now.dual > dual:
            dual, best = now.dual, (*best[:2], Q * min(1.0, lam / largest) if largest > 0 else Q)
        outside = np.flatnonzero(response > lam * (1 + _VIOLATION))
        if primal - dual <= _CLOSED * max(abs(primal), abs(dual)) or not len(outside):
            break
        outside = outside[np.argsort(-response[outside])][:_NEWCOMERS]
        # Directions left out without progress may come back, and the rounds go in a circle.
        if primal - dual < least:
            least, used = primal - dual, Z.any(axis=1)
            u = u[used]
        u = np.vstack([u, peaks[outside]])
        Z, Q = close_features(features(u), goal, lam)
    u, Z, Q = best
    used = Z.any(axis=1)
    return u[used], Z[used], Q


def _check_dimensions(d: int) -> None:
    if d > 3:
        raise ValueError(f"p = 2 is exact in up to three dimensions, a penalised bias among them; got {d}")


def _network(u: FloatArray, Z: FloatArray, constant: FloatArray, bias: bool, p: int) -> TwoLayerNetwork:
    """Share every coefficient between the layers, so that both have one p-norm."""
    share = np.sqrt(np.linalg.norm(Z, ord=p, axis=1))[:, None]
    first, second = u * share, (Z / share).T
    d = Z.shape[1]
    b1 = first[:, -1] if bias else np.zeros(len(u))
    return TwoLayerNetwork(first[:, :d], b1, second, constant, np.zeros((d, d)))


def certify_wedge(
    X: ArrayLike,
    targets: ArrayLike,
    network: TwoLayerNetwork,
    Q: ArrayLike,
    lam: float,
    *,
    p: int = 2,
    bias: bool = False,
    penalise_bias: bool = True,
    exact: bool = True,
) -> Certificate:
    r"""Certify a network for display (32) from the data alone.

    Weak duality: the loss of every network is at least :math:`2\langle Q, L\rangle - \|Q\|_F^2` if no
    direction of p-norm one has a response :math:`\|Q^\top (Xu)_+\|_{p^*}` above :math:`\lambda`; any Q is
    first shrunk until it is so.  With ``exact`` false only the wedge directions are looked at, and the bound
    is one for them.

    Parameters
    ----------
    X, targets : arrays of shape (n, d)
    network : TwoLayerNetwork
        Primal candidate.
    Q : array of shape (n, d)
        Dual candidate.
    lam, p, bias, penalise_bias : as in `wedge_denoising`
    exact : bool

    Returns
    -------
    Certificate
        Its gap is compared with the larger of the two values.

    Raises
    ------
    ValueError
        If an argument is malformed, the network is not of the class that is certified, or an exact
        certificate for p = 2 is asked for in four or more dimensions.

    Examples
    --------
    One point (1, 0) with target (1, 0): one neuron along the point, of weights r and r, costs
    :math:`(r^2 - 1)^2 + 2 \lambda r^2`.

    >>> half = np.array([[np.sqrt(0.5), 0.0]])
    >>> net = TwoLayerNetwork(half, np.zeros(1), half.T, np.zeros(2), np.zeros((2, 2)))
    >>> print(certify_wedge([[1, 0]], [[1, 0]], net, [[0.5, 0]], lam=0.5))
    certificate holds: primal 0.75, dual 0.75
    relative gap <= 1e-12, infeasibility <= 1e-12, score error <= 1e-02
    """
    points, labels, dual_point = as_matrix(X, "X"), as_matrix(targets, "targets"), as_matrix(Q, "Q")
    lam, p = as_positive(lam, "lam"), as_norm(p)
    if not points.shape == labels.shape == dual_point.shape:
        raise ValueError(
            f"X, targets and Q must have one shape; got {points.shape}, {labels.shape}, {dual_point.shape}"
        )
    free = bias and not penalise_bias
    if (
        network.activation != "relu"
        or network.V.any()
        or (network.b1.any() and not bias)
        or (network.b2.any() and not free)
    ):
        raise ValueError(
            "network must be a ReLU network without skip connection, with the biases of its class"
        )
    rows = np.column_stack([points, np.ones(len(points))]) if bias else points
    if free:
        dual_point = dual_point - dual_point.mean(axis=0)
    D = rows.shape[1]
    if exact and p == 2:
        _check_dimensions(D - free)
        directions = _peaks(rows, dual_point, free)
    else:
        basis = np.eye(D)[: D - free] if p == 1 else None
        directions = _directions(rows, p, True, basis, slice(D - 1) if free else None, np.inf)
    largest = float(responses(np.maximum(rows @ directions.T, 0.0), dual_point, p).max(initial=0.0))
    if largest > lam:
        dual_point = dual_point * (lam / largest)
    first = np.column_stack([network.W1, network.b1]) if bias and not free else network.W1
    sizes = [np.sum(np.linalg.norm(layer, ord=p, axis=1) ** 2) for layer in (first, network.W2.T)]
    scores = network(points)
    primal = float(np.sum((scores - labels) ** 2) + lam * sum(sizes))
    dual = float(2 * np.sum(dual_point * labels) - np.sum(dual_point**2))
    slack = abs(primal - dual) / 2  # (32) has twice the usual loss
    return Certificate(
        primal,
        dual,
        0.0,
        max(abs(primal), abs(dual)),
        score_error=score_error_in_space(points, scores, slack, labels),
        score_tolerance=SCORE_TOLERANCE_BY_LOSS,
    )


def largest_response(X: ArrayLike, Q: ArrayLike, *, p: int = 2) -> float:
    r"""Return the largest :math:`\|Q^\top (Xu)_+\|_{p^*}` over **all** directions u of p-norm one.

    For p = 1 it is attained at a wedge direction, in any dimension.  For p = 2, up to three dimensions: on a
    chamber the square is a quadratic form, so its maximum is at the leading eigenvector, if that lies in
    the chamber, or on a hyperplane, where the same question has one dimension less.

    Parameters
    ----------
    X : array of shape (n, d)
    Q : array of shape (n, c)
    p : {1, 2}

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If an argument is malformed, or p = 2 and d is more than 3.

    Examples
    --------
    >>> largest_response([[3.0, 4.0, 0.0]], [[2.0]]), largest_response([[3.0, 4.0, 0.0]], [[2.0]], p=1)
    (10.0, 8.0)
    """
    rows, dual_point = as_matrix(X, "X"), as_matrix(Q, "Q")
    if len(rows) != len(dual_point):
        raise ValueError(f"Q must have as many rows as X; got shapes {dual_point.shape} and {rows.shape}")
    if as_norm(p) == 1:
        directions = wedge_directions(rows, p=1)
    else:
        _check_dimensions(rows.shape[1])
        directions = _peaks(rows, dual_point)
    return float(responses(np.maximum(rows @ directions.T, 0.0), dual_point, p).max())


def _peaks(rows: FloatArray, Q: FloatArray, free: bool = False) -> FloatArray:
    """Unit vectors at which the response may be largest: one for every arc, or chamber and hyperplane.

    With a free bias, where the columns of Q sum to zero, the response is convex in the bias between data
    points and constant beyond them.  So it is largest with the kink at one; seen from there, no bias is left.
    """
    if free:
        points = rows[:, :-1]
        origins = np.unique(points, axis=0)
        seen = [_peaks(points - origin, Q) for origin in origins]
        biases = [-u @ origin for u, origin in zip(seen, origins, strict=True)]
        return np.column_stack([np.concatenate(seen), np.concatenate(biases)])
    if rows.shape[1] == 1:
        return np.array([[1.0], [-1.0]])
    if rows.shape[1] == 2:
        return response_peaks(rows, Q)[1]
    signs = chamber_signs(rows)
    M = np.einsum("pn,nd,nc->pdc", signs > 0, rows, Q, optimize=True)
    leading = np.linalg.eigh(M @ M.transpose(0, 2, 1))[1][:, :, -1]
    side = np.sign(leading @ rows.T)
    found = [
        half * leading[((half * side == signs) | (side == 0)).all(axis=1)] for half in (1.0, -1.0)
    ]  # a vector in the interior of its chamber; on the boundary it belongs to a hyperplane
    for normal in rows[rows.any(axis=1)]:
        plane = np.linalg.svd(normal[None])[2][1:].T
        found.append(response_peaks(rows @ plane, Q)[1] @ plane.T)
    return np.concatenate(found)
