"""The exact solution path in the weight decay, against single fits and the printed programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from claims_witness import Evidence
from hypothesis import given
from hypothesis import strategies as st
from routes import GENERAL_SOLVER
from strategies import FAMILIES, NETWORKS, checked, data_sets, every_network, threshold, ugly

import convexdiff_lib.line.path as path_module
from convexdiff_lib import NotCertifiedError, denoising_score_matching, score_matching
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.datasets import GaussianMixture
from convexdiff_lib.line.closed_forms import large_weight_decay_threshold
from convexdiff_lib.line.path import Piece, SolutionPath, denoising_path, solution_path
from convexdiff_lib.line.piecewise_linear import PiecewiseLinearScore
from convexdiff_lib.line.problem import LineProblem, SplineClaim
from convexdiff_lib.line.selection import score_error
from convexdiff_lib.line.spline_certificates import Verdict, examine
from convexdiff_lib.line.univariate_score import UnivariateScore
from convexdiff_lib.paper.univariate_programs import score_matching_program, solve_program


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


def test_path_equals_single_fits(evidence: Evidence):
    seen = evidence("ours-solution-path", "path-equals-single-fits", 1e-9).because(
        "rounding; the residual is the largest difference of the scores at the data, relative to them"
    )
    for seed in range(28):
        x = sample(seed)
        for activation, skip in NETWORKS:
            low = threshold(x, activation, skip) * (1.0 if seed % 2 else 1.2)
            path = solution_path(x, down_to=low, activation=activation, skip=skip)
            for beta in weight_decays_between(low, 1.2 * len(x) + low, seed):
                one = score_matching(x, beta, activation=activation, skip=skip)
                seen.holds(difference(path(beta), one, float(np.std(x))))


def test_first_event_is_the_threshold_of_the_closed_form(evidence: Evidence):
    seen = evidence("ours-solution-path", "first-event-is-the-closed-form-threshold", 1e-9).because(
        "rounding, relative to the threshold"
    )
    for seed in range(28):
        x = sample(seed)
        for activation, skip in NETWORKS:
            end = large_weight_decay_threshold(x, activation=activation, skip=skip)
            low = 0.5 * end
            if low < threshold(x, activation, skip):
                continue
            path = solution_path(x, down_to=low, activation=activation, skip=skip)
            # Without skip connection the score is zero down to n, then linear inside the data.
            assert skip or abs(path.betas[0] - len(x)) <= 1e-9 * len(x)  # rounding
            seen.holds(abs(path.betas[0 if skip else 1] - end) / end)


def test_path_equals_the_printed_programs(evidence: Evidence):
    seen = evidence("ours-solution-path", "path-equals-the-printed-programs", 1e-6).because(GENERAL_SOLVER)
    for seed in (0, 7, 14):
        x = np.random.default_rng(seed).normal(size=12)
        for activation, skip in NETWORKS:
            low = threshold(x, activation, skip)
            path = solution_path(x, down_to=low, activation=activation, skip=skip)
            for beta in weight_decays_between(low, 12.0, seed, 3):
                printed = solve_program(score_matching_program(x, beta, activation=activation, skip=skip))
                value = path(beta).value
                seen.holds(abs(printed.value - value) / max(abs(value), 12 / (2 * np.var(x))))


def paths() -> Iterator[tuple[FloatArray, SolutionPath]]:
    for seed in (0, 1, 3, 4):
        x = sample(seed)
        for activation, skip in NETWORKS:
            stop = 1.5 * threshold(x, activation, skip)
            yield x, solution_path(x, down_to=stop, activation=activation, skip=skip)


def wide_pieces(path: SolutionPath, width: float) -> list[Piece]:
    return [p for p in path.pieces[1:] if p.high - p.low >= width * p.high][:8]


def test_score_is_affine_between_events(evidence: Evidence):
    seen = evidence("ours-solution-path", "affine-between-events", 1e-9).because(
        "rounding; three single fits inside one piece, which know nothing of the path"
    )
    for x, path in paths():
        kind = {key: path._facts()[key] for key in ("activation", "skip")}
        for piece in wide_pieces(path, 1e-3):
            betas = piece.low + (piece.high - piece.low) * np.array([0.1, 0.4, 0.9])
            a, b, c = (score_matching(x, beta, **kind).z for beta in betas)
            size = max(np.abs(a).max(), 1 / np.std(x))
            seen.holds(float(np.abs(b - (a * 5 + c * 3) / 8).max() / size))


def test_value_is_concave_and_its_slope_is_the_total_weight(evidence: Evidence):
    seen = evidence("ours-solution-path", "slope-of-the-value-is-the-total-weight", 1e-8).because(
        "rounding of a difference quotient, exact for a quadratic; relative to the value over beta"
    )
    for _, path in paths():
        total = [path(beta).kink_network.total_weight for beta in path.betas]
        assert np.min(np.diff(total)) >= -1e-9 * max(total)  # rounding: it grows as beta falls
        for piece in wide_pieces(path, 1e-2):
            high, middle, low = map(path, (piece.high, (piece.high + piece.low) / 2, piece.low))
            slope = (high.value - low.value) / (piece.high - piece.low)
            gap = abs(slope - middle.kink_network.total_weight)
            seen.holds(gap / max(abs(low.value) / piece.low, 1e-300))


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


@every_network
@pytest.mark.parametrize(("family", "seed"), [("rounded", 2), ("heavy tie", 5), ("skewed", 53)])
def test_just_below_an_event(family: str, seed: int, activation: Activation, skip: bool) -> None:
    """There a score that is right at the event soon breaks the tube, and one below it may turn too fast."""
    rng = np.random.default_rng(seed)
    x = ugly(family, int(rng.integers(3, 60)), rng)
    low = 1.01 * threshold(x, activation, skip)
    path = solution_path(x, down_to=low, activation=activation, skip=skip)
    for event in path.betas[:-1]:
        at_event = path(event).value
        for near in (1e-15, 1e-12, 1e-10, 1e-9, 1.9e-9, 4e-9):
            fit = path(float(event) * (1 - near))  # raises where it is not certified
            # The value is continuous, and its slope, the total weight, is the larger one below.
            fall = near * event * fit.kink_network.total_weight
            assert abs(fit.value - at_event) <= fall + 1e-8 * fit.certificate.scale


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


def test_a_path_with_an_uncertified_piece_is_not_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=30)

    def bent(problem: LineProblem, claim: SplineClaim) -> tuple[SplineClaim, Verdict]:
        # One per cent too much where the score has more than two kinks: the first pieces are right.
        factor = 1.01 if len(claim.knots) > 4 else 1.0
        claim = replace(claim, values=claim.values * factor)
        return claim, examine(problem, claim)

    monkeypatch.setattr(path_module, "sharpened", bent)
    assert len(solution_path(x, down_to=20.0).pieces) >= 2
    with pytest.raises(NotCertifiedError, match="could not be certified at beta"):
        solution_path(x, down_to=2.0)


def test_single_events_need_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one thing happens at a time the next active set is known, also where points are very close."""

    def refuse(*parts: Any) -> Any:
        raise AssertionError("searched")

    monkeypatch.setattr(path_module, "_search", refuse)
    for family in ("normal", "cauchy", "clusters", "skewed"):
        x = ugly(family, 50, np.random.default_rng(0))
        for activation, skip in NETWORKS:
            low = 1.2 * threshold(x, activation, skip)
            assert len(solution_path(x, down_to=low, activation=activation, skip=skip).pieces) >= 10


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


