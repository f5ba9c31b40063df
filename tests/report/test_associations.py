"""GAF, read back by Biopython and goatools; GPAD and GPI 2.0, which neither of them knows, field by field."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
from datetime import date
from urllib.parse import unquote

import pandas as pd
import pytest
from Bio.UniProt import GOA

from fantasia_dask.report.associations import gaf_file, gpad_file, gpi_file
from fantasia_dask.report.delimited import unescaped
from fantasia_dask.report.facts import Facts

from ..gpad_grammar import ID

FACTS = Facts("run", date(2026, 1, 31), "0.0", go_release="releases/2026-01-01", database="MINE", taxon=9606)
ACCESSIONS = [
    "sp|P01326|INS2_MOUSE",
    "A/B",
    "NA",
    "00123",
    "=cmd()",
    "../../x",
    "a\tb",
    "a%09b",
    "!x",
    "'q",
    "é",
    "a b",
]


@pytest.fixture
def consensus(make_consensus):
    lines = [(accession, "GO:0005158", "MF", ("P01308", "sp|X|Y", "A,1")) for accession in ACCESSIONS]
    lines += [("A/B", "GO:0008286", "BP", ("Q6GZX4-2",)), ("A/B", "GO:0005829", "CC", ("A0A022YWF9",))]
    lines += [("A/B", "GO:0005833", "CC", ("P1",)), ("A/B", "GO:0008150", "BP", ("P01308",))]
    return make_consensus(lines)


def write(writer, path, consensus, *more):
    with writer(path, FACTS, *more) as add:
        for start in range(0, len(consensus), 5):
            add(consensus.iloc[start : start + 5])
    return path


def test_gaf__read_by_biopython(consensus, tmp_path):
    path = write(gaf_file, tmp_path / "annotations.gaf", consensus, {"GO:0005833"})
    with path.open(encoding="utf-8", newline="\n") as file:
        # The columns of 2.1 and 2.2 are the same; Biopython knows them by the header of 2.1.
        header = file.readline()
        assert header == "!gaf-version: 2.2\n"
        text = ["!gaf-version: 2.1\n", *file]
    records = list(GOA.gafiterator(io.StringIO("".join(text), newline="\n")))
    assert [unescaped(record["DB_Object_ID"]) for record in records] == [*ACCESSIONS, "A/B", "A/B", "A/B"]
    first = records[0]
    assert (first["DB"], first["GO_ID"], first["Evidence"], first["Aspect"]) == ("MINE", "GO:0005158", "IEA", "F")
    assert first["With"] == ["UniProtKB:P01308", "MINE:sp%7CX%7CY", "MINE:A%2C1"]
    assert (first["Taxon_ID"], first["Date"], first["Assigned_By"]) == (["taxon:9606"], "20260131", "fantasia-dask")
    assert [record["Qualifier"] for record in records[-4:]] == [
        ["enables"],
        ["involved_in"],
        ["located_in"],
        ["part_of"],
    ]
    assert "GO:0008150" not in {record["GO_ID"] for record in records}
    assert {len(line.split("\t")) for line in text if line[0] != "!"} == {17}


GOATOOLS = """
import sys
from goatools.anno.gaf_reader import GafReader
reader = GafReader(sys.argv[1], hdr_only=False)
for note in reader.associations:
    print(ascii((note.DB_ID, note.GO_ID, sorted(note.Qualifier), note.Evidence_Code, note.NS, sorted(note.With_From))))
"""


def test_gaf__read_by_goatools(consensus, tmp_path):
    pytest.importorskip("goatools", reason="goatools is not installed")
    path = write(gaf_file, tmp_path / "annotations.gaf", consensus)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", GOATOOLS, str(path)], capture_output=True, text=True, check=True
    )
    notes = [ast.literal_eval(line) for line in done.stdout.splitlines() if line.startswith("(")]
    assert {(unescaped(note[0]), note[1]) for note in notes} == {
        (accession, go_id)
        for accession, go_id in consensus[["accession", "go_id"]].itertuples(index=False)
        if go_id != "GO:0008150"
    }
    assert {note[3] for note in notes} == {"IEA"}
    assert {(note[4], *note[2]) for note in notes} == {("MF", "enables"), ("BP", "involved_in"), ("CC", "located_in")}


def test_gpad_and_gpi__as_specified(consensus, tmp_path):
    gpad = write(gpad_file, tmp_path / "a.gpad", consensus, {"GO:0005833"}).read_text(encoding="utf-8").split("\n")
    assert gpad[:2] == ["!gpad-version: 2.0", "!generated-by: fantasia-dask"]
    assert gpad[2] == "!date-generated: 2026-01-31"
    lines = [line.split("\t") for line in gpad if line and not line.startswith("!")]
    assert {len(line) for line in lines} == {12}
    assert [unquote(line[0].removeprefix("MINE:")) for line in lines] == [*ACCESSIONS, "A/B", "A/B", "A/B"]
    assert [line[2] for line in lines[-3:]] == ["RO:0002331", "RO:0001025", "BFO:0000050"]
    for line in lines:
        assert line[1] == ""
        assert re.fullmatch(r"GO:\d{7}", line[3])
        assert line[4:6] == ["PMID:33441905", "ECO:0000501"]
        assert all(re.fullmatch(ID, name) for name in (line[0], *line[6].split("|")))
        assert line[8:] == ["2026-01-31", "fantasia-dask", "", ""]
    gpi = write(gpi_file, tmp_path / "a.gpi", consensus).read_text(encoding="utf-8").split("\n")
    assert gpi[0] == "!gpi-version: 2.0"
    entities = pd.DataFrame([line.split("\t") for line in gpi if line and not line.startswith("!")])
    assert entities.shape[1] == 11
    assert set(entities[0]) == {line[0] for line in lines}
    assert set(entities[5]) == {"NCBITaxon:9606"}


def test_files__nothing_to_say(make_consensus, tmp_path):
    for writer in (gaf_file, gpad_file, gpi_file):
        text = write(writer, tmp_path / "empty", make_consensus([])).read_text()
        assert all(line.startswith("!") for line in text.splitlines())
