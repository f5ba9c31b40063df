"""FANTASIA's database dump, read without a database."""

from __future__ import annotations

import contextlib
import io
import shutil
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fantasia_dask.errors import InputError
from fantasia_dask.progress import Progress
from fantasia_dask.reference import open_reference, verify_reference
from fantasia_dask.reference.importers import import_reference, kind_of
from fantasia_dask.reference.importers.archive import CopyText, CustomArchive, PgRestore, TarArchive, open_archive
from fantasia_dask.reference.importers.copy_text import copy_rows, whole_lines
from fantasia_dask.reference.importers.vector_text import BAD_COLUMNS, BAD_NUMBER, BAD_VECTOR, OK, parse_text

QUIET = Progress(quiet=True)

needs_pg_restore = pytest.mark.skipif(shutil.which("pg_restore") is None, reason="pg_restore is not on the PATH")
both_readers = pytest.mark.parametrize("reader", ["python", pytest.param("pg_restore", marks=needs_pg_restore)])

COLUMNS = {
    "sequence_embedding_type": "id, name, description, task_name, model_name",
    "protein": "id, sequence_id, gene_name, organism, taxonomy_id",
    "sequence": "id, sequence, sequence_hash",
    "go_terms": "go_id, category, description",
    "protein_go_term_annotation": "id, protein_id, go_id, evidence_code",
    "sequence_embeddings": "id, sequence_id, embedding_type_id, layer_index, embedding, shape, created_at",
}
TABLES = {
    "sequence_embedding_type": [
        "1\tESM\t\\N\t\\N\tfacebook/esm2",
        "3\tProt-T5\tword\\twith tab\t\\N\tRostlab/prot_t5",
    ],
    "protein": [
        "P1\t7\tONE\tYeast \\\\ baker's\t4932",
        "P2\t3\t\\N\t\\N\t\\N",
        "P3\t7\tTHREE\tMan\t9606",
        "P4\t\\N\t\\N\t\\N\t10090",
        "P5\t99\t\\N\t\\N\t10090",
        "P6\t8\tSIX\tMan\t9606",
    ],
    # 8 is the sequence of 3 once more; 5 belongs to no protein.
    "sequence": ["7\tMKTA\thash", "5\tMMM\thash", "3\tMRT\thash", "8\tmrt*\thash"],
    "go_terms": ["GO:0000001\tMF\tdoes\\nthings", "GO:0000002\tBP\t\\N"],
    "protein_go_term_annotation": [
        "1\tP1\tGO:0000001\tIDA",
        "2\tP3\tGO:0000002\tIMP:SGD",
        "3\tP4\tGO:0000002\tIDA",
        "4\tP2\tGO:0000009\tIDA",
        "5\tP1\tGO:0000001\tIDA",
    ],
    # Any order of model, layer and sequence; two models with different d.
    "sequence_embeddings": [
        "1\t7\t3\t0\t[0.5,-0.25]\t{2}\tnow",
        "2\t3\t1\t2\t[1,2,5.9604645e-08]\t{3}\tnow",
        "3\t3\t3\t0\t[65504,-1e-3]\t{2}\tnow",
        "4\t5\t3\t0\t[9,9]\t{2}\tnow",
        "5\t8\t3\t0\t[4,4]\t{2}\tnow",
        "6\t7\t3\t1\t[0.1,0.2]\t{2}\tnow",
    ],
}
OBO = "data-version: today\nontology: go\n\n" + "\n".join(
    f"[Term]\nid: {go_id}\nname: {name}\nnamespace: {space}\n{rest}\n"
    for go_id, name, space, rest in (
        ("GO:0000001", "current", "molecular_function", ""),
        ("GO:0000003", "new", "biological_process", "alt_id: GO:0000002\nis_a: GO:0000001"),
    )
)


def copy_text(rows):
    return "".join(f"{row}\n" for row in rows).encode() + b"\\.\n\n\n"


