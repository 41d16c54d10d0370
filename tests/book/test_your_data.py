"""The page where readers bring their own numbers, in headless Chromium: pasted, dropped, chosen, typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from instrument import AXE, GRAVE, Instrument, Open
from playwright.sync_api import expect

from convexdiff_lib import choose_weight_decay, score_matching
from convexdiff_lib.book import stored_results
from tools import browser

pytestmark = pytest.mark.site

NUMBERS = np.random.default_rng(5).normal(size=60).round(3).tolist()
LINES = "\n".join(str(number) for number in NUMBERS)
DROP = """(node, {name, text}) => {
    const data = new DataTransfer();
    data.items.add(new File([text], name, {type: "text/plain"}));
    for (const type of ["dragover", "drop"]) {
        node.dispatchEvent(new DragEvent(type, {dataTransfer: data, bubbles: true, cancelable: true}));
    }
}"""


def paste(shown: Instrument, text: str) -> None:
    """Put a text in place of what is in the box."""
    box = shown.find("textarea").first
    box.focus()
    shown.page.keyboard.press("Control+a")
    shown.page.keyboard.insert_text(text)


def told(shown: Instrument, message: str) -> None:
    """What is wrong is said next to the box, and belongs to it."""
    fault = shown.find(".live-source .live-fault")
    expect(fault).to_contain_text(message)
    box = shown.find("textarea").first
    assert box.get_attribute("aria-invalid") is not None
    assert box.get_attribute("aria-describedby") == fault.get_attribute("id")


def fine(shown: Instrument) -> None:
    assert shown.find(".live-source .live-fault").inner_text() == ""
    assert shown.find("textarea").first.get_attribute("aria-invalid") is None


def test_pasted_numbers_are_fitted_as_the_library_does(opened: Open) -> None:
    shown = opened("your data")
    with shown.redrawn():
        paste(shown, LINES)
    fine(shown)
    assert shown.number("count") == len(NUMBERS)
    assert shown.number("critical") == 1.0
    shown.agrees()
    fit = shown.python()
    assert fit.beta == shown.number("beta")
    assert "chosen by cross-validation" in shown.find(".live-readout").inner_text()
    assert shown.find(".live-plot path.live-line[d^=M]").count() == 2  # a score, and a density


def test_the_chosen_weight_decay_is_a_good_one(opened: Open) -> None:
    """By the library's cross-validation, with other folds, the choice is close to the best candidate."""
    shown = opened("your data")
    with shown.redrawn():
        paste(shown, LINES)
    chosen = shown.number("beta")
    betas = np.append(np.geomspace(2.0, 60.0, 10), chosen)
    kind: dict[str, Any] = {"criterion": "likelihood", "rng": np.random.default_rng(0)}
    judged = choose_weight_decay(NUMBERS, betas, **kind)
    at = int(np.argmin(np.abs(judged.betas - chosen)))
    assert judged.held_out[at] <= judged.held_out.min() + judged.standard_error.min()


def test_the_example_is_there_at_once(opened: Open) -> None:
    shown = opened("your data")
    example = stored_results("real_columns")["columns"]["faithful waiting"]["values"]
    assert shown.number("count") == len(example)
    fit = score_matching(example, shown.number("beta"))
    assert abs(fit.value - shown.number("value")) <= 1e-9 * abs(fit.value)
    assert not shown.page.locator(".live-instead + .cell img").is_visible()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\n2\nthree\n4", "Line 3: “three” is not a number."),
        ("", "There are no numbers yet"),
        ("5\n5\n5", "All 3 numbers are 5: a law needs at least two different ones."),
        ("7", "This is one number"),
        ("\n".join(str(k) for k in range(1001)), "These are 1001 numbers, and this page takes up to 1000."),
        ("0\n1e-90", "Distances between distinct points must lie between"),
        ("1\t2,5\n3\t4,5", "has a decimal comma"),
    ],
)
def test_bad_numbers_are_told_and_the_picture_stays(opened: Open, text: str, message: str) -> None:
    shown = opened("your data")
    before = shown.number("value")
    paste(shown, text)
    if "," in text:  # one of two columns can be read
        expect(shown.find(".live-source .live-help")).to_contain_text(message)
        return
    told(shown, message)
    assert shown.number("value") == before
    with shown.redrawn():
        paste(shown, LINES)
    fine(shown)


