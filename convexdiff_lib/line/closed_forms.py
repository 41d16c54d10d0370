r"""Closed forms for large weight decay (Section 2.3 and Appendix E.1 of the paper).

When weight decay is large, training leaves two hinges at the ends of the data, or, with a skip connection, a
straight line.  Then everything is explicit: the score, the optimal value, and the smallest weight decay down
to which it stays so.

Write the sorted data :math:`x_1 \le \dots \le x_n` with mean :math:`\mu` and variance :math:`v`, and

.. math:: c_j = \frac{1}{nv} \sum_i (x_i - \mu)(x_i - x_j)_+ ,

which falls from 1 at the smallest point to 0 at the largest.  For Gaussian data it is close to the share of
points above :math:`x_j`, by Stein's identity.  The thresholds compare the two.  Everything here takes
:math:`O(n \log n)` time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .._results import result
from .._validation import (
    Activation,
    FloatArray,
    as_activation,
    as_finite,
    as_flag,
    as_sample,
    as_weight_decay,
)
from ..certificates import Certificate, NotCertifiedError
from ..networks import TwoLayerNetwork
from .kink_network import KinkNetwork
from .network_certificates import certify_score_matching
from .piecewise_linear import PiecewiseLinearScore
from .sample import check_skip

__all__ = ["LargeWeightDecay", "large_weight_decay", "large_weight_decay_threshold"]

_ROUNDING = 1e-12  # how far, relatively, t may lie beyond its limit: users compute that limit themselves
_SMALLEST, _LARGEST = 1e-140, 1e140  # of the sum of squared deviations: far from underflow and overflow


@result
class LargeWeightDecay:
    """The closed form of the score.

    Returned by `large_weight_decay`; calling it evaluates the score.

    Parameters
    ----------
    beta : float
        Weight decay.
    t : float
        Which of the optimal networks.
    n : int
        Number of data points.
    mean, variance : float
        Of the sample; the variance with divisor n.
    threshold : float
        The smallest weight decay at which the closed form is optimal.
    upper : float
        The weight decay from which on the score is zero: n, or infinity with a skip connection.
    shrinkage : float
        The slope of the score inside the data, over that of the fitted Gaussian.
    score : PiecewiseLinearScore
    kink_network : KinkNetwork
        The optimal network as a list of kinks.
    certificate : Certificate
        Recomputed from the data alone.

    Examples
    --------
    >>> fit = large_weight_decay([-1.0, 1.0], beta=1.5)
    >>> fit.threshold, fit.upper, fit.shrinkage
    (1.0, 2.0, 0.25)
    >>> fit([-1.0, 0.0, 1.0]).tolist(), fit.value
    ([0.25, 0.0, -0.25], -0.0625)
    """

    beta: float
    t: float
    n: int
    mean: float
    variance: float
    threshold: float
    upper: float
    shrinkage: float
    score: PiecewiseLinearScore
    kink_network: KinkNetwork
    certificate: Certificate

    @property
    def value(self) -> float:
        r"""Optimal training loss, :math:`-(n-\beta)^2/(2nv)`, or :math:`-n/(2v)` with a skip connection."""
        if self.shrinkage == 0:
            return 0.0
        return -self.n * self.shrinkage**2 / (2 * self.variance)

    @property
    def t_limit(self) -> float:
        r"""The largest t, :math:`(n-\beta)/(2nv)`; zero where the optimal network is unique."""
        return _t_limit(self.shrinkage, self.variance, np.isinf(self.upper))

    @property
    def log_concave(self) -> bool:
        """Whether the integral of the score is concave, that is, no slope of the score is positive."""
        return bool((self.score.slopes <= 0).all())

    def __call__(self, x: ArrayLike) -> FloatArray:
        """Return the score at x, any shape."""
        return self.score(x)

    def network(self) -> TwoLayerNetwork:
        """Return the optimal network with the paper's parameters: two neurons, or none and a skip."""
        return self.kink_network.two_layer()

    def log_density(self, x: ArrayLike) -> FloatArray:
        """Return the normalised log-density whose score this is; raises ValueError when there is none."""
        return self.score.log_density(x)

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw n points exactly from that density; raises ValueError when there is none."""
        return self.score.sample(n, rng)


def large_weight_decay(
    x: ArrayLike, beta: float, *, activation: Activation = "relu", skip: bool = False, t: float = 0.0
) -> LargeWeightDecay:
    r"""Return the optimal score in closed form, if weight decay is large enough for it.

    Without skip connection, with :math:`\rho = (n-\beta)/(nv)` (zero for :math:`\beta \ge n`) and every
    :math:`|t| \le \rho/2`, the optimal networks are, inside the data,

    .. math:: s(x) = -\rho\,(x - \mu), \qquad \text{of loss } -\frac{(n-\beta)^2}{2nv},

    and continue with slopes :math:`-\rho/2 - t` on the left and :math:`-\rho/2 + t` on the right for ReLU,
    :math:`-2t` and :math:`2t` for the absolute value.  With a skip connection
    :math:`s(x) = -(x-\mu)/v` everywhere, of loss :math:`-n/(2v)`.

    Parameters
    ----------
    x : array of shape (n,)
        The data; any order, ties allowed.  Not changed.
    beta : float
        Weight decay, at least the threshold.
    activation : {"relu", "abs"}
    skip : bool
    t : float
        Which of the optimal networks; zero with a skip connection and for beta at least n.  In units of one
        over length squared.

    Returns
    -------
    LargeWeightDecay
        With ``.certificate.holds`` true.

    Raises
    ------
    ValueError
        If x is empty, not finite, not one-dimensional or not numeric, or its variance is out of range; if
        beta is below the threshold; if t is outside its limits; if a skip connection is asked for with fewer
        than two distinct points.
    NotCertifiedError
        If rounding keeps the closed form from passing its certificate.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=500)
    >>> fit = large_weight_decay(x, beta=400.0)
    >>> round(fit.shrinkage, 6), fit.log_concave
    (0.2, True)
    >>> large_weight_decay(x, beta=400.0, activation="abs", t=fit.t_limit / 2).log_concave
    False
    >>> large_weight_decay(x, beta=1.0)
    Traceback (most recent call last):
    ...
    ValueError: beta = 1.0 is below ..., the smallest weight decay at which the closed form ...
    """
    sample, decay = as_sample(x), as_weight_decay(beta)
    data = _checked(sample, activation, skip)
    threshold = _threshold(data, activation, skip)
    if decay < threshold:
        raise ValueError(
            f"beta = {decay} is below {threshold:.17g}, the smallest weight decay at which the closed form "
            f"of the {activation} network {'with' if skip else 'without'} skip connection is optimal on "
            "these data; score_matching covers the rest"
        )
    shrinkage = 1.0 if skip else max(0.0, (data.n - decay) / data.n)
    offset = _checked_t(t, _t_limit(shrinkage, data.variance, skip))
    network, score = _line(data, activation) if skip else _two_hinges(data, shrinkage, offset, activation)
    certificate = certify_score_matching(
        sample, network, -score(sample), decay, activation=activation, skip=skip
    )
    if not certificate.holds:
        raise NotCertifiedError(f"rounding: the closed form does not pass its certificate: {certificate}")
    return LargeWeightDecay(
        decay,
        offset,
        data.n,
        float(data.points[0]) + data.mean_offset,
        data.variance,
        threshold,
        np.inf if skip else float(data.n),
        shrinkage,
        score,
        network,
        certificate,
    )


def large_weight_decay_threshold(
    x: ArrayLike, *, activation: Activation = "relu", skip: bool = False
) -> float:
    r"""Return the smallest weight decay at which the closed form is optimal.

    Without skip connection it is the same number for ReLU (the paper's :math:`\beta_1`) and for the absolute
    value (:math:`\beta_2`): with e the larger multiplicity of the two extreme points, and j running over the
    points strictly between these,

    .. math:: n - \min\Big( n - e,\; \min_j \frac{\#\{x > x_j\}}{c_j},\;
              \min_j \frac{\#\{x < x_j\}}{1 - c_j} \Big) .

    With a skip connection it is :math:`\|b\|_\infty` for the absolute value and half of that for ReLU, where
    b is the vector of the paper's programs (12) and (14), shifted by what the skip connection takes over:

    .. math:: \|b\|_\infty = 2 \max_j \max\big( \#\{x \ge x_j\} - n c_j,\; n c_j - \#\{x > x_j\} \big) .

    Parameters
    ----------
    x : array of shape (n,)
        The data; any order, ties allowed.
    activation : {"relu", "abs"}
    skip : bool

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If x is malformed, or a skip connection is asked for with fewer than two distinct points.

    Examples
    --------
    >>> large_weight_decay_threshold([-1.0, 0.0, 0.0, 1.0])
    2.0
    >>> large_weight_decay_threshold([-1, 0, 0, 1], skip=True)
    1.0
    >>> large_weight_decay_threshold([-1, 0, 0, 1], activation="abs", skip=True)
    2.0
    """
    return _threshold(_checked(as_sample(x), activation, skip), activation, skip)


@dataclass(frozen=True, eq=False)
class _Moments:
    """What the closed forms need of the data; all lengths from the smallest point, so no offset costs digits.

    ``areas`` has one entry per gap: its length times the sum of ``x - mean`` over the points above it.  They
    are positive and add up to nv.
    """

    points: FloatArray
    counts: FloatArray
    n: int
    mean_offset: float
    areas: FloatArray

    @classmethod
    def of(cls, sample: FloatArray) -> _Moments:
        points, tally = np.unique(sample, return_counts=True)
        counts = tally.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            position = points - points[0]
            mean_offset = float(counts @ position) / len(sample)
            weighted = counts * (position - mean_offset)
            # Sum from the nearer end, over numbers of one sign.
            from_left, from_right = -np.cumsum(weighted)[:-1], np.cumsum(weighted[::-1])[::-1][1:]
            areas = np.diff(points) * np.where(position[:-1] < mean_offset, from_left, from_right)
            total = float(areas.sum())
        if len(points) > 1 and not (_SMALLEST <= total <= _LARGEST and (areas > 0).all()):
            raise ValueError(
                f"the sum of squared deviations of x must lie between {_SMALLEST:g} and {_LARGEST:g}, and no "
                f"gap may vanish beside it; x goes from {points[0]:g} to {points[-1]:g}: rescale x, or merge "
                "points"
            )
        return cls(points, counts, len(sample), mean_offset, areas)

    @property
    def variance(self) -> float:
        return float(self.areas.sum()) / self.n

    @property
    def spread(self) -> float:
        return float(self.points[-1] - self.points[0])

    @property
    def c(self) -> tuple[FloatArray, FloatArray]:
        """The vectors c and 1 - c, each a sum of positive numbers."""
        total = float(self.areas.sum())
        c = np.concatenate([np.cumsum(self.areas[::-1])[::-1], [0.0]]) / total
        rest = np.concatenate([[0.0], np.cumsum(self.areas)]) / total
        return c, rest

    @property
    def beyond(self) -> tuple[FloatArray, FloatArray]:
        """How many points lie strictly above, and strictly below, each distinct point."""
        running = np.cumsum(self.counts)
        return self.n - running, running - self.counts


def _checked(sample: FloatArray, activation: Activation, skip: bool) -> _Moments:
    """What the closed form of a network needs of the data, if there is such a network and it has one."""
    as_activation(activation)
    data = _Moments.of(sample)
    check_skip(len(data.points), as_flag(skip, "skip"))
    return data


def _threshold(data: _Moments, activation: Activation, skip: bool) -> float:
    ends = float(max(data.counts[0], data.counts[-1]))
    if len(data.points) == 1:
        return ends
    (c, rest), (above, below) = data.c, data.beyond
    if skip:
        # n c - #{above}, and #{at least} - n c, the latter as #{below} against n (1 - c).
        excess = max(float(np.max(data.n * c - above)), float(np.max(data.n * rest - below)))
        return excess if activation == "relu" else 2 * excess
    inner = slice(1, -1)
    most = np.concatenate([[data.n - ends], above[inner] / c[inner], below[inner] / rest[inner]])
    return data.n - float(most.min())


def _t_limit(shrinkage: float, variance: float, skip: bool) -> float:
    return 0.0 if skip or shrinkage == 0 else shrinkage / (2 * variance)


def _checked_t(t: float, limit: float) -> float:
    offset = as_finite(t, "t")
    if abs(offset) > limit * (1 + _ROUNDING):
        raise ValueError(f"t must lie between {-limit:.17g} and {limit:.17g} for these data; got {offset}")
    return float(np.clip(offset, -limit, limit)) + 0.0


def _line(data: _Moments, activation: Activation) -> tuple[KinkNetwork, PiecewiseLinearScore]:
    """Build the score of the fitted Gaussian, which only a skip connection can carry."""
    first, slope = data.points[:1], -1.0 / data.variance
    start = data.mean_offset / data.variance
    none = np.zeros(0)
    network = KinkNetwork(none, none, none, none.astype(bool), float(first[0]), start, slope, activation)
    return network, PiecewiseLinearScore(first, np.array([start]), slope, slope)


def _two_hinges(
    data: _Moments, shrinkage: float, t: float, activation: Activation
) -> tuple[KinkNetwork, PiecewiseLinearScore]:
    """Build the network with one neuron at each end, facing inwards; none when the score is zero."""
    half = _t_limit(shrinkage, data.variance, skip=False)
    weights = np.array([t - half, t + half])
    start = 2 * half * data.mean_offset  # the score at the smallest point
    used = weights != 0
    network = KinkNetwork(
        data.points[[0, -1]][used],
        np.array([1.0, -1.0])[used],
        weights[used],
        np.zeros(int(used.sum()), dtype=bool),
        float(data.points[0]),
        start - float(weights[1]) * data.spread,
        activation=activation,
    )
    knots = np.unique(data.points[[0, -1]])
    values = np.array([start, start - 2 * half * data.spread])[: len(knots)]
    outside = (-half - t, -half + t) if activation == "relu" else (-2 * t, 2 * t)
    return network, PiecewiseLinearScore(knots, values, *outside)
