"""What a reference is made from: protein FASTA and annotations, in GAF, GPAD, tables or lists."""

from __future__ import annotations

import csv
import os
import re
import warnings
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import FantasiaWarning, InputError, did_you_mean
from ..sequences import Protein, open_text, read_fasta
from .annotation_lines import ANNOTATION_COLUMNS, GO_ID, AnnotationLines, annotation_record
from .gaf import GAF_COLUMNS, GAF_VERSIONS, gaf_records
from .gpad import GPAD_VERSIONS, gpad_records

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ANNOTATION_COLUMNS",
    "AnnotationSource",
    "ReferenceProtein",
    "bare_accession",
    "check_files",
    "read_annotations",
    "read_proteins",
]

SPELLINGS = {
    "protein_id": "accession",
    "protein": "accession",
    "go": "go_id",
    "evidence_code": "evidence",
    "category": "aspect",
    "taxonomy_id": "taxon",
    "taxon_id": "taxon",
}
NEGATION = re.compile(r"(?<![a-z])not(?![a-z])", re.IGNORECASE)
"""GAF has ``NOT`` among qualifiers between pipes; tables have it in any case, and with any sign beside it."""
VERSION = re.compile(r"!\s*(gaf|gpad?)-version:\s*(\d\.\d)", re.IGNORECASE)
GO_LIST = re.compile(r"[^\t]+\tGO:[^\t]*")
"""A line that begins a file of lists; a header never looks like it."""


