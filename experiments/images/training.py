"""Trainings of one noise level: each returns what is stored, and what is kept for the samples."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from convexdiff_lib._validation import FloatArray
from convexdiff_lib.space.gated_skip import bisecting_gates, gated_skip_path
from convexdiff_lib.space.grown_neurons import grown_denoising, neurons_denoising
from experiments import Record, digits
from experiments.images.data import STAGES, Level
from experiments.images.models import restored

__all__ = [
    "ADAM_SHARES",
    "BATCH",
    "LONG_SECONDS",
    "RATES",
    "TRAININGS",
    "WIDTH",
    "Known",
]

Arrays = dict[str, FloatArray]

PATIENT = (*STAGES[:3], (0.05, 12))  # many rounds at one weight decay
NEWCOMERS = 100
WIDTH, BATCH = 800, 256
ADAM_SHARES, RATES = (0.6, 0.3, 0.1, 0.05, 0.025, 0.0125, 0.00625), (3e-3, 1e-3, 1e-2, 3e-4)
LEAST_SECONDS, LONG_SECONDS = 3.0, 30.0
TUNED = 0.4  # each choice is tried for this part of the seconds, but for the levels where rates are tried
WORSE = 1.02  # growth ends where the error on validation is larger than the least one by this factor


@dataclass(frozen=True, eq=False)
class Known:
    """What was done before: records of units, and what they trained."""

    units: dict[str, Record]
    kept: Callable[[str, int, int], Arrays]

    def of(self, model: str, level: Level, seed: int | None = None) -> Record | None:
        """Return the record of a model at this level; of its seed, or of another one."""
        return self.units.get(f"{model}/{level.seed if seed is None else seed}/{level.index}")


def gated_threshold(noisy: FloatArray, lacking: FloatArray, gates: FloatArray) -> float:
    """Return the weight decay from which no gate is used."""
    rows = np.column_stack([noisy, np.ones(len(noisy))])
    rest = lacking - rows @ np.linalg.lstsq(rows, lacking, rcond=None)[0]
    return max(float(np.linalg.norm(rows[rows @ g >= 0].T @ rest[rows @ g >= 0])) for g in gates)


def train_gated(level: Level, known: Known) -> tuple[Record, Arrays]:
    """Random gates half-way between training images; the share is chosen with the first seed."""
    begin = time.process_time()
    noisy, lacking = level.pairs()
    design = level.data.design
    gates = bisecting_gates(level.data.train, design.gates, level.rng(1))
    first = known.of("gated", level, 0)
    shares = design.gated_shares if first is None else (first["share"],)
    most = gated_threshold(noisy, lacking, gates)
    fits = gated_skip_path(noisy, lacking, gates, [share * most for share in shares])
    validation = [level.error(fit, level.data.validation) for fit in fits]
    best = int(np.argmin(validation))
    fit = fits[best]
    record = {
        "share": shares[best],
        "validation": digits(validation),
        "test": digits(level.error(fit, level.data.test)),
        "value": digits(fit.value / len(noisy), 8),
        "gap": digits(max(f.certificate.relative_gap for f in fits), 2),
        "seconds": digits(time.process_time() - begin, 3),
    }
    return record, {"gates": fit.gates, "W": fit.W, "V": fit.V}


def train_grown(level: Level, _: Known) -> tuple[Record, Arrays]:
    """Neurons found where the dual is violated, with less and less weight decay; the best on validation."""
    return _grown(level, level.data.design.stages)


def train_patient(level: Level, _: Known) -> tuple[Record, Arrays]:
    """Do the same with many rounds at one weight decay, to see whether time is what growth lacks."""
    return _grown(level, PATIENT)


def _grown(level: Level, plan: Sequence[tuple[float, int]]) -> tuple[Record, Arrays]:
    begin = time.process_time()
    noisy, lacking = level.pairs()
    rng, neurons, n = level.rng(2), None, len(noisy)
    most = grown_denoising(noisy, lacking, 1e9, rng=rng, rounds=1, newcomers=NEWCOMERS).largest
    stages: list[Record] = []
    best: Any = None
    for share, rounds in plan:
        fit = grown_denoising(
            noisy, lacking, share * most, rng=rng, start=neurons, rounds=rounds, newcomers=NEWCOMERS
        )
        neurons, error = fit.neurons if len(fit.neurons) else None, level.error(fit, level.data.validation)
        stages.append(
            {
                "share": share,
                "width": len(fit.neurons),
                "validation": digits(error),
                "value": digits(fit.value / n, 8),
                "violation": digits(fit.largest / fit.beta, 3),
                "gap": digits(fit.certificate.relative_gap, 2),
                "seconds": digits(time.process_time() - begin, 3),
            }
        )
        if best is None or error < best[0]:
            best = (error, share, fit)
        elif error > WORSE * best[0]:
            break
    _, share, fit = best
    record = {
        "most": digits(most, 6),
        "share": share,
        "width": len(fit.neurons),
        "test": digits(level.error(fit, level.data.test)),
        "stages": stages,
        "seconds": digits(time.process_time() - begin, 3),
    }
    return record, {"first": fit.neurons, "second": fit.weights, "V": fit.V}


@dataclass(frozen=True, eq=False)
class AdamRun:
    """The same loss by Adam on minibatches, from the best affine map; its rate falls to 2 %."""

    level: Level
    beta: float
    rate: float
    seconds: float  # of the processor

    def trained(self) -> tuple[Arrays, list[list[float]], int]:
        """Return the network, its loss on all noisy images at ten times, and how many steps there were."""
        noisy, lacking = self.level.pairs()
        n, d = noisy.shape
        rows = np.column_stack([noisy, np.ones(n)])
        best = np.linalg.lstsq(rows, lacking, rcond=None)[0]
        x, y = torch.tensor(rows, dtype=torch.float32), torch.tensor(lacking, dtype=torch.float32)
        g = torch.Generator().manual_seed(self.level.seed)
        first = ((2 * torch.rand(WIDTH, d + 1, generator=g) - 1) / d**0.5).requires_grad_()
        second = ((2 * torch.rand(WIDTH, d, generator=g) - 1) * 0.3 / WIDTH**0.5).requires_grad_()
        V = torch.tensor(best, dtype=torch.float32).requires_grad_()
        optimiser = torch.optim.Adam([first, second, V], lr=self.rate)
        curve: list[list[float]] = []
        spent, steps, decay = 0.0, 0, self.beta / n

        def loss_of(inputs: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
            out = torch.relu(inputs @ first.T) @ second + inputs @ V
            fit = 0.5 * ((out - wanted) ** 2).sum(dim=1).mean()
            return fit + 0.5 * decay * ((first**2).sum() + (second**2).sum())

        while spent < self.seconds:
            begin = time.process_time()
            for _ in range(10):
                for group in optimiser.param_groups:
                    group["lr"] = self.rate * (1 - 0.98 * min(spent / self.seconds, 1.0))
                chosen = torch.randint(0, n, (BATCH,), generator=g)
                optimiser.zero_grad()
                loss_of(x[chosen], y[chosen]).backward()
                optimiser.step()
            spent, steps = spent + time.process_time() - begin, steps + 10
            if spent >= self.seconds * (len(curve) + 1) / 10:
                with torch.no_grad():
                    curve.append([digits(spent, 3), digits(float(loss_of(x, y)), 6)])
        found = (("first", first), ("second", second), ("V", V))
        return {name: value.detach().numpy().astype(np.float64) for name, value in found}, curve, steps


def train_adam(level: Level, known: Known) -> tuple[Record, Arrays]:
    """As many seconds in each run as the grown network took for its whole path of weight decays.

    Weight decay, then rate are chosen on validation with the first seed; the clock does not count that.
    """
    grown = known.units[f"grown/{level.seed}/{level.index}"]
    seconds = max(LEAST_SECONDS, grown["seconds"])
    first = known.of("adam", level, 0)
    if first is not None:
        return _adam(level, grown["most"], first["share"], first["rate"], seconds)
    design = level.data.design
    nearest = min(design.rate_levels, key=lambda index: abs(index - level.index))
    here = nearest == level.index
    part = design.rate_part if here else min(TUNED, design.rate_part)
    tuning = _Tuning(level, grown["most"], part * seconds)
    rate = RATES[0] if here else known.units[f"adam/0/{nearest}"]["rate"]
    tuning.climb(ADAM_SHARES.index(grown["share"]), rate)
    for rate in RATES[1:] if here else ():
        tuning.run(tuning.best[0]["share"], rate)
    record, arrays = tuning.best
    if part < 1:
        record, arrays = _adam(level, grown["most"], record["share"], record["rate"], seconds)
    return {**record, "tried": tuning.tried}, arrays


def train_long(level: Level, known: Known) -> tuple[Record, Arrays]:
    """Adam until its loss stands still, with the weight decay and the rate of the shorter runs."""
    most, short = (
        known.units[f"grown/{level.seed}/{level.index}"]["most"],
        known.units[f"adam/0/{level.index}"],
    )
    return _adam(level, most, short["share"], short["rate"], LONG_SECONDS)


class _Tuning:
    """Runs of one level and seed, and the one that is best on validation."""

    def __init__(self, level: Level, most: float, seconds: float) -> None:
        self.level, self.most, self.seconds = level, most, seconds
        self.tried: list[list[float]] = []
        self.best: tuple[Record, Arrays] = ({"validation": np.inf}, {})

    def run(self, share: float, rate: float) -> bool:
        """Try, and say whether it is the best so far."""
        record, arrays = _adam(self.level, self.most, share, rate, self.seconds)
        self.tried.append([record["validation"], share, rate])
        better = bool(record["validation"] < self.best[0]["validation"])
        if better:
            self.best = record, arrays
        return better

    def climb(self, start: int, rate: float) -> None:
        """Go to smaller weight decays while that helps; if it does not at once, to larger ones."""
        self.run(ADAM_SHARES[start], rate)
        for side in (ADAM_SHARES[start + 1 :], ADAM_SHARES[:start][::-1]):
            if len(self.tried) > 2:
                break
            for share in side:
                if not self.run(share, rate):
                    break


def _adam(level: Level, most: float, share: float, rate: float, seconds: float) -> tuple[Record, Arrays]:
    arrays, curve, steps = AdamRun(level, share * most, rate, seconds).trained()
    record = {
        "share": share,
        "rate": rate,
        "validation": digits(level.error(restored(arrays), level.data.validation)),
        "test": digits(level.error(restored(arrays), level.data.test)),
        "curve": curve,
        "steps": steps,
        "seconds": digits(seconds, 3),
    }
    return record, arrays


def train_polished(level: Level, known: Known) -> tuple[Record, Arrays]:
    """Solve for the second layer and the affine map, with the first layer that Adam has found."""
    return _polished(level, known, "adam")


def train_long_polished(level: Level, known: Known) -> tuple[Record, Arrays]:
    """Do the same with the first layer of the long run, to see how far from its optimum it ended."""
    return _polished(level, known, "long")


def _polished(level: Level, known: Known, model: str) -> tuple[Record, Arrays]:
    begin = time.process_time()
    adam = known.units[f"{model}/{level.seed}/{level.index}"]
    beta = adam["share"] * known.units[f"grown/{level.seed}/{level.index}"]["most"]
    noisy, lacking = level.pairs()
    first = known.kept(model, level.seed, level.index)["first"]
    fit = neurons_denoising(noisy, lacking, first, beta)
    record = {
        "width": len(fit.neurons),
        "validation": digits(level.error(fit, level.data.validation)),
        "test": digits(level.error(fit, level.data.test)),
        "value": digits(fit.value / len(noisy), 8),
        "gap": digits(fit.certificate.relative_gap, 2),
        "seconds": digits(time.process_time() - begin, 3),
    }
    return record, {"first": fit.neurons, "second": fit.weights, "V": fit.V}


TRAININGS: dict[str, Callable[[Level, Known], tuple[Record, Arrays]]] = {
    "gated": train_gated,
    "grown": train_grown,
    "adam": train_adam,
    "polished": train_polished,
    "patient": train_patient,
    "long": train_long,
    "long polished": train_long_polished,
}
