"""Every export of a real run, 4,303 proteins against yeast and E. coli, read back by somebody else's reader."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import itertools
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from Bio import SeqIO
from Bio.Align import PairwiseAligner, substitution_matrices
from Bio.UniProt import GOA

import fantasia_dask
from fantasia_dask import open_reference, write_report
from fantasia_dask.annotate.ontology import Ontology
from fantasia_dask.config import make_config
from fantasia_dask.interchange import import_vectors
from fantasia_dask.progress import Progress
from fantasia_dask.run_folder import EXPORTS
from fantasia_dask.sequences import open_text

from .gpad_grammar import DAY, GPAD, GPI, PREFIX, RELATIONS, TEXT, against

pytestmark = pytest.mark.shared

EVERYTHING = (
    *("consensus", "gaf", "gpad", "clusterprofiler", "goatools", "goslim", "multiqc", "ro-crate", "cafa", "raw-tsv"),
)


def read(path):
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, quoting=3)


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


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


# GPAD and GPI 2.0 ------------------------------------------------------------------------------------------------


def parts(path):
    """Return the header of a file of GO's and its lines, cut at the tabs."""
    lines = path.read_text(encoding="ascii").removesuffix("\n").split("\n")
    header = list(itertools.takewhile(lambda line: line.startswith("!"), lines))
    return header, [line.split("\t") for line in lines[len(header) :]]


def test_gpad_and_gpi__as_their_grammar_says(run, reference, pairs):
    """Hold the real files against the published grammar, column by column.

    No reader of GPAD 2.0 is at hand that could be a dependency of the tests: goatools refuses dates with hyphens, and
    ontobio, whose parsers of GPAD and GPI know 2.0, asks purl.obolibrary.org for a table of evidence as it is imported,
    and brings some forty distributions more (rdflib, jsonpickle, pysolr, twine, keyring, ...). With that
    table put in its way by hand, ontobio 2.9.12 read 5,001 of these lines and all entities without a complaint.
    """
    _, lines = parts(run / "exports" / "annotations.gpad")
    _, entities = parts(run / "exports" / "annotations.gpi")
    assert against(GPAD, lines) == {}
    assert against(GPI, entities) == {}
    assert {(line[0].removeprefix("LOCAL:"), line[3]) for line in lines} == pairs
    assert len(lines) == len(pairs)
    named = [entity[0] for entity in entities]
    assert len(named) == len(set(named))
    assert set(named) == {line[0] for line in lines}
    # A relation belongs to an aspect; in protein complexes, and nowhere else, it is part_of.
    bundle = open_reference(reference)
    aspect = bundle.terms.set_index("go_id")["aspect"]
    assert all(re.fullmatch(RELATIONS[aspect[line[3]]], line[2]) for line in lines)
    ontology = Ontology(bundle.terms, bundle.relations)
    within = {go_id: "GO:0032991" in (go_id, *ontology.ancestors(go_id)) for go_id in {line[3] for line in lines}}
    assert all((line[2] == "BFO:0000050") == within[line[3]] for line in lines)


@pytest.mark.parametrize("kind", ["gpad", "gpi"])
def test_gpad_and_gpi__headers(run, kind):
    header, _ = parts(run / "exports" / f"annotations.{kind}")
    assert header[0] == f"!{kind}-version: 2.0"
    assert re.fullmatch(rf"!date-generated: {DAY}", header[2])
    assert all(re.fullmatch(rf"![A-Za-z0-9-]+: *{TEXT}", line) for line in header)


@pytest.mark.parametrize("kind", ["gpad", "gpi"])
def test_gpad_and_gpi__header_names_a_group(run, kind):
    header, _ = parts(run / "exports" / f"annotations.{kind}")
    assert re.fullmatch(f"!generated-by: {PREFIX}", header[1])


@pytest.mark.parametrize(
    ("column", "wrong"),
    [
        ("DB_Object_ID", "P1"),
        ("DB_Object_ID", "LOCAL:A B"),
        ("DB_Object_ID", "LOCAL:sp|P1|X"),
        ("DB_Object_ID", "LOCAL:50%"),
        ("Relation", "enables"),
        ("Relation", "RO:0002331x"),
        ("Evidence_Type", "IEA"),
        ("With_Or_From", "UniProtKB:P1|"),
        ("Annotation_Date", "20261126"),
        ("Annotation_Date", "2026-13-01"),
        ("Assigned_By", "fantasia-dask 0.1.0"),
    ],
)
def test_gpad__what_the_grammar_refuses(column, wrong):
    assert re.fullmatch(GPAD[column], wrong) is None


