r"""Polish a nearly optimal beam to machine precision.

Once it is known which points of the tube the beam touches, and from which side, the fitted score is a linear
spline with kinks at exactly those points, and the training loss is a quadratic in its knot values whose
matrix is tridiagonal.  `polish` minimises that quadratic, and corrects the set of touching points.  First it
leaps: it holds the end of the beam, changes all that is wrong at once until nothing is, and moves the end by
Newton's method.  Where that fails, it walks from spline to spline, always downhill and never letting a kink
take the wrong sign, until no constraint of the dual is violated.

The end of the beam has a state of its own.  Seen from below, :math:`g_1` is at its lower bound, free, level
(at n, or at 0 for denoising, where ReLU networks have a corner), free, or at its upper bound; a skip
connection leaves one state only.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg.lapack import dptsv

from ._passes import functional, interpolated, second_moments, shared, worst_outside
from ._validation import FloatArray
from .beam import Beam, Tube

__all__ = ["End", "Spline", "descend", "end_states", "first_spline", "polish"]

_MAX_ROUNDS = 2000
_MAX_LEAPS = 100
_MAX_STALLED = 10
_MAX_HEIGHTS = 30


@dataclass(frozen=True)
class End:
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


def end_states(tube: Tube) -> list[End]:
    """Return all states of the end, from low to high.

    Examples
    --------
    >>> import numpy as np
    >>> from convexdiff_lib.beam import score_matching_tube
    >>> tube = score_matching_tube(np.arange(3.0), np.ones(3), 2.0, activation="abs", skip=False)
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


class Spline:
    """The quadratic programme for one set of touching points and one state of the end.

    Parameters
    ----------
    tube : Tube
    side : int array of shape (m - 2,)
        For every interior point +1 where the beam touches the top of the tube, -1 at the bottom, else 0.
    chain : list of End
        From `end_states`.
    state : int
        Index into the chain.

    Examples
    --------
    Three points, none touching, the end at its lower bound: a line.

    >>> import numpy as np
    >>> from convexdiff_lib.beam import score_matching_tube
    >>> tube = score_matching_tube(np.arange(3.0), np.ones(3), 2.0, activation="relu", skip=False)
    >>> spline = Spline(tube, np.zeros(1, dtype=np.int8), end_states(tube), 0)
    >>> values, offset = spline.minimise()
    >>> values.round(6).tolist(), offset
    ([0.75, -0.75], -2.0)
    """

    def __init__(self, tube: Tube, side: np.ndarray, chain: list[End], state: int) -> None:
        self.tube, self.side, self.chain, self.state = tube, side, chain, state
        self.touching = np.flatnonzero(side != 0) + 1
        self.knots = np.concatenate([[0], self.touching, [len(tube.points) - 1]])
        self.sign = side[self.touching - 1].astype(np.float64)
        self.spans = tube.distance(self.knots[:-1], self.knots[1:])

    def again(self, tube: Tube, chain: list[End], state: int) -> Spline:
        """The same touching points in another tube of the same points, or with another end."""
        twin = copy(self)
        twin.tube, twin.chain, twin.state = tube, chain, state
        twin.__dict__.pop("guards", None)
        return twin

    @property
    def end(self) -> End:
        """The state of the end."""
        return self.chain[self.state]

    @cached_property
    def moments(self) -> tuple[FloatArray, FloatArray]:
        """Diagonal and off-diagonal of the matrix of the sum of squares."""
        return second_moments(self.tube.points, self.tube.counts, self.knots)

    @cached_property
    def guards(self) -> dict[int, FloatArray]:
        """What must not become negative for a fixed end to stay, by the step that it would make.

        It stays put while the lift seen from below is not negative, and that seen from above is not positive.
        """
        if not self.end.fixed:
            return {}
        below, above = self.state - 1, self.state + 1
        guards = {-1: self.lift(self.chain[below].lean)} if below >= 0 else {}
        return guards | ({1: -self.lift(self.chain[above].lean)} if above < len(self.chain) else {})

    def lift(self, lean: int) -> FloatArray:
        """The slope that is left for the neurons at the two ends, as a functional of the knot values."""
        if len(self.tube.tilts) == 1:
            return functional(self.spans, 1.0, np.full(len(self.sign), self.tube.tilts[0]))
        return functional(self.spans, 1.0, (self.sign * lean < 0).astype(np.float64))

    def slopes(self, values: FloatArray) -> FloatArray:
        """Slopes between the knots."""
        return _diff(values) / self.spans

    def at_data(self, values: FloatArray) -> FloatArray:
        """Values at all distinct points."""
        return interpolated(self.tube.points, self.knots, values)

    def at(self, values: FloatArray, index: np.ndarray) -> FloatArray:
        """Values at some of the distinct points."""
        return np.interp(self.tube.points[index], self.tube.points[self.knots], values)

    def beam(self, values: FloatArray) -> Beam:
        """The beam whose score has these knot values."""
        slopes = self.slopes(values)
        z = self.tube.targets - self.at_data(values)
        return Beam(self.touching, np.diff(slopes), float(slopes[0]), z)

    def minimise(self) -> tuple[FloatArray, float]:
        """Return the knot values of the best spline, and the height of the beam's end."""
        tube = self.tube
        kink_cost = tube.centre[self.touching] + self.sign * tube.half_width[self.touching]
        lift = self.lift(self.end.lean)
        sides = np.empty((len(self.knots), 2), order="F")
        sides[:, 0] = -functional(self.spans, tube.level, kink_cost)
        sides[:, 1] = -lift
        if tube.has_targets:
            sides[:, 0] += shared(tube.points, tube.pulls, self.knots)
        *_, solution, failed = dptsv(*self.moments, sides)
        base, response = solution.T if not failed else np.full((2, len(self.knots)), np.nan)
        if self.end.fixed:
            return base + self.end.low * response, self.end.low
        offset = -float(lift @ base) / float(lift @ response)
        return base + offset * response, offset


