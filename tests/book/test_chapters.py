"""Every chapter is a pair in step, run from the top, part of the book, collected, and checks something."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from nbformat import NotebookNode

from tools import checks, pairing, toc

ROOT = Path(__file__).parents[2]
CHAPTERS = ROOT / "chapters"
NAMES = sorted({file.stem for suffix in ("*.md", "*.ipynb") for file in CHAPTERS.glob(suffix)})
TEST_FILES = [*sorted((ROOT / "tests").glob("**/*.py")), ROOT / "conftest.py"]
REFRESH = "run `make refresh`"

each_chapter = pytest.mark.parametrize("name", NAMES)


def text_file(name: str) -> Path:
    return CHAPTERS / f"{name}.md"


def notebook_of(name: str) -> NotebookNode:
    return pairing.read_notebook(CHAPTERS / f"{name}.ipynb")


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def test_there_are_chapters() -> None:
    assert NAMES


@each_chapter
def test_both_files_of_the_pair_are_there(name: str) -> None:
    assert text_file(name).exists(), f"{name}.ipynb has no text"
    assert (CHAPTERS / f"{name}.ipynb").exists(), f"{name}.md has no notebook: {REFRESH}"


@each_chapter
def test_notebook_is_in_step_with_its_text(name: str) -> None:
    md = text_file(name)
    assert pairing.cells(notebook_of(name)) == pairing.cells(pairing.read_text(md)), REFRESH


@each_chapter
def test_text_is_written_as_jupyterlab_saves_it(name: str) -> None:
    md = text_file(name)
    assert md.read_text("utf-8") == pairing.as_text(notebook_of(name), md), REFRESH


@each_chapter
def test_notebook_was_run_from_the_top(name: str) -> None:
    code = code_cells(notebook_of(name))
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), REFRESH


@each_chapter
def test_nothing_failed_or_warned(name: str) -> None:
    outputs = [output for cell in code_cells(notebook_of(name)) for output in cell.outputs]
    assert [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"] == []


@each_chapter
def test_outputs_are_those_of_the_last_refresh(name: str) -> None:
    notebook = notebook_of(name)
    seal = notebook.metadata.get(pairing.SEAL)
    assert seal == pairing.digest(notebook), f"outputs or cells were edited: {REFRESH}"


@each_chapter
def test_checks_of_the_chapter_check_something(name: str) -> None:
    problems = checks.in_chapter(notebook_of(name))
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("file", TEST_FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_checks_of_the_tests_check_something(file: Path) -> None:
    problems = checks.in_test_file(file.read_text("utf-8"))
    assert not problems, "\n".join(problems)


def text_outputs(name: str) -> list[str]:
    """What a chapter prints, shows and glues, as text."""
    outputs = [output for cell in code_cells(notebook_of(name)) for output in cell.outputs]
    bundles = [output.get("data", {}) for output in outputs]
    plain = [text for bundle in bundles for mime, text in bundle.items() if mime.endswith("text/plain")]
    return [output.text for output in outputs if "text" in output] + plain


def glued(notebook: NotebookNode) -> dict[str, str]:
    """What a notebook glues: the text stored for each name."""
    found = {}
    for output in (output for cell in code_cells(notebook) for output in cell.outputs):
        if scrap := output.get("metadata", {}).get("scrapbook"):
            found[scrap["name"]] = output.data[scrap["mime_prefix"] + "text/plain"]
    return found


def too_exact(text: str) -> list[str]:
    """The numbers in a text that show more than a machine can answer for.

    More than ten digits, a residual of rounding instead of a bound on it, or a sign that only rounding gave.
    """
    found = []
    for number in re.findall(r"(?<![\w.])-?\d+\.?\d*(?:e[+-]?\d+)?(?![\w.])", text):
        digits = re.sub(r"\D", "", number.partition("e")[0]).strip("0")
        nothing = not digits and number.startswith("-")
        if nothing or ("." in number and len(digits) > 10) or 0 < abs(float(number)) < 1e-14:
            found.append(number)
    return found


@each_chapter
def test_no_output_shows_the_digits_in_which_machines_differ(name: str) -> None:
    found = [number for text in text_outputs(name) for number in too_exact(text)]
    assert not found, f"round before it is printed or glued, and state a bound on what is rounding: {found}"


@pytest.mark.parametrize(
    "text", ["7.1939556630733055", "0.30000000000000004", "3e-16", "-0.0", "[1.0 -0.]", "-0"]
)
def test_a_number_that_is_too_exact_is_found(text: str) -> None:
    assert too_exact(text)


@pytest.mark.parametrize(
    "text", ["2.0280161", "-24231.777", "1e-12", "2.4e-14", "0.0000", "20000000000", "-0.1"]
)
def test_a_number_that_every_machine_gives_is_left_alone(text: str) -> None:
    assert not too_exact(text)


@each_chapter
def test_what_is_glued_is_a_count_or_a_text(name: str) -> None:
    """A float is stored, and compared, to its last digit: glue what the page shows, as ``f"{gap:.2f}"``."""
    stored = glued(notebook_of(name))
    assert {key: text for key, text in stored.items() if not re.fullmatch(r"-?\d+|'[^']*'", text)} == {}
    assert {key: text for key, text in stored.items() if text in ("'nan'", "'inf'", "''")} == {}


@pytest.mark.parametrize(
    "page", sorted(ROOT.glob("*.md")) + sorted(CHAPTERS.glob("*.md")), ids=lambda p: p.name
)
def test_a_page_shows_what_is_glued_as_it_is(page: Path) -> None:
    roles = re.findall(r"\{glue:text\}`([^`]*)`", page.read_text("utf-8"))
    assert [role for role in roles if not re.fullmatch(r"[\w-]+", role)] == []


def test_every_chapter_is_in_the_book_and_every_page_of_the_book_exists() -> None:
    pages = toc.pages()
    assert [page for page, times in Counter(pages).items() if times > 1] == []
    assert {page for page in pages if page.startswith("chapters/")} == {f"chapters/{name}" for name in NAMES}
    assert [page for page in pages if not list(ROOT.glob(f"{page}.*"))] == []


def test_a_plain_run_collects_every_cell_of_every_chapter() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    command += ["--ignore=tests", "--ignore=convexdiff_lib"]  # quick: the chapters are what this is about
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = listing.stdout.splitlines()
    collected = Counter(Path(line.split("::")[0]).stem for line in lines if ".ipynb::" in line)
    expected = {name: sum(cell.cell_type == "code" for cell in notebook_of(name).cells) for name in NAMES}
    assert dict(collected) == expected, listing.stdout + listing.stderr


@each_chapter
def test_no_output_shows_how_numpy_writes_its_numbers(name: str) -> None:
    """A glued NumPy number would appear in the text as ``np.float64(3.1)``."""
    outputs = [str(output) for cell in code_cells(notebook_of(name)) for output in cell.outputs]
    assert not [text[:200] for text in outputs if re.search(r"np\.\w+\(", text)]
