"""Closed forms for large weight decay: against the solver, the certificate and the dual constraints."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from claims_witness import Evidence, Witness
from hypothesis import given
from hypothesis import strategies as st
from routes import CERTIFICATE
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

from convexdiff_lib import UnivariateScore, score_matching, score_matching_loss
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.certificates import Certificate
from convexdiff_lib.line.closed_forms import (
    LargeWeightDecay,
    large_weight_decay,
    large_weight_decay_threshold,
)
from convexdiff_lib.line.kink_network import KinkNetwork
from convexdiff_lib.line.network_certificates import certify_score_matching
from convexdiff_lib.line.piecewise_linear import PiecewiseLinearScore
from convexdiff_lib.paper.univariate_programs import score_matching_program


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


@pytest.mark.compiled
@every_network
def test_a_hundred_thousand_points(activation: Activation, skip: bool) -> None:
    x = np.random.default_rng(0).normal(size=100_000)
    start = time.process_time()
    fit = large_weight_decay(x, 99_000.0, activation=activation, skip=skip)
    # A dense matrix of this size would take 80 GB; sorting takes a fraction of a second.
    assert time.process_time() - start <= 10.0
    assert fit.certificate.holds


# Evidence for the claims of the chapter.

ROUNDING = "rounding of sums over the data"
SOLVED = "a gap of 1e-8, the certificate's own tolerance, fixes the scores at the data to its square root"


def distinct_sample(seed: int, least: int = 2) -> FloatArray:
    """Sorted distinct points: normal, uniform, skewed, two clusters or heavy tails, at most 30."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(least, 31))
    if seed % 5 == 4:
        return np.sort(rng.uniform(size=n))
    return np.sort(ugly(["normal", "skewed", "clusters", "cauchy"][seed % 5], n, rng))


def decays(x: FloatArray, activation: Activation = "relu") -> list[float]:
    """Weight decays from the threshold to n."""
    low = large_weight_decay_threshold(x, activation=activation)
    return [low + share * (len(x) - low) for share in (0.0, 0.3, 0.9, 1.0)]


def slope_inside(x: FloatArray, beta: float) -> float:
    """The number called rho in the chapter."""
    return (len(x) - beta) / (len(x) * x.var())


def scale(x: FloatArray) -> float:
    """The size of a score: one over the standard deviation."""
    return float(1 / x.std())


def solver_error(
    x: FloatArray, expected: FloatArray, beta: float, activation: Activation, skip: bool
) -> float:
    """How far the solver's score at the data is from the expected one, in natural units."""
    found = score_matching(x, beta, activation=activation, skip=skip)(x)
    return float(np.linalg.norm(found - expected) / (scale(x) * np.sqrt(len(x))))


def printed_pieces(at: FloatArray, x: FloatArray, beta: float, t: float) -> FloatArray:
    """Display (5) of the paper, letter by letter."""
    n, mu, v, x1, xn = len(x), x.mean(), x.var(), x.min(), x.max()
    left = (
        -((n - beta) / (2 * n * v) + t) * at + ((beta - n) / (2 * n * v) + t) * x1 + (n - beta) / (n * v) * mu
    )
    inside = (beta - n) / (n * v) * (at - mu)
    right = (
        ((beta - n) / (2 * n * v) + t) * at - ((n - beta) / (2 * n * v) + t) * xn + (n - beta) / (n * v) * mu
    )
    return np.where(at < x1, left, np.where(at > xn, right, inside))


def abs_pieces(at: FloatArray, x: FloatArray, beta: float, t: float) -> FloatArray:
    """The same for the absolute value: slopes -2t and 2t outside."""
    rho, mu = slope_inside(x, beta), x.mean()
    clipped = np.clip(at, x.min(), x.max())
    return -rho * (clipped - mu) + 2 * t * np.abs(at - clipped)


def around(x: FloatArray) -> FloatArray:
    """A grid that covers the data three times over."""
    return np.linspace(x.min() - np.ptp(x), x.max() + np.ptp(x), 301)


