"""FASTA, annotations and ontology to the tables of a reference."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, did_you_mean
from ..schema import ANNOTATIONS, PROTEINS, Column, names
from ..sequences import Protein
from .dump_check import verify_dump
from .lineages import taxonomy_table
from .ncbi import dump_files
from .obo import Ontology, read_obo
from .sources import AnnotationSource, ReferenceProtein, check_files, read_annotations, read_proteins

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CURATED",
    "EXPERIMENTAL",
    "ReferenceTables",
    "annotated",
    "check_evidence",
    "collect",
    "current_annotations",
    "typed",
    "with_taxonomy",
]

EXPERIMENTAL = ("EXP", "IDA", "IPI", "IMP", "IGI", "IEP", "HTP", "HDA", "HMP", "HGI", "HEP", "TAS", "IC")
"""GO's experimental codes, those of high-throughput experiments included, and the two by which a curator vouches.

FANTASIA keeps `CURATED` alone. The H codes are experiments too, and were plain EXP, IDA, IMP, IGI and IEP until GO
split them off in 2018; leaving them out would make a reference depend on the year of its annotation file. In yeast
and E. coli they carry every twelfth annotation, most of them localisations.
"""

CURATED = ("EXP", "IDA", "IPI", "IMP", "IGI", "IEP", "TAS", "IC")
"""The evidence codes of the references that FANTASIA publishes."""

ID_COUNTS = (
    "annotations_alternative_replaced",
    "annotations_alternative_dropped",
    "annotations_obsolete_replaced",
    "annotations_obsolete_dropped",
    "annotations_unknown_dropped",
    "go_ids_alternative",
    "go_ids_obsolete",
    "go_ids_unknown",
)

ALL_CODES = (*EXPERIMENTAL, "IBA", "IBD", "IKR", "IRD", "ISS", "ISO", "ISA", "ISM", "IGC", "RCA", "NAS", "IEA")


@dataclass(frozen=True)
class ReferenceTables:
    """A reference but for its vectors.

    Attributes
    ----------
    proteins : DataFrame
        Columns of `schema.PROTEINS`; the proteins of one sequence share a row.
    annotations : DataFrame
        Columns of `schema.ANNOTATIONS`, grouped by protein.
    terms, relations : DataFrame
        The ontology, columns of `schema.TERMS` and `schema.RELATIONS`.
    counts : dict
        What was read, kept, replaced and left out; JSON values.
    go_release : str
        The ontology's ``data-version``.
    evidence : tuple of str
        The evidence codes that were kept.
    sources : tuple of Path
        The files that were read.
    taxonomy : DataFrame or None
        Columns of `schema.TAXONOMY`, as `taxonomy_table` makes it, if an NCBI dump was at hand.
    subsets : DataFrame or None
        Columns of `schema.SUBSETS`, GO's slims among them, if an ontology was at hand.
    """

    proteins: pd.DataFrame
    annotations: pd.DataFrame
    terms: pd.DataFrame
    relations: pd.DataFrame
    counts: dict[str, Any]
    go_release: str = ""
    evidence: tuple[str, ...] = EXPERIMENTAL
    sources: tuple[Path, ...] = field(default=())
    taxonomy: pd.DataFrame | None = None
    subsets: pd.DataFrame | None = None

    @cached_property
    def representatives(self) -> list[Protein]:
        """The first protein of each row, in row order: what is embedded, and names the row in the store."""
        first = self.proteins.drop_duplicates("row").sort_values("row")
        return [Protein(a, s) for a, s in zip(first["accession"], first["sequence"], strict=True)]


def typed(table: pd.DataFrame, columns: Iterable[Column]) -> pd.DataFrame:
    """Return a table with exactly these columns, in order and of their dtypes, its lines numbered from 0."""
    columns = list(columns)
    return table[names(columns)].astype({c.name: c.dtype for c in columns}).reset_index(drop=True)


def collect(
    fasta: str | os.PathLike[str],
    annotations: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    ontology: str | os.PathLike[str],
    *,
    evidence: Collection[str] | None = None,
    taxonomy_dump: str | os.PathLike[str] | None = None,
) -> ReferenceTables:
    """Bring proteins, annotations and ontology together.

    Proteins of one sequence share a row; rows are numbered in the order in which sequences first appear. Of the
    annotations stay those of proteins in the FASTA, with a chosen evidence code, without ``NOT`` and ``ND``; their
    GO ids are brought to current terms, and what cannot be is dropped. All of it is counted.

    Parameters
    ----------
    fasta
        Proteins; UniProt headers give accession, taxon, organism and gene. Records without residues are left out.
    annotations
        One file or several: GAF 2.0 to 2.2, GPAD 1.0 to 2.0, tables with a header line, or lists of GO ids.
    ontology
        OBO file.
    evidence : collection of str, optional
        Evidence codes to keep; by default `EXPERIMENTAL`. Annotations without a code are kept.
    taxonomy_dump : path, optional
        Folder of an NCBI dump; the reference then carries the lineages of its taxa, and needs no dump later.

    Raises
    ------
    InputError
        If a file is broken, an evidence code is unknown, or no annotation is left.
    """
    check_files(fasta)
    table, counts = _number_proteins(read_proteins(fasta))
    tables = annotated(table, counts, annotations, ontology, evidence=evidence, sources=[fasta])
    return tables if taxonomy_dump is None else with_taxonomy(tables, taxonomy_dump)


def annotated(
    proteins: pd.DataFrame,
    counts: dict[str, Any],
    annotations: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    ontology: str | os.PathLike[str],
    *,
    evidence: Collection[str] | None = None,
    sources: Iterable[str | os.PathLike[str]] = (),
) -> ReferenceTables:
    """Give numbered proteins their annotations, as `collect` does.

    Parameters
    ----------
    proteins : DataFrame
        Columns of `schema.PROTEINS`.
    counts : dict
        What has been counted so far.
    annotations, ontology, evidence
        As for `collect`.
    sources
        The files that the proteins were read from.

    Raises
    ------
    InputError
        As `collect`.
    """
    codes = check_evidence(evidence)
    paths = [Path(p) for p in ([annotations] if isinstance(annotations, str | os.PathLike) else annotations)]
    check_files(*paths, ontology)
    graph = read_obo(ontology)
    accessions, wanted = frozenset(proteins["accession"]), frozenset((*codes, ""))
    read = [read_annotations(path, proteins=accessions, evidence=wanted) for path in paths]
    kept, annotation_counts = _annotate(proteins, read, graph, paths)
    table = _with_taxa(proteins, read)
    counts = counts | annotation_counts | {"taxa": int(table["taxon"].nunique())}
    return ReferenceTables(
        typed(table, PROTEINS),
        typed(kept, ANNOTATIONS),
        graph.terms,
        graph.relations,
        counts,
        graph.release,
        codes,
        (*map(Path, sources), *paths, Path(ontology)),
        subsets=graph.subsets,
    )


def with_taxonomy(tables: ReferenceTables, dump: str | os.PathLike[str]) -> ReferenceTables:
    """Add the lineages of the taxa of a reference, from the folder of an NCBI dump.

    Raises
    ------
    InputError
        If the dump is incomplete or broken.
    """
    verify_dump(dump)  # taxa that a cut dump lacks would pass for taxa that NCBI does not know
    taxa = set(tables.proteins["taxon"].tolist()) - {0}
    taxonomy = taxonomy_table(dump, taxa)
    counts = tables.counts | {"taxa_without_lineage": len(taxa - set(taxonomy["taxon"].tolist()))}
    return replace(tables, taxonomy=taxonomy, counts=counts, sources=(*tables.sources, *dump_files(dump)))


def check_evidence(evidence: Collection[str] | None) -> tuple[str, ...]:
    """Return the evidence codes asked for, `EXPERIMENTAL` when none are; one that GO does not have is refused."""
    if evidence is None:
        return EXPERIMENTAL
    codes = tuple(dict.fromkeys([evidence] if isinstance(evidence, str) else evidence))
    for code in codes:
        if code not in ALL_CODES:
            raise InputError(
                f"{code!r} is not an evidence code of GO: expected {', '.join(ALL_CODES)}."
                + did_you_mean(code.upper(), ALL_CODES)
            )
    if not codes:
        raise InputError("no evidence code is chosen: a reference needs at least one, for instance IDA.")
    return codes


def _number_proteins(proteins: list[ReferenceProtein]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Number the proteins and give those of one sequence one row."""
    import pandas as pd

    rows: dict[str, int] = {}
    lines: list[tuple[int, int, str, int, str, str, int, str]] = []
    for p in proteins:
        if p.sequence:
            row = rows.setdefault(p.sequence, len(rows))
            lines.append((len(lines), row, p.accession, p.taxon, p.organism, p.gene, len(p.sequence), p.sequence))
    counts = {"proteins": len(lines), "rows": len(rows), "proteins_without_sequence": len(proteins) - len(lines)}
    if not lines:
        raise InputError("no protein of the FASTA has a sequence: a reference needs at least one.")
    return pd.DataFrame(lines, columns=names(PROTEINS)), counts


