"""Evidence for the chapter on memorisation: the slopes, groups of points, and the limit of small noise."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import NormalDist

import numpy as np
import pytest
from claims_witness import Evidence
from strategies import NETWORKS, every_network
from zoo import samples

from convexdiff_lib import UnivariateScore, denoising_score_matching, score_matching
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.line.memorisation import MemorisationLaw, memorisation_law
from convexdiff_lib.line.sample import smallest_weight_decay
from convexdiff_lib.paper.univariate_programs import (
    denoising_network_from_program,
    denoising_program,
    solve_program,
)

# What may be asked of noise: opposite, tied, lopsided, far from its mean, one spike; on the right its S.
NOISE: dict[str, list[float]] = {
    "opposite": [1.0, -1.0],  # 2
    "lattice": [-1.0, 0.0, 1.0],  # 2
    "tied draws": [1.0, 1.0, -1.0, -1.0],  # 4
    "off centre": [5.0, 6.0],  # 1/2
    "one spike": [0.0, 0.0, 0.0, 4.0],  # 12
    "lopsided": [-3.0, 1.0, 1.0, 1.0],  # 12
}


def balanced(m: int) -> FloatArray:
    """Normal quantiles with mean zero and sum of squares m."""
    draws = np.array([NormalDist().inv_cdf((k + 0.5) / m) for k in range(m)])
    draws -= draws.mean()
    return draws * np.sqrt(m / np.sum(draws**2))


def trained(law: MemorisationLaw, beta: float, sigma: float) -> UnivariateScore:
    """The optimal network for the noisy points, with its certificate."""
    fit = denoising_score_matching(*law.noisy(sigma), beta, activation=law.activation, skip=law.skip)
    assert fit.certificate.holds
    return fit


def deviation(law: MemorisationLaw, beta: float, sigma: float) -> float:
    """How far the slopes are from the law at most."""
    return float(np.max(np.abs(law.measured_slopes(trained(law, beta, sigma), sigma) - law.slopes(beta))))


def smallest_gap(x: FloatArray) -> float:
    return float(np.min(np.diff(np.unique(x)), initial=np.ptp(x) or 1.0))


def random_laws(activation: Activation, skip: bool) -> Iterator[tuple[MemorisationLaw, float]]:
    """Points of several kinds with normal noise, and a weight decay at which some of them are forgotten."""
    for seed in range(24):
        rng = np.random.default_rng(seed)
        n, m = int(rng.integers(2, 13)), (2, 3, 5, 20)[seed % 4]
        x = (np.arange(n) + rng.uniform(-0.2, 0.2, n), np.cumsum(rng.exponential(size=n) + 0.1))[seed % 2]
        law = memorisation_law(x, rng.normal(size=(n, m)), activation=activation, skip=skip)
        yield law, float(np.quantile(law.thresholds, rng.uniform()) + 0.01)


# --- The slopes ------------------------------------------------------------------------------------------


@every_network
def test_slopes_are_within_the_bound(activation: Activation, skip: bool, evidence: Evidence) -> None:
    bound = evidence(
        "ours-memorisation-law", "slopes-within-the-bound", 1.0, what="deviation / bound"
    ).because("the statement; a deviation equal to the bound would be one")
    first = evidence("ours-memorisation-law", "slopes-at-small-noise", 0.01).because(
        "noise of 1/5000 of the smallest gap; normal draws reach 3"
    )
    for law, beta in random_laws(activation, skip):
        for share in (0.03, 0.003):
            sigma = share * smallest_gap(law.x)
            limit = law.error_bound(beta, sigma)
            if np.isfinite(limit):
                bound.holds(deviation(law, beta, sigma) / limit)
        first.holds(deviation(law, beta, smallest_gap(law.x) / 5000))


def test_slopes_on_structured_data(on_zoo: Evidence) -> None:
    bound = on_zoo(
        "ours-memorisation-law", "slopes-within-the-bound-on-structured-data", 1.0, what="deviation / bound"
    ).because("the statement")
    small = on_zoo("ours-memorisation-law", "slopes-at-small-noise-on-structured-data", 0.01).because(
        "noise of 1/10000 of the smallest gap, of size up to 6"
    )
    for name, x in samples():
        for kind, draws in NOISE.items():
            for activation, skip in NETWORKS:
                law = memorisation_law(x, np.tile(draws, (len(x), 1)), activation=activation, skip=skip)
                sigma = 1e-4 * smallest_gap(x)
                for beta in (0.3, 1.0, 3.0):  # no threshold of NOISE but that of two opposite draws
                    off = deviation(law, beta, sigma)
                    small.holds(off, on=f"{name}, {kind}, {activation}, {skip}")
                    if len(law.points) > 1:
                        bound.holds(off / law.error_bound(beta, sigma), on=f"{name}, {kind}")


def test_points_memorised_by_sign(evidence: Evidence) -> None:
    """Which points are memorised, for many points at once; a slope of 0.97 is one."""
    seen = evidence("ours-memorisation-law", "points-told-apart", 0.0, what="points told wrongly").because(
        "those whose predicted slope is within 0.02 of the cut are left out"
    )
    rng = np.random.default_rng(0)
    for m in (2, 3, 5, 10):
        x, noise = np.arange(60) + rng.uniform(-0.2, 0.2, 60), rng.normal(size=(60, m))
        law = memorisation_law(x, noise)
        for level in (0.25, 0.5, 0.75):
            beta = float(np.quantile(law.thresholds, level))
            found, predicted = law.measured_slopes(trained(law, beta, 0.003), 0.003), law.slopes(beta)
            clear = np.abs(predicted - 0.97) > 0.02
            seen.holds(int(np.sum((found < 0.97) != (predicted < 0.97), where=clear)))


def test_one_draw_is_never_memorised(evidence: Evidence) -> None:
    """The slopes left and right of every point are one, however small the weight decay."""
    seen = evidence(
        "ours-memorisation-law", "one-draw-is-not-memorised", 1.0, what="deviation / bound"
    ).because("the statement, for the slopes of the denoiser between the noisy points")
    for seed, (activation, skip) in enumerate(NETWORKS):
        rng = np.random.default_rng(seed)
        x = np.arange(15) + rng.uniform(-0.2, 0.2, 15)
        law = memorisation_law(x, rng.normal(size=(15, 1)), activation=activation, skip=skip)
        assert law.smallest_weight_decay == 0
        for sigma, beta in ((0.01, 1e-3), (0.001, 1e-3), (0.001, 1.0)):
            places, _ = law.noisy(sigma)
            values = places + sigma**2 * trained(law, beta, sigma)(places)
            slopes = np.diff(values) / np.diff(places)
            seen.holds(float(np.max(np.abs(slopes - 1))) / law.error_bound(beta, sigma))


def test_the_printed_program_says_the_same(evidence: Evidence) -> None:
    """The program of the paper in CVXPY, and the network that it gives."""
    seen = evidence(
        "ours-memorisation-law", "literal-program-has-these-slopes", 1.0, what="deviation / bound"
    ).because("the statement; a general-purpose solver's rounding is far below the bound")
    rng = np.random.default_rng(7)
    for activation, skip in NETWORKS:
        law = memorisation_law(
            [0.0, 1.0, 2.5, 3.5], rng.normal(size=(4, 3)), activation=activation, skip=skip
        )
        sigma, beta = 0.01, float(np.median(law.thresholds))
        x, targets = law.noisy(sigma)
        program = denoising_program(x, targets, beta, activation=activation, skip=skip)
        y = solve_program(program).y
        network = denoising_network_from_program(x, targets, y, activation=activation, skip=skip)
        slopes = law.measured_slopes(lambda at, net=network: net(at[:, None])[:, 0], sigma)
        seen.holds(float(np.max(np.abs(slopes - law.slopes(beta)))) / law.error_bound(beta, sigma))


@every_network
def test_other_laws_are_far_off(activation: Activation, skip: bool) -> None:
    """Half the price, noise that is not centred, ends priced as the inside or the inside as the ends."""
    law = memorisation_law(
        np.arange(5.0), np.tile([2.0, 2.5, 4.0], (5, 1)), activation=activation, skip=skip
    )  # S = 13/6
    beta = 0.6 * float(law.thresholds.min())
    slopes = law.measured_slopes(trained(law, beta, 1e-4), 1e-4)
    right = law.slopes(beta)
    assert np.max(np.abs(slopes - right)) <= 2e-3  # first order in sigma, with noise of size 4
    uncentred = np.minimum(1, right * law.scatter / np.sum(law.noise**2, axis=1))
    swapped = right.copy()
    swapped[[0, -1]] *= 2 if right[0] < right[1] else 0.5
    for wrong in (right / 2, np.minimum(1, 2 * right), uncentred, np.minimum(1, swapped)):
        assert np.max(np.abs(slopes - wrong)) >= 0.1


def test_ends_of_the_absolute_value_without_skip() -> None:
    """There, and only there, the ends cost what the inside costs."""
    noise = np.tile([1.0, -1.0], (4, 1))
    for activation, skip in NETWORKS:
        prices = 2 / memorisation_law(np.arange(4.0), noise, activation=activation, skip=skip).thresholds
        alike = activation == "abs" and not skip
        assert prices[0] == prices[1] * (1.0 if alike else 0.5)  # numbers of the table


# --- Groups ----------------------------------------------------------------------------------------------


def slope_over_a_group(size: int, m: int, share: float, sigma: float) -> float:
    """Least-squares slope of the denoiser over the middle one of three groups, at 2 beta = share m size."""
    group = np.arange(size, dtype=float)
    x = np.concatenate([group + 400.0 * size * place for place in (-1, 0, 1)])
    noise = np.tile(balanced(m), (len(x), 1))
    law = memorisation_law(x, noise)
    fit = trained(law, share * m * size / 2, sigma)
    at = (group[:, None] + sigma * noise[:size]).ravel()
    return float(np.polyfit(at, at + sigma**2 * fit(at), 1)[0])


def test_a_group_is_forgotten_from_its_size_on(evidence: Evidence) -> None:
    kept = evidence("ours-memorisation-groups", "large-groups-have-slope-below-one", 0.97).because(
        "2 beta is half of m k; a slope of one would not pull"
    )
    forgotten = evidence("ours-memorisation-groups", "small-groups-have-slope-one", 0.005).because(
        "2 beta is 1.1 m k; first order in the noise over the distance between groups, up to 7 over 800"
    )
    for size in (2, 4, 8):
        for sigma in (1.0, 3.0):
            kept.holds(slope_over_a_group(size, 40, 0.5, sigma))
            forgotten.holds(abs(slope_over_a_group(size, 40, 1.1, sigma) - 1))


def test_repeated_points_count_together(on_zoo: Evidence) -> None:
    """With k copies and balanced noise the threshold is k times that of one point, exactly."""
    seen = on_zoo("ours-memorisation-groups", "copies-on-structured-data", 0.01).because(
        "noise of 1/10000 of the smallest gap"
    )
    for name, x in samples(distinct=2):
        noise = np.tile([1.0, -1.0], (len(x), 1))
        counts = np.unique(x, return_counts=True)[1]
        for activation, skip in NETWORKS:
            law = memorisation_law(x, noise, activation=activation, skip=skip)
            assert np.all(law.scatter == 2 * counts), name
            beta = 1.3
            sigma = 1e-4 * smallest_gap(x)
            inside = law.measured_slopes(trained(law, beta, sigma), sigma)[1:-1]
            price = 2 * beta if activation == "relu" else beta
            seen.holds(
                float(np.max(np.abs(inside - np.minimum(1, price / (2 * counts[1:-1]))), initial=0.0)),
                on=name,
            )


# --- Score matching --------------------------------------------------------------------------------------


def distance_to_score_matching(
    x: FloatArray, beta: float, sigma: float, m: int, activation: Activation, skip: bool
) -> tuple[float, float]:
    """Root-mean-square distance of the scores over the range, over that of the score; then the values'."""
    law = memorisation_law(x, np.tile(balanced(m), (len(x), 1)), activation=activation, skip=skip)
    fit = trained(law, m * beta, sigma)
    goal = score_matching(x, beta, activation=activation, skip=skip)
    at = np.linspace(x.min(), x.max(), 501)
    size = float(np.sqrt(np.mean(goal(at) ** 2))) + 1 / float(np.ptp(x))
    value = (fit.value - 0.5 * float(np.sum(law.noise**2)) / sigma**2) / m
    return float(np.sqrt(np.mean((fit(at) - goal(at)) ** 2))) / size, abs(value - goal.value) / (
        abs(goal.value) + 1 / float(np.var(x))
    )


