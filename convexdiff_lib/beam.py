r"""The dual of univariate score matching, read as a thin beam threaded through a tube.

Write the sorted distinct points :math:`x_1 < \dots < x_m` with multiplicities :math:`k_j`, and
:math:`g_j = \sum_i z_i (x_i - x_j)_+` for the dual variable :math:`z` of the paper's display (7).  Then
:math:`g_m = 0`, the curvature of :math:`g` is :math:`z`, and every constraint of (7) is a bound on :math:`g`:

.. math:: | (g_j - c_j) - \theta (g_1 - n) | \le r_j, \qquad
          -\beta \le g_1 - n \le \beta - \bar r,

where :math:`c_j = (\#\{x \ge x_j\} + \#\{x > x_j\}) / 2` is the rank line.  ReLU uses :math:`\theta = 0` (neurons
that face right) and :math:`\theta = 1` (left) with :math:`r_j = \beta - k_j/2`; the absolute value uses
:math:`\theta = 1/2` with :math:`r_j = (\beta - k_j)/2`; a skip connection clamps :math:`g_1 = n`.  The dual asks for
the straightest such beam, :math:`\min \tfrac12 \sum_i z_i^2`.

`solve_beam` finds it with a sparse interior-point solver and then polishes: with the touching points known, the
fitted score is a linear spline whose knots are the touching points, and a tridiagonal system gives it exactly.
Nothing here certifies anything; `convexdiff_lib.certificates` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import clarabel
import numpy as np
import scipy.linalg
import scipy.sparse as sp

from ._validation import Activation, FloatArray

__all__ = ["Beam", "Tube", "score_matching_threshold", "score_matching_tube", "solve_beam"]

_POLISH_ROUNDS = 500


@dataclass(frozen=True)
class Tube:
    """The tube through which the beam is threaded.

    Parameters
    ----------
    points : array of shape (m,)
        The distinct data points, increasing.
    unit : float
        Unit of length for everything else here, about the spread of the bulk of the data.
    counts : array of shape (m,)
        Multiplicity of each distinct point.
    centre : array of shape (m,)
        The rank line c.
    half_width : array of shape (m,)
        r; only the interior entries are used.
    total : float
        n, the height of the rank line's end.
    tilts : tuple of float
        The values of theta.
    end : (float, float)
        Allowed interval of g_1 - n.

    Examples
    --------
    >>> import numpy as np
    >>> tube = score_matching_tube(np.arange(3.0), np.ones(3), beta=2.0, activation="relu", skip=False)
    >>> tube.centre.tolist(), tube.end
    ([2.5, 1.5, 0.5], (-2.0, 1.0))
    """

    points: FloatArray
    unit: float
    counts: FloatArray
    centre: FloatArray
    half_width: FloatArray
    total: float
    tilts: tuple[float, ...]
    end: tuple[float, float]

    def distance(self, i: np.ndarray, j: np.ndarray) -> FloatArray:
        """Distance from point i to point j; from the data themselves, so that tiny gaps keep all their digits."""
        return (self.points[j] - self.points[i]) / self.unit

    @property
    def pinned(self) -> np.ndarray:
        """Interior points at which the tube has no width: ties at the threshold."""
        return np.flatnonzero(self.half_width[1:-1] <= 0) + 1

    @property
    def gaps(self) -> FloatArray:
        """Distances between neighbouring points, shape (m - 1,)."""
        return np.diff(self.points) / self.unit


@dataclass(frozen=True)
class Beam:
    """One candidate solution, as a linear spline and its dual vector; see `solve_beam`.

    Parameters
    ----------
    knots : int array of shape (K,)
        Indices (into the distinct points) of the interior kinks of the score.
    kinks : array of shape (K,)
        Change of slope at each of them.
    first_slope : float
        Slope of the score on the first interval.
    z : array of shape (m,)
        Dual variable, one entry per distinct point; minus the score there.

    Examples
    --------
    >>> import numpy as np
    >>> tube = score_matching_tube(np.array([-1.0, 1.0]), np.ones(2), beta=1.0, activation="relu", skip=False)
    >>> [round(float(b.first_slope), 6) for b in solve_beam(tube)][-1]
    -0.5
    """

    knots: np.ndarray
    kinks: FloatArray
    first_slope: float
    z: FloatArray


def score_matching_threshold(counts: FloatArray, *, activation: Activation, skip: bool) -> float:
    r"""Smallest weight decay with a finite optimum.

    With k the largest multiplicity and e the larger multiplicity of the two extreme points: ReLU
    :math:`\max(k/2, e)`, absolute value :math:`\max(k, e)`, absolute value with skip :math:`\max(k, 2e)`.
    For distinct points these are the 1, 1 and 2 of Theorems 1, 7 and 8.

    Examples
    --------
    >>> import numpy as np
    >>> score_matching_threshold(np.array([1.0, 3.0, 1.0]), activation="relu", skip=False)
    1.5
    """
    inside, ends = float(np.max(counts)), float(max(counts[0], counts[-1]))
    if activation == "relu":
        return max(inside / 2, ends)
    return max(inside, 2 * ends if skip else ends)


def score_matching_tube(
    points: FloatArray, counts: FloatArray, beta: float, *, activation: Activation, skip: bool
) -> Tube:
    """Build the tube of the score-matching dual from the distinct points and their multiplicities.

    Examples
    --------
    >>> import numpy as np
    >>> score_matching_tube(np.arange(3.0), np.ones(3), 3.0, activation="abs", skip=True).end
    (0.0, 0.0)
    """
    total = float(counts.sum())
    above = total - np.cumsum(counts)  # number of points strictly above each distinct point
    ends = float(max(counts[0], counts[-1]))
    relu = activation == "relu"
    return Tube(
        points=points,
        unit=_unit(points, counts),
        counts=counts,
        centre=above + counts / 2,
        half_width=beta - counts / 2 if relu else (beta - counts) / 2,
        total=total,
        tilts=(0.0,) if skip else (0.0, 1.0) if relu else (0.5,),
        end=(0.0, 0.0) if skip else (-beta, beta - (ends if relu else 2 * ends)),
    )


def _unit(points: FloatArray, counts: FloatArray) -> float:
    """The spread of the middle half of the sample; of all of it when half the points coincide."""
    low, high = np.interp([0.25, 0.75], (np.cumsum(counts) - counts / 2) / counts.sum(), points)
    return float(high - low) or float(np.ptp(points))


def solve_beam(tube: Tube) -> Iterator[Beam]:
    """Yield candidate solutions, each better polished than the one before.

    The first comes straight from the interior-point solver, the following ones from working-set rounds on the
    touching points that it found; the last is usually exact to rounding.  The caller certifies, and keeps the best.

    Parameters
    ----------
    tube : Tube
        With at least two distinct points.

    Yields
    ------
    Beam
    """
    multipliers, offset, z = _interior_point(tube)
    kinks = multipliers.sum(axis=0)
    yield _from_multipliers(tube, kinks, z)
    yield from _polish(tube, kinks, offset, z)


def _from_multipliers(tube: Tube, kinks: FloatArray, z: FloatArray) -> Beam:
    """Turn multipliers into a spline: the first slope is the least-squares fit of -z given the kinks."""
    position = (tube.points - tube.points[0]) / tube.unit
    slopes = np.concatenate([[0.0], np.cumsum(kinks)])
    bent = np.concatenate([[0.0], np.cumsum(slopes * tube.gaps)])
    weight = tube.counts / tube.counts.sum()
    centred = position - weight @ position
    first = float((weight * centred) @ (-z - bent) / ((weight * centred) @ centred))
    used = np.flatnonzero(kinks)
    return Beam(used + 1, kinks[used], first, z)


def _interior_point(tube: Tube) -> tuple[FloatArray, float, FloatArray]:
    """Solve the dual with Clarabel; return multipliers (tilts, m - 2), g_1 - n, and z (m,).

    Variables are g_1..g_{m-1} and the slopes S_1..S_{m-1}, tied by h_i S_i = g_i - g_{i+1}; no division by a gap.
    Both are scaled by n so that every bound is of order one.
    """
    m, n = len(tube.counts), tube.total
    free = m - 1
    inner = np.arange(1, m - 1)
    identity = sp.identity(free, format="csc")
    next_one = sp.eye(free, free, k=1, format="csc")
    bend = sp.diags([1.0, -1.0], [-1, 0], shape=(m, free), format="csc")  # S_{i-1} - S_i
    quadratic = sp.block_diag(
        [sp.csc_matrix((free, free)), bend.T @ sp.diags(1.0 / tube.counts) @ bend], format="csc"
    )
    ties = sp.hstack([next_one - identity, sp.diags(tube.gaps)])
    pick = sp.csc_matrix((np.ones(m - 2), (np.arange(m - 2), inner)), shape=(m - 2, 2 * free))
    first = sp.csc_matrix(([1.0], ([0], [0])), shape=(1, 2 * free))
    lean = sp.csc_matrix((np.ones(m - 2), (np.arange(m - 2), np.zeros(m - 2, int))), shape=(m - 2, 2 * free))
    rows = [pick - tilt * lean for tilt in tube.tilts]
    middle = np.concatenate([tube.centre[inner] - tilt * n for tilt in tube.tilts])
    radius = np.tile(tube.half_width[inner], len(tube.tilts))
    clamped = tube.end[0] == tube.end[1]
    tubes = sp.vstack([*rows, *([] if clamped else [first])]).tocsc()
    upper = np.concatenate([middle + radius, [] if clamped else [n + tube.end[1]]]) / n
    lower = np.concatenate([middle - radius, [] if clamped else [n + tube.end[0]]]) / n
    equal = sp.vstack([ties, *([first] if clamped else [])])
    equal_to = np.concatenate([np.zeros(free), [1.0 + tube.end[0] / n] if clamped else []])

    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_iter = 200
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-10
    solver = clarabel.DefaultSolver(
        sp.triu(quadratic).tocsc(),
        np.zeros(2 * free),
        sp.vstack([equal, tubes, -tubes]).tocsc(),
        np.concatenate([equal_to, upper, -lower]),
        [clarabel.ZeroConeT(equal.shape[0]), clarabel.NonnegativeConeT(2 * tubes.shape[0])],
        settings,
    )
    solution = solver.solve()
    g, slopes = np.split(np.asarray(solution.x), 2)
    dual = np.asarray(solution.z)[equal.shape[0] :]
    multipliers = (dual[: len(upper)] - dual[len(upper) :])[: len(middle)] * n
    z = bend @ slopes * n / tube.counts
    return multipliers.reshape(len(tube.tilts), m - 2), float(g[0] * n - n), z


def _polish(tube: Tube, kinks: FloatArray, offset: float, z: FloatArray) -> Iterator[Beam]:
    """Rounds of: fit the spline for the current touching points, drop wrong signs, add violated points."""
    g = _heights(tube, z)
    side = _touching(tube, kinks, g, offset)
    end = _end_state(tube, offset)
    seen = set()
    for _ in range(_POLISH_ROUNDS):
        key = (side.tobytes(), end)
        if key in seen:
            return
        seen.add(key)
        beam, offset, lift = _fit_spline(tube, side, end)
        yield beam
        side, end = _revise(tube, beam, side, end, offset, lift)


def _heights(tube: Tube, z: FloatArray) -> FloatArray:
    """Recover g from z by summing twice, from the end at which g is zero."""
    slopes = -np.cumsum(tube.counts * z)[:-1]
    return np.concatenate([np.cumsum((tube.gaps * slopes)[::-1])[::-1], [0.0]])


def _bounds(tube: Tube, offset: float) -> tuple[FloatArray, FloatArray]:
    """Lower and upper bounds on e = g - c in the interior, for a given g_1 - n."""
    shift = [tilt * offset for tilt in tube.tilts]
    radius = tube.half_width[1:-1]
    return max(shift) - radius, min(shift) + radius


def _touching(tube: Tube, kinks: FloatArray, g: FloatArray, offset: float) -> np.ndarray:
    """Guess which interior points touch the tube (+1 top, -1 bottom, 0 none): multiplier against slack."""
    low, high = _bounds(tube, offset)
    e = (g - tube.centre)[1:-1]
    # Slopes are of order one where slack is of order n: the unit of length is the spread of the data.
    top = kinks > np.maximum(high - e, 0.0) / tube.total
    bottom = -kinks > np.maximum(e - low, 0.0) / tube.total
    return top.astype(np.int8) - bottom.astype(np.int8)


_CLAMPED, _LOW, _HIGH, _LEVEL, _FREE = "clamped", "low", "high", "level", "free"


def _end_state(tube: Tube, offset: float) -> str:
    """Name what holds the beam's end: a clamp, a bound, the corner at g_1 = n, or nothing."""
    low, high = tube.end
    near = 1e-6 * (high - low + 1e-3)
    if low == high:
        return _CLAMPED
    if len(tube.tilts) == 2 and len(tube.pinned):
        return _LEVEL  # a tube without width leaves the end no choice
    if offset <= low + near:
        return _LOW
    if offset >= high - near:
        return _HIGH
    return _LEVEL if len(tube.tilts) == 2 and abs(offset) <= near else _FREE


