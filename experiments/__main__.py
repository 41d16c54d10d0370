"""Run experiments and store their data files in ``convexdiff_lib/stored``.

python -m experiments              # all
python -m experiments spiral       # one
python -m experiments --jobs 4     # four tasks at a time, where tasks do not need each other
"""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from pathlib import Path

from tqdm import tqdm

from experiments import Report

NAMES = (
    "score_matching",
    "denoising",
    "spiral",
    "deep_training",
    "depth",
    "activations",
    "memorisation",
    "real_data",
)
STORED = Path(__file__).parents[1] / "convexdiff_lib" / "stored"  # for the book, and for whoever runs it
UNFINISHED = (
    STORED.parents[1] / "_build" / "experiments"
)  # results of tasks, until their experiment is stored


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description="Run experiments and store their data files.")
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], help="all by default")
    parser.add_argument("--jobs", type=int, default=1, help="tasks at a time")
    options = parser.parse_args()
    UNFINISHED.mkdir(parents=True, exist_ok=True)
    for name in options.names or NAMES:
        unfinished = UNFINISHED / f"{name}.jsonl"
        with tqdm(desc=name, unit=" part") as bar:
            report = Report(bar, unfinished, options.jobs)
            content = import_module(f"experiments.{name}").run(report)
            report(bar.total or 1, bar.total or 1, "stored")
        text = json.dumps(content, indent=1).replace("\n   ", " ")  # one entry of a record per line
        (STORED / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        unfinished.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
