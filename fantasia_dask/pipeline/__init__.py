"""The stages in order, and the run folder: the only place where stages meet and `Config` is unpacked.

A run checks all that can be checked before it writes anything (`job`); then proteins become vectors (`vectors`),
vectors find donors (`neighbours`), donors lend GO terms (`terms`), terms become files (`files`), and the run accounts
for every protein (`outcome`). `write_report` makes the files again, `build_reference` what the lookup needs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .._version import __version__
from ..config import Config, dump_config, load_config
from ..lock import only_run
from ..mishaps import told_plainly
from ..progress import Progress
from ..run_folder import RunFolder, write_aside, write_json
from ..schema import Space
from .build import build_reference
from .clock import Clock
from .files import FinishedRun, write_files
from .job import Job, check
from .neighbours import look_up, write_donors, write_queries
from .outcome import RunSummary, describe_run, outcome_of, summarise_run
from .page import write_plain_page
from .report import write_report
from .separation import separate
from .terms import annotate
from .vectors import comparable_spaces, embed, given_vectors, planned_spaces, status_of_given

if TYPE_CHECKING:
    from distributed import Client

    from ..store import EmbeddingStore

__all__ = ["RunSummary", "build_reference", "run", "write_report"]


def run(
    config: Config | str | os.PathLike[str],
    *,
    client: Client | None = None,
    progress: Progress | None = None,
    fresh: bool = False,
) -> RunSummary:
    """Annotate the proteins that a configuration names.

    Parameters
    ----------
    config : Config or path
        What to do; a path is read by `load_config`.
    client : distributed.Client, optional
        A running cluster to use; it is left open. By default, the cluster that the configuration describes.
    progress : Progress, optional
        Where to tell how far it has come; by default standard error.
    fresh : bool
        Whether to begin anew, whatever an earlier run of this name has left; by default it is taken up.

    Returns
    -------
    RunSummary

    Raises
    ------
    InputError
        If something that the user gave is wrong, or another run works in the folder. What can be checked is checked
        before anything is written.
    """
    if not isinstance(config, Config):
        config = load_config(config)
    progress = progress or Progress()
    clock, folder = Clock(progress), RunFolder(config.run_folder)
    with ExitStack() as around:
        around.enter_context(progress.logging())
        around.enter_context(told_plainly(folder.path))
        job = check(config)
        around.enter_context(only_run(folder.lock, progress.line))
        if job.reference is not None:
            around.enter_context(job.reference.kept_in_place())
        if fresh:
            folder.clear()
        store = given_vectors(job, folder) if job.requests is None else None
        if store is not None:
            ids = store.ids
            job.check_choices(lambda: job.headers_of(ids))
        spaces = comparable_spaces(job, planned_spaces(job) if store is None else store.spaces)
        _begin(folder, config)
        progress.log_to(folder.log, folder.events)
        return _run(job, folder, store, spaces, client, progress, clock)


def _begin(folder: RunFolder, config: Config) -> None:
    """Put the configuration into the run folder; what was finished with another one is no finished run any more."""
    text = dump_config(config)
    if folder.config.is_file() and folder.config.read_text(encoding="utf-8") != text:
        folder.manifest.unlink(missing_ok=True)
    write_aside(folder.config, text)


def _run(
    job: Job,
    folder: RunFolder,
    store: EmbeddingStore | None,
    spaces: Sequence[Space],
    client: Client | None,
    progress: Progress,
    clock: Clock,
) -> RunSummary:
    """Go through the stages of a run that has been checked."""
    from ..cluster import check_files, connect

    begins = f"fantasia-dask {__version__}, {job.config.input}"
    progress.note(begins, "run-begun", version=__version__, process=os.getpid())
    where = {**job.config.cluster.model_dump(), "folder": folder.path, "tell": progress.line}
    with connect(**where, client=client) as cluster, cluster.as_current():
        if client is None and job.config.cluster.shows_dashboard:
            progress.line(f"dashboard: {cluster.dashboard_link}", "dashboard", address=cluster.dashboard_link)
        check_files(cluster, _read_by_workers(job, folder, store), folder.path)
        if store is None:
            with clock.stage("embed"):
                store, status = embed(job, folder, cluster, progress)
        else:
            status = status_of_given(job, store)
        reference = job.reference
        if reference is not None:
            folder.clear_results(spaces)
            write_queries(folder, store, job.proteins)
            write_donors(job, folder)
            with clock.stage("lookup"):
                separation = separate(job, store, progress)
                for space in spaces:
                    look_up(job, folder, store, space, separation, cluster, progress)
            finished = FinishedRun(folder, job.config, reference, tuple(spaces))
            with clock.stage("annotate"):
                annotate(finished, cluster, progress)
    summary = summarise_run(job, folder, outcome_of(job, folder, status, spaces), spaces)
    manifest = describe_run(job, store, spaces, summary, clock)
    with clock.stage("report"):
        if reference is not None:
            files = write_files(replace(finished, manifest=manifest), progress)
        else:
            files = write_plain_page(folder, job.config, manifest)
    files = [*files, folder.status, folder.manifest, folder.log]
    summary = replace(summary, seconds=clock.seconds, files=tuple(files))
    write_json(
        folder.manifest,
        manifest
        | {
            "stages": clock.stages,
            "seconds": round(clock.seconds, 3),
            "files": [str(file.relative_to(folder.path)) for file in files],
        },
    )
    progress.note(
        f"done: {summary.annotated} of {summary.proteins} proteins annotated",
        "run-done",
        proteins=summary.proteins,
        embedded=summary.embedded,
        annotated=summary.annotated,
        seconds=round(clock.seconds, 3),
    )
    return summary


def _read_by_workers(job: Job, folder: RunFolder, store: EmbeddingStore | None) -> list[Path]:
    """Name a file of each folder that workers read."""
    files = [folder.config]
    if job.reference is not None:
        files.append(job.reference.path / "manifest.json")
    if store is not None:
        files.append(store.path / "zarr.json" if store.path.is_dir() else store.path)
    return files
