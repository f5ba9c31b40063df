"""What a reference is made from: protein FASTA, GAF files, tables of annotations."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ..errors import InputError, did_you_mean
from ..sequences import Protein, open_text, read_fasta

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ANNOTATION_COLUMNS",
    "AnnotationSource",
    "ReferenceProtein",
    "bare_accession",
    "read_annotations",
    "read_proteins",
]

ANNOTATION_COLUMNS = ["accession", "go_id", "aspect", "evidence", "qualifier", "taxon", "reference", "date"]
"""One line per annotation, all strings but `taxon` (int64, 0 where unknown)."""

SPELLINGS = {
    "protein_id": "accession",
    "protein": "accession",
    "go": "go_id",
    "evidence_code": "evidence",
    "category": "aspect",
    "taxonomy_id": "taxon",
    "taxon_id": "taxon",
}
ASPECTS = {"": "", "F": "F", "P": "P", "C": "C", "MF": "F", "BP": "P", "CC": "C"}
GO_ID = re.compile(r"[A-Za-z]\w*:\S+")
GAF_VERSION = re.compile(r"!\s*gaf-version:\s*(\d\.\d)")
GAF_COLUMNS = 15
"""Columns 16 and 17 may be left out at the end of a line; without the first 15 it is no annotation."""

# FASTA --------------------------------------------------------------------------------------------------------------

UNIPROT = re.compile(r"(?:sp|tr)\|([^|]+)\|\S+")
OX = re.compile(r"\bOX=(\d+)")
OS = re.compile(r"\bOS=(.+?)(?=\s+[A-Z]{2}=|$)")
GN = re.compile(r"\bGN=(.+?)(?=\s+[A-Z]{2}=|$)")


@dataclass(frozen=True, slots=True)
class ReferenceProtein:
    """One protein of the reference, with what its FASTA header tells; 0 and empty strings where it tells nothing."""

    accession: str
    sequence: str
    taxon: int = 0
    organism: str = ""
    gene: str = ""


def read_proteins(path: str | os.PathLike[str]) -> list[ReferenceProtein]:
    """Read the proteins of a FASTA file; UniProt's headers give accession, taxon, organism and gene.

    Raises
    ------
    InputError
        As `read_fasta`, and if two headers lead to one accession (``sp|P1|A`` and ``tr|P1|B``).

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "one.fasta")
    >>> _ = file.write_text(">sp|P1|A_YEAST A protein OS=Saccharomyces cerevisiae OX=4932 GN=ONE PE=1 SV=1\\nMKT\\n")
    >>> read_proteins(file)
    [ReferenceProtein(accession='P1', sequence='MKT', taxon=4932, organism='Saccharomyces cerevisiae', gene='ONE')]
    """
    proteins = [_parse_header(protein) for protein in read_fasta(path)]
    seen: set[str] = set()
    for protein in proteins:
        if protein.accession in seen:
            raise InputError(
                f"accession {protein.accession!r} stands in two headers of {os.fspath(path)}: "
                "every protein needs an accession of its own."
            )
        seen.add(protein.accession)
    return proteins


def _parse_header(protein: Protein) -> ReferenceProtein:
    taxon = OX.search(protein.description)
    return ReferenceProtein(
        bare_accession(protein.accession),
        protein.sequence,
        int(taxon.group(1)) if taxon else 0,
        _found(OS, protein.description),
        _found(GN, protein.description),
    )


def bare_accession(name: str) -> str:
    """Return the accession within a UniProt name, and any other name as it is.

    Examples
    --------
    >>> bare_accession("sp|P1|A_YEAST"), bare_accession("gene|1")
    ('P1', 'gene|1')
    """
    match = UNIPROT.fullmatch(name)
    return match.group(1) if match else name


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match.group(1).strip() if match else ""


# Annotations --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AnnotationSource:
    """Annotations as one file gives them.

    Attributes
    ----------
    table : DataFrame
        Columns `ANNOTATION_COLUMNS`, in the order of the file, without the lines counted below.
    counts : dict of str to int
        ``read`` lines; ``not`` (the protein does *not* have the function) and ``no_data`` (evidence ND: a curator
        looked and found nothing), both left out.
    """

    table: pd.DataFrame
    counts: dict[str, int]


def read_annotations(path: str | os.PathLike[str]) -> AnnotationSource:
    """Read GO annotations: GAF 2.0 to 2.2, or a table with a header line, plain or packed.

    A table is separated by tabs or commas and needs the columns `accession` and `go_id`; `aspect`, `evidence`,
    `qualifier`, `taxon`, `reference` and `date` are read where they are there, any other column is left alone.

    Raises
    ------
    InputError
        Naming file and line, if it is neither, or a line is malformed.
    """
    path = Path(path)
    with open_text(path) as text:
        lines = _Lines(text, path)
        first = lines.peek()
        records = _gaf_records(lines) if first.startswith("!") else _table_records(lines, first)
        return _collect(records)


def _collect(records: Iterator[list[str]]) -> AnnotationSource:
    """Leave out what is no annotation, and count it."""
    import pandas as pd

    counts = {"read": 0, "not": 0, "no_data": 0}
    kept = []
    for record in records:
        counts["read"] += 1
        if "NOT" in record[4].split("|"):
            counts["not"] += 1
        elif record[3] == "ND":
            counts["no_data"] += 1
        else:
            kept.append(record)
    table = pd.DataFrame(kept, columns=ANNOTATION_COLUMNS).astype("str")
    return AnnotationSource(table.astype({"taxon": "int64"}), counts)


class _Lines:
    """The lines of a file, one of them at a time, with the number of the last one handed out."""

    def __init__(self, text: TextIO, path: Path):
        self._text = text
        self._ahead: list[str] = []
        self.path = path
        self.number = 0

    def peek(self) -> str:
        if not self._ahead:
            self._ahead.append(self._text.readline())
        return self._ahead[0]

    def readline(self) -> str:
        line = self._ahead.pop() if self._ahead else self._text.readline()
        self.number += bool(line)
        return line

    def __iter__(self) -> Iterator[str]:
        while line := self.readline():
            yield line

    def wrong(self, found: str) -> InputError:
        return InputError(f"line {self.number} of {self.path} {found}.")


class _GafLines:
    """What Biopython's reader is given: the version first, and then lines that are known to have their columns."""

    def __init__(self, lines: _Lines):
        self.lines = lines

    def readline(self) -> str:
        """Return the version line, wherever it stands in the header, spelt as the reader expects it."""
        while (line := self.lines.peek()).startswith("!"):
            self.lines.readline()
            match = GAF_VERSION.match(line)
            if match and match.group(1) in ("2.0", "2.1", "2.2"):
                return f"!gaf-version: {match.group(1)}\n"
        raise InputError(
            f"{self.lines.path} does not say which GAF it is: expected '!gaf-version: 2.2' (or 2.1, 2.0) at its top."
        )

    def __iter__(self) -> Iterator[str]:
        for line in self.lines:
            if not line.strip():
                continue
            columns = line.count("\t") + 1
            # The reader passes over a line with one column and fails on a short one, both without its number.
            if not line.startswith("!") and columns < GAF_COLUMNS:
                raise self.lines.wrong(f"has {columns} columns: GAF has 17")
            yield line


