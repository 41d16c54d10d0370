"""Three layers of absolute values: the literal dictionary, thresholds, certificates, and the break."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from claims_witness import Evidence
from scipy.optimize import linprog
from zoo import denoising_tasks, samples

from convexdiff_lib import (
    deep_denoising_score_matching,
    deep_score_matching,
    denoising_score_matching,
    score_matching,
    smallest_deep_penalty,
)
from convexdiff_lib._validation import FloatArray
from convexdiff_lib.certificates import NotCertifiedError
from convexdiff_lib.line import _chain_prices, _deep_abs
from convexdiff_lib.line._chain_prices import chain_prices
from convexdiff_lib.line._deep_abs_threshold import abs_chain_threshold
from convexdiff_lib.line._fold_response import fold_response
from convexdiff_lib.line.chains import ChainNetwork
from convexdiff_lib.line.deep_certificates import certify_deep_denoising, certify_deep_score_matching
from convexdiff_lib.line.deep_network import DeepNetwork
from convexdiff_lib.line.deep_score import DeepScore
from convexdiff_lib.line.problem import LineProblem
from convexdiff_lib.line.sample import Sample
from convexdiff_lib.paper.deep_abs_programs import ChainProgram, chain_program, solve_chain_program

GENERAL = "the general-purpose solver stops at relative gaps near 1e-8 on the worst-scaled data"
CERTIFICATE = "the certificate's own tolerance"
ROUNDING = "rounding, relative to the size of the terms"
LINEAR = "tolerance of the linear-programming solver"
every_skip = pytest.mark.parametrize("skip", [False, True], ids=["no-skip", "skip"])


def sample(seed: int) -> FloatArray:
    """Normal, uniform, lattice, decimal and clustered data, 2 to 9 points, some tied."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 10))
    kinds = (
        rng.normal(size=n),
        rng.choice(2 * n, n, replace=False).astype(float),
        np.append(0.0, 1.0 + rng.integers(0, 4, n - 1)),
        np.round(rng.uniform(size=n), 1) + 0.1 * np.arange(n),
        rng.normal(size=n) + 9.0 * rng.integers(0, 2, n),
    )
    return kinds[seed % len(kinds)]


def aims(x: FloatArray, seed: int) -> FloatArray:
    return np.random.default_rng(seed).normal(size=len(x))


def denoised(n: int, seed: int = 0) -> tuple[FloatArray, FloatArray, DeepScore]:
    """Normal data, targets of noise, and the optimum at 0.1."""
    rng = np.random.default_rng(seed)
    x, targets = np.sort(rng.normal(size=n)), rng.normal(size=n)
    return x, targets, deep_denoising_score_matching(x, targets, 0.1, activation="abs")


# --- The literal dictionary ------------------------------------------------------------------------------


@every_skip
def test_score_matching_program(skip: bool, evidence: Evidence) -> None:
    seen = evidence("ours-depth-abs", "literal-program-equals-column-generation", 1e-6).because(GENERAL)
    for seed in range(50):
        x = sample(seed)
        beta = abs_chain_threshold(Sample.of(x), skip=skip) * (1.1, 1.6, 3.0)[seed % 3]
        fit = deep_score_matching(x, beta, activation="abs", skip=skip)
        literal = solve_chain_program(chain_program(x, beta, skip=skip))
        seen.holds(abs(literal.value - fit.value) / fit.certificate.scale)


@every_skip
def test_denoising_program(skip: bool, evidence: Evidence) -> None:
    seen = evidence("ours-depth-abs", "literal-denoising-equals-column-generation", 1e-6).because(GENERAL)
    for seed in range(50):
        x = sample(seed)
        targets, beta = aims(x, seed), (0.01, 0.1, 1.0)[seed % 3]
        fit = deep_denoising_score_matching(x, targets, beta, activation="abs", skip=skip)
        literal = solve_chain_program(chain_program(x, beta, targets=targets, skip=skip))
        seen.holds(abs(literal.value - fit.value) / max(fit.certificate.scale, float(targets @ targets)))


@every_skip
def test_score_matching_on_the_zoo(skip: bool, on_zoo: Evidence) -> None:
    seen = on_zoo("ours-depth-abs", "certified-on-structured-data", 1e-8).because(CERTIFICATE)
    for name, x in samples(distinct=2 if skip else 1):
        low = smallest_deep_penalty(x, activation="abs", skip=skip)
        for factor in (1.0, 1.3, 4.0):
            fit = deep_score_matching(x, factor * low, activation="abs", skip=skip)
            assert fit.certificate.holds, name
            seen.holds(fit.certificate.relative_gap, on=f"{name} at {factor}")


