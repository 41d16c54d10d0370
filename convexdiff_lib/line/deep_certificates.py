r"""Certificates of networks of narrow three-layer chains, recomputed from the data alone.

This module knows no solver.  It is handed a `ChainNetwork` (the primal candidate) and a vector z (the dual
candidate), and works out the training loss of the network, with the penalty :math:`\beta \sum_k |z_k|` of
its balanced weights; the value of the dual at z, a lower bound when z is feasible; by how much z violates
the constraints of the dual; and what the gap says of the score, as
`convexdiff_lib.line.network_certificates` does.

A chain of ReLU is the length run through an interval.  So with :math:`g(t) = \sum_i z_i (x_i - t)_+` and the
number of points beyond t, counted with or without those at t,

.. math:: H(t\pm) = g(t) - \#\{x_i \ge t\} \ \text{or}\ g(t) - \#\{x_i > t\}, \qquad
          \max H - \min H \le \beta,

over all t, the two ends of the line included.  For denoising nothing is counted, and any z can be moved into
that set, so that its lower bound needs no trust in z at all.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from .._validation import FloatArray, as_activation, as_flag, as_sample, as_weight_decay
from ..certificates import SCORE_TOLERANCE, SCORE_TOLERANCE_BY_LOSS, Certificate
from ._fold_response import fold_response
from .chains import ChainNetwork
from .network_certificates import sizes_of_scores
from .problem import LineProblem
from .sample import Sample, not_none

__all__ = ["certify_chains", "certify_deep_denoising", "certify_deep_score_matching"]


def certify_deep_score_matching(
    x: ArrayLike,
    network: ChainNetwork,
    z: ArrayLike,
    beta: float,
    *,
    skip: bool = False,
) -> Certificate:
    r"""Certify an optimum of score matching among networks of narrow three-layer chains.

    Weak duality: for every such network and every feasible z,

    .. math:: -\tfrac12 \|z\|^2 \le \sum_i \big[\tfrac12 s(x_i)^2 + s'(x_i)\big] + \beta \sum_k |z_k| .

    Parameters
    ----------
    x : array of shape (n,)
        The data, in any order, with or without ties.
    network : ChainNetwork
        Primal candidate; its activation is that of the class.
    z : array of shape (n,)
        Dual candidate, in the order of x.
    beta : float
        The penalty is :math:`\tfrac{\beta}{3}` times the sum of the cubes of all weights.
    skip : bool
        Whether the class has a skip connection.

    Returns
    -------
    Certificate

    Raises
    ------
    ValueError
        If an argument is malformed, or the network is not of the class that is certified.

    Examples
    --------
    Two points at -1 and 1 with beta = 1.  The optimum is the line -x/2, one run from end to end:

    >>> import numpy as np
    >>> run = ChainNetwork(np.array([[-1.0, 1.0]]), np.array([[False, True]]), np.array([-0.5]))
    >>> print(certify_deep_score_matching([-1, 1], run.shifted(0.5), [-0.5, 0.5], beta=1.0))
    certificate holds: primal -0.25, dual -0.25
    relative gap <= 1e-12, infeasibility <= 1e-12, score error <= 1e-02
    """
    return _certified(Sample.of(x), network, z, beta, skip)


def certify_deep_denoising(
    x_noisy: ArrayLike,
    targets: ArrayLike,
    network: ChainNetwork,
    z: ArrayLike,
    beta: float,
    *,
    skip: bool = False,
) -> Certificate:
    r"""Certify an optimum of denoising among networks of narrow three-layer chains.

    A given z is first moved and shrunk until it satisfies all constraints, so that the dual value is a lower
    bound whatever z was given.

    Parameters
    ----------
    x_noisy, targets : arrays of shape (n,)
        The perturbed data, in any order, with or without ties, and their targets.
    network, z, beta, skip
        As `certify_deep_score_matching` takes them.

    Returns
    -------
    Certificate

    Raises
    ------
    ValueError
        If an argument is malformed, or the network is not of the class that is certified.

    Examples
    --------
    >>> import numpy as np
    >>> run = ChainNetwork(np.array([[-1.0, 1.0]]), np.array([[False, True]]), np.array([-0.5]))
    >>> print(certify_deep_denoising([-1, 1], [1, -1], run.shifted(0.5), [0.5, -0.5], beta=1.0))
    certificate holds: primal 0.75, dual 0.75
    relative gap <= 1e-12, infeasibility <= 1e-12, score error <= 1e-02
    """
    return _certified(Sample.of(x_noisy, not_none(targets)), network, z, beta, skip)


def _certified(sample: Sample, network: ChainNetwork, z: ArrayLike, beta: float, skip: bool) -> Certificate:
    """Check what was given, and gather z at the distinct points."""
    dual = as_sample(z, "z")
    if dual.shape != sample.x.shape:
        raise ValueError(f"z must have one entry per data point; got {dual.shape} for {sample.x.shape}")
    if not isinstance(network, ChainNetwork):
        raise TypeError(f"network must be a ChainNetwork; got {type(network).__name__}")
    if network.slope != 0 and not as_flag(skip, "skip"):
        raise ValueError(f"without a skip connection the network has no slope; got {network.slope}")
    problem = LineProblem(sample, as_weight_decay(beta), as_activation(network.activation), skip)
    place = np.searchsorted(sample.points, sample.x)
    gathered = np.bincount(place, dual, len(sample.points)) / np.bincount(place, minlength=len(sample.points))
    return certify_chains(problem, network, gathered)


def certify_chains(
    problem: LineProblem, network: ChainNetwork, z: FloatArray, score_error: float | None = None
) -> Certificate:
    """Certify chains for a problem that has been checked.

    Parameters
    ----------
    problem : LineProblem
    network : ChainNetwork
    z : array of shape (m,)
        Dual candidate at the distinct points, in their order.
    score_error : float, optional
        A bound on the error of the score that is better than the one through the gap of the loss.

    Returns
    -------
    Certificate

    Examples
    --------
    >>> problem = LineProblem(Sample.of([-1.0, 1.0]), 1.0, "relu", skip=False)
    >>> run = ChainNetwork(np.array([[-1.0, 1.0]]), np.array([[False, True]]), np.array([-0.5]))
    >>> certify_chains(problem, run.shifted(0.5), np.array([-0.5, 0.5])).holds
    True
    """
    certificate = (_score_matching if problem.targets is None else _denoising)(problem, network, z)
    if score_error is None or certificate.score_error is None or score_error >= certificate.score_error:
        return certificate
    tolerance = SCORE_TOLERANCE if score_error <= SCORE_TOLERANCE else SCORE_TOLERANCE_BY_LOSS
    return replace(certificate, score_error=score_error, score_tolerance=tolerance)


def _score_matching(problem: LineProblem, network: ChainNetwork, z: FloatArray) -> Certificate:
    points, counts, weight = problem.points, problem.counts, network.total_weight
    scores, n = network(points), problem.level
    fit = 0.5 * float(counts @ scores**2) + float(counts @ network.derivative(points))
    primal, dual = fit + problem.beta * weight, -0.5 * float(counts @ z**2)
    lever = points - points.mean()
    excess = [largest_response(problem, z) - problem.beta, abs(counts @ z) * (points[-1] - points[0])]
    if problem.skip:
        excess.append(abs((counts * z) @ lever - n))
    violation = max(0.0, *map(float, excess)) + 0 * float(z.sum())
    scale = max(abs(primal), abs(dual), problem.sample.loss_of_simple_fit if len(points) > 1 else 0.0)
    error = score_error_at_kinks(problem, network, scores, abs(primal - dual) + violation * weight)
    return Certificate(
        primal,
        dual,
        violation / n,
        scale,
        score_error=error,
        score_tolerance=SCORE_TOLERANCE_BY_LOSS,
    )


def _denoising(problem: LineProblem, network: ChainNetwork, z: FloatArray) -> Certificate:
    counts, aims, sample = problem.counts, problem.aims, problem.sample
    feasible, residue = _into_the_tube(problem, z)
    scores = network(problem.points)
    rest = scores - sample.mean_target - aims
    primal = 0.5 * float(counts @ rest**2) + sample.spread + problem.beta * network.total_weight
    dual = float((counts * feasible) @ aims) - 0.5 * float(counts @ feasible**2) + sample.spread
    rounding = float(counts.sum()) * (1e-11 * float(np.abs(aims + sample.mean_target).max())) ** 2
    scale = max(abs(primal), abs(dual), sample.loss_of_simple_fit, rounding)
    return Certificate(
        primal,
        dual,
        residue / float(np.sqrt(counts.sum() * scale)) if scale > 0 else 0.0,
        scale,
        score_error=score_error_at_kinks(problem, network, scores, abs(primal - dual)),
        score_tolerance=SCORE_TOLERANCE_BY_LOSS,
    )


def _into_the_tube(problem: LineProblem, z: FloatArray) -> tuple[FloatArray, float]:
    """Make z feasible for the denoising dual; and say what rounding leaves of that."""
    points, counts = problem.points, problem.counts
    share = counts / counts.sum()
    moved = z - share @ z
    lever = points - share @ points if problem.skip else np.zeros(0)
    if lever.any():
        moved -= lever * ((share * lever) @ moved / ((share * lever) @ lever))
        moved -= share @ moved
    largest = largest_response(problem, moved)
    moved = moved * (min(1.0, problem.beta / largest) if largest > 0 else 1.0)
    equations = [counts @ moved] + ([(counts * lever / np.abs(lever).max()) @ moved] if lever.any() else [])
    return moved, float(np.abs(equations).max())


def largest_response(problem: LineProblem, z: FloatArray) -> float:
    """Return what the best chain of weight one would win: the dual asks that this is at most beta.

    Examples
    --------
    >>> problem = LineProblem(Sample.of([-1.0, 1.0]), 1.0, "relu", skip=False)
    >>> largest_response(problem, np.array([-0.5, 0.5])), largest_response(problem, np.zeros(2))
    (1.0, 2.0)
    """
    response = _swing if problem.activation == "relu" else fold_response
    return response(problem.points, problem.counts, z, 1.0 if problem.targets is None else 0.0)


def _swing(points: FloatArray, counts: FloatArray, z: FloatArray, counted: float) -> float:
    """The largest H less the smallest, both readings at every point; one of them is that beyond each end."""
    mass = counts * z
    moments = np.cumsum(mass[::-1])[::-1][1:]
    heights = np.concatenate([np.cumsum((np.diff(points) * moments)[::-1])[::-1], [0.0]])
    beyond = counted * (float(counts.sum()) - np.cumsum(counts))
    without, with_it = heights - beyond, heights - (beyond + counted * counts)
    return float(max(without.max(), with_it.max()) - min(without.min(), with_it.min()))


def score_error_at_kinks(
    problem: LineProblem, network: ChainNetwork, scores: FloatArray, slack: float
) -> float:
    """Return what a gap of the loss says of the score at the data next to the kinks, see `Certificate`.

    Examples
    --------
    >>> problem = LineProblem(Sample.of([-1.0, 1.0]), 1.0, "relu", skip=False)
    >>> run = ChainNetwork(np.array([[-1.0, 1.0]]), np.array([[False, True]]), np.array([-0.5]))
    >>> score_error_at_kinks(problem, run.shifted(0.5), np.array([0.5, -0.5]), 0.0)
    0.0
    """
    points, distance = problem.points, float(np.sqrt(2 * slack))
    if distance == 0:
        return 0.0
    last = len(points) - 1
    kinks = np.clip(network.kinks.ravel(), points[0], points[-1])
    above = np.clip(np.searchsorted(points, kinks), 0, last)
    below = np.clip(np.searchsorted(points, kinks, side="right") - 1, 0, last)
    at = np.unique(np.concatenate([[0, last], above, below]))
    if problem.targets is None:
        sizes = sizes_of_scores(points[at], scores[at])
    else:
        aims, mean = problem.aims, problem.sample.mean_target
        natural = np.sqrt(problem.counts @ aims**2 / problem.counts.sum())
        rounding = 1e-11 * float(np.abs(aims + mean).max())
        sizes = np.maximum(np.abs(scores[at] - mean), natural + rounding)
    return float(np.max(distance / sizes)) if (sizes > 0).all() else np.inf
