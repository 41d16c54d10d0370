"""Training with tails that may not point outwards: the literal program, structured data, false claims."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import cvxpy as cp
import numpy as np
import pytest
from claims_witness import Evidence
from zoo import samples

from convexdiff_lib import (
    UnivariateScore,
    choose_weight_decay,
    denoising_score_matching,
    load,
    save,
    score_matching,
    score_matching_path,
    smallest_weight_decay,
)
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.line.beam import tube_of
from convexdiff_lib.line.candidates import claim_from_spline
from convexdiff_lib.line.coarse_to_fine import solve_by_levels
from convexdiff_lib.line.inward_tails import priced_solution
from convexdiff_lib.line.kink_network import KinkNetwork
from convexdiff_lib.line.problem import LineProblem, SplineClaim, line_problem
from convexdiff_lib.line.sharpening import sharpened, sharpened_at_these_prices
from convexdiff_lib.line.spline_certificates import examine
from convexdiff_lib.line.tails import dearest

# What an interior point leaves of the score, relative to its size; of the loss, less than that.
AGREE = 1e-3
NETWORKS: list[tuple[Activation, bool]] = [("relu", False), ("relu", True), ("abs", False), ("abs", True)]
every_network = pytest.mark.parametrize(("activation", "skip"), NETWORKS)
HEAVY = {
    "lognormal": lambda rng, n: rng.lognormal(size=n),
    "Cauchy": lambda rng, n: rng.standard_cauchy(n),
    "Student t, 3 degrees": lambda rng, n: rng.standard_t(3, n),
    "a far group": lambda rng, n: np.append(rng.normal(size=n - n // 10), 30 + rng.normal(size=n // 10)),
}


def literal(
    x: FloatArray,
    beta: float,
    activation: Activation,
    skip: bool,
    targets: FloatArray | None,
) -> tuple[FloatArray, float]:
    """Scores at the data and the loss of the program with one variable for each neuron, by CVXPY."""
    values, slopes, tails = [], [], []
    for kink in np.unique(x):
        for facing in (1, -1):
            for acts_at_kink in (True, False):
                ahead = facing * (x - kink)
                on = (ahead > 0) | ((ahead == 0) & acts_at_kink)
                relu = activation == "relu"
                values.append(np.maximum(ahead, 0) if relu else np.abs(ahead))
                slopes.append(facing * (on if relu else np.where(on, 1, -1)))
                tails.append((1.0, -1.0) if not relu else (1.0, 0.0) if facing > 0 else (0.0, -1.0))
    weights, line, constant = cp.Variable(len(values)), cp.Variable(), cp.Variable()
    along = line if skip else 0.0
    score = np.array(values).T @ weights + constant + (along * (x - x.mean()) if skip else 0.0)
    slope = np.array(slopes, dtype=float).T @ weights + along
    loss = 0.5 * cp.sum_squares(score - (0.0 if targets is None else targets))
    loss += beta * cp.norm1(weights) + (cp.sum(slope) if targets is None else 0.0)
    outer = np.array(tails).T @ weights + along
    problem = cp.Problem(cp.Minimize(loss), [outer <= 0])
    exact = dict.fromkeys(["tol_gap_abs", "tol_gap_rel", "tol_feas"], 1e-11)
    problem.solve(solver=cp.CLARABEL, **exact)
    return np.asarray(score.value), float(problem.value)


def fitted(
    x: FloatArray, beta: float, activation: Activation, skip: bool, targets: FloatArray | None = None
) -> UnivariateScore:
    if targets is None:
        return score_matching(x, beta, activation=activation, skip=skip, inward_tails=True)
    return denoising_score_matching(x, targets, beta, activation=activation, skip=skip, inward_tails=True)


def loss_of(network: KinkNetwork, x: FloatArray, beta: float, targets: FloatArray | None) -> float:
    """The training loss of a network, from its definition."""
    rest = network(x) - (0.0 if targets is None else targets)
    total = 0.5 * float(rest @ rest) + beta * network.total_weight
    return total + (float(network.derivative(x).sum()) if targets is None else 0.0)


def is_what_it_says(fit: UnivariateScore, x: FloatArray, targets: FloatArray | None) -> None:
    """Certified, with no slope above zero, and a network that costs what the fit says."""
    assert fit.certificate.holds
    assert fit.score.left_slope <= 0
    assert fit.score.right_slope <= 0
    assert fit.tail_prices is not None
    for price, slope in zip(fit.tail_prices, (fit.score.right_slope, fit.score.left_slope), strict=True):
        assert price >= 0
        assert price == 0 or slope == 0  # what is paid for is used up
    net = fit.kink_network
    # The network is rounded to doubles: a billionth of what adds up to its loss.
    size = fit.certificate.scale + fit.beta * net.total_weight
    assert abs(loss_of(net, x, fit.beta, targets) - fit.value) <= 1e-9 * size
    outer = net.as_score()
    steepest = float(np.abs(outer.slopes).max())
    assert max(outer.left_slope, outer.right_slope) <= 1e-9 * steepest


def instances() -> Iterator[FloatArray]:
    """Samples with far points at one end or both, tied ones and clusters."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(4, 13))
        bulk = rng.normal(size=n)
        yield [
            bulk * np.exp(rng.normal(size=n)),
            np.append(bulk, rng.uniform(3, 60)),
            np.concatenate([[-50.0], bulk, [50 + 5 * rng.normal()]]),
            np.round(2 * bulk),
            np.append(bulk, -bulk),
            np.append(bulk, 10 + bulk[:2]),
            np.cumsum(np.exp(rng.normal(size=n))),
            np.repeat(bulk, rng.integers(1, 4, size=n)),
        ][seed]