@every_network
def test_denoising_tends_to_score_matching(activation: Activation, skip: bool, evidence: Evidence) -> None:
    scores = evidence("ours-denoising-limit", "scores-at-small-noise", 0.02).because(
        "noise of a thousandth of the smallest gap"
    )
    values = evidence("ours-denoising-limit", "values-at-small-noise", 0.02).because(
        "noise of a thousandth of the smallest gap"
    )
    for seed in range(6):
        rng = np.random.default_rng(seed)
        x = np.arange(4 + 2 * seed) + rng.uniform(-0.3, 0.3, 4 + 2 * seed)
        beta = smallest_weight_decay(x, activation=activation, skip=skip) * (1.3 + seed)
        score, value = distance_to_score_matching(
            x, beta, 1e-3 * smallest_gap(x), (2, 5, 20)[seed % 3], activation, skip
        )
        scores.holds(score)
        values.holds(value)


def test_limit_on_structured_data(on_zoo: Evidence) -> None:
    scores = on_zoo("ours-denoising-limit", "scores-at-small-noise-on-structured-data", 0.05).because(
        "noise of 1/10000 of the smallest gap; three balanced draws"
    )
    for name, x in samples(distinct=2):
        for activation, skip in NETWORKS:
            beta = 2 * smallest_weight_decay(x, activation=activation, skip=skip)
            sigma = 1e-4 * smallest_gap(x)
            scores.holds(distance_to_score_matching(x, beta, sigma, 3, activation, skip)[0], on=name)


