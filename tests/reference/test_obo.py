"""The ontology file: alternative and obsolete ids, edges, and what is no ontology."""

from __future__ import annotations

import gzip
import logging

import pytest

from fantasia_dask.errors import FantasiaWarning, InputError
from fantasia_dask.reference.obo import read_obo, slim_terms

pytestmark = pytest.mark.filterwarnings("ignore:1 of 4 relations of")

OBO = """format-version: 1.2
data-version: releases/2024-01-01
ontology: go

[Term]
id: GO:1
name: molecular_function
namespace: molecular_function

[Term]
id: GO:2
name: binding
namespace: molecular_function
alt_id: GO:21
alt_id: GO:22
subset: goslim_generic
subset: goslim_plant
is_a: GO:1 ! molecular_function

[Term]
id: GO:3
name: a process
namespace: biological_process
relationship: part_of GO:2 ! binding
relationship: regulates GO:1
is_a: GO:99 ! not in this file

[Term]
id: GO:4
name: obsolete one
namespace: cellular_component
is_obsolete: true
replaced_by: GO:2

[Term]
id: GO:5
name: obsolete two
namespace: cellular_component
subset: goslim_plant
is_obsolete: true
consider: GO:2
consider: GO:3

[Term]
id: GO:6
name: obsolete three
namespace: cellular_component
is_obsolete: true
replaced_by: GO:2
replaced_by: GO:3

[Typedef]
id: part_of
name: part of
"""


def written(tmp_path, text):
    file = tmp_path / "x.obo"
    file.write_text(text)
    return file


def test_read_obo__terms_and_relations(tmp_path):
    graph = read_obo(written(tmp_path, OBO))
    assert graph.release == "releases/2024-01-01"
    lines = {line[0]: line[1:] for line in graph.terms.itertuples(index=False, name=None)}
    assert lines == {
        "GO:1": ("molecular_function", "F", False, ""),
        "GO:2": ("binding", "F", False, ""),
        "GO:21": ("binding", "F", False, "GO:2"),
        "GO:22": ("binding", "F", False, "GO:2"),
        "GO:3": ("a process", "P", False, ""),
        "GO:4": ("obsolete one", "C", True, "GO:2"),
        "GO:5": ("obsolete two", "C", True, ""),
        "GO:6": ("obsolete three", "C", True, ""),
    }
    assert list(graph.terms["go_id"]) == sorted(lines)
    assert graph.relations.to_numpy().tolist() == [
        ["GO:2", "is_a", "GO:1"],
        ["GO:3", "part_of", "GO:2"],
        ["GO:3", "regulates", "GO:1"],
    ]


def test_read_obo__subsets_of_current_terms(tmp_path):
    subsets = read_obo(written(tmp_path, OBO)).subsets
    assert subsets.to_numpy().tolist() == [["goslim_generic", "GO:2"], ["goslim_plant", "GO:2"]]
    assert slim_terms("goslim_plant", subsets) == ["GO:2"]
    assert slim_terms(tmp_path / "x.obo", subsets) == ["GO:1", "GO:2", "GO:3"]
    with pytest.raises(
        InputError, match=r"no GO slim 'goslim_plants'.*\(goslim_generic, goslim_plant\).*goslim_plant\?"
    ):
        slim_terms("goslim_plants", subsets)
    with pytest.raises(InputError, match="none: its GO file had none"):
        slim_terms("goslim_plant")


@pytest.mark.shared
def test_slim__real_slim_on_the_whole_graph(shared):
    import networkx as nx
    import numpy as np

    from fantasia_dask.annotate.ontology import Ontology

    graph = read_obo(shared / "data/ontology/go_2024.obo.gz")
    slim = slim_terms(shared / "data/ontology/goslim_generic.obo")
    assert len(slim) == 149
    ontology = Ontology(graph.terms, graph.relations)
    sample = np.random.default_rng(0).choice(ontology.go_ids, 300, replace=False).tolist()
    mapped = ontology.slim(sample, slim)
    implying = graph.relations[graph.relations["relation"].isin(["is_a", "part_of"])]
    edges = nx.DiGraph(zip(implying["child"], implying["parent"], strict=True))
    today = {ontology.current(go_id) for go_id in slim} - {None}
    for go_id in sample:
        above = (nx.descendants(edges, go_id) if go_id in edges else set()) | {go_id}
        found = above & today
        closest = {a for a in found if not any(a in nx.descendants(edges, b) for b in found - {a})}
        assert mapped[go_id] == sorted(closest)
    assert sum(map(bool, mapped.values())) > 250


