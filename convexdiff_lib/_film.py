"""A figure that moves: panels with axes behind a slider, as one piece of HTML that loads nothing.

Python draws every frame.  A layer that moves is one SVG path with as many descriptions as there are frames,
and the script of the player, `_film.js`, only puts the right one in its place.  So the frame with which the
film begins is there where no script runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._validation import FloatArray, as_count, as_finite, as_points, as_positive

__all__ = ["Film", "Panel", "film"]

_Pixels = NDArray[np.int_]
_Draw = Callable[[_Pixels, _Pixels], str]

# Units of the drawing: a panel is 1280 wide, and about 330 pixels on the page.
_WIDE, _TALLEST = 1120, 1400
_LEFT, _EDGE, _HEAD, _FOOT, _LABEL = 130, 30, 84, 76, 60
_DOT = 28
_FAR = 3000  # farther out nothing is seen, and the numbers stay short

# The roles of `convexdiff_lib.plots`, which needs packages that a film does not.  What is exact, and what
# belongs to no role, has the colour of the text around it, so that a dark page works.
_ROLES = {
    "learned": ("#0173b2", 9, ""),
    "exact": ("currentColor", 6, "20 14"),
    "printed": ("#d55e00", 9, "26 12 6 12"),
    "trained": ("#de8f05", 5, ""),
    "bound": ("#029e73", 8, "6 12"),
    "plain": ("currentColor", 4, ""),
}

_STYLE = """
.film { max-width: 46rem; padding: 0 .6rem; }
.film p { margin: .3rem 0; }
.film .controls[hidden] { display: none; }
.film .controls { display: flex; align-items: center; gap: .8rem; }
.film .controls button { min-width: 4.5rem; padding: .2rem .6rem; font: inherit; color: inherit;
  background: transparent; border: 1px solid currentColor; border-radius: .3rem; cursor: pointer; }
.film .controls input { flex: 1; min-width: 6rem; margin: 0; }
.film .controls :focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
.film output { font-variant-numeric: tabular-nums; }
.film .panels { display: flex; flex-wrap: wrap; }
.film .panel { flex: 1 1 260px; max-width: 26rem; }
.film .panel > svg { width: 100%; height: auto; font: 48px sans-serif; }
.film text { fill: currentColor; stroke: none; }
.film .handle { cursor: grab; touch-action: none; }
.film .key { margin: 0 1rem 0 0; white-space: nowrap; font-size: .85em; }
.film .key svg { width: 2rem; height: .7rem; display: inline-block; vertical-align: middle;
  overflow: visible; }
