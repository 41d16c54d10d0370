"""The directives of the errata page.

``{errata-table}``  what is wrong, where, and what follows, the serious first
``{errata}``        each entry in full: both forms, the smallest instance, the evidence
"""

from __future__ import annotations

from collections.abc import Iterable

from claims_data import ERRATUM_KINDS, Erratum, Row
from claims_directive import ClaimsDirective
from claims_nodes import badge, folded, headed, places, table
from claims_words import headline, short
from docutils import nodes

Entry = tuple[Row, Erratum]
# The headings of the kinds, and the badge that each shares with a status.
HEADINGS = {
    "wrong claim": ("Claims that are not so", "refuted"),
    "wrong formula": ("Formulas that give something else", "refuted"),
    "experiment": ("Experiments that come out differently", "refuted"),
    "missing condition": ("Claims that need a condition", "corrected"),
    "typographical": ("Slips that the context corrects", "scope"),
    "stronger": ("No errors: more than the paper says is true", "ours"),
}


class ErrataDirective(ClaimsDirective):
    def entries(self) -> list[Entry]:
        """All errata, the serious kinds first; those that go with another one are left to it."""
        self.load()
        found = [(row, erratum) for row in self.rows.values() for erratum in row.errata]
        self.others: dict[str, list[Entry]] = {}
        for row, erratum in found:
            if erratum.same_as:
                self.others.setdefault(erratum.same_as, []).append((row, erratum))
        kinds = {kind: at for at, kind in enumerate(ERRATUM_KINDS)}
        leading = [(row, erratum) for row, erratum in found if not erratum.same_as]
        return sorted(leading, key=lambda entry: kinds.get(entry[1].kind, -1))

    def family(self, entry: Entry) -> list[Entry]:
        return [entry, *self.others.get(entry[1].slug, [])]


class ErrataTable(ErrataDirective):
    def run(self) -> list[nodes.Node]:
        body: list[list[list[nodes.Node]]] = []
        for entry in self.entries():
            _, erratum = entry
            if erratum.kind == "stronger":
                continue
            where = "; ".join(spot(row) for row, _ in self.family(entry))
            what = self.line(self.here(f"erratum-{erratum.slug}", erratum.title))
            body.append(
                [
                    [nodes.paragraph("", where)],
                    [what],
                    [nodes.paragraph("", "", kind_badge(erratum))],
                    [self.line(erratum.consequence)],
                ]
            )
        heads = ["Where", "What", "Kind", "Consequence"]
        return [table(heads, body, (16, 34, 14, 36), ["claim-index", "claim-errata"])]


class Errata(ErrataDirective):
    def run(self) -> list[nodes.Node]:
        found: dict[str, nodes.section] = {}
        for entry in self.entries():
            kind = entry[1].kind
            heading, _ = HEADINGS.get(kind, ("Others", ""))
            if kind not in found:
                found[kind] = headed("errata-" + nodes.make_id(kind or "others"), [nodes.Text(heading)])
            found[kind] += self.section(entry)
        return list(found.values())

    def section(self, entry: Entry) -> nodes.section:
        row, erratum = entry
        title, _ = self.state.inline_text(erratum.title, self.lineno)
        section = headed(self.target(f"erratum-{erratum.slug}", erratum.title), title)
        if erratum.consequence:
            section += self.line(erratum.consequence)
        section += self.details(row, erratum)
        for other_row, other in self.others.get(erratum.slug, []):
            name, _ = self.state.inline_text(other.title, self.lineno)
            section += nodes.rubric("", "", *name, ids=[self.target(f"erratum-{other.slug}", other.title)])
            section += self.details(other_row, other)
        return section

    def details(self, row: Row, erratum: Erratum) -> nodes.definition_list:
        records = [r for r in self.records.get(row.label, []) if r.evidence in erratum.evidence]
        if len({r.evidence for r in records}) < len(erratum.evidence):
            self.warn(f"erratum {erratum.slug!r}: evidence is missing")
        see = self.line(self.box_link(row), nodes.Text(", "), self.link(f"claim-{row.label}", row.title))
        evidence = folded(headline(records), self.evidence_list(records))
        return definitions(
            ("Where", places(row)),
            ("Paper", self.text(erratum.printed)),
            ("Right", self.text(erratum.right)),
            ("Smallest instance", self.text(erratum.instance)),
            ("Evidence", [evidence]),
            ("See", [see]),
        )


def definitions(*fields: tuple[str, Iterable[nodes.Node]]) -> nodes.definition_list:
    listed = nodes.definition_list(classes=["claim-erratum"])
    for name, content in fields:
        listed += nodes.definition_list_item("", nodes.term("", name), nodes.definition("", *content))
    return listed


def spot(row: Row) -> str:
    """Where the entry is, briefly: the workshop text where it has it."""
    if row.workshop:
        return short(row.workshop)
    return f"older text: {short(row.older)}" if row.older else ""


def kind_badge(erratum: Erratum) -> nodes.inline:
    _, colour = HEADINGS.get(erratum.kind, ("", "scope"))
    return badge(colour, erratum.kind or "other")
