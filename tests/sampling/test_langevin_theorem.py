"""Evidence for the chapter on Langevin sampling: Algorithms 1 and 2, Theorem 2, Theorem A.7, display E.2."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
from claims_witness import Evidence
from scipy.optimize import minimize_scalar

from convexdiff_lib import TwoLayerNetwork, score_matching
from convexdiff_lib._validation import FloatArray
from convexdiff_lib.line.closed_forms import (
    LargeWeightDecay,
    large_weight_decay,
    large_weight_decay_threshold,
)
from convexdiff_lib.line.piecewise_linear import PiecewiseLinearScore
from convexdiff_lib.sampling.exact_law import averaged_law, langevin_laws, propagate, running_averages
from convexdiff_lib.sampling.grid_law import GridLaw, wasserstein
from convexdiff_lib.sampling.langevin import langevin_dynamics

Law = Callable[[FloatArray], GridLaw]


def samples() -> Iterator[FloatArray]:
    """Five data sets whose closed form reaches far below n: normal, uniform, two points, shifted."""
    for seed in (2, 8):
        yield np.random.default_rng(seed).normal(size=40)
    yield np.random.default_rng(1).uniform(-2, 2, size=40)
    yield np.array([-1.0, 1.0])
    yield 3.0 + 0.5 * np.random.default_rng(4).normal(size=30)


def closed_forms(activation: str = "relu") -> Iterator[LargeWeightDecay]:
    """Weight decay near the threshold and near n; for ReLU t at both limits, between, and zero."""
    for x in samples():
        low = large_weight_decay_threshold(x, activation=activation)
        for mix in (0.05, 0.6):
            beta = low + mix * (len(x) - low)
            limit = large_weight_decay(x, beta).t_limit
            for share in (-1.0, 0.0, 0.7) if activation == "relu" else (0.0,):
                yield large_weight_decay(x, beta, activation=activation, t=share * limit)


def smoothness(fit: LargeWeightDecay) -> float:
    """L = (n - beta)/(nv)."""
    return (fit.n - fit.beta) / (fit.n * fit.variance)


def grid(fit: LargeWeightDecay, eta: float, per_unit: int = 8) -> FloatArray:
    """Nodes that resolve the noise and the target, wide enough for the starts and for exponential tails."""
    unit = 1 / np.sqrt(smoothness(fit))
    shallowest = float(np.min(np.abs(fit.score.values)))  # the rate of a flat side's tail
    reach = max(26 * unit, 30 / shallowest)
    spacing = min(np.sqrt(2 * eta) / 2.01, unit / per_unit)
    return fit.mean + np.linspace(-reach, reach, 2 * int(np.ceil(reach / spacing)) + 1)


def starts(fit: LargeWeightDecay) -> Iterator[Law]:
    """A wide uniform law, and a narrow one far away."""
    unit = 1 / np.sqrt(smoothness(fit))
    yield lambda nodes: GridLaw.uniform(fit.mean - 6 * unit, fit.mean + 6 * unit, nodes=nodes)
    yield lambda nodes: GridLaw.normal(fit.mean + 10 * unit, unit, nodes=nodes)


def excess_over_bound(fit: LargeWeightDecay, start: Law, eps: float, n_steps: int = 40) -> float:
    """Largest excess of the divergence over W2^2/(2 eta T) + eta L, for every T and for every single step."""
    L = smoothness(fit)
    eta = eps**2 / (2 * L)
    nodes = grid(fit, eta)
    target, law = GridLaw.from_log_density(fit.log_density, nodes=nodes), start(nodes)
    log_target = fit.log_density(nodes)
    first = far = wasserstein(law, target) ** 2
    laws = list(langevin_laws(law, fit, step_size=eta, n_steps=n_steps, max_loss=1e-8))
    worst = -np.inf
    for later in laws:
        near = wasserstein(later, target) ** 2
        kl = later.kl_to(lambda _: log_target)
        worst = max(worst, kl - (far - near) / (2 * eta) - eta * L)
        far = near
    for steps, average in enumerate(running_averages(laws), 1):
        kl = average.kl_to(lambda _: log_target)
        worst = max(worst, kl - first / (2 * eta * steps) - eta * L)
    return worst


def kl_after_the_steps_of_the_theorem(fit: LargeWeightDecay, start: Law, eps: float) -> float:
    """sqrt KL(average law) / eps after T = 2 L W2^2 / eps^4 steps of eta = eps^2 / (2 L)."""
    L = smoothness(fit)
    eta = eps**2 / (2 * L)
    nodes = grid(fit, eta)
    target, law = GridLaw.from_log_density(fit.log_density, nodes=nodes), start(nodes)
    steps = int(np.ceil(2 * L * wasserstein(law, target) ** 2 / eps**4))
    average = averaged_law(law, fit, step_size=eta, n_steps=steps, max_loss=1e-8)
    return float(np.sqrt(average.kl_to(fit.log_density))) / eps


def test_the_bound_holds_for_relu(evidence: Evidence):
    bound = evidence("thm-langevin-relu", "bound-holds-for-the-averaged-law", 1e-9).because(
        "how far the divergence exceeds the bound, over every T up to 40 and every single step; rounding"
    )
    reached = evidence(
        "thm-langevin-relu", "epsilon-reached-in-the-stated-steps", 1.0, what="√KL / ε"
    ).because("sqrt KL over epsilon after T = 2 rho W2^2 / epsilon^4 steps, which the theorem puts below one")
    for fit in closed_forms():
        for start in starts(fit):
            for eps in (1.0, 0.6):
                bound.holds(max(0.0, excess_over_bound(fit, start, eps)))
                reached.holds(kl_after_the_steps_of_the_theorem(fit, start, eps))


def test_the_bound_holds_for_abs(evidence: Evidence):
    bound = evidence("thm-langevin-abs", "bound-holds-for-the-averaged-law", 1e-9).because(
        "how far the divergence exceeds the bound, over every T up to 40 and every single step; rounding"
    )
    reached = evidence(
        "thm-langevin-abs", "epsilon-reached-in-the-stated-steps", 1.0, what="√KL / ε"
    ).because("sqrt KL over epsilon after T = 2 rho W2^2 / epsilon^4 steps, which the theorem puts below one")
    for fit in closed_forms("abs"):
        for start in starts(fit):
            for eps in (1.0, 0.6):
                bound.holds(max(0.0, excess_over_bound(fit, start, eps)))
                reached.holds(kl_after_the_steps_of_the_theorem(fit, start, eps))


def steps_needed(fit: LargeWeightDecay, start: Law, eps: float) -> tuple[int, float]:
    """The first T whose average law is within eps, by trying every T, and L W2^2 / eps^4."""
    L = smoothness(fit)
    eta = eps**2 / (2 * L)
    nodes = grid(fit, eta)
    target, law = GridLaw.from_log_density(fit.log_density, nodes=nodes), start(nodes)
    scale = L * wasserstein(law, target) ** 2 / eps**4
    log_target = fit.log_density(nodes)
    averages = running_averages(langevin_laws(law, fit, step_size=eta, n_steps=int(2 * scale) + 1))
    for steps, average in enumerate(averages, 1):
        if average.kl_to(lambda _: log_target) <= eps**2:
            return steps, scale
    raise AssertionError("not within epsilon after the steps of the theorem")


def test_the_rate_is_attained_from_far_away(evidence: Evidence):
    """From ten units away the steps needed grow as eps^-4: the rate is no artefact of the proof."""
    seen = evidence(
        "thm-langevin-relu", "steps-needed-over-steps-stated", 0.25, what="steps needed / steps stated"
    ).because("steps needed over 2 rho W2^2 / epsilon^4; at least 0.1 is asserted too, so the order is right")
    for beta in (10.0, 20.0, 35.0):
        fit = large_weight_decay(np.random.default_rng(8).normal(size=40), beta)
        far = list(starts(fit))[1]
        for eps in (0.7, 0.5, 0.35):
            steps, scale = steps_needed(fit, far, eps)
            assert steps / (2 * scale) >= 0.1
            seen.holds(steps / (2 * scale))


def average_iterate(a: float, centre: float, eta: float, steps: int, start: tuple[float, float]):
    """Mean and variance of the average of x^1, ..., x^T for s(x) = -a (x - centre) from a normal start.

    x^t - c = r^t (x^0 - c) + sum_k r^(t-k) sqrt(2 eta) xi^k with r = 1 - eta a.
    """
    r = (1 - eta * a) ** np.arange(steps + 1)
    from_start = r[1:].sum() / steps
    from_noise = np.cumsum(r[:-1]) / steps
    mean = centre + from_start * (start[0] - centre)
    return mean, from_start**2 * start[1] ** 2 + 2 * eta * np.sum(from_noise**2)


def kl_of_normals(mean: float, variance: float, target_mean: float, target_variance: float) -> float:
    ratio = variance / target_variance
    return float(0.5 * (ratio - 1 - np.log(ratio) + (mean - target_mean) ** 2 / target_variance))


def largest_variance_of_the_average_iterate(slope: float, eta: float, steps: int, start_variance: float):
    """A bound for scores whose slopes lie between -rho and -slope, for eta rho <= 1.

    The map u + eta s(u) has a slope of at most r = 1 - eta slope, so sqrt(2 eta) xi^k moves the sum of the
    iterates by at most 1 + r + ... + r^(T-k) times as much. The inequality of Efron and Stein adds squares.
    """
    r = (1 - eta * slope) ** np.arange(steps + 1)
    from_noise = np.cumsum(r[:-1]) / steps
    return (r[1:].sum() / steps) ** 2 * start_variance + 2 * eta * np.sum(from_noise**2)


def least_divergence(variance: float, largest_density: float) -> float:
    """KL(nu || pi) for every nu of at most this variance: a normal law has the largest entropy."""
    return float(-0.5 * np.log(2 * np.pi * np.e * variance) - np.log(largest_density))


def test_the_average_iterate_is_not_within_epsilon(evidence: Evidence):
    """The optimal ReLU scores themselves: no simulation, a lower bound of the divergence."""
    printed = evidence(
        "thm-langevin-relu", "printed-average-iterate-misses-epsilon", at_least=1.0, what="KL divergence / ε²"
    ).because(
        "a lower bound of KL(average iterate) over epsilon^2, from the largest entropy at a variance, "
        "after the stated number of steps"
    )
    for x in samples():
        beta = 0.6 * large_weight_decay_threshold(x) + 0.4 * len(x)
        for share in (-0.5, 0.0, 0.5):
            fit = large_weight_decay(x, beta, t=share * large_weight_decay(x, beta).t_limit)
            L = smoothness(fit)
            flattest = float(-np.max(fit.score.slopes))
            assert abs(flattest - (L / 2 - abs(fit.t))) <= 1e-9 * L  # rounding
            nodes = grid(fit, 0.125 / L)
            law, target = list(starts(fit))[1](nodes), GridLaw.from_log_density(fit.log_density, nodes=nodes)
            mode = float(np.exp(fit.log_density(fit.mean)))
            for eps in (0.25, 0.1):
                eta = eps**2 / (2 * L)
                steps = int(np.ceil(2 * L * wasserstein(law, target) ** 2 / eps**4))
                variance = largest_variance_of_the_average_iterate(flattest, eta, steps, law.std**2)
                printed.fails(least_divergence(variance, mode) / eps**2)


def test_the_average_iterate_of_a_line_exactly(evidence: Evidence):
    """The score s(x) = -x: the average iterate is normal, so its divergence from N(0, 1) is exact."""
    printed = evidence(
        "ours-averaged-law",
        "exact-divergence-of-the-average-iterate-over-epsilon-squared",
        at_least=1.0,
        what="KL divergence / ε²",
    ).because("KL(average iterate) over epsilon^2 in closed form after the stated number of steps")
    bound = evidence("ours-averaged-law", "lower-bound-stays-below-the-exact-divergence", 1e-9).because(
        "how far the lower bound from variance and entropy exceeds the exact divergence; rounding"
    )
    for mean, std in ((5.0, 1.0), (10.0, 1.0), (10.0, 0.0), (0.0, 6.0)):
        squared_distance = mean**2 + (std - 1) ** 2
        for eps in (0.5, 0.25, 0.1):
            eta, steps = eps**2 / 2, int(np.ceil(2 * squared_distance / eps**4))
            centre, variance = average_iterate(1.0, 0.0, eta, steps, (mean, std))
            exact = kl_of_normals(centre, variance, 0.0, 1.0)
            printed.fails(exact / eps**2)
            largest = largest_variance_of_the_average_iterate(1.0, eta, steps, std**2)
            assert abs(largest / variance - 1) <= 1e-9  # for a line the bound is attained, up to rounding
            bound.holds(max(0.0, least_divergence(largest, 1 / np.sqrt(2 * np.pi)) - exact))


def test_the_bound_of_the_variance_by_simulation():
    """For a ReLU score the average of 30 iterates varies less than the bound, more than with slope rho."""
    fit = large_weight_decay(np.random.default_rng(8).normal(size=40), 20.0)
    L, n, steps = smoothness(fit), 20_000, 30
    eta, rng = 0.4 / L, np.random.default_rng(0)
    x = rng.normal(0.0, 12.0, n)
    total = np.zeros(n)
    for _ in range(steps):
        x = langevin_dynamics(fit, x, step_size=eta, n_steps=1, rng=rng)
        total += x
    simulated = (total / steps).var()
    flat, steep = (largest_variance_of_the_average_iterate(a, eta, steps, 144.0) for a in (L / 2, L))
    error = 6 * np.sqrt(2 / n)  # six standard errors of a variance, relative
    assert simulated <= flat * (1 + error)
    assert simulated >= steep * (1 - error)


def test_the_average_iterate_drifts_away(evidence: Evidence):
    """Even from the target itself: its variance is of order 1/T, so its divergence grows like log(T)/2."""
    growth = evidence("ours-averaged-law", "divergence-of-the-average-iterate-grows", 0.05).because(
        "|growth of the divergence per factor 4 in T - log(2)|, which vanishes as T grows"
    )
    law_side = evidence(
        "ours-averaged-law", "averaged-law-meets-the-bound", 0.25, what="KL divergence"
    ).because("divergence of the averaged law after the stated steps for epsilon = 1/2")
    for x in samples():
        mu, a = float(x.mean()), 1 / float(x.var())
        for offset in (0.0, 3.0, 10.0):
            std = 1 / np.sqrt(a)
            start = (mu + offset * std, std)
            distance = offset * std
            eta = 0.25 / (2 * a)
            stated = max(50, int(np.ceil(2 * a * distance**2 / 0.5**4)))
            kls = [
                kl_of_normals(*average_iterate(a, mu, eta, steps, start), mu, 1 / a)
                for steps in (40 * stated, 160 * stated)
            ]
            growth.holds(abs(kls[1] - kls[0] - np.log(2)))
            nodes = mu + np.linspace(-30 * std, 30 * std, 601)
            law = GridLaw.normal(*start, nodes=nodes)
            needed = max(10, int(np.ceil(2 * a * distance**2 / 0.5**4)))
            average = averaged_law(law, lambda x, mu=mu, a=a: -a * (x - mu), step_size=eta, n_steps=needed)
            law_side.holds(
                average.kl_to(
                    lambda x, mu=mu, a=a: -a * (x - mu) ** 2 / 2 + np.log(a / (2 * np.pi)) / 2,
                )
            )


def test_the_formula_of_the_average_iterate_by_simulation():
    a, centre, eta, steps = 0.5, 1.0, 0.4, 30
    rng = np.random.default_rng(0)
    n = 20_000
    x = rng.normal(4.0, 2.0, n)
    total = np.zeros(n)
    for _ in range(steps):
        x = langevin_dynamics(lambda y: -a * (y - centre), x, step_size=eta, n_steps=1, rng=rng)
        total += x
    mean, variance = average_iterate(a, centre, eta, steps, (4.0, 2.0))
    average = total / steps
    # Six standard errors of a mean and of a variance of normal numbers.
    assert abs(average.mean() - mean) <= 6 * np.sqrt(variance / n)
    assert abs(average.var() - variance) <= 6 * variance * np.sqrt(2 / n)


def random_iterates(
    score: Callable[[FloatArray], FloatArray],
    law: GridLaw,
    eta: float,
    steps: int,
    n: int,
    rng: np.random.Generator,
) -> FloatArray:
    """One iterate of each of n chains, picked uniformly among the first ``steps``."""
    chains = law.quantile(rng.random(n))
    stop, picked = rng.integers(1, steps + 1, n), np.empty(n)
    for t in range(1, steps + 1):
        chains = langevin_dynamics(score, chains, step_size=eta, n_steps=1, rng=rng)
        picked[stop == t] = chains[stop == t]
    return picked


def rank_distance(x: FloatArray, law: GridLaw) -> float:
    """Largest difference of the empirical and the exact distribution function."""
    ranks = np.searchsorted(np.sort(x), law.nodes + law.cell / 2, side="right") / len(x)
    return float(np.max(np.abs(ranks - np.cumsum(law.mass))))


def test_an_iterate_picked_at_random_follows_the_target(evidence: Evidence):
    """Algorithm 1 by the solver, then Algorithm 2 by simulation, against the law of Theorem 2."""
    seen = evidence(
        "rem-sampled-law", "random-iterates-follow-the-closed-form", 1.0, what="Kolmogorov distance / bound"
    ).because(
        "Kolmogorov-Smirnov distance over epsilon/sqrt(2) (Pinsker) plus six over sqrt(number of chains)"
    )
    exact = evidence(
        "rem-sampled-law", "random-iterates-follow-the-averaged-law", 3.0, what="scaled Kolmogorov distance"
    ).because(
        "Kolmogorov-Smirnov distance to the exact averaged law of ten steps, times the root of the "
        "number of chains; larger with probability 2 exp(-18) (Dvoretzky, Kiefer, Wolfowitz)"
    )
    n, eps = 10_000, 0.5
    for seed, x in enumerate(samples()):
        low = large_weight_decay_threshold(x)
        beta = low + 0.3 * (len(x) - low)
        closed = large_weight_decay(x, beta)
        trained = score_matching(x, beta)
        L, rng = smoothness(closed), np.random.default_rng(seed)
        eta = eps**2 / (2 * L)
        nodes = grid(closed, eta)
        law = next(starts(closed))(nodes)
        target = GridLaw.from_log_density(closed.log_density, nodes=nodes)
        steps = int(np.ceil(2 * L * wasserstein(law, target) ** 2 / eps**4))
        distance = rank_distance(random_iterates(trained, law, eta, steps, n, rng), target)
        seen.holds(distance / (eps / np.sqrt(2) + 6 / np.sqrt(n)))
        # After few steps, while the average is still far from the target and from the last law.
        early = averaged_law(law, closed, step_size=eta, n_steps=10)
        exact.holds(np.sqrt(n) * rank_distance(random_iterates(trained, law, eta, 10, n, rng), early))
        assert np.sqrt(n) * np.max(np.abs(np.cumsum(early.mass - target.mass))) >= 6


def test_the_algorithm_is_its_exact_law(evidence: Evidence):
    seen = evidence("alg-langevin", "simulation-within-its-standard-error", 6.0, what="z-score").because(
        "largest of two z-scores: mean, and Kolmogorov-Smirnov at sqrt(n)"
    )
    n = 50_000
    for seed, fit in enumerate(list(closed_forms())[::6]):
        L, rng = smoothness(fit), np.random.default_rng(seed)
        eta = (0.1, 0.5, 1.5)[seed % 3] / L
        law = next(starts(fit))(grid(fit, eta))
        x = langevin_dynamics(fit, law.quantile(rng.random(n)), step_size=eta, n_steps=12, rng=rng)
        later = propagate(law, fit, step_size=eta, n_steps=12)
        ranks = np.searchsorted(np.sort(x), later.nodes + later.cell / 2, side="right") / n
        z = (abs(x.mean() - later.mean) / later.std, float(np.max(np.abs(ranks - np.cumsum(later.mass)))))
        seen.holds(float(np.sqrt(n) * max(z)))


def test_long_runs_of_small_steps_reach_the_target(evidence: Evidence):
    order = evidence(
        "eq-langevin-step",
        "long-run-divergence-falls-with-the-square-of-the-step",
        0.2,
        what="error of the order 2",
    ).because(
        "|log2 of the ratio of the long-run divergence at epsilon and epsilon/2 - 2|; the next term of "
        "the divergence is smaller by about the step, and the largest is epsilon rho = 0.2"
    )
    small = evidence(
        "eq-langevin-step", "long-run-divergence-at-a-small-step", 1e-3, what="KL divergence"
    ).because("divergence at epsilon rho = 0.1 from the density of the score, after 40/(epsilon rho) steps")
    for fit in list(closed_forms())[1::4] + list(closed_forms("abs")):
        L = smoothness(fit)
        divergences = []
        for q in (0.2, 0.1, 0.05):
            eps = q / L
            nodes = grid(fit, eps / 2, per_unit=32)  # its error must be small beside that of the step
            law = GridLaw.from_log_density(fit.log_density, nodes=nodes)
            last = propagate(law, fit, step_size=eps / 2, n_steps=int(40 / q))
            divergences.append(last.kl_to(fit.log_density))
        small.holds(max(0.0, divergences[1]))
        for coarse, fine in pairwise(divergences):
            order.holds(abs(np.log2(coarse / fine) - 2))


def test_the_two_conventions_are_one_step_at_epsilon_two_eta(evidence: Evidence):
    same = evidence("ours-step-conventions", "same-path-at-epsilon-two-eta", 1e-12).because(
        "rounding; twenty steps as the introduction writes them against the library, from one noise"
    )
    differ = evidence("ours-step-conventions", "step-one-read-both-ways", at_least=0.05).because(
        "relative difference of the standard deviation after 500 steps from U(-10, 10) with step one, "
        "at weight decay n - 1 and n = 500"
    )
    for seed, fit in enumerate(list(closed_forms())[::5]):
        eta = 0.3 / smoothness(fit)
        library = langevin_dynamics(
            fit, np.zeros(100), step_size=eta, n_steps=20, rng=np.random.default_rng(seed)
        )
        rng, x, epsilon = np.random.default_rng(seed), np.zeros(100), 2 * eta
        for _ in range(20):
            x = x + epsilon / 2 * fit(x) + np.sqrt(epsilon) * rng.normal(size=100)
        same.holds(float(np.max(np.abs(x - library)) / np.max(np.abs(x))))
    for seed in (0, 1, 2):
        fit = large_weight_decay(np.random.default_rng(seed).normal(size=500), 499.0)
        start = GridLaw.uniform(-10.0, 10.0, nodes=np.linspace(-400, 400, 1601))
        half, one = (propagate(start, fit, step_size=eta, n_steps=500).std for eta in (0.5, 1.0))
        differ.fails(abs(one - half) / half)


def printed_pieces(x: FloatArray, beta: float, t: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The exponents of display E.2 as printed: coefficients of x^2, x and 1; left, inside, right."""
    n, mu, v = len(x), x.mean(), x.var()
    first, last = x.min(), x.max()
    inside = np.array([(beta - n) / (2 * n * v), -mu * (beta - n) / (n * v), 0.0])
    left = np.array(
        [
            (beta - n) / (4 * n * v) - t / 2,
            ((beta - n) / (2 * n * v) + t) * first + mu * (n - beta) / (n * v),
            ((n - beta) / (4 * n * v) - t / 2) * first**2,
        ]
    )
    right = np.array(
        [
            (beta - n) / (4 * n * v) + t / 2,
            -((n - beta) / (2 * n * v) + t) * last + mu * (n - beta) / (n * v),
            (t / 2 + (n - beta) / (4 * n * v)) * last**2,
        ]
    )
    return left, inside, right


