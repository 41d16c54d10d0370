"""The parameters of a two-layer network of PyTorch, by the names of its layers; loads no PyTorch."""

from __future__ import annotations

from typing import Any

__all__ = ["parameters_of_module"]

_NAMES = {
    "ReLU": "relu",
    "Softplus": "softplus",
    "ELU": "elu",
    "Tanh": "tanh",
    "GELU": "gelu",
    "SiLU": "silu",
}


def parameters_of_module(module: Any) -> dict[str, Any]:
    """Return the fields of a `SmoothNetwork` from a `Sequential` of `Linear`, an activation, and `Linear`."""
    layers = list(module) if type(module).__name__ == "Sequential" else []
    kinds = [type(layer).__name__ for layer in layers]
    if len(kinds) != 3 or kinds[0] != "Linear" or kinds[1] not in _NAMES or kinds[2] != "Linear":
        raise ValueError(
            f"module must be a Sequential of Linear, one of {', '.join(_NAMES)}, and Linear; got "
            f"{kinds or type(module).__name__}"
        )
    hidden, activation, output = layers
    if hidden.in_features != 1 or output.out_features != 1:
        raise ValueError(
            f"module must have one input and one output; got {hidden.in_features} and {output.out_features}"
        )
    if getattr(activation, "alpha", 1.0) != 1.0:
        raise ValueError(f"ELU must have alpha = 1; got {activation.alpha}")
    if getattr(activation, "approximate", "none") != "none":
        raise ValueError(f"GELU must not be approximate; got {activation.approximate!r}")
    w, alpha = _numbers(hidden.weight)[:, 0], _numbers(output.weight)[0]
    return {
        "w": w,
        "b": 0.0 * w if hidden.bias is None else _numbers(hidden.bias),
        "alpha": alpha,
        "b0": 0.0 if output.bias is None else float(_numbers(output.bias)[0]),
        "activation": _NAMES[kinds[1]],
        "temperature": float(getattr(activation, "beta", 1.0)),
    }


def _numbers(parameter: Any) -> Any:
    return parameter.detach().cpu().double().numpy()
