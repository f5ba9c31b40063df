"""Names that ask for trouble, of queries and of donors alike: every output gives them back, and none of them acts.

Each file is read by what people read it with. What a FASTA header cannot carry (white space) comes as ids of vectors
and in the tables of a reference.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import shutil
import subprocess
import unicodedata
import warnings
import xml.etree.ElementTree as ET
from typing import get_args
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pytest

from fantasia_dask import open_run, run
from fantasia_dask.config import make_config
from fantasia_dask.errors import InputError
from fantasia_dask.interchange import import_vectors
from fantasia_dask.interchange.outputs import export_vectors
from fantasia_dask.progress import Progress
from fantasia_dask.reference.build import ReferenceTables, typed
from fantasia_dask.reference.bundle import describe, write_reference
from fantasia_dask.report.delimited import BLANKS, restored, unescaped
from fantasia_dask.report.words import shortened
from fantasia_dask.schema import ANNOTATIONS, PROTEINS, RELATIONS, TERMS, Space
from fantasia_dask.sequences import read_fasta
from fantasia_dask.store import StoreWriter, open_store
from fantasia_dask.testing import simulate_embeddings
from fantasia_dask.values import ExportName

from ..gpad_grammar import GPAD, GPI, against

SPACES = (Space("Sim", 0, 32, "clean", "sim", "r1"), Space("Sim", 1, 16, "clean", "sim", "r1", "float16"))
SCRIPT = "<script>document.title='broken'</script>"
WORDS = [
    *("../../x", "/etc/passwd", "..", ".", "~", "A/B", "abc", "ABC", "00123", "1e5", "1_000", "0x1F", "inf", "-0.0"),
    *("NA", "nan", "None", "True", "null", "N/A", "-", "--help", "#c", "!d", ";e", ">f", "*", "?", "con", "a:b"),
    *("=cmd()", "+1", "-1", "@SUM(1)", "=HYPERLINK(\"http://x\",'y')", "\uff1dcmd()", "'=q", "'", '"', "'\"", '""'),
    *("a,b", "a;b", "a|b", "sp|P1|X", "a%7Cb", "%7C", "\\", "\\n", "C:\\x", "%s", "%09", "%", "{}", "{{7*7}}", "$(id)"),
    *(
        "$x^2$",
        "`id`",
        SCRIPT,
        "</script><img/src=x/onerror=alert(1)>",
        "<!--",
        "]]>",
        "a&b",
        "&lt;",
        "javascript:alert(1)",
    ),
    *(
        "\u00e9clair",
        "e\u0301clair",
        "\u05e9\u05dc\u05d5\u05dd",
        "\u202eevil",
        "\U0001f9ec",
        "\U0001f469\u200d\U0001f52c",
    ),
    *(
        "\ufeffbom",
        "no\u00a0break",
        "\u00a0",
        "\u2028",
        "\x85",
        "\x0b\x0c",
        "\x1c",
        "\x1b[2J",
        "\x07",
        "x" * 5000,
        "\uffff",
    ),
]
"""What a header of a FASTA file can carry."""
SPACED = [
    "tab\there",
    "line\nend",
    "carriage\rreturn",
    "both\r\n",
    "\n=cmd()",
    "\t=1",
    " leads",
    "trails ",
    "a  b",
    " ",
    "nul\0in",
]
NAMES = WORDS + SPACED
REGIONS = [f"GO:{number:07d}" for number in range(1, len(NAMES) + 1)]


def turned(n):
    """All names, beginning with another one: no donor shares its gene's or its query's."""
    return NAMES[n:] + NAMES[:n]


def write_world(folder):
    """A reference whose proteins, genes, species and terms bear these names, and vectors of queries that do."""
    n, number = len(NAMES), np.arange(len(NAMES))
    sequences = ["MKTAYIAKQR" * (i % 4 + 1) for i in range(n)]
    for name in ("donors", "queries"):
        with StoreWriter(folder / f"{name}.zarr", ids=NAMES, sequences=sequences, spaces=SPACES) as writer:
            for space in SPACES:
                writer.write(space, 0, simulate_embeddings(n, space.dimension, seed=space.layer, families=n))
    columns = {"protein": number, "row": number, "accession": NAMES, "taxon": 9606, "organism": turned(1)}
    columns |= {"gene": turned(2), "length": [len(s) for s in sequences], "sequence": sequences}
    aspects = np.array(list("FPC"))[number % 3]
    terms = pd.DataFrame({"go_id": REGIONS, "name": turned(3), "aspect": aspects, "obsolete": False, "replaced_by": ""})
    annotations = pd.DataFrame({"protein": number, "go_id": REGIONS, "aspect": aspects, "evidence": "EXP"})
    tables = ReferenceTables(
        typed(pd.DataFrame(columns), PROTEINS),
        typed(annotations.assign(qualifier="", source="", date=""), ANNOTATIONS),
        typed(terms, TERMS),
        typed(pd.DataFrame(columns=[column.name for column in RELATIONS]), RELATIONS),
        {},
        "<b>release</b>",
    )
    write_reference(folder / "reference", tables=tables, embeddings=folder / "donors.zarr")


@pytest.fixture(scope="module")
def base(client, tmp_path_factory):
    """A folder with a finished run, all its outputs on; what it would say on a terminal does nothing to one."""
    folder = tmp_path_factory.mktemp("names")
    write_world(folder)
    settings = {
        "input": str(folder / "queries.zarr"),
        "reference": str(folder / "reference"),
        "base_directory": str(folder / "base"),
        "prefix": "run",
        "only_lookup": True,
        "limit_per_entry": 3,
        "exports": get_args(ExportName),
        "raw_csv": True,
        "embedding": {"models": {"Sim": {"layer_index": [0, 1]}}},
    }
    said = run(make_config(settings), client=client, progress=Progress(quiet=True)).text()
    assert not [sign for sign in said if unicodedata.category(sign) == "Cc" and sign != "\n"]
    assert max(map(len, said.split("\n"))) < 400
    assert "../../x" in said
    return folder


@pytest.fixture(scope="module")
def folder(base):
    """The run folder."""
    return base / "base" / "experiments" / "run"


def rows(path, separator="\t", **how):
    """Read a table as documented, with pandas and with Python's own reader, which agree."""
    table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, **how)
    if path.suffix != ".gz" and not how:
        with path.open(encoding="utf-8", newline="") as file:
            assert list(csv.DictReader(file, delimiter=separator)) == table.to_dict("records")
    return table


