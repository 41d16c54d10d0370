"""Evidence for the chapter on absolute value networks: Theorem 1, Lemma 5, the spacing Lasso, ReLU beside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
import torch
from claims_witness import Evidence
from routes import (
    BOTH_GENERAL,
    CERTIFICATE,
    EXPLICIT_POINT,
    GENERAL_SOLVER,
    IN_UNITS_OF_THE_LOSS,
    LINEAR_SOLVER,
    POLISHED,
    RECONSTRUCTION,
    TRAINING,
    TWO_CERTIFICATES,
    certified_gaps,
    disagreements,
    duality_gaps,
    mixed_sample,
    scale_of,
    undercuts,
)
from scipy.optimize import linprog
from sklearn.linear_model import Lasso, LassoLars
from strategies import EXACTLY, decay_between, random_network, threshold, two_sided_rows

from convexdiff_lib import score_matching, score_matching_loss
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.line.kink_network import KinkNetwork
from convexdiff_lib.line.network_certificates import certify_score_matching, dual_violation
from convexdiff_lib.networks import TwoLayerNetwork
from convexdiff_lib.paper.univariate_programs import (
    LassoProgram,
    network_from_program,
    score_matching_dual,
    score_matching_program,
    solve_program,
)


def distinct_sample(seed: int, n: int | None = None) -> FloatArray:
    """The same without ties."""
    x = mixed_sample(seed)
    if len(np.unique(x)) < len(x):
        x = np.random.default_rng(seed).normal(size=len(x))
    return np.sort(x if n is None else x[:n])


def any_decay(x: FloatArray, seed: int) -> float:
    low = threshold(x, "abs", False)
    return decay_between(low, max(2.0 * len(x), low), seed)


def solve_abs_program(x: FloatArray, beta: float) -> LassoProgram:
    return solve_program(score_matching_program(x, beta, activation="abs"))


def spacing_estimate(x: FloatArray) -> FloatArray:
    """1/h_j - 1/h_(j-1) at sorted distinct points, with nothing beyond the ends."""
    return np.diff(np.concatenate([[0.0], 1 / np.diff(x), [0.0]]))


def centred_distances(x: FloatArray) -> FloatArray:
    distances = np.abs(x[:, None] - x)
    return distances - distances.mean(axis=0)


def problems(n: int) -> Iterator[tuple[FloatArray, float]]:
    for seed in range(n):
        x = mixed_sample(seed)
        yield x, any_decay(x, seed)


def test_program_fast_route_and_network_agree(evidence: Evidence):
    seen = evidence("thm-univariate-abs", "literal-program-equals-trained-network", 1e-6)
    seen.because(GENERAL_SOLVER).all_hold(disagreements(problems(70), "abs"))


def test_program_equals_its_dual(evidence: Evidence):
    seen = evidence("thm-univariate-abs", "strong-duality-of-the-printed-pair", 1e-6)
    seen.because(BOTH_GENERAL).all_hold(duality_gaps(problems(70), "abs"))


def test_certificate_closes(evidence: Evidence):
    seen = evidence("thm-univariate-abs", "certified-duality-gap", 1e-8).because(POLISHED)
    seen.all_hold(certified_gaps(problems(210), "abs"))


def test_adam_is_never_below(evidence: Evidence):
    seen = evidence("thm-univariate-abs", "no-trained-network-is-below", 1e-9).because(TRAINING)
    seen.all_hold(undercuts((1.5, 3.0, 6.0, 12.0), "abs"))


def test_an_underestimate_would_be_noticed():
    """The falsifier can fire: an optimum claimed too high is beaten by the returned network."""
    x = np.random.default_rng(0).normal(size=15)
    fit = score_matching(x, 3.0, activation="abs")
    claimed = fit.value + 1e-3 * fit.certificate.scale
    assert claimed - score_matching_loss(fit.network(), x, 3.0) >= 0.5e-3 * fit.certificate.scale


def test_certificate_rejects_false_answers():
    x = np.random.default_rng(5).normal(size=40)
    fit = score_matching(x, 4.0, activation="abs")
    net = fit.kink_network
    bent = replace(net, weights=1.01 * net.weights)
    for candidate, z, beta in ((bent, fit.z, 4.0), (net, 0.99 * fit.z, 4.0), (net, fit.z, 4.2)):
        assert not certify_score_matching(x, candidate, z, beta, activation="abs").holds


def test_the_spacing_estimate_meets_every_bound_at_one(evidence: Evidence):
    seen = evidence("lem-abs-feasible", "explicit-point-meets-every-bound", 1e-8).because(EXPLICIT_POINT)
    for seed in range(40):
        x = distinct_sample(seed)
        # At beta = 1 the point is feasible, so for beta > 1 it is strictly so.
        seen.holds(dual_violation(x, -spacing_estimate(x), 1.0, activation="abs") / len(x))


def smallest_decay(columns: FloatArray, counts: FloatArray, offset: float = 0.0) -> float:
    """The smallest beta at which some z with z'1 = 0 has |columns' z - counts| <= beta - offset."""
    n, minus_beta = len(columns), -np.ones((len(counts), 1))
    found = linprog(
        np.append(np.zeros(n), 1.0),
        A_ub=np.block([[columns.T, minus_beta], [-columns.T, minus_beta]]),
        b_ub=np.concatenate([counts, -counts]) - offset,
        A_eq=[np.append(np.ones(n), 0.0)],
        b_eq=[0.0],
        bounds=(None, None),
    )
    assert found.status == 0
    return float(found.fun)


def test_nothing_is_feasible_below_one(evidence: Evidence):
    seen = evidence("lem-abs-feasible", "smallest-feasible-decay-is-one", 1e-6).because(LINEAR_SOLVER)
    for seed in range(30):
        x = distinct_sample(seed)
        distances = np.abs(x[:, None] - x) / x.std()  # the threshold has no unit
        counts = score_matching_program(x, 1.0, activation="abs").b
        seen.holds(abs(smallest_decay(np.hstack([distances, distances]), counts) - 1.0))


def test_signed_rule_attains_and_printed_rule_misses(evidence: Evidence):
    right = evidence("rule-abs-reconstruction", "signed-rule-attains-optimum", 1e-6).because(RECONSTRUCTION)
    printed = evidence("rule-abs-reconstruction", "printed-rule-misses-optimum", at_least=0.1).because(
        IN_UNITS_OF_THE_LOSS
    )
    for seed in range(20):
        x = np.random.default_rng(seed).normal(size=4 + seed)
        beta = 0.6 * len(x)
        solution = solve_abs_program(x, beta)
        scale = scale_of(x, solution.value)
        losses = {
            rule: score_matching_loss(
                network_from_program(x, solution.y, activation="abs", rule=rule), x, beta
            )
            for rule in ("signed", "printed")
        }
        right.holds(abs(losses["signed"] - solution.value) / scale)
        printed.fails((losses["printed"] - solution.value) / scale)


def lasso_objective(x: FloatArray, t: FloatArray, beta: float) -> float:
    """The value of the Lasso on the spacing estimate, less the constant that the program lacks."""
    r = spacing_estimate(x)
    fit = 0.5 * np.sum((centred_distances(x) @ t - r) ** 2)
    return float(fit - 0.5 * np.sum(r**2) + (beta - 1) * np.abs(t).sum())


def test_linear_term_is_a_regression_on_spacings(evidence: Evidence):
    identity = evidence(
        "ours-spacing-lasso", "linear-term-is-minus-the-correlation-with-the-responses", 1e-12
    ).because("rounding, relative to the sum of the sizes of the terms")
    for seed in range(60):
        x = distinct_sample(seed)
        n, A, r = len(x), centred_distances(x), spacing_estimate(x)
        counts = n - 2 * np.arange(1, n + 1) + 1.0
        identity.holds(float(np.max(np.abs(A.T @ r + counts) / (np.abs(A.T) @ np.abs(r) + n))))


def test_lasso_solvers_find_the_optimum(evidence: Evidence):
    descent = evidence("ours-spacing-lasso", "coordinate-descent-finds-the-optimum", 1e-8).because(
        "stopping rule of scikit-learn's Lasso, set to 1e-13 of the squared responses"
    )
    path = evidence("ours-spacing-lasso", "least-angle-regression-finds-the-optimum", 1e-8).because(
        "rounding over the steps of the path, which divides by small gaps"
    )
    for seed in range(50):
        x = np.sort(np.random.default_rng(seed).normal(size=5 + seed % 20))
        n = len(x)
        A, r = centred_distances(x), spacing_estimate(x)
        for beta in (1.2, 0.5 * n, 0.7 * n):
            fit = score_matching(x, beta, activation="abs")
            options = {"alpha": (beta - 1) / n, "fit_intercept": False, "max_iter": 1_000_000}
            if beta > 1.2:  # nearer to the threshold coordinate descent takes too many sweeps
                found = Lasso(tol=1e-13, **options).fit(A, r)
                assert found.n_iter_ < 1_000_000
                error = lasso_objective(x, found.coef_, beta) - fit.value
                descent.holds(abs(error) / scale_of(x, fit.value))
            # The two outer columns are one line up to sign; this solver wants each column once.
            t = np.append(LassoLars(**options).fit(A[:, :-1], r).coef_, 0.0)
            path.holds(abs(lasso_objective(x, t, beta) - fit.value) / scale_of(x, fit.value))


def test_at_the_threshold_the_score_interpolates(evidence: Evidence):
    seen = evidence("ours-spacing-lasso", "threshold-interpolates-the-spacing-estimate", 1e-7).because(
        "the network's values are sums of hinges as large as one over the smallest gap"
    )
    for seed in range(40):
        x = distinct_sample(seed)
        r = spacing_estimate(x)
        fit = score_matching(x, 1.0, activation="abs")
        seen.holds(float(np.linalg.norm(fit(x) - r) / np.linalg.norm(r)))
        assert abs(fit.value + 0.5 * np.sum(r**2)) <= 1e-8 * np.sum(r**2)  # the certificate's tolerance


def test_tied_ends_of_one_multiplicity_keep_the_lasso():
    """With ties the responses are (k_j + k_(j+1)) / 2h, differenced, over k_j: if the ends are alike."""
    rng = np.random.default_rng(3)
    for inner in ([1, 2, 1], [3, 1, 1, 2], [1] * 5):
        counts = np.array([2, *inner, 2])
        values = np.cumsum(0.2 + rng.exponential(size=len(counts)))
        x, beta = np.repeat(values, counts), 6.0
        steps = (counts[:-1] + counts[1:]) / 2 / np.diff(values)
        r = np.diff(np.concatenate([[0.0], steps, [0.0]])) / counts
        distances = np.abs(values[:, None] - values)
        A = distances - (counts @ distances) / counts.sum()
        t = cp.Variable(len(counts))
        loss = 0.5 * cp.sum_squares(cp.multiply(np.sqrt(counts), A @ t - r)) + (beta - counts) @ cp.abs(t)
        value = cp.Problem(cp.Minimize(loss)).solve(solver=cp.CLARABEL, **EXACTLY)
        optimum = score_matching(x, beta, activation="abs").value
        assert abs(value - 0.5 * counts @ r**2 - optimum) <= 1e-6 * scale_of(x, optimum)


@pytest.mark.parametrize(
    ("first", "last", "inside"), [(1, 1, True), (2, 2, True), (1, 2, False), (3, 1, False)]
)
def test_unlike_ends_leave_the_range(first: int, last: int, inside: bool):
    """The linear term, counts above less counts below, against the range of the distances' transpose."""
    counts = np.array([first, 1, 3, 1, last])
    values = np.array([0.0, 1.0, 1.5, 3.0, 4.0])
    linear = np.array([counts[j + 1 :].sum() - counts[:j].sum() for j in range(5)], dtype=float)
    distances = np.abs(values[:, None] - values)
    transpose = (distances - (counts @ distances) / counts.sum()).T
    rest = linear - transpose @ np.linalg.lstsq(transpose, linear, rcond=None)[0]
    if inside:
        assert np.linalg.norm(rest) <= 1e-12
    else:
        assert np.linalg.norm(rest) >= 0.1


