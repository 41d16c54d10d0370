r"""The smallest penalty at which score matching with three layers of absolute values is finite.

It is the smallest beta at which the dual has a feasible point: the least, over residuals r, of the price of
the dearest chain.  For distinct points that is 3, with skip connection 4, and 2 for two points.  With ties
there is no such rule; a linear program says it, over few chains, to which the dearest ones of its answer are
added until none is dearer than the program says.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog

from .._validation import FloatArray
from ._chain_prices import chain_prices
from ._deep_abs import Chain, chain_at, dear_chains
from .problem import LineProblem
from .sample import Sample

__all__ = ["abs_chain_threshold", "is_surely_finite"]

_ROUNDS = 200
_ROUNDING = 1e-9


def is_surely_finite(sample: Sample, beta: float, *, skip: bool) -> bool:
    """Whether three times the threshold of two layers, at which there is a minimum, is not above beta.

    Examples
    --------
    >>> is_surely_finite(Sample.of([0.0, 1.0, 3.0]), 3.0, skip=False)
    True
    """
    return beta >= 3 * sample.threshold("abs", skip)


def abs_chain_threshold(sample: Sample, *, skip: bool) -> float:
    """Return the threshold; to nine digits where points repeat, else exactly.

    Examples
    --------
    >>> abs_chain_threshold(Sample.of([0.0, 1.0, 3.0]), skip=False)
    3.0
    >>> abs_chain_threshold(Sample.of([0.0, 1.0, 2.5, 2.5, 2.5, 3.0, 4.0, 7.0]), skip=False)
    5.0
    """
    counts = sample.counts
    if len(counts) > 2 and (counts == counts[0]).all():
        return (4.0 if skip else 3.0) * float(counts[0])
    return _program(sample, skip)


class _Row(NamedTuple):
    """A constraint: weights of the residuals, and what the price is without them."""

    weights: FloatArray
    slopes: float


def _program(sample: Sample, skip: bool) -> float:
    """Solve the linear program, chain by chain."""
    counts = sample.counts
    unit = float(np.sqrt(counts @ (sample.points - sample.points.mean()) ** 2 / counts.sum())) or 1.0
    near = Sample(sample.x, (sample.points - sample.points[0]) / unit, counts, weighted=True)
    problem = LineProblem(near, 0.0, "abs", skip)
    equations, levels = [counts], [0.0]
    if skip:
        equations.append(counts * (near.points - counts @ near.points / counts.sum()))
        levels.append(-near.level)
    rows = [_row(problem, chain_at(problem, 0, i, i, s)) for i in range(len(counts)) for s in (1.0, -1.0)]
    bound = reached = np.inf
    for _ in range(_ROUNDS):
        found = linprog(
            np.append(np.zeros(len(counts)), 1.0),
            A_ub=np.column_stack([np.array([row.weights for row in rows]), -np.ones(len(rows))]),
            b_ub=np.array([-row.slopes for row in rows]),
            A_eq=np.column_stack([np.array(equations), np.zeros(len(equations))]),
            b_eq=levels,
            bounds=(None, None),
            method="highs",
        )
        residuals, bound = found.x[:-1], float(found.x[-1])
        prices = chain_prices(problem, residuals - counts @ residuals / counts.sum())
        reached = min(reached, prices.largest)
        if prices.largest <= bound + _ROUNDING * max(1.0, bound):
            break
        rows += [_row(problem, chain) for chain in dear_chains(problem, prices, bound)]
    whole = round(bound)
    return float(whole) if abs(bound - whole) <= 10 * _ROUNDING * max(1.0, bound) else max(bound, reached)


def _row(problem: LineProblem, chain: Chain) -> _Row:
    """The price of a chain as a function of the residuals."""
    return _Row(-problem.counts * chain.values, -chain.place.slopes)
