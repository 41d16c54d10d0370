"""The laws of the data sets: their densities have mass one, their scores are derivatives, samples follow."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr

from convexdiff_lib.datasets import GaussianMixture, Uniform, paper_mixture, standard_normal

LAWS = [
    standard_normal(),
    paper_mixture(),
    GaussianMixture((0.0, 1.0, 5.0), 0.5),
    GaussianMixture((3.0,), 1e-3),
]


@pytest.mark.parametrize("law", LAWS)
def test_mixture_density_is_the_displayed_one(law: GaussianMixture) -> None:
    x = np.linspace(-14, 14, 57)
    density = np.zeros(57)
    for center in law.centers:
        weight = 1 / (len(law.centers) * law.scale * np.sqrt(2 * np.pi))
        density += weight * np.exp(-0.5 * ((x - center) / law.scale) ** 2)
    seen = density > 1e-280  # below that the plain formula loses its digits, the logarithm does not
    assert np.max(np.abs(law.log_density(x[seen]) - np.log(density[seen]))) <= 1e-12 * 700
    ends = np.sort([c + k * law.scale for c in law.centers for k in (-9, 0, 9)])
    mass = sum(
        quad(lambda t: np.exp(float(law.log_density(t))), a, b, epsabs=1e-13)[0] for a, b in pairwise(ends)
    )
    assert abs(mass - 1) <= 1e-10


@pytest.mark.parametrize("law", LAWS)
def test_mixture_score_is_the_derivative(law: GaussianMixture) -> None:
    h = 1e-5 * law.scale
    x = np.linspace(min(law.centers) - 4 * law.scale, max(law.centers) + 4 * law.scale, 41)
    numeric = (law.log_density(x + h) - law.log_density(x - h)) / (2 * h)
    # Third derivatives and cancellation are both near 1e-9 here, in units of one over the scale.
    assert np.max(np.abs(law.score(x) - numeric)) * law.scale <= 1e-6


def test_scores_far_out_are_those_of_the_nearest_component() -> None:
    """Where every density underflows the score is still exact."""
    assert paper_mixture().score([-1e6, 0.0, 1e6]).tolist() == [1e6 - 10, 0.0, 10 - 1e6]
    assert np.isfinite(paper_mixture().log_density([-1e6, 1e6])).all()


def test_the_papers_laws() -> None:
    assert (standard_normal().centers, standard_normal().scale) == ((0.0,), 1.0)
    assert (paper_mixture().centers, paper_mixture().scale) == ((-10.0, 10.0), 1.0)


def test_mixture_samples_are_evenly_divided() -> None:
    for n in (0, 1, 2, 7, 1000):
        x = paper_mixture().sample(n, np.random.default_rng(0))
        assert x.shape == (n,)
        assert int((x < 0).sum()) == (n + 1) // 2  # the first component gets the odd one


@pytest.mark.parametrize("law", LAWS)
def test_mixture_samples_follow_the_law(law: GaussianMixture) -> None:
    """Kolmogorov-Smirnov; 2 exp(-2 n t^2) = 1e-6 at the bound, and an even division only helps."""
    n = 60_000
    x = np.sort(law.sample(n, np.random.default_rng(1)))
    exact = np.mean([ndtr((x - c) / law.scale) for c in law.centers], axis=0)
    steps = np.arange(n + 1) / n
    distance = max(np.max(steps[1:] - exact), np.max(exact - steps[:-1]))
    assert distance <= np.sqrt(np.log(2 / 1e-6) / (2 * n))


def test_uniform_law() -> None:
    law = Uniform(-1.0, 3.0)
    assert np.max(np.abs(law.log_density([-1.0, 0.0, 3.0]) + np.log(4))) <= 1e-15
    assert law.log_density([-1.1, 3.1]).tolist() == [-np.inf, -np.inf]
    assert law.score([0.0, 2.9]).tolist() == [0.0, 0.0]
    assert np.isnan(law.score([-1.0, 3.0, 7.0])).all()
    n = 60_000
    x = np.sort(law.sample(n, np.random.default_rng(0)))
    assert -1 <= x[0] <= x[-1] <= 3
    assert np.max(np.abs((x + 1) / 4 - np.arange(n) / n)) <= np.sqrt(np.log(2 / 1e-6) / (2 * n)) + 1 / n


@pytest.mark.parametrize("law", [standard_normal(), Uniform()])
def test_samples_depend_on_the_generator_alone(law: GaussianMixture | Uniform) -> None:
    first, again, other = (law.sample(9, np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()


def test_any_shape_evaluates() -> None:
    grid = np.zeros((2, 3))
    for law in (standard_normal(), paper_mixture(), Uniform(-1, 1)):
        assert law.score(grid).shape == law.log_density(grid).shape == (2, 3)
        assert np.shape(law.score(0.0)) == ()
