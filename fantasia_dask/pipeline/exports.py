"""The exports that rest on what all models, layers and donors say together: read once, written all at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._version import __version__
from .choices import genes_of, slim_of
from .job import warn

if TYPE_CHECKING:
    import pandas as pd

    from ..annotate.ontology import Ontology
    from ..ledger import FileLedger
    from ..report.facts import Adding, Facts
    from .files import FinishedRun

__all__ = ["Agreement", "Vocabulary", "write_exports"]

CONSENSUAL = (
    "consensus", "gaf", "gpad", "clusterprofiler", "goatools", "goslim", "cafa", "multiqc", "topgo-genes",
)  # fmt: skip
"""Exports that rest on the consensus of models and layers; all that lack are written in the same pass."""


class Vocabulary:
    """The terms that a run speaks in: their graph, names and aspects; built when they are needed."""

    def __init__(self, run: FinishedRun):
        self.run = run

    def table(self, name: str) -> pd.DataFrame:
        """Return a table of the run, or of the reference where the run has none of its own."""
        import pandas as pd

        own: Path = getattr(self.run.folder, f"own_{name}")
        table: pd.DataFrame = pd.read_parquet(own) if own.exists() else getattr(self.run.reference, name)
        return table

    @cached_property
    def ontology(self) -> Ontology:
        """The graph, in the release of the configuration or else of the reference."""
        from ..annotate.ontology import Ontology

        return Ontology(self.table("terms"), self.table("relations"))

    @cached_property
    def descriptions(self) -> dict[str, str]:
        """The name of each term."""
        terms = self.table("terms")
        return dict(zip(terms["go_id"].tolist(), terms["name"].tolist(), strict=True))

    @cached_property
    def complexes(self) -> frozenset[str]:
        """Protein-containing complex, and all below it."""
        from ..report.associations import COMPLEX

        ids = self.ontology.go_ids.tolist()
        return frozenset(i for i, above in zip(ids, self.ontology.implications(ids), strict=True) if COMPLEX in above)

    def slim(self) -> pd.DataFrame | None:
        """The terms of the configured slim, ``go_id, category, name``; None where there is none, see `knows_slim`."""
        import pandas as pd

        from ..schema import ASPECTS

        ids = slim_of(self.run.config, self.run.reference.subsets, self.ontology)
        if not ids:
            return None
        aspects = self.ontology.aspects[self.ontology.places(ids)]
        return pd.DataFrame(
            {
                "go_id": ids,
                "category": [ASPECTS.get(aspect, "") for aspect in aspects],
                "name": [self.descriptions.get(go_id, "") for go_id in ids],
            }
        ).astype("str")


@dataclass(frozen=True)
class Agreement:
    """Who says what of some proteins, or genes, and all that follows; each table is made when it is first asked for."""

    evidence: pd.DataFrame
    vocabulary: Vocabulary
    terms: str

    @cached_property
    def direct(self) -> pd.DataFrame:
        """The terms that the donors have, `schema.CONSENSUS`."""
        from ..annotate.consensus import agree

        return agree(self.evidence, self.vocabulary.descriptions)

    @cached_property
    def chosen(self) -> pd.DataFrame:
        """The terms that ``postprocess.terms`` asks for, `schema.CONSENSUS`."""
        from ..annotate.consensus import agree, implied, most_specific

        if self.terms == "specific":
            return most_specific(self.direct, self.vocabulary.ontology)
        if self.terms == "propagated":
            return agree(implied(self.evidence, self.vocabulary.ontology), self.vocabulary.descriptions)
        return self.direct

    @cached_property
    def closure(self) -> pd.DataFrame:
        """All terms, those that are implied among them: ``accession, go_id, score``."""
        return self.vocabulary.ontology.propagate_table(
            self.direct[["accession", "go_id"]].assign(score=self.direct["best_reliability"])
        )

    @cached_property
    def support(self) -> pd.DataFrame:
        """All terms with the share of donors that carry them: ``accession, go_id, score``."""
        from ..annotate.consensus import support

        return support(self.evidence, self.vocabulary.ontology)


def write_exports(run: FinishedRun, accessions: Sequence[str], vocabulary: Vocabulary, ledger: FileLedger) -> None:
    """Write the summary and the exports that rest on the consensus, those that lack, in one pass over the annotations.

    Parameters
    ----------
    run : FinishedRun
    accessions : sequence of str
        All queries, in order.
    vocabulary : Vocabulary
    ledger : FileLedger
        Tells which of them lack, and learns that they are finished.
    """
    if not any(map(ledger.lacks, ("summary", *CONSENSUAL))):
        return
    from ..annotate.consensus import EVIDENCE, evidence_of
    from ..annotate.genes import by_gene
    from ..report.rows import read_blocks
    from ..report.tables import input_columns, summarise, summary_files

    config = run.config
    settings = config.postprocess.summary
    asked: dict[str, Any] = {
        "k": config.limit_per_entry,
        "metrics": settings.metrics,
        "aliases": settings.aliases,
        "weights": settings.column_weights,
        "weighted_prefix": settings.weighted_prefix,
        "include_counts": settings.include_counts,
        "normalize_count": settings.normalize_count_by_limit_per_entry,
        "export_raw_count": settings.export_raw_count,
        "precision": config.precision,
        "spaces": run.pairs,
        "accessions": accessions,
    }
    columns = list(dict.fromkeys([*EVIDENCE, *input_columns(settings.metrics)]))
    genes, top = _genes(run), run.folder.path
    makers = _makers(run, vocabulary, _facts(run, genes is not None, ledger.day))
    with ExitStack() as stack:
        adding: list[tuple[str, Callable[[pd.DataFrame], None]]] = []
        files = [top / "summary.csv", top / "summary.tsv"] if ledger.lacks("summary") else []
        if files:
            stack.enter_context(ledger.making("summary"))
        add_summary = stack.enter_context(summary_files(*files))
        for name in filter(ledger.lacks, CONSENSUAL):
            stack.enter_context(ledger.making(name))  # left after the export, when that has its name
            adding += [(table, stack.enter_context(export)) for table, export in makers[name]()]

        def evidence() -> Iterator[pd.DataFrame]:
            for raw in read_blocks(run.folder.annotations, columns):
                summary = summarise(raw, **asked)
                add_summary(summary)
                if adding:
                    yield evidence_of(raw, summary, run.pairs)

        if not run.spaces:  # a header at least, also where the reference has none of the spaces asked for
            add_summary(summarise(_nothing(columns), **asked))
        blocks = evidence() if genes is None else by_gene(evidence(), genes, accessions)
        for block in blocks:
            agreement = Agreement(block, vocabulary, config.postprocess.terms)
            for table, add in adding:
                add(getattr(agreement, table))


def _nothing(columns: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    from ..schema import RAW_ANNOTATIONS

    return pd.DataFrame({c.name: pd.Series(dtype=c.dtype) for c in RAW_ANNOTATIONS if c.name in columns})


def _makers(
    run: FinishedRun, vocabulary: Vocabulary, facts: Facts
) -> Mapping[str, Callable[[], list[tuple[str, Adding]]]]:
    """Return what opens each of the `CONSENSUAL` exports: its files, each with the table of `Agreement` it takes."""
    from ..report.agreement import consensus_file, slim_file
    from ..report.associations import gaf_file, gpad_file, gpi_file
    from ..report.enrichment import associations_file, term_tables
    from ..report.multiqc import multiqc_file
    from ..report.predictions import cafa_file
    from ..report.topgo import gene_maps

    folder = run.folder.path / "exports"

    def slim() -> list[tuple[str, Adding]]:
        terms = vocabulary.slim()
        if terms is None:
            return []
        ids = terms["go_id"].tolist()
        counted = slim_file(
            folder / "goslim.tsv", lambda go_ids: vocabulary.ontology.slim(go_ids, ids, implied=True), terms
        )
        return [("direct", counted)]

    return {
        "consensus": lambda: [("chosen", consensus_file(run.folder.path / "consensus.tsv", facts.precision))],
        "gaf": lambda: [("chosen", gaf_file(folder / "annotations.gaf", facts, vocabulary.complexes))],
        "gpad": lambda: [
            ("chosen", gpad_file(folder / "annotations.gpad", facts, vocabulary.complexes)),
            ("chosen", gpi_file(folder / "annotations.gpi", facts)),
        ],
        "clusterprofiler": lambda: [("closure", term_tables(folder / "clusterprofiler", vocabulary.descriptions))],
        "goatools": lambda: [("chosen", associations_file(folder / "goatools.tsv"))],
        "goslim": slim,
        "cafa": lambda: [("support", cafa_file(folder / "cafa.tsv"))],
        "multiqc": lambda: [("chosen", multiqc_file(folder / "fantasia_dask_mqc.json", facts))],
        "topgo-genes": lambda: [("chosen", gene_maps(folder / "topgo_genes"))],
    }


def _facts(run: FinishedRun, genes: bool, day: str) -> Facts:
    from ..report.facts import Facts

    post, manifest = run.config.postprocess, run.manifest
    return Facts(
        name=run.config.prefix,
        day=datetime.fromisoformat(day).date(),
        version=__version__,
        go_release=str((manifest.get("reference") or {}).get("go_release") or ""),
        database=post.database,
        taxon=post.taxon,
        genes=genes,
        precision=run.config.precision,
        counts=manifest["counts"],
    )


def _genes(run: FinishedRun) -> Mapping[str, str] | None:
    """Return the gene of each protein that has one; None when results are wanted per protein."""
    post = run.config.postprocess
    headers = run.headers if post.by_gene else {}  # a file that is not read for nothing
    genes = genes_of(post, headers)
    if genes is not None and len(genes) < len(headers):
        warn(f"{len(headers) - len(genes)} of {len(headers)} proteins have no gene: each stands for itself.")
    return genes
