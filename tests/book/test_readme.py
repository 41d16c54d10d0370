"""What the README and the landing page tell people to type does work."""

import re
import subprocess
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest

import convexdiff_lib
from tools import toc

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "index.md"]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text("utf-8"), re.DOTALL | re.MULTILINE
    )


@pytest.mark.parametrize("page", PAGES)
def test_five_lines_on_ones_own_data(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savetxt(tmp_path / "measurements.txt", np.random.default_rng(0).normal(size=80))
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(page, "python")
    found: dict[str, Any] = {}
    exec(compile(code, page, "exec"), found)
    certificate = found["fit"].certificate
    assert len([line for line in code.splitlines() if line.strip()]) == 5
    assert certificate.relative_gap <= 1e-8  # the tolerance of the certificate
    assert certificate.infeasibility <= 1e-9
    assert capsys.readouterr().out.startswith("certificate holds")
    assert found["new_samples"].shape == (1000,)


@pytest.mark.parametrize("page", PAGES)
def test_named_make_targets_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(
        re.findall(r"^    make ([a-z]+)|`make ([a-z]+)`", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    )
    assert named
    assert {first or second for first, second in named} <= targets


def test_named_files_exist() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    named = re.findall(r"`([\w./]+(?:/|\.md|\.cff))`|\]\((_static/[\w.]+)\)|`(LICENSE)`", text)
    paths = [path for match in named for path in match if path and "NAME" not in path]
    assert len(paths) >= 8
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_table_of_folders_has_every_folder() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    folders = {line.split("/")[0] for line in tracked.splitlines() if "/" in line}
    (_, table) = (ROOT / "README.md").read_text("utf-8").split("\n| where | what |\n")
    named = set(re.findall(r"`(\w+)/`", table.partition("\n\n")[0]))
    assert named == {folder for folder in folders if not folder.startswith(".")}


def test_files_at_the_top_are_settings_pages_or_what_everybody_looks_for_there() -> None:
    """Of what is at the top of the repository the book's pages are in its table of contents."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = {line for line in tracked.splitlines() if "/" not in line and not line.startswith(".")}
    pages = {f"{page}.md" for page in toc.pages() if "/" not in page}
    settings = {"Makefile", "pyproject.toml", "requirements.txt", "conftest.py"}
    settings |= {"_config.yml", "_toc.yml", "references.bib"}
    about = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "CITATION.cff"}
    assert files == pages | settings | about


@pytest.mark.parametrize("page", ["README.md", "reference.md"])
def test_the_table_of_tasks_has_every_function_of_the_front_door(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    (text,) = re.findall(
        r"^(?:\| to \| call \||\* - to\n  - call\n)(.*?)(?:^:::|\n\n)", text, re.DOTALL | re.MULTILINE
    )
    named = re.findall(r"`(\w+)(?: <[\w.]+>)?`", text)
    functions = {n for n in convexdiff_lib.__all__ if isinstance(getattr(convexdiff_lib, n), FunctionType)}
    functions.add("ScoreMatchingDensity")  # a class, but something to call
    assert sorted(named) == sorted(functions)
    homes = dict(re.findall(r"`(\w+) <([\w.]+)>`", text))
    assert {n: f"{getattr(convexdiff_lib, n).__module__}.{n}" for n in homes} == homes
