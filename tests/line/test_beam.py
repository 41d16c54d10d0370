"""The tube, the interior-point answer and its polish, each against what it stands for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    checked,
    data_sets,
    every_network,
    polished,
    slow_violation,
    threshold,
    tube_for,
    weight_decays,
)

from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.line.beam import Beam, Tube, solve_beam
from convexdiff_lib.line.network_certificates import dual_violation
from convexdiff_lib.line.sample import score_matching_threshold


def build(x: FloatArray, beta: float, activation: Activation, skip: bool) -> tuple[Tube, FloatArray]:
    tube = tube_for(x, beta, activation, skip)
    return tube, tube.counts


def test_tube_by_hand() -> None:
    """Points 0, 1, 1, 4: the rank line falls from n to 0; ends and widths for all four networks, beta = 3."""

    def tube(activation: Activation, skip: bool) -> Tube:
        return tube_for(np.array([0.0, 1.0, 1.0, 4.0]), 3.0, activation, skip)

    relu = tube("relu", False)
    assert (relu.centre.tolist(), relu.half_width.tolist()) == ([3.5, 2.0, 0.5], [2.5, 2.0, 2.5])
    assert (relu.tilts, relu.end, relu.level) == ((0.0, 1.0), (-3.0, 2.0), 4.0)
    absolute = tube("abs", False)
    assert (absolute.centre.tolist(), absolute.half_width.tolist()) == ([3.5, 2.0, 0.5], [1.0, 0.5, 1.0])
    assert (absolute.tilts, absolute.end) == ((0.5,), (-3.0, 1.0))
    for activation in ("relu", "abs"):
        clamped = tube(activation, True)
        assert (clamped.tilts, clamped.end) == ((0.0,), (0.0, 0.0))


def test_a_heavy_tie_narrows_the_end() -> None:
    """Where a tube is narrower than the end's room, a pair of neurons back to back caps the end instead."""
    x = np.repeat(np.arange(4.0), [1, 1, 5, 1])
    tube = tube_for(x, 3.0, "relu")
    assert tube.end == (-1.0, 1.0)  # twice the half-width 3 - 5/2
    tube = tube_for(x, 5.5, "relu")
    assert tube.end == (-5.5, 4.5)


def test_unit_is_the_spread_of_the_middle_half() -> None:
    """Far outliers do not set the unit, and it is never zero."""
    points = np.concatenate([[-1e9], np.arange(10.0), [1e9]])
    assert 4.0 <= tube_for(points, 3.0, "abs").unit <= 7.0
    neighbours = 1 + np.arange(3) * np.spacing(1.0)  # the quartiles round to the middle point
    tied = tube_for(np.repeat(neighbours, [4, 100, 4]), 99.0, "abs")
    assert tied.unit == 2 * np.spacing(1.0)


def test_threshold_by_hand() -> None:
    """max(k/2, e), max(k, e) and max(k, 2e), with k inside and e at the ends."""
    cases = {
        (1, 1): (1.0, 1.0, 1.0, 2.0),
        (1, 5, 1): (2.5, 2.5, 5.0, 5.0),
        (1, 1, 3): (3.0, 3.0, 3.0, 6.0),
        (3, 1, 1): (3.0, 3.0, 3.0, 6.0),
        (2, 7, 1, 1): (3.5, 3.5, 7.0, 7.0),
        (4,): (4.0, 4.0, 4.0, 8.0),
    }
    for counts, expected in cases.items():
        multiplicities = np.array(counts, dtype=float)
        found = tuple(
            score_matching_threshold(multiplicities, activation=activation, skip=skip)
            for activation in ("relu", "abs")
            for skip in (False, True)
        )
        assert found == expected


@every_network
@checked
@given(x=data_sets(distinct=2), data=st.data())
def test_tube_is_the_dual(activation: Activation, skip: bool, x: FloatArray, data: st.DataObject) -> None:
    """A balanced z satisfies the printed constraints exactly when its beam and its end are in their place.

    Each z is the optimum plus noise, so that it lies near the boundary, on either side.
    """
    beta = data.draw(weight_decays(x, activation, skip))
    tube, counts = build(x, beta, activation, skip)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    start, offset = solve_beam(tube)
    centre = polished(tube, start, offset).z
    for size in (0.0, 1e-3, 0.1, 1.0):
        z = centre + size * rng.normal(size=len(counts)) * (1 + np.abs(centre))
        z -= (counts @ z) / counts.sum()
        if skip:  # keep z^T x = n, which the tube takes for granted
            position = tube.distance(np.zeros(len(counts), dtype=int), np.arange(len(counts)))
            position = position - counts @ position / counts.sum()
            z += position * (tube.level - counts @ (z * position)) / (counts @ position**2)
        g = tube.heights(z)
        end = g[0] - tube.level
        low, high = tube.bounds(end)
        rise = (g - tube.centre)[1:-1]
        inside = max([0.0, *(low - rise), *(rise - high), tube.end[0] - end, end - tube.end[1]])
        every = np.unique(x, return_inverse=True)[1]
        printed = slow_violation(x, (z / tube.unit)[every], beta, activation, skip)
        slack = 1e-9 * tube.level  # rounding of g
        assert (inside <= slack) == (printed <= slack) or min(inside, printed) > slack / 10
        # The abs tube measures g where the constraint measures 2g, and a pair of bounds can share a
        # violation.
        assert printed <= 2 * inside + slack
        assert inside <= 2 * printed + slack


