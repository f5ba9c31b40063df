"""FASTA to proteins: the text is checked once, here, and never touched again.

Letters are read as follows, for every model: lower case becomes upper case; gaps (``-``) are removed; a stop
(``*``, or ``.`` as gffread writes it) at the end is dropped and inside becomes ``X``. Any ASCII letter is kept,
also U, Z, O, B and J: what a model makes of them is the model's own convention. Anything else is an error.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TextIO

from .errors import InputError
from .locations import is_url

__all__ = ["Protein", "open_text", "read_fasta"]

OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
LONGEST_LINE = 50_000_000
"""Characters; the longest protein known has 45,000 residues, and a file of zeros is one line."""
LARGE_BYTES, LARGEST_RATIO = 200_000_000, 100
"""What a packed file may hold in any case, and how many times its own size beyond that; text packs 3 to 20 times."""
LONGEST_PROTEIN = 10_000_000
"""Residues; one beyond it is a chromosome, or no sequence at all."""
NOT_A_RESIDUE = re.compile(r"[^A-Za-z*.-]")
MARKS = str.maketrans({"-": None, "*": "X", ".": "X"})


@dataclass(frozen=True, slots=True)
class Protein:
    """One protein of a FASTA file.

    Attributes
    ----------
    accession : str
        The first word of the header, exactly as given.
    sequence : str
        Upper-case letters A to Z; empty when the record has no residues, or a `problem`.
    description : str
        The rest of the header.
    problem : str
        Why the record cannot be read; empty when it can.
    """

    accession: str
    sequence: str
    description: str = ""
    problem: str = ""


@contextmanager
def open_text(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Open a text file for reading, unpacking ``.gz``, ``.bz2`` and ``.xz``; ``-`` is standard input.

    Bytes that are not UTF-8 are read as Latin-1, as old databases wrote them; a byte-order mark is passed over.

    Raises
    ------
    InputError
        If the file is missing, unreadable or not what its ending says, has a line that no text has, or unpacks to
        more than a hundred times its size.
    """
    if os.fspath(path) == "-":
        binary = getattr(sys.stdin, "buffer", None)
        text = sys.stdin if binary is None else _Text(binary, "standard input")
        yield text
        if isinstance(text, _Text):
            text.detach()  # else it would close standard input when it goes
        return
    path = Path(path)
    if not os.path.isfile(path):  # noqa: PTH113 (Path's raises where the name is too long)
        if is_url(path):
            raise InputError(
                f"{path} is an address, and a file on this machine is expected: fetch it, or have `fantasia-dask "
                "initialize` fetch what a configuration names below sources."
            )
        raise InputError(f"{path} does not exist: expected a file.")
    try:
        opener: Callable[..., IO[bytes]] = OPENERS.get(path.suffix, open)
        with opener(path, "rb") as binary:
            yield _Text(binary, os.fspath(path), path.stat().st_size if path.suffix in OPENERS else None)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise InputError(f"{path} cannot be read ({error}).") from error


class _Text(io.TextIOWrapper):
    """Text read line by line, in bounded memory whatever is in it."""

    def __init__(self, binary: Any, name: str, packed_bytes: int | None = None):
        super().__init__(binary, encoding="utf-8-sig", errors="latin1_fallback")
        self._of, self._packed_bytes, self._characters = name, packed_bytes, 0

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]  # its stub has bytes
        """Return the next line."""
        line = super().readline(LONGEST_LINE if size < 0 else size)
        if len(line) >= LONGEST_LINE:
            raise InputError(f"{self._of} has a line of more than {LONGEST_LINE:,} characters: it is no text file.")
        self._characters += len(line)
        if self._packed_bytes is not None and self._characters > max(LARGE_BYTES, LARGEST_RATIO * self._packed_bytes):
            raise InputError(
                f"{self._of} unpacks to more than {LARGEST_RATIO} times its size: it is no file of proteins or "
                "annotations. Unpack it yourself if it is one."
            )
        return line

    def __next__(self) -> str:  # type: ignore[override]
        if line := self.readline():
            return line
        raise StopIteration


def _latin1_fallback(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("latin1_fallback", _latin1_fallback)


def read_fasta(path: str | os.PathLike[str], *, skip_invalid: bool = False) -> list[Protein]:
    """Read the proteins of a FASTA file, in order.

    Parameters
    ----------
    path
        Plain, ``.gz``, ``.bz2`` or ``.xz``; ``-`` reads standard input.
    skip_invalid : bool
        Return a record with a residue that is no letter without its sequence, its `problem` said, instead of raising.

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
    [Protein(accession='P1', sequence='MKT', description='first', problem=''), ...]
    """
    from Bio.SeqIO.FastaIO import SimpleFastaParser

    name = "standard input" if os.fspath(path) == "-" else os.fspath(path)
    proteins: list[Protein] = []
    first_seen: dict[str, int] = {}
    with open_text(path) as text:
        lines = _Lines(text, name)
        # One iterator: the parser goes through what it is given in two loops.
        for title, residues in SimpleFastaParser(iter(lines)):
            number = len(proteins) + 1
            # The first word is the accession; only a space or a tab ends it, whatever else it is made of.
            accession, _, description = title.replace("\t", " ", 1).partition(" ")
            if not accession:
                raise InputError(f"record {number} of {name} has no name after '>': every protein needs one.")
            if accession in first_seen:
                raise InputError(
                    f"protein {accession!r} is named twice, in records {first_seen[accession]} and {number} of {name}: "
                    "every protein needs a name of its own."
                )
            first_seen[accession] = number
            sequence, problem = _letters(residues)
            if problem and not skip_invalid:
                where = f"line {lines.headers[number - 1]} of {name}"
                raise InputError(
                    f"protein {accession!r} ({where}) {problem}. Mend it, or set invalid_proteins: skip to go on "
                    "without such proteins."
                )
            proteins.append(Protein(accession, sequence, description.strip(), problem))
    if not proteins:
        raise InputError(f"{name} holds no protein: expected FASTA, with at least one '>' header.")
    return proteins


def _letters(residues: str) -> tuple[str, str]:
    """Bring the residues of one protein to upper-case letters, or say what is wrong with them."""
    residues = "".join(residues.split())
    wrong = NOT_A_RESIDUE.search(residues)
    if wrong:
        return "", f"has {wrong.group()!r} at residue {wrong.start() + 1}: only amino-acid letters are read"
    return residues.upper().rstrip("*.-").translate(MARKS), ""


class _Lines:
    """The lines of a FASTA file; notes where headers stand, and refuses at once a file that does not begin like one."""

    def __init__(self, text: TextIO, name: str):
        self.headers: list[int] = []
        self._residues = 0
        self._text = text
        self._name = name

    def __iter__(self) -> Iterator[str]:
        for number, line in enumerate(self._text, 1):
            if line.startswith(">"):
                self.headers.append(number)
                self._residues = 0
            elif line.startswith(";") or not line.strip():
                continue
            elif not self.headers:
                shown = line.strip()[:40]
                raise InputError(f"{self._name} is not FASTA: it begins with {shown!r}, expected '>'.")
            else:
                self._residues += len(line)
            if self._residues > LONGEST_PROTEIN:
                raise InputError(
                    f"the protein of line {self.headers[-1]} of {self._name} has more than {LONGEST_PROTEIN:,} "
                    "residues: expected proteins, not chromosomes."
                )
            yield line
