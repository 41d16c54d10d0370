"""Data of one dimension: checked, sorted and tallied."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike

from .._validation import Activation, FloatArray, as_activation, as_flag, as_sample, as_vector
from ._passes import tallied

__all__ = ["Sample", "as_weights", "not_none", "score_matching_threshold", "smallest_weight_decay"]

_SHORTEST, _LONGEST = 1e-70, 1e70  # squares of lengths, and of their ratios, are then finite


@dataclass(frozen=True, eq=False)
class Sample:
    r"""Data of one dimension, and their targets for denoising.

    Parameters
    ----------
    x : array of shape (n,)
        The data as they were given, without those of weight zero.
    points, counts : arrays of shape (m,)
        Distinct points, increasing, and how often each occurs, or the sum of its weights.
    targets : array of shape (n,), or None
        The targets less their mean, in the order of x.  None for score matching.
    means : array of shape (m,), or None
        Their mean at every distinct point.
    mean_target : float
        What was taken away from the targets.
    spread : float
        Half the sum of squares of targets about the mean of their point; no score lowers it.
    weighted : bool
        Whether points have weights of their own.

    Examples
    --------
    >>> sample = Sample.of([2.0, 0.0, 0.0])
    >>> sample.points.tolist(), sample.counts.tolist()
    ([0.0, 2.0], [2.0, 1.0])
    """

    x: FloatArray
    points: FloatArray
    counts: FloatArray
    targets: FloatArray | None = None
    means: FloatArray | None = None
    mean_target: float = 0.0
    spread: float = 0.0
    weighted: bool = False

    @classmethod
    def of(
        cls, x: ArrayLike, targets: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Sample:
        """Check what was given, sort it, and count points that repeat.

        Raises
        ------
        ValueError
            If x, targets or weights are empty, not finite, not one-dimensional, not numeric or of different
            lengths; if a weight is negative, or all are zero; if distances or targets cannot be squared.
        """
        name = "x" if targets is None else "x_noisy"
        given = as_vector(x, name)
        if targets is None and sample_weight is None:
            ordered = np.sort(given)
            _check_finite(ordered, given, name)
            return cls(given, *_distinct(ordered))
        labels = None if targets is None else _one_each(targets, "targets", given, name)
        if sample_weight is None:
            weights = np.ones(len(given))
        else:
            weights = as_weights(sample_weight, given, name)
            used = weights > 0
            given, weights = given[used], weights[used]
            labels = None if labels is None else labels[used]
        order = np.argsort(given)
        ordered = given[order]
        _check_finite(ordered, given, name)
        points, counts = _distinct(ordered)
        tied = len(points) < len(ordered)
        place = np.repeat(np.arange(len(points)), counts.astype(np.int64)) if tied else np.zeros(0, np.int64)
        if sample_weight is not None:
            counts = np.asarray(np.bincount(place, weights[order]) if tied else weights[order])
        if labels is None:
            return cls(given, points, counts, weighted=True)
        mean = _mean_target(labels, weights)
        labels -= mean
        means, spread = labels[order], 0.0
        if tied:  # the best fit to tied points is that to their mean
            within, shares = means, weights[order]
            means = np.bincount(place, shares * within) / counts
            spread = 0.5 * float(shares @ (within - means[place]) ** 2)
        return cls(given, points, counts, labels, means, mean, spread, sample_weight is not None)

    @property
    def labels(self) -> FloatArray | float:
        """The targets less their mean, in the order of x; zero for score matching."""
        return 0.0 if self.targets is None else self.targets

    @cached_property
    def level(self) -> float:
        """Height of a level end, the number of points for score matching and zero for denoising."""
        return float(self.counts.sum()) if self.means is None else 0.0

    @cached_property
    def aims(self) -> FloatArray:
        """The mean targets, zero for score matching."""
        return np.zeros(len(self.points)) if self.means is None else self.means

    @cached_property
    def centre(self) -> FloatArray:
        """How many points stand above each, and half of those at it; zero for denoising."""
        if self.means is not None:
            return np.zeros(len(self.points))
        return self.level - np.cumsum(self.counts) + self.counts / 2

    @cached_property
    def loss_of_simple_fit(self) -> float:
        """The size of the loss of the fitted Gaussian, or for denoising of the best constant."""
        if self.means is not None:
            return 0.5 * float(self.counts @ (self.means * self.means)) + self.spread
        lever = self.points - (self.counts @ self.points) / self.level
        return self.level**2 / (2 * float(self.counts @ (lever * lever)))

    def threshold(self, activation: Activation, skip: bool) -> float:
        """Smallest weight decay with a finite optimum of score matching."""
        counts = self.counts if self.weighted or len(self.points) < len(self.x) else self.counts[:1]
        return score_matching_threshold(counts, activation=activation, skip=skip)


def score_matching_threshold(counts: FloatArray, *, activation: Activation, skip: bool) -> float:
    r"""Smallest weight decay with a finite optimum, from the multiplicities of the sorted distinct points.

    With k the largest multiplicity and e the larger multiplicity of the two extreme points: ReLU
    :math:`\max(k/2, e)`, absolute value :math:`\max(k, e)`, absolute value with skip :math:`\max(k, 2e)`.
    For distinct points these are the 1, 1 and 2 of Theorems 1, 7 and 8.

    Examples
    --------
    >>> import numpy as np
    >>> score_matching_threshold(np.array([1.0, 3.0, 1.0]), activation="relu", skip=False)
    1.5
    """
    inside, ends = float(counts.max()), float(max(counts[0], counts[-1]))
    if activation == "relu":
        return max(inside / 2, ends)
    return max(inside, 2 * ends if skip else ends)


def smallest_weight_decay(
    x: ArrayLike,
    *,
    activation: Activation = "relu",
    skip: bool = False,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Return the smallest weight decay at which `score_matching` of given data has a finite optimum.

    Parameters
    ----------
    x : array of shape (n,)
    activation : {"relu", "abs"}
    skip : bool
    sample_weight : array of shape (n,), optional
        How often each point counts.

    Returns
    -------
    float
        Between 1/2 and 2 times the number of times that a point occurs.

    Raises
    ------
    ValueError
        If x is empty, not finite, not one-dimensional or not numeric; if a weight is negative, or all are
        zero; if a skip connection meets one distinct point, where no weight decay is enough.

    Examples
    --------
    >>> smallest_weight_decay([0.0, 1.0, 3.0])
    1.0
    >>> smallest_weight_decay([0.0, 1.0, 1.0, 1.0, 3.0])
    1.5
    >>> smallest_weight_decay([0.0, 1.0, 3.0], sample_weight=[1, 3, 1])
    1.5
    >>> smallest_weight_decay([0.0, 1.0, 3.0], activation="abs", skip=True)
    2.0
    """
    sample = Sample.of(x, None, sample_weight)
    with_skip = as_flag(skip, "skip")
    check_skip(len(sample.points), with_skip)
    return sample.threshold(as_activation(activation), with_skip)