def display_residual(x: FloatArray, beta: float, t: float, pieces: tuple[FloatArray, ...]) -> float:
    """Jumps at the ends, slopes against the certified score, and the density up to its normalisation."""
    fit = large_weight_decay(x, beta, t=t)
    left, inside, right = pieces
    first, last = x.min(), x.max()
    spread = last - first
    here = np.array([first, last])
    jumps = [
        np.polyval(left, first) - np.polyval(inside, first),
        np.polyval(right, last) - np.polyval(inside, last),
    ]
    slopes = []
    for piece, at in (
        (left, first - spread * np.linspace(0, 3, 7)),
        (inside, np.linspace(first, last, 7)),
        (right, last + spread * np.linspace(0, 3, 7)),
    ):
        slopes.append(np.max(np.abs(np.polyval(np.polyder(piece), at) - fit(at))) * spread)
    where = np.linspace(first - 3 * spread, last + 3 * spread, 50)
    printed = np.where(
        where < first,
        np.polyval(left, where),
        np.where(where > last, np.polyval(right, where), np.polyval(inside, where)),
    )
    offset = printed - fit.log_density(where)
    size = max(1.0, float(np.max(np.abs(printed))), float(np.max(np.abs(np.polyval(inside, here)))))
    return float(max(np.max(np.abs(jumps)), np.max(slopes), np.ptp(offset))) / size