def _with_taxa(proteins: pd.DataFrame, sources: list[AnnotationSource]) -> pd.DataFrame:
    """Take the taxon of a protein from its annotations where its header names none."""
    if (proteins["taxon"] != 0).all():
        return proteins
    known: dict[str, int] = {}
    for source in sources:
        known = source.taxa | known  # the first file that tells
    found = proteins["accession"].map(known).fillna(0).astype("int64")
    return proteins.assign(taxon=proteins["taxon"].where(proteins["taxon"] != 0, found))


def _annotate(
    proteins: pd.DataFrame,
    sources: list[AnnotationSource],
    graph: Ontology,
    paths: list[Path],
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Bring the annotations that were kept to current terms, and count what that takes away."""
    import pandas as pd

    if not sources:
        raise InputError("no file of annotations is given: a reference needs at least one.")
    counts: Counter[str] = Counter()
    for source in sources:
        counts.update({f"annotations_{reason}": n for reason, n in source.counts.items()})
    table = pd.concat([source.table for source in sources], ignore_index=True)
    number = table["accession"].map(proteins.set_index("accession")["protein"])
    table, id_counts = current_annotations(table.assign(protein=number.astype("int64")), graph)
    counts.update(id_counts)
    table = table.rename(columns={"reference": "source"})[names(ANNOTATIONS)]
    duplicate = table.duplicated()
    counts["annotations_duplicate"] = int(duplicate.sum())
    table = table[~duplicate].sort_values("protein", kind="stable")
    if table.empty:
        raise InputError(_nothing_left(proteins, sources, counts, paths))
    by_evidence = table["evidence"].value_counts().sort_index()
    return table, {
        **counts,
        "annotations": len(table),
        "annotated_proteins": int(table["protein"].nunique()),
        "evidence": {code or "none": int(n) for code, n in by_evidence.items()},
    }


def _nothing_left(
    proteins: pd.DataFrame, sources: list[AnnotationSource], counts: Counter[str], paths: list[Path]
) -> str:
    """Tell why no annotation is left, with an example from each side."""
    where = ", ".join(map(str, paths))
    example = next((source.example for source in sources if source.example), "none")
    reasons = [
        (counts["annotations_not"], "say what a protein does not do (NOT)"),
        (counts["annotations_no_data"], "say that nothing is known (ND)"),
        (counts["annotations_other_evidence"], "have other evidence codes"),
        (
            counts["annotations_other_protein"],
            f"are of other proteins ({example!r}, where the reference has {proteins['accession'].iloc[0]!r})",
        ),
        (
            sum(counts[f"annotations_{kind}_dropped"] for kind in ("alternative", "obsolete", "unknown")),
            "have terms that the ontology does not have",
        ),
    ]
    told = ", ".join(f"{n} {reason}" for n, reason in reasons if n) or "there are none"
    return f"no annotation of {where} can be used: of {counts['annotations_read']} lines {told}."


def current_annotations(table: pd.DataFrame, graph: Ontology) -> tuple[pd.DataFrame, dict[str, int]]:
    """Bring GO ids to current terms, or drop them; count both the annotations and the distinct ids concerned."""
    terms = graph.terms
    replaced_by = dict(zip(terms["go_id"], terms["replaced_by"], strict=True))
    obsolete = dict(zip(terms["go_id"], terms["obsolete"], strict=True))
    aspects = dict(zip(terms["go_id"], terms["aspect"], strict=True))
    current, counts = {}, dict.fromkeys(ID_COUNTS, 0)
    for go_id, lines in table["go_id"].value_counts().items():
        current[go_id] = _follow(str(go_id), replaced_by, obsolete)
        kind = _kind(str(go_id), replaced_by, obsolete)
        if kind != "current":
            outcome = "replaced" if current[go_id] else "dropped"
            counts[f"annotations_{kind}_{outcome}"] += int(lines)
            counts[f"go_ids_{kind}"] += 1
    found = table["go_id"].map(current).astype("str")
    kept = table.assign(go_id=found)[found != ""]
    # The ontology knows the aspect; a file's own is only for terms outside the three.
    aspect = kept["go_id"].map(aspects).astype("str")
    return kept.assign(aspect=aspect.where(aspect != "", kept["aspect"])), counts


def _kind(go_id: str, replaced_by: dict[str, str], obsolete: dict[str, bool]) -> str:
    if go_id not in replaced_by:
        return "unknown"
    if obsolete[go_id]:
        return "obsolete"
    return "alternative" if replaced_by[go_id] else "current"


def _follow(go_id: str, replaced_by: dict[str, str], obsolete: dict[str, bool]) -> str:
    """Follow replacements to a current term; an empty string when they end nowhere, or in a circle."""
    seen: set[str] = set()
    while go_id in replaced_by and go_id not in seen:
        if not replaced_by[go_id]:
            return "" if obsolete[go_id] else go_id
        seen.add(go_id)
        go_id = replaced_by[go_id]
    return ""
