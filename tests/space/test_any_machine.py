"""The same certified answer however the data are turned, permuted, scaled, and rounded in their last digits.

What a processor rounds in its own way moves numbers by a part in 1e16.  So does a turn of the data,
on any processor.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from strategies import every_activation

from convexdiff_lib._validation import Activation, FloatArray
from convexdiff_lib.space.arrangements import chamber_signs, enumerate_arrangements
from convexdiff_lib.space.circles import largest_response
from convexdiff_lib.space.directions import largest_response as largest_of_all
from convexdiff_lib.space.gated import critical_weight_decay, gated_denoising, gated_score_matching
from convexdiff_lib.space.group_lasso import solve_group_lasso
from convexdiff_lib.space.planar import planar_critical_weight_decay, planar_denoising, planar_score_matching
from convexdiff_lib.space.wedge import wedge_denoising

TURNS = 2
GAP = 1e-8  # relative tolerance of a certificate; two certified values are at most two of them apart


def normal(seed: int, n: int, d: int = 2) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(n, d))


PLANE = {
    "one point": np.array([[3.0, 4.0]]),
    "two points": np.array([[1.0, 2.0], [-2.0, 0.5]]),
    "three normal": normal(1, 3),
    "five normal": normal(7, 5),
    "cauchy": np.random.default_rng(6).standard_cauchy(size=(4, 2)),
    "opposite": np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]),
    "symmetric": np.vstack([normal(2, 2), -normal(2, 2)]),
    "lattice": np.array([[i, j] for i in (-1.0, 0.0, 1.0) for j in (-1.0, 0.0, 1.0) if i or j]),
    "duplicated": np.repeat(normal(3, 3), 2, axis=0),
    "on one ray": np.outer([1.0, 2.0, 4.0], [1.0, 2.0]),
    "on one line": np.outer([1.0, -2.0, 4.0], [1.0, 2.0]),
    "a zero row": np.array([[0.0, 0.0], [1.0, 2.0], [2.0, -1.0]]),
    "extreme ratios": normal(4, 4) * 10.0 ** np.array([[-8.0], [8.0], [0.0], [3.0]]),
    "offset": 1e6 + normal(5, 4),
}
SPACE = PLANE | {
    "on the line": np.array([[-2.0], [1.0], [0.5]]),
    "both sides": np.array([[1.0], [-1.0]]),
    "fewer points than dimensions": normal(0, 2, 3),
    "rank two in space": np.array([[1.0, 0, 1], [0, 1, 1], [1, 1, 2], [-1, 2, 1]]),
    "space": normal(8, 4, 3),
}


def turned(X: FloatArray, k: int, *, rows: bool = False) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """X turned, permuted, scaled, and off by parts in 1e15; with the turn, the permutation and the scale."""
    n, d = X.shape
    rng = np.random.default_rng([k, n, d])
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    order, unit = rng.permutation(n), 10.0 ** rng.uniform(-3, 3)
    noise = 1 + 1e-15 * rng.uniform(-1, 1, size=(n, 1))
    lengths = 10.0 ** rng.uniform(-8, 8, size=(n, 1)) if rows else 1.0
    return unit * (lengths * noise * X @ turn)[order], turn, order, unit


def overlap(one: tuple[float, float], other: tuple[float, float], share: float = 1e-9) -> bool:
    """Whether two pairs of bounds leave room for one number."""
    room = share * max(one[1], other[1]) + 1e-9
    return one[0] <= other[1] + room and other[0] <= one[1] + room


@every_activation
@pytest.mark.parametrize("name", PLANE)
def test_planar_threshold(name: str, activation: Activation) -> None:
    X = PLANE[name]
    plain = planar_critical_weight_decay(X, activation=activation)
    for k in range(TURNS):
        there = planar_critical_weight_decay(turned(X, k, rows=k % 2 == 1)[0], activation=activation)
        assert there[1] - there[0] <= 1e-6 * there[1] + 1e-9  # the threshold of symmetric points is zero
        # A turn moves a direction by 1e-16, and the points at an offset are 1e-6 apart.
        assert overlap(plain, there, 1e-8 if name == "offset" else 1e-9)


@every_activation
@pytest.mark.parametrize("name", SPACE)
def test_gated_threshold(name: str, activation: Activation) -> None:
    X = SPACE[name]
    patterns = enumerate_arrangements(X, activation=activation).patterns.astype(float)
    plain = critical_weight_decay(X, patterns)
    for k in range(TURNS):
        Y, _, order, _ = turned(X, k, rows=k % 2 == 1)
        there = critical_weight_decay(Y, patterns[:, order])
        assert overlap((plain.lower, plain.value), (there.lower, there.value))
        assert_proved(Y, patterns[:, order], there.W, there.lower)


def assert_proved(X: FloatArray, patterns: FloatArray, W: FloatArray, lower: float) -> None:
    """Blocks that cancel, of nuclear norms one in sum, and the bound that they prove."""
    lengths = np.linalg.norm(X, axis=1, keepdims=True)
    units = X / np.where(lengths > 0, lengths, 1.0)
    total = sum((p[:, None] * units) @ block for p, block in zip(patterns, W, strict=True))
    assert np.abs(total).max() <= 1e-12  # rounding
    size = sum(np.linalg.norm(block, "nuc") for block in W)
    assert abs(size - 1) <= 1e-12 or (size == 0 and lower == 0)
    proved = -sum(p.sum() * np.trace(block) for p, block in zip(patterns, W, strict=True))
    assert lower <= proved + 1e-12 * X.size
    assert proved - lower <= 1e-9 * X.size


def test_only_zero_cancels() -> None:
    """A threshold of zero exactly: every W but zero leaves a sum, and the rounding of zero proves nothing."""
    X = SPACE["on the line"]
    patterns = enumerate_arrangements(X).patterns
    for k in range(10):
        Y, _, order, _ = turned(X, k)
        critical = critical_weight_decay(Y, patterns[:, order])
        assert critical.lower == 0.0
        assert not critical.W.any()
        assert critical.value <= 1e-9


def test_rounds_do_not_go_in_a_circle() -> None:
    """Columns left out while the lower bound stood still came back, for some turns of these three points."""
    for seed in (1, 7):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(2 + seed % 6, 2))
        plain = planar_critical_weight_decay(X)
        for k in range(5):
            assert overlap(plain, planar_critical_weight_decay(turned(X, k)[0]))


def test_nearly_parallel_rows() -> None:
    """At an angle of 1e-9 rounding is a part in 1e7 of what tells the rows apart."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(3, 2))
        X = np.vstack([X, X[:1] + 1e-9 * rng.normal(size=(1, 2))])
        patterns = enumerate_arrangements(X).patterns
        plain = critical_weight_decay(X, patterns)
        lower, upper = planar_critical_weight_decay(X)
        assert upper - lower <= 1e-6 * upper
        assert lower <= plain.value * (1 + 1e-6)
        for k in range(TURNS):
            Y, _, order, _ = turned(X, k)
            there = critical_weight_decay(Y, patterns[:, order])
            assert overlap((plain.lower, plain.value), (there.lower, there.value), 1e-6)


