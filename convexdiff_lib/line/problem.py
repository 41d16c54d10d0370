"""What training in one dimension asks, and what an answer to it claims.

A `convexdiff_lib.line.sample.Sample` is what was given, checked, sorted and tallied.  With a weight decay and
a kind of network it is a `LineProblem`, one of the eight programs.  A `SplineClaim` says that a linear spline
is its optimal score; `convexdiff_lib.line.spline_certificates` finds out whether that is true.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._validation import (
    Activation,
    FloatArray,
    as_activation,
    as_flag,
    as_weight_decay,
)
from ._double_double import DoubleDouble
from .sample import Sample, check_skip

__all__ = [
    "LineProblem",
    "SplineClaim",
    "TailPrices",
    "line_problem",
]


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


_NO_RESTS = TailPrices(0.0, 0.0)


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
    price_rests : TailPrices
        What rounding has cut off from them.

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
    price_rests: TailPrices = _NO_RESTS

    def at(self, beta: float) -> LineProblem:
        """Return the same problem at another weight decay."""
        return replace(self, beta=beta)

    def priced(self, right: DoubleDouble | float, left: DoubleDouble | float) -> LineProblem:
        """Return the problem with these prices of its outer slopes."""
        right, left = (
            price if isinstance(price, DoubleDouble) else DoubleDouble(price) for price in (right, left)
        )
        prices = TailPrices(float(right.high), float(left.high))
        return replace(self, prices=prices, price_rests=TailPrices(float(right.low), float(left.low)))

    @property
    def tail_prices(self) -> TailPrices:
        """Prices of the outer slopes, zero where these are free."""
        return self.prices or TailPrices(0.0, 0.0)

    @property
    def turn(self) -> float:
        """By how much a neuron of weight one changes the slope of the score at its kink."""
        return 1.0 if self.activation == "relu" else 2.0

    @cached_property
    def highest_prices(self) -> tuple[DoubleDouble, DoubleDouble]:
        """The prices of the outer slopes, right and left, from which a cap pays, with no rounding."""
        counted = self.counts[[-1, 0]] if self.targets is None else np.zeros(2)
        top = DoubleDouble(self.beta) * (0.5 if self.activation == "abs" and self.skip else 1.0)
        return top - float(counted[0]), top - float(counted[1])

    @cached_property
    def exact_prices(self) -> tuple[DoubleDouble, DoubleDouble]:
        """The prices, right and left, with no rounding where they are what numbers of points make them.

        That is at the highest price, and where neurons at both ends of the data cost the same.
        """
        right, left = (
            top if float(top.high) == price else DoubleDouble(price, rest)
            for price, rest, top in zip(self.tail_prices, self.price_rests, self.highest_prices, strict=True)
        )
        apart = (
            self.highest_prices[0] - self.highest_prices[1]
        )  # points at the first place less those at the last
        if self.tail_prices.right > self.tail_prices.left:
            right = tied if float((tied := left + apart).high) == self.tail_prices.right else right
        else:
            left = tied if float((tied := right - apart).high) == self.tail_prices.left else left
        return right, left

    @cached_property
    def end_room(self) -> tuple[DoubleDouble, DoubleDouble]:
        """How far each of the two ends of the data, left and right, keeps the beam's end below beta.

        Neurons there count the points at the end; with a price they pay for the slope on the other side.
        """
        right, left = self.exact_prices
        counted = self.counts[[0, -1]] if self.targets is None else np.zeros(2)
        return (left + float(counted[0])) * self.turn, (right + float(counted[1])) * self.turn

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
        right, left = self.exact_prices
        low = -beta - (right if (right - left).high <= 0 else left) * self.turn
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


def check_minimum(problem: LineProblem) -> None:
    """Raise a ValueError where score matching has no minimum."""
    if problem.targets is not None:
        return
    beta, activation, skip, counts = problem.beta, problem.activation, problem.skip, problem.counts
    check_skip(len(counts), skip)
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
