"""The training problems that are timed, and their seeded data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from convexdiff_lib.certificates import Certificate
from convexdiff_lib.datasets import perturb
from convexdiff_lib.line import beam
from convexdiff_lib.line.beam import Tube
from convexdiff_lib.line.kink_network import KinkNetwork
from convexdiff_lib.line.network_certificates import certify_denoising, certify_score_matching
from convexdiff_lib.line.problem import line_problem
from convexdiff_lib.line.sample import score_matching_threshold
from convexdiff_lib.line.training import denoising_score_matching, score_matching
from convexdiff_lib.line.univariate_score import UnivariateScore

FloatArray = NDArray[np.float64]
Loss = Literal["score matching", "denoising"]
Activation = Literal["relu", "abs"]

SEED = 2024
NOISE = 0.5


@dataclass(frozen=True)
class Instance:
    """One training problem on standard normal data."""

    loss: Loss
    activation: Activation
    skip: bool
    n: int
    beta: float

    @property
    def name(self) -> str:
        """The problem without its size."""
        return f"{self.loss} {self.activation}{' skip' if self.skip else ''}"

    @property
    def threshold(self) -> float:
        """Smallest weight decay with a finite optimum; the data are distinct."""
        if self.loss == "denoising":
            return 0.0
        return score_matching_threshold(np.ones(self.n), activation=self.activation, skip=self.skip)


@lru_cache(maxsize=1)
def data(loss: Loss, n: int) -> tuple[FloatArray, FloatArray]:
    """Draw the data, unsorted, and their targets, which are zero where the loss has none."""
    rng = np.random.default_rng([SEED, n])
    x = rng.normal(size=n)
    return (x, np.zeros(n)) if loss == "score matching" else perturb(x, NOISE, rng)


def fit(instance: Instance) -> UnivariateScore:
    """Make the public call."""
    x, targets = data(instance.loss, instance.n)
    if instance.loss == "score matching":
        return score_matching(x, instance.beta, activation=instance.activation, skip=instance.skip)
    return denoising_score_matching(
        x, targets, instance.beta, activation=instance.activation, skip=instance.skip
    )


def judge(instance: Instance, network: KinkNetwork, z: FloatArray) -> Certificate:
    """Certify a network and a dual vector, in the order of the data, whoever found them."""
    x, targets = data(instance.loss, instance.n)
    beta, activation, skip = instance.beta, instance.activation, instance.skip
    if instance.loss == "score matching":
        return certify_score_matching(x, network, z, beta, activation=activation, skip=skip)
    return certify_denoising(x, targets, network, z, beta, activation=activation, skip=skip)


def tube_of(instance: Instance) -> tuple[Tube, NDArray[np.intp]]:
    """Sort the data and build the tube of the dual; also return the order."""
    x, targets = data(instance.loss, instance.n)
    beta, activation, skip = instance.beta, instance.activation, instance.skip
    labels = None if instance.loss == "score matching" else targets
    problem = line_problem(x, beta, targets=labels, activation=activation, skip=skip)
    return beam.tube_of(problem), np.argsort(x)
