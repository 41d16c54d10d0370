"""A chapter's two files: how they are read, when they are in step, and what seals the stored outputs."""

import hashlib
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from jupytext.config import find_jupytext_configuration_file, load_jupytext_configuration_file
from nbformat import NotebookNode

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
SEAL = "outputs_sha256"


def read_text(md: Path) -> NotebookNode:
    """Read the notebook that the text describes, without outputs."""
    return jupytext.read(md, fmt="md:myst", config=_config(md))


def read_notebook(ipynb: Path) -> NotebookNode:
    """Read the stored notebook."""
    return nbformat.read(ipynb, as_version=4)


def as_text(notebook: NotebookNode, md: Path) -> str:
    """Write a notebook as the text that JupyterLab would save at ``md``."""
    # Jupytext notes its options in the notebook that it is given, so it gets a copy.
    return str(jupytext.writes(deepcopy(notebook), fmt="md:myst", config=_config(md)))


def cells(notebook: NotebookNode) -> list[tuple[str, str, dict[str, Any]]]:
    """Everything that the two files of a pair must share."""
    shared = ("tags", "mystnb")
    found = []
    for cell in notebook.cells:
        metadata = {key: cell.metadata[key] for key in shared if key in cell.metadata}
        found.append((cell.cell_type, cell.source, metadata))
    return found


def digest(notebook: NotebookNode) -> str:
    """Fingerprint the sources together with the outputs that they gave, pictures included."""
    content = [(cell, c.get("outputs", [])) for cell, c in zip(cells(notebook), notebook.cells, strict=True)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _config(md: Path) -> Any:
    return load_jupytext_configuration_file(find_jupytext_configuration_file(str(md.resolve())))
