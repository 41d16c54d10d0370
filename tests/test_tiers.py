"""Two forms of one loop: which is called when, what is said about it, and that nothing else differs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from numba.core import caching

ROOT = Path(__file__).parents[1]

TOY = '''
import numpy as np

from convexdiff_lib._compiled import compiled, compiled_sum

FACTOR = 2.0


@compiled
def outer(pair, counts, divisor):
    """Divide what `inner` finds."""
    most = inner(pair[0], counts)
    return pair, most / divisor, pair[1] / divisor, most > 3, len(counts)


@compiled_sum
def inner(x, counts):
    total = 0.0
    for i in range(len(x)):
        total += FACTOR * x[i] * counts[i]
    return total
'''

START = """
import logging
import sys

import numpy as np
import toy

from convexdiff_lib import _compiled

tiers, x = _compiled._tiers, np.arange(3.0)


def call(n=3, divisor=4.0):
    x = np.arange(float(n))
    return toy.outer((x, 1.0), np.ones(n), divisor)[1:]


def is_native():
    return hasattr(_compiled.LOOPS[0].run, "signatures")

"""
SPENT_ENOUGH_TO_LOAD = "tiers.spent = 1.0\n"
SPENT_ENOUGH_TO_COMPILE = "tiers.spent = 100.0\n"
NO_NUMBA = "sys.modules['numba'] = None\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "toy.py").write_text(TOY)
    return tmp_path


def run(folder: Path, script: str, **environment: str) -> tuple[list[str], str]:
    """The lines that a new process prints, and what it says on the standard error stream."""
    kept = {name: value for name, value in os.environ.items() if name != "CONVEXDIFF_NUMBA"}
    path = os.pathsep.join([str(folder), str(ROOT)])
    found = subprocess.run(
        [sys.executable, "-c", START + script],
        capture_output=True,
        text=True,
        env=kept | {"PYTHONPATH": path, "NUMBA_CACHE_DIR": str(folder / "cache")} | environment,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.splitlines(), found.stderr


ANSWER = "(1.5, 0.25, True, 3)"
HASHES = hasattr(caching, "_hash_source_file")  # older versions of numba look at dates


def test_little_work_is_interpreted_and_loads_no_compiler(folder: Path) -> None:
    script = "tiers.patience = (np.inf, 1e4)\nprint(call()); print(is_native(), 'numba' in sys.modules)\n"
    assert run(folder, script) == ([ANSWER, "False False"], "")


def test_both_forms_return_the_same_and_divide_as_numpy_does(folder: Path) -> None:
    """Python's own zero would raise an error, and NumPy's numbers print as what they are."""
    script = "print(call()); print(call(divisor=0.0)); print(is_native())\n"
    interpreted, _ = run(folder, script, CONVEXDIFF_NUMBA="0", PYTHONWARNINGS="error")
    native, _ = run(folder, script, CONVEXDIFF_NUMBA="1")
    assert interpreted[:2] == native[:2] == [ANSWER, "(inf, inf, True, 3)"]
    assert (interpreted[2], native[2]) == ("False", "True")


def test_named_tuples_and_arrays_survive_the_way_in_and_out(folder: Path) -> None:
    script = (
        "from convexdiff_lib._compiled import _as_numpy, _as_python\n"
        "from convexdiff_lib.line._exchange import Sums\n"
        "sums = Sums(x, 1.0, (2, np.True_))\n"
        "seen, back = _as_numpy(sums), _as_python(sums)\n"
        "print(type(seen).__name__, seen[0] is x, type(seen[1]).__name__, type(seen[2][0]).__name__)\n"
        "print(type(back).__name__, back[0] is x, back.pulled)\n"
    )
    assert run(folder, script)[0] == ["Sums True float64 int", "Sums True (2, True)"]


def test_first_it_pays_to_load_then_to_compile_and_that_is_said_once(folder: Path) -> None:
    nothing_there = SPENT_ENOUGH_TO_LOAD + "print(call(), is_native())\n"
    assert run(folder, nothing_there) == ([f"{ANSWER} False"], "")
    lines, said = run(folder, SPENT_ENOUGH_TO_COMPILE + "print(call(), is_native()); call()\n")
    assert lines == [f"{ANSWER} True"]
    assert said.count("compiling") == 1
    assert "convexdiff_lib.compile_loops()" in said
    all_there = SPENT_ENOUGH_TO_LOAD + "print(call(), is_native())\n"
    assert run(folder, all_there) == ([f"{ANSWER} True"], "")


@pytest.mark.parametrize("rewritten", [False, True])
def test_what_numba_would_not_read_is_not_there(folder: Path, rewritten: bool) -> None:
    """A new date, as after a change of branches, is a new source for some versions of numba only."""
    run(folder, "call()\n", CONVEXDIFF_NUMBA="1")
    if rewritten:
        (folder / "toy.py").write_text(TOY.replace("FACTOR = 2.0", "FACTOR = 2.00"))
    later = time.time() + 10
    os.utime(folder / "toy.py", (later, later))
    ours, _ = run(folder, SPENT_ENOUGH_TO_LOAD + "print(call(), is_native())\n")
    reads = "print(call(), sum(_compiled.LOOPS[0].native.stats.cache_hits.values()) > 0)\n"
    assert ours == run(folder, reads, CONVEXDIFF_NUMBA="1")[0]
    assert ours == [f"{ANSWER} {not rewritten and HASHES}"]


def test_what_was_compiled_for_another_processor_is_compiled_anew_and_announced(folder: Path) -> None:
    compile_it = SPENT_ENOUGH_TO_COMPILE + "call()\n"
    run(folder, compile_it, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")
    lines, said = run(folder, SPENT_ENOUGH_TO_LOAD + "print(call(), is_native())\n")
    assert lines == [f"{ANSWER} True"]
    assert said.count("compiling") == 1


@pytest.mark.parametrize(("patience", "n"), [("_UNTIL_LOADED", 40_000), ("_UNTIL_COMPILED", 1_000_000)])
def test_very_long_arrays_do_not_wait(folder: Path, patience: str, n: int) -> None:
    script = f"tiers.patience = (np.inf, _compiled.{patience}[1])\n"
    script += "tiers._reconsider = _compiled.compile_from_now_on\n"  # whatever is on disk
    script += f"call({n} - 1); print(is_native()); call({n}); print(is_native())\n"
    assert run(folder, script)[0] == ["False", "True"]


def test_what_is_asked_for_is_not_announced(folder: Path) -> None:
    lines, said = run(folder, "print(call(), is_native())\n", CONVEXDIFF_NUMBA="1")
    assert (lines, said) == ([f"{ANSWER} True"], "")


def test_without_numba_nothing_fails_and_it_is_said_once(folder: Path) -> None:
    lines, said = run(folder, NO_NUMBA + SPENT_ENOUGH_TO_COMPILE + "print(call(), is_native()); call()\n")
    assert lines == [f"{ANSWER} False"]
    assert said.count("slow") == said.count("pip install numba") == 1
    assert run(folder, NO_NUMBA + SPENT_ENOUGH_TO_LOAD + "print(call())\n") == ([ANSWER], "")


def test_a_numba_that_cannot_be_imported_is_as_good_as_none(folder: Path) -> None:
    (folder / "numba.py").write_text("raise ImportError('Numba needs NumPy 2.0 or less')")
    lines, said = run(folder, SPENT_ENOUGH_TO_COMPILE + "print(call(), is_native())\n")
    assert lines == [f"{ANSWER} False"]
    assert "Numba needs NumPy 2.0 or less" in said


def test_what_is_switched_off_stays_off_without_a_word(folder: Path) -> None:
    script = SPENT_ENOUGH_TO_COMPILE + "print(call(10**6)[-1], is_native(), 'numba' in sys.modules)\n"
    assert run(folder, script, CONVEXDIFF_NUMBA="0") == (["1000000 False False"], "")


REFUSED = """
try:
    {}