@every_skip
def test_denoising_on_the_zoo(skip: bool, on_zoo: Evidence) -> None:
    seen = on_zoo("ours-depth-abs", "denoising-certified-on-structured-data", 1e-8).because(CERTIFICATE)
    for name, x, targets in denoising_tasks(distinct=2 if skip else 1):
        for beta in (1e-3, 0.1, 3.0):
            fit = deep_denoising_score_matching(x, targets, beta, activation="abs", skip=skip)
            seen.holds(fit.certificate.relative_gap, on=f"{name} at {beta:g}")


def test_zoo_program(on_zoo: Evidence) -> None:
    """The literal program on structured data, where three kinks meet data more often than not."""
    seen = on_zoo("ours-depth-abs", "literal-program-on-structured-data", 1e-6).because(GENERAL)
    for name, x in samples(distinct=2):
        if np.ptp(x) < 100:
            beta = 1.2 * smallest_deep_penalty(x, activation="abs")
            fit = deep_score_matching(x, beta, activation="abs")
            literal = solve_chain_program(chain_program(x, beta))
            seen.holds(abs(literal.value - fit.value) / fit.certificate.scale, on=name)


@pytest.mark.compiled
def test_many_points(evidence: Evidence) -> None:
    seen = evidence("ours-depth-abs", "two-thousand-points-certified", 1e-9).because(CERTIFICATE)
    rng = np.random.default_rng(5)
    x = np.where(rng.random(2000) < 0.5, -2.0, 2.0) + rng.normal(size=2000)
    fits = [
        deep_score_matching(x, 100.0, activation="abs"),
        deep_denoising_score_matching(x, rng.normal(size=2000), 3.0, activation="abs"),
    ]
    for fit in fits:
        assert fit.certificate.holds
        seen.holds(fit.certificate.relative_gap)


# --- Prices, three ways ----------------------------------------------------------------------------------


def dearest_by_moving(x: FloatArray, counts: FloatArray, r: FloatArray, counted: float) -> float:
    """Move every chain of the dictionary a hair in (a, c), in exact numbers, and count signs."""
    points = [Fraction(place) for place in x.tolist()]
    places = {(p, Fraction(0)) for p in points}
    places |= {(p, abs(p - q)) for p in points for q in points if p != q}
    places |= {((p + q) / 2, abs(p - q) / 2) for p in points for q in points if p < q}
    hair, best = Fraction(1, 10**9), 0.0
    masses = [Fraction(float(c * value)) for c, value in zip(counts, r, strict=True)]
    for fold, half in places:
        terms = zip(masses, points, strict=True)
        base = float(sum(mass * abs(abs(point - fold) - half) for mass, point in terms))
        for right in (-4, -2, -1, 1, 2, 4):
            for wide in (-7, -5, -3, Fraction(-1, 2), Fraction(1, 2), 3, 5, 7):
                a, c = fold + right * hair, half + wide * hair
                slopes = 0.0
                for count, point in zip(counts, points, strict=True):
                    slopes += float(count) * (1 if (point > a) == (abs(point - a) > c) else -1)
                best = max(best, abs(base + counted * slopes))
    return best


def test_prices_three_ways(evidence: Evidence, on_zoo: Evidence) -> None:
    """The solver's sweep, the certificate's rows, and chains moved by a hair."""
    drawn = evidence("ours-depth-abs", "prices-by-moving-chains", 1e-12).because(ROUNDING)
    seen = on_zoo("ours-depth-abs", "prices-on-structured-data", 1e-12).because(ROUNDING)
    rng = np.random.default_rng(1)
    cases = [(seen, name, x) for name, x in samples(distinct=2)]
    cases += [(drawn, f"sample {seed}", sample(seed)) for seed in range(10)]
    for witness, name, x in cases:
        for counted in (0.0, 1.0):
            data = Sample.of(x, None if counted else np.zeros(len(x)))
            r = rng.normal(size=len(data.points))
            r -= (data.counts @ r) / data.counts.sum()
            swept = chain_prices(LineProblem(data, 3.0, "abs", False), r).largest
            rows = fold_response(data.points, data.counts, -r, counted)
            exact = fold_response(data.points, data.counts, -r, counted, np.zeros(len(r)))
            moved = dearest_by_moving(data.points, data.counts, r, counted)
            witness.holds(float(np.ptp([swept, rows, exact, moved])) / moved, on=name)


