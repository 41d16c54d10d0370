r"""Polish a nearly optimal beam to machine precision.

Once it is known which points of the tube the beam touches, and from which side, the fitted score is a linear
spline with kinks at exactly those points, and the training loss is a quadratic in its knot values whose
matrix is tridiagonal.  `descend` minimises that quadratic, and corrects the set of touching points.  First it
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
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._validation import FloatArray
from ._exchange import (
    Sums,
    bends,
    best_values,
    changed,
    gathered,
    leap,
    lift,
    move_of_end,
    spans,
    wrongs,
)
from ._passes import interpolated
from .beam import Beam, End, Tube

__all__ = ["Spline", "descend", "first_spline", "nearest_state"]

_MAX_ROUNDS = 2000


class Spline:
    """The quadratic programme for one set of touching points and one state of the end.

    Parameters
    ----------
    tube : Tube
    knots : int array of shape (K + 2,)
        The points that touch, in increasing order, between the first point and the last.
    sign : array of shape (K,)
        For each that touches +1 where the beam touches the top of the tube, -1 at the bottom.
    state : int
        Of the end: an index into the tube's chain.

    Examples
    --------
    Three points, none touching, the end at its lower bound: a line.

    >>> from convexdiff_lib.line.problem import line_problem
    >>> import numpy as np
    >>> from convexdiff_lib.line.beam import tube_of
    >>> tube = tube_of(line_problem(range(3), 2.0))
    >>> spline = Spline.on_sides(tube, np.zeros(1, dtype=np.int8), 0)
    >>> values, offset = spline.minimise()
    >>> values.round(6).tolist(), offset
    ([0.75, -0.75], -2.0)
    """

    def __init__(self, tube: Tube, knots: np.ndarray, sign: FloatArray, state: int) -> None:
        self.tube, self.knots, self.sign, self.state = tube, knots, sign, state

    @classmethod
    def on_sides(cls, tube: Tube, side: np.ndarray, state: int) -> Spline:
        """From the sides: for every interior point +1 at the top, -1 at the bottom, else 0."""
        touching = np.flatnonzero(side)
        knots = np.concatenate([[0], touching + 1, [len(side) + 1]])
        return cls(tube, knots, side[touching].astype(np.float64), state)

    def again(self, tube: Tube, state: int) -> Spline:
        """The same touching points in another tube of the same points and targets, or with another end."""
        twin = copy(self)
        twin.tube, twin.state = tube, state
        return twin

    def changed(self, leaving: np.ndarray, entering: np.ndarray, side: FloatArray) -> Spline:
        """Let go of what is marked among the touching points, and add others, on their sides."""
        all_of_them = np.ones(len(entering), dtype=np.bool_)
        knots, sign = changed(self.knots, self.sign, leaving, entering, side, all_of_them)
        return Spline(self.tube, knots, sign, self.state)

    @property
    def touching(self) -> np.ndarray:
        """The interior points that touch."""
        return self.knots[1:-1]

    @property
    def side(self) -> np.ndarray:
        """For every interior point the side on which it touches, or 0."""
        side = np.zeros(len(self.tube.points) - 2, dtype=np.int8)
        side[self.touching - 1] = self.sign
        return side

    @property
    def end(self) -> End:
        """The state of the end."""
        return self.tube.chain[self.state]

    @cached_property
    def spans(self) -> FloatArray:
        """Lengths of the pieces."""
        return spans(self.tube.points, float(self.tube.unit), self.knots)

    @cached_property
    def sums(self) -> Sums:
        """What the loss needs of the data."""
        return gathered(self.tube.problem, self.knots)

    @property
    def guards(self) -> dict[int, FloatArray]:
        """What must not become negative for a fixed end to stay, by the step that it would make.

        It stays put while the lift seen from below is not negative, and that seen from above is not positive.
        """
        if not self.end.fixed:
            return {}
        below, above = self.state - 1, self.state + 1
        guards = {-1: self.lift(self.tube.chain[below].lean)} if below >= 0 else {}
        return guards | ({1: -self.lift(self.tube.chain[above].lean)} if above < len(self.tube.chain) else {})

    def lift(self, lean: int) -> FloatArray:
        """The slope that is left for the neurons at the two ends, as a functional of the knot values."""
        tilts = self.tube.tilts
        return lift(self.spans, self.sign, float(lean), tilts[0], tilts[-1])

    def bends(self, values: FloatArray) -> FloatArray:
        """Changes of slope at the touching points."""
        return bends(self.spans, values)[1]

    def at_data(self, values: FloatArray) -> FloatArray:
        """Values at all distinct points."""
        return interpolated(self.tube.points, self.knots, values)

    def at(self, values: FloatArray, index: np.ndarray) -> FloatArray:
        """Values at some of the distinct points."""
        return np.interp(self.tube.points[index], self.tube.points[self.knots], values)

    def beam(self, values: FloatArray) -> Beam:
        """The beam whose score has these knot values."""
        first_slope, changes = bends(self.spans, values)
        return Beam(self.touching, changes, first_slope, self.tube.targets - self.at_data(values))

    def minimise(self) -> tuple[FloatArray, float]:
        """Return the knot values of the best spline, and the height of the beam's end."""
        end = np.array(self.end, dtype=np.float64)
        values, height = best_values(self.tube.problem, self.knots, self.sign, end, self.sums)
        return values, float(height)

    def conflicts(self, values: FloatArray, height: float) -> Conflicts:
        """Compare the signs of the kinks, the beam with its tube, and its end with its state."""
        tube, sign = self.tube, self.sign
        number, turned, where, side, excess = wrongs(tube.problem, self.knots, sign, values, height)
        tilts = (tube.tilts[0], tube.tilts[-1])
        move = move_of_end(tube.states, self.state, tilts, self.spans, sign, values, height)
        return Conflicts(number, turned, where, side, excess, move)


