"""Three layers of ReLU: exponent, threshold, norm, sliding tube, and rivals that know no dual."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from claims_witness import Evidence
from scipy.optimize import linprog
from zoo import denoising_tasks, samples

from convexdiff_lib import (
    DeepNetwork,
    DeepScore,
    NotCertifiedError,
    certify_deep_denoising,
    certify_deep_score_matching,
    deep_denoising_score_matching,
    deep_score_matching,
    denoising_score_matching,
    score_matching,
    smallest_deep_penalty,
    smallest_weight_decay,
)
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.line import _deep_relu, deep
from convexdiff_lib.line.beam import Tube
from convexdiff_lib.line.chains import ChainNetwork
from convexdiff_lib.line.coarse_to_fine import Solution, solve_by_levels
from convexdiff_lib.paper.deep_programs import (
    Runs,
    deep_denoising_program,
    deep_score_matching_program,
    runs_of,
)
from convexdiff_lib.paper.univariate_programs import solve_program

GENERAL_SOLVER = (
    "the general-purpose solver stops at relative gaps of 1e-8, of 1e-6 with free skip connections"
)
ROUNDING = "rounding, relative to the size of the terms"
CERTIFICATE = "the certificate's own tolerance"
every_skip = pytest.mark.parametrize("skip", [False, True], ids=["no-skip", "skip"])


def sample(seed: int, most: int = 13) -> FloatArray:
    """Normal, heavy-tailed, clustered and tied data, 2 points to a dozen."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, most))
    kinds = (
        rng.normal(size=n),
        rng.standard_cauchy(size=n),
        rng.normal(size=n) + 9.0 * rng.integers(0, 2, n),
        np.append(0.0, 1.0 + rng.integers(0, 5, n - 1)),
        1e6 + rng.normal(size=n),
    )
    return kinds[seed % len(kinds)]


def aims(x: FloatArray, seed: int) -> FloatArray:
    return np.random.default_rng(seed).normal(size=len(x))


def decays(x: FloatArray, skip: bool) -> Iterator[float]:
    """The threshold exactly, above it, and twice the number of points."""
    low = smallest_deep_penalty(x, skip=skip)
    yield from (low, 1.3 * low, 0.5 * (low + max(len(x), low)), 2.0 * low + 2.0 * len(x))


def weights_of_noise(x: FloatArray) -> Iterator[float]:
    spread = float(np.ptp(x)) or 1.0
    yield from (0.01 * spread, 0.3 * spread, 3.0 * spread)


# --- The literal program ---------------------------------------------------------------------------------


def test_score_matching_program(evidence: Evidence) -> None:
    """Fifty data sets: each column written out, and a solver that knows nothing of beams."""
    same = evidence("ours-depth-relu", "literal-program-equals-sliding-tube", 1e-5).because(GENERAL_SOLVER)
    for seed in range(50):
        x, skip = sample(seed), bool(seed % 2)
        beta = smallest_deep_penalty(x, skip=skip) * (1.0 + 0.7 * (seed % 4))
        fit = deep_score_matching(x, beta, skip=skip)
        printed = solve_program(deep_score_matching_program(x, beta, skip=skip))
        same.holds(abs(printed.value - fit.value) / fit.certificate.scale)


def test_denoising_program(evidence: Evidence) -> None:
    same = evidence("ours-depth-relu", "literal-denoising-equals-sliding-tube", 1e-6).because(GENERAL_SOLVER)
    for seed in range(50):
        x, skip = sample(seed), bool(seed % 2)
        targets, beta = aims(x, seed), 0.05 * (1 + seed % 5) * float(np.ptp(x))
        fit = deep_denoising_score_matching(x, targets, beta, skip=skip)
        printed = solve_program(deep_denoising_program(x, targets, beta, skip=skip))
        same.holds(abs(printed.value - fit.value) / fit.certificate.scale)


def weights_in(runs: Runs, chains: ChainNetwork) -> FloatArray:
    """The y of the literal program that is this network."""
    y = np.zeros(len(runs.counts))
    finite = np.isfinite(runs.kinks)
    for kinks, after, weight in zip(chains.kinks, chains.after, chains.weights, strict=True):
        same = (runs.kinks == kinks).all(axis=1) & ((runs.after == after) | ~finite).all(axis=1)
        y[int(np.flatnonzero(same)[0])] += weight
    return y


