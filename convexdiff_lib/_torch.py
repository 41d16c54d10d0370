"""A two-layer network as a module of PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._optional import needed

with needed("PyTorch", '"convexdiff-lib[torch]"'):
    import torch

if TYPE_CHECKING:
    from .networks import TwoLayerNetwork

__all__ = ["ScoreModule"]


class ScoreModule(torch.nn.Module):
    """The score of a network: ``output(activation(hidden(x))) + skip(x)``.

    It maps tensors of shape (..., d) to such, and if d = 1 those of any other shape entry by entry.
    """

    def __init__(self, network: TwoLayerNetwork) -> None:
        super().__init__()
        m, d = network.W1.shape
        self.activation = network.activation
        self.hidden = torch.nn.Linear(d, m, dtype=torch.float64)
        self.output = torch.nn.Linear(m, d, dtype=torch.float64)
        self.skip = torch.nn.Linear(d, d, bias=False, dtype=torch.float64)
        layers = {
            self.hidden.weight: network.W1,
            self.hidden.bias: network.b1,
            self.output.weight: network.W2,
            self.output.bias: network.b2,
            self.skip.weight: network.V,
        }
        with torch.no_grad():
            for parameter, values in layers.items():
                parameter.copy_(torch.from_numpy(np.array(values)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the score at x."""
        if self.hidden.in_features == 1 and (x.ndim == 0 or x.shape[-1] != 1):
            return self(x[..., None])[..., 0]
        values = self.hidden(x)
        values = values.clamp(min=0) if self.activation == "relu" else values.abs()
        return self.output(values) + self.skip(x)
