"""Vectors in the layouts of other tools: nothing lost, nothing run, nothing read from elsewhere."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fantasia_dask.errors import InputError
from fantasia_dask.interchange import export_fantasia_hdf5, import_vectors, recognise
from fantasia_dask.schema import Space
from fantasia_dask.store import StoreWriter, open_store

ESM0 = ("ESM", 0)
PROTT5 = {"model": "Prot-T5", "layer": 0}


def fantasia_file(path: Path, proteins: dict[str, dict[str, np.ndarray]]) -> Path:
    """Write FANTASIA's layout with h5py: {accession: {"type_1/layer_0": vector}}."""
    with h5py.File(path, "w") as file:
        for accession, vectors in proteins.items():
            group = file.require_group(f"accession_{accession}")
            group["sequence"] = "MKT"
            for place, vector in vectors.items():
                group[f"{place}/embedding"] = vector
    return path


def per_protein_file(path: Path, **datasets: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        for name, value in datasets.items():
            file[name] = value
    return path


def refused(path: Path, tmp_path: Path, match: str, **options: object) -> None:
    """An import that must fail in one sentence and leave nothing behind."""
    out = tmp_path / "refused.zarr"
    with pytest.raises(InputError, match=match) as caught:
        import_vectors(path, out, **options)
    assert "\n" not in str(caught.value)
    assert not out.exists()
    assert not out.with_name("refused.zarr.partial").exists()


# FANTASIA's HDF5


def test_fantasia__spaces_and_missing_vectors(tmp_path):
    path = fantasia_file(
        tmp_path / "q.h5",
        {
            "P1": {"type_3/layer_0": np.arange(4.0), "type_1/layer_0": np.ones(3)},
            "P2": {"type_3/layer_0": np.arange(4.0) * 2},
        },
    )
    store = import_vectors(path, tmp_path / "q.zarr")
    assert recognise(path) == "fantasia-hdf5"
    assert [(s.model, s.layer, s.dimension, s.dtype) for s in store.spaces] == [
        ("ESM", 0, 3, "float32"),
        ("Prot-T5", 0, 4, "float32"),
    ]
    assert list(store.ids) == ["P1", "P2"]
    assert list(store.sequences) == ["MKT", "MKT"]
    assert store.present(*ESM0).tolist() == [True, False]
    assert store.vectors("Prot-T5", 0).compute().tolist() == [[0, 1, 2, 3], [0, 2, 4, 6]]
    assert np.isnan(store.vectors(*ESM0).compute()[1]).all()


def test_fantasia__ids_with_slashes_are_rebuilt(tmp_path):
    ids = ["a", "a/b", "a/b/c", "x/y", "sp|P1|N", "type_1", "z/type_1", "00123", "NA", "ü"]
    path = fantasia_file(tmp_path / "q.h5", {i: {"type_1/layer_0": np.full(2, float(n))} for n, i in enumerate(ids)})
    store = import_vectors(path, tmp_path / "q.zarr")
    assert sorted(store.ids) == sorted(ids)
    vectors = dict(zip(store.ids, store.vectors(*ESM0).compute()[:, 0], strict=True))
    assert vectors == {i: n for n, i in enumerate(ids)}


def test_fantasia__a_protein_without_any_vector_does_not_disappear(tmp_path):
    path = fantasia_file(tmp_path / "q.h5", {"P1": {"type_1/layer_0": np.ones(2)}, "P2": {}})
    with h5py.File(path, "a") as file:
        file.create_group("accession_P3/type_1")
        file.create_group("accession_P4")
    store = import_vectors(path, tmp_path / "q.zarr")
    assert list(store.ids) == ["P1", "P2", "P3", "P4"]
    assert store.present(*ESM0).tolist() == [True, False, False, False]


def test_fantasia__part_of_the_spaces(tmp_path):
    vectors = {"type_1/layer_0": np.ones(2), "type_1/layer_2": np.ones(2), "type_5/layer_0": np.ones(2)}
    path = fantasia_file(tmp_path / "q.h5", {"P1": vectors})
    assert [str(s) for s in import_vectors(path, tmp_path / "a.zarr", model="ESM").spaces] == [
        "ESM layer 0",
        "ESM layer 2",
    ]
    assert len(import_vectors(path, tmp_path / "b.zarr", layer=0).spaces) == 2
    refused(path, tmp_path, "has no vectors of Prot-T5 layer 0: it holds ESM layer 0", **PROTT5)


def test_fantasia__golden_queries(golden, tmp_path):
    store = import_vectors(golden / "inputs/queries.h5", tmp_path / "q.zarr")
    with np.load(golden / "inputs/query_embeddings.npz", allow_pickle=False) as truth:
        assert list(store.ids) == truth["accession"].tolist()
        for model, layer in (("Prot-T5", 0), ("Prot-T5", 1), ("ESM", 0)):
            has = truth[f"has|{model}|L{layer}"]
            assert (store.present(model, layer) == has).all()
            assert (store.vectors(model, layer).compute()[has] == truth[f"{model}|L{layer}"][has]).all()
    assert store.lengths.min() > 0


@pytest.mark.parametrize(
    ("vectors", "match"),
    [
        ({"type_1/layer_0": np.ones(3)}, "protein 'P2' has a vector of 3 numbers where .* 2"),
        ({"type_1/layer_0": np.ones((5, 2))}, "protein 'P2' .*per residue"),
        ({"type_1/layer_0": np.ones((1, 1, 2))}, r"protein 'P2' has an array of shape \(1, 1, 2\)"),
        ({"type_1/layer_0": np.float32(1)}, r"protein 'P2' has an array of shape \(\)"),
        ({"type_1/layer_0": np.ones(0)}, "protein 'P2' has a vector of 0 numbers"),
        ({"type_1/layer_0": np.ones(2, "int64")}, "protein 'P2' holds int64 values"),
        ({"type_1/layer_0": np.array([1, np.nan])}, "protein 'P2' .*not finite"),
        ({"type_1/layer_0": np.array([1, np.inf])}, "protein 'P2' .*not finite"),
        ({"type_1/layer_0": np.array([1, 1e300])}, "protein 'P2' .*not finite in float32"),
        ({"type_9/layer_0": np.ones(2)}, "embedding type 9: the types known are 1 ESM"),
    ],
)
def test_fantasia__a_wrong_vector_is_named(tmp_path, vectors, match):
    path = fantasia_file(tmp_path / "q.h5", {"P1": {"type_1/layer_0": np.ones(2)}, "P2": vectors})
    refused(path, tmp_path, match)


@pytest.mark.parametrize("link", [h5py.SoftLink("/accession_P1"), h5py.ExternalLink("other.h5", "/x")])
@pytest.mark.parametrize("place", ["accession_P2", "accession_P1/P2", "accession_P1/type_1/layer_0/embedding2", "X"])
def test_fantasia__links_are_refused(tmp_path, link, place):
    path = fantasia_file(tmp_path / "q.h5", {"P1": {"type_1/layer_0": np.ones(2)}})
    with h5py.File(path, "a") as file:
        file[place] = link
    refused(path, tmp_path, f"{place} is a link")


def test_fantasia__a_circle_of_hard_links_ends(tmp_path):
    path = fantasia_file(tmp_path / "q.h5", {"P1": {"type_1/layer_0": np.ones(2)}})
    with h5py.File(path, "a") as file:
        file["accession_P1/again"] = file["accession_P1"]
    refused(path, tmp_path, "nested more than 64 deep")


def test_hdf5__data_kept_outside_the_file_are_refused(tmp_path):
    secret = tmp_path / "secret.bin"
    np.ones(2, "float32").tofile(secret)
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file.create_dataset("P1", (2,), "float32", external=[(str(secret), 0, 8)])
    refused(tmp_path / "external.h5", tmp_path, "protein 'P1' keeps its vector in another file", **PROTT5)
    layout = h5py.VirtualLayout((2,), "float32")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (2,))
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("P1", layout)
    refused(tmp_path / "virtual.h5", tmp_path, "protein 'P1' keeps its vector in another file", **PROTT5)


