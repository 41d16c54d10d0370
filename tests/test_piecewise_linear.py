"""Densities of piecewise-linear scores against adaptive quadrature, and samples against those densities."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import ndtr
from strategies import checked

from convexdiff_lib import piecewise_linear
from convexdiff_lib._validation import FloatArray
from convexdiff_lib.piecewise_linear import PiecewiseLinearScore


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
    samples = np.sort(s.sample(n, np.random.default_rng(7)))
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
    v = piecewise_linear._truncated_exponential(u, np.full(9, tilt), np.full(9, width))
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
        lambda: s.sample(1, np.random.default_rng(0)),
        lambda: s.log_normaliser,
    ):
        with pytest.raises(ValueError, match=f"cannot be normalised: .* on the {side}: .*{why}"):
            use()
    assert side in s.why_not_normalisable()
    assert np.isfinite(s(3.0))  # the score itself can always be evaluated


def test_what_can_be_normalised_gives_no_reason() -> None:
    assert [name for name, s in CASES.items() if s.why_not_normalisable()] == []


def test_too_rough_a_density_is_refused() -> None:
    rough = score([-1e6, 1e6], [-1e10, 1e10], -1.0, -1.0)
    with pytest.raises(ValueError, match=r"too rough to normalise: it needs .* cells, at most 5000000"):
        rough.log_density(0.0)
