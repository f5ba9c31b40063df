"""Raw annotation rows: made up, and FANTASIA's own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import yaml

from fantasia_dask.schema import CONSENSUS, RAW_ANNOTATIONS

SUMMARY = {
    "metrics": {
        "reliability_index": ["max"],
        "identity": ["min", "max", "mean"],
        "identity_sw": ["min", "max", "mean"],
    },
    "aliases": {"reliability_index": "ri", "identity": "id_g", "identity_sw": "id_l"},
    "weights": {"reliability_index": {"max": 0.4}, "max_id_g": 0.2, "max_id_l": 0.2, "count": 0.2},
    "weighted_prefix": "w_",
}


@pytest.fixture
def summary_settings():
    """FANTASIA's defaults."""
    return dict(SUMMARY)


@pytest.fixture(scope="session")
def make_rows():
    """Return a function: lists of (accession, model, layer, go_id, protein, reliability, identity) to raw rows."""

    def make(lines):
        given = ["accession", "model_name", "layer_index", "go_id", "protein_id", "reliability_index", "identity"]
        frame = pd.DataFrame(lines, columns=given)
        frame["identity_sw"] = frame["identity"]
        frame["category"] = "BP"
        for column in RAW_ANNOTATIONS:
            if column.name not in frame:
                frame[column.name] = {"str": "", "int64": 0, "float64": np.nan}[column.dtype]
        frame = frame[[column.name for column in RAW_ANNOTATIONS]]
        return frame.astype({column.name: column.dtype for column in RAW_ANNOTATIONS})

    return make


@pytest.fixture(scope="session")
def golden_rows(golden):
    """Return a function: the raw rows of a golden case, queries in order, and its summary settings."""

    def load(case):
        files = sorted(golden.glob(f"outputs/{case}/raw_results/*/*/*.csv"))
        read = {"keep_default_na": False, "na_values": {"distance_threshold": [""]}}
        rows = pd.concat([pd.read_csv(path, **read) for path in files], ignore_index=True)
        # A file per model, layer and query: bring the queries in order, spaces and lines stay in theirs.
        rows = rows.sort_values("accession", kind="stable", ignore_index=True)
        rows["alignment_method"] = "trace"
        rows = rows.astype({column.name: column.dtype for column in RAW_ANNOTATIONS})
        config = yaml.safe_load((golden / "outputs" / case / "config.yaml").read_text())
        settings = config["postprocess"]["summary"]
        return rows, {name: settings[name] for name in ("metrics", "aliases", "weights", "weighted_prefix")}

    return load


@pytest.fixture
def make_consensus():
    """Return a function: lists of (accession, go_id, category, donors) to lines of a consensus."""

    def make(lines):
        frame = pd.DataFrame(lines, columns=["accession", "go_id", "category", "donor_ids"])
        frame["best_reliability"] = frame["mean_reliability"] = 0.75
        frame["donors"] = frame["donor_ids"].map(len)
        for column in CONSENSUS:
            if column.name not in frame:
                frame[column.name] = {"str": "", "int64": 1, "float64": np.nan}[column.dtype]
        kinds = {c.name: c.dtype for c in CONSENSUS if c.name != "donor_ids"}
        return frame[[c.name for c in CONSENSUS]].astype(kinds)

    return make


MANIFEST = {
    "started": "2026-03-05T08:09:10+00:00",
    "host": "node1",
    "versions": {"python": "3.12.1", "fantasia-dask": "0.1.0"},
    "input": {"path": "ants.fasta", "sha256": "ab" * 32},
    "reference": {
        "path": "reference",
        "manifest_sha256": "cd" * 32,
        "go_release": "releases/2026-01-01",
        "proteins": 100,
        "proteins_allowed": 90,
    },
    "stages": {"lookup": {"seconds": 75.0, "peak_memory_bytes": 3e8}},
}


@pytest.fixture(scope="session")
def write_run(tmp_path_factory, make_rows):
    """Return a function that writes the tables of a made-up run and gathers its numbers.

    `status` holds lines of `schema.OUTCOME`; `lines` those of `make_rows`, as many as there are terms; the rest are
    settings. Distances follow from the reliability, donors' numbers from their accessions.
    """
    from fantasia_dask.annotate.transfer import write_annotations
    from fantasia_dask.config import make_config
    from fantasia_dask.report.delimited import write_frame
    from fantasia_dask.report.overview import Slim, gather_overview
    from fantasia_dask.run_folder import RunFolder, text_aside
    from fantasia_dask.schema import OUTCOME, names

    def write(status, lines=(), spaces=(), *, looked_up=True, columns=None, manifest=None, listed=20_000, **settings):
        folder = RunFolder(tmp_path_factory.mktemp("run"))
        with text_aside(folder.status) as file:
            write_frame(pd.DataFrame(status, columns=names(OUTCOME)), file, "\t")
        rows = make_rows(list(lines))
        rows["distance"] = 1 - rows["reliability_index"]
        rows["ref_idx"] = pd.factorize(rows["protein_id"])[0].astype("int64")
        rows["go_description"] = "name of " + rows["go_id"]
        rows["category"] = [("BP", "MF", "CC")[hash_of(go_id) % 3] for go_id in rows["go_id"]]
        for name, values in (columns or {}).items():
            rows[name] = values
        for model, layer in spaces:
            here = (rows["model_name"] == model) & (rows["layer_index"] == layer)
            write_annotations(rows[here], folder.annotations_of(model, layer) / "part-00000.parquet")
        models = {model: {} for model, _ in spaces} or {"A": {}}
        config = make_config({"input": "ants.fasta", "prefix": "ants", "embedding": {"models": models}} | settings)
        known = {**MANIFEST, "spaces": [{"model": m, "layer": n, **SPACE} for m, n in spaces]} | (manifest or {})
        if not looked_up:
            known["reference"] = None
        slim = Slim(
            "broad terms", {"GO:S": "a <b>broad</b> term"}, {"GO:S": "BP"}, lambda ids: {i: ["GO:S"] for i in ids}
        )
        return folder, gather_overview(
            folder,
            manifest=known,
            config=config.model_dump(mode="json"),
            spaces=spaces,
            slim=slim if looked_up else None,
            listed=listed,
        )

    return write


SPACE = {"dimension": 32, "profile": "clean", "checkpoint": "somewhere/model", "revision": "r1"}


def hash_of(word):
    return sum(word.encode())
