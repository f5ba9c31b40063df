"""All exports of one run: hostile accessions come back from each, genes and terms as asked for, nothing left over."""

from __future__ import annotations

import csv
import gzip
import json
from typing import get_args
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest

from fantasia_dask.errors import InputError
from fantasia_dask.report.delimited import restored, unescaped
from fantasia_dask.run_folder import RunFolder
from fantasia_dask.schema import CONSENSUS, RAW_ANNOTATIONS, Space, names
from fantasia_dask.store import StoreWriter
from fantasia_dask.testing import simulate_embeddings
from fantasia_dask.values import ExportName

from ..gpad_grammar import GPAD, GPI, against

SPACES = (Space("Sim", 0, 32, "clean", "sim", "r1"), Space("Sim", 1, 16, "clean", "sim", "r1", "float16"))
HOSTILE = [
    *("A/B", "NA", "00123", "=cmd()", "../../x", "abc", "ABC", "1e5", "+1", "@x", "-", "'=q", "a,b", 'say "hi"', "é"),
    *("tab\there", "line\nend", "a%09b", "sp|P1|X", "#c", "!d", "nan", "x" * 300, "a;b", "<script>"),
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Vectors of proteins with hostile names, in the two spaces of the simulated world."""
    path = tmp_path_factory.mktemp("hostile") / "queries.zarr"
    sequences = ["MKTAYIAKQR" * (i % 4 + 1) for i in range(len(HOSTILE))]
    with StoreWriter(path, ids=HOSTILE, sequences=sequences, spaces=SPACES) as writer:
        for space in SPACES:
            writer.write(space, 0, simulate_embeddings(len(HOSTILE), space.dimension, seed=space.layer))
    return path


@pytest.fixture
def finished(lookup_config, run_quietly, hostile):
    """Run with everything on; return the run folder."""

    def go(**changes):
        settings = {"input": str(hostile), "exports": get_args(ExportName), "raw_csv": True} | changes
        config = lookup_config(**settings)
        run_quietly(config)
        return config.run_folder

    return go


def table(path, separator="\t"):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=separator))


def plain(path):
    """Lines of a file without quotes, its comments apart."""
    lines = path.read_bytes().decode("utf-8").split("\n")
    return [line.split("\t") for line in lines if line and not (line.startswith("!") and "-version" in line)]


def test_exports__hostile_accessions_come_back_from_each(finished):
    folder = finished()
    exports = folder / "exports"
    everyone = set(HOSTILE)
    for name in ("summary.tsv", "consensus.tsv", "status.tsv"):
        assert {line["accession"] for line in table(folder / name)} == everyone
    shown = {line["accession"] for line in table(folder / "summary.csv", ",")}
    assert {restored(word) for word in shown} == everyone
    assert not any(word.startswith(("=", "+", "-", "@", "\t")) for word in shown)
    raw = [line for path in (folder / "raw_results").rglob("*.csv") for line in table(path, ",")]
    assert {restored(line["accession"]) for line in raw} == everyone
    with gzip.open(folder / "annotations.tsv.gz", "rt", encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file, delimiter="\t"))
    assert list(lines[0]) == names(RAW_ANNOTATIONS)
    assert {line["accession"] for line in lines} == everyone
    assert len(lines) == len(raw)
    header = ("!generated-by", "!date-generated", "!fantasia-dask-version", "!go-version")
    for name, column, decoded in (
        ("annotations.gaf", 1, unescaped),
        ("annotations.gpad", 0, unquote),
        ("annotations.gpi", 0, unquote),
    ):
        found = {line[column] for line in plain(exports / name) if not line[0].startswith(header)}
        assert {decoded(word.removeprefix("LOCAL:")) for word in found} == everyone
    genes = {unescaped(line[1]) for line in plain(exports / "clusterprofiler" / "term2gene.tsv")[1:]}
    assert genes == everyone
    for name in ("goatools.tsv", "cafa.tsv"):
        assert {unescaped(line[0], " ") for line in plain(exports / name)} == everyone
    maps = [line for path in (folder / "topgo" / "ensemble").glob("*.map") for line in plain(path)]
    assert {unescaped(line[0], " ") for line in maps} == everyone
    assert {path.name for path in folder.iterdir()} >= {"annotations.tsv.gz", "ro-crate-metadata.json"}
    assert not [path for path in folder.parent.iterdir() if path != folder]
    assert not list(folder.rglob("*.partial"))


def test_exports__all_but_the_crate_from_one_set_of_terms(finished):
    """Direct terms: the same pairs of protein and term in all of them."""
    folder = finished()
    consensus = {(line["accession"], line["go_id"]) for line in table(folder / "consensus.tsv")}
    raw = pd.read_parquet(folder / "annotations", columns=["accession", "go_id"])
    assert consensus == set(raw.itertuples(index=False, name=None))
    gaf = {(unescaped(line[1]), line[4]) for line in plain(folder / "exports/annotations.gaf") if len(line) == 17}
    assert gaf == consensus
    ids = {(unescaped(gene, " "), go) for gene, gos in plain(folder / "exports/goatools.tsv") for go in gos.split(";")}
    assert ids == consensus
    line = json.loads((folder / "exports/fantasia_dask_mqc.json").read_text())["data"]["run"]
    assert (line["proteins"], line["annotated"], line["share"]) == (len(HOSTILE), len(HOSTILE), 100)
    assert line["terms"] == round(len(consensus) / len(HOSTILE), 2)


def test_exports__only_what_is_asked_for(finished, report):
    folder = finished()
    report(folder, exports=["goatools"], topgo=False, raw_csv=False, postprocess__summary__enabled=False)
    made = {path.name for path in folder.iterdir()}
    assert not made & {"summary.csv", "summary.tsv", "consensus.tsv", "topgo", "raw_results", "annotations.tsv.gz"}
    assert "ro-crate-metadata.json" not in made
    assert [path.name for path in (folder / "exports").iterdir()] == ["goatools.tsv"]
    report(folder, exports=[])
    assert not (folder / "exports").exists()


def test_exports__without_any_space(lookup_config, run_quietly):
    config = lookup_config(embedding__models__Sim__layer_index=[7])
    with pytest.warns(match="has no vectors of Sim layer 7"):
        run_quietly(config)
    assert (config.run_folder / "consensus.tsv").read_text() == "\t".join(names(CONSENSUS)) + "\n"
    assert (config.run_folder / "summary.csv").read_text().startswith("accession,go_id,term_count")


@pytest.mark.parametrize("by", ["gene_map", "gene_pattern"])
def test_genes__isoforms_answer_together(finished, report, tmp_path, by):
    folder = finished()
    proteins = table(folder / "consensus.tsv")
    of = {accession: f"=gene {i // 3}" for i, accession in enumerate(HOSTILE) if not set(accession) & set("\t\n")}
    if by == "gene_map":
        file = tmp_path / "genes.tsv"
        file.write_text("".join(f"{a}\t{g}\n" for a, g in of.items()), encoding="utf-8")
        value = str(file)
    else:
        of = {accession: accession[0] for accession in HOSTILE if accession[0].isalpha()}
        value = r"^([^\W\d_])"
    with pytest.warns(match="proteins have no gene"):
        report(folder, **{f"postprocess__{by}": value})
    genes = table(folder / "consensus.tsv")
    expected: dict[tuple[str, str], list[dict[str, str]]] = {}
    for line in proteins:
        expected.setdefault((of.get(line["accession"], line["accession"]), line["go_id"]), []).append(line)
    assert {(line["accession"], line["go_id"]) for line in genes} == set(expected)
    for line in genes:
        isoforms = expected[line["accession"], line["go_id"]]
        assert int(line["proteins"]) == len(isoforms)
        assert float(line["best_reliability"]) == max(float(other["best_reliability"]) for other in isoforms)
        assert float(line["final_score"]) == max(float(other["final_score"]) for other in isoforms)
        assert set(line["donor_ids"].split("|")) == {d for o in isoforms for d in o["donor_ids"].split("|")}
    maps = [line for path in (folder / "exports/topgo_genes").glob("*.map") for line in plain(path)]
    assert {unescaped(line[0], " ") for line in maps} == {gene for gene, _ in expected}
    gaf = [line for line in plain(folder / "exports/annotations.gaf") if len(line) == 17]
    assert {line[11] for line in gaf} == {"gene_product"}
    assert {line["accession"] for line in table(folder / "summary.tsv")} == set(HOSTILE)


def test_genes__mistakes(finished, report, tmp_path):
    folder = finished()
    with pytest.raises(InputError, match="expected one of them"):
        report(folder, postprocess__gene_map="a.tsv", postprocess__gene_pattern="(x)")
    for pattern in ("gene:\\S+", "gene:(\\S+"):
        with pytest.raises(InputError, match=r"postprocess\.gene_pattern"):
            report(folder, postprocess__gene_pattern=pattern)
    with pytest.raises(InputError, match="does not exist"):
        report(folder, postprocess__gene_map=str(tmp_path / "none.tsv"))
    with pytest.raises(InputError, match="exports"):
        report(folder, exports=["gff"])
    with pytest.raises(InputError, match=r"postprocess\.database"):
        report(folder, postprocess__database="my:db")


def test_headers__are_kept_for_gene_patterns(sample, sample_config, run_quietly):
    config = sample_config(postprocess__gene_pattern=r"GN=(\S+)", report=True)
    run_quietly(config)
    queries = pd.read_parquet(RunFolder(config.run_folder).queries)
    headers = [line[1:] for line in (sample / "queries.fasta").read_text().splitlines() if line.startswith(">")]
    assert (queries["accession"] + " " + queries["description"]).str.rstrip().tolist() == headers
    genes = {line["accession"] for line in table(config.run_folder / "consensus.tsv")}
    assert "Ins2" in genes
    assert not any(gene.startswith("sp|") for gene in genes)
    page = (config.run_folder / "report.html").read_text(encoding="utf-8")
    assert f"The proteins are of {len(genes)} genes." in page


def test_gpad_and_gpi__of_the_sample_as_their_grammar_says(sample_config, run_quietly):
    """Its names are those of UniProt's FASTA headers, ``sp|P01326|INS2_MOUSE``."""
    config = sample_config()
    run_quietly(config)
    for name, columns in (("annotations.gpad", GPAD), ("annotations.gpi", GPI)):
        lines = [line for line in plain(config.run_folder / "exports" / name) if not line[0].startswith("!")]
        assert against(columns, lines) == {}
        assert "LOCAL:sp%7CP01326%7CINS2_MOUSE" in {line[0] for line in lines}


def test_terms__specific_and_propagated(sample_config, run_quietly, report):
    config = sample_config()
    run_quietly(config)
    counts = {}
    for terms in ("direct", "specific", "propagated"):
        report(config.run_folder, postprocess__terms=terms)
        lines = table(config.run_folder / "consensus.tsv")
        counts[terms] = {(line["accession"], line["go_id"]) for line in lines}
        assert all(line["go_description"] and line["category"] for line in lines)
    assert counts["specific"] < counts["direct"] < counts["propagated"]


def test_alignments__each_pair_once_over_all_spaces(lookup_config, run_quietly, monkeypatch):
    from fantasia_dask.annotate import transfer

    pairs = []
    align = transfer.align_pairs
    monkeypatch.setattr(transfer, "align_pairs", lambda given, **how: pairs.extend(given) or align(given, **how))
    monkeypatch.setattr("fantasia_dask.pipeline.terms.SHARE_PAIRS", 10)
    config = lookup_config()
    run_quietly(config)
    assert len(pairs) == len(set(pairs)) > 0
    raw = pd.read_parquet(config.run_folder / "annotations")
    assert set(raw["alignment_method"]) == {"trace"}
    met = raw.drop_duplicates(["accession", "protein_id"])
    assert len(met) == len(pairs)
    assert (raw.groupby(["accession", "protein_id"])["identity"].nunique() == 1).all()
    assert np.isfinite(raw["identity"]).all()
