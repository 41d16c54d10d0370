r"""The convex programs of three layers for univariate data, with every column written out, in CVXPY.

They have the form of the paper's programs,

.. math:: \min_y \tfrac12 \|A y + \bar\ell\|_2^2 + b^T y + c + \beta \|y\|_1 ,

with a column for every run of a narrow ReLU chain that begins and ends at data: half-lines on either side,
and intervals.  In score matching each end stands just before its point or just after it, which decides
whether the slope counts there; and a run may begin just before a point and end just after it, which leaves a
column of zeros that counts.

These programs are the reference, never the fast path: their size grows like the square of the number of data.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from .._results import result
from .._validation import FloatArray, as_flag, as_noisy_sample, as_sample, as_weight_decay
from .univariate_programs import PrintedProgram, without_affine_part

__all__ = ["Runs", "deep_denoising_program", "deep_score_matching_program", "runs_of"]


@result
class Runs:
    """All runs of ReLU chains that begin and end at given points.

    Parameters
    ----------
    kinks : array of shape (k, 2)
        Where each begins and ends.
    after : bool array of shape (k, 2)
        Whether just after its place, else just before it.
    values : array of shape (n, k)
        Length run, at the data.
    counts : array of shape (k,)
        At how many of them the chain runs.

    Examples
    --------
    >>> runs_of([0.0, 2.0], both_sides=False).kinks.tolist()
    [[0.0, inf], [2.0, inf], [-inf, 0.0], [-inf, 2.0], [0.0, 2.0]]
    """

    kinks: FloatArray
    after: np.ndarray
    values: FloatArray
    counts: FloatArray

    def only(self, kept: np.ndarray) -> Runs:
        """Return some of the runs.

        Examples
        --------
        >>> runs = runs_of([0.0, 2.0])
        >>> len(runs.only(runs.counts > 0).counts) < len(runs.counts)
        True
        """
        return Runs(self.kinks[kept], self.after[kept], self.values[:, kept], self.counts[kept])


def runs_of(x: ArrayLike, *, both_sides: bool = True) -> Runs:
    """List all runs.

    Parameters
    ----------
    x : array of shape (n,)
    both_sides : bool
        Whether an end may stand on either side of its point; else where the run is shortest.

    Returns
    -------
    Runs

    Examples
    --------
    Two points: four half-lines on either side, four intervals, and two runs past a single point.

    >>> runs = runs_of([0.0, 2.0])
    >>> len(runs.counts), sorted(runs.counts[~runs.values.any(axis=0)].tolist())
    (14, [0.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    """
    points = as_sample(x)
    places = np.unique(points)
    sides = (False, True) if as_flag(both_sides, "both_sides") else (True,)
    right = [(t, np.inf, late, False) for t, late in product(places, sides)]
    left = [(-np.inf, t, False, late) for t, late in product(places, sides[::-1])]
    inner = [
        (places[i], places[j], late, early)
        for i in range(len(places))
        for j in range(i + 1, len(places))
        for late, early in product(sides, sides)
    ]
    past = [(t, t, False, True) for t in places] if both_sides else []
    table = np.array([*right, *left, *inner, *past], dtype=np.float64).reshape(-1, 4)
    kinks, after = table[:, :2], table[:, 2:] > 0
    (start, stop), (late_start, late_stop), at = kinks.T, after.T, points[:, None]
    begun = (at > start) | ((at == start) & ~late_start)
    ended = (at > stop) | ((at == stop) & ~late_stop)
    here = np.where(np.isinf(start), stop, start)
    return Runs(kinks, after, np.clip(at, start, stop) - here, (begun & ~ended).sum(axis=0).astype(float))


def deep_score_matching_program(
    x: ArrayLike, beta: float, *, skip: bool = False, runs: Runs | None = None
) -> PrintedProgram:
    """Build the program of score matching with three layers of ReLU; solve it with `solve_program`.

    Parameters
    ----------
    x : array of shape (n,)
        Sixty points at most.
    beta : float
        The penalty is beta/3 times the sum of the cubes of all weights.
    skip : bool
    runs : Runs, optional
        Other columns than those of `runs_of`.

    Returns
    -------
    PrintedProgram

    Examples
    --------
    >>> from convexdiff_lib import solve_program
    >>> round(solve_program(deep_score_matching_program([-1.0, 1.0], beta=1.0)).value, 6)
    -0.25
    """
    points = as_sample(x)
    columns = runs_of(points) if runs is None else runs
    return _program(points, np.zeros(len(points)), columns.values, columns.counts, beta, skip, len(points))


def deep_denoising_program(
    x_noisy: ArrayLike, targets: ArrayLike, beta: float, *, skip: bool = False
) -> PrintedProgram:
    """Build the program of denoising with three layers of ReLU; as in the paper y weighs minus the neurons.

    Parameters
    ----------
    x_noisy, targets : arrays of shape (n,)
    beta : float
    skip : bool

    Returns
    -------
    PrintedProgram

    Examples
    --------
    >>> from convexdiff_lib import solve_program
    >>> x, targets = [0.0, 1.0, 2.0, 3.0], [0.0, 0.0, 1.0, 1.0]
    >>> round(solve_program(deep_denoising_program(x, targets, beta=0.1)).value, 6)
    0.09
    """
    points, labels = as_noisy_sample(x_noisy, targets)
    values = runs_of(points, both_sides=False).values
    return _program(points, labels, values, np.zeros(values.shape[1]), beta, skip, 0)


def _program(
    points: FloatArray,
    labels: FloatArray,
    values: FloatArray,
    counts: FloatArray,
    beta: float,
    skip: bool,
    slope_counts: int,
) -> PrintedProgram:
    near = points - points[0]
    if as_flag(skip, "skip") and not near.any():
        raise ValueError("a skip connection needs at least two distinct points")
    centred = near - near.mean() if skip else None
    return without_affine_part(values, counts, labels, as_weight_decay(beta), slope_counts, centred)
