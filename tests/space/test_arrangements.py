"""Activation patterns: every chamber once, none too many, each with a vector inside, for any data."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from claims_witness import Evidence
from hypothesis import given
from hypothesis import strategies as st
from strategies import checked

from convexdiff_lib.space.arrangements import (
    Arrangements,
    chamber_signs,
    coverage,
    enumerate_arrangements,
    printed_patterns,
)
from convexdiff_lib.space.chambers import chamber_diameters
from convexdiff_lib.space.counting import count_arrangements, count_bound, count_chambers
from convexdiff_lib.space.cross_products import cross_product
from convexdiff_lib.space.directions import wedge_directions
from convexdiff_lib.space.wedge import wedge_denoising

RNG = np.random.default_rng(0)
GRID = [[i, j, k] for i in range(-1, 2) for j in range(-1, 2) for k in range(-1, 2)]
DEGENERATE = {
    "one point": [[1.0, 2.0]],
    "two points": [[1.0, 0.0], [1.0, 1.0]],
    "opposite": [[1.0, 2.0], [-1.0, -2.0]],
    "repeated": [[1.0, 2.0], [1.0, 2.0], [0.5, 3.0]],
    "zero rows": [[0.0, 0.0], [1.0, 2.0], [0.0, 0.0]],
    "nothing but zeros": [[0.0, 0.0], [0.0, 0.0]],
    "rank one": [[1.0, -1.0, 2.0], [-2.0, 2.0, -4.0]],
    "rank two in four": [[a, b, a + b, a - b] for a, b in [(1, 0), (0, 1), (1, 1), (2, 1), (3, -1)]],
    "cube": GRID,
    "through one line": [[1.0, 0, 0], [0, 1.0, 0], [1.0, 1.0, 0], [1.0, -1.0, 0], [0, 0, 1.0]],
    "twice, scaled": np.vstack([RNG.normal(size=(8, 3)), 3.0 * RNG.integers(-2, 3, size=(8, 3))]),
    "fewer than dimensions": RNG.normal(size=(3, 5)),
    "tiny and huge": RNG.normal(size=(6, 3)) * np.array([[1e-150], [1e150], [1.0], [1e8], [1e-8], [3.0]]),
    "offset": RNG.normal(size=(12, 2)) + 1e6,
}


def test_the_plane_by_hand() -> None:
    patterns, generators = enumerate_arrangements([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert patterns.astype(int).tolist() == [[0, 0, 0], [0, 1, 0], [0, 1, 1], [1, 0, 0], [1, 0, 1], [1, 1, 1]]
    assert np.max(np.abs(np.linalg.norm(generators, axis=1) - 1)) <= 1e-15  # unit vectors, to rounding


def test_the_axes_have_all_eight_patterns() -> None:
    found = enumerate_arrangements(np.eye(3), activation="abs")
    assert found.patterns.tolist() == [list(signs) for signs in product((-1, 1), repeat=3)]
    assert len(found.rays) == 6
    assert np.max(np.abs(found.generators - found.patterns / np.sqrt(3))) <= 1e-15  # rounding


@pytest.mark.parametrize(
    ("n", "d"), [(1, 1), (5, 1), (2, 2), (30, 2), (3, 3), (12, 3), (9, 4), (8, 6), (4, 6)]
)
def test_general_position_has_zaslavskys_number(n: int, d: int) -> None:
    X = np.random.default_rng(n + d).normal(size=(n, d))
    found = enumerate_arrangements(X)
    assert_right(X, found)
    assert len(found) == count_arrangements(n, d) == count_chambers(X)


def test_zaslavskys_number_and_the_rays(evidence: Evidence) -> None:
    number = evidence("ours-arrangement-count", "enumerated-equals-formula", 0.0).because("integers")
    other = evidence("ours-arrangement-count", "deletion-restriction", 0.0).because("integers")
    rays = evidence("ours-chambers-on-rays", "chambers-without-a-ray", 0.0).because("integers")
    inside = evidence("def-arrangements", "generators-of-another-pattern", 0.0).because(
        "signs, with a margin"
    )
    for n, d in [(2, 2), (15, 2), (60, 2), (3, 3), (14, 3), (25, 3), (9, 4), (12, 4), (9, 5)]:
        X = np.random.default_rng(100 * n + d).normal(size=(n, d))
        found = enumerate_arrangements(X)
        number.holds(abs(len(found) - count_arrangements(n, d)))
        if n <= 15:
            other.holds(abs(count_chambers(X) - count_arrangements(n, d)))
        rays.holds(len(found) - len(np.unique(found.touches[:, 0])))
        # A ray of a generic arrangement touches 2^(d - 1) chambers, and is orthogonal to d - 1 rows.
        assert (np.bincount(found.touches[:, 1]) == 2 ** (min(n, d) - 1)).all()
        inside.holds(int((found.patterns != (X @ found.generators.T >= 0).T).sum()))


def test_the_printed_bound(evidence: Evidence) -> None:
    seen = evidence("ineq-arrangement-count", "count-over-bound", 1.0).because("the inequality itself")
    one = evidence("ineq-arrangement-count", "one-point-over-bound", at_least=2.0).because(
        "two patterns, and the bound is zero"
    )
    one.fails(len(enumerate_arrangements([[1.0, 2.0]])) - count_bound(1, 1))
    for n, d in product((2, 3, 5, 10, 30, 100, 1000), (1, 2, 3, 5, 8)):
        if n >= d:
            seen.holds(count_arrangements(n, d) / count_bound(n, d))
    few = evidence("ineq-arrangement-count", "degenerate-count-over-bound", 1.0).because(
        "the inequality itself"
    )
    for X in DEGENERATE.values():
        rows = np.asarray(X, dtype=float)
        rank = np.linalg.matrix_rank(rows / np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-300))
        if len(rows) > rank > 0:
            few.holds(len(enumerate_arrangements(rows)) / count_bound(len(rows), int(rank)))


def assert_right(X: Any, found: Arrangements) -> None:
    rows = np.asarray(X, dtype=float)
    patterns = np.asarray(found.patterns) > 0
    assert len(np.unique(patterns, axis=0)) == len(patterns)
    lively = rows.any(axis=1)
    scaled = rows[lively] / np.abs(rows[lively]).max(axis=1, keepdims=True)
    values = scaled @ found.generators.T
    assert (patterns[:, lively] == (values > 0).T).all()
    assert (np.abs(values) > 1e-15).all()  # inside, not on a wall
    assert patterns[:, ~lively].all()  # 1{0 >= 0} = 1
    # A ray and its opposite touch opposite chambers, as many of them; every chamber has rays that span it.
    chamber, ray = found.touches.T
    count = np.bincount(ray, minlength=len(found.rays))
    for r, touched in zip(found.rays, count, strict=True):
        apart = np.linalg.norm(found.rays + r, axis=1)
        assert apart.min() <= 1e-12  # rounding
        assert count[apart.argmin()] == touched
    if len(found.rays):
        rank = np.linalg.matrix_rank(found.rays)
        assert np.bincount(chamber, minlength=len(found)).min() >= rank


@pytest.mark.parametrize("family", DEGENERATE)
def test_degenerate_data_are_counted_by_another_route(family: str) -> None:
    X = DEGENERATE[family]
    found = enumerate_arrangements(X)
    assert_right(X, found)
    assert len(found) == count_chambers(X)


def test_special_position_that_floating_point_does_not_see() -> None:
    """Sums of rows with thirty digits: determinants vanish exactly, but not in floating point."""
    rng = np.random.default_rng(0)
    base = rng.integers(-(2**40), 2**40, size=(5, 3)).astype(float)
    X = np.vstack([base, base[0] + base[1], base[2] - base[3], base[1] + 2 * base[4]]) / 2**20
    off = [np.linalg.det(X[[0, 1, 5]]), np.linalg.det(X[[2, 3, 6]]), np.linalg.det(X[[1, 4, 7]])]
    assert max(map(abs, off)) > 0  # a naive sign would be wrong
    found = enumerate_arrangements(X)
    assert_right(X, found)
    assert len(found) == count_chambers(X) < count_arrangements(8, 3)


def test_known_counts() -> None:
    """Reflection arrangements: as many chambers as the group has elements."""
    braid = [[int(k == i) - int(k == j) for k in range(4)] for i in range(4) for j in range(i)]
    assert len(enumerate_arrangements(braid)) == 24
    type_b = [row for row in GRID if sum(v != 0 for v in row) in (1, 2)]
    assert len(enumerate_arrangements(type_b)) == 48
    type_d = [row for row in product((-1, 0, 1), repeat=4) if sum(v != 0 for v in row) == 2]
    assert len(enumerate_arrangements(type_d)) == 192


small = st.integers(1, 3).flatmap(
    lambda d: st.lists(st.lists(st.integers(-3, 3), min_size=d, max_size=d), min_size=1, max_size=7)
)


@checked
@given(small)
def test_small_integers(rows: list[list[int]]) -> None:
    found = enumerate_arrangements(rows)
    assert_right(rows, found)
    assert len(found) == count_chambers(rows)
    # Gates from a fine grid know nothing of rays: whatever they find off the walls is listed.
    gates = np.random.default_rng(0).normal(size=(200, len(rows[0])))
    listed = {tuple(p) for p in found.patterns.tolist()}
    assert {tuple(p) for p in (gates @ np.array(rows, dtype=float).T >= 0).tolist()} <= listed


@checked
@given(small, st.lists(st.integers(-60, 60), min_size=7, max_size=7))
def test_scaling_a_row_changes_nothing(rows: list[list[int]], powers: list[int]) -> None:
    X = np.array(rows, dtype=float)
    scaled = X * 2.0 ** np.array(powers[: len(X)])[:, None]  # exact; other factors would bend parallel rows
    patterns = enumerate_arrangements(X).patterns
    assert enumerate_arrangements(scaled).patterns.tolist() == patterns.tolist()
    turned = enumerate_arrangements(-X).patterns
    lively = X.any(axis=1)
    assert turned[:, lively].tolist() == (~patterns[::-1])[:, lively].tolist()


def test_rounded_floats_are_the_fractions_that_they_are() -> None:
    """0.1 + 0.2 is not 0.3: rows that look parallel are not, and thin chambers are found or refused."""
    X = [[1.0, 0.1 + 0.2, 0.0], [1.0, 0.3, 0.0], [0.0, 0.0, 1.0]]
    assert count_chambers(X) == 8
    with pytest.raises(ArithmeticError, match="too thin"):
        enumerate_arrangements([[1.0, 1.0], [1.0, 1.0 + 2**-52], [1.0, 1.0 + 2**-51]])


def test_large_data_are_refused_before_anything_starts() -> None:
    X = np.random.default_rng(0).normal(size=(300, 8))
    with pytest.raises(
        ValueError, match=r"300 rows of rank 8 may have 80,916,293,708,720 activation patterns"
    ):
        enumerate_arrangements(X)
    with pytest.raises(ValueError, match="memory_limit is 1e-06 GB"):
        enumerate_arrangements(np.eye(3), memory_limit=1e3)


@pytest.mark.parametrize("bad", [np.nan, -1, 0, "4GB", True, None])
def test_bad_limits_flags_and_pairs(bad: object) -> None:
    X = np.eye(2)
    for call in (enumerate_arrangements, chamber_signs, wedge_directions):
        with pytest.raises(ValueError, match="memory_limit must be a positive number of bytes; got"):
            call(X, memory_limit=bad)  # type: ignore[operator]
    with pytest.raises(ValueError, match="memory_limit must be a positive number of bytes; got"):
        wedge_denoising(X, X, 0.1, memory_limit=bad)  # type: ignore[arg-type]
    patterns, generators = enumerate_arrangements(X, memory_limit=np.inf)
    with pytest.raises(TypeError, match="what enumerate_arrangements returns; got a tuple"):
        coverage(X, (patterns, generators), 3, np.random.default_rng(0))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"p must be 1 or 2; got 1\.0"):
        wedge_denoising(X, X, 0.1, p=1.0)  # type: ignore[arg-type]
    for rows in ([[np.nan, 1.0]], [[1j, 0]], [[True, False]], [["a", "b"]]):
        with pytest.raises(ValueError, match="rows must hold finite real numbers; got"):
            cross_product(rows)  # type: ignore[arg-type]


def test_thin_patterns(evidence: Evidence) -> None:
    """In general position the only pattern of a flat cone is that of u = 0, unless all points see one u."""
    extra = evidence("ours-thin-patterns", "patterns-too-many", 0.0).because("sets")
    full_rank = evidence("rem-full-row-rank", "flat-cones-with-full-row-rank", 0.0).because("sets")
    typical = evidence("rem-full-row-rank", "share-of-data-with-a-flat-cone", at_least=0.9).because(
        "high probability would be a small share"
    )
    rng = np.random.default_rng(1)
    for n, d in [(1, 2), (2, 2), (2, 3), (3, 3), (4, 6)]:
        X = rng.normal(size=(n, d))
        full_rank.holds(len(printed_patterns(X)) - len(enumerate_arrangements(X)))
    flat = []
    for n, d in [(12, 2), (10, 2), (9, 3)] * 10:
        X = rng.normal(size=(n, d))
        open_ones = {tuple(p) for p in enumerate_arrangements(X).patterns.tolist()}
        thin = {tuple(p) for p in printed_patterns(X).tolist()} - open_ones
        seen_from_one_side = (True,) * n in open_ones
        extra.holds(len(thin - {(True,) * n}) + abs(len(thin) - (not seen_from_one_side)))
        flat.append(bool(thin))
    typical.fails(float(np.mean(flat)))


def test_share_of_data_on_one_side(evidence: Evidence) -> None:
    """Wendel's probability, counted: the share of data whose pattern (1, ..., 1) is that of a chamber."""
    seen = evidence("rem-full-row-rank", "share-against-wendel", 4.0).because(
        "standard errors of a share of 120 data sets; no error at all for n <= d"
    )
    rng = np.random.default_rng(7)
    for n, d in [(2, 2), (3, 2), (4, 2), (6, 2), (6, 3), (4, 5)]:
        chance, draws = count_arrangements(n, d) / 2**n, 120
        hits = [
            enumerate_arrangements(rng.normal(size=(n, d))).patterns.all(axis=1).any() for _ in range(draws)
        ]
        error = max(np.sqrt(chance * (1 - chance) / draws), 1e-12)
        seen.holds(abs(float(np.mean(hits)) - chance) / error)


