"""FASTA headers, GAF and tables of annotations."""

from __future__ import annotations

import gzip

import pytest

from fantasia_dask.errors import InputError
from fantasia_dask.reference.sources import ANNOTATION_COLUMNS, read_annotations, read_proteins

GAF_LINE = [
    "UniProtKB", "P1", "SYM", "enables", "GO:0003743", "PMID:1|GO_REF:2", "IDA", "", "F", "Name", "A|B", "protein",
    "taxon:9606|taxon:10090", "20230306", "UniProt", "", "",
]  # fmt: skip


def gaf(tmp_path, *lines, header="!gaf-version: 2.2"):
    file = tmp_path / "x.gaf"
    file.write_text("\n".join([header, *("\t".join(line) for line in lines)]) + "\n")
    return file


def changed(**columns):
    """The GAF line with some columns (c1 = the second) replaced."""
    line = list(GAF_LINE)
    for name, value in columns.items():
        line[int(name[1:])] = value
    return line


def fasta(tmp_path, text):
    file = tmp_path / "x.fasta"
    file.write_text(text)
    return file


def test_read_proteins__headers(tmp_path):
    file = fasta(
        tmp_path,
        ">sp|P1-2|A_X Long name OS=Homo sapiens (Human) OX=9606 GN=AB C PE=1 SV=2\nMKT\n"
        ">tr|Q9|B_X Name OS=Strain K-12 = odd OX=562\nMK\n"
        ">gene|1 free text GN=x\nM\n"
        ">plain\nMKT\n",
    )
    found = [(p.accession, p.taxon, p.organism, p.gene) for p in read_proteins(file)]
    assert found == [
        ("P1-2", 9606, "Homo sapiens (Human)", "AB C"),
        ("Q9", 562, "Strain K-12 = odd", ""),
        ("gene|1", 0, "", "x"),
        ("plain", 0, "", ""),
    ]


def test_read_proteins__two_headers_of_one_accession(tmp_path):
    with pytest.raises(InputError, match="'P1' stands in two headers"):
        read_proteins(fasta(tmp_path, ">sp|P1|A\nMK\n>tr|P1|B\nMK\n"))


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.2"])
def test_gaf__one_line(tmp_path, version):
    source = read_annotations(gaf(tmp_path, GAF_LINE, header=f"!a comment\n!gaf-version:{version}\n!another"))
    assert source.table.columns.tolist() == ANNOTATION_COLUMNS
    assert source.table.to_numpy().tolist() == [
        ["P1", "GO:0003743", "F", "IDA", "enables", 9606, "PMID:1|GO_REF:2", "20230306"]
    ]
    assert source.counts == {"read": 1, "not": 0, "no_data": 0}


def test_gaf__not_and_nd_are_left_out(tmp_path):
    source = read_annotations(
        gaf(
            tmp_path,
            GAF_LINE,
            changed(c3="NOT"),
            changed(c3="NOT|enables"),
            changed(c6="ND"),
            changed(c3="NOTable"),
            changed(c12="559292"),
            changed(c12=""),
        )
    )
    assert source.counts == {"read": 7, "not": 2, "no_data": 1}
    assert source.table["taxon"].tolist() == [9606, 9606, 559292, 0]


def test_gaf__comments_blank_lines_and_short_ends(tmp_path):
    file = gaf(tmp_path, GAF_LINE)
    file.write_text(file.read_text() + "\n!remark\n" + "\t".join(GAF_LINE[:15]) + "\n")
    assert read_annotations(file).counts["read"] == 2


@pytest.mark.parametrize(
    ("line", "match"),
    [
        (["a", "b", "c"], "line 3 of .* has 3 columns: GAF has 17"),
        (["one"], "line 3 of .* has 1 columns"),
        (changed(c1=""), "line 3 of .* has no accession"),
        (changed(c4="3743"), "line 3 of .* has '3743' where a GO id"),
        (changed(c8="X"), "line 3 of .* has aspect 'X'"),
        (changed(c12="taxon:human"), "line 3 of .* has taxon 'taxon:human'"),
    ],
)
def test_gaf__malformed_lines_are_named(tmp_path, line, match):
    with pytest.raises(InputError, match=match):
        read_annotations(gaf(tmp_path, GAF_LINE, line))


@pytest.mark.parametrize("header", ["!gpa-version: 1.1", "!gaf-version: 3.0", "!nothing"])
def test_gaf__version_unknown(tmp_path, header):
    with pytest.raises(InputError, match="does not say which GAF"):
        read_annotations(gaf(tmp_path, GAF_LINE, header=header))


def test_table__optional_columns_order_and_spellings(tmp_path):
    file = tmp_path / "x.tsv.gz"
    text = (
        'Evidence_Code\tprotein_id\textra\tgo_id\tcategory\nIDA\tNA\t"q\tGO:0000001\tBP\n\nIEA\t007\t\tGO:0000002\t\n'
    )
    file.write_bytes(gzip.compress(text.encode()))
    table = read_annotations(file).table
    assert table["accession"].tolist() == ["NA", "007"]
    assert table["aspect"].tolist() == ["P", ""]
    assert table["evidence"].tolist() == ["IDA", "IEA"]
    assert table["taxon"].tolist() == [0, 0]


def test_table__commas_and_quotes(tmp_path):
    (tmp_path / "x.csv").write_text('accession,go_id,reference\nP1,GO:0000001,"PMID:1, PMID:2"\n')
    assert read_annotations(tmp_path / "x.csv").table["reference"].tolist() == ["PMID:1, PMID:2"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "does not name 'accession'"),
        ("accession\tgo\n", None),
        ("accession\tterm\nP1\tGO:1\n", "does not name 'go_id'"),
        ("accession\tgo_id\nP1\n", "line 2 of .* has 1 columns where the header has 2"),
        ("accession\tgo_id\nP1\tGO:1\tx\n", "line 2 of .* has 3 columns"),
        ("accession\tgo_id\nP1\tGO:1\n\tGO:1\n", "line 3 of .* has no accession"),
        ("<html>\n<body>", "no table of annotations"),
        ('accession,go_id\nP1,"GO:1\n', "cannot be read as a table"),
    ],
)
def test_table__malformed(tmp_path, text, match):
    (tmp_path / "x.tsv").write_text(text)
    if match is None:
        assert read_annotations(tmp_path / "x.tsv").table.empty
        return
    with pytest.raises(InputError, match=match):
        read_annotations(tmp_path / "x.tsv")


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "taxa"),
    [("A_mellifera", {7460, 7469}), ("E_coli", {83333}), ("S_cerevisiae", {559292})],
)
def test_gaf__real_files_equal_an_independent_count(shared, name, taxa):
    path = shared / f"data/gaf/{name}.goa.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    lines = [line.split("\t") for line in text.splitlines() if not line.startswith("!")]
    negative = sum("NOT" in line[3] for line in lines)
    no_data = sum(line[6] == "ND" and "NOT" not in line[3] for line in lines)
    source = read_annotations(path)
    assert source.counts == {"read": len(lines), "not": negative, "no_data": no_data}
    assert len(source.table) == len(lines) - negative - no_data
    assert set(source.table["taxon"].unique()) == taxa
