"""Loops over the data, in two forms of one source: interpreted as they stand, or compiled with numba.

Why numba: a pass over the points that NumPy writes as twenty operations on whole arrays, each reading and
writing memory, is one loop that reads them once, and the loops of two threads run side by side.

Why not from the start: to compile all loops takes some fifteen seconds, once; to load them from disk, numba
included, most of a second, in every process.  A few thousand points are fitted sooner as plain Python.  So
loops are interpreted until that has taken as long as the compiled form would take to get, and so the whole
never takes more than twice the shortest possible time: first until it pays to load what is on disk, and if
nothing is there, until it pays to compile, which is announced.  Very long arrays do not wait.  What is
compiled is kept on disk, beside the source or where ``NUMBA_CACHE_DIR`` says.  ``CONVEXDIFF_NUMBA=0``
interprets to the end; ``CONVEXDIFF_NUMBA=1`` compiles from the start, and does not announce it.

Without numba everything works, a hundred to three hundred times more slowly: a fit takes 0.1 to 0.2 s for
up to 5,000 points, 1 to 5 s for 100,000 and 10 to 50 s for a million, where compiled loops take 0.3 ms for a
thousand points and 0.1 to 0.2 s for a million (standard normal data, a weight decay of n/100).

A compiled loop holds copies of the loops that it calls, and what is on disk is renewed when its own module
changes.  So it calls loops of its own module only.  Interpreted loops follow numba's rules: a division by
zero is no error, and numbers are returned as Python's own.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable
from functools import cache, wraps
from threading import RLock
from types import FunctionType
from typing import Any, TypeVar, cast

import numpy as np

__all__ = ["LOOPS", "TieredLoop", "compile_from_now_on", "compiled", "compiled_sum"]

Loop = TypeVar("Loop", bound=Callable[..., object])
_Form = Callable[..., Any]
_Options = dict[str, Any]
_Patience = tuple[float, float]  # seconds of interpreting, or points at once, after which it is enough

# About what it costs to load compiled loops, or to compile them: a fit of so many points takes as long.
_UNTIL_LOADED: _Patience = (0.7, 4e4)
_UNTIL_COMPILED: _Patience = (15.0, 1e6)
_FOR_EVER: _Patience = (np.inf, np.inf)

_clock = getattr(time, "thread_time", time.perf_counter)  # what other processes and threads do does not count
_lock = RLock()


class TieredLoop:
    """A loop and its two forms; ``run`` is what is called."""

    def __init__(self, function: FunctionType, options: _Options) -> None:
        self.function, self.options = function, options
        self.interpreted: _Form | None = None
        self.native: Any = None
        self.run: _Form = self.first

    def first(self, *arguments: object) -> object:
        """Settle what is called, now that all loops of the module are known."""
        with _lock:
            if _tiers.setting == "1" and not _tiers.native:
                compile_from_now_on()
            if _tiers.native:
                _make_native(self)
                self.run = self.native
                if self.native.stats.cache_path is None:
                    _say(_NOT_KEPT)
            else:
                _make_interpreted(self)
                self.run = self.interpret
        return self.run(*arguments)

    def interpret(self, *arguments: object) -> object:
        """Run the loop as it stands, and keep the time, unless that is no longer worth it."""
        if _tiers.end_here(arguments):
            return self.run(*arguments)
        begin = _clock()
        try:
            with np.errstate(all="ignore"):
                return _as_python(cast(_Form, self.interpreted)(*map(_as_numpy, arguments)))
        finally:
            _tiers.spent += _clock() - begin


LOOPS: list[TieredLoop] = []


def compiled(loop: Loop) -> Loop:
    """Compile a function of arrays and numbers, once that pays, with NumPy's rules for divisions."""
    return _tiered(loop, {})


def compiled_sum(loop: Loop) -> Loop:
    """Compile a function that may add its terms in any order, so in several registers at once."""
    return _tiered(loop, {"fastmath": {"reassoc"}})


def _tiered(loop: Loop, options: _Options) -> Loop:
    tiered = TieredLoop(cast(FunctionType, loop), options)
    LOOPS.append(tiered)

    @wraps(loop)
    def call(*arguments: object) -> object:
        return tiered.run(*arguments)

    return cast(Loop, call)


def compile_from_now_on() -> None:
    """Call the compiled form of every loop from now on; it is loaded or compiled at its first call.

    Raises
    ------
    ImportError
        If nothing can be compiled.
    """
    with _lock:
        if reason := _why_not():
            raise ImportError(f"loops over the data cannot be compiled: {reason}")
        for loop in LOOPS:
            loop.run = loop.first  # which waits for the lock
        _tiers.native = True


class _Tiers:
    """Which form is called, and how long loops have been interpreted."""

    def __init__(self, setting: str) -> None:
        if setting not in ("", "0", "1"):
            raise ValueError(
                "the environment variable CONVEXDIFF_NUMBA must be 0 (never compile), 1 (compile from the "
                f"start) or not set (compile when it pays); it is {setting!r}"
            )
        self.setting = setting
        self.native = False
        self.spent = 0.0
        self.patience = _FOR_EVER if setting == "0" else _UNTIL_LOADED

    def end_here(self, arguments: tuple[object, ...]) -> bool:
        """Whether this call is not to be interpreted, nor any after it."""
        if not self._is_over(arguments):
            return False
        with _lock:
            while self._is_over(arguments) and not self.native:
                self._reconsider()
        return self.native

    def _is_over(self, arguments: tuple[object, ...]) -> bool:
        seconds, points = self.patience
        return self.spent >= seconds or _longest(arguments) >= points

    def _reconsider(self) -> None:
        """Load compiled loops, or compile them; or go on with more patience."""
        last = self.patience == _UNTIL_COMPILED
        reason = _why_not()
        if not reason and (last or _are_on_disk()):
            _announce_compilation()
            compile_from_now_on()
            return
        self.patience = _FOR_EVER if last else _UNTIL_COMPILED
        if last:
            _say(_NOT_COMPILED.format(reason))