def beam_heights(x: FloatArray, z: FloatArray) -> FloatArray:
    """g_i = sum_k z_k (x_k - x_i)_+, from its definition."""
    return np.maximum(x[:, None] - x, 0.0).T @ z


def test_tube_is_the_printed_constraints(evidence: Evidence):
    tube = evidence("ours-beam-abs", "tube-and-printed-constraints-have-one-violation", 1e-12).because(
        "rounding, relative to the largest constraint value"
    )
    vector = evidence("ours-beam-abs", "beam-vector-equals-printed-dual-vector", 1e-5).because(
        "a dual value correct to 1e-10 fixes its strongly concave maximiser to the square root"
    )
    for seed in range(50):
        x = distinct_sample(seed)
        n = len(x)
        rank = n - 2 * np.arange(1, n + 1) + 1
        z = np.random.default_rng(seed).normal(size=n)
        z = (z - z.mean()) / np.std(x)
        g = beam_heights(x, z)
        printed = np.max(np.abs(np.hstack([np.abs(x[:, None] - x)] * 2).T @ z - both_counts(x)))
        tube.holds(float(abs(np.max(np.abs(2 * g - g[0] - rank)) + 1 - printed) / printed))
        beta = any_decay(x, seed) + 0.01
        fit = score_matching(x, beta, activation="abs")
        found, _ = score_matching_dual(x, beta, activation="abs")
        vector.holds(float(np.linalg.norm(found - fit.z) / np.sqrt(2 * scale_of(x, fit.value))))