def summed_slopes(t: float, x: FloatArray, activation: Activation, facing: float) -> float:
    """What the loss counts for a neuron of unit weights with its kink at t, which is no data point."""
    on = facing * (x - t) > 0
    return float(facing * (on.sum() if activation == "relu" else 2.0 * on.sum() - len(x)))


def test_no_neuron_between_neighbours(evidence: Evidence):
    seen = evidence("rem-piecewise-linear", "constraints-have-room-between-neighbours", 1e-9).because(
        "the certificate's own tolerance; how far the room falls short of that in the proof, over n"
    )
    for seed in range(28):
        x = sample(seed)
        values, times = np.unique(x, return_counts=True)
        for activation, skip in NETWORKS:
            beta = threshold(x, activation, skip) * (1 + 0.3 * (seed % 3))
            z = score_matching(x, beta, activation=activation, skip=skip).z
            shortage = 0.0
            for part in (0.1, 0.5, 0.8):
                places = values[:-1] + part * np.diff(values)
                promised = np.minimum(part * times[1:], (1 - part) * times[:-1])
                promised = promised * (1.0 if activation == "relu" else 2.0)
                for t, room in zip(places, promised, strict=True):
                    if not np.isin(t, x):
                        for facing in (1.0, -1.0):
                            u = facing * (x - t)
                            neuron = np.maximum(u, 0.0) if activation == "relu" else np.abs(u)
                            gap = abs(z @ neuron - summed_slopes(t, x, activation, facing))
                            shortage = max(shortage, gap + room - beta)
            seen.holds(shortage / len(x))


