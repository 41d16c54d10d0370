"""The two forms of a network against each other, against plain loops and against finite differences."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from strategies import every_activation, kink_networks, random_network

from convexdiff_lib import TwoLayerNetwork, networks
from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.line.kink_network import KinkNetwork, hinge_sum

ROUNDING = 1e-12  # a few hundred additions of numbers of order one, each rounded to 1e-16


def slow_network(net: TwoLayerNetwork, x: float) -> tuple[float, float]:
    """Value and derivative at one point, neuron by neuron, with relu'(0) = 1 and sign(0) = +1."""
    value, slope = float(net.b2[0] + net.V[0, 0] * x), float(net.V[0, 0])
    for w, b, alpha in zip(net.W1[:, 0], net.b1, net.W2[0], strict=True):
        u = w * x + b
        if net.activation == "relu":
            value += alpha * (u if u > 0 else 0.0)
            slope += alpha * w * (1.0 if u >= 0 else 0.0)
        else:
            value += alpha * (u if u > 0 else -u)
            slope += alpha * w * (1.0 if u >= 0 else -1.0)
    return value, slope


def slow_kinks(net: KinkNetwork, x: float) -> tuple[float, float]:
    """The same for a list of kinks; a kink beyond its position does not yet act there."""
    value, slope = net.constant + net.slope * (x - net.origin), net.slope
    for t, f, y, beyond in zip(net.kinks, net.facing, net.weights, net.beyond, strict=True):
        u = f * (x - t)
        on = u > 0 if beyond else u >= 0
        value += y * (max(u, 0.0) if net.activation == "relu" else abs(u))
        slope += y * f * (float(on) if net.activation == "relu" else (1.0 if on else -1.0))
    return float(value), float(slope)