def write_custom(path, tables, *, packed=True, offsets=True, version=14, columns=None):
    """Write a dump as `pg_dump -Fc` does, from its description in the sources of PostgreSQL."""
    columns = COLUMNS | (columns or {})

    def integer(value):
        return struct.pack("<BI", value < 0, abs(value))

    def text(value):
        return integer(-1) if value is None else integer(len(value)) + value.encode()

    def block(number, rows):
        data = copy_text(rows)
        if packed:
            data = zlib.compress(data)
        pieces = [data[i : i + 4096] for i in range(0, len(data), 4096)]
        return b"\x01" + integer(number) + b"".join(integer(len(p)) + p for p in pieces) + integer(0)

    head = b"PGDMP" + bytes((1, version, 0, 4, 8, 1)) + integer(-1 if packed else 0)
    head += b"".join(map(integer, (0, 0, 0, 1, 0, 126, 0))) + text("BioData") + text("15.0") + text("15.0")
    blocks = [block(i, rows) for i, rows in enumerate(tables.values(), 1)]

    def contents(start):
        entries = integer(len(tables))
        at = start
        for i, name in enumerate(tables, 1):
            copy = f"COPY public.{name} ({columns[name]}) FROM stdin;\n"
            entries += integer(i) + integer(1) + text("0") + text("0") + text(name) + text("TABLE DATA") + integer(3)
            entries += text("") + text("") + text(copy) + text("public") + text("") + text(None) + text("owner")
            entries += text("false") + text(None)
            entries += struct.pack("<BQ", 2, at) if offsets else struct.pack("<BQ", 1, 0)
            at += len(blocks[i - 1])
        return entries

    path.write_bytes(head + contents(len(head) + len(contents(0))) + b"".join(blocks))
    return path


def write_tar(path, tables):
    """Write a dump as `pg_dump -Ft` does."""
    script = "--\n-- NOTE:\n--\n"
    with tarfile.open(path, "w") as tar:

        def add(name, data):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))

        add("toc.dat", b"PGDMP")
        for i, (name, rows) in enumerate(tables.items(), 1):
            script += f"COPY public.{name} ({COLUMNS[name]}) FROM stdin;\n\\.\n"
            script += f"COPY public.{name} ({COLUMNS[name]}) FROM '$$PATH$$/{i}.dat';\n"
            add(f"{i}.dat", copy_text(rows))
        add("restore.sql", script.encode())
    return path


@pytest.fixture
def dump(tmp_path):
    return write_custom(tmp_path / "small.backup", TABLES)


def as_compared(path):
    """Return what a bundle says, whatever the numbers of its rows and proteins."""
    reference = open_reference(path)
    proteins = reference.proteins
    named = dict(zip(proteins["protein"], proteins["accession"], strict=True))
    annotations = reference.annotations.assign(protein=reference.annotations["protein"].map(named))
    order = list(annotations.columns)
    tables = [
        proteins.drop(columns=["protein", "row"]).sort_values("accession", ignore_index=True),
        annotations.sort_values(order, ignore_index=True),
    ]
    rows = proteins.sort_values("accession")["row"].to_numpy()
    vectors = {str(s): reference.vectors(s.model, s.layer).compute()[rows] for s in reference.spaces}
    partners = proteins.groupby("row")["accession"].agg(lambda names: frozenset(names))
    return tables, vectors, set(partners)


# The golden case ----------------------------------------------------------------------------------------------------


@both_readers
@pytest.mark.shared
def test_import_dump__golden(golden, golden_reference, tmp_path, reader):
    out = tmp_path / "imported"
    import_reference(golden / "inputs" / "pis.backup", out, reader=reader, progress=QUIET)
    assert verify_reference(out) > 0
    (tables, vectors, partners), (expected, expected_vectors, expected_partners) = map(
        as_compared, (out, golden_reference)
    )
    for mine, theirs in zip(tables, expected, strict=True):
        pd.testing.assert_frame_equal(mine, theirs)
    assert list(vectors) == list(expected_vectors)
    for space in vectors:
        assert vectors[space].dtype == expected_vectors[space].dtype == np.float16
        np.testing.assert_array_equal(vectors[space], expected_vectors[space])
    assert partners == expected_partners
    terms = [open_reference(path).terms.sort_values("go_id", ignore_index=True) for path in (out, golden_reference)]
    pd.testing.assert_frame_equal(*terms)
    assert {s.profile for s in open_reference(out).spaces} == {"pis-3.1"}
    assert {s.checkpoint for s in open_reference(out).spaces if s.model == "Prot-T5"} == {"Rostlab/prot_t5_xl_uniref50"}


