r"""The non-convex baseline: the same networks trained by Adam, in PyTorch, several trials at once.

This is the standing falsifier.  Whatever Adam finds is a network, so its loss, recomputed by
`convexdiff_lib.objectives`, may never be below a certified optimum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import ArrayLike

from .._optional import needed
from .._progress import Bar
from .._results import result
from .._validation import (
    Activation,
    FloatArray,
    as_activation,
    as_count,
    as_flag,
    as_matrix,
    as_not_negative,
    as_positive,
    as_sample,
    as_weight_decay,
)
from ..networks import TwoLayerNetwork
from ..objectives import denoising_loss, score_matching_loss

with needed("PyTorch", '"convexdiff-lib[torch]"'):
    import torch

__all__ = ["AdamRuns", "train_denoising", "train_multivariate", "train_score_matching"]


@result
class AdamRuns:
    """Several training runs of one network class on one data set.

    Parameters
    ----------
    history : array of shape (n_epochs, n_trials)
        Training loss of every trial before every step.
    networks : tuple of TwoLayerNetwork
        The best network that each trial met on its way.
    last : tuple of TwoLayerNetwork
        The network of each trial after its last step.
    losses : array of shape (n_trials,)
        The losses of ``networks``, recomputed in double precision by `convexdiff_lib.objectives`.

    Examples
    --------
    >>> import torch
    >>> g = torch.Generator().manual_seed(0)
    >>> train_score_matching([-1.0, 1.0], beta=1.0, width=4, n_trials=2, n_epochs=3, generator=g).losses.shape
    (2,)
    """

    history: FloatArray
    networks: tuple[TwoLayerNetwork, ...]
    last: tuple[TwoLayerNetwork, ...]
    losses: FloatArray


def train_score_matching(
    x: ArrayLike,
    beta: float,
    *,
    activation: Activation = "relu",
    skip: bool = False,
    width: int = 100,
    n_trials: int = 10,
    n_epochs: int = 500,
    learning_rate: float = 1e-2,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> AdamRuns:
    r"""Train by full-batch Adam on the score-matching loss (2), from random starts.

    The defaults are the paper's: step size 1e-2, 500 epochs, ten trials.  The derivative of the network with
    respect to its input is written out; its indicator has zero gradient, as it has in any framework.

    Parameters
    ----------
    x : array of shape (n,)
    beta : float
    activation : {"relu", "abs"}
    skip : bool
    width, n_trials, n_epochs : int
        At least 1 each.
    learning_rate : float
    generator : torch.Generator
        Source of the random starts, on the CPU, so that they are the same on every device.
    device : torch.device or str
        Where to train; "cuda" for a GPU.
    progress : bool
        Whether to show a bar that counts epochs.

    Returns
    -------
    AdamRuns

    Raises
    ------
    ValueError
        If the data are malformed, a count is below 1 or the learning rate is not positive.
    TypeError
        If generator is not a PyTorch generator.

    Examples
    --------
    >>> import torch
    >>> from convexdiff_lib import score_matching
    >>> x, g = [-2.0, -1.0, 0.5, 2.0], torch.Generator().manual_seed(0)
    >>> runs = train_score_matching(x, beta=1.5, width=8, n_trials=3, n_epochs=20, generator=g)
    >>> bool(runs.losses.min() >= score_matching(x, beta=1.5).certificate.dual)
    True
    """
    sample, decay = as_sample(x), as_weight_decay(beta)
    return _train(
        lambda net: score_matching_loss(net, sample, decay),
        sample,
        None,
        decay,
        activation=activation,
        skip=skip,
        width=width,
        n_trials=n_trials,
        n_epochs=n_epochs,
        learning_rate=learning_rate,
        generator=generator,
        device=device,
        bar=Bar(progress, "train_score_matching", "epoch", n_epochs),
    )


def train_denoising(
    x_noisy: ArrayLike,
    targets: ArrayLike,
    beta: float,
    *,
    activation: Activation = "relu",
    skip: bool = False,
    width: int = 100,
    n_trials: int = 10,
    n_epochs: int = 200,
    learning_rate: float = 1e-2,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> AdamRuns:
    r"""Train by full-batch Adam on the denoising loss (27), from random starts.

    The defaults are the paper's: step size 1e-2, 200 epochs, ten trials.

    Parameters
    ----------
    x_noisy, targets : arrays of shape (n,)
        As `convexdiff_lib.datasets.perturb` returns them.
    beta : float
    activation : {"relu", "abs"}
    skip : bool
    width, n_trials, n_epochs : int
        At least 1 each.
    learning_rate : float
    generator : torch.Generator
        Source of the random starts, on the CPU, so that they are the same on every device.
    device : torch.device or str
        Where to train; "cuda" for a GPU.
    progress : bool
        Whether to show a bar that counts epochs.

    Returns
    -------
    AdamRuns

    Raises
    ------
    ValueError
        If the data are malformed or differ in length, a count is below 1 or the learning rate is not
        positive.
    TypeError
        If generator is not a PyTorch generator.

    Examples
    --------
    With so much weight decay the optimum is the constant 0, of loss 1.

    >>> import torch
    >>> x, targets, g = [-1.0, 1.0], [1.0, -1.0], torch.Generator().manual_seed(0)
    >>> runs = train_denoising(x, targets, beta=5.0, width=8, n_trials=3, n_epochs=20, generator=g)
    >>> bool(runs.losses.min() >= 1.0)
    True
    """
    sample, labels = as_sample(x_noisy, "x_noisy"), as_sample(targets, "targets")
    decay = as_weight_decay(beta)
    if sample.shape != labels.shape:
        raise ValueError(f"x_noisy and targets must have one shape; got {sample.shape} and {labels.shape}")
    return _train(
        lambda net: denoising_loss(net, sample, labels, decay),
        sample,
        labels,
        decay,
        activation=activation,
        skip=skip,
        width=width,
        n_trials=n_trials,
        n_epochs=n_epochs,
        learning_rate=learning_rate,
        generator=generator,
        device=device,
        bar=Bar(progress, "train_denoising", "epoch", n_epochs),
    )


def _train(
    loss_of: Callable[[TwoLayerNetwork], float],
    sample: FloatArray,
    labels: FloatArray | None,
    decay: float,
    *,
    activation: Activation,
    skip: bool,
    width: int,
    n_trials: int,
    n_epochs: int,
    learning_rate: float,
    generator: torch.Generator,
    device: torch.device | str,
    bar: Bar,
) -> AdamRuns:
    """Check the options, run Adam on `_losses`, and judge the best networks by ``loss_of``."""
    as_flag(skip, "skip")
    _check_options(activation, learning_rate, generator, width=width, n_trials=n_trials, n_epochs=n_epochs)
    data = torch.as_tensor(sample, device=device)
    targets = None if labels is None else torch.as_tensor(labels, device=device)
    parameters = [_on(device, part) for part in _random_start(n_trials, width, skip, generator)]
    with bar:
        history, best = _adam(
            parameters,
            lambda: _losses(parameters, data, decay, activation, targets),
            bar.over(range(n_epochs)),
            learning_rate,
        )
    networks = _as_networks(best, activation)
    last = _as_networks(parameters, activation)
    return AdamRuns(history, networks, last, np.array([loss_of(net) for net in networks]))


def _check_options(
    activation: Activation, learning_rate: float, generator: torch.Generator, **counts: int
) -> None:
    as_activation(activation)
    as_positive(learning_rate, "learning_rate")
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator must be a torch.Generator; got {generator!r:.80}")
    for name, count in counts.items():
        as_count(count, name, minimum=1)


def _adam(
    parameters: list[torch.Tensor],
    losses_now: Callable[[], torch.Tensor],
    epochs: Iterable[int],
    learning_rate: float,
) -> tuple[FloatArray, list[torch.Tensor]]:
    """Return the losses before every step, and the best parameters that each trial met."""
    device = parameters[0].device
    optimiser = torch.optim.Adam([p for p in parameters if p.requires_grad], lr=learning_rate)
    best = [p.detach().clone() for p in parameters]
    n_trials = len(best[0])
    history: list[FloatArray] = []
    lowest = torch.full((n_trials,), torch.inf, dtype=torch.float64, device=device)
    for _ in epochs:
        losses = losses_now()
        history.append(_as_array(losses))
        better = losses.detach() < lowest
        lowest = torch.where(better, losses.detach(), lowest)
        for kept, current in zip(best, parameters, strict=True):
            kept[better] = current.detach()[better]
        optimiser.zero_grad()
        losses.sum().backward()
        optimiser.step()
    return np.array(history), best


def _refined(
    parameters: list[torch.Tensor],
    best: list[torch.Tensor],
    losses_now: Callable[[], torch.Tensor],
    n_steps: int,
) -> list[torch.Tensor]:
    """Run L-BFGS on all trials together, from the best parameters; return those that are better still."""
    with torch.no_grad():
        for current, kept in zip(parameters, best, strict=True):
            current.copy_(kept)
        before = losses_now()
    optimiser = torch.optim.LBFGS(
        [p for p in parameters if p.requires_grad], max_iter=n_steps, line_search_fn="strong_wolfe"
    )

    def total() -> torch.Tensor:
        optimiser.zero_grad()
        loss = losses_now().sum()
        loss.backward()
        return loss

    optimiser.step(total)
    with torch.no_grad():
        better = losses_now() < before
    return [
        torch.where(better.view(-1, *[1] * (kept.ndim - 1)), current.detach(), kept)
        for current, kept in zip(parameters, best, strict=True)
    ]


def _on(device: torch.device | str, parameter: torch.Tensor) -> torch.Tensor:
    """The parameter on a device, a leaf there."""
    return parameter.detach().to(device).requires_grad_(parameter.requires_grad)


def _as_array(parameter: torch.Tensor) -> FloatArray:
    return parameter.detach().cpu().numpy()


def _random_start(n_trials: int, width: int, skip: bool, generator: torch.Generator) -> list[torch.Tensor]:
    """Parameters (w, b, alpha, b0, v) of every trial; PyTorch's own scale for layers of this size."""

    def uniform(size: int, bound: float) -> torch.Tensor:
        draw = torch.rand((n_trials, size), generator=generator, dtype=torch.float64)
        return ((2 * draw - 1) * bound).requires_grad_()

    inner = 1 / np.sqrt(width)
    v = uniform(1, 1.0) if skip else torch.zeros((n_trials, 1), dtype=torch.float64)
    return [uniform(width, 1.0), uniform(width, 1.0), uniform(width, inner), uniform(1, inner), v]


