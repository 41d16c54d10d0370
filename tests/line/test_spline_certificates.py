"""Certificates of the score: they hold for what is right, at any scale, and for nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from claims_witness import Evidence
from exact import exact_scores
from strategies import FAMILIES, NETWORKS, every_network, threshold, ugly
from zoo import samples

from convexdiff_lib import score_matching
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.line._double_double import DoubleDouble
from convexdiff_lib.line.beam import tube_of
from convexdiff_lib.line.candidates import claim_from_spline
from convexdiff_lib.line.coarse_to_fine import solve_by_levels
from convexdiff_lib.line.network_certificates import certify_score_matching, dual_violation
from convexdiff_lib.line.problem import LineProblem, SplineClaim, line_problem
from convexdiff_lib.line.sharpening import sharpened
from convexdiff_lib.line.spline_certificates import examine, sizes_at_knots, values_at


def claim_for(
    x: FloatArray, beta: float, activation: Activation, skip: bool
) -> tuple[LineProblem, SplineClaim]:
    problem = line_problem(x, beta, activation=activation, skip=skip)
    tube = tube_of(problem)
    found = solve_by_levels(tube)
    claim = claim_from_spline(problem, tube, found.spline, found.values, found.height)
    return problem, sharpened(problem, claim)[0]


@every_network
@pytest.mark.parametrize("exactly", [False, True])
def test_holds_for_the_optimum_only(activation: Activation, skip: bool, exactly: bool) -> None:
    x = np.random.default_rng(0).normal(size=40)
    problem, claim = claim_for(x, 3.0, activation, skip)
    assert examine(problem, claim, exactly=exactly).certificate.holds is True
    assert len(claim.sides) >= 1
    for change in (1e-4, -1e-4):
        values = claim.values.copy()
        values[1] += change
        assert examine(problem, replace(claim, values=values), exactly=exactly).certificate.holds is False
    flipped = replace(claim, sides=-claim.sides)
    assert examine(problem, flipped, exactly=exactly).certificate.holds is False
    missing = replace(
        claim,
        knots=np.delete(claim.knots, 1),
        sides=claim.sides[1:],
        values=np.delete(claim.values, 1),
        rests=np.delete(claim.rests, 1),
    )
    assert examine(problem, missing, exactly=exactly).certificate.holds is False
    assert examine(problem.at(3.1), claim, exactly=exactly).certificate.holds is False
    if not skip:
        moved = replace(claim, offset=claim.offset + 0.01)
        assert examine(problem, moved, exactly=exactly).certificate.holds is False


def test_sees_an_error_that_the_loss_does_not() -> None:
    """Between points 1e-6 apart the loss is -1e12: its digits do not tell what a score of 1e-6 should be."""
    x, beta = np.array([0.0, 1e-6, 1.5, 1e6]), 1.0
    problem, claim = claim_for(x, beta, "relu", False)
    wrong = replace(claim, values=claim.values * np.array([1.0, 1.0, 1.0, 1.33e6]), rests=np.zeros(4))
    verdict = examine(problem, wrong, exactly=True).certificate
    assert verdict.relative_gap <= verdict.gap_tolerance
    assert verdict.infeasibility <= verdict.feasibility_tolerance
    assert verdict.score_error >= 0.9  # all of it is wrong
    assert verdict.holds is False
    # And so does the certificate for networks found by any means.
    fit = score_matching(x, beta)
    network = fit.kink_network
    bent = replace(network, constant=network.constant + 1.0)
    verdict = certify_score_matching(x, bent, fit.z, beta)
    assert verdict.relative_gap <= verdict.gap_tolerance
    assert verdict.holds is False


def ratios_to_the_bound(x: FloatArray, activation: Activation, skip: bool, seed: int) -> Iterator[float]:
    """Distance from the exact optimum over its bound, of scores that are off by a little at their knots."""
    beta, rng = 1.2 * threshold(x, activation, skip), np.random.default_rng(seed)
    problem, claim = claim_for(x, beta, activation, skip)
    exact = exact_scores(np.sort(x).tolist(), beta, activation=activation, skip=skip)
    truth = np.array([float(score) for score in exact])[np.searchsorted(np.sort(x), problem.points)]
    assert examine(problem, claim, exactly=True).error <= 1e-8  # a hundredth of the tolerance
    sizes = sizes_at_knots(problem, claim)
    for size in (1e-3, 1e-7):
        off = replace(claim, values=claim.values + size * sizes * rng.normal(size=len(sizes)))
        errors = np.abs(off.values - truth[claim.knots]) / sizes_at_knots(problem, off)
        yield float(np.max(errors)) / examine(problem, off, exactly=True).error


def test_bounds_the_distance_from_the_optimum(evidence: Evidence):
    seen = evidence("ours-score-bound", "error-over-bound", 1 + 1e-9, what="error / bound").because(
        "the inequality itself, but for the rounding of its two sides; a ratio"
    )
    for family in FAMILIES:
        for seed in range(4):
            activation, skip = NETWORKS[seed]
            x = ugly(family, 7, np.random.default_rng(seed))
            if len(np.unique(x)) >= 3:
                seen.all_hold(ratios_to_the_bound(x, activation, skip, seed))


def test_bounds_the_distance_on_structured_data(on_zoo: Evidence):
    seen = on_zoo(
        "ours-score-bound", "error-over-bound-on-structured-data", 1 + 1e-9, what="error / bound"
    ).because("the inequality itself, but for the rounding of its two sides; a ratio")
    for name, x in samples(distinct=2):
        for seed, (activation, skip) in enumerate(NETWORKS):
            for ratio in ratios_to_the_bound(x, activation, skip, seed):
                seen.holds(ratio, on=name)


@every_network
def test_feasible_as_the_paper_prints_it(activation: Activation, skip: bool) -> None:
    """The constraints are restated here; the printed ones are satisfied by what passes."""
    for seed, family in enumerate(FAMILIES):
        x = ugly(family, 30, np.random.default_rng(seed))
        beta = 1.5 * threshold(x, activation, skip)
        fit = score_matching(x, beta, activation=activation, skip=skip)
        span = float(np.ptp(x)) * float(np.max(np.abs(fit.z)))
        rounding = 1e-14 * len(x) * (1 + span)
        assert dual_violation(x, fit.z, beta, activation=activation, skip=skip) <= rounding


def test_values_between_knots() -> None:
    problem = line_problem([0.0, 1.0, 4.0], 2.0)
    claim = SplineClaim(np.array([0, 2]), np.zeros(0), np.array([2.0, -2.0]), np.zeros(2), -2.0, 0.0, -1)
    for exactly in (False, True):
        values = values_at(problem, claim, np.arange(3), exactly=exactly)
        assert np.asarray(values.high if isinstance(values, DoubleDouble) else values).tolist() == [
            2.0,
            1.0,
            -2.0,
        ]


def test_double_doubles_have_thirty_digits() -> None:
    rng = np.random.default_rng(0)
    a, b = (DoubleDouble(rng.normal(size=50), 1e-17 * rng.normal(size=50)) for _ in range(2))

    def exact(number: DoubleDouble) -> list[Fraction]:
        return [
            Fraction(float(h)) + Fraction(float(low)) for h, low in zip(number.high, number.low, strict=True)
        ]

    for made, rule in (
        (a + b, lambda p, q: p + q),
        (a - b, lambda p, q: p - q),
        (a * b, lambda p, q: p * q),
        (a / b, lambda p, q: p / q),
        (2.0 - a, lambda p, q: 2 - p),
        (3.0 / b, lambda p, q: 3 / q),
    ):
        for got, p, q in zip(exact(made), exact(a), exact(b), strict=True):
            right = rule(p, q)
            assert abs(got - right) <= (abs(p) + abs(q) + abs(right) + 3) * Fraction(1, 2**98)
