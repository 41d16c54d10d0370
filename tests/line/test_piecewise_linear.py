"""Densities of piecewise-linear scores against adaptive quadrature, and samples against those densities."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad
from scipy.special import ndtr
from strategies import checked

from convexdiff_lib._validation import FloatArray
from convexdiff_lib.line import _cells, _strips, piecewise_linear
from convexdiff_lib.line._lookup import Lookup
from convexdiff_lib.line.piecewise_linear import PiecewiseLinearScore


def score(knots: list[float], values: list[float], left: float, right: float) -> PiecewiseLinearScore:
    return PiecewiseLinearScore(np.array(knots), np.array(values), left, right)


CASES = {
    "normal": score([0.0], [0.0], -1.0, -1.0),
    "normal, knots off centre": score([2.0, 2.5, 7.0], [-2.0, -2.5, -7.0], -1.0, -1.0),
    "laplace": score([0.0, 1e-3], [1.0, -1.0], 0.0, 0.0),
    "flat top": score([-2.0, 2.0], [0.0, 0.0], -4.0, -0.5),
    "flat tails": score([-1.0, 0.0, 2.0], [0.7, 0.1, -3.0], 0.0, 0.0),
    "two modes": score([-1.0, 1.0], [-1.5, 1.5], -2.0, -2.0),
    "steep valley": score([-1.0, 1.0], [-30.0, 30.0], -50.0, -50.0),
    "mixed": score([-3.0, -1.0, 0.0, 0.5, 4.0], [1.0, -2.0, -2.0, 3.0, -1.0], -0.3, -5.0),
    "peak far beyond the last knot": score([0.0], [8.0], -1.0, -0.25),
    "peak far before the first knot": score([0.0], [-8.0], -0.25, -1.0),
    "exponential inside": score([0.0, 3.0], [-2.0, -2.0], -1.0, -1.0),
    "one concave cell": score([-0.5, 0.5], [0.5, -0.5], -1e4, -1e4),
    "one convex cell": score([-0.5, 0.5], [-0.5, 0.5], -1e4, -1e4),
    "tiny slope": score([-1.0, 1.0], [1e-5, -1e-5], -1e-9, -1e-3),
}
FAR = score([-1000.0, 0.0, 1000.0], [0.0, 0.0, 0.0], -1.0, -1.0)


def edges(s: PiecewiseLinearScore) -> FloatArray:
    """Points that split the line for quadrature: knots, peaks beyond them, and the ends of the mass."""
    found = [float(s.knots[0]), float(s.knots[-1]), *s.knots.tolist()]
    for side, knot, value, slope in (
        (-1.0, s.knots[0], s.values[0], s.left_slope),
        (1.0, s.knots[-1], s.values[-1], s.right_slope),
    ):
        if slope < 0:
            peak = knot - value / slope
            centre = peak if (peak - knot) * side > 0 else knot
            width = 1 / np.sqrt(-slope)
            found += [centre + side * k * width for k in (0.0, 2.0, 5.0, 9.0, 13.0)]
        else:
            found += [knot + side * k / abs(value) for k in (1.0, 5.0, 20.0, 45.0)]
    return np.unique(found)


def masses(s: PiecewiseLinearScore, points: FloatArray) -> FloatArray:
    """Mass of every interval between the points, by adaptive quadrature of the density."""

    def density(x: float) -> float:
        return float(np.exp(s.log_density(x)))

    return np.array(
        [quad(density, a, b, epsabs=1e-14, epsrel=1e-12, limit=200)[0] for a, b in pairwise(points)]
    )


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("scale", [1.0, 1e-8, 1e8])
def test_density_integrates_to_one(name: str, scale: float) -> None:
    base = CASES[name]
    s = PiecewiseLinearScore(
        base.knots * scale, base.values / scale, base.left_slope / scale**2, base.right_slope / scale**2
    )
    # The tails beyond the last edge hold less than exp(-40); quad works to 1e-12.
    assert abs(masses(s, edges(base) * scale).sum() - 1) <= 1e-10
    where = np.linspace(base.knots[0] - 3, base.knots[-1] + 3, 41)
    moved, exact = s.log_density(where * scale) + np.log(scale), base.log_density(where)
    assert np.max(np.abs(moved - exact)) <= 1e-14 * (1000 + np.abs(exact).max())


def test_normal_law_is_recovered() -> None:
    x = np.linspace(-12, 12, 97)
    for knots in ([0.0], [-3.0, 1.0], [5.0, 6.0], [-40.0, 40.0]):
        for sigma in (1.0, 1e-6, 1e6):
            s = score([k * sigma for k in knots], [-k / sigma for k in knots], -(sigma**-2), -(sigma**-2))
            exact = -(x**2) / 2 - np.log(sigma * np.sqrt(2 * np.pi))
            assert np.max(np.abs(s.log_density(x * sigma) - exact)) <= 1e-11
            assert np.max(np.abs(s(x * sigma) * sigma + x)) <= 1e-12


def test_closed_forms_of_each_kind_of_piece() -> None:
    """A truncated Gaussian, an exponential and an inverted Gaussian between two half-Gaussians."""
    halves = np.log(np.sqrt(2 * np.pi))  # two halves of a normal law
    flat = score([0.0, 3.0], [0.0, 0.0], -1.0, -1.0)
    assert abs(flat.log_normaliser - np.log(np.exp(halves) + 3)) <= 1e-13
    # exp(2u - u^2/2) on the left, exp(-2x) on (0, 3), exp(-6 - 2u - u^2/2) on the right
    falling = score([0.0, 3.0], [-2.0, -2.0], -1.0, -1.0)
    left = np.sqrt(2 * np.pi) * np.exp(2.0) * ndtr(2.0)
    right = np.exp(-6.0) * np.sqrt(2 * np.pi) * np.exp(2.0) * ndtr(-2.0)
    assert abs(falling.log_normaliser - np.log(left + (1 - np.exp(-6)) / 2 + right)) <= 1e-13
    bowl = score([-1.0, 1.0], [-1.0, 1.0], -1.0, -1.0)
    inner = quad(lambda u: np.exp(u * u / 2 - 0.5), -1, 1, epsabs=1e-14)[0]
    outer = 2 * np.sqrt(2 * np.pi) * np.exp(0.5) * ndtr(1.0)
    assert abs(bowl.log_normaliser - np.log(inner + outer)) <= 1e-13


@pytest.mark.parametrize("name", CASES)
def test_score_is_the_derivative_of_the_log_density(name: str) -> None:
    s = CASES[name]
    h = 1e-5
    x = np.linspace(s.knots[0] - 4, s.knots[-1] + 4, 200)
    x = x[np.abs(x[:, None] - s.knots).min(axis=1) > 2 * h]
    numeric = (s.log_density(x + h) - s.log_density(x - h)) / (2 * h)
    # The log-density is quadratic between knots, so only the cancellation, 1e-16 |log p| / h, is left.
    assert np.max(np.abs(numeric - s(x))) <= 1e-15 * (1 + np.abs(s.log_density(x)).max()) / h
    assert np.max(np.abs(s.integral(x) - (s.log_density(x) + s.log_normaliser))) <= 1e-12 * (
        1 + np.abs(s.integral(x)).max()
    )
    assert s.integral(s.knots[0]) == 0.0


def test_far_apart_modes_weigh_equally() -> None:
    """Two half-normals a plateau of 2000 apart; and two modes with a valley of depth 10^6 between them."""
    plateau = np.sqrt(2 * np.pi) + 2000
    assert abs(FAR.log_normaliser - np.log(plateau)) <= 1e-13
    valley = score([-1000.0, -1.0, 1.0, 1000.0], [0.0, -999.0, 999.0, 0.0], -1.0, -1.0)
    assert abs(float(valley.log_density(1000.0)) + np.log(2 * np.sqrt(2 * np.pi))) <= 1e-12
    samples = valley.sample(4000, np.random.default_rng(0))
    assert np.max(np.abs(np.abs(samples) - 1000)) <= 8.0  # eight standard deviations: probability 5e-12
    # A binomial count of 4000 is within 7 standard deviations of its mean but with probability 3e-12.
    assert abs(int((samples > 0).sum()) - 2000) <= 7 * np.sqrt(1000)


def test_values_anywhere() -> None:
    s = CASES["mixed"]
    assert s(s.knots).tolist() == s.values.tolist()
    assert s([-5.0, -2.0, 0.25, 5.0]).tolist() == [1.6, -0.5, 0.5, -6.0]
    assert s.slopes.tolist() == [-0.3, -1.5, 0.0, 10.0, -4 / 3.5, -5.0]
    assert s(np.zeros((2, 3))).shape == s.log_density(np.zeros((2, 3))).shape == (2, 3)


BLOCK = piecewise_linear._BLOCK


@pytest.mark.parametrize("n", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17])
def test_blocks_of_any_size(n: int) -> None:
    """Every point of a long array is evaluated as it is alone."""
    s = CASES["mixed"]
    x = np.random.default_rng(0).uniform(-6, 6, size=n)
    some = np.unique(np.linspace(0, n - 1, 50).astype(int)) if n else []
    for f, tolerance in ((s, 0.0), (s.integral, 0.0), (s.cdf, 1e-15)):  # a sum of many terms in cdf
        whole = f(x)
        assert whole.shape == (n,)
        assert max((abs(float(whole[i] - f(x[i]))) for i in some), default=0.0) <= tolerance
    slopes, anchors, size = s.slopes, np.maximum(np.arange(-1, 5), 0), np.abs(s.values)
    anchors[1:-1] += size[1:] < size[:-1]  # from the end where the score is smaller
    i = (x[:, None] >= s.knots).sum(axis=1)
    np.testing.assert_array_equal(s(x), s.values[anchors[i]] + slopes[i] * (x - s.knots[anchors[i]]))


def test_a_small_score_beside_a_large_one_keeps_its_digits() -> None:
    """On a piece from 1e12 down to 1e-6, next to its end."""
    s = PiecewiseLinearScore(np.array([0.0, 1.0]), np.array([1e12, 1e-6]), 0.0, 0.0)
    x = 1.0 - 1e-13
    assert abs(float(s(x)) - (1e-6 + 1e12 * (1.0 - x))) <= 1e-12  # of 0.1
    assert abs(float(s(1.0)) - 1e-6) <= 1e-21


def test_points_of_any_shape_and_layout() -> None:
    s = CASES["mixed"]
    x = np.random.default_rng(0).uniform(-6, 6, size=(60, 2, 2 * BLOCK // 50))
    before = x.copy()
    for f in (s, s.integral, s.log_density, s.cdf):
        flat = f(x.ravel()).reshape(x.shape)
        for got, wanted in (
            (f(x), flat),
            (f(x[::3, 1, ::-1]), flat[::3, 1, ::-1]),
            (f(x.T), flat.T),
        ):
            np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-15 if f == s.cdf else 0)
        assert f(2.0).shape == ()
        assert f([]).shape == (0,)
        assert f([1, 2]).tolist() == f([1.0, 2.0]).tolist()
    np.testing.assert_array_equal(x, before)
    assert np.isnan(s(np.nan))
    assert s([-np.inf, np.inf]).tolist() == [np.inf, -np.inf]


def test_a_far_origin_loses_no_digits() -> None:
    """Against rational arithmetic: the distance to the knot is exact, so two roundings are left."""
    knots = 1e9 + np.array([0.0, 0.125, 0.5, 3.0])
    s = PiecewiseLinearScore(knots, np.array([0.3, -0.2, 0.7, -5.0]), -2.0, -3.0)
    x = 1e9 + np.random.default_rng(0).uniform(-1, 4, size=500).round(3)
    i = np.searchsorted(knots, x, side="right")
    anchor = np.maximum(i - 1, 0)
    exact = [
        Fraction(s.values[a]) + Fraction(s.slopes[j]) * (Fraction(float(p)) - Fraction(knots[a]))
        for a, j, p in zip(anchor, i, x, strict=True)
    ]
    assert max(abs(float(Fraction(float(y)) - e)) for y, e in zip(s(x), exact, strict=True)) <= 4e-15


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", CASES)
def test_distribution_function_is_the_integral_of_the_density(name: str) -> None:
    s = CASES[name]
    points = edges(s)
    assert np.max(np.abs(np.diff(s.cdf(points)) - masses(s, points))) <= 1e-12
    inside = np.sort(np.concatenate([np.linspace(a, b, 7) for a, b in pairwise(points)]))
    assert np.diff(s.cdf(inside)).min() >= -1e-15
    assert s.cdf(points[0] - 1e9) == 0.0
    assert 1 - 1e-14 <= s.cdf(points[-1] + 1e9) <= 1.0


@pytest.mark.filterwarnings("error")
def test_distribution_function_of_the_normal_law() -> None:
    x = np.linspace(-30, 30, 601)
    for knots in ([0.0], [-3.0, 1.0], [5.0, 6.0], [-40.0, 40.0]):
        s = score(knots, [-k for k in knots], -1.0, -1.0)
        assert np.max(np.abs(s.cdf(x) - ndtr(x))) <= 1e-16 * (1 + np.abs(s.integral(x)).max())


# Sampling


def exact_distribution(s: PiecewiseLinearScore) -> tuple[FloatArray, FloatArray]:
    """A fine grid over the mass and the distribution function on it, by adaptive quadrature."""
    ends = edges(s)
    grid = np.unique(np.concatenate([np.linspace(a, b, 12) for a, b in pairwise(ends)]))
    return grid, np.cumsum(np.concatenate([[0.0], masses(s, grid)]))


@pytest.mark.parametrize("name", [*CASES, "far"])
def test_samples_follow_the_density(name: str) -> None:
    """The Kolmogorov-Smirnov statistic, here on a grid, which makes it no larger.

    It exceeds t with probability at most 2 exp(-2 n t^2) (Dvoretzky, Kiefer, Wolfowitz; Massart), which is
    1e-6 at the bound used.
    """
    s = CASES.get(name, FAR)
    # Drawing from the line above a cell without rejecting moves this distance by 0.008 where one cell is all.
    n = 1_000_000 if name.startswith("one") else 100_000
    samples = np.sort(_cells.draw(s._cells, n, np.random.default_rng(7)))
    grid, exact = exact_distribution(s)
    empirical = np.searchsorted(samples, grid, side="right") / n
    assert np.max(np.abs(empirical - exact)) <= np.sqrt(np.log(2 / 1e-6) / (2 * n))


@st.composite
def scores(draw: st.DrawFn) -> PiecewiseLinearScore:
    """Random scores with normalisable tails, of slopes of both signs and zero."""
    steps = draw(st.lists(st.floats(0.01, 5), max_size=5))
    knots = np.cumsum([draw(st.floats(-10, 10)), *steps])
    values = np.array([draw(st.floats(-5, 5)) for _ in knots])
    left, right = (draw(st.floats(-20, -0.01)) for _ in range(2))
    if draw(st.booleans()):
        values[-1], right = -draw(st.floats(0.1, 5)), 0.0
    return PiecewiseLinearScore(knots, values, left, right)


@pytest.mark.filterwarnings("error")
@checked
@given(s=scores())
def test_every_cell_lies_below_its_line(s: PiecewiseLinearScore) -> None:
    """Rejection is exact only if the line is above the log-density, and fast only if it is close to it."""
    cells = s._cells
    width = np.where(np.isfinite(cells.width), cells.width, 3.0)
    v = width[:, None] * np.linspace(0, 1, 33)
    rise = cells.value[:, None] * v + 0.5 * cells.slope[:, None] * v**2
    above = cells.lift[:, None] + cells.tilt[:, None] * v - rise
    assert above.min() >= -1e-12 * (1 + np.abs(rise).max())
    finite = np.isfinite(cells.width)
    assert above[finite].max(initial=0.0) <= 0.125 + 1e-9  # |slope| width^2 / 8, at the middle or the ends
    assert abs(cells.mass.sum() - 1) <= 1e-14
    start = np.where(cells.facing > 0, cells.start, cells.start - cells.width)
    assert np.isfinite(start).sum() >= len(start) - 1  # only the last cell on the left reaches to infinity
    covered = np.sort(start[np.isfinite(start)])
    reach = np.where(cells.facing > 0, cells.start + cells.width, cells.start)
    # Each cell ends where another begins: the line is covered once.
    tolerance = 1e-12 * (1 + np.abs(covered).max())
    assert np.max(np.abs(np.sort(reach[np.isfinite(reach)]) - covered)) <= tolerance


@checked
@given(s=scores())
def test_random_densities_integrate_to_one(s: PiecewiseLinearScore) -> None:
    assert abs(masses(s, edges(s)).sum() - 1) <= 1e-9


@checked
@given(tilt=st.floats(-50, 50), width=st.floats(1e-6, 50))
def test_truncated_exponential_inverts_its_distribution(tilt: float, width: float) -> None:
    u = np.linspace(0, 1 - 1e-9, 9)
    v = _cells._truncated_exponential(u, np.full(9, tilt), np.full(9, width))
    assert v.min() >= 0
    assert v.max() <= width
    if abs(tilt * width) < 1e-6:
        back = v / width
    else:
        back = (
            np.expm1(tilt * v) / np.expm1(tilt * width)
            if tilt < 0
            else ((np.exp(tilt * (v - width)) - np.exp(-tilt * width)) / -np.expm1(-tilt * width))
        )
    mirrored = 1 - back if tilt > 0 else back  # a rising law is drawn as the mirror image of a falling one
    assert np.max(np.abs(mirrored - u)) <= 1e-6


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_distribution_function_on_a_long_slope(sign: float) -> None:
    """Exponential on a million lengths, rising or falling, between two half-Gaussians."""
    knots = np.sort(sign * np.array([0.0, -1e6]))
    s = PiecewiseLinearScore(knots, np.full(2, sign), -1.0, -1.0)
    d = np.array([0.0, 1e-9, 0.1, 1.0, 30.0])  # distances from the top end of the slope
    beyond = np.sqrt(2 * np.pi) * np.exp(0.5) * ndtr(1.0)  # exp(u - u^2/2) over u > 0
    exact = np.exp(-d) / (1 + beyond)
    got = s.cdf(-d) if sign > 0 else 1 - s.cdf(d)
    assert np.max(np.abs(got - exact)) <= (1e-9 if sign > 0 else 1e-14)


# Many samples


def comb(teeth: int, height: float) -> PiecewiseLinearScore:
    """A normal law with sharp peaks and valleys on it."""
    knots = np.linspace(-3, 3, teeth)
    return PiecewiseLinearScore(knots, height * (-1.0) ** np.arange(teeth) - knots, -1.0, -1.0)


MANY = {
    **CASES,
    "far": FAR,
    "comb": comb(101, 500.0),
    "fine comb": comb(3001, 300.0),
    "deep valley": score([-1000.0, -1.0, 1.0, 1000.0], [0.0, -999.0, 999.0, 0.0], -1.0, -1.0),
    "long exponential": score([0.0, 1e6], [-1.0, -1.0], -1.0, -1.0),
    "needle": score([-1.0, 0.0, 1e-11, 3e-11, 4e-11, 1.0], [1.0, 0.0, 12e11, -12e11, 0.0, -1.0], -1.0, -1.0),
    "far origin": score([1e8 - 1, 1e8 + 1], [1.0, -1.0], -1.0, -1.0),
}


def assert_drawn_from(s: PiecewiseLinearScore, samples: FloatArray) -> None:
    """Kolmogorov's distance, which exceeds the bound with probability 1e-9, and counts in small intervals."""
    n = len(samples)
    samples = np.sort(samples)
    # The position of a draw is rounded where the origin is far away; so is the count there.
    exact = s.cdf(samples)
    rank = np.arange(n)
    rounding = np.spacing(np.abs(samples).max()) * np.exp(s.log_density(samples)).max()
    distance = max(np.max(exact - rank / n), np.max((rank + 1) / n - exact))
    assert distance <= np.sqrt(np.log(2 / 1e-9) / (2 * n)) + rounding
    # A binomial count lies seven deviations off its mean with probability 3e-12.
    counts = np.histogram(exact, bins=200, range=(0, 1))[0]
    assert np.max(np.abs(counts - n / 200)) <= 7 * np.sqrt(n / 200) + n * rounding


