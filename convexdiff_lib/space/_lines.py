"""Distinct lines that span their space, and the signs of all at the vectors orthogonal to some of them.

There are two kinds.  `ExactLines` are integers, and every sign is certain: where rounding could matter,
integers decide.  `NearLines` are unit vectors in double precision, and r of them are dependent if their
determinant is at most a tolerance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations, islice
from math import factorial
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import qr

from .._validation import FloatArray, as_matrix
from ._exact_rows import (
    Ints,
    Signs,
    as_exact,
    as_floats,
    independent_columns,
    integers_of,
    merged,
    modular_rank,
)
from .cross_products import cross_product

__all__ = [
    "Drawn",
    "ExactLines",
    "Lines",
    "NearLines",
    "drawn",
    "exact_lines",
    "subsets_of",
    "unclear",
    "unit",
]

_EPS = float(np.finfo(np.float64).eps)
_SETS = 1 << 14  # of lines, looked at together

# Lines; for each row its line, -1 for zeros, and whether it faces along it.
Placed = tuple["Lines", NDArray[np.intp], Signs]


class Lines(Protocol):
    """What the enumeration needs to know of lines."""

    @property
    def tolerance(self) -> float | None:
        """From which size on a determinant is not zero; none if nothing is rounded."""

    @property
    def seen(self) -> list[float]:
        """The largest determinant that was taken as zero, and the smallest that was not."""

    @property
    def shape(self) -> tuple[int, int]:
        """How many there are, and their rank."""

    @property
    def near(self) -> FloatArray:
        """The lines in double precision, each in a unit of its own."""

    def rays(self, subsets: NDArray[np.intp], of: NDArray[np.intp] | None = None) -> tuple[FloatArray, Signs]:
        """The vectors orthogonal to subsets of r - 1 lines, and the signs there, 0 for dependent lines.

        The signs are those of all lines, or for every subset those of some that are not in it.
        """

    def across(self, through: NDArray[np.intp], ray: FloatArray) -> Placed:
        """The lines orthogonal to a ray, in one dimension less."""

    def on_edges(self, lines: list[int], edges: list[list[int]]) -> tuple[Placed, FloatArray]:
        """Lines as they act on vectors, each orthogonal to r - 1 others; and these vectors."""

    def with_generic(self, rng: np.random.Generator) -> Lines:
        """These, and then r - 1 more that are drawn at random."""

    def check(self, flat: NDArray[np.intp]) -> None:
        """Refuse if lines orthogonal to one ray, r - 1 of them, are orthogonal to another one, too."""


def subsets_of(m: int, size: int, at_once: int) -> Iterator[NDArray[np.intp]]:
    """All subsets of a size, a block at a time."""
    subsets = combinations(range(m), size)
    while block := list(islice(subsets, at_once)):
        yield np.array(block, dtype=np.intp).reshape(len(block), size)


def unit(vectors: FloatArray) -> FloatArray:
    """Return the vectors with length one; zeros stay."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)


def _products(vectors: NDArray[Any], lines: NDArray[Any], of: NDArray[np.intp] | None) -> NDArray[Any]:
    """The products of vectors with all lines, or with some for each."""
    if of is None:
        return vectors @ lines.T
    return np.stack([(vectors * lines[column]).sum(axis=1) for column in of.T], axis=1)


# --- Exact -------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ExactLines:
    """Lines of integers."""

    whole: Ints
    tolerance: ClassVar[None] = None
    seen: ClassVar[list[float]] = [0.0, 0.0]

    @property
    def shape(self) -> tuple[int, int]:
        """How many there are, and their rank."""
        return self.whole.shape[0], self.whole.shape[1]

    @cached_property
    def _small(self) -> NDArray[np.int64] | None:
        """The lines as 64-bit integers, if no determinant overflows."""
        r, size = self.shape[1], max(abs(v) for row in self.whole.tolist() for v in row)
        return self.whole.astype(np.int64) if size**r * factorial(r) < 2**62 else None

    @cached_property
    def near(self) -> FloatArray:
        """The lines in double precision, each in a unit of its own."""
        return as_floats(self.whole)

    def rays(self, subsets: NDArray[np.intp], of: NDArray[np.intp] | None = None) -> tuple[FloatArray, Signs]:
        """The vectors orthogonal to subsets of lines, and the exact signs there, of all lines or of some."""
        if self._small is not None:
            found = cross_product(self._small[subsets])
            return found.astype(np.float64), np.sign(_products(found, self._small, of)).astype(np.int8)
        r, near = self.shape[1], self.near
        vectors = cross_product(near[subsets])
        values = _products(vectors, near, of)
        # An expanded determinant is off by at most this much of its permanent, which is at most the product.
        length = np.abs(near).sum(axis=1)
        bound = (
            4 * r * r * _EPS * length[subsets].prod(axis=1)[:, None] * (length if of is None else length[of])
        )
        signs = np.sign(values).astype(np.int8)
        doubtful = np.abs(values) <= bound
        if of is None:
            np.put_along_axis(signs, subsets, 0, axis=1)
            np.put_along_axis(doubtful, subsets, False, axis=1)
        for i in np.flatnonzero(doubtful.any(axis=1)):
            exact = cross_product(self.whole[subsets[i]])
            ks = np.flatnonzero(doubtful[i])
            doubted = self.whole[ks if of is None else of[i, ks]]
            signs[i, ks] = [(v > 0) - (v < 0) for v in (doubted * exact).sum(axis=1)]
            vectors[i] = as_floats(exact[None])[0]
        return vectors, signs

    def across(self, through: NDArray[np.intp], ray: FloatArray) -> Placed:
        """The lines orthogonal to a ray, in one dimension less."""
        return exact_lines(self.whole[through])

    def on_edges(self, lines: list[int], edges: list[list[int]]) -> tuple[Placed, FloatArray]:
        """Lines as they act on vectors, each orthogonal to r - 1 others; and these vectors."""
        vectors = np.array([cross_product(self.whole[edge]) for edge in edges], dtype=object)
        scale = 1 << max(abs(v) for row in vectors.tolist() for v in row).bit_length()
        floats = np.array([[v / scale for v in row] for row in vectors.tolist()])
        values = (self.whole[lines][:, None, :] * vectors).sum(axis=2)
        return exact_lines(values), floats

    def with_generic(self, rng: np.random.Generator) -> ExactLines:
        """These, and then r - 1 more of random floats."""
        r = self.shape[1]
        return ExactLines(np.vstack([self.whole, integers_of(rng.normal(size=(r, r))[: r - 1])]))

    def check(self, flat: NDArray[np.intp]) -> None:
        """Integers do not contradict themselves."""


