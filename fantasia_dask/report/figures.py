"""The figures of a report, drawn from its numbers alone.

They are narrow, with panels above one another, so that letters stay readable on a telephone and two stand side by
side in print. Nothing is told by colour alone: classes differ in hatching, markers or line too, and colours are those
of Okabe and Ito, which people with any colour vision tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .canvas import (
    BLUE,
    INK,
    LINE,
    LINES,
    MUTED,
    ORANGE,
    PAPER,
    SKY,
    VERMILION,
    bars,
    legend_above,
    panels,
    whole_numbers,
)  # fmt: skip
from .tally import IDENTITY_BINS, TWILIGHT
from .words import label, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .histogram import Histogram
    from .tally import Tally

__all__ = [
    "aspects",
    "coverage",
    "distances",
    "donors",
    "identity",
    "length_classes",
    "length_counts",
    "overlap",
    "reliability",
    "slim",
]

MOST_SPACES = 12
MOST_BARS = 12


def length_classes(lengths: np.ndarray) -> np.ndarray:
    """Return where classes of sequence length begin, and the end of the last: equally wide on a logarithmic axis.

    Classes of unequal width would show a peak wherever a wide one follows a narrow one. Each of these ends at the
    square root of 2 times its begin; 100 and 200 residues are among the borders.

    Parameters
    ----------
    lengths : int array, shape (n,)
        At least one, all above 0.

    Examples
    --------
    >>> length_classes(np.array([100, 150, 399])).round(1)
    array([100. , 141.4, 200. , 282.8, 400. ])
    """
    first, last = np.floor(2 * np.log2(np.array([lengths.min(), lengths.max()]) / 100))
    return 100.0 * 2.0 ** (np.arange(first, last + 2) / 2)


def length_counts(lengths: np.ndarray, embedded: np.ndarray, annotated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count what became of the proteins in each class of length.

    Parameters
    ----------
    lengths : int array, shape (n,)
        In residues; at least one, all above 0.
    embedded, annotated : bool arrays, shape (n,)

    Returns
    -------
    edges : float64 array, shape (classes + 1,)
        Of `length_classes`.
    counts : int64 array, shape (classes, 3)
        Proteins that are annotated; that a model processed, but that have no term; that no model processed.
    """
    edges = length_classes(lengths)
    place = np.searchsorted(edges, lengths, "right") - 1
    fate = np.where(annotated, 0, np.where(embedded, 1, 2))
    return edges, np.bincount(3 * place + fate, minlength=3 * (len(edges) - 1)).reshape(-1, 3)


def coverage(edges: np.ndarray, counts: np.ndarray, *, looked_up: bool = True) -> Figure:
    """Draw how many proteins of each length were annotated, or embedded where nothing was looked up.

    Parameters
    ----------
    edges, counts : arrays
        Of `length_counts`.
    """
    figure, (share, numbers) = panels([1.4, 2.1])
    looks = [("annotated", BLUE, ""), ("processed, but no term", ORANGE, "////"), ("not processed", PAPER, "xxxx")]
    if not looked_up:
        looks, counts = [("processed", BLUE, ""), looks[2]], counts[:, 1:]
    base = np.zeros(len(counts), dtype=np.int64)
    for (name, colour, hatch), height in zip(looks, counts.T, strict=True):
        if height.any() or colour == BLUE:
            where: dict[str, Any] = {"width": np.diff(edges), "bottom": base, "align": "edge"}
            numbers.bar(edges[:-1], height, **where, color=colour, hatch=hatch, edgecolor=INK, label=name)
        base += height
    # Not a number where there is no protein, so that the line breaks there.
    found = np.where(base > 0, 100 * counts[:, 0] / np.maximum(base, 1), np.nan)
    share.plot(np.sqrt(edges[:-1] * edges[1:]), found, color=BLUE, marker="o", markersize=4, linewidth=1)
    share.set(ylim=(-4, 108), yticks=[0, 50, 100], ylabel=f"{looks[0][0]} (%)")
    for axis in (share, numbers):
        _logarithmic(axis, edges)
        axis.grid(axis="y")
    share.tick_params(labelbottom=False)
    numbers.set(xlabel="sequence length (residues, logarithmic axis)", ylabel="proteins")
    whole_numbers(numbers.yaxis)
    legend_above(figure, numbers)
    return figure


