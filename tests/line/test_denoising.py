"""Evidence for the chapter on univariate denoising: Theorem 11, Theorems B.1 to B.3, sign, ends in beta."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
import torch
from claims_witness import Evidence, Witness
from hypothesis import given
from hypothesis import strategies as st
from routes import GENERAL_SOLVER, POLISHED, RECONSTRUCTION
from strategies import checked, data_sets, every_network, random_network

from convexdiff_lib import TwoLayerNetwork, UnivariateScore, denoising_loss, denoising_score_matching
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.datasets import GaussianMixture, paper_mixture, perturb, standard_normal
from convexdiff_lib.line.network_certificates import certify_denoising
from convexdiff_lib.paper.nonconvex import train_denoising
from convexdiff_lib.paper.univariate_programs import (
    denoising_dual,
    denoising_network_from_program,
    denoising_program,
    solve_program,
)
from convexdiff_lib.sampling.langevin import annealed_langevin_dynamics

EXACTLY = {"tol_gap_abs": 1e-11, "tol_gap_rel": 1e-11, "tol_feas": 1e-11}
# Three points, one of them out of line: what tells the absolute value from ReLU hinges.
HAT = np.array([-1.0, 0.0, 1.0]), np.array([1.0, -2.0, 1.0])


def noisy_sample(seed: int) -> tuple[FloatArray, FloatArray]:
    """Normal, uniform, heavy-tailed, two-cluster and tied data, 2 to 40 points, unsorted, with targets."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 41))
    clean = (
        rng.normal(size=n),
        rng.uniform(size=n),
        rng.standard_cauchy(size=n),
        rng.normal(size=n) + 20.0 * rng.integers(0, 2, size=n),
        np.round(2 * rng.normal(size=n)) / 2,
    )[seed % 5]
    x_noisy, targets = perturb(clean, float(10.0 ** rng.uniform(-1.5, 0.5)), rng)
    if seed % 5 == 4:
        x_noisy = np.round(2 * x_noisy) / 2
        x_noisy[0] += np.ptp(x_noisy) == 0
    return x_noisy, targets


def natural_scale(x: FloatArray, targets: FloatArray) -> float:
    """The unit of beta: a distance times a target."""
    return float(np.std(x) * np.std(targets))


def decay_for(x: FloatArray, targets: FloatArray, seed: int) -> float:
    """From a thousandth to 2n times the natural scale, evenly in the logarithm."""
    share = np.random.default_rng(seed + 1000).uniform()
    return natural_scale(x, targets) * float(1e-3 * (2e3 * len(x)) ** share)


def loss_of_the_mean(targets: FloatArray) -> float:
    """What differences of values are compared with: the loss of the best constant."""
    return float(0.5 * np.sum((targets - targets.mean()) ** 2))


# --- The programs of Theorem 11 and of Theorems B.1 to B.3 -----------------------------------------------


def distances_between_routes(activation: Activation, skip: bool) -> Iterator[float]:
    """The literal program in CVXPY, the fast route, and the plain loss of the network it returns."""
    for seed in range(50):
        x, targets = noisy_sample(seed)
        beta = decay_for(x, targets, seed)
        literal = solve_program(denoising_program(x, targets, beta, activation=activation, skip=skip)).value
        fit = denoising_score_matching(x, targets, beta, activation=activation, skip=skip)
        values = [literal, fit.value, denoising_loss(fit.network(), x, targets, beta)]
        yield float(np.ptp(values)) / loss_of_the_mean(targets)


def test_relu_program_fast_route_and_network_agree(evidence: Evidence):
    seen = evidence("thm-denoising-relu", "literal-program-equals-trained-network", 1e-6)
    seen.because(GENERAL_SOLVER).all_hold(distances_between_routes("relu", False))


def test_abs_program_fast_route_and_network_agree(evidence: Evidence):
    seen = evidence("thm-denoising-abs", "literal-program-equals-trained-network", 1e-6)
    seen.because(GENERAL_SOLVER).all_hold(distances_between_routes("abs", False))


def test_relu_skip_program_fast_route_and_network_agree(evidence: Evidence):
    seen = evidence("thm-denoising-relu-skip", "literal-program-equals-trained-network", 1e-6)
    seen.because(GENERAL_SOLVER).all_hold(distances_between_routes("relu", True))


def test_abs_skip_program_fast_route_and_network_agree(evidence: Evidence):
    seen = evidence("thm-denoising-abs-skip", "literal-program-equals-trained-network", 1e-6)
    seen.because(GENERAL_SOLVER).all_hold(distances_between_routes("abs", True))


TRAINING = "rounding of a sum; the residual is how far the best trained network is below the lower bound"


