"""Time the solver of the pages in headless Chromium, for all eight programs.  Writes in_the_page.json."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from report import STORED, store

from tools import browser

ROOT = Path(__file__).parent.parent
RESULTS = STORED / "in_the_page.json"
SIZES = (50, 200, 500)
REPEATS = 3  # of five kinds of samples, each at five weight decays
TIMED = "async (options) => (await import('/benchmarks/in_the_page.mjs')).timed(options)"


def main() -> None:
    """Run all programs in all sizes."""
    records = []
    with browser.served(ROOT) as base, browser.launched() as chromium:
        page = chromium.new_page()
        page.goto(f"{base}benchmarks/")
        for n, activation, skip, denoising in product(SIZES, ("relu", "abs"), (False, True), (False, True)):
            program = {"n": n, "activation": activation, "skip": skip, "denoising": denoising}
            found = page.evaluate(TIMED, program | {"repeats": REPEATS})
            times = {name: float(f"{found[name]:.2g}") for name in ("median", "worst")}
            records.append(program | {"problems": found["problems"]} | times)
            print(records[-1], flush=True)
    store(RESULTS, records)


if __name__ == "__main__":
    main()
