"""Files from the web: taken up where a connection broke, checked, and their origin written down.

pooch resolves DOIs, checks the checksum of a file and gives it its name when it is whole; it has no way to take up a
download, so that it is given a downloader of ours. Proxies are those of the environment (``HTTPS_PROXY`` and others).

Beside the files lies ``downloads.json``: what came from where, when, how large, and its SHA-256. A file whose checksum
nobody told is checked against what it was the first time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from .errors import InputError
from .progress import Progress
from .resumable import HEADERS, TIMEOUT_S, Resumable, reason, unreachable
from .run_folder import file_sha256, write_json
from .store import remove

__all__ = ["RECORDS", "RemoteFile", "fetch", "forget", "is_fetched", "remote_files", "remote_size"]

RECORDS = "downloads.json"


@dataclass(frozen=True)
class RemoteFile:
    """One file on the web.

    Attributes
    ----------
    url, name : str
        Where it is, and what it is called here.
    size : int or None
        Bytes, if they are known beforehand.
    checksum : str or None
        ``sha256:...`` or ``md5:...``, if it is known beforehand.
    """

    url: str
    name: str
    size: int | None = None
    checksum: str | None = None


def remote_files(url: str, *, size: int | None = None, sha256: str | None = None) -> list[RemoteFile]:
    """Tell what is to be fetched for an address: a URL is one file, a DOI one file or all of a record.

    Parameters
    ----------
    url
        ``https://...``, ``doi:10.5281/zenodo.123/file.npz``, or ``doi:10.5281/zenodo.123`` for all files of a record.
        A DOI is resolved on the web, and the repository tells the checksums.
    size, sha256
        Of the one file, if they are known.

    Raises
    ------
    InputError
        If it is neither, or the DOI cannot be resolved.

    Examples
    --------
    >>> remote_files("https://example.org/data/go%20basic.obo?download=1", size=3)
    [RemoteFile(url='https://example.org/data/go%20basic.obo?download=1', name='go basic.obo', size=3, checksum=None)]
    """
    checksum = f"sha256:{sha256.lower()}" if sha256 else None
    if url.startswith("doi:"):
        return _files_of_doi(url, size, checksum)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InputError(f"{url!r} is no address: expected https://..., or doi:10.....")
    return [RemoteFile(url, _plain_name(PurePosixPath(unquote(parts.path)).name, url), size, checksum)]


def _plain_name(name: str, url: str) -> str:
    """Return a file name that can only be one, whatever an address or a repository says."""
    if not name or name in (".", "..", RECORDS) or name.startswith(".") or any(c in name for c in "/\\\0"):
        raise InputError(f"{url} does not end in the name of a file (but in {name!r}): expected one.")
    return name


def _files_of_doi(url: str, size: int | None, checksum: str | None) -> list[RemoteFile]:
    import pooch
    import requests

    parts = url.removeprefix("doi:").strip("/").split("/")
    doi, wanted = "/".join(parts[:2]), "/".join(parts[2:])
    try:
        repository = pooch.downloaders.doi_to_repository(doi)
        known = pooch.create(path="", base_url="", registry=None)
        repository.populate_registry(known)
        if wanted and wanted not in known.registry:
            raise InputError(f"doi:{doi} has no file {wanted!r}: it has {', '.join(sorted(known.registry))}.")
        names = [wanted] if wanted else sorted(known.registry)
        return [
            RemoteFile(repository.download_url(name), _plain_name(name, url), size, checksum or known.registry[name])
            for name in names
        ]
    except (ValueError, KeyError, requests.RequestException) as error:
        raise InputError(f"{url} cannot be resolved ({reason(error)}): check the DOI and the network.") from error


def remote_size(remote: RemoteFile) -> int | None:
    """Return the bytes of a file, asking the server where they are not known; None where it does not say.

    Raises
    ------
    InputError
        If the server cannot be reached.
    """
    import requests

    if remote.size is not None:
        return remote.size
    try:
        answer = requests.head(remote.url, headers=HEADERS, timeout=TIMEOUT_S, allow_redirects=True)
    except requests.RequestException as error:
        raise unreachable(remote.url, error) from error
    told = answer.headers.get("Content-Length", "")
    return int(told) if answer.ok and told.isdecimal() else None


def is_fetched(remote: RemoteFile, folder: Path) -> bool:
    """Tell whether a file is there and is what it should be: told by its checksum, or as it was the first time."""
    file = folder / remote.name
    expected = remote.checksum or _recorded(remote, folder)
    return file.is_file() and (expected is None or _matches(file, expected))


def fetch(remote: RemoteFile, folder: Path, progress: Progress) -> Path:
    """Fetch a file, unless it is there; a download that was cut is taken up.

    Raises
    ------
    InputError
        If the server cannot be reached, answers something else, or the file is not the one expected. What came of it
        is kept when the connection broke, and only then.
    """
    import pooch

    target = folder / remote.name
    if is_fetched(remote, folder):
        _record(remote, folder)
        return target
    folder.mkdir(parents=True, exist_ok=True)
    expected = remote.checksum or _recorded(remote, folder)
    part = folder / f"{remote.name}.part"
    # pooch leaves a temporary file behind when it is killed: in a folder of its own the next call finds it.
    checking = folder / f"{remote.name}.checking"
    remove(checking)
    total = remote_size(remote)
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")
    try:
        with progress.stage(f"fetching {remote.name}", (total or 0) >> 20, "MB") as advance:
            downloader = Resumable(part, remote.size, checked=expected is not None, advance=advance)
            pooch.retrieve(remote.url, expected, fname=remote.name, path=checking, downloader=downloader)
        (checking / remote.name).replace(target)
    except ValueError as error:
        raise InputError(_unexpected(remote, expected, folder)) from error
    finally:
        logger.setLevel(level)
        remove(checking)
    _record(remote, folder)
    return target


def _unexpected(remote: RemoteFile, expected: str | None, folder: Path) -> str:
    """Say what can be done about a file with another checksum: it depends on who told the right one."""
    if remote.checksum is not None:
        return (
            f"{remote.url} is not the file that was expected, and is not kept: its checksum is not {expected}. Check "
            "the address and the checksum that goes with it."
        )
    return (
        f"{remote.url} is not the file that it was when it was first fetched, and is not kept. If that is right, "
        f"remove its entry in {folder / RECORDS}."
    )


def forget(remote: RemoteFile, folder: Path, *, keep: bool) -> None:
    """Let go of a file that turned out to be of no use, and of its checksum: another one may come from its address.

    Parameters
    ----------
    keep : bool
        Whether the file itself stays; it is then taken as it is by the next call.
    """
    if not keep:
        (folder / remote.name).unlink(missing_ok=True)
    records = _records(folder)
    if records.pop(remote.name, None) is not None:
        write_json(folder / RECORDS, records)


# Records ------------------------------------------------------------------------------------------------------------


def _records(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / RECORDS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / RECORDS} cannot be read ({error}): remove it.") from error
    return found if isinstance(found, dict) else {}


def _recorded(remote: RemoteFile, folder: Path) -> str | None:
    """Return the checksum that a file had when it first came from this address."""
    entry = _records(folder).get(remote.name)
    if not isinstance(entry, dict) or entry.get("url") != remote.url or not isinstance(entry.get("sha256"), str):
        return None
    return f"sha256:{entry['sha256']}"


def _record(remote: RemoteFile, folder: Path) -> None:
    """Write down what came from where, unless it is known."""
    if _recorded(remote, folder) is not None:
        return
    file = folder / remote.name
    entry = {
        "url": remote.url,
        "bytes": file.stat().st_size,
        "sha256": file_sha256(file),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(folder / RECORDS, {**_records(folder), remote.name: entry})


def _matches(file: Path, checksum: str) -> bool:
    import pooch

    algorithm, _, value = checksum.partition(":")
    return bool(pooch.file_hash(str(file), alg=algorithm) == value)
