"""Run experiments and store their data files in ``convexdiff_lib/stored``.

python -m experiments              # all
python -m experiments spiral       # one
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from tqdm import tqdm

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
)
STORED = Path(__file__).parents[1] / "convexdiff_lib" / "stored"  # for the book, and for whoever runs it


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description="Run experiments and store their data files.")
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], help="all by default")
    for name in parser.parse_args().names or NAMES:
        with tqdm(desc=name, unit=" part") as bar:
            content = import_module(f"experiments.{name}").run(partial(report, bar))
            report(bar, bar.total, bar.total, "stored")
        text = json.dumps(content, indent=1).replace("\n   ", " ")  # one entry of a record per line
        (STORED / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def report(bar: Any, done: int, of: int, what: str) -> None:
    """Say how many parts are done, and what comes next."""
    bar.n, bar.total = done, of
    bar.set_postfix_str(what)


if __name__ == "__main__":
    main()
