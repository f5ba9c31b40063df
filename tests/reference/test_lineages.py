"""The lineages that a reference carries: made once from a dump, kept in the bundle, enough without it."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pandas as pd
import pytest
from click.testing import CliRunner

from fantasia_dask.cli import cli
from fantasia_dask.errors import FantasiaWarning, InputError
from fantasia_dask.reference import (
    Taxonomy,
    collect,
    describe,
    open_reference,
    protein_mask,
    verify_reference,
    with_taxonomy,
    write_reference,
)
from fantasia_dask.reference.importers import merge_references, subset_reference
from fantasia_dask.reference.lineages import taxonomy_table


@pytest.fixture
def dump(tmp_path):
    """Root 1; 4751 Fungi > 4932 yeast; 9606 human; 41870 was merged into yeast, 9605 into a taxon of no interest."""
    folder = tmp_path / "dump"
    folder.mkdir()
    nodes = [
        (1, 1, "no rank"),
        (4751, 1, "kingdom"),
        (4932, 4751, "species"),
        (9606, 1, "species"),
        (562, 1, "species"),
    ]
    rest = "\t|\t".join(["", "0", "1", "11", "1", "0", "1", "1", "0", ""])
    (folder / "nodes.dmp").write_text("".join(f"{t}\t|\t{p}\t|\t{r}\t|\t{rest}\t|\n" for t, p, r in nodes))
    names = {1: "root", 4751: "Fungi", 4932: "Saccharomyces cerevisiae", 9606: "Homo sapiens", 562: "Escherichia coli"}
    (folder / "names.dmp").write_text("".join(f"{t}\t|\t{n}\t|\t\t|\tscientific name\t|\n" for t, n in names.items()))
    (folder / "merged.dmp").write_text("41870\t|\t4932\t|\n9605\t|\t562\t|\n")
    return folder


def test_taxonomy_table__only_what_is_needed(dump):
    table = taxonomy_table(dump, [4932, 0, 77])
    assert table.to_numpy().tolist() == [
        [1, 0, "no rank", "root"],
        [4751, 1, "kingdom", "Fungi"],
        [4932, 4751, "species", "Saccharomyces cerevisiae"],
        [41870, 4932, "merged", ""],
    ]
    pd.testing.assert_frame_equal(taxonomy_table(dump, [41870]), table)
    assert taxonomy_table(dump, []).empty


def test_taxonomy__circle():
    taxonomy = Taxonomy({1: 2, 2: 1}, {}, {})
    with pytest.raises(InputError, match="runs in a circle at taxon 1"):
        taxonomy.lineages  # noqa: B018


def test_bundle__carries_its_lineages(sources, embeddings, dump, tmp_path):
    tables = collect(**sources, taxonomy_dump=dump)
    bundle = write_reference(tmp_path / "ref", tables=tables, embeddings=embeddings)
    assert verify_reference(bundle.path)
    assert [source["name"] for source in bundle.manifest["sources"]][-3:] == ["nodes.dmp", "names.dmp", "merged.dmp"]
    # Of 4932, 9606 and mouse, the dump does not know the last.
    assert bundle.manifest["counts"]["taxa_without_lineage"] == 1
    shutil.rmtree(dump)
    reference = open_reference(bundle.path)
    assert "lineages     of 2 of its 3 taxa: others need a dump" in describe(bundle.path)
    assert reference.taxonomy.lineages[41870] == (41870, 4932, 4751, 1)
    with pytest.warns(FantasiaWarning, match=r"1 proteins .* \(10090\)"):
        fungi = protein_mask(reference.proteins, include=["Fungi"], taxonomy=reference.taxonomy, descendants=True)
    assert reference.proteins["accession"][fungi].tolist() == ["P1"]
    (bundle.path / "taxonomy.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"taxonomy\.parquet is damaged"):
        open_reference(bundle.path).taxonomy  # noqa: B018


def test_bundle__without_lineages_is_as_before(tables, embeddings, tmp_path):
    reference = write_reference(tmp_path / "ref", tables=tables, embeddings=embeddings)
    assert not (reference.path / "taxonomy.parquet").exists()
    assert reference.taxonomy is None
    assert "lineages     none: clades need a taxonomy dump" in describe(reference.path)


def test_subset__a_clade_by_the_lineages_that_the_reference_carries(sources, embeddings, dump, tmp_path):
    tables = collect(**sources, taxonomy_dump=dump)
    whole = write_reference(tmp_path / "whole", tables=tables, embeddings=embeddings).path
    shutil.rmtree(dump)
    command = ["reference", "subset", str(whole), str(tmp_path / "fungi"), "--taxon", "Fungi"]
    with pytest.warns(FantasiaWarning, match=r"1 proteins .* \(10090\)"):
        assert CliRunner().invoke(cli, command, catch_exceptions=False).exit_code == 0
    assert open_reference(tmp_path / "fungi").proteins["accession"].tolist() == ["P1"]
    with pytest.raises(InputError, match=r"'Fungy'.*Did you mean fungi"):
        subset_reference(whole, tmp_path / "out", taxa=["Fungy"])


def test_bundle__lineages_survive_subset_and_merge(tables, embeddings, dump, tmp_path):
    whole = write_reference(tmp_path / "a", tables=with_taxonomy(tables, dump), embeddings=embeddings).path
    plain = write_reference(tmp_path / "b", tables=replace(tables, taxonomy=None), embeddings=embeddings).path
    with pytest.warns(FantasiaWarning, match=r"1 proteins .* \(10090\)"):
        part = subset_reference(whole, tmp_path / "part", taxa=[4932])
    with pytest.warns(FantasiaWarning, match="1 taxa have no lineage in either reference, 10090 for instance"):
        both = merge_references(plain, whole, tmp_path / "both")
    assert both.manifest["counts"]["taxa_without_lineage"] == 1
    for reference in (part, both):
        pd.testing.assert_frame_equal(reference.taxonomy_table, open_reference(whole).taxonomy_table)
