"""Registry, evidence, tests and chapters agree on the claims; and each rule notices when they do not."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from claims_data import (
    Erratum,
    Place,
    Record,
    RegistryError,
    Row,
    Score,
    read_evidence,
    read_glued,
    read_registry,
    rounded,
    rows_from,
    told,
    write_evidence,
)
from claims_rules import RULES, Book, Call, Chapter, asserts_a_comparison, read_book, read_chapter
from claims_witness import Witness, complaint
from claims_words import headline, is_figure, measure, number, numbered, short, source

ROOT = Path(__file__).resolve().parents[2]
BOOK = read_book(ROOT)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_book_keeps(rule: Callable[[Book], list[str]]) -> None:
    assert rule(BOOK) == []


WORKSHOP = [
    *(f"Theorem {n}" for n in (1, 2, 3, 7, 8, 9, 11, 13)),
    *("Lemma 4", "Lemma 5", "Lemma 6", "Assumption 10", "Definition 12", "Appendix C"),
    *("Algorithm 1", "Algorithm 2", "Footnote 1", "Footnote 2"),
    *(f"Figure {n}" for n in range(1, 6)),
    *("H.1", "H.2", "I.1", "I.2", "E.1.2", "E.1.3", "E.1.4"),
]
OLDER = [
    *(f"Theorem {n}" for n in ("3.1", "3.2", "3.4", "4.1", "4.2", "A.5", "A.6", "A.7", "B.1", "B.2", "B.3")),
    *(
        "Lemma A.1",
        "Lemma A.2",
        "Lemma A.3",
        "Theorems 3.1, A.4",
        "Remark 3.3",
        "Assumption A.8",
        "Appendix A.4",
    ),
    *("Algorithm 1", "Algorithm 2", "Algorithm 3", "Footnote 1", "Footnotes 2, 3", "Footnote 5"),
    *("Figures 1, 2", *(f"Figure {n}" for n in range(3, 14))),
]


@pytest.mark.parametrize(("text", "numbers"), [("workshop", WORKSHOP), ("older", OLDER)])
def test_the_registry_lists_what_is_numbered(text: str, numbers: list[str]) -> None:
    places = [getattr(row, text) for row in BOOK.rows.values()]
    listed = "; ".join(place.number for place in places if place)
    assert [number for number in numbers if not re.search(rf"\b{re.escape(number)}(?![\w.])", listed)] == []


# A miniature book that keeps every rule, to be broken one rule at a time.

SOUND = Row(
    part="Part",
    label="thm-sound",
    title="Sound",
    statement="Two is even.",
    kind="identity",
    status="corrected",
    workshop=Place("Theorem 1", "Section 2"),
    chapter="01_first",
    errata=(
        Erratum(
            slug="two-is-even",
            title="Two",
            printed="Two is odd.",
            right="Two is even.",
            instance="Two.",
            evidence=("two-is-odd", "two-is-even"),
            kind="wrong claim",
            consequence="None.",
        ),
    ),
)
OWN = replace(SOUND, label="ours-sound", status="ours", workshop=None, errata=(), prior="Euclid.")
SCORED = replace(
    SOUND,
    label="exp-sound",
    kind="empirical",
    score=Score("holds in part", "It is {the-number}, not two.", "fig-sound", "It is two."),
)
OPEN = replace(SOUND, label="thm-open", status="scope", chapter=None, errata=())
HOLDS = Record(
    "thm-sound", "two-is-even", "tests/test_a.py::test_two", "holds", "corrected", 3, 0.0, 1e-9, "exact"
)
ON_ZOO = replace(HOLDS, evidence="two-is-even-on-structured-data", structured=True)
FAILS = replace(HOLDS, evidence="two-is-odd", kind="fails", form="printed", worst=1.0, limit=0.5)
CALLS = [Call(r.function, r.claim, r.evidence) for r in (HOLDS, ON_ZOO, FAILS)]
FIRST = Chapter(
    boxes={"thm-sound": "theorem"}, shown=frozenset({"thm-sound"}), checked=frozenset({"thm-sound"})
)
MINI = Book({"thm-sound": SOUND, "thm-open": OPEN}, [HOLDS, ON_ZOO, FAILS], CALLS, {"01_first": FIRST})
WITH_FIGURE = replace(FIRST, figures=frozenset({"fig-sound"}), glued=frozenset({"the-number"}))


def with_score(chapter: Chapter = WITH_FIGURE, **changes: Any) -> Book:
    rows = {**MINI.rows, "exp-sound": replace(SCORED, **changes)}
    return replace(MINI, rows=rows, chapters={"01_first": chapter})


def with_row(row: Row) -> Book:
    return replace(MINI, rows={**MINI.rows, row.label: row})


def with_erratum(**changes: Any) -> Book:
    """The miniature with a second erratum, which is the first one but for the changes."""
    (first,) = SOUND.errata
    return with_row(replace(SOUND, errata=(first, replace(first, slug="another", **changes))))


def with_records(*records: Record) -> Book:
    return replace(MINI, records=list(records))


def with_chapter(chapter: Chapter) -> Book:
    return replace(MINI, chapters={"01_first": chapter})


def test_the_miniature_keeps_every_rule() -> None:
    assert [complaint for rule in RULES for complaint in rule(MINI)] == []


BROKEN: list[tuple[str, Book, str]] = [
    ("covered_rows_have_a_chapter", with_row(replace(SOUND, chapter=None)), "names no chapter"),
    ("covered_rows_have_a_chapter", with_row(replace(SOUND, chapter="99_none")), "99_none"),
    ("covered_rows_have_evidence", with_records(), "no test recorded evidence"),
    ("open_rows_are_bare", with_row(replace(OPEN, chapter="01_first")), "names a chapter"),
    (
        "open_rows_are_bare",
        with_row(replace(SOUND, status="scope", chapter=None, errata=())),
        "has evidence",
    ),
    (
        "open_rows_are_bare",
        with_row(replace(SOUND, status="scope", chapter=None, errata=())),
        "has a box in 01_first",
    ),
    ("evidence_has_a_row", with_records(HOLDS, FAILS, replace(HOLDS, claim="thm-gone")), "no row thm-gone"),
    ("evidence_is_as_recorded", replace(MINI, digest_matches=False), "edited by hand"),
    ("evidence_comes_from_its_test", replace(MINI, calls=CALLS[:1]), "does not ask for it"),
    ("evidence_comes_from_its_test", with_records(HOLDS), "nothing is recorded"),
    ("evidence_comes_from_its_test", replace(MINI, calls=[*CALLS, Call("t", None, None)]), "as literals"),
    (
        "evidence_has_one_meaning",
        with_records(HOLDS, replace(HOLDS, test="t[2]", limit=1.0)),
        "2 different things",
    ),
    (
        "evidence_has_one_meaning",
        with_records(HOLDS, replace(HOLDS, test="t[2]", structured=True)),
        "2 different things",
    ),
    ("what_is_proved_is_tried_on_both_sorts_of_data", with_records(HOLDS, FAILS), "on no structured data"),
    ("what_is_proved_is_tried_on_both_sorts_of_data", with_records(ON_ZOO, FAILS), "on no random data"),
    (
        "what_is_proved_is_tried_on_both_sorts_of_data",
        with_records(HOLDS, replace(FAILS, structured=True)),
        "on no structured data",
    ),
    ("status_agrees_with_evidence", with_row(replace(SOUND, status="holds")), "contradicts"),
    ("status_agrees_with_evidence", with_row(replace(SOUND, status="ours")), "contradicts"),
    ("status_agrees_with_evidence", with_records(HOLDS), "contradicts"),
    ("status_agrees_with_evidence", with_records(FAILS), "contradicts"),
    ("errata_cite_evidence", with_records(HOLDS), "has no evidence 'two-is-odd'"),
    ("errata_cite_evidence", with_row(replace(SOUND, errata=())), "has no erratum"),
    ("errata_are_weighed", with_erratum(kind=""), "needs kind and consequence"),
    ("errata_are_weighed", with_erratum(consequence=""), "needs kind and consequence"),
    ("errata_are_weighed", with_erratum(kind="stronger"), "'ours' alone"),
    ("errata_are_weighed", with_erratum(same_as="two-is-even"), "what two-is-even says of both"),
    ("errata_are_weighed", with_erratum(same_as="gone", kind="", consequence=""), "no erratum gone"),
    ("our_results_name_prior_art", with_row(replace(OWN, prior="")), "says what was known"),
    ("our_results_name_prior_art", with_row(replace(SOUND, prior="Euclid.")), "goes with 'ours' alone"),
    ("boxes_are_registered", replace(MINI, rows={"thm-open": OPEN}), "no row in the registry"),
    ("boxes_are_registered", with_row(replace(SOUND, chapter="02_second")), "names this chapter"),
    ("boxes_are_registered", with_chapter(replace(FIRST, shown=frozenset())), "no {evidence} thm-sound"),
    (
        "boxes_are_registered",
        with_chapter(replace(FIRST, checked=frozenset())),
        "no cell tagged claim-thm-sound",
    ),
    ("boxes_are_registered", with_chapter(replace(FIRST, unlabelled=("a theorem",))), "without a label"),
    ("rows_have_their_box", with_chapter(Chapter()), "no box with this label"),
    (
        "tags_and_blocks_have_a_box",
        with_chapter(replace(FIRST, shown=frozenset({"thm-sund"}))),
        "belongs to no box",
    ),
    (
        "tags_and_blocks_have_a_box",
        with_chapter(replace(FIRST, unchecked=frozenset({"thm-sund"}))),
        "thm-sund",
    ),
    ("experiments_are_scored", with_score(score=None), "has no score"),
    ("experiments_are_scored", with_score(score=Score("fails", "{the-number}", "fig-sound")), "only there"),
    ("experiments_are_scored", with_score(FIRST), "no figure 'fig-sound'"),
    ("experiments_are_scored", with_score(replace(WITH_FIGURE, glued=frozenset())), "glues no 'the-number'"),
    (
        "experiments_are_scored",
        with_score(score=Score("fails", "Two.", "fig-sound")),
        "no number from a cell",
    ),
    ("experiments_are_scored", with_score(label="thm-x", kind="identity"), "is not about an experiment"),
    (
        "experiments_are_scored",
        with_score(status="holds", score=Score("fails", "x", "f")),
        "its verdict 'fails'",
    ),
]


@pytest.mark.parametrize(
    ("name", "book", "message"), BROKEN, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_broken_book_is_named(name: str, book: Book, message: str) -> None:
    (rule,) = (rule for rule in RULES if rule.__name__ == name)
    assert [complaint for complaint in rule(book) if message in complaint] != []


def test_an_experiment_can_be_scored_and_may_wait() -> None:
    (rule,) = (rule for rule in RULES if rule.__name__ == "experiments_are_scored")
    assert rule(with_score()) == []
    assert rule(with_score(status="scope", score=None, chapter=None)) == []


def test_what_the_scorecard_prints_is_what_the_chapter_stores() -> None:
    for row in BOOK.rows.values():
        if row.score is not None:
            glued = read_glued(ROOT / "chapters" / f"{row.chapter}.ipynb")
            assert [name for name in row.score.glued if not re.search(r"\d", glued.get(name, ""))] == [], (
                row.label
            )


def test_every_rule_is_broken_once() -> None:
    assert {name for name, _, _ in BROKEN} == {rule.__name__ for rule in RULES}


def test_errata_may_share_what_is_said_of_them() -> None:
    (rule,) = (rule for rule in RULES if rule.__name__ == "errata_are_weighed")
    assert rule(with_erratum(same_as="two-is-even", kind="", consequence="")) == []


def test_what_is_ours_may_name_prior_art() -> None:
    (rule,) = (rule for rule in RULES if rule.__name__ == "our_results_name_prior_art")
    assert rule(with_row(OWN)) == []


@pytest.mark.parametrize("status", ["refuted", "holds", "ours"])
def test_other_statuses_can_be_met(status: str) -> None:
    records = {"refuted": [FAILS], "holds": [HOLDS], "ours": [replace(HOLDS, form="ours")]}[status]
    (rule,) = (rule for rule in RULES if rule.__name__ == "status_agrees_with_evidence")
    assert rule(replace(with_row(replace(SOUND, status=status)), records=records)) == []


# The shape of the registry

RAW: dict[str, Any] = {
    "label": "thm-x",
    "title": "X",
    "statement": "x",
    "kind": "identity",
    "status": "scope",
    "workshop": {"number": "Theorem 1", "place": "Section 2"},
}

ERRATUM = {
    "slug": "s",
    "title": "X",
    "printed": "x",
    "right": "y",
    "instance": "z",
    "evidence": ["e"],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"statment": "x"}, "unknown key 'statment'"),
        ({"statement": ""}, "thm-x: no statement"),
        ({"title": None}, "thm-x: no title"),
        ({"kind": "guess"}, "kind is 'guess'"),
        ({"status": "maybe"}, "status is 'maybe'"),
        ({"workshop": None}, "no number in either text"),
        ({"workshop": {"number": "Theorem 1"}}, "needs exactly the keys number and place"),
        ({"erratum": [{"slug": "s"}]}, "an erratum needs exactly"),
        ({"erratum": [{**ERRATUM, "kind": "sin"}]}, "an erratum of kind 'sin'"),
        ({"erratum": [{**ERRATUM, "consequence": ""}]}, "none of them empty"),
        ({"score": {"verdict": "holds"}}, "a score needs exactly"),
        ({"score": {"verdict": "true", "number": "1", "figure": "f"}}, "verdict is 'true'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_misshapen_row_is_named(change: dict[str, Any], message: str) -> None:
    row = {key: value for key, value in {**RAW, **change}.items() if value is not None}
    with pytest.raises(RegistryError, match=message):
        rows_from([{"part": "P", "row": [row]}])


def test_a_row_has_all_that_its_table_says() -> None:
    table = {
        **RAW,
        "but": "x is 1",
        "erratum": [{**ERRATUM, "kind": "typographical", "consequence": "None."}],
    }
    (row,) = rows_from([{"part": "P", "row": [table]}])
    assert (row.but, row.errata[0].kind, row.errata[0].consequence) == ("x is 1", "typographical", "None.")


def test_a_repeated_label_is_named() -> None:
    with pytest.raises(RegistryError, match="label 'thm-x' stands 2 times"):
        rows_from([{"part": "P", "row": [RAW, RAW]}])


def test_our_own_results_need_no_number() -> None:
    row = {key: value for key, value in RAW.items() if key != "workshop"}
    assert [r.label for r in rows_from([{"part": "P", "row": [{**row, "label": "ours-x"}]}])] == ["ours-x"]


# Chapters

CHAPTER = """---
kernelspec:
  name: python3
  display_name: Python 3
