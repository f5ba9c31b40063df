"""FASTA as people have it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys

import pytest
from Bio import SeqIO
from hypothesis import given
from hypothesis import strategies as st

from fantasia_dask.errors import InputError
from fantasia_dask.sequences import Protein, read_fasta

RESIDUES = st.text("ACDEFGHIKLMNPQRSTVWYUZOBXJ", min_size=0, max_size=90)
NAME = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=30)


def write(folder, text, name="in.fasta"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@given(
    st.lists(st.tuples(NAME, RESIDUES), min_size=1, max_size=8, unique_by=lambda record: record[0]), st.integers(1, 70)
)
def test_read_fasta__any_names_and_line_lengths_come_back(tmp_path_factory, records, width):
    lines = []
    for name, residues in records:
        lines += [f">{name}", *(residues[i : i + width] for i in range(0, len(residues), width))]
    path = write(tmp_path_factory.mktemp("fasta"), "\n".join(lines) + "\n")
    assert read_fasta(path) == [Protein(name, residues) for name, residues in records]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("mkt", "MKT"),
        ("MKT*", "MKT"),
        ("MKT.", "MKT"),
        ("MK*T", "MKXT"),
        ("MK.T*", "MKXT"),
        ("M--K-T", "MKT"),
        ("M K\tT\r", "MKT"),
        ("*", ""),
        ("", ""),
        ("UZOBJX", "UZOBJX"),
    ],
)
def test_read_fasta__letters(tmp_path, written, read):
    assert read_fasta(write(tmp_path, f">P1 a protein\n{written}\n"))[0] == Protein("P1", read, "a protein")


@pytest.mark.parametrize("pack", [gzip, bz2, lzma])
def test_read_fasta__packed(tmp_path, pack):
    name = {"gzip": "in.fa.gz", "bz2": "in.fa.bz2", "lzma": "in.fa.xz"}[pack.__name__]
    assert read_fasta(write(tmp_path, pack.compress(b">P1\nMKT\n"), name)) == [Protein("P1", "MKT")]


def test_read_fasta__standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(">P1\nMKT\n"))
    assert read_fasta("-")[0].sequence == "MKT"


def test_read_fasta__windows_lines_comments_blank_lines_and_old_encodings(tmp_path):
    text = b"; a comment\r\n\r\n>P1 prot\xe9ine\r\nMK\r\n\r\nT\r\n>P2 prot\xc3\xa9ine\nMRT"
    assert read_fasta(write(tmp_path, text)) == [Protein("P1", "MKT", "protéine"), Protein("P2", "MRT", "protéine")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no protein"),
        ("\n\n", "holds no protein"),
        ("; only a comment\n", "holds no protein"),
        ("ACDEFG\n", "is not FASTA: it begins with 'ACDEFG'"),
        ("P1\tMKT\n", "is not FASTA"),
        (b"\x89PNG\r\n\x1a\n\x00", "is not FASTA"),
        (">P1\nMKT\n>P1\nMRT\n", "'P1' is named twice, in records 1 and 2"),
        (">\nMKT\n", "record 1 of .* has no name"),
        (">P1\nMKT\n>P12345 x\nMMMMM7\n", r"'P12345' \(line 3 of .*in.fasta\) has '7' at residue 6"),
        (">P1\nMK\nT?\n", "has '\\?' at residue 4"),
        (">P1\nthe läzy dög\n", "has 'ä' at residue 5"),
        (">P1\nMKß\n", "at residue 3"),
    ],
)
def test_read_fasta__refused_in_one_sentence(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as error:
        read_fasta(write(tmp_path, text))
    assert "\n" not in str(error.value)


def test_read_fasta__missing_and_broken_files(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_fasta(tmp_path / "nowhere.fasta")
    for missing in (tmp_path, tmp_path / ("a" * 300), "a/" * 3000, "a\0b"):
        with pytest.raises(InputError, match="does not exist"):
            read_fasta(missing)
    broken = write(tmp_path, gzip.compress(b"".join(b">P%d\nMKT\n" % i for i in range(1000)))[:-40], "in.fa.gz")
    with pytest.raises(InputError, match="cannot be read"):
        read_fasta(broken)
    with pytest.raises(InputError, match="cannot be read"):
        read_fasta(write(tmp_path, b"plain", "plain.fa.gz"))


@pytest.mark.parametrize(("name", "count"), [("yeast.fasta.gz", 6067), ("titin_twice.fasta.gz", 1)])
def test_read_fasta__real_proteomes(shared, name, count):
    path = shared / "data" / "fasta" / name
    proteins = read_fasta(path)
    assert len(proteins) == count
    with gzip.open(path, "rt") as text:
        for protein, record in zip(proteins, SeqIO.parse(text, "fasta"), strict=True):
            assert protein.accession == record.id
            assert protein.sequence == str(record.seq).upper().rstrip("*").replace("*", "X")


def test_read_fasta__one_broken_record_among_many(shared):
    path = shared / "data" / "fasta" / "fantasia_test_failure.fa.gz"
    with pytest.raises(InputError, match=r"DICC_ECOLI.*has '4' at residue 1.*invalid_proteins: skip"):
        read_fasta(path)
    proteins = read_fasta(path, skip_invalid=True)
    assert len(proteins) == 176
    assert [(p.accession, p.sequence) for p in proteins if p.problem] == [("sp|P06965|DICC_ECOLI", "")]


def test_read_fasta__real_malformed_files(shared):
    folder = shared / "data" / "fasta"
    assert [p.accession for p in read_fasta(folder / "illegal_amino_acids.fasta")] == ["ok", "lowercase", "PROTEIN"]
    with pytest.raises(InputError, match=r"'unparsable'.*has 'ä'"):
        read_fasta(folder / "unparsable.fasta")


def test_read_fasta__a_byte_order_mark_is_passed_over(tmp_path):
    (tmp_path / "x.fasta").write_bytes(b"\xef\xbb\xbf>P1\nMKT\n")
    assert [(p.accession, p.sequence) for p in read_fasta(tmp_path / "x.fasta")] == [("P1", "MKT")]
