r"""Adam on networks of smooth activations, whose temperature may rise on the way, in PyTorch.

The score-matching loss of a ReLU network has its slope in it, an indicator, whose gradient is zero: Adam does
not see how the slopes at the data change as a kink moves.  Of a smooth activation it does.  What it finds is
judged by `certified_gap`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike

from .._optional import needed
from .._progress import Bar
from .._results import result
from .._validation import (
    FloatArray,
    as_count,
    as_flag,
    as_noisy_sample,
    as_positive,
    as_sample,
    as_weight_decay,
)
from ..line._activations import AnyActivation, as_any_activation
from ..line.smooth import Penalty, SmoothNetwork

with needed("PyTorch", '"convexdiff-lib[torch]"'):
    import torch
    from torch.nn import functional

__all__ = ["SmoothRuns", "train_smooth"]

_HEATING = 0.8  # the share of the epochs in which the temperature rises
_STEADY = 0.6  # and that in which the learning rate stays; in the rest it falls by a factor of a thousand
Curve = Callable[[torch.Tensor], torch.Tensor]


@result
class SmoothRuns:
    """Several training runs of one network class on one data set.

    Parameters
    ----------
    history : array of shape (n_epochs, n_trials)
        Training loss of every trial before every step, at the temperature of that step.
    networks : tuple of SmoothNetwork
        The network of each trial after its last step, at the last temperature.
    losses : array of shape (n_trials,)
        Their losses, recomputed in double precision without PyTorch.
    penalty : {"weight decay", "path norm"}

    Examples
    --------
    >>> import torch
    >>> g = torch.Generator().manual_seed(0)
    >>> train_smooth([-1.0, 1.0], 1.5, width=4, n_trials=2, n_epochs=3, generator=g).losses.shape
    (2,)
    """

    history: FloatArray
    networks: tuple[SmoothNetwork, ...]
    losses: FloatArray
    penalty: Penalty


def train_smooth(
    x: ArrayLike,
    beta: float,
    *,
    targets: ArrayLike | None = None,
    activation: AnyActivation = "softplus",
    temperature: float | tuple[float, float] = 10.0,
    unit_slopes: bool = False,
    width: int = 32,
    n_trials: int = 8,
    n_epochs: int = 4000,
    learning_rate: float = 1e-2,
    generator: torch.Generator,
    progress: bool = False,
) -> SmoothRuns:
    r"""Train by full-batch Adam on score matching, or with targets on denoising, from random starts.

    Parameters
    ----------
    x : array of shape (n,)
    beta : float
        Weight decay on sums.
    targets : array of shape (n,), optional
    activation : {"softplus", "elu", "relu", "abs", "logcosh", "tanh", "gelu", "silu"}
    temperature : float or (float, float)
        With two, it rises from the first to the second, by the same factor in every epoch, for four fifths of
        the epochs.  ReLU and the absolute value do not depend on it.
    unit_slopes : bool
        Whether the first layer has weights 1 and -1 for good; the penalty is then the path norm.
    width, n_trials, n_epochs : int
        At least 1 each.
    learning_rate : float
        At first; in the last two fifths of the epochs it falls by a factor of a thousand.
    generator : torch.Generator
        Source of the random starts.
    progress : bool
        Whether to show a bar that counts epochs.

    Returns
    -------
    SmoothRuns

    Raises
    ------
    ValueError
        If an argument is malformed.
    TypeError
        If generator is not a PyTorch generator.

    Examples
    --------
    >>> import torch
    >>> from convexdiff_lib import certified_gap
    >>> x, g = [-2.0, -1.0, 0.5, 2.0], torch.Generator().manual_seed(0)
    >>> runs = train_smooth(x, 1.5, temperature=(3.0, 300.0), n_trials=2, n_epochs=300, generator=g)
    >>> bool(certified_gap(runs.networks[0], x, 1.5).gap >= 0)
    True
    """
    if targets is None:
        points, labels = as_sample(x), None
    else:
        points, labels = as_noisy_sample(x, targets)
    decay, curves = as_weight_decay(beta), _CURVES[as_any_activation(activation)]
    taus = _temperatures(temperature)
    for name, count in (("width", width), ("n_trials", n_trials), ("n_epochs", n_epochs)):
        as_count(count, name, minimum=1)
    rate, fixed = as_positive(learning_rate, "learning_rate"), as_flag(unit_slopes, "unit_slopes")
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator must be a torch.Generator; got {generator!r:.80}")
    parameters = _start(points, width, n_trials, fixed, generator)
    data = torch.as_tensor(points), None if labels is None else torch.as_tensor(labels)

    def losses_at(tau: float) -> torch.Tensor:
        return _losses(parameters, data, decay, curves, tau, fixed)

    optimiser = torch.optim.Adam([p for p in parameters if p.requires_grad], lr=rate)
    history = []
    with Bar(progress, "train_smooth", "epoch", n_epochs) as bar:
        for tau, share in bar.over(list(_schedule(taus, n_epochs))):
            optimiser.param_groups[0]["lr"] = rate * share
            losses = losses_at(tau)
            history.append(losses.detach().numpy())
            optimiser.zero_grad()
            losses.sum().backward()
            optimiser.step()
    networks = tuple(_networks(parameters, activation, taus[1]))
    penalty: Penalty = "path norm" if fixed else "weight decay"
    final = [net.loss(points, decay, targets=labels, penalty=penalty) for net in networks]
    return SmoothRuns(np.array(history), networks, np.array(final), penalty)


def _temperatures(temperature: float | tuple[float, float]) -> tuple[float, float]:
    pair = temperature if isinstance(temperature, tuple | list) else (temperature, temperature)
    if len(pair) != 2:
        raise ValueError(f"temperature must be one number or two; got {temperature!r:.80}")
    return as_positive(pair[0], "temperature"), as_positive(pair[1], "temperature")


def _schedule(taus: tuple[float, float], n_epochs: int) -> Iterator[tuple[float, float]]:
    """The temperature, and the share of the learning rate, of every epoch."""
    for epoch in range(n_epochs):
        done = epoch / n_epochs
        fall = max(0.0, (done - _STEADY) / (1 - _STEADY))
        yield taus[0] * (taus[1] / taus[0]) ** min(1.0, done / _HEATING), 10 ** (-3 * fall)


def _start(
    points: FloatArray, width: int, n_trials: int, fixed: bool, generator: torch.Generator
) -> tuple[torch.Tensor, ...]:
    """Draw (w, b, alpha, b0) at PyTorch's own scale, or with unit slopes and kinks among the data."""

    def draw(low: float, high: float, *shape: int) -> torch.Tensor:
        numbers = torch.rand((n_trials, *shape), generator=generator, dtype=torch.float64)
        return low + (high - low) * numbers

    inner = 1 / np.sqrt(width)
    w = draw(-1.0, 1.0, width)
    b = draw(-1.0, 1.0, width)
    if fixed:
        w = torch.where(w >= 0, 1.0, -1.0).double()
        b = -w * (points.min() + (b + 1) / 2 * np.ptp(points))
    alpha, b0 = draw(-inner, inner, width), draw(-inner, inner, 1)
    trained = (b, alpha, b0) if fixed else (w, b, alpha, b0)
    for parameter in trained:
        parameter.requires_grad_()
    return w, b, alpha, b0


