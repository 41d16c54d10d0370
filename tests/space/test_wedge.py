"""The wedge kernel: which directions are enough, for which norm, with which biases."""

from __future__ import annotations

from itertools import product

import cvxpy as cp
import numpy as np
import pytest
import torch
from claims_witness import Evidence
from hypothesis import given
from hypothesis import strategies as st
from strategies import checked

from convexdiff_lib import NotCertifiedError, TwoLayerNetwork
from convexdiff_lib._validation import FloatArray
from convexdiff_lib.space.arrangements import enumerate_arrangements
from convexdiff_lib.space.chambers import chamber_diameters
from convexdiff_lib.space.directions import largest_response, wedge_directions
from convexdiff_lib.space.group_lasso import certify_group_lasso, responses, solve_group_lasso
from convexdiff_lib.space.planar import planar_denoising
from convexdiff_lib.space.wedge import certify_wedge, wedge_denoising

LAM = 0.3


def instance(n: int, d: int, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(100 * seed + 10 * d + n)
    return rng.normal(size=(n, d)), -rng.normal(size=(n, d))


def dense_directions(d: int, p: int) -> FloatArray:
    """A fine net of directions that knows nothing of the data."""
    if d == 2:
        angle = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
        u = np.column_stack([np.cos(angle), np.sin(angle)])
    else:
        k = np.arange(6000) + 0.5  # a spiral on the sphere
        height, turn = 1 - 2 * k / 6000, np.pi * (1 + 5**0.5) * k
        radius = np.sqrt(1 - height**2)
        u = np.column_stack([radius * np.cos(turn), radius * np.sin(turn), height])
    return u / np.linalg.norm(u, ord=p, axis=1, keepdims=True)


def program(X: FloatArray, L: FloatArray, u: FloatArray, penalty: float, p: int) -> float:
    """The group Lasso with given directions, in CVXPY, without the factor one half."""
    K = np.maximum(X @ u.T, 0.0)
    Z = cp.Variable((len(u), L.shape[1]))
    size = cp.sum(cp.abs(Z)) if p == 1 else cp.sum(cp.norm(Z, 2, axis=1))
    return float(
        cp.Problem(cp.Minimize(cp.sum_squares(K @ Z - L) + penalty * size)).solve(solver=cp.CLARABEL)
    )


def printed(X: FloatArray, L: FloatArray, lam: float, p: int) -> float:
    """Display (33): one orientation, data rows only, penalty lam on the 2-norm of the columns of Z."""
    u = wedge_directions(X, p=p, both=False, basis=False)
    K = np.maximum(X @ u.T, 0.0)
    Z = cp.Variable((len(u), L.shape[1]))
    columns = cp.sum(cp.norm(Z, 2, axis=0))
    return float(cp.Problem(cp.Minimize(cp.sum_squares(K @ Z - L) + lam * columns)).solve(solver=cp.CLARABEL))


def trained(X: FloatArray, L: FloatArray, lam: float, p: int, *, seed: int, trials: int = 12) -> FloatArray:
    """Losses (32) of networks after Adam and L-BFGS from random starts, all trials at once."""
    generator = torch.Generator().manual_seed(seed)
    data, labels = torch.as_tensor(X), torch.as_tensor(L)
    d, c, width = X.shape[1], L.shape[1], 3 * len(X)
    u = torch.randn((trials, width, d), generator=generator, dtype=torch.float64).requires_grad_()
    a = (0.3 * torch.randn((trials, width, c), generator=generator, dtype=torch.float64)).requires_grad_()

    def losses() -> torch.Tensor:
        fit = torch.einsum("nd,tmd->tnm", data, u).clamp(min=0) @ a - labels
        decay = (torch.linalg.vector_norm(u, p, dim=2) ** 2 + torch.linalg.vector_norm(a, p, dim=2) ** 2).sum(
            1
        )
        return (fit**2).sum(dim=(1, 2)) + lam * decay

    adam = torch.optim.Adam([u, a], lr=2e-2)
    for step in range(500):
        if step == 350:
            adam.param_groups[0]["lr"] = 2e-3
        adam.zero_grad()
        losses().sum().backward()
        adam.step()
    if p == 2:  # smooth enough for L-BFGS
        lbfgs = torch.optim.LBFGS([u, a], max_iter=200, line_search_fn="strong_wolfe")

        def closure() -> torch.Tensor:
            lbfgs.zero_grad()
            total = losses().sum()
            total.backward()
            return total

        lbfgs.step(closure)
    return losses().detach().numpy()


def test_dictionaries_against_a_dense_one(evidence: Evidence) -> None:
    """n = 6, lambda = 0.3, plane and space: the corrected program meets the dense net, others do not."""
    right = evidence("ours-wedge-dictionary", "one-norm-below-dense-net", 1e-7).because(
        "stopping rule of the general solver; the net may only be worse"
    )
    near = evidence(
        "thm-wedge-one-norm",
        "dense-net-over-corrected",
        1e-2,
        what="excess of a dense net of neurons, relative",
    ).because("spacing of the net")
    low = evidence("thm-wedge-one-norm", "printed-program-below-all-networks", at_least=0.1).because(
        "one instance suffices"
    )
    for d, seed in product((2, 3), range(3)):
        X, L = instance(6, d, seed)
        exact = wedge_denoising(X, L, LAM, p=1)
        assert exact.certificate.holds is True
        dense = program(X, L, dense_directions(d, 1), 2 * LAM, 1)
        right.holds(max(0.0, exact.value / dense - 1))
        near.holds(abs(dense / exact.value - 1))
        low.fails(1 - printed(X, L, LAM, 1) / exact.certificate.dual)
        two_signs = program(X, L, wedge_directions(X, p=1, basis=False), 2 * LAM, 1)
        one_sign = program(X, L, wedge_directions(X, p=1, both=False, basis=False), 2 * LAM, 1)
        assert exact.value <= two_signs * (1 + 1e-7)
        assert two_signs <= one_sign * (1 + 1e-7)
        # CVXPY with the same directions
        assert abs(program(X, L, wedge_directions(X, p=1), 2 * LAM, 1) / exact.value - 1) <= 1e-7


def test_the_printed_dictionary_violates_the_dual(evidence: Evidence) -> None:
    violated = evidence(
        "def-wedge-problem", "response-outside-the-printed-dictionary", at_least=0.05
    ).because("one instance suffices")
    met = evidence("def-wedge-problem", "response-of-the-corrected-dictionary", 1e-7).because("stopping rule")
    for d, seed in product((2, 3), range(3)):
        X, L = instance(10, d, seed)
        u = wedge_directions(X, p=1, both=False, basis=False)
        fit = solve_group_lasso(np.maximum(X @ u.T, 0.0), L, LAM, p=1)
        violated.fails(largest_response(X, fit.Q, p=1) / LAM - 1)
        exact = wedge_denoising(X, L, LAM, p=1)
        met.holds(max(0.0, largest_response(X, exact.Q, p=1) / LAM - 1))


def test_no_training_run_is_below(evidence: Evidence) -> None:
    one = evidence(
        "thm-wedge-one-norm", "certified-over-trained", 1.0, what="optimum / best trained loss"
    ).because("the falsifier")
    two = evidence(
        "ours-wedge-exact-two-norm", "certified-over-trained", 1.0, what="optimum / best trained loss"
    ).because("the falsifier")
    for d, seed in product((2, 3), range(3)):
        X, L = instance(6, d, seed)
        for p, seen in ((1, one), (2, two)):
            best = float(trained(X, L, LAM, p, seed=seed).min())
            fit = wedge_denoising(X, L, LAM, p=p, exact=True)
            seen.holds(fit.certificate.dual / best)
            assert best <= 1.05 * fit.value  # and training gets near: the optimum is not too low


def test_two_norm_bounds(evidence: Evidence) -> None:
    """The wedge program is above the optimum, and by no more than the diameter of a chamber allows."""
    above = evidence(
        "thm-wedge-two-norm", "optimum-over-wedge", 1 + 1e-7, what="optimum / wedge program"
    ).because("stopping rule")
    below = evidence(
        "ours-wedge-diameter-bound", "wedge-over-bound", 1 + 1e-7, what="wedge program / bound"
    ).because("stopping rule")
    exact_gap = evidence("ours-wedge-exact-two-norm", "relative-gap", 1e-8).because(
        "tolerance of a certificate"
    )
    printed_factor = evidence(
        "thm-wedge-two-norm", "wedge-over-printed-factor", 1 + 1e-7, what="wedge program / (factor · optimum)"
    ).because("stopping rule")
    printed_low = evidence("thm-wedge-two-norm", "printed-program-below-all-networks", at_least=0.1).because(
        "one instance suffices"
    )
    for (n, d), seed in product([(6, 2), (12, 2), (30, 2), (8, 3), (15, 3)], range(3)):
        X, L = instance(n, d, seed)
        for lam in (0.1, 1.0):
            upper = wedge_denoising(X, L, lam)
            best = wedge_denoising(X, L, lam, exact=True)
            exact_gap.holds(best.certificate.relative_gap)
            above.holds(best.value / upper.value)
            D = chamber_diameters(enumerate_arrangements(X)).largest[1]
            if D < 1:
                printed_factor.holds(upper.value / best.value * (1 - D))
            factor = 1 / (1 - D**2 / 2) if D**2 < 2 else np.inf
            if d == 2:
                factor = 1 / np.cos(np.arcsin(D / 2)) if D**2 < 2 else np.inf
            below.holds(upper.value / best.value / factor)
        if n == 6:
            printed_low.fails(
                1 - printed(X, L, LAM, 2) / wedge_denoising(X, L, LAM, exact=True).certificate.dual
            )


@pytest.mark.parametrize("seed", range(4))
def test_exact_two_norm_is_planar_training(seed: int) -> None:
    X, L = instance(15, 2, seed)
    ours, theirs = wedge_denoising(X, L, 0.5, exact=True), planar_denoising(X, L, 0.5)
    assert abs(ours.value / (2 * theirs.value) - 1) <= 2e-8  # two certificates


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("p", [1, 2])
def test_the_largest_response_is_above_every_direction(d: int, p: int) -> None:
    for seed in range(4):
        X, L = instance(9, d, seed)
        found = largest_response(X, L, p=p)
        dense = responses(np.maximum(X @ dense_directions(d, p).T, 0.0), L, p).max()
        assert dense <= found * (1 + 1e-12)
        assert dense >= found * (0.999 if d == 2 else 0.95)  # the spacing of the net


@pytest.mark.parametrize("name", ["parallel", "opposite", "integer", "plane", "zero", "one", "repeated"])
@pytest.mark.parametrize("p", [1, 2])
def test_ugly_data(name: str, p: int) -> None:
    rng = np.random.default_rng(0)
    X = {
        "parallel": np.outer([1.0, 2.0, 3.0, -1.0], [1.0, 2.0]),
        "opposite": np.array([[1.0, 0.5], [-1.0, -0.5], [0.3, 1.0]]),
        "integer": np.array(list(product((-1.0, 0.0, 1.0), repeat=2))),
        "plane": np.column_stack([rng.integers(-3, 4, (6, 2)).astype(float), np.zeros(6)]),
        "zero": np.array([[0.0, 0.0], [1.0, 1.0]]),
        "one": np.array([[1.0, -2.0]]),
        "repeated": np.repeat(rng.normal(size=(3, 2)), 3, axis=0),
    }[name]
    L = rng.normal(size=X.shape)
    fit = wedge_denoising(X, L, 0.2, p=p, exact=True)
    assert fit.certificate.holds is True
    dense = dense_directions(X.shape[1], p)
    assert responses(np.maximum(X @ dense.T, 0.0), fit.Q, p).max() <= 0.2 * (1 + 1e-7)


@pytest.mark.parametrize("scale", [1e8, 1e-8])
def test_scale(scale: float) -> None:
    X, L = instance(8, 2)
    base = wedge_denoising(X, L, 0.3, exact=True)
    moved = wedge_denoising(scale * X, L, 0.3 * scale, exact=True)
    assert abs(moved.value / base.value - 1) <= 2e-8  # two certificates
    louder = wedge_denoising(X, scale * L, 0.3 * scale, exact=True)
    assert abs(louder.value / scale**2 / base.value - 1) <= 2e-8


# --- Biases ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [1, 2])
def test_a_penalised_bias_is_a_constant_coordinate(p: int) -> None:
    X, L = instance(7, 2)
    with_one = np.column_stack([X, np.ones(7)])
    fit = wedge_denoising(X, L, LAM, p=p, bias=True, exact=True)
    assert fit.directions.shape[1] == 3
    assert np.max(np.abs(fit(X) - (np.maximum(with_one @ fit.directions.T, 0) @ fit.Z))) <= 1e-12
    dense = dense_directions(3, p)
    assert responses(np.maximum(with_one @ dense.T, 0.0), fit.Q, p).max() <= LAM * (1 + 1e-7)


def test_a_free_bias_on_the_line_is_part_one() -> None:
    """One dimension, p = 1 or 2: the univariate program with weight decay on the weights only."""
    from convexdiff_lib import denoising_score_matching

    rng = np.random.default_rng(0)
    x, targets = rng.normal(size=12), rng.normal(size=12)
    for lam in (0.1, 1.0):
        whole = wedge_denoising(x[:, None], targets[:, None], lam, p=1, bias=True, penalise_bias=False)
        line = denoising_score_matching(x, targets, lam)
        assert abs(whole.value / (2 * line.value) - 1) <= 2e-8  # two certificates
        grid = np.linspace(-3, 3, 50)
        assert np.max(np.abs(whole(grid[:, None])[:, 0] - line(grid))) <= 1e-5  # the square root of a gap


@pytest.mark.parametrize("p", [1, 2])
def test_a_free_bias_costs_less(p: int) -> None:
    X, L = instance(9, 2)
    free = wedge_denoising(X, L + 3.0, LAM, p=p, bias=True, penalise_bias=False)
    paid = wedge_denoising(X, L + 3.0, LAM, p=p, bias=True)
    none = wedge_denoising(X, L + 3.0, LAM, p=p)
    assert free.value <= paid.value + 1e-7 <= none.value + 2e-7
    shifted = wedge_denoising(X + 5.0, L + 3.0, LAM, p=p, bias=True, penalise_bias=False)
    assert abs(shifted.value / free.value - 1) <= 1e-7  # a free bias does not see a shift


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_free_bias_exactly(d: int) -> None:
    """Column generation ends where no neuron, of any direction and bias, has too large a response."""
    X, L = instance(7, d)
    upper = wedge_denoising(X, L, LAM, bias=True, penalise_bias=False)
    best = wedge_denoising(X, L, LAM, bias=True, penalise_bias=False, exact=True)
    assert best.exact is True
    assert best.value <= upper.value * (1 + 1e-8)  # a certificate
    u = np.array([[1.0], [-1.0]]) if d == 1 else dense_directions(d, 2)[::5]
    for bias in np.linspace(-5, 5, 101):
        assert responses(np.maximum(X @ u.T + bias, 0.0), best.Q, 2).max() <= LAM * (1 + 1e-7)
    if d == 1:  # kinks between data points do not pay on the line
        assert abs(upper.value / best.value - 1) <= 2e-8  # two certificates
    else:
        refused = certify_wedge(X, L, upper.network(), upper.Q, LAM, bias=True, penalise_bias=False)
        assert refused.holds is False
        assert refused.dual <= best.value * (1 + 1e-8)


def test_a_free_bias_of_ugly_data() -> None:
    """Repeated points, points on one line, far away, and one point only."""
    rng = np.random.default_rng(3)
    plain, L = rng.normal(size=(6, 2)), rng.normal(size=(6, 2))
    for X in (
        np.repeat(plain[:3], 2, axis=0),
        np.outer(plain[:, 0], [1.0, 2.0]),
        plain + 1e6,
        np.ones((6, 2)),
    ):
        best = wedge_denoising(X, L, 0.2, bias=True, penalise_bias=False, exact=True)
        near = wedge_denoising(
            X - X.mean(axis=0), L, 0.2, bias=True, penalise_bias=False, exact=True
        )  # a free bias does not see a shift, but for the digits lost to 1e6
        assert abs(best.value / near.value - 1) <= 1e-6


# --- Networks, homogeneity, certificates -----------------------------------------------------------------


def test_the_network_has_the_value_and_is_homogeneous(evidence: Evidence) -> None:
    same = evidence("eq-wedge-network", "network-at-new-points", 1e-12).because("rounding")
    wrong = evidence("eq-wedge-network", "display-with-the-data-point", at_least=0.1).because(
        "one instance suffices"
    )
    homogeneous = evidence("ours-homogeneous", "along-rays", 1e-12).because("rounding")
    for d, p in product((2, 3), (1, 2)):
        X, L = instance(8, d)
        fit = wedge_denoising(X, L, LAM, p=p)
        new = np.random.default_rng(1).normal(size=(50, d))
        by_hand = np.maximum(new @ fit.directions.T, 0.0) @ fit.Z
        size = np.abs(by_hand).max()
        same.holds(np.max(np.abs(fit(new) - by_hand)) / size)
        at_data = np.maximum(X @ fit.directions.T, 0.0) @ fit.Z
        wrong.fails(min(np.max(np.abs(by_hand - row)) for row in at_data) / size)
        for c in (1e-3, 0.5, 7.0):
            homogeneous.holds(np.max(np.abs(fit(c * new) - c * fit(new))) / (size * max(c, 1)))
        net = fit.network()
        one, two = np.linalg.norm(net.W1, ord=p, axis=1), np.linalg.norm(net.W2, ord=p, axis=0)
        assert np.max(np.abs(one - two)) <= 1e-12 * one.max()


def test_a_false_certificate_is_rejected() -> None:
    X, L = instance(8, 2)
    fit = wedge_denoising(X, L, LAM, exact=True)
    net = fit.network()
    good = certify_wedge(X, L, net, fit.Q, LAM)
    assert good.holds is True
    assert certify_wedge(X, L, net, 0.999 * fit.Q, LAM).holds is False
    other = TwoLayerNetwork(net.W1, net.b1, 1.001 * net.W2, net.b2, net.V)
    assert certify_wedge(X, L, other, fit.Q, LAM).holds is False
    upper = wedge_denoising(X, L, LAM)  # right for its dictionary, wrong for all directions
    assert certify_wedge(X, L, upper.network(), upper.Q, LAM, exact=False).holds is True
    assert certify_wedge(X, L, upper.network(), upper.Q, LAM, exact=True).holds is False
    with pytest.raises(ValueError, match="network must be a ReLU network"):
        certify_wedge(X, L, TwoLayerNetwork(net.W1, net.b1 + 1, net.W2, net.b2, net.V), fit.Q, LAM)


def test_what_is_refused() -> None:
    X, L = instance(8, 4)
    with pytest.raises(
        ValueError, match="exact in up to three dimensions, a penalised bias among them; got 4"
    ):
        wedge_denoising(X, L, LAM, exact=True)
    with pytest.raises(ValueError, match=r"8 rows in 4 dimensions have 112 wedge directions"):
        wedge_denoising(X, L, LAM, memory_limit=1e3)
    for flag in ("bias", "exact", "penalise_bias"):
        with pytest.raises(ValueError, match=rf"^{flag} must be True or False; got 1"):
            wedge_denoising(X, L, LAM, **{flag: 1})
    wedge_denoising(X[:, :3], L[:, :3], LAM, bias=True, penalise_bias=False, exact=True)
    with pytest.raises(ValueError, match="a penalised bias among them; got 4"):
        wedge_denoising(X[:, :3], L[:, :3], LAM, bias=True, exact=True)


# --- The group Lasso -------------------------------------------------------------------------------------


@checked
@given(st.integers(0, 10**6), st.sampled_from([1, 2]), st.floats(0.01, 10.0))
def test_group_lasso_against_cvxpy(seed: int, p: int, lam: float) -> None:
    rng = np.random.default_rng(seed)
    K, L = rng.normal(size=(8, 30)), rng.normal(size=(8, 2))
    fit = solve_group_lasso(K, L, lam, p=p)
    Z = cp.Variable((30, 2))
    size = cp.sum(cp.abs(Z)) if p == 1 else cp.sum(cp.norm(Z, 2, axis=1))
    slow = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(K @ Z - L) + lam * size)).solve(solver=cp.CLARABEL)
    assert abs(fit.certificate.primal - slow) <= 1e-6 * max(1.0, abs(slow))  # CVXPY's own tolerance
    full = np.zeros((30, 2))
    full[fit.features] = fit.Z
    assert certify_group_lasso(K, L, full, fit.Q, lam, p=p).holds is True
    assert certify_group_lasso(K, L, full + 0.01, fit.Q, lam, p=p).holds is False


