"""Whole runs: what they write, that they agree with each other, and that nothing is lost."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.spatial.distance import cdist

from fantasia_dask import load_config, open_reference, open_store, pipeline, run
from fantasia_dask.cluster import connect
from fantasia_dask.errors import FantasiaWarning, InputError
from fantasia_dask.progress import Progress
from fantasia_dask.run_folder import RunFolder
from fantasia_dask.schema import HITS, OUTCOME, QUERIES, RAW_ANNOTATIONS, Space, names
from fantasia_dask.store import StoreWriter
from fantasia_dask.testing import simulate_reference, simulate_store

TIMED = {"manifest.json", "run.log", "events.jsonl", "ro-crate-metadata.json", "ledger.json"}


def contents(folder):
    """Digest of every file of a run, but for those that tell the time."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in TIMED
    }


def read_hits(folder, model, layer):
    return RunFolder(folder).read_hits(model, layer)


def test_run__the_bundled_sample(sample, sample_config, run_quietly):
    config = sample_config()
    summary = run_quietly(config)
    folder = RunFolder(config.run_folder)
    assert (summary.proteins, summary.embedded, summary.annotated) == (12, 12, 12)
    assert {line[0]: line[1] for line in summary.nearest}["sp|P01326|INS2_MOUSE"] == "P01308 INS"
    assert "12 annotated (100%)" in summary.text()
    status = pd.read_csv(folder.status, sep="\t", keep_default_na=False)
    assert list(status.columns) == names(OUTCOME)
    assert len(status) == 24
    assert set(status["status"]) == {"embedded"}
    manifest = json.loads(folder.manifest.read_text())
    assert manifest["counts"] == {
        "proteins": 12,
        "embedded": 12,
        "annotated": 12,
        "protein_term_pairs": summary.terms,
    }
    assert {"embed", "lookup", "annotate", "report"} == set(manifest["stages"])
    assert manifest["spaces"][0]["profile"] == "clean"
    for file in summary.files:
        assert file.exists()
    raw = pd.concat(pd.read_parquet(path) for path in sorted(folder.annotations.rglob("*.parquet")))
    assert list(raw.columns) == names(RAW_ANNOTATIONS)
    insulin = raw[(raw["accession"] == "sp|P01326|INS2_MOUSE") & (raw["protein_id"] == "P01308")]
    assert (insulin["identity"] > 0.7).all()
    assert list(pd.read_parquet(folder.queries).columns) == names(QUERIES)
    assert not list(folder.path.rglob("*.partial*"))
    assert load_config(folder.config) == config


def test_run__twice_changes_nothing(sample_config, run_quietly):
    config = sample_config(raw_csv=True)
    run_quietly(config)
    before = contents(config.run_folder)
    run_quietly(config)
    assert contents(config.run_folder) == before


def test_run__another_configuration_leaves_nothing_of_the_first(lookup_config, run_quietly):
    run_quietly(lookup_config(raw_csv=True))
    config = lookup_config(embedding__models__Sim__layer_index=[1], topgo=False)
    run_quietly(config)
    assert not (config.run_folder / "raw_results").exists()
    assert not (config.run_folder / "topgo").exists()
    assert [path.name for path in (config.run_folder / "hits" / "model=Sim").iterdir()] == ["layer=1"]
    assert "Sim_L0" not in (config.run_folder / "summary.csv").read_text()


def files_of(folder, *stages):
    """Every part of some stages, its bytes and when it was written."""
    parts = sorted(path for stage in stages for path in folder.glob(f"{stage}/**/part-*.parquet"))
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in parts}


