"""Evidence for the first chapter: Hyvärinen's identity, the training loss, and why it needs weight decay."""

from collections.abc import Callable
from itertools import pairwise
from typing import Literal, Protocol

import numpy as np
import pytest
import torch
from claims_witness import Evidence
from numpy.typing import NDArray
from scipy.integrate import quad

from convexdiff_lib import TwoLayerNetwork, score_matching_loss
from convexdiff_lib.datasets import GaussianMixture, Uniform, paper_mixture, standard_normal

Activation = Literal["relu", "abs"]
FloatArray = NDArray[np.float64]
ACTIVATIONS: tuple[Activation, Activation] = ("relu", "abs")
QUADRATURE = (
    "values up to 1e2, by adaptive quadrature to 1e-12 on each of at most 40 pieces between the kinks"
)
EXACT = "all numbers are short binary fractions, so the differences are exact"


class Law(Protocol):
    def log_density(self, x: FloatArray) -> FloatArray: ...

    def score(self, x: FloatArray) -> FloatArray: ...


class Laplace:
    """A density with a corner: smooth enough for the identity, though it has no derivative at 0."""

    def log_density(self, x: FloatArray) -> FloatArray:
        return -np.abs(x) - np.log(2)

    def score(self, x: FloatArray) -> FloatArray:
        return -np.sign(x)


LAWS: dict[str, tuple[Law, FloatArray]] = {
    "normal": (standard_normal(), np.linspace(-12, 12, 13)),
    "mixture": (paper_mixture(), np.linspace(-22, 22, 23)),
    "close mixture": (GaussianMixture(centers=(-1.0, 0.5, 2.0), scale=0.5), np.linspace(-8, 9, 18)),
    "corner": (Laplace(), np.array([-45.0, -20.0, -8.0, -3.0, 0.0, 3.0, 8.0, 20.0, 45.0])),
}


def random_network(seed: int, activation: Activation) -> TwoLayerNetwork:
    rng = np.random.default_rng(seed)
    w, b, alpha = rng.normal(size=(3, 4))
    b0, v = rng.normal(size=2)
    return TwoLayerNetwork.univariate(w, b, alpha, b0, v, activation=activation)


def mean(f: Callable[[FloatArray], FloatArray], law: Law, cuts: FloatArray) -> float:
    """E f(x): adaptive quadrature on every piece between the cuts."""

    def integrand(x: float) -> float:
        point = np.array([x])
        return float(f(point)[0] * np.exp(law.log_density(point)[0]))

    return sum(quad(integrand, a, b, epsabs=1e-13, epsrel=1e-12)[0] for a, b in pairwise(cuts))


def two_sides(
    s: TwoLayerNetwork, law: Law, grid: FloatArray, square_factor: float = 0.5
) -> tuple[float, float]:
    """Half the squared error of s, and Hyvärinen's objective plus its constant."""
    kinks = -s.b1 / s.W1[:, 0]
    cuts = np.union1d(grid, kinks[(kinks > grid[0]) & (kinks < grid[-1])])
    error = mean(lambda x: (s(x) - law.score(x)) ** 2 / 2, law, cuts)
    objective = mean(lambda x: square_factor * s(x) ** 2 + s.divergence(x), law, cuts)
    return error, objective + mean(lambda x: law.score(x) ** 2 / 2, law, cuts)


@pytest.mark.parametrize("name", LAWS)
def test_identity(name: str, evidence: Evidence) -> None:
    seen = evidence("eq-hyvarinen", "identity-by-quadrature", 1e-9).because(QUADRATURE)
    for activation in ACTIVATIONS:
        for seed in range(3):
            error, objective = two_sides(random_network(seed, activation), *LAWS[name])
            seen.holds(abs(error - objective))


def test_identity_by_hand(evidence: Evidence) -> None:
    why = "the two sides were worked out on paper"
    seen = evidence("eq-hyvarinen", "one-neuron-by-hand", 1e-9).because(why)
    neuron = TwoLayerNetwork.univariate([1.0], [0.0], [-1.0], activation="relu")
    for name, value in (("normal", 1 / 4), ("corner", 1 / 2)):
        for side in two_sides(neuron, *LAWS[name]):
            seen.holds(abs(side - value))


def test_identity_needs_the_half() -> None:
    for seed in range(3):
        error, wrong = two_sides(random_network(seed, "relu"), *LAWS["normal"], square_factor=1.0)
        assert abs(error - wrong) >= 0.1