def test_zero_score(evidence: Evidence):
    zero = evidence("eq-zero-score", "zero-network-is-certified-from-n-on", 1e-12).because(
        "nothing is computed"
    )
    solved = evidence("eq-zero-score", "solver-returns-zero", 1e-4).because(SOLVED)
    below = evidence("eq-zero-score", "zero-is-rejected-below-n", at_least=1e-6, form="ours").because(
        "a thousand times the certificate's tolerance"
    )
    none = np.zeros(0)
    for seed in range(20):
        x = distinct_sample(seed)
        for activation in ("relu", "abs"):
            nothing = KinkNetwork(none, none, none, none.astype(bool), activation=activation)

            def verdict(beta: float, net: KinkNetwork = nothing, at: FloatArray = x) -> Certificate:
                return certify_score_matching(at, net, 0 * at, beta, activation=net.activation)

            for beta in (len(x), len(x) + 0.5, 3.0 * len(x)):
                found = verdict(beta)
                zero.holds(max(found.relative_gap, found.infeasibility))
                solved.holds(solver_error(x, 0 * x, beta, activation, False))
            below.fails(verdict(len(x) - 1e-3).infeasibility)


def try_closed_form(
    activation: Activation,
    pieces_of: Callable[[FloatArray, FloatArray, float, float], FloatArray],
    value: Witness,
    inside: Witness,
    pieces: Witness,
    optimal: Witness,
) -> None:
    value.because(CERTIFICATE)
    inside.because(SOLVED)
    pieces.because(ROUNDING)
    optimal.because(CERTIFICATE)
    for seed in range(25):
        x = distinct_sample(seed)
        for beta in decays(x, activation):
            rho, n = slope_inside(x, beta), len(x)
            solved = score_matching(x, beta, activation=activation)
            value.holds(abs(solved.value + (n - beta) ** 2 / (2 * n * x.var())) / solved.certificate.scale)
            inside.holds(solver_error(x, -rho * (x - x.mean()), beta, activation, False))
            for share in (-1.0, -0.4, 0.0, 0.7, 1.0):
                t = share * rho / 2
                network = large_weight_decay(x, beta, activation=activation, t=t).kink_network
                error = network(around(x)) - pieces_of(around(x), x, beta, t)
                pieces.holds(np.max(np.abs(error)) / scale(x))
                optimal.holds(judge(x, beta, activation, False, t).relative_gap)


def test_relu_closed_form(evidence: Evidence):
    try_closed_form(
        "relu",
        printed_pieces,
        value=evidence("eq-large-decay-relu", "value-equals-the-solver's", 1e-8),
        inside=evidence("eq-large-decay-relu", "scores-at-the-data-equal-the-solver's", 1e-4),
        pieces=evidence("eq-large-decay-relu", "printed-pieces-are-the-network", 1e-9),
        optimal=evidence("eq-large-decay-relu", "certificate-accepts-every-t", 1e-8),
    )
    outside = evidence(
        "eq-large-decay-relu", "certificate-rejects-t-beyond-its-limit", at_least=1e-6, form="ours"
    ).because("a hundred times the certificate's tolerance; t is one per cent beyond")
    for seed in range(25):
        x = distinct_sample(seed)
        beta = decays(x)[0]
        if len(x) - beta >= 0.2 * len(x):  # where zero is not the optimum by a wide margin
            for share in (-1.01, 1.01):
                outside.fails(judge(x, beta, "relu", False, share * slope_inside(x, beta) / 2).relative_gap)


def test_abs_closed_form(evidence: Evidence):
    try_closed_form(
        "abs",
        abs_pieces,
        value=evidence("eq-large-decay-abs", "value-equals-the-solver's", 1e-8),
        inside=evidence("eq-large-decay-abs", "scores-at-the-data-equal-the-solver's", 1e-4),
        pieces=evidence("eq-large-decay-abs", "stated-slopes-are-the-network's", 1e-9),
        optimal=evidence("eq-large-decay-abs", "certificate-accepts-every-t", 1e-8),
    )


def printed_y(x: FloatArray, beta: float, t: float, activation: Activation) -> FloatArray:
    """The paper's solution: all zero but the first entry and the 3n-th of 4n, or the last of 2n."""
    n, half = len(x), slope_inside(x, beta) / 2
    y = np.zeros(4 * n if activation == "relu" else 2 * n)
    y[0], y[3 * n - 1 if activation == "relu" else 2 * n - 1] = t - half, t + half
    return y


def gradient(x: FloatArray, beta: float, t: float, activation: Activation) -> FloatArray:
    """The vector A^T A y + b of the optimality conditions (24) and (25), from the program as printed."""
    program = score_matching_program(x, beta, activation=activation)
    return program.A.T @ (program.A @ printed_y(x, beta, t, activation)) + program.b