def polish(tube: Tube, start: Beam, offset: float) -> Iterator[Beam]:
    """Yield ever better candidates; the last one is exact to rounding, unless the rounds ran out.

    Parameters
    ----------
    tube : Tube
    start : Beam
        From `convexdiff_lib.beam.solve_beam`.
    offset : float
        The height of its end.

    Yields
    ------
    Beam

    Examples
    --------
    The line -x/2, whose slope is -2 per squared unit of length: the unit is 2 here.

    >>> import numpy as np
    >>> from convexdiff_lib.beam import score_matching_tube, solve_beam
    >>> tube = score_matching_tube(np.array([-1.0, 1.0]), np.ones(2), beta=1.0, activation="relu", skip=False)
    >>> [beam.first_slope for beam in polish(tube, *solve_beam(tube))]
    [-2.0]
    """
    for spline, values, _ in descend(first_spline(tube, start, offset), offset):
        yield spline.beam(values)


def first_spline(tube: Tube, start: Beam, offset: float) -> Spline:
    """Read off a nearly optimal beam which points touch, and in which state its end is.

    Examples
    --------
    >>> import numpy as np
    >>> from convexdiff_lib.beam import score_matching_tube, solve_beam
    >>> tube = score_matching_tube(np.array([-1.0, 1.0]), np.ones(2), beta=1.0, activation="relu", skip=False)
    >>> first_spline(tube, *solve_beam(tube)).knots.tolist()
    [0, 1]
    """
    chain = end_states(tube)
    state = nearest_state(chain, offset, tube.scale)
    return Spline(tube, _touching(tube, start, offset), chain, state)


def descend(spline: Spline, height: float) -> Iterator[tuple[Spline, FloatArray, float]]:
    """Walk downhill from one spline to the next; the last one is exact to rounding, as for `polish`.

    Parameters
    ----------
    spline : Spline
        Where to start.
    height : float
        About where the beam's end is, less its level.

    Yields
    ------
    spline, knot values, height

    Examples
    --------
    >>> import numpy as np
    >>> from convexdiff_lib.beam import score_matching_tube
    >>> tube = score_matching_tube(np.arange(3.0), np.ones(3), 2.0, activation="relu", skip=False)
    >>> start = Spline(tube, np.zeros(1, dtype=np.int8), end_states(tube), 0)
    >>> [values.round(6).tolist() for _, values, _ in descend(start, -2.0)]
    [[0.75, -0.75]]
    """
    right, spline, values, height = _leap(spline, height)
    if right:
        yield spline, values, height
    else:
        yield from _walk(spline, values)


