"""The gated network with weight decay: against CVXPY, by hand, on ugly data, and refused."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import checked, every_activation, sampled_patterns

from convexdiff_lib import NotCertifiedError
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.space import gated
from convexdiff_lib.space.gated import (
    GatedScore,
    certify_gated,
    critical_weight_decay,
    gated_denoising,
    gated_score_matching,
)

GENERAL = 1e-6  # where the general-purpose solver stops


def literal(X: FloatArray, L: FloatArray, patterns: FloatArray, beta: float, tau: float) -> float:
    """The program as written in the module's docstring, in CVXPY."""
    d, c = X.shape[1], L.shape[1]
    W = [cp.Variable((d, c)) for _ in patterns]
    fitted = sum(np.diag(p) @ X @ block for p, block in zip(patterns, W, strict=True))
    loss = 0.5 * cp.sum_squares(fitted - L)
    if tau:
        loss += tau * sum(p.sum() * cp.trace(block) for p, block in zip(patterns, W, strict=True))
    loss += beta * sum(cp.normNuc(block) for block in W)
    return float(cp.Problem(cp.Minimize(loss)).solve(solver=cp.CLARABEL))


def literal_critical(X: FloatArray, patterns: FloatArray) -> float:
    """The critical weight decay as a minimax problem, in CVXPY."""
    Q, radius = cp.Variable(X.shape), cp.Variable()
    bounds = [cp.sigma_max(X.T @ np.diag(p) @ Q - p.sum() * np.eye(X.shape[1])) <= radius for p in patterns]
    return float(cp.Problem(cp.Minimize(radius), bounds).solve(solver=cp.CLARABEL))


def largest_decay(X: FloatArray, L: FloatArray, patterns: FloatArray) -> float:
    """The weight decay from which the denoising network is zero."""
    return max(float(np.linalg.norm(X.T @ (p[:, None] * L), 2)) for p in patterns)


UGLY = {
    "one point": np.array([[3.0, 4.0]]),
    "two points": np.array([[1.0, 2.0], [-2.0, 0.5]]),
    "fewer points than dimensions": np.random.default_rng(0).normal(size=(2, 3)),
    "duplicated rows": np.repeat(np.random.default_rng(1).normal(size=(4, 2)), 3, axis=0),
    "parallel and antiparallel rows": np.outer([1.0, 2.0, -1.0, -3.0], [1.0, 1.0]),
    "collinear rows": np.column_stack([np.ones(6), np.arange(6.0)]),
    "antipodal data": np.vstack([np.eye(2), -np.eye(2), [[1.0, 1.0], [-1.0, -1.0]]]),
    "large scale": 1e8 * np.random.default_rng(2).normal(size=(10, 2)),
    "large offset": 1e6 + np.random.default_rng(3).normal(size=(10, 2)),
    "heavy tails": np.random.default_rng(4).standard_cauchy(size=(15, 2)),
    "integer data": np.random.default_rng(5).integers(-2, 3, size=(15, 2)).astype(float),
    "a zero row": np.array([[0.0, 0.0], [1.0, 2.0], [2.0, -1.0]]),
    "one dimension": np.array([[-2.0], [1.0], [0.5]]),
    "four dimensions": np.random.default_rng(6).normal(size=(9, 4)),
}
ugly = pytest.mark.parametrize("name", UGLY)


@every_activation
@pytest.mark.parametrize("share", [0.5, 0.05, 1e-4])
def test_denoising_equals_the_literal_program(activation: Activation, share: float) -> None:
    rng = np.random.default_rng(0)
    for n, d, c in ((6, 2, 2), (5, 3, 3), (6, 3, 2)):
        X, L = rng.normal(size=(n, d)), rng.normal(size=(n, c))
        patterns, _ = sampled_patterns(X, rng, activation)
        beta = share * largest_decay(X, L, patterns)
        fit = gated_denoising(X, L, patterns, beta)
        assert abs(literal(X, L, patterns, beta, 0.0) - fit.value) <= GENERAL * np.sum(L**2)


@every_activation
@pytest.mark.parametrize("factor", [1.01, 1.3])
def test_score_matching_equals_the_literal_program(activation: Activation, factor: float) -> None:
    rng = np.random.default_rng(1)
    for n, d in ((6, 2), (5, 3)):
        X = rng.normal(size=(n, d))
        patterns, _ = sampled_patterns(X, rng, activation)
        critical = critical_weight_decay(X, patterns).value
        assert abs(critical - literal_critical(X, patterns)) <= GENERAL * n
        fit = gated_score_matching(X, patterns, factor * critical)
        value = literal(X, np.zeros_like(X), patterns, factor * critical, 1.0)
        assert abs(value - fit.value) <= 10 * GENERAL * fit.certificate.scale