def test_optimality_conditions_entry_by_entry(evidence: Evidence):
    relu = evidence("eq-large-decay-relu", "condition-24-entry-by-entry", 1e-9).because(ROUNDING)
    absolute = evidence("eq-large-decay-abs", "condition-25-entry-by-entry", 1e-9).because(ROUNDING)
    for seed in range(15):
        x = distinct_sample(seed)
        for activation, seen in (("relu", relu), ("abs", absolute)):
            last = 3 * len(x) - 1 if activation == "relu" else -1
            for beta in decays(x, activation):
                for share in (-1.0, 0.0, 0.6):
                    entries = gradient(x, beta, share * slope_inside(x, beta) / 2, activation)
                    worst = [
                        abs(entries[0] - beta),
                        abs(entries[last] + beta),
                        np.max(np.abs(entries)) - beta,
                    ]
                    seen.holds(max(0.0, *worst) / len(x))


def test_no_other_solutions(evidence: Evidence):
    relu = evidence(
        "eq-large-decay-relu", "a-third-hinge-is-not-optimal", at_least=1e-3, form="ours"
    ).because("what a unit of weight on it adds to the loss, over beta, well above the threshold")
    absolute = evidence(
        "eq-large-decay-abs", "a-third-hinge-is-not-optimal", at_least=1e-3, form="ours"
    ).because("what a unit of weight on it adds to the loss, over beta, well above the threshold")
    for seed in range(15):
        x = distinct_sample(seed)
        for activation, seen in (("relu", relu), ("abs", absolute)):
            for beta in decays(x, activation)[1:]:
                seen.fails(1 - others(x, beta, activation) / beta)


def test_kinks_outside(evidence: Evidence):
    seen = evidence("ours-kinks-outside", "certificate-accepts-kinks-beyond-the-data", 1e-8).because(
        CERTIFICATE
    )
    for seed in range(15):
        x = distinct_sample(seed)
        for activation in ("relu", "abs"):
            beta = decays(x, activation)[1]
            net = candidate(x, beta, activation, False)
            for left, right in ((1.0, 0.0), (0.3, 2.0), (50.0, 10.0)):
                kinks = net.kinks + np.ptp(x) * np.array([-left, right])
                moved = replace(net, kinks=kinks, constant=0.0)
                moved = replace(moved, constant=-float(moved(x).mean()))
                verdict = certify_score_matching(x, moved, -moved(x), beta, activation=activation)
                assert verdict.infeasibility <= 1e-9  # the certificate's own tolerance
                seen.holds(verdict.relative_gap)


def others(x: FloatArray, beta: float, activation: Activation) -> float:
    """Largest |a_j^T A y + b_j| over all columns but the two in use: the paper's threshold, given beta."""
    entries = np.abs(gradient(x, beta, 0.0, activation))
    last = 3 * len(x) - 1 if activation == "relu" else 2 * len(x) - 1
    return float(np.max(np.delete(entries, [0, last])))


def where_the_maximum_is_beta(x: FloatArray, activation: Activation) -> float:
    low, high = 1e-3, float(len(x))
    while high - low > 1e-10 * len(x):
        middle = (low + high) / 2
        low, high = (low, middle) if others(x, middle, activation) <= middle else (middle, high)
    return high


CERTIFIED = (
    "the certificate forgives a violation of 1e-9 n, which moves its threshold by 1e-9 n/(1-c) at most"
)


def test_beta_one_is_a_fixed_point(evidence: Evidence):
    seen = evidence("fn-beta-one", "valid-exactly-where-the-maximum-is-at-most-beta", 1e-5).because(CERTIFIED)
    circular = evidence("fn-beta-one", "the-maximum-depends-on-beta", at_least=0.1, form="ours").because(
        "its value at n is n - 1, far from its fixed point, when that is at most n - 1.1"
    )
    for seed in range(20):
        x = distinct_sample(seed, least=3)
        root = where_the_maximum_is_beta(x, "relu")
        seen.holds(abs(root - threshold_by_bisection(x, "relu", False)) / len(x))
        if root <= len(x) - 1.1:
            circular.fails(others(x, float(len(x)), "relu") - root)