def check_skip(distinct: int, skip: bool) -> None:
    """Raise ValueError if score matching is to fit a skip connection to fewer than two distinct points.

    Examples
    --------
    >>> check_skip(2, skip=True)
    """
    if skip and distinct < 2:
        raise ValueError(
            "a skip connection needs at least two distinct points: with one, its slope lowers the loss "
            "without limit"
        )


def not_none(targets: ArrayLike) -> ArrayLike:
    """Return targets as they are, for `Sample.of` to check; None would mean score matching there.

    Examples
    --------
    >>> not_none([1.0, 2.0])
    [1.0, 2.0]
    """
    return as_sample(targets, "targets") if targets is None else targets


def as_weights(values: ArrayLike, given: FloatArray, name: str) -> FloatArray:
    """Return weights, one for each of the given points; raises ValueError if they are malformed.

    Examples
    --------
    >>> as_weights([1, 2], np.zeros(2), "x").tolist()
    [1.0, 2.0]
    """
    weights = _one_each(values, "sample_weight", given, name)
    if (weights < 0).any():
        raise ValueError(f"sample_weight must not be negative; the smallest is {float(weights.min()):g}")
    heaviest = float(weights.max())
    if heaviest == 0:
        raise ValueError("sample_weight must not be zero for all points")
    if not 1 / _LONGEST <= heaviest <= _LONGEST:
        raise ValueError(
            f"the largest sample_weight must lie between {1 / _LONGEST:g} and {_LONGEST:g}; "
            f"it is {heaviest:g}"
        )
    return weights


def _distinct(ordered: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Slopes are of the order of one over length squared, which double precision must be able to hold."""
    points, counts, shortest = tallied(ordered)
    longest = float(points[-1]) - float(points[0])  # as Python's numbers, which overflow in silence
    if len(points) > 1 and not (shortest >= _SHORTEST and longest <= _LONGEST):
        raise ValueError(
            f"the distances between distinct points must lie between {_SHORTEST:g} and {_LONGEST:g}; these "
            f"go from {shortest:g} to {longest:g}: rescale x, or merge points"
        )
    return points, counts


def _one_each(values: ArrayLike, what: str, given: FloatArray, name: str) -> FloatArray:
    vector = as_sample(values, what)
    if vector.shape != given.shape:
        raise ValueError(
            f"{what} must have one entry per point of {name}; got {vector.shape} for {given.shape}"
        )
    return vector


def _mean_target(targets: FloatArray, weights: FloatArray) -> float:
    """Return the mean target, once it is sure that the squares of the targets are finite."""
    largest = float(np.abs(targets).max())
    if not largest <= _LONGEST:
        raise ValueError(
            f"targets must be at most {_LONGEST:g} in size; the largest is {largest:g}: rescale them"
        )
    return float(weights @ targets) / float(weights.sum())


def _check_finite(ordered: FloatArray, given: FloatArray, name: str) -> None:
    """In order, what is not finite stands at the two ends: NaN is sorted last."""
    if not (isfinite(ordered[0]) and isfinite(ordered[-1])):
        as_sample(given, name)
