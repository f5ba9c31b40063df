"""A reference of vectors in a file and of what is known about their proteins elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import InputError
from ...interchange.table import VectorTable, cast_block
from ...progress import Progress
from ...schema import PROTEINS, Space, names
from ...store import CHUNK_ROWS
from ..build import ReferenceTables
from ..sources import ReferenceProtein, read_proteins
from ..vectors import NOWHERE
from .placement import ScatteredVectors

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["known_proteins", "number_proteins", "place_vectors"]


def known_proteins(fasta: str | os.PathLike[str] | None) -> dict[str, ReferenceProtein]:
    """Read what a FASTA file tells of proteins, by accession."""
    return {} if fasta is None else {protein.accession: protein for protein in read_proteins(fasta)}


def number_proteins(accessions: Sequence[str], known: Mapping[str, ReferenceProtein], path: Path) -> pd.DataFrame:
    """Number proteins and their rows; those of one sequence share a row, and an unknown sequence has its own."""
    import pandas as pd

    rows: dict[str, int] = {}
    lines = []
    for number, accession in enumerate(accessions):
        p = known.get(accession) or ReferenceProtein(accession, "")
        # A key that no sequence can be stands for one that is not known.
        row = rows.setdefault(p.sequence or f"?{number}", len(rows))
        lines.append((number, row, accession, p.taxon, p.organism, p.gene, len(p.sequence), p.sequence))
    if known and not any(line[-1] for line in lines):
        raise InputError(
            f"no protein of {path} is in the FASTA: it names {accessions[0]!r} and others, the FASTA "
            f"{next(iter(known))!r} and others."
        )
    return pd.DataFrame(lines, columns=names(PROTEINS))


def place_vectors(
    files: Iterable[tuple[VectorTable, Mapping[str, int]]],
    tables: ReferenceTables,
    scratch: Path,
    source: Path,
    progress: Progress,
) -> Path:
    """Bring the vectors of some files into row order; return the store.

    Parameters
    ----------
    files
        Tables of vectors, and for each the number of the protein that an id stands for; other ids are passed over.
    tables
        The reference.
    scratch
        Folder for the store.

    Raises
    ------
    InputError
        If a value is not finite in the dtype of its space.
    """
    files = list(files)
    row_of = tables.proteins["row"].to_numpy()
    representatives = tables.representatives
    total = sum(len(table.ids) * len(table.spaces) for table, _ in files)
    with (
        ScatteredVectors(scratch, len(representatives)) as scattered,
        progress.stage("reading vectors", total, "vectors") as advance,
    ):
        for number, (space, ids, rows, vectors, present) in enumerate(_blocks(files, row_of), 1):
            if number > scattered.position:  # else a command that was stopped has placed it
                block = cast_block(vectors, present, space, ids, source)
                wanted = present & (rows != NOWHERE)
                scattered.place(space, rows[wanted], block[wanted])
                scattered.note(number)
            advance(len(vectors))
        ids, sequences = [p.accession for p in representatives], [p.sequence for p in representatives]
        return scattered.write(scratch / "embeddings.zarr", ids, sequences).path


def _blocks(
    files: Iterable[tuple[VectorTable, Mapping[str, int]]], row_of: np.ndarray
) -> Iterator[tuple[Space, list[str], np.ndarray, np.ndarray, np.ndarray]]:
    """Yield blocks of vectors, always the same ones: space, ids, reference rows, vectors, and which are there."""
    for table, number_of in files:
        rows = np.array([row_of[number_of[name]] if name in number_of else NOWHERE for name in table.ids], "int64")
        for space in table.spaces:
            start = 0
            for vectors, present in table.blocks(space, CHUNK_ROWS):
                here = slice(start, start + len(vectors))
                yield space, table.ids[here], rows[here], vectors, present
                start += len(vectors)
