r"""The chambers of the sphere of directions in space, and where a neuron responds most in each.

The planes orthogonal to the rows of X cut the sphere into chambers, on each of which the activation pattern D
is constant.  The response :math:`\|M^\top u\|`, see `convexdiff_lib.space.circles`, is largest at a leading
eigenvector of :math:`M M^\top` if that lies inside its chamber; otherwise on the boundary, which is made of
arcs of great circles.  So it is known where it is largest of all: one eigenvector for every chamber, and the
circles in all planes, each with the patterns of both of its sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._validation import Activation, FloatArray
from .arrangements import chamber_signs
from .circles import Circles, cut_circles, one_of_two
from .neurons import Neurons, unit_rows

__all__ = ["Sphere", "cut_sphere"]

_SAME = 1e-12  # lines closer than this are one: rounding of a direction is 1e-16


@dataclass(frozen=True, eq=False)
class Sphere:
    """The rows X, the patterns of all chambers, and the circles of their boundaries; see `cut_sphere`.

    Parameters
    ----------
    X : array of shape (n, 3)
    signs : array of shape (P, n)
        The pattern of each chamber: indicators, or signs.
    circles : Circles

    Examples
    --------
    >>> round(cut_sphere(np.eye(3), "relu").largest(np.eye(3)), 9)
    1.0
    """

    X: FloatArray
    signs: FloatArray
    circles: Circles

    def worst(self, Q: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the largest response inside every chamber, 0 if it is on the boundary, and on every arc.

        With the directions that have them: shapes (P,) and (P, 3).
        """
        M = np.einsum("pn,nd,nc->pdc", self.signs, self.X, Q, optimize=True)
        if self.circles.slope is not None:
            M -= self.signs.sum(axis=1)[:, None, None] * self.circles.slope.T
        sizes, vectors = np.linalg.eigh(M @ M.swapaxes(1, 2))
        leading = vectors[:, :, -1]
        facing = (leading @ self.X.T) * np.where(self.signs > 0, 1.0, -1.0)
        inside, opposite = np.all(facing >= 0, axis=1), np.all(facing <= 0, axis=1)
        largest = np.where(inside | opposite, np.sqrt(np.maximum(sizes[:, -1], 0.0)), 0.0)
        on_circles, directions = self.circles.worst(Q)
        return (
            np.concatenate([largest, on_circles]),
            np.concatenate([leading * np.where(opposite & ~inside, -1.0, 1.0)[:, None], directions]),
        )

    def largest(self, Q: FloatArray) -> float:
        """Return the largest response of all."""
        return float(self.worst(Q)[0].max())

    def hills(self, responses: FloatArray) -> NDArray[np.intp]:
        """Return the numbers of those in chambers, and on arcs of those no less than their neighbours."""
        count = len(self.signs)
        inside = np.flatnonzero(responses[:count] > 0)
        return np.concatenate([inside, count + self.circles.hills(responses[count:])])

    def neurons(self, places: NDArray[np.intp], directions: FloatArray) -> Neurons:
        """Return neurons with these directions in the chambers, or on the arcs, with these numbers."""
        count = len(self.signs)
        inner = places < count
        signs = self.signs[places[inner]]
        within = Neurons(signs, directions[inner], directions[inner], np.full(len(signs), -1))
        return within.and_also(self.circles.neurons(places[~inner] - count, directions[~inner]))

    def corners(self, most: int) -> Neurons:
        """Return neurons on the rays where planes meet, as many as there may be."""
        return self.circles.corners(most)


def cut_sphere(X: FloatArray, activation: Activation, *, slope: FloatArray | None = None) -> Sphere:
    """Cut the sphere at the planes orthogonal to the rows.

    Parameters
    ----------
    X : array of shape (n, 3)
    activation : {"relu", "abs"}
    slope : array of shape (c, 3), optional
        The slope of a neuron is this matrix times its direction; None where slopes do not count.

    Returns
    -------
    Sphere

    Examples
    --------
    >>> len(cut_sphere(np.eye(3), "relu").signs), len(cut_sphere(np.eye(3), "abs").signs)
    (8, 4)
    """
    signs = chamber_signs(X).astype(np.float64)
    if activation == "relu":
        signs = np.maximum(signs, 0.0)
    elif one_of_two(X, slope):
        signs = signs[signs[:, int(np.argmax(np.any(X != 0, axis=1)))] > 0]
    normals = _lines(X)
    frames = np.linalg.svd(normals[:, None, :])[2][:, 1:].swapaxes(1, 2)
    if activation == "abs" or slope is not None:  # else it is all the same whether the row itself is on
        normals, frames = np.concatenate([normals, -normals]), np.tile(frames, (2, 1, 1))
    return Sphere(X, signs, cut_circles(X, frames, activation, slope=slope, sides=normals))


def _lines(X: FloatArray) -> FloatArray:
    """Unit vectors along the rows, one for all that are parallel; one of any kind where all rows are zero."""
    units = unit_rows(X[X.any(axis=1)])
    if not len(units):
        return np.eye(X.shape[1])[:1]
    chosen = [units[0]]
    for row in units[1:]:
        apart = np.asarray(chosen) - np.sign(np.asarray(chosen) @ row)[:, None] * row
        if np.linalg.norm(apart, axis=1).min() > _SAME:
            chosen.append(row)
    return np.asarray(chosen)
