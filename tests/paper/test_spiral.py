"""The spiral: its exact score, the measure of likeness, and the paper's experiment with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from claims_witness import Evidence
from hypothesis import given
from hypothesis import strategies as st
from strategies import checked

from convexdiff_lib._validation import FloatArray
from convexdiff_lib.book import stored_results
from convexdiff_lib.datasets import Spiral
from convexdiff_lib.networks import TwoLayerNetwork
from convexdiff_lib.paper.spiral_experiment import SpiralSetting, anneal_in_the_plane, likeness
from convexdiff_lib.space.group_lasso import responses
from convexdiff_lib.space.wedge import WedgeScore, certify_wedge

PAPER = SpiralSetting()
STORED = stored_results("spiral")


def stored_network(record: dict[str, Any]) -> TwoLayerNetwork:
    W1, b1, W2, b2 = (np.array(record[name]) for name in ("W1", "b1", "W2", "b2"))
    return TwoLayerNetwork(W1, b1, W2, b2, np.zeros((2, 2)))


NETWORKS = [stored_network(record) for record in STORED["networks"]]
DUALS = [np.array(record["Q"]) for record in STORED["networks"]]


def reading(name: str) -> dict[str, Any]:
    (found,) = (r for r in STORED["readings"] if r["reading"] == name)
    return found  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def pairs() -> list[tuple[FloatArray, FloatArray]]:
    return PAPER.pairs(np.random.default_rng(STORED["seeds"]["data"]))


@pytest.fixture(scope="module")
def without(pairs: list[tuple[FloatArray, FloatArray]]) -> list[WedgeScore]:
    return [replace(PAPER, bias="none").fit(*pair) for pair in pairs]


# --- The curve -------------------------------------------------------------------------------------------


@given(st.floats(0.1, 3.0), st.floats(0.0, 10.0), st.floats(0.5, 12.0), st.integers(0, 2**32 - 1))
@checked
def test_nearest_point(pitch: float, start: float, length: float, seed: int) -> None:
    """No point of the curve is nearer, and the one named is that far away."""
    spiral = Spiral(pitch, start, start + length)
    x = np.random.default_rng(seed).normal(size=(20, 2)) * pitch * (start + length)
    distance, angle = spiral.nearest(x)
    named = np.linalg.norm(x - spiral.position(angle), axis=1)
    assert np.max(np.abs(distance - named)) <= 1e-12 * pitch * (start + length)  # rounding
    curve = spiral.points(3001)
    away = np.linalg.norm(x[:, None] - curve, axis=-1).min(axis=1)
    step = pitch * (start + length + 1) * length / 20_000
    assert np.max(distance - away) <= step  # a step of the table
    assert (angle >= start).all()
    assert (angle <= start + length).all()


def test_score_of_a_smoothed_spiral_is_the_gradient() -> None:
    spiral, sigma, h = Spiral(), 0.5, 1e-4
    x = np.random.default_rng(0).uniform(-10, 10, (30, 2))
    angles = np.linspace(spiral.start, spiral.stop, 40_001)
    centers = spiral.position((angles[1:] + angles[:-1]) / 2)

    def log_density(points: FloatArray) -> FloatArray:
        exponent = -0.5 * np.sum((points[:, None] - centers) ** 2, axis=-1) / sigma**2
        top = exponent.max(axis=1)
        return np.asarray(top + np.log(np.exp(exponent - top[:, None]).mean(axis=1)))

    for axis in np.eye(2):
        numeric = (log_density(x + h * axis) - log_density(x - h * axis)) / (2 * h)
        scale = np.linalg.norm(spiral.score(x, sigma), axis=1)
        # A difference of logarithms of size 100 over h; between two arms the third derivative is large.
        assert np.max(np.abs(spiral.score(x, sigma) @ axis - numeric) / scale) <= 1e-3
    near = spiral.position(np.array([7.0])) + 0.01
    assert np.max(np.abs(spiral.score(near, 0.01) / spiral.score(near, 0.02) / 4 - 1)) <= 0.05  # a line


def test_a_bad_spiral() -> None:
    with pytest.raises(ValueError, match=r"0 <= start < stop; got 3.0 and 2.0"):
        Spiral(1.0, 3.0, 2.0)
    with pytest.raises(ValueError, match=r"0 <= start < stop; got -1.0 and 2.0"):
        Spiral(1.0, -1.0, 2.0)
    with pytest.raises(ValueError, match=r"sigma must be at least 0\.00"):
        Spiral().score(np.zeros((1, 2)), 1e-3)


# --- Likeness --------------------------------------------------------------------------------------------


def test_likeness() -> None:
    spiral = Spiral()
    whole = likeness(spiral.points(2001), spiral)
    assert whole.distance <= 1e-9
    assert whole.near == whole.covered == 1.0
    assert whole.unevenness <= 3e-3  # a point more in an arc, twenty times
    middle = (spiral.start + spiral.stop) / 2
    half = likeness(spiral.position(np.linspace(spiral.start, middle - 1e-6, 999)), spiral)
    assert half.covered == 0.5
    assert abs(half.unevenness - 0.5) <= 2e-3
    far = likeness(np.full((7, 2), 100.0), spiral)
    assert far.near == far.covered == 0.0
    assert abs(far.unevenness - 0.5) <= 1e-12  # nothing is spread


# --- The experiment --------------------------------------------------------------------------------------


def test_stored_networks_are_optimal(pairs: list[tuple[FloatArray, FloatArray]], evidence: Evidence) -> None:
    """Certified anew from the data alone: no network is better."""
    best = evidence("ours-free-bias-exact", "relative-gap-to-all-networks", 1e-8).because(
        "the tolerance of a certificate"
    )
    for (X, targets), network, Q, record in zip(pairs, NETWORKS, DUALS, STORED["networks"], strict=True):
        found = certify_wedge(X, targets, network, Q, PAPER.lam, bias=True, penalise_bias=False)
        best.holds(found.relative_gap)
        assert record["value"] <= record["wedge_value"]
        worse = TwoLayerNetwork(network.W1, network.b1, 1.01 * network.W2, network.b2, network.V)
        rejected = certify_wedge(X, targets, worse, Q, PAPER.lam, bias=True, penalise_bias=False)
        assert rejected.relative_gap >= 1e-5


def test_the_best_of_all_networks(evidence: Evidence) -> None:
    """Found live for fewer points; no neuron of a fine net of directions and biases responds too much."""
    below = evidence(
        "ours-free-bias-exact", "response-over-weight-decay", 1 + 1e-7, what="response / weight decay"
    ).because("where the rounds stop")
    setting = replace(PAPER, n=40)
    X, targets = setting.pairs(np.random.default_rng(0))[0]
    best, wedge = setting.fit(X, targets, exact=True), setting.fit(X, targets)
    assert best.certificate.holds is True
    assert best.value <= wedge.value * (1 + 1e-8)  # two certificates
    angle = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    u = np.column_stack([np.cos(angle), np.sin(angle)])
    for bias in np.linspace(-12, 12, 97):
        below.holds(responses(np.maximum(X @ u.T + bias, 0.0), best.Q, 2).max() / setting.lam)


def test_samples(without: list[WedgeScore], evidence: Evidence) -> None:
    printed = evidence(
        "exp-spiral",
        "distance-without-biases-over-start",
        at_least=0.8,
        what="distance / distance at the start",
    ).because("at one, nothing was gained")
    with_biases = evidence(
        "exp-spiral", "distance-with-biases-over-start", 0.1, what="distance / distance at the start"
    ).because("a tenth of the way is left")
    covered = evidence("ours-spiral-bias", "share-of-arcs-missed", 0.05, what="share of arcs missed").because(
        "one arc of twenty"
    )
    apart = evidence(
        "ours-spiral-bias", "share-of-samples-apart", 0.4, what="share of samples apart"
    ).because("most come near")
    for denoisers, report in ((without, printed), (NETWORKS, with_biases)):
        film = anneal_in_the_plane(denoisers, PAPER, np.random.default_rng(1), 2000)
        begin, end = (likeness(x, PAPER.spiral) for x in (film[0], film[-1]))
        (report.fails if report is printed else report.holds)(end.distance / begin.distance)
    covered.holds(1 - end.covered)
    for name in ("as in the chapter", "1-norm", *(f"other data, seed {k}" for k in (10, 11, 12, 13))):
        apart.holds(1 - reading(name)["near"])
    assert np.max(np.abs(np.array(reading("as in the chapter")["distances"])[-1] - end.distance)) <= 1e-3


def test_no_biases_is_a_star(without: list[WedgeScore]) -> None:
    """Along a ray the denoiser is one vector, times the distance."""
    x = np.random.default_rng(0).normal(size=(50, 2))
    for fit in without:
        assert np.max(np.abs(fit(7.0 * x) - 7.0 * fit(x))) <= 1e-10 * np.abs(fit(x)).max() * 7


def test_no_run_of_adam_is_below(pairs: list[tuple[FloatArray, FloatArray]]) -> None:
    """Stored runs, and one made now, against the certified lower bound for all networks."""
    bounds = []
    for (X, targets), network, Q in zip(pairs, NETWORKS, DUALS, strict=True):
        bounds.append(certify_wedge(X, targets, network, Q, PAPER.lam, bias=True, penalise_bias=False).dual)
    for record in STORED["adam"]:
        assert all((np.array(trial["losses"]) >= bounds).all() for trial in record["trials"])
    X, targets = pairs[0]
    stored = STORED["adam"][0]
    runs = PAPER.train(
        X,
        targets,
        width=STORED["width"],
        n_trials=10,
        n_epochs=stored["epochs"],
        seed=STORED["seeds"]["Adam"],
    )
    kept = np.array([trial["losses"][0] for trial in stored["trials"]])
    assert np.max(np.abs(2 * runs.losses / kept - 1)) <= 1e-2  # rounding, over five hundred steps
    assert 2 * runs.losses.min() >= bounds[0]
    # The wedge program and the denoising loss agree on what a network costs.
    trained = runs.networks[0]
    certificate = certify_wedge(X, targets, trained, targets, PAPER.lam, bias=True, penalise_bias=False)
    assert abs(certificate.primal / (2 * runs.losses[0]) - 1) <= 1e-12


def test_a_shared_noise_is_shared() -> None:
    shared = replace(PAPER, same_noise=True).pairs(np.random.default_rng(0))
    assert all((targets == shared[0][1]).all() for _, targets in shared)
    own = PAPER.pairs(np.random.default_rng(0))
    assert np.abs(own[0][1] - own[1][1]).max() >= 1
    clean = PAPER.spiral.points(PAPER.n)
    for each in (shared, own):
        for sigma, (X, targets) in zip(PAPER.sigmas, each, strict=True):
            assert np.max(np.abs(X + sigma * targets - clean)) <= 1e-13


def test_bad_sampling() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="denoisers must hold one per level, 5; got 1"):
        anneal_in_the_plane([np.zeros_like], PAPER, rng)
    with pytest.raises(ValueError, match="n_samples"):
        anneal_in_the_plane([np.zeros_like] * 5, PAPER, rng, 0)
    with pytest.raises(ValueError, match="reach"):
        anneal_in_the_plane([np.zeros_like] * 5, PAPER, rng, reach=-1.0)
