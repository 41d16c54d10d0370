"""Exact training of all four univariate networks: laws, closed forms, literal programs, refusals."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    NETWORKS,
    checked,
    checked_more,
    data_sets,
    every_network,
    threshold,
    two_sided_rows,
    ugly,
    weight_decays,
)

from convexdiff_lib import NotCertifiedError, UnivariateScore, score_matching, score_matching_loss
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.line import training
from convexdiff_lib.line.active_set import Spline, descend
from convexdiff_lib.line.beam import Tube
from convexdiff_lib.line.coarse_to_fine import Solution, solve_by_levels
from convexdiff_lib.line.kink_network import KinkNetwork
from convexdiff_lib.line.problem import LineProblem, SplineClaim
from convexdiff_lib.line.spline_certificates import Verdict, examine

RELATIVE = 1e-9  # of the certificate's scale: ten times below the gap that a certificate forgives


def solve(x: FloatArray, beta: float, activation: Activation, skip: bool) -> UnivariateScore:
    return score_matching(x, beta, activation=activation, skip=skip)


# Every answer


@every_network
@checked_more
@given(data=st.data())
def test_every_answer_is_what_it_says(activation: Activation, skip: bool, data: st.DataObject) -> None:
    x = data.draw(data_sets(distinct=2 if skip else 1))
    beta = data.draw(weight_decays(x, activation, skip))
    fit = solve(x, beta, activation, skip)
    scale, net = fit.certificate.scale, fit.network()
    assert fit.certificate.holds is True
    assert fit.certificate.gap >= -RELATIVE * scale  # weak duality
    assert (fit.value, fit.beta, fit.activation) == (fit.certificate.primal, beta, activation)
    assert fit.value <= RELATIVE * scale  # the zero network is a candidate
    # A neuron's bias is rounded to 1e-16 of its place, which moves the score by that times the weights.
    rounding = 1e-15 * np.abs(x).max() * fit.kink_network.total_weight * (np.abs(fit.z).sum() + 1e-15)
    assert abs(score_matching_loss(net, x, beta) - fit.value) <= RELATIVE * scale + rounding
    size = max(float(np.abs(fit.z).max()), 1 / (np.ptp(x) or 1.0))
    assert np.max(np.abs(fit(x) + fit.z)) <= 1e-9 * size
    assert set(fit.kink_network.kinks.tolist()) <= set(x.tolist())
    assert set(fit.knots.tolist()) <= set(x.tolist())
    assert (np.diff(fit.knots) > 0).all()
    span = float(np.ptp(x)) or 1.0
    wide = np.concatenate([x, np.linspace(x.min() - 2 * span, x.max() + 2 * span, 50)])
    steepest = float(np.abs(fit.score.slopes).max())
    # Both forms add the same neurons; the rounding of a position times a slope separates them.
    lever = np.abs(wide).max() * (steepest + 2 * fit.kink_network.total_weight)
    assert np.max(np.abs(fit(wide) - net(wide))) <= 1e-12 * (size + lever)
    assert net.V[0, 0] == 0 or skip


@every_network
@checked
@given(data=st.data())
def test_units_place_order_and_mirror(activation: Activation, skip: bool, data: st.DataObject) -> None:
    x = data.draw(data_sets(distinct=2, dyadic=True))
    beta = data.draw(weight_decays(x, activation, skip))
    fit = solve(x, beta, activation, skip)
    scale, size = fit.certificate.scale, max(float(np.abs(fit.z).max()), 1 / float(np.ptp(x)))
    # The dual vector is unique and the solver polishes it: only rounding may tell these apart.
    for c in (1e8, 1e-8, 0.5):
        other = solve(c * x, beta, activation, skip)
        assert abs(other.value * c**2 - fit.value) <= RELATIVE * scale
        assert np.max(np.abs(other.z * c - fit.z)) <= 1e-9 * size
        assert np.max(np.abs(other(c * x) * c - fit(x))) <= 1e-9 * size
    for shift in (1e6, -(2.0**20)):  # exact in floating point for multiples of 1/8
        other = solve(x + shift, beta, activation, skip)
        assert abs(other.value - fit.value) <= RELATIVE * scale
        assert np.max(np.abs(other(x + shift) - fit(x))) <= 1e-9 * size
    mirrored = solve(-x, beta, activation, skip)
    assert abs(mirrored.value - fit.value) <= RELATIVE * scale
    assert np.max(np.abs(mirrored(-x) + fit(x))) <= 1e-9 * size
    order = np.random.default_rng(0).permutation(len(x))
    shuffled = solve(x[order], beta, activation, skip)
    assert abs(shuffled.value - fit.value) <= 1e-13 * scale * len(x)
    assert np.max(np.abs(shuffled.z - fit.z[order])) <= 1e-9 * size


@checked
@given(data=st.data())
def test_relu_skip_is_abs_skip_at_twice_the_decay(data: st.DataObject) -> None:
    x = data.draw(data_sets(distinct=2))
    beta = data.draw(weight_decays(x, "relu", True))
    relu, absolute = solve(x, beta, "relu", True), solve(x, 2 * beta, "abs", True)
    assert abs(relu.value - absolute.value) <= RELATIVE * relu.certificate.scale
    assert np.max(np.abs(relu(x) - absolute(x))) <= 1e-9 * max(np.abs(relu.z).max(), 1 / np.ptp(x))


@every_network
@checked
@given(data=st.data())
def test_value_rises_and_bends_down_in_the_decay(
    activation: Activation, skip: bool, data: st.DataObject
) -> None:
    """The value is a minimum of lines in beta, one per network, each with a slope that is not negative."""
    x = data.draw(data_sets(distinct=2 if skip else 1))
    low, high = sorted(
        (data.draw(weight_decays(x, activation, skip)), data.draw(weight_decays(x, activation, skip)))
    )
    left, middle, right = (solve(x, b, activation, skip) for b in (low, (low + high) / 2, high))
    slack = RELATIVE * left.certificate.scale
    assert left.value <= middle.value + slack
    assert middle.value <= right.value + slack
    assert middle.value >= (left.value + right.value) / 2 - slack
    # The slope of that line is the total weight of the network, whose loss at the other decay is a bound.
    bound = left.value + (high - low) * left.kink_network.total_weight
    assert right.value <= bound + slack


@every_network
@checked
@given(data=st.data())
def test_skip_and_a_larger_class_only_help(activation: Activation, skip: bool, data: st.DataObject) -> None:
    """A skip connection is free, and a unit ReLU is half an absolute value and half a line."""
    x = data.draw(data_sets(distinct=2))
    beta = data.draw(weight_decays(x, "abs", True))
    fit = solve(x, beta, activation, skip)
    with_skip = solve(x, beta, activation, True)
    assert with_skip.value <= fit.value + RELATIVE * fit.certificate.scale
    assert (
        solve(x, beta, "abs", True).value
        <= solve(x, beta, "relu", True).value + RELATIVE * fit.certificate.scale
    )


# Closed forms


@pytest.mark.parametrize("activation", ["relu", "abs"])
@checked
@given(data=st.data())
def test_without_skip_a_decay_of_n_silences_the_network(activation: Activation, data: st.DataObject) -> None:
    x = data.draw(data_sets())
    n = len(x)
    for beta in (float(n), 1.5 * n):
        if beta < threshold(x, activation, False):
            continue
        fit = solve(x, beta, activation, False)
        size = 1 / (float(np.ptp(x)) or 1.0)
        assert abs(fit.value) <= 1e-11 * max(fit.certificate.scale, size**2)
        assert np.max(np.abs(fit(x))) <= 1e-11 * size * n


@pytest.mark.parametrize("activation", ["relu", "abs"])
@checked
@given(data=st.data())
def test_with_skip_a_large_decay_gives_the_gaussian(activation: Activation, data: st.DataObject) -> None:
    x = data.draw(data_sets(distinct=2))
    fit = solve(x, 2.0 * len(x), activation, True)
    mu, v = x.mean(), x.var()
    span = float(np.ptp(x))
    where = np.linspace(x.min() - span, x.max() + span, 20)
    assert np.max(np.abs(fit(where) + (where - mu) / v)) <= 1e-9 * span / v
    assert abs(fit.value + len(x) / (2 * v)) <= 1e-11 * len(x) / (2 * v)
    assert (fit.kink_network.total_weight, len(fit.knots)) == (0.0, 0)


@pytest.mark.parametrize("activation", ["relu", "abs"])
@pytest.mark.parametrize("beta", [1.0, 1.25, 1.999, 2.0])
@pytest.mark.parametrize("x", [(-1.0, 1.0), (3.0, 3.5), (-7.0, 100.0)])
def test_two_points(activation: Activation, beta: float, x: tuple[float, float]) -> None:
    """The tube has no interior, so only the end's height counts: -(n - beta)^2 / (2 n v) with n = 2."""
    fit, v = solve(np.array(x), beta, activation, False), np.var(x)
    assert abs(fit.value + (2 - beta) ** 2 / (4 * v)) <= 1e-14 / v
    assert np.max(np.abs(fit(x) + (2 - beta) / (2 * v) * (np.array(x) - np.mean(x)))) <= 1e-14 / np.sqrt(v)


