"""Evidence for the chapter on univariate ReLU networks: Theorem 1, Lemma 4, rule (8), and beyond."""

from __future__ import annotations

from collections.abc import Iterator

import cvxpy as cp
import numpy as np
import pytest
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
    certified_gaps,
    disagreements,
    duality_gaps,
    mixed_sample,
    scale_of,
    undercuts,
)
from strategies import EXACTLY, decay_between

from convexdiff_lib import TwoLayerNetwork, score_matching, score_matching_loss
from convexdiff_lib.line.network_certificates import dual_violation
from convexdiff_lib.paper.univariate_programs import (
    LassoProgram,
    network_from_program,
    score_matching_dual,
    score_matching_program,
    solve_program,
)

# Three points that show the subtleties of the ReLU program: one neuron must sit just beyond its data point.
SUBTLE, SUBTLE_BETA = np.array([0.0, 1.0, 11.0]), 1.2


def solve_relu_program(x: np.ndarray, beta: float) -> LassoProgram:
    return solve_program(score_matching_program(x, beta))


def distinct_sample(seed: int) -> np.ndarray:
    return mixed_sample(seed, ties=False)


def decay_for(x: np.ndarray, seed: int) -> float:
    """A weight decay from the threshold, exactly, to 2n."""
    return decay_between(1.0, 2.0 * len(x), seed)


def problems(n: int, more: float = 0.0) -> Iterator[tuple[np.ndarray, float]]:
    for seed in range(n):
        x = distinct_sample(seed)
        yield x, decay_for(x, seed) + more


def test_program_beam_and_network_agree(evidence: Evidence):
    seen = evidence("thm-univariate-relu", "literal-program-equals-trained-network", 1e-6)
    seen.because(GENERAL_SOLVER).all_hold(disagreements(problems(50), "relu"))


def test_program_equals_its_dual(evidence: Evidence):
    seen = evidence("thm-univariate-relu", "strong-duality-of-the-printed-pair", 1e-6)
    seen.because(BOTH_GENERAL).all_hold(duality_gaps(problems(20, 0.01), "relu"))


def test_certificate_closes(evidence: Evidence):
    seen = evidence("thm-univariate-relu", "certified-duality-gap", 1e-8).because(POLISHED)
    seen.all_hold(certified_gaps(problems(200), "relu"))


def test_adam_is_never_below(evidence: Evidence):
    seen = evidence("thm-univariate-relu", "no-trained-network-is-below", 1e-9).because(TRAINING)
    seen.all_hold(undercuts((1.5, 3.0, 6.0, 12.0), "relu"))


def test_an_underestimate_would_be_noticed():
    """The falsifier can fire: an optimum claimed too high is beaten by the returned network."""
    x = np.random.default_rng(0).normal(size=15)
    fit = score_matching(x, 3.0)
    claimed = fit.value + 1e-3 * fit.certificate.scale
    assert claimed - score_matching_loss(fit.network(), x, 3.0) >= 0.5e-3 * fit.certificate.scale


def lemma_point(x: np.ndarray) -> np.ndarray:
    """The dual point of the proof of Lemma 4: g follows the rank line, g_1 = n."""
    n = len(x)
    slopes = np.diff(np.concatenate([[float(n)], np.arange(n - 1.0, 1.0, -1.0), [0.0]])) / np.diff(x)
    return np.diff(np.concatenate([[0.0], slopes, [0.0]]))


def test_lemma_point_is_strictly_feasible_above_one(evidence: Evidence):
    seen = evidence("lem-relu-feasible", "explicit-point-meets-every-bound", 1e-8).because(EXPLICIT_POINT)
    for seed in range(40):
        x = np.sort(distinct_sample(seed))
        # At every beta >= 1 the point is feasible, so for beta > 1 it is strictly so.
        seen.holds(dual_violation(x, lemma_point(x), 1.0) / len(x))


def smallest_feasible_decay(x: np.ndarray) -> float:
    """The smallest beta with a feasible dual point, by linear programming on the printed constraints."""
    x = (x - x.mean()) / x.std()  # the threshold has no unit, and the solver likes order one
    right, left = (np.maximum(sign * (x[:, None] - x), 0.0) for sign in (1, -1))
    columns, counts = np.hstack([right, right, left, left]), score_matching_program(x, 1.0).b
    z, bound = cp.Variable(len(x)), cp.Variable()
    problem = cp.Problem(cp.Minimize(bound), [cp.abs(columns.T @ z - counts) <= bound, cp.sum(z) == 0])
    return float(problem.solve(solver=cp.CLARABEL, **EXACTLY))


