"""What each export is made from: the terms of a run, and the settings that shape it; see `ledger.open_files`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._version import __version__
from ..config import Config, SummarySettings
from ..ledger import digest, found_ledger, path_digest
from ..run_folder import RunFolder
from .choices import knows_slim

if TYPE_CHECKING:
    from .files import FinishedRun

__all__ = ["exports_made_from", "page_made_from"]

SUMMARY = (
    *(f"postprocess.summary.{name}" for name in SummarySettings.model_fields if name != "enabled"),
    "precision",
)
AGREED = (*SUMMARY, "postprocess.gene_map", "postprocess.gene_pattern")
CHOSEN = (*AGREED, "postprocess.terms")
NAMED = (*CHOSEN, "postprocess.database", "postprocess.taxon")

FORM = 3
"""Raised by one with a change of what an export says of the same terms: all are then made again."""

SETTINGS: dict[str, tuple[str, ...]] = {
    "summary": SUMMARY,
    "consensus": CHOSEN,
    "topgo": ("precision",),
    "topgo-genes": CHOSEN,
    "gaf": NAMED,
    "gpad": NAMED,
    "clusterprofiler": AGREED,
    "goatools": CHOSEN,
    "goslim": (*AGREED, "postprocess.slim"),
    "cafa": AGREED,
    "multiqc": (*CHOSEN, "prefix"),
    "raw-csv": ("precision",),
    "raw-tsv": ("precision",),
    "sequences": (),
}
"""The settings that shape an export, beside the annotations. Those of the page and of the crate are all settings, which
both of them tell."""

NAMES_FILES = ("postprocess.gene_map", "postprocess.slim")
"""Settings that may name a file: what counts is its content."""

ONLY_TIME = ("started", "host", "stages", "versions")
"""What the manifest says that is of the moment: it alone is no reason to make a page again."""


def exports_made_from(run: FinishedRun) -> dict[str, dict[str, Any]]:
    """Return what shapes each export that the configuration asks for, by name."""
    config, folder = run.config, run.folder
    wanted = _wanted(config)
    if not knows_slim(config, run.reference.subsets):
        wanted.discard("goslim")
    terms = {
        "version": __version__,
        "form": FORM,
        "reference": run.reference.fingerprint,
        "queries": path_digest(folder.queries),
        "annotations": digest(
            *(sorted(found_ledger(folder.annotations_of(*pair)).made_from.items()) for pair in run.pairs),
            run.pairs,
            path_digest(folder.own_relations),
        ),
    }
    made_from = {name: terms | _settings(config, keys) for name, keys in SETTINGS.items() if name in wanted}
    if "multiqc" in made_from:
        made_from["multiqc"]["counts"] = run.manifest["counts"]
    told = terms | page_made_from(folder, config, run.manifest)
    return made_from | {name: told for name in ("report", "ro-crate") if name in wanted}


def page_made_from(folder: RunFolder, config: Config, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what shapes a page that tells all settings and what became of every protein."""
    return {
        "version": __version__,
        "form": FORM,
        "status": path_digest(folder.status),
        **{f"manifest.{name}": value for name, value in manifest.items() if name not in ONLY_TIME},
        **dict(_leaves(config.model_dump(mode="json"))),
        **_settings(config, NAMES_FILES),
    }


def _wanted(config: Config) -> set[str]:
    post = config.postprocess
    switches = {
        "summary": post.summary.enabled,
        "topgo": config.topgo,
        "topgo-genes": config.topgo and post.by_gene,
        "raw-csv": config.raw_csv,
        "sequences": True,
        "report": config.report,
    }
    return {*config.exports, *(name for name, on in switches.items() if on)}


def _leaves(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every setting by its dotted key."""
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield above + name, value


def _settings(config: Config, keys: tuple[str, ...]) -> dict[str, Any]:
    """Return settings by their dotted keys, as JSON; of a file that one names, what is in it."""
    tree = config.model_dump(mode="json")
    found: dict[str, Any] = {key: reduce(getitem, key.split("."), tree) for key in keys}
    files = {key: value for key, value in found.items() if key in NAMES_FILES and value is not None}
    return found | {key: path_digest(Path(value)) or value for key, value in files.items()}