@checked
@given(x=data_sets(distinct=2), below=st.floats(0, 1))
def test_large_decay_relu(x: FloatArray, below: float) -> None:
    """Just below n the score is a line of slope -(n - beta)/(n v) over the data, and flat on the outside."""
    n, v = len(x), float(x.var())
    beta = n - 1e-3 * below
    if beta < threshold(x, "relu", False):
        return
    fit = solve(x, beta, "relu", False)
    lift = (n - beta) / (n * v)
    assert abs(fit.value + (n - beta) ** 2 / (2 * n * v)) <= 1e-10 * n / v
    inside = np.linspace(x.min(), x.max(), 30)
    assert np.max(np.abs(fit(inside) + lift * (inside - x.mean()))) <= 1e-9 * np.ptp(x) / v


@pytest.mark.parametrize(
    "x",
    [
        (-8.03, -8.03, -0.21, -0.05, 0.07, 24.21),
        (-24.21, -0.07, 0.05, 0.21, 8.03, 8.03),
        (-4.67, -0.13, 0.09, 0.56),
    ],
)
@pytest.mark.parametrize("above", [0.0, 0.01])
def test_isolated_ends_carry_a_rising_line(x: tuple[float, ...], above: float) -> None:
    """Far ends around a dense middle: neurons at the ends raise the slope, more cheaply at a heavier end."""
    data = np.array(x)
    beta = threshold(data, "abs", False) + above
    fit = solve(data, beta, "abs", False)
    net = fit.kink_network
    at_ends = np.isin(net.kinks, (data[0], data[-1]))
    # The line rises: |x - first| has a positive weight, |x - last| a negative one.
    assert (net.weights[at_ends] * np.where(net.kinks[at_ends] == data[0], 1, -1) > 0).all()
    first, last = x.count(x[0]), x.count(x[-1])
    heavier = {x[0]} if first > last else {x[-1]} if last > first else {x[0], x[-1]}
    assert set(net.kinks[at_ends].tolist()) == heavier
    assert abs(literal(data, beta, "abs", False) - fit.value) <= 1e-6 * fit.certificate.scale