def test_agrees_with_the_literal_program(evidence: Evidence) -> None:
    seen = evidence("ours-inward-tails", "loss-against-the-program", 1e-5).because(
        "what an interior point leaves of the loss, relative to it"
    )
    rng = np.random.default_rng(0)
    for x, (activation, skip), factor in product(instances(), NETWORKS, (0.02, 0.15, 0.6)):
        least = smallest_weight_decay(x, activation=activation, skip=skip)
        for targets, beta in (
            (None, least + factor * len(x)),
            (2 * rng.normal(size=len(x)), 0.2 * factor * len(x)),
        ):
            fit = fitted(x, beta, activation, skip, targets)
            is_what_it_says(fit, x, targets)
            scores, loss = literal(x, beta, activation, skip, targets)
            assert np.abs(fit(x) - scores).max() <= AGREE * (np.abs(scores).max() + 1 / np.ptp(x))
            seen.holds(abs(fit.value - loss) / (abs(loss) + 1e-3))


def test_on_the_zoo(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-inward-tails", "price-times-slope-on-structured-data", 0.0).because(
        "a slope that has a price is zero, with no rounding"
    )
    for name, x in samples(distinct=2):
        for activation, skip in NETWORKS:
            least = smallest_weight_decay(x, activation=activation, skip=skip)
            for beta in (least, 1.3 * least, 2.0 * least + 1.0):
                fit = fitted(x, beta, activation, skip)
                is_what_it_says(fit, x, None)
                plain = score_matching(x, beta, activation=activation, skip=skip)
                slack = 1e-9 * max(plain.certificate.scale, 1e-300)
                assert plain.value <= fit.value + slack, name  # the constraint costs, or is free
                if fit.tail_prices == (0.0, 0.0):
                    # Both are certified to a millionth at the knots.
                    assert np.abs(fit(x) - plain(x)).max() <= 1e-6 * (np.abs(plain(x)).max() + 1 / np.ptp(x))
                right, left = fit.tail_prices
                seen.holds(abs(right * fit.score.right_slope) + abs(left * fit.score.left_slope), on=name)


@every_network
@pytest.mark.parametrize("name", HEAVY)
def test_every_weight_decay_gives_a_density(activation: Activation, skip: bool, name: str) -> None:
    """Where plain training leaves many weight decays without one."""
    x = HEAVY[name](np.random.default_rng(0), 200)
    least = smallest_weight_decay(x, activation=activation, skip=skip)
    betas = np.geomspace(1.001 * least, 0.9 * len(x), 25)
    options = {"activation": activation, "skip": skip}
    plain = score_matching_path(x, betas[::-1], **options)
    fits = score_matching_path(x, betas[::-1], inward_tails=True, **options)
    assert any(fit.score.why_not_normalisable() for fit in plain)
    for fit in fits:
        is_what_it_says(fit, x, None)
        assert fit.score.why_not_normalisable() == ""
        assert abs(fit.cdf(np.inf) - 1) <= 1e-12
    points = fits[12].sample(1000, np.random.default_rng(1))
    assert np.isfinite(points).all()


