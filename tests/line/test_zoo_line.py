"""Part I on the zoo: every proved statement on the line, on data chosen for what is special about them.

The printed programs are not solved here: a network of the library becomes a point of the program, its dual
vector a point of the printed dual, and where the two have one value both are optimal. That is exact to
rounding for gaps of any ratio, where a general-purpose solver stops early.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import test_absolute_value as by_abs
import test_relu_theorem as by_relu
import test_skip_connections as by_skip
from claims_witness import Evidence
from routes import CERTIFICATE, EXPLICIT_POINT, LINEAR_SOLVER, OPTIMAL, TWO_CERTIFICATES, scale_of
from strategies import NETWORKS, threshold, two_sided_rows
from zoo import samples

from convexdiff_lib import TwoLayerNetwork, UnivariateScore, score_matching, score_matching_loss
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.datasets import GaussianMixture
from convexdiff_lib.line.kink_network import KinkNetwork
from convexdiff_lib.line.network_certificates import certify_score_matching, dual_violation
from convexdiff_lib.paper.univariate_programs import (
    PrintedProgram,
    network_from_program,
    score_matching_program,
)

ROUNDING = "rounding, relative to the size of the terms"


def decays(x: FloatArray, activation: Activation, skip: bool = False) -> Iterator[float]:
    """The threshold, exactly, a little above, and twice the number of points."""
    low = threshold(x, activation, skip)
    yield from (low, 1.3 * low, 0.5 * (low + max(len(x), low)), 2.0 * low + 2.0 * len(x))


def with_decays(
    activation: Activation, *, skip: bool = False, distinct: int = 1, ties: bool = True
) -> Iterator[tuple[str, FloatArray, float]]:
    for name, x in samples(distinct=max(distinct, 2 if skip else 1), ties=ties):
        for beta in decays(x, activation, skip):
            yield f"{name} at {beta:g}", x, beta


def column_weights(x: FloatArray, net: KinkNetwork, columns: Activation) -> FloatArray:
    """The y of the printed program that is this network: a kink counts for the first point where it is."""
    n = len(x)
    y = np.zeros((4 if columns == "relu" else 2) * n)
    for kink, facing, weight, beyond in zip(net.kinks, net.facing, net.weights, net.beyond, strict=True):
        # For |.| the version whose slope at the point counts as +1, or that with -1.
        block = 2 * int(facing < 0) + int(beyond) if columns == "relu" else int((facing > 0) == bool(beyond))
        y[block * n + int(np.flatnonzero(x == kink)[0])] += weight
    return y


def as_printed(
    x: FloatArray, fit: UnivariateScore, activation: Activation, skip: bool
) -> tuple[PrintedProgram, FloatArray]:
    """The printed program, and the fitted network as a point of it."""
    program = score_matching_program(x, fit.beta, activation=activation, skip=skip)
    net = fit.kink_network
    if skip and activation == "relu":
        net = net.relu_to_abs()
    return program, column_weights(x, net, "abs" if skip else activation)


def far_from_optimal(x: FloatArray, fit: UnivariateScore, activation: Activation, skip: bool) -> float:
    """How far the fit is from a proof of its optimality in the printed program, over the natural scale."""
    program, y = as_printed(x, fit, activation, skip)
    value = program.value_at(y)
    loss = score_matching_loss(fit.network(), x, fit.beta)
    violation = float(np.max(np.abs(program.A.T @ fit.z - program.b))) - program.penalty
    distances = abs(value + 0.5 * float(fit.z @ fit.z)), abs(value - fit.value), abs(value - loss)
    return max(max(distances) / scale_of(x, value), violation / len(x))


def trial_vectors(x: FloatArray) -> Iterator[FloatArray]:
    """Dual vectors that sum to zero: nothing, a line, alternating signs, a pair at the ends."""
    ranks = np.arange(len(x), dtype=float)
    ends = np.zeros(len(x))
    ends[0], ends[-1] = 1.0, -1.0
    for z in (0 * ranks, ranks, (-1.0) ** ranks, ends):
        yield (z - z.mean()) / (np.std(x) or 1.0)


def heights(x: FloatArray, z: FloatArray) -> FloatArray:
    return by_abs.beam_heights(x, z)


# --- Chapter 1 -------------------------------------------------------------------------------------------


def two_sides(net: TwoLayerNetwork, law: GaussianMixture, cuts: FloatArray) -> tuple[float, float]:
    """Half the squared error, and the objective plus its constant, by Gauss's rule between the kinks."""
    nodes, weights = np.polynomial.legendre.leggauss(30)
    middle, half = (cuts[1:] + cuts[:-1]) / 2, np.diff(cuts) / 2
    at = (middle[:, None] + half[:, None] * nodes).ravel()
    mass = (half[:, None] * weights).ravel() * np.exp(law.log_density(at))
    values, true = net(at), law.score(at)
    error = mass @ (values - true) ** 2 / 2
    return float(error), float(mass @ (values**2 / 2 + net.divergence(at) + true**2 / 2))


