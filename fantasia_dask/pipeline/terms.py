"""The annotation of a run: the terms of every hit, a part of the queries at a time, on the cluster.

A part covers the same queries in every embedding space. Its pairs of query and donor are gathered over all spaces, so
that each is aligned once; the alignments, which take nearly all of the time, are dealt out in shares to the workers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..ledger import Ledger, digest, found_ledger, open_ledger
from ..progress import Progress
from ..run_folder import RunFolder, count_rows, read_parquet
from ..schema import PART_QUERIES, Space
from .files import FinishedRun

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client, Future

    from ..reference.bundle import Reference

__all__ = ["annotate"]

TRANSFER_VERSION = 1
"""Of the rows that hits are turned into. Raise it by one with a change after which the same hits could give others; see
`neighbours.LOOKUP_VERSION`."""

SHARE_PAIRS = 1024
"""Pairs that one task aligns, at most: about a second of work."""

AHEAD = 2
"""Parts that each worker thread has before it: enough to keep it busy, so that a long run stays a short list."""


@dataclass(frozen=True)
class _Part:
    """A part of the queries, and the embedding spaces in which its terms are not yet known. Paths alone, no tables."""

    number: int
    start: int
    stop: int
    folder: RunFolder
    reference: Path
    fingerprint: str
    own: bool
    spaces: tuple[tuple[Space, float | None], ...]
    metric: str
    alignments: str
    keep_sequences: bool


def annotate(run: FinishedRun, client: Client, progress: Progress) -> None:
    """Transfer the terms of every hit that has none yet, a part of the queries at a time, on the cluster.

    Parts of an earlier run that were made from the same stay.
    """
    from distributed import as_completed

    q = count_rows(run.folder.queries)
    parts = _missing_parts(run, q, progress)
    left = sum((part.stop - part.start) * len(part.spaces) for part in parts)
    with progress.stage("annotating", q * len(run.spaces), "queries") as advance:
        advance(q * len(run.spaces) - left)
        tasks = (_submitted(part, run.config.limit_per_entry, client) for part in parts)
        running = as_completed(islice(tasks, AHEAD * sum(client.nthreads().values())))
        try:
            for future in running:
                advance(future.result())
                for task in islice(tasks, 1):
                    running.add(task)
        finally:
            client.cancel(list(running.futures))


def _missing_parts(run: FinishedRun, q: int, progress: Progress) -> list[_Part]:
    """Open the ledger of every space, and list the parts that one of them lacks."""
    folder, config = run.folder, run.config
    shaping, lacking = _shaping(run), defaultdict(list)
    for space in run.spaces:
        hits = found_ledger(folder.hits(space.model, space.layer))
        ledger = open_ledger(folder.annotations_of(space.model, space.layer), {**hits.made_from, **shaping})
        if ledger.changed:
            progress.line(f"annotation in {space} {ledger.news}", "starts-anew", changed=ledger.changed)
        for part in ledger.missing(q):
            lacking[part].append((space, config.embedding.models[space.model].distance_threshold))
    if lacking:
        folder.clear_exports()  # they are of other annotations
    return [
        _Part(
            part,
            part * PART_QUERIES,
            min((part + 1) * PART_QUERIES, q),
            folder,
            run.reference.path,
            run.reference.fingerprint,
            folder.own_annotations.exists(),
            tuple(lacking[part]),
            config.embedding.distance_metric,
            config.alignments,
            config.postprocess.keep_sequences,
        )
        for part in sorted(lacking)
    ]


def _shaping(run: FinishedRun) -> dict[str, Any]:
    """Name what shapes the annotations of every space, beside its hits."""
    folder, own = run.folder, run.folder.own_annotations
    return {
        "transfer_version": TRANSFER_VERSION,
        "proteins": digest(*_query_digests(folder.queries)),
        "taxa": digest(read_parquet(folder.donors)["protein"].to_numpy()),
        "ontology": _digests(own, folder.own_terms) if own.exists() else None,
        "alignments": run.config.alignments,
        "keep_sequences": run.config.postprocess.keep_sequences,
    }


def _query_digests(path: Path) -> Iterator[str]:
    """Yield a digest of the queries of each part: those of a long run are never all in memory."""
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(PART_QUERIES, columns=["accession", "sequence"]):
        yield digest(*batch["accession"].to_pylist(), *batch["sequence"].to_pylist())


def _digests(*tables: Path) -> str:
    return digest(*(read_parquet(table).to_csv(index=False) for table in tables))


def _submitted(part: _Part, k: int, client: Client) -> Future:
    """Send a part to the cluster: its alignments in shares, then its terms."""
    pairs = (part.stop - part.start) * k * len(part.spaces)
    shares = 0 if part.alignments == "none" else max(1, -(-pairs // SHARE_PAIRS))
    aligned = [client.submit(_align_share, part, (i, shares), pure=False) for i in range(shares)]
    return client.submit(_transfer_part, part, aligned, pure=False)


# On a worker --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _reference(path: Path, fingerprint: str) -> Reference:
    """Open the reference once per worker process: its tables are read for the first block and kept for the next.

    A worker may outlive the reference: one that was built anew in the same place has another fingerprint.
    """
    from ..reference.bundle import open_reference

    reference = open_reference(path)
    reference.check_in_place(fingerprint)
    return reference


@lru_cache(maxsize=4)
def _read(path: Path, modified: int) -> pd.DataFrame:
    import pandas as pd

    return pd.read_parquet(path)


def _table(path: Path) -> pd.DataFrame:
    """Read a table of the run once per worker process, and again when another run has written it anew."""
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _lenders(reference: Path, fingerprint: str, donors: Path, modified: int) -> pd.DataFrame:
    """Return the proteins that passed the filters, once per worker process."""
    return _reference(reference, fingerprint).proteins.iloc[_read(donors, modified)["protein"].to_numpy()]


def _tables(part: _Part) -> dict[str, Any]:
    """Return the queries of a part, the proteins that may lend, and their annotations."""
    import pandas as pd

    here = [("row", ">=", part.start), ("row", "<", part.stop)]
    donors, annotations = part.folder.donors, part.folder.own_annotations
    return {
        "queries": pd.read_parquet(part.folder.queries, filters=here),
        "proteins": _lenders(part.reference, part.fingerprint, donors, donors.stat().st_mtime_ns),
        "annotations": _table(annotations) if part.own else _reference(part.reference, part.fingerprint).annotations,
    }


def _hits(part: _Part, space: Space) -> pd.DataFrame:
    return read_parquet(Ledger(part.folder.hits(space.model, space.layer), {}).part(part.number))


def _align_share(part: _Part, share: tuple[int, int]) -> pd.DataFrame:
    """Align a share of a part's pairs, found in whichever spaces."""
    import pandas as pd

    from ..annotate.transfer import align_hits

    hits = pd.concat([_hits(part, space) for space, _ in part.spaces], ignore_index=True)
    return align_hits(hits, **_tables(part), method=part.alignments, threads=1, share=share)


def _transfer_part(part: _Part, aligned: Sequence[pd.DataFrame]) -> int:
    """Transfer the terms of a part in every space that lacks them; return the number of queries times spaces."""
    import pandas as pd

    from ..annotate.transfer import transfer_terms, write_annotations
    from ..interchange import TYPE_IDS

    tables = _tables(part)
    terms = _table(part.folder.own_terms) if part.own else _reference(part.reference, part.fingerprint).terms
    alignments = pd.concat(aligned, ignore_index=True) if aligned else "none"
    for space, threshold in part.spaces:
        frame = transfer_terms(
            _hits(part, space),
            **tables,
            terms=terms,
            space=space,
            type_id=TYPE_IDS.get(space.model, 0),
            metric=part.metric,
            threshold=threshold,
            alignments=alignments,
            keep_sequences=part.keep_sequences,
        )
        out = Ledger(part.folder.annotations_of(space.model, space.layer), {}).part(part.number)
        # Tables are read when they are asked for: what was read of another reference must not be kept as finished.
        _reference(part.reference, part.fingerprint).check_in_place(part.fingerprint)
        write_annotations(frame, out)
    return (part.stop - part.start) * len(part.spaces)
