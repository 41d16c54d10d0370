"""Experiments that take longer than a chapter should: each stores what it found for the book."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convexdiff_lib.sweeps import sweep

__all__ = ["Record", "Report", "digits"]

Record = dict[str, Any]


class Report:
    """What an experiment tells while it runs, and how it runs tasks that do not need each other.

    Parameters
    ----------
    bar : tqdm
        Shows how many parts are done, and what comes next.
    store : Path
        File of the results of tasks, from which a killed run goes on.
    n_jobs : int
        How many tasks run at a time, each in a process of its own.
    """

    def __init__(self, bar: Any, store: Path, n_jobs: int = 1) -> None:
        self.bar, self.store, self.n_jobs = bar, store, n_jobs

    def __call__(self, done: int, of: int, what: str) -> None:
        """Say how many parts are done, and what comes next."""
        self.bar.n, self.bar.total = done, of
        self.bar.set_postfix_str(what)

    def sweep(self, function: Callable[..., Any], tasks: Sequence[dict[str, Any]]) -> list[Any]:
        """Return the results in the order of the tasks; those of another version of the file do not count."""
        version = Path(inspect.getfile(function)).read_text("utf-8")
        many: dict[str, Any] = {"backend": "loky", "n_jobs": self.n_jobs} if self.n_jobs > 1 else {}
        return sweep(function, tasks, store=self.store, version=version, progress=True, **many)


def digits(values: Any, count: int = 4) -> Any:
    """Round to significant digits, so that the file stays small and says no more than is known."""
    if isinstance(values, np.ndarray | list | tuple):
        return [digits(value, count) for value in values]
    return float(f"{float(values):.{count}g}")
