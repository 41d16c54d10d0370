r"""Two-layer networks on the line with other activations, and how far each is from the best one.

A smooth hinge, such as softplus, is an average of ReLUs: its slope rises from 0 to 1, as a distribution
function does.  So every dual vector that is feasible for ReLU networks is feasible for softplus networks,
too, and the optimum of `score_matching`, which is exact, is a lower bound on the loss of every one of them.
It tells of a network that was trained by any means how much there is left to gain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from .._results import result
from .._validation import (
    FloatArray,
    as_finite,
    as_noisy_sample,
    as_points,
    as_positive,
    as_sample,
    as_weight_decay,
)
from ..networks import TwoLayerNetwork
from ._activations import ACTIVATIONS, AnyActivation, as_any_activation
from ._modules import parameters_of_module
from .training import denoising_score_matching, score_matching
from .univariate_score import UnivariateScore

if TYPE_CHECKING:
    import torch

__all__ = ["CertifiedGap", "Penalty", "SmoothNetwork", "certified_gap", "slope_range"]

Penalty = Literal["weight decay", "path norm"]


@result
class SmoothNetwork:
    r"""A two-layer network of one dimension with any of eight activations, at a temperature.

    .. math:: s(x) = \sum_j \alpha_j\, \sigma_\tau(w_j x + b_j) + v x + b_0,
              \qquad \sigma_\tau(u) = \sigma(\tau u) / \tau

    The hotter, the smoother: as the number :math:`\tau` grows, softplus and ELU tend to ReLU and log cosh to
    the absolute value.

    Parameters
    ----------
    w, b, alpha : arrays of shape (m,)
        Weights and biases of the first layer, weights of the second.
    b0, v : float
        Bias of the output, and skip connection.
    activation : {"softplus", "elu", "relu", "logcosh", "abs", "tanh", "gelu", "silu"}
    temperature : float
        The number :math:`\tau`, positive.

    Raises
    ------
    ValueError
        If the shapes do not fit together, a parameter is not finite, the activation is unknown or the
        temperature not positive.

    Examples
    --------
    >>> hinge = SmoothNetwork([1.0], [0.0], [2.0], activation="softplus", temperature=10.0)
    >>> hinge([-5.0, 0.0, 5.0]).round(4).tolist()
    [0.0, 0.1386, 10.0]
    >>> hinge.derivative([-5.0, 0.0, 5.0]).round(4).tolist()
    [0.0, 1.0, 2.0]
    """

    w: FloatArray
    b: FloatArray
    alpha: FloatArray
    b0: float = 0.0
    v: float = 0.0
    activation: AnyActivation = "softplus"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        as_any_activation(self.activation)
        object.__setattr__(self, "temperature", as_positive(self.temperature, "temperature"))
        for name in ("b0", "v"):
            object.__setattr__(self, name, as_finite(getattr(self, name), name))
        for name in ("w", "b", "alpha"):
            object.__setattr__(self, name, as_points(getattr(self, name), name))
        shapes = [getattr(self, name).shape for name in ("w", "b", "alpha")]
        if self.w.ndim != 1 or len(set(shapes)) > 1:
            raise ValueError(f"w, b and alpha must have one shape, (m,); got {shapes}")

    def _facts(self) -> dict[str, object]:
        return {"width": len(self.w), "activation": self.activation, "temperature": self.temperature}

    @classmethod
    def from_torch(cls, module: torch.nn.Module) -> SmoothNetwork:
        """Read a network of PyTorch: a ``Sequential`` of ``Linear``, an activation, and ``Linear``.

        Parameters
        ----------
        module : torch.nn.Sequential
            Of one input and one output.  Its activation is ``Softplus``, whose ``beta`` is the temperature,
            or ``ELU`` with ``alpha`` 1, ``ReLU``, ``Tanh``, ``GELU`` or ``SiLU``.

        Raises
        ------
        ValueError
            If the module is none of these.

        Examples
        --------
        >>> from torch import nn
        >>> trained = nn.Sequential(nn.Linear(1, 20), nn.Softplus(beta=5.0), nn.Linear(20, 1))
        >>> network = SmoothNetwork.from_torch(trained)
        >>> network.activation, network.temperature, len(network.w)
        ('softplus', 5.0, 20)
        """
        return cls(**parameters_of_module(module))

    @classmethod
    def from_two_layers(cls, network: TwoLayerNetwork) -> SmoothNetwork:
        """Return a network of ReLUs or absolute values as one of this class.

        Raises
        ------
        ValueError
            If the network is not of one dimension.

        Examples
        --------
        >>> tent = TwoLayerNetwork.univariate([1.0], [0.0], [-1.0], activation="abs")
        >>> SmoothNetwork.from_two_layers(tent)([-1.0, 2.0]).tolist()
        [-1.0, -2.0]
        """
        if network.dimension != 1:
            raise ValueError(f"network must be of one dimension; it has {network.dimension}")
        return cls(
            network.W1[:, 0],
            network.b1,
            network.W2[0],
            float(network.b2[0]),
            float(network.V[0, 0]),
            network.activation,
        )

    @property
    def path_norm(self) -> float:
        r"""The sum :math:`\sum_j |w_j \alpha_j|`."""
        return float(np.sum(np.abs(self.w * self.alpha)))

    @property
    def squared_norm(self) -> float:
        r"""The sum :math:`\sum_j (w_j^2 + \alpha_j^2)` that weight decay sees."""
        return float(np.sum(self.w**2) + np.sum(self.alpha**2))

    def _pre(self, x: ArrayLike) -> FloatArray:
        return self.temperature * (np.multiply.outer(as_points(x), self.w) + self.b)

    def __call__(self, x: ArrayLike) -> FloatArray:
        """Return the score at x, any shape."""
        values = ACTIVATIONS[self.activation].value(self._pre(x)) / self.temperature
        return values @ self.alpha + self.v * as_points(x) + self.b0

    def derivative(self, x: ArrayLike) -> FloatArray:
        """Return its slope at x, any shape; that of ReLU at 0 is 1, of the absolute value, too."""
        return ACTIVATIONS[self.activation].slope(self._pre(x)) @ (self.alpha * self.w) + self.v

    def at(self, activation: AnyActivation, temperature: float = 1.0) -> SmoothNetwork:
        """Return the network with the same parameters and another activation.

        Examples
        --------
        >>> SmoothNetwork([1.0], [0.0], [2.0], temperature=100.0).at("relu")([0.5]).tolist()
        [1.0]
        """
        return SmoothNetwork(self.w, self.b, self.alpha, self.b0, self.v, activation, temperature)

    def loss(
        self,
        x: ArrayLike,
        beta: float,
        *,
        targets: ArrayLike | None = None,
        penalty: Penalty = "weight decay",
    ) -> float:
        r"""Return the training loss: score matching, or with targets denoising.

        .. math:: \sum_i \big[\tfrac12 s(x_i)^2 + s'(x_i)\big] + \beta P
                  \quad\text{or}\quad \tfrac12 \sum_i (s(x_i) - \ell_i)^2 + \beta P,

        with the penalty :math:`P = \tfrac12 \sum_j (w_j^2 + \alpha_j^2)` or :math:`\sum_j |w_j \alpha_j|`.

        Examples
        --------
        >>> SmoothNetwork([1.0], [0.0], [1.0], activation="relu").loss([2.0], 3.0)
        6.0
        """
        weight = self.path_norm if _as_penalty(penalty) == "path norm" else self.squared_norm / 2
        decay = as_weight_decay(beta) * weight
        if targets is None:
            points = as_sample(x)
            return float(np.sum(0.5 * self(points) ** 2 + self.derivative(points)) + decay)
        points, labels = as_noisy_sample(x, targets)
        return float(0.5 * np.sum((self(points) - labels) ** 2) + decay)


def _as_penalty(penalty: str) -> Penalty:
    if penalty not in get_args(Penalty):
        raise ValueError(f"penalty must be 'weight decay' or 'path norm'; got {penalty!r:.80}")
    return penalty  # type: ignore[return-value]


def slope_range(activation: AnyActivation) -> tuple[float, float]:
    """Return the lowest and the highest slope of an activation; the temperature does not change them.

    Parameters
    ----------
    activation : str

    Returns
    -------
    (float, float)

    Examples
    --------
    >>> slope_range("softplus")
    (0.0, 1.0)
    >>> [round(slope, 4) for slope in slope_range("gelu")]
    [-0.1289, 1.1289]
    """
    shape = ACTIVATIONS[as_any_activation(activation)]
    over = (shape.variation - 1) / 4 if activation in ("gelu", "silu") else 0.0
    return (-1.0, 1.0) if shape.averages == "abs" else (0.0 - over, 1.0 + over)


@result
class CertifiedGap:
    r"""How far the loss of a network is above the smallest possible, and what that says of its score.

    Parameters
    ----------
    loss : float
        Training loss of the network, with its penalty.
    bound : float
        No network of this activation, at any temperature and of any width, has a smaller one.
    gain : float
        By how much the bound is below the loss of the best constant score.
    score_difference : float
        Root mean square, over the data, of the score of the network less that of ``optimum``.
    n : int
        Number of points.
    optimum : UnivariateScore
        The optimal network of ReLUs, or of absolute values, whose loss is the bound.

    Examples
    --------
    >>> import numpy as np
    >>> nothing = SmoothNetwork([], [], [])
    >>> verdict = certified_gap(nothing, [-1.0, 0.0, 1.0, 2.0], beta=1.5)
    >>> verdict.relative_gap, bool(verdict.score_difference <= verdict.score_bound)
    (1.0, True)
    """

    loss: float
    bound: float
    gain: float
    score_difference: float
    n: int
    optimum: UnivariateScore

    @property
    def gap(self) -> float:
        """How much is left to gain at most, the loss less the bound."""
        return self.loss - self.bound

    @property
    def relative_gap(self) -> float:
        """The gap as a share of ``gain``: 0 for an optimal network, 1 for the best constant."""
        nothing = 1e-12 * self.optimum.certificate.scale  # rounding
        if self.gain > nothing:
            return self.gap / self.gain
        return 0.0 if self.gap <= nothing else np.inf

    @property
    def score_bound(self) -> float:
        r"""What the gap allows ``score_difference`` to be, :math:`\sqrt{2\,\text{gap}/n}`."""
        return float(np.sqrt(2 * max(self.gap, 0.0) / self.n))

    def _facts(self) -> dict[str, object]:
        return {
            "loss": self.loss,
            "bound": self.bound,
            "gap": self.gap,
            "relative_gap": self.relative_gap,
            "score_difference": self.score_difference,
            "score_bound": self.score_bound,
        }


def certified_gap(
    network: SmoothNetwork | TwoLayerNetwork,
    x: ArrayLike,
    beta: float,
    *,
    targets: ArrayLike | None = None,
    penalty: Penalty = "weight decay",
) -> CertifiedGap:
    r"""Say how far a trained score network of one dimension is from the best one.

    The bound is the exact optimum :math:`p^*` of ReLU networks (for log cosh: of absolute values) at the same
    weight decay, with a skip connection if the network has one.  A unit of softplus or ELU is an average of
    ReLUs, so that no such network has a smaller loss, whatever its width and temperature, and whether weight
    decay or the path norm is the penalty.  For the path norm the bound is the infimum over all networks of
    the activation; for weight decay it is that over all temperatures.

    The loss is strongly convex in the scores at the data, so that

    .. math:: \tfrac12 \sum_i (s(x_i) - s^*(x_i))^2 \le \text{loss} - p^* ,

    where :math:`s^*` is the score of the optimal network of ReLUs.

    Parameters
    ----------
    network : SmoothNetwork or TwoLayerNetwork
        Of softplus, ELU, ReLU, log cosh or absolute values.
    x : array of shape (n,)
        The data that it was trained on: the noisy ones, for denoising.
    beta : float
        Weight decay on sums, not means: with a mean loss, multiply yours by n.
    targets : array of shape (n,), optional
        For denoising; without them, score matching.
    penalty : {"weight decay", "path norm"}
        What beta multiplies: half the sum of squares of both layers, or the sum of ``|w alpha|``.

    Returns
    -------
    CertifiedGap

    Raises
    ------
    ValueError
        If the bound does not hold for the activation (tanh, GELU, SiLU), or the loss of the best network is
        not finite at this beta; as `score_matching` does.
    NotCertifiedError
        If the optimum cannot be certified.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=50)
    >>> line = SmoothNetwork([], [], [], v=-1.0)
    >>> verdict = certified_gap(line, x, beta=5.0)
    >>> bool(verdict.bound <= verdict.loss)
    True
    >>> certified_gap(SmoothNetwork([1.0], [0.0], [1.0], activation="gelu"), x, beta=5.0)
    Traceback (most recent call last):
    ...
    ValueError: there is no bound for gelu at the same weight decay: its slope leaves [0, 1] ...
    """
    smooth = network if isinstance(network, SmoothNetwork) else SmoothNetwork.from_two_layers(network)
    kind = ACTIVATIONS[smooth.activation].averages
    loss = smooth.loss(x, beta, targets=targets, penalty=penalty)
    if kind is None:
        raise ValueError(_no_bound(smooth.activation))
    skip = smooth.v != 0
    if targets is None:
        points, labels = as_sample(x), None
        optimum = score_matching(points, beta, activation=kind, skip=skip)
    else:
        points, labels = as_noisy_sample(x, targets)
        optimum = denoising_score_matching(points, labels, beta, activation=kind, skip=skip)
    n, certificate = len(points), optimum.certificate
    # What the certificate forgives of the constraints of score matching, times the weights that they price.
    forgiven = n * certificate.infeasibility * smooth.path_norm if labels is None else 0.0
    bound = certificate.dual - forgiven
    constant = 0.0 if labels is None else 0.5 * float(np.sum((labels - labels.mean()) ** 2))
    apart = smooth(points) - optimum(points)
    return CertifiedGap(
        loss, bound, constant - bound, float(np.sqrt(np.mean(apart**2))), n=n, optimum=optimum
    )


def _no_bound(activation: AnyActivation) -> str:
    """Say why, and which bound does hold."""
    (low, high), variation = slope_range(activation), ACTIVATIONS[activation].variation
    why = (
        "its slope rises and falls again, so that its units are averages of clips, which cost two layers of "
        "ReLUs twice as much"
        if activation == "tanh"
        else f"its slope leaves [0, 1] for {low:.4f} and {high:.4f}: its units are no averages of ReLUs"
    )
    return (
        f"there is no bound for {activation} at the same weight decay: {why}. The optimum of ReLUs at "
        f"beta / {variation:.4f} does bound it: that is the total variation of the slope"
    )