@dataclass(frozen=True, eq=False)
class Conflicts:
    """What is wrong with a spline: kinks of the wrong sign, points outside the tube, and its end.

    ``turned`` marks touching points.  Of those outside, between neighbouring kinks and on either side, only
    the worst enters, on its ``side``, being outside by ``excess``; ``number`` counts all, and the kinks.
    ``move`` says where the state of the end has to go: down, up or nowhere.
    """

    number: int
    turned: np.ndarray
    entering: np.ndarray
    side: FloatArray
    excess: FloatArray
    move: int


def first_spline(tube: Tube, start: Beam, offset: float) -> Spline:
    """Read off a nearly optimal beam which points touch, and in which state its end is.

    Examples
    --------
    >>> from convexdiff_lib.line.problem import line_problem
    >>> import numpy as np
    >>> from convexdiff_lib.line.beam import solve_beam, tube_of
    >>> tube = tube_of(line_problem([-1.0, 1.0], 1.0))
    >>> first_spline(tube, *solve_beam(tube)).knots.tolist()
    [0, 1]
    """
    return Spline.on_sides(tube, _touching(tube, start, offset), nearest_state(tube, offset))


def descend(spline: Spline, height: float) -> Iterator[tuple[Spline, FloatArray, float]]:
    """Walk downhill from one spline to the next; the last is exact to rounding unless the rounds ran out.

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
    >>> from convexdiff_lib.line.problem import line_problem
    >>> import numpy as np
    >>> from convexdiff_lib.line.beam import tube_of
    >>> tube = tube_of(line_problem(range(3), 2.0))
    >>> start = Spline.on_sides(tube, np.zeros(1, dtype=np.int8), 0)
    >>> [values.round(6).tolist() for _, values, _ in descend(start, -2.0)]
    [[0.75, -0.75]]
    """
    tube, height = spline.tube, float(height)
    found = leap(tube.problem, tube.states, spline.knots, spline.sign, spline.state, height, spline.sums)
    right, knots, sign, state, sums, values, height, turned = found
    landed = Spline(tube, knots, sign, state)
    landed.sums = sums
    if right:
        yield landed, values, height
    else:
        none = np.zeros(0, dtype=np.int64)
        tame = landed.changed(turned, none, none.astype(np.float64))
        yield from _walk(tame, _starting_values(tame, landed.beam(values)))


def _walk(spline: Spline, values: FloatArray) -> Iterator[tuple[Spline, FloatArray, float]]:
    """Go downhill, one thing at a time where need be; no kink may have the wrong sign to begin with."""
    careful, caution = 0, 4  # rounds left in which one thing is changed at a time
    for _ in range(_MAX_ROUNDS):
        target, offset = spline.minimise()
        step, leaving, move = _longest_step(spline, values, target)
        entering, side = np.zeros(0, dtype=np.int64), np.zeros(0)
        if step < 1:
            if step == 0:
                caution *= 2  # in the end this lasts for ever, so that no circle does
                careful = caution
            values = values + step * (target - values)
        else:
            values = target
            yield spline, values, offset
            found = spline.conflicts(values, offset)
            move = 0 if spline.end.fixed else found.move
            if not len(found.entering) and not move:
                return
            if not (careful and move):  # one change at a time, or two could undo each other for ever
                entering, side = found.entering, found.side
            if careful and len(entering):
                worst = [int(np.argmax(found.excess))]
                entering, side = entering[worst], side[worst]
            careful = max(0, careful - 1)
        before = spline
        spline = before.changed(leaving, entering, side).again(before.tube, before.state + move)
        values = before.at(values, spline.knots)


def nearest_state(tube: Tube, offset: float) -> int:
    """The state of the end at a height: a fixed one if it is near, else the free one around it.

    Examples
    --------
    >>> from convexdiff_lib.line.problem import line_problem
    >>> import numpy as np
    >>> from convexdiff_lib.line.beam import tube_of
    >>> tube = tube_of(line_problem(range(3), 2.0))
    >>> [nearest_state(tube, height) for height in (-5.0, -2.0, -1.0, 0.0, 0.5, 1.0)]
    [0, 0, 1, 2, 3, 4]
    """
    chain = tube.chain
    near = 1e-6 * (chain[-1].high - chain[0].low) + 1e-12 * tube.scale
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
    kinks = spline.sign * spline.bends(values)
    return np.concatenate([kinks, [float(spline.guards[step] @ values) for step in steps]])
