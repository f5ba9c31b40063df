"""A run folder, opened: everything is there, as it was given, and nothing is read before it is asked for."""

from __future__ import annotations

import json
import shutil
import sys

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from fantasia_dask import open_run, open_store
from fantasia_dask.config import dump_config
from fantasia_dask.errors import InputError
from fantasia_dask.schema import CONSENSUS, OUTCOME, QUERIES, names

from .conftest import IDS, SILENT


def test_open_run__reads_nothing_heavy(opened, world, monkeypatch):
    """Neither vectors nor tables: with all of them gone, a run still opens and says what it is."""
    copy = shutil.copytree(opened.path, world / "bare", dirs_exist_ok=True)
    for path in copy.iterdir():
        if path.name not in ("config.yaml", "manifest.json"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    run = open_run(copy)
    assert run.finished
    assert run.manifest["counts"]["proteins"] == len(IDS)
    assert run.config.limit_per_entry == 3


def test_spaces__by_model_and_layer(opened):
    assert [str(space) for space in opened.spaces] == ["Sim layer 0", "Sim layer 1"]
    assert opened["Sim", 1] is opened.spaces[1]
    assert opened["Sim"] is opened.spaces[0]
    with pytest.raises(InputError, match="no vectors of Sim layer 7: expected Sim layer 0 or Sim layer 1"):
        opened["Sim", 7]
    with pytest.raises(InputError, match="no vectors of Simm: expected Sim layer 0 or"):
        opened["Simm"]


def test_tables__come_back_exactly_as_given(opened):
    assert isinstance(opened.status, dd.DataFrame)
    queries, status, summary = opened.queries.compute(), opened.status.compute(), opened.summary.compute()
    assert list(queries) == names(QUERIES)
    assert list(status) == names(OUTCOME)
    assert list(queries["accession"]) == IDS
    assert list(status["accession"].drop_duplicates()) == IDS
    assert set(summary["accession"]) == set(IDS) - {"silent"}
    assert summary["max_ri_Sim_L0"].dtype == "float64"
    consensus = opened.consensus.compute()
    assert list(consensus) == names(CONSENSUS)
    numbers = {column.name: column.dtype for column in CONSENSUS if column.dtype != "str"}
    assert {name: str(kind) for name, kind in consensus.dtypes.items() if kind in ("int64", "float64")} == numbers
    pairs = set(summary[["accession", "go_id"]].itertuples(index=False, name=None))
    assert set(consensus[["accession", "go_id"]].itertuples(index=False, name=None)) == pairs
    stated = {column.name: column.dtype for column in OUTCOME if column.dtype == "int64"}
    assert {name: str(opened.status.dtypes[name]) for name in stated} == stated


def test_open_run__a_copy_and_a_reference_that_moved(opened, world, tmp_path):
    copy = shutil.copytree(opened.path, tmp_path / "copy")
    moved = shutil.copytree(world / "reference", tmp_path / "moved")
    (copy / "config.yaml").write_text(
        (copy / "config.yaml").read_text().replace(str(world / "reference"), str(tmp_path / "gone"))
    )
    with pytest.raises(InputError, match=r"gone does not exist.*Say where it is now: open_run\(path, reference="):
        _ = open_run(copy).reference
    assert open_run(copy, reference=moved)["Sim", 0].reference.shape == (60, 32)


def test_open_run__not_finished(configured, tmp_path):
    config = configured("early", base_directory=str(tmp_path))
    config.run_folder.mkdir(parents=True)
    (config.run_folder / "config.yaml").write_text(dump_config(config))
    run = open_run(config.run_folder)
    assert not run.finished
    assert "not finished" in repr(run)
    assert "not finished" in run._repr_html_()
    assert not run["Sim", 0].looked_up
    with pytest.raises(InputError, match=r"status.tsv is missing: the run has not finished: start it again"):
        _ = run.status
    with pytest.raises(InputError, match="has no neighbours: it was not looked up, or not so far"):
        run["Sim", 0].neighbours("NA")
    with pytest.raises(InputError, match="no neighbours to draw"):
        run.plot_reliability()


def test_open_run__a_table_that_was_not_asked_for(opened, tmp_path):
    copy = shutil.copytree(opened.path, tmp_path / "copy")
    (copy / "summary.tsv").unlink()
    with pytest.raises(InputError, match=r"summary.tsv is missing: this run was set not to write it"):
        _ = open_run(copy).summary


def test_open_run__only_embedding_has_no_reference(configured, tmp_path):
    config = configured("vectors", base_directory=str(tmp_path), reference=None, only_lookup=False)
    config.run_folder.mkdir(parents=True)
    (config.run_folder / "config.yaml").write_text(dump_config(config))
    with pytest.raises(InputError, match="a run without a reference"):
        _ = open_run(config.run_folder).reference


def test_open_run__what_is_no_run(opened, world, tmp_path):
    with pytest.raises(InputError, match=r"nothing does not exist: expected the folder of a run, such as"):
        open_run(tmp_path / "nothing")
    with pytest.raises(InputError, match="is a reference: open_reference opens it"):
        open_run(world / "reference")
    with pytest.raises(InputError, match="is a store of vectors: open_store opens it"):
        open_run(world / "queries.zarr")
    with pytest.raises(InputError, match=r"not the folder of a run: .* Found .*experiments/run"):
        open_run(world)
    (tmp_path / "a_file").write_text("")
    with pytest.raises(InputError, match="a_file is not the folder of a run"):
        open_run(tmp_path / "a_file")


def test_open_run__a_damaged_manifest(opened, tmp_path):
    copy = shutil.copytree(opened.path, tmp_path / "copy")
    (copy / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"manifest.json cannot be read .*: give the command of the run again"):
        open_run(copy)
    (copy / "manifest.json").write_text("[]")
    assert open_run(copy).manifest == {}


def test_cards__every_word_is_escaped(opened, tmp_path):
    copy = shutil.copytree(opened.path, tmp_path / "<script>alert(1)")
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["versions"]["fantasia-dask"] = '"><img src=x>'
    manifest["counts"]["<i>"] = "<u>"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    run = open_run(copy)
    card = run._repr_html_() + run.spaces[0]._repr_html_()
    assert "<script>" not in card
    assert "<img" not in card
    assert "<i>" not in card
    assert "&lt;script&gt;" in card
    assert "1,107 × 32" in card


def test_cards__manifest_of_odd_shape(opened, tmp_path):
    copy = shutil.copytree(opened.path, tmp_path / "copy")
    (copy / "manifest.json").write_text(json.dumps({"counts": {}, "reference": None, "stages": {}}))
    assert "<table>" in open_run(copy)._repr_html_()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # anndata sets options of pandas that pandas 3 means to drop
@pytest.mark.usefixtures("anndata")
def test_to_anndata(opened):
    table = opened.to_anndata()
    assert list(table.obs_names) == IDS
    assert set(table.obsm) == {"Sim_layer_0", "Sim_layer_1"}
    nearest = opened["Sim", 0].nearest.set_index("query")
    assert table.obs["Sim_layer_0_distance"].iloc[3] == nearest.loc[3, "distance"]
    assert table.obs["Sim_layer_0_donor"].iloc[3] == nearest.loc[3, "donor"]
    assert table.obs["Sim_layer_0_donor"].iloc[SILENT] == ""
    assert np.isnan(table.obs["Sim_layer_0_distance"].iloc[SILENT])
    assert table.uns["run"]["proteins"] == len(IDS)
    vectors = np.asarray(table.to_memory().obsm["Sim_layer_0"])
    stored = open_store(opened.config.input).vectors("Sim", 0).compute()
    np.testing.assert_array_equal(vectors, stored)


def test_to_anndata__not_installed(opened, monkeypatch):
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(InputError, match=r"pip install 'fantasia-dask\[anndata\]'"):
        opened.to_anndata()


def test_summary__an_unknown_column_is_words(tmp_path):
    from fantasia_dask.explore.frames import read_separated

    (tmp_path / "t.tsv").write_text("accession\tgo_name\tterm_count\tmax_ri_ESM_L0\n00123\tNA\t3\t\n")
    line = read_separated(tmp_path / "t.tsv").iloc[0]
    assert list(line[:3]) == ["00123", "NA", 3]
    assert pd.isna(line["max_ri_ESM_L0"])
