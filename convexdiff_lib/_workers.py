"""Do tasks in this process, in others on this machine, or on many: the same attempt everywhere.

What a sum of floats comes to depends on the number of threads that add it, and on whether a loop over the
data is compiled.  So that no value depends on where a task is done, every attempt has one thread for linear
algebra, and compiled loops from the start.
"""

from __future__ import annotations

import json
import logging
import pickle
import socket
import traceback
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import ExitStack, suppress
from functools import cache, lru_cache
from importlib import import_module
from typing import Any, NamedTuple

from ._compiled import compile_from_now_on
from ._optional import needed
from ._plain import plain

__all__ = ["Function", "Outcomes", "cores", "on_dask", "on_loky", "pickled", "serially"]

_PACKAGE = __name__.rpartition(".")[0]
_DIED = "A worker process died before this task was done: out of memory, killed, or crashed in compiled code."
_OWN_CLUSTER = {
    # If its workers have all died, and have not come back, it would wait for ever.
    "distributed.scheduler.no-workers-timeout": "5 minutes",
    # A worker that dies takes one task with it, which is tried once more.
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.scheduler.allowed-failures": 1,
}

Function = Callable[..., object]
Outcomes = Generator["Outcome", None, None]


class Outcome(NamedTuple):
    """What became of a task: its result in JSON, or the traceback of its error."""

    task: str
    done: bool
    text: str


def attempt(function: Function, task: str) -> Outcome:
    """Do a task; what it raises is an outcome, too, so that the others go on."""
    try:
        return Outcome(task, True, json.dumps(plain(function(**json.loads(task)), "the result")))
    except (Exception, SystemExit):
        return Outcome(task, False, traceback.format_exc())


def _attempt_there(task: str, function: bytes, compiled: bool) -> Outcome:
    """Do a task in another process."""
    try:
        _settle(compiled)
        there = _unpickled(function)
    except Exception:
        return Outcome(task, False, traceback.format_exc())
    return attempt(there, task)


@lru_cache(maxsize=1)
def _unpickled(function: bytes) -> Function:
    return pickle.loads(function)


@cache
def _settle(compiled: bool) -> None:
    """Have one thread for linear algebra in this process, and compiled loops."""
    _one_thread()
    if compiled:
        with suppress(ImportError):  # then they are interpreted everywhere
            compile_from_now_on()


def _one_thread() -> Any:
    """Limit the threads of linear algebra to one, until the end of the process, or of a ``with``."""
    import scipy.linalg  # noqa: F401  (which has a library of its own: only what is loaded can be limited)

    with needed("threadpoolctl", "'convexdiff-lib[sweeps]'"):
        from threadpoolctl import threadpool_limits
    return threadpool_limits(1)


@cache
def _compile() -> None:
    """Compile all loops, and keep them on the disk of this machine, where workers find them."""
    with suppress(ImportError):
        import_module(_PACKAGE).compile_loops()  # by the front door, as the ground knows no wing


def pickled(function: Function) -> bytes:
    """Pickle a function, one of a notebook or a script included.

    Raises
    ------
    ValueError
        If it cannot be pickled.
    """
    with needed("joblib and cloudpickle", "'convexdiff-lib[sweeps]'"):
        import cloudpickle
    try:
        return cloudpickle.dumps(function)
    except Exception as error:  # whatever the pickling of what it holds may raise
        raise ValueError(
            f"function cannot be sent to other processes: {error}; backend='serial' does without"
        ) from error


def cores() -> int:
    """Count the cores that this process may use."""
    with needed("joblib and cloudpickle", "'convexdiff-lib[sweeps]'"):
        from joblib import cpu_count
    return int(cpu_count())


def serially(function: Function, tasks: list[str], compiled: bool) -> Outcomes:
    """Do one task after the other in this process."""
    with _one_thread():
        if compiled:
            _compile()
        for task in tasks:
            yield attempt(function, task)


def on_loky(function: bytes, tasks: list[str], compiled: bool, n_jobs: int) -> Outcomes:
    """Do tasks in processes on this machine, each as soon as one is free.

    When a process dies, all others go with it, and nobody knows which task it was.  So those that were in
    the pool then wait until the rest is done, and each is done alone: if that dies, too, it was this one.
    """
    if compiled:
        _compile()
    waiting, left = iter(tasks), dict.fromkeys(tasks)
    broken = True
    while broken:
        broken = False
        try:
            for outcome in _in_a_pool(function, waiting, compiled, n_jobs):
                del left[outcome.task]
                yield outcome
        except BrokenExecutor:
            broken = True
    for task in left:
        try:
            yield from _in_a_pool(function, iter([task]), compiled, n_jobs)
        except BrokenExecutor:
            yield Outcome(task, False, _DIED)


def _in_a_pool(function: bytes, tasks: Iterator[str], compiled: bool, n_jobs: int) -> Outcomes:
    """Do tasks in one pool of processes, to which they are handed as it empties."""
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(backend="loky", inner_max_num_threads=1):
        pool = Parallel(n_jobs=n_jobs, return_as="generator_unordered", batch_size=1)
    yield from pool(delayed(_attempt_there)(task, function, compiled) for task in tasks)


def on_dask(
    function: bytes, tasks: list[str], compiled: bool, client: Any = None, n_jobs: int | None = None
) -> Outcomes:
    """Do tasks where a client's workers are; without a client, on a cluster here, closed at the end."""
    import dask
    from distributed import Client, LocalCluster, as_completed

    with ExitStack() as stack:
        if client is None:
            stack.enter_context(dask.config.set(_OWN_CLUSTER))
            cluster = LocalCluster(
                n_workers=n_jobs,
                threads_per_worker=1,
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
            stack.enter_context(cluster)
            client = stack.enter_context(Client(cluster, set_as_default=False))
        if compiled:
            _compile_on_every_machine(client)
        there = client.submit(bytes, function, pure=False)  # a large one is sent once, not with every task
        stack.callback(client.cancel, there)
        futures = client.map(_attempt_there, tasks, [there] * len(tasks), [compiled] * len(tasks), pure=False)
        stack.callback(client.cancel, futures)
        names = dict(zip((future.key for future in futures), tasks, strict=True))
        for future in as_completed(futures, loop=client.loop):
            error = future.exception()
            task = names[future.key]
            yield (
                future.result() if error is None else Outcome(task, False, f"{type(error).__name__}: {error}")
            )


def _compile_on_every_machine(client: Any) -> None:
    """Let one worker of each machine compile the loops before all others look for them."""
    hosts = {host: worker for worker, host in client.run(socket.gethostname).items()}
    first = [client.submit(_compile, workers=[worker], pure=False) for worker in hosts.values()]
    client.gather(first)
