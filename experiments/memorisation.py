"""Forgetting: samples of networks that forget more and more points, and the fourth corner of a square."""

from __future__ import annotations

import numpy as np

from convexdiff_lib import (
    GaussianMixture,
    annealed_langevin_dynamics,
    denoising_score_matching,
    memorisation_law,
    planar_denoising,
)
from convexdiff_lib._validation import FloatArray
from convexdiff_lib.sweeps import grid
from experiments import Record, Sweep, digits

SIZES, SEEDS, DRAWS, CHAINS = (25, 100), (0, 1, 2), 20, 1000
FORGOTTEN = (0.25, 0.5, 0.8, 1.2, 2.0, 4.0, 8.0, 16.0)  # 2 beta / m, a number of points


ANGLES = (80.0, 84.0, 86.0, 88.0, 89.0, 90.0, 91.0, 92.0, 94.0, 96.0, 100.0)
SHARES = (0.02, 0.05, 0.1, 0.2)
SIGMA, CORNERS = 0.03, 8


def truth(n: int, rng: np.random.Generator) -> FloatArray:
    """Draw from half N(-2, 0.36) and half N(1.5, 1)."""
    left = rng.uniform(size=n) < 0.5
    return np.where(
        left, GaussianMixture((-2.0,), 0.6).sample(n, rng), GaussianMixture((1.5,), 1.0).sample(n, rng)
    )


def copies(points: FloatArray, samples: FloatArray) -> float:
    """The share of samples whose nearest training point is three times as near as the second."""
    gaps = np.sort(np.abs(samples[:, None] - points), axis=1)
    return float(np.mean(3 * gaps[:, 0] < gaps[:, 1]))


def distance(one: FloatArray, other: FloatArray) -> float:
    """Wasserstein distance of two samples, by their quantiles."""
    levels = (np.arange(4000) + 0.5) / 4000
    return float(np.mean(np.abs(np.quantile(one, levels) - np.quantile(other, levels))))


def generated(points: FloatArray, forgotten: float, seed: int, chains: int = CHAINS) -> FloatArray:
    """Anneal through fourteen networks, each trained on noise of its own, and denoise at the end."""
    rng = np.random.default_rng((seed, len(points)))
    sigmas = np.geomspace(2.5, 0.2 / len(points), 14)
    beta = forgotten * DRAWS / 2
    fits = []
    for sigma in sigmas:
        law = memorisation_law(points, rng.normal(size=(len(points), DRAWS)), skip=True)
        fits.append(denoising_score_matching(*law.noisy(float(sigma)), beta, skip=True))
    last = float(sigmas[-1])
    x = annealed_langevin_dynamics(
        fits, sigmas, 2.5 * rng.normal(size=chains), step_size=0.2 * last**2, n_steps_each=10, rng=rng
    )
    return x + last**2 * fits[-1](x)


def circle(m: int) -> FloatArray:
    """Noise on a regular polygon: its products sum to m times the identity."""
    t = 2 * np.pi * np.arange(m) / m
    return np.sqrt(2) * np.column_stack([np.cos(t), np.sin(t)])


def triangle(angle: float) -> FloatArray:
    """Three points, two arms of length one at this angle in degrees."""
    t = np.deg2rad(angle)
    return np.array([[0.0, 0.0], [1.0, 0.0], [np.cos(t), np.sin(t)]])


def denoised(angle: float, share: float, x: FloatArray, steps: int = 600) -> FloatArray:
    """Denoise again and again, with the certified optimum at 2 beta / m = share."""
    points, noise = triangle(angle), circle(CORNERS)
    noisy = (points[:, None] + SIGMA * noise).reshape(-1, 2)
    targets = np.tile(-noise / SIGMA, (len(points), 1))
    fit = planar_denoising(noisy, targets, share * CORNERS / 2, bias=True, penalise_bias=False)
    for _ in range(steps):
        x = x + SIGMA**2 * fit(x)
    return x


def ends(angle: float, x: FloatArray) -> FloatArray:
    """Where points are: at 0, 1, 2 of the triangle, at 3, the fourth corner, or 4, elsewhere."""
    points = triangle(angle)
    places = np.vstack([points, points[1] + points[2]])
    gaps = np.linalg.norm(x[:, None] - places, axis=2)
    return np.where(gaps.min(axis=1) <= 3 * SIGMA, gaps.argmin(axis=1), 4)


def window(centre: FloatArray, half: float, count: int) -> FloatArray:
    """A square grid of starts."""
    side = np.linspace(-half, half, count)
    return centre + np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)


def forgetting(n: int, seed: int) -> Record:
    """Samples of networks that forget more and more of one training set."""
    points = truth(n, np.random.default_rng((seed, n, 1)))
    fresh = truth(20_000, np.random.default_rng((seed, n, 2)))
    samples = [generated(points, k, seed) for k in FORGOTTEN]
    return {
        "n": n,
        "seed": seed,
        "copies": digits([copies(points, x) for x in samples], 3),
        "distance": digits([distance(x, fresh) for x in samples], 3),
        "fresh": digits(copies(points, fresh[:5000]), 3),
        "training": digits(distance(points, fresh), 3),
    }


def corners(share: float) -> Record:
    """How much around the fourth corner goes there, by the angle; and where a square of starts goes."""
    row = []
    for angle in ANGLES:
        corner = triangle(angle)[1:].sum(axis=0)
        found = ends(angle, denoised(angle, share, window(corner, 0.15, 21)))
        row.append(digits(np.mean(found == 3), 3))
    found = ends(90.0, denoised(90.0, share, window(np.array([0.5, 0.5]), 0.8, 49)))
    return {"corner": row, "basins": ["".join(map(str, line)) for line in found.reshape(49, 49).tolist()]}


def run(sweep: Sweep) -> Record:
    """Run everything; about ten minutes of one core."""
    generated = sweep(forgetting, grid(n=SIZES, seed=SEEDS))
    found = sweep(corners, grid(share=SHARES))
    return {
        "seeds": list(SEEDS),
        "draws": DRAWS,
        "chains": CHAINS,
        "forgotten": list(FORGOTTEN),
        "generated": generated,
        "angles": list(ANGLES),
        "shares": list(SHARES),
        "corner": [each["corner"] for each in found],
        "basins": [each["basins"] for each in found],
    }
