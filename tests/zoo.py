"""The zoo: structured data, each with a name, on which a hypothesis that is missing shows.

Random data are in general position with probability one, so that they never meet the exception that a
theorem forgot. Here is one member of every kind of exception: repeated points, symmetry, points on one line,
lattices, extreme ratios. Small on purpose, so that every statement of the book can be tried on all of them.
Random families, and the strategies that draw from them, are in ``strategies.py``.

A test asks for the members that meet the hypotheses of its statement, and names the member that fails:

    for name, x in samples(distinct=2):
        seen.holds(residual(x), on=name)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import product

import numpy as np

from convexdiff_lib._validation import FloatArray

LINE: dict[str, list[float]] = {
    "one point": [0.5],
    "two points": [-1.0, 2.0],
    "three points": [0.0, 2.0, 3.0],
    "symmetric": [-3.0, -1.0, 1.0, 3.0],
    "symmetric with centre": [-2.0, -1.0, 0.0, 1.0, 2.0],
    "equally spaced": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
    "lattice, ends apart": [-8.0, -2.0, -1.0, 0.0, 1.0, 2.0, 8.0],
    "geometric": [1.0, 2.0, 4.0, 8.0, 16.0, 32.0],
    "clusters": [-10.0, -9.99, -9.98, 9.98, 9.99, 10.0],
    "outlier": [0.0, 1.0, 2.0, 3.0, 1000.0],
    "gaps of extreme ratio": [0.0, 1e-3, 1.0, 1e3],
    "far from zero": [1e6, 1e6 + 1, 1e6 + 3],
    "all tied": [2.0, 2.0, 2.0],
    "two points, each twice": [-1.0, -1.0, 1.0, 1.0],
    "all duplicated": [-2.0, -2.0, 0.0, 0.0, 1.0, 1.0, 5.0, 5.0],
    "tied first end": [0.0, 0.0, 0.0, 1.0, 2.5],
    "tied ends": [-1.0, -1.0, -1.0, 0.0, 0.5, 2.0, 2.0],
    "tied inside": [0.0, 1.0, 1.0, 1.0, 1.0, 3.0],
    "tied and mirrored": [-2.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 2.0],
}

_SQUARE = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]
_PENTAGON = [[float(np.cos(t)), float(np.sin(t))] for t in 2 * np.pi * np.arange(5) / 5]
_IN_SPACE = np.vstack([np.eye(3), -np.eye(3)]).tolist()

POINTS: dict[str, list[list[float]]] = {
    "one point": [[3.0, 4.0]],
    "two points": [[1.0, 0.0], [1.0, 1.0]],
    "axes": [[1.0, 0.0], [0.0, 1.0]],
    "opposite pair": [[1.0, 2.0], [-1.0, -2.0]],
    "cross": _SQUARE,
    "cross of unlike arms": [[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0], [0.0, -0.5]],
    "symmetric": [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [-1.0, -1.0]],
    "one opposite row": [[1.0, 0.5], [-2.0, -1.0], [0.0, 1.0], [1.0, -1.0]],
    "duplicated rows": [[1.0, 2.0], [1.0, 2.0], [-1.0, 1.0], [-1.0, 1.0]],
    "parallel rows": [[1.0, 1.0], [2.0, 2.0], [4.0, 4.0], [1.0, -2.0]],
    "lattice": [[float(a), float(b)] for a, b in product((-1, 0, 1), repeat=2)],
    "quadrant of a lattice": [[1.0, 1.0], [1.0, 2.0], [2.0, 1.0], [2.0, 2.0]],
    "collinear through zero": [[1.0, 2.0], [2.0, 4.0], [-1.0, -2.0]],
    "collinear beside zero": [[-2.0, 1.0], [-1.0, 1.0], [0.0, 1.0], [1.0, 1.0]],
    "zero row": [[0.0, 0.0], [1.0, 1.0], [2.0, -1.0]],
    "nothing but zero": [[0.0, 0.0], [0.0, 0.0]],
    "equal norms": _PENTAGON,
    "extreme lengths": [[2.0**-6, 0.0], [0.0, 2.0**6], [1.0, 1.0], [-1.0, 2.0]],
    "nearly parallel": [[1.0, 0.0], [1.0, 2.0**-12], [0.0, 1.0]],
    "clusters": [[5.0, 0.25], [5.0, -0.25], [-5.0, 0.5], [-5.0, 1.0]],
    "fewer points than dimensions": [[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]],
    "parallel pair in space": [[1.0, 0.0, 1.0], [2.0, 0.0, 2.0]],
    "opposite pair in space": [[1.0, 0.0, 1.0], [-2.0, 0.0, -2.0]],
    "axes of space": np.eye(3).tolist(),
    "cross in space": _IN_SPACE,
    "rank two in space": [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 2.0], [1.0, -1.0, 0.0]],
    "triangle around zero": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, -1.0, 0.0], [0.0, 0.0, 1.0]],
}


def samples(*, distinct: int = 1, ties: bool = True) -> Iterator[tuple[str, FloatArray]]:
    """Members on the line with at least ``distinct`` values, with or without those whose points repeat."""
    for name, points in LINE.items():
        values = len(set(points))
        if values >= distinct and (ties or values == len(points)):
            yield name, np.array(points)


def point_sets(*dimensions: int, rank: int = 0) -> Iterator[tuple[str, FloatArray]]:
    """Members in these dimensions (in all, if none is named) whose rows have at least this rank."""
    for name, rows in POINTS.items():
        X = np.array(rows)
        if (not dimensions or X.shape[1] in dimensions) and np.linalg.matrix_rank(X) >= rank:
            yield name, X


def targets(n: int) -> dict[str, FloatArray]:
    """Targets for n points on the line: zero, a constant, a line over the ranks, and two that bend."""
    ranks = np.arange(n, dtype=float)
    return {
        "zero targets": np.zeros(n),
        "tied targets": np.full(n, -2.0),
        "rising targets": ranks,
        "alternating targets": (-1.0) ** ranks,
        "one spike": np.where(ranks == n // 2, 3.0, 0.0),
    }


def labels(X: FloatArray) -> dict[str, FloatArray]:
    """Targets for a point set: nothing to fit, one row for all, minus the points, and alternating rows."""
    n, d = X.shape
    row = np.arange(1.0, d + 1)
    return {
        "zero targets": np.zeros((n, d)),
        "tied targets": np.tile(row, (n, 1)),
        "minus the points": -X,
        "alternating targets": (-1.0) ** np.arange(n)[:, None] * row,
    }


def denoising_tasks(*, distinct: int = 1, ties: bool = True) -> Iterator[tuple[str, FloatArray, FloatArray]]:
    """Every sample with each of its targets."""
    for name, x in samples(distinct=distinct, ties=ties):
        for kind, aims in targets(len(x)).items():
            yield f"{name}, {kind}", x, aims


def labelled_sets(*dimensions: int, rank: int = 0) -> Iterator[tuple[str, FloatArray, FloatArray]]:
    """Every point set with each of its targets."""
    for name, X in point_sets(*dimensions, rank=rank):
        for kind, L in labels(X).items():
            yield f"{name}, {kind}", X, L


def sides_of_lines(X: FloatArray) -> list[tuple[int, int]]:
    """For every line through the origin that holds rows: how many on one side, and how many on the other."""
    rays = Counter(tuple((row / np.linalg.norm(row)).round(9) + 0.0) for row in X[X.any(axis=1)])

    def opposite(ray: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(-np.array(ray) + 0.0)

    lines = {max(ray, opposite(ray)) for ray in rays}
    return [(rays[ray], rays[opposite(ray)]) for ray in sorted(lines, reverse=True)]


def is_balanced(X: FloatArray) -> bool:
    """Whether every line through the origin holds as many rows on one side of the origin as on the other."""
    return all(p == q for p, q in sides_of_lines(X))