def test_hyvarinens_identity(on_zoo: Evidence) -> None:
    """Laws around the points of the zoo, networks whose kinks are the centres, and the zero network."""
    seen = on_zoo("eq-hyvarinen", "identity-around-structured-data", 1e-9).because(
        "Gauss's rule between the kinks, exact to rounding, relative to the two sides"
    )
    for i, (name, x) in enumerate(samples()):
        spread = float(np.std(x)) or 1.0
        near = (x - x.mean()) / spread
        law = GaussianMixture(tuple(near), 0.5)
        cuts = np.union1d(near, np.arange(near.min() - 6, near.max() + 6.5, 0.5))
        signs = (-1.0) ** np.arange(len(x))
        activation: Activation = "abs" if i % 2 else "relu"
        kinked = TwoLayerNetwork.univariate(signs, -signs * near, signs, 1.0, -0.5, activation=activation)
        silent = TwoLayerNetwork.univariate([1.0], [0.0], [0.0])
        for net in (kinked, silent):
            error, objective = two_sides(net, law, cuts)
            seen.holds(abs(error - objective) / (1 + error), on=name)


# --- Chapter 2 -------------------------------------------------------------------------------------------


def test_relu_program(on_zoo: Evidence) -> None:
    seen = on_zoo("thm-univariate-relu", "optimal-on-structured-data", 2e-8).because(OPTIMAL)
    for name, x, beta in with_decays("relu", ties=False):
        seen.holds(far_from_optimal(x, score_matching(x, beta), "relu", False), on=name)


def least_decay(x: FloatArray, activation: Activation) -> float:
    """What pairs of printed constraints with one left side ask of beta: half the distance of their counts."""
    rows = [(value, count) for family in two_sided_rows(x, activation).values() for value, count in family]
    needed = [abs(count) for value, count in rows if not value.any()]
    for i, (value, count) in enumerate(rows):
        needed += [abs(count - other) / 2 for same, other in rows[:i] if np.array_equal(value, same)]
    return max(needed, default=0.0)


def test_relu_feasibility(on_zoo: Evidence) -> None:
    point = on_zoo("lem-relu-feasible", "explicit-point-on-structured-data", 1e-8).because(EXPLICIT_POINT)
    needed = on_zoo("lem-relu-feasible", "least-decay-on-structured-data", 0.0).because(
        "counts: a hinge that is zero at all data has the constraint |1| <= beta"
    )
    for name, x in samples(ties=False):
        z = by_relu.lemma_point(x) if len(x) > 1 else np.zeros(1)
        point.holds(dual_violation(x, z, 1.0) / len(x), on=name)
        needed.holds(abs(least_decay(x, "relu") - 1.0), on=name)


