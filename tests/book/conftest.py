"""For the tests of the built book: its address, a browser, and instruments that must not complain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from instrument import PAGES, Instrument, Open
from playwright.sync_api import Browser, Page

from tools import browser


# For each module anew: no two browsers may be driven at a time, and other modules start one of their own.
@pytest.fixture(scope="module")
def chromium(require: Callable[[object, str], None]) -> Iterator[Browser]:
    require(browser.chromium(), "Chromium: install Debian's package chromium")
    with browser.launched() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def site(require: Callable[[object, str], None]) -> Iterator[str]:
    """The address of the built book."""
    require((browser.SITE / "index.html").exists(), "the built book: run `make book`")
    with browser.served(browser.SITE) as base:
        yield base


@pytest.fixture
def opened(site: str, chromium: Browser) -> Iterator[Open]:
    """Open the page of an instrument; afterwards there must be no complaint of the browser."""
    pages: list[Page] = []
    complaints: list[str] = []

    def opened(name: str, theme: str = "light", width: int = 1280, **options: Any) -> Instrument:
        page = browser.new_page(chromium, theme, width, **options)
        pages.append(page)
        page.on("pageerror", lambda error: complaints.append(f"script: {error}"))
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.goto(f"{site}{PAGES[name]}.html")
        return Instrument(page)

    yield opened
    assert complaints == []
    for page in pages:
        page.context.close()