def test_run__missing_parts_alone_are_made_again(lookup_config, run_quietly, monkeypatch, capsys):
    for module in ("neighbours", "terms"):
        monkeypatch.setattr(f"fantasia_dask.pipeline.{module}.PART_QUERIES", 8)
    monkeypatch.setattr("fantasia_dask.ledger.PART_QUERIES", 8)
    config = lookup_config()
    run_quietly(config)
    before = files_of(config.run_folder, "hits", "annotations")
    assert len(before) == 2 * 2 * -(-25 // 8)
    lost = [name for name in before if name.endswith(("layer=0/part-00001.parquet", "layer=1/part-00003.parquet"))]
    assert len(lost) == 4
    for name in lost:
        (config.run_folder / name).unlink()
    run_quietly(config)
    after = files_of(config.run_folder, "hits", "annotations")
    assert {name: content for name, (content, _) in after.items()} == {n: content for n, (content, _) in before.items()}
    assert {name for name in after if after[name][1] != before[name][1]} == set(lost)


def test_run__a_change_redoes_what_it_touches(lookup_config, run_quietly, capsys):
    config = lookup_config()
    run_quietly(config)
    before = files_of(config.run_folder, "hits", "annotations")
    run_quietly(lookup_config(alignments="none"))
    after = files_of(config.run_folder, "hits", "annotations")
    assert {name for name in after if after[name] != before[name]} == {n for n in before if n.startswith("annotations")}
    run_quietly(lookup_config(limit_per_entry=1, alignments="none"))
    last = files_of(config.run_folder, "hits", "annotations")
    assert not {name for name in last if last[name] == after[name]}
    log = (config.run_folder / "run.log").read_text()
    assert "lookup in Sim layer 0 starts anew: limit_per_entry changed" in log


def test_run__a_damaged_part_is_named(lookup_config, run_quietly):
    config = lookup_config()
    run_quietly(config)
    part = RunFolder(config.run_folder).hits("Sim", 0) / "part-00000.parquet"
    damaged = bytearray(part.read_bytes())
    damaged[4:200:7] = bytes(byte ^ 0xFF for byte in damaged[4:200:7])
    part.write_bytes(bytes(damaged))
    with pytest.raises(InputError, match=r"part-00000.parquet cannot be read .* delete it"):
        run_quietly(config)


def test_run__hdf5_gives_the_same(sample_config, run_quietly):
    ours, theirs = sample_config(prefix="zarr"), sample_config(prefix="hdf5", embedding__format="hdf5")
    run_quietly(ours)
    run_quietly(theirs)
    assert (theirs.run_folder / "embeddings.h5").is_file()
    assert not (theirs.run_folder / "embeddings.zarr").exists()
    assert (ours.run_folder / "summary.csv").read_bytes() == (theirs.run_folder / "summary.csv").read_bytes()
    pd.testing.assert_frame_equal(
        read_hits(ours.run_folder, "Tiny-ESM2", 0), read_hits(theirs.run_folder, "Tiny-ESM2", 0)
    )


def test_run__its_own_vectors_looked_up_again(sample_config, run_quietly, client):
    whole = sample_config(prefix="whole")
    run_quietly(whole)
    embedded = sample_config(prefix="embedded", only_embedding=True, reference=None)
    summary = run_quietly(embedded)
    assert summary.annotated == 0
    assert not summary.looked_up
    assert "GO term" not in summary.text()
    assert not (embedded.run_folder / "hits").exists()
    again = sample_config(prefix="again", only_lookup=True, input=str(embedded.run_folder / "embeddings.zarr"))
    run_quietly(again)
    assert (again.run_folder / "summary.csv").read_bytes() == (whole.run_folder / "summary.csv").read_bytes()


def test_run__every_protein_is_accounted_for(sample, sample_config, run_quietly, tmp_path):
    """Empty, over-cut, unreadable and ordinary proteins, with awkward names, each end in a row."""
    fasta = tmp_path / "ugly.fasta"
    first = (sample / "queries.fasta").read_text()
    fasta.write_text(f"{first}>../../x\n\n>A/B\nMK*T\n>abc\nMKT\n>ABC\nMKT\n>NA\nmkt\n>00123\nMK7T\n>=cmd()\nM\n")
    config = sample_config(input=str(fasta), invalid_proteins="skip", embedding__max_sequence_length=50, raw_csv=True)
    summary = run_quietly(config)
    assert summary.proteins == 19
    assert dict(summary.failures) == {
        "../../x": "the sequence is empty",
        "00123": "has '7' at residue 3: only amino-acid letters are read",
    }
    status = pd.read_csv(config.run_folder / "status.tsv", sep="\t", dtype=str, keep_default_na=False)
    assert status.loc[status["layer"] == "0", "accession"].tolist()[12:] == [
        "../../x",
        "A/B",
        "abc",
        "ABC",
        "NA",
        "00123",
        "=cmd()",
    ]
    assert set(status["status"]) == {"embedded", "truncated", "failed"}
    table = pd.read_csv(config.run_folder / "summary.tsv", sep="\t", dtype=str, keep_default_na=False)
    assert {"A/B", "abc", "ABC", "NA", "=cmd()"} <= set(table["accession"])
    files = [path.relative_to(config.run_folder) for path in (config.run_folder / "raw_results").rglob("*.csv")]
    assert len(files) == 17 * 2
    assert all(len(path.parts) == 4 for path in files)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("dtype_layer", [0, 1])
def test_run__hits_are_those_of_scipy(simulated, lookup_config, run_quietly, metric, dtype_layer):
    config = lookup_config(embedding__distance_metric=metric)
    run_quietly(config)
    queries = open_store(simulated / "queries.zarr").vectors("Sim", dtype_layer).compute().astype("f8")
    donors = open_reference(simulated / "reference").vectors("Sim", dtype_layer).compute().astype("f8")
    table = cdist(queries, donors, metric)
    order = np.argsort(table, axis=1, kind="stable")[:, :3]
    hits = read_hits(config.run_folder, "Sim", dtype_layer)
    assert list(hits.columns) == names(HITS)
    np.testing.assert_array_equal(hits["row"].to_numpy().reshape(25, 3), order)
    np.testing.assert_allclose(hits["distance"].to_numpy().reshape(25, 3), np.take_along_axis(table, order, 1))


def test_run__same_answer_on_any_cluster(lookup_config, run_quietly, tmp_path):
    """In this process, in two processes, and on a scheduler and worker that run already."""
    runs = {name: lookup_config(prefix=name) for name in ("threads", "processes", "running")}
    run_quietly(runs["threads"])
    with connect("local", workers=2, threads_per_worker=1) as client:
        run_quietly(runs["processes"], client=client)
    file = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    scheduler = [
        *dask,
        "scheduler",
        "--scheduler-file",
        str(file),
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-dashboard",
    ]
    worker = [
        *dask,
        "worker",
        "--scheduler-file",
        str(file),
        "--nthreads",
        "1",
        "--no-dashboard",
        "--host",
        "127.0.0.1",
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(scheduler, **quiet) as one, subprocess.Popen(worker, cwd=tmp_path, **quiet) as other:
        try:
            while not file.exists():
                assert one.poll() is None
                time.sleep(0.1)
            joined = lookup_config(prefix="running", cluster={"kind": "scheduler_file", "scheduler_file": str(file)})
            run(joined, progress=Progress(quiet=True))
            assert one.poll() is None, "a cluster that we did not start is left running"
            assert other.poll() is None
        finally:
            other.terminate()
            one.terminate()
    results = [contents(config.run_folder) for config in runs.values()]
    for result in results:
        del result["config.yaml"], result["exports/fantasia_dask_mqc.json"]  # they hold the name of the run
    assert results[0] == results[1] == results[2]


def test_run__a_given_client_stays_open(lookup_config, run_quietly, client):
    run_quietly(lookup_config())
    assert client.submit(sum, [1, 2]).result() == 3


def test_run__threshold_and_taxa(simulated, lookup_config, run_quietly):
    plain, near = (
        lookup_config(prefix="plain"),
        lookup_config(prefix="near", embedding__models__Sim__distance_threshold=0.05),
    )
    run_quietly(plain)
    run_quietly(near)
    everything, close = (read_hits(config.run_folder, "Sim", 0) for config in (plain, near))
    pd.testing.assert_frame_equal(close, everything[everything["distance"] <= 0.05].reset_index(drop=True))
    status = pd.read_csv(near.run_folder / "status.tsv", sep="\t", keep_default_na=False)
    assert (status.loc[status["neighbours"] == 0, "reason"] == "no donor within distance 0.05").all()
    taxon = open_reference(simulated / "reference").proteins.set_index("row")["taxon"]
    without = lookup_config(prefix="without", taxonomy_ids_to_exclude=[9606, "10090"])
    run_quietly(without)
    assert set(taxon[read_hits(without.run_folder, "Sim", 0)["row"]]) == {559292}
    only = lookup_config(prefix="only", taxonomy_ids_included_exclusively=[9606], taxonomy_ids_to_exclude=[9606])
    run_quietly(only)
    assert set(taxon[read_hits(only.run_folder, "Sim", 0)["row"]]) == {9606}
    with pytest.raises(InputError, match="taxonomy_dump"):
        run_quietly(lookup_config(prefix="below", taxonomy_ids_to_exclude=[4751], get_descendants=True))
    nobody = lookup_config(prefix="nobody", taxonomy_ids_included_exclusively=[1])
    with pytest.raises(InputError, match="passes the taxonomy filter"), pytest.warns(match="taxon 1 is of no protein"):
        run_quietly(nobody)
    assert not nobody.run_folder.exists()


def test_run__more_neighbours_than_donors(lookup_config, run_quietly):
    config = lookup_config(limit_per_entry=500)
    run_quietly(config)
    assert len(read_hits(config.run_folder, "Sim", 0)) == 25 * 60


def test_run__a_reference_built_anew_in_the_same_place(simulated, lookup_config, run_quietly, tmp_path):
    """Workers that outlive a reference take nothing from the old one."""
    home = tmp_path / "reference"
    shutil.copytree(simulated / "reference", home)
    config = lookup_config(reference=str(home), alignments="none")
    run_quietly(config)
    before = pd.read_csv(config.run_folder / "consensus.tsv", sep="\t")
    shutil.rmtree(home)
    simulate_reference(home, 60, open_reference(simulated / "reference").spaces, taxa=(4932,))
    run_quietly(config)
    rows = pd.read_parquet(config.run_folder / "annotations", columns=["organism"])
    assert set(rows["organism"]) == {"species 4932"}
    assert len(before) == len(pd.read_csv(config.run_folder / "consensus.tsv", sep="\t"))


def test_run__a_reference_replaced_while_it_is_read(simulated, lookup_config, run_quietly, tmp_path, monkeypatch):
    home, annotate = tmp_path / "reference", pipeline.annotate
    shutil.copytree(simulated / "reference", home)

    def meanwhile(*arguments):
        shutil.rmtree(home)
        simulate_reference(home, 60, open_reference(simulated / "reference").spaces, taxa=(4932,))
        return annotate(*arguments)

    config = lookup_config(reference=str(home))
    monkeypatch.setattr(pipeline, "annotate", meanwhile)
    with pytest.raises(InputError, match=r"reference was replaced while it was read: give the same command again\.$"):
        run_quietly(config)
    monkeypatch.setattr(pipeline, "annotate", annotate)
    run_quietly(config)
    rows = pd.read_parquet(config.run_folder / "annotations", columns=["organism"])
    assert set(rows["organism"]) == {"species 4932"}


def test_run__nothing_of_a_replaced_reference_is_kept_as_finished(
    simulated, lookup_config, run_quietly, tmp_path, monkeypatch
):
    """Even where the other one could be read in its place."""
    home, other, annotate = tmp_path / "reference", tmp_path / "other", pipeline.annotate
    for copy in (home, other):
        shutil.copytree(simulated / "reference", copy)
    checksums = other / "checksums.json"
    checksums.write_text(checksums.read_text() + "\n")

    def meanwhile(*arguments):
        home.rename(tmp_path / "first")
        other.rename(home)
        return annotate(*arguments)

    config = lookup_config(reference=str(home))
    monkeypatch.setattr(pipeline, "annotate", meanwhile)
    with pytest.raises(InputError, match="was replaced while it was read"):
        run_quietly(config)
    assert not list((config.run_folder / "annotations").rglob("*.parquet"))


def test_run__a_newer_ontology(simulated, lookup_config, run_quietly, tmp_path):
    """Terms of the reference that the given release has replaced or dropped follow it."""
    stanzas = [f"[Term]\nid: GO:{i:07d}\nname: newer {i}\nnamespace: molecular_function\n" for i in range(2, 10)]
    stanzas.append("[Term]\nid: GO:0000000\nname: obsolete\nis_obsolete: true\nreplaced_by: GO:0000003\n")
    obo = tmp_path / "newer.obo"
    obo.write_text("format-version: 1.2\ndata-version: newer\n\n" + "\n".join(stanzas))
    config = lookup_config(ontology=str(obo))
    with pytest.warns(FantasiaWarning, match="have no current term"):
        run_quietly(config)
    raw = pd.concat(pd.read_parquet(path) for path in config.run_folder.glob("annotations/**/*.parquet"))
    assert set(raw["go_id"]) == {f"GO:{i:07d}" for i in range(2, 10)}
    assert (raw["go_description"] == "newer " + raw["go_id"].str[-1]).all()
    assert set(raw["category"]) == {"MF"}


def test_run__layer_missing_from_the_reference(lookup_config, run_quietly, tmp_path, simulated):
    simulate_reference(tmp_path / "one_layer", 20, (Space("Sim", 0, 32, "clean", "sim", "r1"),))
    config = lookup_config(reference=str(tmp_path / "one_layer"))
    with pytest.warns(FantasiaWarning, match="has no vectors of Sim layer 1: no donor is found there"):
        summary = run_quietly(config)
    assert summary.annotated == 25
    status = pd.read_csv(config.run_folder / "status.tsv", sep="\t", keep_default_na=False)
    silent = status[status["layer"] == 1]
    assert set(silent["reason"]) == {"the reference has no vectors of this model and layer"}
    assert "warning: reference" in (config.run_folder / "run.log").read_text()


def test_run__reference_without_any_of_the_spaces(lookup_config, run_quietly, tmp_path):
    simulate_reference(tmp_path / "other", 20, (Space("Other", 0, 8, "clean"),))
    config = lookup_config(reference=str(tmp_path / "other"))
    with pytest.warns(FantasiaWarning, match="has no vectors of Sim layer"):
        summary = run_quietly(config)
    assert summary.annotated == 0
    assert (config.run_folder / "summary.csv").read_text().startswith("accession,go_id")


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (Space("Sim", 0, 32, "pis-3.1"), "pooled with profile clean in Sim layer 0, reference .* with pis-3.1"),
        (Space("Sim", 0, 31, "clean"), "queries have 32 dimensions in Sim layer 0, reference .* has 31"),
    ],
)
def test_run__vectors_that_do_not_compare(lookup_config, run_quietly, tmp_path, space, message):
    simulate_reference(tmp_path / "other", 20, (space,))
    config = lookup_config(reference=str(tmp_path / "other"))
    with pytest.raises(InputError, match=message):
        run_quietly(config)
    assert not config.run_folder.exists()


