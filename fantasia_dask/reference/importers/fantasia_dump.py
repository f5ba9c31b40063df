"""FANTASIA's own reference, a PostgreSQL dump of its database, to the tables and vectors of ours.

Two passes: the small tables first, which tell the row of every sequence; then the vectors, which a dump holds in any
order of model, layer and sequence, each laid down in its row as it comes.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import InputError
from ...interchange.table import MAX_DIMENSION, check_model
from ...progress import Progress
from ...schema import ANNOTATIONS, PROTEINS, Space, names
from ..build import ReferenceTables
from .archive import Archive, open_archive
from .copy_text import copy_rows, places, whole_lines
from .placement import ScatteredVectors
from .tables import clean_sequence, letter_of, reference_tables, taxon_number

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["import_dump"]

PROFILE = "pis-3.1"
"""The pooling of the protein-information-system, which computed what FANTASIA publishes."""

DTYPE = "float16"
"""What a halfvec holds."""

LARGEST = 65504.0
NOWHERE = -1
VECTOR_COLUMNS = ("sequence_id", "embedding_type_id", "layer_index", "embedding")


def import_dump(
    source: Path,
    scratch: Path,
    *,
    ontology: str | os.PathLike[str] | None = None,
    evidence: Collection[str] | None = None,
    profile: str | None = None,
    reader: str = "auto",
    progress: Progress,
) -> tuple[ReferenceTables, Path]:
    """Read a dump; return the tables, and a store with their vectors in the folder `scratch`.

    Sequences of no protein are left out, as FANTASIA leaves them out.

    Raises
    ------
    InputError
        If the dump is damaged, or is not of FANTASIA's database.
    """
    archive = open_archive(source, reader)
    models = _models(archive)
    content = _proteins(archive)
    tables = _tables(archive, content, ontology, evidence)
    rows = tables.representatives
    with ScatteredVectors(scratch, len(rows)) as scattered:
        reading = _VectorReader(archive, models, _rows_of(content), scattered, profile or PROFILE)
        reading.read(progress)
        tables.counts.update(reading.counts)
        store = scattered.write(scratch / "embeddings.zarr", [p.accession for p in rows], [p.sequence for p in rows])
    return tables, store.path


# The small tables ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Content:
    """Proteins as the dump lists them, and the row of each sequence id that has any."""

    proteins: pd.DataFrame
    row_of: dict[int, int]
    counts: Counter[str]


def _models(archive: Archive) -> dict[int, tuple[str, str]]:
    """Read the model, and its checkpoint, of each embedding type."""
    models = {}
    for number, name, checkpoint in copy_rows(archive, "sequence_embedding_type", ("id", "name", "model_name")):
        model, _ = check_model(name, 0, archive.path)
        models[_id(number, "sequence_embedding_type", archive.path)] = (model, checkpoint)
    return models


def _id(text: str, table: str, path: Path) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 18):
        raise InputError(f"{path}: table {table} has the id {text[:40]!r}: expected a number; fetch the dump again.")
    return int(text)


def _proteins(archive: Archive) -> _Content:
    """Give the sequences of proteins their rows, in the order of their ids; equal sequences share one."""
    import pandas as pd

    wanted = ("id", "sequence_id", "taxonomy_id", "organism", "gene_name")
    listed = [line for line in copy_rows(archive, "protein", wanted) if line[1]]
    used = {_id(line[1], "protein", archive.path) for line in listed}
    sequences: dict[int, str] = {}
    for number, text in copy_rows(archive, "sequence", ("id", "sequence")):
        sequence_id = _id(number, "sequence", archive.path)
        if sequence_id in used and (sequence := clean_sequence(text, f"sequence {number} in {archive.path}")):
            sequences[sequence_id] = sequence
    rows: dict[str, int] = {}
    row_of = {number: rows.setdefault(sequences[number], len(rows)) for number in sorted(sequences)}
    lines: list[tuple[int, int, str, int, str, str, int, str]] = []
    counts: Counter[str] = Counter(proteins_without_sequence=0)
    seen: set[str] = set()
    for accession, number, taxon, organism, gene in listed:
        if accession in seen or not accession:
            raise InputError(f"{archive.path}: protein {accession!r} is listed twice or has no name: fetch it again.")
        seen.add(accession)
        if int(number) not in row_of:
            counts["proteins_without_sequence"] += 1
            continue
        sequence = sequences[int(number)]
        line = (
            len(lines),
            row_of[int(number)],
            accession,
            taxon_number(taxon),
            organism,
            gene,
            len(sequence),
            sequence,
        )
        lines.append(line)
    if not lines:
        raise InputError(f"{archive.path} has no protein with a sequence: expected a dump of FANTASIA's database.")
    return _Content(pd.DataFrame(lines, columns=names(PROTEINS)), row_of, counts)


def _tables(
    archive: Archive, content: _Content, ontology: str | os.PathLike[str] | None, evidence: Collection[str] | None
) -> ReferenceTables:
    import pandas as pd

    terms = {
        sys.intern(go_id): (name, letter_of(category, f"term {go_id} in {archive.path}"))
        for go_id, category, name in copy_rows(archive, "go_terms", ("go_id", "category", "description"))
    }
    number = dict(zip(content.proteins["accession"], content.proteins["protein"], strict=True))
    counts = content.counts.copy()
    lines = []
    wanted = ("protein_id", "go_id", "evidence_code")
    for accession, go_id, code in copy_rows(archive, "protein_go_term_annotation", wanted):
        if accession not in number:
            counts["annotations_other_protein"] += 1
        elif go_id not in terms:
            counts["annotations_unknown_dropped"] += 1
        else:
            aspect = terms[go_id][1]
            lines.append((number[accession], sys.intern(go_id), aspect, sys.intern(_code(code)), "", "", ""))
    return reference_tables(
        content.proteins,
        pd.DataFrame(lines, columns=names(ANNOTATIONS)),
        [(go_id, name, aspect) for go_id, (name, aspect) in terms.items()],
        ontology=ontology,
        evidence=evidence,
        counts=counts,
        sources=[archive.path],
    )


def _code(text: str) -> str:
    """Return the evidence code of `IDA` and of UniProt's spelling `IDA:SGD`."""
    return text.partition(":")[0].strip()


