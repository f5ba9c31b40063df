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


@pytest.fixture
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