def test_run__another_profile_is_refused_before_anything_is_embedded(sample_config, run_quietly):
    config = sample_config(embedding__profile="pis-3.1")
    with pytest.raises(InputError, match=r"profile pis-3.1 in Tiny-ESM2 layer 0, reference .* with clean"):
        run_quietly(config)
    assert not config.run_folder.exists()


def test_run__another_checkpoint_is_said(lookup_config, run_quietly, tmp_path):
    simulate_reference(tmp_path / "other", 20, (Space("Sim", 0, 32, "clean", "sim", "r2"),))
    with pytest.warns(FantasiaWarning, match=r"different checkpoints of Sim layer 0 \(sim at r1, sim at r2\)"):
        run_quietly(lookup_config(reference=str(tmp_path / "other"), embedding__models__Sim__layer_index=[0]))


@pytest.mark.parametrize("side", ["query", "reference"])
def test_run__not_a_number_in_a_vector(lookup_config, run_quietly, tmp_path, simulated, side):
    """The damage is named by model, layer, row and protein; nothing of the lookup is left."""
    space = Space("Sim", 0, 32, "clean", "sim", "r1")
    vectors = np.ones((5, 32), "f4")
    vectors[3, 1] = np.nan
    ids = [f"P{i}" for i in range(5)]
    with StoreWriter(tmp_path / "bad.zarr", ids=ids, sequences=["MKT"] * 5, spaces=[space]) as writer:
        writer.write(space, 0, vectors)
    if side == "query":
        config = lookup_config(input=str(tmp_path / "bad.zarr"), embedding__models__Sim__layer_index=[0])
        name = "P3"
    else:
        simulate_reference(tmp_path / "reference", 5, (space,))
        store = tmp_path / "reference" / "embeddings.zarr"
        name = open_store(store).ids[3]
        with StoreWriter(store, ids=open_store(store).ids.tolist(), sequences=["MKT"] * 5, spaces=[space]) as writer:
            writer.write(space, 0, vectors)
        config = lookup_config(reference=str(tmp_path / "reference"), embedding__models__Sim__layer_index=[0])
    with pytest.raises(InputError, match=rf"'{name}' .*Sim layer 0, row 3\) holds NaN or infinity"):
        run_quietly(config)
    assert not list(config.run_folder.glob("hits/model=*/*/part-*"))


