r"""The distributions of the paper's experiments, each with its exact score and log-density, and the noise.

Every figure draws the truth beside what was learned, so a data set here is a distribution, not only a sample.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree
from scipy.special import logsumexp

from ._results import result
from ._validation import (
    FloatArray,
    as_count,
    as_finite,
    as_generator,
    as_matrix,
    as_numbers,
    as_positive,
    as_sample,
)

__all__ = ["Cross", "GaussianMixture", "Spiral", "Uniform", "paper_mixture", "perturb", "standard_normal"]

_PIECES = 20_000  # of a spiral


@result
class GaussianMixture:
    r"""A mixture of Gaussians with equal weights on the line.

    Parameters
    ----------
    centers : tuple of float
    scale : float
        Standard deviation of every component, positive.

    Raises
    ------
    ValueError
        If there is no center, one is not finite, or the scale is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> law = GaussianMixture(centers=(-10.0, 10.0))
    >>> law.sample(4, np.random.default_rng(0)).shape
    (4,)
    >>> law.score([9.0, -12.0]).round(6).tolist()
    [1.0, 2.0]
    """

    centers: tuple[float, ...] = (0.0,)
    scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "centers", tuple(as_sample(self.centers, "centers").tolist()))
        as_positive(self.scale, "scale")

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw n points, as evenly divided among the components as n allows, as in the paper's experiment."""
        count, generator = as_count(n, "n"), as_generator(rng)
        owner = np.arange(count) % len(self.centers)
        return np.asarray(self.centers)[owner] + self.scale * generator.normal(size=count)

    def _log_components(self, x: FloatArray) -> FloatArray:
        u = (x[..., None] - np.asarray(self.centers)) / self.scale
        return -0.5 * u**2 - np.log(self.scale * np.sqrt(2 * np.pi) * len(self.centers))

    def log_density(self, x: ArrayLike) -> FloatArray:
        """Return log p(x)."""
        return np.asarray(logsumexp(self._log_components(as_numbers(x)), axis=-1))

    def score(self, x: ArrayLike) -> FloatArray:
        """Return (log p)'(x): the components' scores, weighted by how likely each is at x."""
        points = as_numbers(x)
        log_parts = self._log_components(points)
        weight = np.exp(log_parts - logsumexp(log_parts, axis=-1, keepdims=True))
        return -np.sum(weight * (points[..., None] - np.asarray(self.centers)), axis=-1) / self.scale**2

    def smoothed(self, sigma: float) -> GaussianMixture:
        r"""Return the law of :math:`x + \sigma\delta` with standard normal noise :math:`\delta`.

        Smoothing leaves the centers and adds variances: the scale :math:`\tau` becomes
        :math:`\sqrt{\tau^2 + \sigma^2}`.  Raises ValueError if sigma is not positive.

        Examples
        --------
        >>> GaussianMixture(centers=(0.0, 5.0), scale=3.0).smoothed(4.0)
        GaussianMixture(centers=(0.0, 5.0), scale=5.0)
        """
        return GaussianMixture(self.centers, float(np.hypot(self.scale, as_positive(sigma, "sigma"))))


@result
class Uniform:
    """The uniform law on an interval; its score is zero inside and undefined at the edges.

    Examples
    --------
    >>> import numpy as np
    >>> Uniform(0.0, 2.0).log_density([1.0, 3.0]).round(4).tolist()
    [-0.6931, -inf]
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not as_finite(self.low, "low") < as_finite(self.high, "high"):
            raise ValueError(f"low must be less than high; got {self.low} and {self.high}")

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw n points."""
        return as_generator(rng).uniform(self.low, self.high, size=as_count(n, "n"))

    def log_density(self, x: ArrayLike) -> FloatArray:
        """Return log p(x), minus infinity outside the interval."""
        points = as_numbers(x)
        inside = (points >= self.low) & (points <= self.high)
        return np.where(inside, -np.log(self.high - self.low), -np.inf)

    def score(self, x: ArrayLike) -> FloatArray:
        """Return (log p)'(x): zero inside, NaN outside."""
        points = as_numbers(x)
        return np.where((points > self.low) & (points < self.high), 0.0, np.nan)


