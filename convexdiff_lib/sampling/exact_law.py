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
from functools import cached_property

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from .._progress import Bar
from .._results import result
from .._validation import FloatArray, as_count, as_finite, as_numbers, as_positive, as_sample
from .langevin import annealed_steps

__all__ = [
    "GridLaw",
    "GridTooCoarseError",
    "annealed_laws",
    "averaged_law",
    "langevin_laws",
    "propagate",
    "running_averages",
    "wasserstein",
]

_STENCIL = 8  # nodes that share the mass of a point between them
_REACH = 9.0  # standard deviations of noise that are kept: the rest is below 1e-18
_FINEST = (
    2.0  # nodes per standard deviation of noise, at least: aliasing is then below exp(-2 pi^2 2^2) = 1e-34
)
_OUTSIDE = 1e-5  # mass of a given density that may be off the grid, or missed between its nodes
_NOTHING = 1e-17  # a mass that is lost in the rounding of a sum of one
_NEGATIVE = 1e-5  # of the largest mass: what the stencil may leave in the tails of a coarse grid
_ROUNDING = 1e-9  # for unequal spacings, and sums above one


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


@result
class GridLaw:
    """A law on the line, as masses on equally spaced nodes.

    Each mass stands for that of the cell around its node, half a spacing to either side.  After a Langevin
    step, masses in far tails may be negative: by rounding, or a little more on a coarse grid.

    Parameters
    ----------
    nodes : array of shape (N,), N at least 16
        Increasing, equally spaced.
    mass : array of shape (N,)
        Sums to one minus the mass that has left the grid.

    Raises
    ------
    ValueError
        If the nodes are too few or not equally spaced, the shapes differ, a mass is clearly negative, or the
        masses sum to more than one.

    Examples
    --------
    >>> import numpy as np
    >>> nodes = np.linspace(-8, 8, 801)
    >>> law = GridLaw.normal(1.0, 0.5, nodes=nodes)
    >>> round(law.mean, 9), round(law.std, 9), round(law.lost, 9) + 0.0
    (1.0, 0.5, 0.0)

    The divergence from a standard normal law is log(2) + (0.25 + 1)/2 - 1/2:

    >>> standard = lambda x: -(x**2 + np.log(2 * np.pi)) / 2
    >>> round(law.kl_to(standard), 6)
    0.818147
    """

    nodes: FloatArray
    mass: FloatArray

    def __post_init__(self) -> None:
        nodes, mass = _as_nodes(self.nodes), as_sample(self.mass, "mass")
        if mass.shape != nodes.shape:
            raise ValueError(f"nodes and mass must have one length; got {len(nodes)} and {len(mass)}")
        if not (mass.min() >= -_NEGATIVE * mass.max() and mass.sum() <= 1 + _ROUNDING):
            raise ValueError(
                f"mass must be non-negative and sum to at most one; its least entry is {mass.min():.3g}, "
                f"its sum {mass.sum():.17g}"
            )
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "mass", mass)

    @classmethod
    def uniform(cls, low: float, high: float, *, nodes: ArrayLike) -> GridLaw:
        """Return the uniform law on [low, high], which has to lie on the grid.

        Examples
        --------
        >>> import numpy as np
        >>> float(GridLaw.uniform(-1.0, 1.0, nodes=np.linspace(-2, 2, 401)).mass.max().round(6))
        0.005
        """
        low, high, where = as_finite(low, "low"), as_finite(high, "high"), _as_nodes(nodes)
        if not low < high:
            raise ValueError(f"low must be less than high; got {low} and {high}")
        cell = _cell(where)
        edges = np.append(where - cell / 2, where[-1] + cell / 2)
        mass = np.diff(np.clip((edges - low) / (high - low), 0.0, 1.0))
        _check_on_grid(mass, "the interval")
        return cls(where, mass)

    @classmethod
    def normal(cls, mean: float, std: float, *, nodes: ArrayLike) -> GridLaw:
        """Return the normal law, which has to fit on the grid and to be at least as wide as two spacings.

        Examples
        --------
        >>> import numpy as np
        >>> float(GridLaw.normal(0.0, 1.0, nodes=np.linspace(-10, 10, 201)).mass.sum().round(12))
        1.0
        """
        m, s = as_finite(mean, "mean"), as_positive(std, "std")
        return cls.from_log_density(
            lambda x: -0.5 * ((x - m) / s) ** 2 - np.log(s * np.sqrt(2 * np.pi)), nodes=nodes
        )

    @classmethod
    def from_log_density(
        cls, log_density: Callable[[FloatArray], FloatArray], *, nodes: ArrayLike
    ) -> GridLaw:
        """Return the law of a normalised log-density; all but 1e-5 of it has to lie on the grid.

        Examples
        --------
        >>> import numpy as np
        >>> from convexdiff_lib.datasets import standard_normal
        >>> law = GridLaw.from_log_density(standard_normal().log_density, nodes=np.linspace(-9, 9, 181))
        >>> round(law.std, 9)
        1.0
        """
        where = _as_nodes(nodes)
        mass = np.exp(_evaluate(log_density, where, "log_density")) * _cell(where)
        _check_on_grid(mass, "the density")
        return cls(where, mass / mass.sum())

    @property
    def cell(self) -> float:
        """Spacing of the nodes."""
        return _cell(self.nodes)

    @property
    def lost(self) -> float:
        """Mass that has left the grid; negative only by rounding."""
        return 1.0 - float(self.mass.sum())

    @property
    def density(self) -> FloatArray:
        """Density at the nodes."""
        return self.mass / self.cell

    @property
    def mean(self) -> float:
        """Mean of the mass on the grid."""
        return float(self.mass @ self.nodes / self.mass.sum())

    @property
    def std(self) -> float:
        """Standard deviation of the mass on the grid."""
        return float(np.sqrt(self.mass @ (self.nodes - self.mean) ** 2 / self.mass.sum()))

    def kl_to(self, log_density: Callable[[FloatArray], FloatArray]) -> float:
        r"""Return the Kullback-Leibler divergence :math:`\int p \log(p/\pi)` from this law p to a density.

        Parameters
        ----------
        log_density : callable
            The normalised log-density of the other law, vectorised.

        Raises
        ------
        ValueError
            If log_density does not return one number per node.
        """
        other = _evaluate(log_density, self.nodes, "log_density")
        there = self.mass > 0
        return float(self.mass[there] @ (np.log(self.density[there]) - other[there]))

    def distance_to(self, samples: ArrayLike) -> float:
        """Return the largest distance of the distribution function of samples from this one, at cell edges.

        Examples
        --------
        >>> law = GridLaw.uniform(0.0, 1.0, nodes=np.linspace(-0.95, 1.95, 30))
        >>> round(law.distance_to([0.25, 0.75]), 9)  # at 0.7 seven tenths, where the samples have half
        0.2
        """
        edges = self.nodes + self.cell / 2
        below = np.searchsorted(np.sort(as_sample(samples, "samples")), edges, side="right")
        return float(np.max(np.abs(below / np.size(samples) - np.cumsum(self.mass))))

    @cached_property
    def _cumulative(self) -> FloatArray:
        """Distribution function at the N + 1 edges of the cells, of the mass on the grid."""
        counted = np.where(self.mass > _NOTHING, self.mass, 0.0)
        total = np.concatenate([[0.0], np.cumsum(counted)])
        return total / total[-1]

    def quantile(self, u: ArrayLike) -> FloatArray:
        """Return the quantiles of probabilities u in [0, 1], with the mass spread evenly over each cell.

        Raises
        ------
        ValueError
            If u has a number outside [0, 1].

        Examples
        --------
        >>> import numpy as np
        >>> law = GridLaw.uniform(-1.0, 1.0, nodes=np.linspace(-2, 2, 401))
        >>> law.quantile([0.25, 0.75]).round(9).tolist()
        [-0.5, 0.5]
        """
        wanted = as_numbers(u, "u")
        if not ((wanted >= 0) & (wanted <= 1)).all():
            raise ValueError("u must lie between 0 and 1")
        edges = np.append(self.nodes - self.cell / 2, self.nodes[-1] + self.cell / 2)
        rising = np.diff(self._cumulative) > 0
        kept = np.append(rising, False) | np.append(False, rising)  # edges of cells without mass do not count
        return np.asarray(np.interp(wanted, self._cumulative[kept], edges[kept]))


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
        If an argument is malformed, or more mass than max_loss leaves the grid.

    Examples
    --------
    The stationary law for s(x) = -x has variance 2 eta / (1 - (1 - eta)^2) = 4/3 at eta = 1/2:

    >>> import numpy as np
    >>> law = GridLaw.uniform(-3.0, 3.0, nodes=np.linspace(-12, 12, 241))
    >>> stds = [later.std for later in langevin_laws(law, np.negative, step_size=0.5, n_steps=30)]
    >>> round(stds[-1] ** 2, 9)
    1.333333333
    """
    eta, steps = as_positive(step_size, "step_size"), as_count(n_steps, "n_steps")
    allowed = as_finite(max_loss, "max_loss")
    if not isinstance(law, GridLaw):
        raise ValueError(f"law must be a GridLaw; got {type(law).__name__}")
    transport, smooth = _transport(law.nodes, score, eta), _smoothing(law.nodes, eta)
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
        _check_same_grid(nodes, law.nodes)
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
    >>> round(averaged_law(start, np.negative, step_size=0.5, n_steps=2).mean, 9)  # (1 + 1/2) / 2
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
    if not isinstance(law, GridLaw):
        raise ValueError(f"law must be a GridLaw; got {type(law).__name__}")
    allowed = as_finite(max_loss, "max_loss")
    levels = annealed_steps(scores, sigmas, step_size=step_size, n_steps_each=n_steps_each)
    for score, eta, n_steps in levels:
        law = propagate(law, score, step_size=eta, n_steps=n_steps, max_loss=allowed)
        yield law


def wasserstein(law: GridLaw, other: GridLaw, *, order: int = 2) -> float:
    r"""Return the Wasserstein distance of two laws, which in one dimension is that of their quantiles.

    .. math:: W_p^p = \int_0^1 \big| F^{-1}(u) - G^{-1}(u) \big|^p \, du

    Both quantile functions are piecewise linear, so the integral is exact for masses spread
    evenly over cells.

    Parameters
    ----------
    law, other : GridLaw
    order : {2, 1}
        The p above.  With 1 the distance is how far mass has to move on average.

    Raises
    ------
    ValueError
        If a law is not a GridLaw or the order is neither 1 nor 2.

    Examples
    --------
    Between two normal laws, the squares of the differences of mean and standard deviation add up:

    >>> import numpy as np
    >>> nodes = np.linspace(-12, 12, 2401)
    >>> near, far = GridLaw.normal(0.0, 1.0, nodes=nodes), GridLaw.normal(3.0, 1.5, nodes=nodes)
    >>> round(wasserstein(near, far) ** 2, 4)
    9.25
    >>> round(wasserstein(near, far, order=1), 4)  # one lies to the right of the other
    3.0
    """
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2; got {order!r:.80}")
    for name, one in (("law", law), ("other", other)):
        if not isinstance(one, GridLaw):
            raise ValueError(f"{name} must be a GridLaw; got {type(one).__name__}")
    u = np.union1d(law._cumulative, other._cumulative)
    # Inside each piece both quantile functions are straight lines: take them at two inner points, because at
    # the ends a quantile may jump over a stretch without mass.
    width = np.diff(u)
    left, right = u[:-1] + width / 4, u[:-1] + 3 * width / 4
    d1, d2 = (law.quantile(at) - other.quantile(at) for at in (left, right))
    middle, half = (d1 + d2) / 2, d2 - d1
    if order == 1:
        return float(width @ _mean_size(middle, half))
    return float(np.sqrt(width @ (middle**2 + half**2 / 3)))


def _mean_size(middle: FloatArray, half: FloatArray) -> FloatArray:
    """Mean of |middle + t half| over t in [-1, 1]: a straight line that may change its sign."""
    crosses = np.abs(half) > np.abs(middle)
    safe = np.where(crosses, np.abs(half), 1.0)
    return np.where(crosses, (middle**2 + half**2) / (2 * safe), np.abs(middle))


def _as_nodes(nodes: ArrayLike) -> FloatArray:
    where = as_sample(nodes, "nodes")
    if len(where) < 2 * _STENCIL:
        raise ValueError(f"nodes must be at least {2 * _STENCIL}; got {len(where)}")
    gaps = np.diff(where)
    if not (gaps.min() > 0 and np.ptp(gaps) <= _ROUNDING * (where[-1] - where[0])):
        raise ValueError("nodes must be increasing and equally spaced")
    return where


def _cell(nodes: FloatArray) -> float:
    return float((nodes[-1] - nodes[0]) / (len(nodes) - 1))


def _check_on_grid(mass: FloatArray, what: str) -> None:
    if not abs(mass.sum() - 1) <= _OUTSIDE:
        raise ValueError(
            f"{what} has mass {mass.sum():.7g} on the grid and should have 1: widen or refine it"
        )


def _check_same_grid(nodes: FloatArray, others: FloatArray) -> None:
    if nodes is not others and not np.array_equal(nodes, others):
        raise ValueError("the laws must have one grid")


def _evaluate(function: Callable[[FloatArray], FloatArray], nodes: FloatArray, name: str) -> FloatArray:
    values = np.asarray(function(nodes), dtype=np.float64)
    if values.shape != nodes.shape:
        raise ValueError(f"{name} must return an array of shape {nodes.shape}; got {values.shape}")
    return values


def _transport(nodes: FloatArray, score: Callable[[FloatArray], FloatArray], eta: float) -> csr_array:
    """The matrix that moves the mass of every node with the drift and shares it among the nearest nodes."""
    moved = nodes + eta * _evaluate(score, nodes, "score")
    cell, noise = _cell(nodes), np.sqrt(2 * eta)
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


def _smoothing(nodes: FloatArray, eta: float) -> Callable[[FloatArray], FloatArray]:
    """Convolution with the noise; what it spreads beyond the grid is cut off."""
    n, cell = len(nodes), _cell(nodes)
    padded = scipy.fft.next_fast_len(n + int(np.ceil(_REACH * np.sqrt(2 * eta) / cell)) + 1, real=True)
    frequency = 2 * np.pi * scipy.fft.rfftfreq(padded, cell)
    factor = np.exp(-eta * frequency**2)

    def smooth(mass: FloatArray) -> FloatArray:
        spread: FloatArray = scipy.fft.irfft(scipy.fft.rfft(mass, padded) * factor, padded)
        return spread[:n]

    return smooth
