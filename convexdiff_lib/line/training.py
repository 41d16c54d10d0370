r"""Exact training of univariate two-layer score networks (Theorems 1, 7, 8 and 11 of the paper).

`score_matching` and `denoising_score_matching` return the global optimum of the non-convex training problems
(2) and (27), with a certificate, for the ReLU and the absolute-value network, with and without a skip
connection: eight problems, one mechanism.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._memory import keep_freed_memory
from .._progress import Bar
from .._validation import Activation, FloatArray, as_activation, as_flag, as_sample, as_weight_decay
from ..certificates import Certificate, NotCertifiedError
from .active_set import Spline, descend, first_spline
from .beam import Tube, solve_beam, tube_of
from .candidates import (
    DualVariable,
    claim_from_spline,
    dual_from_claim,
    network_from_claim,
    score_from_claim,
)
from .coarse_to_fine import Solution, solve_by_levels
from .inward_tails import priced_solution
from .kink_network import KinkNetwork
from .piecewise_linear import PiecewiseLinearScore
from .problem import LineProblem, SplineClaim, TailPrices, check_minimum, line_problem
from .sample import Sample, not_none
from .sharpening import sharpened
from .spline_certificates import Verdict
from .univariate_score import UnivariateScore

__all__ = ["denoising_score_matching", "score_matching", "score_matching_path"]


def score_matching(
    x: ArrayLike,
    beta: float,
    *,
    activation: Activation = "relu",
    skip: bool = False,
    sample_weight: ArrayLike | None = None,
    inward_tails: bool = False,
) -> UnivariateScore:
    r"""Train a univariate two-layer network by score matching to global optimality.

    Minimises, over all widths and all parameters,

    .. math:: \sum_{i=1}^n \Big[ \tfrac12 s(x_i)^2 + s'(x_i) \Big]
              + \tfrac{\beta}{2} \sum_j (w_j^2 + \alpha_j^2),

    .. math:: s(x) = \sum_j \alpha_j \sigma(w_j x + b_j) + v x + b_0,

    the training problem (2) of the paper (Theorem 1 without, Theorems 7 and 8 with skip connection v).

    Parameters
    ----------
    x : array of shape (n,)
        The data; any order, ties allowed.  Not changed.
    beta : float
        Weight decay on sums, not means, as in the paper.
    activation : {"relu", "abs"}
    skip : bool
        Whether the network has a skip connection v, which is not penalised.
    sample_weight : array of shape (n,), optional
        How often each point counts; those of weight zero do not.  Sums of weights take the place of numbers
        of points, in the thresholds of the weight decay, too.
    inward_tails : bool
        Whether neither outer slope of the score may be above zero.

    Returns
    -------
    UnivariateScore
        With ``.certificate.holds`` true.

    Raises
    ------
    ValueError
        If x is empty, not finite, not one-dimensional or not numeric, or its distances cannot be squared; if
        beta is below the threshold under which the loss has no lower bound; if a skip connection is asked for
        with fewer than two distinct points.
    NotCertifiedError
        If the solver's answer does not pass its certificate.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=200)
    >>> fit = score_matching(x, beta=5.0)
    >>> fit.certificate.holds
    True
    >>> samples = fit.sample(1000, np.random.default_rng(1))
    >>> score_matching(x, beta=0.5)
    Traceback (most recent call last):
    ...
    ValueError: beta = 0.5 is below 1, the smallest weight decay at which ... finite ...
    """
    return _trained(
        line_problem(
            x,
            beta,
            activation=activation,
            skip=skip,
            sample_weight=sample_weight,
            inward_tails=inward_tails,
        )
    )


def score_matching_path(
    x: ArrayLike,
    betas: ArrayLike,
    *,
    activation: Activation = "relu",
    skip: bool = False,
    sample_weight: ArrayLike | None = None,
    inward_tails: bool = False,
    progress: bool = False,
) -> list[UnivariateScore]:
    r"""Train at many weight decays, each time starting from the optimum before.

    The answers are those of `score_matching`; what they share is done once.  For the optimum as a function of
    :math:`\beta`, between the given values too, see `convexdiff_lib.line.path`.

    Parameters
    ----------
    x : array of shape (n,)
    betas : array of shape (k,)
        Weight decays; any order, but neighbours should be near each other: from large to small is best.
    activation : {"relu", "abs"}
    skip : bool
    sample_weight : array of shape (n,), optional
        How often each point counts; those of weight zero do not.  Sums of weights take the place of numbers
        of points, in the thresholds of the weight decay, too.
    inward_tails : bool
        Whether neither outer slope of the score may be above zero.
    progress : bool
        Whether to show a bar that counts finished fits.

    Returns
    -------
    list of UnivariateScore
        In the order of betas, each with ``.certificate.holds`` true.

    Raises
    ------
    ValueError
        As `score_matching` does.
    NotCertifiedError
        If a fit does not pass its certificate; its attribute ``fits`` has the others.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=500)
    >>> fits = score_matching_path(x, [400.0, 100.0, 25.0])
    >>> [fit.certificate.holds for fit in fits]
    [True, True, True]
    """
    sample, decays = Sample.of(x, None, sample_weight), as_sample(betas, "betas").tolist()
    prices = TailPrices(0.0, 0.0) if as_flag(inward_tails, "inward_tails") else None
    kind = as_activation(activation), as_flag(skip, "skip")
    problems = [LineProblem(sample, as_weight_decay(beta), *kind, prices) for beta in decays]
    for problem in problems:
        check_minimum(problem)
    with Bar(progress, "score_matching_path", "fit", len(problems)) as bar:
        if len(problems) == 1 or len(sample.points) == 1:
            return [_trained(problem) for problem in bar.over(problems)]
        keep_freed_memory()

        def finished(problem: LineProblem, *found: Any) -> UnivariateScore:
            try:
                return _certified(problem, *found) if found else _trained(problem)
            finally:
                bar.done()

        # One fit is finished and certified while the next is sought.
        jobs = ((problem,) for problem in problems) if prices else _solved(problems)
        with ThreadPoolExecutor(1) as pool:
            return _none_lost([pool.submit(finished, *job) for job in jobs])


def _trained(problem: LineProblem) -> UnivariateScore:
    """Go all the way: problem, tube, spline, certificate, score."""
    if len(problem.points) == 1:
        return _constant_fit(problem)
    keep_freed_memory()
    if problem.prices:
        return _with_inward_tails(problem)
    tube = tube_of(problem)
    return _certified(problem, tube, solve_by_levels(tube))


def _with_inward_tails(problem: LineProblem) -> UnivariateScore:
    """Find the prices of the outer slopes first; to more digits where doubles are not enough."""
    for exactly in (False, True):
        priced = priced_solution(problem, exactly=exactly)
        with suppress(NotCertifiedError):
            return _judged(priced.problem, [priced.claim])
    return _certified(priced.problem, priced.tube, priced.solution)


def _solved(problems: list[LineProblem]) -> Iterator[tuple[LineProblem, Tube, Solution]]:
    """Do the first half for problems of one sample, each from where the one before has ended."""
    like: Tube | None = None
    quick: Solution | None = None
    for problem in problems:
        tube = tube_of(problem, like)
        like = like or tube.in_blocks()
        quick = solve_by_levels(tube, quick)
        yield problem, tube, quick


def _none_lost(fits: list[Future[UnivariateScore]]) -> list[UnivariateScore]:
    """Return the results; where some were refused, the error has the others."""
    refused = [(k, error) for k, fit in enumerate(fits) if (error := fit.exception()) is not None]
    if not refused:
        return [fit.result() for fit in fits]
    for _, error in refused:
        if not isinstance(error, NotCertifiedError):
            raise error
    places = [k for k, _ in refused]
    summary = NotCertifiedError(
        f"{len(refused)} of {len(fits)} fits could not be certified, those in the places {places}; the "
        f"others are in the attribute 'fits' of this error. The first: {refused[0][1]}"
    )
    summary.fits = [None if k in places else fit.result() for k, fit in enumerate(fits)]
    raise summary from refused[0][1]


def denoising_score_matching(
    x_noisy: ArrayLike,
    targets: ArrayLike,
    beta: float,
    *,
    activation: Activation = "relu",
    skip: bool = False,
    sample_weight: ArrayLike | None = None,
    inward_tails: bool = False,
) -> UnivariateScore:
    r"""Train a univariate two-layer network by denoising score matching to global optimality.

    Minimises, over all widths and all parameters,

    .. math:: \sum_{i=1}^n \tfrac12 (s(\tilde x_i) - \ell_i)^2
              + \tfrac{\beta}{2} \sum_j (w_j^2 + \alpha_j^2),

    .. math:: s(x) = \sum_j \alpha_j \sigma(w_j x + b_j) + v x + b_0,

    the training problem (27) of the paper (Theorem 11; Theorems 4.1 and B.1 to B.3 of the older text).  For
    data perturbed to :math:`\tilde x_i = x_i + \sigma\delta_i` the target is
    :math:`\ell_i = -\delta_i/\sigma`, with the minus sign, which the paper drops.

    Parameters
    ----------
    x_noisy : array of shape (n,)
        The perturbed data; any order, ties allowed.  Not changed.
    targets : array of shape (n,)
        One target for each of them.
    beta : float
        Weight decay on sums, not means, as in the paper; any positive number.
    activation : {"relu", "abs"}
    skip : bool
        Whether the network has a skip connection v, which is not penalised.
    sample_weight : array of shape (n,), optional
        How often each point counts; those of weight zero do not.  Sums of weights take the place of numbers
        of points, in the thresholds of the weight decay, too.
    inward_tails : bool
        Whether neither outer slope of the score may be above zero.

    Returns
    -------
    UnivariateScore
        With ``.certificate.holds`` true.

    Raises
    ------
    ValueError
        If x_noisy or targets are empty, not finite, not one-dimensional, not numeric or of different lengths;
        if distances or targets cannot be squared; if beta is not positive.
    NotCertifiedError
        If the solver's answer does not pass its certificate.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> clean, noise, sigma = rng.normal(size=200), rng.normal(size=200), 0.5
    >>> fit = denoising_score_matching(clean + sigma * noise, -noise / sigma, beta=5.0)
    >>> fit.certificate.holds
    True
    """
    labels = not_none(targets)
    return _trained(
        line_problem(
            x_noisy,
            beta,
            targets=labels,
            activation=activation,
            skip=skip,
            sample_weight=sample_weight,
            inward_tails=inward_tails,
        )
    )


def _certified(problem: LineProblem, tube: Tube, quick: Solution) -> UnivariateScore:
    """Sharpen the quick answer to the beam problem until it is certified; or else solve it thoroughly."""
    found = chain([(quick.spline, quick.values, quick.height)], _thoroughly(tube))
    return _judged(
        problem,
        (
            claim_from_spline(problem, tube, spline, values, height)
            for spline, values, height in found
            if isfinite(height) and np.isfinite(values).all()
        ),
    )


def _judged(problem: LineProblem, claims: Iterable[SplineClaim]) -> UnivariateScore:
    """Return the first claim that can be certified."""
    best: tuple[SplineClaim, Verdict] | None = None
    for claim in claims:
        found = sharpened(problem, claim)
        if best is None or found[1].error < best[1].error:
            best = found
        if best[1].certificate.holds:
            return certified_fit(problem, *best)
    if best is None:
        raise NotCertifiedError(_refusal(problem, None))
    raise NotCertifiedError(_refusal(problem, best[1].certificate), certified_fit(problem, *best))


def _thoroughly(tube: Tube) -> Iterator[tuple[Spline, FloatArray, float]]:
    """Solve with an interior point and walk from there."""
    start, offset = solve_beam(tube)
    yield from descend(first_spline(tube, start, offset), offset)


def certified_fit(problem: LineProblem, claim: SplineClaim, verdict: Verdict) -> UnivariateScore:
    """Return what users get from a claim with its certificate.

    Examples
    --------
    >>> from convexdiff_lib.line.spline_certificates import examine
    >>> problem, halves = line_problem([-1.0, 1.0], 1.0), np.array([0.5, -0.5])
    >>> claim = SplineClaim(np.array([0, 1]), np.zeros(0), halves, np.zeros(2), -1.0, 0.0, -1)
    >>> certified_fit(problem, claim, examine(problem, claim))(0.5)
    array(-0.25)
    """
    network = network_from_claim(problem, claim)
    return UnivariateScore(
        beta=problem.beta,
        certificate=verdict.certificate,
        kink_network=network,
        dual=dual_from_claim(problem, claim),
        score=score_from_claim(problem, claim, network, verdict.error),
        tail_prices=(problem.prices.right, problem.prices.left) if problem.prices else None,
    )


def _refusal(problem: LineProblem, certificate: Certificate | None) -> str:
    """Say why there is no answer, and which points are to blame if that is known."""
    gaps = np.diff(problem.points)
    tight = int(np.argmin(gaps))
    left, right, first, last = problem.points[[tight, tight + 1, 0, -1]].tolist()
    tails = ", inward_tails = True" if problem.prices else ""
    return (
        f"the answer could not be certified for n = {len(problem.sample.x)}, beta = {problem.beta}, "
        f"activation = {problem.activation!r}, skip = {problem.skip}{tails}: "
        f"{certificate or 'no candidate'}\n"
        f"The points {left!r} and {right!r} are {gaps[tight]:.3g} apart, and the data reach from {first!r} "
        f"to {last!r}: if that is too close or too far for doubles, merge points or leave out far ones"
    )


def _constant_fit(problem: LineProblem) -> UnivariateScore:
    """All points are the same: without targets the score is zero there, with targets it is their mean.

    No score does better: its value is right, and without targets a slope costs at least what it brings.
    """
    sample = problem.sample
    none, origin, mean = np.zeros(0), float(sample.x[0]), sample.mean_target
    return UnivariateScore(
        beta=problem.beta,
        certificate=Certificate(sample.spread, sample.spread, 0.0, sample.spread, score_error=0.0),
        kink_network=KinkNetwork(
            none, none, none, none.astype(bool), origin, mean, activation=problem.activation
        ),
        dual=DualVariable(sample.x, sample.labels, sample.points, np.zeros(1)),
        score=PiecewiseLinearScore(sample.points, np.array([mean]), 0.0, 0.0),
        tail_prices=(problem.prices.right, problem.prices.left) if problem.prices else None,
    )