def test_hard_edge_adds_the_boundary_term(evidence: Evidence) -> None:
    seen = evidence("eq-hyvarinen", "hard-edge-adds-the-boundary-term", 1e-9, form="ours").because(QUADRATURE)
    for activation in ACTIVATIONS:
        for seed in range(3):
            s = random_network(seed, activation)
            error, objective = two_sides(s, Uniform(0.0, 1.0), np.array([0.0, 1.0]))
            at_0, at_1 = s(np.array([0.0, 1.0]))
            seen.holds(abs(objective - error - (at_1 - at_0)))
            assert abs(at_1 - at_0) >= 0.01  # so the identity without the term is false here


def fractions(rng: np.random.Generator, size: int) -> FloatArray:
    """Non-zero multiples of 1/8 up to 4: products and sums of a few of them are exact in double precision."""
    return rng.integers(1, 33, size) / 8 * rng.choice([-1.0, 1.0], size)


def kinked_network(rng: np.random.Generator, x: FloatArray, activation: Activation) -> TwoLayerNetwork:
    """A random network, half of whose kinks sit exactly on samples."""
    w, alpha, b = fractions(rng, 6), fractions(rng, 6), fractions(rng, 6)
    b[:3] = -w[:3] * rng.choice(x, 3)
    return TwoLayerNetwork.univariate(w, b, alpha, *fractions(rng, 2), activation=activation)


def loss_by_steps(s: TwoLayerNetwork, x: FloatArray, beta: float, *, facing: bool = True) -> float:
    """Return display (2) written out, s' by a small step of each neuron to the side on which it grows."""
    step = 2.0**-20
    curve = abs if s.activation == "abs" else lambda u: max(u, 0.0)
    total = 0.0
    for point in x:
        value, slope = s.b2[0] + s.V[0, 0] * point, s.V[0, 0]
        for (w,), b, alpha in zip(s.W1, s.b1, s.W2[0], strict=True):
            h = -step if facing and w < 0 else step
            value += alpha * curve(w * point + b)
            slope += alpha * (curve(w * (point + h) + b) - curve(w * point + b)) / h
        total += value**2 / 2 + slope
    return float(total + beta / 2 * sum(w**2 for w in [*s.W1[:, 0], *s.W2[0]]))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_loss_is_the_displayed_sum(activation: Activation, evidence: Evidence) -> None:
    seen = evidence("def-training-loss", "loss-equals-finite-differences", 1e-12).because(EXACT)
    rng = np.random.default_rng(0)
    for beta in (0.0, 0.5, 3.0):
        for n in (1, 2, 7):
            x = fractions(rng, n)
            s = kinked_network(rng, x, activation)
            seen.holds(abs(loss_by_steps(s, x, beta) - score_matching_loss(s, x, beta)))


def test_loss_by_hand(evidence: Evidence) -> None:
    why = "whole numbers and halves, worked out on paper"
    seen = evidence("def-training-loss", "two-points-by-hand", 1e-12).because(why)
    neuron = TwoLayerNetwork.univariate([1.0], [0.0], [-1.0], b0=1.0, activation="relu")
    for beta in (0.0, 0.5, 3.0):
        seen.holds(abs(score_matching_loss(neuron, [0.0, 2.0], beta) - (beta - 1)))


def loss_by_autograd(s: TwoLayerNetwork, x: FloatArray, beta: float) -> float:
    """Return display (2) with the trace of a Jacobian that PyTorch works out."""
    W1, b1, W2, b2, V = (torch.as_tensor(p) for p in (s.W1, s.b1, s.W2, s.b2, s.V))

    def network(point: torch.Tensor) -> torch.Tensor:
        return W2 @ torch.relu(W1 @ point + b1) + V @ point + b2

    fit = 0.0
    for point in torch.as_tensor(x):
        jacobian = torch.autograd.functional.jacobian(network, point)
        fit += float(network(point) @ network(point) / 2 + torch.trace(jacobian))
    return fit + beta / 2 * float((W1**2).sum() + (W2**2).sum())


def test_loss_agrees_with_automatic_differentiation_off_the_kinks(evidence: Evidence) -> None:
    why = "two ways to add up 20 samples in double precision"
    seen = evidence("def-training-loss", "loss-equals-autograd-off-the-kinks", 1e-9).because(why)
    for d in (1, 2, 3):
        rng = np.random.default_rng(d)
        x = rng.normal(size=(20, d))
        W1, b1, W2, b2, V = (rng.normal(size=size) for size in ((5, d), 5, (d, 5), d, (d, d)))
        s = TwoLayerNetwork(W1, b1, W2, b2, V)
        seen.holds(abs(loss_by_autograd(s, x, 1.5) - score_matching_loss(s, x, 1.5)))


