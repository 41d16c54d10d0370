"""What all results have in common: they compare by value, show themselves in short, and stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cached_property, wraps
from html import escape
from typing import Any, TypeVar, dataclass_transform

import numpy as np

__all__ = ["result"]

_WIDTH = 119  # of the one line that ``repr`` gives
_HOLDERS = {np.ndarray, tuple}  # of entries that could be written
_NESTED = 40  # a part that takes more room than this on that line is only named

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def result(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass that holds arrays and behaves like one value.

    * ``==`` compares all fields, arrays entry by entry, with NaN equal to NaN; ``hash`` goes with it.
    * No entry of its arrays can be written, those of cached properties included.  The arrays are views: who
      builds a result by hand, of a class that does not check what it is given, should not go on to write in
      the arrays that he has put in.
    * Pickles and copies hold the fields and nothing that was worked out later.
    * ``repr`` is one line.  ``print`` and a notebook show a small table and the certificate.  What stands in
      either is what a method ``_facts`` says, where the class has one, otherwise the fields.
    """
    check: Callable[[Any], None] | None = vars(cls).get("__post_init__")

    def __post_init__(self: Any) -> None:
        if check is not None:
            check(self)
        _close(vars(self))

    cls.__post_init__ = __post_init__  # type: ignore[attr-defined]
    for member in vars(cls).values():
        if isinstance(member, cached_property):
            member.func = _closed(member.func)
    made = dataclass(frozen=True, eq=False, repr=False)(cls)
    for name, method in _METHODS.items():
        if all(name not in vars(base) for base in made.__mro__[:-1]):
            setattr(made, name, method)
    return made


def _read_only(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.flags.writeable:
        value = value.view()
        value.setflags(write=False)
    elif type(value) is tuple:
        value = tuple(_read_only(part) for part in value)
    return value


def _close(state: dict[str, Any]) -> None:
    for name, value in state.items():
        if type(value) in _HOLDERS:
            state[name] = _read_only(value)


def _closed(compute: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return wraps(compute)(lambda self: _read_only(compute(self)))


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(two, np.ndarray):
        return np.array_equal(one, two, equal_nan=True)
    if isinstance(one, np.ndarray) or isinstance(two, np.ndarray):
        return False
    if type(one) is tuple and type(two) is tuple:
        return len(one) == len(two) and all(map(_same, one, two))
    return bool(one == two) or bool(one != one and two != two)


def _equal(self: Any, other: Any) -> bool:
    if type(other) is not type(self):
        return NotImplemented
    names = [part.name for part in fields(self) if part.compare]
    return self is other or all(_same(getattr(self, name), getattr(other, name)) for name in names)


def _key(value: Any) -> Any:
    """Something to hash that is equal for values that are equal: zeros have two signs, numbers many types."""
    if isinstance(value, np.ndarray):
        numbers = np.asarray(value, dtype=np.float64) + 0.0
        numbers[np.isnan(numbers)] = np.nan
        return value.shape, numbers.tobytes()
    if type(value) is tuple:
        return tuple(_key(part) for part in value)
    return "NaN" if value != value else value


def _hash(self: Any) -> int:
    return hash((type(self), *(_key(getattr(self, part.name)) for part in fields(self) if part.compare)))


def _state(self: Any) -> dict[str, Any]:
    return {part.name: getattr(self, part.name) for part in fields(self)}


def _restore(self: Any, state: dict[str, Any]) -> None:
    known = {part.name for part in fields(self)}
    vars(self).update((name, value) for name, value in state.items() if name in known)
    _close(vars(self))


def _facts(self: Any) -> dict[str, object]:
    return {part.name: getattr(self, part.name) for part in fields(self) if part.repr}


def _brief(value: object) -> str:
    """A value in a few characters: six digits of a number, the type and shape of an array."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}[{','.join(map(str, value.shape))}]"
    if isinstance(value, float):
        return repr(float(f"{value:.6g}"))
    if hasattr(value, "holds"):
        return "holds" if value.holds else "does not hold"
    if type(value) is tuple:
        inside = ", ".join(map(_brief, value[:_NESTED])) + ("," if len(value) == 1 else "")
        return f"({inside})" if len(inside) <= _NESTED else f"<{len(value)} entries>"
    text = repr(value)
    return text if len(text) <= _NESTED else f"{type(value).__name__}(...)"


def _line(self: Any) -> str:
    name, parts = type(self).__name__, [f"{key}={_brief(value)}" for key, value in self._facts().items()]
    line = f"{name}({', '.join(parts)})"
    while len(line) > _WIDTH and parts:
        parts.pop()
        line = f"{name}({', '.join([*parts, '...'])})"
    return line


def _table(self: Any) -> tuple[str, list[tuple[str, str]]]:
    """What it is, in a sentence, and what there is to know about it."""
    about = (type(self).__doc__ or "").partition("\n")[0].replace("`", "")
    rows = [(key, _brief(value)) for key, value in self._facts().items()]
    certificate = self if hasattr(self, "holds") else getattr(self, "certificate", None)
    if certificate is not None:
        verdict, _, within = str(certificate).replace("certificate ", "", 1).partition("\n")
        rows = [row for row in rows if row[0] != "certificate"]
        rows += [("certificate", verdict), ("within", within)]
    return about, rows


def _text(self: Any) -> str:
    about, rows = _table(self)
    width = max((len(key) for key, _ in rows), default=0)
    return "\n".join(
        [f"{type(self).__name__}: {about}", *(f"  {key:<{width}}  {value}" for key, value in rows)]
    )


def _html(self: Any) -> str:
    about, rows = _table(self)
    cell = '<tr><th style="text-align: left">{}</th><td style="text-align: left">{}</td></tr>'
    body = "".join(cell.format(escape(key), escape(value)) for key, value in rows)
    title = f"<b>{type(self).__name__}</b>: {escape(about)}"
    return f'<div>{title}{self._picture()}<table style="margin: 0.5em 0">{body}</table></div>'


def _no_picture(self: Any) -> str:
    """What a notebook shows above the facts: a class may have a picture of its own."""
    return ""


_METHODS: dict[str, Callable[..., Any]] = {
    "__eq__": _equal,
    "__hash__": _hash,
    "__getstate__": _state,
    "__setstate__": _restore,
    "__repr__": _line,
    "__str__": _text,
    "_repr_html_": _html,
    "_facts": _facts,
    "_picture": _no_picture,
}
