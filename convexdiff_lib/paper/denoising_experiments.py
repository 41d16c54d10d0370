"""The paper's univariate denoising experiments, at its own settings (I.2; Figure 5, older 5 and 11 to 13).

Noisy data at every noise level, the certified optimum at each, ten runs of Adam at each, and annealed
Langevin samples from the ten scores together: as chains, and as the exact law of a chain where a grid
resolves it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from scipy.special import ndtr, ndtri

from .._optional import needed
from .._progress import Bar
from .._results import result
from .._validation import Activation, FloatArray, as_count, as_flag, as_generator
from ..datasets import perturb, standard_normal
from ..line.piecewise_linear import PiecewiseLinearScore
from ..line.training import denoising_score_matching
from ..line.univariate_score import UnivariateScore
from ..networks import TwoLayerNetwork
from ..sampling.exact_law import GridTooCoarseError, propagate
from ..sampling.grid_law import GridLaw, wasserstein
from ..sampling.langevin import langevin_dynamics
from .nonconvex import AdamRuns, train_denoising

with needed("PyTorch", '"convexdiff-lib[torch]"'):
    import torch

__all__ = ["AnnealedSamples", "DenoisingSetting", "anneal", "as_piecewise_linear", "paper_sigmas"]

_REACH = 40.0
_NODES = np.linspace(-_REACH, _REACH, 2**17 + 1)
_FAR = 1e100  # where a chain that runs away is stopped, so that what follows stays finite
_Score = Callable[[FloatArray], FloatArray]
_Pair = tuple[FloatArray, FloatArray]


def paper_sigmas() -> FloatArray:
    """Return the ten noise levels of the paper, a uniform grid from 1 to 0.01.

    Examples
    --------
    >>> paper_sigmas().round(2).tolist()
    [1.0, 0.89, 0.78, 0.67, 0.56, 0.45, 0.34, 0.23, 0.12, 0.01]
    """
    return np.linspace(1.0, 0.01, 10)


@result
class DenoisingSetting:
    r"""What the experiment needs to know.  What the paper gives is the default; the rest is our reading.

    Parameters
    ----------
    sigmas : tuple of float
        Noise levels.  The paper's: ten on a uniform grid from 1 to 0.01.
    beta : float
        The paper's: 0.5.
    n_steps_each : int
        Langevin steps at every level.  The paper's: 10.
    n : int
        Number of standard normal points.  Not given; 500 is that of the paper's other experiment.
    step : float
        Not given.  A step is ``step`` times :math:`\sigma^2`, or ``step`` itself if ``constant_step``.
    constant_step : bool
    same_noise : bool
        Whether all levels share one draw of the noise.  Not given.
    printed_sign : bool
        Whether to train on the printed target :math:`+\delta/\sigma`.
    width : int
        Of the networks that Adam trains.  Not given.

    Examples
    --------
    >>> DenoisingSetting().etas[[0, -1]].round(6).tolist()
    [0.2, 2e-05]
    """

    sigmas: tuple[float, ...] = tuple(paper_sigmas().tolist())
    beta: float = 0.5
    n_steps_each: int = 10
    n: int = 500
    step: float = 0.2
    constant_step: bool = False
    same_noise: bool = False
    printed_sign: bool = False
    width: int = 50

    @property
    def etas(self) -> FloatArray:
        """Langevin step of every level."""
        levels = np.asarray(self.sigmas)
        return np.full(len(levels), self.step) if self.constant_step else self.step * levels**2

    def pairs(self, rng: np.random.Generator) -> list[_Pair]:
        """Draw the clean data and return noisy points and targets of every level.

        Examples
        --------
        >>> pairs = DenoisingSetting(n=5).pairs(np.random.default_rng(0))
        >>> len(pairs), pairs[0][0].shape
        (10, (5,))
        """
        clean = standard_normal().sample(self.n, as_generator(rng))
        if self.same_noise:
            noise = rng.normal(size=self.n)
            pairs = [(clean + sigma * noise, -noise / sigma) for sigma in self.sigmas]
        else:
            pairs = [perturb(clean, sigma, rng) for sigma in self.sigmas]
        return [(x, -targets) for x, targets in pairs] if self.printed_sign else pairs

    def fits(
        self,
        pairs: Sequence[_Pair],
        *,
        activation: Activation = "relu",
        skip: bool = False,
        progress: bool = False,
    ) -> list[UnivariateScore]:
        """Return the certified optimum of every level; with ``progress`` a bar counts levels.

        Examples
        --------
        >>> setting = DenoisingSetting(n=20)
        >>> fits = setting.fits(setting.pairs(np.random.default_rng(0)))
        >>> all(fit.certificate.holds for fit in fits)
        True
        """
        with Bar(progress, "fits", "level", len(pairs)) as bar:
            return [
                denoising_score_matching(x, targets, self.beta, activation=activation, skip=skip)
                for x, targets in bar.over(pairs)
            ]

    def trainings(
        self,
        pairs: Sequence[_Pair],
        learning_rate: float,
        *,
        activation: Activation = "relu",
        skip: bool = False,
        n_trials: int = 10,
        n_epochs: int = 200,
        seed: int = 0,
        progress: bool = False,
    ) -> list[AdamRuns]:
        """Train at every level with Adam, all trials of a level at once; the starts come from ``seed``.

        With ``progress`` a bar counts levels.

        Examples
        --------
        >>> setting = DenoisingSetting(n=5, sigmas=(1.0, 0.5))
        >>> pairs = setting.pairs(np.random.default_rng(0))
        >>> [runs.losses.shape for runs in setting.trainings(pairs, 0.01, n_trials=2, n_epochs=3)]
        [(2,), (2,)]
        """
        starts = torch.Generator().manual_seed(seed)
        with Bar(progress, "trainings", "level", len(pairs)) as bar:
            return [
                train_denoising(
                    x,
                    targets,
                    self.beta,
                    activation=activation,
                    skip=skip,
                    width=self.width,
                    n_trials=n_trials,
                    n_epochs=n_epochs,
                    learning_rate=learning_rate,
                    generator=starts,
                )
                for x, targets in bar.over(pairs)
            ]


@result
class AnnealedSamples:
    """Where annealed Langevin dynamics ends, judged against the standard normal law.

    Parameters
    ----------
    chains : array of shape (n_chains,)
        Last points of the chains; plus or minus 1e100 for those that ran away.
    law : GridLaw or None
        The exact law of a last point on [-40, 40]; None where the grid does not resolve a step.

    Examples
    --------
    >>> samples = anneal([np.negative], DenoisingSetting(sigmas=(1.0,)), np.random.default_rng(0), 50)
    >>> samples.chains.shape
    (50,)
    """

    chains: FloatArray
    law: GridLaw | None

    @cached_property
    def exact(self) -> bool:
        """Whether the law is known, which it is if all but a millionth of it is on the grid."""
        return self.law is not None and self.law.lost <= 1e-6

    @cached_property
    def outside(self) -> float:
        """Share that has left [-40, 40], of the exact law where a grid resolves it, else of the chains."""
        return self.law.lost if self.law is not None else float(np.mean(np.abs(self.chains) > _REACH))

    @cached_property
    def distance(self) -> float:
        """First Wasserstein distance to the standard normal law, by how far mass has to move on average.

        Of the exact law if it is known, else of the chains.  Those that have left [-40, 40] count as if they
        were at its edge, so that it is a lower bound, and never above 40.
        """
        if self.law is not None and self.exact:
            return wasserstein(self.law, GridLaw.normal(0.0, 1.0, nodes=self.law.nodes), order=1)
        return self.sampled_distance

    @cached_property
    def sampled_distance(self) -> float:
        """The same distance, of the chains."""
        n, ordered = len(self.chains), np.sort(np.clip(self.chains, -_REACH, _REACH))
        return float(np.mean(np.abs(ordered - ndtri((np.arange(n) + 0.5) / n))))

    @cached_property
    def sampler_error(self) -> float:
        """Largest distance of the distribution function of the chains from that of the exact law, or NaN."""
        if self.law is None or not self.exact:
            return float("nan")
        return self.law.distance_to(self.chains)

    @cached_property
    def largest_gap(self) -> float:
        """Kolmogorov's distance to the standard normal law, the worst error of a probability P(x <= t)."""
        if self.law is not None and self.exact:
            edges = self.law.nodes + self.law.cell / 2
            return float(np.max(np.abs(np.cumsum(self.law.mass) - ndtr(edges))))
        n, below = len(self.chains), ndtr(np.sort(self.chains))
        return float(np.max(np.maximum(np.arange(1, n + 1) / n - below, below - np.arange(n) / n)))

    @cached_property
    def std(self) -> float:
        """Standard deviation, of the exact law if it is known, else of the chains, cut at 40."""
        if self.law is not None and self.exact:
            return self.law.std
        return float(np.clip(self.chains, -_REACH, _REACH).std())

    def histogram(self, edges: FloatArray) -> FloatArray:
        """Share of the chains in each bin, over the width of the bin."""
        return np.histogram(self.chains, edges)[0] / (len(self.chains) * np.diff(edges))


