r"""Exact training of narrow three-layer networks of absolute values, by a Lasso priced in one sweep.

`convexdiff_lib.line._chain_prices` says which chains can be in an optimal network: of n points some
:math:`\tfrac32 n^2`, far too many to write down.  So the Lasso is solved over few of them; all are priced at
its residuals; those that lower the loss come in; until none does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .._validation import FloatArray
from ._chain_prices import Prices, chain_prices, order_of, steps_of
from ._double_double import DoubleDouble
from ._exact_chains import ExactFit, exact_values
from ._face_descent import FaceDescent
from .chains import ChainNetwork
from .problem import LineProblem

__all__ = ["Chain", "Place", "UnboundedError", "chain_at", "dear_chains", "solve_deep_abs"]

_ROUNDS, _LAST = 500, 40
_EPS = float(np.finfo(np.float64).eps)
_REFINEMENTS = 4
_MANY = 64  # chains that one sweep may propose
_EXCESS = 1e-12  # of a price over beta that is only rounding


class Place(NamedTuple):
    """A chain of weight ``sign``: where its kinks are, on which side of the points there, its sum of slopes.

    ``vertex`` says it without rounding, as `convexdiff_lib.line._exact_chains.exact_values` takes it.
    """

    vertex: tuple[int, int, int]
    kinks: tuple[float, ...]
    after: tuple[bool, ...]
    sign: float
    slopes: float


class Chain(NamedTuple):
    """A chain of weight +1 or -1: what it is, and its values at the points less their mean."""

    place: Place
    values: FloatArray


def solve_deep_abs(problem: LineProblem) -> tuple[ChainNetwork, FloatArray, float]:
    """Return the optimal chains, the dual variable at the points, and by how much the loss may be too high.

    Parameters
    ----------
    problem : LineProblem
        With at least two distinct points.

    Returns
    -------
    (ChainNetwork, array of shape (m,), float)

    Raises
    ------
    UnboundedError
        If chains of ever larger weights lower the loss without end.

    Examples
    --------
    >>> from convexdiff_lib.line.problem import line_problem
    >>> problem = line_problem([0.0, 1.0, 3.0], 0.1, targets=[1.0, 0.0, 2.0], activation="abs")
    >>> network, z, slack = solve_deep_abs(problem)
    >>> network.kinks.tolist()
    [[1.0, 3.0, 5.0]]
    """
    descent, enough = _start(problem), problem.beta * (1 + _EXCESS)
    residuals = DoubleDouble(_centred(problem, descent.residual))
    for _ in range(_ROUNDS):
        found = chain_prices(problem, residuals.high, residuals.low)
        if not (found.largest > enough and _improve(problem, descent, dear_chains(problem, found, enough))):
            break
        residuals = DoubleDouble(_centred(problem, descent.residual))
    fit, residuals = _to_more_digits(problem, descent)
    for _ in range(_LAST):
        found = chain_prices(problem, residuals.high, residuals.low)
        if not (found.largest > enough and _admit_one(problem, descent, residuals.high, found)):
            break
        fit, residuals = _to_more_digits(problem, descent)
    network = _network(problem, descent.names, fit)
    return network, -residuals.high, fit.slack()


class UnboundedError(ValueError):
    """The loss has no lower bound: beta is below the threshold."""


def _admit_one(
    problem: LineProblem, descent: FaceDescent[Place], residuals: FloatArray, found: Prices
) -> bool:
    """Let in the chain that lowers the loss fastest, seen with residuals that have lost no digits."""
    enough, inside = problem.beta * (1 + _EXCESS), set(descent.names)
    chains = [c for c in dear_chains(problem, found, enough) if c.place not in inside]
    gains = [-((problem.counts * residuals) @ c.values) - problem.beta - c.place.slopes for c in chains]
    if not gains or max(gains) <= problem.beta * _EXCESS:
        return False
    best = chains[int(np.argmax(gains))]
    cost = problem.beta + best.place.slopes
    return descent.admit(np.sqrt(problem.counts) * best.values, cost, best.place)


def _start(problem: LineProblem) -> FaceDescent[Place]:
    """The best constant, or line."""
    weigh, columns, cost = np.sqrt(problem.counts), [np.ones(len(problem.points))], [0.0]
    if problem.skip:
        columns.append(_lever(problem))
        cost.append(problem.level)
    return FaceDescent[Place](weigh * problem.aims, weigh[:, None] * np.column_stack(columns), np.array(cost))


def _lever(problem: LineProblem) -> FloatArray:
    """Distances from the mean, which loses no digits far from zero."""
    near = problem.points - problem.points[0]
    return near - (problem.counts @ near) / problem.counts.sum()


def _centred(problem: LineProblem, residual: FloatArray) -> FloatArray:
    """Fitted values less targets, whose sum is zero but for rounding."""
    found = residual / np.sqrt(problem.counts)
    return found - (problem.counts @ found) / problem.counts.sum()


def dear_chains(problem: LineProblem, found: Prices, above: float) -> list[Chain]:
    """Return chains whose price is above a bound and above that of their neighbours, with either sign.

    Examples
    --------
    >>> from convexdiff_lib.line.problem import line_problem
    >>> problem = line_problem([0.0, 1.0, 3.0], 3.0, activation="abs")
    >>> len(dear_chains(problem, chain_prices(problem, np.array([2.0, -1.0, -1.0])), 3.0))
    4
    """
    best = np.pad(found.best, ((0, 0), (1, 1)), constant_values=-np.inf)
    peaks = (best[:, 1:-1] >= best[:, :-2]) & (best[:, 1:-1] > best[:, 2:])
    kinds, places = np.nonzero(peaks & (found.best > above))
    order = np.argsort(-found.best[kinds, places], kind="stable")[:_MANY]
    vertices = [(int(kinds[k]), int(places[k]), int(found.where[kinds[k], places[k]])) for k in order]
    return [chain_at(problem, *vertex, sign) for vertex in vertices for sign in (1.0, -1.0)]


def _improve(problem: LineProblem, descent: FaceDescent[Place], chains: list[Chain]) -> bool:
    """Solve the Lasso over the chains that are in and those that are proposed; False if nothing came in."""
    columns = np.sqrt(problem.counts)[:, None] * np.column_stack([chain.values for chain in chains])
    lengths = np.linalg.norm(columns, axis=0)
    costs = np.array([problem.beta + chain.place.slopes for chain in chains])
    rounding = _EPS * (descent.rounding @ np.abs(columns)) + problem.beta * _EXCESS
    came = False
    for _ in range(20 * len(chains)):
        gains = -(descent.residual @ columns) - costs
        inside = set(descent.names)
        gains[[chain.place in inside for chain in chains]] = -np.inf
        gains[gains <= rounding] = -np.inf
        k = int(np.argmax(gains / lengths))
        if gains[k] == -np.inf:
            break
        if not descent.admit(columns[:, k], float(costs[k]), chains[k].place):
            raise UnboundedError(f"beta = {problem.beta} is below the threshold of these data")
        came = True
    return came


def _to_more_digits(problem: LineProblem, descent: FaceDescent[Place]) -> tuple[ExactFit, DoubleDouble]:
    """Find the weights with which each chain wins what it costs, by Newton's method with exact residuals."""
    places = descent.names
    columns = [exact_values(problem.points, *place.vertex) for place in places]
    signs = np.array([place.sign for place in places])
    shape = (len(problem.points), len(places))
    parts = [column.high for column in columns], [column.low for column in columns]
    values = DoubleDouble(*(np.array(part).reshape(shape[::-1]).T * signs for part in parts))
    slope = DoubleDouble(descent.free_weights[1] if problem.skip else 0.0)
    slopes = np.array([place.slopes for place in places])
    fit = ExactFit(problem, values, slopes, DoubleDouble(descent.weights), slope)
    for _ in range(_REFINEMENTS):
        residuals = fit.residuals
        gradient = fit.missing(residuals).high
        line = [fit.missing_line(residuals)] if problem.skip else []
        change = descent.step(np.concatenate([[0.0], line, gradient]))
        slope = fit.slope + (float(change[1]) if problem.skip else 0.0)
        fit = replace(fit, weights=fit.weights + change[descent.free :], slope=slope)
    return fit, fit.residuals


