"""The built book in headless Chromium: what the site checks and the screenshots share."""

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

SITE = Path(__file__).parent.parent / "_build" / "html"
THEMES = ("light", "dark")
WIDTHS = (1280, 390)


def chromium() -> str | None:
    """Find a browser of the Chromium family."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on 127.0.0.1 and give its address."""
    handler = functools.partial(_Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@contextmanager
def launched() -> Iterator[Browser]:
    """Start the browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


def new_page(browser: Browser, theme: str, width: int, **options: Any) -> Page:
    """Open an empty page that is as wide as asked and will show the book in the theme asked for."""
    page = browser.new_page(viewport={"width": width, "height": 900}, **options)
    # The theme remembers the reader's choice in these two keys.
    page.add_init_script(f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')")
    return page


def settle(page: Page) -> None:
    """Wait until mathematics, fonts and pictures are in place, or for half a minute.

    The browser does not always say that a picture is decoded, and nothing else would end the wait.
    """
    page.evaluate(
        """async () => {
            const inPlace = async () => {
                if (window.MathJax?.startup) await window.MathJax.startup.promise;
                await document.fonts.ready;
                for (const image of document.images) image.loading = 'eager';
                await Promise.allSettled([...document.images].map(image => image.decode()));
            };
            await Promise.race([inPlace(), new Promise(resolve => setTimeout(resolve, 30000))]);
        }"""
    )


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass
