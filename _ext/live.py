"""Instruments of the pages: boxes that the scripts in ``_static/live`` turn into something to try.

A box is written so that every reader of the text sees its words, in JupyterLab, too::

    :::{admonition} Drag the data
    :class: live drag-data

    What to try, and what to see.
    :::

The word after ``live`` names the module; more words reach it as ``begin``. With the word ``instead`` the
picture of the next cell is for readers without scripts alone: an instrument that has started takes its place.
The directive ``live`` does the same without a title, on pages that are no notebooks.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

MODULES = Path(__file__).parent.parent / "_static" / "live"
STYLE, START = "live/live.css", "live/start.mjs"
OFF = (
    "Here the page computes while you watch, if it may run scripts and comes from a web server; a page "
    "opened as a file may not. The pictures show the same, at rest."
)
LOGGER = logging.getLogger(__name__)


def instrument(
    name: str, words: list[nodes.Node], begin: str = "", *, instead: bool = False
) -> list[nodes.Node]:
    """Put words between the two ends of a division that the scripts find."""
    if not (MODULES / f"{name}.mjs").is_file():
        raise ValueError(f"no instrument is called {name!r}")
    look = "live live-instead" if instead else "live"
    named = f'data-live="{escape(name)}" data-begin="{escape(begin)}"'
    opened = f'<div class="{look}" {named}><p class="live-off">{OFF}</p>'
    return [nodes.raw("", opened, format="html"), *words, nodes.raw("", "</div>", format="html")]


class Live(SphinxDirective):
    """Put an instrument where it stands."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {
        "instead": directives.flag,
        "begin": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        """Return the division with the words of the directive in it."""
        given, words = self.options, self.parse_content_to_nodes()
        return instrument(self.arguments[0], words, given.get("begin", ""), instead="instead" in given)


def replace(app: Sphinx, doctree: nodes.document) -> None:
    """Turn boxes of the class ``live`` into instruments; the title becomes the first words."""
    for box in list(doctree.findall(nodes.admonition)):
        if "live" not in box["classes"]:
            continue
        _, name, *more = box["classes"][box["classes"].index("live") :]
        title, first, *rest = box.children
        words = nodes.paragraph(
            "", "", nodes.strong("", f"{title.astext()}."), nodes.Text(" "), *first.children
        )
        words["ids"], words["names"] = box["ids"], box["names"]  # so that links to the box still lead here
        begin = " ".join(word for word in more if word != "instead")
        try:
            made = instrument(name, [words, *rest], begin, instead="instead" in more)
        except ValueError as error:
            LOGGER.warning(str(error), location=box)
        else:
            place = box.parent.index(box)  # the method for it would put the box's classes on what replaces it
            box.parent[place : place + 1] = made


def load(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Load scripts and style on pages that have an instrument, and on no other."""
    if "data-live=" in context.get("body", ""):
        app.add_js_file(START, type="module", loading_method="defer")
    else:
        sheets = context["css_files"]
        sheets[:] = [sheet for sheet in sheets if STYLE not in str(vars(sheet))]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("live", Live)
    app.connect("doctree-read", replace)
    app.connect("html-page-context", load, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