def _network(problem: LineProblem, places: list[Place], fit: ExactFit) -> ChainNetwork:
    """Collect the chains; the constant brings the mean of the fitted values to that of the targets."""
    network = ChainNetwork(
        np.array([place.kinks for place in places]).reshape(-1, 3),
        np.array([place.after for place in places], dtype=np.bool_).reshape(-1, 3),
        fit.weights.high * np.array([place.sign for place in places]),
        float(problem.points[0]),
        0.0,
        float(fit.slope.high),
        "abs",
    )
    shift = problem.sample.mean_target + problem.aims - network(problem.points)
    return network.shifted(float(problem.counts @ shift) / float(problem.counts.sum()))


# --- One chain ----------------------------------------------------------------------------------------------


def chain_at(problem: LineProblem, kind: int, i: int, j: int, sign: float) -> Chain:
    """Build a chain of weight ``sign``, its kinks on those sides of the points at which it costs least.

    Examples
    --------
    >>> from convexdiff_lib.line.problem import line_problem
    >>> problem = line_problem([0.0, 1.0, 3.0], 3.0, activation="abs")
    >>> chain = chain_at(problem, 1, 1, 2, 1.0)
    >>> chain.place.kinks, chain.place.after, chain.place.slopes
    ((-1.0, 1.0, 3.0), (False, False, True), -1.0)
    """
    points, steps = problem.points, steps_of(problem)
    kinks, at = _kinks(points, kind, i, j)
    after = _cheapest(at, steps, sign)
    values, slopes = np.zeros(len(points)), 0.0
    for place, here, late, turn in zip(kinks, at, after, (1.0, -1.0, 1.0), strict=True):
        values += turn * np.abs(points - place)
        signs = np.sign(points - place)
        if here >= 0:
            signs[here] = -1.0 if late else 1.0
        slopes += turn * float(steps @ signs)
    values -= (problem.counts @ values) / problem.counts.sum()
    return Chain(Place((kind, i, j), kinks, after, sign, sign * slopes), sign * values)