def test_the_printed_density_is_the_integral_of_the_score(evidence: Evidence):
    seen = evidence("disp-target-density", "printed-exponents-integrate-the-score", 1e-10).because(
        "rounding: jumps at both ends, derivative against the score, difference to the log-density"
    )
    for x in samples():
        low = large_weight_decay_threshold(x)
        for mix in (0.1, 0.8):
            beta = low + mix * (len(x) - low)
            limit = large_weight_decay(x, beta).t_limit
            for share in (-1.0, -0.3, 0.0, 0.7, 1.0):
                t = share * limit
                seen.holds(display_residual(x, beta, t, printed_pieces(x, beta, t)))


def test_a_changed_term_of_the_display_would_be_noticed():
    """Every one of the nine coefficients matters: change one by one per cent and the residual shows it."""
    x = np.array([-1.0, 0.2, 2.0])
    beta = large_weight_decay_threshold(x) + 0.3
    t = 0.5 * large_weight_decay(x, beta).t_limit
    pieces = printed_pieces(x, beta, t)
    assert display_residual(x, beta, t, pieces) <= 1e-12  # rounding
    for i in range(3):
        for j in range(3):
            changed = [piece.copy() for piece in pieces]
            changed[i][j] += 0.01 * max(abs(changed[i][j]), 0.01)
            assert display_residual(x, beta, t, tuple(changed)) >= 1e-6