def test_one_point_and_equal_points() -> None:
    for x in ([5.0], [5.0] * 7):
        for activation in ("relu", "abs"):
            fit = score_matching(x, float(len(x)), activation=activation)
            assert (fit.certificate.holds, fit.value, fit.z.tolist()) == (True, 0.0, [0.0] * len(x))
            assert fit([0.0, 5.0, 9.0]).tolist() == [0.0, 0.0, 0.0]
            assert (len(fit.knots), fit.network().width) == (0, 0)


@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_two_distinct_points_with_skip(activation: Activation) -> None:
    """The Gaussian fit, at the threshold already: with two points the tube has no interior."""
    fit = score_matching([-1.0, 3.0], 2.0, activation=activation, skip=True)
    assert abs(fit.value + 2 / (2 * 4)) <= 1e-15
    assert np.max(np.abs(fit([-1.0, 0.0, 3.0, 10.0]) - [0.5, 0.25, -0.5, -2.25])) <= 1e-15


# The literal programs, built here and solved by a general solver


def literal(x: FloatArray, beta: float, activation: Activation, skip: bool) -> float:
    """The convex program over one weight per neuron and reading of the kink, with the biases averaged out.

    For ReLU its columns are the 4n of program (4).  For the absolute value facing right with one reading is
    facing left with the other, which leaves the 2n columns of Appendix D.2.2.
    """
    rows = two_sided_rows(x, activation)
    columns = [*rows["right"], *(rows["left"] if activation == "relu" else [])]
    matrix = np.array([value for value, _ in columns]).T
    matrix = matrix - matrix.mean(axis=0)
    cost = np.array([slope for _, slope in columns])
    y, v = cp.Variable(len(columns)), cp.Variable()
    score = matrix @ y + (v * (x - x.mean()) if skip else 0)
    objective = 0.5 * cp.sum_squares(score) + cost @ y + beta * cp.norm1(y) + (len(x) * v if skip else 0)
    problem = cp.Problem(cp.Minimize(objective))
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    assert problem.status in ("optimal", "optimal_inaccurate")
    return float(problem.value)


