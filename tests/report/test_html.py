"""The page as text: whole in every kind of run, inert whatever the names, the same on every machine."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from fantasia_dask.report.html import write_page

VOID = {"meta", "input", "br", "link", "img"}
HOSTILE = "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>\"'{{7*7}}&amp;$x^2$\x00\u2028"


class Reader(HTMLParser):
    """Reads a page and checks that its elements nest."""

    def __init__(self, page):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.texts))

    @property
    def headings(self):
        return [int(tag[1]) for tag, _ in self.elements if re.fullmatch("h[1-6]", tag)]


def check_page(path):
    """Check what holds for every page, and read it."""
    page = path.read_text(encoding="utf-8")
    read = Reader(page)
    ids = [attrs["id"] for _, attrs in read.elements if "id" in attrs]
    assert len(set(ids)) == len(ids)
    for tag, attrs in read.elements:
        assert not [name for name in attrs if name.startswith("on") or name in ("style", "srcset")], (tag, attrs)
        for name in ("src", "href", "xlink:href", "action"):
            assert re.match(r"(#|figures/[\w-]+\.(svg|png)$)", attrs.get(name, "#")), (tag, attrs)
        for name in ("aria-labelledby", "aria-describedby"):
            assert set(attrs.get(name, "").split()) <= set(ids)
        if attrs.get("href", "").startswith("#"):
            assert attrs["href"][1:] in ids
        if attrs.get("href", "").startswith("figures/"):
            assert (path.parent / attrs["href"]).is_file()
    # No level of heading is passed over.
    assert all(after <= before + 1 for before, after in zip(read.headings, read.headings[1:], strict=False))
    policy = next(a["content"] for t, a in read.elements if t == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for kind, text in (("style", "style"), ("script", "script")):
        for body in re.findall(rf"<{text}>(.*?)</{text}>", page, re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
            assert f"{kind}-src 'sha256-{digest}'" in policy
    return read, page


def table_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_write_page__one_protein(write_run):
    folder, overview = write_run(
        [("P1", "A", 0, "embedded", 120, "", 1, 1)], [("P1", "A", 0, "GO:0000001", "D1", 0.9, 0.4)], [("A", 0)]
    )
    path = write_page(overview, folder.path)
    read, page = check_page(path)
    assert path == folder.path / "report.html"
    assert "1 of 1 proteins of ants.fasta (100%) received Gene Ontology terms" in read.text
    assert "in the embedding space of A layer 0" in read.text
    assert "release 2026-01-01" in read.text
    assert "begun 5 March 2026, 08:09 UTC" in read.text
    assert "agreement" not in {attrs.get("id") for _, attrs in read.elements}
    data = table_of(page)
    assert data["accessions"] == ["P1"]
    assert data["lengths"] == [120]


def test_write_page__three_models_with_two_layers(write_run):
    spaces = [(model, layer) for model in "ABC" for layer in (0, 1)]
    status = [(f"P{i}", m, n, "embedded", 100 + i, "", 1, 2) for m, n in spaces for i in range(8)]
    lines = [
        (f"P{i}", m, n, f"GO:000000{j}", f"D{(i + n) % 5}", 0.9 - 0.01 * i, 0.1 * i)
        for m, n in spaces
        for i in range(8)
        for j in range(2)
    ]
    folder, overview = write_run(status, lines, spaces)
    read, _ = check_page(write_page(overview, folder.path))
    assert "6 models and layers" in read.text
    assert "A layer 0 and C layer 1" in read.text
    assert len([tag for tag, attrs in read.elements if attrs.get("class") == "drawing"]) == len(
        list((folder.path / "figures").glob("*.svg"))
    )
    assert {"distances", "reliability", "identity", "agreement", "donors", "aspects"} <= {
        attrs.get("id") for _, attrs in read.elements
    }


def test_write_page__nothing_found(write_run):
    status = [(f"P{i}", "A", 0, "embedded", 50, "no donor within distance 0.01", 0, 0) for i in range(3)]
    folder, overview = write_run(status, [], [("A", 0)])
    read, page = check_page(write_page(overview, folder.path))
    assert "0 of 3 proteins of ants.fasta (0%)" in read.text
    assert "3 proteins without a term, and why" in read.text
    assert "3 no donor within distance 0.01" in read.text
    assert table_of(page)["silent"] == {"protein": [0, 1, 2], "reason": [0, 0, 0]}
    assert [path.name for path in sorted((folder.path / "figures").glob("*.svg"))] == ["coverage.svg"]


def test_write_page__no_model_of_the_reference(write_run):
    folder, overview = write_run([("P1", "A", 0, "embedded", 50, "no such vectors", 0, 0)])
    read, _ = check_page(write_page(overview, folder.path))
    assert "The reference has none of the models and layers asked for" in read.text


def test_write_page__failures_only(write_run):
    status = [(f"P{i}", "A", 0, "failed", 0, f"out of memory at {i} residues", 0, 0) for i in range(15)]
    folder, overview = write_run(status, [], [("A", 0)])
    read, _ = check_page(write_page(overview, folder.path))
    assert "15 proteins without a term, and why" in read.text
    assert "5 for 5 other reasons" in read.text


def test_write_page__only_embedding(write_run):
    status = [("P1", "A", 0, "embedded", 50, "", 0, 0), ("P2", "A", 0, "failed", 0, "has no residues", 0, 0)]
    folder, overview = write_run(status, looked_up=False, only_embedding=True)
    read, page = check_page(write_page(overview, folder.path))
    assert "1 of 2 proteins of ants.fasta were turned into vectors" in read.text
    assert "1 protein without a vector, and why" in read.text
    assert 'id="data"' not in page
    assert "Lookup" not in read.text


def test_write_page__no_protein(write_run):
    folder, overview = write_run([], [], [("A", 0)])
    read, _ = check_page(write_page(overview, folder.path))
    assert "holds no proteins" in read.text


@pytest.mark.parametrize("alignments", ["none", "trace"])
def test_write_page__nothing_aligned(write_run, alignments):
    folder, overview = write_run(
        [("P1", "A", 0, "embedded", 0, "", 1, 1)],
        [("P1", "A", 0, "GO:0000001", "D1", 0.9, float("nan"))],
        [("A", 0)],
        alignments=alignments,
    )
    read, page = check_page(write_page(overview, folder.path))
    assert "their sequence identity is not known, and counts as 0 in each final_score ." in read.text
    assert table_of(page)["pairs"]["identity"] == [None]


def test_write_page__euclidean(write_run):
    folder, overview = write_run(
        [(f"P{i}", "A", 0, "embedded", 0, "", 1, 1) for i in range(3)],
        [(f"P{i}", "A", 0, "GO:0000001", "D1", 0.5 / (0.5 + 40 * i), 0.5) for i in range(3)],
        [("A", 0)],
        columns={"distance": [0.0, 40.0, 80.0]},
        embedding={"models": {"A": {}}, "distance_metric": "euclidean"},
    )
    read, _ = check_page(write_page(overview, folder.path))
    assert "0.5 / (0.5 + distance)" in read.text
    assert "by euclidean distance" in read.text


def test_write_page__hostile_names_are_text(write_run):
    folder, overview = write_run(
        [(HOSTILE, "A", 0, "embedded", 120, "", 1, 1), ("P2", "A", 0, "failed", 0, HOSTILE, 0, 0)],
        [(HOSTILE, "A", 0, HOSTILE, HOSTILE, 0.9, 0.4)],
        [("A", 0)],
        columns=dict.fromkeys(("go_description", "organism", "gene_name"), HOSTILE),
        manifest={"host": HOSTILE, "versions": {HOSTILE: HOSTILE}},
        input=HOSTILE.replace("\x00", ""),
    )
    read, page = check_page(write_page(overview, folder.path))
    scripts = [attrs for tag, attrs in read.elements if tag == "script"]
    assert len(scripts) == 2
    assert not [tag for tag, _ in read.elements if tag == "img"]
    assert "<!--" not in page
    assert "{{7*7}}" in read.text
    data = table_of(page)
    assert data["accessions"][0].startswith("</script><script>alert(1)")
    assert data["terms"]["name"] == [HOSTILE]
    assert "<img" not in (folder.path / "figures" / "donors.svg").read_text()


def lent(identities, spaces=(("A", 0),)):
    """Status and terms of a protein for each line of identities, one per space."""
    status = [(f"P{i}", *space, "embedded", 100, "", 1, 1) for space in spaces for i in range(len(identities))]
    lines = [
        (f"P{i}", *space, "GO:0000001", f"D{i}", 0.9, identity)
        for j, space in enumerate(spaces)
        for i, identity in enumerate(line[j] for line in identities)
    ]
    return status, lines, spaces


def test_write_page__tells_first_how_many_rest_on_no_similar_sequence(write_run):
    nan = float("nan")
    folder, overview = write_run(*lent([(0.299999,), (0.3,), (0.1,), (nan,)]))
    read, page = check_page(write_page(overview, folder.path))
    assert "whose nearest donor is hardly similar in sequence ⚠\ufe0e 2 of 3 66.7%" in read.text
    assert "are a hypothesis" in read.text
    assert "Rows marked ⚠\ufe0e hardly similar" in read.text
    data = table_of(page)
    # Rounded, but not across the border.
    assert sorted(data["pairs"]["identity"], key=str) == [100, 299, 300, None]
    assert data["twilight"] == 0.3


def test_write_page__similar_in_one_space_is_similar(write_run):
    nan = float("nan")
    folder, overview = write_run(*lent([(0.1, 0.5), (0.2, 0.1), (nan, 0.4)], (("A", 0), ("B", 0))))
    read, _ = check_page(write_page(overview, folder.path))
    assert "whose nearest donors are all hardly similar in sequence ⚠\ufe0e 1 of 3 33.3%" in read.text


@pytest.mark.parametrize(("alike", "columns", "far"), [(0.3, 80, 0), (0.3, 79, 1), (0.2999, 800, 1), (0.9, 20, 1)])
def test_write_page__similar_in_a_stretch_is_similar(write_run, alike, columns, far):
    local = {"identity_sw": [alike], "alignment_length_sw": [float(columns)]}
    folder, overview = write_run(*lent([(0.1,)]), columns=local)
    read, page = check_page(write_page(overview, folder.path))
    assert overview.tally.unlike == far
    assert ("nor in the stretch that matches best, if that has 80 residues or more" in read.text) == far
    data = table_of(page)
    assert data["pairs"]["identity"] == [100]
    assert (data["pairs"]["alike"][0] < 1000 * data["twilight"]) == far


def test_write_page__no_warning_where_all_are_similar(write_run):
    folder, overview = write_run(*lent([(0.9,), (0.5,)]))
    read, _ = check_page(write_page(overview, folder.path))
    assert "hardly similar in sequence 0 of 2 0%" in read.text
    assert "⚠" not in read.text
    assert "hypothesis" not in read.text


def test_write_page__genes_where_results_are_per_gene(write_run):
    folder, overview = write_run(*lent([(0.9,), (0.9,), (0.9,), (0.9,)]))
    for genes, told in (
        ({"P0": "g", "P1": "g", "P2": "h", "P3": "h"}, "The proteins are of 2 genes. This page"),
        (
            {"P0": "g", "P1": "g", "P2": "g"},
            "The proteins are of 1 gene; 1 protein without one stands for itself. This page",
        ),
        (None, ""),
    ):
        read, _ = check_page(write_page(replace(overview, genes=genes), folder.path))
        assert told in read.text
        assert ("are per gene" in read.text) == bool(told)


def test_write_page__words_of_a_biologist_and_of_one(write_run):
    status = [("P1", "A", 0, "embedded", 120, "", 1, 1), ("P2", "A", 0, "failed", 0, "no residues", 0, 0)]
    folder, overview = write_run(status, [("P1", "A", 0, "GO:0000001", "D1", 0.9, 0.4)], [("A", 0)], limit_per_entry=1)
    read, _ = check_page(write_page(overview, folder.path))
    drawings = "".join(path.read_text() for path in (folder.path / "figures").glob("*.svg"))
    for jargon in ("pairs of protein and term", "with a vector", "proteins, terms (%)"):
        assert jargon not in read.text + drawings
    assert "1 protein of unknown length is left out." in read.text
    assert "1 protein without a term, and why" in read.text
    assert "the nearest donor in each model and layer" in read.text


def test_write_page__annotated_stands_right_after_the_model(write_run):
    folder, overview = write_run(*lent([(0.9,), (0.5,)]))
    _, page = check_page(write_page(overview, folder.path))
    table = re.search(r'<table class="numbers cards".*?</table>', page, re.DOTALL)[0]
    assert re.findall(r"<th scope=\"col\".*?>(.*?)</th>", table)[:2] == ["model and layer", "annotated"]
    assert re.search(r'<td role="cell" data-name="annotated">2 \(100%\)</td>', table)


def test_write_page__cost_of_workers_where_it_was_measured(write_run):
    folder, overview = write_run(*lent([(0.9,)]))
    read, _ = check_page(write_page(overview, folder.path))
    assert "that of workers in other processes, or on other machines, is not counted" in read.text
    assert "The last, which writes the files and this page, is not among them" in read.text
    cost = {"seconds": 1.0, "peak_memory_bytes": 3e8, "largest_child_peak_memory_bytes": 2.5e9}
    folder, overview = write_run(*lent([(0.9,)]), manifest={"stages": {"lookup": cost}})
    read, _ = check_page(write_page(overview, folder.path))
    assert "largest worker" in read.text
    assert "2.50 GB" in read.text


def test_write_page__each_figure_says_alone_what_it_shows(write_run):
    folder, overview = write_run(*lent([(0.9,), (0.5,)]))
    _, page = check_page(write_page(overview, folder.path))
    for path in (folder.path / "figures").glob("*.svg"):
        svg = path.read_text()
        assert "; run ants · A layer 0</title>" in svg
        assert ">run ants · A layer 0</text>" in svg
    slims = [path.read_text() for path in (folder.path / "figures").glob("slim-*.svg")]
    assert len(slims) == 1
    assert "Annotated proteins by broad term: biological process" in slims[0]
    assert "run ants" not in page


def test_write_page__twice_the_same_bytes(write_run):
    spaces = [("A", 0), ("B", 0)]
    folder, overview = write_run(
        [(f"P{i}", m, n, "embedded", 100 + i, "", 1, 1) for m, n in spaces for i in range(4)],
        [(f"P{i}", m, n, "GO:0000001", f"D{i}", 0.9 - i / 50, 0.4) for m, n in spaces for i in range(4)],
        spaces,
    )

    def written():
        write_page(overview, folder.path)
        files = [folder.path / "report.html", *sorted((folder.path / "figures").iterdir())]
        return {file.name: file.read_bytes() for file in files}

    first = written()
    (folder.path / "figures" / "old.svg").write_text("of an earlier run")
    assert written() == first
    assert {name.partition(".")[2] for name in first} == {"html", "svg", "png"}


def test_write_page__lists_the_first_proteins(write_run):
    status = [(f"P{i}", "A", 0, "embedded", 100, "", 1, 1) for i in range(5)]
    lines = [(f"P{i}", "A", 0, "GO:0000001", "D1", 0.9, 0.4) for i in range(5)]
    folder, overview = write_run(status, lines, [("A", 0)], listed=2)
    read, page = check_page(write_page(overview, folder.path))
    assert "The table lists the first 2 of 5 proteins." in read.text
    assert table_of(page)["accessions"] == ["P0", "P1"]


def test_write_page__below_5_mb_for_20_000_proteins(write_run):
    import numpy as np

    rng = np.random.default_rng(0)
    n, aspects = 20_000, ("MF", "BP", "CC")
    accession = [f"ENSMUSP{i:011d}.1" for i in range(n)]
    donor = rng.integers(0, 100_000, n)
    lines = [
        (name, "Prot-T5", 0, f"GO:{(int(d) + a) % 15_000:07d}", f"A0A{d:07d}", 0.9 - d / 1e6, d / 1e6)
        for name, d in zip(accession, donor, strict=True)
        for a in range(3)
    ]
    columns = {
        "category": aspects * n,
        "go_description": [f"positive regulation of the process number {line[3]}" for line in lines],
        "gene_name": [f"gene{line[4][-5:]}" for line in lines],
        "organism": [f"Species number {int(line[4][3:]) % 2000}" for line in lines],
    }
    status = [
        (name, "Prot-T5", 0, "embedded", int(d) % 3000 + 1, "", 1, 3) for name, d in zip(accession, donor, strict=True)
    ]
    folder, overview = write_run(status, lines, [("Prot-T5", 0)], columns=columns)
    path = write_page(overview, folder.path)
    assert len(table_of(path.read_text(encoding="utf-8"))["accessions"]) == n
    assert path.stat().st_size < 5_000_000
