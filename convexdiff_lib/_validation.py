"""Checks at the door: every public function calls these before it computes anything."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Activation = Literal["relu", "abs"]
FloatArray = NDArray[np.float64]


def as_sample(x: ArrayLike, name: str = "x") -> FloatArray:
    """Return ``x`` as a new one-dimensional float array, or say what is wrong with it."""
    try:
        sample = np.array(x, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be a one-dimensional array of real numbers; got {x!r:.80}") from error
    if sample.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, shape (n,); got shape {sample.shape}")
    if sample.size == 0:
        raise ValueError(f"{name} must hold at least one point; got an empty array")
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
    try:
        matrix = np.array(x, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of real numbers; got {x!r:.80}") from error
    if matrix.ndim == 1:
        matrix = matrix[:, None]
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(f"{name} must have shape (n,) or (n, d), n and d at least 1; got {np.shape(x)}")
    if not np.isfinite(matrix).all():
        raise ValueError(f"{name} must be finite; {int((~np.isfinite(matrix)).sum())} entries are not")
    return matrix


def as_weight_decay(beta: float, name: str = "beta") -> float:
    """Return ``beta`` as a positive finite float."""
    try:
        value = float(beta)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be a positive number; got {beta!r:.80}") from error
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a positive finite number; got {value}")
    return value


def as_activation(activation: str) -> Activation:
    """Return ``activation`` if it is one of the two that the theory covers."""
    if activation not in get_args(Activation):
        allowed = " or ".join(repr(name) for name in get_args(Activation))
        raise ValueError(f"activation must be {allowed}; got {activation!r}")
    return activation  # type: ignore[return-value]


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
