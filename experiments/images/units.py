"""Units of work that build on one another: each is kept as soon as it is done, so that a run can go on.

What they train is large, so that they are no tasks of a sweep.  A folder has a line for each in
``units.jsonl``, and what it trained beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convexdiff_lib._progress import Bar
from convexdiff_lib._validation import FloatArray
from experiments import Record
from experiments.images.data import Level
from experiments.images.training import TRAININGS, Known

__all__ = ["Name", "Store", "key"]

Name = tuple[str, int, int | str]  # model, seed, and noise level or what else is done
Units = dict[str, Record]


def key(model: str, seed: int, index: int | str) -> str:
    """Name of a unit of work."""
    return f"{model}/{seed}/{index}"


@dataclass(frozen=True)
class Store:
    """A folder of what is done."""

    folder: Path

    def finished(self) -> Units:
        """Everything that was done before; a torn last line is left out."""
        path = self.folder / "units.jsonl"
        units: Units = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            if line.endswith("}"):
                unit = json.loads(line)
                units[unit.pop("unit")] = unit
        return units

    def remember(self, name: str, record: Record) -> None:
        """Append a line; a newline first ends what was torn."""
        with (self.folder / "units.jsonl").open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps({"unit": name, **record}))

    def kept(self, model: str, seed: int, index: int) -> dict[str, FloatArray]:
        """What was trained."""
        with np.load(self.folder / f"{model}_{seed}_{index}.npz") as file:
            return {name: np.asarray(file[name], dtype=np.float64) for name in file.files}

    def trained(self, model: str, level: Level, units: Units) -> Record:
        """Train a model at a level, and keep it."""
        record, arrays = TRAININGS[model](level, Known(units, self.kept))
        small = {what: values.astype(np.float32) for what, values in arrays.items()}
        np.savez(self.folder / f"{model}_{level.seed}_{level.index}.npz", **small)
        return record

    def run(self, title: str, order: Iterable[Name], work: Callable[[Name, Units], Record]) -> Units:
        """Do what is not done yet, with a bar, and return all units in this order."""
        self.folder.mkdir(parents=True, exist_ok=True)
        units, names = self.finished(), list(order)
        with Bar(True, title, "part", len(names)) as bar:
            for name in names:
                if key(*name) not in units:
                    record = work(name, units)
                    self.remember(key(*name), record)
                    units[key(*name)] = record
                bar.done(note=key(*name))
        return {key(*name): units[key(*name)] for name in names}
