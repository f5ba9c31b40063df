"""The figures of a report with the words and the numbers that belong to each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from . import figures
from .canvas import LONGEST_HEADING
from .figures import length_counts, to_reliability
from .tally import STRETCH, TWILIGHT
from .words import counted, label, percent, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .overview import Overview

__all__ = ["ASPECT_NAMES", "Plate", "draw_plates", "origin"]

ASPECT_NAMES = {"MF": "molecular function", "BP": "biological process", "CC": "cellular component"}
KEPT = (0.95, 0.75, 0.5, 0.25, 0.05)


@dataclass(frozen=True)
class Plate:
    """One figure.

    Attributes
    ----------
    name : str
        Of its files, without the ending, and of its place in the page.
    title : str
    caption : str
        What is drawn, and how it is read; empty where the page says it once for several.
    figure : Figure
    header, rows : sequences of str
        The numbers behind it; the first cell of a row names it.
    among : str
        What stands above the titles of several figures in the page, and has to be said where one stands alone.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    header: Sequence[str]
    rows: Sequence[Sequence[str]] = field(default_factory=list)
    among: str = ""

    @property
    def heading(self) -> str:
        """The title of the figure where it stands alone."""
        return f"{self.among}: {self.title.lower()}" if self.among else self.title


def origin(overview: Overview) -> str:
    """Say of which run, models and layers the figures are."""
    run = f"run {printable(str(overview.config['prefix']))}"
    spaces = [label(space) for space in overview.account.spaces[["model", "layer"]].itertuples(index=False)]
    told = " · ".join([run, *spaces])
    return told if len(told) <= LONGEST_HEADING or len(spaces) < 2 else f"{run} · {len(spaces)} models and layers"


def draw_plates(overview: Overview) -> Iterator[Plate]:
    """Draw the figures for which there are numbers, one at a time."""
    tally = overview.tally
    if (overview.lengths > 0).any():
        yield _coverage(overview)
    if any(space.donors.total for space in tally.by_space):
        yield _distances(overview)
        yield _reliability(overview)
        if any(space.nearest.counts[:, :-1].any() for space in tally.by_space):
            yield _identity(overview)
        if any(agreement.proteins for agreement in tally.agreements.values()):
            yield _overlap(overview)
        yield _donors(overview)
        yield _aspects(overview)
        if overview.slim is not None:
            yield from _slims(overview)


def _coverage(overview: Overview) -> Plate:
    account, lengths = overview.account, overview.lengths
    known = lengths > 0
    edges, counts = length_counts(lengths[known], account.embedded[known], account.annotated[known])
    rows = []
    for (start, end), fates in zip(pairwise(np.ceil(edges).astype(np.int64).tolist()), counts.tolist(), strict=True):
        if start < end:  # not narrower than a residue
            name = f"{start:,}–{end - 1:,}" if end - start > 1 else f"{start:,}"
            rows.append([name, *(f"{n:,}" for n in (sum(fates), *fates))])
    unknown = int((~known).sum())
    what = "that received a GO term" if overview.looked_up else "that a model processed"
    caption = f"Above, the share of proteins of each length {what}; below, how many there are. "
    caption += (
        "The classes are equally wide on the logarithmic axis: each ends at 1.41 times the length where it begins."
    )
    if unknown:
        caption += f" {counted(unknown, 'protein')} of unknown length {'is' if unknown == 1 else 'are'} left out."
    return Plate(
        "coverage",
        "Coverage and sequence length",
        caption,
        figures.coverage(edges, counts, looked_up=overview.looked_up),
        ["residues", "proteins", "annotated", "processed, but no term", "not processed"],
        rows,
    )


def _distances(overview: Overview) -> Plate:
    tally = overview.tally
    rows = []
    for space, numbers in zip(tally.spaces, tally.by_space, strict=True):
        low, middle, high = (f"{numbers.nearest.quantile(share):.3g}" for share in (0.05, 0.5, 0.95))
        rows.append(
            [label(space), f"{numbers.donors.total:,}", f"{numbers.donors.quantile(0.5):.3g}", middle, low, high]
        )
    return Plate(
        "distances",
        "Distance to the donors",
        "How far the donors are from the proteins they lend terms to: outlined and hatched, the nearest donor of each "
        "protein; grey, all donors. Distances of different models and layers have different scales and cannot be "
        "compared. Each axis ends where 99.5% of the donors are included.",
        figures.distances(tally, overview.metric),
        [
            "model and layer",
            "donors",
            "median, all donors",
            "median, nearest",
            "5% of the nearest",
            "95% of the nearest",
        ],
        rows,
    )


def _reliability(overview: Overview) -> Plate:
    tally, metric = overview.tally, overview.metric
    rows = []
    for space, numbers in zip(tally.spaces, tally.by_space, strict=True):
        ends, below = numbers.nearest.share_below()
        if len(ends):
            # The first bin end below which at least the wanted share of the nearest donors lies.
            cut = [ends[min(int(np.searchsorted(below, share)), len(ends) - 1)] for share in KEPT]
            rows.append([label(space), *(f"{value:.4f}" for value in to_reliability(np.array(cut), metric))])
    formula = "1 − distance" if metric == "cosine" else "0.5 / (0.5 + distance)"
    return Plate(
        "reliability",
        "Reliability of the terms",
        "What remains when only terms of at least some reliability are kept: proteins that still have a term, and "
        f"annotations, each a protein with one of its terms. The reliability index is {formula}: it "
        "orders the terms of one model and layer, and is not a probability of being right.",
        figures.reliability(tally, metric),
        ["model and layer", *(f"keeps {100 * share:.0f}% of proteins" for share in KEPT)],
        rows,
    )


