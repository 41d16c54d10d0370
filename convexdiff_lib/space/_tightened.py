"""The dual variable of a network, moved a little until the responses of its neurons are the weight decay."""

from __future__ import annotations

import numpy as np

from .._validation import FloatArray
from ._few_neurons import Candidate
from ._scaled import Scaled
from .neurons import Neurons

__all__ = ["tightened"]

_ROUNDS = 5
_ROUNDING = 1e-15  # of the loss: a gap that is not seen
_DEPENDENT = 1e-12  # constraints this near to being dependent are not all met


def tightened(candidate: Candidate) -> FloatArray:
    """Return the dual variable next to that of a network to which neurons respond least above beta.

    That of the network is what is left of large values that cancel.  Where some neurons are very large, what
    rounding leaves in it, times their weights, may hide a gap, which a change of its last digits avoids.
    """
    problem, Q = candidate.problem, candidate.Q
    if not len(candidate.weights) or problem.slope is None:  # without slopes Q may simply be shrunk
        return Q
    neurons, best, least = candidate.neurons, Q, np.inf
    for _ in range(_ROUNDS):
        responses, directions = problem.chambers.worst(Q)
        if (hidden := _hidden(candidate, Q, float(responses.max()))) < least:
            best, least = Q, hidden
        if least <= _ROUNDING * abs(candidate.loss):
            break
        tops = problem.chambers.hills(responses)
        tops = tops[responses[tops] > problem.decay]
        neurons = neurons.and_also(problem.chambers.neurons(tops, directions[tops]))
        Q = problem.less_mean(Q + _move(problem, neurons, Q))
    return best


def _hidden(candidate: Candidate, Q: FloatArray, largest: float) -> float:
    """Return the gap between the loss and the value of Q, and what its violations may hide of it."""
    dual = float(np.sum(Q * candidate.problem.goal) - 0.5 * np.sum(Q**2))
    outside = max(0.0, largest - candidate.problem.decay)
    return abs(candidate.loss - dual) + outside * float(candidate.sizes.sum())


def _move(problem: Scaled, neurons: Neurons, Q: FloatArray) -> FloatArray:
    """Return the least change that to first order gives all of them a response of beta."""
    features = problem.features(neurons)
    responses = features @ Q - problem.slopes(neurons)
    sizes = np.linalg.norm(responses, axis=1)
    rows = (features[:, :, None] * (responses / sizes[:, None])[:, None, :]).reshape(len(features), -1)
    lengths = np.linalg.norm(rows, axis=1)
    seen = lengths > 0
    move = np.linalg.lstsq(
        rows[seen] / lengths[seen, None],
        (problem.decay - sizes[seen]) / lengths[seen],
        rcond=_DEPENDENT,
    )[0]
    return np.asarray(move.reshape(Q.shape))
