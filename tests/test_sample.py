"""The bundled sample is what it says it is, as outside readers see it."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import fantasia_dask

SAMPLE = Path(fantasia_dask.__file__).parent / "sample"
ASPECT = {"molecular_function": "F", "biological_process": "P", "cellular_component": "C"}
CODES = ["EXP", "IDA", "IPI", "IMP", "IGI", "IEP", "TAS", "IC", "HDA"]


def read_tsv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as text:
        return list(csv.DictReader(text, delimiter="\t"))


def uniprot(name: str) -> dict[str, tuple[str, str]]:
    """Sequence and description by bare accession."""
    from Bio import SeqIO

    return {r.id.split("|")[1]: (str(r.seq), r.description) for r in SeqIO.parse(SAMPLE / name, "fasta")}


def taxon_of(description: str) -> str:
    return re.search(r" OX=(\d+) ", description).group(1)


@pytest.fixture(scope="module")
def reference():
    return uniprot("reference.fasta")


@pytest.fixture(scope="module")
def queries():
    return uniprot("queries.fasta")


@pytest.fixture(scope="module")
def annotations():
    return read_tsv(SAMPLE / "annotations.tsv")


@pytest.fixture(scope="module")
def graph():
    import obonet

    return obonet.read_obo(SAMPLE / "go.obo", ignore_obsolete=False)


@pytest.fixture(scope="module")
def families(root):
    return {r["accession"]: r["family"] for r in read_tsv(root / "tools" / "sample_records.tsv")}


def test_size():
    assert sum(f.stat().st_size for f in SAMPLE.rglob("*") if f.is_file()) < 3_000_000
    assert sum(f.stat().st_size for f in (SAMPLE / "tiny-esm2").iterdir()) < 2_000_000


def test_breadth(reference, queries, families):
    assert len(reference) >= 30
    assert len(queries) >= 10
    assert len({families[a] for a in reference}) >= 8
    assert len({taxon_of(d) for _, d in reference.values()}) >= 6
    assert {families[a] for a in queries} <= {families[a] for a in reference}
    assert "P01326" in queries, "mouse insulin"
    assert "P01308" in reference, "human insulin"


def test_queries_are_not_in_the_reference(reference, queries):
    assert not set(reference) & set(queries)
    described = {(taxon_of(d), d.split(" GN=")[1].split()[0]) for _, d in reference.values()}
    assert not described & {(taxon_of(d), d.split(" GN=")[1].split()[0]) for _, d in queries.values()}


def test_sequences_are_proteins(reference, queries):
    for sequence, _ in (*reference.values(), *queries.values()):
        assert re.fullmatch("M[ACDEFGHIKLMNPQRSTVWY]+", sequence)


def test_own_reader_agrees(reference):
    from fantasia_dask.sequences import read_fasta

    assert {p.accession.split("|")[1]: p.sequence for p in read_fasta(SAMPLE / "reference.fasta")} == {
        a: s for a, (s, _) in reference.items()
    }


def test_annotations_form(annotations, reference):
    columns = ["accession", "go_id", "evidence", "aspect", "qualifier", "taxon", "reference", "date", "assigned_by"]
    assert list(annotations[0]) == columns
    assert {r["accession"] for r in annotations} == set(reference)
    for row in annotations:
        assert re.fullmatch(r"GO:\d{7}", row["go_id"])
        assert row["evidence"] in CODES
        assert row["taxon"] == taxon_of(reference[row["accession"]][1])
        assert re.fullmatch(r"(PMID:\d+)?", row["reference"])
        assert re.fullmatch(r"20\d{6}", row["date"])
    keys = [(r["accession"], r["go_id"], r["evidence"]) for r in annotations]
    assert len(set(keys)) == len(keys)


def test_terms_are_known_with_the_right_aspect(annotations, graph):
    primary = {alt: term for term, data in graph.nodes(data=True) for alt in data.get("alt_id", [])}
    for row in annotations:
        term = primary.get(row["go_id"], row["go_id"])
        assert ASPECT[graph.nodes[term]["namespace"]] == row["aspect"]


def test_terms_to_be_replaced_occur(annotations, graph):
    used = {r["go_id"] for r in annotations}
    alternative = {alt for _, data in graph.nodes(data=True) for alt in data.get("alt_id", [])}
    obsolete = {t for t, data in graph.nodes(data=True) if data.get("is_obsolete") == "true"}
    successors = {t: graph.nodes[t].get("replaced_by", []) for t in obsolete & used}
    assert used & alternative
    assert ["GO:0005576"] in successors.values(), "obsolete, replaced"
    assert [] in successors.values(), "obsolete, not replaced"
    assert all(new in graph and new not in obsolete for news in successors.values() for new in news)


def test_graph_is_closed_with_three_roots(graph):
    import networkx

    assert all("name" in data and "namespace" in data for _, data in graph.nodes(data=True))
    assert networkx.is_directed_acyclic_graph(graph)
    current = [t for t, data in graph.nodes(data=True) if data.get("is_obsolete") != "true"]
    roots = {t for t in current if not any(kind == "is_a" for *_, kind in graph.out_edges(t, keys=True))}
    assert roots == {"GO:0003674", "GO:0008150", "GO:0005575"}
    assert {kind for *_, kind in graph.edges(keys=True)} >= {"is_a", "part_of", "regulates"}


def test_taxa_reach_the_root(reference, queries):
    import taxopy

    folder = SAMPLE / "taxonomy"
    dump = taxopy.TaxDb(
        nodes_dmp=str(folder / "nodes.dmp"), names_dmp=str(folder / "names.dmp"), merged_dmp=str(folder / "merged.dmp")
    )
    taxa = {taxon_of(d) for _, d in (*reference.values(), *queries.values())}
    for taxon in taxa:
        lineage = taxopy.Taxon(int(taxon), dump).taxid_lineage
        assert lineage[0] == int(taxon)
        assert lineage[-1] == 1
        assert len(lineage) > 5
    assert "Mammalia" in taxopy.Taxon(10090, dump).name_lineage
    assert dump.oldtaxid2newtaxid, "merged identifiers"


def test_dump_form():
    for name, fields in (("nodes", 13), ("names", 4), ("merged", 2)):
        lines = (SAMPLE / "taxonomy" / f"{name}.dmp").read_text(encoding="utf-8").splitlines()
        assert lines
        assert all(line.endswith("\t|") and len(line[:-2].split("\t|\t")) == fields for line in lines)
    assert (SAMPLE / "taxonomy" / "delnodes.dmp").read_text() == ""


def test_readme_names_the_licences():
    text = (SAMPLE / "README.md").read_text(encoding="utf-8")
    for word in ("UniProt", "Gene Ontology", "CC BY 4.0", "NCBI", "public domain", "stand-in"):
        assert word in text


@pytest.fixture(scope="module")
def encoder():
    import torch
    from transformers import EsmModel, EsmTokenizer

    folder = SAMPLE / "tiny-esm2"
    model, loading = EsmModel.from_pretrained(
        folder, add_pooling_layer=False, dtype=torch.float32, output_loading_info=True, local_files_only=True
    )
    assert not any(loading.values()), loading
    return model.eval(), EsmTokenizer.from_pretrained(folder)


def test_checkpoint_is_esm2(encoder):
    model, tokenizer = encoder
    assert model.config.position_embedding_type == "rotary"
    assert model.config.token_dropout is True
    assert model.config.emb_layer_norm_before is False
    assert model.pooler is None
    assert len(tokenizer) == model.config.vocab_size == 33
    assert tokenizer("LAGX", return_tensors="np")["input_ids"].tolist() == [[0, 4, 5, 6, 24, 2]]
    assert tokenizer.mask_token_id == model.config.mask_token_id == 32


def embed(encoder, sequence: str):
    """Mean over residues of the last layer, of length one."""
    import torch

    model, tokenizer = encoder
    with torch.inference_mode():
        states = model(**tokenizer(sequence, return_tensors="pt")).last_hidden_state[0, 1:-1]
    mean = states.mean(0)
    return (mean / mean.norm()).numpy()


def test_queries_find_relatives(encoder, reference, queries, families):
    import numpy as np

    donors = list(reference)
    table = np.stack([embed(encoder, reference[a][0]) for a in donors])
    nearest = {q: donors[int(np.argmax(table @ embed(encoder, queries[q][0])))] for q in queries}
    assert nearest["P01326"] == "P01308"
    assert {q: families[donor] for q, donor in nearest.items()} == {q: families[q] for q in queries}


def run_tool(root: Path, name: str, *arguments: Path | str) -> subprocess.CompletedProcess:
    command = [sys.executable, root / "tools" / name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_records_pass_their_check(root):
    done = run_tool(root, "check_sample.py")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.shared
def test_records_pass_their_check__real_data(root, shared):
    data = shared / "data"
    fastas = [data / "e2e/reference.fasta.gz", data / "e2e/queries.fasta.gz", data / "fasta/yeast.fasta.gz"]
    rows = ["--annotations", data / "e2e/reference_annotations.tsv.gz", "--truth", data / "e2e/truth.tsv.gz"]
    done = run_tool(root, "check_sample.py", "--fasta", *fastas, *rows)
    assert done.returncode == 0, done.stdout + done.stderr
    assert Counter(done.stdout.split("\n")[-2].split())["0"] == 1


@pytest.mark.shared
def test_files_are_made_again_alike(root, shared, tmp_path):
    data = shared / "data"
    full = ["--obo", data / "ontology/go_2024.obo.gz", "--taxonomy", data / "taxonomy"]
    done = run_tool(root, "make_sample.py", *full, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    made = [f.relative_to(tmp_path) for f in tmp_path.rglob("*") if f.is_file()]
    assert len(made) == 8
    assert [f for f in made if (tmp_path / f).read_bytes() != (SAMPLE / f).read_bytes()] == []
