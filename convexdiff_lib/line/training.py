r"""Exact training of univariate two-layer score networks (Theorems 1, 7, 8 and 11 of the paper).

`score_matching` and `denoising_score_matching` return the global optimum of the non-convex training problems
(2) and (27), with a certificate, for the ReLU and the absolute-value network, with and without a skip
connection: eight problems, one mechanism.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike

from .._memory import keep_freed_memory
from .._results import result
from .._validation import (
    Activation,
    FloatArray,
    as_activation,
    as_flag,
    as_sample,
    as_vector,
    as_weight_decay,
)
from ..certificates import Certificate, NotCertifiedError
from ..networks import TwoLayerNetwork
from ._passes import tallied
from .active_set import Spline, descend, first_spline
from .beam import (
    Tube,
    denoising_tube,
    score_matching_threshold,
    score_matching_tube,
    solve_beam,
)
from .candidates import DualVariable, claim_from_spline, network_from_claim, score_from_claim
from .coarse_to_fine import Solution, solve_by_levels
from .kink_network import KinkNetwork
from .network_certificates import certify_denoising, certify_score_matching, sizes_of_scores
from .piecewise_linear import PiecewiseLinearScore
from .problem import LineProblem, SplineClaim
from .sharpening import sharpened
from .spline_certificates import Verdict

__all__ = ["UnivariateScore", "denoising_score_matching", "score_matching", "score_matching_path"]

_SHORTEST, _LONGEST = 1e-70, 1e70  # squares of lengths, and of their ratios, are then finite


@result
class UnivariateScore:
    """The score learned by an optimally trained univariate network.

    Returned by `score_matching` and `denoising_score_matching`; calling it evaluates the score.

    Parameters
    ----------
    beta : float
        Weight decay.
    certificate : Certificate
        Recomputed from the data alone.
    kink_network : KinkNetwork
        The optimal network as a list of kinks.
    dual : DualVariable
        The optimal dual variable, in few numbers; ``z`` spells it out.

    Examples
    --------
    >>> import numpy as np
    >>> fit = score_matching([-1.0, 0.0, 1.0, 2.0], beta=1.5)
    >>> fit.certificate.holds
    True
    >>> fit(np.array([0.5])).shape, len(fit.knots) <= 4
    ((1,), True)
    """

    beta: float
    certificate: Certificate
    kink_network: KinkNetwork
    dual: DualVariable
    score: PiecewiseLinearScore

    @cached_property
    def z(self) -> FloatArray:
        """Optimal dual variable in the order of the data, minus the score, plus the target in denoising."""
        return self.dual.vector()

    @property
    def value(self) -> float:
        """Optimal training loss, the upper bound of the certificate and the loss of this very network."""
        return self.certificate.primal

    @property
    def activation(self) -> Activation:
        """Activation of the network."""
        return self.kink_network.activation

    @property
    def knots(self) -> FloatArray:
        """Data points at which the score has a kink, increasing; empty for a straight score."""
        slopes = self.score.slopes
        return self.score.knots[slopes[1:] != slopes[:-1]]

    def _facts(self) -> dict[str, object]:
        return {
            "n": len(self.dual.x),
            "beta": self.beta,
            "activation": self.activation,
            "value": self.value,
            "knots": len(self.knots),
            "certificate": self.certificate,
        }

    def __call__(self, x: ArrayLike) -> FloatArray:
        """Return the fitted score at x, any shape."""
        return self.score(x)

    def network(self) -> TwoLayerNetwork:
        r"""Return the trained network with the paper's parameters, outgoing weights with their signs.

        .. math:: w_j = \pm\sqrt{|y_j|}, \quad \alpha_j = \mathrm{sign}(y_j)\sqrt{|y_j|}, \quad b_j = -w_j t_j

        Its parameters are rounded to double precision, and a network adds up slopes: where gaps between data
        are tiny, compared with their distance from zero or with other gaps, that costs digits which this
        object itself keeps.  How many is told by ``network_error``.
        """
        return self.kink_network.two_layer()

    @cached_property
    def network_error(self) -> float:
        """What rounding costs the parameters of `network`.

        The largest error at a knot of the network, evaluated in doubles, compared with the score there or
        with what is natural around it, as `Certificate.score_error` is.

        Examples
        --------
        Nothing to speak of on ordinary data; beside a gap of 1e-6 a score of 1e-6 is lost.

        >>> score_matching([-1.0, 0.0, 1.0, 2.0], 1.5).network_error <= 1e-14
        True
        >>> score_matching([0.0, 1e-6, 1.5, 1e6], 1.0).network_error >= 1.0
        True
        """
        knots, values = self.score.knots, self.score.values
        errors = np.abs(np.ravel(self.network()(knots)) - values)
        if not errors.any():
            return 0.0
        if isinstance(self.dual.aims, np.ndarray):
            sizes = np.abs(values - values.mean()) + np.sqrt(np.mean(self.dual.aims**2))
        else:
            sizes = sizes_of_scores(knots, values)
        return float(np.max(errors / sizes))

    def log_density(self, x: ArrayLike) -> FloatArray:
        """Return the normalised log-density whose score this is; raises ValueError when there is none."""
        return self.score.log_density(x)

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw n points exactly from that density; raises ValueError when there is none."""
        return self.score.sample(n, rng)