def anneal(
    scores: Sequence[_Score],
    setting: DenoisingSetting,
    rng: np.random.Generator,
    n_chains: int = 20_000,
    *,
    exact: bool = True,
    progress: bool = False,
) -> AnnealedSamples:
    """Run annealed Langevin dynamics from the uniform law on [-1, 1], as chains and as an exact law.

    Parameters
    ----------
    scores : sequence of callables
        One for every level of the setting, vectorised.
    setting : DenoisingSetting
    rng : numpy.random.Generator
    n_chains : int
        At least 1.
    exact : bool
        Whether to compute the exact law too.
    progress : bool
        Whether to show a bar that counts levels, of the chains and of their law.

    Returns
    -------
    AnnealedSamples

    Raises
    ------
    ValueError
        If there is not one score per level, or n_chains is below 1.
    TypeError
        If rng is not a numpy Generator.

    Examples
    --------
    >>> setting = DenoisingSetting()
    >>> ideal = [standard_normal().smoothed(sigma).score for sigma in setting.sigmas]
    >>> samples = anneal(ideal, setting, np.random.default_rng(0), 100)
    >>> round(samples.distance, 3)  # ten levels of ten steps do not forget the noise altogether
    0.08
    """
    if len(scores) != len(setting.sigmas):
        raise ValueError(f"scores must hold one score per level, {len(setting.sigmas)}; got {len(scores)}")
    x = as_generator(rng).uniform(-1, 1, as_count(n_chains, "n_chains", minimum=1))
    as_flag(exact, "exact")
    with Bar(progress, "anneal", "level", len(scores) * (2 if exact else 1)) as bar:
        for score, eta in bar.over(zip(scores, setting.etas, strict=True)):
            for _ in range(setting.n_steps_each):
                x = langevin_dynamics(_stopped(score), x, step_size=float(eta), n_steps=1, rng=rng)
                x = np.clip(x, -_FAR, _FAR)
        return AnnealedSamples(x, _exact_law(scores, setting, bar) if exact else None)


