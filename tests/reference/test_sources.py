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


def test_read_annotations__only_what_is_asked_for(tmp_path):
    """What is counted, and in which order, is as if all were read and chosen from afterwards."""
    lines = [
        changed(),
        changed(c6="IEA"),
        changed(c1="P2", c6="IEA"),
        changed(c1="P2"),
        changed(c3="NOT|enables"),
        changed(c6="ND"),
        changed(c1="P3", c6="IEA", c12="taxon:4932"),
    ]
    source = read_annotations(gaf(tmp_path, *lines), proteins={"P1", "P3"}, evidence={"IDA", ""})
    assert source.counts == {"read": 7, "not": 1, "no_data": 1, "other_evidence": 3, "other_protein": 1}
    assert source.table["accession"].tolist() == ["P1"]
    # The taxon of a protein is known from any of its lines.
    assert source.taxa == {"P1": 9606, "P3": 4932}
    assert source.example == "P1"


def test_read_annotations__memory_is_that_of_what_is_kept(tmp_path):
    import tracemalloc

    read_annotations(gaf(tmp_path, GAF_LINE))  # what is imported on the way
    file = gaf(tmp_path, *(changed(c1=f"Q{i}", c5=f"PMID:{i}") for i in range(20_000)), GAF_LINE)
    tracemalloc.start()
    try:
        assert len(read_annotations(file, proteins={"P1"}).table) == 1
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000, "20,000 lines take 14 MB as lists"


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


@pytest.mark.parametrize("header", ["!gpa-version: 3.1", "!gpad-version: 2.2", "!gaf-version: 3.0", "!nothing"])
def test_gaf__version_unknown(tmp_path, header):
    with pytest.raises(InputError, match="does not say which GAF"):
        read_annotations(gaf(tmp_path, GAF_LINE, header=header))


# GPAD ---------------------------------------------------------------------------------------------------------------

GPAD_1 = [
    "UniProtKB",
    "P1",
    "NOT|enables",
    "GO:0003743",
    "PMID:1|GO_REF:2",
    "ECO:0000314",
    "",
    "",
    "20230306",
    "X",
    "",
    "",
]
GPAD_2 = ["UniProtKB:P1", "", "RO:0002327", "GO:0003743", "PMID:1", "ECO:0000314", "", "", "2023-03-06", "X", "", ""]


def gpad(tmp_path, *lines, version):
    name = "gpad" if version == "2.0" else "gpa"
    return gaf(tmp_path, *lines, header=f"!generated-by: somebody\n!{name}-version: {version}")


def replaced(line, **columns):
    line = list(line)
    for name, value in columns.items():
        line[int(name[1:])] = value
    return line


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_gpad_1__lines(tmp_path, version):
    lines = [
        GPAD_1,
        replaced(GPAD_1, c1="P2-3", c2="part_of"),
        replaced(GPAD_1, c1="P3:PRO_0000012345", c2="part_of", c11="x=1|go_evidence=HDA|y=2", c5="ECO:9999999"),
        replaced(GPAD_1, c1="P4", c2="part_of", c5="ECO:9999999"),
        replaced(GPAD_1, c1="P5", c5="ECO:0000307", c2=""),
        replaced(GPAD_1, c0="MGI", c1="MGI:12-3", c2="enables")[:10],
    ]
    source = read_annotations(gpad(tmp_path, *lines, version=version))
    assert source.counts == {"read": 6, "not": 1, "no_data": 1}
    chosen = source.table[["accession", "go_id", "aspect", "evidence", "qualifier", "taxon", "reference", "date"]]
    assert chosen.values.tolist() == [
        ["P2", "GO:0003743", "", "IDA", "part_of", 0, "PMID:1|GO_REF:2", "20230306"],
        ["P3", "GO:0003743", "", "HDA", "part_of", 0, "PMID:1|GO_REF:2", "20230306"],
        ["P4", "GO:0003743", "", "ECO:9999999", "part_of", 0, "PMID:1|GO_REF:2", "20230306"],
        ["MGI:12-3", "GO:0003743", "", "IDA", "enables", 0, "PMID:1|GO_REF:2", "20230306"],
    ]


def test_gpad_2__lines(tmp_path):
    lines = [
        GPAD_2,
        replaced(GPAD_2, c1="NOT"),
        replaced(GPAD_2, c0="MGI:MGI:123", c2="BFO:0000050", c8="2023-03-06T10:11:12"),
        replaced(GPAD_2, c0="UniProtKB:P1-2", c2="RO:7777777"),
    ]
    source = read_annotations(gpad(tmp_path, *lines, version="2.0"))
    assert source.counts == {"read": 4, "not": 1, "no_data": 0}
    assert source.table[["accession", "evidence", "qualifier", "date"]].values.tolist() == [
        ["P1", "IDA", "enables", "20230306"],
        ["MGI:123", "IDA", "part_of", "20230306"],
        ["P1", "IDA", "RO:7777777", "20230306"],
    ]


