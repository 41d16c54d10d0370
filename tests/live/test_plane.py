"""The scripts for points in the plane against the library: chambers, wedges, optima, certificates."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zoo import point_sets

from convexdiff_lib import (
    TwoLayerNetwork,
    certify_group_lasso,
    certify_wedge,
    count_chambers,
    enumerate_arrangements,
    wedge_denoising,
)
from convexdiff_lib._validation import FloatArray
from convexdiff_lib.space.arrangements import chamber_signs
from convexdiff_lib.space.directions import largest_response
from convexdiff_lib.space.wedge import wedge_problem

ANSWERS = Path(__file__).with_name("plane_answers.mjs")
MOST = 12  # points that the instruments take
ROUNDING = 1e-12  # of sums of a dozen products
SAME_OPTIMUM = 1e-9  # relative; the page's own gap is below it, and so must be what the library says of it

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def ask(node_js: str) -> Iterator[Ask]:
    """Ask one process of node, a line at a time."""
    command = [node_js, str(ANSWERS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, answered = process.stdin, process.stdout

        def ask(job: str, **question: Any) -> Any:
            given = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in question.items()}
            asked.write(json.dumps({"job": job, **given}) + "\n")
            asked.flush()
            return json.loads(answered.readline())

        yield ask


def _families() -> dict[str, Callable[[np.random.Generator, int], FloatArray]]:
    def normal(rng: np.random.Generator, n: int) -> FloatArray:
        return rng.normal(size=(n, 2))

    def lattice(rng: np.random.Generator, n: int) -> FloatArray:
        return rng.integers(-2, 3, size=(n, 2)).astype(float)

    def grid_of_the_page(rng: np.random.Generator, n: int) -> FloatArray:
        return rng.integers(-40, 41, size=(n, 2)) / 16

    def parallel(rng: np.random.Generator, n: int) -> FloatArray:
        lines = rng.integers(-8, 9, size=(3, 2))
        return (lines[rng.integers(3, size=n)] * rng.choice([1, 2, 3], size=(n, 1))).astype(float)

    def opposite(rng: np.random.Generator, n: int) -> FloatArray:
        some = rng.normal(size=(-(-n // 2), 2))
        return np.concatenate([some, -some])[:n]

    def duplicated(rng: np.random.Generator, n: int) -> FloatArray:
        some = rng.normal(size=(-(-n // 2), 2))
        return np.concatenate([some, some])[:n]

    def on_one_line(rng: np.random.Generator, n: int) -> FloatArray:
        return rng.integers(-9, 10, size=(n, 1)) * np.array([[1.0, 0.5]])

    def beside_zero(rng: np.random.Generator, n: int) -> FloatArray:
        return np.column_stack([rng.normal(size=n), np.ones(n)])

    def with_a_zero(rng: np.random.Generator, n: int) -> FloatArray:
        return rng.normal(size=(n, 2)) * (np.arange(n) > 0)[:, None]

    def decimals(rng: np.random.Generator, n: int) -> FloatArray:  # parallel but for rounding
        return rng.choice([1, 2, 3, 7], size=(n, 1)) * np.array([[0.1, 0.7]])

    def mixed_scales(rng: np.random.Generator, n: int) -> FloatArray:
        return rng.normal(size=(n, 2)) * 10.0 ** rng.integers(-3, 4, size=(n, 1))

    makers = (normal, lattice, grid_of_the_page, parallel, opposite, duplicated, on_one_line, beside_zero,
              with_a_zero, decimals, mixed_scales)  # fmt: skip
    return {maker.__name__: maker for maker in makers}


FAMILIES = _families()


def sets_of_points(each: int = 20, skip: tuple[str, ...] = ()) -> Iterator[tuple[str, FloatArray]]:
    """Structured and random point sets: the zoo in the plane, and members of every family."""
    yield from point_sets(2)
    for name, family in FAMILIES.items():
        for seed in range(0 if name in skip else each):
            rng = np.random.default_rng(seed)
            yield f"{name} {seed}", family(rng, int(rng.integers(1, MOST + 1)))


def tasks(each: int, skip: tuple[str, ...] = ()) -> Iterator[tuple[str, FloatArray, FloatArray, float]]:
    """The same with targets, and a weight decay that is a share of the least one with a zero network."""
    for number, (name, X) in enumerate(sets_of_points(each, skip)):
        rng = np.random.default_rng(number)
        L = rng.normal(size=X.shape) if number % 3 else -X
        most = largest_response(X, L)
        yield name, X, L, float(rng.choice([0.02, 0.1, 0.4, 0.9, 1.5]) * most) or 1.0


def network_of(neurons: list[dict[str, list[float]]]) -> TwoLayerNetwork:
    """The network of the page as one of the library."""
    u, a = (np.array([neuron[key] for neuron in neurons]).reshape(-1, 2) for key in "ua")
    return TwoLayerNetwork(u, np.zeros(len(u)), a.T, np.zeros(2), np.zeros((2, 2)))


def test_chambers_are_those_of_the_library(ask: Ask) -> None:
    tried = 0
    for name, X in sets_of_points():
        page, tried = ask("chambers", points=X), tried + 1
        mine, theirs = page["patterns"], chamber_patterns(X)
        assert len(mine) == count_chambers(X), name
        assert sorted(mine) == theirs, name
        assert page["lines"] == (len(mine) // 2 if X.any() else 0), name
        assert page["formula"] == 2 * len(X), name
        assert page["zeros"] == np.flatnonzero(~X.any(axis=1)).tolist(), name
    assert tried >= 200


def chamber_patterns(X: FloatArray) -> list[list[int]]:
    """Those of the library; decimals that are parallel but for rounding are told apart exactly there, too."""
    try:
        patterns = enumerate_arrangements(X).patterns
    except ArithmeticError:  # no generator in doubles
        patterns = chamber_signs(X) > 0
    return sorted(patterns.astype(int).tolist())


def test_a_direction_inside_has_the_pattern(ask: Ask) -> None:
    for name, X in sets_of_points(skip=("decimals",)):
        page = ask("chambers", points=X)
        values = np.array(page["insides"]) @ X.T
        assert ((values >= 0) == np.array(page["patterns"], dtype=bool)).all(), name


def test_what_is_parallel_is_found_exactly(ask: Ask) -> None:
    assert ask("chambers", points=[[1, 2], [0.5, 1], [-3, -6], [1, 0], [0, 0]])["merged"] == [[0, 1, 2]]
    # Three times a decimal is not parallel to it, but for rounding; the doubles are not.
    assert ask("chambers", points=[[0.1, 0.7], [0.3, 2.1]])["lines"] == 2
    tiny, huge = 2.0**-1040, 2.0**1000
    assert ask("chambers", points=[[tiny, 3 * tiny], [-huge, -3 * huge]])["lines"] == 1
    assert ask("chambers", points=[[1.0, 2.0**-1074], [1.0, 0.0]])["lines"] == 2


@pytest.mark.parametrize("p", [1, 2])
def test_wedge_directions_are_those_of_the_library(ask: Ask, p: int) -> None:
    for name, X in sets_of_points(skip=("decimals",)):
        page = np.array(ask("wedges", points=X, p=p))
        theirs = wedge_problem(X, 0 * X, 1.0, p=p).wedges()
        near = np.abs(page[:, None] - theirs[None]).max(axis=2) <= ROUNDING
        assert near.any(axis=0).all(), name
        assert near.any(axis=1).all(), name
        # Counterclockwise, and each of them once.
        angles = np.arctan2(page[:, 1], page[:, 0]) % (2 * np.pi)
        assert (np.diff(angles) > 0).all(), name


@pytest.mark.parametrize("p", [1, 2])
def test_the_largest_response_is_over_all_directions(ask: Ask, p: int) -> None:
    turns = np.linspace(0, 2 * np.pi, 721)
    directions = np.column_stack([np.cos(turns), np.sin(turns)])
    directions /= np.linalg.norm(directions, ord=p, axis=1, keepdims=True)
    for number, (name, X) in enumerate(sets_of_points()):
        Q = np.random.default_rng(number).normal(size=X.shape)
        found = np.array(ask("peaks", points=X, Q=Q, p=p))
        size = float(np.linalg.norm(X) * np.linalg.norm(Q)) or 1.0
        assert abs(found[:, 2].max() - largest_response(X, Q, p=p)) <= ROUNDING * size, name
        features = np.maximum(X @ directions.T, 0.0).T @ Q
        dense = np.abs(features).max(axis=1) if p == 1 else np.linalg.norm(features, axis=1)
        assert dense.max() <= found[:, 2].max() + ROUNDING * size, name
        page = np.array(ask("response", points=X, Q=Q, p=p, directions=directions))
        assert np.abs(page - dense).max() <= ROUNDING * size, name


@pytest.mark.parametrize("p", [1, 2])
def test_the_optimum_is_that_of_the_library(ask: Ask, p: int) -> None:
    tried = 0
    for name, X, L, lam in tasks(20):
        fit, tried = ask("train", points=X, targets=L, **{"lambda": lam}, options={"p": p}), tried + 1
        page = fit["certificate"]
        assert page["holds"], name
        theirs = certify_wedge(X, L, network_of(fit["network"]), fit["Q"], lam, p=p)
        assert theirs.relative_gap <= SAME_OPTIMUM, name
        scale = max(page["primal"], 1e-300)
        assert abs(theirs.primal - page["primal"]) <= ROUNDING * scale, name
        assert abs(theirs.dual - page["dual"]) <= 1e-11 * scale, name  # a dozen angles, each with rounding
        if not tried % (4 * p):  # the solver of the library, to its own gap
            own = wedge_denoising(X, L, lam, p=p, exact=True)
            gap = max(own.value - own.certificate.dual, 0.0)
            assert abs(own.value - page["primal"]) <= gap + SAME_OPTIMUM * scale, name
    assert tried >= 200


def test_with_wedge_directions_only_it_is_a_group_lasso(ask: Ask) -> None:
    for name, X, L, lam in tasks(6, skip=("decimals",)):  # the library takes those as parallel here
        fit = ask("train", points=X, targets=L, **{"lambda": lam}, options={"p": 2, "all": False})
        K = np.maximum(X @ wedge_problem(X, L, lam).wedges().T, 0.0)
        net = network_of(fit["network"])
        used = np.maximum(X @ np.array([n["direction"] for n in fit["network"]]).reshape(-1, 2).T, 0.0)
        Z = (np.linalg.norm(net.W1, axis=1) * net.W2).T
        features, coefficients = np.hstack([K, used]), np.vstack([np.zeros((K.shape[1], 2)), Z])
        theirs = certify_group_lasso(features, L, coefficients, fit["Q"], lam)
        assert theirs.relative_gap <= SAME_OPTIMUM, name
        page = fit["certificate"]
        assert abs(page["primal"] - 2 * theirs.primal) <= ROUNDING * page["primal"] + 1e-300, name
        assert page["dual"] <= page["primal"] * (1 + ROUNDING), name


@pytest.mark.parametrize("p", [1, 2])
def test_no_claim_gets_better_bounds_than_the_optimum(ask: Ask, p: int) -> None:
    rejected = 0
    for number, (name, X, L, lam) in enumerate(tasks(3, skip=("decimals",))):
        question = {"points": X, "targets": L, "lambda": lam}
        fit = ask("train", **question, options={"p": p})
        best, network, Q = fit["certificate"], fit["network"], np.array(fit["Q"])
        rng = np.random.default_rng(number)
        bent = [{**n, "a": [1.01 * v for v in n["a"]]} for n in network]
        turned = [{**n, "u": [n["u"][0] + 0.01 * n["u"][1], n["u"][1] - 0.01 * n["u"][0]]} for n in network]
        noisy = Q + 0.01 * np.abs(Q).max() * rng.normal(size=Q.shape)
        claims = [(claimed, Q) for claimed in (bent, turned, network[1:])]
        claims += [(network, dual) for dual in (0.99 * Q, 1.01 * Q, noisy, 0 * Q)]
        for claimed, dual in claims:
            found = ask("certify", **question, p=p, network=claimed, Q=dual)
            slack = 2 * SAME_OPTIMUM * best["primal"]
            assert found["primal"] >= best["dual"] - slack, name
            assert found["dual"] <= best["primal"] + slack, name
            apart = found["primal"] - found["dual"] > SAME_OPTIMUM * max(found["primal"], found["dual"])
            assert found["holds"] != apart, name
            rejected += not found["holds"]
    assert rejected >= 150  # of some 300; the others change nothing, as where the network is zero


def test_the_certificate_refuses_what_misses_a_direction(ask: Ask) -> None:
    rng = np.random.default_rng(1)
    X, L = rng.normal(size=(6, 2)), rng.normal(size=(6, 2))
    question = {"points": X, "targets": L, "lambda": 0.3}
    wedges = ask("train", **question, options={"p": 2, "all": False})
    exact = ask("train", **question, options={"p": 2})
    assert not wedges["certificate"]["holds"]
    assert exact["certificate"]["holds"]
    assert wedges["certificate"]["primal"] > exact["certificate"]["primal"] * (1 + 1e-6)
    # The optimum of other data, and of another weight decay, is none.
    for other in ({"lambda": 0.31}, {"targets": L + 0.01}, {"points": 1.01 * X}, {"p": 1}):
        asked = {**question, "p": 2, **other}
        assert not ask("certify", **asked, network=exact["network"], Q=exact["Q"])["holds"]


def test_what_is_no_number_certifies_nothing(ask: Ask) -> None:
    """Neither a weight that is none, nor products that are too large: infinity less infinity is none."""
    unit = [[1, 0], [0, 1]]
    asked = {"points": unit, "targets": unit, "lambda": 1, "p": 2, "Q": unit}
    assert not ask("certify", **asked, network=[{"u": [None, "x"], "a": [1, 1]}])["holds"]
    far, large = [[1e300, 0], [1.5e300, 1e298]], [[1e10, 0], [-1e10, 0]]
    asked = {"points": far, "targets": large, "lambda": 1, "p": 2, "Q": large}
    assert not ask("certify", **asked, network=[])["holds"]


@pytest.mark.parametrize("size", [1e-200, 1e-170, 1e160])
def test_responses_grow_with_the_points_whatever_their_size(ask: Ask, size: float) -> None:
    """So that no direction between two others is missed where squares vanish or overflow."""
    X, Q = np.array([[1.0, 0.0], [1.0, 1.0]]), [[1.0, 0.0], [-0.3, 1.0]]
    usual, scaled = (np.array(ask("peaks", points=c * X, Q=Q, p=2))[:, 2] for c in (1.0, size))
    assert np.abs(scaled / size - usual).max() <= ROUNDING


def test_one_point_by_hand(ask: Ask) -> None:
    lam = 0.3
    fit = ask("train", points=[[1, 0]], targets=[[1, 0]], **{"lambda": lam}, options={"p": 1})
    assert abs(fit["certificate"]["primal"] - (2 * lam - lam**2)) <= ROUNDING
    assert [neuron["direction"] for neuron in fit["network"]] == [[1, 0]]


def test_bad_input_is_refused_with_a_reason(ask: Ask) -> None:
    good = {"points": [[1, 2]], "targets": [[1, 0]], "lambda": 1.0, "p": 1, "network": [], "Q": [[0, 0]]}
    for change, words in (
        ({"points": []}, "at least one pair"),
        ({"points": [[1, 2, 3]]}, "two finite numbers"),
        ({"points": [[1, None]]}, "points: entry 1"),
        ({"targets": [[1, 0], [0, 1]]}, "as many as points"),
        ({"Q": [[1, "0"]]}, "Q: entry 1"),
        ({"lambda": 0}, "lambda must be positive"),
        ({"p": 3}, "p must be 1 or 2"),
    ):
        assert words in ask("certify", **{**good, **change})["error"]