def test_the_printed_gradient_forgets_the_data(evidence: Evidence):
    """The network s(x) = V x (no neuron): the slope in x is V, the one in the parameter V is x."""
    right = evidence("alg-score-matching", "gradient-in-x-finds-the-score", 1e-6).because(
        "a minimiser found by bisection of a smooth function has about half the digits"
    )
    printed = evidence("alg-score-matching", "gradient-in-theta-finds-another", at_least=0.1).because(
        "error of the slope, relative to -1/v; with centred data the printed loss is least at V = 0"
    )
    for x in samples():
        centred = x - x.mean()
        v = float(np.var(x))

        def loss(slope: float, inner: float | None, x: FloatArray = centred) -> float:
            extra = np.full(len(x), slope) if inner is None else x  # dV x/dx = V; dV x/dV = x
            return float(np.sum((slope * x) ** 2 / 2 + extra))

        options = {"bracket": (-2 / v, 1 / v), "method": "brent"}
        in_x = minimize_scalar(lambda s: loss(s, None), **options).x
        in_theta = minimize_scalar(lambda s: loss(s, 0.0), **options).x
        right.holds(abs(in_x * v + 1))
        printed.fails(abs(in_theta * v + 1))


def test_the_gradient_in_theta_is_a_vector():
    """Its length is the number of parameters, so the printed sum is a number only with one parameter."""
    net = TwoLayerNetwork.univariate([1.0, -2.0], [0.5, 0.1], [0.3, 0.7])
    parameters = net.W1.size + net.b1.size + net.W2.size + net.b2.size
    assert parameters == 7
    assert net.divergence([0.3, 0.4]).shape == (2,)  # one number per sample: the slope in x


