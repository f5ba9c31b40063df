"""Zarr and HDF5 behave alike; what is damaged is never read in silence."""

from __future__ import annotations

import pickle

import dask.array as da
import h5py
import numpy as np
import pytest
import zarr

from fantasia_dask.errors import InputError
from fantasia_dask.schema import Space
from fantasia_dask.store import StoreWriter, open_store, sequence_digest

SPACE = Space("Prot-T5", 0, 12, profile="clean", checkpoint="a/b", revision="c0ffee", dtype="float16")
OTHER = Space("ESM", 3, 5)
IDS = ["P1", "sp|P2|X/Y", "../../etc", "é\tü", "NA", "00123", "x" * 5000]
SEQUENCES = ["MKT", "", "A" * 35_000, "MKT", "M", "MM", "X"]


@pytest.fixture(params=["zarr", "h5"])
def path(request, tmp_path):
    return tmp_path / f"embeddings.{request.param}"


@pytest.fixture
def vectors():
    return np.random.default_rng(0).standard_normal((len(IDS), 12)).astype("f2")


@pytest.fixture
def store(path, vectors):
    with StoreWriter(
        path, ids=IDS, sequences=SEQUENCES, spaces=[SPACE, OTHER], chunk_rows=3, attributes={"note": "hello"}
    ) as writer:
        for start in (3, 6, 0):
            here = np.arange(start, min(start + 3, len(IDS))) != 4
            writer.write(SPACE, start, vectors[start : start + 3], here)
            writer.write(OTHER, start, np.full((len(here), 5), start, "f4"))
    return open_store(path)


def test_store_writer__names_that_no_file_holds(path):
    half = pytest.raises(InputError, match=r"protein 'P.ud800' has half a surrogate pair")
    with half, StoreWriter(path, ids=["P\ud800"], sequences=[""], spaces=[SPACE]):
        pytest.fail("no text")
    if path.suffix == ".h5":
        nul = pytest.raises(InputError, match=r"protein 'P.x00' has a NUL in its name, which HDF5 cannot hold")
        with nul, StoreWriter(path, ids=["P\0"], sequences=[""], spaces=[SPACE]):
            pytest.fail("the name would be cut")
    else:
        with StoreWriter(path, ids=["P\0"], sequences=[""], spaces=[SPACE]):
            pass
        assert open_store(path).ids.tolist() == ["P\0"]


def test_open_store__everything_comes_back(store, vectors):
    assert list(store.ids) == IDS
    assert list(store.sequences) == SEQUENCES
    assert store.lengths.tolist() == [len(s) for s in SEQUENCES]
    assert list(store.digests) == [sequence_digest(s) if s else "" for s in SEQUENCES]
    assert set(store.spaces) == {SPACE, OTHER}
    assert store.attributes == {"note": "hello"}
    assert store.present("Prot-T5", 0).tolist() == [True] * 4 + [False] + [True] * 2
    lazy = store.vectors("Prot-T5", 0)
    assert isinstance(lazy, da.Array)
    assert (lazy.shape, lazy.dtype, lazy.chunks[0]) == ((7, 12), np.dtype("f2"), (3, 3, 1))
    found = lazy.compute()
    expected = vectors.copy()
    expected[4] = np.nan
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(store.vectors("Prot-T5", 0, block_rows=4)[2:6].compute(), expected[2:6])
    assert "7 proteins" in repr(store)


def test_stored__travels_as_a_pointer(store):
    pointer = store.stored("ESM", 3)
    assert len(pickle.dumps(pointer)) < 1000
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(pointer))[0:3], np.zeros((3, 5)))


def test_vectors__equal_pointers_get_equal_names(store, path):
    assert store.vectors("ESM", 3).name == open_store(path).vectors("ESM", 3).name
    assert store.vectors("ESM", 3).name != store.vectors("Prot-T5", 0).name


@pytest.mark.parametrize("suffix", ["zarr", "h5"])
def test_store__without_proteins(tmp_path, suffix):
    with StoreWriter(tmp_path / f"e.{suffix}", ids=[], sequences=[], spaces=[OTHER]):
        pass
    store = open_store(tmp_path / f"e.{suffix}")
    assert len(store) == 0
    assert store.vectors("ESM", 3).compute().shape == (0, 5)


