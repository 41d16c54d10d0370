"""The paper's denoising experiments, at its own settings: training, samples, and what Adam can reach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from claims_witness import Evidence
from strategies import NETWORKS, every_network, random_network

from convexdiff_lib import UnivariateScore
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.book import stored_results
from convexdiff_lib.datasets import standard_normal
from convexdiff_lib.networks import TwoLayerNetwork
from convexdiff_lib.paper.denoising_experiments import (
    AnnealedSamples,
    DenoisingSetting,
    anneal,
    as_piecewise_linear,
    paper_sigmas,
)
from convexdiff_lib.paper.nonconvex import AdamRuns, train_denoising

PAPER = DenoisingSetting()
RATES = (1.0, 1e-2, 1e-6)
# W1 between the uniform law on [-1, 1], from which the samples set out, and the standard normal law.
START = 0.29788
STORED = stored_results("denoising")


def name_of(activation: Activation, skip: bool) -> str:
    return f"{activation}{', skip' if skip else ''}"


@pytest.fixture(scope="module")
def pairs() -> list[tuple[FloatArray, FloatArray]]:
    return PAPER.pairs(np.random.default_rng(101))


@pytest.fixture(scope="module")
def fits(pairs: list[tuple[FloatArray, FloatArray]]) -> dict[str, list[UnivariateScore]]:
    return {name_of(a, s): PAPER.fits(pairs, activation=a, skip=s) for a, s in NETWORKS}


@pytest.fixture(scope="module")
def samples(fits: dict[str, list[UnivariateScore]]) -> dict[str, AnnealedSamples]:
    return {name: anneal(fit, PAPER, np.random.default_rng(7)) for name, fit in fits.items()}


@pytest.fixture(scope="module")
def trained(pairs: list[tuple[FloatArray, FloatArray]]) -> dict[tuple[str, float], list[AdamRuns]]:
    return {
        (name_of(a, s), rate): PAPER.trainings(pairs, rate, activation=a, skip=s, n_trials=2)
        for a, s in NETWORKS
        for rate in RATES
    }


def test_no_run_is_below_the_optimum(
    fits: dict[str, list[UnivariateScore]],
    trained: dict[tuple[str, float], list[AdamRuns]],
    evidence: Evidence,
) -> None:
    why = "the falsifier: ten levels, three learning rates, two trials"
    seen = {
        "relu": evidence("exp-denoising-relu-loss", "runs-below-the-optimum", 0.0).because(why),
        "abs": evidence("exp-denoising-abs", "runs-below-the-optimum", 0.0).because(why),
        "relu, skip": evidence("exp-denoising-relu-skip", "runs-below-the-optimum", 0.0).because(why),
        "abs, skip": evidence("exp-denoising-abs-skip", "runs-below-the-optimum", 0.0).because(why),
    }
    for (name, _), runs in trained.items():
        for run, fit in zip(runs, fits[name], strict=True):
            assert fit.certificate.holds is True
            seen[name].holds(max(0.0, fit.certificate.dual - float(run.losses.min())))


def test_samples_of_the_optima(samples: dict[str, AnnealedSamples], evidence: Evidence) -> None:
    why = "no probability P(x <= t) of the exact law is off by a tenth"
    seen = {
        "relu": evidence(
            "exp-denoising-relu-samples", "worst-error-of-a-probability", 0.1, what="Kolmogorov distance"
        ).because(why),
        "abs": evidence(
            "exp-denoising-abs", "worst-error-of-a-probability", 0.1, what="Kolmogorov distance"
        ).because(why),
        "relu, skip": evidence(
            "exp-denoising-relu-skip", "worst-error-of-a-probability", 0.1, what="Kolmogorov distance"
        ).because(why),
        "abs, skip": evidence(
            "exp-denoising-abs-skip", "worst-error-of-a-probability", 0.1, what="Kolmogorov distance"
        ).because(why),
    }
    for name, found in samples.items():
        seen[name].holds(found.largest_gap)
        if found.exact:
            # Dvoretzky, Kiefer and Wolfowitz: 0.0232 but for one run in a billion; the rest is the grid.
            assert found.sampler_error <= 0.025
    away = evidence(
        "exp-denoising-abs-skip", "share-beyond-forty", at_least=1e-4, what="share of samples beyond 40"
    ).because("a Gaussian has none there")
    away.fails(samples["abs, skip"].outside)


def test_ten_data_sets(evidence: Evidence) -> None:
    why = "at least half of the way from the start to the target, by the exact law"
    near = evidence(
        "exp-denoising-relu-samples",
        "distance-over-that-at-the-start",
        0.5,
        what="distance / distance at the start",
    ).because(why)
    again = evidence(
        "emp-convex-reliable", "distance-over-that-at-the-start", 0.5, what="distance / distance at the start"
    ).because(why)
    for record in STORED["data_sets"]:
        fits = PAPER.fits(PAPER.pairs(np.random.default_rng(record["seed"])))
        found = anneal(fits, PAPER, np.random.default_rng(0), 10)
        if found.exact:
            assert abs(found.distance - record["relu"]) <= 1e-4  # stored with four digits
        near.holds(record["relu"] / START)
        again.holds(record["relu"] / START)


def test_skip_connections_change_nothing_for_relu(
    fits: dict[str, list[UnivariateScore]], evidence: Evidence
) -> None:
    seen = evidence("exp-denoising-relu-skip", "optimum-minus-that-without-skip", 1e-8).because(
        "two certificates"
    )
    for with_skip, without in zip(fits["relu, skip"], fits["relu"], strict=True):
        seen.holds(abs(with_skip.value / without.value - 1))


def reach(n_steps: int, b1: float = 0.9, b2: float = 0.999) -> float:
    """The reach of Adam over its learning rate, summed step by step."""
    total, r = 0.0, b1 * b1 / b2
    for t in range(1, n_steps + 1):
        total += (
            (1 - b1)
            / np.sqrt(1 - b2)
            * np.sqrt(sum(r**k for k in range(t)))
            * np.sqrt(1 - b2**t)
            / (1 - b1**t)
        )
    return total


def test_the_reach_of_adam(pairs: list[tuple[FloatArray, FloatArray]], evidence: Evidence) -> None:
    seen = evidence("ours-adam-reach", "largest-move-over-reach", 1.0, what="move / reach").because(
        "an inequality"
    )
    for rate in RATES:
        for level in (0, 9):
            begun, ended = (
                PAPER.trainings([pairs[level]], r, n_trials=2, seed=3)[0].last for r in (1e-300, rate)
            )
            moved = max(
                float(np.abs(getattr(b, part) - getattr(a, part)).max())
                for a, b in zip(begun, ended, strict=True)
                for part in ("W1", "b1", "W2", "b2")
            )
            assert moved >= 0.05 * 200 * rate  # it does move
            seen.holds(moved / (reach(200) * rate))


def test_gradients_that_nearly_meet_the_reach() -> None:
    """Gradients that grow like (beta2/beta1)^t make every step the longest possible."""
    weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([weight], lr=1e-3, eps=1e-300)
    for t in range(200):
        weight.grad = torch.full((1,), (0.999 / 0.9) ** t, dtype=torch.float64)
        adam.step()
    moved = abs(float(weight.detach()[0])) / 1e-3
    assert moved <= reach(200) * (1 + 1e-12)
    assert moved >= (1 - 1e-9) * reach(200)


def test_learning_rates(trained: dict[tuple[str, float], list[AdamRuns]], evidence: Evidence) -> None:
    fine = evidence(
        "emp-learning-rate",
        "distance-at-0.01-over-that-at-the-start",
        0.5,
        what="distance / distance at the start",
    ).because("half of the way")
    rough = evidence(
        "emp-learning-rate",
        "distance-at-0.000001-over-that-at-the-start",
        at_least=2.0,
        what="distance / distance at the start",
    ).because("one would be no nearer than the start")
    for trial in range(2):
        at = {
            rate: anneal(
                [as_piecewise_linear(run.last[trial]) for run in trained["relu", rate]],
                PAPER,
                np.random.default_rng(7),
            )
            for rate in RATES
        }
        fine.holds(at[1e-2].distance / START)
        rough.fails(at[1e-6].distance / START)


# The stored file is that of this code.


def test_the_stored_runs_are_those_of_this_code(
    fits: dict[str, list[UnivariateScore]],
    samples: dict[str, AnnealedSamples],
    pairs: list[tuple[FloatArray, FloatArray]],
) -> None:
    assert STORED["settings"]["sigmas"] == list(PAPER.sigmas)
    for record in STORED["optima"]:
        name = record["network"]
        values = np.array([fit.value for fit in fits[name]])
        assert np.max(np.abs(values / record["values"] - 1)) <= 1e-8  # two certificates
        if record["exact"]:
            assert abs(samples[name].distance - record["distance"]) <= 1e-4  # four digits
    run = PAPER.trainings(pairs[:1], 1e-2)[0]
    kept = [t["best"][0] for t in STORED["trainings"] if t["network"] == "relu" and t["rate"] == 1e-2]
    assert np.max(np.abs(run.losses / kept - 1)) <= 1e-3  # rounding, carried through 200 epochs


def test_the_stored_runs_are_complete() -> None:
    kinds = {(t["network"], t["rate"], t["trial"]) for t in STORED["trainings"]}
    names = [name_of(a, s) for a, s in NETWORKS]
    assert kinds == {(name, rate, k) for name in names for rate in RATES for k in range(10)}
    values = {o["network"]: np.array(o["values"]) for o in STORED["optima"]}
    for t in STORED["trainings"]:
        assert (np.array(t["best"]) >= values[t["network"]]).all()
        assert (np.array(t["best"]) <= np.array(t["last"]) * (1 + 1e-6)).all()


# The pieces


def test_the_distance_at_the_start() -> None:
    still = DenoisingSetting(sigmas=(1e-3,), step=1e-12, n_steps_each=1)
    chains = anneal([np.zeros_like], still, np.random.default_rng(0), 200_000)
    assert chains.law is None  # no grid resolves so short a step
    # Dvoretzky, Kiefer and Wolfowitz on an interval of length 2.
    assert abs(chains.distance - START) <= 2 * np.sqrt(np.log(2 / 1e-9) / (2 * 200_000))


def test_runaways_are_counted_and_stay_finite() -> None:
    away = DenoisingSetting(sigmas=(1.0,), step=0.5)
    for score in (lambda x: 1e3 * x, lambda x: 1e300 * np.sign(x)):
        found = anneal([score], away, np.random.default_rng(0), 1000)
        assert np.isfinite(found.chains).all()
        assert found.outside >= 0.99
        assert 39 <= found.distance <= 41
    one = anneal([lambda x: 1e3 * x], away, np.random.default_rng(0), 1000)
    assert one.exact is False
    assert np.isnan(one.sampler_error)


def test_exact_law_and_chains_agree() -> None:
    scores = [standard_normal().smoothed(sigma).score for sigma in PAPER.sigmas]
    found = anneal(scores, PAPER, np.random.default_rng(1), 50_000)
    assert found.exact is True
    assert found.sampler_error <= np.sqrt(np.log(2 / 1e-9) / (2 * 50_000)) + 1e-3
    chains_only = anneal(scores, PAPER, np.random.default_rng(1), 50_000, exact=False)
    assert np.array_equal(chains_only.chains, found.chains)
    assert abs(chains_only.distance - found.distance) <= 0.02
    assert abs(chains_only.largest_gap - found.largest_gap) <= found.sampler_error
    assert abs(chains_only.std - found.std) <= 0.02
    assert np.sum(found.histogram(np.linspace(-10, 10, 21))) == pytest.approx(1.0, abs=1e-3)


@every_network
@pytest.mark.parametrize("seed", range(5))
def test_a_trained_network_as_a_piecewise_linear_score(activation: Activation, skip: bool, seed: int) -> None:
    net = random_network(np.random.default_rng(seed), activation)
    if not skip:
        net = replace(net, V=np.zeros((1, 1)))
    score = as_piecewise_linear(net)
    x = np.concatenate([np.linspace(-9, 9, 301), [-1e4, 1e4]])
    assert np.max(np.abs(score(x) - net(x)) / (1 + np.abs(x))) <= 1e-9


def test_networks_without_kinks() -> None:
    flat = TwoLayerNetwork.univariate([0.0], [1.0], [2.0], b0=0.5, v=-1.0)
    assert as_piecewise_linear(flat)([0.0, 2.0]).tolist() == [2.5, 0.5]
    assert as_piecewise_linear(TwoLayerNetwork.univariate([], [], [], v=3.0))([2.0]).tolist() == [6.0]
    with pytest.raises(ValueError, match="must be univariate; its dimension is 2"):
        as_piecewise_linear(random_network(np.random.default_rng(0), "relu", d=2))


def test_readings_of_the_settings() -> None:
    rng = np.random.default_rng
    assert np.array_equal(PAPER.etas, 0.2 * paper_sigmas() ** 2)
    assert DenoisingSetting(step=0.5, constant_step=True).etas.tolist() == [0.5] * 10
    for sigma, (x, targets) in zip(PAPER.sigmas, PAPER.pairs(rng(0)), strict=True):
        clean = standard_normal().sample(500, rng(0))
        assert np.max(np.abs(x + sigma**2 * targets - clean)) <= 1e-9  # the target points back
    signs = zip(PAPER.pairs(rng(0)), DenoisingSetting(printed_sign=True).pairs(rng(0)), strict=True)
    for right, printed in signs:
        assert np.array_equal(right[1], -printed[1])
        assert np.array_equal(right[0], printed[0])
    shared = DenoisingSetting(same_noise=True).pairs(rng(0))
    noise = [-sigma * targets for sigma, (_, targets) in zip(PAPER.sigmas, shared, strict=True)]
    assert np.max(np.abs(noise[0] - noise[-1])) <= 1e-12


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="one score per level, 10; got 1"):
        anneal([np.negative], PAPER, np.random.default_rng(0))
    with pytest.raises(ValueError, match="n_chains must be an integer, at least 1"):
        anneal([np.negative] * 10, PAPER, np.random.default_rng(0), 0)
    with pytest.raises(TypeError, match="rng must be a numpy"):
        PAPER.pairs(0)  # type: ignore[arg-type]


def test_trainings_are_those_of_the_library(pairs: list[tuple[FloatArray, FloatArray]]) -> None:
    ours = PAPER.trainings(pairs[:1], 1e-2, n_trials=2, n_epochs=3, seed=4)[0]
    starts = torch.Generator().manual_seed(4)
    plain = train_denoising(*pairs[0], 0.5, width=50, n_trials=2, n_epochs=3, generator=starts)
    assert np.array_equal(ours.history, plain.history)
