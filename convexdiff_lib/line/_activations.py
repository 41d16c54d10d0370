"""Eight activations, their slopes, and what is known of these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import numpy as np

from .._validation import Activation, FloatArray

__all__ = ["ACTIVATIONS", "AnyActivation", "Shape", "as_any_activation"]

AnyActivation = Literal["relu", "softplus", "elu", "abs", "logcosh", "tanh", "gelu", "silu"]
Curve = Callable[[FloatArray], FloatArray]


class Shape(NamedTuple):
    """One activation at temperature 1.

    Of which activation its units are averages (None: of neither), and the total variation of its slope.
    """

    value: Curve
    slope: Curve
    averages: Activation | None
    variation: float


def _relu(u: FloatArray) -> FloatArray:
    return np.maximum(u, 0.0)


def _step(u: FloatArray) -> FloatArray:
    return (u >= 0).astype(np.float64)


def _sign(u: FloatArray) -> FloatArray:
    return np.where(u >= 0, 1.0, -1.0)


def _softplus(u: FloatArray) -> FloatArray:
    return np.logaddexp(0.0, u)


def _sigmoid(u: FloatArray) -> FloatArray:
    return 0.5 * (1 + np.tanh(u / 2))


def _elu(u: FloatArray) -> FloatArray:
    return np.where(u > 0, u, np.expm1(np.minimum(u, 0.0)))


def _elu_slope(u: FloatArray) -> FloatArray:
    return np.exp(np.minimum(u, 0.0))


def _logcosh(u: FloatArray) -> FloatArray:
    return np.abs(u) + np.log1p(np.exp(-2 * np.abs(u))) - np.log(2)


def _normal(u: FloatArray) -> FloatArray:
    from scipy.special import ndtr

    return ndtr(u)


def _gelu(u: FloatArray) -> FloatArray:
    return u * _normal(u)


def _gelu_slope(u: FloatArray) -> FloatArray:
    return _normal(u) + u * np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi)


def _silu(u: FloatArray) -> FloatArray:
    return u * _sigmoid(u)


def _silu_slope(u: FloatArray) -> FloatArray:
    return _sigmoid(u) * (1 + u * _sigmoid(-u))


def _tanh_slope(u: FloatArray) -> FloatArray:
    decay = np.exp(-2 * np.abs(u))
    return 4 * decay / (1 + decay) ** 2


# The largest slopes of GELU and SiLU, at the square root of 2 and at 2.39936.  As slope(-u) = 1 - slope(u),
# the slope falls below 0 by as much as it rises above 1, and walks that way four times.
GELU_SLOPE, SILU_SLOPE = 1.128904145185155, 1.099839320128867
ACTIVATIONS: dict[str, Shape] = {
    "relu": Shape(_relu, _step, "relu", 1.0),
    "softplus": Shape(_softplus, _sigmoid, "relu", 1.0),
    "elu": Shape(_elu, _elu_slope, "relu", 1.0),
    "abs": Shape(np.abs, _sign, "abs", 2.0),
    "logcosh": Shape(_logcosh, np.tanh, "abs", 2.0),
    "tanh": Shape(np.tanh, _tanh_slope, None, 2.0),
    "gelu": Shape(_gelu, _gelu_slope, None, 4 * GELU_SLOPE - 3),
    "silu": Shape(_silu, _silu_slope, None, 4 * SILU_SLOPE - 3),
}


def as_any_activation(activation: str) -> AnyActivation:
    """Return ``activation`` if it is one of those above."""
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        allowed = ", ".join(repr(name) for name in get_args(AnyActivation))
        raise ValueError(f"activation must be one of {allowed}; got {activation!r}")
    return activation  # type: ignore[return-value]
