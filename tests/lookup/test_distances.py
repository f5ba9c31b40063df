"""Distances on demand: those of the lookup, for any chunking, and NaN where there is no vector."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from fantasia_dask.errors import InputError
from fantasia_dask.lookup import distances_between, nearest_neighbours
from fantasia_dask.testing import simulate_embeddings


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_distances_between__are_those_of_the_lookup_bit_for_bit(metric, dtype):
    queries, donors = (simulate_embeddings(n, 70, seed=n).astype(dtype) for n in (13, 29))
    donors[3] = 0
    hits = nearest_neighbours(da.from_array(queries), da.from_array(donors), k=29, metric=metric).compute()
    for chunks in ((13, 29), (5, 7), (1, 29)):
        left, right = (da.from_array(side, chunks=(c, -1)) for side, c in zip((queries, donors), chunks, strict=True))
        made = distances_between(left, right, metric=metric).compute()
        assert made.dtype == np.float64
        np.testing.assert_array_equal(np.take_along_axis(made, hits["row"], axis=1), hits["distance"])
        pairs = distances_between(left, right[:13], metric=metric, pairwise=True).compute()
        np.testing.assert_array_equal(pairs, made[:, :13].diagonal())


def test_distances_between__a_protein_without_a_vector_is_at_no_distance():
    vectors = simulate_embeddings(4, 8)
    vectors[2] = np.nan
    for metric in ("cosine", "euclidean"):
        made = distances_between(da.from_array(vectors), da.from_array(vectors), metric=metric).compute()
        assert np.isnan(made[2]).all()
        assert np.isnan(made[:, 2]).all()
        assert np.isfinite(np.delete(np.delete(made, 2, 0), 2, 1)).all()


def test_distances_between__nothing_and_mistakes():
    vectors = da.from_array(simulate_embeddings(3, 8))
    assert distances_between(vectors[:0], vectors).compute().shape == (0, 3)
    with pytest.raises(InputError, match="unknown metric 'manhattan'"):
        distances_between(vectors, vectors, metric="manhattan")
    with pytest.raises(InputError, match="with one d"):
        distances_between(vectors, vectors[:, :4])
