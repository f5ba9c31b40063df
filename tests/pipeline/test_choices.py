"""Choices that a run cannot bear out: refused before anything is computed, and before any file is touched."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from fantasia_dask.errors import InputError
from fantasia_dask.ledger import path_digest
from fantasia_dask.pipeline.choices import genes_of, knows_slim

WRONG = [
    ({"postprocess__gene_map": "/nowhere/genes.tsv"}, "/nowhere/genes.tsv"),
    ({"postprocess__gene_pattern": r"nothing:(\S+)"}, "finds a gene in no header"),
    ({"postprocess__slim": "goslim_plants"}, "there is no GO slim"),
    ({"postprocess__slim": "/nowhere/slim.obo"}, "there is no GO slim"),
]


def all_files(folder):
    return {
        str(f.relative_to(folder)): path_digest(f)
        for f in sorted(folder.rglob("*"))
        if f.is_file() and f.name not in ("run.log", "events.jsonl")
    }


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_run__refuses_before_anything_is_written(sample_config, lookup_config, run_quietly, changes, message):
    for make in (sample_config, lookup_config):
        config = make(**changes)
        with pytest.raises(InputError, match=message):
            run_quietly(config)
        assert not config.run_folder.exists()


def test_run__a_slim_that_nothing_uses_is_no_trouble(lookup_config, run_quietly):
    run_quietly(lookup_config(postprocess__slim="goslim_plants", exports=["gaf"]))


def test_report__leaves_everything_as_it_is(sample_config, run_quietly, report):
    config = sample_config(report=True, raw_csv=True)
    run_quietly(config)
    before = all_files(config.run_folder)
    assert "report.html" in before
    for changes, message in WRONG:
        with pytest.raises(InputError, match=message):
            report(config.run_folder, **changes)
        assert all_files(config.run_folder) == before
    report(config.run_folder)
    assert all_files(config.run_folder) == before


def test_report__weights_without_a_column_are_not_kept(lookup_config, run_quietly, report):
    config = lookup_config()
    run_quietly(config)
    before = all_files(config.run_folder)
    wrong = {"reliability_index": {"mean": 1}, "count": 1}
    with pytest.raises(InputError, match=r"an override: .*\.weights\.reliability_index\.mean is 1\.0, but"):
        report(config.run_folder, postprocess__summary__weights=wrong)
    assert all_files(config.run_folder) == before
    file = config.run_folder / "config.yaml"
    file.write_text(file.read_text().replace("count: 0.2", "counts: 0.2"))  # an earlier release kept what was wrong
    with pytest.raises(InputError, match=r"config\.yaml: .*\.weights\.counts is 0\.2, but the summary"):
        report(config.run_folder)
    report(config.run_folder, postprocess__summary__weights={"count": 1})
    assert "w_count_Sim_L0" in (config.run_folder / "summary.csv").read_text()


def test_report__columns_that_are_switched_off_take_their_weights_along(lookup_config, run_quietly, report):
    config = lookup_config()
    run_quietly(config)
    whole = (config.run_folder / "summary.csv").read_bytes()
    report(config.run_folder, postprocess__summary__include_counts=False)
    summary = pd.read_csv(config.run_folder / "summary.csv").fillna(0)
    assert not [name for name in summary if "count" in name and name != "term_count"]
    weighted = summary[["w_max_ri_Sim_L0", "w_max_id_g_Sim_L0", "w_max_id_l_Sim_L0"]]
    assert (summary["w_max_ri_Sim_L0"] - summary["max_ri_Sim_L0"] / 2).abs().max() < 1e-4
    assert (summary["final_score_Sim_L0"] - weighted.sum(axis=1)).abs().max() < 1e-9
    report(config.run_folder, postprocess__summary__include_counts=True)
    assert (config.run_folder / "summary.csv").read_bytes() == whole


def test_report__one_of_two_ways_to_genes(sample, sample_config, run_quietly, report, tmp_path):
    names = [line[1:].split()[0] for line in (sample / "queries.fasta").read_text().splitlines() if line[0] == ">"]
    (tmp_path / "genes.tsv").write_text("".join(f"{name}\tG{i // 2}\n" for i, name in enumerate(names)))
    config = sample_config(postprocess__gene_map=str(tmp_path / "genes.tsv"))
    run_quietly(config)
    with pytest.raises(InputError, match="both set: expected one of them, the other null"):
        report(config.run_folder, postprocess__gene_pattern=r"GN=(\S+)")
    report(config.run_folder, postprocess__gene_map=None, postprocess__gene_pattern=r"GN=(\S+)")


def test_goslim__passed_over_in_so_many_words(sample_config, run_quietly):
    """The sample's ontology is a part, without slims; nothing is said to be made that is not."""
    config = sample_config()
    run_quietly(config)
    log = (config.run_folder / "run.log").read_text()
    assert "goslim is passed over" in log
    assert not (config.run_folder / "exports" / "goslim.tsv").exists()
    assert "goslim" not in json.loads((config.run_folder / "ledger.json").read_text())


def test_status__a_shortened_protein_without_a_term_tells_both(sample_config, run_quietly):
    changes = {"embedding__max_sequence_length": 100, "embedding__models__Tiny-ESM2__distance_threshold": 0.02}
    config = sample_config(report=True, **changes)
    run_quietly(config)
    status = pd.read_csv(config.run_folder / "status.tsv", sep="\t", keep_default_na=False)
    cut = status[status["status"] == "truncated"]
    assert set(cut["terms"] > 0) == {True, False}
    assert cut.loc[cut["terms"] > 0, "reason"].str.fullmatch(r"\d+ residues cut to the first 100").all()
    silent = cut.loc[cut["terms"] == 0, "reason"]
    assert silent.str.fullmatch(r"\d+ residues cut to the first 100; no donor within distance 0.02").all()
    page = (config.run_folder / "report.html").read_text()
    assert "no donor within distance 0.02" in page
    assert "residues cut to the first 100" not in page


def test_genes_of__none_asked_for(lookup_config):
    assert genes_of(lookup_config().postprocess, {"A": "A"}) is None


def test_knows_slim(lookup_config):
    subsets = pd.DataFrame({"subset": ["goslim_generic"], "go_id": ["GO:0000001"]})
    assert knows_slim(lookup_config(), subsets)
    assert not knows_slim(lookup_config(), None)
    assert knows_slim(lookup_config(postprocess__slim="mine.obo"), None)