def bare(path, comment="!"):
    """Read lines of a format without quotes."""
    lines = path.read_bytes().decode("utf-8").split("\n")
    assert lines.pop() == ""
    return [line.split("\t") for line in lines if not (comment and line.startswith(comment))]


def members(field, separator="|"):
    """Read a list that lies in one field."""
    return [unescaped(word, separator) for word in field.split(separator)]


def test_folder__no_file_is_named_by_them(base, folder):
    assert {path.name for path in base.iterdir()} == {"base", "donors.zarr", "queries.zarr", "reference"}
    assert [path.name for path in (base / "base").iterdir()] == ["experiments"]
    assert [path.name for path in folder.parent.iterdir()] == ["run"]
    files = [path for path in folder.rglob("*") if path.relative_to(folder).parts[0] != "raw_results"]
    assert all(path.name.isascii() and len(path.name) < 60 for path in files)
    assert not {word for path in files for word in (path.stem, path.name)} & set(NAMES) - {"-"}
    raw = {path.stem for path in (folder / "raw_results").rglob("*.csv")}
    assert len(raw) == len(NAMES)
    assert all(set(stem) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-%~") and len(stem) < 150 for stem in raw)
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    assert not list(folder.rglob("*.partial"))


@pytest.mark.parametrize("name", ["status.tsv", "summary.tsv", "consensus.tsv", "annotations.tsv.gz"])
def test_tables__tab_separated(folder, name):
    table = rows(folder / name)
    assert set(table["accession"]) == set(NAMES)
    if "go_description" in table:
        of = dict(zip(REGIONS, turned(3), strict=True))
        assert table["go_description"].tolist() == table["go_id"].map(of).tolist()


@pytest.mark.parametrize(("name", "column"), [("summary.tsv", "proteins"), ("consensus.tsv", "donor_ids")])
def test_tables__lists_of_donors(folder, name, column):
    table = rows(folder / name)
    raw = ds.dataset(folder / "annotations", format="parquet").to_table(columns=["accession", "go_id", "protein_id"])
    expected = raw.to_pandas().groupby(["accession", "go_id"])["protein_id"].agg(set)
    found = table.set_index(["accession", "go_id"])[column].map(members).map(set)
    assert found.to_dict() == expected.to_dict()
    assert {donor for donors in found for donor in donors} == set(NAMES)


def test_tables__comma_separated_and_inert(folder):
    summary = rows(folder / "summary.csv", ",")
    assert set(summary["accession"].map(restored)) == set(NAMES)
    exact = rows(folder / "summary.tsv")
    assert summary.map(restored).equals(exact)
    raw = pd.concat([rows(path, ",") for path in (folder / "raw_results").rglob("*.csv")])
    table = rows(folder / "annotations.tsv.gz").drop(columns="alignment_method")
    order = ["model_name", "layer_index", "accession", "protein_id", "go_id"]
    both = [frame.sort_values(order, ignore_index=True) for frame in (raw.map(restored), table[raw.columns])]
    pd.testing.assert_frame_equal(*both)
    index = rows(folder / "query_index_mapping.csv", ",")
    assert [name for field in index["accessions"].map(restored) for name in members(field, ";")] == sorted(
        NAMES, key=lambda name: (NAMES.index(name) % 4, NAMES.index(name))
    )
    numbers = {"distance", "reliability_index"}
    for frame in (summary, raw, index):
        for name in set(frame) - numbers:
            texts = frame[name][pd.to_numeric(frame[name], errors="coerce").isna()]
            assert not texts.str.match(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]").any(), name


def test_parquet(folder):
    table = ds.dataset(folder / "annotations", format="parquet").to_table().to_pandas()
    assert set(table["accession"]) == set(table["protein_id"]) == set(NAMES)
    names = table.drop_duplicates("protein_id").set_index("protein_id")
    assert names["organism"].to_dict() == dict(zip(NAMES, turned(1), strict=True))
    assert names["gene_name"].to_dict() == dict(zip(NAMES, turned(2), strict=True))
    assert pd.read_parquet(folder / "queries.parquet")["accession"].tolist() == NAMES


def test_gaf__biopython(folder, tmp_path):
    from Bio.UniProt.GOA import gafiterator

    # Biopython knows GAF up to 2.1, whose columns are the same.
    copy = tmp_path / "as_2.1.gaf"
    copy.write_bytes((folder / "exports/annotations.gaf").read_bytes().replace(b"version: 2.2", b"version: 2.1", 1))
    with copy.open(encoding="utf-8", newline="\n") as file:
        records = list(gafiterator(file))
    assert {unescaped(record["DB_Object_ID"]) for record in records} == set(NAMES)
    assert {unescaped(record["DB_Object_Symbol"]) for record in records} == set(NAMES)
    donors = {donor.partition(":")[2] for record in records for donor in record["With"]}
    assert {unescaped(donor, "|,") for donor in donors} == set(NAMES)
    consensus = rows(folder / "consensus.tsv")
    pairs = [(unescaped(record["DB_Object_ID"]), record["GO_ID"]) for record in records]
    assert pairs == list(zip(consensus["accession"], consensus["go_id"], strict=True))


def test_gpad_and_gpi(folder):
    lines = bare(folder / "exports/annotations.gpad")
    assert {len(line) for line in lines} == {12}
    assert against(GPAD, lines) == {}
    assert {unquote(line[0].removeprefix("LOCAL:")) for line in lines} == set(NAMES)
    donors = {donor.partition(":")[2] for line in lines for donor in line[6].split("|")}
    assert set(map(unquote, donors)) == set(NAMES)
    lines = bare(folder / "exports/annotations.gpi")
    assert {len(line) for line in lines} == {11}
    assert against(GPI, lines) == {}
    assert [unquote(line[0].removeprefix("LOCAL:")) for line in lines] == NAMES
    assert [unquote(line[1]) for line in lines] == NAMES


@pytest.mark.parametrize(("name", "decoded"), [("annotations.gaf", unescaped), ("annotations.gpad", unquote)])
def test_gaf_and_gpad__read_back_by_this_package(folder, name, decoded):
    from fantasia_dask.reference.sources import read_annotations

    consensus = rows(folder / "consensus.tsv")
    table = read_annotations(folder / "exports" / name).table
    assert list(map(decoded, table["accession"])) == consensus["accession"].tolist()
    assert table["go_id"].tolist() == consensus["go_id"].tolist()


def test_gene_lists(folder):
    exports = folder / "exports"
    genes = bare(exports / "clusterprofiler/term2gene.tsv", "")
    assert genes.pop(0) == ["term", "gene"]
    assert {unescaped(gene) for _, gene in genes} == set(NAMES)
    named = bare(exports / "clusterprofiler/term2name.tsv", "")[1:]
    assert {go_id: unescaped(name) for go_id, name in named} == dict(zip(REGIONS, turned(3), strict=True))
    for name in ("goatools.tsv", "cafa.tsv"):
        assert {unescaped(line[0], BLANKS) for line in bare(exports / name, "")} == set(NAMES)
    for kind in ("topgo", "map"):
        files = (folder / "topgo" / "ensemble").glob(f"*.{kind}")
        more = BLANKS if kind == "map" else ""
        assert {unescaped(line[0], more) for path in files for line in bare(path, "")} == set(NAMES)


def test_gene_lists__goatools(folder):
    pytest.importorskip("goatools", reason="goatools is not installed")
    from goatools.anno.idtogos_reader import IdToGosReader

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = IdToGosReader(str(folder / "exports/goatools.tsv")).get_id2gos_nss()
    assert {unescaped(name, BLANKS) for name in found} == set(NAMES)


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="needs R (Debian: r-base-core)")
def test_gene_lists__r(folder):
    """As topGO's readMappings and clusterProfiler's examples read them; and the table, with its quotes."""
    code = r"""
    folder <- commandArgs(TRUE)[1]
    hex <- function(words) sapply(words, function(word) paste(charToRaw(enc2utf8(word)), collapse = ""))
    plain <- function(name, header) read.delim(file.path(folder, name), header = header, quote = "", sep = "\t",
                                               colClasses = "character", comment.char = "", na.strings = character(0),
                                               encoding = "UTF-8")
    maps <- do.call(rbind, lapply(c("BP", "CC", "MF"), function(k) plain(paste0("topgo/ensemble/", k, ".map"), FALSE)))
    genes <- gsub(" ", "", maps[, 1])
    cat("map", unique(hex(genes)), "\n")
    cat("gene", unique(hex(plain("exports/clusterprofiler/term2gene.tsv", TRUE)$gene)), "\n")
    table <- read.delim(file.path(folder, "consensus.tsv"), quote = "\"", colClasses = "character", comment.char = "",
                        na.strings = character(0), encoding = "UTF-8")
    cat("table", unique(hex(table$accession)), "\n")
    """
    command = ["Rscript", "--vanilla", "-e", code, str(folder)]
    spoken = os.environ | {"LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=spoken)
    assert done.returncode == 0, done.stderr
    lines = map(str.split, done.stdout.splitlines())
    found = {kind: [bytes.fromhex(word).decode() for word in words] for kind, *words in lines}
    assert {unescaped(name, BLANKS) for name in found["map"]} == set(NAMES)
    assert {unescaped(name) for name in found["gene"]} == set(NAMES)
    # R itself makes a line feed of every carriage return, and ends a text at NUL.
    seen = {name.replace("\r\n", "\n").replace("\r", "\n").partition("\0")[0] for name in NAMES}
    assert set(found["table"]) == seen


def test_json__of_programs(folder):
    crate = json.loads((folder / "ro-crate-metadata.json").read_text("utf-8"))
    ids = [entity["@id"] for entity in crate["@graph"]]
    assert len(ids) == len(set(ids))
    assert not any(word in entity for entity in ids for word in ("etc", "%2F", "..", "script>"))
    [line] = json.loads((folder / "exports/fantasia_dask_mqc.json").read_text("utf-8"))["data"].values()
    assert line["annotated"] == len(NAMES)
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text("utf-8").splitlines()]
    assert events[-1]["event"] == "run-done"
    assert json.loads((folder / "manifest.json").read_text("utf-8"))["counts"]["proteins"] == len(NAMES)
    assert "\x1b" not in (folder / "run.log").read_text("utf-8")