---

# Title

```{prf:theorem} Titled
:label: thm-a
x
```

:::{prf:lemma} Without a label
y
:::

```{prf:proof}
z
```

```{evidence} thm-a
```

```{code-cell}
:tags: [claim-thm-a, hide-input]
%matplotlib inline
assert gap <= 1e-9
```

```{code-cell}
:tags: [claim-thm-b]
assert np.allclose(a, b)
```
"""


def test_a_chapter_is_read(tmp_path: Path) -> None:
    (tmp_path / "01_first.md").write_text(CHAPTER)
    assert read_chapter(tmp_path / "01_first.md") == Chapter(
        boxes={"thm-a": "theorem"},
        unlabelled=(":::{prf:lemma} Without a label",),
        shown=frozenset({"thm-a"}),
        checked=frozenset({"thm-a"}),
        unchecked=frozenset({"thm-b"}),
    )


@pytest.mark.parametrize("source", ["assert ok", "print(a < b)", "a < b", "assert np.allclose(a, b)"])
def test_what_is_no_comparison(source: str) -> None:
    assert asserts_a_comparison(source) is False


# The evidence file


def test_rounding_never_promises_too_much() -> None:
    cases = [(1.04e-3, "holds", 2e-3), (0.1, "holds", 0.1), (0.0, "holds", 0.0), (28.7, "fails", 20.0)]
    limits = {"holds": 1.0, "fails": 10.0}
    assert [rounded(value, kind, limits[kind]) for value, kind, _ in cases] == [case[2] for case in cases]


def test_rounding_does_not_seem_to_reach_the_limit() -> None:
    assert rounded(0.318, "holds", 0.4) == 0.32
    assert rounded(0.318, "holds", 0.35) == 0.32
    assert rounded(0.3991, "holds", 0.4) == 0.4  # three digits, no more
    assert rounded(0.4, "holds", 0.4) == 0.4
    assert rounded(0.99998, "fails", 0.99) == 0.999
    assert rounded(499.99, "fails", 499.0) == 499.0
    assert rounded(10.7, "fails", 10.0) == 10.7
    assert rounded(20.7, "fails", 10.0) == 20.0


def test_nothing_is_recorded_that_the_machine_decides() -> None:
    for record in BOOK.records:
        worst = 0.0 if record.worst is None else record.worst
        assert told(worst, record.kind, record.limit) == record.worst, record


@pytest.mark.parametrize("noise", [-3e-8, -1e-15, 0.0, 1e-15, 3e-8])
@pytest.mark.parametrize(("value", "kind", "limit"), [(0.5, "fails", 0.1), (1.0, "holds", 1.0000001)])
def test_what_differs_between_machines_changes_no_digit(
    value: float, kind: str, limit: float, noise: float
) -> None:
    assert told(value + noise, kind, limit) == value


def test_of_a_residual_of_rounding_only_the_tolerance_is_told() -> None:
    assert {told(value, "holds", 1e-6) for value in (0.0, 3e-16, 2e-9, 1e-6)} == {None}
    assert {told(value, "holds", 0.1) for value in (0.0, 3e-16, 1e-5)} == {None}
    assert told(0.03, "holds", 0.1) == 0.03
    assert told(3e-5, "fails", 1e-6) == 3e-5


def test_a_name_in_a_number_stands_outside_latex() -> None:
    number = r"It is {gap} % ({far-gap}), $10^{n}$, $\mathrm{sign}$, $x_{i}$, $\frac{a}{b}$, {doc}`14_x`."
    assert Score("holds", number, "fig-x").glued == ["gap", "far-gap"]


def test_an_edit_by_hand_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "evidence.json"
    write_evidence(path, [FAILS, HOLDS])
    assert read_evidence(path) == ([HOLDS, FAILS], True)
    path.write_text(path.read_text().replace('"instances": 3', '"instances": 300', 1))
    assert read_evidence(path)[1] is False


TESTS = """
import pytest

