r"""Axes in which points of the plane that lie nearly on a line through 0 are well apart.

Seen from 0 such points are in nearly one direction, so that the chambers of neurons that tell them apart are
as thin as the points are: of that, doubles keep few digits.  In the frame of the points, with the long axis
shortened to the length of the other, nothing is thin, and what weight decay sees of a direction changes
instead.  The products of points and axes are rounded once.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .._validation import FloatArray
from .neurons import unit_rows

__all__ = ["Frame", "thin_frame"]

_THIN = 1e-2  # directions that spread less than this have a frame of their own
_A_LINE = 1e-12  # and less than this, they are one but for rounding


@dataclass(frozen=True, eq=False)
class Frame:
    """Axes, the columns of a matrix, orthogonal and none longer than one.

    Parameters
    ----------
    axes : array of shape (D, D)
    flat : float
        The length of the second one; the others have length one.
    turned : bool
        Whether these are not the axes of the data.

    Examples
    --------
    >>> Frame.plain(2).flat
    1.0
    """

    axes: FloatArray
    flat: float
    turned: bool

    @classmethod
    def plain(cls, D: int) -> Frame:
        """Return the axes of the data."""
        return cls(np.eye(D), 1.0, False)

    @property
    def metric(self) -> FloatArray:
        """The squares of the lengths of the axes."""
        return np.array([1.0, self.flat**2]) if self.turned else np.ones(len(self.axes))

    def seen(self, points: FloatArray) -> FloatArray:
        """Return the products of points and axes, each rounded once."""
        if not self.turned:
            return points
        axes = [[Fraction(a) for a in axis] for axis in self.axes.T.tolist()]
        rows = ([Fraction(a) for a in point] for point in points.tolist())
        return np.array([[float(x * a + y * b) for a, b in axes] for x, y in rows])

    def restored(self, directions: FloatArray) -> FloatArray:
        """Return directions in these axes in those of the data."""
        return directions @ self.axes.T if self.turned else directions


def thin_frame(points: FloatArray) -> Frame:
    """Return the frame of points of the plane: their own if they lie nearly on a line through 0.

    Parameters
    ----------
    points : array of shape (n, 2)

    Returns
    -------
    Frame

    Examples
    --------
    >>> frame = thin_frame(np.array([[1e6, 1.0], [1e6, -1.0]]))
    >>> frame.flat, np.abs(frame.seen(np.array([[1e6, 1.0]]))).round(3).tolist()
    (9.5367431640625e-07, [[1.0, 0.954]])
    """
    if len(points) < 2 or not points.any():
        return Frame.plain(2)
    # A point far out says nothing about the directions of the others: all count alike.
    _, sizes, axes = np.linalg.svd(unit_rows(points), full_matrices=False)
    a, b = axes[1]
    if not _A_LINE < sizes[1] / sizes[0] < _THIN:
        return Frame.plain(2)
    flat = 2.0 ** np.round(np.log2(sizes[1] / sizes[0]))  # a power of two costs no digit
    return Frame(np.array([[a, -flat * b], [b, flat * a]]), float(flat), True)
