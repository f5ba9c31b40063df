"""One annotation after another out of a text file, whatever its format; a mistake is told with its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TextIO

from ..errors import InputError

__all__ = ["ANNOTATION_COLUMNS", "ASPECTS", "GO_ID", "AnnotationLines", "annotation_record"]

ANNOTATION_COLUMNS = ["accession", "go_id", "aspect", "evidence", "qualifier", "taxon", "reference", "date"]
"""One line per annotation, all strings but `taxon` (int64, 0 where unknown)."""

ASPECTS = {"": "", "F": "F", "P": "P", "C": "C", "MF": "F", "BP": "P", "CC": "C"}
GO_ID = re.compile(r"[A-Za-z]\w*:\S+")
DAY = re.compile(r"(\d{4})(-?)(\d\d)\2(\d\d)(?:[T ].*|Z|[+-]\d\d:?\d\d)?", re.ASCII)
"""As GAF writes a day, or as ISO 8601 does, with or without time and zone."""
NO_DATE = {"", "-", "0", "NA", "N/A", "nan", "None", "null"}


class AnnotationLines:
    """The lines of a file, one of them at a time, with the number of the last one handed out."""

    def __init__(self, text: TextIO, path: Path):
        self._text = text
        self._ahead: list[str] = []
        self.path = path
        self.number = 0
        self.strange_dates: list[tuple[int, str]] = []
        """Numbers of lines whose date cannot be read, and these dates."""

    def peek(self) -> str:
        """Return the next line without taking it."""
        if not self._ahead:
            self._ahead.append(self._text.readline())
        return self._ahead[0]

    def header(self) -> list[str]:
        """Return the lines at the top that begin with ``!``; the next one read is the first behind them."""
        found = []
        while self.peek().startswith("!"):
            found.append(self.readline())
        return found

    def readline(self) -> str:
        """Return the next line; an empty string at the end."""
        line = self._ahead.pop() if self._ahead else self._text.readline()
        self.number += bool(line)
        return line

    def __iter__(self) -> Iterator[str]:
        while line := self.readline():
            yield line

    def wrong(self, found: str) -> InputError:
        """Return the mistake that the line read last has."""
        return InputError(f"line {self.number} of {self.path} {found}.")


def annotation_record(lines: AnnotationLines, *values: str) -> list[str]:
    """Check one annotation and bring it to the columns `ANNOTATION_COLUMNS`."""
    accession, go_id, aspect, evidence, qualifier, taxon, reference, dated = (value.strip() for value in values)
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
    day = _day(dated)
    if not day and dated not in NO_DATE:
        lines.strange_dates.append((lines.number, dated))
    return [accession, go_id, ASPECTS[aspect], evidence, qualifier, number, reference, day]


@lru_cache(maxsize=4096)
def _day(text: str) -> str:
    """Return a day as ``YYYYMMDD``; an empty string where there is none."""
    found = DAY.fullmatch(text)
    if not found:
        return ""
    written = "".join(found.group(1, 3, 4))
    try:
        date.fromisoformat(written)
    except ValueError:
        return ""
    return written
