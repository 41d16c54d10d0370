"""Smooth hinges are averages of ReLUs: the exact optimum bounds every network of them from below."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from claims_witness import Evidence
from zoo import denoising_tasks, samples

from convexdiff_lib import (
    SmoothNetwork,
    TwoLayerNetwork,
    certified_gap,
    denoising_loss,
    denoising_score_matching,
    score_matching,
    score_matching_loss,
    smallest_weight_decay,
)
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.line import smooth
from convexdiff_lib.line._activations import ACTIVATIONS, AnyActivation, Shape
from convexdiff_lib.line.smooth import slope_range

HINGES: tuple[AnyActivation, ...] = ("softplus", "elu", "relu")
BOUNDED: tuple[AnyActivation, ...] = (*HINGES, "logcosh", "abs")
OTHERS: tuple[AnyActivation, ...] = ("tanh", "gelu", "silu")
TEMPERATURES = (0.3, 1.0, 10.0, 1000.0)


def data(seed: int, n: int = 12) -> FloatArray:
    return np.random.default_rng(seed).normal(size=n)


def constraint(x: FloatArray, z: FloatArray, activation: AnyActivation, tau: float, w: float) -> FloatArray:
    """Sizes of z^T phi - l over many kinks, for the units sigma(w (x - t)) / |w|."""
    reach = float(np.ptp(x)) or 1.0
    kinks = np.concatenate(
        [np.linspace(x.min() - reach, x.max() + reach, 150)]
        + [np.unique(x) + step / (tau * abs(w)) for step in (-3.0, -0.3, 0.0, 0.3, 3.0)]
    )
    u = tau * w * (x[:, None] - kinks)
    shape = ACTIVATIONS[activation]
    values = shape.value(u) / (tau * abs(w))
    centred = values - values[np.argmin(np.abs(x - x.mean()))]  # z sums to zero only but for rounding
    return np.abs(z @ centred - np.sign(w) * shape.slope(u).sum(axis=0))


def excess(x: FloatArray, beta: float, activation: AnyActivation, stretch: float = 1.0) -> float:
    """By how much the dual optimum of piecewise linear networks violates a constraint of smooth ones."""
    kind: Activation = ACTIVATIONS[activation].averages or "relu"
    z = score_matching(x, beta, activation=kind).z
    units = (constraint(x, z, activation, tau, w) for tau in TEMPERATURES for w in (-3.0, -1.0, 1.0, 3.0))
    return max(0.0, max(float(unit.max()) for unit in units) - stretch * beta) / len(x)


def random_network(
    x: FloatArray, activation: AnyActivation, rng: np.random.Generator, skip: bool = False
) -> SmoothNetwork:
    m = int(rng.integers(1, 6))
    w = rng.normal(size=m) / (float(np.std(x)) or 1.0)
    b, alpha = -w * rng.choice(x, m) + 0.1 * rng.normal(size=m), rng.normal(size=m)
    tau = float(10 ** rng.uniform(-1, 4))
    return SmoothNetwork(w, b, alpha, float(rng.normal()), 0.3 * skip, activation, tau)


def test_units_of_smooth_hinges_satisfy_the_constraints_of_the_others(evidence: Evidence) -> None:
    seen = evidence("ours-smooth-bound", "dual-point-serves-smooth-units", 1e-9).because(
        "feasibility tolerance of the certificate"
    )
    for seed in range(4):
        x = data(seed)
        for beta in (1.0, 2.5, 6.0):
            seen.all_hold(excess(x, beta, activation) for activation in ("softplus", "elu", "logcosh"))


def test_units_of_smooth_hinges_on_structured_data(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-smooth-bound", "dual-point-serves-smooth-units-on-structured-data", 1e-9).because(
        "feasibility tolerance of the certificate"
    )
    for name, x in samples():
        for activation in BOUNDED[:2]:
            seen.holds(excess(x, smallest_weight_decay(x) + 0.5, activation), on=name)
        abs_beta = smallest_weight_decay(x, activation="abs") + 0.5
        seen.holds(excess(x, abs_beta, "logcosh"), on=name)


def test_gelu_and_silu_violate_them(evidence: Evidence) -> None:
    bad = evidence(
        "ours-smooth-bound", "gelu-and-silu-break-a-constraint", at_least=1e-4, form="ours"
    ).because("per point; a hundred thousand times the tolerance of the check")
    stretched = evidence("ours-smooth-bound", "none-breaks-it-when-stretched", 1e-9).because(
        "feasibility tolerance of the certificate"
    )
    for seed in range(3):
        x = data(seed)
        for activation in OTHERS:
            if activation != "tanh":
                bad.fails(excess(x, 1.5, activation))
            stretched.holds(excess(x, 1.5, activation, stretch=ACTIVATIONS[activation].variation))


def shortfall(network: SmoothNetwork, x: FloatArray, beta: float, targets: FloatArray | None = None) -> float:
    """By how much a network is below the bound, for the smaller of the two penalties; for its score, too."""
    gap = certified_gap(network, x, beta, targets=targets, penalty="path norm")
    heavier = certified_gap(network, x, beta, targets=targets)
    assert heavier.loss >= gap.loss - 1e-12 * (1 + abs(gap.loss))  # weight decay is never below the path norm
    score = max(0.0, gap.score_difference - gap.score_bound) / (1 + gap.score_difference)
    return max(score, max(0.0, -gap.gap) / (1 + abs(gap.bound)))


def test_no_network_is_below_the_bound(evidence: Evidence) -> None:
    seen = evidence("ours-smooth-bound", "random-networks-are-not-below", 1e-9).because("rounding")
    rng = np.random.default_rng(0)
    for seed in range(3):
        x = data(seed)
        targets = rng.normal(size=len(x))
        for activation in BOUNDED:
            for skip in (False, True):
                beta = float(rng.uniform(2.1, 8.0))
                for _ in range(2):
                    network = random_network(x, activation, rng, skip)
                    seen.holds(shortfall(network, x, beta))
                    seen.holds(shortfall(network, x, beta / 10, targets))


def test_no_network_is_below_the_bound_on_structured_data(on_zoo: Evidence) -> None:
    seen = on_zoo("ours-smooth-bound", "networks-are-not-below-on-structured-data", 1e-9).because("rounding")
    rng = np.random.default_rng(1)
    for name, x in samples():
        for activation in BOUNDED:
            kind = ACTIVATIONS[activation].averages or "relu"
            beta = smallest_weight_decay(x, activation=kind) + 0.3
            seen.holds(shortfall(random_network(x, activation, rng), x, beta), on=name)
    for name, x, targets in denoising_tasks():
        network = random_network(x, BOUNDED[int(rng.integers(5))], rng)
        seen.holds(shortfall(network, x, 0.4, targets), on=name)


def test_an_optimal_network_of_relus_has_no_gap() -> None:
    x = data(0, 30)
    fit = score_matching(x, 4.0)
    verdict = certified_gap(fit.network(), x, 4.0)
    assert abs(verdict.relative_gap) <= 1e-8  # the certificate's own tolerance
    assert verdict.score_difference <= 1e-6  # the same, of the score
    line = certified_gap(SmoothNetwork([], [], []), x, 4.0)
    assert line.relative_gap == 1.0
    assert certified_gap(SmoothNetwork([], [], []), x, 31.0).relative_gap == 0.0
    assert certified_gap(SmoothNetwork([1.0], [0.0], [1.0]), x, 31.0).relative_gap == np.inf
    targets = data(1, 30)
    best = denoising_score_matching(x, targets, 0.5)
    assert abs(certified_gap(best.network(), x, 0.5, targets=targets).relative_gap) <= 1e-7
    constant = SmoothNetwork([], [], [], b0=float(targets.mean()))
    assert abs(certified_gap(constant, x, 0.5, targets=targets).relative_gap - 1) <= 1e-12  # rounding


def test_losses_are_those_of_the_objectives() -> None:
    rng = np.random.default_rng(3)
    x, targets = data(5), rng.normal(size=12)
    w, b, alpha = rng.normal(size=(3, 5))
    for activation in ("relu", "abs"):
        plain = TwoLayerNetwork.univariate(w, b, alpha, 0.2, 0.1, activation=activation)
        same = SmoothNetwork.from_two_layers(plain)
        # Sums in another order.
        assert abs(same.loss(x, 2.0) - score_matching_loss(plain, x, 2.0)) <= 1e-10
        assert abs(same.loss(x, 2.0, targets=targets) - denoising_loss(plain, x, targets, 2.0)) <= 1e-10
        saved = float(np.sum(w**2 + alpha**2)) - 2 * float(np.sum(np.abs(w * alpha)))
        difference = same.loss(x, 2.0) - same.loss(x, 2.0, penalty="path norm")
        assert abs(difference - saved) <= 1e-10


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_slopes_are_derivatives_and_in_their_range(activation: AnyActivation) -> None:
    shape: Shape = ACTIVATIONS[activation]
    u = np.linspace(-12, 12, 200_001)
    slopes = shape.slope(u)
    chord = np.diff(shape.value(u)) / np.diff(u)
    smooth_enough = np.abs(u[:-1] + u[1:]) / 2 > 1e-3
    middle = (slopes[1:] + slopes[:-1]) / 2
    # Second differences over steps of 1e-4.
    assert np.max(np.abs(chord - middle)[smooth_enough]) <= 1e-7
    low, high = slope_range(activation)
    assert abs(slopes.max() - high) <= 1e-4  # not all are reached within 12
    assert abs(slopes.min() - low) <= 1e-4
    assert slopes.max() <= high + 1e-12
    assert slopes.min() >= low - 1e-12
    assert abs(np.abs(np.diff(slopes)).sum() - shape.variation) <= 1e-3


@pytest.mark.parametrize("activation", OTHERS)
def test_what_the_bound_is_not_for_is_refused(activation: AnyActivation) -> None:
    network = SmoothNetwork([1.0], [0.0], [1.0], activation=activation)
    with pytest.raises(ValueError, match=f"no bound for {activation} at the same weight decay"):
        certified_gap(network, data(0), 2.0)
    assert np.isfinite(network.loss(data(0), 2.0))


def test_a_bound_on_the_wrong_side_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weight decay a tenth too large moves the bound above what networks reach, and these tests see it."""
    x = data(0)
    fit = score_matching(x, 2.0)
    assert shortfall(SmoothNetwork.from_two_layers(fit.network()), x, 2.0) <= 1e-9

    def wrong(points: FloatArray, beta: float, **options: object) -> object:
        return score_matching(points, 1.1 * beta, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(smooth, "score_matching", wrong)
    assert shortfall(SmoothNetwork.from_two_layers(fit.network()), x, 2.0) >= 1e-2


def test_modules_of_pytorch_are_read() -> None:
    torch.manual_seed(0)
    points = np.linspace(-2, 2, 9)
    kinds = {
        "softplus": torch.nn.Softplus(beta=3.0),
        "elu": torch.nn.ELU(),
        "relu": torch.nn.ReLU(),
        "tanh": torch.nn.Tanh(),
        "gelu": torch.nn.GELU(),
        "silu": torch.nn.SiLU(),
    }
    for name, layer in kinds.items():
        module = torch.nn.Sequential(torch.nn.Linear(1, 7), layer, torch.nn.Linear(7, 1, bias=name != "elu"))
        network = SmoothNetwork.from_torch(module)
        column = torch.tensor(points[:, None], dtype=torch.float32, requires_grad=True)
        score = module(column)
        assert network.activation == name
        assert np.max(np.abs(score.detach().numpy()[:, 0] - network(points))) <= 1e-5  # single precision
        (slope,) = torch.autograd.grad(score.sum(), column)
        assert np.max(np.abs(slope.numpy()[:, 0] - network.derivative(points))) <= 1e-5


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (torch.nn.Linear(1, 1), "Sequential"),
        (torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.Mish(), torch.nn.Linear(2, 1)), "Mish"),
        (torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1)), "one input"),
        (torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.ELU(0.5), torch.nn.Linear(2, 1)), "alpha = 1"),
        (
            torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.GELU("tanh"), torch.nn.Linear(2, 1)),
            "approximate",
        ),
    ],
)
def test_other_modules_are_refused(module: torch.nn.Module, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        SmoothNetwork.from_torch(module)


def test_malformed_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        SmoothNetwork([1.0], [0.0, 1.0], [1.0])
    with pytest.raises(ValueError, match="activation must be one of"):
        SmoothNetwork([1.0], [0.0], [1.0], activation="mish")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="temperature must be a positive"):
        SmoothNetwork([1.0], [0.0], [1.0], temperature=0.0)
    with pytest.raises(ValueError, match="penalty must be"):
        SmoothNetwork([1.0], [0.0], [1.0]).loss([0.0], 1.0, penalty="l1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one dimension"):
        SmoothNetwork.from_two_layers(
            TwoLayerNetwork(np.eye(2), np.zeros(2), np.eye(2), np.zeros(2), np.eye(2))
        )
