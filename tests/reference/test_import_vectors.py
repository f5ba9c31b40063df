"""References that bring vectors and annotations in files of their own: FANTASIA-Lite, goPredSim."""

from __future__ import annotations

import io
import json
import pickle

import h5py
import numpy as np
import pytest

from fantasia_dask.errors import FantasiaWarning, InputError
from fantasia_dask.progress import Progress
from fantasia_dask.reference import verify_reference
from fantasia_dask.reference.bundle import describe
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
    with pytest.raises(InputError, match="of other proteins \\('A1', where the reference has 'other'\\)"):
        given(gopredsim, fasta=gopredsim / "r.fasta", overwrite=True)
    assert verify_reference(gopredsim / "out")


def test_import_gopredsim__what_it_needs(gopredsim):
    with pytest.raises(InputError, match="--annotations"):
        given(gopredsim, annotations=())
    with pytest.raises(InputError, match="--ontology"):
        given(gopredsim, ontology=None)
    with pytest.raises(InputError, match="--model"):
        given(gopredsim, model=None)
    assert not (gopredsim / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no table of annotations"),
        ("A1 GO:0000001\n", "is no table of annotations"),
        ("A1\tGO:0000001;GO:2 x\n", r"line 1 of .*terms\.txt"),
        ("\tGO:0000001\n", "is no table of annotations|has no accession"),
        ("A1\tGO:0000001\nA2 GO:0000001\n", r"line 2 of .*terms\.txt is 'A2 GO"),
    ],
)
def test_import_gopredsim__other_texts(gopredsim, text, message):
    (gopredsim / "terms.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        given(gopredsim)


def test_import_gopredsim__other_vectors(gopredsim):
    with h5py.File(gopredsim / "vectors.h5", "a") as file:
        file["A4"] = np.ones((3, 4), "float32")
    with pytest.raises(InputError, match="'A4'"):
        given(gopredsim)
    with h5py.File(gopredsim / "vectors.h5", "a") as file:
        del file["A4"]
        file["A4"] = h5py.ExternalLink("elsewhere.h5", "A1")
    with pytest.raises(InputError, match="link"):
        given(gopredsim)


# Vectors joined with GAF, GPAD, tables and FASTA --------------------------------------------------------------------

GAF = """!gaf-version: 2.2
UniProtKB\tA1\tx\tenables\tGO:0000001\tPMID:1\tIDA\t\tF\t\t\tprotein\ttaxon:9606\t20200101\tX\t\t
UniProtKB\tA2\tx\tenables\tGO:0000001\tPMID:1\tIEA\t\tF\t\t\tprotein\ttaxon:9606\t20200101\tX\t\t
UniProtKB\tA3\tx\tNOT|enables\tGO:0000001\tPMID:1\tIDA\t\tF\t\t\tprotein\ttaxon:9606\t20200101\tX\t\t
UniProtKB\tA3\tx\tinvolved_in\tGO:0000002\tPMID:1\tIMP\t\tP\t\t\tprotein\ttaxon:9606\t20200101\tX\t\t
UniProtKB\tA9\tx\tinvolved_in\tGO:0000002\tPMID:1\tIMP\t\tP\t\t\tprotein\ttaxon:9606\t20200101\tX\t\t
"""
NAMES = ["A2", "sp|A1|ONE", "A/4", "A3"]
VALUES = np.array([[2, 2, 2], [1, 1, 1], [4, 4, 4], [3, 3, 3]], "float16")


def write_vectors(folder, layout):
    """The same four vectors in every layout that can be imported."""
    import zarr

    if layout == "npz":
        np.savez(folder / "v.npz", ids=NAMES, embeddings=VALUES)
        return folder / "v.npz"
    if layout == "per-protein":
        with h5py.File(folder / "v.h5", "w") as file:
            for name, vector in zip(NAMES, VALUES, strict=True):
                file[name] = vector
        return folder / "v.h5"
    if layout == "hdf5":
        with h5py.File(folder / "v.h5", "w") as file:
            file["ids"], file["embeddings"] = NAMES, VALUES
        return folder / "v.h5"
    root = zarr.open_group(folder / "v.zarr", mode="w", zarr_format=3 if layout == "zarr3" else 2)
    root.create_array("ids", data=np.arange(4))
    names = root.create_array("t5_ids", shape=4, dtype=str if layout == "zarr3" else "S9")
    names[...] = np.array(NAMES, object if layout == "zarr3" else "S9")
    root.create_array("t5_embeddings", data=VALUES, chunks=(2, 3))
    return folder / "v.zarr"


@pytest.mark.parametrize("layout", ["npz", "per-protein", "hdf5", "zarr2", "zarr3"])
@pytest.mark.parametrize("with_fasta", [True, False])
def test_import_joined(tmp_path, layout, with_fasta):
    source = write_vectors(tmp_path, layout)
    for name, text in (("a.gaf", GAF), ("go.obo", OBO), ("r.fasta", FASTA)):
        (tmp_path / name).write_text(text)
    assert kind_of(source) == "vectors"
    reference = import_reference(
        source,
        tmp_path / "out",
        annotations=tmp_path / "a.gaf",
        fasta=tmp_path / "r.fasta" if with_fasta else None,
        ontology=tmp_path / "go.obo",
        model="Prot-T5",
        layer=0,
        profile="clean",
        progress=QUIET,
    )
    assert verify_reference(reference.path)
    accession = reference.proteins["accession"]
    vector = reference.vectors("Prot-T5", 0).compute()[reference.proteins["row"]]
    number = {"A1": 1, "A2": 2, "A3": 3, "A/4": 4}
    assert set(accession) == (set(number) - {"A/4"} if with_fasta else set(number))
    for name, row in zip(accession, vector, strict=True):
        # A1 and A3 are one sequence of the FASTA: the row has the vector that the file names first, and HDF5 sorts.
        first = "A3" if layout == "per-protein" else "A1"
        assert row.tolist() == [number[first if with_fasta and name in ("A1", "A3") else name]] * 3
    lines = reference.annotations.merge(reference.proteins, on="protein")
    assert lines[["accession", "go_id", "aspect", "evidence"]].values.tolist() == sorted(
        [["A1", "GO:0000001", "F", "IDA"], ["A3", "GO:0000002", "P", "IMP"]],
        key=lambda line: list(accession).index(line[0]),
    )
    counts = reference.manifest["counts"]
    assert counts["annotations_not"] == 1
    assert counts["annotations_other_evidence"] == 1
    assert counts["annotations_other_protein"] == 1
    assert counts["vectors_of_no_protein"] == int(with_fasta)
    assert f"left out     of {counts['annotations_read']} lines: 1 of other proteins, 1 with other" in describe(
        tmp_path / "out"
    )
    assert reference.spaces[0].dtype == "float16"


def join(folder, progress):
    """Join the vectors of a folder with its annotations and proteins."""
    return import_reference(
        folder / "v.npz",
        folder / "out",
        annotations=[folder / "a.gaf"],
        ontology=folder / "go.obo",
        fasta=folder / "r.fasta",
        model="M",
        layer=0,
        progress=progress,
    )


def test_import_joined__half_of_the_proteins_have_a_vector(tmp_path):
    np.savez(tmp_path / "v.npz", ids=["A1", "X1", "X2"], embeddings=np.ones((3, 2)))
    (tmp_path / "r.fasta").write_text(">A1\nMKV\n>A2\nMKVV\n>A3\nMKVV\n")
    for name, text in (("a.gaf", GAF), ("go.obo", OBO)):
        (tmp_path / name).write_text(text)
    said = io.StringIO()
    with pytest.warns(FantasiaWarning, match="1 of the 2 sequences of the reference have no vector in M layer 0, and"):
        join(tmp_path, Progress(said))
    assert "2 of its 3 vectors are of no protein of the reference" in said.getvalue()


def test_import_joined__sequences_of_another_fasta(tmp_path):
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["accession_A1/type_3/layer_0/embedding"] = np.ones(3, "float32")
        file["accession_A1/sequence"] = "MKV"
    for name, text in (("a.gaf", GAF), ("go.obo", OBO), ("r.fasta", FASTA)):
        (tmp_path / name).write_text(text)
    options = {"annotations": [tmp_path / "a.gaf"], "ontology": tmp_path / "go.obo", "progress": QUIET}
    with pytest.raises(InputError, match="of another sequence"):
        import_reference(tmp_path / "v.h5", tmp_path / "out", fasta=tmp_path / "r.fasta", **options)
    assert import_reference(tmp_path / "v.h5", tmp_path / "out", **options).proteins["sequence"].tolist() == ["MKV"]


def test_import_joined__strangers(tmp_path):
    np.savez(tmp_path / "v.npz", ids=["X1"], embeddings=np.ones((1, 2)))
    for name, text in (("a.gaf", GAF), ("go.obo", OBO), ("r.fasta", FASTA)):
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match="'X1' and others, the FASTA names 'A1'"):
        join(tmp_path, QUIET)
    assert not (tmp_path / "out").exists()


