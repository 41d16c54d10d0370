"""The solver of the pages in headless Chromium: what it answers there is what the library says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from live_problems import Program, problems
from playwright.sync_api import Page
from test_solver import each_program, same

from tools import browser

pytestmark = pytest.mark.site

ROOT = Path(__file__).parents[2]
ANSWER = """async (lines) => {
    const {answer} = await import("/tests/live/answers.mjs");
    return lines.map((line) => JSON.stringify(answer(JSON.parse(line))));
}"""


@pytest.fixture(scope="module")
def page(require: Callable[[object, str], None]) -> Iterator[Page]:
    require(browser.chromium(), "Chromium: install Debian's package chromium")
    with browser.served(ROOT) as base, browser.launched() as chromium:
        page = chromium.new_page()
        page.goto(f"{base}tests/live/")  # an empty page will do, of this origin
        yield page


def answers(page: Page, lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(answer) for answer in page.evaluate(ANSWER, lines)]


@each_program
def test_it_agrees_with_the_library(page: Page, program: Program) -> None:
    asked = list(problems(program))
    assert len(asked) >= 150  # of each of eight
    for problem, answer in zip(asked, answers(page, [problem.job for problem in asked]), strict=True):
        same(problem, answer)


def test_it_imports_nothing_from_elsewhere(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    answers(page, [])
    assert len(asked) > 5
    assert [url for url in asked if not url.startswith("http://127.0.0.1:")] == []
