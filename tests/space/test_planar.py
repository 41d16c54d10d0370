"""Networks in the plane to global optimality: against a dense dictionary, by hand, on ugly data."""

from __future__ import annotations

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import checked, constrained, every_activation
from zoo import point_sets

from convexdiff_lib import (
    NotCertifiedError,
    TwoLayerNetwork,
    denoising_loss,
    score_matching_loss,
)
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.certificates import Certificate
from convexdiff_lib.space import _columns
from convexdiff_lib.space.circles import largest_response
from convexdiff_lib.space.planar import (
    PlanarScore,
    planar_critical_weight_decay,
    planar_denoising,
    planar_score_matching,
)
from convexdiff_lib.space.planar_certificates import certify_planar_denoising, certify_planar_score_matching
from convexdiff_lib.space.problem import planar_problem


def features(X: FloatArray, activation: Activation, count: int) -> FloatArray:
    """The values at the data of unit neurons in evenly spaced directions, and along all normals."""
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    normals = np.arctan2(X[:, 0], -X[:, 1])
    angles = np.concatenate([angles, normals, normals + np.pi])
    pre = X @ np.stack([np.cos(angles), np.sin(angles)])
    return np.asarray(np.maximum(pre, 0.0) if activation == "relu" else np.abs(pre))


def dictionary_optimum(X: FloatArray, L: FloatArray, beta: float, activation: Activation) -> float:
    """The optimum over networks whose directions are in a dense dictionary: an upper bound, and close."""
    columns = features(X, activation, 1500)
    Z = cp.Variable((columns.shape[1], 2))
    loss = 0.5 * cp.sum_squares(columns @ Z - L) + beta * cp.sum(cp.norm(Z, axis=1))
    return float(cp.Problem(cp.Minimize(loss)).solve(solver=cp.CLARABEL))


@every_activation
@pytest.mark.parametrize("beta", [0.1, 0.5, 2.0])
def test_equals_a_dense_dictionary(activation: Activation, beta: float) -> None:
    X, L = np.random.default_rng(0).normal(size=(2, 8, 2))
    fit = planar_denoising(X, L, beta, activation=activation)
    dense = dictionary_optimum(X, L, beta, activation)
    assert fit.certificate.dual <= dense + 1e-6  # the general solver's tolerance
    # The nearest direction of the dictionary is within 2e-3; its cost is within the square of that.
    assert dense - fit.value <= 2e-3 * np.sum(L**2)


@pytest.mark.parametrize("beta", [0.1, 0.5, 1.0, 2.0])
def test_one_point_by_hand(beta: float) -> None:
    """A network sends x = (1, 0) to v at the price beta |v|: v is the target, shrunk."""
    fit = planar_denoising([[1.0, 0.0]], [[0.6, 0.8]], beta)
    shrunk = max(0.0, 1 - beta)
    assert np.max(np.abs(fit([[1.0, 0.0]]) - shrunk * np.array([[0.6, 0.8]]))) <= 1e-6
    assert abs(fit.value - (beta - 0.5 * beta**2 if beta <= 1 else 0.5)) <= 1e-9


