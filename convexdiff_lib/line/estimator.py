"""A density estimator with the interface of scikit-learn: exact in one variable, a product in more."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from .._optional import needed
from .._validation import Activation, FloatArray, as_count, as_flag, as_positive
from .mode_weights import weigh_modes
from .piecewise_linear import PiecewiseLinearScore
from .sample import Sample
from .selection import Criterion, Selection, choose_weight_decay
from .training import score_matching
from .univariate_score import UnivariateScore

with needed("scikit-learn", "'convexdiff-lib[sklearn]'"):
    from sklearn.base import BaseEstimator, DensityMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["ScoreMatchingDensity"]

_HIGHEST = 0.9  # per point: at a weight decay of one the score without skip connection is zero
_ABOVE = 1.01  # the least candidate, over the least that is sure to do
_FEW = 5  # points of which one is left out at a time


class ScoreMatchingDensity(DensityMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    r"""Estimate a density by optimal score matching, with an interface like that of KernelDensity.

    The score is the global optimum of `score_matching` with tails that do not point outwards.  Its density is
    made of exponentials of quadratics, piece by piece, that join smoothly.  Where pieces end, and how many
    there are, follows from the data and the weight decay.  Several features are taken to be independent, each
    with a density of its own: put a transformation that makes them so, such as PCA, before it in a pipeline.

    Score matching compares scores where data are, and none are between groups far apart: how much mass each
    group has is then not seen, and can be far off.  With ``mode_weights`` each of them has its share of the
    points.

    Parameters
    ----------
    weight_decay : float or "cv"
        Weight decay per point: the ``beta`` of `score_matching` is this times the number of points, or the
        sum of their weights.  With "cv" it is chosen by cross-validation.
    activation : {"relu", "abs"}
    skip : bool
        Whether the network has a skip connection.  With one, much weight decay gives the fitted Gaussian.
    criterion : {"likelihood", "score"}
        For "cv": what fits are judged by, the held-out log-density or Hyvärinen's loss.
    mode_weights : bool
        Whether modes apart from each other get their share of the points, see `weigh_modes`.
    folds, candidates : int
        For "cv": the number of folds, at least 2, and of weight decays that are tried.
    random_state : int, RandomState or None
        Deals the points into folds.
    progress : bool
        Whether "cv" shows a bar that counts fits.

    Attributes
    ----------
    fits_ : list of UnivariateScore
        One for each feature, with its ``certificate``, ``cdf``, ``quantile`` and ``plot``.
    densities_ : list of PiecewiseLinearScore
        The scores whose densities are used: those of the fits, or with the modes weighed.
    weight_decay_ : list of float
        Weight decay per point, one for each feature.
    selections_ : list of Selection or None
        The curves from which they were chosen.
    n_features_in_ : int

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).lognormal(size=300)
    >>> density = ScoreMatchingDensity(random_state=0).fit(x[:, None])
    >>> density.fits_[0].certificate.holds, density.score_samples([[1.0], [2.0]]).shape
    (True, (2,))
    >>> density.sample(5, random_state=0).shape
    (5, 1)
    """

    def __init__(
        self,
        weight_decay: float | Literal["cv"] = "cv",
        *,
        activation: Activation = "relu",
        skip: bool = True,
        criterion: Criterion = "likelihood",
        mode_weights: bool = False,
        folds: int = 5,
        candidates: int = 20,
        random_state: int | np.random.RandomState | None = None,
        progress: bool = False,
    ) -> None:
        self.weight_decay = weight_decay
        self.activation = activation
        self.skip = skip
        self.criterion = criterion
        self.mode_weights = mode_weights
        self.folds = folds
        self.candidates = candidates
        self.random_state = random_state
        self.progress = progress

    def fit(self, X: ArrayLike, y: None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Find the optimal score of every feature.

        Parameters
        ----------
        X : array of shape (n, n_features)
        y : None
            Not used.
        sample_weight : array of shape (n,), optional
            How often each point counts.

        Returns
        -------
        ScoreMatchingDensity
            Itself.

        Raises
        ------
        ValueError
            If X is not finite, or a feature has fewer than two distinct values; if a parameter is malformed,
            or the weight decay below the one from which training has a minimum, or so large that the score
            has no density.
        NotCertifiedError
            If no candidate's answer passes its certificate.
        """
        points = validate_data(self, X, dtype=np.float64)
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
        names = getattr(self, "feature_names_in_", range(points.shape[1]))
        samples = [Sample.of(column, None, sample_weight) for column in points.T]
        found = [
            self._fitted(sample, f"feature {name}", len(points), rng)
            for name, sample in zip(names, samples, strict=True)
        ]
        self.fits_ = [fit for fit, _, _ in found]
        self.densities_ = [self._density(fit, one) for fit, one in zip(self.fits_, samples, strict=True)]
        self.weight_decay_ = [share for _, share, _ in found]
        self.selections_ = [selection for _, _, selection in found]
        return self

    def _fitted(
        self, sample: Sample, name: str, n: int, rng: np.random.Generator
    ) -> tuple[UnivariateScore, float, Selection | None]:
        """Return the fit to one feature, its weight decay per point, and how that was chosen."""
        if len(sample.points) < 2:
            raise ValueError(
                f"a density needs at least two distinct points; with n_samples={n}, {name} has only "
                f"{sample.points[0]:g}"
            )
        selection = None
        if self.weight_decay != "cv":
            share = as_positive(self.weight_decay, "weight_decay")
        elif len(sample.points) < 3:  # none to leave out
            share = max(_HIGHEST, sample.threshold(self.activation, self.skip) / sample.level)
        else:
            selection = self._chosen(sample, rng)
            share = selection.best / sample.level
        fit = score_matching(
            sample.points,
            share * sample.level,
            activation=self.activation,
            skip=self.skip,
            sample_weight=sample.counts,
            inward_tails=True,
        )
        if reason := fit.score.why_not_normalisable():
            raise ValueError(
                f"{name} has no density at a weight decay of {share:.6g} per point: {reason}; "
                "take less, or skip=True"
            )
        return fit, share, selection

    def _density(self, fit: UnivariateScore, sample: Sample) -> PiecewiseLinearScore:
        """Return the score whose density is used."""
        if not as_flag(self.mode_weights, "mode_weights"):
            return fit.score
        return weigh_modes(fit.score, sample.points, sample_weight=sample.counts).density

    def _chosen(self, sample: Sample, rng: np.random.Generator) -> Selection:
        """Choose among weight decays from the least that every fold can take, evenly in their logarithms.

        Points that repeat stay together, so that weights and repetitions come to the same.
        """
        m, total = len(sample.points), sample.level
        folds, number = as_count(self.folds, "folds", 2), as_count(self.candidates, "candidates", 1)
        folds = m if m <= _FEW else min(folds, m)  # leave out one of few, or too little would be left
        # Any point may be at an end of what a fold leaves over, where it counts most: the heaviest, or if
        # that is left out the next one.
        heaviest, out = np.sort(sample.counts)[::-1], -(-m // folds)
        kept = heaviest[0] / (total - heaviest[1 : out + 1].sum())
        gone = heaviest[1] / (total - heaviest[:out].sum())
        turns = 2 if self.activation == "abs" and as_flag(self.skip, "skip") else 1
        least = _ABOVE * turns * float(max(kept, gone)) * total
        return choose_weight_decay(
            sample.points,
            np.geomspace(least, max(_HIGHEST * total, least), number),
            activation=self.activation,
            skip=self.skip,
            folds=folds,
            sample_weight=sample.counts,
            inward_tails=True,
            criterion=self.criterion,
            mode_weights=self.mode_weights,
            rng=rng,
            progress=self.progress,
        )

    def score_samples(self, X: ArrayLike) -> FloatArray:
        """Return the log-density at each point, shape (n,), in nats.

        Parameters
        ----------
        X : array of shape (n, n_features)
        """
        check_is_fitted(self)
        points = validate_data(self, X, dtype=np.float64, reset=False)
        logs = [one.log_density(column) for one, column in zip(self.densities_, points.T, strict=True)]
        return np.sum(logs, axis=0)

    def score(self, X: ArrayLike, y: None = None) -> float:
        """Return the log-likelihood of the points, summed up as KernelDensity does.

        Parameters
        ----------
        X : array of shape (n, n_features)
        y : None
            Not used.
        """
        return float(self.score_samples(X).sum())

    def sample(
        self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> FloatArray:
        """Draw points exactly from the density.

        Parameters
        ----------
        n_samples : int
        random_state : int, RandomState or None

        Returns
        -------
        array of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        rng = np.random.default_rng(check_random_state(random_state).randint(2**31))
        return np.stack([one.sample(n_samples, rng) for one in self.densities_], axis=1)
