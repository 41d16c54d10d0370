"""Held-out likelihood of exact score matching and of other estimators, on real columns of numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from convexdiff_lib import ScoreMatchingDensity
from convexdiff_lib._validation import FloatArray
from convexdiff_lib.book import stored_results
from experiments import Record, Sweep, digits

SEED, SPLITS, FOLDS, CANDIDATES = 0, 10, 5, 14
SETTINGS = {"seed": SEED, "splits": SPLITS, "folds": FOLDS, "candidates": CANDIDATES}
WIDTHS = np.geomspace(0.02, 1.0, 25)  # of kernels, in standard deviations
BINS = (4, 6, 8, 11, 15, 20, 27, 36, 50)
KNOTS = range(3, 14)

LogDensity = Callable[[FloatArray], FloatArray]


def column(name: str) -> tuple[FloatArray, float]:
    """Return a column, sorted, and the unit to which it is rounded."""
    found = stored_results("real_columns")["columns"][name]
    return np.array(found["values"], dtype=float), found["step"]


def halves(x: FloatArray, step: float, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Undo the rounding, shuffle, split 2:1, and standardise both parts by the first."""
    y = rng.permutation(x + step * rng.uniform(-0.5, 0.5, len(x)))
    train, test = np.split(y, [round(2 * len(y) / 3)])
    return (train - train.mean()) / train.std(), (test - train.mean()) / train.std()


def gaussian(train: FloatArray) -> LogDensity:
    """The fitted Gaussian."""
    return norm(train.mean(), train.std()).logpdf


def mixture(train: FloatArray) -> LogDensity:
    """A Gaussian mixture; the number of parts by BIC."""
    fits = [GaussianMixture(k, n_init=2, random_state=0).fit(train[:, None]) for k in range(1, 7)]
    best = min(fits, key=lambda fit: fit.bic(train[:, None]))
    return lambda x: best.score_samples(x[:, None])


def silverman(train: FloatArray) -> LogDensity:
    """A kernel density, with the rule of thumb for its width."""
    fit = KernelDensity(bandwidth="silverman").fit(train[:, None] / train.std())
    return lambda x: fit.score_samples(x[:, None] / train.std()) - np.log(train.std())


def kernels(train: FloatArray) -> LogDensity:
    """A kernel density whose width is chosen by cross-validated likelihood."""
    judged = np.zeros(len(WIDTHS))
    for mine in np.array_split(np.arange(len(train)), FOLDS):
        squares = (train[mine, None] - np.delete(train, mine)) ** 2
        judged += [_smoothed(squares, width).sum() for width in WIDTHS]
    width = WIDTHS[int(np.argmax(judged))]
    return lambda x: _smoothed((x[:, None] - train) ** 2, width)


def _smoothed(squares: FloatArray, width: float) -> FloatArray:
    """The log-density at points, from their squared distances to all centres."""
    logs = logsumexp(-0.5 * squares / width**2, axis=1)
    return np.asarray(logs - np.log(squares.shape[1] * width * np.sqrt(2 * np.pi)))


def histogram(train: FloatArray) -> LogDensity:
    """A histogram, the number of bins by cross-validated likelihood; see `_bars`."""
    parts = np.array_split(np.arange(len(train)), FOLDS)
    rest = [np.delete(train, part) for part in parts]
    judged = [sum(_bars(r, bins)(train[p]).sum() for r, p in zip(rest, parts, strict=True)) for bins in BINS]
    return _bars(train, BINS[int(np.argmax(judged))])


def _bars(train: FloatArray, bins: int) -> LogDensity:
    """Bins over the range and a tenth more, half a point added to each; one point more is a wide Gaussian."""
    n, room = len(train), 0.1 * np.ptp(train)
    edges = np.linspace(train.min() - room, train.max() + room, bins + 1)
    heights = (np.histogram(train, edges)[0] + 0.5) / ((n + 0.5 * bins) * np.diff(edges))
    padded = np.concatenate([[0.0], heights, [0.0]])

    def logs(x: FloatArray) -> FloatArray:
        inside = padded[np.searchsorted(edges, x, side="right")]
        return np.log((n * inside + norm(train.mean(), 3 * train.std()).pdf(x)) / (n + 1))

    return logs


