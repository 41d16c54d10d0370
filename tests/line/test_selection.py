"""Errors against a known truth, and the choice of the weight decay without one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from claims_witness import Evidence
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from strategies import checked, every_network, ugly
from zoo import samples

from convexdiff_lib import NotCertifiedError, UnivariateScore, score_matching, weigh_modes
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.datasets import GaussianMixture, Uniform, standard_normal
from convexdiff_lib.line import selection
from convexdiff_lib.line.piecewise_linear import PiecewiseLinearScore
from convexdiff_lib.line.selection import (
    _cautious,
    choose_weight_decay,
    density_error,
    pointwise_loss,
    score_error,
)

WIDE = (-9.0, 9.0)


def line(slope: float, zero: float = 0.0) -> PiecewiseLinearScore:
    return PiecewiseLinearScore(np.array([zero]), np.zeros(1), slope, slope)


def broken_line(rng: np.random.Generator) -> PiecewiseLinearScore:
    knots = np.unique(rng.normal(size=int(rng.integers(1, 8))))
    outer = -rng.uniform(0.3, 2.0, 2)
    return PiecewiseLinearScore(knots, rng.normal(size=len(knots)), outer[0], outer[1])


@checked
@given(st.floats(-3.0, 3.0), st.floats(-2.0, 2.0))
def test_error_of_a_line_under_the_normal_law(slope: float, zero: float) -> None:
    # (slope + 1) x - slope * zero has mean square (slope + 1)^2 + (slope * zero)^2.
    exact = np.hypot(slope + 1, slope * zero)
    error = score_error(line(slope, zero), standard_normal(), WIDE)
    assert abs(error - exact) <= 1e-9 * (1 + exact)  # rounding, and the tails beyond nine


@checked
@given(st.floats(0.3, 3.0), st.floats(-2.0, 2.0))
def test_divergence_between_gaussians(precision: float, mean: float) -> None:
    error = density_error(line(-precision, mean), standard_normal(), (-20.0, 20.0))
    kl = 0.5 * (precision * (1 + mean**2) - 1 - np.log(precision))
    assert abs(error.kl - kl) <= 1e-9 * (1 + kl)  # rounding
    # The integral of the square of a difference of two Gaussians, from their products.
    cross = np.exp(-0.5 * mean**2 / (1 + 1 / precision)) / np.sqrt(2 * np.pi * (1 + 1 / precision))
    square = 0.5 / np.sqrt(np.pi) + 0.5 * np.sqrt(precision / np.pi) - 2 * cross
    assert abs(error.l2**2 - square) <= 1e-9  # rounding


def test_distances_against_adaptive_quadrature() -> None:
    law = GaussianMixture((-1.0, 2.0), 0.6)
    for seed in range(6):
        fit = broken_line(np.random.default_rng(seed))
        corners = fit.knots.tolist()
        options = {"points": corners, "limit": 500, "epsabs": 1e-12, "epsrel": 1e-12}

        def integral(f, options=options):
            return quad(f, -12.0, 12.0, **options)[0]

        p, q = (lambda t, m=m: float(np.exp(m.log_density(t))) for m in (law, fit))
        wanted = (
            integral(lambda t, fit=fit: float(np.exp(law.log_density(t)) * (fit(t) - law.score(t)) ** 2))
            ** 0.5,
            integral(lambda t, fit=fit, p=p: p(t) * float(law.log_density(t) - fit.log_density(t))),
            integral(lambda t, p=p, q=q: abs(p(t) - q(t))) / 2,
        )
        errors = density_error(fit, law, (-12.0, 12.0))
        found = (score_error(fit, law, (-12.0, 12.0)), errors.kl, errors.tv)
        # The total variation has corners where the densities cross, inside a cell; the rest is smooth there.
        assert np.max(np.abs(np.subtract(found[:2], wanted[:2]))) <= 1e-8
        assert abs(found[2] - wanted[2]) <= 1e-4


def test_mass_of_the_fit_outside_the_interval_counts() -> None:
    # A law so wide that the truth and it hardly overlap.
    error = density_error(line(-1e-8), Uniform(0.0, 1.0), (0.0, 1.0))
    assert abs(error.tv - 1.0) <= 1e-3  # its mass on the interval


def test_an_interval_that_misses_the_truth_is_refused() -> None:
    for bad in ((0.0, 9.0), (-9.0, 2.0), (9.0, -9.0), (np.nan, 1.0)):
        with pytest.raises(ValueError, match="interval"):
            score_error(line(-1.0), standard_normal(), bad)
    with pytest.raises(ValueError, match="cannot be normalised"):
        density_error(line(1.0), standard_normal(), WIDE)


@checked
@given(st.integers(0, 2**16))
def test_slope_at_a_kink_is_the_mean_of_both_sides(seed: int) -> None:
    rng = np.random.default_rng(seed)
    score = broken_line(rng)
    x = np.concatenate([score.knots, rng.normal(size=5)])
    gap = float(np.min(np.abs(np.subtract.outer(x, x))[~np.eye(len(x), dtype=bool)]))
    step = min(1e-3, 0.4 * gap)  # on each side inside one piece
    smeared = (score(x + step) - score(x - step)) / (2 * step)
    expected = 0.5 * score(x) ** 2 + smeared
    # Rounding of a difference of values over the step.
    room = 1e-14 * (1 + np.abs(score(x)).max() + np.abs(score.slopes).max()) / step
    assert np.max(np.abs(pointwise_loss(score, x) - expected)) <= room + 1e-9


@every_network
def test_cross_validation_against_its_definition(activation: Activation, skip: bool) -> None:
    for seed, family in enumerate(("normal", "clusters", "cauchy")):
        x = ugly(family, 31, np.random.default_rng(seed))
        betas, folds = [9.0, 3.0, 27.0], 4
        chosen = choose_weight_decay(
            x, betas, activation=activation, skip=skip, folds=folds, rng=np.random.default_rng(seed)
        )
        owner = np.random.default_rng(seed).permutation(np.arange(31) % folds)
        for beta, mean, its_error in zip(chosen.betas, chosen.held_out, chosen.standard_error, strict=True):
            losses = []
            for fold in range(folds):
                rest = x[owner != fold]
                fit = score_matching(rest, beta * len(rest) / 31, activation=activation, skip=skip)
                net = fit.network()
                for point in x[owner == fold]:
                    # Held-out points are no kinks here, so the network's own derivative serves.
                    losses.append(float(0.5 * net([point])[0] ** 2 + net.divergence([point])[0]))
            # The network's biases are rounded, where kinks are steep and far from zero.
            assert abs(mean - np.mean(losses)) <= 1e-6 * (1 + np.abs(losses).max())
            spread = np.std(losses, ddof=1) / np.sqrt(31)
            assert abs(its_error - spread) <= 1e-6 * (1 + np.abs(losses).max())
        assert chosen.betas.tolist() == sorted(betas)
        assert chosen.best == chosen.betas[np.argmin(chosen.held_out)]
        assert chosen.cautious in betas


@every_network
def test_likelihood_against_its_definition(activation: Activation, skip: bool) -> None:
    for seed, mode_weights in ((0, False), (1, True)):
        rng = np.random.default_rng(seed)
        x = np.append(rng.normal(size=45), rng.normal(25.0, 2.0, 35))
        betas, folds = [6.0, 3.0, 12.0], 4
        chosen = choose_weight_decay(
            x, betas, activation=activation, skip=skip, folds=folds, rng=np.random.default_rng(seed),
            criterion="likelihood", mode_weights=mode_weights, inward_tails=True,
        )  # fmt: skip
        owner = np.random.default_rng(seed).permutation(np.arange(80) % folds)
        weighed = 0
        for beta, mean in zip(chosen.betas, chosen.held_out, strict=True):
            logs: list[float] = []
            for fold in range(folds):
                rest = x[owner != fold]
                fit = score_matching(
                    rest, beta * len(rest) / 80, activation=activation, skip=skip, inward_tails=True
                )
                cut = weigh_modes(fit.score, rest)
                weighed += len(cut.cuts)
                density = cut.density if mode_weights else fit
                logs += density.log_density(x[owner == fold]).tolist()
            assert abs(mean + np.mean(logs)) <= 1e-9 * (1 + abs(mean))  # rounding
        assert weighed >= 4
        assert chosen.best == chosen.betas[np.argmin(chosen.held_out)]


def test_likelihood_refuses_what_has_no_density() -> None:
    # Beyond a far group the free score rises; at the largest weight decay it is level.
    x = [0.0, 0.1, 0.3, 0.4, 0.8, 0.9, 1.0, 10.0, 10.5, 10.6, 11.0, 11.1]
    options: dict[str, Any] = {"folds": 3, "criterion": "likelihood"}
    inward = choose_weight_decay(
        x, [2.0, 3.0, 5.0, 12.0], rng=np.random.default_rng(0), inward_tails=True, **options
    )
    assert inward.refused.tolist() == [12.0]
    assert inward.betas.tolist() == [2.0, 3.0, 5.0]
    with pytest.raises(
        ValueError, match=r"no candidate has a density on all folds; the last: the score does"
    ):
        choose_weight_decay(x, [12.0, 13.0], rng=np.random.default_rng(0), **options)
    with pytest.raises(ValueError, match="criterion must be 'score' or 'likelihood'; got 'aic'"):
        choose_weight_decay(x, [5.0], rng=np.random.default_rng(0), criterion="aic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mode_weights must be True or False"):
        choose_weight_decay(x, [5.0], rng=np.random.default_rng(0), mode_weights="yes")  # type: ignore[arg-type]
    # Judged by the score, with modes weighed, none is refused but the level one.
    plain = choose_weight_decay(
        x, [3.0, 12.0], folds=3, rng=np.random.default_rng(0), mode_weights=True, inward_tails=True
    )
    assert plain.refused.tolist() == [12.0]


def test_likelihood_on_the_zoo() -> None:
    """Ties, lattices, far offsets, tiny samples, each point left out once: against fits one by one."""
    for name, x in samples(distinct=3):
        beta = 2.0 * np.unique(x, return_counts=True)[1].max() + 1
        chosen, weighted = (
            choose_weight_decay(
                x, [beta], skip=True, criterion="likelihood", inward_tails=True, folds=len(x),
                mode_weights=True, sample_weight=weights, rng=np.random.default_rng(0),
            )
            for weights in (None, np.ones(len(x)))
        )  # fmt: skip
        losses = []
        for i, point in enumerate(x):
            rest = np.delete(x, i)
            fit = score_matching(rest, beta * len(rest) / len(x), skip=True, inward_tails=True)
            losses.append(-float(fit.log_density(point)))
        assert abs(chosen.held_out[0] - np.mean(losses)) <= 1e-9 * np.abs(losses).max(), name  # rounding
        assert abs(weighted.held_out[0] - chosen.held_out[0]) <= 1e-9 * np.abs(losses).max(), name


def test_the_choice_does_not_depend_on_the_unit_of_length() -> None:
    x = standard_normal().sample(60, np.random.default_rng(5))
    betas = np.geomspace(2, 60, 6)
    plain, moved = (
        choose_weight_decay(y, betas, rng=np.random.default_rng(0)) for y in (x, 1e8 * x + 2.0**20)
    )
    assert (plain.best, plain.cautious) == (moved.best, moved.cautious)
    change = np.abs(moved.held_out * 1e16 - plain.held_out)
    assert (
        np.max(change) <= 1e-6 * np.abs(plain.held_out).max()
    )  # the certificate's tolerance, and the offset


def test_likelihood_and_the_unit_of_length() -> None:
    x = standard_normal().sample(60, np.random.default_rng(5))
    plain, moved = (
        choose_weight_decay(
            y, np.geomspace(2, 50, 6), rng=np.random.default_rng(0), criterion="likelihood", inward_tails=True
        )
        for y in (x, 1e3 * x + 2.0**20)
    )
    assert (plain.best, plain.cautious) == (moved.best, moved.cautious)
    # The logarithm of the unit, and what the offset costs.
    assert np.abs(moved.held_out - np.log(1e3) - plain.held_out).max() <= 1e-6


def test_the_cautious_choice_by_hand() -> None:
    level, better, best = np.zeros(40), np.tile([-2.0, -1.0], 20), np.tile([-3.0, -2.5, -2.0, -2.5], 10)
    assert _cautious(np.array([best, better, level]), np.ones(40)) == 0
    assert _cautious(np.array([best, best + 1e-3, level]), np.ones(40)) == 0
    assert _cautious(np.array([best, best, level]), np.ones(40)) == 1  # no gain, no step
    for lucky, taken in ((1, 1), (2, 1), (4, 0)):
        # As good as the second but for a few points, whose luck makes its mean the lowest by far.
        fluke = best.copy()
        fluke[:lucky] -= 1000.0
        assert np.argmin([fluke.mean(), best.mean(), 0.0]) == 0
        assert _cautious(np.array([fluke, best, level]), np.ones(40)) == taken


def test_repeated_points_and_two_folds() -> None:
    x = np.round(standard_normal().sample(40, np.random.default_rng(2)), 1)
    chosen = choose_weight_decay(x, [8.0, 20.0], folds=2, rng=np.random.default_rng(0))
    assert np.isfinite(chosen.held_out).all()
    assert np.isfinite(chosen.standard_error).all()


def test_a_tie_between_held_out_point_and_kink_is_averaged() -> None:
    # Every value is there twice; whichever fold a copy lands in, the other copy can be a kink.
    x = np.repeat(standard_normal().sample(12, np.random.default_rng(3)), 2)
    chosen = choose_weight_decay(x, [4.0], folds=2, rng=np.random.default_rng(1))
    owner = np.random.default_rng(1).permutation(np.arange(24) % 2)
    total, ties = 0.0, 0
    for fold in range(2):
        fit = score_matching(x[owner != fold], 2.0)
        unseen = x[owner == fold]
        ties += int(np.isin(unseen, fit.knots).sum())
        step = 1e-7
        slope = (fit(unseen + step) - fit(unseen - step)) / (2 * step)
        total += float(np.sum(0.5 * fit(unseen) ** 2 + slope))
    assert ties >= 1
    # A finite difference of values of order one over 2e-7.
    assert abs(chosen.held_out[0] - total / 24) <= 1e-6 * (1 + abs(total))


def test_candidates_below_the_threshold_of_a_fold_are_refused() -> None:
    x = np.arange(10.0)
    with pytest.raises(ValueError, match=r"betas must be at least 1.25 here; got 1.1: .* becomes 0.88"):
        choose_weight_decay(x, [1.1, 5.0], rng=np.random.default_rng(0))
    assert choose_weight_decay(x, [1.25, 5.0], rng=np.random.default_rng(0)).betas[0] == 1.25
    with pytest.raises(ValueError, match="folds must be at most the number of points, 10; got 11"):
        choose_weight_decay(x, [5.0], folds=11, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"all points with a sample_weight above 0 are in fold \d of 5"):
        choose_weight_decay(x, [5.0], rng=np.random.default_rng(0), sample_weight=np.eye(10)[3])


LAWS: list[tuple[GaussianMixture, tuple[float, float]]] = [
    (standard_normal(), WIDE),
    (GaussianMixture((-3.0, 3.0)), (-13.0, 13.0)),
    (GaussianMixture((-10.0, 10.0)), (-20.0, 20.0)),
    (GaussianMixture((-2.0, 0.0, 4.0), 0.7), (-12.0, 12.0)),
]


def test_held_out_choice_is_near_the_best_in_hindsight(evidence: Evidence):
    seen = evidence(
        "ours-held-out-choice", "error-over-least-error", 3.0, what="error / least error"
    ).because("an empirical bound on the error of the cautious choice over the least error on the grid")
    ratios = []
    for law, interval in LAWS:
        for seed in range(12, 18):  # others served to settle how cautious the choice is
            x = law.sample(200, np.random.default_rng(seed))
            betas = np.geomspace(2.6, 200, 12)
            chosen = choose_weight_decay(x, betas, rng=np.random.default_rng(100 + seed))
            errors = [score_error(score_matching(x, beta).score, law, interval) for beta in betas]
            taken = errors[int(np.flatnonzero(betas == chosen.cautious)[0])]
            ratios.append(taken / min(errors))
            seen.holds(ratios[-1])
    assert np.median(ratios) <= 1.35  # half of the choices lose little


def expected_loss(score: PiecewiseLinearScore, law: GaussianMixture, interval: tuple[float, float]) -> float:
    """The expectation of half the square plus the slope, with the midpoint rule between kinks."""
    edges = np.union1d(np.linspace(*interval, 20_001), score.knots)
    middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    return float(np.sum(width * np.exp(law.log_density(middle)) * pointwise_loss(score, middle)))


def test_expected_held_out_loss_is_half_the_squared_error(evidence: Evidence):
    seen = evidence("ours-held-out-choice", "expected-loss-is-half-the-squared-error", 1e-5).because(
        "the midpoint rule on cells of a thousandth of the interval"
    )
    for law, interval in LAWS:
        zero_loss = (
            -0.5 * score_error(line(0.0), law, interval) ** 2
        )  # minus half the mean squared true score
        for seed in range(3):
            x = law.sample(100, np.random.default_rng(seed))
            fit = score_matching(x, (2.0, 8.0, 40.0)[seed]).score
            half = 0.5 * score_error(fit, law, interval) ** 2
            seen.holds(abs(expected_loss(fit, law, interval) - (half + zero_loss)) / (1 + half))


def averaged_minus_counted(x: FloatArray, beta: float, activation: Activation, skip: bool) -> float:
    """How much lower the training loss counts its slopes than their means are."""
    fit = score_matching(x, beta, activation=activation, skip=skip)
    counted = fit.value - beta * fit.kink_network.total_weight
    return float(pointwise_loss(fit.score, x).sum()) - counted


def test_one_sided_slopes_are_worth_a_fixed_price_per_kink(evidence: Evidence):
    seen = evidence("ours-one-sided-derivative", "price-per-kink", 1e-8).because(
        "rounding of the slopes, relative to the loss"
    )
    for activation, skip in (("relu", False), ("relu", True), ("abs", False), ("abs", True)):
        for seed, family in enumerate(("normal", "clusters", "cauchy", "rounded", "heavy tie", "tied ends")):
            x = ugly(family, 30, np.random.default_rng(seed))
            values, times = np.unique(x, return_counts=True)
            beta = 1.0 + 2 * times.max()
            fit = score_matching(x, beta, activation=activation, skip=skip)
            net = fit.kink_network
            repeats = times[np.searchsorted(values, net.kinks)]
            price = (0.5 if activation == "relu" else 1.0) * float(repeats @ np.abs(net.weights))
            gap = averaged_minus_counted(x, beta, activation, skip)
            seen.holds(abs(gap - price) / (abs(fit.value) + 30 / (2 * np.var(x))))


def test_one_sided_slopes_matter_more_as_weight_decay_falls(evidence: Evidence):
    seen = evidence("ours-one-sided-derivative", "grows-as-weight-decay-falls", 1e-8).because(
        "rounding of the slopes; the residual is the largest rise with beta over the largest value"
    )
    for activation, skip in (("relu", False), ("relu", True), ("abs", False), ("abs", True)):
        for seed, family in enumerate(("normal", "clusters", "cauchy")):
            x = ugly(family, 40, np.random.default_rng(seed))
            betas = np.geomspace(2.0, 60.0, 15)
            gaps = np.array([averaged_minus_counted(x, beta, activation, skip) for beta in betas])
            seen.holds(max(0.0, float(np.diff(gaps).max())) / float(gaps.max()))
            assert gaps[0] >= 10 * gaps[betas > 20].max()  # it is no small effect


def test_error_of_the_score_is_u_shaped(evidence: Evidence):
    low = evidence(
        "ours-error-in-beta",
        "least-error-over-errors-at-the-ends",
        0.1,
        what="least error / error at the ends",
    ).because("an empirical bound on a ratio; the shape is unmistakable")
    shrunk = evidence("ours-error-in-beta", "error-equals-shrinkage-for-large-weight-decay", 0.02).because(
        "an empirical bound: 5000 points fix mean and variance to about 0.02"
    )
    law, n = standard_normal(), 5000
    for seed in range(4):
        x = law.sample(n, np.random.default_rng(seed))
        ratios = (1.0, 0.5, 0.1, 0.03, 0.01, 0.0006)
        errors = [score_error(score_matching(x, n * ratio).score, law, WIDE) for ratio in ratios]
        low.holds(min(errors) / min(errors[0], errors[-1]))
        assert errors[0] >= errors[1] >= errors[2] >= errors[3]
        for ratio, error in zip(ratios[:3], errors[:3], strict=True):
            shrunk.holds(abs(error - ratio))


def test_one_refused_candidate_does_not_lose_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    x, honest = np.random.default_rng(0).normal(size=40), selection.score_matching

    def refusing(sample: FloatArray, beta: float, **kind: Any) -> UnivariateScore:
        if beta < 3.0:
            raise NotCertifiedError("too small for today")
        return honest(sample, beta, **kind)

    alone = choose_weight_decay(x, [8.0, 16.0], rng=np.random.default_rng(1))
    monkeypatch.setattr(selection, "score_matching", refusing)
    chosen = choose_weight_decay(x, [2.0, 8.0, 16.0], rng=np.random.default_rng(1))
    assert chosen.refused.tolist() == [2.0]
    assert chosen.betas.tolist() == [8.0, 16.0]
    np.testing.assert_array_equal(chosen.held_out, alone.held_out)
    with pytest.raises(NotCertifiedError, match="no candidate could be certified"):
        choose_weight_decay(x, [2.0], rng=np.random.default_rng(1))


def test_an_unknown_activation_is_named_whatever_the_candidates() -> None:
    with pytest.raises(ValueError, match="activation must be 'relu' or 'abs'; got 'tanh'"):
        choose_weight_decay(
            np.arange(9.0),
            [1.0],  # below the threshold of a fold: not the first thing to say
            activation="tanh",  # type: ignore[arg-type]
            rng=np.random.default_rng(0),
        )
