"""Training in space, and in the plane with biases: other routes, by hand, on structured data."""

from __future__ import annotations

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
import torch
from claims_witness import Evidence
from strategies import every_activation

from convexdiff_lib import denoising_loss, score_matching_loss, wedge_denoising
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.paper.nonconvex import train_multivariate
from convexdiff_lib.space._few_neurons import Candidate, merged
from convexdiff_lib.space._scaled import Scaled
from convexdiff_lib.space.circles import cut_circle
from convexdiff_lib.space.neurons import Neurons
from convexdiff_lib.space.planar import planar_critical_weight_decay, planar_denoising, planar_score_matching
from convexdiff_lib.space.planar_certificates import certify_planar
from convexdiff_lib.space.problem import planar_problem

ROUNDING = 1e-9  # relative, of responses recomputed at given directions


def normal(seed: int, n: int, d: int = 3) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(n, d))


CUBE = np.array([[a, b, c] for a in (-1.0, 1.0) for b in (-1.0, 1.0) for c in (-1.0, 1.0)])
SPACE = {
    "one point": np.array([[1.0, 2.0, 2.0]]),
    "two points": normal(0, 2),
    "axes": np.eye(3),
    "axes and their opposites": np.vstack([np.eye(3), -np.eye(3)]),
    "cube": CUBE,
    "one opposite": np.vstack([normal(1, 4), -normal(1, 1)]),
    "duplicated": np.repeat(normal(2, 3), 2, axis=0),
    "in a plane": normal(3, 5, 2) @ normal(4, 2, 3),
    "on a line": np.outer([1.0, -2.0, 3.0], [1.0, 1.0, 2.0]),
    "a zero row": np.vstack([normal(5, 3), np.zeros((1, 3))]),
    "tied lengths": normal(6, 5) / np.linalg.norm(normal(6, 5), axis=1, keepdims=True),
    "plain": normal(7, 7),
}


def responses(rows: FloatArray, Q: FloatArray, u: FloatArray, activation: Activation, d: int) -> FloatArray:
    """|Q^T sigma(rows u) - t(u) u| by brute force; ``d`` coordinates of u have a slope, 0 for denoising."""
    values = u @ rows.T
    relu = activation == "relu"
    active = np.where(values >= 0, 1.0, 0.0 if relu else -1.0)
    slopes = active.sum(axis=1)[:, None] * u[:, :d] if d else 0.0
    return np.asarray(np.linalg.norm((active * values) @ Q - slopes, axis=1))


