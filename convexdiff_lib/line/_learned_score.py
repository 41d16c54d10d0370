"""What learned scores of one dimension have in common, however many layers their networks have."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from .._validation import Activation, FloatArray
from ..certificates import Certificate
from ._picture import sketch
from .piecewise_linear import PiecewiseLinearScore

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LearnedScore"]


class LearnedScore(ABC):
    """A learned score with its certificate: to evaluate, to integrate, to draw from, to look at."""

    beta: float
    certificate: Certificate
    score: PiecewiseLinearScore

    @property
    @abstractmethod
    def activation(self) -> Activation:
        """Activation of the network."""

    @property
    @abstractmethod
    def _data(self) -> FloatArray:
        """The data, in their order."""

    def _advice(self) -> str:
        """What to do where the score has no density."""
        if not self.score.slopes.any():
            return "with so much weight decay the score is constant: take less, or skip=True"
        return "the targets pull outwards there: take more weight decay, or skip=True"

    @property
    def value(self) -> float:
        """Optimal training loss, the upper bound of the certificate and the loss of this very network."""
        return self.certificate.primal

    @property
    def knots(self) -> FloatArray:
        """Data points at which the score has a kink, increasing; empty for a straight score."""
        slopes = self.score.slopes
        return self.score.knots[slopes[1:] != slopes[:-1]]

    def _facts(self) -> dict[str, object]:
        return {
            "n": len(self._data),
            "beta": self.beta,
            "activation": self.activation,
            "value": self.value,
            "knots": len(self.knots),
            "certificate": self.certificate,
        }

    def _picture(self) -> str:
        density = None if self.score.why_not_normalisable() else self.pdf
        return f"<div>{sketch(self._data, self.knots, self, density)}</div>"

    def __call__(self, x: ArrayLike) -> FloatArray:
        """Return the fitted score at x, any shape."""
        return self.score(x)

    def derivative(self, x: ArrayLike) -> FloatArray:
        """Return the slope of the score at x, any shape; at a knot that on its right."""
        return self.score.derivative(x)

    @property
    def _normalisable(self) -> PiecewiseLinearScore:
        """The score, if it has a density; the error says what to do if not."""
        if not (reason := self.score.why_not_normalisable()):
            return self.score
        raise ValueError(f"this score has no density: {reason}; {self._advice()}")

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
        x = self._data
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