def test_relu_beam(on_zoo: Evidence) -> None:
    same = on_zoo("ours-beam-relu", "tubes-and-printed-constraints-on-structured-data", 1e-9).because(
        ROUNDING
    )
    touch = on_zoo("ours-beam-relu", "kinks-touch-the-tube-on-structured-data", 1e-6).because(
        "how far the beam is from the nearest bound where the score bends, over n"
    )
    for name, x in samples(ties=False):
        n, i = len(x), np.arange(1, len(x) + 1)
        for z in trial_vectors(x):
            g = heights(x, z)
            tubes = np.abs(g - (n - i + 0.5)), np.abs((g[0] - g) - (i - 0.5))
            printed = max(
                abs(float(row @ z) - count)
                for rows in two_sided_rows(x, "relu").values()
                for row, count in rows
            )
            same.holds(abs(float(np.max(tubes)) + 0.5 - printed) / printed, on=name)
    for name, x, beta in with_decays("relu", ties=False):
        fit = score_matching(x, beta)
        g, n, i = heights(x, fit.z), len(x), np.arange(1, len(x) + 1)
        room = np.minimum(beta - 0.5 - np.abs(g - (n - i + 0.5)), beta - 0.5 - np.abs((g[0] - g) - (i - 0.5)))
        bends = np.isin(x, fit.knots)
        touch.holds(float(np.max(np.abs(room[bends]), initial=0.0)) / n, on=name)


def rule_error(x: FloatArray, beta: float, activation: Activation, skip: bool) -> float:
    """The loss of the network that the signed rule makes of an optimal y, against the optimum."""
    fit = score_matching(x, beta, activation=activation, skip=skip)
    _, y = as_printed(x, fit, activation, skip)
    net = network_from_program(x, y, activation=activation, skip=skip)
    return abs(score_matching_loss(net, x, beta) - fit.value) / scale_of(x, fit.value)


def test_relu_rule(on_zoo: Evidence) -> None:
    seen = on_zoo("rule-relu-reconstruction", "signed-rule-on-structured-data", 1e-7).because(ROUNDING)
    for name, x, beta in with_decays("relu"):
        seen.holds(rule_error(x, beta, "relu", False), on=name)


def test_abs_predictor(on_zoo: Evidence) -> None:
    seen = on_zoo("disp-univariate-predictor", "signed-sum-on-structured-data", 1e-9).because(ROUNDING)
    for name, x, beta in with_decays("abs"):
        fit = score_matching(x, beta, activation="abs")
        _, y = as_printed(x, fit, "abs", False)
        weights, wide = y[: len(x)] + y[len(x) :], np.ptp(x) or 1.0
        at = np.concatenate([x, np.linspace(x.min() - wide, x.max() + wide, 21)])
        summed = np.abs(at[:, None] - x) @ weights
        summed += fit(x[:1]) - np.abs(x[0] - x) @ weights  # the bias, whatever it is
        seen.holds(float(np.max(np.abs(summed - fit(at)))) / (1 / wide + np.max(np.abs(fit(at)))), on=name)


def test_below_the_threshold(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-below-threshold", "losses-fall-on-structured-data", 1e-9).because(
        "rounding; the loss is compared with (beta - 1) times the weight, which has no lower bound"
    )
    for name, x in samples(ties=False):
        for weight in (1.0, 4.0**5, 4.0**10):
            loss = score_matching_loss(by_relu.falling_network(x, weight), x, 0.75)
            seen.holds(abs(loss / (-0.25 * weight) - 1), on=name)


