"""The score that training in one dimension learns: to evaluate, to integrate, to draw from, to look at."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from .._results import result
from .._validation import Activation, FloatArray
from ..certificates import Certificate
from ..networks import TwoLayerNetwork
from ._learned_score import LearnedScore
from .candidates import DualVariable
from .kink_network import KinkNetwork
from .network_certificates import sizes_of_scores
from .piecewise_linear import PiecewiseLinearScore

__all__ = ["UnivariateScore"]


@result
class UnivariateScore(LearnedScore):
    """The score learned by an optimally trained univariate network.

    Returned by `score_matching` and `denoising_score_matching`; calling it evaluates the score.

    Parameters
    ----------
    beta : float
        Weight decay.
    certificate : Certificate
        Recomputed from the data alone.
    kink_network : KinkNetwork
        The optimal network as a list of kinks.
    dual : DualVariable
        The optimal dual variable, in few numbers; ``z`` spells it out.
    score : PiecewiseLinearScore
        The score itself, by its knots, where it keeps digits that the network loses.
    tail_prices : (float, float) or None
        By how much the loss would fall with the right and with the left outer slope, per unit of it, if these
        were allowed above zero; None if they are.

    Examples
    --------
    >>> import numpy as np
    >>> from convexdiff_lib import score_matching
    >>> fit = score_matching([-1.0, 0.0, 1.0, 2.0], beta=1.5)
    >>> fit.certificate.holds
    True
    >>> fit(np.array([0.5])).shape, len(fit.knots) <= 4
    ((1,), True)
    """

    beta: float
    certificate: Certificate
    kink_network: KinkNetwork
    dual: DualVariable
    score: PiecewiseLinearScore
    tail_prices: tuple[float, float] | None = None

    @cached_property
    def z(self) -> FloatArray:
        """Optimal dual variable in the order of the data, minus the score, plus the target in denoising."""
        return self.dual.vector()

    @property
    def activation(self) -> Activation:
        """Activation of the network."""
        return self.kink_network.activation

    @property
    def _data(self) -> FloatArray:
        return self.dual.x

    def _advice(self) -> str:
        if self.tail_prices is None:
            return "train with inward_tails=True, which keeps both outer slopes from pointing outwards"
        return super()._advice()

    def network(self) -> TwoLayerNetwork:
        r"""Return the trained network with the paper's parameters, outgoing weights with their signs.

        .. math:: w_j = \pm\sqrt{|y_j|}, \quad \alpha_j = \mathrm{sign}(y_j)\sqrt{|y_j|}, \quad b_j = -w_j t_j

        Its parameters are rounded to double precision, and a network adds up slopes: where gaps between data
        are tiny, compared with their distance from zero or with other gaps, that costs digits which this
        object itself keeps.  How many is told by ``network_error``.
        """
        return self.kink_network.two_layer()

    @cached_property
    def network_error(self) -> float:
        """What rounding costs the parameters of `network`.

        The largest error at a knot of the network, evaluated in doubles, compared with the score there or
        with what is natural around it, as ``score_error`` of `Certificate` is.

        Examples
        --------
        Nothing to speak of on ordinary data; beside a gap of 1e-6 a score of 1e-6 is lost.

        >>> from convexdiff_lib import score_matching
        >>> score_matching([-1.0, 0.0, 1.0, 2.0], 1.5).network_error <= 1e-14
        True
        >>> score_matching([0.0, 1e-6, 1.5, 1e6], 1.0).network_error >= 1.0
        True
        """
        knots, values = self.score.knots, self.score.values
        errors = np.abs(np.ravel(self.network()(knots)) - values)
        if not errors.any():
            return 0.0
        if isinstance(self.dual.aims, np.ndarray):
            sizes = np.abs(values - values.mean()) + np.sqrt(np.mean(self.dual.aims**2))
        else:
            sizes = sizes_of_scores(knots, values)
        return float(np.max(errors / sizes))
