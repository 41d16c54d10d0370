"""A downloaded notebook reads and runs where nothing knows of Sphinx."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import portable
import pytest
from claims_data import glued
from nbformat import NotebookNode
from portable import Names, Words

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))
NAMES = Names({"thm-one": "Theorem (One)", "intro": "The beginning", "eq-far": "The beginning"}, {})
NAMES.citations = {"a": "Adams, 2001", "b": "Bell and Cox, 2002"}


@pytest.fixture(scope="module")
def names() -> Names:
    return Names.of_the_book()


def words(notebook: NotebookNode) -> str:
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


@pytest.mark.parametrize("ipynb", CHAPTERS, ids=lambda ipynb: ipynb.stem)
def test_a_downloaded_notebook_has_only_markdown(ipynb: Path, names: Names) -> None:
    stored = nbformat.read(ipynb, as_version=4)
    made = portable.portable(stored, names)
    nbformat.validate(made)
    text = words(made)
    assert (
        re.findall(r"\{[a-z:]+\}`|^[> ]*[`:]{3,}\{.*|^\([\w-]+\)=$|\]\([^)]*\.(?:md|ipynb)", text, re.M) == []
    )
    assert [c.source for c in made.cells if c.cell_type == "code"][1:] == [
        c.source for c in stored.cells if c.cell_type == "code"
    ]
    assert made.cells[0].source == portable.note(filled=True)
    assert "by their names" not in text
    assert made.cells[1].source == portable.installation()


def test_numbers_are_filled_in(names: Names) -> None:
    stored = nbformat.read(ROOT / "chapters" / "02_univariate_relu.ipynb", as_version=4)
    values = glued(stored)
    text = words(portable.portable(stored, names))
    shown = re.findall(r"\{glue:text\}`([\w-]+)`", words(stored))
    assert shown
    assert [name for name in shown if values[name] not in text] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("it is {glue:text}`gap`.", "it is 0.25."),
        ("{eq}`eq-here` and {eq}`eq-far`", "(3) and the equation in *The beginning*"),
        ("{cite:t}`a` say {cite:p}`a,b`", "Adams (2001) say (Adams, 2001; Bell and Cox, 2002)"),
        ("{doc}`intro`, {doc}`the start <intro>`", "*The beginning*, the start"),
        ("{prf:ref}`thm-one`, {ref}`that one <thm-one>`", "*Theorem (One)*, that one"),
        ("{func}`~convexdiff_lib.line.path`", "`convexdiff_lib.line.path`"),
        (
            "[this page](../notation.md#top) [that](https://a.org/b.md)",
            "this page [that](https://a.org/b.md)",
        ),
        ("`{not}` a role, nor $x_{a}`$", "`{not}` a role, nor $x_{a}`$"),
    ],
)
def test_roles_become_words(text: str, said: str) -> None:
    assert Words({"gap": "0.25"}, NAMES, {"eq-here": 3}).say(text) == said


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (
            "```{prf:lemma} A *title*\n:label: x\n\nWords.\n```\nmore",
            "\n> **Lemma (A *title*).**\n>\n> Words.\n\nmore",
        ),
        (
            "````{dropdown} Why\n```{note}\nOne.\n```\nTwo.\n````",
            "\n> **Why.**\n>\n>\n> > **Note.**\n> >\n> > One.\n>\n> Two.\n",
        ),
        ("```{solution} ex-one\n:class: dropdown\n\nWords.\n```", "\n> **Solution.**\n>\n> Words.\n"),
        ("````{solution-start} ex-one\n````\nWords.\n````{solution-end}\n````", "\n**Solution.**\nWords."),
        ("```{evidence} thm-one\n```", ""),
        ("(label)=\n## Title", "## Title"),
        ("$$\nx\n$$ (eq-here)", "$$\nx\n\\tag{3}\n$$"),
        ("```python\n(label)=\n```", "```python\n(label)=\n```"),
    ],
)  # fmt: skip
def test_directives_become_quotations(text: str, after: str) -> None:
    assert "\n".join(portable.unboxed(text.splitlines(), {"eq-here": 3})) == after


def test_the_first_cell_installs_what_is_missing_or_says_how() -> None:
    known = portable.installation("https://example.org/book")
    assert '    %pip install "convexdiff-lib[book] @ git+https://example.org/book"' in known
    compile(portable.installation(""), "cell", "exec")
    assert 'raise ModuleNotFoundError(\'pip install ".[book]" in a copy' in portable.installation("")


def test_a_caption_stands_below_its_figure() -> None:
    figure = {"name": "fig-one", "caption": "What is seen."}
    code = nbformat.v4.new_code_cell("1", metadata={"mystnb": {"figure": figure}})
    text = nbformat.v4.new_markdown_cell("See {numref}`fig-one`.")
    made = portable.portable(nbformat.v4.new_notebook(cells=[text, code]), NAMES)
    assert [cell.source for cell in made.cells] == ["See *Figure 1*.", "1", "**Figure 1.** What is seen."]
