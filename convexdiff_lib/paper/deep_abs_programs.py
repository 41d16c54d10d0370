r"""The dictionary of narrow three-layer networks of absolute values, written out and solved with CVXPY.

The paper stops at two layers; this is its recipe for three.  A chain of width one is :math:`||x - a| - c|`,
and the Lasso over all (a, c) is one over those at which two of its three kinks are at data points.  In score
matching each is taken with every sum of slopes that chains nearby have: every kink at a point stands before
it or after it.  Some :math:`\tfrac32 n^2` chains, up to eight times each: for sixty points at most.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._optional import needed
from .._results import result
from .._validation import FloatArray, as_flag, as_sample, as_weight_decay, expect_one_shape
from ..line.chains import ChainNetwork

with needed("CVXPY", '"convexdiff-lib[programs]"'):
    import cvxpy as cp

__all__ = ["ChainProgram", "SolvedChains", "chain_program", "solve_chain_program"]

_MOST = 60
_TOLERANCE = 1e-11


@result
class ChainProgram:
    r"""A Lasso over chains.

    .. math:: \min_{y, b_0, v}\ \tfrac12 \|A y + b_0 + v x - \ell\|^2 + b^T y + m v + \beta \|y\|_1

    Parameters
    ----------
    x : array of shape (n,)
        The data, in order.
    labels : array of shape (n,)
        The targets of denoising, zero for score matching.
    A : array of shape (n, k)
        Each chain at the data.
    b : array of shape (k,)
        The sum of its slopes there; zero for denoising.
    kinks, after : arrays of shape (k, 3)
        As `ChainNetwork` takes them.
    beta : float
    skip : bool
        Whether v may be other than zero.
    counted : int
        How often the loss counts the slope v: m, which is n for score matching, 0 for denoising.

    Examples
    --------
    >>> program = chain_program([0.0, 1.0, 3.0], 3.5)
    >>> program.A.shape, program.b.tolist()[:2]
    ((3, 42), [3.0, 1.0])
    """

    x: FloatArray
    labels: FloatArray
    A: FloatArray
    b: FloatArray
    kinks: FloatArray
    after: NDArray[np.bool_]
    beta: float
    skip: bool
    counted: int


@result
class SolvedChains:
    """The optimum of a `ChainProgram`.

    Parameters
    ----------
    value : float
    weights : array of shape (k,)
        Of the chains.
    constant, slope : float
        The affine part, the slope being that of x less its first point.

    Examples
    --------
    >>> program = chain_program([-1.0, 1.0], 2.0)
    >>> round(solve_chain_program(program).value, 6)
    0.0
    """

    value: float
    weights: FloatArray
    constant: float
    slope: float

    def network(self, program: ChainProgram) -> ChainNetwork:
        """Return the network that attains it.

        Raises
        ------
        ValueError
            If the program has columns that are no chains.

        Examples
        --------
        >>> program = chain_program([0.0, 1.0, 2.0], 0.25, targets=[1.0, 0.0, 1.0])
        >>> solve_chain_program(program).network(program).activation
        'abs'
        """
        affine = float(program.x[0]), self.constant, self.slope
        return ChainNetwork(program.kinks, program.after, self.weights, *affine, "abs")


class _Chain(NamedTuple):
    """Kinks, exactly, and which points are at them: none, one or, where they repeat, several."""

    kinks: tuple[Fraction, Fraction, Fraction]
    hits: tuple[bool, bool, bool]


def chain_program(
    x: ArrayLike,
    beta: float,
    *,
    targets: ArrayLike | None = None,
    skip: bool = False,
    reflections: bool = True,
    midpoints: bool = True,
    impossible: bool = False,
) -> ChainProgram:
    """Write out the dictionary; without targets, for score matching, with targets for denoising.

    Parameters
    ----------
    x : array of shape (n,)
        Sixty points at most.
    beta : float
    targets : array of shape (n,), optional
    skip : bool
    reflections, midpoints : bool
        Whether the two families of chains with three kinks are in; without one of them the optimum is too
        high.
    impossible : bool
        Whether to put in, too, what no chain is: three kinks at points on the sides that contradict each
        other; with them the optimum is too low, or there is none.

    Returns
    -------
    ChainProgram

    Raises
    ------
    ValueError
        If an argument is malformed, or there are more than sixty points.

    Examples
    --------
    >>> chain_program([0.0, 1.0], 0.5, targets=[1.0, 0.0]).kinks.tolist()
    [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [-1.0, 0.0, 1.0], [0.0, 1.0, 2.0], [0.0, 0.5, 1.0]]
    """
    points, labels = as_sample(x), None if targets is None else as_sample(targets, "targets")
    if labels is not None:
        expect_one_shape(x=points, targets=labels)
    if len(points) > _MOST:
        raise ValueError(f"the dictionary is written out for {_MOST} points at most; got {len(points)}")
    order = np.argsort(points, kind="stable")
    points = points[order]
    counts = labels is None
    chains = _chains(points, as_flag(reflections, "reflections"), as_flag(midpoints, "midpoints"))
    wrong = as_flag(impossible, "impossible")
    places = [Fraction(point) for point in points.tolist()]
    values = {chain: _values(points, chain) for chain in chains}
    columns = list(_readings(chains, counts, wrong))
    return ChainProgram(
        points,
        np.zeros(len(points)) if labels is None else labels[order],
        np.column_stack([values[chain] for chain, _ in columns]),
        np.array([_slopes(places, chain, sides) if counts else 0.0 for chain, sides in columns]),
        np.array([[float(kink) for kink in chain.kinks] for chain, _ in columns]),
        np.array([_shown(chain, sides) for chain, sides in columns], dtype=np.bool_),
        as_weight_decay(beta),
        as_flag(skip, "skip"),
        len(points) if counts else 0,
    )


def _chains(points: FloatArray, reflections: bool, midpoints: bool) -> list[_Chain]:
    """All chains with two kinks at points, or one and no other."""
    places = sorted({Fraction(float(point)) for point in points})
    triples = [(place, place, place) for place in places]
    if reflections:
        pairs = [(fold, place) for fold in places for place in places if place != fold]
        outer = [(min(p, 2 * fold - p), fold, max(p, 2 * fold - p)) for fold, p in pairs]
        triples += outer
    if midpoints:
        triples += [(p, (p + q) / 2, q) for p in places for q in places if p < q]
    at = set(places)
    return [_Chain(t, (t[0] in at, t[1] in at, t[2] in at)) for t in dict.fromkeys(triples)]


def _readings(
    chains: list[_Chain], counts: bool, impossible: bool
) -> Iterator[tuple[_Chain, tuple[bool, ...]]]:
    """Every chain with every choice of sides; one choice where slopes do not count."""
    for chain in chains:
        one = chain.kinks[0] == chain.kinks[2]
        free = (True, False, False) if one else chain.hits
        for sides in product(*((False, True) if hit and counts else (False,) for hit in free)):
            if one:
                yield chain, (sides[0],) * 3
            elif impossible or not (all(chain.hits) and sides[0] == sides[2] != sides[1]):
                yield chain, sides


def _values(points: FloatArray, chain: _Chain) -> FloatArray:
    """The chain at the data, each value rounded once."""
    left, fold, right = chain.kinks
    half = (right - left) / 2
    return np.array([float(abs(abs(Fraction(point) - fold) - half)) for point in points.tolist()])


def _slopes(places: list[Fraction], chain: _Chain, sides: tuple[bool, ...]) -> float:
    """The sum of slopes: at every kink, those above it less those below; those at it are on one side."""
    found = 0
    for kink, after, turn in zip(chain.kinks, sides, (1, -1, 1), strict=True):
        below = (bisect_right if after else bisect_left)(places, kink)
        found += turn * (len(places) - 2 * below)
    return float(found)


def _shown(chain: _Chain, sides: tuple[bool, ...]) -> list[bool]:
    """Sides as a network takes them; a kink that is at no point gets one that fits the others."""
    shown = list(sides)
    for k in range(3):
        if not chain.hits[k]:
            shown[k] = shown[1] if k != 1 else shown[0]
    return shown


def solve_chain_program(program: ChainProgram) -> SolvedChains:
    """Solve a program with CVXPY.

    Parameters
    ----------
    program : ChainProgram

    Returns
    -------
    SolvedChains

    Raises
    ------
    ValueError
        If the program is unbounded: beta is below the threshold.

    Examples
    --------
    >>> program = chain_program([0.0, 1.0, 2.0], 0.25, targets=[1.0, 0.0, 1.0])
    >>> round(solve_chain_program(program).value, 6)
    0.203125
    """
    x, labels = program.x, program.labels
    lever = x - x[0]
    lever = lever - lever.mean()
    unit = float(np.sqrt(np.mean(lever**2))) or 1.0
    size = float(np.sqrt(np.mean(labels**2))) or 1 / unit
    y, constant, slope = cp.Variable(len(program.b)), cp.Variable(), cp.Variable()
    fitted = (program.A / unit) @ y + constant + (slope * (lever / unit) if program.skip else 0.0)
    price = program.b @ y + program.beta * cp.norm1(y) + (program.counted * slope if program.skip else 0.0)
    problem = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(fitted - labels / size) + price / (unit * size)))
    tolerances = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), _TOLERANCE)
    problem.solve(solver=cp.CLARABEL, **tolerances)
    if problem.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
        raise ValueError(f"the program has no finite optimum: CVXPY reports {problem.status!r}")
    middle = float(np.mean(x - x[0]))
    steep = float(size * slope.value / unit) if program.skip else 0.0
    weights = np.asarray(y.value, dtype=np.float64) * size / unit
    return SolvedChains(
        float(problem.value) * size**2, weights, float(size * constant.value) - steep * middle, steep
    )
