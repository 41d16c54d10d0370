"""Evidence that the plane is solved: against a semidefinite program, and against trained networks."""

from __future__ import annotations

from itertools import pairwise

import cvxpy as cp
import numpy as np
import pytest
import torch
from claims_witness import Evidence
from strategies import EXACTLY, every_activation

from convexdiff_lib import score_matching_loss
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.paper.nonconvex import train_multivariate
from convexdiff_lib.space.arrangements import enumerate_arrangements
from convexdiff_lib.space.gated import critical_weight_decay
from convexdiff_lib.space.planar import planar_critical_weight_decay, planar_score_matching

ROTATE = np.array([[0.0, -1.0], [1.0, 0.0]])


def arcs_of(X: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
    """Unit vectors at both ends of every arc between lines orthogonal to the points; wide arcs are split."""
    normals = X @ ROTATE.T
    angles = np.sort(np.arctan2(*np.vstack([normals, -normals]).T[::-1]))
    angles = np.append(angles, angles[0] + 2 * np.pi)
    ends = [np.linspace(a, b, 1 + int(np.ceil((b - a) / 1.5))) for a, b in pairwise(angles)]
    unit = [np.column_stack([np.cos(t), np.sin(t)]) for t in ends]
    return [(u[i], u[i + 1]) for u in unit for i in range(len(u) - 1)]


def semidefinite_dual(X: FloatArray, activation: Activation, beta: float | None) -> float:
    """The dual over all arcs as linear matrix inequalities; without beta, the critical weight decay.

    On the cone of u = a s + b t with s, t >= 0 the constraint |M^T u| <= beta |u| says that a
    symmetric matrix of order two is copositive: positive semidefinite plus a non-negative off-diagonal entry.
    """
    Q = cp.Variable(X.shape)
    radius = cp.Variable() if beta is None else beta
    rows = []
    for a, b in arcs_of(X):
        on = X @ (a + b) > 0
        D = on.astype(float) if activation == "relu" else np.where(on, 1.0, -1.0)
        cone = np.column_stack([a, b])
        M_u = (X.T @ np.diag(D) @ Q - D.sum() * np.eye(2)).T @ cone
        slack = cp.Variable(nonneg=True)
        flip = np.array([[0.0, 1.0], [1.0, 0.0]])
        # Scaled by the radius, so that it is linear in the radius too.
        corner = radius * (cone.T @ cone) - slack * flip
        rows.append(cp.bmat([[corner, M_u.T], [M_u, radius * np.eye(2)]]) >> 0)
    if beta is None:
        return float(cp.Problem(cp.Minimize(radius), rows).solve(solver=cp.CLARABEL, **EXACTLY))
    dual = cp.Problem(cp.Maximize(-0.5 * cp.sum_squares(Q)), rows)
    return float(dual.solve(solver=cp.CLARABEL, **EXACTLY))


def instance(seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    n = 2 + seed % 6
    return rng.normal(size=(n, 2)) if seed % 3 else rng.standard_cauchy(size=(n, 2))


@every_activation
def test_column_generation_equals_a_semidefinite_program(activation, evidence: Evidence):
    seen = evidence(
        "ours-multivariate-columns", "certified-optimum-equals-semidefinite-program", 1e-6
    ).because("tolerance of the general-purpose solver, in units of the loss of a simple score")
    for seed in range(12):
        X = instance(seed)
        critical = planar_critical_weight_decay(X, activation=activation)[1]
        for factor in (1.2, 2.0):
            beta = factor * critical
            fit = planar_score_matching(X, beta, activation=activation)
            scale = max(abs(fit.value), 2 * len(X) ** 2 / np.sum(X**2))
            seen.holds(abs(semidefinite_dual(X, activation, beta) - fit.value) / scale)


@every_activation
def test_threshold_equals_a_semidefinite_program(activation, evidence: Evidence):
    seen = evidence(
        "ours-multivariate-columns", "critical-weight-decay-equals-semidefinite-program", 1e-5
    ).because("tolerance of the general-purpose solver")
    floor = 0.5 if activation == "relu" else 1.0
    for seed in range(12):
        X = instance(seed)
        lower, upper = planar_critical_weight_decay(X, activation=activation)
        seen.holds(abs(semidefinite_dual(X, activation, None) / upper - 1))
        assert lower >= floor - 1e-6  # half the jump of a count, to the precision of the bound
        gated = critical_weight_decay(X, enumerate_arrangements(X, activation=activation).patterns)
        assert lower <= gated.value * (1 + 1e-6)


@every_activation
def test_no_trained_network_is_below(activation, evidence: Evidence):
    seen = evidence("ours-multivariate-columns", "certified-bound-minus-lowest-of-sixty-runs", 1e-9).because(
        "rounding; the amount by which training falls below the bound, in units of the optimum"
    )
    for seed in range(4):
        X = np.random.default_rng(seed).normal(size=(6, 2))
        beta = 1.3 * planar_critical_weight_decay(X, activation=activation)[1]
        fit = planar_score_matching(X, beta, activation=activation)
        generator = torch.Generator().manual_seed(seed)
        runs = train_multivariate(
            X, None, beta, activation=activation, width=20, n_trials=60, n_epochs=200, generator=generator
        )
        assert len(runs.losses) == 60
        seen.holds(max(0.0, (fit.certificate.dual - runs.losses.min()) / abs(fit.value)))
        recomputed = [score_matching_loss(net, X, beta) for net in runs.networks]
        assert np.max(np.abs(runs.losses - recomputed)) <= 1e-9 * abs(fit.value)  # rounding


@every_activation
def test_between_the_threshold_and_a_little_above(activation: Activation) -> None:
    """A share of 3e-4 above the critical weight decay there is an optimum; below, the error names it."""
    X = np.random.default_rng(3).normal(size=(6, 2))
    lower, upper = planar_critical_weight_decay(X, activation=activation)
    assert planar_score_matching(X, 1.0003 * upper, activation=activation).certificate.holds
    with pytest.raises(ValueError, match=f"above {upper:.6g}"):
        planar_score_matching(X, 0.999 * lower, activation=activation)
