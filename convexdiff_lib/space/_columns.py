"""Planar training solved by column generation: a few neurons, then the worst of every arc, and so on.

Solve with finitely many neurons, add the one that violates its constraint most on every arc where one does,
and repeat until none does.  Around a direction that is needed the new ones close in like a bisection, and the
violation falls like the square of their distance.

The solver asks the `Arcs` of a `PlanarProblem` for the worst neurons and for their constraints, never for an
angle.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .._validation import FloatArray
from ..certificates import NotCertifiedError
from ._blocks import drawn_inside, row_lengths
from ._follow_path import follow_path
from ._smallest_radius import check_close, smallest_radius
from .arcs import Arcs, UnitNeurons
from .problem import PlanarProblem

__all__ = ["CRITICAL_AIM", "LeastResponse", "PlanarSolution", "least_response", "solve_by_columns"]

_GAP = 1e-10  # relative gap at which a problem with finitely many neurons is solved, if rounding allows it
_VIOLATION = 1e-9  # excess of a response that the last round may leave, relative to the room inside
_ROUNDS = 60  # of column generation, at most
_INSIDE = 1e-3  # relative precision of the critical weight decay where only a feasible point is wanted
CRITICAL_AIM = 1e-7  # the same where it is asked for
_PROGRESS = 1e-9  # relative fall of the dual value that counts as one
_NEGLIGIBLE = 1e-9  # a neuron below this share of the largest one is not kept for the next round
_TINY = 1e-13  # nor, after the last round, one below this share


@dataclass(frozen=True, eq=False)
class PlanarSolution:
    """What solves a problem, in its units: Q, feasible, and unit neurons with their second-layer weights.

    ``critical`` is the weight decay above which the loss is bounded below; zero for denoising.
    """

    Q: FloatArray
    arcs: Arcs
    neurons: UnitNeurons
    weights: FloatArray
    critical: float


@dataclass(frozen=True, eq=False)
class LeastResponse:
    """A point where the largest response is nearly least, the neurons that show it, and two bounds on it."""

    Q: FloatArray
    neurons: UnitNeurons
    lower: float
    upper: float

    def bounds(self) -> tuple[float, float]:
        """Return both bounds, if they are close."""
        check_close(self.lower, self.upper, self.upper)
        return self.lower, self.upper


def solve_by_columns(problem: PlanarProblem) -> PlanarSolution:
    """Solve; raise a ValueError if the loss has no lower bound."""
    arcs, goal, beta = problem.constraints(problem.unit), problem.goal, problem.decay
    largest, peaks = arcs.worst(goal)
    if largest.max() <= beta * (1 + 1e-12):  # at the threshold itself rounding decides
        return PlanarSolution(goal, arcs, peaks.part(np.zeros(0, np.intp)), np.zeros((0, 2)), 0.0)
    if problem.targets is None:
        inside, neurons, critical = _bounded(problem, arcs)
    else:
        inside, neurons, critical = np.zeros_like(goal), peaks, 0.0
    room = beta - arcs.largest(inside)
    limit = beta + max(_VIOLATION * room, 2e-12 * beta)  # pulling Q inside costs in proportion to 1 / room
    least = np.inf  # dual value when neurons were last left out
    for _ in range(_ROUNDS):
        Q, W = follow_path(arcs.atoms(neurons), goal, beta, inside, _GAP)
        cost = np.linalg.norm(W, axis=(1, 2))
        largest, peaks = arcs.worst(Q)
        violating = np.flatnonzero(largest > limit)
        if not len(violating):
            kept = cost > _TINY * cost.max()
            Q = drawn_inside(Q, inside, arcs.largest, beta)
            return PlanarSolution(Q, arcs, neurons.part(kept), W[kept, 0], critical)
        # A neuron left out without progress may come back, and the rounds go in a circle.
        value = float(np.sum(Q * goal) - 0.5 * np.sum(Q**2))
        if value < least - _PROGRESS * abs(value):
            least = value
            neurons = neurons.part(cost > _NEGLIGIBLE * cost.max())
        neurons = neurons.and_also(peaks.part(violating))
    excess = float(largest.max()) / beta - 1
    raise NotCertifiedError(f"{_ROUNDS} rounds of columns left a response {excess:.1e} above beta")


def _bounded(problem: PlanarProblem, arcs: Arcs) -> tuple[FloatArray, UnitNeurons, float]:
    """Return a point with room inside all constraints, neurons to begin with, and the critical decay."""
    lengths = row_lengths(problem.points)  # row k of Q may take the length of point k
    normed = replace(arcs, X=problem.points / lengths)
    found = least_response(normed, _INSIDE, problem.decay)
    if normed.largest(found.Q) >= problem.decay:  # too close to be told apart so roughly
        found = least_response(normed, CRITICAL_AIM)
    inside = found.Q * (problem.unit / lengths)
    if arcs.largest(inside) >= problem.decay:
        raise problem.unbounded(found.bounds()[1], "points")
    return inside, found.neurons, found.upper


def least_response(arcs: Arcs, gap: float, enough: float = 0.0) -> LeastResponse:
    """Find Q with the least response, by columns, to a relative gap of the two bounds on that response.

    Stops early once the lower bound has reached ``enough``.
    """
    best, lower = np.zeros_like(arcs.X), 0.0
    upper = arcs.largest(best)
    neurons = arcs.corners()  # to begin with: there the slopes jump
    for _ in range(_ROUNDS):
        Q, _, bound = smallest_radius(arcs.atoms(neurons), 0.1 * gap)
        lower = max(lower, bound)
        largest, peaks = arcs.worst(Q)
        if largest.max() < upper:
            best, upper = Q, float(largest.max())
        if upper - lower <= gap * upper or lower >= enough > 0:
            break
        # The least response is attained by many Q.  A column left out because this one does not need it may
        # come back while the bound stands still, and the rounds go in a circle: so all of them stay.
        neurons = neurons.and_also(peaks.part(largest > lower))
    return LeastResponse(best, neurons, lower, upper)