def test_run__vectors_of_another_tool(lookup_config, run_quietly, tmp_path):
    """One dataset per protein, as UniProt ships them: the model and layer are those asked for."""
    import h5py

    queries = simulate_store(tmp_path / "q.zarr", 6, (Space("Sim", 0, 32),))
    vectors = queries.vectors("Sim", 0).compute()
    with h5py.File(tmp_path / "per-protein.h5", "w") as file:
        for name, vector in zip(queries.ids, vectors, strict=True):
            file[name] = vector
    config = lookup_config(input=str(tmp_path / "per-protein.h5"), embedding__models__Sim__layer_index=[0])
    assert run_quietly(config).annotated == 6
    ambiguous = lookup_config(prefix="ambiguous", input=str(tmp_path / "per-protein.h5"))
    with pytest.raises(InputError, match="does not say which model"):
        run_quietly(ambiguous)
    assert not ambiguous.run_folder.exists()


def test_run__an_input_that_cannot_be_looked_up(sample, sample_config, run_quietly):
    with pytest.raises(InputError, match="is not a file of vectors"):
        run_quietly(sample_config(only_lookup=True))
    config = sample_config(only_embedding=True, input=str(sample / "reference" / "embeddings.zarr"))
    with pytest.raises(InputError, match="holds vectors, and only_embedding is true"):
        run_quietly(config)


