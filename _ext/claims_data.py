"""The registry of claims and the recorded evidence: what they hold, how they are read and written.

Knows nothing of Sphinx, pytest, the chapters or the library.  The book's extension, the test
fixture and the rules all read from here.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from decimal import ROUND_DOWN, ROUND_UP, Context, Decimal
from pathlib import Path
from typing import Any

KINDS = (
    "identity",
    "equivalence",
    "inequality",
    "asymptotic",
    "empirical",
    "figure",
    "algorithm",
    "definition",
    "remark",
)
STATUSES = ("holds", "corrected", "refuted", "ours", "scope")
FORMS = ("printed", "corrected", "ours")
EVIDENCE_KINDS = ("holds", "fails")
NUMBER_KEYS = {"number", "place"}
ROW_KEYS = {"label", "title", "statement", "workshop", "older", "kind", "status"}
OPTIONAL_ROW_KEYS = {"workshop", "older", "chapter", "erratum", "score", "but", "prior"}
VERDICTS = ("holds", "holds in part", "fails")
SCORE_KEYS = {"verdict", "number", "figure"}
# In a score's number, {name} stands for what the row's chapter glues under that name.
# Not so the braces of a LaTeX macro, an exponent or a role.
GLUED = re.compile(r"(?<![\w\\^}])\{([a-z][a-z0-9_-]*)\}(?!`)")
# Tolerances up to FINE are those of rounding and of solvers; coarser ones are about the claim itself.
FINE = 1e-4
NEGLIGIBLE = 1e-3
ERRATUM_KEYS = {"slug", "title", "printed", "right", "instance", "evidence"}
OPTIONAL_ERRATUM_KEYS = {"kind", "consequence", "same_as"}
# What is wrong, the serious first; the last is no error: the paper says less than is true.
ERRATUM_KINDS = (
    "wrong claim",
    "wrong formula",
    "experiment",
    "missing condition",
    "typographical",
    "stronger",
)


class RegistryError(ValueError):
    """The registry is not of the agreed shape; the message lists every complaint."""


@dataclass(frozen=True)
class Place:
    """Where a statement stands in one of the two texts."""

    number: str
    place: str


@dataclass(frozen=True)
class Erratum:
    """One printed form that fails, the form that holds, and the evidence for both.

    ``consequence``: what follows for a reader who relies on the printed form, in one short sentence.
    ``same_as``: the slug of an erratum of the same sort, with which this one shares kind and consequence.
    """

    slug: str
    title: str
    printed: str
    right: str
    instance: str
    evidence: tuple[str, ...]
    kind: str = ""
    consequence: str = ""
    same_as: str = ""


@dataclass(frozen=True)
class Score:
    """Our verdict on an experiment: the number that decides, as a sentence, and the figure that shows it.

    ``said`` is what the paper says, where the row states a corrected form.
    """

    verdict: str
    number: str
    figure: str
    said: str = ""

    @property
    def glued(self) -> list[str]:
        """Names of the numbers that the chapter has to glue."""
        return GLUED.findall(self.number)


@dataclass(frozen=True)
class Row:
    """One claim of the paper, or one of our own.

    ``but``: what the status alone would hide, as in "holds, but both sides are −∞".
    ``prior``: of a result of our own, what was known before, and what is new.
    """

    part: str
    label: str
    title: str
    statement: str
    kind: str
    status: str
    workshop: Place | None = None
    older: Place | None = None
    chapter: str | None = None
    errata: tuple[Erratum, ...] = ()
    score: Score | None = None
    but: str = ""
    prior: str = ""

    @property
    def measured(self) -> bool:
        """Whether this is a claim about an experiment or a figure, and so may stand in the scorecard."""
        return self.kind in ("empirical", "figure") or self.label.startswith(("exp-", "emp-"))

    @property
    def covered(self) -> bool:
        return self.status != "scope"


@dataclass(frozen=True)
class Record:
    """What one test saw of one claim.

    ``holds``: ``worst`` is the largest residual and ``limit`` the tolerance it has to meet.
    ``fails``: ``worst`` is the smallest violation and ``limit`` what it has to reach.
    A residual of which only the tolerance is told (see `told`) is None.
    ``structured``: the instances are data chosen for what is special about them, not random ones.
    ``what``: what was measured, where it is no residual but, say, a ratio.
    """

    claim: str
    evidence: str
    test: str
    kind: str
    form: str
    instances: int
    worst: float | None
    limit: float
    why: str
    structured: bool = False
    what: str = ""

    @property
    def bound(self) -> float:
        """What no residual exceeds, or what every violation reaches, as far as it is told."""
        if self.worst is not None:
            return self.worst
        return self.limit if self.limit <= FINE else NEGLIGIBLE * self.limit

    @property
    def function(self) -> str:
        """The test's name without the case of a parametrised test."""
        return self.test.partition("[")[0]

    @property
    def words(self) -> str:
        return self.evidence.replace("-", " ")


