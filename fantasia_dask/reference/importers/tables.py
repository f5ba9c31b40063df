"""What every importer ends with: lines of proteins and annotations, brought to the tables of a reference."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError
from ...schema import ANNOTATIONS, PROTEINS, RELATIONS, TERMS, names
from ...sequences import MARKS
from ..annotation_lines import ASPECTS
from ..build import ReferenceTables, check_evidence, current_annotations, typed
from ..obo import read_obo

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["clean_sequence", "letter_of", "reference_tables", "tally", "taxon_number"]

NO_GRAPH = "names and aspects of the source, without relations; give an ontology to have them"


def reference_tables(
    proteins: pd.DataFrame,
    annotations: pd.DataFrame,
    terms: Sequence[tuple[str, str, str]],
    *,
    ontology: str | os.PathLike[str] | None,
    evidence: Collection[str] | None,
    counts: dict[str, Any],
    sources: Iterable[Path],
) -> ReferenceTables:
    """Bring the lines of a source to the tables of a reference, and count what is left out.

    Parameters
    ----------
    proteins : DataFrame
        Columns of `schema.PROTEINS`.
    annotations : DataFrame
        Columns of `schema.ANNOTATIONS`, in any order; GO ids as the source has them.
    terms : sequence of (GO id, name, aspect)
        What the source knows of its terms; used where there is no `ontology`.
    ontology : path, optional
        OBO: GO ids are brought to its current terms, and its graph goes into the reference.
    evidence : collection of str, optional
        Codes to keep; by default all that the source has.
    counts : dict
        What the importer has counted so far.
    sources
        The files that were read.

    Raises
    ------
    InputError
        If no annotation is left, an evidence code is unknown, or the ontology is broken.
    """
    import pandas as pd

    counts = dict(counts)
    if evidence is not None:
        chosen = annotations["evidence"].isin((*check_evidence(evidence), ""))
        counts["annotations_other_evidence"] = int((~chosen).sum())
        annotations = annotations[chosen]
    read = [Path(source) for source in sources]
    if ontology is None:
        listed = typed(pd.DataFrame([(*term, False, "") for term in sorted(set(terms))], columns=names(TERMS)), TERMS)
        edges, subsets, release = typed(pd.DataFrame([], columns=names(RELATIONS)), RELATIONS), None, ""
        counts["ontology"] = NO_GRAPH
    else:
        graph = read_obo(ontology)
        annotations, id_counts = current_annotations(annotations, graph)
        counts |= id_counts
        listed, edges, subsets, release = graph.terms, graph.relations, graph.subsets, graph.release
        read.append(Path(ontology))
    duplicate = annotations.duplicated()
    counts["annotations_duplicate"] = int(duplicate.sum())
    annotations = annotations[~duplicate].sort_values("protein", kind="stable")
    if annotations.empty:
        shown = ", ".join(str(path) for path in read)
        raise InputError(f"no annotation of {shown} can be used: expected proteins with GO terms.")
    kept = tuple(sorted({str(code) for code in annotations["evidence"].unique()} - {""}))
    tables = ReferenceTables(
        typed(proteins, PROTEINS),
        typed(annotations, ANNOTATIONS),
        listed,
        edges,
        counts,
        release,
        kept,
        tuple(read),
        subsets=subsets,
    )
    return tally(tables)


def tally(tables: ReferenceTables) -> ReferenceTables:
    """Put the numbers of what is there into the counts, beside those of what was left out."""
    from dataclasses import replace

    by_evidence = tables.annotations["evidence"].value_counts().sort_index()
    counted = {
        "proteins": len(tables.proteins),
        "rows": int(tables.proteins["row"].nunique()),
        "taxa": int(tables.proteins["taxon"].nunique()),
        "annotations": len(tables.annotations),
        "annotated_proteins": int(tables.annotations["protein"].nunique()),
        "evidence": {str(code) or "none": int(n) for code, n in by_evidence.items()},
    }
    return replace(tables, counts={**tables.counts, **counted})


def clean_sequence(text: str, whose: str) -> str:
    """Bring a sequence to upper-case letters, as a FASTA file would be read.

    Examples
    --------
    >>> clean_sequence("mk-t*", "P1")
    'MKT'
    """
    sequence = "".join(text.split()).upper().rstrip("*.-").translate(MARKS)
    if sequence and not (sequence.isascii() and sequence.isalpha()):
        raise InputError(f"the sequence of {whose} is {text[:30]!r}...: expected amino-acid letters only.")
    return sequence


def letter_of(category: str, whose: str) -> str:
    """Return GO's letter of an aspect: F, P or C."""
    letter = ASPECTS.get(category.strip())
    if not letter:
        raise InputError(f"{whose} has the category {category[:40]!r}: expected BP, MF or CC.")
    return letter


@lru_cache(maxsize=65_536)
def taxon_number(text: str) -> int:
    """Return an NCBI number; 0 where the text holds none."""
    text = text.strip().removeprefix("taxon:")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0