def test_one_row_is_shrunk_by_hand() -> None:
    """One point x, target l: W = x (|l| |x| - beta)_+ l^T / (|l| |x|^3), the value follows."""
    x, target = np.array([[3.0, 4.0]]), np.array([[2.0, 0.0]])
    for beta in (1.0, 5.0, 9.0, 10.0, 20.0):
        fit = gated_denoising(x, target, [[True], [False]], beta)
        length = max(0.0, 2.0 - beta / 5.0)
        assert np.max(np.abs(fit.fitted - [[length, 0.0]])) <= 1e-8  # the square root of the solver's gap
        assert abs(fit.value - (0.5 * (2.0 - length) ** 2 + beta * length / 5.0)) <= 1e-8


def test_two_orthogonal_rows_share_a_block_by_hand() -> None:
    """X = I, L = I, one pattern of ones: the block is (1 - beta) I, with nuclear norm 2 (1 - beta)."""
    fit = gated_denoising(np.eye(2), np.eye(2), [[True, True]], 0.25)
    assert np.max(np.abs(fit.W[0] - 0.75 * np.eye(2))) <= 1e-6  # the square root of the gap, and some room
    assert abs(fit.value - (0.25**2 + 0.25 * 1.5)) <= 1e-9


def test_one_pattern_of_score_matching_by_hand() -> None:
    """X = I, one pattern of ones: |Q - 2 I| <= beta, so Q = (2 - beta) I and the value -(2 - beta)^2."""
    for beta in (0.5, 1.0, 1.9, 2.0, 3.0):
        fit = gated_score_matching(np.eye(2), [[True, True]], beta)
        assert abs(fit.value + max(0.0, 2.0 - beta) ** 2) <= 1e-8 * 4  # the certificate's tolerance


@every_activation
@ugly
def test_ugly_data_are_certified(name: str, activation: Activation) -> None:
    rng = np.random.default_rng(7)
    X = UGLY[name]
    L = rng.normal(size=X.shape) * np.abs(X).max()
    patterns, _ = sampled_patterns(X, rng, activation)
    for share in (2.0, 1.0, 0.3, 1e-6):
        fit = gated_denoising(X, L, patterns, share * largest_decay(X, L, patterns))
        assert fit.certificate.relative_gap <= fit.certificate.gap_tolerance
        if share >= 1:
            assert fit.n_active == 0
    critical = critical_weight_decay(X, patterns).value
    decays = [critical * 1.01 + 1e-3, critical + 1.0]
    if name == "large offset":  # all on one line, but for one part in a million: rounding may refuse one
        decays.pop()
    for beta in decays:
        fit = gated_score_matching(X, patterns, beta)
        assert fit.certificate.relative_gap <= fit.certificate.gap_tolerance
        assert fit.certificate.infeasibility <= fit.certificate.feasibility_tolerance


@checked
@given(seed=st.integers(0, 2**16), n=st.integers(1, 14), d=st.integers(1, 3), power=st.floats(-6, 0.5))
def test_any_problem_is_certified(seed: int, n: int, d: int, power: float) -> None:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * rng.choice([1e-3, 1.0, 1e5])
    L = rng.standard_cauchy(size=(n, d))
    patterns, _ = sampled_patterns(X, rng, draws=300)
    top = largest_decay(X, L, patterns)
    if top > 0:
        fit = gated_denoising(X, L, patterns, top * 10**power)
        assert fit.certificate.relative_gap <= fit.certificate.gap_tolerance


def test_many_patterns_join_as_they_are_needed() -> None:
    """More patterns than the working set starts with; the answer is that of all of them at once."""
    rng = np.random.default_rng(8)
    X, L = rng.normal(size=(40, 2)), rng.normal(size=(40, 2))
    patterns, _ = sampled_patterns(X, rng)
    fit = gated_denoising(X, L, patterns, 0.3)
    everything = np.array([np.linalg.norm(X.T @ (p[:, None] * fit.Q), 2) for p in patterns])
    assert len(patterns) >= 70
    assert everything.max() <= 0.3 * (1 + 1e-9)  # rounding
    some = gated_denoising(X, L, patterns[fit.W.any(axis=(1, 2))], 0.3)
    assert abs(some.value - fit.value) <= 1e-8 * fit.value  # the certificate's tolerance


@pytest.mark.parametrize("share", [0.3, 1e-3])
def test_scale_of_data_and_targets(share: float) -> None:
    rng = np.random.default_rng(9)
    X, L = rng.normal(size=(8, 2)), rng.normal(size=(8, 2))
    patterns, _ = sampled_patterns(X, rng)
    beta = share * largest_decay(X, L, patterns)
    one = gated_denoising(X, L, patterns, beta)
    for unit, size in ((1e8, 1.0), (1.0, 1e-8), (1e-8, 1e8)):
        other = gated_denoising(unit * X, size * L, patterns, beta * unit * size)
        assert abs(other.value / size**2 - one.value) <= 1e-8 * one.value  # the certificate's tolerance