@pytest.mark.shared
def test_import_dump__golden_with_ontology(golden, golden_reference, tmp_path):
    source, ontology = golden / "inputs" / "pis.backup", golden / "inputs" / "go-basic.obo"
    imported = import_reference(source, tmp_path / "imported", ontology=ontology, progress=QUIET)
    pd.testing.assert_frame_equal(imported.relations, open_reference(golden_reference).relations)
    for mine, theirs in zip(as_compared(imported.path)[0], as_compared(golden_reference)[0], strict=True):
        pd.testing.assert_frame_equal(mine, theirs)


@pytest.fixture(scope="module", params=["python", pytest.param("pg_restore", marks=needs_pg_restore)])
def imported(request, shared, tmp_path_factory):
    """The golden dump as a bundle, read either way."""
    out = tmp_path_factory.mktemp(request.param) / "imported"
    return import_reference(shared / "golden/inputs/pis.backup", out, reader=request.param, progress=QUIET).path


@pytest.mark.shared
@pytest.mark.parametrize("case", ["cosine_k5", "euclidean_k5", "threshold", "tax_exclude", "multi"])
def test_import_dump__lookups_are_those_of_fantasia(golden, imported, tmp_path, case):
    import warnings

    from fantasia_dask import load_config, run

    theirs = golden / "outputs" / case
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        settings = {
            "base_directory": str(tmp_path / "runs"),
            "reference": str(imported),
            "donors": "all",
            "raw_csv": True,
        }
        config = load_config(theirs / "config.yaml", settings)
        run(config, progress=QUIET)
    ours, files = (
        sorted(path.relative_to(home) for path in (home / "raw_results").rglob("*.csv"))
        for home in (config.run_folder, theirs)
    )
    assert ours == files
    assert files
    for file in files:
        order = ["distance", "protein_id", "go_id", "evidence_code"]
        mine, golden_rows = (
            pd.read_csv(home / file, dtype=str, keep_default_na=False)
            .drop(columns=["query_idx", "ref_idx"])
            .sort_values(order, ignore_index=True)
            for home in (config.run_folder, theirs)
        )
        pd.testing.assert_frame_equal(mine, golden_rows)


@pytest.mark.shared
@both_readers
def test_import_dump__golden_cut_anywhere(golden, tmp_path, reader):
    whole = (golden / "inputs" / "pis.backup").read_bytes()
    out = tmp_path / "kept"
    import_reference(golden / "inputs" / "pis.backup", out, progress=QUIET)
    before = (out / "manifest.json").read_bytes()
    for share in (0.001, 0.02, 0.5, 0.999):
        cut = tmp_path / "cut.backup"
        cut.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(InputError, match=r"cut\.backup") as caught:
            import_reference(cut, out, reader=reader, overwrite=True, progress=QUIET)
        assert str(caught.value).count("\n") == 0
    assert (out / "manifest.json").read_bytes() == before
    assert verify_reference(out) > 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cut.backup", "kept"]


# A small dump -------------------------------------------------------------------------------------------------------


def check_small(path):
    reference = open_reference(path)
    proteins = reference.proteins
    # Rows follow the numbers of the sequences: 3 (and 8, which is the same), then 7.
    assert proteins[["accession", "row", "taxon", "organism", "gene", "sequence"]].values.tolist() == [
        ["P1", 1, 4932, "Yeast \\ baker's", "ONE", "MKTA"],
        ["P2", 0, 0, "", "", "MRT"],
        ["P3", 1, 9606, "Man", "THREE", "MKTA"],
        ["P6", 0, 9606, "Man", "SIX", "MRT"],
    ]
    assert reference.annotations[["protein", "go_id", "aspect", "evidence"]].values.tolist() == [
        [0, "GO:0000001", "F", "IDA"],
        [2, "GO:0000002", "P", "IMP"],
    ]
    assert [(str(s), s.dimension, s.checkpoint, s.dtype) for s in reference.spaces] == [
        ("ESM layer 2", 3, "facebook/esm2", "float16"),
        ("Prot-T5 layer 0", 2, "Rostlab/prot_t5", "float16"),
        ("Prot-T5 layer 1", 2, "Rostlab/prot_t5", "float16"),
    ]
    np.testing.assert_array_equal(
        reference.vectors("Prot-T5", 0).compute(), np.array([[65504, -1e-3], [0.5, -0.25]], "f2")
    )
    np.testing.assert_array_equal(
        reference.vectors("ESM", 2).compute(), np.array([[1, 2, 5.9604645e-08], [np.nan] * 3], "f2")
    )
    assert reference.store.present("Prot-T5", 1).tolist() == [False, True]
    counts = reference.manifest["counts"]
    assert counts["proteins_without_sequence"] == 1
    assert counts["annotations_other_protein"] == 1
    assert counts["annotations_unknown_dropped"] == 1
    assert counts["annotations_duplicate"] == 1
    assert counts["vectors_of_no_protein"] == 1
    assert counts["vectors_of_equal_sequences"] == 1
    assert "without relations" in counts["ontology"]
    return reference


