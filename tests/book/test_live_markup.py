"""Where instruments stand in the book, what is left of them elsewhere, and their colours."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import live
import portable
import pytest
from docutils import nodes

from convexdiff_lib.plots import ROLES

ROOT = Path(__file__).parents[2]
MODULES = ROOT / "_static" / "live"
USED = re.findall(
    r"^:::\{live\} (\S+)$", "\n".join(file.read_text("utf-8") for file in ROOT.glob("chapters/*.md")), re.M
)
HEAVIEST = 60_000  # bytes of what a page loads beside the solver: 3 % of what it may weigh


def test_chapters_have_instruments() -> None:
    assert {"drag-data", "beam", "denoise"} <= set(USED)


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


@pytest.mark.parametrize("name", ["drag-data", "beam", "denoise"])
def test_the_stage_with_an_instrument_is_light(name: str) -> None:
    files = [MODULES / f"{part}.mjs" for part in ("chart", "controls", "points", "stage", "start", name)]
    assert sum(file.stat().st_size for file in [*files, MODULES / "live.css"]) <= HEAVIEST


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
    lines = [":::{live} drag-data", ":instead:", "", "Drag a point.", ":::", "More."]
    title = "> **On the page of the book this can be tried.**"
    assert list(portable.unboxed(lines, {})) == ["", title, ">", "> Drag a point.", "", "More."]


@pytest.mark.parametrize(
    ("options", "look"), [({}, '"live"'), ({"instead": None, "begin": "beta=3"}, '"live live-instead"')]
)
def test_the_directive_writes_what_the_scripts_look_for(options: dict[str, object], look: str) -> None:
    words = [nodes.paragraph("", "Drag a point.")]
    directive = SimpleNamespace(
        arguments=["drag-data"], options=options, parse_content_to_nodes=lambda: words
    )
    opened, said, closed = live.Live.run(directive)  # type: ignore[arg-type]
    begin = options.get("begin", "")
    assert f'<div class={look} data-live="drag-data" data-begin="{begin}">' in opened.astext()
    assert live.OFF in opened.astext()
    assert said is words[0]
    assert closed.astext() == "</div>"


def test_an_unknown_instrument_is_an_error() -> None:
    directive = SimpleNamespace(arguments=["tuba"], options={}, error=ValueError)
    with pytest.raises(ValueError, match="'tuba'"):
        live.Live.run(directive)  # type: ignore[arg-type]


@pytest.mark.parametrize(("body", "loaded"), [('<div data-live="beam">', True), ("<p>words</p>", False)])
def test_only_a_page_with_an_instrument_loads_scripts(body: str, loaded: bool) -> None:
    asked: list[str] = []
    app = SimpleNamespace(add_js_file=lambda name, **_: asked.append(name))
    sheets = [SimpleNamespace(filename=name) for name in ("custom.css", live.STYLE)]
    live.load(app, "page", "page.html", {"body": body, "css_files": sheets}, None)  # type: ignore[arg-type]
    assert asked == [live.START] * loaded
    assert [sheet.filename for sheet in sheets] == ["custom.css", live.STYLE][: 1 + loaded]
