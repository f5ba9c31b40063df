"""A reference of 15,279 real proteins, from FASTA and a table, embedded in two processes."""

from __future__ import annotations

import numpy as np
import pytest

from fantasia_dask.progress import Progress
from fantasia_dask.reference import open_reference, verify_reference
from fantasia_dask.sequences import read_fasta


@pytest.mark.shared
@pytest.mark.slow
def test_e2e_set_on_two_processes(shared, tmp_path, smallest_esm_folder):
    """All 15,279 proteins, cut to 150 residues: whole, they take two minutes on two busy cores and pass as well."""
    from distributed import Client, LocalCluster

    from fantasia_dask import build_reference

    data = shared / "data"
    # The accession within, and the taxon: a cut sequence may be that of another protein too.
    with (tmp_path / "cut.fasta").open("w") as cut:
        for protein in read_fasta(data / "e2e/reference.fasta.gz"):
            cut.write(f">{protein.accession} {protein.description}\n{protein.sequence[:150]}\n")
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        reference = build_reference(
            tmp_path / "e2e",
            fasta=tmp_path / "cut.fasta",
            annotations=data / "e2e/reference_annotations.tsv.gz",
            ontology=data / "ontology/go_2024.obo.gz",
            taxonomy_dump=data / "taxonomy",
            model="Smallest",
            layers=(0, 1),
            family="esm2",
            checkpoint=smallest_esm_folder,
            dtype="float16",
            client=client,
            progress=Progress(quiet=True),
        )
    assert verify_reference(reference.path) > 10
    again = open_reference(tmp_path / "e2e")
    assert len(again.proteins) == 15_279
    assert again.rows == again.proteins["sequence"].nunique()
    assert again.annotations["protein"].nunique() > 15_000
    assert [(str(space), space.dimension, space.profile) for space in again.spaces] == [
        ("Smallest layer 0", 8, "clean"),
        ("Smallest layer 1", 8, "clean"),
    ]
    for layer in (0, 1):
        assert again.store.present("Smallest", layer).all()
        assert np.isfinite(again.vectors("Smallest", layer).compute()).all()
    # Some rows, computed one by one in this process with transformers alone.
    import torch
    from transformers import AutoTokenizer, EsmModel

    model = EsmModel.from_pretrained(smallest_esm_folder, add_pooling_layer=False, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(smallest_esm_folder)
    stored = again.vectors("Smallest", 0).compute().astype("float32")
    for row in np.random.default_rng(0).choice(again.rows, 20, replace=False):
        with torch.no_grad():
            hidden = model(**tokenizer(again.store.sequences[row], return_tensors="pt")).last_hidden_state[0, 1:-1]
        np.testing.assert_allclose(stored[row], hidden.mean(0).numpy(), rtol=2e-3, atol=2e-3)
