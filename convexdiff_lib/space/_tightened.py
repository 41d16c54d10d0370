"""The dual variable of a network, moved a little until the responses of its neurons are the weight decay."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from .._validation import FloatArray
from ._few_neurons import Candidate
from ._scaled import Scaled
from .neurons import Neurons

__all__ = ["tightened"]

_ROUNDS = 5
_DEPENDENT = 1e-12  # constraints this near to being dependent are not all met
_ROUNDING = 1e-15  # of the loss: a gap that is not seen
_SMALL = 1e-11  # of the loss: a gap that is small beside the tolerance of the certificate


def tightened(candidate: Candidate) -> FloatArray:
    """Return the dual variable next to that of a network to which neurons respond least above beta.

    That of the network is what is left of large values that cancel.  Where some neurons are very large, what
    rounding leaves in it, times their weights, may hide a gap, which a change of its last digits avoids.  And
    where many networks are nearly optimal, the loss sees a violation by its square alone, whereas to shrink a
    dual variable until nothing is violated costs the violation itself.
    """
    problem, Q = candidate.problem, candidate.Q
    if not len(candidate.weights):
        return Q
    neurons, best, least = candidate.neurons, Q, np.inf
    enough = _SMALL if problem.slope is None else _ROUNDING  # with slopes the score may be sensitive to it
    for _ in range(_ROUNDS):
        responses, directions = problem.chambers.worst(Q)
        if (hidden := _hidden(candidate, Q, float(responses.max()))) < least:
            best, least = Q, hidden
        if least <= enough * abs(candidate.loss):
            break
        tops = problem.chambers.hills(responses)
        tops = tops[responses[tops] > problem.decay]
        neurons = neurons.and_also(problem.chambers.neurons(tops, directions[tops]))
        Q = problem.less_mean(Q + _move(problem, neurons, Q))
        if not np.isfinite(Q).all():
            break
    return best


def _hidden(candidate: Candidate, Q: FloatArray, largest: float) -> float:
    """Return the gap between the loss and the value of Q, and what its violations may hide of it."""
    decay, goal, outside = candidate.problem.decay, candidate.problem.goal, 0.0
    if candidate.problem.slope is None:  # then it may be shrunk
        Q = Q * min(1.0, decay / largest)
    else:
        outside = max(0.0, largest - decay)
    dual = float(np.sum(Q * goal) - 0.5 * np.sum(Q**2))
    return abs(candidate.loss - dual) + outside * float(candidate.sizes.sum())


def _move(problem: Scaled, neurons: Neurons, Q: FloatArray) -> FloatArray:
    """Return a move to where, were they linear in Q, the responses of these neurons would be at most beta."""
    features = problem.features(neurons)
    responses = features @ Q - problem.slopes(neurons)
    sizes = np.linalg.norm(responses, axis=1)
    rows = (features[:, :, None] * (responses / sizes[:, None])[:, None, :]).reshape(len(features), -1)
    lengths = np.linalg.norm(rows, axis=1)
    seen = lengths > 0
    rows, room = rows[seen] / lengths[seen, None], (problem.decay - sizes[seen]) / lengths[seen]
    if problem.slope is not None:  # to where they are just that, by the least change: a few last digits
        move = np.linalg.lstsq(rows, room, rcond=_DEPENDENT)[0]
    else:  # to the best of all such places
        wanted = (problem.goal - Q).ravel()
        move = wanted - _shortest(rows, rows @ wanted - room)
    return np.asarray(move.reshape(Q.shape))


def _shortest(rows: FloatArray, least: FloatArray) -> FloatArray:
    """Return the shortest vector whose products with the rows are at least so large.

    That is a problem of non-negative least squares (Lawson and Hanson, 1974, chapter 23), which does not mind
    rows that are nearly parallel.  If there is none, or the iterations run out, it is not finite.
    """
    system = np.vstack([rows.T, least])
    unit = np.zeros(len(system))
    unit[-1] = 1.0
    try:
        multipliers = nnls(system, unit)[0]
    except RuntimeError:  # the iterations ran out
        return np.full(rows.shape[1], np.nan)
    rest = system @ multipliers - unit
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(-rest[:-1] / rest[-1])