def test_assumption_on_the_smallest_data(evidence: Evidence) -> None:
    """Points on both sides of zero: K of the pattern (1, 1) is {u : Xu >= 0}, which is a line or a point."""
    seen = evidence("asm-no-flat-cone", "flat-cones-counted", 0.0).because("sets")
    for X, thin in [
        ([[1.0], [-1.0]], 1),  # u = 0
        ([[1.0, 0.0], [-1.0, 0.0]], 1),  # the line u_1 = 0
        ([[1.0, 0.0], [0.0, 1.0]], 0),
        ([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]], 1),  # u = 0
        ([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]], 2),
    ]:
        seen.holds(abs(len(printed_patterns(X)) - len(enumerate_arrangements(X)) - thin))


def test_coverage_of_random_gates() -> None:
    X = np.random.default_rng(0).normal(size=(20, 3))
    found = coverage(X, enumerate_arrangements(X), 5000, np.random.default_rng(1))
    assert (np.diff(found) >= 0).all()
    assert found[0] == 1 / 382
    assert 0.5 <= found[-1] <= 1.0  # seeded
    with pytest.raises(ValueError, match="not among them"):
        coverage(X[::-1], enumerate_arrangements(X), 100, np.random.default_rng(0))


# --- Diameter, cross products ------------------------------------------------------------------------