def _losses(
    parameters: list[torch.Tensor],
    data: torch.Tensor,
    beta: float,
    activation: Activation,
    targets: torch.Tensor | None = None,
) -> torch.Tensor:
    """Training loss of every trial, shape (n_trials,): denoising where there are targets."""
    w, b, alpha, b0, v = parameters
    pre = data[None, :, None] * w[:, None, :] + b[:, None, :]
    value = pre.clamp(min=0) if activation == "relu" else pre.abs()
    score = torch.einsum("tnm,tm->tn", value, alpha) + v * data + b0
    decay = 0.5 * beta * (w**2 + alpha**2).sum(dim=1)
    if targets is not None:
        return (0.5 * (score - targets) ** 2).sum(dim=1) + decay
    slope = (pre >= 0).to(pre.dtype) if activation == "relu" else torch.where(pre >= 0, 1.0, -1.0)
    divergence = torch.einsum("tnm,tm->tn", slope.to(pre.dtype), w * alpha) + v
    return (0.5 * score**2 + divergence).sum(dim=1) + decay


def _as_networks(parameters: list[torch.Tensor], activation: Activation) -> tuple[TwoLayerNetwork, ...]:
    """One network per trial."""
    return tuple(
        TwoLayerNetwork.univariate(w, b, alpha, float(b0[0]), float(v[0]), activation=activation)
        for w, b, alpha, b0, v in zip(*map(_as_array, parameters), strict=True)
    )


