r"""The wedge kernel: denoising with weight decay as a group Lasso (Theorem 13, Appendix H.2.1).

Training a two-layer ReLU network without skip connection,

.. math:: p^* = \min_{u_j, \alpha_j} \Big\| \sum_j (Xu_j)_+ \alpha_j^\top - L \Big\|_F^2
          + \lambda \sum_j \big(\|u_j\|_p^2 + \|\alpha_j\|_p^2\big),

display (32) of the paper, asks for directions u.  Candidates are orthogonal to d - 1 rows of the data: they are
generalised cross products, and with every candidate its opposite.  For p = 1 the standard basis vectors count
as rows, too.  With these directions, scaled to :math:`\|u\|_p = 1`, the program

.. math:: \min_Z \|KZ - L\|_F^2 + 2\lambda \sum_j \|Z_j\|_p, \qquad K_{ij} = (x_i^\top u_j)_+

is exact for p = 1, because a linear function on a chamber of the unit ball is largest at a corner.  For p = 2 it
is an upper bound; more directions, found one by one where the dual is violated, make it exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike

from ._validation import FloatArray, as_flag, as_matrix, as_positive
from .arrangements import enumerate_arrangements
from .certificates import Certificate, NotCertifiedError
from .cross_products import cross_product
from .group_lasso import as_norm, bounds, responses, solve_group_lasso
from .networks import TwoLayerNetwork

__all__ = ["WedgeScore", "certify_wedge", "largest_response", "wedge_denoising", "wedge_directions"]

_DEPENDENT = 1e-12  # a cross product below this share of the product of lengths is zero
_ROUNDS = 60
_VIOLATION = 1e-9  # relative excess of a response that the last round may leave


@dataclass(frozen=True)
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
    rows, p = as_matrix(X, "X"), as_norm(p)
    as_flag(both, "both")
    with_basis = (p == 1) if basis is None else as_flag(basis, "basis")
    return _directions(rows, p, both, np.eye(rows.shape[1]) if with_basis else None, None, memory_limit)


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
        Whether the bias counts as a weight in the norm.  If it does not, a neuron without weights is a constant
        that costs nothing, so the output has a free constant.
    exact : bool
        For p = 2: go on adding directions until no neuron at all violates the dual.  In two and three
        dimensions, the one of the bias included.
    memory_limit : float
        Bytes that the kernel may need.

    Returns
    -------
    WedgeScore

    Raises
    ------
    ValueError
        If an argument is malformed, the kernel needs more memory than the limit, or an exact answer for p = 2 is
        asked for where there is none: in four or more dimensions, or with a free bias.
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
    points, labels = as_matrix(X, "X"), as_matrix(targets, "targets")
    lam, p = as_positive(lam, "lam"), as_norm(p)
    as_flag(bias, "bias")
    as_flag(exact, "exact")
    as_flag(penalise_bias, "penalise_bias")
    if labels.shape != points.shape:
        raise ValueError(f"targets must have the shape of X, {points.shape}; got {labels.shape}")
    free = bias and not penalise_bias
    rows = np.column_stack([points, np.ones(len(points))]) if bias else points
    D = rows.shape[1]
    if exact and p == 2 and (free or D not in (2, 3)):
        raise ValueError(
            f"exact=True with p = 2 needs two or three dimensions and no free bias; got {D} dimensions"
            + (", one of them a free bias" if free else "")
        )
    basis = np.eye(D)[: D - free] if p == 1 else None
    directions = _directions(rows, p, True, basis, slice(D - 1) if free else None, memory_limit)
    centre = labels.mean(axis=0) if free else np.zeros(labels.shape[1])
    goal = labels - centre

    def features(u: FloatArray) -> FloatArray:
        K = np.maximum(rows @ u.T, 0.0)
        return K - K.mean(axis=0) if free else K

    for _ in range(_ROUNDS):
        fit = solve_group_lasso(features(directions), goal, lam, p=p, tolerance=1e-9)
        if not exact or p == 1:
            break
        peaks = _peaks(rows, fit.Q)
        response = responses(np.maximum(rows @ peaks.T, 0.0), fit.Q, 2)
        outside = response > lam * (1 + _VIOLATION)
        if not outside.any():
            break
        directions = np.vstack([directions[fit.features], peaks[outside]])
    u = directions[fit.features]
    raw = np.maximum(rows @ u.T, 0.0)
    constant = (labels - raw @ fit.Z).mean(axis=0) if free else np.zeros(labels.shape[1])
    network = _network(u, fit.Z, constant, bias, p)
    largest: Callable[[FloatArray], float] | None = None
    certificate = certify_wedge(
        points, labels, network, fit.Q, lam, p=p, bias=bias, penalise_bias=penalise_bias, exact=exact or p == 1
    )
    if not certificate.holds:
        raise NotCertifiedError(f"wedge program, p = {p}, lam = {lam:g}: {certificate}")
    return WedgeScore(u, fit.Z, constant, fit.Q, lam, p, certificate, exact or p == 1, network)
