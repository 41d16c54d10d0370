"""Time exact univariate training, and other ways to solve the same problems, on one machine.

Every answer, ours or not, is judged by the certificate, from the data alone.  See README.md.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TypeVar

import numpy as np
from instances import Activation, FloatArray, Instance, Loss, data, fit, tube_of
from report import STORED, Records, key, load, machine, save, table
from worker import Record, Worker, peak_mib

from convexdiff_lib import compile_loops
from convexdiff_lib.line.training import score_matching_path

T = TypeVar("T")

LOSSES: tuple[Loss, ...] = ("score matching", "denoising")
ACTIVATIONS: tuple[Activation, ...] = ("relu", "abs")
RATIOS = (0.9, 0.3, 0.1, 0.01, 0.001)  # beta / n
LARGE = 10**6
DRAWS = 10**7
PATIENCE = 600.0  # seconds after which any case is stopped
RESULTS = STORED / "univariate.json"


@dataclass(frozen=True)
class Case:
    """One line of the results: a method on an instance, with a time limit."""

    part: str
    method: str
    instance: Instance
    limit: float = PATIENCE


def best_time(call: Callable[[], T]) -> tuple[float, T]:
    """Time a call: as it is when it takes a second or more, else the best of a few after it."""
    gc.collect()
    seconds, value = timed(call)
    if seconds < 1:
        again = min(max(3, int(0.1 / seconds)), 20)
        seconds = min(timed(call)[0] for _ in range(again))
    return seconds, value


def time_after_sweep(call: Callable[[], object]) -> float:
    """Time a call with cold caches: garbage collection has just walked through everything in memory."""
    seconds = []
    for _ in range(3):
        gc.collect()
        seconds.append(timed(call)[0])
    return min(seconds)


def timed(call: Callable[[], T]) -> tuple[float, T]:
    """Time one call, as `timeit` does without garbage collection, which would sweep the caches."""
    gc.disable()
    try:
        begin = time.perf_counter()
        value = call()
        return time.perf_counter() - begin, value
    finally:
        gc.enable()


# --- What the worker does --------------------------------------------------------------------------------


def ours(case: Case) -> Record:
    """Time the public call: validation, solution and certificate."""
    instance = case.instance
    data(instance.loss, instance.n)
    if instance.beta < instance.threshold:
        return {"status": "below the threshold"}
    seconds, found = best_time(lambda: fit(instance))
    peak = peak_mib()
    record: Record = {
        "status": "solved",
        "seconds": seconds,
        "seconds_after_sweep": time_after_sweep(lambda: fit(instance)),
        "relative_gap": found.certificate.relative_gap,
        "infeasibility": found.certificate.infeasibility,
        "knots": len(found.knots),
    }
    return record | ({"peak_mib": peak} if instance.n >= LARGE else {})


def alternative(case: Case) -> Record:
    """Time an alternative and judge what it found."""
    from alternatives import ALTERNATIVES, judged  # the packages of other methods, only when needed

    instance = case.instance
    data(instance.loss, instance.n)
    seconds, answer = best_time(lambda: ALTERNATIVES[case.method](instance, case.limit))
    peak = peak_mib()
    gap, infeasibility = judged(instance, answer)
    record: Record = {
        "status": answer.status,
        "seconds": seconds if answer.seconds is None else answer.seconds,
        "relative_gap": gap,
        "infeasibility": infeasibility,
    }
    return record | ({"peak_mib": peak} if instance.n >= LARGE else {})


def path(case: Case) -> Record:
    """Time a path of 50 weight decays against the mean of ten single solutions along it."""
    instance = case.instance
    betas = np.geomspace(0.9 * instance.n, max(instance.threshold, 0.001 * instance.n), 50)
    kind = (instance.loss, instance.activation, instance.skip, instance.n)
    singles = [Instance(*kind, float(beta)) for beta in betas[2::5]]
    one = float(np.mean([best_time(partial(fit, at))[0] for at in singles]))
    whole, gaps = best_time(lambda: fit_path(instance, betas))
    return {
        "status": "solved",
        "seconds": whole,
        "one_solution": one,
        "ratio": whole / one,
        "relative_gap": max(gaps),
    }


def fit_path(instance: Instance, betas: FloatArray) -> list[float]:
    """Train with every weight decay, from large to small; return the relative gaps."""
    x, _ = data(instance.loss, instance.n)
    fits = score_matching_path(x, betas, activation=instance.activation, skip=instance.skip)
    return [found.certificate.relative_gap for found in fits]


def evaluation(case: Case) -> Record:
    """Evaluate the score at many points, against finding the same points among the same knots."""
    found = fit(case.instance)
    points = np.random.default_rng(0).normal(size=DRAWS)
    score = found.score
    seconds, _ = best_time(lambda: found(points))
    search, _ = best_time(lambda: np.searchsorted(score.knots, points, side="right"))
    ratio = seconds / search
    return {
        "status": "solved",
        "seconds": seconds,
        "searchsorted": search,
        "ratio": ratio,
        "knots": len(score.knots),
    }


def sampling(case: Case) -> Record:
    """Draw many exact samples, against as many normal numbers."""
    found, rng = fit(case.instance), np.random.default_rng(0)
    found.sample(1, rng)  # the law is cut into cells once
    seconds, _ = best_time(lambda: found.sample(DRAWS, rng))
    normal, _ = best_time(lambda: rng.normal(size=DRAWS))
    return {"status": "solved", "seconds": seconds, "normal": normal, "ratio": seconds / normal}


def bandwidth(case: Case) -> Record:
    """Compare one round of the active set with the time that moving its data takes.

    A round has to read, for every point, its position, multiplicity and target, and the middle and the
    half-width of the tube there, 8 bytes each.
    """
    from convexdiff_lib.line.active_set import Spline, descend

    copy, triad = _memory_speed()
    instance = case.instance
    found = fit(instance)
    tube, _ = tube_of(instance)
    knots = np.concatenate([[0], np.searchsorted(tube.points, found.knots), [instance.n - 1]])
    slopes = np.diff(found(tube.points[knots]) / tube.score_unit) / tube.distance(knots[:-1], knots[1:])
    side = np.sign(np.diff(slopes))

    def one_round() -> int:
        """Minimise with the right touching points, and see that nothing is wrong."""
        return len(list(descend(Spline(tube, knots, side, 0), 0.0)))

    seconds, rounds = best_time(one_round)
    floor = 40 * instance.n / copy
    call, _ = best_time(lambda: fit(instance))
    return {
        "status": "solved",
        "seconds": seconds,
        "rounds": rounds,
        "copy_gb_per_s": copy / 1e9,
        "triad_gb_per_s": triad / 1e9,
        "bytes_per_point": 40,
        "floor_seconds": floor,
        "ratio": seconds / floor,
        "whole_call_ratio": call / floor,
    }


def _memory_speed() -> tuple[float, float]:
    """Bytes read and written per second: by a copy, and by a scaled sum, which takes NumPy two passes."""
    source = np.ones(2**26)
    target = np.zeros_like(source)

    def scaled_sum() -> None:
        np.multiply(source, 3.0, out=target)
        np.add(target, source, out=target)

    copy = min(timed(lambda: np.copyto(target, source))[0] for _ in range(5))
    triad = min(timed(scaled_sum)[0] for _ in range(5))
    return 2 * source.nbytes / copy, 5 * source.nbytes / triad


HANDLERS: dict[str, Callable[[Case], Record]] = {
    "ours": ours,
    "threshold": ours,
    "path": path,
    "evaluation": evaluation,
    "sampling": sampling,
    "bandwidth": bandwidth,
}


def handle(case: Case) -> Record:
    """Run one case."""
    return HANDLERS.get(case.part, alternative)(case)


def warm_up() -> None:
    """Load everything that a call may load, and compile all loops."""
    compile_loops()


# --- What is run -----------------------------------------------------------------------------------------


def grid(n: int, ratios: tuple[float, ...] = RATIOS) -> Iterator[Instance]:
    """All eight problems with every weight decay."""
    for loss, activation, skip, ratio in product(LOSSES, ACTIVATIONS, (False, True), ratios):
        yield Instance(loss, activation, skip, n, ratio * n)


def few(n: int) -> Iterator[Instance]:
    """The two losses for ReLU without skip connection, with one weight decay each."""
    for loss in LOSSES:
        yield Instance(loss, "relu", False, n, 0.01 * n)


def cases() -> Iterator[Case]:
    """Everything, part after part."""
    for n in (10**3, 10**4, 10**5, LARGE):
        yield from (Case("ours", "ours", instance) for instance in grid(n))
    for n, excess in product((10**3, 10**4), (1e-3, 0.1, 1.0, 10.0)):
        for activation, skip in product(ACTIVATIONS, (False, True)):
            at = Instance("score matching", activation, skip, n, 0.0).threshold
            yield Case("threshold", "ours", Instance("score matching", activation, skip, n, at + excess))
    for n in (10**3, 10**4):
        instances = list(grid(n, (0.3, 0.01)))
        yield from (Case("clarabel", "Clarabel, beam", instance) for instance in instances)
        yield from (Case("piqp", "PIQP, beam", instance) for instance in instances)
    yield from (Case("clarabel", "Clarabel, beam", instance) for instance in grid(10**5, (0.01,)))
    yield from (Case("clarabel", "Clarabel, beam", instance) for instance in few(LARGE))
    yield from (Case("piqp", "PIQP, beam", instance, 60.0) for instance in few(10**5))
    for n in (10**4, 10**5, LARGE):
        yield from (Case("piqp", "PIQP at 1e-6, beam", instance, 60.0) for instance in few(n))
    yield from (Case("osqp", "OSQP, beam", instance, 60.0) for instance in grid(10**3, (0.3, 0.01)))
    yield from (Case("osqp", "OSQP, beam", instance, 60.0) for instance in few(10**4))
    printed = [*grid(100, (0.1,)), *grid(250, (0.1,)), Instance("score matching", "relu", False, 500, 50.0)]
    yield from (Case("printed", "CVXPY, printed program", instance, 120.0) for instance in printed)
    for method, ratio in product(("scikit-learn, spacing Lasso", "celer, spacing Lasso"), (0.3, 0.1, 0.01)):
        yield Case("lasso", method, Instance("score matching", "abs", False, 1000, ratio * 1000), 60.0)
    for n, activation, ratio in product((10**3, 10**4), ACTIVATIONS, (0.1, 0.01)):
        yield Case(
            "trend", "CVXPY, trend filter", Instance("denoising", activation, True, n, ratio * n), 60.0
        )
    for activation, skip in product(ACTIVATIONS, (False, True)):
        instance = Instance("score matching", activation, skip, 10**5, 0.01 * 10**5)
        yield Case("path", "50 weight decays", instance)
    yield from (Case("evaluation", "10^7 points", instance) for instance in few(10**5))
    yield from (Case("sampling", "10^7 samples", instance) for instance in few(10**5))
    for loss in LOSSES:
        yield Case("bandwidth", "one round", Instance(loss, "relu", True, LARGE, 0.01 * LARGE))


def chosen(parts: list[str], sizes: list[int]) -> list[Case]:
    """Select cases; an alternative brings our own run of its instance, to be compared with."""
    wanted = [case for case in cases() if not parts or case.part in parts]
    wanted = [case for case in wanted if not sizes or case.instance.n in sizes]
    compared = [Case("ours", "ours", case.instance) for case in wanted if case.part not in HANDLERS]
    return list(dict.fromkeys([*wanted, *compared]))


def run(selected: list[Case], records: Records) -> None:
    """Run cases in a worker, saving after each."""
    worker = Worker(handle, warm_up)
    begin = time.perf_counter()
    for number, case in enumerate(selected, 1):
        instance = case.instance
        # Judging what a method found at its time limit takes time too, and some keep to the limit themselves.
        grace = 0.0 if case.limit == PATIENCE or case.part == "piqp" else 60.0
        record = worker.run(case, case.limit + grace, fresh=instance.n >= LARGE)
        described: Record = {
            "part": case.part,
            "method": case.method,
            "loss": instance.loss,
            "activation": instance.activation,
            "skip": instance.skip,
            "n": instance.n,
            "beta": instance.beta,
        }
        records[key(described)] = described | record
        save(RESULTS, machine(), records)
        seconds = f"{record['seconds']:.3g} s" if "seconds" in record else ""
        print(
            f"[{time.perf_counter() - begin:6.0f} s] {number}/{len(selected)} {case.method}: "
            f"{instance.name}, n = {instance.n}, beta = {instance.beta:g}: {seconds} {record['status']}",
            flush=True,
        )
    worker.stop()


def main() -> None:
    """Run the parts that are asked for, merge them into the results, and print the tables."""
    parts = sorted({case.part for case in cases()})
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", nargs="*", default=[], choices=parts, help="parts to run; all by default")
    parser.add_argument("--n", nargs="*", default=[], type=lambda n: int(float(n)), help="sizes to run")
    parser.add_argument("--table", action="store_true", help="run nothing, print the tables")
    options = parser.parse_args()
    records, before = load(RESULTS)
    if not options.table:
        if before not in ({}, machine()):
            parser.error(f"{RESULTS.name} is of another machine or other versions: remove it first")
        run(chosen(options.part, options.n), records)
    print(table(records))


if __name__ == "__main__":
    main()
