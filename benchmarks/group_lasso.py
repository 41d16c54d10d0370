"""Time the group Lasso of the wedge kernel, beside CVXPY on the same problem.

Writes group_lasso.json.  The data are noisy points of a spiral, with biases: 9,900 features for 100 points.
"""

from __future__ import annotations

import time

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray
from report import STORED, store

from convexdiff_lib.space.directions import wedge_directions
from convexdiff_lib.space.group_lasso import solve_group_lasso

RESULTS = STORED / "group_lasso.json"
PATIENCE = 300.0

FloatArray = NDArray[np.float64]


def spiral(n: int, sigma: float) -> tuple[FloatArray, FloatArray]:
    """Noisy points and their targets."""
    rng = np.random.default_rng(0)
    turn = np.linspace(1.0, 9.0, n)
    noise = rng.normal(size=(n, 2))
    points = np.column_stack([turn * np.cos(turn), turn * np.sin(turn)]) + sigma * noise
    return points, -noise / sigma


def by_cvxpy(K: FloatArray, L: FloatArray, lam: float, p: int) -> tuple[float, float]:
    """Solve with Clarabel through CVXPY; return the value and the seconds."""
    Z = cp.Variable((K.shape[1], L.shape[1]))
    size = cp.sum(cp.abs(Z)) if p == 1 else cp.sum(cp.norm(Z, 2, axis=1))
    problem = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(K @ Z - L) + lam * size))
    begin = time.perf_counter()
    problem.solve(solver=cp.CLARABEL, time_limit=PATIENCE)
    return float(problem.value), time.perf_counter() - begin


def main() -> None:
    """Run all cases."""
    records = []
    cases = [(100, True, s, lam, p) for s in (0.5, 0.03) for lam in (0.3, 3.0) for p in (1, 2)]
    cases += [(2000, False, 0.5, lam, p) for lam in (10.0, 100.0) for p in (1, 2)]
    for n, bias, sigma, lam, p in cases:
        X, L = spiral(n, sigma)
        rows = np.column_stack([X, np.ones(n)]) if bias else X
        K = np.maximum(rows @ wedge_directions(rows, p=p).T, 0.0)
        begin = time.perf_counter()
        fit = solve_group_lasso(K, L, lam, p=p, tolerance=1e-6)
        seconds = time.perf_counter() - begin
        record = {
            "n": n,
            "bias": bias,
            "sigma": sigma,
            "lam": lam,
            "p": p,
            "features": K.shape[1],
            "used": len(fit.features),
            "seconds": float(f"{seconds:.3g}"),
            "relative_gap": float(f"{fit.certificate.relative_gap:.2g}"),
        }
        if n == 100 and p == 2:
            value, slow = by_cvxpy(K, L, lam, p)
            record |= {
                "cvxpy_seconds": float(f"{slow:.3g}"),
                "cvxpy_excess": float(f"{value / fit.certificate.primal - 1:.2g}"),
            }
        records.append(record)
        print(record, flush=True)
        store(RESULTS, records)


if __name__ == "__main__":
    main()
