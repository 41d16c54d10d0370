"""The exact law of Langevin iterates against closed forms, an independent quadrature, and simulation."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from claims_witness import Evidence
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri
from strategies import checked

from convexdiff_lib._validation import FloatArray
from convexdiff_lib.line.piecewise_linear import PiecewiseLinearScore
from convexdiff_lib.sampling.exact_law import (
    annealed_laws,
    averaged_law,
    langevin_laws,
    propagate,
    running_averages,
)
from convexdiff_lib.sampling.grid_law import GridLaw, wasserstein
from convexdiff_lib.sampling.langevin import annealed_langevin_dynamics, langevin_dynamics

# Slopes -1/2, -1, -1/4: like the closed form of large weight decay, with unequal ends.
KINKED = PiecewiseLinearScore(np.array([-1.5, 2.0]), np.array([1.75, -1.75]), -0.5, -0.25)
TWO_MODES = PiecewiseLinearScore(np.array([-1.0, 1.0]), np.array([-1.5, 1.5]), -2.0, -2.0)


def linear(a: float, centre: float) -> Callable[[FloatArray], FloatArray]:
    return lambda x: -a * (x - centre)


def log_normal(mean: float, variance: float) -> Callable[[FloatArray], FloatArray]:
    return lambda x: -((x - mean) ** 2) / (2 * variance) - np.log(2 * np.pi * variance) / 2


def test_a_linear_score_keeps_a_gaussian_gaussian(evidence: Evidence):
    seen = evidence("ours-exact-law", "linear-score-obeys-its-recursion", 1e-10).because(
        "rounding: worst error of mean, standard deviation and divergence over 40 steps"
    )
    # The map folds where eta a > 1; at eta a = 2.2 the law runs away and the grid is wide enough.
    for eta, a, steps in ((0.02, 1.0, 40), (0.5, 1.0, 40), (0.1, 5.0, 40), (1.0, 1.5, 40), (1.0, 2.2, 6)):
        for cells in (1200, 2400):
            nodes = np.linspace(-60, 60, cells + 1)
            law, mean, variance, worst = GridLaw.normal(2.0, 0.8, nodes=nodes), 2.0, 0.64, 0.0
            for later in langevin_laws(law, linear(a, 0.5), step_size=eta, n_steps=steps):
                mean += -eta * a * (mean - 0.5)
                variance = (1 - eta * a) ** 2 * variance + 2 * eta
                errors = (
                    later.mean - mean,
                    later.std - np.sqrt(variance),
                    later.kl_to(log_normal(mean, variance)),
                )
                worst = max(worst, float(np.max(np.abs(errors))))
            seen.holds(worst)


def test_the_stationary_variance_of_a_linear_score(evidence: Evidence):
    seen = evidence("ours-exact-law", "stationary-variance-in-closed-form", 1e-10).because(
        "rounding, after enough steps for (1 - eta a)^T to vanish"
    )
    for eta, a in ((0.1, 1.0), (0.5, 1.0), (1.0, 1.0), (1.6, 1.0), (0.1, 4.0)):
        law = GridLaw.uniform(-3.0, 5.0, nodes=np.linspace(-30, 30, 1201))
        last = propagate(law, linear(a, 1.0), step_size=eta, n_steps=150)
        seen.holds(abs(last.std**2 - 2 * eta / (1 - (1 - eta * a) ** 2)))


def one_step_cdf(
    score: PiecewiseLinearScore, low: float, high: float, eta: float, at: FloatArray
) -> FloatArray:
    """Distribution function after one step from U(low, high): uniform pieces under straight maps, plus noise.

    For Y uniform on [c, d] and noise of standard deviation r, P(Y + noise <= y) is a difference quotient of
    the antiderivative r (u ndtr(u) + density(u)) at u = (y - c)/r and (y - d)/r.
    """
    r = np.sqrt(2 * eta)

    def antiderivative(u: FloatArray) -> FloatArray:
        return r * (u * ndtr(u) + np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi))

    cuts = np.array([low, *score.knots[(score.knots > low) & (score.knots < high)], high])
    total = np.zeros(len(at))
    for a, b in pairwise(cuts):
        c, d = (float(edge + eta * score(edge)) for edge in (a, b))
        share = (b - a) / (high - low)
        if d == c:
            total += share * ndtr((at - c) / r)
        else:
            total += share * (antiderivative((at - c) / r) - antiderivative((at - d) / r)) / (d - c)
    return total


def test_one_step_from_a_uniform_law_in_closed_form(evidence: Evidence):
    seen = evidence("ours-exact-law", "one-step-in-closed-form", 1e-4).because(
        "distribution functions; the grid's error is of second order in a spacing of 1/80"
    )
    nodes = np.linspace(-60, 60, 9601)
    edges = (nodes[1:] + nodes[:-1]) / 2
    for score in (KINKED, TWO_MODES):
        for eta in (0.05, 0.5, 1.5, 3.0):  # from 1 on some pieces fold
            law = GridLaw.uniform(-6.0, 7.0, nodes=nodes)
            (later,) = langevin_laws(law, score, step_size=eta, n_steps=1)
            cdf = np.cumsum(later.mass)[:-1]
            seen.holds(float(np.max(np.abs(cdf - one_step_cdf(score, -6.0, 7.0, eta, edges)))))


def quadrature_step(
    score: PiecewiseLinearScore,
    eta: float,
    start: Callable[[FloatArray], FloatArray],
    at: FloatArray,
) -> FloatArray:
    """Density after one step by Gauss-Legendre quadrature between the knots, with no grid and no FFT."""
    points, weights = np.polynomial.legendre.leggauss(200)
    total = np.zeros(len(at))
    for a, b in pairwise([-14.0, *score.knots.tolist(), 14.0]):
        x = (a + b) / 2 + (b - a) / 2 * points
        moved = x + eta * score(x)
        noise = np.exp(-((at[:, None] - moved) ** 2) / (4 * eta)) / np.sqrt(4 * np.pi * eta)
        total += noise @ (weights * start(x)) * (b - a) / 2
    return total


def error_of_two_steps(score: PiecewiseLinearScore, eta: float, cells: int) -> float:
    """Largest error of the density after two steps from N(0, 1), over its largest value; spacing 40/cells."""
    at = np.linspace(-6, 6, 25)
    exact = quadrature_step(
        score, eta, lambda x: quadrature_step(score, eta, lambda u: np.exp(log_normal(0, 1)(u)), x), at
    )
    law = GridLaw.normal(0.0, 1.0, nodes=np.linspace(-40, 40, 2 * cells + 1))
    later = propagate(law, score, step_size=eta, n_steps=2)
    here = later.density[np.searchsorted(law.nodes, at - law.cell / 2)]
    return float(np.max(np.abs(here - exact)) / np.max(exact))


def test_halving_the_cell_divides_the_error_by_four(evidence: Evidence):
    small = evidence("ours-exact-law", "kinked-score-against-quadrature", 5e-4).because(
        "density after two steps, relative; the grid's error of second order at a spacing of 1/20"
    )
    order = evidence("ours-exact-law", "grid-is-of-second-order", 0.1).because(
        "|order - 2| when the cell is halved and the kinks keep their place relative to the nodes"
    )
    for score in (KINKED, TWO_MODES):
        for eta in (0.1, 0.5, 1.5):
            errors = [error_of_two_steps(score, eta, cells) for cells in (400, 800, 1600)]
            small.holds(errors[1])
            for coarse, fine in pairwise(errors):
                order.holds(abs(np.log2(coarse / fine) - 2))


def test_the_coarsest_grid_that_is_allowed():
    """Two nodes per standard deviation of the noise leave 2e-8; three leave 2e-11, four 2e-13."""
    eta, errors = 0.5, []
    for per_noise in (2, 3, 4):
        law = GridLaw.normal(0.3, 1.0, nodes=np.linspace(-30, 30, 60 * per_noise + 1))
        mean, variance, worst = 0.3, 1.0, 0.0
        for later in langevin_laws(law, np.negative, step_size=eta, n_steps=30):
            mean, variance = (1 - eta) * mean, (1 - eta) ** 2 * variance + 2 * eta
            worst = max(worst, abs(later.kl_to(log_normal(mean, variance))))
        errors.append(worst)
    for error, limit in zip(errors, (1e-7, 1e-10, 1e-11), strict=True):
        assert error <= limit


def test_a_smooth_map_has_no_grid_error_at_all():
    """Away from kinks the sums are spectrally accurate: 16 nodes per unit are as good as 64."""
    laws = [
        propagate(
            GridLaw.normal(1.0, 0.7, nodes=np.linspace(-24, 24, 48 * k + 1)),
            lambda x: -np.tanh(x),
            step_size=0.2,
            n_steps=30,
        )
        for k in (16, 64)
    ]
    assert np.max(np.abs(laws[0].density - laws[1].density[::4])) <= 1e-9  # stencil of order 8
    assert abs(laws[0].std - laws[1].std) <= 1e-9


def test_simulation_agrees(evidence: Evidence):
    seen = evidence("ours-exact-law", "simulation-within-its-standard-error", 6.0, what="z-score").because(
        "largest of three z-scores: mean, second moment, and Kolmogorov-Smirnov at sqrt(n)"
    )
    n = 100_000
    for seed, (score, eta, steps) in enumerate(
        ((KINKED, 0.1, 20), (KINKED, 1.0, 10), (KINKED, 2.5, 6), (TWO_MODES, 0.2, 15))
    ):
        rng = np.random.default_rng(seed)
        x = langevin_dynamics(score, rng.uniform(-6, 6, n), step_size=eta, n_steps=steps, rng=rng)
        law = propagate(
            GridLaw.uniform(-6.0, 6.0, nodes=np.linspace(-60, 60, 6001)), score, step_size=eta, n_steps=steps
        )
        second = law.mass @ law.nodes**2
        spread = np.sqrt(law.mass @ law.nodes**4 - second**2)
        cdf = np.cumsum(law.mass)
        ranks = np.searchsorted(np.sort(x), law.nodes + law.cell / 2, side="right") / n
        z = (
            abs(x.mean() - law.mean) / law.std,
            abs(np.mean(x**2) - second) / spread,
            float(np.max(np.abs(ranks - cdf))),
        )
        seen.holds(float(np.sqrt(n) * max(z)))


@checked
@given(
    slopes=st.lists(st.floats(-3, 3), min_size=1, max_size=4),
    ends=st.tuples(st.floats(-2, -0.1), st.floats(-2, -0.1)),
    eta=st.floats(0.02, 1.0),
    shift=st.floats(-3, 3),
)
def test_mass_is_preserved_whatever_the_map(
    slopes: list[float], ends: tuple[float, float], eta: float, shift: float
) -> None:
    knots = np.linspace(-2, 2, len(slopes) + 1)
    values = shift + np.concatenate([[0.0], np.cumsum(slopes)]) * (knots[1] - knots[0])
    score = PiecewiseLinearScore(knots, values, *ends)
    law = GridLaw.uniform(-5.0, 5.0, nodes=np.linspace(-90, 90, 4501))
    for later in langevin_laws(law, score, step_size=eta, n_steps=5):
        assert abs(later.lost) <= 1e-12  # rounding of 4501 terms
        assert later.mass.min() >= -1e-9  # sharing a jump of the uniform law among eight nodes
        assert later.mass.max() <= 1.0


def test_kinks_between_nodes_do_not_lose_order():
    """Kinks anywhere between the nodes: the error stays below a constant times the square of the spacing."""
    for offset in np.linspace(0, 0.1, 5):
        score = PiecewiseLinearScore(KINKED.knots + offset, KINKED.values, -0.5, -0.25)
        for cells in (400, 800):
            # The worst constant is 0.0047, with the kinks on nodes.
            assert error_of_two_steps(score, 0.5, cells) <= 0.006 * (40 / cells) ** 2


def test_moments_divergence_and_distance_in_closed_form():
    nodes = np.linspace(-30, 30, 6001)
    one, two = GridLaw.normal(-1.0, 0.5, nodes=nodes), GridLaw.normal(3.0, 2.0, nodes=nodes)
    kl = np.log(2.0 / 0.5) + (0.25 + 16.0) / 8.0 - 0.5
    assert abs(one.kl_to(log_normal(3.0, 4.0)) - kl) <= 1e-10
    assert abs(wasserstein(one, two) - np.hypot(4.0, 1.5)) <= 1e-4  # masses spread over cells of 1/100
    assert wasserstein(one, one) == 0.0
    assert wasserstein(one, two) == wasserstein(two, one)


def test_distance_from_a_uniform_to_a_normal_law():
    """W2^2(U(-10, 10), N(0, 1)) = 100/3 + 1 - 20/sqrt(pi): the quantiles are 20 u - 10 and ndtri(u)."""
    u = (np.arange(200_000) + 0.5) / 200_000
    exact = 100 / 3 + 1 - 20 / np.sqrt(np.pi)
    assert abs(np.mean((20 * u - 10 - ndtri(u)) ** 2) - exact) <= 1e-3  # the formula itself, by midpoints
    errors = []
    for cells in (600, 1200):
        nodes = np.linspace(-15, 15, cells + 1)
        near = GridLaw.normal(0.0, 1.0, nodes=nodes)
        errors.append(abs(wasserstein(GridLaw.uniform(-10.0, 10.0, nodes=nodes), near) ** 2 - exact))
    assert errors[1] <= 1e-3  # spacing squared
    assert errors[1] <= 0.3 * errors[0]  # second order


def test_quantiles_invert_the_distribution_function():
    law = GridLaw.normal(1.0, 2.0, nodes=np.linspace(-20, 20, 4001))
    u = np.linspace(0.001, 0.999, 333)
    assert np.max(np.abs(law.quantile(u) - (1 + 2 * ndtri(u)))) <= 1e-3  # spacing of 1/100
    assert law.quantile(0.5).shape == ()
    for bad in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="u must lie between 0 and 1"):
            law.quantile(bad)


def test_averages_are_averages():
    law = GridLaw.uniform(-4.0, 4.0, nodes=np.linspace(-20, 20, 801))
    laws = list(langevin_laws(law, KINKED, step_size=0.3, n_steps=7))
    mean = np.mean([one.mass for one in laws], axis=0)
    last = list(running_averages(laws))[-1]
    assert np.max(np.abs(last.mass - mean)) <= 1e-15
    assert np.array_equal(averaged_law(law, KINKED, step_size=0.3, n_steps=7).mass, last.mass)
    assert np.array_equal(propagate(law, KINKED, step_size=0.3, n_steps=7).mass, laws[-1].mass)
    assert propagate(law, KINKED, step_size=0.3, n_steps=0) is law
    assert list(running_averages([])) == []


def test_a_map_onto_a_point():
    """eta a = 1: every point goes to the centre, and one step gives the noise alone."""
    law = GridLaw.uniform(-4.0, 4.0, nodes=np.linspace(-20, 20, 801))
    (later,) = langevin_laws(law, linear(2.0, 0.3), step_size=0.5, n_steps=1)
    assert abs(later.kl_to(log_normal(0.3, 1.0))) <= 1e-10
    assert abs(later.mean - 0.3) <= 1e-12


def test_mass_that_leaves_is_counted_and_refused():
    """One step of pure noise from the middle of a grid of plus or minus three standard deviations."""
    law = GridLaw.uniform(-0.1, 0.1, nodes=np.linspace(-3, 3, 301))
    options = {"step_size": 0.5, "n_steps": 1}
    with pytest.raises(ValueError, match=r"a mass of 0.0026\d* has left the grid \[-3, 3\] after 1 steps"):
        propagate(law, np.zeros_like, **options)
    later = propagate(law, np.zeros_like, **options, max_loss=0.01)
    assert abs(later.lost - 2 * ndtr(-3.01)) <= 1e-4  # the last cell ends at 3.01; the start has a width
    away = propagate(law, lambda x: 0 * x + 40.0, **options, max_loss=1.0)
    assert abs(away.lost - 1.0) <= 1e-15


def test_a_law_that_runs_away_is_refused():
    law = GridLaw.uniform(-4.0, 4.0, nodes=np.linspace(-20, 20, 801))
    with pytest.raises(ValueError, match="has left the grid"):
        propagate(law, lambda x: x, step_size=0.3, n_steps=20)


def test_a_grid_too_coarse_is_refused():
    law = GridLaw.uniform(-4.0, 4.0, nodes=np.linspace(-20, 20, 801))
    with pytest.raises(ValueError, match=r"too coarse for this step: nodes come to lie 0\.05 apart"):
        propagate(law, KINKED, step_size=0.0049, n_steps=1)
    propagate(law, KINKED, step_size=0.005, n_steps=1)
    with pytest.raises(ValueError, match="too coarse for this step"):
        propagate(law, lambda x: -100 * x, step_size=0.5, n_steps=1)
    with pytest.raises(ValueError, match="too coarse for this step"):
        propagate(law, lambda x: -3 * np.sign(x), step_size=0.5, n_steps=1)  # a jump tears nodes apart


def test_laws_must_be_laws():
    nodes = np.linspace(-1, 1, 21)
    flat = np.full(21, 1 / 21)
    with pytest.raises(ValueError, match="nodes and mass must have one length"):
        GridLaw(nodes, flat[:-1])
    with pytest.raises(ValueError, match="mass must be non-negative and sum to at most one"):
        GridLaw(nodes, flat * 1.01)
    with pytest.raises(ValueError, match="mass must be non-negative"):
        GridLaw(nodes, flat - 0.1)
    with pytest.raises(ValueError, match="equally spaced"):
        GridLaw(nodes**3, flat)
    with pytest.raises(ValueError, match="equally spaced"):
        GridLaw(nodes[::-1], flat)
    with pytest.raises(ValueError, match="nodes must be at least 16"):
        GridLaw(nodes[:9], flat[:9])
    with pytest.raises(ValueError, match="low must be less than high"):
        GridLaw.uniform(1.0, 1.0, nodes=nodes)
    with pytest.raises(ValueError, match=r"the interval has mass 0\.525 on the grid"):
        GridLaw.uniform(-2.0, 2.0, nodes=nodes)
    with pytest.raises(ValueError, match="the density has mass"):
        GridLaw.normal(0.0, 3.0, nodes=nodes)
    with pytest.raises(ValueError, match="log_density must return an array of shape"):
        GridLaw(nodes, flat).kl_to(lambda x: 0.0)  # type: ignore[arg-type, return-value]
    with pytest.raises(ValueError, match="score must return an array of shape"):
        propagate(GridLaw(nodes, flat), lambda x: x[1:], step_size=1.0, n_steps=1)
    with pytest.raises(ValueError, match="law must be a GridLaw; got ndarray"):
        propagate(flat, np.negative, step_size=1.0, n_steps=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="other must be a GridLaw; got ndarray"):
        wasserstein(GridLaw(nodes, flat), flat)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the laws must have one grid"):
        list(running_averages([GridLaw(nodes, flat), GridLaw(2 * nodes, flat)]))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_units_do_not_matter(scale: float) -> None:
    """In other units of length, with time in those units squared, the law is the same."""
    base = GridLaw.uniform(-4.0, 4.0, nodes=np.linspace(-20, 20, 801))
    law = GridLaw.uniform(-4.0 * scale, 4.0 * scale, nodes=scale * base.nodes)
    there = propagate(law, lambda x: KINKED(x / scale) / scale, step_size=0.3 * scale**2, n_steps=5)
    assert np.max(np.abs(there.mass - propagate(base, KINKED, step_size=0.3, n_steps=5).mass)) <= 1e-12


def test_distance_between_one_cell_and_three():
    """The quantiles differ by (2 u - 1) times a cell, whose square integrates to a third."""
    nodes = np.arange(20.0)
    one, three = GridLaw.uniform(9.5, 10.5, nodes=nodes), GridLaw.uniform(8.5, 11.5, nodes=nodes)
    assert abs(wasserstein(one, three) ** 2 - 1 / 3) <= 1e-12  # rounding
    assert abs(wasserstein(one, three, order=1) - 1 / 2) <= 1e-12  # the mean of |2 u - 1|


def test_first_order_distance_is_the_area_between_distribution_functions():
    """Two crossing normal laws, by quadrature: W1 = int |F - G|."""
    nodes = np.linspace(-30, 30, 6001)
    x = np.linspace(-30, 30, 600_001)
    for mean, std in ((0.0, 1.7), (0.4, 0.6), (1.0, 1.0)):
        one, two = GridLaw.normal(0.0, 1.0, nodes=nodes), GridLaw.normal(mean, std, nodes=nodes)
        area = np.sum(np.abs(ndtr(x) - ndtr((x - mean) / std))) * (x[1] - x[0])
        assert abs(wasserstein(one, two, order=1) - area) <= 1e-4  # masses spread over cells of 1/100
        assert wasserstein(one, two, order=1) <= wasserstein(one, two) + 1e-12  # Jensen
    with pytest.raises(ValueError, match="order must be 1 or 2; got 3"):
        wasserstein(one, two, order=3)


def test_annealed_laws_of_linear_scores_obey_their_recursion():
    """Every level keeps a Gaussian Gaussian: its step is proportional to the square of the level."""
    sigmas, steps, nodes = np.array([2.0, 1.0, 0.25]), [3, 0, 5], np.linspace(-30, 30, 6001)
    scores = [linear(1 / (1 + sigma**2), 0.5) for sigma in sigmas]
    law, mean, variance = GridLaw.normal(-1.0, 0.3, nodes=nodes), -1.0, 0.09
    laws = list(annealed_laws(law, scores, sigmas, step_size=0.02, n_steps_each=steps))
    assert len(laws) == 3
    for later, sigma, n_steps in zip(laws, sigmas, steps, strict=True):
        eta = 0.02 * (sigma / 0.25) ** 2
        for _ in range(n_steps):
            mean -= eta * (mean - 0.5) / (1 + sigma**2)
            variance = (1 - eta / (1 + sigma**2)) ** 2 * variance + 2 * eta
        assert abs(later.mean - mean) <= 1e-10  # rounding
        assert abs(later.std - np.sqrt(variance)) <= 1e-10


def test_annealed_simulation_follows_the_exact_law():
    """Dvoretzky, Kiefer, Wolfowitz: sup |F_n - F| exceeds sqrt(log(2/a)/(2 n)) with probability a at most."""
    sigmas, scores, n = [1.0, 0.4], [TWO_MODES, KINKED], 20_000
    nodes = np.linspace(-20, 20, 4001)
    *_, law = annealed_laws(
        GridLaw.uniform(-1.0, 1.0, nodes=nodes), scores, sigmas, step_size=0.05, n_steps_each=4
    )
    rng = np.random.default_rng(0)
    x = annealed_langevin_dynamics(
        scores, sigmas, rng.uniform(-1, 1, n), step_size=0.05, n_steps_each=4, rng=rng
    )
    below = np.searchsorted(np.sort(x), nodes + law.cell / 2) / n
    assert np.max(np.abs(below - np.cumsum(law.mass))) <= np.sqrt(np.log(2 / 1e-9) / (2 * n))


def test_annealed_laws_refuse_what_the_sampler_refuses():
    law = GridLaw.uniform(-1.0, 1.0, nodes=np.linspace(-20, 20, 401))
    for options, message in (
        ({"sigmas": [1.0, 2.0]}, "sigmas must be positive and strictly decreasing"),
        ({"scores": [np.negative]}, "scores must hold one score per level, 2; got 1"),
        ({"n_steps_each": [1]}, "n_steps_each must be one number, or one per level, 2; got 1"),
        ({"law": law.mass}, "law must be a GridLaw; got ndarray"),
    ):
        arguments = {"law": law, "scores": [np.negative] * 2, "sigmas": [2.0, 1.0], "n_steps_each": 1}
        with pytest.raises(ValueError, match=message):
            list(annealed_laws(**(arguments | options), step_size=0.1))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("score", "error", "message"),
    [
        (
            lambda x: np.where(x > 0, np.nan, -x),
            ValueError,
            r"score must be finite; 80 of 161 values .* nan at 0\.1",
        ),
        (lambda x: -x * np.inf, ValueError, "score must be finite; 161 of 161 values"),
        (lambda x: x + 0j, ValueError, "score must return real numbers; got an array of complex128"),
        (lambda x: x.astype(object), ValueError, "score must return real numbers; got an array of object"),
        (lambda x: None, ValueError, "score must return real numbers; got an array of object"),
        (lambda x: x[:3], ValueError, r"score must return an array of shape \(161,\); got \(3,\)"),
        (5, TypeError, "score must be callable; got 5"),
    ],
)
def test_a_broken_score_is_named(score: object, error: type[Exception], message: str) -> None:
    law = GridLaw.normal(0.0, 1.0, nodes=np.linspace(-8, 8, 161))
    with np.errstate(invalid="ignore"), pytest.raises(error, match=message):
        propagate(law, score, step_size=0.1, n_steps=2)  # type: ignore[arg-type]
    with np.errstate(invalid="ignore"), pytest.raises(error, match=message):
        averaged_law(law, score, step_size=0.1, n_steps=2)  # type: ignore[arg-type]


def test_a_score_that_works_in_place_leaves_the_nodes_alone() -> None:
    def in_place(x: FloatArray) -> FloatArray:
        x *= -1.0
        return x

    law = GridLaw.normal(0.0, 1.0, nodes=np.linspace(-9, 9, 181))
    moved = propagate(law, in_place, step_size=0.1, n_steps=2)
    assert moved.mass.tolist() == propagate(law, np.negative, step_size=0.1, n_steps=2).mass.tolist()
