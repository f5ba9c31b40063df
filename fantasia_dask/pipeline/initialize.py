"""Before the first run: what a configuration names is fetched, imported and verified, so that runs need no network."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Config, SourceSettings
from ..download import RemoteFile, fetch, forget, remote_files
from ..errors import InputError
from ..locations import check_writable
from ..lock import only_run
from ..mishaps import told_plainly
from ..progress import Progress
from ..run_folder import file_sha256, write_json
from .fetch_plan import fetch_plan
from .placing import DUMP_FILES, place, verify

if TYPE_CHECKING:
    from ..embed.models import ModelSpec

__all__ = ["initialize", "initialize_models"]

OTHER_PLACES = "choose other places for what is fetched and made"
MADE = "made.json"
"""In the folder of downloads: what was made from which of them."""


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
    specs = _models(config)
    listed = [
        _Wanted(what, path, getattr(config.sources, what))
        for what in ("taxonomy_dump", "ontology", "reference")
        if (path := getattr(config, what)) is not None
    ]
    missing = [wanted for wanted in listed if not wanted.there]
    _check_missing(missing, offline)
    folder = config.sources.folder or config.base_directory / "downloads"
    for written in (*(wanted.path.parent for wanted in missing), *([folder] if missing else [])):
        check_writable(written, OTHER_PLACES)
    remotes = {wanted.what: wanted.remotes for wanted in missing}
    if not offline:
        plan = fetch_plan({wanted.what: (wanted.path, remotes[wanted.what]) for wanted in missing}, specs, folder)
        if missing:
            tell(plan)
    if "reference" in remotes:  # made with the others: a broken one is found before hours of work, and by its own name
        for wanted in listed:
            if wanted not in missing:
                _verify(wanted)
    with told_plainly(folder), _alone(folder, tell) if missing else nullcontext():
        for wanted in [wanted for wanted in missing if not wanted.there]:  # another command may have made it meanwhile
            _make(wanted, remotes[wanted.what], folder, config, progress or Progress())
    for wanted in listed:
        _check_origin(wanted, folder)
        if wanted in missing or offline:
            _verify(wanted)
        tell(f"{wanted.what}: {wanted.path} is {'there' if wanted not in missing else 'made, and whole'}")
    _prepare(specs, offline=offline, check=check, tell=tell)


def _alone(folder: Path, tell: Callable[[str], object]) -> AbstractContextManager[None]:
    """Be the only one who fetches there: two would write to one file."""
    return only_run(folder / "initialize.lock", tell, ("set sources.folder to another one", OTHER_PLACES))


def _make(wanted: _Wanted, remotes: list[RemoteFile], folder: Path, config: Config, progress: Progress) -> None:
    """Fetch one thing and put it in its place."""
    files = [fetch(remote, folder / wanted.what, progress) for remote in remotes]
    try:
        place(wanted.what, wanted.path, files, config, progress)
    except InputError as error:
        if wanted.source.sha256 is not None:  # it is the very file that was asked for
            raise
        # Of a reference the file may well be right, and something else wrong; it is large, too.
        keep = wanted.what == "reference"
        for remote in remotes:
            forget(remote, folder / wanted.what, keep=keep)
        remedy = (
            f"What was fetched stays at {files[0]}: if that is what is wrong, remove it to fetch it anew."
            if keep
            else f"{files[0].name} is not kept: the same command fetches it anew."
        )
        raise InputError(f"{error} {remedy}") from error
    _note_made(wanted, files, folder)


def _verify(wanted: _Wanted) -> None:
    try:
        verify(wanted.what, wanted.path)
    except InputError as error:
        if wanted.source.url is None:
            raise
        raise InputError(f"{error} Remove {wanted.path}, and `fantasia-dask initialize` makes it anew.") from error


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
    _prepare(_models(config), offline=offline, check=check, tell=tell)


def _prepare(specs: Sequence[ModelSpec], **options: Any) -> None:
    from ..embed.weights import prepare_models

    prepare_models(specs, **options)


def _models(config: Config) -> list[ModelSpec]:
    """Describe the models that a run loads, refusing those that are unknown or lack a layer."""
    if config.only_lookup:  # vectors are there, and their models may be anybody's
        return []
    from ..embed.models import check_layers, model_spec

    specs = []
    for key, model in config.embedding.enabled_models.items():
        spec = model_spec(key, model.checkpoint, model.family)
        check_layers(spec, model.layer_index)
        specs.append(spec)
    return specs


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