def test_relu_threshold_with_ties(on_zoo: Evidence) -> None:
    attained = on_zoo("ours-threshold-ties", "certified-at-the-threshold-on-structured-data", 1e-8).because(
        CERTIFICATE
    )
    needed = on_zoo("ours-threshold-ties", "least-decay-on-structured-data", 0.0).because(
        "counts: two constraints with one left side are half the distance of their counts apart"
    )
    for name, x in samples():
        _, counts = np.unique(x, return_counts=True)
        low = max(counts[1:-1].max(initial=0) / 2, counts[0], counts[-1])
        needed.holds(abs(least_decay(x, "relu") - low), on=name)
        attained.holds(score_matching(x, low).certificate.relative_gap, on=name)
        with pytest.raises(ValueError, match="is below"):
            score_matching(x, np.nextafter(low, 0))


# --- Chapter 3 -------------------------------------------------------------------------------------------


def test_abs_program(on_zoo: Evidence) -> None:
    seen = on_zoo("thm-univariate-abs", "optimal-on-structured-data", 2e-8).because(OPTIMAL)
    for name, x, beta in with_decays("abs", ties=False):
        seen.holds(far_from_optimal(x, score_matching(x, beta, activation="abs"), "abs", False), on=name)


def test_rescaling(on_zoo: Evidence) -> None:
    same = on_zoo("rem-rescaling", "kinks-on-structured-data-stay", 0.0).because(
        "powers of two: nothing is rounded, and the kinks are at the points"
    )
    cheapest = on_zoo("rem-rescaling", "optimal-networks-pay-the-absolute-value", 1e-12).because(ROUNDING)
    for i, (name, x) in enumerate(samples()):
        activation: Activation = "abs" if i % 2 else "relu"
        signs = (-1.0) ** np.arange(len(x))
        net = TwoLayerNetwork.univariate(signs, -signs * x, 2.0 + signs, 1.0, activation=activation)
        scaled = replace(net, W1=8 * net.W1, b1=8 * net.b1, W2=net.W2 / 8)
        before, after = (np.concatenate([one(x), one.divergence(x)]) for one in (net, scaled))
        same.holds(float(np.max(np.abs(after - before))), on=name)
        for beta in decays(x, activation):
            fit = score_matching(x, beta, activation=activation)
            size = fit.kink_network.total_weight
            cheapest.holds(abs(fit.network().squared_norm / 2 - size) / (size or 1.0), on=name)
            unbalanced = replace(fit.network(), W1=2 * fit.network().W1, W2=fit.network().W2 / 2)
            assert unbalanced.squared_norm / 2 >= size


def places_around(x: FloatArray) -> FloatArray:
    """Inside the gaps, at their middles and close to their ends, and far outside the data."""
    ordered = np.unique(x)
    gaps, wide = np.diff(ordered), np.ptp(x) or 1.0
    inside = [ordered[:-1] + part * gaps for part in (0.01, 0.5, 0.99)]
    return np.concatenate(
        [*inside, x.min() - wide * np.array([0.1, 10.0]), x.max() + wide * np.array([0.1, 10.0])]
    )


def test_kinks_at_the_data_are_enough(on_zoo: Evidence) -> None:
    seen = on_zoo("rem-kinks-at-data", "no-kink-elsewhere-on-structured-data", 1e-12).because(
        "rounding; what the tightest of the other kinks adds, over the constraint value"
    )
    for name, x in samples():
        for z in trial_vectors(x):
            for activation in ("relu", "abs"):
                rows = two_sided_rows(x, activation).values()
                at_data = max(abs(float(row @ z) - count) for family in rows for row, count in family)
                elsewhere = max(by_abs.constraint_at(x, z, float(t), activation) for t in places_around(x))
                seen.holds(max(0.0, elsewhere - at_data) / at_data, on=name)