def test_import_joined__lineages_and_command(tmp_path, shared):
    from click.testing import CliRunner

    from fantasia_dask.cli import cli

    source = write_vectors(tmp_path, "per-protein")
    for name, text in (("a.gaf", GAF), ("go.obo", OBO), ("r.fasta", FASTA)):
        (tmp_path / name).write_text(text)
    words = ["reference", "import", str(source), str(tmp_path / "out"), "--annotations", str(tmp_path / "a.gaf")]
    words += ["--fasta", str(tmp_path / "r.fasta"), "--ontology", str(tmp_path / "go.obo"), "--model", "Prot-T5"]
    words += ["--layer", "0", "--taxonomy-dump", str(shared / "data/taxonomy")]
    result = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert result.exit_code == 0
    assert "of its taxa" in result.output


# Arrays of ids and vectors ------------------------------------------------------------------------------------------


def refused_arrays(path, match, **options):
    from fantasia_dask.interchange import import_vectors

    with pytest.raises(InputError, match=match) as caught:
        import_vectors(path, path.with_name("out.zarr"), **{"model": "M", "layer": 0, **options})
    assert "\n" not in str(caught.value)
    assert not path.with_name("out.zarr").exists()


def test_arrays__hdf5_that_is_refused(tmp_path):
    path = tmp_path / "v.h5"
    with h5py.File(path, "w") as file:
        file["ids"], file["a_embeddings"], file["b_embeddings"] = ["P1"], np.ones((1, 2)), np.ones((1, 3))
    refused_arrays(path, "--vectors-key a_embeddings")
    refused_arrays(path, "no array 'c'", key="c")
    with h5py.File(path, "w") as file:
        file["ids"], file["x"] = ["P1", "P2"], np.ones((1, 2))
    refused_arrays(path, "1 rows for 2 ids")
    with h5py.File(path, "w") as file:
        file["ids"] = ["P1"]
        file.create_dataset("x", (1, 2), "f4", external=[("other.bin", 0, 8)])
    refused_arrays(path, "kept in another file")


