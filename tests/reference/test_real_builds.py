"""A reference of a real proteome and the GAFs of three, compared with counts of its own."""

from __future__ import annotations

import csv
import gzip
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from fantasia_dask.cli import cli
from fantasia_dask.reference import collect, open_reference, protein_mask, verify_reference

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def go_lines(shared):
    """The ontology read line by line: kinds of ids, with nothing of the package."""
    current, obsolete, alternative = set(), {}, {}
    text = gzip.decompress((shared / "data/ontology/go_2024.obo.gz").read_bytes()).decode()
    for stanza in text.split("\n\n"):
        if stanza.startswith("[Term]"):
            lines = stanza.splitlines()
            go_id = next(line[4:] for line in lines if line.startswith("id: "))
            if "is_obsolete: true" in lines:
                obsolete[go_id] = [line[13:] for line in lines if line.startswith("replaced_by: ")]
            else:
                current.add(go_id)
                alternative |= {line[8:]: go_id for line in lines if line.startswith("alt_id: ")}
    return current, obsolete, alternative


@pytest.fixture(scope="module")
def gafs(shared):
    return [shared / f"data/gaf/{name}.goa.gz" for name in ("S_cerevisiae", "E_coli", "A_mellifera")]


@pytest.fixture(scope="module")
def tables(shared, gafs):
    return collect(shared / "data/fasta/yeast.fasta.gz", gafs, shared / "data/ontology/go_2024.obo.gz")


def test_three_gafs_with_the_yeast_proteome(shared, go_lines, gafs, tables):
    data = shared / "data"
    with gzip.open(data / "fasta/yeast.fasta.gz", "rt") as text:
        yeast = {line.split("|")[1] for line in text if line.startswith(">")}
    codes = {"EXP", "IDA", "IPI", "IMP", "IGI", "IEP", "HTP", "HDA", "HMP", "HGI", "HEP", "TAS", "IC"}
    current, obsolete, alternative = go_lines
    count: Counter[str] = Counter()
    kept = set()
    for gaf in gafs:
        with gzip.open(gaf, "rt") as text:
            for line in csv.reader(text, delimiter="\t", quoting=csv.QUOTE_NONE):
                if line[0].startswith("!"):
                    continue
                count["read"] += 1
                if "NOT" in line[3].split("|"):
                    count["not"] += 1
                elif line[6] == "ND":
                    count["no_data"] += 1
                elif line[6] not in codes:
                    count["other_evidence"] += 1
                elif line[1] not in yeast:
                    count["other_protein"] += 1
                elif line[4] in current:
                    kept.add((line[1], line[4], line[6], line[3], line[5], line[13]))
                elif line[4] in alternative:
                    count["alternative_replaced"] += 1
                    kept.add((line[1], alternative[line[4]], line[6], line[3], line[5], line[13]))
                elif line[4] in obsolete:
                    count["obsolete_dropped" if len(obsolete[line[4]]) != 1 else "obsolete_replaced"] += 1
                else:
                    count["unknown_dropped"] += 1
    for name, number in count.items():
        assert (name, tables.counts[f"annotations_{name}"]) == (name, number)
    assert {"read", "not", "no_data", "other_evidence", "other_protein"} <= set(count)
    assert set(count) & {"alternative_replaced", "obsolete_dropped"}, "real files have ids of other releases"
    assert tables.counts["annotations_obsolete_replaced"] == count["obsolete_replaced"]
    accession = tables.proteins["accession"].to_numpy()[tables.annotations["protein"]]
    columns = (tables.annotations[c] for c in ("go_id", "evidence", "qualifier", "source", "date"))
    assert set(zip(accession, *columns, strict=True)) == kept
    assert tables.counts["proteins"] == len(yeast) == 6067
    assert tables.counts["rows"] == tables.proteins["sequence"].nunique()


def test_three_gafs_build_a_bundle(shared, gafs, tables, tmp_path):
    """The whole way, by the command: with real vectors of the proteome, brought along."""
    data = shared / "data"
    npz = data / "embeddings/yeast_UP000002311_unirep256.npz"
    command = ["reference", "build", str(tmp_path / "yeast"), "--fasta", str(data / "fasta/yeast.fasta.gz")]
    command += [part for gaf in gafs for part in ("--annotations", str(gaf))]
    command += ["--ontology", str(data / "ontology/go_2024.obo.gz"), "--taxonomy-dump", str(data / "taxonomy")]
    command += ["--model", "UniRep", "--layer", "0", "--embeddings", str(npz), "--vectors-key", "last_mean"]
    assert CliRunner().invoke(cli, command, catch_exceptions=False).exit_code == 0
    assert verify_reference(tmp_path / "yeast")
    reference = open_reference(tmp_path / "yeast")
    for name in ("proteins", "annotations", "terms", "relations"):
        pd.testing.assert_frame_equal(getattr(reference, name), getattr(tables, name).reset_index(drop=True))
    counts = reference.manifest["counts"]
    assert tables.counts.items() <= counts.items()
    with np.load(npz) as held:
        brought = dict(zip(held["ids"].tolist(), held["last_mean"], strict=True))
    expected = np.stack([brought[accession] for accession in reference.store.ids])
    np.testing.assert_array_equal(reference.vectors("UniRep", 0).compute(), expected)
    # 4932 is the species of the strain that the proteome is of.
    fungi = protein_mask(reference.proteins, include=["Fungi"], taxonomy=reference.taxonomy, descendants=True)
    assert fungi.all()
