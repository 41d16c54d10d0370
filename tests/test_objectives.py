"""The training losses against plain loops, and the laws that they obey."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import every_activation, random_network

from convexdiff_lib import TwoLayerNetwork, denoising_loss, score_matching_loss
from convexdiff_lib._validation import Activation, FloatArray

ROUNDING = 1e-11  # a few thousand additions of numbers of order one, each rounded to 1e-16


def forward(net: TwoLayerNetwork, x: FloatArray) -> tuple[FloatArray, float]:
    """Value and divergence at one point of R^d, by loops."""
    value, divergence = net.b2 + net.V @ x, float(np.trace(net.V))
    for j in range(net.width):
        u = float(net.W1[j] @ x + net.b1[j])
        if net.activation == "relu":
            output, slope = max(u, 0.0), 1.0 if u >= 0 else 0.0
        else:
            output, slope = abs(u), 1.0 if u >= 0 else -1.0
        value = value + net.W2[:, j] * output
        divergence += slope * float(net.W2[:, j] @ net.W1[j])
    return value, divergence


def penalty(net: TwoLayerNetwork, beta: float) -> float:
    weights = [*net.W1.ravel(), *net.W2.ravel()]
    return beta / 2 * sum(w * w for w in weights)


@every_activation
@pytest.mark.parametrize("d", [1, 2, 3])
def test_losses_are_the_displayed_sums(activation: Activation, d: int) -> None:
    rng = np.random.default_rng(d)
    net, x, targets = random_network(rng, activation, d), rng.normal(size=(17, d)), rng.normal(size=(17, d))
    matching, denoising = penalty(net, 0.7), penalty(net, 0.7)
    for point, target in zip(x, targets, strict=True):
        value, divergence = forward(net, point)
        matching += 0.5 * float(value @ value) + divergence
        denoising += 0.5 * float((value - target) @ (value - target))
    assert abs(score_matching_loss(net, x, 0.7) - matching) <= ROUNDING
    assert abs(denoising_loss(net, x, targets, 0.7) - denoising) <= ROUNDING


@every_activation
def test_sums_not_means(activation: Activation) -> None:
    """Twice the data is twice the fit, and the same penalty."""
    rng = np.random.default_rng(0)
    net, x, targets = random_network(rng, activation), rng.normal(size=30), rng.normal(size=30)
    twice, both = np.tile(x, 2), np.tile(targets, 2)
    once = score_matching_loss(net, x, 3.0) - penalty(net, 3.0)
    assert abs(score_matching_loss(net, twice, 3.0) - penalty(net, 3.0) - 2 * once) <= ROUNDING
    once = denoising_loss(net, x, targets, 3.0) - penalty(net, 3.0)
    assert abs(denoising_loss(net, twice, both, 3.0) - penalty(net, 3.0) - 2 * once) <= ROUNDING


@every_activation
def test_order_is_irrelevant(activation: Activation) -> None:
    rng = np.random.default_rng(1)
    net, x, targets = random_network(rng, activation, 2), rng.normal(size=(30, 2)), rng.normal(size=(30, 2))
    order, neurons = rng.permutation(30), rng.permutation(net.width)
    shuffled = TwoLayerNetwork(
        net.W1[neurons], net.b1[neurons], net.W2[:, neurons], net.b2, net.V, activation
    )
    base = score_matching_loss(net, x, 1.0)
    assert abs(score_matching_loss(net, x[order], 1.0) - base) <= ROUNDING
    assert abs(score_matching_loss(shuffled, x, 1.0) - base) <= ROUNDING
    base = denoising_loss(net, x, targets, 1.0)
    assert abs(denoising_loss(net, x[order], targets[order], 1.0) - base) <= ROUNDING
    assert abs(denoising_loss(shuffled, x, targets, 1.0) - base) <= ROUNDING


@every_activation
def test_rescaling_a_neuron_moves_only_the_penalty(activation: Activation) -> None:
    rng = np.random.default_rng(2)
    net, x = random_network(rng, activation), rng.normal(size=20)
    c = np.exp(rng.normal(size=net.width))
    other = TwoLayerNetwork(net.W1 * c[:, None], net.b1 * c, net.W2 / c, net.b2, net.V, activation)
    assert abs(score_matching_loss(other, x, 0.0) - score_matching_loss(net, x, 0.0)) <= ROUNDING
    moved = score_matching_loss(other, x, 2.0) - score_matching_loss(net, x, 2.0)
    assert abs(moved - (penalty(other, 2.0) - penalty(net, 2.0))) <= ROUNDING
    assert abs(moved) >= 0.1  # the penalty is not invariant: otherwise the line above says nothing


def test_biases_and_skip_are_not_penalised() -> None:
    net = TwoLayerNetwork.univariate([3.0], [50.0], [4.0], b0=60.0, v=70.0)
    x = [1.0, -2.0]
    assert score_matching_loss(net, x, 2.0) - score_matching_loss(net, x, 0.0) == 25.0
    assert denoising_loss(net, x, x, 2.0) - denoising_loss(net, x, x, 0.0) == 25.0


def test_by_hand() -> None:
    """s(x) = -x on (-1, 0, 2): 5/2 - 3; and one ReLU neuron, active from its kink on."""
    line = TwoLayerNetwork.univariate([], [], [], v=-1.0)
    assert score_matching_loss(line, [-1.0, 0.0, 2.0], 5.0) == -0.5
    ramp = TwoLayerNetwork.univariate([1.0], [0.0], [2.0], b0=1.0)
    assert score_matching_loss(ramp, [-1.0, 0.0, 2.0], 0.0) == 0.5 * (1 + 1 + 25) + 2 + 2
    assert denoising_loss(ramp, [-1.0, 0.0, 2.0], [1.0, 3.0, 4.0], 2.0) == 0.5 * (0 + 4 + 1) + 5
