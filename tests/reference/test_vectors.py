"""Vectors brought along, put into the rows of the reference."""

from __future__ import annotations

import numpy as np
import pytest

from fantasia_dask.errors import InputError
from fantasia_dask.reference import gather_embeddings
from fantasia_dask.schema import Space
from fantasia_dask.store import StoreWriter, open_store


def store_of(path, vectors, space, sequences=None, chunk_rows=4096):
    ids = list(vectors)
    with StoreWriter(
        path, ids=ids, sequences=sequences or [""] * len(ids), spaces=[space], chunk_rows=chunk_rows
    ) as writer:
        for start in range(0, len(ids), chunk_rows):
            block = [[vectors[name]] * space.dimension for name in ids[start : start + chunk_rows]]
            writer.write(space, start, np.array(block, float))
    return open_store(path)


def test_gather__rows_by_accession_of_any_protein(tables, vectors, tmp_path):
    store = gather_embeddings(tables, vectors, tmp_path / "g.zarr")
    assert list(store.ids) == ["P1", "P2", "P4"]
    assert list(store.sequences) == ["MKTA", "MRT", "MMM"]
    # P1 has no vector of its own: that of P3, whose sequence it shares, stands for the row.
    assert store.present("Demo", 0).tolist() == [True, True, False]
    assert store.vectors("Demo", 0).compute()[:2].tolist() == [[3, 3], [2, 2]]
    assert store.spaces[0].dtype == "float16"


def test_gather__several_stores_the_first_wins(tables, vectors, tmp_path):
    more = store_of(tmp_path / "m.zarr", {"P4": 4.0, "P2": 5.0}, Space("Demo", 0, 2, dtype="float32"))
    other = store_of(tmp_path / "o.zarr", {"P1": 1.0}, Space("Other", 1, 3))
    store = gather_embeddings(tables, [vectors, more, other], tmp_path / "g.zarr")
    assert [(str(s), s.dtype) for s in store.spaces] == [("Demo layer 0", "float32"), ("Other layer 1", "float32")]
    assert store.vectors("Demo", 0).compute()[:, 0].tolist() == [3, 2, 4]
    assert store.present("Other", 1).tolist() == [True, False, False]


def test_gather__any_order_and_chunking(sources, tmp_path):
    from fantasia_dask.reference import collect

    names = [f"N{i}" for i in range(40)]
    letters = "ACDEFGHIKLMNPQRSTVWY"
    sources["fasta"].write_text(
        "".join(f">{name}\n{letters[i % 20]}{letters[i // 20]}\n" for i, name in enumerate(names))
    )
    sources["annotations"].write_text("accession\tgo_id\nN0\tGO:0000001\n")
    tables = collect(**sources)
    shuffled = np.random.default_rng(3).permutation(40)
    store = store_of(tmp_path / "s.zarr", {names[i]: float(i) for i in shuffled}, Space("Demo", 0, 2), chunk_rows=7)
    gathered = gather_embeddings(tables, store, tmp_path / "g.zarr")
    assert gathered.vectors("Demo", 0).compute()[:, 0].tolist() == list(range(40))


def test_gather__wrong_vectors(tables, vectors, tmp_path):
    out = tmp_path / "g.zarr"
    strangers = store_of(tmp_path / "a.zarr", {"X1": 1.0}, Space("Demo", 0, 2))
    with pytest.raises(InputError, match="the vectors are of 'X1' and others, the FASTA names 'P1'"):
        gather_embeddings(tables, strangers, out)
    other = store_of(tmp_path / "b.zarr", {"P2": 1.0}, Space("Demo", 0, 2), sequences=["MRTT"])
    with pytest.raises(InputError, match=r"'P2' in .* is of another sequence"):
        gather_embeddings(tables, other, out)
    longer = store_of(tmp_path / "c.zarr", {"P2": 1.0}, Space("Demo", 0, 3))
    clean = store_of(tmp_path / "d.zarr", {"P2": 1.0}, Space("Demo", 0, 2, profile="clean"))
    for store in (longer, clean):
        with pytest.raises(InputError, match="they cannot be compared"):
            gather_embeddings(tables, [vectors, store], out)
    assert not out.exists()
