r"""The non-convex baseline: the same networks trained by Adam, in PyTorch, several trials at once.

This is the standing falsifier.  Whatever Adam finds is a network, so its loss, recomputed by
`convexdiff_lib.objectives`, may never be below a certified optimum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

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
    as_noisy_sample,
    as_not_negative,
    as_positive,
    as_sample,
    as_weight_decay,
    expect_one_shape,
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
    data = _Data(as_sample(x)[:, None], None, as_weight_decay(beta))
    conduct = _Conduct(activation, width, n_trials, n_epochs, learning_rate, generator, device)
    bar = Bar(progress, "train_score_matching", "epoch", n_epochs)
    return _train(data, conduct, _start_on_the_line(conduct, skip), bar)


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
    activation, skip, width, n_trials, n_epochs, learning_rate, generator, device
        As `train_score_matching` takes them.
    progress : bool
        Whether to show a bar that counts epochs.

    Returns
    -------
    AdamRuns

    Raises
    ------
    ValueError, TypeError
        As by `train_score_matching`, or if the data differ in length.

    Examples
    --------
    With so much weight decay the optimum is the constant 0, of loss 1.

    >>> import torch
    >>> x, targets, g = [-1.0, 1.0], [1.0, -1.0], torch.Generator().manual_seed(0)
    >>> runs = train_denoising(x, targets, beta=5.0, width=8, n_trials=3, n_epochs=20, generator=g)
    >>> bool(runs.losses.min() >= 1.0)
    True
    """
    sample, labels = as_noisy_sample(x_noisy, targets)
    data = _Data(sample[:, None], labels[:, None], as_weight_decay(beta))
    conduct = _Conduct(activation, width, n_trials, n_epochs, learning_rate, generator, device)
    bar = Bar(progress, "train_denoising", "epoch", n_epochs)
    return _train(data, conduct, _start_on_the_line(conduct, skip), bar)


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
    biases : bool
        Whether there are biases b and c; weight decay does not count them.
    refine : int
        Iterations of L-BFGS after Adam, from the best networks it met; at least 0.
    activation, width, n_trials, n_epochs, learning_rate, generator, device
        As `train_score_matching` takes them.
    progress : bool
        Whether to show a bar that counts epochs.

    Returns
    -------
    AdamRuns

    Raises
    ------
    ValueError, TypeError
        As by `train_score_matching`, or if the data differ in shape.

    Examples
    --------
    >>> import torch
    >>> X, g = [[1.0, 0.0], [0.0, 1.0], [-1.0, 2.0]], torch.Generator().manual_seed(0)
    >>> train_multivariate(X, None, 2.0, width=4, n_trials=2, n_epochs=3, generator=g).losses.shape
    (2,)
    """
    points, decay = as_matrix(X, "X"), as_not_negative(beta, "beta")
    labels = None if targets is None else as_matrix(targets, "targets")
    if labels is not None:
        expect_one_shape(X=points, targets=labels)
    as_flag(biases, "biases")
    more = as_count(refine, "refine")
    conduct = _Conduct(activation, width, n_trials, n_epochs, learning_rate, generator, device)
    start = _start_in_space(conduct, points.shape[1], biases)
    bar = Bar(progress, "train_multivariate", "epoch", n_epochs)
    return _train(_Data(points, labels, decay), conduct, start, bar, more)


class _Data(NamedTuple):
    """What is trained on: points of shape (n, d), and targets where it is denoising."""

    points: FloatArray
    labels: FloatArray | None
    decay: float

    def loss(self, network: TwoLayerNetwork) -> float:
        """The training loss, in double precision and with no knowledge of PyTorch."""
        if self.labels is None:
            return score_matching_loss(network, self.points, self.decay)
        return denoising_loss(network, self.points, self.labels, self.decay)


@dataclass(frozen=True, eq=False)
class _Conduct:
    """How networks are trained; the options are checked."""

    activation: Activation
    width: int
    n_trials: int
    n_epochs: int
    learning_rate: float
    generator: torch.Generator
    device: torch.device | str

    def __post_init__(self) -> None:
        as_activation(self.activation)
        as_positive(self.learning_rate, "learning_rate")
        if not isinstance(self.generator, torch.Generator):
            raise TypeError(f"generator must be a torch.Generator; got {self.generator!r:.80}")
        for name in ("width", "n_trials", "n_epochs"):
            as_count(getattr(self, name), name, minimum=1)

    def start(self, bound: float, *shape: int, trained: bool = True) -> torch.Tensor:
        """One parameter of every trial: uniform within the bound, or zero for good."""
        size = (self.n_trials, *shape)
        if not trained:
            return torch.zeros(size, dtype=torch.float64, device=self.device)
        draw = torch.rand(size, generator=self.generator, dtype=torch.float64)
        return ((2 * draw - 1) * bound).to(self.device).requires_grad_()


class _Parameters(NamedTuple):
    """Those of every trial."""

    u: torch.Tensor  # (n_trials, width, d)
    alpha: torch.Tensor  # (n_trials, width, d)
    b: torch.Tensor  # (n_trials, width)
    c: torch.Tensor  # (n_trials, d)
    V: torch.Tensor  # (n_trials, d, d)

    def networks(self, activation: Activation) -> tuple[TwoLayerNetwork, ...]:
        """One network per trial."""
        arrays = (part.detach().cpu().numpy() for part in self)
        return tuple(
            TwoLayerNetwork(u, b, alpha.T, c, V, activation)
            for u, alpha, b, c, V in zip(*arrays, strict=True)
        )


def _start_on_the_line(conduct: _Conduct, skip: bool) -> _Parameters:
    """Random networks at PyTorch's own scale for layers of this size."""
    as_flag(skip, "skip")
    start, m, inner = conduct.start, conduct.width, 1 / np.sqrt(conduct.width)
    # The order of the draws: a seed has its starts by it.
    v = start(1.0, 1, 1, trained=skip)
    w, b = start(1.0, m, 1), start(1.0, m)
    alpha, c = start(inner, m, 1), start(inner, 1)
    return _Parameters(w, alpha, b, c, v)


