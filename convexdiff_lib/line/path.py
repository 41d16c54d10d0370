r"""The exact solution path in the weight decay.

While the beam touches the tube at the same points, and its end stays in the same state, the optimal score is
affine in :math:`\beta`: the weight decay enters the quadratic of `convexdiff_lib.line.active_set.Spline` only
through its linear term.  So the path is piecewise affine.  A piece ends where a kink's weight reaches zero,
where the beam reaches the tube at a new point, or where the end of the beam changes its state.

`solution_path` starts from a score without kinks, which is optimal for very large weight decay, and goes
down from event to event.  Each costs :math:`O(n)`.  At the two ends and in the middle of every piece the
network is certified from the data alone.  Violations of the dual are convex in :math:`\beta` on a piece, and
the gap is a quadratic, so this covers the whole piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from .._progress import Bar
from .._results import result
from .._validation import (
    Activation,
    FloatArray,
    as_activation,
    as_flag,
    as_positive,
    as_weight_decay,
)
from ..certificates import NotCertifiedError
from ._double_double import rounded
from .active_set import Spline, descend
from .beam import Tube, tube_of
from .candidates import claim_from_spline
from .problem import LineProblem, SplineClaim, check_minimum
from .sample import Sample, not_none
from .sharpening import sharpened
from .spline_certificates import Verdict, sizes_at_knots, values_at
from .training import certified_fit
from .univariate_score import UnivariateScore

__all__ = ["Piece", "SolutionPath", "denoising_path", "solution_path"]

_SAME = 2e-9  # events closer than this, relatively, are one event
_MISSED = 1e-4  # of a score: next to an event, where points are close, it changes fast within `_SAME`
_ROUNDING = 1e-11  # of a slack, relative to the numbers that it is a difference of
_STRIDES = 10.0 ** np.arange(-8.0, -1.0)  # how far below an event to look for the next active set
_MAX_EVENTS_PER_POINT = 200
_MAX_DOUBLINGS = 400


@result
class Piece:
    """A piece of the path, on which the score is affine in the weight decay.

    Parameters
    ----------
    high, low : float
        The interval of weight decays; ``high`` may be infinite.
    knots : array of shape (K,)
        Points at which the score has a kink inside the data, increasing.
    turns : array of shape (K,)
        +1 where the slope rises at the knot, -1 where it falls.
    end : int
        State of the beam's end, -2 (lowest) to 2 (highest); see `convexdiff_lib.line.active_set`.

    Examples
    --------
    >>> path = solution_path([-1.0, 0.0, 1.0, 3.0], down_to=1.5)
    >>> path.pieces[0].high, path.pieces[0].knots.tolist()
    (inf, [])
    """

    high: float
    low: float
    knots: FloatArray
    turns: np.ndarray
    end: int


@result
class SolutionPath:
    """All optimal scores for weight decays from ``down_to`` to infinity.

    Returned by `solution_path` and `denoising_path`.  Calling it with a weight decay gives the optimal score.

    Parameters
    ----------
    pieces : tuple of Piece
        From large to small weight decay, without gaps.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=30)
    >>> path = solution_path(x, down_to=2.0)
    >>> path(5.0).certificate.holds
    True
    >>> len(path.betas) == len(path.pieces), bool(path.betas[-1] == 2.0)
    (True, True)
    """

    pieces: tuple[Piece, ...]
    _states: tuple[_State, ...] = field(repr=False, compare=False)
    _problem: _Family = field(repr=False)

    def _facts(self) -> dict[str, object]:
        return {
            "n": len(self._problem.x),
            "down_to": float(self.betas[-1]),
            "activation": self._problem.activation,
            "skip": self._problem.skip,
            "pieces": len(self.pieces),
        }

    @cached_property
    def betas(self) -> FloatArray:
        """Lower ends of the pieces, decreasing; the last one is where the path stops."""
        return np.array([piece.low for piece in self.pieces])

    @property
    def number_of_knots(self) -> np.ndarray:
        """Number of kinks inside the data on every piece."""
        return np.array([len(piece.knots) for piece in self.pieces])

    def piece_at(self, beta: float) -> int:
        """Return which piece a weight decay belongs to, at an event the one with the larger weight decays.

        Raises
        ------
        ValueError
            If the path does not go down to beta.
        """
        decay = as_weight_decay(beta)
        if decay < self.betas[-1]:
            raise ValueError(
                f"beta must be at least {self.betas[-1]:.17g}, where the path stops; got {decay}"
            )
        return int(np.searchsorted(-self.betas, -decay, side="left"))

    def __call__(self, beta: float) -> UnivariateScore:
        """Return the optimal score at a weight decay.

        The values at the knots are interpolated between the events; the certificate is computed anew.

        Raises
        ------
        ValueError
            If the path does not go down to beta.
        NotCertifiedError
            If the certificate does not hold.
        """
        piece, decay = self.piece_at(beta), float(beta)
        try:
            return self._problem.certified(self._states[piece], decay, decay)
        except NotCertifiedError:
            if not piece or decay < self.betas[piece - 1] * (1 - _SAME):
                raise
            # Nearer to the event than rounding; below it kinks may turn fast where points are close.
            return self._problem.certified(self._states[piece - 1], decay, float(self.betas[piece - 1]))


@dataclass(frozen=True, eq=False)
class _State:
    """An active set, and the optimal spline with it at one weight decay, with its rate of change.

    ``height`` is that of the beam's end, less its level, and ``drift`` its rate.
    """

    spline: Spline
    at: float
    values: FloatArray
    rates: FloatArray
    height: float
    drift: float

    def solution(self, beta: float) -> tuple[FloatArray, float]:
        """Knot values and height at another weight decay."""
        step = beta - self.at
        return self.values + step * self.rates, self.height + step * self.drift


@result
class _Family:
    """One problem at any weight decay; ``last`` is where the path stops."""

    x: FloatArray
    labels: FloatArray | float
    mean_target: float
    activation: Activation
    skip: bool
    last: LineProblem = field(compare=False)

    @cached_property
    def corners(self) -> tuple[float, ...]:
        """Weight decays at which the interval of the beam's end changes its rate."""
        counts = self.last.counts
        if self.last.activation == "abs" or self.last.skip or self.last.targets is not None:
            return ()
        inner = float(counts[1:-1].max(initial=0.0))
        return inner, inner - float(max(counts[0], counts[-1]))

    @cached_property
    def first_tube(self) -> Tube:
        """One to take over from what does not depend on the weight decay."""
        return tube_of(self.last)

    def tube(self, beta: float) -> Tube:
        """The tube at a weight decay."""
        return tube_of(self.last.at(beta), self.first_tube)

    def rate(self, beta: float) -> Tube:
        """The derivative of the tube just below a weight decay: everything in it is affine in between."""
        below = max((corner for corner in self.corners if corner < beta * (1 - _SAME)), default=0.0)
        lower = beta - 0.5 * (beta - below)
        one, two = self.tube(lower), self.tube(beta)
        unit = one.unit * one.score_unit
        # In units of the tube the rates of the end are whole numbers.
        ends = [round((b - a) / (beta - lower) * unit) / unit for a, b in zip(one.end, two.end, strict=True)]
        none = np.zeros(len(one.points))
        width = (two.half_width - one.half_width) / (beta - lower)
        return replace(two, centre=none, half_width=width, targets=none, level=0.0, end=(ends[0], ends[1]))

    def certified(self, state: _State, beta: float, at: float) -> UnivariateScore:
        """The spline of ``at``, which is ``beta`` or the event next to it, certified for ``beta``."""
        line, claim, verdict = self.checked(state, beta, at)
        return certified_fit(line, claim, verdict)

    def checked(self, state: _State, beta: float, at: float) -> tuple[LineProblem, SplineClaim, Verdict]:
        """What `certified` makes a fit of; raises NotCertifiedError if the state has another score."""
        line, tube = self.last.at(beta), self.tube(beta)
        spline = state.spline.again(tube, min(state.spline.state, len(tube.chain) - 1))
        claim = claim_from_spline(line, tube, spline, *state.solution(at))
        sharp, verdict = sharpened(line, claim)
        missed = np.abs(rounded(values_at(line, sharp, claim.knots, exactly=False)) - claim.values)
        if not (verdict.certificate.holds and (missed <= _MISSED * sizes_at_knots(line, claim)).all()):
            raise NotCertifiedError(
                f"the path could not be certified at beta = {beta}: {verdict.certificate}"
            )
        return line, sharp, verdict