@pytest.mark.parametrize("strips", [1 << 13, 100])
@pytest.mark.parametrize("name", MANY)
def test_many_samples_follow_the_density(name: str, strips: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a hundred strips a good part of the draws goes to the gaps and above the rectangles."""
    monkeypatch.setattr(_strips, "_STRIPS", strips)
    s = replace(MANY[name])  # nothing cached
    share = s._strips.mass
    if strips == 100 and share == 0:
        assert "comb" in name
        return
    assert share >= (0.99 if strips > 100 else 0.0)
    assert_drawn_from(s, s._draw_by_strips(200_000, np.random.default_rng(3)))


@pytest.mark.parametrize("name", ["normal", "laplace", "mixed", "steep valley", "one convex cell"])
def test_what_is_above_the_rectangles_and_in_the_gaps(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part against its own law: the density less the rectangles, and the density in the gaps."""
    monkeypatch.setattr(_strips, "_STRIPS", 60)
    s = replace(CASES[name])
    strips, n = s._strips, 200_000
    bound = np.sqrt(np.log(2 / 1e-9) / (2 * n))
    order = np.argsort(strips.left)
    left, right = strips.left[order], (strips.left + strips.width)[order]
    mass = s.cdf(right) - s.cdf(left)
    before = np.concatenate([[0.0], np.cumsum(mass - strips.area)])
    above = np.sort(strips.draw_above(n, s.log_density, np.random.default_rng(0)))
    j = np.searchsorted(left, above, side="right") - 1
    assert (above <= right[j] + 1e-15).all()
    part = s.cdf(above) - s.cdf(left[j]) - strips.area * (above - left[j]) / (right - left)[j]
    assert np.max(np.abs((before[j] + part) / before[-1] - np.arange(n) / n)) <= bound
    gaps = np.sort(_cells.draw(s._gaps, n, np.random.default_rng(1)))
    strip = np.searchsorted(left, gaps, side="right") - 1
    assert ((strip < 0) | (gaps >= right[strip] - 1e-12)).all()
    covered = np.concatenate([[0.0], np.cumsum(mass)])[strip + 1]
    assert np.max(np.abs((s.cdf(gaps) - covered) / (1 - mass.sum()) - np.arange(n) / n)) <= bound
    # The three parts are all there is, each from its own computation.
    gap_mass = np.exp(s._gaps.log_total - s.log_normaliser)
    assert abs(strips.mass + gap_mass + before[-1] - 1) <= 1e-13


@pytest.mark.filterwarnings("error")
@checked
@given(s=scores())
def test_every_rectangle_lies_below_the_density(s: PiecewiseLinearScore) -> None:
    strips = s._strips
    x = strips.left[:, None] + strips.width[:, None] * np.linspace(0, 1, 9)
    density = np.exp(s.log_density(x))
    scale = 1 + 1e-12 * (1 + np.abs(s.integral(x)).max())  # rounding of the log-density
    assert (strips.area / strips.width[:, None] <= density * scale).all()
    assert (density <= strips.high[:, None] * scale).all()
    assert strips.mass >= 0.98
    # Strips and gaps cover what is between the outermost breaks once.
    lefts = np.concatenate([strips.left, strips.gap_left])
    rights = lefts + np.concatenate([strips.width, strips.gap_width])
    order = np.argsort(lefts)
    ends = np.append(lefts[order], s._breaks[-1])
    assert ends[0] == s._breaks[0]
    assert np.max(np.abs(rights[order] - ends[1:])) <= 1e-14 * (1 + np.abs(ends).max())
    masses_above = s.cdf(strips.left + strips.width) - s.cdf(strips.left) - strips.area
    gap_mass = np.exp(s._gaps.log_total - s.log_normaliser)
    assert abs(strips.mass + gap_mass + masses_above.sum() - 1) <= 1e-11


def test_draws_are_uniform_on_equally_likely_rectangles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_strips, "_STRIPS", 60)
    strips, n = replace(CASES["mixed"])._strips, 300_000
    out, rest, numbers = strips.draw(n, np.random.default_rng(0))
    assert abs(len(rest) / n - (1 - strips.mass)) <= 7 * np.sqrt(strips.mass * (1 - strips.mass) / n)
    assert numbers.min() >= strips.mass - 1e-15
    assert numbers.max() < 1 + 1e-15
    drawn = np.delete(out, rest)
    strip = np.searchsorted(strips.left, drawn, side="right") - 1
    each = n * strips.area
    assert np.max(np.abs(np.bincount(strip) - each)) <= 7 * np.sqrt(each)
    place = np.sort((drawn - strips.left[strip]) / strips.width[strip])
    bound = np.sqrt(np.log(2 / 1e-9) / (2 * len(place)))
    assert np.max(np.abs(place - np.arange(len(place)) / len(place))) <= bound