def projected(x: FloatArray, beta: float) -> float:
    """Program (14) of Theorem 8, the skip connection projected out, with the constant defined in its text."""
    n, centred = len(x), x - x.mean()
    difference = x[:, None] - x[None, :]
    A1 = np.abs(difference)
    A1 = np.hstack([A1, A1])
    A1 = A1 - A1.mean(axis=0)
    b1 = np.concatenate(
        [np.where(difference >= 0, 1.0, -1.0).sum(axis=0), -np.where(-difference >= 0, 1.0, -1.0).sum(axis=0)]
    )
    square = centred @ centred
    A = A1 - np.outer(centred, centred @ A1) / square
    b = A1.T @ (-n * centred / square) + b1
    y = cp.Variable(2 * n)
    problem = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(A @ y) + b @ y + beta * cp.norm1(y)))
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    return float(problem.value) - n**2 / (2 * square)


def small_sample(seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    family = ["normal", "rounded", "clusters", "tied ends", "heavy tie"][seed % 5]
    x = ugly(family, int(rng.integers(3, 11)), rng)
    # Tight clusters are too much for a general solver: its answer is then far off, not ours.
    return x if family != "clusters" else x + 0.3 * rng.normal(size=len(x))


@every_network
@pytest.mark.parametrize("seed", range(15))
def test_literal_program_has_the_same_value(activation: Activation, skip: bool, seed: int) -> None:
    x = small_sample(seed)
    low = threshold(x, activation, skip)
    beta = low + np.random.default_rng(seed).uniform(0.02, 0.6) * len(x)
    fit = solve(x, beta, activation, skip)
    # 1e-6 is what a general solver reaches on these matrices.
    assert abs(literal(x, beta, activation, skip) - fit.value) <= 1e-6 * fit.certificate.scale


@pytest.mark.parametrize("seed", range(15))
def test_projected_program_has_the_same_value(seed: int) -> None:
    x = small_sample(seed)
    beta = threshold(x, "abs", True) + np.random.default_rng(seed).uniform(0.02, 0.6) * len(x)
    fit = solve(x, beta, "abs", True)
    assert abs(projected(x, beta) - fit.value) <= 1e-6 * fit.certificate.scale
    half = solve(x, beta / 2, "relu", True)
    assert abs(projected(x, beta) - half.value) <= 1e-6 * fit.certificate.scale


# Thresholds


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([0.0, 1.0, 3.0], (1.0, 1.0, 1.0, 2.0)),
        ([0.0, 1.0, 1.0, 1.0, 3.0], (1.5, 1.5, 3.0, 3.0)),
        ([0.0, 0.0, 1.0, 3.0], (2.0, 2.0, 2.0, 4.0)),
        ([3.0, 1.0, 0.0, 3.0, 1.0, 1.0, 1.0, 1.0], (2.5, 2.5, 5.0, 5.0)),
        ([0.0, 2.0], (1.0, 1.0, 1.0, 2.0)),
    ],
)
def test_at_the_threshold_and_just_below(x: list[float], expected: tuple[float, ...]) -> None:
    for (activation, skip), beta in zip(NETWORKS, expected, strict=True):
        assert score_matching(x, beta, activation=activation, skip=skip).certificate.holds is True
        for below in (beta - 1e-9, np.nextafter(beta, 0), 0.5 * beta, 1e-300):
            with pytest.raises(ValueError, match=rf"is below {beta:g}, ") as caught:
                score_matching(x, below, activation=activation, skip=skip)
            assert f"beta = {float(below)} " in str(caught.value)
            assert ("repeat" in str(caught.value)) == (len(set(x)) < len(x))