@both_readers
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("offsets", [True, False])
def test_import_dump__custom(tmp_path, reader, packed, offsets):
    dump = write_custom(tmp_path / "small.backup", TABLES, packed=packed, offsets=offsets)
    assert kind_of(dump) == "dump"
    check_small(import_reference(dump, tmp_path / "out", reader=reader, progress=QUIET).path)


def test_import_dump__tar(tmp_path):
    dump = write_tar(tmp_path / "small.tar", TABLES)
    assert kind_of(dump) == "dump"
    assert isinstance(open_archive(dump), TarArchive)
    check_small(import_reference(dump, tmp_path / "out", progress=QUIET).path)


def test_import_dump__any_order_of_tables(tmp_path):
    dump = write_custom(tmp_path / "small.backup", dict(reversed(TABLES.items())))
    check_small(import_reference(dump, tmp_path / "out", progress=QUIET).path)


def test_import_dump__any_order_of_vectors(tmp_path):
    # The first of two vectors of one row stays, so these keep their order.
    tables = TABLES | {"sequence_embeddings": [TABLES["sequence_embeddings"][i] for i in (5, 1, 2, 4, 3, 0)]}
    dump = write_custom(tmp_path / "small.backup", tables)
    check_small(import_reference(dump, tmp_path / "out", progress=QUIET).path)


def test_import_dump__ontology_brings_terms_up_to_date(dump, tmp_path):
    (tmp_path / "go.obo").write_text(OBO)
    reference = import_reference(dump, tmp_path / "out", ontology=tmp_path / "go.obo", progress=QUIET)
    assert reference.annotations["go_id"].tolist() == ["GO:0000001", "GO:0000003"]
    assert reference.relations.values.tolist() == [["GO:0000003", "is_a", "GO:0000001"]]
    assert reference.manifest["go_release"] == "today"
    assert [source["name"] for source in reference.manifest["sources"]] == ["small.backup", "go.obo"]


def test_import_dump__evidence(dump, tmp_path):
    reference = import_reference(dump, tmp_path / "out", evidence=["IMP"], progress=QUIET)
    assert reference.annotations["evidence"].tolist() == ["IMP"]
    assert reference.manifest["counts"]["annotations_other_evidence"] == 2
    with pytest.raises(InputError, match="XYZ"):
        import_reference(dump, tmp_path / "other", evidence=["XYZ"], progress=QUIET)
    with pytest.raises(InputError, match="no annotation"):
        import_reference(dump, tmp_path / "other", evidence=["TAS"], progress=QUIET)


def test_import_dump__leaves_a_bundle_that_is_there(dump, tmp_path):
    import_reference(dump, tmp_path / "out", progress=QUIET)
    with pytest.raises(InputError, match="--overwrite"):
        import_reference(dump, tmp_path / "out", progress=QUIET)
    check_small(import_reference(dump, tmp_path / "out", overwrite=True, progress=QUIET).path)


def test_import_dump__removes_what_a_killed_import_left(dump, tmp_path):
    left = tmp_path / ".out.making"
    left.mkdir()
    (left / "plane0.raw").write_bytes(b"left")
    import_reference(dump, tmp_path / "out", progress=QUIET)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "small.backup"]


