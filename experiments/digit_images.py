"""Handwritten digits of 8 by 8 pixels: certified convex training beside Adam, a package and simple models.

A run that was stopped goes on where it was; what it has done so far is in ``build/digit_images``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from experiments import Record, Sweep, digits
from experiments.images import judging, package, training
from experiments.images.data import DIGITS, DRAWS, N_TRAIN, N_VALIDATION, SIGMAS, Data, Level
from experiments.images.judging import N_SAMPLES, Judge, sampled, shown
from experiments.images.models import EXACT, bandwidth, exact_corrections, exact_errors, gaussian, restored
from experiments.images.units import Name, Store, key

STORE = Store(Path(__file__).parents[1] / "build" / "digit_images")
SEEDS = (0, 1, 2)
LEVELS = (3, 1, 5, 0, 2, 4, 6, 7)  # in the order in which they are done
SHORT = ("gated", "grown", "adam", "polished")
LONG, LONG_LEVEL = ("long", "long polished"), 3
PACKAGES = {"package": 1, "package long": 3}  # and for how many times the seconds of the grown networks
TUNED = 0.15  # and for which part of them each choice is tried


def order() -> Iterator[Name]:
    """Return units of work, those that matter most first."""
    for seed in SEEDS:
        for index in LEVELS:
            for model in SHORT:
                yield model, seed, index
        for model in (*(EXACT if seed == SEEDS[0] else ()), *SHORT):
            yield model, seed, "samples"
    yield "package", SEEDS[0], "choice"
    for model in PACKAGES:
        for seed in SEEDS:
            yield model, seed, "all"
            yield model, seed, "samples"
        if model == "package":
            yield "patient", SEEDS[0], LONG_LEVEL
            yield from ((slow, seed, LONG_LEVEL) for seed in SEEDS for slow in LONG)


def work_of_package(data: Data, judge: Judge, name: Name, units: dict[str, Record]) -> Record:
    """Choose, train or sample: by the dynamics that are used for the other models, and by its own sampler."""
    model, seed, what = name
    seconds = sum(units[key("grown", seed, i)]["seconds"] for i in LEVELS)
    if what == "choice":
        return {"tried": package.chosen(data, seed, TUNED * seconds)}
    _, target, rate = units[key("package", SEEDS[0], "choice")]["tried"][0]
    path = STORE.folder / f"{model}_{seed}.pt"
    if what == "all":
        record, trained = package.train_package(data, seed, target, rate, PACKAGES[model] * seconds)
        torch.save(trained.state_dict(), path)
        return record
    trained = package.network(target)
    trained.load_state_dict(torch.load(path))
    x = sampled(package.corrections(trained), seed)
    own = judge.verdict(package.own_samples(trained, N_SAMPLES, seed))
    return {**judge.verdict(x), "own": own, "images": shown(x)}


def work(data: Data, judge: Judge, name: Name, units: dict[str, Record]) -> Record:
    """Do one unit of work."""
    model, seed, index = name
    if model in PACKAGES:
        return work_of_package(data, judge, name, units)
    if isinstance(index, int):
        return STORE.trained(model, Level(data, seed, index), units)
    if model in EXACT:
        corrections = exact_corrections(data, model, bandwidth(data))
    else:
        corrections = [restored(STORE.kept(model, seed, i)) for i in range(len(SIGMAS))]
    x = sampled(corrections, seed)
    return {**judge.verdict(x), "images": shown(x)}


def content(data: Data, judge: Judge, units: dict[str, Record]) -> Record:
    """What is stored of all units that are done."""
    width = bandwidth(data)
    levels = [Level(data, 0, i) for i in range(len(SIGMAS))]
    unit = [level.error(gaussian(data, level.sigma), data.validation) for level in levels]
    rng = np.random.default_rng(5)
    floor = judge.verdict(data.train[rng.permutation(len(data.train))[:N_SAMPLES]])
    return {
        "settings": {
            "sigmas": list(SIGMAS),
            "images": [N_TRAIN, N_VALIDATION, len(data.test)],
            "draws": DRAWS,
            "gates": DIGITS.gates,
            "gated_shares": list(DIGITS.gated_shares),
            "stages": [list(stage) for stage in DIGITS.stages],
            "patient": [list(stage) for stage in training.PATIENT],
            "width": training.WIDTH,
            "rates": [list(training.RATES), list(DIGITS.rate_levels)],
            "batch": training.BATCH,
            "adam_shares": list(training.ADAM_SHARES),
            "long": [LONG_LEVEL, training.LONG_SECONDS],
            "package": ["smalldiffusion 0.5", list(package.HIDDEN), list(package.NOISE), PACKAGES, TUNED],
            "bandwidth": width,
            "samples": N_SAMPLES,
            "steps": [judging.STEPS, judging.STEP],
            "seeds": list(SEEDS),
            "accuracy": digits(judge.classifier.score(data.train, data.labels)),
        },
        "exact": {**exact_errors(data, width), "gaussian validation": digits(unit)},
        "floor": floor,
        "units": [{"unit": name, **stored(name, record)} for name, record in units.items()],
    }


def stored(name: str, record: Record) -> Record:
    """One unit without the images of all but the first seed."""
    first = name.split("/")[1] == str(SEEDS[0])
    return record if first else {what: value for what, value in record.items() if what != "images"}


def run(_: Sweep) -> Record:
    """Run what is not done yet; about an hour of one core."""
    torch.set_num_threads(1)
    package.loaded()  # what is missing is said before the hour, not after it
    data = Data.load()
    judge = Judge(data)
    done = STORE.run("digit_images", order(), lambda name, units: work(data, judge, name, units))
    return content(data, judge, done)
