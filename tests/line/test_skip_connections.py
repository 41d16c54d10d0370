"""Evidence for the chapter on skip connections: Theorems 7 and 8, Lemma 6, their displays, and beyond."""

from __future__ import annotations

from collections.abc import Iterator

import cvxpy as cp
import numpy as np
import pytest
from claims_witness import Evidence, Witness
from routes import (
    BOTH_GENERAL,
    CERTIFICATE,
    EXPLICIT_POINT,
    IN_UNITS_OF_THE_LOSS,
    LINEAR_SOLVER,
    POLISHED,
    RECONSTRUCTION,
    TRAINING,
    TWO_CERTIFICATES,
    certified_gaps,
    disagreements,
    duality_gaps,
    gaussian_loss,
    scale_of,
    undercuts,
)
from strategies import every_activation, random_network, threshold, tube_for

from convexdiff_lib import TwoLayerNetwork, score_matching, score_matching_loss
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.line.network_certificates import certify_score_matching, dual_violation
from convexdiff_lib.paper.univariate_programs import (
    network_from_program,
    score_matching_dual,
    score_matching_program,
    solve_program,
)

# The smallest data with a neuron at the optimum: at the threshold its weight is negative.
THREE = np.array([0.0, 2.0, 3.0])


def sample(seed: int) -> FloatArray:
    """Normal, uniform, heavy-tailed, two-cluster and rounded data, 3 to 40 points, unsorted."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 41))
    draws = (
        rng.normal(size=n),
        rng.uniform(size=n),
        rng.standard_cauchy(size=n),
        rng.normal(size=n) + rng.choice([-10.0, 10.0], n),
        np.round(rng.normal(size=n), 1),
    )
    return draws[seed % len(draws)]


def decay_for(x: FloatArray, activation: Activation, seed: int) -> float:
    """A weight decay from the threshold of the network with skip connection, exactly, to 2n."""
    low = threshold(x, activation, skip=True)
    if seed % 3 == 0:
        return low
    return low + (max(2.0 * len(x), low) - low) * np.random.default_rng(seed + 1000).uniform() ** 2


def problems(activation: Activation, n: int, more: float = 0.0) -> Iterator[tuple[FloatArray, float]]:
    for seed in range(n):
        x = sample(seed)
        yield x, decay_for(x, activation, seed) + more


FAR_CLUSTERS = "the general solver has an absolute tolerance, coarse where far clusters make the loss small"


def try_all_routes(
    activation: Activation, literal: Witness, dual: Witness, certified: Witness, adam: Witness
) -> None:
    literal.because(FAR_CLUSTERS).all_hold(disagreements(problems(activation, 60), activation, True))
    dual.because(BOTH_GENERAL).all_hold(duality_gaps(problems(activation, 20, 0.01), activation, True))
    certified.because(POLISHED).all_hold(certified_gaps(problems(activation, 200), activation, True))
    adam.because(TRAINING).all_hold(undercuts((2.5, 4.0, 8.0, 16.0), activation, True))


def test_theorem_8(evidence: Evidence):
    try_all_routes(
        "abs",
        literal=evidence("thm-univariate-abs-skip", "literal-program-equals-trained-network", 1e-5),
        dual=evidence("thm-univariate-abs-skip", "strong-duality-of-the-printed-pair", 1e-6),
        certified=evidence("thm-univariate-abs-skip", "certified-duality-gap", 1e-8),
        adam=evidence("thm-univariate-abs-skip", "no-trained-network-is-below", 1e-9),
    )


def test_theorem_7(evidence: Evidence):
    try_all_routes(
        "relu",
        literal=evidence("thm-univariate-relu-skip", "literal-program-equals-trained-network", 1e-5),
        dual=evidence("thm-univariate-relu-skip", "strong-duality-of-the-printed-pair", 1e-6),
        certified=evidence("thm-univariate-relu-skip", "certified-duality-gap", 1e-8),
        adam=evidence("thm-univariate-relu-skip", "no-trained-network-is-below", 1e-9),
    )


@every_activation
def test_an_underestimate_would_be_noticed(activation):
    """The falsifier can fire: an optimum claimed too high is beaten by the returned network."""
    x = np.random.default_rng(0).normal(size=15)
    fit = score_matching(x, 3.0, activation=activation, skip=True)
    claimed = fit.value + 1e-3 * fit.certificate.scale
    assert claimed - score_matching_loss(fit.network(), x, 3.0) >= 0.5e-3 * fit.certificate.scale


# The map of Theorem 7


def network_with_kinks_on(x: FloatArray, rng: np.random.Generator, activation: Activation) -> TwoLayerNetwork:
    """A random network whose kinks are exactly at data points: where the conventions decide the loss."""
    net = random_network(rng, activation)
    w = net.W1[:, 0]
    return TwoLayerNetwork.univariate(
        w, -(w * rng.choice(x, len(w))), net.W2[0], net.b2[0], net.V[0, 0], activation=activation
    )


def test_the_map_keeps_the_loss_and_changes_the_decay_as_stated(evidence: Evidence):
    fit_term = evidence("thm-univariate-relu-skip", "map-keeps-the-loss-without-decay", 1e-12).because(
        "rounding of sums; the kinks are at data points, where a wrong convention costs order one"
    )
    decay_term = evidence(
        "thm-univariate-relu-skip", "map-turns-the-decay-into-w2-plus-4-alpha2", 1e-12
    ).because("rounding of sums of squares")
    for seed in range(50):
        rng = np.random.default_rng(seed)
        x = np.round(rng.normal(size=12), 1)
        beta = rng.uniform(1, 10)
        relu = network_with_kinks_on(x, rng, "relu")
        absolute = network_with_kinks_on(x, rng, "abs")
        for net, mapped in ((relu, relu.relu_to_abs()), (absolute, absolute.abs_to_relu())):
            before, after = (score_matching_loss(one, x, 0.0) for one in (net, mapped))
            fit_term.holds(abs(before - after) / max(1.0, abs(before)))
        for r, a in ((relu, relu.relu_to_abs()), (absolute.abs_to_relu(), absolute)):
            printed = beta / 2 * float(np.sum(a.W1**2) + 4 * np.sum(a.W2**2))
            decay_term.holds(abs(printed - beta / 2 * r.squared_norm) / printed)


def test_twice_the_decay(evidence: Evidence):
    seen = evidence("thm-univariate-relu-skip", "relu-at-beta-equals-abs-at-two-beta", 1e-8).because(
        TWO_CERTIFICATES
    )
    mapped = evidence(
        "thm-univariate-relu-skip", "mapped-optimum-passes-the-other-certificate", 1e-8
    ).because(CERTIFICATE)
    for seed in range(100):
        x = sample(seed)
        beta = decay_for(x, "relu", seed)
        relu = score_matching(x, beta, skip=True)
        absolute = score_matching(x, 2 * beta, activation="abs", skip=True)
        seen.holds(abs(relu.value - absolute.value) / relu.certificate.scale)
        # The network of one problem, with its own dual vector, handed to the certificate of the other.
        there = certify_score_matching(
            x, relu.kink_network.relu_to_abs(), relu.z, 2 * beta, activation="abs", skip=True
        )
        back = certify_score_matching(x, absolute.kink_network.abs_to_relu(), absolute.z, beta, skip=True)
        for certificate in (there, back):
            assert certificate.infeasibility <= 1e-9  # the certificate's own tolerance
            mapped.holds(certificate.relative_gap)


def test_the_mapped_optimum_is_not_balanced():
    """As it stands it pays 5/4 of the decay; rescaling every neuron by sqrt(2) removes the excess."""
    compared = 0
    for seed in range(20):
        x = np.random.default_rng(seed).normal(size=12)
        fit = score_matching(x, 1.5, skip=True)
        price = 1.5 * fit.kink_network.total_weight
        mapped = fit.network().relu_to_abs()
        excess = score_matching_loss(mapped, x, 3.0) - fit.value
        assert abs(excess - price / 4) <= 1e-9 * fit.certificate.scale  # rounding
        balanced = fit.kink_network.relu_to_abs().two_layer()
        assert abs(score_matching_loss(balanced, x, 3.0) - fit.value) <= 1e-9 * fit.certificate.scale
        compared += price > 0.01
    assert compared >= 10


# The displays


def test_constant(evidence: Evidence):
    right = evidence("disp-abs-skip-constant", "with-the-constant-it-is-the-optimum", 1e-5).because(
        "the general solver has an absolute tolerance, coarse where far clusters make the loss small"
    )
    printed = evidence("disp-abs-skip-constant", "without-it-a-network-is-below", at_least=0.999).because(
        "in units of n/(2v), the missing constant; the network that is below is the optimal one"
    )
    cases = [(np.array([-1.0, 1.0]), 2.0)]
    cases += [(sample(seed), decay_for(sample(seed), "abs", seed)) for seed in range(20)]
    for x, beta in cases:
        program = score_matching_program(x, beta, activation="abs", skip=True)
        solution = solve_program(program)
        fit = score_matching(x, beta, activation="abs", skip=True)
        loss = score_matching_loss(fit.network(), x, beta)
        right.holds(abs(solution.value - loss) / scale_of(x, loss))
        without_constant = solution.value - program.constant
        printed.fails((without_constant - loss) / gaussian_loss(x))


def test_constant_by_hand():
    """At -1 and 1 the printed program has optimum 0, the line -x has loss -1."""
    x = np.array([-1.0, 1.0])
    program = score_matching_program(x, 2.0, activation="abs", skip=True)
    assert np.max(np.abs(program.A)) <= 1e-15  # nothing is left of two points off the line through them
    assert np.max(np.abs(program.b)) <= 2.0  # so zero is optimal
    assert program.constant == -1.0
    assert score_matching_loss(TwoLayerNetwork.univariate([], [], [], v=-1.0), x, 2.0) == -1.0


class Display16:
    """Display (16) of the proof of Theorem 8, with the penalty on a chosen pair of its variables."""

    def __init__(self, x: FloatArray, beta: float, penalised: tuple[int, int]) -> None:
        difference = x[:, None] - x[None, :]
        self.x, self.beta, self.penalised = x, beta, penalised
        self.distances = np.abs(difference)
        self.c1 = np.where(difference >= 0, 1.0, -1.0).sum(axis=0)
        self.c2 = np.where(-difference >= 0, 1.0, -1.0).sum(axis=0)

    def objective(self, y0, y1, y2, y3):
        fit = self.distances @ (y0 + y1) + self.x * y2 + y3
        norms = [cp.norm1(y) for y in (y0, y1, y2)]
        penalty = self.beta * (norms[self.penalised[0]] + norms[self.penalised[1]])
        return 0.5 * cp.sum_squares(fit) + self.c1 @ y0 - self.c2 @ y1 + len(self.x) * y2 + penalty

    def minimum(self) -> tuple[str, float]:
        n = len(self.x)
        variables = cp.Variable(n), cp.Variable(n), cp.Variable(), cp.Variable()
        problem = cp.Problem(cp.Minimize(self.objective(*variables)))
        problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
        return problem.status, float(problem.value)


def test_penalty(evidence: Evidence):
    right = evidence("disp-abs-skip-penalty", "penalty-on-the-neurons-gives-the-optimum", 1e-6).because(
        "the general-purpose solver"
    )
    printed = evidence(
        "disp-abs-skip-penalty", "printed-objective-falls-without-bound", at_least=1.999
    ).because("the fall per unit of y_0 along one direction, at weights 1, 1000 and 1000000")
    cases = [(np.array([0.0, 1.0]), 2.0)]
    cases += [(sample(seed), 0.5 + decay_for(sample(seed), "abs", seed)) for seed in range(15)]
    for x, beta in cases:
        unit = (x - x.mean()) / x.std()  # the slip has no unit, and the solver likes order one
        optimum = score_matching(unit, beta, activation="abs", skip=True).value
        right.holds(abs(Display16(unit, beta, (0, 1)).minimum()[1] - optimum) / scale_of(unit, optimum))
        display = Display16(x, beta, (1, 2))
        ends = np.zeros(len(x))
        ends[[np.argmin(x), np.argmax(x)]] = -1.0
        for weight in (1.0, 1e3, 1e6):
            value = display.objective(weight * ends, np.zeros(len(x)), 0.0, weight * np.ptp(x)).value
            printed.fails(-value / weight)


def test_the_modelling_tool_sees_that_the_printed_display_is_unbounded():
    for x in (np.array([0.0, 1.0]), THREE, np.random.default_rng(0).normal(size=8)):
        for beta in (2.0, 10.0):
            status, _ = Display16(x, beta, (1, 2)).minimum()
            assert status in (cp.UNBOUNDED, cp.UNBOUNDED_INACCURATE)


# The rules


def rule_cases(activation: Activation) -> Iterator[tuple[float, float]]:
    """Relative excess of the signed and of the printed rule over the optimum; first the three points."""
    share = 1.0 if activation == "abs" else 0.5
    by_hand = np.array([0.0, -0.25, 0.0, 0.0, 0.0, 0.0])  # optimal at the threshold: its value is -1
    cases = [(THREE, 2.0 * share, by_hand)]
    for seed in range(30):
        x = np.random.default_rng(seed).normal(size=6 + seed)
        program = score_matching_program(x, 3.0 * share, activation=activation, skip=True)
        y = solve_program(program).y
        # Where all weights are positive the printed rule is right.
        if y.min() * np.var(x) <= -0.1:
            cases.append((x, 3.0 * share, y))
    for x, beta, y in cases:
        optimum = score_matching(x, beta, activation=activation, skip=True).value
        losses = [
            score_matching_loss(
                network_from_program(x, y, activation=activation, skip=True, rule=rule), x, beta
            )
            for rule in ("signed", "printed")
        ]
        unit = scale_of(x, optimum)
        yield abs(losses[0] - optimum) / unit, (losses[1] - optimum) / unit


def try_both_rules(activation: Activation, right: Witness, printed: Witness) -> None:
    right.because(RECONSTRUCTION)
    printed.because(IN_UNITS_OF_THE_LOSS)
    for excess, miss in rule_cases(activation):
        right.holds(excess)
        printed.fails(miss)


def test_abs_rule(evidence: Evidence):
    right = evidence("rule-abs-skip-reconstruction", "signed-rule-attains-optimum", 1e-6)
    printed = evidence("rule-abs-skip-reconstruction", "printed-rule-misses-optimum", at_least=0.1)
    try_both_rules("abs", right, printed)


def test_relu_rule(evidence: Evidence):
    right = evidence("rule-relu-skip-reconstruction", "signed-rule-attains-optimum", 1e-6)
    printed = evidence("rule-relu-skip-reconstruction", "printed-rule-misses-optimum", at_least=0.1)
    try_both_rules("relu", right, printed)


def test_printed_scalings_are_the_cheapest(evidence: Evidence):
    seen = evidence(
        "rule-relu-skip-reconstruction", "intermediate-scalings-attain-the-minimum", 1e-12
    ).because("rounding of square roots; the other scalings cost visibly more")
    for seed in range(20):
        rng = np.random.default_rng(seed)
        y, beta = rng.normal(size=10), rng.uniform(1, 5)
        w, alpha = np.sqrt(2 * np.abs(y)), np.sqrt(np.abs(y) / 2)

        def price(c, w=w, alpha=alpha, beta=beta):
            return beta / 2 * float(np.sum((w * c) ** 2 + 4 * (alpha / c) ** 2))

        charged = 2 * beta * float(np.abs(y).sum())
        seen.holds(abs(price(1.0) - charged) / charged)
        seen.holds(float(np.max(np.abs(w * alpha - np.abs(y)))))
        assert min(price(0.9), price(1.1)) >= 1.01 * charged
        assert price(np.sqrt(0.5)) >= 1.2 * charged  # |w| = |alpha|, right for the other program


def test_three_points_by_hand():
    """The optimum at the threshold, and what the rule without signs makes of it."""
    for activation, beta in (("abs", 2.0), ("relu", 1.0)):
        fit = score_matching(THREE, beta, activation=activation, skip=True)
        assert np.max(np.abs(fit(THREE) - [1.0, 0.0, -1.0])) <= 1e-12  # rounding
        assert abs(fit.value + 1.0) <= 1e-12
        printed = TwoLayerNetwork.univariate([0.5], [-1.0], [0.5], 1.5, -0.75, activation="abs")
        assert score_matching_loss(printed, THREE, 2.0) == 0.625


# The dual


def lemma_point(x: FloatArray) -> FloatArray:
    """The dual point of Lemma 6 for sorted distinct points: g_1 = n, then the count of points from x_i on."""
    g = np.arange(len(x), 0.0, -1.0)
    g[-1] = 0.0
    return np.diff(np.concatenate([[0.0], np.diff(g) / np.diff(x), [0.0]]))


def distinct(seed: int) -> FloatArray:
    return np.unique(sample(seed))


def smallest_feasible_decay(x: FloatArray, activation: Activation, *, skip: bool) -> float:
    """The smallest beta with a feasible dual point, by linear programming on the printed columns."""
    # The threshold has no unit, and the solver likes order one.
    unit = (x - x.mean()) / x.std()
    program = score_matching_program(unit, 1.0, activation=activation, skip=skip)
    z, bound = cp.Variable(len(x)), cp.Variable()
    constraints = [cp.abs(program.A.T @ z - program.b) <= bound]
    problem = cp.Problem(cp.Minimize(bound), constraints)
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    return float(bound.value) / program.penalty


def test_lemma_6(evidence: Evidence):
    point = evidence("lem-abs-skip-feasible", "explicit-point-meets-every-bound-at-two", 1e-8).because(
        EXPLICIT_POINT
    )
    linear = evidence("lem-abs-skip-feasible", "smallest-feasible-decay-is-two", 1e-6).because(LINEAR_SOLVER)
    for seed in range(40):
        x = distinct(seed)
        # Feasible at 2, so strictly feasible above.
        point.holds(dual_violation(x, lemma_point(x), 2.0, activation="abs", skip=True) / len(x))
        linear.holds(abs(smallest_feasible_decay(x, "abs", skip=True) - 2.0))


def beam_distances(activation: Activation) -> Iterator[tuple[float, float]]:
    for seed in range(50):
        x = sample(seed)
        beta = decay_for(x, activation, seed) + 0.01
        fit = score_matching(x, beta, activation=activation, skip=True)
        z, _ = score_matching_dual(x, beta, activation=activation, skip=True)
        tube = tube_for(x, beta, activation, True)
        first = [int(np.flatnonzero(x == point)[0]) for point in tube.points]
        end = tube.heights(fit.z[first] * tube.unit)[0]
        unit = np.sqrt(2 * scale_of(x, fit.value))
        yield float(np.linalg.norm(z - fit.z) / unit), abs(end / len(x) - 1)


def test_clamped_beam(evidence: Evidence):
    vector = evidence("ours-beam-skip", "beam-vector-equals-printed-dual-vector", 1e-4).because(
        "a dual value correct to 1e-9 fixes its strongly concave maximiser to about the square root"
    )
    end = evidence("ours-beam-skip", "end-is-at-height-n", 1e-9).because("rounding of two sums")
    for activation in ("abs", "relu"):
        for distance, height in beam_distances(activation):
            vector.holds(distance)
            end.holds(height)


def needs_no_skip(x: FloatArray, beta: float) -> float:
    """How much of the first slope the bends can carry; at least zero when they can carry all of it."""
    slopes = score_matching(x, beta, skip=True).score.slopes
    bends = np.diff(slopes)
    up, down = float(bends[bends > 0].sum()), -float(bends[bends < 0].sum())
    return min(slopes[0] + up, down - slopes[0])


def test_relu_needs_no_skip_connection(evidence: Evidence):
    value = evidence("ours-relu-skip-equal", "one-value-when-the-bends-carry-the-first-slope", 1e-8).because(
        TWO_CERTIFICATES
    )
    score = evidence("ours-relu-skip-equal", "one-score-when-the-bends-carry-the-first-slope", 1e-6).because(
        "the same strongly convex problem, solved twice"
    )
    needed = 0
    for seed in range(24):
        x = np.random.default_rng(seed).normal(size=8 + seed)
        for beta in (1.1, 1.4, 2.0, 3.0, 5.0, 0.5 * len(x)):
            without, with_skip = score_matching(x, beta), score_matching(x, beta, skip=True)
            gain = (without.value - with_skip.value) / with_skip.certificate.scale
            tilt = abs(float(without.z @ (x - x.mean())) / len(x) - 1)
            spare = needs_no_skip(x, beta) * np.var(x)
            assert abs(spare) >= 1e-4  # no instance is on the border
            if spare > 0:
                value.holds(abs(gain))
                score.holds(float(np.max(np.abs(without.z - with_skip.z)) / np.max(np.abs(with_skip.z))))
                assert tilt <= 1e-8
            else:
                assert gain >= 1e-6
                assert tilt >= 1e-4
                needed += 1
    assert needed >= 40


# Below the thresholds


def tied_sample(seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    return rng.permutation(np.repeat(rng.normal(size=6), rng.integers(1, 6, size=6)))


def neurons(place, facing, weights, activation, v=0.0, b0=0.0) -> TwoLayerNetwork:
    """Balanced neurons with their kinks at data points and outgoing weights of the given signed sizes."""
    root = np.sqrt(np.abs(weights))
    w = np.multiply(facing, root)
    return TwoLayerNetwork.univariate(
        w, -(w * np.array(place)), np.sign(weights) * root, b0, v, activation=activation
    )


def vanishing_at_an_end(x, a, activation, *, skip) -> tuple[TwoLayerNetwork, int]:
    """A network that is zero at all data, with slope -a times the integer at the end with more points."""
    f = 1.0 if np.sum(x == x.max()) >= np.sum(x == x.min()) else -1.0
    t = x.max() if f > 0 else x.min()
    if activation == "relu":
        return neurons([t], [f], [-f * a], "relu"), 1
    if skip:
        return neurons([t], [f], [-f * a], "abs", v=-a, b0=a * t), 2
    ends = [x.min(), x.max()]
    return neurons(ends, [f, f], [-f * a, -f * a], "abs", b0=f * a * np.ptp(x)), 2


def vanishing_at_a_tie(t, a, activation) -> tuple[TwoLayerNetwork, int]:
    """Two neurons back to back that are zero at all data, with slope -a times the integer at t only."""
    if activation == "relu":
        return neurons([t, t], [1.0, -1.0], [-a, a], "relu", v=a, b0=-a * t), 1
    return neurons([t, t], [1.0, -1.0], [-a, a], "abs"), 2


def test_losses_fall_without_bound_below_the_thresholds(evidence: Evidence):
    seen = evidence("ours-threshold-ties-abs", "losses-fall-without-bound", 1e-9).because(
        "rounding; each loss is compared with a negative multiple of the weight, which has no bound"
    )
    for seed in range(30):
        x = tied_sample(seed)
        points, counts = np.unique(x, return_counts=True)
        inner = points[1:-1][np.argmax(counts[1:-1])]
        e, k = max(counts[0], counts[-1]), counts[1:-1].max()
        for activation, skip in (("abs", False), ("abs", True), ("relu", True)):
            for weight in (1.0, 1e3, 1e6):
                end, slope = vanishing_at_an_end(x, weight, activation, skip=skip)
                price = weight * len(end.b1)
                beta = 0.9 * slope * e / len(end.b1)  # below the threshold by a tenth
                rate = beta * price - slope * weight * e
                seen.holds(abs(score_matching_loss(end, x, beta) / rate - 1))
                pair, slope = vanishing_at_a_tie(inner, weight, activation)
                beta = 0.9 * slope * k / 2
                rate = 2 * beta * weight - slope * weight * k
                seen.holds(abs(score_matching_loss(pair, x, beta) / rate - 1))


@every_activation
def test_one_place_gives_a_skip_connection_nothing_to_hold_on_to(activation):
    """A line through the only value, of any slope: the loss is n times the slope."""
    for x in (np.array([3.0]), np.full(4, -1.5)):
        for v in (-1.0, -1e3, -1e6):
            line = TwoLayerNetwork.univariate([], [], [], -v * x[0], v, activation=activation)
            assert score_matching_loss(line, x, 10.0) == len(x) * v
        with pytest.raises(ValueError, match="at least two distinct points"):
            score_matching(x, 10.0, activation=activation, skip=True)


def test_thresholds_with_ties(evidence: Evidence):
    linear = evidence("ours-threshold-ties-abs", "smallest-feasible-decay-is-the-threshold", 1e-6).because(
        LINEAR_SOLVER
    )
    attained = evidence("ours-threshold-ties-abs", "certified-optimum-at-the-threshold", 1e-8).because(
        CERTIFICATE
    )
    for seed in range(30):
        x = tied_sample(seed)
        for activation, skip in (("abs", False), ("abs", True), ("relu", True)):
            low = threshold(x, activation, skip)
            linear.holds(abs(smallest_feasible_decay(x, activation, skip=skip) - low))
            attained.holds(score_matching(x, low, activation=activation, skip=skip).certificate.relative_gap)
            with pytest.raises(ValueError, match="is below"):
                score_matching(x, np.nextafter(low, 0), activation=activation, skip=skip)
