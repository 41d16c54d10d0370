"""What keeps compiled loops trustworthy: no stale copies on disk, one version each, the same answers."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys

import pytest
from library import SOURCES

DECORATORS = {"compiled", "compiled_sum"}


def loops(source: str) -> dict[str, ast.FunctionDef]:
    """The compiled functions of a module."""
    return {
        node.name: node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(mark, ast.Name) and mark.id in DECORATORS for mark in node.decorator_list)
    }


def called_elsewhere(source: str, compiled_names: set[str]) -> set[str]:
    """Compiled functions of other modules that a compiled function calls."""
    mine = loops(source)
    called = {
        call.func.id
        for node in mine.values()
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
    }
    return (called & compiled_names) - set(mine)


ALL_LOOPS = {name for source in SOURCES.values() for name in loops(source)}


@pytest.mark.parametrize("module", [name for name, source in SOURCES.items() if loops(source)])
def test_a_loop_calls_loops_of_its_own_module_only(module: str) -> None:
    """What is stored on disk is renewed when the module changes, not when one changes that it calls."""
    assert called_elsewhere(SOURCES[module], ALL_LOOPS) == set()


def test_a_call_into_another_module_is_noticed() -> None:
    source = "@compiled\ndef outer(x):\n    return functional(x) + inner(x)\n\n"
    source += "@compiled\ndef inner(x):\n    return x\n"
    assert called_elsewhere(source, {"functional", "inner", "outer"}) == {"functional"}


MANY_WAYS = """
import numpy as np
import convexdiff_lib as lib
from convexdiff_lib._compiled import LOOPS
from convexdiff_lib.line.path import denoising_path, solution_path

rng = np.random.default_rng(0)
plain = rng.normal(size=3000)
frozen = plain.copy()
frozen.setflags(write=False)
many = [plain, plain.tolist(), frozen, plain[::-1], np.repeat(plain, 2)[::2], plain.astype(np.float32),
        np.arange(300), np.round(plain, 1)]
for x in many:
    for activation in ("relu", "abs"):
        for skip in (False, True):
            for beta in (len(x) // 2, float(len(x) // 3)):
                kind = {"activation": activation, "skip": skip}
                fit = lib.score_matching(x, beta, **kind)
                lib.certify_score_matching(x, fit.kink_network, fit.z, beta, **kind)
                lib.denoising_score_matching(x, np.asarray(x)[::-1], beta, **kind)
                fit([0, 1])
                fit(np.arange(3)[::-1])
tube = lib.line.beam.tube_of(lib.line.problem.line_problem(plain, 90.0))
lib.line.coarse_to_fine.solve_by_levels(tube)
few = rng.normal(size=12)
solution_path(few, down_to=4)
denoising_path(few, np.arange(12), down_to=1, skip=True)
for loop in LOOPS:
    if len(loop.native.signatures) > 1:
        print(loop.function.__name__, loop.native.signatures)
"""


def run(script: str, setting: str) -> str:
    """What a new process prints, whose loops are all compiled ("1") or all interpreted ("0")."""
    found = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"CONVEXDIFF_NUMBA": setting},
    )
    return found.stdout


def test_every_loop_has_one_version_however_it_is_called() -> None:
    """Two processes that compile different versions at the same time could mix them up on disk."""
    assert run(MANY_WAYS, "1") == ""


ALL_AT_ONCE = """
import convexdiff_lib
from convexdiff_lib._compiled import LOOPS, _is_on_disk
convexdiff_lib.compile_loops()
print(len({loop.function.__module__ for loop in LOOPS}))
print([loop.function.__name__ for loop in LOOPS if loop.native is None or not _is_on_disk(loop)])
"""


def test_all_loops_can_be_compiled_beforehand() -> None:
    """What `compile_loops` does not call would be compiled in somebody's first fit."""
    with_loops = [name for name, source in SOURCES.items() if loops(source)]
    assert run(ALL_AT_ONCE, "").splitlines() == [str(len(with_loops)), "[]"]


ANSWERS = """
import json
import numpy as np
import convexdiff_lib as lib
from convexdiff_lib.line.path import denoising_path, solution_path

rng = np.random.default_rng(3)
answers = []
def answer(fit):
    certificate = fit.certificate
    assert certificate.holds is True and type(certificate.primal) is type(certificate.infeasibility) is float
    network = fit.kink_network
    assert {type(n) for n in (network.constant, network.slope, network.origin)} == {float}
    answers.append([certificate.primal, certificate.dual, *fit.z, *fit.knots, *fit(np.linspace(-3, 3, 20))])

for x in (rng.normal(size=300), np.round(rng.standard_cauchy(size=60), 1), rng.normal(size=2500)):
    for activation in ("relu", "abs"):
        for skip in (False, True):
            for share in (0.6, 0.05):
                kind = {"activation": activation, "skip": skip}
                answer(lib.score_matching(x, max(share * len(x), 10.0), **kind))
                answer(lib.denoising_score_matching(x, np.roll(x, 1), share * len(x), **kind))
few = rng.normal(size=9)
for path in (solution_path(few, down_to=2), denoising_path(few, few[::-1], down_to=1, skip=True)):
    answers.append([piece.low for piece in path.pieces])
print(json.dumps(answers))
"""


def test_interpreted_and_compiled_loops_agree_to_rounding() -> None:
    one, other = (json.loads(run(ANSWERS, setting)) for setting in "01")
    assert len(one) == len(other) == 50
    for a, b in zip(one, other, strict=True):
        assert a == pytest.approx(b, rel=1e-9, abs=1e-9)  # a sum may be added up in another order
