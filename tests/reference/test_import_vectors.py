"""References that bring vectors and annotations in files of their own: FANTASIA-Lite, goPredSim."""

from __future__ import annotations

import json
import pickle

import h5py
import numpy as np
import pytest

from fantasia_dask.errors import InputError
from fantasia_dask.progress import Progress
from fantasia_dask.reference import verify_reference
from fantasia_dask.reference.importers import import_reference, kind_of

QUIET = Progress(quiet=True)
OBO = """data-version: today
ontology: go

[Term]
id: GO:0000001
name: one
namespace: molecular_function

[Term]
id: GO:0000002
name: two
namespace: biological_process
"""
FASTA = """>sp|A1|ONE OS=Saccharomyces cerevisiae OX=4932 GN=ONE
MKT
>A2 without
MRT
>A3
mkt*
"""


def term(go_id="GO:0000001", category="MF", description="one", code="IDA"):
    return {"go_id": go_id, "category": category, "go_description": description, "evidence_code": code}


@pytest.fixture
def lite(tmp_path):
    """Two models, of which the second lacks a protein and has another order."""
    folder = tmp_path / "lite"
    folder.mkdir()
    np.savez(
        folder / "lookup_table.npz",
        prot_t5_ids=np.array(["s1", "s2", "s3"]),
        prot_t5_embeddings=np.array([[1, 2], [3, 4], [5, 6]], "float16"),
        ankh3_large_ids=np.array(["s3", "s1"]),
        ankh3_large_embeddings=np.array([[5, 5, 5], [1, 1, 1]], "float32"),
    )
    annotations = {
        "s1": [term(), term("GO:0000002", "BP", "two", "IMP")],
        "s2": [],
        "s3": [term()],
        "s9": [term()],
    }
    (folder / "annotations.json").write_text(json.dumps(annotations))
    (folder / "accessions.json").write_text(json.dumps({"s1": "A1", "s2": "A2", "s3": "A3"}))
    return folder


def test_import_lite(lite, tmp_path):
    assert kind_of(lite) == "lite"
    reference = import_reference(lite, tmp_path / "out", progress=QUIET)
    assert verify_reference(reference.path)
    assert reference.proteins[["row", "accession", "taxon", "sequence"]].values.tolist() == [
        [0, "A1", 0, ""],
        [1, "A2", 0, ""],
        [2, "A3", 0, ""],
    ]
    assert reference.annotations[["protein", "go_id", "aspect", "evidence"]].values.tolist() == [
        [0, "GO:0000001", "F", "IDA"],
        [0, "GO:0000002", "P", "IMP"],
        [2, "GO:0000001", "F", "IDA"],
    ]
    assert reference.terms[["go_id", "name", "aspect"]].values.tolist() == [
        ["GO:0000001", "one", "F"],
        ["GO:0000002", "two", "P"],
    ]
    assert [(str(s), s.dtype, s.profile) for s in reference.spaces] == [
        ("Ankh3-Large layer 0", "float32", "unknown"),
        ("Prot-T5 layer 0", "float16", "unknown"),
    ]
    np.testing.assert_array_equal(reference.vectors("Prot-T5", 0).compute(), [[1, 2], [3, 4], [5, 6]])
    assert reference.store.present("Ankh3-Large", 0).tolist() == [True, False, True]
    np.testing.assert_array_equal(reference.vectors("Ankh3-Large", 0).compute()[[0, 2]], [[1] * 3, [5] * 3])
    assert reference.manifest["counts"]["annotations_other_protein"] == 1


def test_import_lite__fasta_brings_sequences(lite, tmp_path):
    (tmp_path / "r.fasta").write_text(FASTA)
    reference = import_reference(lite, tmp_path / "out", fasta=tmp_path / "r.fasta", profile="clean", progress=QUIET)
    # Proteins of one sequence share a row, with the vector of the first.
    assert reference.proteins[["row", "accession", "taxon", "gene", "sequence"]].values.tolist() == [
        [0, "A1", 4932, "ONE", "MKT"],
        [1, "A2", 0, "", "MRT"],
        [0, "A3", 0, "", "MKT"],
    ]
    np.testing.assert_array_equal(reference.vectors("Prot-T5", 0).compute(), [[1, 2], [3, 4]])
    assert {s.profile for s in reference.spaces} == {"clean"}