def test_explicit_threshold(evidence: Evidence):
    relu, absolute = (
        evidence("ours-beta-one-explicit", "equals-the-certificate's-turning-point-relu", 1e-5).because(
            CERTIFIED
        ),
        evidence("ours-beta-one-explicit", "equals-the-certificate's-turning-point-abs", 1e-5).because(
            CERTIFIED
        ),
    )
    columns = evidence("ours-beta-one-explicit", "equals-the-maximum-over-the-printed-columns", 1e-7).because(
        "rounding, magnified where a point is close to the end of the data"
    )
    rejected = evidence(
        "ours-beta-one-explicit", "certificate-rejects-just-below", at_least=1e-7, form="ours"
    ).because("a hundred times the certificate's tolerance, a thousandth below the threshold")
    for seed in range(20):
        x = distinct_sample(seed)
        tied = np.random.default_rng(seed).permutation(np.repeat(x, 1 + np.arange(len(x)) % 3))
        for data in (x, tied):
            explicit = large_weight_decay_threshold(data)
            relu.holds(abs(explicit - threshold_by_bisection(data, "relu", False)) / len(data))
            absolute.holds(abs(explicit - threshold_by_bisection(data, "abs", False)) / len(data))
            rejected.fails(judge(data, explicit * (1 - 1e-3), "relu", False).infeasibility)
        program = score_matching_program(x, 1.0)
        c, bounds = program.A.T @ program.A[:, 0] / (len(x) * x.var()), []
        for j in np.delete(np.arange(4 * len(x)), [0, 3 * len(x) - 1]):
            # Copies of the two columns in use have |c| = 1: one of their bounds is empty.
            rise, fall = program.b[j] - len(x) * c[j], 1 - c[j]
            bounds += [rise / fall] if fall > 1e-9 else []
            bounds += [-rise / (1 + c[j])] if 1 + c[j] > 1e-9 else []
        columns.holds(abs(max(bounds) - large_weight_decay_threshold(x)) / len(x))


def test_beta_two(evidence: Evidence):
    seen = evidence("fn-beta-two", "maximum-over-the-other-columns-gives-the-turning-point", 1e-5).because(
        CERTIFIED
    )
    index_set = evidence("fn-beta-two", "printed-index-set-is-never-below-beta", at_least=0.4).because(
        "the printed maximum is at least beta, here half-way between the true threshold and n"
    )
    entry = evidence("fn-beta-two", "printed-last-entry-is-not-stationary", at_least=1.0).because(
        "column n has b = -(n-2) where -n is needed: the equation is off by 2"
    )
    for seed in range(20):
        x = distinct_sample(seed)
        right = where_the_maximum_is_beta(x, "abs")
        seen.holds(abs(right - threshold_by_bisection(x, "abs", False)) / len(x))
        beta = (right + len(x)) / 2
        entries = gradient(x, beta, 0.0, "abs")
        printed = max(abs(entries[0]), abs(entries[len(x) - 1]))
        index_set.fails(printed - right)
        entry.fails(abs(entries[len(x) - 1] + beta))


def test_gaussian_in_shape_not_in_scale(evidence: Evidence):
    right = evidence("rem-gaussian-shape", "shrunken-gaussian-score-at-the-data", 1e-4).because(SOLVED)
    printed = evidence("rem-gaussian-shape", "the-gaussian's-own-score-misses", at_least=0.1).because(
        "root mean square, in units of the Gaussian's score: the share beta/n that is lost"
    )
    for seed in range(25):
        x = distinct_sample(seed)
        gaussian = -(x - x.mean()) / x.var()
        for activation in ("relu", "abs"):
            for beta in decays(x, activation):
                factor = (len(x) - beta) / len(x)
                right.holds(solver_error(x, factor * gaussian, beta, activation, False))
                printed.fails(solver_error(x, gaussian, beta, activation, False))


