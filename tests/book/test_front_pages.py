"""What the landing page, and the head of the experiments, say in short is what the book has found."""

import re
from pathlib import Path

import pytest
from claims_data import read_glued, read_registry

ROOT = Path(__file__).parents[2]
CHAPTERS = ROOT / "chapters"
# Sentences of the landing page; the numbers in braces are those that the chapter glues.
FOUND = {
    "13_score_matching_experiments": (
        "the lowest loss that ten runs of Adam met is {mixture-best-run}. "
        "The certified optimum is {mixture-value}"
    ),
    "15_spiral": (
        "{spiral-none-near} % of its samples end near the curve, where {spiral-start-near} % started. "
        "With biases that weight decay does not see, {spiral-low-near} to {spiral-high-near} % end there"
    ),
    "17_other_activations": (
        "misses at least {relu-least} % of the possible gain in every run. With softplus, made sharper as it "
        "trains, it misses {rising-median} % in the median, but on another sample {others-most} % even"
    ),
    "22_digits": (
        "the error on new images is {digits-grown-low} to {digits-grown-high} % above that of a tuned Adam "
        "at the middle noise levels"
    ),
    "07_beam_in_a_tube": "the density that it defines puts {mass-left} % of its mass on one of them",
}
CHIP = re.compile(r'(Figure \d)(?: \((\w+)\))? <span class="claim-badge claim-badge-(\w+)">([\w ]+)</span>')
# What is worst decides: of the two halves of Figure 2 the mixture is the right one.
WORST = ("refuted", "corrected", "holds")


@pytest.mark.parametrize("chapter", FOUND)
def test_numbers_of_the_landing_page_are_those_of_the_chapters(chapter: str) -> None:
    glued = read_glued(CHAPTERS / f"{chapter}.ipynb")
    sentence = re.sub(r"\{([\w-]+)\}", lambda name: glued[name[1]].replace("-", "−"), FOUND[chapter])
    assert sentence in " ".join((ROOT / "index.md").read_text("utf-8").split())


def test_verdicts_on_the_figures_are_those_of_the_registry() -> None:
    chips = CHIP.findall((CHAPTERS / "13_score_matching_experiments.md").read_text("utf-8"))
    assert [figure for figure, *_ in chips] == [f"Figure {k}" for k in (1, 2, 2, 3, 4, 5)]
    shown = [(figure, part, colour) for figure, part, colour, _ in chips]
    assert shown == [(figure, part, worst_status(figure, part)) for figure, part, _ in shown]


def worst_status(figure: str, part: str) -> str:
    """The worst status among the claims about one figure of the paper, or about one half of it."""
    rows = read_registry(ROOT / "claims")
    places = [(row.workshop.number, row.status) for row in rows if row.workshop]
    about = [(number, status) for number, status in places if re.match(rf"{figure}\b", number)]
    if part:
        about = [(number, status) for number, status in about if ("right" in number) == (part == "mixture")]
    return min((status for _, status in about), key=WORST.index)
