from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fantasia_dask.annotate.consensus import EVIDENCE, agree, evidence_of, implied, most_specific, support
from fantasia_dask.annotate.ontology import Ontology
from fantasia_dask.schema import CONSENSUS, names

# GO:1 and GO:5 are roots; 2 and 3 are below 1, 4 below both of them and below 5 (another aspect).
TERMS = pd.DataFrame({"go_id": [f"GO:{i}" for i in range(1, 6)], "aspect": list("PPPPF")}).assign(
    name=lambda t: t["go_id"], obsolete=False, replaced_by=""
)
RELATIONS = pd.DataFrame(
    [(2, 1), (3, 1), (4, 2), (4, 3), (4, 5)], columns=["child", "parent"]
).map(lambda i: f"GO:{i}").assign(relation="is_a")  # fmt: skip
ABOVE = {"GO:1": {"GO:1"}, "GO:2": {"GO:1", "GO:2"}, "GO:3": {"GO:1", "GO:3"}, "GO:5": {"GO:5"}, "GO:9": {"GO:9"}}
ABOVE["GO:4"] = set(TERMS["go_id"])
SPACES = [("A", 0), ("A", 1), ("B", 0)]


@pytest.fixture(scope="module")
def ontology():
    return Ontology(TERMS, RELATIONS)


def raw_of(lines):
    """Lines of (accession, go_id, space, donor, distance)."""
    frame = pd.DataFrame(lines, columns=["accession", "go_id", "space", "protein_id", "distance"])
    frame["model_name"] = [SPACES[i][0] for i in frame["space"]]
    frame["layer_index"] = [SPACES[i][1] for i in frame["space"]]
    frame["reliability_index"], frame["identity"], frame["category"] = 1 - frame["distance"], frame["distance"], "BP"
    kinds = {"layer_index": "int64", "distance": "float64", "reliability_index": "float64", "identity": "float64"}
    return frame.astype({name: kinds.get(name, "str") for name in EVIDENCE})[list(EVIDENCE)]


def summary_of(raw):
    pairs = raw[["accession", "go_id"]].drop_duplicates()
    return pairs.assign(final_score_A_L0=0.9, final_score_A_L1=np.nan, final_score_B_L0=0.3)


DISTANCES = {
    (query, space, donor): (query + 2 * space + 3 * donor) / 32
    for query in range(3)
    for space in range(3)
    for donor in range(4)
}
drawn = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["GO:1", "GO:2", "GO:3", "GO:4", "GO:9"]),
        st.integers(0, 2),
        st.integers(0, 3),
    ),
    max_size=25,
)


def lines_of(draws):
    return [(f"q{q}", go_id, space, f"P{donor}", DISTANCES[q, space, donor]) for q, go_id, space, donor in draws]


def check(consensus, voices):
    """Compare with a computation by hand of sets of (accession, term, space, donor, distance)."""
    assert list(consensus.columns) == names(CONSENSUS)
    found = {(line["accession"], line["go_id"]): line for line in consensus.to_dict("records")}
    assert set(found) == {voice[:2] for voice in voices}
    assert len(found) == len(consensus)
    for (accession, go_id), line in found.items():
        mine = {voice[2:] for voice in voices if voice[:2] == (accession, go_id)}
        assert line["best_reliability"] == max(1 - d for *_, d in mine)
        assert line["mean_reliability"] == pytest.approx(np.mean([1 - d for *_, d in mine]))
        assert line["layers"] == len({space for space, *_ in mine})
        assert line["models"] == len({SPACES[space][0] for space, *_ in mine})
        assert line["donors"] == len(line["donor_ids"]) == len({donor for _, donor, _ in mine})
        assert set(line["donor_ids"]) == {donor for _, donor, _ in mine}
        best = {donor: min(d for _, other, d in mine if other == donor) for donor in line["donor_ids"]}
        assert list(best.values()) == sorted(best.values())
        assert line["identity"] == min(best.values())
        assert line["final_score"] == pytest.approx(0.4)


@given(drawn)
@settings(max_examples=60, deadline=None)
def test_agree__naive(draws):
    raw = raw_of(lines_of(draws))
    evidence = evidence_of(raw, summary_of(raw), SPACES)
    check(agree(evidence, {}), set(lines_of(draws)))


@given(drawn)
@settings(max_examples=60, deadline=None)
def test_implied__naive(draws):
    ontology = Ontology(TERMS, RELATIONS)
    raw = raw_of(lines_of(draws))
    wide = implied(evidence_of(raw, summary_of(raw), SPACES), ontology)
    voices = {(a, above, *rest) for a, go_id, *rest in lines_of(draws) for above in ABOVE[go_id]}
    check(agree(wide, {}), voices)
    assert set(wide.loc[wide["go_id"] == "GO:5", "category"]) <= {"MF"}
    assert set(wide.loc[wide["go_id"] != "GO:5", "category"]) <= {"BP"}


@given(drawn)
@settings(max_examples=60, deadline=None)
def test_most_specific__naive(draws):
    ontology = Ontology(TERMS, RELATIONS)
    raw = raw_of(lines_of(draws))
    consensus = agree(evidence_of(raw, summary_of(raw), SPACES), {})
    kept = most_specific(consensus, ontology)
    terms = consensus.groupby("accession")["go_id"].agg(set).to_dict()
    expected = [
        (accession, go_id)
        for accession, go_id in consensus[["accession", "go_id"]].itertuples(index=False)
        if not any(go_id in ABOVE[other] for other in terms[accession] - {go_id})
    ]
    assert list(kept[["accession", "go_id"]].itertuples(index=False, name=None)) == expected


@given(drawn)
@settings(max_examples=60, deadline=None)
def test_support__naive(draws):
    ontology = Ontology(TERMS, RELATIONS)
    lines = lines_of(draws)
    raw = raw_of(lines)
    scores = support(evidence_of(raw, summary_of(raw), SPACES), ontology)
    found = {(a, go_id): score for a, go_id, score in scores.itertuples(index=False)}
    voices = {(a, above, *rest) for a, go_id, *rest in lines for above in ABOVE[go_id]}
    assert set(found) == {voice[:2] for voice in voices}
    for (accession, go_id), score in found.items():
        shares = []
        for space in {s for a, _, s, *_ in voices if a == accession}:
            here = [v for v in voices if v[0] == accession and v[2] == space and (v[1] == "GO:5") == (go_id == "GO:5")]
            weight = {donor: 1 / max(d, 1e-9) for *_, donor, d in here}
            carrying = {donor for _, term, _, donor, _ in here if term == go_id}
            shares.append(sum(weight[donor] for donor in carrying) / sum(weight.values()) if weight else 0)
        assert score == pytest.approx(np.mean(shares))


def test_evidence_of__a_donor_speaks_once_and_without_weights_there_is_no_score():
    raw = raw_of([("q", "GO:1", 0, "P", 0.5)] * 3)
    evidence = evidence_of(raw, raw[["accession", "go_id"]].drop_duplicates(), SPACES)
    assert len(evidence) == 1
    assert agree(evidence, {"GO:1": "root"})[["go_description", "donors"]].to_numpy().tolist() == [["root", 1]]
    assert agree(evidence, {})["final_score"].isna().all()


def test_agree__nothing(ontology):
    raw = raw_of([])
    evidence = evidence_of(raw, summary_of(raw), SPACES)
    for frame in (
        agree(evidence, {}),
        agree(implied(evidence, ontology), {}),
        most_specific(agree(evidence, {}), ontology),
    ):
        assert list(frame.columns) == names(CONSENSUS)
        assert frame.empty
    assert support(evidence, ontology).empty
