"""The figures of a report, drawn from its numbers alone.

They are narrow, with panels above one another, so that letters stay readable on a telephone and two stand side by
side in print. Nothing is told by colour alone: classes differ in hatching, markers or line too, and colours are those
of Okabe and Ito, which people with any colour vision tell apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from .tally import IDENTITY_BINS
from .words import label, percent, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .histogram import Histogram
    from .tally import Tally

__all__ = ["aspects", "coverage", "distances", "donors", "identity", "overlap", "reliability", "slim", "style"]

WIDTH = 4.2
"""Inches."""

INK, MUTED, LINE, PAPER = "#1f2328", "#59636e", "#d1d9e0", "#ffffff"
BLUE, VERMILION, SKY, GREEN, ORANGE, PURPLE = "#0072b2", "#d55e00", "#56b4e9", "#009e73", "#e69f00", "#cc79a7"
LINES = [
    (BLUE, "-"), (VERMILION, (0, (5, 2))), (GREEN, (0, (1.2, 1.2))), (PURPLE, (0, (6, 2, 1.2, 2))),
    (ORANGE, (0, (9, 3))), (SKY, (0, (3, 1, 1, 1, 1, 1))), (INK, (0, (4, 4))),
]  # fmt: skip

MOST_SPACES = 12
MOST_BARS = 12

TWILIGHT = 30
"""Identity, in percent, below which alignments no longer tell relatives from strangers (Rost 1999)."""

LENGTHS = np.array([0, 50, 100, 150, 200, 300, 400, 600, 800, 1200, 2000, 4000])
"""Where the classes of length begin, in residues."""


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


def _panels(heights: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """Return a figure of panels above one another, of given heights in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    axes = figure.subplots(len(heights), 1, squeeze=False, gridspec_kw={"height_ratios": list(heights)})
    return figure, list(axes[:, 0])


def coverage(lengths: np.ndarray, embedded: np.ndarray, annotated: np.ndarray, *, looked_up: bool = True) -> Figure:
    """Draw how many proteins of each length were annotated, or embedded where nothing was looked up.

    Parameters
    ----------
    lengths : int array, shape (n,)
        In residues.
    embedded, annotated : bool arrays, shape (n,)
    """
    figure, (share, counts) = _panels([1.3, 2.3])
    bins = np.searchsorted(LENGTHS, lengths, "right") - 1
    places = np.arange(len(LENGTHS))
    covered = annotated if looked_up else embedded
    groups = [
        ("annotated" if looked_up else "with a vector", covered, BLUE, ""),
        ("vector, but no term", embedded & ~covered, ORANGE, "////"),
        ("no vector", ~embedded & ~covered, PAPER, "xxxx"),
    ]
    total = np.bincount(bins, minlength=len(LENGTHS))
    base = np.zeros(len(LENGTHS), dtype=np.int64)
    for name, members, colour, hatch in groups:
        height = np.bincount(bins[members], minlength=len(LENGTHS))
        if height.any() or members is covered:
            counts.bar(places, height, 0.82, base, color=colour, hatch=hatch, edgecolor=INK, label=name)
        base += height
    some = total > 0
    found = np.bincount(bins[covered], minlength=len(LENGTHS))
    share.plot(places[some], 100 * found[some] / total[some], color=BLUE, marker="o", markersize=4, linewidth=1)
    share.set(ylim=(-4, 108), yticks=[0, 50, 100], ylabel=f"{groups[0][0]} (%)", xlim=(-0.6, len(LENGTHS) - 0.4))
    share.set_xticks(places, [])
    share.grid(axis="y")
    names = [f"{a}–{b - 1}" for a, b in pairwise(LENGTHS)]
    counts.set_xticks(places, ["<50", *names[1:], f"≥{LENGTHS[-1]:,}"], rotation=45, ha="right", rotation_mode="anchor")
    counts.set(xlabel="sequence length (residues)", ylabel="proteins", xlim=share.get_xlim())
    _whole_numbers(counts.yaxis)
    counts.grid(axis="y")
    counts.legend(loc="upper right")
    return figure


