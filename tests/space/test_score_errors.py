"""The certificates in many dimensions bound the error of the score at every data point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from convexdiff_lib._validation import FloatArray
from convexdiff_lib.certificates import Certificate
from convexdiff_lib.networks import TwoLayerNetwork
from convexdiff_lib.space.arrangements import enumerate_arrangements
from convexdiff_lib.space.gated import (
    certify_gated,
    critical_weight_decay,
    gated_denoising,
    gated_score_matching,
)
from convexdiff_lib.space.group_lasso import certify_group_lasso, solve_group_lasso
from convexdiff_lib.space.planar import planar_critical_weight_decay, planar_denoising, planar_score_matching
from convexdiff_lib.space.planar_certificates import certify_planar_denoising, certify_planar_score_matching
from convexdiff_lib.space.wedge import certify_wedge, wedge_denoising


@dataclass
class Solved:
    """An optimum: its score at the data, and the certificate of what it becomes when scaled by a factor."""

    X: FloatArray
    scores: FloatArray
    targets: FloatArray | None
    certified: Callable[[float], Certificate]

    def ratio(self, factor: float) -> float:
        """The error of the scaled score, as the certificate should bound it: worked out here from scratch."""
        worst = 0.0
        for x, score in zip(self.X, self.scores, strict=True):
            if self.targets is None:
                natural = 1 / np.hypot.reduce(x)
            else:
                natural = (sum(float(t @ t) for t in self.targets) / len(self.targets)) ** 0.5
            worst = max(
                worst, np.hypot.reduce((factor - 1) * score) / max(np.hypot.reduce(factor * score), natural)
            )
        return float(worst)


def scaled(network: TwoLayerNetwork, factor: float) -> TwoLayerNetwork:
    return replace(network, W2=factor * network.W2)


def planar(X: FloatArray, targets: FloatArray | None) -> Solved:
    if targets is None:
        fit = planar_score_matching(X, 1.5 * planar_critical_weight_decay(X)[1])
        beta = fit.beta
        return Solved(
            X,
            fit(X),
            None,
            lambda c: certify_planar_score_matching(X, scaled(fit.network(), c), fit.Q, beta),
        )
    fit = planar_denoising(X, targets, 0.3)
    return Solved(
        X,
        fit(X),
        targets,
        lambda c: certify_planar_denoising(X, targets, scaled(fit.network(), c), fit.Q, 0.3),
    )


def gated(X: FloatArray, targets: FloatArray | None) -> Solved:
    patterns = enumerate_arrangements(X).patterns
    if targets is None:
        fit = gated_score_matching(X, patterns, 1.5 * critical_weight_decay(X, patterns).value)
    else:
        fit = gated_denoising(X, targets, patterns, 0.3)
    return Solved(
        X, fit.fitted, targets, lambda c: certify_gated(X, targets, patterns, c * fit.W, fit.Q, fit.beta)
    )


def wedge(X: FloatArray, targets: FloatArray | None, p: int = 2) -> Solved:
    assert targets is not None
    fit = wedge_denoising(X, targets, 0.3, p=p, exact=True)
    return Solved(
        X,
        fit(X),
        targets,
        lambda c: certify_wedge(X, targets, scaled(fit.network(), c), fit.Q, 0.3, p=p, exact=True),
    )


def lasso(X: FloatArray, targets: FloatArray | None) -> Solved:
    assert targets is not None
    K = np.maximum(X @ np.random.default_rng(3).normal(size=(X.shape[1], 9)), 0)
    fit = solve_group_lasso(K, targets, 0.1)
    Z = np.zeros((K.shape[1], targets.shape[1]))
    Z[fit.features] = fit.Z
    return Solved(X, K @ Z, targets, lambda c: certify_group_lasso(K, targets, c * Z, fit.Q, 0.1))


POINTS = {
    "random": np.random.default_rng(0).normal(size=(6, 2)),
    "two lengths": np.array([[1.0, 0.5], [0.2, -1.0], [30.0, 20.0], [-10.0, 30.0]]),
    "duplicated": np.array([[1.0, 2.0], [1.0, 2.0], [-1.0, 1.0], [-1.0, 1.0]]),
    "cluster": np.array([[5.0, 0.25], [5.0, -0.25], [-5.0, 0.5], [-5.0, 1.0]]),
    "one point": np.array([[3.0, 4.0]]),
}
MATCHING = [planar, gated]
DENOISING = [planar, gated, wedge, lasso]


@pytest.mark.parametrize("name", POINTS)
@pytest.mark.parametrize(
    ("solve", "denoising"), [(s, False) for s in MATCHING] + [(s, True) for s in DENOISING]
)
def test_a_certificate_sees_how_far_a_score_is_off(
    solve: Callable[..., Solved], denoising: bool, name: str
) -> None:
    X = POINTS[name]
    targets = np.random.default_rng(1).normal(size=X.shape) if denoising else None
    solved = solve(X, targets)
    best = solved.certified(1.0)
    assert best.holds is True
    for factor in (1 + 1e-6, 0.999, 1.2, 0.0, -1.0):
        found = solved.certified(factor)
        # The optimum itself is only known to its own bound.
        assert found.score_error is not None
        assert found.score_error >= solved.ratio(factor) * (1 - 1e-6) - 2 * (best.score_error or 0.0)
        assert not found.holds or solved.ratio(factor) <= 0.01
    assert solved.certified(1 + 1e-6).holds is True


def test_a_far_point_whose_score_is_wrong_is_seen() -> None:
    # A far point's score is small, so that losing all of it costs a loss of a millionth, or less.
    # Each neuron counts the other point, too, so its slope is 2 - beta over the squared length of its own.
    X, beta = np.diag([1e-2, 1e2]), 1.2
    u = np.sqrt(2 - beta) / X.diagonal() * np.eye(2)
    network = TwoLayerNetwork(u, np.zeros(2), -u, np.zeros(2), np.zeros((2, 2)))
    Q = (2 - beta) * np.linalg.inv(X)
    assert certify_planar_score_matching(X, network, Q, beta).holds is True
    wrong = replace(network, W2=network.W2 * [1.0, 0.5])
    found = certify_planar_score_matching(X, wrong, Q, beta)
    assert found.relative_gap <= found.gap_tolerance
    assert found.infeasibility <= found.feasibility_tolerance
    assert found.holds is False
