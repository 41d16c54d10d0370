"""Sphinx directives that show the registry of claims and the evidence recorded for it.

``{claims-summary}``    how many claims there are of each status, and what each status means
``{claims-index}``      what the paper numbers, in its order, with a status and a link each
``{claims-figures}``    the paper's figures, and where each is drawn again
``{claims-table}``      every claim, under the heading of its part, with its evidence folded
``{evidence} label``    under a theorem box, one line: status, evidence, place in the paper
"""

from __future__ import annotations

from collections.abc import Iterable

from claims_data import STATUSES, Row, parts
from claims_directive import ClaimsDirective
from claims_errata import Errata, ErrataTable, Stronger
from claims_nodes import (
    add_nodes,
    badge,
    folded,
    headed,
    places,
    slug,
    standing_badge,
    table,
    verdict_badge,
)
from claims_scorecard import Scorecard
from claims_words import counted, headline, is_figure, numbered, short, source
from docutils import nodes
from sphinx.application import Sphinx

MEANING = {
    "holds": "The paper's statement holds on every instance tried. A definition is called checked: "
    "the library computes what it says.",
    "corrected": "The paper's form fails on a shown instance; a corrected one holds on every instance tried.",
    "refuted": "The paper's form fails on a shown instance, and no small correction saves it.",
    "ours": "Not in the paper, or only hinted at; it holds on every instance tried.",
    "scope": "A remark on notation, on scope or on other work: nothing that a test could decide.",
}
FILTER = (
    '<fieldset class="claim-filter"><legend>{legend}</legend>'
    '<label><input type="radio" name="claim-{name}" value="all" checked> all</label> {choices}</fieldset>'
)
CHOICE = '<label><input type="radio" name="claim-{name}" value="{value}"> {word} ({count})</label>'


class Summary(ClaimsDirective):
    def run(self) -> list[nodes.Node]:
        self.load()
        counts = count_statuses(self.rows.values())
        body: list[list[list[nodes.Node]]] = [
            [
                [nodes.paragraph("", "", badge(s))],
                [nodes.paragraph("", str(counts[s]))],
                [nodes.paragraph("", MEANING[s])],
            ]
            for s in STATUSES
        ]
        records = [record for group in self.records.values() for record in group]
        checks = {(r.claim, r.evidence) for r in records}
        total = f"{len(self.rows)} claims; {len(checks)} kinds of check on {counted(records)}."
        summary = table(["Status", "Rows", "What it means"], body, (18, 10, 72), ["claim-index"])
        return [nodes.paragraph("", total), summary]


class Index(ClaimsDirective):
    def run(self) -> list[nodes.Node]:
        self.load()
        rows = [row for row in numbered(self.rows.values()) if not is_figure(row)]
        heads = ["Workshop text", "Older text", "In our words", "Here", "Status"]
        return [number_table(heads, rows, [self.entry(row) for row in rows])]

    def entry(self, row: Row) -> list[list[nodes.Node]]:
        return [
            *numbers(row),
            [self.line(self.here(f"claim-{row.label}", row.title))],
            [self.line(self.box_link(row))] if row.covered else [],
            [nodes.paragraph("", "", standing_badge(row))],
        ]


class Figures(ClaimsDirective):
    def run(self) -> list[nodes.Node]:
        self.load()
        rows = [row for row in numbered(self.rows.values()) if is_figure(row) and row.score]
        heads = ["Workshop text", "Older text", "What it shows", "Here", "Verdict"]
        return [number_table(heads, rows, [self.entry(row) for row in rows])]

    def entry(self, row: Row) -> list[list[nodes.Node]]:
        figure = row.score.figure if row.score else ""
        return [
            *numbers(row),
            [self.line(self.here(f"claim-{row.label}", row.title))],
            [self.line(f"{{numref}}`{figure}`")],
            [nodes.paragraph("", "", verdict_badge(row))],
        ]


