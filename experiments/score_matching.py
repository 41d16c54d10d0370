"""The six score-matching experiments under other readings of their settings."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from convexdiff_lib.paper.score_matching_experiments import SETTINGS, run_experiment
from convexdiff_lib.sweeps import grid
from experiments import Record, Sweep, digits

READINGS: dict[str, dict[str, Any]] = {
    "as in the chapter": {},
    "20 neurons": {"width": 20},
    "500 neurons": {"width": 500},
    "5,000 epochs": {"n_epochs": 5000},
    "step 1": {"step_size": 1.0},
    **{f"other data, seed {seed}": {"seed": seed} for seed in (1, 2, 3, 4)},
}
N_CHAINS = 1000  # the exact law needs none


def run(sweep: Sweep) -> Record:
    """Run everything; about five minutes of one core."""
    return {"seed": 0, "readings": sweep(reading, grid(name=list(READINGS)))}


def reading(name: str) -> Record:
    """One reading of the settings: what Adam and the optimum come to in all six experiments."""
    torch.set_num_threads(1)
    record: Record = {"reading": name}
    for experiment in SETTINGS:
        found = run_experiment(experiment, n_chains=N_CHAINS, **READINGS[name])
        record[experiment] = {
            "best_excess": digits(float(found.excess.min()), 3),
            "median_excess": digits(float(np.median(found.excess)), 3),
            "below": digits(max(0.0, found.fit.certificate.dual - float(found.runs.losses.min())), 3),
            "spread": digits(found.spread, 3),
        }
    return record
