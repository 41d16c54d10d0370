"""A reader opens a chapter in JupyterLab, runs it from the top and saves it: the tree must stay clean."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools import browser

ROOT = Path(__file__).parents[2]
# A third of the chapters: test_chapters.py checks for all how JupyterLab writes a text when it saves it.
CHAPTERS = sorted(file.stem for file in (ROOT / "chapters").glob("*.ipynb"))[::3]
FILES = [f"{name}.md" for name in CHAPTERS] + [f"{name}.ipynb" for name in CHAPTERS[:1]]

Address = tuple[str, str]  # JupyterLab's, and the token that opens it

pytestmark = pytest.mark.site


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "core.autocrlf=false"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture(scope="module", autouse=True)
def _needs_chromium(require: Callable[[object, str], None]) -> None:
    require(browser.chromium(), "Chromium: install Debian's package chromium")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the working tree, refreshed and committed."""
    folder = tmp_path_factory.mktemp("reader") / "book"
    for name in git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    # Pictures of trained networks can differ in a pixel between machines: compare with this one.
    texts = [f"chapters/{name}.md" for name in CHAPTERS]
    subprocess.run([sys.executable, "tools/refresh.py", *texts], cwd=folder, check=True, capture_output=True)
    git(folder, "init")
    git(folder, "add", "--all")
    git(folder, "commit", "--message", "as it was")
    return folder


@pytest.fixture(scope="module")
def lab(checkout: Path) -> Iterator[Address]:
    """The address of JupyterLab in that copy, started as a reader would, with a home of its own."""
    home = checkout.parent
    own = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    own |= {f"JUPYTERLAB_{name}_DIR": str(home / name.lower()) for name in ("SETTINGS", "WORKSPACES")}
    options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0"]
    options += ["--LabApp.expose_app_in_browser=True"]  # for RUN_AND_SAVE
    log = home / "lab.log"
    with log.open("w") as stream:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyter", "lab", *options],
            cwd=checkout, env=os.environ | own, stdout=stream, stderr=stream,
        )  # fmt: skip
    try:
        yield address(log, server)
    finally:
        server.terminate()
        server.wait(30)


def address(log: Path, server: subprocess.Popen[bytes]) -> Address:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        if found := re.search(r"(http://127\.0\.0\.1:\d+/lab)\?(token=\w+)", log.read_text()):
            return found[1], found[2]
        time.sleep(0.2)
    pytest.fail("JupyterLab did not start:\n" + log.read_text())


RUN_AND_SAVE = """async () => {
    const {commands, shell} = window.jupyterapp;
    const panel = shell.currentWidget;
    await panel.context.ready;
    await panel.sessionContext.ready;
    await commands.execute('notebook:clear-all-cell-outputs');
    if (!await commands.execute('notebook:run-all-cells')) throw new Error('a cell failed');
    await commands.execute('docmanager:save');
}"""


@pytest.mark.parametrize("file", FILES)
def test_running_and_saving_a_chapter_leaves_the_tree_clean(checkout: Path, lab: Address, file: str) -> None:
    url, token = lab
    notebook = (checkout / "chapters" / file).with_suffix(".ipynb")
    before = notebook.stat().st_mtime_ns
    with browser.launched() as chromium:
        page = chromium.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{url}/tree/chapters/{file}?{token}&reset")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        page.evaluate(RUN_AND_SAVE)
    assert notebook.stat().st_mtime_ns > before, "nothing was saved"
    assert git(checkout, "diff", "--unified=1") == ""
    assert git(checkout, "status", "--porcelain") == ""
