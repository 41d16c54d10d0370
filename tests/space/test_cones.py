"""The cone decomposition: neurons from blocks, in every cone and with the promised count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import checked, every_activation, sampled_patterns

from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.space.cones import network_from_blocks, split_in_cone


def block_values(X: FloatArray, patterns: FloatArray, W: FloatArray) -> FloatArray:
    return np.asarray(sum((p[:, None] * X) @ block for p, block in zip(patterns, W, strict=True)))


def test_split_by_hand() -> None:
    """The quadrant, u = (1, -2), g = (1, 1): t = 2, up to the room that keeps rows off the boundary."""
    inside, t = split_in_cone([1.0, -2.0], np.eye(2), [1.0, 1.0])
    assert abs(t - 2.0) <= 1e-5
    assert inside[1] > 0
    assert split_in_cone([1.0, 2.0], np.eye(2), [1.0, 1.0])[1] == 0.0


@checked
@given(seed=st.integers(0, 2**16), n=st.integers(1, 12), d=st.integers(1, 4))
def test_split_is_inside_and_adds_up(seed: int, n: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    generator, u = rng.normal(size=d), rng.normal(size=d)
    rows = rng.normal(size=(n, d))
    rows *= np.sign(rows @ generator)[:, None]
    inside, t = split_in_cone(u, rows, generator)
    assert t >= 0
    assert (rows @ inside).min() > 0
    assert np.max(np.abs(inside - t * generator - u)) <= 1e-12 * (1 + t)


@every_activation
@pytest.mark.parametrize(("n", "d"), [(1, 1), (2, 1), (1, 2), (2, 3), (7, 2), (12, 3), (10, 4)])
def test_network_has_the_values_and_the_patterns(n: int, d: int, activation: Activation) -> None:
    rng = np.random.default_rng(n + 10 * d)
    X = rng.normal(size=(n, d))
    patterns, directions = sampled_patterns(X, rng, activation)
    W = rng.normal(size=(len(patterns), d, d))
    net = network_from_blocks(X, W, patterns, directions, activation=activation)
    values = block_values(X, patterns, W)
    # A thin cone needs a large t, and the two neurons cancel.
    size = 1e-13 * float(np.abs(net.W1).max() * np.abs(net.W2).max()) * net.width * np.abs(X).max()
    assert np.max(np.abs(net(X) - values)) <= 1e-12 + size
    assert net.width <= len(patterns) * (d + 1)
    signs = np.unique((X @ net.W1.T > 0).T, axis=0)
    known = np.unique(patterns > 0, axis=0)
    assert all((row == known).all(axis=1).any() for row in signs)
    assert np.max(np.abs(np.linalg.norm(net.W1, axis=1) - np.linalg.norm(net.W2, axis=0))) <= 1e-9 * (
        1 + np.abs(net.W1).max()
    )


def test_divergence_counts_the_trace() -> None:
    """Inside its cone a neuron acts on the rows of its pattern: the slopes sum to tr(D_i) tr(W_i)."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(9, 2))
    patterns, directions = sampled_patterns(X, rng)
    W = rng.normal(size=(len(patterns), 2, 2))
    net = network_from_blocks(X, W, patterns, directions)
    expected = float(patterns.sum(axis=1) @ np.trace(W, axis1=1, axis2=2))
    assert abs(np.sum(net.divergence(X)) - expected) <= 1e-8 * net.squared_norm


def test_rank_and_zero_blocks() -> None:
    X = np.array([[1.0, 0.0], [0.0, 1.0]])
    patterns, directions = np.array([[1.0, 1.0], [1.0, 0.0]]), np.array([[1.0, 1.0], [1.0, -1.0]])
    W = np.zeros((2, 2, 2))
    assert network_from_blocks(X, W, patterns, directions).width == 0
    W[0] = np.outer([1.0, 1.0], [2.0, 3.0])  # rank one, and inside its cone: one neuron
    assert network_from_blocks(X, W, patterns, directions).width == 1
    W[0] = -W[0]  # the other sign of the same neuron
    assert network_from_blocks(X, W, patterns, directions).width == 1
    W[0] = np.outer([1.0, -2.0], [2.0, 3.0])  # rank one, outside: two
    assert network_from_blocks(X, W, patterns, directions).width == 2
    W[0] = np.array([[1.0, 0.0], [0.0, -1.0]])  # rank two
    assert network_from_blocks(X, W, patterns, directions).width <= 3


def test_duplicated_parallel_and_zero_rows() -> None:
    rng = np.random.default_rng(4)
    base = rng.normal(size=(3, 2))
    X = np.vstack([base, base, 2 * base, np.zeros((1, 2))])
    patterns, directions = sampled_patterns(X, rng)
    W = rng.normal(size=(len(patterns), 2, 2))
    net = network_from_blocks(X, W, patterns, directions)
    assert np.max(np.abs(net(X) - block_values(X, patterns, W))) <= 1e-10


@pytest.mark.parametrize("unit", [1e-8, 1.0, 1e8])
def test_scale(unit: float) -> None:
    rng = np.random.default_rng(5)
    X = unit * rng.normal(size=(6, 2))
    patterns, directions = sampled_patterns(X, rng)
    W = rng.normal(size=(len(patterns), 2, 2))
    net = network_from_blocks(X, W, patterns, directions)
    assert np.max(np.abs(net(X) - block_values(X, patterns, W))) <= 1e-10 * unit
