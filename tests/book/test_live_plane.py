"""The two instruments in the plane in headless Chromium: chambers, and wedges with their dual response."""

from __future__ import annotations

import ast

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from instrument import AXE, GRAVE, PAGES, Instrument, Open, enter
from playwright.sync_api import Browser

from convexdiff_lib import enumerate_arrangements, wedge_denoising
from convexdiff_lib._validation import FloatArray
from tools import browser

pytestmark = pytest.mark.site

INSTRUMENTS = ["chambers", "wedge"]
SAME = 1e-8  # of the loss: the library stops at 5e-9
STEP = 1 / 16  # of the grid of points

COLUMNS = """body => [...body.rows[0].cells].slice(1).map(
    (_, i) => [...body.rows].map(row => +row.cells[i + 1].textContent))"""

each_instrument = pytest.mark.parametrize("name", INSTRUMENTS)


def points(shown: Instrument) -> FloatArray:
    return np.array(shown.points()).reshape(-1, 2)


def given(shown: Instrument) -> dict[str, FloatArray]:
    """The data in the lines of Python that the page writes."""
    shown.find(".live-copy").evaluate("fold => { fold.open = true; }")
    shown.page.wait_for_function("() => document.querySelector('.live-copy textarea').value")
    lines = shown.find(".live-copy textarea").input_value().splitlines()
    pairs = [line.split(" = ") for line in lines if " = [" in line]
    return {name: np.array(ast.literal_eval(text)) for name, text in pairs}


def agrees(shown: Instrument, name: str) -> None:
    """Compare what the page shows with what the library says about the same data."""
    data = given(shown)
    assert np.abs(data["X"] - points(shown)).max() <= 0
    if name == "chambers":
        patterns = enumerate_arrangements(data["X"]).patterns
        columns = [c for table in shown.find("tbody").all() for c in table.evaluate(COLUMNS)]
        assert sorted(columns) == sorted(patterns.astype(int).tolist())
        assert shown.number("chambers") == len(patterns)
        assert shown.number("formula") == 2 * len(data["X"])
        return
    norm = shown.find("input[type=radio]:checked").input_value()
    lam = float(shown.find("output").first.get_attribute("data-value") or "nan")
    fit = wedge_denoising(data["X"], data["targets"], lam, p=1 if norm == "one" else 2, exact=norm == "two")
    assert abs(shown.number("value") - fit.value) <= SAME * fit.value
    said = shown.find(".live-readout").text_content() or ""
    wanting = shown.find('[data-name="largest"]').count() > 0
    assert ("certified over all directions" in said) != wanting
    assert norm == "wedges" or not wanting


@each_instrument
def test_it_says_what_the_library_says(opened: Open, name: str) -> None:
    shown = opened(name)
    assert not shown.find(".live-off").count()
    agrees(shown, name)
    for kind in ("lattice", "opposite", "through", "beside"):
        with shown.redrawn():
            shown.find("select").last.select_option(kind)
        agrees(shown, name)


@pytest.mark.parametrize("norm", ["wedges", "two"])
@pytest.mark.parametrize("aim", ["centres", "origin", "circle"])
def test_other_norms_and_targets(opened: Open, norm: str, aim: str) -> None:
    shown = opened("wedge")
    with shown.redrawn():
        shown.find(f"input[value={norm}]").check()
    with shown.redrawn():
        shown.find("select").first.select_option(aim)
    agrees(shown, "wedge")


def test_wedges_alone_are_not_enough_for_the_two_norm(opened: Open) -> None:
    shown = opened("wedge")
    with shown.redrawn():
        shown.find("input[value=wedges]").check()
    upper = shown.number("value")
    assert shown.number("largest") > 1.01
    assert shown.number("dual") < upper
    with shown.redrawn():
        shown.find("input[value=two]").check()
    assert shown.number("value") < upper * (1 - 1e-4)


def test_a_large_weight_decay_leaves_no_neuron(opened: Open) -> None:
    shown = opened("wedge")
    shown.slider("weight decay").focus()
    with shown.redrawn():
        shown.page.keyboard.press("End")
    assert shown.number("neurons") == 0
    agrees(shown, "wedge")


@each_instrument
def test_a_dragged_point_moves_and_a_click_adds_one(opened: Open, name: str) -> None:
    shown = opened(name)
    before = points(shown)
    x, y = shown.middle(shown.mark(0))
    shown.page.mouse.move(x, y)
    shown.page.mouse.down()
    with shown.redrawn():
        shown.page.mouse.move(x - 20, y - 20, steps=4)
    shown.page.mouse.up()
    after = points(shown)
    assert after[0, 0] < before[0, 0]
    assert after[0, 1] > before[0, 1]
    assert (after[0] % STEP == 0).all()
    assert (after[1:] == before[1:]).all()
    with shown.redrawn():
        shown.page.mouse.click(x + 10, y + 60)
    assert len(points(shown)) == len(before) + 1
    agrees(shown, name)


@each_instrument
def test_a_finger_moves_a_point(opened: Open, name: str) -> None:
    shown = opened(name, width=390, has_touch=True)
    before = points(shown)
    shown.mark(0).scroll_into_view_if_needed()
    shown.page.mouse.wheel(0, 150)
    shown.page.wait_for_timeout(300)
    x, y = shown.middle(shown.mark(0))
    touch = shown.page.context.new_cdp_session(shown.page)
    with shown.redrawn():
        for kind, moved in (("touchStart", 0), ("touchMove", -10), ("touchMove", -20)):
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x + moved, "y": y}]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert points(shown)[0, 0] < before[0, 0]
    agrees(shown, name)