except {} as error:
    print(error)
"""


def test_what_cannot_be_had_is_refused_by_name(folder: Path) -> None:
    ask = REFUSED.format("_compiled.compile_from_now_on()", "ImportError")
    assert "pip install numba" in run(folder, NO_NUMBA + ask)[0][0]
    assert "CONVEXDIFF_NUMBA=0" in run(folder, ask, CONVEXDIFF_NUMBA="0")[0][0]
    assert "NUMBA_DISABLE_JIT=1" in run(folder, ask, NUMBA_DISABLE_JIT="1")[0][0]
    at_once = NO_NUMBA + REFUSED.format("call()", "ImportError")
    assert "pip install numba" in run(folder, at_once, CONVEXDIFF_NUMBA="1")[0][0]
    misread = (
        "sys.modules.pop('convexdiff_lib._compiled')\nimport os\nos.environ['CONVEXDIFF_NUMBA'] = 'off'\n"
    )
    misread += REFUSED.format("import convexdiff_lib._compiled as again", "ValueError")
    assert "must be 0 (never compile), 1" in run(folder, misread)[0][0]


def test_where_nothing_can_be_written_it_compiles_in_every_process_and_says_what_helps(folder: Path) -> None:
    for name in ("no_folder", "__pycache__"):
        (folder / name).write_text("")
    nowhere = {"NUMBA_CACHE_DIR": str(folder / "no_folder" / "x"), "PYTHONDONTWRITEBYTECODE": "1"}
    nowhere |= {"HOME": str(folder / "no_folder"), "XDG_CACHE_HOME": str(folder / "no_folder")}
    for enough in (SPENT_ENOUGH_TO_LOAD, SPENT_ENOUGH_TO_COMPILE):
        lines, said = run(folder, enough + "print(call(), is_native())\n", **nowhere)
        compiles = enough == SPENT_ENOUGH_TO_COMPILE
        assert lines == [f"{ANSWER} {compiles}"]
        assert said.count("Let NUMBA_CACHE_DIR name a folder that can.") == compiles


def test_threads_may_call_while_the_form_changes(folder: Path) -> None:
    script = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "def many(thread):\n"
        "    found = set()\n"
        "    for i in range(300):\n"
        "        if thread == 3 and i == 100:\n"
        "            tiers.spent = 100.0\n"
        "        found.add(call())\n"
        "    return found\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    print(set().union(*pool.map(many, range(8))), is_native())\n"
    )
    assert run(folder, script)[0] == [f"{{{ANSWER}}} True"]
