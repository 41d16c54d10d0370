r"""Solve a beam problem with very many points by way of ever finer ones.

A beam in a wide tube touches it at few points, whatever their number: the tube's width is a count of points.
What costs time is to find out which.  So the problem is first posed for every thousandth point, say, with the
mass of the others shared among them, and solved by an interior-point method; then for every hundredth, by
`convexdiff_lib.active_set` from the points that touched; and so on.  On each level that ends after a few
dozen rounds, and each round reads the data a few times.  The last level is the problem itself, so the answer
is exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ._validation import FloatArray
from .active_set import Spline, descend, first_spline
from .beam import Beam, Tube, solve_beam

__all__ = ["candidates", "coarsen"]

_COARSEST = 50
_FACTOR = 10


def candidates(tube: Tube) -> Iterator[Beam]:
    """Yield ever better solutions; the last one is exact to rounding, unless the rounds ran out.

    Parameters
    ----------
    tube : Tube
        With at least two distinct points.

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
    first, *finer = _strides(tube)
    index, level = coarsen(tube, first)
    spline, values = first_spline(level, *solve_beam(level))
    for stride in finer:
        for better in descend(spline, values):
            spline, values = better
        index, spline = _refined(tube, index, spline, stride)
    for last, heights in descend(spline, values):
        yield last.beam(heights)


def _strides(tube: Tube) -> list[int]:
    """From coarse to fine; every level contains the points of the one before."""
    strides = [1]
    while len(tube.points) > _COARSEST * strides[0] * _FACTOR:
        strides.insert(0, strides[0] * _FACTOR)
    return strides


def _refined(tube: Tube, index: np.ndarray, spline: Spline, stride: int) -> tuple[np.ndarray, Spline]:
    """The same spline among more points."""
    finer, between = coarsen(tube, stride)
    side = np.zeros(len(finer) - 2, dtype=np.int8)
    side[np.searchsorted(finer, index[spline.touching]) - 1] = spline.sign
    return finer, Spline(between, side, spline.chain, spline.state)


def coarsen(tube: Tube, stride: int) -> tuple[np.ndarray, Tube]:
    """Keep every ``stride``-th point and the last; return their indices and the tube among them.

    The mass of a point that is left out, and its target, is shared by its two neighbours as a linear spline
    would share it.

    Examples
    --------
    >>> import numpy as np
    >>> from convexdiff_lib.beam import score_matching_tube
    >>> tube = score_matching_tube(np.arange(5.0), np.ones(5), 2.0, activation="relu", skip=False)
    >>> index, coarse = coarsen(tube, 2)
    >>> index.tolist(), coarse.counts.tolist()
    ([0, 2, 4], [1.5, 2.0, 1.5])
    """
    last = len(tube.points) - 1
    if stride == 1:
        return np.arange(last + 1), tube
    index = np.append(np.arange(0, last, stride), last)
    lengths = np.diff(index)
    lengths[-1] += 1
    gaps = tube.distance(index[:-1], index[1:])
    offset = (tube.points - np.repeat(tube.points[index[:-1]], lengths)) / tube.unit
    weight = offset / np.repeat(gaps, lengths)

    def shared(mass: FloatArray) -> FloatArray:
        sums = np.zeros(len(index))
        sums[:-1] = np.add.reduceat(mass * (1 - weight), index[:-1])
        sums[1:] += np.add.reduceat(mass * weight, index[:-1])
        return sums

    counts = shared(tube.counts)
    return index, replace(
        tube,
        points=tube.points[index],
        counts=counts,
        centre=tube.centre[index],
        half_width=tube.half_width[index],
        targets=shared(tube.counts * tube.targets) / counts,
        pair=None,
    )
