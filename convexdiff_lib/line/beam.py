r"""The dual of univariate training, read as a thin beam threaded through a tube.

Write the sorted distinct points :math:`x_1 < \dots < x_m` with multiplicities :math:`k_j`, and
:math:`g_j = \sum_i z_i (x_i - x_j)_+` for the dual variable :math:`z` of the paper's display (7).  Then
:math:`g_m = 0`, the curvature of :math:`g` is :math:`z`, and every constraint of (7) is a bound on :math:`g`:

.. math:: | (g_j - c_j) - \theta (g_1 - n) | \le r_j, \qquad
          -\beta \le g_1 - n \le \beta - \bar r,

where :math:`c_j = (\#\{x \ge x_j\} + \#\{x > x_j\}) / 2` is the rank line.  ReLU uses :math:`\theta = 0`
(neurons that face right) and :math:`\theta = 1` (left) with :math:`r_j = \beta - k_j/2`; the absolute value
uses :math:`\theta = 1/2` with :math:`r_j = (\beta - k_j)/2`; a skip connection clamps :math:`g_1 = n`.  The
dual asks for the straightest such beam, :math:`\min \tfrac12 \sum_i z_i^2`.

Denoising has no derivative in its loss, so nothing is counted: the rank line is replaced by zero, every
:math:`r_j` is :math:`\beta` (ReLU) or :math:`\beta/2` (absolute value), :math:`|g_1| \le \beta`, and a skip
connection clamps :math:`g_1 = 0`.  The dual asks for the beam whose curvature is nearest to the targets,
:math:`\min \tfrac12 \sum_i (z_i - \ell_i)^2`.

`solve_beam` finds it with a sparse interior-point solver; `convexdiff_lib.line.active_set` then polishes the
answer. Nothing here certifies anything; `convexdiff_lib.certificates` does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from .._validation import FloatArray
from ._exchange import Problem, blocks_of
from ._passes import centred, highest, less_line, rank_line, spread
from .problem import LineProblem

__all__ = [
    "Beam",
    "End",
    "Tube",
    "end_states",
    "solve_beam",
    "tube_of",
]


class End(NamedTuple):
    """A state of the beam's end: g_1 - level lies in [low, high], and ReLU kinks lean with sign ``lean``.

    Examples
    --------
    >>> End(0.0, 0.0, 0).fixed
    True
    """

    low: float
    high: float
    lean: int

    @property
    def fixed(self) -> bool:
        """Whether the interval is a single height."""
        return self.low == self.high


@dataclass(frozen=True, eq=False)
class Tube:
    """The tube through which the beam is threaded.

    Parameters
    ----------
    points : array of shape (m,)
        The distinct data points, increasing.
    unit : float
        Unit of length for everything else here, about the spread of the bulk of the data.
    score_unit : float
        Unit of the score: one over length for score matching, about the spread of the targets for denoising.
    counts : array of shape (m,)
        Multiplicity of each distinct point.
    centre : array of shape (m,)
        The rank line c.
    half_width : array of shape (m,)
        r; only the interior entries are used.
    targets : array of shape (m,)
        What the curvature is compared with: zero for score matching, the centred mean targets for denoising.
    level : float
        Height at which the beam's end is level: n for score matching, 0 for denoising.
    scale : float
        Size of the heights, for tolerances: n, or for denoising the smaller of the tube's radius and of what
        the beam would reach without it.
    tilts : tuple of float
        The values of theta.
    end : (float, float)
        Allowed interval of g_1 - level.
    blocks : array of shape (b, 8), optional
        Sums over blocks of points, with which the beam is compared faster, again and again; see `in_blocks`.

    Examples
    --------
    >>> from convexdiff_lib.line.problem import line_problem
    >>> import numpy as np
    >>> tube = tube_of(line_problem(range(3), 2.0))
    >>> tube.centre.tolist(), tube.end
    ([2.5, 1.5, 0.5], (-2.0, 1.0))
    """

    points: FloatArray
    unit: float
    score_unit: float
    counts: FloatArray
    centre: FloatArray
    half_width: FloatArray
    targets: FloatArray
    has_targets: bool
    level: float
    scale: float
    tilts: tuple[float, ...]
    end: tuple[float, float]
    blocks: FloatArray | None = None

    def distance(self, i: np.ndarray, j: np.ndarray) -> FloatArray:
        """Distance from point i to point j; from the data themselves, so that tiny gaps keep their digits."""
        return (self.points[j] - self.points[i]) / self.unit

    @cached_property
    def gaps(self) -> FloatArray:
        """Distances between neighbouring points, shape (m - 1,)."""
        return np.diff(self.points) / self.unit

    @cached_property
    def chain(self) -> list[End]:
        """All states of the end, from low to high."""
        return end_states(self)

    @cached_property
    def states(self) -> FloatArray:
        """The chain as an array, one row (low, high, lean) for each state."""
        return np.array(self.chain, dtype=np.float64)

    @cached_property
    def pulls(self) -> FloatArray:
        """Targets times multiplicities."""
        return self.counts * self.targets if self.has_targets else self.targets

    @cached_property
    def problem(self) -> Problem:
        """What the rounds of the active set read."""
        return Problem(
            points=self.points,
            counts=self.counts,
            targets=self.targets,
            pulls=self.pulls,
            centre=self.centre,
            half_width=self.half_width,
            has_targets=self.has_targets,
            unit=self.unit,
            level=float(self.level),
            low=float(self.end[0]),
            high=float(self.end[1]),
            flat=self.tilts[0],
            steep=self.tilts[-1],
            # Above rounding, below what a certificate forgives.
            tolerance=1e-10 * self.scale + self.rounding,
            blocks=np.empty((0, 8)) if self.blocks is None else self.blocks,
        )

    def in_blocks(self) -> Tube:
        """The same tube with its sums over blocks, which do not depend on the weight decay."""
        sums = blocks_of(self.points, self.counts, self.targets, self.centre, self.half_width)
        return replace(self, blocks=sums)

    @cached_property
    def rounding(self) -> float:
        """How well heights can be known when targets and scores, nearly equal, are subtracted."""
        if not self.has_targets:
            return 0.0
        span = float(self.points[-1] - self.points[0]) / self.unit
        return 4 * float(np.finfo(np.float64).eps) * float(self.counts @ np.abs(self.targets)) * span

    def heights(self, z: FloatArray) -> FloatArray:
        """Recover g, shape (m,), from z by summing twice, from the end at which g is zero."""
        slopes = -np.cumsum(self.counts * z)[:-1]
        return np.concatenate([np.cumsum((self.gaps * slopes)[::-1])[::-1], [0.0]])

    def bounds(self, offset: float) -> tuple[FloatArray, FloatArray]:
        """Lower and upper bound on g - c at the interior points when g_1 - level is ``offset``."""
        shift = [tilt * offset for tilt in self.tilts]
        radius = self.half_width[1:-1]
        return max(shift) - radius, min(shift) + radius


def end_states(tube: Tube) -> list[End]:
    """Return all states of the end, from low to high.

    Examples
    --------
    >>> from convexdiff_lib.line.problem import line_problem
    >>> import numpy as np
    >>> tube = tube_of(line_problem(range(3), 2.0, activation="abs"))
    >>> [(end.low, end.high) for end in end_states(tube)]
    [(-2.0, -2.0), (-2.0, 0.0), (0.0, 0.0)]
    """
    low, high = tube.end
    if low == high:
        return [End(low, low, 0)]
    if len(tube.tilts) == 1:
        return [End(low, low, 0), End(low, high, 0), End(high, high, 0)]
    stops = [
        End(low, low, -1),
        End(low, 0.0, -1),
        End(0.0, 0.0, 0),
        End(0.0, high, 1),
        End(high, high, 1),
    ]
    return [stop for i, stop in enumerate(stops) if i % 2 == 0 or not stop.fixed]


@dataclass(frozen=True, eq=False)
class Beam:
    """One candidate solution: the score as a linear spline, and the dual vector.

    Parameters
    ----------
    knots : int array of shape (K,)
        Indices (into the distinct points) of the interior kinks of the score.
    kinks : array of shape (K,)
        Change of slope at each of them.
    first_slope : float
        Slope of the score on the first interval; like the kinks, per squared unit of length of the tube.
    z : array of shape (m,)
        Dual variable, one entry per distinct point: target minus score there, in the tube's unit of score.

    Examples
    --------
    The line -x/2.  The unit of length is the distance between the two points, 2, so the slope is -2.

    >>> from convexdiff_lib.line.problem import line_problem
    >>> import numpy as np
    >>> tube = tube_of(line_problem([-1.0, 1.0], 1.0))
    >>> tube.unit, round(solve_beam(tube)[0].first_slope, 6)
    (2.0, -2.0)
    """

    knots: np.ndarray
    kinks: FloatArray
    first_slope: float
    z: FloatArray


def tube_of(problem: LineProblem, like: Tube | None = None) -> Tube:
    """Build the tube of a problem's dual.

    What does not depend on the weight decay is taken over from ``like``, a tube of the same sample.

    Examples
    --------
    >>> from convexdiff_lib.line.problem import line_problem
    >>> tube_of(line_problem([0.0, 1.0, 2.0], 3.0, activation="abs", skip=True)).end
    (0.0, 0.0)
    >>> tube = tube_of(line_problem([0.0, 1.0, 2.0], 0.5, targets=[1.0, 0.0, 1.0]))
    >>> tube.centre.tolist(), tube.level
    ([0.0, 0.0, 0.0], 0.0)
    >>> bool(np.isclose(tube.end[1], 0.5 / (tube.unit * tube.score_unit)))
    True
    """
    tilts = (0.0,) if problem.skip else (0.0, 1.0) if problem.activation == "relu" else (0.5,)
    return (_denoising if problem.targets is not None else _score_matching)(problem, tilts, like)


def _score_matching(problem: LineProblem, tilts: tuple[float, ...], like: Tube | None) -> Tube:
    points, counts, total = problem.points, problem.counts, problem.level
    unit = like.unit if like else _unit(points, problem.centre, total)
    right, left = problem.tail_prices
    return Tube(
        points=points,
        unit=unit,
        score_unit=1 / unit,
        counts=counts,
        centre=problem.centre + right if right else problem.centre,
        half_width=problem.radius - counts / 2,
        targets=problem.aims,
        has_targets=False,
        level=total + (right + left),
        scale=total,
        tilts=tilts,
        end=_end(problem, 1.0, 1.0),
        blocks=like.blocks if like else None,
    )


def _denoising(problem: LineProblem, tilts: tuple[float, ...], like: Tube | None) -> Tube:
    points, counts = problem.points, problem.counts
    if like:
        unit, score_unit, scaled = like.unit, like.score_unit, like.targets
    else:
        unit = _unit(points, rank_line(counts), float(counts.sum()))
        apart, deviation = centred(counts, problem.aims)
        score_unit = deviation or 1.0
        scaled = apart / score_unit
    beta, radius, right, left = (
        size / unit / score_unit for size in (problem.beta, problem.radius, *problem.tail_prices)
    )
    straight = less_line(points, counts, scaled, unit, 0.0)[0] if problem.skip else scaled
    free = highest(points, counts, straight, unit)
    return Tube(
        points=points,
        unit=unit,
        score_unit=score_unit,
        counts=counts,
        centre=problem.centre + right,
        half_width=np.full(len(points), radius),
        targets=scaled,
        has_targets=True,
        level=right + left,
        scale=min(beta, free or beta),  # the beam of a straight score would be free to reach so high
        tilts=tilts,
        end=_end(problem, unit, score_unit),
    )


def _end(problem: LineProblem, unit: float, score_unit: float) -> tuple[float, float]:
    """The allowed interval of the beam's end, in these units."""
    low, high = (float(bound.high) / unit / score_unit for bound in problem.end)
    return low, high