@media print { .film .controls { display: none; } }
"""


@dataclass(frozen=True, eq=False)
class _Layer:
    """One path of a panel: its look, its description in every frame or in all, and how the key shows it."""

    look: str
    drawn: list[str]
    sample: str
    label: str

    def at(self, frame: int) -> str:
        return self.drawn[frame if self.moves else 0]

    @property
    def moves(self) -> bool:
        return len(self.drawn) > 1


class Panel:
    """The axes of a `film`, and what is drawn on them.

    Every method that draws takes places as arrays: one array holds for all frames, and a list of arrays, or a
    two-dimensional one, has one for each frame.

    Parameters
    ----------
    title : str
    x, y : (float, float)
        What the axes show, from where to where.
    xlabel, ylabel : str
    alt : str
        What there is to see, for readers who do not see it; the title unless given.
    equal : bool
        Whether a unit is as long on both axes.

    Raises
    ------
    ValueError
        If an interval has no length.

    Examples
    --------
    >>> panel = Panel("a turning line", x=(-1, 1), y=(-1, 1))
    >>> panel.line([-1, 1], [[-1, 1], [0, 0], [1, -1]])
    """

    def __init__(
        self,
        title: str,
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        xlabel: str = "",
        ylabel: str = "",
        alt: str = "",
        equal: bool = False,
    ) -> None:
        self.title, self.xlabel, self.ylabel, self.alt = title, xlabel, ylabel, alt or title
        self._x, self._y = _interval(x, "x"), _interval(y, "y")
        shape = (self._y[1] - self._y[0]) / (self._x[1] - self._x[0]) if equal else 0.62
        self._tall = round(min(_WIDE * shape, _TALLEST))
        self._layers: list[_Layer] = []
        self._words: list[str] = []
        self._handle: list[int] = []

    def line(self, x: ArrayLike, y: ArrayLike, role: str = "learned", label: str = "") -> None:
        """Draw a line; its role is one of ``ROLES`` of `convexdiff_lib.plots`, or ``"plain"``."""
        colour, width, dashes = _role(role)
        look = f'fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"'
        look += f' stroke-dasharray="{dashes}"' if dashes else ""
        self._add(x, y, label, look, _polyline, "M0 20h90")

    def region(self, x: ArrayLike, y: ArrayLike, role: str = "plain", label: str = "") -> None:
        """Fill what a closed line encloses, pale."""
        look = f'fill="{_role(role)[0]}" fill-opacity=".18"'
        self._add(x, y, label, look, lambda u, v: _polyline(u, v) + "z", "M0 0h90v40h-90z")

    def dots(self, x: ArrayLike, y: ArrayLike, role: str = "learned", label: str = "") -> None:
        """Put a dot on every point."""
        self._dots(x, y, role, label, _DOT)

    def rings(self, x: ArrayLike, y: ArrayLike, role: str = "plain", label: str = "") -> None:
        """Put a ring around every point."""
        look = f'fill="none" stroke="{_role(role)[0]}" stroke-width="6"'
        self._add(x, y, label, look, _rings, _rings(np.array([45]), np.array([20])))

    def text(self, x: float, y: float, words: str) -> None:
        """Write something, centred at a point, in all frames alike."""
        u, v = self._places(np.array([as_finite(x, "x")]), np.array([as_finite(y, "y")]))
        self._words.append(_text(u[0], v[0] + 16, words))

    def handle(self, x: ArrayLike, y: ArrayLike, role: str = "printed", label: str = "") -> None:
        """Put a larger dot on one point for each frame, by which a pointer moves the film."""
        x, y = np.atleast_1d(as_points(x, "x"), as_points(y, "y"))
        self._dots(x[:, None], y[:, None], role, label, 2 * _DOT)
        self._handle = np.column_stack(self._places(x, y)).ravel().tolist()

    def _dots(self, x: ArrayLike, y: ArrayLike, role: str, label: str, size: int) -> None:
        look = f'fill="none" stroke="{_role(role)[0]}" stroke-width="{size}" stroke-linecap="round"'
        self._add(x, y, label, look, _points, "M45 20h0")

    def _add(self, x: ArrayLike, y: ArrayLike, label: str, look: str, draw: _Draw, sample: str) -> None:
        xs, ys = _frames(x, "x"), _frames(y, "y")
        count = max(len(xs), len(ys))
        if not {len(xs), len(ys)} <= {1, count}:
            raise ValueError(f"x and y must have as many frames; got {len(xs)} and {len(ys)}")
        drawn = []
        for k in range(count):
            a, b = xs[k % len(xs)], ys[k % len(ys)]
            if a.shape != b.shape:
                raise ValueError(f"x and y must have one shape; got {a.shape} and {b.shape} in frame {k}")
            drawn.append(draw(*self._places(a, b)))
        self._layers.append(_Layer(look, drawn, sample, label))

    def _places(self, x: FloatArray, y: FloatArray) -> tuple[_Pixels, _Pixels]:
        """Turn values into whole units, counted from the upper left corner."""
        u = (x - self._x[0]) / (self._x[1] - self._x[0]) * _WIDE
        v = (self._y[1] - y) / (self._y[1] - self._y[0]) * self._tall
        return tuple(np.rint(np.clip(w, -_FAR, _FAR)).astype(int) for w in (u, v))  # type: ignore[return-value]

    def _check(self, count: int) -> None:
        """Refuse a film of another length than what moves here."""
        for layer in self._layers:
            if layer.moves and len(layer.drawn) != count:
                name = layer.label or "a layer"
                raise ValueError(
                    f"{name} of panel {self.title!r} has {len(layer.drawn)} frames; captions has {count}"
                )

    def _moving(self) -> list[list[str]]:
        return [layer.drawn for layer in self._layers if layer.moves]

    def _html(self, frame: int, left: int, foot: int) -> str:
        """Draw one frame, with the paths that move marked, and say below it what its lines are."""
        paths = "".join(
            f'<path {layer.look}{" data-moves" if layer.moves else ""} d="{layer.at(frame)}"/>'
            for layer in self._layers
        )
        handle = f' class="handle" data-places="{json.dumps(self._handle)}"' if self._handle else ""
        size = f'width="{_WIDE}" height="{self._tall}"'
        own = f"width: {_WIDE}px; height: {self._tall}px; max-width: none"  # whatever a page says
        key = "".join(
            f'<span class="key"><svg viewBox="0 0 90 40" aria-hidden="true"><path {layer.look} '
            f'd="{layer.sample}"/></svg> {escape(layer.label)}</span>'
            for layer in self._layers
            if layer.label
        )
        return (
            f'<div class="panel"><svg viewBox="{-left} {-_HEAD} {left + _WIDE + _EDGE} '
            f'{_HEAD + self._tall + foot}" role="img" aria-label="{escape(self.alt)}">'
            f'{self._axes()}<svg {size} viewBox="0 0 {_WIDE} {self._tall}" style="{own}"{handle}>'
            f'<rect {size} fill="transparent"/>{paths}{"".join(self._words)}</svg></svg>'
            f"{f'<p>{key}</p>' if key else ''}</div>"
        )

    def _axes(self) -> str:
        """Draw the axes with ticks and numbers, and write the title and the labels."""
        across, up = _ticks(self._x, 6), _ticks(self._y, 5)
        columns = self._places(across, np.full(len(across), self._y[0]))[0]
        rows = self._places(np.full(len(up), self._x[0]), up)[1]
        grid = "".join(f"M0 {v}h{_WIDE}" for v in rows)
        marks = "".join(f"M{u} {self._tall}v12" for u in columns) + "".join(f"M0 {v}h-12" for v in rows)
        words = [_text(_WIDE // 2, -36, self.title)]
        words += [_text(u, self._tall + 60, _number(t)) for u, t in zip(columns, across, strict=True)]
        words += [_text(-20, v + 16, _number(t), "end") for v, t in zip(rows, up, strict=True)]
        if self.xlabel:
            words.append(_text(_WIDE // 2, self._tall + 116, self.xlabel))
        if self.ylabel:
            turned = f'transform="rotate(-90) translate({-self._tall // 2} {-_LEFT})"'
            words.append(f"<g {turned}>{_text(0, 0, self.ylabel)}</g>")
        return (
            f'<path d="{grid}" stroke="currentColor" stroke-opacity=".12" stroke-width="3"/>'
            f'<path d="M0 0v{self._tall}h{_WIDE}{marks}" fill="none" stroke="currentColor" '
            f'stroke-opacity=".5" stroke-width="3"/>{"".join(words)}'
        )


class Film:
    """What `film` returns; a notebook shows it.

    Examples
    --------
    >>> still = film([Panel("nothing yet", x=(0, 1), y=(0, 1))], ["first", "second"], label="frame")
    >>> still
    film of 2 frames
    >>> '<input type="range"' in still.html
    True
    """

    def __init__(self, html: str, captions: Sequence[str]) -> None:
        self.html, self.captions = html, tuple(captions)

    def __repr__(self) -> str:
        return f"film of {len(self.captions)} frames"

    def _repr_html_(self) -> str:
        return self.html


def film(
    panels: Sequence[Panel], captions: Sequence[str], *, label: str, start: int = 0, seconds: float = 8.0
) -> Film:
    """Put panels behind a slider with a button that plays them, as HTML that loads nothing.

    A reader moves the slider, presses the button, uses the arrow keys, or drags the handle of a panel.
    Without scripts, and on paper, the frame is seen with which the film begins.

    Parameters
    ----------
    panels : sequence of Panel
    captions : sequence of str
        One for each frame, shown above the panels and read out for the place of the slider.
    label : str
        What the slider changes.
    start : int
        The frame that is shown first.
    seconds : float
        How long the whole film plays.

    Returns
    -------
    Film

    Raises
    ------
    ValueError
        If there are fewer than two captions or no panel, ``start`` is no frame, or what moves in a panel has
        another number of frames.

    Examples
    --------
    >>> panel = Panel("a turning line", x=(-1, 1), y=(-1, 1), xlabel="x")
    >>> panel.line([-1, 1], [[-s, s] for s in (-1, 0, 1)], label="the line")
    >>> film([panel], [f"slope {s}" for s in (-1, 0, 1)], label="slope of the line", start=1)
    film of 3 frames
    """
    if len(captions) < 2 or not panels:
        raise ValueError(f"a film has panels and two frames; got {len(panels)} and {len(captions)}")
    if as_count(start, "start") >= len(captions):
        raise ValueError(f"start must be one of {len(captions)} frames; got {start}")
    for panel in panels:
        panel._check(len(captions))
    left = _LEFT + _LABEL * any(panel.ylabel for panel in panels)
    foot = _FOOT + _LABEL * any(panel.xlabel for panel in panels)
    drawn = "".join(panel._html(start, left, foot) for panel in panels)
    moving = [layer for panel in panels for layer in panel._moving()]
    script = (files("convexdiff_lib") / "_film.js").read_text("utf-8")
    given = {"captions": list(captions), "moving": moving, "seconds": as_positive(seconds, "seconds")}
    call = json.dumps(given, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    html = (
        f'<div class="film"><style>{_STYLE}</style>'
        f'<p>{escape(label)}: <output aria-live="off">{escape(captions[start])}</output></p>'
        '<div class="controls" hidden><button type="button">Play</button>'
        f'<input type="range" min="0" max="{len(captions) - 1}" value="{start}" step="1" '
        f'aria-label="{escape(label)}" aria-valuetext="{escape(captions[start])}"></div>'
        f'<div class="panels">{drawn}</div>'
        f"<script>({script.strip()})({call})</script></div>"
    )
    return Film(html, captions)


def _interval(ends: tuple[float, float], name: str) -> tuple[float, float]:
    low, high = (as_finite(end, name) for end in ends)
    if not low < high:
        raise ValueError(f"{name} must go from a smaller to a larger number; got {ends!r}")
    return low, high


def _role(role: str) -> tuple[str, int, str]:
    if role not in _ROLES:
        raise ValueError(f"role must be one of {', '.join(_ROLES)}; got {role!r}")
    return _ROLES[role]


def _frames(places: ArrayLike, name: str) -> list[FloatArray]:
    """Return one array for each frame, or a single one for all."""
    if isinstance(places, list | tuple) and len(places) and np.ndim(places[0]) > 0:
        frames = [as_points(frame, f"{name}[{k}]") for k, frame in enumerate(places)]
    else:
        points = np.atleast_1d(as_points(places, name))
        frames = list(points) if points.ndim == 2 else [points]
    if any(frame.ndim != 1 for frame in frames):
        raise ValueError(f"{name} must be one array, or a list of one for each frame")
    return frames


def _ticks(ends: tuple[float, float], most: int) -> FloatArray:
    """Choose round numbers in an interval: multiples of 1, 2 or 5 times a power of ten."""
    low, high = ends
    power = 10.0 ** np.floor(np.log10((high - low) / most))
    step = next(s * power for s in (1, 2, 5, 10) if (high - low) / (s * power) <= most)
    slack = 1e-9 * step
    return step * np.arange(np.ceil((low - slack) / step), np.floor((high + slack) / step) + 1) + 0.0  # no -0


def _number(value: float) -> str:
    return f"{value:.6g}".replace("-", "\N{MINUS SIGN}")


def _text(u: int, v: int, words: str, anchor: str = "middle") -> str:
    return f'<text x="{u}" y="{v}" text-anchor="{anchor}">{escape(words)}</text>'


def _polyline(u: _Pixels, v: _Pixels) -> str:
    """Describe a line by its first point and the steps from each to the next, which are short to write."""
    if len(u) == 0:
        return ""
    steps = "".join(f"{a:+d}{b:+d}" for a, b in zip(np.diff(u), np.diff(v), strict=True))
    return f"M{u[0]} {v[0]}" + (f"l{steps}" if steps else "")


def _points(u: _Pixels, v: _Pixels) -> str:
    """Describe points as lines of no length, which round ends make visible."""
    steps = zip(np.diff(u, prepend=0), np.diff(v, prepend=0), strict=True)
    return "".join(f"m{a} {b}h0" for a, b in steps)


def _rings(u: _Pixels, v: _Pixels) -> str:
    arcs = "a14 14 0 1 0 28 0a14 14 0 1 0-28 0"
    return "".join(f"M{a - 14} {b}{arcs}" for a, b in zip(u, v, strict=True))