def test_no_other_chain_is_dearer(evidence: Evidence) -> None:
    """800,000 chains at random, at the optimum of fourteen points."""
    seen = evidence("ours-depth-abs", "no-random-chain-is-dearer", 1e-9).because(CERTIFICATE)
    x, _, fit = denoised(14)
    rng = np.random.default_rng(3)
    for _ in range(80):
        fold = rng.uniform(x[0] - 2, x[-1] + 2, 10_000)
        half = rng.uniform(0, 4, 10_000)
        prices = np.abs(np.abs(np.abs(x[:, None] - fold) - half).T @ fit.z)
        seen.holds(max(0.0, float(prices.max()) / 0.1 - 1))


# --- Thresholds ------------------------------------------------------------------------------------------


def least_penalty(program: ChainProgram) -> tuple[float, FloatArray]:
    """The smallest beta for which the dual of the literal program has a point, and the ray that proves it."""
    A = program.A - program.A.mean(axis=0)
    equal, right = [np.ones(len(program.x))], [0.0]
    if program.skip:
        equal.append(program.x - program.x.mean())
        right.append(-float(program.counted))
    k, one = A.shape[1], np.ones((1, 1))
    found = linprog(
        np.append(np.zeros(len(program.x)), 1.0),
        A_ub=np.hstack([np.vstack([A.T, -A.T]), np.tile(-one, (2 * k, 1))]),
        b_ub=np.concatenate([-program.b, program.b]),
        A_eq=np.hstack([np.array(equal), np.zeros((len(equal), 1))]),
        b_eq=right,
        bounds=(None, None),
    )
    prices = np.asarray(found.ineqlin.marginals)
    return float(found.fun), prices[:k] - prices[k:]


@every_skip
def test_threshold(skip: bool, evidence: Evidence) -> None:
    seen = evidence("ours-depth-abs-threshold", "linear-program", 1e-7).because(LINEAR)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        for n in (2, 3, 4, 7):
            x = rng.normal(size=n) if seed % 2 else rng.choice(3 * n, n, replace=False).astype(float)
            known = 4.0 if skip else (2.0 if n == 2 else 3.0)
            assert smallest_deep_penalty(x, activation="abs", skip=skip) == known
            seen.holds(abs(least_penalty(chain_program(x, 1.0, skip=skip))[0] - known))


@every_skip
def test_threshold_on_the_zoo(skip: bool, on_zoo: Evidence) -> None:
    seen = on_zoo("ours-depth-abs-threshold", "linear-program-on-structured-data", 1e-6).because(LINEAR)
    for name, x in samples(distinct=2 if skip else 1):
        if np.ptp(x) < 100:
            found, _ = least_penalty(chain_program(x, 1.0, skip=skip))
            seen.holds(abs(smallest_deep_penalty(x, activation="abs", skip=skip) / found - 1), on=name)


def test_multiplicities_do_not_decide(on_zoo: Evidence) -> None:
    seen = on_zoo(
        "ours-depth-abs-threshold", "places-matter-where-points-repeat", at_least=0.1, form="ours"
    ).because("one pair of data sets with the same multiplicities")
    counts = [1, 2, 1, 1, 3, 1]
    even = smallest_deep_penalty(np.repeat(np.arange(6.0), counts), activation="abs")
    apart = smallest_deep_penalty(np.repeat([0.0, 1.0, 3.0, 7.0, 15.0, 31.0], counts), activation="abs")
    assert even == 5.0
    seen.fails(apart - even)


def test_below_the_threshold_a_network_falls(evidence: Evidence) -> None:
    """The ray of the linear program, as literal weights: at 2.5 and 2.9 the loss falls below any bound."""
    seen = evidence("ours-depth-abs-threshold", "a-literal-network-falls", 1.0).because(
        "bound / loss: the loss is below the bound"
    )
    x = np.array([-1.0, 0.25, 0.5, 2.0, 2.5])
    program = chain_program(x, 1.0)
    ray = least_penalty(program)[1]
    ray = ray / np.abs(ray).sum() * -np.sign(program.b @ ray)
    for beta in (2.5, 2.9):
        with pytest.raises(ValueError, match="below 3, the smallest"):
            deep_score_matching(x, beta, activation="abs")
        for size in (1e4, 1e5, 1e6):
            shift = float((size * program.A @ ray).mean())
            chains = ChainNetwork(program.kinks, program.after, size * ray, constant=-shift, activation="abs")
            net = chains.three_layer(1e-2 / size)
            loss = net.score_matching_loss(x) + beta * net.weight_penalty(3.0)
            assert loss < 0
            seen.holds(max(0.0, -(3.0 - beta) * size / 2 / loss))


