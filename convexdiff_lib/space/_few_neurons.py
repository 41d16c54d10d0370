"""Newton's method for a network of few neurons, over their directions and weights together.

Column generation knows roughly which neurons an optimum has.  Given these, the loss is a smooth function of
their directions, each inside the closure of its chamber, and of their second-layer weights, none of which is
zero.  Where the boundary of a chamber holds a neuron back it may only move along the boundary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import nnls

from .._validation import FloatArray
from ._scaled import Scaled
from .neurons import Neurons, products, unit_rows

__all__ = ["Candidate", "merged", "settled"]

_TOLERANCE = 1e-13  # of the gradient, relative to the weight decay
_GOOD = 1e-8  # from here on rounding may be what keeps the gradient from falling
_STEPS = 80
_PATIENCE = 12  # steps in which the gradient need not be halved
_DAMPING = 1e-6  # of Newton's equations, scaled to a unit diagonal, to begin with
_FLAT = 1e-30  # curvature along an axis below this share of the largest is as good as none
_DEPENDENT = 1e-10  # singular values of normals below this share are zero
_TRIES = 14
_REPAIRS = 6  # of a step that would go too far
_LEFT = 0.1  # of a weight, at least, by one step
_ROUNDING = 1e-12  # of the loss
_WEAK = 1e-2  # neurons below this share of the largest weight may be better left out
_NOTHING = 1e-20  # and below this one they change nothing
_CLOSE = 0.1  # neurons of one chamber closer than this may be one
_SAME = 1e-12  # and in two chambers, closer than this
_ALIKE = 1e-4  # and are, if the sum of both is one neuron up to this share of the smaller


@dataclass(frozen=True, eq=False)
class Candidate:
    """Neurons and their second-layer weights, with what follows from them.

    ``Q`` is the dual variable that belongs to them, the targets less the fitted values.
    """

    problem: Scaled
    neurons: Neurons
    weights: FloatArray

    @cached_property
    def features(self) -> FloatArray:
        return self.problem.features(self.neurons)

    @cached_property
    def Q(self) -> FloatArray:
        return self.problem.goal - self.features.T @ self.weights

    @cached_property
    def sizes(self) -> FloatArray:
        return np.asarray(np.linalg.norm(self.weights, axis=1))

    @cached_property
    def loss(self) -> float:
        linear = np.sum(self.problem.slopes(self.neurons) * self.weights)
        return float(0.5 * np.sum(self.Q**2) + linear + self.problem.decay * self.sizes.sum())

    @property
    def relative_gap(self) -> float:
        """How far the loss is from the dual value of Q, relative to it: rounding at an optimum."""
        dual = float(np.sum(self.Q * self.problem.goal) - 0.5 * np.sum(self.Q**2))
        return abs(self.loss - dual) / max(abs(dual), 1e-300)

    def part(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Candidate:
        return Candidate(self.problem, self.neurons.part(chosen), self.weights[chosen])


def settled(candidate: Candidate) -> Candidate:
    """Go to where the gradient is zero but for rounding, or as near as it goes."""
    damping, least, stalls = _DAMPING, np.inf, 0
    system = _linearised(candidate)
    for _ in range(_STEPS):
        if system.residual < _TOLERANCE or stalls > _PATIENCE:
            break
        better, following, damping = _stepped(candidate, system, damping)
        if better is None:
            break
        candidate = _weeded(better)
        system = following if candidate is better else _linearised(candidate)
        stalls = stalls + 1 if system.residual > 0.5 * least and system.residual < _GOOD else 0
        least = min(least, system.residual)
    return candidate


@dataclass(frozen=True, eq=False)
class _System:
    """Newton's equations: first for moves along tangents, each of one neuron, then for the weights."""

    tangents: FloatArray
    owners: NDArray[np.intp]
    gradient: FloatArray
    hessian: FloatArray
    residual: float

    @cached_property
    def scale(self) -> FloatArray:
        """The square roots of the diagonal: in these units the curvature along every axis is one."""
        curvatures = np.diag(self.hessian)
        return np.sqrt(np.maximum(curvatures, _FLAT * curvatures.max(initial=1e-300)))

    @cached_property
    def steepness(self) -> float:
        """The length of the gradient in these units."""
        return float(np.linalg.norm(self.gradient / self.scale))


