"""The library reference: every module has its page, every public name its docstring, example and hints."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from library import PUBLIC, WINGS

ROOT = Path(__file__).resolve().parents[2]
MODULES = PUBLIC
UNANNOTATED = inspect.Parameter.empty


def public(module: ModuleType) -> Iterator[tuple[str, object]]:
    """The functions and classes of ``__all__``; exceptions need a docstring but no example."""
    for name in module.__all__:
        thing = getattr(module, name)
        if inspect.isfunction(thing) or (inspect.isclass(thing) and not issubclass(thing, Exception)):
            yield name, thing


def callables(name: str, thing: object) -> Iterator[tuple[str, Callable[..., object]]]:
    """A function itself, or the methods and properties that a class defines for its users."""
    if inspect.isfunction(thing):
        yield name, thing
        return
    for member, value in vars(thing).items():
        if member.startswith("_") and member != "__call__":
            continue
        if isinstance(value, property) and value.fget:
            yield f"{name}.{member}", value.fget
        elif isinstance(value, classmethod | staticmethod):
            yield f"{name}.{member}", value.__func__
        elif inspect.isfunction(value):
            yield f"{name}.{member}", value


def has_docstring(thing: Callable[..., object]) -> bool:
    """Whether someone wrote it: a dataclass without one gets its signature as docstring."""
    return bool(thing.__doc__) and not str(thing.__doc__).startswith(f"{thing.__name__}(")


def undocumented(module: ModuleType) -> list[str]:
    found = [] if module.__doc__ else [f"{module.__name__} has no docstring"]
    for name in module.__all__:
        thing = getattr(module, name)
        if (inspect.isclass(thing) or inspect.isfunction(thing)) and not has_docstring(thing):
            found.append(f"{name} has no docstring")
    for name, thing in public(module):
        text = inspect.getdoc(thing) or ""
        if "\nExamples\n--------\n" not in text or ">>>" not in text.partition("\nExamples\n")[2]:
            found.append(f"{name} has no section Examples with a >>> line")
        methods = callables(name, thing) if inspect.isclass(thing) else ()
        found += [f"{method} has no docstring" for method, f in methods if not f.__doc__]
    return found


def unannotated(module: ModuleType) -> list[str]:
    found = []
    for name, thing in public(module):
        for method, function in callables(name, thing):
            signature = inspect.signature(function)
            bare = [p.name for p in signature.parameters.values() if p.annotation is UNANNOTATED]
            found += [f"{method}: {p} has no type hint" for p in bare if p not in ("self", "cls")]
            if signature.return_annotation is UNANNOTATED:
                found.append(f"{method} does not say what it returns")
    return found


def without_page(modules: list[str], root: Path) -> list[str]:
    """Modules that lack a page, a place in the table of contents or a line on the page of their wing."""
    toc = (root / "_toc.yml").read_text(encoding="utf-8")
    files = {entry["file"] for entry in _entries(yaml.safe_load(toc)) if "file" in entry}
    found = []
    for module in modules:
        place = module.replace(".", "/")
        page = root / "reference" / f"{place}.md"
        if not page.exists() or f".. automodule:: convexdiff_lib.{module}\n" not in page.read_text("utf-8"):
            found.append(f"reference/{place}.md is missing or shows another module")
        if f"reference/{place}" not in files:
            found.append(f"_toc.yml does not list reference/{place}")
        index = root / "reference" / f"{module.split('.')[0] if '.' in module else 'ground'}.md"
        if not index.exists() or f"convexdiff_lib.{module}" not in index.read_text("utf-8").split():
            found.append(f"{index.relative_to(root)} does not list convexdiff_lib.{module}")
    return found


def _entries(node: object) -> Iterator[dict[str, object]]:
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else []:
        yield from _entries(child)


def test_there_are_modules() -> None:
    assert len(MODULES) >= 5


def test_every_module_has_its_page() -> None:
    assert without_page(MODULES, ROOT) == []


def test_every_page_has_its_module() -> None:
    folder = ROOT / "reference"
    pages = {".".join(p.relative_to(folder).with_suffix("").parts) for p in folder.rglob("*.md")}
    assert pages == {*MODULES, *WINGS, "ground"}


@pytest.mark.parametrize("name", MODULES)
def test_module_is_documented(name: str) -> None:
    assert undocumented(importlib.import_module(f"convexdiff_lib.{name}")) == []


@pytest.mark.parametrize("name", MODULES)
def test_module_has_type_hints(name: str) -> None:
    assert unannotated(importlib.import_module(f"convexdiff_lib.{name}")) == []


def unknown_names(text: str) -> list[str]:
    """The ``Class.attribute`` names in backticks that no class of the library has."""
    modules = [importlib.import_module(f"convexdiff_lib.{name}") for name in MODULES]
    classes = {name: thing for module in modules for name, thing in public(module) if inspect.isclass(thing)}
    known = {
        f"{name}.{attribute}"
        for name, thing in classes.items()
        for attribute in {*dir(thing), *getattr(thing, "__dataclass_fields__", ())}
    }
    return [name for name in re.findall(r"`([A-Z]\w+\.\w+)`", text) if name not in known]


def test_notation_names_what_exists() -> None:
    assert unknown_names((ROOT / "notation.md").read_text(encoding="utf-8")) == []


def test_an_unknown_name_is_named() -> None:
    assert unknown_names("`UnivariateScore.z`, `UnivariateScore.zeta`") == ["UnivariateScore.zeta"]


SLOPPY = '''
__all__ = ["bare", "silent", "Box"]

def bare(x):
    """Say nothing.

    Examples
    --------
    none
    """

def silent(x: int) -> int:
    return x

class Box:
    """A box.

    Examples
    --------
    >>> Box().open()
    """
    def open(self) -> None: ...
'''


@pytest.fixture
def sloppy() -> ModuleType:
    module = ModuleType("sloppy")
    exec(SLOPPY, vars(module))
    return module


def test_missing_documentation_is_named(sloppy: ModuleType) -> None:
    assert undocumented(sloppy) == [
        "sloppy has no docstring",
        "silent has no docstring",
        "bare has no section Examples with a >>> line",
        "silent has no section Examples with a >>> line",
        "Box.open has no docstring",
    ]


def test_missing_type_hints_are_named(sloppy: ModuleType) -> None:
    assert unannotated(sloppy) == ["bare: x has no type hint", "bare does not say what it returns"]


def test_a_module_without_a_page_is_named(tmp_path: Path) -> None:
    (tmp_path / "_toc.yml").write_text(
        "root: index\nchapters:\n- file: reference\n  sections:\n  - file: reference/old\n"
    )
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference" / "ground.md").write_text("convexdiff_lib.old\n")
    (tmp_path / "reference" / "old.md").write_text(".. automodule:: convexdiff_lib.old\n")
    assert without_page(["old"], tmp_path) == []
    assert without_page(["new"], tmp_path) == [
        "reference/new.md is missing or shows another module",
        "_toc.yml does not list reference/new",
        "reference/ground.md does not list convexdiff_lib.new",
    ]
