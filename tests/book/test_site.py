"""Every page of the built book in headless Chromium, light and dark, on a desk and in a hand."""

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

import pytest
from playwright.sync_api import Browser, Page

from tools import browser, toc

pytestmark = pytest.mark.site

Opened = tuple[Page, list[str]]
PAGES = [*toc.pages(), "search"]


@pytest.fixture(scope="module")
def site(require: Callable[[object, str], None]) -> Iterator[str]:
    """The address of the built book."""
    require(browser.chromium(), "Chromium: install Debian's package chromium")
    require((browser.SITE / "index.html").exists(), "the built book: run `make book`")
    with browser.served(browser.SITE) as base:
        yield base


@pytest.fixture(scope="module")
def chromium(site: str) -> Iterator[Browser]:
    with browser.launched() as chromium:
        yield chromium


@pytest.fixture
def opened(site: str, chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Opened]:
    """One page, opened as the parameters say, with the complaints that it gave rise to."""
    name, theme, width = request.param
    complaints: list[str] = []
    page = browser.new_page(chromium, theme, width)
    inside = (site, "data:", "blob:")
    page.on("request", lambda r: None if r.url.startswith(inside) else complaints.append(f"asks {r.url}"))
    page.on("requestfailed", lambda r: complaints.append(f"did not get {r.url}"))
    page.on("response", lambda r: complaints.append(f"{r.status} for {r.url}") if r.status >= 400 else None)
    page.on("pageerror", lambda error: complaints.append(f"script: {error}"))
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.goto(f"{site}{name}.html")
    browser.settle(page)
    yield page, complaints
    page.close()


VIEWS = [(name, theme, width) for name in PAGES for theme in browser.THEMES for width in browser.WIDTHS]


@pytest.mark.parametrize("opened", VIEWS, indirect=True, ids=lambda view: "-".join(map(str, view)))
def test_page(opened: Opened, request: pytest.FixtureRequest) -> None:
    page, complaints = opened
    _, theme, _ = request.node.callspec.params["opened"]
    faults = {
        "complaints": complaints,
        "mathematics not typeset": page.evaluate(UNTYPESET_MATHEMATICS),
        "mathematics left as text": page.evaluate(MATHEMATICS_LEFT_AS_TEXT),
        "wider than the page": page.evaluate(WIDER_THAN_THE_PAGE),
        "pictures not loaded": page.evaluate(PICTURES_NOT_LOADED),
        "pictures not described": [src for src, alt in page.evaluate(PICTURES) if not describes(alt, src)],
        "pale text": page.evaluate(PALE_TEXT),
        "opened, not saved": page.evaluate(OPENED_NOT_SAVED),
    }
    assert {fault: places for fault, places in faults.items() if places} == {}
    assert page.locator("html").get_attribute("data-theme") == theme


def test_every_built_page_is_looked_at(site: str) -> None:
    files = [file.relative_to(browser.SITE) for file in browser.SITE.rglob("*.html")]
    built = {file.with_suffix("").as_posix() for file in files if file.parts[0] != "_static"}
    assert built == set(PAGES)


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

# What sticks out, if the page can be scrolled sideways. What scrolls in its own box does not count.
WIDER_THAN_THE_PAGE = """() => {
    const {scrollWidth, clientWidth} = document.documentElement;
    if (scrollWidth <= clientWidth + 1) return [];
    const sticksOut = e => e.getBoundingClientRect().right > clientWidth + 1;
    const out = [...document.querySelectorAll('article *')].filter(sticksOut);
    return [`${scrollWidth} > ${clientWidth}`, ...out.slice(0, 5).map(e => e.outerHTML.slice(0, 120))];
}"""

# Captions, boxes and tables whose contrast with what lies behind them is below 4.5 (WCAG 2.1, level AA).
PALE_TEXT = """() => {
    const rgba = text => [...text.match(/[\\d.]+/g).map(Number), 1].slice(0, 4);
    const over = (top, below) => below.map((v, i) => top[3] * top[i] + (1 - top[3]) * v);
    const behind = e => {
        const layers = [];
        for (; e; e = e.parentElement) {
            const color = rgba(getComputedStyle(e).backgroundColor);
            if (color[3] > 0) layers.push(color);
            if (color[3] === 1) break;
        }
        return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
    };
    const luminance = rgb => {
        const linear = v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
        const [r, g, b] = rgb.map(v => linear(v / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const contrast = e => {
        const background = behind(e);
        const text = over(rgba(getComputedStyle(e).color), background);
        const [dark, light] = [luminance(text), luminance(background)].sort((a, b) => a - b);
        return (light + 0.05) / (dark + 0.05);
    };
    const boxes = 'article :is(figcaption, caption, td, th, .admonition, .proof, .exercise, .solution)';
    return [...document.querySelectorAll(`${boxes}, ${boxes} :is(p, a:not(.headerlink), code, span)`)]
        .filter(e => e.checkVisibility() && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
        .filter(e => contrast(e) < 4.5)
        .map(e => `${contrast(e).toFixed(2)}: ${e.textContent.trim().slice(0, 60)}`);
}"""
