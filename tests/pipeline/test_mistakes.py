"""A mistake of the user is one sentence on standard error, exit code 2, and nothing half-written."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from fantasia_dask.cli import main


@pytest.fixture
def complain(capsys):
    """Run a command that must be refused; return its complaint."""

    def go(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert end.value.code == 2
        assert captured.out == ""
        assert "Traceback" not in captured.err
        complaint = captured.err.strip().splitlines()[-1]
        assert complaint.startswith("error: ")
        return complaint

    return go


@pytest.fixture
def config_file(sample, tmp_path):
    """A configuration of the bundled sample on disk, free to be changed."""
    settings = {
        "input": str(sample / "queries.fasta"),
        "reference": str(sample / "reference"),
        "base_directory": str(tmp_path / "runs"),
        "embedding": {
            "device": "cpu",
            "models": {"Tiny-ESM2": {"family": "esm2", "checkpoint": str(sample / "tiny-esm2"), "layer_index": [0]}},
        },
    }
    path = tmp_path / "ants.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


FASTA = {
    "empty": ("", "holds no protein: expected FASTA"),
    "text": ("hello, world\n", "is not FASTA: it begins with 'hello, world'"),
    "duplicate": (">P1\nMKT\n>P1\nMRT\n", "protein 'P1' is named twice, in records 1 and 2 of"),
    "digit": (">P1\nMK7T\n", "(line 1 of"),
}


@pytest.mark.parametrize("kind", FASTA)
def test_run__fasta(complain, config_file, tmp_path, kind):
    text, complaint = FASTA[kind]
    (tmp_path / "in.fasta").write_text(text)
    assert complaint in complain("run", config_file, "--input", tmp_path / "in.fasta")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--input", "nowhere.fasta"], "nowhere.fasta does not exist: expected a file"),
        (["--reference", "nowhere"], "nowhere"),
        (["--only-lookup", "--only-embedding"], "only_lookup and only_embedding are both true"),
        (["--set", "embedding.distence_metric=cosine"], "Did you mean embedding.distance_metric?"),
        (
            ["--set", "embedding.models.Tiny-ESM2.layer_index=[0,7]"],
            "layer 7 is not in Tiny-ESM2: it has layers 0 .. 4",
        ),
        (["--set", "embedding.models.Tiny-ESM2.checkpoint=nowhere"], "nowhere"),
        (["--set", "embedding.models.Prot-T6.enabled=true"], "unknown model Prot-T6. Did you mean Prot-T5?"),
        (["--set", "embedding.profile=pis-3.1"], "Set embedding.profile: clean"),
        (["--set", "embedding.profile=mean"], "embedding.profile"),
        (["--limit-per-entry", "0"], "limit_per_entry"),
        (["--set", "taxonomy_ids_to_exclude=[Martians]"], "Martians"),
        (["--set", "taxonomy_dump=nowhere", "--set", "taxonomy_ids_to_exclude=[4751]"], "nowhere"),
        (["--set", "ontology=nowhere.obo"], "nowhere.obo"),
        (["--prefix", "../elsewhere"], "prefix"),
    ],
)
def test_run__settings(complain, config_file, tmp_path, monkeypatch, arguments, complaint):
    monkeypatch.chdir(tmp_path)
    assert complaint in complain("run", config_file, *arguments)
    assert not (tmp_path / "runs").exists()


def test_run__missing_configuration(complain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "nowhere.yaml" in complain("run", "nowhere.yaml")
    assert "no configuration is given" in complain("run")


def test_run__in_a_process_of_its_own(config_file, tmp_path):
    (tmp_path / "in.fasta").write_text("")
    command = [sys.executable, "-m", "fantasia_dask", "run", str(config_file), "--input", str(tmp_path / "in.fasta")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"error: {tmp_path / 'in.fasta'} holds no protein: expected FASTA, with at least one '>' header."
    ]


BUILD = ["reference", "build"]


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("annotations", "accession\tgo_id\nP1\tGO:1\textra\n", "annotations"),
        ("annotations", "", "annotations"),
        ("ontology", "not an ontology\n", "ontology"),
        ("fasta", "", "holds no protein"),
    ],
)
def test_reference_build__broken_sources(complain, sample, tmp_path, name, text, complaint):
    files = {
        "fasta": sample / "reference.fasta",
        "annotations": sample / "annotations.tsv",
        "ontology": sample / "go.obo",
    }
    files[name] = tmp_path / f"{name}{files[name].suffix}"
    files[name].write_text(text)
    flags = [item for key, path in files.items() for item in (f"--{key}", path)]
    model = ["--model", "Tiny-ESM2", "--family", "esm2", "--checkpoint", sample / "tiny-esm2", "--layer", "0"]
    assert complaint in complain(*BUILD, tmp_path / "reference", *flags, *model)
    assert not (tmp_path / "reference").exists()
    assert [path.name for path in tmp_path.iterdir()] == [files[name].name]


def test_reference_build__an_existing_reference_is_left_alone(complain, sample, tmp_path):
    flags = ["--fasta", sample / "reference.fasta", "--annotations", sample / "annotations.tsv"]
    model = ["--ontology", sample / "go.obo", "--model", "ESM", "--layer", "0"]
    before = sorted(path.name for path in (sample / "reference").iterdir())
    assert "holds a reference already" in complain(*BUILD, sample / "reference", *flags, *model)
    assert sorted(path.name for path in (sample / "reference").iterdir()) == before


def test_reference_verify__names_the_damaged_file(complain, sample, tmp_path):
    import shutil

    shutil.copytree(sample / "reference", tmp_path / "reference")
    with (tmp_path / "reference" / "proteins.parquet").open("r+b") as file:
        file.seek(200)
        file.write(b"\xff")
    assert "proteins.parquet" in complain("reference", "verify", tmp_path / "reference")


def test_run__a_damaged_reference_is_named(complain, sample, config_file, tmp_path):
    import shutil

    shutil.copytree(sample / "reference", tmp_path / "reference")
    chunk = tmp_path / "reference/embeddings.zarr/models/Tiny-ESM2/layer_0/vectors/c/0/0"
    chunk.write_bytes(chunk.read_bytes()[:-9] + b"123456789")
    assert "is damaged" in complain("run", config_file, "--reference", tmp_path / "reference")
    chunk.unlink()
    assert "c/0/0 is missing" in complain("run", config_file, "--reference", tmp_path / "reference")
    assert not list((tmp_path / "runs").rglob("summary.csv"))
