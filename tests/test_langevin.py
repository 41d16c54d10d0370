"""Unadjusted Langevin dynamics against the law that a linear score propagates exactly."""

from __future__ import annotations

import numpy as np
import pytest

from convexdiff_lib._validation import FloatArray
from convexdiff_lib.langevin import langevin_dynamics


def linear(x: FloatArray) -> FloatArray:
    return -(x - 3.0)


@pytest.mark.parametrize("eta", [0.01, 0.3, 1.0, 1.5])
@pytest.mark.parametrize("steps", [1, 2, 17])
def test_mean_and_variance_obey_their_recursion(eta: float, steps: int) -> None:
    """For s(x) = -(x - 3) a Gaussian law stays Gaussian: m <- m + eta (3 - m), V <- (1 - eta)^2 V + 2 eta."""
    n, mean, variance = 200_000, -2.0, 0.0
    for _ in range(steps):
        mean, variance = mean + eta * (3 - mean), (1 - eta) ** 2 * variance + 2 * eta
    x = langevin_dynamics(
        linear, np.full(n, -2.0), step_size=eta, n_steps=steps, rng=np.random.default_rng(0)
    )
    # Seven standard deviations of a sample mean and of a sample variance: together below 1e-11.
    assert abs(x.mean() - mean) <= 7 * np.sqrt(variance / n)
    assert abs(x.var() - variance) <= 7 * variance * np.sqrt(2 / n)


def test_the_law_itself_is_the_papers_step() -> None:
    """Kolmogorov-Smirnov against the Gaussian after two steps; 2 exp(-2 n t^2) = 1e-6 at the bound."""
    from scipy.special import ndtr

    n, eta = 100_000, 0.5
    x = langevin_dynamics(linear, np.zeros(n), step_size=eta, n_steps=2, rng=np.random.default_rng(3))
    mean, variance = 3 * (1 - (1 - eta) ** 2), (1 - eta) ** 2 * 2 * eta + 2 * eta
    exact = ndtr((np.sort(x) - mean) / np.sqrt(variance))
    assert np.max(np.abs(exact - np.arange(n) / n)) <= np.sqrt(np.log(2 / 1e-6) / (2 * n)) + 1 / n


def test_no_steps_return_a_copy_of_the_start() -> None:
    start = np.array([1.0, 2.0])
    x = langevin_dynamics(linear, start, step_size=0.1, n_steps=0, rng=np.random.default_rng(0))
    assert x.tolist() == [1.0, 2.0]
    x[0] = 9.0
    assert start.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("shape", [(), (5,), (4, 3)])
def test_shape_is_that_of_the_start(shape: tuple[int, ...]) -> None:
    start = np.zeros(shape)
    x = langevin_dynamics(linear, start, step_size=0.1, n_steps=3, rng=np.random.default_rng(0))
    assert x.shape == shape
    assert (start == 0).all()


def test_the_path_depends_on_the_generator_alone() -> None:
    def run(seed: int) -> FloatArray:
        return langevin_dynamics(linear, [0, 1, 2], step_size=0.1, n_steps=9, rng=np.random.default_rng(seed))

    np.testing.assert_array_equal(run(1), run(1))
    assert (run(1) != run(2)).all()


def test_every_start_has_its_own_noise() -> None:
    x = langevin_dynamics(linear, np.zeros(1000), step_size=0.1, n_steps=1, rng=np.random.default_rng(0))
    assert len(np.unique(x)) == 1000
