"""The laws of the data sets: their densities have mass one, their scores are derivatives, samples follow."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr

from convexdiff_lib.datasets import Cross, GaussianMixture, Uniform, paper_mixture, perturb, standard_normal

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


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("sigma", [1e-2, 0.7, 30.0])
def test_smoothing_is_the_convolution(law: GaussianMixture, sigma: float) -> None:
    """The smoothed density is the mean of the density over the noise, here by Gauss-Hermite quadrature."""
    smooth = law.smoothed(sigma)
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    # The narrower of the two Gaussians is integrated against the wider one, which is then smooth.
    inner, outer = sorted((law.scale, sigma))
    for x in np.linspace(min(law.centers) - 2 * smooth.scale, max(law.centers) + 2 * smooth.scale, 9):
        wide = GaussianMixture(law.centers, outer)
        convolved = weights @ np.exp(wide.log_density(x - inner * nodes)) / np.sqrt(2 * np.pi)
        # Quadrature of 80 nodes where the integrand is a Gaussian at most as narrow as its weight.
        assert abs(convolved / np.exp(smooth.log_density(x)) - 1) <= 1e-9


def test_smoothing_adds_variances() -> None:
    assert standard_normal().smoothed(1.0).score([1.0]).round(12).tolist() == [-0.5]
    twice, once = paper_mixture().smoothed(3.0).smoothed(4.0), paper_mixture().smoothed(5.0)
    assert abs(twice.scale - once.scale) <= 1e-15 * once.scale
    assert twice.centers == (-10.0, 10.0)


@pytest.mark.parametrize("sigma", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize("draws", [1, 4])
def test_target_points_back_at_the_data(sigma: float, draws: int) -> None:
    """x = x_noisy + sigma^2 target: with the sign of the target turned it would not be."""
    x = np.random.default_rng(0).normal(size=30)
    x_noisy, targets = perturb(x, sigma, np.random.default_rng(1), draws)
    assert x_noisy.shape == targets.shape == (30 * draws,)
    assert np.max(np.abs(x_noisy + sigma**2 * targets - np.repeat(x, draws))) <= 1e-14 * (1 + sigma)
    assert np.min(np.abs(x_noisy - sigma**2 * targets - np.repeat(x, draws))) >= 1e-6 * sigma


def test_noise_is_standard_normal_and_new_for_every_draw() -> None:
    """Kolmogorov-Smirnov; 2 exp(-2 n t^2) = 1e-6 at the bound."""
    sigma, n = 0.3, 60_000
    x_noisy, targets = perturb(np.full(n // 6, 5.0), sigma, np.random.default_rng(2), draws=6)
    delta = np.sort((x_noisy - 5) / sigma)
    assert np.max(np.abs(ndtr(delta) - np.arange(n) / n)) <= np.sqrt(np.log(2 / 1e-6) / (2 * n)) + 1 / n
    assert len(np.unique(targets)) == n


def test_points_in_the_plane_are_perturbed_in_every_coordinate() -> None:
    x = np.arange(6.0).reshape(3, 2)
    x_noisy, targets = perturb(x, 0.5, np.random.default_rng(0), draws=2)
    assert x_noisy.shape == targets.shape == (6, 2)
    assert np.max(np.abs(x_noisy + 0.25 * targets - np.repeat(x, 2, axis=0))) <= 1e-14
    assert len(np.unique(targets)) == 12
    column = perturb(np.zeros((3, 1)), 0.5, np.random.default_rng(0))
    assert column[0].shape == (3, 1)


def test_perturbing_leaves_the_data_alone_and_depends_on_the_generator_alone() -> None:
    x = np.zeros(5)
    first, again = (perturb(x, 1.0, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (x == 0).all()


@pytest.mark.parametrize("cross", [Cross(), Cross(1.0, 1.0), Cross(5.0, 0.1)])
def test_cross(cross: Cross) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 2)) * cross.long
    arms = [
        np.exp(-0.5 * (x[:, 0] / a) ** 2 - 0.5 * (x[:, 1] / b) ** 2) / (2 * np.pi * a * b)
        for a, b in ((cross.long, cross.short), (cross.short, cross.long))
    ]
    seen = arms[0] + arms[1] > 1e-280
    assert np.max(np.abs(cross.log_density(x[seen]) - np.log(0.5 * (arms[0] + arms[1])[seen]))) <= 1e-10
    h = 1e-5 * cross.short
    for axis in np.eye(2):
        numeric = (cross.log_density(x + h * axis) - cross.log_density(x - h * axis)) / (2 * h)
        # Cancellation in a logarithm of size up to 1e3, over the step.
        assert np.max(np.abs(cross.score(x) @ axis - numeric)) * cross.short <= 1e-4
    assert np.isfinite(cross.score([[1e6, 1e6]])).all()
    assert cross.score(x[None]).shape == (1, 50, 2)
    wide = cross.smoothed(2.0)
    assert abs(wide.long**2 - cross.long**2 - 4) + abs(wide.short**2 - cross.short**2 - 4) <= 1e-12
    sample = cross.sample(20000, rng)
    variance = 0.5 * (cross.long**2 + cross.short**2)
    # Six standard errors of a variance, of kurtosis at most six.
    assert np.max(np.abs(sample.var(axis=0) / variance - 1)) <= 6 * np.sqrt(5 / 20000)
    horizontal = sample[::2]
    assert abs(horizontal[:, 0].std() / cross.long - 1) <= 6 / np.sqrt(20000)