def test_arrays__zarr_that_is_refused(tmp_path):
    source = write_vectors(tmp_path, "zarr3")
    refused_arrays(source, "does not say which model", model=None)
    chunk = source / "t5_embeddings" / "c" / "0" / "0"
    content = chunk.read_bytes()
    chunk.unlink()
    refused_arrays(source, "lacks chunks")
    (tmp_path / "elsewhere").write_bytes(content)
    chunk.symlink_to(tmp_path / "elsewhere")
    refused_arrays(source, "is a link")
    chunk.unlink()
    chunk.write_bytes(content)
    metadata = source / "t5_embeddings" / "zarr.json"
    metadata.write_text("{oops")
    refused_arrays(source, "cannot be read as Zarr")


def test_arrays__pickles_are_not_read(tmp_path):
    source = write_vectors(tmp_path, "zarr2")
    metadata = source / "t5_embeddings" / ".zarray"
    told = json.loads(metadata.read_text())
    metadata.write_text(json.dumps({**told, "compressor": None, "filters": [{"id": "pickle", "protocol": 4}]}))
    for chunk in (source / "t5_embeddings").glob("[0-9]*"):
        chunk.write_bytes(pickle.dumps(Trap()))
    refused_arrays(source, "Python objects|cannot be read as Zarr")
