"""What tells versions of a function apart: what Python has compiled of it, and what it holds.

Not its text: that of a lambda is a line that says other things, too, that of a function typed at a prompt is
not kept, and a file may have been edited since it was loaded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from inspect import isfunction, ismethod, ismodule
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from . import __version__
from ._plain import plain

__all__ = ["code_version"]


def code_version(function: Callable[..., object], version: str) -> str:
    """Return a short hash of a function, of this library's version, and of what the user says.

    A function is its name, its code, its defaults, and what it closes over or is given beforehand; and, of
    its module, the functions that it names, each with all of this, and the numbers and strings.

    Raises
    ------
    ValueError
        If the user says no string, or an empty one and the function is or holds what cannot be told apart.
    """
    if not isinstance(version, str):
        raise ValueError(f"version must be a string; got {version!r:.80}")
    described = _Description(strict=not version).of(function)
    text = json.dumps([__version__, version, described])
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]


class _Description:
    """Says in JSON what a function is; where something has no such form, the user has to say a version."""

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict
        self.seen: set[int] = set()  # functions may call each other

    def of(self, value: Any) -> Any:
        """Describe a function, or a value that one holds."""
        if isinstance(value, partial):
            return [self.of(value.func), *map(self.of, value.args), self._of_each(value.keywords)]
        if ismethod(value):
            return [self.of(value.__func__), self.of(value.__self__)]
        if isfunction(value):
            return self._of_function(value)
        if hasattr(value, "__wrapped__"):  # compiled, or with a cache
            return self.of(value.__wrapped__)
        try:
            return plain(value, "function")
        except ValueError:
            if not self.strict:
                return None
            said = f"say version='...', as this cannot tell versions of function apart: {value!r:.80}"
            raise ValueError(said) from None

    def _of_each(self, values: dict[str, Any]) -> dict[str, Any]:
        return {name: self.of(value) for name, value in values.items()}

    def _of_function(self, function: FunctionType) -> list[Any]:
        name, code = function.__qualname__, function.__code__
        if id(function) in self.seen:
            return [name]
        self.seen.add(id(function))
        given = [*map(self.of, function.__defaults__ or ()), self._of_each(function.__kwdefaults__ or {})]
        closed = self._of_each(dict(_closure(function)))
        beside = {
            name: self._of_global(function.__globals__[name], function.__module__)
            for name in sorted(set(_names(code)) & function.__globals__.keys())
        }
        return [name, _of_code(code), given, closed, beside]

    def _of_global(self, value: Any, module: str) -> Any:
        """Describe what a function finds in its module; of what may change while it runs, nothing."""
        if ismodule(value):
            return value.__name__
        if isinstance(value, bool | int | float | str | np.generic):
            return repr(value)
        if isinstance(value, tuple):
            return [self._of_global(part, module) for part in value]
        if getattr(value, "__module__", None) == module and (
            isfunction(value) or hasattr(value, "__wrapped__")
        ):
            return self.of(value)
        return [getattr(value, part, None) for part in ("__module__", "__qualname__")]


def _closure(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """What a function closes over, but for what has no value yet."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:
            continue


def _names(code: CodeType) -> Iterator[str]:
    """The names that code looks up, that of the functions in it included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _of_code(code: CodeType) -> list[Any]:
    """What Python does when it runs this, and not where it stands."""
    return [
        code.co_code.hex(),
        code.co_exceptiontable.hex(),
        [code.co_flags, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount],
        [code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars],
        [_of_constant(constant) for constant in code.co_consts],
    ]


def _of_constant(constant: object) -> Any:
    if isinstance(constant, CodeType):
        return _of_code(constant)
    if isinstance(constant, frozenset):
        return sorted(map(repr, constant))  # whose order is another in every process
    return repr(constant)
