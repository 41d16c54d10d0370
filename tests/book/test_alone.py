"""A notebook that somebody downloads says what it needs, and runs with nothing else and nothing beside it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode
from packaging.requirements import Requirement

from convexdiff_lib.book import glue, stored_results
from tools import alone, pairing

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
MODULES = {"scikit-learn": "sklearn", "ipykernel": "IPython", "lazy-loader": "lazy_loader"}  # of packages
READERS = {"open", "read_text", "read_bytes", "loadtxt", "genfromtxt", "fromfile", "load", "urlopen"}

each_chapter = pytest.mark.parametrize("ipynb", CHAPTERS, ids=lambda ipynb: ipynb.stem)


def promised(extra: str) -> set[str]:
    """The modules that an extra brings, with what the library always needs."""
    found = {"convexdiff_lib"}
    for line in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"][extra]]:
        package = Requirement(line)
        if package.name == PROJECT["name"]:
            found = found.union(*map(promised, package.extras))
        else:
            found.add(MODULES.get(package.name, package.name))
    return found


def tree(notebook: NotebookNode) -> ast.Module:
    """All code of a notebook."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return ast.parse(TransformerManager().transform_cell("\n".join(sources)))


def imported(code: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(code):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def read(code: ast.Module) -> list[str]:
    """What looks like the reading of a file."""
    calls = [node for node in ast.walk(code) if isinstance(node, ast.Call)]
    names = [ast.unparse(call.func).split(".")[-1] for call in calls]
    texts = [node.value for node in ast.walk(code) if isinstance(node, ast.Constant)]
    paths = [text for text in texts if isinstance(text, str) and re.match(r"\.\.?/", text)]
    return [name for name in names if name in READERS] + paths


@each_chapter
def test_a_notebook_begins_with_what_it_needs(ipynb: Path) -> None:
    first = pairing.read_notebook(ipynb).cells[0]
    assert (first.cell_type, first.source) == ("markdown", alone.note()), "run `make refresh`"
    assert first.metadata["tags"] == ["remove-cell", alone.TAG]  # pages do not show it


@each_chapter
def test_a_notebook_imports_what_its_extra_brings(ipynb: Path) -> None:
    others = imported(tree(pairing.read_notebook(ipynb))) - sys.stdlib_module_names
    assert others <= promised("book") <= promised("all")


@each_chapter
def test_a_notebook_reads_no_file(ipynb: Path) -> None:
    assert read(tree(pairing.read_notebook(ipynb))) == []


def test_what_a_notebook_may_not_do_is_found() -> None:
    code = ast.parse("import myst_nb.ext\nfrom os import path\nPath('../data.json').read_text()\nnp.load(f)")
    assert imported(code) - sys.stdlib_module_names - promised("book") == {"myst_nb"}
    assert read(code) == ["read_text", "load", "../data.json"]


def test_the_note_names_the_repository_once_it_has_an_address() -> None:
    told = alone.note("https://example.org/book")
    assert 'pip install "convexdiff-lib[book] @ git+https://example.org/book"' in told
    assert 'pip install ".[book]"' in alone.note("")


def test_a_note_that_is_there_is_renewed() -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title")])
    alone.put_note(notebook)
    notebook.cells[0].source = "something old"
    alone.put_note(notebook)
    assert [cell.source for cell in notebook.cells] == [alone.note(), "# Title"]


CELLS = """
from pathlib import Path
assert list(Path().iterdir()) == [Path("GLUED.ipynb")]
from {home} import glue
---
glue("text", "a text")
---
glue("hidden", 3, display=False)
---
import matplotlib.pyplot as plt
figure, axes = plt.subplots(figsize=(1, 1))
glue("figure", figure)
plt.close()
"""


def test_what_is_glued_is_what_myst_nb_glues(tmp_path: Path) -> None:
    """In an empty folder, as every notebook that runs alone."""
    outputs = []
    for home in ("convexdiff_lib.book", "myst_nb"):
        cells = [nbformat.v4.new_code_cell(part.strip()) for part in CELLS.format(home=home).split("---")]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "GLUED.ipynb")
        ran = alone.run(tmp_path / "GLUED.ipynb", sys.executable)
        outputs.append([cell.outputs for cell in ran.cells])
    assert outputs[0] == outputs[1]
    assert [len(found) for found in outputs[0]] == [0, 1, 1, 1]


def test_a_notebook_shows_progress_and_no_complaint(tmp_path: Path) -> None:
    cell = nbformat.v4.new_code_cell(
        "import convexdiff_lib as cd\nfits = cd.score_matching_path([0, 1, 3], [9, 4], progress=True)"
    )
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "bar.ipynb")
    (ran,) = alone.run(tmp_path / "bar.ipynb", sys.executable).cells
    said = "".join(output.get("text", "") for output in ran.outputs)
    assert re.fullmatch(r"(\rscore_matching_path: +\d+%.*)+\n", said)
    assert {(output.output_type, output.get("name")) for output in ran.outputs} == {("stream", "stderr")}


def test_a_cell_that_fails_is_told(tmp_path: Path) -> None:
    cell = nbformat.v4.new_code_cell("assert 1 + 1 == 3")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "wrong.ipynb")
    with pytest.raises(alone.CellExecutionError, match="AssertionError"):
        alone.run(tmp_path / "wrong.ipynb", sys.executable)


def test_outside_of_jupyter_a_value_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    glue("text", "a text")
    glue("hidden", 3, display=False)
    assert capsys.readouterr().out == "'a text'\n"


def test_results_that_are_not_stored_are_refused_by_name() -> None:
    for bad in ("spirals", "../certificates", "", None):
        with pytest.raises(ValueError, match=r"^name must be one of 'activations', .*'univariate'; got "):
            stored_results(bad)  # type: ignore[arg-type]
    names = {file.stem for file in (ROOT / "convexdiff_lib" / "stored").iterdir()}
    assert all(stored_results(name) for name in names)
