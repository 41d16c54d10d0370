"""The figures' common look: what is drawn is what was given, and no two roles look alike."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from convexdiff_lib import score_matching
from convexdiff_lib.plots import ROLES, draw, draw_data, draw_histogram, panels, use_style


@pytest.fixture(autouse=True)
def _leave_matplotlib_as_it_was() -> Iterator[None]:
    with mpl.rc_context():
        mpl.use("agg")
        yield
        plt.close("all")


def test_no_two_roles_differ_by_colour_alone() -> None:
    for one, other in combinations(ROLES.values(), 2):
        assert one["color"] != other["color"]
        assert (one["linestyle"], one["linewidth"]) != (other["linestyle"], other["linewidth"])


def test_roles_are_dark_enough_for_white_paper() -> None:
    """Contrast with white of at least 2 to 1 by the rule of the Web Content Accessibility Guidelines."""
    for style in ROLES.values():
        channels = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(str(style["color"]))
        ]
        luminance = 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]
        assert 1.05 / (luminance + 0.05) >= 2


def test_a_curve_goes_through_its_corners() -> None:
    _, (ax,) = panels([""])
    corner = 0.123456
    draw(ax, lambda x: np.abs(x - corner), (-1.0, 1.0), "exact", "corner", at=[corner, 5.0, -1.0])
    x, y = (np.asarray(values) for values in ax.lines[0].get_data())
    assert corner in x
    assert (x[0], x[-1]) == (-1.0, 1.0)
    assert (np.diff(x) > 0).all()
    np.testing.assert_array_equal(y, np.abs(x - corner))
    assert ax.lines[0].get_label() == "corner"


@pytest.mark.parametrize("role", ROLES)
def test_a_curve_has_the_style_of_its_role(role: str) -> None:
    _, (ax,) = panels([""])
    draw(ax, np.sin, (0.0, 1.0), role)
    line = ax.lines[0]
    assert line.get_color() == ROLES[role]["color"]
    assert (line.get_linestyle(), line.get_linewidth()) == (
        ROLES[role]["linestyle"],
        ROLES[role]["linewidth"],
    )
    assert ax.get_legend_handles_labels()[1] == []  # no label, no entry


def test_panels() -> None:
    for titles in (["a"], ["a", "b"], ["a", "", "c"]):
        figure, axes = panels(titles, height=2.0)
        assert [ax.get_title() for ax in axes] == titles
        assert figure.get_size_inches().tolist() == [7.4, 2.0]
    _, axes = panels(["a", "b"], sharey=True)
    axes[0].set_ylim(-3, 4)
    assert axes[1].get_ylim() == (-3, 4)


def test_histogram_is_a_density_of_all_samples() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(size=1000)
    _, (ax,) = panels([""])
    draw_histogram(ax, samples, (-1.0, 2.0), "law", bins=7)
    edges = np.linspace(-1, 2, 8)
    bars = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    for patch, low, high in zip(bars, edges[:-1], edges[1:], strict=True):
        count = sum(1 for s in samples if low <= s < high)
        assert abs(patch.get_height() - count / (1000 * 3 / 7)) <= 1e-12
        assert abs(patch.get_x() - low) <= 1e-12
    area = sum(p.get_height() * p.get_width() for p in bars)
    assert abs(area - np.mean((samples >= -1) & (samples < 2))) <= 1e-12


def test_data_are_marked_where_they_are() -> None:
    _, (ax,) = panels([""])
    draw_data(ax, [3, 1, 2], "data")
    segments = ax.collections[0].get_segments()  # type: ignore[attr-defined]
    assert sorted(s[0][0] for s in segments) == [1.0, 2.0, 3.0]
    assert ax.get_legend_handles_labels()[1] == ["data"]


def test_style_is_legible_in_dark_mode() -> None:
    """A page may be dark, so a figure brings its own white ground."""
    use_style()
    assert plt.rcParams["figure.facecolor"] == plt.rcParams["savefig.facecolor"] == "white"
    assert plt.rcParams["axes.facecolor"] == "white"
    assert plt.rcParams["text.color"] in (".15", "black")
    assert min(plt.rcParams[k] for k in ("xtick.labelsize", "ytick.labelsize", "legend.fontsize")) >= 9


def test_a_fit_draws_itself() -> None:
    fit = score_matching(np.random.default_rng(0).normal(size=60), 8.0)
    left, right = fit.plot()
    assert (left.get_title(), right.get_title()) == ("score", "density")
    x, y = left.lines[0].get_data()
    assert np.max(np.abs(y - fit(x))) == 0
    assert sorted(left.lines[1].get_xdata()) == fit.knots.tolist()
    x, y = right.lines[0].get_data()
    assert np.max(np.abs(y - fit.pdf(x))) == 0
    assert len(left.collections) == len(right.collections) == 1  # the data
    own = panels(["a", "b"])[1]
    assert fit.plot((own[0], own[1])) == (own[0], own[1])
    plt.close("all")


def test_a_fit_without_a_density_says_so() -> None:
    fit = score_matching([0.0, 1.0, 3.0], 1e6)  # so much weight decay that the score is zero
    _, right = fit.plot()
    assert right.get_title() == "no density: left tail"
    assert not right.lines
    plt.close("all")
