"""Archives from elsewhere, unpacked within their folder and within bounds."""

from __future__ import annotations

import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from .errors import InputError
from .sequences import OPENERS

__all__ = ["is_archive", "unpack", "unpack_file"]

MAX_RATIO = 100
"""An archive of text unpacks to about ten times its size; one that does to more than a hundred is a trap."""

ALWAYS_ALLOWED = 100 << 20
MAX_FILES = 1_000_000
COPY_BYTES = 1 << 20


def is_archive(path: Path) -> bool:
    """Tell whether a file is a zip or tar archive, by its name; an npz is a zip file that is read as it is."""
    return path.name.endswith((".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"))


def unpack(archive: Path, folder: Path, wanted: Callable[[str], bool] = lambda name: True) -> list[Path]:
    """Unpack the files of a zip or tar archive below a folder; return where they are.

    Parameters
    ----------
    archive
        Its name says what it is.
    folder
        Made if it is not there.
    wanted
        Told the path of each file; those for which it returns False are left out.

    Raises
    ------
    InputError
        If a member would be written elsewhere, is a link or no file, the archive is damaged, or it unpacks to more
        than its size allows for or the disk has room for.
    """
    allowed = _allowed(archive)
    written: list[Path] = []
    announced = total = 0
    try:
        for name, size, opened in _members(archive):
            target = _place(name, folder, archive)
            announced += size
            _check_total(announced, allowed, archive)
            if not wanted(name):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with opened() as source, target.open("xb") as out:
                while data := source.read(COPY_BYTES):
                    # What a member says of its size may not be so.
                    total += len(data)
                    _check_total(total, allowed, archive)
                    out.write(data)
            written.append(target)
            if len(written) > MAX_FILES:
                raise InputError(f"{archive} has more than {MAX_FILES} files: it is not used.")
    except FileExistsError as error:
        raise InputError(f"{archive} has two files of one name, {error.filename}: it is not used.") from error
    except (
        OSError,
        EOFError,
        lzma.LZMAError,
        zlib.error,
        tarfile.TarError,
        zipfile.BadZipFile,
        NotImplementedError,
    ) as error:
        reason = " ".join(str(error).split())[:100]
        raise InputError(f"{archive} cannot be unpacked ({reason}): fetch it again.") from error
    return written


def unpack_file(file: Path, out: Path) -> None:
    """Copy one file, unpacking it if its name ends in ``.gz``, ``.bz2`` or ``.xz``; bounded as `unpack`.

    Raises
    ------
    InputError
        If it is damaged, or unpacks to more than its size allows for or the disk has room for.
    """
    allowed = _allowed(file)
    total = 0
    try:
        with OPENERS.get(file.suffix, open)(file, "rb") as source, out.open("wb") as copy:
            while data := source.read(COPY_BYTES):
                total += len(data)
                _check_total(total, allowed, file)
                copy.write(data)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise InputError(f"{file} cannot be unpacked ({error}): fetch it again.") from error


def _allowed(packed: Path) -> int:
    return min(max(packed.stat().st_size * MAX_RATIO, ALWAYS_ALLOWED), shutil.disk_usage(packed.parent).free)


def _check_total(size: int, allowed: int, archive: Path) -> None:
    if size > allowed:
        raise InputError(
            f"{archive} unpacks to more than {allowed >> 20} MB, for which its own size does not account or the disk "
            "has no room: it is not used."
        )


def _place(name: str, folder: Path, archive: Path) -> Path:
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or "\0" in name or ":" in (parts.parts or ("",))[0]:
        raise InputError(f"{archive} names a file outside its folder ({name[:80]!r}): it is not used.")
    return folder / parts


def _members(archive: Path) -> Iterator[tuple[str, int, Callable[[], IO[bytes]]]]:
    """Yield the files of an archive: the path, the size it says, and a way to read each."""
    if archive.name.endswith(".zip"):
        with zipfile.ZipFile(archive) as zipped:
            for info in zipped.infolist():
                if not info.is_dir():
                    yield info.filename, info.file_size, partial(zipped.open, info)
        return
    with tarfile.open(archive) as tarred:
        for member in tarred:
            if not (member.isfile() or member.isdir()):
                raise InputError(f"{archive} holds {member.name[:80]!r}, which is no file: it is not used.")
            if member.isfile():
                yield member.name, member.size, partial(_opened, tarred, member)


def _opened(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(member)
    assert file is not None
    return file