def test_import_dump__without_pg_restore(dump, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    check_small(import_reference(dump, tmp_path / "out", progress=QUIET).path)
    with pytest.raises(InputError, match="not on the PATH"):
        import_reference(dump, tmp_path / "other", reader="pg_restore", progress=QUIET)


def test_import_dump__progress_counts_the_file(dump, tmp_path):
    said = io.StringIO()
    import_reference(dump, tmp_path / "out", progress=Progress(said))
    assert "reading vectors" in said.getvalue()


# Broken dumps -------------------------------------------------------------------------------------------------------


def changed(table, rows):
    return TABLES | {table: rows}


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({k: v for k, v in TABLES.items() if k != "protein"}, "no data of a table 'protein'"),
        (changed("sequence_embeddings", []), "no vector of a protein"),
        (changed("protein", []), "no protein with a sequence"),
        (changed("protein", ["P1\t7\t\\N\t\\N\t1", "P1\t3\t\\N\t\\N\t1"]), "'P1' is listed twice"),
        (changed("protein", ["P1\tseven\t\\N\t\\N\t1"]), "the id 'seven'"),
        (changed("protein", ["P1\t7"]), "row 1 of table protein has 2 columns where 5"),
        (changed("sequence", ["7\tMK<T\thash"]), "amino-acid letters"),
        (changed("sequence_embedding_type", ["3\t../../evil\t\\N\t\\N\t\\N"]), "cannot name an embedding space"),
        (changed("sequence_embedding_type", ["1\tESM\t\\N\t\\N\t\\N"]), "embedding type 3, which it does not name"),
        (changed("go_terms", ["GO:0000001\tXX\tname"]), "category 'XX'"),
        (changed("protein_go_term_annotation", []), "no annotation"),
        (changed("sequence_embeddings", ["1\t7\t3\t0\t[0.5,oops]\t{2}\tnow"]), "row 1 of sequence_embeddings"),
        (changed("sequence_embeddings", ["1\t7\t3\t0\t[0.5,NaN]\t{2}\tnow"]), "row 1 of sequence_embeddings"),
        (changed("sequence_embeddings", ["1\t7\t3\t0\t\\N\t{2}\tnow"]), "row 1 of sequence_embeddings"),
        (changed("sequence_embeddings", ["1\t7\t3\t0\t[]\t{2}\tnow"]), "row 1 of sequence_embeddings"),
        (changed("sequence_embeddings", ["1\t7\t3\t0\t[70000]\t{1}\tnow"]), "70000"),
        (
            changed("sequence_embeddings", ["1\t7\t3\t0\t[1]\t{1}\tn", "1\t3\t3\t0\t[1,2]\t{2}\tn"]),
            "of 2 and of 1 numbers",
        ),
        (changed("sequence_embeddings", ["1\t7\t3\t0\t[1]\t{1}\tn", "2\t7"]), "row 2 of sequence_embeddings"),
    ],
)
def test_import_dump__broken(tmp_path, tables, message):
    dump = write_custom(tmp_path / "broken.backup", tables)
    with pytest.raises(InputError, match=message) as caught:
        import_reference(dump, tmp_path / "out", progress=QUIET)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.backup"]


def test_import_dump__column_missing(tmp_path):
    dump = write_custom(
        tmp_path / "old.backup", TABLES, columns={"protein": "id, sequence_id, gene, organism, taxonomy_id"}
    )
    with pytest.raises(InputError, match="no column 'gene_name'"):
        import_reference(dump, tmp_path / "out", progress=QUIET)


@pytest.mark.parametrize("packed", [True, False])
def test_import_dump__cut_at_every_byte(tmp_path, packed):
    whole = write_custom(tmp_path / "whole.backup", TABLES, packed=packed).read_bytes()
    # Without its last block header's zeros nothing is lost; anything shorter is.
    for size in range(8, len(whole) - 5, 7):
        cut = tmp_path / "cut.backup"
        cut.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"cut\.backup"):
            import_reference(cut, tmp_path / "out", reader="python", progress=QUIET)


@settings(max_examples=150, deadline=None)
@given(place=st.integers(5, 3000), byte=st.integers(0, 255))
def test_open_archive__flipped_byte_is_read_or_refused(tmp_path_factory, place, byte):
    folder = tmp_path_factory.mktemp("flipped")
    whole = bytearray(write_custom(folder / "whole.backup", TABLES).read_bytes())
    whole[place % len(whole)] = byte
    flipped = folder / "flipped.backup"
    flipped.write_bytes(bytes(whole))
    # Anything but an InputError fails the test.
    with contextlib.suppress(InputError):
        archive = open_archive(flipped, "python")
        for name, columns in COLUMNS.items():
            wanted = columns.split(", ")
            assert all(len(row) == len(wanted) for row in copy_rows(archive, name, wanted))