def _rows_of(content: _Content) -> np.ndarray:
    """Return a table from sequence id to row, -1 where there is none."""
    highest = max(content.row_of)
    if highest > 100_000_000:
        raise InputError(f"a sequence has the id {highest}: expected a dump of FANTASIA's database.")
    table = np.full(highest + 2, NOWHERE, "int64")
    for number, row in content.row_of.items():
        table[number] = row
    return table


# The vectors --------------------------------------------------------------------------------------------------------


class _VectorReader:
    """Reads the table of vectors, a block of lines at a time."""

    def __init__(
        self,
        archive: Archive,
        models: dict[int, tuple[str, str]],
        row_of: np.ndarray,
        scattered: ScatteredVectors,
        profile: str,
    ):
        self.counts: Counter[str] = Counter(vectors_of_no_protein=0, vectors_of_equal_sequences=0)
        self._archive = archive
        self._models = models
        self._row_of = row_of
        self._scattered = scattered
        self._profile = profile
        self._spaces: dict[tuple[int, int], Space] = {}
        self._lines = 0
        self._take_up()

    def _take_up(self) -> None:
        """Go on from what a stopped import has noted; what it placed is placed."""
        if facts := self._scattered.facts:
            self._lines = facts["lines"]
            self.counts.update(facts["counts"])
            known = {(space.model, space.checkpoint, space.layer): space for space in self._scattered.spaces}
            self._spaces = {(kind, layer): known[*self._models[kind], layer] for kind, layer in facts["kinds"]}

    def _note(self, position: int, *, ended: bool = False) -> None:
        facts = {"lines": self._lines, "counts": dict(self.counts), "kinds": list(self._spaces), "ended": ended}
        self._scattered.note(position, at_once=ended, **facts)

    def read(self, progress: Progress) -> None:
        """Lay every vector down in its row; the position is in bytes of the table's text."""
        if self._scattered.facts.get("ended"):
            return
        path, table = self._archive.path, "sequence_embeddings"
        total = path.stat().st_size
        position = self._scattered.position
        with (
            self._archive.table(table) as copy,
            progress.stage("reading vectors", total >> 20, "MB") as advance,
        ):
            chosen = np.array(places(copy, VECTOR_COLUMNS, table, path), "int64")
            said = 0
            for block in whole_lines(copy, path, skip=position):
                self._block(block, len(copy.columns), chosen)
                position += len(block)
                self._note(position)
                said = _tell(advance, copy.position() >> 20, said)
            _tell(advance, total >> 20, said)
        if not self._scattered.spaces:
            raise InputError(f"{path} has no vector of a protein: expected a dump of FANTASIA's database.")
        self._note(position, ended=True)

    def _block(self, block: bytes, columns: int, chosen: np.ndarray) -> None:
        from .vector_text import OK, parse_text

        parsed = parse_text(block, columns, chosen)
        if parsed.problem != OK:
            line = block.split(b"\n", parsed.rows + 1)[parsed.rows][:60].decode("utf-8", "replace")
            raise InputError(
                f"{self._archive.path}: row {self._lines + parsed.rows + 1} of sequence_embeddings cannot be read "
                f"({line!r}): expected ids of sequence, type and layer, and a vector [0.1,...]; fetch the dump again."
            )
        if parsed.largest > LARGEST:
            raise InputError(
                f"{self._archive.path} has {parsed.largest:g} in a vector, more than a halfvec holds: expected "
                "FANTASIA's own."
            )
        self._lines += parsed.rows
        keys = parsed.keys
        places_in_store = self._row_of[np.clip(keys[:, 0], 0, len(self._row_of) - 1)]
        self.counts["vectors_of_no_protein"] += int((places_in_store == NOWHERE).sum())
        kinds, kind_of = np.unique(keys[:, 1:], axis=0, return_inverse=True)
        for i, (kind, layer) in enumerate(kinds.tolist()):
            mine = np.flatnonzero((kind_of.reshape(-1) == i) & (places_in_store != NOWHERE))
            if len(mine):
                self._place(kind, layer, mine, places_in_store[mine], parsed.starts, parsed.values)

    def _place(
        self, kind: int, layer: int, mine: np.ndarray, rows: np.ndarray, starts: np.ndarray, values: np.ndarray
    ) -> None:
        """Lay down the vectors of one model and layer in a block."""
        lengths = starts[mine + 1] - starts[mine]
        space = self._spaces.get((kind, layer)) or self._new_space(kind, layer, int(lengths[0]))
        d = space.dimension
        if (lengths != d).any():
            wrong = int(lengths[lengths != d][0])
            raise InputError(
                f"{self._archive.path} has vectors of {wrong} and of {d} numbers for {space}: expected one length; "
                "fetch the dump again."
            )
        if mine[-1] - mine[0] + 1 == len(mine):
            vectors = values[starts[mine[0]] : starts[mine[-1] + 1]].reshape(len(mine), d)
        else:
            vectors = values[starts[mine][:, None] + np.arange(d)]
        placed = self._scattered.place(space, rows, vectors.astype(DTYPE))
        self.counts["vectors_of_equal_sequences"] += len(mine) - placed

    def _new_space(self, kind: int, layer: int, dimension: int) -> Space:
        path = self._archive.path
        if kind not in self._models:
            known = ", ".join(map(str, sorted(self._models))) or "none"
            raise InputError(f"{path} has vectors of embedding type {kind}, which it does not name (it names {known}).")
        if not 1 <= dimension <= MAX_DIMENSION:
            raise InputError(f"{path} has a vector of {dimension} numbers: expected 1 to {MAX_DIMENSION}.")
        model, checkpoint = self._models[kind]
        space = Space(model, layer, dimension, self._profile, checkpoint, dtype=DTYPE)
        self._spaces[kind, layer] = space
        return space


def _tell(advance: Callable[[int], None], reached: int, said: int) -> int:
    """Tell the progress how far the file has been read since the last time."""
    advance(max(reached - said, 0))
    return max(reached, said)
