"""The beam of a claimed spline: on the wall of its tube where it should touch, bent like the data between.

`convexdiff_lib.line.spline_certificates` says why, and reads off how far the spline is from the optimum.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._validation import FloatArray
from ._double_double import DoubleDouble, Number, rounded
from ._spline_passes import Sums, add_up, look, look_exactly
from .problem import LineProblem, SplineClaim

__all__ = ["EPS", "WallBeam", "fall", "padded", "pinned", "size_of", "thread", "tightest", "values_at"]

EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class WallBeam:
    """The beam of a claim: on the wall at its contacts, bent like target minus score between them.

    ``tall`` is for every piece the size of the numbers that its rise is a difference of.
    """

    problem: LineProblem
    at: np.ndarray
    sides: FloatArray
    offset: Number
    lengths: Number
    values: Number
    sums: Sums
    heights: Number
    slopes: Number  # at the right ends of the pieces
    defects: Number
    tall: FloatArray

    @property
    def exactly(self) -> bool:
        """Whether its numbers are double-doubles."""
        return isinstance(self.offset, DoubleDouble)

    @cached_property
    def _unit(self) -> float:
        return 64 * EPS * EPS if self.exactly else EPS

    @cached_property
    def _bent(self) -> FloatArray:
        """How large the numbers are that the change of slope over a piece is made of."""
        sums, size = self.sums, np.abs(rounded(self.values))
        before, after = size[:-1], size[1:]
        pulls = np.sqrt(sums.mass * sums.squares)
        bent = before * rounded(sums.left + sums.mixed) + after * rounded(sums.mixed + sums.right) + pulls
        # In double-doubles the sums are differences of sums of distances.
        return bent + (before + after) * sums.mass if self.exactly else bent

    @cached_property
    def noise(self) -> FloatArray:
        """How well the defects are known."""
        steep = self.tall / rounded(self.lengths) + self._bent
        targets = np.abs(self.problem.aims[self.at])
        own = self.problem.counts[self.at] * (np.abs(rounded(self.values)) + targets)
        return 16 * self._unit * (_edged(steep, 1) + _edged(steep, 0) + own)

    @cached_property
    def blur(self) -> FloatArray:
        """How well the heights on every piece are known."""
        level = np.abs(rounded(self.heights))
        risen = rounded(self.lengths) * (np.abs(rounded(self.slopes)) + self._bent)
        reach = level[:-1] + level[1:] + self.problem.radius + risen
        return self._unit * (16 + np.sqrt(np.diff(self.at))) * reach


def _number(exactly: bool, high: FloatArray | float, low: FloatArray | float = 0.0) -> Number:
    return DoubleDouble(high, low) if exactly else np.asarray(high) + low


def thread(
    problem: LineProblem, claim: SplineClaim, at: np.ndarray, sides: FloatArray, exactly: bool
) -> WallBeam:
    """Put the beam on the walls at these contacts, and read off its defects."""
    offset, radius = _number(exactly, claim.offset, claim.offset_rest), _number(exactly, problem.radius)
    lengths = _number(exactly, problem.points[at[1:]]) - problem.points[at[:-1]]
    values = values_at(problem, claim, at, exactly=exactly)
    sums = add_up(problem, at, lengths, exactly)
    counts, centre = problem.counts[at], problem.centre[at]
    tilts, walls = problem.tilts(sides, claim.lean), padded(sides, 1, 1)
    centre[0], centre[-1] = problem.level, 0.0
    narrower = problem.share * walls * counts
    heights = offset * tilts + radius * walls + centre - narrower
    # Differences of heights term by term: what is equal on both sides cancels before anything is rounded.
    rises = offset * fall(tilts) + radius * fall(walls) + fall(centre) - fall(narrower)
    tall = abs(claim.offset) * np.abs(fall(tilts)) + problem.radius * np.abs(fall(walls))
    if problem.prices:
        for price, share in zip(problem.exact_prices, _price_shares(len(at)), strict=True):
            heights = heights + _number(exactly, price.high, price.low) * share
            rises = rises + _number(exactly, price.high, price.low) * fall(share)
            tall += price.high * np.abs(fall(share))
    first, last = values[:-1], values[1:]
    chords = rises / lengths
    left = chords + sums.pulled_left - (first * sums.left + last * sums.mixed)
    right = chords - sums.pulled_right + (first * sums.mixed + last * sums.right)
    defects = _edged(right, 1) - _edged(left, 0) - (problem.aims[at] - values) * counts
    tall += np.abs(fall(centre))
    return WallBeam(problem, at, sides, offset, lengths, values, sums, heights, right, defects, tall)


def _price_shares(number: int) -> tuple[FloatArray, FloatArray]:
    """Which heights have the price of the right outer slope in them, all but the last, and of the left."""
    right, left = np.ones(number), np.zeros(number)
    right[-1], left[0] = 0.0, 1.0
    return right, left


def values_at(problem: LineProblem, claim: SplineClaim, at: np.ndarray, *, exactly: bool) -> Number:
    """Return a claimed score at some points: as claimed at its knots, on straight lines in between.

    Parameters
    ----------
    problem : LineProblem
    claim : SplineClaim
    at : int array of shape (q,)
        Indices of points.
    exactly : bool
        In double-double numbers.

    Examples
    --------
    >>> from convexdiff_lib.line.problem import line_problem
    >>> problem = line_problem(range(3), 1.0)
    >>> ends, values = np.array([0, 2]), np.array([1.0, -1.0])
    >>> claim = SplineClaim(ends, np.zeros(0), values, np.zeros(2), -1.0, 0.0, -1)
    >>> values_at(problem, claim, np.arange(3), exactly=False).tolist()
    [1.0, 0.0, -1.0]
    """
    knots, points = claim.knots, problem.points
    values = _number(exactly, claim.values, claim.rests)
    if len(at) == len(knots) and (at == knots).all():
        return values
    piece = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 2)
    start, end = knots[piece], knots[piece + 1]
    ahead = _number(exactly, points[at]) - points[start]
    ahead = ahead / (_number(exactly, points[end]) - points[start])
    return values[piece] + (values[piece + 1] - values[piece]) * ahead


def fall(values: FloatArray) -> FloatArray:
    """By how much each is above the next."""
    return values[:-1] - values[1:]


def _edged(pieces: Number, shift: int) -> Number:
    """From pieces to contacts: to the one on the left of each piece (0) or on its right (1); else zero."""
    if isinstance(pieces, DoubleDouble):
        return DoubleDouble(padded(pieces.high, shift, 1 - shift), padded(pieces.low, shift, 1 - shift))
    return padded(pieces, shift, 1 - shift)


def padded(values: FloatArray, before: int, after: int) -> FloatArray:
    """Put zeros before and after; `numpy.pad` takes longer than all else for few values."""
    return np.concatenate([np.zeros(before), values, np.zeros(after)])


@dataclass(frozen=True, eq=False)
class Tight:
    """Points that have no room for the beam's side but for rounding, at most one for each piece and side."""

    points: np.ndarray
    sides: FloatArray
    rooms: FloatArray
    blur: FloatArray

    @property
    def excess(self) -> float:
        """By how much the beam may be outside its tube."""
        return float(np.max(self.blur - self.rooms, initial=0.0))


