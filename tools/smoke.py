"""Try the installed package from outside the repository, with nothing but what it asks for itself.

    python tools/smoke.py REPOSITORY

Run by ``make wheel`` in an environment that holds the wheel alone.
"""

import re
import sys
from contextlib import redirect_stderr
from importlib.metadata import metadata, requires, version
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

import numpy as np

import convexdiff_lib as cd
from convexdiff_lib.book import stored_results

EXTRAS = ("cvxpy", "matplotlib", "seaborn", "torch", "sklearn", "joblib", "distributed")


def sources(folder: Path) -> set[str]:
    """Name the modules and stubs below a folder."""
    return {f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.suffix in (".py", ".pyi")}


def told(name: str) -> str:
    """Return the error of a name of the package that needs an extra, or nothing."""
    try:
        getattr(cd, name)
    except ModuleNotFoundError as error:
        return str(error)
    return ""


def main(repository: Path) -> None:
    """Raise an error where something is wrong."""
    home = Path(cd.__file__).parent
    assert home != repository / "convexdiff_lib", f"{home} is not installed"
    assert [name for name in EXTRAS if find_spec(name)] == [], "an extra is installed, so nothing is tried"
    missing = sources(repository / "convexdiff_lib") - sources(home)
    assert not missing, f"not in the wheel: {sorted(missing)}"
    assert (home / "py.typed").exists()
    assert stored_results("spiral")["networks"]
    (cited,) = re.findall(r"^version: (.*)$", (repository / "CITATION.cff").read_text("utf-8"), re.MULTILINE)
    assert version("convexdiff-lib") == cd.__version__ == cited, "the version is not the same everywhere"
    extras = set(metadata("convexdiff-lib").get_all("Provides-Extra", []))
    assert {"programs", "plots", "sklearn", "sweeps", "dask", "torch", "book", "all"} <= extras

    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=300), rng.normal(size=300)
    for fit in (cd.score_matching(x, 20.0), cd.denoising_score_matching(x + noise, -noise, 20.0)):
        assert fit.certificate.holds
        assert abs(float(fit.cdf(fit.quantile(0.3))) - 0.3) <= 1e-12
        assert fit.sample(9, rng).shape == (9,)
    with redirect_stderr(StringIO()) as said:
        cd.score_matching_path(x, [60.0, 20.0], progress=True)
    assert "2/2" in said.getvalue()
    plane = rng.normal(size=(8, 2))
    assert cd.planar_denoising(plane, -plane, 0.5).certificate.holds
    assert len(cd.enumerate_arrangements(plane).patterns) == 16
    assert "convexdiff-lib[programs]" in told("score_matching_program")
    everything: dict[str, object] = {}
    exec("from convexdiff_lib import *", everything)
    assert "score_matching" in everything
    assert everything.keys().isdisjoint({"solve_program", "AdamRuns"})
    needed = len(requires("convexdiff-lib") or [])
    print(f"convexdiff-lib {cd.__version__}: {len(sources(home))} files, {needed} requirements with extras")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
