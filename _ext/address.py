"""What a page says of itself, and what it gets when `_config.yml` has addresses: buttons, a site map."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

LONGEST = 200  # characters of a description
BUTTONS = ("use_repository_button", "use_issues_button", "use_edit_page_button")
Page = tuple[str, dict[str, Any], str]


def show_buttons(app: Sphinx, config: Config) -> None:
    """Show the buttons that lead to the repository if there is an address to lead to.

    Jupyter Book refuses them in its own settings as long as there is none.
    """
    config.html_theme_options |= dict.fromkeys(BUTTONS, bool(config.html_theme_options.get("repository_url")))


def describe(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document) -> None:
    """Say in the head of a page what it is about."""
    if doctree:
        title = next((t.astext() for t in doctree.findall(nodes.title)), "")
        book, base = app.config.html_title, app.config.html_baseurl
        context["metatags"] += head(book, title, first_words(doctree), base, page)


def head(book: str, title: str, words: str, base: str, page: str) -> str:
    """Write the tags; an address is in them only if the book has one."""
    named = {"og:title": title, "og:site_name": book, "og:type": "article", "og:description": words}
    if base:
        named |= {"og:url": f"{base.rstrip('/')}/{page}.html"}
        named |= {"og:image": f"{base.rstrip('/')}/_static/readme.png"}
    tags = [f'<meta name="description" content="{escape(words)}"/>']
    tags += [f'<meta property="{name}" content="{escape(value)}"/>' for name, value in named.items()]
    return "".join(f"{tag}\n" for tag in tags)


def first_words(doctree: nodes.document) -> str:
    """Take the first paragraph that has words alone."""
    for paragraph in doctree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        if len(text) > 40 and not any(paragraph.findall(nodes.math)):
            return text if len(text) <= LONGEST else text[:LONGEST].rpartition(" ")[0] + " …"
    return ""


def site_map(base: str, pages: Iterable[str]) -> str:
    """List all pages for search engines."""
    urls = "".join(f"<url><loc>{base.rstrip('/')}/{page}.html</loc></url>\n" for page in sorted(pages))
    return f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{urls}</urlset>\n'


def write_site_map(app: Sphinx, exception: Exception | None) -> None:
    """Write the map of a book that has an address."""
    if exception is None and app.builder.format == "html" and app.config.html_baseurl:
        text = site_map(app.config.html_baseurl, app.env.found_docs)
        Path(app.outdir, "sitemap.xml").write_text(text, "utf-8")


def lost_page(app: Sphinx) -> Iterator[Page]:
    """Give the page that a server shows where there is none."""
    yield "404", {"home": app.config.html_baseurl or "/"}, "404.html"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("config-inited", show_buttons)
    app.connect("html-page-context", describe)
    app.connect("html-collect-pages", lost_page)
    app.connect("build-finished", write_site_map)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
