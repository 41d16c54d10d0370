"""The benchmark's harness: a case that hangs or dies is told, and the tables hide nothing."""

import os
import time
from typing import Any

import pytest

from benchmarks.report import key, load, save, table
from benchmarks.worker import Record, Worker

ABOUT: Record = {"loss": "denoising", "activation": "relu", "skip": True, "n": 1000, "beta": 10.0}
SOLVED: Record = {"status": "solved", "relative_gap": 1e-15, "infeasibility": 0.0, "knots": 4}


def act(case: Any) -> Record:
    if case == "hang":
        time.sleep(60)
    if case == "die":
        os._exit(1)
    if case == "raise":
        raise ValueError("one line\nthe last line")
    return {"status": "solved", "process": os.getpid()}


def nothing() -> None:
    return None


@pytest.fixture
def worker():
    found = Worker(act, nothing)
    yield found
    found.stop()


def test_a_case_that_hangs_or_dies_is_told_and_the_next_one_runs(worker):
    assert worker.run("hang", 0.2, fresh=False) == {"status": "time limit", "seconds": 0.2}
    assert worker.run("die", 30.0, fresh=False) == {"status": "crashed"}
    assert worker.run("raise", 30.0, fresh=False) == {"status": "ValueError: the last line"}
    first, second, third = (worker.run("go", 30.0, fresh=fresh)["process"] for fresh in (False, False, True))
    assert first == second != third  # a process of its own where memory is measured


def records() -> dict[Any, Record]:
    ours = ABOUT | SOLVED | {"part": "ours", "method": "ours", "seconds": 0.02}
    fast_but_wrong = ABOUT | SOLVED | {"part": "piqp", "method": "PIQP", "seconds": 0.01, "relative_gap": 0.3}
    stopped = ABOUT | {"part": "osqp", "method": "OSQP", "seconds": 60.0, "status": "time limit"}
    crashed = ABOUT | {"part": "trend", "method": "CVXPY", "status": "crashed"}
    return {key(record): record for record in (ours, fast_but_wrong, stopped, crashed)}


def test_tables_show_ratios_and_wrong_answers():
    lines = {line.split("  ")[0]: line.split()[1:] for line in table(records()).splitlines()}
    assert lines["PIQP"][:6] == ["1000", "1", "0.5", "0.5", "0.5", "3.0e-01"]
    assert lines["PIQP"][7] == "1"  # counted as wrong
    assert lines["OSQP"][:3] == ["1000", "1", "3e+03"]
    assert lines["OSQP"][-3:] == ["1", "(time", "limit)"]
    assert lines["CVXPY"] == ["1000", "1", "0", "1", "(crashed)"]


def test_results_survive_a_round_trip(tmp_path):
    file = tmp_path / "results.json"
    assert load(file) == ({}, {})
    save(file, {"cores": 2}, records())
    assert load(file) == (records(), {"cores": 2})
