"""Passes over the data that examining a spline needs: sums on every piece, and the beam on its way.

Each is there twice, in doubles and in double-double numbers, which are pairs (high, low) here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._compiled import compiled, compiled_sum
from .._validation import FloatArray
from ._double_double import DoubleDouble, Number
from .problem import LineProblem

_BLOCK = 256  # so many terms are added one by one, then their sums


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over the points strictly between two neighbours of a list, one entry for each pair.

    With w the distance of a point from the left one, over that between the two: of k (1 - w)^2, k w (1 - w),
    k w^2, k l (1 - w), k l w; and of k and k l^2.
    """

    left: Number
    mixed: Number
    right: Number
    pulled_left: Number
    pulled_right: Number
    mass: FloatArray
    squares: FloatArray


def add_up(problem: LineProblem, at: np.ndarray, lengths: Number, exactly: bool) -> Sums:
    """Sum over the points between neighbouring contacts."""
    has_targets = problem.targets is not None
    if not exactly:
        sums = _sums(problem.points, problem.counts, problem.aims, has_targets, at)
        return Sums(*sums)
    moments = _moments(problem.points, problem.counts, problem.aims, has_targets, at)
    mass, squares = moments[8], moments[9]
    # Of k u, k u^2, k l, k l u with u the distance from the left contact.
    once, twice, pulled, pulled_once = (DoubleDouble(moments[j], moments[j + 1]) for j in (0, 2, 4, 6))
    first, second = once / lengths, twice / lengths / lengths
    on_right = pulled_once / lengths
    return Sums(
        left=mass - first * 2.0 + second,
        mixed=first - second,
        right=second,
        pulled_left=pulled - on_right,
        pulled_right=on_right,
        mass=mass,
        squares=squares,
    )


@compiled_sum
def _sums(
    points: FloatArray, counts: FloatArray, targets: FloatArray, has_targets: bool, at: np.ndarray
) -> FloatArray:
    """Sum what `Sums` says over the points strictly between neighbouring contacts, one row for each sum."""
    out = np.zeros((7, len(at) - 1))
    for p in range(len(at) - 1):
        start = points[at[p]]
        per_length = 1 / (points[at[p + 1]] - start)
        for block in range(at[p] + 1, at[p + 1], _BLOCK):
            stop = min(block + _BLOCK, at[p + 1])
            x, k, aims = points[block:stop], counts[block:stop], targets[block:stop]
            left = mixed = right = mass = 0.0
            for i in range(len(x)):
                w = (x[i] - start) * per_length
                rest = 1 - w
                left += k[i] * rest * rest
                mixed += k[i] * w * rest
                right += k[i] * w * w
                mass += k[i]
            out[0, p] += left
            out[1, p] += mixed
            out[2, p] += right
            out[5, p] += mass
            if has_targets:
                pulled = on_right = squares = 0.0
                for i in range(len(x)):
                    pull = k[i] * aims[i]
                    pulled += pull
                    on_right += pull * ((x[i] - start) * per_length)
                    squares += pull * aims[i]
                out[3, p] += pulled - on_right
                out[4, p] += on_right
                out[6, p] += squares
    return out


@compiled
def look(
    points: FloatArray,
    counts: FloatArray,
    targets: FloatArray,
    centre: FloatArray,
    radius: float,
    share: float,
    axis: float,
    narrower: float,
    at: np.ndarray,
    values: FloatArray,
    heights: FloatArray,
    slopes: FloatArray,
) -> tuple[np.ndarray, FloatArray]:
    """Follow the beam from the right end of every piece; find on either side where it has the least room.

    The middle of the tube is ``axis`` above its centre, and it is narrower by ``narrower`` on either side.
    Returns for every piece the place at the top and that at the bottom, -1 for none, and their room.
    """
    where, rooms = np.full(2 * len(slopes), -1), np.full(2 * len(slopes), np.inf)
    for p in range(len(slopes)):
        start, height, slope = points[at[p]], heights[p + 1], slopes[p]
        incline = (values[p + 1] - values[p]) / (points[at[p + 1]] - start)
        for i in range(at[p + 1] - 1, at[p], -1):
            height += slope * (points[i + 1] - points[i])
            slope += counts[i] * (targets[i] - (values[p] + incline * (points[i] - start)))
            off = height - centre[i] - axis
            room = radius - narrower - share * counts[i] - abs(off)
            side = 2 * p + (0 if off > 0 else 1)
            if room < rooms[side]:
                where[side], rooms[side] = i, room
    return where, rooms


# The same in double-double numbers.

_SPLITTER = 134217729.0  # 2^27 + 1 cuts 53 bits in two halves


@compiled
def _two_sum(a: float, b: float) -> tuple[float, float]:
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