def distances(tally: Tally, metric: str) -> Figure:
    """Draw the distances to the donors, one panel per embedding space."""
    spaces = [i for i, space in enumerate(tally.by_space) if space.donors.total][:MOST_SPACES]
    figure, axes = _panels([1.75, *[1.4] * (len(spaces) - 1)] if spaces else [1.5])
    for panel, (i, axis) in enumerate(zip(spaces, axes, strict=False)):
        space = tally.by_space[i]
        end = space.donors.quantile(0.995)
        width = _bar_width([space.donors], end)
        edges = np.arange(int(end / width) + 2) * width
        kinds: list[tuple[Histogram, dict[str, Any]]] = [
            (space.donors, {"color": LINE, "edgecolor": MUTED, "label": "all donors"}),
            (space.nearest, {"facecolor": "none", "edgecolor": BLUE, "hatch": "////", "label": "nearest donors"}),
        ]
        for histogram, settings in kinds:
            bars = 100 * histogram.bars(max(width, histogram.width)) / histogram.total
            axis.stairs(_padded(bars, len(edges) - 1), edges, fill=True, **settings)
        axis.set(xlim=(0, edges[-1]), ylim=(0, None))
        axis.set_title(label(tally.spaces[i]))
        axis.locator_params(axis="x", nbins=6)
        axis.set_ylabel("share (%)")
        axis.grid(axis="y")
        if panel == 0:
            axis.legend(loc="upper right")
    axes[-1].set_xlabel(f"{metric} distance" + ("" if metric == "cosine" else " (units of the embedding)"))
    return figure


def reliability(tally: Tally, metric: str) -> Figure:
    """Draw what is left when only terms of at least some reliability are kept, one panel per embedding space."""
    spaces = [i for i, space in enumerate(tally.by_space) if space.pairs.total][:MOST_SPACES]
    figure, axes = _panels([1.75, *[1.4] * (len(spaces) - 1)] if spaces else [1.5])
    for panel, (i, axis) in enumerate(zip(spaces, axes, strict=False)):
        space = tally.by_space[i]
        for histogram, name, (colour, dash) in (
            (space.nearest, "proteins with a term", LINES[0]),
            (space.pairs, "pairs of protein and term", LINES[1]),
        ):
            ends, below = histogram.share_below()
            axis.plot(
                to_reliability(ends, metric), 100 * below, color=colour, linestyle=dash, label=name, linewidth=1.6
            )
        start = to_reliability(np.array([space.donors.quantile(0.995)]), metric)[0]
        axis.set(xlim=(start, 1), ylim=(0, 105), yticks=[0, 50, 100])
        axis.set_title(label(tally.spaces[i]))
        axis.locator_params(axis="x", nbins=6)
        axis.set_ylabel("kept (%)")
        axis.grid()
        if panel == 0:
            axis.legend(loc="lower left")
    axes[-1].set_xlabel("smallest reliability that is kept")
    return figure


def to_reliability(distance: np.ndarray, metric: str) -> np.ndarray:
    """Turn distances into FANTASIA's reliability index: 1 - d, or 0.5 / (0.5 + d) for euclidean ones.

    The axes of a histogram of distances need what `annotate.transfer.reliability_index` computes; this floor may not
    import it, and a test compares the two.
    """
    return 1.0 - distance if metric == "cosine" else 0.5 / (0.5 + distance)


def overlap(tally: Tally) -> Figure:
    """Draw how far the embedding spaces agree: each pair of them, then how many of them found a term."""
    pairs = [(pair, a) for pair, a in tally.agreements.items() if a.proteins]
    figure, (dots, bars) = _panels([0.8 + 0.36 * max(len(pairs), 1), 0.4 + 0.3 * len(tally.spaces)])
    places = np.arange(len(pairs))[::-1]
    for values, name, marker, colour in (
        ([100 * a.overlap / a.proteins for _, a in pairs], "same terms (mean Jaccard index)", "o", BLUE),
        ([100 * a.same_donor / a.proteins for _, a in pairs], "same nearest donor", "D", VERMILION),
    ):
        dots.plot(values, places, linestyle="none", marker=marker, color=colour, markersize=5.5, label=name)
    dots.set_yticks(places, [f"{label(tally.spaces[i])}\nand {label(tally.spaces[j])}" for (i, j), _ in pairs])
    dots.set(xlim=(-2, 102), ylim=(-0.6, len(pairs) - 0.4), xlabel="proteins, terms (%)")
    dots.grid(axis="x")
    figure.legend(loc="outside upper left", ncols=2, handletextpad=0.2, columnspacing=1)
    numbers = np.arange(len(tally.support))
    _bars(bars, numbers[::-1], tally.support, int(tally.support.sum()))
    bars.set_yticks(numbers[::-1], [f"in {n + 1}" for n in numbers])
    bars.set(xlabel="pairs of protein and term (%)", ylabel="found")
    return figure


def donors(counts: Sequence[tuple[str, int]], total: int) -> Figure:
    """Draw which species the nearest donors are of: names and counts, and the sum over all species."""
    return _named_bars(counts, total, "nearest donors (%)")


