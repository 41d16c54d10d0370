r"""Activation patterns: into which chambers the data cut the space of first-layer weights (Appendix D.4).

A row :math:`x_k` of the data is a hyperplane :math:`x_k^T u = 0` in the space of weights :math:`u`.  Together
they cut it into open cones, the chambers, on each of which the pattern :math:`\mathbb{1}\{Xu \ge 0\}` is
constant.  They are found from their extreme rays, the lines in which d - 1 independent hyperplanes meet, and
every sign is certain: where rounding could matter, integers decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import comb
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog

from .._progress import QUIET, Bar
from .._results import result
from .._validation import (
    Activation,
    FloatArray,
    as_activation,
    as_count,
    as_generator,
    as_matrix,
    as_memory_limit,
)
from ._exact_rows import Ints, Signs, integers_of, merged, restricted
from ._rays import EPS, RAYS_AT_ONCE, list_chambers, signs_of, unit
from .counting import count_arrangements

__all__ = ["Arrangements", "chamber_signs", "coverage", "enumerate_arrangements", "printed_patterns"]


@result
class Arrangements:
    r"""The chambers of a data set.  Unpacks as ``patterns, generators``.

    Parameters
    ----------
    patterns : array of shape (P, n)
        bool, the indicators :math:`\mathbb{1}\{Xu \ge 0\}`, for ReLU; int8, the signs of :math:`Xu`, for the
        absolute value.  A zero row has the entry that the paper's convention gives it, True or +1.
    generators : array of shape (P, d)
        For each chamber a unit vector inside it.
    rays : array of shape (R, d)
        Unit vectors of the extreme rays, in the span of the data.
    touches : int array of shape (T, 2)
        Every pair (chamber, ray) such that the ray is an extreme ray of the chamber.

    Examples
    --------
    >>> patterns, generators = enumerate_arrangements([[1.0, 0.0], [0.0, 1.0]])
    >>> patterns.astype(int).tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """

    patterns: NDArray[np.bool_] | Signs
    generators: FloatArray
    rays: FloatArray
    touches: NDArray[np.intp]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        yield self.patterns
        yield self.generators

    def __len__(self) -> int:
        return len(self.patterns)

    def rays_of(self, chamber: int) -> FloatArray:
        """Return the extreme rays of one chamber, unit vectors in the span of the data, as rows."""
        return self.rays[self.touches[self.touches[:, 0] == chamber, 1]]


def enumerate_arrangements(
    X: ArrayLike,
    *,
    activation: Activation = "relu",
    memory_limit: float = 4e9,
    progress: bool = False,
) -> Arrangements:
    r"""List the activation patterns of all open chambers, with a generator inside each; exact for any data.

    Repeated and parallel rows, rows in special position, zero rows and data of any rank are fine: floats are
    fractions, and where a sign is not certain in floating point it is worked out with integers.

    Parameters
    ----------
    X : array of shape (n, d)
        The data, one point per row.
    activation : {"relu", "abs"}
        Whether patterns are indicators or signs.
    memory_limit : float
        Bytes that the enumeration may need.
    progress : bool
        Whether to show a bar that counts rays; it comes before generators are sought.

    Returns
    -------
    Arrangements
        Sorted by pattern.

    Raises
    ------
    ValueError
        If an argument is malformed; if more memory might be needed than the limit allows: nothing has been
        started then.
    ArithmeticError
        If a chamber is too thin to hold a generator in double precision.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(10, 3))
    >>> patterns, generators = enumerate_arrangements(X)
    >>> len(patterns) == count_arrangements(10, 3)
    True
    >>> bool((patterns == (X @ generators.T >= 0).T).all())
    True
    """
    data = as_matrix(X, "X")
    as_activation(activation)
    with Bar(progress, "enumerate_arrangements", "ray") as bar:
        full, touches, rays = list_chambers(data, as_memory_limit(memory_limit), bar)
    generators = _inside(data, full, touches, rays)
    order = np.lexsort(full.T[::-1])
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    pairs = np.column_stack([back[touches[:, 0]], touches[:, 1]])
    return Arrangements(
        full[order] > 0 if activation == "relu" else full[order],
        generators[order],
        rays,
        pairs[np.lexsort(pairs.T[::-1])],
    )


def chamber_signs(X: ArrayLike, *, memory_limit: float = 4e9) -> Signs:
    """List the signs of Xu on all open chambers, however thin they are: without a generator inside each.

    Parameters
    ----------
    X : array of shape (n, d)
    memory_limit : float
        Bytes that the enumeration may need.

    Returns
    -------
    int8 array of shape (P, n)
        Not sorted.  A zero row has the sign +1.

    Raises
    ------
    ValueError
        If an argument is malformed, or more memory might be needed than the limit allows.

    Examples
    --------
    Three times a row of decimals is not parallel to it, but for rounding:

    >>> len(chamber_signs([[0.1, 0.2, 0.7], [0.3, 0.6, 2.1], [1.0, 0.0, 0.0]]))
    8
    """
    return list_chambers(as_matrix(X, "X"), as_memory_limit(memory_limit), QUIET)[0]


def printed_patterns(X: ArrayLike) -> NDArray[np.bool_]:
    r"""List the patterns :math:`\mathbb{1}\{Xu \ge 0\}` of **all** u, those on the hyperplanes among them.

    This is the set of Appendix D.4 to the letter.  What is in it and not among those of
    `enumerate_arrangements` belongs to a flat cone.

    Parameters
    ----------
    X : array of shape (n, d)
        Small: at most a million faces are visited.

    Returns
    -------
    bool array of shape (Q, n)
        Sorted.

    Raises
    ------
    ValueError
        If X is not a finite matrix, or so large that there may be more faces.

    Examples
    --------
    Two points on the line, on both sides of zero: the third pattern is that of u = 0.

    >>> printed_patterns([[1.0], [-1.0]]).astype(int).tolist()
    [[0, 1], [1, 0], [1, 1]]
    """
    data = as_matrix(X, "X")
    lines, place, facing = merged(integers_of(data))
    m, d = len(lines), min(data.shape)
    expected = sum(comb(m, k) * count_arrangements(max(m - k, 1), max(d - k, 1)) for k in range(d + 1))
    if expected > 10**6:
        raise ValueError(
            f"X of shape {data.shape} may have {expected:,} faces; at most 1,000,000 are visited"
        )
    found = sorted(_faces(lines))
    faces = np.array(found, dtype=np.int8).reshape(len(found), m)
    signs = faces[:, place] * facing if m else np.zeros((len(found), len(place)))
    full = np.where(place >= 0, signs, 0) >= 0
    return np.unique(full, axis=0)


def coverage(X: ArrayLike, arrangements: Arrangements, n_gates: int, rng: np.random.Generator) -> FloatArray:
    """Return the fraction of the patterns that have been met after 1, 2, ... random Gaussian gates.

    Parameters
    ----------
    X : array of shape (n, d)
    arrangements : Arrangements
        Those of X, for ReLU.
    n_gates : int
    rng : numpy.random.Generator

    Returns
    -------
    array of shape (n_gates,)

    Raises
    ------
    ValueError
        If n_gates is no positive integer, X is not a finite matrix, or a gate has a pattern that is missing.
    TypeError
        If rng is no generator, or arrangements are not an `Arrangements`.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.eye(2)
    >>> found = coverage(X, enumerate_arrangements(X), 100, np.random.default_rng(0))
    >>> float(found[0]), float(found[-1])
    (0.25, 1.0)
    """
    data, n_gates = as_matrix(X, "X"), as_count(n_gates, "n_gates", 1)
    if not isinstance(arrangements, Arrangements):
        raise TypeError(
            f"arrangements must be what enumerate_arrangements returns; got a {type(arrangements).__name__}"
        )
    listed = {row.tobytes() for row in np.packbits(arrangements.patterns > 0, axis=1)}
    gates = as_generator(rng).normal(size=(n_gates, data.shape[1]))
    met = [row.tobytes() for row in np.packbits(gates @ data.T >= 0, axis=1)]
    if not listed.issuperset(met):
        raise ValueError(
            "arrangements must be those of X; a random gate has a pattern that is not among them"
        )
    seen: set[bytes] = set()
    found = []
    for pattern in met:
        seen.add(pattern)
        found.append(len(seen))
    return np.array(found) / len(listed)


def _faces(lines: Ints) -> set[tuple[int, ...]]:
    """Sign vectors of all faces: the chambers, and those on every hyperplane."""
    found = set(map(tuple, signs_of(lines).tolist()))
    for k, wall in enumerate(lines.tolist()):
        inner, place, facing = merged(restricted(lines, wall))
        for face in _faces(inner):
            signs = [face[p] * int(f) if p >= 0 else 0 for p, f in zip(place, facing, strict=True)]
            signs[k] = 0
            found.add(tuple(signs))
    return found


def _inside(data: FloatArray, full: Signs, touches: NDArray[np.intp], rays: FloatArray) -> FloatArray:
    """A unit vector inside every chamber: the sum of its rays, or what a linear program finds."""
    generators = np.zeros((len(full), data.shape[1]))
    if not len(rays):
        generators[:, 0] = 1.0
        return generators
    for c in range(data.shape[1]):
        generators[:, c] = np.bincount(touches[:, 0], rays[touches[:, 1], c], len(full))
    generators = unit(generators)
    rows = data[data.any(axis=1)]
    wanted = full[:, data.any(axis=1)]
    clear = 4 * data.shape[1] * EPS * np.linalg.norm(rows, axis=1)
    for start in range(0, len(full), RAYS_AT_ONCE):
        block = slice(start, start + RAYS_AT_ONCE)
        margin = (wanted[block] * (generators[block] @ rows.T) - clear).min(axis=1)
        for i in start + np.flatnonzero(~(margin > 0)):
            generators[i] = _deepest(rows, wanted[i], clear)
    return generators


def _deepest(rows: FloatArray, signs: Signs, clear: FloatArray) -> FloatArray:
    """The unit vector farthest from all hyperplanes, where a chamber is too thin for the sum of its rays."""
    facing = signs[:, None] * rows / np.linalg.norm(rows, axis=1, keepdims=True)
    d = rows.shape[1]
    best = linprog(
        np.append(np.zeros(d), -1.0),
        A_ub=np.column_stack([-facing, np.ones(len(rows))]),
        b_ub=np.zeros(len(rows)),
        bounds=[(-1.0, 1.0)] * d + [(0.0, None)],
    )
    found = best.x[:d] if best.status == 0 else np.zeros(d)
    found = found / (np.linalg.norm(found) or 1.0)
    if not (signs * (rows @ found) > clear).all():
        raise ArithmeticError(
            "a chamber is too thin to hold a generator in double precision: but for rounding, some rows are "
            "in special position; round them, or make them exact"
        )
    return found
