"""The notebook that a reader downloads: the chapter's, in words that every program shows.

JupyterLab, Colab and VS Code know nothing of glued numbers, boxes and references by label. So numbers are
filled in from the outputs, boxes become quotations with a title, and a reference becomes the name of what it
refers to.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import nbformat
import yaml
from bibliography_labels import AuthorYearLabels
from claims_data import glued
from nbformat import NotebookNode
from pybtex.database import parse_file
from sphinx.application import Sphinx

ROOT = Path(__file__).parent.parent
TAG = "run-alone"

DIRECTIVE = re.compile(r"^(?P<fence>`{3,}|:{3,})\{(?P<name>[\w:-]+)\}[ ]*(?P<title>.*)$")
OPTION = re.compile(r"^:(?P<key>[\w-]+):[ ]*(?P<value>.*)$")
ROLE = re.compile(r"(?<!`)\{(?P<name>[\w:]+)\}`(?P<content>[^`]+)`")
EQUATION = re.compile(r"^\$\$[ ]*\((?P<label>[\w-]+)\)[ ]*$")
LINK = re.compile(r"(?<!!)\[(?P<text>[^]]*)\]\((?!https?:)[^) ]+\.(md|ipynb)(#[^)]*)?\)")
TARGET = re.compile(r"^\((?P<label>[\w-]+)\)=$")
NO_BOX = {"evidence", "solution-end"}  # the page has more to say there


@dataclass(eq=False)
class Names:
    """What labels stand for in words."""

    titles: dict[str, str] = field(default_factory=dict)
    citations: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_the_book(cls) -> Names:
        """Read the labels of all pages, and the bibliography."""
        names = cls()
        for page in sorted([*ROOT.glob("*.md"), *(ROOT / "chapters").glob("*.md")]):
            names.read(page.read_text("utf-8"), page.stem)
        for ipynb in sorted((ROOT / "chapters").glob("*.ipynb")):
            for k, (name, _) in enumerate(figures(nbformat.read(ipynb, as_version=4)), 1):
                names.titles[name] = f"Figure {k} of {names.titles[ipynb.stem]}"
        entries = parse_file(str(ROOT / "references.bib")).entries
        labels = AuthorYearLabels().format_labels(entries.values())
        names.citations = dict(zip(entries, labels, strict=True))
        return names

    def read(self, text: str, page: str) -> None:
        """Note what the labels of a page belong to."""
        lines = text.splitlines()
        heading = next((line.lstrip("# ") for line in lines if line.startswith("# ")), page)
        self.titles[page] = heading
        box = waiting = ""
        for line in lines:
            if found := DIRECTIVE.match(line):
                box = title_of(found["name"], found["title"])
            elif found := OPTION.match(line.strip()):
                if found["key"] in ("label", "name"):
                    self.titles[found["value"]] = box
            elif found := EQUATION.match(line):
                self.titles[found["label"]] = heading
            elif found := TARGET.match(line):
                waiting = found["label"]
            elif waiting and line.startswith("#"):
                self.titles[waiting] = line.lstrip("# ")
                waiting = ""


def note(address: str | None = None, *, filled: bool = False) -> str:
    """Say what a notebook needs; the address of the repository is that of ``_config.yml``, if it has one."""
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["requires-python"]
    said = (
        f"*This notebook runs on its own, in Jupyter with Python {needs.removeprefix('>=')} or later, after "
        f"{how_to_install(address)}. It reads no other file."
    )
    names = " Some numbers in the text stand here by their names; the page of the book shows them."
    return said + ("" if filled else names) + "*"


def how_to_install(address: str | None = None) -> str:
    """Name the command."""
    if address is None:
        address = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]["url"]
    if not address:
        return '`pip install ".[book]"` in a copy of the book\'s repository'
    return f'`pip install "convexdiff-lib[book] @ git+{address}"`'


def installation(address: str | None = None) -> str:
    """Write the first code cell: where the library is missing it installs it, or says how."""
    command = how_to_install(address).split("`")[1]
    missing = 'import importlib.util\n\nif importlib.util.find_spec("convexdiff_lib") is None:\n    '
    if "git+" in command:
        return f"{missing}%{command}"
    return f"{missing}raise ModuleNotFoundError({how_to_install(address).replace('`', '')!r})"


def portable(notebook: NotebookNode, names: Names) -> NotebookNode:
    """Return a copy that needs nothing but Markdown."""
    made = deepcopy(notebook)
    made.metadata.pop("outputs_sha256", None)  # the seal of what was not yet changed
    values = glued(made)
    tags: dict[str, int] = {}
    for cell in made.cells:
        if cell.cell_type == "markdown":
            tags |= {label: len(tags) + k for k, label in enumerate(equations(cell.source), 1)}
    own = {name: f"Figure {k}" for k, (name, _) in enumerate(figures(made), 1)}
    words = Words(values, Names(names.titles | own, names.citations), tags)
    made.cells = [after for cell in made.cells for after in (cell, *caption_cell(cell, own))]
    for cell in made.cells:
        if cell.cell_type == "markdown":
            cell.source = words.say("\n".join(unboxed(cell.source.splitlines(), tags)))
    if made.cells and TAG in made.cells[0].metadata.get("tags", []):
        made.cells[0].source = note(filled=True)
        cell = nbformat.v4.new_code_cell(installation(), id="install")
        made.cells.insert(1, cell)
    return made


def equations(source: str) -> Iterator[str]:
    """Name the equations with a label."""
    return (found["label"] for line in source.splitlines() if (found := EQUATION.match(line)))


def title_of(name: str, title: str) -> str:
    """Name a box by its kind and title."""
    kind = name.rpartition(":")[2].removesuffix("-start").capitalize()
    if kind in ("Dropdown", "Admonition", "Note", "Tip", "Warning", "Important"):
        return title or kind
    return f"{kind} ({title})" if title and kind != "Solution" else kind


def unboxed(lines: list[str], tags: dict[str, int]) -> Iterator[str]:
    """Turn directives into quotations, recursively, and number the equations that have a label."""
    rest = iter(lines)
    for line in rest:
        if found := DIRECTIVE.match(line):
            body = list(_until(rest, found["fence"]))
            yield from _quoted(found["name"], found["title"], body, tags)
        elif line.startswith("```"):
            yield from (line, *_until(rest, "```"), "```")
        elif found := EQUATION.match(line):
            yield f"\\tag{{{tags[found['label']]}}}"
            yield "$$"
        elif not TARGET.match(line):
            yield line


def _until(rest: Iterator[str], fence: str) -> Iterator[str]:
    for line in rest:
        if line.rstrip() == fence:
            return
        yield line


def _quoted(name: str, title: str, body: list[str], tags: dict[str, int]) -> Iterator[str]:
    if name in NO_BOX:
        return
    options = list(takewhile(lambda line: OPTION.match(line) or not line.strip(), body))
    live = any(re.match(r":class:.*\blive\b", option) for option in options)
    body = body[len(options) :]
    yield ""
    if name == "solution-start":
        yield "**Solution.**"
        return
    yield f"> **{'On the page of the book: ' * live}{title_of(name, title)}.**"
    yield ">"
    yield from (f"> {line}".rstrip() for line in unboxed(body, tags))
    yield ""


def figures(notebook: NotebookNode) -> Iterator[tuple[str, str]]:
    """Give name and caption of each figure that has a name."""
    for cell in notebook.cells:
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        if "name" in figure:
            yield figure["name"], figure.get("caption", "")


def caption_cell(cell: NotebookNode, own: dict[str, str]) -> Iterator[NotebookNode]:
    """Write below a figure what the page writes there."""
    figure = cell.metadata.get("mystnb", {}).get("figure", {})
    if "name" in figure:
        text = f"**{own[figure['name']]}.** {figure.get('caption', '')}"
        yield nbformat.v4.new_markdown_cell(text, id=f"caption-{figure['name']}"[:64])


@dataclass(eq=False)
class Words:
    """What the roles of one notebook stand for."""

    values: dict[str, str]
    names: Names
    equations: dict[str, int]

    def say(self, text: str) -> str:
        """Replace roles, and links to other pages, by words."""
        return ROLE.sub(self._said, LINK.sub(r"\g<text>", text))

    def _said(self, found: re.Match[str]) -> str:
        name, content = found["name"], found["content"]
        given, _, place = content.rpartition("<")
        place = place.rstrip(">") if given else content
        match name:
            case "glue:text":
                return self.values[content.partition(":")[0]]
            case "eq":
                return self._equation(content)
            case "cite:t":
                return self._cited(content, "{0} ({1})", " and ")
            case "cite:p":
                return f"({self._cited(content, '{0}, {1}', '; ')})"
            case _ if given:
                return given.strip()
            case "doc":
                place = Path(place).stem
                return f"*{self.names.titles.get(place, place)}*"
        return f"*{self.names.titles[place]}*" if place in self.names.titles else f"`{place.lstrip('~')}`"

    def _equation(self, label: str) -> str:
        if label in self.equations:
            return f"({self.equations[label]})"
        return f"the equation in *{self.names.titles.get(label, 'another chapter')}*"

    def _cited(self, keys: str, form: str, between: str) -> str:
        parts = (self.names.citations[key.strip()].rpartition(", ") for key in keys.split(","))
        return between.join(form.format(author, year) for author, _, year in parts)


def write_downloads(app: Sphinx, exception: Exception | None) -> None:
    """Put such notebooks where the download buttons lead."""
    if exception is not None or app.builder.format != "html":
        return
    names = Names.of_the_book()
    for file in sorted(Path(app.outdir, "_sources").rglob("*.ipynb")):
        notebook = portable(nbformat.read(Path(app.srcdir, "chapters", file.name), as_version=4), names)
        file.write_text(nbformat.writes(notebook) + "\n", "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("build-finished", write_downloads)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