def far_from_optimal(x: FloatArray, fit: DeepScore, skip: bool) -> float:
    """The literal value at the fitted network against the dual, and by how much z breaks its constraints."""
    program, runs = deep_score_matching_program(x, fit.beta, skip=skip), runs_of(x)
    value = program.value_at(weights_in(runs, fit.chains))
    near = x - x[0]
    responses = np.abs(runs.counts - runs.values.T @ fit.z) - fit.beta
    equations = [abs(fit.z.sum()) * np.ptp(x)] + [abs(fit.z @ near - len(x))] * skip
    gap = max(abs(value - fit.value), abs(value + 0.5 * float(fit.z @ fit.z))) / fit.certificate.scale
    return max(gap, float(max(responses.max(), *equations)) / len(x))


@every_skip
def test_score_matching_on_the_zoo(skip: bool, on_zoo: Evidence) -> None:
    seen = on_zoo("ours-depth-relu", "optimal-on-structured-data", 2e-8).because(CERTIFICATE)
    sharp = on_zoo("ours-depth-beam", "score-bound-on-structured-data", 1e-6).because(CERTIFICATE)
    for name, x in samples(distinct=2):
        for beta in decays(x, skip):
            fit = deep_score_matching(x, beta, skip=skip)
            seen.holds(far_from_optimal(x, fit, skip), on=f"{name} at {beta:g}")
            assert fit.certificate.score_error is not None
            sharp.holds(fit.certificate.score_error, on=f"{name} at {beta:g}")


@every_skip
def test_denoising_on_the_zoo(skip: bool, on_zoo: Evidence) -> None:
    seen = on_zoo("ours-depth-beam", "denoising-certified-on-structured-data", 1e-8).because(CERTIFICATE)
    for name, x, targets in denoising_tasks(distinct=2 if skip else 1):
        for beta in weights_of_noise(x):
            fit = deep_denoising_score_matching(x, targets, beta, skip=skip)
            seen.holds(fit.certificate.relative_gap, on=f"{name} at {beta:g}")


@pytest.mark.compiled
@every_skip
def test_many_points(skip: bool, evidence: Evidence) -> None:
    """From a thousand points to a hundred thousand, at weak and strong penalties."""
    seen = evidence("ours-depth-beam", "many-points-certified", 1e-6).because(CERTIFICATE)
    rng = np.random.default_rng(5)
    for n in (1000, 10_000, 100_000):
        x = np.where(rng.random(n) < 0.5, -2.0, 2.0) + rng.normal(size=n)
        for beta in (2.0, 0.01 * n):
            fit = deep_score_matching(x, beta, skip=skip)
            assert fit.certificate.holds
            assert fit.certificate.score_error is not None
            seen.holds(fit.certificate.score_error)


# --- By hand ---------------------------------------------------------------------------------------------


def test_four_points_by_hand(evidence: Evidence) -> None:
    r"""Targets 0, 0, 1, 1 at 0, 1, 2, 3: two runs, and the value beta - beta^2."""
    seen = evidence("ours-depth-beam", "four-points-by-hand", 1e-13).because(ROUNDING)
    for beta in (0.01, 0.1, 0.2, 0.3):
        fit = deep_denoising_score_matching([0, 1, 2, 3], [0, 0, 1, 1], beta)
        seen.holds(abs(fit.value - (beta - beta**2)))
        # The residuals, and from them the score: z is target minus score.
        seen.holds(float(np.abs(fit.z - [0.0, -beta, beta, 0.0]).max()))
        heights = dict.fromkeys([(1.0, 2.0), (0.0, 3.0)], 0.0)
        for run, weight in zip(fit.chains.kinks.tolist(), fit.chains.weights, strict=True):
            if abs(weight) > 1e-12:  # a slope that is repeated but for rounding may add a run of that size
                heights[tuple(run)] += float(weight)
        seen.holds(abs(heights[1.0, 2.0] - (1 - 3 * beta)) + abs(heights[0.0, 3.0] - beta))


