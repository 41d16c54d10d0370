r"""Exact training of univariate two-layer score networks (Theorems 1, 7, 8 and 11 of the paper).

`score_matching` and `denoising_score_matching` return the global optimum of the non-convex training problems
(2) and (27), with a certificate, for the ReLU and the absolute-value network, with and without a skip
connection: eight problems, one mechanism.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike

from ._memory import keep_freed_memory
from ._passes import tallied
from ._results import result
from ._validation import Activation, FloatArray, as_activation, as_flag, as_sample, as_vector, as_weight_decay
from .active_set import polish
from .beam import (
    Tube,
    denoising_tube,
    score_matching_threshold,
    score_matching_tube,
    solve_beam,
)
from .candidates import Candidate, DualVariable, network_from_candidate
from .certificates import (
    Certificate,
    Line,
    NotCertifiedError,
    denoising_certificate,
    score_matching_certificate,
)
from .coarse_to_fine import Solution, solve_by_levels
from .networks import KinkNetwork, TwoLayerNetwork
from .piecewise_linear import PiecewiseLinearScore

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

    @cached_property
    def score(self) -> PiecewiseLinearScore:
        """The fitted score as a piecewise-linear function on the whole line."""
        return _as_piecewise_linear(self.kink_network)

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

        The biases are rounded to double precision.  Where gaps between data are tiny compared with their
        distance from zero (a spread of 1e-3 around 1e6, say), that costs digits which ``kink_network``, and
        this object itself, keep.
        """
        return self.kink_network.two_layer()

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
    :math:`\beta`, between the given values too, see `convexdiff_lib.path`.

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
    ValueError, NotCertifiedError
        As `score_matching` does.

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
    points, weight, closest = tallied(ordered)
    _check_distances(points, closest)
    tied = len(points) < len(ordered)
    for decay in decays:
        _check_problem(len(points), weight if tied else weight[:1], decay, activation, skip)
    line = Line(ordered)

    def certify(network: KinkNetwork, dual: DualVariable, beta: float) -> Certificate:
        return score_matching_certificate(line, network, dual.on_line(ordered), beta, skip=skip)

    if len(points) == 1:
        network, dual = _constant(points[0], activation), DualVariable(sample, 0.0, points, np.zeros(1))
        return [UnivariateScore(beta, certify(network, dual, beta), network, dual) for beta in decays]

    def solved() -> Iterator[tuple[_Task, Tube, _Pair]]:
        like: Tube | None = None
        quick: Solution | None = None
        for beta in decays:
            tube = score_matching_tube(points, weight, beta, activation=activation, skip=skip, like=like)
            like = like or (tube.in_blocks() if len(decays) > 1 else tube)
            quick = solve_by_levels(tube, quick)
            task = _Task(sample, 0.0, 0.0, beta, activation, skip, certify)
            yield task, tube, task.pair(tube, Candidate.from_solution(quick))

    if len(decays) == 1:
        return [_finish(*parts) for parts in solved()]
    with ThreadPoolExecutor(1) as pool:  # one fit is finished and certified while the next is sought
        fits = [pool.submit(_finish, *parts) for parts in solved()]
    return [fit.result() for fit in fits]


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
    points, weight, closest = tallied(ordered)
    _check_distances(points, closest)
    mean_target = _check_targets(aims)
    labels, apart = aims[order], aims - mean_target
    apart_on_line = labels - mean_target

    def certify(network: KinkNetwork, dual: DualVariable, beta: float) -> Certificate:
        z = apart_on_line + dual.on_line(ordered)
        return denoising_certificate(ordered, labels, network, z, beta, skip=skip)

    if len(points) == 1:
        network = replace(_constant(points[0], activation), constant=mean_target)
        dual = DualVariable(sample, apart, points, np.zeros(1))
        return UnivariateScore(decay, certify(network, dual, decay), network, dual)
    means = apart_on_line
    if len(points) < len(ordered):  # the best fit to tied points is that to their mean
        place = np.repeat(np.arange(len(points)), weight.astype(np.int64))
        means = np.bincount(place, apart_on_line) / weight
    tube = denoising_tube(points, weight, means, decay, activation=activation, skip=skip)
    task = _Task(sample, apart, mean_target, decay, activation, skip, certify)
    return _finish(task, tube, task.pair(tube, Candidate.from_solution(solve_by_levels(tube))))


_Pair = tuple[KinkNetwork, DualVariable]


@dataclass(frozen=True, eq=False)
class _Task:
    """One fit to do: the data, the targets less their mean, that mean, and how to certify."""

    x: FloatArray
    aims: FloatArray | float
    mean_target: float
    beta: float
    activation: Activation
    skip: bool
    certify: Callable[[KinkNetwork, DualVariable, float], Certificate]

    def pair(self, tube: Tube, score: Candidate) -> _Pair:
        """The network and the dual variable of a candidate."""
        network = network_from_candidate(tube, score, self.activation, self.skip, self.mean_target)
        return network, score.dual(tube, self.x, self.aims)


def _finish(task: _Task, tube: Tube, quick: _Pair) -> UnivariateScore:
    """Certify the quick answer to the beam problem, or else solve it thoroughly."""

    def best_of(pairs: Iterable[_Pair]) -> UnivariateScore | None:
        best: UnivariateScore | None = None
        for network, dual in pairs:
            if not (isfinite(network.constant) and np.isfinite(dual.values).all()):
                break
            certificate = task.certify(network, dual, task.beta)
            if best is None or _flaw(certificate) < _flaw(best.certificate):
                best = UnivariateScore(task.beta, certificate, network, dual)
        return best

    best = best_of([quick])
    if best is None or not best.certificate.holds:
        first, offset = solve_beam(tube)
        beams = chain([first], polish(tube, first, offset))
        best = best_of(task.pair(tube, Candidate.from_beam(tube, beam)) for beam in beams)
    if best is None or not best.certificate.holds:
        raise NotCertifiedError(
            f"the answer could not be certified for n = {len(task.x)}, beta = {task.beta}, activation = "
            f"{task.activation!r}, skip = {task.skip}: {best.certificate if best else 'no candidate'}"
        )
    return best


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


def _flaw(certificate: Certificate) -> float:
    """How far a certificate is from perfect, in units of its tolerances; NaN counts as hopeless."""
    flaws = (
        certificate.relative_gap / certificate.gap_tolerance,
        certificate.infeasibility / certificate.feasibility_tolerance,
    )
    return float(np.nan_to_num(np.max(flaws), nan=np.inf, posinf=np.inf))


def _constant(origin: float, activation: Activation) -> KinkNetwork:
    none = np.zeros(0)
    return KinkNetwork(none, none, none, none.astype(bool), float(origin), activation=activation)


def _as_piecewise_linear(network: KinkNetwork) -> PiecewiseLinearScore:
    """Merge the neurons that share a position and write the network as knots, values and outer slopes."""
    bend = 1.0 if network.activation == "relu" else 2.0
    knots, place = np.unique(network.kinks, return_inverse=True)
    if len(knots) == 0:
        knots = np.array([network.origin])
        return PiecewiseLinearScore(knots, network(knots), network.slope, network.slope)
    left = network.slope
    if network.activation == "relu":
        left -= float(network.weights[network.facing < 0].sum())
    else:
        left -= float(network.weights.sum())
    changes = np.bincount(place, bend * network.weights, len(knots))
    right = left + float(changes.sum())
    return PiecewiseLinearScore(knots, network(knots), left, right)