def test_nothing_is_feasible_below_one(evidence: Evidence):
    seen = evidence("lem-relu-feasible", "smallest-feasible-decay-is-one", 1e-6).because(LINEAR_SOLVER)
    for seed in range(0, 40, 2):
        seen.holds(abs(smallest_feasible_decay(distinct_sample(seed)) - 1.0))


def test_signed_rule_attains_and_printed_rule_misses(evidence: Evidence):
    right = evidence("rule-relu-reconstruction", "signed-rule-attains-optimum", 1e-6).because(RECONSTRUCTION)
    printed = evidence("rule-relu-reconstruction", "printed-rule-misses-optimum", at_least=0.1).because(
        IN_UNITS_OF_THE_LOSS
    )
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=4 + seed)
        beta = 0.6 * len(
            x
        )  # an optimum with a negative weight; where all are positive the printed rule is right
        solution = solve_relu_program(x, beta)
        scale = scale_of(x, solution.value)
        losses = {
            rule: score_matching_loss(network_from_program(x, solution.y, rule=rule), x, beta)
            for rule in ("signed", "printed")
        }
        right.holds(abs(losses["signed"] - solution.value) / scale)
        printed.fails((losses["printed"] - solution.value) / scale)


def test_printed_predictor_loses_the_signs(evidence: Evidence):
    right = evidence("disp-univariate-predictor", "signed-sum-is-the-score", 1e-9).because(
        "rounding of a sum of hinges"
    )
    printed = evidence("disp-univariate-predictor", "printed-sum-is-not", at_least=0.1).because(
        "largest error at the data, over the largest score there"
    )
    for seed in range(20):
        x = np.random.default_rng(seed).normal(size=2 + seed)
        fit = score_matching(x, 1.0 + 0.3 * seed, activation="abs")
        y, t = fit.kink_network.weights, fit.kink_network.kinks
        distances = np.abs(x[:, None] - t)
        right.holds(
            float(np.max(np.abs(distances @ y + fit.kink_network.constant - fit(x))) / np.max(np.abs(fit(x))))
        )
        wrong = distances @ np.abs(y) - np.mean(distances @ np.abs(y))
        printed.fails(float(np.max(np.abs(wrong - fit(x))) / np.max(np.abs(fit(x)))))


def subtle_cases() -> list[tuple[np.ndarray, float]]:
    """Instances in which a neuron of visible weight has to sit just beyond its point."""
    cases = [(SUBTLE, SUBTLE_BETA)]
    for seed in range(12):
        gaps = 0.1 + np.random.default_rng(seed).exponential(size=2 + seed % 4) ** 2
        x = np.cumsum(np.concatenate([[0.0], gaps]))
        net = score_matching(x, 1.2).kink_network
        if np.abs(net.weights[net.beyond]).max(initial=0.0) >= 0.05:
            cases.append((x, 1.2))
    return cases


def loss_at_offset(x: np.ndarray, beta: float, y: np.ndarray, epsilon: float) -> float:
    """Loss of the network of rule (8), signed, with the kinks of C2 and C4 epsilon from their points."""
    n = len(x)
    facing = np.repeat([1.0, -1.0], 2 * n)
    kinks = np.tile(x, 4) + np.repeat([0.0, 1.0, 0.0, -1.0], n) * epsilon
    root = np.sqrt(np.abs(y))
    w, alpha = facing * root, np.sign(y) * root
    hinges = np.maximum(facing * (x[:, None] - np.tile(x, 4)), 0.0)
    net = TwoLayerNetwork.univariate(w, -w * kinks, alpha, -float(np.mean(hinges @ y)))
    return score_matching_loss(net, x, beta)


def test_optimum_is_approached_but_not_attained_in_the_limit(evidence: Evidence):
    approach = evidence("rem-infimum", "loss-approaches-optimum", 1e-5).because(
        "the error is proportional to epsilon, here 1e-7, times a score of order one at each point"
    )
    limit = evidence("rem-infimum", "printed-limit-misses-optimum", at_least=0.001).because(
        "the jump is the weight of the neuron that must sit beyond its point"
    )
    for x, beta in subtle_cases():
        solution = solve_relu_program(x, beta)
        y = np.where(np.abs(solution.y) > 1e-6, solution.y, 0.0)
        approach.holds(abs(loss_at_offset(x, beta, y, 1e-7) - solution.value) / scale_of(x, solution.value))
        limit.fails(loss_at_offset(x, beta, y, 0.0) - solution.value)


