r"""Three layers of ReLU: the beam in a tube of half the width, whose centre may slide.

With a centre m the dual is that of two layers with every wall at distance :math:`(\beta - k_j)/2` from
:math:`c_j + m`, and with the beam's end between :math:`m - \beta/2` and :math:`m + \beta/2 - k_1` above its
level.  Its optimum is a concave function of m, whose derivative is the last slope of the score (less the
first, with a skip connection).  So m is found by Newton's method on what touches, kept in a bracket.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .._memory import keep_freed_memory
from .._validation import FloatArray
from ._centred import Centred, at_data, bounds, levelled, sharpest
from ._double_double import DoubleDouble
from .beam import Tube, tube_of
from .chains import ChainNetwork
from .coarse_to_fine import Solution, solve_by_levels
from .problem import LineProblem, SplineClaim

__all__ = ["solve_deep_relu"]

_EPS = float(np.finfo(np.float64).eps)
_MOST = 60


def solve_deep_relu(problem: LineProblem) -> tuple[ChainNetwork, FloatArray, float]:
    """Return the optimal chains, the dual variable at the distinct points, and a bound on the score's error.

    Examples
    --------
    >>> from convexdiff_lib.line.sample import Sample
    >>> problem = LineProblem(Sample.of([-1.0, 1.0]), 1.0, "relu", skip=False)
    >>> chains, z, error = solve_deep_relu(problem)
    >>> z.round(12).tolist(), round(chains.total_weight, 12), error <= 1e-12
    ([-0.5, 0.5], 0.5, True)
    """
    keep_freed_memory()
    sliding = _Sliding.of(problem)
    found, error = sharpest(problem, _centred(problem, sliding, *_best_centre(sliding)))
    return _chains(problem, found.claim), problem.aims - at_data(problem, found.claim), error


def _centred(problem: LineProblem, sliding: _Sliding, solution: Solution, centre: float) -> Centred:
    """Say in the units of the data what was found, without rounding where that is an end of its interval."""
    spline, tube = solution.spline, solution.spline.tube
    unit = tube.unit * tube.score_unit if tube.has_targets else 1.0
    low, high, left_low, left_high = bounds(problem)
    right = DoubleDouble(centre * unit)
    right = low if centre <= sliding.low else high if centre >= sliding.high else right
    if problem.skip:
        left = -right
    elif spline.end.fixed:
        left = left_low if spline.state == 0 else left_high
    else:
        left = DoubleDouble(solution.height * unit) - right
    values, none = solution.values * tube.score_unit, np.zeros(len(spline.knots))
    claim = SplineClaim(spline.knots, spline.sign, values, none, 0.0, 0.0, 0)
    return levelled(problem, Centred(_without_dust(problem, claim), right, left))


def _without_dust(problem: LineProblem, claim: SplineClaim) -> SplineClaim:
    """A score that is nothing but rounding is zero."""
    size = 0.5 * float(problem.counts @ at_data(problem, claim) ** 2)
    if problem.targets is not None or size > (8 * _EPS) ** 2 * problem.sample.loss_of_simple_fit:
        return claim
    return replace(claim, values=np.zeros(len(claim.knots)))


@dataclass(frozen=True, eq=False)
class _Sliding:
    """The tube for every centre, in its units, and the interval of centres."""

    tube: Tube
    radius: float
    at_first: float
    low: float
    high: float
    skip: bool

    @classmethod
    def of(cls, problem: LineProblem) -> _Sliding:
        """Half the width of two layers, in the tube's units."""
        tube = tube_of(problem)
        unit = tube.unit * tube.score_unit if tube.has_targets else 1.0
        radius = problem.beta / unit / 2
        counted = np.zeros(len(problem.counts)) if tube.has_targets else problem.counts
        narrow = replace(tube, half_width=radius - counted / 2, tilts=(0.0,))
        low, high = -radius, radius - float(counted[-1])
        low = max(low, float(counted[0]) - radius) if problem.skip else low
        return cls(narrow, radius, float(counted[0]), low, high, problem.skip)

    def at(self, centre: float) -> Tube:
        """The tube around this centre."""
        end = (centre - self.radius, centre + self.radius - self.at_first)
        return replace(self.tube, centre=self.tube.centre + centre, end=(0.0, 0.0) if self.skip else end)

    def pull(self, solution: Solution) -> float:
        """The derivative of the optimum in the centre."""
        return self.slope(solution, solution.values)

    def slope(self, solution: Solution, values: FloatArray) -> float:
        """The last slope; with a skip connection less the first."""
        spans = solution.spline.spans
        last = float(values[-1] - values[-2]) / float(spans[-1])
        return last - float(values[1] - values[0]) / float(spans[0]) * self.skip


