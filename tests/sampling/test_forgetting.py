"""Evidence for the chapter on memorisation: copies among samples, and their distance to the truth."""

from __future__ import annotations

import numpy as np
from claims_witness import Evidence

from convexdiff_lib.book import stored_results
from experiments.memorisation import copies, distance, generated, truth


def test_copies_go_and_the_distance_stays(evidence: Evidence) -> None:
    """Two seeds, 25 points; forgetting a quarter of a point, two points, and sixteen."""
    gone = evidence(
        "ours-forgetting-and-distance", "no-more-copies-than-by-chance", 0.1, what="share of copies"
    ).because("two points forgotten; less the share among fresh draws, with a sampling error of 0.02")
    were = evidence(
        "ours-forgetting-and-distance",
        "copies-where-points-are-memorised",
        0.75,
        what="share of samples that are no copies",
    ).because("a quarter of a point forgotten: at least a quarter of the samples are copies beyond chance")
    same = evidence(
        "ours-forgetting-and-distance", "distance-hardly-changes", 0.25, what="relative change"
    ).because("between a quarter of a point and two points forgotten, for the mean over the seeds")
    more = evidence(
        "ours-forgetting-and-distance", "distance-grows-beyond", 0.8, what="distance before / after"
    ).because("sixteen of 25 points forgotten, for the mean over the seeds")
    far = []
    for seed in (0, 1):
        points = truth(25, np.random.default_rng((seed, 25, 1)))
        fresh = truth(20_000, np.random.default_rng((seed, 25, 2)))
        chance = copies(points, fresh[:5000])
        low, middle, high = (generated(points, k, seed) for k in (0.25, 2.0, 16.0))
        were.holds(1 - (copies(points, low) - chance))
        gone.holds(max(0.0, copies(points, middle) - chance))
        far.append([distance(x, fresh) for x in (low, middle, high)])
    low_far, middle_far, high_far = np.mean(far, axis=0)
    same.holds(abs(middle_far / low_far - 1))
    more.holds(low_far / high_far)


def test_what_is_stored_is_what_a_run_gives() -> None:
    """One row of the experiment, to what its rounding and other machines leave."""
    stored = stored_results("memorisation")
    (row,) = (row for row in stored["generated"] if row["n"] == 25 and row["seed"] == 0)
    points = truth(25, np.random.default_rng((0, 25, 1)))
    fresh = truth(20_000, np.random.default_rng((0, 25, 2)))
    assert abs(distance(points, fresh) - row["training"]) <= 1e-3  # three digits
    x = generated(points, stored["forgotten"][0], 0)
    assert abs(copies(points, x) - row["copies"][0]) <= 0.03  # chains may part on another machine