def test_diameter_of_arcs_and_octants(evidence: Evidence) -> None:
    arcs = evidence("def-chamber-diameter", "arc-by-its-angle", 1e-12).because("rounding")
    for n in (2, 3, 7, 40):
        X = np.random.default_rng(n).normal(size=(n, 2))
        angle = np.sort(np.arctan2(X[:, 1], X[:, 0]) % np.pi)
        widest = np.max(np.diff(np.append(angle, angle[0] + np.pi)))
        lower, upper = chamber_diameters(enumerate_arrangements(X)).largest
        arcs.holds(abs(upper - 2 * np.sin(widest / 2)))
        arcs.holds(upper - lower)
    octants = chamber_diameters(enumerate_arrangements(np.eye(4)))
    assert np.max(np.abs(octants.lower - np.sqrt(2))) <= 1e-15
    assert octants.upper.tolist() == octants.lower.tolist()
    assert chamber_diameters(enumerate_arrangements([[1.0, 0.0]])).largest == (2.0, 2.0)
    assert chamber_diameters(enumerate_arrangements([[1.0], [2.0]])).largest == (0.0, 0.0)


@pytest.mark.parametrize(("n", "d"), [(4, 3), (8, 3), (25, 3), (6, 4), (12, 4)])
def test_diameter_bounds_hold_for_vectors_inside(n: int, d: int) -> None:
    X = np.random.default_rng(n).normal(size=(n, d))
    found = enumerate_arrangements(X)
    bounds = chamber_diameters(found)
    assert (bounds.lower <= bounds.upper).all()
    index = {row.tobytes(): i for i, row in enumerate(found.patterns)}
    gates = np.random.default_rng(0).normal(size=(4000, d))
    gates /= np.linalg.norm(gates, axis=1, keepdims=True)
    place = np.array([index[row.tobytes()] for row in gates @ X.T >= 0])
    for chamber in np.unique(place):
        inside = gates[place == chamber]
        apart = np.sqrt(np.maximum(2 - 2 * inside @ inside.T, 0)).max()
        assert apart <= bounds.upper[chamber] + 1e-7  # a square root of rounding