def _at_centre(sliding: _Sliding, solution: Solution, centre: float) -> Solution:
    """What touches stays, the centre moves."""
    spline = solution.spline.again(sliding.at(centre), solution.spline.state)
    return Solution(spline, *spline.minimise())


def _proposal(sliding: _Sliding, solution: Solution, centre: float) -> float:
    """The centre at which what touches would pull neither way: the pull is affine in the centre."""
    width = sliding.high - sliding.low
    other = sliding.low if centre - sliding.low > width / 2 else sliding.high
    here, there = sliding.pull(solution), sliding.pull(_at_centre(sliding, solution, other))
    if not abs(there - here) > 0:
        return centre
    return centre + (other - centre) * here / (here - there)


def _is_right(solution: Solution) -> bool:
    found = solution.spline.conflicts(solution.values, solution.height)
    return not found.number and not found.move


def _best_centre(sliding: _Sliding) -> tuple[Solution, float]:
    """Newton's method in a bracket."""
    low, high = sliding.low, sliding.high
    centre = (low + high) / 2
    solution = solve_by_levels(sliding.at(centre))
    for _ in range(_MOST):
        pull = sliding.pull(solution)
        if pull == 0 or not high > low:
            break
        low, high = (centre, high) if pull > 0 else (low, centre)
        goal = _proposal(sliding, solution, centre)
        if low < goal < high and _is_right(found := _at_centre(sliding, solution, goal)):
            return found, goal
        edge = sliding.high if pull > 0 else sliding.low
        beyond = goal >= edge if pull > 0 else goal <= edge
        goal = edge if beyond and edge in (low, high) else goal
        if goal == edge == (high if pull > 0 else low):
            solution, centre = solve_by_levels(sliding.at(edge), solution), edge
            if sliding.pull(solution) * pull >= 0:
                break
            continue
        centre = goal if low < goal < high else (low + high) / 2
        solution = solve_by_levels(sliding.at(centre), solution)
    return solution, centre


def _chains(problem: LineProblem, claim: SplineClaim) -> ChainNetwork:
    """Slice the slopes of a spline into runs: as few as it has kinks, and of the least total weight.

    Runs of falling scores that reach an end of the data go on beyond it, where they push back towards the
    data; others stop, so that the outermost point does not count their slope.  With a skip connection that
    is the only way in which the outer slopes may differ.
    """
    places, values = problem.points[claim.knots], claim.values
    slopes = _without_rounding(places, values)
    base = float(min(slopes[0], slopes[-1])) if problem.skip else 0.0
    runs = [run for sign in (1.0, -1.0) for run in _slices(sign * (slopes - base), sign)]
    rows: list[tuple[float, float, float]] = []
    constant = float(values[0]) + problem.sample.mean_target
    for start, stop, weight in runs:
        goes_on = weight < 0 and not problem.skip
        to_left, to_right = goes_on and start == 0, goes_on and stop == len(slopes)
        here, there = float(places[start]), float(places[stop])
        if to_left and to_right:
            rows += [(here, np.inf, weight / 2), (-np.inf, there, weight / 2)]
            constant += weight / 2 * (there - here)
        else:
            rows.append((-np.inf if to_left else here, np.inf if to_right else there, weight))
            constant += weight * (there - float(places[0])) * to_left
    table = np.array(rows).reshape(-1, 3)
    # A point sees the smaller slope: where that rises, the kink comes after it.
    after = np.stack([table[:, 2] > 0, table[:, 2] < 0], axis=1)
    return ChainNetwork(table[:, :2], after, table[:, 2], float(places[0]), constant, base)


def _without_rounding(places: FloatArray, values: FloatArray) -> FloatArray:
    """Slopes of the pieces; where rounding does not tell one from its neighbour, or from nil, it is equal."""
    lengths, sizes = np.diff(places), np.abs(values)
    slopes, blur = np.diff(values) / lengths, 4 * _EPS * (sizes[1:] + sizes[:-1]) / lengths
    slopes[np.abs(slopes) <= blur] = 0.0
    for k in range(1, len(slopes)):
        if abs(slopes[k] - slopes[k - 1]) <= blur[k] + blur[k - 1]:
            slopes[k] = slopes[k - 1]
    return slopes


def _slices(slopes: FloatArray, sign: float) -> list[tuple[int, int, float]]:
    """Cut what is above nil into horizontal slices: the piece at which each starts, its end, its height."""
    found: list[tuple[int, int, float]] = []
    opened: list[tuple[int, float]] = []  # where slices began, and their lower edges
    before = 0.0
    for k, level in enumerate([*np.maximum(slopes, 0.0).tolist(), 0.0]):
        if level > before:
            opened.append((k, before))
        while level < before:
            start, edge = opened[-1]
            found.append((start, k, sign * (before - max(edge, level))))
            before = max(edge, level)
            if edge >= level:
                opened.pop()
        before = level
    return found