def test_group_lasso_above_its_threshold_is_zero() -> None:
    K, L = np.eye(3), np.array([[3.0], [4.0], [0.0]])
    assert len(solve_group_lasso(K, L, 4.0).features) == 0
    assert solve_group_lasso(K, L, 3.5).features.tolist() == [1]
    assert solve_group_lasso(K, 0 * L, 1.0).certificate.holds is True


def test_group_lasso_tells_when_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    from convexdiff_lib.space import group_lasso

    def zero(K: FloatArray, L: FloatArray, *_: object) -> FloatArray:
        return np.zeros((K.shape[1], L.shape[1]))

    monkeypatch.setattr(group_lasso, "_restricted", zero)
    assert solve_group_lasso(np.eye(3), np.ones((3, 2)), 0.1).certificate.holds is True  # the second solver
    monkeypatch.setattr(group_lasso, "close_features", lambda K, L, lam: (zero(K, L), L))
    with pytest.raises(NotCertifiedError, match="DOES NOT HOLD") as refused:
        solve_group_lasso(np.eye(3), np.ones((3, 2)), 0.1)
    assert isinstance(refused.value.found, group_lasso.GroupLasso)


def test_one_point_in_space() -> None:
    """It has no two rows for a wedge, but vectors orthogonal to it, and so the one direction that matters."""
    X, L = np.array([[1.0, 2.0, 2.0]]), np.array([[3.0, 0.0, 0.0]])
    assert len(wedge_directions(X)) == 0  # as printed
    for exact in (False, True):
        best = wedge_denoising(X, L, LAM, exact=exact)
        assert abs(best.value - (2 * LAM * 3.0 / 3.0 - (LAM / 3.0) ** 2)) <= 1e-7  # r^2 = 1 - lam / 9


