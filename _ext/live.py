"""The directive ``live``: an instrument of the page, computed by the scripts in ``_static/live``.

Its argument names the module; what stands in it says what to try, and is read where no script runs, too. With
the option ``instead`` the picture of the next cell is for those readers alone: an instrument that has started
takes its place. The option ``begin`` says how the controls stand at first, as ``activation=abs beta=6``.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

MODULES = Path(__file__).parent.parent / "_static" / "live"
STYLE, START = "live/live.css", "live/start.mjs"
OFF = (
    "Here the page computes while you watch, if it may run scripts and comes from a web server; a page "
    "opened as a file may not. The pictures show the same, at rest."
)


class Live(SphinxDirective):
    """Put an instrument where it stands."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {
        "instead": directives.flag,
        "begin": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        """Return the words between the two ends of a division that the scripts find."""
        name = self.arguments[0]
        if not (MODULES / f"{name}.mjs").is_file():
            raise self.error(f"no instrument is called {name!r}")
        look = "live live-instead" if "instead" in self.options else "live"
        named = f'data-live="{escape(name)}" data-begin="{escape(self.options.get("begin", ""))}"'
        words = self.parse_content_to_nodes()
        opened = f'<div class="{look}" {named}><p class="live-off">{OFF}</p>'
        return [nodes.raw("", opened, format="html"), *words, nodes.raw("", "</div>", format="html")]


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
    app.connect("html-page-context", load, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