def exact_lines(rows: Ints) -> Placed:
    """The lines of rows of integers, in the coordinates of columns that span."""
    lines, place, facing = merged(rows[:, independent_columns(rows)])
    return ExactLines(lines), place, facing


# --- Up to a tolerance -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class NearLines:
    """Lines of unit vectors, and from where on a determinant is not zero."""

    near: FloatArray
    tolerance: float
    seen: list[float] = field(default_factory=lambda: [0.0, 1.0])  # largest zero, smallest other

    @property
    def shape(self) -> tuple[int, int]:
        """How many there are, and their rank."""
        return self.near.shape[0], self.near.shape[1]

    def rays(self, subsets: NDArray[np.intp], of: NDArray[np.intp] | None = None) -> tuple[FloatArray, Signs]:
        """The vectors orthogonal to subsets of lines, and the signs there, of all lines or of some."""
        vectors = cross_product(self.near[subsets])
        values = _products(vectors, self.near, of)
        if of is None:
            np.put_along_axis(values, subsets, 0.0, axis=1)
        size = np.abs(values)
        zero = size <= self.tolerance
        self.seen[0] = max(self.seen[0], float(size[zero].max(initial=0.0)))
        self.seen[1] = min(self.seen[1], float(size[~zero].min(initial=1.0)))
        return vectors, np.where(zero, 0, np.sign(values)).astype(np.int8)

    def across(self, through: NDArray[np.intp], ray: FloatArray) -> Placed:
        """The lines orthogonal to a ray, in one dimension less."""
        orthogonal = np.linalg.svd(ray[None])[2][1:]
        lines, place, facing, _ = near_lines(unit(self.near[through] @ orthogonal.T), self.tolerance)
        if lines.shape[1] < self.shape[1] - 1:
            raise unclear(self.tolerance)
        return lines, place, facing

    def on_edges(self, lines: list[int], edges: list[list[int]]) -> tuple[Placed, FloatArray]:
        """The same; the vectors are then an orthonormal basis of those."""
        vectors = unit(np.array([cross_product(self.near[edge]) for edge in edges]))
        basis = np.linalg.svd(vectors, full_matrices=False)[2]
        inner, place, facing, turn = near_lines(unit(self.near[lines] @ basis.T), self.tolerance)
        if inner.shape[1] < len(edges):
            raise unclear(self.tolerance)
        return (inner, place, facing), turn.T @ basis

    def with_generic(self, rng: np.random.Generator) -> NearLines:
        """These, and then r - 1 more that are drawn at random."""
        r = self.shape[1]
        return NearLines(np.vstack([self.near, unit(rng.normal(size=(r, r))[: r - 1])]), self.tolerance)

    def check(self, flat: NDArray[np.intp]) -> None:
        """Refuse if lines orthogonal to one ray, r - 1 of them, are orthogonal to another one, too."""
        expected = np.ones(self.shape[0], dtype=np.bool_)
        expected[flat] = False
        for subsets in subsets_of(len(flat), self.shape[1] - 1, _SETS):
            others = self.rays(flat[subsets])[1] != 0
            if not (others[others.any(axis=1)] == expected).all():
                raise unclear(self.tolerance)