def test_sequences__biopython(folder):
    from Bio import SeqIO

    records = [record.id for record in SeqIO.parse(folder / "sequences.fasta", "fasta")]
    assert records == [f"Q{i}" for i in range(4)] + [f"R{i}" for i in range(len(NAMES))]


def test_reference_info__for_a_terminal(base):
    said = describe(base / "reference")
    assert not [sign for sign in said if unicodedata.category(sign) == "Cc" and sign != "\n"]
    assert max(map(len, said.split("\n"))) < 400


def test_drawings__well_formed(folder):
    for path in (folder / "figures").glob("*.svg"):
        root = ET.fromstring(path.read_bytes())
        assert not [node for node in root.iter() if node.tag.endswith("}script")]
        assert not [name for node in root.iter() for name in node.attrib if name.startswith("on")]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # anndata sets options of pandas that pandas 3 means to drop
def test_anndata(base, folder, tmp_path, anndata):
    table = open_run(folder).to_anndata()
    assert table.obs_names.tolist() == table.obs["Sim_layer_0_donor"].tolist() == NAMES
    with pytest.raises(InputError, match="NUL"):
        export_vectors(base / "queries.zarr", tmp_path / "out.h5ad")
    assert not list(tmp_path.iterdir())
    kept = [name for name in NAMES if "\0" not in name]
    with StoreWriter(tmp_path / "in.zarr", ids=kept, sequences=["M"] * len(kept), spaces=SPACES) as writer:
        for space in SPACES:
            writer.write(space, 0, np.ones((len(kept), space.dimension), space.dtype))
    back = anndata.read_h5ad(export_vectors(tmp_path / "in.zarr", tmp_path / "out.h5ad"))
    assert back.obs_names.tolist() == kept