def test_critical_weight_decay_has_no_unit_and_both_bounds() -> None:
    rng = np.random.default_rng(10)
    X = rng.normal(size=(12, 2))
    patterns, _ = sampled_patterns(X, rng)
    one, other = critical_weight_decay(X, patterns), critical_weight_decay(1e6 * X, patterns)
    assert abs(one.value - other.value) <= 1e-6 * one.value  # the distance of the bounds
    norms = [np.linalg.norm(X.T @ (p[:, None] * one.Q) - p.sum() * np.eye(2), 2) for p in patterns]
    assert abs(max(norms) - one.value) <= 1e-9
    total = sum((p[:, None] * X) @ W for p, W in zip(patterns, one.W, strict=True))
    assert np.abs(total).max() <= 1e-9
    assert abs(sum(np.linalg.norm(W, "nuc") for W in one.W) - 1.0) <= 1e-9
    falling = -sum(p.sum() * np.trace(W) for p, W in zip(patterns, one.W, strict=True))
    assert abs(falling - one.lower) <= 1e-9
    assert one.value - one.lower <= 1e-6 * one.value


def test_antipodal_data_need_no_weight_decay() -> None:
    """Crossing a hyperplane swaps x for -x and keeps the trace: Q = n X (X^T X)^-1 meets every bound."""
    X = UGLY["antipodal data"]
    patterns, _ = sampled_patterns(X, np.random.default_rng(11))
    assert critical_weight_decay(X, patterns).value <= 1e-6
    Q = 6.0 * X @ np.linalg.inv(X.T @ X)
    assert max(np.abs(X.T @ (p[:, None] * Q) - p.sum() * np.eye(2)).max() for p in patterns) <= 1e-12


def test_below_the_critical_weight_decay_the_loss_falls() -> None:
    rng = np.random.default_rng(12)
    X = rng.normal(size=(8, 2))
    patterns, _ = sampled_patterns(X, rng)
    critical = critical_weight_decay(X, patterns)
    with pytest.raises(ValueError, match="no lower bound"):
        gated_score_matching(X, patterns, 0.99 * critical.value)
    zero = np.zeros_like(X)
    losses = [
        certify_gated(X, None, patterns, s * critical.W, zero, 0.99 * critical.value).primal
        for s in (1.0, 1e3, 1e6)
    ]
    slope = -0.01 * critical.value
    assert np.max(np.abs(losses / (slope * np.array([1.0, 1e3, 1e6])) - 1)) <= 1e-3  # 1e-6 of 1 over 0.01


class TestCertificate:
    X, L = np.random.default_rng(13).normal(size=(2, 8, 2))
    patterns, _ = sampled_patterns(X, np.random.default_rng(14))

    def test_rejects_another_network(self) -> None:
        fit = gated_denoising(self.X, self.L, self.patterns, 0.2)
        assert certify_gated(self.X, self.L, self.patterns, fit.W, fit.Q, 0.2).holds
        assert not certify_gated(self.X, self.L, self.patterns, 1.01 * fit.W, fit.Q, 0.2).holds

    def test_rejects_another_dual_point(self) -> None:
        fit = gated_denoising(self.X, self.L, self.patterns, 0.2)
        for Q in (0.99 * fit.Q, self.L, 0 * fit.Q):
            verdict = certify_gated(self.X, self.L, self.patterns, fit.W, Q, 0.2)
            assert not verdict.holds
            assert verdict.dual <= fit.value  # it is a lower bound whatever Q was given

    def test_rejects_an_infeasible_point_of_score_matching(self) -> None:
        beta = 1.5 * critical_weight_decay(self.X, self.patterns).value
        fit = gated_score_matching(self.X, self.patterns, beta)
        assert certify_gated(self.X, None, self.patterns, fit.W, fit.Q, beta).holds
        # With too little weight decay this Q claims more than is true.
        verdict = certify_gated(self.X, None, self.patterns, fit.W, fit.Q, 0.9 * beta)
        assert verdict.infeasibility >= 1e-3
        assert not verdict.holds

    def test_solver_that_fails_is_not_believed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def careless(blocks, L, beta, inside, gap):
            return 0.5 * L, np.zeros((len(blocks.signs), 2, 2))

        monkeypatch.setattr(gated, "follow_path", careless)
        with pytest.raises(NotCertifiedError, match="DOES NOT HOLD") as refused:
            gated_denoising(self.X, self.L, self.patterns, 0.2)
        found = refused.value.found
        assert isinstance(found, GatedScore)
        assert found.value == pytest.approx(0.5 * np.sum(self.L**2), rel=1e-12)  # of the network that is zero


def test_a_lower_value_than_any_neurons() -> None:
    """A neuron in its cone is a block of the same cost, so that no network is below the gated optimum."""
    rng = np.random.default_rng(15)
    X, L = rng.normal(size=(10, 2)), rng.normal(size=(10, 2))
    patterns, directions = sampled_patterns(X, rng)
    fit = gated_denoising(X, L, patterns, 0.5)
    for _ in range(200):
        chosen = rng.integers(len(directions), size=5)
        W1, W2 = directions[chosen], rng.normal(size=(5, 2)) * 0.3
        values = np.maximum(X @ W1.T, 0.0) @ W2
        cost = np.sum(np.linalg.norm(W1, axis=1) * np.linalg.norm(W2, axis=1))
        assert 0.5 * np.sum((values - L) ** 2) + 0.5 * cost >= fit.value