@pytest.mark.parametrize(
    ("line", "match"),
    [
        (["a", "b", "c"], "line 4 of .* has 3 columns: GPAD has 12"),
        (replaced(GPAD_2, c0="UniProtKB:"), "line 4 of .* has no accession"),
        (replaced(GPAD_2, c3="3743"), "line 4 of .* has '3743' where a GO id"),
    ],
)
def test_gpad__malformed_lines_are_named(tmp_path, line, match):
    with pytest.raises(InputError, match=match):
        read_annotations(gpad(tmp_path, GPAD_2, line, version="2.0"))


@pytest.mark.shared
@pytest.mark.parametrize("version", ["1.1", "2.0"])
def test_gpad__real_gaf_rewritten_reads_the_same(shared, tmp_path, version):
    from fantasia_dask.reference.gpad import CODE_OF, RELATION_OF

    eco = {code: term for term, code in reversed(CODE_OF.items())}
    number = {name: relation for relation, name in RELATION_OF.items()}
    path = shared / "data/gaf/A_mellifera.goa.gz"
    lines = []
    with gzip.open(path, "rt") as text:
        for line in text:
            if line.startswith("!"):
                continue
            c = line.rstrip("\n").split("\t")
            negated, relation = "NOT" in c[3].split("|"), c[3].split("|")[-1]
            if version == "2.0":
                day = f"{c[13][:4]}-{c[13][4:6]}-{c[13][6:]}"
                relation = number.get(relation, relation)
                line = [f"{c[0]}:{c[1]}", "NOT" * negated, relation, c[4], c[5], eco[c[6]], c[7], "", day, c[14]]
            else:
                line = [c[0], c[1], c[3], c[4], c[5], eco[c[6]], c[7], "", c[13], c[14], "", f"go_evidence={c[6]}"]
            lines.append(line)
    expected, found = read_annotations(path), read_annotations(gpad(tmp_path, *lines, version=version))
    assert found.counts == expected.counts
    told = [name for name in ANNOTATION_COLUMNS if name not in ("aspect", "taxon")]
    assert found.table[told].equals(expected.table[told])


def test_lists(tmp_path):
    (tmp_path / "x.txt").write_text("A/B\tGO:0000001,GO:0000002\r\n\n00123\tGO:0000001, \nNA\tGO:0000003\n")
    table = read_annotations(tmp_path / "x.txt").table
    assert table[["accession", "go_id", "evidence"]].values.tolist() == [
        ["A/B", "GO:0000001", ""],
        ["A/B", "GO:0000002", ""],
        ["00123", "GO:0000001", ""],
        ["NA", "GO:0000003", ""],
    ]


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


@pytest.mark.parametrize(
    "qualifier",
    ["NOT", "not", "Not", "!NOT", "NOT,located_in", "NOT located_in", "NOT|enables", "enables|NOT", "not_enables"],
)
def test_read_annotations__what_a_protein_does_not_do(tmp_path, qualifier):
    table = tmp_path / "a.tsv"
    lines = [
        f"P1\tGO:0008150\t{qualifier}",
        "P2\tGO:0008150\tcolocalizes_with",
        "P3\tGO:0008150\tnoted",
        "P4\tGO:0008150\t",
    ]
    table.write_text("\n".join(["accession\tgo_id\tqualifier", *lines]) + "\n")
    found = read_annotations(table)
    assert found.table["accession"].tolist() == ["P2", "P3", "P4"]
    assert found.counts["not"] == 1


def test_read_annotations__gaf_without_its_header(tmp_path):
    file = tmp_path / "a.gaf"
    gene, of = ["UniProtKB", "P1", "X", "enables", "GO:0005515"], ["PMID:1", "IPI", "", "F", "x", "", "protein"]
    columns = [*gene, *of, "taxon:9606", "20200101", "UniProt"]
    file.write_text("\t".join(columns) + "\n")
    with pytest.raises(InputError, match=r"looks like GAF .*: write '!gaf-version: 2.2' .*above its first line"):
        read_annotations(file)
    marked = tmp_path / "marked.gaf"
    marked.write_bytes(b"\xef\xbb\xbf!gaf-version: 2.2\n" + file.read_bytes())
    assert read_annotations(marked).table["accession"].tolist() == ["P1"]