def test_hdf5__nul_is_refused_and_all_else_comes_back(tmp_path):
    with (
        pytest.raises(InputError, match="NUL"),
        StoreWriter(tmp_path / "in.h5", ids=NAMES, sequences=[""] * len(NAMES), spaces=SPACES[:1]),
    ):
        pytest.fail("HDF5 cannot hold NUL")
    assert not list(tmp_path.iterdir())
    kept = [name for name in NAMES if "\0" not in name]
    with StoreWriter(tmp_path / "in.h5", ids=kept, sequences=[""] * len(kept), spaces=SPACES[:1]) as writer:
        writer.write(SPACES[0], 0, np.ones((len(kept), 32)))
    assert open_store(tmp_path / "in.h5").ids.tolist() == kept


def test_fantasias_hdf5__come_back_or_are_refused(tmp_path):
    """HDF5 splits a name at '/', and drops empty pieces and dots."""
    space = Space("ESM", 0, 4, "clean")
    refused = [name for name in NAMES if "\0" in name or {"", ".", ".."} & set(name.split("/")[1:])]
    kept = [name for name in NAMES if name not in refused]
    assert len(refused) == 3

    def export(names):
        with StoreWriter(tmp_path / "in.zarr", ids=names, sequences=["M"] * len(names), spaces=[space]) as writer:
            writer.write(space, 0, np.arange(4 * len(names), dtype="float32").reshape(-1, 4))
        return export_vectors(tmp_path / "in.zarr", tmp_path / "out.h5", overwrite=True)

    for name in refused:
        with pytest.raises(InputError, match="cannot be named in FANTASIA's HDF5"):
            export([name])
    store = import_vectors(export(kept), tmp_path / "back.zarr")
    assert sorted(store.ids) == sorted(kept)
    rows = store.vectors("ESM", 0).compute()[:, 0] / 4
    assert [kept[int(row)] for row in rows] == store.ids.tolist()


