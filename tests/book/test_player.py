"""The player of films in headless Chromium: slider, button, keys, handle, and what it says."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from convexdiff_lib.book import Panel, film

pytestmark = pytest.mark.site

COUNT = 12
ANGLES = np.linspace(0, 2 * np.pi, COUNT, endpoint=False)
CAPTIONS = [f"hour {k}" for k in range(COUNT)]


@pytest.fixture(scope="module")
def clock() -> str:
    """A film of a clock: its hand is a line, whose end can be dragged."""
    panel = Panel("clock", x=(-1.5, 1.5), y=(-1.5, 1.5), equal=True)
    hands = np.column_stack([np.sin(ANGLES), np.cos(ANGLES)])
    panel.line([[0, x] for x in hands[:, 0]], [[0, y] for y in hands[:, 1]])
    panel.handle(hands[:, 0], hands[:, 1])
    return film([panel], CAPTIONS, label="hour", start=3, seconds=1.0).html


@pytest.fixture
def page(chromium: Browser, clock: str) -> Iterator[Page]:
    page = chromium.new_page(viewport={"width": 800, "height": 700})
    page.set_content(clock)
    yield page
    page.close()


def hour(page: Page) -> int:
    """The frame that is shown, if slider, caption, spoken value and the drawn hand agree on it."""
    value = int(page.locator("input").input_value())
    assert page.locator("output").text_content() == CAPTIONS[value]
    assert page.locator("input").get_attribute("aria-valuetext") == CAPTIONS[value]
    x, y = page.evaluate(
        """() => {
            const hand = document.querySelector('[data-moves]');
            const [from, to] = [hand.getPointAtLength(0), hand.getPointAtLength(hand.getTotalLength())];
            return [to.x - from.x, from.y - to.y];
        }"""
    )
    assert round(np.arctan2(x, y) / (2 * np.pi) * COUNT) % COUNT == value
    return value


def test_it_begins_where_it_was_told(page: Page) -> None:
    assert hour(page) == 3
    assert page.locator(".controls").is_visible()


def test_the_slider_moves_it(page: Page) -> None:
    page.locator("input").fill("7")
    assert hour(page) == 7
    page.locator("input").press("ArrowRight")
    assert hour(page) == 8
    page.locator("input").press("Home")
    assert hour(page) == 0


def test_arrow_keys_move_it_from_the_button_and_from_a_panel(page: Page) -> None:
    page.locator("button").press("ArrowLeft")
    assert hour(page) == 2
    page.locator(".panels").click(position={"x": 40, "y": 5})
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    assert hour(page) == 4
    for _ in range(COUNT):
        page.locator("button").press("ArrowRight")
    assert hour(page) == COUNT - 1


def test_it_plays_to_its_end_and_then_from_its_beginning(page: Page) -> None:
    button = page.locator("button")
    button.click()
    assert button.text_content() == "Pause"
    page.wait_for_function("document.querySelector('button').textContent === 'Play'", timeout=5000)
    assert hour(page) == COUNT - 1
    button.press("Enter")
    page.wait_for_timeout(150)
    button.press("Space")
    assert hour(page) < COUNT - 1
    assert button.text_content() == "Play"
    paused = hour(page)
    page.wait_for_timeout(300)
    assert hour(page) == paused


def test_the_handle_moves_it(page: Page) -> None:
    box = page.locator(".handle").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x + 60, y)
    page.mouse.down()
    assert hour(page) == 3
    page.mouse.move(x, y + 60)
    assert hour(page) == 6
    page.mouse.up()
    page.mouse.move(x, y - 60)
    assert hour(page) == 6
    page.keyboard.press("ArrowRight")
    assert hour(page) == 7


def test_two_films_on_a_page_do_not_meddle(page: Page, clock: str) -> None:
    panel = Panel("other", x=(0, 1), y=(0, 1))
    panel.line([0, 1], [[0, 1], [1, 0]])
    page.set_content(clock + film([panel], ["up", "down"], label="way").html)
    page.locator("input").nth(1).press("ArrowRight")
    assert page.locator("output").all_text_contents() == ["hour 3", "down"]


def test_without_scripts_there_is_a_figure_and_no_dead_slider(chromium: Browser, clock: str) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_content(clock)
    assert not page.locator(".controls").is_visible()
    assert page.locator("[data-moves]").first.get_attribute("d")
    assert page.locator("output").text_content() == CAPTIONS[3]
    context.close()
