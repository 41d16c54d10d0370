"""The directive ``{scorecard}``: every claim about an experiment, with verdict, our number and our figure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from claims_data import GLUED, VERDICTS, Row, read_glued
from claims_directive import ClaimsDirective
from claims_nodes import headed, places, table, verdict_badge
from docutils import nodes

# How a count of each verdict reads.
WORDS = {"holds": "hold", "holds in part": "hold in part", "fails": "fail"}


class Scorecard(ClaimsDirective):
    def run(self) -> list[nodes.Node]:
        self.load()
        printed = as_in_the_paper(
            row for row in self.rows.values() if row.measured and (row.workshop or row.older)
        )
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
        failing = [row for row in printed if row.score and row.score.verdict == "fails"]
        found: list[nodes.Node] = [nodes.paragraph("", total + ".")]
        if failing:
            found.append(self.failing(failing))
        found.append(self.score_table(printed))
        if ours:
            section = headed("our-own-measurements", [nodes.Text("Our own measurements")])
            section += self.score_table(ours)
            found.append(section)
        return found

    def score_table(self, rows: list[Row]) -> nodes.table:
        cells: list[list[list[nodes.Node]]] = [
            [self.claimed(row), self.measured(row), [nodes.paragraph("", "", verdict_badge(row))]]
            for row in rows
        ]
        heads = [
            "What the paper says" if rows[0].workshop or rows[0].older else "Claim",
            "What we found",
            "Verdict",
        ]
        return table(heads, cells, (42, 42, 16), ["claim-table", "scorecard"])

    def failing(self, rows: list[Row]) -> nodes.paragraph:
        """One sentence about what fails, before the table."""
        names: list[nodes.Node | str] = [nodes.strong("", "What fails: ")]
        for k, row in enumerate(rows):
            names += [nodes.Text("; " if k else ""), self.link(f"claim-{row.label}", row.title)]
        return self.line(*names, nodes.Text("."))

    def claimed(self, row: Row) -> list[nodes.Node]:
        content = places(row)
        content.append(self.line(self.link(f"claim-{row.label}", row.title), classes=["claim-title"]))
        return content + self.text(row.score.said if row.score and row.score.said else row.statement)

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


def as_in_the_paper(rows: Iterable[Row]) -> list[Row]:
    """The rows by the workshop text's figures; one without a figure there stays with the row before it."""
    figures, last = [], 0
    for row in rows:
        found = re.match(r"Figure (\d+)", row.workshop.number) if row.workshop else None
        last = int(found[1]) if found else last
        figures.append((last, row))
    return [row for _, row in sorted(figures, key=lambda pair: pair[0])]
