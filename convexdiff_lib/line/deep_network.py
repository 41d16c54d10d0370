r"""Fully connected univariate networks of any depth, weight by weight.

Conventions at a kink, as in the paper: :math:`\mathrm{relu}'(0) = 1` and :math:`\mathrm{sign}(0) = +1`.  A
sum of narrow chains is such a network too: its inner matrices are diagonal, and zeros cost nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from .._results import result
from .._validation import Activation, FloatArray, as_activation, as_finite, as_points, as_positive, as_sample

if TYPE_CHECKING:
    import torch

__all__ = ["DeepNetwork"]


@result
class DeepNetwork:
    r"""A network from one number to one number, with L layers of weights and an optional skip connection.

    .. math:: s(x) = W_L\, \sigma\big( W_{L-1}\, \sigma( \cdots \sigma( W_1 x + b_1 ) \cdots ) + b_{L-1} \big)
              + v x + b_L

    Parameters
    ----------
    weights : tuple of L matrices
        From the first layer, of shape (m_1, 1), to the last, of shape (1, m_{L-1}).
    biases : tuple of L vectors
        The last of them of length one.
    slope : float
        The skip connection v.
    activation : {"relu", "abs"}

    Raises
    ------
    ValueError
        If there are fewer than two layers, shapes do not fit, or the activation is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> one, none = np.ones((1, 1)), np.zeros(1)
    >>> chain = DeepNetwork((one, 2 * one, -one), (none, none, none))
    >>> x = [-1.0, 0.0, 3.0]
    >>> chain(x).tolist(), chain.derivative(x).tolist(), chain.path_norm
    ([0.0, 0.0, -6.0], [0.0, -2.0, -2.0], 2.0)
    """

    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]
    slope: float = 0.0
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        as_activation(self.activation)
        as_finite(self.slope, "slope")
        object.__setattr__(self, "weights", tuple(as_points(W, "weights") for W in self.weights))
        object.__setattr__(self, "biases", tuple(as_points(b, "biases") for b in self.biases))
        widths = [1, *(len(b) for b in self.biases)]
        shapes = [(widths[k + 1], widths[k]) for k in range(len(self.biases))]
        if len(shapes) < 2 or widths[-1] != 1 or [W.shape for W in self.weights] != shapes:
            raise ValueError(
                f"weights must be two matrices or more that lead from one number to one number, with biases "
                f"of the same lengths; got {[W.shape for W in self.weights]} and biases of {widths[1:]}"
            )

    def _facts(self) -> dict[str, object]:
        return {"depth": self.depth, "widths": tuple(self.widths), "activation": self.activation}

    @property
    def depth(self) -> int:
        """Number L of layers of weights."""
        return len(self.weights)

    @property
    def widths(self) -> list[int]:
        """Numbers of neurons of the hidden layers."""
        return [len(b) for b in self.biases[:-1]]

    def _run(self, x: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Values and derivatives, layer by layer."""
        points = as_sample(x)
        values, slopes = points[None, :], np.ones((1, len(points)))
        for k, (W, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            values, slopes = W @ values + b[:, None], W @ slopes
            if k < self.depth - 1:
                on = values >= 0
                values = np.maximum(values, 0.0) if self.activation == "relu" else np.abs(values)
                slopes = np.where(on, slopes, 0.0 if self.activation == "relu" else -slopes)
        return values[0] + self.slope * points, slopes[0] + self.slope

    def __call__(self, x: ArrayLike) -> FloatArray:
        """Return s(x), shape (n,)."""
        return self._run(x)[0]

    def derivative(self, x: ArrayLike) -> FloatArray:
        """Return s'(x), shape (n,), with the conventions at a kink."""
        return self._run(x)[1]

    def weight_penalty(self, p: float) -> float:
        r"""Return :math:`\tfrac{1}{p} \sum |w|^p` over all weights but those of biases and skip connection.

        For ``p = 2`` that is ordinary weight decay.

        Examples
        --------
        >>> import numpy as np
        >>> one, none = np.ones((1, 1)), np.zeros(1)
        >>> DeepNetwork((one, 2 * one, -one), (none, none, none)).weight_penalty(2.0)
        3.0
        """
        power = as_positive(p, "p")
        return float(sum(np.sum(np.abs(W) ** power) for W in self.weights)) / power

    @property
    def path_norm(self) -> float:
        """Sum over all paths from the input to the output of the product of the sizes of their weights."""
        through = np.ones((1, 1))
        for W in self.weights:
            through = np.abs(W) @ through
        return float(through[0, 0])

    def score_matching_loss(self, x: ArrayLike) -> float:
        r"""Return :math:`\sum_i \tfrac12 s(x_i)^2 + s'(x_i)`, without penalty.

        Examples
        --------
        >>> import numpy as np
        >>> one, none = np.ones((1, 1)), np.zeros(1)
        >>> DeepNetwork((one, one, -one), (none, none, none)).score_matching_loss([0.0])
        -1.0
        """
        values, slopes = self._run(x)
        return float(0.5 * (values @ values) + slopes.sum())

    def to_torch(self) -> torch.nn.Module:
        """Return the same function as a PyTorch module for inputs of shape (n, 1), in double precision.

        Raises
        ------
        ModuleNotFoundError
            If PyTorch is missing.

        Examples
        --------
        >>> import torch
        >>> one, none = np.ones((1, 1)), np.zeros(1)
        >>> module = DeepNetwork((one, 2 * one, -one), (none, none, none)).to_torch()
        >>> module(torch.tensor([[3.0]], dtype=torch.float64)).tolist()
        [[-6.0]]
        """
        import torch

        network = self

        class Module(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                pairs = zip(network.weights, network.biases, strict=True)
                self.layers = torch.nn.ModuleList(_linear(W, b) for W, b in pairs)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                out = x
                for layer in self.layers[:-1]:
                    out = torch.relu(layer(out)) if network.activation == "relu" else torch.abs(layer(out))
                return self.layers[-1](out) + network.slope * x

        return Module()


def _linear(weight: FloatArray, bias: FloatArray) -> torch.nn.Linear:
    import torch

    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.array(weight)))
        layer.bias.copy_(torch.from_numpy(np.array(bias)))
    return layer
