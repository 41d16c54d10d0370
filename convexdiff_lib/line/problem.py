"""What training in one dimension asks, and what an answer to it claims.

A `Sample` is what was given, checked, sorted and tallied.  With a weight decay and a kind of network it is a
`LineProblem`, one of the eight programs.  A `SplineClaim` says that a linear spline is its optimal score;
`convexdiff_lib.line.spline_certificates` finds out whether that is true.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._validation import (
    Activation,
    FloatArray,
    as_activation,
    as_flag,
    as_sample,
    as_vector,
    as_weight_decay,
)
from ._double_double import DoubleDouble
from ._passes import tallied

__all__ = [
    "LineProblem",
    "Sample",
    "SplineClaim",
    "TailPrices",
    "line_problem",
    "score_matching_threshold",
    "smallest_weight_decay",
]

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


class TailPrices(NamedTuple):
    """Prices of the two outer slopes of a score, the multipliers of "neither is above zero".

    What is added to the loss for one unit of each slope: see `convexdiff_lib.line.tails`.

    Examples
    --------
    >>> TailPrices(right=0.5, left=0.0).right
    0.5
    """

    right: float
    left: float


@dataclass(frozen=True, eq=False)
class LineProblem:
    r"""A training problem in one dimension; see `line_problem`.

    Parameters
    ----------
    sample : Sample
    beta : float
    activation : {"relu", "abs"}
    skip : bool
    prices : TailPrices, optional
        Of the outer slopes, where neither may be above zero.

    Examples
    --------
    >>> problem = line_problem([-1.0, 1.0], 1.0)
    >>> [float(bound.high) for bound in problem.end]
    [-1.0, 0.0]
    """

    sample: Sample
    beta: float
    activation: Activation
    skip: bool
    prices: TailPrices | None = None

    def at(self, beta: float) -> LineProblem:
        """Return the same problem at another weight decay."""
        return replace(self, beta=beta)

    def priced(self, right: float, left: float) -> LineProblem:
        """Return the problem with these prices of its outer slopes."""
        return replace(self, prices=TailPrices(right, left))

    @property
    def tail_prices(self) -> TailPrices:
        """Prices of the outer slopes, zero where these are free."""
        return self.prices or TailPrices(0.0, 0.0)

    @property
    def turn(self) -> float:
        """By how much a neuron of weight one changes the slope of the score at its kink."""
        return 1.0 if self.activation == "relu" else 2.0

    @cached_property
    def end_room(self) -> tuple[DoubleDouble, DoubleDouble]:
        """How far each of the two ends of the data, left and right, keeps the beam's end below beta.

        Neurons there count the points at the end; with a price they pay for the slope on the other side.
        """
        right, left = self.tail_prices
        counted = self.counts[[0, -1]] if self.targets is None else np.zeros(2)
        return (
            DoubleDouble(self.turn) * (DoubleDouble(left) + float(counted[0])),
            DoubleDouble(self.turn) * (DoubleDouble(right) + float(counted[1])),
        )

    @property
    def points(self) -> FloatArray:
        """Distinct points, increasing."""
        return self.sample.points

    @property
    def counts(self) -> FloatArray:
        """How often each occurs."""
        return self.sample.counts

    @property
    def targets(self) -> FloatArray | None:
        """The mean target at each point, less the mean of all; None for score matching."""
        return self.sample.means

    @property
    def aims(self) -> FloatArray:
        """The targets, zero for score matching."""
        return self.sample.aims

    @property
    def centre(self) -> FloatArray:
        """How many points stand above each, and half of those at it; zero for denoising."""
        return self.sample.centre

    @property
    def level(self) -> float:
        """Height of a level end, the number of points for score matching and zero for denoising."""
        return self.sample.level

    @property
    def radius(self) -> float:
        """Half the width of the tube, where no point is counted."""
        return self.beta if self.activation == "relu" else self.beta / 2

    @property
    def share(self) -> float:
        """By how much of its multiplicity the tube is narrower at a point, on either side."""
        return 0.5 if self.targets is None else 0.0

    @cached_property
    def end(self) -> tuple[DoubleDouble, DoubleDouble]:
        """Lowest and highest end of the beam, less its level; at a bound neurons at the ends may act."""
        if self.skip:
            return DoubleDouble(0.0), DoubleDouble(0.0)
        beta = DoubleDouble(self.beta)
        first, last = self.end_room
        low = -beta - self.turn * min(self.tail_prices)
        high = beta - (first if (first - last).high >= 0 else last)
        if self.activation == "relu" and len(self.points) > 2:
            # Beyond this the two walls of ReLU networks, one for each direction, would cross.
            width = beta * 2.0 - 2 * self.share * float(self.counts[1:-1].max())
            low = -width if (width + low).high < 0 else low
            high = width if (width - high).high < 0 else high
        return low, high

    def tilts(self, sides: FloatArray, lean: int) -> FloatArray:
        """The share of the end's offset in the walls of these sides, and at the two ends of the beam."""
        inner = sides * lean < 0 if self.activation == "relu" else np.full(len(sides), 0.5)
        return np.concatenate([[1.0], inner, [0.0]])


