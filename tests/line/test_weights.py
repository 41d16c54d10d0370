"""Weights of points: repetition said in another way, and real numbers between whole ones."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import every_network, ugly

from convexdiff_lib import (
    UnivariateScore,
    denoising_score_matching,
    score_matching,
    score_matching_path,
)
from convexdiff_lib._validation import Activation, FloatArray


def assert_same(one: UnivariateScore, other: UnivariateScore, ratio: float = 1.0) -> None:
    """The same score, and a loss so many times as large."""
    assert one.certificate.holds is True
    assert other.certificate.holds is True
    points = np.sort(np.unique(np.concatenate([one.score.knots, other.score.knots])))
    size = np.abs(one(points)).max() + 1 / np.ptp(points)
    assert np.max(np.abs(one(points) - other(points))) <= 1e-9 * size  # most are right to 1e-15
    assert abs(one.value - ratio * other.value) <= 1e-9 * max(abs(one.value), one.certificate.scale)


def problem(family: str, seed: int) -> tuple[FloatArray, FloatArray, np.ndarray]:
    rng = np.random.default_rng([seed, 77])
    x = ugly(family, 24, rng)
    return x, rng.normal(size=24), rng.integers(0, 5, 24)


@every_network
@pytest.mark.parametrize("family", ["normal", "cauchy", "rounded", "clusters", "tied ends"])
@pytest.mark.parametrize("denoising", [False, True])
def test_a_weight_is_a_number_of_repetitions(
    activation: Activation, skip: bool, family: str, denoising: bool
) -> None:
    """Quarters, too: four times the weights and the weight decay is four times the loss."""
    for seed in range(3):
        x, targets, times = problem(family, seed)
        repeated = np.repeat(x, times)
        kind = {"activation": activation, "skip": skip}
        if denoising:
            whole = denoising_score_matching(repeated, np.repeat(targets, times), 3.0, **kind)
            weighted = denoising_score_matching(x, targets, 3.0, sample_weight=times, **kind)
            quarters = denoising_score_matching(x, targets, 0.75, sample_weight=times / 4, **kind)
        else:
            beta = 2.0 * max(np.unique(repeated, return_counts=True)[1]) + 1
            whole = score_matching(repeated, beta, **kind)
            weighted = score_matching(x, beta, sample_weight=times, **kind)
            quarters = score_matching(x, beta / 4, sample_weight=times / 4, **kind)
            (path,) = score_matching_path(x, [beta], sample_weight=times, **kind)
            assert_same(path, weighted)
        assert_same(whole, weighted)
        assert_same(whole, quarters, 4.0)
        assert len(weighted.z) == np.count_nonzero(times)


@every_network
def test_a_heavy_point_sets_the_threshold(activation: Activation, skip: bool) -> None:
    x, weights = [0.0, 1.0, 3.0, 4.0], [0.25, 0.25, 2.5, 0.25]
    least = {"relu": 1.25, "abs": 2.5}[activation]
    kind = {"activation": activation, "skip": skip}
    assert score_matching(x, least, sample_weight=weights, **kind).certificate.holds is True
    with pytest.raises(ValueError, match=r"below 1\.25|below 2\.5") as error:
        score_matching(x, 0.99 * least, sample_weight=weights, **kind)
    assert "the heaviest of them counts for 2.5" in str(error.value)


def test_one_point_left() -> None:
    fit = denoising_score_matching([1.0, 1.0, 2.0], [0.0, 3.0, 9.0], 1.0, sample_weight=[1.0, 2.0, 0.0])
    assert fit.certificate.holds is True
    assert float(fit(5.0)) == 2.0
    assert fit.value == 3.0  # half of 1 * 4 + 2 * 1


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 1.0], r"sample_weight must have one entry per point of x; got \(2,\) for \(3,\)"),
        ([1.0, -1.0, 1.0], "sample_weight must not be negative; the smallest is -1"),
        ([0.0, 0.0, 0.0], "sample_weight must not be zero for all points"),
        ([1.0, np.inf, 1.0], "sample_weight must be finite"),
    ],
)
def test_bad_weights(weights: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score_matching([0.0, 1.0, 3.0], 2.0, sample_weight=weights)
