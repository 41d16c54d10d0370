"""The ``evidence`` fixture: what the tests see of each claim, compared with what the book prints.

    seen = evidence("thm-x", "primal-equals-dual", 1e-8).because("stopping rule of the solver")
    seen.holds(residual)       # asserts residual <= tolerance, counts one instance
    bad = evidence("thm-x", "printed-form-misses", at_least=0.1).because("one instance suffices")
    bad.fails(violation)       # asserts violation >= at_least, counts one instance

Instances that were chosen for what is special about them, such as those of the zoo, are counted apart: the
fixture ``on_zoo`` opens evidence of them.  ``pytest --record-evidence`` writes claims/evidence.json from the
run.  Every other run compares.

``--share 2/3`` runs the second third of the cases of every test function, and at least one, and the second
third of the chapters: where a whole run has passed, three runs on three kinds of machine try every case and
every chapter on one of them, and every function on all.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "_ext"))

from claims_data import Record, read_evidence, write_evidence  # noqa: E402
from claims_rules import evidence_calls  # noqa: E402
from claims_witness import Evidence, Witness, complaint  # noqa: E402

EVIDENCE = ROOT / "claims" / "evidence.json"
TEST_FAILED = pytest.StashKey[bool]()


@cache
def committed() -> dict[tuple[str, str, str], Record]:
    return {(r.claim, r.evidence, r.test): r for r in read_evidence(EVIDENCE)[0]}


@pytest.fixture
def evidence(request: pytest.FixtureRequest) -> Iterator[Evidence]:
    """Open evidence for a claim: ``evidence(label, id, tolerance | at_least=..., form=...).because(why)``."""
    witnesses: dict[tuple[str, str], Witness] = {}

    def open_witness(claim: str, name: str, tolerance: float | None = None, **options: Any) -> Witness:
        if (claim, name) in witnesses:
            raise ValueError(f"{claim}/{name} is already open in this test")
        witnesses[claim, name] = Witness(claim, name, tolerance, test=request.node.nodeid, **options)
        return witnesses[claim, name]

    yield open_witness

    if request.node.stash.get(TEST_FAILED, False):
        return
    idle = [
        f"{claim}/{name}: no instance was counted" for (claim, name), w in witnesses.items() if not w.seen
    ]
    idle += [f"{claim}/{name}: say why" for (claim, name), w in witnesses.items() if not w.why]
    if idle:
        pytest.fail("\n".join(idle), pytrace=False)
    records = [witness.record() for witness in witnesses.values()]
    if request.config.getoption("--record-evidence"):
        request.node.user_properties.extend(("evidence", asdict(r)) for r in records)
        return
    complaints = [complaint(r, committed().get((r.claim, r.evidence, r.test))) for r in records]
    if any(complaints):
        pytest.fail("\n".join(c for c in complaints if c), pytrace=False)


@pytest.fixture
def on_zoo(evidence: Evidence) -> Evidence:
    """As ``evidence``, for instances that were chosen for what is special about them."""
    return partial(evidence, structured=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[TEST_FAILED] = not report.passed
    return report


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--record-evidence", action="store_true", help="write claims/evidence.json from this run"
    )
    parser.addoption(
        "--share",
        default="1/1",
        metavar="I/N",
        help="run every N-th case of a test function, and every N-th chapter, from the I-th on",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    part, parts = (int(number) for number in config.getoption("--share").split("/"))
    if not 1 <= part <= parts:
        raise pytest.UsageError(f"--share must be I/N with 1 <= I <= N; got {part}/{parts}")
    kept = in_share(items, part, parts)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


def in_share(items: list[pytest.Item], part: int, parts: int) -> set[pytest.Item]:
    """Every parts-th case of each test function, one of fewer cases; every parts-th notebook; all else."""
    kept = set()
    cases: dict[str, list[pytest.Item]] = {}
    notebooks = sorted({item.path for item in items if item.path.suffix == ".ipynb"})
    others = set(notebooks) - set(notebooks[part - 1 :: parts])
    for item in items:
        if isinstance(item, pytest.Function):
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
        elif item.path not in others:
            kept.add(item)
    for same in cases.values():
        kept |= set(same[part - 1 :: parts] or same[part % len(same) :][:1])
    return kept


def pytest_configure(config: pytest.Config) -> None:
    is_worker = hasattr(config, "workerinput")
    if config.getoption("--record-evidence") and not is_worker:
        config.pluginmanager.register(Recorder(config), "evidence-recorder")


class Recorder:
    """Gathers the records of a run, also from the workers of xdist, and writes them at its end."""

    def __init__(self, config: pytest.Config) -> None:
        option = config.option
        picked = any("::" in argument for argument in config.args)
        picked = picked or option.share != "1/1"
        picked = picked or any(getattr(option, o, None) for o in ("keyword", "markexpr", "deselect", "lf"))
        self.whole_functions = not picked
        self.fresh: list[Record] = []
        self.failed = False
        self.summary = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed = self.failed or report.failed
        if report.when == "teardown":  # a test that failed has left no records
            properties: list[tuple[str, Any]] = report.user_properties
            self.fresh += [Record(**value) for name, value in properties if name == "evidence"]

    def pytest_sessionfinish(self) -> None:
        old, _ = read_evidence(EVIDENCE)
        records = self.merged(old)
        write_evidence(EVIDENCE, records)
        self.summary = f"{EVIDENCE.name}: {len(self.fresh)} of {len(records)} records are from this run"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.write_line(self.summary)

    def merged(self, old: list[Record]) -> list[Record]:
        """Fresh records, and those old ones whose test did not run and still exists."""
        fresh = {(r.claim, r.evidence, r.test) for r in self.fresh}
        calls = {(c.claim, c.evidence, c.function) for c in evidence_calls(ROOT / "tests")}
        rerun = {r.function for r in self.fresh} if self.whole_functions and not self.failed else set()
        kept = [
            r
            for r in old
            if (r.claim, r.evidence, r.test) not in fresh
            and (r.claim, r.evidence, r.function) in calls
            and r.function not in rerun
        ]
        return self.fresh + kept
