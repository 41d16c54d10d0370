"""The score that training in one dimension learns: to evaluate, to integrate, to draw from, to look at."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from .._results import result
from .._validation import Activation, FloatArray
from ..certificates import Certificate
from ..networks import TwoLayerNetwork
from ._picture import sketch
from .candidates import DualVariable
from .kink_network import KinkNetwork
from .network_certificates import sizes_of_scores
from .piecewise_linear import PiecewiseLinearScore

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["UnivariateScore"]


@result
class UnivariateScore:
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
    def value(self) -> float:
        """Optimal training loss, the upper bound of the certificate and the loss of this very network."""
        return self.certificate.primal

    @property
    def activation(self) -> Activation:
        """Activation of the network."""
        return self.kink_network.activation

    @property
    def knots(self) -> FloatArray:
        """Data points at which the score has a kink, increasing; empty for a straight score."""
        slopes = self.score.slopes
        return self.score.knots[slopes[1:] != slopes[:-1]]

    def _facts(self) -> dict[str, object]:
        return {
            "n": len(self.dual.x),
            "beta": self.beta,
            "activation": self.activation,
            "value": self.value,
            "knots": len(self.knots),
            "certificate": self.certificate,
        }

    def _picture(self) -> str:
        density = None if self.score.why_not_normalisable() else self.pdf
        return f"<div>{sketch(self.dual.x, self.knots, self, density)}</div>"

    def __call__(self, x: ArrayLike) -> FloatArray:
        """Return the fitted score at x, any shape."""
        return self.score(x)

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

    def derivative(self, x: ArrayLike) -> FloatArray:
        """Return the slope of the score at x, any shape; at a knot that on its right."""
        return self.score.derivative(x)

    @property
    def _normalisable(self) -> PiecewiseLinearScore:
        """The score, if it has a density; the error says what to do if not."""
        if not (reason := self.score.why_not_normalisable()):
            return self.score
        if self.tail_prices is None:
            advice = "train with inward_tails=True, which keeps both outer slopes from pointing outwards"
        elif not self.score.slopes.any():
            advice = "with so much weight decay the score is constant: take less, or skip=True"
        else:
            advice = "the targets pull outwards there: take more weight decay, or skip=True"
        raise ValueError(f"this score has no density: {reason}; {advice}")

    def log_density(self, x: ArrayLike) -> FloatArray:
        """Return the normalised log-density whose score this is; raises ValueError when there is none."""
        return self._normalisable.log_density(x)

    def pdf(self, x: ArrayLike) -> FloatArray:
        """Return that density at x, any shape; raises ValueError when there is none."""
        return self._normalisable.pdf(x)

    def cdf(self, x: ArrayLike) -> FloatArray:
        """Return the probability of a value of at most x; raises ValueError when there is no density."""
        return self._normalisable.cdf(x)

    def quantile(self, p: ArrayLike) -> FloatArray:
        """Return the inverse of `cdf` at p, any shape, nan outside [0, 1]; ValueError without a density."""
        return self._normalisable.quantile(p)

    def plot(self, axes: tuple[Axes, Axes] | None = None) -> tuple[Axes, Axes]:
        """Draw the score with its kinks, and its density if there is one, over the data.

        Parameters
        ----------
        axes : pair of matplotlib Axes, optional
            Where to draw; without them, in a new figure.

        Returns
        -------
        pair of matplotlib Axes

        Raises
        ------
        ValueError
            If axes are not a pair.
        ModuleNotFoundError
            If matplotlib or seaborn is missing.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from convexdiff_lib import score_matching
        >>> left, right = score_matching([-1.0, 0.0, 0.5, 2.0], 1.5).plot()
        >>> left.get_title(), right.get_title()
        ('score', 'density')
        >>> plt.close(left.figure)
        """
        from ..plots import draw, draw_data, panels

        if axes is None:
            figure, (score, density) = panels(["score", "density"])
            figure.set_layout_engine("constrained")
        elif isinstance(axes, tuple | list | np.ndarray) and len(axes) == 2:
            score, density = axes
        else:
            raise ValueError(f"axes must be a pair, for the score and for the density; got {axes!r}")
        x = self.dual.x
        low, high = float(x.min()), float(x.max())
        margin = 0.1 * (high - low) or 1.0
        interval = (low - margin, high + margin)
        draw(score, self, interval, "learned", "optimal score", at=self.knots)
        if len(self.knots):
            score.plot(self.knots, self(self.knots), "o", color="#333333", ms=4, label="kinks")
        score.legend()
        if not (reason := self.score.why_not_normalisable()):
            draw(density, self.pdf, interval, "learned", "its density", at=self.knots)
            density.set_ylim(bottom=0)
            density.legend()
        else:
            density.set_title("no density: " + ("left" if "on the left" in reason else "right") + " tail")
        for ax, label in ((score, "s(x)"), (density, "p(x)")):
            draw_data(ax, x)
            ax.set(xlabel="x", ylabel=label)
        return score, density

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw n points exactly from that density; raises ValueError when there is none."""
        return self._normalisable.sample(n, rng)
