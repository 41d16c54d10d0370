"""A fit as a small picture of its own, which a notebook shows beside the facts: no package draws it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .._validation import FloatArray

__all__ = ["sketch"]

_WIDTH, _HEIGHT, _EDGE = 250.0, 130.0, 22.0
_BLUE = "#0173b2"  # of what is learned, as in the figures of `convexdiff_lib.plots`
_PLACES, _TICKS = 300, 150


def sketch(
    x: FloatArray,
    knots: FloatArray,
    score: Callable[[FloatArray], FloatArray],
    density: Callable[[FloatArray], FloatArray] | None,
) -> str:
    """Draw a score with its kinks, and its density if there is one, over the data, as SVG.

    Lines and letters that are not blue take the colour of the text around them, so that a dark page works.

    Examples
    --------
    >>> sketch(np.array([0.0, 1.0]), np.zeros(0), np.negative, None).count("<polyline")
    1
    """
    low, high = float(x.min()), float(x.max())
    margin = 0.1 * (high - low) or 1.0
    places = np.linspace(low - margin, high + margin, _PLACES)
    # Beyond the data a score may be steep.
    inside = np.union1d(np.linspace(low, high, _PLACES), knots) if low < high else places
    data = np.unique(x)
    if len(data) > _TICKS:
        data = np.quantile(data, np.linspace(0, 1, _TICKS))
    parts = [_panel(0.0, "score s(x)", inside, score(inside), data, knots, score(knots))]
    if density is not None:
        parts.append(_panel(_WIDTH, "density p(x)", places, density(places), data))
    width = _WIDTH * len(parts)
    about = f"The score{' and its density' if density else ''} over {len(x)} data points"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {_HEIGHT:g}" role="img" '
        f'style="max-width: {width:g}px; width: 100%" aria-label="{about}">{"".join(parts)}</svg>'
    )


def _panel(
    left: float,
    title: str,
    x: FloatArray,
    y: FloatArray,
    data: FloatArray,
    dots_x: FloatArray | None = None,
    dots_y: FloatArray | None = None,
) -> str:
    """One curve with dots on it, a tick for every point of the data, and the numbers at its ends."""
    bottom, top = min(float(y.min()), 0.0), max(float(y.max()), 0.0)
    tall, wide = (top - bottom) or 1.0, float(x[-1] - x[0])
    right, floor = left + _WIDTH - 8, _HEIGHT - _EDGE

    def across(places: FloatArray) -> FloatArray:
        return left + 8 + (places - x[0]) / wide * (right - left - 8)

    def up(values: FloatArray) -> FloatArray:
        return floor - 4 - (values - bottom) / tall * (floor - 4 - _EDGE)

    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across(x), up(y), strict=True))
    ticks = "".join(f"M{a:.1f} {floor:g}v5" for a in across(data))
    zero = f"M{left + 8:g} {up(np.zeros(1))[0]:.1f}H{right:g}"
    dots = ""
    if dots_x is not None and dots_y is not None:
        dots = "".join(
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.5" fill="{_BLUE}"/>'
            for a, b in zip(across(dots_x), up(dots_y), strict=True)
        )
    text = '<text x="{:g}" y="{:g}" font-size="10" fill="currentColor" text-anchor="{}">{}</text>'
    return (
        f'<path d="{zero}" stroke="currentColor" stroke-opacity=".3" fill="none"/>'
        f'<path d="{ticks}" stroke="currentColor" stroke-opacity=".5" fill="none"/>'
        f'<polyline points="{line}" fill="none" stroke="{_BLUE}" stroke-width="2"/>{dots}'
        + text.format(left + 8, 12, "start", f"{title}, from {bottom:.3g} to {top:.3g}")
        + text.format(left + 8, _HEIGHT - 4, "start", f"{x[0]:.3g}")
        + text.format(right, _HEIGHT - 4, "end", f"{x[-1]:.3g}")
    )