def _fit_spline(tube: Tube, side: np.ndarray, end: str, offset_sign: float = -1.0) -> tuple[Beam, float, float]:
    """Minimise the training loss over splines with kinks of given sign at given points.

    Returns the spline, the multiplier g_1 - n, and the lift L: the slope carried by the neurons at the two ends.
    """
    touching = np.flatnonzero(side) + 1
    knots = np.concatenate([[0], touching, [len(tube.counts) - 1]])
    hats, spans = _hat_basis(tube, knots)
    gram = _gram(hats, tube.counts, len(knots))
    sign = side[touching - 1].astype(np.float64)
    kink_cost = tube.centre[touching] + sign * tube.half_width[touching]
    leaning = _leaning(tube, sign, offset_sign)
    cost = _functional(spans, tube.total, kink_cost)
    lift_of = _functional(spans, 1.0, leaning)
    base, response = scipy.linalg.solveh_banded(gram, -np.stack([cost, lift_of], axis=1)).T
    offset = {_LOW: tube.end[0], _HIGH: tube.end[1], _CLAMPED: tube.end[0]}.get(end, 0.0)
    if end == _FREE:
        curvature = float(lift_of @ response)
        offset = -float(lift_of @ base) / curvature if curvature else 0.0
    if end in (_FREE, _LOW, _HIGH) and len(tube.tilts) == 2 and offset * offset_sign < 0:
        # The kinks lean the other way when the end rises above n: solve once more with the right lean.
        if offset_sign < 0:
            return _fit_spline(tube, side, end, 1.0)
    values = base + offset * response
    left, weight = hats
    scores = values[left] * (1 - weight) + values[left + 1] * weight
    slopes = np.diff(values) / spans
    return Beam(touching, np.diff(slopes), float(slopes[0]), -scores), offset, float(lift_of @ values)


