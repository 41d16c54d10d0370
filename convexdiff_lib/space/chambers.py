r"""How wide chambers are: Definition 12, on which the bound for the 2-norm rests.

The diameter of a chamber is the largest distance between two unit vectors in it.  In the plane a chamber is
an arc, and its ends are farthest apart.  In any dimension a chamber whose extreme rays are pairwise at most a
right angle apart has its diameter between two of them.  A wider one has a diameter at least that large, and
at most that of a cap around its generator.
"""

from __future__ import annotations

import numpy as np

from .._results import result
from .._validation import FloatArray
from .arrangements import Arrangements

__all__ = ["Diameter", "chamber_diameters"]


@result
class Diameter:
    """Bounds on the diameter of every chamber.

    Parameters
    ----------
    lower, upper : arrays of shape (P,)
        Equal where the diameter is known exactly.

    Examples
    --------
    >>> import numpy as np
    >>> Diameter(np.array([1.0]), np.array([1.0])).largest
    (1.0, 1.0)
    """

    lower: FloatArray
    upper: FloatArray

    @property
    def largest(self) -> tuple[float, float]:
        """Bounds on the maximum chamber diameter of Definition 12."""
        return float(self.lower.max()), float(self.upper.max())


def chamber_diameters(arrangements: Arrangements) -> Diameter:
    r"""Bound the diameter of every chamber; exact in the plane, and wherever no two rays are obtuse.

    If all extreme rays :math:`r_i` of a chamber have :math:`r_i^T r_j \ge c \ge 0`, then so have all its unit
    vectors: they are :math:`\sum a_i r_i` over a length that is at most :math:`\sum a_i`.

    Parameters
    ----------
    arrangements : Arrangements

    Returns
    -------
    Diameter

    Examples
    --------
    The quadrants of the plane:

    >>> from convexdiff_lib.space.arrangements import enumerate_arrangements
    >>> lower, upper = chamber_diameters(enumerate_arrangements([[1, 0], [0, 1]])).largest
    >>> round(lower, 6), round(upper, 6)
    (1.414214, 1.414214)
    """
    P, d = arrangements.generators.shape
    rank = int(np.linalg.matrix_rank(arrangements.rays)) if len(arrangements.rays) else 0
    if rank < d:  # every chamber holds a line, but for its boundary
        return Diameter(np.full(P, 2.0), np.full(P, 2.0))
    lower, upper = np.zeros(P), np.zeros(P)
    chamber, ray = arrangements.touches.T
    counts = np.bincount(chamber, minlength=P)
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    for k in np.unique(counts):
        some = np.flatnonzero(counts == k)
        rays = arrangements.rays[ray[first[some, None] + np.arange(k)]]
        least = np.einsum("pid,pjd->pij", rays, rays).min(axis=(1, 2))
        lower[some] = np.sqrt(np.maximum(2 - 2 * least, 0.0))
        middle = np.einsum("pid,pd->pi", rays, arrangements.generators[some]).min(axis=1)
        cap = np.where(middle > 0, 2 * np.sqrt(np.maximum(1 - middle**2, 0.0)), 2.0)
        exact = (least >= 0) | (d == 2)
        upper[some] = np.where(exact, lower[some], np.maximum(cap, lower[some]))
    return Diameter(lower, upper)
