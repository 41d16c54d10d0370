"""From coarse to fine: every level is a smaller problem of the same kind, the last is the problem itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from strategies import FAMILIES, every_network, polished, threshold, tube_for, ugly

from convexdiff_lib import (
    NotCertifiedError,
    denoising_score_matching,
    score_matching,
    score_matching_path,
)
from convexdiff_lib._validation import Activation
from convexdiff_lib.line import active_set, coarse_to_fine, training
from convexdiff_lib.line.active_set import Spline, descend, first_spline
from convexdiff_lib.line.beam import Tube, solve_beam, tube_of
from convexdiff_lib.line.coarse_to_fine import coarsen, solve_by_levels
from convexdiff_lib.line.problem import LineProblem, SplineClaim, line_problem
from convexdiff_lib.line.spline_certificates import Verdict, examine

KEPT = {
    "all": np.arange(100),
    "every second": np.append(np.arange(0, 99, 2), 99),
    "every tenth": np.append(np.arange(0, 99, 10), 99),
    "a window": np.concatenate([[0], np.arange(30, 50), [99]]),
    "the ends": np.array([0, 99]),
}


@pytest.mark.parametrize("kept", KEPT)
def test_a_level_keeps_mass_moments_and_bounds(kept: str) -> None:
    rng = np.random.default_rng(0)
    points, counts = np.sort(rng.standard_cauchy(size=100)), rng.integers(1, 4, 100)
    tube = tube_for(np.repeat(points, counts), 5.0, "relu", targets=rng.normal(size=counts.sum()))
    index = KEPT[kept]
    level = coarsen(tube.in_blocks(), index)
    assert level.blocks is None or kept == "all"  # sums over other points
    assert level.points.tolist() == tube.points[index].tolist()
    assert (level.unit, level.score_unit, level.level, level.scale) == (
        tube.unit,
        tube.score_unit,
        tube.level,
        tube.scale,
    )
    assert level.centre.tolist() == tube.centre[index].tolist()
    assert level.half_width.tolist() == tube.half_width[index].tolist()
    # Any line, and so any spline with its knots among the points kept, sees the same sums.
    span = np.abs(tube.points).max()
    for power in (0, 1):
        both = [float(t.counts @ t.points**power) for t in (tube, level)]
        assert abs(both[0] - both[1]) <= 1e-12 * counts.sum() * span**power
        both = [float((t.counts * t.targets) @ t.points**power) for t in (tube, level)]
        assert abs(both[0] - both[1]) <= 1e-12 * counts.sum() * span**power * np.abs(tube.targets).max()


def test_a_path_keeps_its_blocks() -> None:
    x = np.sort(np.random.default_rng(0).normal(size=1000))
    tube = tube_for(x, 70.0, "relu", False).in_blocks()
    like = tube_of(line_problem(x, 50.0), tube)
    assert like.blocks is tube.blocks
    assert tube_for(x, 50.0, "relu", False).blocks is None


@pytest.mark.compiled
def test_levels_are_nested() -> None:
    x = np.sort(np.random.default_rng(0).normal(size=250_003))
    levels = [
        set(level.points.tolist()) for level in coarse_to_fine._levels(tube_for(x, 700.0, "relu", False))
    ]
    assert [len(level) for level in levels] == [250_003, 25_002, 2502]
    assert levels[2] < levels[1] < levels[0]


@every_network
@pytest.mark.parametrize("share", [0.9, 0.1, 0.01, 0.005])
@pytest.mark.parametrize("family", FAMILIES)
def test_coarse_to_fine_is_the_interior_point_answer(
    activation: Activation, skip: bool, share: float, family: str
) -> None:
    x = ugly(family, 3000, np.random.default_rng(1))
    beta = max(share * len(x), threshold(x, activation, skip) + 3.0)
    tube = tube_for(x, beta, activation, skip)
    slow = polished(tube, *solve_beam(tube))
    fast = solve_by_levels(tube)
    z = tube.targets - fast.spline.at_data(fast.values)
    # Both end on the exact minimiser of the same quadratic.
    assert np.max(np.abs(z - slow.z)) <= 1e-8 * np.abs(slow.z).max()


@every_network
@pytest.mark.parametrize("above", [0.001, 0.1, 1.0, 10.0])
def test_near_the_threshold_thousands_of_points_touch(
    activation: Activation, skip: bool, above: float
) -> None:
    x = np.random.default_rng(0).normal(size=3000)
    fit = score_matching(x, threshold(x, activation, skip) + above, activation=activation, skip=skip)
    assert fit.certificate.holds is True
    assert len(fit.knots) >= {0.001: 1300, 0.1: 1100, 1.0: 380, 10.0: 15}[above]


@every_network
@pytest.mark.parametrize("family", FAMILIES)
def test_at_the_threshold_the_answer_is_certified_or_refused(
    activation: Activation, skip: bool, family: str
) -> None:
    refused = 0
    for seed in range(8):
        x = ugly(family, 150 + 25 * seed, np.random.default_rng(seed))
        for above in (0.0, 1e-6, 0.5):
            beta = threshold(x, activation, skip) + above
            try:
                assert score_matching(x, beta, activation=activation, skip=skip).certificate.holds is True
            except NotCertifiedError:
                refused += 1
    # One Cauchy sample has gaps over too many orders of magnitude for double precision.
    assert refused <= (3 if family == "cauchy" and activation == "abs" else 0)


@pytest.mark.compiled
@every_network
@pytest.mark.parametrize("share", [0.9, 0.01, 0.001])
def test_two_hundred_thousand_points(activation: Activation, skip: bool, share: float) -> None:
    rng = np.random.default_rng(2)
    n = 200_000
    x, noise = rng.normal(size=n), rng.normal(size=n)
    fit = score_matching(x, share * n, activation=activation, skip=skip)
    assert fit.certificate.holds is True
    noisy = denoising_score_matching(x + noise / 2, -2 * noise, share * n, activation=activation, skip=skip)
    assert noisy.certificate.holds is True


@every_network
@pytest.mark.parametrize("family", ["normal", "rounded", "cauchy"])
def test_a_path_is_its_single_fits(activation: Activation, skip: bool, family: str) -> None:
    x = ugly(family, 300, np.random.default_rng(3))
    low = threshold(x, activation, skip)
    betas = [900.0, 200.0, 60.0, low + 5.0, 100.0, low + 0.5]
    for fit, beta in zip(score_matching_path(x, betas, activation=activation, skip=skip), betas, strict=True):
        single = score_matching(x, beta, activation=activation, skip=skip)
        assert fit.beta == beta
        assert fit.certificate.holds is True
        assert abs(fit.value - single.value) <= 1e-9 * single.certificate.scale  # two certified answers
        assert np.max(np.abs(fit.z - single.z)) <= 1e-8 * max(np.abs(single.z).max(), 1 / np.ptp(x))


def test_a_path_of_one_point_and_of_bad_decays() -> None:
    assert [fit.value for fit in score_matching_path([2.0], [1.0, 3.0])] == [0.0, 0.0]
    with pytest.raises(ValueError, match=r"beta must be a positive finite number; got -1\.0"):
        score_matching_path([0.0, 1.0], [2.0, -1.0])
    with pytest.raises(ValueError, match=r"beta = 0\.5 is below 1"):
        score_matching_path([0.0, 1.0], [2.0, 0.5])


@every_network
def test_a_solved_level_is_the_answer_among_the_points_near_it(activation: Activation, skip: bool) -> None:
    """What touches keeps its side and its place when the points around are thinned out."""
    x = np.sort(np.random.default_rng(4).normal(size=5000))
    tube = tube_for(x, 25.0, activation, skip)
    start, offset = solve_beam(tube)
    *_, (spline, _, height) = descend(first_spline(tube, start, offset), offset)
    assert len(spline.touching) >= 3
    exact = coarse_to_fine._Contacts(spline.touching, spline.sign, height, spline.state)
    nearby = coarse_to_fine._among_nearby(tube, exact, exact.touching)
    assert np.max(np.abs(nearby.height - height)) <= 0.1 * 25.0  # it is a guess, but a good one
    for point, side in zip(nearby.touching, nearby.side, strict=True):
        same = spline.touching[spline.sign == side]
        assert np.min(np.abs(same - point)) <= coarse_to_fine._AROUND
    assert np.mean(np.isin(nearby.touching, spline.touching)) >= 0.5  # with all points near them it is seen


@every_network
@pytest.mark.parametrize("family", ["normal", "rounded", "cauchy"])
def test_the_start_does_not_matter(activation: Activation, skip: bool, family: str) -> None:
    """From the solution for a much smaller or larger weight decay, with most contacts missing or too many."""
    x = ugly(family, 6000, np.random.default_rng(7))
    low = threshold(x, activation, skip)
    tubes = [tube_for(x, low + above, activation, skip) for above in (3000.0, 60.0)]
    for tube, other in (tubes, tubes[::-1]):
        plain = solve_by_levels(tube)
        again = solve_by_levels(tube, solve_by_levels(other))
        points = tube.points
        both = [np.interp(points, points[found.spline.knots], found.values) for found in (plain, again)]
        assert np.max(np.abs(both[0] - both[1])) <= 1e-8 * np.abs(both[0]).max()


def test_a_point_that_touches_is_not_outside() -> None:
    """What rounding leaves at a point that touches already would else be mended for ever."""
    x = np.sort(np.random.default_rng(4).normal(size=50))
    tube = tube_for(x, 3.0, "relu", True)
    start, offset = solve_beam(tube)
    *_, (spline, values, _) = descend(first_spline(tube, start, offset), offset)
    assert len(spline.touching) >= 3
    off = 1.001 * values
    _, high = tube.bounds(0.0)
    inside = (tube.heights(tube.targets - spline.at_data(off)) - tube.centre)[1:-1]
    assert max(inside[spline.touching - 1] - high[spline.touching - 1]) >= 1e-3
    assert not set(spline.conflicts(off, 0.0).entering.tolist()) & set(spline.touching.tolist())


@every_network
@pytest.mark.parametrize("share", [0.2, 0.02, 0.004])
def test_the_quick_route_settles_without_walking(
    activation: Activation, skip: bool, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Newton's method on the height of the end does it; only near the threshold the walk is needed."""
    x = np.random.default_rng(6).normal(size=3000)

    def no_walk(*_: object) -> None:
        raise AssertionError("walked")

    monkeypatch.setattr(active_set, "_walk", no_walk)
    fit = score_matching(x, share * len(x), activation=activation, skip=skip)
    assert fit.certificate.holds is True


