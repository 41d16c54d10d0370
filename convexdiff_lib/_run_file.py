"""A file of results, one line for each task that is done: what a killed sweep goes on from.

A line is ``{"task": {...}, "version": "...", "result": ...}``.  It is written at once, and on the disk before
the next begins.  So a kill, or a machine that loses its power, can tear the last line only, or leave zeros
there.  It is dropped when the file is opened again, and its task done again.  Every other line stays as it
is, those of other versions included, and one that something else has torn, which does not count.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from ._plain import canonical

__all__ = ["RunFile"]

_BEGINNING = b'{"task": {'


class RunFile:
    """The results of one version of a function, in the file and in memory; without a path in memory alone.

    Parameters
    ----------
    path : Path or None
        Created if there is none.
    version : str
        Of the function: results of others are neither read nor touched.
    """

    def __init__(self, path: Path | None, version: str) -> None:
        self.path, self.version = path, version
        self.results: dict[str, Any] = {}

    def __enter__(self) -> RunFile:
        if self.path is not None:
            self._file = self.path.open("a+b")
            try:
                self._lock()
                self._read()
            except BaseException:
                self._file.close()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.path is not None:
            self._file.close()

    def keep(self, task: str, result: str) -> None:
        """Add a result, both in JSON; it is on the disk when this returns."""
        if self.path is not None:
            line = f'{{"task": {task}, "version": "{self.version}", "result": {result}}}\n'
            self._write(line.encode("ascii"))
        self.results[task] = json.loads(result)

    def _write(self, line: bytes) -> None:
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())

    def _lock(self) -> None:
        """Refuse a second writer, whose lines might look torn; the lock ends with the process."""
        try:
            import fcntl
        except ImportError:  # on Windows, in a browser
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"store is being written by another sweep: {self.path}") from error
        except OSError:  # some file systems of clusters have no locks
            return

    def _read(self) -> None:
        """Take what the file has; of results of the same task the last one counts."""
        self._file.seek(0)
        begin = 0
        for number, line in enumerate(self._file, start=1):
            whole, ends = _parsed(line), line.endswith(b"\n")
            if whole is None and not _may_be_torn(line):
                raise ValueError(f"line {number} of store is no result of a sweep: {line!r:.80}; {self.path}")
            if whole is None:
                self._say_torn(number)
                if not ends:
                    self._file.truncate(begin)
            elif whole["version"] == self.version:
                self.results[canonical(whole["task"])] = whole["result"]
            if whole is not None and not ends:
                self._write(b"\n")
            begin += len(line)

    def _say_torn(self, number: int) -> None:
        logging.getLogger("convexdiff_lib").warning(
            "line %d of %s is torn; it does not count, and its task is done again", number, self.path
        )


def _parsed(line: bytes) -> dict[str, Any] | None:
    """What a line says, if that is the result of a task."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    fits = isinstance(found, dict) and found.keys() == {"task", "version", "result"}
    return found if fits and isinstance(found["task"], dict) else None


def _may_be_torn(line: bytes) -> bool:
    """Whether a line begins as all do, or ends in zeros before it differs, or is empty."""
    begun = line.rstrip(b"\0\r\n")[: len(_BEGINNING)]
    return _BEGINNING.startswith(begun)
