"""Photograph pages of the built book, in light and dark, wide and narrow, in parts that a screen can show.

    python tools/screenshots.py OUTDIR [page ...]

A page is named as in ``_toc.yml``, for example ``chapters/01_score_matching``; without names, all pages.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from playwright.sync_api import FloatRect

from tools import browser, toc

PART = 2400  # pixels


def main() -> None:
    """Photograph the pages named on the command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("outdir", type=Path)
    parser.add_argument("pages", nargs="*", help="all by default")
    options = parser.parse_args()
    options.outdir.mkdir(parents=True, exist_ok=True)
    with browser.served(browser.SITE) as base, browser.launched() as chromium:
        for name in options.pages or toc.pages():
            for theme in browser.THEMES:
                for width in browser.WIDTHS:
                    page = browser.new_page(chromium, theme, width)
                    page.goto(f"{base}{name}.html")
                    browser.settle(page)
                    height = page.evaluate("document.documentElement.scrollHeight")
                    for part, top in enumerate(range(0, height, PART), 1):
                        file = options.outdir / f"{name.replace('/', '-')}-{theme}-{width}-{part}.png"
                        clip = FloatRect(x=0, y=top, width=width, height=min(PART, height - top))
                        page.screenshot(path=file, full_page=True, clip=clip)
                        print(file)
                    page.close()


if __name__ == "__main__":
    main()