@checked
@given(x=data_sets(distinct=2), seed=st.integers(0, 2**16))
def test_heights_are_the_second_sum(x: FloatArray, seed: int) -> None:
    tube, counts = build(x, float(len(x)), "relu", False)
    z = np.random.default_rng(seed).normal(size=len(counts))
    z -= (counts @ z) / counts.sum()
    p = tube.points
    expected = [
        sum(k * v * max(a - b, 0.0) for k, v, a in zip(counts, z, p, strict=True)) / tube.unit for b in p
    ]
    span = float(np.ptp(p)) / tube.unit
    assert np.max(np.abs(tube.heights(z) - expected)) <= 1e-13 * len(x) * span * np.abs(z).max() * len(x)


@every_network
@checked
@given(x=data_sets(distinct=2), data=st.data())
def test_polished_beam_is_exact(
    activation: Activation, skip: bool, x: FloatArray, data: st.DataObject
) -> None:
    beta = data.draw(weight_decays(x, activation, skip))
    tube, counts = build(x, beta, activation, skip)
    last = polished(tube, *solve_beam(tube))
    z = (last.z / tube.unit)[np.unique(x, return_inverse=True)[1]]
    violation = dual_violation(x, z, beta, activation=activation, skip=skip)
    assert violation / len(x) <= 1e-11 * (
        1 + np.ptp(x) / tube.unit
    )  # rounding of sums over the longest lever
    assert abs(counts @ last.z) <= 1e-12 * len(x) * (1 + float(np.abs(last.z).max()))
    assert set(last.knots) <= set(range(1, len(counts) - 1))
    assert len(last.knots) == len(last.kinks)


@every_network
@pytest.mark.parametrize("seed", range(5))
def test_interior_point_answer_is_near(activation: Activation, skip: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=30)
    tube, _ = build(x, threshold(x, activation, skip) + rng.uniform(0, 9), activation, skip)
    start, offset = solve_beam(tube)
    last = polished(tube, start, offset)
    # Clarabel stops at 1e-10; the kinks of slack constraints are then of the order of its root.
    assert np.max(np.abs(start.z - last.z)) <= 1e-4 * np.abs(last.z).max()
    assert tube.end[0] - 1e-6 <= offset <= tube.end[1] + 1e-6
    assert abs(offset - (tube.heights(last.z)[0] - tube.level)) <= 1e-4 * tube.level


@every_network
@pytest.mark.parametrize("seed", range(5))
def test_polish_mends_a_bad_start(activation: Activation, skip: bool, seed: int) -> None:
    """The answer does not depend on the interior-point solver having been right."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=25)
    tube, _ = build(x, threshold(x, activation, skip) + rng.uniform(0, 2), activation, skip)
    start, offset = solve_beam(tube)
    good = polished(tube, start, offset)
    lost = Beam(np.zeros(0, dtype=int), np.zeros(0), 0.0, np.zeros(25))
    noisy = replace(start, kinks=start.kinks + 0.3 * rng.normal(size=len(start.kinks)))
    for bad, end in ((lost, 0.0), (noisy, offset), (start, offset + 1.0), (start, offset - 1.0)):
        again = polished(tube, bad, end)
        assert np.max(np.abs(again.z - good.z)) <= 1e-9 * np.abs(good.z).max()


def test_polish_forgets_a_start_that_is_no_number() -> None:
    tube, _ = build(np.array([0.0, 1.0, 3.0, 4.5]), 1.0, "relu", False)
    good = polished(tube, *solve_beam(tube))
    broken = Beam(np.array([1]), np.array([np.nan]), np.nan, np.full(4, np.nan))
    assert np.max(np.abs(polished(tube, broken, np.nan).z - good.z)) <= 1e-12