# Enrichment and predictions --------------------------------------------------------------------------------------


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


CAFAEVAL = """
import json, sys
from cafaeval.evaluation import cafa_eval
_, best = cafa_eval(*sys.argv[1:4], ia=sys.argv[4], th_step=0.01)
table = best["f_w"].reset_index()
print("RESULT", json.dumps(dict(zip(table["ns"], table["f_w"]))))
"""


def test_cafa__read_and_judged_by_cafaeval(run, reference, fmax, shared, tmp_path):
    """cafaeval takes the file as it was written, for every twentieth protein, and comes to our own weighted Fmax.

    Its matrices are as wide as the ontology, so it is given the terms of these proteins alone. The truth is of another
    release: obsolete terms, which cafaeval leaves out, go, and those that the rest implies here, which it adds, come.
    """
    if importlib.util.find_spec("cafaeval") is None:
        pytest.skip("cafaeval is not installed")
    data = shared / "data"
    bundle = open_reference(reference)
    terms, ontology = bundle.terms.set_index("go_id"), Ontology(bundle.terms, bundle.relations)
    truth, information = fmax.read_truth(data), fmax.read_information(data)
    chosen = set(truth["accession"].drop_duplicates().iloc[::20])
    truth = truth[truth["accession"].isin(chosen) & ~truth["go_id"].map(terms["obsolete"]).astype(bool)]
    lines = (run / "exports" / "cafa.tsv").read_text().splitlines(keepends=True)
    lines = [line for line in lines if line.partition("\t")[0] in chosen]
    known = {line.split("\t")[1] for line in lines} | set(truth["go_id"])
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions" / "cafa.tsv").write_text("".join(lines))
    truth[["accession", "go_id"]].to_csv(tmp_path / "truth.tsv", sep="\t", header=False, index=False)
    information.to_csv(tmp_path / "ia.tsv", sep="\t", header=False)
    with open_text(data / "ontology" / "go_2024.obo.gz") as text:
        head, *stanzas = re.split(r"\n(?=\[)", text.read())
    kept = [stanza for stanza in stanzas if re.search(r"^id: (\S+)", stanza, re.MULTILINE)[1] in known]
    (tmp_path / "go.obo").write_text("\n".join([head, *kept]))
    files = [str(tmp_path / name) for name in ("go.obo", "predictions", "truth.tsv", "ia.tsv")]
    command = [sys.executable, "-W", "ignore", "-c", CAFAEVAL, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    theirs = json.loads(done.stdout.partition("RESULT ")[2])

    scores = pd.DataFrame([line.split() for line in lines], columns=["accession", "go_id", "score"])
    scores = scores.assign(score=scores["score"].astype(float), aspect=scores["go_id"].map(terms["aspect"]))
    closed = {
        (row.accession, go_id, row.aspect)
        for row in truth.itertuples()
        for go_id in (row.go_id, *ontology.ancestors(row.go_id))
        if terms["aspect"][go_id] == row.aspect
    }
    ours = fmax.weighted_fmax(scores, pd.DataFrame(sorted(closed), columns=truth.columns), information)
    print(f"weighted Fmax of {len(chosen)} proteins: cafaeval {theirs}, ours {ours}")
    assert ours == {fmax.ASPECTS[name]: pytest.approx(value, abs=5e-4) for name, value in theirs.items()}
    assert min(ours.values()) > 0.15


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


# The page --------------------------------------------------------------------------------------------------------


def seen(browser, folder, accession):
    """Search `report.html` for a protein, and return the cells of the one row that is left."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    complaints = []
    try:
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto((folder / "report.html").as_uri())
        page.get_by_label("Search").fill(accession.lower())
        page.get_by_text(f"1–1 of 1 row matches “{accession.lower()}”").wait_for()
        cells = page.locator("#best tbody tr").locator("th, td").all_inner_texts()
        heads = page.locator("#best thead th").all_inner_texts()
    finally:
        context.close()
    assert complaints == []
    return {head.split("\n")[0].strip(): cell for head, cell in zip(heads, cells, strict=True)}


def lent(folder, accession, cells):
    """Return the raw row behind a row of the page: what the donor lent."""
    raw = pd.read_parquet(folder / "annotations", filters=[("accession", "==", accession)])
    go_id = re.search(r"GO:\d{7}", cells["Best term"])[0]
    donor = cells["Donor"].split()[0]
    rows = raw[(raw["go_id"] == go_id) & (raw["protein_id"] == donor)]
    assert len(rows) > 0
    assert rows["distance"].min() == raw["distance"].min()
    return rows.iloc[0]


def test_page__a_protein_is_found_in_a_browser(browser, run):
    """Elongation factor 3 of Candida albicans, next to that of yeast."""
    cells = seen(browser, run, "P25997")
    row = lent(run, "P25997", cells)
    assert cells["Protein"] == "P25997"
    assert cells["Donor"].split()[:2] == ["P53978", "HEF3"]
    assert row["organism"] in cells["Donor"]
    assert row["go_description"] in cells["Best term"]
    assert float(cells["Reliability"]) == pytest.approx(row["reliability_index"], abs=1e-3)


# Alignments ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def traced(shared, reference, tmp_path_factory):
    """A run of every fourteenth query with sequences, whose pairs are aligned with a traceback."""
    data, folder = shared / "data", tmp_path_factory.mktemp("traced")
    with np.load(data / "embeddings" / "validate_goa216_unirep256.npz") as vectors:
        np.savez(folder / "part.npz", ids=vectors["ids"][::14], all_mean=vectors["all_mean"][::14])
    queries = folder / "queries.zarr"
    names = {"model": "UniRep", "layer": 0, "key": "all_mean"}
    import_vectors(folder / "part.npz", queries, sequences=letters(data, "queries"), **names)
    settings = {
        "input": str(queries),
        "only_lookup": True,
        "base_directory": str(folder),
        "prefix": "traced",
        "reference": str(reference),
        "limit_per_entry": 2,
        "alignments": "trace",
        "exports": [],
        "topgo": False,
        "embedding": {"models": {"UniRep": {}}},
    }
    config = make_config(settings)
    fantasia_dask.run(config, progress=Progress(quiet=True))
    return config.run_folder


@pytest.fixture(scope="module")
def rows(traced):
    return pd.read_parquet(traced / "annotations")


def letters(data, name):
    """Return the sequences of a FASTA file of the real data, by accession."""
    with gzip.open(data / "e2e" / f"{name}.fasta.gz", "rt") as file:
        return {
            record.id.split("|")[-2 if "|" in record.id else 0]: str(record.seq)
            for record in SeqIO.parse(file, "fasta")
        }


MUCH = 100_000
"""A point of BLOSUM62, where what is counted weighs 1: more than any alignment here has columns."""


def aligner(mode, *, equal=0, column=0):
    """Biopython's, where a pair of equal letters, and any column, weigh something beside the score."""
    matrix = substitution_matrices.load("BLOSUM62") * MUCH + column
    for letter in matrix.alphabet:
        matrix[letter, letter] += equal
    gaps = {"open_gap_score": -10 * MUCH + column, "extend_gap_score": -1 * MUCH + column}
    return PairwiseAligner(mode=mode, substitution_matrix=matrix, **gaps)


@pytest.mark.parametrize(("mode", "suffix"), [("global", ""), ("local", "_sw")])
def test_alignments__as_biopython_counts(rows, shared, mode, suffix):
    """Several alignments may share the best score. Biopython tells the most and the fewest equal letters, and columns,
    among them all, when each weighs a little beside the score; for a third of the pairs, the alike ones, the two agree.
    """
    data = shared / "data"
    queries, donors = letters(data, "queries"), letters(data, "reference")
    pairs = rows.drop_duplicates(["query_idx", "ref_idx"])
    assert len(pairs) > 500
    assert set(pairs["alignment_method"]) == {"trace"}
    small = pairs[pairs["query_len"] * pairs["ref_len"] < 250_000].sort_values("identity", kind="stable")
    sample = pd.concat([small.iloc[::8], small.tail(10)]).drop_duplicates(["query_idx", "ref_idx"])
    assert len(sample) > 45
    kinds = [aligner(mode, **{what: sign}) for what in ("equal", "column") for sign in (1, -1)]
    plain, settled = aligner(mode), 0
    for row in sample.to_dict("records"):
        pair = queries[row["accession"]], donors[row["protein_id"]]
        assert (row["query_len"], row["ref_len"]) == tuple(map(len, pair))
        score = plain.score(*pair)
        assert row[f"alignment_score{suffix}"] * MUCH == score
        most, fewest, longest, shortest = (abs(kind.score(*pair) - score) for kind in kinds)
        columns = row[f"alignment_length{suffix}"]
        assert shortest <= columns <= longest
        assert fewest - 1e-6 <= row[f"identity{suffix}"] * columns <= most + 1e-6
        if (most, longest) == (fewest, shortest):
            assert row[f"identity{suffix}"] == pytest.approx(most / longest, abs=1e-12)
            settled += 1
    assert settled > 15


def test_alignments__summary_is_counted_from_the_raw_rows(rows, traced):
    summary = read(traced / "summary.tsv").set_index(["accession", "go_id"])
    by_term = rows.groupby(["accession", "go_id"])
    wanted = {
        f"{how}_{short}_UniRep_L0": by_term[column].agg(how)
        for column, short, hows in (
            ("reliability_index", "ri", ["max"]),
            ("identity", "id_g", ["min", "max", "mean"]),
            ("identity_sw", "id_l", ["min", "max", "mean"]),
        )
        for how in hows
    }
    wanted["count_UniRep_L0"] = by_term.size() / 2
    assert len(summary) == len(by_term) > 1_000
    for name, values in wanted.items():
        assert (summary[name].astype(float) - values).abs().max() < 6e-5, name
    # The score is the sum of the weighted columns as they stand there, each rounded.
    weights = {"max_ri": 0.4, "max_id_g": 0.2, "max_id_l": 0.2, "count": 0.2}
    weighted = {name: summary[f"w_{name}_UniRep_L0"].astype(float) for name in weights}
    for name, weight in weights.items():
        assert (weighted[name] - wanted[f"{name}_UniRep_L0"] * weight).abs().max() < 7e-5, name
    assert (summary["final_score_UniRep_L0"].astype(float) - sum(weighted.values())).abs().max() < 1e-9


def test_alignments__figure_counts_the_nearest_donors(rows, traced):
    nearest = rows.sort_values(["distance", "ref_idx"], kind="stable").drop_duplicates("accession")
    counts = np.histogram(nearest["identity"], [0, 0.2, 0.3, 0.4, 0.6, 0.9, 1 + 1e-9])[0]
    text = (traced / "report.html").read_text(encoding="utf-8").partition('id="identity"')[2].partition("</figure>")[0]
    told = re.findall(r"<td>([\d,]+) \(", text)
    assert [int(number.replace(",", "")) for number in told] == counts.tolist()
    assert (traced / "figures" / "identity.svg").stat().st_size > 1_000
    assert (traced / "figures" / "identity.png").read_bytes().startswith(b"\x89PNG")


def test_alignments__identity_on_the_page(browser, rows, traced):
    accession = rows.loc[rows["identity"].idxmax(), "accession"]
    cells = seen(browser, traced, accession)
    row = lent(traced, accession, cells)
    assert cells["Identity"] == f"{100 * row['identity']:.1f}%"
    assert cells["Length"] == f"{row['query_len']:,}"


# Once more -------------------------------------------------------------------------------------------------------


def test_second_report__makes_the_same_bytes_from_the_hits(run):
    """Everything that a report makes is deleted, so that nothing can be found finished."""
    before = digests(run)
    made = {name.split("/")[0] for files in EXPORTS.values() for name in files} | {"annotations"}
    for name in made:
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    left = {name for name in before if (run / name).exists()}
    assert len(before) - len(left) > 45
    assert {"report.html", "figures/distances.png", "exports/annotations.gaf", "consensus.tsv"} <= set(before) - left
    write_report(run, progress=Progress(quiet=True))
    # What tells the time goes on; the ledger keeps the order in which exports were finished.
    told = {"run.log", "events.jsonl", "ledger.json"}
    after = digests(run)
    assert after.keys() == before.keys()
    assert {name for name in before if after[name] != before[name]} <= told
