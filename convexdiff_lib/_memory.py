"""Keep freed memory for the next array.

Allocators hand large freed blocks back to the operating system, which clears every page before it gives one
out again.  Arrays of a hundred thousand numbers then cost more to allocate than to compute.
"""

from __future__ import annotations

from functools import cache

import numpy as np

__all__ = ["keep_freed_memory"]

_JUST_BELOW_32_MIB = 2**25 - 2**15


@cache
def keep_freed_memory() -> None:
    """Make the allocator keep blocks of up to 32 MiB, where it learns from what is freed, as glibc's does.

    Freeing one untouched block teaches it the size, for good; elsewhere this does nothing, at no cost either.
    """
    np.empty(_JUST_BELOW_32_MIB, dtype=np.uint8)
