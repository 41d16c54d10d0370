"""Time three layers of absolute values: ours, the dictionary as a quadratic program, the literal program.

Writes deep.json. Data are normal, targets the noise. The literal program writes out every chain and is solved
through CVXPY; the other one hands the same columns to Clarabel without CVXPY's matrices, as a dual with one
bound per chain.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import clarabel
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from report import STORED, store

from convexdiff_lib import compile_loops, deep_denoising_score_matching, deep_score_matching
from convexdiff_lib.line.deep_score import DeepScore
from convexdiff_lib.paper.deep_abs_programs import ChainProgram, chain_program, solve_chain_program

T = TypeVar("T")
RESULTS = STORED / "deep.json"
CASES = [
    ("denoising", 20, 0.1),
    ("denoising", 60, 0.1),
    ("denoising", 200, 0.1),
    ("denoising", 2000, 0.1),
    ("denoising", 2000, 1.0),
    ("score matching", 20, 4.0),
    ("score matching", 40, 4.0),
    ("score matching", 200, 10.0),
    ("score matching", 2000, 20.0),
    ("score matching", 2000, 200.0),
]

WRITTEN_OUT = 60  # points at most, for the two that need all columns

FloatArray = NDArray[np.float64]


def by_clarabel(program: ChainProgram) -> float:
    """Maximise the dual over residuals: one inequality for each chain and sign."""
    n, k = program.A.shape
    A = np.vstack([program.A.T, -program.A.T, np.ones((1, n))])
    cones = [clarabel.NonnegativeConeT(2 * k), clarabel.ZeroConeT(1)]
    right = np.concatenate([program.beta - program.b, program.beta + program.b, [0.0]])
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-9
    square, linear = sp.csc_matrix(sp.eye(n)), program.labels
    found = clarabel.DefaultSolver(square, linear, sp.csc_matrix(A), right, cones, settings).solve()
    return -float(found.obj_val)


def timed(call: Callable[[], T]) -> tuple[T, float]:
    """The answer, and the seconds of the better of two calls, or of one that takes long."""
    begin = time.perf_counter()
    found = call()
    first = time.perf_counter() - begin
    if first > 5:
        return found, first
    begin = time.perf_counter()
    call()
    return found, min(first, time.perf_counter() - begin)


def case(loss: str, n: int, beta: float) -> dict[str, Any]:
    """Time one case."""
    rng = np.random.default_rng(n)
    x, noise = rng.normal(size=n), rng.normal(size=n)
    targets = noise if loss == "denoising" else None

    def ours() -> DeepScore:
        if targets is not None:
            return deep_denoising_score_matching(x, targets, beta, activation="abs")
        return deep_score_matching(x, beta, activation="abs")

    fit, seconds = timed(ours)
    record = {
        "loss": loss,
        "n": n,
        "beta": beta,
        "chains": 3 * n * (n - 1) // 2 + n,
        "used": len(fit.chains.weights),
        "seconds": float(f"{seconds:.3g}"),
        "relative_gap": float(f"{fit.certificate.relative_gap:.2g}"),
    }
    if n > WRITTEN_OUT:
        return record
    program, making = timed(lambda: chain_program(x, beta, targets=targets))
    value, dense = timed(lambda: by_clarabel(program))
    literal, cvxpy = timed(lambda: solve_chain_program(program))
    scale = fit.certificate.scale
    return record | {
        "seconds_to_write_out": float(f"{making:.3g}"),
        "clarabel_seconds": float(f"{dense:.3g}"),
        "clarabel_apart": float(f"{abs(value - fit.value) / scale:.1g}"),
        "cvxpy_seconds": float(f"{cvxpy:.3g}"),
        "cvxpy_apart": float(f"{abs(literal.value - fit.value) / scale:.1g}"),
    }


def main() -> None:
    """Run all cases."""
    compile_loops()
    records = []
    for loss, n, beta in CASES:
        records.append(case(loss, n, beta))
        print(records[-1], flush=True)
        store(RESULTS, records)


if __name__ == "__main__":
    main()
