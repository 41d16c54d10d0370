"""Serve MathJax from the book itself, so that no page asks another host for anything.

MathJax comes from the PyPI package sphinx-mathjax-offline. The parts of it that ``mathjax3_config`` asks for
are copied after the build instead of living in ``_static``: Jupyter Book adds every ``*.js`` file found there
to every page. A page without formulas asks for none of it.
"""

import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError

SCRIPTS = Path(__file__).parent / "scripts"
TYPESETTER = "mathematics.js"
FONTS = Path("output", "chtml", "fonts", "woff-v2")


def parts(config: Config) -> list[str]:
    """Name the files of MathJax that a page loads, below its folder."""
    load = config.mathjax3_config["loader"]["load"]
    # The output asks for its font itself, once it is there; named beside it the font may come too early.
    names = [*load, *(f"{name}/fonts/tex" for name in load if name == "output/chtml")]
    files = [f"{name.replace('[tex]', 'input/tex/extensions')}.js" for name in names]
    return [Path(config.mathjax_path).name, *files]


def serve_scripts(app: Sphinx, config: Config) -> None:
    """Put the book's own scripts where Sphinx looks for files."""
    config.html_static_path.append(str(SCRIPTS))


def leave_out(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Leave out live code cells, whose scripts come from another host, and MathJax without formulas."""
    needless = ["thebe"]
    if not re.search('class="(math|amsmath)', context.get("body", "")):
        needless += ["mathjax", TYPESETTER]
    else:
        folder = Path(app.config.mathjax_path).parent.as_posix()
        links = [context["pathto"](f"_static/{folder}/{part}", resource=True) for part in parts(app.config)]
        context["metatags"] += "".join(f'<link rel="preload" as="script" href="{link}"/>\n' for link in links)
    scripts = context["script_files"]
    scripts[:] = [script for script in scripts if not any(n in str(vars(script)).lower() for n in needless)]


def copy_mathjax(app: Sphinx, exception: Exception | None) -> None:
    """Put MathJax's scripts and its fonts where ``mathjax_path`` points."""
    if exception is not None or app.builder.format != "html":
        return
    package = find_spec("sphinx-mathjax-offline")
    if package is None or package.origin is None:
        raise ExtensionError("MathJax is missing: install sphinx-mathjax-offline")
    source = Path(package.origin).parent / "static" / "mathjax"
    target = Path(app.outdir) / "_static" / "mathjax"
    shutil.copytree(source / FONTS, target / FONTS, dirs_exist_ok=True)
    for part in parts(app.config):
        (target / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / part, target / part)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("config-inited", serve_scripts)
    app.add_js_file(TYPESETTER, defer="defer", priority=490)  # before MathJax itself
    app.connect("html-page-context", leave_out, priority=900)
    app.connect("build-finished", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
