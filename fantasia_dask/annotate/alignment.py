"""Alignments of the surviving pairs: how alike are a query and its donor as sequences?

Global (Needleman-Wunsch) and local (Smith-Waterman), BLOSUM62, opening a gap costs 10 and lengthening it 1, by
parasail. The numbers are counted on the alignment itself, column by column. Letters that BLOSUM62 does not know
(U, O, J) score as its ``*``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from ..schema import RAW_ANNOTATIONS, names

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "MAX_CELLS", "METHODS", "align_pairs"]

MAX_CELLS = 50_000_000
"""Length times length up to which an alignment is traced: at 4 bytes a cell, 200 MB for each thread."""

METHODS = ("trace", "statistics")
GAP_OPEN, GAP_EXTEND = 10, 1
MEASURES = ("identity", "similarity", "alignment_score", "gaps_percentage", "alignment_length")
COLUMNS = tuple(name for name in names(RAW_ANNOTATIONS) if name.removesuffix("_sw") in MEASURES)
"""The ten columns, five of the global and five of the local alignment, as they are called in RAW_ANNOTATIONS."""

SEVERAL = 64
"""Pairs that a thread takes at a time."""

Measures = tuple[float, float, float, float, float]
NOTHING: Measures = (0.0, 0.0, 0.0, 0.0, 0.0)


def align_pairs(
    pairs: Sequence[tuple[str, str]],
    *,
    method: str = "trace",
    threads: int | None = None,
    max_cells: int = MAX_CELLS,
) -> pd.DataFrame:
    """Align pairs of sequences globally and locally.

    Each distinct pair is aligned once. With ``"trace"``, the numbers are those of the alignment that FANTASIA writes.
    With ``"statistics"``, and for pairs beyond `max_cells`, parasail counts while it fills the table, in memory
    proportional to the lengths: the score is the same, but where several alignments share it the global one counted
    may be another than the traced one, so identity, similarity, gaps and length can differ a little.

    Parameters
    ----------
    pairs : sequence of (str, str)
        A query and a donor each; lower case counts as upper case.
    method : {"trace", "statistics"}
        See above.
    threads : int, optional
        Threads that align at the same time; by default one per processor. parasail works outside the GIL.
    max_cells : int
        Product of the two lengths up to which an alignment is traced. Memory: 4 bytes per cell and thread.

    Returns
    -------
    DataFrame, shape (len(pairs), 11)
        The columns `COLUMNS`, float64, and ``alignment_method``, str, which says how each pair was aligned; rows in the
        order of `pairs`. Identity, similarity and gaps are fractions of the columns
        of the alignment; identical letters count as similar. NaN where one of the sequences is empty; zeros in the
        local columns where no two letters score above zero.

    References
    ----------
    Daily (2016) Parasail: SIMD C library for global, semi-global, and local pairwise sequence alignments.
    BMC Bioinformatics 17, 81.

    Examples
    --------
    >>> align_pairs([("MKTAYIAK", "MKTAIAK")])[["identity", "alignment_score", "alignment_length", "identity_sw"]]
       identity  alignment_score  alignment_length  identity_sw
    0     0.875             22.0               8.0        0.875
    """
    import pandas as pd

    if method not in METHODS:
        raise ValueError(f"method is {method!r}, expected one of {METHODS}")
    numbers: dict[tuple[str, str], int] = {}
    which = np.fromiter((numbers.setdefault(pair, len(numbers)) for pair in pairs), np.int64, len(pairs))
    distinct = [(a.upper(), b.upper()) for a, b in numbers]
    traceable = max_cells if method == "trace" else 0

    def align(several: list[int]) -> list[tuple[float, ...]]:
        return [_align(*distinct[i], traceable) for i in several]

    values = np.full((len(distinct), len(COLUMNS)), np.nan)
    portions = list(_portions(distinct))
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        for portion, measures in zip(portions, pool.map(align, portions), strict=True):
            if portion:
                values[portion] = measures
    frame = pd.DataFrame(values, columns=list(COLUMNS))
    cells = np.array([len(a) * len(b) for a, b in distinct], dtype=np.int64)
    frame["alignment_method"] = pd.Series(
        np.select([cells == 0, cells <= traceable], ["", "trace"], "statistics"), dtype="str"
    )
    return frame.take(which).reset_index(drop=True)


def _portions(pairs: Sequence[tuple[str, str]]) -> Iterator[list[int]]:
    """Deal out the pairs that can be aligned, longest first, so that no thread is left with a giant at the end."""
    cells = np.array([len(a) * len(b) for a, b in pairs], dtype=np.int64)
    order = np.argsort(-cells, kind="stable")[: np.count_nonzero(cells)].tolist()
    for start in range(0, len(order), SEVERAL):
        yield order[start : start + SEVERAL]


def _align(query: str, donor: str, max_cells: int) -> tuple[float, ...]:
    measure = _traced if len(query) * len(donor) <= max_cells else _counted
    return measure("nw", query, donor) + measure("sw", query, donor)


def _run(kind: str, query: str, donor: str) -> Any:
    """Run one of parasail's functions in 16 bits, and again in 32 when the score does not fit."""
    import parasail

    for bits in (16, 32):
        result = getattr(parasail, f"{kind}_striped_{bits}")(query, donor, GAP_OPEN, GAP_EXTEND, parasail.blosum62)
        if not result.saturated:
            break
    return result


def _traced(kind: str, query: str, donor: str) -> Measures:
    """Count on the traceback, where parasail marks equal letters with ``|`` and other positive scores with ``:``."""
    result = _run(f"{kind}_trace", query, donor)
    if result.score <= 0 and kind == "sw":
        return NOTHING  # parasail's own score of an empty local alignment is not a number to show
    marks = result.traceback.comp
    equal, columns = marks.count("|"), len(marks)
    return _measures(equal, equal + marks.count(":"), result.score, marks.count(" "), columns)


def _counted(kind: str, query: str, donor: str) -> Measures:
    """Take parasail's own counts; gaps follow from the lengths, since each column without one uses two letters."""
    if kind == "sw":
        query, donor = _local_parts(query, donor)
        if not query:
            return NOTHING
    # The local alignment is the global one of the two stretches that it spans.
    result = _run("nw_stats", query, donor)
    gaps = 2 * result.length - len(query) - len(donor)
    # `similar` leaves out equal letters that score below zero (X, X): they are similar here, as in a traceback.
    similar = max(result.similar, result.matches)
    return _measures(result.matches, similar, result.score, gaps, result.length)


def _local_parts(query: str, donor: str) -> tuple[str, str]:
    """Return the stretches that the best local alignment spans: its end, then its end in the mirror image."""
    forth = _run("sw", query, donor)
    if forth.score <= 0:
        return "", ""
    query, donor = query[: forth.end_query + 1][::-1], donor[: forth.end_ref + 1][::-1]
    back = _run("sw", query, donor)
    return query[: back.end_query + 1][::-1], donor[: back.end_ref + 1][::-1]


def _measures(equal: int, similar: int, score: int, gaps: int, columns: int) -> Measures:
    return equal / columns, similar / columns, float(score), gaps / columns, float(columns)