def falling(x: FloatArray, activation: Activation, skip: bool, weight: float) -> KinkNetwork:
    """A network whose score is zero at every data point and whose loss is beta - threshold times its size."""
    points, counts = np.unique(x, return_counts=True)
    heaviest = points[np.argmax(counts)]
    end = 0 if counts[0] >= counts[-1] else -1
    facing = -1.0 if end == 0 else 1.0  # away from the data
    at_end, pair, now = points[[end]], np.array([heaviest, heaviest]), np.array([False])
    one, two = np.array([-facing * weight]), np.array([-weight, weight])
    if activation == "relu":
        if (
            counts[end] >= counts.max() / 2
        ):  # only the end itself feels a neuron that faces away from the data
            return KinkNetwork(at_end, np.array([facing]), one, now)
        # Acting and not yet acting at one place: the values cancel and the derivatives do not.
        return KinkNetwork(pair, np.ones(2), two, np.array([False, True]))
    if (
        skip and 2 * counts[end] >= counts.max()
    ):  # |x - end| is a line over the data: the skip connection cancels it
        origin = float(points[end])
        return KinkNetwork(at_end, np.array([facing]), one, now, origin, 0.0, -weight, "abs")
    return KinkNetwork(pair, np.array([1.0, -1.0]), two, np.array([False, False]), activation="abs")


@every_network
@pytest.mark.parametrize(
    "x", [(0.0, 1.0, 3.0), (0.0, 1.0, 1.0, 1.0, 3.0), (0.0, 0.0, 1.0, 3.0), (-2.0, 0.0, 1.0, 1.0, 1.0)]
)
def test_below_the_threshold_losses_fall_without_bound(
    activation: Activation, skip: bool, x: tuple[float, ...]
) -> None:
    """Plain networks, judged by the training loss alone; at the threshold the same networks gain nothing."""
    data = np.array(x)
    low = threshold(data, activation, skip)
    for beta in (0.99 * low, 0.5 * low):
        sizes, losses = 4.0 ** np.arange(1, 16), []
        for size in sizes:
            net = falling(data, activation, skip, size)
            assert skip or net.slope == 0
            losses.append(score_matching_loss(net.two_layer(), data, beta))
        share = np.array(losses) / sizes / (beta - low)
        assert (np.diff(losses) < 0).all()
        assert losses[-1] <= -1e6
        # The loss is beta - threshold per unit of weight, twice that for a pair; values cancel to rounding.
        assert np.max(np.abs(share - share[0])) <= 1e-6
        assert min(abs(share[0] - 1), abs(share[0] - 2)) <= 1e-12
    at_threshold = score_matching_loss(falling(data, activation, skip, 1024.0).two_layer(), data, low)
    assert abs(at_threshold) <= 1e-9


def test_skip_needs_two_distinct_points() -> None:
    for x in ([1.0], [1.0, 1.0]):
        with pytest.raises(ValueError, match="at least two distinct points"):
            score_matching(x, 10.0, skip=True)


# Sizes, failure, and the caller's data


@pytest.mark.compiled
@every_network
@pytest.mark.parametrize("family", ["normal", "cauchy"])
def test_ten_thousand_points(activation: Activation, skip: bool, family: str) -> None:
    x = ugly(family, 10_000, np.random.default_rng(0))
    started = time.process_time()
    fit = solve(x, 20.0, activation, skip)
    assert fit.certificate.holds is True
    assert time.process_time() - started <= 3.0  # measured: a quarter to half a second


def test_tight_clusters_far_apart() -> None:
    """Here a point and the end of the beam want to change at once, and undo each other unless one waits."""
    x = [-9.992, -9.987, 9.989, 10.009, 10.01]
    assert score_matching(x, 1.0004).certificate.holds is True
    for seed in range(60):
        clusters = ugly("clusters", 40, np.random.default_rng(seed))
        assert score_matching(clusters, 1.0 + 0.02 * seed).certificate.holds is True


def one_per_cent_off(tube: Tube, before: Solution | None = None) -> Solution:
    found = solve_by_levels(tube, before)
    return replace(found, values=found.values * 1.01)


def as_it_is(problem: LineProblem, claim: SplineClaim) -> tuple[SplineClaim, Verdict]:
    return claim, examine(problem, claim)


