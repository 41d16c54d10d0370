"""Univariate denoising at the paper's settings: four networks, three learning rates, ten trials; readings.

Every sampling is judged by the exact law of its last point where that is known, else by 20 000 chains.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from convexdiff_lib._validation import Activation
from convexdiff_lib.datasets import standard_normal
from convexdiff_lib.paper.denoising_experiments import (
    AnnealedSamples,
    DenoisingSetting,
    anneal,
    as_piecewise_linear,
)
from convexdiff_lib.sweeps import grid
from experiments import Record, Sweep, digits

NETWORKS: list[tuple[Activation, bool]] = [("relu", False), ("abs", False), ("relu", True), ("abs", True)]
RATES = (1.0, 1e-2, 1e-6)
DATA_SEED, CHAIN_SEED, DATA_SETS = 101, 7, 10
EDGES = np.linspace(-10.0, 10.0, 81)
PAPER = DenoisingSetting()
READINGS: dict[str, DenoisingSetting] = {
    "as in the chapter": PAPER,
    "50 points": replace(PAPER, n=50),
    "100 points": replace(PAPER, n=100),
    "1000 points": replace(PAPER, n=1000),
    "5000 points": replace(PAPER, n=5000),
    "geometric noise levels": replace(PAPER, sigmas=tuple(np.geomspace(1.0, 0.01, 10).tolist())),
    "step of a tenth": replace(PAPER, step=0.1),
    "step of a half": replace(PAPER, step=0.5),
    "constant step 1/2": replace(PAPER, step=0.5, constant_step=True),
    "constant step 1": replace(PAPER, step=1.0, constant_step=True),
    "constant step 0.001": replace(PAPER, step=0.001, constant_step=True),
    "one noise for all levels": replace(PAPER, same_noise=True),
    "target as printed": replace(PAPER, printed_sign=True),
}


def judged(samples: AnnealedSamples) -> Record:
    """What is stored of one sampling."""
    return {
        "distance": digits(samples.distance),
        "largest_gap": digits(samples.largest_gap),
        "std": digits(samples.std),
        "outside": digits(max(samples.outside, 0.0)),
        "exact": samples.exact,
    }


def named(activation: Activation, skip: bool) -> str:
    """Name a network."""
    return f"{activation}{', skip' if skip else ''}"


def optimum(activation: Activation, skip: bool) -> Record:
    """The optima of one network at all noise levels, and their samples."""
    fits = PAPER.fits(PAPER.pairs(np.random.default_rng(DATA_SEED)), activation=activation, skip=skip)
    samples = anneal(fits, PAPER, np.random.default_rng(CHAIN_SEED))
    values = [digits(fit.value, 10) for fit in fits]
    return {"network": named(activation, skip), "values": values, **judged(samples)}


def trainings(activation: Activation, skip: bool, rate: float) -> list[Record]:
    """Ten runs of Adam for one network, at one learning rate, and their samples."""
    torch.set_num_threads(1)
    pairs = PAPER.pairs(np.random.default_rng(DATA_SEED))
    fits = PAPER.fits(pairs, activation=activation, skip=skip)
    runs = PAPER.trainings(pairs, rate, activation=activation, skip=skip)
    best = min(float(r.losses.min()) / fit.value for r, fit in zip(runs, fits, strict=True))
    assert best >= 1 - 1e-9, "a trained network is below the certified optimum"
    found = []
    for trial in range(10):
        scores = [as_piecewise_linear(r.last[trial]) for r in runs]
        samples = anneal(scores, PAPER, np.random.default_rng(CHAIN_SEED))
        found.append(
            {
                "network": named(activation, skip),
                "rate": rate,
                "trial": trial,
                "first": [digits(r.history[0, trial]) for r in runs],
                "highest": [digits(r.history[:, trial].max()) for r in runs],
                "best": [digits(r.losses[trial], 8) for r in runs],
                "last": [digits(r.history[-1, trial], 8) for r in runs],
                "histogram": [digits(h, 3) for h in samples.histogram(EDGES)],
                **judged(samples),
            }
        )
    return found


def run(sweep: Sweep) -> Record:
    """Run everything; about four minutes of one core."""
    networks = [{"activation": activation, "skip": skip} for activation, skip in NETWORKS]
    trained = sweep(trainings, [{**network, "rate": rate} for network in networks for rate in RATES])
    return {
        "settings": {
            "sigmas": list(PAPER.sigmas),
            "beta": PAPER.beta,
            "n": PAPER.n,
            "n_steps_each": PAPER.n_steps_each,
            "step_over_sigma_squared": PAPER.step,
            "width": PAPER.width,
            "seeds": {"data": DATA_SEED, "chains": CHAIN_SEED, "Adam": 0},
        },
        "edges": [EDGES[0], EDGES[-1], len(EDGES) - 1],
        "optima": sweep(optimum, networks),
        "trainings": [record for records in trained for record in records],
        "readings": sweep(reading, grid(name=list(READINGS))),
        "data_sets": sweep(data_set, grid(seed=range(DATA_SETS))),
    }


def reading(name: str) -> Record:
    """One reading of the settings: the sampler with exact scores, and optima of ten data sets."""
    setting = READINGS[name]
    exact_scores = [standard_normal().smoothed(sigma).score for sigma in setting.sigmas]
    ideal = anneal(exact_scores, setting, np.random.default_rng(CHAIN_SEED))
    distances, outside = [], []
    for seed in range(DATA_SETS):
        fits = setting.fits(setting.pairs(np.random.default_rng(DATA_SEED + seed)))
        samples = anneal(fits, setting, np.random.default_rng(CHAIN_SEED))
        distances.append(digits(samples.distance))
        outside.append(digits(max(samples.outside, 0.0)))
    return {"reading": name, "ideal": digits(ideal.distance), "distances": distances, "outside": outside}


def data_set(seed: int) -> Record:
    """Another data set: how near the optimum and three runs of Adam at 0.01 come, for every network."""
    torch.set_num_threads(1)
    found: Record = {"seed": DATA_SEED + seed}
    pairs = PAPER.pairs(np.random.default_rng(DATA_SEED + seed))
    for activation, skip in NETWORKS:
        fits = PAPER.fits(pairs, activation=activation, skip=skip)
        samples = anneal(fits, PAPER, np.random.default_rng(CHAIN_SEED))
        found[named(activation, skip)] = digits(samples.distance)
    runs = PAPER.trainings(pairs, 1e-2, n_trials=3, seed=seed)
    trained = [[as_piecewise_linear(r.last[k]) for r in runs] for k in range(3)]
    found["relu, Adam at 0.01"] = [
        digits(anneal(scores, PAPER, np.random.default_rng(CHAIN_SEED)).distance) for scores in trained
    ]
    return found
