"""The files of a run that people open, made from the transferred terms alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Config
from ..ledger import open_files
from ..progress import Progress
from ..run_folder import EXPORTS, RunFolder
from ..schema import Space
from .choices import check_choices
from .exports import Vocabulary, write_exports
from .made_from import exports_made_from
from .page import write_page_of

if TYPE_CHECKING:
    from ..reference.bundle import Reference

__all__ = ["FinishedRun", "write_files"]

FIRST = ("report.html", "summary.csv", "consensus.tsv", "topgo", "exports", "raw_results", "annotations")
"""What a person opens first, of what is there."""

CRATE_PARTS = (
    "config.yaml", "manifest.json", "status.tsv", "run.log", "queries.parquet", "hits", "annotations",
    *dict.fromkeys(Path(file).parts[0] for files in EXPORTS.values() for file in files),
)  # fmt: skip
"""What the crate lists, of what is there."""


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

    @property
    def headers(self) -> dict[str, str]:
        """The FASTA header of each query by its accession, in order; of vectors, the accession."""
        import pandas as pd

        queries = pd.read_parquet(self.folder.queries, columns=["accession", "description"])
        pairs = zip(queries["accession"].tolist(), queries["description"].tolist(), strict=True)
        return {accession: f"{accession} {rest}".rstrip() for accession, rest in pairs}

    def check_choices(self) -> None:
        """Refuse settings that say nothing of this run, before a file is touched; see `choices.check_choices`."""
        terms = Vocabulary(self).table("terms")["go_id"]
        check_choices(self.config, lambda: self.headers, self.reference.subsets, terms.tolist())


def write_files(run: FinishedRun, progress: Progress) -> list[Path]:
    """Write the exports that the configuration asks for, but those that are finished; return what a person opens first.

    A new export is a module in ``report/``, called here with the tables of `run` and a path in its folder, or, when it
    rests on the consensus of models and layers, named in `exports`. It streams (`report.rows.read_blocks`), writes
    aside and renames, and takes no time or date but those of ``run.manifest`` and `FileLedger.day`. Its name goes into
    `run_folder.EXPORTS` with its files, and into `made_from.SETTINGS` with what shapes it.
    """
    import pandas as pd

    from ..report.provenance import CRATE, write_crate
    from ..report.raw_results import write_raw_csv, write_raw_table
    from ..report.sequences import write_sequences
    from ..report.topgo import write_topgo

    folder, config, pairs = run.folder, run.config, run.pairs
    ledger = open_files(folder, exports_made_from(run), day=run.manifest["started"])
    if ledger.news:
        progress.line(ledger.news, "exports", made=ledger.why, removed=ledger.dropped)
    if "goslim" in config.exports and "goslim" not in ledger.made_from:
        progress.note(f"goslim is passed over: reference {run.reference.path} knows no slim {config.postprocess.slim}")
    accessions = pd.read_parquet(folder.queries, columns=["accession"])["accession"].tolist()
    vocabulary = Vocabulary(run)
    write_exports(run, accessions, vocabulary, ledger)
    looks: dict[str, Any] = {"precision": config.precision, "keep_sequences": config.postprocess.keep_sequences}
    raw = folder.path / "raw_results"

    def sequences() -> None:
        donors = set().union(*(folder.read_hits(*pair, ["row"])["row"].unique().tolist() for pair in pairs))
        write_sequences(folder.path, queries=folder.read_queries(), proteins=run.reference.proteins, donors=donors)

    others: dict[str, Callable[[], object]] = {
        "topgo": lambda: write_topgo(
            folder.annotations, folder.path / "topgo", spaces=pairs, precision=config.precision
        ),
        "raw-csv": lambda: write_raw_csv(folder.annotations, raw, accessions=accessions, spaces=pairs, **looks),
        "raw-tsv": lambda: write_raw_table(folder.annotations, folder.path / "annotations.tsv.gz", **looks),
        "sequences": sequences,
        "report": lambda: write_page_of(run, vocabulary),
        # the last, since it lists the others
        "ro-crate": lambda: write_crate(
            folder.path, [n for n in CRATE_PARTS if n != CRATE], name=config.prefix, manifest=run.manifest
        ),
    }
    for name, write in others.items():
        if ledger.lacks(name):
            with ledger.making(name):
                write()
    return [folder.path / name for name in FIRST if (folder.path / name).exists()]