@every_activation
@pytest.mark.parametrize("name", PLANE)
def test_planar_denoising(name: str, activation: Activation) -> None:
    X = PLANE[name]
    L = normal(9, len(X))
    beta = 0.2 * largest_response(X, L, activation=activation)
    plain = planar_denoising(X, L, beta, activation=activation)
    for k in range(TURNS):
        Y, turn, order, unit = turned(X, k)
        size = 10.0 ** (k - 1)
        fit = planar_denoising(Y, size * (L @ turn)[order], beta * unit * size, activation=activation)
        assert abs(fit.value / size**2 - plain.value) <= 2 * GAP * plain.value


# Where lengths or angles differ by eight powers of ten, networks of doubles are too coarse.
COARSE = {"extreme ratios", "offset"}


@every_activation
@pytest.mark.parametrize("name", [name for name in PLANE if name not in COARSE])
def test_planar_score_matching(name: str, activation: Activation) -> None:
    X = PLANE[name]
    decay = max(1.1 * planar_critical_weight_decay(X, activation=activation)[1], 0.01)
    plain = planar_score_matching(X, decay, activation=activation)
    for k in range(TURNS):
        Y, _, _, unit = turned(X, k)
        fit = planar_score_matching(Y, decay, activation=activation)
        assert abs(fit.value * unit**2 - plain.value) <= 2 * GAP * plain.certificate.scale