def both_counts(x: FloatArray) -> FloatArray:
    """Sums of signs with sign(0) = +1, then -1, counted point by point."""
    early = [sum(1 if xi >= t else -1 for xi in x) for t in x]
    late = [sum(1 if xi > t else -1 for xi in x) for t in x]
    return np.array([*early, *late], dtype=float)


def test_rescaling(evidence: Evidence):
    invariant = evidence("rem-rescaling", "rescaled-neurons-are-the-same-function", 1e-12).because(
        "rounding of values and slopes, relative to their size"
    )
    cheapest = evidence("rem-rescaling", "balanced-neurons-cost-the-absolute-value", 1e-12).because(
        "rounding, relative to the penalty"
    )
    for seed in range(40):
        rng = np.random.default_rng(seed)
        activation: Activation = ("relu", "abs")[seed % 2]
        net = random_network(rng, activation)
        x = rng.normal(size=30)
        factor = np.exp(rng.normal(size=net.width))
        scaled = replace(net, W1=net.W1 * factor[:, None], b1=net.b1 * factor, W2=net.W2 / factor)
        before = np.concatenate([net(x), net.divergence(x)])
        after = np.concatenate([scaled(x), scaled.divergence(x)])
        invariant.holds(float(np.max(np.abs(after - before)) / np.max(np.abs(before))))
        w, alpha = net.W1[:, 0], net.W2[0]
        unit = KinkNetwork(
            -net.b1 / w,
            np.sign(w),
            np.abs(w) * alpha,
            np.zeros(net.width, bool),
            constant=float(net.b2[0]),
            slope=float(net.V[0, 0]),
            activation=activation,
        )
        balanced = unit.two_layer()
        size = unit.total_weight
        cheapest.holds(float(abs(0.5 * balanced.squared_norm - size) / size))
        for other in (net, scaled):  # no other scaling is cheaper
            assert 0.5 * other.squared_norm >= size * (1 - 1e-12)


