"""Gated networks with a free affine map: against CVXPY, by hand, on structured data, and refused."""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from claims_witness import Evidence
from zoo import POINTS

from convexdiff_lib import NotCertifiedError
from convexdiff_lib._validation import FloatArray
from convexdiff_lib.space import _group_newton
from convexdiff_lib.space._group_newton import GramProblem, minimise_lengths
from convexdiff_lib.space._skip_rows import skip_problem
from convexdiff_lib.space.gated_skip import (
    GatedSkipScore,
    bisecting_gates,
    certify_gated_skip,
    gated_skip_denoising,
    gated_skip_path,
)
from convexdiff_lib.space.group_lasso import solve_group_lasso

GENERAL = 1e-6  # where the general-purpose solver stops


def with_ones(X: FloatArray) -> FloatArray:
    return np.column_stack([X, np.ones(len(X))])


def literal(X: FloatArray, L: FloatArray, gates: FloatArray, beta: float) -> float:
    """The program as written in the module's docstring, in CVXPY."""
    rows = with_ones(X)
    patterns = (rows @ gates.T >= 0).astype(float).T
    V = cp.Variable((rows.shape[1], L.shape[1]))
    W = [cp.Variable(V.shape) for _ in gates]
    fitted = rows @ V + sum(np.diag(p) @ rows @ block for p, block in zip(patterns, W, strict=True))
    loss = 0.5 * cp.sum_squares(fitted - L) + beta * sum(cp.norm(block, "fro") for block in W)
    return float(cp.Problem(cp.Minimize(loss)).solve(solver=cp.CLARABEL))


def largest_decay(X: FloatArray, L: FloatArray, gates: FloatArray) -> float:
    """The weight decay from which no gate is used."""
    rows = with_ones(X)
    rest = L - rows @ np.linalg.lstsq(rows, L, rcond=None)[0]
    return max(float(np.linalg.norm(rows[rows @ g >= 0].T @ rest[rows @ g >= 0])) for g in gates)


