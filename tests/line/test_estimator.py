"""The density estimator: scikit-learn's own checks, and its place beside scikit-learn's estimators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import gamma
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from convexdiff_lib import ScoreMatchingDensity, choose_weight_decay, score_matching, weigh_modes

X = np.random.default_rng(0).lognormal(size=120)[:, None]


@parametrize_with_checks(
    [
        ScoreMatchingDensity(),
        ScoreMatchingDensity(weight_decay=3.0),
        ScoreMatchingDensity(activation="abs", candidates=4),
        ScoreMatchingDensity(skip=False, candidates=4),
        ScoreMatchingDensity(criterion="score", mode_weights=True, candidates=4),
    ]
)
def test_what_scikit_learn_asks(estimator: Any, check: Any) -> None:
    assert check(estimator) is None  # it raises what is wrong


def test_it_is_the_exact_fit_with_a_density() -> None:
    density = ScoreMatchingDensity(weight_decay=0.1).fit(X)
    fit = score_matching(X[:, 0], 0.1 * len(X), skip=True, inward_tails=True)
    places = np.linspace(0.1, 9.0, 50)
    # The same problem, from points that are sorted and counted beforehand.
    np.testing.assert_allclose(density.score_samples(places[:, None]), fit.log_density(places), rtol=1e-9)
    assert density.score(X) == density.score_samples(X).sum()
    assert density.fits_[0].certificate.holds
    assert density.sample(7, random_state=1).shape == (7, 1)
    assert (density.sample(7, random_state=1) == density.sample(7, random_state=1)).all()


def test_features_are_independent() -> None:
    both = np.random.default_rng(1).normal(size=(60, 2)) @ np.diag([1.0, 5.0])
    product = ScoreMatchingDensity(weight_decay=0.3).fit(both)
    alone = [ScoreMatchingDensity(weight_decay=0.3).fit(both[:, [k]]) for k in range(2)]
    expected = sum(one.score_samples(both[:, [k]]) for k, one in enumerate(alone))
    np.testing.assert_allclose(product.score_samples(both), expected, rtol=1e-12)
    assert product.sample(4, random_state=0).shape == (4, 2)


def test_beside_others_in_a_pipeline_and_a_grid_search() -> None:
    for density in (ScoreMatchingDensity(random_state=0), KernelDensity(), GaussianMixture(random_state=0)):
        pipeline = make_pipeline(StandardScaler(), density)
        assert np.isfinite(pipeline.fit(X).score_samples(X)).all()
    search = GridSearchCV(ScoreMatchingDensity(), {"weight_decay": [0.02, 0.1, 0.5]}, cv=3)
    search.fit(X)
    assert search.best_params_["weight_decay"] in (0.02, 0.1, 0.5)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()  # every fit has a density
    whitened = make_pipeline(PCA(whiten=True), ScoreMatchingDensity(weight_decay=0.2))
    assert np.isfinite(whitened.fit(np.hstack([X, X[::-1] + X])).score(np.hstack([X, X[::-1] + X])))


def test_cross_validation_takes_the_shape_of_the_law() -> None:
    """Nearer to the truth, in Kullback-Leibler divergence, than the fitted Gaussian."""
    rng = np.random.default_rng(0)
    train, test = rng.gamma(3.0, size=400)[:, None], rng.gamma(3.0, size=4000)[:, None]
    truth = gamma(3.0).logpdf(test[:, 0]).mean()
    ours = ScoreMatchingDensity(random_state=0).fit(train).score_samples(test).mean()
    gaussian = GaussianMixture(1).fit(train).score_samples(test).mean()
    assert truth - ours < 0.5 * (truth - gaussian)


def test_criterion_and_mode_weights() -> None:
    rng = np.random.default_rng(2)
    x = np.append(rng.normal(size=120), rng.normal(30.0, 1.0, 60))
    fitted = {
        (criterion, weights): ScoreMatchingDensity(
            criterion=criterion, mode_weights=weights, random_state=0, candidates=8
        ).fit(x[:, None])
        for criterion in ("score", "likelihood")
        for weights in (False, True)
    }
    for (criterion, weights), density in fitted.items():
        fit, used = density.fits_[0], density.densities_[0]
        assert used == (weigh_modes(fit.score, x).density if weights else fit.score)
        np.testing.assert_array_equal(density.score_samples(x[:, None]), used.log_density(x))
        if weights:
            assert abs(used.cdf(15.0) - 2 / 3) <= 1e-3  # hardly any mass in the gap
            assert (
                abs(np.mean(density.sample(9000, random_state=0) < 15) - 2 / 3) <= 0.03
            )  # six standard errors
        chosen = density.selections_[0]
        again = choose_weight_decay(
            np.unique(x), chosen.betas, skip=True, criterion=criterion, mode_weights=weights,
            inward_tails=True,
            rng=np.random.default_rng(np.random.RandomState(0).randint(2**31)),
        )  # fmt: skip
        assert again.best == chosen.best
    assert ScoreMatchingDensity().criterion == "likelihood"
    with pytest.raises(ValueError, match="criterion must be 'score' or 'likelihood'; got 'best'"):
        ScoreMatchingDensity(criterion="best").fit(X)
    with pytest.raises(ValueError, match="mode_weights must be True or False; got 'yes'"):
        ScoreMatchingDensity(mode_weights="yes").fit(X)
    counts = rng.integers(1, 4, len(x))
    weighed = ScoreMatchingDensity(0.1, mode_weights=True).fit(x[:, None], sample_weight=counts)
    assert abs(weighed.densities_[0].cdf(15.0) - counts[:120].sum() / counts.sum()) <= 1e-3


def test_ties_few_points_and_errors() -> None:
    tied = ScoreMatchingDensity(random_state=0).fit(np.repeat([0.0, 1.0, 3.0, 4.0], [1, 5, 2, 1])[:, None])
    assert tied.fits_[0].certificate.holds
    assert ScoreMatchingDensity().fit([[0.0], [1.0]]).selections_ == [None]
    assert ScoreMatchingDensity().fit([[0.0], [1.0], [4.0]]).weight_decay_[0] > 0
    with pytest.raises(ValueError, match=r"feature 1 has only 2\b"):
        ScoreMatchingDensity().fit([[0.0, 2.0], [1.0, 2.0]])
    pandas = pytest.importorskip("pandas")  # seaborn brings it along
    with pytest.raises(ValueError, match=r"feature weight has only 2\b"):
        ScoreMatchingDensity().fit(pandas.DataFrame({"height": [0.0, 1.0], "weight": [2.0, 2.0]}))
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        ScoreMatchingDensity().fit(X[:, 0])
    for wrong in (-1.0, "best", True, np.nan):
        with pytest.raises(ValueError, match="weight_decay must be"):
            ScoreMatchingDensity(weight_decay=wrong).fit(X)
    with pytest.raises(ValueError, match="feature 0 has no density"):
        ScoreMatchingDensity(1.5, skip=False).fit(X)
    zeros = np.append(np.zeros(60), X[:40, 0])[:, None]  # most of the mass at one place
    assert 0.6 < ScoreMatchingDensity(skip=False, random_state=0).fit(zeros).weight_decay_[0] < 0.9
    with pytest.raises(ValueError, match="folds"):
        ScoreMatchingDensity(folds=1).fit(X)
