r"""Solve a beam problem with very many points by way of smaller ones.

A beam in a wide tube touches it at few points, whatever their number: the tube's width is a count of points.
What costs time is to find out which.  So the problem is first posed for few of the points, with the mass of
the others shared among them, then for ten times as many, from the points that touched, and so on.  A large
problem is looked at as a whole only to see where its beam would be outside; then it is solved with all points
there and near the touching ones, and every hundredth elsewhere, and looked at again.  So the problem itself
is read a few times only, and the answer is exact.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from .._validation import FloatArray
from ._exchange import shared
from ._passes import near
from .active_set import Spline, descend, nearest_state
from .beam import Tube

__all__ = ["Solution", "coarsen", "solve_by_levels"]

_LARGE, _FACTOR = 15_000, 10
_SMALL, _FEW_FIRST = 2000, 9
_AROUND, _ELSEWHERE = 50, 100
_LOOKS, _FEW = 6, 40


@dataclass(frozen=True, eq=False)
class _Contacts:
    """Which points of a tube its beam touches, and where the beam ends.

    ``touching`` are indices of interior points, ``side`` is +1 where the beam touches the top and -1 at the
    bottom; the end has a height above its level and a state, see `convexdiff_lib.line.beam.end_states`.
    """

    touching: np.ndarray
    side: FloatArray
    height: float
    state: int


@dataclass(frozen=True, eq=False)
class Solution:
    """The best spline: exact to rounding, unless the rounds ran out.

    Parameters
    ----------
    spline : Spline
    values : array of shape (K + 2,)
        Its knot values.
    height : float
        The height of the beam's end less its level.

    Examples
    --------
    >>> from convexdiff_lib.line.problem import line_problem
    >>> from convexdiff_lib.line.beam import tube_of
    >>> tube = tube_of(line_problem(range(3), 2.0))
    >>> solve_by_levels(tube).values.round(6).tolist()
    [0.75, -0.75]
    """

    spline: Spline
    values: FloatArray
    height: float

    @property
    def contacts(self) -> _Contacts:
        """What the beam touches."""
        return _Contacts(self.spline.touching, self.spline.sign, self.height, self.spline.state)


def solve_by_levels(tube: Tube, before: Solution | None = None) -> Solution:
    """Solve a beam problem.

    Parameters
    ----------
    tube : Tube
        With at least two distinct points.
    before : Solution, optional
        Of a similar problem: the same points, another weight decay.

    Returns
    -------
    Solution

    Examples
    --------
    >>> from convexdiff_lib.line.problem import line_problem
    >>> from convexdiff_lib.line.beam import tube_of
    >>> x = np.sort(np.random.default_rng(0).normal(size=5000))
    >>> tube = tube_of(line_problem(x, 500.0))
    >>> bool(len(solve_by_levels(tube).spline.touching) <= 10)
    True
    """
    if before is not None:
        state = min(before.spline.state, len(tube.chain) - 1)
        return _solved(before.spline.again(tube, state), before.height)
    *finer, level = _levels(tube)
    found = _from_nothing(level)
    for finer_level in reversed(finer):
        seen = found.contacts
        start = replace(seen, touching=seen.touching * _FACTOR)
        start = _among_nearby(finer_level, start, start.touching)
        found = _solved(_posed(finer_level, start), start.height)
    return found


def _from_nothing(tube: Tube) -> Solution:
    """Solve a small problem, first among few of its points."""
    height = _height_of_constant(tube)
    if len(tube.points) < _SMALL:
        ends = np.array([0, len(tube.points) - 1])
        return _descended(Spline(tube, ends, np.zeros(0), nearest_state(tube, height)), height)
    seen = _from_nothing(coarsen(tube, _every(tube, _FEW_FIRST))).contacts
    return _descended(_posed(tube, replace(seen, touching=seen.touching * _FEW_FIRST)), seen.height)


def _descended(spline: Spline, height: float) -> Solution:
    """The end of a descent."""
    ever_better = deque(descend(spline, height), maxlen=1)
    return Solution(*(ever_better[0] if ever_better else (spline, *spline.minimise())))


def _height_of_constant(tube: Tube) -> float:
    """The height of the beam's end less its level, if the score is constant."""
    if not tube.has_targets:
        return -tube.level
    return float(tube.pulls @ (tube.points - tube.points[0])) / tube.unit - tube.level


def _solved(spline: Spline, height: float) -> Solution:
    """Solve the problem: where points turn out to be outside, among the points near them first."""
    tube = spline.tube
    for _ in range(_LOOKS if _is_large(tube) else 0):
        values, height = spline.minimise()
        found = spline.conflicts(values, height)
        if not found.number and not found.move:
            return Solution(spline, values, height)
        alone = 0 < found.number == found.turned.sum() + len(found.entering)
        if alone or (tube.blocks is not None and 0 < found.number < _FEW):
            # By a hair: a smaller problem is too coarse to tell; or it takes longer than another look.
            spline = spline.changed(found.turned, found.entering, found.side)
            continue
        seen = Solution(spline, values, height).contacts
        contacts = _among_nearby(tube, seen, np.concatenate([seen.touching, found.entering]))
        spline, height = _posed(tube, contacts), contacts.height
        if np.array_equal(seen.touching, contacts.touching):
            break
    return _descended(spline, height)


def _posed(tube: Tube, start: _Contacts) -> Spline:
    """Pose the problem in which these points touch."""
    knots = np.concatenate([[0], start.touching, [len(tube.points) - 1]])
    return Spline(tube, knots, start.side, min(start.state, len(tube.chain) - 1))


def _among_nearby(tube: Tube, start: _Contacts, places: np.ndarray) -> _Contacts:
    """Solve the problem with all points near these places and the ends, and every hundredth elsewhere."""
    index = near(places, len(tube.points), _AROUND, _ELSEWHERE)  # in the tails points stand far apart
    if len(index) > len(tube.points) / 4:
        return start
    at = np.searchsorted(index, start.touching)
    level = coarsen(tube, index)
    contacts = _solved(_posed(level, replace(start, touching=at)), start.height).contacts
    return replace(contacts, touching=index[contacts.touching])


def _levels(tube: Tube) -> list[Tube]:
    """From fine to coarse; every level keeps some of the points of the one before."""
    levels = [tube]
    while _is_large(levels[-1]):
        levels.append(coarsen(levels[-1], _every(levels[-1], _FACTOR)))
    return levels


def _is_large(tube: Tube) -> bool:
    return len(tube.points) > _LARGE


def _every(tube: Tube, stride: int) -> np.ndarray:
    last = len(tube.points) - 1
    return np.append(np.arange(0, last, stride), last)


def coarsen(tube: Tube, index: np.ndarray) -> Tube:
    """Return the tube among some of its points, the first and the last among them.

    The mass of a point that is left out, and its target, is shared by its two neighbours as a linear spline
    would share it.

    Examples
    --------
    >>> from convexdiff_lib.line.problem import line_problem
    >>> import numpy as np
    >>> from convexdiff_lib.line.beam import tube_of
    >>> tube = tube_of(line_problem(range(5), 2.0))
    >>> coarsen(tube, np.array([0, 2, 4])).counts.tolist()
    [1.5, 2.0, 1.5]
    """
    if len(index) == len(tube.points):
        return tube
    counts = shared(tube.points, tube.counts, index)
    targets = shared(tube.points, tube.pulls, index) / counts if tube.has_targets else np.zeros(len(index))
    return replace(
        tube,
        points=tube.points[index],
        counts=counts,
        centre=tube.centre[index],
        half_width=tube.half_width[index],
        targets=targets,
        blocks=None,
    )