def test_import_lite__one_array_and_its_model(lite, tmp_path):
    np.savez(lite / "lookup_table.npz", ids=["s1"], embeddings=np.ones((1, 2), "float32"))
    with pytest.raises(InputError, match="--model"):
        import_reference(lite, tmp_path / "out", progress=QUIET)
    source = lite / "lookup_table.npz"
    reference = import_reference(source, tmp_path / "out", model="Prot-T5", layer=3, progress=QUIET)
    assert [str(space) for space in reference.spaces] == ["Prot-T5 layer 3"]


def test_import_lite__accession_given_twice(lite, tmp_path):
    (lite / "accessions.json").write_text(json.dumps({"s1": "A1", "s2": "A1"}))
    reference = import_reference(lite, tmp_path / "out", progress=QUIET)
    assert reference.proteins["accession"].tolist() == ["A1", "s2", "s3"]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("annotations.json", "[1, 2]", "is a JSON list"),
        ("annotations.json", "{oops", "cannot be read as JSON"),
        ("annotations.json", "[" * 100_000, "cannot be read as JSON"),
        ("annotations.json", '{"s1": {"go_id": "GO:1"}}', "'s1' is no list"),
        ("annotations.json", '{"s1": ["GO:1"]}', "an annotation of 's1'"),
        ("annotations.json", '{"s1": [{"go_id": 1}]}', "an annotation of 's1'"),
        ("annotations.json", '{"s1": [{"category": "MF"}]}', "an annotation of 's1'"),
        ("annotations.json", '{"s1": [{"go_id": "GO:1", "category": "XX"}]}', "category 'XX'"),
        ("annotations.json", "{}", "no annotation"),
        ("accessions.json", '{"s1": ["A1"]}', "the accession of 's1'"),
        ("accessions.json", '{"s1": "s2"}', "'s2' is both"),
        ("accessions.json", None, "is missing"),
        ("annotations.json", None, "is missing"),
        ("lookup_table.npz", "no zip", "cannot be read as npz"),
    ],
)
def test_import_lite__broken(lite, tmp_path, file, content, message):
    (lite / file).unlink()
    if content is not None:
        (lite / file).write_text(content)
    with pytest.raises(InputError, match=message):
        import_reference(lite, tmp_path / "out", progress=QUIET)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lite"]


class Trap:
    def __reduce__(self):
        return pytest.fail, ("a pickle was read",)


@pytest.mark.parametrize("array", ["ids", "embeddings"])
def test_import_lite__pickles_are_not_read(lite, tmp_path, array):
    arrays = {"ids": np.array(["s1"]), "embeddings": np.ones((1, 2), "float32")}
    arrays[array] = np.array([Trap()], dtype=object)
    assert b"pytest" in pickle.dumps(Trap())
    np.savez(lite / "lookup_table.npz", allow_pickle=True, **arrays)
    with pytest.raises(InputError, match="Python objects"):
        import_reference(lite, tmp_path / "out", model="Prot-T5", progress=QUIET)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"other": np.ones(2)}, "no array of vectors"),
        ({"mine_ids": ["s1"], "mine_embeddings": np.ones((1, 2))}, "does not say which model"),
        ({"esm_ids": ["s1"], "esm_embeddings": np.full((1, 2), np.nan)}, "not finite"),
        ({"esm_ids": ["s1"], "esm_embeddings": np.ones((1, 2, 3))}, r"shape \(1, 2, 3\)"),
        ({"esm_ids": ["s1", "s1"], "esm_embeddings": np.ones((2, 2))}, "twice"),
        ({"esm_ids": ["s1", "s2"], "esm_embeddings": np.ones((1, 2))}, "1 rows for 2 ids"),
        (
            {
                "esm_ids": ["s1"],
                "esm_embeddings": np.ones((1, 2)),
                "esm2_ids": ["s1"],
                "esm2_embeddings": np.ones((1, 2)),
            },
            "two arrays of one model",
        ),
    ],
)
def test_import_lite__arrays_of_another_shape(lite, tmp_path, arrays, message):
    np.savez(lite / "lookup_table.npz", **arrays)
    with pytest.raises(InputError, match=message):
        import_reference(lite, tmp_path / "out", progress=QUIET)


