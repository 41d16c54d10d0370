"""Large weight decay, Langevin sampling and the reach of Adam on the zoo: ties, symmetry, extreme ratios."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import test_closed_forms as closed
import test_exact_law as exact
import test_langevin_theorem as langevin
import torch
from claims_witness import Evidence
from routes import CERTIFICATE
from strategies import NETWORKS, threshold
from test_denoising_experiments import reach
from zoo import samples, targets

from convexdiff_lib import score_matching
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.line.closed_forms import (
    LargeWeightDecay,
    large_weight_decay,
    large_weight_decay_threshold,
)
from convexdiff_lib.line.kink_network import KinkNetwork
from convexdiff_lib.line.network_certificates import certify_score_matching
from convexdiff_lib.paper.nonconvex import train_denoising
from convexdiff_lib.sampling.exact_law import langevin_laws, propagate
from convexdiff_lib.sampling.grid_law import GridLaw

SHARES = (-1.0, 0.0, 0.6, 1.0)


def optimal_cases(activation: Activation) -> Iterator[tuple[str, FloatArray, float]]:
    """Every member with two values, at weight decays from the threshold to n."""
    for name, x in samples(distinct=2):
        for beta in closed.decays(x, activation):
            yield f"{name} at {beta:g}", x, beta


def closed_form_residual(x: FloatArray, beta: float, activation: Activation) -> float:
    """Value against the formula, pieces against the network, and the certificate's gap, for several t."""
    rho, n = closed.slope_inside(x, beta), len(x)
    pieces = closed.printed_pieces if activation == "relu" else closed.abs_pieces
    at, worst = closed.around(x), 0.0
    for share in SHARES:
        t = share * rho / 2
        fit = large_weight_decay(x, beta, activation=activation, t=t)
        off = abs(fit.value + (n - beta) ** 2 / (2 * n * x.var())) / fit.certificate.scale
        apart = float(np.max(np.abs(fit.kink_network(at) - pieces(at, x, beta, t)))) / closed.scale(x)
        worst = max(worst, off, apart, closed.judge(x, beta, activation, False, t).relative_gap)
    return worst


