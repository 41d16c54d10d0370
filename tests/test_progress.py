"""Long calls show how far they are when asked, in one way; not asked, they show nothing."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from library import PUBLIC, module
from tqdm.auto import tqdm

import convexdiff_lib as cd
from convexdiff_lib.line import training
from convexdiff_lib.paper.denoising_experiments import DenoisingSetting, anneal
from convexdiff_lib.paper.score_matching_experiments import run_experiment
from convexdiff_lib.paper.spiral_experiment import SpiralSetting, anneal_in_the_plane

X = np.random.default_rng(0).normal(size=40)
NOISE = np.random.default_rng(1).normal(size=40)
ROWS = np.random.default_rng(2).normal(size=(9, 3))
LAW = cd.GridLaw.normal(2.0, 1.0, nodes=np.linspace(-10, 10, 201))
LEVELS = DenoisingSetting(n=20, sigmas=(1.0, 0.8, 0.6), n_steps_each=2)
PLANE = SpiralSetting(n=6)


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def adam(**more: int) -> dict[str, Any]:
    return {"width": 3, "n_trials": 2, "n_epochs": 7, "generator": torch.Generator().manual_seed(0), **more}


Call = Callable[[bool], Any]
SIGMAS = {"sigmas": [1.0, 0.5], "n_steps_each": [4, 3]}


def estimated(**options: Any) -> Any:
    density = cd.ScoreMatchingDensity(candidates=5, folds=3, random_state=0, **options)
    return density.fit(np.reshape(X, (-1, 1))).selections_


# What is called, what it counts, and how many; where nothing but the outcome knows that, a function of it.
CALLS: dict[str, tuple[str, int | Callable[[Any], int], Call]] = {
    "score_matching_path": ("fit", 5, lambda p: cd.score_matching_path(X, [20, 16, 9, 5, 3], progress=p)),
    "choose_weight_decay": (
        "fit", 15, lambda p: cd.choose_weight_decay(X, [4, 8, 16], rng=rng(), progress=p),
    ),
    "ScoreMatchingDensity": ("fit", 15, lambda p: estimated(progress=p)),
    "solution_path": (
        "piece", lambda path: len(path.pieces), lambda p: cd.solution_path(X, down_to=4, progress=p),
    ),
    "denoising_path": (
        "piece", lambda path: len(path.pieces), lambda p: cd.denoising_path(X, NOISE, down_to=2, progress=p),
    ),
    "count_chambers": ("hyperplane", 9, lambda p: cd.count_chambers(ROWS, progress=p)),
    "enumerate_arrangements": ("ray", 36, lambda p: cd.enumerate_arrangements(ROWS, progress=p)),
    "iterate_chambers": ("corner", 37, lambda p: list(cd.iterate_chambers(ROWS, block_size=9, progress=p))),
    "sweep": (
        "task", 6,
        lambda p: cd.sweep(pow, cd.grid(base=[2, 3], exp=[1, 2, 3]), version="1", compiled=False, progress=p),
    ),
    "wedge_directions": ("set", 36, lambda p: cd.wedge_directions(ROWS, progress=p)),
    "gated_skip_path": (
        "fit", 3,
        lambda p: cd.gated_skip_path(ROWS, ROWS, [[1.0, 0.0, 0.0, 0.1]], [3, 2, 1], progress=p),
    ),
    "grown_denoising": (
        "round", 3,
        lambda p: cd.grown_denoising(ROWS, ROWS, 1.0, rng=rng(), rounds=3, newcomers=2, progress=p),
    ),
    "langevin_dynamics": (
        "step", 6,
        lambda p: cd.langevin_dynamics(np.negative, X, step_size=0.1, n_steps=6, rng=rng(), progress=p),
    ),
    "annealed_langevin_dynamics": (
        "step", 7,
        lambda p: cd.annealed_langevin_dynamics(
            [np.negative] * 2, x0=X, step_size=0.1, rng=rng(), progress=p, **SIGMAS  # type: ignore[arg-type]
        ),
    ),
    "propagate": ("step", 4, lambda p: cd.propagate(LAW, np.negative, step_size=0.5, n_steps=4, progress=p)),
    "averaged_law": (
        "step", 4, lambda p: cd.averaged_law(LAW, np.negative, step_size=0.5, n_steps=4, progress=p),
    ),
    "train_score_matching": ("epoch", 7, lambda p: cd.train_score_matching(X, 5.0, progress=p, **adam())),
    "train_denoising": ("epoch", 7, lambda p: cd.train_denoising(X, NOISE, 5.0, progress=p, **adam())),
    "train_multivariate": (
        "epoch", 7, lambda p: cd.train_multivariate(ROWS, ROWS, 1.0, progress=p, **adam()),
    ),
    "train_smooth": ("epoch", 7, lambda p: cd.train_smooth(X, 5.0, progress=p, **adam())),
    "run_experiment": (
        "step", 500, lambda p: run_experiment("Gaussian, ReLU, skip", n_chains=3, n_epochs=2, progress=p),
    ),
    "fits": ("level", 3, lambda p: LEVELS.fits(LEVELS.pairs(rng()), progress=p)),
    "trainings": (
        "level", 3, lambda p: LEVELS.trainings(LEVELS.pairs(rng()), 0.01, n_trials=2, n_epochs=2, progress=p),
    ),
    "anneal": ("level", 6, lambda p: anneal([np.negative] * 3, LEVELS, rng(), 9, progress=p)),
    "train": (
        "epoch", 4,
        lambda p: PLANE.train(*PLANE.pairs(rng())[0], width=3, n_trials=2, n_epochs=4, seed=0, progress=p),
    ),
    "anneal_in_the_plane": (
        "level", 5, lambda p: anneal_in_the_plane([np.negative] * 5, PLANE, rng(), 9, progress=p),
    ),
}  # fmt: skip


def same(one: Any, other: Any) -> bool:
    if isinstance(one, list | tuple) and type(one) is type(other):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)


def counts(said: str) -> tuple[int, int | None, str]:
    """How many are done in the last line that a bar has drawn, of how many, and of what."""
    *_, last = re.findall(r"(\d+)(?:/(\d+))? (?:(\w+) )?\[.*?(?: (\w+)/s|s/ (\w+)|\? (\w+)/s)", said)
    done, total, unit, *units = last
    return int(done), int(total) if total else None, unit or "".join(units)


@pytest.mark.parametrize("name", CALLS)
def test_a_bar_reaches_its_total_and_changes_nothing(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    unit, total, call = CALLS[name]
    silent = call(False)
    assert capsys.readouterr() == ("", "")
    shown = call(True)
    out, said = capsys.readouterr()
    expected = total if isinstance(total, int) else total(shown)
    assert counts(said) == (expected, expected if isinstance(total, int) else None, unit)
    assert (out, said[-1]) == ("", "\n")
    assert same(silent, shown)


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """All public functions and methods of the library."""
    for name in PUBLIC:
        here = module(name)
        for thing in map(vars(here).get, here.__all__):
            if inspect.isfunction(thing):
                yield thing.__name__, thing
            elif inspect.isclass(thing) and not issubclass(thing, Exception):
                yield thing.__name__, thing
                methods = (key for key, f in vars(thing).items() if inspect.isfunction(f) and key[0] != "_")
                yield from ((key, vars(thing)[key]) for key in methods)


def test_whatever_can_show_progress_is_tried_and_does_so_in_one_way() -> None:
    having = {name: f for name, f in functions() if "progress" in inspect.signature(f).parameters}
    assert set(having) == set(CALLS)
    for name, function in having.items():
        parameter = inspect.signature(function).parameters["progress"]
        assert (parameter.kind, parameter.default) == (parameter.KEYWORD_ONLY, False), name
        assert re.search(r"progress(``| : bool\n)[^.]* bars?\b", function.__doc__ or ""), name


@pytest.mark.parametrize("name", CALLS)
def test_progress_is_no_word(name: str) -> None:
    with pytest.raises(ValueError, match=r"^progress must be True or False; got 'yes'"):
        CALLS[name][2]("yes")  # type: ignore[arg-type]


def stops(x: np.ndarray) -> np.ndarray:
    raise KeyboardInterrupt


def test_a_bar_is_closed_when_the_call_raises(capsys: pytest.CaptureFixture[str]) -> None:
    """Here the error is still held, and with it every frame of the call."""
    with pytest.raises(KeyboardInterrupt) as held:
        cd.langevin_dynamics(stops, X, step_size=0.1, n_steps=6, rng=rng(), progress=True)
    assert held.tb is not None
    assert not list(getattr(tqdm, "_instances", []))
    said = capsys.readouterr().err
    assert counts(said)[:2] == (0, 6)
    assert said.endswith("\n")


def test_fits_that_are_refused_are_finished_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = training._certified

    def picky(problem: Any, *rest: Any) -> Any:
        if problem.beta == 9.0:
            raise cd.NotCertifiedError("for the sake of this test")
        return whole(problem, *rest)

    monkeypatch.setattr(training, "_certified", picky)
    with pytest.raises(cd.NotCertifiedError, match="1 of 3 fits"):
        cd.score_matching_path(X, [20, 9, 4], progress=True)
    assert counts(capsys.readouterr().err) == (3, 3, "fit")


@pytest.mark.parametrize("betas", [[8.0], [8.0, 4.0]])
def test_few_fits_and_few_points_are_counted_too(
    betas: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    for x in ([1.0, 1.0], [0.0, 1.0]):
        cd.score_matching_path(x, betas, progress=True)
        assert counts(capsys.readouterr().err) == (len(betas), len(betas), "fit")