def claimed(
    x: FloatArray, beta: float, activation: Activation, skip: bool
) -> tuple[LineProblem, SplineClaim]:
    """An optimum with a price, as its certificate sees it."""
    found = priced_solution(line_problem(x, beta, activation=activation, skip=skip, inward_tails=True))
    return found.problem, sharpened(found.problem, found.claim)[0]


FAR = np.append(np.random.default_rng(3).normal(size=12), [36.0, 37.0, 39.0, 44.0])
FAR_DECAY = {"relu": 5.0, "abs": 10.0}


def test_a_price_may_need_more_digits_than_a_double_has() -> None:
    """The last two points are 588 apart, and neurons there nearly free: slopes are steep in prices."""
    points = [-3.3397643226551867, -1.7675801183126607, -1.1990776837693813, -1.1759634319435333]
    points += [0.00834573661602695, 1.0497004426221346, 1.228202276942097, 1.3418659625962837]
    points += [4.976001356305186, 5.5128234499126, 6.162626885114647, 593.8412873488816]
    x = np.repeat(points, [1, 3, 2, 3, 4, 2, 4, 1, 4, 3, 4, 4])
    fit = score_matching(x, 4.01, activation="abs", inward_tails=True)
    assert fit.certificate.holds is True
    assert fit.score.left_slope <= 0
    assert fit.score.right_slope <= 0


@every_network
def test_a_certificate_rejects_what_is_not_the_optimum(activation: Activation, skip: bool) -> None:
    problem, claim = claimed(FAR, FAR_DECAY[activation], activation, skip)
    assert examine(problem, claim, exactly=True).certificate.holds
    right, left = problem.tail_prices
    assert 0 < right < dearest(problem)[0]
    for price in (0.9 * right, 1.1 * right):  # prices that are not right
        other = problem.priced(price, left)
        at_these = sharpened_at_these_prices(other, claim)
        assert examine(other, at_these, exactly=True, at_these_prices=True).certificate.holds
        assert not examine(other, at_these, exactly=True).certificate.holds
    for knot in range(len(claim.knots)):  # a score that is a little off
        values = claim.values.copy()
        values[knot] += 1e-3 * np.abs(values).max()
        assert not examine(problem, replace(claim, values=values), exactly=True).certificate.holds


@every_network
def test_a_free_optimum_with_a_bad_tail_is_rejected(activation: Activation, skip: bool) -> None:
    """The slack counts what a cap would cost: without it the certificate would hold."""
    free = line_problem(FAR, FAR_DECAY[activation], activation=activation, skip=skip).priced(0.0, 0.0)
    assert score_matching(FAR, FAR_DECAY[activation], activation=activation, skip=skip).score.right_slope > 0
    tube = tube_of(free)
    found = solve_by_levels(tube)
    claim = claim_from_spline(free, tube, found.spline, found.values, found.height)
    assert examine(free, claim, exactly=True, at_these_prices=True).certificate.holds
    assert not examine(free, claim, exactly=True).certificate.holds


@every_network
def test_no_network_with_such_tails_does_better(activation: Activation, skip: bool) -> None:
    """Standing falsifier: neurons added at random, and a cap where they push a slope above zero."""
    rng = np.random.default_rng(5)
    x, beta = np.append(rng.normal(size=15), [25.0, 26.0]), 2.5
    fit = fitted(x, beta, activation, skip)
    base, turn = fit.kink_network, 1.0 if activation == "relu" else 2.0
    for size in 10.0 ** rng.uniform(-6, 0, size=200):
        k = int(rng.integers(1, 4))
        kinks, facing = rng.choice(x, k), rng.choice([-1.0, 1.0], k)
        weights = size * rng.normal(size=k) * np.abs(fit.score.slopes).max()
        net = KinkNetwork(
            np.append(base.kinks, kinks),
            np.append(base.facing, facing),
            np.append(base.weights, weights),
            np.append(base.beyond, facing * weights > 0),
            base.origin,
            base.constant,
            base.slope,
            activation,
        )
        tails = net.as_score()
        if skip:
            net = replace(net, slope=net.slope - max(tails.left_slope, tails.right_slope, 0.0))
        else:
            caps = [max(tails.right_slope, 0.0), max(tails.left_slope, 0.0)]
            shift = np.array([-caps[0], caps[1]]) / turn
            net = replace(
                net,
                kinks=np.append(net.kinks, [x.max(), x.min()]),
                facing=np.append(net.facing, [1.0, -1.0]),
                weights=np.append(net.weights, shift),
                beyond=np.append(net.beyond, [False, False]),
            )
        outer = net.as_score()
        if max(outer.left_slope, outer.right_slope) > 1e-9:  # a cap of an absolute value bends the other side
            continue
        assert loss_of(net, x, beta, None) >= fit.value - 1e-9 * fit.certificate.scale


