"""Blocks that are pointers into a store: read ahead, only where somebody may answer, and damage is named."""

from __future__ import annotations

import numpy as np
import pytest

from fantasia_dask.errors import InputError
from fantasia_dask.lookup import nearest_neighbours
from fantasia_dask.lookup.kernel import NonFiniteVectorError, tile_hits
from fantasia_dask.schema import Space
from fantasia_dask.store import StoreWriter, open_store
from fantasia_dask.stored import StoredArray

N, D, CHUNK = 5000, 16, 512
SPACE = Space("Sim", 0, D, dtype="float16")


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(0).standard_normal((N, D)).astype("f2")


def write(path, vectors):
    ids, nothing = [f"P{i}" for i in range(len(vectors))], [""] * len(vectors)
    with StoreWriter(path, ids=ids, sequences=nothing, spaces=[SPACE], chunk_rows=CHUNK) as writer:
        for start in range(0, len(vectors), CHUNK):
            writer.write(SPACE, start, vectors[start : start + CHUNK])
    return open_store(path)


@pytest.fixture(params=[".zarr", ".h5"])
def store(request, tmp_path, vectors):
    return write(tmp_path / f"v{request.param}", vectors)


@pytest.fixture
def reads(monkeypatch):
    """Every slice that is read of a store."""
    seen = []
    original = StoredArray._fill

    def note(self, out, start):
        seen.append(slice(start, start + len(out)))
        original(self, out, start)

    monkeypatch.setattr(StoredArray, "_fill", note)
    return seen


@pytest.mark.parametrize("block_rows", [300, 2048, N])
def test_pointers__answer_like_arrays(store, vectors, block_rows):
    lazy = store.pointers("Sim", 0, block_rows)
    assert lazy.shape == (N, D)
    assert lazy.dtype == np.float16
    rows = np.r_[3:50, 4000:4100, 4990]
    queries = store.pointers("Sim", 0, 60, rows)
    keep = np.random.default_rng(1).random(N) < 0.3
    for how in ({}, {"keep": keep}):
        hits = nearest_neighbours(queries, lazy, k=4, **how).compute()
        assert hits.tobytes() == tile_hits(vectors[rows], vectors, np.arange(N), k=4, **how).tobytes()


def test_pointers__chunks_without_a_donor_are_not_read(tmp_path, vectors, reads):
    store = write(tmp_path / "v.zarr", vectors)
    keep = np.zeros(N, bool)
    keep[[700, 701, 4999]] = True
    (tmp_path / "v.zarr" / "models" / "Sim" / "layer_0" / "vectors" / "c" / "5" / "0").unlink()
    table = store.pointers("Sim", 0, N)
    hits = nearest_neighbours(store.pointers("Sim", 0, 1, np.array([0])), table, k=9, keep=keep)
    assert not reads  # to draw the graph is to read nothing
    found = hits.compute()[0]
    assert sorted(found["row"][:3]) == [700, 701, 4999]
    assert sum(s.stop - s.start for s in reads) < 1 + 2 * 2048 + CHUNK


@pytest.mark.parametrize("block_rows", [1700, 4096, N])
def test_pointers__no_chunk_is_read_twice(tmp_path, vectors, reads, block_rows):
    store = write(tmp_path / "v.zarr", vectors)
    table = store.pointers("Sim", 0, block_rows)
    nearest_neighbours(store.pointers("Sim", 0, 1, np.array([0])), table, k=2).compute()
    of_table = [index for index in reads if index != slice(0, 1)]
    assert sum(index.stop - index.start for index in of_table) == N
    # Only where two blocks of the table meet within a chunk, both of them need it.
    met = sum(row % CHUNK > 0 for row in range(block_rows, N, block_rows))
    read = [chunk for index in of_table for chunk in range(index.start // CHUNK, -(-index.stop // CHUNK))]
    assert len(read) == -(-N // CHUNK) + met


@pytest.mark.parametrize("chunk", [0, 4, 9])
def test_pointers__a_missing_chunk_is_an_error_not_a_wrong_neighbour(tmp_path, vectors, chunk):
    store = write(tmp_path / "v.zarr", vectors)
    file = tmp_path / "v.zarr" / "models" / "Sim" / "layer_0" / "vectors" / "c" / str(chunk) / "0"
    file.unlink()
    with pytest.raises(InputError, match=rf"c/{chunk}/0 is missing"):
        nearest_neighbours(store.pointers("Sim", 0, 1, np.array([600])), store.pointers("Sim", 0, N), k=1).compute()


def test_pointers__a_flipped_bit_is_an_error_not_a_wrong_neighbour(tmp_path, vectors):
    store = write(tmp_path / "v.zarr", vectors)
    file = tmp_path / "v.zarr" / "models" / "Sim" / "layer_0" / "vectors" / "c" / "3" / "0"
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"cannot be read .* damaged"):
        nearest_neighbours(store.pointers("Sim", 0, 1, np.array([0])), store.pointers("Sim", 0, N), k=1).compute()


def test_pointers__not_finite_names_the_row_of_the_table(tmp_path, vectors):
    bad = vectors.copy()
    bad[[3333, 4444], 5] = np.inf, np.nan
    store = write(tmp_path / "v.zarr", bad)
    table = store.pointers("Sim", 0, N)
    with pytest.raises(NonFiniteVectorError, match="row 3333 of the reference"):
        nearest_neighbours(store.pointers("Sim", 0, 5, np.arange(5)), table, k=1).compute()
    some = np.array([7, 3333])
    with pytest.raises(NonFiniteVectorError, match="row 3333 of the query"):
        nearest_neighbours(store.pointers("Sim", 0, 5, some), table, k=1, q_rows=some).compute()


def test_fingerprint__tells_vectors_apart_and_formats_alike(tmp_path, vectors):
    zarr, hdf5 = write(tmp_path / "v.zarr", vectors), write(tmp_path / "v.h5", vectors)
    other = vectors.copy()
    other[4321, 3] += 1
    assert zarr.fingerprint("Sim", 0) == hdf5.fingerprint("Sim", 0)
    assert zarr.fingerprint("Sim", 0) != write(tmp_path / "w.zarr", other).fingerprint("Sim", 0)