def _linearised(candidate: Candidate) -> _System:
    problem, neurons, sizes = candidate.problem, candidate.neurons, candidate.sizes
    k, c = candidate.weights.shape
    outwards = candidate.weights / sizes[:, None]
    pulls = problem.pulls(neurons, candidate.Q)
    tangents, owners = _tangents(problem, neurons, np.einsum("kdc,kc->kd", pulls, outwards))
    responses = np.einsum("kdc,kd->kc", pulls, neurons.directions)
    turned = np.einsum("qd,qdc->qc", tangents, pulls[owners])
    by_weight = problem.decay * outwards - responses
    by_turn = -np.sum(turned * outwards[owners], axis=1)
    moving = problem.less_mean((neurons.signs[owners] * (tangents @ problem.X.T)).T)
    q = len(tangents)
    hessian = np.zeros((q + k * c, q + k * c))
    hessian[:q, :q] = (moving.T @ moving) * (outwards[owners] @ outwards[owners].T)
    hessian[np.arange(q), np.arange(q)] += problem.decay / sizes[owners]  # turning makes a neuron longer
    mixed = (moving.T @ candidate.features.T)[:, :, None] * outwards[owners][:, None, :]
    mixed[np.arange(q), owners] -= turned / sizes[owners][:, None]
    hessian[:q, q:] = mixed.reshape(q, k * c)
    hessian[q:, :q] = hessian[:q, q:].T
    weights = np.einsum("jl,ef->jelf", candidate.features @ candidate.features.T, np.eye(c))
    round_ = np.eye(c) - outwards[:, :, None] * outwards[:, None, :]
    weights[np.arange(k), :, np.arange(k)] += problem.decay * round_ / sizes[:, None, None]
    hessian[q:, q:] = weights.reshape(k * c, k * c)
    gradient = np.concatenate([by_turn, by_weight.ravel()])
    residual = float(np.abs(gradient).max(initial=0.0)) / problem.decay
    return _System(tangents, owners, gradient, hessian, residual)


def _tangents(problem: Scaled, neurons: Neurons, pulls: FloatArray) -> tuple[FloatArray, NDArray[np.intp]]:
    """Return unit vectors along which neurons may move, and which neuron each belongs to.

    The loss falls fastest if a neuron moves along its pull.
    """
    D = neurons.directions.shape[1]
    touching = _touching(problem.X, neurons)
    plain = ~touching.any(axis=1) & (neurons.held < 0)
    metric, units = problem.metric, unit_rows(problem.X)
    if D == 2:
        return _tangents_in_the_plane(neurons, metric, units, touching, pulls)
    free = (
        np.linalg.svd(neurons.directions[plain][:, None, :])[2][:, 1:]
        if plain.any()
        else np.zeros((0, D - 1, D))
    )
    found, owners = [free.reshape(-1, D)], [np.repeat(np.flatnonzero(plain), D - 1)]
    rest = np.flatnonzero(~plain)
    for j in rest:
        fixed = [metric * neurons.directions[j]]
        if neurons.held[j] >= 0:
            fixed.append(units[neurons.held[j]])
        rows = np.flatnonzero(touching[j])
        sides = np.where(neurons.signs[j, rows] > 0, 1.0, -1.0)
        moves = _along(np.asarray(fixed), sides[:, None] * units[rows], -pulls[j])
        found.append(_of_length_one(moves, metric))
        owners.append(np.full(len(moves), j))
    return np.concatenate(found), np.concatenate(owners)


def _tangents_in_the_plane(
    neurons: Neurons, metric: FloatArray, units: FloatArray, touching: NDArray[np.bool_], pulls: FloatArray
) -> tuple[FloatArray, NDArray[np.intp]]:
    """Do so in the plane: there is one tangent, and either a boundary holds it back or not."""
    tangents = (metric * neurons.directions) @ np.array([[0.0, 1.0], [-1.0, 0.0]])
    tangents /= np.sqrt(tangents**2 @ metric)[:, None]
    slopes = np.sum(pulls * tangents, axis=1)
    inwards = np.where(neurons.signs > 0, 1.0, -1.0) * (tangents @ units.T)
    free = ~np.any(touching & (inwards * slopes[:, None] < 0), axis=1) & (neurons.held < 0)
    return tangents[free], np.flatnonzero(free)


def _touching(X: FloatArray, neurons: Neurons) -> NDArray[np.bool_]:
    """Which rows a neuron is orthogonal to, or on the wrong side of, but for that which holds it anyway."""
    values = products(X, neurons.directions)
    touching = (np.where(neurons.signs > 0, values, -values) <= 0) & X.any(axis=1)
    held = np.flatnonzero(neurons.held >= 0)
    touching[held, neurons.held[held]] = False
    return touching


