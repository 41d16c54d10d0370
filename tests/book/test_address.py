"""Buttons, descriptions and the site map, with an address and without one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import address
import pytest
import yaml
from docutils.core import publish_doctree
from jupyter_book.config import get_final_config

ROOT = Path(__file__).parents[2]
ELSEWHERE = "https://github.com/someone/book"


def theme_options(url: str | None) -> dict[str, Any]:
    """The options of the theme, as Jupyter Book and then this book settle them."""
    settings = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    if url is not None:
        settings["repository"]["url"] = url
    config, _ = get_final_config(
        user_yaml=settings,
        cli_config={"latex_individualpages": False},
        sourcedir=ROOT,
        use_external_toc=False,
    )
    address.show_buttons(None, made := SimpleNamespace(**config))  # type: ignore[arg-type]
    options: dict[str, Any] = made.html_theme_options
    return options


def test_with_an_address_there_are_buttons() -> None:
    options = theme_options(ELSEWHERE)
    assert options["repository_url"] == ELSEWHERE
    assert [options[button] for button in address.BUTTONS] == [True, True, True]


def test_without_an_address_no_button_leads_nowhere() -> None:
    options = theme_options("")
    assert [options[button] for button in address.BUTTONS] == [False, False, False]
    assert not any(
        options["launch_buttons"][name] for name in ("binderhub_url", "colab_url", "jupyterhub_url")
    )


def test_own_options_of_the_theme_do_not_replace_those_of_jupyter_book() -> None:
    options = theme_options(None)
    assert options["logo"]["text"]
    assert options["search_bar_text"]


def test_a_description_names_an_address_only_if_there_is_one() -> None:
    plain = address.head("Book", 'A "title"', "What it is < about.", "", "chapters/one")
    assert "http" not in plain
    assert '<meta name="description" content="What it is &lt; about."/>' in plain
    assert '<meta property="og:title" content="A &quot;title&quot;"/>' in plain
    known = address.head("Book", "Title", "Words.", "https://example.org/b/", "chapters/one")
    assert '<meta property="og:url" content="https://example.org/b/chapters/one.html"/>' in known


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Short.\n\n" + "word " * 10, ("word " * 10).strip()),
        (":math:`x` is a formula among many other words.\n\n" + "word " * 10, ("word " * 10).strip()),
        ("word " * 60, "word " * 39 + "word …"),
        ("Short.", ""),
    ],
)
def test_a_description_is_the_first_paragraph_of_words(text: str, words: str) -> None:
    assert address.first_words(publish_doctree(text)) == words


def test_a_site_map_lists_every_page() -> None:
    text = address.site_map("https://example.org/b/", ["index", "chapters/one"])
    assert text.count("<loc>https://example.org/b/") == 2
    assert text.index("chapters/one.html") < text.index("index.html")