def test_data_that_do_not_span_have_the_wedges_of_their_span() -> None:
    """Turned into more dimensions, data and targets keep their optimum; biases, too."""
    rng = np.random.default_rng(0)
    assert wedge_denoising([[1, 0]], [[1, 0]], 0.5).value == pytest.approx(0.75, abs=1e-8)
    for n, r, d in [(1, 1, 1), (4, 1, 3), (5, 2, 3), (6, 2, 4), (2, 2, 3)]:
        X, L = rng.normal(size=(2, n, r))
        turn = np.linalg.qr(rng.normal(size=(d, d)))[0][:r]
        for options in ({}, {"bias": True}, {"bias": True, "penalise_bias": False}):
            inside = wedge_denoising(X, L, 0.1, **options)
            shift = rng.normal(size=d) * ("penalise_bias" in options)  # a bias that is free moves with it
            outside = wedge_denoising(X @ turn + shift, L @ turn, 0.1, **options)
            assert abs(outside.value - inside.value) <= 2e-6 * max(inside.value, 1.0)  # two certificates


def test_exact_where_rows_are_special_but_for_rounding() -> None:
    """Chambers too thin for a generator: their signs are all that is needed."""
    rng = np.random.default_rng(1)
    t, v, base = rng.normal(size=(5, 1)), rng.normal(size=(1, 3)), rng.normal(size=(3, 3)).round(1)
    for X in (
        np.array([[0.1, 0.2, 0.7], [0.3, 0.6, 2.1], [1.0, 0.0, 0.0]]),
        t * v,
        np.vstack([base, -2 * base, 3 * base]),
        rng.normal(size=(6, 2)) @ rng.normal(size=(2, 3)),
        np.vstack([base, base[:1] * (1 + 1e-15)]),
    ):
        L = rng.normal(size=X.shape)
        fit = wedge_denoising(X, L, 0.1, exact=True)
        assert fit.certificate.holds
        assert fit.value <= wedge_denoising(X, L, 0.1).value * (1 + 1e-6)  # a certificate's tolerance
        grid = rng.normal(size=(20_000, 3))
        grid /= np.linalg.norm(grid, axis=1, keepdims=True)
        sampled = np.linalg.norm(np.maximum(grid @ X.T, 0.0) @ L, axis=1).max()
        assert sampled <= largest_response(X, L) <= sampled * 1.01  # neighbours on the grid are 0.03 apart


def test_hardly_any_penalty_and_many_close_features() -> None:
    """A noisy spiral with biases: rounding stops the solver above what is asked, below what is certified."""
    turn = np.linspace(np.pi, 4.5 * np.pi, 60)
    noise = np.random.default_rng(0).normal(size=(60, 2))
    X = 0.6 * turn[:, None] * np.column_stack([np.cos(turn), np.sin(turn)]) + 0.5 * noise
    for p in (1, 2):
        assert wedge_denoising(X, -noise / 0.5, 0.1, p=p, bias=True).certificate.holds is True


def test_next_to_no_penalty() -> None:
    """What is left of the labels is lost to rounding; the dual of the interior point is not."""
    X, noise = np.random.default_rng(0).normal(size=(2, 100, 2))
    assert wedge_denoising(5 * X, 100 * noise, 0.1).certificate.holds is True
