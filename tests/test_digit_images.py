"""The stored experiment on digits: whole, made by the code that is here, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from claims_witness import Evidence

from convexdiff_lib._validation import FloatArray
from convexdiff_lib.book import stored_results
from experiments import digit_images
from experiments.digit_images import SIGMAS, TRAINED, Data, Level, gaussian, kernel

STORED: dict[str, Any] = stored_results("digit_images")
UNITS: dict[str, dict[str, Any]] = {unit["unit"]: unit for unit in STORED["units"]}
SEEDS = [seed for seed in STORED["settings"]["seeds"] if f"polished/{seed}/samples" in UNITS]
MIDDLE = slice(2, 7)


@pytest.fixture(scope="module")
def data() -> Data:
    return Data.load()


def mean_error(model: str) -> FloatArray:
    found = [[UNITS[f"{model}/{s}/{i}"]["test"] for i in range(len(SIGMAS))] for s in SEEDS]
    return np.array(found).mean(axis=0)


def test_everything_is_there() -> None:
    assert STORED["settings"]["sigmas"] == list(SIGMAS)
    assert SEEDS[0] == 0
    for seed in SEEDS:
        for model in TRAINED:
            assert all(UNITS[f"{model}/{seed}/{i}"]["test"] > 0 for i in range(len(SIGMAS)))
            assert UNITS[f"{model}/{seed}/samples"]["frechet"] > 0
    assert all(unit["gap"] <= 1e-8 for unit in UNITS.values() if "gap" in unit)
    assert all(s["gap"] <= 1e-8 for unit in UNITS.values() for s in unit.get("stages", []))


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


def test_a_torn_line_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digit_images, "SCRATCH", tmp_path)
    digit_images.remember("a/0/0", {"test": 1.0})
    with (tmp_path / "units.jsonl").open("a") as file:
        file.write('\n{"unit": "b/0/0", "te')
    digit_images.remember("c/0/0", {"test": 2.0})
    assert digit_images.finished_units() == {"a/0/0": {"test": 1.0}, "c/0/0": {"test": 2.0}}


def test_errors_are_as_observed(evidence: Any) -> None:
    means = {model: mean_error(model) for model in TRAINED}
    below: Evidence = evidence(
        "ours-digits-errors", "grown-below-random-gates", 1.0, what="error / error of random gates"
    ).because("the statement")
    near: Evidence = evidence(
        "ours-digits-errors", "grown-near-adam", 1.05, what="error / error of Adam"
    ).because("the statement")
    first: Evidence = evidence(
        "ours-digits-errors", "training-set-first-at-large-noise", 1.0, what="error / best error of a network"
    ).because("the statement")
    for gated, grown, adam in zip(*(means[m][MIDDLE] for m in ("gated", "grown", "adam")), strict=True):
        below.holds(grown / gated)
        near.holds(grown / adam)
    best = np.min([means[model] for model in TRAINED], axis=0)
    for exact, network in zip(STORED["exact"]["training set"][:2], best[:2], strict=True):
        first.holds(exact / network)