SEEN = {seen}
WHY = {why!r}

def test_count(evidence):
    count = evidence("thm-one", "count", 1e-6).because("rounding")
    for residual in SEEN["count"]:
        count.holds(residual)

def test_size(evidence):
    size = evidence("thm-one", "size", 0.1).because("a bound")
    size.holds(SEEN["size"])

def test_small(evidence):
    small = evidence("thm-one", "small", 0.1).because(WHY)
    small.holds(SEEN["small"])

def test_idle(on_zoo):
    idle = on_zoo("thm-one", "idle", 1e-6).because("rounding")
    for residual in SEEN["idle"]:
        idle.holds(residual)

@pytest.mark.parametrize("n", [1, 2])
def test_misses(evidence, n):
    misses = evidence("thm-two", "misses", at_least=0.1).because("shown")
    misses.fails(SEEN["misses"] * n)
"""
SEEN = {"count": [1e-9, 3e-9], "size": 3e-3, "small": 1e-5, "idle": [0.0], "misses": 0.5}
RECORDED = [
    ("count", "test_count", 2, None),
    ("idle", "test_idle", 1, None),
    ("size", "test_size", 1, 3e-3),
    ("small", "test_small", 1, None),
    ("misses", "test_misses[1]", 1, 0.5),
    ("misses", "test_misses[2]", 1, 1.0),
]


class Project:
    """A copy of the fixture with a test file of its own, to run pytest on."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.evidence = root / "claims" / "evidence.json"
        shutil.copytree(ROOT / "_ext", root / "_ext", ignore=shutil.ignore_patterns("__pycache__"))
        (root / "claims").mkdir()
        (root / "tests").mkdir()
        shutil.copy(ROOT / "tests" / "conftest.py", root / "tests")
        (root / "pytest.ini").write_text("[pytest]\n")

    def run(self, *options: str, why: str = "a bound", **seen: Any) -> subprocess.CompletedProcess[str]:
        (self.root / "tests" / "test_mini.py").write_text(TESTS.format(seen=str({**SEEN, **seen}), why=why))
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", *options]
        alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
        return subprocess.run(command, cwd=self.root, env=alone, capture_output=True, text=True, check=False)

    def records(self) -> list[tuple[str, str, int, float | None]]:
        records, intact = read_evidence(self.evidence)
        assert intact is True
        return [(r.evidence, r.test.rpartition("::")[2], r.instances, r.worst) for r in records]


