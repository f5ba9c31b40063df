"""The crate, opened by the library of the RO-Crate community."""

from __future__ import annotations

import hashlib
import json

import pytest

from fantasia_dask.report.provenance import CRATE, write_crate

MANIFEST = {
    "started": "2026-01-31T10:00:00+00:00",
    "input": {"path": "/data/ants.fasta", "sha256": "ab" * 32},
    "reference": {"path": "/data/reference"},
    "versions": {"fantasia-dask": "0.0", "python": "3.11.0", "platform": "Linux"},
    "stages": {"lookup": {"seconds": 62.0}, "annotate": {"seconds": 3.5}},
}


@pytest.fixture
def folder(tmp_path):
    run = tmp_path / "run"
    (run / "topgo").mkdir(parents=True)
    (run / "topgo" / "BP.map").write_text("a\tGO:1\n")
    (run / "summary.csv").write_text("accession\n")
    write_crate(run, ["manifest.json", "summary.csv", "topgo", "not there"], name="ants", manifest=MANIFEST)
    return run


def test_write_crate__opened_by_rocrate(folder):
    rocrate = pytest.importorskip("rocrate.rocrate", reason="rocrate is not installed")
    crate = rocrate.ROCrate(folder)
    assert {entity.id for entity in crate.data_entities} == {"manifest.json", "summary.csv", "topgo/"}
    summary = crate.dereference("summary.csv")
    assert summary["sha256"] == hashlib.sha256(b"accession\n").hexdigest()
    assert summary["contentSize"] == "10"
    action = crate.dereference("#run")
    assert action.type == "CreateAction"
    assert action["instrument"]["softwareVersion"] == "0.0"
    assert {entity.id for entity in action["result"]} == {"manifest.json", "summary.csv", "topgo/"}
    assert {entity["name"] for entity in action["object"]} == {"ants.fasta", "reference"}
    assert crate.root_dataset["conformsTo"].id == "https://w3id.org/ro/wfrun/process/0.5"
    assert crate.root_dataset["mentions"] == action
    assert action["agent"].type == "Person"
    assert crate.root_dataset["license"].type == "CreativeWork"
    assert "licences of the input" in crate.root_dataset["license"]["description"]


def test_write_crate__ends_when_its_stages_did_also_after_a_report(folder):
    """The manifest knows of the stage that wrote the files only when it is over: a second crate must not differ."""
    before = (folder / CRATE).read_bytes()
    action = next(entity for entity in json.loads(before)["@graph"] if entity["@type"] == "CreateAction")
    assert (action["startTime"], action["endTime"]) == ("2026-01-31T10:00:00+00:00", "2026-01-31T10:01:05+00:00")
    stages = MANIFEST["stages"] | {"report": {"seconds": 1000.0}}
    names = ["manifest.json", "summary.csv", "topgo"]
    write_crate(folder, names, name="ants", manifest=MANIFEST | {"stages": stages, "seconds": 1065.5})
    assert (folder / CRATE).read_bytes() == before


def test_write_crate__every_reference_is_described_and_no_path_is_told(folder):
    text = (folder / CRATE).read_text()
    assert "/data" not in text
    graph = json.loads(text)["@graph"]
    described = {entity["@id"] for entity in graph}

    def mentioned(value):
        if isinstance(value, dict):
            yield from [value["@id"]] if set(value) == {"@id"} else (i for v in value.values() for i in mentioned(v))
        elif isinstance(value, list):
            yield from (i for v in value for i in mentioned(v))

    outside = {i for entity in graph for i in mentioned(entity)} - described
    assert outside == {"https://w3id.org/ro/crate/1.1", "http://schema.org/CompletedActionStatus"}