def test_one_point() -> None:
    fit = deep_score_matching([3.0], 1.0)
    assert fit.value == 0
    assert fit.certificate.holds
    assert len(fit.chains.weights) == 0
    noisy = deep_denoising_score_matching([3.0, 3.0], [1.0, 2.0], 1.0)
    assert noisy.value == 0.25
    assert noisy(3.0) == 1.5


# --- The threshold ---------------------------------------------------------------------------------------


def least_penalty(x: FloatArray, skip: bool) -> float:
    """The smallest beta for which the dual of the literal program has a point: a linear program."""
    near = (x - x.mean()) / (np.std(x) or 1.0)
    runs = runs_of(near)
    A = np.hstack([np.vstack([runs.values.T, -runs.values.T]), -np.ones((2 * len(runs.counts), 1))])
    rows = [np.ones(len(x)), near][: 1 + skip]
    equal = np.hstack([np.array(rows), np.zeros((len(rows), 1))])
    found = linprog(
        np.append(np.zeros(len(x)), 1.0),
        A_ub=A,
        b_ub=np.concatenate([runs.counts, -runs.counts]),
        A_eq=equal,
        b_eq=[0.0, float(len(x))][: 1 + skip],
        bounds=[(None, None)] * (len(x) + 1),
    )
    assert found.status == 0
    return float(found.fun)


@every_skip
def test_threshold(skip: bool, evidence: Evidence) -> None:
    seen = evidence("ours-depth-threshold", "linear-program-equals-formula", 1e-7).because(
        "tolerance of the linear-programming solver"
    )
    for seed in range(40):
        x = sample(seed, 24)
        seen.holds(abs(least_penalty(x, skip) - smallest_deep_penalty(x, skip=skip)))


@every_skip
def test_threshold_on_the_zoo(skip: bool, on_zoo: Evidence) -> None:
    seen = on_zoo("ours-depth-threshold", "linear-program-on-structured-data", 1e-7).because(
        "tolerance of the linear-programming solver"
    )
    for name, x in samples(distinct=2 if skip else 1):
        if name not in ("gaps of extreme ratio", "outlier"):  # beyond that solver
            seen.holds(abs(least_penalty(x, skip) - smallest_deep_penalty(x, skip=skip)), on=name)
        low = smallest_deep_penalty(x, skip=skip)
        assert deep_score_matching(x, low, skip=skip).certificate.holds
        with pytest.raises(ValueError, match="goes to minus infinity"):
            deep_score_matching(x, 0.999 * low, skip=skip)


@pytest.mark.parametrize("activation", ["relu", "abs"])
@pytest.mark.parametrize("x", [[0.5], [2.0, 2.0, 2.0]], ids=["one point", "all tied"])
def test_no_penalty_holds_a_skip_connection_at_one_point(x: list[float], activation: Activation) -> None:
    for smallest in (smallest_deep_penalty, smallest_weight_decay):
        assert smallest(x, activation=activation) == len(x)
        with pytest.raises(ValueError, match="skip connection needs at least two distinct points"):
            smallest(x, activation=activation, skip=True)


def test_below_the_threshold_a_network_falls(evidence: Evidence) -> None:
    """Runs past the heaviest point cost beta and win its multiplicity; with skip, a line and a run back."""
    bad = evidence("ours-depth-threshold", "loss-falls-below", at_least=1e3, form="ours").because(
        "any bound is passed: this one by weights of a million"
    )
    for seed in range(0, 40, 3):
        x = sample(seed)
        low = smallest_deep_penalty(x)
        heaviest = max(set(x.tolist()), key=x.tolist().count)
        past = ChainNetwork(np.array([[heaviest, heaviest]]), np.array([[False, True]]), np.array([-1e6]))
        loss = (
            0.5 * float(past(x) @ past(x)) + float(past.derivative(x).sum()) + 0.99 * low * past.total_weight
        )
        bad.fails(-loss)


# --- The exponent ----------------------------------------------------------------------------------------


def balanced(slope: float, at: float, depth: int) -> DeepNetwork:
    """The chain -slope relu(x - at), all weights of one size: nothing on the left of its kink."""
    w = slope ** (1 / depth)
    layers = [np.array([[w]])] * (depth - 1) + [np.array([[-w]])]
    biases = [np.array([-w * at])] + [np.zeros(1)] * (depth - 1)
    return DeepNetwork(tuple(layers), tuple(biases))