def constraint_at(x: FloatArray, z: FloatArray, t: float, activation: Activation) -> float:
    """The largest |z' phi - l| of the unit neurons with their kink at t."""
    largest = 0.0
    for facing in (1.0, -1.0):
        u = facing * (x - t)
        value = np.maximum(u, 0.0) if activation == "relu" else np.abs(u)
        slope = np.where(u >= 0, 1.0, 0.0 if activation == "relu" else -1.0)
        largest = max(largest, abs(float(z @ value - facing * slope.sum())))
    return largest


@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_kinks_at_the_data_are_enough(evidence: Evidence, activation):
    seen = evidence("rem-kinks-at-data", "no-kink-elsewhere-is-tighter", 1e-12).because(
        "rounding; the residual is what the tightest of 400 other kinks adds, over the constraint value"
    )
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x = np.sort(mixed_sample(seed))
        z = rng.normal(size=len(x)) / (np.std(x) or 1.0)
        z -= z.mean()
        rows = two_sided_rows(x, activation)
        at_data = max(abs(float(row @ z) - count) for family in rows.values() for row, count in family)
        assert at_data > 0
        width = np.ptp(x) + 1.0
        places = rng.uniform(x[0] - width, x[-1] + width, 400)
        elsewhere = max(constraint_at(x, z, float(t), activation) for t in places)
        seen.holds(max(0.0, elsewhere - at_data) / at_data)


