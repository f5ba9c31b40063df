"""The command line: each command is a few lines over a public function.

What runs is imported inside the commands, so that ``--help`` answers at once. Results go to standard output,
everything else to standard error. A user's mistake is one sentence and exit code 2.
"""

from __future__ import annotations

import atexit
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import rich_click as click

from ._version import __version__
from .errors import FantasiaWarning, InputError
from .journal import without_secrets
from .mishaps import of_the_disk
from .stopping import Stop, stoppable

if TYPE_CHECKING:
    from .config import Config
    from .reference.bundle import Reference

__all__ = ["main"]

DEFAULT_CONFIG = Path("config", "experiment.yaml")
REPORT_TO = "https://github.com/fantasia-dask/fantasia-dask/issues"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code: 0 well, 1 a bug, 2 a user's mistake, 130 or 143 stopped."""
    # What closed event loops hold unread is logged when they are collected, after all is said.
    atexit.register(logging.disable)
    with stoppable() as stop:
        code = _code_of(arguments, stop)
    sys.exit(code if isinstance(code, int) else 0)


def _code_of(arguments: Sequence[str] | None, stop: Stop) -> Any:
    """Run a command, and say how it ended."""
    try:
        with warnings.catch_warnings():
            _show_warnings_as_lines()
            return cli.main(args=arguments, prog_name="fantasia-dask", standalone_mode=False)
    except InputError as error:
        click.echo(f"error: {without_secrets(str(error))}", err=True)
        return 2
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted: the same command takes the run up again.", err=True)
        return stop.code
    except Exception as error:
        if mishap := of_the_disk(error, Path.cwd()):
            click.echo(f"error: {without_secrets(mishap)}.", err=True)
            return 2
        error.add_note(
            f"This is a bug in fantasia-dask {__version__}. Please report it with the lines above: {REPORT_TO}"
        )
        raise


def _show_warnings_as_lines() -> None:
    """Show our own warnings as one line each, every time, without the place in the code."""
    show = warnings.showwarning

    def show_line(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, FantasiaWarning):
            click.echo(f"warning: {message}", err=True)
        else:
            show(message, category, filename, lineno, file, line)

    warnings.simplefilter("always", FantasiaWarning)
    warnings.showwarning = show_line


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fantasia-dask")
def cli() -> None:
    """Annotate proteins with Gene Ontology terms, by similarity in the embedding space of protein language models."""


@cli.command("run")
@click.argument("config", required=False)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any key, such as embedding.device=cpu.")
@click.option(
    "--input", metavar="FILE", help="FASTA to annotate, or embeddings with --only-lookup; - is standard input."
)
@click.option("--prefix", metavar="NAME", help="Name of the run and of its folder.")
@click.option("--base-directory", metavar="FOLDER", help="Folder that holds experiments/.")
@click.option("--reference", metavar="FOLDER", help="Reference made by 'fantasia-dask reference build'.")
@click.option("--device", metavar="DEVICE", help="Where models run: auto, cuda or cpu.")
@click.option("-k", "--limit-per-entry", type=int, metavar="K", help="Neighbours kept per query.")
@click.option("--batch-size", type=int, metavar="N", help="Lookup: query proteins per tile, at most.")
@click.option("--only-lookup", is_flag=True, default=None, help="Look up embeddings that exist, embed nothing.")
@click.option("--only-embedding", is_flag=True, default=None, help="Stop after the embedding.")
@click.option("--scheduler", metavar="ADDRESS", help="Use the Dask cluster at this address.")
@click.option("--scheduler-file", metavar="FILE", help="Use the Dask cluster whose scheduler wrote this file.")
@click.option("--fresh", is_flag=True, help="Begin anew, whatever an earlier run of this name has left.")
def run_command(fresh: bool, **arguments: Any) -> None:
    """Annotate the proteins that CONFIG names (a YAML file; config/experiment.yaml where there is one).

    Paths in CONFIG are seen from its folder, paths on the command line from the current one. A run that was stopped
    goes on when the same command is given again.
    """
    loaded = _load(**arguments)
    from .pipeline import run

    click.echo(run(loaded, fresh=fresh).text())