def test_a_decimal_comma_can_be_switched_on(opened: Open) -> None:
    shown = opened("your data")
    text = LINES.replace(".", ",")
    paste(shown, text)
    expect(shown.find(".live-source .live-help")).to_contain_text("If they are the decimal sign, switch on")
    with shown.redrawn():
        shown.root.get_by_role("switch", name="comma is the decimal sign").click()
    assert shown.number("count") == len(NUMBERS)
    assert abs(shown.number("value") - score_matching(NUMBERS, shown.number("beta")).value) <= 1e-9


def test_a_column_of_a_table_can_be_chosen(opened: Open) -> None:
    shown = opened("your data")
    assert not shown.root.get_by_label("column", exact=True).is_visible()
    table = "name\theight\tweight\n" + "\n".join(
        f"p{k}\t{x}\t{10 * x + k % 3}" for k, x in enumerate(NUMBERS)
    )
    with shown.redrawn():
        paste(shown, table)
    assert "The column “name” is left out" in shown.find(".live-source .live-help").inner_text()
    first = shown.number("value")
    with shown.redrawn():
        shown.root.get_by_label("column", exact=True).select_option("weight")
    assert shown.number("value") != first
    shown.agrees()


def test_a_file_can_be_dropped(opened: Open) -> None:
    shown = opened("your data")
    with shown.redrawn():
        shown.find(".live-source").evaluate(DROP, {"name": "numbers.csv", "text": f"x\n{LINES}"})
    fine(shown)
    assert shown.number("count") == len(NUMBERS)
    shown.find(".live-source").evaluate(DROP, {"name": "sheet.xlsx", "text": "PK\x03\x04\x00\x00"})
    told(shown, "“sheet.xlsx” is not a text; save it as CSV or as text first.")


def test_a_file_can_be_chosen(opened: Open, tmp_path: Path) -> None:
    shown = opened("your data")
    file = tmp_path / "numbers.txt"
    file.write_text(LINES, "utf-8")
    with shown.redrawn():
        shown.root.get_by_label("or choose a file").set_input_files(file)
    assert shown.number("count") == len(NUMBERS)


def test_keys_are_enough(opened: Open) -> None:
    shown = opened("your data")
    keys = shown.page.keyboard
    shown.find("textarea").first.focus()
    keys.press("Control+a")
    with shown.redrawn():
        keys.type("1.5\n2\n2.5\n4\n4.5\n7\n8\n9\n")
    assert shown.number("count") == 8
    met = []
    for _ in range(12):
        keys.press("Tab")
        met.append(shown.page.evaluate("document.activeElement.type || document.activeElement.tagName"))
        if met[-1] == "range":
            break
    assert {"file", "checkbox", "radio", "range"} <= set(met)
    before = shown.number("beta")
    with shown.redrawn():
        keys.press("ArrowRight")
    assert shown.number("beta") > before
    assert "chosen" not in shown.find(".live-readout").inner_text()
    keys.press("Tab")  # the button
    with shown.redrawn():
        keys.press("Enter")
    keys.press("Tab")
    keys.press("Enter")  # unfolds the lines of Python
    shown.agrees()


@pytest.mark.parametrize("theme", browser.THEMES)
@pytest.mark.parametrize("width", browser.WIDTHS)
def test_everybody_can_read_it(opened: Open, theme: str, width: int) -> None:
    shown = opened("your data", theme, width)
    shown.find(".live-copy summary").click()
    paste(shown, "1\n2\nthree")
    told(shown, "Line 3")
    found = Axe().run(shown.page, context="[data-live]", options=AXE).response["violations"]
    assert [json.dumps(f["nodes"][0]["html"])[:200] for f in found if f["impact"] in GRAVE] == []
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width


def test_nothing_leaves_the_browser(opened: Open) -> None:
    shown = opened("your data")
    asked: list[str] = []
    shown.page.on("request", lambda request: asked.append(request.url))
    with shown.redrawn():
        paste(shown, LINES)
    with shown.redrawn():
        shown.slider("weight decay").press("ArrowRight")
    assert asked == []
    kept = shown.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    assert LINES.splitlines()[0] not in kept
