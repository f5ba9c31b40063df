"""What all figures of a report are drawn on: size, colours, a heading for those that stand alone, and bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from .words import percent, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "HEADING",
    "HEADING_INCHES",
    "LONGEST_HEADING",
    "bars",
    "headed",
    "legend_above",
    "panels",
    "style",
    "whole_numbers",
]

WIDTH = 4.2
"""Inches."""

HEADING = "heading_"
"""Begins the ids of what the files of a figure say above it; the page, which has headings of its own, does not."""

HEADING_INCHES = 0.46
"""What it takes of the height, at the top."""

LEGEND_INCHES = 0.19
"""What a line of names takes of the height, below the heading."""

LONGEST_HEADING = 58
"""Letters that the width has room for."""

INK, MUTED, LINE, PAPER = "#1f2328", "#59636e", "#d1d9e0", "#ffffff"
BLUE, VERMILION, SKY, GREEN, ORANGE, PURPLE = "#0072b2", "#d55e00", "#56b4e9", "#009e73", "#e69f00", "#cc79a7"
LINES = [
    (BLUE, "-"), (VERMILION, (0, (5, 2))), (GREEN, (0, (1.2, 1.2))), (PURPLE, (0, (6, 2, 1.2, 2))),
    (ORANGE, (0, (9, 3))), (SKY, (0, (3, 1, 1, 1, 1, 1))), (INK, (0, (4, 4))),
]  # fmt: skip


@contextmanager
def style() -> Iterator[None]:
    """Draw and save alike on every machine: nothing of the user's own settings, no date, no random names."""
    import matplotlib as mpl

    settings: dict[Any, Any] = {
        "svg.hashsalt": "fantasia-dask",
        "svg.fonttype": "none",
        "text.parse_math": False,
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "axes.titlesize": 9,
        "axes.labelsize": 9,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "legend.fontsize": 8.5,
        "legend.frameon": False,
        "hatch.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.facecolor": "none",
        "axes.titlelocation": "left",
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "axes.titlecolor": INK,
        "text.color": INK,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "grid.color": LINE,
        "grid.linewidth": 0.6,
        "patch.linewidth": 0.6,
    }
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(settings)
        yield


def panels(heights: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """Return a figure of panels above one another, of given heights in inches, and room for a heading above them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, sum(heights) + HEADING_INCHES))
    _leave_free(figure, HEADING_INCHES)
    axes = figure.subplots(len(heights), 1, squeeze=False, gridspec_kw={"height_ratios": list(heights)})
    return figure, list(axes[:, 0])


def _leave_free(figure: Figure, inches: float) -> None:
    """Lay the panels out below so much at the top."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure.set_layout_engine(ConstrainedLayoutEngine(rect=(0, 0, 1, 1 - inches / figure.get_figheight())))


def headed(figure: Figure, title: str, below: str) -> Figure:
    """Write above a figure what it shows, and in small letters of which run; both are cut to its width."""
    inch = 1 / figure.get_figheight()
    looks: list[dict[str, Any]] = [{"weight": "bold"}, {"size": 8.5, "color": MUTED}]
    for i, (text, look) in enumerate(zip((title, below), looks, strict=True)):
        line = shortened(text, LONGEST_HEADING)
        drawn = figure.text(0.012, 1 - (0.12 + 0.19 * i) * inch, line, va="center", gid=f"{HEADING}{i}", **look)
        drawn.set_in_layout(False)
    return figure


def legend_above(figure: Figure, axis: Axes, **settings: Any) -> None:
    """Put the names of what a panel shows above all panels, where they cover nothing; the figure grows by as much."""
    handles, names = axis.get_legend_handles_labels()
    columns = 2 if sum(sorted(map(len, names))[-2:]) <= LONGEST_HEADING else 1
    room = 0.1 + LEGEND_INCHES * -(-len(names) // columns)
    figure.set_figheight(figure.get_figheight() + room)
    _leave_free(figure, HEADING_INCHES + room)
    below_heading = 1 - HEADING_INCHES / figure.get_figheight()
    look = {"ncols": columns, "columnspacing": 1.2} | settings
    figure.legend(handles, names, loc="upper left", bbox_to_anchor=(0, 0, 1, below_heading), **look)


def bars(axis: Axes, places: np.ndarray, counts: np.ndarray, whole: int, height: float = 0.62) -> None:
    """Draw horizontal bars of shares from 0 to 100%, as all figures do, with their numbers behind them."""
    axis.barh(places, 100 * counts / max(whole, 1), height, color=BLUE, edgecolor=INK)
    for place, n in zip(places, counts.tolist(), strict=True):
        axis.annotate(
            f"{n:,} ({percent(n, whole)})",
            (100 * n / max(whole, 1), place),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
        )
    # Beyond 100% there is room for the number of a full bar, but no axis.
    axis.set_xlim(0, 137)
    axis.set_xticks([0, 25, 50, 75, 100])
    axis.spines["bottom"].set_bounds(0, 100)


def whole_numbers(axis: Any) -> None:
    """Let the ticks of an axis be whole, with commas between thousands."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