def test_weight_decay_does_not_hold_depth(evidence: Evidence) -> None:
    """Any exponent below the depth: literal networks whose loss passes any bound, at every beta."""
    bad = evidence("ours-depth-weight-decay", "loss-falls-for-ever", at_least=1e6, form="ours").because(
        "any bound is passed: this one by weights that are large enough"
    )
    for seed in range(6):
        x = sample(5 * seed)
        for depth, p in ((3, 2.0), (4, 2.0), (4, 3.0), (5, 4.5)):
            for beta in (1.0, 10.0, 100.0):
                start = (2 * beta * depth / p) ** (depth / (depth - p))
                net = balanced(max(start, 1e8), float(x.max()), depth)
                bad.fails(-(net.score_matching_loss(x) + beta * net.weight_penalty(p)))


def test_one_point_by_hand(evidence: Evidence) -> None:
    """The barrier: beta^3/2 at slope beta^3, gone at 27 beta^3/8."""
    seen = evidence("ours-depth-weight-decay", "barrier-of-one-point", 1e-12).because(ROUNDING)

    def loss(slope: float, beta: float, p: float) -> float:
        net = balanced(slope, 0.0, 3)
        return net.score_matching_loss([0.0]) + beta * net.weight_penalty(p)

    for beta in (0.5, 1.0, 3.0):
        seen.holds(abs(loss(beta**3, beta, 2.0) - beta**3 / 2) / beta**3)
        seen.holds(abs(loss(27 * beta**3 / 8, beta, 2.0)) / beta**3)
        around = [loss(beta**3 * f, beta, 2.0) for f in (0.9, 1.1)]
        assert max(around) < beta**3 / 2
        seen.holds(abs(loss(2.0, beta, 3.0) - 2 * (beta - 1)))
        seen.holds(abs(loss(beta**-3, beta, 4.0) + beta**-3 / 4) * beta**3)


def test_off_the_data_too(evidence: Evidence) -> None:
    """Without the convention: a pair of chains with kinks beside a point, off all data."""
    bad = evidence("ours-depth-weight-decay", "kinks-off-the-data", at_least=1e6, form="ours").because(
        "any bound is passed"
    )
    x = np.array([-1.0, 0.0, 2.0])
    for slope, beta in ((1e9, 1.0), (1e9, 10.0), (1e12, 100.0)):
        step = 1 / slope
        kinks = np.array([[-0.25 * step, np.inf], [0.75 * step, np.inf]])
        pair = ChainNetwork(kinks, np.zeros((2, 2), dtype=bool), np.array([-slope, slope]))
        net = pair.three_layer(step / 8)
        bad.fails(-(net.score_matching_loss(x) + beta * net.weight_penalty(2.0)))


def test_the_exponent_that_holds(evidence: Evidence) -> None:
    """With p = L the same networks stay above the convex optimum."""
    seen = evidence("ours-depth-weight-decay", "exponent-three-stays-above", 1e-9).because(ROUNDING)
    for seed in range(6):
        x = sample(5 * seed)
        for beta in (1.0, 10.0, 100.0):
            if beta < smallest_deep_penalty(x):
                continue
            optimum = deep_score_matching(x, beta)
            for slope in (1e-3, 1.0, 1e3, 1e8):
                net = balanced(slope, float(x.max()), 3)
                loss = net.score_matching_loss(x) + beta * net.weight_penalty(3.0)
                seen.holds(max(0.0, optimum.certificate.dual - loss) / (optimum.certificate.scale + slope))


def test_exponents_on_the_zoo(on_zoo: Evidence) -> None:
    """With the exponent 2 the loss falls, with the exponent 3 it stays above the optimum."""
    bad = on_zoo(
        "ours-depth-weight-decay", "loss-falls-on-structured-data", at_least=1e6, form="ours"
    ).because("any bound is passed")
    seen = on_zoo("ours-depth-weight-decay", "exponent-three-on-structured-data", 1e-9).because(ROUNDING)
    for name, x in samples():
        net = balanced(1e12, float(x.max()), 3)
        bad.fails(-(net.score_matching_loss(x) + 10.0 * net.weight_penalty(2.0)), on=name)
        optimum = deep_score_matching(x, 10.0).certificate
        loss = net.score_matching_loss(x) + 10.0 * net.weight_penalty(3.0)
        seen.holds(max(0.0, optimum.dual - loss) / (optimum.scale + 1e12), on=name)


