"""The annotation of a run: the terms of every hit, a block of queries per task, on the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..progress import Progress
from ..schema import Space
from .files import FinishedRun

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client

    from ..reference.bundle import Reference

__all__ = ["annotate"]

BLOCK_QUERIES = 1024
"""Queries whose terms are transferred by one task and kept in one Parquet file."""


@dataclass(frozen=True)
class _Transfer:
    """One task of the annotation stage: a block of queries in one embedding space. It carries paths, no tables."""

    hits: Path
    queries: Path
    donors: Path
    reference: Path
    annotations: Path | None
    terms: Path | None
    out: Path
    space: Space
    start: int
    stop: int
    metric: str
    threshold: float | None
    alignments: str
    keep_sequences: bool


def annotate(run: FinishedRun, client: Client, progress: Progress) -> None:
    """Transfer the terms of every hit, a block of queries at a time, on the cluster."""
    import pyarrow.parquet as pq
    from distributed import as_completed

    from ..store import remove

    folder, config, spaces = run.folder, run.config, run.spaces
    remove(folder.annotations)
    q = pq.ParquetFile(folder.queries).metadata.num_rows
    newer = folder.newer_annotations.exists()
    tasks = [
        _Transfer(
            folder.hits(space.model, space.layer),
            folder.queries,
            folder.donors,
            run.reference.path,
            folder.newer_annotations if newer else None,
            folder.newer_terms if newer else None,
            folder.annotation_part(space.model, space.layer, start // BLOCK_QUERIES),
            space,
            start,
            min(start + BLOCK_QUERIES, q),
            config.embedding.distance_metric,
            config.embedding.models[space.model].distance_threshold,
            config.alignments,
            config.postprocess.keep_sequences,
        )
        for space in spaces
        for start in range(0, q, BLOCK_QUERIES)
    ]
    with progress.stage("annotating", q * len(spaces), "queries") as advance:
        futures = client.map(_transfer_block, tasks, pure=False)
        try:
            for future in as_completed(futures):
                advance(future.result())
        finally:
            client.cancel(futures)


@lru_cache(maxsize=1)
def _reference(path: Path) -> Reference:
    """Open the reference once per worker process: its tables are read for the first block and kept for the next."""
    from ..reference.bundle import open_reference

    return open_reference(path)


@lru_cache(maxsize=4)
def _read(path: Path, modified: int) -> pd.DataFrame:
    import pandas as pd

    return pd.read_parquet(path)


def _table(path: Path) -> pd.DataFrame:
    """Read a table of the run once per worker process, and again when another run has written it anew."""
    return _read(path, path.stat().st_mtime_ns)


def _transfer_block(task: _Transfer) -> int:
    """Transfer the terms of one block of queries and write them; return the number of queries."""
    import pandas as pd

    from ..annotate.transfer import transfer_terms, write_annotations
    from ..interchange import TYPE_IDS

    here = [("row", ">=", task.start), ("row", "<", task.stop)]
    hits = pd.read_parquet(task.hits, filters=[("query", op, row) for _, op, row in here])
    reference = _reference(task.reference)
    allowed = _table(task.donors)["protein"].to_numpy()
    frame = transfer_terms(
        hits,
        queries=pd.read_parquet(task.queries, filters=here),
        proteins=reference.proteins.iloc[allowed],
        annotations=reference.annotations if task.annotations is None else _table(task.annotations),
        terms=reference.terms if task.terms is None else _table(task.terms),
        space=task.space,
        type_id=TYPE_IDS.get(task.space.model, 0),
        metric=task.metric,
        threshold=task.threshold,
        alignments=task.alignments,
        keep_sequences=task.keep_sequences,
        threads=1,
    )
    write_annotations(frame, task.out)
    return task.stop - task.start
