"""Exact denoising of all four univariate networks: laws, closed forms, certificates, refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    checked,
    checked_more,
    data_sets,
    every_activation,
    every_network,
    kink_networks,
    tube_for,
    two_sided_rows,
)

from convexdiff_lib import (
    NotCertifiedError,
    UnivariateScore,
    _validation,
    denoising_loss,
    denoising_path,
    denoising_score_matching,
)
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.line import training
from convexdiff_lib.line.beam import Tube
from convexdiff_lib.line.coarse_to_fine import Solution, solve_by_levels
from convexdiff_lib.line.kink_network import KinkNetwork
from convexdiff_lib.line.network_certificates import certify_denoising
from convexdiff_lib.line.spline_certificates import examine

RELATIVE = 1e-9  # of the certificate's scale: ten times below the gap that a certificate forgives


def solve(
    x: FloatArray, targets: FloatArray, beta: float, activation: Activation, skip: bool
) -> UnivariateScore:
    return denoising_score_matching(x, targets, beta, activation=activation, skip=skip)


def natural(x: FloatArray, targets: FloatArray) -> float:
    """The weight decay above which nothing bends is at most about this."""
    return float(np.ptp(x) * np.abs(targets - targets.mean()).sum()) or 1.0


@st.composite
def problems(
    draw: st.DrawFn, *, distinct: int = 1, dyadic: bool = False
) -> tuple[FloatArray, FloatArray, float]:
    """Perturbed data, targets of several kinds, and a weight decay over nine decades."""
    x = draw(data_sets(distinct=distinct, dyadic=dyadic))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    match draw(st.sampled_from(["normal", "cauchy", "line", "equal"])):
        case "normal":
            targets = rng.normal(size=len(x))
        case "cauchy":
            targets = rng.standard_cauchy(size=len(x))
        case "line":
            targets = 0.3 - 0.5 * x
        case _:
            targets = np.full(len(x), 0.1)
    if dyadic:
        targets = np.round(targets * 64) / 64
    return x, targets, natural(x, targets) * 10.0 ** draw(st.floats(-8, 1))


@every_network
@checked_more
@given(problem=problems())
def test_every_answer_is_what_it_says(
    activation: Activation, skip: bool, problem: tuple[FloatArray, FloatArray, float]
) -> None:
    x, targets, beta = problem
    fit = solve(x, targets, beta, activation, skip)
    scale = fit.certificate.scale
    assert fit.certificate.holds is True
    assert fit.certificate.gap >= -RELATIVE * scale  # weak duality
    assert (fit.value, fit.beta, fit.activation) == (fit.certificate.primal, beta, activation)
    spread = float(np.sum((targets - targets.mean()) ** 2)) / 2
    assert fit.value <= spread + RELATIVE * scale  # the constant network is a candidate
    size = float(np.abs(targets).max())
    assert np.max(np.abs(targets - fit(x) - fit.z)) <= 1e-9 * size
    assert set(fit.kink_network.kinks.tolist()) <= set(x.tolist())
    assert not fit.kink_network.beyond.any()  # no slope is counted, so no kink needs to wait
    net = fit.network()
    rounding = 1e-15 * np.abs(x).max() * fit.kink_network.total_weight * (np.abs(fit.z).sum() + 1e-15)
    rounding += len(x) * (1e-15 * size) ** 2  # of a constant that is all there is
    assert abs(denoising_loss(net, x, targets, beta) - fit.value) <= RELATIVE * scale + rounding
    assert net.V[0, 0] == 0 or skip


@every_network
@checked
@given(problem=problems(distinct=2, dyadic=True))
def test_units_place_order_and_mirror(
    activation: Activation, skip: bool, problem: tuple[FloatArray, FloatArray, float]
) -> None:
    x, targets, beta = problem
    fit = solve(x, targets, beta, activation, skip)
    scale, size = fit.certificate.scale, float(np.abs(targets).max())
    for length, height in ((2.0**27, 1.0), (2.0**-27, 2.0**10), (0.5, 2.0**-20)):
        other = solve(length * x, height * targets, length * height * beta, activation, skip)
        assert abs(other.value - height**2 * fit.value) <= RELATIVE * height**2 * scale
        assert np.max(np.abs(other(length * x) - height * fit(x))) <= 1e-9 * size * height
    shifted = solve(x + 2.0**20, targets, beta, activation, skip)
    assert abs(shifted.value - fit.value) <= RELATIVE * scale
    assert np.max(np.abs(shifted(x + 2.0**20) - fit(x))) <= 1e-9 * size
    raised = solve(x, targets + 2.0**10, beta, activation, skip)
    assert abs(raised.value - fit.value) <= RELATIVE * scale + raised.certificate.gap_tolerance * scale
    assert np.max(np.abs(raised(x) - 2.0**10 - fit(x))) <= 1e-9 * (size + 2.0**10)
    mirrored = solve(-x, -targets, beta, activation, skip)
    assert np.max(np.abs(mirrored(-x) + fit(x))) <= 1e-9 * size
    order = np.random.default_rng(0).permutation(len(x))
    shuffled = solve(x[order], targets[order], beta, activation, skip)
    assert np.max(np.abs(shuffled.z - fit.z[order])) <= 1e-9 * size


@checked
@given(problem=problems(distinct=2))
def test_relu_skip_is_abs_skip_at_twice_the_decay(problem: tuple[FloatArray, FloatArray, float]) -> None:
    x, targets, beta = problem
    relu, absolute = solve(x, targets, beta, "relu", True), solve(x, targets, 2 * beta, "abs", True)
    assert abs(relu.value - absolute.value) <= RELATIVE * relu.certificate.scale
    assert np.max(np.abs(relu(x) - absolute(x))) <= 1e-9 * np.abs(targets).max()


@every_network
@checked
@given(problem=problems(), factor=st.floats(1.0, 100.0))
def test_value_rises_and_bends_down_in_the_decay(
    activation: Activation, skip: bool, problem: tuple[FloatArray, FloatArray, float], factor: float
) -> None:
    """The value is a minimum of lines in beta, one per network, each with a slope that is not negative."""
    x, targets, low = problem
    high = factor * low
    left, middle, right = (solve(x, targets, b, activation, skip) for b in (low, (low + high) / 2, high))
    slack = RELATIVE * left.certificate.scale
    assert 0 <= left.value <= middle.value + slack
    assert middle.value <= right.value + slack
    assert middle.value >= (left.value + right.value) / 2 - slack
    bound = left.value + (high - low) * left.kink_network.total_weight
    assert right.value <= bound + slack


# Closed forms


@pytest.mark.parametrize("beta", [0.25, 1.0, 1.9, 2.0, 5.0])
@every_activation
def test_two_points_by_hand(activation: Activation, beta: float) -> None:
    """At -1 and 1 with targets 1 and -1 the slope a < 0 of the fit costs beta |a|: a = min(0, beta/2 - 1)."""
    x, targets = np.array([-1.0, 1.0]), np.array([1.0, -1.0])
    fit = solve(x, targets, beta, activation, False)
    slope = min(0.0, beta / 2 - 1)
    assert np.max(np.abs(fit(x) - slope * x)) <= 1e-14  # rounding
    assert abs(fit.value - ((1 + slope) ** 2 - beta * slope)) <= 1e-14
    free = solve(x, targets, beta, activation, True)
    assert np.max(np.abs(free(x) - targets)) <= 1e-14
    assert free.kink_network.total_weight == 0


@every_network
@checked
@given(problem=problems(distinct=2))
def test_a_large_decay_leaves_what_is_free(
    activation: Activation, skip: bool, problem: tuple[FloatArray, FloatArray, float]
) -> None:
    """From the largest |z^T hinge| of the straight fit on, nothing bends."""
    x, targets, _ = problem
    lever = x - x.mean()
    slope = float(lever @ targets / (lever @ lever)) if skip else 0.0
    straight = targets.mean() + slope * lever
    z = targets - straight
    rows = two_sided_rows(x, activation)
    steepest = max(abs(float(row @ z)) for rows_of_side in rows.values() for row, _ in rows_of_side)
    fit = solve(x, targets, max(1.001 * steepest, 1e-6), activation, skip)
    assert np.max(np.abs(fit(x) - straight)) <= 1e-9 * np.abs(targets).max()
    if steepest > 1e-6 * np.ptp(x) * np.abs(targets).sum():  # more than rounding
        bent = solve(x, targets, 0.9 * steepest, activation, skip)
        assert bent.kink_network.total_weight > 0


@every_network
def test_a_tiny_decay_interpolates_the_mean_targets(activation: Activation, skip: bool) -> None:
    rng = np.random.default_rng(3)
    x, targets = np.round(rng.normal(size=40), 1), rng.normal(size=40)
    fit = solve(x, targets, 1e-9, activation, skip)
    for point in np.unique(x):
        # The loss is at most beta times the total slope of the interpolation, a few hundred.
        assert abs(fit([point])[0] - targets[x == point].mean()) <= 1e-6


@every_network
def test_one_point_and_equal_points(activation: Activation, skip: bool) -> None:
    for x in ([2.0], [2.0, 2.0, 2.0]):
        targets = np.arange(len(x)) + 1.0
        fit = solve(np.array(x), targets, 0.5, activation, skip)
        assert fit.knots.size == 0
        assert fit([2.0, -5.0]).tolist() == [targets.mean()] * 2
        assert np.max(np.abs(fit.z - (targets - targets.mean()))) <= 1e-15


@every_network
def test_targets_on_a_line_and_equal_targets(activation: Activation, skip: bool) -> None:
    x = np.random.default_rng(0).normal(size=30)
    flat = solve(x, np.full(30, 0.1), 1e-3, activation, skip)
    assert flat.kink_network.total_weight <= 1e-12  # nothing but rounding bends it
    assert np.max(np.abs(flat(x) - 0.1)) <= 1e-15
    if skip:
        line = solve(x, 1.0 - 2.0 * x, 1e-3, activation, skip)
        assert line.kink_network.total_weight <= 1e-10
        assert abs(line.kink_network.slope + 2.0) <= 1e-12


@every_network
@pytest.mark.parametrize("share", [1e-4, 1e-2, 0.3])
def test_ten_thousand_points(activation: Activation, skip: bool, share: float) -> None:
    rng = np.random.default_rng(7)
    noise = rng.normal(size=10_000)
    x = rng.normal(size=10_000) + 0.5 * noise
    fit = solve(x, -noise / 0.5, share * len(x), activation, skip)
    assert fit.certificate.holds is True


# Certificates


def problem_of_twenty() -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(5)
    noise = rng.normal(size=20)
    return np.round(rng.normal(size=20) + 0.4 * noise, 1), -noise / 0.4


@every_network
@checked
@given(seed=st.integers(0, 2**16))
def test_no_network_is_below_the_dual_value(activation: Activation, skip: bool, seed: int) -> None:
    """Whatever z is handed over: it is made feasible first."""
    rng = np.random.default_rng(seed)
    x, targets = problem_of_twenty()
    network = kink_networks(rng, activation, x, exact=False)
    network = replace(network, slope=network.slope if skip else 0.0)
    beta = float(rng.uniform(0.1, 20))
    z = rng.normal(size=20) * 10.0 ** rng.uniform(-3, 3)
    verdict = certify_denoising(x, targets, network, z, beta, activation=activation, skip=skip)
    loss = denoising_loss(network.two_layer(), x, targets, beta)
    assert abs(verdict.primal - loss) <= 1e-12 * verdict.scale
    assert verdict.gap >= -1e-12 * verdict.scale
    assert verdict.infeasibility <= 1e-12


@every_network
def test_the_dual_value_is_that_of_a_feasible_z(activation: Activation, skip: bool) -> None:
    """Recomputed row by row for the optimal z, which needs no mending, and for a ten times larger one."""
    x, targets = problem_of_twenty()
    fit = solve(x, targets, 3.0, activation, skip)
    rows = [row for rows in two_sided_rows(x, activation).values() for row, _ in rows]
    steepest = max(abs(float(row @ fit.z)) for row in rows)
    assert steepest <= 3.0 * (1 + 1e-9)
    assert abs(fit.z.sum()) <= 1e-12
    assert abs(fit.z @ x) <= 1e-12 * 20 or not skip
    value = float(fit.z @ targets - fit.z @ fit.z / 2)
    assert abs(fit.certificate.dual - value) <= 1e-12 * value
    for factor in (10.0, 0.1):
        other = certify_denoising(
            x, targets, fit.kink_network, factor * fit.z, 3.0, activation=activation, skip=skip
        )
        shrunk = min(1.0, 3.0 / (factor * steepest)) * factor * fit.z
        assert abs(other.dual - float(shrunk @ targets - shrunk @ shrunk / 2)) <= 1e-10 * value


@every_network
def test_false_cases_are_rejected(activation: Activation, skip: bool) -> None:
    x, targets = problem_of_twenty()
    fit = solve(x, targets, 1.0, activation, skip)
    net, z = fit.kink_network, fit.z

    def verdict(
        network: KinkNetwork = net, dual: FloatArray = z, aims: FloatArray = targets, beta: float = 1.0
    ):
        return certify_denoising(x, aims, network, dual, beta, activation=activation, skip=skip)

    assert verdict().holds is True
    weights = net.weights.copy()
    weights[np.abs(weights).argmax()] *= 1.01
    false_cases = [
        verdict(network=replace(net, weights=weights)),
        verdict(network=replace(net, constant=net.constant + 0.01)),
        verdict(network=replace(net, weights=-net.weights)),
        verdict(dual=0.99 * z),
        verdict(dual=-z),
        verdict(aims=-targets),  # the printed sign of the target
        verdict(beta=1.01),
        verdict(beta=0.99),
    ]
    for case in false_cases:
        assert case.holds is False
        assert case.relative_gap >= 10 * case.gap_tolerance


def test_the_mirror_image_of_a_hinge_is_needed() -> None:
    """A z that right-facing hinges allow and left-facing ones do not is shrunk."""
    x, z = np.array([0.0, 1.0, 2.0, 3.0]), np.array([-1.0, 1.0, 1.0, -1.0])
    none = KinkNetwork(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, dtype=bool))
    right = max(abs(float(np.maximum(x - t, 0) @ z)) for t in x)
    left = max(abs(float(np.maximum(t - x, 0) @ z)) for t in x)
    lopsided = np.array([-1.0, 2.0, 1.0, -2.0])
    assert (right, left) == (1.0, 1.0)
    for candidate, steepest in ((z, 1.0), (lopsided, 3.0), (-lopsided[::-1], 3.0)):
        verdict = certify_denoising(x, candidate, none, candidate, 0.5)
        shrunk = 0.5 / steepest * candidate
        assert abs(verdict.dual - float(shrunk @ candidate - shrunk @ shrunk / 2)) <= 1e-14


@every_network
def test_a_wrong_answer_is_never_returned(
    activation: Activation, skip: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def off(tube: Tube) -> Solution:
        found = solve_by_levels(tube)
        return replace(found, values=found.values + np.linspace(0.0, 0.1, len(found.values)))

    monkeypatch.setattr(training, "solve_by_levels", off)
    monkeypatch.setattr(training, "descend", lambda *_: iter(()))
    monkeypatch.setattr(training, "sharpened", lambda problem, claim: (claim, examine(problem, claim)))
    x, targets = problem_of_twenty()
    with pytest.raises(NotCertifiedError, match=r"n = 20, beta = 1\.0, activation = .* skip = "):
        solve(x, targets, 1.0, activation, skip)


@every_network
def test_rounding_does_not_decide_whether_there_is_a_density(activation: Activation, skip: bool) -> None:
    """An outer slope is zero, or larger than what is known of the score."""
    for seed in range(40):
        rng = np.random.default_rng([seed, 5])
        n = int(rng.integers(20, 400))
        x, noise = rng.normal(size=(2, n))
        beta = float(n * 10 ** rng.uniform(-2.5, -0.5))
        fit = denoising_score_matching(x + noise, -noise, beta, activation=activation, skip=skip)
        for slope in np.abs(fit.score.slopes[[0, -1]]):
            assert slope == 0 or slope >= 1e-9


# The tube, and the door


def test_tube_by_hand() -> None:
    x, given = np.array([3.0, 1.0, 0.0, 1.0]), np.array([-3.0, 2.0, 1.0, -2.0])
    targets = np.array([1.0, 0.0, -3.0])  # their means at the distinct points
    tube = tube_for(x, 0.5, "abs", targets=given)
    radius = 0.5 / tube.unit / tube.score_unit
    assert (tube.level, tube.tilts) == (0.0, (0.5,))
    assert tube.centre.tolist() == [0.0] * 3
    assert np.max(np.abs(tube.half_width - radius / 2)) <= 1e-15
    assert tube.end == (-radius, radius)
    assert np.max(np.abs(tube.targets * tube.score_unit - (targets + 0.5))) <= 1e-15
    clamped = tube_for(x, 0.5, "relu", True, targets=given)
    assert (clamped.tilts, clamped.end) == ((0.0,), (0.0, 0.0))
    assert np.max(np.abs(clamped.half_width - radius)) <= 1e-15


def test_lengths_must_agree_and_squares_must_be_finite() -> None:
    with pytest.raises(ValueError, match=r"targets must have one entry per point .* got \(2,\) for \(3,\)"):
        denoising_score_matching([0.0, 1.0, 2.0], [0.0, 1.0], 1.0)
    with pytest.raises(ValueError, match=r"targets must be at most 1e\+70 in size; the largest is 1e\+80"):
        denoising_score_matching([0.0, 1.0, 2.0], [0.0, 1.0, 1e80], 1.0)
    with pytest.raises(ValueError, match="distances between distinct points"):
        denoising_score_matching([0.0, 1.0, 1e90], [0.0, 1.0, 2.0], 1.0)


def test_data_are_left_alone() -> None:
    x, targets = np.array([3.0, 1.0, 2.0]), np.array([1.0, -1.0, 0.5])
    kept = x.copy(), targets.copy()
    fit = denoising_score_matching(x, targets, 0.1)
    x[:] = targets[:] = 0.0
    again = denoising_score_matching(*kept, 0.1)
    assert fit(kept[0]).tolist() == again(kept[0]).tolist()
    assert fit.z.tolist() == again.z.tolist()


def test_targets_are_copied_once_and_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    names, whole = [], _validation._as_floats

    def told(x: Any, name: str, wanted: str) -> Any:
        names.append(name)
        return whole(x, name, wanted)

    monkeypatch.setattr(_validation, "_as_floats", told)
    denoising_score_matching([0.0, 1.0, 3.0], [1.0, 0.0, -1.0], 2.0)
    assert (names.count("targets"), names.count("x_noisy")) == (1, 1)
    denoising_path([0.0, 1.0, 3.0], [1.0, 0.0, -1.0], down_to=2.0)
    assert (names.count("targets"), names.count("x_noisy")) == (2, 2)
    for refused, option in ((denoising_score_matching, "beta"), (denoising_path, "down_to")):
        with pytest.raises(ValueError, match=r"^targets must be a one-dimensional array of real .* got None"):
            refused([0.0, 1.0, 3.0], None, **{option: 2.0})
