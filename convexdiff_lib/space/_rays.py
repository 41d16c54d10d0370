"""Chambers by their extreme rays.

A chamber in the span of the data is a pointed cone, so it has extreme rays, each of them the line in which
d - 1 independent hyperplanes meet.  Around a ray only the hyperplanes through it matter.  If there are d - 1
of them, all settings of their signs occur; if there are more, they are an arrangement of their own, in one
dimension less.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import comb

import numpy as np
from numpy.typing import NDArray

from .._progress import QUIET, Bar
from .._validation import FloatArray
from ._exact_rows import Signs
from ._lines import Lines, subsets_of, unit
from .counting import count_arrangements

__all__ = [
    "Chambers",
    "list_chambers",
    "memory_needed",
    "minors",
    "sort_pairs",
    "spans",
]

_RAYS_AT_ONCE = 1 << 14  # whose signs are worked out together, at most
_SIGNS_AT_ONCE = 1 << 21, 1 << 24  # at the rays; around them
_PAIRS_AT_ONCE = 1 << 20  # of a chamber and a ray
_MIXING = np.array([0xBF58476D1CE4E5B9, 0x94D049BB133111EB], dtype=np.uint64)  # those of splitmix64


@dataclass(frozen=True, eq=False)
class Chambers:
    """Sign vectors of the chambers of lines; pairs of a chamber and a ray that it touches; the rays.

    ``crowded`` counts the rays in which more hyperplanes meet than need to, both ends of a line as one.
    """

    signs: Signs
    touches: NDArray[np.intp]
    rays: FloatArray
    crowded: int


class _Pairs:
    """A chamber, packed, and a ray for every pair that touches; then the chambers are told apart."""

    def __init__(self, room: int, m: int) -> None:
        self.m, self.count = m, 0
        self.packed = np.empty((room, -(-m // 8)), dtype=np.uint8)  # memory is taken as it is filled
        self.keys = np.empty(room, dtype=np.uint64)
        self.touches = np.empty((room, 2), dtype=np.intp)

    def add(self, packed: NDArray[np.uint8], rays: NDArray[np.intp]) -> None:
        """Add chambers and the ray that each of them touches."""
        here = slice(self.count, self.count + len(packed))
        self.packed[here], self.touches[here, 1], self.keys[here] = packed, rays, _hashed(packed)
        self.count = here.stop

    def settled(self) -> tuple[Signs, NDArray[np.intp]]:
        """Return the sign vectors of the chambers, and the pairs of chambers and rays."""
        packed, keys = self.packed[: self.count], self.keys[: self.count]
        kinds = np.zeros(0, dtype=np.uint64)
        for block in spans(self.count):
            kinds = np.sort(np.concatenate([kinds, keys[block]]))
            kinds = kinds[np.append(True, kinds[1:] != kinds[:-1])]
        kind, first = self.touches[: self.count, 0], np.empty(len(kinds), dtype=np.intp)
        for block in spans(self.count):
            kind[block] = np.searchsorted(kinds, keys[block])
            first[kind[block]] = np.arange(block.start, block.stop)
        if not all((packed[first[kind[block]]] == packed[block]).all() for block in spans(self.count)):
            _, first, kind[:] = np.unique(packed, axis=0, return_index=True, return_inverse=True)
        signs = np.unpackbits(packed[first], axis=1, count=self.m).view(np.int8)
        signs *= 2
        signs -= 1
        return signs, self.touches[: self.count]


def _hashed(packed: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """A key for every row.  Two rows share one by accident only, which is noticed later."""
    words = np.zeros((len(packed), -(-packed.shape[1] // 8) * 8), dtype=np.uint8)
    words[:, : packed.shape[1]] = packed
    keys = np.zeros(len(packed), dtype=np.uint64)
    for word in words.view(np.uint64).T:
        keys ^= word
        for factor in _MIXING:
            keys *= factor
            keys ^= keys >> np.uint64(32)
    return keys


def spans(count: int, at_once: int = _PAIRS_AT_ONCE) -> Iterator[slice]:
    """Slices, not too long, that make up so many."""
    for start in range(0, count, at_once):
        yield slice(start, min(start + at_once, count))


def sort_pairs(pairs: NDArray[np.intp]) -> None:
    """Sort pairs in place, by the first entry and then by the second."""
    width = int(pairs[:, 1].max(initial=0)) + 1
    both = pairs[:, 0] * width
    both += pairs[:, 1]
    both.sort()
    for block in spans(len(pairs)):
        pairs[block, 0], pairs[block, 1] = np.divmod(both[block], width)


def list_chambers(lines: Lines, bar: Bar = QUIET) -> Chambers:
    """List the chambers of distinct lines that span."""
    m, r = lines.shape
    if not r:
        return Chambers(np.ones((1, m), np.int8), np.zeros((0, 2), np.intp), np.zeros((0, 0)), 0)
    pairs, rays = _Pairs(_pairs_at_most(m, r), m), np.empty((2 * comb(m, r - 1), r))
    degenerate: set[bytes] = set()
    count = 0
    bar.expect(comb(m, r - 1))
    for subsets in subsets_of(m, r - 1, _rays_at_once(m, r)):
        vectors, signs = lines.rays(subsets)
        zeros = (signs == 0).sum(axis=1)
        plain = zeros == r - 1
        for half in (1, -1):
            owners = count + np.arange(int(plain.sum()))
            pairs.add(_around(half * signs[plain], subsets[plain]), np.repeat(owners, 2 ** (r - 1)))
            rays[owners] = half * vectors[plain]
            count += len(owners)
        for i in np.flatnonzero((zeros > r - 1) & (zeros < m)):
            sign, vector = signs[i], vectors[i]
            if {sign.tobytes(), (-sign).tobytes()} & degenerate:
                continue
            degenerate.add(sign.tobytes())
            through = np.flatnonzero(sign == 0)
            lines.check(through)
            inner, place, facing = lines.across(through, vector)
            around = list_chambers(inner).signs[:, place] * facing
            for half in (1, -1):
                whole = np.tile(half * sign, (len(around), 1))
                whole[:, through] = around
                pairs.add(np.packbits(whole > 0, axis=1), np.full(len(around), count))
                rays[count] = half * vector
                count += 1
        bar.done(len(subsets))
    chambers, touches = pairs.settled()
    return Chambers(chambers, touches, unit(rays[:count]), len(degenerate))


def _around(signs: Signs, subsets: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Packed sign vectors of the chambers around rays through which only the hyperplanes of a subset go."""
    settings = np.array(list(product((1, -1), repeat=subsets.shape[1])), dtype=np.int8)
    settings = settings.reshape(2 ** subsets.shape[1], subsets.shape[1])
    around = np.repeat(signs[:, None, :], len(settings), axis=1)
    i, s = np.arange(len(signs))[:, None, None], np.arange(len(settings))[None, :, None]
    around[i, s, subsets[:, None, :]] = settings
    return np.packbits(around.reshape(-1, signs.shape[1]) > 0, axis=1)