@every_activation
@pytest.mark.parametrize("name", SPACE)
def test_gated_networks(name: str, activation: Activation) -> None:
    X = SPACE[name]
    d = X.shape[1]
    L = normal(10, len(X), d)
    patterns = enumerate_arrangements(X, activation=activation).patterns.astype(float)
    beta = 0.1 * max(float(np.linalg.norm(X.T @ (p[:, None] * L), 2)) for p in patterns)
    decay = 1.2 * critical_weight_decay(X, patterns).value + 0.1
    if name == "extreme ratios":  # the values at a row hide those at another, 1e16 times as short
        decay = max(decay, 2.0 * X.size)
    plain, matched = gated_denoising(X, L, patterns, beta), gated_score_matching(X, patterns, decay)
    for k in range(TURNS):
        Y, turn, order, unit = turned(X, k)
        size = 10.0 ** (k - 1)
        fit = gated_denoising(Y, size * (L @ turn)[order], patterns[:, order], beta * unit * size)
        assert abs(fit.value / size**2 - plain.value) <= 2 * GAP * plain.value
        again = gated_score_matching(Y, patterns[:, order], decay)
        assert abs(again.value * unit**2 - matched.value) <= 2 * GAP * matched.certificate.scale


FEATURES: dict[str, Callable[[], FloatArray]] = {
    "one feature": lambda: normal(0, 5, 1),
    "plain": lambda: normal(1, 8, 100),
    "few rows": lambda: normal(2, 2, 60),
    "duplicated": lambda: np.repeat(normal(3, 6, 20), 2, axis=1),
    "opposite": lambda: np.hstack([normal(4, 6, 20), -normal(4, 6, 20)]),
    "close": lambda: np.hstack([normal(5, 6, 10), normal(5, 6, 10) + 1e-9 * normal(6, 6, 10)]),
    "rank two": lambda: normal(7, 8, 2) @ normal(8, 2, 50),
    "extreme ratios": lambda: normal(9, 6, 30) * 10.0 ** np.linspace(-8, 0, 30),
}


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("name", FEATURES)
def test_group_lasso(name: str, p: int) -> None:
    K = FEATURES[name]()
    L = normal(11, len(K))
    lam = 0.1 * float(np.abs(K.T @ L).max())
    plain = solve_group_lasso(K, L, lam, p=p)
    for k in range(TURNS):
        Y, _, _, unit = turned(K.T, k)  # features permuted, scaled, and turned together with the targets
        rng = np.random.default_rng([k, *K.T.shape])
        turn = np.linalg.qr(rng.normal(size=(len(K), len(K))))[0]
        fit = solve_group_lasso(Y.T, turn.T @ L, lam * unit, p=p)
        assert abs(fit.certificate.primal - plain.certificate.primal) <= 2 * GAP * plain.certificate.primal


THIN = {
    "decimals": np.array([[0.1, 0.2, 0.7], [0.3, 0.6, 2.1], [1.0, 0.0, 0.0]]),
    "a plane": normal(12, 6, 2) @ normal(13, 2, 3),
    "nearly parallel": np.vstack([normal(14, 3, 3), normal(14, 3, 3)[:1] * 3 + 1e-13]),
}


@pytest.mark.parametrize("name", THIN)
def test_chambers_too_thin_for_a_generator(name: str) -> None:
    """Rows in special position but for rounding: their chambers can be listed, and the optimum certified."""
    X = THIN[name]
    L = normal(15, len(X), 3)
    with pytest.raises(ArithmeticError):
        enumerate_arrangements(X)
    grid = normal(16, 20_000, 3)
    grid /= np.linalg.norm(grid, axis=1, keepdims=True)
    signs = {tuple(row) for row in chamber_signs(X).tolist()}
    assert {tuple(row) for row in np.unique(np.where(X @ grid.T > 0, 1, -1).T, axis=0).tolist()} <= signs
    sampled = np.linalg.norm(np.maximum(grid @ X.T, 0.0) @ L, axis=1).max()
    assert sampled <= largest_of_all(X, L) <= sampled * 1.01  # neighbours on the grid are 0.03 apart
    plain = wedge_denoising(X, L, 0.1, exact=True)
    for k in range(TURNS):
        Y, turn, order, unit = turned(X, k)
        fit = wedge_denoising(Y, (L @ turn)[order], 0.1 * unit, exact=True)
        assert abs(fit.value - plain.value) <= 2 * GAP * plain.value
