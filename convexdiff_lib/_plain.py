"""Values that JSON has: what a line of a file can hold, and give back as it was."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

__all__ = ["canonical", "plain"]

_NUMBERS = "biuf"  # kinds of NumPy's types that JSON has


def plain(value: object, name: str) -> Any:
    """Return a value as JSON would give it back; numbers and arrays of NumPy become Python's.

    A number is never rounded: a float of fewer bits is exact in more, and one of more bits is refused.
    """
    if isinstance(value, np.ndarray | np.generic):
        kind, value = value.dtype.kind, _as_python(value, name)
        if kind != "O":  # then there is nothing else in it
            return value
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, list | tuple):
        return [plain(part, f"{name}[{place}]") for place, part in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if type(key) is not str:
                raise ValueError(
                    f"the keys of {name} must be strings, as JSON has no others; got {key!r:.80}"
                )
        return {key: plain(part, f"{name}[{key!r}]") for key, part in value.items()}
    raise ValueError(
        f"{name} is of type {type(value).__qualname__}, which JSON does not have: numbers, strings, None, "
        "and lists and dictionaries of them can be stored, and numbers and arrays of NumPy"
    )


def _as_python(value: np.ndarray | np.generic, name: str) -> Any:
    """Make Python's numbers and lists of NumPy's."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.getmaskarray(value).any():
        raise ValueError(f"{name} must not have masked entries, which JSON does not have")
    kind, size = value.dtype.kind, value.dtype.itemsize
    if kind in "UO" or (kind in _NUMBERS and not (kind == "f" and size > 8)):
        return value.tolist()
    raise ValueError(f"{name} holds numbers of NumPy's type {value.dtype}, which JSON does not have")


def canonical(task: dict[str, Any]) -> str:
    """Write the parameters of a task in the one way in which they are compared."""
    return json.dumps(task, sort_keys=True, allow_nan=False, separators=(",", ":"))