def test_open_run(folder):
    found = open_run(folder)
    assert found.status.compute()["accession"].tolist() == NAMES * len(SPACES)
    assert set(found.summary.compute()["accession"]) == set(NAMES)
    assert found.queries.compute()["accession"].tolist() == NAMES
    for space in found.spaces:
        nearest = space.nearest.set_index("query").loc[range(len(NAMES))]
        assert nearest["donor"].tolist() == NAMES
        for name in NAMES[::7]:
            assert space.neighbours(name)["donor"].iloc[0] == name
        assert np.allclose(space.distances(NAMES, NAMES, pairwise=True).compute(), 0, atol=1e-3)
        with pytest.raises(InputError) as error:
            space.neighbours("x" * 5000 + "\n\x1b[2J")
        assert len(str(error.value)) < 2000
        assert str(error.value).isprintable()
    assert "<script" not in found._repr_html_()


def test_open_run__pictures(folder):
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    found = open_run(folder)
    with warnings.catch_warnings():
        # matplotlib's own font has not every sign
        warnings.filterwarnings("ignore", "Glyph .* missing|Matplotlib currently does not support")
        for name in ("$x^2$", "x" * 5000, "line\nend", "\u05e9\u05dc\u05d5\u05dd", "nul\0in", SCRIPT):
            figure = found.plot_neighbours(name).figure
            figure.canvas.draw()
            assert figure.axes[0].get_window_extent().width > 100
            plt.close(figure)
        figure = found.spaces[0].plot_map(most=20).figure
        figure.canvas.draw()
        plt.close(figure)


