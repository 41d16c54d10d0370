"""The modules of the library, as the tests walk through them."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from types import ModuleType

import convexdiff_lib

FOLDER = Path(convexdiff_lib.__file__).parent
WINGS = ("line", "space", "sampling", "paper")


def dotted(file: Path) -> str:
    """Name of a module below the package, as ``line.path``."""
    return ".".join(file.relative_to(FOLDER).with_suffix("").parts)


SOURCES = {dotted(file): file.read_text("utf-8") for file in sorted(FOLDER.rglob("*.py"))}
MODULES = [name for name in SOURCES if name.split(".")[-1] != "__init__"]
PUBLIC = [name for name in MODULES if not name.split(".")[-1].startswith("_")]


def module(name: str) -> ModuleType:
    """Import a module by such a name."""
    return importlib.import_module(f"convexdiff_lib.{name}")


def wing(name: str) -> str:
    """The wing of a module, or ``ground``."""
    first = name.split(".")[0]
    return first if first in WINGS else "ground"


def imports(source: str, name: str) -> set[str]:
    """The modules of the library that a source of this name imports, anywhere in it."""
    folder = name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = folder[: len(folder) + 1 - node.level]
            whole = [*base, *(node.module or "").split(".")] if node.module else base
            names = [".".join(whole)] if node.module else [".".join([*base, n.name]) for n in node.names]
            found |= set(names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("convexdiff_lib"):
            found.add((node.module or "").removeprefix("convexdiff_lib").lstrip("."))
        elif isinstance(node, ast.Import):
            found |= {n.name[15:] for n in node.names if n.name.startswith("convexdiff_lib.")}
    return found
