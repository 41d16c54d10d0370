"""Compile the library's loops over the data beforehand.

The library does without being asked what pays: short computations run as plain Python, long ones compiled by
numba, which takes up to half a minute where it has not been done before.  On a server, in an image or before
a measurement one may want that to be over.
"""

from __future__ import annotations

import numpy as np

from .._compiled import compile_from_now_on
from .deep import deep_denoising_score_matching
from .network_certificates import certify_score_matching
from .path import denoising_path, solution_path
from .problem import SplineClaim, line_problem
from .spline_certificates import examine
from .training import denoising_score_matching, score_matching, score_matching_path

__all__ = ["compile_loops"]

_MANY = 20_000  # so many points are looked at on several levels
_FEW = 12


def compile_loops() -> None:
    """Compile all loops over the data now, or load them from disk, and use nothing else from here on.

    What is compiled is kept on disk, beside the library or in the user's cache, whichever can be written; the
    environment variable ``NUMBA_CACHE_DIR`` names another folder.  Whoever runs the library later has to be
    allowed to write there, too, or numba does not look.

    Raises
    ------
    ImportError
        If numba is missing, or switched off by ``CONVEXDIFF_NUMBA=0``.

    Examples
    --------
    >>> import convexdiff_lib
    >>> convexdiff_lib.compile_loops()
    """
    compile_from_now_on()
    _call_all_loops()


def _call_all_loops() -> None:
    """Fit in every way that calls a loop which others do not."""
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=_MANY), rng.normal(size=_MANY)
    for fit in score_matching_path(x, [_MANY / 5, _MANY / 10], skip=True):
        fit(x[:_FEW])
    denoising_score_matching(x + noise, -noise, _MANY / 10)
    solution_path(x[:_FEW], down_to=2.0)
    denoising_path(x[:_FEW], noise[:_FEW], down_to=0.5, skip=True)
    deep_denoising_score_matching(x[:_FEW], noise[:_FEW], 0.5, activation="abs")
    # A certificate of a network found by other means.
    fit = score_matching(x[:_FEW], 6.0)
    certify_score_matching(x[:_FEW], fit.kink_network, fit.z, 6.0)
    # What only data on many scales need.
    problem = line_problem(range(4), 2.0)
    wrong = SplineClaim(np.array([0, 3]), np.zeros(0), np.array([9.0, -9.0]), np.zeros(2), -2.0, 0.0, -1)
    examine(problem, wrong, exactly=True)
