r"""The paper's experiment in the plane, at its own settings (Figure 3; Section 4.2, H.2).

A hundred points of a spiral, five noise levels, the wedge program at each, and annealed Langevin samples from
the five scores together.  How far they are from the curve, and how evenly they cover it, is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .._optional import needed
from .._progress import Bar
from .._results import result
from .._validation import FloatArray, as_count, as_generator, as_positive
from ..datasets import Spiral, perturb
from ..sampling.langevin import langevin_dynamics
from ..space.wedge import WedgeScore, wedge_denoising
from .nonconvex import AdamRuns, train_multivariate

with needed("PyTorch", '"convexdiff-lib[torch]"'):
    import torch

__all__ = ["Likeness", "SpiralSetting", "anneal_in_the_plane", "likeness"]

_ARCS = 20
_SPIRAL = Spiral()
_Score = Callable[[FloatArray], FloatArray]
_Pair = tuple[FloatArray, FloatArray]


@result
class SpiralSetting:
    r"""What the experiment needs to know.  What the paper gives is the default; the rest is our reading.

    Parameters
    ----------
    sigmas : tuple of float
        Noise levels.
    n_steps_each : tuple of int
        Langevin steps at every level.
    n : int
        Number of points of the spiral.
    spiral : Spiral
        Its shape is given by a picture only.
    lam : float
        Weight decay :math:`\lambda`.  Not given.
    p : {1, 2}
        Norm of the weights.  Not given.
    bias : {"free", "penalised", "none"}
        The printed program has none.
    step : float
        A step is ``step`` times :math:`\sigma^2`, or ``step`` itself if ``constant_step``.  The paper's
        :math:`\epsilon = 1` is a step of one half; in which unit is not said.
    constant_step : bool
    same_noise : bool
        Whether all levels share one draw of the noise.  Not given.

    Examples
    --------
    >>> SpiralSetting().etas.round(6).tolist()
    [0.125, 0.005, 0.00125, 0.00045, 5e-05]
    """

    sigmas: tuple[float, ...] = (0.5, 0.1, 0.05, 0.03, 0.01)
    n_steps_each: tuple[int, ...] = (5, 5, 5, 5, 15)
    n: int = 100
    spiral: Spiral = _SPIRAL
    lam: float = 0.03
    p: int = 2
    bias: Literal["free", "penalised", "none"] = "free"
    step: float = 0.5
    constant_step: bool = False
    same_noise: bool = False

    @property
    def etas(self) -> FloatArray:
        """Langevin step of every level."""
        levels = np.asarray(self.sigmas)
        return np.full(len(levels), self.step) if self.constant_step else self.step * levels**2

    def pairs(self, rng: np.random.Generator) -> list[_Pair]:
        r"""Return noisy points and minus their noise :math:`-\delta` at every level.

        The network for :math:`-\delta` and weight decay :math:`\lambda` is :math:`\sigma` times the one for
        :math:`-\delta/\sigma` and :math:`\lambda/\sigma`.  So :math:`\lambda` means the same at all levels.

        Examples
        --------
        >>> pairs = SpiralSetting(n=7).pairs(np.random.default_rng(0))
        >>> len(pairs), pairs[0][0].shape
        (5, (7, 2))
        """
        clean = self.spiral.points(self.n)
        if self.same_noise:
            noise = as_generator(rng).normal(size=clean.shape)
            return [(clean + sigma * noise, -noise) for sigma in self.sigmas]
        noisy = [perturb(clean, sigma, rng) for sigma in self.sigmas]
        return [(x, sigma * targets) for sigma, (x, targets) in zip(self.sigmas, noisy, strict=True)]

    def fit(self, X: ArrayLike, targets: ArrayLike, *, exact: bool = False) -> WedgeScore:
        """Solve the wedge program of one level.

        Examples
        --------
        >>> setting = SpiralSetting(n=7)
        >>> setting.fit(*setting.pairs(np.random.default_rng(0))[0]).certificate.holds
        True
        """
        return wedge_denoising(
            X,
            targets,
            self.lam,
            p=self.p,
            bias=self.bias != "none",
            penalise_bias=self.bias != "free",
            exact=exact,
        )

    def train(
        self,
        X: ArrayLike,
        targets: ArrayLike,
        *,
        width: int,
        n_trials: int,
        n_epochs: int,
        seed: int,
        progress: bool = False,
    ) -> AdamRuns:
        r"""Train the same networks by Adam: p = 2, biases free; with ``progress`` a bar counts epochs.

        Losses of the result are half of those of the wedge program, with :math:`\beta = \lambda`.

        Examples
        --------
        >>> setting = SpiralSetting(n=7)
        >>> X, targets = setting.pairs(np.random.default_rng(0))[0]
        >>> setting.train(X, targets, width=9, n_trials=2, n_epochs=3, seed=0).losses.shape
        (2,)
        """
        generator = torch.Generator().manual_seed(seed)
        return train_multivariate(
            X,
            targets,
            self.lam,
            biases=True,
            width=width,
            n_trials=n_trials,
            n_epochs=n_epochs,
            generator=generator,
            progress=progress,
        )


@result
class Likeness:
    """How like a spiral a set of points is.

    Parameters
    ----------
    distance : float
        Median distance to the curve.
    near : float
        Share of the points that are no further from the curve than 0.3.
    covered : float
        Share of twenty arcs of the curve, each with as many data, that have such a point.
    unevenness : float
        Share of these points that would have to move to another arc for all arcs to hold as many.

    Examples
    --------
    >>> likeness(Spiral().points(4000), Spiral()).covered
    1.0
    """

    distance: float
    near: float
    covered: float
    unevenness: float


def likeness(x: ArrayLike, spiral: Spiral, *, close: float = 0.3) -> Likeness:
    """Measure how close points of shape (n, 2) are to a spiral, and how evenly they cover it.

    Examples
    --------
    >>> likeness(Spiral().points(4000), Spiral()).near
    1.0
    >>> likeness([[0.0, 0.0], [0.0, 2.5 * np.pi]], Spiral()).covered
    0.05
    """
    distance, angle = spiral.nearest(x)
    near = distance <= as_positive(close, "close")
    share = (angle[near] - spiral.start) / (spiral.stop - spiral.start)
    counts = np.bincount(np.minimum((_ARCS * share).astype(int), _ARCS - 1), minlength=_ARCS)
    total = max(int(near.sum()), 1)
    unevenness = 0.5 * np.abs(counts / total - 1 / _ARCS).sum()
    return Likeness(
        float(np.median(distance)), float(near.mean()), float(np.mean(counts > 0)), float(unevenness)
    )


def anneal_in_the_plane(
    denoisers: Sequence[_Score],
    setting: SpiralSetting,
    rng: np.random.Generator,
    n_samples: int = 500,
    *,
    reach: float = 10.0,
    progress: bool = False,
) -> list[FloatArray]:
    r"""Run annealed Langevin dynamics from the uniform law on a square.

    Parameters
    ----------
    denoisers : sequence of callables
        One for every level of the setting: :math:`\sigma` times the score, as ``fit`` and ``train`` give it.
    setting : SpiralSetting
    rng : numpy.random.Generator
    n_samples : int
        The paper's: 500.
    reach : float
        The square is [-reach, reach] x [-reach, reach].  The paper's: 10.
    progress : bool
        Whether to show a bar that counts levels.

    Returns
    -------
    list of arrays of shape (n_samples, 2)
        At the start, and after every level.

    Raises
    ------
    ValueError
        If there is not one denoiser per level, n_samples is below 1 or reach is not positive.
    TypeError
        If rng is not a numpy Generator.

    Examples
    --------
    >>> setting = SpiralSetting()
    >>> ideal = [lambda x, s=sigma: s * setting.spiral.score(x, s) for sigma in setting.sigmas]
    >>> films = anneal_in_the_plane(ideal, setting, np.random.default_rng(0), 30)
    >>> len(films), likeness(films[-1], setting.spiral).distance < 0.1
    (6, True)
    """
    levels = setting.sigmas
    if len(denoisers) != len(levels):
        raise ValueError(f"denoisers must hold one per level, {len(levels)}; got {len(denoisers)}")
    side, count = as_positive(reach, "reach"), as_count(n_samples, "n_samples", minimum=1)
    positions = [as_generator(rng).uniform(-side, side, (count, 2))]
    each = zip(denoisers, levels, setting.etas, setting.n_steps_each, strict=True)
    with Bar(progress, "anneal_in_the_plane", "level", len(levels)) as bar:
        for denoise, sigma, eta, n_steps in bar.over(each):
            # eta times the score is (eta / sigma) times what the network gives.
            score = _scaled(denoise, 1 / sigma)
            positions.append(
                langevin_dynamics(score, positions[-1], step_size=float(eta), n_steps=n_steps, rng=rng)
            )
    return positions


def _scaled(denoise: _Score, factor: float) -> _Score:
    return lambda x: factor * denoise(x)
