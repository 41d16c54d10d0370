r"""A piecewise-linear score: evaluate it, integrate it, normalise it, draw from it.

If the score is piecewise linear, the log-density is piecewise quadratic and the law is a chain of truncated
Gaussians (slope below zero), exponentials (zero) and "inverted" Gaussians (above zero).  Everything here cuts
the line into cells on which the log-density is almost a straight line.  On such a cell a straight line that
lies above the log-density is close to it, so that drawing from the exponential law under that line and
rejecting a few draws gives exact samples, and a short Gauss-Legendre rule gives the mass to rounding.
Where many samples are asked for, rectangles under the density serve nearly all of them (``_strips``).
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._results import result
from .._validation import FloatArray, as_count, as_finite, as_generator, as_numbers, as_sample
from ._cells import Cells, cut, draw, log_masses, weigh
from ._lookup import Lookup
from ._strips import Strips, lay_strips

__all__ = ["PiecewiseLinearScore"]

_DROP = 40.0  # an exponential tail is followed until the log-density has dropped by this much
_BLOCK = 1 << 13  # points evaluated at a time, so that temporaries stay in cache
_MANY = 1 << 17  # draws from which on strips are laid under the density; fewer take milliseconds without
_ROUNDING = 1e-12
_NEWTON_STEPS, _CLOSE = 100, 4e-16
_LARGEST_LOG = 700.0  # its exponential is finite; lengths of 1e70 stay far below


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
    def _cells(self) -> Cells:
        reason = self.why_not_normalisable()
        if reason:
            raise ValueError(f"exp of the integrated score cannot be normalised: {reason}")
        return cut(self)

    @property
    def log_normaliser(self) -> float:
        """Logarithm of the integral of exp(integral(x)) over the line."""
        return self._cells.log_total

    def log_density(self, x: ArrayLike) -> FloatArray:
        """Return the normalised log-density at x, any shape; minus infinity at both ends of the line.

        Raises
        ------
        ValueError
            If the exponential of the integrated score has infinite mass.
        """
        points = as_numbers(x)
        far = np.isinf(points)
        if not far.any():
            return self.integral(points) - self.log_normaliser
        near = self.integral(np.where(far, self.knots[0], points)) - self.log_normaliser
        return np.where(far, -np.inf, near)

    def pdf(self, x: ArrayLike) -> FloatArray:
        """Return the probability density at x, any shape; raises ValueError when there is none."""
        return np.exp(self.log_density(x))

    def cdf(self, x: ArrayLike) -> FloatArray:
        """Return the probability of a value of at most x, any shape, to rounding.

        Infinite entries are allowed, and NaN gives NaN.

        Raises
        ------
        ValueError
            If the density cannot be normalised.
        """
        points = as_numbers(x)
        cells = self._cells
        out = np.empty(points.shape)
        flat, result = points.reshape(-1), out.reshape(-1)
        for begin in range(0, flat.size, _BLOCK):
            block = flat[begin : begin + _BLOCK]
            finite = np.isfinite(block)
            result[begin : begin + _BLOCK] = np.where(finite, 0.0, 0.5 * (1 + np.sign(block)))
            inside = block[finite]
            cell = np.searchsorted(cells.ends[0][1:], inside, side="right")
            result[begin : begin + _BLOCK][finite] = np.exp(self._log_below(inside, cell))
        return np.minimum(out, 1.0)

    def _log_below(self, x: FloatArray, cell: NDArray[np.intp]) -> FloatArray:
        """Return the logarithm of the mass below points of given cells."""
        edges, below = self._cells.ends
        # Integrate what the cell holds up to x from its left end; from x where that is infinite.
        start = np.where(cell > 0, edges[cell], x)
        value = np.where(cell > 0, 1.0, -1.0) * self(start)
        held = self.log_density(start) + log_masses(value, self._cells.slopes[cell], x - edges[cell])
        with np.errstate(divide="ignore"):
            return np.logaddexp(np.log(below[cell]), held)

    def _mirrored(self) -> PiecewiseLinearScore:
        """The score of minus the random variable, whose left tail is the right one here."""
        return PiecewiseLinearScore(-self.knots[::-1], -self.values[::-1], self.right_slope, self.left_slope)

    def quantile(self, p: ArrayLike) -> FloatArray:
        """Return the points below which the probability is p, any shape: the inverse of `cdf`.

        As in SciPy, 0 and 1 give the two ends of the line, and what is not in [0, 1] gives NaN.  Close to 0
        the relative precision of p counts, close to 1 that of 1 - p.

        Raises
        ------
        ValueError
            If the density cannot be normalised.

        Examples
        --------
        >>> import numpy as np
        >>> normal = PiecewiseLinearScore(np.array([0.0]), np.array([0.0]), -1.0, -1.0)
        >>> normal.quantile([0.0, 0.025, 0.5, 0.975]).round(6).tolist()
        [-inf, -1.959964, 0.0, 1.959964]
        """
        shares = as_numbers(p, "p")
        _ = self._cells  # which raises where there is no density
        out = np.full(shares.shape, np.nan)
        out[shares == 0], out[shares == 1] = -np.inf, np.inf
        left, right = (shares > 0) & (shares <= 0.5), (shares > 0.5) & (shares < 1)
        out[left] = self._left_quantile(shares[left])
        out[right] = -self._mirrored()._left_quantile(1 - shares[right])
        return out

    def _left_quantile(self, p: FloatArray) -> FloatArray:
        """Invert the logarithm of `cdf` by Newton's method, kept inside the cell."""
        edges, below = self._cells.ends
        cell = np.searchsorted(below[1:], p, side="right")
        low, high, goal = edges[cell], np.append(edges[1:], np.inf)[cell], np.log(p)
        out = np.clip(self._cells.first_guess(p, cell), low, high)
        todo = np.arange(len(p))
        for _ in range(_NEWTON_STEPS):
            x, at = out[todo], cell[todo]
            now = self._log_below(x, at)
            excess = now - goal[todo]
            low[todo] = np.where(excess <= 0, x, low[todo])
            high[todo] = np.where(excess >= 0, x, high[todo])
            step = excess * np.exp(np.minimum(now - self.log_density(x), _LARGEST_LOG))
            with np.errstate(invalid="ignore"):
                middle = np.where(
                    np.isfinite(low[todo]), 0.5 * (low[todo] + high[todo]), x - 2 * np.abs(step)
                )
            inside = (x - step >= low[todo]) & (x - step <= high[todo])
            out[todo] = np.where(inside, x - step, middle)
            todo = todo[np.abs(out[todo] - x) > _CLOSE * np.maximum(np.abs(x), np.abs(out[todo]))]
            if not len(todo):
                break
        return out

    def derivative(self, x: ArrayLike) -> FloatArray:
        """Return the slope of the score at x, any shape; at a knot that on its right."""
        points = as_numbers(x)
        return np.where(np.isnan(points), np.nan, self._slope_at(points))

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
    def _gaps(self) -> Cells:
        """Cells of what no strip covers: the two tails and the gaps between strips."""
        strips = self._strips
        start = np.concatenate([self._breaks[[0, -1]], strips.gap_left])
        width = np.concatenate([[np.inf, np.inf], strips.gap_width])
        inside = self._slope_at(strips.gap_left + strips.gap_width / 2)
        slope = np.concatenate([[self.left_slope, self.right_slope], inside])
        facing = np.ones(len(start))
        facing[0] = -1.0
        return weigh(self, start, facing, width, slope)

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
            return draw(self._cells, count, generator)
        return self._draw_by_strips(count, generator)

    def _draw_by_strips(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw from the rectangles, the gaps and what is above the rectangles, each as often as its mass."""
        strips, gaps = self._strips, self._gaps
        out, rest, numbers = strips.draw(n, rng)
        # The three masses sum to one but for rounding, which must not ask for draws above where nothing is.
        in_gap = numbers < strips.mass + np.exp(gaps.log_total - self.log_normaliser) + _ROUNDING
        out[rest[in_gap]] = draw(gaps, int(in_gap.sum()), rng)
        out[rest[~in_gap]] = strips.draw_above(int((~in_gap).sum()), self.log_density, rng)
        return out
