"""What tells a damaged or changed bundle from the one that was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from ..errors import InputError
from ..locations import is_remote

__all__ = ["CHECKSUMS", "file_digest", "verified_bytes", "verify_checksums", "verify_files", "write_checksums"]

CHECKSUMS = "checksums.json"


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except PermissionError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): change its permissions.") from error


def _files(folder: Path) -> Iterator[str]:
    """Name every file of a folder but the checksums themselves, relative to it, in order."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name != CHECKSUMS and (path.is_symlink() or not path.is_dir()):
            yield name


def write_checksums(folder: Path) -> None:
    """Write the checksum of every file of a folder, the chunks of arrays among them."""
    digests = {name: file_digest(folder / name) for name in _files(folder)}
    (folder / CHECKSUMS).write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")


def _read_checksums(folder: Path) -> dict[str, str]:
    try:
        digests = json.loads((folder / CHECKSUMS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / CHECKSUMS} cannot be read ({error}): the bundle cannot be verified.") from error
    if not isinstance(digests, dict):
        raise InputError(f"{folder / CHECKSUMS} is not a list of checksums: fetch or build the reference again.")
    return digests


def verified_bytes(folder: Path, name: str) -> bytes:
    """Read one file of a folder or URL whole, and return what has the right checksum.

    Raises
    ------
    InputError
        If it is missing or damaged.
    """
    expected = _read_checksums(folder).get(name)
    try:
        content = (folder / name).read_bytes()
    except FileNotFoundError:
        content, expected = b"", None
    if hashlib.sha256(content).hexdigest() != expected:
        raise InputError(f"{folder / name} is damaged or missing: fetch or build the reference again.")
    return content


def verify_files(folder: Path, pattern: str) -> None:
    """Compare the files of a folder or URL whose names fit a pattern (``*`` stands for any text) with their checksums.

    Raises
    ------
    InputError
        Naming the first that is missing or damaged, or if there is none.
    """
    expected = {name: digest for name, digest in _read_checksums(folder).items() if fnmatchcase(name, pattern)}
    if is_remote(folder):
        for name in expected or (pattern,):
            verified_bytes(folder, name)
        return
    for name, digest in expected.items() or ((pattern, ""),):
        path = folder / name
        if path.is_symlink() or not path.is_file() or file_digest(path) != digest:
            raise InputError(f"{path} is damaged or missing: fetch or build the reference again.")


def verify_checksums(folder: Path) -> int:
    """Compare every file of a folder with its checksum and return how many there are.

    Raises
    ------
    InputError
        Naming the first file, in order, that is missing, damaged, or not among those written.
    """
    expected = _read_checksums(folder)
    # Hidden files are of the system that the folder was carried through, such as .DS_Store.
    found = {name for name in _files(folder) if name in expected or not Path(name).name.startswith(".")}
    for name in sorted(found | set(expected)):
        path = folder / name
        if name not in found:
            raise InputError(f"{path} is missing: fetch or build the reference again.")
        if name not in expected:
            raise InputError(f"{path} does not belong to the reference: remove it, or build the reference again.")
        # A link could lead anywhere; a bundle never holds one.
        if path.is_symlink() or not path.is_file() or file_digest(path) != expected[name]:
            raise InputError(f"{path} is damaged: its checksum differs. Fetch or build the reference again.")
    return len(expected)