def test_shrinkage_of_the_log_density(evidence: Evidence):
    seen = evidence("ours-shrinkage", "log-density-is-the-gaussian's-times-the-factor", 1e-4).because(SOLVED)
    paper = evidence("ours-shrinkage", "factor-500-at-the-paper's-setting", 1e-6).because(
        "relative error of the slope that the solver finds"
    )
    wide = evidence(
        "ours-shrinkage",
        "the-sample's-own-deviation-misses-at-the-paper's-setting",
        at_least=25.0,
        form="ours",
        what="width of the samples / width of the data",
    ).because("its standard deviation over the sample's: the tails have slopes 1/(2nv), of deviation near 32")
    for seed in range(15):
        x = distinct_sample(seed, least=5)
        for activation in ("relu", "abs"):
            for beta in decays(x, activation)[:3]:
                inside = np.linspace(x.min(), x.max(), 101)
                found = score_matching(x, beta, activation=activation).score.integral(inside)
                wanted = -(len(x) - beta) / len(x) * (inside - x.mean()) ** 2 / (2 * x.var())
                # In units of the log-density's own range over the data for beta = 0.
                seen.holds(np.ptp(found - wanted) / (np.ptp(x) ** 2 / x.var()))
    for seed in range(5):
        x = np.random.default_rng(seed).normal(size=500)
        solved = score_matching(x, 499.0)
        slope = np.ptp(solved([x.min(), x.max()])) / np.ptp(x)
        paper.holds(abs(500 * slope * x.var() - 1))
        wide.fails(deviation(large_weight_decay(x, 499.0)) / x.std())


def deviation(fit: LargeWeightDecay | PiecewiseLinearScore | UnivariateScore) -> float:
    """Standard deviation of the law of a score, by the trapezoidal rule."""
    grid = np.linspace(-500.0, 500.0, 400_001)
    mass = np.exp(fit.log_density(grid))
    mass /= mass.sum()
    return float(np.sqrt(mass @ grid**2 - (mass @ grid) ** 2))


def test_repairs_of_the_shrinkage(evidence: Evidence):
    rescaled = evidence("ours-shrinkage-repair", "rescaled-score-is-the-gaussian's-inside", 1e-6).because(
        "rounding and the solver's error, magnified by n/(n-beta) = 500"
    )
    spread = evidence(
        "ours-shrinkage-repair",
        "rescaled-law-has-the-sample's-deviation",
        0.02,
        what="relative error of the deviation",
    ).because("the tails of the law are wider than the Gaussian's, by less than two per cent in deviation")
    skip = evidence(
        "ours-shrinkage-repair", "law-with-skip-connection-has-the-sample's-deviation", 1e-6
    ).because("quadrature")
    smaller = evidence(
        "ours-shrinkage-repair",
        "law-for-beta-20-has-the-sample's-deviation",
        0.05,
        what="relative error of the deviation",
    ).because("the shrinkage 20/500 that is left, and noise in the data")
    for seed in range(5):
        x = np.random.default_rng(seed).normal(size=500)
        solved = score_matching(x, 499.0)
        rescaled.holds(np.max(np.abs(500 * solved(x) + (x - x.mean()) / x.var())) * x.std())
        score = large_weight_decay(x, 499.0).score
        larger = PiecewiseLinearScore(
            score.knots, 500 * score.values, 500 * score.left_slope, 500 * score.right_slope
        )
        spread.holds(abs(deviation(larger) / x.std() - 1))
        skip.holds(abs(deviation(score_matching(x, 499.0, skip=True)) / x.std() - 1))
        smaller.holds(abs(deviation(score_matching(x, 20.0)) / x.std() - 1))


def test_scale_of_the_score_at_any_weight_decay(evidence: Evidence):
    """The dual constraint of the hinge at the smallest point: |slope v + 1| <= beta / n."""
    seen = evidence("ours-shrinkage-repair", "least-squares-slope-within-beta-over-n", 1e-4).because(
        "how far |slope v + 1| exceeds beta/n; " + SOLVED
    )
    for seed in range(5):
        rng = np.random.default_rng(seed)
        for x in (rng.normal(size=60), rng.exponential(size=60), np.repeat(rng.uniform(-1, 9, 20), 2)):
            for beta in (3.0, 10.0, 30.0, 57.0):
                for activation in ("relu", "abs"):
                    score = score_matching(x, beta, activation=activation)(x)
                    slope_times_variance = (x - x.mean()) @ score / len(x)
                    seen.holds(max(0.0, abs(slope_times_variance + 1) - beta / len(x)))


def slopes_of(fit: LargeWeightDecay, x: FloatArray) -> FloatArray:
    """Slopes to the left of, inside and to the right of the data, from the network's values."""
    low, high, wide = x.min(), x.max(), np.ptp(x)
    values = fit.network()(np.array([low - wide, low, high, high + wide]))
    return np.diff(values) / wide


