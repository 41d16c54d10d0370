r"""The exact law of Langevin iterates in one dimension, on a grid and without Monte Carlo noise.

One step of unadjusted Langevin dynamics moves a point by the drift, :math:`y = x + \eta s(x)`, and adds
Gaussian noise of variance :math:`2\eta`.  A law does the same: its mass moves with the drift and is then
smoothed.  Here the mass sits on equally spaced nodes.  Mass that the drift sends between nodes is shared by
the eight nearest ones, with weights that keep the total and the first seven moments; the smoothing is a
convolution by FFT.  Both preserve mass to rounding, and neither minds a map that folds, as it does when the
step is too large.

Laws after a step are smooth on the scale of the noise, where sums over nodes converge faster than any power
of the spacing.  What is left is of second order: a kink of the score between two nodes, and a jump of the
density of the first law.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from .._progress import Bar
from .._validation import FloatArray, as_count, as_finite, as_positive
from .grid_law import GridLaw, as_law, evaluate
from .langevin import annealed_steps

__all__ = [
    "GridTooCoarseError",
    "annealed_laws",
    "averaged_law",
    "langevin_laws",
    "propagate",
    "running_averages",
]

_STENCIL = 8  # nodes that share the mass of a point between them
_REACH = 9.0  # standard deviations of noise that are kept: the rest is below 1e-18
_FINEST = 2.0  # nodes per standard deviation of noise: aliasing is then below exp(-2 pi^2 2^2) = 1e-34
_ROUNDING = 1e-9  # for the spacing of nodes


class GridTooCoarseError(ValueError):
    """The grid does not resolve a step: its nodes, before or after the drift, lie too far apart.

    Examples
    --------
    >>> import numpy as np
    >>> law = GridLaw.uniform(-1.0, 1.0, nodes=np.linspace(-9, 9, 91))
    >>> try:
    ...     propagate(law, np.negative, step_size=1e-4, n_steps=1)
    ... except GridTooCoarseError as error:
    ...     print(str(error)[:36])
    the grid is too coarse for this step
    """


def langevin_laws(
    law: GridLaw,
    score: Callable[[FloatArray], FloatArray],
    *,
    step_size: float,
    n_steps: int,
    max_loss: float = 1e-10,
) -> Iterator[GridLaw]:
    r"""Yield the law of every Langevin iterate :math:`x^1, \dots, x^T` (Algorithm 2 of the paper).

    .. math:: x^t = x^{t-1} + \eta\, s(x^{t-1}) + \sqrt{2\eta}\, \xi^t, \qquad \xi^t \sim \mathcal N(0, 1)

    Parameters
    ----------
    law : GridLaw
        Law of :math:`x^0`.  Its grid is the grid of all laws.
    score : callable
        Vectorised and continuous; a piecewise-linear score for instance.
    step_size : float
        :math:`\eta`, positive.
    n_steps : int
        T, at least 0.
    max_loss : float
        How much mass may leave the grid, over all steps together.

    Yields
    ------
    GridLaw

    Raises
    ------
    GridTooCoarseError
        Neighbouring nodes, before or after the drift, may not be further apart than half a standard
        deviation of the noise, :math:`\sqrt{2\eta}/2`.
    ValueError
        If an argument is malformed, the score is not finite or no array of real numbers, one for each node,
        or more mass than max_loss leaves the grid.
    TypeError
        If score cannot be called.

    Examples
    --------
    The stationary law for s(x) = -x has variance 2 eta / (1 - (1 - eta)^2) = 4/3 at eta = 1/2:

    >>> import numpy as np
    >>> law = GridLaw.uniform(-3.0, 3.0, nodes=np.linspace(-12, 12, 241))
    >>> laws = langevin_laws(law, np.negative, step_size=0.5, n_steps=30)
    >>> stds = [later.std for later in laws]
    >>> round(stds[-1] ** 2, 9)
    1.333333333
    """
    eta, steps = as_positive(step_size, "step_size"), as_count(n_steps, "n_steps")
    allowed = as_finite(max_loss, "max_loss")
    law = as_law(law, "law")
    transport, smooth = _transport(law, score, eta), _smoothing(law, eta)
    return _laws(law, transport, smooth, steps, allowed)


def _laws(
    law: GridLaw,
    transport: csr_array,
    smooth: Callable[[FloatArray], FloatArray],
    steps: int,
    allowed: float,
) -> Iterator[GridLaw]:
    start = law.lost
    for step in range(1, steps + 1):
        law = GridLaw(law.nodes, smooth(transport @ law.mass))
        if not law.lost - start <= allowed:
            raise ValueError(
                f"a mass of {law.lost - start:.3g} has left the grid [{law.nodes[0]:g}, {law.nodes[-1]:g}] "
                f"after {step} steps; at most {allowed:g} may: take a wider grid"
            )
        yield law


def propagate(
    law: GridLaw,
    score: Callable[[FloatArray], FloatArray],
    *,
    step_size: float,
    n_steps: int,
    max_loss: float = 1e-10,
    progress: bool = False,
) -> GridLaw:
    """Return the law of the last iterate; arguments and errors as in `langevin_laws`.

    With ``progress`` a bar counts steps.

    Examples
    --------
    >>> import numpy as np
    >>> start = GridLaw.normal(2.0, 1.0, nodes=np.linspace(-10, 10, 201))
    >>> round(propagate(start, np.negative, step_size=0.5, n_steps=2).mean, 9)
    0.5
    """
    laws = langevin_laws(law, score, step_size=step_size, n_steps=n_steps, max_loss=max_loss)
    with Bar(progress, "propagate", "step", n_steps) as bar:
        for later in bar.over(laws):
            law = later
    return law


def running_averages(laws: Iterable[GridLaw]) -> Iterator[GridLaw]:
    r"""Yield the averages :math:`T^{-1} \sum_{t \le T} \mu_t` of the laws so far, for T = 1, 2, and so on.

    This is the law of an iterate picked at random, not the law of the average of the iterates.

    Raises
    ------
    ValueError
        If two laws have different grids.

    Examples
    --------
    >>> import numpy as np
    >>> nodes = np.linspace(-10, 10, 201)
    >>> two = [GridLaw.normal(m, 1.0, nodes=nodes) for m in (-3.0, 3.0)]
    >>> [round(average.std**2, 9) for average in running_averages(two)]
    [1.0, 10.0]
    """
    nodes: FloatArray | None = None
    total = np.zeros(0)
    for count, law in enumerate(laws, 1):
        if nodes is None:
            nodes, total = law.nodes, np.zeros(len(law.nodes))
        if nodes is not law.nodes and not np.array_equal(nodes, law.nodes):
            raise ValueError("the laws must have one grid")
        total = total + law.mass
        yield GridLaw(nodes, total / count)


def averaged_law(
    law: GridLaw,
    score: Callable[[FloatArray], FloatArray],
    *,
    step_size: float,
    n_steps: int,
    max_loss: float = 1e-10,
    progress: bool = False,
) -> GridLaw:
    r"""Return the average :math:`T^{-1} \sum_{t=1}^T \mu_t` of the laws of the first T iterates (Theorem 2).

    Arguments and errors as in `langevin_laws`; n_steps has to be at least 1.  With ``progress`` a bar counts
    steps.

    Examples
    --------
    >>> import numpy as np
    >>> start = GridLaw.normal(2.0, 1.0, nodes=np.linspace(-10, 10, 201))
    >>> average = averaged_law(start, np.negative, step_size=0.5, n_steps=2)
    >>> round(average.mean, 9)  # (1 + 1/2) / 2
    0.75
    """
    as_count(n_steps, "n_steps", 1)
    laws = langevin_laws(law, score, step_size=step_size, n_steps=n_steps, max_loss=max_loss)
    with Bar(progress, "averaged_law", "step", n_steps) as bar:
        for average in bar.over(running_averages(laws)):
            law = average
    return law


def annealed_laws(
    law: GridLaw,
    scores: Sequence[Callable[[FloatArray], FloatArray]],
    sigmas: ArrayLike,
    *,
    step_size: float,
    n_steps_each: int | Sequence[int],
    max_loss: float = 1e-10,
) -> Iterator[GridLaw]:
    """Yield the law after every noise level of `convexdiff_lib.sampling.langevin.annealed_langevin_dynamics`.

    Parameters
    ----------
    law : GridLaw
        Law of the starting points.  Its grid is the grid of all laws.
    scores, sigmas, step_size, n_steps_each
        As in `convexdiff_lib.sampling.langevin.annealed_langevin_dynamics`; the scores are vectorised and
        continuous.
    max_loss : float
        How much mass may leave the grid at one level.

    Yields
    ------
    GridLaw

    Raises
    ------
    ValueError, TypeError
        As `convexdiff_lib.sampling.langevin.annealed_langevin_dynamics` and `langevin_laws` do.

    Examples
    --------
    Two levels with the scores of a standard normal law smoothed by each:

    >>> import numpy as np
    >>> from convexdiff_lib.datasets import standard_normal
    >>> sigmas = [1.0, 0.5]
    >>> scores = [standard_normal().smoothed(sigma).score for sigma in sigmas]
    >>> start = GridLaw.uniform(-1.0, 1.0, nodes=np.linspace(-20, 20, 801))
    >>> laws = annealed_laws(start, scores, sigmas, step_size=0.1, n_steps_each=20)
    >>> [round(law.std, 4) for law in laws]
    [1.4906, 1.1554]
    """
    law, allowed = as_law(law, "law"), as_finite(max_loss, "max_loss")
    levels = annealed_steps(scores, sigmas, step_size=step_size, n_steps_each=n_steps_each)
    for score, eta, n_steps in levels:
        law = propagate(law, score, step_size=eta, n_steps=n_steps, max_loss=allowed)
        yield law


def _transport(law: GridLaw, score: Callable[[FloatArray], FloatArray], eta: float) -> csr_array:
    """The matrix that moves the mass of every node with the drift and shares it among the nearest nodes."""
    nodes = law.nodes
    drift = evaluate(score, nodes, "score")
    if (bad := ~np.isfinite(drift)).any():
        raise ValueError(
            f"score must be finite; {int(bad.sum())} of {len(nodes)} values at the nodes are not, "
            f"the first is {drift[bad][0]} at {nodes[bad][0]:g}"
        )
    moved = nodes + eta * drift
    cell, noise = law.cell, np.sqrt(2 * eta)
    widest = max(cell, float(np.max(np.abs(np.diff(moved)))))
    if not widest * _FINEST <= noise * (1 + _ROUNDING):
        raise GridTooCoarseError(
            f"the grid is too coarse for this step: nodes come to lie {widest:.3g} apart, and at most "
            f"sqrt(2 eta)/{_FINEST:g} = {noise / _FINEST:.3g} is resolved: take more nodes or a larger step"
        )
    place = (moved - nodes[0]) / cell
    inside = (place >= -0.5) & (place <= len(nodes) - 0.5)
    source = np.flatnonzero(inside)
    place = place[inside]
    first = np.clip(np.floor(place).astype(int) - (_STENCIL // 2 - 1), 0, len(nodes) - _STENCIL)
    weights = _lagrange(place - first)
    target = first[:, None] + np.arange(_STENCIL)
    shape = (len(nodes), len(nodes))
    return csr_array((weights.ravel(), (target.ravel(), np.repeat(source, _STENCIL))), shape=shape)


def _lagrange(at: FloatArray) -> FloatArray:
    """Weights of the nodes 0, 1, ..., 7 that reproduce polynomials of degree 7 at each point."""
    k = np.arange(_STENCIL)
    weights = np.ones((len(at), _STENCIL))
    for j in k:
        others = k[k != j]
        weights[:, j] = np.prod((at[:, None] - others) / (j - others), axis=1)
    return weights


def _smoothing(law: GridLaw, eta: float) -> Callable[[FloatArray], FloatArray]:
    """Convolution with the noise; what it spreads beyond the grid is cut off."""
    n, cell = len(law.nodes), law.cell
    padded = scipy.fft.next_fast_len(n + int(np.ceil(_REACH * np.sqrt(2 * eta) / cell)) + 1, real=True)
    frequency = 2 * np.pi * scipy.fft.rfftfreq(padded, cell)
    factor = np.exp(-eta * frequency**2)

    def smooth(mass: FloatArray) -> FloatArray:
        spread: FloatArray = scipy.fft.irfft(scipy.fft.rfft(mass, padded) * factor, padded)
        return spread[:n]

    return smooth
