"""The stored comparison on real columns: whole, made by the code that is here, and what it says."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from claims_witness import Evidence

from convexdiff_lib import ScoreMatchingDensity
from convexdiff_lib._validation import FloatArray
from convexdiff_lib.book import stored_results
from experiments import __main__ as experiments
from experiments import real_data
from experiments.real_data import FOLDS, OTHERS, OURS, SEED, SPLITS, column, halves

STORED: dict[str, Any] = stored_results("real_data")
COLUMNS: dict[str, Any] = STORED["columns"]


def held_out(name: str, method: str) -> FloatArray:
    return np.array(COLUMNS[name]["held_out"][method])


def corrected(differences: FloatArray) -> tuple[float, float]:
    """Mean and standard error over overlapping splits, as Nadeau and Bengio correct it for parts 1:2."""
    return float(differences.mean()), float(np.sqrt(differences.var(ddof=1) * (1 / len(differences) + 1 / 2)))


def test_everything_is_there() -> None:
    assert {key: STORED[key] for key in real_data.SETTINGS} == real_data.SETTINGS
    facts = stored_results("real_columns")["columns"]
    assert list(COLUMNS) == list(facts)
    assert len(COLUMNS) == 20
    for name, found in COLUMNS.items():
        x, step = column(name)
        assert (np.diff(x) >= 0).all()
        assert found["n"] == len(x) >= 82
        assert np.unique(np.diff(np.unique(x))).min() >= 1e-6
        assert 0 < step < np.ptp(x) / 20
        assert facts[name]["source"]
        assert set(found["held_out"]) == {*OTHERS, *OURS}
        assert all(len(v) == SPLITS and np.isfinite(v).all() for v in found["held_out"].values())


@pytest.mark.parametrize("name", ["iris sepal width", "faithful waiting", "iris petal length"])
def test_a_split_comes_out_again(name: str) -> None:
    place, split = list(COLUMNS).index(name), 2
    x, step = column(name)
    train, test = halves(x, step, np.random.default_rng([SEED, place, split]))
    for key, estimator in OTHERS.items():
        assert abs(estimator(train)(test).mean() - held_out(name, key)[split]) <= 1e-3, key  # four digits, EM
    for key, options in OURS.items():
        ours = ScoreMatchingDensity(folds=FOLDS, candidates=14, random_state=split, **options)
        found = ours.fit(train[:, None]).score_samples(test[:, None]).mean()
        assert abs(found - held_out(name, key)[split]) <= 1e-3, key  # four digits are stored


def test_estimators_are_densities() -> None:
    grid = np.linspace(-15, 15, 60_001)
    x, step = column("geyser waiting")
    train, _ = halves(x, step, np.random.default_rng(0))
    for key, estimator in OTHERS.items():
        mass = float(np.exp(estimator(train)(grid)).sum() * (grid[1] - grid[0]))
        assert abs(mass - 1) <= 1e-3, key  # steps of a histogram between nodes


ASKED: list[str] = []


def stopped(name: str, place: int) -> dict[str, Any]:
    """Stands for the comparison on one column; the fourth time, the user has enough."""
    ASKED.append(name)
    if len(ASKED) == 4:
        raise KeyboardInterrupt
    return {"place": place}


def test_an_experiment_that_was_stopped_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ASKED.clear()
    unfinished, stored, names = tmp_path / "unfinished", tmp_path, list(COLUMNS)
    monkeypatch.setattr(experiments, "UNFINISHED", unfinished)
    monkeypatch.setattr(experiments, "STORED", stored)
    monkeypatch.setattr(real_data, "compared", stopped)
    monkeypatch.setattr(sys, "argv", ["experiments", "real_data"])
    with pytest.raises(KeyboardInterrupt):
        experiments.main()
    assert not list(stored.glob("*.json"))
    experiments.main()
    assert [*names[:4], *names[3:]] == ASKED
    content = json.loads((stored / "real_data.json").read_text())
    assert [content["columns"][name]["place"] for name in names] == list(range(20))
    assert not list(unfinished.iterdir())


def test_results_of_other_sources_do_not_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ASKED.clear()
    monkeypatch.setattr(experiments, "UNFINISHED", tmp_path)
    monkeypatch.setattr(experiments, "STORED", tmp_path)
    monkeypatch.setattr(real_data, "compared", stopped)
    monkeypatch.setattr(sys, "argv", ["experiments", "real_data"])
    with pytest.raises(KeyboardInterrupt):
        experiments.main()
    before = experiments.source()
    monkeypatch.setattr(experiments, "source", lambda: before[::-1])
    experiments.main()
    assert [*list(COLUMNS)[:4], *COLUMNS] == ASKED


CLEAR = {"quakes depth", "cancer concavity"}


def test_beside_a_kernel_density(evidence: Evidence) -> None:
    seen = evidence(
        "ours-real-columns", "corrected-standard-errors-from-the-kernel-density", 2.0, what="|mean| / error"
    ).because("two corrected standard errors; the three columns that the statement names are left out")
    lost = evidence(
        "ours-real-columns", "weighed-is-nowhere-clearly-worse", 2.0, what="loss / error"
    ).because("two corrected standard errors")
    for name in COLUMNS:
        mean, error = corrected(held_out(name, "likelihood") - held_out(name, "kernel"))
        if name in CLEAR or name == "iris petal length":
            assert (mean > 2 * error) if name in CLEAR else (mean < -2 * error)
        else:
            seen.holds(abs(mean) / error, on=name)
        mean, error = corrected(held_out(name, "weighed") - held_out(name, "kernel"))
        lost.holds(max(0.0, -mean) / error, on=name)


def test_the_likelihood_chooses_better_densities(evidence: Evidence) -> None:
    seen = evidence("ours-likelihood-choice", "loss-by-the-likelihood", 0.01, what="nats lost").because(
        "an empirical bound on the mean held-out log-likelihood that is lost, on the column where it is"
    )
    gains = {name: float((held_out(name, "likelihood") - held_out(name, "score")).mean()) for name in COLUMNS}
    for name, gain in gains.items():
        seen.holds(max(0.0, -gain), on=name)
    assert sum(gain > 0 for gain in gains.values()) == 19
    assert sum(gain > 1 for gain in gains.values()) == 5


def test_what_weighing_does(evidence: Evidence) -> None:
    seen = evidence("ours-real-gaps", "loss-by-weighing", 0.02, what="nats lost").because(
        "an empirical bound on the mean held-out log-likelihood that is lost"
    )
    cut = []
    for name, found in COLUMNS.items():
        gain = held_out(name, "weighed") - held_out(name, "likelihood")
        seen.holds(max(0.0, -float(gain.mean())), on=name)
        if max(found["pieces"]) > 1:
            cut.append(name)
        else:
            assert (gain == 0).all()
        if name == "iris petal length":
            assert gain.min() > 0
            assert gain.mean() > 0.4
        else:
            assert gain.mean() < 0.1
    assert len(cut) == 8
