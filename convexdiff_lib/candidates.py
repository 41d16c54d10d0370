"""What a linear spline on the data stands for: a network of the trained class, and a dual variable."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ._passes import interpolated
from ._validation import Activation, FloatArray
from .active_set import Spline
from .beam import Beam, Tube
from .coarse_to_fine import Solution
from .networks import KinkNetwork

__all__ = ["Candidate", "DualVariable", "network_from_candidate"]


@dataclass(frozen=True)
class DualVariable:
    """The dual variable z of a fit: a target for every data point, less the value of a linear spline there.

    Parameters
    ----------
    x : array of shape (n,)
        The data, in any order.
    aims : array of shape (n,), or 0
        The targets, less their mean; zero for score matching.
    knots, values : arrays of shape (K,)
        The spline, from the smallest point to the largest.

    Examples
    --------
    >>> import numpy as np
    >>> z = DualVariable(np.array([2.0, 0.0, 1.0]), 0.0, np.array([0.0, 2.0]), np.array([1.0, -1.0]))
    >>> z.vector().tolist()
    [1.0, -1.0, 0.0]
    """

    x: FloatArray
    aims: FloatArray | float
    knots: FloatArray
    values: FloatArray

    def on_line(self, ordered: FloatArray) -> FloatArray:
        """Return minus the spline at the data, which are given in increasing order."""
        return interpolated(ordered, np.searchsorted(ordered, self.knots), -self.values)

    def vector(self) -> FloatArray:
        """Return z, shape (n,), in the order of x."""
        order = np.argsort(self.x)
        z = np.empty(len(order))
        z[order] = self.on_line(self.x[order])
        return self.aims + z


@dataclass(frozen=True)
class Candidate:
    """A score on the data: a linear spline, in the units of its tube.

    Parameters
    ----------
    knots : int array of shape (K + 2,)
        Indices of points, the first and the last among them.
    values : array of shape (K + 2,)
        The score there.
    first_slope : float
    kinks : array of shape (K,)
        Changes of slope at the inner knots, up to what a solver left in them.

    Examples
    --------
    >>> from convexdiff_lib.beam import score_matching_tube, straight_beam
    >>> tube = score_matching_tube(np.arange(3.0), np.ones(3), 3.0, activation="relu", skip=True)
    >>> score = Candidate.from_beam(tube, straight_beam(tube))
    >>> (score.values * tube.score_unit).round(6).tolist()
    [1.5, -1.5]
    """

    knots: np.ndarray
    values: FloatArray
    first_slope: float
    kinks: FloatArray

    @classmethod
    def from_spline(cls, spline: Spline, values: FloatArray) -> Candidate:
        """All follows from the values at the knots."""
        slopes = spline.slopes(values)
        return cls(spline.knots, values, float(slopes[0]), np.diff(slopes))

    @classmethod
    def from_solution(cls, found: Solution) -> Candidate:
        """The quick answer."""
        return cls.from_spline(found.spline, found.values)

    @classmethod
    def from_beam(cls, tube: Tube, beam: Beam) -> Candidate:
        """The values are those of the dual variable."""
        knots = np.concatenate([[0], beam.knots, [len(tube.points) - 1]])
        return cls(knots, tube.targets[knots] - beam.z[knots], beam.first_slope, beam.kinks)

    def dual(self, tube: Tube, x: FloatArray, aims: FloatArray | float) -> DualVariable:
        """The dual variable that belongs to it."""
        return DualVariable(x, aims, tube.points[self.knots], self.values * tube.score_unit)


def network_from_candidate(
    tube: Tube, score: Candidate, activation: Activation, skip: bool, mean_target: float
) -> KinkNetwork:
    """Build the cheapest network of the class that is this spline on the data.

    Parameters
    ----------
    tube : Tube
    score : Candidate
    activation : {"relu", "abs"}
    skip : bool
    mean_target : float
        What is added to the score; 0 for score matching.

    Returns
    -------
    KinkNetwork

    Examples
    --------
    >>> from convexdiff_lib.beam import score_matching_tube, straight_beam
    >>> tube = score_matching_tube(np.arange(3.0), np.ones(3), 3.0, activation="relu", skip=True)
    >>> score = Candidate.from_beam(tube, straight_beam(tube))
    >>> network_from_candidate(tube, score, "relu", True, 0.0)(np.array([0.0, 2.0])).tolist()
    [1.5, -1.5]
    """
    if skip:
        kinks, facing, weights, slope = _with_skip(score, activation)
    else:
        kinks, facing, weights = _without_skip(tube, score, activation)
        slope = 0.0
    # What is below rounding of slopes of order one (the unit of length is the spread of the data) is zero.
    kept = np.abs(weights) > 1e-14 * max(1.0, float(np.abs(weights).sum()))
    kinks, facing, weights = kinks[kept], facing[kept], weights[kept]
    # Where slopes are counted, a ReLU neuron that raises the slope should act late, one that lowers it early;
    # see KinkNetwork.beyond.
    counted = tube.level != 0 and activation == "relu"
    late = facing * weights > 0 if counted else np.zeros(len(weights), dtype=bool)
    slope_unit = tube.score_unit / tube.unit
    network = KinkNetwork(
        tube.points[kinks],
        facing,
        weights * slope_unit,
        late,
        float(tube.points[0]),
        0.0,
        slope * slope_unit,
        activation,
    )
    middle = tube.points[len(tube.points) // 2]  # where slopes have not added up to much
    there = mean_target + float(np.interp(middle, tube.points[score.knots], score.values)) * tube.score_unit
    constant = there - float(network.on_line(np.array([middle]))[0])
    return replace(network, constant=constant)


def _with_skip(score: Candidate, activation: Activation) -> tuple[np.ndarray, FloatArray, FloatArray, float]:
    """With a skip connection every neuron can face where it likes; the skip carries the rest of the slope."""
    if activation == "relu":
        return score.knots[1:-1], np.ones(len(score.kinks)), score.kinks, score.first_slope
    weights = score.kinks / 2
    return score.knots[1:-1], _cheaper_side(weights), weights, score.first_slope + float(weights.sum())


def _without_skip(
    tube: Tube, score: Candidate, activation: Activation
) -> tuple[np.ndarray, FloatArray, FloatArray]:
    """Choose where the neurons face, and put the slope that they cannot carry on the two extreme points."""
    if activation == "abs":
        inner = (score.knots[1:-1], _cheaper_side(score.kinks / 2), score.kinks / 2)
        lift = score.first_slope + float(score.kinks.sum()) / 2
    else:
        inner, lift = _face(score)
    place, share = _lift_carriers(tube, lift)
    ends = lift * share * np.array([1.0, -1.0])
    side = _cheaper_side(ends) if activation == "abs" else np.array([1.0, -1.0])
    return (
        np.concatenate([inner[0], place]),
        np.concatenate([inner[1], side]),
        np.concatenate([inner[2], ends]),
    )


def _cheaper_side(weights: FloatArray) -> FloatArray:
    """At its kink |x - t| has slope +1 facing right, -1 facing left; take the one that lowers the loss."""
    return np.where(weights > 0, -1.0, 1.0)


def _lift_carriers(tube: Tube, lift: float) -> tuple[np.ndarray, FloatArray]:
    """Where a right- and a left-facing neuron carry the lift most cheaply, and their shares of it."""
    first, last = tube.half_width[0], tube.half_width[-1]
    if tube.pair is not None and abs(tube.end[int(lift > 0)]) >= 2 * tube.half_width[tube.pair]:
        return np.array([tube.pair, tube.pair]), np.array([1.0, 1.0])
    share = np.array([0.5, 0.5])
    if lift > 0 and first != last:
        share = np.array([1.0, 0.0]) if first < last else np.array([0.0, 1.0])
    return np.array([0, len(tube.counts) - 1]), share


def _face(score: Candidate) -> tuple[tuple[np.ndarray, FloatArray, FloatArray], float]:
    """Let just enough ReLU neurons face left to carry the first slope; return them and the slope left over.

    On the first interval only left-facing neurons act, with slope minus the sum of their weights.  So their
    weights should sum to minus the first slope: neurons of one sign are turned, from the left, until they do.
    """
    wanted = -score.first_slope
    useful = score.kinks * np.sign(wanted) > 0
    before = np.concatenate([[0.0], np.cumsum(np.abs(np.where(useful, score.kinks, 0.0)))])[:-1]
    turned = np.clip(abs(wanted) - before, 0.0, np.where(useful, np.abs(score.kinks), 0.0))
    left = np.sign(wanted) * turned
    right = score.kinks - left
    index = np.concatenate([score.knots[1:-1], score.knots[1:-1]])
    facing = np.repeat([1.0, -1.0], len(score.kinks))
    weights = np.concatenate([right, left])
    return (index, facing, weights), score.first_slope + float(left.sum())
