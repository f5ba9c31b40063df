"""A reference whose vectors are computed by workers that run already."""

from __future__ import annotations

import shutil

import numpy as np

from fantasia_dask.cli import main
from fantasia_dask.reference import open_reference


def test_reference_build__on_a_cluster_that_runs_already(root, tmp_path, start_scheduler, start_worker, capsys):
    sample = root / "fantasia_dask" / "sample"
    shutil.copytree(sample / "tiny-esm2", tmp_path / "tiny")
    file = tmp_path / "scheduler.json"
    command = ["reference", "build", tmp_path / "out", "--fasta", sample / "reference.fasta"]
    command += ["--annotations", sample / "annotations.tsv", "--ontology", sample / "go.obo"]
    command += ["--model", "Tiny-ESM2", "--family", "esm2", "--checkpoint", tmp_path / "tiny", "--layer", "0"]
    with start_scheduler(file), start_worker(file, tmp_path / "worker"):
        code = 0
        try:
            main([*map(str, command), "--scheduler-file", str(file)])
        except SystemExit as end:
            code = end.code
    assert code == 0, capsys.readouterr().err
    assert "Tiny-ESM2  0" in capsys.readouterr().out
    made, bundled = open_reference(tmp_path / "out"), open_reference(sample / "reference")
    np.testing.assert_allclose(
        made.vectors("Tiny-ESM2", 0).compute(), bundled.vectors("Tiny-ESM2", 0).compute(), atol=1e-4
    )
    assert not list(tmp_path.glob(".out*"))
