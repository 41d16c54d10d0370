"""Other ways to solve the same training problems.

Each function takes an instance and a time limit in seconds, and returns an `Answer`: a dual vector in the
order of the data, or the training loss of a network, so that the answer can be judged from the data alone.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import celer
import cvxpy as cp
import numpy as np
import osqp
import piqp
import scipy.sparse as sp
from instances import FloatArray, Instance, data, fit, judge, tube_of
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso

from convexdiff_lib.line.beam import Tube
from convexdiff_lib.line.beam import (
    _interior_point as clarabel_on_beam,  # the route, without its start and polish
)
from convexdiff_lib.paper.univariate_programs import denoising_program, score_matching_program, solve_program

PIQP_TOLERANCE = 1e-9
OSQP_TOLERANCE = 1e-6
LASSO_TARGET = 1e-6  # certified relative gap at which a Lasso solver may stop


@dataclass(frozen=True)
class Answer:
    """What an alternative found: a dual vector or a training loss, and its own account of how it went.

    ``seconds`` is set by those that time themselves.
    """

    z: FloatArray | None = None
    loss: float | None = None
    status: str = "solved"
    seconds: float | None = None


Alternative = Callable[[Instance, float], Answer]


@dataclass(frozen=True)
class BeamProgram:
    r"""The beam as a sparse quadratic program.

    .. math:: \min_v \tfrac12 v^T P v + q^T v \quad \text{s.t. } E v = e,\; l \le G v \le u

    The variables are the heights and the slopes of the beam, over ``scale``.
    """

    P: sp.csc_matrix
    q: FloatArray
    E: sp.csc_matrix
    e: FloatArray
    G: sp.csc_matrix
    low: FloatArray
    high: FloatArray
    curvature: sp.csc_matrix


def beam_program(tube: Tube) -> BeamProgram:
    """Write the dual of a training problem as data: it is the same for every quadratic-programming solver."""
    m, scale = len(tube.points), tube.scale
    free = m - 1
    bend = sp.diags([1.0, -1.0], [-1, 0], shape=(m, free))  # z_i = S_{i-1} - S_i for slopes -S
    weight = min(1.0, scale)
    P = sp.block_diag([sp.csc_matrix((free, free)), weight * (bend.T @ bend)], format="csc")
    q = np.concatenate([np.zeros(free), -(weight / scale) * (bend.T @ tube.targets)])
    ties = sp.hstack([sp.eye(free, k=1) - sp.identity(free), sp.diags(tube.gaps)])
    first = sp.csc_matrix(([1.0], ([0], [0])), shape=(1, 2 * free))
    inner = np.arange(1, m - 1)
    pick = sp.csc_matrix((np.ones(m - 2), (inner - 1, inner)), shape=(m - 2, 2 * free))
    lean = sp.csc_matrix((np.ones(m - 2), (inner - 1, np.zeros(m - 2, dtype=int))), shape=(m - 2, 2 * free))
    middle = np.concatenate([tube.centre[inner] - tilt * tube.level for tilt in tube.tilts])
    radius = np.tile(tube.half_width[inner], len(tube.tilts))
    G = sp.vstack([pick - tilt * lean for tilt in tube.tilts])
    E, e, low, high = ties, np.zeros(free), middle - radius, middle + radius
    if tube.end[0] == tube.end[1]:
        E, e = sp.vstack([ties, first]), np.append(e, tube.level + tube.end[0])
    else:
        G = sp.vstack([G, first])
        low, high = np.append(low, tube.level + tube.end[0]), np.append(high, tube.level + tube.end[1])
    curvature = scale * sp.hstack([sp.csc_matrix((m, free)), bend])
    return BeamProgram(P, q, E.tocsc(), e / scale, G.tocsc(), low / scale, high / scale, curvature.tocsc())


def _in_order(z: FloatArray, tube: Tube, order: np.ndarray) -> FloatArray:
    """From sorted points and the tube's unit to the order and the unit of the data."""
    out = np.empty_like(z)
    out[order] = z * tube.score_unit
    return out


def clarabel_beam(instance: Instance, limit: float) -> Answer:
    """Solve the beam by the library's own interior-point route, without what comes before and after it."""
    tube, order = tube_of(instance)
    *_, z = clarabel_on_beam(tube)
    return Answer(z=_in_order(z, tube, order))


def piqp_beam(instance: Instance, limit: float, tolerance: float = PIQP_TOLERANCE) -> Answer:
    """Solve the beam with PIQP's sparse interior-point method."""
    tube, order = tube_of(instance)
    program = beam_program(tube)
    solver = piqp.SparseSolver()
    for name in ("eps_abs", "eps_rel", "eps_duality_gap_abs", "eps_duality_gap_rel"):
        setattr(solver.settings, name, tolerance)
    solver.setup(program.P, program.q, program.E, program.e, program.G, program.low, program.high)
    status = solver.solve()
    z = program.curvature @ solver.result.x
    return Answer(_in_order(z, tube, order), status="solved" if status == piqp.PIQP_SOLVED else str(status))


