"""Bring chapters up to date: from the text (.md) to the executed notebook (.ipynb).

    python tools/refresh.py [--check | --text] [chapters/NAME.md ...]

Without names it does all chapters. A second run changes no byte, and neither does opening a chapter in
JupyterLab, running it from the top and saving it. With ``--check`` nothing is written, and the exit status
says whether anything would change: use it after a change of the library, which can alter a figure that the
tests do not compare. With ``--text`` nothing is executed: prose, captions and the order of paragraphs are
brought into the notebook, which keeps its outputs, and a changed code cell is an error.

To add a chapter:

1. Write ``chapters/NN_name.md`` in MyST Markdown with ``{code-cell}`` blocks. Step 2 fills in its header.
2. Run ``python tools/refresh.py chapters/NN_name.md`` and look at the notebook that it writes.
3. Add ``chapters/NN_name`` to ``_toc.yml`` and commit both files. ``make test`` and ``make book`` check them.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import nbformat
from convexdiff_chapters import settle_kernel_environment, store_alike
from nbclient import NotebookClient
from nbformat import NotebookNode

from tools import alone, pairing

CHAPTERS = Path(__file__).parent.parent / "chapters"


def refreshed(md: Path) -> tuple[str, str]:
    """Run a chapter from the top and return what its .md and its .ipynb should contain."""
    notebook = prepared(md)
    client = NotebookClient(
        notebook, timeout=600, record_timing=False, resources={"metadata": {"path": str(md.parent)}}
    )
    client.execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = merge_streams(cell.outputs)
    store_alike(notebook)
    return sealed(notebook, md)


def reworded(md: Path) -> tuple[str, str]:
    """Return the same for a chapter whose code is the stored notebook's, with the outputs stored there."""
    notebook = prepared(md)
    before = pairing.read_notebook(md.with_suffix(".ipynb"))
    notebook.metadata = before.metadata
    stored = [c for c in before.cells if c.cell_type == "code"]
    code = [c for c in notebook.cells if c.cell_type == "code"]
    if [c.source for c in code] != [c.source for c in stored]:
        sys.exit(f"{md}: a code cell changed, so the chapter has to run: leave out --text")
    for cell, old in zip(code, stored, strict=True):
        cell.outputs, cell.execution_count = old.outputs, old.execution_count
    return sealed(notebook, md)


def prepared(md: Path) -> NotebookNode:
    """Read a chapter's text as a notebook with its note on top, and the ids that its cells had."""
    notebook = pairing.read_text(md)
    alone.put_note(notebook)
    notebook.metadata["kernelspec"] = pairing.KERNEL
    stored = md.with_suffix(".ipynb")
    if stored.exists():
        keep_ids(notebook, pairing.read_notebook(stored))
    return notebook


def sealed(notebook: NotebookNode, md: Path) -> tuple[str, str]:
    """Write both files, with the fingerprint of the outputs in the notebook."""
    notebook.metadata[pairing.SEAL] = pairing.digest(notebook)
    nbformat.validate(notebook)
    stored = nbformat.writes(notebook)
    # Read again, so that keys stand in the text in the order in which JupyterLab stores them.
    return pairing.as_text(nbformat.reads(stored, as_version=4), md), stored + "\n"


def keep_ids(notebook: NotebookNode, stored: NotebookNode) -> None:
    """Give unchanged cells the ids that they had, for the sake of short diffs."""
    ids: dict[tuple[str, str], list[str]] = {}
    for cell in stored.cells:
        ids.setdefault((cell.cell_type, cell.source), []).append(cell.id)
    for cell in notebook.cells:
        if same := ids.get((cell.cell_type, cell.source)):
            cell["id"] = same.pop(0)


def merge_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join what a cell printed in pieces, which come apart differently in each run."""
    merged: list[NotebookNode] = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged


def main() -> None:
    """Refresh, or check, the chapters named on the command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if anything would change")
    parser.add_argument("--text", action="store_true", help="execute nothing; the code must be as stored")
    parser.add_argument("chapters", nargs="*", type=Path, help="the .md (or .ipynb) files; all by default")
    options = parser.parse_args()
    settle_kernel_environment()
    changed = []
    for name in options.chapters or sorted(CHAPTERS.glob("*.md")):
        md = name.with_suffix(".md")
        files = [md, md.with_suffix(".ipynb")]
        before = [f.read_text("utf-8") if f.exists() else None for f in files]
        after = reworded(md) if options.text else refreshed(md)
        if list(after) == before:
            print(f"{md}: up to date")
            continue
        changed.append(md)
        print(f"{md}: {'would change' if options.check else 'refreshed'}")
        if not options.check:
            for file, content in zip(files, after, strict=True):
                file.write_text(content, "utf-8")
    if options.check and changed:
        sys.exit(1)


if __name__ == "__main__":
    main()
