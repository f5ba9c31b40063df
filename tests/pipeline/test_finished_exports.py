"""Exports that are finished stay; what is made again is what a change, a hand or a kill has touched."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import yaml

from fantasia_dask import run
from fantasia_dask.config import PostprocessSettings, dump_config, make_config
from fantasia_dask.progress import Progress
from fantasia_dask.run_folder import EXPORTS, RunFolder
from fantasia_dask.values import ExportName

TOPS = sorted({name.split("/")[0] for files in EXPORTS.values() for name in files})
EVERYTHING = {"exports": get_args(ExportName), "raw_csv": True, "report": False}
TELL_ALL = {"report", "ro-crate"}
"""They tell every setting, so each change touches them."""


@pytest.fixture(scope="module")
def made_once(simulated, client, tmp_path_factory):
    """A run with every export, but without the page, which costs a second."""
    settings = {
        "input": str(simulated / "queries.zarr"),
        "only_lookup": True,
        "reference": str(simulated / "reference"),
        "base_directory": str(tmp_path_factory.mktemp("made_once")),
        "prefix": "run",
        "limit_per_entry": 3,
        "cluster": {"kind": "local"},
        "embedding": {"models": {"Sim": {"layer_index": [0, 1]}}},
        "postprocess": {"summary": {"weights": {"reliability_index": {"max": 0.4}}}},
    }
    config = make_config(settings, EVERYTHING)
    run(config, client=client, progress=Progress(quiet=True))
    return config.run_folder


@pytest.fixture
def finished(made_once, tmp_path):
    """Copy that run; return its folder."""
    return shutil.copytree(made_once, tmp_path / "finished")


def files_of(folder):
    """Every file of every export: its bytes, and the inode that a file made again does not have."""
    paths = (path for top in TOPS for path in sorted([folder / top, *(folder / top).rglob("*")]) if path.is_file())
    return {path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def made_again(before, after):
    """Exports whose files are not those of before."""
    files = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {
        export
        for export, tops in EXPORTS.items()
        if any(file == top or file.startswith(f"{top}/") for file in files for top in tops)
    }


def told(folder):
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [event["text"] for event in events if event["event"] == "exports"]


def contents(files):
    return {name: content for name, (content, _) in files.items()}


def test_exports__an_identical_run_makes_none(lookup_config, run_quietly):
    config = lookup_config(**EVERYTHING | {"report": True})
    run_quietly(config)
    before = files_of(config.run_folder)
    assert {"report.html", "figures/coverage.svg", "ro-crate-metadata.json"} <= set(before)
    assert told(config.run_folder) == []
    run_quietly(config)
    assert files_of(config.run_folder) == before
    assert told(config.run_folder) == ["exports: nothing to do, all are finished"]


CHANGES = {
    "postprocess.summary.weights": ({"max_id_g": 1.0}, {"summary", "consensus"}),
    "postprocess.summary.include_counts": (False, {"summary"}),
    "postprocess.summary.normalize_count_by_limit_per_entry": (False, {"summary"}),
    "postprocess.summary.export_raw_count": (False, {"summary"}),
    "postprocess.summary.metrics": ({"reliability_index": ["max", "min"], "identity": ["max"]}, {"summary"}),
    "postprocess.summary.aliases": ({"reliability_index": "rel", "identity": "id_g"}, {"summary"}),
    "postprocess.summary.weighted_prefix": ("x_", {"summary"}),
    "postprocess.summary.enabled": (False, {"summary"}),
    "postprocess.terms": ("propagated", {"consensus", "gaf", "gpad", "goatools", "multiqc"}),
    "postprocess.gene_map": ("genes.tsv", {"consensus", "gaf", "gpad", "clusterprofiler", "cafa", "topgo-genes"}),
    "postprocess.gene_pattern": ("(.)", {"consensus", "gaf", "gpad", "clusterprofiler", "cafa", "topgo-genes"}),
    "postprocess.slim": ("slim.obo", {"goslim"}),
    "postprocess.database": ("ENSEMBL", {"gaf", "gpad"}),
    "postprocess.taxon": (9606, {"gaf", "gpad"}),
    "postprocess.keep_sequences": (False, set(EXPORTS) - {"topgo-genes", "goslim", "report"}),
    "precision": (2, {"summary", "consensus", "topgo", "raw-csv", "raw-tsv"}),
    "topgo": (False, {"topgo"}),
    "raw_csv": (False, {"raw-csv"}),
    "report": (True, {"report"}),
    "exports": (["consensus"], {"gaf", "gpad", "goatools", "raw-tsv", "ro-crate"}),
    "alignments": ("statistics", set(EXPORTS) - {"topgo-genes", "goslim", "report"}),
}
"""What a report may change, to what, and some of the exports that must show it."""

STAYS = {
    "postprocess.database": set(EXPORTS) - TELL_ALL - {"gaf", "gpad"},
    "postprocess.slim": set(EXPORTS) - TELL_ALL - {"goslim"},
    "postprocess.terms": {"summary", "topgo", "clusterprofiler", "cafa", "goslim", "raw-csv", "raw-tsv", "sequences"},
    "postprocess.summary.enabled": set(EXPORTS) - TELL_ALL - {"summary"},
    "raw_csv": set(EXPORTS) - TELL_ALL - {"raw-csv"},
    "precision": {"sequences"},
}
"""Of some changes, the exports that they do not touch."""


def test_exports__every_setting_of_a_report_is_tried():
    summary = {f"postprocess.summary.{name}" for name in type(PostprocessSettings().summary).model_fields}
    others = {f"postprocess.{name}" for name in PostprocessSettings.model_fields if name != "summary"}
    assert {*summary, *others} <= set(CHANGES)


def files_named(simulated, run_folder, folder):
    """Write what settings name: a gene map, and a slim of some terms of the simulated reference."""
    import pandas as pd

    terms = pd.read_parquet(simulated / "reference" / "terms.parquet")
    lines = "".join(f"[Term]\nid: {i}\nname: {n}\nnamespace: molecular_function\n\n" for i, n in
                    zip(terms["go_id"][:5], terms["name"][:5], strict=True))  # fmt: skip
    (folder / "slim.obo").write_text(f"format-version: 1.2\n\n{lines}")
    queries = pd.read_parquet(run_folder / "queries.parquet")["accession"]
    (folder / "genes.tsv").write_text("".join(f"{accession}\tgene{i // 3}\n" for i, accession in enumerate(queries)))


@pytest.mark.parametrize("key", CHANGES)
@pytest.mark.filterwarnings("ignore:.*proteins have no gene")
def test_exports__a_change_gives_what_a_fresh_report_gives(finished, report, simulated, tmp_path, key):
    """Nothing stays that the change touches: byte by byte the files of a report that had none."""
    value, shown = CHANGES[key]
    files_named(simulated, finished, tmp_path)
    if value in ("genes.tsv", "slim.obo"):
        value = str(tmp_path / value)
    shutil.copytree(finished, tmp_path / "fresh")
    RunFolder(tmp_path / "fresh").clear_exports()
    before = files_of(finished)
    changed = {key.replace(".", "__"): value}
    report(finished, **changed)
    report(tmp_path / "fresh", **changed)
    after, fresh = files_of(finished), files_of(tmp_path / "fresh")
    assert contents(after) == contents(fresh)
    again = made_again(before, after)
    assert again >= shown
    assert not again & STAYS.get(key, set())


@pytest.mark.parametrize("how", ["deleted", "changed"])
def test_exports__a_file_that_a_hand_touched_is_made_again(finished, report, how):
    folder = finished
    before = files_of(folder)
    for name in ("exports/annotations.gpi", "topgo/ensemble/MF.map", "sequences.fasta"):
        (folder / name).unlink() if how == "deleted" else (folder / name).write_text("mine")
    (folder / "topgo" / ".DS_Store").write_text("of a desktop")
    (folder / "exports" / "notes.txt").write_text("of a person")
    report(folder)
    after = files_of(folder)
    assert contents(after) == contents(before) | {"exports/notes.txt": b"of a person"}
    assert made_again(before, after) == {"gpad", "topgo", "sequences", "ro-crate"}
    (line,) = told(folder)
    assert "gpad" in line
    assert "it lists the others" in line
    assert ("deleted" if how == "deleted" else "changed on disk") in line


def test_exports__a_file_that_a_setting_names_counts_by_its_content(finished, report, simulated, tmp_path):
    folder = finished
    files_named(simulated, folder, tmp_path)
    genes = tmp_path / "genes.tsv"
    report(folder, postprocess__gene_map=str(genes), report=True)
    before = files_of(folder)
    report(folder)
    assert files_of(folder) == before
    genes.write_text(genes.read_text().replace("gene0", "other"))
    report(folder)
    assert {"consensus", "gaf", "topgo-genes", "report"} <= made_again(before, files_of(folder))
    assert "postprocess.gene_map changed" in told(folder)[-1]


def test_exports__what_is_switched_off_goes_and_what_others_put_there_stays(finished, report):
    folder = finished
    (folder / "exports" / "notes.txt").write_text("of a person")
    report(folder, exports=["goatools"], topgo=False, raw_csv=False)
    assert sorted(path.name for path in (folder / "exports").iterdir()) == ["goatools.tsv", "notes.txt"]
    assert not (folder / "raw_results").exists()
    assert "removed: " in told(folder)[-1]
    assert "raw-csv" in told(folder)[-1]
    assert set(json.loads((folder / "ledger.json").read_text())) == {"summary", "goatools", "sequences"}


def test_exports__tell_one_day_whenever_they_are_made(finished, report):
    folder = finished
    before = files_of(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["started"] = "2031-01-01T00:00:00+00:00"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "exports" / "annotations.gaf").unlink()
    report(folder)
    after = files_of(folder)
    assert made_again(before, after) == {"gaf", "ro-crate"}
    assert after["exports/annotations.gaf"][0] == before["exports/annotations.gaf"][0]


def test_exports__of_other_hits_are_gone_before_the_lookup(lookup_config, run_quietly, monkeypatch):
    """However the run ends, no export of old hits lies beside new ones."""
    config = lookup_config(report=False)
    run_quietly(config)

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("fantasia_dask.pipeline.neighbours._Lookup.blocks", stop)
    with pytest.raises(KeyboardInterrupt):
        run_quietly(lookup_config(report=False, limit_per_entry=1))
    assert files_of(config.run_folder) == {}
    assert not (config.run_folder / "ledger.json").exists()


@pytest.mark.parametrize(
    ("stage", "version"), [("lookup", "neighbours.LOOKUP_VERSION"), ("annotation", "terms.TRANSFER_VERSION")]
)
def test_run__another_version_of_a_stage_redoes_it(lookup_config, run_quietly, monkeypatch, stage, version):
    config = lookup_config(report=False)
    run_quietly(config)
    before = files_of(config.run_folder)
    monkeypatch.setattr(f"fantasia_dask.pipeline.{version}", 99)
    run_quietly(config)
    name = version.partition(".")[2].lower()
    assert f"{stage} in Sim layer 0 starts anew: {name} changed" in (config.run_folder / "run.log").read_text()
    after = files_of(config.run_folder)
    assert made_again(before, after) >= {"summary", "consensus", "gaf", "topgo", "sequences"}
    crate = "ro-crate-metadata.json"  # it tells when the run began
    assert contents(after) | {crate: b""} == contents(before) | {crate: b""}


def test_exports__of_an_older_form_are_made_again(finished, report, monkeypatch):
    folder = finished
    report(folder, report=True)
    before = files_of(folder)
    report(folder)
    assert files_of(folder) == before
    monkeypatch.setattr("fantasia_dask.pipeline.made_from.FORM", 99)
    report(folder)
    after = files_of(folder)
    assert made_again(before, after) == made_again({}, after)
    assert contents(after) == contents(before)


def test_run__only_embedding_page(sample_config, run_quietly):
    config = sample_config(report=True, only_embedding=True, reference=None)
    run_quietly(config)
    before = files_of(config.run_folder)
    assert "report.html" in before
    run_quietly(config)
    assert files_of(config.run_folder) == before
    run_quietly(sample_config(report=False, only_embedding=True, reference=None))
    assert files_of(config.run_folder) == {}


KILLED = """
import os, signal, sys
from fantasia_dask.{module} import {name}
import fantasia_dask.{module} as module
module.{name} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
from fantasia_dask import run
from fantasia_dask.progress import Progress
if __name__ == "__main__":
    run(sys.argv[1], progress=Progress(quiet=True))