def score_matching(
    x: ArrayLike, beta: float, *, activation: Activation = "relu", skip: bool = False
) -> UnivariateScore:
    r"""Train a univariate two-layer network by score matching to global optimality.

    Minimises, over all widths and all parameters,

    .. math:: \sum_{i=1}^n \Big[ \tfrac12 s(x_i)^2 + s'(x_i) \Big]
              + \tfrac{\beta}{2} \sum_j (w_j^2 + \alpha_j^2),
              \qquad s(x) = \sum_j \alpha_j \sigma(w_j x + b_j) + v x + b_0,

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
    sample, decay = as_vector(x), as_weight_decay(beta)
    return _fits(sample, [decay], as_activation(activation), as_flag(skip, "skip"))[0]


def score_matching_path(
    x: ArrayLike, betas: ArrayLike, *, activation: Activation = "relu", skip: bool = False
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
    sample, decays = as_vector(x), [as_weight_decay(beta) for beta in as_sample(betas, "betas").tolist()]
    return _fits(sample, decays, as_activation(activation), as_flag(skip, "skip"))


def _fits(
    sample: FloatArray, decays: list[float], activation: Activation, skip: bool
) -> list[UnivariateScore]:
    """Sort the data, check the problems, and solve them one after the other."""
    keep_freed_memory()
    ordered = np.sort(sample)
    _check_finite(ordered, sample, "x")
    points, counts, closest = tallied(ordered)
    _check_distances(points, closest)
    tied = len(points) < len(ordered)
    for decay in decays:
        _check_problem(len(points), counts if tied else counts[:1], decay, activation, skip)
    if len(points) == 1:
        return [_constant_fit(sample, 0.0, beta, activation, skip) for beta in decays]
    problem = LineProblem(points, counts, None, decays[0], activation, skip)

    def solved() -> Iterator[tuple[_Task, Tube, Solution]]:
        like: Tube | None = None
        quick: Solution | None = None
        for beta in decays:
            tube = score_matching_tube(points, counts, beta, activation=activation, skip=skip, like=like)
            like = like or (tube.in_blocks() if len(decays) > 1 else tube)
            quick = solve_by_levels(tube, quick)
            yield _Task(sample, 0.0, 0.0, problem.at(beta)), tube, quick

    if len(decays) == 1:
        return [_finish(*parts) for parts in solved()]
    with ThreadPoolExecutor(1) as pool:  # one fit is finished and certified while the next is sought
        fits = [pool.submit(_finish, *parts) for parts in solved()]
    return _none_lost(fits)


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
) -> UnivariateScore:
    r"""Train a univariate two-layer network by denoising score matching to global optimality.

    Minimises, over all widths and all parameters,

    .. math:: \sum_{i=1}^n \tfrac12 (s(\tilde x_i) - \ell_i)^2
              + \tfrac{\beta}{2} \sum_j (w_j^2 + \alpha_j^2),
              \qquad s(x) = \sum_j \alpha_j \sigma(w_j x + b_j) + v x + b_0,

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
    sample, aims, decay = as_vector(x_noisy, "x_noisy"), as_sample(targets, "targets"), as_weight_decay(beta)
    as_activation(activation)
    as_flag(skip, "skip")
    if sample.shape != aims.shape:
        raise ValueError(
            f"targets must have one entry per point of x_noisy; got {aims.shape} for {sample.shape}"
        )
    keep_freed_memory()
    order = np.argsort(sample)
    ordered = sample[order]
    _check_finite(ordered, sample, "x_noisy")
    points, counts, closest = tallied(ordered)
    _check_distances(points, closest)
    mean_target = _check_targets(aims)
    apart = aims - mean_target
    if len(points) == 1:
        return _constant_fit(sample, aims, decay, activation, skip)
    means, within = apart[order], 0.0
    if len(points) < len(ordered):  # the best fit to tied points is that to their mean
        place = np.repeat(np.arange(len(points)), counts.astype(np.int64))
        means = np.bincount(place, apart[order]) / counts
        within = 0.5 * float(np.sum((apart[order] - means[place]) ** 2))
    problem = LineProblem(points, counts, means, decay, activation, skip, within)
    tube = denoising_tube(points, counts, means, decay, activation=activation, skip=skip)
    return _finish(_Task(sample, apart, mean_target, problem), tube, solve_by_levels(tube))


