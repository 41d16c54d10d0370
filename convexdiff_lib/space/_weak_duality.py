"""Both bounds on an optimal loss, from one network and one dual variable, for all problems of this wing."""

from __future__ import annotations

import numpy as np

from .._validation import FloatArray
from ..certificates import SCORE_TOLERANCE_BY_LOSS, Certificate, score_error_in_space
from .problem import SpaceProblem

__all__ = ["weak_duality"]


def weak_duality(
    problem: SpaceProblem,
    fitted: FloatArray,
    primal: float,
    Q: FloatArray,
    largest: float,
    weight: float = 0.0,
) -> Certificate:
    """Return the certificate of fitted values with this loss, once the largest response to Q is known.

    The constraints of denoising form a symmetric set around zero, and Q is first shrunk into it.  In score
    matching the excess of a response may hide as much of the gap as the neurons have ``weight``.
    """
    n, d = problem.points.shape
    labels, beta = problem.labels, problem.beta
    outside, natural = 0.0, 0.0
    if problem.targets is not None:
        Q = Q * (beta / largest) if largest > beta else Q
    else:
        outside = max(0.0, largest - beta)
        if problem.points.any():  # the loss of the best score that is a multiple of x
            natural = (n * d) ** 2 / (2 * float(np.sum(problem.points**2)))
    dual = float(np.sum(Q * labels) - 0.5 * np.sum(Q**2))
    slack = abs(primal - dual) + outside * weight
    return Certificate(
        primal,
        dual,
        outside / n,
        max(abs(primal), abs(dual), natural),
        score_error=score_error_in_space(problem.points, fitted, slack, problem.targets),
        score_tolerance=SCORE_TOLERANCE_BY_LOSS,
    )
