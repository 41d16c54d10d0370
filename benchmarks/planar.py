"""Time exact training in the plane and in space, beside general solvers on the same problems.

Writes planar.json.  The data are normal points, for denoising with noise of size 0.5.  Every answer of ours
is certified; of the others the value is compared with it.

- ``semidefinite``: the dual on all arcs as linear matrix inequalities, in CVXPY, with Clarabel and with SCS;
- ``cones``: the convex program with two cones for every arc, to the letter, in CVXPY with Clarabel;
- ``runs``: sixty runs of L-BFGS on networks of thirty neurons.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import cvxpy as cp
import numpy as np
import torch
from numpy.typing import NDArray
from report import STORED, store

from convexdiff_lib.space.planar import PlanarScore, planar_denoising, planar_score_matching

RESULTS = STORED / "planar.json"
PATIENCE = 120.0  # seconds for each general solver
GENERAL_UP_TO = {"semidefinite": 50, "semidefinite, SCS": 50, "cones": 25, "runs": 200}

FloatArray = NDArray[np.float64]
Arc = tuple[FloatArray, FloatArray, float]


def arcs_of(X: FloatArray, slopes: bool) -> list[Arc]:
    """The two ends of every arc, its pattern, and the count of it where slopes count."""
    normals = np.column_stack([-X[:, 1], X[:, 0]])
    angles = np.sort(np.arctan2(*np.vstack([normals, -normals]).T[::-1]))
    ends = np.append(angles, angles[0] + 2 * np.pi)
    found = []
    for start, end in pairwise(ends):
        cone = np.array([[np.cos(start), np.cos(end)], [np.sin(start), np.sin(end)]])
        active = (X @ cone.sum(axis=1) > 0).astype(float)
        found.append((cone, active, float(active.sum()) if slopes else 0.0))
    return found


def semidefinite(X: FloatArray, L: FloatArray | None, beta: float, solver: str) -> float:
    """Solve the dual, with a matrix inequality for every arc: copositive matrices of order two."""
    Q, rows = cp.Variable(X.shape), []
    for cone, active, count in arcs_of(X, L is None):
        side = (X.T @ np.diag(active) @ Q - count * np.eye(2)).T @ cone
        corner = beta**2 * cone.T @ cone - cp.Variable(nonneg=True) * np.array([[0.0, 1.0], [1.0, 0.0]])
        rows.append(cp.bmat([[corner, side.T], [side, np.eye(2)]]) >> 0)
    gain = 0.0 if L is None else cp.sum(cp.multiply(Q, L))
    problem = cp.Problem(cp.Maximize(gain - 0.5 * cp.sum_squares(Q)), rows)
    limit = {"time_limit": PATIENCE} if solver == "CLARABEL" else {"time_limit_secs": PATIENCE, "eps": 1e-7}
    return float(problem.solve(solver=solver, **limit))


def cones(X: FloatArray, L: FloatArray | None, beta: float) -> float:
    """Solve the primal over the matrices W = sum u a^T of every arc, with u in its cone.

    The norm of such a matrix is the support function of the constraint of its arc, another such inequality.
    """
    fitted, linear, price, rows = 0.0, 0.0, 0.0, []
    for cone, active, count in arcs_of(X, L is None):
        Z, S, T = (
            cp.Variable((2, 2)),
            cp.Variable((2, 2), symmetric=True),
            cp.Variable((2, 2), symmetric=True),
        )
        # W = cone Z;  |W| = min (tr(cone^T cone S) + tr T) / 2 with [[S, Z], [Z^T, T]] >= 0 and S >= 0.
        rows += [cp.bmat([[S, Z], [Z.T, T]]) >> 0, S[0, 1] >= 0]
        price += 0.5 * (cp.trace(cone.T @ cone @ S) + cp.trace(T))
        fitted += (active[:, None] * X) @ cone @ Z
        linear += count * cp.trace(cone @ Z)
    goal = np.zeros(X.shape) if L is None else L
    loss = 0.5 * cp.sum_squares(fitted - goal) + linear + beta * price
    return float(cp.Problem(cp.Minimize(loss), rows).solve(solver=cp.CLARABEL, time_limit=PATIENCE))


def runs(X: FloatArray, L: FloatArray | None, beta: float, count: int = 60, width: int = 30) -> float:
    """Train networks by L-BFGS; return the lowest loss."""
    torch.set_num_threads(1)
    points = torch.as_tensor(X)
    generator = torch.Generator().manual_seed(0)
    best = np.inf
    for _ in range(count):
        layers = [
            torch.randn(width, 2, dtype=torch.float64, generator=generator).requires_grad_() for _ in range(2)
        ]
        search = torch.optim.LBFGS(layers, max_iter=100, line_search_fn="strong_wolfe")

        def loss(layers: list[torch.Tensor] = layers) -> torch.Tensor:
            u, a = layers
            pre = points @ u.T
            score = torch.relu(pre) @ a
            decay = 0.5 * beta * (u.square().sum() + a.square().sum())
            if L is None:
                slopes = ((pre >= 0).double() @ (u * a).sum(dim=1)).sum()
                return 0.5 * score.square().sum() + slopes + decay
            return 0.5 * (score - torch.as_tensor(L)).square().sum() + decay

        def closure(
            search: torch.optim.Optimizer = search, loss: Callable[[], torch.Tensor] = loss
        ) -> torch.Tensor:
            search.zero_grad()
            value = loss()
            value.backward()
            return value

        search.step(closure)
        best = min(best, float(loss().detach()))
    return best


GENERAL: dict[str, Callable[[FloatArray, FloatArray | None, float], float]] = {
    "semidefinite": lambda X, L, beta: semidefinite(X, L, beta, "CLARABEL"),
    "semidefinite, SCS": lambda X, L, beta: semidefinite(X, L, beta, "SCS"),
    "cones": cones,
    "runs": runs,
}


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return a result and the best of up to five times; a call of a second or more is timed once."""
    times: list[float] = []
    while len(times) < 5 and (not times or times[0] < 1.0):
        begin = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - begin)
    return result, min(times)


