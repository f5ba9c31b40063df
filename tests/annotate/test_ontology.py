from __future__ import annotations

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fantasia_dask.annotate.ontology import Ontology
from fantasia_dask.errors import InputError


def tables(edges, n=8, aspects=None):
    ids = [f"GO:{i:07d}" for i in range(n)]
    terms = pd.DataFrame(
        {"go_id": ids, "name": "", "aspect": aspects or ["P"] * n, "obsolete": False, "replaced_by": [""] * n}
    )
    relations = pd.DataFrame(
        [(ids[child], relation, ids[parent]) for child, relation, parent in edges],
        columns=["child", "relation", "parent"],
        dtype="str",
    )
    return ids, terms, relations


edges = st.lists(
    st.tuples(st.integers(0, 7), st.sampled_from(["is_a", "part_of", "regulates"]), st.integers(0, 7)).filter(
        lambda edge: edge[0] > edge[2]
    ),
    max_size=20,
)


@given(edges)
@settings(max_examples=60, deadline=None)
def test_ontology__ancestors_and_depth_as_networkx(drawn):
    ids, terms, relations = tables(drawn)
    ontology = Ontology(terms, relations)
    graph = nx.DiGraph()
    graph.add_nodes_from(ids)
    graph.add_edges_from((ids[c], ids[p]) for c, relation, p in drawn if relation != "regulates")
    for go_id in ids:
        above = nx.descendants(graph, go_id)
        assert ontology.ancestors(go_id) == sorted(above)
        assert ontology.depth(go_id) == nx.dag_longest_path_length(graph.subgraph(above | {go_id}))


@given(edges, st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.floats(0, 1)), max_size=12))
@settings(max_examples=60, deadline=None)
def test_propagate_table__naive(drawn, scored):
    _, terms, relations = tables(drawn)
    ontology = Ontology(terms, relations)
    table = pd.DataFrame(
        [(protein, f"GO:{term:07d}", score) for protein, term, score in scored],
        columns=["accession", "go_id", "score"],
    ).astype({"accession": "str", "go_id": "str", "score": "float64"})
    expected: dict[tuple[str, str], float] = {}
    for protein, go_id, score in table.itertuples(index=False):
        for implied in [go_id, *ontology.ancestors(go_id)] if go_id in ontology else []:
            expected[protein, implied] = max(score, expected.get((protein, implied), score))
    wide = ontology.propagate_table(table)
    assert dict(zip(zip(wide["accession"], wide["go_id"], strict=True), wide["score"], strict=True)) == expected
    assert len(wide) == len(expected)


def test_propagate_table__in_steps(monkeypatch):
    from fantasia_dask.annotate import ontology as module

    _, terms, relations = tables([(7, "is_a", 3), (3, "is_a", 0), (5, "part_of", 3), (6, "is_a", 1)])
    ontology = Ontology(terms, relations)
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "accession": rng.choice(["a", "b", "c"], 40),
            "go_id": rng.choice(ontology.go_ids, 40),
            "score": rng.random(40),
        }
    )
    whole = ontology.propagate_table(table)
    monkeypatch.setattr(module, "STEP_ROWS", 3)
    pd.testing.assert_frame_equal(ontology.propagate_table(table), whole)


def test_ontology__other_relations_and_aspects():
    ids, terms, relations = tables([(1, "regulates", 0), (2, "part_of", 1)], 3, ["P", "P", "F"])
    assert Ontology(terms, relations).ancestors(ids[2]) == [ids[1]]
    assert Ontology(terms, relations, along=["regulates", "part_of"]).ancestors(ids[2]) == ids[:2]
    assert Ontology(terms, relations, within_aspect=True).ancestors(ids[2]) == []


def test_ontology__obsolete_and_alternative_ids():
    ids, terms, relations = tables([(1, "is_a", 0), (2, "is_a", 0)], 4)
    terms.loc[2, ["obsolete", "replaced_by"]] = [True, ids[1]]
    terms.loc[3, "replaced_by"] = ids[2]
    ontology = Ontology(terms, relations)
    assert len(ontology) == 2
    assert ontology.current(ids[3]) == ids[1]
    assert ontology.current("GO:9999999") is None
    assert ontology.propagate({ids[2]: 1.0}) == {}
    with pytest.raises(KeyError):
        ontology.ancestors(ids[2])


@given(edges, st.sets(st.integers(0, 8)))
@settings(max_examples=60, deadline=None)
def test_slim__as_networkx(drawn, chosen):
    ids, terms, relations = tables(drawn)
    slim = {f"GO:{i:07d}" for i in chosen}
    graph = nx.DiGraph()
    graph.add_nodes_from(ids)
    graph.add_edges_from((ids[c], ids[p]) for c, relation, p in drawn if relation != "regulates")
    ontology = Ontology(terms, relations)
    mapped, implied = ontology.slim(ids, slim), ontology.slim(ids, slim, implied=True)
    for go_id in ids:
        above = (nx.descendants(graph, go_id) | {go_id}) & slim
        assert implied[go_id] == sorted(above)
        closest = {a for a in above if not any(nx.has_path(graph, b, a) for b in above - {a})}
        assert mapped[go_id] == sorted(closest)


def test_slim__ids_of_other_releases():
    ids, terms, relations = tables([(1, "is_a", 0), (2, "is_a", 1), (3, "is_a", 1)], 5)
    terms.loc[3, ["obsolete", "replaced_by"]] = [True, ids[2]]
    terms.loc[4, "replaced_by"] = ids[1]
    ontology = Ontology(terms, relations)
    assert ontology.slim([ids[3], "GO:9999999", ids[0]], [ids[4], "GO:8888888"]) == {
        ids[3]: [ids[1]],
        "GO:9999999": [],
        ids[0]: [],
    }
    assert ontology.slim([ids[2]], []) == {ids[2]: []}
    assert ontology.slim([], [ids[0]]) == {}


@given(edges, st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), max_size=15), st.lists(st.sampled_from("FP")))
@settings(max_examples=60, deadline=None)
def test_information_content__naive(drawn, annotated, aspects):
    ids, terms, relations = tables(drawn, aspects=(aspects + ["P"] * 8)[:8])
    ontology = Ontology(terms, relations)
    annotations = pd.DataFrame(
        [(protein, f"GO:{term:07d}") for protein, term in annotated], columns=["protein", "go_id"]
    ).astype({"protein": "int64", "go_id": "str"})
    of = {term: {p for p, g in annotated if g < 8 and term in (ids[g], *ontology.ancestors(ids[g]))} for term in ids}
    aspect = dict(zip(terms["go_id"], terms["aspect"], strict=True))
    for term, content in zip(ontology.go_ids, ontology.information_content(annotations), strict=True):
        if of[term]:
            total = set().union(*(of[other] for other in ids if aspect[other] == aspect[term]))
            assert content == pytest.approx(-np.log2(len(of[term]) / len(total)))
        else:
            assert np.isnan(content)
    assert ontology.proteins_with(annotations).tolist() == [len(of[term]) for term in ontology.go_ids]


def test_ontology__circle():
    _, terms, relations = tables([(1, "is_a", 0), (0, "part_of", 1)], 2)
    with pytest.raises(InputError, match="circle"):
        Ontology(terms, relations)


def test_ontology__empty():
    _, terms, relations = tables([], 0)
    ontology = Ontology(terms, relations)
    assert len(ontology) == 0
    assert ontology.propagate({}) == {}
    assert ontology.propagate({"GO:0000001": 1.0}) == {}
