"""The files of a finished run, made again from its hits."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from fantasia_dask import load_config, pipeline
from fantasia_dask.errors import InputError
from fantasia_dask.lock import only_run
from fantasia_dask.run_folder import RunFolder

TIMED = {"manifest.json", "run.log", "events.jsonl"}


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in TIMED
    }


def test_write_report__same_bytes_as_the_run(lookup_config, run_quietly, report):
    config = lookup_config(raw_csv=True)
    run_quietly(config)
    before = contents(config.run_folder)
    manifest = RunFolder(config.run_folder).manifest.read_bytes()
    shutil.rmtree(config.run_folder / "annotations")
    shutil.rmtree(config.run_folder / "topgo")
    (config.run_folder / "summary.csv").unlink()
    for _ in range(2):
        report(config.run_folder)
        assert contents(config.run_folder) == before
        assert RunFolder(config.run_folder).manifest.read_bytes() == manifest


def test_write_report__needs_neither_queries_nor_place(lookup_config, run_quietly, report, simulated, tmp_path):
    """The input may be gone, and the run folder and the reference may have moved."""
    queries = tmp_path / "queries.zarr"
    shutil.copytree(simulated / "queries.zarr", queries)
    config = lookup_config(input=str(queries))
    run_quietly(config)
    shutil.rmtree(queries)
    summary = (config.run_folder / "summary.csv").read_bytes()
    moved = tmp_path / "moved"
    config.run_folder.rename(moved)
    (moved / "summary.csv").unlink()
    shutil.copytree(simulated / "reference", tmp_path / "reference")
    report(moved, reference=str(tmp_path / "reference"))
    assert (moved / "summary.csv").read_bytes() == summary
    assert load_config(moved / "config.yaml").reference == tmp_path / "reference"


def test_write_report__overrides_are_kept(lookup_config, run_quietly, report):
    config = lookup_config()
    run_quietly(config)
    report(config.run_folder, alignments="none", precision=2)
    assert load_config(config.run_folder / "config.yaml").alignments == "none"
    annotations = pd.read_parquet(RunFolder(config.run_folder).annotations_of("Sim", 0) / "part-00000.parquet")
    assert annotations["identity"].isna().all()
    assert (annotations["reliability_index"] != annotations["reliability_index"].round(2)).any()
    summary = pd.read_csv(config.run_folder / "summary.csv")
    assert (summary["max_ri_Sim_L0"].dropna() == summary["max_ri_Sim_L0"].dropna().round(2)).all()
    before = contents(config.run_folder)
    report(config.run_folder)
    assert contents(config.run_folder) == before


def test_write_report__mistakes(lookup_config, run_quietly, report, simulated, tmp_path):
    with pytest.raises(InputError, match="no run folder"):
        report(tmp_path)
    config = lookup_config()
    run_quietly(config)
    before = contents(config.run_folder)
    with pytest.raises(InputError, match="limit_per_entry shapes the hits"):
        report(config.run_folder, limit_per_entry=1)
    with pytest.raises(InputError, match="unknown key precisoin"):
        report(config.run_folder, precisoin=1)
    other = tmp_path / "other"
    shutil.copytree(simulated / "reference", other)
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="has changed since"):
        report(config.run_folder, reference=str(other))
    assert contents(config.run_folder) == before
    manifest = RunFolder(config.run_folder).manifest
    for content, message in (("{", "damaged"), ("{}", "not the manifest"), (None, "no finished run")):
        manifest.unlink() if content is None else manifest.write_text(content)
        with pytest.raises(InputError, match=message):
            report(config.run_folder)


@pytest.mark.parametrize("name", ["status.tsv", "queries.parquet", "donors/proteins.parquet"])
def test_write_report__a_part_of_the_run_is_gone(lookup_config, run_quietly, report, name):
    config = lookup_config()
    run_quietly(config)
    (config.run_folder / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing, and a report needs it: run fantasia-dask run again"):
        report(config.run_folder)
    run_quietly(config)
    report(config.run_folder)


def test_write_report__only_embedding(sample_config, run_quietly, report):
    config = sample_config(only_embedding=True, reference=None)
    run_quietly(config)
    with pytest.raises(InputError, match="no hits"):
        report(config.run_folder)


def everything(folder):
    """Every file, its bytes and its time."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


def spoil(path):
    content = path.read_bytes()
    path.write_bytes(content[:99] + b"spoilt" + content[105:])


HITS = [
    (lambda hits: shutil.rmtree(hits), "Sim layer 0 are missing: give the command of the run again"),
    (lambda hits: shutil.rmtree(hits / "model=Sim" / "layer=1"), "Sim layer 1 are missing"),
    (lambda hits: (hits / "model=Sim" / "layer=0" / "_made_from.json").unlink(), "Sim layer 0 are missing"),
    (lambda hits: (hits / "model=Sim" / "layer=0" / "part-00000.parquet").unlink(), "layer 0 are not finished"),
    (lambda hits: cut(hits / "model=Sim" / "layer=1" / "part-00000.parquet"), "layer 1 are damaged, delete /.*00.parq"),
    (lambda hits: spoil(hits / "model=Sim" / "layer=1" / "part-00000.parquet"), "layer 1 are damaged, delete /.*00.p"),
]


