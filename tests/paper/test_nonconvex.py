"""The standing falsifier: what Adam finds is a network, so it is never below the certified bound."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from strategies import DEVICES, every_network, threshold

from convexdiff_lib import denoising_loss, score_matching, score_matching_loss
from convexdiff_lib._validation import Activation
from convexdiff_lib.paper.nonconvex import (
    AdamRuns,
    _losses,
    _Parameters,
    train_denoising,
    train_multivariate,
    train_score_matching,
)
from convexdiff_lib.space.wedge import wedge_denoising


def runs(
    activation: Activation, skip: bool, seed: int = 0, **options: float
) -> tuple[np.ndarray, float, AdamRuns]:
    x = np.random.default_rng(seed).normal(size=10)
    beta = threshold(x, activation, skip) + 0.5 * seed
    settings = {"width": 12, "n_trials": 4, "n_epochs": 150, "learning_rate": 3e-2} | options
    trained = train_score_matching(
        x,
        beta,
        activation=activation,
        skip=skip,
        generator=torch.Generator().manual_seed(seed),
        **settings,  # type: ignore[arg-type]
    )
    return x, beta, trained


def column(entries: list[float]) -> torch.Tensor:
    return torch.tensor(entries, dtype=torch.float64)[:, None]


def one_trial(*univariate: torch.Tensor) -> _Parameters:
    """A network on the line, given as (w, b, alpha, b0, v)."""
    w, b, alpha, b0, v = (part.reshape(-1) for part in univariate)
    return _Parameters(w[None, :, None], alpha[None, :, None], b[None], b0[None], v[None, :, None])


@every_network
@pytest.mark.parametrize("seed", range(3))
def test_training_is_never_below_the_bound(activation: Activation, skip: bool, seed: int) -> None:
    x, beta, trained = runs(activation, skip, seed)
    fit = score_matching(x, beta, activation=activation, skip=skip)
    # What a certificate forgives, 1e-9 n in the constraints, times the weights of the network.
    heaviest = max(net.squared_norm for net in trained.networks)
    assert trained.losses.min() >= fit.certificate.dual - 1e-9 * len(x) * (1 + heaviest)
    assert trained.losses.min() <= trained.history[0].min() - 0.1  # it did train
    for net, loss in zip(trained.networks, trained.losses, strict=True):
        assert score_matching_loss(net, x, beta) == loss
        assert (net.activation, net.width) == (activation, 12)
        assert (net.V[0, 0] != 0) == skip


@every_network
def test_losses_are_the_minima_of_the_history(activation: Activation, skip: bool) -> None:
    _, _, trained = runs(activation, skip)
    assert trained.history.shape == (150, 4)
    assert np.isfinite(trained.history).all()
    assert (len(trained.networks), trained.losses.shape) == (4, (4,))
    # The same sums in another order.
    assert np.max(np.abs(trained.losses - trained.history.min(axis=0))) <= 1e-9 * np.abs(trained.losses).max()


@every_network
def test_the_last_network_is_that_of_the_next_epoch(activation: Activation, skip: bool) -> None:
    """The history holds the loss before every step, so one more epoch shows where the last step led."""
    x, beta, trained = runs(activation, skip, learning_rate=0.5)
    _, _, longer = runs(activation, skip, learning_rate=0.5, n_epochs=151)
    last = np.array([score_matching_loss(net, x, beta) for net in trained.last])
    # The same sums in another order.
    assert np.max(np.abs(last - longer.history[-1])) <= 1e-9 * np.abs(last).max()


def test_a_minimum_in_the_middle_is_kept() -> None:
    """With too long a step the loss goes up and down; the best epoch counts, not the last."""
    _, _, trained = runs("relu", False, learning_rate=0.5)
    assert (trained.history.argmin(axis=0) < 149).any()
    assert np.max(np.abs(trained.losses - trained.history.min(axis=0))) <= 1e-9 * np.abs(trained.losses).max()


def test_one_epoch_judges_the_start() -> None:
    _, _, trained = runs("abs", True, n_epochs=1)
    assert np.max(np.abs(trained.losses - trained.history[0])) <= 1e-12 * np.abs(trained.losses).max()


def test_the_generator_is_the_only_randomness() -> None:
    torch.manual_seed(1)
    first = runs("relu", True)[2]
    torch.manual_seed(2)
    again, other = runs("relu", True)[2], runs("relu", True, seed=1)[2]
    np.testing.assert_array_equal(first.history, again.history)
    np.testing.assert_array_equal(first.losses, again.losses)
    assert (first.history != other.history).all()


def test_trials_are_independent() -> None:
    """More trials leave the loss of each what it is for its start: no trial sees another."""
    trained = runs("relu", False)[2]
    assert len(np.unique(trained.history[0])) == 4


@every_network
@pytest.mark.parametrize("denoising", [False, True])
def test_gradients_are_those_of_the_loss(activation: Activation, skip: bool, denoising: bool) -> None:
    """Autograd against central differences, away from kinks, where the loss is smooth."""
    generator = torch.Generator().manual_seed(0)
    m, beta, h = 5, 1.7, 1e-6
    x = column([-1.3, -0.2, 0.4, 0.9, 2.0])
    labels = column([1.0, -2.0, 0.3, 0.0, 4.0]) if denoising else None
    w, b, alpha, c, v = (torch.randn(k, generator=generator, dtype=torch.float64) for k in (m, m, m, 1, 1))
    parameters = one_trial(w, b, alpha, c, v)
    assert float((x * w + b).abs().min()) >= 100 * h
    moving = parameters if skip else parameters[:4]
    for p in moving:
        p.requires_grad_()
    _losses(parameters, x, labels, beta, activation).sum().backward()
    for p in moving:
        assert p.grad is not None
        flat = p.detach().view(-1)  # the parameter's own memory
        for i in range(len(flat)):
            values = []
            for step in (h, -h):
                flat[i] += step
                values.append(float(_losses(parameters, x, labels, beta, activation).detach()))
                flat[i] -= step
            numeric = (values[0] - values[1]) / (2 * h)
            # The loss is a quartic: h^2 times its third derivative, and a cancellation of 1e-16 / h.
            assert abs(float(p.grad.view(-1)[i]) - numeric) <= 1e-7


@every_network
def test_losses_in_torch_are_the_losses(activation: Activation, skip: bool) -> None:
    """Also at a kink: relu'(0) = 1 and sign(0) = +1."""
    from convexdiff_lib import TwoLayerNetwork

    data = [-1.0, 0.5, 0.5, 3.0]
    w, b, alpha, b0, v = [2.0, -2.0, 1.0], [-1.0, 1.0, 0.3], [0.7, -1.0, 2.0], 0.25, -0.5 if skip else 0.0
    parameters = one_trial(*map(column, (w, b, alpha, [b0], [v])))
    loss = _losses(parameters, column(data), None, 1.3, activation)
    net = TwoLayerNetwork.univariate(w, b, alpha, b0, v, activation=activation)
    assert abs(float(loss) - score_matching_loss(net, data, 1.3)) <= 1e-12
    targets = [0.5, -1.0, 2.0, 7.0]
    denoising = _losses(parameters, column(data), column(targets), 1.3, activation)
    assert abs(float(denoising) - denoising_loss(net, data, targets, 1.3)) <= 1e-12


