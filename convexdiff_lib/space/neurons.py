"""Unit neurons with the activation patterns of their chambers, of which the training programs choose few."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._validation import FloatArray
from ._blocks import row_lengths

__all__ = ["Neurons", "products", "unit_rows"]

_ROUNDING = 1e-13  # of a product of a row and a direction, relative to the row: so small a product is zero


@dataclass(frozen=True, eq=False)
class Neurons:
    """Neurons as limits from inside open chambers: each has a direction, and the pattern of a chamber.

    On the boundary of its chamber a neuron has the pattern of the side that it is approached from.

    Parameters
    ----------
    signs : array of shape (k, n)
        The pattern of each: indicators, or signs.
    directions : array of shape (k, D)
        First-layer weights of length one.
    insides : array of shape (k, D)
        A direction in the interior of each chamber.
    held : int array of shape (k,)
        The row to which a neuron must stay orthogonal; -1 if there is none.

    Examples
    --------
    >>> from convexdiff_lib.space.circles import cut_circle
    >>> neurons = cut_circle(np.array([[1.0, 0.0], [0.0, 1.0]]), "relu").corners(8)
    >>> neurons.part(np.array([0])).signs.tolist(), len(neurons)
    ([[1.0, 1.0]], 8)
    """

    signs: FloatArray
    directions: FloatArray
    insides: FloatArray
    held: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.signs)

    def part(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> Neurons:
        """Return the chosen ones."""
        return Neurons(
            self.signs[chosen],
            self.directions[chosen],
            self.insides[chosen],
            self.held[chosen],
        )

    def and_also(self, others: Neurons) -> Neurons:
        """Return these and others."""
        return Neurons(
            np.concatenate([self.signs, others.signs]),
            np.concatenate([self.directions, others.directions]),
            np.concatenate([self.insides, others.insides]),
            np.concatenate([self.held, others.held]),
        )

    def features(self, X: FloatArray) -> FloatArray:
        """Return their values at the data, shape (k, n); what is but rounding is zero."""
        return self.signs * products(X, self.directions)

    def inwards(self, X: FloatArray, turn: float) -> FloatArray:
        """Return the directions turned inwards by an angle, to have their patterns in rounded numbers.

        Where a chamber is too thin for that they go a quarter of the way to its inside.
        """
        lengths = np.linalg.norm(self.directions, axis=1, keepdims=True)
        here, inside = (u @ unit_rows(X).T for u in (self.directions / lengths, self.insides))
        touching = (np.abs(here) <= max(turn, _ROUNDING)) & (X != 0).any(axis=1)
        room = np.where(touching, np.abs(inside), np.inf).min(axis=1, initial=np.inf)
        share = np.minimum(turn / np.maximum(room, 1e-300), 0.25)[:, None]
        return self.directions + np.where(np.isfinite(room)[:, None], share, 0.0) * lengths * self.insides


def products(X: FloatArray, directions: FloatArray) -> FloatArray:
    """Return the products of rows and directions, shape (k, n); what is but rounding is zero.

    Examples
    --------
    >>> products(np.array([[1.0, 1.0]]), np.array([[1.0, -1.0 + 1e-15], [1.0, 0.0]])).tolist()
    [[0.0], [1.0]]
    """
    values = directions @ X.T
    sizes = np.linalg.norm(directions, axis=1)[:, None] * np.linalg.norm(X, axis=1)
    values[np.abs(values) <= _ROUNDING * sizes] = 0.0
    return np.asarray(values)


def unit_rows(X: FloatArray) -> FloatArray:
    """Return the rows at length one; a row of zeros stays.

    Examples
    --------
    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    return X / row_lengths(X)
