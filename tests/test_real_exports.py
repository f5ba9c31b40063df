"""Every export of a real run, 4,303 proteins against yeast and E. coli, read back by somebody else's reader."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from Bio import SeqIO
from Bio.UniProt import GOA

from fantasia_dask import open_reference, write_report
from fantasia_dask.annotate.ontology import Ontology
from fantasia_dask.progress import Progress
from fantasia_dask.run_folder import EXPORTS

pytestmark = pytest.mark.shared

EVERYTHING = (
    *("consensus", "gaf", "gpad", "clusterprofiler", "goatools", "goslim", "multiqc", "ro-crate", "cafa", "raw-tsv"),
)


def read(path):
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, quoting=3)


def digests(folder):
    tops = {name.split("/")[0] for files in EXPORTS.values() for name in files}
    files = (path for name in sorted(tops) for path in sorted([folder / name, *(folder / name).rglob("*")]))
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files if p.is_file()}


@pytest.fixture(scope="module")
def reference(fmax, shared, tmp_path_factory):
    return fmax.make_reference(shared / "data", tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="module")
def run(fmax, shared, reference, tmp_path_factory):
    """The run folder, after a report with all exports."""
    folder = fmax.look_up(shared / "data", tmp_path_factory.mktemp("run"), reference, 5)
    slim = str(shared / "data" / "ontology" / "goslim_generic.obo")
    write_report(folder.path, {"exports": EVERYTHING, "postprocess.slim": slim}, progress=Progress(quiet=True))
    return folder.path


@pytest.fixture(scope="module")
def pairs(run):
    """What the consensus says: pairs of protein and term, the roots apart."""
    consensus = read(run / "consensus.tsv")
    roots = {"GO:0008150", "GO:0003674", "GO:0005575"}
    return {
        (a, go_id) for a, go_id in zip(consensus["accession"], consensus["go_id"], strict=True) if go_id not in roots
    }


def test_consensus__as_counted_from_the_raw_rows(run, pairs):
    raw = pd.read_parquet(run / "annotations", columns=["accession", "go_id", "protein_id", "reliability_index"])
    consensus = read(run / "consensus.tsv").set_index(["accession", "go_id"])
    best = raw.groupby(["accession", "go_id"])["reliability_index"].max()
    donors = raw.groupby(["accession", "go_id"])["protein_id"].nunique()
    assert len(pairs) > 60_000
    assert consensus.index.is_unique
    assert set(consensus.index) == set(best.index)
    assert (consensus["best_reliability"].astype(float) - best).abs().max() < 1e-4
    assert (consensus["donors"].astype(int) == donors[consensus.index]).all()
    with gzip.open(run / "annotations.tsv.gz", "rt", encoding="utf-8", newline="") as file:
        assert sum(1 for _ in file) == len(raw) + 1


def test_gaf__biopython(run, pairs):
    text = (run / "exports" / "annotations.gaf").read_text(encoding="utf-8").replace("version: 2.2", "version: 2.1", 1)
    copy = run.parent / "as_2.1.gaf"
    copy.write_text(text, encoding="utf-8")
    with copy.open(encoding="utf-8") as file:
        records = list(GOA.gafiterator(file))
    assert {(record["DB_Object_ID"], record["GO_ID"]) for record in records} == pairs
    assert len(records) == len(pairs)
    assert {record["Qualifier"][0] for record in records} == {"enables", "involved_in", "located_in", "part_of"}
    assert all(donor.startswith("UniProtKB:") for record in records for donor in record["With"])


GOATOOLS = """
import json, sys
from goatools.anno.gaf_reader import GafReader
from goatools.anno.idtogos_reader import IdToGosReader
gaf = {(note.DB_ID, note.GO_ID) for note in GafReader(sys.argv[1]).associations}
ids = IdToGosReader(sys.argv[2]).get_id2gos_nss()
print("RESULT", json.dumps([sorted(gaf), sorted((gene, go) for gene, gos in ids.items() for go in gos)]))
"""


def test_gaf_and_associations__goatools(run, pairs):
    pytest.importorskip("goatools", reason="goatools is not installed")
    files = [str(run / "exports" / name) for name in ("annotations.gaf", "goatools.tsv")]
    command = [sys.executable, "-W", "ignore", "-c", GOATOOLS, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    gaf, associations = (set(map(tuple, found)) for found in json.loads(line.removeprefix("RESULT ")))
    assert gaf == pairs
    assert associations >= pairs
    consensus = read(run / "consensus.tsv")
    assert associations == set(zip(consensus["accession"], consensus["go_id"], strict=True))


def test_gpad__same_annotations(run, pairs):
    lines = [line.split("\t") for line in (run / "exports" / "annotations.gpad").read_text().splitlines()]
    assert {(line[0].removeprefix("LOCAL:"), line[3]) for line in lines if not line[0].startswith("!")} == pairs


def test_clusterprofiler__closure_of_networkx(run, reference, pairs):
    import networkx as nx

    terms = read(run / "exports" / "clusterprofiler" / "term2gene.tsv")
    named = read(run / "exports" / "clusterprofiler" / "term2name.tsv")
    assert set(named["term"]) == set(terms["term"])
    assert (named["name"] != "").all()
    bundle = open_reference(reference)
    edges = bundle.relations[bundle.relations["relation"].isin(["is_a", "part_of"])]
    graph = nx.DiGraph(zip(edges["child"], edges["parent"], strict=True))
    direct = pd.DataFrame(sorted(pairs), columns=["gene", "term"]).groupby("gene")["term"].agg(set)
    closed = terms.groupby("gene")["term"].agg(set)
    for gene in direct.index[::97]:
        above = set().union(*(nx.descendants(graph, term) for term in direct[gene] if term in graph))
        assert closed[gene] >= direct[gene] | above
        assert closed[gene] - (direct[gene] | above) <= {"GO:0008150", "GO:0003674", "GO:0005575"}


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="needs R (Debian: r-base-core)")
def test_topgo__read_by_r(run):
    code = """
    table <- read.delim(commandArgs(TRUE)[1], header = FALSE, quote = "", sep = "\\t", colClasses = "character")
    terms <- strsplit(table[, 2], ",")
    cat(nrow(table), length(unique(table[, 1])), sum(lengths(terms)), all(grepl("^ ?GO:[0-9]{7}$", unlist(terms))))
    """
    file = run / "topgo" / "ensemble" / "BP.map"
    command = ["Rscript", "--vanilla", "-e", code, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    consensus = read(run / "consensus.tsv").query("category == 'BP'")
    genes = consensus["accession"].nunique()
    assert done.stdout.split() == [str(genes), str(genes), str(len(consensus)), "TRUE"]


def test_goslim__as_an_independent_count(run, reference, shared, pairs):
    counts = read(run / "exports" / "goslim.tsv").set_index("go_id")["proteins"].astype(int)
    text = (shared / "data" / "ontology" / "goslim_generic.obo").read_text()
    bundle = open_reference(reference)
    ontology = Ontology(bundle.terms, bundle.relations)
    slim = {line.removeprefix("id: ") for line in text.splitlines() if line.startswith("id: GO:")}
    assert set(counts.index) == {ontology.current(go_id) for go_id in slim} - {None}
    closed = read(run / "exports" / "clusterprofiler" / "term2gene.tsv").groupby("term")["gene"].nunique()
    # A term of the slim counts every protein that has it or a term below it, whatever else of the slim is below.
    assert len(counts) > 100
    assert counts.to_dict() == {go_id: closed.get(go_id, 0) for go_id in counts.index}


def test_cafa__as_good_as_the_benchmark(run, fmax, shared, reference):
    names = ["accession", "go_id", "score"]
    scores = pd.read_csv(run / "exports" / "cafa.tsv", sep="\t", names=names, keep_default_na=False)
    assert scores["score"].between(0.001, 1).all()
    aspect = open_reference(reference).terms.set_index("go_id")["aspect"]
    scores["aspect"] = scores["go_id"].map(aspect)
    data = shared / "data"
    found = fmax.weighted_fmax(scores, fmax.read_truth(data), fmax.read_information(data))
    print(f"weighted Fmax of cafa.tsv: {found}")
    assert found["F"] >= 0.29
    assert found["P"] >= 0.155
    assert found["C"] >= 0.385


def test_crate__rocrate(run):
    rocrate = pytest.importorskip("rocrate.rocrate", reason="rocrate is not installed")
    crate = rocrate.ROCrate(run)
    listed = {entity.id.rstrip("/") for entity in crate.data_entities}
    assert {"consensus.tsv", "exports", "summary.csv", "annotations", "config.yaml", "manifest.json"} <= listed
    assert all((run / name).exists() for name in listed)
    assert crate.dereference("consensus.tsv")["sha256"] == digests(run)["consensus.tsv"]


def test_multiqc(run, tmp_path):
    command = [sys.executable, "-m", "multiqc", "--no-ansi", "--no-version-check", "-o", str(tmp_path), str(run)]
    if importlib.util.find_spec("multiqc") is None:  # not imported here: it changes how every command shows its help
        pytest.skip("multiqc is not installed")
    subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "fantasia_dask" in (tmp_path / "multiqc_data" / "multiqc_data.json").read_text()


def test_sequences__biopython(run):
    records = list(SeqIO.parse(run / "sequences.fasta", "fasta"))
    donors = pd.read_parquet(run / "annotations", columns=["ref_idx"])["ref_idx"].nunique()
    assert sum(record.id.startswith("R") for record in records) >= donors


def test_second_report__is_identical(run):
    before = digests(run)
    assert len(before) > 25
    write_report(run, progress=Progress(quiet=True))
    assert digests(run) == before
