"""Leave out of the built book what no page uses: most rules of the theme's style sheets, icons, comments.

What a page may use is read from the pages and scripts themselves: a rule stays if every class and every id
that its selector asks for is a word in one of them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import tinycss2
from bare_scripts import bare
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from sphinx.application import Sphinx

UNUSED = ("scripts/fontawesome.js*", "**/*.map")  # icons come from a font; maps are for authors
COMPOSED = ("bs-", "live-")  # scripts put these names together from parts
NESTED = {"media", "supports", "layer"}
ICONS = re.compile("[\ue000-\uf8ff]")  # characters without a meaning of their own


def drop_files(app: Sphinx, exception: Exception | None) -> None:
    """Slim what was built, if it is a book of pages."""
    if exception is None and app.builder.format == "html":
        slim(Path(app.outdir))


def slim(site: Path) -> None:
    """Slim all files of a site in place."""
    static = site / "_static"
    for pattern in UNUSED:
        for file in static.glob(pattern):
            if file.is_file():
                file.unlink()
    for module in static.glob("live/*.mjs"):
        module.write_text(bare(module.read_text("utf-8")), "utf-8")
    pages = [file for kind in ("*.html", "*.js", "*.mjs") for file in site.rglob(kind)]
    words = used_words(file.read_text("utf-8") for file in pages if "mathjax" not in file.parts)
    icons: set[int] = set()
    for sheet in static.rglob("*.css"):
        slimmed = used_rules(sheet.read_text("utf-8"), words)
        icons |= set(map(ord, ICONS.findall(slimmed)))
        sheet.write_text(slimmed, "utf-8")
    for font in static.glob("vendor/fontawesome/webfonts/*.woff2"):
        font.write_bytes(used_glyphs(font.read_bytes(), icons))


def used_words(texts: Iterable[str]) -> set[str]:
    """Everything in the texts that could be the name of a class or an id."""
    return {word for text in texts for word in re.findall(r"[\w-]+", text)}


def used_rules(sheet: str, words: set[str]) -> str:
    """Return a style sheet without the selectors, rules and comments that no page needs."""
    rules = tinycss2.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True)
    return "".join(_used(rules, words))


def used_glyphs(font: bytes, codes: set[int]) -> bytes:
    """Return a font that has the characters of these codes alone."""
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    options = Options(flavor="woff2", layout_features=[], notdef_outline=False)
    subset = Subsetter(options)
    with TTFont(BytesIO(font), recalcTimestamp=False) as whole:
        subset.populate(unicodes=codes)
        subset.subset(whole)
        written = BytesIO()
        whole.flavor = "woff2"
        whole.save(written)
    return written.getvalue()


def _used(rules: Iterable[Any], words: set[str]) -> Iterator[str]:
    for rule in rules:
        if rule.type == "qualified-rule":
            selectors = [s for s in _split(rule.prelude) if _names(s) <= words]
            if selectors:
                prelude = ",".join(tinycss2.serialize(s).strip() for s in selectors)
                yield f"{prelude}{{{tinycss2.serialize(rule.content).strip()}}}\n"
        elif rule.type == "at-rule" and rule.lower_at_keyword in NESTED and rule.content is not None:
            inner = tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)
            if kept := "".join(_used(inner, words)):
                yield f"@{rule.at_keyword}{tinycss2.serialize(rule.prelude)}{{{kept}}}\n"
        else:
            yield rule.serialize() + "\n"


def _split(prelude: list[Any]) -> Iterator[list[Any]]:
    """Take a list of selectors apart; a comma in parentheses belongs to one of them."""
    selector: list[Any] = []
    for token in prelude:
        if token == ",":
            yield selector
            selector = []
        else:
            selector.append(token)
    yield selector


def _names(selector: list[Any]) -> set[str]:
    """Classes and ids that must be there; what stands in parentheses may say the contrary."""
    names = {token.value for token in selector if token.type == "hash"}
    for dot, token in pairwise(selector):
        if dot == "." and token.type == "ident":
            names.add(token.value)
    return {name for name in names if not name.startswith(COMPOSED)}


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx: late, when all files are there."""
    app.connect("build-finished", drop_files, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
