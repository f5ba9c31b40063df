"""Counts of a report, against counts made with sets and loops."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from fantasia_dask.report.tally import IDENTITY_BINS, Tally

SPACES = [("A", 0), ("A", 3), ("B", 0)]
SLIM = {"GO:1": ["GO:100"], "GO:2": ["GO:100", "GO:200"], "GO:3": ["GO:200"], "GO:4": [], "GO:5": ["GO:100"]}


@pytest.fixture(scope="module")
def draw():
    """Return a function: a seed to blocks of rows, each with all rows of its proteins in every space."""

    def blocks(make_rows, seed, n=4):
        rng = np.random.default_rng(seed)
        made = []
        for block in range(n):
            lines = []
            for model, layer in SPACES:
                for protein in range(6):
                    distance = 0.0
                    for donor in rng.permutation(8)[: rng.integers(0, 4)]:
                        distance += float(rng.random())
                        terms = rng.permutation(5)[: rng.integers(1, 4)] + 1
                        lines += [
                            (f"Q{block}.{protein}", model, layer, f"GO:{t}", f"D{donor}", distance) for t in terms
                        ]
            rows = make_rows([(a, m, layer, go, d, 1 - x, 0.5) for a, m, layer, go, d, x in lines])
            rows["distance"] = [line[-1] for line in lines]
            rows["ref_idx"] = rows["protein_id"].str[1:].astype("int64")
            rows["identity"] = (rows["ref_idx"] * 0.12).where(rows["ref_idx"] != 7)
            rows["organism"] = "species " + (rows["ref_idx"] % 3).astype("str")
            rows["category"] = rows["go_id"].map(dict(zip(SLIM, ["MF", "BP", "CC", "BP", "MF"], strict=True)))
            made.append(rows)
        return made

    return blocks


@pytest.mark.parametrize("seed", range(3))
def test_tally__equals_loops_over_sets(make_rows, draw, seed):
    blocks = draw(make_rows, seed)
    tally = Tally(SPACES, lambda go_ids: {go_id: SLIM[go_id] for go_id in go_ids})
    for rows in blocks:
        tally.add(rows)
    lines = [line for rows in blocks for line in rows.itertuples(index=False)]
    terms = {space: {} for space in SPACES}
    nearest = {space: {} for space in SPACES}
    donors = {space: {} for space in SPACES}
    for line in lines:
        space = (line.model_name, line.layer_index)
        terms[space].setdefault(line.accession, set()).add(line.go_id)
        nearest[space].setdefault(line.accession, line)
        donors[space][line.accession, line.ref_idx] = line.distance
    for i, space in enumerate(SPACES):
        numbers = tally.by_space[i]
        assert numbers.donors.total == len(donors[space])
        assert numbers.nearest.total == len(nearest[space])
        assert numbers.pairs.total == sum(map(len, terms[space].values()))
        widths = np.array([line.distance for line in nearest[space].values()]) / numbers.nearest.width
        assert sorted(np.nonzero(numbers.nearest.counts.sum(axis=1))[0]) == sorted(set(widths.astype(int)))
        unaligned = sum(line.identity != line.identity for line in nearest[space].values())
        assert numbers.nearest.counts[:, IDENTITY_BINS].sum() == unaligned
        for j in range(i + 1, 3):
            other, agreement = SPACES[j], tally.agreements[i, j]
            both = sorted(set(nearest[space]) & set(nearest[other]))
            assert agreement.proteins == len(both)
            assert agreement.same_donor == sum(nearest[space][p].ref_idx == nearest[other][p].ref_idx for p in both)
            jaccard = [len(terms[space][p] & terms[other][p]) / len(terms[space][p] | terms[other][p]) for p in both]
            assert agreement.overlap == pytest.approx(sum(jaccard))
    found = Counter((protein, go_id) for space in SPACES for protein, ids in terms[space].items() for go_id in ids)
    assert tally.support.tolist() == [list(found.values()).count(n) for n in (1, 2, 3)]
    assert +tally.organisms == Counter(line.organism for space in SPACES for line in nearest[space].values())
    assert +tally.proteins_of_term == Counter(go_id for _, go_id in found)
    in_slim = {(protein, slim) for protein, go_id in found for slim in SLIM[go_id]}
    assert +tally.proteins_of_slim == Counter(slim for _, slim in in_slim)
    assert tally.terms_per_protein == Counter(Counter(protein for protein, _ in found).values())
    assert tally.pairs_of_aspect == Counter(tally.aspects[go_id] for _, go_id in found)
    assert tally.proteins_of_aspect == Counter(
        aspect for _, aspect in {(protein, tally.aspects[go_id]) for protein, go_id in found}
    )


def test_tally__one_block_or_several(make_rows, draw):
    import pandas as pd

    blocks = draw(make_rows, 7)
    several, one = Tally(SPACES), Tally(SPACES)
    for rows in blocks:
        several.add(rows)
    whole = pd.concat(blocks, ignore_index=True)
    place = {space: i for i, space in enumerate(SPACES)}
    order = [place[space] for space in zip(whole["model_name"], whole["layer_index"], strict=True)]
    one.add(whole.iloc[np.argsort(order, kind="stable")].reset_index(drop=True))
    assert one.organisms == several.organisms
    assert one.support.tolist() == several.support.tolist()
    assert [a.same_donor for a in one.agreements.values()] == [a.same_donor for a in several.agreements.values()]
    for here, there in zip(one.by_space, several.by_space, strict=True):
        assert np.array_equal(here.nearest.counts, there.nearest.counts)
        assert np.array_equal(here.pairs.counts, there.pairs.counts)


def test_tally__nothing(make_rows):
    tally = Tally(SPACES, lambda go_ids: {})
    tally.add(make_rows([]))
    assert tally.support.tolist() == [0, 0, 0]
    assert not tally.names