@every_network
def test_the_values_are_bracketed(activation: Activation, skip: bool, evidence: Evidence) -> None:
    """The step of the proof: what is dual feasible for score matching is for denoising, at a little more."""
    seen = evidence("ours-denoising-limit", "value-is-not-below", 1e-8).because(
        "the certificates' tolerance, over the value"
    )
    for seed in range(8):
        rng = np.random.default_rng(seed)
        x, m = np.sort(rng.normal(size=6)), 4
        beta = 2 * smallest_weight_decay(x, activation=activation, skip=skip)
        goal = score_matching(x, beta, activation=activation, skip=skip)
        law = memorisation_law(x, np.tile(balanced(m), (6, 1)), activation=activation, skip=skip)
        for sigma in (0.1, 0.01):
            more = 2 * sigma * float(np.abs(law.noise).max() * np.abs(goal(x)).sum())
            fit = trained(law, m * (beta + more), sigma)
            value = (fit.value - 0.5 * float(np.sum(law.noise**2)) / sigma**2) / m
            seen.holds(max(0.0, goal.value - value) / abs(goal.value))


def test_no_minimum_is_memory(on_zoo: Evidence) -> None:
    """Two functions of the library that know nothing of each other."""
    seen = on_zoo("ours-memory-is-no-minimum", "thresholds-are-the-same", 1e-12).because("rounding")
    for name, x in samples():
        for activation, skip in NETWORKS:
            if skip and len(set(x.tolist())) < 2:
                continue
            for m in (2, 5, 20):
                noise = np.tile(balanced(m), (len(x), 1))
                law = memorisation_law(x, noise, activation=activation, skip=skip)
                threshold = m * smallest_weight_decay(x, activation=activation, skip=skip)
                seen.holds(abs(law.smallest_weight_decay / threshold - 1), on=name)