def excess_of_another_hinge(x: FloatArray, beta: float, activation: Activation) -> float:
    """One minus the largest |a_j^T A y + b_j| / beta over the columns at inner points and the wrong ends."""
    n, used = len(x), [0, 3 * len(x) - 1 if activation == "relu" else 2 * len(x) - 1]
    place = np.tile(x, 4 if activation == "relu" else 2)
    copies = [j for u in used for j in range(u // n * n, u // n * n + n) if place[j] == place[u]]
    entries = np.abs(closed.gradient(x, beta, 0.0, activation))
    return float(1 - np.max(np.delete(entries, copies), initial=0.0) / beta)


def test_closed_forms(on_zoo: Evidence) -> None:
    """With ties the two hinges have copies in the program, one for every copy of the point: left out."""
    relu = on_zoo("eq-large-decay-relu", "optimal-on-structured-data", 1e-8).because(CERTIFICATE)
    absolute = on_zoo("eq-large-decay-abs", "optimal-on-structured-data", 1e-8).because(CERTIFICATE)
    alone = on_zoo(
        "eq-large-decay-relu", "no-other-hinge-on-structured-data", at_least=1e-5, form="ours"
    ).because("what a unit of weight on another hinge adds to the loss, over beta, above the threshold")
    for seen, activation in ((relu, "relu"), (absolute, "abs")):
        for name, x, beta in optimal_cases(activation):
            seen.holds(closed_form_residual(x, beta, activation), on=name)
            if activation == "relu" and beta > closed.decays(x)[0]:
                alone.fails(excess_of_another_hinge(x, beta, "relu"), on=name)


def test_explicit_threshold(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-beta-one-explicit", "certificate-turns-on-structured-data", 1e-5).because(
        closed.CERTIFIED
    )
    for name, x in samples(distinct=2):
        found = large_weight_decay_threshold(x)
        for activation in ("relu", "abs"):
            seen.holds(abs(found - closed.threshold_by_bisection(x, activation, False)) / len(x), on=name)


def test_zero_score(on_zoo: Evidence) -> None:
    zero = on_zoo("eq-zero-score", "zero-is-certified-on-structured-data", 1e-12).because(
        "nothing is computed"
    )
    solved = on_zoo("eq-zero-score", "solver-returns-zero-on-structured-data", 1e-9).because(
        "the score around the data, in natural units"
    )
    other = on_zoo(
        "eq-zero-score", "a-dead-hinge-is-as-good-where-all-points-are-equal", 1e-12, form="ours"
    ).because("rounding: at weight decay n the price of the hinge is what its slopes earn")
    none = np.zeros(0)
    for name, x in samples():
        n = len(x)
        for activation in ("relu", "abs"):
            nothing = KinkNetwork(none, none, none, none.astype(bool), activation=activation)
            for beta in (float(n), 1.5 * n):
                verdict = certify_score_matching(x, nothing, 0 * x, beta, activation=activation)
                zero.holds(max(verdict.relative_gap, verdict.infeasibility), on=name)
                fit = score_matching(x, beta, activation=activation)
                wide = np.ptp(x) or 1.0
                at = np.linspace(x.min() - wide, x.max() + wide, 31)
                solved.holds(float(np.max(np.abs(fit(at)))) * wide, on=name)
        if np.ptp(x) == 0:
            dead = KinkNetwork(x[:1], np.ones(1), -np.ones(1), np.zeros(1, bool))
            verdict = certify_score_matching(x, dead, 0 * x, float(n))
            other.holds(max(verdict.relative_gap, verdict.infeasibility), on=name)


def test_kinks_outside(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-kinks-outside", "kinks-beyond-structured-data", 1e-8).because(CERTIFICATE)
    for activation in ("relu", "abs"):
        for name, x, beta in optimal_cases(activation):
            net = closed.candidate(x, beta, activation, False)
            for left, right in ((1.0, 0.0), (0.3, 2.0), (50.0, 10.0)):
                kinks = net.kinks + np.ptp(x) * np.array([-left, right])
                moved = replace(net, kinks=kinks, constant=0.0)
                moved = replace(moved, constant=-float(moved(x).mean()))
                verdict = certify_score_matching(x, moved, -moved(x), beta, activation=activation)
                seen.holds(max(verdict.relative_gap, verdict.infeasibility), on=name)


def test_slopes_and_norms(on_zoo: Evidence) -> None:
    concave = on_zoo("rem-relu-log-concave", "slopes-on-structured-data", 1e-9).because(closed.ROUNDING)
    largest = on_zoo("rem-abs-log-concave", "largest-slope-on-structured-data", 1e-9).because(closed.ROUNDING)
    norm = on_zoo("rem-min-norm-t", "norms-on-structured-data", 1e-9).because(closed.ROUNDING)
    for name, x, beta in optimal_cases("relu"):
        rho, v = closed.slope_inside(x, beta), x.var()
        for share in SHARES:
            t = share * rho / 2
            relu = large_weight_decay(x, beta, t=t)
            slopes = closed.slopes_of(relu, x) * v
            concave.holds(max(0.0, slopes.max(), -rho * v - slopes.min()), on=name)
            steepest = closed.slopes_of(large_weight_decay(x, beta, activation="abs", t=t), x).max()
            largest.holds(abs(steepest - 2 * abs(t)) * v, on=name)
            squares = float(np.sum(relu.kink_network.weights**2))
            norm.holds(abs(squares - rho**2 / 2 - 2 * t**2) * v**2, on=name)


def test_pieces(on_zoo: Evidence) -> None:
    places = on_zoo("rem-log-density-quadratic", "breakpoints-on-structured-data", 0.0).because(
        "the same numbers"
    )
    between = on_zoo("rem-piecewise-linear", "second-differences-on-structured-data", 1e-9).because(
        "rounding of the score between two neighbours, relative to its largest value"
    )
    for name, x in samples(distinct=2):
        values = np.unique(x)
        left, right = values[:-1], values[1:]
        for activation, skip in NETWORKS:
            fit = score_matching(x, 1.2 * threshold(x, activation, skip), activation=activation, skip=skip)
            places.holds(int(np.sum(~np.isin(fit.knots, x))), on=name)
            chord = 0.7 * fit(left) + 0.3 * fit(right)
            size = max(float(np.abs(fit(values)).max()), 1 / np.std(x))
            between.holds(float(np.abs(fit(left + 0.3 * (right - left)) - chord).max()) / size, on=name)


def test_no_law(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-abs-not-normalisable", "log-density-grows-on-structured-data", 1e-3).because(
        "the terms of lower order, ten thousand spreads away"
    )
    for name, x, beta in optimal_cases("abs"):
        if beta == len(x):
            continue
        for share in (-0.7, 1.0):
            fit = large_weight_decay(x, beta, activation="abs", t=share * closed.slope_inside(x, beta) / 2)
            far = 1e5 * np.ptp(x)
            where = x.max() + far if share > 0 else x.min() - far
            grown = fit.score.integral(where) - fit.score.integral(x.mean())
            seen.holds(abs(grown / (abs(fit.t) * far**2) - 1), on=name)
            with pytest.raises(ValueError, match="cannot be normalised"):
                fit.log_density(x)


def test_skip_closed_forms(on_zoo: Evidence) -> None:
    relu = on_zoo("eq-large-decay-relu-skip", "fitted-gaussian-on-structured-data", 1e-8).because(CERTIFICATE)
    absolute = on_zoo("eq-large-decay-abs-skip", "fitted-gaussian-on-structured-data", 1e-8).because(
        CERTIFICATE
    )
    for seen, activation, share in ((relu, "relu", 0.5), (absolute, "abs", 1.0)):
        for name, x in samples(distinct=2):
            program = closed.score_matching_program(x, 1e3, activation=activation, skip=True)
            low = share * float(np.max(np.abs(program.b)))
            found = large_weight_decay_threshold(x, activation=activation, skip=True)
            seen.holds(abs(low - found) / len(x), on=name)
            for beta in (low * (1 + 1e-12), 1.5 * low):
                verdict = closed.judge(x, beta, activation, True)
                seen.holds(max(verdict.relative_gap, verdict.infeasibility), on=name)
                fit = score_matching(x, beta, activation=activation, skip=True)
                off = abs(fit.value / (-len(x) / (2 * x.var())) - 1)
                seen.holds(
                    max(off, float(np.max(np.abs(fit(x) + (x - x.mean()) / x.var()))) * x.std()), on=name
                )


def test_shrinkage(on_zoo: Evidence) -> None:
    law = on_zoo("ours-shrinkage", "log-density-on-structured-data", 1e-9).because(
        "rounding, in units of the Gaussian's own log-density over the data"
    )
    repair = on_zoo("ours-shrinkage-repair", "three-repairs-on-structured-data", 1e-6).because(
        "certified optima; the rescaling magnifies their error"
    )
    for activation in ("relu", "abs"):
        for name, x, beta in optimal_cases(activation):
            n, inside = len(x), np.linspace(x.min(), x.max(), 51)
            fit = large_weight_decay(x, beta, activation=activation)
            gaussian = -((inside - x.mean()) ** 2) / (2 * x.var())
            off = fit.score.integral(inside) - (n - beta) / n * gaussian
            law.holds(float(np.ptp(off) / np.ptp(gaussian)), on=name)
            line = -(inside - x.mean()) / x.var()
            if beta < n:
                wrong = n / (n - beta) * fit.score(inside) - line
                repair.holds(float(np.max(np.abs(wrong))) * x.std(), on=name)
            straight = score_matching(
                x, (2 if activation == "abs" else 1) * beta, activation=activation, skip=True
            )
            repair.holds(float(np.max(np.abs(straight(x) + (x - x.mean()) / x.var()))) * x.std(), on=name)
        for name, x in samples(distinct=2):
            low = threshold(x, activation, False)
            for beta in (low, 1.5 * low, 0.5 * (low + len(x))):
                score = score_matching(x, beta, activation=activation)(x)
                slope = (x - x.mean()) @ score / len(x)
                repair.holds(max(0.0, abs(slope + 1) - beta / len(x)), on=name)


# --- Chapter 6 -------------------------------------------------------------------------------------------


def relu_scores(*, share: float = 0.4) -> Iterator[tuple[str, LargeWeightDecay]]:
    """Closed forms between the threshold and n, with the two hinges alike, apart, and at the limit of t."""
    for i, (name, x) in enumerate(samples(distinct=2)):
        low = large_weight_decay_threshold(x)
        beta = low + share * (len(x) - low)
        limit = large_weight_decay(x, beta).t_limit
        yield name, large_weight_decay(x, beta, t=(0.0, 0.7, -1.0)[i % 3] * limit)


def test_target_density(on_zoo: Evidence) -> None:
    seen = on_zoo("disp-target-density", "printed-exponents-on-structured-data", 1e-9).because(
        "rounding: jumps at both ends, derivative against the score, difference to the log-density"
    )
    for name, x in samples(distinct=2):
        near = x - x[0] if np.ptp(x) < 1e-3 * abs(x[0]) else x  # squares of an offset drown what is tested
        low = large_weight_decay_threshold(near)
        for mix in (0.1, 0.8):
            beta = low + mix * (len(near) - low)
            for share in SHARES:
                t = share * large_weight_decay(near, beta).t_limit
                pieces = langevin.printed_pieces(near, beta, t)
                seen.holds(langevin.display_residual(near, beta, t, pieces), on=name)


def test_exact_law(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-exact-law", "one-step-on-structured-data", 1e-4).because(
        "distribution functions; the grid's error is of second order in the spacing"
    )
    mass = on_zoo("ours-exact-law", "mass-on-structured-data", 1e-12).because(
        "rounding, also where the map folds"
    )
    for name, fit in relu_scores():
        score, unit = fit.score, 1 / np.sqrt(langevin.smoothness(fit))
        low, high = fit.mean - 3 * unit, fit.mean + 4 * unit
        for eta in (0.1 * unit**2, 2.5 * unit**2):  # the second folds
            noise = np.sqrt(2 * eta)
            reached = 8 * unit + 12 * noise + eta * float(np.max(np.abs(score(np.array([low, high])))))
            nodes = fit.mean + np.linspace(-reached, reached, 2 * int(np.ceil(reached / (0.02 * unit))) + 1)
            start = GridLaw.uniform(low, high, nodes=nodes)
            (later,) = langevin_laws(start, score, step_size=eta, n_steps=1)
            edges = (nodes[1:] + nodes[:-1]) / 2
            cdf = np.cumsum(later.mass)[:-1]
            exactly = exact.one_step_cdf(score, low, high, eta, edges)
            seen.holds(float(np.max(np.abs(cdf - exactly))), on=name)
            mass.holds(abs(float(later.mass.sum()) + later.lost - 1), on=name)


def test_langevin_bounds(on_zoo: Evidence) -> None:
    relu = on_zoo("thm-langevin-relu", "bound-on-structured-data", 1e-9).because(
        "how far the divergence exceeds the bound, over every T up to 12 and every single step; rounding"
    )
    absolute = on_zoo("thm-langevin-abs", "bound-on-structured-data", 1e-9).because(
        "how far the divergence exceeds the bound, over every T up to 12 and every single step; rounding"
    )
    for name, fit in relu_scores():
        start = next(langevin.starts(fit))
        relu.holds(max(0.0, langevin.excess_over_bound(fit, start, 1.0, n_steps=12)), on=name)
    for name, x in samples(distinct=2):
        low = large_weight_decay_threshold(x, activation="abs")
        fit = large_weight_decay(x, 0.6 * low + 0.4 * len(x), activation="abs")
        start = next(langevin.starts(fit))
        absolute.holds(max(0.0, langevin.excess_over_bound(fit, start, 1.0, n_steps=12)), on=name)


def test_largest_step(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-largest-step", "two-steps-on-structured-data", 0.05).because(
        "growth of the width against (eta a_1 - 1)(eta a_2 - 1), over the larger of it and one; noise "
        "is 1/150 of the width"
    )
    for name, fit in relu_scores():
        if abs(fit.t) == fit.t_limit:
            continue  # a flat side: every step is stable
        star = langevin.outer_threshold(fit.score)
        for factor in (0.8, 1.25):
            eta = factor * star
            wide = 150 * np.sqrt(2 * eta)
            nodes = fit.mean + np.linspace(-12 * wide, 12 * wide, 80_001)
            law = GridLaw.uniform(fit.mean - wide, fit.mean + wide, nodes=nodes)
            later = propagate(law, fit, step_size=eta, n_steps=2)
            a, b = (eta * -s for s in (fit.score.left_slope, fit.score.right_slope))
            growth = later.std / law.std
            if min(a, b) >= 1:
                seen.holds(abs(growth - (a - 1) * (b - 1)) / max(growth, 1.0), on=name)
                assert (growth - 1) * (factor - 1) > 0, name


def test_average_iterate(on_zoo: Evidence) -> None:
    line = on_zoo("ours-averaged-law", "growth-on-structured-data", 0.05).because(
        "|growth of the divergence per factor 4 in T - log(2)|, for the fitted Gaussian's score, from a "
        "point, from the target itself and from far away"
    )
    bound = on_zoo(
        "ours-averaged-law", "variance-bound-on-structured-data", 1.0, what="variance / bound"
    ).because("the recursion's variance over the 2 / (eta a^2 T) + V_0 / (eta a T)^2 of the proof")
    for name, x in samples(distinct=2):
        mu, a = float(x.mean()), 1 / float(x.var())
        for offset, width in ((0.0, 0.0), (0.0, 1.0), (10.0, 1.0)):
            start, eta = (mu + offset / np.sqrt(a), width / np.sqrt(a)), 0.25 / a
            kls = []
            for steps in (20_000, 80_000):
                mean, variance = langevin.average_iterate(a, mu, eta, steps, start)
                kls.append(langevin.kl_of_normals(mean, variance, mu, 1 / a))
                allowed = 2 / (eta * a**2 * steps) + start[1] ** 2 / (eta * a * steps) ** 2
                bound.holds(variance / allowed, on=name)
            line.holds(abs(kls[1] - kls[0] - np.log(2)), on=name)


# --- Chapter 14 ------------------------------------------------------------------------------------------


def test_reach_of_adam(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-adam-reach", "largest-move-on-structured-data", 1.0, what="move / reach").because(
        "an inequality; the move of any parameter over the reach"
    )
    for i, (name, x) in enumerate(samples()):
        aims = list(targets(len(x)).values())[i % 5]
        begun, ended = (
            train_denoising(
                x,
                aims,
                0.5,
                width=4,
                n_trials=1,
                n_epochs=20,
                learning_rate=rate,
                generator=torch.Generator().manual_seed(0),
            ).last[0]
            for rate in (1e-300, 0.1)
        )
        moved = max(
            float(np.abs(getattr(ended, part) - getattr(begun, part)).max())
            for part in ("W1", "b1", "W2", "b2")
        )
        seen.holds(moved / (reach(20) * 0.1), on=name)