def test_abs_feasibility(on_zoo: Evidence) -> None:
    point = on_zoo("lem-abs-feasible", "explicit-point-on-structured-data", 1e-8).because(EXPLICIT_POINT)
    needed = on_zoo("lem-abs-feasible", "least-decay-on-structured-data", 0.0).because(
        "counts: the two readings of the slope at a point are two apart"
    )
    alone = on_zoo(
        "lem-abs-feasible", "no-other-point-at-one-on-structured-data", at_least=1e-3, form="ours"
    ).because("the violation of a point that is a tenth of a unit away, in one of the directions that remain")
    for name, x in samples(ties=False):
        z = -by_abs.spacing_estimate(x)
        point.holds(dual_violation(x, z, 1.0, activation="abs") / len(x), on=name)
        needed.holds(abs(least_decay(x, "abs") - 1.0), on=name)
        for i in range(len(x) - 1):
            step = np.zeros(len(x))
            step[i : i + 2] = 0.1 / (x[i + 1] - x[i]) * np.array([1.0, -1.0])
            alone.fails(dual_violation(x, z + step, 1.0, activation="abs"), on=name)


def merged_weights(x: FloatArray, net: KinkNetwork) -> FloatArray:
    """The t of the merged program: all weight at a point together."""
    return np.array([net.weights[net.kinks == point].sum() for point in x])


def test_spacing_lasso(on_zoo: Evidence) -> None:
    term = on_zoo("ours-spacing-lasso", "linear-term-on-structured-data", 1e-12).because(ROUNDING)
    value = on_zoo("ours-spacing-lasso", "certified-optimum-in-the-lasso-on-structured-data", 1e-7).because(
        "the objective is a difference of squares of responses as large as one over the smallest gap"
    )
    ends = on_zoo("ours-spacing-lasso", "interpolation-at-one-on-structured-data", 1e-7).because(
        "the network's values are sums of hinges as large as one over the smallest gap"
    )
    for name, x in samples(distinct=2, ties=False):
        n, A, r = len(x), by_abs.centred_distances(x), by_abs.spacing_estimate(x)
        counts = n - 2 * np.arange(1, n + 1) + 1.0
        term.holds(float(np.max(np.abs(A.T @ r + counts) / (np.abs(A.T) @ np.abs(r) + n))), on=name)
        for beta in decays(x, "abs"):
            fit = score_matching(x, beta, activation="abs")
            t = merged_weights(x, fit.kink_network)
            size = max(scale_of(x, fit.value), float(np.sum(r**2)))
            value.holds(abs(by_abs.lasso_objective(x, t, beta) - fit.value) / size, on=name)
        fit = score_matching(x, 1.0, activation="abs")
        off = abs(fit.value / (-0.5 * float(r @ r)) - 1)
        ends.holds(max(off, float(np.linalg.norm(fit(x) - r) / np.linalg.norm(r))), on=name)


def test_abs_beam(on_zoo: Evidence) -> None:
    same = on_zoo("ours-beam-abs", "tube-and-printed-constraints-on-structured-data", 1e-9).because(ROUNDING)
    touch = on_zoo("ours-beam-abs", "kinks-touch-the-tube-on-structured-data", 1e-6).because(
        "how far the beam is from the nearest bound where the score bends, over n"
    )
    for name, x in samples(ties=False):
        n, i = len(x), np.arange(1, len(x) + 1)
        for z in trial_vectors(x):
            g = heights(x, z)
            tube = float(np.max(np.abs(2 * g - g[0] - (n - 2 * i + 1))))
            printed = max(
                abs(float(row @ z) - count)
                for rows in two_sided_rows(x, "abs").values()
                for row, count in rows
            )
            same.holds(abs(tube + 1 - printed) / printed, on=name)
        for beta in decays(x, "abs"):
            fit = score_matching(x, beta, activation="abs")
            g = heights(x, fit.z)
            room = beta - 1 - np.abs(2 * g - g[0] - (n - 2 * i + 1))
            bends = np.isin(x, fit.knots)
            touch.holds(float(np.max(np.abs(room[bends]), initial=0.0)) / n, on=name)


