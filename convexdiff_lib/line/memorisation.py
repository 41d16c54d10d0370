r"""Which training points a denoiser on the line memorises.

Every training point :math:`a_i` is perturbed m times with noise of size :math:`\sigma`, and a network of one
hidden layer is trained to global optimality with weight decay :math:`\beta`.  Its denoiser is

.. math:: D(x) = x + \sigma^2 s(x) .

Around a training point D has some slope.  Where it is below one, D pulls towards the point, and sampling ends
there: the point is memorised.  As :math:`\sigma \to 0` the slope becomes

.. math:: \kappa_i = \min\Big(1, \frac{c_i}{S_i}\Big), \qquad
          S_i = \sum_k \big(\delta_{ik} - \bar\delta_i\big)^2 ,

where the price :math:`c_i` of a slope is

================================  ==================  ====================
network                           inside              at the two ends
================================  ==================  ====================
ReLU, with or without skip        :math:`2\beta`      :math:`\beta`
absolute value, skip              :math:`\beta`       :math:`\beta/2`
absolute value                    :math:`\beta`       :math:`\beta`
================================  ==================  ====================

So a point is memorised exactly if its noise scatters by more than its price, whatever the number of points,
their distances, and the size of the noise once it is small.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from .._results import result
from .._validation import (
    Activation,
    FloatArray,
    as_activation,
    as_flag,
    as_matrix,
    as_points,
    as_positive,
    as_sample,
    as_weight_decay,
)

__all__ = ["MemorisationLaw", "memorisation_law"]


@result
class MemorisationLaw:
    """Which training points are memorised, and from which weight decay on none is.

    Returned by `memorisation_law`.

    Parameters
    ----------
    x : array of shape (n,)
        The training points.
    noise : array of shape (n, m)
        What was drawn for each of them.
    activation : {"relu", "abs"}
    skip : bool

    Examples
    --------
    >>> law = memorisation_law([0.0, 1.0, 3.0], [[1, -1], [2, -2], [0.5, -0.5]])
    >>> law.thresholds.tolist()
    [2.0, 4.0, 0.5]
    >>> law.slopes(1.0).tolist()
    [0.5, 0.25, 1.0]
    """

    x: FloatArray
    noise: FloatArray
    activation: Activation
    skip: bool

    def _facts(self) -> dict[str, object]:
        return {
            "points": len(self.points),
            "activation": self.activation,
            "skip": self.skip,
            "smallest_weight_decay": self.smallest_weight_decay,
        }

    @cached_property
    def points(self) -> FloatArray:
        """The distinct training points, increasing; all other arrays are in their order."""
        return np.unique(self.x)

    @cached_property
    def scatter(self) -> FloatArray:
        """For each of them the sum of squared deviations of its noise from its mean."""
        return np.array([np.sum((draws - draws.mean()) ** 2) for draws in self._draws])

    @cached_property
    def thresholds(self) -> FloatArray:
        """For each of them the weight decay below which it is memorised."""
        if len(self.points) == 1 and self.skip:
            return np.where(self.scatter > 0, np.inf, 0.0)  # a line through one point costs nothing
        return self.scatter / self._prices

    @property
    def smallest_weight_decay(self) -> float:
        """The weight decay from which on no point is memorised."""
        return float(self.thresholds.max())

    def slopes(self, beta: float) -> FloatArray:
        r"""Return the slope of the denoiser around each point in the limit :math:`\sigma \to 0`.

        Parameters
        ----------
        beta : float
            Weight decay.

        Returns
        -------
        array of shape (number of distinct points,)
            1 where the point is forgotten.

        Examples
        --------
        >>> memorisation_law([0.0, 1.0], [[1, -1], [2, -2]]).slopes(1.0).tolist()
        [0.5, 0.125]
        """
        price = as_weight_decay(beta)
        kept = self.thresholds > price
        return np.divide(price, self.thresholds, out=np.ones(kept.shape), where=kept)

    def memorised(self, beta: float) -> FloatArray:
        """Return the points that are memorised at this weight decay.

        Examples
        --------
        >>> memorisation_law([0.0, 1.0], [[1, -1], [2, -2]]).memorised(3.0).tolist()
        [1.0]
        """
        return self.points[self.thresholds > as_weight_decay(beta)]

    def error_bound(self, beta: float, sigma: float) -> float:
        r"""Return how far the slopes at this noise level can be from their limits.

        .. math:: (4\omega\varepsilon + 16\beta\varepsilon^2/m)(1 + 4\omega\varepsilon), \qquad
                  \varepsilon = \sigma / h ,

        where :math:`\omega` is the largest size of the noise, m the smallest number of draws of a point, and
        h the smallest gap between the noisy points of two neighbours.  It is infinite where these overlap.

        Parameters
        ----------
        beta, sigma : float

        Returns
        -------
        float

        Examples
        --------
        >>> law = memorisation_law([0.0, 1.0], [[1, -1], [2, -2]])
        >>> law.error_bound(1.0, 0.4), round(law.error_bound(1.0, 0.001), 4)
        (inf, 0.0081)
        """
        decay, level = as_weight_decay(beta), as_positive(sigma, "sigma")
        if len(self.points) == 1:
            return 0.0
        low = np.array([draws.min() for draws in self._draws])
        high = np.array([draws.max() for draws in self._draws])
        gap = float(np.min(np.diff(self.points) + level * (low[1:] - high[:-1])))
        if gap <= 0:
            return float(np.inf)
        share = level / gap
        spread = 4 * float(np.abs(self.noise).max()) * share
        fewest = min(len(draws) for draws in self._draws)
        return (spread + 16 * decay * share**2 / fewest) * (1 + spread)

    def noisy(self, sigma: float) -> tuple[FloatArray, FloatArray]:
        r"""Return what to train on: :math:`a_i + \sigma\delta_{ik}`, and :math:`-\delta_{ik}/\sigma`.

        Parameters
        ----------
        sigma : float

        Returns
        -------
        x_noisy, targets : arrays of shape (n m,)

        Examples
        --------
        >>> x_noisy, targets = memorisation_law([0.0, 1.0], [[1, -1], [2, -2]]).noisy(0.5)
        >>> x_noisy.tolist(), targets.tolist()
        ([0.5, -0.5, 2.0, 0.0], [-2.0, 2.0, -4.0, 4.0])
        """
        level = as_positive(sigma, "sigma")
        return (self.x[:, None] + level * self.noise).ravel(), (-self.noise / level).ravel()

    def measured_slopes(self, score: Callable[[FloatArray], FloatArray], sigma: float) -> FloatArray:
        r"""Return the slopes of a denoiser: of the least-squares line through its values around each point.

        .. math:: \frac{1}{\sigma S_i} \sum_k (\delta_{ik} - \bar\delta_i)\, D(a_i + \sigma\delta_{ik})

        Parameters
        ----------
        score : callable
            Maps an array of positions to scores, as a `UnivariateScore` does.
        sigma : float

        Returns
        -------
        array of shape (number of distinct points,)
            NaN for a point whose noise does not scatter, as with one draw.

        Raises
        ------
        ValueError
            If sigma is not positive, or the score does not return one number for every position.

        Examples
        --------
        >>> from convexdiff_lib import denoising_score_matching
        >>> law = memorisation_law([0.0, 1.0], [[1, -1], [2, -2]])
        >>> fit = denoising_score_matching(*law.noisy(1e-3), beta=1.0)
        >>> law.measured_slopes(fit, 1e-3).round(2).tolist(), law.slopes(1.0).tolist()
        ([0.5, 0.13], [0.5, 0.125])
        """
        level = as_positive(sigma, "sigma")
        found = []
        for point, draws in zip(self.points, self._draws, strict=True):
            values = as_points(score(point + level * draws), "score(x)")
            if values.shape != draws.shape:
                raise ValueError(f"score must return an array of shape {draws.shape}; got {values.shape}")
            centred = draws - draws.mean()
            size = float(centred @ centred)
            moved = float(centred @ (draws + level * values))
            found.append(moved / size if size > 0 else np.nan)
        return np.array(found)

    @cached_property
    def _draws(self) -> tuple[FloatArray, ...]:
        """For every distinct point all noise that was drawn for it."""
        order = np.argsort(self.x, kind="stable")
        ends = np.flatnonzero(np.diff(self.x[order])) + 1
        return tuple(rows.ravel() for rows in np.split(self.noise[order], ends))

    @property
    def _prices(self) -> FloatArray:
        """What flattening the denoiser around each point costs, per unit of weight decay."""
        turn = 2.0 if self.activation == "relu" else 1.0
        prices = np.full(len(self.points), turn)
        if self.activation == "relu" or self.skip:
            prices[[0, -1]] = turn / 2
        return prices


def memorisation_law(
    x: ArrayLike, noise: ArrayLike, *, activation: Activation = "relu", skip: bool = False
) -> MemorisationLaw:
    r"""Say which training points a globally optimal denoiser memorises.

    For the network of `denoising_score_matching`, trained on :math:`a_i + \sigma\delta_{ik}` with targets
    :math:`-\delta_{ik}/\sigma` and weight decay :math:`\beta` on the sum over all of them, in the limit of
    small noise; `MemorisationLaw.error_bound` holds at any noise level.

    Parameters
    ----------
    x : array of shape (n,)
        The training points; any order.  One that occurs k times has k times as many draws.
    noise : array of shape (n, m)
        Row i has the m draws for x[i], of unit size: what is added to it is sigma times that.
    activation : {"relu", "abs"}
    skip : bool
        Whether the network has a skip connection.  With one, a single point is memorised whatever the weight
        decay.

    Returns
    -------
    MemorisationLaw

    Raises
    ------
    ValueError
        If an argument is malformed, or there is not one row of noise for each point.

    Examples
    --------
    Twenty points with five draws each.  From which weight decay on is none memorised?

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> law = memorisation_law(rng.normal(size=20), rng.normal(size=(20, 5)))
    >>> round(law.smallest_weight_decay, 2), len(law.memorised(1.0)), len(law.memorised(6.0))
    (4.67, 17, 0)
    """
    points, draws = as_sample(x), as_matrix(noise, "noise")
    if len(draws) != len(points):
        raise ValueError(
            f"noise must have one row for each point of x, shape ({len(points)}, m); got {draws.shape}"
        )
    return MemorisationLaw(points, draws, as_activation(activation), as_flag(skip, "skip"))
