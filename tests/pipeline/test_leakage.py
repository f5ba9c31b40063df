"""Taxon, identity and date keep donors away in one lookup; each is looked at independently afterwards."""

from __future__ import annotations

import csv

import pandas as pd
import parasail
import pytest

from fantasia_dask import build_reference
from fantasia_dask.errors import InputError
from fantasia_dask.progress import Progress
from fantasia_dask.reference import open_reference
from fantasia_dask.run_folder import RunFolder

LATE = {"P01308": "20240615", "P69905": "20230101", "P68871": "20220101"}


@pytest.fixture(scope="module")
def dated(sample, tmp_path_factory):
    """The sample's reference with annotations of three years; some proteins have late ones alone."""
    folder = tmp_path_factory.mktemp("dated")
    with (sample / "annotations.tsv").open() as file:
        lines = list(csv.DictReader(file, delimiter="\t"))
    for i, line in enumerate(lines):
        line["date"] = LATE.get(line["accession"], ("20180101", "20190630", "20230301")[i % 3])
    with (folder / "annotations.tsv").open("w") as file:
        writer = csv.DictWriter(file, list(lines[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(lines)
    build_reference(
        folder / "reference",
        fasta=sample / "reference.fasta",
        annotations=folder / "annotations.tsv",
        ontology=sample / "go.obo",
        taxonomy_dump=sample / "taxonomy",
        model="Tiny-ESM2",
        layers=(0, 1),
        family="esm2",
        checkpoint=sample / "tiny-esm2",
        device="cpu",
        progress=Progress(quiet=True),
    )
    return folder / "reference"


def rows_of(config):
    return pd.read_parquet(RunFolder(config.run_folder).annotations)


def identity(one, other, align):
    traced = align(one, other, 10, 1, parasail.blosum62).traceback
    return sum(a == b for a, b in zip(traced.query, traced.ref, strict=True)) / len(traced.query)


def test_leakage__taxon_identity_and_date_in_one_lookup(sample_config, dated, run_quietly):
    everything = {"reference": str(dated), "limit_per_entry": 40}
    open_config = sample_config(prefix="open", **everything)
    run_quietly(open_config)
    filters = {
        "taxonomy_ids_to_exclude": ["Escherichia"],
        "get_descendants": True,
        "redundancy_filter": 0.8,
        "redundancy_mode": "identity",
        "annotations_before": "2020-01-31",
    }
    config = sample_config(prefix="strict", **everything, **filters)
    run_quietly(config)
    allowed, strict = rows_of(open_config), rows_of(config)
    reference = open_reference(dated)
    early = reference.annotations[reference.annotations["date"] < "20200131"]
    early = early.merge(reference.proteins[["protein", "accession"]], on="protein")
    pairs = set(zip(early["accession"], early["go_id"], strict=True))

    def identities(rows, align):
        pairs = zip(rows["sequence_query"], rows["sequence_reference"], strict=True)
        return pd.Series([identity(*pair, align) for pair in pairs], rows.index, dtype="float64")

    def clean(rows):
        of_others = ~rows["organism"].str.startswith("Escherichia")
        known = pd.Series([pair in pairs for pair in zip(rows["protein_id"], rows["go_id"], strict=True)], rows.index)
        return (identities(rows, parasail.nw_trace_striped_32) < 0.8) & of_others & known

    assert clean(strict).all()
    # And nothing else was kept away, k being larger than the reference, but copies of a part of the query.
    columns = ["accession", "layer_index", "protein_id", "go_id"]
    left = allowed[clean(allowed)].drop_duplicates(columns)  # a term may have been found early and late
    kept = pd.MultiIndex.from_frame(left[columns]).isin(pd.MultiIndex.from_frame(strict[columns]))
    assert len(strict.drop_duplicates(columns)) == kept.sum() < len(left) < len(allowed)
    assert (identities(left[~kept], parasail.sw_trace_striped_32) >= 0.8).all()
    assert not set(strict["protein_id"]) & set(LATE)


def test_leakage__a_day_redoes_what_it_touches(sample_config, dated, run_quietly):
    config = sample_config(reference=str(dated))
    run_quietly(config)
    before = rows_of(config)
    run_quietly(sample_config(reference=str(dated), annotations_before="2020-01-31"))
    assert not set(rows_of(config)["protein_id"]) & set(LATE)
    run_quietly(sample_config(reference=str(dated)))
    pd.testing.assert_frame_equal(rows_of(config), before)


def test_leakage__days_that_leave_nothing(sample_config, dated, lookup_config, run_quietly):
    with pytest.raises(InputError, match=r"no annotation of reference .* is of before 1990-01-01"):
        run_quietly(sample_config(reference=str(dated), annotations_before="1990-01-01"))
    with pytest.raises(InputError, match=r"none of the .* annotations has a date"):
        run_quietly(lookup_config(annotations_before="2020-01-01"))
