"""Before the first run: what a configuration names is fetched, imported and verified, so that runs need no network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import Config, SourceSettings
from ..download import RemoteFile, fetch, remote_files, remote_size
from ..errors import InputError
from ..progress import Progress
from ..run_folder import file_sha256, write_json
from .placing import DUMP_FILES, place, verify

__all__ = ["initialize", "initialize_models"]

MADE = "made.json"
"""In the folder of downloads: what was made from which of them."""

ROOM = {"reference": 4, "ontology": 2, "taxonomy_dump": 9}
"""How many times the size of a download the disk has to hold at most, the download included: a reference is laid down
twice while it is made, and a taxonomy unpacks to eight times its size."""


@dataclass(frozen=True)
class _Wanted:
    """One thing that a run reads: what it is, where it has to be, and where it comes from."""

    what: str
    path: Path
    source: SourceSettings

    @property
    def there(self) -> bool:
        """Whether it is there; not whether it is whole."""
        from ..reference.bundle import is_reference

        if self.what == "reference":
            return is_reference(self.path)
        if self.what == "ontology":
            return self.path.is_file()
        return all((self.path / name).is_file() for name in DUMP_FILES[:2])

    @property
    def remotes(self) -> list[RemoteFile]:
        """The files that it is made from."""
        from ..reference.published import address_of

        assert self.source.url is not None
        address = address_of(self.what, self.source.url)
        return remote_files(address, size=self.source.size, sha256=self.source.sha256)


def initialize(
    config: Config,
    *,
    offline: bool = False,
    check: bool = False,
    tell: Callable[[str], object] = print,
    progress: Progress | None = None,
) -> None:
    """Fetch, import and verify what a configuration names and is not there; what is there is left alone.

    Parameters
    ----------
    config : Config
        `reference`, `ontology` and `taxonomy_dump` say where things belong, `sources` where they come from.
    offline : bool
        Fetch nothing: verify all that is there, and say what is missing.
    check : bool
        Load every model as well.
    tell : callable
        Receives a line on what is to be fetched and how much disk it takes, before it is, and one on each thing that
        is ready.
    progress : Progress, optional

    Raises
    ------
    InputError
        If something is missing and cannot be fetched, or is not what it should be; what was there is then untouched.
    """
    # The reference last: it is made with the other two.
    listed = [
        _Wanted(what, path, getattr(config.sources, what))
        for what in ("taxonomy_dump", "ontology", "reference")
        if (path := getattr(config, what)) is not None
    ]
    missing = [wanted for wanted in listed if not wanted.there]
    _check_missing(missing, offline)
    folder = config.sources.folder or config.base_directory / "downloads"
    if missing:
        remotes = {wanted.what: wanted.remotes for wanted in missing}
        tell(_plan(remotes, folder))
        for wanted in missing:
            files = [fetch(remote, folder / wanted.what, progress or Progress()) for remote in remotes[wanted.what]]
            try:
                place(wanted.what, wanted.path, files, config, progress or Progress())
            except InputError as error:
                raise InputError(f"{error} It was fetched to {files[0]}: remove it there to fetch it anew.") from error
            _note_made(wanted, files, folder)
    for wanted in listed:
        _check_origin(wanted, folder)
        if wanted in missing or offline:
            verify(wanted.what, wanted.path)
        tell(f"{wanted.what}: {wanted.path} is {'there' if wanted not in missing else 'made, and whole'}")
    initialize_models(config, offline=offline, check=check, tell=tell)


def initialize_models(
    config: Config, *, offline: bool = False, check: bool = False, tell: Callable[[str], object] = print
) -> None:
    """Fetch and verify the weights of every enabled model, so that runs need no network.

    Parameters
    ----------
    config : Config
    offline, check, tell
        As for `fantasia_dask.embed.weights.prepare_models`.

    Raises
    ------
    InputError
        If a model is unknown, lacks a layer that is asked for, or its weights are missing or damaged.
    """
    from ..embed.models import check_layers, model_spec
    from ..embed.weights import prepare_models

    specs = []
    for key, model in config.embedding.enabled_models.items():
        spec = model_spec(key, model.checkpoint, model.family)
        check_layers(spec, model.layer_index)
        specs.append(spec)
    prepare_models(specs, offline=offline, check=check, tell=tell)


# What is missing ----------------------------------------------------------------------------------------------------


def _check_missing(missing: list[_Wanted], offline: bool) -> None:
    """Refuse what cannot be fetched, before anything is."""
    from ..reference.bundle import check_free

    for wanted in missing:
        if wanted.source.url is None:
            raise InputError(
                f"{wanted.what} {wanted.path} is not there, and sources.{wanted.what} names no address: make it, or "
                "set the address."
            )
        if wanted.what == "reference":
            check_free(wanted.path, overwrite=False)
        elif wanted.path.exists() and (not wanted.path.is_dir() or any(wanted.path.iterdir())):
            raise InputError(f"{wanted.path} exists and is no {wanted.what}: give another name.")
    if missing and offline:
        named = ", ".join(f"{wanted.what} ({wanted.path})" for wanted in missing)
        raise InputError(
            f"not on this machine: {named}. Run `fantasia-dask initialize CONFIG` where there is a network."
        )


def _plan(remotes: dict[str, list[RemoteFile]], folder: Path) -> str:
    """Say what is to be fetched, and how much disk it takes; `InputError` if there is not as much."""
    parts, known, sure = [], 0, True
    for what, files in remotes.items():
        sizes = [remote_size(remote) for remote in files]
        sure = sure and None not in sizes
        total = sum(size or 0 for size in sizes)
        known += total * ROOM[what]
        told = _amount(total) if None not in sizes else "size not told"
        parts.append(f"{what} ({', '.join(remote.url for remote in files)}, {told})")
    room = folder
    while not room.exists():
        room = room.parent
    free = shutil.disk_usage(room).free
    text = f"to be fetched: {'; '.join(parts)}; takes {'up to' if sure else 'more than'} {_amount(known)} of disk"
    if known > free:
        raise InputError(f"{text}, and {room} has {_amount(free)} free: make room, or choose other folders.")
    return f"{text}, {_amount(free)} are free"


def _amount(size: float) -> str:
    """Return an amount of bytes as people write it.

    Examples
    --------
    >>> _amount(2_504_000_000)
    '2.5 GB'
    """
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.{0 if unit == 'bytes' else 1}f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


# What was made from what --------------------------------------------------------------------------------------------


def _read_made(folder: Path) -> dict[str, Any]:
    try:
        made = json.loads((folder / MADE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return made if isinstance(made, dict) else {}


def _note_made(wanted: _Wanted, files: list[Path], folder: Path) -> None:
    """Write down what was made from which files."""
    entry = {"url": wanted.source.url, "sha256": [file_sha256(file) for file in files]}
    write_json(folder / MADE, {**_read_made(folder), str(wanted.path): entry})


def _check_origin(wanted: _Wanted, folder: Path) -> None:
    """Refuse to pass over a change of the source: what is there was made from another one."""
    made, source = _read_made(folder).get(str(wanted.path)), wanted.source
    if not isinstance(made, dict) or source.url is None:
        return
    if made.get("url") != source.url or source.sha256 not in (None, *made.get("sha256", [])):
        raise InputError(
            f"{wanted.what} {wanted.path} was made from another file ({made.get('url')}) than sources.{wanted.what} "
            "names now: move it away, or give another name."
        )
