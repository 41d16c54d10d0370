"""Where instruments stand in the book, what is left of them elsewhere, and their colours."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import live
import portable
import pytest
from bare_scripts import bare
from docutils import nodes
from docutils.utils import new_document

from convexdiff_lib.plots import ROLES

ROOT = Path(__file__).parents[2]
MODULES = ROOT / "_static" / "live"
USED = re.findall(
    r"^(?:\{live\}|:class: live) ([\w-]+)",
    "\n".join(file.read_text("utf-8").replace(":::{", "{") for file in ROOT.glob("chapters/*.md")),
    re.M,
)
HEAVIEST = 50_000  # bytes of what a page loads beside the solver: 2.5 % of what it may weigh


def test_chapters_have_instruments() -> None:
    assert {"drag-data", "beam", "denoise", "chambers", "wedge"} <= set(USED)


@pytest.mark.parametrize("name", sorted(set(USED)))
def test_every_instrument_has_its_module(name: str) -> None:
    text = (MODULES / f"{name}.mjs").read_text("utf-8")
    assert re.search(r"^export default function", text, re.M)


@pytest.mark.parametrize("module", sorted(MODULES.glob("*.mjs")), ids=lambda module: module.name)
def test_a_module_asks_only_its_neighbours(module: Path) -> None:
    text = module.read_text("utf-8")
    asked = re.findall(r"\bfrom \"([^\"]+)\"", text)
    assert [name for name in asked if not (MODULES / name).is_file()] == []
    assert re.findall(r"\b(?:fetch|XMLHttpRequest|WebSocket|EventSource|sendBeacon)\b", text) == []


@pytest.mark.parametrize("name", ["drag-data", "beam", "denoise", "chambers", "wedge"])
def test_the_stage_with_an_instrument_is_light(name: str) -> None:
    parts = ("chart", "controls", "points", "stage", "start", name)
    assert sum(map(served, parts)) + (MODULES / "live.css").stat().st_size <= HEAVIEST


def test_the_mathematics_of_the_plane_is_light() -> None:
    assert sum(served(file.stem) for file in MODULES.glob("plane*.mjs")) <= HEAVIEST


def served(module: str) -> int:
    """Bytes that a page loads, which come without comments."""
    return len(bare((MODULES / f"{module}.mjs").read_text("utf-8")).encode())


@pytest.mark.parametrize("role", [role for role in ROLES if role != "exact"])
def test_a_role_has_the_colour_of_the_figures(role: str) -> None:
    sheet = (MODULES / "live.css").read_text("utf-8")
    found = re.findall(rf"--live-{role}: (#[0-9a-f]+);", sheet)
    assert found == [ROLES[role]["color"]]


def test_no_two_roles_differ_by_colour_alone() -> None:
    sheet = (MODULES / "live.css").read_text("utf-8")
    looks = re.findall(r"^\.live-(\w+) \{ --role: [^;]+; (.*)\}$", sheet, re.M)
    assert {name for name, _ in looks} == {*ROLES, "plain"}
    assert len({look for _, look in looks}) == len(looks)


def test_elsewhere_the_words_of_an_instrument_are_read() -> None:
    lines = [":::{admonition} Drag the data", ":class: live drag-data", "", "Drag a point.", ":::", "More."]
    title = "> **On the page of the book: Drag the data.**"
    assert list(portable.unboxed(lines, {})) == ["", title, ">", "> Drag a point.", "", "More."]


def a_box(*classes: str) -> nodes.document:
    document = new_document("page")
    words = nodes.paragraph("", "Move a point.")
    document += nodes.admonition("", nodes.title("", "Drag the data"), words, classes=list(classes))
    return document


@pytest.mark.parametrize(
    ("words", "begin", "look"),
    [([], "", '"live"'), (["instead", "responses"], "responses", '"live live-instead"')],
)
def test_a_box_becomes_what_the_scripts_look_for(words: list[str], begin: str, look: str) -> None:
    document = a_box("live", "drag-data", *words)
    live.replace(None, document)  # type: ignore[arg-type]
    opened, said, closed = document.children
    assert f'<div class={look} data-live="drag-data" data-begin="{begin}">' in opened.astext()
    assert live.OFF in opened.astext()
    assert said.astext() == "Drag the data. Move a point."
    assert closed.astext() == "</div>"


def test_links_to_a_box_lead_to_its_instrument() -> None:
    document = a_box("live", "drag-data")
    document.children[0]["ids"] = ["live-relu"]  # type: ignore[index]
    live.replace(None, document)  # type: ignore[arg-type]
    assert [child["ids"] for child in document.children] == [[], ["live-relu"], []]  # type: ignore[index]


def test_another_box_stays() -> None:
    document = a_box("danger")
    live.replace(None, document)  # type: ignore[arg-type]
    assert [type(child) for child in document.children] == [nodes.admonition]


def test_an_unknown_instrument_is_an_error() -> None:
    with pytest.raises(ValueError, match="'tuba'"):
        live.instrument("tuba", [])


@pytest.mark.parametrize(("body", "loaded"), [('<div data-live="beam">', True), ("<p>words</p>", False)])
def test_only_a_page_with_an_instrument_loads_scripts(body: str, loaded: bool) -> None:
    asked: list[str] = []
    app = SimpleNamespace(add_js_file=lambda name, **_: asked.append(name))
    sheets = [SimpleNamespace(filename=name) for name in ("custom.css", live.STYLE)]
    live.load(app, "page", "page.html", {"body": body, "css_files": sheets}, None)  # type: ignore[arg-type]
    assert asked == [live.START] * loaded
    assert [sheet.filename for sheet in sheets] == ["custom.css", live.STYLE][: 1 + loaded]