def _kinks(points: FloatArray, kind: int, i: int, j: int) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """The three kinks from left to right, and the points at which they are, -1 for none.

    A kink that rounding alone has put on a point is moved off it by one unit in the last place.
    """
    x, y = float(points[i]), float(points[j])
    if kind == 0:
        return (x, x, x), (i, i, i)
    place = 2 * x - y if kind == 1 else (x + y) / 2
    k = int(np.searchsorted(points, place))
    at = k if k < len(points) and points[k] == place else -1
    if at >= 0:
        side = -order_of(y, place, x) if kind == 1 else order_of(x, y, place)
        if side:
            place, at = float(np.nextafter(place, np.inf if side > 0 else -np.inf)), -1
    if kind == 2:
        return (x, place, y), (i, at, j)
    return ((y, x, place), (j, i, at)) if y < x else ((place, x, y), (at, i, j))


def _cheapest(at: tuple[int, ...], steps: FloatArray, sign: float) -> tuple[bool, ...]:
    """Which kinks stand after their points, so that a chain of this sign costs least."""
    up = sign > 0
    if at[0] == at[2] and at[0] >= 0:
        return up, up, up  # one kink
    best = [up, not up, up]
    if min(at) >= 0:
        k = int(np.argmin(steps[list(at)]))
        best[k] = not best[k]
    elif at[1] < 0:
        best[1] = up
    else:
        best[at.index(-1)] = not up
    return tuple(best)