def splines(train: FloatArray) -> LogDensity:
    """A log-density that is a natural cubic spline with knots at quantiles; their number by AIC."""
    fits = [_spline(train, knots) for knots in KNOTS]
    return min(fits, key=lambda fit: fit[0])[1]


def _spline(train: FloatArray, count: int) -> tuple[float, LogDensity]:
    """Maximum likelihood by Newton's method, on a fine grid; returns AIC, too."""
    knots = np.quantile(train, np.linspace(0.0, 1.0, count))
    curves = CubicSpline(knots, np.eye(count) - 1 / count, bc_type="natural")

    def basis(x: FloatArray) -> FloatArray:
        inside = np.clip(x, knots[0], knots[-1])
        return (curves(inside) + (x - inside)[:, None] * curves(inside, 1)) @ frame

    frame = np.linalg.qr(np.eye(count) - 1 / count)[0][:, :-1]  # constants do not count
    grid = np.linspace(-15.0, 15.0, 6001)
    on_grid, mean = basis(grid), basis(train).mean(axis=0)
    cell = np.log(grid[1] - grid[0])
    tent = -np.abs(grid)  # a density to start from
    weights = np.linalg.lstsq(on_grid - on_grid.mean(axis=0), tent - tent.mean(), rcond=None)[0]

    def value(w: FloatArray) -> float:
        return float(mean @ w - logsumexp(on_grid @ w) - cell)

    for _ in range(100):
        p = np.exp(on_grid @ weights - logsumexp(on_grid @ weights))
        slope = mean - p @ on_grid
        apart = on_grid - p @ on_grid
        step = np.linalg.solve((p[:, None] * apart).T @ apart + 1e-9 * np.eye(count - 1), slope)
        length = 1.0
        while value(weights + length * step) < value(weights) and length > 1e-6:
            length /= 2
        weights = weights + length * step
        if slope @ step < 1e-12:
            break
    level = logsumexp(on_grid @ weights) + cell
    return -2 * len(train) * value(weights) + 2 * (count - 1), lambda x: basis(x) @ weights - level


OTHERS: dict[str, Callable[[FloatArray], LogDensity]] = {
    "Gaussian": gaussian,
    "mixture": mixture,
    "kernel, Silverman": silverman,
    "kernel": kernels,
    "splines": splines,
    "histogram": histogram,
}
OURS: dict[str, Record] = {
    "score": {"criterion": "score"},
    "likelihood": {},
    "weighed": {"mode_weights": True},
}


def compared(name: str, place: int) -> Record:
    """The mean held-out log-likelihood of each estimator on each split, and our weight decays per point."""
    x, step = column(name)
    found: Record = {key: [] for key in (*OTHERS, *OURS)}
    decays: Record = {key: [] for key in OURS}
    pieces: list[int] = []
    for split in range(SPLITS):
        train, test = halves(x, step, np.random.default_rng([SEED, place, split]))
        for key, estimator in OTHERS.items():
            found[key].append(float(estimator(train)(test).mean()))
        for key, options in OURS.items():
            ours = ScoreMatchingDensity(folds=FOLDS, candidates=CANDIDATES, random_state=split, **options)
            ours.fit(train[:, None])
            found[key].append(float(ours.score_samples(test[:, None]).mean()))
            decays[key].append(ours.weight_decay_[0])
        pieces.append(1 + (len(ours.densities_[0].knots) - len(ours.fits_[0].score.knots)) // 3)
    return {
        "n": len(x),
        "held_out": {key: [round(v, 4) for v in values] for key, values in found.items()},
        "weight_decay": {key: digits(values, 3) for key, values in decays.items()},
        "pieces": pieces,
    }


def run(sweep: Sweep) -> Record:
    """Compare on every column."""
    names = list(stored_results("real_columns")["columns"])
    found = sweep(compared, [{"name": name, "place": place} for place, name in enumerate(names)])
    return {**SETTINGS, "columns": dict(zip(names, found, strict=True))}
