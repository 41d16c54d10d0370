r"""Activation patterns: into which chambers the data cut the space of first-layer weights (Appendix D.4).

A row :math:`x_k` of the data is a hyperplane :math:`x_k^T u = 0` in the space of weights :math:`u`.  Together
they cut it into open cones, the chambers, on each of which the pattern :math:`\mathbb{1}\{Xu \ge 0\}` is
constant.  They are found from their extreme rays, the lines in which d - 1 independent hyperplanes meet, and
every sign is certain: where rounding could matter, integers decide, or a tolerance if one is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    as_flag,
    as_generator,
    as_matrix,
    as_memory_limit,
    as_tolerance,
)
from ._exact_rows import Ints, Signs, as_exact, merged, restricted
from ._lines import Drawn, drawn, exact_lines
from ._lines import unit as unit_vectors
from ._rays import Chambers, list_chambers, memory_needed, sort_pairs, spans
from ._walk import bytes_per_chamber, walk
from .counting import count_arrangements

__all__ = [
    "Arrangements",
    "Merged",
    "chamber_signs",
    "coverage",
    "enumerate_arrangements",
    "iterate_chambers",
    "printed_patterns",
]

_EPS = float(np.finfo(np.float64).eps)
_BLOCK = 1 << 16
_CHAMBERS_AT_ONCE = 1 << 14  # whose rays are added up
_SIGNS_AT_ONCE = 1 << 20
_AT_ONCE = 1 << 14  # chambers


@result
class Merged:
    """What of the data was taken as parallel or dependent, and how clear that was.

    Parameters
    ----------
    tolerance : float
        0 if nothing was rounded.
    rank : int
        Of the data.
    parallel : tuple of tuples of int
        Numbers of rows that are parallel, opposite ones among them; rows of zeros are not.
    crowded : int
        In how many lines through the origin more hyperplanes meet than the rank less one.
    largest_zero, smallest_other : float
        The largest determinant of unit rows that was taken as zero, and the smallest that was not: a gap of
        many orders of magnitude says that the tolerance fits the data.  Both are 0 if nothing was rounded.

    Examples
    --------
    >>> merged = enumerate_arrangements([[0.1, 0.7], [0.3, 2.1], [1.0, 0.0]], tolerance=1e-12).merged
    >>> merged.rank, merged.parallel
    (2, ((0, 1),))
    """

    tolerance: float
    rank: int
    parallel: tuple[tuple[int, ...], ...]
    crowded: int
    largest_zero: float
    smallest_other: float


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
    merged : Merged
        What was taken as parallel or dependent.

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
    merged: Merged

    def __iter__(self) -> Iterator[NDArray[Any]]:
        yield self.patterns
        yield self.generators

    def __len__(self) -> int:
        return len(self.patterns)

    def rays_of(self, chamber: int) -> FloatArray:
        """Return the extreme rays of one chamber, unit vectors in the span of the data, as rows."""
        first, last = np.searchsorted(self.touches[:, 0], [chamber, chamber + 1])
        return self.rays[self.touches[first:last, 1]]


def enumerate_arrangements(
    X: ArrayLike,
    *,
    activation: Activation = "relu",
    tolerance: float | None = None,
    memory_limit: float = 4e9,
    progress: bool = False,
) -> Arrangements:
    r"""List the activation patterns of all open chambers, with a generator inside each.

    Without a tolerance the list is exact for any data.  Repeated and parallel rows, rows in special position,
    zero rows and data of any rank are fine: floats are fractions, and where a sign is not certain in floating
    point it is worked out with integers.  Data may be given as fractions, decimals, integers of any size or
    strings, too, and are what they say: ``"0.3"`` is three times ``"0.1"``, as 0.3 is not of 0.1.

    With a tolerance, rows that are parallel or dependent but for rounding are taken to be so: r rows of
    length one, in the span of the data, are dependent if their determinant is at most the tolerance.  Every
    pattern that is listed is still one of the data as they were given, with a generator to show it; those
    left out are of chambers about as thin as the tolerance.  What counts of a row is its direction: a row
    that would be zero but for rounding has to be made zero.

    Parameters
    ----------
    X : array of shape (n, d)
        The data, one point per row.
    activation : {"relu", "abs"}
        Whether patterns are indicators or signs.
    tolerance : float, optional
        From which size on a determinant of unit rows is not zero; about 1e-12 for data with rounding errors.
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
        If a chamber is too thin to hold a generator in double precision, or what is dependent up to the
        tolerance is not so in any arrangement.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(10, 3))
    >>> patterns, generators = enumerate_arrangements(X)
    >>> len(patterns) == count_arrangements(10, 3)
    True
    >>> bool((patterns == (X @ generators.T >= 0).T).all())
    True

    Parallel rows of decimals, exactly, and but for rounding:

    >>> len(enumerate_arrangements([["0.1", "0.7"], ["0.3", "2.1"]]))
    2
    >>> len(enumerate_arrangements([[0.1, 0.7], [0.3, 2.1]], tolerance=1e-12))
    2
    """
    as_activation(activation)
    near = as_tolerance(tolerance)
    with Bar(progress, "enumerate_arrangements", "ray") as bar:
        rows = drawn(X, near, _within(as_memory_limit(memory_limit)))
        chambers = list_chambers(rows.lines, bar)
    full, touches = rows.signs(chambers.signs), chambers.touches
    order = _sorted_rows(full)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    for block in spans(len(touches)):
        touches[block, 0] = back[touches[block, 0]]
    sort_pairs(touches)
    full, rays = full[order], unit_vectors(chambers.rays @ rows.lift)
    generators = _inside(rows, full, touches, rays)
    patterns = np.greater(full, 0, out=full.view(np.bool_)) if activation == "relu" else full
    return Arrangements(patterns, generators, rays, touches, _merged(rows, chambers))


def iterate_chambers(
    X: ArrayLike,
    *,
    activation: Activation = "relu",
    tolerance: float | None = None,
    block_size: int | None = None,
    memory_limit: float = 1e9,
    progress: bool = False,
) -> Iterator[tuple[NDArray[np.bool_] | Signs, FloatArray]]:
    r"""Yield the activation patterns of all open chambers, with generators, in blocks and bounded memory.

    Every chamber comes once, and none is kept: each is the one above its lowest corner, or on a hyperplane
    far below all corners if it has none.  So the memory does not depend on how many there are.  The patterns
    are those of `enumerate_arrangements`, in another order.

    Parameters
    ----------
    X : array of shape (n, d)
        The data, as in `enumerate_arrangements`.
    activation : {"relu", "abs"}
        Whether patterns are indicators or signs.
    tolerance : float, optional
        From which size on a determinant of unit rows is not zero, as in `enumerate_arrangements`.
    block_size : int, optional
        Number of chambers in a block, of which only the last has fewer; by default 65,536, or as many as
        the memory allows.
    memory_limit : float
        Bytes that a block may need while it is made.  Where more hyperplanes meet than need to, the chambers
        around are listed at once, and the place is kept: each may take as much.
    progress : bool
        Whether to show a bar that counts corners.

    Yields
    ------
    patterns : array of shape (P, n)
    generators : array of shape (P, d)

    Raises
    ------
    ValueError
        If an argument is malformed, or a block needs more memory than the limit allows: at once, before the
        first block is asked for.  While blocks are made, if places where many hyperplanes meet need more.
    ArithmeticError
        As for `enumerate_arrangements`, while blocks are made.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(40, 4))
    >>> blocks = iterate_chambers(X, block_size=10_000)
    >>> [len(patterns) for patterns, generators in blocks], count_arrangements(40, 4)
    ([10000, 9840], 19840)
    """
    as_activation(activation)
    near, limit = as_tolerance(tolerance), as_memory_limit(memory_limit)
    wanted = None if block_size is None else as_count(block_size, "block_size", 1)
    as_flag(progress, "progress")
    size = wanted or 1

    def check(n: int, m: int, d: int, r: int) -> None:
        nonlocal size
        each = bytes_per_chamber(n, m, d, r)
        size = wanted or max(1, min(_BLOCK, int(limit / each)))
        if size * each > limit:
            raise ValueError(
                f"a block of {size:,} chambers of {n} rows in {d} dimensions needs "
                f"{size * each / 1e9:,.1g} GB; memory_limit is {limit / 1e9:g} GB"
            )

    rows = drawn(X, near, check)
    return _blocks(rows, size, activation, limit, progress)


def _blocks(
    rows: Drawn, size: int, activation: Activation, limit: float, progress: bool
) -> Iterator[tuple[NDArray[np.bool_] | Signs, FloatArray]]:
    """Yield what is found in blocks of one size."""
    waiting: list[tuple[Signs, FloatArray]] = []
    with Bar(progress, "iterate_chambers", "corner") as bar:
        for signs, inside in walk(rows.lines, size, limit, bar):
            waiting.append((signs, inside))
            while sum(len(signs) for signs, _ in waiting) >= size:
                signs, inside = (np.concatenate(parts) for parts in zip(*waiting, strict=True))
                yield _finished(rows, signs[:size], inside[:size], activation)
                waiting = [(signs[size:], inside[size:])]
        signs, inside = (np.concatenate(parts) for parts in zip(*waiting, strict=True))
        if len(signs):
            yield _finished(rows, signs, inside, activation)


def _finished(
    rows: Drawn, signs: Signs, inside: FloatArray, activation: Activation
) -> tuple[NDArray[np.bool_] | Signs, FloatArray]:
    """Carry signs of lines to rows, and vectors to the space of weights, and check them."""
    full, generators = rows.signs(signs), inside @ rows.lift
    if not rows.lines.shape[1]:
        generators[:, 0] = 1.0
    generators = unit_vectors(generators)
    deepened(rows.near, full, generators, rows.lines.tolerance)
    return (full > 0 if activation == "relu" else full), generators


def chamber_signs(X: ArrayLike, *, memory_limit: float = 4e9) -> Signs:
    """List the signs of Xu on all open chambers, however thin they are: without a generator inside each.

    Parameters
    ----------
    X : array of shape (n, d)
        As in `enumerate_arrangements`.
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
    rows = drawn(X, None, _within(as_memory_limit(memory_limit)))
    return rows.signs(list_chambers(rows.lines, QUIET).signs)