def test_hdf5__a_huge_claim_is_refused_before_memory_is_asked_for(tmp_path):
    with h5py.File(tmp_path / "huge.h5", "w") as file:
        file.create_dataset("P1", (10**12,), "float32", chunks=(1024,))
    refused(tmp_path / "huge.h5", tmp_path, "protein 'P1' has a vector of 1000000000000 numbers", **PROTT5)


# One dataset per protein


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "n", "dtype"), [("Pla2g2_prott5.h5", 448, "float16"), ("three_finger_toxin_prot_t5.h5", 536, "float32")]
)
def test_per_protein__real_files(shared, tmp_path, name, n, dtype):
    path = shared / "data/embeddings" / name
    store = import_vectors(path, tmp_path / "x.zarr", **PROTT5)
    assert recognise(path) == "per-protein-hdf5"
    assert (len(store), store.spaces[0].dtype, store.spaces[0].dimension) == (n, dtype, 1024)
    vectors = store.vectors("Prot-T5", 0).compute()
    with h5py.File(path) as file:
        for row in (0, 7, n - 1):
            assert (file[store.ids[row]][...].ravel() == vectors[row]).all()


def test_per_protein__nested_ids_sequences_and_dtypes(tmp_path):
    path = per_protein_file(
        tmp_path / "x.h5", **{"a/b": np.ones(2, "float16"), "a/c/d": np.ones((1, 2), "float64"), "e": np.zeros(2)}
    )
    store = import_vectors(path, tmp_path / "x.zarr", sequences={"a/b": "MK", "other": "M"}, **PROTT5)
    assert list(store.ids) == ["a/b", "a/c/d", "e"]
    assert store.spaces[0].dtype == "float32"
    assert list(store.sequences) == ["MK", "", ""]