def straight_beam(tube: Tube) -> Beam:
    """The best score without kinks: a constant, or a line where a skip connection clamps the beam's end."""
    z, slope = tube.targets, 0.0
    if tube.end[0] == tube.end[1] == 0:
        z, slope = less_line(tube.points, tube.counts, tube.targets, tube.unit, tube.level)
    return Beam(np.zeros(0, dtype=np.int64), np.zeros(0), slope, z)


def _excess(tube: Tube, beam: Beam) -> float:
    """By how much a beam leaves the tube."""
    heights = tube.heights(beam.z)
    offset = float(heights[0] - tube.level)
    low, high = tube.bounds(offset)
    inside = (heights - tube.centre)[1:-1]
    ends = max(offset - tube.end[1], tube.end[0] - offset)
    return max(ends, float((inside - high).max(initial=-np.inf)), float((low - inside).max(initial=-np.inf)))


def _unit(points: FloatArray, ranks: FloatArray, total: float) -> float:
    """The spread of the middle half of the sample; of all of it where that rounds to zero."""
    return spread(points, ranks, total) or float(points[-1] - points[0])


def solve_beam(tube: Tube) -> tuple[Beam, float]:
    """Find the beam: the straight one if it fits into the tube, else with a sparse interior-point solver.

    Parameters
    ----------
    tube : Tube
        With at least two distinct points.

    Returns
    -------
    beam : Beam
        Accurate to about 1e-8, with a tiny kink at every interior point.
    offset : float
        The height g_1 - level of the beam's end.

    Examples
    --------
    >>> from convexdiff_lib.line.problem import line_problem
    >>> import numpy as np
    >>> tube = tube_of(line_problem([-1.0, 1.0], 1.0))
    >>> round(solve_beam(tube)[1], 6)
    -1.0
    """
    straight = straight_beam(tube)
    if _excess(tube, straight) <= 0:  # so much weight decay that nothing bends
        return straight, float(tube.heights(straight.z)[0] - tube.level)
    multipliers, offset, z = _interior_point(tube)
    return _from_multipliers(tube, multipliers.sum(axis=0), z), offset


