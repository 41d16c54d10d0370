r"""Circles of directions, cut into arcs by the data, and where a neuron responds most on each arc.

The hyperplanes orthogonal to the rows of X cut a circle of directions into arcs, on each of which the
activation pattern D is constant.  There the response :math:`\|Q^\top \sigma(Xu)\|` of a unit neuron is
:math:`\|M^\top u\|` with :math:`M = X^\top D Q`.  Its square is a constant plus a cosine of twice the angle,
so that its largest value is a closed form: at the peak of the cosine, if that lies on the arc, or at an end.
In score matching a neuron has the response :math:`\|Q^\top D X u - \mathrm{tr}(D)\, u\|`, again the root of
a constant plus a cosine; it jumps at the ends of an arc.

In the plane there is one circle.  In space the circles lie in the planes orthogonal to the rows, and with
free biases there is one for every point, of the lines through it.

From one arc to the next a row or two turn on or off.  So the matrices M of a circle are running sums, and to
look at all of its arcs costs no more than to look at all rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._validation import Activation, FloatArray, as_activation, as_matrix
from .neurons import Neurons, unit_rows

__all__ = [
    "Circles",
    "cut_circle",
    "cut_circles",
    "cut_lines",
    "largest_response",
    "one_of_two",
    "response_peaks",
]

_SAME = 1e-12  # directions closer than this are one: rounding of an angle is 1e-16
_EPSILON = 4e-16  # rounding of a row, relative to its length


@dataclass(frozen=True, eq=False)
class Circles:
    """The rows X, and circles cut into arcs by the directions orthogonal to them; see `cut_circles`.

    An arc begins where a row turns on or off.  Where rows turn together there are arcs of no width between
    them: these are no chambers, and nothing is looked for on them.

    Parameters
    ----------
    X : array of shape (n, D)
    frames : array of shape (K, D, 2)
        Two vectors for every circle: its directions are their combinations with a cosine and a sine.
    sides : array of shape (K, D)
        Where circles are approached from the side, a direction to that side; else zeros.
    held : int array of shape (K,)
        The row to which neurons on a circle must stay orthogonal; -1 if there is none.
    slope : array of shape (c, D), or None
        The slope of a neuron is this matrix times its direction; None where slopes do not count.
    low : float
        What a row counts that is off: 0, or -1 for the absolute value.
    turning : int array of shape (K, E)
        The row that turns at the beginning of each arc.
    starts, ends : arrays of shape (K, E)
        Of the arcs, in radians.
    on, off : int arrays of shape (K, n)
        The arcs with which rows turn on and off.  A row orthogonal to all of a circle does not turn: it has
        -1 and E if it is on, E and -1 if it is off.
    looked_at : bool array of shape (K, E)
        Which arcs are chambers, one of each pair where u and -u are the same neuron.
    flat : float
        What weight decay sees of the second vector of a frame, as a share of the first: directions are
        measured so.

    Examples
    --------
    >>> circle = cut_circle(np.array([[3.0, 4.0]]), "relu")
    >>> circle.largest(np.array([[2.0]]))
    10.0
    """

    X: FloatArray
    frames: FloatArray
    sides: FloatArray
    held: NDArray[np.intp]
    slope: FloatArray | None
    low: float
    turning: NDArray[np.intp]
    starts: FloatArray
    ends: FloatArray
    on: NDArray[np.intp]
    off: NDArray[np.intp]
    looked_at: NDArray[np.bool_]
    flat: float = 1.0

    @cached_property
    def _seen(self) -> FloatArray:
        """The rows as each circle sees them, shape (K, n, 2)."""
        return _seen_rows(self.X, self.frames)

    @cached_property
    def _changes(self) -> FloatArray:
        """By how much the count of the turning row changes at the beginning of each arc."""
        arcs = np.arange(self.starts.shape[1])
        begins, ends = (np.take_along_axis(to, self.turning, axis=1) == arcs for to in (self.on, self.off))
        return (1.0 - self.low) * (begins.astype(float) - ends)

    @cached_property
    def _before(self) -> FloatArray:
        """The pattern before the first arc of each circle, that of the last one: shape (K, n)."""
        return self._patterns(self.on, self.off, np.full(len(self.on), self.starts.shape[1] - 1))

    def _patterns(self, on: NDArray[np.intp], off: NDArray[np.intp], arcs: NDArray[np.intp]) -> FloatArray:
        begun, over = on <= arcs[:, None], off <= arcs[:, None]
        return np.where(np.where(on <= off, begun & ~over, begun | ~over), 1.0, self.low)

    @cached_property
    def _shifts(self) -> FloatArray | float:
        """What slopes take away from the matrices."""
        if self.slope is None:
            return 0.0
        traces = self._before.sum(axis=1)[:, None] + np.cumsum(self._changes, axis=1)
        return traces[:, :, None, None] * (self.slope @ self.frames).swapaxes(1, 2)[:, None]

    def _matrices(self, Q: FloatArray) -> FloatArray:
        """M on every arc, as its circle sees it: shape (K, E, 2, c)."""
        rows = np.take_along_axis(self._seen, self.turning[:, :, None], axis=1)
        changes = (self._changes[:, :, None] * rows)[..., None] * Q[self.turning][:, :, None, :]
        first = np.einsum("kn,knd,nc->kdc", self._before, self._seen, Q, optimize=True)
        return np.asarray(np.cumsum(changes, axis=1) + first[:, None] - self._shifts)

    def worst(self, Q: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the largest response on every arc, and the direction that has it: shapes (P,) and (P, D)."""
        M = self._matrices(Q)
        squares = M @ M.swapaxes(2, 3)
        cosine = 0.5 * (squares[..., 0, 0] - squares[..., 1, 1] / self.flat**2)
        sine = squares[..., 0, 1] / self.flat
        middle, half = 0.5 * (self.starts + self.ends), 0.5 * (self.ends - self.starts)
        peak = 0.5 * np.arctan2(sine, cosine)
        if self.flat != 1.0:  # from the angle that weight decay sees to that on the circle
            peak = np.arctan2(np.sin(peak) / self.flat, np.cos(peak))
        # The peak, modulo pi, as an offset from the middle of the arc; then the nearest point of the arc.
        offset = np.clip(np.mod(peak - middle + np.pi / 2, np.pi) - np.pi / 2, -half, half)
        # M itself and not its square says how large |M^T u| is: on a thin arc it may be a small difference of
        # large numbers.  Where that is so, rounding may also choose the wrong end.
        angles = np.stack([middle + offset, self.starts, self.ends])
        on_circle = self._of_length_one(_on_circle(angles))
        responses = np.linalg.norm(np.einsum("aked,kedc->akec", on_circle, M), axis=-1)
        best = responses.argmax(axis=0)[None]
        most, where = (np.take_along_axis(a, best, axis=0)[0] for a in (responses, angles))
        directions = self._of_length_one(_on_circle(where)) @ self.frames.swapaxes(1, 2)
        return np.where(self.looked_at, most, 0.0).ravel(), directions.reshape(-1, self.X.shape[1])

    def largest(self, Q: FloatArray) -> float:
        """Return the largest response of all."""
        return float(self.worst(Q)[0].max())

    def hills(self, responses: FloatArray) -> NDArray[np.intp]:
        """Return the numbers of the arcs that respond no less than their neighbours."""
        around = responses.reshape(self.starts.shape)
        higher = np.maximum(np.roll(around, 1, axis=1), np.roll(around, -1, axis=1))
        return np.flatnonzero((around >= higher) & (around > 0))

    def neurons(self, arcs: NDArray[np.intp], directions: FloatArray) -> Neurons:
        """Return neurons with these directions on the arcs with these numbers."""
        circle, arc = np.divmod(arcs, self.starts.shape[1])
        signs = self._patterns(self.on[circle], self.off[circle], arc)
        return Neurons(signs, directions, self._insides(arcs), self.held[circle])

    def corners(self, most: int) -> Neurons:
        """Return the neurons at both ends of every arc, or of as many as there may be, evenly spaced."""
        arcs = np.flatnonzero(self.looked_at)
        arcs = arcs[np.unique(np.linspace(0, len(arcs) - 1, min(len(arcs), most // 2)).astype(np.intp))]
        at = [self._directions(arcs, ends.ravel()[arcs]) for ends in (self.starts, self.ends)]
        return self.neurons(np.tile(arcs, 2), np.concatenate(at))

    def _insides(self, arcs: NDArray[np.intp]) -> FloatArray:
        """Directions in the interior of chambers: the middles of their arcs, or a little beside them."""
        middle = self._directions(arcs, (0.5 * (self.starts + self.ends)).ravel()[arcs])
        if self.flat != 1.0:
            middle = middle / np.linalg.norm(middle, axis=1, keepdims=True)
        sides = self.sides[arcs // self.starts.shape[1]]
        if not sides.any():
            return middle
        room = np.abs(middle @ unit_rows(self.X).T)
        room = np.where(room > _SAME, room, np.inf).min(axis=1, initial=1.0)
        return middle + 0.5 * room[:, None] * sides

    def _directions(self, arcs: NDArray[np.intp], angles: FloatArray) -> FloatArray:
        frames = self.frames[arcs // self.starts.shape[1]]
        return np.asarray(np.einsum("pdb,pb->pd", frames, self._of_length_one(_on_circle(angles))))

    def _of_length_one(self, on_circle: FloatArray) -> FloatArray:
        """Give them the length one that weight decay sees."""
        if self.flat == 1.0:
            return on_circle
        return np.asarray(on_circle / np.hypot(on_circle[..., :1], self.flat * on_circle[..., 1:]))


def _seen_rows(X: FloatArray, frames: FloatArray) -> FloatArray:
    """The rows in each frame; a row orthogonal to it, but for rounding, is zero."""
    seen = np.matmul(X, frames)
    small = np.linalg.norm(seen, axis=2) <= _SAME * np.linalg.norm(X, axis=1)
    seen[small] = 0.0
    return np.asarray(seen)


def cut_circles(
    X: FloatArray,
    frames: FloatArray,
    activation: Activation,
    *,
    slope: FloatArray | None = None,
    sides: FloatArray | None = None,
    held: NDArray[np.intp] | None = None,
    flat: float = 1.0,
) -> Circles:
    """Cut circles at the directions orthogonal to the rows.

    A row orthogonal to all of a circle is on or off as it is on the side from which the circle is
    approached; a row of zeros is on everywhere, since relu'(0) = 1 and sign(0) = 1.

    Parameters
    ----------
    X : array of shape (n, D)
    frames : array of shape (K, D, 2)
    activation : {"relu", "abs"}
    slope, sides, held, flat : optional
        See `Circles`.

    Returns
    -------
    Circles

    Examples
    --------
    >>> circles = cut_circles(np.eye(3), np.eye(3)[None, :, 1:], "relu", sides=np.eye(3)[:1])
    >>> circles.neurons(np.array([0]), np.array([[0.0, 0.6, 0.8]])).signs.tolist()
    [[1.0, 1.0, 1.0]]
    """
    n, K = len(X), len(frames)
    seen = _seen_rows(X, frames)
    facing = np.zeros((K, X.shape[1])) if sides is None else sides
    turns = seen.any(axis=2)
    towards = np.arctan2(seen[..., 1], seen[..., 0])
    cuts = np.mod(np.concatenate([towards - np.pi / 2, towards + np.pi / 2], axis=1), 2 * np.pi)
    real = np.tile(turns, 2)
    cuts = np.where(real, cuts, np.where(real, cuts, 0.0).max(axis=1, keepdims=True))  # adds arcs of no width
    order = np.argsort(cuts, axis=1, kind="stable")
    starts = np.take_along_axis(cuts, order, axis=1)
    ends = np.concatenate([starts[:, 1:], starts[:, :1] + 2 * np.pi], axis=1)
    place = np.argsort(order, axis=1)
    aside = facing @ X.T >= 0
    on = np.where(turns, place[:, :n], np.where(aside, -1, 2 * n))
    off = np.where(turns, place[:, n:], np.where(aside, 2 * n, -1))
    # Where the data are thin, rounding of the data itself is as much as that, seen in their frame.
    looked_at = ends - starts > max(_SAME, _EPSILON / flat)
    if activation == "abs" and one_of_two(X, slope):  # half of a circle is enough
        count = turns.sum(axis=1, keepdims=True)
        looked_at &= (np.arange(2 * n) < count) | (count == 0)
    return Circles(
        X=X,
        frames=frames,
        sides=facing,
        held=np.full(K, -1) if held is None else held,
        slope=slope,
        low=0.0 if activation == "relu" else -1.0,
        turning=order % n,
        starts=starts,
        ends=ends,
        on=on,
        off=off,
        looked_at=looked_at,
        flat=flat,
    )


def one_of_two(X: FloatArray, slope: FloatArray | None) -> bool:
    """Whether u and -u are the same neuron of absolute values.

    Where slopes count, sign(0) = 1 makes rows of zeros tell them apart.

    Examples
    --------
    >>> one_of_two(np.eye(2), np.eye(2)), one_of_two(np.zeros((1, 2)), np.eye(2))
    (True, False)
    """
    return slope is None or bool(X.any(axis=1).all())


def cut_circle(
    points: FloatArray, activation: Activation, *, slope: FloatArray | None = None, flat: float = 1.0
) -> Circles:
    """Cut the circle of the plane at the directions orthogonal to the points.

    Parameters
    ----------
    points : array of shape (n, 2)
    activation : {"relu", "abs"}
    slope : array of shape (c, 2), optional
    flat : float
        See `Circles`.

    Returns
    -------
    Circles

    Examples
    --------
    >>> circle = cut_circle(np.array([[1.0, 0.0], [0.0, 1.0]]), "relu")
    >>> circle.corners(8).signs[:4].astype(int).tolist()
    [[1, 1], [0, 1], [0, 0], [1, 0]]
    """
    return cut_circles(points, np.eye(2)[None], activation, slope=slope, flat=flat)


def cut_lines(X: FloatArray, activation: Activation, *, slope: FloatArray | None = None) -> Circles:
    """Cut the lines through each point at the other points: neurons with free biases.

    Such a neuron responds no more than one with a kink that goes through a point: between points its response
    is convex in the bias, and beyond them constant.  Directions are measured without their last coordinate.

    Parameters
    ----------
    X : array of shape (n, 3)
        Points of the plane, with the same number beside each for the bias.
    activation : {"relu", "abs"}
    slope : array of shape (c, 3), optional
        See `Circles`.

    Returns
    -------
    Circles

    Examples
    --------
    Two points, at a distance of two:

    >>> lines = cut_lines(np.array([[1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]]), "relu")
    >>> lines.largest(np.array([[1.0], [-1.0]]))
    2.0
    """
    _, first = np.unique(X[:, :2], axis=0, return_index=True)
    frames = np.zeros((len(first), 3, 2))
    frames[:, :2] = np.eye(2)
    frames[:, 2] = -X[first, :2] / X[first, 2:]
    sides = unit_rows(X[first])
    if activation == "abs" or slope is not None:  # else it is all the same whether the point itself is on
        first, frames, sides = np.tile(first, 2), np.tile(frames, (2, 1, 1)), np.concatenate([sides, -sides])
    return cut_circles(X, frames, activation, slope=slope, sides=sides, held=first)


def _on_circle(angles: FloatArray) -> FloatArray:
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def largest_response(X: ArrayLike, Q: ArrayLike, *, activation: Activation = "relu") -> float:
    r"""Return the largest :math:`\|Q^\top \sigma(Xu)\|` over all unit vectors u of the plane.

    For other norms and in three dimensions see `convexdiff_lib.space.directions.largest_response`.

    Parameters
    ----------
    X : array of shape (n, 2)
    Q : array of shape (n, c)
    activation : {"relu", "abs"}

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If an argument is malformed.

    Examples
    --------
    >>> largest_response([[3.0, 4.0]], [[0.0, 2.0]])
    10.0
    """
    return float(response_peaks(X, Q, activation=activation)[0].max())


def response_peaks(
    X: ArrayLike, Q: ArrayLike, *, activation: Activation = "relu"
) -> tuple[FloatArray, FloatArray]:
    r"""Return the largest :math:`\|Q^\top \sigma(Xu)\|` on every arc of unit vectors u, and where it is.

    Parameters
    ----------
    X : array of shape (n, 2)
    Q : array of shape (n, c)
    activation : {"relu", "abs"}

    Returns
    -------
    largest : array of shape (P,)
    directions : array of shape (P, 2)

    Raises
    ------
    ValueError
        If an argument is malformed.

    Examples
    --------
    >>> largest, directions = response_peaks([[3.0, 4.0]], [[2.0]])
    >>> directions[largest.argmax()].round(6).tolist()
    [0.6, 0.8]
    """
    points, dual_point = as_matrix(X, "X"), as_matrix(Q, "Q")
    if points.shape[1] != 2 or len(points) != len(dual_point):
        raise ValueError(
            f"X must have shape (n, 2), and Q as many rows; got {points.shape} and {dual_point.shape}"
        )
    circle = cut_circle(points, as_activation(activation))
    largest, directions = circle.worst(dual_point)
    kept = circle.looked_at.ravel()
    return largest[kept], directions[kept]
