"""The modules as the built book serves them, without comments: they are small, and answer the same."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bare_scripts import bare
from live_problems import Program, problems
from test_solver import each_program

LIVE = Path(__file__).parents[2] / "_static" / "live"
SOLVER = (
    "problem",
    "double_double",
    "active_set",
    "sharpen",
    "certificate",
    "solver",
    "density",
    "choose",
    "random",
)

AskBoth = Callable[[str, list[str]], tuple[Any, Any]]


def test_it_is_small() -> None:
    """Eight programs, certificate, law and choice, as the book serves them."""
    asked = {name for module in SOLVER for name in re.findall(r'from "\./(\w+)\.mjs"', source_of(module))}
    assert asked <= set(SOLVER)
    assert sum(len(bare(source_of(name)).encode()) for name in SOLVER) < 60_000


def source_of(module: str) -> str:
    return (LIVE / f"{module}.mjs").read_text("utf-8")


@each_program
def test_the_solver_answers_the_same(ask_both: AskBoth, program: Program) -> None:
    """To the last digit: it is the same code."""
    lines = [problem.job for problem in problems(program)][::6]
    assert len(lines) >= 25
    here, served = ask_both("answers.mjs", lines)
    assert served == here


def test_what_is_beside_the_solver_answers_the_same(ask_both: AskBoth) -> None:
    x = np.random.default_rng(3).normal(size=40).tolist()
    text = "height, weight // no comment\n1.5, 2 /* nor this */\n\u22123,7"
    jobs: list[dict[str, Any]] = [
        {"job": "choose", "x": x, "options": {"folds": 4, "seed": 5}},
        {"job": "read", "text": text, "options": {}},
        {"job": "random", "seed": 11, "count": 50},
        {"job": "step", "scores": [1.0], "positions": [0.0], "noise": [0.5], "stepSize": 0.5},
    ]
    here, served = ask_both("answers.mjs", [json.dumps(job) for job in jobs])
    assert served == here


def test_the_plane_answers_the_same(ask_both: AskBoth) -> None:
    lines = []
    for seed in range(10):
        X, L = np.random.default_rng(seed).normal(size=(2, 7, 2)).tolist()
        lines.append(json.dumps({"job": "chambers", "points": X}))
        for p in (1, 2):
            train = {"job": "train", "points": X, "targets": L, "lambda": 0.4, "options": {"p": p}}
            lines.append(json.dumps(train))
    here, served = ask_both("plane_answers.mjs", lines)
    assert served == here
