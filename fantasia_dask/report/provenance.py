"""Where the results come from, as an RO-Crate that archives and workflow managers read.

References
----------
RO-Crate 1.1, https://w3id.org/ro/crate/1.1, and its profile Process Run Crate 0.5,
https://w3id.org/ro/wfrun/process/0.5: one action with its software, what it read and what it made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..run_folder import file_sha256, write_json

__all__ = ["CRATE", "write_crate"]

CRATE = "ro-crate-metadata.json"
VERSION = "https://w3id.org/ro/crate/1.1"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
SOFTWARE = "https://github.com/fantasia-dask/fantasia-dask"
LICENCE = {
    "@id": "#licence",
    "@type": "CreativeWork",
    "name": "The licences of the sources",
    "description": "The licences of the input, the reference and the models apply; fantasia-dask adds none.",
}
AGENT = {
    "@id": "#agent",
    "@type": "Person",
    "name": "Not recorded",
    "description": "Who started the run is not known to fantasia-dask: put a name, and an ORCID as @id.",
}
CHANGING = {"manifest.json", "run.log"}
"""Files that go on changing after the crate is written: they are listed without size and checksum."""

MEDIA_TYPES = {
    ".csv": "text/csv",
    ".fasta": "text/x-fasta",
    ".gaf": "text/tab-separated-values",
    ".gpad": "text/tab-separated-values",
    ".gpi": "text/tab-separated-values",
    ".gz": "application/gzip",
    ".html": "text/html",
    ".json": "application/json",
    ".log": "text/plain",
    ".parquet": "application/vnd.apache.parquet",
    ".tsv": "text/tab-separated-values",
    ".yaml": "application/yaml",
}


def write_crate(folder: Path, results: Iterable[str], *, name: str, manifest: Mapping[str, Any]) -> None:
    """Write ``ro-crate-metadata.json`` for a run folder.

    Parameters
    ----------
    folder : Path
        The run folder, which becomes the crate.
    results : iterable of str
        Names in it that the run made; those that are not there are passed over. A folder is listed as one.
    name : str
        Of the run.
    manifest : mapping
        Of the run, up to its report.
    """
    made = [_described(folder, result) for result in results if (folder / result).exists() or result in CHANGING]
    read = [_source("input", manifest["input"]["path"], manifest["input"]["sha256"])]
    if manifest.get("reference"):
        read.append(_source("reference", manifest["reference"]["path"], None))
    versions = manifest["versions"]
    software = {
        "@id": SOFTWARE,
        "@type": "SoftwareApplication",
        "name": "fantasia-dask",
        "url": SOFTWARE,
        "softwareVersion": versions["fantasia-dask"],
        "softwareRequirements": ", ".join(f"{package} {v}" for package, v in versions.items() if package != "platform"),
    }
    action = {
        "@id": "#run",
        "@type": "CreateAction",
        "name": f"Annotation of {name} by fantasia-dask",
        "instrument": {"@id": SOFTWARE},
        "agent": {"@id": AGENT["@id"]},
        "startTime": manifest["started"],
        "endTime": _end(manifest),
        "description": "endTime counts the stages before the files of the results, of which this file is one.",
        "object": [{"@id": entity["@id"]} for entity in read],
        "result": [{"@id": entity["@id"]} for entity in made],
        "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
    }
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"GO annotation of {name}",
        "description": "GO terms transferred to proteins by similarity in the embedding space of language models.",
        "datePublished": manifest["started"],
        "license": {"@id": LICENCE["@id"]},
        "conformsTo": {"@id": PROFILE},
        "hasPart": [{"@id": entity["@id"]} for entity in made],
        "mentions": {"@id": "#run"},
    }
    descriptor = {
        "@id": CRATE,
        "@type": "CreativeWork",
        "conformsTo": {"@id": VERSION},
        "about": {"@id": "./"},
    }
    profile = {"@id": PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}
    graph = [descriptor, root, profile, action, software, AGENT, LICENCE, *read, *made]
    write_json(folder / CRATE, {"@context": f"{VERSION}/context", "@graph": graph})


def _end(manifest: Mapping[str, Any]) -> str:
    """Return when the stages before the report were over: from the times of the run, so that it stays the same.

    Examples
    --------
    >>> stages = {"lookup": {"seconds": 61.4}, "report": {"seconds": 9}}
    >>> _end({"started": "2026-01-31T10:00:00+00:00", "stages": stages})
    '2026-01-31T10:01:01+00:00'
    """
    stages = manifest.get("stages", {})
    seconds = sum(facts["seconds"] for name, facts in stages.items() if name != "report")
    return (datetime.fromisoformat(manifest["started"]) + timedelta(seconds=seconds)).isoformat(timespec="seconds")


def _described(folder: Path, name: str) -> dict[str, Any]:
    """Describe a file or a folder of the run."""
    path = folder / name
    if path.is_dir():
        return {"@id": f"{quote(name)}/", "@type": "Dataset", "name": name}
    entity: dict[str, Any] = {"@id": quote(name), "@type": "File", "name": name}
    media_type = MEDIA_TYPES.get(path.suffix)
    if media_type:
        entity["encodingFormat"] = media_type
    if name not in CHANGING:
        entity |= {"contentSize": str(path.stat().st_size), "sha256": file_sha256(path)}
    return entity


def _source(role: str, path: str, sha256: str | None) -> dict[str, Any]:
    """Describe what lies outside the crate. A path of a machine means nothing elsewhere, so only its name is told."""
    entity = {
        "@id": f"#{role}",
        "@type": "CreativeWork",
        "name": Path(path).name,
        "description": f"the {role} of the run",
    }
    return entity | ({"sha256": sha256} if sha256 else {})