def _walk(spline: Spline, values: FloatArray) -> Iterator[tuple[Spline, FloatArray, float]]:
    """Go downhill, one thing at a time where need be; no kink may have the wrong sign to begin with."""
    tube, chain, state, side = spline.tube, spline.chain, spline.state, spline.side
    careful, caution = 0, 4  # rounds left in which one thing is changed at a time
    for _ in range(_MAX_ROUNDS):
        target, offset = spline.minimise()
        step, blocked, move = _longest_step(spline, values, target)
        if step < 1:
            if step == 0:
                caution *= 2  # in the end this lasts for ever, so that no circle does
                careful = caution
            values = values + step * (target - values)
            side = side.copy()
            side[spline.touching[blocked] - 1] = 0
            state += move
        else:
            values = target
            yield spline, values, offset
            found = conflicts(spline, values, offset)
            entering, its_side = found.entering, found.side
            if careful and len(entering):
                worst = [int(np.argmax(found.excess))]
                entering, its_side = entering[worst], its_side[worst]
            move = 0 if spline.end.fixed else move_of_end(spline, values, offset)
            if not len(entering) and not move:
                return
            side = side.copy()
            if not (careful and move):  # one change at a time, or two could undo each other for ever
                side[entering] = its_side
            state += move
            careful = max(0, careful - 1)
        before, spline = spline, Spline(tube, side, chain, state)
        values = before.at(values, spline.knots)


def _leap(spline: Spline, height: float) -> tuple[bool, Spline, FloatArray, float]:
    """Find the height of the beam's end by Newton's method, and at each height what touches.

    The optimum is a concave function of the height at which the end is held, and its slope there is the lift.
    What touches at one height proposes the next: the height at which its own lift is nil.  The proposal is
    kept between heights of opposite lift.

    Returns whether nothing is wrong, the spline, its knot values and the height.  If something is wrong, the
    values are no minimiser, but no kink has the wrong sign.
    """
    tube, chain, state = spline.tube, spline.chain, spline.state
    low, high = chain[0].low, chain[-1].high
    low_state, high_state = 0, len(chain) - 1
    for attempt in range(_MAX_HEIGHTS):
        values, proposal = spline.minimise()
        if _is_right(spline, values, proposal):
            return True, spline, values, proposal
        if attempt and not spline.end.fixed:
            height = proposal
            if height >= spline.end.high and state < high_state:
                state += 1
            elif height <= spline.end.low and state > low_state:
                state -= 1
        end = chain[state]
        if end.fixed:
            height = end.low
        else:
            low, high = max(low, end.low), min(high, end.high)
            height = height if low < height < high else (low + high) / 2
        held, values, wrong = _settle(spline.again(tube, [replace(end, low=height, high=height)], 0))
        if wrong is not None:
            side = held.side.copy()
            side[wrong] = 0
            spline = Spline(tube, side, chain, state)
            break
        spline = held.again(tube, chain, state)
        if end.fixed:
            move = move_of_end(spline, values, height)
        else:
            move = 1 if spline.lift(end.lean) @ values > 0 else -1
        if not move:
            return True, spline, values, height
        if move > 0:
            low, low_state = height, state + int(end.fixed)
        else:
            high, high_state = height, state - int(end.fixed)
        if end.fixed:
            state += move
            spline = held.again(tube, chain, state)
    return False, spline, _starting_values(spline, held.beam(values)), height


def _is_right(spline: Spline, values: FloatArray, height: float) -> bool:
    """Whether no kink has the wrong sign, no point is outside the tube, and the end may stay."""
    return not (move_of_end(spline, values, height) or conflicts(spline, values, height).number)


def _diff(values: np.ndarray) -> np.ndarray:
    """What np.diff returns, without its overhead, which a few hundred rounds would feel."""
    return values[1:] - values[:-1]


def _settle(spline: Spline) -> tuple[Spline, FloatArray, np.ndarray | None]:
    """Change all kinks that are wrong at once, as long as that makes less and less of it.

    Between neighbouring kinks one point at most enters on either side, as in Remez' exchange.  Returns the
    best spline, its knot values, and its kinks of the wrong sign; or None if nothing at all is wrong.
    """
    fewest, stalled = np.inf, 0
    for _ in range(_MAX_LEAPS):
        target, offset = spline.minimise()
        found = conflicts(spline, target, offset)
        if not found.number:
            return spline, target, None
        stalled += 1
        if found.number < fewest:
            fewest, stalled = found.number, 0
            best = spline, target, found.wrong
        if stalled > _MAX_STALLED:
            break
        spline = found.mended(spline)
    return best


@dataclass(frozen=True)
class Conflicts:
    """What is wrong with a spline: kinks of the wrong sign, and points outside the tube.

    ``wrong`` and ``entering`` are interior points.  Of those outside, between neighbouring kinks and on
    either side, only the worst enters, from its ``side``, being outside by ``excess``; ``number`` counts all.
    """

    wrong: np.ndarray
    entering: np.ndarray
    side: np.ndarray
    excess: FloatArray
    number: int

    def mended(self, spline: Spline) -> Spline:
        """Drop what is wrong and let in what enters."""
        side = spline.side.copy()
        side[self.wrong] = 0
        side[self.entering] = self.side
        return Spline(spline.tube, side, spline.chain, spline.state)


