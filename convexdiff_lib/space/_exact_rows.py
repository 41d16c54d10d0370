"""Rows as integers, without rounding: which lines they are, which depend on others, and so on."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import lcm
from numbers import Integral, Rational
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._validation import FloatArray, as_matrix, refuse_masked

__all__ = [
    "Ints",
    "Signs",
    "as_exact",
    "as_floats",
    "independent_columns",
    "integers_of",
    "merged",
    "modular_rank",
    "restricted",
]

Signs = NDArray[np.int8]
Ints = NDArray[np.object_]

_PRIME = 2**31 - 1  # products of two remainders are 64-bit integers


def as_exact(X: ArrayLike, name: str = "X") -> Ints:
    """Return data as integers, every row scaled by a positive number, without rounding.

    Floats are the fractions that they are; fractions, decimals, integers of any size and strings, ``"0.1"``
    or ``"1/3"``, are what they say.
    """
    if isinstance(X, np.ndarray) and X.dtype.kind == "f":
        return integers_of(as_matrix(X, name))
    ratios = _ratios(X, name)
    return integers_of(as_matrix(X, name)) if ratios is None else _whole(ratios)


def _ratios(X: Any, name: str) -> NDArray[np.object_] | None:
    """The entries as fractions, if all of them are numbers of Python and NumPy, or strings that say one."""
    try:
        given = np.asarray(X, dtype=object)
    except (TypeError, ValueError, RuntimeError):  # what it is, `as_matrix` says
        return None
    if given.ndim not in (1, 2) or not given.size:
        return None
    entries = [_ratio(entry) for entry in given.flat]
    if any(entry is None for entry in entries):
        return None
    refuse_masked(X, given, name)
    ratios = np.empty(len(entries), dtype=object)
    ratios[:] = entries
    return ratios.reshape(given.shape if given.ndim == 2 else (-1, 1))


def _ratio(entry: object) -> Fraction | None:
    if isinstance(entry, Integral):
        return Fraction(int(entry))
    if isinstance(entry, float | np.floating | str | Decimal | Rational):
        try:
            return Fraction(entry if isinstance(entry, str | Decimal | Rational) else float(entry))
        except (ValueError, OverflowError, ZeroDivisionError):  # not finite, or a string of something else
            return None
    return None


def integers_of(data: FloatArray) -> Ints:
    """Scale every row by a positive number that makes it coprime integers; floats are fractions."""
    rows = []
    for row in data.tolist():
        ratios = [value.as_integer_ratio() for value in row]
        scale = max(bottom for _, bottom in ratios)  # powers of two
        rows.append([top * (scale // bottom) for top, bottom in ratios])
    return _coprime(np.array(rows, dtype=object).reshape(data.shape))


def _whole(ratios: NDArray[np.object_]) -> Ints:
    """The same for fractions."""
    scales = [lcm(*(ratio.denominator for ratio in row)) for row in ratios.tolist()]
    rows = [[int(ratio * s) for ratio in row] for row, s in zip(ratios.tolist(), scales, strict=True)]
    return _coprime(np.array(rows, dtype=object).reshape(ratios.shape))


def as_floats(rows: Ints) -> FloatArray:
    """The rows in double precision, each times a power of two that makes its largest entry about one."""
    scales = [1 << max(abs(v) for v in row).bit_length() for row in rows.tolist()]
    near = [[v / s for v in row] for row, s in zip(rows.tolist(), scales, strict=True)]
    return np.array(near).reshape(rows.shape)


def _coprime(rows: Ints) -> Ints:
    divisor = np.gcd.reduce(rows, axis=1, keepdims=True, initial=0) if rows.size else rows[:, :1]
    return rows // np.where(divisor == 0, 1, divisor)


def modular_rank(rows: Ints) -> list[int]:
    """Columns that are independent for certain, found modulo a prime: nearly always as many as there are."""
    work = (rows % _PRIME).astype(np.int64)
    basis: list[int] = []
    for c in range(rows.shape[1]):
        pivots = np.flatnonzero(work[len(basis) :, c])
        if not len(pivots):
            continue
        top, pivot = len(basis), len(basis) + int(pivots[0])
        work[[top, pivot]] = work[[pivot, top]]
        below = work[top + 1 :]
        factors = below[:, c] * pow(int(work[top, c]), -1, _PRIME) % _PRIME
        below[:] = (below - factors[:, None] * work[top] % _PRIME) % _PRIME
        basis.append(c)
        if len(basis) == len(rows):
            break
    return basis


def independent_columns(rows: Ints) -> list[int]:
    """Columns that span all others: signs of X u are those of these columns times some u."""
    basis = modular_rank(rows) if rows.size else []
    return basis if len(basis) == min(rows.shape) else _eliminated(rows)


def _eliminated(rows: Ints) -> list[int]:
    """The first columns that span all others, by elimination with fractions."""
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
