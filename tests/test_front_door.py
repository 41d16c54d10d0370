"""What importing the library loads: what is asked for, and no more."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

import pytest

import convexdiff_lib

HEAVY = ("clarabel", "cvxpy", "matplotlib", "numba", "scipy", "seaborn", "torch")


def printed(script: str, **environment: str) -> str:
    """What a new process prints."""
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=os.environ | environment
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


def test_the_package_alone_loads_nothing() -> None:
    loaded = "[name for name in sys.modules if 'convexdiff_lib.' in name or name == 'numpy']"
    assert printed(f"import sys, convexdiff_lib; print({loaded})") == "[]"


ONE_DIMENSION = f"""
import sys
import numpy as np
from convexdiff_lib import denoising_score_matching, score_matching, score_matching_path
from convexdiff_lib.path import denoising_path, solution_path
rng = np.random.default_rng(0)
x, noise = rng.normal(size=200), rng.normal(size=200)
fit = score_matching(x, 20.0)
fit(x), fit.log_density(x), fit.sample(10, rng), fit.network(), fit.z
score_matching_path(x, [100.0, 10.0])
denoising_score_matching(x + noise, -noise, 20.0)
solution_path(x[:10], down_to=2.0)
denoising_path(x[:10], noise[:10], down_to=1.0)
print([name for name in {HEAVY} if name in sys.modules])
"""


def test_one_dimension_needs_numpy_only() -> None:
    """With CONVEXDIFF_NUMBA=0, as how long loops are interpreted by themselves depends on the clock."""
    assert printed(ONE_DIMENSION, CONVEXDIFF_NUMBA="0") == "[]"


@pytest.mark.parametrize("name", convexdiff_lib.__all__)
def test_every_name_leads_to_its_module(name: str) -> None:
    thing = getattr(convexdiff_lib, name)
    assert thing is getattr(importlib.import_module(thing.__module__), name)
    assert name in dir(convexdiff_lib)


def test_modules_are_names_too_and_others_are_not() -> None:
    asked = "lib.path.__name__, lib._passes.__name__, hasattr(lib, 'nothing')"
    assert (
        printed(f"import convexdiff_lib as lib; print({asked})")
        == "convexdiff_lib.path convexdiff_lib._passes False"
    )
    with pytest.raises(AttributeError, match="module 'convexdiff_lib' has no attribute 'score_match'"):
        _ = convexdiff_lib.score_match
    assert printed("from convexdiff_lib import *; print(score_matching.__name__)") == "score_matching"


@pytest.mark.parametrize("module", ["denoising_experiments", "experiments", "nonconvex", "spiral_experiment"])
def test_without_pytorch_the_error_names_the_extra(module: str) -> None:
    script = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "try:\n"
        f"    import convexdiff_lib.{module}\n"
        "except ImportError as error:\n"
        "    print(error, error.name)\n"
    )
    assert printed(script) == 'needs PyTorch: pip install "convexdiff-lib[nonconvex]" torch'
