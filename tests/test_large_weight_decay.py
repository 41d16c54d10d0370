"""Closed forms for large weight decay: against the solver, the certificate and the dual constraints."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    NETWORKS,
    checked,
    data_sets,
    every_activation,
    every_network,
    threshold,
    two_sided_rows,
    ugly,
)

from convexdiff_lib import score_matching, score_matching_loss
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.certificates import Certificate, certify_score_matching
from convexdiff_lib.large_weight_decay import (
    LargeWeightDecay,
    large_weight_decay,
    large_weight_decay_threshold,
)
from convexdiff_lib.networks import KinkNetwork


def candidate(x: FloatArray, beta: float, activation: Activation, skip: bool, t: float = 0.0) -> KinkNetwork:
    """The closed form written down from the formulas, at any beta, whether it is optimal or not."""
    mu, v, n = x.mean(), x.var(), len(x)
    if skip:
        none = np.zeros(0)
        return KinkNetwork(none, none, none, none.astype(bool), mu, 0.0, -1 / v, activation)
    rho = (n - beta) / (n * v)
    weights = np.array([t - rho / 2, t + rho / 2])
    constant = rho * (mu - x.min()) - weights[1] * np.ptp(x)
    ends, facing = np.array([x.min(), x.max()]), np.array([1.0, -1.0])
    return KinkNetwork(
        ends, facing, weights, np.zeros(2, dtype=bool), constant=constant, activation=activation
    )


def judge(x: FloatArray, beta: float, activation: Activation, skip: bool, t: float = 0.0) -> Certificate:
    """The certificate of the closed form at any beta."""
    network = candidate(x, beta, activation, skip, t)
    return certify_score_matching(x, network, -network(x), beta, activation=activation, skip=skip)


def threshold_by_bisection(x: FloatArray, activation: Activation, skip: bool) -> float:
    """The smallest beta at which the certificate accepts the closed form."""
    low, high = 1e-3, (2.0 if skip else 1.0) * len(x)  # with a skip connection the threshold can exceed n
    while high - low > 1e-9 * len(x):
        middle = (low + high) / 2
        low, high = (low, middle) if judge(x, middle, activation, skip).holds else (middle, high)
    return high


def threshold_row_by_row(x: FloatArray, activation: Activation, skip: bool) -> float:
    """The smallest beta that meets all dual constraints at the closed form's z, solved for beta row by row.

    Each says |(n - beta) c - count| <= beta with c in [-1, 1], or |n c - count| <= beta with a skip
    connection.
    """
    n, bounds = len(x), [0.0]
    for rows in two_sided_rows(x, "abs" if skip else activation).values():
        for value, count in rows:
            c = float(value @ (x - x.mean())) / float(np.sum((x - x.mean()) ** 2))
            if skip:
                bounds.append(abs(n * c - count))
                continue
            # At the extreme points the constraint is tight at every beta, up to rounding.
            if c < 1 - 1e-9:
                bounds.append((count - n * c) / (1 - c))
            if c > -1 + 1e-9:
                bounds.append((n * c - count) / (1 + c))
    return max(bounds) / (2 if skip and activation == "relu" else 1)


@st.composite
def problems(draw: st.DrawFn) -> tuple[FloatArray, float, Activation, bool]:
    activation, skip = draw(st.sampled_from(NETWORKS))
    x = draw(data_sets(distinct=2))
    low = large_weight_decay_threshold(x, activation=activation, skip=skip)
    share = draw(st.sampled_from([0.0, 1.0]) | st.floats(0, 1.2))
    return x, low + share * max(len(x) - low, 0.0), activation, skip


@given(problems())
@checked
def test_closed_form_equals_the_solver(problem: tuple[FloatArray, float, Activation, bool]) -> None:
    x, beta, activation, skip = problem
    closed = large_weight_decay(x, beta, activation=activation, skip=skip)
    solved = score_matching(x, beta, activation=activation, skip=skip)
    assert closed.certificate.holds
    # A gap of 1e-8 of the scale fixes the scores at the data to its square root.
    assert abs(closed.value - solved.value) <= 1e-8 * solved.certificate.scale
    assert np.max(np.abs(closed(x) - solved(x))) * np.std(x) <= 2e-4 * np.sqrt(len(x))
    # Rounding of the loss of one and the same network.
    assert abs(closed.value - closed.certificate.primal) <= 1e-10 * closed.certificate.scale


@given(data_sets(distinct=2))
@checked
def test_threshold_is_where_the_constraints_say(x: FloatArray) -> None:
    for activation, skip in NETWORKS:
        found = large_weight_decay_threshold(x, activation=activation, skip=skip)
        slow = threshold_row_by_row(x, activation, skip)
        # Rounding, magnified by 1/(1 - c) where a point is close to the end of the data.
        assert abs(found - slow) <= 1e-7 * len(x)
        assert found >= threshold(x, activation, skip) * (1 - 1e-12)


@every_network
@pytest.mark.parametrize("family", ["normal", "rounded", "heavy tie", "tied ends", "clusters"])
def test_certificate_turns_at_the_threshold(family: str, activation: Activation, skip: bool) -> None:
    x = ugly(family, 25, np.random.default_rng(3))
    found = large_weight_decay_threshold(x, activation=activation, skip=skip)
    # The certificate forgives 1e-9 n, the slope of a constraint in beta is at least 1 - c.
    assert abs(found - threshold_by_bisection(x, activation, skip)) <= 1e-5 * len(x)
    assert judge(x, found, activation, skip).holds
    below = judge(x, found * (1 - 1e-4), activation, skip)
    assert below.infeasibility >= 100 * below.feasibility_tolerance
    with pytest.raises(ValueError, match=r"^beta = .* is below .* the closed form of the"):
        large_weight_decay(x, found * (1 - 1e-6), activation=activation, skip=skip)


@every_activation
def test_all_admissible_t_are_optimal_and_no_others(activation: Activation) -> None:
    x = np.random.default_rng(1).normal(size=30)
    beta = 26.0
    limit = large_weight_decay(x, beta, activation=activation).t_limit
    assert abs(limit - (30 - beta) / (2 * 30 * x.var())) <= 1e-14  # rounding
    for share in (-1.0, -0.3, 0.0, 0.5, 1.0):
        fit = large_weight_decay(x, beta, activation=activation, t=share * limit)
        expected = candidate(x, beta, activation, False, share * limit)
        grid = np.linspace(-5.0, 5.0, 101)
        assert fit.certificate.holds
        for same in (fit.kink_network(grid), fit.network()(grid), expected(grid)):
            assert np.max(np.abs(fit(grid) - same)) <= 1e-13  # rounding
        assert abs(score_matching_loss(fit.network(), x, beta) - fit.value) <= 1e-12  # rounding
    for share in (-1.01, 1.01):
        beyond = judge(x, beta, activation, False, share * limit)
        assert beyond.relative_gap >= 100 * beyond.gap_tolerance
        with pytest.raises(ValueError, match=r"^t must lie between -\S+ and \S+ for these data; got "):
            large_weight_decay(x, beta, activation=activation, t=share * limit)


def test_t_at_the_limit_as_users_compute_it() -> None:
    for seed in range(50):
        x = np.random.default_rng(seed).normal(size=17)
        own = (17 - 16.0) / (2 * 17 * np.var(x))
        for sign in (-1, 1):
            fit = large_weight_decay(x, 16.0, t=sign * own)
            assert abs(fit.t) <= fit.t_limit
            assert fit.log_concave


def test_only_t_zero_where_the_optimum_is_unique() -> None:
    x = [0.0, 1.0, 3.0]
    for beta, skip in ((3.0, False), (5.0, False), (3.0, True)):
        assert large_weight_decay(x, beta, skip=skip).t_limit == 0
        with pytest.raises(ValueError, match=r"^t must lie between"):
            large_weight_decay(x, beta, skip=skip, t=1e-6)


def moved(fit: LargeWeightDecay, grid: FloatArray, shift: float, scale: float) -> FloatArray:
    """The score of data moved by x -> scale * x + shift, in the old coordinates."""
    return scale * fit(scale * grid + shift)


@every_network
@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1e8), (1e6, 1e-2), (-3.0, -1.0), (0.0, 1e-30)])
def test_units_and_direction(activation: Activation, skip: bool, shift: float, scale: float) -> None:
    x = np.random.default_rng(5).normal(size=40)
    there = scale * x + shift
    x = (there - shift) / scale  # what is left after rounding
    t = 0.0 if skip else 0.3 * large_weight_decay(x, 38.0).t_limit
    fit = large_weight_decay(x, 38.0, activation=activation, skip=skip, t=t)
    other = large_weight_decay(there, 38.0, activation=activation, skip=skip, t=np.sign(scale) * t / scale**2)
    grid = np.linspace(-4.0, 4.0, 33)
    # Rounding of 1e6 against distances of 1e-2, relative to scores of order one.
    assert np.max(np.abs(moved(other, grid, shift, scale) - fit(grid))) <= 1e-7
    assert abs(other.threshold - fit.threshold) <= 1e-7 * 40
    assert abs(scale**2 * other.value - fit.value) <= 1e-7 * fit.certificate.scale


@every_network
def test_order_does_not_matter_and_data_stay(activation: Activation, skip: bool) -> None:
    rng = np.random.default_rng(7)
    x = ugly("rounded", 30, rng)
    given = x.copy()
    fit, shuffled = (
        large_weight_decay(data, 29.0, activation=activation, skip=skip) for data in (x, rng.permutation(x))
    )
    assert np.array_equal(x, given)
    assert np.array_equal(fit(x), shuffled(x))
    assert fit.threshold == shuffled.threshold


def test_density_is_normalised_or_refused() -> None:
    x = np.random.default_rng(2).normal(size=20)
    for activation, skip in NETWORKS:
        limit = large_weight_decay(x, 18.0, activation=activation, skip=skip).t_limit
        for share in (-1.0, 0.0, 0.4):
            fit = large_weight_decay(x, 18.0, activation=activation, skip=skip, t=share * limit)
            if activation == "abs" and fit.t != 0:
                assert not fit.log_concave
                with pytest.raises(ValueError, match="cannot be normalised"):
                    fit.log_density([0.0])
                continue
            assert fit.log_concave
            # The slowest tail is exponential, at a rate near 0.1.
            grid = np.linspace(-500, 500, 2_000_001)
            mass = np.exp(fit.log_density(grid)).sum() * (grid[1] - grid[0])
            assert abs(mass - 1) <= 1e-6  # rectangle rule on a function with two corners in its derivative
    zero = large_weight_decay(x, 20.0)
    with pytest.raises(ValueError, match="cannot be normalised"):
        zero.sample(3, np.random.default_rng(0))


def test_samples_come_from_the_density() -> None:
    fit = large_weight_decay([-1.0, 0.0, 1.0], 2.5, skip=True)
    sample = fit.sample(200_000, np.random.default_rng(0))
    # The law is normal with the sample's mean 0 and variance 2/3; ten standard errors.
    assert abs(sample.mean()) <= 10 * np.sqrt(2 / 3 / 200_000)
    assert abs(sample.var() - 2 / 3) <= 10 * (2 / 3) * np.sqrt(2 / 200_000)


@every_network
def test_smallest_data(activation: Activation, skip: bool) -> None:
    two = large_weight_decay([4.0, 2.0], 2.0, activation=activation, skip=skip)
    assert (two.mean, two.variance, two.threshold) == (3.0, 1.0, 2.0 if skip and activation == "abs" else 1.0)
    assert two.upper == (np.inf if skip else 2.0)
    assert two([2.0, 4.0]).tolist() == ([1.0, -1.0] if skip else [0.0, 0.0])
    if skip:
        with pytest.raises(ValueError, match="at least two distinct points"):
            large_weight_decay([1.0, 1.0], 5.0, activation=activation, skip=skip)
        return
    for copies in (1, 3):
        one = large_weight_decay([5.0] * copies, float(copies), activation=activation)
        assert (one.threshold, one.value, one.variance) == (copies, 0.0, 0.0)
        assert one([0.0, 9.0]).tolist() == [0.0, 0.0]
        assert one.network().width == 0
        with pytest.raises(ValueError, match="is below"):
            large_weight_decay([5.0] * copies, copies - 0.5, activation=activation)


@pytest.mark.parametrize("x", [[0.0, 1e200], [0.0, 1e-200], [-1.7e308, 1.7e308], [0.0, 1e-80]])
@pytest.mark.filterwarnings("error")
def test_squares_out_of_range_are_refused(x: list[float]) -> None:
    with pytest.raises(ValueError, match="sum of squared deviations of x must lie between 1e-140 and 1e"):
        large_weight_decay(x, 1.5)


@every_network
def test_a_hundred_thousand_points(activation: Activation, skip: bool) -> None:
    x = np.random.default_rng(0).normal(size=100_000)
    start = time.process_time()
    fit = large_weight_decay(x, 99_000.0, activation=activation, skip=skip)
    # A dense matrix of this size would take 80 GB; sorting takes a fraction of a second.
    assert time.process_time() - start <= 10.0
    assert fit.certificate.holds