@dataclass(frozen=True, eq=False)
class _Slack:
    """Everything that must not become negative on a piece, at one weight decay, with its rate of change."""

    now: FloatArray
    rate: FloatArray
    noise: FloatArray

    def fits(self, at: float) -> bool:
        """Whether nothing is negative, but for rounding; that of an event is steep where points are close."""
        return bool((self.now - np.minimum(self.rate, 0.0) * _SAME * at >= -self.noise).all())

    def reach(self, at: float, direction: int) -> FloatArray:
        """The weight decays at which each slack vanishes, going down (-1) or up (+1)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.where(direction * self.rate < 0, np.maximum(self.now, 0.0) / np.abs(self.rate), np.inf)
        return at + direction * step


def solution_path(
    x: ArrayLike,
    *,
    down_to: float,
    activation: Activation = "relu",
    skip: bool = False,
    progress: bool = False,
) -> SolutionPath:
    r"""Return all optimal scores of `score_matching` for weight decays from ``down_to`` to infinity.

    Parameters
    ----------
    x : array of shape (n,)
        The data, at least two distinct points; any order, ties allowed.
    down_to : float
        Where to stop, at least the threshold of `score_matching`.
    activation : {"relu", "abs"}
    skip : bool
    progress : bool
        Whether to show a bar that counts pieces; how many there will be is not known.

    Returns
    -------
    SolutionPath

    Raises
    ------
    ValueError
        As for `score_matching` with weight decay ``down_to``, or if all points are the same.
    NotCertifiedError
        If a piece does not pass its certificate.  Points closer to each other than 1e-4 of the spread can
        cause that, where `score_matching` still succeeds at a single weight decay.

    Examples
    --------
    Two points.  From infinity down to 2 the score is zero; below it is a line.

    >>> path = solution_path([-1.0, 1.0], down_to=1.0)
    >>> path.betas.tolist()
    [2.0, 1.0]
    >>> path(1.5).value
    -0.0625
    """
    return _follow(Sample.of(x), down_to, activation, skip, Bar(progress, "solution_path", "piece"))


def denoising_path(
    x_noisy: ArrayLike,
    targets: ArrayLike,
    *,
    down_to: float,
    activation: Activation = "relu",
    skip: bool = False,
    progress: bool = False,
) -> SolutionPath:
    r"""Return all optimal scores of `denoising_score_matching` for weight decays from ``down_to`` on.

    Parameters
    ----------
    x_noisy, targets : arrays of shape (n,)
        As for `denoising_score_matching`; at least two distinct points.
    down_to : float
        Where to stop, positive.
    activation : {"relu", "abs"}
    skip : bool
    progress : bool
        Whether to show a bar that counts pieces; how many there will be is not known.

    Returns
    -------
    SolutionPath

    Raises
    ------
    ValueError
        As for `denoising_score_matching`, or if all points are the same.
    NotCertifiedError
        If a piece does not pass its certificate.

    Examples
    --------
    >>> path = denoising_path([-1.0, 1.0], [1.0, -1.0], down_to=0.5)
    >>> path(1.0).value
    0.75
    """
    sample = Sample.of(x_noisy, not_none(targets))
    return _follow(sample, down_to, activation, skip, Bar(progress, "denoising_path", "piece"))


def _follow(sample: Sample, down_to: float, activation: Activation, skip: bool, bar: Bar) -> SolutionPath:
    """Go down from event to event."""
    stop = as_positive(down_to, "down_to")
    last = LineProblem(sample, stop, as_activation(activation), as_flag(skip, "skip"))
    if len(sample.points) < 2:
        raise ValueError("a path needs at least two distinct points; got one")
    check_minimum(last)
    problem = _Family(sample.x, sample.labels, sample.mean_target, activation, skip, last)
    states: list[_State] = []
    pieces: list[Piece] = []
    high = np.inf
    with bar:
        for state, low in _walk(problem, stop):
            top = high if np.isfinite(high) else state.at
            for beta in (max(low, top * (1 - _SAME)), (top + low) / 2, low):
                problem.checked(state, beta, beta)
            spline = state.spline
            knots, turns = sample.points[spline.touching], spline.sign.astype(np.int64)
            pieces.append(Piece(high, low, knots, turns, _name(spline)))
            states.append(state)
            high = low
            bar.done(note=f"beta = {low:.3g}")
    return SolutionPath(tuple(pieces), tuple(states), problem)


def _name(spline: Spline) -> int:
    """The state of the end on the scale from -2 to 2."""
    return (spline.state - len(spline.tube.chain) // 2) * (2 if len(spline.tube.chain) == 3 else 1)


def _walk(problem: _Family, stop: float) -> Iterator[tuple[_State, float]]:
    """Yield every active set with the weight decay at which it ends."""
    state, slack = _straight(problem, stop)
    for _ in range(_MAX_EVENTS_PER_POINT * len(state.spline.tube.points)):
        ends = slack.reach(state.at, -1)
        corner = max((c for c in problem.corners if c < state.at * (1 - _SAME)), default=0.0)
        low = max(float(ends.max(initial=0.0)), corner)
        if low <= stop * (1 + _SAME):
            yield state, stop
            return
        yield state, low
        state, slack = _next(problem, state, ends, low)
    raise NotCertifiedError(f"the path has too many events; it stands at beta = {state.at}")


def _straight(problem: _Family, stop: float) -> tuple[_State, _Slack]:
    """A score without kinks that fits into the tube, at a weight decay large enough for it."""
    beta = stop
    for _ in range(_MAX_DOUBLINGS):
        beta *= 2
        tube = problem.tube(beta)
        for state, end in enumerate(tube.chain):
            if len(tube.chain) == 1 or not end.fixed:
                found, slack = _state_at(problem, np.zeros(len(tube.points) - 2, np.int8), state, beta)
                if slack.fits(beta) and not np.any(found.rates):
                    return found, slack
    raise NotCertifiedError(f"no weight decay up to {beta} straightens the score")


def _state_at(problem: _Family, side: np.ndarray, end: int, beta: float) -> tuple[_State, _Slack]:
    """Minimise for one active set, and measure what must not become negative, with all rates below beta."""
    tube, rate = problem.tube(beta), problem.rate(beta)
    spline, moving = Spline.on_sides(tube, side, end), Spline.on_sides(rate, side, end)
    values, offset = spline.minimise()
    rates, drift = moving.minimise()
    now, size = _slacks(spline, values, offset, tube.chain[end].lean)
    change, _ = _slacks(moving, rates, drift, tube.chain[end].lean)
    state = _State(spline, beta, values, rates, offset, drift)
    return state, _Slack(now, change, _ROUNDING * size)


def _slacks(spline: Spline, values: FloatArray, offset: float, lean: int) -> tuple[FloatArray, FloatArray]:
    """What must not become negative, and the size of the numbers that each is a difference of.

    In this order: kinks times their sign, guards of a fixed end, the two bounds of a free end, and the top
    and the bottom of the tube at the points that the beam does not touch.  All are linear in the arguments
    and the tube, so that they serve for rates as well.
    """
    tube, end = spline.tube, spline.end
    kinks = spline.sign * spline.bends(values)
    large = np.abs(values)
    steep = (large[:-1] + large[1:]) / spline.spans
    guards = [(float(g @ values), float(np.abs(g) @ large)) for g in spline.guards.values()]
    free = [] if end.fixed else [offset - end.low, end.high - offset]
    heights = tube.heights(tube.targets - spline.at_data(values))
    e = (heights - tube.centre)[1:-1]
    shift = [tilt * offset for tilt in tube.tilts]
    upper, lower = (shift[0], shift[-1]) if lean >= 0 else (shift[-1], shift[0])
    radius = tube.half_width[1:-1]
    untouched = spline.side == 0
    top, bottom = (upper + radius - e)[untouched], (e - lower + radius)[untouched]
    room = float(np.max(np.abs(heights), initial=abs(tube.level)) + np.max(tube.half_width))
    now = np.concatenate([kinks, [g for g, _ in guards], free, top, bottom])
    size = np.concatenate(
        [steep[:-1] + steep[1:], [s for _, s in guards], np.full(len(free) + 2 * len(top), room)]
    )
    return now, size


def _changes(spline: Spline) -> list[tuple[int, int, int]]:
    """For every slack, in the same order, what its vanishing does: (point, side), or a move of the end."""
    kinks = [(int(j) - 1, 0, 0) for j in spline.touching]
    steps = list(spline.guards) if spline.end.fixed else [-1, 1]
    untouched = np.flatnonzero(spline.side == 0).tolist()
    return (
        kinks
        + [(-1, 0, step) for step in steps]
        + [(j, 1, 0) for j in untouched]
        + [(j, -1, 0) for j in untouched]
    )


def _next(problem: _Family, state: _State, ends: FloatArray, beta: float) -> tuple[_State, _Slack]:
    """The active set below an event."""
    spline = state.spline
    changes = _changes(spline)
    due = [changes[i] for i in np.flatnonzero(ends >= beta * (1 - _SAME))]
    side, end = spline.side.copy(), spline.state
    for point, touches, move in due:
        if move:
            end += move
        else:
            side[point] = touches
    if end in range(len(spline.tube.chain)):
        found, slack = _state_at(problem, side, end, beta)
        if slack.fits(beta) and slack.reach(beta, -1).max(initial=0.0) < beta * (1 - _SAME):
            return found, slack
    return _search(problem, state, beta)


def _search(problem: _Family, state: _State, beta: float) -> tuple[_State, _Slack]:
    """Where much happens at once: solve below the event, as near as it takes to leave nothing out."""
    for stride in _STRIDES:
        below = beta * (1 - stride)
        tube = problem.tube(below)
        start = Spline.on_sides(tube, state.spline.side, state.spline.state)
        for spline, _, _ in descend(start, start.minimise()[1]):
            side, end = spline.side, spline.state
        found, slack = _state_at(problem, side, end, below)
        if slack.fits(below) and slack.reach(below, 1).min(initial=np.inf) >= beta * (1 - _SAME):
            return found, slack
    raise NotCertifiedError(f"the path could not be continued below beta = {beta}")