def dual_value(x: np.ndarray, beta: float, *, printed: bool) -> float:
    """Dual optimum with the rows of z_3, z_6 and z_7 counting strictly (right) or weakly (as printed)."""
    program = score_matching_program(x, beta)
    A1, _, A2, _ = np.split(program.A, 4, axis=1)
    g, left = A1.T, A2.T  # centred, and z sums to zero
    c1, c2, c3, c4 = np.split(program.b, 4)
    z = cp.Variable(len(x))
    rows = [
        g @ z - c1 >= -beta,
        g @ z - c1 <= beta,
        g @ z - c2 >= -beta,
        g @ z - (c1 if printed else c2) <= beta,
        left @ z - c3 >= -beta,
        left @ z - c3 <= beta,
        left @ z - (c3 if printed else c4) >= -beta,
        left @ z - (c3 if printed else c4) <= beta,
        cp.sum(z) == 0,
    ]
    return float(cp.Problem(cp.Maximize(-0.5 * cp.sum_squares(z)), rows).solve(solver=cp.CLARABEL, **EXACTLY))


def test_weak_rows_change_the_optimum(evidence: Evidence):
    right = evidence("err-dual-strictness", "strict-rows-give-the-optimum", 1e-6).because(
        "tolerance of the general-purpose solver"
    )
    printed = evidence("err-dual-strictness", "printed-rows-change-the-optimum", at_least=0.001).because(
        "a wider tube lets the dual rise above the optimum"
    )
    for x, beta in subtle_cases():
        optimum = score_matching(x, beta).value
        right.holds(abs(dual_value(x, beta, printed=False) - optimum) / scale_of(x, optimum))
        printed.fails(dual_value(x, beta, printed=True) - optimum)


def test_beam_equals_printed_dual(evidence: Evidence):
    seen = evidence("ours-beam-relu", "beam-vector-equals-printed-dual-vector", 1e-4).because(
        "a dual value correct to 1e-9 fixes its strongly concave maximiser to about the square root"
    )
    for seed in range(50):
        x = distinct_sample(seed)
        beta = decay_for(x, seed) + 0.01
        fit = score_matching(x, beta)
        z, _ = score_matching_dual(x, beta)
        seen.holds(float(np.linalg.norm(z - fit.z) / np.sqrt(2 * scale_of(x, fit.value))))


def falling_network(x: np.ndarray, weight: float) -> TwoLayerNetwork:
    """One ReLU neuron with its kink on the largest point: zero at all data, active at that point only."""
    root = np.sqrt(weight)
    return TwoLayerNetwork.univariate([root], [-root * x.max()], [-root])


def test_loss_falls_without_bound_below_the_threshold(evidence: Evidence):
    seen = evidence("ours-below-threshold", "losses-fall-without-bound", 1e-9).because(
        "rounding; the loss is compared with (beta - 1) times the weight, which has no lower bound"
    )
    for seed in range(30):
        x = distinct_sample(seed)
        beta = np.random.default_rng(seed).uniform(0.05, 0.999)
        for weight in (1.0, 1e3, 1e6):
            seen.holds(
                abs(score_matching_loss(falling_network(x, weight), x, beta) / ((beta - 1) * weight) - 1)
            )
        with pytest.raises(ValueError, match="below 1"):
            score_matching(x, beta)


def tied_sample(seed: int) -> tuple[np.ndarray, float]:
    """Data with ties and their threshold max(k/2, e)."""
    rng = np.random.default_rng(seed)
    points = np.sort(rng.normal(size=6))
    counts = rng.integers(1, 6, size=6)
    threshold = max(counts[1:-1].max() / 2, counts[0], counts[-1])
    return rng.permutation(np.repeat(points, counts)), float(threshold)


def test_threshold_with_ties(evidence: Evidence):
    linear = evidence("ours-threshold-ties", "smallest-feasible-decay-is-the-threshold", 1e-6).because(
        LINEAR_SOLVER
    )
    attained = evidence("ours-threshold-ties", "certified-optimum-at-the-threshold", 1e-8).because(
        CERTIFICATE
    )
    for seed in range(30):
        x, threshold = tied_sample(seed)
        linear.holds(abs(smallest_feasible_decay(x) - threshold))
        attained.holds(score_matching(x, threshold).certificate.relative_gap)
        with pytest.raises(ValueError, match="points repeat"):
            score_matching(x, np.nextafter(threshold, 0))
