"""Which of a few sorted knots lie at or below each of very many points, without a binary search.

A binary search asks the processor to guess, and with points in no order half of the guesses are wrong.  A few
knots are compared one by one; many are found from a table of cells of equal width.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._validation import FloatArray

_FEW = 8  # knots that are compared one by one
_CELLS = 4096
_CROWD = 2  # knots in one cell, beyond which the binary search is left to do it
_SHORT = 1024  # fewer points do not pay for the table


class Lookup:
    """Sorted knots, ready for `count`.

    Examples
    --------
    >>> Lookup(np.array([0.0, 1.0])).count(np.array([-1.0, 0.0, 0.5, 7.0])).tolist()
    [0, 1, 1, 2]
    """

    def __init__(self, knots: FloatArray) -> None:
        self.knots = knots
        self.open_ended = np.append(knots, np.inf)
        self.crowd = 0
        if len(knots) <= _FEW:
            return
        with np.errstate(over="ignore", divide="ignore"):
            self.scale = float(_CELLS / (knots[-1] - knots[0]))
        if not 0 < self.scale < np.inf:
            self.crowd = len(knots)
            return
        cells = self._cell(knots)
        self.crowd = int(np.bincount(cells).max())
        self.before = np.searchsorted(cells, np.arange(_CELLS))

    def _cell(self, x: FloatArray) -> NDArray[np.intp]:
        """The cell of each point: rounding may move its edges, but never lets them cross."""
        with np.errstate(over="ignore"):
            place = (x - self.knots[0]) * self.scale
        np.fmin(np.fmax(place, 0, out=place), _CELLS - 1, out=place)  # not a number goes to the first
        return place.astype(np.intp)

    def count(self, x: FloatArray) -> NDArray[np.intp]:
        """Return for each point how many knots are not above it, as a binary search from the right does."""
        if len(x) < _SHORT or self.crowd > _CROWD:
            return np.searchsorted(self.knots, x, side="right")
        if self.crowd:
            found = self.before.take(self._cell(x))
            for _ in range(self.crowd):
                found += self.open_ended.take(found) <= x
            return found
        few = np.zeros(len(x), dtype=np.int8)
        for knot in self.knots:
            few += x >= knot
        return few.astype(np.intp)