def test_below_the_threshold_the_values_fall(evidence: Evidence) -> None:
    """Per draw, less what the zero score costs: without bound above sigma^-1, bounded above the threshold."""
    falls = evidence(
        "ours-memory-is-no-minimum", "below-it-the-value-falls", 0.2, what="ratio of values"
    ).because("ten times less noise; the value falls like 1/sigma^2, that is by a factor of 100 or nearly")
    stays = evidence("ours-memory-is-no-minimum", "above-it-the-value-stays", 0.1).because(
        "first order in sigma"
    )
    for seed, (activation, skip) in enumerate(NETWORKS):
        x, m = np.arange(8) + np.random.default_rng(seed).uniform(-0.2, 0.2, 8), 10
        law = memorisation_law(x, np.tile(balanced(m), (8, 1)), activation=activation, skip=skip)
        for share, goes in ((0.4, falls), (1.5, stays)):
            beta = share * law.smallest_weight_decay
            one, ten = (
                trained(law, beta, sigma).value - 0.5 * float(np.sum(law.noise**2)) / sigma**2
                for sigma in (1e-3, 1e-2)
            )
            goes.holds(abs(ten / one) if share < 1 else abs(one / ten - 1))


# --- The object ------------------------------------------------------------------------------------------


def test_one_point_alone() -> None:
    noise = [[1.0, -1.0]]
    assert memorisation_law([3.0], noise, skip=True).slopes(1e9).tolist() == [0.0]
    assert memorisation_law([3.0], [[1.0]], skip=True).slopes(1.0).tolist() == [1.0]
    for activation in ("relu", "abs"):
        law = memorisation_law([3.0], noise, activation=activation)
        assert law.slopes(0.5).tolist() == [0.25]
        assert deviation(law, 0.5, 0.7) <= 1e-7  # exact at every noise level; the certificate's tolerance


def test_order_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    x, noise = np.round(2 * rng.normal(size=30)), rng.normal(size=(30, 4))
    order = rng.permutation(30)
    one, other = memorisation_law(x, noise), memorisation_law(x[order], noise[order])
    assert one.points.tolist() == other.points.tolist()
    assert np.max(np.abs(one.scatter - other.scatter)) <= 1e-12  # rounding of a sum


def test_malformed_noise() -> None:
    with pytest.raises(ValueError, match=r"one row for each point of x, shape \(2, m\); got \(3, 1\)"):
        memorisation_law([0.0, 1.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"array of shape \(2,\); got \(1,\)"):
        memorisation_law([0.0, 1.0], np.eye(2)).measured_slopes(lambda x: x[:1], 0.1)
