"""Time sweeps on two workers against this process alone, for tasks of a millisecond to a second.

A task waits and does nothing, so that what is seen is the cost of handing it out, and two at a time would
take half as long on any machine.  Cold includes the start of the workers; warm is a sweep on workers that
are there.  Every number is the best of three.  Prints the table of README.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

from distributed import Client, LocalCluster
from joblib.externals.loky import get_reusable_executor

from convexdiff_lib import grid, sweep

COUNTS = {0.001: 1000, 0.01: 300, 0.1: 50, 1.0: 8}  # tasks of so many seconds
WORKERS, AGAIN = 2, 3


def waits(seconds: float, number: int) -> int:
    """A task."""
    time.sleep(seconds)
    return number


def clocked(seconds: float, **where: object) -> float:
    """Sweep over all tasks of one length; return how long that took."""
    tasks = grid(seconds=[seconds], number=range(COUNTS[seconds]))
    begin = time.perf_counter()
    assert len(sweep(waits, tasks, compiled=False, **where)) == len(tasks)  # type: ignore[arg-type]
    return time.perf_counter() - begin


def best(seconds: float, **where: object) -> float:
    """The shortest of some sweeps, where what else a machine does counts least."""
    return min(clocked(seconds, **where) for _ in range(AGAIN))


def on_new_processes(seconds: float) -> float:
    """Sweep with joblib's workers, which it keeps for some minutes, started afresh."""
    get_reusable_executor().shutdown(wait=True)
    return clocked(seconds, backend="loky", n_jobs=WORKERS)


def rows() -> Iterator[tuple[float, ...]]:
    """Measure; yield the length of a task, and what serial, loky cold and warm, Dask cold and warm take."""
    options = {"n_workers": WORKERS, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    for seconds in COUNTS:
        loky = min(on_new_processes(seconds) for _ in range(AGAIN))
        loky_warm = best(seconds, backend="loky", n_jobs=WORKERS)
        dask = best(seconds, backend="dask", n_jobs=WORKERS)
        with LocalCluster(**options) as cluster, Client(cluster) as client:
            clocked(seconds, backend="dask", client=client)
            dask_warm = best(seconds, backend="dask", client=client)
        yield seconds, best(seconds), loky, loky_warm, dask, dask_warm


def main() -> None:
    """Print the table, in multiples of what this process alone takes."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print("| a task | tasks | serial | loky, cold | loky, warm | Dask, cold | Dask, warm |")
    print("|---|---|---|---|---|---|---|")
    for seconds, here, *others in rows():
        ratios = " | ".join(f"{other / here:.2f}" for other in others)
        print(f"| {1000 * seconds:g} ms | {COUNTS[seconds]} | {here:.1f} s | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
