"""Signatures in the reference show what a caller may give: private fields of results are left out."""

from __future__ import annotations

import re

from sphinx.application import Sphinx

PRIVATE = re.compile(r"(?:, |(?<=\())_\w+(?=[,)])")


def drop_private(
    app: Sphinx,
    what: str,
    name: str,
    thing: object,
    options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    return PRIVATE.sub("", signature) if signature else signature, returns


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-signature", drop_private)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
