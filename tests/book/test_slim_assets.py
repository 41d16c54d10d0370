"""What no page uses is left out of the built book, and nothing else."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import matplotlib
import pytest
import slim_assets
from fontTools.ttLib import TTFont
from slim_assets import used_glyphs, used_rules, used_words

WORDS = used_words(['<p class="note wide" id="top">', 'e.className = "shown"'])


def rules(sheet: str) -> str:
    return used_rules(sheet, WORDS).replace("\n", "")


@pytest.mark.parametrize(
    "sheet",
    [
        "p{color:red}",
        ".note{color:red}",
        "#top .note.wide>p:hover{color:red}",
        '.shown::before{content:"x"}',
        "p:not(.unused){color:red}",
        ":is(.unused, .note) p{color:red}",
        "[data-theme=dark]{color:red}",
        ".bs-tooltip-end{color:red}",
        "@media print{.note{color:red}}",
        "@font-face{font-family:x}",
        "@keyframes turn{from{top:0}to{top:1px}}",
        ':root{--a:url("data:image/svg+xml,%3csvg%3e")}',
    ],
)
def test_what_a_page_may_use_stays(sheet: str) -> None:
    assert rules(sheet) == sheet


@pytest.mark.parametrize(
    ("sheet", "left"),
    [
        (".unused{color:red}", ""),
        ("#unused{color:red}", ""),
        (".note .unused{color:red}", ""),
        (".note.unused,.note{color:red}", ".note{color:red}"),
        (".unused:is(.note, p),p{color:red}", "p{color:red}"),
        ("@media print{.unused{color:red}}", ""),
        ("@supports (top: 0){.unused{top:0}.note{top:0}}", "@supports (top: 0){.note{top:0}}"),
        ("/* words */p{color:red}", "p{color:red}"),
    ],
)
def test_what_no_page_uses_goes(sheet: str, left: str) -> None:
    assert rules(sheet) == left


def a_font() -> bytes:
    """Any font, packed as the theme's are."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    packed = BytesIO()
    with TTFont(folder / "DejaVuSans.ttf") as font:
        font.flavor = "woff2"
        font.save(packed)
    return packed.getvalue()


def test_a_font_keeps_the_characters_asked_for() -> None:
    with TTFont(BytesIO(used_glyphs(a_font(), {0x41, 0x3B2}))) as font:
        assert set(font.getBestCmap()) == {0x41, 0x3B2}


def test_a_site_is_slimmed_in_place(tmp_path: Path) -> None:
    static = tmp_path / "_static"
    fonts = static / "vendor" / "fontawesome" / "webfonts"
    scripts = static / "scripts"
    for folder in (fonts, scripts):
        folder.mkdir(parents=True)
    (tmp_path / "index.html").write_text('<i class="fa-bars">', "utf-8")
    (static / "theme.css").write_text(
        r'.fa-bars:before{content:"\e041"}.fa-gem:before{content:"\e042"}', "utf-8"
    )
    (scripts / "theme.js").write_text("", "utf-8")
    for name in ("fontawesome.js", "fontawesome.js.LICENSE.txt", "theme.js.map"):
        (scripts / name).write_text("fa-gem", "utf-8")
    whole = a_font()
    with TTFont(BytesIO(whole)) as font:
        for table in font["cmap"].tables:
            table.cmap |= {0xE041: "A", 0xE042: "B"} if table.isUnicode() else {}
        font.save(fonts / "fa-solid-900.woff2")
    slim_assets.slim(tmp_path)
    assert [file.name for file in scripts.iterdir()] == ["theme.js"]
    assert (static / "theme.css").read_text("utf-8") == '.fa-bars:before{content:"\ue041"}\n'
    with TTFont(fonts / "fa-solid-900.woff2") as font:
        assert set(font.getBestCmap()) == {0xE041}