def _stopped(score: _Score) -> _Score:
    """The score, kept so small that no chain overflows."""
    return lambda x: np.clip(score(x), -_FAR, _FAR)


def _exact_law(scores: Sequence[_Score], setting: DenoisingSetting, bar: Bar) -> GridLaw | None:
    law = GridLaw.uniform(-1.0, 1.0, nodes=_NODES)
    for score, eta in bar.over(zip(scores, setting.etas, strict=True)):
        try:
            law = propagate(law, score, step_size=float(eta), n_steps=setting.n_steps_each, max_loss=1.0)
        except GridTooCoarseError:
            return None
    return law


def as_piecewise_linear(network: TwoLayerNetwork) -> PiecewiseLinearScore:
    """Return a trained univariate network as knots and values, which is much faster to evaluate.

    Raises
    ------
    ValueError
        If the network is not univariate.

    Examples
    --------
    >>> net = TwoLayerNetwork.univariate([2.0, -1.0], [-2.0, 0.0], [1.0, 3.0], b0=0.5)
    >>> as_piecewise_linear(net)([-1.0, 0.5, 3.0]).tolist()
    [3.5, 0.5, 4.5]
    """
    if network.dimension != 1:
        raise ValueError(f"network must be univariate; its dimension is {network.dimension}")
    w, alpha, v = network.W1[:, 0], network.W2[0], float(network.V[0, 0])
    bends = w != 0
    with np.errstate(over="ignore"):
        places = -network.b1[bends] / w[bends]
    knots = np.unique(places[np.isfinite(places)])
    knots = knots if len(knots) else np.zeros(1)
    right = np.maximum(w, 0.0) if network.activation == "relu" else np.abs(w)
    left = np.minimum(w, 0.0) if network.activation == "relu" else -np.abs(w)
    slopes = [v + float(alpha @ side) for side in (left, right)]
    return PiecewiseLinearScore(knots, network(knots), slopes[0], slopes[1])