@pytest.fixture
def recorded(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    assert project.run("--record-evidence").returncode == 0
    assert project.records() == RECORDED
    return project


def test_recorded_evidence_is_compared(recorded: Project) -> None:
    assert recorded.run().returncode == 0
    assert recorded.run(count=[1e-15, 1e-6], size=0.03, small=1e-3, misses=0.3).returncode == 0
    result = recorded.run(count=[1e-9], size=0.04, small=2e-3, idle=[], misses=0.2)
    for message in [
        "instances is 1, the book prints 2",
        "residual 0.04, the book prints 0.003",
        "residual 0.002, the book prints 0.0001",
        "thm-one/idle: no instance was counted",
        "violation 0.2, the book prints 0.5",
        "violation 0.4, the book prints 1.0",
    ]:
        assert message in result.stdout
    assert result.returncode == 1
    assert "thm-one/small: say why" in recorded.run(why=" ").stdout
    assert recorded.records() == RECORDED
    assert [r.structured for r in read_evidence(recorded.evidence)[0][:2]] == [False, True]


def test_recording_keeps_and_drops(recorded: Project) -> None:
    """What did not run stays, what no longer exists goes, what failed is not recorded."""
    again = ("count", "test_count", 1, None)
    recorded.run("--record-evidence", "-k", "test_count", count=[2e-9], size=0.09)
    assert recorded.records() == [again, *RECORDED[1:]]
    recorded.run("--record-evidence", "--deselect", "tests/test_mini.py::test_misses[2]", count=[2e-9])
    assert recorded.records() == [again, *RECORDED[1:]]
    recorded.run("--record-evidence", size=1.0, count=[2e-9])
    assert recorded.records() == [again, *RECORDED[1:]]
    recorded.run("--record-evidence", misses=0.06, count=[2e-9])
    assert recorded.records() == [again, *RECORDED[1:5], ("misses", "test_misses[2]", 1, 0.12)]
    records, _ = read_evidence(recorded.evidence)
    gone = [
        replace(records[0], test="tests/test_mini.py::test_gone"),
        replace(records[5], test=records[5].function + "[9]"),
    ]
    write_evidence(recorded.evidence, [*records, *gone])
    recorded.run("--record-evidence", "-p", "xdist", "-n", "2")
    assert recorded.records() == RECORDED


def test_evidence_has_to_be_opened_rightly() -> None:
    with pytest.raises(TypeError, match="either tolerance"):
        Witness("c", "e", test="t")
    with pytest.raises(ValueError, match="form is 'guess'"):
        Witness("c", "e", 1.0, test="t", form="guess")
    with pytest.raises(ValueError, match="least violation"):
        Witness("c", "e", test="t", at_least=0.0)
    with pytest.raises(TypeError, match="call holds"):
        Witness("c", "e", 1.0, test="t").fails(2.0)


@pytest.mark.parametrize(
    ("claim", "options", "form"),
    [
        ("thm-x", {"tolerance": 1.0}, "corrected"),
        ("ours-x", {"tolerance": 1.0}, "ours"),
        ("ours-x", {"at_least": 1.0}, "printed"),
        ("ours-x", {"at_least": 1.0, "form": "ours"}, "ours"),
    ],
)
def test_the_form_that_is_meant(claim: str, options: dict[str, Any], form: str) -> None:
    assert Witness(claim, "e", test="t", **options).form == form


@pytest.mark.parametrize("residual", [2.0, math.inf, math.nan, -0.5])
def test_what_does_not_hold(residual: float) -> None:
    with pytest.raises(AssertionError):
        Witness("c", "e", 1.0, test="t").holds(residual)


@pytest.mark.parametrize("violation", [0.5, math.inf, math.nan, -2.0])
def test_what_does_not_fail(violation: float) -> None:
    with pytest.raises(AssertionError):
        Witness("c", "e", test="t", at_least=1.0).fails(violation)


def test_the_registry_reads_in_the_order_of_its_files() -> None:
    labels = [row.label for row in read_registry(ROOT / "claims")]
    assert labels[0] == "eq-hyvarinen"
    assert labels == list(BOOK.rows)


# The words that the pages use


def test_the_headline_tells_residuals_before_other_measures() -> None:
    ratio = replace(
        HOLDS, evidence="ratio", instances=6, worst=0.9, limit=1.0, what="optimum / best trained loss"
    )
    coarse = replace(HOLDS, evidence="coarse", worst=None, limit=0.1)
    assert headline([HOLDS, ON_ZOO]) == "6 instances, residuals at most 0"
    assert headline([replace(HOLDS, worst=None), ratio]) == "9 instances, residuals at most 10⁻⁹"
    assert headline([coarse]) == "3 instances, residuals at most 0.0001"  # a thousandth of its tolerance
    assert headline([ratio]) == "6 instances, optimum / best trained loss at most 0.9"
    assert headline([replace(HOLDS, instances=1, worst=0.3), FAILS]) == (
        "1 instance, residuals at most 0.3; the paper's form fails on 3"
    )
    assert headline([FAILS]) == "the paper's form fails on 3"
    assert headline([]) == "no evidence"


def test_one_check_tells_what_it_measured() -> None:
    ratio = replace(HOLDS, worst=0.9, limit=1.0, what="optimum / best trained loss")
    assert measure([replace(HOLDS, worst=None)]) == "residual at most 10⁻⁹"
    assert measure([ratio, replace(ratio, worst=0.8)]) == "optimum / best trained loss at most 0.9, allowed 1"
    assert measure([FAILS, replace(FAILS, worst=2.0)]) == "the paper's form fails by at least 1"
    assert measure([replace(FAILS, form="ours")]) == "it fails by at least 1"
    assert measure([replace(FAILS, what="loss / optimum")]) == "loss / optimum at least 1"


def test_a_number_of_the_paper_without_its_displays() -> None:
    shown = {
        "Theorem 1, (4), (7)": "Theorem 1",
        "Theorems 3.1, A.4, (14)-(17)": "Theorems 3.1, A.4",
        "Figure 2, plot 1; H.1": "Figure 2, plot 1",
        "Theorem 13, first part": "Theorem 13, first part",
        "(2), (3)": "(2), (3)",
        "after (8)": "after (8)",
    }
    assert {number: short(Place(number, "Section 2")) for number in shown} == shown


def test_both_texts_are_named() -> None:
    older = Place("Theorem 3.1, (4)", "Section 3")
    assert source(SOUND) == "Theorem 1"
    assert source(replace(SOUND, older=older)) == "Theorem 1; older text: Theorem 3.1"
    assert source(replace(SOUND, workshop=None, older=older)) == "older text: Theorem 3.1"


def test_what_the_paper_numbers_comes_in_its_order() -> None:
    places = {
        "a": ("Theorem 11, (28)", "Theorem 4.1"),
        "b": ("Theorem 2", None),
        "c": ("Algorithm 1", "Algorithm 1"),
        "d": ("Figure 3; H.2", None),
        "e": ("remark after (18)", "Remark 3.3"),
        "f": (None, "Theorem B.1, (32)"),
        "g": (None, "Figure 12"),
        "h": (None, "Figure 6"),
        "i": ("after (8)", None),
        "j": ("Lemma 4", "Lemma A.1"),
    }
    rows = [
        replace(SOUND, label=label, **{text: Place(at, "Section 2") if at else None for text, at in texts})
        for label, (workshop, older) in places.items()
        for texts in [(("workshop", workshop), ("older", older))]
    ]
    assert [row.label for row in numbered(rows)] == ["b", "j", "a", "c", "d", "e", "f", "h", "g"]
    assert [row.label for row in rows if is_figure(row)] == ["d", "g", "h"]


def test_numbers_read_as_people_write_them() -> None:
    assert [number(value) for value in (3e-8, 1e-6, 0.02, 12.0)] == ["3·10⁻⁸", "10⁻⁶", "0.02", "12"]


def test_what_was_measured_is_recorded_where_it_is_no_residual(tmp_path: Path) -> None:
    path = tmp_path / "evidence.json"
    ratio = replace(HOLDS, evidence="ratio", what="optimum / best trained loss")
    write_evidence(path, [HOLDS, ratio])
    assert path.read_text().count('"what"') == 1
    assert read_evidence(path) == ([ratio, HOLDS], True)
    witness = Witness("c", "e", 1.0, test="t", what="a ratio")
    witness.because("an inequality").holds(0.5)
    assert (witness.record().what, complaint(witness.record(), witness.record())) == ("a ratio", None)
    assert "what is 'a ratio'" in str(complaint(witness.record(), replace(witness.record(), what="")))