def check_files(*paths: str | os.PathLike[str]) -> None:
    """Refuse standard input, which has no checksum for the reference to keep and cannot be read again.

    Raises
    ------
    InputError
    """
    if any(os.fspath(path) == "-" for path in paths):
        raise InputError("- is standard input, and a reference is made from files: save it, and name the file.")


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
        looked and found nothing), both left out; ``other_evidence`` and ``other_protein``, where a choice was given.
    taxa : dict of str to int
        The first taxon that the file names for each protein, whatever the evidence.
    example : str
        The first accession of the file; an empty string when it names none.
    """

    table: pd.DataFrame
    counts: dict[str, int]
    taxa: dict[str, int]
    example: str


def read_annotations(
    path: str | os.PathLike[str],
    *,
    proteins: Container[str] | None = None,
    evidence: Container[str] | None = None,
) -> AnnotationSource:
    """Read GO annotations, plain or packed: GAF 2.0 to 2.2, GPAD 1.0 to 2.0, a table, or lists of GO ids.

    A table has a header line, is separated by tabs or commas and needs the columns `accession` and `go_id`; `aspect`,
    `evidence`, `qualifier`, `taxon`, `reference` and `date` are read where they are there, any other column is left
    alone. Lists, as goPredSim has them, are lines of an accession, a tab and GO ids separated by commas. What a format
    does not tell stays empty; the aspect is the ontology's anyway.

    Parameters
    ----------
    path
        Every line is read and checked; memory is taken by those that are kept alone.
    proteins : container of str, optional
        Accessions whose annotations are kept; by default all.
    evidence : container of str, optional
        Evidence codes that are kept, ``""`` among them where none is told; by default all but ND.

    Raises
    ------
    InputError
        Naming file and line, if it is none of these, or a line is malformed.

    Warns
    -----
    FantasiaWarning
        If dates cannot be read; their annotations are kept, without a date.
    """
    path = Path(path)
    with open_text(path) as text:
        lines = AnnotationLines(text, path)
        found = _collect(_records(lines), proteins, evidence)
    if lines.strange_dates:
        number, date = lines.strange_dates[0]
        warnings.warn(
            f"{len(lines.strange_dates)} lines of {path} have a date that is none, line {number} for instance "
            f"({date[:40]!r}): their annotations count as without a date. Expected 20200131 or 2020-01-31.",
            FantasiaWarning,
            stacklevel=2,
        )
    return found


def _records(lines: AnnotationLines) -> Iterator[list[str]]:
    """Read a file in the format that its first lines tell."""
    header = lines.header()
    if not header:
        first = lines.peek()
        return _list_records(lines) if GO_LIST.fullmatch(first) else _table_records(lines, first)
    for line in header:
        match = VERSION.match(line)
        if match and match[1].lower() == "gaf" and match[2] in GAF_VERSIONS:
            return gaf_records(lines, match[2])
        if match and match[1].lower() != "gaf" and match[2] in GPAD_VERSIONS:
            return gpad_records(lines, match[2])
    raise InputError(
        f"{lines.path} does not say which GAF or GPAD it is: expected '!gaf-version: 2.2' (or 2.1, 2.0) or "
        "'!gpa-version: 1.1' (1.2, or '!gpad-version: 2.0') at its top."
    )


def _collect(
    records: Iterator[list[str]], proteins: Container[str] | None, evidence: Container[str] | None
) -> AnnotationSource:
    """Leave out what is no annotation, or not asked for, and count it."""
    import pandas as pd

    counts = {"read": 0, "not": 0, "no_data": 0}
    counts |= {"other_evidence": 0} if evidence is not None else {}
    counts |= {"other_protein": 0} if proteins is not None else {}
    columns: list[list[str]] = [[] for _ in ANNOTATION_COLUMNS]
    taxa: dict[str, int] = {}
    once: dict[str, str] = {}
    example = ""
    for record in records:
        counts["read"] += 1
        accession, code, qualifier, taxon = record[0], record[3], record[4], record[5]
        if NEGATION.search(qualifier):
            counts["not"] += 1
            continue
        if code == "ND":
            counts["no_data"] += 1
            continue
        example = example or accession
        ours = proteins is None or accession in proteins
        if ours and taxon != "0":
            taxa.setdefault(accession, int(taxon))
        if evidence is not None and code not in evidence:
            counts["other_evidence"] += 1
        elif not ours:
            counts["other_protein"] += 1
        else:
            for column, value in zip(columns, record, strict=True):
                column.append(once.setdefault(value, value))  # most texts come again and again
    table = pd.DataFrame(dict(zip(ANNOTATION_COLUMNS, columns, strict=True)), dtype="str")
    return AnnotationSource(table.astype({"taxon": "int64"}), counts, taxa, example)


def _list_records(lines: AnnotationLines) -> Iterator[list[str]]:
    for line in lines:
        if not line.strip():
            continue
        accession, tab, go_ids = line.rstrip("\r\n").partition("\t")
        if not tab:
            raise lines.wrong(f"is {line.strip()[:60]!r}: expected an accession, a tab and GO ids separated by commas")
        for go_id in go_ids.split(","):
            if go_id.strip():
                yield annotation_record(lines, accession, go_id, "", "", "", "", "", "")


def _table_records(lines: AnnotationLines, header: str) -> Iterator[list[str]]:
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
            yield annotation_record(lines, *(row[place] if place is not None else "" for place in places))
    except csv.Error as error:
        raise lines.wrong(f"cannot be read as a table ({error})") from error


def _places(columns: list[str], lines: AnnotationLines) -> list[int | None]:
    """Find each of our columns among those of a table."""
    found = [SPELLINGS.get(name.strip().lower().lstrip("#"), name.strip().lower()) for name in columns]
    for needed in ("accession", "go_id"):
        if needed not in found:
            shown = ", ".join(columns)[:80]
            if len(columns) >= GAF_COLUMNS and GO_ID.fullmatch(columns[4]):
                raise InputError(
                    f"{lines.path} looks like GAF and does not say so: write '!gaf-version: 2.2' (or 2.1, 2.0) above "
                    f"its first line ({shown!r})."
                )
            raise InputError(
                f"{lines.path} is no table of annotations: its first line ({shown!r}) does not name {needed!r}; "
                f"expected GAF, GPAD or a header such as accession, go_id, evidence.{did_you_mean(needed, columns)}"
            )
    return [found.index(name) if name in found else None for name in ANNOTATION_COLUMNS]
