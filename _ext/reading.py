"""Pages that everybody can read: on paper, by keys, through a screen reader, on screens of any density."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from PIL import Image
from sphinx.application import Sphinx

DPI = 120  # at which a pixel of a figure is one of the page's
PICTURE = re.compile(r'<img (?P<before>[^>]*?)src="[^"]*_images/(?P<name>[^"/]+\.png)"')


def settle_body(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Mend what docutils writes, and say how large each picture is."""
    if "body" in context:
        files = {name: Path(app.srcdir, source) for source, name in app.builder.images.items()}
        context["body"] = sized(plain_roles(context["body"]), files)


def plain_roles(body: str) -> str:
    """Take away what contradicts its content: lists without items, names unlike the words, empty headers."""
    body = body.replace('<div role="list" class="citation-list">', '<div class="citation-list">')
    body = body.replace(' role="doc-biblioentry"', "")
    body = body.replace('<summary aria-label="Toggle hidden content">', "<summary>")
    return re.sub(r'<th class="head([^"]*)">(<p></p>)?</th>', r'<td class="head\1"></td>', body)


def sized(body: str, files: dict[str, Path]) -> str:
    """Write width and height of each PNG: a pixel of its own is one of the page's, or less if it is finer."""

    def with_size(match: re.Match[str]) -> str:
        file = files.get(match["name"])
        if file is None or "width" in match["before"]:
            return match[0]
        with Image.open(file) as picture:
            scale = DPI / max(DPI, picture.info.get("dpi", (DPI,))[0])
            width, height = (round(scale * side) for side in picture.size)
        return match[0].replace("<img ", f'<img width="{width}" height="{height}" ', 1)

    return PICTURE.sub(with_size, body)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_js_file("reading.js", defer="defer")
    app.connect("html-page-context", settle_body, priority=800)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
