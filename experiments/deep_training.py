"""Training of deep networks by Adam beside the convex optimum: denoising, narrow chains and full networks."""

from __future__ import annotations

import numpy as np
import torch

from convexdiff_lib import deep_denoising_score_matching, denoising_score_matching
from convexdiff_lib._validation import FloatArray
from convexdiff_lib.sweeps import grid
from experiments import Record, Sweep, digits

SEED, STEPS, RUNS, WIDTH = 0, 8000, 48, 12
BETA = 0.1
SIZES = (6, 10)
CLASSES = {
    "narrow, three layers": (3, False),
    "narrow, four layers": (4, False),
    "full, three layers, path norm": (3, True),
    "full, four layers, path norm": (4, True),
}


def task(n: int, seed: int = SEED) -> tuple[FloatArray, FloatArray]:
    """Perturbed points of two clusters, and their targets."""
    rng = np.random.default_rng(seed)
    clean, noise = rng.choice([-1.0, 1.0], n) + 0.3 * rng.normal(size=n), rng.normal(size=n)
    return np.sort(clean + 0.5 * noise), -noise[np.argsort(clean + 0.5 * noise)] / 0.5


def losses_of_training(
    x: FloatArray,
    targets: FloatArray,
    beta: float,
    *,
    depth: int,
    full: bool,
    runs: int = RUNS,
    steps: int = STEPS,
    width: int = WIDTH,
    seed: int = SEED,
) -> FloatArray:
    r"""Return the lowest loss of every run, penalty included.

    Narrow: chains side by side, :math:`\tfrac{\beta}{L} \sum |w|^L`; full: :math:`\beta` times the path norm.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs, aims = (torch.from_numpy(np.array(a))[None, :] for a in (x, targets))

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(runs, *shape, generator=generator, dtype=torch.float64)

    shapes = [(width, 1)] + [((width, width) if full else (width, 1))] * (depth - 2) + [(width, 1)]
    size = 0.6 if full else 1.0
    weights = [(size * draw(*shape)).requires_grad_() for shape in shapes]
    biases = [draw(width, 1).requires_grad_() for _ in range(depth - 1)] + [draw(1, 1).requires_grad_()]

    def loss() -> torch.Tensor:
        values = torch.relu(weights[0] * inputs[:, None, :] + biases[0])
        for weight, bias in zip(weights[1:-1], biases[1:-1], strict=True):
            values = torch.relu((weight @ values if full else weight * values) + bias)
        scores = (weights[-1] * values).sum(1) + biases[-1][:, 0]
        return 0.5 * ((scores - aims) ** 2).sum(1) + beta * penalty()

    def penalty() -> torch.Tensor:
        if not full:
            return sum((w.abs() ** depth).sum((1, 2)) for w in weights) / depth
        through = weights[0].abs()
        for weight in weights[1:-1]:
            through = weight.abs() @ through
        return (weights[-1].abs() * through).sum((1, 2))

    optimizer = torch.optim.Adam([*weights, *biases], lr=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.05, total_steps=steps, pct_start=0.1, final_div_factor=1e5
    )
    lowest = torch.full((runs,), np.inf, dtype=torch.float64)
    for _ in range(steps):
        optimizer.zero_grad()
        now = loss()
        lowest = torch.minimum(lowest, now.detach())
        now.sum().backward()
        optimizer.step()
        schedule.step()
    return torch.minimum(lowest, loss().detach()).numpy()


def trained(n: int, name: str) -> Record:
    """Train one class of networks on so many points."""
    torch.set_num_threads(1)
    x, targets = task(n)
    optimum = deep_denoising_score_matching(x, targets, BETA).value
    depth, full = CLASSES[name]
    found = losses_of_training(x, targets, BETA, depth=depth, full=full)
    return {
        "n": n,
        "class": name,
        "optimum": digits(optimum, 8),
        "two layers": digits(denoising_score_matching(x, targets, BETA).value, 8),
        "best": digits(found.min(), 8),
        "median": digits(np.median(found), 5),
        "below": int((found < optimum * (1 - 1e-9)).sum()),
    }


def run(sweep: Sweep) -> Record:
    """Train everything."""
    settings = {"beta": BETA, "runs": RUNS, "steps": STEPS, "width": WIDTH, "seed": SEED}
    return {"settings": settings, "runs": sweep(trained, grid(n=SIZES, name=list(CLASSES)))}
