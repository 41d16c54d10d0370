"""Denoisers: the exact ones of simple laws, and networks as they are kept."""

from __future__ import annotations

import numpy as np

from convexdiff_lib._validation import FloatArray
from experiments import digits
from experiments.images.data import Data, Denoiser, Level, squares

__all__ = [
    "BANDWIDTHS",
    "EXACT",
    "affine",
    "bandwidth",
    "exact_corrections",
    "exact_errors",
    "gaussian",
    "kernel",
    "restored",
]

EXACT = ("gaussian", "training set", "kernel density")
BANDWIDTHS = (0.1, 0.2, 0.3, 0.4, 0.5)


def gaussian(data: Data, sigma: float) -> Denoiser:
    """The posterior mean if the images were normal."""
    mean, cov = data.train.mean(axis=0), np.cov(data.train.T)
    gain = np.linalg.solve(cov + sigma**2 * np.eye(len(cov)), cov)
    return lambda x: mean + (x - mean) @ gain - x


def affine(level: Level) -> Denoiser:
    """The affine map that fits the noisy images of a level best: what networks with a free one begin with."""
    noisy, lacking = level.pairs()
    V = np.linalg.lstsq(np.column_stack([noisy, np.ones(len(noisy))]), lacking, rcond=None)[0]
    return lambda x: x @ V[:-1] + V[-1]


def kernel(data: Data, sigma: float, width: float) -> Denoiser:
    """The posterior mean if the images were training images with a little noise, or none: width 0."""
    total = width**2 + sigma**2

    def correction(x: FloatArray) -> FloatArray:
        log = -squares(x, data.train) / (2 * total)
        weights = np.exp(log - log.max(axis=1, keepdims=True))
        mean = weights @ data.train / weights.sum(axis=1, keepdims=True)
        return np.asarray((mean - x) * (sigma**2 / total))

    return correction


def affine_first(first: FloatArray, second: FloatArray, V: FloatArray) -> Denoiser:
    """A network of neurons (m, d + 1), their second layer (m, d) and an affine map (d + 1, d)."""
    return lambda x: np.maximum(x @ first[:, :-1].T + first[:, -1], 0) @ second + x @ V[:-1] + V[-1]


def gates_of(gates: FloatArray, W: FloatArray, V: FloatArray) -> Denoiser:
    """A gated network with an affine map."""

    def correction(x: FloatArray) -> FloatArray:
        rows = np.column_stack([x, np.ones(len(x))])
        out = rows @ V
        for gate, block in zip(gates, W, strict=True):
            chosen = np.flatnonzero(rows @ gate >= 0)
            out[chosen] += rows[chosen] @ block
        return np.asarray(out)

    return correction


def restored(arrays: dict[str, FloatArray]) -> Denoiser:
    """The model that was kept."""
    if "gates" in arrays:
        return gates_of(arrays["gates"], arrays["W"], arrays["V"])
    return affine_first(arrays["first"], arrays["second"], arrays["V"])


def exact_corrections(data: Data, model: str, width: float) -> list[Denoiser]:
    """The models that need no training, at all levels."""
    sigmas = data.design.sigmas
    if model == "gaussian":
        return [gaussian(data, sigma) for sigma in sigmas]
    return [kernel(data, sigma, width if model == "kernel density" else 0.0) for sigma in sigmas]


def exact_errors(data: Data, width: float) -> dict[str, list[float]]:
    """Return the errors on test images of the models that need no training, at all levels."""
    levels = [Level(data, 0, i) for i in range(len(data.design.sigmas))]
    return {
        model: [
            digits(level.error(f, data.test))
            for level, f in zip(levels, exact_corrections(data, model, width), strict=True)
        ]
        for model in EXACT
    }


def bandwidth(data: Data) -> float:
    """The one under which the validation images are most likely."""
    distances = squares(data.validation, data.train)
    d, likely = data.train.shape[1], []
    for h in BANDWIDTHS:
        log = -distances / (2 * h**2)
        top = log.max(axis=1)
        likely.append(np.mean(np.log(np.exp(log - top[:, None]).mean(axis=1)) + top) - d * np.log(h))
    return BANDWIDTHS[int(np.argmax(likely))]
