"""Adam on smooth activations beside the exact optimum: who sees the slopes at the data, and who is stuck."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from convexdiff_lib._validation import FloatArray
from convexdiff_lib.datasets import GaussianMixture, perturb
from convexdiff_lib.line.smooth import certified_gap
from convexdiff_lib.line.training import score_matching
from convexdiff_lib.paper.activation_programs import smooth_program
from convexdiff_lib.paper.smooth_training import train_smooth
from convexdiff_lib.sweeps import grid
from experiments import Record, Sweep, digits

N, WIDTH, TRIALS, EPOCHS = 16, 32, 24, 4000
BETAS = (2.0, 4.0)
KINDS: dict[str, dict[str, Any]] = {
    "ReLU": {"activation": "relu"},
    "softplus at 10": {"temperature": 10.0},
    "softplus at 100": {"temperature": 100.0},
    "softplus, 3 to 3000": {"temperature": (3.0, 3000.0)},
    "softplus, 10 to 3000": {"temperature": (10.0, 3000.0)},
    "softplus, 1 to 3000": {"temperature": (1.0, 3000.0)},
}
OTHERS = (("ReLU", False), ("softplus, 10 to 3000", False), ("softplus, 3 to 3000", True))  # and unit slopes
SEEDS = (1, 2, 3, 4)
GELU: dict[str, Any] = {"activation": "gelu", "temperature": (10.0, 3000.0)}
NOISE, DENOISING_BETA = 0.5, 0.5


def sample(seed: int, n: int = N) -> FloatArray:
    """Points of the mixture of two Gaussians at -2 and 2."""
    return np.sort(GaussianMixture((-2.0, 2.0)).sample(n, np.random.default_rng(seed)))


def judged(
    x: FloatArray, beta: float, kind: dict[str, Any], *, targets: FloatArray | None = None, **more: Any
) -> Record:
    """Train, and compare every run with the exact optimum of ReLU networks."""
    torch.set_num_threads(1)
    options = {"width": WIDTH, "n_trials": TRIALS, "n_epochs": EPOCHS} | kind | more
    generator = torch.Generator().manual_seed(0)
    runs = train_smooth(x, beta, targets=targets, generator=generator, **options)
    if kind.get("activation") == "gelu":
        bound = score_matching(x, beta).certificate.dual
        return {"losses": digits(sorted(runs.losses), 7), "below": int(np.sum(runs.losses < bound))}
    gaps = [certified_gap(net, x, beta, targets=targets, penalty=runs.penalty) for net in runs.networks]
    slack = [gap.score_bound - gap.score_difference for gap in gaps]
    assert min(slack) >= -1e-9, "the gap does not bound the score"
    assert min(gap.gap for gap in gaps) >= 0, "a network is below the certified bound"
    read = [net.at("relu").loss(x, beta, targets=targets, penalty=runs.penalty) for net in runs.networks]
    return {
        "losses": digits(sorted(runs.losses), 7),
        "relative_gaps": digits(sorted(gap.relative_gap for gap in gaps), 3),
        "read_as_relu": digits(sorted(read), 7),
    }


def other_data(seed: int, name: str, unit: bool) -> Record:
    """The same on another sample: how close its closest points are decides how sharp a network must be."""
    x = sample(seed)
    found = judged(x, 2.0, KINDS[name], unit_slopes=unit)
    return {
        "seed": seed,
        "kind": name,
        "unit_slopes": unit,
        "smallest_gap": digits(np.diff(x).min(), 2),
        "optimum": digits(score_matching(x, 2.0).value, 6),
        "relative_gaps": found["relative_gaps"],
    }


def trained(beta: float, unit: bool, name: str) -> Record:
    """Train one kind of networks at one weight decay, with slopes of any size or of size one."""
    x = sample(0)
    found = {"beta": beta, "unit_slopes": unit, "kind": name}
    found |= judged(x, beta, KINDS[name], unit_slopes=unit)
    if unit and "temperature" in KINDS[name]:
        last = float(np.ravel(KINDS[name]["temperature"])[-1])
        found["program"] = digits(smooth_program(x, beta, temperature=last, resolution=300).value, 8)
    return found


def gelu() -> Record:
    """Train networks of GELU, whose optimum is not known."""
    return judged(sample(0), 2.0, GELU, unit_slopes=True)


def sixty_points() -> Record:
    """Train more neurons on more points."""
    many = judged(sample(0, 60), 6.0, KINDS["softplus, 10 to 3000"], n_trials=8, width=64)
    return {"beta": 6.0, "relative_gaps": many["relative_gaps"]}


def denoising(name: str) -> Record:
    """Train one kind of networks to denoise."""
    noisy, targets = perturb(sample(0), NOISE, np.random.default_rng(0))
    found = judged(noisy, DENOISING_BETA, KINDS[name], targets=targets)
    return {"kind": name, "relative_gaps": found["relative_gaps"]}


def run(sweep: Sweep) -> Record:
    """Run everything; about twenty minutes of one core."""
    others = [{"seed": seed, "name": name, "unit": unit} for seed in SEEDS for name, unit in OTHERS]
    return {
        "settings": {"n": N, "width": WIDTH, "trials": TRIALS, "epochs": EPOCHS},
        "seeds": {"data": 0, "other data": list(SEEDS), "Adam": 0},
        "optima": {f"{beta:g}": digits(score_matching(sample(0), beta).value, 10) for beta in BETAS},
        "runs": sweep(trained, grid(beta=BETAS, unit=(False, True), name=list(KINDS))),
        "other_data": sweep(other_data, others),
        "gelu": sweep(gelu, [{}])[0],
        "sixty_points": sweep(sixty_points, [{}])[0],
        "denoising": sweep(denoising, grid(name=[name for name, _ in OTHERS[:2]])),
    }
