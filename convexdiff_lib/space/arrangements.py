r"""Activation patterns: into which chambers the data cut the space of first-layer weights (Appendix D.4).

A row :math:`x_k` of the data is a hyperplane :math:`x_k^T u = 0` in the space of weights :math:`u`.  Together
they cut it into open cones, the chambers, on each of which the pattern :math:`\mathbb{1}\{Xu \ge 0\}` is
constant.

A chamber in the span of the data is a pointed cone, so it has extreme rays, each of them the line in which
d - 1 independent hyperplanes meet.  Around a ray only the hyperplanes through it matter.  If there are d - 1
of them, all :math:`2^{d-1}` settings of their signs occur; if there are more, they are an arrangement of
their own, in one dimension less.  Every sign is certain: where rounding could matter, integers decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations, islice, product
from math import comb, e, factorial
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
from .cross_products import cross_product

__all__ = [
    "Arrangements",
    "chamber_signs",
    "count_arrangements",
    "count_bound",
    "count_chambers",
    "coverage",
    "enumerate_arrangements",
    "printed_patterns",
]

Signs = NDArray[np.int8]
Ints = NDArray[np.object_]

_BLOCK = 1 << 14  # rays whose signs are worked out at once
_EPS = float(np.finfo(np.float64).eps)


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


def count_arrangements(n: int, d: int) -> int:
    r"""Return the number of chambers of n rows in general position in d dimensions.

    .. math:: 2 \sum_{k < d} \binom{n-1}{k}

    Raises
    ------
    ValueError
        If n or d is no positive integer.

    Examples
    --------
    >>> [count_arrangements(n, 2) for n in (1, 2, 3)], count_arrangements(3, 3)
    ([2, 4, 6], 8)
    """
    n, d = as_count(n, "n", 1), as_count(d, "d", 1)
    return 2 * sum(comb(n - 1, k) for k in range(d))


def count_bound(n: int, r: int) -> float:
    r"""Return the bound :math:`2r(e(n-1)/r)^r` of Appendix D.4 on the number of chambers of n rows of rank r.

    Raises
    ------
    ValueError
        If n or r is no positive integer.

    Examples
    --------
    >>> round(count_bound(10, 2)), count_arrangements(10, 2)
    (599, 20)
    """
    n, r = as_count(n, "n", 1), as_count(r, "r", 1)
    return 2 * r * (e * (n - 1) / r) ** r


def count_chambers(X: ArrayLike, *, progress: bool = False) -> int:
    r"""Count the chambers of any data exactly, by deletion and restriction.

    Without the last hyperplane there are fewer chambers, and it cuts as many of them in two as the others
    have chambers on it.  This is slow and knows nothing of rays: a check of `enumerate_arrangements`.

    Parameters
    ----------
    X : array of shape (n, d)
    progress : bool
        Whether to show a bar that counts hyperplanes; the first have the most others left to meet.

    Raises
    ------
    ValueError
        If X is not a finite matrix.

    Examples
    --------
    Three lines in the plane, two of them the same:

    >>> count_chambers([[1, 0], [2, 0], [0, 1]])
    4
    """
    lines = _distinct_lines(_integers(as_matrix(X, "X")))
    with Bar(progress, "count_chambers", "hyperplane", len(lines)) as bar:
        return _count(lines, bar)


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
        full, touches, rays = _listed(data, as_memory_limit(memory_limit), bar)
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
    return _listed(as_matrix(X, "X"), as_memory_limit(memory_limit), QUIET)[0]


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
    lines, place, facing = _merged(_integers(data))
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


# --- Exact integers ----------------------------------------------------------------------------------


def _integers(data: FloatArray) -> Ints:
    """Scale every row by a positive number that makes it coprime integers; floats are fractions."""
    rows = []
    for row in data.tolist():
        ratios = [value.as_integer_ratio() for value in row]
        scale = max(bottom for _, bottom in ratios)  # powers of two
        rows.append([top * (scale // bottom) for top, bottom in ratios])
    return _coprime(np.array(rows, dtype=object).reshape(data.shape))


def _coprime(rows: Ints) -> Ints:
    divisor = np.gcd.reduce(rows, axis=1, keepdims=True, initial=0) if rows.size else rows[:, :1]
    return rows // np.where(divisor == 0, 1, divisor)


def _independent_columns(rows: Ints) -> list[int]:
    """The first columns that span all others: signs of X u are those of these columns times some u."""
    work = [[Fraction(v) for v in row] for row in rows.tolist()]
    basis: list[int] = []
    for c in range(rows.shape[1]):
        pivot = next((row for row in work if row[c]), None)
        if pivot is None:
            continue
        basis.append(c)
        work.remove(pivot)
        work = [_reduced(row, pivot, c) if row[c] else row for row in work]
    return basis


def _reduced(row: list[Fraction], pivot: list[Fraction], c: int) -> list[Fraction]:
    factor = row[c] / pivot[c]
    return [a - factor * b for a, b in zip(row, pivot, strict=True)]


def _merged(rows: Ints) -> tuple[Ints, NDArray[np.intp], Signs]:
    """Distinct lines; for each row its line (-1 for a zero row) and whether it faces along it."""
    lines: dict[tuple[int, ...], int] = {}
    place, facing = np.full(len(rows), -1), np.ones(len(rows), dtype=np.int8)
    for k, row in enumerate(_coprime(rows).tolist()):
        lead = next((v for v in row if v), 0)
        if lead:
            facing[k] = 1 if lead > 0 else -1
            place[k] = lines.setdefault(tuple(int(facing[k]) * v for v in row), len(lines))
    return np.array(list(lines), dtype=object).reshape(len(lines), rows.shape[1]), place, facing


def _distinct_lines(rows: Ints) -> frozenset[tuple[int, ...]]:
    return frozenset(map(tuple, _merged(rows)[0].tolist()))


def _restricted(rows: Ints, wall: list[int]) -> Ints:
    """The rows as they act on the hyperplane of ``wall``, in one coordinate less."""
    p = next(i for i, v in enumerate(wall) if v)
    sign = 1 if wall[p] > 0 else -1
    others = [q for q in range(len(wall)) if q != p]
    normal = np.array([wall[q] for q in others], dtype=object)
    return sign * (wall[p] * rows[:, others] - rows[:, [p]] * normal)


def _count(lines: frozenset[tuple[int, ...]], bar: Bar = QUIET) -> int:
    total, rest = 0, sorted(lines)
    while rest:
        wall = rest.pop()
        if rest:
            total += _count(_distinct_lines(_restricted(np.array(rest, dtype=object), list(wall))))
        else:
            total += 1
        bar.done()
    return total + 1


def _faces(lines: Ints) -> set[tuple[int, ...]]:
    """Sign vectors of all faces: the chambers, and those on every hyperplane."""
    found = set(map(tuple, _signs_of(lines).tolist()))
    for k, wall in enumerate(lines.tolist()):
        inner, place, facing = _merged(_restricted(lines, wall))
        for face in _faces(inner):
            signs = [face[p] * int(f) if p >= 0 else 0 for p, f in zip(place, facing, strict=True)]
            signs[k] = 0
            found.add(tuple(signs))
    return found


# --- Chambers ----------------------------------------------------------------------------------------


def _signs_of(rows: Ints) -> Signs:
    """Sign vectors of the chambers of rows none of which is zero."""
    lines, place, facing = _merged(rows[:, _independent_columns(rows)])
    return _chambers(lines, QUIET)[0][:, place] * facing


def _chambers(lines: Ints, bar: Bar) -> tuple[Signs, NDArray[np.intp], FloatArray]:
    """Sign vectors of the chambers of distinct lines that span; which rays they touch; the rays."""
    m, r = lines.shape
    if not r:
        return np.ones((1, m), np.int8), np.zeros((0, 2), np.intp), np.zeros((0, 0))
    packed, owners, rays = [], [], []
    degenerate: set[bytes] = set()
    count = 0
    for subsets in _blocks(m, r - 1, bar):
        vectors, signs = _rays(lines, subsets)
        zeros = (signs == 0).sum(axis=1)
        plain = zeros == r - 1
        for half in (1, -1):
            found = _around(half * signs[plain], subsets[plain])
            packed.append(found)
            owners.append(count + np.repeat(np.arange(plain.sum()), 2 ** (r - 1)))
            rays.append(half * vectors[plain])
            count += int(plain.sum())
        for vector, sign in zip(
            vectors[(zeros > r - 1) & (zeros < m)], signs[(zeros > r - 1) & (zeros < m)], strict=True
        ):
            if {sign.tobytes(), (-sign).tobytes()} & degenerate:
                continue
            degenerate.add(sign.tobytes())
            through = np.flatnonzero(sign == 0)
            inner = _signs_of(lines[through])
            for half in (1, -1):
                around = np.tile(half * sign, (len(inner), 1))
                around[:, through] = inner
                packed.append(np.packbits(around > 0, axis=1))
                owners.append(np.full(len(inner), count))
                rays.append(half * vector[None])
                count += 1
    first, chamber = _unique_rows(np.concatenate(packed))
    bits = np.concatenate(packed)[first]
    signs = 2 * np.unpackbits(bits, axis=1, count=m).astype(np.int8) - 1
    return signs, np.column_stack([chamber, np.concatenate(owners)]), _unit(np.concatenate(rays))


def _listed(data: FloatArray, memory_limit: float, bar: Bar) -> tuple[Signs, NDArray[np.intp], FloatArray]:
    """Sign vectors of all rows; which rays the chambers touch; the rays, in the span of the data."""
    whole = _integers(data)
    basis = _independent_columns(whole)
    lines, place, facing = _merged(whole[:, basis])
    rank = len(basis)
    _check_memory(len(data), len(lines), data.shape[1], rank, memory_limit)
    signs, touches, rays = _chambers(lines, bar)
    full = np.ones((len(signs), len(data)), dtype=np.int8)
    full[:, place >= 0] = (signs[:, place] * facing)[:, place >= 0] if rank else 1
    return full, touches, _unit(rays @ _row_space(data, basis))


def _blocks(m: int, size: int, bar: Bar) -> Iterator[NDArray[np.intp]]:
    """All subsets of a size, a block at a time."""
    subsets = combinations(range(m), size)
    bar.expect(comb(m, size))
    while block := list(islice(subsets, _BLOCK)):
        yield np.array(block, dtype=np.intp).reshape(len(block), size)
        bar.done(len(block))


def _rays(lines: Ints, subsets: NDArray[np.intp]) -> tuple[FloatArray, Signs]:
    """The vectors orthogonal to subsets of lines, and the exact signs of all lines there."""
    r = lines.shape[1]
    size = max(abs(v) for row in lines.tolist() for v in row)
    if size**r * factorial(r) < 2**62:  # no overflow: exact
        whole = lines.astype(np.int64)
        vectors = cross_product(whole[subsets])
        return vectors.astype(np.float64), np.sign(vectors @ whole.T).astype(np.int8)
    scale = [1 << max(abs(v) for v in row).bit_length() for row in lines.tolist()]
    near = np.array([[v / s for v in row] for row, s in zip(lines.tolist(), scale, strict=True)])
    vectors = cross_product(near[subsets])
    values = vectors @ near.T
    # An expanded determinant is off by at most this much of its permanent, and that is at most the product.
    length = np.abs(near).sum(axis=1)
    bound = 4 * r * r * _EPS * length[subsets].prod(axis=1)[:, None] * length
    signs = np.sign(values).astype(np.int8)
    np.put_along_axis(signs, subsets, 0, axis=1)
    doubtful = np.abs(values) <= bound
    np.put_along_axis(doubtful, subsets, False, axis=1)
    for i in np.flatnonzero(doubtful.any(axis=1)):
        exact = cross_product(lines[subsets[i]])
        ks = np.flatnonzero(doubtful[i])
        signs[i, ks] = [(v > 0) - (v < 0) for v in (lines[ks] * exact).sum(axis=1)]
        vectors[i] = _as_floats(exact)
    return vectors, signs


def _as_floats(vector: Ints) -> FloatArray:
    """The direction of an integer vector."""
    scale = 1 << max(abs(v) for v in vector).bit_length()
    return np.array([v / scale for v in vector])


def _around(signs: Signs, subsets: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Packed sign vectors of the chambers around rays through which only the hyperplanes of a subset go."""
    settings = np.array(list(product((1, -1), repeat=subsets.shape[1])), dtype=np.int8)
    settings = settings.reshape(2 ** subsets.shape[1], subsets.shape[1])
    around = np.repeat(signs[:, None, :], len(settings), axis=1)
    i, s = np.arange(len(signs))[:, None, None], np.arange(len(settings))[None, :, None]
    around[i, s, subsets[:, None, :]] = settings
    return np.packbits(around.reshape(-1, signs.shape[1]) > 0, axis=1)