def _gaf_records(lines: _Lines) -> Iterator[list[str]]:
    from Bio.UniProt.GOA import gafiterator

    for record in gafiterator(_GafLines(lines)):
        yield _record(
            lines,
            record["DB_Object_ID"],
            record["GO_ID"],
            record["Aspect"],
            record["Evidence"],
            "|".join(record["Qualifier"]),
            # The second taxon of a line is the host or partner, not the protein's own.
            record["Taxon_ID"][0],
            "|".join(record["DB:Reference"]),
            record["Date"],
        )


def _table_records(lines: _Lines, header: str) -> Iterator[list[str]]:
    tabs = "\t" in header
    reader = csv.reader(
        lines, delimiter="\t" if tabs else ",", quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL, strict=True
    )
    try:
        columns = next(reader, [])
        places = _places(columns, lines)
        for row in reader:
            if not row:
                continue
            if len(row) != len(columns):
                raise lines.wrong(f"has {len(row)} columns where the header has {len(columns)}")
            yield _record(lines, *(row[place] if place is not None else "" for place in places))
    except csv.Error as error:
        raise lines.wrong(f"cannot be read as a table ({error})") from error


def _places(columns: list[str], lines: _Lines) -> list[int | None]:
    """Find each of our columns among those of a table."""
    found = [SPELLINGS.get(name.strip().lower().lstrip("\ufeff#"), name.strip().lower()) for name in columns]
    for needed in ("accession", "go_id"):
        if needed not in found:
            shown = ", ".join(columns)[:80]
            raise InputError(
                f"{lines.path} is no table of annotations: its first line ({shown!r}) does not name {needed!r}; "
                f"expected GAF 2.x or a header such as accession, go_id, evidence.{did_you_mean(needed, columns)}"
            )
    return [found.index(name) if name in found else None for name in ANNOTATION_COLUMNS]


def _record(lines: _Lines, *values: str) -> list[str]:
    """Check one annotation and bring it to the columns `ANNOTATION_COLUMNS`."""
    accession, go_id, aspect, evidence, qualifier, taxon, reference, date = (value.strip() for value in values)
    if not accession:
        raise lines.wrong("has no accession: expected the protein that is annotated")
    if not GO_ID.fullmatch(go_id):
        raise lines.wrong(f"has {go_id[:40]!r} where a GO id is expected, such as GO:0008150")
    if aspect not in ASPECTS:
        raise lines.wrong(f"has aspect {aspect[:40]!r}: expected F, P or C")
    number = taxon.removeprefix("taxon:")
    if not (number.isascii() and number.isdigit() and len(number) < 12):
        if number:
            raise lines.wrong(f"has taxon {taxon[:40]!r}: expected an NCBI number, such as 9606 or taxon:9606")
        number = "0"
    return [accession, go_id, ASPECTS[aspect], evidence, qualifier, number, reference, date]
