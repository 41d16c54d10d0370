"""Run the numerical tests and the chapters as other machines would.

    python tools/kernels.py [--library] [--jobs N] [ROW ...]

The last digits of a sum or of a product of matrices depend on the processor: OpenBLAS has a kernel for each
family, NumPy a loop for each set of SIMD instructions, and threads add in another order. No test and no
stored output may hang on them. Each row below forces one such choice, asks a fresh process what is really in
use, and runs the tests. ``make test`` is the row in which nothing is forced, and runs them all. The rows
that a part of the cases is shared out among run every test function, and between them every case and chapter.

With ``--library`` only the tests of the library run, with what is installed: neither chapters, nor the files
that import something that is missing, as PyTorch. So it serves for other versions of Python and of the
dependencies (``make library``).
"""

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
# What these check is the book, its pages, its tools and its wording, or what comes in and goes out, not
# numbers; or long training that chapters repeat.
OTHERS = {
    "book", "live", "paper/test_denoising_experiments.py", "paper/test_score_matching_experiments.py",
    "test_compiled.py", "test_front_door.py", "test_input.py", "test_progress.py", "test_results.py",
    "test_tiers.py",
}  # fmt: skip
# In many dimensions there is linear algebra, and no loop that is compiled.
SPACE = {
    "space", "paper/test_multivariate_programs.py", "paper/test_nonconvex.py", "paper/test_spiral.py",
}  # fmt: skip
# OpenBLAS calls its oldest kernels by the first of their names.
CORES = {"Prescott": {"Prescott", "Katmai"}, "Haswell": {"Haswell"}, "SkylakeX": {"SkylakeX"}}
WITH_AVX512 = {"SkylakeX", "Cooperlake", "SapphireRapids"}


@dataclass(frozen=True)
class Used:
    """What a process computes with."""

    cores: list[str]  # one for each OpenBLAS, of which NumPy and SciPy each bring one
    threads: int
    simd: list[str]  # beyond what NumPy was built for
    compiled: bool

    def __str__(self) -> str:
        """Everything on one line."""
        cores = "+".join(self.cores) or "no OpenBLAS"
        simd = " ".join(self.simd) or "none"
        compiled = "compiled" if self.compiled else "not compiled"
        return f"{cores}, {self.threads} thread{'s' * (self.threads > 1)}, SIMD: {simd}, {compiled}"