def test_run__resolved_configuration_is_plain_yaml(lookup_config, run_quietly):
    config = lookup_config()
    run_quietly(config)
    assert yaml.safe_load((config.run_folder / "config.yaml").read_text())["limit_per_entry"] == 3


@pytest.mark.parametrize("mode", ["clusters", "identity"])
def test_run__no_query_is_answered_by_its_own_copy(simulated, lookup_config, run_quietly, tmp_path, mode):
    space = Space("Sim", 0, 32, "clean", "sim", "r1")
    simulate_reference(tmp_path / "copies", 25, (space,), seed=7)  # the proteins and vectors of the queries
    settings = {"reference": str(tmp_path / "copies"), "embedding__models__Sim__layer_index": [0]}
    run_quietly(lookup_config(prefix="all", **settings))
    assert (read_hits(tmp_path / "experiments" / "all", "Sim", 0).query("rank == 1")["distance"] == 0).all()
    filtered = lookup_config(
        prefix="filtered", redundancy_filter=0.9, alignment_coverage=0.8, redundancy_mode=mode, **settings
    )
    run_quietly(filtered)
    hits = read_hits(filtered.run_folder, "Sim", 0)
    assert len(hits) == 25 * 3
    assert (hits["query"] != hits["row"]).all()
    cache = list((tmp_path / "cache" / "redundancy").iterdir())
    assert len(cache) == 1
    run_quietly(filtered)
    pd.testing.assert_frame_equal(read_hits(filtered.run_folder, "Sim", 0), hits)


def test_run__redundancy_needs_sequences(lookup_config, run_quietly, tmp_path):
    space = Space("Sim", 0, 32, "clean", "sim", "r1")
    with StoreWriter(tmp_path / "bare.zarr", ids=["A"], sequences=[""], spaces=[space]) as writer:
        writer.write(space, 0, np.ones((1, 32), "f4"))
    config = lookup_config(
        input=str(tmp_path / "bare.zarr"), redundancy_filter=0.9, embedding__models__Sim__layer_index=[0]
    )
    with pytest.raises(InputError, match="'A' has a vector but no sequence"):
        run_quietly(config)


def test_run__descendants_by_the_lineages_of_the_reference(sample_config, run_quietly, sample):
    """The bundled reference keeps its taxa's lineages: no dump is needed to leave out the fungi."""
    config = sample_config(taxonomy_ids_to_exclude=["Fungi", 9606], get_descendants=True)
    run_quietly(config)
    taxa = open_reference(sample / "reference").proteins.set_index("row")["taxon"]
    found = set(taxa[read_hits(config.run_folder, "Tiny-ESM2", 0)["row"]])
    assert found
    assert not found & {559292, 9606}
