from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import date
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from fantasia_dask.report.agreement import consensus_file, slim_file
from fantasia_dask.report.delimited import unescaped
from fantasia_dask.report.facts import Facts
from fantasia_dask.report.multiqc import multiqc_file
from fantasia_dask.schema import CONSENSUS, SLIM_COUNTS, names

HOSTILE = ["NA", "00123", "=cmd()", "a\tb", "sp|P1|X", "a%7Cb", 'say "hi"', "line\nend", "A/B", "é"]
COUNTS = {"proteins": 4, "embedded": 3, "annotated": 2, "protein_term_pairs": 3}


def read(path):
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


def test_consensus_file__comes_back(make_consensus, tmp_path):
    with consensus_file(tmp_path / "consensus.tsv", 3) as add:
        for word in HOSTILE:
            add(make_consensus([(word, "GO:1", "BP", ("P1", word))]).assign(best_reliability=0.12345))
    back = read(tmp_path / "consensus.tsv")
    assert list(back.columns) == names(CONSENSUS)
    assert back["accession"].tolist() == HOSTILE
    assert [list(map(partial(unescaped, more="|"), field.split("|"))) for field in back["donor_ids"]] == [
        ["P1", word] for word in HOSTILE
    ]
    assert set(back["best_reliability"]) == {"0.123"}
    assert set(back["identity"]) == {""}


def test_slim_file__counts_each_protein_once(make_consensus, tmp_path):
    mapped = {"GO:1": ["S:1"], "GO:2": ["S:1", "S:2"], "GO:3": []}
    slim = pd.DataFrame(
        {"go_id": ["S:1", "S:2", "S:3"], "category": ["BP", "BP", "MF"], "name": ["one", "two", "three"]}
    )
    with slim_file(tmp_path / "goslim.tsv", lambda ids: {go_id: mapped[go_id] for go_id in ids}, slim) as add:
        add(make_consensus([("a", "GO:1", "BP", ()), ("a", "GO:2", "BP", ()), ("b", "GO:3", "BP", ())]))
        add(make_consensus([("c", "GO:1", "BP", ())]))
        add(make_consensus([("d", "GO:1", "BP", ())]))
    back = read(tmp_path / "goslim.tsv")
    assert list(back.columns) == names(SLIM_COUNTS)
    assert back[["go_id", "proteins", "share"]].to_numpy().tolist() == [
        ["S:1", "3", "0.75"],
        ["S:2", "1", "0.25"],
        ["S:3", "0", "0.0"],
    ]


def test_multiqc_file__in_a_report(make_consensus, tmp_path):
    multiqc = shutil.which("multiqc", path=str(Path(sys.executable).parent))
    if multiqc is None:
        pytest.skip("multiqc is not installed")
    for name in ("ants", "bees"):
        with multiqc_file(tmp_path / "runs" / name / "fantasia_dask_mqc.json", facts(name)) as add:
            add(make_consensus([("a", "GO:1", "BP", ()), ("a", "GO:2", "BP", ()), ("b", "GO:1", "BP", ())]))
    command = [multiqc, "--no-ansi", "--no-version-check", "--outdir", str(tmp_path / "out"), str(tmp_path / "runs")]
    subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    data = json.loads((tmp_path / "out" / "multiqc_data" / "multiqc_data.json").read_text())
    table = next(table for key, table in data["report_saved_raw_data"].items() if "fantasia_dask" in key)
    assert set(table) == {"ants", "bees"}
    assert table["ants"]["share"] == 50
    assert table["ants"]["terms"] == 1.5
    assert table["ants"]["reliability"] == 0.75
    assert "fantasia-dask" in (tmp_path / "out" / "multiqc_report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("genes", [False, True])
def test_multiqc_file__terms_of_each_gene_or_protein(make_consensus, tmp_path, genes):
    """Three proteins may be of one gene: terms are divided by what has them."""
    counts = COUNTS | {"annotated": 3}
    of_run = Facts("ants", date(2026, 1, 31), "0.0", counts=counts, genes=genes)
    with multiqc_file(tmp_path / "a_mqc.json", of_run) as add:
        add(make_consensus([("gene", "GO:1", "BP", ()), ("gene", "GO:2", "BP", ())]))
        add(make_consensus([("other", "GO:1", "BP", ())]))
    content = json.loads((tmp_path / "a_mqc.json").read_text())
    assert content["data"]["ants"]["terms"] == 1.5
    kind = "gene" if genes else "protein"
    assert content["headers"]["terms"]["title"] == f"Terms per {kind}"
    assert content["headers"]["terms"]["description"] == f"GO terms per annotated {kind}"


def facts(name):
    return Facts(name, date(2026, 1, 31), "0.0", counts=COUNTS)
