from __future__ import annotations

import gzip

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fantasia_dask.annotate.genes import by_gene, genes_in_headers, read_gene_map
from fantasia_dask.errors import InputError


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.data())
@settings(max_examples=80, deadline=None)
def test_by_gene__every_line_once_and_genes_whole(gene_numbers, data):
    accessions = [f"p{i}" for i in range(len(gene_numbers))]
    genes = {a: f"g{n}" for a, n in zip(accessions, gene_numbers, strict=True) if n}  # gene 0: stands for itself
    silent = data.draw(st.sets(st.sampled_from(accessions)))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(accessions)))))
    bounds = list(zip([0, *cuts], [*cuts, len(accessions)], strict=True))
    blocks = [
        pd.DataFrame({"accession": part, "protein": part, "n": range(len(part))}).astype({"accession": "str"})
        for start, stop in bounds
        for part in [[a for a in accessions[start:stop] if a not in silent]]
    ]
    given_out = list(by_gene(blocks, genes, accessions))
    lines = pd.concat(given_out, ignore_index=True) if given_out else pd.DataFrame({"accession": [], "protein": []})
    assert sorted(lines["protein"]) == sorted(set(accessions) - silent)
    assert [genes.get(p, p) for p in lines["protein"]] == lines["accession"].tolist()
    homes = [set(frame["accession"]) for frame in given_out]
    assert sum(map(len, homes)) == len(set().union(*homes)) if homes else True


def test_read_gene_map(tmp_path):
    path = tmp_path / "genes.tsv.gz"
    path.write_bytes(gzip.compress(b"protein\tgene\tmore\nA/B\t=g()\tx\r\n\nNA\tNA\nother\tg\nNA\tNA\n"))
    assert read_gene_map(path, ["A/B", "NA", "00123"]) == {"A/B": "=g()", "NA": "NA"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A/B gene\n", "line 1, has no gene"),
        ("A/B\tg\nNA\t\n", "line 2, has no gene"),
        ("A/B\tg\nA/B\th\n", "line 2: protein 'A/B' has two genes"),
        ("x\tg\n", "names no protein of the run"),
        ("", "names no protein of the run"),
    ],
)
def test_read_gene_map__mistakes(text, message, tmp_path):
    (tmp_path / "genes.tsv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_gene_map(tmp_path / "genes.tsv", ["A/B", "NA"])


def test_genes_in_headers():
    headers = {"P.1": "P.1 pep gene:G1", "P.2": "P.2 pep gene:G1", "Q": "Q", "R": "R gene:"}
    assert genes_in_headers(r"gene:(\S*)", headers) == {"P.1": "G1", "P.2": "G1"}
    with pytest.raises(InputError, match="in no header"):
        genes_in_headers(r"locus=(\S+)", headers)
    assert genes_in_headers("(x)", {}) == {}
