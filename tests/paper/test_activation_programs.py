"""Convex programs of other activations: the smooth limit, thresholds, squares with penalised biases."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
from claims_witness import Evidence
from scipy.optimize import minimize
from zoo import point_sets, samples

from convexdiff_lib import (
    SmoothNetwork,
    quadratic_program,
    score_matching,
    smallest_weight_decay,
    smooth_program,
    smooth_threshold,
)
from convexdiff_lib._validation import FloatArray
from convexdiff_lib.line._activations import AnyActivation
from convexdiff_lib.line.smooth import slope_range
from convexdiff_lib.line.univariate_score import UnivariateScore
from convexdiff_lib.paper.activation_programs import _judged

TAUS = (30.0, 300.0, 3e3)


def data(seed: int, n: int = 7) -> FloatArray:
    return np.sort(np.random.default_rng(seed).normal(size=n))


def beam_slopes(fit: UnivariateScore) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Kink, direction, weight, and slope of the beam on the side of the kink, of every neuron."""
    net, x, z = fit.kink_network, fit.dual.x, fit.z
    steps = net.facing[:, None] * (x - net.kinks[:, None])
    acts = np.where(net.beyond[:, None], steps > 0, steps >= 0)
    slopes = acts @ z
    slopes[np.abs(slopes) <= 1e-7 * np.abs(z).max()] = 0.0  # all points, whose z sum to zero
    return net.kinks, net.facing, net.weights, slopes


def formula(fit: UnivariateScore, tau: float) -> float:
    """What the temperature costs: the sum of |y| |S| (1 + log(tau / |S|)) / tau."""
    *_, y, slopes = beam_slopes(fit)
    bent = slopes != 0
    return float(np.sum(np.abs(y * slopes)[bent] * (1 + np.log(tau / np.abs(slopes[bent]))))) / tau


def moved_aside(fit: UnivariateScore, tau: float) -> SmoothNetwork:
    """The optimal network with softplus units, each moved aside by log(tau / |S|) / tau, or far out."""
    kinks, facing, y, slopes = beam_slopes(fit)
    x, beyond = fit.dual.x, fit.kink_network.beyond
    far = 50 / tau + float(np.ptp(x))
    with np.errstate(divide="ignore"):
        steps = np.where(slopes != 0, np.log(tau / np.abs(slopes)) / tau, far)
    places = kinks + np.where(beyond, facing, -facing) * steps
    bare = SmoothNetwork(facing, -facing * places, y, temperature=tau)
    return SmoothNetwork(facing, -facing * places, y, float(np.mean(fit(x) - bare(x))), temperature=tau)


def test_the_smooth_optimum_falls_to_the_other_one(evidence: Evidence) -> None:
    seen = evidence("ours-smooth-limit", "optimum-falls-with-the-temperature", 1e-8).because(
        "both bounds of the program agree to 1e-9"
    )
    gap = evidence("ours-smooth-limit", "gap-over-formula", 0.05, what="|gap / formula - 1|").because(
        "at the temperature 3000; at 30,000 it is a tenth of that"
    )
    for seed, beta in ((1, 2.0), (2, 1.5), (4, 1.8)):
        x = data(seed)
        fit = score_matching(x, beta)
        found = [smooth_program(x, beta, temperature=tau, resolution=120) for tau in TAUS]
        assert max(abs(p.value - p.dual) for p in found) <= 1e-9 * (1 + abs(fit.value))
        values = [p.value for p in found]
        for higher, lower in zip(values, [*values[1:], fit.value], strict=True):
            seen.holds(max(0.0, lower - higher) / abs(fit.value))
        cost = formula(fit, TAUS[-1])
        assert cost >= 1e-3  # there is something to compare
        gap.holds(abs((values[-1] - fit.value) / cost - 1))


def test_the_network_moved_aside_costs_what_the_formula_says(evidence: Evidence) -> None:
    seen = evidence("ours-smooth-limit", "network-moved-aside", 1e-2, what="|gap / formula - 1|").because(
        "terms of order (log tau)^2 / tau at tau = 1e7"
    )
    for seed in range(10):
        x = data(seed, 8)
        fit = score_matching(x, 1.0 + 0.3 * (seed + 1))
        cost = formula(fit, 1e7)
        loss = moved_aside(fit, 1e7).loss(x, fit.beta, penalty="path norm")
        if cost > 0:
            seen.holds(abs((loss - fit.value) / cost - 1))


