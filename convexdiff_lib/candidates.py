"""What a linear spline on the data stands for: a network of the trained class, and a dual variable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ._compiled import compiled
from ._exchange import bends
from ._passes import interpolated
from ._results import result
from ._validation import Activation, FloatArray
from .active_set import Spline
from .beam import Beam, Tube
from .coarse_to_fine import Solution
from .networks import KinkNetwork

__all__ = ["Candidate", "DualVariable", "network_from_candidate"]


@result
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


@dataclass(frozen=True, eq=False)
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
        return cls(spline.knots, values, *bends(spline.spans, values))

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
    pair = 0 if tube.pair is None else tube.pair
    wide = np.inf if tube.pair is None else 2 * float(tube.half_width[pair])
    carriers = _Carriers(
        pair=pair,
        down=abs(tube.end[0]) >= wide,
        up=abs(tube.end[1]) >= wide,
        costs=(float(tube.half_width[0]), float(tube.half_width[-1])),
    )
    kinks, facing, weights, late, constant, slope = _network(
        tube.points,
        (tube.unit, tube.score_unit),
        score.knots,
        score.values,
        score.first_slope,
        score.kinks,
        activation == "relu",
        skip,
        not tube.has_targets,
        carriers,
    )
    origin = float(tube.points[0])
    return KinkNetwork(kinks, facing, weights, late, origin, mean_target + constant, slope, activation)


class _Carriers(NamedTuple):
    """Which two neurons, one facing right and one left, carry a lift most cheaply.

    They stand back to back at ``pair``, if ``up`` or ``down`` says so for a lift of this sign; otherwise at
    the two ends of the data, where they share it, or the cheaper one has all of it.
    """

    pair: int
    down: bool
    up: bool
    costs: tuple[float, float]


@compiled
def _network(
    points: FloatArray,
    units: tuple[float, float],
    knots: np.ndarray,
    values: FloatArray,
    first_slope: float,
    changes: FloatArray,
    relu: bool,
    skip: bool,
    counted: bool,
    carriers: _Carriers,
) -> tuple[FloatArray, FloatArray, FloatArray, np.ndarray, float, float]:
    """Return kinks, facing, weights, what is beyond, constant and slope of a network; but for the mean."""
    number, slope, lift = len(changes), 0.0, first_slope
    index, facing = np.empty(2 * number + 2, dtype=np.int64), np.ones(2 * number + 2)
    weights = np.zeros(2 * number + 2)
    # On the first interval only neurons that face left act.  Without a skip connection just enough of ReLU's
    # do, to carry the first slope: kinks of one sign are turned, from the left, until they add up to it.
    sign, missing = -np.sign(first_slope), abs(first_slope)
    for k in range(number):
        index[k] = index[number + k] = knots[k + 1]
        weights[k] = changes[k] if relu else changes[k] / 2
        if not relu:
            # At its kink |x - t| has slope +1 facing right, -1 facing left; take what lowers the loss.
            facing[k] = -1.0 if weights[k] > 0 else 1.0
            lift += weights[k]
        elif not skip:
            turned = sign * min(missing, max(changes[k] * sign, 0.0))
            missing -= abs(turned)
            weights[k], weights[number + k], facing[number + k] = changes[k] - turned, turned, -1.0
            lift += turned
    if skip:
        slope = lift  # the rest of the slope
    else:
        # Two neurons, one facing right and one left, carry what is left over.
        last, ends = 2 * number + 1, (lift / 2, -lift / 2)
        index[last - 1], index[last] = knots[0], knots[-1]
        if carriers.up if lift > 0 else carriers.down:
            index[last - 1] = index[last] = carriers.pair
            ends = (lift, -lift)
        elif lift > 0 and carriers.costs[0] < carriers.costs[1]:
            ends = (lift, 0.0)
        elif lift > 0 and carriers.costs[0] > carriers.costs[1]:
            ends = (0.0, -lift)
        weights[last - 1], weights[last] = ends
        facing[last] = -1.0
        if not relu:
            facing[last - 1] = -1.0 if ends[0] > 0 else 1.0
            facing[last] = -1.0 if ends[1] > 0 else 1.0
    total = 0.0
    for j in range(len(weights)):
        total += abs(weights[j])
    kept = 0
    for j in range(len(weights)):
        # What is below rounding of slopes of order one (the unit is the spread of the data) is zero.
        if abs(weights[j]) > 1e-14 * max(1.0, total):
            index[kept], facing[kept], weights[kept] = index[j], facing[j], weights[j]
            kept += 1
    unit, score_unit = units
    slope *= score_unit / unit
    late, kinks = np.empty(kept, dtype=np.bool_), np.empty(kept)
    for j in range(kept):
        # A neuron that raises the slope should act late, one that lowers it early; see KinkNetwork.beyond.
        late[j] = relu and counted and facing[j] * weights[j] > 0
        kinks[j], weights[j] = points[index[j]], weights[j] * (score_unit / unit)
    middle = len(points) // 2  # where slopes have not added up to much
    k = 0
    while k < len(knots) - 2 and knots[k + 1] <= middle:
        k += 1
    ahead = (points[middle] - points[knots[k]]) / (points[knots[k + 1]] - points[knots[k]])
    constant = (values[k] + ahead * (values[k + 1] - values[k])) * score_unit
    constant -= slope * (points[middle] - points[0])
    for j in range(kept):
        reach = facing[j] * (points[middle] - kinks[j])
        constant -= weights[j] * (max(reach, 0.0) if relu else abs(reach))
    return kinks, facing[:kept], weights[:kept], late, constant, slope
