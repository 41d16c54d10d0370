"""Packages that some modules need and most users do not: where one is missing, the error says what to do.

``import *`` asks for every name at once.  It gets those that can be had: the names of a missing package are
not among them, and asking for one of these by name still says what to install.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

__all__ = ["at_hand", "needed"]

# Which modules need what, wing by wing.
_NEEDS = {
    "line/estimator": ["sklearn"],
    "paper/deep_abs_programs": ["cvxpy"],
    "paper/deep_programs": ["cvxpy"],
    "paper/denoising_experiments": ["torch"],
    "paper/multivariate_programs": ["cvxpy"],
    "paper/nonconvex": ["torch"],
    "paper/score_matching_experiments": ["cvxpy", "torch"],
    "paper/spiral_experiment": ["torch"],
    "paper/univariate_programs": ["cvxpy"],
}


@contextmanager
def needed(package: str, requirement: str) -> Iterator[None]:
    """Import a package within this block; where it is missing, say what installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        message = f"needs {package}: pip install {requirement}"
        raise ModuleNotFoundError(message, name=error.name, path=error.path) from error


def at_hand(names: Iterable[str]) -> list[str]:
    """Leave out the modules whose packages are missing, and the names that come from them."""
    packages = {package for needs in _NEEDS.values() for package in needs}
    missing = {package for package in packages if find_spec(package) is None}
    gone: set[str] = set()
    for wing, module in (place.split("/") for place, needs in _NEEDS.items() if missing.intersection(needs)):
        gone.add(module)
        stub = ast.parse((Path(__file__).parent / wing / "__init__.pyi").read_text("utf-8"))
        for node in stub.body:
            if isinstance(node, ast.ImportFrom) and node.module == module:
                gone.update(alias.name for alias in node.names)
    return [name for name in names if name not in gone]
