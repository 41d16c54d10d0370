"""A certificate accepts the optimum and nothing else: every way of being wrong has its own test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    checked,
    data_sets,
    every_activation,
    every_network,
    kink_networks,
    slow_violation,
    threshold,
    two_sided_rows,
)

from convexdiff_lib import Certificate, UnivariateScore, score_matching
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.line.kink_network import KinkNetwork
from convexdiff_lib.line.network_certificates import (
    _Line,
    _score_matching_certificate,
    certify_score_matching,
    dual_violation,
)

ROUNDING = 1e-12  # relative to n: sums of a few dozen terms


def optimum(activation: Activation, skip: bool) -> tuple[FloatArray, UnivariateScore]:
    """A data set with a tie, unsorted, and its optimum, with kinks inside and points without one."""
    x = np.array([0.7, -2.0, 3.0, -0.4, 0.1, -1.1, 0.7, 1.0, 1.9])
    return x, score_matching(x, threshold(x, activation, skip) + 0.1, activation=activation, skip=skip)


def certify(
    x: FloatArray,
    fit: UnivariateScore,
    *,
    skip: bool,
    network: KinkNetwork | None = None,
    z: FloatArray | None = None,
) -> Certificate:
    """Certify the optimum with its network or its z replaced."""
    network, z = network or fit.kink_network, fit.z if z is None else z
    return certify_score_matching(x, network, z, fit.beta, activation=fit.activation, skip=skip)


def assert_rejected(certificate: Certificate) -> None:
    assert certificate.holds is False
    assert "DOES NOT HOLD" in str(certificate)


@pytest.mark.parametrize("beta", [1.0, 1.5, 2.0])
def test_two_points_by_hand(beta: float) -> None:
    """At -1 and 1: a line of slope -(2-beta)/2, carried half by each end, of loss -(2-beta)^2/4."""
    y = (2 - beta) / 4
    net = KinkNetwork(
        np.array([-1.0, 1.0]), np.array([1.0, -1.0]), np.array([-y, y]), np.array([False, False])
    )
    certificate = certify_score_matching([-1, 1], net, [-2 * y, 2 * y], beta)
    assert certificate.holds is True
    assert abs(certificate.primal + (2 - beta) ** 2 / 4) <= ROUNDING
    assert abs(certificate.dual + (2 - beta) ** 2 / 4) <= ROUNDING
    assert certificate.infeasibility <= ROUNDING


@every_network
def test_the_optimum_is_accepted(activation: Activation, skip: bool) -> None:
    x, fit = optimum(activation, skip)
    assert len(fit.knots) >= 2  # otherwise the false cases below would be too easy
    certificate = certify(x, fit, skip=skip)
    assert certificate.holds is True
    assert "holds" in str(certificate)
    assert abs(certificate.primal - float(slow_loss(fit.kink_network, x, fit.beta))) <= 1e-10
    assert abs(certificate.dual + 0.5 * sum(v * v for v in fit.z)) <= 1e-10


def slow_loss(net: KinkNetwork, x: FloatArray, beta: float) -> float:
    """The training loss from its definition."""
    loss = beta * sum(abs(y) for y in net.weights)
    for point in x:
        value, slope = net.constant + net.slope * (point - net.origin), net.slope
        for t, f, y, late in zip(net.kinks, net.facing, net.weights, net.beyond, strict=True):
            u = f * (point - t)
            on = u > 0 or (u == 0 and not late)
            value += y * (max(u, 0.0) if net.activation == "relu" else abs(u))
            slope += y * f * (on if net.activation == "relu" else (1 if on else -1))
        loss += 0.5 * value**2 + slope
    return float(loss)


@every_activation
@pytest.mark.parametrize("seed", range(10))
def test_primal_is_the_loss_of_the_network(activation: Activation, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.choice(rng.normal(size=6), 9)
    net = kink_networks(rng, activation, x, exact=False)
    certificate = certify_score_matching(x, net, np.zeros(9), 3.0, activation=activation, skip=True)
    expected = slow_loss(net, x, 3.0)
    assert abs(certificate.primal - expected) <= 1e-12 * (1 + abs(expected))


@every_network
def test_a_scaled_z_is_rejected_by_the_gap(activation: Activation, skip: bool) -> None:
    x, fit = optimum(activation, skip)
    for factor in (1.001, 0.999):
        certificate = certify(x, fit, skip=skip, z=factor * fit.z)
        assert_rejected(certificate)
        assert certificate.relative_gap >= 1e-4


@every_network
def test_a_shifted_z_is_rejected_as_infeasible(activation: Activation, skip: bool) -> None:
    x, fit = optimum(activation, skip)
    for shift in (1e-6, -1e-6):
        certificate = certify(x, fit, skip=skip, z=fit.z + shift)
        assert_rejected(certificate)
        assert certificate.infeasibility >= 1e-7


@every_network
@pytest.mark.parametrize("entry", range(9))
def test_one_moved_entry_is_rejected_as_infeasible(activation: Activation, skip: bool, entry: int) -> None:
    x, fit = optimum(activation, skip)
    moved = fit.z.copy()
    moved[entry] += 1e-6
    certificate = certify(x, fit, skip=skip, z=moved)
    assert_rejected(certificate)
    assert certificate.infeasibility >= 1e-8


@every_network
def test_a_wrong_sign_of_an_outgoing_weight_is_rejected(activation: Activation, skip: bool) -> None:
    x, fit = optimum(activation, skip)
    net = fit.kink_network
    for j in range(len(net.weights)):
        weights = net.weights.copy()
        weights[j] *= -1
        certificate = certify(x, fit, skip=skip, network=replace(net, weights=weights))
        assert_rejected(certificate)
        assert certificate.gap > 0


@every_network
def test_an_extra_neuron_of_weight_1e_6_is_rejected(activation: Activation, skip: bool) -> None:
    """Away from the kinks of the optimum the loss rises in proportion to a new weight."""
    x, fit = optimum(activation, skip)
    net = fit.kink_network
    idle = [t for t in x if t not in net.kinks]
    assert idle
    extra = KinkNetwork(
        np.append(net.kinks, idle[0]),
        np.append(net.facing, 1.0),
        np.append(net.weights, 1e-6),
        np.append(net.beyond, False),
        net.origin,
        net.constant,
        net.slope,
        activation,
    )
    certificate = certify(x, fit, skip=skip, network=extra)
    assert_rejected(certificate)
    assert 0 < certificate.gap <= 1e-3


@every_network
def test_a_kink_weight_that_is_off_costs_its_square(activation: Activation, skip: bool) -> None:
    """At the optimum the loss is flat in the weight of a kink: an error of 1e-6 is harmless, 1e-2 is not."""
    x, fit = optimum(activation, skip)
    net = fit.kink_network
    for j in range(len(net.weights)):
        gaps = []
        for relative in (1e-2, 1e-3, 1e-6):
            weights = net.weights.copy()
            weights[j] *= 1 + relative
            certificate = certify(x, fit, skip=skip, network=replace(net, weights=weights))
            assert certificate.holds is (relative == 1e-6)
            gaps.append(certificate.gap)
        assert abs(gaps[0] / gaps[1] - 100) <= 1  # exactly quadratic, to the rounding of gaps[1]


@every_network
def test_a_wrong_constant_or_slope_is_rejected(activation: Activation, skip: bool) -> None:
    x, fit = optimum(activation, skip)
    net = fit.kink_network
    assert_rejected(certify(x, fit, skip=skip, network=replace(net, constant=net.constant + 1e-3)))
    if skip:
        assert_rejected(certify(x, fit, skip=skip, network=replace(net, slope=net.slope + 1e-3)))


def test_a_kink_read_on_the_wrong_side_is_rejected() -> None:
    """A ReLU that raises the slope must act late; read as acting at its place it costs its full weight."""
    x, fit = optimum("relu", False)
    net = fit.kink_network
    assert net.beyond.any()
    assert not net.beyond.all()
    for j in range(len(net.beyond)):
        flipped = net.beyond.copy()
        flipped[j] = not flipped[j]
        certificate = certify(x, fit, skip=False, network=replace(net, beyond=flipped))
        assert_rejected(certificate)
        assert certificate.gap >= 1e-3


@every_network
def test_the_optimum_of_another_beta_is_rejected(activation: Activation, skip: bool) -> None:
    x, fit = optimum(activation, skip)
    for beta in (fit.beta * (1 - 1e-4), fit.beta * (1 + 1e-4)):
        certificate = certify_score_matching(
            x, fit.kink_network, fit.z, beta, activation=activation, skip=skip
        )
        assert_rejected(certificate)


@pytest.mark.parametrize("field", ["primal", "dual", "infeasibility", "scale"])
def test_nan_never_holds(field: str) -> None:
    good = Certificate(primal=-1.0, dual=-1.0 - 1e-12, infeasibility=0.0, scale=1.0)
    assert good.holds is True
    assert_rejected(replace(good, **{field: float("nan")}))


@pytest.mark.parametrize("field", ["kinks", "weights", "constant", "origin", "slope"])
def test_a_network_with_nan_is_rejected(field: str) -> None:
    x, fit = optimum("relu", True)
    value = getattr(fit.kink_network, field)
    broken: Any = np.where(np.arange(len(value)) == 0, np.nan, value) if np.ndim(value) else float("nan")
    assert_rejected(certify(x, fit, skip=True, network=replace(fit.kink_network, **{field: broken})))


@every_network
def test_the_order_of_tied_points_does_not_matter(activation: Activation, skip: bool) -> None:
    x, fit = optimum(activation, skip)
    order = np.argsort(x)
    for z in (fit.z, 1.01 * fit.z, fit.z + 0.01):
        plain = certify(x, fit, skip=skip, z=z)
        other = certify(x[order], fit, skip=skip, z=z[order])
        assert abs(other.primal - plain.primal) <= ROUNDING * plain.scale
        assert abs(other.infeasibility - plain.infeasibility) <= ROUNDING
        assert other.holds is plain.holds is (z is fit.z)
    wrong = 1.01 * fit.beta
    other = certify_score_matching(x, fit.kink_network, fit.z, wrong, activation=activation, skip=skip)
    assert other.holds is False


@every_network
@pytest.mark.parametrize("entry", [0, 4, 8])
def test_a_certificate_without_checks_rejects_what_is_no_number(
    activation: Activation, skip: bool, entry: int
) -> None:
    x, fit = optimum(activation, skip)
    for bad in (np.nan, np.inf, -np.inf):
        z = fit.z[np.argsort(x)]
        z[entry] = bad
        line = _Line(np.sort(x))
        certificate = _score_matching_certificate(line, fit.kink_network, z, fit.beta, skip=skip)
        assert_rejected(certificate)
        assert np.isnan(certificate.infeasibility)


def test_a_certificate_says_what_is_wrong() -> None:
    _, fit = optimum("relu", False)
    with pytest.raises(ValueError, match="x must hold at least one point"):
        certify_score_matching([], fit.kink_network, [], 2.0)
    with pytest.raises(ValueError, match="activation must be 'relu' or 'abs'"):
        certify_score_matching([1.0, 2.0], fit.kink_network, [0.0, 0.0], 2.0, activation="tanh")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="z must have one entry per data point"):
        certify_score_matching([1.0, 2.0], fit.kink_network, [1.0], 2.0)
    with pytest.raises(ValueError, match="beta must be"):
        certify_score_matching([1.0, 2.0], fit.kink_network, [1.0, 2.0], -1.0)
    with pytest.raises(ValueError, match="network must have activation 'relu'"):
        certify_score_matching([1.0, 2.0], optimum("abs", False)[1].kink_network, [1.0, 2.0], 2.0)


def test_a_negative_gap_is_as_bad_as_a_positive_one() -> None:
    assert_rejected(Certificate(primal=-1.1, dual=-1.0, infeasibility=0.0, scale=1.0))
    assert_rejected(Certificate(primal=0.0, dual=-1e-300, infeasibility=0.0, scale=0.0))
    assert Certificate(primal=0.0, dual=0.0, infeasibility=0.0, scale=0.0).holds is True


def test_tolerances_are_the_stated_ones() -> None:
    good = Certificate(primal=-1.0, dual=-1.0, infeasibility=0.0, scale=1.0)
    assert replace(good, infeasibility=0.99e-9).holds is True
    assert_rejected(replace(good, infeasibility=1.01e-9))
    assert replace(good, primal=-1.0 + 0.99e-8).holds is True
    assert_rejected(replace(good, primal=-1.0 + 1.01e-8))


def only_violates(
    family: str, x: FloatArray, beta: float, activation: Activation, skip: bool
) -> tuple[FloatArray, float]:
    """A z that breaks one family of constraints by as much as possible and satisfies all the others."""
    rows = two_sided_rows(x, activation)
    inequalities = [
        (s * row, beta + s * c) for name in rows if name != family for row, c in rows[name] for s in (1, -1)
    ]
    equalities = [(np.ones(len(x)), 0.0)] if family != "balance" else []
    equalities += [(x - x.mean(), float(len(x)))] if skip and family != "moment" else []
    if family == "balance":
        goals = [np.ones(len(x)) * float(np.ptp(x))]
    elif family == "moment":
        goals = [x - x.mean(), x.mean() - x]
    else:
        goals = [s * row for row, _ in rows[family] for s in (1, -1)]
    best, worst = np.zeros(len(x)), 0.0
    for goal in goals:
        answer = scipy.optimize.linprog(
            -goal,
            A_ub=[a for a, _ in inequalities],
            b_ub=[b for _, b in inequalities],
            A_eq=[a for a, _ in equalities] or None,
            b_eq=[b for _, b in equalities] or None,
            bounds=(-50, 50),
        )
        if answer.status == 0 and slow_violation(x, answer.x, beta, activation, skip) > worst:
            best, worst = answer.x, slow_violation(x, answer.x, beta, activation, skip)
    return best, worst


@pytest.mark.parametrize(
    ("activation", "skip", "family"),
    [
        ("relu", False, "right"),
        ("relu", False, "left"),
        ("relu", False, "balance"),
        ("relu", True, "balance"),
        ("relu", True, "moment"),
        ("abs", False, "balance"),
        ("abs", True, "balance"),
        ("abs", True, "moment"),
    ],
)
def test_no_family_of_constraints_can_be_dropped(activation: Activation, skip: bool, family: str) -> None:
    """For each family there is a z that breaks only it: a checker without that family would accept it."""
    x, beta = np.array([-1.0, -0.3, 0.2, 1.5, 2.0]), 2.5
    z, worst = only_violates(family, x, beta, activation, skip)
    assert worst >= 0.05
    assert abs(dual_violation(x, z, beta, activation=activation, skip=skip) - worst) <= ROUNDING * 100
    rows = two_sided_rows(x, activation)
    kept = [abs(float(row @ z) - c) - beta for name in rows if name != family for row, c in rows[name]]
    assert max(kept) <= 1e-9  # linprog's feasibility


@every_activation
@pytest.mark.parametrize("at_zero", [True, False])
@pytest.mark.parametrize("facing", ["right", "left"])
def test_both_readings_of_the_indicator_are_needed(
    activation: Activation, facing: str, at_zero: bool
) -> None:
    """Of two rows that differ only in the derivative at the kink, either can be the one that is broken.

    For the absolute value a neuron that faces left is one that faces right with the other reading.
    """
    x, beta = np.array([0.0, 1.0, 1.0, 1.0, 3.0, 3.5, 7.0]), 3.0
    sides = two_sided_rows(x, activation)
    rows = sides[facing]
    broken = [row for i, row in enumerate(rows) if (i % 2 == 0) == at_zero]
    others = [row for i, row in enumerate(rows) if (i % 2 == 0) != at_zero]
    if activation == "relu":
        others += sides["left" if facing == "right" else "right"]
    found = 0.0
    for goal, centre in broken:
        for sign in (1, -1):
            answer = scipy.optimize.linprog(
                -sign * goal,
                A_ub=[s * a for a, _ in others for s in (1, -1)],
                b_ub=[beta + s * c for _, c in others for s in (1, -1)],
                A_eq=[np.ones(len(x))],
                b_eq=[0.0],
                bounds=(-50, 50),
            )
            assert answer.status == 0
            if sign * (goal @ answer.x - centre) - beta > found:
                found = float(sign * (goal @ answer.x - centre) - beta)
                assert dual_violation(x, answer.x, beta, activation=activation) >= found - 1e-9
    assert found >= 0.5


@every_network
@checked
@given(x=data_sets(), data=st.data())
def test_fast_violation_is_the_definition(
    activation: Activation, skip: bool, x: FloatArray, data: st.DataObject
) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    z = (
        rng.normal(size=len(x))
        * data.draw(st.sampled_from([0.0, 0.01, 1.0, 1000.0]))
        / max(float(np.ptp(x)), 1e-3)
    )
    if data.draw(st.booleans()):
        z -= z.mean()
    beta = data.draw(st.floats(0.5, 50))
    fast = dual_violation(x, z, beta, activation=activation, skip=skip)
    slow = slow_violation(x, z, beta, activation, skip)
    assert abs(fast - slow) <= ROUNDING * (len(x) + slow)


@every_network
def test_order_and_units_do_not_matter(activation: Activation, skip: bool) -> None:
    x, fit = optimum(activation, skip)
    base = certify(x, fit, skip=skip)
    rng = np.random.default_rng(4)
    bad = fit.z + 0.1 * rng.normal(size=len(x))
    violation = dual_violation(x, bad, fit.beta, activation=activation, skip=skip)
    for _ in range(5):
        order = rng.permutation(len(x))
        other = certify(x[order], fit, skip=skip, z=fit.z[order])
        assert other.holds is True
        assert abs(other.primal - base.primal) <= ROUNDING * base.scale
        assert abs(other.dual - base.dual) <= ROUNDING * base.scale
        again = dual_violation(x[order], bad[order], fit.beta, activation=activation, skip=skip)
        assert abs(again - violation) <= ROUNDING * len(x)
    for c in (1e-8, 3.0, 1e8):
        scaled = dual_violation(c * x, bad / c, fit.beta, activation=activation, skip=skip)
        assert abs(scaled - violation) <= ROUNDING * len(x)


@every_network
@checked
@given(x=data_sets(distinct=2), seed=st.integers(0, 2**16))
def test_no_network_is_below_the_dual_value(
    activation: Activation, skip: bool, x: FloatArray, seed: int
) -> None:
    """Weak duality, for networks that no solver has made."""
    rng = np.random.default_rng(seed)
    fit = score_matching(
        x, threshold(x, activation, skip) + rng.uniform(0, 3), activation=activation, skip=skip
    )
    for _ in range(10):
        net = kink_networks(rng, activation, x, exact=False)
        net = replace(net, slope=net.slope if skip else 0.0)
        loss = slow_loss(net, x, fit.beta)
        # The violation that a certificate forgives, 1e-9 n, counts against the weights of the network.
        assert loss >= fit.certificate.dual - 1e-9 * len(x) * (1 + net.total_weight)
