"""The stored experiment on digits: whole, made by the code that is here, and what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from claims_witness import Evidence

from convexdiff_lib._validation import FloatArray
from convexdiff_lib.book import stored_results
from experiments import digit_images
from experiments.digit_images import PACKAGES, SEEDS, SHORT
from experiments.images import training
from experiments.images.data import SIGMAS, STAGES, Data, Level
from experiments.images.models import gaussian, kernel
from experiments.images.units import Store, key

STORED: dict[str, Any] = stored_results("digit_images")
UNITS: dict[str, dict[str, Any]] = {unit["unit"]: unit for unit in STORED["units"]}
MIDDLE = slice(2, 7)


@pytest.fixture(scope="module")
def data() -> Data:
    return Data.load()


def mean_error(model: str) -> FloatArray:
    if model in PACKAGES:
        return np.array([UNITS[f"{model}/{s}/all"]["test"] for s in SEEDS]).mean(axis=0)
    found = [[UNITS[f"{model}/{s}/{i}"]["test"] for i in range(len(SIGMAS))] for s in SEEDS]
    return np.array(found).mean(axis=0)


def test_everything_is_there() -> None:
    assert STORED["settings"]["sigmas"] == list(SIGMAS)
    assert STORED["settings"]["seeds"] == list(SEEDS)
    assert set(UNITS) == {key(*name) for name in digit_images.order()}
    for name, unit in UNITS.items():
        if name.endswith("samples"):
            assert unit["frechet"] > 0
            assert 0 <= unit["copies"] <= 1
        elif not name.endswith("choice"):
            assert np.min(unit["test"]) > 0
    assert all(unit["gap"] <= 1e-8 for unit in UNITS.values() if "gap" in unit)
    assert all(s["gap"] <= 1e-8 for unit in UNITS.values() for s in unit.get("stages", []))


def test_a_polish_lowers_the_loss() -> None:
    for seed in SEEDS:
        for index in range(len(SIGMAS)):
            last = UNITS[f"adam/{seed}/{index}"]["curve"][-1][1]
            assert UNITS[f"polished/{seed}/{index}"]["value"] <= last * (1 + 1e-5)  # single precision
        last = UNITS[f"long/{seed}/{digit_images.LONG_LEVEL}"]["curve"][-1][1]
        assert UNITS[f"long polished/{seed}/{digit_images.LONG_LEVEL}"]["value"] <= last * (1 + 1e-5)


def test_convex_fits_come_out_again(data: Data) -> None:
    """What has no clock in it: growth at one level, gates at another, with another seed than on the page."""
    shorter = replace(data, design=replace(data.design, stages=STAGES[:2]))
    known = training.Known(UNITS, lambda *_: {})
    record, _ = training.train_grown(Level(shorter, 1, 1), known)
    for new, old in zip(record["stages"], UNITS["grown/1/1"]["stages"], strict=False):
        assert (new["share"], new["width"]) == (old["share"], old["width"])
        assert abs(new["value"] / old["value"] - 1) <= 1e-6  # of two gaps; eight digits are stored
        assert abs(new["validation"] / old["validation"] - 1) <= 1e-3  # four digits are stored
    record, _ = training.train_gated(Level(data, 1, 7), known)
    assert abs(record["value"] / UNITS["gated/1/7"]["value"] - 1) <= 1e-6
    assert abs(record["test"] / UNITS["gated/1/7"]["test"] - 1) <= 1e-3


def test_tuning_climbs_to_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    """From any start, it ends at the least error over the weight decays, and tries no more than it has to."""
    shares = training.ADAM_SHARES
    for best in range(len(shares)):

        def error(level: Any, most: float, share: float, *_: float, best: int = best) -> Any:
            return {"validation": abs(shares.index(share) - best) + 1.0, "share": share}, {}

        monkeypatch.setattr(training, "_adam", error)
        for start in range(len(shares)):
            tuning = training._Tuning(None, 1.0, 1.0)  # type: ignore[arg-type]
            tuning.climb(start, 1e-3)
            assert tuning.best[0]["share"] == shares[best]
            assert len(tuning.tried) <= abs(best - start) + 3


def test_images_are_split_once(data: Data) -> None:
    assert [len(part) for part in (data.train, data.validation, data.test)] == [1200, 300, 297]
    assert (np.abs(np.vstack([data.train, data.validation, data.test])) <= 1).all()


def test_exact_models_come_out_again(data: Data) -> None:
    for index in (1, 5):
        level = Level(data, 0, index)
        for name, model in (
            ("gaussian", gaussian(data, level.sigma)),
            ("training set", kernel(data, level.sigma, 0.0)),
            ("kernel density", kernel(data, level.sigma, STORED["settings"]["bandwidth"])),
        ):
            found = level.error(model, data.test)
            assert abs(found / STORED["exact"][name][index] - 1) <= 1e-3  # four digits are stored


def test_a_kernel_denoiser_is_the_gradient_of_its_density(data: Data) -> None:
    """Tweedie: the correction over the variance of the noise is the score, here by differences."""
    sigma, width, h = 0.5, 0.3, 1e-4
    x = data.test[:2] + 0.3

    def log_density(at: FloatArray) -> FloatArray:
        squares = ((at[:, None] - data.train) ** 2).sum(axis=2) / (2 * (sigma**2 + width**2))
        return np.asarray(np.log(np.exp(-squares + squares.min()).sum(axis=1)) - squares.min())

    correction = kernel(data, sigma, width)(x)
    for pixel in (10, 27):
        step = np.zeros(64)
        step[pixel] = h
        slope = (log_density(x + step) - log_density(x - step)) / (2 * h)
        assert np.abs(sigma**2 * slope - correction[:, pixel]).max() <= 1e-5  # of differences


def test_a_torn_line_is_left_out(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.remember("a/0/0", {"test": 1.0})
    with (tmp_path / "units.jsonl").open("a") as file:
        file.write('\n{"unit": "b/0/0", "te')
    store.remember("c/0/0", {"test": 2.0})
    assert store.finished() == {"a/0/0": {"test": 1.0}, "c/0/0": {"test": 2.0}}


def test_errors_are_as_observed(evidence: Any) -> None:
    means = {model: mean_error(model) for model in (*SHORT, "package")}

    said = "the statement"
    below: Evidence = evidence(
        "ours-digits-errors",
        "grown-below-random-gates",
        1.0,
        what="error of grown neurons over that of random gates",
    ).because(said)
    behind: Evidence = evidence(
        "ours-digits-errors", "grown-near-adam", 1.15, what="error of grown neurons over that of Adam"
    ).because(said)
    ahead: Evidence = evidence(
        "ours-digits-errors", "adam-below-grown", 1.0, what="error of Adam over that of grown neurons"
    ).because(said)
    polished: Evidence = evidence(
        "ours-digits-errors", "polish-moves-little", 0.03, what="relative change of the error by a polish"
    ).because(said)
    first: Evidence = evidence(
        "ours-digits-errors",
        "training-set-first-at-large-noise",
        1.0,
        what="error over the least of a network",
    ).because(said)
    for gated, grown, adam, polish in zip(*(means[m][MIDDLE] for m in SHORT), strict=True):
        below.holds(grown / gated)
        behind.holds(grown / adam)
        ahead.holds(adam / grown)
        polished.holds(abs(polish / adam - 1))
    least = np.min([means[model] for model in SHORT], axis=0)
    for exact, network in zip(STORED["exact"]["training set"][:3], least[:3], strict=True):
        first.holds(exact / network)
