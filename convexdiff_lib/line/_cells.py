"""The line cut into cells on which a log-density is almost straight: their masses, and draws from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .._validation import FloatArray

if TYPE_CHECKING:
    from .piecewise_linear import PiecewiseLinearScore

__all__ = ["Cells", "cut", "draw", "log_masses", "weigh"]

_MAX_CELLS = 5_000_000
_TAIL = 9.0  # standard deviations after which a Gaussian tail is one cell: its mass is below 1e-18
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_NIL = 1e-300
_DROP = 40.0  # a cell is integrated until its log-density has dropped by this much: exp(-40) is 4e-18


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of the line.

    On each, with v the distance from ``start`` in direction ``facing``, the log-density rises by
    value * v + slope * v^2 / 2 and lies below lift + tilt * v.
    """

    start: FloatArray
    facing: FloatArray
    width: FloatArray
    value: FloatArray
    slope: FloatArray
    tilt: FloatArray
    lift: FloatArray
    mass: FloatArray
    log_total: float

    def ordered(self, values: FloatArray) -> FloatArray:
        """Bring what belongs to the cells in order from left to right."""
        left = self.facing < 0
        return np.concatenate([values[left][::-1], values[~left]])

    @cached_property
    def ends(self) -> tuple[FloatArray, FloatArray]:
        """Left ends of the cells from left to right, the first infinite, and the mass to the left of each."""
        left = self.facing < 0
        ends = np.concatenate([[-np.inf], self.start[left][::-1], self.start[~left][1:]])
        return ends, np.concatenate([[0.0], np.cumsum(self.ordered(self.mass))[:-1]])

    @cached_property
    def slopes(self) -> FloatArray:
        """Slope of the score on the cells from left to right."""
        return self.ordered(self.slope)

    def first_guess(self, p: FloatArray, cell: NDArray[np.intp]) -> FloatArray:
        """Where the mass below is about p, in given cells: of the exponential law above the density there."""
        share = np.clip((p - self.ends[1][cell]) / np.maximum(self.ordered(self.mass)[cell], _NIL), _NIL, 1.0)
        facing, width = self.ordered(self.facing)[cell], self.ordered(self.width)[cell]
        start, tilt = self.ordered(self.start)[cell], self.ordered(self.tilt)[cell]
        before, beyond = np.where(facing > 0, share, 1 - share), np.where(facing > 0, 1 - share, share)
        tail = np.isinf(width)
        v = _truncated_exponential(np.minimum(before, 1 - 1e-16), tilt, np.where(tail, 1.0, width))
        v[tail] = np.log(np.maximum(beyond[tail], _NIL)) / tilt[tail]
        return start + facing * v


def cut(score: PiecewiseLinearScore) -> Cells:
    """Cut the line so that |slope| * width^2 <= 1 on each cell; each tail ends in one infinite cell."""
    left = _tail_edges(score.knots[0], -score.values[0], score.left_slope, -1.0)
    inner = _inner_edges(score)
    right = _tail_edges(score.knots[-1], score.values[-1], score.right_slope, 1.0)
    start = np.concatenate([left, inner[:-1], right])
    facing = np.repeat([-1.0, 1.0, 1.0], [len(left), len(inner) - 1, len(right)])
    width = np.concatenate([-np.diff(left), [np.inf], np.diff(inner), np.diff(right), [np.inf]])
    inside = score._slope_at((inner[:-1] + inner[1:]) / 2)
    slope = np.concatenate(
        [np.full(len(left), score.left_slope), inside, np.full(len(right), score.right_slope)]
    )
    return weigh(score, start, facing, width, slope)


def weigh(
    score: PiecewiseLinearScore, start: FloatArray, facing: FloatArray, width: FloatArray, slope: FloatArray
) -> Cells:
    """Find the line above and the mass of each cell."""
    value = facing * score(start)
    tilt, lift = _envelope(value, slope, width)
    log_mass = score.integral(start) + log_masses(value, slope, width)
    log_total = float(np.logaddexp.reduce(log_mass))
    mass = np.exp(log_mass - log_total)
    return Cells(start, facing, width, value, slope, tilt, lift, mass / mass.sum(), log_total)


