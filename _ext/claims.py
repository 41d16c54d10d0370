"""Sphinx directives that show the registry of claims and the evidence recorded for it.

``{claims-summary}``    how many claims there are of each status, and what each status means
``{claims-table}``      every claim, under the heading of its part
``{evidence} label``    under a theorem box: what was checked, on how many instances, how closely
``{scorecard}``         every claim about an experiment: verdict, our number, our figure
``{errata}``            one section for each place where the printed text fails
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from claims_data import (
    GLUED,
    STATUSES,
    VERDICTS,
    Erratum,
    Record,
    RegistryError,
    Row,
    parts,
    read_evidence,
    read_glued,
    read_registry,
)
from claims_nodes import add_nodes, badge, breakable, folded, headed, places, slug, standing_badge, table
from claims_words import counted, headline, measure, plural, source
from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)

MEANING = {
    "holds": "The statement as printed holds on every instance tried. A definition is called checked: "
    "the library computes what it says.",
    "corrected": "The printed form fails on a shown instance; a corrected one holds on every instance tried.",
    "refuted": "The printed form fails on a shown instance, and no small correction saves it.",
    "ours": "Not in the paper, or only hinted at; it holds on every instance tried.",
    "not yet": "Listed, but without a chapter. Nothing is said about its truth.",
}
# Of the scorecard's verdicts: how a count of them reads, and the badge that they share with a status.
WORDS = {"holds": "hold", "holds in part": "hold in part", "fails": "fail"}
COLOURS = {"holds in part": "corrected", "fails": "refuted"}
FILTER = (
    '<fieldset class="claim-filter"><legend>Show</legend>'
    '<label><input type="radio" name="claim-filter" value="all" checked> all</label> {choices}</fieldset>'
)
CHOICE = '<label><input type="radio" name="claim-filter" value="{slug}"> {status} ({count})</label>'


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


class Summary(ClaimsDirective):
    def run(self) -> list[nodes.Node]:
        self.load()
        counts = {status: sum(row.status == status for row in self.rows.values()) for status in STATUSES}
        body: list[list[list[nodes.Node]]] = [
            [[badge(s)], [nodes.Text(str(counts[s]))], [nodes.Text(MEANING[s])]] for s in STATUSES
        ]
        cells: list[list[list[nodes.Node]]] = [
            [[nodes.paragraph("", "", *cell)] for cell in row] for row in body
        ]
        records = [record for group in self.records.values() for record in group]
        checks = {(r.claim, r.evidence) for r in records}
        covered = sum(row.covered for row in self.rows.values())
        total = (
            f"{len(self.rows)} claims; {covered} of them have a chapter. "
            f"{len(checks)} kinds of check on {counted(records)}."
        )
        summary = table(["Status", "Rows", "What it means"], cells, (26, 14, 60), ["claim-summary"])
        return [nodes.paragraph("", total), summary]


class ClaimsTable(ClaimsDirective):
    def run(self) -> list[nodes.Node]:
        self.load()
        counts = {status: sum(row.status == status for row in self.rows.values()) for status in STATUSES}
        choices = " ".join(CHOICE.format(slug=slug(s), status=s, count=n) for s, n in counts.items() if n)
        found: list[nodes.Node] = [nodes.raw("", FILTER.format(choices=choices), format="html")]
        for part, rows in parts(self.rows.values()).items():
            section = headed("part-" + nodes.make_id(part), [nodes.Text(part)])
            section += self.part_table(rows)
            found.append(section)
        return found

    def part_table(self, rows: list[Row]) -> nodes.table:
        cells = [[self.where(row), self.statement(row), self.standing(row)] for row in rows]
        shown = table(["In the paper", "Claim", "Status"], cells, (22, 60, 18), ["claim-table"])
        for node, row in zip(list(shown.findall(nodes.row))[1:], rows, strict=True):
            node["classes"].append(f"claim-{slug(row.status)}")
            node["ids"].append(self.target(f"claim-{row.label}", row.title))
        return shown

    def where(self, row: Row) -> list[nodes.Node]:
        if not (row.workshop or row.older):
            return [nodes.paragraph("", "not in the paper")]
        return places(row)

    def statement(self, row: Row) -> list[nodes.Node]:
        content = [self.line(row.title, classes=["claim-title"]), *self.text(row.statement)]
        if row.label in self.records:
            records = self.records[row.label]
            content.append(folded(headline(records), self.evidence_list(records)))
        return content

    def standing(self, row: Row) -> list[nodes.Node]:
        content: list[nodes.Node] = [
            nodes.paragraph("", "", standing_badge(row)),
            nodes.paragraph("", row.kind),
        ]
        if row.covered:
            content.append(self.line(self.box_link(row)))
        content += [self.line(self.link(f"erratum-{e.slug}", "erratum")) for e in row.errata]
        return content


class Evidence(ClaimsDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.load()
        label = self.arguments[0]
        row = self.rows.get(label)
        if row is None:
            self.warn(f"the registry has no claim {label!r}")
            return []
        if label not in self.records:
            self.warn(f"no evidence is recorded for {label!r}")
        records = self.records.get(label, [])
        block = nodes.container(classes=["claim-evidence"])
        block["ids"].append(self.target(f"evidence-{label}", row.title))
        where = f"{source(row)} · " if source(row) else ""
        block += self.line(
            standing_badge(row),
            nodes.Text(f" {headline(records)} · {where}"),
            self.link(f"claim-{label}", "claims"),
        )
        block += folded("tests", self.evidence_list(records))
        return [block]


class Scorecard(ClaimsDirective):
    def run(self) -> list[nodes.Node]:
        self.load()
        printed = [row for row in self.rows.values() if row.measured and (row.workshop or row.older)]
        ours = [
            row
            for row in self.rows.values()
            if row.measured and row not in printed and (row.score or not row.covered)
        ]
        verdicts = [row.score.verdict for row in printed if row.score]
        counts = [f"{verdicts.count(verdict)} {WORDS[verdict]}" for verdict in VERDICTS]
        waiting = len(printed) - len(verdicts)
        total = (
            f"{len(printed)} claims: "
            + ", ".join(counts)
            + (f"; {waiting} not yet judged" if waiting else "")
        )
        found: list[nodes.Node] = [nodes.paragraph("", total + "."), self.score_table(printed)]
        if ours:
            section = headed("our-own-measurements", [nodes.Text("Our own measurements")])
            section += self.score_table(ours)
            found.append(section)
        return found

    def score_table(self, rows: list[Row]) -> nodes.table:
        cells: list[list[list[nodes.Node]]] = [
            [self.claimed(row), self.measured(row), [verdict_of(row)]] for row in rows
        ]
        heads = [
            "What the paper says" if rows[0].workshop or rows[0].older else "Claim",
            "What we found",
            "Verdict",
        ]
        return table(heads, cells, (42, 42, 16), ["claim-table", "scorecard"])

    def claimed(self, row: Row) -> list[nodes.Node]:
        content: list[nodes.Node] = [
            self.line(self.link(f"claim-{row.label}", row.title), classes=["claim-title"])
        ]
        content += self.text(row.score.said if row.score and row.score.said else row.statement)
        return content + places(row)

    def measured(self, row: Row) -> list[nodes.Node]:
        if row.score is None or row.chapter is None:
            return [nodes.paragraph("", "Not run yet.")]
        notebook = Path(self.env.srcdir) / "chapters" / f"{row.chapter}.ipynb"
        self.env.note_dependency(str(notebook))
        glued = read_glued(notebook)
        for name in row.score.glued:
            if name not in glued:
                self.warn(f"{row.label}: {notebook.name} glues no {name!r}")
        number = GLUED.sub(lambda match: glued.get(match[1], match[0]), row.score.number)
        return [*self.text(number), self.line(f"{{numref}}`{row.score.figure}`, ", self.box_link(row))]


class Errata(ClaimsDirective):
    def run(self) -> list[nodes.Node]:
        self.load()
        return [self.section(row, erratum) for row in self.rows.values() for erratum in row.errata]

    def section(self, row: Row, erratum: Erratum) -> nodes.section:
        title, _ = self.state.inline_text(erratum.title, self.lineno)
        section = headed(self.target(f"erratum-{erratum.slug}", erratum.title), title)
        records = [r for r in self.records.get(row.label, []) if r.evidence in erratum.evidence]
        if len({r.evidence for r in records}) < len(erratum.evidence):
            self.warn(f"erratum {erratum.slug!r}: evidence is missing")
        see = self.line(self.box_link(row), nodes.Text(", "), self.link(f"claim-{row.label}", row.title))
        fields: list[tuple[str, list[nodes.Node]]] = [
            ("Where", places(row)),
            ("Printed", self.text(erratum.printed)),
            ("Right", self.text(erratum.right)),
            ("Smallest instance", self.text(erratum.instance)),
            ("Evidence", [self.evidence_list(records)]),
            ("See", [see]),
        ]
        listed = nodes.definition_list(classes=["claim-erratum"])
        for name, content in fields:
            listed += nodes.definition_list_item("", nodes.term("", name), nodes.definition("", *content))
        section += listed
        return section


def verdict_of(row: Row) -> nodes.paragraph:
    verdict = row.score.verdict if row.score else "not yet"
    return nodes.paragraph("", "", badge(COLOURS.get(verdict, verdict), verdict))


def setup(app: Sphinx) -> dict[str, bool]:
    add_nodes(app)
    app.add_directive("claims-summary", Summary)
    app.add_directive("claims-table", ClaimsTable)
    app.add_directive("evidence", Evidence)
    app.add_directive("scorecard", Scorecard)
    app.add_directive("errata", Errata)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
