"""One space of a run: distances on demand equal those that were stored, and neighbours have names."""

from __future__ import annotations

import numpy as np
import pytest
from dask.base import is_dask_collection

from fantasia_dask.errors import InputError

from .conftest import IDS, SILENT


@pytest.fixture(scope="module")
def hits(opened):
    return {space.layer: space.hits.compute() for space in opened.spaces}


@pytest.mark.parametrize("layer", [0, 1])
def test_distances__of_all_are_those_of_the_hits(opened, hits, layer):
    space = opened["Sim", layer]
    distances = space.distances()
    assert is_dask_collection(distances)
    assert distances.shape == (len(IDS), 60)
    made = distances.compute()
    found = hits[layer]
    assert len(found) == 3 * (len(IDS) - 1)
    assert (made[found["query"], found["row"]] == found["distance"]).all()
    assert np.isnan(made[SILENT]).all()
    others = np.delete(made, SILENT, axis=0)
    assert (np.sort(others, axis=1)[:, 2] == found.loc[found["rank"] == 3, "distance"].to_numpy()).all()


def test_distances__of_pairs(opened, hits):
    found = hits[0].sample(500, random_state=1)
    pairs = opened["Sim", 0].distances(found["query"].tolist(), found["row"].tolist(), pairwise=True)
    assert pairs.shape == (500,)
    np.testing.assert_array_equal(pairs.compute(), found["distance"].to_numpy())


def test_distances__of_chosen_accessions(opened):
    space = opened["Sim", 0]
    donors = opened.reference.proteins["accession"].iloc[[5, 2]].tolist()
    block = space.distances(["../../x", "NA"], donors).compute()
    np.testing.assert_array_equal(block, space.distances().compute()[np.ix_([4, 1], [5, 2])])


def test_distances__what_is_not_there(opened):
    space = opened["Sim", 0]
    with pytest.raises(InputError, match=r"there is no query 'Q1x'. Did you mean Q1"):
        space.distances(["Q1x"])
    with pytest.raises(InputError, match="there is no query 1107: expected a row from 0 to 1106"):
        space.distances([1107])
    with pytest.raises(InputError, match="there is no reference protein -1"):
        space.distances([0], [-1])
    with pytest.raises(InputError, match=r"'NA' is one word: expected a list, such as \['NA'\]"):
        space.distances("NA")
    with pytest.raises(InputError, match="2 queries and 1 donors are no pairs"):
        space.distances([0, 1], [0], pairwise=True)


def test_neighbours__of_both_parts_have_names(opened, hits):
    proteins = opened.reference.proteins
    for accession in ("=cmd()", "Q1099"):
        row = IDS.index(accession)
        found = opened["Sim", 0].neighbours(accession)
        stored = hits[0][hits[0]["query"] == row]
        assert list(found["rank"]) == [1, 2, 3]
        assert list(found["distance"]) == list(stored["distance"])
        assert list(found["donor"]) == list(proteins["accession"].iloc[stored["row"]])
        assert list(found["gene"]) == list(proteins["gene"].iloc[stored["row"]])
        np.testing.assert_allclose(found["reliability"], 1 - found["distance"])


def test_neighbours__of_a_protein_without_a_vector(opened):
    assert len(opened["Sim", 0].neighbours("silent")) == 0


def test_nearest__has_one_line_per_query_with_a_vector(opened):
    nearest = opened["Sim", 1].nearest
    assert list(nearest["query"]) == [i for i in range(len(IDS)) if i != SILENT]
    assert (nearest["rank"] == 1).all()


def test_annotations__have_the_columns_that_were_written(opened):
    annotations = opened["Sim", 0].annotations
    assert annotations.npartitions == 2
    assert set(annotations.compute()["accession"]) == set(IDS) - {"silent"}
