"""An established diffusion package on the same images: ``smalldiffusion``, one network for all noise levels.

It comes with ``pip install smalldiffusion``.  Only its own examples need torchvision, which may be missing.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch
from torch.utils.data import DataLoader

from convexdiff_lib._validation import FloatArray
from experiments import Record, digits
from experiments.images.data import SIGMAS, Data, Denoiser, Level
from experiments.images.models import exact_corrections

__all__ = [
    "HIDDEN",
    "NOISE",
    "RATES",
    "TARGETS",
    "chosen",
    "corrections",
    "loaded",
    "own_samples",
    "train_package",
]

HIDDEN, BATCH = (256, 256, 256), 256
NOISE = (200, 0.04, 6.0)  # its log-linear schedule
TARGETS, RATES = ("noise", "image", "velocity"), (1e-3, 3e-3)
OWN_STEPS = 50


def loaded() -> Any:
    """Return the package, with a stand-in for torchvision where that is not installed."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        sys.modules["torchvision"] = MagicMock()
    try:
        import smalldiffusion
    except ImportError as error:
        raise ImportError(
            "this experiment trains an established package: pip install smalldiffusion"
        ) from error
    return smalldiffusion


def network(target: str) -> Any:
    """Return its network of three hidden layers for inputs that are scaled by the noise."""
    package = loaded()
    wrap = {"noise": lambda cls: cls, "image": package.PredX0, "velocity": package.PredV}[target]
    return package.Scaled(wrap(package.TimeInputMLP))(dim=64, hidden_dims=HIDDEN)


def schedule() -> Any:
    """Return its noise schedule."""
    number, least, most = NOISE
    return loaded().ScheduleLogLinear(number, sigma_min=least, sigma_max=most)


def corrections(model: Any) -> list[Denoiser]:
    """Return what the network adds to an image, at each noise level."""

    def at(sigma: float) -> Denoiser:
        def correction(x: FloatArray) -> FloatArray:
            with torch.no_grad():
                noise = model.predict_eps(torch.tensor(x, dtype=torch.float32), torch.tensor(sigma))
            return np.asarray(-sigma * noise.numpy(), dtype=np.float64)

        return correction

    model.eval()
    return [at(sigma) for sigma in SIGMAS]


def errors(data: Data, model: Any, images: FloatArray) -> list[float]:
    """Return the error at each noise level."""
    return [Level(data, 0, i).error(f, images) for i, f in enumerate(corrections(model))]


def train_once(
    data: Data, seed: int, target: str, rate: float, seconds: float
) -> tuple[float, Any, int, list]:
    """Return the best of ten stages on validation: mean error over that of the Gaussian model.

    The loop of the package is used with a rate that falls to 2 %; only its processor time counts.
    """
    torch.manual_seed(seed)
    model = network(target)
    gauss = exact_corrections(data, "gaussian", 0.0)
    unit = [Level(data, 0, i).error(f, data.validation) for i, f in enumerate(gauss)]
    loader = DataLoader(torch.tensor(data.train, dtype=torch.float32), batch_size=BATCH, shuffle=True)
    spent, best, kept, curve, begin = 0.0, np.inf, None, [], time.process_time()
    steps = 0
    for at in training_loop(loader, model, rate):
        steps += 1
        now = spent + time.process_time() - begin
        for group in at.optimizer.param_groups:
            group["lr"] = rate * (1 - 0.98 * min(now / seconds, 1.0))
        if now >= seconds * (len(curve) + 1) / 10:
            error = float(np.mean(np.divide(errors(data, model, data.validation), unit)))
            curve.append([digits(now, 3), digits(error)])
            if error < best:
                best, kept = error, {name: value.clone() for name, value in model.state_dict().items()}
            if now >= seconds:
                break
            model.train()
            spent, begin = now, time.process_time()
    model.load_state_dict(kept)
    return best, model, steps, curve


def training_loop(loader: Any, model: Any, rate: float) -> Iterator[Any]:
    """Return the loop of the package, whose bar would count to no end."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        loop = loaded().training_loop(loader, model, schedule(), epochs=10**9, lr=rate)
        state = next(loop)
    yield state
    yield from loop


def chosen(data: Data, seed: int, seconds: float) -> list[list[Any]]:
    """Return what can be predicted, and at which rate: the best on validation after these seconds first."""
    choices = [(target, rate) for target in TARGETS for rate in RATES]
    return sorted([digits(train_once(data, seed, *choice, seconds)[0]), *choice] for choice in choices)


def train_package(data: Data, seed: int, target: str, rate: float, seconds: float) -> tuple[Record, Any]:
    """Train, and return what is stored with the network."""
    _, model, steps, curve = train_once(data, seed, target, rate, seconds)
    record = {
        "target": target,
        "rate": rate,
        "seconds": digits(seconds, 3),
        "steps": steps,
        "curve": curve,
        "weights": sum(value.numel() for value in model.parameters()),
        "validation": digits(errors(data, model, data.validation)),
        "test": digits(errors(data, model, data.test)),
    }
    return record, model


def own_samples(model: Any, number: int, seed: int) -> FloatArray:
    """Return samples by the sampler of the package, with its acceleration."""
    torch.manual_seed(100 + seed)
    sigmas = schedule().sample_sigmas(OWN_STEPS)
    *_, last = loaded().samples(model, sigmas, gam=2.0, batchsize=number)
    return np.asarray(last.numpy(), dtype=np.float64)