def _pairs_at_most(m: int, r: int) -> int:
    return 2 * comb(m, r - 1) * 2 ** (r - 1)


def _rays_at_once(m: int, r: int) -> int:
    at_rays, around = _SIGNS_AT_ONCE
    return max(1, min(_RAYS_AT_ONCE, at_rays // m, around // (m * 2 ** (r - 1))))


def minors(r: int) -> int:
    """Return how many bytes the minors of a ray take while they are expanded."""
    return 8 * (2 * comb(r, r // 2) + r * r)


def memory_needed(n: int, m: int, d: int, r: int) -> tuple[int, float]:
    """Return how many chambers n rows with m distinct lines of rank r have at most, and bytes to list them.

    There are three moments at which it may be most: when rays are looked at, with a block of them at work;
    when pairs are sorted; and when generators are sought.
    """
    if not r:
        return 1, 0.0
    chambers, pairs, rays = count_arrangements(m, r), _pairs_at_most(m, r), 2 * comb(m, r - 1)
    each = m * max(27.0, 4 + 2.3 * 2 ** (r - 1)) + minors(r)
    block = min(_rays_at_once(m, r), comb(m, r - 1)) * each
    told_apart = 32 * min(pairs, _PAIRS_AT_ONCE) + chambers * (16 + m + -(-m // 8))
    looking = pairs * (-(-m // 8) + 24) + rays * 8 * r + max(block, told_apart)
    sorting = pairs * 24 + rays * 16 * r + chambers * (m + n + 24)
    seeking = pairs * 16 + rays * 8 * (r + 2 * d) + chambers * (m + 2 * n + 16 * d + 24)
    return chambers, float(max(looking, sorting, seeking))