def tightest(beam: WallBeam) -> Tight:
    """Compare the beam with the walls of its tube between its contacts."""
    problem = beam.problem
    pieces = np.arange(len(beam.at) - 1)
    coarse = beam.blur / (64 * EPS) if beam.exactly else beam.blur
    axis = beam.offset * (0.0 if problem.skip else 0.5)
    narrower = size_of(axis) if problem.activation == "relu" else axis * 0.0
    data = (problem.points, problem.counts, problem.aims, problem.centre, problem.radius, problem.share)
    heights = beam.heights
    if problem.prices:  # as if the centre of the tube had none in it
        heights = heights - (problem.exact_prices[0] if beam.exactly else problem.prices.right)
    line = (rounded(beam.values), rounded(heights), rounded(beam.slopes))
    found = _tight(
        pieces, coarse, *look(*data, float(rounded(axis)), float(rounded(narrower)), beam.at, *line)
    )
    if not beam.exactly or not len(found.points):
        return found
    pieces = np.unique(np.searchsorted(beam.at, found.points) - 1)
    inclines = (beam.values[1:] - beam.values[:-1]) / beam.lengths
    lines = (_pairs(beam.values), _pairs(inclines), _pairs(heights), _pairs(beam.slopes))
    shift = (_pair(axis), _pair(narrower))
    return _tight(pieces, beam.blur[pieces], *look_exactly(*data, *shift, pieces, beam.at, *lines))


def size_of(number: Number) -> Number:
    return -number if rounded(number) < 0 else number


def _pair(number: Number) -> tuple[float, float]:
    return (
        (float(number.high), float(number.low)) if isinstance(number, DoubleDouble) else (float(number), 0.0)
    )


def _pairs(numbers: Number) -> FloatArray:
    assert isinstance(numbers, DoubleDouble)
    return np.stack([numbers.high, numbers.low], axis=1)


def _tight(pieces: np.ndarray, blur: FloatArray, where: np.ndarray, rooms: FloatArray) -> Tight:
    """Pick the places where there is no room; both are given for every piece and side, top first."""
    blur = np.repeat(blur, 2)
    some = (where >= 0) & (rooms <= blur)
    order = np.argsort(where[some], kind="stable")
    sides = np.tile([1.0, -1.0], len(pieces))[some][order]
    points = where[some][order]
    once = np.append(True, points[1:] != points[:-1]) if len(points) else np.zeros(0, dtype=bool)
    return Tight(points[once], sides[once], rooms[some][order][once], blur[some][order][once])


def pinned(claim: SplineClaim, beam: WallBeam, more: Tight) -> WallBeam:
    """Put the beam on the wall at some more points."""
    inner = np.concatenate([beam.at[1:-1], more.points])
    order = np.argsort(inner)
    at = np.concatenate([beam.at[:1], inner[order], beam.at[-1:]])
    sides = np.concatenate([beam.sides, more.sides])[order]
    return thread(beam.problem, claim, at, sides, beam.exactly)