def test_per_protein__the_model_must_be_named(tmp_path):
    path = per_protein_file(tmp_path / "x.h5", P1=np.ones(2))
    refused(path, tmp_path, "does not say which model.*--model")
    refused(path, tmp_path, "does not say which model", model="ESM")
    refused(path, tmp_path, "cannot name an embedding space", model="a/b", layer=0)
    refused(path, tmp_path, "cannot name an embedding space", model="a", layer=-1)
    refused(path, tmp_path, "is for files with arrays", key="x", **PROTT5)


def test_per_protein__per_residue_file_is_told_apart(tmp_path):
    refused(per_protein_file(tmp_path / "x.h5", P1=np.ones((7, 4))), tmp_path, "average them first", **PROTT5)


def test_per_protein__empty_file(tmp_path):
    refused(per_protein_file(tmp_path / "x.h5"), tmp_path, "holds no protein", **PROTT5)


# npz


def test_npz__real_file(shared, tmp_path):
    path = shared / "data/embeddings/ecoli_UP000000625_unirep256.npz"
    refused(path, tmp_path, r"holds 2 arrays of vectors \(last_mean, all_mean\)", model="UniRep", layer=0)
    with np.load(path, allow_pickle=False) as truth:
        for key, dtype in (("last_mean", "float32"), ("all_mean", "float16")):
            store = import_vectors(path, tmp_path / "x.zarr", model="UniRep", layer=0, key=key)
            assert store.spaces[0].dtype == dtype
            assert list(store.ids) == truth["ids"].tolist()
            assert (store.vectors("UniRep", 0).compute() == truth[key]).all()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8"])
def test_npz__more_than_one_chunk(tmp_path, monkeypatch, save, order, dtype):
    monkeypatch.setattr("fantasia_dask.interchange.CHUNK_ROWS", 3)
    matrix = np.asarray(np.random.default_rng(0).normal(size=(10, 4)), dtype, order=order)
    save(tmp_path / "x.npz", ids=np.arange(10), embeddings=matrix)
    store = import_vectors(tmp_path / "x.npz", tmp_path / "x.zarr", **PROTT5)
    assert store.chunk_rows == 3
    assert list(store.ids) == [str(i) for i in range(10)]
    assert (store.vectors("Prot-T5", 0).compute() == matrix.astype(store.spaces[0].dtype)).all()


