r"""The arcs into which the data cut the circle of directions, and where a neuron responds most on each.

The lines orthogonal to the rows of X cut the circle into arcs, on each of which the activation pattern D is
constant.  There the response :math:`\|Q^\top \sigma(Xu)\|` of a unit neuron is :math:`\|M^\top u\|` with
:math:`M = X^\top D Q`.  Its square is a constant plus a cosine of twice the angle, so that its largest value
is a closed form: at the peak of the cosine, if that lies on the arc, or at an end.

In score matching a neuron has the response :math:`\|Q^\top D X u - \mathrm{tr}(D)\, u\|`, again the root of a
constant plus a cosine.  It jumps at the ends of an arc.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._validation import Activation, FloatArray, as_activation, as_matrix
from ._blocks import Blocks

__all__ = ["Arcs", "UnitNeurons", "cut_circle", "largest_response", "response_peaks"]

_SAME = 1e-12  # directions closer than this are one: rounding of an angle is 1e-16
_ROUNDING = 1e-14  # of a product of a point and a unit vector, relative to the point


@dataclass(frozen=True, eq=False)
class UnitNeurons:
    """Unit neurons of the plane: the number of the arc of each, and its angle in radians.

    Parameters
    ----------
    arcs : int array of shape (k,)
    angles : array of shape (k,)

    Examples
    --------
    >>> UnitNeurons(np.array([0, 2]), np.array([0.0, 3.0])).part(np.array([1])).angles.tolist()
    [3.0]
    """

    arcs: NDArray[np.intp]
    angles: FloatArray

    def part(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> UnitNeurons:
        """Return the chosen ones."""
        return UnitNeurons(self.arcs[chosen], self.angles[chosen])

    def and_also(self, others: UnitNeurons) -> UnitNeurons:
        """Return these and others."""
        arcs = np.concatenate([self.arcs, others.arcs])
        return UnitNeurons(arcs, np.concatenate([self.angles, others.angles]))


@dataclass(frozen=True, eq=False)
class Arcs:
    """Points of the plane, and the arcs into which they cut the circle; see `cut_circle`.

    Parameters
    ----------
    X : array of shape (n, 2)
    signs : array of shape (P, n)
        The pattern of each arc: indicators, or signs.
    traces : array of shape (P,)
        Their sums where slopes count, otherwise zeros.
    starts, ends : arrays of shape (P,)
        In radians.

    Examples
    --------
    >>> arcs = cut_circle(np.array([[3.0, 4.0]]), "relu")
    >>> arcs.largest(np.array([[2.0]]))
    10.0
    """

    X: FloatArray
    signs: FloatArray
    traces: FloatArray
    starts: FloatArray
    ends: FloatArray

    def worst(self, Q: FloatArray) -> tuple[FloatArray, UnitNeurons]:
        """Return the largest response on every arc, and the neuron that has it."""
        blocks = Blocks(self.X, self.signs, self.traces[:, None, None] * np.eye(2))
        # Without traces Q may have any number of columns.
        M = blocks.matrices(Q) if self.traces.any() else blocks.linear(Q)
        squares = M @ M.transpose(0, 2, 1)
        cosine, sine = 0.5 * (squares[:, 0, 0] - squares[:, 1, 1]), squares[:, 0, 1]
        middle, half = 0.5 * (self.starts + self.ends), 0.5 * (self.ends - self.starts)
        peak = 0.5 * np.arctan2(sine, cosine)
        # The peak, modulo pi, as an offset from the middle of the arc; then the nearest point of the arc.
        offset = np.clip(np.mod(peak - middle + np.pi / 2, np.pi) - np.pi / 2, -half, half)
        # M itself and not its square says how large |M^T u| is: on a thin arc it may be a small difference of
        # large numbers.  Where that is so, rounding may also choose the wrong end.
        angles = np.stack([middle + offset, self.starts, self.ends])
        responses = np.linalg.norm(np.einsum("apd,pdc->apc", _directions(angles), M), axis=2)
        most, arcs = responses.argmax(axis=0), np.arange(len(M))
        return responses[most, arcs], UnitNeurons(arcs, angles[most, arcs])

    def largest(self, Q: FloatArray) -> float:
        """Return the largest response of all."""
        return float(self.worst(Q)[0].max())

    def corners(self) -> UnitNeurons:
        """Return the two neurons at the ends of every arc."""
        return UnitNeurons(np.tile(np.arange(len(self.starts)), 2), np.concatenate([self.starts, self.ends]))

    def atoms(self, neurons: UnitNeurons) -> Blocks:
        """Return the constraints of single neurons, each with the pattern of its arc."""
        u = _directions(neurons.angles)
        values = (self.X @ u.T).T
        # At the end of an arc a point is orthogonal to the neuron; rounding is not to be multiplied by Q.
        values[np.abs(values) <= _ROUNDING * np.linalg.norm(self.X, axis=1)] = 0.0
        features = self.signs[neurons.arcs] * values
        shifts = self.traces[neurons.arcs, None, None] * u[:, None, :]
        return Blocks(np.ones((len(self.X), 1)), features, shifts)

    def weights(self, neurons: UnitNeurons, turn: float = 0.0) -> FloatArray:
        """Return the first-layer weights of neurons, turned inwards by an angle where they are at an end."""
        starts, ends = self.starts[neurons.arcs], self.ends[neurons.arcs]
        shift = np.minimum(turn, (ends - starts) / 4)
        return _directions(np.clip(neurons.angles, starts + shift, ends - shift))


def cut_circle(points: FloatArray, activation: Activation, *, slopes: bool = False) -> Arcs:
    """Cut the circle at the directions orthogonal to the points; a pattern is that of its arc's middle.

    With ``slopes`` the traces of the patterns count, with relu'(0) = 1 and sign(0) = 1: rows of zeros are
    active everywhere, and a cut with points on both sides of its line is an arc of its own, of no width, on
    which both count as active.

    Parameters
    ----------
    points : array of shape (n, 2)
    activation : {"relu", "abs"}
    slopes : bool
        Whether slopes count, as they do in score matching.

    Returns
    -------
    Arcs

    Examples
    --------
    >>> points = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> cut_circle(points, "relu").signs.astype(int).tolist()
    [[1, 1], [0, 1], [0, 0], [1, 0]]
    """
    real = np.any(points != 0, axis=1)
    normals = np.mod(np.arctan2(points[:, 0], -points[:, 1]), np.pi)
    half = np.unique(normals[real]) if real.any() else np.zeros(1)
    half = half[np.concatenate([[True], np.diff(half) > _SAME])]
    cuts = np.concatenate([half, half + np.pi])
    starts, ends = cuts, np.append(cuts[1:], cuts[0] + 2 * np.pi)
    if activation == "abs" and not slopes:  # u and -u are one neuron
        starts, ends = starts[: len(half)], ends[: len(half)]
    on = (points @ _directions(0.5 * (starts + ends)).T > 0).T
    if slopes:
        on |= ~real
        thin = [(cut, row) for cut in cuts for row in _on_both_sides(points, real, normals, cut)]
        starts, ends = (np.concatenate([a, [cut for cut, _ in thin]]) for a in (starts, ends))
        on = np.concatenate([on, np.array([row for _, row in thin], dtype=bool).reshape(-1, len(points))])
    signs = on.astype(np.float64) if activation == "relu" else np.where(on, 1.0, -1.0)
    return Arcs(points, signs, signs.sum(axis=1) if slopes else np.zeros(len(signs)), starts, ends)


def _on_both_sides(
    points: FloatArray, real: NDArray[np.bool_], normals: FloatArray, cut: float
) -> list[NDArray[np.bool_]]:
    """Return the pattern on a cut, if points lie on both sides of the line orthogonal to it."""
    apart = np.abs(np.mod(normals - cut + np.pi / 2, np.pi) - np.pi / 2)
    line = real & (apart <= _SAME)
    along = points[line] @ points[np.argmax(line)]
    if not line.any() or (along > 0).all():
        return []
    return [(points @ _directions(cut) > 0) | line | ~real]


def _directions(angles: FloatArray | float) -> FloatArray:
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def largest_response(X: ArrayLike, Q: ArrayLike, *, activation: Activation = "relu") -> float:
    r"""Return the largest :math:`\|Q^\top \sigma(Xu)\|` over all unit vectors u of the plane.

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
    largest, peaks = cut_circle(points, as_activation(activation)).worst(dual_point)
    return largest, _directions(peaks.angles)