def draw(cells: Cells, count: int, rng: np.random.Generator) -> FloatArray:
    """Draw from the density on the cells, in random order: from the line above a cell, with rejection."""
    which = np.repeat(np.arange(len(cells.mass)), rng.multinomial(count, cells.mass))
    out = np.empty(count)
    todo = np.arange(count)
    while len(todo):
        cell = which[todo]
        v = _truncated_exponential(rng.random(len(todo)), cells.tilt[cell], cells.width[cell])
        height = v * (cells.value[cell] - cells.tilt[cell] + 0.5 * cells.slope[cell] * v) - cells.lift[cell]
        accepted = np.log1p(-rng.random(len(todo))) <= height
        out[todo[accepted]] = cells.start[cell[accepted]] + cells.facing[cell[accepted]] * v[accepted]
        todo = todo[~accepted]
    rng.shuffle(out)
    return out


def _check_cells(cells: float) -> None:
    if not cells <= _MAX_CELLS:
        raise ValueError(
            f"the density is too rough to normalise: it needs {cells:.3g} cells, at most {_MAX_CELLS}"
        )


def _inner_edges(score: PiecewiseLinearScore) -> FloatArray:
    widths = np.diff(score.knots)
    pieces = np.maximum(1, np.ceil(widths * np.sqrt(np.abs(score.slopes[1:-1]))))
    _check_cells(pieces.sum())
    pieces = pieces.astype(np.int64)
    owner = np.repeat(np.arange(len(pieces)), pieces)
    rank = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    return np.append(score.knots[owner] + widths[owner] * (rank / pieces[owner]), score.knots[-1])


def _tail_edges(knot: float, outward: float, slope: float, facing: float) -> FloatArray:
    """Edges of one tail's cells, from the last knot on; ``outward`` is the slope of the log-density there."""
    if slope == 0:
        return np.array([knot])
    scale = 1 / np.sqrt(-slope)
    cells = np.ceil(max(0.0, outward * scale) + _TAIL) + 1  # the peak may lie beyond the knot
    _check_cells(cells)
    return knot + facing * scale * np.arange(cells)


def _envelope(value: FloatArray, slope: FloatArray, width: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A line lift + tilt * v above value * v + slope * v^2 / 2: the tangent in the middle, or the chord."""
    finite = np.where(np.isfinite(width), width, 0.0)
    concave = slope <= 0
    tilt = value + slope * finite / 2  # tangent at the middle and chord have one slope
    lift = np.where(concave, -slope * finite**2 / 8, 0.0)
    return tilt, lift


def log_masses(value: FloatArray, slope: FloatArray, width: FloatArray) -> FloatArray:
    """Log of the integral of exp(value v + slope v^2 / 2) over each cell."""
    finite = np.where(np.isfinite(width), width, 0.0)
    far = value + slope * finite
    with np.errstate(divide="ignore", over="ignore"):
        reach = np.minimum(width, 2 * _DROP / np.maximum(np.abs(value), np.abs(far)))
    # Integrate from the higher end of the cell, as far as the log-density matters.
    rise = np.maximum(value * finite + 0.5 * slope * finite**2, 0.0)
    v = 0.5 * reach[:, None] * (_NODES + 1)
    inner = np.where(rise > 0, -far, value)[:, None] * v + 0.5 * slope[:, None] * v**2
    with np.errstate(divide="ignore"):  # a cell of no width has no mass
        return rise + np.log(0.5 * reach * (np.exp(inner) @ _WEIGHTS))


def _truncated_exponential(u: FloatArray, tilt: FloatArray, width: FloatArray) -> FloatArray:
    """Invert the distribution function of the density proportional to exp(tilt * v) on [0, width]."""
    falling = np.where(tilt > 0, -tilt, tilt)  # draw the falling one, mirror the other
    with np.errstate(invalid="ignore"):
        span = np.where(np.isfinite(width), falling * width, -np.inf)
    small = np.abs(span) < 1e-8
    safe = np.where(small, -1.0, falling)
    v = np.where(small, u * np.where(small, width, 0.0), np.log1p(u * np.expm1(span)) / safe)
    v = np.where(np.isfinite(width), np.minimum(v, width), v)
    return np.where(tilt > 0, width - v, v)
