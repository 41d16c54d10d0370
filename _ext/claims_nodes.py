"""The nodes that the claims, errata and evidence blocks are built of."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from claims_data import Place, Row
from docutils import nodes
from sphinx.application import Sphinx


class fold(nodes.General, nodes.Element):
    """What a click on its first child, a `fold_line`, opens, without JavaScript."""


class fold_line(nodes.General, nodes.TextElement):
    """The line of a `fold` that is always seen."""


def visit_fold(self: Any, node: fold) -> None:
    self.body.append(self.starttag(node, "details", CLASS="claim-fold"))


def depart_fold(self: Any, node: fold) -> None:
    self.body.append("</details>\n")


def visit_fold_line(self: Any, node: fold_line) -> None:
    self.body.append(self.starttag(node, "summary", ""))


def depart_fold_line(self: Any, node: fold_line) -> None:
    self.body.append("</summary>\n")


def folded(line: str | Iterable[nodes.Node], *content: nodes.Node, classes: Iterable[str] = ()) -> fold:
    seen = [nodes.Text(line)] if isinstance(line, str) else line
    return fold("", fold_line("", "", *seen), *content, classes=list(classes))


def breakable(name: str) -> nodes.literal:
    """Code that may go on in the next line after any of its words, so that no word breaks."""
    words = re.split(r"(?<=[_/:])(?![_/:])", name)
    pieces: list[nodes.Node] = []
    for word in words:
        pieces += [nodes.raw("", "<wbr>", format="html"), nodes.Text(word)]
    return nodes.literal("", "", *pieces[1:])


def slug(status: str) -> str:
    return status.replace(" ", "-")


def badge(status: str, text: str = "") -> nodes.inline:
    return nodes.inline("", text or status, classes=["claim-badge", f"claim-badge-{slug(status)}"])


def verdict_badge(row: Row) -> nodes.inline:
    """The verdict on an experiment, in the colours of the statuses."""
    verdict = row.score.verdict if row.score else "scope"
    colours = {"holds in part": "corrected", "fails": "refuted"}
    return badge(colours.get(verdict, verdict), verdict)


def standing_badge(row: Row) -> nodes.inline:
    """The badge of a claim; a definition is neither true nor false, so that its badge says what was done."""
    defined = row.kind == "definition" and row.status == "holds"
    word = "checked" if defined else row.status
    return badge(row.status, f"{word}, but {row.but}" if row.but else word)


def places(row: Row) -> list[nodes.Node]:
    """One line for each of the two texts that has the claim."""
    texts = (("workshop text", row.workshop), ("older text", row.older))
    return [place(name, at) for name, at in texts if at]


def place(text_name: str, at: Place) -> nodes.paragraph:
    """Number and place in one of the texts; once only where one of them names the other."""
    name = nodes.inline("", f"{text_name}: ", classes=["claim-text-name"])
    number = at.place if at.number in at.place else at.number
    where = [] if at.place in number else [nodes.Text(f" ({at.place})")]
    return nodes.paragraph("", "", name, nodes.strong("", number), *where)


def headed(name: str, title: Iterable[nodes.Node]) -> nodes.section:
    return nodes.section("", nodes.title("", "", *title), ids=[name], names=[name])


def table(
    heads: list[str], body: list[list[list[nodes.Node]]], widths: Iterable[int], classes: list[str]
) -> nodes.table:
    group = nodes.tgroup("", *[nodes.colspec(colwidth=width) for width in widths], cols=len(heads))
    head = nodes.row("", *[nodes.entry("", nodes.paragraph("", text)) for text in heads])
    group += nodes.thead("", head)
    group += nodes.tbody("", *[nodes.row("", *[nodes.entry("", *cell) for cell in row]) for row in body])
    return nodes.table("", group, classes=[*classes, "colwidths-given"])


def add_nodes(app: Sphinx) -> None:
    app.add_node(fold, html=(visit_fold, depart_fold))
    app.add_node(fold_line, html=(visit_fold_line, depart_fold_line))
