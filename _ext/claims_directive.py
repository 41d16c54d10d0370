"""What the directives of the claims share: reading the registry and the evidence, making nodes of text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from claims_data import Record, RegistryError, Row, read_evidence, read_registry
from claims_nodes import breakable
from claims_words import measure, plural
from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)


class ClaimsDirective(SphinxDirective):
    """Reads the registry and the evidence, and makes the page depend on both."""

    def load(self) -> None:
        folder = Path(self.env.srcdir) / "claims"
        evidence = folder / "evidence.json"
        for path in [*sorted(folder.glob("*.toml")), evidence]:
            self.env.note_dependency(str(path))
        self.rows: dict[str, Row] = {}
        try:
            self.rows = {row.label: row for row in read_registry(folder)}
        except RegistryError as error:
            self.warn(str(error))
        self.records: dict[str, list[Record]] = {}
        for record in read_evidence(evidence)[0]:
            self.records.setdefault(record.claim, []).append(record)

    def warn(self, message: str) -> None:
        logger.warning("%s: %s", self.name, message, location=self.get_location(), type="claims")

    def text(self, source: str) -> list[nodes.Node]:
        """Parsed blocks of MyST text."""
        holder = nodes.container()
        self.state.nested_parse(StringList(source.strip().splitlines(), self.get_source_info()[0]), 0, holder)
        return list(holder.children)

    def line(self, *content: nodes.Node | str, classes: Iterable[str] = ()) -> nodes.paragraph:
        """A paragraph of nodes and of strings of inline MyST text."""
        paragraph = nodes.paragraph(classes=list(classes))
        for item in content:
            paragraph += self.state.inline_text(item, self.lineno)[0] if isinstance(item, str) else item
        return paragraph

    def target(self, name: str, title: str) -> str:
        """Make ``name`` a label of this page that any page can refer to."""
        std = self.env.get_domain("std")
        std.labels[name] = (self.env.docname, name, title)  # type: ignore[attr-defined]
        std.anonlabels[name] = (self.env.docname, name)  # type: ignore[attr-defined]
        return name

    def link(self, name: str, text: str) -> addnodes.pending_xref:
        return addnodes.pending_xref(
            "",
            nodes.inline("", text),
            refdomain="std",
            reftype="ref",
            reftarget=name,
            refexplicit=True,
            refwarn=True,
            refdoc=self.env.docname,
        )

    def here(self, name: str, title: str) -> nodes.reference:
        """A link within the page; unlike `link` it may have mathematics in its text."""
        text, _ = self.state.inline_text(title, self.lineno)
        return nodes.reference("", "", *text, internal=True, refid=name)

    def box_link(self, row: Row) -> addnodes.pending_xref:
        """A link to the claim's box in its chapter; its text is the box's number in the book."""
        return addnodes.pending_xref(
            "",
            nodes.inline("", row.label),
            refdomain="prf",
            reftype="ref",
            reftarget=row.label,
            refexplicit=False,
            refwarn=True,
            refdoc=self.env.docname,
        )

    def evidence_list(self, records: list[Record]) -> nodes.bullet_list:
        """One item for each evidence; the cases of a parametrised test count together."""
        together: dict[str, list[Record]] = {}
        for record in records:
            together.setdefault(record.evidence, []).append(record)
        items = nodes.bullet_list(classes=["claim-checks"])
        for group in together.values():
            items += nodes.list_item("", *self.evidence_item(group))
        return items

    def evidence_item(self, group: list[Record]) -> list[nodes.Node]:
        first = group[0]
        count = plural(sum(r.instances for r in group), "structured " * first.structured + "instance")
        said = nodes.Text(f": {count}, {measure(group)} ({first.why}). ")
        return [
            nodes.paragraph("", "", nodes.strong("", first.words), said),
            nodes.paragraph("", "", breakable(first.function), classes=["claim-test"]),
        ]
