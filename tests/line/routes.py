"""The routes to one optimum of score matching, and how far apart they are, in units of `scale_of`.

The printed program and its dual, solved by a general-purpose solver; the library's fit with its certificate;
networks that Adam trains. A data set and its weight decay are one problem.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from convexdiff_lib import score_matching, score_matching_loss
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.paper.univariate_programs import (
    score_matching_dual,
    score_matching_program,
    solve_program,
)

Problems = Iterable[tuple[FloatArray, float]]

# Why the tolerances are what they are.
GENERAL_SOLVER = "the general-purpose solver stops at relative gaps near 1e-8 on the worst-scaled data"
BOTH_GENERAL = "both sides come from the general-purpose solver"
CERTIFICATE = "the certificate's own tolerance"
TWO_CERTIFICATES = "two certified optima, each to the certificate's tolerance"
POLISHED = "the certificate's own tolerance; the polished optimum is usually exact to rounding"
TRAINING = "rounding of a sum; the residual is how far the best trained network is below the optimum"
IN_UNITS_OF_THE_LOSS = "in units of the larger of the optimum and the loss of the fitted Gaussian"
RECONSTRUCTION = "the neurons carry the solver's error in y"
LINEAR_SOLVER = "tolerance of the linear-programming solver"
EXPLICIT_POINT = "rounding: z is as large as one over the smallest gap"
OPTIMAL = (
    "a network and a dual vector, handed to the printed program and its printed dual: the gap, the violation "
    "and the distance to the plain loss, each to the certificate's tolerance"
)


def mixed_sample(seed: int, *, ties: bool = True) -> FloatArray:
    """Normal, uniform, heavy-tailed, two-cluster and (nearly) tied data, 2 to 40 points, unsorted."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 41))
    draws = (
        rng.normal(size=n),
        rng.uniform(size=n),
        rng.standard_cauchy(size=n),
        rng.normal(size=n) + 20.0 * rng.integers(0, 2, size=n),
        np.round(rng.normal(size=n), 1) + (0.0 if ties else 0.013 * rng.permutation(n)),
    )
    return draws[seed % len(draws)]


def gaussian_loss(x: FloatArray) -> float:
    """What the straight line of the fitted Gaussian gains, n/(2v)."""
    return float(len(x) / (2 * np.var(x)))


def scale_of(x: FloatArray, value: float) -> float:
    """What differences are compared with: the optimum, or the loss of the fitted Gaussian if larger."""
    return max(abs(value), gaussian_loss(x)) if np.ptp(x) > 0 else 1.0


def disagreements(problems: Problems, activation: Activation, skip: bool = False) -> Iterator[float]:
    """How far the printed program, the fit and the loss of its network are apart."""
    for x, beta in problems:
        printed = solve_program(score_matching_program(x, beta, activation=activation, skip=skip))
        fit = score_matching(x, beta, activation=activation, skip=skip)
        values = [printed.value, fit.value, score_matching_loss(fit.network(), x, beta)]
        yield float(np.ptp(values)) / scale_of(x, fit.value)


def duality_gaps(problems: Problems, activation: Activation, skip: bool = False) -> Iterator[float]:
    """How far the printed program and its printed dual are apart."""
    for x, beta in problems:
        primal = solve_program(score_matching_program(x, beta, activation=activation, skip=skip)).value
        _, dual = score_matching_dual(x, beta, activation=activation, skip=skip)
        yield abs(primal - dual) / scale_of(x, primal)


def certified_gaps(problems: Problems, activation: Activation, skip: bool = False) -> Iterator[float]:
    """The relative gaps of the certificates; every dual vector is feasible."""
    for x, beta in problems:
        certificate = score_matching(x, beta, activation=activation, skip=skip).certificate
        assert certificate.infeasibility <= 1e-9  # the certificate's own tolerance
        yield certificate.relative_gap


def undercuts(betas: Iterable[float], activation: Activation, skip: bool = False) -> Iterator[float]:
    """How far the best network that Adam meets is below the certified optimum."""
    torch = pytest.importorskip("torch")  # an extra of the library, which the other routes do without
    from convexdiff_lib.paper.nonconvex import train_score_matching

    for seed, beta in enumerate(betas):
        x = np.random.default_rng(seed).normal(size=15)
        fit = score_matching(x, beta, activation=activation, skip=skip)
        size, start = {"width": 20, "n_trials": 10, "n_epochs": 300}, torch.Generator().manual_seed(seed)
        runs = train_score_matching(x, beta, activation=activation, skip=skip, generator=start, **size)
        yield max(0.0, fit.certificate.dual - float(runs.losses.min())) / fit.certificate.scale