@every_network
def test_units_order_mirror_and_weights(activation: Activation, skip: bool) -> None:
    x = np.append(np.random.default_rng(2).lognormal(size=20), 12.0)
    fit = fitted(x, 3.0, activation, skip)
    size = np.abs(fit(x)).max()
    mirrored = fitted(-x, 3.0, activation, skip)
    assert np.abs(mirrored(-x) + fit(x)).max() <= 1e-7 * size
    assert mirrored.tail_prices == pytest.approx(fit.tail_prices[::-1], rel=1e-6, abs=1e-9)
    scaled = fitted(1e3 * x + 5.0, 3.0, activation, skip)
    assert np.abs(1e3 * scaled(1e3 * x + 5.0) - fit(x)).max() <= 1e-7 * size
    shuffled = fitted(x[::-1].copy(), 3.0, activation, skip)
    assert np.abs(shuffled(x) - fit(x)).max() <= 1e-9 * size
    counts = np.arange(len(x)) % 3 + 1.0
    weighted = score_matching(
        x, 9.0, activation=activation, skip=skip, sample_weight=counts, inward_tails=True
    )
    repeated = fitted(np.repeat(x, counts.astype(int)), 9.0, activation, skip)
    assert np.abs(weighted(x) - repeated(x)).max() <= 1e-7 * np.abs(repeated(x)).max()


@pytest.mark.parametrize(
    ("x", "beta", "weights", "activation"),
    [
        ([-0.277, -0.2, 58.3], 5.0, [2.46, 3.59, 1.05], "relu"),
        ([-0.277, -0.2, 58.3], 5.393, [2.46, 3.59, 1.05], "relu"),
        ([0.74, 1.4, 270.0], 3.99, [3.4, 1.2, 1.3], "abs"),
        ([0.562, 1.6, 1.63, 140.0], 3.92, [3.52, 3.89, 2.93, 1.14], "abs"),
    ],
)
def test_weights_that_are_no_binary_fractions(
    x: list[float], beta: float, weights: list[float], activation: Activation
) -> None:
    """The highest price, or one at which both ends cost the same, is a difference that doubles round."""
    fit = score_matching(x, beta, activation=activation, sample_weight=weights, inward_tails=True)
    assert fit.certificate.score_error <= 1e-9  # a thousandth of the tolerance
    assert max(fit.tail_prices) > 0
    assert max(fit.score.left_slope, fit.score.right_slope) <= 0


def test_an_error_says_what_to_do() -> None:
    x = np.append(np.random.default_rng(3).normal(size=12), 40.0)
    with pytest.raises(ValueError, match=r"right.*train with inward_tails=True"):
        score_matching(x, 3.0).sample(5, np.random.default_rng(0))
    with pytest.raises(ValueError, match="the score is constant"):
        fitted(x, 2.0 * len(x), "relu", skip=False).pdf(0.0)
    outwards = denoising_score_matching([-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0], 0.1, inward_tails=True)
    with pytest.raises(ValueError, match="the targets pull outwards"):
        outwards.log_density(0.0)
    with pytest.raises(ValueError, match="inward_tails must be True or False"):
        score_matching(x, 3.0, inward_tails="yes")  # type: ignore[arg-type]


def test_path_selection_and_storage(tmp_path) -> None:
    x = np.random.default_rng(0).lognormal(size=60)
    betas = [2.0, 6.0, 20.0]
    fits = score_matching_path(x, betas, inward_tails=True)
    for fit, beta in zip(fits, betas, strict=True):
        assert fit == fitted(x, beta, "relu", skip=False)
    chosen = choose_weight_decay(x, betas, inward_tails=True, rng=np.random.default_rng(0))
    free = choose_weight_decay(x, betas, rng=np.random.default_rng(0))
    assert (chosen.held_out != free.held_out).any()
    save(fits[0], tmp_path / "fit.npz")
    assert load(tmp_path / "fit.npz") == fits[0]


def test_a_hundred_thousand_points() -> None:
    x = np.random.default_rng(0).standard_t(3, size=100_000)
    fit = score_matching(x, 2000.0, inward_tails=True)
    is_what_it_says(fit, x, None)
    assert max(fit.tail_prices) > 0
    assert fit.score.why_not_normalisable() == ""