def test_log_concavity(evidence: Evidence):
    relu = evidence("rem-relu-log-concave", "slopes-lie-between-minus-rho-and-zero", 1e-9).because(ROUNDING)
    absolute = evidence("rem-abs-log-concave", "largest-slope-is-twice-the-size-of-t", 1e-9).because(ROUNDING)
    score = evidence(
        "err-score-not-concave", "the-score's-slope-grows-at-the-largest-point", at_least=0.001
    ).because("by rho/2 + t, in units of 1/v")
    integral = evidence("err-score-not-concave", "the-integral-is-concave", 1e-9).because(ROUNDING)
    sign = evidence("err-score-not-concave", "the-printed-slopes-have-the-other-sign", at_least=0.01).because(
        "the printed least slope is 0, the true one is -rho, in units of 1/v"
    )
    for seed in range(25):
        x = distinct_sample(seed)
        for beta in decays(x):
            rho = slope_inside(x, beta)
            for share in (-1.0, -0.4, 0.0, 0.7, 1.0):
                slopes = slopes_of(large_weight_decay(x, beta, t=share * rho / 2), x) * x.var()
                relu.holds(max(0.0, slopes.max(), -rho * x.var() - slopes.min()))
                integral.holds(max(0.0, slopes.max()))
                if beta == decays(x)[0] and share > -1 and len(x) - beta >= 0.02 * len(x):
                    score.fails(slopes[2] - slopes[1])
                    sign.fails(-slopes.min())
                one = large_weight_decay(x, beta, activation="abs", t=share * rho / 2)
                largest = slopes_of(one, x).max() * x.var()
                absolute.holds(abs(largest - 2 * abs(one.t) * x.var()))
                assert one.log_concave == (one.t == 0)


def test_abs_without_density(evidence: Evidence):
    seen = evidence(
        "ours-abs-not-normalisable", "log-density-grows-like-t-times-distance-squared", 1e-3
    ).because("the terms of lower order, ten thousand spreads away")
    for seed in range(20):
        x = distinct_sample(seed, least=3)
        beta = decays(x, "abs")[0]
        if len(x) - beta < 0.1 * len(x):
            continue
        limit = slope_inside(x, beta) / 2
        for share in (-1.0, -0.5, 0.5, 1.0):
            fit = large_weight_decay(x, beta, activation="abs", t=share * limit)
            far = 1e5 * np.ptp(x)
            where = x.max() + far if share > 0 else x.min() - far
            seen.holds(abs(fit.score.integral(where) / (abs(fit.t) * far**2) - 1))
            with pytest.raises(ValueError, match="cannot be normalised"):
                fit.log_density(x)


def test_least_norm(evidence: Evidence):
    seen = evidence("rem-min-norm-t", "squared-norm-is-that-at-zero-plus-two-t-squared", 1e-12).because(
        ROUNDING
    )
    price = evidence("rem-min-norm-t", "weight-decay-charges-every-t-alike", 1e-12).because(ROUNDING)
    for seed in range(20):
        x = distinct_sample(seed)
        for activation in ("relu", "abs"):
            beta = decays(x, activation)[1]
            half = slope_inside(x, beta) / 2
            least = large_weight_decay(x, beta, activation=activation).kink_network
            for share in (-1.0, -0.5, 0.25, 1.0):
                t = share * half
                y = large_weight_decay(x, beta, activation=activation, t=t).kink_network
                growth = np.sum(y.weights**2) - np.sum(least.weights**2)
                seen.holds(abs(growth - 2 * t**2) / half**2)
                price.holds(abs(y.total_weight - least.total_weight) / half)