def wide(M: int, m: int, size: float) -> DeepNetwork:
    """A full network of three layers at one point, its penalty at p = 3 shared equally by the layers."""
    first = -np.full((M, 1), (size / M) ** (1 / 3))
    second = np.full((m, M), (size / (M * m)) ** (1 / 3))
    last = np.full((1, m), (size / m) ** (1 / 3))
    return DeepNetwork((first, second, last), (np.zeros(M), np.zeros(m), np.zeros(1)))


def test_full_networks_need_more(evidence: Evidence) -> None:
    """No l_p penalty holds full networks of any width: their threshold at p = 3 is (Mm)^(1/3)."""
    bad = evidence("ours-depth-weight-decay", "full-network-falls", at_least=1e3, form="ours").because(
        "any bound is passed: this one by a penalty of a million"
    )
    tight = evidence("ours-depth-weight-decay", "path-sum-at-most", 1e-12).because(ROUNDING)
    rng = np.random.default_rng(0)
    for M, m in ((1, 4), (2, 3), (4, 4), (10, 20)):
        most = (M * m) ** (1 / 3)
        net = wide(M, m, 1e6)
        bad.fails(-(net.score_matching_loss([0.0]) + 0.99 * most * net.weight_penalty(3.0)))
        tight.holds(abs(net.path_norm / net.weight_penalty(3.0) / most - 1))
        for _ in range(20):
            shapes = ((M, 1), (m, M), (1, m))
            layers = tuple(rng.normal(size=shape) for shape in shapes)
            other = DeepNetwork(layers, (np.zeros(M), np.zeros(m), np.zeros(1)))
            tight.holds(max(0.0, other.path_norm / (most * other.weight_penalty(3.0)) - 1))


# --- The norm --------------------------------------------------------------------------------------------


def norm(slopes: FloatArray) -> float:
    """Half of |f'(-inf)|, the variation of f' and |f'(inf)|; slopes from left to right."""
    return float(np.abs(np.diff(np.concatenate([[0.0], slopes, [0.0]]))).sum()) / 2


def norm_of_two_layers(slopes: FloatArray) -> float:
    return float(max(np.abs(np.diff(slopes)).sum(), abs(slopes[0] + slopes[-1])))


def cut(knots: FloatArray, values: FloatArray, slopes: FloatArray) -> FloatArray:
    """Slopes of the positive part of a piecewise-linear function, in order."""
    far = 1e3
    at = np.concatenate([[knots[0] - far], knots, [knots[-1] + far]])
    ends = values[0] - slopes[0] * far, values[-1] + slopes[-1] * far
    heights = np.concatenate([[ends[0]], values, [ends[1]]])
    out: list[float] = []
    for k in range(len(at) - 1):
        here, there = heights[k] > 0, heights[k + 1] > 0
        out += {(True, True): [slopes[k]], (False, False): [0.0]}.get(
            (bool(here), bool(there)), [slopes[k], 0.0] if here else [0.0, slopes[k]]
        )
    return np.array(out)


def test_cutting_never_costs(evidence: Evidence) -> None:
    """R(relu(h - c)) <= R(h), and the first step R <= R2: what makes the norm that of every depth."""
    seen = evidence("ours-depth-relu", "cutting-never-raises-the-norm", 1e-12).because(ROUNDING)
    rng = np.random.default_rng(1)
    for _ in range(2000):
        knots = np.sort(rng.normal(size=int(rng.integers(1, 9))))
        slopes = rng.normal(size=len(knots) + 1) * rng.integers(0, 2, len(knots) + 1)
        values = rng.normal() + np.concatenate([[0.0], np.cumsum(slopes[1:-1] * np.diff(knots))])
        before = norm(slopes)
        seen.holds(max(0.0, norm(cut(knots, values, slopes)) - before))
        seen.holds(max(0.0, before - norm_of_two_layers(slopes)))
        seen.holds(max(0.0, norm_of_two_layers(slopes) / 2 - before))