@cli.command("plan", params=[p for p in run_command.params if p.name != "fresh"])
def plan_command(**arguments: Any) -> None:
    """Tell what the run of CONFIG would take: memory, disk, tasks and time of its lookup. Nothing is written.

    It takes the arguments of run. Blocks are cut to the memory of a worker, cluster.memory_limit; where that is too
    little for any lookup, the least that would do is named.
    """
    loaded = _load(**arguments)
    from .pipeline.plan import plan_run

    click.echo(plan_run(loaded).text())


def _load(config: str | None, settings: tuple[str, ...], **flags: Any) -> Config:
    """Read the configuration that a command is given, with what the command line changes."""
    path = _config_path(config)
    from .config import load_config, parse_overrides

    overrides = {**parse_overrides(settings), **_overrides(flags)}
    return load_config(path, overrides, note=_note)


def _config_path(given: str | None) -> Path:
    if given is not None:
        return Path(given)
    if not DEFAULT_CONFIG.is_file():
        raise InputError(
            f"no configuration is given, and there is no {DEFAULT_CONFIG} in {Path.cwd()}: "
            "name a file, as in fantasia-dask run my_run.yaml."
        )
    return DEFAULT_CONFIG


def _overrides(flags: dict[str, Any]) -> dict[str, Any]:
    """Turn the flags that were given into dotted keys."""
    homes = {"device": "embedding.device", "scheduler": "cluster.address", "scheduler_file": "cluster.scheduler_file"}
    given = {homes.get(name, name): value for name, value in flags.items() if value is not None}
    if ("cluster.address" in given) != ("cluster.scheduler_file" in given):
        # one way to reach a cluster on the command line replaces the other way, and the kind, of the file
        others = {"cluster.address": None, "cluster.scheduler_file": None, "cluster.slurm": None}
        given = {"cluster.kind": "auto", **others, **given}
    return given


@cli.command("doctor")
@click.argument("config", required=False)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any key, such as embedding.device=cpu.")
def doctor_command(config: str | None, settings: tuple[str, ...]) -> int:
    """Look at this machine, and at what CONFIG needs of it: each finding with its remedy; exit code 1 if one is bad."""
    from .pipeline.doctor import examine

    loaded = None
    if config is not None:
        from .config import load_config, parse_overrides

        loaded = load_config(config, parse_overrides(settings), note=_note)
    healthy = True
    for finding in examine(loaded):
        click.echo(finding.text())
        healthy = healthy and not finding.remedy
    return 0 if healthy else 1


@cli.command("selftest")
def selftest_command() -> None:
    """Annotate the bundled sample in a temporary folder, and compare what comes out with stored answers."""
    from .pipeline.selftest import check_sample

    click.echo(check_sample())


@cli.command("initialize")
@click.argument("config", required=False)
@click.option("--models", is_flag=True, help="Fetch and verify the weights of the enabled models alone.")
@click.option("--check", is_flag=True, help="Load every model on the CPU too, one after the other.")
@click.option("--offline", is_flag=True, help="Fetch nothing: verify what is there, say what is missing.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any key, such as embedding.device=cpu.")
def initialize_command(config: str | None, models: bool, check: bool, offline: bool, settings: tuple[str, ...]) -> None:
    """Fetch ahead of time what the run that CONFIG describes needs, so that it can do without a network.

    The reference, ontology and taxonomy dump that are not there are fetched from the addresses below sources, imported
    and verified; then the weights of the models. What is there is left alone.
    """
    from .config import load_config, parse_overrides

    loaded = load_config(_config_path(config), parse_overrides(settings), note=_note)
    from .pipeline.initialize import initialize, initialize_models

    (initialize_models if models else initialize)(loaded, offline=offline, check=check, tell=_note)


def _note(line: str) -> None:
    click.echo(f"note: {line}", err=True)