def certify_and_train(gaps: Witness, below: Witness, activation: Activation, skip: bool) -> None:
    for seed in range(100):
        x, targets = noisy_sample(seed)
        beta = decay_for(x, targets, seed)
        certificate = denoising_score_matching(x, targets, beta, activation=activation, skip=skip).certificate
        assert certificate.infeasibility <= certificate.feasibility_tolerance
        gaps.holds(certificate.relative_gap)
    for seed, share in enumerate((0.01, 0.1, 1.0)):
        x, targets = noisy_sample(5 * seed + 5)
        beta = share * natural_scale(x, targets)
        fit = denoising_score_matching(x, targets, beta, activation=activation, skip=skip)
        runs = train_denoising(
            x,
            targets,
            beta,
            activation=activation,
            skip=skip,
            width=20,
            n_epochs=300,
            learning_rate=3e-2,
            generator=torch.Generator().manual_seed(seed),
        )
        below.holds(max(0.0, fit.certificate.dual - float(runs.losses.min())) / loss_of_the_mean(targets))


def test_relu_certified_and_never_beaten(evidence: Evidence):
    gaps = evidence("thm-denoising-relu", "certified-duality-gap", 1e-8).because(POLISHED)
    below = evidence("thm-denoising-relu", "no-trained-network-is-below", 1e-9).because(TRAINING)
    certify_and_train(gaps, below, "relu", False)


def test_abs_certified_and_never_beaten(evidence: Evidence):
    gaps = evidence("thm-denoising-abs", "certified-duality-gap", 1e-8).because(POLISHED)
    below = evidence("thm-denoising-abs", "no-trained-network-is-below", 1e-9).because(TRAINING)
    certify_and_train(gaps, below, "abs", False)


def test_relu_skip_certified_and_never_beaten(evidence: Evidence):
    gaps = evidence("thm-denoising-relu-skip", "certified-duality-gap", 1e-8).because(POLISHED)
    below = evidence("thm-denoising-relu-skip", "no-trained-network-is-below", 1e-9).because(TRAINING)
    certify_and_train(gaps, below, "relu", True)


def test_abs_skip_certified_and_never_beaten(evidence: Evidence):
    gaps = evidence("thm-denoising-abs-skip", "certified-duality-gap", 1e-8).because(POLISHED)
    below = evidence("thm-denoising-abs-skip", "no-trained-network-is-below", 1e-9).because(TRAINING)
    certify_and_train(gaps, below, "abs", True)


def test_an_underestimate_would_be_noticed():
    """The falsifier can fire: an optimum claimed too high is beaten by the returned network."""
    x, targets = noisy_sample(0)
    fit = denoising_score_matching(x, targets, 0.1)
    claimed = fit.value + 1e-3 * loss_of_the_mean(targets)
    assert claimed - denoising_loss(fit.network(), x, targets, 0.1) >= 0.5e-3 * loss_of_the_mean(targets)


@every_network
def test_the_width_of_the_theorem_is_enough(activation: Activation, skip: bool) -> None:
    """The returned network is no wider than the program has variables: the hypothesis m >= len(y)."""
    for seed in range(50):
        x, targets = noisy_sample(seed)
        beta = decay_for(x, targets, seed)
        program = denoising_program(x, targets, beta, activation=activation, skip=skip)
        fit = denoising_score_matching(x, targets, beta, activation=activation, skip=skip)
        assert fit.network().width <= program.A.shape[1]


def test_loss_is_the_displayed_sum(evidence: Evidence):
    seen = evidence("def-denoising-loss", "loss-is-the-displayed-sum", 1e-12).because("rounding of a sum")
    for seed in range(20):
        rng = np.random.default_rng(seed)
        net = random_network(rng, ("relu", "abs")[seed % 2])
        x, targets, beta = rng.normal(size=9), rng.normal(size=9), float(rng.exponential())
        total = 0.0
        for point, target in zip(x, targets, strict=True):
            pre = net.W1[:, 0] * point + net.b1
            hidden = np.maximum(pre, 0.0) if seed % 2 == 0 else np.abs(pre)
            total += 0.5 * (net.W2[0] @ hidden + net.V[0, 0] * point + net.b2[0] - target) ** 2
        total += beta / 2 * (sum(w**2 for w in net.W1[:, 0]) + sum(a**2 for a in net.W2[0]))
        seen.holds(abs(denoising_loss(net, x, targets, beta) / total - 1))


# --- Beam, certificate -----------------------------------------------------------------------------------


