"""Training solved by column generation and Newton's method: a few neurons, then the worst of every chamber.

Solve with finitely many neurons, add those that violate their constraints most, and repeat until none does by
much: that finds the chambers in which an optimum has neurons, and roughly where.  From there Newton's method
finds them to the last digits.

Neither knows how many dimensions there are: the `Chambers` of a `Scaled` problem name the worst neurons.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .._validation import FloatArray
from ._few_neurons import Candidate, merged, settled
from ._finite_program import ROUGHLY, SHARPLY, least_radius, solve_finite
from ._scaled import Scaled
from ._smallest_radius import check_close, proven, smallest_radius
from .neurons import Neurons

__all__ = ["CRITICAL_AIM", "LeastResponse", "least_response", "solve_by_columns"]

_FIRST = 60  # neurons to begin with
_ADDED = 60  # neurons that a round adds, at most
_ROUNDS = 60
_PATIENCE = 8  # rounds in which the excess need not be halved
_ROUGH = 1e-4  # excess of a response over beta from which Newton's method takes over
_NEARLY = 1e-9  # excess from which a neuron is added until then
_FINE = 1e-11  # excess that is left to the certificate
_TIRED = 1e-9  # and if it falls no longer, this
_LOST = 1e-12  # of the loss: more than rounding
_NEGLIGIBLE = 1e-6  # a neuron below this share of the largest one is not kept for the next round
_EQUAL = 1e-12  # at the weight decay from which the network is zero rounding decides
_NIL = 1e-3  # a response below this share of the one to Q = 0 is as good as its absolute error
CRITICAL_AIM = 1e-7  # relative precision of the critical weight decay


@dataclass(eq=False)
class _Patience:
    """Ends rounds that for some time have not halved what is to become small."""

    least: float = np.inf
    stalls: int = 0

    def improved(self, size: float) -> bool:
        """Take note of the size after a round; return whether it is the best so far."""
        self.stalls = 0 if size < 0.5 * self.least else self.stalls + 1
        best = size < self.least
        self.least = size if best else self.least
        return best

    @property
    def over(self) -> bool:
        return self.stalls >= _PATIENCE


def solve_by_columns(problem: Scaled) -> Candidate | None:
    """Return a network that nearly violates no constraint; None if the loss has no lower bound."""
    responses, directions = problem.chambers.worst(problem.goal)
    if responses.max() <= problem.decay * (1 + _EQUAL):
        return Candidate(problem, problem.chambers.corners(0), np.zeros((0, problem.goal.shape[1])))
    if problem.slope is None:
        neurons = _worst(problem, responses, directions, problem.decay)
    else:  # all chambers are much alike where Q = 0, but slopes jump on their boundaries
        neurons = problem.chambers.corners(_FIRST)
    rough = _rough(problem, neurons)
    return None if rough is None else _refined(rough)


def _rough(problem: Scaled, neurons: Neurons) -> Candidate | None:
    """Add neurons until none responds to the dual variable of the finite program by much more than beta.

    That dual variable meets its constraints to the tolerance of the program, what the weights leave of the
    targets only to its root: from that, neurons would be added for the noise of it.
    """
    best, patience = None, _Patience()
    while not patience.over:
        weighed = _weighed(problem, neurons)
        if weighed is None:
            return None
        found, Q = weighed
        more, excess = _violating(problem, Q, _NEARLY)
        if patience.improved(excess):
            best = found
        if excess < _ROUGH:  # sharply, what weight a needless neuron still has is negligible
            sharp = _weighed(problem, found.neurons, SHARPLY)
            return found if sharp is None else sharp[0]
        neurons = merged(found).neurons.and_also(more)
    return best


def _weighed(
    problem: Scaled, neurons: Neurons, tolerance: float = ROUGHLY
) -> tuple[Candidate, FloatArray] | None:
    """Give neurons the best weights, and leave out those with none; None if the loss has no lower bound."""
    features, slopes = problem.features(neurons), problem.slopes(neurons)
    solution = solve_finite(features, slopes, problem.goal, problem.decay, tolerance)
    if solution is None:
        return None
    found = Candidate(problem, neurons, solution[0])
    shares = np.stack([found.sizes, found.sizes * np.linalg.norm(features, axis=1)])
    largest = shares.max(axis=1, initial=0.0, keepdims=True)
    return found.part((shares > _NEGLIGIBLE * largest).any(axis=0)), problem.less_mean(solution[1])


def _violating(problem: Scaled, Q: FloatArray, spare: float) -> tuple[Neurons, float]:
    """Return the worst neurons of every hill above beta, and by how much the worst of all exceeds it."""
    responses, directions = problem.chambers.worst(Q)
    worst = _worst(problem, responses, directions, problem.decay * (1 + spare))
    return worst, float(responses.max()) / problem.decay - 1


def _worst(problem: Scaled, responses: FloatArray, directions: FloatArray, above: float) -> Neurons:
    """Return the neurons on the highest hills of the responses."""
    tops = problem.chambers.hills(responses)
    tops = tops[responses[tops] > above]
    tops = tops[np.argsort(-responses[tops], kind="stable")][:_ADDED]
    return problem.chambers.neurons(tops, directions[tops])


def _refined(candidate: Candidate) -> Candidate:
    """Turn neurons by Newton's method, and add those that violate constraints, to the last digits."""
    problem, best, patience = candidate.problem, candidate, _Patience()
    while not patience.over:
        candidate = _simpler(_simpler(candidate))
        more, excess = _violating(problem, candidate.Q, _FINE)
        left = max(excess, candidate.relative_gap)
        if patience.improved(left):
            best = candidate
        if left < _FINE or (patience.stalls and left < _TIRED):
            break
        # Newton's method may be slow along a valley; to weigh all anew leaps over it.
        together = candidate.neurons.and_also(more)
        leap = _weighed(problem, together, SHARPLY) if patience.stalls else None
        candidate = _with(candidate, more) if leap is None else leap[0]
    return best