@cli.command("report")
@click.argument("run_folder", metavar="RUN")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any key that acts on hits: precision=3.")
def report_command(run_folder: str, settings: tuple[str, ...]) -> None:
    """Make annotations and exports of RUN, a run's folder, from its hits, where they lack or settings differ."""
    from .config import parse_overrides
    from .pipeline import write_report

    for file in write_report(run_folder, parse_overrides(settings)):
        click.echo(file)


@cli.command("models")
def models_command() -> None:
    """List the known models: dimension, layers, size, whether cached, FANTASIA's number, licence."""
    from .embed.weights import describe_models

    click.echo(describe_models())


@cli.command("export")
@click.argument("source")
@click.argument("out")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
def export_command(source: str, out: str, overwrite: bool) -> None:
    """Write the vectors of SOURCE, a run's folder or a store, as OUT: .h5 (FANTASIA's) or .h5ad (AnnData)."""
    from .interchange.outputs import export_vectors

    click.echo(f"{export_vectors(source, out, overwrite=overwrite)} is written.")


@cli.group()
def reference() -> None:
    """Build, describe and check references: the proteins that lend their GO terms."""


@reference.command("build")
@click.argument("out")
@click.option("--fasta", required=True, metavar="FILE", help="Reference proteins.")
@click.option("--annotations", required=True, multiple=True, metavar="FILE", help="GAF, GPAD or a table.")
@click.option("--ontology", required=True, metavar="FILE", help="GO graph (OBO).")
@click.option("--model", metavar="KEY", help="Model: ESM, Prot-T5, ..., or any name for your own vectors.")
@click.option("--layer", "layers", type=int, multiple=True, metavar="N", help="Layer, 0 = last (default); repeatable.")
@click.option(
    "--config",
    metavar="FILE",
    help="Instead of --model: compute with the models, layers, cache and cluster of a run's configuration.",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any key of embedding or cluster.")
@click.option("--scheduler", metavar="ADDRESS", help="Compute on the Dask cluster at this address.")
@click.option("--scheduler-file", metavar="FILE", help="Compute on the Dask cluster whose scheduler wrote this file.")
@click.option(
    "--evidence", multiple=True, metavar="CODE", help="Evidence code to keep; repeatable, or comma-separated."
)
@click.option(
    "--taxonomy-dump", metavar="FOLDER", help="NCBI's dump: keeps the lineages of the proteins' taxa in the reference."
)
@click.option("--embeddings", multiple=True, metavar="FILE", help="Vectors brought along (.npz, .h5, .zarr).")
@click.option("--vectors-key", metavar="NAME", help="Name of the array within the file of vectors.")
@click.option("--checkpoint", metavar="FOLDER", help="Weights and tokenizer on disk.")
@click.option("--family", metavar="NAME", help="esm2, t5 or esmc, for a model of your own.")
@click.option("--profile", metavar="NAME", help="Pooling: pis-3.1 or clean.")
@click.option("--device", metavar="DEVICE", help="Where the model runs: auto (default), cuda or cpu.")
@click.option("--dtype", metavar="NAME", help="How vectors are stored: float16 or float32.")
@click.option("--batch-size", type=int, metavar="N", help="Proteins that go through the model at once (default 32).")
@click.option("--overwrite", is_flag=True, help="Replace a reference that is there.")
def build_command(
    out: str,
    evidence: tuple[str, ...],
    embeddings: tuple[str, ...],
    annotations: tuple[str, ...],
    layers: tuple[int, ...],
    settings: tuple[str, ...],
    scheduler: str | None,
    scheduler_file: str | None,
    **options: Any,
) -> None:
    """Make a reference in the folder OUT, with embeddings computed here or brought along (--embeddings).

    One that was stopped goes on when the same command is given again.
    """
    from .config import parse_overrides
    from .pipeline import build_reference

    _describe(
        build_reference(
            out,
            annotations=list(annotations),
            evidence=_codes(evidence),
            embeddings=list(embeddings) or None,
            layers=layers or None,
            overrides={
                **parse_overrides(settings),
                **_overrides({"scheduler": scheduler, "scheduler_file": scheduler_file}),
            },
            **options,
        )
    )


@reference.command("import")
@click.argument("source")
@click.argument("out")
@click.option("--ontology", metavar="FILE", help="GO graph (OBO) to bring the terms to.")
@click.option(
    "--evidence", multiple=True, metavar="CODE", help="Evidence code to keep; repeatable, or comma-separated."
)
@click.option(
    "--annotations", multiple=True, metavar="FILE", help="Beside vectors: GAF, GPAD, a table, or lists of GO ids."
)
@click.option("--fasta", metavar="FILE", help="Sequences and taxa, where the source has none.")
@click.option(
    "--taxonomy-dump", metavar="FOLDER", help="NCBI's dump: keeps the lineages of the proteins' taxa in the reference."
)
@click.option("--model", metavar="KEY", help="Model that made the vectors, where the source does not say.")
@click.option("--layer", type=int, metavar="N", help="Layer of the vectors, 0 = last.")
@click.option("--profile", metavar="NAME", help="Pooling of the vectors: pis-3.1 or clean.")
@click.option("--vectors-key", metavar="NAME", help="Name of the array within the file of vectors.")
@click.option("--reader", default="auto", metavar="NAME", help="How a dump is read: auto, python or pg_restore.")
@click.option("--overwrite", is_flag=True, help="Replace a reference that is there.")
def import_command(source: str, out: str, evidence: tuple[str, ...], **options: Any) -> None:
    """Make a reference in the folder OUT from SOURCE: FANTASIA's database dump, FANTASIA-Lite, or vectors.

    Vectors (UniProt's per-protein.h5 and other HDF5, npz, Zarr) are joined with --annotations and --fasta. One that was
    stopped goes on when the same command is given again.
    """
    from .reference.importers import import_reference

    _describe(import_reference(source, out, evidence=_codes(evidence), **options))


@reference.command("merge")
@click.argument("first")
@click.argument("second")
@click.argument("out")
@click.option("--ontology", metavar="FILE", help="GO graph (OBO) to bring both to, where their releases differ.")
@click.option("--overwrite", is_flag=True, help="Replace a reference that is there.")
def merge_command(first: str, second: str, out: str, **options: Any) -> None:
    """Make one reference OUT of two with the same models, layers and pooling."""
    from .reference.importers import merge_references

    _describe(merge_references(first, second, out, **options))


@reference.command("subset")
@click.argument("source")
@click.argument("out")
@click.option("--taxon", "taxa", multiple=True, metavar="TAXON", help="NCBI number or name to keep; repeatable.")
@click.option(
    "--taxonomy-dump",
    metavar="FOLDER",
    help="NCBI dump, where SOURCE carries no lineages: keeps the descendants of each taxon too.",
)
@click.option(
    "--evidence", multiple=True, metavar="CODE", help="Evidence code to keep; repeatable, or comma-separated."
)
@click.option("--before", metavar="DATE", help="Keep annotations of an earlier date, such as 2020-01-31.")
@click.option("--accessions", metavar="FILE", help="Proteins to keep, one accession per line.")
@click.option("--overwrite", is_flag=True, help="Replace a reference that is there.")
def subset_command(source: str, out: str, evidence: tuple[str, ...], **options: Any) -> None:
    """Make a reference OUT of a part of the reference SOURCE."""
    from .reference.importers import subset_reference

    _describe(subset_reference(source, out, evidence=_codes(evidence), **options))


def _codes(evidence: tuple[str, ...]) -> list[str] | None:
    """Return evidence codes given one by one or with commas; none when none are given."""
    return [code for text in evidence for code in text.split(",") if code] or None


def _describe(made: Reference) -> None:
    from .reference.info import describe_reference

    click.echo(describe_reference(made))


@reference.command("info")
@click.argument("path")
def info_command(path: str) -> None:
    """List the models and layers of the reference PATH, its sizes, profile, evidence and taxa."""
    from .reference.bundle import describe

    click.echo(describe(path))


@reference.command("verify")
@click.argument("path")
def verify_command(path: str) -> None:
    """Compare every file of the reference PATH with its checksum."""
    from .reference.bundle import verify_reference

    click.echo(f"{path}: {verify_reference(path)} files are as they were written.")
