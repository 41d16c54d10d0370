"""Problems that the solver of the pages and the library both answer, and how far the answers are apart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from strategies import FAMILIES, threshold, ugly
from zoo import denoising_tasks, samples

from convexdiff_lib import UnivariateScore, denoising_score_matching, score_matching
from convexdiff_lib._validation import Activation, FloatArray

Program = tuple[Activation, bool, bool]  # activation, skip, denoising

# Where a neuron at one end of the data, the one with more points, raises the slope through all of them; and
# where the tube of a ReLU network closes at a point inside.
UNLIKE = (
    ([1.15] * 2 + [3.01] * 2 + [4.22] + [5.13] * 4 + [5.39] * 3 + [7.07] * 3, 4.459),
    ([0.55] * 5 + [2.01] * 3 + [2.25] * 2 + [2.47] * 3 + [3.16], 5.0934),
    ([1.39] * 2 + [3.31] * 2 + [3.65] * 2 + [3.86] * 3 + [4.76] * 3, 3.0278),
    ([0.0, 2.0, 2.0, 3.0, 5.0], 1.0),
    ([1.0] * 2 + [2.0] * 4 + [3.0] * 2, 2.0),
)
# With one activation the free end of its beam is within 1e-9 of a bound.
NEAR_A_BOUND = (
    [
        *(6894.162610625562, 1.2253046833472183, 1.2994877296036802, 30.995207245787373, 0.935070047732043),
        *(
            0.003641450435325937,
            0.3767403002183551,
            0.23835070697122002,
            0.022407179293559065,
            1.9635284313172656,
        ),
        5672.714207183533,
    ],
    [-2.0, 2.0, 1.0, -4.0, -4.0, 1.0, -3.0, 1.0, 1.0, -2.0, -2.0],
    0.07292810736543648,
)
# Each point twice as far out as the one before it: where one piece ends depends on all that is nearer to 0.
POWERS = 2.0 ** -np.arange(60.0)
SIZES = (1, 2, 3, 7, 30, 120)
SCALES = (1e-60, 1e-6, 1e6, 1e60)
FAR = 1e6


@dataclass(frozen=True, eq=False)
class Problem:
    """A training problem with a name, and places at which scores are compared."""

    name: str
    x: FloatArray
    targets: FloatArray | None
    beta: float
    activation: Activation
    skip: bool

    @cached_property
    def places(self) -> FloatArray:
        """Random places among the data, and some of the points."""
        rng = np.random.default_rng(len(self.x))
        inside = rng.uniform(self.x.min(), self.x.max(), 10)
        return np.concatenate([inside, rng.choice(self.x, 5)])

    @property
    def question(self) -> dict[str, Any]:
        """The question that the solver of the pages is asked."""
        return {
            "x": self.x.tolist(),
            "targets": None if self.targets is None else self.targets.tolist(),
            "beta": float(self.beta),
            "activation": self.activation,
            "skip": self.skip,
        }

    @property
    def job(self) -> str:
        """The same, and the places, as a line of JSON."""
        return json.dumps({"job": "fit", "question": self.question, "at": self.places.tolist()})

    @cached_property
    def fit(self) -> UnivariateScore | None:
        """What the library says; None where training has no minimum."""
        kind: Any = {"activation": self.activation, "skip": self.skip}
        if self.targets is not None:
            return denoising_score_matching(self.x, self.targets, self.beta, **kind)
        without_minimum = self.beta < threshold(self.x, self.activation, self.skip)
        if without_minimum or (self.skip and np.ptp(self.x) == 0):
            return None
        return score_matching(self.x, self.beta, **kind)


def problems(program: Program) -> Iterator[Problem]:
    """Structured and random problems of one of the eight programs."""
    activation, skip, denoising = program
    kind: Any = {"activation": activation, "skip": skip}
    if denoising:
        for name, x, targets in denoising_tasks():
            for beta in (1e-3, 0.3, 3.0):
                yield Problem(name, x, targets, beta, **kind)
        x, labels, beta = NEAR_A_BOUND
        yield Problem("an end near a bound", np.array(x), np.array(labels), beta, **kind)
    else:
        for name, x in samples():
            low = threshold(x, activation, skip)
            for beta in (0.9 * low, low, 1.1 * low, 0.5 * (low + max(len(x), low)), 2 * low + 2 * len(x)):
                yield Problem(name, x, None, beta, **kind)
        for points, beta in UNLIKE:
            yield Problem(f"{len(points)} unlike points", np.array(points), None, beta, **kind)
        for beta in (20.0, 30.0) if skip else (1.5, 5.0, 20.0, 30.0):  # the library takes minutes for others
            yield Problem("powers of two", POWERS, None, beta, **kind)
    for seed, (name, x) in enumerate(samples_of_families()):
        rng = np.random.default_rng(seed)
        if denoising:
            yield from _denoising(name, x, rng, kind)
        else:
            low, high = threshold(x, activation, skip), float(len(x))
            for share in (0.0, 0.01, 0.2):
                yield Problem(name, x, None, low + share * max(high - low, 1.0), **kind)


def _denoising(name: str, x: FloatArray, rng: np.random.Generator, kind: Any) -> Iterator[Problem]:
    spread = float(np.std(x)) or 1.0
    noise = rng.normal(size=len(x)) / spread
    for share in (0.03, 1.0):
        yield Problem(name, x, noise - (x - np.median(x)) / spread**2, share * len(x) ** 0.5, **kind)


def samples_of_families() -> Iterator[tuple[str, FloatArray]]:
    """Every family in every size, one of 500 points each, extreme scales, and data far from zero."""
    for k, family in enumerate(FAMILIES):
        for n in SIZES:
            yield f"{n} of {family}", ugly(family, n, np.random.default_rng(100 * k + n))
        yield f"500 of {family}", ugly(family, 500, np.random.default_rng(k))
    normal = np.random.default_rng(7).normal(size=40)
    for scale in SCALES:
        yield f"normal, times {scale:g}", normal * scale
    yield "normal, far from zero", normal + FAR


def natural_size(problem: Problem) -> float:
    """What a score is compared with where it is nearly zero: one over a length, or the size of targets."""
    if problem.targets is not None:
        return float(np.std(problem.targets)) or float(np.abs(problem.targets).max()) or 1.0
    spread = float(np.std(problem.x))
    return 1 / spread if spread else 1.0


def distances(problem: Problem, fit: UnivariateScore, answer: dict[str, Any]) -> dict[str, float]:
    """How far two answers are apart: the loss, the score, and the mass below quartiles."""
    scores, natural = fit(problem.places), natural_size(problem)
    apart = np.abs(scores - np.array(answer["scores"]))
    # Between two knots a score is known as well as at these.
    size = np.abs(fit.score.values - fit.score.values.mean()).max() + natural
    loss = max(abs(fit.value), fit.certificate.scale)
    found = {
        "value": abs(fit.value - answer["value"]) / loss if loss else abs(answer["value"]),
        "score": float(np.max(apart / np.maximum(np.abs(scores), size))),
    }
    if answer["quartiles"]:
        log_density = fit.log_density(problem.places)
        there = np.array(answer["logDensity"])
        found["density"] = float(np.max(np.abs(log_density - there) / (1 + np.abs(log_density))))
        mass = fit.cdf(np.array(answer["quartiles"], dtype=float))
        found["quartiles"] = float(np.abs(mass - [0.25, 0.5, 0.75]).max())
    return found
