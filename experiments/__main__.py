"""Run experiments and store their data files in ``convexdiff_lib/stored``.

python -m experiments              # all
python -m experiments spiral       # one
python -m experiments --jobs 4     # four tasks at a time, where tasks do not need each other
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from convexdiff_lib.sweeps import sweep

NAMES = (
    "score_matching",
    "denoising",
    "spiral",
    "deep_training",
    "depth",
    "activations",
    "memorisation",
    "real_data",
    "digit_images",
    "mnist_images",
)
ROOT = Path(__file__).parents[1]
STORED = ROOT / "convexdiff_lib" / "stored"  # for the book, and for whoever runs it
UNFINISHED = ROOT / "build" / "experiments"  # results of tasks, until their experiment is stored


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description="Run experiments and store their data files.")
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], help="all by default")
    parser.add_argument("--jobs", type=int, default=1, help="tasks at a time")
    options = parser.parse_args()
    version = source()  # once, as files may change while this runs
    where: dict[str, Any] = {"backend": "loky", "n_jobs": options.jobs} if options.jobs > 1 else {}
    UNFINISHED.mkdir(parents=True, exist_ok=True)
    for name in options.names or NAMES:
        print(name, file=sys.stderr)
        unfinished = UNFINISHED / f"{name}.jsonl"
        run = partial(sweep, store=unfinished, version=version, progress=True, **where)
        content = import_module(f"experiments.{name}").run(run)
        text = json.dumps(content, indent=1).replace("\n   ", " ")  # one entry of a record per line
        (STORED / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        unfinished.unlink(missing_ok=True)


def source() -> str:
    """Return a hash of all that experiments are computed by: results of other sources do not count."""
    files = sorted(path for part in ("convexdiff_lib", "experiments") for path in (ROOT / part).rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


if __name__ == "__main__":
    main()
