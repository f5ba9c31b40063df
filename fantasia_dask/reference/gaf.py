"""GO annotations in GAF 2.0 to 2.2, read by Biopython; its lines are checked before, as it does not name them."""

from __future__ import annotations

from collections.abc import Iterator

from .annotation_lines import AnnotationLines, annotation_record

__all__ = ["GAF_COLUMNS", "GAF_VERSIONS", "gaf_records"]

GAF_VERSIONS = ("2.0", "2.1", "2.2")
GAF_COLUMNS = 15
"""Columns 16 and 17 may be left out at the end of a line; without the first 15 it is no annotation."""


class _GafLines:
    """What Biopython's reader is given: the version first, and then lines that are known to have their columns."""

    def __init__(self, lines: AnnotationLines, version: str):
        self.lines = lines
        self.version = version

    def readline(self) -> str:
        """Return the version line, spelt as the reader expects it."""
        return f"!gaf-version: {self.version}\n"

    def __iter__(self) -> Iterator[str]:
        for line in self.lines:
            if not line.strip():
                continue
            columns = line.count("\t") + 1
            # The reader passes over a line with one column and fails on a short one, both without its number.
            if not line.startswith("!") and columns < GAF_COLUMNS:
                raise self.lines.wrong(f"has {columns} columns: GAF has 17")
            yield line


def gaf_records(lines: AnnotationLines, version: str) -> Iterator[list[str]]:
    """Read the annotations of a GAF whose header has been read."""
    from Bio.UniProt.GOA import gafiterator

    for record in gafiterator(_GafLines(lines, version)):
        yield annotation_record(
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
