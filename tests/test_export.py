"""A run's vectors as FANTASIA's HDF5 and as AnnData, through the command line."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from fantasia_dask import cli
from fantasia_dask.errors import InputError
from fantasia_dask.interchange.outputs import export_vectors, find_store
from fantasia_dask.schema import Space
from fantasia_dask.store import StoreWriter, open_store

SPACES = (
    Space("ESM", 0, 4, "pis-3.1", "facebook/esm2", "abc", "float32"),
    Space("Prot-T5", 2, 3, "pis-3.1", "Rostlab/x", "def", "float16"),
)
# anndata sets options of pandas that pandas 3 means to drop.
anndatas_own = pytest.mark.filterwarnings("ignore::DeprecationWarning")
IDS = ["sp|P1|A", "P2", "P3/1", "P4", "P5"]


@pytest.fixture
def run_folder(tmp_path):
    """What a run leaves, with more than one chunk, and a protein that failed in one model."""
    folder, rng = tmp_path / "experiments" / "run", np.random.default_rng(1)
    with StoreWriter(
        folder / "embeddings.zarr", ids=IDS, sequences=["M" * i for i in range(1, 6)], spaces=SPACES, chunk_rows=2
    ) as writer:
        for space in SPACES:
            vectors = rng.standard_normal((5, space.dimension)).astype(space.dtype)
            present = np.array([True, space.model == "ESM", True, True, True])
            vectors[~present] = np.nan
            for start in range(0, 5, 2):
                writer.write(space, start, vectors[start : start + 2], present[start : start + 2])
    return folder


def run(*arguments):
    with pytest.raises(SystemExit) as caught:
        cli.main(list(map(str, arguments)))
    return caught.value.code


@pytest.mark.parametrize("name", ["", "embeddings.zarr"])
def test_export__fantasias_hdf5(run_folder, tmp_path, capsys, name):
    assert run("export", run_folder / name, tmp_path / "out.h5") == 0
    assert "out.h5 is written" in capsys.readouterr().out
    store = open_store(run_folder / "embeddings.zarr")
    with h5py.File(tmp_path / "out.h5") as file:
        found = file["accession_sp|P1|A/type_3/layer_2/embedding"][...]
        np.testing.assert_array_equal(found, store.vectors("Prot-T5", 2)[0].compute().astype(np.float32))
        assert file["accession_P4/sequence"].asstr()[()] == "MMMM"
        assert "type_3" not in file["accession_P2"]
        assert "type_1" in file["accession_P2"]


@anndatas_own
def test_export__anndata(run_folder, tmp_path, anndata):
    assert run("export", run_folder, tmp_path / "out.h5ad") == 0
    table, store = anndata.read_h5ad(tmp_path / "out.h5ad"), open_store(run_folder / "embeddings.zarr")
    assert list(table.obs_names) == IDS
    assert table.obs.index.name == "accession"
    assert list(table.obs["length"]) == [1, 2, 3, 4, 5]
    assert set(table.obsm) == {"ESM_layer_0", "Prot-T5_layer_2"}
    for space in SPACES:
        found = table.obsm[f"{space.model}_layer_{space.layer}"]
        assert found.dtype == space.dtype
        np.testing.assert_array_equal(found, np.asarray(store.vectors(space.model, space.layer)))
    assert np.isnan(table.obsm["Prot-T5_layer_2"][1]).all()
    assert table.uns["spaces"]["Prot-T5_layer_2"] == {
        "model": "Prot-T5",
        "layer": 2,
        "dimension": 3,
        "profile": "pis-3.1",
        "checkpoint": "Rostlab/x",
        "revision": "def",
        "dtype": "float16",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["experiments", "out.h5ad"]


@anndatas_own
@pytest.mark.usefixtures("anndata")
def test_export__anndata_read_with_h5py_alone(run_folder, tmp_path):
    export_vectors(run_folder, tmp_path / "out.h5ad")
    with h5py.File(tmp_path / "out.h5ad") as file:
        assert file.attrs["encoding-type"] == "anndata"
        assert file["obsm/ESM_layer_0"].shape == (5, 4)
        ids = file["obs/accession"]
        # from anndata 0.13 on, strings that may be missing are a group of values and a mask
        values = ids["values"] if isinstance(ids, h5py.Group) else ids
        assert list(values.asstr()[...]) == IDS


def test_export__anndata_is_not_installed(run_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "anndata", None)
    with pytest.raises(InputError, match=r"pip install 'fantasia-dask\[anndata\]'"):
        export_vectors(run_folder, tmp_path / "out.h5ad")


def test_export__an_output_that_is_there_is_kept(run_folder, tmp_path, capsys):
    (tmp_path / "out.h5").write_text("precious")
    assert run("export", run_folder, tmp_path / "out.h5") == 2
    assert "exists: give another name, or --overwrite" in capsys.readouterr().err
    assert (tmp_path / "out.h5").read_text() == "precious"
    assert run("export", run_folder, tmp_path / "out.h5", "--overwrite") == 0
    assert h5py.is_hdf5(tmp_path / "out.h5")


@pytest.mark.parametrize("name", ["out.csv", "out", "out.zarr"])
def test_export__ending_that_says_nothing(run_folder, tmp_path, name):
    with pytest.raises(InputError, match=r"expected \.h5 .* or \.h5ad"):
        export_vectors(run_folder, tmp_path / name)


def test_export__onto_itself(tmp_path):
    space = Space("ESM", 0, 1)
    with StoreWriter(tmp_path / "a.h5", ids=["P1"], sequences=["M"], spaces=[space]) as writer:
        writer.write(space, 0, np.ones((1, 1)))
    with pytest.raises(InputError, match="read and written at once"):
        export_vectors(tmp_path / "a.h5", tmp_path / "a.h5", overwrite=True)


def test_find_store__a_run_without_embeddings(tmp_path):
    with pytest.raises(InputError, match="holds no embeddings"):
        find_store(tmp_path)