def test_score_is_linear_between_neighbours(evidence: Evidence):
    seen = evidence("rem-piecewise-linear", "second-differences-vanish-between-neighbours", 1e-9).because(
        "rounding of the score between two neighbours, relative to its largest value"
    )
    for seed in range(28):
        x = sample(seed)
        values = np.unique(x)
        for activation, skip in NETWORKS:
            fit = score_matching(x, 1.1 * threshold(x, activation, skip), activation=activation, skip=skip)
            net = fit.kink_network
            left, right = values[:-1], values[1:]
            part = 0.3
            chord = (1 - part) * net(left) + part * net(right)
            between = net(left + part * (right - left))
            seen.holds(float(np.abs(between - chord).max() / max(np.abs(chord).max(), 1 / np.std(x))))
            assert np.isin(fit.knots, x).all()


def zeros_of(score: PiecewiseLinearScore) -> list[tuple[float, float]]:
    """Where the score vanishes, each with the slope there."""
    low, high = score.knots[0] - 1e3, score.knots[-1] + 1e3
    corners = np.concatenate([[low], score.knots, [high]])
    values = score(corners)
    found = []
    for i in np.flatnonzero(values[:-1] * values[1:] < 0):
        slope = (values[i + 1] - values[i]) / (corners[i + 1] - corners[i])
        found.append((float(corners[i] - values[i] / slope), float(slope)))
    return found


def test_well_separated_data(evidence: Evidence):
    centres = evidence(
        "rem-separated-mixture", "falling-zeros-are-the-centres", 0.1, what="distance in standard deviations"
    ).because("an empirical bound, a tenth of a standard deviation, between a zero and its component's mean")
    near = evidence(
        "rem-separated-mixture", "score-is-near-that-of-the-mixture", 0.2, what="root-mean-square error"
    ).because("an empirical bound on the root-mean-square error, on scores of mean square one")
    rising = evidence(
        "rem-separated-mixture",
        "a-zero-that-is-no-centre",
        at_least=5.0,
        what="distance in standard deviations",
    ).because("standard deviations between the rising zero and the nearest mean")
    inside = evidence(
        "rem-separated-mixture",
        "a-breakpoint-inside-a-component",
        at_least=0.25,
        what="share of points on the smaller side",
    ).because("the share of the component's points on the smaller side of the breakpoint; at most a half")
    for separation in (10.0, 20.0, 40.0):
        law = GaussianMixture((-separation, separation))
        for seed in range(3):
            x = law.sample(1000, np.random.default_rng(seed))
            fit = score_matching(x, 20.0)
            parts = (x[x < 0], x[x > 0])
            falling = sorted(zero for zero, slope in zeros_of(fit.score) if slope < 0)
            assert len(falling) == 2
            for zero, part in zip(falling, parts, strict=True):
                centres.holds(abs(zero - float(part.mean())))
            near.holds(score_error(fit.score, law, (-separation - 9, separation + 9)))
            (middle,) = (zero for zero, slope in zeros_of(fit.score) if slope > 0)
            rising.fails(min(abs(middle - float(part.mean())) for part in parts))
            # At least one breakpoint on either side of the gap; seed 1 has one in the middle of a component.
            assert ((fit.knots > falling[0]) & (fit.knots < middle)).any()
            assert ((fit.knots > middle) & (fit.knots < falling[1])).any()
            if seed == 1:
                right = parts[1]
                shares = [np.mean(right < knot) for knot in fit.knots if knot > 0]
                inside.fails(max(min(share, 1 - share) for share in shares))
