"""Denoisers: the exact ones of simple laws, and networks as they are kept."""

from __future__ import annotations

import numpy as np

from convexdiff_lib._validation import FloatArray
from experiments.images.data import SIGMAS, Data, Denoiser, squares

__all__ = ["BANDWIDTHS", "EXACT", "bandwidth", "exact_corrections", "gaussian", "kernel", "restored"]

EXACT = ("gaussian", "training set", "kernel density")
BANDWIDTHS = (0.1, 0.2, 0.3, 0.4, 0.5)


def gaussian(data: Data, sigma: float) -> Denoiser:
    """The posterior mean if the images were normal."""
    mean, cov = data.train.mean(axis=0), np.cov(data.train.T)
    gain = np.linalg.solve(cov + sigma**2 * np.eye(len(cov)), cov)
    return lambda x: mean + (x - mean) @ gain - x


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
    if model == "gaussian":
        return [gaussian(data, sigma) for sigma in SIGMAS]
    return [kernel(data, sigma, width if model == "kernel density" else 0.0) for sigma in SIGMAS]


def bandwidth(data: Data) -> float:
    """The one under which the validation images are most likely."""
    distances = squares(data.validation, data.train)
    likely = []
    for h in BANDWIDTHS:
        log = -distances / (2 * h**2)
        top = log.max(axis=1)
        likely.append(np.mean(np.log(np.exp(log - top[:, None]).mean(axis=1)) + top) - 64 * np.log(h))
    return BANDWIDTHS[int(np.argmax(likely))]
