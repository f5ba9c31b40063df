"""PostgreSQL's COPY text: one line per row, tabs between columns, backslashes before what is not meant literally."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...errors import InputError
from .archive import Archive, CopyText

__all__ = ["copy_rows", "places", "whole_lines"]

BLOCK_BYTES = 1 << 20
"""Small enough to stay in the cache of a core from unpacking to the last number: four times as much takes longer."""
MAX_LINE_BYTES = 64 << 20
END = b"\\.\n"
ESCAPED = re.compile(r"\\(.)", re.DOTALL)
SPECIAL = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def whole_lines(copy: CopyText, path: Path, block_bytes: int = BLOCK_BYTES, skip: int = 0) -> Iterator[bytes]:
    """Gather the pieces of a table into blocks of whole lines, up to the line that ends it.

    Parameters
    ----------
    copy
        The table.
    path
        The dump, for what is said of it.
    block_bytes : int
        Size of a block, about.
    skip : int
        Bytes of whole lines at the beginning that are wanted no more.

    Raises
    ------
    InputError
        If the text ends before that line, or one line is longer than any row could be.
    """
    pieces: list[bytes] = []
    size = 0
    for piece in _after(copy.blocks, skip):
        pieces.append(piece)
        size += len(piece)
        if size < block_bytes:
            continue
        text = b"".join(pieces)
        end = _end(text)
        if end >= 0:
            yield text[:end]
            return
        cut = text.rfind(b"\n") + 1
        if size - cut > MAX_LINE_BYTES:
            raise InputError(f"{path} has a row of more than {MAX_LINE_BYTES >> 20} MB: it is no dump of FANTASIA's.")
        if cut:
            yield text[:cut]
        pieces, size = [text[cut:]], len(text) - cut
    text = b"".join(pieces)
    end = _end(text)
    if end < 0:
        raise InputError(f"{path} is a damaged or cut dump (a table does not end): fetch it again.")
    yield text[:end]


def _after(pieces: Iterator[bytes], skip: int) -> Iterator[bytes]:
    """Leave out the first bytes of a text that comes in pieces."""
    for piece in pieces:
        if skip < len(piece):
            yield piece[skip:] if skip else piece
        skip = max(skip - len(piece), 0)


def _end(text: bytes) -> int:
    """Find where the rows end; -1 where they go on. Within a row a backslash is always doubled."""
    if text.startswith(END):
        return 0
    # Vectors have no backslash at all, and one byte is found ten times as fast as four.
    if b"\\" not in text:
        return -1
    found = text.find(b"\n" + END)
    return found + 1 if found >= 0 else -1


def places(copy: CopyText, wanted: Sequence[str], table: str, path: Path) -> list[int]:
    """Find columns by name."""
    missing = [name for name in wanted if name not in copy.columns]
    if not copy.columns:
        raise InputError(
            f"{path}: table {table} is not written as COPY: make the dump anew, without --inserts or --column-inserts."
        )
    if missing:
        raise InputError(
            f"{path}: table {table} has no column {missing[0]!r} (it has {', '.join(copy.columns)}): expected a dump "
            "of FANTASIA's database."
        )
    return [copy.columns.index(name) for name in wanted]


def copy_rows(archive: Archive, table: str, wanted: Sequence[str]) -> Iterator[list[str]]:
    """Read chosen columns of a table, row by row; a missing value is an empty string.

    Raises
    ------
    InputError
        If the table or a column is missing, or a row has not as many columns as the others.
    """
    with archive.table(table) as copy:
        chosen = places(copy, wanted, table, archive.path)
        number = 0
        for block in whole_lines(copy, archive.path):
            for line in block.decode("utf-8", "latin1_fallback").split("\n")[:-1]:
                number += 1
                fields = line.split("\t")
                if len(fields) != len(copy.columns):
                    raise InputError(
                        f"{archive.path}: row {number} of table {table} has {len(fields)} columns where "
                        f"{len(copy.columns)} are named: fetch the dump again."
                    )
                yield [_value(fields[place]) for place in chosen]


def _value(field: str) -> str:
    """Undo the escapes of one field.

    Examples
    --------
    >>> _value("one\\\\ttwo"), _value("\\\\N")
    ('one\\ttwo', '')
    """
    if "\\" not in field:
        return field
    return "" if field == "\\N" else ESCAPED.sub(lambda match: SPECIAL.get(match[1], match[1]), field)
