"""What networks without biases can do at the data: all constraints, at every scale, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import SIX, checked, constrained, every_activation, sampled_patterns, unbiased_network

from convexdiff_lib._validation import Activation
from convexdiff_lib.space.interpolation import best_values, value_constraints


@checked
@given(seed=st.integers(0, 2**16), n=st.integers(1, 8), d=st.integers(1, 3))
def test_constraints_hold_for_every_network(seed: int, n: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.integers(-1, 2, size=(n, d)).astype(float) * rng.choice([1.0, 1e-8, 1e8])
    for activation in ("relu", "abs"):
        net = unbiased_network(rng, activation, d)
        constraints = value_constraints(X, activation=activation)
        size = np.abs(constraints).max(initial=1.0) * max(np.abs(net(X)).max(), 1.0)
        assert np.abs(constraints @ net(X)).max(initial=0.0) <= 1e-12 * size
        if len(constraints):  # of nothing NumPy 1 takes no rank
            assert np.linalg.matrix_rank(constraints) == len(constraints)


@every_activation
def test_best_values_are_attained_at_any_scale(activation: Activation) -> None:
    for unit in (1e-8, 1.0, 1e8):
        X, L = unit * constrained(5), np.random.default_rng(5).normal(size=(9, 2))
        values = best_values(X, L, activation=activation)
        assert np.max(np.abs(values - best_values(X / unit, L, activation=activation))) <= 1e-12
        again = best_values(X, values, activation=activation)
        assert np.max(np.abs(again - values)) <= 1e-12


@every_activation
@pytest.mark.parametrize("seed", range(16))
def test_constraints_are_as_many_as_the_missing_rank(activation: Activation, seed: int) -> None:
    X = constrained(seed)
    patterns, _ = sampled_patterns(X, np.random.default_rng(seed), activation, draws=20000)
    stacked = np.hstack([p[:, None] * X for p in patterns])
    assert np.linalg.matrix_rank(stacked) == len(X) - len(value_constraints(X, activation=activation))


def test_by_hand() -> None:
    row = value_constraints(SIX)
    assert row.shape == (1, 6)
    assert np.max(np.abs(row / row[0, 0] - [1.0, 1.0, -1.0, -1.0, -1.0, 1.0])) <= 1e-12  # rounding
    assert len(value_constraints(SIX[[0, 1, 3, 4]])) == 0  # two lines of the plane are independent
    assert len(value_constraints(SIX, activation="abs")) == 3
    assert len(value_constraints([[2.0], [-1.0]])) == 0
    assert value_constraints(np.zeros((2, 2))).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    # A point that is nearly, but not quite, on another's ray is free.
    assert len(value_constraints([[1.0, 0.0], [1.0, 1e-9]])) == 0


def test_targets_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="targets must have one row per point, 2; got 3"):
        best_values(np.eye(2), np.eye(3))
