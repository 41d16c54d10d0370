r"""Solve a beam problem with very many points by way of ever finer ones.

A beam in a wide tube touches it at few points, whatever their number: the tube's width is a count of points.
What costs time is to find out which.  So the problem is first posed for every thousandth point, say, with the
mass of the others shared among them; then for every hundredth, from the points that touched; and so on.
Before a level is solved as a whole, it is solved with all its points near the touching ones, and every tenth
elsewhere.  So the last level, which is the problem itself, is read a few times only, and the answer is exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ._passes import shared
from ._validation import FloatArray
from .active_set import Spline, descend, end_states, nearest_state
from .beam import Beam, Tube, straight_beam

__all__ = ["candidates", "coarsen"]

_COARSEST = 200
_FACTOR = 10
_AROUND = 2 * _FACTOR
_LOOKS = 4


def candidates(tube: Tube, start: Beam | None = None) -> Iterator[Beam]:
    """Yield ever better solutions; the last one is exact to rounding, unless the rounds ran out.

    Parameters
    ----------
    tube : Tube
        With at least two distinct points.
    start : Beam, optional
        The solution of a similar problem: the same points, another weight decay.

    Yields
    ------
    Beam

    Examples
    --------
    >>> import numpy as np
    >>> from convexdiff_lib.beam import score_matching_tube
    >>> x = np.sort(np.random.default_rng(0).normal(size=5000))
    >>> tube = score_matching_tube(x, np.ones(5000), 500.0, activation="relu", skip=False)
    >>> bool(len([beam.knots for beam in candidates(tube)][-1]) <= 10)
    True
    """
    if start is None:
        *finer, level = _levels(tube)
        straight = straight_beam(level)
        guess = _Guess(straight.knots, straight.kinks, _height(level, straight))
        for finer_level in reversed(finer):
            guess = _settled(level, guess)
            guess = _Guess(guess.touching * _FACTOR, guess.side, guess.height)
            level = finer_level
            guess = _settled_nearby(level, guess)
    else:
        guess = _Guess(start.knots, np.sign(start.kinks), _height(tube, start))
        if len(start.knots):
            guess = _settled_nearby(tube, guess)
    for spline, values, _ in descend(_posed(tube, guess), guess.height):
        yield spline.beam(values)


@dataclass(frozen=True)
class _Guess:
    """Which points touch, from which side, and the height of the beam's end less its level."""

    touching: np.ndarray
    side: FloatArray
    height: float


def _height(tube: Tube, beam: Beam) -> float:
    """The height of the beam's end less its level, but for rounding."""
    return float((tube.counts * beam.z) @ (tube.points - tube.points[0])) / tube.unit - tube.level


def _posed(tube: Tube, guess: _Guess) -> Spline:
    """Pose the problem in which these points touch."""
    side = np.zeros(len(tube.points) - 2, dtype=np.int8)
    side[guess.touching - 1] = guess.side
    chain = end_states(tube)
    return Spline(tube, side, chain, nearest_state(chain, guess.height, tube.scale))


def _settled(tube: Tube, guess: _Guess) -> _Guess:
    """Solve the problem from a guess."""
    for spline, _, height in descend(_posed(tube, guess), guess.height):
        guess = _Guess(spline.touching, spline.sign, height)
    return guess


def _settled_nearby(tube: Tube, guess: _Guess) -> _Guess:
    """Solve the problem with all points near the touching ones, and every tenth elsewhere.

    What touches elsewhere is looked at more closely in its turn.
    """
    for _ in range(_LOOKS):
        window = guess.touching[:, None] + np.arange(-_AROUND, _AROUND + 1)
        kept = np.zeros(len(tube.points), dtype=bool)
        kept[_every_tenth(tube)] = True
        kept[np.clip(window, 0, len(kept) - 1)] = True
        index = np.flatnonzero(kept)
        if len(index) > len(kept) / 2:
            return guess
        at = np.searchsorted(index, guess.touching)
        among = _settled(coarsen(tube, index), replace(guess, touching=at))
        guess = replace(among, touching=index[among.touching])
        if np.isin(guess.touching, window[:, 1:-1]).all():
            break
    return guess


def _levels(tube: Tube) -> list[Tube]:
    """From fine to coarse; every level keeps some of the points of the one before."""
    levels = [tube]
    while len(levels[-1].points) > _FACTOR * _COARSEST:
        levels.append(coarsen(levels[-1], _every_tenth(levels[-1])))
    return levels


def _every_tenth(tube: Tube) -> np.ndarray:
    last = len(tube.points) - 1
    return np.append(np.arange(0, last, _FACTOR), last)


def coarsen(tube: Tube, index: np.ndarray) -> Tube:
    """Return the tube among some of its points, the first and the last among them.

    The mass of a point that is left out, and its target, is shared by its two neighbours as a linear spline
    would share it.

    Examples
    --------
    >>> import numpy as np
    >>> from convexdiff_lib.beam import score_matching_tube
    >>> tube = score_matching_tube(np.arange(5.0), np.ones(5), 2.0, activation="relu", skip=False)
    >>> coarsen(tube, np.array([0, 2, 4])).counts.tolist()
    [1.5, 2.0, 1.5]
    """
    if len(index) == len(tube.points):
        return tube
    counts = shared(tube.points, tube.counts, index)
    if tube.has_targets:
        targets = shared(tube.points, tube.counts * tube.targets, index) / counts
    else:
        targets = np.zeros(len(index))
    return replace(
        tube,
        points=tube.points[index],
        counts=counts,
        centre=tube.centre[index],
        half_width=tube.half_width[index],
        targets=targets,
        pair=None,
    )