@every_network
def test_denoising_runs_keep_the_best_network_of_each_trial(activation: Activation, skip: bool) -> None:
    rng = np.random.default_rng(0)
    x, targets = rng.normal(size=10), rng.normal(size=10)
    trained = train_denoising(
        x,
        targets,
        0.3,
        activation=activation,
        skip=skip,
        width=12,
        n_trials=4,
        n_epochs=150,
        learning_rate=3e-2,
        generator=torch.Generator().manual_seed(0),
    )
    assert trained.history.shape == (150, 4)
    # The same sums in another order.
    assert np.max(np.abs(trained.losses - trained.history.min(axis=0))) <= 1e-9 * trained.losses.max()
    assert trained.losses.min() <= trained.history[0].min() - 0.1  # it did train
    for net, loss in zip(trained.networks, trained.losses, strict=True):
        assert denoising_loss(net, x, targets, 0.3) == loss
        assert (net.activation, net.width, net.V[0, 0] != 0) == (activation, 12, skip)


def test_biases_in_many_dimensions() -> None:
    """They are trained, not decayed; no run is below the certified optimum; off, they are zero."""
    rng = np.random.default_rng(0)
    X, targets = rng.normal(size=(9, 2)), rng.normal(size=(9, 2)) + 2.0
    best = wedge_denoising(X, targets, 0.3, bias=True, penalise_bias=False, exact=True)
    runs = {}
    for biases in (False, True):
        generator = torch.Generator().manual_seed(0)
        runs[biases] = train_multivariate(
            X, targets, 0.3, biases=biases, width=40, n_trials=3, n_epochs=3000, generator=generator
        )
    generator = torch.Generator().manual_seed(0)
    refined = train_multivariate(
        X, targets, 0.3, biases=True, width=40, n_trials=3, n_epochs=300, refine=500, generator=generator
    )
    assert best.certificate.dual <= 2 * refined.losses.min() <= 1.05 * best.value
    assert (refined.losses <= refined.history.min(axis=0)).all()
    for found in runs.values():  # what was trained is what is returned
        assert np.max(np.abs(found.losses - found.history.min(axis=0))) <= 1e-9 * found.losses.max()
    assert 2 * runs[True].losses.min() >= best.certificate.dual
    assert 2 * runs[True].losses.min() <= 1.05 * best.value  # it comes close
    assert not any(net.b1.any() or net.b2.any() for net in runs[False].networks)
    assert runs[False].losses.min() >= runs[True].losses.min()


@pytest.mark.parametrize("device", DEVICES)
def test_a_device_changes_nothing_but_rounding(device: str) -> None:
    x, rng = np.linspace(-2, 2, 9), np.random.default_rng(0)
    X, L = rng.normal(size=(2, 9, 2))
    for train in (
        lambda **where: train_score_matching(x, 3.0, skip=True, **where),
        lambda **where: train_denoising(x, -x, 3.0, **where),
        lambda **where: train_multivariate(X, L, 3.0, biases=True, **where),
    ):
        size = {"width": 5, "n_trials": 3, "n_epochs": 20}
        here = train(generator=torch.Generator().manual_seed(0), **size)
        there = train(generator=torch.Generator().manual_seed(0), device=device, **size)
        assert np.max(np.abs(there.losses - here.losses)) <= 1e-9  # rounding, over twenty steps
        assert np.max(np.abs(there.history - here.history)) <= 1e-9
