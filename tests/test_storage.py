"""Results come back from files as they were, without pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_results import RESULTS

from convexdiff_lib import load, save, score_matching, solution_path


@pytest.mark.parametrize("name", [name for name in RESULTS if not name.startswith("SolutionPath")])
def test_what_is_saved_comes_back(name: str, tmp_path: Path) -> None:
    value = RESULTS[name]()
    save(value, tmp_path / "file.npz")
    back = load(tmp_path / "file.npz")
    assert type(back) is type(value)
    assert back == value
    assert hash(back) == hash(value)


def test_a_fit_goes_on_working(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=300)
    fit = score_matching(x, 20.0)
    save(fit, tmp_path / "fit")  # the ending is added
    back = load(tmp_path / "fit.npz")
    points = np.linspace(-4, 4, 99)
    assert back(points).tolist() == fit(points).tolist()
    assert back.z.tolist() == fit.z.tolist()
    assert back.certificate.holds is True
    assert (
        back.sample(5, np.random.default_rng(1)).tolist() == fit.sample(5, np.random.default_rng(1)).tolist()
    )
    assert not back.score.knots.flags.writeable


def rewritten(path: Path, change: Any) -> None:
    with np.load(path) as file:
        parts = {name: file[name] for name in file.files}
    content = json.loads(str(parts.pop("description")))
    change(content)
    np.savez(path, description=np.array(json.dumps(content)), **parts)


def test_the_ending_may_be_left_out(tmp_path: Path) -> None:
    fit = score_matching([0.0, 1.0, 3.0], 2.0)
    save(fit, tmp_path / "fit")
    assert load(tmp_path / "fit") == load(str(tmp_path / "fit")) == load(tmp_path / "fit.npz") == fit
    np.save(tmp_path / "array.npy", np.ones(3))
    for name, content in (
        ("text.npz", b"words"),
        ("empty.npz", b""),
        ("cut.npz", (tmp_path / "fit.npz").read_bytes()[:99]),
    ):
        (tmp_path / name).write_bytes(content)
    for name in ("text.npz", "empty.npz", "cut.npz", "array.npy"):
        with pytest.raises(ValueError, match=f"{name} holds no result of convexdiff_lib"):
            load(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        load(tmp_path / "none")


def test_a_field_that_is_gone_is_passed_over_and_another_form_is_refused(tmp_path: Path) -> None:
    fit, path = score_matching([-1.0, 0.0, 2.0], 1.5), tmp_path / "fit.npz"
    save(fit, path)
    rewritten(path, lambda content: content["content"]["fields"].update(of_old=3))
    assert load(path) == fit
    rewritten(path, lambda content: content.update(format=99))
    with pytest.raises(ValueError, match="written by a later version of convexdiff_lib: form 99"):
        load(path)


@pytest.mark.parametrize(
    "kind",
    ["os:system", "certificates:np", "line.training:score_matching", "line.problem:LineProblem", "..os:path"],
)
def test_a_file_cannot_name_what_is_no_result(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "fit.npz"
    save(score_matching([-1.0, 0.0, 2.0], 1.5), path)
    rewritten(path, lambda content: content["content"].update(type=kind))
    with pytest.raises((ValueError, ModuleNotFoundError), match=r"is no class of|No module named"):
        load(path)


def test_other_things_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="only results of convexdiff_lib can be saved; got list"):
        save([1.0], tmp_path / "file.npz")
    with pytest.raises(TypeError, match="cannot be stored"):
        save(solution_path([-1.0, 0.0, 2.0], down_to=1.5), tmp_path / "file.npz")
    np.savez(tmp_path / "other.npz", x=np.ones(3))
    with pytest.raises(ValueError, match="holds no result of convexdiff_lib"):
        load(tmp_path / "other.npz")