def near_lines(units: FloatArray, tolerance: float) -> tuple[NearLines, NDArray[np.intp], Signs, FloatArray]:
    """The lines of unit vectors or zeros, in coordinates of their span; and how these become weights.

    The coordinates are those in which the lines, before they have length one again, have no direction in
    common more than another: so points far from the origin are not all nearly parallel.
    """
    lines, place, facing = _parallel(units, tolerance)
    left, singular, right = np.linalg.svd(units[lines], full_matrices=False)
    rank = int((singular > tolerance * singular.max(initial=0.0)).sum())
    lift = right[:rank].T / singular[:rank]
    near = unit(left[:, :rank])
    if rank and np.prod(np.abs(np.diag(qr(near.T, mode="r", pivoting=True)[0]))) <= tolerance:
        raise unclear(tolerance)
    return NearLines(near, tolerance), place, facing, lift


def _parallel(units: FloatArray, tolerance: float) -> tuple[list[int], NDArray[np.intp], Signs]:
    """The first row on every line; for each row its line, -1 for zeros, and whether it faces along it."""
    place, facing = np.full(len(units), -1), np.ones(len(units), dtype=np.int8)
    lively: NDArray[np.bool_] = np.any(units != 0, axis=1)
    axis = np.random.default_rng(0).normal(size=units.shape[1])
    along = np.abs(units @ (axis / np.linalg.norm(axis)))
    order = np.argsort(along, kind="stable")
    order = order[lively[order]]
    ends = np.flatnonzero(np.diff(along[order], append=np.inf) > 3 * tolerance) + 1
    leaders: list[int] = []
    for group in np.split(order, ends[:-1]):  # rows of one line are in one group
        few: list[int] = []
        for k in np.sort(group).tolist():
            apart = np.linalg.norm(units[few] - units[k], axis=1)
            mirrored = np.linalg.norm(units[few] + units[k], axis=1)
            nearest = np.minimum(apart, mirrored)
            close = np.flatnonzero(nearest <= 3 * tolerance)
            if len(close) > 1 or (nearest[close] > tolerance).any():
                raise unclear(tolerance)
            if len(close):
                place[k], facing[k] = few[close[0]], 1 if apart[close[0]] <= mirrored[close[0]] else -1
            else:
                few.append(k)
                place[k] = k
        leaders += few
    leaders.sort()
    place[lively] = np.searchsorted(leaders, place[lively])
    return leaders, place, facing


def unclear(tolerance: float) -> ArithmeticError:
    """Return what to say if what is dependent up to a tolerance is so in no arrangement at all."""
    return ArithmeticError(
        f"with tolerance {tolerance:g} it is not clear which rows of X are parallel or dependent: some only "
        "just are, or are not, so that no arrangement has all these dependencies and no others; take another "
        "tolerance, larger or smaller"
    )


# --- From data ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Drawn:
    """Data and their lines.

    ``near`` are the rows in double precision, each in a unit of its own; ``lift`` carries weights in the
    coordinates of the lines to weights in the span of the data.
    """

    near: FloatArray
    lines: Lines
    place: NDArray[np.intp]
    facing: Signs
    lift: FloatArray

    def signs(self, of_lines: Signs) -> Signs:
        """Return the signs of all rows; +1 for zeros."""
        full = np.ones((len(of_lines), len(self.place)), dtype=np.int8)
        if of_lines.shape[1]:
            np.take(of_lines, self.place, axis=1, out=full, mode="clip")
            full *= self.facing
            full[:, self.place < 0] = 1
        return full


class _Check(Protocol):
    def __call__(self, n: int, m: int, d: int, r: int, /) -> None:
        """Refuse n rows in d dimensions that have m distinct lines, of rank r at least."""


def drawn(X: ArrayLike, tolerance: float | None, check: _Check) -> Drawn:
    """Draw the lines of data, and refuse what is too large before anything slow is done."""
    if tolerance is not None:
        return _near_drawn(X, tolerance, check)
    whole = as_exact(X)
    n, d = whole.shape
    m = len(merged(whole)[0])
    check(n, m, d, len(modular_rank(whole)))
    basis = independent_columns(whole)
    check(n, m, d, len(basis))
    near = as_floats(whole)
    lines, place, facing = merged(whole[:, basis])
    lift = np.eye(d)
    if len(basis) < d:
        orthonormal = np.linalg.svd(near, full_matrices=False)[2][: len(basis)]
        lift = (orthonormal.T @ orthonormal)[basis]
    return Drawn(near, ExactLines(lines), place, facing, lift)


def _near_drawn(X: ArrayLike, tolerance: float, check: _Check) -> Drawn:
    floats = isinstance(X, np.ndarray) and X.dtype.kind == "f"
    data = as_matrix(X, "X") if floats else as_floats(as_exact(X))
    largest = np.abs(data).max(axis=1, keepdims=True)
    near = unit(data / np.where(largest > 0, largest, 1.0))
    lines, place, facing, lift = near_lines(near, tolerance)
    check(len(data), lines.shape[0], data.shape[1], lines.shape[1])
    return Drawn(near, lines, place, facing, lift.T)
