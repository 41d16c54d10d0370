"""The literal ReLU program and its dual, against matrices written by hand and against the exact solver."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import threshold, two_sided_rows

from convexdiff_lib import score_matching, score_matching_loss
from convexdiff_lib.certificates import dual_violation
from convexdiff_lib.programs import (
    LassoProgram,
    reconstruct_relu,
    relu_matrices,
    solve_relu_dual,
    solve_relu_program,
)

SOLVER = 1e-6  # of the scale: what a general solver reaches on these dense matrices


def test_two_points_by_hand() -> None:
    m = relu_matrices([0.0, 2.0])
    assert m.A1.tolist() == [[0.0, 0.0], [2.0, 0.0]]
    assert m.A2.tolist() == [[0.0, 2.0], [0.0, 0.0]]
    assert m.A.tolist() == [
        [-1.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, 1.0],
        [1.0, 0.0, 1.0, 0.0, 0.0, -1.0, 0.0, -1.0],
    ]
    assert m.b.tolist() == [2.0, 1.0, 1.0, 0.0, -1.0, -2.0, 0.0, -1.0]


def test_three_points_with_a_tie_by_hand() -> None:
    """At 1, 1, 4, unsorted: counts of points at or after each, after, at or before, before."""
    m = relu_matrices([4.0, 1.0, 1.0])
    assert m.A1.tolist() == [[0.0, 3.0, 3.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    assert m.A2.tolist() == [[0.0, 0.0, 0.0], [3.0, 0.0, 0.0], [3.0, 0.0, 0.0]]
    assert m.A[:, 1].tolist() == [2.0, -1.0, -1.0]
    assert m.A[:, 6].tolist() == [-2.0, 1.0, 1.0]
    assert m.b.tolist() == [1.0, 3.0, 3.0, 0.0, 1.0, 1.0, -3.0, -2.0, -2.0, -2.0, 0.0, 0.0]


def test_columns_are_neurons() -> None:
    """Each column is the centred output of one unit neuron, each cost its summed derivative."""
    x = np.array([0.3, -1.0, 0.3, 2.0, 5.0])
    m, rows = relu_matrices(x), two_sided_rows(x, "relu")
    # The paper's order of the four blocks: right now, right late, left now, left late.
    ordered = [*rows["right"][::2], *rows["right"][1::2], *rows["left"][::2], *rows["left"][1::2]]
    for j, (value, slope) in enumerate(ordered):
        assert np.max(np.abs(m.A[:, j] - (value - value.mean()))) <= 1e-15
        assert m.b[j] == slope


@pytest.mark.parametrize("seed", range(8))
def test_program_and_dual_meet_at_the_exact_value(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.choice(rng.normal(size=9), 12) if seed % 2 else rng.normal(size=12)
    beta = threshold(x, "relu", False) + rng.uniform(0.05, 8)
    fit = score_matching(x, beta)
    scale = fit.certificate.scale
    primal, (z, dual) = solve_relu_program(x, beta), solve_relu_dual(x, beta)
    assert abs(primal.value - fit.value) <= SOLVER * scale
    assert abs(dual - fit.value) <= SOLVER * scale
    assert np.max(np.abs(z - fit.z)) <= 1e-4 * np.abs(fit.z).max()  # the root of the tolerance, with room
    assert dual_violation(x, z, beta) <= 1e-6 * len(x)
    m = relu_matrices(x)
    value = 0.5 * sum((m.A @ primal.y) ** 2) + sum(m.b * primal.y) + beta * sum(abs(primal.y))
    assert abs(primal.value - value) <= 1e-12 * scale


def test_y_by_hand() -> None:
    """At -1 and 1 with beta = 1 the line -x/2, a quarter from each end."""
    program = solve_relu_program([-1.0, 1.0], 1.0)
    net = reconstruct_relu([-1.0, 1.0], program.y)
    assert abs(program.value + 0.25) <= 1e-9
    assert np.max(np.abs(net([-1.0, 0.0, 1.0]) - [0.5, 0.0, -0.5])) <= 1e-5


@pytest.mark.parametrize("x", [[0.0, 1.0, 3.0], [0.0, 1.0, 1.0, 1.0, 3.0], [2.0, 2.0, 0.0]])
def test_below_the_threshold_both_say_so(x: list[float]) -> None:
    low = threshold(np.array(x), "relu", False)
    assert np.isfinite(solve_relu_program(x, 1.01 * low).value)
    assert np.isfinite(solve_relu_dual(x, 1.01 * low)[1])
    for solve in (solve_relu_program, solve_relu_dual):
        with pytest.raises(ValueError, match=r"no finite optimum: CVXPY reports '(unbounded|infeasible)"):
            solve(x, 0.9 * low)


def test_reconstruction_by_hand() -> None:
    """One neuron of each block at x = 1 of the points 1 and 3, with weights 4, -9, 16, -25."""
    y = [4.0, 0.0, -9.0, 0.0, 16.0, 0.0, -25.0, 0.0]
    net = reconstruct_relu([1.0, 3.0], y, epsilon=0.5)
    roots = [2.0, 0.0, 3.0, 0.0, -4.0, 0.0, -5.0, 0.0]
    assert net.W1[:, 0].tolist() == roots
    assert net.W2[0].tolist() == [2.0, 0.0, -3.0, 0.0, 4.0, 0.0, -5.0, 0.0]
    # b = -w t with t = 1, 1 + 0.5, 1, 1 - 0.5
    assert net.b1[[0, 2, 4, 6]].tolist() == [-2.0, -4.5, 4.0, 2.5]
    # b0 = minus the mean over the data of [A1, A1, A2, A2] y: 0 at x = 1 and (4 - 9) 2 at x = 3
    assert net.b2.tolist() == [5.0]
    assert (net.V.tolist(), net.activation, net.width, net.dimension) == ([[0.0]], "relu", 8, 1)
    printed = reconstruct_relu([1.0, 3.0], y, epsilon=0.5, rule="printed")
    assert printed.W2[0].tolist() == [2.0, 0.0, 3.0, 0.0, 4.0, 0.0, 5.0, 0.0]
    for name in ("W1", "b1", "b2", "V"):
        np.testing.assert_array_equal(getattr(printed, name), getattr(net, name))


def test_losses_tend_to_the_value_as_epsilon_falls() -> None:
    x, beta = np.array([0.0, 1.0, 11.0]), 1.2
    program = solve_relu_program(x, beta)
    late = np.abs(program.y[3:6]).max()
    assert late >= 0.01  # the optimum does use a kink that must not yet act
    excess = [
        score_matching_loss(reconstruct_relu(x, program.y, epsilon=e), x, beta) - program.value
        for e in (1e-2, 1e-4)
    ]
    assert 50 <= excess[0] / excess[1] <= 200  # in proportion to epsilon
    for epsilon in (1e-9, 0.0):
        loss = score_matching_loss(reconstruct_relu(x, program.y, epsilon=epsilon), x, beta)
        assert abs(loss - program.value) <= 1e-7


def test_results_are_plain_numbers() -> None:
    program = solve_relu_program([-1.0, 1.0], 1.5)
    assert isinstance(program, LassoProgram)
    assert (type(program.value), program.y.shape) == (float, (8,))
