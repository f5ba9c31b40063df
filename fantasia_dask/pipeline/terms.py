"""The annotation of a run: the terms of every hit, a block of queries per task, on the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..ledger import Ledger, digest, open_ledger
from ..progress import Progress
from ..run_folder import RunFolder, read_parquet
from ..schema import PART_QUERIES, Space
from .job import Job

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client

    from ..reference.bundle import Reference
    from ..store import EmbeddingStore

__all__ = ["annotate"]


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


def annotate(
    job: Job,
    folder: RunFolder,
    store: EmbeddingStore,
    hits: Mapping[Space, Ledger],
    client: Client,
    progress: Progress,
) -> None:
    """Transfer the terms of every hit that has none yet, a part of the queries at a time, on the cluster."""
    from distributed import as_completed

    assert job.reference is not None
    q, config, tasks = len(store), job.config, []
    for space, found in hits.items():
        ledger = open_ledger(folder.annotations_of(space.model, space.layer), _made_from(job, store, found))
        if ledger.changed:
            progress.note(f"annotation in {space} {ledger.news}")
        tasks += [
            _Transfer(
                found.part(part),
                folder.queries,
                folder.donors,
                job.reference.path,
                None if job.newer_terms is None else folder.newer_annotations,
                None if job.newer_terms is None else folder.newer_terms,
                ledger.part(part),
                space,
                part * PART_QUERIES,
                min((part + 1) * PART_QUERIES, q),
                config.embedding.distance_metric,
                config.embedding.models[space.model].distance_threshold,
                config.alignments,
                config.postprocess.keep_sequences,
            )
            for part in ledger.missing(q)
        ]
    with progress.stage("annotating", q * len(hits), "queries") as advance:
        advance(q * len(hits) - sum(task.stop - task.start for task in tasks))
        futures = client.map(_transfer_block, tasks, pure=False)
        try:
            for future in as_completed(futures):
                advance(future.result())
        finally:
            client.cancel(futures)


def _made_from(job: Job, store: EmbeddingStore, hits: Ledger) -> dict[str, Any]:
    """Name everything that shapes the annotations of one embedding space."""
    return {
        **hits.made_from,
        "proteins": digest(*store.ids, *store.sequences),
        "taxa": digest(job.allowed),
        "ontology": None if job.newer_terms is None else digest(*(t.to_csv(index=False) for t in job.newer_terms)),
        "alignments": job.config.alignments,
        "keep_sequences": job.config.postprocess.keep_sequences,
    }


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
    hits = read_parquet(task.hits)
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
