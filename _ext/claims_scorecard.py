"""The directive ``{scorecard}``: every claim about an experiment, with verdict, our number and our figure."""

from __future__ import annotations

from pathlib import Path

from claims_data import GLUED, VERDICTS, Row, read_glued
from claims_directive import ClaimsDirective
from claims_nodes import headed, table, verdict_badge
from claims_words import numbered, source
from docutils import nodes

# How a count of each verdict reads.
WORDS = {"holds": "hold", "holds in part": "hold in part", "fails": "fail"}


class Scorecard(ClaimsDirective):
    def run(self) -> list[nodes.Node]:
        self.load()
        said = [row for row in self.rows.values() if row.measured and (row.workshop or row.older)]
        ordered = numbered(said)
        ordered += [row for row in said if row not in ordered]
        ours = [row for row in self.rows.values() if row.measured and row not in said and row.score]
        found: list[nodes.Node] = [self.total(ordered), self.score_table(ordered)]
        if ours:
            section = headed("our-own-measurements", [nodes.Text("Our own measurements")])
            section += self.score_table(ours)
            found.append(section)
        return found

    def total(self, rows: list[Row]) -> nodes.paragraph:
        """How many claims got which verdict, and which ones fail."""
        verdicts = [row.score.verdict for row in rows if row.score]
        counts = ", ".join(f"{verdicts.count(verdict)} {WORDS[verdict]}" for verdict in VERDICTS)
        line: list[nodes.Node | str] = [nodes.Text(f"{len(rows)} claims: {counts}.")]
        for row in rows:
            if row.score and row.score.verdict == "fails":
                line += [
                    nodes.Text(f" What fails: {source(row)}: "),
                    self.link(f"claim-{row.label}", row.title),
                ]
                line.append(nodes.Text("."))
        return self.line(*line)

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

    def claimed(self, row: Row) -> list[nodes.Node]:
        where = [nodes.Text(f"{source(row)}: ")] if source(row) else []
        title = self.line(*where, self.link(f"claim-{row.label}", row.title), classes=["claim-title"])
        return [title, *self.text(row.score.said if row.score and row.score.said else row.statement)]

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