def test_a_sandwich(evidence: Evidence, on_zoo: Evidence) -> None:
    seen = evidence("ours-depth-abs", "between-two-layers", 1e-9).because(CERTIFICATE)
    lattice = on_zoo("ours-depth-abs", "between-two-layers-on-a-lattice", 1e-9).because(CERTIFICATE)
    for seed in range(8):
        even = seed % 2 == 0
        x = np.arange(12.0) if even else np.random.default_rng(seed).normal(size=12)
        targets, witness = aims(x, seed), lattice if even else seen
        for beta in (3.2, 6.0):
            three = deep_score_matching(x, beta, activation="abs")
            scale = three.certificate.scale
            upper = score_matching(x, beta, activation="abs").value
            lower = score_matching(x, beta / 3, activation="abs").value
            witness.holds(max(0.0, three.value - upper, lower - three.value) / scale)
        three = deep_denoising_score_matching(x, targets, 0.2, activation="abs")
        upper = denoising_score_matching(x, targets, 0.2, activation="abs").value
        lower = denoising_score_matching(x, targets, 0.2 / 3, activation="abs").value
        witness.holds(max(0.0, three.value - upper, lower - three.value) / three.certificate.scale)


# --- Searches that know no duality -----------------------------------------------------------------------


def snapped(x: FloatArray, beta: float, rng: np.random.Generator, rounds: int = 150) -> float:
    """Random chains with two kinks a hair beside data; some are replaced, outer weights are refitted."""
    hair = 1e-6

    def draw(k: int) -> FloatArray:
        p, q = rng.choice(x, (2, k)) + hair * rng.choice([-2.0, -1.0, 1.0, 2.0], (2, k))
        fold = np.where(rng.random(k) < 0.5, p, (p + q) / 2)
        return np.stack([fold, np.where(rng.random(k) < 0.2, 0.0, np.abs(q - fold))], axis=1)

    def fitted(chains: FloatArray) -> tuple[float, FloatArray]:
        inner = np.abs(x[:, None] - chains[:, 0]) - chains[:, 1]
        values = np.abs(inner) - np.abs(inner).mean(axis=0)
        slopes = (np.sign(inner) * np.sign(x[:, None] - chains[:, 0])).sum(axis=0)
        squares, z, scores = (values**2).sum(axis=0), np.zeros(len(chains)), np.zeros(len(x))
        for _ in range(60):
            for k in np.flatnonzero(squares > 1e-9):
                pull = slopes[k] + values[:, k] @ (scores - z[k] * values[:, k])
                new = -np.sign(pull) * max(abs(pull) - beta, 0.0) / squares[k]
                scores += (new - z[k]) * values[:, k]
                z[k] = new
        return float(0.5 * scores @ scores + slopes @ z + beta * np.abs(z).sum()), z

    chains = draw(30)
    best, z = fitted(chains)
    for _ in range(rounds):
        trial = np.vstack([chains[z != 0], draw(10)])
        loss, weights = fitted(trial)
        if loss < best:
            best, chains, z = loss, trial, weights
    return best


def test_snapping_search(evidence: Evidence) -> None:
    below = evidence("ours-depth-abs", "snapping-search-is-never-below", 1e-5).because(
        "kinks are 1e-6 off the data: relative to the loss"
    )
    touch = evidence("ours-depth-abs", "snapping-search-touches", 0.1).because("a random search")
    for seed, beta in ((0, 3.6), (1, 4.0), (2, 4.4)):
        x = np.random.default_rng(seed).normal(size=4)
        value = deep_score_matching(x, beta, activation="abs").value
        found = snapped(x, beta, np.random.default_rng(seed))
        below.holds(max(0.0, value - found) / max(abs(value), 1e-3))
        touch.holds(max(0.0, found - value) / max(abs(value), 1e-3))