def test_store_writer__a_failure_leaves_the_old_store_and_nothing_else(store, path, tmp_path):
    with pytest.raises(ZeroDivisionError), StoreWriter(path, ids=["A"], sequences=["M"], spaces=[OTHER]):
        1 / 0  # noqa: B018
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert list(open_store(path).ids) == IDS


def test_store_writer__a_chunk_without_any_vector_is_no_damage(path):
    with StoreWriter(path, ids=IDS, sequences=SEQUENCES, spaces=[OTHER], chunk_rows=3) as writer:
        for start in (0, 3, 6):
            block = np.zeros((min(3, len(IDS) - start), 5), "f4")
            writer.write(OTHER, start, block, np.full(len(block), start == 6))
    store = open_store(path)
    assert store.present("ESM", 3).tolist() == [False] * 6 + [True]
    assert np.isnan(store.stored("ESM", 3)[0:6]).all()
    assert store.fingerprint("ESM", 3)


def test_store_writer__partial_chunks_are_refused(path):
    with (
        pytest.raises(ValueError, match="whole chunks"),
        StoreWriter(path, ids=["A"] * 7, sequences=[""] * 7, spaces=[OTHER], chunk_rows=3) as writer,
    ):
        writer.write(OTHER, 1, np.ones((3, 5)))
    with (
        pytest.raises(ValueError, match="whole chunks"),
        StoreWriter(path, ids=["A"] * 7, sequences=[""] * 7, spaces=[OTHER], chunk_rows=3) as writer,
    ):
        writer.write(OTHER, 0, np.ones((2, 5)))


def test_space__unknown_names_what_is_there(store):
    with pytest.raises(InputError, match="no vectors of ESM layer 2: it holds ESM layer 3, Prot-T5 layer 0"):
        store.space("ESM", 2)
    assert not store.has("ESM", 2)


def test_open_store__not_a_store(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        open_store(tmp_path / "nothing.zarr")
    (tmp_path / "text.h5").write_text("hello")
    zarr.open_group(tmp_path / "other.zarr", mode="w")
    h5py.File(tmp_path / "other.h5", "w").close()
    for name in ("text.h5", "other.zarr", "other.h5"):
        with pytest.raises(InputError, match="is not a store"):
            open_store(tmp_path / name)


def test_open_store__newer_format(store, path):
    if path.suffix == ".zarr":
        zarr.open_group(path, mode="r+").attrs["encoding-version"] = "99"
    else:
        with h5py.File(path, "r+") as file:
            file.attrs["encoding-version"] = "99"
    with pytest.raises(InputError, match="format version 99"):
        open_store(path)


def flip(file, find):
    """Change one byte inside the data `find` of a file."""
    content = bytearray(file.read_bytes())
    at = content.index(find) + len(find) // 2
    content[at] ^= 0x10
    file.write_bytes(content)


def test_vectors__a_flipped_bit_is_noticed(store, path, vectors):
    raw = vectors[:3].tobytes()
    flip(path / "models/Prot-T5/layer_0/vectors/c/0/0" if path.suffix == ".zarr" else path, raw)
    with pytest.raises(InputError, match="cannot be read"):
        store.vectors("Prot-T5", 0).compute()


def test_vectors__a_deleted_chunk_is_noticed(tmp_path, vectors):
    path = tmp_path / "e.zarr"
    with StoreWriter(path, ids=IDS, sequences=SEQUENCES, spaces=[SPACE], chunk_rows=3) as writer:
        for start in (0, 3, 6):
            writer.write(SPACE, start, vectors[start : start + 3])
    (path / "models/Prot-T5/layer_0/vectors/c/1/0").unlink()
    lazy = open_store(path).vectors("Prot-T5", 0)
    with pytest.raises(InputError, match=r"c/1/0 is missing"):
        lazy.compute()
    assert lazy[:3].compute().shape == (3, 12)


def test_vectors__a_truncated_file_is_noticed(store, path):
    file = path / "models/Prot-T5/layer_0/vectors/c/0/0" if path.suffix == ".zarr" else path
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(InputError, match=r"cannot be read|is not a store|missing"):
        open_store(path).vectors("Prot-T5", 0).compute()
