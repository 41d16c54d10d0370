"""The rules that tie the registry, the evidence, the tests and the chapters together.

Each rule takes a `Book` and returns its complaints, one sentence each; an empty list means that the
rule is kept.  ``tests/book/test_claims.py`` applies all of them, and breaks each one on purpose.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from claims_data import Record, Row, read_evidence, read_registry

# Boxes that state something to be believed; the others need evidence only once the registry names them.
STATEMENTS = {
    "theorem",
    "lemma",
    "proposition",
    "corollary",
    "algorithm",
    "assumption",
    "conjecture",
    "criterion",
}
# Boxes that are proved, or said to be: a hypothesis may be missing, and random data would not show it.
PROVED = {"theorem", "lemma", "proposition", "corollary"}
# Which verdicts on an experiment go with which status of its claim.
POSSIBLE = {
    "holds": ("holds", "holds in part"),
    "corrected": ("holds in part", "fails"),
    "refuted": ("fails",),
    "ours": ("holds",),
}
FENCE = r"^[ \t]*(?:`{3,}|:{3,})"
OPTION = r"[ \t]*:[a-z]+:[^\n]*\n"
BOX = re.compile(FENCE + rf"\{{prf:(?P<kind>(?!proof)[a-z]+)\}}[^\n]*\n(?P<options>(?:{OPTION})*)", re.M)
BOX_LABEL = re.compile(r"^[ \t]*:label:[ \t]*(\S+)", re.M)
FIXTURES = {"evidence", "on_zoo"}  # that open evidence, see tests/conftest.py
GLUE = re.compile(r"""\bglue\(\s*["']([\w-]+)["']""")
SHOWN = re.compile(FENCE + r"\{evidence\}[ \t]+(\S+)", re.M)


@dataclass(frozen=True)
class Call:
    """One ``evidence("claim", "name", ...)`` in a test function; None where it is not a literal."""

    function: str
    claim: str | None
    evidence: str | None


@dataclass(frozen=True)
class Chapter:
    """What a chapter says about claims: its boxes (label -> kind), evidence blocks and checking cells.

    And what the scorecard takes from it: the names of its figures and of the numbers that it glues.
    """

    boxes: dict[str, str] = field(default_factory=dict)
    unlabelled: tuple[str, ...] = ()
    shown: frozenset[str] = frozenset()
    figures: frozenset[str] = frozenset()
    glued: frozenset[str] = frozenset()
    checked: frozenset[str] = frozenset()
    unchecked: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Book:
    rows: dict[str, Row]
    records: list[Record]
    calls: list[Call]
    chapters: dict[str, Chapter]
    digest_matches: bool = True

    def records_of(self, label: str) -> list[Record]:
        return [r for r in self.records if r.claim == label]


def read_book(root: Path) -> Book:
    records, digest_matches = read_evidence(root / "claims" / "evidence.json")
    return Book(
        rows={row.label: row for row in read_registry(root / "claims")},
        records=records,
        calls=list(evidence_calls(root / "tests")),
        chapters={path.stem: read_chapter(path) for path in sorted((root / "chapters").glob("*.md"))},
        digest_matches=digest_matches,
    )


def evidence_calls(tests: Path) -> Iterator[Call]:
    """Every call in ``tests``, with the test function that it stands in."""
    for path in sorted(tests.rglob("test_*.py")):
        where = path.relative_to(tests.parent).as_posix()
        yield from _calls(ast.parse(path.read_text(encoding="utf-8")), where)


def _calls(node: ast.AST, where: str) -> Iterator[Call]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call) and isinstance(child.func, ast.Name) and child.func.id in FIXTURES:
            claim, name, *_ = *map(_literal, child.args), None, None
            yield Call(where, claim, name)
        inside = f"{where}::{child.name}" if isinstance(child, ast.FunctionDef | ast.ClassDef) else where
        yield from _calls(child, inside)


def _literal(argument: ast.expr) -> str | None:
    is_text = isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    return ast.literal_eval(argument) if is_text else None


def read_chapter(path: Path) -> Chapter:
    import jupytext  # the book's own build reads notebooks and does without it

    cells = jupytext.read(path).cells
    text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown") + "\n"
    boxes, unlabelled = {}, []
    for box in BOX.finditer(text):
        label = BOX_LABEL.search(box["options"])
        if label:
            boxes[label[1]] = box["kind"]
        elif box["kind"] in STATEMENTS:
            unlabelled.append(box[0].splitlines()[0].strip())
    asserted: dict[str, bool] = {}
    for cell in cells:
        for tag in cell.metadata.get("tags", []) if cell.cell_type == "code" else []:
            if tag.startswith("claim-"):
                label = tag.removeprefix("claim-")
                asserted[label] = asserted.get(label, False) or asserts_a_comparison(cell.source)
    return Chapter(
        boxes=boxes,
        unlabelled=tuple(unlabelled),
        shown=frozenset(SHOWN.findall(text)),
        figures=frozenset(_figures(cells)),
        glued=frozenset(
            name for cell in cells if cell.cell_type == "code" for name in GLUE.findall(cell.source)
        ),
        checked=frozenset(label for label, found in asserted.items() if found),
        unchecked=frozenset(label for label, found in asserted.items() if not found),
    )


def _figures(cells: Iterable[Any]) -> Iterator[str]:
    for cell in cells:
        name = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
        if name:
            yield name


def asserts_a_comparison(source: str) -> bool:
    python = "\n".join(line for line in source.splitlines() if not line.lstrip().startswith(("%", "!")))
    asserts = (node for node in ast.walk(ast.parse(python)) if isinstance(node, ast.Assert))
    return any(isinstance(part, ast.Compare) for found in asserts for part in ast.walk(found.test))


def covered_rows_have_a_chapter(book: Book) -> list[str]:
    return [
        f"{row.label} is {row.status!r} but names no chapter that exists (chapter = {row.chapter!r})"
        for row in book.rows.values()
        if row.covered and row.chapter not in book.chapters
    ]


def covered_rows_have_evidence(book: Book) -> list[str]:
    return [
        f"{row.label} is {row.status!r} but no test recorded evidence for it"
        for row in book.rows.values()
        if row.covered and not book.records_of(row.label)
    ]


def open_rows_are_bare(book: Book) -> list[str]:
    found = []
    for row in book.rows.values():
        if row.covered:
            continue
        if row.chapter or row.errata:
            found.append(f"{row.label} is 'scope' but names a chapter or an erratum")
        if book.records_of(row.label):
            found.append(f"{row.label} is 'scope' but has evidence")
        found += [
            f"{row.label} is 'scope' but has a box in {stem}"
            for stem, chapter in book.chapters.items()
            if row.label in chapter.boxes
        ]
    return found


def evidence_has_a_row(book: Book) -> list[str]:
    return [
        f"{r.claim}/{r.evidence}: the registry has no row {r.claim}"
        for r in book.records
        if r.claim not in book.rows
    ]


def evidence_is_as_recorded(book: Book) -> list[str]:
    return (
        []
        if book.digest_matches
        else ["claims/evidence.json was edited by hand: run pytest tests --record-evidence"]
    )


def evidence_comes_from_its_test(book: Book) -> list[str]:
    """Every record has its call in its test, every call has its record."""
    found = [
        f"{c.function}: evidence(...) needs its label and id as literals"
        for c in book.calls
        if c.evidence is None
    ]
    calls = {(c.claim, c.evidence, c.function) for c in book.calls if c.evidence is not None}
    recorded = {(r.claim, r.evidence, r.function) for r in book.records}
    found += [f"{c}/{e}: recorded, but {f} does not ask for it" for c, e, f in sorted(recorded - calls)]
    found += [f"{c}/{e}: {f} asks for it, but nothing is recorded" for c, e, f in sorted(calls - recorded)]
    return found


def evidence_has_one_meaning(book: Book) -> list[str]:
    """The records under one name are cases of one test and agree on all but the case and what it saw."""
    meanings: dict[tuple[str, str], set[tuple[object, ...]]] = {}
    for r in book.records:
        meaning = (r.function, r.kind, r.form, r.structured, r.limit, r.why, r.what)
        meanings.setdefault((r.claim, r.evidence), set()).add(meaning)
    return [f"{c}/{e}: stands for {len(m)} different things" for (c, e), m in meanings.items() if len(m) > 1]


def what_is_proved_is_tried_on_both_sorts_of_data(book: Book) -> list[str]:
    """Random data for what is typical, structured data for what a missing hypothesis would let through."""
    found = []
    for stem, chapter in book.chapters.items():
        for label, kind in chapter.boxes.items():
            if kind not in PROVED or not book.records_of(label):
                continue
            sorts = {r.structured for r in book.records_of(label) if r.kind == "holds"}
            found += [
                f"{stem}: the {kind} {label} was seen to hold on no {words} data"
                for structured, words in ((False, "random"), (True, "structured"))
                if structured not in sorts
            ]
    return found


def status_agrees_with_evidence(book: Book) -> list[str]:
    found = []
    for row in book.rows.values():
        seen = {(r.kind, r.form) for r in book.records_of(row.label)}
        if not (row.covered and seen):
            continue
        printed_fails = ("fails", "printed") in seen
        holds = any(kind == "holds" for kind, _ in seen)
        mended = ("holds", "corrected") in seen or ("holds", "ours") in seen
        agrees = {
            "holds": holds and not printed_fails,
            "corrected": mended and printed_fails,
            "refuted": printed_fails,
            "ours": ("holds", "ours") in seen,
        }
        if not agrees[row.status]:
            shown = ", ".join(f"{kind} ({form})" for kind, form in sorted(seen))
            found.append(f"{row.label} is {row.status!r}, which its evidence contradicts: {shown}")
    return found


def errata_cite_evidence(book: Book) -> list[str]:
    found = []
    for row in book.rows.values():
        known = {r.evidence for r in book.records_of(row.label)}
        for erratum in row.errata:
            missing = sorted(set(erratum.evidence) - known)
            found += [f"erratum {erratum.slug}: {row.label} has no evidence {name!r}" for name in missing]
        if row.status in ("corrected", "refuted") and not row.errata:
            found.append(f"{row.label} is {row.status!r} but has no erratum")
    return found


def errata_are_weighed(book: Book) -> list[str]:
    """Each erratum says of what kind it is and what follows, or of which other one it is a second case."""
    found = []
    entries = [(row, erratum) for row in book.rows.values() for erratum in row.errata]
    leaders = {erratum.slug for _, erratum in entries if not erratum.same_as}
    for row, erratum in entries:
        if erratum.same_as:
            if erratum.kind or erratum.consequence:
                found.append(f"erratum {erratum.slug}: what {erratum.same_as} says of both stands here too")
            if erratum.same_as not in leaders:
                found.append(f"erratum {erratum.slug}: there is no erratum {erratum.same_as} to go with")
            continue
        if not erratum.kind or not erratum.consequence:
            found.append(f"erratum {erratum.slug}: needs kind and consequence, or same_as")
        if (erratum.kind == "stronger") != (row.status == "ours"):
            found.append(f"erratum {erratum.slug}: the kind 'stronger' is for rows with status 'ours' alone")
    return found


def our_results_name_prior_art(book: Book) -> list[str]:
    """Whoever calls a result his own says what was known before."""
    return [
        f"{row.label}: prior says what was known, and it goes with 'ours' alone"
        for row in book.rows.values()
        if bool(row.prior) != (row.status == "ours")
    ]


def boxes_are_registered(book: Book) -> list[str]:
    found = []
    for stem, chapter in book.chapters.items():
        found += [f"{stem}: a box without a label: {title}" for title in chapter.unlabelled]
        for label, kind in chapter.boxes.items():
            row = book.rows.get(label)
            if row is None and kind not in STATEMENTS:
                continue
            if row is None or row.chapter != stem:
                found.append(f"{stem}: the box {label} has no row in the registry that names this chapter")
            if label not in chapter.shown:
                found.append(f"{stem}: the box {label} has no {{evidence}} {label} in this chapter")
            if label not in chapter.checked:
                found.append(
                    f"{stem}: the box {label} has no cell tagged claim-{label} that asserts a comparison"
                )
    return found


def rows_have_their_box(book: Book) -> list[str]:
    return [
        f"{row.label}: {row.chapter} has no box with this label"
        for row in book.rows.values()
        if row.covered and row.chapter in book.chapters and row.label not in book.chapters[row.chapter].boxes
    ]


def tags_and_blocks_have_a_box(book: Book) -> list[str]:
    """A tag or an evidence block that belongs to no box is a misspelling."""
    found = []
    for stem, chapter in book.chapters.items():
        for label in sorted(chapter.checked | chapter.unchecked | chapter.shown):
            if label not in chapter.boxes:
                found.append(
                    f"{stem}: claim-{label} or {{evidence}} {label} belongs to no box of this chapter"
                )
    return found


def experiments_are_scored(book: Book) -> list[str]:
    """What the paper says about an experiment has a verdict, a number that a cell computed, and a figure."""
    found = []
    for row in book.rows.values():
        if row.score is None:
            if row.measured and row.covered and (row.workshop or row.older):
                found.append(f"{row.label} is about an experiment, but has no score")
            continue
        chapter = book.chapters.get(row.chapter or "", Chapter())
        if row.score.figure not in chapter.figures:
            found.append(f"{row.label}: its chapter has no figure {row.score.figure!r}")
        if (row.status == "corrected") != bool(row.score.said):
            found.append(
                f"{row.label}: a score says what the paper says where the row is corrected, and only there"
            )
        if not row.score.glued:
            found.append(f"{row.label}: its score has no number from a cell")
        found += [
            f"{row.label}: its chapter glues no {name!r}"
            for name in row.score.glued
            if name not in chapter.glued
        ]
        if not row.measured:
            found.append(f"{row.label} has a score, but is not about an experiment")
        if row.score.verdict not in POSSIBLE.get(row.status, ()):
            found.append(f"{row.label} is {row.status!r}, and its verdict {row.score.verdict!r}")
    return found


RULES: tuple[Callable[[Book], Iterable[str]], ...] = (
    covered_rows_have_a_chapter,
    covered_rows_have_evidence,
    open_rows_are_bare,
    evidence_has_a_row,
    evidence_is_as_recorded,
    evidence_comes_from_its_test,
    evidence_has_one_meaning,
    what_is_proved_is_tried_on_both_sorts_of_data,
    status_agrees_with_evidence,
    errata_cite_evidence,
    errata_are_weighed,
    our_results_name_prior_art,
    boxes_are_registered,
    rows_have_their_box,
    tags_and_blocks_have_a_box,
    experiments_are_scored,
)
