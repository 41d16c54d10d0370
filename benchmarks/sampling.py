"""Time Langevin dynamics against the drawing of its random numbers.  Writes sampling.json."""

from __future__ import annotations

import time

import numpy as np
from report import STORED, store

from convexdiff_lib import score_matching
from convexdiff_lib.datasets import paper_mixture, standard_normal
from convexdiff_lib.sampling.langevin import langevin_dynamics

RESULTS = STORED / "sampling.json"
CHAINS, STEPS = 100_000, 500


def main() -> None:
    """Run both experiments of the paper."""
    records = []
    for name, law, n, beta in (
        ("Gaussian", standard_normal(), 500, 499.0),
        ("mixture", paper_mixture(), 1000, 20.0),
        ("mixture, many kinks", paper_mixture(), 1000, 2.0),
    ):
        fit = score_matching(law.sample(n, np.random.default_rng(0)), beta)
        start = np.random.default_rng(1).uniform(-10, 10, CHAINS)
        begin = time.perf_counter()
        langevin_dynamics(fit, start, step_size=0.5, n_steps=STEPS, rng=np.random.default_rng(2))
        seconds = time.perf_counter() - begin
        rng = np.random.default_rng(2)
        begin = time.perf_counter()
        for _ in range(STEPS):
            rng.normal(size=CHAINS)
        drawing = time.perf_counter() - begin
        records.append(
            {
                "experiment": name,
                "kinks": len(fit.knots),
                "seconds": float(f"{seconds:.3g}"),
                "drawing": float(f"{drawing:.3g}"),
                "ratio": float(f"{seconds / drawing:.3g}"),
            }
        )
        print(records[-1], flush=True)
    store(RESULTS, records)


if __name__ == "__main__":
    main()