def test_automatic_differentiation_loses_the_slope_on_a_kink() -> None:
    neuron = TwoLayerNetwork.univariate([1.0], [0.0], [-1.0], b0=1.0, activation="relu")
    x = np.array([[0.0], [2.0]])
    too_high = loss_by_autograd(neuron, x, 3.0) - score_matching_loss(neuron, x, 3.0)
    assert abs(too_high - 1) <= 1e-12  # |w alpha| = 1; whole numbers


def test_the_wrong_side_of_a_kink_is_another_loss() -> None:
    x = np.array([-1.0, 0.0, 2.0])
    w, alpha = np.array([1.0, -2.0, 0.5]), np.array([-1.0, 3.0, 2.0])
    s = TwoLayerNetwork.univariate(w, -w * x, alpha, activation="relu")
    assert abs(loss_by_steps(s, x, 1.0, facing=False) - score_matching_loss(s, x, 1.0)) >= 1


def test_biases_and_skip_are_free_and_the_decay_is_charged_once() -> None:
    s = random_network(0, "relu")
    moved = TwoLayerNetwork(s.W1, s.b1 + 7, s.W2, s.b2 - 5, s.V + 3)
    x = np.array([-1.0, 0.0, 2.0])
    for network in (s, moved):
        charged = score_matching_loss(network, x, 2.0) - score_matching_loss(network, x, 0.0)
        assert abs(charged - s.squared_norm) <= 1e-12  # rounding of numbers of size 1e2


def on_the_curve(w: float, beta: float) -> TwoLayerNetwork:
    """The parameters that Appendix C puts on one neuron, for the sample x = 1."""
    return TwoLayerNetwork.univariate([w], [-w + np.sqrt(1 - beta)], [-w], activation="relu")


def test_loss_along_the_printed_curve(evidence: Evidence) -> None:
    why = "the residual is divided by w squared; w + b is right to 1e-16 w, and w goes up to 1e5"
    seen = evidence("rem-unbounded-one-point", "loss-is-beta-minus-one-half-w-squared", 1e-10).because(why)
    for beta in (0.0, 0.1, 0.5, 0.9, 0.99):
        for w in (0.1, 1.0, 10.0, 1e3, 1e5):
            loss = score_matching_loss(on_the_curve(w, beta), [1.0], beta)
            seen.holds(abs(loss / w**2 - (beta - 1) / 2))


def test_cheaper_curve(evidence: Evidence) -> None:
    why = "the residual is divided by w squared, the size of the terms that cancel: rounding is left"
    seen = evidence(
        "rem-unbounded-one-point", "cheaper-curve-falls-twice-as-fast", 1e-12, form="ours"
    ).because(why)
    samples = np.random.default_rng(0).normal(size=50)
    for x in (np.array([1.0]), samples):
        for beta in (0.0, 0.5, 1.0, 1.5):
            for w in (1.0, 10.0, 1e3):
                neuron = TwoLayerNetwork.univariate([w], [-(w * x.max())], [-w], activation="relu")
                seen.holds(abs(score_matching_loss(neuron, x, beta) / w**2 - (beta - 1)))


def test_from_one_on_a_single_neuron_cannot_dive(evidence: Evidence) -> None:
    why = "a bound, so nothing but rounding may be on the wrong side"
    seen = evidence("rem-unbounded-one-point", "bounded-from-threshold-on", 1e-10, form="ours").because(why)
    rng = np.random.default_rng(0)
    for beta in (1.0, 1.5, 4.0):
        for _ in range(100):
            w, b, alpha, b0 = 10 * rng.normal(size=4)
            neuron = TwoLayerNetwork.univariate([w], [b], [alpha], b0, activation="relu")
            bound = (beta - 1) * abs(w * alpha)
            seen.holds(max(0.0, bound - score_matching_loss(neuron, [1.0], beta)))


def test_the_outgoing_weight_has_to_be_negative() -> None:
    uphill = TwoLayerNetwork.univariate([4.0], [-4.0 + 0.5], [4.0], activation="relu")
    assert abs(score_matching_loss(uphill, [1.0], 0.75) - (0.75 - 1) / 2 * 4.0**2) >= 10


def test_the_neuron_has_to_be_active() -> None:
    asleep = TwoLayerNetwork.univariate([4.0], [-4.0 - 0.5], [-4.0], activation="relu")
    assert abs(score_matching_loss(asleep, [1.0], 0.75) - (0.75 - 1) / 2 * 4.0**2) >= 10
