"""Rows of floats as integers, without rounding: which lines they are, which depend on others, and so on."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from .._validation import FloatArray

__all__ = ["Ints", "Signs", "independent_columns", "integers_of", "merged", "restricted"]

Signs = NDArray[np.int8]
Ints = NDArray[np.object_]


def integers_of(data: FloatArray) -> Ints:
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


def independent_columns(rows: Ints) -> list[int]:
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


def merged(rows: Ints) -> tuple[Ints, NDArray[np.intp], Signs]:
    """Distinct lines; for each row its line (-1 for a zero row) and whether it faces along it."""
    lines: dict[tuple[int, ...], int] = {}
    place, facing = np.full(len(rows), -1), np.ones(len(rows), dtype=np.int8)
    for k, row in enumerate(_coprime(rows).tolist()):
        lead = next((v for v in row if v), 0)
        if lead:
            facing[k] = 1 if lead > 0 else -1
            place[k] = lines.setdefault(tuple(int(facing[k]) * v for v in row), len(lines))
    return np.array(list(lines), dtype=object).reshape(len(lines), rows.shape[1]), place, facing


def restricted(rows: Ints, wall: list[int]) -> Ints:
    """The rows as they act on the hyperplane of ``wall``, in one coordinate less."""
    p = next(i for i, v in enumerate(wall) if v)
    sign = 1 if wall[p] > 0 else -1
    others = [q for q in range(len(wall)) if q != p]
    normal = np.array([wall[q] for q in others], dtype=object)
    return sign * (wall[p] * rows[:, others] - rows[:, [p]] * normal)