def test_literal_networks_come_down_to_the_optimum(evidence: Evidence) -> None:
    seen = evidence("ours-depth-abs", "literal-weights-come-down", 1e-6).because(
        "kinks are 1e-9 off the data: relative to the loss"
    )
    for seed in range(4):
        x = np.random.default_rng(seed).normal(size=10) if seed % 2 else np.arange(10.0)
        fit = deep_score_matching(x, 3.5, activation="abs")
        net = fit.network(1e-9)
        loss = net.score_matching_loss(x) + 3.5 * net.weight_penalty(3.0)
        seen.holds(abs(loss - fit.value) / fit.certificate.scale)


# --- What must go red ------------------------------------------------------------------------------------


def test_no_family_can_be_left_out(evidence: Evidence) -> None:
    """Fourteen points: without midpoints, or without reflections, the optimum is too high."""
    bad = evidence("ours-depth-abs", "without-a-family-too-high", at_least=1e-3, form="ours").because(
        "relative to the optimum; one instance suffices"
    )
    x, targets, fit = denoised(14)
    scored = deep_score_matching(x, 4.0, activation="abs")
    for left in ({"midpoints": False}, {"reflections": False}):
        noisy = solve_chain_program(chain_program(x, 0.1, targets=targets, **left)).value
        bad.fails(noisy / fit.value - 1)
        plain = solve_chain_program(chain_program(x, 4.0, **left)).value
        bad.fails((plain - scored.value) / abs(scored.value))


def test_impossible_patterns_are_not_chains(evidence: Evidence) -> None:
    """On a lattice the two patterns that no chain has would lower the optimum."""
    bad = evidence("ours-depth-abs", "impossible-patterns-too-low", at_least=1e-2, form="ours").because(
        "relative to the optimum; one instance suffices"
    )
    for n, beta in ((5, 3.5), (7, 4.0)):
        x = np.arange(float(n))
        known = deep_score_matching(x, beta, activation="abs").value
        wrong = solve_chain_program(chain_program(x, beta, impossible=True)).value
        bad.fails((known - wrong) / abs(known))


def no_midpoints(*arguments: FloatArray) -> float:
    """Nothing is dear."""
    arguments[4][:] = -1.0
    return 0.0


