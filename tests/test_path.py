"""The exact solution path in the weight decay, against single fits and the printed programs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import FAMILIES, NETWORKS, checked, data_sets, every_network, threshold, ugly

from convexdiff_lib import NotCertifiedError, denoising_score_matching, score_matching
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.path import SolutionPath, denoising_path, solution_path
from convexdiff_lib.univariate import UnivariateScore


def sample(seed: int) -> FloatArray:
    """Between 3 and 40 points of every family of data sets in turn."""
    rng = np.random.default_rng(seed)
    return ugly(FAMILIES[seed % len(FAMILIES)], int(rng.integers(3, 41)), rng)


def difference(one: UnivariateScore, other: UnivariateScore, spread: float) -> float:
    """Between two optimal scores at the data, relative to them or to the score of the fitted Gaussian."""
    return float(np.abs(one.z - other.z).max() / max(np.abs(other.z).max(), 1 / spread))


def weight_decays_between(low: float, high: float, seed: int, count: int = 6) -> FloatArray:
    """Most of them near the lower end, where most events are."""
    return low + (high - low) * np.random.default_rng(seed).random(count) ** 3


@checked
@given(data_sets(distinct=2), st.sampled_from(NETWORKS), st.integers(0, 2**16))
def test_any_data(x: FloatArray, network: tuple[Activation, bool], seed: int) -> None:
    activation, skip = network
    low = threshold(x, activation, skip) * (1 + seed % 3)
    path = solution_path(x, down_to=low, activation=activation, skip=skip)
    for beta in (low, *weight_decays_between(low, 1.2 * len(x) + low, seed, 3)):
        fit, one = path(beta), score_matching(x, beta, activation=activation, skip=skip)
        assert abs(fit.value - one.value) <= 1e-8 * one.certificate.scale  # the certificates' tolerance
    check_pieces(path)


@every_network
@pytest.mark.parametrize(
    "x",
    [
        np.arange(12.0),
        np.concatenate([-np.geomspace(1, 30, 8), np.geomspace(1, 30, 8)]),
        np.repeat([-2.0, -1.0, 1.0, 2.0], [1, 3, 3, 1]),
        np.array([0.0, 1.0, 11.0]),
        np.array([-1.0, 1.0]),
        np.concatenate([np.arange(10.0), 100 + np.arange(10.0)]),
    ],
    ids=["even", "mirrored", "tied and mirrored", "three", "two", "two combs"],
)
def test_simultaneous_events(x: FloatArray, activation: Activation, skip: bool) -> None:
    low = threshold(x, activation, skip)
    path = solution_path(x, down_to=low, activation=activation, skip=skip)
    check_pieces(path)
    for beta in np.union1d(np.linspace(low, 1.1 * len(x), 40), path.betas):
        one = score_matching(x, beta, activation=activation, skip=skip)
        assert difference(path(beta), one, float(np.std(x))) <= 1e-7  # at events, what their rounding moves


def check_pieces(path: SolutionPath) -> None:
    """They cover everything without gaps, and the score is continuous from one to the next."""
    assert path.pieces[0].high == np.inf
    assert [p.low for p in path.pieces[:-1]] == [p.high for p in path.pieces[1:]]
    assert (np.diff(path.betas) < 0).all()
    assert path.number_of_knots.tolist() == [len(p.knots) for p in path.pieces]
    for above, below in zip(path.pieces[:-1], path.pieces[1:], strict=True):
        gap = 1e-7 * above.low
        if min(above.high, 1e300) - above.low > 2 * gap and below.high - below.low > 2 * gap:
            upper, lower = path(above.low + gap), path(above.low - gap)
            size = upper.certificate.scale
            assert abs(upper.value - lower.value) <= 1e-5 * size  # the value is continuous


@pytest.mark.parametrize(("scale", "offset"), [(1e8, 0.0), (1e-8, 0.0), (1.0, 1e6)])
@every_network
def test_units_and_offsets(activation: Activation, skip: bool, scale: float, offset: float) -> None:
    x = np.random.default_rng(3).normal(size=25)
    plain = solution_path(x, down_to=3.0, activation=activation, skip=skip)
    moved = solution_path(scale * x + offset, down_to=3.0, activation=activation, skip=skip)
    assert len(moved.betas) == len(plain.betas)
    # An offset of 1e6 costs six of sixteen digits of the distances.
    assert np.max(np.abs(moved.betas / plain.betas - 1)) <= 1e-7


@checked
@given(data_sets(distinct=2), st.sampled_from(NETWORKS), st.integers(0, 2**16))
def test_denoising_path_equals_single_fits(
    x: FloatArray, network: tuple[Activation, bool], seed: int
) -> None:
    activation, skip = network
    targets = np.random.default_rng(seed).normal(size=len(x)) - x / (1 + np.abs(x))
    top = denoising_path(x, targets, down_to=1e9, activation=activation, skip=skip)
    assert len(top.pieces) == 1 or np.ptp(x) > 1e6
    low = 1e-2 * float(np.std(x))
    path = denoising_path(x, targets, down_to=low, activation=activation, skip=skip)
    check_pieces(path)
    for beta in (low, *weight_decays_between(low, 1.1 * path.betas[0], seed, 3)):
        one = denoising_score_matching(x, targets, beta, activation=activation, skip=skip)
        assert (
            abs(path(beta).value - one.value) <= 1e-8 * one.certificate.scale
        )  # the certificates' tolerance


def test_a_wrong_piece_does_not_pass() -> None:
    x = np.random.default_rng(0).normal(size=30)
    path = solution_path(x, down_to=2.0)
    # The score of one piece, carried on into the next ones.
    states = (*path._states[:5], *(path._states[4],) * (len(path._states) - 5))
    wrong = replace(path, _states=states)
    for beta in (path.betas[6], path.betas[-1]):
        path(beta)
        with pytest.raises(NotCertifiedError, match="could not be certified at beta"):
            wrong(beta)


def test_where_the_path_stops() -> None:
    x = np.random.default_rng(0).normal(size=30)
    path = solution_path(x, down_to=2.0)
    assert path.betas[-1] == 2.0
    assert path(2.0).certificate.holds
    assert path(1e6).value == 0.0
    assert path.piece_at(path.betas[3]) == 3
    with pytest.raises(ValueError, match=r"beta must be at least 2, where the path stops; got 1\.9"):
        path(1.9)
    with pytest.raises(ValueError, match=r"beta = 0\.9 is below 1"):
        solution_path(x, down_to=0.9)
    for one in ([1.0], [2.0, 2.0]):
        with pytest.raises(ValueError, match="at least two distinct points"):
            solution_path(one, down_to=3.0)
        with pytest.raises(ValueError, match="at least two distinct points"):
            denoising_path(one, one, down_to=3.0)
    with pytest.raises(ValueError, match="targets must have one entry per point"):
        denoising_path([0.0, 1.0], [1.0], down_to=1.0)
