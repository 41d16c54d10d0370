r"""A piecewise-linear score: evaluate it, integrate it, normalise it, draw from it.

If the score is piecewise linear, the log-density is piecewise quadratic and the law is a chain of truncated
Gaussians (slope below zero), exponentials (zero) and "inverted" Gaussians (above zero).  Everything here cuts
the line into cells on which the log-density is almost a straight line.  On such a cell a straight line that
lies above the log-density is close to it, so that drawing from the exponential law under that line and
rejecting a few draws gives exact samples, and a short Gauss-Legendre rule gives the mass to rounding.
Where many samples are asked for, rectangles under the density serve nearly all of them (``_strips``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._results import result
from .._validation import FloatArray, as_count, as_finite, as_generator, as_numbers, as_points, as_sample
from ._lookup import Lookup
from ._strips import Strips, lay_strips

__all__ = ["PiecewiseLinearScore"]

_MAX_CELLS = 5_000_000
_TAIL = 9.0  # standard deviations after which a Gaussian tail is one cell: its mass is below 1e-18
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_DROP = 40.0  # a cell is integrated until its log-density has dropped by this much: exp(-40) is 4e-18
_BLOCK = 1 << 13  # points evaluated at a time, so that temporaries stay in cache
_MANY = 1 << 17  # draws from which on strips are laid under the density; fewer take milliseconds without
_ROUNDING = 1e-12


@result
class PiecewiseLinearScore:
    r"""A continuous piecewise-linear function on the real line, read as a score.

    Parameters
    ----------
    knots : array of shape (K,), K at least 1
        Increasing positions of the kinks.
    values : array of shape (K,)
        Values at the knots.
    left_slope, right_slope : float
        Slopes before the first and after the last knot.

    Examples
    --------
    The standard normal law, whose score is -x:

    >>> import numpy as np
    >>> s = PiecewiseLinearScore(np.array([-1.0, 2.0]), np.array([1.0, -2.0]), -1.0, -1.0)
    >>> s([0.5, 3.0]).tolist()
    [-0.5, -3.0]
    >>> round(float(s.log_density(0.0)), 6)  # -log(2 pi)/2
    -0.918939
    >>> float(s.cdf(0.0).round(12))
    0.5
    >>> s.sample(3, np.random.default_rng(0)).shape
    (3,)
    """

    knots: FloatArray
    values: FloatArray
    left_slope: float
    right_slope: float

    def __post_init__(self) -> None:
        knots, values = as_sample(self.knots, "knots"), as_sample(self.values, "values")
        if knots.shape != values.shape:
            raise ValueError(f"knots and values must have one length; got {len(knots)} and {len(values)}")
        if not (np.diff(knots) > 0).all():
            raise ValueError("knots must be strictly increasing")
        object.__setattr__(self, "knots", knots)
        object.__setattr__(self, "values", values)
        for name in ("left_slope", "right_slope"):
            object.__setattr__(self, name, as_finite(getattr(self, name), name))

    @cached_property
    def slopes(self) -> FloatArray:
        """Slope on each of the K + 1 intervals, from left to right."""
        inner = np.diff(self.values) / np.diff(self.knots)
        return np.concatenate([[self.left_slope], inner, [self.right_slope]])

    @cached_property
    def _anchors(self) -> NDArray[np.intp]:
        """The knot from which each of the K + 1 intervals is integrated: its left end, or the first knot."""
        return np.maximum(np.arange(-1, len(self.knots)), 0)

    @cached_property
    def _lower_ends(self) -> NDArray[np.intp]:
        """The knot from which the score of each interval is measured: its end with the smaller value.

        From the other, where the score may be larger by many powers of ten, it would lose its digits here.
        """
        ends, size = self._anchors.copy(), np.abs(self.values)
        ends[1:-1] += size[1:] < size[:-1]
        return ends

    @cached_property
    def _lookup(self) -> Lookup:
        return Lookup(self.knots)

    def _polynomial(self, x: ArrayLike, anchors: NDArray[np.intp], *coefficients: FloatArray) -> FloatArray:
        """Evaluate a polynomial in the distance from the anchor; lowest coefficient first, by interval."""
        places = self.knots[anchors]
        points = as_numbers(x)
        out = np.empty(points.shape)
        flat, result = points.reshape(-1), out.reshape(-1)
        distances, gathered = np.empty((2, min(_BLOCK, flat.size)))
        for begin in range(0, flat.size, _BLOCK):
            block, total = flat[begin : begin + _BLOCK], result[begin : begin + _BLOCK]
            v, c = distances[: len(block)], gathered[: len(block)]
            interval = self._lookup.count(block)
            # No index is out of range; the default mode would copy what it gathers.
            np.take(places, interval, out=v, mode="clip")
            np.subtract(block, v, out=v)
            np.take(coefficients[-1], interval, out=total, mode="clip")
            for coefficient in coefficients[-2::-1]:
                total *= v
                np.take(coefficient, interval, out=c, mode="clip")
                total += c
        return out

    def __call__(self, x: ArrayLike) -> FloatArray:
        """Return the score at x, any shape, in O(log K) per point."""
        return self._polynomial(x, self._lower_ends, self.values[self._lower_ends], self.slopes)

    @cached_property
    def _log_at_knots(self) -> FloatArray:
        """Integral of the score from the first knot to each knot, by the trapezoidal rule (exact here)."""
        steps = 0.5 * (self.values[1:] + self.values[:-1]) * np.diff(self.knots)
        return np.concatenate([[0.0], np.cumsum(steps)])

    def integral(self, x: ArrayLike) -> FloatArray:
        """Return the integral of the score from the first knot to x: the log-density up to a constant."""
        levels = self._log_at_knots[self._anchors]
        starts = self.values[self._anchors]
        return self._polynomial(x, self._anchors, levels, starts, 0.5 * self.slopes)

    def why_not_normalisable(self) -> str:
        """Return what stops the exponential of the integral from being a density; empty when nothing does."""
        tails = (
            ("left", -1.0, self.left_slope, float(self.values[0])),
            ("right", 1.0, self.right_slope, float(self.values[-1])),
        )
        for name, outward, slope, value in tails:
            if slope < 0 or (slope == 0 and outward * value < 0):
                continue
            what = f"its slope there is {slope:.3g}" + (f" and its value {value:.3g}" if slope == 0 else "")
            return f"the score does not push back towards the data on the {name}: {what}"
        return ""

    @cached_property
    def _cells(self) -> _Cells:
        reason = self.why_not_normalisable()
        if reason:
            raise ValueError(f"exp of the integrated score cannot be normalised: {reason}")
        return _cut(self)

    @property
    def log_normaliser(self) -> float:
        """Logarithm of the integral of exp(integral(x)) over the line."""
        return self._cells.log_total

    def log_density(self, x: ArrayLike) -> FloatArray:
        """Return the normalised log-density at x.

        Raises
        ------
        ValueError
            If the exponential of the integrated score has infinite mass.
        """
        return self.integral(x) - self.log_normaliser

    def cdf(self, x: ArrayLike) -> FloatArray:
        """Return the probability of a value of at most x, any shape, to rounding.

        Raises
        ------
        ValueError
            If an entry of x is not finite or the density cannot be normalised.
        """
        points = as_points(x, "x")
        edges, below = self._cells.ends
        out = np.empty(points.shape)
        flat, result = points.reshape(-1), out.reshape(-1)
        for begin in range(0, flat.size, _BLOCK):
            block = flat[begin : begin + _BLOCK]
            cell = np.searchsorted(edges[1:], block, side="right")
            # Integrate what the cell holds up to x from its left end; from x where that is infinite.
            start = np.where(cell > 0, edges[cell], block)
            value = np.where(cell > 0, 1.0, -1.0) * self(start)
            held = _log_masses(value, self._slope_at(block), block - edges[cell])
            result[begin : begin + _BLOCK] = below[cell] + np.exp(self.log_density(start) + held)
        return np.minimum(out, 1.0)

    def _slope_at(self, x: FloatArray) -> FloatArray:
        return self.slopes[np.searchsorted(self.knots, x, side="right")]

    @cached_property
    def _breaks(self) -> FloatArray:
        """Points between which the log-density is monotone; the outermost hold nearly all the mass."""
        cells = self._cells
        with np.errstate(divide="ignore", invalid="ignore"):
            turn = -cells.value / cells.slope
        inside = (turn > 0) & (turn < cells.width)
        breaks = [cells.start, (cells.start + cells.facing * turn)[inside]]
        for end, facing, slope in ((0, -1, self.left_slope), (-1, 1, self.right_slope)):
            if slope == 0:  # an exponential tail, which is one cell
                breaks.append(self.knots[end] + facing * np.arange(1, _DROP) / abs(self.values[end]))
        return np.unique(np.concatenate(breaks))

    @cached_property
    def _strips(self) -> Strips:
        return lay_strips(self._breaks, self.log_density)

    @cached_property
    def _gaps(self) -> _Cells:
        """Cells of what no strip covers: the two tails and the gaps between strips."""
        strips = self._strips
        start = np.concatenate([self._breaks[[0, -1]], strips.gap_left])
        width = np.concatenate([[np.inf, np.inf], strips.gap_width])
        inside = self._slope_at(strips.gap_left + strips.gap_width / 2)
        slope = np.concatenate([[self.left_slope, self.right_slope], inside])
        facing = np.ones(len(start))
        facing[0] = -1.0
        return _weigh(self, start, facing, width, slope)

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw n independent points exactly from the density, in random order.

        Raises
        ------
        ValueError
            If n is negative or the density cannot be normalised.
        TypeError
            If rng is not a numpy Generator.
        """
        count, generator = as_count(n, "n"), as_generator(rng)
        # A density too rough for strips of its own is left to its cells.
        if count < _MANY or self._strips.mass < 0.5:
            return _draw(self._cells, count, generator)
        return self._draw_by_strips(count, generator)

    def _draw_by_strips(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw from the rectangles, the gaps and what is above the rectangles, each as often as its mass."""
        strips, gaps = self._strips, self._gaps
        out, rest, numbers = strips.draw(n, rng)
        # The three masses sum to one but for rounding, which must not ask for draws above where nothing is.
        in_gap = numbers < strips.mass + np.exp(gaps.log_total - self.log_normaliser) + _ROUNDING
        out[rest[in_gap]] = _draw(gaps, int(in_gap.sum()), rng)
        out[rest[~in_gap]] = strips.draw_above(int((~in_gap).sum()), self.log_density, rng)
        return out


@dataclass(frozen=True, eq=False)
class _Cells:
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

    @cached_property
    def ends(self) -> tuple[FloatArray, FloatArray]:
        """Left ends of the cells from left to right, the first infinite, and the mass to the left of each."""
        left = self.facing < 0
        ends = np.concatenate([[-np.inf], self.start[left][::-1], self.start[~left][1:]])
        mass = np.concatenate([self.mass[left][::-1], self.mass[~left]])
        return ends, np.concatenate([[0.0], np.cumsum(mass)[:-1]])


def _cut(score: PiecewiseLinearScore) -> _Cells:
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
    return _weigh(score, start, facing, width, slope)


def _weigh(
    score: PiecewiseLinearScore, start: FloatArray, facing: FloatArray, width: FloatArray, slope: FloatArray
) -> _Cells:
    """Find the line above and the mass of each cell."""
    value = facing * score(start)
    tilt, lift = _envelope(value, slope, width)
    log_mass = score.integral(start) + _log_masses(value, slope, width)
    log_total = float(np.logaddexp.reduce(log_mass))
    mass = np.exp(log_mass - log_total)
    return _Cells(start, facing, width, value, slope, tilt, lift, mass / mass.sum(), log_total)


def _draw(cells: _Cells, count: int, rng: np.random.Generator) -> FloatArray:
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


def _log_masses(value: FloatArray, slope: FloatArray, width: FloatArray) -> FloatArray:
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
