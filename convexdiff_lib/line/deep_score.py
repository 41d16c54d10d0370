"""The score that an optimally trained network of three layers learns."""

from __future__ import annotations

from .._results import result
from .._validation import Activation, FloatArray
from ..certificates import Certificate
from ._learned_score import LearnedScore
from .chains import ChainNetwork
from .deep_network import DeepNetwork
from .piecewise_linear import PiecewiseLinearScore

__all__ = ["DeepScore"]


@result
class DeepScore(LearnedScore):
    """The score learned by an optimally trained univariate network of three layers or more.

    Returned by `deep_score_matching` and `deep_denoising_score_matching`; calling it evaluates the score.

    Parameters
    ----------
    beta : float
        Strength of the penalty.
    certificate : Certificate
        Recomputed from the data alone.
    chains : ChainNetwork
        The optimal network as a sum of narrow chains.
    x, z : arrays of shape (n,)
        The data and the optimal dual variable in their order: minus the score, plus the target in denoising.
    score : PiecewiseLinearScore
        The score itself, by its knots.

    Examples
    --------
    >>> from convexdiff_lib import deep_score_matching
    >>> fit = deep_score_matching([-1.0, 0.0, 1.0, 2.0], beta=1.5)
    >>> fit.certificate.holds, fit.network(1e-6).depth
    (True, 3)
    """

    beta: float
    certificate: Certificate
    chains: ChainNetwork
    x: FloatArray
    z: FloatArray
    score: PiecewiseLinearScore

    @property
    def activation(self) -> Activation:
        """Activation of the network."""
        return self.chains.activation

    @property
    def _data(self) -> FloatArray:
        return self.x

    def network(self, epsilon: float) -> DeepNetwork:
        """Return literal weights, with kinks moved off the data by epsilon: see `ChainNetwork.three_layer`.

        The optimum is an infimum; the loss of this network comes down to it as epsilon goes to zero.
        """
        return self.chains.three_layer(epsilon)
