"""A reference of five proteins, with every trouble that its sources can have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fantasia_dask.reference import ReferenceTables, collect, gather_embeddings
from fantasia_dask.schema import Space
from fantasia_dask.store import EmbeddingStore, StoreWriter, open_store

FASTA = """>sp|P1|A_YEAST One OS=Saccharomyces cerevisiae OX=4932 GN=ONE PE=1 SV=1
MKTA
>P2 no taxon
MRT
>sp|P3|C_HUMAN Shares the first sequence OS=Homo sapiens OX=9606 PE=1 SV=1
mkta*
>EMPTY

>P4
MMM
"""

OBO = """data-version: releases/2024-01-01
ontology: go

[Term]
id: GO:0000001
name: current
namespace: molecular_function
alt_id: GO:0000011
subset: goslim_generic

[Term]
id: GO:0000002
name: also current
namespace: biological_process
is_a: GO:0000001

[Term]
id: GO:0000003
name: obsolete, replaced by an alternative id
namespace: cellular_component
is_obsolete: true
replaced_by: GO:0000011

[Term]
id: GO:0000004
name: obsolete, gone
namespace: cellular_component
is_obsolete: true

[Term]
id: GO:0000005
name: replaced in a circle
namespace: cellular_component
is_obsolete: true
replaced_by: GO:0000006

[Term]
id: GO:0000006
name: replaced in a circle
namespace: cellular_component
is_obsolete: true
replaced_by: GO:0000005
"""

ANNOTATIONS = """accession\tgo_id\tevidence\taspect\tqualifier\ttaxon\treference\tdate
P3\tGO:0000002\tIDA\tP\t\t9606\tPMID:1\t20200101
P1\tGO:0000001\tIDA\tF\tenables\t559292\tPMID:1\t20200101
P1\tGO:0000011\tIDA\tF\tenables\t559292\tPMID:1\t20200101
P1\tGO:0000001\tIDA\tF\tenables\t559292\tPMID:2\t20200101
P1\tGO:0000003\tTAS\tC\t\t559292\tPMID:1\t20200101
P1\tGO:0000004\tTAS\tC\t\t559292\tPMID:1\t20200101
P1\tGO:0000005\tTAS\tC\t\t559292\tPMID:1\t20200101
P1\tGO:0000099\tTAS\tC\t\t559292\tPMID:1\t20200101
P1\tGO:0000002\tIDA\tP\tNOT|involved_in\t559292\tPMID:1\t20200101
P2\tGO:0000002\tND\tP\t\t10090\tPMID:1\t20200101
P2\tGO:0000002\tIEA\tP\t\t10090\tPMID:1\t20200101
P2\tGO:0000002\tHDA\tP\t\t10090\tPMID:1\t20200101
P9\tGO:0000002\tIDA\tP\t\t10090\tPMID:1\t20200101
"""


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Path]:
    texts = {"fasta": FASTA, "annotations": ANNOTATIONS, "ontology": OBO}
    names = {"fasta": "r.fasta", "annotations": "a.tsv", "ontology": "go.obo"}
    for name, text in texts.items():
        (tmp_path / names[name]).write_text(text)
    return {name: tmp_path / file for name, file in names.items()}


@pytest.fixture
def tables(sources: dict[str, Path]) -> ReferenceTables:
    return collect(**sources)


@pytest.fixture
def vectors(tmp_path: Path) -> EmbeddingStore:
    """Vectors brought along, in an order of their own, one for a protein that is not in the reference."""
    space = Space("Demo", 0, 2, dtype="float16")
    path = tmp_path / "brought.zarr"
    with StoreWriter(path, ids=["P9", "P2", "sp|P3|C_HUMAN"], sequences=["", "MRT", "MKTA"], spaces=[space]) as writer:
        writer.write(space, 0, np.array([[9, 9], [2, 2], [3, 3]]))
    return open_store(path)


@pytest.fixture
def embeddings(tables: ReferenceTables, vectors: EmbeddingStore, tmp_path: Path) -> Path:
    return gather_embeddings(tables, vectors, tmp_path / "gathered.zarr").path
