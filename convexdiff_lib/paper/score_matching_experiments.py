r"""The paper's score-matching experiments, at its own settings (H.1; Figures 2 and 4, older 3 to 10).

Data, weight decay, ten runs of Adam, the certified optimum, 100 000 Langevin chains, and the exact law of a
chain: one function runs one experiment, vectorised, in a few seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._optional import needed
from .._results import result
from .._validation import Activation, FloatArray
from ..datasets import GaussianMixture, Uniform, paper_mixture, standard_normal
from ..line.training import score_matching
from ..line.univariate_score import UnivariateScore
from ..sampling.exact_law import propagate
from ..sampling.grid_law import GridLaw
from ..sampling.langevin import langevin_dynamics
from .nonconvex import AdamRuns, train_score_matching
from .univariate_programs import score_matching_program

with needed("PyTorch", '"convexdiff-lib[torch]"'):
    import torch

__all__ = ["SETTINGS", "Experiment", "Setting", "largest_b", "run_experiment"]

_NODES = np.linspace(-250.0, 250.0, 2501)
_STEPS = 500
_STEP_SIZE = 0.5  # "epsilon = 1", read as steps of (epsilon / 2, sqrt(epsilon))
_LARGE = 1e4  # any weight decay: b does not depend on it


@result
class Setting:
    r"""One experiment of the paper.

    Parameters
    ----------
    law : GaussianMixture or Uniform
        What the data are drawn from.
    n : int
    activation : {"relu", "abs"}
    skip : bool
    beta : float or None
        Weight decay; None for the printed rule, :math:`\|b\|_\infty - 1` without and
        :math:`\|b\|_\infty + 1` with skip connection.

    Examples
    --------
    >>> SETTINGS["mixture, ReLU"].beta
    20.0
    """

    law: GaussianMixture | Uniform
    n: int
    activation: Activation
    skip: bool
    beta: float | None = None


SETTINGS: dict[str, Setting] = {
    "Gaussian, ReLU": Setting(standard_normal(), 500, "relu", False),
    "mixture, ReLU": Setting(paper_mixture(), 1000, "relu", False, 20.0),
    "uniform, ReLU": Setting(Uniform(), 500, "relu", False),
    "Gaussian, absolute value": Setting(standard_normal(), 500, "abs", False),
    "Gaussian, ReLU, skip": Setting(standard_normal(), 500, "relu", True),
    "Gaussian, absolute value, skip": Setting(standard_normal(), 500, "abs", True),
}


@result
class Experiment:
    """What came out of one experiment.

    Parameters
    ----------
    setting : Setting
    x : array of shape (n,)
        The data.
    beta : float
    fit : UnivariateScore
        The certified optimum.
    runs : AdamRuns
    chains : array of shape (n_chains,)
        The last iterates of Langevin dynamics with the fitted score.
    law : GridLaw
        The exact law of a last iterate.
    truth : GridLaw
        The law of the data, on the same grid.

    Examples
    --------
    >>> done = run_experiment("Gaussian, ReLU, skip", n_chains=100, n_epochs=2)
    >>> done.x.shape, done.chains.shape
    ((500,), (100,))
    """

    setting: Setting
    x: FloatArray
    beta: float
    fit: UnivariateScore
    runs: AdamRuns
    chains: FloatArray
    law: GridLaw
    truth: GridLaw

    @property
    def excess(self) -> FloatArray:
        """How far the lowest losses that Adam met are above the optimum, as a share of what that saves."""
        return (self.runs.losses - self.fit.value) / abs(self.fit.value)

    @property
    def sampler_error(self) -> float:
        """Largest distance of the distribution function of the chains from that of the exact law."""
        return self.law.distance_to(self.chains)

    @property
    def spread(self) -> float:
        """Standard deviation of the exact law over that of the data."""
        return self.law.std / float(self.x.std())


def largest_b(x: FloatArray, activation: Activation, skip: bool) -> float:
    r"""Return :math:`\|b\|_\infty` of the paper's program.

    Examples
    --------
    >>> largest_b(np.array([-1.0, 0.0, 1.0]), "relu", False)
    3.0
    """
    return float(np.abs(score_matching_program(x, _LARGE, activation=activation, skip=skip).b).max())


def run_experiment(
    name: str,
    *,
    n_chains: int = 100_000,
    n_epochs: int = 500,
    width: int = 100,
    seed: int = 0,
    step_size: float = _STEP_SIZE,
    progress: bool = False,
) -> Experiment:
    """Run one experiment of ``SETTINGS``.

    Parameters
    ----------
    name : str
        A key of ``SETTINGS``.
    n_chains, n_epochs : int
        The paper's numbers by default.
    width : int
        Of the networks that Adam trains.  Not given in the paper.
    seed : int
        Of the data, the chains and the starts of Adam.
    step_size : float
        Of Langevin dynamics.
    progress : bool
        Whether to show bars, one after the other: of Adam, of the chains, of their exact law.

    Returns
    -------
    Experiment

    Raises
    ------
    ValueError
        If there is no such experiment, or a number is out of range.

    Examples
    --------
    >>> run_experiment("uniform, ReLU", n_chains=10, n_epochs=1).beta
    499.0
    """
    if name not in SETTINGS:
        raise ValueError(f"name must be one of {', '.join(map(repr, SETTINGS))}; got {name!r}")
    setting = SETTINGS[name]
    draw, noise = np.random.default_rng(seed).spawn(2)
    x = setting.law.sample(setting.n, draw)
    kind: dict[str, Any] = {"activation": setting.activation, "skip": setting.skip}
    beta = setting.beta
    if beta is None:
        beta = largest_b(x, setting.activation, setting.skip) + (1.0 if setting.skip else -1.0)
    fit = score_matching(x, beta, **kind)
    starts = torch.Generator().manual_seed(seed)
    runs = train_score_matching(
        x, beta, width=width, n_epochs=n_epochs, generator=starts, progress=progress, **kind
    )
    steps: dict[str, Any] = {"step_size": step_size, "n_steps": _STEPS, "progress": progress}
    chains = langevin_dynamics(fit, noise.uniform(-10, 10, n_chains), rng=noise, **steps)
    begin = GridLaw.uniform(-10.0, 10.0, nodes=_NODES)
    log_density: Callable[[FloatArray], FloatArray] = setting.law.log_density
    if isinstance(setting.law, Uniform):
        truth = GridLaw.uniform(0.0, 1.0, nodes=_NODES)
    else:
        truth = GridLaw.from_log_density(log_density, nodes=_NODES)
    return Experiment(setting, x, beta, fit, runs, chains, propagate(begin, fit, **steps), truth)
