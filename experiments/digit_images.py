"""Handwritten digits of 8 by 8 pixels: certified convex training beside Adam and simple models.

Every unit of work is a line of ``build/digit_images/units.jsonl`` as soon as it is done, with what it trained
beside it, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from convexdiff_lib._validation import FloatArray
from convexdiff_lib.sampling.langevin import annealed_langevin_dynamics
from convexdiff_lib.space.gated_skip import bisecting_gates, gated_skip_path
from convexdiff_lib.space.grown_neurons import grown_denoising, neurons_denoising
from experiments import Record, Report, digits

Denoiser = Callable[[FloatArray], FloatArray]

SCRATCH = Path(__file__).parents[1] / "build" / "digit_images"
SIGMAS = (3.0, 1.67, 0.93, 0.52, 0.29, 0.16, 0.09, 0.05)
SEEDS = (0, 1, 2)
N_TRAIN, N_VALIDATION = 1200, 300  # the other 297 images are the test set
DRAWS, JUDGED_DRAWS = 8, 5  # noise draws per image
GATES = 24
GATED_SHARES = (0.7, 0.4, 0.2, 0.1)  # of the weight decay that leaves nothing but the affine map
STAGES = ((0.6, 1), (0.3, 1), (0.1, 2), (0.05, 3), (0.025, 4))  # shares of the same, and rounds of growth
NEWCOMERS = 100
WIDTH, BATCH, RATE = 800, 256, 3e-3
ADAM_SHARES, ADAM_SECONDS, LONG_SECONDS = (0.6, 0.3, 0.1, 0.05, 0.025, 0.0125), 5.0, 25.0
BANDWIDTHS = (0.1, 0.2, 0.3, 0.4, 0.5)
N_SAMPLES, STEPS, STEP = 500, 30, 0.15  # the step is a share of the variance of the noise
SHOWN = 10
FAR = 3.0  # a pixel of this size has nothing to do with images between -1 and 1
LONG_LEVELS = (2, 3, 4)  # where Adam goes on for longer, too
TRAINED = ("gated", "grown", "adam", "polished")
EXACT = ("gaussian", "training set", "kernel density")


@dataclass(frozen=True, eq=False)
class Data:
    """Images with pixels between -1 and 1, split once and for all."""

    train: FloatArray
    validation: FloatArray
    test: FloatArray
    labels: np.ndarray  # of the training images

    @classmethod
    def load(cls) -> Data:
        """Split the images that scikit-learn brings."""
        table = load_digits()
        order = np.random.default_rng(0).permutation(len(table.data))
        images = table.data[order] / 8 - 1
        parts = np.split(images, [N_TRAIN, N_TRAIN + N_VALIDATION])
        return cls(*parts, table.target[order][:N_TRAIN])


@dataclass(frozen=True, eq=False)
class Level:
    """One noise level of one seed: noisy training images, what they lack, and how errors are judged."""

    data: Data
    seed: int
    index: int

    @property
    def sigma(self) -> float:
        """Its noise."""
        return SIGMAS[self.index]

    def rng(self, what: int) -> np.random.Generator:
        """A generator of its own for each purpose."""
        return np.random.default_rng([self.seed, self.index, what])

    def pairs(self) -> tuple[FloatArray, FloatArray]:
        """Noisy training images, and what has to be added to each of them."""
        clean = np.repeat(self.data.train, DRAWS, axis=0)
        noise = self.sigma * self.rng(0).normal(size=clean.shape)
        return clean + noise, -noise

    def error(self, correction: Denoiser, images: FloatArray) -> float:
        """Mean squared error per image, with the same noise for all models and seeds."""
        clean = np.repeat(images, JUDGED_DRAWS, axis=0)
        noisy = clean + self.sigma * np.random.default_rng([7, self.index]).normal(size=clean.shape)
        return float(np.mean(np.sum((noisy + correction(noisy) - clean) ** 2, axis=1)))


# ---- models: each maps a noisy image to what has to be added to it


def gaussian(data: Data, sigma: float) -> Denoiser:
    """The posterior mean if the images were normal."""
    mean, cov = data.train.mean(axis=0), np.cov(data.train.T)
    gain = np.linalg.solve(cov + sigma**2 * np.eye(len(cov)), cov)
    return lambda x: mean + (x - mean) @ gain - x


def kernel(data: Data, sigma: float, width: float) -> Denoiser:
    """The posterior mean if the images were training images with a little noise, or none: width 0."""
    total = width**2 + sigma**2

    def correction(x: FloatArray) -> FloatArray:
        squares = np.sum(x**2, axis=1)[:, None] + np.sum(data.train**2, axis=1) - 2 * x @ data.train.T
        log = -squares / (2 * total)
        weights = np.exp(log - log.max(axis=1, keepdims=True))
        mean = weights @ data.train / weights.sum(axis=1, keepdims=True)
        return np.asarray((mean - x) * (sigma**2 / total))

    return correction


def affine_first(first: FloatArray, second: FloatArray, V: FloatArray) -> Denoiser:
    """A network of neurons (m, d + 1), their second layer (m, d) and an affine map (d + 1, d)."""
    return lambda x: np.maximum(x @ first[:, :-1].T + first[:, -1], 0) @ second + x @ V[:-1] + V[-1]


def gates_of(gates: FloatArray, W: FloatArray, V: FloatArray) -> Denoiser:
    """A gated network with an affine map."""

    def correction(x: FloatArray) -> FloatArray:
        rows = np.column_stack([x, np.ones(len(x))])
        out = rows @ V
        for gate, block in zip(gates, W, strict=True):
            chosen = np.flatnonzero(rows @ gate >= 0)
            out[chosen] += rows[chosen] @ block
        return np.asarray(out)

    return correction


def restored(arrays: dict[str, FloatArray]) -> Denoiser:
    """The model that was kept."""
    if "gates" in arrays:
        return gates_of(arrays["gates"], arrays["W"], arrays["V"])
    return affine_first(arrays["first"], arrays["second"], arrays["V"])


# ---- trainings: each returns what is stored, and what is kept for the samples


def gated_threshold(noisy: FloatArray, lacking: FloatArray, gates: FloatArray) -> float:
    """The weight decay from which no gate is used."""
    rows = np.column_stack([noisy, np.ones(len(noisy))])
    rest = lacking - rows @ np.linalg.lstsq(rows, lacking, rcond=None)[0]
    return max(float(np.linalg.norm(rows[rows @ g >= 0].T @ rest[rows @ g >= 0])) for g in gates)


def train_gated(level: Level, known: dict[str, Record]) -> tuple[Record, dict[str, FloatArray]]:
    """Random gates half-way between training images; the share is chosen with the first seed."""
    begin = time.process_time()
    noisy, lacking = level.pairs()
    gates = bisecting_gates(level.data.train, GATES, level.rng(1))
    first = known.get(key("gated", 0, level.index))
    shares = GATED_SHARES if first is None else (first["share"],)
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


def train_grown(level: Level, _: dict[str, Record]) -> tuple[Record, dict[str, FloatArray]]:
    """Neurons found where the dual is violated, with less and less weight decay; the best on validation."""
    begin = time.process_time()
    noisy, lacking = level.pairs()
    rng, neurons, n = level.rng(2), None, len(noisy)
    most = grown_denoising(noisy, lacking, 1e9, rng=rng, rounds=1, newcomers=NEWCOMERS).largest
    stages: list[Record] = []
    best: Any = None
    for share, rounds in STAGES:
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
        elif error > 1.02 * best[0]:
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


def adam_run(
    level: Level, beta: float, seconds: float, torch_seed: int
) -> tuple[dict[str, FloatArray], list[list[float]]]:
    """The same loss by Adam on minibatches, from the best affine map; CPU seconds, and the loss then."""
    noisy, lacking = level.pairs()
    n, d = noisy.shape
    rows = np.column_stack([noisy, np.ones(n)])
    best = np.linalg.lstsq(rows, lacking, rcond=None)[0]
    x, y = torch.tensor(rows, dtype=torch.float32), torch.tensor(lacking, dtype=torch.float32)
    g = torch.Generator().manual_seed(torch_seed)
    first = ((2 * torch.rand(WIDTH, d + 1, generator=g) - 1) / d**0.5).requires_grad_()
    second = ((2 * torch.rand(WIDTH, d, generator=g) - 1) * 0.3 / WIDTH**0.5).requires_grad_()
    V = torch.tensor(best, dtype=torch.float32).requires_grad_()
    optimiser = torch.optim.Adam([first, second, V], lr=RATE)
    curve: list[list[float]] = []
    spent, marks, decay = 0.0, 10, beta / n

    def loss_of(inputs: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        out = torch.relu(inputs @ first.T) @ second + inputs @ V
        fit = 0.5 * ((out - wanted) ** 2).sum(dim=1).mean()
        return fit + 0.5 * decay * ((first**2).sum() + (second**2).sum())

    while spent < seconds:
        begin = time.process_time()
        for _ in range(10):
            for group in optimiser.param_groups:
                group["lr"] = RATE * (1 - 0.98 * min(spent / seconds, 1.0))
            chosen = torch.randint(0, n, (BATCH,), generator=g)
            optimiser.zero_grad()
            loss_of(x[chosen], y[chosen]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        spent += time.process_time() - begin
        if spent >= seconds * (len(curve) + 1) / marks:
            with torch.no_grad():
                curve.append([digits(spent, 3), digits(float(loss_of(x, y)), 6)])
    arrays = {
        name: value.detach().numpy().astype(np.float64)
        for name, value in (("first", first), ("second", second), ("V", V))
    }
    return arrays, curve


def train_adam(level: Level, known: dict[str, Record]) -> tuple[Record, dict[str, FloatArray]]:
    """Adam; the weight decay is chosen on validation with the first seed, which its clock does not count."""
    return _best_of_adam(level, known, "adam", ADAM_SECONDS)


def train_long(level: Level, known: dict[str, Record]) -> tuple[Record, dict[str, FloatArray]]:
    """Adam with five times as long, and the weight decay chosen for the shorter time."""
    return _best_of_adam(level, known, "long", LONG_SECONDS)


def _best_of_adam(
    level: Level, known: dict[str, Record], name: str, seconds: float
) -> tuple[Record, dict[str, FloatArray]]:
    most = known[key("grown", level.seed, level.index)]["most"]
    first = known.get(key("adam", 0, level.index))
    shares = ADAM_SHARES if first is None else (first["share"],)
    best: Any = None
    validation = []
    for share in shares:
        arrays, curve = adam_run(level, share * most, seconds, level.seed)
        validation.append(level.error(restored(arrays), level.data.validation))
        if best is None or validation[-1] < best[0]:
            best = (validation[-1], share, arrays, curve)
        elif validation[-1] > 1.02 * best[0]:
            break
    _, share, arrays, curve = best
    record = {
        "share": share,
        "validation": digits(validation),
        "test": digits(level.error(restored(arrays), level.data.test)),
        "curve": curve,
        "seconds": seconds,
    }
    return record, arrays


def train_polished(level: Level, known: dict[str, Record]) -> tuple[Record, dict[str, FloatArray]]:
    """The first layer that Adam has found, with the second layer and the affine map that are best for it."""
    begin = time.process_time()
    adam = known[key("adam", level.seed, level.index)]
    beta = adam["share"] * known[key("grown", level.seed, level.index)]["most"]
    noisy, lacking = level.pairs()
    first = kept("adam", level.seed, level.index)["first"]
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


TRAININGS = {
    "gated": train_gated,
    "grown": train_grown,
    "adam": train_adam,
    "polished": train_polished,
    "long": train_long,
}


# ---- samples


def sampled(corrections: list[Denoiser], seed: int) -> FloatArray:
    """Annealed Langevin dynamics through all levels, and a last denoising."""
    rng = np.random.default_rng([11, seed])
    start = SIGMAS[0] * rng.normal(size=(N_SAMPLES, 64))
    scores = [lambda x, f=f, s=s: np.asarray(f(x)) / s**2 for f, s in zip(corrections, SIGMAS, strict=True)]
    x = annealed_langevin_dynamics(
        scores, SIGMAS, start, step_size=STEP * SIGMAS[-1] ** 2, n_steps_each=STEPS, rng=rng
    )
    return np.asarray(x + corrections[-1](x))


class Judge:
    """How like the images that nobody has trained on samples are."""

    def __init__(self, data: Data) -> None:
        self.data = data
        self.real = np.vstack([data.validation, data.test])
        self.classifier = MLPClassifier((64,), random_state=0, max_iter=150).fit(data.train, data.labels)

    def features(self, x: FloatArray) -> FloatArray:
        """Hidden units of the classifier."""
        return np.asarray(np.maximum(x @ self.classifier.coefs_[0] + self.classifier.intercepts_[0], 0))

    def frechet(self, x: FloatArray) -> float:
        """Distance of the normal laws with the moments of these features, as for the FID."""
        one, other = self.features(x), self.features(self.real)
        A, B = np.cov(one.T), np.cov(other.T)
        values, vectors = np.linalg.eigh(A)
        root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
        cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ B @ root), 0)).sum()
        return float(np.sum((one.mean(0) - other.mean(0)) ** 2) + np.trace(A) + np.trace(B) - 2 * cross)

    def sliced(self, x: FloatArray) -> float:
        """Mean Wasserstein distance over random directions."""
        directions = np.random.default_rng(0).normal(size=(64, 200))
        directions /= np.linalg.norm(directions, axis=0)
        at = (np.arange(400) + 0.5) / 400
        one, other = (np.quantile(images @ directions, at, axis=0) for images in (x, self.real))
        return float(np.mean(np.abs(one - other)))

    def energy(self, x: FloatArray) -> float:
        """Energy distance, without the pairs of a sample with itself."""

        def mean(a: FloatArray, b: FloatArray, same: bool) -> float:
            distances = np.sqrt(_squares(a, b))
            return float(distances.sum() / (len(a) * (len(b) - same)))

        return 2 * mean(x, self.real, False) - mean(x, x, True) - mean(self.real, self.real, True)

    def copies(self, x: FloatArray) -> tuple[float, float]:
        """Share of samples three times as near to a training image as to the next; median distance to it."""
        distances = np.sqrt(np.sort(_squares(x, self.data.train), axis=1)[:, :2])
        return float(np.mean(distances[:, 0] < distances[:, 1] / 3)), float(np.median(distances[:, 0]))

    def verdict(self, x: FloatArray) -> Record:
        """All of them, without samples that are far outside the range of images, and how many those are."""
        far = np.abs(x).max(axis=1) > FAR
        lost, x = float(far.mean()), x[~far]
        copies, nearest = self.copies(x)
        return {
            "lost": digits(lost),
            "frechet": digits(self.frechet(x)),
            "sliced": digits(self.sliced(x)),
            "energy": digits(self.energy(x)),
            "copies": digits(copies),
            "nearest": digits(nearest),
        }


def _squares(a: FloatArray, b: FloatArray) -> FloatArray:
    squares = np.sum(a**2, axis=1)[:, None] + np.sum(b**2, axis=1) - 2 * a @ b.T
    if a is b:
        np.fill_diagonal(squares, 0.0)
    return np.asarray(np.maximum(squares, 0.0))


def shown(x: FloatArray) -> list[list[int]]:
    """A few images as integers, as the data come."""
    return np.clip(np.round(8 * (x[:SHOWN] + 1)), 0, 16).astype(int).tolist()


# ---- what is done, and in which order


def key(model: str, seed: int, index: int | str) -> str:
    """Name of a unit of work."""
    return f"{model}/{seed}/{index}"


def kept(model: str, seed: int, index: int) -> dict[str, FloatArray]:
    """What was trained."""
    with np.load(SCRATCH / f"{model}_{seed}_{index}.npz") as file:
        return {name: np.asarray(file[name], dtype=np.float64) for name in file.files}


def finished_units() -> dict[str, Record]:
    """Everything that was done before; a torn last line is left out."""
    path = SCRATCH / "units.jsonl"
    units: dict[str, Record] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        if line.endswith("}"):
            unit = json.loads(line)
            units[unit.pop("unit")] = unit
    return units


def remember(name: str, record: Record) -> None:
    """Append a line; a newline first ends what was torn."""
    with (SCRATCH / "units.jsonl").open("a", encoding="utf-8") as file:
        file.write("\n" + json.dumps({"unit": name, **record}))


def order() -> Iterator[tuple[str, int, int | str]]:
    """Return units of work, those that matter most first."""
    for seed in SEEDS:
        for index in range(len(SIGMAS)):
            for model in TRAINED:
                yield model, seed, index
        for model in (*(EXACT if seed == SEEDS[0] else ()), *TRAINED):
            yield model, seed, "samples"
        if seed == SEEDS[0]:
            for index in LONG_LEVELS:
                yield "long", seed, index


def exact_corrections(data: Data, model: str, width: float) -> list[Denoiser]:
    """The models that need no training, at all levels."""
    if model == "gaussian":
        return [gaussian(data, sigma) for sigma in SIGMAS]
    return [kernel(data, sigma, width if model == "kernel density" else 0.0) for sigma in SIGMAS]


def bandwidth(data: Data) -> float:
    """The one under which the validation images are most likely."""
    squares = _squares(data.validation, data.train)
    likely = []
    for h in BANDWIDTHS:
        log = -squares / (2 * h**2)
        top = log.max(axis=1)
        likely.append(np.mean(np.log(np.exp(log - top[:, None]).mean(axis=1)) + top) - 64 * np.log(h))
    return BANDWIDTHS[int(np.argmax(likely))]


def work(data: Data, judge: Judge, name: tuple[str, int, int | str], units: dict[str, Record]) -> Record:
    """Do one unit of work."""
    model, seed, index = name
    if isinstance(index, int):
        record, arrays = TRAININGS[model](Level(data, seed, index), units)
        np.savez(
            SCRATCH / f"{model}_{seed}_{index}.npz", **{k: a.astype(np.float32) for k, a in arrays.items()}
        )  # type: ignore[arg-type]
        return record
    if model in EXACT:
        corrections = exact_corrections(data, model, bandwidth(data))
    else:
        corrections = [restored(kept(model, seed, i)) for i in range(len(SIGMAS))]
    x = sampled(corrections, seed)
    return {**judge.verdict(x), "images": shown(x)}


def content(data: Data, judge: Judge, units: dict[str, Record]) -> Record:
    """What is stored of all units that are done."""
    width = bandwidth(data)
    levels = [Level(data, 0, i) for i in range(len(SIGMAS))]
    exact = {
        model: [
            digits(level.error(f, data.test))
            for level, f in zip(levels, exact_corrections(data, model, width), strict=True)
        ]
        for model in EXACT
    }
    rng = np.random.default_rng(5)
    floor = judge.verdict(data.train[rng.permutation(len(data.train))[:N_SAMPLES]])
    return {
        "settings": {
            "sigmas": list(SIGMAS),
            "images": [N_TRAIN, N_VALIDATION, len(data.test)],
            "draws": DRAWS,
            "gates": GATES,
            "gated_shares": list(GATED_SHARES),
            "stages": [list(stage) for stage in STAGES],
            "width": WIDTH,
            "rate": RATE,
            "batch": BATCH,
            "adam_shares": list(ADAM_SHARES),
            "adam_seconds": [ADAM_SECONDS, LONG_SECONDS],
            "bandwidth": width,
            "samples": N_SAMPLES,
            "steps": [STEPS, STEP],
            "seeds": list(SEEDS),
            "accuracy": digits(judge.classifier.score(data.train, data.labels)),
        },
        "exact": exact,
        "floor": floor,
        "units": [{"unit": name, **stored(name, record)} for name, record in units.items()],
    }


def stored(name: str, record: Record) -> Record:
    """One unit without the images of all but the first seed."""
    first = name.split("/")[1] == str(SEEDS[0])
    return record if first else {what: value for what, value in record.items() if what != "images"}


def run(report: Report) -> Record:
    """Run what is not done yet; about ten minutes of one core."""
    torch.set_num_threads(1)
    SCRATCH.mkdir(parents=True, exist_ok=True)
    data, units = Data.load(), finished_units()
    judge, names = Judge(data), list(order())
    for done, name in enumerate(names):
        report(done, len(names), key(*name))
        if key(*name) not in units:
            record = work(data, judge, name, units)
            remember(key(*name), record)
            units[key(*name)] = record
    return content(data, judge, {key(*name): units[key(*name)] for name in names})
