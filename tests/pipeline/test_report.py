"""The files of a finished run, made again from its hits."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest

from fantasia_dask import load_config
from fantasia_dask.errors import InputError
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