def directions(rows: FloatArray, count: int) -> FloatArray:
    """Unit vectors, half of them beside rays where the hyperplanes of two rows meet."""
    rng = np.random.default_rng(len(rows))
    pairs = rng.integers(len(rows), size=(count // 2, 2))
    rays = np.cross(rows[pairs[:, 0]], rows[pairs[:, 1]])
    rays = rays[np.linalg.norm(rays, axis=1) > 1e-6] * rng.choice([-1.0, 1.0])
    rays = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    u = np.vstack([rng.normal(size=(count, 3)), rays + 1e-9 * rng.normal(size=rays.shape)])
    return u / np.linalg.norm(u, axis=1, keepdims=True)


@every_activation
@pytest.mark.parametrize("name", SPACE)
def test_score_matching_on_structured_points(name: str, activation: Activation, on_zoo: Evidence) -> None:
    seen = on_zoo("ours-multivariate-space", "certified-optimum-on-structured-data", 1e-8).because(
        "plain loss less the dual value, and imbalances over a net of directions and beside rays"
    )
    X = SPACE[name]
    lower, upper = planar_critical_weight_decay(X, activation=activation)
    assert upper - lower <= 1e-6 * upper + 1e-8  # the threshold of symmetric points is zero
    for factor in (1.1, 2.0):
        fit = planar_score_matching(X, max(factor * upper, 0.1), activation=activation)
        assert fit.certificate.holds
        excess = responses(X, fit.Q, directions(X, 4000), activation, 3).max() / fit.beta - 1
        gap = score_matching_loss(fit.network(), X, fit.beta) + 0.5 * np.sum(fit.Q**2)
        scale = max(fit.certificate.scale, 1e-300)
        seen.holds(max(excess, abs(gap) / scale, 0.0), on=name)
    if lower > 0.01:
        with pytest.raises(ValueError, match="no lower bound"):
            planar_score_matching(X, 0.98 * lower, activation=activation)


@pytest.mark.parametrize("name", SPACE)
def test_denoising_equals_the_wedge_program(name: str) -> None:
    """Two codes: the wedge program searches the eigenvectors and planes of all chambers for its own dual."""
    X = SPACE[name]
    L = normal(11, len(X))
    for beta in (0.05, 0.5):
        fit = planar_denoising(X, L, beta)
        other = wedge_denoising(X, L, beta, p=2, exact=True)
        assert fit.certificate.holds
        # Both are certified to 1e-8; its loss has no one half.
        assert abs(2 * fit.value - other.value) <= 4e-8 * np.sum(L**2)


@pytest.mark.parametrize("penalise_bias", [True, False])
def test_denoising_with_biases_equals_the_wedge_program(penalise_bias: bool, evidence: Evidence) -> None:
    seen = evidence(
        "ours-multivariate-space", "denoising-with-biases-equals-the-wedge-program", 4e-8
    ).because("two certificates of 1e-8, in units of the targets; the other loss has no one half")
    for seed, n in ((0, 1), (1, 3), (2, 8), (3, 14)):
        X, L = normal(seed, n, 2), normal(seed + 50, n, 2)
        for beta in (0.02, 0.3):
            fit = planar_denoising(X, L, beta, bias=True, penalise_bias=penalise_bias)
            other = wedge_denoising(X, L, beta, p=2, exact=True, bias=True, penalise_bias=penalise_bias)
            assert fit.certificate.holds
            seen.holds(abs(2 * fit.value - other.value) / np.sum(L**2))


def test_one_point_in_space_by_hand() -> None:
    """A network sends x to v at the price beta |v| / |x|: the target, shrunk."""
    fit = planar_denoising([[0.0, 0.0, 2.0]], [[0.6, 0.0, 0.8]], 0.5)
    assert np.max(np.abs(fit([[0.0, 0.0, 2.0]]) - 0.75 * np.array([[0.6, 0.0, 0.8]]))) <= 1e-9


def test_the_axes_and_their_opposites_by_hand() -> None:
    """With Q = (3 - beta) X the response is (3 - beta - 3) u on every octant, of length beta."""
    X = SPACE["axes and their opposites"]
    for beta in (0.5, 1.0, 2.5):
        fit = planar_score_matching(X, beta)
        assert np.max(np.abs(fit.Q - (3 - beta) * X)) <= 1e-7  # the root of the gap
        assert abs(fit.value + 3 * (3 - beta) ** 2) <= 1e-9


def dictionary_optimum(X: FloatArray, beta: float) -> float:
    """Score matching with neurons of a dictionary, beside rays and planes and everywhere: an upper bound."""
    u = directions(X, 3000)
    values = np.maximum(X @ u.T, 0.0)
    Z = cp.Variable((len(u), 3))
    slopes = np.sum(X @ u.T >= 0, axis=0)[:, None] * u
    loss = 0.5 * cp.sum_squares(values @ Z) + cp.sum(cp.multiply(slopes, Z))
    return float(cp.Problem(cp.Minimize(loss + beta * cp.sum(cp.norm(Z, axis=1)))).solve(solver=cp.CLARABEL))


def test_no_dictionary_is_below_and_a_dense_one_is_near() -> None:
    X = normal(1, 6)
    fit = planar_score_matching(X, 4.0)
    dense = dictionary_optimum(X, 4.0)
    assert fit.certificate.dual <= dense + 1e-6 * abs(dense)  # the general solver's tolerance
    assert dense - fit.value <= 6e-2 * abs(fit.value)  # a dictionary of 4,500 is coarse on a sphere


@pytest.mark.parametrize("penalise_bias", [True, False])
@every_activation
def test_score_matching_with_biases(activation: Activation, penalise_bias: bool) -> None:
    for X in (normal(0, 6, 2), np.repeat(normal(1, 4, 2), 2, axis=0), CUBE[:4, 1:], CUBE[:4, 1:] + 5.0):
        upper = planar_critical_weight_decay(
            X, activation=activation, bias=True, penalise_bias=penalise_bias
        )[1]
        fit = planar_score_matching(
            X, 1.2 * upper + 0.1, activation=activation, bias=True, penalise_bias=penalise_bias
        )
        assert fit.certificate.holds
        net, beta = fit.network(), fit.beta
        price = 0.5 * beta * float(net.b1 @ net.b1) if penalise_bias else 0.0
        assert abs(score_matching_loss(net, X, beta) + price - fit.value) <= 1e-9 * fit.certificate.scale
        u = directions(np.column_stack([X, np.ones(len(X))]), 4000)
        if penalise_bias:
            assert not net.b2.any()
        else:
            u = u / np.linalg.norm(u[:, :2], axis=1, keepdims=True)
            assert np.max(np.abs(fit.Q.sum(axis=0))) <= 1e-9 * np.abs(fit.Q).sum()  # a constant is free
        rows = np.column_stack([X, np.ones(len(X))])
        assert responses(rows, fit.Q, u, activation, 2).max() <= beta * (1 + ROUNDING)


def test_free_biases_move_with_the_data() -> None:
    X, L = normal(4, 12, 2), normal(5, 12, 2)
    here = planar_denoising(X, L, 0.3, bias=True, penalise_bias=False)
    there = planar_denoising(X + 100.0, L, 0.3, bias=True, penalise_bias=False)
    assert abs(here.value - there.value) <= 1e-8 * here.value
    assert np.max(np.abs(here(X) - there(X + 100.0))) <= 1e-6  # digits that the shift costs


def test_with_biases_the_optimum_is_no_higher() -> None:
    """A network without biases is one with biases of zero; and biases that cost nothing are worth more."""
    X = normal(6, 10, 2)
    plain, priced, free = (
        planar_score_matching(X, 5.0, **kind).value
        for kind in ({}, {"bias": True}, {"bias": True, "penalise_bias": False})
    )
    assert free <= priced * (1 - 1e-3)
    assert priced <= plain * (1 - 1e-3)


def test_the_certificate_rejects() -> None:
    X = normal(8, 9)
    fit = planar_score_matching(X, 4.0)
    problem, net = planar_problem(X, 4.0), fit.network()
    assert net.width > 2
    assert certify_planar(problem, net, fit.Q).holds
    assert not certify_planar(problem, replace(net, W1=1.01 * net.W1), fit.Q).holds
    assert not certify_planar(problem, net, 0.99 * fit.Q).holds
    assert not certify_planar(planar_problem(X, 3.9), net, fit.Q).holds
    with pytest.raises(ValueError, match="no biases"):
        certify_planar(problem, replace(net, b1=net.b1 + 1.0), fit.Q)


def test_a_bias_that_costs_is_counted() -> None:
    X = normal(9, 8, 2)
    fit = planar_denoising(X, normal(10, 8, 2), 0.2, bias=True)
    net = fit.network()
    price = 0.1 * float(net.b1 @ net.b1)
    assert price > 0.01
    assert abs(denoising_loss(net, X, normal(10, 8, 2), 0.2) + price - fit.value) <= 1e-12 * np.sum(X**2)
    free = planar_problem(X, 0.2, targets=normal(10, 8, 2), bias=True, penalise_bias=False)
    assert not certify_planar(free, net, fit.Q).holds


def test_a_free_constant_takes_the_mean_from_the_dual_variable() -> None:
    """Only what Q says of differences counts: a candidate with a mean is judged without it."""
    X, L = normal(9, 8, 2), normal(10, 8, 2)
    fit = planar_denoising(X, L, 0.3, bias=True, penalise_bias=False)
    problem = planar_problem(X, 0.3, targets=L, bias=True, penalise_bias=False)
    moved = certify_planar(problem, fit.network(), fit.Q + np.array([2.0, -1.0]))
    assert moved.holds
    assert abs(moved.dual - fit.certificate.dual) <= 1e-12 * np.sum(L**2)  # rounding


def two_neurons(Q: FloatArray, apart: float, signs: FloatArray) -> Candidate:
    """Two neurons a small angle apart, which leave the dual variable Q."""
    X = np.array([[0.3, 1.0], [0.4, -1.0], [1.0, 0.0]])
    directions = np.array([[np.cos(a), np.sin(a)] for a in (-apart / 2, apart / 2)])
    neurons = Neurons(signs, directions, directions, np.full(2, -1))
    weights = np.array([[1.0, 0.0], [1.0, 0.0]])
    goal = neurons.features(X).T @ weights + Q
    return Candidate(Scaled(X, goal, 0.1, cut_circle(X, "relu"), None, np.ones(2), False), neurons, weights)


@pytest.mark.parametrize(("Q", "left"), [([[0, 0], [0, 0], [1, 0]], 1), ([[0, 1], [0, 0], [0, -0.3]], 2)])
def test_two_neurons_are_one_only_on_a_hill(Q: list[list[float]], left: int) -> None:
    """The responses are the cosine and the sine of the angle: a hill between the two neurons, and a valley.

    At the ends of a valley there are two neurons, however close they are.
    """
    candidate = two_neurons(np.array(Q), 1e-2, np.ones((2, 3)))
    assert len(merged(candidate).weights) == left


def test_two_neurons_on_a_wall_are_one_where_slopes_do_not_count() -> None:
    candidate = two_neurons(np.zeros((3, 2)), 0.0, np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 1.0]]))
    assert len(merged(candidate).weights) == 1
    sloped = replace(candidate, problem=replace(candidate.problem, slope=np.eye(2)))
    assert len(merged(sloped).weights) == 2


@every_activation
def test_no_trained_network_is_below_in_space(activation: Activation) -> None:
    X = normal(2, 8)
    beta = 1.5 * planar_critical_weight_decay(X, activation=activation)[1]
    fit = planar_score_matching(X, beta, activation=activation)
    generator = torch.Generator().manual_seed(0)
    runs = train_multivariate(
        X, None, beta, activation=activation, width=20, n_trials=30, n_epochs=200, generator=generator
    )
    assert runs.losses.min() >= fit.certificate.dual - 1e-9 * abs(fit.value)


def test_dimensions_that_are_not_offered() -> None:
    with pytest.raises(ValueError, match=r"\(n, 2\) or \(n, 3\); got \(5, 4\)"):
        planar_denoising(normal(0, 5, 4), normal(1, 5, 4), 1.0)
    with pytest.raises(ValueError, match=r"where there are biases; got \(5, 3\)"):
        planar_score_matching(normal(0, 5), 9.0, bias=True)
