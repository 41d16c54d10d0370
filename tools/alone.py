"""Chapters that run alone: the note on top of every notebook, and a run of one with nothing beside it.

    python tools/alone.py PYTHON [chapters/NAME.ipynb ...]

Each notebook, all by default, is put into an empty folder as readers download it, and run by another Python.
`make alone` gives it one that has the wheel with its extra ``book``, and nothing else.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent.parent / "_ext"))

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from portable import TAG, Names, note, portable

ROOT = Path(__file__).parent.parent
HERE = ("PYTHONPATH", "JUPYTER_PATH", "VIRTUAL_ENV")  # what would lead the other Python to this environment


def put_note(notebook: NotebookNode) -> None:
    """Let the notebook begin with the note of today, which pages of the book leave out."""
    if not notebook.cells or TAG not in notebook.cells[0].metadata.get("tags", []):
        notebook.cells.insert(0, nbformat.v4.new_markdown_cell(metadata={"tags": ["remove-cell", TAG]}))
    notebook.cells[0]["source"] = note()


def run(ipynb: Path, python: str) -> NotebookNode:
    """Run a copy of a notebook in an empty folder, with the kernel of some Python, and return it."""
    with TemporaryDirectory() as folder:
        kernel = Path(folder, "jupyter", "kernels", "alone")
        empty = Path(folder, "empty")
        kernel.mkdir(parents=True)
        empty.mkdir()
        command = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        content = {"argv": command, "display_name": "alone", "language": "python"}
        (kernel / "kernel.json").write_text(json.dumps(content), "utf-8")
        notebook = portable(nbformat.read(ipynb, as_version=4), Names.of_the_book())
        nbformat.write(notebook, empty / ipynb.name)
        resources = {"metadata": {"path": str(empty)}}
        client = NotebookClient(notebook, timeout=600, kernel_name="alone", resources=resources)
        client.create_kernel_manager().kernel_spec_manager.kernel_dirs.insert(0, str(kernel.parent))
        return client.execute()


def main() -> None:
    """Run the notebooks named on the command line."""
    parser = argparse.ArgumentParser(description="Run notebooks with nothing beside them.")
    parser.add_argument("python", help="the interpreter that runs them")
    parser.add_argument("chapters", nargs="*", type=Path, help="the .ipynb files; all by default")
    options = parser.parse_args()
    for name in HERE:
        os.environ.pop(name, None)
    failed = False
    for ipynb in options.chapters or sorted((ROOT / "chapters").glob("*.ipynb")):
        begin = time.perf_counter()
        try:
            run(ipynb, options.python)
        except CellExecutionError as error:
            failed = True
            print(f"{ipynb.stem} failed:\n{error}", flush=True)
        else:
            print(f"{ipynb.stem}: {time.perf_counter() - begin:.0f} s", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