def tube_violation(x: FloatArray, z: FloatArray, beta: float, activation: Activation, skip: bool) -> float:
    """How far the heights g_i = z^T (x - x_i)_+ leave the straight tube, over beta."""
    g = np.array([z @ np.maximum(x - t, 0.0) for t in np.sort(x)])
    bounds = [np.abs(2 * g - g[0])] if activation == "abs" else [np.abs(g), np.abs(g[0] - g)]
    clamp = abs(g[0]) / beta if skip else 0.0
    return max(float(np.max(bounds)) / beta - 1, clamp, abs(float(z.sum())) * float(np.ptp(x)) / beta)


@every_network
def test_beam_equals_printed_dual(evidence: Evidence, activation: Activation, skip: bool):
    values = evidence("ours-denoising-beam", "beam-value-equals-printed-dual", 1e-6).because(GENERAL_SOLVER)
    vectors = evidence("ours-denoising-beam", "beam-vector-equals-printed-dual-vector", 1e-4).because(
        "a dual value correct to 1e-8 fixes its strongly concave maximiser to the square root"
    )
    inside = evidence("ours-denoising-beam", "beam-stays-in-the-straight-tube", 1e-6).because(
        "rounding of the heights, over beta; the smallest beta is a hundred-thousandth of the heights"
    )
    for seed in range(20):
        x, targets = noisy_sample(seed)
        beta = decay_for(x, targets, seed)
        fit = denoising_score_matching(x, targets, beta, activation=activation, skip=skip)
        z, value = denoising_dual(x, targets, beta, activation=activation, skip=skip)
        size = loss_of_the_mean(targets)
        values.holds(abs(value - fit.value) / size)
        vectors.holds(float(np.linalg.norm(z - fit.z) / np.sqrt(2 * size)))
        inside.holds(max(0.0, tube_violation(x, fit.z, beta, activation, skip)))
        assert np.max(np.abs(targets - fit(x) - fit.z)) <= 1e-6 * np.std(targets)


@every_network
def test_certificate_rejects_what_is_not_optimal(activation: Activation, skip: bool) -> None:
    x, targets = noisy_sample(10)
    beta = 0.3 * natural_scale(x, targets)
    fit = denoising_score_matching(x, targets, beta, activation=activation, skip=skip)

    def relative_gap(network, z, decay):
        verdict = certify_denoising(x, targets, network, z, decay, activation=activation, skip=skip)
        return verdict.relative_gap / verdict.gap_tolerance

    other = denoising_score_matching(x, targets, 1.1 * beta, activation=activation, skip=skip)
    assert relative_gap(fit.kink_network, fit.z, beta) <= 1.0
    assert relative_gap(fit.kink_network, 0.9 * fit.z, beta) >= 10.0
    assert relative_gap(fit.kink_network, fit.z, 1.1 * beta) >= 10.0
    assert relative_gap(other.kink_network, fit.z, beta) >= 10.0
    # A z far outside the tube is no lower bound by itself; the certificate makes one of it.
    silent = 0 * fit.kink_network.weights
    constant = replace(fit.kink_network, weights=silent, constant=targets.mean(), slope=0.0)
    outside = targets - targets.mean()
    verdict = certify_denoising(x, targets, constant, outside, beta, activation=activation, skip=skip)
    assert verdict.dual <= fit.value * (1 + 1e-9)
    assert not verdict.holds


# --- Reconstruction and predictor ------------------------------------------------------------------------


def test_relu_rule_signed_attains_and_printed_misses(evidence: Evidence):
    right = evidence("rule-denoising-relu-reconstruction", "signed-rule-attains-optimum", 1e-6).because(
        RECONSTRUCTION
    )
    printed = evidence(
        "rule-denoising-relu-reconstruction", "printed-rule-misses-optimum", at_least=0.1
    ).because("in units of the loss of the best constant")
    for signed, unsigned in losses_of_the_rules("relu"):
        right.holds(abs(signed))
        printed.fails(unsigned)


def test_abs_rule_signed_attains_and_printed_misses(evidence: Evidence):
    right = evidence(
        "rule-denoising-abs-reconstruction", "signed-rule-with-n-entries-attains-optimum", 1e-6
    ).because(RECONSTRUCTION)
    printed = evidence(
        "rule-denoising-abs-reconstruction", "printed-rule-misses-optimum", at_least=0.1
    ).because("its first n lines, in units of the loss of the best constant")
    for signed, unsigned in losses_of_the_rules("abs"):
        right.holds(abs(signed))
        printed.fails(unsigned)