def test_the_network_moved_aside_on_structured_data(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-smooth-limit", "network-moved-aside-on-structured-data", 1e-2).because(
        "gap less formula, compared with the optimum: terms of order (log tau)^2 / tau at tau = 1e7"
    )
    for name, x in samples(distinct=2, ties=False):
        if np.ptp(x) > 100:
            continue  # the temperature is not large beside the smallest gap
        for beta in (1.2, 1.7, 2.5):
            fit = score_matching(x, beta)
            loss = moved_aside(fit, 1e7).loss(x, beta, penalty="path norm")
            size = abs(fit.value) or 1.0
            seen.holds(abs(loss - fit.value - formula(fit, 1e7)) / size, on=name)


def test_a_wrong_formula_is_noticed() -> None:
    """Without the 1, or with the slope of the other side of the kink, the ratio is not 1."""
    x, tau = data(1), 1e7
    fit = score_matching(x, 2.0)
    gap = moved_aside(fit, tau).loss(x, 2.0, penalty="path norm") - fit.value
    *_, y, slopes = beam_slopes(fit)
    bent = slopes != 0
    without = float(np.sum(np.abs(y * slopes)[bent] * np.log(tau / np.abs(slopes[bent])))) / tau
    assert abs(gap / without - 1) >= 0.03
    assert abs(gap / formula(fit, 2 * tau) - 1) >= 0.5


def test_in_the_large_decay_regime_the_temperature_costs_nothing() -> None:
    x = data(0)
    fit = score_matching(x, 6.0)
    assert formula(fit, 10.0) == 0.0
    for tau in (1.0, 10.0):
        # Both bounds of the program agree to 1e-9; units far out are lines to the last bit.
        assert abs(smooth_program(x, 6.0, temperature=tau).value - fit.value) <= 1e-7


def sharp_unit(x: FloatArray, activation: AnyActivation, weight: float) -> tuple[SmoothNetwork, float]:
    """One unit at the last point, where its slope is largest, and how often that point occurs."""
    steepest = {"gelu": np.sqrt(2.0), "silu": 2.39935727, "tanh": 0.0}.get(activation, 40.0)
    # Sharp beside the next gap, and so sharp that its value at the point is far below one.
    w = 1e4 * weight / float(np.min(np.diff(np.unique(x))))
    return SmoothNetwork([w], [steepest - w * x.max()], [-weight / w], 0.0, 0.0, activation), float(
        np.sum(x == x.max())
    )


def assert_falls(x: FloatArray, activation: AnyActivation) -> float:
    """Return by how much the loss falls below -100, at 0.999 of the largest slope; it has to."""
    losses = []
    for weight in (1e6, 1e7):
        network, count = sharp_unit(x, activation, weight)
        beta = 0.999 * slope_range(activation)[1] * count
        losses.append(network.loss(x, beta, penalty="path norm"))
    return max(0.0, losses[1] + 100)


def test_units_that_overshoot_need_more_weight_decay(evidence: Evidence) -> None:
    falls = evidence("ours-slope-threshold", "falls-below-minus-100-under-the-threshold", 0.0).because(
        "a preset bound that the loss has to pass"
    )
    program = evidence("ours-slope-threshold", "linear-program-gives-the-largest-slope", 1e-3).because(
        "the grid of units"
    )
    for seed in range(3):
        x = data(seed, 5)
        for activation in ("softplus", "elu", "tanh", "gelu", "silu"):
            falls.holds(assert_falls(x, activation))
            found = smooth_threshold(x, activation=activation, sharpness=[1.0, 1e6], resolution=150)
            program.holds(abs(found - slope_range(activation)[1]))


def test_units_that_overshoot_on_structured_data(on_zoo: Evidence) -> None:
    falls = on_zoo("ours-slope-threshold", "falls-on-structured-data", 0.0).because(
        "a preset bound that the loss has to pass"
    )
    for name, x in samples(distinct=2):
        if np.ptp(x) > 100 or abs(x.max()) > 100:
            continue  # a bias of w x would lose the digits that place a sharp unit
        for activation in ("gelu", "silu"):
            falls.holds(assert_falls(x, activation), on=name)


def test_gelu_is_below_the_optimum_of_relus(evidence: Evidence) -> None:
    bad = evidence("ours-smooth-bound", "gelu-optimum-below", at_least=0.05, form="ours").because(
        "a twentieth of the optimum of ReLUs"
    )
    seen = evidence("ours-smooth-bound", "gelu-optimum-above-the-stretched-bound", 1e-9).because("rounding")
    x = data(1, 6)
    fit = score_matching(x, 2.0)
    for activation, variation in (("gelu", 1.515617), ("silu", 1.399358)):
        found = smooth_program(
            x,
            2.0,
            activation=activation,
            sharpness=[0.3, 1, 3, 10, 100, 1e4],
            resolution=40,  # type: ignore[arg-type]
        )
        assert abs(found.value - found.dual) <= 1e-8 * abs(found.value)
        bad.fails((fit.value - found.value) / abs(fit.value))
        bound = score_matching(x, 2.0 / variation).value
        seen.holds(max(0.0, bound - found.value) / abs(bound))


