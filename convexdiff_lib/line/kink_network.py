r"""Univariate networks as lists of kinks, which is what the convex programs return.

A neuron of first-layer weight w and outgoing weight a is the same function with first-layer weight
:math:`\pm 1` and outgoing weight :math:`|w| a`: `KinkNetwork.two_layer` goes from one form to the other.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._compiled import compiled
from .._results import result
from .._validation import Activation, FloatArray, as_activation, as_numbers, as_sample, as_truths
from ..networks import TwoLayerNetwork, expect_activation
from .piecewise_linear import PiecewiseLinearScore

__all__ = ["KinkNetwork", "hinge_sum"]


def hinge_sum(
    x: FloatArray,
    kinks: FloatArray,
    right: FloatArray,
    left: FloatArray,
    constant: float = 0.0,
    slope: float = 0.0,
    origin: float = 0.0,
) -> FloatArray:
    r"""Evaluate hinges on either side and an affine function at every point in :math:`O((n+m)\log(n+m))`.

    .. math:: \sum_j \big[ r_j (x_i - t_j)_+ + l_j (t_j - x_i)_+ \big] + v (x_i - x_0) + c

    Between two kinks this is a line.  The lines are accumulated interval by interval, never as a difference
    of large numbers, so that a far-away origin costs no accuracy.

    Parameters
    ----------
    x : array of shape (n,)
    kinks : array of shape (m,)
        The positions :math:`t_j`, in any order.
    right, left : arrays of shape (m,)
        The weights :math:`r_j` and :math:`l_j`.
    constant, slope, origin : float
        The affine part.

    Returns
    -------
    array of shape (n,)

    Examples
    --------
    >>> import numpy as np
    >>> right, left = np.array([1.0, -1.0]), np.array([0.0, 2.0])
    >>> hinge_sum(np.array([0.0, 2.0, 5.0]), np.array([1.0, 2.0]), right, left).tolist()
    [4.0, 1.0, 1.0]
    """
    knots, starts, slopes, heights = _as_lines(kinks, right, left, constant, slope, origin)
    if len(knots) and _is_sorted(x):
        return _along_sorted(x, np.searchsorted(x, knots), starts, slopes, heights)
    piece = np.searchsorted(knots, x, side="right")
    return heights[piece] + slopes[piece] * (x - starts[piece])


Lines = tuple[FloatArray, FloatArray, FloatArray, FloatArray]


def _as_lines(
    kinks: FloatArray, right: FloatArray, left: FloatArray, constant: float, slope: float, origin: float
) -> Lines:
    """Return the sorted kinks, and of the lines between them a place, the slope and the height there."""
    if not len(kinks):
        return np.zeros(0), np.array([origin]), np.array([slope]), np.array([constant])
    order = np.argsort(kinks, kind="stable")
    knots = kinks[order]
    return knots, *_lines(knots, right[order], left[order], constant, slope, origin)


@compiled
def _lines(
    knots: FloatArray, right: FloatArray, left: FloatArray, constant: float, slope: float, origin: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return starts, slopes and heights there of the lines between sorted kinks.

    There is one more line than kinks: the first two start at the first kink.
    """
    m = len(knots)
    starts, slopes, heights = np.empty(m + 1), np.empty(m + 1), np.empty(m + 1)
    from_left = on_left = from_right = on_right = 0.0
    for k in range(m):
        starts[k + 1] = knots[k]
        heights[k + 1] = constant + slope * (knots[k] - origin)
        if k > 0:
            on_left += from_left * (knots[k] - knots[k - 1])
        heights[k + 1] += on_left
        slopes[k] = slope + from_left
        from_left += right[k]
    slopes[m] = slope + from_left
    for k in range(m - 1, -1, -1):
        if k < m - 1:
            on_right += from_right * (knots[k + 1] - knots[k])
        heights[k + 1] += on_right
        slopes[k + 1] -= from_right
        from_right += left[k]
    slopes[0] -= from_right
    starts[0], heights[0] = starts[1], heights[1]
    return starts, slopes, heights


@compiled
def _along_sorted(
    x: FloatArray, edges: NDArray[np.intp], starts: FloatArray, slopes: FloatArray, heights: FloatArray
) -> FloatArray:
    """Evaluate at sorted points, line by line; ``edges`` says how many are below every kink."""
    out = np.empty(len(x))
    for k in range(len(starts)):
        first = edges[k - 1] if k > 0 else 0
        last = edges[k] if k < len(edges) else len(x)
        piece, values = x[first:last], out[first:last]
        for i in range(len(piece)):
            values[i] = heights[k] + slopes[k] * (piece[i] - starts[k])
    return out


@compiled
def _is_sorted(x: FloatArray) -> bool:
    in_order = True
    for i in range(1, len(x)):
        in_order &= x[i] >= x[i - 1]
    return in_order