def _leaning(tube: Tube, sign: FloatArray, offset_sign: float) -> FloatArray:
    """How much of each kink tilts with the end: the tilt of the bound that it touches."""
    if len(tube.tilts) == 1:
        return np.full(len(sign), tube.tilts[0])
    return (sign * offset_sign < 0).astype(np.float64)


def _hat_basis(tube: Tube, knots: np.ndarray) -> tuple[tuple[np.ndarray, FloatArray], FloatArray]:
    """For every point: the knot to its left and its relative place towards the next one; and the knot spacings."""
    everyone = np.arange(len(tube.points))
    left = np.minimum(np.searchsorted(knots, everyone, side="right") - 1, len(knots) - 2)
    spans = tube.distance(knots[:-1], knots[1:])
    return (left, tube.distance(knots[left], everyone) / spans[left]), spans


def _gram(hats: tuple[np.ndarray, FloatArray], counts: FloatArray, size: int) -> FloatArray:
    """Banded (upper form) Gram matrix of the hat functions at the data, weighted by multiplicity."""
    left, weight = hats
    gram = np.zeros((2, size))
    gram[1] += np.bincount(left, counts * (1 - weight) ** 2, size)
    gram[1] += np.bincount(left + 1, counts * weight**2, size)
    gram[0, 1:] = np.bincount(left, counts * weight * (1 - weight), size)[: size - 1]
    return gram