def losses_of_the_rules(activation: Activation) -> Iterator[tuple[float, float]]:
    """How far the signed and the printed rule are above the optimum, in losses of the best constant."""
    for seed in range(20):
        clean = np.random.default_rng(seed).normal(size=10 + seed)
        x, targets = perturb(clean, 0.7, np.random.default_rng(seed + 100))
        beta = 0.05 * natural_scale(x, targets)
        solution = solve_program(denoising_program(x, targets, beta, activation=activation))
        nets = [
            denoising_network_from_program(x, targets, solution.y, activation=activation, rule=rule)
            for rule in ("signed", "printed")
        ]
        signed, unsigned = (denoising_loss(net, x, targets, beta) for net in nets)
        size = loss_of_the_mean(targets)
        yield (signed - solution.value) / size, (unsigned - solution.value) / size


@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_skip_rule_attains_the_optimum(activation: Activation) -> None:
    """The rules of B.2.2 and B.2.3, with the signs."""
    for seed in range(10):
        x, targets = noisy_sample(seed)
        beta = 0.1 * natural_scale(x, targets)
        solution = solve_program(denoising_program(x, targets, beta, activation=activation, skip=True))
        net = denoising_network_from_program(x, targets, solution.y, activation=activation, skip=True)
        # The neurons carry the solver's error in y.
        error = abs(denoising_loss(net, x, targets, beta) - solution.value)
        assert error <= 1e-5 * loss_of_the_mean(targets)


def displayed_prediction(x: FloatArray, targets: FloatArray, y: FloatArray, at: FloatArray) -> FloatArray:
    """The display of Appendix F, term by term, at new points."""
    n = len(x)
    hinges = np.maximum(x[:, None] - x, 0.0), np.maximum(x - x[:, None], 0.0)
    b0 = np.mean(np.hstack(hinges) @ y + targets)
    out = np.full(len(at), b0)
    for i in range(n):
        out -= y[i] * np.maximum(at - x[i], 0.0) + y[n + i] * np.maximum(x[i] - at, 0.0)
    return out


def test_predictor_is_the_fitted_score(evidence: Evidence):
    seen = evidence(
        "disp-denoising-predictor", "displayed-sum-is-the-fitted-score-at-the-data", 1e-4
    ).because("y is the general-purpose solver's: a value correct to 1e-8 fixes the fit to the square root")
    new = evidence("disp-denoising-predictor", "displayed-sum-is-the-network-at-new-points", 1e-9).because(
        "rounding of a sum of hinges"
    )
    for seed in range(20):
        x, targets = noisy_sample(seed)
        beta = decay_for(x, targets, seed)
        y = solve_program(denoising_program(x, targets, beta)).y
        fit = denoising_score_matching(x, targets, beta)
        seen.holds(float(np.max(np.abs(displayed_prediction(x, targets, y, x) - fit(x))) / np.ptp(targets)))
        at = np.linspace(x.min() - np.std(x), x.max() + np.std(x), 41)
        net = denoising_network_from_program(x, targets, y)
        size = np.abs(y).sum() * np.ptp(at) + np.ptp(targets)
        new.holds(float(np.max(np.abs(displayed_prediction(x, targets, y, at) - net(at))) / size))


def hinge_dual(x: FloatArray, targets: FloatArray, beta: float, columns: list[FloatArray]) -> float:
    """max -1/2 |z|^2 + z^T l with |z^T column| <= beta and z^T 1 = 0."""
    z = cp.Variable(len(x))
    rows = [cp.abs(np.hstack(columns).T @ z) <= beta, cp.sum(z) == 0]
    problem = cp.Problem(cp.Maximize(-0.5 * cp.sum_squares(z) + targets @ z), rows)
    return float(problem.solve(solver=cp.CLARABEL, **EXACTLY))


def test_relu_hinges_in_the_abs_proof_give_another_optimum(evidence: Evidence):
    right = evidence("rule-denoising-abs-reconstruction", "dual-with-distances-is-the-optimum", 1e-6).because(
        GENERAL_SOLVER
    )
    printed = evidence(
        "rule-denoising-abs-reconstruction", "dual-with-relu-hinges-misses", at_least=0.005
    ).because("in units of the loss of the best constant")
    cases = [HAT] + [perturb(np.linspace(-2, 2, 4 + k), 0.5, np.random.default_rng(k)) for k in range(12)]
    for x, targets in cases:
        beta = 0.3 * natural_scale(x, targets)
        optimum = denoising_score_matching(x, targets, beta, activation="abs").value
        difference = x[:, None] - x
        hinges = [np.maximum(difference, 0.0), np.maximum(-difference, 0.0)]
        size = loss_of_the_mean(targets)
        right.holds(abs(hinge_dual(x, targets, beta, [np.abs(difference)]) - optimum) / size)
        printed.fails(abs(hinge_dual(x, targets, beta, hinges) - optimum) / size)