@pytest.mark.compiled
@every_network
def test_a_long_path_is_its_single_fits(activation: Activation, skip: bool) -> None:
    """With points enough for levels and looks, and with fits that are finished in a second thread."""
    x = np.random.default_rng(8).normal(size=8000)
    betas = np.geomspace(7000.0, 12.0, 8)
    for fit, beta in zip(score_matching_path(x, betas, activation=activation, skip=skip), betas, strict=True):
        single = score_matching(x, beta, activation=activation, skip=skip)
        assert (fit.beta, fit.certificate.holds) == (beta, True)
        assert np.max(np.abs(fit.z - single.z)) <= 1e-9 * np.abs(single.z).max()
        assert np.max(np.abs(fit(x) + fit.z)) <= 1e-9 * np.abs(fit.z).max()


@pytest.mark.compiled
@every_network
def test_the_quick_route_needs_no_other(
    activation: Activation, skip: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a path would be right, but slow."""

    def fallen_back(tube: Tube) -> None:
        raise AssertionError(f"fell back to the interior point with {len(tube.points)} points")

    monkeypatch.setattr(training, "solve_beam", fallen_back)
    x = np.random.default_rng(8).normal(size=8000)
    betas = np.geomspace(7000.0, 12.0, 100)
    fits = score_matching_path(x, betas, activation=activation, skip=skip)
    assert max(fit.certificate.relative_gap for fit in fits) <= 1e-10  # rounding


def test_another_end_has_other_guards() -> None:
    x = np.sort(np.random.default_rng(4).normal(size=50))
    tube = tube_for(x, 30.0, "relu", False)
    side = np.zeros(48, dtype=np.int8)
    assert len(tube.chain) == 5
    spline = Spline.on_sides(tube, side, 0)
    spline.minimise()
    assert spline.guards.keys() == {1}
    for state in (0, 1, 2, 4):
        again, plain = (
            made.guards for made in (spline.again(tube, state), Spline.on_sides(tube, side, state))
        )
        assert again.keys() == plain.keys()
        assert all(again[step].tolist() == plain[step].tolist() for step in plain)
        assert spline.again(tube, state).sums is spline.sums  # worked out once


def test_a_path_with_an_uncertified_fit_is_not_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is raised in the second thread reaches the caller."""

    def bent(problem: LineProblem, claim: SplineClaim) -> tuple[SplineClaim, Verdict]:
        factor = 1.01 if len(claim.knots) > 3 else 1.0
        claim = replace(claim, values=claim.values * factor)
        return claim, examine(problem, claim)

    monkeypatch.setattr(training, "sharpened", bent)
    x = np.random.default_rng(0).normal(size=100)
    assert len(score_matching_path(x, [90.0, 60.0])) == 2
    with pytest.raises(NotCertifiedError, match=r"beta = 2\.0"):
        score_matching_path(x, [90.0, 60.0, 2.0])


def test_one_refused_fit_does_not_lose_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=100)
    fits = score_matching_path(x, [60.0, 2.0, 30.0])
    honest = training.sharpened

    def refusing(problem: LineProblem, claim: SplineClaim) -> tuple[SplineClaim, Verdict]:
        if problem.beta != 2.0:
            return honest(problem, claim)
        claim = replace(claim, values=2 * claim.values)
        return claim, examine(problem, claim)

    monkeypatch.setattr(training, "sharpened", refusing)
    with pytest.raises(NotCertifiedError, match=r"1 of 3 fits .* in the places \[1\]") as caught:
        score_matching_path(x, [60.0, 2.0, 30.0])
    assert caught.value.fits is not None
    first, second, third = caught.value.fits
    assert (first, second, third) == (fits[0], None, fits[2])