def ramp_program(x: FloatArray, beta: float) -> float:
    """Three layers of ReLUs, literally: half-lines and ramps between data points, each end open or not."""
    n = len(x)
    columns, counts = [], []
    ends = [(j, inside) for j in range(n) for inside in (True, False)]
    for j, inside in ends:
        for facing in (1.0, -1.0):
            u = facing * (x - x[j])
            columns.append(np.maximum(u, 0))
            counts.append(facing * np.sum(u >= 0 if inside else u > 0))
    for j, left in ends:
        for k, right in ends:
            if k < j or (k == j and not (left and right)):
                continue
            acts = (x >= x[j] if left else x > x[j]) & (x <= x[k] if right else x < x[k])
            columns.append(np.clip(x - x[j], 0, x[k] - x[j]))
            counts.append(float(np.sum(acts)))
    A = np.array(columns).T
    y, c = cp.Variable(A.shape[1]), cp.Variable()
    loss = cp.sum_squares(A @ y + c) / 2 + np.array(counts) @ y + beta * cp.norm1(y)
    program = cp.Problem(cp.Minimize(loss))
    program.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10)
    return float(program.value)


def test_tanh_is_above_three_layers_of_relus(evidence: Evidence) -> None:
    seen = evidence("ours-smooth-bound", "tanh-is-above-three-layers", 1e-7).because(
        "stopping rule of the solver"
    )
    for seed, beta in ((1, 2.0), (2, 2.4)):
        x = data(seed, 6)
        three = ramp_program(x, beta)
        assert three <= score_matching(x, beta).value + 1e-6  # a third layer can do what two can
        assert three >= score_matching(x, beta / 2).value - 1e-6  # at no more than twice the price
        found = smooth_program(
            x, beta, activation="tanh", sharpness=np.geomspace(0.3, 300, 10), resolution=25
        )
        seen.holds(max(0.0, three - found.dual) / abs(three))


def test_fixed_slopes_are_finite_far_below_one() -> None:
    """Units of slope one can not be sharp at one point: the threshold rises to 1 with the temperature."""
    found = [smooth_threshold(np.arange(6.0), temperature=tau) for tau in (1.0, 3.0, 10.0, 100.0)]
    # The grid can only raise them; other solvers give the same three digits.
    assert np.max(np.abs(np.array(found) - [0.004, 0.112, 0.478, 0.901])) <= 2e-3
    with pytest.raises(ValueError, match="no finite optimum"):
        smooth_program(np.arange(6.0), 0.3, temperature=10.0)


def squares_loss(theta: FloatArray, X: FloatArray, beta: float, m: int) -> tuple[float, FloatArray]:
    """A literal network of squares in d dimensions, m neurons for each output; and its gradient."""
    n, d = X.shape
    rows = np.hstack([X, np.ones((n, 1))])
    alpha, v, c = theta[: d * m].reshape(d, m), theta[d * m : -d].reshape(d, m, d + 1), theta[-d:]
    u = np.einsum("ni,kmi->nkm", rows, v)
    s = np.einsum("nkm,km->nk", u**2, alpha) + c
    norms = np.linalg.norm(v, axis=2)
    slope = np.array([v[k, :, k] for k in range(d)])  # the weight that output k has on input k
    loss = 0.5 * np.sum(s**2) + 2 * np.einsum("nkm,km,km->", u, alpha, slope)
    loss += beta / 3 * np.sum(np.abs(alpha) ** 3 + 2 * norms**3)
    by_alpha = np.einsum("nk,nkm->km", s, u**2) + 2 * u.sum(axis=0) * slope + beta * alpha * np.abs(alpha)
    by_u = 2 * s[:, :, None] * u * alpha + 2 * (alpha * slope)
    by_v = np.einsum("nkm,ni->kmi", by_u, rows) + 2 * beta * norms[..., None] * v
    for k in range(d):
        by_v[k, :, k] += 2 * u[:, k].sum(axis=0) * alpha[k]
    return float(loss), np.concatenate([by_alpha.ravel(), by_v.ravel(), s.sum(axis=0)])