@every_activation
@pytest.mark.parametrize("seed", range(20))
def test_all_evaluations_agree(activation: Activation, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = rng.choice(rng.normal(size=12), 25)  # ties
    kinks = kink_networks(rng, activation, np.append(data, rng.normal(size=5)), exact=False)
    dense = kinks.two_layer()
    for x in np.concatenate([data, rng.normal(size=10)]):
        value, slope = slow_kinks(kinks, x)
        for net in (kinks(np.array([x])), dense(np.array([x]))):
            assert abs(net[0] - value) <= ROUNDING * 100
        assert abs(kinks.derivative(np.array([x]))[0] - slope) <= ROUNDING * 100
        assert abs(dense.divergence(np.array([x]))[0] - slope) <= ROUNDING * 100
        assert np.max(np.abs(np.subtract(slow_network(dense, x), (value, slope)))) <= ROUNDING * 100


@every_activation
@pytest.mark.parametrize("offset", [0.0, 0.1, 1e3, -1e6])
def test_neurons_act_exactly_where_the_kinks_say(activation: Activation, offset: float) -> None:
    """With weights whose roots are exact no number is rounded, so one wrong indicator shows in full."""
    rng = np.random.default_rng(3)
    for _ in range(50):
        data = offset + rng.choice(rng.normal(size=8), 12)
        kinks = kink_networks(rng, activation, data, exact=True)
        np.testing.assert_array_equal(kinks.two_layer().divergence(data), kinks.derivative(data))


@every_activation
@pytest.mark.parametrize("facing", [1.0, -1.0])
@pytest.mark.parametrize("at", [0.0, 0.3, -1e6])
def test_beyond_is_off_at_its_place_and_on_after_it(activation: Activation, facing: float, at: float) -> None:
    x = np.array([at, at + facing, at - facing])
    for weight in (1.7, -0.3):
        late, early = (
            KinkNetwork(
                np.array([at]),
                np.array([facing]),
                np.array([weight]),
                np.array([late]),
                activation=activation,
            )
            for late in (True, False)
        )
        off = 0.0 if activation == "relu" else -1.0
        # Only the rounding of sqrt(|y|)^2 separates the two forms.
        for net, on in ((late, off), (early, 1.0)):
            expected = weight * facing * np.array([on, 1.0, off])
            assert np.max(np.abs(net.derivative(x) - expected)) <= 1e-15
            assert np.max(np.abs(net.two_layer().divergence(x) - expected)) <= 1e-15
        np.testing.assert_array_equal(late(x), early(x))


def test_kink_conventions() -> None:
    """relu'(0) = 1 and sign(0) = +1, whichever way the neuron faces."""
    for w in (2.0, -2.0):
        for activation in ("relu", "abs"):
            net = TwoLayerNetwork.univariate([w], [0.0], [1.0], activation=activation)
            assert net.divergence([0.0]).tolist() == [w]


def test_two_layer_by_hand() -> None:
    kinks = KinkNetwork(
        np.array([1.0, 2.0]),
        np.array([1.0, -1.0]),
        np.array([4.0, -9.0]),
        np.array([False, False]),
        3.0,
        5.0,
        7.0,
    )
    net = kinks.two_layer()
    assert net.W1.tolist() == [[2.0], [-3.0]]
    assert net.W2.tolist() == [[2.0, -3.0]]
    assert net.b1.tolist() == [-2.0, 6.0]
    assert (net.b2.tolist(), net.V.tolist()) == ([5.0 - 21.0], [[7.0]])
    assert net([0.0, 4.0]).tolist() == [-16.0 - 3 * 6.0, 12.0 + 12.0]
    assert (kinks.total_weight, net.squared_norm) == (13.0, 26.0)


@every_activation
def test_rescaled_neurons_cost_twice_the_total_weight(activation: Activation) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        kinks = kink_networks(rng, activation, rng.normal(size=5), exact=False)
        assert abs(kinks.two_layer().squared_norm - 2 * kinks.total_weight) <= ROUNDING


@every_activation
@pytest.mark.parametrize("d", [1, 2, 3])
def test_value_and_divergence_in_d_dimensions(activation: Activation, d: int) -> None:
    rng = np.random.default_rng(d)
    net, h = random_network(rng, activation, d, 7), 1e-6
    points = rng.normal(size=(40, d))
    # Within h of a kink a finite difference straddles it.
    far = (np.abs(points @ net.W1.T + net.b1) > 10 * h * np.abs(net.W1).max()).all(axis=1)
    points = points[far]
    assert len(points) >= 35
    for x in points:
        value = net.b2 + net.V @ x
        for j in range(net.width):
            u = float(net.W1[j] @ x + net.b1[j])
            value = value + net.W2[:, j] * (max(u, 0.0) if activation == "relu" else abs(u))
        assert np.max(np.abs(net(x[None])[0] - value)) <= ROUNDING
    numeric = np.zeros(len(points))
    for i, e in enumerate(np.eye(d)):
        numeric += (net(points + h * e)[:, i] - net(points - h * e)[:, i]) / (2 * h)
    # The network is linear between kinks, so only the cancellation of a difference, 1e-16 / h, is left.
    assert np.max(np.abs(net.divergence(points) - numeric)) <= 1e-8


@every_activation
def test_blocks_make_no_difference(activation: Activation, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    net, points = random_network(rng, activation, 2, 13), rng.normal(size=(101, 2))
    whole = net(points), net.divergence(points)
    for block in (1, 13, 14, 40, 13 * 101):
        monkeypatch.setattr(networks, "_BLOCK", block)
        # The order in which a matrix product adds depends on its shape.
        assert np.max(np.abs(net(points) - whole[0])) <= ROUNDING
        assert np.max(np.abs(net.divergence(points) - whole[1])) <= ROUNDING


def test_more_numbers_than_one_block_holds() -> None:
    rng = np.random.default_rng(6)
    n, m = 5000, 1000
    assert n * m > networks._BLOCK
    net, x = random_network(rng, "relu", 1, m), rng.normal(size=n)
    rows = np.arange(0, n, 97)
    assert np.max(np.abs(net(x)[rows] - net(x[rows]))) <= ROUNDING * m
    assert np.max(np.abs(net.divergence(x)[rows] - net.divergence(x[rows]))) <= ROUNDING * m


@pytest.mark.parametrize("offset", [0.0, 1.0, 1e6, -1e6])
def test_hinge_sum_is_the_dense_sum_at_any_offset(offset: float) -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        x = offset + rng.choice(rng.normal(size=20), 30)
        kinks = np.append(rng.choice(x, 8), offset + rng.normal(size=4))
        right, left = rng.normal(size=(2, 12))
        apart = x[:, None] - kinks  # differences of near numbers are exact
        dense = np.maximum(apart, 0.0) @ right + np.maximum(-apart, 0.0) @ left
        # 42 additions of numbers of order ten; a difference of numbers of order 1e6 would cost 1e-9.
        assert np.max(np.abs(hinge_sum(x, kinks, right, left) - dense)) <= ROUNDING


@every_activation
@pytest.mark.parametrize("m", [0, 1, 40])
def test_order_does_not_change_a_value(activation: Activation, m: int) -> None:
    """Sorted points are found piece by piece, others by search; also at kinks, and with ties among them."""
    rng = np.random.default_rng(m)
    kinks = rng.choice(rng.normal(size=30), m)
    net = KinkNetwork(
        kinks,
        rng.choice([-1.0, 1.0], m),
        rng.normal(size=m),
        np.zeros(m, dtype=bool),
        0.3,
        0.2,
        -0.1,
        activation,
    )
    x = np.sort(np.concatenate([rng.normal(size=100), kinks, kinks]))
    shuffled = rng.permutation(len(x))
    assert net(x)[shuffled].tolist() == net(x[shuffled]).tolist()
    assert net(x).tolist() == net.on_line(x).tolist()


def test_hinge_sum_without_kinks_is_zero() -> None:
    none = np.zeros(0)
    assert hinge_sum(np.array([1.0, 2.0]), none, none, none).tolist() == [0.0, 0.0]


def test_a_far_affine_part_costs_no_accuracy() -> None:
    """The affine part is measured from its origin: an offset of 1e6 leaves values exact to rounding."""
    x = 1e6 + np.array([0.0, 0.5, 3.0])
    net = KinkNetwork(x[:1], np.ones(1), np.array([1 / 3]), np.array([False]), 1e6, 0.25, -1 / 3)
    assert np.max(np.abs(net(x) - 0.25)) <= 1e-15


@pytest.mark.parametrize("d", [1, 2, 3])
def test_half_a_hinge_is_an_absolute_value(d: int) -> None:
    """The map of Theorem 7 changes no value and no derivative, and undoes itself."""
    rng = np.random.default_rng(d)
    points = rng.normal(size=(60, d))
    for _ in range(20):
        net = random_network(rng, "relu", d, 7)
        mapped = net.relu_to_abs()
        assert mapped.activation == "abs"
        assert np.max(np.abs(mapped(points) - net(points))) <= ROUNDING
        assert np.max(np.abs(mapped.divergence(points) - net.divergence(points))) <= ROUNDING
        back = mapped.abs_to_relu()
        assert np.max(np.abs(back.V - net.V)) <= ROUNDING
        assert np.max(np.abs(back.b2 - net.b2)) <= ROUNDING
        for name in ("W1", "b1", "W2", "activation"):
            np.testing.assert_array_equal(getattr(back, name), getattr(net, name))


def test_the_map_keeps_what_happens_at_a_kink() -> None:
    """With numbers that are not rounded one wrong reading of a kink shows in full."""
    rng = np.random.default_rng(11)
    for _ in range(50):
        data = rng.integers(-20, 21, 12) / 4.0
        kinks = kink_networks(rng, "relu", data, exact=True)
        dense = kinks.two_layer()
        for net in (kinks.relu_to_abs(), kinks.relu_to_abs().abs_to_relu()):
            np.testing.assert_array_equal(net(data), kinks(data))
            np.testing.assert_array_equal(net.derivative(data), kinks.derivative(data))
        mapped = dense.relu_to_abs()
        np.testing.assert_array_equal(mapped.divergence(data), kinks.derivative(data))
        assert np.max(np.abs(mapped(data) - kinks(data))) <= ROUNDING * 100  # late biases are not dyadic


def test_the_map_halves_the_total_weight_of_kinks() -> None:
    rng = np.random.default_rng(12)
    for _ in range(20):
        kinks = kink_networks(rng, "relu", rng.normal(size=5), exact=True)
        assert kinks.relu_to_abs().total_weight == kinks.total_weight / 2
        assert kinks.relu_to_abs().abs_to_relu().total_weight == kinks.total_weight


def test_shapes_follow_the_input() -> None:
    net = TwoLayerNetwork.univariate([1.0], [0.0], [1.0])
    assert net([1, 2, 3]).tolist() == [1.0, 2.0, 3.0]
    assert net([[1], [2]]).tolist() == [[1.0], [2.0]]
    assert net.divergence([[1], [2]]).shape == (2,)
    plane = random_network(np.random.default_rng(0), "abs", 2, 3)
    assert plane(np.zeros((5, 2))).shape == (5, 2)
    assert (plane.width, plane.dimension) == (3, 2)


def test_a_network_keeps_its_own_copy() -> None:
    weights: FloatArray = np.array([1.0])
    kinks = KinkNetwork(np.array([0.0]), np.array([1.0]), weights, np.array([False]))
    dense = TwoLayerNetwork.univariate(weights, weights, weights)
    weights[0] = 7.0
    assert kinks.weights.tolist() == [1.0]
    assert (dense.W1.tolist(), dense.b1.tolist(), dense.W2.tolist()) == ([[1.0]], [1.0], [[1.0]])


@every_activation
def test_many_sorted_points_and_few_kinks_at_them(activation: Activation) -> None:
    """At a kink the derivative depends on ``beyond``, however many points there are."""
    x = np.arange(20.0)
    network = KinkNetwork(
        np.array([3.0, 3.0, 8.0, 11.5]),
        np.array([1.0, -1.0, 1.0, -1.0]),
        np.array([1.0, 2.0, 4.0, 8.0]),
        np.array([False, True, True, False]),
        activation=activation,
    )
    one_by_one = np.array([network.derivative(x[i : i + 1])[0] for i in range(len(x))])
    np.testing.assert_array_equal(network.derivative(x), one_by_one)


# --- As a module of PyTorch ------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_a_module_of_pytorch_is_the_same_function(activation: Activation) -> None:
    rng = np.random.default_rng(0)
    one = TwoLayerNetwork.univariate(*rng.normal(size=(3, 7)), b0=0.3, v=-0.5, activation=activation)
    parts = [rng.normal(size=shape) for shape in ((7, 2), (7,), (2, 7), (2,), (2, 2))]
    plane = TwoLayerNetwork(*parts, activation)
    for network, shapes in ((one, [(), (5,), (5, 1), (4, 3)]), (plane, [(5, 2), (3, 4, 2)])):
        module = network.to_torch()
        for shape in shapes:
            x = rng.normal(size=shape)
            flat = x.reshape(-1) if network.dimension == 1 else x.reshape(-1, 2)
            got = module(torch.tensor(x)).detach().numpy()
            assert got.shape == shape
            assert np.max(np.abs(got - network(flat).reshape(shape))) <= 1e-13  # a sum of seven terms


def test_a_module_of_pytorch_can_do_what_modules_can() -> None:
    network = TwoLayerNetwork.univariate([2.0, -1.0], [-2.0, 0.0], [1.0, 3.0], b0=0.5, v=0.25)
    module = network.to_torch(dtype=torch.float32)
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}
    twin = pickle.loads(pickle.dumps(module))
    other = TwoLayerNetwork.univariate([0.0, 0.0], [0.0, 0.0], [0.0, 0.0]).to_torch(dtype=torch.float32)
    other.load_state_dict(module.state_dict())
    x = torch.tensor([-1.0, 0.5, 3.0], requires_grad=True)
    assert twin(x).tolist() == other(x).tolist() == module(x).tolist()
    (slope,) = torch.autograd.grad(module(x).sum(), x)
    assert slope.tolist() == [-2.75, 0.25, 2.25]
    module(x).sum().backward()
    assert module.hidden.weight.grad is not None
    with torch.no_grad():
        module.output.bias.fill_(9.0)
    assert network.b2.tolist() == [0.5]  # its parameters are its own