def _logarithmic(axis: Axes, edges: np.ndarray) -> None:
    """Let an axis of lengths be logarithmic, with as many round numbers at its ticks as there is room for.

    Where there is hardly one, as among proteins of nearly one length, the borders of the classes are told.
    """
    low, high = edges[0] / 1.1, edges[-1] * 1.1
    decades = np.log10(high / low)
    digits = (1, 2, 5) if decades < 2.2 else (1, 3) if decades < 3.6 else (1,)
    places = [digit * 10**power for power in range(7) for digit in digits]
    shown = [place for place in places if low <= place <= high]
    if len(shown) < 2:
        shown = np.ceil(edges).astype(int).tolist()
    axis.set_xscale("log")
    axis.set_xlim(low, high)
    axis.set_xticks(shown, [f"{place:,}" for place in shown])
    axis.set_xticks([], minor=True)


def distances(tally: Tally, metric: str) -> Figure:
    """Draw the distances to the donors, one panel per embedding space."""
    spaces = [i for i, space in enumerate(tally.by_space) if space.donors.total][:MOST_SPACES]
    figure, axes = panels([1.75, *[1.4] * (len(spaces) - 1)] if spaces else [1.5])
    for panel, (i, axis) in enumerate(zip(spaces, axes, strict=False)):
        space = tally.by_space[i]
        end = space.donors.quantile(0.995)
        width = _bar_width([space.donors], end)
        edges = np.arange(int(end / width) + 2) * width
        kinds: list[tuple[Histogram, dict[str, Any]]] = [
            (space.donors, {"color": LINE, "edgecolor": MUTED, "label": "all donors"}),
            (
                space.nearest,
                {"facecolor": "none", "edgecolor": BLUE, "linewidth": 1.5, "hatch": "////", "label": "nearest donors"},
            ),
        ]
        for histogram, settings in kinds:
            heights = 100 * histogram.bars(max(width, histogram.width)) / histogram.total
            axis.stairs(_padded(heights, len(edges) - 1), edges, fill=True, **settings)
        axis.set(xlim=(0, edges[-1]), ylim=(0, None))
        axis.set_title(label(tally.spaces[i]))
        axis.locator_params(axis="x", nbins=6)
        axis.set_ylabel("share (%)")
        axis.grid(axis="y")
        if panel == 0:
            legend_above(figure, axis)
    axes[-1].set_xlabel(f"{metric} distance" + ("" if metric == "cosine" else " (units of the embedding)"))
    return figure


def reliability(tally: Tally, metric: str) -> Figure:
    """Draw what is left when only terms of at least some reliability are kept, one panel per embedding space."""
    spaces = [i for i, space in enumerate(tally.by_space) if space.pairs.total][:MOST_SPACES]
    figure, axes = panels([1.75, *[1.4] * (len(spaces) - 1)] if spaces else [1.5])
    for panel, (i, axis) in enumerate(zip(spaces, axes, strict=False)):
        space = tally.by_space[i]
        farthest = space.donors.quantile(0.995)
        for histogram, name, (colour, dash) in (
            (space.nearest, "proteins with a term", LINES[0]),
            (space.pairs, "their annotations", LINES[1]),
        ):
            ends, below = histogram.share_below()
            # All are kept from the end of the axis up to the farthest one.
            ends, below = np.append(ends, max(ends[-1], farthest)), np.append(below, 1)
            axis.plot(
                to_reliability(ends, metric), 100 * below, color=colour, linestyle=dash, label=name, linewidth=1.6
            )
        axis.set(xlim=(to_reliability(np.array([farthest]), metric)[0], 1), ylim=(0, 105), yticks=[0, 50, 100])
        axis.set_title(label(tally.spaces[i]))
        axis.locator_params(axis="x", nbins=6)
        axis.set_ylabel("kept (%)")
        axis.grid()
        if panel == 0:
            legend_above(figure, axis)
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
    figure, (dots, found) = panels([0.8 + 0.36 * max(len(pairs), 1), 0.6 + 0.3 * len(tally.spaces)])
    places = np.arange(len(pairs))[::-1]
    for values, name, marker, colour in (
        ([100 * a.overlap / a.proteins for _, a in pairs], "same terms (mean Jaccard index)", "o", BLUE),
        ([100 * a.same_donor / a.proteins for _, a in pairs], "same nearest donor", "D", VERMILION),
    ):
        dots.plot(values, places, linestyle="none", marker=marker, color=colour, markersize=5.5, label=name)
    dots.set_yticks(places, [f"{label(tally.spaces[i])}\nand {label(tally.spaces[j])}" for (i, j), _ in pairs])
    dots.set(xlim=(-2, 102), ylim=(-0.6, len(pairs) - 0.4), xlabel="share (%)")
    dots.grid(axis="x")
    legend_above(figure, dots, handletextpad=0.2, columnspacing=1)
    numbers = np.arange(len(tally.support))
    bars(found, numbers[::-1], tally.support, int(tally.support.sum()))
    found.set_yticks(numbers[::-1], [f"by {n + 1}" for n in numbers])
    found.set(xlabel="annotations (%)", ylabel="found")
    return figure


