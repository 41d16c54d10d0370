"""Samples of a chain of denoisers, and how like images they are."""

from __future__ import annotations

import numpy as np
from sklearn.neural_network import MLPClassifier

from convexdiff_lib._validation import FloatArray
from convexdiff_lib.sampling.langevin import annealed_langevin_dynamics
from experiments import Record, digits
from experiments.images.data import SIGMAS, Data, Denoiser, squares

__all__ = ["N_SAMPLES", "STEP", "STEPS", "Judge", "sampled", "shown"]

N_SAMPLES, STEPS, STEP = 500, 30, 0.15  # the step is a share of the variance of the noise
SHOWN = 10
FAR = 3.0  # a pixel of this size has nothing to do with images between -1 and 1


def sampled(corrections: list[Denoiser], seed: int) -> FloatArray:
    """Annealed Langevin dynamics through all levels, and a last denoising."""
    rng = np.random.default_rng([11, seed])
    start = SIGMAS[0] * rng.normal(size=(N_SAMPLES, 64))
    scores = [lambda x, f=f, s=s: np.asarray(f(x)) / s**2 for f, s in zip(corrections, SIGMAS, strict=True)]
    x = annealed_langevin_dynamics(
        scores, SIGMAS, start, step_size=STEP * SIGMAS[-1] ** 2, n_steps_each=STEPS, rng=rng
    )
    return np.asarray(x + corrections[-1](x))


class Judge:
    """How like the images that nobody has trained on samples are."""

    def __init__(self, data: Data) -> None:
        self.data = data
        self.real = np.vstack([data.validation, data.test])
        self.classifier = MLPClassifier((64,), random_state=0, max_iter=500).fit(data.train, data.labels)

    def features(self, x: FloatArray) -> FloatArray:
        """Hidden units of the classifier."""
        return np.asarray(np.maximum(x @ self.classifier.coefs_[0] + self.classifier.intercepts_[0], 0))

    def frechet(self, x: FloatArray) -> float:
        """Distance of the normal laws with the moments of these features, as for the FID."""
        one, other = self.features(x), self.features(self.real)
        A, B = np.cov(one.T), np.cov(other.T)
        values, vectors = np.linalg.eigh(A)
        root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
        cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ B @ root), 0)).sum()
        return float(np.sum((one.mean(0) - other.mean(0)) ** 2) + np.trace(A) + np.trace(B) - 2 * cross)

    def sliced(self, x: FloatArray) -> float:
        """Mean Wasserstein distance over random directions."""
        directions = np.random.default_rng(0).normal(size=(64, 200))
        directions /= np.linalg.norm(directions, axis=0)
        at = (np.arange(400) + 0.5) / 400
        one, other = (np.quantile(images @ directions, at, axis=0) for images in (x, self.real))
        return float(np.mean(np.abs(one - other)))

    def energy(self, x: FloatArray) -> float:
        """Energy distance, without the pairs of a sample with itself."""

        def mean(a: FloatArray, b: FloatArray, same: bool) -> float:
            distances = np.sqrt(squares(a, b))
            return float(distances.sum() / (len(a) * (len(b) - same)))

        return 2 * mean(x, self.real, False) - mean(x, x, True) - mean(self.real, self.real, True)

    def copies(self, x: FloatArray) -> tuple[float, float]:
        """Share of samples three times as near to a training image as to the next; median distance to it."""
        distances = np.sqrt(np.sort(squares(x, self.data.train), axis=1)[:, :2])
        return float(np.mean(distances[:, 0] < distances[:, 1] / 3)), float(np.median(distances[:, 0]))

    def verdict(self, x: FloatArray) -> Record:
        """All of them, without samples that are far outside the range of images, and how many those are."""
        far = np.abs(x).max(axis=1) > FAR
        lost, x = float(far.mean()), x[~far]
        copies, nearest = self.copies(x)
        return {
            "lost": digits(lost),
            "frechet": digits(self.frechet(x)),
            "sliced": digits(self.sliced(x)),
            "energy": digits(self.energy(x)),
            "copies": digits(copies),
            "nearest": digits(nearest),
        }


def shown(x: FloatArray) -> list[list[int]]:
    """A few images as integers, as the data come."""
    return np.clip(np.round(8 * (x[:SHOWN] + 1)), 0, 16).astype(int).tolist()
