"""An instrument of a page, as the tests handle it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Locator, Page

import convexdiff_lib

PAGES = {
    "drag-data": "chapters/02_univariate_relu",
    "drag-data again": "chapters/03_absolute_value",
    "beam": "chapters/07_beam_in_a_tube",
    "denoise": "chapters/08_univariate_denoising",
    "your data": "chapters/your_data",
    "chambers": "chapters/09_arrangements",
    "wedge": "chapters/12_wedge_kernel",
}
CLOSE = 1e-9  # of the size of the loss, which both sides know to rounding
GRAVE = ("serious", "critical")
AXE = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}, "preload": False}


class Instrument:
    """The first instrument of a page, once it has drawn itself."""

    def __init__(self, page: Page) -> None:
        self.page, self.root = page, page.locator("[data-live]").first
        page.locator("[data-live].live-on[data-drawn]").first.wait_for()
        self.root.scroll_into_view_if_needed()

    def find(self, selector: str) -> Locator:
        return self.root.locator(selector)

    @contextmanager
    def redrawn(self) -> Iterator[None]:
        """Do something, and wait for the drawing that follows."""
        before = int(self.root.get_attribute("data-drawn") or 0)
        yield
        self.page.wait_for_function(
            "([root, before]) => Number(root.dataset.drawn) > before",
            arg=[self.root.element_handle(), before],
        )

    def number(self, name: str) -> float:
        return float(self.find(f'.live-readout [data-name="{name}"]').get_attribute("value") or "nan")

    def points(self) -> list[float]:
        written = self.find(".live-numbers input").input_value()
        return [float(word) for word in written.split(", ")]

    def python(self) -> Any:
        """What the lines of Python find that the page gives, without what they print."""
        self.find(".live-copy").evaluate("fold => { fold.open = true; }")
        self.page.wait_for_function("() => document.querySelector('.live-copy textarea').value")
        lines = self.find(".live-copy textarea").input_value().splitlines()
        given = {line.split(" = ")[0]: line.split(" = ")[1] for line in lines if " = [" in line}
        data = {name: ast.literal_eval(text) for name, text in given.items()}
        call = next(line for line in lines if line.startswith("fit = "))
        tree = ast.parse(call, mode="exec").body[0]
        assert isinstance(tree, ast.Assign)
        assert isinstance(tree.value, ast.Call)
        assert isinstance(tree.value.func, ast.Name)
        options = {k.arg: ast.literal_eval(k.value) for k in tree.value.keywords if k.arg}
        return getattr(convexdiff_lib, tree.value.func.id)(*data.values(), **options)

    def agrees(self) -> None:
        """Compare with the library, which gets the page's own lines."""
        fit = self.python()
        value = self.number("value")
        assert abs(value - fit.value) <= CLOSE * max(abs(fit.value), 1.0)
        # A kink that is nothing but rounding may be one too many; these data have none.
        if self.find('[data-name="kinks"]').count():
            assert self.number("kinks") == len(fit.knots)

    def mark(self, k: int) -> Locator:
        return self.find(f'[data-point="{k}"]')

    def middle(self, where: Locator) -> tuple[float, float]:
        where.evaluate("e => e.scrollIntoView({block: 'center', behavior: 'instant'})")
        box = where.bounding_box()
        assert box is not None
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def slider(self, label: str) -> Locator:
        return self.root.get_by_role("slider", name=label)


Open = Callable[..., Instrument]


def enter(shown: Instrument, text: str) -> None:
    """Type a list of numbers, and leave it with Enter."""
    line = shown.find(".live-numbers input")
    line.fill(text)
    line.press("Enter")
