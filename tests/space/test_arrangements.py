"""Activation patterns: every chamber once, none too many, each with a vector inside, for any data."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from claims_witness import Evidence
from hypothesis import given
from hypothesis import strategies as st
from strategies import checked

from convexdiff_lib.space import _exact_rows, _rays
from convexdiff_lib.space.arrangements import (
    Arrangements,
    chamber_signs,
    coverage,
    enumerate_arrangements,
    iterate_chambers,
    printed_patterns,
)
from convexdiff_lib.space.chambers import chamber_diameters
from convexdiff_lib.space.counting import count_arrangements, count_bound, count_chambers
from convexdiff_lib.space.cross_products import cross_product
from convexdiff_lib.space.directions import wedge_directions
from convexdiff_lib.space.gated import certify_gated, critical_weight_decay, gated_denoising
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
    seen = evidence("ineq-arrangement-count", "count-over-bound", 1.0, what="patterns / bound").because(
        "the inequality itself"
    )
    one = evidence(
        "ineq-arrangement-count", "one-point-over-bound", at_least=2.0, what="patterns beyond the bound"
    ).because("two patterns, and the bound is zero")
    one.fails(len(enumerate_arrangements([[1.0, 2.0]])) - count_bound(1, 1))
    for n, d in product((2, 3, 5, 10, 30, 100, 1000), (1, 2, 3, 5, 8)):
        if n >= d:
            seen.holds(count_arrangements(n, d) / count_bound(n, d))
    few = evidence(
        "ineq-arrangement-count", "degenerate-count-over-bound", 1.0, what="patterns / bound"
    ).because("the inequality itself")
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


# --- Numbers of any kind, exactly ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "count"),
    [
        ([["0.1", "0.7"], ["0.3", "2.1"]], 2),
        (np.array([["0.1", "0.7"], ["0.3", "2.1"]]), 2),
        ([[Decimal("0.1"), Decimal("0.7")], [Decimal("0.3"), Decimal("2.1")]], 2),
        ([[Fraction(1, 3), 1], [1, 3], ["1/7", "3/7"]], 2),
        (np.array([[Fraction(1, 3), Fraction(1, 7)], [7, 3]], dtype=object), 2),
        ([["0.1", 0.75], ["0.3", 2.25], [0, 1]], 4),
        ([[10**400, 3 * 10**400], [1, 3], [0, 1]], 4),
        ([[2**63 + 1, 1], [2**64 + 2, 2]], 2),
        (["0.1", "-0.3", "0"], 2),
        ([[1e308, 1e308], [1e308, -1e308]], 4),
        ([[5e-324, 0.0], [5e-324, 1e308]], 4),
    ],
)
def test_exact_numbers(X: Any, count: int) -> None:
    found = enumerate_arrangements(X)
    assert len(found) == count_chambers(X) == len(chamber_signs(X)) == count
    assert sum(len(patterns) for patterns, _ in iterate_chambers(X)) == count
    assert len(printed_patterns(X)) >= count
    assert found.merged.tolerance == 0


def test_floats_beside_strings_are_what_they_are() -> None:
    assert len(chamber_signs([["0.1", 0.7], ["0.3", 2.1]])) == 4
    assert len(chamber_signs([["0.1", "0.7"], ["0.3", "2.1"]])) == 2


@pytest.mark.parametrize("bad", [[["0.1", "x"]], [["nan", "1"]], [["1/0", "1"]], [[Decimal("NaN"), 1]]])
def test_strings_that_are_no_numbers(bad: Any) -> None:
    with pytest.raises(ValueError, match=r"^X must "):
        enumerate_arrangements(bad)


def test_ranks_modulo_a_prime_are_never_too_large() -> None:
    """Multiples of the prime vanish modulo it: then fractions decide."""
    p = _exact_rows._PRIME
    for rows in ([[p, 0], [0, 1]], [[p, 1], [1, p]], [[1, 2], [2, 4 + p]], [[1, 2], [2, 4]]):
        whole = np.array(rows, dtype=object)
        rank = 2 if rows[0][0] * rows[1][1] != rows[0][1] * rows[1][0] else 1
        assert len(_exact_rows.modular_rank(whole)) <= rank
        assert len(_exact_rows.independent_columns(whole)) == rank


# --- Up to a tolerance -------------------------------------------------------------------------------


def rounded(seed: int) -> dict[str, tuple[Any, Any]]:
    """Data that are special but for rounding, and their exact counterparts."""
    rng = np.random.default_rng(seed)
    d, n = int(rng.integers(2, 5)), int(rng.integers(3, 8))

    def whole(*shape: int) -> Any:
        return rng.integers(-99, 100, size=shape)

    v, t, base, left, right = whole(1, d), whole(n, 1), whole(n, d), whole(n, 2), whole(2, d)
    small, turn = rng.integers(-2, 3, size=(n, d)), np.linalg.qr(rng.normal(size=(d, d)))[0]
    a, b = base[:1], base[1:2]
    return {
        "a line": ((t / 10) * (v / 100), t * v),
        "multiples of decimals": (
            np.vstack([base / 100, -2 * (base / 100), 3 * (base / 100)]),
            np.vstack([base, -2 * base, 3 * base]),
        ),
        "a product": ((left / 10) @ (right / 10), left @ right),
        "turned integers": (small @ turn, small),
        "sums of decimals": (
            np.vstack([base / 100, a / 100 + b / 100, a / 100 - 3 * (b / 100)]),
            np.vstack([base, a + b, a - 3 * b]),
        ),
        "lengths of many sizes": ((small @ turn) * 10.0 ** rng.integers(-50, 50, size=(n, 1)), small),
    }


@pytest.mark.parametrize("family", rounded(0))
def test_special_but_for_rounding(family: str) -> None:
    refused = 0
    for seed in range(12):
        X, exact = rounded(seed)[family]
        found = enumerate_arrangements(X, tolerance=1e-12)
        assert len(found) == count_chambers(exact)
        assert found.merged.largest_zero <= 1e-12 < found.merged.smallest_other
        assert_inside(X, found.patterns, found.generators)
        walked = [patterns for patterns, _ in iterate_chambers(X, tolerance=1e-12)]
        assert np.unique(np.concatenate(walked), axis=0).tolist() == found.patterns.tolist()
        try:
            enumerate_arrangements(X)
        except ArithmeticError as error:
            refused += "tolerance=1e-12" in str(error)
    assert refused > 0  # this is what the tolerance is for


def assert_inside(X: Any, patterns: Any, generators: Any) -> None:
    """The generators have the patterns, on the rows as they were given; zeros have the pattern 1."""
    lively = np.any(X != 0, axis=1)
    values = (X[lively] / np.abs(X[lively]).max(axis=1, keepdims=True)) @ generators.T
    assert (patterns[:, lively] == (values > 0).T).all()
    assert patterns[:, ~lively].all()


def icosahedron() -> np.ndarray:
    """The fifteen mirrors of the icosahedron, which no rational rows have."""
    golden = (1 + 5**0.5) / 2
    rows = np.eye(3).tolist()
    for one, two in product((1, -1), repeat=2):
        rows += [np.roll([1.0, one * golden, two / golden], k).tolist() for k in range(3)]
    return np.array(rows)


def test_the_icosahedron() -> None:
    found = enumerate_arrangements(icosahedron(), tolerance=1e-12)
    assert len(found) == 120  # the order of its group
    assert_right(icosahedron(), found)
    merged = found.merged
    assert (merged.tolerance, merged.rank, merged.parallel) == (1e-12, 3, ())
    assert (
        merged.crowded == 16
    )  # ten axes of order three and six of order five; two planes meet in the others
    assert merged.largest_zero <= 1e-15  # rounding
    assert merged.smallest_other >= 0.1
    walked = np.concatenate([p for p, _ in iterate_chambers(icosahedron(), tolerance=1e-12)])
    assert np.unique(walked, axis=0).tolist() == found.patterns.tolist()


def test_what_was_merged() -> None:
    X = np.array([[0.1, 0.7, 0.2], [0.0, 0.0, 0.0], [-0.3, -2.1, -0.6], [1.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    merged = enumerate_arrangements(X, tolerance=1e-12).merged
    assert (merged.rank, merged.parallel, merged.crowded) == (2, ((0, 2), (3, 4)), 0)
    exact = enumerate_arrangements(X[1:]).merged
    assert (exact.rank, exact.parallel, exact.smallest_other) == (2, ((2, 3),), 0.0)


@pytest.mark.parametrize("family", DEGENERATE)
def test_a_tolerance_changes_nothing_that_is_clear(family: str) -> None:
    X = np.array(DEGENERATE[family], dtype=float)
    assert enumerate_arrangements(X, tolerance=1e-12).patterns.tolist() == (
        enumerate_arrangements(X).patterns.tolist()
    )


def test_general_position_is_still_that() -> None:
    """With the same rays; far from the origin, too, where all rows of length one are nearly parallel."""
    for offset in (0.0, 1e4):
        X = np.random.default_rng(3).normal(size=(12, 4)) + offset
        exact, near = enumerate_arrangements(X), enumerate_arrangements(X, tolerance=1e-12)
        assert near.patterns.tolist() == exact.patterns.tolist()
        assert len(near) == count_arrangements(12, 4)
        farthest = np.max([np.linalg.norm(exact.rays - ray, axis=1).min() for ray in near.rays])
        assert farthest <= 1e-14 * (1 + offset) ** 2  # rounding, which grows with the offset


@pytest.mark.parametrize(
    "X",
    [
        [[1.0, 0.0], [1.0, 2e-12], [0.0, 1.0]],  # nearly parallel, and not up to the tolerance
        [[1.0, 0.0], [1.0, 0.9e-12], [1.0, 1.8e-12], [0.0, 1.0]],  # each parallel to the next
        [[1.0, 0, 0], [0, 1.0, 0], [1.0, 1.0, 0.9e-12], [1.0, -1.0, 0.9e-12], [0, 0, 1]],  # nearly a plane
    ],
)
def test_what_is_not_clear_is_refused(X: Any) -> None:
    with pytest.raises(ArithmeticError, match="with tolerance 1e-12 it is not clear"):
        enumerate_arrangements(X, tolerance=1e-12)
    assert len(enumerate_arrangements(X, tolerance=1e-9)) > 0


def test_dependencies_are_never_contradictory() -> None:
    """Special rows with noise about as large as the tolerance: two ways to list agree, or one refuses."""
    agreed = refused = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        n, d = int(rng.integers(3, 8)), int(rng.integers(2, 5))
        X = rng.integers(-2, 3, size=(n, d)) + rng.normal(size=(n, d)) * 10.0 ** rng.uniform(-15, -9)
        try:
            found = enumerate_arrangements(X, tolerance=1e-12)
            walked = sum(len(patterns) for patterns, _ in iterate_chambers(X, tolerance=1e-12))
        except ArithmeticError:
            refused += 1
            continue
        assert walked == len(found)
        assert_inside(X, found.patterns, found.generators)
        agreed += 1
    assert agreed >= 50
    assert refused >= 1


@pytest.mark.parametrize("bad", [0, 1, -1e-12, np.nan, "1e-12", True])
def test_bad_tolerances(bad: Any) -> None:
    for call in (enumerate_arrangements, iterate_chambers):
        with pytest.raises(ValueError, match="tolerance must be None, or a number between 0 and 1; got"):
            call(np.eye(2), tolerance=bad)


def test_gated_training_starts_on_such_data() -> None:
    X = np.array([[0.1, 0.2, 0.7], [0.3, 0.6, 2.1], [1.0, 0.0, 0.0]])
    found = enumerate_arrangements(X, tolerance=1e-12)
    fit = gated_denoising(X, np.eye(3), found, 0.1)
    assert fit.certificate.holds
    assert fit.value == gated_denoising(X, np.eye(3), found.patterns, 0.1).value
    assert certify_gated(X, np.eye(3), found, fit.W, fit.Q, 0.1).holds
    assert critical_weight_decay(X, found).value > 0


# --- In blocks ---------------------------------------------------------------------------------------


def joined(blocks: Any) -> tuple[np.ndarray, np.ndarray]:
    patterns, generators = zip(*blocks, strict=True)
    return np.concatenate(patterns), np.concatenate(generators)


@pytest.mark.parametrize("activation", ["relu", "abs"])
@pytest.mark.parametrize("family", DEGENERATE)
def test_blocks_are_the_list_in_another_order(family: str, activation: Any) -> None:
    X = np.array(DEGENERATE[family], dtype=float)
    blocks = list(iterate_chambers(X, activation=activation, block_size=7))
    assert {len(patterns) for patterns, _ in blocks[:-1]} <= {7}
    patterns, generators = joined(blocks)
    expected = enumerate_arrangements(X, activation=activation).patterns
    assert patterns.dtype == expected.dtype
    assert len(patterns) == len(expected)  # none comes twice
    assert np.unique(patterns, axis=0).tolist() == expected.tolist()
    assert_inside(X, patterns > 0, generators)
    assert np.max(np.abs(np.linalg.norm(generators, axis=1) - 1)) <= 1e-15  # rounding


@checked
@given(small)
def test_blocks_of_small_integers(rows: list[list[int]]) -> None:
    patterns, _ = joined(iterate_chambers(rows))
    assert len(patterns) == count_chambers(rows)
    assert np.unique(patterns, axis=0).tolist() == enumerate_arrangements(rows).patterns.tolist()


@pytest.mark.parametrize(("n", "d"), [(1, 1), (3, 5), (40, 2), (25, 3), (14, 5), (9, 7)])
def test_blocks_in_general_position(n: int, d: int) -> None:
    X = np.random.default_rng(0).normal(size=(n, d))
    patterns, generators = joined(iterate_chambers(X))
    assert len(np.unique(patterns, axis=0)) == len(patterns) == count_arrangements(n, d)
    assert_inside(X, patterns, generators)


def peak(call: Callable[[], Any]) -> int:
    """Bytes that a call needs at most."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_blocks_need_no_more_memory_than_allowed() -> None:
    X = np.random.default_rng(0).normal(size=(60, 5))
    blocks = iterate_chambers(X, memory_limit=1e7)
    most = peak(lambda: [next(blocks) for _ in range(5)])
    assert 1e6 <= most <= 1.1e7  # what is found is let go
    with pytest.raises(
        ValueError, match=r"a block of 100,000 chambers of 60 rows in 5 dimensions needs 0\.2 GB"
    ):
        iterate_chambers(X, block_size=100_000, memory_limit=1e7)
    many = np.vstack([np.column_stack([X, np.zeros(60)]), np.eye(6)[5:]])
    with pytest.raises(ValueError, match=r"61 hyperplanes of rank 5 meet in one point, and listing"):
        list(iterate_chambers(many, memory_limit=1e7))
    grid = np.array(list(product(range(-3, 4), repeat=3)), dtype=float)
    with pytest.raises(ValueError, match=r"points more hyperplanes meet than need to, and keeping them"):
        list(iterate_chambers(grid, block_size=2, memory_limit=5e4))


