"""What a chapter of the book needs beside the library, so that it runs wherever the library is installed.

The text of a chapter shows numbers that its cells have computed: `glue` keeps them in the notebook.  What
takes minutes is computed once, by the scripts of the book: `stored_results` has it.  What moves stands behind
a slider: `film`.
"""

from __future__ import annotations

import json
import sys
from importlib.resources import files
from typing import Any

from ._film import Film, Panel, film

__all__ = ["Film", "Panel", "film", "glue", "stored_results"]

_HIDDEN = "application/papermill.record/"  # the prefix that MyST-NB reads, and Jupyter does not show


def glue(name: str, value: object, display: bool = True) -> None:
    """Keep what a value looks like among the outputs of a cell, where the text finds it by name.

    It does what ``myst_nb.glue`` does, but needs nothing; MyST-NB reads it when the book is built.  Outside
    of Jupyter the value is printed.

    Parameters
    ----------
    name : str
    value : object
    display : bool
        Whether to show the value below the cell, too.

    Examples
    --------
    >>> glue("answer", 42)
    42
    """
    ipython = sys.modules.get("IPython")  # Jupyter has loaded it
    shell = ipython and ipython.get_ipython()
    if shell:
        bundle, metadata = shell.display_formatter.format(value)
        prefix = "" if display else _HIDDEN
        metadata["scrapbook"] = {"name": name, "mime_prefix": prefix}
        shell.display_pub.publish({prefix + kind: data for kind, data in bundle.items()}, metadata)
    elif display:
        print(repr(value))


def stored_results(name: str) -> dict[str, Any]:
    """Return what a long experiment or a benchmark of the book has stored, settings and seeds included.

    Parameters
    ----------
    name : str
        Of the script: of an experiment ("denoising", "digit_images",
        "score_matching", "spiral"), or of a benchmark
        ("arrangements", "first_answer", "group_lasso", "sampling", "univariate").

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If nothing is stored under that name.

    Examples
    --------
    >>> stored_results("spiral")["seeds"]
    {'data': 0, 'chains': 1, 'Adam': 0}
    """
    folder = files("convexdiff_lib") / "stored"
    names = sorted(file.name[:-5] for file in folder.iterdir() if file.name.endswith(".json"))
    if name not in names:
        raise ValueError(f"name must be one of {', '.join(map(repr, names))}; got {name!r:.80}")
    return json.loads((folder / f"{name}.json").read_text("utf-8"))