def points_of(n: int, d: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Clean points, noisy ones, and their targets."""
    rng = np.random.default_rng(0)
    X, noise = rng.normal(size=(n, d)), rng.normal(size=(n, d))
    return X, X + 0.5 * noise, -2.0 * noise


def main() -> None:
    """Run all cases."""
    records: list[dict[str, Any]] = []
    cases = [("score matching", 2, n, b) for n in (10, 25, 50, 200) for b in (2.0, 0.05 * n)]
    cases += [("denoising", 2, n, b) for n in (10, 25, 50, 200, 2000) for b in (0.05 * n, 0.005 * n)]
    cases += [("score matching", 3, n, b) for n in (10, 20, 40) for b in (0.1 * n + 3.0,)]
    cases += [("denoising", 3, n, 0.05 * n) for n in (10, 20, 40)]
    for loss, d, n, beta in cases:
        clean, noisy, targets = points_of(n, d)
        X, L = (clean, None) if loss == "score matching" else (noisy, targets)
        if L is None and beta < 1:
            continue

        def fit(X: FloatArray = X, L: FloatArray | None = L, beta: float = beta) -> PlanarScore:
            return planar_score_matching(X, beta) if L is None else planar_denoising(X, L, beta)

        ours, seconds = timed(fit)
        record: dict[str, Any] = {
            "loss": loss,
            "d": d,
            "n": n,
            "beta": beta,
            "seconds": float(f"{seconds:.3g}"),
            "neurons": ours.network().width,
            "relative_gap": float(f"{ours.certificate.relative_gap:.1e}"),
            "others": {},
        }
        for name, solve in GENERAL.items():
            if d == 2 and n <= GENERAL_UP_TO[name]:
                begin = time.perf_counter()
                value = solve(X, L, beta)
                record["others"][name] = {
                    "seconds": float(f"{time.perf_counter() - begin:.3g}"),
                    "off": float(f"{(value - ours.value) / ours.certificate.scale:.1e}"),
                }
        records.append(record)
        print(record, flush=True)
        store(RESULTS, records)


if __name__ == "__main__":
    main()
