"""Store results in files that need no pickle, and that later versions of the library can read.

A file is what `numpy.savez_compressed` writes: a description in JSON, with types, names and numbers, and
beside it the arrays.  What was worked out from the fields is not stored, and a field that a later version has
dropped is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile

import numpy as np

__all__ = ["load", "save"]

_PACKAGE = __name__.rpartition(".")[0]
_FORMAT = 1


def save(result: object, path: str | PathLike[str] | BinaryIO) -> None:
    """Write a result to a file: a fit, a network, a score, a certificate, a law.

    Parameters
    ----------
    result : object
        A result of this library.
    path : path or file
        Where; the ending ``.npz`` is added if there is none.

    Raises
    ------
    TypeError
        If it is no result of this library, or holds something that cannot be stored, as a path holds its
        solver.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from convexdiff_lib import score_matching
    >>> fit = score_matching([-1.0, 0.0, 2.0], 1.5)
    >>> with TemporaryDirectory() as folder:
    ...     save(fit, Path(folder) / "fit.npz")
    ...     load(Path(folder) / "fit.npz") == fit
    True
    """
    if not _is_ours(type(result)):
        raise TypeError(f"only results of {_PACKAGE} can be saved; got {type(result).__name__}")
    arrays: dict[str, np.ndarray] = {}
    content = {"format": _FORMAT, "content": _described(result, arrays)}
    np.savez_compressed(path, description=np.array(json.dumps(content)), **arrays)  # type: ignore[arg-type]


def load(path: str | PathLike[str] | BinaryIO) -> Any:
    """Read a result that `save` has written.

    Parameters
    ----------
    path : path or file
        As `save` was given it: the ending ``.npz`` may be left out.

    Returns
    -------
    object
        Equal to what was saved.

    Raises
    ------
    ValueError
        If the file does not hold a result, or was written by a later version in a form unknown to this one.

    Examples
    --------
    >>> from io import BytesIO
    >>> from convexdiff_lib.datasets import paper_mixture
    >>> file = BytesIO()
    >>> save(paper_mixture(), file)
    >>> _ = file.seek(0)
    >>> load(file) == paper_mixture()
    True
    """
    try:
        with np.load(_as_written(path), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        content = json.loads(str(arrays.pop("description")))
    except (KeyError, ValueError, TypeError, EOFError, BadZipFile) as error:  # as NumPy says that, and JSON
        raise ValueError(f"{path} holds no result of {_PACKAGE}") from error
    if content["format"] > _FORMAT:
        raise ValueError(f"{path} was written by a later version of {_PACKAGE}: form {content['format']}")
    return _rebuilt(content["content"], arrays)


def _as_written(path: str | PathLike[str] | BinaryIO) -> str | PathLike[str] | BinaryIO:
    """Add the ending that `save` adds, unless there is a file without it."""
    if not isinstance(path, str | PathLike) or Path(path).exists() or str(path).endswith(".npz"):
        return path
    return f"{path!s}.npz"


def _is_ours(cls: type) -> bool:
    """Whether instances hold nothing but their fields, see `result`."""
    return is_dataclass(cls) and cls.__module__.startswith(f"{_PACKAGE}.") and "__setstate__" in vars(cls)


def _described(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Describe a value in what JSON has; arrays are put aside under a name."""
    if isinstance(value, np.ndarray):
        name = f"array_{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, tuple):
        return {"tuple": [_described(part, arrays) for part in value]}
    if isinstance(value, np.generic):
        return _described(value.item(), arrays)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return {"float": value.hex()}
    if _is_ours(type(value)):
        kind = f"{type(value).__module__.removeprefix(f'{_PACKAGE}.')}:{type(value).__qualname__}"
        held = {part.name: _described(getattr(value, part.name), arrays) for part in fields(value)}
        return {"type": kind, "fields": held}
    raise TypeError(f"a {type(value).__name__} cannot be stored")


def _rebuilt(content: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Make of a description what was described."""
    if not isinstance(content, dict):
        return content
    readers: dict[str, Callable[[Any], Any]] = {
        "array": lambda name: arrays[name],
        "tuple": lambda parts: tuple(_rebuilt(part, arrays) for part in parts),
        "float": float.fromhex,
        "type": lambda kind: _instance(kind, content["fields"], arrays),
    }
    (reader,) = (key for key in readers if key in content)
    return readers[reader](content[reader])


def _instance(kind: str, held: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    """Build an object of a class of this library, and of no other."""
    module, _, name = kind.partition(":")
    parts = module.split(".")
    if not all(part.isidentifier() for part in [*parts, name]):
        raise ValueError(f"{kind!r} is no class of {_PACKAGE}")
    cls = getattr(import_module(f"{_PACKAGE}.{module}"), name, None)
    if not (isinstance(cls, type) and _is_ours(cls)):
        raise ValueError(f"{kind!r} is no class of {_PACKAGE}")
    known = {part.name for part in fields(cls)}
    made: Any = object.__new__(cls)
    made.__setstate__({key: _rebuilt(value, arrays) for key, value in held.items() if key in known})
    return made
