"""Vectors in a file of their own, joined with annotations and, if there is one, a FASTA file.

UniProt's ``per-protein.h5`` with a GAF, goPredSim's HDF5 with its lists of GO ids, an npz or Zarr of one's own with a
table: what the files are is told by what is in them.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError
from ...interchange import vector_table
from ...interchange.table import VectorTable
from ...progress import Progress
from ...store import open_store
from ..build import ReferenceTables, annotated, collect
from ..sources import ReferenceProtein, bare_accession
from ..vectors import warn_of_absent
from .tables import clean_sequence
from .vector_files import number_proteins, place_vectors

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["import_joined"]


def import_joined(
    source: Path,
    scratch: Path,
    *,
    annotations: Iterable[str | os.PathLike[str]],
    ontology: str | os.PathLike[str] | None,
    evidence: Collection[str] | None = None,
    fasta: str | os.PathLike[str] | None = None,
    model: str | None = None,
    layer: int | None = None,
    profile: str | None = None,
    key: str | None = None,
    progress: Progress,
) -> tuple[ReferenceTables, Path]:
    """Read vectors and annotations; return the tables, and a store with the vectors in the folder `scratch`.

    The proteins are those of the FASTA file, or without one those that have a vector.

    Raises
    ------
    InputError
        If a file is of another layout or names other proteins, or no ontology is given.
    """
    if ontology is None:
        raise InputError(f"{source} has no GO graph, and its annotations need one: give it with --ontology.")
    files = list(annotations)
    table = vector_table(source, model, layer, key, profile or "unknown")
    with progress.stage("reading annotations", len(files), "files") as advance:
        if fasta is not None:
            tables = collect(fasta, files, ontology, evidence=evidence)
            tables = replace(tables, sources=(*_files(source), *tables.sources))
        else:
            proteins = _proteins(table, source)
            counts = {"proteins": len(proteins), "rows": int(proteins["row"].nunique())}
            tables = annotated(proteins, counts, files, ontology, evidence=evidence, sources=_files(source))
        advance(len(files))
    number_of = _numbers(table, tables, source)
    strange = sum(name not in number_of for name in table.ids)
    if strange:
        progress.line(f"{source}: {strange} of its {len(table.ids)} vectors are of no protein of the reference")
    store = place_vectors([(table, number_of)], tables, scratch, source, progress)
    warn_of_absent(open_store(store))
    return replace(tables, counts={**tables.counts, "vectors_of_no_protein": strange}), store


def _proteins(table: VectorTable, source: Path) -> pd.DataFrame:
    """Number the proteins that have a vector, with their sequences where the file has them."""
    bare = [bare_accession(name) for name in table.ids]
    accessions = bare if len(set(bare)) == len(bare) else table.ids
    known = {
        accession: ReferenceProtein(accession, clean_sequence(sequence, f"protein {accession!r} in {source}"))
        for accession, sequence in zip(accessions, table.sequences, strict=True)
        if sequence
    }
    return number_proteins(accessions, known, source)


def _files(source: Path) -> list[Path]:
    """Return what the manifest records of the source: a folder has no checksum of its own."""
    return [source] if source.is_file() else []


def _numbers(table: VectorTable, tables: ReferenceTables, source: Path) -> dict[str, int]:
    """Find the protein of each vector: by its accession, or the one within a UniProt name."""
    proteins = tables.proteins
    number = dict(zip(proteins["accession"], proteins["protein"].tolist(), strict=True))
    sequences = proteins["sequence"].to_numpy()
    found: dict[str, int] = {}
    for name, sequence in zip(table.ids, table.sequences, strict=True):
        of = number.get(name, number.get(bare_accession(name)))
        if of is None:
            continue
        if sequence and sequences[of] and sequence != sequences[of]:
            raise InputError(
                f"the vector of protein {name!r} in {source} is of another sequence than the FASTA's: "
                "use the FASTA that the vectors were made from."
            )
        found[name] = of
    if not found:
        raise InputError(
            f"no protein of the reference has a vector: the vectors of {source} are of {table.ids[0]!r} and others, "
            f"the FASTA names {proteins['accession'].iloc[0]!r} and others."
        )
    return found