def test_fasta__the_whole_way(sample, sample_config, run_quietly, tmp_path):
    """From headers through a model, with all that a header can carry."""
    sequences = [p.sequence[:40] for p in read_fasta(sample / "queries.fasta")]
    records = zip(WORDS, itertools.cycle(sequences))
    (tmp_path / "in.fasta").write_text("".join(f">{name} of {name}\n{s}\n" for name, s in records), "utf-8")
    assert [p.accession for p in read_fasta(tmp_path / "in.fasta")] == WORDS
    config = sample_config(input=str(tmp_path / "in.fasta"), exports=get_args(ExportName), raw_csv=True)
    run_quietly(config)
    found = config.run_folder
    assert rows(found / "status.tsv")["accession"].tolist() == WORDS * 2
    assert (
        set(rows(found / "summary.tsv")["accession"]) == set(rows(found / "consensus.tsv")["accession"]) == set(WORDS)
    )
    assert open_store(found / "embeddings.zarr").ids.tolist() == WORDS
    assert {path.name for path in tmp_path.iterdir()} == {"in.fasta", "experiments"}
    assert [path.name for path in found.parent.iterdir()] == ["run"]


def test_report_html__text_and_nothing_else(browser, folder):
    """In Chromium; last in this file, as its event loop stays with this thread."""
    complaints, requests = [], []
    with browser.new_context() as context:
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda request: requests.append(request.url))
        page.goto((folder / "report.html").as_uri())
        page.get_by_role("combobox", name="Rows").select_option("100")
        lines = page.locator("#best tbody tr").evaluate_all(
            "all => all.map(line => [...line.cells].map(cell => cell.textContent))"
        )
        assert [line[0] for line in lines] == [shortened(name, 120) for name in NAMES]
        assert all(name in line[2] for name, line in zip(turned(3), lines, strict=True))
        wanted = [f"{name} {gene}" for name, gene in zip(NAMES, turned(2), strict=True)]
        assert all(line[3].startswith(words) for words, line in zip(wanted, lines, strict=True))
        page.get_by_label("Search").fill("onerror=alert")
        page.get_by_text("match “onerror=alert”").wait_for()
        assert page.locator("script").count() == 2
        assert page.locator("img, iframe, object, embed, base, link, meta[http-equiv=refresh]").count() == 0
        links = page.locator("a[href]").evaluate_all("all => all.map(a => a.protocol)")
        assert set(links) <= {"https:", "file:"}
        assert page.title() == "run · fantasia-dask report"
    assert complaints == []
    assert set(requests) == {(folder / "report.html").as_uri()}