"""


def test_exports__a_kill_between_two_is_taken_up(lookup_config, run_quietly, tmp_path):
    """The exports before stay as they are, the others follow, and all are those of an undisturbed run."""
    undisturbed = lookup_config(**EVERYTHING, prefix="undisturbed")
    run_quietly(undisturbed)
    config = lookup_config(**EVERYTHING)
    (tmp_path / "config.yaml").write_text(dump_config(config))
    script = tmp_path / "killed.py"
    for module, name in (("report.raw_results", "write_raw_csv"), ("report.sequences", "write_sequences")):
        script.write_text(KILLED.format(module=module, name=name))
        done = subprocess.run([sys.executable, script, tmp_path / "config.yaml"], env=os.environ, check=False)
        assert done.returncode == -signal.SIGKILL
        if name == "write_raw_csv":
            before = files_of(config.run_folder)
            assert made_again({}, before) >= {"summary", "consensus", "gaf", "topgo"}
            assert not (config.run_folder / "sequences.fasta").exists()
    run_quietly(config)
    after = files_of(config.run_folder)
    assert {name: after[name] for name in before} == before
    expected = contents(files_of(undisturbed.run_folder))
    placed = ("ro-crate-metadata.json", "exports/fantasia_dask_mqc.json")
    assert {n: c for n, c in contents(after).items() if n not in placed} == {
        n: c for n, c in expected.items() if n not in placed
    }
    assert not list(Path(config.run_folder).rglob("*.partial"))
    assert yaml.safe_load((config.run_folder / "config.yaml").read_text())["prefix"] == "run"