def _start_in_space(conduct: _Conduct, d: int, biases: bool) -> _Parameters:
    """The same in d dimensions, without skip connection."""
    start, m = conduct.start, conduct.width
    outer, inner = 1 / np.sqrt(d), 1 / np.sqrt(m)
    u, alpha = start(outer, m, d), start(inner, m, d)
    b, c = start(outer, m, trained=biases), start(inner, d, trained=biases)
    return _Parameters(u, alpha, b, c, start(0.0, d, d, trained=False))


def _train(data: _Data, conduct: _Conduct, parameters: _Parameters, bar: Bar, refine: int = 0) -> AdamRuns:
    """Run Adam, then L-BFGS if asked to, and judge the best networks by their losses in double precision."""
    points = torch.as_tensor(data.points, device=conduct.device)
    labels = None if data.labels is None else torch.as_tensor(data.labels, device=conduct.device)

    def losses_now() -> torch.Tensor:
        return _losses(parameters, points, labels, data.decay, conduct.activation)

    with bar:
        epochs = bar.over(range(conduct.n_epochs))
        history, best = _adam(parameters, losses_now, epochs, conduct.learning_rate)
    if refine:
        best = _refined(parameters, best, losses_now, refine)
    networks, last = best.networks(conduct.activation), parameters.networks(conduct.activation)
    return AdamRuns(history, networks, last, np.array([data.loss(net) for net in networks]))


def _adam(
    parameters: _Parameters,
    losses_now: Callable[[], torch.Tensor],
    epochs: Iterable[int],
    learning_rate: float,
) -> tuple[FloatArray, _Parameters]:
    """Return the losses before every step, and the best parameters that each trial met."""
    optimiser = torch.optim.Adam([p for p in parameters if p.requires_grad], lr=learning_rate)
    best = _Parameters(*(p.detach().clone() for p in parameters))
    n_trials = len(best.u)
    history: list[FloatArray] = []
    lowest = torch.full((n_trials,), torch.inf, dtype=torch.float64, device=parameters.u.device)
    for _ in epochs:
        losses = losses_now()
        history.append(losses.detach().cpu().numpy())
        better = losses.detach() < lowest
        lowest = torch.where(better, losses.detach(), lowest)
        for kept, current in zip(best, parameters, strict=True):
            kept[better] = current.detach()[better]
        optimiser.zero_grad()
        losses.sum().backward()
        optimiser.step()
    return np.array(history), best


def _refined(
    parameters: _Parameters,
    best: _Parameters,
    losses_now: Callable[[], torch.Tensor],
    n_steps: int,
) -> _Parameters:
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
    return _Parameters(
        *(
            torch.where(better.view(-1, *[1] * (kept.ndim - 1)), current.detach(), kept)
            for current, kept in zip(parameters, best, strict=True)
        )
    )


def _losses(
    parameters: _Parameters,
    points: torch.Tensor,
    labels: torch.Tensor | None,
    beta: float,
    activation: Activation,
) -> torch.Tensor:
    """Training loss of every trial, shape (n_trials,): denoising where there are targets."""
    u, alpha, b, c, V = parameters
    pre = torch.einsum("nd,tmd->tnm", points, u) + b[:, None, :]
    value = pre.clamp(min=0) if activation == "relu" else pre.abs()
    score = value @ alpha + points @ V.mT + c[:, None, :]
    decay = 0.5 * beta * (u**2 + alpha**2).sum(dim=(1, 2))
    if labels is not None:
        return (0.5 * (score - labels) ** 2).sum(dim=(1, 2)) + decay
    slope = (pre >= 0).to(pre.dtype) if activation == "relu" else torch.where(pre >= 0, 1.0, -1.0)
    divergence = torch.einsum("tnm,tm->t", slope.to(pre.dtype), (u * alpha).sum(dim=2))
    divergence = divergence + len(points) * V.diagonal(dim1=1, dim2=2).sum(dim=1)
    return (0.5 * score**2).sum(dim=(1, 2)) + divergence + decay
