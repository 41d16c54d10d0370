"""The compiled loops against the formulas that they abbreviate, written with whole arrays."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import checked

from convexdiff_lib._exchange import functional, second_moments, shared, worst_outside
from convexdiff_lib._passes import interpolated
from convexdiff_lib._validation import FloatArray

ROUNDING = 1e-12  # a thousand additions of numbers of order one


class Problem(NamedTuple):
    points: FloatArray
    masses: FloatArray
    knots: np.ndarray
    values: FloatArray
    rng: np.random.Generator

    def weights(self) -> FloatArray:
        """One row per point, one column per knot: the hat functions of the spline."""
        return np.column_stack(
            [np.interp(self.points, self.points[self.knots], row) for row in np.eye(len(self.knots))]
        )


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Points, masses and a spline; some knots neighbours, some pieces longer than a block of sums."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    m = draw(st.sampled_from([2, 3, 10, 300, 1000]))
    points = np.sort(rng.standard_cauchy(m)) if draw(st.booleans()) else np.sort(rng.normal(size=m))
    masses = rng.integers(1, 4, m).astype(float) * draw(st.sampled_from([1.0, 0.37]))
    inner = rng.permutation(np.arange(1, m - 1))[: draw(st.sampled_from([0, 1, 5, 40]))]
    knots = np.concatenate([[0], np.sort(inner), [m - 1]])
    return Problem(points, masses, knots, rng.normal(size=len(knots)), rng)


@checked
@given(problem=problems())
def test_sums_over_pieces(problem: Problem) -> None:
    points, masses, knots, values, _ = problem
    hats = problem.weights()
    size = masses.sum()
    assert np.max(np.abs(shared(points, masses, knots) - hats.T @ masses)) <= ROUNDING * size
    diagonal, off_diagonal = second_moments(points, masses, knots)
    dense = hats.T @ (masses[:, None] * hats)
    assert np.max(np.abs(diagonal - np.diag(dense))) <= ROUNDING * size
    assert np.max(np.abs(off_diagonal - np.diag(dense, 1))) <= ROUNDING * size
    assert np.max(np.abs(interpolated(points, knots, values) - hats @ values)) <= ROUNDING
    assert interpolated(points, knots, values)[knots].tolist() == values.tolist()


def test_a_spline_is_constant_from_its_last_knot_on() -> None:
    """Which is where the last of tied points stand."""
    points = np.array([0.0, 1.0, 2.0, 2.0, 2.0])
    assert interpolated(points, np.array([0, 2]), np.array([4.0, 6.0])).tolist() == [4.0, 5.0, 6.0, 6.0, 6.0]
    assert interpolated(points[2:], np.array([0]), np.array([7.0])).tolist() == [7.0, 7.0, 7.0]


@checked
@given(problem=problems(), on_first=st.floats(-3, 3))
def test_a_functional_of_slopes(problem: Problem, on_first: float) -> None:
    points, _, knots, values, rng = problem
    spans, on_kinks = np.diff(points[knots]), rng.normal(size=len(knots) - 2)
    slopes = np.diff(values) / spans
    direct = on_first * slopes[0] + on_kinks @ np.diff(slopes)
    size = 1 + np.abs(slopes).max() * (3 + np.abs(on_kinks).sum())
    assert abs(functional(spans, on_first, on_kinks) @ values - direct) <= ROUNDING * size


@checked
@given(problem=problems(), unit=st.sampled_from([1.0, 0.7]), spread=st.sampled_from([-0.2, 0.0, 0.2]))
def test_the_worst_point_on_each_side_of_every_piece(problem: Problem, unit: float, spread: float) -> None:
    points, masses, knots, values, rng = problem
    targets, middle = rng.normal(size=(2, len(points)))
    # The formula: heights from the right end, by summing twice.
    moments = masses * (targets - problem.weights() @ values) / unit
    heights = np.array([moments @ np.maximum(points - point, 0.0) for point in points])
    half_width = np.abs(heights - middle) * rng.choice([0.5, 1.5], len(points))
    rise, tolerance = (-spread, 0.1 + spread), 1e-9 * (1 + np.abs(heights).max())
    over = heights - middle - rise[1] - half_width
    under = rise[0] - half_width - (heights - middle)
    expected: list[tuple[int, int]] = []
    outside = np.zeros(len(points), dtype=bool)
    for left, right in pairwise(knots):
        between = np.arange(left + 1, right)
        for excess, side in ((over, 1), (under, -1)):
            far = between[(excess > tolerance)[between]]
            outside[far] = True
            if len(far):
                expected.append((int(far[np.argmax(excess[far])]), side))
    number, where, sides, excess = worst_outside(
        points, masses, targets, middle, half_width, unit, knots, values, rise, tolerance, np.empty((0, 8))
    )
    assert number == outside.sum()
    assert sorted(zip(where.tolist(), sides.tolist(), strict=True)) == sorted(expected)
    assert (np.diff(where) > 0).all()
    for i, side, far in zip(where, sides, excess, strict=True):
        assert abs(far - (over if side > 0 else under)[i]) <= tolerance


@pytest.mark.parametrize("side", [1, -1])
def test_knots_and_ends_are_never_outside(side: int) -> None:
    points, one = np.arange(5.0), np.ones(5)
    number, where, *_ = worst_outside(
        points,
        one,
        side * one,
        0 * one,
        0 * one,
        1.0,
        np.array([0, 2, 4]),
        np.zeros(3),
        (0.0, 0.0),
        1e-9,
        np.empty((0, 8)),
    )
    assert (number, where.tolist()) == (2, [1, 3])