def _functional(spans: FloatArray, on_first_slope: float, on_kinks: FloatArray) -> FloatArray:
    """The linear functional (first slope, kinks) -> number, as a vector over knot values."""
    on_slopes = -np.diff(np.concatenate([[0.0], on_kinks, [0.0]]))
    on_slopes[0] += on_first_slope
    return -np.diff(np.concatenate([[0.0], on_slopes / spans, [0.0]]))


def _revise(
    tube: Tube, beam: Beam, side: np.ndarray, end: str, offset: float, lift: float
) -> tuple[np.ndarray, str]:
    """Drop kinks of the wrong sign, add the worst violated point of every run, correct the state of the end."""
    revised = side.copy()
    wrong = beam.knots[beam.kinks * side[beam.knots - 1] < 0] - 1
    e = (_heights(tube, beam.z) - tube.centre)[1:-1]
    low, high = _bounds(tube, offset)
    slack = 1e-10 * tube.total  # above rounding, below what a certificate forgives
    pinned = high[wrong] - low[wrong] <= slack  # top and bottom are one: the kink changes sides, and stays
    revised[wrong] = np.where(pinned, -side[wrong], 0)
    if len(wrong) and not pinned.all():
        return revised, end  # leave before entering: doing both at once can run in circles
    for excess, sign in ((e - high, 1), (low - e, -1)):
        for peak in _peaks(excess > slack, excess):
            revised[peak] = sign
    return revised, _revise_end(tube, beam, end, offset, lift)


def _peaks(violated: np.ndarray, excess: FloatArray) -> Iterator[int]:
    """Yield the position of the largest excess in each run of violated points."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], violated.astype(np.int8), [0]])))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        yield int(start + np.argmax(excess[start:stop]))


def _revise_end(tube: Tube, beam: Beam, end: str, offset: float, lift: float) -> str:
    """Move the end between its bounds, the corner and freedom when the fitted spline says so."""
    low, high = tube.end
    if end == _FREE:
        if offset < low:
            return _LOW
        if offset > high:
            return _HIGH
        return end
    if (end == _LOW and lift > 0) or (end == _HIGH and lift < 0):
        return _FREE
    if end == _LEVEL and not len(tube.pinned):
        up, down = beam.kinks[beam.kinks > 0].sum(), -beam.kinks[beam.kinks < 0].sum()
        if not -up <= beam.first_slope <= down:
            return _FREE
    return end