@dataclass(frozen=True, eq=False)
class _Task:
    """One fit to do: the data, the targets less their mean, that mean, and the problem on the line."""

    x: FloatArray
    aims: FloatArray | float
    mean_target: float
    problem: LineProblem


def _finish(task: _Task, tube: Tube, quick: Solution) -> UnivariateScore:
    """Sharpen the quick answer to the beam problem until it is certified; or else solve it thoroughly."""
    problem = task.problem
    best: tuple[SplineClaim, Verdict] | None = None
    for spline, values, height in chain([(quick.spline, quick.values, quick.height)], _thoroughly(tube)):
        if not (isfinite(height) and np.isfinite(values).all()):
            continue
        found = sharpened(problem, claim_from_spline(problem, tube, spline, values, height))
        if best is None or found[1].error < best[1].error:
            best = found
        if best[1].certificate.holds:
            return certified_fit(problem, task.x, task.aims, task.mean_target, *best)
    raise NotCertifiedError(_refusal(task, best[1].certificate if best else None))


def _thoroughly(tube: Tube) -> Iterator[tuple[Spline, FloatArray, float]]:
    """Solve with an interior point and walk from there."""
    start, offset = solve_beam(tube)
    yield from descend(first_spline(tube, start, offset), offset)


def certified_fit(
    problem: LineProblem,
    x: FloatArray,
    aims: FloatArray | float,
    mean_target: float,
    claim: SplineClaim,
    verdict: Verdict,
) -> UnivariateScore:
    """Return what users get from a certified claim.

    Examples
    --------
    >>> from convexdiff_lib.line.spline_certificates import examine
    >>> x, halves = np.array([-1.0, 1.0]), np.array([0.5, -0.5])
    >>> problem = LineProblem(x, np.ones(2), None, 1.0, "relu", False)
    >>> claim = SplineClaim(np.array([0, 1]), np.zeros(0), halves, np.zeros(2), -1.0, 0.0, -1)
    >>> certified_fit(problem, x, 0.0, 0.0, claim, examine(problem, claim))(0.5)
    array(-0.25)
    """
    network = network_from_claim(problem, claim, mean_target)
    return UnivariateScore(
        beta=problem.beta,
        certificate=verdict.certificate,
        kink_network=network,
        dual=DualVariable(x, aims, problem.points[claim.knots], claim.values),
        score=score_from_claim(problem, claim, network, mean_target),
    )


