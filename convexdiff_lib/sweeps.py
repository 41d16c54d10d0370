"""Sweeps: one function on a grid of parameters, on one core or many machines, resumed after a kill.

Results are lines of a file, one for each task that is done, so that nothing that was computed is lost.  They
are the same on every backend and in every order, if a task draws its random numbers from its own parameters.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from itertools import product
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

from ._code_version import code_version
from ._optional import needed
from ._plain import canonical, plain
from ._progress import Bar
from ._run_file import RunFile
from ._validation import as_count, as_flag
from ._workers import Function, Outcomes, cores, on_dask, on_loky, pickled, serially

__all__ = ["TasksFailedError", "grid", "sweep"]

Task = dict[str, Any]
Backend = Literal["serial", "loky", "dask"]

_SHOWN = 3  # failed tasks that a message names


class TasksFailedError(RuntimeError):
    """Some tasks of a sweep have failed; all others are done, and kept.

    Attributes
    ----------
    failures : list of (dict, str)
        Each task that failed, in the order of the grid, and the traceback of its error.
    results : list
        Of all tasks, in the order of the grid, with None in the places of those that failed.

    Examples
    --------
    >>> raise TasksFailedError("1 of 9 tasks failed")
    Traceback (most recent call last):
    ...
    convexdiff_lib.sweeps.TasksFailedError: 1 of 9 tasks failed
    """

    failures: list[tuple[Task, str]]
    results: list[Any]


def grid(**axes: Iterable[Any]) -> list[Task]:
    """List the tasks of a grid: every combination of the values of its axes, the last axis fastest.

    Tasks are dictionaries in a list: those of two grids are added with ``+``, and some of them left out by
    hand.  They hold what JSON has, so that a task read from a file is the same: numbers of NumPy become
    Python's, tuples become lists.

    Parameters
    ----------
    **axes : iterable
        Names of parameters, with their values: None, truth values, finite numbers, strings, and lists and
        dictionaries of these.

    Returns
    -------
    list of dict

    Raises
    ------
    ValueError
        If there is no axis, an axis has no value or is none, or a value has no form in JSON.

    Examples
    --------
    >>> grid(seed=range(2), beta=[1.5, 3.0])
    [{'seed': 0, 'beta': 1.5}, {'seed': 0, 'beta': 3.0}, {'seed': 1, 'beta': 1.5}, {'seed': 1, 'beta': 3.0}]
    """
    if not axes:
        raise ValueError("a grid needs at least one axis, as in grid(seed=range(10))")
    values = [_as_axis(axis, name) for name, axis in axes.items()]
    return [dict(zip(axes, combination, strict=True)) for combination in product(*values)]


def sweep(
    function: Function,
    tasks: Sequence[Mapping[str, Any]],
    *,
    store: str | PathLike[str] | None = None,
    version: str = "",
    backend: Backend = "serial",
    n_jobs: int | None = None,
    client: Any = None,
    compiled: bool = True,
    progress: bool = False,
) -> list[Any]:
    """Call a function on every task of a grid, and resume where an earlier sweep was stopped.

    Tasks run in any order, in other processes or on other machines; this process alone writes their results
    into the file ``store``, each on the disk before the next.  Called again, after a kill or with a larger
    grid, only what is missing is computed.  A line that the kill has torn does not count.  One sweep writes
    to a file at a time; several functions, one after the other, may share one.

    Values do not depend on the backend, nor on the order: every task has one thread for linear algebra and
    compiled loops, as sums depend on both.  Random numbers have to come from the task's own parameters, as in
    ``np.random.default_rng(seed)``.  On processors of another kind last digits may differ.

    Other processes cost some seconds to start.  They pay where a task takes longer than about 0.1 s, and all
    of them longer than some ten seconds; a fit on the line is too short.

    Parameters
    ----------
    function : callable
        Called as ``function(**task)``.  What it returns must have a form in JSON, such as a dictionary of
        numbers; numbers and arrays of NumPy become Python's numbers and lists.
    tasks : list of dict
        What `grid` returns.  A task that is listed twice is done once.
    store : path, optional
        File of JSON lines; without it, results are only returned.
    version : str
        Stored results are used if this, the version of this library, and the function are the same as when
        they were computed: its code and defaults, what it closes over, and the functions, numbers and
        strings of its module that it names.  Say another version when something else changes: a list, an
        array or a file that it reads, or a module of yours that it imports.
    backend : {"serial", "loky", "dask"}
        This process; processes on this machine (joblib); workers of Dask, on this machine or many.
    n_jobs : int, optional
        Number of processes; by default, or if it is -1, one for each core.
    client : distributed.Client, optional
        Whose workers do the tasks, with the backend "dask".  They need this library, and the module of the
        function.  Without one, a cluster on this machine is started, and closed at the end.
    compiled : bool
        Whether loops over the data are compiled before the first task, once on every machine, as
        `compile_loops` does it.  False is right for a function that does not call them.
    progress : bool
        Whether to show a bar that counts tasks, those found in the file included.

    Returns
    -------
    list
        The results in the order of the tasks, as JSON gives them back, whether computed now or read.

    Raises
    ------
    TasksFailedError
        When all tasks have been tried and some have failed: it names them, and holds the results of the
        others.  The next call tries again.
    ValueError
        If there is no task; if the function does not take what a task holds, cannot be sent to other
        processes, or is or holds what cannot be told from another version, as an object, and no ``version``
        is given; if the file lies in no folder, holds something else or is being written by another sweep;
        if an option is none, or does not go with the backend.
    ModuleNotFoundError
        If what the backend needs is not installed; the error names the extra.

    Notes
    -----
    A script that starts processes guards the call by ``if __name__ == "__main__":``.

    Examples
    --------
    >>> import numpy as np
    >>> from convexdiff_lib import score_matching
    >>> def fitted(seed, beta):
    ...     fit = score_matching(np.random.default_rng(seed).normal(size=50), beta)
    ...     return {"kinks": len(fit.knots), "holds": bool(fit.certificate.holds)}
    >>> sweep(fitted, grid(seed=[0, 1], beta=[60.0]), version="1")
    [{'kinks': 0, 'holds': True}, {'kinks': 0, 'holds': True}]
    """
    names = [canonical(task) for task in _as_tasks(tasks)]
    _check_call(function, [json.loads(name) for name in names])
    _check_options(backend, n_jobs, client)
    as_flag(compiled, "compiled")
    sent = b"" if backend == "serial" else pickled(function)
    failures: dict[str, str] = {}
    with (
        RunFile(_as_store(store), code_version(function, version)) as file,
        Bar(progress, "sweep", "task", len(set(names))) as bar,
    ):
        left = [name for name in dict.fromkeys(names) if name not in file.results]
        bar.done(len(set(names)) - len(left))
        with closing(_outcomes(function, sent, left, backend, n_jobs, client, compiled)) as outcomes:
            for task, done, text in outcomes:
                if done:
                    file.keep(task, text)
                else:
                    failures[task] = text
                bar.done()
    if failures:
        raise _failed(names, failures, file.results)
    return [file.results[name] for name in names]


def _outcomes(
    function: Function,
    sent: bytes,
    tasks: list[str],
    backend: str,
    n_jobs: int | None,
    client: Any,
    compiled: bool,
) -> Outcomes:
    """Do the tasks on the backend; yield what becomes of each as soon as it is known."""
    if not tasks:
        return
    if client is not None:
        yield from on_dask(sent, tasks, compiled, client)
        return
    if backend == "serial":
        n_jobs = 1
    elif n_jobs in (None, -1):
        n_jobs = cores()
    if backend == "dask":
        yield from on_dask(sent, tasks, compiled, n_jobs=min(n_jobs, len(tasks)))
    elif n_jobs == 1:
        yield from serially(function, tasks, compiled)  # as joblib would, too
    else:
        yield from on_loky(sent, tasks, compiled, max(2, min(n_jobs, len(tasks))))


def _failed(names: list[str], failures: dict[str, str], results: dict[str, Any]) -> TasksFailedError:
    """Say which tasks have failed, and why."""
    tasks = [name for name in dict.fromkeys(names) if name in failures]
    said = [f"{name}: {_what_was_raised(failures[name])}" for name in tasks[:_SHOWN]]
    more = [f"and {len(tasks) - _SHOWN} more"] if len(tasks) > _SHOWN else []
    head = f"{len(tasks)} of {len(set(names))} tasks failed"
    error = TasksFailedError("\n  ".join([head, *said, *more]))
    error.failures = [(json.loads(name), failures[name]) for name in tasks]
    error.results = [results.get(name) for name in names]
    return error


def _what_was_raised(text: str) -> str:
    """Return the first line of an error's own message: what follows the last traceback of a text."""
    lines = text.rpartition("Traceback (most recent call last):\n")[2].strip("\n").splitlines()
    # A message may end as tracebacks begin; then it is the last that is not empty.
    outermost = [line for line in text.splitlines()[::-1] if line.strip()]
    return next(line for line in [*lines, *outermost] if not line.startswith(" "))


