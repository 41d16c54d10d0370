"""The paper as printed: its convex programs in CVXPY, its Adam baseline, its experiments.

References and reproductions: nothing else of the library stands on them.
"""

import lazy_loader

_attribute, __dir__, _names = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    """Load a name; ``import *`` asks for ``__all__``, which depends on what is installed."""
    if name != "__all__":
        return _attribute(name)
    from .._optional import at_hand

    return at_hand(_names)