def outer_threshold(score: PiecewiseLinearScore) -> float:
    """1/a_left + 1/a_right for the slopes -a of the two outer pieces; infinite if one of them is flat."""
    with np.errstate(divide="ignore"):
        return float(np.sum(1 / -np.array([score.left_slope, score.right_slope])))


def test_the_step_at_which_the_law_runs_away(evidence: Evidence):
    """Far out the law moves by the factors 1 - eta a of the two sides in turn, so two steps multiply it."""
    seen = evidence("ours-largest-step", "two-steps-multiply-a-wide-law", 0.05).because(
        "growth of the width against (eta a_1 - 1)(eta a_2 - 1), over the larger of it and one, on both "
        "sides of the limit; noise and centre are 1/150 of the width"
    )
    for x in samples():
        beta = 0.4 * large_weight_decay_threshold(x) + 0.6 * len(x)
        limit = large_weight_decay(x, beta).t_limit
        for share in (0.0, 0.5, 0.7):
            fit = large_weight_decay(x, beta, t=share * limit)
            star = outer_threshold(fit.score)
            L = smoothness(fit)
            assert abs(star - L / ((L / 2) ** 2 - fit.t**2)) <= 1e-9 * star  # rounding
            for factor in (0.8, 1.25):
                eta = factor * star
                noise = np.sqrt(2 * eta)
                wide = 150 * noise
                nodes = fit.mean + np.linspace(-12 * wide, 12 * wide, 80_001)
                law = GridLaw.uniform(fit.mean - wide, fit.mean + wide, nodes=nodes)
                later = propagate(law, fit, step_size=eta, n_steps=2)
                a, b = (eta * -s for s in (fit.score.left_slope, fit.score.right_slope))
                growth = later.std / law.std
                if min(a, b) >= 1:
                    seen.holds(abs(growth - (a - 1) * (b - 1)) / max(growth, 1.0))
                    assert (growth - 1) * (factor - 1) > 0


def test_a_flat_side_stops_every_blow_up(evidence: Evidence):
    """At the limit of t one side is flat, and the law stays bounded at any step."""
    seen = evidence("ours-largest-step", "a-flat-side-settles-at-three-times-the-limit", 1e-3).because(
        "relative change of the width over the last 30 of 300 steps of size 12/rho"
    )
    x = np.random.default_rng(8).normal(size=40)
    limit = large_weight_decay(x, 20.0).t_limit
    for fit in (large_weight_decay(x, 20.0, t=limit), large_weight_decay(x, 20.0, activation="abs")):
        eta = 12 / smoothness(fit)
        law = GridLaw.uniform(-10.0, 10.0, nodes=np.linspace(-4000, 4000, 30_001))
        stds = [later.std for later in langevin_laws(law, fit, step_size=eta, n_steps=300, max_loss=1e-6)]
        seen.holds(abs(stds[-1] - stds[-30]) / stds[-1])
