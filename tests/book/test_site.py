"""Every page of the built book in headless Chromium, light and dark, on a desk and in a hand."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Response

from tools import browser, toc

pytestmark = pytest.mark.site

Viewed = tuple[Page, list[str], dict[str, int]]
PAGES = [*toc.pages(), "search"]
HEAVIEST = 2_000_000  # bytes of a page with all that it loads, as served
# axe-core calls them by these names; the last rule is new, and off unless asked for.
GRAVE = ("serious", "critical")
AXE = {
    "resultTypes": ["violations"],
    "rules": {"label-content-name-mismatch": {"enabled": True}},
    "preload": False,  # it would ask for style sheets anew, at wrong places
}


@pytest.fixture
def viewed(site: str, chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Viewed]:
    """One page, opened as the parameters say, with the complaints that it gave rise to and what it loaded."""
    name, theme, width = request.param
    complaints: list[str] = []
    loaded: dict[str, int] = {}
    page = browser.new_page(chromium, theme, width)
    inside = (site, "data:", "blob:")
    page.on("request", lambda r: None if r.url.startswith(inside) else complaints.append(f"asks {r.url}"))
    page.on("requestfailed", lambda r: complaints.append(f"did not get {r.url}"))
    page.on("response", lambda r: complaints.append(f"{r.status} for {r.url}") if r.status >= 400 else None)
    page.on("pageerror", lambda error: complaints.append(f"script: {error}"))
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)

    def weigh(response: Response) -> None:
        loaded[response.url] = int(response.headers.get("content-length", 0))

    page.on("response", weigh)
    page.goto(f"{site}{name}.html")
    browser.settle(page)
    yield page, complaints, loaded
    page.close()


VIEWS = [(name, theme, width) for name in PAGES for theme in browser.THEMES for width in browser.WIDTHS]


@pytest.mark.parametrize("viewed", VIEWS, indirect=True, ids=lambda view: "-".join(map(str, view)))
def test_page(viewed: Viewed, request: pytest.FixtureRequest) -> None:
    page, complaints, loaded = viewed
    _, theme, _ = request.node.callspec.params["viewed"]
    faults = {
        "complaints": complaints,
        "mathematics not typeset": page.evaluate(UNTYPESET_MATHEMATICS),
        "mathematics left as text": page.evaluate(MATHEMATICS_LEFT_AS_TEXT),
        "wider than the page": page.evaluate(WIDER_THAN_THE_PAGE),
        "formulas cut off": page.evaluate(FORMULAS_CUT_OFF),
        "pictures not loaded": page.evaluate(PICTURES_NOT_LOADED),
        "pictures not described": [src for src, alt in page.evaluate(PICTURES) if not describes(alt, src)],
        "hard to read or to reach": grave_findings(page),
        "too heavy": heaviest(loaded),
        "opened, not saved": page.evaluate(OPENED_NOT_SAVED),
    }
    assert {fault: places for fault, places in faults.items() if places} == {}
    assert page.locator("html").get_attribute("data-theme") == theme


def test_every_built_page_is_looked_at(site: str) -> None:
    files = [file.relative_to(browser.SITE) for file in browser.SITE.rglob("*.html")]
    built = {file.with_suffix("").as_posix() for file in files if file.parts[0] != "_static"}
    assert built == {*PAGES, "404"}


@pytest.mark.parametrize("theme", browser.THEMES)
def test_the_page_for_lost_readers_needs_nothing_else(site: str, chromium: Browser, theme: str) -> None:
    page = browser.new_page(chromium, theme, browser.WIDTHS[0])
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{site}404.html")
    assert [url for url in asked if not url.endswith("favicon.ico")] == [f"{site}404.html"]
    assert grave_findings(page) == []
    page.close()


@pytest.mark.parametrize("name", [name for name in PAGES if name.startswith("chapters/")])
def test_a_downloaded_notebook_has_its_numbers(site: str, name: str) -> None:
    notebook = nbformat.read(browser.SITE / "_sources" / f"{name}.ipynb", as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert "{glue" not in text
    assert "{prf:" not in text
    assert notebook.cells[1].source.startswith("import importlib.util")


@pytest.mark.parametrize("words", ["install", "pip", "Hyvarinen"])
def test_search_finds_how_to_install(site: str, chromium: Browser, words: str) -> None:
    page = browser.new_page(chromium, "light", browser.WIDTHS[0])
    page.goto(f"{site}search.html?q={words}")
    found = page.locator('#search-results a[href^="install.html"]')
    found.first.wait_for(timeout=20_000)
    assert found.count() >= 1
    page.close()


def grave_findings(page: Page) -> list[str]:
    """What axe-core finds that keeps somebody from reading a page."""
    found: list[dict[str, Any]] = Axe().run(page, options=AXE).response["violations"]
    return [
        f"{finding['id']}: {node['html'][:120]}"
        for finding in found
        if finding["impact"] in GRAVE
        for node in finding["nodes"]
    ]


def heaviest(loaded: dict[str, int]) -> list[str]:
    """The largest files of a page that loads too much."""
    if (total := sum(loaded.values())) <= HEAVIEST:
        return []
    largest = sorted(loaded, key=lambda url: -loaded[url])[:5]
    return [f"{total} bytes in all", *(f"{loaded[url]}: {PurePosixPath(url).name}" for url in largest)]


def describes(alt: str, src: str) -> bool:
    """Whether an alternative text says more than the name of the file."""
    return len(alt.split()) > 2 and PurePosixPath(src).stem not in alt


UNTYPESET_MATHEMATICS = """() => [
    ...[...document.querySelectorAll('.math:not(:has(mjx-container))')].map(e => e.textContent),
    ...[...document.querySelectorAll('mjx-merror')].map(e => e.dataset.mjxError),
]"""

# Dollars and commands in what is read as words. Code may hold both, and so may what a page keeps for later.
MATHEMATICS_LEFT_AS_TEXT = r"""() => {
    const elsewhere = '.math, mjx-container, pre, code, kbd, script, style, template, noscript, textarea';
    const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (words.nextNode()) {
        const {data, parentElement} = words.currentNode;
        if (parentElement.closest(elsewhere) || !/\$|\\[a-zA-Z]+/.test(data)) continue;
        found.push(data.trim().slice(0, 80));
    }
    return found;
}"""

PICTURES = """() => [...document.querySelectorAll('article img')].map(e => [e.src, e.alt])"""

OPENED_NOT_SAVED = """() => {
    const links = [...document.querySelectorAll('.dropdown-menu a[href*="_sources/"]')];
    return links.filter(a => !a.hasAttribute('download')).map(a => a.href);
}"""

PICTURES_NOT_LOADED = """() => [...document.images].filter(e => !e.naturalWidth).map(e => e.src)"""

# Formulas that are longer than their line, and stay so however one scrolls. What is folded has no width.
FORMULAS_CUT_OFF = """() => [...document.querySelectorAll('article span.math')].filter(e => {
    const shown = e.querySelector('mjx-container')?.offsetWidth > e.clientWidth + 1;
    return e.clientWidth && shown && getComputedStyle(e).overflowX !== 'auto';
}).map(e => e.textContent.slice(0, 80))"""

# What sticks out, if the page can be scrolled sideways. What scrolls in its own box does not count.
WIDER_THAN_THE_PAGE = """() => {
    const {scrollWidth, clientWidth} = document.documentElement;
    if (scrollWidth <= clientWidth + 1) return [];
    const sticksOut = e => e.getBoundingClientRect().right > clientWidth + 1;
    const out = [...document.querySelectorAll('article *')].filter(sticksOut);
    return [`${scrollWidth} > ${clientWidth}`, ...out.slice(0, 5).map(e => e.outerHTML.slice(0, 120))];
}"""
