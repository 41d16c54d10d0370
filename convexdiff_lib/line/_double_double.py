"""Arrays of double-double numbers: unevaluated sums of two doubles, with about 32 digits.

The rounding error of a sum or of a product of two doubles is itself a double, found with rounded additions
and multiplications only (Knuth 1969, Dekker 1971).  Kept beside the result it doubles the digits, on any
machine.  Only what a certificate needs is here; loops over the data have their own copies, see
`convexdiff_lib.line.spline_certificates`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._validation import FloatArray

__all__ = ["DoubleDouble", "Number", "rounded"]

_SPLITTER = 134217729.0  # 2^27 + 1 cuts 53 bits in two halves


def _halves(a: FloatArray) -> tuple[FloatArray, FloatArray]:
    scaled = _SPLITTER * a
    high = scaled - (scaled - a)
    return high, a - high


class DoubleDouble:
    """An array of double-double numbers: ``high + low``, where ``low`` is below the last digit of ``high``.

    Parameters
    ----------
    high, low : arrays of one shape, or numbers

    Examples
    --------
    >>> third = DoubleDouble(1.0) / DoubleDouble(3.0)
    >>> float((third * 3.0 - 1.0).high) == 0.0, bool(abs(third.low) > 0)
    (True, True)
    """

    __slots__ = ("high", "low")
    __array_ufunc__ = None  # so that array + DoubleDouble comes here

    def __init__(self, high: Any, low: Any = 0.0) -> None:
        self.high = np.asarray(high, dtype=np.float64)
        rest = np.asarray(low, dtype=np.float64)
        self.low = rest if rest.shape == self.high.shape else np.broadcast_to(rest, self.high.shape)

    @classmethod
    def _tidy(cls, high: FloatArray, low: FloatArray) -> DoubleDouble:
        total = high + low
        return cls(total, low - (total - high))

    def __len__(self) -> int:
        return len(self.high)

    def __getitem__(self, index: Any) -> DoubleDouble:
        return DoubleDouble(self.high[index], self.low[index])

    def __neg__(self) -> DoubleDouble:
        return DoubleDouble(-self.high, -self.low)

    def __add__(self, other: Number | float) -> DoubleDouble:
        b = _as(other)
        total = self.high + b.high
        part = total - self.high
        error = (self.high - (total - part)) + (b.high - part)
        return DoubleDouble._tidy(total, error + self.low + b.low)

    def __sub__(self, other: Number | float) -> DoubleDouble:
        return self + -_as(other)

    def __mul__(self, other: Number | float) -> DoubleDouble:
        b = _as(other)
        total = self.high * b.high
        (a1, a2), (b1, b2) = _halves(self.high), _halves(b.high)
        error = ((a1 * b1 - total) + a1 * b2 + a2 * b1) + a2 * b2
        return DoubleDouble._tidy(total, error + self.high * b.low + self.low * b.high)

    def __truediv__(self, other: Number | float) -> DoubleDouble:
        b = _as(other)
        quotient = self.high / b.high
        rest = self - b * quotient
        return DoubleDouble._tidy(quotient, rest.high / b.high)

    def __radd__(self, other: FloatArray | float) -> DoubleDouble:
        return self + other

    def __rsub__(self, other: FloatArray | float) -> DoubleDouble:
        return _as(other) - self

    def __rmul__(self, other: FloatArray | float) -> DoubleDouble:
        return self * other

    def __rtruediv__(self, other: FloatArray | float) -> DoubleDouble:
        return _as(other) / self


Number = DoubleDouble | FloatArray


def _as(a: Number | float) -> DoubleDouble:
    return a if isinstance(a, DoubleDouble) else DoubleDouble(a)


def rounded(a: Number | float) -> FloatArray:
    """Return the nearest doubles.

    Examples
    --------
    >>> float(rounded(DoubleDouble(1.0) - 1.0))
    0.0
    """
    return a.high if isinstance(a, DoubleDouble) else np.asarray(a)