def _losses(
    parameters: tuple[torch.Tensor, ...],
    data: tuple[torch.Tensor, torch.Tensor | None],
    beta: float,
    curves: tuple[Curve, Curve],
    tau: float,
    fixed: bool,
) -> torch.Tensor:
    """Training loss of every trial, shape (n_trials,)."""
    w, b, alpha, b0 = parameters
    (points, labels), (value, slope) = data, curves
    pre = tau * (points[None, :, None] * w[:, None, :] + b[:, None, :])
    score = torch.einsum("tnm,tm->tn", value(pre), alpha) / tau + b0
    penalty = (w * alpha).abs().sum(1) if fixed else 0.5 * (w**2 + alpha**2).sum(1)
    if labels is not None:
        return 0.5 * ((score - labels) ** 2).sum(1) + beta * penalty
    slopes = torch.einsum("tnm,tm->tn", slope(pre), w * alpha)
    return (0.5 * score**2 + slopes).sum(1) + beta * penalty


def _networks(
    parameters: tuple[torch.Tensor, ...], activation: AnyActivation, tau: float
) -> Iterator[SmoothNetwork]:
    for w, b, alpha, b0 in zip(*(p.detach().numpy() for p in parameters), strict=True):
        yield SmoothNetwork(w, b, alpha, float(b0[0]), 0.0, activation, tau)


def _normal(u: torch.Tensor) -> torch.Tensor:
    return torch.special.ndtr(u)


_CURVES: dict[str, tuple[Curve, Curve]] = {
    "relu": (torch.relu, lambda u: (u >= 0).to(u.dtype)),
    "abs": (torch.abs, lambda u: torch.where(u >= 0, 1.0, -1.0).to(u.dtype)),
    "softplus": (functional.softplus, torch.sigmoid),
    "elu": (functional.elu, lambda u: torch.exp(u.clamp(max=0.0))),
    "logcosh": (lambda u: u + functional.softplus(-2 * u) - np.log(2), torch.tanh),
    "tanh": (torch.tanh, lambda u: 1 - torch.tanh(u) ** 2),
    "gelu": (
        functional.gelu,
        lambda u: _normal(u) + u * torch.exp(-(u**2) / 2) / np.sqrt(2 * np.pi),
    ),
    "silu": (functional.silu, lambda u: torch.sigmoid(u) * (1 + u * torch.sigmoid(-u))),
}
