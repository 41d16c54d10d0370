r"""Two-layer networks as the paper has them, neuron by neuron.

Conventions at a kink, as in the paper: :math:`\mathrm{relu}'(0) = 1` and :math:`\mathrm{sign}(0) = +1`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ._results import result
from ._validation import (
    Activation,
    FloatArray,
    as_activation,
    as_matrix,
    as_points,
)

if TYPE_CHECKING:
    import torch

__all__ = ["TwoLayerNetwork"]

_BLOCK = 1 << 22  # numbers held at once when a network is evaluated at many points: 32 MiB


def _activate(u: FloatArray, activation: Activation) -> FloatArray:
    return np.maximum(u, 0.0) if activation == "relu" else np.abs(u)


def _activate_slope(u: FloatArray, activation: Activation) -> FloatArray:
    return (u >= 0).astype(np.float64) if activation == "relu" else np.where(u >= 0, 1.0, -1.0)


@result
class TwoLayerNetwork:
    r"""A two-layer network with optional skip connection, display (3) of the paper.

    .. math:: s(x) = W^{(2)} \sigma(W^{(1)} x + b^{(1)}) + V x + b^{(2)}

    Parameters
    ----------
    W1 : array of shape (m, d)
        First-layer weights, one row per neuron; :math:`w` when d = 1.
    b1 : array of shape (m,)
        First-layer biases.
    W2 : array of shape (d, m)
        Second-layer weights, one column per neuron; :math:`\alpha` when d = 1.
    b2 : array of shape (d,)
        Second-layer bias; :math:`b_0` when d = 1.
    V : array of shape (d, d)
        Skip connection; zero when the network has none.
    activation : {"relu", "abs"}

    Raises
    ------
    ValueError
        If the shapes do not fit together, a parameter is not finite, or the activation is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> tent = TwoLayerNetwork.univariate(w=[1, 1], b=[0, -1], alpha=[1, -2], b0=0.5, activation="relu")
    >>> tent([-1.0, 0.0, 1.0, 2.0]).tolist()
    [0.5, 0.5, 1.5, 0.5]
    >>> tent.divergence([0.0, 1.0]).tolist()
    [1.0, -1.0]
    """

    W1: FloatArray
    b1: FloatArray
    W2: FloatArray
    b2: FloatArray
    V: FloatArray
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        as_activation(self.activation)
        for name in ("W1", "b1", "W2", "b2", "V"):
            object.__setattr__(self, name, as_points(getattr(self, name), name))
        if self.W1.ndim != 2:
            raise ValueError(f"W1 must have shape (m, d); got {self.W1.shape}")
        m, d = self.W1.shape
        for name, shape in {"b1": (m,), "W2": (d, m), "b2": (d,), "V": (d, d)}.items():
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"{name} must have shape {shape} to go with W1 of shape {(m, d)}; "
                    f"got {getattr(self, name).shape}"
                )

    def _facts(self) -> dict[str, object]:
        return {"width": self.width, "dimension": self.dimension, "activation": self.activation}

    @classmethod
    def without_biases(
        cls, first: FloatArray, second: FloatArray, activation: Activation, *, balanced: bool = False
    ) -> TwoLayerNetwork:
        """Build a network of neurons alone, from the weights of its layers, one row per neuron in both.

        If it is to be balanced, both layers of every neuron get one length: the least weight decay.

        Examples
        --------
        >>> import numpy as np
        >>> layers = np.array([[4.0, 0.0]]), np.array([[1.0, 0.0]])
        >>> network = TwoLayerNetwork.without_biases(*layers, "relu", balanced=True)
        >>> network.W1.tolist(), network.W2.tolist()
        ([[2.0, 0.0]], [[2.0], [0.0]])
        """
        if balanced:
            share = np.sqrt(np.linalg.norm(second, axis=1) / np.linalg.norm(first, axis=1))[:, None]
            first, second = first * share, second / share
        m, d = first.shape
        return cls(first, np.zeros(m), second.T, np.zeros(d), np.zeros((d, d)), activation)

    @classmethod
    def univariate(
        cls,
        w: ArrayLike,
        b: ArrayLike,
        alpha: ArrayLike,
        b0: float = 0.0,
        v: float = 0.0,
        *,
        activation: Activation = "relu",
    ) -> TwoLayerNetwork:
        r"""Build :math:`s(x) = \sum_j \alpha_j \sigma(w_j x + b_j) + v x + b_0` from vectors of length m.

        Examples
        --------
        >>> TwoLayerNetwork.univariate([2.0], [0.0], [0.5], activation="abs")([-3.0, 3.0]).tolist()
        [3.0, 3.0]
        """
        weights, outgoing = as_points(w, "w"), as_points(alpha, "alpha")
        if weights.ndim != 1 or outgoing.ndim != 1:
            raise ValueError(f"w and alpha must be vectors; got shapes {weights.shape} and {outgoing.shape}")
        return cls(
            weights[:, None],
            as_points(b, "b"),
            outgoing[None, :],
            np.array([b0]),
            np.array([[v]]),
            activation,
        )

    @property
    def width(self) -> int:
        """Number of neurons, m."""
        return self.W1.shape[0]

    @property
    def dimension(self) -> int:
        """Dimension of the input and of the output, d."""
        return self.W1.shape[1]

    @property
    def squared_norm(self) -> float:
        r"""The sum :math:`\|W^{(1)}\|_F^2 + \|W^{(2)}\|_F^2` that weight decay sees; no biases, no skip."""
        return float(np.sum(self.W1**2) + np.sum(self.W2**2))

    def _points(self, x: ArrayLike) -> FloatArray:
        points = as_matrix(x)
        if points.shape[1] != self.dimension:
            raise ValueError(f"x must have {self.dimension} columns; got shape {points.shape}")
        return points

    def _blocks(self, n: int) -> range:
        return range(0, n, max(1, _BLOCK // max(1, self.width)))

    def __call__(self, x: ArrayLike) -> FloatArray:
        """Return s(x): shape (n,) for x of shape (n,), else shape (n, d)."""
        points = self._points(x)
        out = points @ self.V.T + self.b2
        step = self._blocks(len(points)).step
        for i in self._blocks(len(points)):
            # The product is formed before b1 is added: a neuron whose bias is -(w * x) is exactly zero at x.
            pre = points[i : i + step] @ self.W1.T + self.b1
            out[i : i + step] += _activate(pre, self.activation) @ self.W2.T
        return out[:, 0] if np.ndim(x) < 2 else out

    def divergence(self, x: ArrayLike) -> FloatArray:
        r"""Return :math:`\mathrm{tr}\,\nabla s(x)`, the derivative when d = 1; shape (n,)."""
        points = self._points(x)
        weight = np.einsum("md,dm->m", self.W1, self.W2)
        out = np.full(len(points), np.trace(self.V))
        step = self._blocks(len(points)).step
        for i in self._blocks(len(points)):
            pre = points[i : i + step] @ self.W1.T + self.b1
            out[i : i + step] += _activate_slope(pre, self.activation) @ weight
        return out

    def to_torch(
        self, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu"
    ) -> torch.nn.Module:
        """Return the network as a module of PyTorch, with parameters of its own.

        It maps tensors of shape (..., d) to their scores, and if d = 1 those of any other shape entry by
        entry.  It can be trained on, pickled and differentiated like any module.

        Parameters
        ----------
        dtype : torch.dtype, optional
            Double precision unless another is given.
        device : torch.device or str

        Returns
        -------
        torch.nn.Module

        Raises
        ------
        ModuleNotFoundError
            If PyTorch is missing.

        Examples
        --------
        >>> import torch
        >>> net = TwoLayerNetwork.univariate([2.0, -1.0], [-2.0, 0.0], [1.0, 3.0], b0=0.5)
        >>> net.to_torch()(torch.tensor([-1.0, 0.5, 3.0], dtype=torch.float64)).tolist()
        [3.5, 0.5, 4.5]
        """
        from ._torch import ScoreModule  # PyTorch takes longer to import than all else

        return ScoreModule(self).to(device=device, dtype=dtype)

    def relu_to_abs(self) -> TwoLayerNetwork:
        r"""Return the same function as a network of absolute values with a skip connection.

        Because :math:`u_+ = \tfrac12 (|u| + u)`, half of every neuron is an affine function:

        .. math:: \alpha^a_j = \tfrac12 \alpha^r_j, \quad
                  V^a = V^r + \tfrac12 \sum_j \alpha^r_j w_j^T, \quad
                  b_0^a = b_0^r + \tfrac12 \sum_j \alpha^r_j b_j

        with :math:`w` and :math:`b` unchanged (proof of Theorem 7).  The derivative agrees at the kinks too,
        because :math:`\mathrm{relu}'(0) = \tfrac12 (\mathrm{sign}(0) + 1)`.  Weight decay does change: see
        ``squared_norm``.

        Raises
        ------
        ValueError
            If this is no ReLU network.

        Examples
        --------
        >>> hinge = TwoLayerNetwork.univariate([1.0], [-2.0], [3.0])
        >>> both = hinge.relu_to_abs()
        >>> both.W2.tolist(), both.V.tolist(), both.b2.tolist()
        ([[1.5]], [[1.5]], [-3.0])
        >>> both([0.0, 2.0, 4.0]).tolist(), both.divergence([0.0, 2.0, 4.0]).tolist()
        ([0.0, 0.0, 6.0], [0.0, 3.0, 3.0])
        """
        expect_activation(self.activation, "relu", "relu_to_abs")
        half = self.W2 / 2
        b2, V = self.b2 + half @ self.b1, self.V + half @ self.W1
        return replace(self, W2=half, b2=b2, V=V, activation="abs")

    def abs_to_relu(self) -> TwoLayerNetwork:
        r"""Return the same function as a ReLU network with a skip connection; undoes `relu_to_abs`.

        .. math:: \alpha^r_j = 2 \alpha^a_j, \quad
                  V^r = V^a - \tfrac12 \sum_j \alpha^r_j w_j^T, \quad
                  b_0^r = b_0^a - \tfrac12 \sum_j \alpha^r_j b_j

        Raises
        ------
        ValueError
            If this is no network of absolute values.

        Examples
        --------
        >>> tent = TwoLayerNetwork.univariate([1.0], [0.0], [-1.0], activation="abs").abs_to_relu()
        >>> tent.W2.tolist(), tent.V.tolist(), tent([-1.0, 0.0, 1.0]).tolist()
        ([[-2.0]], [[1.0]], [-1.0, 0.0, -1.0])
        """
        expect_activation(self.activation, "abs", "abs_to_relu")
        b2, V = self.b2 - self.W2 @ self.b1, self.V - self.W2 @ self.W1
        return replace(self, W2=2 * self.W2, b2=b2, V=V, activation="relu")


def expect_activation(activation: Activation, wanted: Activation, method: str) -> None:
    if activation != wanted:
        raise ValueError(f"{method} needs a network with activation {wanted!r}; got {activation!r}")