@compiled
def _two_product(a: float, b: float) -> tuple[float, float]:
    total = a * b
    scaled = _SPLITTER * a
    a1 = scaled - (scaled - a)
    a2 = a - a1
    scaled = _SPLITTER * b
    b1 = scaled - (scaled - b)
    b2 = b - b1
    return total, ((a1 * b1 - total) + a1 * b2 + a2 * b1) + a2 * b2


@compiled
def _add(a: float, a_low: float, b: float, b_low: float) -> tuple[float, float]:
    total, error = _two_sum(a, b)
    error += a_low + b_low
    high = total + error
    return high, error - (high - total)


@compiled
def _times(a: float, a_low: float, b: float, b_low: float) -> tuple[float, float]:
    total, error = _two_product(a, b)
    error += a * b_low + a_low * b
    high = total + error
    return high, error - (high - total)


@compiled
def _moments(
    points: FloatArray, counts: FloatArray, targets: FloatArray, has_targets: bool, at: np.ndarray
) -> FloatArray:
    """Sum k u, k u^2, k l and k l u over the points strictly between neighbouring contacts; see `add_up`.

    The rows are high and low parts in turn; the last two are k and k l^2, in doubles.
    """
    out = np.zeros((10, len(at) - 1))
    for p in range(len(at) - 1):
        start = points[at[p]]
        once = once_low = twice = twice_low = mass = 0.0
        pulled = pulled_low = along = along_low = squares = 0.0
        for i in range(at[p] + 1, at[p + 1]):
            k = counts[i]
            u, u_low = _two_sum(points[i], -start)
            ku, ku_low = _times(u, u_low, k, 0.0)
            kuu, kuu_low = _times(ku, ku_low, u, u_low)
            once, once_low = _add(once, once_low, ku, ku_low)
            twice, twice_low = _add(twice, twice_low, kuu, kuu_low)
            mass += k
            if has_targets:
                kl, kl_low = _two_product(k, targets[i])
                klu, klu_low = _times(kl, kl_low, u, u_low)
                pulled, pulled_low = _add(pulled, pulled_low, kl, kl_low)
                along, along_low = _add(along, along_low, klu, klu_low)
                squares += kl * targets[i]
        out[0, p], out[1, p], out[2, p], out[3, p] = once, once_low, twice, twice_low
        out[4, p], out[5, p], out[6, p], out[7, p] = pulled, pulled_low, along, along_low
        out[8, p], out[9, p] = mass, squares
    return out


@compiled
def look_exactly(
    points: FloatArray,
    counts: FloatArray,
    targets: FloatArray,
    centre: FloatArray,
    radius: float,
    share: float,
    axis: tuple[float, float],
    narrower: tuple[float, float],
    pieces: np.ndarray,
    at: np.ndarray,
    values: FloatArray,
    inclines: FloatArray,
    heights: FloatArray,
    slopes: FloatArray,
) -> tuple[np.ndarray, FloatArray]:
    """Do what `look` does, for some of the pieces; numbers along the last axis are (high, low)."""
    where, rooms = np.full(2 * len(pieces), -1), np.full(2 * len(pieces), np.inf)
    half, half_low = _add(radius, 0.0, -narrower[0], -narrower[1])
    for q in range(len(pieces)):
        p = pieces[q]
        start = points[at[p]]
        height, height_low = heights[p + 1, 0], heights[p + 1, 1]
        slope, slope_low = slopes[p, 0], slopes[p, 1]
        for i in range(at[p + 1] - 1, at[p], -1):
            gap, gap_low = _two_sum(points[i + 1], -points[i])
            rise, rise_low = _times(slope, slope_low, gap, gap_low)
            height, height_low = _add(height, height_low, rise, rise_low)
            u, u_low = _two_sum(points[i], -start)
            ahead, ahead_low = _times(inclines[p, 0], inclines[p, 1], u, u_low)
            score, score_low = _add(values[p, 0], values[p, 1], ahead, ahead_low)
            rest, rest_low = _add(targets[i], 0.0, -score, -score_low)
            bend, bend_low = _times(rest, rest_low, counts[i], 0.0)
            slope, slope_low = _add(slope, slope_low, bend, bend_low)
            off, off_low = _add(height, height_low, -centre[i], 0.0)
            off, off_low = _add(off, off_low, -axis[0], -axis[1])
            sign = -1.0 if off > 0 else 1.0
            room, room_low = _add(half, half_low, sign * off, sign * off_low)
            room, room_low = _add(room, room_low, -share * counts[i], 0.0)
            side = 2 * q + (0 if off > 0 else 1)
            if room < rooms[side]:
                where[side], rooms[side] = i, room
    return where, rooms