def test_npz__lite_layout_pairs_each_matrix_with_its_ids(tmp_path):
    np.savez(
        tmp_path / "x.npz",
        A_ids=["a"], A_embeddings=np.ones((1, 2)), B_ids=["b", "c"], B_embeddings=np.zeros((2, 3)),
    )  # fmt: skip
    store = import_vectors(tmp_path / "x.npz", tmp_path / "x.zarr", key="B_embeddings", **PROTT5)
    assert list(store.ids) == ["b", "c"]
    refused(tmp_path / "x.npz", tmp_path, "Did you mean A_embeddings", key="A_embedings", **PROTT5)


class Bomb:
    """What a hostile file would hold: unpickling it leaves a trace."""

    def __reduce__(self):
        return (Path.touch, (Path("unpickled"),))


@pytest.mark.parametrize("hostile", ["ids", "embeddings"])
def test_npz__python_objects_are_never_unpickled(tmp_path, monkeypatch, hostile):
    monkeypatch.chdir(tmp_path)
    arrays = {"ids": np.array(["a"]), "embeddings": np.ones((1, 2))}
    arrays[hostile] = np.array([Bomb()], dtype=object)
    np.savez(tmp_path / "x.npz", **arrays)
    refused(tmp_path / "x.npz", tmp_path, f"array '{hostile}' holds Python objects", **PROTT5)
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"ids": ["a", "b"], "v": np.ones((3, 2))}, "3 rows for 2 ids"),
        ({"ids": ["a", "a"], "v": np.ones((2, 2))}, "names protein 'a' twice"),
        ({"ids": ["a", ""], "v": np.ones((2, 2))}, "protein 2 has an empty id"),
        ({"v": np.ones((2, 2))}, "no array of ids"),
        ({"ids": ["a"]}, "has no array of vectors .'ids' is <U1"),
        ({"ids": ["a"], "v": np.ones((1, 2, 3))}, r"'v' is float64 of shape \(1, 2, 3\).: expected floats"),
        ({"ids": ["a"], "v": np.ones((1, 2), int)}, r"'v' is int64 of shape \(1, 2\)"),
        ({"ids": ["a"], "v": np.array([[np.nan, 1]])}, "protein 'a' .*not finite"),
        ({"ids": np.ones((1, 1)), "v": np.ones((1, 2))}, "2 arrays of vectors"),
        ({"ids": [1.5], "v": np.ones((1, 2))}, "'ids' is float64"),
        ({"ids": np.array([], str), "v": np.ones((0, 2))}, "holds no protein"),
    ],
)
def test_npz__wrong_arrays(tmp_path, arrays, match):
    np.savez(tmp_path / "x.npz", **arrays)
    refused(tmp_path / "x.npz", tmp_path, match, **PROTT5)


def test_npz__a_matrix_shorter_than_its_header(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, np.ones((4, 2)))
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("v.npy", buffer.getvalue()[:-8])
        buffer = io.BytesIO()
        np.save(buffer, np.array(list("abcd")))
        archive.writestr("ids.npy", buffer.getvalue())
    refused(tmp_path / "x.npz", tmp_path, "shorter than its header says", **PROTT5)


def test_npz__flipped_bits_are_noticed(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, ids=["a", "b"], v=np.full((2, 64), 1.5))
    data = bytearray(path.read_bytes())
    data[data.find(np.full(64, 1.5).tobytes()) + 6] ^= 1
    path.write_bytes(data)
    refused(path, tmp_path, "cannot be read as npz", **PROTT5)


# Any layout


@pytest.mark.parametrize("suffix", [".zarr", ".h5"])
def test_store__keeps_profile_and_presence(tmp_path, suffix):
    space = Space("Demo", 1, 2, profile="clean", checkpoint="x/y", dtype="float16")
    path = tmp_path / f"own{suffix}"
    with StoreWriter(path, ids=["a", "b", "c"], sequences=["M", "", "K"], spaces=[space], chunk_rows=2) as writer:
        writer.write(space, 0, np.eye(2), np.array([True, False]))
        writer.write(space, 2, np.ones((1, 2)))
    store = import_vectors(path, tmp_path / "copy.zarr")
    assert recognise(path) == "store"
    assert store.spaces == (space,)
    assert store.present("Demo", 1).tolist() == [True, False, True]
    assert list(store.sequences) == ["M", "", "K"]
    refused(path, tmp_path, "holds Demo layer 1", layer=0)