# --- By hand ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "abs"])
@pytest.mark.parametrize("beta", [1e-3, 0.5, 2.0, 2.5])
def test_two_points_by_hand(activation: Activation, beta: float) -> None:
    """Points -1 and 1, targets 1 and -1: a line of slope -(1 - beta/2), nothing from beta = 2 on."""
    x, targets = [-1.0, 1.0], [1.0, -1.0]
    a = min(1.0, beta / 2)
    plain = denoising_score_matching(x, targets, beta, activation=activation)
    # The certificate's own tolerance; the answer is usually exact to rounding.
    assert abs(plain.value - (2 * a - a**2)) <= 1e-8
    assert np.max(np.abs(plain(x) - [1 - a, a - 1])) <= 1e-8
    skip = denoising_score_matching(x, targets, beta, activation=activation, skip=True)
    assert abs(skip.value) <= 1e-8
    assert np.max(np.abs(skip(x) - np.array(targets))) <= 1e-8


@every_network
@pytest.mark.parametrize("beta", [1e-3, 0.5, 1.0, 2.0, 2.5])
def test_three_points_by_hand(activation: Activation, skip: bool, beta: float) -> None:
    """Targets (1, -2, 1) at -1, 0, 1: z = a (1, -2, 1) with a = min(1, beta), for |x| min(1, beta/2)."""
    a = min(1.0, beta if activation == "relu" else beta / 2)
    fit = denoising_score_matching(*HAT, beta, activation=activation, skip=skip)
    # The certificate's own tolerance; the answer is usually exact to rounding.
    assert np.max(np.abs(fit.z - a * HAT[1])) <= 1e-8
    assert abs(fit.value - (6 * a - 3 * a**2)) <= 1e-8


# --- Trend filtering -------------------------------------------------------------------------------------


def trend_filter(x: FloatArray, targets: FloatArray, weight: float) -> tuple[float, FloatArray]:
    """CVXPY's own trend filtering on unequally spaced points: divided differences, values at the data."""
    points, place = np.unique(x, return_inverse=True)
    unit = float(np.ptp(points))
    gaps = np.diff(points) / unit
    f, slopes = cp.Variable(len(points)), cp.Variable(len(gaps))
    variation = cp.norm1(cp.diff(slopes)) if len(gaps) > 1 else 0.0
    objective = 0.5 * cp.sum_squares(f[place] - targets) + weight / unit * variation
    problem = cp.Problem(cp.Minimize(objective), [cp.multiply(gaps, slopes) == cp.diff(f)])
    value = float(problem.solve(solver=cp.CLARABEL, **EXACTLY))
    return value, np.asarray(f.value)[place]


@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_skip_is_trend_filtering(evidence: Evidence, activation: Activation):
    values = evidence("ours-trend-filtering", "value-equals-trend-filtering", 1e-6).because(GENERAL_SOLVER)
    fits = evidence("ours-trend-filtering", "fit-equals-trend-filtering", 1e-4).because(
        "a value correct to 1e-8 fixes its strongly convex minimiser to the square root"
    )
    for seed in range(50):
        x, targets = noisy_sample(seed)
        beta = decay_for(x, targets, seed)
        fit = denoising_score_matching(x, targets, beta, activation=activation, skip=True)
        value, smooth = trend_filter(x, targets, beta if activation == "relu" else beta / 2)
        size = loss_of_the_mean(targets)
        values.holds(abs(value - fit.value) / size)
        fits.holds(float(np.linalg.norm(smooth - fit(x)) / np.sqrt(2 * size)))


# --- The two ends in beta --------------------------------------------------------------------------------