def _kinks_before(knots: FloatArray, x: FloatArray, side: Literal["left", "right"]) -> NDArray[np.intp]:
    """Return ``np.searchsorted(knots, x, side)``; at sorted points from where the knots fall among them."""
    if len(knots) < len(x) and _is_sorted(x):
        opposite: Literal["left", "right"] = "left" if side == "right" else "right"
        edges = np.concatenate([[0], np.searchsorted(x, knots, side=opposite), [len(x)]])
        return np.repeat(np.arange(len(knots) + 1), np.diff(edges))
    return np.searchsorted(knots, x, side=side)


@result
class KinkNetwork:
    r"""A univariate two-layer network, all its first-layer weights +1 or -1: a list of kinks.

    .. math:: s(x) = \sum_j y_j\, \sigma(f_j (x - t_j)) + v (x - x_0) + c

    Weight decay charges a neuron :math:`\tfrac{1}{2}(w^2+\alpha^2)`, at best :math:`|w\alpha|`; so in this
    form the penalty of (2) is :math:`\beta \sum_j |y_j|`.  A kink written at ``t`` with ``beyond`` true sits
    at :math:`t + f\varepsilon` with :math:`\varepsilon \to 0`: the value is the same, but the neuron does not
    yet act at ``t`` itself.  This limit is what makes the optimum an infimum.

    Parameters
    ----------
    kinks : array of shape (m,)
        Positions :math:`t_j`.
    facing : array of shape (m,)
        First-layer weights :math:`f_j`, each +1 (acts to the right) or -1.
    weights : array of shape (m,)
        Outgoing weights :math:`y_j`, with their signs.
    beyond : bool array of shape (m,)
        Whether the kink is an infinitesimal step beyond its position.
    origin, constant, slope : float
        The affine part :math:`v (x - x_0) + c`.
    activation : {"relu", "abs"}

    Raises
    ------
    ValueError
        If the vectors differ in length, a neuron faces neither way, or the activation is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> s = KinkNetwork(np.array([0.0]), np.array([1.0]), np.array([2.0]), np.array([False]))
    >>> x = np.array([-1.0, 0.0, 3.0])
    >>> s(x).tolist(), s.derivative(x).tolist()
    ([0.0, 0.0, 6.0], [0.0, 2.0, 2.0])
    """

    kinks: FloatArray
    facing: FloatArray
    weights: FloatArray
    beyond: NDArray[np.bool_]
    origin: float = 0.0
    constant: float = 0.0
    slope: float = 0.0
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        as_activation(self.activation)
        for name in ("kinks", "facing", "weights"):
            object.__setattr__(self, name, np.array(as_numbers(getattr(self, name), name)))
        object.__setattr__(self, "beyond", as_truths(self.beyond, "beyond"))
        vectors = (self.kinks, self.facing, self.weights, self.beyond)
        if self.kinks.ndim != 1 or any(vector.shape != self.kinks.shape for vector in vectors):
            names = ("kinks", "facing", "weights", "beyond")
            shapes = {name: vector.shape for name, vector in zip(names, vectors, strict=True)}
            raise ValueError(f"kinks, facing, weights and beyond must be vectors of one length; got {shapes}")
        if not (np.abs(self.facing) == 1).all():
            raise ValueError(f"facing must hold only +1 and -1; got {np.unique(self.facing)}")

    def _facts(self) -> dict[str, object]:
        affine = {"origin": self.origin, "constant": self.constant, "slope": self.slope}
        return {"width": len(self.kinks)} | affine | {"activation": self.activation}

    @property
    def total_weight(self) -> float:
        r"""The sum :math:`\sum_j |y_j|` that weight decay sees after rescaling."""
        return float(np.abs(self.weights).sum())

    def _side(self, sign: int) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
        mine = self.facing == sign
        return self.kinks[mine], self.weights[mine], self.beyond[mine]

    def __call__(self, x: ArrayLike) -> FloatArray:
        """Return s(x), shape (n,), in O((n + m) log(n + m))."""
        return self.on_line(as_sample(x))

    def on_line(self, points: FloatArray) -> FloatArray:
        """Return s at points that need no checks; fast where they are sorted."""
        right, left = self._hinges()
        return hinge_sum(points, self.kinks, right, left, self.constant, self.slope, self.origin)

    def lines(self) -> Lines:
        """Return the sorted kinks, and of the lines between them a place, the slope and the height there."""
        return _as_lines(self.kinks, *self._hinges(), self.constant, self.slope, self.origin)

    def _hinges(self) -> tuple[FloatArray, FloatArray]:
        """The weights of the hinges on the right of every kink, and on its left."""
        if self.activation == "abs":
            return self.weights, self.weights
        return np.where(self.facing > 0, self.weights, 0.0), np.where(self.facing < 0, self.weights, 0.0)

    def derivative(self, x: ArrayLike) -> FloatArray:
        """Return s'(x), shape (n,), with the conventions at a kink and the limits of ``beyond``."""
        points = as_sample(x)
        out = np.full(len(points), self.slope)
        for sign in (1, -1):
            kinks, weights, beyond = self._side(sign)
            active = _active_weight(sign * points[::sign], sign * kinks, weights, beyond)[::sign]
            out += sign * (active if self.activation == "relu" else 2 * active - weights.sum())
        return out

    def as_score(self) -> PiecewiseLinearScore:
        """Return the same function as knots, values and outer slopes.

        Examples
        --------
        >>> hinge = KinkNetwork(
        ...     np.array([2.0]), np.array([1.0]), np.array([-0.5]), np.array([False])
        ... )
        >>> hinge.as_score().slopes.tolist()
        [0.0, -0.5]
        """
        knots, place = np.unique(self.kinks, return_inverse=True)
        if len(knots) == 0:
            knots = np.array([self.origin])
            return PiecewiseLinearScore(knots, self(knots), self.slope, self.slope)
        relu = self.activation == "relu"
        left = self.slope - float((self.weights[self.facing < 0] if relu else self.weights).sum())
        changes = np.bincount(place, (1.0 if relu else 2.0) * self.weights, len(knots))
        return PiecewiseLinearScore(knots, self(knots), left, left + float(changes.sum()))

    def relu_to_abs(self) -> KinkNetwork:
        r"""Return the same function as a list of absolute values: every :math:`y_j` is halved.

        As `TwoLayerNetwork.relu_to_abs`, but in this form every neuron is already rescaled to its smallest
        weight decay.  So :math:`\beta` on the ReLU network charges what :math:`2\beta` charges here.

        Raises
        ------
        ValueError
            If this is no ReLU network.

        Examples
        --------
        >>> hinge = KinkNetwork(
        ...     np.array([2.0]), np.array([1.0]), np.array([-0.5]), np.array([False])
        ... )
        >>> both = hinge.relu_to_abs()
        >>> both.weights.tolist(), both.slope, both.constant
        ([-0.25], -0.25, 0.5)
        """
        expect_activation(self.activation, "relu", "relu_to_abs")
        return self._with_half_lines(self.weights / 2, 1.0, "abs")

    def abs_to_relu(self) -> KinkNetwork:
        r"""Return the same function as a list of hinges: every :math:`y_j` is doubled; undoes `relu_to_abs`.

        Raises
        ------
        ValueError
            If this is no network of absolute values.

        Examples
        --------
        >>> vee = KinkNetwork(
        ...     np.zeros(1), np.ones(1), np.ones(1), np.zeros(1, dtype=bool), activation="abs"
        ... )
        >>> vee.abs_to_relu().weights.tolist(), vee.abs_to_relu().slope
        ([2.0], -1.0)
        """
        expect_activation(self.activation, "abs", "abs_to_relu")
        return self._with_half_lines(2 * self.weights, -0.5, "relu")

    def _with_half_lines(self, weights: FloatArray, share: float, activation: Activation) -> KinkNetwork:
        """Add ``share`` times the lines y f (x - t) to the affine part and change the activation."""
        lines = share * weights * self.facing
        constant = self.constant + float(lines @ (self.origin - self.kinks))
        slope = self.slope + float(lines.sum())
        return replace(self, weights=weights, constant=constant, slope=slope, activation=activation)

    def two_layer(self) -> TwoLayerNetwork:
        r"""Return the same function with the paper's parameters.

        .. math:: w_j = f_j \sqrt{|y_j|},\; \alpha_j = \mathrm{sign}(y_j) \sqrt{|y_j|},\; b_j = -w_j t_j

        A kink ``beyond`` its position has its bias moved by one unit in the last place, so that in floating
        point the neuron is off at the point itself and on everywhere after it.
        """
        root = np.sqrt(np.abs(self.weights))
        w = self.facing * root
        b = -(w * self.kinks)
        b = np.where(self.beyond, np.nextafter(b, -np.inf), b)
        return TwoLayerNetwork.univariate(
            w,
            b,
            np.sign(self.weights) * root,
            self.constant - self.slope * self.origin,
            self.slope,
            activation=self.activation,
        )


def _active_weight(
    x: FloatArray, kinks: FloatArray, weights: FloatArray, beyond: NDArray[np.bool_]
) -> FloatArray:
    """Sum the weights of the right-facing kinks that act at each x: t <= x, or t < x when beyond."""
    total = np.zeros(len(x))
    sides: tuple[tuple[bool, Literal["left", "right"]], ...] = ((False, "right"), (True, "left"))
    for late, side in sides:
        mine = beyond == late
        order = np.argsort(kinks[mine], kind="stable")
        running = np.concatenate([[0.0], np.cumsum(weights[mine][order])])
        total += running[_kinks_before(kinks[mine][order], x, side)]
    return total