def test_an_obtuse_chamber_is_wider_than_its_rays() -> None:
    """Two rays at a right angle, both at 120 degrees from the third: the middle of the two is at 135."""
    rays = np.array([[0.0, 0.0, 1.0], [0.0, 0.75**0.5, -0.5], [0.0, 0.0, 0.0]])
    rays[2] = [(2 / 3) ** 0.5, -(0.25 / 0.75**0.5), -0.5]
    assert abs(rays[1] @ rays[2]) <= 1e-15
    found = enumerate_arrangements(np.linalg.inv(rays.T))
    chamber = int(np.flatnonzero(found.patterns.all(axis=1))[0])
    bounds = chamber_diameters(found)
    middle = (rays[1] + rays[2]) / np.linalg.norm(rays[1] + rays[2])
    assert abs(bounds.lower[chamber] - np.linalg.norm(rays[0] - rays[1])) <= 1e-12  # rounding
    assert np.linalg.norm(rays[0] - middle) > bounds.lower[chamber] + 0.1
    assert np.linalg.norm(rays[0] - middle) <= bounds.upper[chamber]


@pytest.mark.parametrize("d", [2, 3, 4, 6])
def test_cross_products(d: int) -> None:
    rng = np.random.default_rng(d)
    rows = rng.integers(-5, 6, size=(50, d - 1, d))
    found = cross_product(rows)
    assert found.dtype == rows.dtype
    assert np.abs(np.einsum("kid,kd->ki", rows, found)).max() <= 0  # integers: exact
    volumes = [round(np.linalg.det((r @ r.T).astype(float))) for r in rows]
    assert (found**2).sum(axis=1).tolist() == volumes  # length is the volume
    x = rng.integers(-5, 6, size=d)
    whole = np.concatenate([np.broadcast_to(x, (50, 1, d)), rows], axis=1)
    assert (found @ x).tolist() == [round(v) for v in np.linalg.det(whole.astype(float))]
    if d > 2:
        swapped = rows.copy()
        swapped[:, [0, 1]] = rows[:, [1, 0]]
        assert (cross_product(swapped) == -found).all()
    if d == 3:
        assert (found == np.cross(rows[:, 0], rows[:, 1])).all()
    assert cross_product(rows.astype(object)).tolist() == found.tolist()


def test_cross_product_of_nothing_and_of_the_wrong_shape() -> None:
    assert cross_product(np.zeros((0, 1))).tolist() == [1.0]
    with pytest.raises(ValueError, match=r"\(\.\.\., d - 1, d\); got \(2, 2\)"):
        cross_product(np.eye(2))
