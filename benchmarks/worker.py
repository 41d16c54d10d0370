"""A child process that runs cases one by one, so that one can be stopped and its memory is its own."""

from __future__ import annotations

import multiprocessing
import resource
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

Record = dict[str, Any]
Handler = Callable[[Any], Record]

_SPAWN = multiprocessing.get_context("spawn")


def peak_mib() -> float:
    """Return the largest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB, on macOS bytes
    return peak / (1024.0**2 if sys.platform == "darwin" else 1024.0)


def _serve(pipe: Connection, handler: Handler, warm_up: Callable[[], object]) -> None:
    warm_up()
    pipe.send({})
    while True:
        case = pipe.recv()
        try:
            record = handler(case)
        except Exception as error:  # an alternative may fail in any way: that is its result
            # The last line is the one that says how far a certificate is from holding.
            record = {"status": f"{type(error).__name__}: {(str(error).splitlines() or [''])[-1]}"[:120]}
        pipe.send(record)


class Worker:
    """Runs ``handler`` in a child process that is replaced when a case takes too long or kills it."""

    def __init__(self, handler: Handler, warm_up: Callable[[], object]) -> None:
        self.handler, self.warm_up = handler, warm_up
        self._start()

    def _start(self) -> None:
        self.pipe, end = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=_serve, args=(end, self.handler, self.warm_up), daemon=True)
        self.process.start()
        end.close()
        self.pipe.recv()

    def stop(self) -> None:
        """End the child process."""
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def run(self, case: object, limit: float, *, fresh: bool) -> Record:
        """Run one case, in a new process if ``fresh``; its status says whether the time ran out."""
        if fresh:
            self.stop()
            self._start()
        self.pipe.send(case)
        if self.pipe.poll(limit):
            try:
                record: Record = self.pipe.recv()
                return record
            except EOFError:
                status = "crashed"
        else:
            status = "time limit"
        self.stop()
        self._start()
        return {"status": status, "seconds": limit} if status == "time limit" else {"status": status}
