"""A line of this run in a MultiQC report, beside the other tools of a pipeline.

References
----------
https://docs.seqera.io/multiqc/custom_content
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..run_folder import write_json
from .facts import Facts

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["multiqc_file"]

HEADERS: dict[str, dict[str, Any]] = {
    "proteins": {"title": "Proteins", "description": "Proteins in the input", "format": "{:,.0f}"},
    "with_vector": {"title": "Embedded", "description": "Proteins that a model processed", "format": "{:,.0f}"},
    "annotated": {"title": "Annotated", "description": "Proteins with a GO term", "format": "{:,.0f}"},
    "share": {"title": "% annotated", "description": "Share of the proteins", "suffix": "%", "min": 0, "max": 100},
    "terms": {"format": "{:,.1f}"},
    "reliability": {"title": "Reliability", "description": "Mean of the best reliability of each term", "max": 1},
}


@contextmanager
def multiqc_file(path: str | os.PathLike[str], facts: Facts) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write MultiQC's custom content, a table with one line; its name must end in ``_mqc.json``.

    Yields
    ------
    callable
        Takes tables of `schema.CONSENSUS` as they come.
    """
    whose, terms, reliability = 0, 0, 0.0

    def add(consensus: pd.DataFrame) -> None:
        nonlocal whose, terms, reliability
        whose += consensus["accession"].nunique()  # proteins or genes: a table has all terms of each
        terms += len(consensus)
        reliability += float(consensus["best_reliability"].sum())

    yield add
    counts = facts.counts
    kind = "gene" if facts.genes else "protein"
    each = {"title": f"Terms per {kind}", "description": f"GO terms per annotated {kind}"}
    line = {
        "proteins": counts["proteins"],
        "with_vector": counts["embedded"],
        "annotated": counts["annotated"],
        "share": round(100 * counts["annotated"] / max(counts["proteins"], 1), 1),
        "terms": round(terms / max(whose, 1), 2),
        "reliability": round(reliability / max(terms, 1), 4),
    }
    content = {
        "id": "fantasia_dask",
        "section_name": "fantasia-dask",
        "description": "GO terms transferred by similarity in embedding space.",
        "plot_type": "table",
        "pconfig": {"id": "fantasia_dask_table", "title": "fantasia-dask: annotation", "namespace": "fantasia-dask"},
        "headers": HEADERS | {"terms": HEADERS["terms"] | each},
        "data": {facts.name: line},
    }
    write_json(Path(path), content)
