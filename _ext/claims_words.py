"""The recorded evidence and the paper's numbers in words, as the pages show them.

Knows nothing of Sphinx.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from claims_data import Place, Record, Row

# What the paper numbers, as it stands at the beginning of a place's number.
NUMBERED = re.compile(
    r"(Theorem|Lemma|Proposition|Corollary|Definition|Assumption|Remark|Algorithm|Figure)s? "
    r"([A-Z]\.)?([\d.]+)"
)
FORM_WORDS = {"printed": "the paper's form", "corrected": "", "ours": ""}
# The numbers of displays after the name of a theorem: "Theorem 1, (4), (7)".
DISPLAYS = re.compile(r"(?<=\w), \(.*$")


def headline(records: Iterable[Record]) -> str:
    """All evidence of one claim in one line: ``354 instances, residuals at most 10⁻⁶``."""
    records = list(records)
    misses = [r for r in records if r.kind == "fails" and r.form == "printed"]
    rest = [r for r in records if r not in misses]
    said = []
    if rest:
        said.append(plural(sum(r.instances for r in rest)) + _measured(rest))
    if misses:
        said.append(f"{FORM_WORDS['printed']} fails on {sum(r.instances for r in misses)}")
    return "; ".join(said) or "no evidence"


def _measured(records: list[Record]) -> str:
    """The residuals if there are any, else the first quantity that was measured instead."""
    holds = [r for r in records if r.kind == "holds"]
    what = "" if any(not r.what for r in holds) else next((r.what for r in holds), "")
    alike = [r.bound for r in holds if r.what == what]
    return f", {what or 'residuals'} at most {number(max(alike))}" if alike else ""


def measure(group: list[Record]) -> str:
    """What the records under one name of evidence say together."""
    first = group[0]
    what = first.what or "residual"
    told = [r.worst for r in group if r.worst is not None]
    if first.kind == "fails":
        what = first.what or f"{FORM_WORDS[first.form] or 'it'} fails by"
        return f"{what} at least {number(min(told))}"
    if told:
        return f"{what} at most {number(max(told))}, allowed {number(first.limit)}"
    return f"{what} at most {number(first.bound)}"


def counted(records: Iterable[Record]) -> str:
    """``97 instances, 23 of them structured``."""
    records = list(records)
    structured = sum(r.instances for r in records if r.structured)
    return f"{plural(sum(r.instances for r in records))}, {structured} of them structured"


def plural(count: int, word: str = "instance") -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def source(row: Row) -> str:
    """Where the claim stands in the paper: ``Theorem 1; older text: Theorem 3.1``."""
    texts = [("", row.workshop), ("older text: ", row.older)]
    return "; ".join(before + short(place) for before, place in texts if place)


def short(place: Place) -> str:
    """The number without those of displays, ``Theorem 1`` for ``Theorem 1, (4), (7)``."""
    return DISPLAYS.sub("", place.number.partition(";")[0])


def numbered(rows: Iterable[Row]) -> list[Row]:
    """The rows of what the paper numbers, in its order: the workshop text, then what only the older one has.

    In each text the statements come first, then the algorithms, then the figures.
    """
    keys = {row.label: _position(row) for row in rows}
    return sorted((row for row in rows if keys[row.label]), key=lambda row: keys[row.label] or ())


def _position(row: Row) -> tuple[object, ...] | None:
    for text, place in enumerate((row.workshop, row.older)):
        match = NUMBERED.match(place.number) if place else None
        if match:
            sort = {"Algorithm": 1, "Figure": 2}.get(match[1], 0)
            return text, sort, match[2] or "", [int(part) for part in match[3].strip(".").split(".")]
    return None


def is_figure(row: Row) -> bool:
    position = _position(row)
    return position is not None and position[1] == 2


def number(value: float) -> str:
    """``3e-08`` as ``3·10⁻⁸``; numbers of ordinary size as they are."""
    digits, _, exponent = f"{value:g}".partition("e")
    if not exponent:
        return digits
    power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{power}" if digits == "1" else f"{digits}·10{power}"