@pytest.mark.parametrize("bad", [0, -1, 1.0, "3", True])
def test_bad_sizes_of_blocks(bad: Any) -> None:
    with pytest.raises(ValueError, match="block_size must be an integer, at least 1; got"):
        iterate_chambers(np.eye(2), block_size=bad)


def test_everything_is_checked_before_the_first_block() -> None:
    for options in ({"progress": "no"}, {"memory_limit": "4GB"}, {"activation": "tanh"}):
        with pytest.raises(ValueError, match="must be"):
            iterate_chambers(np.eye(2), **options)  # type: ignore[arg-type]


# --- What does not fit -------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "d"), [(60, 4), (20, 6), (120, 3), (16, 8)])
def test_the_memory_that_is_refused_is_what_it_takes(n: int, d: int) -> None:
    X = np.random.default_rng(0).normal(size=(n, d))
    said = _rays.memory_needed(n, n, d, d)[1]
    taken = peak(lambda: enumerate_arrangements(X))
    assert abs(taken / said - 1) <= 0.25  # resident memory within 0.1, which is less regular in a test


def test_large_data_are_refused_before_fractions_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(rows: Any) -> Any:
        raise AssertionError("elimination with fractions")

    monkeypatch.setattr(_exact_rows, "_eliminated", slow)
    rng = np.random.default_rng(0)
    deficient = rng.integers(-9, 10, size=(100, 20)) @ rng.integers(-9, 10, size=(20, 50))
    for X in (rng.normal(size=(200, 100)), rng.normal(size=(100, 200)), deficient):
        with pytest.raises(ValueError, match=r"may have .* activation patterns, .*; iterate_chambers"):
            enumerate_arrangements(X)


def test_keys_of_chambers_differ() -> None:
    """Words that differ in their highest bits only, in two places."""
    bits = np.zeros((4, 24), dtype=np.uint8)
    bits[1, [7, 15]] = bits[2, [7, 23]] = bits[3, [15, 23]] = 128
    for one, two in combinations(_rays._hashed(bits).tolist(), 2):
        assert one != two


def test_thin_patterns(evidence: Evidence) -> None:
    """In general position the only pattern of a flat cone is that of u = 0, unless all points see one u."""
    extra = evidence("ours-thin-patterns", "patterns-too-many", 0.0).because("sets")
    full_rank = evidence("rem-full-row-rank", "flat-cones-with-full-row-rank", 0.0).because("sets")
    typical = evidence(
        "rem-full-row-rank",
        "share-of-data-with-a-flat-cone",
        at_least=0.9,
        what="share of data sets with a flat cone",
    ).because("high probability would be a small share")
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
    seen = evidence(
        "rem-full-row-rank", "share-against-wendel", 4.0, what="distance in standard errors"
    ).because("standard errors of a share of 120 data sets; no error at all for n <= d")
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