def test_kinks_elsewhere_matter_when_z_does_not_sum_to_zero():
    """The hypothesis that the output bias is free: without z'1 = 0 far kinks violate any bound."""
    x, z = np.array([0.0, 1.0, 3.0]), np.array([0.5, 0.2, 0.1])
    at_data = max(constraint_at(x, z, float(t), "abs") for t in x)
    assert constraint_at(x, z, -100.0, "abs") >= 10 * at_data


def merged_relu(x: FloatArray, beta: float) -> float:
    """The merged program with 2n variables, from its display."""
    n = len(x)
    j = np.arange(1, n + 1)
    hinges = [np.maximum(sign * (x[:, None] - x), 0.0) for sign in (1, -1)]
    A1, A2 = (h - h.mean(axis=0) for h in hinges)
    t, u = cp.Variable(n), cp.Variable(n)
    unit = float(np.median(np.diff(x))) if n > 1 else 1.0
    loss = 0.5 * cp.sum_squares((A1 / unit) @ t + (A2 / unit) @ u)
    loss += (n - j + 0.5) @ t - (j - 0.5) @ u + (beta - 0.5) * (cp.norm1(t) + cp.norm1(u))
    return float(cp.Problem(cp.Minimize(loss)).solve(solver=cp.CLARABEL, **EXACTLY)) / unit**2


def test_merged_relu_program(evidence: Evidence):
    seen = evidence("ours-merged-relu", "merged-program-has-the-printed-optimum", 1e-6).because(
        "both programs come from the general-purpose solver"
    )
    outside = evidence("ours-merged-relu", "its-linear-term-is-no-regression", 1e-9).because(
        "rounding; how far the distance of the linear term from the range is below that of two 1/2"
    )
    for seed in range(35):
        x = distinct_sample(seed)
        n = len(x)
        beta = decay_between(1.0, 2.0 * n, seed)
        literal = solve_program(score_matching_program(x, beta)).value
        seen.holds(abs(merged_relu(x, beta) - literal) / scale_of(x, literal))
        j = np.arange(1, n + 1)
        linear = np.concatenate([n - j + 0.5, -(j - 0.5)])
        hinges = np.hstack([np.maximum(sign * (x[:, None] - x), 0.0) for sign in (1, -1)]) / x.std()
        A = hinges - hinges.mean(axis=0)
        rest = linear - A.T @ np.linalg.lstsq(A.T, linear, rcond=None)[0]
        outside.holds(max(0.0, np.sqrt(0.5) - float(np.linalg.norm(rest))))


def test_dead_hinges_set_the_threshold(evidence: Evidence):
    alone = evidence("ours-dead-atom", "one-dead-hinge-needs-decay-one", 1e-12).because(
        "rounding of one count"
    )
    without = evidence("ours-dead-atom", "without-both-two-thirds-suffice", 1e-6).because(LINEAR_SOLVER)
    for seed in range(30):
        x = np.sort(np.random.default_rng(seed).normal(size=3 + seed))
        n = len(x)
        j = np.arange(1, n + 1)
        right, left = (np.maximum(sign * (x[:, None] - x), 0.0) for sign in (1, -1))
        costs = np.concatenate([n - j + 0.5, -(j - 0.5)])
        for dead, column in ((n - 1, right[:, -1]), (n, left[:, 0])):
            assert np.max(np.abs(column)) == 0.0
            # |0 - cost| <= beta - 1/2 says beta >= 1
            alone.holds(abs(abs(costs[dead]) + 0.5 - 1.0))
        kept = np.ones(2 * n, dtype=bool)
        kept[[n - 1, n]] = False
        columns = np.hstack([right, left])[:, kept]
        without.holds(abs(smallest_decay(columns, costs[kept], offset=0.5) - 2 / 3))


def slopes_of(b: torch.Tensor, w: FloatArray, alpha: FloatArray, x: FloatArray) -> torch.Tensor:
    """Sum of s'(x_i) of a ReLU network as PyTorch differentiates it, twice."""
    points = torch.tensor(x, requires_grad=True)
    pre = points[:, None] * torch.tensor(w) + b
    score = (torch.relu(pre) * torch.tensor(alpha)).sum(dim=1)
    (derivative,) = torch.autograd.grad(score.sum(), points, create_graph=True)
    return derivative.sum()