@each_instrument
def test_keys_alone_move_add_and_remove(opened: Open, name: str) -> None:
    shown = opened(name)
    keys, before = shown.page.keyboard, points(shown)
    shown.find("input[type=range]").first.focus()
    for _ in range(20):
        keys.press("Tab")
        if shown.page.evaluate("document.activeElement.matches('[data-point]')"):
            break
    for key in ("ArrowLeft", "Shift+ArrowUp", "PageDown", "ArrowRight"):
        with shown.redrawn():
            keys.press(key)
    moved = points(shown)
    assert moved[0, 0] < before[0, 0]
    assert moved[0, 1] > before[0, 1] + 9 * STEP - 0.1
    assert moved[1, 0] > before[1, 0]
    with shown.redrawn():
        keys.press("Delete")
    assert len(points(shown)) == len(before) - 1
    for _ in range(12):
        keys.press("Insert")
    shown.page.wait_for_timeout(300)
    assert len(points(shown)) == 12
    agrees(shown, name)


def test_points_on_one_line_are_one(opened: Open) -> None:
    shown = opened("chambers")
    with shown.redrawn():
        enter(shown, "1 0.5; -2 -1; 0.5 0.25; 0 0; 1 -1")
    assert shown.number("lines") == 2
    assert shown.number("chambers") == 4
    said = shown.find(".live-readout").text_content() or ""
    assert "share a line here: 1, 2 and 3." in said
    assert "point 4 is on for every u" in said
    agrees(shown, "chambers")


def test_the_weights_are_turned_by_keys_and_dragged(opened: Open) -> None:
    shown = opened("chambers")
    assert shown.number("here") == 10
    shown.slider("direction").focus()
    for _ in range(20):
        shown.page.keyboard.press("ArrowRight")
    shown.page.wait_for_timeout(200)
    assert shown.number("here") == 1
    box = shown.find(".live-plot").nth(1).bounding_box()
    assert box is not None
    with shown.redrawn():
        shown.page.mouse.click(box["x"] + 0.1 * box["width"], box["y"] + 0.5 * box["height"] + 4)
    angle = float(shown.find("output").first.get_attribute("data-value") or "nan")
    assert 180 < angle < 190
    # The pattern of the chamber in which u is now, as the table marks it.
    u = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    marked = shown.find("tbody td[data-here]").evaluate_all("cells => cells.map(c => +c.textContent)")
    assert marked == (points(shown) @ u >= 0).astype(int).tolist()


@each_instrument
def test_a_faulty_list_is_told(opened: Open, name: str) -> None:
    shown = opened(name)
    before = given(shown)["X"]
    for text, fault in (
        ("1, two", "“two” is not a number."),
        ("1 2 3", "Two numbers for each point"),
        ("1 " * 30, "One to 12 points"),
        ("1 7", "from −2.5 to 2.5"),
    ):
        enter(shown, text)
        shown.find(".live-fault").filter(has_text=fault).wait_for()
    assert np.abs(given(shown)["X"] - before).max() <= 0


@each_instrument
@pytest.mark.parametrize("theme", browser.THEMES)
@pytest.mark.parametrize("width", browser.WIDTHS)
def test_axe_finds_nothing_serious(opened: Open, name: str, theme: str, width: int) -> None:
    shown = opened(name, theme, width)
    shown.find(".live-copy summary").click()
    found = Axe().run(shown.page, context="[data-live]", options=AXE).response["violations"]
    assert [f["nodes"][0]["html"][:200] for f in found if f["impact"] in GRAVE] == []


@each_instrument
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_it_fits_its_page_with_many_points(opened: Open, name: str, width: int) -> None:
    shown = opened(name, width=width)
    with shown.redrawn():
        enter(shown, "; ".join(f"{np.cos(t):.3f} {np.sin(t):.3f}" for t in np.arange(12) / 4))
    right = shown.root.evaluate("root => root.getBoundingClientRect().right")
    wide = shown.find(":scope *").evaluate_all(
        "(all, right) => all.filter(e => !e.closest('svg svg, .live-spoken')"
        " && e.getBoundingClientRect().right > right + 1).map(e => e.outerHTML.slice(0, 120))",
        right,
    )
    assert sorted(set(wide)) == []


@each_instrument
def test_without_scripts_a_figure_is_there(site: str, chromium: Browser, name: str) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}{PAGES[name]}.html")
    assert page.locator("[data-live] .live-off").first.is_visible()
    assert not page.locator("[data-live] button").count()
    assert page.locator("article img").first.is_visible()
    context.close()


@each_instrument
def test_what_is_read_out_waits_for_a_pause(opened: Open, name: str) -> None:
    shown = opened(name)
    assert shown.find(".live-spoken").get_attribute("aria-live") == "polite"
    with shown.redrawn():
        shown.find("input[type=range]").first.press("ArrowRight")
    shown.page.wait_for_function(
        "() => document.querySelector('.live-spoken').textContent"
        " === document.querySelector('.live-readout').textContent"
    )
