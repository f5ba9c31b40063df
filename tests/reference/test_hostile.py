"""Sources that are broken or mean harm: one sentence, exit code 2, and the bundle that was there untouched."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from fantasia_dask import cli
from fantasia_dask.testing import simulate_reference

OBO = "data-version: x\nontology: go\n\n[Term]\nid: GO:0000001\nname: one\nnamespace: molecular_function\n"
ANNOTATION = (
    "UniProtKB",
    "P1",
    "x",
    "enables",
    "GO:0000001",
    "PMID:1",
    "IDA",
    "",
    "F",
    "",
    "",
    "protein",
    "taxon:9606",
)
GAF = "!gaf-version: 2.2\n" + "\t".join((*ANNOTATION, "20200101", "X", "", ""))
NODES = "".join(f"{taxon}\t|\t{parent}\t|\tspecies\t|\n" for taxon, parent in ((1, 1), (9606, 9605)))
NAMES = "".join(f"{taxon}\t|\t{name}\t|\t\t|\tscientific name\t|\n" for taxon, name in ((1, "root"), (9606, "man")))


class Trap:
    def __reduce__(self):
        return pytest.fail, ("a pickle was read",)


@pytest.fixture
def files(tmp_path):
    """Small sources without a fault, for each test to harm one of them."""
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["P1"] = np.ones(4, "float32")
    (tmp_path / "lite").mkdir()
    np.savez(tmp_path / "lite" / "lookup_table.npz", esm_ids=["P1"], esm_embeddings=np.ones((1, 4)))
    entry = {"go_id": "GO:0000001", "category": "MF", "go_description": "one", "evidence_code": "IDA"}
    (tmp_path / "lite" / "annotations.json").write_text(json.dumps({"P1": [entry]}))
    (tmp_path / "lite" / "accessions.json").write_text("{}")
    (tmp_path / "taxa").mkdir()
    for name, text in (
        ("r.fasta", ">sp|P1|ONE OX=9606\nMKT\n"), ("a.gaf", GAF), ("go.obo", OBO), ("taxa/nodes.dmp", NODES),
        ("taxa/names.dmp", NAMES), ("taxa/merged.dmp", ""),
    ):  # fmt: skip
        (tmp_path / name).write_text(text)
    return tmp_path


def harm_npz(folder):
    array = np.array([Trap()], dtype=object)
    np.savez(folder / "lite" / "lookup_table.npz", allow_pickle=True, esm_ids=["P1"], esm_embeddings=array)


def harm_link(folder):
    with h5py.File(folder / "v.h5", "w") as file:
        file["P1"] = h5py.ExternalLink("/etc/passwd", "x")


def harm_3d(folder):
    with h5py.File(folder / "v.h5", "w") as file:
        file["P1"] = np.ones((2, 3, 4), "float32")


def harm_cycle(folder):
    (folder / "go.obo").write_text(OBO + "is_a: GO:0000002\n\n[Term]\nid: GO:0000002\nname: b\nis_a: GO:0000001\n")


def write(name, text):
    return lambda folder: (folder / name).write_text(text)


VECTORS = ["import", "v.h5", "--annotations", "a.gaf", "--ontology", "go.obo", "--fasta", "r.fasta"]
VECTORS += ["--model", "Sim", "--layer", "0"]
LITE = ["import", "lite"]
BUILD = ["build", "--fasta", "r.fasta", "--annotations", "a.gaf", "--ontology", "go.obo", "--model", "Sim"]
BUILD += ["--embeddings", "v.h5", "--taxonomy-dump", "taxa"]


def run(folder, words, monkeypatch):
    monkeypatch.chdir(folder)
    place = 2 if words[0] == "import" else 1
    with pytest.raises(SystemExit) as caught:
        cli.main(["reference", *words[:place], "out", *words[place:], "--overwrite"])
    return caught.value.code


@pytest.mark.parametrize(
    ("words", "harm", "said"),
    [
        (["import", "d.backup"], write("d.backup", "PGDMP\1\16\0\4\10"), "d.backup"),
        (LITE, harm_npz, "Python objects"),
        (LITE, write("lite/annotations.json", "[1, 2]"), "is a JSON list"),
        (LITE, write("lite/annotations.json", '{"P1": [{"go_id": ["GO:1"]}]}'), "an annotation of 'P1'"),
        (VECTORS, harm_link, "is a link"),
        (VECTORS, harm_3d, "an array of shape (2, 3, 4)"),
        (VECTORS, write("a.gaf", "!gaf-version: 2.2\nUniProtKB\tP1\tx\n"), "line 2 of a.gaf has 3 columns"),
        (BUILD, write("a.gaf", "!gaf-version: 2.2\nUniProtKB\tP1\tx\n"), "line 2 of a.gaf has 3 columns"),
        (BUILD, harm_cycle, "circle"),
        (VECTORS, harm_cycle, "circle"),
        (BUILD, lambda folder: None, "taxon 9606 has no parent in nodes.dmp"),
        (
            [*VECTORS, "--taxonomy-dump", "taxa"],
            lambda folder: None,
            "taxon 9606 has no parent in nodes.dmp",
        ),
        (VECTORS, write("v.h5", "<!DOCTYPE html><html>"), "is no reference that can be imported (a web page)"),
        (BUILD, write("go.obo", "<!DOCTYPE html>\n<html>\n"), "cannot be read as OBO"),
        (BUILD, write("r.fasta", "<html>\n"), "r.fasta"),
    ],
)
def test_hostile(files, words, harm, said, monkeypatch, capsys):
    simulate_reference(files / "out", 12)
    before = {path: path.read_bytes() for path in sorted((files / "out").rglob("*")) if path.is_file()}
    listed = sorted(path.name for path in files.iterdir())
    harm(files)
    assert run(files, words, monkeypatch) == 2
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    [line] = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert said in line
    assert {path: path.read_bytes() for path in sorted((files / "out").rglob("*")) if path.is_file()} == before
    assert {path.name for path in files.iterdir()} - set(listed) <= {"d.backup"}


def test_hostile__without_harm_all_of_them_work(files, monkeypatch):
    (files / "taxa" / "nodes.dmp").write_text(NODES + "9605\t|\t1\t|\tgenus\t|\n")
    simulate_reference(files / "out", 12)
    for words in (LITE, VECTORS, BUILD, [*VECTORS, "--taxonomy-dump", "taxa"]):
        assert run(files, words, monkeypatch) == 0


@pytest.mark.shared
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_hostile__truncated_dump(files, golden, share, monkeypatch, capsys):
    simulate_reference(files / "out", 12)
    dump = (golden / "inputs" / "pis.backup").read_bytes()
    (files / "d.backup").write_bytes(dump[: int(len(dump) * share)])
    before = (files / "out" / "checksums.json").read_bytes()
    assert run(files, ["import", "d.backup", "--reader", "python"], monkeypatch) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert (files / "out" / "checksums.json").read_bytes() == before