def test_import_dump__offset_behind_the_end(dump, tmp_path):
    whole = dump.read_bytes()
    at = whole.index(struct.pack("<BQ", 2, whole.rindex(b"\x01" + struct.pack("<BI", 0, len(TABLES)))))
    dump.write_bytes(whole[:at] + struct.pack("<BQ", 2, 2**64 - 1) + whole[at + 9 :])
    with pytest.raises(InputError, match="behind its end"):
        import_reference(dump, tmp_path / "out", progress=QUIET)


def test_import_dump__packed_with_zstd_is_named(tmp_path, monkeypatch):
    dump = tmp_path / "new.backup"
    dump.write_bytes(b"PGDMP" + bytes((1, 16, 0, 4, 8, 1, 3)) + bytes(200))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"lz4 or zstd.*pg_restore"):
        import_reference(dump, tmp_path / "out", progress=QUIET)


@needs_pg_restore
def test_open_archive__what_is_not_understood_goes_to_pg_restore(tmp_path):
    dump = tmp_path / "new.backup"
    dump.write_bytes(b"PGDMP" + bytes((1, 99, 0, 4, 8, 1, 3)) + bytes(200))
    assert isinstance(open_archive(dump), PgRestore)
    with pytest.raises(InputError, match="pg_restore: unsupported version"):
        import_reference(dump, tmp_path / "out", progress=QUIET)


def test_import_dump__reader(dump, tmp_path):
    assert isinstance(open_archive(dump), CustomArchive)
    with pytest.raises(InputError, match="reader is 'psql'"):
        import_reference(dump, tmp_path / "out", reader="psql", progress=QUIET)


def test_import_dump__tar_broken(tmp_path):
    whole = write_tar(tmp_path / "whole.tar", TABLES).read_bytes()
    for size in (600, 2000, len(whole) // 2):
        (tmp_path / "cut.tar").write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"cut\.tar"):
            import_reference(tmp_path / "cut.tar", tmp_path / "out", progress=QUIET)
    with tarfile.open(tmp_path / "link.tar", "w") as tar:
        for name in ("toc.dat", "restore.sql"):
            member = tarfile.TarInfo(name)
            if name == "restore.sql":
                member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(member)
    with pytest.raises(InputError, match=r"restore\.sql is no file"):
        import_reference(tmp_path / "link.tar", tmp_path / "out", progress=QUIET)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><title>Sign in</title>", "a web page"),
        (b"--\n-- PostgreSQL database dump\n--\n", "a dump in plain SQL"),
        (b"", "no reference that can be imported"),
        (b"PK\x05\x06" + bytes(18), "holds vectors and no annotations"),
    ],
)
def test_import__what_is_no_reference(tmp_path, content, message):
    source = tmp_path / "source"
    source.write_bytes(content)
    with pytest.raises(InputError, match=message):
        import_reference(source, tmp_path / "out", progress=QUIET)


def test_import__options_that_would_be_ignored(dump, tmp_path):
    with pytest.raises(InputError, match="--annotations"):
        import_reference(dump, tmp_path / "out", annotations=dump, progress=QUIET)
    with pytest.raises(InputError, match="--model"):
        import_reference(dump, tmp_path / "out", model="Prot-T5", progress=QUIET)
    with pytest.raises(InputError, match="does not exist"):
        import_reference(tmp_path / "nothing", tmp_path / "out", progress=QUIET)


# COPY text ----------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    rows=st.lists(st.binary(max_size=20).filter(lambda row: b"\n" not in row and row != b"\\."), max_size=8),
    cuts=st.integers(1, 7),
    block_bytes=st.integers(1, 40),
)
def test_whole_lines__any_pieces(rows, cuts, block_bytes):
    text = b"".join(row + b"\n" for row in rows) + b"\\.\n\n\n"
    pieces = iter([text[i : i + cuts] for i in range(0, len(text), cuts)])
    blocks = list(whole_lines(CopyText([], pieces, lambda: 0), Path("any"), block_bytes))
    assert b"".join(blocks) == b"".join(row + b"\n" for row in rows)
    assert all(not block or block.endswith(b"\n") for block in blocks)