def _refusal(task: _Task, certificate: Certificate | None) -> str:
    """Say why there is no answer, and which points are to blame if that is known."""
    problem = task.problem
    gaps = np.diff(problem.points)
    tight = int(np.argmin(gaps))
    left, right, first, last = problem.points[[tight, tight + 1, 0, -1]].tolist()
    return (
        f"the answer could not be certified for n = {len(task.x)}, beta = {problem.beta}, activation = "
        f"{problem.activation!r}, skip = {problem.skip}: {certificate or 'no candidate'}\n"
        f"The points {left!r} and {right!r} are {gaps[tight]:.3g} apart, and the data reach from {first!r} "
        f"to {last!r}: if that is too close or too far for doubles, merge points or leave out far ones"
    )


def _check_targets(targets: FloatArray) -> float:
    """Return the mean target, once it is sure that the squares of the targets are finite."""
    largest = float(np.abs(targets).max())
    if not largest <= _LONGEST:
        raise ValueError(
            f"targets must be at most {_LONGEST:g} in size; the largest is {largest:g}: rescale them"
        )
    return float(targets.sum()) / len(targets)


def _check_finite(ordered: FloatArray, sample: FloatArray, name: str) -> None:
    """In order, what is not finite stands at the two ends: NaN is sorted last."""
    if not (isfinite(ordered[0]) and isfinite(ordered[-1])):
        as_sample(sample, name)


def _check_distances(points: FloatArray, shortest: float) -> None:
    """Slopes are of the order of one over length squared, which double precision must be able to hold."""
    longest = float(points[-1]) - float(points[0])  # as Python's numbers, which overflow in silence
    if len(points) == 1:
        return
    if not (shortest >= _SHORTEST and longest <= _LONGEST):
        raise ValueError(
            f"the distances between distinct points must lie between {_SHORTEST:g} and {_LONGEST:g}; these "
            f"go from {shortest:g} to {longest:g}: rescale x, or merge points"
        )


def _check_problem(
    distinct: int, counts: FloatArray, beta: float, activation: Activation, skip: bool
) -> None:
    if skip and distinct < 2:
        raise ValueError(
            "a skip connection needs at least two distinct points: with one, its slope lowers the loss "
            "without limit"
        )
    threshold = score_matching_threshold(counts, activation=activation, skip=skip)
    if beta < threshold:
        ties = (
            "" if counts.max() == 1 else f" (points repeat, up to {int(counts.max())} times, which raises it)"
        )
        raise ValueError(
            f"beta = {beta} is below {threshold:.17g}, the smallest weight decay at which the training loss "
            f"of the {activation} network {'with' if skip else 'without'} skip connection has a finite "
            f"minimum on these data{ties}: below it the loss goes to minus infinity"
        )


def _constant_fit(
    sample: FloatArray, aims: FloatArray | float, beta: float, activation: Activation, skip: bool
) -> UnivariateScore:
    """All points are the same: without targets the score is zero there, with targets it is their mean."""
    none, origin = np.zeros(0), float(sample[0])
    mean = float(np.mean(aims))
    network = KinkNetwork(none, none, none, none.astype(bool), origin, mean, activation=activation)
    dual = DualVariable(sample, aims - mean, sample[:1], np.zeros(1))
    if isinstance(aims, float):
        certificate = certify_score_matching(
            sample, network, dual.vector(), beta, activation=activation, skip=skip
        )
    else:
        certificate = certify_denoising(
            sample, aims, network, dual.vector(), beta, activation=activation, skip=skip
        )
    score = PiecewiseLinearScore(sample[:1], np.array([mean]), 0.0, 0.0)
    return UnivariateScore(beta, certificate, network, dual, score)