@result
class Cross:
    r"""Two long Gaussians through the origin of the plane, at right angles, with equal weights.

    Far from the origin its score is linear along every ray, as is a network without biases.

    Parameters
    ----------
    long, short : float
        Standard deviations along and across an arm, positive.

    Raises
    ------
    ValueError
        If one of them is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> Cross(2.0, 0.5).sample(4, np.random.default_rng(0)).shape
    (4, 2)
    >>> Cross(2.0, 0.5).score([[8.0, 0.1], [0.1, -8.0]]).round(3).tolist()
    [[-2.0, -0.4], [-0.4, 2.0]]
    """

    long: float = 3.0
    short: float = 0.3

    def __post_init__(self) -> None:
        as_positive(self.long, "long")
        as_positive(self.short, "short")

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw n points, shape (n, 2), in turn from the horizontal and from the vertical arm."""
        count, generator = as_count(n, "n"), as_generator(rng)
        scales = np.array([[self.long, self.short], [self.short, self.long]])
        return scales[np.arange(count) % 2] * generator.normal(size=(count, 2))

    def _log_arms(self, x: FloatArray) -> FloatArray:
        variances = np.array([[self.long, self.short], [self.short, self.long]]) ** 2
        squares = np.sum(x[..., None, :] ** 2 / variances, axis=-1)
        return -0.5 * squares - np.log(4 * np.pi * self.long * self.short)

    def log_density(self, x: ArrayLike) -> FloatArray:
        """Return log p(x) at points of shape (..., 2)."""
        return np.asarray(logsumexp(self._log_arms(as_numbers(x)), axis=-1))

    def score(self, x: ArrayLike) -> FloatArray:
        """Return the gradient of log p at points of shape (..., 2)."""
        points = as_numbers(x)
        log_arms = self._log_arms(points)
        weight = np.exp(log_arms - logsumexp(log_arms, axis=-1, keepdims=True))
        along = weight / self.long**2 + weight[..., ::-1] / self.short**2
        return -points * along

    def smoothed(self, sigma: float) -> Cross:
        r"""Return the law of :math:`x + \sigma\delta` with standard normal noise in both coordinates.

        Raises ValueError if sigma is not positive.

        Examples
        --------
        >>> Cross(4.0, 3.0).smoothed(3.0).long
        5.0
        """
        level = as_positive(sigma, "sigma")
        return Cross(float(np.hypot(self.long, level)), float(np.hypot(self.short, level)))


@result
class Spiral:
    r"""A curve in the plane: :math:`r = a\theta`, with the angle uniform on an interval.

    Parameters
    ----------
    pitch : float
        :math:`a`, positive; two turns are :math:`2\pi a` apart.
    start, stop : float
        The interval of angles, :math:`0 \le` start < stop.

    Raises
    ------
    ValueError
        If the pitch is not positive, or the angles are not ordered.

    Examples
    --------
    >>> Spiral(stop=2.5 * np.pi).points(5).round(1).tolist()
    [[0.0, 1.6], [-3.1, 0.0], [-0.0, -4.7], [6.3, -0.0], [0.0, 7.9]]
    """

    pitch: float = 1.0
    start: float = 0.5 * np.pi
    stop: float = 3 * np.pi

    def __post_init__(self) -> None:
        as_positive(self.pitch, "pitch")
        if not 0 <= as_finite(self.start, "start") < as_finite(self.stop, "stop"):
            raise ValueError(f"angles must satisfy 0 <= start < stop; got {self.start} and {self.stop}")

    def position(self, angle: ArrayLike) -> FloatArray:
        """Return the points at some angles, shape (..., 2)."""
        theta = as_numbers(angle, "angle")
        return self.pitch * np.stack([theta * np.cos(theta), theta * np.sin(theta)], axis=-1)

    def points(self, n: int) -> FloatArray:
        """Return n points at equally spaced angles, shape (n, 2)."""
        return self.position(np.linspace(self.start, self.stop, as_count(n, "n", minimum=1)))

    def nearest(self, x: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return how far points of shape (n, 2) are from the curve, and the angles at which it is nearest.

        Accurate to the square of a step of 20 000 along the curve.

        Examples
        --------
        >>> distance, angle = Spiral().nearest([[0.0, 6.0]])
        >>> bool(0.3 < distance[0] < 0.6 * 2.5 * np.pi and abs(angle[0] - 2.5 * np.pi) < 0.1)
        True
        """
        points = as_matrix(x)
        angles = np.linspace(self.start, self.stop, _PIECES + 1)
        _, place = cKDTree(self.position(angles)).query(points)
        theta = angles[place]
        cos, sin = np.cos(theta), np.sin(theta)
        speed = self.pitch * np.stack([cos - theta * sin, sin + theta * cos], axis=-1)
        shift = np.sum((points - self.position(theta)) * speed, axis=-1) / np.sum(speed**2, axis=-1)
        theta = np.clip(theta + shift, self.start, self.stop)
        return np.linalg.norm(points - self.position(theta), axis=-1), theta

    def score(self, x: ArrayLike, sigma: float) -> FloatArray:
        r"""Return the score of the curve smoothed by noise of level sigma, at points of shape (n, 2).

        The curve is cut into 20 000 pieces.

        Raises
        ------
        ValueError
            If x is malformed, or sigma is less than the length of a piece.

        Examples
        --------
        >>> distance, _ = Spiral().nearest([[0.0, 5.7]])
        >>> pull = np.linalg.norm(Spiral().score([[0.0, 5.7]], 0.1))
        >>> round(float(pull / (distance[0] / 0.1**2)), 1)  # toward the curve
        1.0
        """
        points, level = as_matrix(x), as_positive(sigma, "sigma")
        angles = np.linspace(self.start, self.stop, _PIECES + 1)
        longest = self.pitch * float(np.hypot(1, self.stop)) * (angles[1] - angles[0])
        if level < longest:
            raise ValueError(f"sigma must be at least {longest:.3g}, the length of a piece; got {level:g}")
        centers = self.position((angles[1:] + angles[:-1]) / 2)
        found = np.empty_like(points)
        for row, point in enumerate(points):  # one at a time: all at once would fill the memory
            away = centers - point
            exponent = -0.5 * np.sum(away**2, axis=1) / level**2
            weight = np.exp(exponent - exponent.max())
            found[row] = weight @ away / weight.sum() / level**2
        return found