@pytest.mark.parametrize("family", ["_midpoints", "_reflections"])
def test_a_solver_that_forgets_a_family_is_refused(monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    monkeypatch.setattr(_chain_prices, family, no_midpoints)
    with pytest.raises(NotCertifiedError, match="DOES NOT HOLD") as refused:
        denoised(14)
    assert isinstance(refused.value.found, DeepScore)


def test_a_solver_with_impossible_patterns_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(at: tuple[int, ...], steps: FloatArray, sign: float) -> tuple[bool, ...]:
        up = sign > 0
        return (up, up, up) if at[0] == at[2] else (up, not up, up)

    monkeypatch.setattr(_deep_abs, "_cheapest", wrong)
    with pytest.raises((ValueError, NotCertifiedError)):
        deep_score_matching(np.arange(8.0), 3.2, activation="abs")


def test_certificates_reject() -> None:
    x, targets, fit = denoised(14)
    assert certify_deep_denoising(x, targets, fit.chains, fit.z, 0.1).holds
    chains = fit.chains
    worse = (
        (replace(chains, weights=1.001 * chains.weights), fit.z),
        (chains.shifted(0.01), fit.z),
        (chains, fit.z + 0.01 * np.sin(x)),
    )
    for network, z in worse:
        assert not certify_deep_denoising(x, targets, network, z, 0.1).holds
    scored = deep_score_matching(x, 4.0, activation="abs")
    assert certify_deep_score_matching(x, scored.chains, scored.z, 4.0).holds
    assert not certify_deep_score_matching(x, scored.chains, 1.01 * scored.z, 4.0).holds
    assert not certify_deep_score_matching(x, scored.chains, scored.z, 3.9).holds
    other = replace(scored.chains, after=np.ones_like(scored.chains.after))
    assert not certify_deep_score_matching(x, other, scored.z, 4.0).holds


def test_order_and_scale_do_not_matter() -> None:
    x, targets, fit = denoised(30)
    order = np.random.default_rng(1).permutation(30)
    again = deep_denoising_score_matching(x[order], targets[order], 0.1, activation="abs")
    assert abs(again.value - fit.value) <= 1e-12 * fit.value  # rounding
    scaled = deep_denoising_score_matching(8 * x, targets, 0.8, activation="abs")
    assert abs(scaled.value - fit.value) <= 1e-12 * fit.value  # rounding


# --- Where chains are not enough -------------------------------------------------------------------------


def dearest_wide_neurons(x: FloatArray, z: FloatArray) -> Iterator[tuple[float, tuple[float, ...]]]:
    """What |h - c| wins, h = t|x - a| + u|x - b| with |t| + |u| = 1, a and b at data: the best for each."""
    shares = np.linspace(-1.0, 1.0, 81)
    for a in x:
        for b in x[x > a]:
            for sign in (1.0, -1.0):
                h = shares[:, None] * np.abs(x - a) + sign * (1 - np.abs(shares))[:, None] * np.abs(x - b)
                wins = np.abs(np.abs(h[:, :, None] - h[:, None, :]).transpose(0, 2, 1) @ z)
                k, i = np.unravel_index(np.argmax(wins), wins.shape)
                yield float(wins[k, i]), (a, b, shares[k], sign * (1 - abs(shares[k])), float(h[k, i]))


def widened(network: DeepNetwork, neuron: tuple[float, ...], weight: float) -> DeepNetwork:
    """Two more neurons in the first layer and one more in the second, which sees both."""
    a, b, t, u, c = neuron
    (first, second, last), (one, two, three) = network.weights, network.biases
    m = len(one)
    mixed = np.zeros((m + 1, m + 2))
    mixed[:m, :m], mixed[m, m:] = second, (t, u)
    return DeepNetwork(
        (np.vstack([first, [[1.0], [1.0]]]), mixed, np.append(last, [[weight]], axis=1)),
        (np.append(one, [-a, -b]), np.append(two, -c), three),
        activation="abs",
    )


def best_full_loss(x: FloatArray, targets: FloatArray, fit: DeepScore, neuron: tuple[float, ...]) -> float:
    """The loss of the optimal chains and one neuron more, literally, at the best of many weights."""
    losses = []
    for weight in np.concatenate([-np.geomspace(1e-5, 1, 60), np.geomspace(1e-5, 1, 60)]):
        net = widened(fit.network(1e-12), neuron, float(weight))
        rest = targets - net(x)
        rest -= rest.mean()
        losses.append(0.5 * float(rest @ rest) + fit.beta * net.path_norm)
    return min(losses)


def test_a_full_network_is_better_than_chains(evidence: Evidence) -> None:
    """At the optimum of the chains a neuron that sees a sum of two wins more than beta."""
    wins = evidence("ours-depth-abs-full", "a-wide-neuron-wins-more", at_least=0.05, form="ours").because(
        "what it wins over beta, less one"
    )
    gain = evidence("ours-depth-abs-full", "a-literal-full-network-is-below", 1 - 1e-6).because(
        "its loss with the path norm, over the certified lower bound of all chains"
    )
    found = 0
    for seed in range(4):
        x, targets, fit = denoised(14, seed)
        most, neuron = max(dearest_wide_neurons(x, fit.z))
        if most > 1.05 * fit.beta:
            found += 1
            wins.fails(most / fit.beta - 1)
            gain.holds(best_full_loss(x, targets, fit, neuron) / fit.certificate.dual)
    assert found > 0


def test_a_full_network_is_better_on_lattices(on_zoo: Evidence) -> None:
    """Seven points are enough."""
    gain = on_zoo("ours-depth-abs-full", "a-literal-full-network-is-below-on-lattices", 1 - 1e-6).because(
        "its loss with the path norm, over the certified lower bound of all chains"
    )
    tasks = {name: (x, aim) for name, x, aim in denoising_tasks()}
    apart = tasks["lattice, ends apart, alternating targets"]
    cases = {"ends apart": apart, "twos": (np.arange(10.0), np.arange(10) // 2 % 2 * 1.0)}
    cases["threes"] = (np.arange(14.0), np.arange(14) // 3 % 2 * 1.0)
    for name, (x, targets) in cases.items():
        fit = deep_denoising_score_matching(x, targets, 0.1, activation="abs")
        most, neuron = max(dearest_wide_neurons(x, fit.z))
        assert most > 1.1 * fit.beta, name
        gain.holds(best_full_loss(x, targets, fit, neuron) / fit.certificate.dual, on=name)