def printed_patterns(X: ArrayLike) -> NDArray[np.bool_]:
    r"""List the patterns :math:`\mathbb{1}\{Xu \ge 0\}` of **all** u, those on the hyperplanes among them.

    This is the set of Appendix D.4 to the letter.  What is in it and not among those of
    `enumerate_arrangements` belongs to a flat cone.

    Parameters
    ----------
    X : array of shape (n, d)
        As in `enumerate_arrangements`.  Small: at most a million faces are visited.

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
    whole = as_exact(X)
    lines, place, facing = merged(whole)
    m, d = len(lines), min(whole.shape)
    expected = sum(comb(m, k) * count_arrangements(max(m - k, 1), max(d - k, 1)) for k in range(d + 1))
    if expected > 10**6:
        raise ValueError(
            f"X of shape {whole.shape} may have {expected:,} faces; at most 1,000,000 are visited"
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


def _within(limit: float) -> Callable[[int, int, int, int], None]:
    """Return what refuses an enumeration that may need more bytes than a limit."""

    def check(n: int, m: int, d: int, r: int) -> None:
        chambers, needed = memory_needed(n, m, d, r)
        if needed > limit:
            raise ValueError(
                f"{n} rows of rank {r} may have {chambers:,} activation patterns, and listing them may take "
                f"{needed / 1e9:,.1f} GB; memory_limit is {limit / 1e9:g} GB; iterate_chambers yields them "
                "in blocks"
            )

    return check


def _merged(rows: Drawn, chambers: Chambers) -> Merged:
    """What of the data was taken as parallel or dependent."""
    order = np.argsort(rows.place, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(rows.place[order])) + 1)
    parallel = sorted(tuple(g.tolist()) for g in groups if len(g) > 1 and rows.place[g[0]] >= 0)
    return Merged(
        rows.lines.tolerance or 0.0, rows.lines.shape[1], tuple(parallel), chambers.crowded, *rows.lines.seen
    )


def _sorted_rows(signs: Signs) -> NDArray[np.intp]:
    """The order in which rows of signs are sorted, by their bits in words."""
    words = np.zeros((len(signs), -(-signs.shape[1] // 64) * 8), dtype=np.uint8)
    for block in spans(len(signs), _SIGNS_AT_ONCE // signs.shape[1] + 1):
        words[block, : -(-signs.shape[1] // 8)] = np.packbits(signs[block] > 0, axis=1)
    return np.lexsort(words.view(">u8").astype(np.uint64).T[::-1])


def _faces(lines: Ints) -> set[tuple[int, ...]]:
    """Sign vectors of all faces: the chambers, and those on every hyperplane."""
    spanning, which, sides = exact_lines(lines)
    found = set(map(tuple, (list_chambers(spanning).signs[:, which] * sides).tolist()))
    for k, wall in enumerate(lines.tolist()):
        inner, place, facing = merged(restricted(lines, wall))
        for face in _faces(inner):
            signs = [face[p] * int(f) if p >= 0 else 0 for p, f in zip(place, facing, strict=True)]
            signs[k] = 0
            found.add(tuple(signs))
    return found


def _inside(rows: Drawn, full: Signs, touches: NDArray[np.intp], rays: FloatArray) -> FloatArray:
    """A unit vector inside every chamber: the sum of its rays, or what a linear program finds."""
    generators = np.zeros((len(full), rows.near.shape[1]))
    if not len(rays):
        generators[:, 0] = 1.0
        return generators
    first = np.searchsorted(touches[:, 0], np.arange(len(full) + 1))
    for block in spans(len(full), _CHAMBERS_AT_ONCE):
        own = touches[first[block.start] : first[block.stop], 1]
        sums = np.add.reduceat(rays[own], first[block] - first[block.start], axis=0)
        generators[block] = unit_vectors(sums)
    deepened(rows.near, full, generators, rows.lines.tolerance)
    return generators


def deepened(data: FloatArray, signs: Signs, generators: FloatArray, tolerance: float | None) -> None:
    """Check vectors inside chambers, and find others where they are too close to a hyperplane."""
    lively = data.any(axis=1)
    rows, wanted = (data, signs) if lively.all() else (data[lively], signs[:, lively])
    clear = 4 * data.shape[1] * _EPS * np.linalg.norm(rows, axis=1)
    for block in spans(len(signs), _SIGNS_AT_ONCE // len(data) + 1):
        margin = (wanted[block] * (generators[block] @ rows.T) - clear).min(axis=1, initial=1.0)
        for i in block.start + np.flatnonzero(~(margin > 0)):
            generators[i] = _deepest(rows, wanted[i], clear, tolerance)


def _deepest(rows: FloatArray, signs: Signs, clear: FloatArray, tolerance: float | None) -> FloatArray:
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
            "a chamber is too thin to hold a generator in double precision: some rows are parallel or "
            "dependent but for rounding; "
            + (
                "take them as such with tolerance=1e-12, or give exact numbers, as fractions or strings"
                if tolerance is None
                else f"take a larger tolerance than {tolerance:g}"
            )
        )
    return found
