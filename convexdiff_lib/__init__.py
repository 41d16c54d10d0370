"""Exact score matching with two-layer networks, by convex optimization, with certificates.

Modules are loaded when a name of theirs is asked for, as in ``convexdiff_lib.score_matching`` or
``convexdiff_lib.path``.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .certificates import Certificate, NotCertifiedError
    from .compiling import compile_loops
    from .networks import TwoLayerNetwork
    from .objectives import denoising_loss, score_matching_loss
    from .univariate import UnivariateScore, denoising_score_matching, score_matching, score_matching_path

__all__ = [
    "Certificate",
    "NotCertifiedError",
    "TwoLayerNetwork",
    "UnivariateScore",
    "compile_loops",
    "denoising_loss",
    "denoising_score_matching",
    "score_matching",
    "score_matching_loss",
    "score_matching_path",
]

__version__ = "0.1.0"

_MODULE_OF = {
    "Certificate": "certificates",
    "NotCertifiedError": "certificates",
    "TwoLayerNetwork": "networks",
    "UnivariateScore": "univariate",
    "compile_loops": "compiling",
    "denoising_loss": "objectives",
    "denoising_score_matching": "univariate",
    "score_matching": "univariate",
    "score_matching_loss": "objectives",
    "score_matching_path": "univariate",
}


def __getattr__(name: str) -> object:
    """Load the module that a name stands for, or stands in."""
    if name in _MODULE_OF:
        found: object = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    elif name.startswith("__") or find_spec(f"{__name__}.{name}") is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    else:
        found = import_module(f".{name}", __name__)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