@dataclass(frozen=True, eq=False)
class SplineClaim:
    """What is claimed: an optimal score as a linear spline, and where its dual constraints are tight.

    Parameters
    ----------
    knots : int array of shape (K + 2,)
        Indices of points, increasing; the first and the last point among them.
    sides : array of shape (K,)
        For each inner knot +1 if the beam is at the top of the tube there, -1 if at the bottom.
    values, rests : arrays of shape (K + 2,)
        The score at the knots, and what rounding has cut off from it.
    offset, offset_rest : float
        The height of the beam's end less its level, likewise.
    lean : int
        The sign of the offset, 0 where the end is held level: it decides on which wall which neurons are.

    Examples
    --------
    The line -x/2 through two points at -1 and 1:

    >>> none, halves = np.zeros(0), np.array([0.5, -0.5])
    >>> SplineClaim(np.array([0, 1]), none, halves, np.zeros(2), -1.0, 0.0, -1).lean
    -1
    """

    knots: np.ndarray
    sides: FloatArray
    values: FloatArray
    rests: FloatArray
    offset: float
    offset_rest: float
    lean: int

    def is_at(self, height: DoubleDouble) -> bool:
        """Whether the end of the beam is exactly there."""
        return self.offset == float(height.high) and self.offset_rest == float(height.low)


def line_problem(
    x: ArrayLike,
    beta: float,
    *,
    targets: ArrayLike | None = None,
    activation: Activation = "relu",
    skip: bool = False,
    sample_weight: ArrayLike | None = None,
    inward_tails: bool = False,
) -> LineProblem:
    """Check, sort and tally what was given; without targets, score matching, with targets denoising.

    Parameters
    ----------
    x : array of shape (n,)
    beta : float
        Weight decay.
    targets : array of shape (n,), optional
    activation : {"relu", "abs"}
    skip : bool
    sample_weight : array of shape (n,), optional
        How often each point counts.
    inward_tails : bool
        Whether neither outer slope of the score may be above zero.

    Returns
    -------
    LineProblem

    Raises
    ------
    ValueError
        As `Sample.of` does; if beta is not positive, or so small that training has no minimum.

    Examples
    --------
    >>> line_problem([0.0, 1.0, 3.0], 2.0, activation="abs").radius
    1.0
    """
    sample = Sample.of(x, targets, sample_weight)
    prices = TailPrices(0.0, 0.0) if as_flag(inward_tails, "inward_tails") else None
    kind = as_activation(activation), as_flag(skip, "skip")
    problem = LineProblem(sample, as_weight_decay(beta), *kind, prices)
    check_minimum(problem)
    return problem


def not_none(targets: ArrayLike) -> ArrayLike:
    """Return targets as they are, for `Sample.of` to check; None would mean score matching there."""
    return as_sample(targets, "targets") if targets is None else targets


def check_minimum(problem: LineProblem) -> None:
    """Raise a ValueError where score matching has no minimum."""
    if problem.targets is not None:
        return
    beta, activation, skip, counts = problem.beta, problem.activation, problem.skip, problem.counts
    if skip and len(counts) < 2:
        raise ValueError(
            "a skip connection needs at least two distinct points: with one, its slope lowers the loss "
            "without limit"
        )
    threshold = problem.sample.threshold(activation, skip)
    if beta < threshold:
        most = float(counts.max())
        ties = "" if most == 1 else f" (points repeat, up to {int(most)} times, which raises it)"
        ties = f" (the heaviest of them counts for {most:g})" if problem.sample.weighted else ties
        raise ValueError(
            f"beta = {beta} is below {threshold:.17g}, the smallest weight decay at which the training loss "
            f"of the {activation} network {'with' if skip else 'without'} skip connection has a finite "
            f"minimum on these data{ties}: below it the loss goes to minus infinity"
        )


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


def smallest_weight_decay(x: ArrayLike, *, activation: Activation = "relu", skip: bool = False) -> float:
    """Return the smallest weight decay at which `score_matching` of given data has a finite optimum.

    Parameters
    ----------
    x : array of shape (n,)
    activation : {"relu", "abs"}
    skip : bool

    Returns
    -------
    float
        Between 1/2 and 2 times the number of times that a point occurs.

    Raises
    ------
    ValueError
        If x is empty, not finite, not one-dimensional or not numeric.

    Examples
    --------
    >>> smallest_weight_decay([0.0, 1.0, 3.0]), smallest_weight_decay([0.0, 1.0, 1.0, 1.0, 3.0])
    (1.0, 1.5)
    >>> smallest_weight_decay([0.0, 1.0, 3.0], activation="abs", skip=True)
    2.0
    """
    return Sample.of(x).threshold(as_activation(activation), as_flag(skip, "skip"))


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