def test_whole_lines__without_an_end(tmp_path):
    with pytest.raises(InputError, match="does not end"):
        list(whole_lines(CopyText([], iter([b"one\n", b"two\n"]), lambda: 0), tmp_path))


def parse(lines, columns=4, places=(0, 1, 2, 3)):
    parsed = parse_text("".join(f"{line}\n" for line in lines).encode(), columns, np.array(places))
    vectors = [parsed.values[a:b] for a, b in zip(parsed.starts[:-1], parsed.starts[1:], strict=True)]
    return (parsed.rows, parsed.problem, parsed.largest), parsed.keys, vectors


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(width=16, allow_nan=False, allow_infinity=False), min_size=1), min_size=1))
def test_parse_rows__every_half_comes_back(rows):
    # A halfvec writes the shortest text that is the same float32.
    texts = [",".join(str(np.float32(x)) for x in row) for row in rows]
    (count, problem, largest), keys, vectors = parse([f"{i}\t3\t0\t[{text}]" for i, text in enumerate(texts)])
    assert (count, problem) == (len(rows), OK)
    assert keys.tolist() == [[i, 3, 0] for i in range(len(rows))]
    for row, vector in zip(rows, vectors, strict=True):
        np.testing.assert_array_equal(vector.astype("f2"), np.array(row, "f2"))
    assert np.float16(largest) == max(abs(x) for row in rows for x in row)


def test_parse_rows__all_halves():
    bits = np.arange(65536, dtype="u2").view("f2")
    halves = bits[np.isfinite(bits)]
    text = ",".join(str(x) for x in halves.astype("f4"))
    _, _, (vector,) = parse([f"1\t3\t0\t[{text}]"])
    np.testing.assert_array_equal(vector.astype("f2").view("u2"), halves.view("u2"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-1", -1),
        ("+2.5", 2.5),
        ("1e3", 1000),
        ("1.5E-2", 0.015),
        ("0", 0),
        (".5", 0.5),
        ("5.", 5),
        ("00.25", 0.25),
        ("1e+2", 100),
    ],
)
def test_parse_rows__spellings(text, value):
    (count, problem, _), _, (vector,) = parse([f"1\t2\t3\t[{text}]"])
    assert (count, problem) == (1, OK)
    np.testing.assert_array_equal(vector, np.float32(value))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("1\t2\t3\t[1,]", BAD_VECTOR),
        ("1\t2\t3\t[,1]", BAD_VECTOR),
        ("1\t2\t3\t[1 2]", BAD_VECTOR),
        ("1\t2\t3\t[1e]", BAD_VECTOR),
        ("1\t2\t3\t[1e999]", BAD_VECTOR),
        ("1\t2\t3\t[inf]", BAD_VECTOR),
        ("1\t2\t3\t[--1]", BAD_VECTOR),
        ("1\t2\t3\t[.]", BAD_VECTOR),
        ("1\t2\t3\t[12345678901234567890]", BAD_VECTOR),
        ("1\t2\t3\t[", BAD_VECTOR),
        ("1\t2\t3\t1,2]", BAD_VECTOR),
        ("1\t2\t3\t[1]\tmore", BAD_COLUMNS),
        ("1\t2\t3", BAD_COLUMNS),
        ("", BAD_NUMBER),
        ("\t2\t3\t[1]", BAD_NUMBER),
        ("-1\t2\t3\t[1]", BAD_NUMBER),
        ("1\tx\t3\t[1]", BAD_NUMBER),
        ("1\t2\t99999999999999999999\t[1]", BAD_COLUMNS),
    ],
)
def test_parse_rows__malformed(line, problem):
    (row, found, _), *_ = parse(["1\t2\t3\t[1]", line])
    assert (row, found) == (1, problem)


@settings(deadline=None, max_examples=300)
@given(st.text(alphabet="0123456789.,-+e[]\t\n\\N", max_size=60))
def test_parse_rows__never_reads_past_the_end(text):
    lines = text.split("\n")
    (row, problem, _), *_ = parse(lines)
    assert 0 <= row <= len(lines)
    assert problem in (OK, BAD_COLUMNS, BAD_NUMBER, BAD_VECTOR)
