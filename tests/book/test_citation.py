"""What CITATION.cff says is what the project says of itself elsewhere, in the form of CFF 1.2.0."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

import convexdiff_lib

ROOT = Path(__file__).parents[2]

# From the schema of CFF 1.2.0: keys that we use or may use, and their types; those of `NEEDED` are required.
TYPES = {
    "cff-version": str, "message": str, "title": str, "type": str, "version": str, "license": str,
    "authors": list, "abstract": str, "keywords": list, "references": list, "date-released": date,
    "repository-code": str, "url": str, "doi": str,
}  # fmt: skip
NEEDED = {"cff-version", "message", "title", "authors"}
NEEDED_OF_A_REFERENCE = {"type", "title", "authors"}


def parsed(file: str) -> Any:
    text = (ROOT / file).read_text("utf-8")
    return tomllib.loads(text) if file.endswith(".toml") else yaml.safe_load(text)


CITATION: dict[str, Any] = parsed("CITATION.cff")
PROJECT: dict[str, Any] = parsed("pyproject.toml")["project"]
BOOK: dict[str, Any] = parsed("_config.yml")


def faults(citation: dict[str, Any]) -> list[str]:
    """What CFF 1.2.0 forbids."""
    found = [f"{key} is missing" for key in sorted(NEEDED - set(citation))]
    for key, value in citation.items():
        if not isinstance(value, TYPES.get(key, ())):
            found.append(f"{key} is unknown, or of another type")
    if citation.get("type", "software") not in ("software", "dataset"):
        found.append("type is neither software nor dataset")
    for one in citation.get("references", []):
        found += [f"a reference has no {key}" for key in sorted(NEEDED_OF_A_REFERENCE - set(one))]
    everybody = [citation, *citation.get("references", [])]
    for author in (author for one in everybody for author in one.get("authors", [])):
        if set(author) not in ({"name"}, {"family-names", "given-names"}):
            found.append(f"an author is neither a person nor an entity: {author}")
    return found


def release(changelog: str, version: str) -> str:
    """When a version was released, as the changelog has it."""
    (when,) = re.findall(rf"^## \[{re.escape(version)}\] - (.*)$", changelog, re.MULTILINE)
    return str(when)


def test_its_form_is_right() -> None:
    assert faults(CITATION) == []
    assert CITATION["cff-version"] == "1.2.0"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"message": None}, "message is unknown, or of another type"),
        ({"version": 0.1}, "version is unknown, or of another type"),
        ({"date": "2026"}, "date is unknown, or of another type"),
        ({"type": "book"}, "type is neither software nor dataset"),
        ({"authors": [{"family": "Z"}]}, "an author is neither a person nor an entity: {'family': 'Z'}"),
        ({"references": [{"title": "T", "authors": []}]}, "a reference has no type"),
    ],
)
def test_a_wrong_form_is_noticed(change: dict[str, Any], fault: str) -> None:
    assert faults(CITATION | change) == [fault]
    assert faults({"title": "T"}) == ["authors is missing", "cff-version is missing", "message is missing"]


def test_it_agrees_with_the_package_and_the_book() -> None:
    assert CITATION["version"] == convexdiff_lib.__version__
    assert CITATION["title"] == BOOK["title"]
    assert CITATION["authors"] == PROJECT["authors"] == [{"name": BOOK["author"]}]
    assert CITATION["license"] == PROJECT["license"]
    assert set(CITATION["keywords"]) <= set(PROJECT["keywords"])
    assert CITATION.get("repository-code", "") == BOOK["repository"]["url"]


def test_it_has_a_date_once_the_version_has() -> None:
    when = release((ROOT / "CHANGELOG.md").read_text("utf-8"), CITATION["version"])
    assert str(CITATION.get("date-released", "unreleased")) == when
    assert release("## [1.0] - 2027-01-02\n\n## [0.9] - 2026-01-02", "0.9") == "2026-01-02"


def test_the_paper_is_cited_as_in_the_bibliography() -> None:
    (paper,) = CITATION["references"]
    bibliography = (ROOT / "references.bib").read_text("utf-8")
    (entry,) = re.findall(r"^@\w+\{zhang2024,\n(.*?)^\}", bibliography, re.MULTILINE | re.DOTALL)
    field = dict(re.findall(r"^ *(\w+) *= *\{(.*)\},?$", entry, re.MULTILINE))
    assert re.sub(r"[{}]", "", field["title"]) == paper["title"]
    assert field["author"] == " and ".join(
        f"{author['family-names']}, {author['given-names']}" for author in paper["authors"]
    )
    assert paper["url"] == PROJECT["urls"]["The paper"]
    assert int(field["year"]) == paper["year"]
