r"""A law on the line, as masses on equally spaced nodes, and what there is to know of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from .._results import result
from .._validation import FloatArray, as_finite, as_numbers, as_positive, as_sample

__all__ = ["GridLaw", "wasserstein"]

_FEWEST = 16  # nodes
_OUTSIDE = 1e-5  # mass of a given density that may be off the grid, or missed between its nodes
_NOTHING = 1e-17  # a mass that is lost in the rounding of a sum of one
_NEGATIVE = 1e-5  # of the largest mass: what the stencil of a step may leave in the tails of a coarse grid
_ROUNDING = 1e-9  # for unequal spacings, and sums above one


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
        >>> nodes = np.linspace(-9, 9, 181)
        >>> law = GridLaw.from_log_density(standard_normal().log_density, nodes=nodes)
        >>> round(law.std, 9)
        1.0
        """
        where = _as_nodes(nodes)
        mass = np.exp(evaluate(log_density, where, "log_density")) * _cell(where)
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
        other = evaluate(log_density, self.nodes, "log_density")
        there = self.mass > 0
        return float(self.mass[there] @ (np.log(self.density[there]) - other[there]))

    def distance_to(self, samples: ArrayLike) -> float:
        """Return the largest distance of the distribution function of samples from this one, at cell edges.

        Examples
        --------
        >>> law = GridLaw.uniform(0.0, 1.0, nodes=np.linspace(-0.95, 1.95, 30))
        >>> round(law.distance_to([0.25, 0.75]), 9)  # at 0.7: the law has 0.7, the samples half
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
    >>> near = GridLaw.normal(0.0, 1.0, nodes=nodes)
    >>> far = GridLaw.normal(3.0, 1.5, nodes=nodes)
    >>> round(wasserstein(near, far) ** 2, 4)
    9.25
    >>> round(wasserstein(near, far, order=1), 4)  # one lies to the right of the other
    3.0
    """
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2; got {order!r:.80}")
    as_law(law, "law")
    as_law(other, "other")
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


def as_law(law: object, name: str) -> GridLaw:
    """Return ``law`` if it is one."""
    if not isinstance(law, GridLaw):
        raise ValueError(f"{name} must be a GridLaw; got {type(law).__name__}")
    return law


def _mean_size(middle: FloatArray, half: FloatArray) -> FloatArray:
    """Mean of |middle + t half| over t in [-1, 1]: a straight line that may change its sign."""
    crosses = np.abs(half) > np.abs(middle)
    safe = np.where(crosses, np.abs(half), 1.0)
    return np.where(crosses, (middle**2 + half**2) / (2 * safe), np.abs(middle))


def _as_nodes(nodes: ArrayLike) -> FloatArray:
    where = as_sample(nodes, "nodes")
    if len(where) < _FEWEST:
        raise ValueError(f"nodes must be at least {_FEWEST}; got {len(where)}")
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


def evaluate(function: Callable[[FloatArray], FloatArray], nodes: FloatArray, name: str) -> FloatArray:
    """Return the values of a function at nodes, which are real numbers, be they infinite or none."""
    if not callable(function):
        raise TypeError(f"{name} must be callable; got {function!r:.80}")
    values = np.asarray(function(nodes.copy()))
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{name} must return real numbers; got an array of {values.dtype}")
    if values.shape != nodes.shape:
        raise ValueError(f"{name} must return an array of shape {nodes.shape}; got {values.shape}")
    return values.astype(np.float64)