def _along(fixed: FloatArray, normals: FloatArray, gradient: FloatArray) -> FloatArray:
    """Return an orthonormal basis of moves that keep what is fixed, and what boundaries hold back.

    A boundary, with its normal inwards, holds a neuron back if the loss would fall outside of it.
    """
    _, size, right = np.linalg.svd(fixed)
    left = right[int((size > _DEPENDENT * size[0]).sum()) :]  # what the fixed ones leave
    if len(left) and len(normals):
        multipliers = nnls((normals @ left.T).T, left @ gradient)[0]
        held = normals[multipliers > 0] @ left.T
        if len(held):
            _, size, right = np.linalg.svd(held)
            left = right[int((size > _DEPENDENT * size[0]).sum()) :] @ left
    return left


def _of_length_one(moves: FloatArray, metric: FloatArray) -> FloatArray:
    """Make moves orthonormal as weight decay measures it."""
    if (metric == 1).all() or not len(moves):
        return moves
    factor = np.linalg.cholesky((moves * metric) @ moves.T)
    return np.asarray(np.linalg.solve(factor, moves))


def _stepped(
    candidate: Candidate, system: _System, damping: float
) -> tuple[Candidate | None, _System, float]:
    """Take Newton's step, damped until the loss falls, or the gradient where rounding hides that."""
    for _ in range(_TRIES):
        try:
            moved = _moved(candidate, system, damping)
        except np.linalg.LinAlgError:
            damping = max(10 * damping, 1e-14)
            continue
        rise = moved.loss - candidate.loss
        following = _linearised(moved) if rise <= _ROUNDING * abs(candidate.loss) else system
        if rise < -_ROUNDING * abs(candidate.loss) or following.steepness < system.steepness:
            return moved, following, max(damping / 10, 1e-16)
        damping = max(10 * damping, 1e-13)
    return None, system, damping


def _moved(candidate: Candidate, system: _System, damping: float) -> Candidate:
    """Move the neurons, none out of its chamber, and change the weights, none to beyond zero.

    Where the step would do that it goes as far as it may, and the rest of the step is made to fit.
    """
    q, (k, c) = len(system.tangents), candidate.weights.shape
    step, stopped, emptied = np.zeros(q + k * c), np.zeros(k, dtype=bool), np.zeros(k, dtype=bool)
    for _ in range(_REPAIRS):
        given = np.concatenate([stopped[system.owners], np.repeat(emptied, c)])
        step = _solved(system, step, given, damping)
        reach = _reach(candidate.problem.X, candidate.neurons, _turns(candidate, system, step))
        left = 1 + np.sum(step[q:].reshape(k, c) * candidate.weights, axis=1) / candidate.sizes**2
        stops, empties = (reach < 1) & ~stopped, (left < _LEFT) & ~emptied
        step[:q] = np.where(stops[system.owners], reach[system.owners], 1.0) * step[:q]
        step[q:] = np.where(empties[:, None], (_LEFT - 1) * candidate.weights, step[q:].reshape(k, c)).ravel()
        if not (stops.any() or empties.any()):
            break
        stopped, emptied = stopped | stops, emptied | empties
    problem = candidate.problem
    directions = _turned(problem, candidate.neurons, _turns(candidate, system, step))
    lengths = np.sqrt(directions**2 @ problem.metric)[:, None]  # what directions lose the weights get
    neurons = replace(candidate.neurons, directions=directions / lengths)
    return Candidate(problem, neurons, (candidate.weights + step[q:].reshape(k, c)) * lengths)


def _solved(system: _System, step: FloatArray, given: NDArray[np.bool_], damping: float) -> FloatArray:
    """Solve the damped equations, with some of the unknowns given."""
    rest = ~given
    known = system.gradient + system.hessian[:, given] @ step[given]
    if not np.isfinite(known).all():  # as may be far along a valley, with weights next to nothing
        raise np.linalg.LinAlgError("the equations overflow")
    scale = system.scale[rest]
    hessian = system.hessian[np.ix_(rest, rest)] / scale[:, None] / scale
    right = -known[rest] / scale
    factor = cho_factor(hessian + damping * np.eye(len(scale)), check_finite=False)
    found = cho_solve(factor, right)
    found += cho_solve(factor, right - hessian @ found - damping * found)
    solved = step.copy()
    solved[rest] = found / scale
    return solved