def test_read_obo__cut_anywhere(tmp_path):
    """A file that ends between two terms reads as a smaller one; what is lost shows in relations to nowhere."""
    with pytest.raises(InputError, match=r"is cut: it ends in the middle of a line, 'is_a: GO:1 !"):
        read_obo(written(tmp_path, OBO[: OBO.index("GO:1 ! molecular") + 6]))
    with pytest.raises(InputError, match=r"is cut: its last term has no name"):
        read_obo(written(tmp_path, OBO[: OBO.index("name: binding")]))
    with pytest.warns(FantasiaWarning, match=r"1 of 4 relations of .*x\.obo lead to terms that it does not have"):
        read_obo(written(tmp_path, OBO))


@pytest.mark.shared
@pytest.mark.parametrize("name", ["go_2024.obo.gz", "goslim_generic.obo", "smell.obo"])
def test_read_obo__real_ones_are_whole_and_their_halves_are_not(shared, tmp_path, name):
    file = shared / "data/ontology" / name
    read_obo(file)
    text = gzip.decompress(file.read_bytes()) if name.endswith("gz") else file.read_bytes()
    (tmp_path / "half.obo").write_bytes(text[: len(text) // 2])
    with pytest.raises(InputError, match="is cut"):
        read_obo(tmp_path / "half.obo")
    if name.startswith("go_"):
        (tmp_path / "half.obo").write_bytes(text[: text.index(b"\n[Term]", len(text) // 2)])
        with pytest.warns(FantasiaWarning, match=r"\d+ of \d+ relations of .* lead to terms"):
            read_obo(tmp_path / "half.obo")


def test_read_obo__gz_is_the_same(tmp_path):
    (tmp_path / "x.obo.gz").write_bytes(gzip.compress(OBO.encode()))
    packed, plain = read_obo(tmp_path / "x.obo.gz"), read_obo(written(tmp_path, OBO))
    assert packed.terms.equals(plain.terms)
    assert packed.relations.equals(plain.relations)


def test_read_obo__logging_is_left_as_it_was(tmp_path):
    before = logging.root.manager.disable
    read_obo(written(tmp_path, OBO))
    assert logging.root.manager.disable == before


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "holds no term"),
        ("<!DOCTYPE html>\n<html>\n", "cannot be read as OBO"),
        ("a: b\n", "holds no term"),
        ("\n[Term]\nname: no id\n", "cannot be read as OBO"),
        ("\n[Term]\nid: GO:1\nname: x\nrelationship: part_of\n", "cannot be read as OBO"),
        ("\n[Term]\nid: GO:1\nname: x\nis_a: GO:1\n", "circle, GO:1 -> GO:1"),
        (
            "\n[Term]\nid: GO:1\nname: x\nis_a: GO:2\n\n[Term]\nid: GO:2\nname: y\nrelationship: part_of GO:1\n",
            "circle, GO:1 -> GO:2 -> GO:1",
        ),
    ],
)
def test_read_obo__broken(tmp_path, text, match):
    with pytest.raises(InputError, match=match) as caught:
        read_obo(written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_read_obo__a_circle_of_regulation_is_biology(tmp_path):
    stanza = "\n[Term]\nid: GO:{}\nname: x\nrelationship: regulates GO:{}\n"
    text = stanza.format(1, 2) + stanza.format(2, 1)
    assert len(read_obo(written(tmp_path, text)).relations) == 2


@pytest.mark.shared
@pytest.mark.parametrize(("name", "terms", "release"), [("smell.obo", 14, "releases/2018-03-02")])
def test_read_obo__real_file(shared, name, terms, release):
    path = shared / "data/ontology" / name
    graph = read_obo(path)
    assert graph.release == release
    current = graph.terms[~graph.terms["obsolete"] & (graph.terms["replaced_by"] == "")]
    assert len(current) == path.read_text().count("[Term]") == terms
