r"""In which directions a neuron can respond most to a dual point, over all directions of p-norm one.

On a chamber of the arrangement of the data the response :math:`\|Q^\top (Xu)_+\|_{p^*}` is convex in u.  For
p = 1 it is largest at a corner of the chamber, and corners are orthogonal to d - 1 rows: the wedge directions
of the paper, generalised cross products.  For p = 2 its square is a quadratic form, and its maximum is at the
leading eigenvector, if that lies in the chamber, or on a hyperplane, where the same question has one
dimension less.
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike

from .._progress import QUIET, Bar
from .._validation import FloatArray, as_data, as_flag, as_matrix, as_memory_limit
from .arrangements import chamber_signs
from .circles import response_peaks
from .cross_products import cross_product
from .group_lasso import as_norm, responses

__all__ = ["completed", "largest_response", "wedge_directions"]

_BLOCK = 4096  # sets of rows at once, whose minors stay in the cache
_DEPENDENT = 1e-12  # a cross product below this share of the product of lengths is zero


def wedge_directions(
    X: ArrayLike,
    *,
    p: int = 2,
    both: bool = True,
    basis: bool | None = None,
    memory_limit: float = 2e9,
    progress: bool = False,
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
    progress : bool
        Whether to show a bar that counts sets of rows.

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
    with Bar(progress, "wedge_directions", "set") as bar:
        return orthogonal_to_rows(rows, p, both=both, basis=with_basis, memory_limit=limit, bar=bar)


def orthogonal_to_rows(
    rows: FloatArray,
    p: int,
    *,
    both: bool = True,
    basis: bool,
    free: bool = False,
    memory_limit: float,
    bar: Bar = QUIET,
) -> FloatArray:
    """Return the wedge directions; with ``free`` the last entry does not count in their norm."""
    n, d = rows.shape
    counted = d - free
    lines = rows[rows.any(axis=1)]
    lines = lines / np.linalg.norm(lines, axis=1, keepdims=True)
    if basis:
        lines = np.vstack([lines, np.eye(d)[:counted]])
    count = comb(len(lines), d - 1) * (2 if both else 1)
    if 8.0 * n * count > memory_limit:
        raise ValueError(
            f"{len(lines)} rows in {d} dimensions have {count:,} wedge directions, and their kernel needs "
            f"{8e-9 * n * count:,.1f} GB; memory_limit is {memory_limit / 1e9:g} GB"
        )
    found = list(combinations(range(len(lines)), d - 1))
    subsets = np.array(found, dtype=np.intp).reshape(len(found), d - 1)
    bar.expect(len(subsets))
    wedges = np.empty((len(subsets), d))
    for start in range(0, len(subsets), _BLOCK):
        block = slice(start, start + _BLOCK)
        wedges[block] = cross_product(lines[subsets[block]])
        bar.done(len(wedges[block]))
    wedges = wedges[np.linalg.norm(wedges, axis=1) > _DEPENDENT]
    size = np.linalg.norm(wedges[:, :counted], ord=p, axis=1)
    wedges, size = wedges[size > _DEPENDENT], size[size > _DEPENDENT]
    unit = wedges / size[:, None]
    return np.vstack([unit, -unit]) if both else unit


def completed(rows: FloatArray, free: bool = False) -> FloatArray:
    """Return rows, and vectors orthogonal to all of them until both span: normals of directions in the span.

    A neuron gains nothing outside the span of the data, and rows that do not span have no d - 1 of them that
    say which directions in there are wedges.  With ``free`` the last weight costs nothing, and what is gained
    or not is that of the others.

    Parameters
    ----------
    rows : array of shape (n, d)
    free : bool

    Returns
    -------
    array of shape (n + d - r, d)
        With r the rank, up to rounding.

    Examples
    --------
    >>> import numpy as np
    >>> np.abs(completed(np.array([[3.0, 0.0]]))).tolist()
    [[3.0, 0.0], [0.0, 1.0]]
    """
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    _, singular, right = np.linalg.svd(rows / np.where(lengths > 0, lengths, 1.0))
    rank = int((singular > _DEPENDENT * singular[0]).sum())
    others = right[rank:] * np.append(np.ones(rows.shape[1] - 1), 0.0 if free else 1.0)
    return np.vstack([rows, others])


def largest_response(X: ArrayLike, Q: ArrayLike, *, p: int = 2) -> float:
    r"""Return the largest :math:`\|Q^\top (Xu)_+\|_{p^*}` over **all** directions u of p-norm one.

    For p = 1 in any dimension, for p = 2 in up to three.

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
        check_dimensions(rows.shape[1])
        directions = peaks(rows, dual_point)
    return float(responses(np.maximum(rows @ directions.T, 0.0), dual_point, p).max())


def check_dimensions(d: int) -> None:
    """Refuse what `peaks` cannot do."""
    if d > 3:
        raise ValueError(f"p = 2 is exact in up to three dimensions, a penalised bias among them; got {d}")


def peaks(rows: FloatArray, Q: FloatArray, free: bool = False) -> FloatArray:
    """Unit vectors at which the response may be largest: one for every arc, or chamber and hyperplane.

    With a free bias, where the columns of Q sum to zero, the response is convex in the bias between data
    points and constant beyond them.  So it is largest with the kink at one; seen from there, no bias is left.
    """
    if free:
        points = rows[:, :-1]
        origins = np.unique(points, axis=0)
        seen = [peaks(points - origin, Q) for origin in origins]
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
