r"""Give modes that lie apart the weights that the data have, where score matching cannot see them.

The ratio of the masses on the two sides of a gap is the exponential of the integral of the score through it.
No data lie in the gap, and the training loss looks at the score and its slope where data are.  A hat in the
gap, added to the score, changes neither at any point; its area shifts the log-density on one side against the
other.  So no score-matching loss can tell what the weights of the modes are, and counting points can.

`weigh_modes` adds a hat in every gap that is too wide for chance, so that each piece between such gaps gets
its share of the points.  The outcome is a piecewise-linear score again, with the density, the distribution
function and the samples that belong to one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .._results import result
from .._validation import FloatArray, as_positive
from ..certificates import NotCertifiedError
from ._cells import cut, log_masses
from .piecewise_linear import PiecewiseLinearScore
from .sample import Sample

__all__ = ["WeighedModes", "weigh_modes"]

_FEW = 5  # distinct points that a piece has at least: fewer say little about its spacing
_CHANCE = 0.05  # that one of the spacings of evenly spread points is as wide as a gap that is cut
_MIDDLE = 0.25  # of a gap that is left free at either end
_STEPS = 200
_SAME, _ROUNDING = 1e-12, 64 * float(np.finfo(np.float64).eps)


@result
class WeighedModes:
    r"""A score whose density gives the modes apart from each other the weights of the data.

    Parameters
    ----------
    density : PiecewiseLinearScore
        The score with hats in the gaps, and everything about its density; the score as it was, where there is
        no gap to cut.
    cuts : array of shape (K,)
        Where the density is lowest in the middle half of a gap, increasing.
    gaps : array of shape (K, 2)
        The neighbouring points between which they lie.
    shares : array of shape (K + 1,)
        Of the points in each piece, from left to right: its mass now.
    masses : array of shape (K + 1,)
        The masses before.

    Examples
    --------
    >>> import numpy as np
    >>> from convexdiff_lib import score_matching
    >>> x = np.append(np.linspace(-9.0, -7.0, 30), np.linspace(5.0, 8.0, 10))
    >>> weighed = weigh_modes(score_matching(x, 3.0, inward_tails=True).score, x)
    >>> weighed.gaps.tolist(), weighed.shares.tolist()
    ([[-7.0, 5.0]], [0.75, 0.25])
    >>> float(weighed.density.cdf(weighed.cuts[0]).round(9))
    0.75
    """

    density: PiecewiseLinearScore
    cuts: FloatArray
    gaps: FloatArray
    shares: FloatArray
    masses: FloatArray


def weigh_modes(
    score: PiecewiseLinearScore,
    x: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    smallest: float = 0.05,
) -> WeighedModes:
    r"""Give each piece of a density, cut in real gaps of the data, its share of the points.

    A gap between neighbouring points is cut if the pieces on both sides hold the share ``smallest`` of the
    points and at least 5 distinct ones, and if it is at least :math:`\log(20\,m)` times as long as the mean
    distance between neighbours on either side, with m the number of distinct points: of m spacings of mean
    one that are exponentially distributed, one is as long with a probability below 5 %.  The widest comes
    first, then those of the two pieces.  Repeated points count once there, so that a tie is no piece.

    The score and its slope at every point stay as they are, and with them the training loss but for the
    weight decay.

    Parameters
    ----------
    score : PiecewiseLinearScore
        With a density; that of a fit is its ``score``.
    x : array of shape (n,)
        The data; any order, ties allowed.
    sample_weight : array of shape (n,), optional
        How often each point counts.
    smallest : float
        Share of the points that a piece holds at least; above 0, and 1 or more leaves all as it is.

    Returns
    -------
    WeighedModes

    Raises
    ------
    ValueError
        If an argument is malformed, or the score has no density.
    NotCertifiedError
        If the masses do not come out as the shares.

    Examples
    --------
    Two unit Gaussians 20 apart, with 500 points each.

    >>> import numpy as np
    >>> from convexdiff_lib import paper_mixture, score_matching
    >>> x = paper_mixture().sample(1000, np.random.default_rng(1))
    >>> weighed = weigh_modes(score_matching(x, 20.0).score, x)
    >>> weighed.masses.round(3).tolist(), weighed.shares.tolist()
    ([0.014, 0.986], [0.5, 0.5])
    """
    sample, least = Sample.of(x, None, sample_weight), as_positive(smallest, "smallest")
    if reason := score.why_not_normalisable():
        raise ValueError(f"there is no density whose modes could be weighed: {reason}")
    below = np.array(sorted(_real_gaps(sample, least)), dtype=np.intp)
    cuts = _Cuts(sample, _lowest(score, sample.points[below - 1], sample.points[below]), below)
    shares = cuts.weights / cuts.weights.sum()
    if not len(cuts.places):
        return WeighedModes(score, cuts.places, np.empty((0, 2)), shares, np.ones(1))
    before = _log_shares(score, cuts.places)
    return WeighedModes(
        _balanced(score, cuts, np.log(shares), before), cuts.places, cuts.gaps, shares, np.exp(before)
    )


@dataclass(frozen=True, eq=False)
class _Cuts:
    """Places where a density is cut, each with the number of distinct points to the left of it."""

    sample: Sample
    places: FloatArray
    below: np.ndarray

    @property
    def gaps(self) -> FloatArray:
        """The neighbouring points on the two sides."""
        points = self.sample.points
        return np.stack([points[self.below - 1], points[self.below]], axis=1)

    @property
    def half_widths(self) -> FloatArray:
        """Of hats that stay clear of the data."""
        return 0.5 * np.min(np.abs(self.gaps - self.places[:, None]), axis=1)

    @property
    def weights(self) -> FloatArray:
        """What the points of each piece weigh together."""
        return np.add.reduceat(self.sample.counts, np.append(0, self.below))


def _real_gaps(sample: Sample, least: float) -> list[int]:
    """Return how many distinct points lie below each gap that is cut."""
    points = sample.points
    total = np.append(0.0, np.cumsum(sample.counts))
    wide, enough = np.log(len(points) / _CHANCE), least * total[-1] * (1 - _ROUNDING)
    found, pieces = [], [(0, len(points))]
    while pieces:
        first, end = pieces.pop()
        k = np.arange(first + _FEW, end - _FEW + 1)
        k = k[(total[k] - total[first] >= enough) & (total[end] - total[k] >= enough)]
        if not len(k):
            continue
        left = (points[k - 1] - points[first]) / (k - 1 - first)
        right = (points[end - 1] - points[k]) / (end - 1 - k)
        widths = (points[k] - points[k - 1]) / np.maximum(left, right)
        at = int(np.argmax(widths))
        if widths[at] >= wide:
            found.append(int(k[at]))
            pieces += [(first, found[-1]), (found[-1], end)]
    return found


def _lowest(score: PiecewiseLinearScore, low: FloatArray, high: FloatArray) -> FloatArray:
    """Return where the density is lowest in the middle half of each interval."""
    room = _MIDDLE * (high - low)
    begin, end = low + room, high - room
    values = score.values
    rising = np.flatnonzero((values[:-1] < 0) & (values[1:] > 0))
    minima = score.knots[rising] - values[rising] / score.slopes[rising + 1]
    candidates = [[a, b, *minima[(a < minima) & (minima < b)]] for a, b in zip(begin, end, strict=True)]
    return np.array([places[int(np.argmin(score.integral(places)))] for places in candidates])


def _log_shares(score: PiecewiseLinearScore, places: FloatArray) -> FloatArray:
    """Return the logarithms of the masses of the pieces, however small they are."""
    split = _with_hats(score, places, np.zeros(len(places)), np.zeros(len(places)))
    cells = cut(split)
    logs = split.integral(cells.start) + log_masses(cells.value, cells.slope, cells.width)
    owner = np.where(cells.facing < 0, 0, np.searchsorted(places, cells.start, side="right"))
    pieces = np.full(len(places) + 1, -np.inf)
    np.logaddexp.at(pieces, owner, logs)
    return pieces - np.logaddexp.reduce(pieces)


def _with_hats(
    score: PiecewiseLinearScore, places: FloatArray, half_widths: FloatArray, areas: FloatArray
) -> PiecewiseLinearScore:
    """Add hats to a score; those of no width are knots where nothing bends."""
    knots = np.unique(np.concatenate([score.knots, places - half_widths, places, places + half_widths]))
    values = score(knots)
    values[np.isin(knots, score.knots)] = score.values  # to the last digit
    for place, half, area in zip(places, half_widths, areas, strict=True):
        if not half:
            continue
        under = (place - half < knots) & (knots < place + half)
        values[under] += area * (half - np.abs(knots[under] - place)) / half**2
    return PiecewiseLinearScore(knots, values, score.left_slope, score.right_slope)


def _balanced(
    score: PiecewiseLinearScore, cuts: _Cuts, goal: FloatArray, before: FloatArray
) -> PiecewiseLinearScore:
    """Find the areas of the hats.

    A hat moves the logarithm of the ratio of the masses beside it by nearly its area, and never by more, so
    what is missing is added until nothing is.
    """
    areas, logs = np.zeros(len(cuts.places)), before
    for _ in range(_STEPS):
        areas += np.diff(goal - logs)
        found = _with_hats(score, cuts.places, cuts.half_widths, areas)
        logs = _log_shares(found, cuts.places)
        noise = _ROUNDING * np.abs(found.integral(found.knots)).max()
        if np.abs(logs - goal).max() <= max(_SAME, noise):
            return found
    raise NotCertifiedError(
        f"after {_STEPS} steps the masses are {np.exp(logs)} where the shares are {np.exp(goal)}"
    )
