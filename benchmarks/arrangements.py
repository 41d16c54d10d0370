"""Time the enumeration of activation patterns, in general and in special position.

Writes arrangements.json.  The alternative is the practice of the field, random gates, given the same time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray
from report import STORED, machine

from convexdiff_lib.space.arrangements import enumerate_arrangements

RESULTS = STORED / "arrangements.json"


def families() -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Name the data sets and make them."""
    for n, d in ((1000, 2), (400, 3), (100, 4), (30, 6)):
        yield "normal", np.random.default_rng(0).normal(size=(n, d))
    yield "integers from -3 to 3", np.array(list(product(range(-3, 4), repeat=3)), dtype=float)
    yield "corners and edges of a cube", np.array(list(product((-1, 0, 1), repeat=4)), dtype=float)
    half = np.random.default_rng(0).normal(size=(60, 3))
    yield "every row twice, and opposite", np.vstack([half, half, -2 * half])


def sampled(X: NDArray[np.float64], seconds: float) -> int:
    """Count the patterns that random gates find in a given time."""
    rng, found = np.random.default_rng(0), set()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        gates = rng.normal(size=(4096, X.shape[1]))
        found |= {row.tobytes() for row in np.packbits(gates @ X.T >= 0, axis=1)}
    return len(found)


def main() -> None:
    """Run all families."""
    records = []
    enumerate_arrangements(np.eye(3))
    for family, X in families():
        begin = time.perf_counter()
        patterns = len(enumerate_arrangements(X))
        seconds = time.perf_counter() - begin
        records.append(
            {
                "family": family,
                "n": len(X),
                "d": X.shape[1],
                "patterns": patterns,
                "seconds": float(f"{seconds:.3g}"),
                "found_by_random_gates": sampled(X, seconds),
            }
        )
        print(records[-1], flush=True)
    lines = ",\n".join(json.dumps(record) for record in records)
    RESULTS.write_text(f'{{"machine": {json.dumps(machine())},\n"records": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