def _turns(candidate: Candidate, system: _System, step: FloatArray) -> FloatArray:
    """Return by what a step changes the directions."""
    turns = np.zeros_like(candidate.neurons.directions)
    along = step[: len(system.owners)] / candidate.sizes[system.owners]
    np.add.at(turns, system.owners, system.tangents * along[:, None])
    return turns


def _reach(X: FloatArray, neurons: Neurons, turns: FloatArray) -> FloatArray:
    """Return which share of its turn a neuron may make before it leaves its chamber."""
    before, after = products(X, neurons.directions), products(X, neurons.directions + turns)
    crossing = (np.where(neurons.signs > 0, after, -after) < 0) & ~_touching(X, neurons) & (before != 0)
    shares = np.ones_like(before)
    shares[crossing] = before[crossing] / (before[crossing] - after[crossing])
    return np.asarray(shares.min(axis=1))


def _turned(problem: Scaled, neurons: Neurons, turns: FloatArray) -> FloatArray:
    """Turn neurons as far as their chambers let them, and put them on a boundary that they have come to.

    The directions are longer than one.
    """
    movers = np.flatnonzero(turns.any(axis=1))
    some = neurons.part(movers)
    turned = some.directions + _reach(problem.X, some, turns[movers])[:, None] * turns[movers]
    met, units = _touching(problem.X, replace(some, directions=turned)), unit_rows(problem.X)
    for j in np.flatnonzero(met.any(axis=1)):
        normals = units[met[j]]
        if some.held[j] >= 0:
            normals = np.vstack([normals, units[some.held[j]]])
        there = turned[j]
        for _ in range(2):  # once more for what rounding leaves
            there = there - np.linalg.lstsq(normals, normals @ there, rcond=_DEPENDENT)[0]
        # Between rows that are nearly parallel there is no room to be on both boundaries: it stays.
        turned[j] = there if there @ there > 0.5 * (turned[j] @ turned[j]) else some.directions[j]
    directions = neurons.directions.copy()
    directions[movers] = turned
    return directions


def _weeded(candidate: Candidate) -> Candidate:
    """Leave out neurons of small weight that are not worth it."""
    problem, sizes = candidate.problem, candidate.sizes
    kept, Q = sizes > _NOTHING * sizes.max(), candidate.Q
    weak = np.flatnonzero(kept & (sizes < _WEAK * sizes.max()))
    for j in weak[np.argsort(sizes[weak])]:
        without = Q + np.outer(candidate.features[j], candidate.weights[j])
        one = candidate.neurons.part(np.array([j]))
        if np.linalg.norm(one.directions[0] @ problem.pulls(one, without)[0]) <= problem.decay:
            kept[j], Q = False, without
    return candidate if kept.all() else candidate.part(kept)


def merged(candidate: Candidate) -> Candidate:
    """Make one of neurons of one chamber that lie so close together that they are one.

    Without slopes, two on the wall between their chambers are one, too, and what one gives the other takes.
    """
    neurons, weights = candidate.neurons, candidate.weights.copy()
    directions, kept = neurons.directions, np.ones(len(weights), dtype=bool)
    patterns = np.column_stack([neurons.signs, neurons.held])
    chamber = np.unique(patterns, axis=0, return_inverse=True)[1].ravel()
    order = np.argsort(-candidate.sizes, kind="stable")
    for place, i in enumerate(order):
        if not kept[i]:
            continue
        others = order[place + 1 :]
        apart = np.linalg.norm(directions[others] - directions[i], axis=1) / np.linalg.norm(directions[i])
        near = (chamber[others] == chamber[i]) & (apart < _CLOSE)
        if candidate.problem.slope is None:
            near |= apart < _SAME
        others = others[kept[others] & near]
        if not len(others):
            continue
        pull = candidate.problem.pulls(neurons.part(np.array([i])), candidate.Q)[0]
        for j in others:
            both = np.outer(directions[i], weights[i]) + np.outer(directions[j], weights[j])
            spare = np.linalg.svd(both, compute_uv=False)[1]
            if spare < _ALIKE * candidate.sizes[j] and _is_hill(pull, directions[i], directions[j]):
                weights[i], kept[j] = directions[i] @ both / (directions[i] @ directions[i]), False
    return Candidate(candidate.problem, neurons, weights).part(kept)


def _is_hill(pull: FloatArray, one: FloatArray, other: FloatArray) -> bool:
    """Whether a neuron responds more on the way between two of a chamber: both ends of a valley stay."""
    apart = (one @ other) / (one @ one)
    rises = [(here @ pull) @ ((there - apart * here) @ pull) for here, there in ((one, other), (other, one))]
    return bool(max(rises) >= 0)
