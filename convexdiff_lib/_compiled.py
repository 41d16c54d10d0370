"""Compile loops over the data.

Why numba: a pass over the points that NumPy writes as twenty operations on whole arrays, each reading and
writing memory, is one loop that reads them once, and the loops of two threads run side by side.  What is
compiled is kept on disk, beside the source; compiling all loops takes some seconds, once.

A compiled loop holds copies of the loops that it calls, and what is on disk is renewed when its own module
changes.  So it calls loops of its own module only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

__all__ = ["compiled", "compiled_sum"]

Loop = TypeVar("Loop", bound=Callable[..., object])


def compiled(loop: Loop) -> Loop:
    """Compile a function of arrays and numbers at its first call, with NumPy's rules for divisions."""
    return cast(Loop, numba.njit(cache=True, nogil=True, error_model="numpy")(loop))


def compiled_sum(loop: Loop) -> Loop:
    """Compile a function that may add its terms in any order, so in several registers at once."""
    return cast(Loop, numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc"})(loop))
