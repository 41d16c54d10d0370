"""Time the enumeration of activation patterns, listed and in blocks, and the memory that it takes.

Writes arrangements.json.  The alternative is the practice of the field, random gates, given the same time.
Every case runs in a process of its own, so that its memory is.  Seconds are those of the processor.  All of
them take two minutes of it, on one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import product

import numpy as np
from numpy.typing import NDArray
from report import STORED, store
from worker import Record, Worker, peak_mib

from convexdiff_lib.space.arrangements import enumerate_arrangements, iterate_chambers

RESULTS = STORED / "arrangements.json"
LIMIT = 600.0  # seconds for one case
Rows = NDArray[np.float64]
Case = tuple[str, int, int, float | None, bool]  # family, its size, tolerance, in blocks


def normal(n: int, d: int) -> Rows:
    """Return normal rows."""
    return np.random.default_rng(0).normal(size=(n, d))


def icosahedron() -> Rows:
    """Return the fifteen mirrors of the icosahedron."""
    golden = (1 + 5**0.5) / 2
    pairs = list(product((1, -1), repeat=2))
    rows = [np.roll([1, a * golden, b / golden], k) for a, b in pairs for k in range(3)]
    return np.vstack([np.eye(3), rows])


def twice_and_opposite(n: int, d: int) -> Rows:
    """Return every row twice, and opposite."""
    half = normal(n // 3, d)
    return np.vstack([half, half, -2 * half])


FAMILIES: dict[str, Callable[[int, int], Rows]] = {
    "normal": normal,
    "integers from -3 to 3": lambda n, d: np.array(list(product(range(-3, 4), repeat=d)), dtype=float),
    "corners and edges of a cube": lambda n, d: np.array(list(product((-1, 0, 1), repeat=d)), dtype=float),
    "every row twice, and opposite": twice_and_opposite,
    "icosahedron": lambda n, d: icosahedron(),
    "in a space of three dimensions": lambda n, d: normal(n, 3) @ normal(3, d),
    "multiples of decimals": lambda n, d: np.outer([1, -2, 3], normal(n // 3, d).round(2)).reshape(n, d),
}
SIZES = [(1000, 2), (400, 3), (100, 4), (30, 6)]
CASES: list[Case] = [
    *(("normal", n, d, None, blocks) for n, d in SIZES for blocks in (False, True)),
    ("normal", 60, 5, None, False),
    ("normal", 60, 5, None, True),
    ("normal", 60, 6, None, True),
    ("integers from -3 to 3", 343, 3, None, False),
    ("corners and edges of a cube", 81, 4, None, False),
    ("every row twice, and opposite", 180, 3, None, False),
    ("icosahedron", 15, 3, 1e-12, False),
    ("in a space of three dimensions", 60, 10, 1e-12, False),
    ("multiples of decimals", 60, 3, 1e-12, False),
]


def warm_up() -> None:
    """Load what is loaded once."""
    enumerate_arrangements(np.eye(3))
    list(iterate_chambers(np.eye(3)))


def measured(case: Case) -> Record:
    """Run one case."""
    family, n, d, tolerance, in_blocks = case
    X = FAMILIES[family](n, d)
    before, begin = peak_mib(), time.process_time()
    if in_blocks:
        patterns = sum(len(block) for block, _ in iterate_chambers(X, tolerance=tolerance))
    else:
        patterns = len(enumerate_arrangements(X, tolerance=tolerance))
    seconds, grown = time.process_time() - begin, peak_mib() - before
    found = {"patterns": patterns, "seconds": float(f"{seconds:.3g}"), "mib": round(grown)}
    return found if in_blocks else found | {"found_by_random_gates": sampled(X, seconds)}


def sampled(X: Rows, seconds: float) -> int:
    """Count the patterns that random gates find in a given time."""
    rng, found = np.random.default_rng(0), set()
    end = time.process_time() + seconds
    while time.process_time() < end:
        gates = rng.normal(size=(4096, X.shape[1]))
        found |= {row.tobytes() for row in np.packbits(gates @ X.T >= 0, axis=1)}
    return len(found)


def main() -> None:
    """Run all cases."""
    records, worker = [], Worker(measured, warm_up)
    for case in CASES:
        family, n, d, tolerance, in_blocks = case
        about = {"family": family, "n": n, "d": d, "tolerance": tolerance, "in_blocks": in_blocks}
        records.append(about | worker.run(case, LIMIT, fresh=True))
        print(records[-1], flush=True)
    worker.stop()
    store(RESULTS, records)


if __name__ == "__main__":
    main()
