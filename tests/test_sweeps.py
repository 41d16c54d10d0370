"""Sweeps: the same values everywhere, nothing lost by a kill, and what fails is named."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache, partial, wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import threadpoolctl

from convexdiff_lib import TasksFailedError, _compiled, grid, score_matching, sweep
from convexdiff_lib._code_version import code_version
from convexdiff_lib._workers import _OWN_CLUSTER, _compile

ROOT = Path(__file__).parents[1]
HAS_DASK = find_spec("distributed") is not None
DASK = pytest.param("dask", marks=pytest.mark.skipif(not HAS_DASK, reason="needs Dask: distributed"))
BACKENDS = ["serial", "loky", DASK]
PATIENCE = 300  # seconds, until a process that others slow down counts as stuck


def quick(seed: int, beta: float = 1.0) -> dict[str, float]:
    return {"sum": float(np.random.default_rng(seed).normal(size=9).sum()) * beta}


def numbers(seed: int, n: int) -> dict[str, Any]:
    """What may hang on the last bit: products of matrices, and a fit by loops that are compiled or not."""
    X = np.random.default_rng(seed).normal(size=(n, n))
    fit = score_matching(X[0], n / 10)
    return {"product": np.trace(X @ X @ X), "norm": np.linalg.norm(X, 2), "value": fit.value, "at": fit(X[1])}


def setting(seed: int) -> dict[str, Any]:
    """How a task is computed."""
    threads = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    return {"threads": max(threads), "native": _compiled._tiers.native, "process": os.getpid()}


CALLED: list[int] = []


def counted(seed: int, more: int = 0) -> int:
    CALLED.append(seed)
    return -seed


def fails(seed: int) -> int:
    if seed % 2:
        raise ZeroDivisionError(f"seed {seed} is odd")
    return seed


def dies(seed: int) -> int:
    if seed == 2:
        os._exit(1)
    return seed


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Two workers on this machine."""
    distributed = pytest.importorskip("distributed", reason="needs Dask: distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture(params=BACKENDS)
def where(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Options for two workers on every backend, without compiling."""
    if request.param == "dask":
        return {"backend": "dask", "client": request.getfixturevalue("client"), "compiled": False}
    return {"backend": request.param, "n_jobs": 2 if request.param == "loky" else None, "compiled": False}


plainly: Callable[..., list[Any]] = partial(sweep, compiled=False)


def lines(store: Path) -> list[bytes]:
    return store.read_bytes().splitlines(keepends=True)


# --- Grids -----------------------------------------------------------------------------------------------


def test_a_grid_is_a_list_of_tasks_the_last_axis_fastest() -> None:
    tasks = grid(seed=range(2), beta=np.array([0.5, 2.0]), net=["relu", None], hidden=[(3, np.int64(4))])
    assert [(t["seed"], t["beta"], t["net"]) for t in tasks[:3]] == [
        (0, 0.5, "relu"), (0, 0.5, None), (0, 2.0, "relu"),
    ]  # fmt: skip
    assert len(tasks) == 8
    assert tasks[0]["hidden"] == [3, 4]
    assert {type(value) for task in tasks for value in task.values()} == {int, float, str, list, type(None)}
    assert json.loads(json.dumps(tasks)) == tasks


BAD_GRIDS: dict[str, tuple[Callable[[], Any], str]] = {
    "no axis": (grid, "at least one axis"),
    "empty axis": (lambda: grid(seed=[1], beta=[]), "beta must have at least one value"),
    "number": (lambda: grid(seed=3), r"seed must be a list of values; got 3: write seed=\[\.\.\.\]"),
    "array of no axis": (lambda: grid(seed=np.array(3)), r"seed must be a list of values; got array\(3\)"),
    "word": (lambda: grid(net="relu"), "net must be a list of values; got 'relu'"),
    "not finite": (lambda: grid(beta=[1.0, np.inf]), r"beta\[1\] must be finite"),
    "object": (lambda: grid(law=[np.random.default_rng(0)]), r"law\[0\] is of type Generator"),
    "set": (lambda: grid(seed=[{1, 2}]), r"seed\[0\] is of type set"),
    "masked": (lambda: grid(seed=[np.ma.masked_all(2)]), r"seed\[0\] must not have masked entries"),
    "masked axis": (lambda: grid(seed=np.ma.masked_all(2)), r"seed\[0\] must not have masked entries"),
    "complex": (lambda: grid(seed=np.array([1j])), r"seed\[0\] holds numbers of NumPy's type complex128"),
    "date": (lambda: grid(day=np.array(["2020-01-01"], dtype="M8[ns]")), r"day\[0\] holds .* datetime64"),
    "long double": (lambda: grid(beta=[np.array([1.0], np.clongdouble)]), r"beta\[0\] holds .* complex"),
}


@pytest.mark.parametrize("name", BAD_GRIDS)
def test_what_is_no_grid_is_refused(name: str) -> None:
    call, message = BAD_GRIDS[name]
    with pytest.raises(ValueError, match=message):
        call()


# --- The same values everywhere --------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["loky", DASK])
def test_values_do_not_depend_on_backend_or_order(backend: str, tmp_path: Path, request: Any) -> None:
    tasks = grid(seed=range(3), n=[60, 300])
    here = sweep(numbers, tasks, store=tmp_path / "here.jsonl")
    own = {"client": request.getfixturevalue("client")} if backend == "dask" else {"n_jobs": 2}
    there = sweep(numbers, tasks[::-1], store=tmp_path / "there.jsonl", backend=backend, **own)  # type: ignore[arg-type]
    assert there[::-1] == here
    assert sorted(lines(tmp_path / "there.jsonl")) == sorted(lines(tmp_path / "here.jsonl"))
    assert len({json.dumps(result) for result in here}) == len(tasks)


def test_a_task_has_one_thread_and_compiled_loops_wherever_it_is(where: dict[str, Any]) -> None:
    before = threadpoolctl.threadpool_info()
    found = sweep(setting, grid(seed=range(4)), **where | {"compiled": True})
    assert {task["threads"] for task in found} == {1}
    assert {task["native"] for task in found} == {_compiled._why_not() == ""}
    assert (os.getpid() in {task["process"] for task in found}) == (where["backend"] == "serial")
    assert threadpoolctl.threadpool_info() == before


def test_threads_are_limited_and_given_back() -> None:
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        (found,) = plainly(setting, grid(seed=[0]))
        assert found["threads"] == 1
        assert setting(0)["threads"] == 2


NOT_COMPILED = """
from convexdiff_lib import _compiled, grid, sweep
def native(seed): return _compiled._tiers.native
print(sweep(native, grid(seed=[0]), version="1", compiled=False), sweep(native, grid(seed=[0]), version="1"))
"""


def test_loops_are_left_alone_where_that_is_said() -> None:
    told = subprocess.run(
        [sys.executable, "-c", NOT_COMPILED], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert told.stdout.split() == ["[False]", f"[{_compiled._why_not() == ''}]"]


@pytest.mark.skipif(not HAS_DASK, reason="needs Dask: distributed")
def test_one_worker_of_every_machine_compiles() -> None:
    """Which these are is asked by name; here five workers on two machines."""
    from convexdiff_lib._workers import _compile_on_every_machine

    class Client:
        asked: list[Any] = []  # noqa: RUF012

        def run(self, function: Any) -> dict[str, str]:
            return {f"tcp://{i}": "one" if i < 3 else "two" for i in range(5)}

        def submit(self, function: Any, *, workers: list[str], pure: bool) -> str:
            self.asked.append((function, workers))
            return "future"

        def gather(self, futures: list[str]) -> None:
            self.asked.append(futures)

    _compile_on_every_machine(Client())
    assert Client.asked == [(_compile, ["tcp://2"]), (_compile, ["tcp://4"]), ["future", "future"]]


# --- Files -----------------------------------------------------------------------------------------------


def test_only_what_is_missing_is_computed(tmp_path: Path) -> None:
    CALLED.clear()
    run = partial(plainly, counted, store=tmp_path / "runs.jsonl", version="1")
    assert run(grid(seed=[2, 0, 2])) == [-2, 0, -2]
    assert run(grid(seed=range(4))) == [0, -1, -2, -3]
    assert CALLED == [2, 0, 1, 3]
    first = lines(tmp_path / "runs.jsonl")
    assert [json.loads(line)["task"] for line in first] == grid(seed=[2, 0, 1, 3])
    assert run(grid(seed=[0]), version="2") == [0]
    assert run(grid(seed=[0])) == [0]
    assert CALLED == [2, 0, 1, 3, 0]
    assert lines(tmp_path / "runs.jsonl")[:4] == first


def test_a_line_is_on_the_disk_before_the_next_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, synced = tmp_path / "runs.jsonl", []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(len(lines(store))), fsync(file)))

    def seen(seed: int) -> list[int]:
        return [len(lines(store)), len(synced)]

    assert plainly(seen, grid(seed=range(3)), store=store, version="1") == [[0, 0], [1, 1], [2, 2]]
    assert synced == [1, 2, 3]


def test_wherever_the_last_line_is_torn_nothing_else_is_lost(tmp_path: Path, caplog: Any) -> None:
    store, tasks = tmp_path / "runs.jsonl", grid(seed=range(3), beta=[0.5])
    results = plainly(quick, tasks, store=store)
    whole = store.read_bytes()
    last = len(lines(store)[-1])
    for cut in range(1, last):
        caplog.clear()
        store.write_bytes(whole[:-cut])
        assert plainly(quick, tasks[:2], store=store) == results[:2]
        kept = whole if cut == 1 else whole[:-last]  # a line that lacks its end only says all
        assert store.read_bytes() == kept
        said = [record.getMessage().partition(";")[0] for record in caplog.records]
        assert said == [f"line 3 of {store} is torn"] * (cut > 1)
        assert plainly(quick, tasks, store=store) == results
        assert store.read_bytes() == whole


def test_of_two_results_of_one_task_the_last_counts(tmp_path: Path) -> None:
    store = tmp_path / "runs.jsonl"
    plainly(quick, grid(seed=[0, 1]), store=store)
    first, second = lines(store)
    record = json.loads(first)
    store.write_bytes(first + second + first + json.dumps(record | {"result": 7}).encode() + b"\n" + second)
    before = store.read_bytes()
    assert plainly(quick, grid(seed=[0, 1])) == [record["result"], json.loads(second)["result"]]
    assert plainly(quick, grid(seed=[0, 1]), store=store) == [7, json.loads(second)["result"]]
    assert store.read_bytes() == before


def test_the_order_of_parameters_does_not_count(tmp_path: Path) -> None:
    run = partial(plainly, counted, version="1", store=tmp_path / "runs.jsonl")
    CALLED.clear()
    assert run([{"seed": 1, "more": 2}, {"more": 2, "seed": 1}]) == [-1, -1]
    assert run([{"more": 2, "seed": 1}]) == [-1]
    assert CALLED == [1]


@pytest.mark.parametrize(
    ("content", "number"),
    [
        (b"a diary", 1),
        (b'{"other": 1}\n', 1),
        (b"GOOD{}\n", 2),
        (b"GOOD[1, 2]", 2),
        (b'GOOD{"task": 3, "version": "1", "result": 1}\n', 2),
        (b"GOOD\x00\x00GOOD", 2),
    ],
)
def test_a_file_of_something_else_is_refused_and_stays(content: bytes, number: int, tmp_path: Path) -> None:
    store = tmp_path / "runs.jsonl"
    plainly(quick, grid(seed=[0]), store=store)
    content = content.replace(b"GOOD", store.read_bytes())
    store.write_bytes(content)
    with pytest.raises(ValueError, match=f"line {number} of store is no result of a sweep"):
        plainly(quick, grid(seed=[1]), store=store)
    assert store.read_bytes() == content


@pytest.mark.parametrize(
    ("torn", "numbers"),
    [
        (b"", [2]),
        (b'{"task": {"seed": 1}, "ver', [2]),
        (b'{"task": {"seed": 1}, {"task": {"seed": 2}, "version": "1", "result": 2}', [2]),
        (b'{"task": {"seed"\x00\x00', [2]),
        (b"\x00\x00\x00", [2]),
        (b"\x00\n{", [2, 3]),
        (b'{"task": {"seed": 1}, "version": "1", "result": ' + b"[" * 100_000, [2]),
    ],
)
def test_lines_that_something_else_has_torn_do_not_count_and_stay(
    torn: bytes, numbers: list[int], tmp_path: Path, caplog: Any
) -> None:
    CALLED.clear()
    store, run = tmp_path / "runs.jsonl", partial(plainly, counted, version="1")
    run(grid(seed=[0, 1]), store=store)
    first, second = lines(store)
    content = first + torn + b"\n" + second
    store.write_bytes(content)
    assert run(grid(seed=range(3)), store=store) == [0, -1, -2]
    assert CALLED == [0, 1, 2]
    assert store.read_bytes().startswith(content)
    assert len(lines(store)) == 4 + torn.count(b"\n")
    said = [record.getMessage().partition(";")[0] for record in caplog.records]
    assert said == [f"line {number} of {store} is torn" for number in numbers]


def test_zeros_after_a_loss_of_power_are_dropped(tmp_path: Path) -> None:
    store = tmp_path / "runs.jsonl"
    plainly(quick, grid(seed=[0]), store=store)
    whole = store.read_bytes()
    for zeros in (b"\0" * 99, whole[:30] + b"\0" * 99):
        store.write_bytes(whole + zeros)
        plainly(quick, grid(seed=[0]), store=store)
        assert store.read_bytes() == whole


def test_a_file_system_may_have_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl", reason="needs locks, to do without them")

    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    assert plainly(quick, grid(seed=[0]), store=tmp_path / "runs.jsonl") == [quick(0)]


@pytest.mark.skipif(sys.platform == "win32", reason="files are not locked on Windows")
def test_one_sweep_writes_to_a_file_at_a_time(tmp_path: Path) -> None:
    store = tmp_path / "runs.jsonl"

    def nested(seed: int) -> Any:
        return plainly(quick, grid(seed=[seed]), store=store)

    with pytest.raises(TasksFailedError, match="store is being written by another sweep"):
        plainly(nested, grid(seed=[0]), store=store, version="1")
    assert len(plainly(quick, grid(seed=[0]), store=store)) == 1


KILLED = """
import sys
import time
from pathlib import Path

import numpy as np

from convexdiff_lib import grid, sweep


def waits(seed, folder):
    folder = Path(folder)
    with (folder / "calls").open("a") as calls:
        calls.write(f"{seed}\\n")
    while seed >= 4 and not (folder / "go").exists():
        time.sleep(0.01)
    return {"seed": seed, "values": np.random.default_rng(seed).normal(size=5)}


if __name__ == "__main__":
    folder, backend, jobs = sys.argv[1:]
    options = {"backend": backend, "n_jobs": int(jobs), "compiled": False}
    found = sweep(waits, grid(seed=range(10), folder=[folder]), store=f"{folder}/runs.jsonl", **options)
    print([result["values"] for result in found])
"""


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.skipif(sys.platform == "win32", reason="kills a group of processes")
def test_killed_and_resumed(backend: str, tmp_path: Path) -> None:
    """Tasks from the fifth on wait, so that the kill finds four done, others in the middle, one line torn."""
    (tmp_path / "script.py").write_text(KILLED)
    store = tmp_path / "runs.jsonl"
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path), backend]
    command += ["2" if backend == "loky" else "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with (tmp_path / "said").open("wb") as said:
        killed = subprocess.Popen(command, env=environment, start_new_session=True, stderr=said)
    try:
        end = time.monotonic() + PATIENCE
        while not (store.exists() and len(lines(store)) == 4 and calls(tmp_path) > 4):
            assert killed.poll() is None, (tmp_path / "said").read_text()
            assert time.monotonic() < end, (tmp_path / "said").read_text()
            time.sleep(0.05)
    finally:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    done, called = store.read_bytes(), calls(tmp_path)
    assert {json.loads(line)["task"]["seed"] for line in lines(store)} == {0, 1, 2, 3}
    store.write_bytes(done + lines(store)[0][:-20])
    (tmp_path / "go").touch()
    resumed = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert calls(tmp_path) == called + 6  # none of those that were done
    assert store.read_bytes()[: len(done)] == done
    assert len(lines(store)) == 10
    values = [np.random.default_rng(seed).normal(size=5).tolist() for seed in range(10)]
    assert json.loads(resumed.stdout) == values
    assert f"line 5 of {store} is torn" in resumed.stderr


def calls(folder: Path) -> int:
    return len((folder / "calls").read_text().splitlines()) if (folder / "calls").exists() else 0


# --- Failures --------------------------------------------------------------------------------------------


def test_a_task_that_fails_is_named_and_loses_no_other(where: dict[str, Any], tmp_path: Path) -> None:
    store = tmp_path / "runs.jsonl"
    message = '^4 of 9 tasks failed\n  {"seed":1}: ZeroDivisionError: seed 1 is odd\n(.*\n){2}  and 1 more$'
    for _ in range(2):
        with pytest.raises(TasksFailedError, match=message) as held:
            sweep(fails, grid(seed=range(9)), store=store, **where)
        assert held.value.results == [0, None, 2, None, 4, None, 6, None, 8]
        assert [task for task, _ in held.value.failures] == grid(seed=[1, 3, 5, 7])
        assert all("in fails" in text and "ZeroDivisionError" in text for _, text in held.value.failures)
        assert len(lines(store)) == 5


@pytest.mark.parametrize("backend", ["loky", DASK])
def test_a_task_that_kills_its_worker_is_named_and_loses_no_other(
    backend: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_OWN_CLUSTER, "distributed.scheduler.allowed-failures", 0)  # a restart takes seconds
    store = tmp_path / "runs.jsonl"
    message = r"^1 of 7 tasks failed\n  {\"seed\":2}: (A worker process died|KilledWorker: )"
    with pytest.raises(TasksFailedError, match=message) as held:
        plainly(dies, grid(seed=range(7)), store=store, backend=backend, n_jobs=2)
    assert held.value.results == [0, 1, None, 3, 4, 5, 6]
    assert len(lines(store)) == 6


def test_the_first_line_of_a_message_is_shown(where: dict[str, Any]) -> None:
    def fails(seed: int) -> None:
        try:
            raise KeyError(seed)
        except KeyError as error:
            raise RuntimeError(f"no seed {seed}\n\n  in particular\nor so") from error

    with pytest.raises(
        TasksFailedError, match=r'^1 of 1 tasks failed\n  {"seed":3}: RuntimeError: no seed 3$'
    ):
        sweep(fails, grid(seed=[3]), version="1", **where)


def test_a_message_may_end_as_a_traceback_begins(where: dict[str, Any]) -> None:
    """As what another program had said does, where it was cut off."""

    def fails(seed: int) -> None:
        raise RuntimeError("Traceback (most recent call last):\n")

    with pytest.raises(TasksFailedError, match=r"RuntimeError: Traceback \(most recent call last\):$"):
        sweep(fails, grid(seed=[3]), version="1", **where)


def test_what_is_done_when_the_user_interrupts_is_kept(tmp_path: Path) -> None:
    def interrupted(seed: int) -> int:
        if seed == 3:
            raise KeyboardInterrupt
        return seed

    run = partial(plainly, store=tmp_path / "runs.jsonl", version="1")
    with pytest.raises(KeyboardInterrupt):
        run(interrupted, grid(seed=range(6)))
    assert len(lines(tmp_path / "runs.jsonl")) == 3


# --- Results ---------------------------------------------------------------------------------------------

RESULTS: dict[str, tuple[Any, Any]] = {
    "numbers of NumPy": ((np.float64(0.1), np.int8(3), np.bool_(True)), [0.1, 3, True]),
    "few bits": (np.float32(0.1), 0.10000000149011612),
    "arrays": (
        {"a": np.eye(2), "b": np.array(2.5), "c": np.array([])},
        {"a": [[1, 0], [0, 1]], "b": 2.5, "c": []},
    ),
    "objects": (np.array([1, None, "x"], dtype=object), [1, None, "x"]),
    "strings": ([np.str_("é"), "\n"], ["é", "\n"]),
    "nothing": (None, None),
    "not finite": ([np.inf, -np.inf], [np.inf, -np.inf]),
    "large": (2**80, 2**80),
    "smallest": (5e-324, 5e-324),
    "whole mask": (np.ma.array([1.0, 2.0]), [1.0, 2.0]),
}


@pytest.mark.parametrize("name", RESULTS)
def test_results_are_those_that_a_file_gives_back(name: str, tmp_path: Path) -> None:
    given, expected = RESULTS[name]
    run = partial(plainly, lambda seed: given, grid(seed=[0]), store=tmp_path / "runs.jsonl", version="1")
    (computed,), (read,) = run(), run()
    assert computed == read == expected
    assert type(computed) is type(read) is type(expected)


def test_a_result_may_be_no_number(tmp_path: Path) -> None:
    run = partial(plainly, lambda seed: np.nan, grid(seed=[0]), store=tmp_path / "runs.jsonl", version="1")
    assert np.isnan([run(), run()]).all()


NO_RESULTS: dict[str, tuple[Any, str]] = {
    "an object": ({"fit": [object()]}, r"the result\['fit'\]\[0\] is of type object"),
    "a fit": (score_matching([0.0, 1.0], 3.0), "the result is of type UnivariateScore"),
    "a set": ({1, 2}, "the result is of type set"),
    "keys": ({1: 2}, "keys of the result must be strings, as JSON has no others; got 1"),
    "complex": (1j, "the result is of type complex"),
    "complex of NumPy": (np.complex128(1j), "the result holds numbers of NumPy's type complex128"),
    "masked": (np.ma.masked_all(3), "the result must not have masked entries"),
    "bytes": (b"x", "the result is of type bytes"),
    "records": (np.zeros(2, dtype=[("a", float)]), "the result holds numbers of NumPy's type"),
    "dates": (np.datetime64("2020-01-01", "ns"), "the result holds numbers of NumPy's type datetime64"),
}


@pytest.mark.parametrize("name", NO_RESULTS)
def test_what_a_file_cannot_give_back_is_refused(name: str, tmp_path: Path) -> None:
    given, message = NO_RESULTS[name]
    with pytest.raises(TasksFailedError, match=message):
        plainly(lambda seed: given, grid(seed=[0]), store=tmp_path / "runs.jsonl", version="1")
    assert lines(tmp_path / "runs.jsonl") == []


# --- Versions --------------------------------------------------------------------------------------------


def closing_over(value: Any) -> Callable[[int], Any]:
    return lambda seed: value


def with_default(seed: int, value: Any = 1) -> Any:
    return value


def other_default(seed: int, value: Any = 2) -> Any:
    return value


class Method:
    def method(self, seed: int) -> int:
        return seed


def decorated(function: Any) -> Any:
    return wraps(function)(lambda **task: function(**task))


FACTOR, PLACES = 2.0, [1]


def helped(seed: int) -> float:
    return FACTOR * helper(seed) + len(PLACES)


def helper(seed: int) -> int:
    return helped(seed - 1) if seed < 0 else seed  # type: ignore[return-value]


def test_versions_differ_where_the_code_does() -> None:
    def one(seed: int) -> int:
        return seed

    first = one

    def one(seed: int) -> int:  # type: ignore[no-redef]
        return seed + 1

    pair = [lambda seed: seed % 2, lambda seed: seed % 3]  # on one line
    functions = [
        quick, fails, first, one, *pair, closing_over(1), closing_over(2), closing_over(quick),
        closing_over(fails), with_default, other_default, partial(quick, beta=1.0), partial(quick, beta=2.0),
        partial(quick, 3), decorated(quick), decorated(fails),
    ]  # fmt: skip
    codes = [code_version(function, "") for function in functions]
    assert len(set(codes)) == len(functions)
    assert codes == [code_version(function, "") for function in functions]
    assert len({code_version(quick, version) for version in ("", "1", "2")}) == 3
    assert code_version(cache(quick), "") == code_version(quick, "")


def test_versions_differ_where_something_in_the_module_does(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[__name__]
    codes = [code_version(helped, "")]
    for name, value in {"FACTOR": 3.0, "helper": fails, "np": json}.items():
        monkeypatch.setattr(module, name, value)
        codes += [code_version(helped, ""), code_version(quick, "")]
    first, factor, quick_before, other, _, _, quick_after = codes
    assert len({first, factor, other}) == 3
    assert quick_before != quick_after
    monkeypatch.undo()
    PLACES.append(2)  # as a cache may grow while tasks are done
    assert code_version(helped, "") == first


VERSION = """
from convexdiff_lib._code_version import code_version


{comment}
def function(seed):
    return seed in {{"a", "b", "c", "d"}} or [lambda: seed for _ in range(9)]


print(code_version(function, ""))
"""


def test_a_version_is_the_same_in_every_process_wherever_the_code_stands(tmp_path: Path) -> None:
    found = set()
    for seed in "12":
        (tmp_path / "script.py").write_text(VERSION.format(comment="# more\n" * int(seed)))
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed}
        found.add(
            subprocess.check_output([sys.executable, str(tmp_path / "script.py")], env=environment, text=True)
        )
    assert len(found) == 1


@pytest.mark.parametrize("function", [max, closing_over(np), Method().method, partial(quick, beta=object())])
def test_what_has_no_version_of_its_own_needs_one(function: Any) -> None:
    with pytest.raises(ValueError, match=r"say version='\.\.\.'"):
        code_version(function, "")
    assert code_version(function, "1") != code_version(function, "2")


# --- Bad input -------------------------------------------------------------------------------------------

ONE = [{"seed": 0}]
LOCK = threading.Lock()


def locked() -> Callable[[int], bool]:
    lock = LOCK
    return lambda seed: lock.locked()


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "no function": (lambda: sweep(3, ONE), "function must be something to call; got 3"),  # type: ignore[arg-type]
    "no tasks": (lambda: sweep(quick, []), "there must be at least one task"),
    "one task": (lambda: sweep(quick, {"seed": 1}), "tasks must be a list of dictionaries"),  # type: ignore[arg-type]
    "number": (lambda: sweep(quick, 3), "tasks must be a list of dictionaries"),  # type: ignore[arg-type]
    "tasks of numbers": (lambda: sweep(quick, [3]), r"tasks\[0\] must be a dictionary"),  # type: ignore[list-item]
    "value": (lambda: sweep(quick, [{"seed": {1}}]), r"tasks\[0\]\['seed'\] is of type set"),
    "infinite": (lambda: sweep(quick, [{"seed": np.nan}]), r"tasks\[0\] must be finite"),
    "unknown": (lambda: sweep(quick, grid(sigma=[1])), "function does not take the parameters sigma: "),
    "missing": (lambda: sweep(quick, grid(beta=[1.0])), "function does not take .*missing .*'seed'"),
    "backend": (lambda: sweep(quick, ONE, backend="ray"), "one of 'serial', 'loky', 'dask'; got 'ray'"),  # type: ignore[arg-type]
    "no backend": (lambda: sweep(quick, ONE, backend=[]), "backend must be one of"),  # type: ignore[arg-type]
    "no jobs": (
        lambda: sweep(quick, ONE, backend="loky", n_jobs=0),
        "n_jobs must be an integer, at least 1; got 0",
    ),
    "-2 jobs": (
        lambda: sweep(quick, ONE, backend="dask", n_jobs=-2),
        "n_jobs must be an integer, at least 1",
    ),
    "serial, all cores": (lambda: sweep(quick, ONE, n_jobs=-1), "n_jobs=-1 needs backend='loky' or 'dask'"),
    "half a job": (lambda: sweep(quick, ONE, n_jobs=0.5), "n_jobs must be an integer"),  # type: ignore[arg-type]
    "serial jobs": (lambda: sweep(quick, ONE, n_jobs=2), "n_jobs=2 needs backend='loky' or 'dask'"),
    "client": (lambda: sweep(quick, ONE, client=3), "client needs backend='dask'; got backend='serial'"),
    "jobs of a client": (
        lambda: sweep(quick, ONE, backend="dask", client=3, n_jobs=2),
        "n_jobs must be None",
    ),
    "store": (lambda: sweep(quick, ONE, store=3), "store must be the path of a file, or None; got 3"),  # type: ignore[arg-type]
    "folder": (lambda: sweep(quick, ONE, store="."), "store must be a file, not a folder"),
    "device": (lambda: sweep(quick, ONE, store=os.devnull), "store must be a file, not a device or a pipe"),
    "no folder": (lambda: sweep(quick, ONE, store="nowhere/a.jsonl"), "no nowhere"),
    "version": (lambda: sweep(quick, ONE, version=2), "version must be a string; got 2"),  # type: ignore[arg-type]
    "compiled": (lambda: sweep(quick, ONE, compiled=1), "compiled must be True or False; got 1"),  # type: ignore[arg-type]
    "cannot be sent": (
        lambda: sweep(locked(), ONE, version="1", backend="loky", store="not_there.jsonl"),
        "function cannot be sent to other processes: .*lock.*; backend='serial' does without",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_before_anything_is_done(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, message = BAD[name]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        call()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not HAS_DASK, reason="needs Dask: distributed")
def test_a_client_is_one_that_is_connected(client: Any) -> None:
    import distributed

    closed = distributed.Client(client.scheduler.address, set_as_default=False)
    closed.close()
    for bad in (3, closed):
        with pytest.raises(ValueError, match=r"client must be a connected distributed\.Client"):
            plainly(quick, ONE, backend="dask", client=bad)
    assert plainly(quick, ONE, backend="dask", client=client) == [quick(0)]
    assert client.status == "running"


WITHOUT = """
import sys
sys.modules[{package!r}] = None
from convexdiff_lib import grid, sweep
try:
    sweep(dict, grid(x=[1, 2]), version="1", backend={backend!r})
except ImportError as error:
    print(error, error.name)
"""


@pytest.mark.parametrize(
    ("package", "backend", "told"),
    [
        ("threadpoolctl", "serial", "needs threadpoolctl: pip install 'convexdiff-lib[sweeps]'"),
        ("cloudpickle", "loky", "needs joblib and cloudpickle: pip install 'convexdiff-lib[sweeps]'"),
        ("joblib", "loky", "needs joblib and cloudpickle: pip install 'convexdiff-lib[sweeps]'"),
        ("distributed", "dask", "needs Dask: pip install 'convexdiff-lib[dask]'"),
        ("cloudpickle", "dask", "needs Dask: pip install 'convexdiff-lib[dask]'"),
    ],
)
def test_what_is_not_installed_is_named(package: str, backend: str, told: str) -> None:
    script = WITHOUT.format(package=package, backend=backend)
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert found.stdout.strip() == f"{told} {package}"
