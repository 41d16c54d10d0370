"""Modes weighed by the data: hats that the loss cannot see, and where they are put."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from claims_witness import Evidence
from strategies import ugly
from zoo import samples

from convexdiff_lib import (
    NotCertifiedError,
    PiecewiseLinearScore,
    paper_mixture,
    pointwise_loss,
    score_matching,
    smallest_weight_decay,
    weigh_modes,
)
from convexdiff_lib._validation import FloatArray
from convexdiff_lib.line import mode_weights
from convexdiff_lib.line.mode_weights import _balanced, _Cuts, _log_shares
from convexdiff_lib.line.sample import Sample

NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)
NETWORKS = [("relu", False), ("relu", True), ("abs", False), ("abs", True)]


def groups(rng: np.random.Generator, *sizes: int, apart: float = 12.0) -> FloatArray:
    """Clusters of unit width, far from each other."""
    return np.concatenate([rng.normal(apart * k, 1.0, size) for k, size in enumerate(sizes)])


def fits(x: FloatArray, factors: tuple[float, ...] = (1.2, 3.0)) -> Iterator[PiecewiseLinearScore]:
    """The scores of all networks that have a density."""
    for activation, skip in NETWORKS:
        least = smallest_weight_decay(x, activation=activation, skip=skip)
        for factor in factors:
            score = score_matching(
                x, least * factor, activation=activation, skip=skip, inward_tails=True
            ).score
            if not score.why_not_normalisable():
                yield score


def defect(score: PiecewiseLinearScore, x: FloatArray, rng: np.random.Generator) -> float:
    """Cut in the middle of every gap, and ask for any weights: whether they come, and what else changes."""
    points = np.unique(x)
    sample, below = Sample.of(x), np.arange(1, len(points))
    if not len(below):
        return 0.0
    cuts = _Cuts(sample, (points[1:] + points[:-1]) / 2, below)
    weights = rng.dirichlet(np.ones(len(points)))
    before = _log_shares(score, cuts.places)
    made = _balanced(score, cuts, np.log(weights), before)
    mass = np.diff(np.concatenate([[0.0], made.cdf(cuts.places), [1.0]]))
    outer = (made.left_slope, made.right_slope) == (score.left_slope, score.right_slope)
    # Values are those of the fit to the last digit; slopes come from the same values on pieces cut shorter.
    size = (
        np.abs(pointwise_loss(score, points)) + np.max(np.abs(score.values)) ** 2 + np.abs(score.slopes).max()
    )
    loss = np.abs(pointwise_loss(made, points) - pointwise_loss(score, points)) / size
    same = np.abs(made(points) - score(points)).max() <= 1e-12 * np.abs(score.values).max() and outer
    return max(float(np.abs(mass - weights).max()), float(loss.max()), 0.0 if same else 1.0)


def test_any_weights_at_the_same_loss(evidence: Evidence) -> None:
    seen = evidence("ours-blind-weights", "any-weights-same-loss", 1e-7).because(
        "masses by the distribution function, and slopes of pieces that hats have cut shorter"
    )
    for seed, family in enumerate(("normal", "clusters", "rounded", "normal", "rounded")):
        rng = np.random.default_rng(seed)
        x = ugly(family, 12, rng)
        for score in fits(x):
            seen.holds(defect(score, x, rng))


def test_any_weights_on_the_zoo(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-blind-weights", "any-weights-on-structured-data", 1e-7).because(
        "masses by the distribution function, and slopes of pieces that hats have cut shorter"
    )
    for name, x in samples(distinct=2):
        for score in fits(x):
            seen.holds(defect(score, x, np.random.default_rng(len(x))), on=name)


def test_masses_by_quadrature_and_densities_in_proportion() -> None:
    for seed, sizes in enumerate(((60, 20), (10, 70), (30, 50, 20), (40, 40, 40, 40))):
        x = groups(np.random.default_rng(seed), *sizes)
        for score in fits(x, (2.0,)):
            weighed = weigh_modes(score, x)
            assert len(weighed.cuts) == len(sizes) - 1
            np.testing.assert_array_equal(weighed.shares, np.array(sizes) / len(x))
            assert np.abs(np.diff(weighed.gaps)).min() > 4
            edges = np.concatenate([[-20.0], weighed.cuts, [12.0 * len(sizes) + 8]])
            for low, high, share in zip(edges[:-1], edges[1:], weighed.shares, strict=True):
                inside = x[(low < x) & (x < high)]
                grid = np.union1d(np.append(inside, weighed.density.knots), np.linspace(low, high, 2000))
                grid = grid[(low <= grid) & (grid <= high)]
                nodes = (grid[1:] + grid[:-1])[:, None] / 2 + np.diff(grid)[:, None] / 2 * NODES
                mass = float(np.sum(np.diff(grid) / 2 * (weighed.density.pdf(nodes) @ WEIGHTS)))
                tail = 1 - weighed.density.cdf(edges[-1]) + weighed.density.cdf(edges[0])
                assert abs(mass - share) <= 1e-9 + tail  # quadrature, and rounding
                ratio = weighed.density.log_density(inside) - score.log_density(inside)
                assert np.ptp(ratio) <= 1e-9  # rounding: one factor for the whole piece
            np.testing.assert_allclose(
                pointwise_loss(weighed.density, x), pointwise_loss(score, x), rtol=1e-8
            )


def test_the_paper_s_mixture_is_mended() -> None:
    for seed in range(4):
        x = paper_mixture().sample(1000, np.random.default_rng(seed))
        score = score_matching(x, 20.0).score
        weighed = weigh_modes(score, x)
        half = float(np.mean(x < 0))
        assert weighed.shares.tolist() == [half, 1 - half]
        assert abs(float(weighed.masses[0]) - float(score.cdf(weighed.cuts[0]))) <= 1e-9  # rounding
        assert abs(float(weighed.density.cdf(0.0)) - half) <= 1e-3  # hardly any mass in the gap
        drawn = weighed.density.sample(20_000, np.random.default_rng(seed))
        assert abs(np.mean(drawn < 0) - half) <= 5 * 0.5 / np.sqrt(20_000)  # five standard errors
        p = np.linspace(0.01, 0.99, 33)
        assert np.abs(weighed.density.cdf(weighed.density.quantile(p)) - p).max() <= 1e-9  # rounding


def test_a_mode_that_had_no_mass_to_speak_of() -> None:
    """Less than the smallest double, and the share comes out all the same."""
    x = np.concatenate([np.linspace(-3.0, -2.0, 20), np.linspace(2.0, 3.0, 60)])
    score = PiecewiseLinearScore(
        np.array([-2.5, -1.9, 1.0, 2.5]), np.array([0.0, -1.0, 2000.0, 0.0]), -4.0, -4.0
    )
    weighed = weigh_modes(score, x)
    assert weighed.masses[0] == 0
    assert weighed.shares.tolist() == [0.25, 0.75]
    assert abs(float(weighed.density.cdf(weighed.cuts[0])) - 0.25) <= 1e-9  # rounding of a sum of thousands
    assert 0.2 < np.mean(weighed.density.sample(4000, np.random.default_rng(0)) < 0) < 0.3


def pieces(x: FloatArray, beta: float = 2.0, **options: float) -> list[float]:
    """The shares of the pieces."""
    score = score_matching(x, beta * Sample.of(x).counts.max(), inward_tails=True, skip=True).score
    return weigh_modes(score, x, **options).shares.round(4).tolist()


def test_no_piece_is_too_small_and_none_a_tie() -> None:
    rng = np.random.default_rng(3)
    assert pieces(groups(rng, 95, 5)) == [0.95, 0.05]
    assert pieces(groups(rng, 96, 4)) == [1.0]  # four points, whatever their share
    assert pieces(groups(rng, 96, 4), smallest=0.01) == [1.0]
    assert pieces(groups(rng, 192, 8)) == [1.0]  # 4 %
    assert pieces(groups(rng, 192, 8), smallest=0.04) == [0.96, 0.04]
    assert pieces(groups(rng, 192, 8), smallest=1.0) == [1.0]
    four = np.append(np.linspace(0, 1, 36), 20 + 0.01 * np.arange(4))
    assert pieces(four) == [1.0]  # a tenth of the points, but four of them
    assert pieces(np.append(four, 20.04)) == [round(36 / 41, 4), round(5 / 41, 4)]
    tie = np.append(groups(rng, 60), np.full(40, 20.0))
    assert pieces(tie, 1.1) == [1.0]
    assert pieces(np.append(groups(rng, 60), 20 + 0.1 * (np.arange(40) // 8)), 1.1) == [0.6, 0.4]


def test_too_small_a_group_is_joined_to_the_nearer_side() -> None:
    for place, shares in ((10.0, [0.43, 0.57]), (50.0, [0.4, 0.6])):
        group = place + np.array([0.0, 0.1, 0.2])
        x = np.concatenate([np.linspace(0, 1, 40), group, np.linspace(60, 61, 57)])
        score = score_matching(x, 10.0, skip=True, inward_tails=True).score
        assert weigh_modes(score, x).shares.tolist() == shares


def test_a_gap_is_cut_where_the_density_has_no_minimum_too() -> None:
    x = np.concatenate([np.linspace(0, 1, 30), np.linspace(5, 6, 30)])
    for centre in (0.5, 3.0, 6.0):
        gaussian = PiecewiseLinearScore(np.array([centre]), np.zeros(1), -0.5, -0.5)
        weighed = weigh_modes(gaussian, x)
        assert weighed.cuts[0] == {0.5: 4.0, 3.0: 2.0, 6.0: 2.0}[centre]
        assert abs(float(weighed.density.cdf(weighed.cuts[0])) - 0.5) <= 1e-9  # rounding
    valley = PiecewiseLinearScore(np.array([0.5, 1.0, 3.5, 5.5]), np.array([0.0, -1.0, 1.0, 0.0]), -1.0, -1.0)
    assert weigh_modes(valley, x).cuts.tolist() == [2.25]  # where the score crosses zero


def test_the_gap_is_compared_with_the_sparser_side() -> None:
    dense, sparse = np.linspace(0.0, 1.0, 60), np.linspace(0.0, 40.0, 30)
    wide = np.log(20 * 90)
    for ratio, count in ((0.95 * wide, 1), (1.05 * wide, 2)):
        x = np.append(dense, 1.0 + ratio * 40 / 29 + sparse)
        score = PiecewiseLinearScore(
            np.array([0.5, 1.0, x[60], x[60] + 20]), np.array([0.0, -1.0, 1.0, 0.0]), -1.0, -1.0
        )
        assert len(weigh_modes(score, x).shares) == count
        mirrored = weigh_modes(score._mirrored(), -x)
        assert len(mirrored.shares) == count


def test_gaps_of_chance_are_left() -> None:
    """Evenly spread points, and points of one exponential tail: fewer than one sample in twenty is cut."""
    line = PiecewiseLinearScore(np.zeros(1), np.zeros(1), -1.0, -1.0)
    for spread in ("uniform", "normal", "exponential"):
        cut = 0
        for seed in range(300):
            x = getattr(np.random.default_rng(seed), spread)(size=60)
            cut += len(weigh_modes(line, x).cuts) > 0
        assert cut <= 24, spread  # 15 are expected at most; more than 24 come with probability below 0.01


def test_order_weights_unit_and_place_do_not_matter() -> None:
    rng = np.random.default_rng(8)
    x = np.round(groups(rng, 40, 25), 1)
    score = score_matching(x, 8.0, inward_tails=True).score
    plain = weigh_modes(score, x)
    assert len(plain.cuts) == 1
    points, counts = np.unique(x, return_counts=True)
    for other in (weigh_modes(score, rng.permutation(x)), weigh_modes(score, points, sample_weight=counts)):
        assert other == plain
    moved = 2.0**20 + 2.0**-10 * x
    far = weigh_modes(score_matching(moved, 8.0, inward_tails=True).score, moved)
    np.testing.assert_array_equal(far.shares, plain.shares)
    np.testing.assert_allclose(far.masses, plain.masses, rtol=1e-5)  # of data rounded to 2^-33 of their size
    assert abs(float(far.density.cdf(far.cuts[0])) - far.shares[0]) <= 1e-9  # rounding


@pytest.mark.parametrize("x", [[0.0], [0.0, 1.0], [0.0, 0.0, 1.0], list(range(9))])
def test_few_points_are_left_alone(x: list[float]) -> None:
    score = PiecewiseLinearScore(np.array([0.0, 0.4, 0.6, 1.0]), np.array([1.0, -1.0, 1.0, -1.0]), -1.0, -1.0)
    weighed = weigh_modes(score, x)
    assert weighed.density is score
    assert (weighed.shares.tolist(), weighed.masses.tolist(), weighed.gaps.shape) == ([1.0], [1.0], (0, 2))


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    x = groups(np.random.default_rng(0), 30, 10)
    rising = PiecewiseLinearScore(np.zeros(1), np.zeros(1), -1.0, 1.0)
    with pytest.raises(ValueError, match=r"no density whose modes could be weighed: .* on the right"):
        weigh_modes(rising, x)
    for bad in (0.0, -1.0, np.nan, True, "much"):
        with pytest.raises(ValueError, match="smallest must be"):
            weigh_modes(rising, x, smallest=bad)  # type: ignore[arg-type]
    score = score_matching(x, 3.0, inward_tails=True).score
    monkeypatch.setattr(mode_weights, "_with_hats", lambda score, *_: score)
    with pytest.raises(NotCertifiedError, match=r"after 200 steps the masses are"):
        weigh_modes(score, x)