def read_registry(folder: Path) -> list[Row]:
    """All rows of ``folder/*.toml``, in the order of the files."""
    tables = [tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.toml"))]
    return rows_from(tables)


def rows_from(tables: list[dict[str, Any]]) -> list[Row]:
    """Rows out of parsed TOML files, each with a ``part`` (its heading) and an array ``row``."""
    complaints: list[str] = []
    for table in tables:
        if set(table) != {"part", "row"}:
            complaints.append(
                f"a registry file needs exactly 'part' and [[row]], this one has {sorted(table)}"
            )
    raw = [(table.get("part", ""), row) for table in tables for row in table.get("row", [])]
    for _, row in raw:
        complaints += _row_complaints(row)
    complaints += _repeated("label", [row.get("label") for _, row in raw])
    complaints += _repeated("slug", [e.get("slug") for _, row in raw for e in row.get("erratum", [])])
    if complaints:
        raise RegistryError("\n".join(complaints))
    return [_row(part, row) for part, row in raw]


def _row(part: str, raw: dict[str, Any]) -> Row:
    return Row(
        part=part,
        label=raw["label"],
        title=raw["title"],
        statement=raw["statement"].strip(),
        kind=raw["kind"],
        status=raw["status"],
        workshop=Place(**raw["workshop"]) if "workshop" in raw else None,
        older=Place(**raw["older"]) if "older" in raw else None,
        chapter=raw.get("chapter"),
        score=Score(**{k: v.strip() for k, v in raw["score"].items()}) if "score" in raw else None,
        but=raw.get("but", ""),
        prior=raw.get("prior", "").strip(),
        errata=tuple(Erratum(**{**e, "evidence": tuple(e["evidence"])}) for e in raw.get("erratum", [])),
    )


def _row_complaints(row: dict[str, Any]) -> list[str]:
    name = row.get("label", "a row without a label")
    found = [f"{name}: unknown key {key!r}" for key in sorted(set(row) - ROW_KEYS - OPTIONAL_ROW_KEYS)]
    found += [f"{name}: no {key}" for key in sorted(ROW_KEYS - OPTIONAL_ROW_KEYS) if not row.get(key)]
    for key, allowed in (("kind", KINDS), ("status", STATUSES)):
        if key in row and row[key] not in allowed:
            found.append(f"{name}: {key} is {row[key]!r}, allowed are {', '.join(allowed)}")
    for text in ("workshop", "older"):
        if text in row and set(row[text]) != NUMBER_KEYS:
            found.append(f"{name}: {text} needs exactly the keys number and place")
    is_ours = row.get("status") == "ours" or str(name).startswith("ours-")
    if not is_ours and "workshop" not in row and "older" not in row:
        found.append(f"{name}: no number in either text")
    score = row.get("score")
    if score is not None and (set(score) - {"said"} != SCORE_KEYS or not all(score.values())):
        found.append(
            f"{name}: a score needs exactly {', '.join(sorted(SCORE_KEYS))}, perhaps said, none of them empty"
        )
    elif score is not None and score["verdict"] not in VERDICTS:
        found.append(f"{name}: verdict is {score['verdict']!r}, allowed are {', '.join(VERDICTS)}")
    for erratum in row.get("erratum", []):
        found += _erratum_complaints(name, erratum)
    return found


def _erratum_complaints(name: str, erratum: dict[str, Any]) -> list[str]:
    found = []
    if set(erratum) - OPTIONAL_ERRATUM_KEYS != ERRATUM_KEYS or not all(erratum.values()):
        found.append(
            f"{name}: an erratum needs exactly {', '.join(sorted(ERRATUM_KEYS))}, "
            f"perhaps {', '.join(sorted(OPTIONAL_ERRATUM_KEYS))}, none of them empty"
        )
    if erratum.get("kind", ERRATUM_KINDS[0]) not in ERRATUM_KINDS:
        found.append(
            f"{name}: an erratum of kind {erratum['kind']!r}, allowed are {', '.join(ERRATUM_KINDS)}"
        )
    return found


def _repeated(what: str, values: Iterable[str | None]) -> list[str]:
    return [f"{what} {value!r} stands {n} times" for value, n in Counter(values).items() if value and n > 1]


def parts(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows under the heading of their part, in order."""
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row.part, []).append(row)
    return grouped


def read_evidence(path: Path) -> tuple[list[Record], bool]:
    """The committed records, and whether the file is as it was written by the recording run."""
    if not path.exists():
        return [], True
    content = json.loads(path.read_text(encoding="utf-8"))
    return [Record(**entry) for entry in content["records"]], content["digest"] == _digest(content["records"])


def read_glued(notebook: Path) -> dict[str, str]:
    """The numbers and words that a chapter's stored outputs glue, by name, as text."""
    return glued(json.loads(notebook.read_text(encoding="utf-8")))


def glued(notebook: dict[str, Any]) -> dict[str, str]:
    """The same of a notebook that has been read."""
    found = {}
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            scrap = output.get("metadata", {}).get("scrapbook")
            if scrap:
                text = output["data"].get(scrap["mime_prefix"] + "text/plain", "")
                found[scrap["name"]] = "".join(text).strip("'\"")
    return found


def write_evidence(path: Path, records: Iterable[Record]) -> None:
    entries = [_entry(r) for r in sorted(records, key=lambda r: (r.claim, r.evidence, r.test))]
    content = {"digest": _digest(entries), "records": entries}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _entry(record: Record) -> dict[str, Any]:
    return {key: value for key, value in asdict(record).items() if key != "what" or value}


def _digest(entries: list[dict[str, Any]]) -> str:
    canonical = json.dumps(entries, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def told(value: float, kind: str, limit: float) -> float | None:
    """The worst residual or violation as it is recorded, the same on every machine.

    A residual that has to meet a fine tolerance is made of rounding, or of a solver's stopping rule, and so
    is one far below a coarse tolerance: the machine decides how large it is. Then only the tolerance is told.
    """
    if kind == "holds" and (limit <= FINE or value <= NEGLIGIBLE * limit):
        return None
    return rounded(value, kind, limit)


def rounded(value: float, kind: str, limit: float) -> float:
    """One significant digit, rounded to the side that promises less: residuals up, violations down.

    More digits, three at most, where one would seem to reach the limit that the value keeps away from.
    Two values that agree to six digits are one: 0.49999999 here may be 0.5 on another machine.
    """
    mode, sign = (ROUND_UP, 1) if kind == "holds" else (ROUND_DOWN, -1)
    shown = value = float(f"{value:.6g}")
    for digits in (1, 2, 3):
        shown = float(Context(prec=digits, rounding=mode).create_decimal(Decimal(repr(value))))
        if sign * shown < sign * limit or sign * value >= sign * limit:
            break
    return shown