def _unique_rows(packed: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first of every kind of row, and the kind of each row; by hashing, and checked."""
    words = np.zeros((len(packed), -(-packed.shape[1] // 8) * 8), dtype=np.uint8)
    words[:, : packed.shape[1]] = packed
    odd = np.random.default_rng(0).integers(2**63, size=words.shape[1] // 8, dtype=np.uint64) * 2 + 1
    keys = (words.view(np.uint64) * odd).sum(axis=1, dtype=np.uint64)
    _, first, kind = np.unique(keys, return_index=True, return_inverse=True)
    if not (packed[first][kind] == packed).all():  # two kinds share a key
        _, first, kind = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    return first, kind


def _unit(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)


def _row_space(data: FloatArray, basis: list[int]) -> FloatArray:
    """Carry weights on the columns of the basis to weights in the span of the rows, with the same values."""
    if len(basis) == data.shape[1]:
        return np.eye(data.shape[1])
    orthonormal = np.linalg.svd(data, full_matrices=False)[2][: len(basis)]
    return (orthonormal.T @ orthonormal)[basis]


def _inside(data: FloatArray, full: Signs, touches: NDArray[np.intp], rays: FloatArray) -> FloatArray:
    """A unit vector inside every chamber: the sum of its rays, or what a linear program finds."""
    generators = np.zeros((len(full), data.shape[1]))
    if not len(rays):
        generators[:, 0] = 1.0
        return generators
    for c in range(data.shape[1]):
        generators[:, c] = np.bincount(touches[:, 0], rays[touches[:, 1], c], len(full))
    generators = _unit(generators)
    rows = data[data.any(axis=1)]
    wanted = full[:, data.any(axis=1)]
    clear = 4 * data.shape[1] * _EPS * np.linalg.norm(rows, axis=1)
    for start in range(0, len(full), _BLOCK):
        block = slice(start, start + _BLOCK)
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


def _check_memory(n: int, m: int, d: int, r: int, limit: float) -> None:
    """Refuse before anything is started."""
    chambers = count_arrangements(m, r) if r else 1
    incidences = 2 * comb(m, max(r - 1, 0)) * 2 ** max(r - 1, 0)
    needed = incidences * (2 * -(-m // 8) + 48) + chambers * (2 * n + m + 16 * d) + 8 * _BLOCK * m
    if needed > limit:
        raise ValueError(
            f"{n} rows of rank {r} may have {chambers:,} activation patterns, and listing them may take "
            f"{needed / 1e9:,.1f} GB; memory_limit is {limit / 1e9:g} GB"
        )
