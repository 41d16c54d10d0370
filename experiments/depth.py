"""Does a third layer help? Two layers against three, on five populations, ten samples of each, paired.

A population is a column of numbers blurred by normal noise, so that its score is known exactly, also where
the column was measured and not invented. A sample is drawn from the column and blurred: score matching sees
the blurred points, denoising sees the noise as well, and both are judged by the same score.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from scipy.special import ndtr
from scipy.stats import gumbel_r, norm, t
from sklearn.datasets import load_breast_cancer, load_diabetes

from convexdiff_lib import (
    deep_denoising_score_matching,
    deep_score_matching,
    denoising_score_matching,
    score_matching,
)
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.sweeps import grid
from experiments import Record, Sweep, digits

N, BLUR, DRAWS, SEED = 60, 0.4, 10, 17
GRIDS = {"score matching": np.geomspace(1.05, 50.0, 14), "denoising": np.geomspace(0.1, 30.0, 14)}
LOSSES = ("score matching", "denoising")
ACTIVATIONS: tuple[Activation, ...] = ("relu", "abs")


def columns() -> dict[str, FloatArray]:
    """The populations before they are blurred, in units of their standard deviation."""
    ranks = (np.arange(1000) + 0.5) / 1000
    found = {
        "two modes": np.concatenate([norm.ppf(ranks) - 2, norm.ppf(ranks) + 2]),
        "skewed": gumbel_r.ppf(ranks),
        "heavy tails": t.ppf(ranks, 3),
        "body mass index": load_diabetes(scaled=False).data[:, 2],
        "radius of cell nuclei": load_breast_cancer().data[:, 0],
    }
    return {name: (column - column.mean()) / column.std() for name, column in found.items()}


def true_score(column: FloatArray, x: FloatArray) -> FloatArray:
    """The score of a column blurred by normal noise."""
    apart = (column[None, :] - x[:, None]) / BLUR
    weights = np.exp(-0.5 * (apart**2 - (apart**2).min(axis=1, keepdims=True)))
    found: FloatArray = (weights * apart).sum(axis=1) / weights.sum(axis=1) / BLUR
    return found


class Judge:
    """What one population says of a fit: the error of its score, and the distance of its distribution."""

    def __init__(self, column: FloatArray) -> None:
        rng = np.random.default_rng(SEED)
        self.places = np.sort(rng.choice(column, 2000) + BLUR * rng.normal(size=2000))
        self.score = true_score(column, self.places)
        self.line = np.linspace(column.min() - 2, column.max() + 2, 800)
        self.cdf = ndtr((self.line[:, None] - column[None, :]) / BLUR).mean(axis=1)

    def error(self, fit: Any) -> float:
        """Root mean square over the population."""
        return float(np.sqrt(np.mean((fit(self.places) - self.score) ** 2)))

    def all(self, fit: Any) -> list[float]:
        """The error, the area between the distribution functions, and the number of kinks."""
        away = np.array([np.nan])
        with suppress(ValueError):  # an outer slope points outwards, or the score is too rough to integrate
            away = np.abs(fit.cdf(self.line) - self.cdf)
        area = float(away.mean() * (self.line[-1] - self.line[0]))
        return [self.error(fit), area, float(len(fit.knots))]


def fits(loss: str, activation: Activation, x: FloatArray, noise: FloatArray) -> Callable[[int, float], Any]:
    """Train with a depth at a weight decay; None below the threshold."""

    def fit(depth: int, beta: float) -> Any:
        if loss == "denoising":
            train = denoising_score_matching if depth == 2 else deep_denoising_score_matching
            return train(x, -noise / BLUR, beta, activation=activation)
        if activation == "abs" and depth == 3 and beta < 3:
            return None
        return (score_matching if depth == 2 else deep_score_matching)(x, beta, activation=activation)

    return fit


def compared(judge: Judge, fit: Callable[[int, float], Any], betas: FloatArray) -> dict[str, list[float]]:
    """Two layers and three at the best weight decay of each, and three at the best one of two."""
    decays, best, chosen = betas.tolist(), {}, {}
    for depth in (2, 3):
        found = {beta: fit(depth, beta) for beta in decays}
        errors = {beta: judge.error(found[beta]) for beta in decays if found[beta] is not None}
        best[depth] = min(errors, key=errors.__getitem__)
        chosen[depth] = [best[depth], *judge.all(found[best[depth]])]
    same = fit(3, best[2])
    unknown = [best[2], np.nan, np.nan, np.nan]
    return {
        "two": chosen[2],
        "three": chosen[3],
        "three at the decay of two": unknown if same is None else [best[2], *judge.all(same)],
    }


def row(population: str, loss: str, activation: Activation, draw: int) -> Record:
    """One sample of a population, two layers against three."""
    column = columns()[population]
    rng = np.random.default_rng([SEED, draw])
    noise = rng.normal(size=N)
    x = rng.choice(column, N) + BLUR * noise
    found = compared(Judge(column), fits(loss, activation, x, noise), GRIDS[loss])
    about: Record = {"population": population, "loss": loss, "activation": activation, "draw": draw}
    return about | {key: [_stored(value) for value in values] for key, values in found.items()}


def run(sweep: Sweep) -> Record:
    """Run everything; a few minutes of one core."""
    tasks = grid(population=list(columns()), loss=LOSSES, activation=ACTIVATIONS, draw=range(DRAWS))
    return {
        "settings": {
            "n": N,
            "blur": BLUR,
            "draws": DRAWS,
            "seed": SEED,
            "grids": {loss: [digits(float(beta)) for beta in decays] for loss, decays in GRIDS.items()},
            "columns": ["weight decay", "error of the score", "distance of the distribution", "kinks"],
        },
        "rows": sweep(row, tasks),
    }


def _stored(value: float) -> float | None:
    return digits(value) if np.isfinite(value) else None
