r"""A piecewise-linear score: evaluate it, integrate it, normalise it, draw from it.

If the score is piecewise linear, the log-density is piecewise quadratic and the law is a chain of truncated
Gaussians (slope below zero), exponentials (zero) and "inverted" Gaussians (above zero).  Everything here cuts
the line into cells on which the log-density is almost a straight line.  On such a cell a straight line that
lies above the log-density is close to it, so that drawing from the exponential law under that line and
rejecting a few draws gives exact samples, and a short Gauss-Legendre rule gives the mass to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from ._validation import FloatArray, as_count, as_finite, as_generator, as_sample

__all__ = ["PiecewiseLinearScore"]

_MAX_CELLS = 5_000_000
_TAIL = 9.0  # standard deviations after which a Gaussian tail is one cell: its mass is below 1e-18
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_DROP = 40.0  # a cell is integrated until its log-density has dropped by this much: exp(-40) is 4e-18


@dataclass(frozen=True)
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

    def _locate(self, x: FloatArray) -> tuple[np.ndarray, np.ndarray]:
        """Interval of each x and the knot from which that interval is measured."""
        interval = np.searchsorted(self.knots, x, side="right")
        return interval, np.maximum(interval - 1, 0)

    def __call__(self, x: ArrayLike) -> FloatArray:
        """Return the score at x, any shape, in O(log K) per point."""
        points = np.asarray(x, dtype=np.float64)
        interval, anchor = self._locate(points)
        return np.asarray(self.values[anchor] + self.slopes[interval] * (points - self.knots[anchor]))

    @cached_property
    def _log_at_knots(self) -> FloatArray:
        """Integral of the score from the first knot to each knot, by the trapezoidal rule (exact here)."""
        steps = 0.5 * (self.values[1:] + self.values[:-1]) * np.diff(self.knots)
        return np.concatenate([[0.0], np.cumsum(steps)])

    def integral(self, x: ArrayLike) -> FloatArray:
        """Return the integral of the score from the first knot to x: the log-density up to a constant."""
        points = np.asarray(x, dtype=np.float64)
        interval, anchor = self._locate(points)
        v = points - self.knots[anchor]
        return np.asarray(
            self._log_at_knots[anchor] + v * (self.values[anchor] + 0.5 * self.slopes[interval] * v)
        )

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
        cells = self._cells
        which = np.repeat(np.arange(len(cells.mass)), generator.multinomial(count, cells.mass))
        out = np.empty(count)
        todo = np.arange(count)
        while len(todo):
            cell = which[todo]
            v = _truncated_exponential(generator.random(len(todo)), cells.tilt[cell], cells.width[cell])
            height = (
                v * (cells.value[cell] - cells.tilt[cell] + 0.5 * cells.slope[cell] * v) - cells.lift[cell]
            )
            accepted = np.log1p(-generator.random(len(todo))) <= height
            out[todo[accepted]] = cells.start[cell[accepted]] + cells.facing[cell[accepted]] * v[accepted]
            todo = todo[~accepted]
        generator.shuffle(out)
        return out


@dataclass(frozen=True)
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


def _cut(score: PiecewiseLinearScore) -> _Cells:
    """Cut the line so that |slope| * width^2 <= 1 on each cell; each tail ends in one infinite cell."""
    left = _tail_edges(score.knots[0], -score.values[0], score.left_slope, -1.0)
    inner = _inner_edges(score)
    right = _tail_edges(score.knots[-1], score.values[-1], score.right_slope, 1.0)
    start = np.concatenate([left, inner[:-1], right])
    facing = np.repeat([-1.0, 1.0, 1.0], [len(left), len(inner) - 1, len(right)])
    width = np.concatenate([-np.diff(left), [np.inf], np.diff(inner), np.diff(right), [np.inf]])
    inside = score.slopes[score._locate((inner[:-1] + inner[1:]) / 2)[0]]
    slope = np.concatenate(
        [np.full(len(left), score.left_slope), inside, np.full(len(right), score.right_slope)]
    )
    value = facing * score(start)
    tilt, lift = _envelope(value, slope, width)
    log_mass = score.integral(start) + _log_masses(value, slope, width)
    log_total = float(np.logaddexp.reduce(log_mass))
    mass = np.exp(log_mass - log_total)
    return _Cells(start, facing, width, value, slope, tilt, lift, mass / mass.sum(), log_total)


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