@pytest.mark.parametrize("name", MANY)
@pytest.mark.parametrize("strips", [15, 40, 100])
def test_wide_rectangles_lie_below_the_density(
    name: str, strips: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a strip holds a valley; and what is above is bounded closely enough to be drawn fast."""
    monkeypatch.setattr(_strips, "_STRIPS", strips)
    s = replace(MANY[name])
    laid = s._strips
    x = laid.left[:, None] + laid.width[:, None] * np.linspace(0, 1, 1001)
    density = np.exp(s.log_density(x))
    scale = 1 + 1e-15 * (1 + np.abs(s._log_at_knots).max())
    assert (laid.area / laid.width[:, None] <= density * scale).all()
    assert (density <= laid.high[:, None] * scale).all()
    # Trials of rejection per draw: at most the area of the boxes that hold the density on the strips.
    assert np.sum(laid.high * laid.width) <= 2.0


@pytest.mark.parametrize("n", [0, 1, _strips._BLOCK - 1, _strips._BLOCK, 2 * _strips._BLOCK + 5])
def test_many_samples_in_blocks_of_any_size(n: int) -> None:
    s = CASES["mixed"]
    samples = s._draw_by_strips(n, np.random.default_rng(0))
    assert samples.shape == (n,)
    assert len(np.unique(samples)) == n
    again = s._draw_by_strips(n, np.random.default_rng(0))
    np.testing.assert_array_equal(samples, again)


def test_many_samples_come_from_the_strips_and_few_from_the_cells() -> None:
    s, many = CASES["mixed"], piecewise_linear._MANY

    def start() -> np.random.Generator:
        return np.random.default_rng(5)

    np.testing.assert_array_equal(s.sample(many, start()), s._draw_by_strips(many, start()))
    few = _cells.draw(s._cells, many - 1, start())
    np.testing.assert_array_equal(s.sample(many - 1, start()), few)


def test_a_density_too_rough_for_strips_is_left_to_its_cells() -> None:
    """At 1e8 the law has a handful of floating-point numbers to live on, so that hardly a strip fits."""
    s, many = score([1e8], [0.0], -1e13, -1e13), piecewise_linear._MANY
    assert s._strips.mass < 0.5
    drawn = s.sample(many, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn, _cells.draw(s._cells, many, np.random.default_rng(0)))
    # Seven standard deviations of a mean, and half a rounding.
    assert abs(drawn.mean() - 1e8) <= 7 * 1e13**-0.5 / np.sqrt(many) + np.spacing(1e8)


def test_many_samples_come_in_random_order() -> None:
    samples = FAR._draw_by_strips(300_000, np.random.default_rng(0))
    assert abs(np.corrcoef(samples[1:], samples[:-1])[0, 1]) <= 7 / np.sqrt(300_000)
    halves = samples[:150_000].mean() - samples[150_000:].mean()
    assert abs(halves) <= 7 * samples.std() * np.sqrt(2 / 150_000)


def test_samples_count_and_seed() -> None:
    s = CASES["mixed"]
    for n in (0, 1, 17):
        assert s.sample(n, np.random.default_rng(0)).shape == (n,)
    first, again, other = (s.sample(50, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_samples_come_in_random_order() -> None:
    """Not cell by cell, from the left: the first half is like the second."""
    samples = CASES["two modes"].sample(10_000, np.random.default_rng(0))
    difference = samples[:5000].mean() - samples[5000:].mean()
    # Seven standard deviations of a difference of two means of 5000.
    assert abs(difference) <= 7 * samples.std() * np.sqrt(2 / 5000)


@pytest.mark.parametrize(
    ("s", "side", "why"),
    [
        (score([0.0], [1.0], 0.0, 0.0), "right", "its value 1"),
        (score([0.0], [-1.0], 0.0, 0.0), "left", "its value -1"),
        (score([0.0], [0.0], 0.0, -1.0), "left", "its slope there is 0 and its value 0"),
        (score([0.0], [0.0], -1.0, 0.5), "right", "its slope there is 0.5"),
        (score([0.0, 1.0], [-9.0, 9.0], 1.0, -1.0), "left", "its slope there is 1"),
    ],
)
def test_what_cannot_be_normalised_says_on_which_side(s: PiecewiseLinearScore, side: str, why: str) -> None:
    for use in (
        lambda: s.log_density(0.0),
        lambda: s.cdf(0.0),
        lambda: s.pdf(0.0),
        lambda: s.quantile(0.5),
        lambda: s.sample(1, np.random.default_rng(0)),
        lambda: s.sample(10**6, np.random.default_rng(0)),
        lambda: s.log_normaliser,
    ):
        with pytest.raises(ValueError, match=f"cannot be normalised: .* on the {side}: .*{why}"):
            use()
    assert side in s.why_not_normalisable()
    assert np.isfinite(s(3.0))  # the score itself can always be evaluated


def test_the_ends_of_the_line_and_what_is_no_number() -> None:
    """As `scipy.stats` has it."""
    s, normal = CASES["normal"], stats.norm()
    x = np.array([[-np.inf, np.nan], [0.5, np.inf]])
    for f, g in ((s.cdf, normal.cdf), (s.pdf, normal.pdf), (s.log_density, normal.logpdf)):
        np.testing.assert_allclose(f(x), g(x), rtol=1e-14)
    p = np.array([[0.0, 1.0, np.nan], [-0.1, 1.1, 0.3]])
    np.testing.assert_allclose(s.quantile(p), normal.ppf(p), rtol=1e-14)
    assert np.isnan(s.derivative(np.nan))


@pytest.mark.parametrize("unit", [1e-60, 1e20, 1e60])
def test_the_quantile_knows_no_unit_of_length(unit: float) -> None:
    s = PiecewiseLinearScore(
        np.array([-1.0, 2.0]) * unit, np.array([1.0, -2.0]) / unit, -1 / unit**2, -1 / unit**2
    )
    p = np.array([0.01, 0.25, 0.5, 0.9])
    assert np.max(np.abs(s.quantile(p) / unit - stats.norm.ppf(p))) <= 1e-13  # rounding, and of the score


@pytest.mark.parametrize("name", CASES)
def test_the_quantile_is_the_inverse_of_the_distribution_function(name: str) -> None:
    s = CASES[name]
    p = np.concatenate([10.0 ** -np.arange(1.0, 300, 13), np.linspace(0.001, 0.999, 400)])
    x = s.quantile(p)
    # A rounding of x changes p by as much as the density says.
    rounding = 4e-16 * np.abs(x) * s.pdf(x) / p
    assert np.max(np.abs(s.cdf(x) / p - 1) - 8 * rounding) <= 1e-12
    assert (np.diff(x[np.argsort(p)]) >= 0).all()
    edges = s._cells.ends[0][1:]  # where one cell ends, and the slope may change
    below = np.exp(s._log_below(edges, np.arange(len(edges))))
    assert np.max(np.abs(below - s.cdf(edges))) <= 1e-13
    near_one = 1 - 10.0 ** -np.arange(1.0, 15)
    assert np.max(np.abs(s.cdf(s.quantile(near_one)) - near_one)) <= 1e-15 * (1 + np.abs(x).max())


def test_the_slope_is_the_derivative() -> None:
    s = CASES["mixed"]
    x = np.random.default_rng(0).uniform(-6, 6, size=300)
    x = x[np.abs(x[:, None] - s.knots).min(axis=1) > 1e-3]
    assert np.max(np.abs((s(x + 1e-6) - s(x - 1e-6)) / 2e-6 - s.derivative(x))) <= 1e-7
    assert s.derivative(s.knots).tolist() == s.slopes[1:].tolist()  # on the right of a knot
    assert s.derivative([[s.knots[0] - 1, s.knots[-1] + 1]]).tolist() == [[s.left_slope, s.right_slope]]


def test_what_can_be_normalised_gives_no_reason() -> None:
    assert [name for name, s in CASES.items() if s.why_not_normalisable()] == []


def test_too_rough_a_density_is_refused() -> None:
    rough = score([-1e6, 1e6], [-1e10, 1e10], -1.0, -1.0)
    with pytest.raises(ValueError, match=r"too rough to normalise: it needs .* cells, at most 5000000"):
        rough.log_density(0.0)


@pytest.mark.parametrize("number", [1, 2, 8, 9, 40, 300])
@pytest.mark.parametrize("unit", [1e-310, 1e-8, 1.0, 1e8, 1e300])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_lookup_is_the_binary_search(number: int, unit: float, offset: float) -> None:
    """At knots, right beside them, far away, where they crowd, and at what is not a number."""
    rng = np.random.default_rng(number)
    for knots in (rng.normal(size=number), rng.standard_cauchy(number), np.arange(float(number))):
        knots = np.unique(unit * (knots + offset))
        x = np.concatenate(
            [
                knots,
                np.nextafter(knots, -np.inf),
                np.nextafter(knots, np.inf),
                rng.uniform(knots[0] - unit, knots[-1] + unit, 2000),
                [-1e308, 1e308, 0.0, -0.0],
            ]
        )
        np.testing.assert_array_equal(Lookup(knots).count(x), np.searchsorted(knots, x, side="right"))
    score = PiecewiseLinearScore(np.arange(20.0), np.zeros(20), -1.0, -1.0)
    assert np.isnan(score(np.full(3000, np.nan))).all()
