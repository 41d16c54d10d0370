"""Names in single backticks of docstrings link to the reference, though they leave out the module."""

from __future__ import annotations

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, child: nodes.Element
) -> nodes.Element | None:
    """Look once more, now for any documented name that ends like this one."""
    if node.get("reftype") != "obj" or node.get("refspecific"):
        return None
    node["refspecific"] = True
    domain, place = env.get_domain("py"), node.get("refdoc", env.docname)
    return domain.resolve_xref(env, place, app.builder, "obj", node["reftarget"], node, child)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
