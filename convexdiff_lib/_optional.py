"""Packages that some modules need and most users do not: where one is missing, the error says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["needed"]


@contextmanager
def needed(package: str, requirement: str) -> Iterator[None]:
    """Import a package within this block; where it is missing, say what installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        message = f"needs {package}: pip install {requirement}"
        raise ModuleNotFoundError(message, name=error.name, path=error.path) from error
