"""goPredSim's reference: HDF5 with one vector per protein, and a text of its GO terms, ``P1<TAB>GO:1,GO:2``."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from pathlib import Path

from ...errors import InputError
from ...interchange import recognise
from ...interchange.hdf5 import per_protein_table
from ...progress import Progress
from ...schema import ANNOTATIONS, names
from ...sequences import open_text
from ..build import ReferenceTables
from ..sources import GO_ID
from .tables import reference_tables
from .vector_files import known_proteins, number_proteins, place_vectors

__all__ = ["import_gopredsim"]


def import_gopredsim(
    source: Path,
    annotations: str | os.PathLike[str],
    scratch: Path,
    *,
    ontology: str | os.PathLike[str] | None,
    fasta: str | os.PathLike[str] | None = None,
    model: str | None = None,
    layer: int | None = None,
    profile: str | None = None,
    evidence: Collection[str] | None = None,
    progress: Progress,
) -> tuple[ReferenceTables, Path]:
    """Read vectors and annotations; return the tables, and a store with the vectors in the folder `scratch`.

    Raises
    ------
    InputError
        If a file is of another layout, or no ontology is given: the text does not tell the aspect of a term.
    """
    import pandas as pd

    layout = recognise(source)
    if layout != "per-protein-hdf5":
        raise InputError(
            f"{source} is not goPredSim's (HDF5 with one vector per protein): use fantasia-dask reference build "
            "--embeddings."
        )
    if ontology is None:
        raise InputError(f"{annotations} does not tell the aspect of its GO terms: give the GO graph with --ontology.")
    table = per_protein_table(source, model, layer, profile or "unknown")
    proteins = number_proteins(table.ids, known_proteins(fasta), source)
    number_of = {name: i for i, name in enumerate(table.ids)}
    lines, counts = _annotations(Path(annotations), number_of)
    tables = reference_tables(
        proteins,
        pd.DataFrame(lines, columns=names(ANNOTATIONS)),
        [],
        ontology=ontology,
        evidence=evidence,
        counts=counts,
        sources=[source, Path(annotations), *([Path(fasta)] if fasta else [])],
    )
    return tables, place_vectors([(table, number_of)], tables, scratch, source, progress)


def _annotations(
    path: Path, number_of: dict[str, int]
) -> tuple[list[tuple[int, str, str, str, str, str, str]], dict[str, int]]:
    """Read the text: lines of `schema.ANNOTATIONS` without aspects, and what is left out."""
    lines, counts = [], {"annotations_other_protein": 0}
    with open_text(path) as text:
        for number, line in enumerate(text, 1):
            if not line.strip():
                continue
            accession, tab, ids = line.rstrip("\r\n").partition("\t")
            go_ids = [sys.intern(go_id.strip()) for go_id in ids.split(",") if go_id.strip()]
            if not tab or not accession or not all(GO_ID.fullmatch(go_id) for go_id in go_ids):
                raise InputError(
                    f"line {number} of {path} is {line.strip()[:60]!r}: expected an id, a tab and GO ids separated by "
                    "commas; GAF files and tables go to fantasia-dask reference build --embeddings."
                )
            if accession not in number_of:
                counts["annotations_other_protein"] += len(go_ids)
                continue
            lines += [(number_of[accession], go_id, "", "", "", "", "") for go_id in go_ids]
    return lines, counts