def drawn(seed: int, n: int, d: int, c: int, P: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    return X, rng.normal(size=(n, c)) + np.abs(X[:, :1]), bisecting_gates(X, P, rng)


def test_it_equals_the_literal_program(evidence: Evidence) -> None:
    seen = evidence("ours-gates-with-skip", "literal-program-equals-newton", GENERAL)
    seen = seen.because("stopping rule of the general solver, compared with the targets")
    for share in (0.9, 0.3, 0.03, 1e-3):
        for seed, (n, d, c, P) in enumerate([(12, 1, 1, 3), (20, 2, 2, 5), (15, 3, 2, 8), (9, 4, 3, 4)]):
            X, L, gates = drawn(seed, n, d, c, P)
            beta = share * largest_decay(X, L, gates)
            fit = gated_skip_denoising(X, L, gates, beta)
            seen.holds(abs(literal(X, L, gates, beta) - fit.value) / np.sum(L**2))


def test_blocks_of_one_feature_equal_the_certified_group_lasso() -> None:
    """With blocks of one row each it is a group Lasso, which has a solver of its own."""
    rng = np.random.default_rng(0)
    for n, m, c in ((30, 10, 1), (20, 40, 3), (15, 60, 2)):
        K, L = rng.normal(size=(n, m)), rng.normal(size=(n, c))
        for share in (0.7, 0.2, 0.02):
            lam = share * float(np.linalg.norm(K.T @ L, axis=1).max())
            gram = GramProblem(K.T @ K, K.T @ L, float(np.sum(L**2)), np.ones(m, dtype=np.intp), lam)
            Z, lengths = minimise_lengths(gram)
            other = solve_group_lasso(K, L, lam)
            value = 0.5 * np.sum((K @ Z - L) ** 2) + lam * np.linalg.norm(Z, axis=1).sum()
            assert abs(value - other.certificate.primal) <= 1e-7 * np.sum(L**2)  # tolerance of the other
            assert (
                np.abs(lengths - np.linalg.norm(Z, axis=1)).max() <= 1e-4 * lengths.max()
            )  # root of the gap


def test_one_gate_by_hand() -> None:
    """Targets |x| at -2, -1, 1, 2: the block (w, b) on x >= 0 has to make what no line can."""
    X, L = np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([[2.0], [1.0], [1.0], [2.0]])
    fit = gated_skip_denoising(X, L, [[1.0, 0.0]], 1e-9)
    assert np.abs(fit(X) - L).max() <= 1e-6  # next to no penalty
    assert abs(fit.value / 1e-9 - 2.0) <= 1e-4  # a block (2, 0) is the shortest that fits
    enough = 1.000001 * largest_decay(X, L, np.array([[1.0, 0.0]]))  # rounding decides at the threshold
    assert gated_skip_denoising(X, L, [[1.0, 0.0]], enough).n_active == 0


def test_the_certificate_needs_no_trust_in_its_dual_point() -> None:
    """Whatever is given for Q, the bound is below the optimum; and a wrong network is rejected."""
    X, L, gates = drawn(3, 30, 3, 2, 6)
    beta = 0.2 * largest_decay(X, L, gates)
    fit = gated_skip_denoising(X, L, gates, beta)
    rest, rng = L - fit(X), np.random.default_rng(0)
    for Q in (rest, 10 * rest, L, rng.normal(size=L.shape), with_ones(X) @ rng.normal(size=(4, 2))):
        other = certify_gated_skip(X, L, gates, fit.W, fit.V, Q, beta)
        assert other.dual <= fit.value * (1 + 1e-9)  # of the certificate of fit
        assert other.infeasibility <= 1e-12  # rounding
    for W, V in ((1.001 * fit.W, fit.V), (fit.W, 1.001 * fit.V)):
        assert certify_gated_skip(X, L, gates, W, V, rest, beta).relative_gap >= 1e-8
    assert certify_gated_skip(X, L, gates, fit.W, fit.V, rest, 1.01 * beta).relative_gap >= 1e-8


def test_the_gap_bounds_the_error_of_the_score() -> None:
    """Half the sum of the squared errors is at most the gap: the loss is strongly convex in the fit."""
    X, L, gates = drawn(4, 40, 2, 2, 5)
    beta, rng = 0.1 * largest_decay(X, L, gates), np.random.default_rng(0)
    fit = gated_skip_denoising(X, L, gates, beta)
    for size in (1e-1, 1e-3):
        W, V = (a + size * rng.normal(size=a.shape) for a in (fit.W, fit.V))
        moved = certify_gated_skip(X, L, gates, W, V, L - fit(X), beta)
        fitted = sum(
            (with_ones(X) @ g >= 0)[:, None] * (with_ones(X) @ w) for g, w in zip(gates, W, strict=True)
        )
        error = fitted + with_ones(X) @ V - fit(X)
        assert 0.5 * np.sum(error**2) <= moved.gap * (1 + 1e-6)  # gap of fit, by comparison


def test_structured_data_are_certified(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-gates-with-skip", "literal-program-on-structured-data", 10 * GENERAL)
    seen = seen.because("stopping rule of the general solver, compared with the targets")
    for name, points in POINTS.items():
        X, rng = np.array(points), np.random.default_rng(0)
        L = rng.integers(-2, 3, size=X.shape).astype(float)
        gates = rng.integers(-2, 3, size=(5, X.shape[1] + 1)).astype(float)
        gates = np.vstack([gates, gates[:1], -gates[1:2]])  # a gate twice, and one turned round
        for beta in (1e-3, 0.1, 1.0, 100.0):
            fit = gated_skip_denoising(X, L, gates, beta)
            assert fit.certificate.relative_gap <= 1e-8, name
            error = abs(literal(X, L, gates, beta) - fit.value) / max(float(np.sum(L**2)), 1.0)
            seen.holds(error, on=name)


@pytest.mark.parametrize("offset", [1e2, 1e4, 1e6])
def test_data_far_from_zero_are_certified(offset: float) -> None:
    X, L, gates = drawn(5, 25, 2, 2, 4)
    gates[:, -1] -= offset * gates[:, :2].sum(axis=1)
    fit = gated_skip_denoising(X + offset, L, gates, 0.1 * largest_decay(X + offset, L, gates))
    assert fit.certificate.relative_gap <= 1e-8


def test_it_does_not_depend_on_the_order_of_points_or_gates() -> None:
    X, L, gates = drawn(6, 40, 3, 3, 7)
    beta, rng = 0.1 * largest_decay(X, L, gates), np.random.default_rng(0)
    rows, columns = rng.permutation(40), rng.permutation(7)
    one, other = (
        gated_skip_denoising(X, L, gates, beta),
        gated_skip_denoising(X[rows], L[rows], gates[columns], beta),
    )
    assert abs(one.value - other.value) <= 1e-8 * one.certificate.scale
    assert np.abs(one(X) - other(X)).max() <= 1e-3  # the root of both gaps, ten times


def test_rows_in_pieces_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    X, L, gates = drawn(7, 50, 2, 2, 4)
    whole = gated_skip_denoising(X, L, gates, 0.5)
    monkeypatch.setattr("convexdiff_lib.space._skip_rows._HELD", 40)
    assert abs(gated_skip_denoising(X, L, gates, 0.5).value - whole.value) <= 1e-9 * whole.value


@pytest.mark.parametrize("slope", [1e2, 1e4, 1e6])
def test_an_affine_part_of_the_targets_hides_no_gap(slope: float) -> None:
    """It costs nothing, so that it is no measure of what a network without neurons misses."""
    rng = np.random.default_rng(3)
    X, L = rng.normal(size=(20, 2)), rng.normal(size=(20, 2))
    gates, targets = bisecting_gates(X, 4, rng), L + slope * X
    fit = gated_skip_denoising(X, targets, gates, 0.1)
    assert fit.certificate.holds
    assert abs(fit.value - gated_skip_denoising(X, L, gates, 0.1).value) <= 1e-9 * fit.value
    none = gated_skip_denoising(X, targets, gates, 1e6)
    assert none.value > 2 * fit.value
    assert not certify_gated_skip(X, targets, gates, none.W, none.V, targets - fit(X), 0.1).holds


def test_affine_targets_are_certified() -> None:
    """Nothing but rounding is left over."""
    X = np.random.default_rng(0).normal(size=(30, 3))
    targets = 1e6 * X[:, :2] + 3
    assert gated_skip_denoising(X, targets, [[1.0, 0.0, 0.0, 0.0]], 0.1).certificate.holds


@pytest.mark.parametrize("betas", [1.0, None, np.array(1.0)])
def test_weight_decays_are_a_list(betas: Any) -> None:
    with pytest.raises(ValueError, match="betas must be a sequence of numbers; got "):
        gated_skip_path([[0.0], [1.0]], [[0.0], [1.0]], [[1.0, -0.5]], betas)


def test_another_weight_decay_keeps_what_the_points_decide() -> None:
    X, L, _ = drawn(9, 20, 3, 2, 1)
    problem = skip_problem(X, L, 1.0)
    other = problem.at(2.0)
    assert (problem.beta, other.beta) == (1.0, 2.0)
    assert other.rows is problem.rows
    assert other.basis is problem.basis


def test_a_path_is_what_single_fits_are() -> None:
    X, L, gates = drawn(4, 30, 3, 2, 5)
    betas = [share * largest_decay(X, L, gates) for share in (0.8, 0.3, 0.1)]
    for beta, fit in zip(betas, gated_skip_path(X, L, gates, betas), strict=True):
        assert fit.beta == beta
        assert abs(fit.value / gated_skip_denoising(X, L, gates, beta).value - 1) <= 2e-8  # two gaps
    with pytest.raises(ValueError, match="beta"):
        gated_skip_path(X, L, gates, [1.0, -1.0])


@pytest.mark.parametrize("size", [1e-99, 1e99])
def test_gates_between_points_of_any_size_have_length_one(size: float) -> None:
    gates = bisecting_gates([[size, 0.0], [-size, size]], 3, np.random.default_rng(0))
    assert np.abs(np.linalg.norm(gates, axis=1) - 1).max() <= 1e-12  # rounding of a few products


@pytest.mark.parametrize("beta", [1e-300, 1e-100, 1e-30])
def test_a_weight_decay_that_rounding_hides_is_refused(beta: float) -> None:
    rng = np.random.default_rng(3)
    X, L = rng.normal(size=(20, 2)), rng.normal(size=(20, 2))
    with pytest.raises(NotCertifiedError, match=f"gated denoising with 4 gates, beta = {beta:g}: "):
        gated_skip_denoising(X, L, bisecting_gates(X, 4, rng), beta)


def test_points_on_a_gate_are_where_they_were_certified() -> None:
    """Of a lattice many points lie half-way between two others, where rounding decides about the side."""
    rng = np.random.default_rng(5)
    X = np.stack(np.meshgrid(*[np.arange(3.0) / 10] * 5), axis=-1).reshape(-1, 5)
    L = rng.normal(size=X.shape)
    fit = gated_skip_denoising(X, L, bisecting_gates(X, 12, rng), 0.1)
    scores = fit(X)
    value = 0.5 * np.sum((scores - L) ** 2) + 0.1 * np.sum(np.linalg.norm(fit.W, axis=(1, 2)))
    assert abs(value - fit.value) <= 1e-12 * fit.value  # a sum of some thousand squares
    alone = np.vstack([fit(point[None]) for point in X])
    assert np.abs(alone - scores).max() <= 1e-12 * np.abs(fit.W).max()


def test_what_does_not_meet_the_tolerance_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    X, L, gates = drawn(8, 40, 3, 3, 7)
    monkeypatch.setattr(_group_newton, "_STEPS", 1)
    with pytest.raises(NotCertifiedError, match="7 gates") as refused:
        gated_skip_denoising(X, L, gates, 0.01 * largest_decay(X, L, gates))
    assert isinstance(refused.value.found, GatedSkipScore)
    assert not refused.value.found.certificate.holds


def test_bisecting_gates_are_half_way() -> None:
    points = np.random.default_rng(0).normal(size=(6, 3))
    for gate in bisecting_gates(points, 20, np.random.default_rng(1)):
        apart = with_ones(points) @ gate
        signs = np.abs(apart[:, None] + apart[None, :])[~np.eye(6, dtype=bool)]
        assert signs.min() <= 1e-12  # some pair lies at equal distances on the two sides
    with pytest.raises(ValueError, match="two that differ"):
        bisecting_gates([[1.0, 2.0]] * 4, 2, np.random.default_rng(0))
