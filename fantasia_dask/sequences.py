"""FASTA to proteins: the text is checked once, here, and never touched again.

Letters are read as follows, for every model: lower case becomes upper case; gaps (``-``) are removed; a stop
(``*``, or ``.`` as gffread writes it) at the end is dropped and inside becomes ``X``. Any ASCII letter is kept,
also U, Z, O, B and J: what a model makes of them is the model's own convention. Anything else is an error.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from .errors import InputError

__all__ = ["Protein", "open_text", "read_fasta"]

OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
NOT_A_LETTER = re.compile(r"[^A-Z]")
AMINO_ACIDS = str.maketrans({"-": None, "*": "X", ".": "X"})


@dataclass(frozen=True, slots=True)
class Protein:
    """One protein: the first word of its header exactly as given, the rest of the header, its sequence."""

    accession: str
    sequence: str
    description: str = ""


@contextmanager
def open_text(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Open a text file for reading, unpacking ``.gz``, ``.bz2`` and ``.xz``; ``-`` is standard input.

    Bytes that are not UTF-8 are read as Latin-1, as old databases wrote them.

    Raises
    ------
    InputError
        If the file is missing, unreadable or not what its ending says.
    """
    if os.fspath(path) == "-":
        yield sys.stdin
        return
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist: expected a file.")
    try:
        with OPENERS.get(path.suffix, open)(path, "rb") as binary:
            yield io.TextIOWrapper(binary, encoding="utf-8", errors="latin1_fallback")
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise InputError(f"{path} cannot be read ({error}).") from error


def _latin1_fallback(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


import codecs  # noqa: E402

codecs.register_error("latin1_fallback", _latin1_fallback)


def read_fasta(path: str | os.PathLike[str]) -> list[Protein]:
    """Read the proteins of a FASTA file, in order.

    Parameters
    ----------
    path
        Plain, ``.gz``, ``.bz2`` or ``.xz``; ``-`` reads standard input.

    Returns
    -------
    list of Protein
        One per record; a record without residues has an empty sequence and is kept.

    Raises
    ------
    InputError
        If the file is not FASTA, holds no record, names one accession twice, or has a residue that is no letter.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "two.fasta")
    >>> _ = file.write_text(">P1 first\\nmk-t*\\n>P2\\nMRT\\n")
    >>> read_fasta(file)
    [Protein(accession='P1', sequence='MKT', description='first'), Protein(accession='P2', sequence='MRT', description='')]
    """
    from Bio.SeqIO.FastaIO import SimpleFastaParser

    name = "standard input" if os.fspath(path) == "-" else os.fspath(path)
    proteins: list[Protein] = []
    first_seen: dict[str, int] = {}
    with open_text(path) as text:
        lines = _CountedLines(text, name)
        for title, residues in SimpleFastaParser(lines):
            accession, _, description = title.strip().partition(" ")
            if "\t" in accession:
                accession, _, description = title.strip().partition("\t")
            where = f"record {len(proteins) + 1} of {name}"
            if not accession:
                raise InputError(f"{where} has no name after '>': every protein needs one.")
            if accession in first_seen:
                raise InputError(
                    f"protein {accession!r} is named twice, in records {first_seen[accession]} and "
                    f"{len(proteins) + 1} of {name}: every protein needs a name of its own."
                )
            first_seen[accession] = len(proteins) + 1
            proteins.append(Protein(accession, _letters(residues, accession, where), description.strip()))
    if not proteins:
        raise InputError(f"{name} holds no protein: expected FASTA, with at least one '>' header.")
    return proteins


def _letters(residues: str, accession: str, where: str) -> str:
    """Bring the residues of one protein to upper-case letters."""
    sequence = residues.upper().rstrip("*.").translate(AMINO_ACIDS)
    wrong = NOT_A_LETTER.search(sequence)
    if wrong:
        position = residues.upper().index(wrong.group()) + 1
        raise InputError(
            f"protein {accession!r} ({where}) has {wrong.group()!r} at residue {position}: "
            "only amino-acid letters are read."
        )
    return sequence


class _CountedLines:
    """The lines of a FASTA file; refuses at once a file that does not begin like one."""

    def __init__(self, text: TextIO, name: str):
        self._text = text
        self._name = name
        self._begun = False  # kept here: Biopython's parser begins to iterate twice

    def __iter__(self) -> Iterator[str]:
        for line in self._text:
            if not self._begun and line.strip():
                if not line.startswith((">", ";")):
                    shown = line.strip()[:40]
                    raise InputError(f"{self._name} is not FASTA: it begins with {shown!r}, expected '>'.")
                self._begun = line.startswith(">")
            if self._begun and not line.startswith(";"):
                yield line