@every_network
def test_a_wrong_answer_is_never_returned(
    activation: Activation, skip: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(0).normal(size=20)
    monkeypatch.setattr(training, "solve_by_levels", one_per_cent_off)
    assert solve(x, 3.0, activation, skip).certificate.holds is True  # Newton's step mends it
    monkeypatch.setattr(training, "sharpened", as_it_is)
    assert solve(x, 3.0, activation, skip).certificate.holds is True  # the thorough route mends it
    monkeypatch.setattr(training, "descend", lambda spline, height: iter(()))
    with pytest.raises(NotCertifiedError, match=r"n = 20, beta = 3.0, .*DOES NOT HOLD") as refused:
        solve(x, 3.0, activation, skip)
    found = refused.value.found
    assert isinstance(found, UnivariateScore)
    assert not found.certificate.holds
    monkeypatch.setattr(
        training, "solve_by_levels", lambda tube, _=None: replace(solve_by_levels(tube), height=np.nan)
    )
    with pytest.raises(NotCertifiedError, match="no candidate") as refused:
        solve(x, 3.0, activation, skip)
    assert refused.value.found is None


@every_network
def test_the_best_candidate_is_kept(
    activation: Activation, skip: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A good candidate between bad ones is the answer of the thorough route."""
    x = np.random.default_rng(0).normal(size=20)
    good = solve(x, 3.0, activation, skip)
    monkeypatch.setattr(training, "solve_by_levels", one_per_cent_off)
    monkeypatch.setattr(training, "sharpened", as_it_is)

    def wandering(spline: Spline, height: float) -> Iterator[tuple[Spline, FloatArray, float]]:
        *_, (best, values, end) = descend(spline, height)
        for factor in (1.01, 1.0, 1.01):
            yield best, values * factor, end

    monkeypatch.setattr(training, "descend", wandering)
    assert abs(solve(x, 3.0, activation, skip).value - good.value) <= 1e-12 * abs(good.value)  # rounding


@every_network
def test_input_of_any_kind_is_read_and_left_alone(activation: Activation, skip: bool) -> None:
    numbers = [3, -1, 4, 1, 5, 9, 2, 6]
    base = solve(np.array(numbers, dtype=float), 3.0, activation, skip)
    frozen = np.array(numbers, dtype=float)
    frozen.flags.writeable = False
    padded = np.repeat(np.array(numbers, dtype=float), 2).reshape(-1, 2)
    forms: list[Any] = [
        numbers,
        tuple(numbers),
        np.array(numbers),
        np.array(numbers, dtype=np.float32),
        frozen,
        padded[:, 0],
        np.array(numbers[::-1], dtype=float)[::-1],
    ]
    for x in forms:
        before = np.array(x)
        fit = score_matching(x, 3, activation=activation, skip=skip)
        np.testing.assert_array_equal(np.asarray(x), before)
        np.testing.assert_array_equal(fit.z, base.z)
        assert fit.value == base.value


def test_the_answer_shares_no_memory_with_the_data() -> None:
    x = np.random.default_rng(0).normal(size=12)
    fit = score_matching(x, 2.0)
    net = fit.kink_network
    for array in (fit.z, fit.knots, net.kinks, net.weights, fit.score.knots, fit.score.values):
        assert not np.shares_memory(array, x)
    before = fit(np.linspace(-3, 3, 50))
    x[:] = 0.0
    np.testing.assert_array_equal(fit(np.linspace(-3, 3, 50)), before)


def test_any_shape_evaluates() -> None:
    fit = score_matching([-1.0, 0.5, 2.0], 1.2)
    grid = np.linspace(-2, 3, 12)
    np.testing.assert_array_equal(fit(grid.reshape(3, 4)), fit(grid).reshape(3, 4))
    assert float(fit(0.25)) == fit([0.25])[0]
    assert np.isnan(fit([np.nan])).all()


def test_density_and_samples_are_those_of_the_score() -> None:
    x = np.random.default_rng(0).normal(size=50)
    fit = score_matching(x, 4.0, skip=True)
    grid = np.linspace(-3, 3, 21)
    np.testing.assert_array_equal(fit.log_density(grid), fit.score.log_density(grid))
    np.testing.assert_array_equal(
        fit.sample(5, np.random.default_rng(1)), fit.score.sample(5, np.random.default_rng(1))
    )