def osqp_beam(instance: Instance, limit: float) -> Answer:
    """Solve the beam with OSQP, a first-order method; at the time limit it says how far it came."""
    tube, order = tube_of(instance)
    program = beam_program(tube)
    solver = osqp.OSQP()
    solver.setup(
        P=sp.triu(program.P, format="csc"),
        q=program.q,
        A=sp.vstack([program.E, program.G], format="csc"),
        l=np.concatenate([program.e, program.low]),
        u=np.concatenate([program.e, program.high]),
        eps_abs=OSQP_TOLERANCE,
        eps_rel=OSQP_TOLERANCE,
        max_iter=10**8,
        time_limit=limit,
        verbose=False,
    )
    result = solver.solve()
    return Answer(_in_order(program.curvature @ result.x, tube, order), status=result.info.status)


def printed_program(instance: Instance, limit: float) -> Answer:
    """Solve the program that the paper prints, with CVXPY."""
    x, targets = data(instance.loss, instance.n)
    if instance.loss == "score matching":
        program = score_matching_program(x, instance.beta, activation=instance.activation, skip=instance.skip)
    else:
        program = denoising_program(
            x, targets, instance.beta, activation=instance.activation, skip=instance.skip
        )
    return Answer(loss=solve_program(program).value)


def trend_filter(instance: Instance, limit: float) -> Answer:
    """Solve denoising with skip connection as trend filtering of the targets, in CVXPY with Clarabel."""
    x, targets = data(instance.loss, instance.n)
    order = np.argsort(x)
    f = cp.Variable(instance.n)
    slopes = cp.multiply(cp.diff(f), 1 / np.diff(x[order]))
    weight = instance.beta * (1.0 if instance.activation == "relu" else 0.5)
    loss = 0.5 * cp.sum_squares(f - targets[order]) + weight * cp.norm1(cp.diff(slopes))
    problem = cp.Problem(cp.Minimize(loss))
    problem.solve(solver=cp.CLARABEL)
    z = np.empty(instance.n)
    z[order] = targets[order] - f.value
    status = "solved" if problem.status == cp.OPTIMAL else problem.status
    return Answer(z=z, status=status)


def _scikit_learn_steps(A: FloatArray, r: FloatArray, penalty: float) -> Iterator[FloatArray]:
    """Yield the weights after every 200 sweeps of coordinate descent."""
    model = Lasso(alpha=penalty, fit_intercept=False, tol=1e-16, max_iter=200, warm_start=True, copy_X=False)
    while True:
        yield model.fit(A, r).coef_


def _celer_steps(A: FloatArray, r: FloatArray, penalty: float) -> Iterator[FloatArray]:
    """Yield the weights at ever tighter tolerances, each time from those before."""
    model = celer.Lasso(alpha=penalty, fit_intercept=False, warm_start=True)
    for digits in range(4, 17):
        yield model.set_params(tol=10.0**-digits).fit(A, r).coef_


def _spacing_lasso(
    instance: Instance,
    limit: float,
    steps: Callable[[FloatArray, FloatArray, float], Iterator[FloatArray]],
) -> Answer:
    """Let a Lasso solver run until its loss is certified to be within `LASSO_TARGET`, or the time is over.

    Only the solver's own time counts.
    """
    x = np.sort(data(instance.loss, instance.n)[0])
    distances = np.abs(x[:, None] - x)
    A = np.asfortranarray(distances - distances.mean(axis=0))
    r = np.diff(np.concatenate([[0.0], 1 / np.diff(x), [0.0]]))
    ranks = len(x) - 1 - 2 * np.arange(len(x))
    bound = fit(instance).certificate
    seconds, best = 0.0, np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # each step is allowed to stop early
        runs = steps(A, r, (instance.beta - 1) / len(x))
        while seconds < limit:
            begin = time.perf_counter()
            t = next(runs, None)
            seconds += time.perf_counter() - begin
            if t is None:
                return Answer(loss=best, seconds=seconds, status="tolerance exhausted")
            # Without |r|^2, which the training loss does not contain.
            loss = 0.5 * np.sum((A @ t) ** 2) + ranks @ t + (instance.beta - 1) * np.abs(t).sum()
            best = min(best, float(loss))
            if best - bound.dual <= LASSO_TARGET * bound.scale:
                return Answer(loss=best, seconds=seconds)
    return Answer(loss=best, seconds=seconds, status="time limit")


def scikit_learn_lasso(instance: Instance, limit: float) -> Answer:
    """Solve the spacing Lasso with scikit-learn."""
    return _spacing_lasso(instance, limit, _scikit_learn_steps)


def celer_lasso(instance: Instance, limit: float) -> Answer:
    """Solve the spacing Lasso with celer."""
    return _spacing_lasso(instance, limit, _celer_steps)


def judged(instance: Instance, answer: Answer) -> tuple[float, float]:
    """Return the relative gap and the infeasibility of an answer, paired with our certified other half."""
    ours = fit(instance)
    if answer.z is not None:
        certificate = judge(instance, ours.kink_network, answer.z)
        return certificate.relative_gap, certificate.infeasibility
    if answer.loss is None:
        raise ValueError("an answer needs a dual vector or a loss")
    bound = ours.certificate
    return abs(answer.loss - bound.dual) / bound.scale, bound.infeasibility


ALTERNATIVES: dict[str, Alternative] = {
    "Clarabel, beam": clarabel_beam,
    "PIQP, beam": piqp_beam,
    "PIQP at 1e-6, beam": partial(piqp_beam, tolerance=1e-6),
    "OSQP, beam": osqp_beam,
    "CVXPY, printed program": printed_program,
    "CVXPY, trend filter": trend_filter,
    "scikit-learn, spacing Lasso": scikit_learn_lasso,
    "celer, spacing Lasso": celer_lasso,
}