def slim(counts: Sequence[tuple[str, int]], proteins: int) -> Figure:
    """Draw how many proteins fall under each broad term: names and counts."""
    return _named_bars(counts, proteins, "annotated proteins (%)")


def aspects(tally: Tally, proteins: int) -> Figure:
    """Draw how many proteins have a term in each aspect of GO, and how many terms a protein has."""
    figure, (shares, histogram) = _panels([1.35, 1.9])
    names = {"MF": "molecular function", "BP": "biological process", "CC": "cellular component"}
    counts = np.array([tally.proteins_of_aspect[aspect] for aspect in names])
    _bars(shares, np.arange(3)[::-1], counts, proteins)
    shares.set_yticks(np.arange(3)[::-1], list(names.values()))
    shares.set_xlabel("proteins with a term (%)")
    numbers = np.array(list(tally.terms_per_protein), dtype=np.int64)
    most = int(numbers.max(initial=1))
    step = max(1, -(-most // 40))
    edges = np.arange(1, most + step + 1, step) - 0.5
    heights, _ = np.histogram(numbers, edges, weights=list(tally.terms_per_protein.values()))
    histogram.stairs(heights, edges, fill=True, color=SKY, edgecolor=INK)
    histogram.set(xlabel="GO terms per protein", ylabel="proteins", xlim=(0, edges[-1]))
    _whole_numbers(histogram.xaxis)
    _whole_numbers(histogram.yaxis)
    histogram.grid(axis="y")
    return figure


def identity(tally: Tally, metric: str) -> Figure:
    """Draw the sequence identity to the nearest donors, and how reliability goes with it."""
    figure, (shares, middles) = _panels([2.1, 1.9])
    edges = np.linspace(0, 100, IDENTITY_BINS + 1)
    centres = (edges[:-1] + edges[1:]) / 2
    for i, space in enumerate(tally.by_space[: len(LINES)]):
        colour, dash = LINES[i]
        by_identity = space.nearest.counts.sum(axis=0)[:IDENTITY_BINS]
        if not by_identity.sum():
            continue
        settings: dict[str, Any] = {"color": colour, "linestyle": dash, "linewidth": 1.6}
        shares.stairs(100 * by_identity / by_identity.sum(), edges, label=label(tally.spaces[i]), **settings)
        some = np.flatnonzero(by_identity >= max(1, by_identity.sum() / 1000))
        median = np.array([space.nearest.quantile(0.5, int(column)) for column in some])
        middles.plot(centres[some], to_reliability(median, metric), marker=".", **settings)
    shares.set(xlim=(0, 100), ylim=(0, None), ylabel="proteins (%)")
    middles.set(
        xlim=(0, 100), xlabel="identity to the nearest donor (%, global alignment)", ylabel="median reliability"
    )
    for axis in (shares, middles):
        axis.grid()
        axis.axvspan(0, TWILIGHT, color=LINE, alpha=0.5, linewidth=0, zorder=0)
    figure.legend(loc="outside upper left", ncols=2)
    return figure


def _named_bars(counts: Sequence[tuple[str, int]], total: int, unit: str) -> Figure:
    """Draw bars with their names above them, which leaves long names the whole width."""
    shown = counts[:MOST_BARS]
    figure, (axis,) = _panels([0.55 + 0.36 * max(len(shown), 1)])
    places = np.arange(len(shown))[::-1]
    values = np.array([n for _, n in shown], dtype=np.int64)
    _bars(axis, places - 0.18, values, total, height=0.34)
    for (name, _), place in zip(shown, places, strict=True):
        axis.text(0, place + 0.22, shortened(name, 54), va="center", ha="left")
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    axis.set(ylim=(-0.5, len(shown) - 0.45), xlabel=unit)
    return figure


def _bars(axis: Axes, places: np.ndarray, counts: np.ndarray, whole: int, height: float = 0.62) -> None:
    """Draw horizontal bars with their numbers behind them."""
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
    # Every bar has its number: an axis would say it again.
    axis.set_xlim(0, max(100 * counts.max(initial=0) / max(whole, 1), 1e-9) * 1.35)
    axis.set_xticks([])
    axis.spines["bottom"].set_visible(False)


def _whole_numbers(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _bar_width(histograms: Sequence[Histogram], end: float) -> float:
    """Return a width that gives some 25 to 50 bars up to `end`, and that every histogram can be cut into."""
    width = max(histogram.width for histogram in histograms)
    while end / width > 50:
        width *= 2
    return width


def _padded(values: np.ndarray, n: int) -> np.ndarray:
    return np.concatenate([values[:n], np.zeros(max(n - len(values), 0))])