def test_optimal_networks_have_that_norm(evidence: Evidence) -> None:
    """The chains of a fit weigh what the norm says of their function."""
    seen = evidence("ours-depth-relu", "weight-of-the-chains-is-the-norm", 1e-9).because(ROUNDING)
    for seed in range(30):
        x = sample(seed)
        fit = deep_score_matching(x, 1.4 * smallest_deep_penalty(x))
        seen.holds(abs(norm(fit.score.slopes) - fit.chains.total_weight) / (1 + fit.chains.total_weight))


def test_sandwich(evidence: Evidence) -> None:
    """Two layers at beta, three, and two at half of it."""
    seen = evidence("ours-depth-sandwich", "between-two-layers-and-two-layers", 1e-9).because(ROUNDING)
    for seed in range(25):
        x = sample(seed)
        beta = 2.5 * smallest_deep_penalty(x)
        for f, g, *given in (
            (score_matching, deep_score_matching, x),
            (denoising_score_matching, deep_denoising_score_matching, x, aims(x, seed)),
        ):
            upper, middle, lower = f(*given, beta), g(*given, beta), f(*given, beta / 2)
            scale = middle.certificate.scale
            seen.holds(max(0.0, middle.value - upper.value, lower.value - middle.value) / scale)


def test_sandwich_on_the_zoo(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-depth-sandwich", "between-on-structured-data", 1e-9).because(ROUNDING)
    for name, x in samples(distinct=2):
        beta = 2.2 * smallest_deep_penalty(x)
        upper, middle, lower = (
            score_matching(x, beta),
            deep_score_matching(x, beta),
            score_matching(x, beta / 2),
        )
        over = max(0.0, middle.value - upper.value, lower.value - middle.value)
        seen.holds(over / middle.certificate.scale, on=name)


# --- Literal networks ------------------------------------------------------------------------------------


@every_skip
def test_literal_networks_come_down_to_the_optimum(skip: bool, evidence: Evidence) -> None:
    """Kinks epsilon off the data: above the optimum by a multiple of epsilon."""
    above = evidence("ours-depth-relu", "literal-networks-approach-from-above", 1e-4).because(
        "kinks moved by 1e-6 of the smallest gap"
    )
    for seed in range(20):
        x = sample(5 * seed)
        fit = deep_score_matching(x, 1.5 * smallest_deep_penalty(x, skip=skip), skip=skip)
        gap = float(np.diff(np.unique(x)).min())
        loss = np.inf
        for step in (1e-3, 1e-6):
            net = fit.network(step * gap)
            before, loss = loss, net.score_matching_loss(x) + fit.beta * net.weight_penalty(3.0)
            assert fit.certificate.dual - 1e-9 * fit.certificate.scale <= loss <= before + 1e-9
        above.holds(max(0.0, loss - fit.value) / fit.certificate.scale)


def test_literal_networks_are_what_torch_makes_of_them() -> None:
    torch = pytest.importorskip("torch")
    net = deep_score_matching(sample(0), 1.5).network(1e-4)
    points = torch.linspace(-3.0, 3.0, 57, dtype=torch.float64)[:, None].requires_grad_()
    values = net.to_torch()(points)
    (slopes,) = torch.autograd.grad(values.sum(), points)
    at = points.detach().numpy()[:, 0]
    assert np.allclose(values.detach().numpy()[:, 0], net(at), rtol=0, atol=1e-12)
    assert np.allclose(slopes.numpy()[:, 0], net.derivative(at), rtol=0, atol=1e-12)


# --- Rivals ----------------------------------------------------------------------------------------------


def test_training_never_goes_below_and_touches(evidence: Evidence) -> None:
    pytest.importorskip("torch")
    from experiments.deep_training import CLASSES, losses_of_training, task

    below = evidence("ours-depth-relu", "training-is-never-below", 1e-9).because(ROUNDING)
    x, targets = task(6)
    fit = deep_denoising_score_matching(x, targets, 0.1)
    lowest = []
    for depth, full in CLASSES.values():
        found = losses_of_training(x, targets, 0.1, depth=depth, full=full, runs=12, steps=800)
        below.holds(max(0.0, 1 - float(found.min()) / fit.certificate.dual))
        lowest.append(float(found.min()))
    assert min(lowest) <= 1.02 * fit.value  # short runs of Adam; the best of all


def snapped(x: FloatArray, beta: float, rng: np.random.Generator, rounds: int = 60) -> float:
    """A search that knows no dual: random clips with ends a hair beside data, outer weights refitted.

    Its moves replace ends of runs at random; the weights come from coordinate descent.
    """
    hair = 1e-6
    places = np.concatenate([x - hair, x + hair, [-np.inf, np.inf]])

    def draw(k: int) -> FloatArray:
        ends = np.sort(rng.choice(places, (k, 2)), axis=1)
        return ends[(ends[:, 0] < ends[:, 1]) & np.isfinite(ends).any(axis=1)]

    def fitted(runs: FloatArray) -> tuple[float, FloatArray]:
        start, stop = runs.T
        here = np.where(np.isfinite(start), start, stop)
        values = np.clip(x[:, None], start, stop) - here
        values -= values.mean(axis=0)
        counts = ((x[:, None] > start) & (x[:, None] < stop)).sum(axis=0)
        squares, z, scores = (values**2).sum(axis=0), np.zeros(len(runs)), np.zeros(len(x))
        for _ in range(80):
            for k in np.flatnonzero(squares > 1e-9):
                pull = counts[k] + values[:, k] @ (scores - z[k] * values[:, k])
                new = -np.sign(pull) * max(abs(pull) - beta, 0.0) / squares[k]
                scores += (new - z[k]) * values[:, k]
                z[k] = new
        return float(0.5 * scores @ scores + counts @ z + beta * np.abs(z).sum()), z

    runs = draw(30)
    best, z = fitted(runs)
    for _ in range(rounds):
        trial = np.vstack([runs[z != 0], draw(10)])
        loss, weights = fitted(trial)
        if loss < best:
            best, runs, z = loss, trial, weights
    return best


def test_snapping_search(evidence: Evidence) -> None:
    below = evidence("ours-depth-relu", "snapping-search-is-never-below", 1e-5).because(
        "ends of runs are 1e-6 off the data: relative to the loss"
    )
    for seed, beta in ((0, 1.2), (1, 1.6), (2, 2.5)):
        x = np.random.default_rng(seed).normal(size=5)
        value = deep_score_matching(x, beta).value
        found = snapped(x, beta, np.random.default_rng(seed))
        below.holds(max(0.0, value - found) / abs(value))
        assert found - value <= 2e-2 * abs(value)  # a random search


# --- What must go red ------------------------------------------------------------------------------------


def test_open_and_closed_ends_are_needed(evidence: Evidence) -> None:
    bad = evidence("ours-depth-relu", "one-sided-ends-miss", at_least=0.1, form="ours").because(
        "a different optimum"
    )
    for seed in (0, 1, 3, 5, 6):
        x = sample(seed)
        beta = 1.2 * smallest_deep_penalty(x)
        fit, runs = deep_score_matching(x, beta), runs_of(x)
        program = deep_score_matching_program(x, beta, runs=runs.only(runs.after[:, 0]))
        bad.fails((solve_program(program).value - fit.value) / fit.certificate.scale)


def test_the_column_of_zeros_decides_the_threshold(evidence: Evidence) -> None:
    """Without it, on data with ties, the program is bounded below the threshold, where networks fall."""
    bad = evidence("ours-depth-threshold", "without-zeros-bounded-below", at_least=0.4, form="ours").because(
        "half a point, of the threshold 3"
    )
    for x in (np.array([0.0, 1.0, 1.0, 1.0, 3.0]), np.array([0.0, 0.0, 0.0, 1.0, 2.5])):
        runs = runs_of(x)
        program = deep_score_matching_program(x, 2.5, runs=runs.only(runs.values.any(axis=0)))
        assert np.isfinite(solve_program(program).value)
        bad.fails(least_penalty(x, False) - 2.5)


def test_a_centre_that_stays_is_seen(monkeypatch: pytest.MonkeyPatch, evidence: Evidence) -> None:
    """With m = 0 the answer is not optimal, and the certificate says so."""
    bad = evidence("ours-depth-beam", "fixed-centre-refused", at_least=1.0, form="ours").because("a refusal")

    def fixed(sliding: _deep_relu._Sliding) -> tuple[Solution, float]:
        return solve_by_levels(sliding.at(0.0)), 0.0

    monkeypatch.setattr(_deep_relu, "_best_centre", fixed)
    for seed in (0, 2, 5):
        x = sample(seed)
        with pytest.raises(NotCertifiedError, match="could not be certified"):
            deep_score_matching(x, 1.2 * smallest_deep_penalty(x))
        with pytest.raises(NotCertifiedError, match="could not be certified"):
            deep_denoising_score_matching(x, np.abs(x), 0.05 * float(np.ptp(x)))
        bad.fails(1.0)


def test_a_tube_of_another_width_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = _deep_relu._Sliding.at

    def wider(sliding: _deep_relu._Sliding, centre: float) -> Tube:
        tube = honest(sliding, centre)
        return replace(tube, half_width=tube.half_width * 1.01)

    monkeypatch.setattr(_deep_relu._Sliding, "at", wider)
    with pytest.raises(NotCertifiedError):
        deep_score_matching(sample(0), 2.0)


def test_certificates_reject() -> None:
    """A network moved a little, a dual vector that is not feasible, and a kink on its other side."""
    x, rng = sample(0), np.random.default_rng(0)
    fit = deep_score_matching(x, 1.5)
    assert certify_deep_score_matching(x, fit.chains, fit.z, 1.5).holds
    assert not certify_deep_score_matching(x, fit.chains.shifted(1e-2), fit.z, 1.5).holds
    assert not certify_deep_score_matching(x, fit.chains, 1.01 * fit.z, 1.5).holds
    other = replace(fit.chains, after=~fit.chains.after)
    assert not certify_deep_score_matching(x, other, fit.z, 1.5).holds
    order = rng.permutation(len(x))
    assert certify_deep_score_matching(x[order], fit.chains, fit.z[order], 1.5).holds
    targets = aims(x, 0)
    noisy = deep_denoising_score_matching(x, targets, 0.1)
    assert certify_deep_denoising(x, targets, noisy.chains, noisy.z, 0.1).holds
    assert not certify_deep_denoising(x, targets, noisy.chains.shifted(0.1), noisy.z, 0.1).holds
    assert not certify_deep_denoising(x, targets, noisy.chains, 0 * noisy.z, 0.1).holds
    with pytest.raises(ValueError, match="without a skip connection the network has no slope"):
        certify_deep_score_matching(x, replace(fit.chains, slope=1.0), fit.z, 1.5)
    with pytest.raises(TypeError, match="network must be a ChainNetwork"):
        certify_deep_score_matching(x, fit, fit.z, 1.5)  # type: ignore[arg-type]


def test_order_and_scale_do_not_matter() -> None:
    x = sample(0, 12)
    fit = deep_score_matching(x, 1.5)
    assert abs(deep_score_matching(x[::-1], 1.5).value - fit.value) <= 1e-12 * abs(fit.value)  # rounding
    assert abs(100 * deep_score_matching(10 * x, 1.5).value - fit.value) <= 1e-10 * abs(fit.value)  # rounding


def test_a_wrong_way_of_chains_is_refused() -> None:
    no = np.zeros((1, 2), dtype=bool)
    with pytest.raises(ValueError, match="stand from left to right"):
        ChainNetwork(np.array([[1.0, 0.0]]), no, np.ones(1))
    with pytest.raises(ValueError, match="at least one finite end"):
        ChainNetwork(np.array([[-np.inf, np.inf]]), no, np.ones(1))
    with pytest.raises(ValueError, match="at least one finite end"):
        ChainNetwork(np.zeros((1, 2)), no, np.ones(1))
    with pytest.raises(ValueError, match="must be the middle"):
        ChainNetwork(np.array([[0.0, 1.0, 3.0]]), np.zeros((1, 3), bool), np.ones(1), activation="abs")
    sides = np.array([[False, True, False]])
    with pytest.raises(ValueError, match="move to one side"):
        ChainNetwork(np.array([[0.0, 1.0, 2.0]]), sides, np.ones(1), activation="abs")
    with pytest.raises(ValueError, match="two matrices or more"):
        DeepNetwork((np.ones((1, 1)),), (np.zeros(1),))
    assert deep.smallest_deep_penalty([1.0, 1.0, 2.0], skip=True) == 3.0