def _identity(overview: Overview) -> Plate:
    tally = overview.tally
    edges = [(0, 20), (20, 30), (30, 40), (40, 60), (60, 90), (90, 100)]
    step = 100 // figures.IDENTITY_BINS
    rows = []
    for space, numbers in zip(tally.spaces, tally.by_space, strict=True):
        counts = numbers.nearest.counts.sum(axis=0)[:-1]
        classes = [int(counts[a // step : b // step].sum()) for a, b in edges]
        rows.append([label(space), *(f"{n:,} ({percent(n, int(counts.sum()))})" for n in classes)])
    return Plate(
        "identity",
        "Sequence identity to the nearest donor",
        "Above, how similar in sequence the proteins are to their nearest donors; below, how the reliability goes with "
        f"it. In the shaded zone, below {TWILIGHT}% over the whole length, sequence alignment seldom tells relatives "
        f"from strangers, unless a stretch of {STRETCH} residues or more is more alike: other terms that come from "
        "there rest on the embedding alone.",
        figures.identity(tally, overview.metric),
        ["model and layer", *(f"{a}–{b}%" for a, b in edges)],
        rows,
    )


def _overlap(overview: Overview) -> Plate:
    tally = overview.tally
    rows = []
    for (i, j), agreement in tally.agreements.items():
        n = agreement.proteins
        shared = f"{100 * agreement.overlap / n:.1f}%" if n else "–"
        names = f"{label(tally.spaces[i])} and {label(tally.spaces[j])}"
        rows.append([names, f"{n:,}", shared, percent(agreement.same_donor, n)])
    return Plate(
        "agreement",
        "Agreement between models and layers",
        "Above, each pair of models and layers over the proteins annotated by both: the share of proteins with the "
        "same nearest donor, and how many of a protein's terms both found (shared terms over all terms of the two, the "
        f"Jaccard index, averaged). Below, by how many of the {len(tally.spaces)} models and layers an annotation, a "
        "protein with one of its terms, was found.",
        figures.overlap(tally),
        ["pair", "proteins annotated by both", "same terms", "same nearest donor"],
        rows,
    )


def _donors(overview: Overview) -> Plate:
    tally = overview.tally
    total = tally.organisms.total()
    ranked = sorted(tally.organisms.items(), key=lambda pair: (-pair[1], pair[0]))
    named = [(printable(name) or "species not stated", n) for name, n in ranked]
    rest = named[figures.MOST_BARS - 1 :]
    if len(named) > figures.MOST_BARS:
        named = [*named[: figures.MOST_BARS - 1], (f"{len(rest):,} other species", sum(n for _, n in rest))]
    times = " in each model and layer" if len(tally.spaces) > 1 else ""
    return Plate(
        "donors",
        "Species of the nearest donors",
        f"The species of the nearest donor of each protein{times}. Far relatives among them are no fault: they "
        "tell which proteomes have experimental annotations to lend.",
        figures.donors(named, total),
        ["species", "nearest donors", "share"],
        [[name, f"{n:,}", percent(n, total)] for name, n in named],
    )


def _aspects(overview: Overview) -> Plate:
    tally, n = overview.tally, len(overview.account)
    distinct = {aspect: sum(a == aspect for a in tally.aspects.values()) for aspect in ASPECT_NAMES}
    rows = [
        [
            name,
            f"{tally.proteins_of_aspect[a]:,}",
            percent(tally.proteins_of_aspect[a], n),
            f"{tally.pairs_of_aspect[a]:,}",
            f"{distinct[a]:,}",
        ]
        for a, name in ASPECT_NAMES.items()
    ]
    return Plate(
        "aspects",
        "Aspects of the Gene Ontology",
        "Above, the share of all proteins with at least one term in each aspect; below, how many terms a protein "
        "received over all models and layers, as the donors have them, without the terms that these imply.",
        figures.aspects(tally, n),
        ["aspect", "proteins", "share", "annotations", "distinct terms"],
        rows,
    )


def _slims(overview: Overview) -> Iterator[Plate]:
    assert overview.slim is not None
    tally, slim = overview.tally, overview.slim
    annotated = int(overview.account.annotated.sum())
    for aspect, name in ASPECT_NAMES.items():
        here = [(go_id, n) for go_id, n in tally.proteins_of_slim.items() if slim.aspects.get(go_id) == aspect and n]
        ranked = sorted(here, key=lambda pair: (-pair[1], pair[0]))[: figures.MOST_BARS]
        if not ranked:
            continue
        named = [(slim.names.get(go_id) or go_id, n) for go_id, n in ranked]
        yield Plate(
            f"slim-{name.replace(' ', '-')}",
            name.capitalize(),
            "",
            figures.slim(named, annotated),
            ["term", "name", "proteins", "share"],
            [
                [go_id, title, f"{n:,}", percent(n, annotated)]
                for (go_id, _), (title, n) in zip(ranked, named, strict=True)
            ],
            "Annotated proteins by broad term",
        )