def test_gradients_do_not_see_the_slopes_move(evidence: Evidence):
    gradient = evidence("rem-no-jacobian", "gradient-of-the-slopes-in-the-biases-is-zero", 0.0).because(
        "automatic differentiation returns exact zeros"
    )
    jump = evidence("rem-no-jacobian", "slopes-jump-by-the-weight-when-a-kink-passes-a-point", 1e-12).because(
        "rounding of a sum, relative to the weight of the neuron"
    )
    counted = evidence("rem-no-jacobian", "the-program-holds-the-slopes-as-a-constant-vector", 0.0).because(
        "sums of slopes are whole numbers"
    )
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, m = np.sort(rng.normal(size=12)), 6
        w, alpha = np.sign(rng.normal(size=m)), rng.normal(size=m)
        kinks = (x[:-1] + np.diff(x) / 2)[rng.choice(11, m, replace=False)]
        b = torch.tensor(-w * kinks, requires_grad=True)
        total = slopes_of(b, w, alpha, x)
        (found,) = torch.autograd.grad(total, b, allow_unused=True)
        gradient.holds(0.0 if found is None else float(found.abs().max()))
        # Move one kink over the next point to the right.
        moved = kinks.copy()
        i = int(np.searchsorted(x, kinks[0]))
        moved[0] = x[i] + 0.5 * (x[min(i + 1, 11)] - x[i]) + (0.1 if i == 11 else 0.0)
        nets = [TwoLayerNetwork.univariate(w, -w * k, alpha) for k in (kinks, moved)]
        change = float(np.sum(nets[1].divergence(x)) - np.sum(nets[0].divergence(x)))
        jump.holds(abs(abs(change) - abs(alpha[0])) / abs(alpha[0]))
        program = score_matching_program(x, 2.0, activation="abs")
        counted.holds(float(np.max(np.abs(program.b - both_counts(x)))))


def test_relu_lies_between_two_absolute_values(evidence: Evidence):
    seen = evidence("ours-relu-between", "relu-optimum-lies-between", 2e-8).because(TWO_CERTIFICATES)
    for seed in range(60):
        x = distinct_sample(seed)
        beta = decay_between(1.0, 2.0 * len(x), seed)
        low = score_matching(x, beta, activation="abs").value
        middle = score_matching(x, beta).value
        high = score_matching(x, 2 * beta, activation="abs").value
        seen.holds(max(0.0, low - middle, middle - high) / scale_of(x, low))


def test_outer_slopes_are_opposite(evidence: Evidence):
    seen = evidence("ours-abs-tails", "outer-slopes-are-opposite", 1e-9).because(
        "rounding, relative to the largest slope"
    )
    exchange = evidence("ours-abs-tails", "ends-exchange-at-no-cost", 1e-8).because(CERTIFICATE)
    for seed in range(40):
        x = np.random.default_rng(seed).normal(size=10 + seed)
        fit = score_matching(x, 0.3 * len(x), activation="abs")
        slopes = fit.score.slopes
        seen.holds(abs(slopes[0] + slopes[-1]) / np.abs(slopes).max())
        level = level_tails(fit.kink_network, x)
        if level is None:
            continue
        exchange.holds(certify_score_matching(x, level, fit.z, fit.beta, activation="abs").relative_gap)
        assert abs(level.weights.sum()) <= 1e-12 * np.abs(level.weights).sum()


def level_tails(net: KinkNetwork, x: FloatArray) -> KinkNetwork | None:
    """Exchange weight between the two end neurons until the outer slopes vanish, where that is free."""
    first, last = (float(net.weights[net.kinks == end].sum()) for end in (x.min(), x.max()))
    shift = -float(net.weights.sum()) / 2
    if not (first + shift <= 0 <= last + shift and first <= 0 <= last):
        return None
    inner = (net.kinks > x.min()) & (net.kinks < x.max())
    moved = replace(
        net,
        kinks=np.concatenate([net.kinks[inner], [x.min(), x.max()]]),
        facing=np.concatenate([net.facing[inner], [1.0, -1.0]]),
        weights=np.concatenate([net.weights[inner], [first + shift, last + shift]]),
        beyond=np.zeros(inner.sum() + 2, dtype=bool),
        constant=0.0,
    )
    return replace(moved, constant=-float(np.mean(moved(x))))
