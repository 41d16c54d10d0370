"""The wings of the library, and which way imports go between them."""

from __future__ import annotations

import pytest
from library import MODULES, SOURCES, WINGS, imports, wing

# Each may import from those before it; the line and space know nothing of each other.
MAY_IMPORT = {
    "ground": {"ground"},
    "line": {"ground", "line"},
    "space": {"ground", "space"},
    "sampling": {"ground", "line", "space", "sampling"},
    "paper": {"ground", "line", "space", "sampling", "paper"},
}


def wrong_ways(source: str, name: str) -> set[str]:
    """The modules that one of this name imports and may not."""
    return {other for other in imports(source, name) if wing(other) not in MAY_IMPORT[wing(name)]}


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_one_way(name: str) -> None:
    assert wrong_ways(SOURCES[name], name) == set()


@pytest.mark.parametrize(
    ("source", "name", "wrong"),
    [
        ("from .line.path import solution_path", "networks", "line.path"),
        ("def f():\n    from ..sampling.langevin import langevin_dynamics", "line.path", "sampling.langevin"),
        ("from convexdiff_lib.paper.nonconvex import AdamRuns", "space.wedge", "paper.nonconvex"),
        ("import convexdiff_lib.space.wedge", "line.path", "space.wedge"),
        ("from ..paper import nonconvex", "sampling.langevin", "paper"),
    ],
)
def test_a_wrong_way_is_noticed(source: str, name: str, wrong: str) -> None:
    ways = wrong_ways(source, name)
    assert {way.split(".")[0] for way in ways} == {wrong.split(".")[0]}


def test_every_module_is_in_a_wing_or_on_the_ground() -> None:
    assert {wing(name) for name in MODULES} == {"ground", *WINGS}