def train_multivariate(
    X: ArrayLike,
    targets: ArrayLike | None,
    beta: float,
    *,
    activation: Activation = "relu",
    biases: bool = False,
    width: int = 50,
    n_trials: int = 10,
    n_epochs: int = 500,
    learning_rate: float = 1e-2,
    refine: int = 0,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> AdamRuns:
    r"""Train networks in any dimension by full-batch Adam, from random starts.

    .. math:: s(x) = \sum_j \alpha_j\, \sigma(u_j^\top x + b_j) + c

    Parameters
    ----------
    X : array of shape (n, d)
    targets : array of shape (n, d), or None
        None for score matching.
    beta : float
        Weight decay, at least 0.
    activation : {"relu", "abs"}
    biases : bool
        Whether there are biases b and c; weight decay does not count them.
    width, n_trials, n_epochs : int
        At least 1 each.
    learning_rate : float
    refine : int
        Iterations of L-BFGS after Adam, from the best networks it met; at least 0.
    generator : torch.Generator
        Source of the random starts, on the CPU, so that they are the same on every device.
    device : torch.device or str
        Where to train; "cuda" for a GPU.
    progress : bool
        Whether to show a bar that counts epochs.

    Returns
    -------
    AdamRuns

    Raises
    ------
    ValueError
        If the data are malformed or differ in shape, a count is too small or the learning rate
        is not positive.
    TypeError
        If generator is not a PyTorch generator.

    Examples
    --------
    >>> import torch
    >>> X, g = [[1.0, 0.0], [0.0, 1.0], [-1.0, 2.0]], torch.Generator().manual_seed(0)
    >>> train_multivariate(X, None, 2.0, width=4, n_trials=2, n_epochs=3, generator=g).losses.shape
    (2,)
    """
    points, decay = as_matrix(X, "X"), as_not_negative(beta, "beta")
    labels = None if targets is None else as_matrix(targets, "targets")
    if labels is not None and labels.shape != points.shape:
        raise ValueError(f"X and targets must have one shape; got {points.shape} and {labels.shape}")
    as_flag(biases, "biases")
    _check_options(activation, learning_rate, generator, width=width, n_trials=n_trials, n_epochs=n_epochs)
    more = as_count(refine, "refine")
    bar = Bar(progress, "train_multivariate", "epoch", n_epochs)
    data, d = torch.as_tensor(points, device=device), points.shape[1]
    goal = None if labels is None else torch.as_tensor(labels, device=device)
    outer, inner = 1 / np.sqrt(d), 1 / np.sqrt(width)

    def start(bound: float, *shape: int, trained: bool = True) -> torch.Tensor:
        if not trained:
            return torch.zeros((n_trials, *shape), dtype=torch.float64, device=device)
        draw = torch.rand((n_trials, *shape), generator=generator, dtype=torch.float64)
        return _on(device, ((2 * draw - 1) * bound).requires_grad_())

    parameters = [start(outer, width, d), start(inner, width, d)]
    parameters += [start(outer, width, trained=biases), start(inner, d, trained=biases)]

    def losses_now() -> torch.Tensor:
        u, alpha, b, c = parameters
        pre = torch.einsum("nd,tmd->tnm", data, u) + b[:, None, :]
        value = pre.clamp(min=0) if activation == "relu" else pre.abs()
        fitted = value @ alpha + c[:, None, :]
        cost = 0.5 * decay * (u**2 + alpha**2).sum(dim=(1, 2))
        if goal is not None:
            return (0.5 * (fitted - goal) ** 2).sum(dim=(1, 2)) + cost
        slope = (pre >= 0).to(pre.dtype) if activation == "relu" else torch.where(pre >= 0, 1.0, -1.0)
        divergence = torch.einsum("tnm,tm->t", slope.to(pre.dtype), (u * alpha).sum(dim=2))
        return (0.5 * fitted**2).sum(dim=(1, 2)) + divergence + cost

    with bar:
        history, best = _adam(parameters, losses_now, bar.over(range(n_epochs)), learning_rate)
    if more:
        best = _refined(parameters, best, losses_now, more)

    def networks_of(found: list[torch.Tensor]) -> tuple[TwoLayerNetwork, ...]:
        return tuple(
            TwoLayerNetwork(u, b, alpha.T, c, np.zeros((d, d)), activation)
            for u, alpha, b, c in zip(*map(_as_array, found), strict=True)
        )

    def loss_of(net: TwoLayerNetwork) -> float:
        if labels is None:
            return score_matching_loss(net, points, decay)
        return denoising_loss(net, points, labels, decay)

    networks, last = networks_of(best), networks_of(parameters)
    return AdamRuns(history, networks, last, np.array([loss_of(net) for net in networks]))
