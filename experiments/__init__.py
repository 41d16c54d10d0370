"""Experiments that take longer than a chapter should: each stores what it found for the book."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["Record", "Sweep", "digits"]

Record = dict[str, Any]
Sweep = Callable[[Callable[..., Any], list[Record]], list[Any]]  # a function and its tasks; their results


def digits(values: Any, count: int = 4) -> Any:
    """Round to significant digits, so that the file stays small and says no more than is known."""
    if isinstance(values, np.ndarray | list | tuple):
        return [digits(value, count) for value in values]
    return float(f"{float(values):.{count}g}")
