"""The spiral at the paper's settings: the wedge networks, their samples, other readings, Adam beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from convexdiff_lib._validation import FloatArray
from convexdiff_lib.datasets import Spiral
from convexdiff_lib.paper.nonconvex import AdamRuns
from convexdiff_lib.paper.spiral_experiment import SpiralSetting, anneal_in_the_plane, likeness
from convexdiff_lib.space.wedge import WedgeScore
from convexdiff_lib.sweeps import grid
from experiments import Record, Sweep, digits

Denoiser = Callable[[FloatArray], FloatArray]

PAPER = SpiralSetting()
DATA_SEED, CHAIN_SEED = 0, 1
N_JUDGED, N_DRAWN = 2000, 500
READINGS: dict[str, SpiralSetting] = {
    "as in the chapter": PAPER,
    "1-norm": replace(PAPER, p=1),
    "biases penalised": replace(PAPER, bias="penalised"),
    "biases penalised, 1-norm": replace(PAPER, bias="penalised", p=1),
    "no biases, as printed": replace(PAPER, bias="none"),
    "no biases, as printed, 1-norm": replace(PAPER, bias="none", p=1),
    "weight decay 0.003": replace(PAPER, lam=0.003),
    "weight decay 0.3": replace(PAPER, lam=0.3),
    "weight decay 3": replace(PAPER, lam=3.0),
    "one noise for all levels": replace(PAPER, same_noise=True),
    "50 points": replace(PAPER, n=50),
    "turns 3.8 apart": replace(PAPER, spiral=Spiral(0.6, 1.5 * np.pi, 4.5 * np.pi)),
    "turns 2.5 apart": replace(PAPER, spiral=Spiral(0.4, 1.5 * np.pi, 6.5 * np.pi)),
}
DRAWN = ("1-norm", "biases penalised", "no biases, as printed")
STEPS = (0.05, 0.1, 0.25, 1.0, 1.5, 2.0, 3.0)
SEEDS = (10, 11, 12, 13)
EPOCHS = {500: 10, 3000: 10, 30_000: 3}  # and how many trials
WIDTH = 300


def judged(denoisers: Sequence[Denoiser], setting: SpiralSetting) -> Record:
    """What is stored of one sampling: the distance after every level, the rest at the end."""
    film = anneal_in_the_plane(denoisers, setting, np.random.default_rng(CHAIN_SEED), N_JUDGED)
    end = asdict(likeness(film[-1], setting.spiral))
    return {
        "distances": digits([likeness(x, setting.spiral).distance for x in film]),
        **{key: digits(end[key]) for key in ("near", "covered", "unevenness")},
        "largest": digits(np.abs(film[-1]).max(), 3),
    }


def drawn(denoisers: Sequence[Denoiser], setting: SpiralSetting) -> list[Any]:
    """The samples of a picture, to two decimals."""
    film = anneal_in_the_plane(denoisers, setting, np.random.default_rng(CHAIN_SEED), N_DRAWN)
    return [[round(a, 2), round(b, 2)] for a, b in film[-1].tolist()]


def stored(best: WedgeScore, wedge: WedgeScore) -> Record:
    """The best of all networks and its dual, and the values of this and of the wedge program."""
    network = best.network()
    return {
        **{name: digits(getattr(network, name), 12) for name in ("W1", "b1", "W2", "b2")},
        "Q": digits(best.Q, 12),
        "value": digits(best.value, 10),
        "wedge_value": digits(wedge.value, 10),
    }


def reading(name: str) -> Record:
    """One reading of the settings: its records, its picture, and of the first one the networks.

    The first reading has the best of all networks, the others the best with kinks through two data points.
    """
    setting = READINGS[name]
    pairs = setting.pairs(np.random.default_rng(DATA_SEED))
    fits = [setting.fit(*pair) for pair in pairs]
    found: Record = {}
    if setting is PAPER:
        best = [setting.fit(*pair, exact=True) for pair in pairs]
        found["networks"] = [stored(*both) for both in zip(best, fits, strict=True)]
        fits = best
    found["readings"] = [
        {
            "reading": name,
            "features": [len(fit.Z) for fit in fits],
            "worst_gap": digits(max(fit.certificate.relative_gap for fit in fits), 2),
            **judged(fits, setting),
        }
    ]
    if setting is PAPER:
        found["readings"] += other_steps(fits)
    if name in DRAWN:
        found["drawn"] = drawn(fits, setting)
    return found


def other_steps(fits: Sequence[WedgeScore]) -> list[Record]:
    """Samples of the same networks by steps of other sizes."""
    others = {f"step {step:g}": replace(PAPER, step=step) for step in STEPS}
    others["constant step 0.5"] = replace(PAPER, constant_step=True)
    return [{"reading": name, **judged(fits, setting)} for name, setting in others.items()]


def other_data(seed: int) -> Record:
    """The paper's settings on other data."""
    fits = [PAPER.fit(*pair) for pair in PAPER.pairs(np.random.default_rng(seed))]
    return {"reading": f"other data, seed {seed}", **judged(fits, PAPER)}


def adam(epochs: int) -> Record:
    """Train for so many epochs: the runs, and the picture of one."""
    torch.set_num_threads(1)
    trials = EPOCHS[epochs]
    pairs = PAPER.pairs(np.random.default_rng(DATA_SEED))
    runs = [PAPER.train(*pair, width=WIDTH, n_trials=trials, n_epochs=epochs, seed=0) for pair in pairs]
    return {
        "adam": {"epochs": epochs, "trials": [trial(runs, k) for k in range(trials)]},
        "drawn": drawn([run.networks[0] for run in runs], PAPER),
    }


def run(sweep: Sweep) -> Record:
    """Run everything; about ten minutes of one core."""
    found = dict(zip(READINGS, sweep(reading, grid(name=list(READINGS))), strict=True))
    others = sweep(other_data, grid(seed=SEEDS))
    trained = sweep(adam, grid(epochs=list(EPOCHS)))
    pictures = {name: found[name]["drawn"] for name in READINGS if name in DRAWN}
    (networks,) = (each["networks"] for each in found.values() if "networks" in each)
    return {
        "seeds": {"data": DATA_SEED, "chains": CHAIN_SEED, "Adam": 0},
        "samples": {"judged": N_JUDGED, "drawn": N_DRAWN},
        "width": WIDTH,
        "readings": [record for each in found.values() for record in each["readings"]] + others,
        "drawn": pictures
        | {f"Adam, {epochs} epochs": each["drawn"] for epochs, each in zip(EPOCHS, trained, strict=True)},
        "networks": networks,
        "adam": [each["adam"] for each in trained],
    }


def trial(runs: Sequence[AdamRuns], k: int) -> Record:
    """One run of Adam: its losses, in the wedge program's unit, and its samples."""
    return {
        "losses": digits([2 * run.losses[k] for run in runs], 6),
        **judged([run.networks[k] for run in runs], PAPER),
    }
