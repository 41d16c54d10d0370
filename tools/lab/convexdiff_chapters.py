"""One way to run and store a chapter, shared by the test run, ``tools/refresh.py`` and JupyterLab.

A chapter that somebody opens in JupyterLab, runs from the top and saves comes out byte for byte as it was.
"""

import os
from base64 import b64decode, b64encode
from io import BytesIO
from typing import Any

from PIL import Image

KERNEL_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # the order of a parallel sum changes its last digits, and so a figure's pixels
    "PYTHONHASHSEED": "0",  # sets are printed in one order
    "SOURCE_DATE_EPOCH": "0",  # figures carry no date
}


def settle_kernel_environment() -> None:
    """Fix what the kernels started by this process inherit."""
    os.environ.update(KERNEL_ENVIRONMENT)
    os.environ.setdefault("CONVEXDIFF_NUMBA", "1")  # interpreted and compiled sums differ in last digits, too
    os.environ.pop("MPLBACKEND", None)  # with any other backend than the kernel's own, no figure is shown


def store_alike(notebook: dict[str, Any]) -> None:
    """Drop what depends on the machine, or on how a notebook is saved, and make its pictures small."""
    notebook["metadata"].get("language_info", {}).pop("version", None)
    notebook["metadata"].pop("jupytext", None)  # chapters/jupytext.toml says it for all
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output["data"]["image/png"] = with_few_colours(output["data"]["image/png"])


def with_few_colours(picture: str) -> str:
    """Return a picture in 256 colours, of which a figure has no use for more: a third of the bytes.

    A picture that is so already stays as it is.  Both are in base 64, as notebooks store them.
    """
    with Image.open(BytesIO(b64decode(picture))) as drawn:
        if drawn.mode == "P":
            return picture
        few = drawn.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        written = BytesIO()
        few.save(written, "PNG", optimize=True, dpi=drawn.info.get("dpi"))
    return b64encode(written.getvalue()).decode()


def before_saving(model: dict[str, Any], **_: object) -> None:
    """Do to a notebook that JupyterLab saves what ``tools/refresh.py`` does."""
    if model["type"] == "notebook":
        store_alike(model["content"])


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "convexdiff_chapters"}]


def _load_jupyter_server_extension(server: Any) -> None:
    settle_kernel_environment()
    # Extensions load in the order of their names: Jupytext comes later and starts a manager that reads this.
    server.config.FileContentsManager.pre_save_hook = before_saving
