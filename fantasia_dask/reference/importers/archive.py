"""A PostgreSQL dump read without a server: each of its tables as a stream of COPY text.

Three ways lead to the same text. A custom dump (``pg_dump -Fc``) has its table of contents read by pgdumplib and its
data unpacked here, a block at a time: pgdumplib itself would unpack every table whole, in memory, and stop without a
word where a file is cut. A tar dump (``-Ft``) names its members in ``restore.sql``. What neither reads, such as the
zstd of newer servers, goes through ``pg_restore`` where that is on the PATH.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from ...errors import InputError

__all__ = ["READERS", "Archive", "CopyText", "CustomArchive", "PgRestore", "TarArchive", "is_dump", "open_archive"]

READERS = ("auto", "python", "pg_restore")
CUSTOM_MAGIC = b"PGDMP"
TAR_FIRST = b"toc.dat\0"
COPY = re.compile(r'COPY (?:[\w"]+\.)?"?(?P<table>\w+)"? \((?P<columns>[^)]*)\) FROM (?P<where>[^;]+);')
READ_BYTES = 1 << 20
INT_BYTES_AT = 8
DATA_BLOCK = 1
OFFSET_KNOWN = 2


@dataclass(frozen=True)
class CopyText:
    """One table of a dump.

    Attributes
    ----------
    columns : list of str
        In the order of the text.
    blocks : iterator of bytes
        The text in pieces of any size: rows, then a line with nothing but a backslash and a dot.
    position : callable
        How many bytes of the file have been read so far.
    """

    columns: list[str]
    blocks: Iterator[bytes]
    position: Callable[[], int]


class Archive(Protocol):
    """A dump, whatever its format."""

    path: Path

    def table(self, name: str) -> AbstractContextManager[CopyText]:
        """Open one table; `InputError` if the dump has none of this name, or is damaged."""


def is_dump(path: Path) -> bool:
    """Tell whether a file is a PostgreSQL dump, custom or tar, by its first bytes."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        first = file.read(len(TAR_FIRST))
    return first.startswith(CUSTOM_MAGIC) or first == TAR_FIRST


def open_archive(path: Path, reader: str = "auto") -> Archive:
    """Open a dump.

    Parameters
    ----------
    path
        Custom or tar format.
    reader : {"auto", "python", "pg_restore"}
        By default read here, which costs less, and by pg_restore what is not understood here.

    Raises
    ------
    InputError
        If it is damaged, or of a kind that cannot be read with what is installed.
    """
    if reader not in READERS:
        raise InputError(f"reader is {reader!r}: expected {', '.join(READERS)}.")
    if reader == "pg_restore":
        return PgRestore(path)
    with path.open("rb") as file:
        tar = file.read(len(TAR_FIRST)) == TAR_FIRST
    if tar:
        return TarArchive(path)
    try:
        return CustomArchive(path)
    except InputError:
        if reader == "auto" and shutil.which("pg_restore"):
            return PgRestore(path)
        raise


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"{path} is a damaged or cut dump ({why}): fetch it again.")


def _no_table(path: Path, name: str) -> InputError:
    return InputError(f"{path} has no data of a table {name!r}: expected a dump of FANTASIA's database.")


def _columns(statement: str) -> list[str]:
    """Return the columns that a COPY statement names.

    Examples
    --------
    >>> _columns('COPY public.accession (code, "primary") FROM stdin;')
    ['code', 'primary']
    """
    match = COPY.match(statement)
    return [name.strip().strip('"') for name in match["columns"].split(",")] if match else []


# pg_dump -Fc --------------------------------------------------------------------------------------------------------


