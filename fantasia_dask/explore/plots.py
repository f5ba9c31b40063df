"""Pictures of a run, drawn with matplotlib: each function draws on the axes given, or on new ones, and returns them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..report.words import counted, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .space import OpenSpace

__all__ = ["plot_map", "plot_neighbours", "plot_reliability"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Those of Okabe and Ito, which colour-blind people tell apart; marks differ in shape too."""
MARKS = "osD^vP"
GREY = "#888888"
MARGIN = 0.04
"""Of the longest distance, left free at both ends of an axis."""
LONGEST_NAME = 60
LONGEST_ORGANISM = 28
"""Letters of a species beside a figure, which would else leave the figure half of its width."""
TICKS = 5
"""Intervals along an axis of distances, at most: their numbers are long."""
NAMED = 40
"""Donors that a map still names; more names than these would cover each other."""
JOINED = 300
"""Queries that a map still joins with their donors; more lines than these hide what they join."""


def plot_neighbours(spaces: Sequence[OpenSpace], accession: str, ax: Axes | None = None) -> Axes:
    """Draw the donors of one protein: a line per donor, a mark per space at its distance.

    Of a species, the strain or common name in parentheses is left out.

    Parameters
    ----------
    spaces : sequence of OpenSpace
    accession : str
        A query of the run.
    ax : Axes, optional

    Raises
    ------
    InputError
        If the run has no such query, or nothing was looked up.
    """
    _require(spaces)
    found = [space.neighbours(accession) for space in spaces]
    nearest: dict[int, tuple[float, str]] = {}
    for hits in found:
        for row, distance, donor, gene, organism in hits[["row", "distance", "donor", "gene", "organism"]].itertuples(
            index=False
        ):
            name = f"{_plain(f'{donor} {gene}')}\n{_plain(organism.partition(' (')[0], LONGEST_ORGANISM)}"
            nearest[row] = min(nearest.get(row, (np.inf, "")), (distance, name))
    rows = sorted(nearest, key=lambda row: (nearest[row], row))
    place = {row: -i for i, row in enumerate(rows)}
    ax = _axes(ax, height=1.2 + 0.45 * max(1, len(rows)))
    for i, (space, hits) in enumerate(zip(spaces, found, strict=True)):
        ax.scatter(hits["distance"], hits["row"].map(place), label=str(space), zorder=2, **_look(i))
    ax.set_yticks([place[row] for row in rows], [nearest[row][1] for row in rows], fontsize=8)
    ax.set_xlabel(f"{spaces[0].metric} distance")
    ax.set_title(f"Donors of {_plain(accession)}" + ("" if rows else ": none"))
    ax.grid(axis="y", color=GREY, alpha=0.3)
    farthest = max((hits["distance"].max() for hits in found if len(hits)), default=1.0) or 1.0
    ax.set_xlim(-MARGIN * farthest, (1 + MARGIN) * farthest)  # room for whole marks at both ends, and above and below
    ax.set_ylim(0.5 - max(1, len(rows)), 0.5)
    ax.locator_params(axis="x", nbins=TICKS)
    ax.legend(fontsize=8, loc="lower left")  # the nearest donors are above, so that this corner is the emptiest
    return ax


def plot_reliability(spaces: Sequence[OpenSpace], ax: Axes | None = None) -> Axes:
    """Draw how many queries are left when only nearest donors of at least some reliability are kept.

    It is read as the figure of the report is: the more is asked, farther to the right, the fewer are left.

    Parameters
    ----------
    spaces : sequence of OpenSpace
        A curve each. Queries without any donor count, so that a curve may end below 1.
    ax : Axes, optional
    """
    from matplotlib.ticker import PercentFormatter

    _require(spaces)
    ax = _axes(ax)
    found = [np.sort(space.nearest["reliability"].to_numpy()) for space in spaces]
    lowest = min((reliability[0] for reliability in found if len(reliability)), default=0.0)
    for i, (space, reliability) in enumerate(zip(spaces, found, strict=True)):
        n = len(reliability)
        # All are left where the least is asked, and none above the largest reliability.
        asked = np.concatenate([[lowest], reliability, [max(1.0, reliability.max(initial=0))]])
        left = np.concatenate([[n], np.arange(n, -1, -1)])
        ax.step(asked, left / max(1, len(space.run.store)), where="pre", label=str(space), **_line(i))
    ax.set_ylim(0, 1.03)
    ax.set_xlabel("smallest reliability that is kept")
    ax.set_ylabel("queries kept")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.grid(color=GREY, alpha=0.3)
    ax.legend(fontsize=8)
    return ax