def test_relu_between(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-relu-between", "relu-lies-between-on-structured-data", 2e-8).because(TWO_CERTIFICATES)
    for name, x, beta in with_decays("relu", ties=False):
        low, middle, high = (
            score_matching(x, b, activation=a).value
            for a, b in (("abs", beta), ("relu", beta), ("abs", 2 * beta))
        )
        seen.holds(max(0.0, low - middle, middle - high) / scale_of(x, low), on=name)


def test_abs_tails(on_zoo: Evidence) -> None:
    tails = on_zoo("ours-abs-tails", "outer-slopes-on-structured-data", 1e-9).because(ROUNDING)
    free = on_zoo("ours-abs-tails", "exchange-at-the-ends-on-structured-data", 1e-8).because(CERTIFICATE)
    for name, x, beta in with_decays("abs"):
        fit = score_matching(x, beta, activation="abs")
        slopes = fit.score.slopes
        tails.holds(abs(slopes[0] + slopes[-1]) / (np.abs(slopes).max() or 1.0), on=name)
        level = by_abs.level_tails(fit.kink_network, x) if np.ptp(x) > 0 else None
        if level is not None:
            verdict = certify_score_matching(x, level, fit.z, beta, activation="abs")
            free.holds(verdict.relative_gap, on=name)


def test_merged_relu_program(on_zoo: Evidence) -> None:
    value = on_zoo(
        "ours-merged-relu", "certified-optimum-in-the-merged-program-on-structured-data", 1e-7
    ).because(OPTIMAL)
    outside = on_zoo("ours-merged-relu", "a-cost-of-one-half-on-a-column-of-zeros", 0.0).because(
        "an entry of the linear term that no combination of the rows can have"
    )
    for name, x in samples(ties=False):
        n, j = len(x), np.arange(1, len(x) + 1)
        hinges = [np.maximum(sign * (x[:, None] - x), 0.0) for sign in (1, -1)]
        costs = np.concatenate([n - j + 0.5, -(j - 0.5)])
        A = np.hstack([h - h.mean(axis=0) for h in hinges])
        outside.holds(float(np.abs(A[:, n - 1]).max()) + abs(costs[n - 1] - 0.5), on=name)
        for beta in decays(x, "relu"):
            fit = score_matching(x, beta)
            y = column_weights(x, fit.kink_network, "relu").reshape(4, n)
            tu = np.concatenate([y[0] + y[1], y[2] + y[3]])
            merged = 0.5 * np.sum((A @ tu) ** 2) + costs @ tu + (beta - 0.5) * np.abs(tu).sum()
            violation = float(np.max(np.abs(A.T @ fit.z - costs))) - (beta - 0.5)
            gap = abs(merged - fit.value) / scale_of(x, fit.value)
            value.holds(max(gap, violation / n), on=name)


def test_dead_hinges(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-dead-atom", "without-both-two-thirds-on-structured-data", 1e-6).because(LINEAR_SOLVER)
    for name, x in samples(distinct=3, ties=False):
        n, j, near = len(x), np.arange(1, len(x) + 1), (x - x.mean()) / x.std()
        columns = np.hstack([np.maximum(sign * (near[:, None] - near), 0.0) for sign in (1, -1)])
        costs = np.concatenate([n - j + 0.5, -(j - 0.5)])
        kept = np.delete(np.arange(2 * n), [n - 1, n])
        found = by_abs.smallest_decay(columns[:, kept], costs[kept], offset=0.5)
        seen.holds(abs(found - 2 / 3), on=name)


def test_abs_rule(on_zoo: Evidence) -> None:
    seen = on_zoo("rule-abs-reconstruction", "signed-rule-on-structured-data", 1e-7).because(ROUNDING)
    for name, x, beta in with_decays("abs"):
        seen.holds(rule_error(x, beta, "abs", False), on=name)


# --- Chapter 4 -------------------------------------------------------------------------------------------


def test_abs_skip_program(on_zoo: Evidence) -> None:
    seen = on_zoo("thm-univariate-abs-skip", "optimal-on-structured-data", 2e-8).because(OPTIMAL)
    for name, x, beta in with_decays("abs", skip=True, ties=False):
        fit = score_matching(x, beta, activation="abs", skip=True)
        seen.holds(far_from_optimal(x, fit, "abs", True), on=name)


def test_relu_skip_program(on_zoo: Evidence) -> None:
    seen = on_zoo("thm-univariate-relu-skip", "optimal-on-structured-data", 2e-8).because(OPTIMAL)
    twice = on_zoo("thm-univariate-relu-skip", "abs-at-twice-the-decay-on-structured-data", 1e-8).because(
        TWO_CERTIFICATES
    )
    for name, x, beta in with_decays("relu", skip=True, ties=False):
        fit = score_matching(x, beta, skip=True)
        seen.holds(far_from_optimal(x, fit, "relu", True), on=name)
        other = score_matching(x, 2 * beta, activation="abs", skip=True)
        twice.holds(abs(fit.value - other.value) / fit.certificate.scale, on=name)


def test_skip_feasibility(on_zoo: Evidence) -> None:
    point = on_zoo("lem-abs-skip-feasible", "explicit-point-on-structured-data", 1e-8).because(EXPLICIT_POINT)
    needed = on_zoo("lem-abs-skip-feasible", "first-point-needs-two-on-structured-data", 0.0).because(
        "counts: the distances from the first point are a line, whose value for every feasible z is n"
    )
    for name, x in samples(distinct=2, ties=False):
        point.holds(
            dual_violation(x, by_skip.lemma_point(x), 2.0, activation="abs", skip=True) / len(x), on=name
        )
        count = sum(1 if value > x[0] else -1 for value in x)
        assert np.array_equal(np.abs(x - x[0]), x - x[0])
        needed.holds(abs(len(x) - count - 2.0), on=name)


def test_skip_beam(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-beam-skip", "tube-and-printed-constraints-on-structured-data", 1e-8).because(
        "rounding, over n; z is as large as one over the smallest gap"
    )
    for name, x in samples(distinct=2, ties=False):
        n, i = len(x), np.arange(1, len(x) + 1)
        lever = (x - x.mean()) / np.sum((x - x.mean()) ** 2)
        for z in (by_skip.lemma_point(x), *(z + (n - z @ (x - x.mean())) * lever for z in trial_vectors(x))):
            g = heights(x, z)
            inner = np.abs(g - (n - i + 0.5))[1:-1]
            for beta in (2.0, 3.5, float(n + 2)):
                tube = max(float(np.max(inner - 0.5 * (beta - 1), initial=0.0)), 0.0)
                printed = dual_violation(x, z, beta, activation="abs", skip=True)
                seen.holds(abs(2 * tube - printed) / n, on=name)
                assert abs(g[0] - n) <= 1e-8 * n  # rounding


def test_relu_needs_no_skip(on_zoo: Evidence) -> None:
    equal = on_zoo("ours-relu-skip-equal", "one-value-and-score-on-structured-data", 1e-6).because(
        "the same strongly convex problem, solved twice, where the bends carry the first slope"
    )
    lower = on_zoo(
        "ours-relu-skip-equal", "skip-is-lower-on-structured-data", at_least=1e-6, form="ours"
    ).because("the gain, over the certificate's scale, where the bends cannot")
    for name, x in samples(distinct=2, ties=False):
        for beta in (1.1, 2.0, 0.5 * (1 + len(x)), 1.5 * len(x)):
            without, with_skip = score_matching(x, beta), score_matching(x, beta, skip=True)
            gain = (without.value - with_skip.value) / with_skip.certificate.scale
            apart = float(np.max(np.abs(without.z - with_skip.z)) / np.max(np.abs(with_skip.z)))
            spare = by_skip.needs_no_skip(x, beta) * np.var(x)
            where = f"{name} at {beta:g}, with {spare:g} to spare"
            if spare >= -1e-9:  # rounding: on symmetric data the two sides of the condition may be equal
                equal.holds(max(abs(gain), apart), on=where)
            else:
                lower.fails(gain, on=where)


def test_skip_constant_and_penalty(on_zoo: Evidence) -> None:
    constant = on_zoo("disp-abs-skip-constant", "constant-on-structured-data", 1e-9).because(
        "rounding; the value at the optimal y is the loss only with the constant, over the natural scale"
    )
    penalty = on_zoo("disp-abs-skip-penalty", "uneliminated-program-on-structured-data", 1e-7).because(
        ROUNDING
    )
    for name, x, beta in with_decays("abs", skip=True, ties=False):
        fit = score_matching(x, beta, activation="abs", skip=True)
        program, y = as_printed(x, fit, "abs", True)
        size = scale_of(x, fit.value)
        loss = score_matching_loss(fit.network(), x, beta)
        stated = -(len(x) ** 2) / (2 * np.sum((x - x.mean()) ** 2))
        without = program.value_at(y) - program.constant
        constant.holds(abs(without + stated - loss) / size, on=name)
        near = x - x[0]  # the values of the terms must not drown in an offset
        y0, y1 = y.reshape(2, len(x))
        slope, shift = np.polynomial.polynomial.polyfit(
            near / np.ptp(x), fit(x) - np.abs(near[:, None] - near) @ (y0 + y1), 1
        )[::-1]
        display = by_skip.Display16(near, beta, (0, 1))
        penalty.holds(
            abs(float(display.objective(y0, y1, slope / np.ptp(x), shift).value) - fit.value) / size, on=name
        )


def test_skip_rules(on_zoo: Evidence) -> None:
    absolute = on_zoo("rule-abs-skip-reconstruction", "signed-rule-on-structured-data", 1e-7).because(
        ROUNDING
    )
    relu = on_zoo("rule-relu-skip-reconstruction", "signed-rule-on-structured-data", 1e-7).because(ROUNDING)
    for seen, activation in ((absolute, "abs"), (relu, "relu")):
        for name, x, beta in with_decays(activation, skip=True):
            seen.holds(rule_error(x, beta, activation, True), on=name)


def test_other_thresholds_with_ties(on_zoo: Evidence) -> None:
    attained = on_zoo(
        "ours-threshold-ties-abs", "certified-at-the-threshold-on-structured-data", 1e-8
    ).because(CERTIFICATE)
    falls = on_zoo("ours-threshold-ties-abs", "losses-fall-on-structured-data", 1e-9).because(
        "rounding; each loss is compared with a negative multiple of the weight, which has no bound"
    )
    for name, x in samples(distinct=2):
        points, counts = np.unique(x, return_counts=True)
        k, e = counts[1:-1].max(initial=0), max(counts[0], counts[-1])
        for activation, skip in NETWORKS[1:]:
            share = 1.0 if activation == "abs" else 0.5
            low = float(max(share * k, 2 * share * e if skip else e))
            attained.holds(
                score_matching(x, low, activation=activation, skip=skip).certificate.relative_gap, on=name
            )
            with pytest.raises(ValueError, match="is below"):
                score_matching(x, np.nextafter(low, 0), activation=activation, skip=skip)
            for weight in (1.0, 4.0**10):
                net, slope = by_skip.vanishing_at_an_end(x, weight, activation, skip=skip)
                beta = 0.75 * slope * e / len(net.b1)
                rate = (beta * len(net.b1) - slope * e) * weight
                falls.holds(abs(score_matching_loss(net, x, beta) / rate - 1), on=name)
                if k:
                    net, slope = by_skip.vanishing_at_a_tie(
                        points[1:-1][np.argmax(counts[1:-1])], weight, activation
                    )
                    beta = 0.75 * slope * k / 2
                    rate = (2 * beta - slope * k) * weight
                    falls.holds(abs(score_matching_loss(net, x, beta) / rate - 1), on=name)