def by_point(x: FloatArray, targets: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """Distinct points, counts, mean targets, and the loss that ties make unavoidable."""
    points, place, counts = np.unique(x, return_inverse=True, return_counts=True)
    means = np.bincount(place, targets) / counts
    return points, counts, means, float(0.5 * np.sum((targets - means[place]) ** 2))


def small_decay_form(
    x: FloatArray, targets: FloatArray, activation: Activation
) -> tuple[float, float, float, float]:
    """With a skip connection and small beta: p* = floor + beta rate - beta^2 bend / 2, up to a largest beta.

    The beam is then everywhere at the bound on the side of the kinks of the polygon through the mean targets.
    """
    points, counts, means, floor = by_point(x, targets)
    share = 1.0 if activation == "relu" else 0.5
    slopes = np.diff(means) / np.diff(points)
    kinks = np.diff(slopes)
    g = np.concatenate([[0.0], share * np.sign(kinks), [0.0]])
    w = np.diff(np.concatenate([[0.0], -np.diff(g) / np.diff(points), [0.0]])) * -1
    moved = np.diff(np.diff(w / counts) / np.diff(points))  # kinks of the correction to the fit
    against = moved * np.sign(kinks) > 0
    largest = float(np.min(np.abs(kinks[against]) / np.abs(moved[against]), initial=np.inf))
    return floor, share * float(np.abs(kinks).sum()), float(np.sum(w**2 / counts)), largest


@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_small_decay_has_a_closed_form(evidence: Evidence, activation: Activation):
    seen = evidence("rem-denoising-finite", "value-follows-its-closed-form-to-zero-decay", 1e-8).because(
        "the certificate's own tolerance, in units of the loss of the best constant"
    )
    for seed in range(16):
        x, targets = noisy_sample(seed)
        floor, rate, bend, largest = small_decay_form(x, targets, activation)
        if not 0 < largest < np.inf:
            continue
        for part in (0.9, 0.1):
            beta = part * largest
            fit = denoising_score_matching(x, targets, beta, activation=activation, skip=True)
            expected = floor + beta * rate - beta**2 * bend / 2
            seen.holds(abs(fit.value - expected) / loss_of_the_mean(targets))


def polygon(x: FloatArray, targets: FloatArray) -> TwoLayerNetwork:
    """A ReLU network through the mean target at every distinct point: one hinge per point but the last."""
    points, _, means, _ = by_point(x, targets)
    slopes = np.diff(means) / np.diff(points)
    weights = np.diff(np.concatenate([[0.0], slopes]))
    root = np.sqrt(np.abs(weights))
    return TwoLayerNetwork.univariate(root, -root * points[:-1], np.sign(weights) * root, means[0])


def test_no_decay_at_all_is_finite_and_attained(evidence: Evidence):
    seen = evidence(
        "rem-denoising-finite", "a-polygon-attains-the-smallest-loss-without-decay", 1e-9
    ).because("rounding; the loss is compared with the squares that ties make unavoidable")
    for seed in range(40):
        x, targets = noisy_sample(seed)
        excess = denoising_loss(polygon(x, targets), x, targets, 0.0) - by_point(x, targets)[3]
        seen.holds(abs(excess) / loss_of_the_mean(targets))


def reach(x: FloatArray, rest: FloatArray, activation: Activation) -> float:
    """The largest |z^T phi| over unit neurons with a kink at a data point."""
    difference = x[:, None] - x
    right, left = rest @ np.maximum(difference, 0.0), rest @ np.maximum(-difference, 0.0)
    return float(np.max(np.abs([right, left] if activation == "relu" else right + left)))


@every_network
def test_the_two_ends_in_beta(evidence: Evidence, activation: Activation, skip: bool):
    large = evidence(
        "ours-denoising-ends", "from-the-threshold-on-the-fit-is-a-constant-or-a-line", 1e-8
    ).because("the certificate's own tolerance, in units of the loss of the best constant")
    small = evidence("ours-denoising-ends", "small-decay-interpolates-the-mean-targets", 1e-2).because(
        "the fit is off by at most beta over the square of the smallest gap, here times a thousandth"
    )
    for seed in range(25):
        x, targets = noisy_sample(seed)
        line = np.polynomial.Polynomial.fit(x, targets, 1 if skip else 0)(x)
        rest = targets - line
        left_over = float(0.5 * np.sum(rest**2))
        threshold = reach(x, rest, activation)
        size = loss_of_the_mean(targets)
        if threshold >= 1e-9 * natural_scale(x, targets):  # with two points a line leaves nothing
            fit = denoising_score_matching(x, targets, threshold, activation=activation, skip=skip)
            large.holds(abs(fit.value - left_over) / size)
            below = denoising_score_matching(x, targets, 0.9 * threshold, activation=activation, skip=skip)
            assert below.value <= left_over - 1e-6 * size
        x, targets = x[:8], targets[:8]
        points, _, means, _ = by_point(x, targets)
        shortest = np.diff(points).min() / np.std(x)
        if shortest < 0.05:
            continue
        beta = 1e-3 * natural_scale(x, targets) * shortest**2
        fit = denoising_score_matching(x, targets, beta, activation=activation, skip=skip)
        small.holds(float(np.max(np.abs(fit(points) - means)) / np.std(targets)))


# --- The sign, and what is learned -----------------------------------------------------------------------

LAWS = [standard_normal(), GaussianMixture((-1.0, 2.0), 0.5), paper_mixture()]


def mean_noise(law: GaussianMixture, sigma: float, x_noisy: FloatArray) -> FloatArray:
    """The mean of delta given x + sigma delta = x_noisy, by quadrature with the density of the data."""
    delta = np.linspace(-12, 12, 6001)
    weight = np.exp(-0.5 * delta**2 + law.log_density(x_noisy[:, None] - sigma * delta))
    return weight @ delta / weight.sum(axis=1)


def test_regression_on_the_target_is_the_smoothed_score(evidence: Evidence):
    right = evidence("eq-denoising-equivalence", "mean-of-minus-noise-is-the-smoothed-score", 1e-9).because(
        "the trapezoidal rule on Gaussians is exact to rounding; over the largest score"
    )
    printed = evidence(
        "eq-denoising-equivalence", "mean-of-plus-noise-is-minus-the-score", at_least=0.5
    ).because("distance to the score, over the largest score")
    tweedie = evidence(
        "rem-denoising-perturbed", "denoised-point-is-the-mean-of-the-clean-one", 1e-9
    ).because("the trapezoidal rule on Gaussians is exact to rounding; in units of the scale")
    for law in LAWS:
        for sigma in (0.1, 0.5, 2.0):
            smooth = law.smoothed(sigma)
            x_noisy = np.linspace(
                min(law.centers) - 2 * smooth.scale, max(law.centers) + 2 * smooth.scale, 31
            )
            score = smooth.score(x_noisy)
            largest = np.max(np.abs(score))
            noise = mean_noise(law, sigma, x_noisy)
            right.holds(float(np.max(np.abs(-noise / sigma - score)) / largest))
            printed.fails(float(np.max(np.abs(noise / sigma - score)) / largest))
            clean = x_noisy - sigma * noise
            tweedie.holds(float(np.max(np.abs(x_noisy + sigma**2 * score - clean)) / smooth.scale))


def drift(law: GaussianMixture, x: FloatArray, h: float) -> FloatArray:
    """The derivative of the score, by differences, plus its square."""
    return (law.score(x + h) - law.score(x - h)) / (2 * h) + law.score(x) ** 2


def test_smoothed_score_is_near_the_score_only_for_small_noise(evidence: Evidence):
    near = evidence("rem-denoising-perturbed", "distance-is-of-order-sigma-squared", 0.5).because(
        "the heat equation: the leading term is sigma^2/2 times (s' + s^2)'; the rest over the term"
    )
    h = 1e-3
    for law in LAWS:
        x = np.linspace(min(law.centers) - 2 * law.scale, max(law.centers) + 2 * law.scale, 41)
        leading = (drift(law, x + h, h) - drift(law, x - h, h)) / (4 * h)
        for sigma in (0.01, 0.05):
            distance = (law.smoothed(sigma).score(x) - law.score(x)) / sigma**2
            near.holds(float(np.max(np.abs(distance - leading)) / np.max(np.abs(leading))))
    # With large noise it is another score: half the slope for sigma = 1 and normal data.
    assert abs(standard_normal().smoothed(1.0).score([1.0])[0] + 0.5) <= 1e-15


def test_the_network_learns_the_perturbed_law(evidence: Evidence):
    seen = evidence(
        "rem-denoising-perturbed",
        "fit-is-nearer-to-the-smoothed-score",
        0.5,
        what="distance to the smoothed score / to the data's score",
    ).because("mean distance to the smoothed score over that to the score of the data, at noise of size one")
    for seed in range(3):
        rng = np.random.default_rng(seed)
        x, targets = perturb(standard_normal().sample(1000, rng), 1.0, rng)
        fit = denoising_score_matching(x, targets, 30.0)
        at = np.linspace(-2, 2, 81)
        smooth, data = (np.mean(np.abs(fit(at) - slope * at)) for slope in (-0.5, -1.0))
        seen.holds(float(smooth / data))


def paper_fits(seed: int, sign: float) -> tuple[list[UnivariateScore], FloatArray]:
    """Ten levels as in I.2: standard normal data, beta = 0.5, one draw of the noise per point."""
    rng = np.random.default_rng(seed)
    clean, sigmas = standard_normal().sample(300, rng), np.linspace(1.0, 0.01, 10)
    pairs = [perturb(clean, float(sigma), rng) for sigma in sigmas]
    return [denoising_score_matching(x, sign * targets, 0.5) for x, targets in pairs], sigmas


def test_the_printed_target_runs_away(evidence: Evidence):
    mirrored = evidence("ours-denoising-sign", "printed-target-fits-minus-the-score", 1e-6).because(
        "two certified solves; in units of the largest target"
    )
    stays = evidence(
        "ours-denoising-sign", "right-sign-stays-with-the-data", 0.1, what="share of samples that leave"
    ).because("share of samples farther than four standard deviations from the mean of the data")
    leaves = evidence(
        "ours-denoising-sign", "printed-sign-leaves-the-data", 0.5, what="share of samples that stay"
    ).because("share of samples that are still within four standard deviations")
    for seed in range(5):
        far = {}
        fits = {sign: paper_fits(seed, sign) for sign in (1.0, -1.0)}
        for sign, (scores, sigmas) in fits.items():
            rng = np.random.default_rng(seed + 50)
            samples = annealed_langevin_dynamics(
                scores,
                sigmas,
                rng.uniform(-1, 1, 2000),
                step_size=0.2 * 0.01**2,
                n_steps_each=10,
                rng=rng,
            )
            far[sign] = float(np.mean(np.abs(samples) > 4))
        at = np.linspace(-3, 3, 31)
        for right, wrong in zip(fits[1.0][0], fits[-1.0][0], strict=True):
            mirrored.holds(float(np.max(np.abs(right(at) + wrong(at))) / np.max(np.abs(right.z))))
        stays.holds(far[1.0])
        leaves.holds(1 - far[-1.0])


def linear_law(start: float, eta: float, sigmas: FloatArray, steps: int) -> tuple[float, float]:
    """Mean and variance after annealing normal data from a point: the score of every level is linear."""
    mean, variance = start, 0.0
    for sigma in sigmas:
        step = eta * float(sigma / sigmas[-1]) ** 2
        for _ in range(steps):
            factor = 1 - step / (1 + float(sigma) ** 2)
            mean, variance = factor * mean, factor**2 * variance + 2 * step
    return mean, variance


def test_annealing_follows_the_linear_recursion(evidence: Evidence):
    seen = evidence(
        "alg-annealed-langevin",
        "moments-are-those-of-the-linear-recursion",
        7.0,
        what="distance in standard errors",
    ).because("standard errors of a mean and of a variance: beyond seven with probability below 1e-11")
    n, sigmas = 50_000, np.linspace(1.0, 0.1, 10)
    scores = [standard_normal().smoothed(sigma).score for sigma in sigmas]
    for seed, (eta, steps) in enumerate([(0.002, 10), (0.005, 3), (0.0001, 30)]):
        rng = np.random.default_rng(seed)
        x = annealed_langevin_dynamics(
            scores, sigmas, np.full(n, 2.0), step_size=eta, n_steps_each=steps, rng=rng
        )
        mean, variance = linear_law(2.0, eta, sigmas, steps)
        seen.holds(float(abs(x.mean() - mean) / np.sqrt(variance / n)))
        seen.holds(float(abs(x.var() - variance) / (variance * np.sqrt(2 / n))))


# --- Symmetries, as properties ---------------------------------------------------------------------------


@every_network
@checked
@given(data=st.data())
def test_units_and_lines_pass_through(activation: Activation, skip: bool, data: st.DataObject) -> None:
    """Change the units of x, change those of the targets, add a constant (with skip: a line)."""
    x = data.draw(data_sets(distinct=2, dyadic=True))
    n = len(x)
    targets = np.array(data.draw(st.lists(st.integers(-64, 64), min_size=n, max_size=n))) / 8
    if np.ptp(targets) == 0:
        targets = targets + np.arange(n)
    beta = natural_scale(x, targets) * data.draw(st.sampled_from([0.01, 0.1, 1.0]))
    far = data.draw(st.sampled_from([0.0, 1024.0]))
    order = np.random.default_rng(n).permutation(n)
    tilt = 0.25 if skip else 0.0
    fit = denoising_score_matching(x, targets, beta, activation=activation, skip=skip)
    other = denoising_score_matching(
        (4 * x + far)[order],
        (-2 * targets + 3 + tilt * x)[order],
        8 * beta,
        activation=activation,
        skip=skip,
    )
    size = loss_of_the_mean(targets)
    assert abs(other.value - 4 * fit.value) <= 1e-7 * size  # both certified to 1e-8
    # A certified gap of 1e-8 fixes the values at the data to its square root, 1e-4, in these units.
    apart = other(4 * x + far) - (-2 * fit(x) + 3 + tilt * x)
    assert np.max(np.abs(apart)) <= 1e-3 * np.sqrt(size)


@every_network
@pytest.mark.parametrize(("length", "offset"), [(1e-8, 0.0), (1e8, 0.0), (1.0, 1e6)])
@pytest.mark.parametrize("size", [1e-8, 1e8])
def test_sizes_far_from_one(
    activation: Activation, skip: bool, length: float, offset: float, size: float
) -> None:
    x, targets = noisy_sample(15)
    beta = 0.1 * natural_scale(x, targets)
    fit = denoising_score_matching(x, targets, beta, activation=activation, skip=skip)
    other = denoising_score_matching(
        length * x + offset, size * targets, length * size * beta, activation=activation, skip=skip
    )
    # Both are certified to 1e-8; an offset of 1e6 rounds the data to 1e-10.
    assert abs(other.value / size**2 - fit.value) <= 1e-7 * loss_of_the_mean(targets)
