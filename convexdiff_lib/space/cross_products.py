r"""Generalised cross products: the vector orthogonal to d - 1 others, of length their volume.

.. math:: a_1 \wedge \dots \wedge a_{d-1} = v \quad\text{with}\quad x^T v = \det(x, a_1, \dots, a_{d-1})
          \text{ for every } x \in \mathbb{R}^d .

In the plane that is a rotation by a right angle, in space the cross product.  It is expanded along rows and
divides by nothing, so that integers stay exact.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._validation import refuse_masked

__all__ = ["cross_product"]


def cross_product(rows: ArrayLike) -> NDArray[Any]:
    r"""Return the generalised cross product of d - 1 vectors, for many sets of vectors at once.

    Parameters
    ----------
    rows : array of shape (..., d - 1, d)
        Integers, floats, or objects such as Python's integers and fractions.

    Returns
    -------
    array of shape (..., d)
        Of the type of ``rows``.  Zero exactly where the vectors are dependent, if the type is exact.

    Raises
    ------
    ValueError
        If the last two axes are not of lengths d - 1 and d, or the entries are not finite real numbers.

    Examples
    --------
    >>> cross_product([[3, 0]]).tolist()  # turned by a right angle
    [0, -3]
    >>> cross_product([[1, 0, 0], [0, 1, 0]]).tolist()
    [0, 0, 1]
    """
    given = np.asarray(rows)
    refuse_masked(rows, given, "rows")
    if given.ndim < 2 or given.shape[-2] != given.shape[-1] - 1:
        raise ValueError(f"rows must have shape (..., d - 1, d); got {given.shape}")
    if given.dtype.kind not in "iufO" or (given.dtype.kind == "f" and not np.isfinite(given).all()):
        raise ValueError(f"rows must hold finite real numbers; got {rows!r:.80}")
    d = given.shape[-1]
    minors: dict[tuple[int, ...], NDArray[Any]] = {(): np.ones(given.shape[:-2], dtype=given.dtype)}
    for k in range(d - 1):
        row = given[..., k, :]
        # Along the last row of a minor of size k + 1 the signs alternate and end on plus.
        minors = {
            columns: sum(
                (-1) ** (k - place) * row[..., c] * minors[columns[:place] + columns[place + 1 :]]
                for place, c in enumerate(columns)
            )
            for columns in combinations(range(d), k + 1)
        }
    everything = tuple(range(d))
    signed = [(-1) ** c * minors[everything[:c] + everything[c + 1 :]] for c in range(d)]
    return np.stack([np.asarray(part, dtype=given.dtype) for part in signed], axis=-1)
