r"""How many chambers there are: in general position by a formula, otherwise by deletion and restriction."""

from __future__ import annotations

from math import comb, e

import numpy as np
from numpy.typing import ArrayLike

from .._progress import QUIET, Bar
from .._validation import as_count
from ._exact_rows import Ints, as_exact, merged, restricted

__all__ = ["count_arrangements", "count_bound", "count_chambers"]


def count_arrangements(n: int, d: int) -> int:
    r"""Return the number of chambers of n rows in general position in d dimensions.

    .. math:: 2 \sum_{k < d} \binom{n-1}{k}

    Raises
    ------
    ValueError
        If n or d is no positive integer.

    Examples
    --------
    >>> [count_arrangements(n, 2) for n in (1, 2, 3)], count_arrangements(3, 3)
    ([2, 4, 6], 8)
    """
    n, d = as_count(n, "n", 1), as_count(d, "d", 1)
    return 2 * sum(comb(n - 1, k) for k in range(d))


def count_bound(n: int, r: int) -> float:
    r"""Return the bound :math:`2r(e(n-1)/r)^r` of Appendix D.4 on the number of chambers of n rows of rank r.

    Raises
    ------
    ValueError
        If n or r is no positive integer.

    Examples
    --------
    >>> round(count_bound(10, 2)), count_arrangements(10, 2)
    (599, 20)
    """
    n, r = as_count(n, "n", 1), as_count(r, "r", 1)
    return 2 * r * (e * (n - 1) / r) ** r


def count_chambers(X: ArrayLike, *, progress: bool = False) -> int:
    r"""Count the chambers of any data exactly, by deletion and restriction.

    Without the last hyperplane there are fewer chambers, and it cuts as many of them in two as the others
    have chambers on it.  This is slow and knows nothing of rays: a check of `enumerate_arrangements`.

    Parameters
    ----------
    X : array of shape (n, d)
        As in `enumerate_arrangements`.
    progress : bool
        Whether to show a bar that counts hyperplanes; the first have the most others left to meet.

    Raises
    ------
    ValueError
        If X is not a finite matrix.

    Examples
    --------
    Three lines in the plane, two of them the same:

    >>> count_chambers([[1, 0], [2, 0], [0, 1]])
    4
    """
    lines = _distinct_lines(as_exact(X))
    with Bar(progress, "count_chambers", "hyperplane", len(lines)) as bar:
        return _count(lines, bar)


def _distinct_lines(rows: Ints) -> frozenset[tuple[int, ...]]:
    return frozenset(map(tuple, merged(rows)[0].tolist()))


def _count(lines: frozenset[tuple[int, ...]], bar: Bar = QUIET) -> int:
    total, rest = 0, sorted(lines)
    if rest and len(rest[0]) == 2:  # lines of a plane
        bar.done(len(rest))
        return 2 * len(rest)
    while rest:
        wall = rest.pop()
        if rest:
            total += _count(_distinct_lines(restricted(np.array(rest, dtype=object), list(wall))))
        else:
            total += 1
        bar.done()
    return total + 1
