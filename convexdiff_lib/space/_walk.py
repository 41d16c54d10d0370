"""Chambers one after another, each exactly once, without a list of those before.

Take the last line h and the half of space on its positive side; the other half is opposite.  There the other
lines are hyperplanes of the affine space {h = 1}.  A chamber in which a linear function c is bounded below
has one lowest corner, and c increases along all edges from there.  Around a corner in which only k = r - 1
hyperplanes meet, that is one chamber.  The chambers on which c is not bounded below are those of a
hyperplane of a constant, very negative c; in there, in one dimension less, another function does the same.

So a chamber belongs to a subset S of the other lines, of any size k < r.  With generic functions c_1, c_2,
..., and l = r - 1 - k, its corner is the vector on S, and for l > 0 on h and c_1, ..., c_{l-1}, with
h > 0 or c_l < 0.  A line that vanishes there without depending on S depends on S and h, and has the sign of
its part in h.  Edges are on S but for one line, and on h and c_1, ..., c_l; c_{l+1} increases.  Only corners
in which more hyperplanes meet are kept, because they belong to several subsets.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .._progress import Bar
from .._validation import FloatArray
from ._exact_rows import Signs
from ._lines import Lines, subsets_of, unclear, unit
from ._rays import list_chambers, memory_needed, minors
from .counting import count_arrangements

__all__ = ["bytes_per_chamber", "walk"]

_ENTRY = 120  # bytes that a set needs for some bytes, beside these
_SEED = 2**89 - 1  # of the generic functions: nobody draws data from it

Found = tuple[Signs, FloatArray]  # signs of lines, and a vector inside


def bytes_per_chamber(n: int, m: int, d: int, r: int) -> float:
    """Return how many bytes a block takes for each of its chambers, at most."""
    return 20.0 * m + 3.0 * n + 16.0 * (d + r * r) + minors(r) / 2


def walk(lines: Lines, at_once: int, memory_limit: float, bar: Bar) -> Iterator[Found]:
    """Yield the chambers of distinct lines that span, about so many at once."""
    m, r = lines.shape
    if not r:
        yield np.ones((1, m), np.int8), np.zeros((1, 0))
        return
    bar.expect(count_arrangements(m, r) // 2)
    more = lines.with_generic(np.random.default_rng(_SEED))
    for level in range(r):
        yield from _Level(lines, more, level, memory_limit).chambers(max(1, at_once // 2), bar)


class _Level:
    """The chambers whose subsets have r - 1 - level lines."""

    def __init__(self, data: Lines, lines: Lines, level: int, memory_limit: float) -> None:
        self.data, self.lines, self.level, self.memory_limit = data, lines, level, memory_limit
        m, self.r = self.m, _ = data.shape
        self.size = self.r - 1 - level
        h, c = m - 1, list(range(m, m + self.r - 1))
        # What a corner is on, beside its subset; what is positive there; what an edge is on; what increases.
        self.on = [h, *c[: level - 1]] if level else []
        self.side, self.sense = (c[level - 1], -1) if level else (h, 1)
        self.parts = c[:level]
        self.edge_on = [h, *c[:level]]
        self.function = c[level] if self.size else -1
        self.crowded: set[bytes] = set()

    def chambers(self, at_once: int, bar: Bar) -> Iterator[Found]:
        """Yield the chambers, with their opposites."""
        for subsets in subsets_of(self.m - 1, self.size, at_once):
            for signs, inside in self._of(subsets):
                for half in (1, -1):
                    yield half * signs, half * inside
            bar.done(len(subsets))

    def _of(self, subsets: NDArray[np.intp]) -> Iterator[Found]:
        corners, signs = self._rays(subsets, self.on)
        sense = self.sense * signs[:, self.side]
        subsets, corners, signs = (a[sense != 0] for a in (subsets, corners, signs))
        sense = sense[sense != 0, None]
        corners, signs = unit(sense * corners), (sense * signs)[:, : self.m]
        if self.level:
            upwards, part = self._rays(subsets, self.parts)
            rising = part[:, self.m - 1, None]
            signs = np.where(signs == 0, (rising * part)[:, : self.m], signs)
            corners = self._inside(corners, rising * upwards, signs)
        signs[:, self.m - 1] = 1
        plain = (signs == 0).sum(axis=1) == self.size
        edges, own = self._edges(subsets[plain])
        at = np.flatnonzero(plain)
        signs[at[:, None], subsets[plain]] = own
        yield signs[at], self._inside(corners[at], edges, signs[at])
        for i in np.flatnonzero(~plain):
            if (key := np.packbits(signs[i] == 0).tobytes()) not in self.crowded:
                self._remember(key)
                around, inwards = self._crowded(subsets[i], signs[i])
                corner = np.broadcast_to(corners[i], inwards.shape)
                yield around, self._inside(corner, inwards, around)

    def _remember(self, corner: bytes) -> None:
        """Keep a crowded corner, which other subsets have, too."""
        self.crowded.add(corner)
        if len(self.crowded) * (len(corner) + _ENTRY) > self.memory_limit:
            raise ValueError(
                f"in {len(self.crowded):,} points more hyperplanes meet than need to, and keeping them takes "
                f"more than memory_limit, {self.memory_limit / 1e9:g} GB"
            )

    def _rays(
        self, subsets: NDArray[np.intp], on: list[int], of: NDArray[np.intp] | None = None
    ) -> tuple[FloatArray, Signs]:
        """The vectors orthogonal to subsets and to some lines more, and the signs there."""
        also = np.broadcast_to(np.array(on, dtype=np.intp), (len(subsets), len(on)))
        lines = self.lines if self.level or on else self.data
        return lines.rays(np.concatenate([subsets, also], axis=1), of)

    def _edges(self, subsets: NDArray[np.intp]) -> tuple[FloatArray, Signs]:
        """The sum of the edges along which the function increases, and the signs of the subset along them."""
        total, own = np.zeros((len(subsets), self.r)), np.zeros(subsets.shape, dtype=np.int8)
        for i in range(self.size):
            looked_at = np.column_stack([subsets[:, i], np.full(len(subsets), self.function)])
            edges, signs = self._rays(np.delete(subsets, i, axis=1), self.edge_on, looked_at)
            up = signs[:, 1]
            own[:, i] = up * signs[:, 0]
            if not own[:, i].all():
                raise unclear(self.lines.tolerance or 0.0)
            total += unit(up[:, None] * edges)
        return total, own

    def _crowded(self, subset: NDArray[np.intp], signs: Signs) -> Found:
        """The chambers around a corner in which more hyperplanes meet, on which the function increases."""
        through = np.flatnonzero(signs == 0)
        if not self.level:
            self.data.check(through)
        edges = [[*np.delete(subset, i).tolist(), *self.edge_on] for i in range(self.size)]
        (lines, place, facing), basis = self.lines.on_edges([*through.tolist(), self.function], edges)
        m, r = lines.shape
        needed, limit = memory_needed(m, m, r, r)[1] / 1e9, self.memory_limit / 1e9
        if needed > limit:
            raise ValueError(
                f"{m} hyperplanes of rank {r} meet in one point, and listing the chambers around it may take "
                f"{needed:,.1f} GB; memory_limit is {limit:g} GB"
            )
        local = list_chambers(lines)
        seen = local.signs[:, place] * facing
        packed = np.packbits(seen[:, :-1] > 0, axis=1)
        _, first, count = np.unique(packed, axis=0, return_index=True, return_counts=True)
        bounded = first[(count == 1) & (seen[first, -1] > 0)]
        around = np.tile(signs, (len(bounded), 1))
        around[:, through] = seen[bounded, :-1]
        sums = np.zeros((len(seen), r))
        np.add.at(sums, local.touches[:, 0], local.rays[local.touches[:, 1]])
        return around, unit(sums[bounded] @ basis)

    def _inside(self, corners: FloatArray, inwards: FloatArray, signs: Signs) -> FloatArray:
        """Go half the way through the chamber from its corner, or along a face where signs are 0."""
        inwards = unit(inwards)
        near = self.data.near.T
        ahead = signs * (inwards @ near)
        with np.errstate(divide="ignore", invalid="ignore"):
            steps = np.where(ahead < 0, np.abs(corners @ near) / -ahead, np.inf).min(axis=1, keepdims=True)
        return unit(corners + np.minimum(steps / 2, 1.0) * inwards)
