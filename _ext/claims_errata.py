"""The directives of the errata page.

``{errata-table}``     what is wrong, where, and what follows, the serious first; slips in one line below
``{errata}``           each entry in full: both forms, the smallest instance, the evidence
``{errata-stronger}``  the same for what is no error: the paper says less than is true
"""

from __future__ import annotations

from collections.abc import Iterable

from claims_data import ERRATUM_KINDS, Erratum, Row
from claims_directive import ClaimsDirective
from claims_nodes import badge, folded, headed, places, table
from claims_words import headline, short
from docutils import nodes

Entry = tuple[Row, Erratum]
# The status with which a kind shares its badge.
COLOURS = {"missing condition": "corrected", "typographical": "scope", "stronger": "ours"}


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

    def section(self, entry: Entry) -> nodes.section:
        row, erratum = entry
        title, _ = self.state.inline_text(erratum.title, self.lineno)
        section = headed(self.target(f"erratum-{erratum.slug}", erratum.title), title)
        section += self.line(kind_badge(erratum), nodes.Text(" "), erratum.consequence)
        section += self.details(row, erratum)
        for other_row, other in self.others.get(erratum.slug, []):
            name, _ = self.state.inline_text(other.title, self.lineno)
            line = [nodes.Text(f"{spot(other_row)}: "), *name]
            again = folded(line, self.details(other_row, other), classes=["claim-row"])
            again["ids"].append(self.target(f"erratum-{other.slug}", other.title))
            section += again
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


class ErrataTable(ErrataDirective):
    def run(self) -> list[nodes.Node]:
        entries = self.entries()
        body = [self.row(entry) for entry in entries if entry[1].kind not in ("typographical", "stronger")]
        heads = ["Where", "What", "Kind", "Consequence"]
        summary = table(heads, body, (16, 35, 17, 32), ["claim-index", "claim-flow"])
        slips = [entry for entry in entries if entry[1].kind == "typographical"]
        return [summary, self.slips(slips)] if slips else [summary]

    def row(self, entry: Entry) -> list[list[nodes.Node]]:
        row, erratum = entry
        more = len(self.family(entry)) - 1
        where = spot(row) + (f" and {more} more" if more else "")
        return [
            [nodes.paragraph("", where)],
            [self.line(self.here(f"erratum-{erratum.slug}", erratum.title))],
            [nodes.paragraph("", "", kind_badge(erratum))],
            [self.line(erratum.consequence)],
        ]

    def slips(self, entries: list[Entry]) -> nodes.paragraph:
        line: list[nodes.Node | str] = []
        for row, erratum in entries:
            line.append(
                nodes.Text(f"; {spot(row)}, " if line else f"Slips that the context corrects: {spot(row)}, ")
            )
            line.append(self.here(f"erratum-{erratum.slug}", erratum.title))
        return self.line(*line, nodes.Text("."), classes=["claim-slips"])


class Errata(ErrataDirective):
    def run(self) -> list[nodes.Node]:
        return [self.section(entry) for entry in self.entries() if entry[1].kind != "stronger"]


class Stronger(ErrataDirective):
    def run(self) -> list[nodes.Node]:
        return [self.section(entry) for entry in self.entries() if entry[1].kind == "stronger"]


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
    return badge(COLOURS.get(erratum.kind, "refuted"), erratum.kind or "erratum")
