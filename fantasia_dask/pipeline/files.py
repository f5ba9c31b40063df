"""The files of a run that people open, made from the transferred terms alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Config
from ..run_folder import RunFolder
from ..schema import Space

if TYPE_CHECKING:
    import pandas as pd

    from ..reference.bundle import Reference

__all__ = ["FinishedRun", "write_files"]


@dataclass(frozen=True)
class FinishedRun:
    """A run whose hits are complete, and what its files are made of.

    Attributes
    ----------
    folder : RunFolder
    config : Config
    reference : Reference
        What the hits were found in.
    spaces : tuple of Space
        The embedding spaces that were looked up, in the order of the configuration.
    manifest : dict
        What ``manifest.json`` says of the run up to its report. Times and dates in a file come from
        here, so that it is the same when it is made again.
    """

    folder: RunFolder
    config: Config
    reference: Reference
    spaces: tuple[Space, ...]
    manifest: dict[str, Any] = field(default_factory=dict)

    @property
    def pairs(self) -> list[tuple[str, int]]:
        """Model and layer of each space."""
        return [(space.model, space.layer) for space in self.spaces]


def write_files(run: FinishedRun) -> list[Path]:
    """Write the exports that the configuration asks for; return those that a person opens first.

    A new export is a module in ``report/`` with one function, called here with the tables of `run` and a path in its
    folder. It streams the annotations (`report.rows.read_blocks`), writes aside and renames, and takes no time or date
    but those of ``run.manifest``. Its name goes into `run_folder.RESULTS` too, so that a new run removes it.
    """
    import pandas as pd

    from ..report.raw_results import write_raw_csv
    from ..report.sequences import write_sequences
    from ..report.topgo import write_topgo

    folder, config, pairs = run.folder, run.config, run.pairs
    queries = pd.read_parquet(folder.queries)
    files = []
    if config.postprocess.summary.enabled:
        _write_summary(run, queries["accession"])
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
    donors = set().union(*(_donors(folder, space) for space in run.spaces))
    write_sequences(folder.path, queries=queries, proteins=run.reference.proteins, donors=donors)
    return [*files, folder.annotations]


def _donors(folder: RunFolder, space: Space) -> set[int]:
    import pandas as pd

    return set(pd.read_parquet(folder.hits(space.model, space.layer), columns=["row"])["row"].unique().tolist())


def _write_summary(run: FinishedRun, accessions: pd.Series) -> None:
    """Summarise block by block: a block holds all rows of its queries."""
    import pandas as pd

    from ..report.rows import read_blocks
    from ..report.tables import input_columns, summarise, write_summary
    from ..schema import RAW_ANNOTATIONS

    folder, config, spaces = run.folder, run.config, run.pairs
    settings = config.postprocess.summary
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
