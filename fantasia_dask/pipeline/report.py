"""The files of a finished run, made again from its hits: nothing is embedded, nothing looked up."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Config, dump_config, load_config, parse_overrides
from ..errors import InputError
from ..ledger import Ledger, found_ledger
from ..lock import only_run
from ..mishaps import told_plainly
from ..progress import Progress
from ..run_folder import RunFolder, count_rows, file_sha256, read_parquet, write_aside
from ..schema import PART_QUERIES, Space
from .files import FinishedRun, write_files
from .neighbours import settings_of_hits
from .terms import annotate

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["open_finished", "write_report"]

CHANGEABLE = ("alignments", "cluster", "exports", "postprocess", "precision", "raw_csv", "reference", "report", "topgo")
"""Settings that a report may change: they act on hits that are there; `reference` may have moved, but not changed."""


def write_report(
    run_folder: str | os.PathLike[str],
    overrides: Mapping[str, Any] | Sequence[str] = (),
    *,
    client: Client | None = None,
    progress: Progress | None = None,
) -> tuple[Path, ...]:
    """Make the annotations and exports of a finished run from its hits: those that are not there, or not like this.

    The settings are those of ``config.yaml`` in the run folder, which keeps what `overrides` change. An export that
    was made from the same terms and settings stays, unless its file was changed or deleted; one that is not wanted
    any more is removed. Equal settings give equal bytes: whatever an export says of the time comes from the run.

    A new export is one module in ``report/`` and one line in ``pipeline/files.py``, see `write_files`; it then is made
    by every run and by this function.

    Parameters
    ----------
    run_folder : path
        The folder of the run, ``<base_directory>/experiments/<prefix>``; it may have been moved.
    overrides : mapping or sequence of str
        As for `load_config`; only settings that act on hits: ``alignments``, ``postprocess``, ``precision``,
        ``raw_csv``, ``topgo``; and ``cluster``, and ``reference`` where it has moved.
    client : distributed.Client, optional
        A running cluster to use; by default, the one that the configuration describes.
    progress : Progress, optional

    Returns
    -------
    tuple of Path
        What a person opens first.

    Raises
    ------
    InputError
        If the folder holds no finished run, hits of it are missing, its reference has changed, or an override is about
        something else. Nothing in the folder has been changed then.
    """
    from ..cluster import connect

    progress = progress or Progress()
    folder = _run_folder(run_folder)
    with progress.logging(), told_plainly(folder.path), only_run(folder.lock, progress.line):
        run = open_finished(run_folder, overrides)
        run.check_choices()
        progress.log_to(run.folder.log, run.folder.events)
        with connect(**run.config.cluster.model_dump(), client=client) as cluster, cluster.as_current():
            annotate(run, cluster, progress)
        if overrides:
            write_aside(run.folder.config, dump_config(run.config))
        return tuple(write_files(run, progress))


def _run_folder(path: str | os.PathLike[str]) -> RunFolder:
    folder = RunFolder(Path(path))
    if not folder.config.is_file():
        raise InputError(
            f"{folder.path} is no run folder: it has no config.yaml. Name a folder below experiments/, such as "
            "experiments/sample."
        )
    return folder


def _config(folder: RunFolder, overrides: Mapping[str, Any] | Sequence[str]) -> Config:
    """Return the settings of the run with what is to be changed."""
    changes = dict(overrides) if isinstance(overrides, Mapping) else parse_overrides(overrides)
    allowed = {key: value for key, value in changes.items() if key.partition(".")[0] in CHANGEABLE}
    config = load_config(folder.config, changes)
    before = load_config(folder.config, allowed).model_dump()
    for key, value in config.model_dump().items():
        if value != before[key]:
            raise InputError(
                f"{key} shapes the hits, which a report takes as they are: change it in the configuration, and run "
                "fantasia-dask run again."
            )
    return config


def open_finished(run_folder: str | os.PathLike[str], overrides: Mapping[str, Any] | Sequence[str] = ()) -> FinishedRun:
    """Open a run whose hits are complete, with the reference that they were found in; as for `write_report`."""
    from ..reference.bundle import open_reference
    from ..report.account import read_account

    folder = _run_folder(run_folder)
    config = _config(folder, overrides)
    manifest = folder.read_manifest()
    if manifest.get("reference") is None:
        raise InputError(f"{folder.path} has no hits: it is a run with only_embedding. Run it with a reference first.")
    own = [folder.own_annotations, folder.own_terms, folder.own_relations]
    has_own = config.ontology is not None or config.annotations_before is not None
    for file in (folder.status, folder.queries, folder.donors, *(own if has_own else ())):
        if not file.is_file():
            raise InputError(f"{file} is missing, and a report needs it: run fantasia-dask run again, which makes it.")
    if config.report:
        read_account(folder.status, listed=0)  # a file that people open, and may save in another shape
    spaces = tuple(Space(**space) for space in manifest["spaces"])
    _check_hits(folder, config, spaces)
    reference = open_reference(config.require_reference())
    if file_sha256(reference.path / "manifest.json") != manifest["reference"]["manifest_sha256"]:
        raise InputError(
            f"reference {reference.path} has changed since {folder.path} was run: its rows are no longer those of the "
            "hits. Bring the old one back, or run fantasia-dask run again."
        )
    # What a run had not yet known when it wrote its files: see `pipeline._run`.
    known = {key: value for key, value in manifest.items() if key not in ("seconds", "files")}
    known["stages"] = {name: facts for name, facts in manifest["stages"].items() if name != "report"}
    return FinishedRun(folder, config, reference, spaces, known)


def _check_hits(folder: RunFolder, config: Config, spaces: Sequence[Space]) -> None:
    """Refuse hits that are not all there, or not those of the configuration: nothing could be made of them again."""
    q = count_rows(folder.queries)
    for space in spaces:
        wrong = _wrong_hits(found_ledger(folder.hits(space.model, space.layer)), q, config, space.model)
        if wrong:
            raise InputError(
                f"hits of {space} {wrong}: give the command of the run again, which finds them. Nothing in "
                f"{folder.path} was changed."
            )


def _wrong_hits(ledger: Ledger, q: int, config: Config, model: str) -> str:
    """Say what is wrong with the hits of q queries; an empty string when nothing is.

    A run that was begun with other settings and stopped leaves its configuration beside the hits of the run before.
    """
    if model not in config.embedding.models:
        return "are of a model that config.yaml does not name"
    if not ledger.made_from:
        return "are missing"
    if missing := ledger.missing(q):
        return f"are not finished ({ledger.part(missing[0]).name} is missing)"
    for number in range(-(-q // PART_QUERIES)):
        try:
            read_parquet(ledger.part(number))
        except InputError:
            return f"are damaged, delete {ledger.part(number)}"
    wanted = json.loads(json.dumps(settings_of_hits(config, model)))
    others = [name for name, value in wanted.items() if ledger.made_from.get(name) != value]
    return f"were found with another {', '.join(others)}" if others else ""
