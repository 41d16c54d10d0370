r"""How good is a fitted score, and which weight decay to take: with the truth at hand, and without it.

Against a known law the error of a score is a number, `score_error`, and so is that of its density,
`density_error`.  Without one there is Hyvärinen's identity: up to a constant, the expected
:math:`\tfrac12 s^2 + s'` is half the squared error of :math:`s`.  So the mean of :math:`\tfrac12 s^2 + s'`
over points that the fit has not seen, without the weight decay, estimates the error of the fit.
`choose_weight_decay` computes it by cross-validation.  It can judge by the held-out likelihood of the density
in its place, which is what counts for a density: one point near a steep piece decides much less.

The derivative of a piecewise-linear score has two values at a kink.  Here, in `pointwise_loss`, it is their
mean: the derivative of the score smeared out symmetrically, however little.  The training loss counts the
side that lowers it, which is what makes small weight decay fit kinks to single points.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import ArrayLike

from .._progress import Bar
from .._results import result
from .._validation import (
    Activation,
    FloatArray,
    as_activation,
    as_count,
    as_flag,
    as_generator,
    as_sample,
    as_weight_decay,
)
from ..certificates import NotCertifiedError
from .mode_weights import weigh_modes
from .piecewise_linear import PiecewiseLinearScore
from .sample import Sample, as_weights
from .training import score_matching

__all__ = [
    "DensityError",
    "Selection",
    "choose_weight_decay",
    "density_error",
    "pointwise_loss",
    "score_error",
]

Criterion = Literal["score", "likelihood"]

_CRITERIA = get_args(Criterion)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_CELLS = 500
_DOUBT = 1.5  # standard errors that one or two points cannot make; see Selection.cautious
_OUTSIDE = 1e-6  # mass of the truth that the interval of a quadrature may miss


class Law(Protocol):
    """A law on the line with a score and a log-density, such as those of `convexdiff_lib.datasets`."""

    def score(self, x: ArrayLike, /) -> FloatArray: ...

    def log_density(self, x: ArrayLike, /) -> FloatArray: ...


@result
class DensityError:
    r"""How far a fitted density q is from the true density p.

    Parameters
    ----------
    kl : float
        Kullback-Leibler divergence :math:`\int p \log(p/q)`, in nats.
    l2 : float
        :math:`(\int (p - q)^2)^{1/2}` over the interval, in units of one over the square root of a length.
    tv : float
        Total variation :math:`\tfrac12 \int |p - q|`, between 0 and 1.

    Examples
    --------
    >>> DensityError(kl=0.0, l2=0.0, tv=0.0).tv
    0.0
    """

    kl: float
    l2: float
    tv: float


@result
class Selection:
    r"""A weight decay chosen by cross-validation, and the curve from which it was chosen.

    Parameters
    ----------
    betas : array of shape (B,)
        The candidates, increasing, but for those refused.
    held_out : array of shape (B,)
        Mean over the points of what they are judged by, each under the fit that has not seen it: of
        :math:`\tfrac12 s^2 + s'`, or of minus the log-density.
    standard_error : array of shape (B,)
        Of that mean, from the spread of its n terms as if they were independent.
    best : float
        The candidate with the smallest mean.
    cautious : float
        Starting from the largest candidate, a smaller one is taken only if its mean is lower by more than 1.5
        standard errors of the difference.  Where fits are wild, so are the slopes at held-out points, and the
        lowest mean can be the luck of one or two of them.  One such point alone makes a difference of one
        standard error, two make one of 1.41.
    refused : array
        Candidates of which a fit did not pass its certificate, or has no density and is judged by it.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=60)
    >>> chosen = choose_weight_decay(x, [2.0, 8.0, 32.0], rng=np.random.default_rng(1))
    >>> chosen.best, chosen.held_out.shape
    (8.0, (3,))
    """

    betas: FloatArray
    held_out: FloatArray
    standard_error: FloatArray
    best: float
    cautious: float
    refused: FloatArray = field(default_factory=lambda: np.zeros(0))


def pointwise_loss(score: PiecewiseLinearScore, x: ArrayLike) -> FloatArray:
    r"""Return :math:`\tfrac12 s(x_i)^2 + s'(x_i)` at every point, with the mean slope at a kink.

    Parameters
    ----------
    score : PiecewiseLinearScore
    x : array of shape (n,)

    Returns
    -------
    array of shape (n,)

    Examples
    --------
    A score that is level on the left of zero and falls with slope -1 on its right:

    >>> import numpy as np
    >>> s = PiecewiseLinearScore(np.zeros(1), np.zeros(1), 0.0, -1.0)
    >>> pointwise_loss(s, [-2.0, 0.0, 2.0]).tolist()
    [0.0, -0.5, 1.0]
    """
    points = as_sample(x)
    before = score.slopes[np.searchsorted(score.knots, points, side="left")]
    after = score.slopes[np.searchsorted(score.knots, points, side="right")]
    return 0.5 * score(points) ** 2 + 0.5 * (before + after)


def score_error(score: PiecewiseLinearScore, law: Law, interval: tuple[float, float]) -> float:
    r"""Return the root-mean-square error of a score under the truth, by quadrature.

    .. math:: \Big( \int p(x)\, (s(x) - (\log p)'(x))^2 \, dx \Big)^{1/2}

    Parameters
    ----------
    score : PiecewiseLinearScore
    law : Law
        The truth: it has ``score`` and ``log_density``.
    interval : (float, float)
        Where to integrate; all but 1e-6 of the mass of the truth lies there, and no edge of it inside.

    Returns
    -------
    float
        One over a length.

    Raises
    ------
    ValueError
        If the interval misses mass of the truth.

    Examples
    --------
    The zero score against that of the standard normal law, whose mean square is 1:

    >>> import numpy as np
    >>> from convexdiff_lib.datasets import standard_normal
    >>> zero = PiecewiseLinearScore(np.zeros(1), np.zeros(1), 0.0, 0.0)
    >>> round(score_error(zero, standard_normal(), (-9, 9)), 6)
    1.0
    """
    nodes, mass = _weighted_nodes(score, law, interval)
    return float(np.sqrt(np.sum(mass * (score(nodes) - law.score(nodes)) ** 2)))


def density_error(score: PiecewiseLinearScore, law: Law, interval: tuple[float, float]) -> DensityError:
    """Return the distances between the density of a score and the true one, by quadrature.

    Parameters
    ----------
    score : PiecewiseLinearScore
    law : Law
    interval : (float, float)
        As for `score_error`.

    Returns
    -------
    DensityError

    Raises
    ------
    ValueError
        If the score has no density, or the interval misses mass of the truth.

    Examples
    --------
    The law N(0, 4) against N(0, 1): the divergence is log 2 - 3/8.

    >>> import numpy as np
    >>> from convexdiff_lib.datasets import standard_normal
    >>> wide = PiecewiseLinearScore(np.zeros(1), np.zeros(1), -0.25, -0.25)
    >>> error = density_error(wide, standard_normal(), (-9, 9))
    >>> bool(abs(error.kl - (np.log(2) - 0.375)) < 1e-9), round(error.tv, 4)
    (True, 0.3227)
    """
    nodes, mass = _weighted_nodes(score, law, interval)
    lengths = _nodes(score, interval)[1]
    log_q, log_p = score.log_density(nodes), law.log_density(nodes)
    q, p = np.exp(log_q), np.exp(log_p)
    kl = float(np.sum(mass * np.where(mass > 0, log_p - log_q, 0.0)))
    outside = max(0.0, 1.0 - float(np.sum(lengths * q)))  # of the fitted density
    return DensityError(
        kl=kl,
        l2=float(np.sqrt(np.sum(lengths * (p - q) ** 2))),
        tv=0.5 * (float(np.sum(lengths * np.abs(p - q))) + outside),
    )


def _ends(interval: tuple[float, float]) -> tuple[float, float]:
    ends = as_sample(interval, "interval")
    if len(ends) != 2 or not ends[0] < ends[1]:
        raise ValueError(f"interval must be (low, high) with low below high; got {interval}")
    return float(ends[0]), float(ends[1])


def _nodes(score: PiecewiseLinearScore, interval: tuple[float, float]) -> tuple[FloatArray, FloatArray]:
    """Gauss-Legendre nodes and weights on an interval, cut into cells at the kinks."""
    low, high = _ends(interval)
    inside = score.knots[(score.knots > low) & (score.knots < high)]
    edges = np.union1d(np.linspace(low, high, _CELLS + 1), inside)
    half = np.diff(edges)[:, None] / 2
    middle = (edges[:-1] + edges[1:])[:, None] / 2
    return (middle + half * _NODES).ravel(), (half * _WEIGHTS).ravel()


def _weighted_nodes(
    score: PiecewiseLinearScore, law: Law, interval: tuple[float, float]
) -> tuple[FloatArray, FloatArray]:
    """The nodes, and the mass of the truth that each stands for."""
    nodes, lengths = _nodes(score, interval)
    mass = lengths * np.exp(law.log_density(nodes))
    missed = abs(1.0 - float(mass.sum()))
    if not missed <= _OUTSIDE:
        raise ValueError(f"the interval {interval} misses mass of the law, {missed:.2g} in all")
    return nodes, mass


def choose_weight_decay(
    x: ArrayLike,
    betas: ArrayLike,
    *,
    activation: Activation = "relu",
    skip: bool = False,
    folds: int = 5,
    sample_weight: ArrayLike | None = None,
    inward_tails: bool = False,
    criterion: Criterion = "score",
    mode_weights: bool = False,
    rng: np.random.Generator,
    progress: bool = False,
) -> Selection:
    r"""Choose the weight decay by cross-validation, with no knowledge of the truth.

    The points are dealt into folds at random.  The fit on the others is judged on each fold by the mean of
    :math:`\tfrac12 s^2 + s'`: no weight decay, and the mean of the two slopes at a kink (`pointwise_loss`).
    Where the density is what counts, ``criterion="likelihood"`` judges by the mean of minus its logarithm.
    A score that rises at an outer end has no density, and is refused; ``inward_tails`` keeps that from
    happening.

    The training loss is a sum over its points.  A fit on m of the n points therefore uses weight decay
    :math:`\beta\, m/n`, which keeps the price of a kink per point.

    Parameters
    ----------
    x : array of shape (n,)
        The data, in any order; ties allowed.
    betas : array of shape (B,)
        Candidates, for the fit on all n points; in any order.
    activation : {"relu", "abs"}
    skip : bool
    folds : int
        Number of folds, from 2 to n.
    sample_weight : array of shape (n,), optional
        How often each point counts, in the fits and in what they are judged by.
    inward_tails : bool
        Whether no outer slope of a score may be above zero, so that every fit has a density, unless it is
        level.
    criterion : {"score", "likelihood"}
        What fits are judged by.
    mode_weights : bool
        Whether modes apart from each other get their share of the points (`weigh_modes`) before a fit is
        judged.
    rng : numpy.random.Generator
        Deals the points into folds.
    progress : bool
        Whether to show a bar that counts fits, of every candidate on every fold.

    Returns
    -------
    Selection

    Raises
    ------
    ValueError
        If an argument is malformed, or a candidate is below what the smallest fit can take.
    NotCertifiedError
        If of every candidate a fit does not pass its certificate; those of some only are left out.  Where
        all are refused, some for want of a density, it is a ValueError.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=80)
    >>> chosen = choose_weight_decay(x, np.geomspace(2, 60, 6), rng=np.random.default_rng(0))
    >>> round(chosen.best, 1), round(chosen.cautious, 1)
    (15.4, 15.4)
    >>> judged = {"criterion": "likelihood", "inward_tails": True}
    >>> chosen = choose_weight_decay(x, np.geomspace(2, 60, 6), rng=np.random.default_rng(0), **judged)
    >>> round(chosen.best, 1)
    15.4
    """
    sample = as_sample(x)
    candidates = np.unique([as_weight_decay(beta) for beta in as_sample(betas, "betas")])
    n, count = len(sample), as_count(folds, "folds", 2)
    if count > n:
        raise ValueError(f"folds must be at most the number of points, {n}; got {count}")
    weights = np.ones(n) if sample_weight is None else as_weights(sample_weight, sample, "x")
    as_activation(activation)
    as_flag(skip, "skip")
    judge = _Judge(_as_criterion(criterion), as_flag(mode_weights, "mode_weights"))
    owner = as_generator(rng).permutation(np.arange(n) % count)
    losses = np.empty((len(candidates), n))
    with Bar(progress, "choose_weight_decay", "fit", count * len(candidates)) as bar:
        for fold in range(count):
            seen, mine = owner != fold, owner == fold
            _check_fold(sample[seen & (weights > 0)], skip, f"fold {fold + 1} of {count}")
            share = float(weights[seen].sum() / weights.sum())
            _check_candidates(candidates, sample[seen], weights[seen], share, activation, skip)
            for row, beta in bar.over(zip(losses, candidates, strict=True)):
                try:
                    fit = score_matching(
                        sample[seen],
                        beta * share,
                        activation=activation,
                        skip=skip,
                        sample_weight=None if sample_weight is None else weights[seen],
                        inward_tails=inward_tails,
                    )
                    row[mine] = judge(fit.score, sample[seen], weights[seen], sample[mine])
                except (NotCertifiedError, _NoDensityError) as error:
                    refusal, row[:] = error, np.nan  # this candidate is out, the others go on
    refused = np.isnan(losses).any(axis=1)
    if refused.all():
        if isinstance(refusal, NotCertifiedError):
            raise NotCertifiedError(f"no candidate could be certified on all folds; the last: {refusal}")
        raise ValueError(f"no candidate has a density on all folds; the last: {refusal}")
    left_out, candidates, losses = candidates[refused], candidates[~refused], losses[~refused]
    held_out = _mean(losses, weights)
    return Selection(
        candidates,
        held_out,
        _standard_error(losses, weights),
        float(candidates[np.argmin(held_out)]),
        float(candidates[_cautious(losses, weights)]),
        left_out,
    )


class _NoDensityError(Exception):
    """A fit that is to be judged by its density has none."""


@dataclass(frozen=True, eq=False)
class _Judge:
    """Says how good a fit is at points that it has not seen: the lower, the better."""

    criterion: Criterion
    mode_weights: bool

    def __call__(
        self, score: PiecewiseLinearScore, seen: FloatArray, weights: FloatArray, unseen: FloatArray
    ) -> FloatArray:
        if self.criterion == "likelihood" or self.mode_weights:
            if reason := score.why_not_normalisable():
                raise _NoDensityError(f"{reason}; take less weight decay, inward_tails=True, or skip=True")
            if self.mode_weights:
                score = weigh_modes(score, seen, sample_weight=weights).density
        return -score.log_density(unseen) if self.criterion == "likelihood" else pointwise_loss(score, unseen)


def _as_criterion(criterion: str) -> Criterion:
    if not isinstance(criterion, str) or criterion not in _CRITERIA:
        allowed = " or ".join(repr(name) for name in _CRITERIA)
        raise ValueError(f"criterion must be {allowed}; got {criterion!r:.80}")
    return criterion  # type: ignore[return-value]


def _mean(losses: FloatArray, weights: FloatArray) -> FloatArray:
    """Mean over the last axis."""
    return np.asarray(np.average(losses, axis=-1, weights=weights))


def _standard_error(losses: FloatArray, weights: FloatArray) -> FloatArray:
    """Standard error of that mean."""
    n = losses.shape[-1]
    apart = weights * (losses - _mean(losses, weights)[..., None])
    return np.sqrt(np.sum(apart**2, axis=-1) * (n / (n - 1))) / weights.sum()


def _cautious(losses: FloatArray, weights: FloatArray) -> int:
    """Go down from the last row, to one that is better by more than luck."""
    taken = len(losses) - 1
    for lower in range(taken - 1, -1, -1):
        gain = losses[taken] - losses[lower]
        if _mean(gain, weights) > _DOUBT * _standard_error(gain, weights):
            taken = lower
    return taken


def _check_fold(seen: FloatArray, skip: bool, which: str) -> None:
    """Something must be left to fit, and a skip connection needs two points to go through."""
    if not len(seen):
        raise ValueError(f"all points with a sample_weight above 0 are in {which}: fewer folds may do")
    if skip and (seen == seen[0]).all():
        raise ValueError(
            f"a skip connection needs at least two distinct points; without {which} only "
            f"{seen[0]:g} is left, {len(seen)} times: other folds may do, or no skip connection"
        )


def _check_candidates(
    candidates: FloatArray,
    seen: FloatArray,
    weights: FloatArray,
    share: float,
    activation: Activation,
    skip: bool,
) -> None:
    """The smallest candidate, scaled to the fold, must not be below the threshold of what is left."""
    rest = Sample.of(seen, None, weights)
    least = rest.threshold(activation, skip) / share
    if candidates[0] < least:
        raise ValueError(
            f"betas must be at least {least:.6g} here; got {candidates[0]:.6g}: on a fit to {len(seen)} of "
            f"the points it becomes {candidates[0] * share:.6g}, below the threshold of that fit"
        )