# goPredSim ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def gopredsim(tmp_path):
    with h5py.File(tmp_path / "vectors.h5", "w") as file:
        for i, name in enumerate(("A1", "A2", "A3")):
            file[name] = np.full(4, i, "float32")
    (tmp_path / "terms.txt").write_text("A1\tGO:0000001,GO:0000002\nA3\tGO:0000002\n\nA9\tGO:0000001\n")
    (tmp_path / "go.obo").write_text(OBO)
    return tmp_path


def given(folder, **options):
    options = {"annotations": folder / "terms.txt", "ontology": folder / "go.obo", "progress": QUIET} | options
    return import_reference(folder / "vectors.h5", folder / "out", **({"model": "Prot-T5", "layer": 0} | options))


def test_import_gopredsim(gopredsim):
    reference = given(gopredsim)
    assert reference.proteins["accession"].tolist() == ["A1", "A2", "A3"]
    assert reference.annotations[["protein", "go_id", "aspect", "evidence"]].values.tolist() == [
        [0, "GO:0000001", "F", ""],
        [0, "GO:0000002", "P", ""],
        [2, "GO:0000002", "P", ""],
    ]
    np.testing.assert_array_equal(reference.vectors("Prot-T5", 0).compute()[:, 0], [0, 1, 2])
    assert reference.manifest["counts"]["annotations_other_protein"] == 1


def test_import_gopredsim__with_fasta(gopredsim):
    (gopredsim / "r.fasta").write_text(FASTA)
    reference = given(gopredsim, fasta=gopredsim / "r.fasta")
    assert reference.rows == 2
    (gopredsim / "r.fasta").write_text(">other\nMKT\n")
    with pytest.raises(InputError, match="'A1' and others"):
        given(gopredsim, fasta=gopredsim / "r.fasta", overwrite=True)


def test_import_gopredsim__what_it_needs(gopredsim):
    with pytest.raises(InputError, match="reference build --embeddings"):
        given(gopredsim, annotations=None)
    with pytest.raises(InputError, match="--ontology"):
        given(gopredsim, ontology=None)
    with pytest.raises(InputError, match="--model"):
        given(gopredsim, model=None)
    assert not (gopredsim / "out").exists()


@pytest.mark.parametrize(
    "text",
    [
        "!gaf-version: 2.2\n",
        "accession\tgo_id\nA1\tGO:0000001\n",
        "A1 GO:0000001\n",
        "A1\tGO:0000001;GO:2 x\n",
        "\tGO:1\n",
    ],
)
def test_import_gopredsim__other_texts(gopredsim, text):
    (gopredsim / "terms.txt").write_text(text)
    with pytest.raises(InputError, match=r"line 1 of .*terms\.txt"):
        given(gopredsim)


def test_import_gopredsim__other_vectors(gopredsim):
    np.savez(gopredsim / "vectors.npz", ids=["A1"], embeddings=np.ones((1, 2)))
    with pytest.raises(InputError, match="is not goPredSim's"):
        import_reference(
            gopredsim / "vectors.npz",
            gopredsim / "out",
            annotations=gopredsim / "terms.txt",
            ontology=gopredsim / "go.obo",
            progress=QUIET,
        )
    with h5py.File(gopredsim / "vectors.h5", "a") as file:
        file["A4"] = np.ones((3, 4), "float32")
    with pytest.raises(InputError, match="'A4'"):
        given(gopredsim)
    with h5py.File(gopredsim / "vectors.h5", "a") as file:
        del file["A4"]
        file["A4"] = h5py.ExternalLink("elsewhere.h5", "A1")
    with pytest.raises(InputError, match="link"):
        given(gopredsim)
