"""The compiled loops against the formulas that they abbreviate, written with whole arrays."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import checked

from convexdiff_lib._validation import FloatArray
from convexdiff_lib.line._exchange import (
    _slid,
    blocks_of,
    changed,
    functional,
    second_moments,
    shared,
    worst_outside,
)
from convexdiff_lib.line._passes import (
    centred,
    highest,
    interpolated,
    less_line,
    near,
    rank_line,
    spread,
    tallied,
)

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


@checked
@given(
    seed=st.integers(0, 10_000),
    m=st.sampled_from([257, 258, 700, 3000]),
    few=st.sampled_from([0, 1, 4]),
    room=st.sampled_from([0.3, 0.9, 0.999, 1.001]),
    spike=st.booleans(),
)
@example(seed=1, m=257, few=0, room=0.9, spike=False)  # one block, whose beam is furthest away in between
def test_blocks_that_cannot_be_outside_are_passed_over(
    seed: int, m: int, few: int, room: float, spike: bool
) -> None:
    """Smooth data, so that most blocks are inside; with a tube that is bent or narrow at a single point."""
    rng = np.random.default_rng(seed)
    points = np.sort(rng.normal(size=m))
    masses = rng.integers(1, 3, m).astype(float)
    targets = rng.normal(size=m) if seed % 2 else np.zeros(m)
    knots = np.concatenate([[0], np.sort(rng.permutation(np.arange(1, m - 1))[:few]), [m - 1]])
    values = rng.normal(size=len(knots))
    if seed % 2:  # a beam that is level and at zero at both ends is furthest away in between
        rest = targets - interpolated(points, knots, values)
        targets = targets - np.polyval(np.polyfit(points, rest, 1, w=np.sqrt(masses)), points)
    moments = masses * (targets - interpolated(points, knots, values)) / 0.7
    # Heights by summing twice from the right.
    inclines = np.cumsum(moments[::-1])[::-1][1:]
    heights = np.append(np.cumsum((np.diff(points) * inclines)[::-1])[::-1], 0.0)
    middle = 0.1 * heights + rng.normal(size=m)
    half_width = np.full(m, room * np.abs(heights - middle).max())
    if spike:
        at = int(rng.integers(1, m - 1))
        middle[at] += 3 * half_width[at]
        half_width[(at + m // 2) % m] *= 0.01
    parts = (
        points,
        masses,
        targets,
        middle,
        half_width,
        0.7,
        knots,
        values,
        (-0.1, 0.1),
        1e-9 * np.abs(heights).max(),
    )
    blocks = blocks_of(points, masses, targets, middle, half_width)
    assert len(blocks) == (m - 1) // 256
    plain, quick = worst_outside(*parts, np.empty((0, 8))), worst_outside(*parts, blocks)
    assert quick[0] == plain[0]
    assert quick[1].tolist() == plain[1].tolist()
    assert quick[2].tolist() == plain[2].tolist()
    assert np.max(np.abs(quick[3] - plain[3]), initial=0.0) <= 1e-9 * np.abs(heights).max()


def test_what_touches_slides() -> None:
    """Knots 0, 100 (top), 200 (bottom), 300; near means an eighth of the way to the next."""
    knots, sign = np.array([0, 100, 200, 300]), np.array([1.0, -1.0])

    def slid(
        where: list[int], side: list[float], excess: list[float], turned: bool = False
    ) -> tuple[list[bool], list[bool]]:
        leaving, kept = _slid(
            knots, sign, np.array([turned, False]), np.array(where), np.array(side), np.array(excess)
        )
        return leaving.tolist(), kept.tolist()

    stay, first = [False, False], [True, False]
    assert slid([112], [1.0], [1.0]) == (first, [True])  # near, on the same side: instead
    assert slid([113], [1.0], [1.0]) == (stay, [True])  # too far away: beside
    assert slid([112], [-1.0], [1.0]) == (stay, [True])  # on the other side: beside
    assert slid([188], [-1.0], [1.0]) == ([False, True], [True])  # on the left of the next
    assert slid([95, 105], [1.0, 1.0], [2.0, 1.0]) == (first, [True, False])  # two of them: the worse
    assert slid([95, 105], [1.0, 1.0], [1.0, 2.0]) == (first, [False, True])
    assert slid([95, 101, 105], [1.0, -1.0, 1.0], [1.0, 9.0, 2.0]) == (first, [False, True, True])
    assert slid([105], [1.0], [1.0], turned=True) == (first, [True])  # it leaves anyway
    assert slid([3, 297], [1.0, -1.0], [1.0, 1.0]) == (stay, [True, True])  # ends do not slide


def test_what_leaves_and_what_enters() -> None:
    leaving, kept = np.array([True, False]), np.array([True, False, True, True])
    entering, side = np.array([5, 7, 25, 29]), np.array([-1.0, 1.0, 1.0, -1.0])
    knots, sign = changed(np.array([0, 10, 20, 30]), np.array([1.0, -1.0]), leaving, entering, side, kept)
    assert (knots.tolist(), sign.tolist()) == ([0, 5, 20, 25, 29, 30], [-1.0, -1.0, 1.0, -1.0])


@checked
@given(problem=problems(), whole=st.booleans())
def test_passes_over_all_points(problem: Problem, whole: bool) -> None:
    points, counts, *_, rng = problem
    sample = np.repeat(points, rng.integers(1, 4, len(points)))
    distinct, times = np.unique(sample, return_counts=True)
    found, often, closest = tallied(sample)
    assert (found.tolist(), often.tolist()) == (distinct.tolist(), times.tolist())
    assert closest == np.diff(distinct).min()
    counts = times.astype(float) if whole else counts
    n = counts.sum()
    ranks = n - np.cumsum(counts) + counts / 2
    assert np.max(np.abs(rank_line(counts) - ranks)) <= ROUNDING * n
    quartiles = np.interp([0.25 * n, 0.75 * n], n - ranks, points)
    assert abs(spread(points, ranks, n) - np.diff(quartiles)[0]) <= ROUNDING * np.ptp(points)
    targets = rng.normal(size=len(points))
    rest, size = centred(counts, targets)
    assert np.max(np.abs(rest - (targets - np.average(targets, weights=counts)))) <= ROUNDING
    assert abs(size - np.sqrt(np.average(rest**2, weights=counts))) <= ROUNDING
    rest, slope = less_line(points, counts, targets, 2.0, 0.0)
    lever = (points - np.average(points, weights=counts)) / 2
    best = float((counts * lever) @ targets / ((counts * lever) @ lever))
    reach = 1 + np.abs(lever).max()
    assert abs(slope - best) <= 1e-9 * (1 + abs(best))  # heavy tails: the mean lever is a difference
    assert np.max(np.abs(rest - (targets - slope * lever))) <= 1e-9 * reach * (1 + abs(best))
    moments = counts * targets / 2
    heights = np.array([moments @ np.maximum(points - point, 0.0) for point in points])
    assert abs(highest(points, counts, targets, 2.0) - np.abs(heights).max()) <= 1e-9 * np.abs(heights).max()


@pytest.mark.parametrize("places", [[], [0], [40, 43], [99]])
def test_near_some_places_and_elsewhere(places: list[int]) -> None:
    kept = near(np.array(places, dtype=np.int64), 100, 5, 20)
    expected = {0, 20, 40, 60, 80, *range(5), *range(95, 100)}
    for place in places:
        expected |= set(range(max(place - 5, 0), min(place + 6, 100)))
    assert kept.tolist() == sorted(expected)