def plot_map(space: OpenSpace, ax: Axes | None = None, *, most: int = 2000, seed: int = 0) -> Axes:
    """Draw queries and their donors in the plane of their first two principal components.

    Lines lead from each query to its nearest donor, where there are few enough to follow them (`JOINED`). Of vectors
    compared by cosine, the directions alone are drawn.

    Parameters
    ----------
    space : OpenSpace
    ax : Axes, optional
    most : int
        Queries drawn; of more, a sample, which the title then names.
    seed : int
        Of the sample.
    """
    from matplotlib.collections import LineCollection

    from .map import principal_plane
    from .space import sampled

    _require([space])
    nearest = space.nearest.set_index("query")
    among = len(nearest)
    chosen = sampled(nearest.index.to_numpy(), most, seed)
    nearest = nearest.loc[chosen]
    rows = np.unique(nearest["row"].to_numpy())
    vectors = np.concatenate([space.queries[chosen].compute(), space.reference[rows].compute()])
    plane, share = principal_plane(vectors, unit_length=space.metric == "cosine")
    queries, donors = plane[: len(chosen)], plane[len(chosen) :]
    ends = donors[np.searchsorted(rows, nearest["row"].to_numpy())]
    ax = _axes(ax, height=4.5)
    if len(chosen) <= JOINED:
        lines = list(np.stack([queries, ends], axis=1))
        ax.add_collection(LineCollection(lines, colors=GREY, linewidths=0.6, zorder=1))
    size = float(np.clip(28 * 200 / max(1, len(chosen)), 4, 28))
    ax.scatter(*donors.T, label=counted(len(rows), "donor"), zorder=2, **_look(1, size))
    ax.scatter(*queries.T, label=counted(len(chosen), "query", "queries"), zorder=3, **_look(0, size))
    if len(rows) <= NAMED:
        first = nearest.drop_duplicates("row").set_index("row").loc[rows]
        for place, gene, accession in zip(donors, first["gene"], first["donor"], strict=True):
            ax.annotate(_plain(gene or accession), place, xytext=(4, 4), textcoords="offset points", fontsize=7)
    ax.set_xlabel(f"component 1 ({share[0]:.0%} of the variance)")
    ax.set_ylabel(f"component 2 ({share[1]:.0%})")
    title = f"{_plain(str(space))}: principal components of queries and their nearest donors"
    sample = f"\na sample of {len(chosen):,} of {counted(among, 'query', 'queries')}" if len(chosen) < among else ""
    ax.set_title(title + sample, fontsize=10)
    ax.legend(fontsize=8)
    return ax


def _require(spaces: Sequence[OpenSpace]) -> None:
    for space in spaces:
        if not space.looked_up:
            raise InputError(f"{space} of {space.run.path} has no neighbours: look it up first, then draw.")
    if not spaces:
        raise InputError("the run has no neighbours to draw: it embedded only, or has not come so far.")


def _axes(ax: Axes | None, height: float = 3.6) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(7, height), layout="constrained")[1]


def _look(i: int, size: float = 28) -> dict[str, Any]:
    colour, mark, edge = COLOURS[i % len(COLOURS)], MARKS[i % len(MARKS)], 0.5 if size > 12 else 0.2
    return {"color": colour, "marker": mark, "s": size, "edgecolors": "white", "lw": edge}


def _line(i: int) -> dict[str, Any]:
    return {"color": COLOURS[i % len(COLOURS)], "linestyle": ("-", "--", ":", "-.")[i % 4], "lw": 1.8}


def _plain(text: str, most: int = LONGEST_NAME) -> str:
    """Keep matplotlib from reading formulas between the dollar signs of a name, and the name from filling the page."""
    return shortened(text, most).replace("$", r"\$")