@pytest.mark.parametrize(("harm", "message"), HITS)
def test_write_report__hits_that_are_not_there(lookup_config, run_quietly, report, harm, message):
    """Annotations and exports could never be made of them again, so they stay."""
    config = lookup_config(report=True, raw_csv=True)
    run_quietly(config)
    harm(config.run_folder / "hits")
    before = everything(config.run_folder)
    assert {"report.html", "summary.csv"} <= set(before)
    for changes in ({}, {"alignments": "none"}):
        with pytest.raises(InputError, match=message):
            report(config.run_folder, **changes)
        assert everything(config.run_folder) == before


def test_write_report__hits_of_another_lookup(lookup_config, run_quietly, report, monkeypatch):
    config = lookup_config()
    run_quietly(config)
    before = everything(config.run_folder)
    monkeypatch.setattr("fantasia_dask.pipeline.neighbours.LOOKUP_VERSION", 99)
    with pytest.raises(InputError, match="were found with another lookup_version: give the command of the run again"):
        report(config.run_folder)
    assert everything(config.run_folder) == before


@pytest.mark.parametrize(
    ("line", "other", "message"),
    [
        ("limit_per_entry: 3", "limit_per_entry: 5", "were found with another limit_per_entry"),
        ("    Sim:", "    Other:", "are of a model that config.yaml does not name"),
    ],
)
def test_write_report__a_run_with_other_settings_was_begun(lookup_config, run_quietly, report, line, other, message):
    """What it had written when it was stopped is its configuration, beside the results of the run before."""
    config = lookup_config()
    run_quietly(config)
    file = config.run_folder / "config.yaml"
    file.write_text(file.read_text().replace(line, other))
    before = everything(config.run_folder)
    with pytest.raises(InputError, match=message):
        report(config.run_folder)
    assert everything(config.run_folder) == before


@pytest.mark.parametrize("change", [{"taxonomy_ids_to_exclude": [9606]}, {"donors": "all"}])
def test_write_report__a_run_with_other_donors_was_stopped(lookup_config, run_quietly, report, monkeypatch, change):
    """Its configuration is there, the hits are of the run before."""
    run_quietly(lookup_config())

    def stopped(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as stopping:
        stopping.setattr(pipeline, "status_of_given", stopped)
        with pytest.raises(KeyboardInterrupt):
            run_quietly(lookup_config(**change))
    with pytest.raises(InputError, match="no finished run"):
        report(lookup_config().run_folder)
    run_quietly(lookup_config())
    report(lookup_config().run_folder)


@pytest.mark.parametrize("name", ["annotations", "terms", "relations"])
def test_write_report__terms_of_its_own_are_gone(sample, sample_config, run_quietly, report, name):
    """The reference's instead, which are of another release or day, would be other results without a word."""
    config = sample_config(ontology=str(sample / "go.obo"))
    run_quietly(config)
    (config.run_folder / "donors" / f"{name}.parquet").unlink()
    before = everything(config.run_folder)
    with pytest.raises(InputError, match=f"{name}.parquet is missing, and a report needs it"):
        report(config.run_folder)
    assert everything(config.run_folder) == before


def test_write_report__what_is_not_at_hand(lookup_config, run_quietly, report, simulated, tmp_path, monkeypatch):
    """A reference that moved away, a folder that another run works in, or that cannot be written."""
    shutil.copytree(simulated / "reference", tmp_path / "reference")
    config = lookup_config(reference=str(tmp_path / "reference"))
    run_quietly(config)
    folder = RunFolder(config.run_folder)
    before = everything(folder.path)
    (tmp_path / "reference").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="reference does not exist"):
        report(folder.path, alignments="none")
    (tmp_path / "elsewhere" / "annotations.parquet").unlink()
    with pytest.raises(InputError, match=r"annotations\.parquet is missing"):
        report(folder.path, alignments="none", reference=str(tmp_path / "elsewhere"))
    with only_run(folder.lock, print):
        folder.manifest.unlink()  # as a run does when it looks up anew
        with pytest.raises(InputError, match="is in use by process"):
            report(folder.path, alignments="none")
    content, time = before["manifest.json"]
    folder.manifest.write_bytes(content)
    os.utime(folder.manifest, ns=(time, time))

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr("fantasia_dask.lock._opened", refuse)  # root may write everywhere
        with pytest.raises(InputError, match="cannot be written"):
            report(folder.path, alignments="none")
    assert everything(folder.path) == before


@pytest.mark.parametrize("harm", [cut, lambda path: path.write_text(path.read_text().replace("\t", ",")), Path.touch])
def test_write_report__a_status_file_that_was_saved_otherwise(lookup_config, run_quietly, report, harm):
    config = lookup_config(report=True)
    run_quietly(config)
    status = config.run_folder / "status.tsv"
    if harm is Path.touch:
        status.unlink()
    harm(status)
    before = everything(config.run_folder)
    with pytest.raises(InputError, match=r"status\.tsv is not as a run writes it \(.*\): run fantasia-dask run again"):
        report(config.run_folder)
    assert everything(config.run_folder) == before


def test_write_report__needs_no_ontology_file(sample, sample_config, run_quietly, report, tmp_path):
    """Its terms are kept with the run."""
    obo = shutil.copy(sample / "go.obo", tmp_path / "go.obo")
    config = sample_config(ontology=str(obo))
    run_quietly(config)
    before = contents(config.run_folder)
    obo.unlink()
    shutil.rmtree(config.run_folder / "annotations")
    report(config.run_folder)
    assert contents(config.run_folder) == before
