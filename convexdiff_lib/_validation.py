"""Checks at the door: every public function calls these before it computes anything."""

from __future__ import annotations

from decimal import Decimal
from numbers import Integral, Real
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Activation = Literal["relu", "abs"]
FloatArray = NDArray[np.float64]

_ACTIVATIONS = get_args(Activation)
_NUMBERS = (float, Real, Decimal)  # in this order, because the first is found at once
_EXACT = 2**53  # up to here every integer is a float
_SMALLEST, _LARGEST = 1e-100, 1e100  # squares, times one more number of this size, can be held


def _as_floats(x: ArrayLike, name: str, wanted: str) -> FloatArray:
    """Return a new float array; refuse what is no real number, and what would silently become another."""
    if type(x) is np.ndarray and x.dtype.kind == "f":
        return np.array(x, dtype=np.float64)
    try:
        given = np.asarray(x)
        if given.dtype.kind not in "biufO":
            raise TypeError(f"{given.dtype} is no type of real number")
        if given.dtype.kind == "O":
            _check_objects(given, name)
        floats = np.array(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:  # the last one is PyTorch's
        why = " ".join(str(error).split())
        raise ValueError(f"{name} must be {wanted} of real numbers; got {_shown(x)}: {why:.160}") from error
    refuse_masked(x, given, name)
    if given.dtype.kind in "iuO" or isinstance(x, list | tuple):
        _check_integers(x, given, floats, name)
    return floats


def _shown(x: object) -> str:
    return f"{' '.join(repr(x).split()):.80}"


def _check_objects(given: NDArray[np.object_], name: str) -> None:
    """Real numbers of Python and of other libraries will do; what stands for a missing one will not."""
    missing = np.array([_is_missing(entry) for entry in given.flat], dtype=np.bool_).reshape(given.shape)
    if given.ndim and missing.any():
        count, place = _places(missing, name)
        raise TypeError(f"{count} are missing, the first is {place} = {given[missing][0]}; leave them out")
    if not all(isinstance(entry, _NUMBERS) for entry in given.flat):
        raise TypeError("an entry is not a real number")


def _is_missing(entry: object) -> bool:
    """None, or the mark of pandas for a missing number or time, known by name: pandas need not be there."""
    return entry is None or type(entry).__name__ in ("NAType", "NaTType")


def _places(bad: NDArray[np.bool_], name: str) -> tuple[str, str]:
    """How many entries are bad, and the first of them as one would write it."""
    first = ", ".join(str(int(i)) for i in np.argwhere(bad)[0])
    return f"{int(bad.sum())} of {bad.size} entries", f"{name}[{first}]" if bad.ndim else name


def refuse_masked(x: ArrayLike, given: NDArray[Any], name: str) -> None:
    """Refuse masked entries: without them other things, one for every point, would no longer fit."""
    if isinstance(x, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(x)
    elif isinstance(x, list | tuple) and given.ndim == 2 and any(isinstance(r, np.ma.MaskedArray) for r in x):
        mask = np.array([np.ma.getmaskarray(row) for row in x])
    else:
        return
    if mask.any():
        count, place = _places(mask, name)
        if mask.all():
            raise ValueError(f"{name} must hold at least one point; all entries are masked")
        raise ValueError(
            f"{name} must not have masked entries; {count} are, the first is {place}: leave these points "
            f"out, in what goes with them too; {name}.compressed() does so for one array"
        )


def _check_integers(x: object, given: NDArray[Any], floats: FloatArray, name: str) -> None:
    """Refuse integers that double precision would round, be it that NumPy has already done so."""
    large = np.abs(floats) > _EXACT
    if not large.any():
        return
    entries = np.array(x, dtype=object) if given.dtype.kind == "f" else given.astype(object)
    lost = np.zeros(floats.shape, dtype=np.bool_)
    lost[large] = [
        isinstance(entry, Integral) and int(entry) != int(number)
        for entry, number in zip(entries[large], floats[large].tolist(), strict=True)
    ]
    if lost.any():
        count, place = _places(lost, name)
        raise ValueError(
            f"{name} must hold integers that double precision can hold; {count} would be rounded, the "
            f"first is {place} = {entries[lost][0]}: subtract one of them while they are integers, "
            f"{name} - {name}.min() (a score moves with its data), or give floats if that does no harm"
        )


def _check_finite(array: FloatArray, name: str) -> None:
    bad = ~np.isfinite(array)
    if bad.any():
        count, place = _places(bad, name)
        raise ValueError(f"{name} must be finite; {count} are not, the first is {place} = {array[bad][0]}")


def as_numbers(x: ArrayLike, name: str = "x") -> FloatArray:
    """Return ``x`` as a float array of any shape, maybe itself; its entries may be infinite or NaN."""
    if type(x) is np.ndarray and x.dtype == np.float64:
        return x
    return _as_floats(x, name, "an array")


def as_vector(x: ArrayLike, name: str = "x") -> FloatArray:
    """Return ``x`` as a new one-dimensional float array, not empty; its entries may be infinite or NaN.

    An array of no dimension is one point: so `numpy.loadtxt` reads a file with one number.
    """
    vector = _as_floats(x, name, "a one-dimensional array")
    if vector.ndim == 0 and isinstance(x, np.ndarray):
        vector = vector.reshape(1)
    if vector.ndim != 1:
        advice = f"; {name}.squeeze() makes it so" if vector.ndim == 2 and vector.shape[1] == 1 else ""
        raise ValueError(f"{name} must be one-dimensional, shape (n,); got shape {vector.shape}{advice}")
    if vector.size == 0:
        raise ValueError(f"{name} must hold at least one point; got an empty array")
    return vector


def as_sample(x: ArrayLike, name: str = "x") -> FloatArray:
    """Return ``x`` as a new one-dimensional float array, or say what is wrong with it."""
    sample = as_vector(x, name)
    _check_finite(sample, name)
    return sample


def as_matrix(x: ArrayLike, name: str = "x") -> FloatArray:
    """Return ``x`` as a new float array of shape (n, d); a vector becomes one column."""
    matrix = _as_floats(x, name, "an array")
    if matrix.ndim == 0 and isinstance(x, np.ndarray):
        matrix = matrix.reshape(1)
    if matrix.ndim not in (1, 2) or matrix.size == 0:
        raise ValueError(f"{name} must have shape (n,) or (n, d), n and d at least 1; got {np.shape(x)}")
    _check_finite(matrix, name)
    return matrix if matrix.ndim == 2 else matrix[:, None]


def as_data(x: ArrayLike, name: str = "X", *, smallest: float = _SMALLEST) -> FloatArray:
    """Return ``x`` as `as_matrix` does, to train on: products of entries neither overflow nor vanish."""
    data = as_matrix(x, name)
    largest = float(np.abs(data).max())
    if largest and not smallest <= largest <= _LARGEST:
        allowed = f"between {smallest:g} and {_LARGEST:g}, or 0" if smallest else f"at most {_LARGEST:g}"
        raise ValueError(
            f"the largest entry of {name} must be {allowed} in size; it is {largest:g}: rescale {name}"
        )
    return data


def expect_one_shape(**arrays: FloatArray) -> None:
    """Refuse arrays, each under its name, that differ in shape."""
    shapes = [array.shape for array in arrays.values()]
    if len(set(shapes)) > 1:
        raise ValueError(f"{' and '.join(arrays)} must have one shape; got {' and '.join(map(str, shapes))}")


def as_noisy_sample(x_noisy: ArrayLike, targets: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return noisy points and their targets, both of shape (n,)."""
    sample, labels = as_sample(x_noisy, "x_noisy"), as_sample(targets, "targets")
    expect_one_shape(x_noisy=sample, targets=labels)
    return sample, labels


def as_points(x: ArrayLike, name: str = "x") -> FloatArray:
    """Return ``x`` as a new float array of any shape; every entry is finite."""
    points = _as_floats(x, name, "an array")
    _check_finite(points, name)
    return points


def as_truths(x: ArrayLike, name: str) -> NDArray[np.bool_]:
    """Return ``x`` as a new array of truth values, of any shape; 0 and 1 will do."""
    if type(x) is np.ndarray and x.dtype == np.bool_:
        return x.copy()
    numbers = _as_floats(x, name, "an array")
    if not np.isin(numbers, (0.0, 1.0)).all():
        raise ValueError(f"{name} must hold truth values; got {_shown(x)}")
    return numbers.astype(np.bool_)


def as_patterned(X: ArrayLike, patterns: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return data of shape (n, d) and their activation patterns, shape (P, n), both as floats."""
    data, signs = as_data(X), as_points(patterns, "patterns")
    if signs.ndim != 2 or signs.shape[1] != len(data) or len(signs) == 0:
        raise ValueError(f"patterns must have shape (P, n) with n = {len(data)} points; got {signs.shape}")
    if not (np.isin(signs, (0.0, 1.0)).all() or np.isin(signs, (-1.0, 1.0)).all()):
        raise ValueError("patterns must hold truth values, or signs -1 and 1; got other numbers")
    return data, signs


def as_targets(targets: ArrayLike, n: int) -> FloatArray:
    """Return targets with one row for each of n points."""
    labels = as_data(targets, "targets", smallest=0.0)
    if len(labels) != n:
        raise ValueError(f"targets must have one row per point, {n}; got {len(labels)}")
    return labels


def _as_float(value: object) -> float:
    """Return one real number as a float, of whatever type or library it is; NaN if it is none."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()  # an array or a tensor of no dimension
    if isinstance(value, bool) or not isinstance(value, _NUMBERS):
        return np.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return np.nan


def as_finite(value: object, name: str) -> float:
    """Return ``value`` as a finite float."""
    number = _as_float(value)
    if not np.isfinite(number):
        raise ValueError(f"{name} must be a finite number; got {value!r:.80}")
    return number


def as_positive(value: object, name: str) -> float:
    """Return ``value`` as a positive finite float."""
    number = _as_float(value)
    if not 0 < number < np.inf:
        raise ValueError(f"{name} must be a positive finite number; got {value!r:.80}")
    return number


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
    number = _as_float(value)
    if not number > 0:
        raise ValueError(f"memory_limit must be a positive number of bytes; got {value!r:.80}")
    return number


def as_tolerance(value: object) -> float | None:
    """Return a tolerance between 0 and 1, both excluded; or None."""
    if value is None:
        return None
    number = _as_float(value)
    if not 0 < number < 1:
        raise ValueError(f"tolerance must be None, or a number between 0 and 1; got {value!r:.80}")
    return number


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