def test_import__read_and_written_at_once(tmp_path):
    path = fantasia_file(tmp_path / "q.h5", {"P1": {"type_1/layer_0": np.ones(2)}})
    with pytest.raises(InputError, match="read and written at once"):
        import_vectors(path, path)
    assert recognise(path) == "fantasia-hdf5"


def test_import__dtype_asked_for(tmp_path):
    path = per_protein_file(tmp_path / "x.h5", P1=np.array([1.5, 70000.0]))
    assert import_vectors(path, tmp_path / "x.zarr", dtype="float32", **PROTT5).spaces[0].dtype == "float32"
    refused(path, tmp_path, "not finite in float16", dtype="float16", **PROTT5)


@pytest.mark.parametrize("content", [b"", b"<html></html>", b"PK\x03\x04 cut", b"\x89HDF\r\n\x1a\n cut"])
def test_recognise__neither(tmp_path, content):
    path = tmp_path / "x.h5"
    path.write_bytes(content)
    with pytest.raises(InputError):
        recognise(path)
    with pytest.raises(InputError, match="does not exist"):
        recognise(tmp_path / "none")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="not a file of embeddings"):
        recognise(tmp_path / "folder")


def test_hdf5__truncated_file(tmp_path):
    path = fantasia_file(tmp_path / "q.h5", {f"P{i}": {"type_1/layer_0": np.ones(50)} for i in range(50)})
    path.write_bytes(path.read_bytes()[:-5000])
    refused(path, tmp_path, "cannot be read as")


pieces = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=5)
ids = st.lists(st.lists(pieces.filter(lambda p: p not in (".", "..")), min_size=1, max_size=3).map("/".join),
               min_size=1, max_size=8, unique=True)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids)
def test_export_and_import__any_ids(tmp_path, names):
    space = Space("ESM3c", 0, 3)
    vectors = np.arange(3 * len(names), dtype="float32").reshape(-1, 3)
    present = np.arange(len(names)) % 3 != 1
    with StoreWriter(tmp_path / "a.zarr", ids=names, sequences=["MKT"] * len(names), spaces=[space]) as writer:
        writer.write(space, 0, vectors, present)
    export_fantasia_hdf5(open_store(tmp_path / "a.zarr"), tmp_path / "a.h5")
    store = import_vectors(tmp_path / "a.h5", tmp_path / "b.zarr")
    order = [list(store.ids).index(name) for name in names]
    assert sorted(store.ids) == sorted(names)
    assert (store.present("ESM3c", 0)[order] == present).all()
    np.testing.assert_array_equal(store.vectors("ESM3c", 0).compute()[order][present], vectors[present])


@pytest.mark.parametrize("name", ["a//b", "a/", "a/./b", "a/..", "a/sequence", "a/type_3"])
def test_export__ids_that_hdf5_would_change(tmp_path, name):
    space = Space("ESM", 0, 1)
    with StoreWriter(tmp_path / "a.zarr", ids=[name], sequences=[""], spaces=[space]) as writer:
        writer.write(space, 0, np.ones((1, 1)))
    with pytest.raises(InputError, match="cannot be named"):
        export_fantasia_hdf5(open_store(tmp_path / "a.zarr"), tmp_path / "a.h5")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zarr"]


def test_export__unknown_model(tmp_path):
    space = Space("Mine", 0, 1)
    with StoreWriter(tmp_path / "a.zarr", ids=["a"], sequences=[""], spaces=[space]) as writer:
        writer.write(space, 0, np.ones((1, 1)))
    with pytest.raises(InputError, match="Mine has no number"):
        export_fantasia_hdf5(open_store(tmp_path / "a.zarr"), tmp_path / "a.h5")
