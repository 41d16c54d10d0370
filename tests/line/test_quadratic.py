"""Networks of squares: the closed form against literal networks, on random and on structured data."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from claims_witness import Evidence
from scipy.optimize import minimize
from zoo import denoising_tasks, samples

from convexdiff_lib import NotCertifiedError, quadratic_denoising, quadratic_score_matching
from convexdiff_lib._validation import FloatArray
from convexdiff_lib.line.quadratic import QuadraticScore, _certificate


def literal_loss(
    theta: FloatArray, x: FloatArray, beta: float, targets: FloatArray | None = None
) -> tuple[float, FloatArray]:
    """Loss of a network of squares and its gradient; theta holds alpha, w, b and the bias of the output."""
    m = (len(theta) - 1) // 3
    alpha, w, b = theta[:m], theta[m : 2 * m], theta[2 * m : 3 * m]
    u = np.multiply.outer(x, w) + b
    rest = u**2 @ alpha + theta[-1] - (0.0 if targets is None else targets)
    counted = 0.0 if targets is not None else 1.0
    loss = 0.5 * rest @ rest + counted * np.sum(2 * u @ (alpha * w))
    loss += beta / 3 * np.sum(np.abs(alpha) ** 3 + 2 * np.abs(w) ** 3)
    by_alpha = rest @ u**2 + counted * 2 * u.sum(axis=0) * w + beta * alpha * np.abs(alpha)
    by_b = 2 * rest @ u * alpha + counted * 2 * len(x) * alpha * w
    by_w = (
        2 * alpha * (rest[:, None] * u * x[:, None]).sum(axis=0)
        + counted * 2 * alpha * (u.sum(axis=0) + w * x.sum())
        + 2 * beta * w * np.abs(w)
    )
    return float(loss), np.concatenate([by_alpha, by_w, by_b, [rest.sum()]])


def searched(x: FloatArray, beta: float, targets: FloatArray | None = None, starts: int = 6) -> float:
    """The lowest loss of a network of four squares that L-BFGS finds."""
    rng = np.random.default_rng(0)
    losses = [
        minimize(
            literal_loss, rng.normal(size=13), args=(x, beta, targets), jac=True, method="L-BFGS-B",
            options={"maxiter": 20_000, "maxfun": 40_000, "ftol": 1e-15, "gtol": 1e-10},
        ).fun
        for _ in range(starts)
    ]  # fmt: skip
    return float(min(losses))


def nearly(fit: QuadraticScore, size: float) -> FloatArray:
    """A network of three squares: one makes A x^2, two a line, as good as their biases are large."""
    A, B, C = (float(part) for part in fit.coefficients)
    centre, small = fit.centre, 1 / size
    root = abs(A) ** (1 / 3)
    first = [np.sign(A) * root, root, -root * centre]
    turn = np.sign(B) * small if B else small
    bias = B / (4 * turn * small) if B else 0.0
    # turn ((small u + bias)^2 - (small u - bias)^2) = 4 turn small bias u
    second = [turn, small, bias - small * centre]
    third = [-turn, small, -bias - small * centre]
    return np.append(np.array([first, second, third]).T.ravel(), C)


def exact(x: list[Fraction], beta: Fraction) -> Fraction:
    """The closed form in rational numbers."""
    n = Fraction(len(x))
    mean = sum(x, Fraction(0)) / n
    m2, m3, m4 = (sum(((p - mean) ** k for p in x), Fraction(0)) / n for k in (2, 3, 4))
    k, Q = n * m3 / m2, n * (m4 - m3**2 / m2 - m2**2)
    over = max(abs(k) - beta, Fraction(0))
    return -n / (2 * m2) - (over**2 / (2 * Q) if Q else Fraction(0))


def test_the_closed_form_is_certified_and_exact(evidence: Evidence) -> None:
    seen = evidence("ours-quadratic", "closed-form-in-exact-numbers", 1e-10).because("rounding")
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = np.round(rng.gamma(2.0, size=int(rng.integers(3, 30))), 2)
        beta = float(rng.choice([0.125, 2.0, 16.0]))
        fit = quadratic_score_matching(x, beta)
        assert fit.certificate.holds
        truth = exact([Fraction(p) for p in x.tolist()], Fraction(beta))
        seen.holds(abs(fit.value - float(truth)) / abs(float(truth)))


def test_the_closed_form_on_structured_data(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-quadratic", "closed-form-on-structured-data", 1e-9).because("rounding")
    for name, x in samples(distinct=2):
        for beta in (0.5, 3.0):
            if len(set(x)) == 2 and len(set(np.unique(x, return_counts=True)[1])) > 1:
                continue  # see below
            truth = float(exact([Fraction(p) for p in x.tolist()], Fraction(beta)))
            seen.holds(abs(quadratic_score_matching(x, beta).value - truth) / abs(truth), on=name)


def test_a_search_never_goes_below_and_comes_close(evidence: Evidence) -> None:
    below = evidence("ours-quadratic", "search-is-never-below", 1e-9).because("rounding")
    close = evidence("ours-quadratic", "search-comes-close", 1e-3).because(
        "the infimum is approached as biases grow, slowly"
    )
    for seed, beta in ((0, 0.5), (1, 2.0), (2, 5.0)):
        x = np.random.default_rng(seed).gamma(2.0, size=12)
        fit = quadratic_score_matching(x, beta)
        best = searched(x, beta)
        below.holds(max(0.0, fit.value - best) / abs(fit.value))
        close.holds(abs(best - fit.value) / abs(fit.value))
        targets = np.random.default_rng(seed + 9).normal(size=12)
        fit = quadratic_denoising(x, targets, beta)
        best = searched(x, beta, targets)
        below.holds(max(0.0, fit.value - best) / abs(fit.value))
        close.holds(abs(best - fit.value) / abs(fit.value))


def test_networks_tend_to_the_infimum(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-quadratic", "networks-of-large-bias-tend-to-it", 1e-3).because(
        "twice 1e-9 / 3 for the two neurons that make the line, and what rounding of large biases costs"
    )
    for name, x in samples(distinct=3):
        if np.ptp(x) > 100:
            continue  # large biases, and large points: rounding
        fit = quadratic_score_matching(x, 0.5)
        loss, _ = literal_loss(nearly(fit, 1e3), x, 0.5)
        seen.holds(abs(loss - fit.value) / abs(fit.value), on=name)
        coarse, _ = literal_loss(nearly(fit, 10.0), x, 0.5)
        assert coarse >= fit.value - 1e-9  # rounding


def test_denoising_on_structured_data() -> None:
    for name, x, targets in denoising_tasks():
        fit = quadratic_denoising(x, targets, 0.3)
        assert fit.certificate.holds, name
        rng = np.random.default_rng(0)
        for _ in range(5):
            moved = fit.coefficients + rng.normal(size=3) * 10.0 ** rng.uniform(-6, 0)
            u = x - fit.centre
            worse = 0.5 * np.sum((np.polyval(moved, u) - targets) ** 2) + 0.3 * abs(moved[0])
            assert worse >= fit.value - 1e-9 * (1 + abs(worse)), name  # rounding


def test_two_points_of_unlike_multiplicity_have_a_threshold() -> None:
    x = [0.0, 0.0, 3.0]
    with pytest.raises(ValueError, match="below 3"):
        quadratic_score_matching(x, 2.9)
    assert quadratic_score_matching(x, 3.1).curvature == 0.0
    square = np.array([1.0, -3.0, 0.0])  # zero at the data
    losses = [t * (3 * square[1] + 6 * square[0]) + 2.9 * abs(t) for t in (1.0, 10.0)]
    assert losses[1] <= losses[0] - 0.5  # falls without limit
    with pytest.raises(ValueError, match="two distinct points"):
        quadratic_score_matching([1.0, 1.0], 5.0)


def test_a_false_parabola_is_rejected() -> None:
    x = np.random.default_rng(0).gamma(2.0, size=30)
    fit = quadratic_score_matching(x, 5.0)
    u = x - fit.centre
    for part in range(3):
        wrong = fit.coefficients.copy()
        wrong[part] *= 1 + 1e-3
        assert not _certificate(u, wrong, 5.0, None).holds
    without = np.array([0.0, -1 / np.mean(u**2), 0.0])  # the fitted Gaussian, although the data are skew
    assert not _certificate(u, without, 5.0, None).holds
    assert not _certificate(u, fit.coefficients, 4.0, None).holds


def test_only_the_gaussian_has_a_density() -> None:
    skew = np.random.default_rng(0).gamma(2.0, size=30)
    assert not quadratic_score_matching(skew, 1.0).is_normalisable
    assert quadratic_score_matching(skew, 1e4).is_normalisable
    fit = quadratic_score_matching(skew, 1.0)
    far = fit.centre + np.sign(fit.curvature) * 1e6
    assert np.sign(fit(far)) == np.sign(fit.curvature)  # it drives outwards there


def test_what_rounding_spoils_is_refused() -> None:
    with pytest.raises(NotCertifiedError, match="parabola") as refused:
        quadratic_score_matching([0.0, 1e-13, 1.0], 0.1)
    assert isinstance(refused.value.found, QuadraticScore)
