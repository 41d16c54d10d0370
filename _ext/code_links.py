"""Names of the library in code cells link to its reference, by sphinx-codeautolink."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx_codeautolink.extension.block import CodeBlockAnalyser


def depart_section(self: CodeBlockAnalyser, node: nodes.section) -> None:
    """Forget the title of a section that had one: the body of a theorem box is a section without."""
    if any(isinstance(child, nodes.title) for child in node.children):
        self.title_stack.pop()


def setup(app: Sphinx) -> dict[str, bool]:
    CodeBlockAnalyser.depart_section = depart_section
    app.setup_extension("sphinx_codeautolink")
    return {"parallel_read_safe": True}
