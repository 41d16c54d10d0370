"""Time the first answers of a fresh process: with nothing compiled, with everything on disk, without numba.

Writes first_answer.json.  Every number is the least of a few processes, in seconds of the processor: what
else a machine does can slow a process down tenfold, and nothing here waits but for files.  The time of an
import contains all that it loads; ``process`` is everything from the start of a process to its second answer.
See README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from tempfile import TemporaryDirectory
from typing import Any

from report import STORED, store

RESULTS = STORED / "first_answer.json"
RUNS = 5
FORMS = {"when it pays": "", "from the start": "1", "never": "0"}  # what CONVEXDIFF_NUMBA says
ALTERNATIVES = ("numpy", "scipy.stats", "numba", "sklearn.neighbors", "torch")

# The weight decay is n/100; the targets are those of noise of size 1/2.
FIRST_FITS = """
import time
begin = time.process_time()
from convexdiff_lib import denoising_score_matching, score_matching
imported = time.process_time() - begin

import gc, json
import numpy as np
rng = np.random.default_rng([2024, {n}])
x, noise = rng.normal(size={n}), rng.normal(size={n})

def seconds(fit):
    gc.disable()
    begin = time.process_time()
    assert fit().certificate.holds
    found = time.process_time() - begin
    gc.enable()
    return found

calls = [
    lambda: score_matching(x, {n} / 100),
    lambda: denoising_score_matching(x + noise / 2, -2 * noise, {n} / 100),
]
first = [seconds(call) for call in calls]
process = time.process_time()
later = [min(seconds(call) for _ in range({again})) for call in calls if {again}]
print(json.dumps([imported, *first, process, *later]))
"""

COMPILE = """
import time
begin = time.process_time()
import convexdiff_lib
convexdiff_lib.compile_loops()
print(time.process_time() - begin)
"""

IMPORT = """
import time
begin = time.process_time()
import {package}
print(time.process_time() - begin)
"""

Record = dict[str, Any]


def python(script: str, cache: str, form: str) -> Any:
    """Run a script in a new process, and read what it prints."""
    settings = {"NUMBA_CACHE_DIR": cache, "CONVEXDIFF_NUMBA": FORMS[form], "OMP_NUM_THREADS": "1"}
    return json.loads(subprocess.check_output([sys.executable, "-c", script], env=os.environ | settings))


def imports() -> Iterator[Record]:
    """Import the library with what a fit of one-dimensional data needs, and other packages."""
    ours = IMPORT.format(package="convexdiff_lib.line.training")
    seconds = min(python(ours, "", "never") for _ in range(RUNS))
    for package in ALTERNATIVES:
        theirs = min(python(IMPORT.format(package=package), "", "never") for _ in range(RUNS))
        yield {"part": "import", "seconds": seconds, "compared_with": package, "ratio": seconds / theirs}


def compiling(cache: str) -> Iterator[Record]:
    """Compile all loops, which fills the cache, and load them from there."""
    for state in ("empty", "filled"):
        seconds = min(python(COMPILE, cache, "when it pays") for _ in range(1 if state == "empty" else RUNS))
        yield {"part": "compile_loops", "cache": state, "seconds": seconds}


def first_fits(n: int, form: str, filled: str = "", again: int = 0, runs: int = RUNS) -> Record:
    """Make the first fits of a process, on a filled cache or an empty one; the best of some processes."""
    found = []
    with TemporaryDirectory() as empty:
        for run in range(runs):
            found.append(python(FIRST_FITS.format(n=n, again=again), filled or f"{empty}/{run}", form))
    measured = ("import", "score_matching", "denoising", "process", "later_score_matching", "later_denoising")
    about: Record = {"part": "first fits", "n": n, "compiled": form, "cache": "filled" if filled else "empty"}
    return about | dict(zip(measured, map(min, zip(*found, strict=True)), strict=False))


def answers(filled: str) -> Iterator[Record]:
    """All first fits: as they come, against compiling from the start, and without numba."""
    yield first_fits(500, "from the start", runs=1)
    for n in (500, 5000):
        yield first_fits(n, "when it pays")
        yield first_fits(n, "when it pays", filled)
        yield first_fits(n, "never")
    for n, again in ((10**3, 200), (10**6, 20)):
        yield first_fits(n, "from the start", filled, again)
    yield first_fits(10**5, "when it pays", runs=2)
    yield first_fits(10**5, "never", runs=2)
    yield first_fits(10**6, "never", runs=1)


def rounded(record: Record) -> Record:
    """Three digits of what was measured."""
    return {
        name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in record.items()
    }


def save(records: list[Record]) -> None:
    """Write all records, one per line."""
    store(RESULTS, records)


def main() -> None:
    """Measure everything, and store it."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    records = []
    with TemporaryDirectory() as cache:
        for record in chain(imports(), compiling(cache), answers(cache)):
            records.append(rounded(record))
            print(records[-1], flush=True)
    save(records)


if __name__ == "__main__":
    main()
