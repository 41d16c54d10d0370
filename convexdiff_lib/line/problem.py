"""What training in one dimension asks, and what an answer to it claims.

A `LineProblem` holds the data of one of the eight programs as numbers at sorted distinct points; a
`SplineClaim` says that a linear spline is its optimal score.  Who solves hands a claim on;
`convexdiff_lib.line.spline_certificates` finds out whether it is true.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._validation import Activation, FloatArray
from ._double_double import DoubleDouble

__all__ = ["LineProblem", "SplineClaim"]


@dataclass(frozen=True, eq=False)
class LineProblem:
    r"""A training problem in one dimension, in terms of its sorted distinct points.

    Parameters
    ----------
    points, counts : arrays of shape (m,)
        Distinct points, increasing, and how often each occurs; m at least 2.
    targets : array of shape (m,), or None
        Denoising: the mean target at each point, less any constant.  None for score matching.
    beta : float
    activation : {"relu", "abs"}
    skip : bool
    spread : float
        Denoising: half the sum of squares of targets about the mean of their point; no score lowers it.

    Examples
    --------
    >>> problem = LineProblem(np.array([-1.0, 1.0]), np.ones(2), None, 1.0, "relu", False)
    >>> [float(bound.high) for bound in problem.end]
    [-1.0, 0.0]
    """

    points: FloatArray
    counts: FloatArray
    targets: FloatArray | None
    beta: float
    activation: Activation
    skip: bool
    spread: float = 0.0

    def at(self, beta: float) -> LineProblem:
        """The same problem at another weight decay; what depends on the data only is worked out once."""
        _ = self.aims, self.centre, self.loss_of_simple_fit  # the copy finds these
        twin = copy(self)
        vars(twin)["beta"] = beta
        vars(twin).pop("end", None)
        return twin

    @cached_property
    def loss_of_simple_fit(self) -> float:
        """The size of the loss of the fitted Gaussian, or for denoising of the best constant."""
        if self.targets is not None:
            return 0.5 * float(self.counts @ (self.targets * self.targets)) + self.spread
        lever = self.points - (self.counts @ self.points) / self.level
        return self.level**2 / (2 * float(self.counts @ (lever * lever)))

    @cached_property
    def level(self) -> float:
        """Height of a level end, the number of points for score matching and zero for denoising."""
        return float(self.counts.sum()) if self.targets is None else 0.0

    @cached_property
    def aims(self) -> FloatArray:
        """The targets, zero for score matching."""
        return np.zeros(len(self.points)) if self.targets is None else self.targets

    @cached_property
    def centre(self) -> FloatArray:
        """How many points stand above each, and half of those at it; zero for denoising."""
        if self.targets is not None:
            return np.zeros(len(self.points))
        return self.level - np.cumsum(self.counts) + self.counts / 2

    @property
    def radius(self) -> float:
        """Half the width of the tube, where no point is counted."""
        return self.beta if self.activation == "relu" else self.beta / 2

    @property
    def share(self) -> float:
        """By how much of its multiplicity the tube is narrower at a point, on either side."""
        return 0.5 if self.targets is None else 0.0

    @cached_property
    def end(self) -> tuple[DoubleDouble, DoubleDouble]:
        """Lowest and highest end of the beam, less its level; at a bound neurons at the ends may act."""
        if self.skip:
            return DoubleDouble(0.0), DoubleDouble(0.0)
        beta = DoubleDouble(self.beta)
        low, high = -beta, beta
        if self.targets is None:
            ends = float(max(self.counts[0], self.counts[-1]))
            high = beta - (ends if self.activation == "relu" else 2 * ends)
        if self.activation == "relu" and len(self.points) > 2:
            # Beyond this the two walls of ReLU networks, one for each direction, would cross.
            width = beta * 2.0 - 2 * self.share * float(self.counts[1:-1].max())
            low = -width if width.high < beta.high else low
            high = width if width.high < high.high else high
        return low, high

    def tilts(self, sides: FloatArray, lean: int) -> FloatArray:
        """The share of the end's offset in the walls of these sides, and at the two ends of the beam."""
        inner = sides * lean < 0 if self.activation == "relu" else np.full(len(sides), 0.5)
        return np.concatenate([[1.0], inner, [0.0]])


@dataclass(frozen=True, eq=False)
class SplineClaim:
    """What is claimed: an optimal score as a linear spline, and where its dual constraints are tight.

    Parameters
    ----------
    knots : int array of shape (K + 2,)
        Indices of points, increasing; the first and the last point among them.
    sides : array of shape (K,)
        For each inner knot +1 if the beam is at the top of the tube there, -1 if at the bottom.
    values, rests : arrays of shape (K + 2,)
        The score at the knots, and what rounding has cut off from it.
    offset, offset_rest : float
        The height of the beam's end less its level, likewise.
    lean : int
        The sign of the offset, 0 where the end is held level: it decides on which wall which neurons are.

    Examples
    --------
    The line -x/2 through two points at -1 and 1:

    >>> none, halves = np.zeros(0), np.array([0.5, -0.5])
    >>> SplineClaim(np.array([0, 1]), none, halves, np.zeros(2), -1.0, 0.0, -1).lean
    -1
    """

    knots: np.ndarray
    sides: FloatArray
    values: FloatArray
    rests: FloatArray
    offset: float
    offset_rest: float
    lean: int

    def is_at(self, height: DoubleDouble) -> bool:
        """Whether the end of the beam is exactly there."""
        return self.offset == float(height.high) and self.offset_rest == float(height.low)