def test_skip_closed_forms(evidence: Evidence):
    relu = evidence("eq-large-decay-relu-skip", "fitted-gaussian-equals-the-solver's-score", 1e-4).because(
        SOLVED
    )
    absolute = evidence("eq-large-decay-abs-skip", "fitted-gaussian-equals-the-solver's-score", 1e-4).because(
        SOLVED
    )
    relu_turn = evidence(
        "eq-large-decay-relu-skip", "certificate-turns-at-half-the-largest-entry-of-b", 1e-7
    ).because("the certificate forgives a violation of 1e-9 n")
    abs_turn = evidence(
        "eq-large-decay-abs-skip", "certificate-turns-at-the-largest-entry-of-b", 1e-7
    ).because("the certificate forgives a violation of 1e-9 n")
    for seed in range(20):
        x = distinct_sample(seed)
        gaussian = -(x - x.mean()) / x.var()
        for activation, score, turn, share in (
            ("relu", relu, relu_turn, 0.5),
            ("abs", absolute, abs_turn, 1.0),
        ):
            b = score_matching_program(x, 2.0, activation=activation, skip=True).b
            low = share * float(np.max(np.abs(b)))
            turn.holds(abs(low - threshold_by_bisection(x, activation, True)) / len(x))
            turn.holds(abs(low - large_weight_decay_threshold(x, activation=activation, skip=True)) / len(x))
            for beta in (low * (1 + 1e-12), 1.3 * low, 2.0 * len(x)):
                score.holds(solver_error(x, gaussian, beta, activation, True))


def twin(x: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Other points with the same ends, mean and variance: the inner ones are replaced by others."""
    inner = x[1:-1]
    while True:
        other = rng.normal(size=len(inner))
        other = (other - other.mean()) / other.std() * inner.std() + inner.mean()
        if x[0] < other.min() and other.max() < x[-1]:
            return np.sort(np.concatenate([x[[0, -1]], other]))


def test_mean_and_variance(evidence: Evidence):
    right = evidence(
        "rem-mean-and-variance", "same-mean-variance-and-ends-give-the-same-score", 1e-4
    ).because(SOLVED)
    printed = evidence("rem-mean-and-variance", "same-mean-and-variance-alone-do-not", at_least=0.1).because(
        "relative difference of the scores at 6.5, beyond the end of one of the samples"
    )
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = np.sort(rng.normal(size=20))
        same = twin(x, rng)
        beta = max(large_weight_decay_threshold(x), large_weight_decay_threshold(same), 12.0)
        grid = np.linspace(x[0], x[-1], 50)
        pair = score_matching(x, beta), score_matching(same, beta)
        right.holds(np.max(np.abs(pair[0](grid) - pair[1](grid))) / scale(x))
    # The smallest such pair of whole numbers: means 0, sums of squares 98.
    first, second = np.array([-7.0, 0.0, 7.0]), np.array([-8.0, 3.0, 5.0])
    for beta in (2.0, 2.5):
        pair = score_matching(first, beta), score_matching(second, beta)
        here, there = (float(fit([6.5])[0]) for fit in pair)
        printed.fails(abs(here - there) / abs(here))


def test_figure(evidence: Evidence):
    seen = evidence("fig-score-and-integral", "log-density-is-the-integral-of-the-network", 1e-6).because(
        "trapezoidal rule on pieces that are linear, so rounding"
    )
    for seed in range(10):
        x = distinct_sample(seed)
        for activation in ("relu", "abs"):
            beta = decays(x, activation)[1]
            for share in (-1.0, 0.0, 1.0):
                t = share * slope_inside(x, beta) / 2
                fit = large_weight_decay(x, beta, activation=activation, t=t)
                grid = np.union1d(around(x), x[[0, -1]])
                values = fit.network()(grid)
                steps = np.cumsum(np.diff(grid) * (values[1:] + values[:-1]) / 2)
                exact = fit.score.integral(grid)
                seen.holds(np.max(np.abs(exact - exact[0] - np.append(0.0, steps))) / np.ptp(exact))


def test_log_density_is_piecewise_quadratic(evidence: Evidence):
    third = evidence(
        "rem-log-density-quadratic", "third-differences-vanish-between-breakpoints", 1e-8
    ).because(ROUNDING)
    places = evidence("rem-log-density-quadratic", "breakpoints-are-data-points", 0.0).because(
        "the same numbers"
    )
    for seed in range(20):
        x = distinct_sample(seed)
        for activation, skip in NETWORKS:
            low = threshold(x, activation, skip)
            fit = score_matching(x, low + 0.1 * max(len(x) - low, 1.0), activation=activation, skip=skip)
            places.holds(np.sum(~np.isin(fit.knots, x)))
            ends = np.concatenate([[x[0] - np.ptp(x)], fit.knots, [x[-1] + np.ptp(x)]])
            for low_end, high_end in pairwise(ends):
                piece = fit.score.integral(np.linspace(low_end, high_end, 9))
                third.holds(np.max(np.abs(np.diff(piece, 3))) / max(1.0, np.ptp(piece)))
