"""Exact score matching with two-layer networks, by convex optimization, with certificates.

``import convexdiff_lib as cd`` offers what readers of the book and practitioners call; a module is loaded
when a name of it is asked for.  The names, and where they come from, are written down in ``__init__.pyi``.

At the top stands what all parts stand on: networks, objectives, certificates, data sets, plots.  Below are
four wings: ``line`` for one dimension, ``space`` for many, ``sampling``, and the ``paper`` as printed.
"""

import lazy_loader

_attribute, __dir__, _names = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    """Load a name; ``import *`` asks for ``__all__``, which depends on what is installed."""
    if name != "__all__":
        return _attribute(name)
    from ._optional import at_hand

    return at_hand(_names)


__version__ = "0.1.0"
