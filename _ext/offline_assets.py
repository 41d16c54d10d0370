"""Serve MathJax from the book itself, so that no page asks another host for anything.

MathJax comes from the PyPI package sphinx-mathjax-offline. It is copied after the build instead of living in
``_static``: Jupyter Book adds every ``*.js`` file found there to every page.
"""

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError


def drop_thebe(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Leave out the scripts of live code cells: they come from another host, and we offer none."""
    context["script_files"][:] = [s for s in context["script_files"] if "thebe" not in str(vars(s)).lower()]


def copy_mathjax(app: Sphinx, exception: Exception | None) -> None:
    """Put MathJax's one script and its fonts where ``mathjax_path`` points."""
    if exception is not None or app.builder.format != "html":
        return
    package = find_spec("sphinx-mathjax-offline")
    if package is None or package.origin is None:
        raise ExtensionError("MathJax is missing: install sphinx-mathjax-offline")
    source = Path(package.origin).parent / "static" / "mathjax"
    target = Path(app.outdir) / "_static" / "mathjax"
    fonts = Path("output", "chtml", "fonts")
    shutil.copytree(source / fonts, target / fonts, dirs_exist_ok=True)
    shutil.copy2(source / Path(app.config.mathjax_path).name, target)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("html-page-context", drop_thebe)
    app.connect("build-finished", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