_tiers = _Tiers(os.environ.get("CONVEXDIFF_NUMBA", ""))


def _longest(arguments: Iterable[object]) -> int:
    """The length of the longest array among the arguments."""
    longest = 0
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            longest = max(longest, len(argument))
        elif isinstance(argument, tuple):
            longest = max(longest, _longest(argument))
    return longest


def _as_numpy(argument: Any) -> Any:
    """Python's own numbers raise an error where they are divided by zero."""
    if isinstance(argument, tuple):
        return _like(argument, map(_as_numpy, argument))
    return np.float64(argument) if isinstance(argument, float) else argument


def _as_python(value: Any) -> Any:
    """Return numbers as compiled loops do."""
    if isinstance(value, tuple):
        return _like(value, map(_as_python, value))
    return value.item() if isinstance(value, np.generic) else value


def _like(group: Any, members: Iterable[Any]) -> Any:
    """A tuple, or a named one."""
    return group._make(members) if hasattr(group, "_make") else tuple(members)


# --- The two forms ---------------------------------------------------------------------------------------


def _siblings(loop: TieredLoop) -> list[TieredLoop]:
    """All loops of its module."""
    return [other for other in LOOPS if other.function.__globals__ is loop.function.__globals__]


def _make_interpreted(loop: TieredLoop) -> None:
    """Tie the loops of a module together as they stand."""
    if loop.interpreted is None:
        for sibling, form in _forms(loop, lambda copy, _: copy):
            sibling.interpreted = form


def _make_native(loop: TieredLoop) -> None:
    """Tie the loops of a module together as numba's."""
    if loop.native is None:
        for sibling, form in _forms(loop, _dispatcher):
            sibling.native = form


def _forms(
    loop: TieredLoop, make: Callable[[FunctionType, _Options], Any]
) -> Iterable[tuple[TieredLoop, Any]]:
    """Copy the loops of a module, and let each copy find the forms of the others where it looks for them."""
    namespace = dict(loop.function.__globals__)
    for sibling in _siblings(loop):
        function = sibling.function
        copy = FunctionType(function.__code__, namespace, function.__name__, function.__defaults__)
        copy.__qualname__ = function.__qualname__
        namespace[function.__name__] = form = make(copy, sibling.options)
        yield sibling, form


def _why_not() -> str:
    """Say why nothing can be compiled; nothing, if it can."""
    if _tiers.setting == "0":
        return "CONVEXDIFF_NUMBA=0"
    try:
        import numba
    except ModuleNotFoundError:
        return "numba is not installed (pip install numba)"
    except Exception as error:  # its version and that of NumPy may not match, or a library not be found
        return f"numba cannot be imported ({error})"
    return "NUMBA_DISABLE_JIT=1" if numba.config.DISABLE_JIT else ""  # type: ignore[attr-defined]


def _dispatcher(copy: FunctionType, options: _Options) -> Any:
    """What compiles a loop at its first call, or loads it from disk."""
    import numba

    options = options | {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(copy)
    except RuntimeError:  # no folder in which it could be kept can be written
        return numba.njit(**options)(copy)


def _are_on_disk() -> bool:
    """Whether most of the loops that were called so far seem to be on disk."""
    called = [loop for loop in LOOPS if loop.run == loop.interpret]
    for loop in called:
        _make_native(loop)
    return 2 * sum(map(_is_on_disk, called)) > len(called)


def _is_on_disk(loop: TieredLoop) -> bool:
    """Whether numba has kept a loop for its source as it is, which some versions of it tell by the date."""
    kept = getattr(loop.native._cache, "_cache_file", None)  # none where nothing can be written
    return kept is not None and bool(kept._load_index())


# --- What is said ----------------------------------------------------------------------------------------


_COMPILING = (
    "convexdiff_lib is compiling its loops over the data, which takes up to half a minute, once "
    "(convexdiff_lib.compile_loops() does it beforehand)"
)
_NOT_KEPT = (
    "convexdiff_lib cannot keep its compiled loops, so that every process compiles them: neither its own "
    "folder nor the user's cache can be written. Let NUMBA_CACHE_DIR name a folder that can."
)
_NOT_COMPILED = "convexdiff_lib goes on without compiled loops, which is slow: {}"


@cache
def _say(message: str) -> None:
    """Say something once; where logging is not set up, it appears on the standard error stream."""
    logging.getLogger("convexdiff_lib").warning(message)


@cache
def _announce_compilation() -> None:
    """Say it when the first loop is compiled: what seems to be on disk may be of another processor."""
    from numba.core import event

    class Announcement(event.Listener):
        def on_start(self, event: Any) -> None:
            if any(loop.native is event.data["dispatcher"] for loop in LOOPS):
                _say(_COMPILING)

        def on_end(self, event: Any) -> None:
            pass

    event.register("numba:compile", Announcement())  # type: ignore[no-untyped-call]
