"""Places that cannot be read or written: one sentence and exit code 2, before any work is done."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from fantasia_dask import cli, locations
from fantasia_dask.errors import InputError
from fantasia_dask.reference import importers, open_reference


@pytest.fixture
def sample(root):
    return root / "fantasia_dask" / "sample"


def command(name, sample, out):
    made = sample / "reference"
    return {
        "merge": ["merge", str(made), str(made), out],
        "subset": ["subset", str(made), out, "--taxon", "9606"],
        "build": ["build", out, "--fasta", str(sample / "reference.fasta"), "--ontology", str(sample / "go.obo"),
                  "--annotations", str(sample / "annotations.tsv"), "--model", "Tiny-ESM2", "--family", "esm2",
                  "--checkpoint", str(sample / "tiny-esm2")],
    }[name]  # fmt: skip


@pytest.fixture
def sentence(capsys):
    """Run a command that fails, and return what it says."""

    def run(*arguments):
        with pytest.raises(SystemExit) as caught:
            cli.main(["reference", *arguments])
        assert caught.value.code == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        return lines[0]

    return run


@pytest.mark.parametrize("name", ["merge", "subset", "build"])
def test_out__cannot_be_written(name, sample, tmp_path, sentence, monkeypatch):
    (tmp_path / "file").write_text("")
    assert "as " in sentence(*command(name, sample, str(tmp_path / "file" / "a" / "out")))
    assert "out is an address, and a reference is made on this machine" in sentence(
        *command(name, sample, "s3://bucket/out")
    )
    monkeypatch.setattr(locations.os, "access", lambda path, mode: Path(path) != tmp_path)
    told = sentence(*command(name, sample, str(tmp_path / "new" / "out")))
    assert told.endswith(f"as {tmp_path} is not writable: put the reference into a folder of your own.")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
    assert not Path("s3:").exists()


@pytest.mark.shared
def test_import__out_cannot_be_written(golden, tmp_path, sentence):
    dump = str(golden / "inputs" / "pis.backup")
    (tmp_path / "file").write_text("")
    assert "as it is no folder" in sentence("import", dump, str(tmp_path / "file" / "out"))
    assert "is an address" in sentence("import", dump, "s3://bucket/out")
    assert "cannot be written" in sentence("import", dump, "/proc/out")


@pytest.mark.parametrize("out", [".", "..", "/", "a/.."])
def test_out__no_name(sample, sentence, monkeypatch, tmp_path, out):
    (tmp_path / "in" / "a").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "in")
    for name in ("merge", "subset", "build"):
        assert "is no name: expected that of the folder to make" in sentence(*command(name, sample, out))
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "a"]


@pytest.mark.parametrize("option", ["annotations", "fasta", "ontology"])
def test_import__standard_input_is_no_source(tmp_path, sentence, option):
    np.savez(tmp_path / "v.npz", P1=np.ones(4, "f4"))
    (tmp_path / "a.tsv").write_text("accession\tgo_id\nP1\tGO:0008150\n")
    given = {"annotations": str(tmp_path / "a.tsv"), option: "-"}
    arguments = [text for name, value in given.items() for text in (f"--{name}", value)]
    told = sentence("import", str(tmp_path / "v.npz"), str(tmp_path / "out"), *arguments)
    assert told.startswith("error: - is standard input, and a reference is made from files")


def test_command__a_folder_that_is_closed(tmp_path, sentence, monkeypatch):
    """Root, as whom tests may run, may look everywhere."""

    def denied(self, *arguments, **named):
        raise PermissionError(13, "Permission denied", os.fspath(self))

    monkeypatch.setattr(Path, "exists", denied)
    told = sentence("info", str(tmp_path / "closed" / "reference"))
    assert told.startswith(f"error: {tmp_path}/closed/reference cannot be written or read, as permission is denied")


@pytest.fixture
def closed(monkeypatch):
    """Have a file refuse to be read, also by those who may read everything."""

    def close(file):
        opened = Path.open

        def denied(self, *arguments, **named):
            if self == file:
                raise PermissionError(13, "Permission denied", os.fspath(file))
            return opened(self, *arguments, **named)

        monkeypatch.setattr(Path, "open", denied)

    return close


def test_source__cannot_be_read(tmp_path, sentence, closed):
    file = tmp_path / "secret.backup"
    file.write_bytes(b"PGDMP")
    closed(file)
    assert sentence("import", str(file), str(tmp_path / "out")) == (
        f"error: {file} cannot be read (Permission denied): change its permissions."
    )


@pytest.mark.parametrize("name", ["manifest.json", "proteins.parquet"])
def test_source__a_reference_that_cannot_be_read(sample, tmp_path, sentence, closed, name):
    made = sample / "reference"
    closed(made / name)
    told = sentence("subset", str(made), str(tmp_path / "out"), "--taxon", "9606")
    assert told == f"error: {made / name} cannot be read (Permission denied): change its permissions."


def test_source__an_address(sample, tmp_path, sentence):
    assert "`fantasia-dask initialize` fetches" in sentence("import", "https://x.org/a.backup", str(tmp_path / "out"))
    arguments = command("merge", sample, str(tmp_path / "out"))
    assert "is an address, and a file on this machine is expected: fetch it" in sentence(
        *arguments, "--ontology", "https://x.org/go.obo"
    )
    assert not (tmp_path / "out").exists()


def test_open_reference__nowhere_and_an_address_of_nothing(tmp_path):
    with pytest.raises(InputError, match=r"expected a reference, as .*build`, .*import` or `.*initialize` makes it"):
        open_reference(tmp_path / "none")
    with pytest.raises(InputError, match=r"zip:///x cannot be opened"):
        open_reference("zip:///x")
    with pytest.raises(InputError, match=r"is a chain of addresses: expected one; unpack what is in an archive"):
        open_reference("zip://ref::file:///x.zip")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("bundle.zip", b"PK", "is an archive: unpack it first"),
        ("bundle.tar.gz", b"\x1f\x8b", "is an archive: unpack it first"),
        ("BioData.backup.gz", b"\x1f\x8b\x08", "(it is packed: unpack it with gunzip)"),
        ("vectors.h5", b"", "truncated file"),
    ],
)
def test_import__what_may_be_done_about_a_source(tmp_path, sentence, name, content, told):
    file = tmp_path / name
    if name.endswith("h5"):
        with h5py.File(file, "w") as vectors:
            vectors["P1"] = np.zeros(1024)
        content = file.read_bytes()[:-100]
    file.write_bytes(content)
    assert told in sentence("import", str(file), str(tmp_path / "out"))


@pytest.mark.parametrize("option", ["ontology", "fasta", "annotations", "taxonomy-dump"])
def test_import__its_other_files_are_looked_at_first(tmp_path, sentence, option, sample, monkeypatch):
    """Before vectors are read, which takes an hour where there are many."""
    monkeypatch.setattr(importers, "import_joined", lambda *_, **__: pytest.fail("the vectors are read"))
    np.savez(tmp_path / "v.npz", ids=["P1"], embeddings=np.ones((1, 4), "f4"))
    given = {
        "ontology": str(sample / "go.obo"),
        "fasta": str(sample / "reference.fasta"),
        "annotations": str(sample / "annotations.tsv"),
        "taxonomy-dump": str(sample / "taxonomy"),
        option: str(tmp_path / "none"),
    }
    options = [part for name, value in given.items() for part in (f"--{name}", value)]
    told = sentence("import", str(tmp_path / "v.npz"), str(tmp_path / "out"), *options)
    assert f"{tmp_path / 'none'} " in told
