r"""Exact training of univariate score networks with three layers.

Beyond two layers ordinary weight decay does not hold score matching back; the exponent has to be the depth.
With it, narrow chains of three layers are a convex problem again, and for ReLU no greater depth, and no
fully connected network whose path norm is charged, does better.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .._validation import Activation, FloatArray, as_activation, as_flag, as_weight_decay
from ..certificates import NotCertifiedError
from ._deep_abs import solve_deep_abs
from ._deep_abs_threshold import abs_chain_threshold, is_surely_finite
from ._deep_relu import solve_deep_relu
from .chains import ChainNetwork
from .deep_certificates import certify_chains, score_error_at_kinks
from .deep_score import DeepScore
from .problem import LineProblem
from .sample import Sample, check_skip, not_none

__all__ = ["deep_denoising_score_matching", "deep_score_matching", "smallest_deep_penalty"]


def deep_score_matching(
    x: ArrayLike, beta: float, *, activation: Activation = "relu", skip: bool = False
) -> DeepScore:
    r"""Train a univariate three-layer network of narrow chains by score matching to global optimality.

    Minimises, over all widths and all parameters,

    .. math:: \sum_{i=1}^n \Big[ \tfrac12 s(x_i)^2 + s'(x_i) \Big]
              + \tfrac{\beta}{3} \sum_k \big( |w_k|^3 + |u_k|^3 + |\alpha_k|^3 \big),

    .. math:: s(x) = \sum_k \alpha_k\, \sigma\big( u_k\, \sigma(w_k x + b_k) + c_k \big) + v x + b_0 .

    For ReLU the answer is that for chains of any greater depth L, with exponent L in the place of 3, and for
    fully connected networks of any depth from 3 whose path norm is charged.

    Parameters
    ----------
    x : array of shape (n,)
        The data; any order, ties allowed.
    beta : float
        Strength of the penalty, on sums, not means.
    activation : {"relu", "abs"}
    skip : bool
        Whether the network has a skip connection v, which is not penalised.

    Returns
    -------
    DeepScore
        With ``.certificate.holds`` true.

    Raises
    ------
    ValueError
        If x is malformed; if beta is below the threshold under which the loss has no lower bound; if a skip
        connection is asked for with fewer than two distinct points.
    NotCertifiedError
        If the solver's answer does not pass its certificate.

    Examples
    --------
    >>> import numpy as np
    >>> from convexdiff_lib import score_matching
    >>> x = np.random.default_rng(0).normal(size=200)
    >>> fit = deep_score_matching(x, beta=5.0)
    >>> fit.certificate.holds, fit.value <= score_matching(x, beta=5.0).value
    (True, True)
    >>> deep_score_matching(x, beta=0.5)
    Traceback (most recent call last):
    ...
    ValueError: beta = 0.5 is below 1, the smallest penalty at which ... finite ...
    """
    return _trained(_problem(Sample.of(x), beta, activation, skip))


def deep_denoising_score_matching(
    x_noisy: ArrayLike,
    targets: ArrayLike,
    beta: float,
    *,
    activation: Activation = "relu",
    skip: bool = False,
) -> DeepScore:
    r"""Train a univariate three-layer network of narrow chains by denoising, to global optimality.

    Minimises :math:`\sum_i \tfrac12 (s(\tilde x_i) - \ell_i)^2` and the penalty of `deep_score_matching`,
    over all widths and all parameters.

    Parameters
    ----------
    x_noisy : array of shape (n,)
        The perturbed data; any order, ties allowed.
    targets : array of shape (n,)
        One target for each of them.
    beta : float
        Any positive number.
    activation : {"relu", "abs"}
    skip : bool
        Whether the network has a skip connection, which is not penalised.

    Returns
    -------
    DeepScore
        With ``.certificate.holds`` true.

    Raises
    ------
    ValueError
        If x_noisy or targets are malformed or of different lengths, or beta is not positive.
    NotCertifiedError
        If the solver's answer does not pass its certificate.

    Examples
    --------
    Four points whose optimum is known by hand, of value beta - beta^2:

    >>> fit = deep_denoising_score_matching([0.0, 1.0, 2.0, 3.0], [0.0, 0.0, 1.0, 1.0], beta=0.1)
    >>> round(fit.value, 12)
    0.09
    """
    return _trained(_problem(Sample.of(x_noisy, not_none(targets)), beta, activation, skip))


def smallest_deep_penalty(x: ArrayLike, *, activation: Activation = "relu", skip: bool = False) -> float:
    """Return the smallest beta at which `deep_score_matching` of given data has a finite optimum.

    Parameters
    ----------
    x : array of shape (n,)
    activation : {"relu", "abs"}
    skip : bool

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If x is malformed, or a skip connection meets one distinct point, where no penalty is enough.

    Examples
    --------
    >>> smallest_deep_penalty([0.0, 1.0, 3.0]), smallest_deep_penalty([0.0, 1.0, 3.0], skip=True)
    (1.0, 2.0)
    >>> smallest_deep_penalty([0.0, 1.0, 1.0, 1.0, 3.0])
    3.0
    """
    sample = Sample.of(x)
    with_skip = as_flag(skip, "skip")
    check_skip(len(sample.points), with_skip)
    return _threshold(sample, as_activation(activation), with_skip)


def _problem(sample: Sample, beta: float, activation: Activation, skip: bool) -> LineProblem:
    """Check the rest of what was given, and that training has a minimum."""
    problem = LineProblem(sample, as_weight_decay(beta), as_activation(activation), as_flag(skip, "skip"))
    if problem.targets is not None:
        return problem
    check_skip(len(problem.points), skip)
    if activation == "abs" and is_surely_finite(sample, problem.beta, skip=skip):
        return problem
    threshold = _threshold(sample, activation, skip)
    if problem.beta < threshold:
        raise ValueError(
            f"beta = {problem.beta} is below {threshold:.17g}, the smallest penalty at which the training "
            f"loss of three layers of {activation} {'with' if skip else 'without'} skip connection has a "
            f"finite minimum on these data: below it the loss goes to minus infinity"
        )
    return problem


def _threshold(sample: Sample, activation: Activation, skip: bool) -> float:
    """Of score matching: what a run that begins or ends at one point sees of its multiplicity."""
    counts = sample.counts
    if activation == "relu":
        return float(max(counts.max(), counts[0] + counts[-1] if skip else 0.0))
    return abs_chain_threshold(sample, skip=skip)


def _trained(problem: LineProblem) -> DeepScore:
    """Solve, certify, and hand on."""
    chains, z, error = _solved(problem)
    certificate = certify_chains(problem, chains, z, error)
    sample, place = problem.sample, np.searchsorted(problem.points, problem.sample.x)
    found = DeepScore(
        beta=problem.beta,
        certificate=certificate,
        chains=chains,
        x=sample.x,
        z=sample.labels + (z - problem.aims)[place],
        score=chains.as_score(),
    )
    if not certificate.holds:
        raise NotCertifiedError(
            f"the answer could not be certified for n = {len(sample.x)}, beta = {problem.beta}, "
            f"activation = {problem.activation!r}, skip = {problem.skip}: {certificate}",
            found,
        )
    return found


def _solved(problem: LineProblem) -> tuple[ChainNetwork, FloatArray, float | None]:
    """Return the optimal chains, the dual variable at the distinct points, and the error of the score."""
    if len(problem.points) == 1:
        columns = 2 if problem.activation == "relu" else 3
        none = np.zeros((0, columns))
        mean = problem.sample.mean_target
        return (
            ChainNetwork(
                none, none.astype(bool), np.zeros(0), float(problem.points[0]), mean, 0.0, problem.activation
            ),
            np.zeros(1),
            None,
        )
    if problem.activation == "relu":
        return solve_deep_relu(problem)
    chains, z, slack = solve_deep_abs(problem)
    return chains, z, score_error_at_kinks(problem, chains, chains(problem.points), slack)
