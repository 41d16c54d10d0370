"""Stored pictures: sharp, small, and of the colours that were drawn."""

from __future__ import annotations

from base64 import b64decode, b64encode
from io import BytesIO

import nbformat
import numpy as np
import pytest
from convexdiff_chapters import store_alike, with_few_colours
from nbclient import NotebookClient
from PIL import Image

from convexdiff_lib.plots import ROLES

CELL = """
import numpy as np
import matplotlib.pyplot as plt
from convexdiff_lib.plots import ROLES, panels, use_style
use_style()
figure, (ax,) = panels(["every role"])
for k, style in enumerate(ROLES.values()):
    ax.plot([0, 1], [k, k + np.pi], **style)
plt.show()
"""


def opened(picture: str) -> Image.Image:
    return Image.open(BytesIO(b64decode(picture)))


@pytest.fixture(scope="module")
def drawn() -> nbformat.NotebookNode:
    """What a cell of a chapter shows, as Jupyter has it."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    return NotebookClient(notebook, timeout=120).execute().cells[0].outputs[0]


def test_a_figure_has_two_pixels_for_each_of_the_page(drawn: nbformat.NotebookNode) -> None:
    shown = drawn.metadata["image/png"]
    assert opened(drawn.data["image/png"]).width // 2 == shown["width"]
    assert (
        abs(opened(with_few_colours(drawn.data["image/png"])).info["dpi"][0] - 240) <= 0.01
    )  # per metre in PNG


def test_a_stored_figure_is_small_and_looks_the_same(drawn: nbformat.NotebookNode) -> None:
    before = drawn.data["image/png"]
    after = with_few_colours(before)
    assert len(after) <= len(before) / 2
    old, new = (np.asarray(opened(p).convert("RGB")).astype(int) for p in (before, after))
    assert np.abs(old - new).max() <= 8  # of 255: an eye sees no difference
    assert (new[(old == 255).all(axis=2)] == 255).all()  # paper stays white
    colours = {tuple(pixel) for pixel in new.reshape(-1, 3)}
    for style in ROLES.values():
        role = np.array([int(str(style["color"])[k : k + 2], 16) for k in (1, 3, 5)])
        assert min(np.abs(role - colour).max() for colour in colours) <= 3  # so do the colours of the roles


def test_storing_twice_changes_nothing(drawn: nbformat.NotebookNode) -> None:
    cell = nbformat.v4.new_code_cell(outputs=[drawn])
    notebook = nbformat.v4.new_notebook(cells=[cell, nbformat.v4.new_markdown_cell("words")])
    store_alike(notebook)
    once = notebook.cells[0].outputs[0].data["image/png"]
    store_alike(notebook)
    assert notebook.cells[0].outputs[0].data["image/png"] == once == with_few_colours(once)


def test_a_grey_picture_is_stored_too() -> None:
    written = BytesIO()
    Image.new("L", (3, 2), 77).save(written, "PNG")
    assert (
        opened(with_few_colours(b64encode(written.getvalue()).decode())).convert("L").getpixel((0, 0)) == 77
    )
