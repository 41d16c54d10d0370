"""What importing the library loads: what is asked for, and no more."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from types import ModuleType

import pytest
from library import FOLDER, PUBLIC, WINGS

import convexdiff_lib

HEAVY = ("clarabel", "cvxpy", "matplotlib", "numba", "scipy", "seaborn", "torch", "tqdm")


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
from convexdiff_lib.line.path import denoising_path, solution_path
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


@pytest.mark.parametrize("door", ["", *WINGS])
def test_every_name_leads_to_its_module(door: str) -> None:
    package = importlib.import_module(f"convexdiff_lib.{door}".rstrip("."))
    for name in package.__all__:
        thing = getattr(package, name)
        home = thing.__name__ if isinstance(thing, ModuleType) else thing.__module__
        assert home.startswith(package.__name__)
        assert isinstance(thing, ModuleType) or thing is getattr(importlib.import_module(home), name)
        assert name in dir(package)


@pytest.mark.parametrize("door", ["", *WINGS])
def test_what_the_stub_exports_is_what_it_imports(door: str) -> None:
    stub = ast.parse((FOLDER / door / "__init__.pyi").read_text("utf-8"))
    imported = [a.name for node in stub.body if isinstance(node, ast.ImportFrom) for a in node.names]
    (exported,) = (ast.literal_eval(node.value) for node in stub.body if isinstance(node, ast.Assign))
    assert sorted(imported) == sorted(exported)
    public = {name.partition(".")[2] for name in PUBLIC if name.startswith(f"{door}.")} if door else {*WINGS}
    assert public <= set(exported)


def test_modules_are_names_too_and_others_are_not() -> None:
    asked = "lib.line.path.__name__, hasattr(lib, 'nothing'), hasattr(lib.line, 'nothing')"
    assert printed(f"import convexdiff_lib as lib; print({asked})") == "convexdiff_lib.line.path False False"
    with pytest.raises(AttributeError, match="convexdiff_lib attribute score_match"):
        _ = getattr(convexdiff_lib, "score_match")  # noqa: B009  (checked at run time)
    assert printed("from convexdiff_lib import *; print(score_matching.__name__)") == "score_matching"


@pytest.mark.parametrize(
    "module", ["denoising_experiments", "score_matching_experiments", "nonconvex", "spiral_experiment"]
)
def test_without_pytorch_the_error_names_the_extra(module: str) -> None:
    told = without("torch", f"import convexdiff_lib.paper.{module}")
    assert told == 'needs PyTorch: pip install "convexdiff-lib[torch]" torch'


def without(package: str, statement: str) -> str:
    """What the error says where a package is missing."""
    return printed(
        f"import sys\nsys.modules[{package!r}] = None\n"
        f"try:\n    {statement}\nexcept ImportError as error:\n    print(error, error.name)\n"
    )


EVERYTHING = """
import sys
from importlib.machinery import PathFinder

class Without:
    def find_spec(name, path=None, target=None):
        return None if name in {missing} else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
import convexdiff_lib
import convexdiff_lib.paper
for door in (convexdiff_lib, convexdiff_lib.paper):
    here = dict()
    exec(f"from {{door.__name__}} import *", here)
    left_out = [name for name in door._names if name not in here]
    assert left_out == [name for name in door._names if name not in door.__all__]
    for name in left_out:
        try:
            getattr(door, name)
        except ModuleNotFoundError as error:
            assert str(error).startswith("needs ") and error.name in {missing}, name
        else:
            raise AssertionError(name + " could be had")
    print(len(left_out))
"""


@pytest.mark.parametrize(
    ("missing", "left_out"),
    [([], [0, 0]), (["cvxpy"], [19, 29]), (["torch"], [4, 8]), (["cvxpy", "torch"], [23, 36])],
)
def test_everything_at_once_is_everything_that_can_be_had(missing: list[str], left_out: list[int]) -> None:
    assert printed(EVERYTHING.format(missing=missing)).split() == [str(count) for count in left_out]


def test_without_other_extras_the_error_names_them() -> None:
    names = "score_matching_program, multivariate_program"
    for name in names.split(", "):
        told = without("cvxpy", f"from convexdiff_lib import {name}")
        assert told == 'needs CVXPY: pip install "convexdiff-lib[programs]" cvxpy'
    told = without("matplotlib", "import convexdiff_lib.plots")
    assert told.startswith('needs matplotlib and seaborn: pip install "convexdiff-lib[plots]"')
    told = without("torch", "import convexdiff_lib as c; c.score_matching([0, 1], 1.0).network().to_torch()")
    assert told == 'needs PyTorch: pip install "convexdiff-lib[torch]" torch'
