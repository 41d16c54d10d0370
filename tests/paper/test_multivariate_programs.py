"""Evidence for the chapter on multivariate score matching: Theorem 9, (18), Remark 3.3, and the repair."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
from claims_witness import Evidence
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from strategies import EXACTLY, checked, every_activation

from convexdiff_lib import TwoLayerNetwork, score_matching_loss
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.paper.multivariate_programs import (
    blocks_of_network,
    descent_direction,
    falling_network,
    multivariate_program,
    precision_score,
    printed_blocks,
    printed_solution,
    program_value,
)
from convexdiff_lib.space.arrangements import enumerate_arrangements, printed_patterns
from convexdiff_lib.space.cones import network_from_blocks
from convexdiff_lib.space.gated import critical_weight_decay, gated_score_matching

ACTIVATIONS: tuple[Activation, Activation] = ("relu", "abs")


def cloud(seed: int) -> FloatArray:
    """One to eight points in the plane or in space: n < d, duplicated rows, collinear rows, a large scale.

    Multiples are powers of two, so that parallel rows are parallel to the last digit.
    """
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(1, 7)), 2 + seed % 2
    X = rng.normal(size=(n, d))
    match seed % 5:
        case 1:
            X = np.vstack([X, X[:1]])
        case 2:
            X = np.vstack([X, 2 * X[:1], 4 * X[:1]])
        case 3:
            X *= 1e8
        case 4:
            X = np.outer(2.0 ** np.arange(n), X[0])
    return X


def random_neurons(rng: np.random.Generator, d: int, m: int, activation: Activation) -> TwoLayerNetwork:
    return TwoLayerNetwork(
        rng.normal(size=(m, d)),
        np.zeros(m),
        rng.normal(size=(d, m)),
        np.zeros(d),
        np.zeros((d, d)),
        activation,
    )


def both_ways(seed: int, activation: Activation) -> tuple[float, float]:
    """Relative differences: a network against its blocks, random blocks against their network."""
    rng = np.random.default_rng(seed)
    X = cloud(seed) / (1e8 if seed % 5 == 3 else 1.0)
    patterns, generators = enumerate_arrangements(X, activation=activation)
    net = random_neurons(rng, X.shape[1], 5, activation)
    loss = score_matching_loss(net, X, 0.0)
    there = abs(program_value(X, patterns, blocks_of_network(X, net, patterns)) - loss)
    W = rng.normal(size=(len(patterns), X.shape[1], X.shape[1]))
    value = program_value(X, patterns, W)
    size = 1 + np.sum(np.abs(printed_blocks(X, patterns).V_tilde.reshape(W.shape) * W))
    made = network_from_blocks(X, W, patterns, generators, activation=activation)
    back = abs(score_matching_loss(made, X, 0.0) - value)
    # The cone decomposition cancels large neurons against each other; their size is what rounding sees.
    return there / (1 + abs(loss)), back / (size + made.squared_norm * len(X))


def test_networks_and_blocks_have_the_same_losses(evidence: Evidence):
    seen = evidence(
        "thm-multivariate-relu", "losses-of-networks-and-values-of-the-program-are-the-same-set", 1e-9
    ).because("rounding: both maps are exact")
    for seed in range(40):
        seen.all_hold(both_ways(seed, "relu"))


def test_the_same_with_signs(evidence: Evidence):
    seen = evidence(
        "rem-multivariate-abs", "losses-of-networks-and-values-of-the-program-are-the-same-set", 1e-9
    ).because("rounding: both maps are exact")
    for seed in range(40):
        seen.all_hold(both_ways(seed, "abs"))


def on_hyperplanes(seed: int) -> tuple[FloatArray, TwoLayerNetwork]:
    """Integer points with opposite pairs, and neurons exactly orthogonal to them: flat cones."""
    rng = np.random.default_rng(seed)
    half = rng.integers(-4, 5, size=(3, 2)).astype(float)
    half[0] = (1.0, 2.0)
    X = np.vstack([half, -half])
    m = len(half)
    first = np.column_stack([-half[:, 1], half[:, 0]])
    return X, TwoLayerNetwork(
        first, np.zeros(m), rng.integers(-3, 4, size=(2, m)), np.zeros(2), np.zeros((2, 2))
    )


def test_program_is_a_lower_bound_without_the_assumption(evidence: Evidence):
    seen = evidence("rem-multivariate-lower-bound", "network-on-flat-cones-minus-its-blocks", 1e-12).because(
        "small integers: every operation is exact"
    )
    for seed in range(30):
        X, net = on_hyperplanes(seed)
        patterns = printed_patterns(X)
        blocks = blocks_of_network(X, net, patterns)
        seen.holds(abs(program_value(X, patterns, blocks) - score_matching_loss(net, X, 0.0)))


def test_printed_solution_is_stationary_only_after_projection(evidence: Evidence):
    line = evidence(
        "eq-multivariate-solution", "gradient-at-the-printed-solution-where-finite", 1e-9
    ).because(
        "rounding of a pseudo-inverse; one dimension, one pattern, or symmetric data with open chambers"
    )
    plane = evidence("eq-multivariate-solution", "distance-of-V-from-the-range", at_least=0.1).because(
        "the part of V outside the range, relative to V, in two and three dimensions"
    )
    for seed in range(20):
        rng = np.random.default_rng(seed)
        half = rng.normal(size=(4, 2))
        all_active = np.ones((1, 5), dtype=bool)
        on_a_line = rng.normal(size=(5, 1))
        for X, patterns in (
            (on_a_line, enumerate_arrangements(on_a_line).patterns),
            (rng.normal(size=(5, 3)), all_active),
            (np.vstack([half, -half]), enumerate_arrangements(np.vstack([half, -half])).patterns),
        ):
            line.holds(relative_gradient(X, patterns))
            assert not descent_direction(X, patterns).any()
    for seed in range(20):
        X = cloud(seed)
        patterns = enumerate_arrangements(X).patterns
        plane.fails(relative_gradient(X, patterns))
        W = descent_direction(X, patterns)
        X_tilde, V_tilde = printed_blocks(X, patterns)
        flat = W.reshape(V_tilde.shape)
        assert np.abs(X_tilde @ flat).max() <= 1e-9 * np.abs(X).max() * np.abs(V_tilde).max()  # rounding
        assert abs(np.sum(V_tilde * flat) / np.sum(flat**2) + 1) <= 1e-9  # rounding


def relative_gradient(X: FloatArray, patterns: FloatArray) -> float:
    """The gradient of the program at the printed solution, in units of the linear term."""
    X_tilde, V_tilde = printed_blocks(X, patterns)
    W = printed_solution(X, patterns).reshape(V_tilde.shape)
    return float(np.linalg.norm(X_tilde.T @ (X_tilde @ W) + V_tilde) / np.linalg.norm(V_tilde))


def test_one_pattern_gives_n_times_the_inverse(evidence: Evidence):
    right = evidence("disp-one-pattern", "n-times-the-inverse-second-moments", 1e-9).because(
        "rounding of an inverse"
    )
    printed = evidence("disp-one-pattern", "printed-inverse-without-n", at_least=0.5).because(
        "the printed matrix is n times too small"
    )
    tables = [np.random.default_rng(seed).normal(size=(6 + seed, 3)) for seed in range(12)]
    iris = load_iris().data
    for X in [*tables, iris - iris.mean(axis=0)]:
        n = len(X)
        solution = printed_solution(X, np.ones((1, n), dtype=bool))[0]
        inverse = np.linalg.inv(X.T @ X)
        size = np.linalg.norm(solution)
        right.holds(float(np.linalg.norm(solution + n * inverse) / size))
        right.holds(float(np.linalg.norm(solution - precision_score(X)) / size))
        printed.fails(float(np.linalg.norm(solution + inverse) / size))


def test_blocks_are_second_moments_but_no_solution(evidence: Evidence):
    right = evidence("rem-piecewise-covariance", "blocks-are-sums-over-shared-points", 1e-12).because(
        "rounding"
    )
    printed = evidence(
        "rem-piecewise-covariance", "a-lower-value-than-that-of-the-printed-solution", at_least=1.0
    ).because("one step along the direction of descent, in units of the printed solution's value")
    for seed in range(20):
        X = np.random.default_rng(seed).normal(size=(4 + seed % 3, 2))
        patterns = enumerate_arrangements(X).patterns
        X_tilde = printed_blocks(X, patterns).X_tilde
        gram = X_tilde.T @ X_tilde
        i, j = 1, len(patterns) - 1
        shared = X[patterns[i] & patterns[j]]
        right.holds(float(np.abs(gram[2 * i : 2 * i + 2, 2 * j : 2 * j + 2] - shared.T @ shared).max()))
        W = printed_solution(X, patterns)
        value = program_value(X, patterns, W)
        step = descent_direction(X, patterns)
        length = 10 * abs(value) / np.sum(step**2)
        lower = program_value(X, patterns, W + length * step)
        printed.fails((value - lower) / abs(value))


@every_activation
def test_losses_fall_without_bound(activation, evidence: Evidence):
    seen = evidence(
        "ours-vacuous-multivariate", "loss-of-two-neurons-against-the-predicted-rate", 1e-3
    ).because("the values at the data add a term of order delta, here 1e-8, in units of the prediction")
    for seed in range(25):
        X = cloud(seed) / (1e8 if seed % 5 == 3 else 1.0)
        jump = jump_of(X) * (1 if activation == "relu" else 2)
        delta = 1e-10
        loss = score_matching_loss(falling_network(X, delta, activation=activation), X, 0.0)
        seen.holds(abs(loss * np.sqrt(delta) / jump + 1))


def test_no_other_row_changes_sides() -> None:
    """In space a direction orthogonal to one row may be orthogonal to others, which would change the jump."""
    for seed in range(40):
        X = np.random.default_rng(seed).integers(-1, 2, size=(8, 3)).astype(float)
        X = X[np.any(X != 0, axis=1)]
        units = X / np.linalg.norm(X, axis=1)[:, None]
        excess = np.sum(np.round(units @ units.T, 9) == 1, axis=1)
        excess = excess - np.sum(np.round(units @ units.T, 9) == -1, axis=1)
        loss = score_matching_loss(falling_network(X, 1e-10), X, 0.0)
        # The first row with an excess is taken; the values at the data add a term of order delta.
        assert abs(loss * 1e-5 + excess[np.argmax(excess > 0)]) <= 1e-6


def jump_of(X: FloatArray) -> int:
    """How many points lie on the ray of the first one, less those on the opposite ray."""
    units = X / np.linalg.norm(X, axis=1)[:, None]
    return int(np.sum(np.linalg.norm(units - units[0], axis=1) < 1e-12))


def test_solver_calls_it_unbounded(evidence: Evidence):
    seen = evidence("ours-vacuous-multivariate", "rank-of-a-difference-of-two-constraints", 1e-9).because(
        "second singular value of a matrix of rank one, where a multiple of I is asked for"
    )
    for seed in range(12):
        X = np.random.default_rng(seed).normal(size=(4, 2 + seed % 2))
        patterns = enumerate_arrangements(X).patterns
        problem, _ = multivariate_program(X, patterns)
        problem.solve(solver=cp.CLARABEL)
        assert problem.status == cp.UNBOUNDED
        Q = np.random.default_rng(seed + 100).normal(size=X.shape)
        i, j = next(
            (i, j)
            for i in range(len(patterns))
            for j in range(len(patterns))
            if np.sum(patterns[i] != patterns[j]) == 1 and patterns[i].sum() > patterns[j].sum()
        )
        change = X.T @ ((patterns[i].astype(float) - patterns[j])[:, None] * Q)
        assert patterns[i].sum() - patterns[j].sum() == 1
        seen.holds(float(np.linalg.svd(change, compute_uv=False)[1]))


def test_gated_program_is_the_literal_program_with_nuclear_norms(evidence: Evidence):
    seen = evidence(
        "ours-multivariate-repair", "literal-program-equals-certified-gated-optimum", 1e-6
    ).because("tolerance of the general-purpose solver")
    for seed in range(12):
        activation = ACTIVATIONS[seed % 2]
        X = np.random.default_rng(seed).normal(size=(3 + seed % 3, 2 + seed % 2))
        patterns = enumerate_arrangements(X, activation=activation).patterns
        critical = critical_weight_decay(X, patterns)
        for factor in (1.1, 1.5):
            beta = factor * critical.value
            fit = gated_score_matching(X, patterns, beta)
            problem, _ = multivariate_program(X, patterns, beta=beta)
            problem.solve(solver=cp.CLARABEL, **EXACTLY)
            scale = max(abs(fit.value), len(X) ** 2 * X.shape[1] ** 2 / (2 * np.sum(X**2)))
            seen.holds(abs(problem.value - fit.value) / scale)
        with pytest.raises(ValueError, match="critical weight decay"):
            gated_score_matching(X, patterns, 0.99 * critical.lower)


def test_symmetric_data_are_bounded_with_open_chambers_only() -> None:
    """Opposite points cancel in every count; only a neuron exactly on a hyperplane counts both."""
    X = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    chambers = enumerate_arrangements(X).patterns
    assert not descent_direction(X, chambers).any()
    assert abs(program_value(X, chambers, printed_solution(X, chambers)) + 8.0) <= 1e-12  # rounding
    assert descent_direction(X, printed_patterns(X)).any()
    with pytest.raises(ValueError, match="more points on one side"):
        falling_network(X, 1e-4)


@checked
@given(seed=st.integers(0, 2**16), scale=st.sampled_from([1e-8, 1.0, 1e8]))
def test_solution_scales_with_the_data(seed: int, scale: float) -> None:
    X = np.random.default_rng(seed).normal(size=(5, 2))
    patterns = enumerate_arrangements(X).patterns
    W, scaled = printed_solution(X, patterns), printed_solution(scale * X, patterns)
    assert np.max(np.abs(scaled * scale**2 - W)) <= 1e-8 * np.max(np.abs(W))  # rounding
    assert np.max(np.abs(descent_direction(scale * X, patterns) - descent_direction(X, patterns))) <= 1e-9


def test_bad_input() -> None:
    X, patterns = np.eye(2), np.array([[True, True], [True, False]])
    with pytest.raises(ValueError, match="patterns must have shape"):
        printed_blocks(X, patterns[:, :1])
    with pytest.raises(ValueError, match="W must have shape"):
        program_value(X, patterns, np.zeros((1, 2, 2)))
    with pytest.raises(ValueError, match="one row per point"):
        multivariate_program(X, patterns, np.zeros((3, 2)))
    with pytest.raises(ValueError, match="beta must be a positive"):
        multivariate_program(X, patterns, beta=-1.0)
    with pytest.raises(ValueError, match="must span all 2 dimensions"):
        precision_score([[1.0, 2.0], [2.0, 4.0]])
    with pytest.raises(ValueError, match="at least two columns"):
        falling_network([1.0, 2.0], 0.1)
    with pytest.raises(ValueError, match="one side"):
        falling_network(np.zeros((2, 2)), 0.1)
    biased = TwoLayerNetwork(np.eye(2), np.ones(2), np.eye(2), np.zeros(2), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="no biases"):
        blocks_of_network(X, biased, patterns)
    with pytest.raises(ValueError, match="another one"):
        blocks_of_network(X, random_neurons(np.random.default_rng(0), 2, 20, "relu"), patterns[:1])
