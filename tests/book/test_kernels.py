"""The rows of ``make kernels`` force what they say, and notice when they do not."""

import platform
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tools import kernels
from tools.kernels import Row, Used

OWN = Used(cores=["SkylakeX", "SkylakeX"], threads=1, simd=["X86_V3"], compiled=True)


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"OPENBLAS_CORETYPE": "SkylakeX"}, ""),
        ({"OPENBLAS_CORETYPE": "Haswell"}, "in use is SkylakeX+SkylakeX"),
        ({"OPENBLAS_NUM_THREADS": "1"}, ""),
        ({"OPENBLAS_NUM_THREADS": "2"}, "in use are 1"),
        ({"NPY_DISABLE_CPU_FEATURES": "X86_V4"}, ""),
        ({"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4"}, "although disabled: X86_V3"),
        ({"CONVEXDIFF_NUMBA": "1"}, ""),
        ({"CONVEXDIFF_NUMBA": "0"}, "numba was imported"),
    ],
)
def test_what_is_not_in_use_is_named(environment: dict[str, str], complaint: str) -> None:
    found = kernels.not_as_forced(OWN, environment)
    assert len(found) == bool(complaint)
    assert complaint in "".join(found)


def test_loops_that_are_not_compiled_are_noticed() -> None:
    interpreted = replace(OWN, compiled=False)
    assert kernels.not_as_forced(interpreted, {"CONVEXDIFF_NUMBA": "1"}) != []
    assert kernels.not_as_forced(interpreted, {"CONVEXDIFF_NUMBA": "0"}) == []


def test_one_of_two_libraries_that_does_not_follow_is_noticed() -> None:
    mixed = Used(cores=["Haswell", "SkylakeX"], threads=1, simd=[], compiled=True)
    assert kernels.not_as_forced(mixed, {"OPENBLAS_CORETYPE": "Haswell"}) != []
    none = Used(cores=[], threads=1, simd=[], compiled=True)
    assert kernels.not_as_forced(none, {"OPENBLAS_CORETYPE": "Haswell"}) != []


def test_the_rows_of_this_machine() -> None:
    rows = {row.name: row.settings for row in kernels.rows(OWN)}
    assert rows["own"] == {}
    assert rows["plain"]["NPY_DISABLE_CPU_FEATURES"] == "X86_V3"
    assert {"threads", "uncompiled"} <= set(rows)
    assert "skylakex" not in rows  # it is the machine's own


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="kernels of x86")
def test_at_least_three_kernels_are_tried() -> None:
    for own in (OWN, replace(OWN, cores=["Zen"]), replace(OWN, cores=["Zen"], simd=["X86_V3", "X86_V4"])):
        forced = {row.settings.get("OPENBLAS_CORETYPE", "") for row in kernels.rows(own)} - {""}
        assert len(forced | set(own.cores)) >= 3
        assert ("SkylakeX" in forced) == ("X86_V4" in own.simd)


def test_a_forced_kernel_is_used_by_numpy_and_scipy() -> None:
    own = kernels.used_by(Row("own"))
    row = next((row for row in kernels.rows(own) if "OPENBLAS_CORETYPE" in row.settings), Row("own"))
    used = kernels.used_by(row)
    assert len(used.cores) == len(own.cores)
    assert kernels.not_as_forced(used, row.settings) == []


def test_a_row_runs_everything_in_which_numbers_are_computed() -> None:
    arguments = kernels.pytest_arguments(library=False, jobs=2)
    assert {"convexdiff_lib", "chapters"} <= set(arguments)
    files = set(kernels.TESTS.rglob("test_*.py"))
    run = {Path(argument) for argument in arguments if argument.endswith(".py")}
    assert files - run == {file for file in files if kernels.among(file, kernels.OTHERS)}
    assert {"line", "space", "sampling"} <= {file.parent.name for file in run}


def test_no_file_is_left_out_by_a_name_that_is_none() -> None:
    assert [place for place in kernels.SPACE | kernels.OTHERS if not (kernels.TESTS / place).exists()] == []
    assert not kernels.SPACE & kernels.OTHERS
    rows = {row.name: row for row in kernels.rows(OWN)}
    gated, beam = (str(kernels.TESTS / name) for name in ("space/test_gated.py", "line/test_beam.py"))
    assert rows["threads"].wants(gated)
    assert not rows["threads"].wants(beam)
    assert rows["uncompiled"].wants(beam)
    assert not rows["uncompiled"].wants(gated)
    assert not rows["uncompiled"].wants("chapters")


def collected(share: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, f"--share={share}", __file__],
        capture_output=True,
        text=True,
        check=False,
        cwd=kernels.ROOT,
    )


def cases_of_this_file(share: str) -> list[str]:
    return re.findall(r"::(.+)$", collected(share).stdout, re.MULTILINE)


def test_between_them_the_shares_are_all_cases_and_each_has_every_function() -> None:
    everything = cases_of_this_file("1/1")
    functions = {case.partition("[")[0] for case in everything}
    parts = [cases_of_this_file(f"{part}/3") for part in (1, 2, 3)]
    assert [{case.partition("[")[0] for case in part} for part in parts] == 3 * [functions]
    assert {case for part in parts for case in part} == set(everything)
    assert max(map(len, parts)) < len(everything)
    assert collected("4/3").returncode == pytest.ExitCode.USAGE_ERROR


def test_a_file_that_cannot_be_imported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent, present = tmp_path / "needs_what_is_absent.py", tmp_path / "needs_nothing.py"
    absent.write_text("import a_package_that_nobody_has\n")
    present.write_text("import math\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert kernels.not_importable([absent, present]) == {absent: "a_package_that_nobody_has"}
