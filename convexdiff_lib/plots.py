"""One look for every figure of the book.

A colour always means the same thing: what is learned, what is true, what is printed, what training found.
The palette is the colour-blind-safe one of seaborn, and no two roles differ by colour alone: each has its own
line style or width.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from ._optional import needed
from ._validation import FloatArray, as_numbers, as_sample

with needed("matplotlib and seaborn", '"convexdiff-lib[plots]"'):
    import matplotlib.pyplot as plt
    import seaborn as sns
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ROLES", "draw", "draw_data", "draw_histogram", "panels", "use_style"]

_PALETTE = sns.color_palette("colorblind").as_hex()

ROLES: dict[str, dict[str, object]] = {
    "learned": {"color": _PALETTE[0], "linestyle": "-", "linewidth": 2.0},
    "exact": {"color": "#222222", "linestyle": "--", "linewidth": 1.6},
    "printed": {"color": _PALETTE[3], "linestyle": "-.", "linewidth": 2.0},
    "trained": {"color": _PALETTE[1], "linestyle": "-", "linewidth": 1.0},
    "bound": {"color": _PALETTE[2], "linestyle": ":", "linewidth": 1.8},
}


def use_style() -> None:
    """Set the look of every figure that follows.  Call it once, at the top of a chapter.

    Examples
    --------
    >>> use_style()
    >>> plt.rcParams["axes.titlesize"]
    11.0
    """
    sns.set_theme(
        style="ticks",
        palette="colorblind",
        rc={
            "figure.dpi": 120,
            "figure.constrained_layout.use": True,
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "font.size": 10.0,
            "axes.titlesize": 11.0,
            "axes.labelsize": 10.0,
            "legend.fontsize": 9.0,
            "legend.frameon": False,
            "xtick.labelsize": 9.0,
            "ytick.labelsize": 9.0,
            "axes.grid": True,
            "grid.color": "#e4e4e4",
            "axes.spines.top": False,
            "axes.spines.right": False,
        },
    )
    _draw_sharp_in_notebooks()


def _draw_sharp_in_notebooks() -> None:
    """Give figures below a cell two pixels for each of the page's, which is what screens have."""
    ipython = sys.modules.get("IPython")  # Jupyter has loaded it
    if ipython and ipython.get_ipython() and "inline" in plt.get_backend():
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("retina")


def panels(titles: Sequence[str], *, height: float = 3.0, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    """Make a row of axes, one per title.

    Parameters
    ----------
    titles : sequence of str
        One to three titles; an empty one leaves its panel untitled.
    height : float
        In inches; the width is always that of the page.
    sharey : bool

    Returns
    -------
    figure, axes

    Raises
    ------
    ValueError
        If there is no title or more than three.

    Examples
    --------
    >>> figure, axes = panels(["score", "density"])
    >>> len(axes)
    2
    >>> plt.close(figure)
    """
    if not 1 <= len(titles) <= 3:
        raise ValueError(f"a row holds one to three panels; got {len(titles)} titles")
    figure, axes = plt.subplots(1, len(titles), figsize=(7.4, height), squeeze=False, sharey=sharey)
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title)
    return figure, list(axes[0])


def draw(
    ax: Axes,
    curve: Callable[[FloatArray], FloatArray],
    interval: tuple[float, float],
    role: str,
    label: str = "",
    *,
    at: ArrayLike = (),
) -> None:
    """Draw a function over an interval in the style of its role.

    Parameters
    ----------
    ax : Axes
    curve : callable
        Maps an array of positions to values.
    interval : (float, float)
    role : str
        A key of ``ROLES``.
    label : str
    at : array
        Extra positions, such as knots, so that corners are drawn sharp.

    Raises
    ------
    ValueError
        If the role is unknown.

    Examples
    --------
    >>> figure, (ax,) = panels(["a line"])
    >>> draw(ax, lambda x: -x, (-1, 1), "exact", "the truth")
    >>> ax.lines[0].get_label()
    'the truth'
    >>> plt.close(figure)
    """
    if role not in ROLES:
        raise ValueError(f"role must be one of {', '.join(ROLES)}; got {role!r}")
    low, high = interval
    corners = as_numbers(at, "at")
    x = np.union1d(np.linspace(low, high, 600), corners[(corners > low) & (corners < high)])
    ax.plot(x, curve(x), label=label or None, **ROLES[role])  # type: ignore[arg-type]


def draw_data(ax: Axes, x: ArrayLike, label: str = "") -> None:
    """Mark the data as ticks along the bottom of the axes.

    Examples
    --------
    >>> figure, (ax,) = panels([""])
    >>> draw_data(ax, [0.0, 1.0])
    >>> len(ax.collections)
    1
    >>> plt.close(figure)
    """
    sns.rugplot(x=as_sample(x), ax=ax, height=0.05, color="#444444", alpha=0.7, label=label or None)


def draw_histogram(
    ax: Axes, x: ArrayLike, interval: tuple[float, float], label: str = "", *, bins: int = 60
) -> None:
    """Draw samples as a density histogram on an interval; samples outside it still count in the total.

    Examples
    --------
    >>> figure, (ax,) = panels([""])
    >>> draw_histogram(ax, [0.1, 0.2, 0.9], (0.0, 1.0), bins=4)
    >>> len(ax.patches)
    4
    >>> plt.close(figure)
    """
    samples = as_sample(x)
    edges = np.linspace(*interval, bins + 1)
    heights = np.histogram(samples, edges)[0] / (len(samples) * np.diff(edges))
    ax.bar(
        edges[:-1],
        heights,
        np.diff(edges),
        align="edge",
        color=_PALETTE[9],
        alpha=0.6,
        linewidth=0,
        label=label or None,
    )