def _simpler(candidate: Candidate) -> Candidate:
    """Merge neurons and settle, unless that loses what two neurons of a chamber do better than one."""
    together = settled(merged(candidate))
    lost = together.loss - candidate.loss > _LOST * abs(candidate.loss)
    return settled(candidate) if lost else together


def _with(candidate: Candidate, more: Neurons) -> Candidate:
    """Add neurons one after the other, each with the weight that is best for it alone."""
    problem, Q = candidate.problem, candidate.Q
    features, slopes = problem.features(more), problem.slopes(more)
    kept, weights = np.zeros(len(more), dtype=bool), np.zeros((len(more), Q.shape[1]))
    for j, (values, slope) in enumerate(zip(features, slopes, strict=True)):
        response = values @ Q - slope
        size, squares = float(np.linalg.norm(response)), float(values @ values)
        if size > problem.decay and squares > 0:
            kept[j], weights[j] = True, (1 - problem.decay / size) * response / squares
            Q = Q - np.outer(values, weights[j])
    both = candidate.neurons.and_also(more.part(kept))
    return Candidate(problem, both, np.concatenate([candidate.weights, weights[kept]]))


@dataclass(frozen=True, eq=False)
class LeastResponse:
    """A point where the largest response is nearly least, and two bounds on the least, with their scale."""

    Q: FloatArray
    lower: float
    upper: float
    scale: float

    def bounds(self) -> tuple[float, float]:
        """Return both bounds, if they are close."""
        check_close(self.lower, self.upper, self.scale)
        return self.lower, self.upper


def least_response(problem: Scaled, gap: float) -> LeastResponse:
    """Find Q with the least response, by columns, to a relative gap of the two bounds on that response."""
    quick, neurons = _quick_response(problem, gap)
    if quick.upper - quick.lower <= gap * quick.scale:
        return quick
    return _careful_response(problem, gap, quick, neurons)


def _quick_response(problem: Scaled, gap: float) -> tuple[LeastResponse, Neurons]:
    """Do so with a fast solver, whose multipliers mostly prove enough."""
    first = problem.chambers.largest(np.zeros_like(problem.goal))
    best = LeastResponse(np.zeros_like(problem.goal), 0.0, first, first)
    neurons, patience = problem.chambers.corners(_FIRST), _Patience()
    while not patience.over and first > 0:
        Q, W, radius = least_radius(problem.features(neurons), problem.slopes(neurons))
        Q = problem.less_mean(Q)
        responses, directions = problem.chambers.worst(Q)
        upper = float(responses.max())
        patience.improved(upper - radius)
        if upper < best.upper:
            best = LeastResponse(Q, 0.0, upper, max(upper, _NIL * first))
        if not upper - radius > 0.3 * gap * best.scale:  # or it is no number
            lower = proven(problem.atoms(neurons), W[:, None], best.upper)
            return replace(best, lower=max(lower, 0.0)), neurons
        neurons = neurons.and_also(_worst(problem, responses, directions, radius))
    return best, neurons


def _careful_response(problem: Scaled, gap: float, best: LeastResponse, neurons: Neurons) -> LeastResponse:
    """Do so with the barrier, which knows rounding."""
    for _ in range(_ROUNDS):
        Q, _, bound = smallest_radius(problem.atoms(neurons), 0.1 * gap)
        best = replace(best, lower=max(best.lower, bound))
        responses, directions = problem.chambers.worst(Q)
        if responses.max() < best.upper:
            best = replace(best, Q=Q, upper=float(responses.max()))
        if best.upper - best.lower <= gap * best.scale:
            break
        # The least response is attained by many Q.  A column left out because this one does not need it may
        # come back while the bound stands still, and the rounds go in a circle: so all of them stay.
        neurons = neurons.and_also(_worst(problem, responses, directions, best.lower))
    return best