def test_two_opposite_points_by_hand() -> None:
    """x and -x need a neuron each with ReLU; the absolute value serves both, and fits their mean only."""
    X, L = [[1.0, 0.0], [-1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]
    relu = planar_denoising(X, L, 0.5)
    assert abs(relu.value - 2 * 3 / 8) <= 1e-8
    absolute = planar_denoising(X, L, 0.5, activation="abs")
    # min over v of sum |v - l|^2 / 2 + beta |v|: the mean (1/2, 1/2), shrunk by beta / 2 = 1/4.
    length = np.sqrt(0.5) - 0.25
    by_hand = 0.5 + (length - np.sqrt(0.5)) ** 2 + 0.5 * length
    assert abs(absolute.value - by_hand) <= 1e-8


@every_activation
def test_largest_response_is_that_of_a_fine_grid(activation: Activation) -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        X = constrained(seed)
        X = X if X.shape[1] == 2 else rng.normal(size=(7, 2))
        Q = rng.normal(size=X.shape)
        grid = np.linalg.norm(features(X, activation, 20000).T @ Q, axis=1).max()
        exact = largest_response(X, Q, activation=activation)
        assert exact >= grid * (1 - 1e-12)
        # At a peak the grid misses the square of its step, 3e-4; normals are in it.
        assert exact - grid <= 1e-6 * exact


UGLY = {
    "two points": np.array([[1.0, 2.0], [-2.0, 0.5]]),
    "collinear": np.outer([1.0, 2.0, -1.0, -3.0], [1.0, 1.0]),
    "large scale": 1e8 * np.random.default_rng(2).normal(size=(10, 2)),
    "large offset": 1e6 + np.random.default_rng(3).normal(size=(10, 2)),
    "heavy tails": np.random.default_rng(4).standard_cauchy(size=(15, 2)),
    "a zero row": np.array([[0.0, 0.0], [1.0, 2.0], [2.0, -1.0]]),
    "only zeros": np.zeros((3, 2)),
    "nearly parallel": np.array([[1.0, 0.0], [1.0, 1e-7], [1.0, -1e-7], [0.0, 1.0]]),
} | {f"constrained {seed}": constrained(seed) for seed in (0, 1, 2, 4, 5, 7)}


@every_activation
@pytest.mark.parametrize("name", UGLY)
def test_ugly_data_are_certified(name: str, activation: Activation) -> None:
    X = UGLY[name]
    L = np.random.default_rng(5).normal(size=X.shape)
    top = largest_response(X, L, activation=activation)
    for share in (2.0, 1.0, 0.5, 1e-2):
        fit = planar_denoising(X, L, max(share * top, 1e-3), activation=activation)
        assert fit.certificate.relative_gap <= fit.certificate.gap_tolerance
        assert abs(denoising_loss(fit.network(), X, L, fit.beta) - fit.value) <= 1e-12 * np.sum(L**2)
        if share >= 1:
            assert fit.network().width == 0


@checked
@given(seed=st.integers(0, 2**16), n=st.integers(1, 15), power=st.floats(-4, 0))
def test_any_problem_is_certified(seed: int, n: int, power: float) -> None:
    rng = np.random.default_rng(seed)
    X, L = rng.normal(size=(n, 2)) * rng.choice([1e-3, 1.0, 1e5]), rng.standard_cauchy(size=(n, 2))
    activation: Activation = ("relu", "abs")[seed % 2]  # type: ignore[assignment]
    beta = largest_response(X, L, activation=activation) * 10**power
    fit = planar_denoising(X, L, beta, activation=activation)
    assert fit.certificate.relative_gap <= fit.certificate.gap_tolerance


def test_at_one_hundred_points() -> None:
    X, L = np.random.default_rng(6).normal(size=(2, 100, 2))
    for beta in (0.1, 10.0):
        fit = planar_denoising(X, L, beta)
        assert fit.certificate.relative_gap <= fit.certificate.gap_tolerance
        assert np.max(np.abs(fit(X) - (L - fit.Q))) <= 1e-4  # the square root of the gap


class TestCertificate:
    X, L = np.random.default_rng(7).normal(size=(2, 8, 2))

    def test_rejects_another_network_and_another_dual_point(self) -> None:
        fit = planar_denoising(self.X, self.L, 0.3)
        net = fit.network()
        assert certify_planar_denoising(self.X, self.L, net, fit.Q, 0.3).holds
        larger = replace(net, W1=1.001 * net.W1, W2=1.001 * net.W2)
        assert not certify_planar_denoising(self.X, self.L, larger, fit.Q, 0.3).holds
        for Q in (0.99 * fit.Q, self.L, 0 * fit.Q):
            verdict = certify_planar_denoising(self.X, self.L, net, Q, 0.3)
            assert not verdict.holds
            assert verdict.dual <= fit.value

    def test_unbalanced_layers_cost_more(self) -> None:
        fit = planar_denoising(self.X, self.L, 0.3)
        net = fit.network()
        skewed = replace(net, W1=2 * net.W1, W2=net.W2 / 2)
        assert not certify_planar_denoising(self.X, self.L, skewed, fit.Q, 0.3).holds

    def test_biases_are_refused(self) -> None:
        net = TwoLayerNetwork(np.eye(2), np.ones(2), np.eye(2), np.zeros(2), np.zeros((2, 2)))
        with pytest.raises(ValueError, match="no biases"):
            certify_planar_denoising(self.X, self.L, net, self.L, 0.3)

    def test_too_few_rounds_are_not_believed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        optimum = planar_denoising(self.X, self.L, 0.3).value
        monkeypatch.setattr(_columns, "_ROUGH", np.inf)
        monkeypatch.setattr(_columns, "_refined", lambda candidate: candidate)
        with pytest.raises(NotCertifiedError, match="DOES NOT HOLD") as refused:
            planar_denoising(self.X, self.L, 0.3)
        found = refused.value.found
        assert isinstance(found, PlanarScore)
        assert not found.certificate.holds
        rounding = 1e-8 * found.certificate.scale  # of the optimum, by its own certificate
        assert found.certificate.dual - rounding <= optimum <= found.certificate.primal + rounding


def matching_dictionary(X: FloatArray, beta: float, activation: Activation) -> float:
    """Score matching over a dense dictionary, with neurons beside the ends of every arc: an upper bound."""
    normals = np.arctan2(X[:, 0], -X[:, 1])
    cuts = np.concatenate([normals, normals + np.pi])
    angles = np.concatenate([np.linspace(0, 2 * np.pi, 721), cuts - 1e-7, cuts + 1e-7])
    u = np.column_stack([np.cos(angles), np.sin(angles)])
    pre = X @ u.T
    values = np.maximum(pre, 0.0) if activation == "relu" else np.abs(pre)
    slopes = np.sum(pre >= 0, axis=0) if activation == "relu" else np.sum(np.where(pre >= 0, 1, -1), axis=0)
    Z = cp.Variable((len(u), 2))
    trace = cp.sum(cp.multiply(slopes[:, None] * u, Z))
    loss = 0.5 * cp.sum_squares(values @ Z) + trace + beta * cp.sum(cp.norm(Z, axis=1))
    return float(cp.Problem(cp.Minimize(loss)).solve(solver=cp.CLARABEL))


@every_activation
@pytest.mark.parametrize("beta", [2.2, 3.0])
def test_score_matching_equals_a_dense_dictionary(activation: Activation, beta: float) -> None:
    X = np.random.default_rng(1).normal(size=(7, 2))
    fit = planar_score_matching(X, beta, activation=activation)
    dense = matching_dictionary(X, beta, activation)
    assert fit.certificate.holds
    assert fit.certificate.dual <= dense + 1e-6
    assert dense - fit.value <= 1e-3 * fit.certificate.scale  # the steps of the dictionary, squared
    assert abs(score_matching_loss(fit.network(), X, beta) - fit.value) <= 1e-12 * fit.certificate.scale


DECADES = np.random.default_rng(6).normal(size=(6, 2)) * np.logspace(-1.5, 1.5, 6)[:, None]
MATCHED = {
    "two points": np.array([[1.0, 2.0], [-2.0, 0.5]]),
    "duplicated": np.repeat(np.random.default_rng(3).normal(size=(4, 2)), 3, axis=0),
    "on one ray": np.outer([1.0, 2.0, 3.0], [1.0, 1.0]),
    "a zero row": np.array([[0.0, 0.0], [1.0, 2.0], [2.0, -1.0]]),
    "large scale": 1e8 * np.random.default_rng(2).normal(size=(8, 2)),
    "normal": np.random.default_rng(0).normal(size=(20, 2)),
    "far away": 1e3 + np.random.default_rng(6).normal(size=(6, 2)),
    "nearly on a line": np.outer(np.random.default_rng(7).normal(size=6), [1.0, 0.3])
    + 1e-3 * np.random.default_rng(8).normal(size=(6, 2)),
    "three decades": DECADES,
}


@every_activation
@pytest.mark.parametrize("name", MATCHED)
def test_score_matching_is_certified_above_the_critical_decay(name: str, activation: Activation) -> None:
    X = MATCHED[name]
    lower, upper = planar_critical_weight_decay(X, activation=activation)
    assert 0 <= upper - lower + 1e-9 <= 1e-6 * upper + 1e-9
    for factor in (1.05, 2.0, 2.0 * len(X)):
        fit = planar_score_matching(X, factor * upper, activation=activation)
        assert fit.certificate.relative_gap <= fit.certificate.gap_tolerance
        assert fit.certificate.infeasibility <= fit.certificate.feasibility_tolerance
    with pytest.raises(ValueError, match="no lower bound"):
        planar_score_matching(X, 0.98 * lower, activation=activation)


@every_activation
def test_thin_data_have_the_answer_of_the_plain_axes(
    activation: Activation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen in their own axes points nearly on a line are another problem, with the same answer."""
    rng = np.random.default_rng(3)
    X = np.outer(rng.normal(size=7), [0.6, 0.8]) + 5e-3 * rng.normal(size=(7, 2))
    Q = rng.normal(size=X.shape)

    def seen() -> tuple[bool, float, float, float]:
        problem = planar_problem(X, 3.0, activation=activation)
        fit = planar_score_matching(X, 3.0, activation=activation)
        labelled = planar_denoising(X, Q, 0.1, activation=activation)
        return problem.frame.turned, problem.constraints().largest(Q), fit.value, labelled.value

    turned, *own = seen()
    monkeypatch.setattr("convexdiff_lib.space._frame._THIN", 0.0)
    not_turned, *plain = seen()
    assert turned
    assert not not_turned
    # 5e-3 of the length of the points costs plain axes three digits of sixteen, and the gap is 1e-8.
    np.testing.assert_allclose(own, plain, rtol=1e-8)


@every_activation
def test_a_violation_too_small_to_see_hides_no_gap(
    activation: Activation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large neurons multiply what rounding leaves of a violation: the dual variable is moved away from it."""
    beta = 1.3 * planar_critical_weight_decay(DECADES, activation=activation)[1]
    tight = planar_score_matching(DECADES, beta, activation=activation).certificate
    monkeypatch.setattr("convexdiff_lib.space.planar.tightened", lambda found: found.Q)
    try:
        loose = planar_score_matching(DECADES, beta, activation=activation).certificate.score_error
    except NotCertifiedError:
        loose = np.inf
    assert tight.score_error is not None
    assert loose is not None
    assert 2 * tight.score_error <= loose


def certificate_anyway(X: FloatArray, L: FloatArray, beta: float, *, bias: bool) -> Certificate:
    """Of the answer, whether it is certified or refused."""
    try:
        return planar_denoising(X, L, beta, bias=bias, penalise_bias=not bias).certificate
    except NotCertifiedError as refusal:
        found = refusal.found
    assert isinstance(found, PlanarScore)
    return found.certificate


def test_a_violation_costs_its_square_and_not_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rounds end early, a dual variable that is moved leaves less of a gap than one that is shrunk."""
    monkeypatch.setattr(_columns, "_refined", lambda candidate: candidate)
    tasks = [[np.random.default_rng(k).normal(size=(12, 2)) for k in (seed, seed + 100)] for seed in (0, 5)]
    moved = np.array([certificate_anyway(X, L, 0.3, bias=False).relative_gap for X, L in tasks])
    monkeypatch.setattr("convexdiff_lib.space.planar.tightened", lambda found: found.Q)
    shrunk = np.array([certificate_anyway(X, L, 0.3, bias=False).relative_gap for X, L in tasks])
    assert (moved <= shrunk + 1e-12).all()  # rounding
    assert (moved <= 0.3 * shrunk).any()


@pytest.mark.parametrize(
    ("points", "m", "sigma", "beta", "seed"),
    [("two points", 5, 3e-3, 1.5, 5), ("two points", 5, 3e-3, 3.0, 50), ("axes", 5, 1e-3, 1.5, 2)],
)
def test_many_networks_that_are_nearly_optimal_are_no_reason_to_refuse(
    points: str, m: int, sigma: float, beta: float, seed: int
) -> None:
    """With noise on a polygon around each point; whether rounds end early then depends on the last bit."""
    centres, turns = dict(point_sets(2))[points], 2 * np.pi * np.arange(m) / m
    noise = np.sqrt(2) * np.column_stack([np.cos(turns), np.sin(turns)])
    X = (centres[:, None] + sigma * noise).reshape(-1, 2)
    X *= 1 + 1e-15 * np.random.default_rng(seed).normal(size=X.shape)
    targets = np.tile(-noise / sigma, (len(centres), 1))
    assert certificate_anyway(X, targets, beta, bias=True).holds


def test_refused_thin_data_are_told_what_helps() -> None:
    X = np.outer(np.random.default_rng(0).normal(size=6), [1.0, 0.5])
    X += 1e-9 * np.random.default_rng(1).normal(size=(6, 2))
    with pytest.raises(NotCertifiedError, match=r"nearly in one line, .* centre the points"):
        planar_score_matching(X, 2.0)


def test_critical_decay_of_the_plane_is_that_of_one_jump() -> None:
    """At a ray orthogonal to one point the slope jumps by one (ReLU) or two: at least 1/2, or 1."""
    for seed in range(5):
        X = np.random.default_rng(seed).normal(size=(15, 2))
        assert planar_critical_weight_decay(X)[1] >= 0.5
        assert abs(planar_critical_weight_decay(X, activation="abs")[1] - 1.0) <= 1e-6


def test_score_matching_certificate_rejects() -> None:
    X = np.random.default_rng(4).normal(size=(8, 2))
    fit = planar_score_matching(X, 3.0)
    net = fit.network()
    assert certify_planar_score_matching(X, net, fit.Q, 3.0).holds
    assert not certify_planar_score_matching(X, replace(net, W1=1.01 * net.W1), fit.Q, 3.0).holds
    assert not certify_planar_score_matching(X, net, 0.99 * fit.Q, 3.0).holds
    less = certify_planar_score_matching(X, net, fit.Q, 2.9)
    assert less.infeasibility >= 1e-3
    assert not less.holds
