"""Rectangles of equal area under a density, so that most draws cost one uniform number and no comparison.

An interval is cut into strips, and under the density each strip holds a rectangle; all rectangles have one
area.  With the probability that all rectangles have together, a point of the density is uniform on one of
them: the whole part of a scaled uniform number names the rectangle, and the fraction is the place in it.  The
rest, about a percent, is drawn by rejection, so that the law is exact.  (The strips stand upright; the
ziggurat of Marsaglia and Tsang lays them flat, and needs one peak.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._validation import FloatArray

LogDensity = Callable[[FloatArray], FloatArray]

_STRIPS = 1 << 13  # two tables of 64 KiB, which stay in cache
_PASSES = 4  # each pass places the strips on a grid that holds the edges of the pass before
_STEEP = 2.0  # a strip on which the density varies by more than this factor is left out
_BLOCK = 1 << 13  # draws made at a time, so that temporaries stay in cache


@dataclass(frozen=True, eq=False)
class Strips:
    """Strips [left, left + width], each with a rectangle of one ``area`` on it, below the density.

    ``high`` bounds the density on each strip.  No strip covers the intervals from ``gap_left`` on, of width
    ``gap_width``, and what is outside the breaks.
    """

    left: FloatArray
    width: FloatArray
    high: FloatArray
    area: float
    gap_left: FloatArray
    gap_width: FloatArray

    @property
    def mass(self) -> float:
        """Area of all rectangles together."""
        return len(self.left) * self.area

    def draw(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, NDArray[np.intp], FloatArray]:
        """Return n points, uniform on the rectangles, and the indices of those that fell to the rest.

        These are to be replaced; with each comes the number, uniform in [mass, 1), that sent it there.
        """
        out = np.empty(n)
        size = min(_BLOCK, n)
        uniform, whole, scratch = np.empty(size), np.empty(size), np.empty(size)
        strips = np.empty(size, dtype=np.intp)
        rest, numbers = [np.empty(0, dtype=np.intp)], [np.empty(0)]
        for begin in range(0, n, _BLOCK):
            block = out[begin : begin + _BLOCK]
            m = len(block)
            place, k, wide, strip = uniform[:m], whole[:m], scratch[:m], strips[:m]
            rng.random(out=place)
            place /= self.area
            np.floor(place, out=k)
            np.copyto(strip, k, casting="unsafe")
            place -= k
            beyond = np.flatnonzero(strip >= len(self.left))
            if len(beyond):
                rest.append(begin + beyond)
                numbers.append((k[beyond] + place[beyond]) * self.area)
            # Out of range only where the place is replaced; the default mode would copy what it gathers.
            np.take(self.width, strip, out=wide, mode="clip")
            np.take(self.left, strip, out=block, mode="clip")
            place *= wide
            block += place
        return out, np.concatenate(rest), np.concatenate(numbers)

    def draw_above(self, n: int, log_density: LogDensity, rng: np.random.Generator) -> FloatArray:
        """Return n draws from what the density has on the strips above the rectangles, by rejection."""
        floor = self.area / self.width
        height = self.high - floor
        areas = np.cumsum(height * self.width)
        out = np.empty(n)
        done = 0
        while done < n:
            first, second, third = rng.random((3, n - done))
            strip = np.minimum(np.searchsorted(areas, first * areas[-1], side="right"), len(areas) - 1)
            x = self.left[strip] + second * self.width[strip]
            accepted = x[floor[strip] + third * height[strip] < np.exp(log_density(x))]
            out[done : done + len(accepted)] = accepted
            done += len(accepted)
        return out


def lay_strips(breaks: FloatArray, log_density: LogDensity) -> Strips:
    """Lay strips between the first and the last break; between neighbours the density must be monotone.

    Where the edges are decides how much falls to the rest, not the law: a rectangle is as low as it must be.
    """
    grid = breaks
    for _ in range(_PASSES):
        edges = _place_edges(grid, log_density(grid))
        grid = np.union1d(breaks, edges)
    values = np.exp(log_density(grid))
    at = np.searchsorted(grid, edges)
    low = np.minimum(np.minimum.reduceat(values, at[:-1]), values[at[1:]])
    high = np.maximum(np.maximum.reduceat(values, at[:-1]), values[at[1:]])
    width = np.diff(edges)
    room = np.where(high <= _STEEP * low, low * width, 0.0)
    # One area for all: a strip with less room is left out, so weigh the number of strips against the area.
    rooms = np.sort(room)[::-1]
    area = float(rooms[np.argmax(rooms * np.arange(1, len(rooms) + 1))])
    kept = room >= max(area, np.finfo(float).tiny)
    gap = ~np.repeat(kept, np.diff(at))
    return Strips(edges[:-1][kept], width[kept], high[kept], area, grid[:-1][gap], np.diff(grid)[gap])


def _place_edges(grid: FloatArray, log_values: FloatArray) -> FloatArray:
    """Place edges such that the rectangles between them have nearly one area a.

    A strip of width w on which the log-density varies by r holds a rectangle of area about p w - a r / 2, p
    being the density in its middle; so the integral of p - (a / 2) |d log p| rises by a from edge to edge.
    """
    values = np.exp(log_values)
    rise = np.abs(np.diff(log_values))
    # The trapezoidal rule; on a long slope, the exponential.
    mass = np.diff(grid) * (values[1:] + values[:-1]) / np.maximum(2.0, rise)
    room = np.maximum(mass - 0.5 * mass.sum() / _STRIPS * rise, 0.5 * mass)  # the next pass looks closer
    levels = np.concatenate([[0.0], np.cumsum(room)])
    inner = np.interp(np.linspace(0, levels[-1], _STRIPS + 1)[1:-1], levels, grid)
    return np.unique(np.concatenate([grid[:1], inner, grid[-1:]]))
