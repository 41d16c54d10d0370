"""Run experiments and store their data files.

python -m experiments              # all
python -m experiments spiral       # one
"""

from __future__ import annotations

import argparse
import json
import time
from importlib import import_module
from pathlib import Path

NAMES = ("score_matching", "denoising", "spiral")
FOLDER = Path(__file__).parent


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description="Run experiments and store their data files.")
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], help="all by default")
    for name in parser.parse_args().names or NAMES:
        begin = time.perf_counter()
        content = import_module(f"experiments.{name}").run(report)
        text = json.dumps(content, indent=1).replace("\n   ", " ")  # one entry of a record per line
        (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        print(f"\r{name}: {time.perf_counter() - begin:.0f} s".ljust(70))


def report(done: int, of: int, what: str) -> None:
    """Draw a progress bar."""
    full = round(30 * done / of)
    print(f"\r[{'#' * full}{'.' * (30 - full)}] {what}".ljust(70), end="", flush=True)


if __name__ == "__main__":
    main()