def standard_normal() -> GaussianMixture:
    """The standard normal law of the paper's first experiment (n = 500 there).

    Examples
    --------
    >>> standard_normal().score([2.0]).tolist()
    [-2.0]
    """
    return GaussianMixture()


def paper_mixture() -> GaussianMixture:
    """The mixture of the paper: two unit Gaussians at -10 and 10, of 500 points each.

    Examples
    --------
    >>> paper_mixture().centers
    (-10.0, 10.0)
    """
    return GaussianMixture(centers=(-10.0, 10.0))


def perturb(
    x: ArrayLike, sigma: float, rng: np.random.Generator, draws: int = 1
) -> tuple[FloatArray, FloatArray]:
    r"""Add Gaussian noise to data, and return with it the targets of denoising score matching.

    .. math:: \tilde x = x + \sigma\delta, \qquad \ell = -\delta/\sigma, \qquad \delta \sim \mathcal N(0, 1)

    The mean of :math:`\ell` given :math:`\tilde x` is the score of the perturbed law, which is why regression
    on it learns that score.  The paper's display (26) has the target :math:`+\delta/\sigma`, from which one
    learns minus the score.

    Parameters
    ----------
    x : array of shape (n,) or (n, d)
    sigma : float
        Noise level, positive.
    rng : numpy.random.Generator
    draws : int
        Independent draws of the noise for every point, at least 1.

    Returns
    -------
    x_noisy, targets : arrays of shape (n * draws,) or (n * draws, d)
        The draws of one point follow each other.

    Raises
    ------
    ValueError
        If x is malformed, sigma is not positive or draws is below 1.
    TypeError
        If rng is not a numpy Generator.

    Examples
    --------
    >>> import numpy as np
    >>> x_noisy, targets = perturb([0.0, 10.0], 0.1, np.random.default_rng(0), draws=3)
    >>> x_noisy.round(1).tolist()
    [0.0, -0.0, 0.1, 10.0, 9.9, 10.0]
    >>> bool(np.allclose(x_noisy + 0.1**2 * targets, [0, 0, 0, 10, 10, 10]))
    True
    """
    points, level, generator = as_matrix(x), as_positive(sigma, "sigma"), as_generator(rng)
    repeated = np.repeat(points, as_count(draws, "draws", minimum=1), axis=0)
    noise = generator.normal(size=repeated.shape)
    x_noisy, targets = repeated + level * noise, -noise / level
    return (x_noisy[:, 0], targets[:, 0]) if np.ndim(x) == 1 else (x_noisy, targets)