@dataclass(frozen=True)
class Row:
    """One choice, the environment variables that force it, and the tests that it leaves out."""

    name: str
    settings: Mapping[str, str] = field(default_factory=dict)
    left_out: str = "site"
    options: tuple[str, ...] = ()
    chapters: bool = True
    without: frozenset[str] = frozenset()
    share: str = "1/1"

    def wants(self, argument: str) -> bool:
        """Whether it runs this file or folder."""
        return not among(Path(argument), self.without) and (self.chapters or argument != "chapters")

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a process that runs this row."""
        return {**os.environ, "OMP_NUM_THREADS": "1", "CONVEXDIFF_NUMBA": "1", **self.settings}


def among(file: Path, places: frozenset[str] | set[str]) -> bool:
    """Whether a test file is one of the places, files and folders below ``tests``, or in one."""
    inside = file.relative_to(TESTS) if file.is_relative_to(TESTS) else file
    return bool({inside.as_posix(), *(parent.as_posix() for parent in inside.parents)} & set(places))


def used_here() -> Used:
    """What this process computes with; imports it all."""
    import numpy as np
    import scipy.linalg  # noqa: F401  (brings SciPy's own OpenBLAS)
    import threadpoolctl

    from convexdiff_lib import score_matching

    score_matching(range(10), 5.0)  # calls loops, which brings numba, unless that is switched off
    found = [lib for lib in threadpoolctl.threadpool_info() if lib["internal_api"] == "openblas"]
    simd = np.show_config("dicts")["SIMD Extensions"].get("found", [])
    return Used(
        cores=sorted(str(lib["architecture"]) for lib in found),
        threads=max((int(lib["num_threads"]) for lib in found), default=1),
        simd=sorted(simd),
        compiled="numba" in sys.modules,
    )


def used_by(row: Row) -> Used:
    """What a fresh process of this row computes with."""
    command = [sys.executable, __file__, "--used"]
    told = subprocess.run(command, env=row.environment, stdout=subprocess.PIPE, text=True, check=True)
    return Used(**json.loads(told.stdout))


def not_as_forced(used: Used, environment: Mapping[str, str]) -> list[str]:
    """Say what is not in use although the environment forces it."""
    found = []
    core = environment.get("OPENBLAS_CORETYPE")
    if core and not (used.cores and set(used.cores) <= CORES[core]):
        found.append(f"OPENBLAS_CORETYPE is {core}, in use is {'+'.join(used.cores) or 'no OpenBLAS'}")
    threads = environment.get("OPENBLAS_NUM_THREADS")
    if threads and used.cores and used.threads != int(threads):
        found.append(f"OPENBLAS_NUM_THREADS is {threads}, in use are {used.threads}")
    disabled = set(environment.get("NPY_DISABLE_CPU_FEATURES", "").split())
    if disabled & set(used.simd):
        found.append(f"in use although disabled: {' '.join(sorted(disabled & set(used.simd)))}")
    numba = environment.get("CONVEXDIFF_NUMBA")
    if numba in ("0", "1") and used.compiled != (numba == "1"):
        found.append(f"CONVEXDIFF_NUMBA is {numba}, but numba was {'not ' * (not used.compiled)}imported")
    return found


def rows(own: Used) -> list[Row]:
    """The rows for a machine that computes with ``own`` unless forced; the first forces nothing."""
    found = [Row("own")]
    if own.cores and platform.machine().lower() in ("x86_64", "amd64"):
        names = ["Prescott", "Haswell"]
        if {"X86_V4", "AVX512_SKX"} & set(own.simd) and not WITH_AVX512 & set(own.cores):
            names.append("SkylakeX")
        shares = {"Prescott": "1/3", "Haswell": "2/3", "SkylakeX": "2/3"}
        found += [Row(name.lower(), {"OPENBLAS_CORETYPE": name}, share=shares[name]) for name in names]
    if own.simd:
        plain = {"NPY_DISABLE_CPU_FEATURES": " ".join(own.simd), "ATEN_CPU_CAPABILITY": "default"}
        found.append(Row("plain", plain, share="3/3"))
    several = {"OPENBLAS_NUM_THREADS": str(max(2, os.cpu_count() or 2))}
    line = {file.relative_to(TESTS).as_posix() for file in numerical_tests() if not among(file, SPACE)}
    found.append(Row("threads", several, without=frozenset(line), share="2/2"))
    compiling = ("--ignore=convexdiff_lib/line/compiling.py",)  # its examples compile
    # Chapters fit up to a million points, which takes minutes where loops are interpreted.
    uncompiled = {"CONVEXDIFF_NUMBA": "0"}
    found.append(Row("uncompiled", uncompiled, "site or compiled", compiling, False, frozenset(SPACE), "1/2"))
    return found


def numerical_tests() -> list[Path]:
    """The test files in which numbers are computed."""
    return [file for file in sorted(TESTS.rglob("test_*.py")) if not among(file, OTHERS)]


def not_importable(files: list[Path]) -> dict[Path, str]:
    """The test files that import something that is not installed, and what that is."""
    sys.path[:0] = [*{str(file.parent) for file in files}, str(TESTS), str(ROOT / "_ext")]
    found = {}
    for file in files:
        try:
            importlib.import_module(file.stem)
        except ModuleNotFoundError as error:
            found[file] = str(error.name)
    return found


def pytest_arguments(*, library: bool, jobs: int) -> list[str]:
    """What to run, and how."""
    tests = numerical_tests()
    if not library:
        return ["-n", str(jobs), *map(str, tests), "convexdiff_lib", "chapters"]
    absent = not_importable(tests)
    for file, name in absent.items():
        print(f"without {file.name}, which needs {name}")
    options = ["-o", "addopts=--doctest-modules --doctest-ignore-import-errors --strict-markers"]
    return [*options, *(str(file) for file in tests if file not in absent), "convexdiff_lib"]


def passes(row: Row, arguments: list[str]) -> bool:
    """Run one row and report it."""
    used = used_by(row)
    wrong = not_as_forced(used, row.environment)
    print(f"{row.name:11} {used}", *wrong, sep="; ", flush=True)
    start = time.perf_counter()
    wanted = [argument for argument in arguments if row.wants(argument)]
    chosen = ["-m", f"not ({row.left_out})", f"--share={row.share}", *row.options]
    command = [sys.executable, "-m", "pytest", "-q", *chosen, *wanted]
    run = subprocess.run(
        command, cwd=ROOT, env=row.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines = run.stdout.rstrip().splitlines()
    shown = lines if run.returncode else lines[-1:]
    print(*shown, sep="\n", flush=True)
    print(f"{'':11} {time.perf_counter() - start:.0f} s", flush=True)
    return not wrong and run.returncode == 0


def main() -> None:
    """Run the rows named on the command line; without names all but the first, which `make test` runs."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--used", action="store_true", help="print what this process computes with")
    parser.add_argument("--library", action="store_true", help="only the library, with what is installed")
    parser.add_argument("--jobs", type=int, default=2, help="processes at the same time")
    parser.add_argument("rows", nargs="*", metavar="ROW")
    options = parser.parse_args()
    if options.used:
        print(json.dumps(asdict(used_here())))
        return
    known = {row.name: row for row in rows(used_by(Row("own")))}
    names = options.rows or list(known)[1:]
    if unknown := [name for name in names if name not in known]:
        parser.error(f"unknown on this machine: {', '.join(unknown)}; known: {', '.join(known)}")
    arguments = pytest_arguments(library=options.library, jobs=options.jobs)
    failed = [name for name in names if not passes(known[name], arguments)]
    print(f"rows: {len(names) - len(failed)} passed, {len(failed)} failed", *failed)
    sys.exit(bool(failed))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