class ClaimsTable(ClaimsDirective):
    def run(self) -> list[nodes.Node]:
        self.load()
        grouped = parts(self.rows.values())
        found: list[nodes.Node] = [nodes.raw("", self.filters(grouped), format="html")]
        for at, (part, rows) in enumerate(grouped.items(), 1):
            section = headed("part-" + nodes.make_id(part), [nodes.Text(part)])
            section["classes"] += ["claim-part", f"claim-part-{at}"]
            section += [self.entry(row) for row in rows]
            found.append(section)
        return found

    def filters(self, grouped: dict[str, list[Row]]) -> str:
        counts = count_statuses(self.rows.values())
        statuses = [(slug(status), status, count) for status, count in counts.items() if count]
        shown = [(str(at), part, len(rows)) for at, (part, rows) in enumerate(grouped.items(), 1)]
        return chooser("Status", "status", statuses) + chooser("Part", "part", shown)

    def entry(self, row: Row) -> nodes.Element:
        title, _ = self.state.inline_text(row.title, self.lineno)
        where = f" · {source(row)}" if source(row) else ""
        line = [standing_badge(row), nodes.Text(" "), nodes.inline("", "", *title, classes=["claim-title"])]
        line.append(nodes.inline("", where, classes=["claim-text-name"]))
        shown = folded(line, *self.details(row), classes=["claim-row", f"claim-{slug(row.status)}"])
        shown["ids"].append(self.target(f"claim-{row.label}", row.title))
        return shown

    def details(self, row: Row) -> list[nodes.Node]:
        content = [*self.text(row.statement), *places(row)]
        if row.prior:
            content.append(
                self.line(nodes.inline("", "Known before: ", classes=["claim-text-name"]), row.prior)
            )
        content.append(self.links(row))
        if row.label in self.records:
            records = self.records[row.label]
            content.append(folded(headline(records), self.evidence_list(records)))
        return content

    def links(self, row: Row) -> nodes.paragraph:
        links: list[nodes.Node | str] = [nodes.Text(row.kind)]
        if row.covered:
            links += [nodes.Text(" · "), self.box_link(row)]
        for at, erratum in enumerate(row.errata, 1):
            name = "erratum" if len(row.errata) == 1 else f"erratum {at}"
            links += [nodes.Text(" · "), self.link(f"erratum-{erratum.slug}", name)]
        return self.line(*links)


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


def numbers(row: Row) -> list[list[nodes.Node]]:
    """One cell for each of the two texts."""
    return [[nodes.paragraph("", short(at) if at else "–")] for at in (row.workshop, row.older)]


def number_table(heads: list[str], rows: list[Row], body: list[list[list[nodes.Node]]]) -> nodes.table:
    """A table that begins with both numbers; on a narrow page the style sheet keeps one of them."""
    shown = table(heads, body, (17, 17, 34, 14, 18), ["claim-index", "claim-flow", "claim-numbers"])
    for node, row in zip(list(shown.findall(nodes.row))[1:], rows, strict=True):
        node["classes"].append("claim-by-number" if row.workshop else "claim-by-older-number")
    return shown


def count_statuses(rows: Iterable[Row]) -> dict[str, int]:
    rows = list(rows)
    return {status: sum(row.status == status for row in rows) for status in STATUSES}


def chooser(legend: str, name: str, choices: list[tuple[str, str, int]]) -> str:
    """Radio buttons that the style sheet reads: each has a value, a word and a count."""
    shown = " ".join(CHOICE.format(name=name, value=v, word=w, count=n) for v, w, n in choices)
    return FILTER.format(legend=legend, name=name, choices=shown)


def setup(app: Sphinx) -> dict[str, bool]:
    add_nodes(app)
    app.add_directive("claims-summary", Summary)
    app.add_directive("claims-index", Index)
    app.add_directive("claims-figures", Figures)
    app.add_directive("claims-table", ClaimsTable)
    app.add_directive("evidence", Evidence)
    app.add_directive("scorecard", Scorecard)
    app.add_directive("errata-table", ErrataTable)
    app.add_directive("errata", Errata)
    app.add_directive("errata-stronger", Stronger)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
