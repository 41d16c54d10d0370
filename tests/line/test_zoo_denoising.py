"""The path in the weight decay, held-out losses, and denoising on the line, on the zoo and its targets.

As for score matching, the printed programs are not solved: network and dual vector are handed to them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import test_denoising as line
from claims_witness import Evidence
from routes import OPTIMAL
from strategies import NETWORKS, threshold
from test_path import difference
from test_selection import averaged_minus_counted, expected_loss
from zoo import denoising_tasks, samples

from convexdiff_lib import UnivariateScore, denoising_loss, denoising_score_matching, score_matching
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.datasets import GaussianMixture
from convexdiff_lib.line.kink_network import KinkNetwork
from convexdiff_lib.line.path import solution_path
from convexdiff_lib.line.piecewise_linear import PiecewiseLinearScore
from convexdiff_lib.line.selection import score_error
from convexdiff_lib.paper.univariate_programs import denoising_network_from_program, denoising_program

# --- Chapter 7 -------------------------------------------------------------------------------------------


def test_path(on_zoo: Evidence) -> None:
    """At the events, between them, and above the first; events coincide where data are symmetric or tied."""
    fits = on_zoo("ours-solution-path", "single-fits-on-structured-data", 1e-7).because(
        "rounding, and at an event what its own rounding moves"
    )
    concave = on_zoo("ours-solution-path", "value-is-concave-on-structured-data", 1e-8).because(
        "the certificate's tolerance; how far the value in the middle of two events is below the chord"
    )
    slope = on_zoo("ours-solution-path", "slope-of-the-value-on-structured-data", 1e-6).because(
        "a difference quotient, exact for a quadratic, against the total weight, over value over beta; "
        "distinct points"
    )
    for name, x in samples(distinct=2):
        for activation, skip in NETWORKS:
            low = threshold(x, activation, skip)
            path = solution_path(x, down_to=low, activation=activation, skip=skip)
            if not skip:
                assert abs(path.betas[0] - len(x)) <= 1e-9 * len(x), name  # rounding; zero from n on
            events = np.unique(np.append(path.betas, [low, 1.5 * len(x) + low]))
            middles = (events[1:] + events[:-1]) / 2
            for beta in (*events, *middles):
                one = score_matching(x, beta, activation=activation, skip=skip)
                fits.holds(difference(path(beta), one, float(np.std(x))), on=name)
            for a, b, c in zip(events[:-1], middles, events[1:], strict=True):
                left, middle, right = (path(beta) for beta in (a, b, c))
                size = middle.certificate.scale
                concave.holds(max(0.0, (left.value + right.value) / 2 - middle.value) / size, on=name)
                if len(np.unique(x)) == len(x) and c - a >= 1e-3 * c:
                    gap = (right.value - left.value) / (c - a) - middle.kink_network.total_weight
                    slope.holds(abs(gap) / (size / c), on=name)


def test_held_out_loss(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-held-out-choice", "expected-loss-on-structured-data", 1e-5).because(
        "the midpoint rule on cells of a thousandth of the interval"
    )
    zero = PiecewiseLinearScore(np.zeros(1), np.zeros(1), 0.0, 0.0)
    for name, x in samples():
        near = (x - x.mean()) / (np.std(x) or 1.0)
        law, interval = GaussianMixture(tuple(near), 0.5), (near.min() - 6.0, near.max() + 6.0)
        constant = -0.5 * score_error(zero, law, interval) ** 2
        fit = score_matching(near, 1.5 * threshold(x, "relu", False)).score
        half = 0.5 * score_error(fit, law, interval) ** 2
        seen.holds(abs(expected_loss(fit, law, interval) - (half + constant)) / (1 + half), on=name)


def test_one_sided_slopes(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-one-sided-derivative", "price-per-kink-on-structured-data", 1e-8).because(
        "rounding of the slopes, relative to the loss"
    )
    grows = on_zoo(
        "ours-one-sided-derivative", "grows-as-weight-decay-falls-on-structured-data", 1e-8
    ).because("the largest rise with beta over the loss")
    for name, x in samples(ties=False):
        for activation, skip in NETWORKS:
            if skip and len(x) < 2:
                continue
            share, prices = 0.5 if activation == "relu" else 1.0, []
            size = len(x) / (2 * np.var(x)) if len(x) > 1 else 1.0
            for beta in threshold(x, activation, skip) * np.array([1.0, 1.2, 2.0, 3.0, 10.0]):
                fit = score_matching(x, beta, activation=activation, skip=skip)
                prices.append(share * fit.kink_network.total_weight)
                gap = averaged_minus_counted(x, beta, activation, skip)
                seen.holds(abs(gap - prices[-1]) / (abs(fit.value) + size), on=name)
            grows.holds(max(0.0, float(np.max(np.diff(prices)))) / size, on=name)


# --- Chapter 8 -------------------------------------------------------------------------------------------


def unit_of(x: FloatArray, aims: FloatArray) -> float:
    """The unit of weight decay, a length times a target; of what it is for data that have none."""
    return (float(np.std(x)) or 1.0) * (float(np.abs(aims).max()) or 1.0)


def size_of(aims: FloatArray) -> float:
    """The loss of the zero network; one, if that is zero."""
    return float(0.5 * np.sum(aims**2)) or 1.0


def tasks(skip: bool) -> Iterator[tuple[str, FloatArray, FloatArray, float]]:
    """Every sample with every target, from hardly any weight decay to more than the data can bear."""
    for name, x, aims in denoising_tasks(distinct=2 if skip else 1):
        for share in (1e-2, 0.3, 3.0 * len(x)):
            yield f"{name} at {share:g} units", x, aims, share * unit_of(x, aims)


def column_weights(x: FloatArray, net: KinkNetwork, *, two_sided: bool) -> FloatArray:
    """The y of the printed program that is this network: minus the weights, at the first point of a kink."""
    n = len(x)
    y = np.zeros((2 if two_sided else 1) * n)
    for kink, facing, weight in zip(net.kinks, net.facing, net.weights, strict=True):
        y[int(two_sided and facing < 0) * n + int(np.flatnonzero(x == kink)[0])] -= weight
    return y


def fitted_point(x: FloatArray, fit: UnivariateScore, activation: Activation, skip: bool) -> FloatArray:
    net = fit.kink_network.relu_to_abs() if skip and activation == "relu" else fit.kink_network
    return column_weights(x, net, two_sided=activation == "relu" and not skip)


def far_from_optimal(
    x: FloatArray, aims: FloatArray, fit: UnivariateScore, activation: Activation, skip: bool
) -> float:
    """How far the fit is from a proof that it is optimal in the printed program, over the loss of zero."""
    program = denoising_program(x, aims, fit.beta, activation=activation, skip=skip)
    value = program.value_at(fitted_point(x, fit, activation, skip))
    loss = denoising_loss(fit.network(), x, aims, fit.beta)
    dual = float(fit.z @ aims - 0.5 * fit.z @ fit.z)
    violation = float(np.max(np.abs(program.A.T @ fit.z))) / program.penalty - 1
    distances = abs(value - dual), abs(value - fit.value), abs(value - loss)
    return max(max(distances) / size_of(aims), violation)


def test_relu_program(on_zoo: Evidence) -> None:
    seen = on_zoo("thm-denoising-relu", "optimal-on-structured-data", 2e-8).because(OPTIMAL)
    for name, x, aims, beta in tasks(False):
        seen.holds(far_from_optimal(x, aims, denoising_score_matching(x, aims, beta), "relu", False), on=name)


def test_abs_program(on_zoo: Evidence) -> None:
    seen = on_zoo("thm-denoising-abs", "optimal-on-structured-data", 2e-8).because(OPTIMAL)
    for name, x, aims, beta in tasks(False):
        fit = denoising_score_matching(x, aims, beta, activation="abs")
        seen.holds(far_from_optimal(x, aims, fit, "abs", False), on=name)


def test_relu_skip_program(on_zoo: Evidence) -> None:
    seen = on_zoo("thm-denoising-relu-skip", "optimal-on-structured-data", 2e-8).because(OPTIMAL)
    for name, x, aims, beta in tasks(True):
        fit = denoising_score_matching(x, aims, beta, skip=True)
        seen.holds(far_from_optimal(x, aims, fit, "relu", True), on=name)


def test_abs_skip_program(on_zoo: Evidence) -> None:
    seen = on_zoo("thm-denoising-abs-skip", "optimal-on-structured-data", 2e-8).because(OPTIMAL)
    for name, x, aims, beta in tasks(True):
        fit = denoising_score_matching(x, aims, beta, activation="abs", skip=True)
        seen.holds(far_from_optimal(x, aims, fit, "abs", True), on=name)
    for kind in ("relu", "abs"):
        with pytest.raises(ValueError, match="at least two distinct points"):
            denoising_program([2.0, 2.0], [1.0, 0.0], 1.0, activation=kind, skip=True)


def test_beam(on_zoo: Evidence) -> None:
    inside = on_zoo("ours-denoising-beam", "beam-in-the-tube-on-structured-data", 1e-7).because(
        "rounding of the heights, over beta"
    )
    score = on_zoo("ours-denoising-beam", "fit-is-target-minus-curvature-on-structured-data", 1e-7).because(
        "a certified optimum, in units of the largest target"
    )
    touch = on_zoo("ours-denoising-beam", "kinks-touch-the-tube-on-structured-data", 1e-6).because(
        "how far the beam is from the nearest bound where the fit bends, over beta"
    )
    for activation, skip in NETWORKS:
        for name, x, aims, beta in tasks(skip):
            fit = denoising_score_matching(x, aims, beta, activation=activation, skip=skip)
            inside.holds(max(0.0, line.tube_violation(x, fit.z, beta, activation, skip)), on=name)
            points, _, means, _ = line.by_point(x, aims)
            summed = np.array([np.mean(aims[x == p] - fit.z[x == p]) for p in points])
            assert len(means) == len(points)
            score.holds(float(np.max(np.abs(summed - fit(points)))) / (np.abs(aims).max() or 1.0), on=name)
            g = np.array([fit.z @ np.maximum(x - t, 0.0) for t in points])
            bounds = (np.abs(2 * g - g[0]),) if activation == "abs" else (np.abs(g), np.abs(g[0] - g))
            room = np.min([np.abs(beta - bound) for bound in bounds], axis=0)
            net = fit.kink_network
            real = np.abs(net.weights) > 1e-9 * net.total_weight  # not what rounding leaves
            bends = np.isin(points, net.kinks[real])
            touch.holds(float(np.max(room[bends], initial=0.0)) / beta, on=name)


def total_variation(points: FloatArray, values: FloatArray) -> float:
    """The sum of the sizes of the changes of slope of the polygon through these values."""
    return float(np.abs(np.diff(np.diff(values) / np.diff(points))).sum())


def test_trend_filter(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-trend-filtering", "objective-and-dual-on-structured-data", 1e-7).because(
        "the filter's objective at the fit and its dual at z, each to the certificate's tolerance"
    )
    for activation in ("relu", "abs"):
        for name, x, aims, beta in tasks(True):
            fit = denoising_score_matching(x, aims, beta, activation=activation, skip=True)
            weight, points = beta if activation == "relu" else beta / 2, np.unique(x)
            objective = 0.5 * np.sum((fit(x) - aims) ** 2) + weight * total_variation(points, fit(points))
            violation = max(0.0, line.tube_violation(x, fit.z, beta, activation, True))
            seen.holds(max(abs(objective - fit.value) / size_of(aims), violation), on=name)


def test_two_ends(on_zoo: Evidence) -> None:
    large = on_zoo("ours-denoising-ends", "constant-or-line-on-structured-data", 1e-8).because(
        "the certificate's tolerance, in losses of the zero network"
    )
    below = on_zoo(
        "ours-denoising-ends", "not-below-the-threshold-on-structured-data", at_least=1e-9, form="ours"
    ).because("what a tenth less weight decay gains over the constant or the line")
    small = on_zoo("ours-denoising-ends", "interpolation-on-structured-data", 1e-2).because(
        "the fit is off by at most beta over the square of the smallest gap, here times a thousandth"
    )
    for activation, skip in NETWORKS:
        for name, x, aims in denoising_tasks(distinct=2 if skip else 1):
            size, near = size_of(aims), x - x[0]
            basis = np.column_stack([np.ones(len(x)), near / (np.ptp(x) or 1.0)][: 1 + skip])
            rest = aims - basis @ np.linalg.lstsq(basis, aims, rcond=None)[0]
            top, left_over = line.reach(x, rest, activation), float(0.5 * np.sum(rest**2))
            for beta in (top, 2 * top) if top > 1e-9 * unit_of(x, aims) else (1e-3, 1.0):
                fit = denoising_score_matching(x, aims, beta, activation=activation, skip=skip)
                large.holds(abs(fit.value - left_over) / size, on=name)
            if top > 1e-9 * unit_of(x, aims):
                less = denoising_score_matching(x, aims, 0.9 * top, activation=activation, skip=skip)
                below.fails((left_over - less.value) / size, on=name)
            points, _, means, _ = line.by_point(x, aims)
            shortest = float(np.diff(points).min(initial=np.inf))
            beta = 1e-3 * (np.abs(aims).max() or 1.0) * min(shortest, 1.0) ** 2
            fit = denoising_score_matching(x, aims, beta, activation=activation, skip=skip)
            small.holds(float(np.max(np.abs(fit(points) - means))) / (np.abs(aims).max() or 1.0), on=name)


def test_no_decay(on_zoo: Evidence) -> None:
    seen = on_zoo("rem-denoising-finite", "a-polygon-on-structured-data", 1e-9).because(
        "rounding; the loss without weight decay against the squares that ties make unavoidable"
    )
    for name, x, aims in denoising_tasks():
        floor = line.by_point(x, aims)[3]
        seen.holds(abs(denoising_loss(line.polygon(x, aims), x, aims, 0.0) - floor) / size_of(aims), on=name)


def test_rules(on_zoo: Evidence) -> None:
    relu = on_zoo("rule-denoising-relu-reconstruction", "signed-rule-on-structured-data", 1e-7).because(
        "rounding, in losses of the zero network"
    )
    absolute = on_zoo("rule-denoising-abs-reconstruction", "signed-rule-on-structured-data", 1e-7).because(
        "rounding, in losses of the zero network"
    )
    for seen, activation in ((relu, "relu"), (absolute, "abs")):
        for name, x, aims, beta in tasks(False):
            fit = denoising_score_matching(x, aims, beta, activation=activation)
            y = fitted_point(x, fit, activation, False)
            net = denoising_network_from_program(x, aims, y, activation=activation)
            seen.holds(abs(denoising_loss(net, x, aims, beta) - fit.value) / size_of(aims), on=name)


def test_predictor(on_zoo: Evidence) -> None:
    seen = on_zoo("disp-denoising-predictor", "displayed-sum-on-structured-data", 1e-7).because(
        "rounding of a sum of hinges, over the largest value"
    )
    for name, x, aims, beta in tasks(False):
        fit = denoising_score_matching(x, aims, beta)
        wide = np.ptp(x) or 1.0
        at = np.concatenate([x, np.linspace(x.min() - wide, x.max() + wide, 21)])
        shown = line.displayed_prediction(x, aims, fitted_point(x, fit, "relu", False), at)
        seen.holds(float(np.max(np.abs(shown - fit(at)))) / (1 + np.max(np.abs(fit(at)))), on=name)


def test_sign(on_zoo: Evidence) -> None:
    mirrored = on_zoo(
        "ours-denoising-sign", "other-sign-fits-minus-the-score-on-structured-data", 1e-7
    ).because("two certified solves; values at the data, in units of the largest target")
    for activation, skip in NETWORKS:
        for name, x, aims, beta in tasks(skip):
            right, wrong = (
                denoising_score_matching(x, sign * aims, beta, activation=activation, skip=skip)
                for sign in (1.0, -1.0)
            )
            off = float(np.max(np.abs(right(x) + wrong(x)))) / (np.abs(aims).max() or 1.0)
            mirrored.holds(max(off, abs(right.value - wrong.value) / size_of(aims)), on=name)


def test_smoothed_score(on_zoo: Evidence) -> None:
    seen = on_zoo("eq-denoising-equivalence", "mean-noise-around-structured-data", 1e-9).because(
        "the trapezoidal rule on Gaussians is exact to rounding; over the largest score"
    )
    for name, x in samples():
        near = (x - x.mean()) / (np.std(x) or 1.0)
        law = GaussianMixture(tuple(near), 0.5)
        for sigma in (0.2, 1.0):
            smooth = law.smoothed(sigma)
            at = np.linspace(near.min() - 2, near.max() + 2, 15)
            score = smooth.score(at)
            off = np.max(np.abs(line.mean_noise(law, sigma, at) / sigma + score))
            seen.holds(float(off / np.max(np.abs(score))), on=name)
