"""Evidence for the chapter on multivariate denoising: Theorem 3, what it can fit, and weight decay."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import torch
from claims_witness import Evidence
from scipy.optimize import linprog
from strategies import SIX, constrained, unbiased_network

from convexdiff_lib import denoising_loss, denoising_score_matching
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.networks import TwoLayerNetwork
from convexdiff_lib.paper.nonconvex import train_multivariate
from convexdiff_lib.paper.univariate_programs import denoising_program
from convexdiff_lib.space.arrangements import enumerate_arrangements
from convexdiff_lib.space.cones import network_from_blocks
from convexdiff_lib.space.gated import gated_denoising
from convexdiff_lib.space.interpolation import best_values, value_constraints
from convexdiff_lib.space.planar import planar_denoising


def patterns_of(X: FloatArray, activation: Activation) -> tuple[FloatArray, FloatArray]:
    patterns, generators = enumerate_arrangements(X, activation=activation)
    return np.asarray(patterns, dtype=np.float64), generators


def generic(seed: int) -> FloatArray:
    """Normal, shifted and heavy-tailed data in two and three dimensions."""
    rng = np.random.default_rng(seed)
    n, d = (int(rng.integers(2, 15)), 2) if seed % 3 else (int(rng.integers(2, 9)), 3)
    return (rng.normal(size=(n, d)), rng.normal(size=(n, d)) + 3.0, rng.standard_cauchy(size=(n, d)))[
        seed % 3
    ]


def least_squares(X: FloatArray, L: FloatArray, patterns: FloatArray) -> tuple[FloatArray, float]:
    """The program of Theorem 3 by NumPy: its solution of least norm, as blocks, and its value."""
    stacked = np.hstack([p[:, None] * X for p in patterns])
    solution = np.linalg.lstsq(stacked, L, rcond=None)[0]
    blocks = solution.reshape(len(patterns), X.shape[1], L.shape[1])
    return blocks, float(0.5 * np.sum((stacked @ solution - L) ** 2))


def literal(X: FloatArray, L: FloatArray, patterns: FloatArray) -> float:
    """The program of Theorem 3 as printed, in CVXPY."""
    W = [cp.Variable((X.shape[1], L.shape[1])) for _ in patterns]
    fitted = sum(np.diag(p) @ X @ block for p, block in zip(patterns, W, strict=True))
    return float(cp.Problem(cp.Minimize(0.5 * cp.sum_squares(fitted - L))).solve(solver=cp.CLARABEL))


def trained_losses(
    X: FloatArray, L: FloatArray, beta: float, activation: Activation, *, seed: int, trials: int = 10
) -> FloatArray:
    """Losses of networks without biases after Adam and L-BFGS from random starts, all trials at once."""
    runs = train_multivariate(
        X,
        L,
        beta,
        activation=activation,
        width=2 * len(X) + 4,
        n_trials=trials,
        n_epochs=300,
        learning_rate=3e-2,
        refine=300,
        generator=torch.Generator().manual_seed(seed),
    )
    return runs.losses


def compare_program_and_network(seen_program, seen_network, activation: Activation) -> None:
    for seed in range(24):
        X = constrained(seed) if seed % 2 else generic(seed)
        L = np.random.default_rng(seed).normal(size=X.shape)
        patterns, directions = patterns_of(X, activation)
        blocks, value = least_squares(X, L, patterns)
        seen_program.holds(abs(literal(X, L, patterns) - value) / np.sum(L**2))
        net = network_from_blocks(X, blocks, patterns, directions, activation=activation)
        assert net.width <= 2 * len(patterns) * X.shape[1]
        seen_network.holds(abs(denoising_loss(net, X, L, 0.0) - value) / np.sum(L**2))


def test_program_and_network_agree(evidence: Evidence):
    program = evidence("thm-multivariate-denoising", "literal-program-equals-least-squares", 1e-6).because(
        "the general-purpose solver stops near 1e-8; in units of the targets"
    )
    network = evidence(
        "thm-multivariate-denoising", "network-of-2Pd-neurons-attains-the-optimum", 1e-8
    ).because("the two neurons of a thin cone cancel; in units of the targets")
    compare_program_and_network(program, network, "relu")


def test_program_and_network_agree_with_absolute_values(evidence: Evidence):
    program = evidence(
        "rem-multivariate-denoising-abs", "literal-program-equals-least-squares", 1e-6
    ).because("the general-purpose solver stops near 1e-8; in units of the targets")
    network = evidence(
        "rem-multivariate-denoising-abs", "network-of-2Pd-neurons-attains-the-optimum", 1e-8
    ).because("the two neurons of a thin cone cancel; in units of the targets")
    compare_program_and_network(program, network, "abs")


def below(X: FloatArray, L: FloatArray, optimum: float, activation: Activation, seed: int) -> float:
    """How far the best of ten trained networks is below the optimum, in units of the targets."""
    losses = trained_losses(X, L, 0.0, activation, seed=seed)
    return max(0.0, optimum - float(losses.min())) / float(np.sum(L**2))


def test_no_trained_network_is_below(evidence: Evidence):
    relu = evidence("thm-multivariate-denoising", "no-trained-network-is-below", 1e-12).because(
        "rounding; the residual is how far the best of ten trained networks is below the optimum"
    )
    absolute = evidence("rem-multivariate-denoising-abs", "no-trained-network-is-below", 1e-12).because(
        "rounding; the residual is how far the best of ten trained networks is below the optimum"
    )
    for seed in range(8):
        X = constrained(seed)
        L = np.random.default_rng(100 + seed).normal(size=X.shape)
        for seen, activation in ((relu, "relu"), (absolute, "abs")):
            _, optimum = least_squares(X, L, patterns_of(X, activation)[0])
            seen.holds(below(X, L, optimum, activation, seed))


def test_an_underestimate_would_be_noticed():
    """The falsifier can fire: a claimed optimum a little too high is beaten by training."""
    X, L = constrained(1), np.random.default_rng(101).normal(size=(6, 2))
    _, optimum = least_squares(X, L, patterns_of(X, "relu")[0])
    assert below(X, L, optimum + 0.05 * np.sum(L**2), "relu", 1) >= 0.01


def test_generic_data_are_always_fitted(evidence: Evidence):
    fitted = evidence("ours-always-interpolates", "least-squares-fits-every-target", 1e-9).because(
        "rounding of least squares with thin chambers; largest error over the largest target"
    )
    for seed in range(60):
        X = generic(seed)
        assert len(value_constraints(X)) == 0
        L = np.random.default_rng(seed).normal(size=(len(X), 2))
        patterns, _ = patterns_of(X, "relu")
        blocks, _ = least_squares(X, L, patterns)
        values = sum((p[:, None] * X) @ W for p, W in zip(patterns, blocks, strict=True))
        fitted.holds(float(np.abs(values - L).max() / np.abs(L).max()))


def test_constraints_are_all_there_are(evidence: Evidence):
    seen = evidence("ours-always-interpolates", "optimum-is-the-distance-to-the-constraints", 1e-10).because(
        "rounding of two least-squares problems; in units of the targets"
    )
    for seed in range(40):
        X = constrained(seed)
        L = np.random.default_rng(seed).normal(size=X.shape)
        for activation in ("relu", "abs"):
            _, value = least_squares(X, L, patterns_of(X, activation)[0])
            closest = best_values(X, L, activation=activation)
            seen.holds(abs(0.5 * np.sum((closest - L) ** 2) - value) / np.sum(L**2))


def test_values_on_a_ray_are_proportional(evidence: Evidence):
    seen = evidence("ours-parallel-rows", "positively-homogeneous", 1e-12).because(
        "rounding of a sum of neurons"
    )
    for seed in range(40):
        rng = np.random.default_rng(seed)
        net = unbiased_network(rng, ("relu", "abs")[seed % 2])
        x = rng.normal(size=(10, 3))
        c = 10.0 ** rng.uniform(-3, 3, size=(10, 1))
        seen.holds(float(np.abs(net(c * x) / c - net(x)).max() / np.abs(net(x)).max()))


def test_parallel_rows_by_hand(evidence: Evidence):
    seen = evidence("ours-parallel-rows", "two-points-on-a-ray-by-hand", 1e-12).because(
        "rounding; x and c x with targets l and m have optimum |m - c l|^2 / (2 (1 + c^2))"
    )
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, L = rng.normal(size=2), rng.normal(size=(2, 2))
        c = 2.0 ** int(rng.integers(-4, 5))  # so that the rows are parallel to the last digit
        X = np.array([x, c * x])
        by_hand = np.sum((L[1] - c * L[0]) ** 2) / (2 * (1 + c**2))
        _, value = least_squares(X, L, patterns_of(X, "relu")[0])
        seen.holds(abs(value - by_hand) / np.sum(L**2))


def test_odd_part_is_linear(evidence: Evidence):
    seen = evidence("ours-opposite-rows", "odd-part-is-linear", 1e-12).because("rounding of a sum of neurons")
    for seed in range(40):
        rng = np.random.default_rng(seed)
        activation: Activation = ("relu", "abs")[seed % 2]  # type: ignore[assignment]
        net = unbiased_network(rng, activation)
        V = net.W2 @ net.W1 if activation == "relu" else np.zeros((3, 3))
        x = rng.normal(size=(10, 3))
        seen.holds(float(np.abs(net(x) - net(-x) - x @ V.T).max() / np.abs(net(x)).max()))


def thin_patterns(X: FloatArray) -> FloatArray:
    """The patterns that hold only on the line orthogonal to a row of the plane."""
    normals = np.column_stack([-X[:, 1], X[:, 0]])
    return np.unique(X @ np.vstack([normals, -normals, np.zeros((1, 2))]).T >= 0, axis=1).T.astype(float)


def test_six_points_cannot_be_fitted(evidence: Evidence):
    optimum = evidence("ours-opposite-rows", "six-points-by-hand", 1e-12).because(
        "rounding; with q = (1, 1, -1, -1, -1, 1) the optimum is |q^T L|^2 / 12"
    )
    thin = evidence("ours-opposite-rows", "thin-patterns-fit-them", 1e-12).because(
        "rounding; the patterns that hold only on a line lower the optimum of the program to zero"
    )
    q = np.array([1.0, 1.0, -1.0, -1.0, -1.0, 1.0])
    patterns, _ = patterns_of(SIX, "relu")
    for seed in range(10):
        L = np.random.default_rng(seed).normal(size=(6, 2))
        _, value = least_squares(SIX, L, patterns)
        optimum.holds(abs(value - np.sum((q @ L) ** 2) / 12) / np.sum(L**2))
        _, lowered = least_squares(SIX, L, np.vstack([patterns, thin_patterns(SIX)]))
        thin.holds(lowered / np.sum(L**2))


def test_program_without_decay_says_nothing_about_decay(evidence: Evidence):
    printed = evidence("rem-arbitrary-decay", "program-without-decay-is-too-low", at_least=0.02).because(
        "a certified lower bound on the loss of every network, minus the printed optimum, which is zero; "
        "in units of the loss of the zero network"
    )
    for seed in range(12):
        rng = np.random.default_rng(seed)
        X, L = rng.normal(size=(10, 2)), rng.normal(size=(10, 2))
        patterns, _ = patterns_of(X, "relu")
        _, without = least_squares(X, L, patterns)
        bound = gated_denoising(X, L, patterns, (0.1, 0.3, 1.0)[seed % 3]).certificate.dual
        printed.fails((bound - without) / (0.5 * np.sum(L**2)))


def test_planar_optimum_is_the_program_with_decay(evidence: Evidence):
    seen = evidence("rem-arbitrary-decay", "planar-optimum-is-certified-and-attained", 1e-7).because(
        "the certificate's gap, and rounding of the network's loss; relative to the optimum"
    )
    below = evidence("rem-arbitrary-decay", "no-trained-network-is-below", 1e-9).because(
        "rounding; how far the best of ten trained networks is below the certified lower bound"
    )
    bound = evidence("rem-arbitrary-decay", "gated-optimum-is-a-lower-bound", 1e-8).because(
        "the certificates' tolerance; how far the gated optimum is above that of the plane"
    )
    for seed in range(8):
        rng = np.random.default_rng(seed)
        activation: Activation = ("relu", "abs")[seed % 2]  # type: ignore[assignment]
        X, L = rng.normal(size=(10, 2)), rng.normal(size=(10, 2))
        beta = (0.03, 0.1, 0.3, 1.0)[seed // 2]
        exact = planar_denoising(X, L, beta, activation=activation)
        attained = denoising_loss(exact.network(), X, L, beta)
        assert exact.certificate.relative_gap <= exact.certificate.gap_tolerance
        seen.holds(abs(attained - exact.certificate.dual) / exact.value)
        losses = trained_losses(X, L, beta, activation, seed=seed)
        below.holds(max(0.0, exact.certificate.dual - float(losses.min())) / exact.value)
        gated = gated_denoising(X, L, patterns_of(X, activation)[0], beta)
        bound.holds(max(0.0, gated.certificate.dual - exact.value) / exact.value)


def test_several_solvers_agree(evidence: Evidence):
    seen = evidence("rem-simple-least-squares", "four-solvers-agree", 1e-5).because(
        "first-order solvers stop near 1e-6; in units of the targets"
    )
    for seed in range(8):
        X = constrained(seed)
        L = np.random.default_rng(seed).normal(size=X.shape)
        patterns, _ = patterns_of(X, "relu")
        _, value = least_squares(X, L, patterns)
        stacked = np.hstack([p[:, None] * X for p in patterns])
        W = cp.Variable((stacked.shape[1], L.shape[1]))
        problem = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(stacked @ W - L)))
        values = [float(problem.solve(solver=solver)) for solver in (cp.CLARABEL, cp.OSQP, cp.SCS)]
        seen.holds(max(abs(v - value) for v in values) / np.sum(L**2))


def cheapest_with_same_values(x: FloatArray, values: FloatArray) -> float:
    """The least sum of |y| among the printed hinges, with a free bias, that makes these values."""
    A = denoising_program(x, values, 1.0).A
    centred = values - values.mean()
    k = A.shape[1]
    result = linprog(np.ones(2 * k), A_eq=np.hstack([A, -A]), b_eq=centred, method="highs")
    return float(result.fun)


def test_no_network_of_the_same_values_is_cheaper(evidence: Evidence):
    seen = evidence("rem-least-cost", "univariate-optimum-costs-least-for-its-values", 1e-6).because(
        "stopping rule of the linear-programming solver; relative to the cost"
    )
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, targets = rng.normal(size=(2, 12))
        fit = denoising_score_matching(x, targets, 0.05 * (1 + seed % 4))
        cost = fit.kink_network.total_weight
        seen.holds(abs(cheapest_with_same_values(x, fit(x)) - cost) / cost)


def cost_of(net: TwoLayerNetwork) -> float:
    return 0.5 * net.squared_norm


def cheapest_interpolation(X: FloatArray, L: FloatArray, directions: FloatArray) -> float:
    """The cost of some network with the values L: the cheapest from a dictionary of first layers."""
    units = directions / np.linalg.norm(directions, axis=1)[:, None]
    Z = cp.Variable((len(units), L.shape[1]))
    features = np.maximum(X @ units.T, 0.0)
    cost = cp.sum(cp.norm(Z, axis=1))
    return float(cp.Problem(cp.Minimize(cost), [features @ Z == L]).solve(solver=cp.CLARABEL))


def test_least_squares_does_not_pick_the_cheapest(evidence: Evidence):
    printed = evidence("rem-least-cost", "least-squares-picks-a-dearer-network", at_least=0.2).because(
        "how much more the network of the least-norm solution costs than another with the same values"
    )
    for seed in range(10):
        rng = np.random.default_rng(seed)
        X, L = rng.normal(size=(6, 2)), rng.normal(size=(6, 2))
        patterns, directions = patterns_of(X, "relu")
        blocks, _ = least_squares(X, L, patterns)
        cost = cost_of(network_from_blocks(X, blocks, patterns, directions))
        angles = np.linspace(0.0, 2 * np.pi, 400, endpoint=False)
        circle = np.column_stack([np.cos(angles), np.sin(angles)])
        printed.fails(cost / cheapest_interpolation(X, L, circle) - 1)


def test_a_network_with_weight_decay_is_never_below_the_gated_optimum() -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X, L = rng.normal(size=(8, 2)), rng.normal(size=(8, 2))
        activation: Activation = ("relu", "abs")[seed % 2]  # type: ignore[assignment]
        fit = gated_denoising(X, L, patterns_of(X, activation)[0], 0.3)
        losses = trained_losses(X, L, 0.3, activation, seed=seed)
        assert fit.certificate.dual <= losses.min() + 1e-12
