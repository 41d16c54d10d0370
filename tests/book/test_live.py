"""The instruments of the pages in headless Chromium: by any input they show what the library says."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.request import urlopen

import pytest
from axe_playwright_python.sync_playwright import Axe
from bare_scripts import bare
from instrument import AXE, GRAVE, PAGES, Instrument, Open, enter
from playwright.sync_api import Browser

from tools import browser

pytestmark = pytest.mark.site

INSTRUMENTS = ["drag-data", "drag-data again", "beam", "denoise", "your data"]
POINTS = INSTRUMENTS[:3]
MODULES = Path(__file__).parents[2] / "_static" / "live"

each_instrument = pytest.mark.parametrize("name", INSTRUMENTS)
each_with_points = pytest.mark.parametrize("name", POINTS)


@each_instrument
def test_it_draws_itself_and_agrees_with_the_library(opened: Open, name: str) -> None:
    shown = opened(name)
    assert not shown.find(".live-off").count()
    shown.agrees()


@each_with_points
def test_a_dragged_point_moves_and_the_optimum_follows(opened: Open, name: str) -> None:
    shown = opened(name)
    before, value = shown.points(), shown.number("value")
    x, y = shown.middle(shown.mark(0))
    shown.page.mouse.move(x, y)
    shown.page.mouse.down()
    with shown.redrawn():
        shown.page.mouse.move(x + 20, y, steps=4)
    shown.page.mouse.up()
    after = shown.points()
    assert len(after) == len(before)
    assert after[0] >= before[0] + 0.2
    assert abs(shown.number("value") - value) >= 1e-6 * abs(value)
    shown.agrees()


@each_with_points
def test_a_finger_moves_a_point_and_a_tap_adds_one(opened: Open, name: str) -> None:
    shown = opened(name, width=390, has_touch=True)
    before = shown.points()
    x, y = shown.middle(shown.mark(0))
    touch = shown.page.context.new_cdp_session(shown.page)

    def send(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": u, "y": v} for u, v in places]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    send("touchStart", (x, y))
    with shown.redrawn():
        for k in range(1, 6):
            send("touchMove", (x + 4 * k, y))
        send("touchEnd")
    assert shown.points()[0] >= before[0] + 0.2
    with shown.redrawn():
        shown.page.touchscreen.tap(x + 100, y - 60)
    assert len(shown.points()) == len(before) + 1
    shown.agrees()


@each_with_points
def test_keys_do_what_a_mouse_does(opened: Open, name: str) -> None:
    shown = opened(name)
    keys, before = shown.page.keyboard, sorted(shown.points())
    reached = reach(shown, "[data-point]")
    assert reached
    with shown.redrawn():
        keys.press("ArrowRight")
    assert sorted(shown.points()) != before
    with shown.redrawn():
        keys.press("End")
    last = shown.page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert last == f"point {len(before)} of {len(before)}"
    with shown.redrawn():
        keys.press("Shift+ArrowLeft")
    with shown.redrawn():
        keys.press("PageUp")
    with shown.redrawn():
        keys.press("Delete")
    assert len(shown.points()) == len(before) - 1
    with shown.redrawn():
        keys.press("Insert")
    assert len(shown.points()) == len(before)
    assert shown.page.evaluate("document.activeElement.hasAttribute('data-point')")
    shown.agrees()


@each_instrument
def test_every_control_is_reached_by_keys_and_has_a_name(opened: Open, name: str) -> None:
    shown = opened(name)
    missed = shown.find("button:enabled, input:not([type=radio]), select, summary, textarea").evaluate_all(
        "all => all.filter(e => e.tabIndex < 0 || !e.getClientRects().length && !e.closest('details'))"
        ".map(e => e.outerHTML)"
    )
    assert missed == []
    beta = shown.slider("weight decay")
    beta.focus()
    with shown.redrawn():
        shown.page.keyboard.press("ArrowRight")
    said = beta.get_attribute("aria-valuetext")
    assert said == shown.find(f'output[for="{beta.get_attribute("id")}"]').text_content()
    shown.find("input[type=radio]:checked").first.focus()
    with shown.redrawn():
        shown.page.keyboard.press("ArrowRight")
    shown.agrees()


@pytest.mark.parametrize("name", ["drag-data", "beam"])
def test_a_switch_changes_the_network(opened: Open, name: str) -> None:
    shown = opened(name)
    value = shown.number("value")
    shown.root.get_by_role("switch").focus()
    with shown.redrawn():
        shown.page.keyboard.press("Space")
    assert shown.number("value") <= value  # a skip connection costs nothing
    shown.agrees()


def test_below_the_threshold_it_says_that_and_why(opened: Open) -> None:
    shown = opened("drag-data")
    shown.slider("weight decay").focus()
    with shown.redrawn():
        shown.page.keyboard.press("Home")
    said = shown.find(".live-readout").text_content() or ""
    assert "No network is optimal" in said
    assert "falls without end" in said
    assert shown.number("critical") == 1.0
    with shown.redrawn():
        enter(shown, "-1, 0, 0, 0, 2")
    assert shown.number("critical") == 1.5  # half of the three that lie together
    assert "Up to 3 points" in (shown.find(".live-readout").text_content() or "")


def test_it_says_when_there_is_no_density(opened: Open) -> None:
    shown = opened("drag-data again")
    with shown.redrawn():
        shown.find("select").select_option("outlier")
    assert "no density" in (shown.find(".live-readout").text_content() or "")
    shown.agrees()


@each_with_points
def test_the_points_are_in_the_key(opened: Open, name: str) -> None:
    key = opened(name).find(".live-panel").first.locator(".live-key span")
    assert key.filter(has_text="points").locator("circle.live-handle").count() == 1


@pytest.mark.parametrize("name", ["drag-data", "drag-data again"])
def test_on_a_phone_the_slider_is_seen_with_all_charts(opened: Open, name: str) -> None:
    shown = opened(name, width=390)
    top = shown.slider("weight decay").bounding_box()
    chart = shown.find(".live-chart").last.bounding_box()
    assert top is not None
    assert chart is not None
    assert chart["y"] + chart["height"] - top["y"] <= 600  # of 844, less the bars of page and browser


def test_what_is_not_certified_is_not_called_so(opened: Open) -> None:
    shown = opened("drag-data")
    said = shown.find(".live-readout")
    assert "certified in this page" in (said.text_content() or "")
    with shown.redrawn():
        enter(shown, ", ".join(f"1e-{k}" for k in range(40)))
    assert "not certified: " in (said.text_content() or "")
    assert "1.1e38 times the shortest" in (said.text_content() or "")
    assert "certified in this page" not in (said.text_content() or "")


@each_with_points
def test_a_typed_place_may_lie_beyond_the_axes(opened: Open, name: str) -> None:
    shown = opened(name, width=390)
    with shown.redrawn():
        shown.find(".live-editor input").fill("40.5")
        shown.find(".live-editor input").press("Enter")
    assert max(shown.points()) == 40.5
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= 390
    right = shown.find(".live-plot").first.evaluate("plot => plot.getBoundingClientRect().right")
    assert max(shown.middle(shown.mark(k))[0] for k in range(len(shown.points()))) <= right
    shown.agrees()


@each_with_points
def test_data_can_be_pasted_and_a_fault_is_told(opened: Open, name: str) -> None:
    shown = opened(name)
    with shown.redrawn():
        enter(shown, "1.5 2;  −3,7\n11.25")
    assert shown.points() == [1.5, 2.0, -3.0, 7.0, 11.25]
    shown.agrees()
    value = shown.number("value")
    for text, fault in (("1, two, 3", "“two” is not a number."), ("1 " * 200, "points, please")):
        enter(shown, text)
        told = shown.find(".live-fault")
        told.filter(has_text=fault).wait_for()
        assert told.get_attribute("role") == "alert"
        assert shown.find(".live-numbers input").get_attribute("aria-invalid") == "true"
    assert shown.number("value") == value


def test_the_line_of_the_path_sets_the_weight_decay(opened: Open) -> None:
    shown = opened("beam")
    plot = shown.find(".live-plot").nth(2)
    x, y = shown.middle(plot)
    with shown.redrawn():
        shown.page.mouse.click(x, y)
    beta = float(shown.find("output").first.get_attribute("data-value") or "nan")
    assert 1.02 < beta < 40
    assert abs(beta / (1.02 * 40) ** 0.5 - 1) <= 0.02  # the middle of a logarithmic axis, to three digits
    shown.agrees()


@pytest.mark.parametrize("name", ["beam", "denoise"])
def test_it_plays_pauses_and_steps(opened: Open, name: str) -> None:
    shown = opened(name)
    play = shown.find(".live-buttons button").first
    step = shown.find(".live-buttons button").last
    play.focus()
    shown.page.keyboard.press("Enter")
    assert play.text_content() == "Pause"
    for _ in range(3):
        with shown.redrawn():
            pass
    shown.page.keyboard.press("Enter")
    assert play.text_content() == "Play"
    still = [standing(shown)]
    shown.page.wait_for_timeout(400)
    still.append(standing(shown))
    assert still[0] == still[1]
    step.focus()
    with shown.redrawn():
        shown.page.keyboard.press("Enter")
    assert standing(shown) != still[0]
    shown.agrees()


def test_samples_pass_all_levels_and_stay_with_the_data(opened: Open) -> None:
    shown = opened("denoise")
    step = shown.find(".live-buttons button").last
    step.evaluate("button => { for (let k = 0; k < 100; k++) button.click(); }")
    shown.page.wait_for_function("() => document.querySelector('[data-name=step]')?.value === '100'")
    assert shown.number("level") == 10
    assert shown.number("away") <= 40  # of 800
    with shown.redrawn():
        shown.find("input[value=plus]").check()
    step.evaluate("button => { for (let k = 0; k < 100; k++) button.click(); }")
    shown.page.wait_for_function("() => document.querySelector('[data-name=step]')?.value === '100'")
    assert shown.number("away") >= 400  # with the opposite sign they run away
    shown.agrees()


def test_the_same_seed_gives_the_same_noise_and_a_button_other_noise(
    opened: Open,
) -> None:
    first, second = opened("denoise"), opened("denoise")
    value = first.number("value")
    assert second.number("value") == value
    with first.redrawn():
        first.root.get_by_role("button", name="New noise").press("Enter")
    assert first.number("value") != value
    first.agrees()


def test_who_prefers_reduced_motion_gets_two_steps_a_second(opened: Open) -> None:
    delays = {}
    for motion in ("no-preference", "reduce"):
        shown = opened("beam", reduced_motion=motion)
        shown.page.evaluate("window.asked = []; window.setInterval = (f, delay) => asked.push(delay);")
        shown.find(".live-buttons button").first.click()
        delays[motion] = shown.page.evaluate("asked.filter(Boolean)")  # the driver asks, too
    assert delays["reduce"] == [500]
    assert max(delays["no-preference"]) <= 100


@each_instrument
def test_many_changes_in_one_frame_are_drawn_once(opened: Open, name: str) -> None:
    shown = opened(name)
    shown.page.wait_for_timeout(500)  # until the path of the beam is there
    drawn = shown.slider("weight decay").evaluate(
        """async slider => {
            const root = slider.closest('[data-live]'), before = Number(root.dataset.drawn);
            for (let k = 0; k < 50; k++) {
                slider.value = 200 + k;
                slider.dispatchEvent(new Event('input'));
            }
            await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
            return Number(root.dataset.drawn) - before;
        }"""
    )
    assert drawn == 1


@each_instrument
@pytest.mark.parametrize("theme", browser.THEMES)
@pytest.mark.parametrize("width", browser.WIDTHS)
def test_axe_finds_nothing_serious(opened: Open, name: str, theme: str, width: int) -> None:
    shown = opened(name, theme, width)
    shown.find(".live-copy summary").click()
    found = Axe().run(shown.page, context="[data-live]", options=AXE).response["violations"]
    assert [json.dumps(f["nodes"][0]["html"])[:200] for f in found if f["impact"] in GRAVE] == []


@each_instrument
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_it_fits_its_page(opened: Open, name: str, width: int) -> None:
    shown = opened(name, width=width)
    right = shown.root.evaluate("root => root.getBoundingClientRect().right")
    wide = shown.find(":scope *").evaluate_all(
        "(all, right) => all.filter(e => !e.closest('svg svg, .live-spoken')"
        " && e.getBoundingClientRect().right > right + 1).map(e => e.outerHTML.slice(0, 120))",
        right,
    )
    assert wide == []


@pytest.mark.parametrize("module", sorted(MODULES.glob("*.mjs")), ids=lambda module: module.name)
def test_scripts_are_served_without_comments(site: str, module: Path) -> None:
    with urlopen(f"{site}_static/live/{module.name}") as response:
        assert response.read().decode() == bare(module.read_text("utf-8"))


@each_instrument
def test_without_scripts_the_figure_is_there(site: str, chromium: Browser, name: str) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}{PAGES[name]}.html")
    assert page.locator("[data-live] .live-off").first.is_visible()
    assert not page.locator("[data-live] button").count()
    if page.locator(".live-instead").count():
        assert page.locator(".live-instead + .cell img").is_visible()
    assert page.locator("article img").first.is_visible()
    context.close()


def test_a_page_opened_as_a_file_keeps_the_figure(chromium: Browser, site: str) -> None:
    page = browser.new_page(chromium, "light", 1280)
    page.goto((browser.SITE / f"{PAGES['beam']}.html").as_uri())
    assert page.locator("[data-live] .live-off").first.is_visible()
    assert page.locator(".live-instead + .cell img").is_visible()
    page.close()


def test_with_scripts_it_takes_the_place_of_the_picture(
    opened: Open,
) -> None:
    shown = opened("beam")
    assert not shown.page.locator(".live-instead + .cell img").is_visible()


def test_what_is_read_out_waits_for_a_pause(opened: Open) -> None:
    shown = opened("drag-data")
    spoken = shown.find(".live-spoken")
    assert spoken.get_attribute("aria-live") == "polite"
    with shown.redrawn():
        shown.slider("weight decay").press("ArrowRight")
    shown.page.wait_for_function(
        "() => document.querySelector('.live-spoken').textContent"
        " === document.querySelector('.live-readout').textContent"
    )


def reach(shown: Instrument, selector: str) -> bool:
    """Press Tab from the first control on until the focus is on what is wanted."""
    shown.slider("weight decay").focus()
    for _ in range(20):
        shown.page.keyboard.press("Tab")
        if shown.page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
            return True
    return False


def standing(shown: Instrument) -> str | None:
    return shown.find(".live-readout").text_content()
