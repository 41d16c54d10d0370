"""The digits of scikit-learn, split once and for all, and their noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_digits

from convexdiff_lib._validation import FloatArray

__all__ = [
    "DRAWS",
    "JUDGED_DRAWS",
    "N_TRAIN",
    "N_VALIDATION",
    "SIGMAS",
    "Data",
    "Denoiser",
    "Level",
    "squares",
]

Denoiser = Callable[[FloatArray], FloatArray]  # a noisy image to what has to be added to it

SIGMAS = (3.0, 1.67, 0.93, 0.52, 0.29, 0.16, 0.09, 0.05)
N_TRAIN, N_VALIDATION = 1200, 300  # the other 297 images are the test set
DRAWS, JUDGED_DRAWS = 8, 5  # noise draws per image


@dataclass(frozen=True, eq=False)
class Data:
    """Images with pixels between -1 and 1, split once and for all."""

    train: FloatArray
    validation: FloatArray
    test: FloatArray
    labels: np.ndarray  # of the training images

    @classmethod
    def load(cls) -> Data:
        """Split the images that scikit-learn brings."""
        table = load_digits()
        order = np.random.default_rng(0).permutation(len(table.data))
        images = table.data[order] / 8 - 1
        parts = np.split(images, [N_TRAIN, N_TRAIN + N_VALIDATION])
        return cls(*parts, table.target[order][:N_TRAIN])


@dataclass(frozen=True, eq=False)
class Level:
    """One noise level of one seed: noisy training images, what they lack, and how errors are judged."""

    data: Data
    seed: int
    index: int

    @property
    def sigma(self) -> float:
        """Its noise."""
        return SIGMAS[self.index]

    def rng(self, what: int) -> np.random.Generator:
        """A generator of its own for each purpose."""
        return np.random.default_rng([self.seed, self.index, what])

    def pairs(self) -> tuple[FloatArray, FloatArray]:
        """Noisy training images, and what has to be added to each of them."""
        clean = np.repeat(self.data.train, DRAWS, axis=0)
        noise = self.sigma * self.rng(0).normal(size=clean.shape)
        return clean + noise, -noise

    def error(self, correction: Denoiser, images: FloatArray) -> float:
        """Mean squared error per image, with the same noise for all models and seeds."""
        clean = np.repeat(images, JUDGED_DRAWS, axis=0)
        noisy = clean + self.sigma * np.random.default_rng([7, self.index]).normal(size=clean.shape)
        return float(np.mean(np.sum((noisy + correction(noisy) - clean) ** 2, axis=1)))


def squares(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return squared distances of the rows; exactly 0 from an image to itself if a is b."""
    found = np.sum(a**2, axis=1)[:, None] + np.sum(b**2, axis=1) - 2 * a @ b.T
    if a is b:
        np.fill_diagonal(found, 0.0)
    return np.asarray(np.maximum(found, 0.0))
