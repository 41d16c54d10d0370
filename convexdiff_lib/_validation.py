"""Checks at the door: every public function calls these before it computes anything."""

from __future__ import annotations

from numbers import Real
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Activation = Literal["relu", "abs"]
FloatArray = NDArray[np.float64]

_ACTIVATIONS = get_args(Activation)
_REAL = (float, Real)  # in this order, because the first is found at once


def _as_floats(x: ArrayLike, name: str, wanted: str) -> FloatArray:
    """Return a new float array; refuse strings, complex numbers and None, even where NumPy would convert."""
    try:
        given = np.asarray(x)
        if given.dtype.kind not in "biufO":
            raise TypeError(f"{given.dtype} is no type of real number")
        if given.dtype.kind == "O" and not all(isinstance(entry, Real) for entry in given.flat):
            raise TypeError("an entry is not a real number")
        return np.array(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be {wanted} of real numbers; got {x!r:.80}") from error


def as_vector(x: ArrayLike, name: str = "x") -> FloatArray:
    """Return ``x`` as a new one-dimensional float array, not empty; its entries may be infinite or NaN."""
    vector = _as_floats(x, name, "a one-dimensional array")
    if vector.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, shape (n,); got shape {vector.shape}")
    if vector.size == 0:
        raise ValueError(f"{name} must hold at least one point; got an empty array")
    return vector


def as_sample(x: ArrayLike, name: str = "x") -> FloatArray:
    """Return ``x`` as a new one-dimensional float array, or say what is wrong with it."""
    sample = as_vector(x, name)
    bad = ~np.isfinite(sample)
    if bad.any():
        first = int(np.argmax(bad))
        raise ValueError(
            f"{name} must be finite; {int(bad.sum())} of {sample.size} entries are not, "
            f"the first is {name}[{first}] = {sample[first]}"
        )
    return sample


def as_matrix(x: ArrayLike, name: str = "x") -> FloatArray:
    """Return ``x`` as a new float array of shape (n, d); a vector becomes one column."""
    matrix = _as_floats(x, name, "an array")
    if matrix.ndim == 1:
        matrix = matrix[:, None]
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(f"{name} must have shape (n,) or (n, d), n and d at least 1; got {np.shape(x)}")
    if not np.isfinite(matrix).all():
        raise ValueError(f"{name} must be finite; {int((~np.isfinite(matrix)).sum())} entries are not")
    return matrix


def as_points(x: ArrayLike, name: str = "x") -> FloatArray:
    """Return ``x`` as a new float array of any shape; every entry is finite."""
    points = _as_floats(x, name, "an array")
    if not np.isfinite(points).all():
        raise ValueError(f"{name} must be finite; {int((~np.isfinite(points)).sum())} entries are not")
    return points


def as_patterned(X: ArrayLike, patterns: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return data of shape (n, d) and their activation patterns, shape (P, n), both as floats."""
    data, signs = as_matrix(X, "X"), as_points(patterns, "patterns")
    if signs.ndim != 2 or signs.shape[1] != len(data) or len(signs) == 0:
        raise ValueError(f"patterns must have shape (P, n) with n = {len(data)} points; got {signs.shape}")
    if not (np.isin(signs, (0.0, 1.0)).all() or np.isin(signs, (-1.0, 1.0)).all()):
        raise ValueError("patterns must hold truth values, or signs -1 and 1; got other numbers")
    return data, signs


def as_targets(targets: ArrayLike, n: int) -> FloatArray:
    """Return targets with one row for each of n points."""
    labels = as_matrix(targets, "targets")
    if len(labels) != n:
        raise ValueError(f"targets must have one row per point, {n}; got {len(labels)}")
    return labels


def as_finite(value: object, name: str) -> float:
    """Return ``value`` as a finite float."""
    if isinstance(value, bool) or not isinstance(value, _REAL) or not np.isfinite(float(value)):
        raise ValueError(f"{name} must be a finite number; got {value!r:.80}")
    return float(value)


def as_positive(value: object, name: str) -> float:
    """Return ``value`` as a positive finite float."""
    if isinstance(value, bool) or not isinstance(value, _REAL) or not 0 < float(value) < np.inf:
        raise ValueError(f"{name} must be a positive finite number; got {value!r:.80}")
    return float(value)


def as_not_negative(value: float, name: str) -> float:
    """Return ``value`` as a finite float that is at least 0."""
    number = as_finite(value, name)
    if number < 0:
        raise ValueError(f"{name} must be at least 0; got {value}")
    return number


def as_weight_decay(beta: float) -> float:
    """Return ``beta`` as a positive finite float."""
    return as_positive(beta, "beta")


def as_memory_limit(value: object) -> float:
    """Return a number of bytes, positive; infinity is no limit."""
    if isinstance(value, bool) or not isinstance(value, _REAL) or not float(value) > 0:
        raise ValueError(f"memory_limit must be a positive number of bytes; got {value!r:.80}")
    return float(value)


def as_activation(activation: str) -> Activation:
    """Return ``activation`` if it is one of the two that the theory covers."""
    if not isinstance(activation, str) or activation not in _ACTIVATIONS:
        allowed = " or ".join(repr(name) for name in _ACTIVATIONS)
        raise ValueError(f"activation must be {allowed}; got {activation!r}")
    return activation  # type: ignore[return-value]


def as_flag(value: bool, name: str) -> bool:
    """Return ``value`` if it is a truth value; anything else would be read as one by accident."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False; got {value!r:.80}")
    return bool(value)


def as_count(n: int, name: str, minimum: int = 0) -> int:
    """Return ``n`` as an integer at least ``minimum``."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < minimum:
        raise ValueError(f"{name} must be an integer, at least {minimum}; got {n!r}")
    return int(n)


def as_generator(rng: np.random.Generator, name: str = "rng") -> np.random.Generator:
    """Return ``rng`` if it is a NumPy generator; seeds and global state are refused."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"{name} must be a numpy.random.Generator, e.g. np.random.default_rng(0); got {rng!r:.80}"
        )
    return rng