# --- What a call may say ---------------------------------------------------------------------------------


def _as_axis(axis: Iterable[Any], name: str) -> list[Any]:
    """Return the values of an axis."""
    is_one = isinstance(axis, str | bytes | Mapping) or getattr(axis, "shape", None) == ()
    if is_one or not isinstance(axis, Iterable):
        raise ValueError(f"{name} must be a list of values; got {axis!r:.80}: write {name}=[...]")
    values = [_as_parameter(value, f"{name}[{place}]") for place, value in enumerate(axis)]
    if not values:
        raise ValueError(f"{name} must have at least one value; it is empty")
    return values


def _as_parameter(value: object, name: str) -> Any:
    """Return the value of a parameter as JSON has it, which has finite numbers only."""
    found = plain(value, name)
    try:
        json.dumps(found, allow_nan=False)
    except ValueError:
        raise ValueError(f"{name} must be finite, as JSON has no other numbers; got {value!r:.80}") from None
    return found


def _as_tasks(tasks: Sequence[Mapping[str, Any]]) -> list[Task]:
    """Return the tasks as JSON has them."""
    if isinstance(tasks, str | bytes | Mapping) or not isinstance(tasks, Iterable):
        raise ValueError(f"tasks must be a list of dictionaries, as grid(...) returns it; got {tasks!r:.80}")
    found = []
    for place, task in enumerate(tasks):
        if not isinstance(task, Mapping):
            raise ValueError(f"tasks[{place}] must be a dictionary of parameters; got {task!r:.80}")
        found.append(_as_parameter(dict(task), f"tasks[{place}]"))
    if not found:
        raise ValueError("there must be at least one task; tasks is empty")
    return found