class CustomArchive:
    """A dump in custom format, unpacked here."""

    def __init__(self, path: Path):
        self.path = path
        contents, self._data_at = _read_contents(path)
        self._packed = contents.compression_algorithm == "gzip"
        self._entries = {entry.tag: entry for entry in contents.entries if entry.desc == "TABLE DATA"}
        with path.open("rb") as file:
            file.seek(INT_BYTES_AT)
            self._int_bytes = file.read(1)[0]

    @contextmanager
    def table(self, name: str) -> Iterator[CopyText]:
        """Open one table."""
        if name not in self._entries:
            raise _no_table(self.path, name)
        entry = self._entries[name]
        with self.path.open("rb", buffering=READ_BYTES) as file:
            self._seek(file, entry)
            pieces = self._pieces(file)
            yield CopyText(_columns(entry.copy_stmt), self._unpacked(pieces) if self._packed else pieces, file.tell)

    def _seek(self, file: IO[bytes], entry: Any) -> None:
        """Go to the first piece of a table; a dump written to a pipe does not say where that is."""
        known = entry.data_state == OFFSET_KNOWN
        if known and entry.offset > self.path.stat().st_size:
            raise _damaged(self.path, f"the data of {entry.tag} should begin behind its end")
        file.seek(entry.offset if known else self._data_at)
        while True:
            kind, number = self._exactly(file, 1)[0], self._int(file)
            if kind == DATA_BLOCK and number == entry.dump_id:
                return
            if known or kind != DATA_BLOCK:
                raise _damaged(self.path, f"no data of {entry.tag} where they should be")
            while size := self._int(file):
                file.seek(size, os.SEEK_CUR)

    def _pieces(self, file: IO[bytes]) -> Iterator[bytes]:
        size = self._int(file)
        while size:
            # The length of the next piece comes with this one: a large table has a hundred thousand of them.
            data = self._exactly(file, size + 1 + self._int_bytes)
            yield data[:size]
            size = self._length(data[size:])

    def _unpacked(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        from isal import isal_zlib

        unpacker = isal_zlib.decompressobj()
        try:
            for piece in pieces:
                yield unpacker.decompress(piece)
        except isal_zlib.error as error:  # type: ignore[misc]  # its stub types an instance
            raise _damaged(self.path, str(error)) from error
        if not unpacker.eof:
            raise _damaged(self.path, "the packed data do not end")

    def _int(self, file: IO[bytes]) -> int:
        return self._length(self._exactly(file, 1 + self._int_bytes))

    def _length(self, data: bytes) -> int:
        if data[0]:
            raise _damaged(self.path, "a negative length")
        return int.from_bytes(data[1:], "little")

    def _exactly(self, file: IO[bytes], size: int) -> bytes:
        if size > READ_BYTES * 64:
            raise _damaged(self.path, f"a piece of {size} bytes")
        data = file.read(size)
        if len(data) != size:
            raise _damaged(self.path, "it ends in the middle of a table")
        return data


def _read_contents(path: Path) -> tuple[Any, int]:
    """Read the table of contents of a custom dump; return it, and where the data begin."""
    from pgdumplib.dump import Dump

    class Contents(Dump):
        # `load` unpacks every entry named here, whole, into a temporary folder.
        _data_entries = ()

    contents = Contents()
    # It has a folder of its own for tables, which stays empty.
    contents._temp_dir.cleanup()
    try:
        contents.load(path)
        return contents, contents._handle.tell()
    except (OSError, ValueError, RuntimeError, LookupError, OverflowError, MemoryError, struct.error) as error:
        algorithm = getattr(contents, "_compression_algorithm", 0)
        why = "its data are packed with lz4 or zstd" if algorithm > 1 else " ".join(str(error).split()) or "no contents"
        raise InputError(
            f"{path} cannot be read as a custom dump here ({why}): fetch it again if it is cut, or install pg_restore "
            "(postgresql-client) of the server's version."
        ) from error
    finally:
        if contents._handle is not None:
            contents._handle.close()


# pg_dump -Ft --------------------------------------------------------------------------------------------------------


class TarArchive:
    """A dump in tar format: ``restore.sql`` says which member holds which table."""

    def __init__(self, path: Path):
        self.path = path
        with self._opened() as tar:
            script = self._member(tar, "restore.sql").read().decode("utf-8", "replace")
        self._tables = {match["table"]: match for match in COPY.finditer(script)}

    @contextmanager
    def table(self, name: str) -> Iterator[CopyText]:
        """Open one table."""
        if name not in self._tables:
            raise _no_table(self.path, name)
        statement = self._tables[name]
        with self._opened() as tar:
            file = self._member(tar, statement["where"].strip("'").removeprefix("$$PATH$$/"))
            blocks = iter(lambda: file.read(READ_BYTES), b"")
            assert tar.fileobj is not None
            yield CopyText(_columns(statement.group()), blocks, tar.fileobj.tell)

    @contextmanager
    def _opened(self) -> Iterator[tarfile.TarFile]:
        try:
            with tarfile.open(self.path, "r:") as tar:
                yield tar
        except (tarfile.TarError, OSError, EOFError) as error:
            raise _damaged(self.path, str(error)) from error

    def _member(self, tar: tarfile.TarFile, name: str) -> IO[bytes]:
        try:
            member = tar.getmember(name)
        except KeyError as error:
            raise _damaged(self.path, f"{name} is missing") from error
        file = tar.extractfile(member) if member.isreg() else None
        if file is None:
            raise _damaged(self.path, f"{name} is no file")
        return file


# pg_restore ---------------------------------------------------------------------------------------------------------


class PgRestore:
    """Any dump that the installed pg_restore reads; it writes SQL text, and runs nothing."""

    def __init__(self, path: Path):
        program = shutil.which("pg_restore")
        if program is None:
            raise InputError("pg_restore is not on the PATH: install postgresql-client, or leave the reader to itself.")
        self.path = path
        self._program = program

    @contextmanager
    def table(self, name: str) -> Iterator[CopyText]:
        """Open one table."""
        command = [self._program, "--data-only", f"--table={name}", "--file=-"]
        # The dump is its standard input: the two processes share one position, which tells how far it has come.
        with self.path.open("rb") as file, tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(command, stdin=file, stdout=subprocess.PIPE, stderr=errors)
            assert process.stdout is not None
            try:
                columns = self._header(process, errors, name)
                blocks = self._blocks(process, errors)
                yield CopyText(columns, blocks, lambda: os.lseek(file.fileno(), 0, os.SEEK_CUR))
                for _ in blocks:
                    pass
            finally:
                process.kill()
                process.stdout.close()
                process.wait()

    def _header(self, process: subprocess.Popen[bytes], errors: IO[bytes], name: str) -> list[str]:
        """Read up to the COPY statement."""
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(b"COPY ") and (columns := _columns(line.decode("utf-8", "replace"))):
                return columns
        self._check(process, errors)
        raise _no_table(self.path, name)

    def _blocks(self, process: subprocess.Popen[bytes], errors: IO[bytes]) -> Iterator[bytes]:
        assert process.stdout is not None
        while block := process.stdout.read(READ_BYTES):
            yield block
        self._check(process, errors)

    def _check(self, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        """Refuse what pg_restore has complained about."""
        if process.wait() == 0:
            return
        errors.seek(0)
        said = errors.read(2000).decode("utf-8", "replace").strip().splitlines()
        why = (
            said[0].removeprefix("pg_restore: ").removeprefix("error: ") if said else f"exit code {process.returncode}"
        )
        raise _damaged(self.path, f"pg_restore: {why}")