def conflicts(spline: Spline, target: FloatArray, offset: float) -> Conflicts:
    """Compare the signs of the kinks, and the beam with its tube."""
    tube = spline.tube
    wrong = spline.touching[spline.sign * _diff(spline.slopes(target)) < 0] - 1
    held = min(max(offset, tube.end[0]), tube.end[1])
    shift = [tilt * held for tilt in tube.tilts]
    number, entering, side, excess = worst_outside(
        tube.points,
        tube.counts,
        tube.targets,
        tube.centre,
        tube.half_width,
        tube.unit,
        spline.knots,
        target,
        (max(shift), min(shift)),
        1e-10 * tube.scale + tube.rounding,  # above rounding, below what a certificate forgives
    )
    return Conflicts(wrong, entering - 1, side, excess, number + len(wrong))


def move_of_end(spline: Spline, target: FloatArray, offset: float) -> int:
    """Where the state of the end has to go: down, up or nowhere."""
    if spline.end.fixed:
        return next((step for step, guard in spline.guards.items() if guard @ target < 0), 0)
    return int(offset > spline.end.high) - int(offset < spline.end.low)


def nearest_state(chain: list[End], offset: float, scale: float) -> int:
    """The state of the interior-point answer: a fixed one if it is near, else the free one around it."""
    near = 1e-6 * (chain[-1].high - chain[0].low) + 1e-12 * scale
    for i, end in enumerate(chain):
        if end.fixed and abs(offset - end.low) <= near:
            return i
    for i, end in enumerate(chain):
        if end.low <= offset <= end.high:
            return i
    return 0 if offset < chain[0].low else len(chain) - 1


def _touching(tube: Tube, start: Beam, offset: float) -> np.ndarray:
    """Guess which interior points touch the tube (+1 top, -1 bottom, 0 none): multiplier against slack."""
    low, high = tube.bounds(offset)
    e = (tube.heights(start.z) - tube.centre)[1:-1]
    kinks = np.zeros(len(e))
    kinks[start.knots - 1] = start.kinks
    # Slopes are of order one where slack is of order ``scale``: that is how the units are chosen.
    top = kinks > np.maximum(high - e, 0.0) / tube.scale
    bottom = -kinks > np.maximum(e - low, 0.0) / tube.scale
    return top.astype(np.int8) - bottom.astype(np.int8)


def _starting_values(spline: Spline, start: Beam) -> FloatArray:
    """The interior-point spline without its tiny kinks, its first slope made to fit the state of the end."""
    kinks = np.zeros(len(spline.tube.points))
    kinks[start.knots] = start.kinks
    slopes = start.first_slope + np.concatenate([[0.0], np.cumsum(kinks[spline.touching])])
    values = np.concatenate([[0.0], np.cumsum(slopes * spline.spans)])
    # This adds one to the first slope and to the lift.
    ramp = spline.tube.distance(np.zeros_like(spline.knots), spline.knots)
    if not spline.end.fixed:
        return values - float(spline.lift(spline.end.lean) @ values) * ramp
    for step, guard in spline.guards.items():
        values = values + step * min(0.0, float(guard @ values)) * ramp
    return values


def _longest_step(spline: Spline, values: FloatArray, target: FloatArray) -> tuple[float, np.ndarray, int]:
    """How far one can go towards the target before a kink or the end changes sign; and what stops it.

    Returns the step, which touching points stop it, and the move of the end's state if the end does.
    """
    steps = list(spline.guards)
    ahead = [_guarded(spline, v, steps) for v in (values, target)]
    now, then = np.maximum(ahead[0], 0.0), ahead[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(then < 0, now / (now - then), np.inf)
    step = float(room.min(initial=np.inf))
    if step >= 1:
        return 1.0, np.zeros(len(spline.sign), dtype=bool), 0
    kinks, ends = np.split(room <= step, [len(spline.sign)])
    return step, kinks, steps[int(np.argmax(ends))] if ends.any() else 0


def _guarded(spline: Spline, values: FloatArray, steps: list[int]) -> FloatArray:
    """Everything that must not become negative: kinks times their sign, then the guards of the end."""
    kinks = spline.sign * np.diff(spline.slopes(values))
    return np.concatenate([kinks, [float(spline.guards[step] @ values) for step in steps]])
