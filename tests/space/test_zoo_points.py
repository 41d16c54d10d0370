"""Part II on the zoo: arrangements, the multivariate programs, wedge features and free biases."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
import test_multivariate_denoising as denoising
import test_wedge as wedge
from claims_witness import Evidence
from strategies import every_activation
from test_arrangements import assert_right
from zoo import POINTS, is_balanced, labelled_sets, labels, point_sets, sides_of_lines

from convexdiff_lib import TwoLayerNetwork, denoising_loss, score_matching_loss
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.paper.multivariate_programs import (
    blocks_of_network,
    descent_direction,
    falling_network,
    precision_score,
    printed_blocks,
    printed_solution,
    program_value,
)
from convexdiff_lib.space.arrangements import enumerate_arrangements, printed_patterns
from convexdiff_lib.space.chambers import chamber_diameters
from convexdiff_lib.space.cones import network_from_blocks
from convexdiff_lib.space.counting import count_arrangements, count_bound, count_chambers
from convexdiff_lib.space.directions import largest_response
from convexdiff_lib.space.gated import critical_weight_decay, gated_score_matching
from convexdiff_lib.space.group_lasso import responses
from convexdiff_lib.space.interpolation import best_values
from convexdiff_lib.space.planar import planar_critical_weight_decay, planar_score_matching
from convexdiff_lib.space.wedge import wedge_denoising

ROUNDING = "rounding"


def nonzero(X: FloatArray) -> FloatArray:
    return X[X.any(axis=1)]


def unit_rows(rows: FloatArray) -> FloatArray:
    return np.asarray(rows) / np.linalg.norm(rows, axis=1)[:, None]


# --- The zoo itself --------------------------------------------------------------------------------------


def test_sides_of_lines() -> None:
    assert sides_of_lines(np.array(POINTS["cross of unlike arms"])) == [(1, 1), (1, 1)]
    assert sorted(sides_of_lines(np.array(POINTS["parallel rows"]))) == [(1, 0), (3, 0)]
    assert sorted(sides_of_lines(np.array(POINTS["collinear through zero"]))) == [(2, 1)]
    balanced = {name for name, X in point_sets() if is_balanced(X)}
    assert balanced == {
        "opposite pair",
        "opposite pair in space",
        "cross",
        "cross of unlike arms",
        "symmetric",
        "lattice",
        "nothing but zero",
        "cross in space",
    }


# --- Chapter 9 -------------------------------------------------------------------------------------------


def in_general_position(X: FloatArray) -> bool:
    """Whether any d of the rows are independent; all of them, if there are fewer."""
    n, d = X.shape
    k = min(n, d)
    return all(np.linalg.matrix_rank(X[list(rows)]) == k for rows in combinations(range(n), k))


def test_number_of_chambers(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-arrangement-count", "general-position-on-structured-data", 0.0).because("integers")
    bound = on_zoo(
        "ineq-arrangement-count", "patterns-over-bound-on-structured-data", 1.0, what="patterns / bound"
    ).because("the inequality itself, for the patterns of all u")
    for name, X in point_sets():
        n, d = X.shape
        if in_general_position(X):
            seen.holds(abs(len(enumerate_arrangements(X)) - count_arrangements(n, d)), on=name)
        rank = int(np.linalg.matrix_rank(X))
        if n >= 2 and rank > 0:
            bound.holds(len(printed_patterns(X)) / count_bound(n, rank), on=name)


def test_rays(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-chambers-on-rays", "chambers-around-rays-on-structured-data", 0.0).because("integers")
    for name, X in point_sets(rank=2):
        d = X.shape[1]
        if np.linalg.matrix_rank(X) < d:
            continue
        found = enumerate_arrangements(X)
        assert_right(X, found)
        around = np.bincount(found.touches[:, 1], minlength=len(found.rays))
        for ray, chambers in zip(found.rays, around, strict=True):
            scaled = np.abs(X @ ray) <= 1e-9 * np.linalg.norm(X, axis=1)
            across = X[scaled]
            assert np.linalg.matrix_rank(across) == d - 1, name
            seen.holds(abs(int(chambers) - count_chambers(across)), on=name)


def test_thin_patterns(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-thin-patterns", "thin-patterns-on-structured-data", 0.0).because("sets")
    for name, X in point_sets():
        if not in_general_position(X):
            continue
        chambers = {tuple(p) for p in enumerate_arrangements(X).patterns.tolist()}
        thin = {tuple(p) for p in printed_patterns(X).tolist()} - chambers
        ones = (True,) * len(X)
        seen.holds(len(thin ^ ({ones} - chambers)), on=name)


def test_flat_cones(on_zoo: Evidence) -> None:
    gates = on_zoo("rem-full-row-rank", "sampled-gates-on-structured-data", 0.0).because(
        "sets: of ten thousand normal gates none has a pattern of a flat cone"
    )
    independent = on_zoo(
        "rem-full-row-rank", "flat-cones-with-independent-rows-on-structured-data", 0.0
    ).because("sets")
    for name, X in point_sets():
        chambers = {tuple(p) for p in enumerate_arrangements(X).patterns.tolist()}
        assert chambers <= {tuple(p) for p in printed_patterns(X).tolist()}, name
        draws = np.random.default_rng(0).normal(size=(10_000, X.shape[1]))
        gates.holds(len({tuple(p) for p in np.unique(draws @ X.T >= 0, axis=0).tolist()} - chambers), on=name)
        if np.linalg.matrix_rank(X) == len(X):
            independent.holds(len({tuple(p) for p in printed_patterns(X).tolist()} - chambers), on=name)


# --- Chapter 10 ------------------------------------------------------------------------------------------


def without_biases(u: FloatArray, alpha: FloatArray, activation: Activation) -> TwoLayerNetwork:
    m, d = np.shape(u)
    return TwoLayerNetwork(
        np.asarray(u), np.zeros(m), np.asarray(alpha).T, np.zeros(d), np.zeros((d, d)), activation
    )


def one_set_of_values(X: FloatArray, activation: Activation) -> float:
    """A neuron in every chamber against its blocks; multiples of the identity against their network."""
    patterns, generators = enumerate_arrangements(X, activation=activation)
    net = without_biases(generators, (-1.0) ** np.arange(len(generators))[:, None] * generators, activation)
    loss = score_matching_loss(net, X, 0.0)
    there = abs(program_value(X, patterns, blocks_of_network(X, net, patterns)) - loss)
    W = np.arange(1.0, len(patterns) + 1)[:, None, None] * np.eye(X.shape[1])
    made = network_from_blocks(X, W, patterns, generators, activation=activation)
    back = abs(score_matching_loss(made, X, 0.0) - program_value(X, patterns, W))
    size = 1 + np.sum(X**2) * (1 + made.squared_norm**2)  # rounding sees the neurons that cancel
    return float(max(there / (1 + abs(loss)), back / size))


def on_a_hyperplane(X: FloatArray, delta: float, activation: Activation) -> tuple[TwoLayerNetwork, float]:
    """A neuron exactly orthogonal to a row, less one beside it; and the loss that the counts predict."""
    row = nonzero(X)[0]
    grid = product((0.0, 1.0, -1.0, 2.0, -2.0), repeat=len(row))
    u = next(np.array(v) for v in grid if any(v) and np.dot(v, row) == 0)
    net = without_biases([u, u - delta * row], [-(delta**-0.5) * u, delta**-0.5 * u], activation)
    units = unit_rows(nonzero(X))
    ahead = int(np.sum(np.linalg.norm(units - units[0], axis=1) <= 1e-9))
    step = 1 if activation == "relu" else 2
    return net, -step * ahead * float(u @ u) * delta**-0.5


def open_chamber_program_is_bounded(X: FloatArray, activation: Activation) -> bool:
    """On balanced data all traces are one number: half the rows, which rows that span can match; or zero."""
    if activation == "abs":
        return is_balanced(X) and bool(X.any(axis=1).all())
    return is_balanced(X) and bool(np.linalg.matrix_rank(X) == X.shape[1])


def test_relu_program(on_zoo: Evidence) -> None:
    same = on_zoo("thm-multivariate-relu", "one-set-of-values-on-structured-data", 1e-9).because(
        "rounding: both maps are exact"
    )
    for name, X in point_sets():
        same.holds(one_set_of_values(X, "relu"), on=name)


def test_abs_program(on_zoo: Evidence) -> None:
    same = on_zoo("rem-multivariate-abs", "one-set-of-values-on-structured-data", 1e-9).because(
        "rounding: both maps are exact"
    )
    for name, X in point_sets():
        same.holds(one_set_of_values(X, "abs"), on=name)


def test_lower_bound_with_all_patterns(on_zoo: Evidence) -> None:
    """Neurons on the hyperplanes, on their rays and at zero, as blocks of the patterns of all u."""
    seen = on_zoo("rem-multivariate-lower-bound", "networks-on-flat-cones-on-structured-data", 1e-12).because(
        "whole numbers, so that on a hyperplane every product is exact"
    )
    for name, X in point_sets(2):
        if not np.array_equal(X, X.round()):
            continue
        across = X @ np.array([[0.0, 1.0], [-1.0, 0.0]])
        u = np.vstack([across, -across, np.zeros((1, 2))])
        net = without_biases(u, (-1.0) ** np.arange(len(u))[:, None] * (u + 1), "relu")
        patterns = printed_patterns(X)
        value = program_value(X, patterns, blocks_of_network(X, net, patterns))
        seen.holds(abs(value - score_matching_loss(net, X, 0.0)), on=name)


def test_balanced_lines_need_their_hypothesis(on_zoo: Evidence) -> None:
    """As many rows on both sides of every line: the program has a minimum, and training falls below it."""
    relu = on_zoo(
        "thm-multivariate-relu",
        "networks-below-the-program-where-all-lines-are-balanced",
        at_least=1e3,
        form="ours",
        what="distance below the program's minimum",
    ).because("how far two neurons, one on a hyperplane, are below the minimum of the program")
    absolute = on_zoo(
        "rem-multivariate-abs",
        "networks-below-the-program-where-all-lines-are-balanced",
        at_least=1e3,
        form="ours",
        what="distance below the program's minimum",
    ).because("how far two neurons, one on a hyperplane, are below the minimum of the program")
    cross = np.array(POINTS["cross"])
    for activation, seen, on_the_cross in (("relu", relu, -8.0), ("abs", absolute, 0.0)):
        patterns = enumerate_arrangements(cross, activation=activation).patterns
        least = program_value(cross, patterns, printed_solution(cross, patterns))
        assert abs(least - on_the_cross) <= 1e-12  # rounding; by hand
        for name, X in point_sets():
            if X.any() and open_chamber_program_is_bounded(X, activation):
                patterns = enumerate_arrangements(X, activation=activation).patterns
                least = program_value(X, patterns, printed_solution(X, patterns))
                net, _ = on_a_hyperplane(X, 1e-8, activation)
                seen.fails(least - score_matching_loss(net, X, 0.0), on=name)


@every_activation
def test_without_weight_decay(activation: Activation, on_zoo: Evidence) -> None:
    beside = on_zoo(
        "ours-vacuous-multivariate", "two-neurons-beside-a-hyperplane-on-structured-data", 1e-3
    ).because("the values at the data add a term of order delta, in units of the prediction")
    on = on_zoo("ours-vacuous-multivariate", "one-neuron-on-a-hyperplane-on-structured-data", 1e-3).because(
        "the same, where every line holds as many rows on both sides"
    )
    program = on_zoo(
        "ours-vacuous-multivariate", "the-program-is-unbounded-exactly-as-predicted", 0.0
    ).because("whether the direction of descent vanishes")
    delta = 1e-10
    for name, X in point_sets():
        down = descent_direction(X, enumerate_arrangements(X, activation=activation).patterns)
        bounded = open_chamber_program_is_bounded(X, activation)
        program.holds(float(bool(np.abs(down).max() <= 1e-9) != bounded), on=name)
        if not X.any():
            continue
        if is_balanced(X):
            net, predicted = on_a_hyperplane(X, delta, activation)
            on.holds(abs(score_matching_loss(net, X, 0.0) / predicted - 1), on=name)
        else:
            step = 1 if activation == "relu" else 2
            rate = -score_matching_loss(falling_network(X, delta, activation=activation), X, 0.0) * delta**0.5
            excesses = [step * abs(p - q) for p, q in sides_of_lines(X) if p != q]
            beside.holds(min(abs(rate / excess - 1) for excess in excesses), on=name)


def test_closed_form(on_zoo: Evidence) -> None:
    seen = on_zoo("eq-multivariate-solution", "stationary-after-projection-on-structured-data", 1e-9).because(
        "rounding of a pseudo-inverse; the gradient less the part of V outside the range, over V"
    )
    one = on_zoo("disp-one-pattern", "n-times-the-inverse-on-structured-data", 1e-9).because(
        "rounding of an inverse"
    )
    for name, X in point_sets():
        n, d = X.shape
        patterns = enumerate_arrangements(X).patterns
        X_tilde, V_tilde = printed_blocks(X, patterns)
        W = printed_solution(X, patterns).reshape(V_tilde.shape)
        outside = -descent_direction(X, patterns).reshape(V_tilde.shape)
        assert np.abs(X_tilde @ outside).max() <= 1e-9 * (1 + np.abs(X).max()) * np.abs(V_tilde).max(), name
        rest = X_tilde.T @ (X_tilde @ W) + V_tilde - outside
        seen.holds(float(np.linalg.norm(rest) / np.linalg.norm(V_tilde)), on=name)
        if np.linalg.matrix_rank(X) == d:
            solution = printed_solution(X, np.ones((1, n), dtype=bool))[0]
            off = np.linalg.norm(solution + n * np.linalg.inv(X.T @ X)) / np.linalg.norm(solution)
            one.holds(float(off), on=name)
        else:
            with pytest.raises(ValueError, match="must span all"):
                precision_score(X)


def block_norms(W: FloatArray) -> float:
    return float(np.linalg.svd(W, compute_uv=False).sum())


def constraint_norms(X: FloatArray, patterns: FloatArray, Q: FloatArray) -> FloatArray:
    """The spectral norms of X^T D_i Q - tr(D_i) I."""
    M = [X.T @ (p[:, None] * Q) - p.sum() * np.eye(X.shape[1]) for p in patterns.astype(float)]
    return np.linalg.norm(M, ord=2, axis=(1, 2))


def test_gated_program(on_zoo: Evidence) -> None:
    critical = on_zoo("ours-multivariate-repair", "critical-weight-decay-on-structured-data", 1e-6).because(
        "a Q whose largest norm is the value, and blocks that cost nothing and gain below it"
    )
    equal = on_zoo("ours-multivariate-repair", "primal-and-dual-on-structured-data", 1e-6).because(
        "value of the blocks, of the dual, and violation, computed here; over the natural scale"
    )
    for name, X in point_sets():
        if not X.any():
            continue
        patterns = enumerate_arrangements(X).patterns
        found = critical_weight_decay(X, patterns)
        reached = float(constraint_norms(X, patterns, found.Q).max())
        critical.holds(
            max(abs(reached - found.value), found.value - found.lower) / (1 + found.value), on=name
        )
        beta = max(1.25 * found.value, 0.1)  # it is zero where the program is bounded without weight decay
        fit = gated_score_matching(X, patterns, beta)
        primal = program_value(X, patterns, fit.W) + beta * block_norms(fit.W)
        violation = float(constraint_norms(X, patterns, fit.Q).max()) - beta
        scale = max(abs(fit.value), len(X) ** 2 / np.sum(X**2))
        equal.holds(max(abs(primal + 0.5 * np.sum(fit.Q**2)) / scale, violation / beta), on=name)


# The jump of the counts on the ray of three of these rows; the solver only brackets it.
KNOWN = {"parallel rows": 3.0}
# Near the critical weight decay the loss of two nearly parallel rows hides the score at all others: the gap
# does not settle it.
TIMES_CRITICAL = {"nearly parallel": 3.1}


def imbalances(X: FloatArray, Q: FloatArray) -> FloatArray:
    """|Q^T (Xu)_+ - t(u) u| for a fine net of unit u, and from both sides of every hyperplane."""
    angle = np.linspace(0, 2 * np.pi, 2001)
    across = nonzero(X) @ np.array([[0.0, 1.0], [-1.0, 0.0]])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    u = np.vstack([np.column_stack([np.cos(angle), np.sin(angle)]), across, -across, across, -across])
    side = np.concatenate([np.ones(len(angle) + 2 * len(across)), -np.ones(2 * len(across))])
    beside = side[:, None] * (u @ np.array([[0.0, 1.0], [-1.0, 0.0]]))
    values = X @ u.T
    on = np.abs(values) <= 1e-12 * np.linalg.norm(X, axis=1, keepdims=True)
    active = np.where(on, X @ beside.T >= 0, values > 0)
    out = Q.T @ np.where(on, 0.0, np.maximum(values, 0.0)) - np.sum(active, axis=0) * u.T
    return np.asarray(np.linalg.norm(out, axis=0))


def test_the_plane(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-multivariate-columns", "certified-optimum-on-structured-data", 1e-6).because(
        "plain loss of the network, dual value, and imbalances over a net of directions and on every "
        "hyperplane, computed here; over the natural scale"
    )
    floor = on_zoo(
        "ours-multivariate-columns", "critical-weight-decay-against-its-floor-on-structured-data", 1e-6
    ).because("how far it is below one half, where all points lie on different lines")
    X = np.array(POINTS["cross"])
    for beta in (0.5, 0.6, 1.0, 1.9):
        Q = (2 - beta) * X
        turned = X + 1e-12 * X @ np.array([[0.0, 1.0], [-1.0, 0.0]])  # into a chamber
        balanced = TwoLayerNetwork.without_biases(turned, -(2 - beta) * turned, "relu", balanced=True)
        gap = score_matching_loss(balanced, X, beta) + 0.5 * np.sum(Q**2)
        seen.holds(max(abs(gap), imbalances(X, Q).max() / beta - 1), on=f"cross at {beta}, by hand")
    for name, X in point_sets(2):
        if not X.any():
            continue
        upper = KNOWN.get(name) or planar_critical_weight_decay(X)[1]
        if all(p + q == 1 for p, q in sides_of_lines(X)) and X.any(axis=1).all():
            floor.holds(max(0.0, 0.5 - upper), on=name)
        fit = planar_score_matching(X, max(TIMES_CRITICAL.get(name, 1.2) * upper, 0.1))
        gap = score_matching_loss(fit.network(), X, fit.beta) + 0.5 * np.sum(fit.Q**2)
        scale = max(abs(fit.value), len(X) ** 2 / np.sum(X**2))
        seen.holds(max(abs(gap) / scale, imbalances(X, fit.Q).max() / fit.beta - 1), on=name)


# --- Chapter 11 ------------------------------------------------------------------------------------------


def test_multivariate_denoising(on_zoo: Evidence) -> None:
    relu = on_zoo(
        "thm-multivariate-denoising", "network-attains-the-optimum-on-structured-data", 1e-8
    ).because("the two neurons of a thin cone cancel; in units of the targets")
    absolute = on_zoo(
        "rem-multivariate-denoising-abs", "network-attains-the-optimum-on-structured-data", 1e-8
    ).because("the two neurons of a thin cone cancel; in units of the targets")
    for activation, seen in (("relu", relu), ("abs", absolute)):
        for name, X, L in labelled_sets():
            patterns, directions = denoising.patterns_of(X, activation)
            blocks, value = denoising.least_squares(X, L, patterns)
            net = network_from_blocks(X, blocks, patterns, directions, activation=activation)
            assert net.width <= 2 * len(patterns) * X.shape[1], name
            seen.holds(abs(denoising_loss(net, X, L, 0.0) - value) / (np.sum(L**2) or 1.0), on=name)


def can_be_fitted_freely(X: FloatArray) -> bool:
    """No zero row, no two on one ray, and the lines with rows on both sides are independent."""
    if not X.any(axis=1).all() or any(max(sides) > 1 for sides in sides_of_lines(X)):
        return False
    units = unit_rows(X)
    paired = [row for i, row in enumerate(units) if np.any(np.linalg.norm(units[:i] + row, axis=1) <= 1e-9)]
    return not paired or bool(np.linalg.matrix_rank(paired) == len(paired))


def test_what_can_be_fitted(on_zoo: Evidence) -> None:
    distance = on_zoo(
        "ours-always-interpolates", "distance-to-the-constraints-on-structured-data", 1e-10
    ).because("rounding of two least-squares problems; in units of the targets")
    rank = on_zoo("ours-always-interpolates", "rank-exactly-as-stated-on-structured-data", 0.0).because(
        "whether the rank is n, and whether the conditions are met"
    )
    for name, X in point_sets():
        patterns, _ = denoising.patterns_of(X, "relu")
        stacked = np.hstack([p[:, None] * X for p in patterns])
        full = int(np.linalg.matrix_rank(stacked)) == len(X)
        rank.holds(float(full != can_be_fitted_freely(X)), on=name)
        for kind, L in labels(X).items():
            _, value = denoising.least_squares(X, L, patterns)
            closest = best_values(X, L)
            off = abs(0.5 * np.sum((closest - L) ** 2) - value) / (np.sum(L**2) or 1.0)
            distance.holds(float(off), on=f"{name}, {kind}")


def test_values_on_a_ray(on_zoo: Evidence) -> None:
    homogeneous = on_zoo("ours-parallel-rows", "homogeneous-on-structured-data", 1e-12).because(
        "rounding of a sum of neurons; one of them on every wall of the data"
    )
    wedge_side = on_zoo("ours-homogeneous", "homogeneous-on-structured-data", 1e-12).because(
        "rounding of a sum of neurons; one of them on every wall of the data"
    )
    bound = on_zoo("ours-parallel-rows", "bound-for-pairs-on-a-ray-on-structured-data", 1e-9).because(
        "how far the best fit of the pair is below the bound; in units of the targets"
    )
    for name, X, L in labelled_sets():
        patterns, directions = denoising.patterns_of(X, "relu")
        blocks, _ = denoising.least_squares(X, L, patterns)
        net = network_from_blocks(X, blocks, patterns, directions)
        size = np.abs(net(X)).max() or 1.0
        if net.width and net.squared_norm <= 1e6:  # large neurons that cancel leave their rounding
            for c in (2.0**-20, 3.0, 2.0**20):
                off = float(np.abs(net(c * X) / c - net(X)).max() / (size + net.squared_norm))
                homogeneous.holds(off, on=name)
                wedge_side.holds(off, on=name)
        for i, j in combinations(range(len(X)), 2):
            x, other = X[i], X[j]
            c = float(x @ other) / (float(x @ x) or 1.0)
            if c > 0 and np.array_equal(other, c * x):
                pair, least = L[[i, j]], np.sum((L[j] - c * L[i]) ** 2) / (2 * (1 + c**2))
                _, value = denoising.least_squares(
                    X[[i, j]], pair, denoising.patterns_of(X[[i, j]], "relu")[0]
                )
                bound.holds(max(0.0, float(least - value)) / (np.sum(pair**2) or 1.0), on=name)


def test_opposite_rows(on_zoo: Evidence) -> None:
    odd = on_zoo("ours-opposite-rows", "odd-part-on-structured-data", 1e-12).because(
        "rounding of a sum of neurons"
    )
    six = on_zoo("ours-opposite-rows", "six-points-on-structured-targets", 1e-12).because(
        "rounding; with q = (1, 1, -1, -1, -1, 1) the optimum is |q^T L|^2 / 12"
    )
    for name, X in point_sets():
        _, generators = enumerate_arrangements(X)
        net = without_biases(generators, generators[::-1], "relu")
        V = net.W2 @ net.W1
        odd.holds(float(np.abs(net(X) - net(-X) - X @ V.T).max() / (1 + np.abs(net(X)).max())), on=name)
    X, q = np.array(POINTS["symmetric"]), np.array([1.0, 1.0, -1.0, -1.0, -1.0, 1.0])
    patterns, _ = denoising.patterns_of(X, "relu")
    for kind, L in labels(X).items():
        _, value = denoising.least_squares(X, L, patterns)
        six.holds(abs(value - np.sum((q @ L) ** 2) / 12) / (np.sum(L**2) or 1.0), on=kind)
        _, lowered = denoising.least_squares(X, L, np.vstack([patterns, denoising.thin_patterns(X)]))
        assert lowered <= 1e-12 * (np.sum(L**2) or 1.0), kind  # rounding


# --- Chapter 12 ------------------------------------------------------------------------------------------


def test_printed_wedge_program(on_zoo: Evidence) -> None:
    """Of a single row the printed features are zero: the program fits nothing, whatever the penalty."""
    one = on_zoo("thm-wedge-one-norm", "printed-program-above-the-optimum", at_least=0.1).because(
        "one row in the plane: how far the printed value is above the optimum, over the optimum"
    )
    two = on_zoo("thm-wedge-two-norm", "printed-program-above-the-optimum", at_least=0.1).because(
        "one row in the plane: how far the printed value is above the optimum, over the optimum"
    )
    X = np.array(POINTS["one point"])
    for p, seen in ((1, one), (2, two)):
        for kind, L in labels(X).items():
            if L.any():
                shown = wedge.printed(X, L, wedge.LAM, p)
                assert abs(shown / np.sum(L**2) - 1) <= 1e-7, kind  # the stopping rule of the general solver
                best = wedge_denoising(X, L, wedge.LAM, p=p, exact=True).value
                seen.fails(shown / best - 1, on=kind)


def test_wedge_one_norm(on_zoo: Evidence) -> None:
    theorem = on_zoo("thm-wedge-one-norm", "certified-for-all-directions-on-structured-data", 1e-7).because(
        "gap, and response over a net of directions that knows nothing of the data; the stopping rule"
    )
    dictionary = on_zoo("ours-wedge-dictionary", "largest-response-on-structured-data", 1e-7).because(
        "over lambda; stopping rule of the solver"
    )
    nets = {d: wedge.dense_directions(d, 1)[::10] for d in (2, 3)}
    for name, X, L in labelled_sets():
        fit = wedge_denoising(X, L, wedge.LAM, p=1, exact=True)
        net = responses(np.maximum(X @ nets[X.shape[1]].T, 0.0), fit.Q, 1).max()
        theorem.holds(max(fit.certificate.relative_gap, net / wedge.LAM - 1), on=name)
        dictionary.holds(max(0.0, largest_response(X, fit.Q, p=1) / wedge.LAM - 1), on=name)


def test_wedge_two_norm(on_zoo: Evidence) -> None:
    above = on_zoo(
        "thm-wedge-two-norm",
        "optimum-over-wedge-on-structured-data",
        1 + 1e-7,
        what="optimum / wedge program",
    ).because("stopping rule")
    factor = on_zoo(
        "thm-wedge-two-norm",
        "wedge-over-printed-factor-on-structured-data",
        1 + 1e-7,
        what="wedge program / (factor · optimum)",
    ).because("stopping rule")
    sharper = on_zoo(
        "ours-wedge-diameter-bound",
        "wedge-over-bound-on-structured-data",
        1 + 1e-7,
        what="wedge program / bound",
    ).because("stopping rule")
    for i, (name, X) in enumerate(point_sets()):
        D = chamber_diameters(enumerate_arrangements(X)).largest[1]
        kind, L = list(labels(X).items())[1 + i % 3]
        if not L.any():
            continue
        where = f"{name}, {kind}"
        upper = wedge_denoising(X, L, wedge.LAM).value
        best = wedge_denoising(X, L, wedge.LAM, exact=True).value
        above.holds(best / upper, on=where)
        if D < 1:
            factor.holds(upper / best * (1 - D), on=where)
        if D**2 < 2:
            allowed = 1 / np.cos(np.arcsin(D / 2)) if X.shape[1] == 2 else 1 / (1 - D**2 / 2)
            sharper.holds(upper / best / allowed, on=where)


# --- Chapter 15 ------------------------------------------------------------------------------------------


def response_through_points(X: FloatArray, Q: FloatArray, u: FloatArray) -> float:
    """The largest response of neurons with these directions whose kink goes through a point."""
    values = X @ u.T
    return max(float(responses(np.maximum(values - row, 0.0), Q, 2).max()) for row in values)


def test_free_biases(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-free-bias-exact", "kinks-through-points-on-structured-data", 1e-9).because(
        "rounding; what the best kink elsewhere adds, over the largest response"
    )
    for name, X, L in labelled_sets():
        Q = L - L.mean(axis=0)
        u = unit_rows(np.vstack([wedge.dense_directions(X.shape[1], 2)[::50], nonzero(X), -nonzero(X)]))
        through = response_through_points(X, Q, u)
        reach = 2 * (np.abs(X).max() or 1.0)
        elsewhere = max(
            float(responses(np.maximum(X @ u.T + bias, 0.0), Q, 2).max())
            for bias in np.linspace(-reach, reach, 41)
        )
        seen.holds(max(0.0, elsewhere - through) / (through or 1.0), on=name)