def _from_multipliers(tube: Tube, kinks: FloatArray, z: FloatArray) -> Beam:
    """Turn multipliers into a spline; its first slope is the least-squares fit given the kinks."""
    position = (tube.points - tube.points[0]) / tube.unit
    slopes = np.concatenate([[0.0], np.cumsum(kinks)])
    bent = np.concatenate([[0.0], np.cumsum(slopes * tube.gaps)])
    weight = tube.counts / tube.counts.sum()
    centred = position - weight @ position
    first = float((weight * centred) @ (tube.targets - z - bent) / ((weight * centred) @ centred))
    used = np.flatnonzero(kinks)
    return Beam(used + 1, kinks[used], first, z)


def _interior_point(tube: Tube) -> tuple[FloatArray, float, FloatArray]:
    """Solve the dual with Clarabel; return multipliers (tilts, m - 2), g_1 - level, and z (m,).

    Variables are g_1..g_{m-1} and the slopes S_1..S_{m-1}, tied by h_i S_i = g_i - g_{i+1}, without dividing
    by a gap.  Both are divided by the tube's scale, so that every bound is of order one, and so is the
    objective after multiplication by ``damping``, also in a tube that is much narrower than the targets.
    """
    # Hardly any fit needs them, and they take longer to import than such a fit takes.
    import clarabel
    import scipy.sparse as sp

    m, scale = len(tube.counts), tube.scale
    free = m - 1
    inner = np.arange(1, m - 1)
    identity = sp.identity(free, format="csc")
    next_one = sp.eye(free, free, k=1, format="csc")
    bend = sp.diags([1.0, -1.0], [-1, 0], shape=(m, free), format="csc")  # S_{i-1} - S_i
    damping = min(1.0, scale)
    quadratic = sp.block_diag(
        [sp.csc_matrix((free, free)), damping * bend.T @ sp.diags(1.0 / tube.counts) @ bend], format="csc"
    )
    linear = np.concatenate([np.zeros(free), -(damping / scale) * (bend.T @ tube.targets)])
    ties = sp.hstack([next_one - identity, sp.diags(tube.gaps)])
    pick = sp.csc_matrix((np.ones(m - 2), (np.arange(m - 2), inner)), shape=(m - 2, 2 * free))
    first = sp.csc_matrix(([1.0], ([0], [0])), shape=(1, 2 * free))
    lean = sp.csc_matrix((np.ones(m - 2), (np.arange(m - 2), np.zeros(m - 2, int))), shape=(m - 2, 2 * free))
    rows = [pick - tilt * lean for tilt in tube.tilts]
    middle = np.concatenate([tube.centre[inner] - tilt * tube.level for tilt in tube.tilts])
    radius = np.tile(tube.half_width[inner], len(tube.tilts))
    clamped = tube.end[0] == tube.end[1]
    tubes = sp.vstack([*rows, *([] if clamped else [first])]).tocsc()
    upper = np.concatenate([middle + radius, [] if clamped else [tube.level + tube.end[1]]]) / scale
    lower = np.concatenate([middle - radius, [] if clamped else [tube.level + tube.end[0]]]) / scale
    equal = sp.vstack([ties, *([first] if clamped else [])])
    equal_to = np.concatenate([np.zeros(free), [(tube.level + tube.end[0]) / scale] if clamped else []])

    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_iter = 200
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-10
    solver = clarabel.DefaultSolver(
        sp.triu(quadratic).tocsc(),
        linear,
        sp.vstack([equal, tubes, -tubes]).tocsc(),
        np.concatenate([equal_to, upper, -lower]),
        [clarabel.ZeroConeT(equal.shape[0]), clarabel.NonnegativeConeT(2 * tubes.shape[0])],
        settings,
    )
    solution = solver.solve()
    g, slopes = np.split(np.asarray(solution.x), 2)
    dual = np.asarray(solution.z)[equal.shape[0] :]
    multipliers = (dual[: len(upper)] - dual[len(upper) :])[: len(middle)] * (scale / damping)
    z = bend @ slopes * scale / tube.counts
    return multipliers.reshape(len(tube.tilts), m - 2), float(g[0] * scale - tube.level), z