def donors(counts: Sequence[tuple[str, int]], total: int) -> Figure:
    """Draw which species the nearest donors are of: names and counts, and the sum over all species."""
    return _named_bars(counts, total, "nearest donors (%)")


def slim(counts: Sequence[tuple[str, int]], proteins: int) -> Figure:
    """Draw how many proteins fall under each broad term: names and counts."""
    return _named_bars(counts, proteins, "annotated proteins (%)")


def aspects(tally: Tally, proteins: int) -> Figure:
    """Draw how many proteins have a term in each aspect of GO, and how many terms a protein has."""
    figure, (shares, histogram) = panels([1.5, 1.9])
    names = {"MF": "molecular function", "BP": "biological process", "CC": "cellular component"}
    counts = np.array([tally.proteins_of_aspect[aspect] for aspect in names])
    bars(shares, np.arange(3)[::-1], counts, proteins)
    shares.set_yticks(np.arange(3)[::-1], list(names.values()))
    shares.set_xlabel("proteins with a term (%)")
    numbers = np.array(list(tally.terms_per_protein), dtype=np.int64)
    most = int(numbers.max(initial=1))
    step = max(1, -(-most // 40))
    edges = np.arange(1, most + step + 1, step) - 0.5
    heights, _ = np.histogram(numbers, edges, weights=list(tally.terms_per_protein.values()))
    histogram.stairs(heights, edges, fill=True, color=SKY, edgecolor=INK)
    histogram.set(xlabel="GO terms per protein", ylabel="proteins", xlim=(0, edges[-1]))
    whole_numbers(histogram.xaxis)
    whole_numbers(histogram.yaxis)
    histogram.grid(axis="y")
    return figure


def identity(tally: Tally, metric: str) -> Figure:
    """Draw the sequence identity to the nearest donors, and how reliability goes with it."""
    figure, (shares, middles) = panels([2.1, 1.9])
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
    legend_above(figure, shares)
    return figure


def _named_bars(counts: Sequence[tuple[str, int]], total: int, unit: str) -> Figure:
    """Draw bars with their names above them, which leaves long names the whole width."""
    shown = counts[:MOST_BARS]
    figure, (axis,) = panels([0.7 + 0.36 * max(len(shown), 1)])
    places = np.arange(len(shown))[::-1]
    values = np.array([n for _, n in shown], dtype=np.int64)
    bars(axis, places - 0.18, values, total, height=0.34)
    for (name, _), place in zip(shown, places, strict=True):
        axis.text(0, place + 0.22, shortened(name, 54), va="center", ha="left")
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    axis.set(ylim=(-0.5, len(shown) - 0.45), xlabel=unit)
    return figure


def _bar_width(histograms: Sequence[Histogram], end: float) -> float:
    """Return a width that gives some 25 to 50 bars up to `end`, and that every histogram can be cut into."""
    width = max(histogram.width for histogram in histograms)
    while end / width > 50:
        width *= 2
    return width


def _padded(values: np.ndarray, n: int) -> np.ndarray:
    return np.concatenate([values[:n], np.zeros(max(n - len(values), 0))])
