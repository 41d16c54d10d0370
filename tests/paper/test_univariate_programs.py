"""The eight literal programs and their duals, against matrices by hand and against the exact solver."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import NETWORKS, every_network, threshold, two_sided_rows

from convexdiff_lib import denoising_loss, score_matching, score_matching_loss
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.line.network_certificates import dual_violation
from convexdiff_lib.paper.univariate_programs import (
    LassoProgram,
    PrintedProgram,
    denoising_dual,
    denoising_network_from_program,
    denoising_program,
    network_from_program,
    score_matching_dual,
    score_matching_program,
    solve_program,
)

SOLVER = 1e-6  # of the scale: what a general solver reaches on these dense matrices


def test_relu_at_two_points_by_hand() -> None:
    p = score_matching_program([0.0, 2.0], 3.0)
    assert p.A.tolist() == [
        [-1.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, 1.0],
        [1.0, 0.0, 1.0, 0.0, 0.0, -1.0, 0.0, -1.0],
    ]
    assert p.b.tolist() == [2.0, 1.0, 1.0, 0.0, -1.0, -2.0, 0.0, -1.0]
    assert (p.labels.tolist(), p.constant, p.penalty) == ([0.0, 0.0], 0.0, 3.0)


def test_relu_with_a_tie_by_hand() -> None:
    """At 1, 1, 4, unsorted: counts of points at or after each, after, at or before, before."""
    p = score_matching_program([4.0, 1.0, 1.0], 1.0)
    right = [[0.0, 2.0, 2.0], [0.0, -1.0, -1.0], [0.0, -1.0, -1.0]]  # columns (0, 0, 0), (3, 0, 0), centred
    left = [[-2.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]  # (0, 3, 3), centred
    assert p.A.tolist() == np.hstack([right, right, left, left]).tolist()
    assert p.b.tolist() == [1.0, 3.0, 3.0, 0.0, 1.0, 1.0, -3.0, -2.0, -2.0, -2.0, 0.0, 0.0]


def test_abs_by_hand() -> None:
    """At 1, 1, 4: distances (3, 0, 0) twice and (0, 3, 3); sums of signs with sign(0) = +1, then -1."""
    p = score_matching_program([4.0, 1.0, 1.0], 2.5, activation="abs")
    distances = [[-2.0, 2.0, 2.0], [1.0, -1.0, -1.0], [1.0, -1.0, -1.0]]
    assert p.A.tolist() == np.hstack([distances, distances]).tolist()
    assert p.b.tolist() == [-1.0, 3.0, 3.0, -3.0, -1.0, -1.0]
    assert (p.labels.tolist(), p.constant, p.penalty) == ([0.0, 0.0, 0.0], 0.0, 2.5)


@pytest.mark.parametrize(("activation", "penalty"), [("abs", 2.5), ("relu", 5.0)])
def test_score_matching_with_skip_by_hand(activation: Activation, penalty: float) -> None:
    """At -1, 0, 1: the two outer columns are the data themselves up to sign, so only the middle one is left.

    With x bar = (-1, 0, 1) of squared norm 2, and n = 3, c = -9/4; the shift of b is -3/2 A^T x bar, where
    A^T x bar = (2, 0, -2) in each block.
    """
    p = score_matching_program([-1.0, 0.0, 1.0], 2.5, activation=activation, skip=True)
    middle = np.array([1.0, -2.0, 1.0]) / 3
    zero = np.zeros(3)
    expected = np.column_stack([zero, middle, zero, zero, middle, zero])
    np.testing.assert_allclose(p.A, expected, rtol=0, atol=1e-15)
    # (3, 1, -1 | 1, -1, -3) plus (-3, 0, 3) in each block
    np.testing.assert_allclose(p.b, [0.0, 1.0, 2.0, -2.0, -1.0, 0.0], rtol=0, atol=1e-15)
    assert abs(p.constant + 9 / 4) <= 1e-15
    assert (p.labels.tolist(), p.penalty) == ([0.0, 0.0, 0.0], penalty)


def test_denoising_by_hand() -> None:
    """Two columns per point for ReLU, one for the absolute value; no linear term; centred targets."""
    x, targets = [0.0, 2.0, 4.0], [3.0, 1.0, -1.0]
    relu = denoising_program(x, targets, 0.5)
    right = [[-2.0, -2 / 3, 0.0], [0.0, -2 / 3, 0.0], [2.0, 4 / 3, 0.0]]
    left = [[0.0, 4 / 3, 2.0], [0.0, -2 / 3, 0.0], [0.0, -2 / 3, -2.0]]
    np.testing.assert_allclose(relu.A, np.hstack([right, left]), rtol=0, atol=1e-15)
    assert (relu.b.tolist(), relu.labels.tolist()) == ([0.0] * 6, [2.0, 0.0, -2.0])
    assert (relu.constant, relu.penalty) == (0.0, 0.5)
    absolute = denoising_program(x, targets, 0.5, activation="abs")
    distances = [[-2.0, 2 / 3, 2.0], [0.0, -4 / 3, 0.0], [2.0, 2 / 3, -2.0]]
    np.testing.assert_allclose(absolute.A, distances, rtol=0, atol=1e-15)
    assert (absolute.b.tolist(), absolute.labels.tolist(), absolute.penalty) == (
        [0.0] * 3,
        [2.0, 0.0, -2.0],
        0.5,
    )


@pytest.mark.parametrize(("activation", "penalty"), [("abs", 0.5), ("relu", 1.0)])
def test_denoising_with_skip_by_hand(activation: Activation, penalty: float) -> None:
    """The labels 3, 1, -1 lie on a line over 0, 2, 4, so nothing of them is left; 0, 1, 0 keeps its bend."""
    x = [0.0, 2.0, 4.0]
    p = denoising_program(x, [3.0, 1.0, -1.0], 0.5, activation=activation, skip=True)
    zero, middle = np.zeros(3), np.array([2.0, -4.0, 2.0]) / 3
    np.testing.assert_allclose(p.A, np.column_stack([zero, middle, zero]), rtol=0, atol=1e-15)
    np.testing.assert_allclose(p.labels, zero, rtol=0, atol=1e-15)
    assert (p.b.tolist(), p.constant, p.penalty) == ([0.0, 0.0, 0.0], 0.0, penalty)
    bent = denoising_program(x, [0.0, 1.0, 0.0], 0.5, activation=activation, skip=True)
    np.testing.assert_allclose(bent.labels, np.array([-1.0, 2.0, -1.0]) / 3, rtol=0, atol=1e-15)


@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_columns_are_neurons(activation: Activation) -> None:
    """Each column is the centred output of one unit neuron, each cost its summed derivative."""
    x = np.array([0.3, -1.0, 0.3, 2.0, 5.0])
    p, rows = score_matching_program(x, 1.0, activation=activation), two_sided_rows(x, activation)
    # The paper's order of the blocks: right now, right late, left now, left late.  For the absolute value the
    # late ones repeat the others.
    ordered = [*rows["right"][::2], *rows["right"][1::2], *rows["left"][::2], *rows["left"][1::2]]
    if activation == "abs":
        ordered = [*rows["right"][::2], *rows["left"][::2]]
    assert len(ordered) == len(p.b)
    for j, (value, slope) in enumerate(ordered):
        assert np.max(np.abs(p.A[:, j] - (value - value.mean()))) <= 1e-15
        assert p.b[j] == slope


def sample_with_ties(seed: int) -> tuple[FloatArray, np.random.Generator]:
    rng = np.random.default_rng(seed)
    return (rng.choice(rng.normal(size=9), 12) if seed % 2 else rng.normal(size=12)), rng


@every_network
@pytest.mark.parametrize("seed", range(8))
def test_score_matching_pair_meets_at_the_exact_value(seed: int, activation: Activation, skip: bool) -> None:
    x, rng = sample_with_ties(seed)
    beta = threshold(x, activation, skip) + rng.uniform(0.05, 8)
    fit = score_matching(x, beta, activation=activation, skip=skip)
    scale = fit.certificate.scale
    program = score_matching_program(x, beta, activation=activation, skip=skip)
    primal, (z, dual) = (
        solve_program(program),
        score_matching_dual(x, beta, activation=activation, skip=skip),
    )
    assert abs(primal.value - fit.value) <= SOLVER * scale
    assert abs(dual - fit.value) <= SOLVER * scale
    assert np.max(np.abs(z - fit.z)) <= 1e-4 * np.abs(fit.z).max()  # the root of the tolerance, with room
    assert dual_violation(x, z, beta, activation=activation, skip=skip) <= 1e-6 * len(x)
    net = network_from_program(x, primal.y, activation=activation, skip=skip)
    assert abs(score_matching_loss(net, x, beta) - primal.value) <= 1e-10 * scale  # rounding
    assert net.activation == activation


@every_network
@pytest.mark.parametrize("seed", range(8))
def test_denoising_pair_meets(seed: int, activation: Activation, skip: bool) -> None:
    """Primal and dual bracket the optimum, and the network read off the primal attains it."""
    x, rng = sample_with_ties(seed)
    targets, beta = rng.normal(size=12), float(10 ** rng.uniform(-2, 1))
    options: dict[str, object] = {"activation": activation, "skip": skip}
    program = denoising_program(x, targets, beta, activation=activation, skip=skip)
    primal = solve_program(program)
    z, dual = denoising_dual(x, targets, beta, activation=activation, skip=skip)
    scale = 0.5 * float(np.sum((targets - targets.mean()) ** 2))
    assert abs(primal.value - dual) <= SOLVER * scale
    net = denoising_network_from_program(x, targets, primal.y, activation=activation, skip=skip)
    assert abs(denoising_loss(net, x, targets, beta) - primal.value) <= 1e-10 * scale, options
    # The root of the tolerance, with room; both are the residual of the unique fit.
    assert np.max(np.abs(targets - net(x) - z)) <= 1e-3 * np.sqrt(scale)
    # Feasible for the definition of a neuron, both ways, at every data point.
    bound = 2 * beta if skip and activation == "relu" else beta
    rows = two_sided_rows(x, "abs" if skip else activation)
    worst = max(abs(float(value @ z)) for family in rows.values() for value, _ in family)
    assert worst <= bound + 1e-6 * scale
    assert abs(z.sum()) <= 1e-8
    if skip:
        assert abs(z @ (x - x.mean())) <= 1e-8


def test_denoising_value_by_hand() -> None:
    """At 0 and 1 with targets 1 and -1: a line of slope -a costs (1 - a/2)^2 + beta a, so a = 2 - 2 beta."""
    for activation in ("relu", "abs"):
        solved = solve_program(denoising_program([0.0, 1.0], [1.0, -1.0], 0.25, activation=activation))
        assert abs(solved.value - (0.25**2 + 0.25 * 1.5)) <= 1e-9
        net = denoising_network_from_program([0.0, 1.0], [1.0, -1.0], solved.y, activation=activation)
        assert np.max(np.abs(net([0.0, 0.5, 1.0]) - [0.75, 0.0, -0.75])) <= 1e-5


def test_y_by_hand() -> None:
    """At -1 and 1 with beta = 1 the line -x/2, a quarter from each end."""
    solved = solve_program(score_matching_program([-1.0, 1.0], 1.0))
    net = network_from_program([-1.0, 1.0], solved.y)
    assert abs(solved.value + 0.25) <= 1e-9
    assert np.max(np.abs(net([-1.0, 0.0, 1.0]) - [0.5, 0.0, -0.5])) <= 1e-5


@every_network
@pytest.mark.parametrize("x", [[0.0, 1.0, 3.0], [0.0, 1.0, 1.0, 1.0, 3.0], [2.0, 2.0, 0.0]])
def test_below_the_threshold_both_say_so(x: list[float], activation: Activation, skip: bool) -> None:
    low = threshold(np.array(x), activation, skip)

    def both(beta: float) -> tuple[object, object]:
        program = score_matching_program(x, beta, activation=activation, skip=skip)
        return (
            lambda: solve_program(program).value,
            lambda: score_matching_dual(x, beta, activation=activation, skip=skip)[1],
        )

    for solve in both(1.01 * low):
        assert np.isfinite(solve())  # type: ignore[operator]
    for solve in both(0.9 * low):
        with pytest.raises(ValueError, match=r"no finite optimum: CVXPY reports '(unbounded|infeasible)"):
            solve()  # type: ignore[operator]


def test_relu_reconstruction_by_hand() -> None:
    """One neuron of each block at x = 1 of the points 1 and 3, with weights 4, -9, 16, -25."""
    y = [4.0, 0.0, -9.0, 0.0, 16.0, 0.0, -25.0, 0.0]
    net = network_from_program([1.0, 3.0], y, epsilon=0.5)
    roots = [2.0, 0.0, 3.0, 0.0, -4.0, 0.0, -5.0, 0.0]
    assert net.W1[:, 0].tolist() == roots
    assert net.W2[0].tolist() == [2.0, 0.0, -3.0, 0.0, 4.0, 0.0, -5.0, 0.0]
    # b = -w t with t = 1, 1 + 0.5, 1, 1 - 0.5
    assert net.b1[[0, 2, 4, 6]].tolist() == [-2.0, -4.5, 4.0, 2.5]
    # b0 = minus the mean over the data of [A1, A1, A2, A2] y: 0 at x = 1 and (4 - 9) 2 at x = 3
    assert net.b2.tolist() == [5.0]
    assert (net.V.tolist(), net.activation, net.width, net.dimension) == ([[0.0]], "relu", 8, 1)
    printed = network_from_program([1.0, 3.0], y, epsilon=0.5, rule="printed")
    assert printed.W2[0].tolist() == [2.0, 0.0, 3.0, 0.0, 4.0, 0.0, 5.0, 0.0]
    for name in ("W1", "b1", "b2", "V"):
        np.testing.assert_array_equal(getattr(printed, name), getattr(net, name))


def test_abs_reconstruction_by_hand() -> None:
    """At the points 1 and 3: y = (4, -9 | -16, 0), so the values are (-18, 8 - 32) and b0 is 21."""
    net = network_from_program([1.0, 3.0], [4.0, -9.0, -16.0, 0.0], activation="abs")
    assert net.W1[:, 0].tolist() == [2.0, 3.0, -4.0, 0.0]
    assert net.W2[0].tolist() == [2.0, -3.0, -4.0, 0.0]
    assert net.b1.tolist() == [-2.0, -9.0, 4.0, 0.0]
    assert (net.b2.tolist(), net.V.tolist(), net.activation) == ([21.0], [[0.0]], "abs")
    assert net([1.0, 3.0]).tolist() == [3.0, -3.0]
    printed = network_from_program([1.0, 3.0], [4.0, -9.0, -16.0, 0.0], activation="abs", rule="printed")
    assert printed.W2[0].tolist() == [2.0, 3.0, 4.0, 0.0]
    assert printed.b2.tolist() == [21.0]


def test_skip_reconstruction_by_hand() -> None:
    """At -1, 0, 1 with y = -2 for |x|: values (-2, 0, -2), so v = -(0 + 3)/2 and b0 = 4/3."""
    y = [0.0, -2.0, 0.0, 0.0, 0.0, 0.0]
    net = network_from_program([-1.0, 0.0, 1.0], y, activation="abs", skip=True)
    assert (net.V.tolist(), net.b2.tolist()) == ([[-1.5]], [4 / 3])
    assert abs(net.W1[1, 0] - np.sqrt(2)) + abs(net.W2[0, 1] + np.sqrt(2)) <= 1e-15
    # ReLU: w = 2 and alpha = -2, and half the neuron, a slope of +2, moves into v.
    relu = network_from_program([-1.0, 0.0, 1.0], y, skip=True)
    assert (relu.W1[1].tolist(), relu.W2[0, 1], relu.V.tolist()) == ([2.0], -2.0, [[0.5]])
    assert relu.activation == "relu"
    points = np.array([-2.0, -1.0, 0.0, 0.5, 3.0])
    np.testing.assert_allclose(relu(points), net(points), rtol=0, atol=1e-14)
    # The printed rule turns alpha to +2 and moves the slope -2 into v.
    printed = network_from_program([-1.0, 0.0, 1.0], y, skip=True, rule="printed")
    assert (printed.W2[0, 1], printed.V.tolist()) == (2.0, [[-3.5]])
    # A neuron away from the origin also moves a constant: b^r alpha^r = 4 at x = 1, half of it into b0.
    moved = network_from_program([-1.0, 0.0, 1.0], [0.0, 0.0, -2.0, 0.0, 0.0, 0.0], skip=True)
    assert moved.b1[2] * moved.W2[0, 2] == 4.0
    # Values (-4, -2, 0): v^a = -(4 + 3)/2 and b0^a = 2.
    np.testing.assert_allclose([moved.V[0, 0], moved.b2[0]], [-1.5, 0.0], rtol=0, atol=1e-15)


def test_denoising_reconstruction_by_hand() -> None:
    """At 1 and 3 with targets 1 and -1: minus the neurons, b0 the mean of [A1, A2] y + l."""
    x, targets = [1.0, 3.0], [1.0, -1.0]
    net = denoising_network_from_program(x, targets, [4.0, 0.0, 0.0, -9.0])
    assert net.W1[:, 0].tolist() == [2.0, 0.0, 0.0, -3.0]
    assert net.W2[0].tolist() == [-2.0, 0.0, 0.0, 3.0]
    # [A1, A2] y is -18 at x = 1 and 8 at x = 3
    assert net.b2.tolist() == [-5.0]
    printed = denoising_network_from_program(x, targets, [4.0, 0.0, 0.0, -9.0], rule="printed")
    assert printed.W2[0].tolist() == [-2.0, 0.0, 0.0, -3.0]
    assert printed.b2.tolist() == [-5.0]
    absolute = denoising_network_from_program(x, targets, [4.0, -9.0], activation="abs")
    assert absolute.W2[0].tolist() == [-2.0, 3.0]
    # A y is (-18, 8)
    assert absolute.b2.tolist() == [-5.0]
    skip = denoising_network_from_program(x, targets, [0.0, 0.0], activation="abs", skip=True)
    assert (skip.V.tolist(), skip.b2.tolist()) == ([[-1.0]], [2.0])


def test_losses_tend_to_the_value_as_epsilon_falls() -> None:
    x, beta = np.array([0.0, 1.0, 11.0]), 1.2
    solved = solve_program(score_matching_program(x, beta))
    late = np.abs(solved.y[3:6]).max()
    assert late >= 0.01  # the optimum does use a kink that must not yet act
    excess = [
        score_matching_loss(network_from_program(x, solved.y, epsilon=e), x, beta) - solved.value
        for e in (1e-2, 1e-4)
    ]
    assert 50 <= excess[0] / excess[1] <= 200  # in proportion to epsilon
    for epsilon in (1e-9, 0.0):
        loss = score_matching_loss(network_from_program(x, solved.y, epsilon=epsilon), x, beta)
        assert abs(loss - solved.value) <= 1e-7


@every_network
def test_units_do_not_matter(activation: Activation, skip: bool) -> None:
    """Data in other units and elsewhere: the value changes by the square of the unit only."""
    x = np.array([-2.0, -0.5, 0.25, 1.0, 4.0])
    near = solve_program(score_matching_program(x, 3.0, activation=activation, skip=skip)).value
    far = solve_program(score_matching_program(1e6 + x, 3.0, activation=activation, skip=skip)).value
    large = solve_program(score_matching_program(1e8 * x, 3.0, activation=activation, skip=skip)).value
    assert abs(far - near) <= SOLVER * abs(near)
    assert abs(1e16 * large - near) <= SOLVER * abs(near)


def test_one_point() -> None:
    """Nothing can be fitted: at the threshold the optimum is zero."""
    for activation, skip in NETWORKS:
        if skip:
            with pytest.raises(ValueError, match="a skip connection needs at least two distinct points"):
                score_matching_program([1.0, 1.0], 4.0, activation=activation, skip=True)
            with pytest.raises(ValueError, match="a skip connection needs at least two distinct points"):
                denoising_dual([1.0], [1.0], 4.0, activation=activation, skip=True)
        else:
            solved = solve_program(score_matching_program([1.0], 1.5, activation=activation))
            assert abs(solved.value) <= 1e-9


def test_results_are_plain_numbers() -> None:
    program = score_matching_program([-1.0, 1.0], 1.5)
    solved = solve_program(program)
    assert isinstance(program, PrintedProgram)
    assert isinstance(solved, LassoProgram)
    assert (type(solved.value), solved.y.shape) == (float, (8,))
    value = 0.5 * sum((program.A @ solved.y) ** 2) + sum(program.b * solved.y) + 1.5 * sum(abs(solved.y))
    assert abs(solved.value - value) <= 1e-12
