"""What is mended in the body of a page on its way out."""

from __future__ import annotations

from pathlib import Path

import pytest
import reading
from PIL import Image


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('<div role="list" class="citation-list"><a>', '<div class="citation-list"><a>'),
        ('<div class="citation" role="doc-biblioentry">', '<div class="citation">'),
        ('<summary aria-label="Toggle hidden content">Show</summary>', "<summary>Show</summary>"),
        ('<th class="head text-left"></th>', '<td class="head text-left"></td>'),
        ('<th class="head"><p></p></th>', '<td class="head"></td>'),
        ('<th class="head"><p>Name</p></th>', '<th class="head"><p>Name</p></th>'),
    ],
)
def test_roles_that_contradict_their_content_go(before: str, after: str) -> None:
    assert reading.plain_roles(before) == after


@pytest.mark.parametrize(
    ("dpi", "shown"), [(240, (400, 200)), (120, (800, 400)), (72, (800, 400)), (None, (800, 400))]
)
def test_a_picture_says_how_large_it_is_shown(
    tmp_path: Path, dpi: int | None, shown: tuple[int, int]
) -> None:
    file = tmp_path / "a.png"
    Image.new("RGB", (800, 400)).save(file, **({"dpi": (dpi, dpi)} if dpi else {}))
    body = '<img alt="words" src="../_images/b.png"/>'
    width, height = shown
    sized = f'<img width="{width}" height="{height}" alt="words" src="../_images/b.png"/>'
    assert reading.sized(body, {"b.png": file}) == sized
    assert reading.sized(sized, {"b.png": file}) == sized
    assert reading.sized(body, {}) == body