def found_by_search(X: FloatArray, beta: float) -> float:
    d, m, rng = X.shape[1], 4, np.random.default_rng(0)
    losses = [
        minimize(squares_loss, 0.7 * rng.normal(size=d * m * (d + 2) + d), args=(X, beta, m), jac=True,
                 method="L-BFGS-B", options={"maxiter": 20_000, "maxfun": 40_000, "ftol": 1e-15}).fun
        for _ in range(6)
    ]  # fmt: skip
    return float(min(losses))


def test_squares_with_penalised_biases_are_a_semidefinite_program(evidence: Evidence) -> None:
    seen = evidence("ours-quadratic-sdp", "search-reaches-the-program", 1e-4).because(
        "the search stops near the optimum"
    )
    below = evidence("ours-quadratic-sdp", "search-is-not-below", 1e-6).because("stopping rule of the solver")
    for d, n in ((1, 15), (2, 20), (1, 8), (2, 12)):
        X = np.random.default_rng(n).gamma(2.0, size=(n, d)) - 1.5
        program = quadratic_program(X, 3.0)
        assert program.certificate.holds
        best = found_by_search(X, 3.0)
        below.holds(max(0.0, program.certificate.dual - best) / abs(program.value))
        seen.holds(abs(best - program.value) / abs(program.value))


def test_the_semidefinite_program_on_structured_data(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-quadratic-sdp", "bounds-meet-on-structured-data", 1e-6).because(
        "stopping rule of the solver"
    )
    below = on_zoo("ours-quadratic-sdp", "search-is-not-below-on-structured-data", 1e-6).because(
        "stopping rule of the solver"
    )
    for name, X in point_sets(1, 2):
        if np.linalg.norm(X, axis=1).max() > 10 or len(X) < 2:
            continue  # general solvers lose digits
        program = quadratic_program(X, 20.0)
        certificate = program.certificate
        assert certificate.infeasibility <= 1e-6, name
        size = max(abs(certificate.dual), 1.0)
        seen.holds(abs(certificate.gap) / size, on=name)
        start = np.random.default_rng(0).normal(size=4 * X.shape[1] * (X.shape[1] + 2) + X.shape[1])
        found = minimize(squares_loss, start, args=(X, 20.0, 4), jac=True, method="L-BFGS-B").fun
        below.holds(max(0.0, certificate.dual - found) / size, on=name)


def test_with_few_points_it_may_have_no_optimum() -> None:
    with pytest.raises(ValueError, match="no finite optimum"):
        quadratic_program(np.eye(2), 1.0)


def test_a_constant_is_returned_as_it_is() -> None:
    """Under much weight decay the optimum is zero: a solver's 1e-13 has no scale to be judged by."""
    enough = {"one point": 20.0, "two points": 20.0, "lattice": 20.0, "opposite pair": 4.0, "cross": 4.0}
    for name, X in point_sets(2):
        if name in enough:
            found = quadratic_program(X, enough[name])
            assert found.certificate.holds, name
            assert not found.matrices.any(), name
    X = np.array([[0.0], [1.0], [3.0]])
    found = quadratic_program(X, 1e3, targets=X)
    assert found.certificate.holds
    assert abs(found.value - 0.5 * np.sum((X - X.mean()) ** 2)) <= 1e-12  # rounding: the best constant


def test_a_false_matrix_is_rejected() -> None:
    X = np.random.default_rng(0).normal(size=(20, 2))
    found = quadratic_program(X, 3.0)
    assert found.certificate.holds
    assert not _judged(X, 1.01 * found.matrices, found.constants, 3.0, None).holds
    assert not _judged(X, found.matrices, found.constants, 2.9, None).holds
    assert found(X).shape == (20, 2)


def test_without_weight_decay_it_is_the_closed_form_of_free_biases() -> None:
    """With beta near zero both are plain score matching of parabolas."""
    from convexdiff_lib import quadratic_score_matching

    x = np.random.default_rng(1).gamma(2.0, size=15)
    free = quadratic_score_matching(x, 1e-9).value
    assert abs(quadratic_program(x, 1e-9).value - free) <= 1e-6 * abs(free)
    for beta in (0.5, 5.0):
        assert quadratic_program(x, beta).value >= quadratic_score_matching(x, beta).value - 1e-6


def test_thresholds_of_relus_are_met() -> None:
    x = data(0)
    found = smooth_threshold(x, activation="relu", sharpness=[1.0], resolution=5)
    assert abs(found - smallest_weight_decay(x)) <= 0.2  # the grid has one of the two readings at a point
