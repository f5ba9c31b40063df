"""Maps and associations, read back by R's own functions and by goatools."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys

import pytest

from fantasia_dask.report.delimited import unescaped
from fantasia_dask.report.enrichment import associations_file, term_tables
from fantasia_dask.report.topgo import gene_maps, write_topgo

ACCESSIONS = ["sp|P01326|INS2_MOUSE", "A/B", "00123", "1e5", "=cmd()", "../../x", "a b", "ab", "#c", "'q", '"', "a%20b"]

rscript = pytest.mark.skipif(shutil.which("Rscript") is None, reason="needs R (Debian: r-base-core)")


def r(code, *arguments):
    done = subprocess.run(["Rscript", "--vanilla", "-e", code, *arguments], capture_output=True, text=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


# As topGO's readMappings is documented: a gene, a tab, and its terms with commas between; spaces mean nothing.
READ_MAP = """
table <- read.delim(commandArgs(TRUE)[1], header = FALSE, quote = "", sep = "\\t", colClasses = "character")
genes <- gsub(" ", "", table[, 1])
terms <- lapply(strsplit(table[, 2], ","), function(ids) gsub(" ", "", ids))
for (i in seq_along(genes)) { cat(genes[i], terms[[i]], sep = "\\t"); cat("\\n") }
"""

READ_TABLE = """
table <- read.delim(commandArgs(TRUE)[1], quote = "", colClasses = "character", na.strings = character())
for (i in seq_len(nrow(table))) { cat(table[i, 1], table[i, 2], sep = "\\t"); cat("\\n") }
"""


@rscript
def test_maps__read_by_r(make_rows, make_consensus, tmp_path):
    rows = make_rows([(word, "A", 0, f"GO:000000{i}", "P", 0.5, 0.5) for word in ACCESSIONS for i in (2, 1)])
    write_topgo(rows, tmp_path / "topgo", spaces=[("A", 0)])
    lines = [(word, f"GO:000000{i}", "BP", ("P",)) for word in ACCESSIONS for i in (1, 2)]
    with gene_maps(tmp_path / "genes") as add:
        add(make_consensus(lines))
    for path in (tmp_path / "topgo/A/layer_0/BP.map", tmp_path / "topgo/ensemble/BP.map", tmp_path / "genes/BP.map"):
        back = r(READ_MAP, str(path))
        assert [unescaped(line[0], " ") for line in back] == ACCESSIONS
        assert all(sorted(line[1:]) == ["GO:0000001", "GO:0000002"] for line in back)


@rscript
def test_term_tables__read_by_r(make_consensus, tmp_path):
    words = [*ACCESSIONS, "NA"]
    with term_tables(tmp_path, {"GO:0000001": 'a "name", with\ttab', "GO:0000002": "NA"}) as add:
        for word in words:
            add(make_consensus([(word, "GO:0000001", "BP", ()), (word, "GO:0000002", "BP", ())]))
    genes = r(READ_TABLE, str(tmp_path / "term2gene.tsv"))
    assert [(term, unescaped(gene)) for term, gene in genes] == [
        (term, word) for word in words for term in ("GO:0000001", "GO:0000002")
    ]
    names = r(READ_TABLE, str(tmp_path / "term2name.tsv"))
    assert [(term, unescaped(name)) for term, name in names] == [
        ("GO:0000001", 'a "name", with\ttab'),
        ("GO:0000002", "NA"),
    ]


GOATOOLS = """
import sys
from goatools.anno.idtogos_reader import IdToGosReader
for gene, terms in IdToGosReader(sys.argv[1]).get_id2gos_nss().items():
    print(ascii((gene, sorted(terms))))
"""


def test_associations__read_by_goatools(make_consensus, tmp_path):
    pytest.importorskip("goatools", reason="goatools is not installed")
    words = [*ACCESSIONS, "NA"]
    with associations_file(tmp_path / "goatools.tsv") as add:
        for word in words:
            add(make_consensus([(word, "GO:0000001", "BP", ()), (word, "GO:0000002", "MF", ())]))
    command = [sys.executable, "-W", "ignore", "-c", GOATOOLS, str(tmp_path / "goatools.tsv")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    back = dict(ast.literal_eval(line) for line in done.stdout.splitlines() if line.startswith("("))
    assert {unescaped(gene, " "): terms for gene, terms in back.items()} == {
        word: ["GO:0000001", "GO:0000002"] for word in words
    }
