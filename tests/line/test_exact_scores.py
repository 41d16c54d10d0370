"""Fitted scores against rational arithmetic, on data that stretch over many powers of ten."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from exact import exact_scores
from strategies import NETWORKS, threshold

from convexdiff_lib import UnivariateScore, denoising_score_matching, score_matching
from convexdiff_lib._validation import Activation, FloatArray

# A score is compared with its size or, where it is nearly zero, with one over the distance to the next point.
# Both routes keep twelve digits: the fit to rounding, the exact one until it is rounded at the end.
RELATIVE = 1e-12

KINDS = (
    "adjacent", "decades", "outlier", "ramp", "cluster", "integers", "fill value", "normal", "lattice",
    "symmetric", "two clusters",
)  # fmt: skip


def data(kind: str, n: int, rng: np.random.Generator) -> FloatArray:
    """Up to eight points, as unpleasant as they come."""
    half = np.abs(rng.standard_cauchy(n // 2))
    draws: dict[str, Any] = {
        "adjacent": lambda: np.cumsum(np.where(rng.random(n) < 0.5, 2.0**-50, rng.random(n))),
        "decades": lambda: 10.0 ** rng.uniform(-10, 10, n) * rng.choice([-1, 1], n),
        "outlier": lambda: np.append(rng.normal(size=n - 1), 10.0 ** rng.uniform(5, 15)),
        "ramp": lambda: 10.0 ** -np.arange(n),
        "cluster": lambda: rng.choice(rng.normal(size=3), n) + 1e-12 * rng.integers(-5, 6, n),
        "integers": lambda: rng.integers(0, 8, n).astype(float),
        "fill value": lambda: np.append(
            rng.integers(0, 20, n - 1).astype(float), 2.0 ** rng.integers(20, 62)
        ),
        "normal": lambda: rng.normal(size=n),
        "lattice": lambda: np.arange(n) * 10.0 ** rng.integers(-8, 8),
        "symmetric": lambda: np.concatenate([half, -half]),
        "two clusters": lambda: np.concatenate([np.arange(n // 2), 1e8 + np.arange(n - n // 2)]),
    }
    return np.asarray(draws[kind](), dtype=np.float64)


def error(fit: UnivariateScore, x: FloatArray, exact: FloatArray, floor: float = 0.0) -> float:
    """Largest error at the data, compared with the score or what is natural there."""
    points = np.unique(x)
    gaps = np.diff(points)
    longest = np.maximum(np.append(gaps, 0.0), np.append(0.0, gaps))[np.searchsorted(points, x)]
    with np.errstate(divide="ignore"):
        natural = np.where(longest > 0, 1 / longest, 1.0) if floor == 0 else np.full(len(x), floor)
    return float(np.max(np.abs(fit(x) - exact) / np.maximum(np.abs(exact), natural)))


def in_doubles(x: FloatArray, beta: float, **options: Any) -> FloatArray:
    return np.array([float(s) for s in exact_scores(x.tolist(), beta, **options)])


@pytest.mark.parametrize("kind", KINDS)
def test_score_matching(kind: str) -> None:
    for seed in range(8):
        rng = np.random.default_rng(seed)
        activation, skip = NETWORKS[seed % 4]
        x = data(kind, int(rng.integers(3, 8)), rng)
        least = threshold(x, activation, skip)
        for beta in (
            least,
            least * (1 + 1e-12),
            1.01 * least,
            1.5 * least,
            0.3 * len(x) + least,
            1e6 * least,
        ):
            fit = score_matching(x, beta, activation=activation, skip=skip)
            exact = in_doubles(x, beta, activation=activation, skip=skip)
            assert error(fit, x, exact) <= RELATIVE
            assert fit.certificate.holds is True


@pytest.mark.parametrize("kind", KINDS)
def test_denoising(kind: str) -> None:
    for seed in range(8):
        rng = np.random.default_rng(100 + seed)
        activation, skip = NETWORKS[seed % 4]
        x = data(kind, int(rng.integers(3, 8)), rng)
        targets = np.round(2 * rng.normal(size=len(x))) if seed % 3 == 0 else rng.normal(size=len(x))
        size = float(np.sqrt(np.mean((targets - targets.mean()) ** 2))) or 1.0
        for beta in 10.0 ** np.array([-12.0, -3.0, 0.0]) * max(1.0, float(np.ptp(x))):
            fit = denoising_score_matching(x, targets, beta, activation=activation, skip=skip)
            exact = in_doubles(x, beta, activation=activation, skip=skip, targets=targets.tolist())
            assert error(fit, x, exact, size) <= 1e-9  # certified to 1e-6, sharpened where that is in doubt


CASES: list[tuple[list[float], float, float]] = [
    ([0.0, 1e-4, 1.5, 1e4], 1.0, -1.0001500e-4),
    ([0.0, 1e-4, 1.5, 1e6], 1.0, -1.0e-6),
    ([0.0, 1e-6, 1.5, 1e6], 1.0, -1.0e-6),
    ([0.0, 1e-7, 1.5, 1e5], 1.0, -1.00001e-5),
]


@pytest.mark.parametrize(("x", "beta", "expected"), CASES)
def test_far_point_next_to_a_tiny_gap(x: list[float], beta: float, expected: float) -> None:
    """A score of 1e-6 beside one of 1e6: a network, which adds up slopes, cannot hold it; the fit does."""
    fit = score_matching(x, beta)
    assert abs(fit(x[-1]) - float(exact_scores(x, beta)[-1])) <= 1e-15 * abs(expected)
    assert abs(float(fit(x[-1])) - expected) <= 1e-5 * abs(expected)  # as many digits as are written down
    assert abs(fit(x[-1]) + fit.z[-1]) <= 1e-15 * abs(expected)


VALUES: list[tuple[list[float], float, float]] = [
    ([0.0, 1.0, 3.0, 1e8], 1.0, -0.74999999),
    ([0.0, 1.0, 3.0, 1e20], 1.5, -0.25),
    ([0.0, 1700000000.0, 1700000003.0, 1700000007.0, 1700000011.0, 1700000020.0], 2.0, -0.01853377),
    ([0.0, 1.0, 1.0 + 1e-8], 1.000001, -9.99998e15),
    ([0.0, 1.0, 2.0, 4.0, 1e8, 1e8 + 1, 1e8 + 2, 1e8 + 4], 1.0, -1.26429),
]


@pytest.mark.parametrize(("x", "beta", "value"), VALUES)
def test_points_far_apart_are_no_reason_to_refuse(x: list[float], beta: float, value: float) -> None:
    fit = score_matching(x, beta)
    assert fit.certificate.holds is True
    assert abs(fit.value - value) <= 1e-5 * abs(value)  # as many digits as are written down


@pytest.mark.parametrize("n", range(3, 21))
def test_outer_slopes_of_symmetric_data_are_zero(n: int) -> None:
    """The optimal score of an absolute-value network is odd here, its outer slopes +S and -S; so S is 0."""
    for beta in (1.01, 1.5, n / 2):
        score = score_matching(np.arange(n), beta, activation="abs").score
        assert (score.left_slope, score.right_slope) == (0.0, 0.0)


HEAVY = ("cauchy", "lognormal", "pareto", "clusters", "tied")


def heavy(family: str, n: int) -> FloatArray:
    rng = np.random.default_rng(7)
    draws: dict[str, Any] = {
        "cauchy": lambda: rng.standard_cauchy(n),
        "lognormal": lambda: rng.lognormal(0.0, 2.0, n),
        "pareto": lambda: rng.pareto(0.5, n),
        "clusters": lambda: rng.normal(size=n) * 1e-6 + rng.integers(0, 5, n) * 1e3,
        "tied": lambda: np.round(rng.standard_cauchy(n), 1),
    }
    return np.asarray(draws[family]())


@pytest.mark.parametrize("family", HEAVY)
@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_score_is_minus_the_dual_variable(family: str, activation: Activation) -> None:
    """At the data, on every scale, and also where the network that is read off has lost it."""
    x = heavy(family, 2000)
    fit = score_matching(x, threshold(x, activation, False), activation=activation)
    assert fit.certificate.holds is True
    assert np.max(np.abs(fit(x) + fit.z) / np.maximum(np.abs(fit.z), 1e-300)) <= 1e-9  # of interpolation
