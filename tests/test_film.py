"""Films: what is drawn is what was given, frame by frame, and a frame is there where no script runs."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from convexdiff_lib import _film
from convexdiff_lib.book import Film, Panel, film
from convexdiff_lib.plots import ROLES

WIDE, TALL = 1120, 694  # of a panel, in units of its drawing


def unit_panel(**more: Any) -> Panel:
    return Panel("title", x=(0, 1), y=(0, 1), **more)


def given(made: Film) -> dict[str, Any]:
    """What the script of a film is called with."""
    call: dict[str, Any] = json.loads(made.html.partition("})(")[2].partition(")</script>")[0])
    return call


def corners(path: str) -> list[tuple[int, int]]:
    """The points of a path of lines."""
    numbers = np.array(re.findall(r"[-+]?\d+", path), dtype=int).reshape(-1, 2)
    return [(int(u), int(v)) for u, v in numbers.cumsum(axis=0)]


def test_every_frame_is_drawn_where_the_numbers_are() -> None:
    panel = unit_panel()
    panel.line([0, 0.5, 1], [[0, 1, 0], [1, 0, 0.5]])
    moving = given(film([panel], ["a", "b"], label="frame"))["moving"]
    assert [corners(path) for path in moving[0]] == [
        [(0, TALL), (WIDE // 2, 0), (WIDE, TALL)],
        [(0, 0), (WIDE // 2, TALL), (WIDE, TALL // 2)],
    ]


def test_small_steps_do_not_add_up_to_an_error() -> None:
    x = np.linspace(0, 1, 1000)
    panel = unit_panel()
    panel.line(x, [x, x**2])
    last = corners(given(film([panel], ["a", "b"], label="frame"))["moving"][0][1])[-1]
    assert last == (WIDE, 0)


def test_what_stands_still_is_drawn_once() -> None:
    panel = unit_panel()
    panel.line([0, 1], [0, 1], "exact", "truth")
    panel.dots([[0.5], []], [[0.5], []])
    made = film([panel], ["a", "b"], label="frame")
    assert given(made)["moving"] == [[f"m{WIDE // 2} {TALL // 2}h0", ""]]
    assert made.html.count("data-moves") == 2  # the layer, and the script that looks for it
    assert made.html.count(f"M0 {TALL}l+{WIDE}-{TALL}") == 1
    assert made.html.count("truth") == 1


@pytest.mark.parametrize("start", [0, 1])
def test_without_scripts_the_first_frame_is_seen(start: int) -> None:
    panel = unit_panel()
    panel.line([0, 1], [[0, 1], [1, 0]])
    made = film([panel], ["one", "two"], label="the slope", start=start)
    still = made.html.partition("<script>")[0]
    for frame, path in enumerate(given(made)["moving"][0]):
        assert (f'd="{path}"' in still) == (frame == start)
    assert f'<output aria-live="off">{["one", "two"][start]}</output>' in still
    assert f'aria-valuetext="{["one", "two"][start]}"' in still
    assert '<div class="controls" hidden>' in still


def test_a_film_loads_nothing() -> None:
    panel = unit_panel()
    panel.line([0, 1], [[0, 1], [1, 0]])
    assert not re.search(r"src=|href=|import |https?:", film([panel], ["a", "b"], label="frame").html)


def test_words_are_words() -> None:
    panel = Panel("a < b", x=(0, 1), y=(0, 1), alt='say "a < b"')
    panel.text(0.5, 0.5, "<i>")
    panel.line([0, 1], [[0, 1], [1, 0]], label="x & y")
    made = film([panel], ["1 < 2", "</script>"], label="<b>")
    still, _, rest = made.html.partition("<script>")
    for raw in ("a < b", "<i>", "x & y", "1 < 2", "<b>"):
        assert raw not in still
    assert rest.count("</script>") == 1
    assert given(made)["captions"] == ["1 < 2", "</script>"]


def test_a_handle_knows_its_places() -> None:
    panel = unit_panel()
    panel.handle([0, 1], [0, 1])
    made = film([panel], ["a", "b"], label="frame")
    assert f'data-places="[0, {TALL}, {WIDE}, 0]"' in made.html


@pytest.mark.parametrize(
    ("ends", "ticks"),
    [
        ((0, 1), ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        ((-4.5, 4.5), ["−4", "−2", "0", "2", "4"]),
        ((0.0, 0.3), ["0", "0.1", "0.2", "0.3"]),
        ((-1e-3, 1e-3), ["−0.001", "−0.0005", "0", "0.0005", "0.001"]),
        ((1990, 2010), ["1990", "1995", "2000", "2005", "2010"]),
    ],
)
def test_ticks_are_round_numbers(ends: tuple[float, float], ticks: list[str]) -> None:
    assert [_film._number(t) for t in _film._ticks(ends, 5)] == ticks


@pytest.mark.parametrize("scale", 10.0 ** np.arange(-8, 9))
def test_there_are_a_few_ticks_whatever_the_axes_show(scale: float) -> None:
    for high in np.linspace(1, 10, 37):
        assert 3 <= len(_film._ticks((-scale, high * scale), 6)) <= 8


def test_one_unit_is_as_long_on_both_axes_if_asked() -> None:
    panel = Panel("square", x=(0, 2), y=(-1, 1), equal=True)
    panel.line([0, 2], [[-1, 1], [1, -1]])
    made = film([panel], ["a", "b"], label="frame")
    assert corners(given(made)["moving"][0][0]) == [(0, WIDE), (WIDE, 0)]


def test_colours_are_those_of_the_figures() -> None:
    for role, style in ROLES.items():
        colour = _film._ROLES[role][0]
        assert colour == ("currentColor" if role == "exact" else style["color"])


@pytest.mark.parametrize("draw", ["line", "region", "dots", "rings"])
def test_bad_places_are_refused(draw: str) -> None:
    panel = unit_panel()
    with pytest.raises(ValueError, match=r"one shape; got \(2,\) and \(1,\) in frame 0"):
        getattr(panel, draw)([0, 1], [0])
    with pytest.raises(ValueError, match="as many frames; got 2 and 3"):
        getattr(panel, draw)([[0], [1]], [[0], [1], [2]])
    with pytest.raises(ValueError, match=r"x\[1\] must"):
        getattr(panel, draw)([[0], [np.nan]], [0])
    with pytest.raises(ValueError, match="x must be one array, or a list of one for each frame"):
        getattr(panel, draw)([[[0]], [[1]]], [0])
    with pytest.raises(ValueError, match=r"role must be one of learned, .*; got 'best'"):
        getattr(panel, draw)([0], [0], "best")


def test_bad_films_are_refused() -> None:
    with pytest.raises(ValueError, match=r"x must go from a smaller to a larger number; got \(1, 1\)"):
        Panel("empty", x=(1, 1), y=(0, 1))
    panel = unit_panel()
    panel.line([0, 1], [[0, 1], [1, 0]], label="curve")
    for captions, start in ((["a"], 0), ([], 0), (["a", "b"], 2), (["a", "b"], -1)):
        with pytest.raises(ValueError, match=r"frames|start"):
            film([panel], captions, label="frame", start=start)
    with pytest.raises(ValueError, match="a film has panels"):
        film([], ["a", "b"], label="frame")
    with pytest.raises(ValueError, match="curve of panel 'title' has 2 frames; captions has 3"):
        film([panel], ["a", "b", "c"], label="frame")
    with pytest.raises(ValueError, match="seconds"):
        film([panel], ["a", "b"], label="frame", seconds=0)
