"""The files of a run that people open, made from the transferred terms alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..run_folder import RunFolder
from ..schema import Space
from .job import Job

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_files"]


def write_files(job: Job, folder: RunFolder, spaces: Sequence[Space]) -> list[Path]:
    """Write the exports that the configuration asks for; return those that a person opens first."""
    import pandas as pd

    from ..report.raw_results import write_raw_csv
    from ..report.sequences import write_sequences
    from ..report.topgo import write_topgo

    assert job.reference is not None
    config = job.config
    pairs = [(space.model, space.layer) for space in spaces]
    queries = pd.read_parquet(folder.queries)
    files = []
    if config.postprocess.summary.enabled:
        _write_summary(job, folder, pairs, queries["accession"])
        files.append(folder.path / "summary.csv")
    if config.topgo:
        write_topgo(folder.annotations, folder.path / "topgo", spaces=pairs, precision=config.precision)
        files.append(folder.path / "topgo")
    if config.raw_csv:
        write_raw_csv(
            folder.annotations,
            folder.path / "raw_results",
            accessions=queries["accession"],
            spaces=pairs,
            precision=config.precision,
            keep_sequences=config.postprocess.keep_sequences,
        )
        files.append(folder.path / "raw_results")
    donors = set().union(*(folder.read_hits(s.model, s.layer, ["row"])["row"].unique().tolist() for s in spaces))
    write_sequences(folder.path, queries=queries, proteins=job.reference.proteins, donors=donors)
    return [*files, folder.annotations]


def _write_summary(job: Job, folder: RunFolder, spaces: Sequence[tuple[str, int]], accessions: pd.Series) -> None:
    """Summarise block by block: a block holds all rows of its queries."""
    import pandas as pd

    from ..report.rows import read_blocks
    from ..report.tables import input_columns, summarise, write_summary
    from ..schema import RAW_ANNOTATIONS

    settings, config = job.config.postprocess.summary, job.config
    summary = partial(
        summarise,
        k=config.limit_per_entry,
        metrics=settings.metrics,
        aliases=settings.aliases,
        weights=settings.model_dump()["weights"],
        weighted_prefix=settings.weighted_prefix,
        include_counts=settings.include_counts,
        normalize_count=settings.normalize_count_by_limit_per_entry,
        export_raw_count=settings.export_raw_count,
        precision=config.precision,
        spaces=spaces,
        accessions=accessions.tolist(),
    )
    columns = input_columns(settings.metrics)
    nothing = pd.DataFrame({c.name: pd.Series(dtype=c.dtype) for c in RAW_ANNOTATIONS if c.name in columns})
    # A header at least, also where the reference has none of the spaces asked for.
    blocks = read_blocks(folder.annotations, columns) if spaces else [nothing]
    write_summary((summary(block) for block in blocks), folder.path / "summary.csv", folder.path / "summary.tsv")
