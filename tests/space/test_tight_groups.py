"""Points in groups that are small or given twice: many networks are nearly optimal.

There a network of few neurons lies in a long valley, and two close neurons may do better than one between.
"""

from __future__ import annotations

import numpy as np
import pytest
from zoo import point_sets

from convexdiff_lib._validation import FloatArray
from convexdiff_lib.space._finite_program import SHARPLY, solve_finite
from convexdiff_lib.space.planar import planar_denoising

GROUPS = dict(point_sets(2))
CROSS = np.sqrt(2) * np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])


def noisy(name: str, sigma: float) -> tuple[FloatArray, FloatArray]:
    """Four noisy points a point, on a small cross around it, and the targets of denoising."""
    points = GROUPS[name] / np.abs(GROUPS[name]).max()
    X = (points[:, None] + sigma * CROSS).reshape(-1, 2)
    return X, np.tile(-CROSS / sigma, (len(points), 1))


@pytest.mark.parametrize("name", ["one opposite row", "parallel rows", "collinear beside zero"])
def test_groups_a_thousandth_of_their_distance(name: str) -> None:
    X, L = noisy(name, 1e-3)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    order = np.random.default_rng(0).permutation(len(X))
    fits = [
        planar_denoising(A, B, 0.5, bias=True, penalise_bias=False)
        for A, B in ((X, L), (X[order], L[order]), (X @ turn.T, L @ turn.T))
    ]
    assert all(fit.certificate.holds for fit in fits)
    values = [fit.value for fit in fits]
    assert max(values) - min(values) <= 2e-8 * values[0]  # the gaps that two certificates allow


@pytest.mark.parametrize("seed", [0, 12, 19, 23])
def test_points_given_twice_with_two_targets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = np.repeat(rng.normal(size=(6, 2)), 2, axis=0)
    L = rng.normal(size=X.shape)
    beta = 0.05 * float(np.linalg.norm(X.T @ L))
    fit = planar_denoising(X, L, beta, bias=True, penalise_bias=False)
    assert fit.certificate.holds
    # What is seen of the targets is their mean over a point: the rest is a constant of the loss.
    mean = L.reshape(-1, 2, 2).mean(axis=1).repeat(2, axis=0)
    same = planar_denoising(X, mean, beta, bias=True, penalise_bias=False)
    rest = 0.5 * float(np.sum((L - mean) ** 2))
    assert abs(fit.value - same.value - rest) <= 2e-8 * fit.value  # as above


@pytest.mark.parametrize(("k", "n"), [(4, 9), (9, 9), (30, 9)])
def test_dual_variable_of_the_finite_program(k: int, n: int) -> None:
    """It meets every constraint, leaves what no neuron sees as it is, and belongs to the weights."""
    rng = np.random.default_rng(k)
    features, goal = rng.normal(size=(k, n)), rng.normal(size=(n, 2))
    solution = solve_finite(features, np.zeros((k, 2)), goal, 1.5, SHARPLY)
    assert solution is not None
    weights, Q = solution
    assert np.linalg.norm(features @ Q, axis=1).max() <= 1.5 + 1e-8  # a hundred times the program's tolerance
    assert np.abs(goal - features.T @ weights - Q).max() <= 1e-4  # ten times its root