def _check_call(function: Function, tasks: list[Task]) -> None:
    """Refuse what cannot be called, or not with these parameters, before anything is done."""
    if not callable(function):
        raise ValueError(f"function must be something to call; got {function!r:.80}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of some functions written in C nobody knows it
        return
    for names in dict.fromkeys(tuple(task) for task in tasks):
        try:
            signature.bind(**dict.fromkeys(names))
        except TypeError as error:
            raise ValueError(f"function does not take the parameters {', '.join(names)}: {error}") from None


def _check_options(backend: str, n_jobs: int | None, client: Any) -> None:
    """Refuse what is no option, and options that do not go together."""
    if backend not in get_args(Backend):
        allowed = ", ".join(map(repr, get_args(Backend)))
        raise ValueError(f"backend must be one of {allowed}; got {backend!r:.80}")
    if n_jobs is not None and (n_jobs == -1 or as_count(n_jobs, "n_jobs", 1) > 1) and backend == "serial":
        raise ValueError(f"n_jobs={n_jobs} needs backend='loky' or 'dask'; 'serial' does one task at a time")
    if client is not None and backend != "dask":
        raise ValueError(f"client needs backend='dask'; got backend={backend!r}")
    if client is not None and n_jobs is not None:
        raise ValueError(f"n_jobs must be None where a client is given, which has its workers; got {n_jobs}")
    if backend == "dask":
        _check_client(client)


def _check_client(client: Any) -> None:
    """Refuse what is no client of Dask, if there is one; and to go on without Dask."""
    with needed("Dask", "'convexdiff-lib[dask]'"):
        from distributed import Client
    if client is None:
        return
    if not isinstance(client, Client) or client.asynchronous or client.status != "running":
        raise ValueError(
            f"client must be a connected distributed.Client, not asynchronous; got {client!r:.80}"
        )


def _as_store(store: str | PathLike[str] | None) -> Path | None:
    """Return the path of a file that can be there."""
    if store is None:
        return None
    if not isinstance(store, str | PathLike):
        raise ValueError(f"store must be the path of a file, or None; got {store!r:.80}")
    path = Path(store)
    if path.is_dir():
        raise ValueError(f"store must be a file, not a folder; got {store!s:.160}")
    if path.exists() and not path.is_file():  # a device may be read for ever, a pipe waits
        raise ValueError(f"store must be a file, not a device or a pipe; got {store!s:.160}")
    if not path.parent.is_dir():
        raise ValueError(f"store must lie in a folder that exists; there is no {path.parent!s:.160}")
    return path
