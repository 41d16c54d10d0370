"""Chambers by their extreme rays, exactly.

A chamber in the span of the data is a pointed cone, so it has extreme rays, each of them the line in which
d - 1 independent hyperplanes meet.  Around a ray only the hyperplanes through it matter.  If there are d - 1
of them, all settings of their signs occur; if there are more, they are an arrangement of their own, in one
dimension less.  Every sign is certain: where rounding could matter, integers decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, islice, product
from math import comb, factorial

import numpy as np
from numpy.typing import NDArray

from .._progress import QUIET, Bar
from .._validation import FloatArray
from ._exact_rows import Ints, Signs, independent_columns, integers_of, merged
from .counting import count_arrangements
from .cross_products import cross_product

__all__ = ["EPS", "RAYS_AT_ONCE", "list_chambers", "signs_of", "unit"]

RAYS_AT_ONCE = 1 << 14  # whose signs are worked out together
EPS = float(np.finfo(np.float64).eps)


def list_chambers(
    data: FloatArray, memory_limit: float, bar: Bar
) -> tuple[Signs, NDArray[np.intp], FloatArray]:
    """Sign vectors of all rows; which rays the chambers touch; the rays, in the span of the data."""
    whole = integers_of(data)
    basis = independent_columns(whole)
    lines, place, facing = merged(whole[:, basis])
    rank = len(basis)
    _check_memory(len(data), len(lines), data.shape[1], rank, memory_limit)
    signs, touches, rays = _chambers(lines, bar)
    full = np.ones((len(signs), len(data)), dtype=np.int8)
    full[:, place >= 0] = (signs[:, place] * facing)[:, place >= 0] if rank else 1
    return full, touches, unit(rays @ _row_space(data, basis))


def signs_of(rows: Ints) -> Signs:
    """Sign vectors of the chambers of rows none of which is zero."""
    lines, place, facing = merged(rows[:, independent_columns(rows)])
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
            inner = signs_of(lines[through])
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
    return signs, np.column_stack([chamber, np.concatenate(owners)]), unit(np.concatenate(rays))


def _blocks(m: int, size: int, bar: Bar) -> Iterator[NDArray[np.intp]]:
    """All subsets of a size, a block at a time."""
    subsets = combinations(range(m), size)
    bar.expect(comb(m, size))
    while block := list(islice(subsets, RAYS_AT_ONCE)):
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
    bound = 4 * r * r * EPS * length[subsets].prod(axis=1)[:, None] * length
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


def unit(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)


def _row_space(data: FloatArray, basis: list[int]) -> FloatArray:
    """Carry weights on the columns of the basis to weights in the span of the rows, with the same values."""
    if len(basis) == data.shape[1]:
        return np.eye(data.shape[1])
    orthonormal = np.linalg.svd(data, full_matrices=False)[2][: len(basis)]
    return (orthonormal.T @ orthonormal)[basis]


def _check_memory(n: int, m: int, d: int, r: int, limit: float) -> None:
    """Refuse before anything is started."""
    chambers = count_arrangements(m, r) if r else 1
    incidences = 2 * comb(m, max(r - 1, 0)) * 2 ** max(r - 1, 0)
    needed = incidences * (2 * -(-m // 8) + 48) + chambers * (2 * n + m + 16 * d) + 8 * RAYS_AT_ONCE * m
    if needed > limit:
        raise ValueError(
            f"{n} rows of rank {r} may have {chambers:,} activation patterns, and listing them may take "
            f"{needed / 1e9:,.1f} GB; memory_limit is {limit / 1e9:g} GB"
        )
