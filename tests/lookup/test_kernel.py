"""The bound on the error of a float32 score holds, and one tile answers as documented."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from fantasia_dask.lookup.kernel import NonFiniteVectorError, one_blas_thread, product_error, tile_hits


@pytest.mark.parametrize("d", [1, 8, 256, 1024, 2560])
@pytest.mark.parametrize("shape", ["normal", "positive", "one large", "cancelling", "wide range"])
def test_product_error__bounds_cosine_scores(d, shape):
    rng = np.random.default_rng(d)
    x = rng.standard_normal((64, d))
    if shape == "positive":
        x = np.abs(x)
    elif shape == "one large":
        x[:, 0] = 1e4
    elif shape == "cancelling":
        x[:, d // 2 :] = -x[:, : d - d // 2]
    elif shape == "wide range":
        x *= 10.0 ** rng.integers(-15, 15, x.shape)
    x32 = x.astype(np.float32)
    x64 = x32.astype(np.float64)
    unit64 = x64 / np.linalg.norm(x64, axis=1, keepdims=True)
    unit32 = unit64.astype(np.float32)
    worst = np.abs((unit32 @ unit32.T).astype(np.float64) - unit64 @ unit64.T).max()
    assert worst <= product_error(d, "cosine")


@pytest.mark.parametrize("d", [3, 300, 1500])
@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e3])
def test_product_error__bounds_euclidean_scores(d, spread):
    rng = np.random.default_rng(d)
    x = rng.standard_normal((40, d)).astype(np.float32)
    y = (rng.standard_normal((50, d)) * spread).astype(np.float32)
    exact = x.astype("f8") @ y.T.astype("f8") - (y.astype("f8") ** 2).sum(1) / 2
    half = ((y.astype("f8") ** 2).sum(1) / 2).astype("f4")
    score = (x @ y.T - half).astype("f8")
    norms = np.linalg.norm(x.astype("f8"), axis=1)
    bound = product_error(d, "euclidean", norms, float(np.linalg.norm(y.astype("f8"), axis=1).max()))
    assert (np.abs(score - exact) <= np.asarray(bound)[:, None]).all()


def test_tile_hits__labels_and_filters_act_before_k_is_cut():
    reference = np.eye(6, dtype="f4") + 1
    query = reference[:1]
    hits = tile_hits(
        query,
        reference,
        np.arange(100, 106),
        k=3,
        keep=np.array([True, True, False, True, True, True]),
        q_labels=np.array([5]),
        r_labels=np.array([5, 5, -1, -1, -1, 0]),
    )
    assert hits["row"].tolist() == [[103, 104, 105]]


def test_tile_hits__negative_labels_never_keep_apart():
    reference = np.eye(2, dtype="f4")
    hits = tile_hits(reference, reference, np.arange(2), k=1, q_labels=np.full(2, -1), r_labels=np.full(2, -1))
    assert hits["row"].ravel().tolist() == [0, 1]


def test_tile_hits__threshold_is_inclusive():
    reference = np.eye(3, dtype="f4")
    hits = tile_hits(reference[:1], reference, np.arange(3), k=3, threshold=1.0)
    assert hits["row"].tolist() == [[0, 1, 2]]
    hits = tile_hits(reference[:1], reference, np.arange(3), k=3, threshold=np.nextafter(1.0, 0))
    assert hits["row"].tolist() == [[0, -1, -1]]
    hits = tile_hits(reference[:1], reference, np.arange(3), k=3, metric="euclidean", threshold=2**0.5)
    assert hits["row"].tolist() == [[0, 1, 2]]


def test_tile_hits__more_candidates_than_room_after_many_tiles():
    """Ties spread over several tiles overflow the room for candidates and are still all looked at."""
    rng = np.random.default_rng(0)
    reference = rng.standard_normal((20_000, 16)).astype("f4")
    copies = rng.choice(20_000, 900, replace=False)
    reference[copies] = reference[0]
    hits = tile_hits(reference[:1], reference, np.arange(20_000), k=4)
    assert hits["row"].tolist() == [sorted([0, *copies.tolist()])[:4] if 0 not in copies else sorted(copies)[:4]]


def test_one_blas_thread__is_lifted_again():
    def limits():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    before = limits()
    with one_blas_thread():
        assert set(limits()) <= {1}
        with one_blas_thread():
            assert set(limits()) <= {1}
        assert set(limits()) <= {1}
    assert limits() == before


def test_non_finite_vector_error__travels_between_processes():
    error = pickle.loads(pickle.dumps(NonFiniteVectorError("query", 3)))
    assert (error.side, error.row) == ("query", 3)
    assert "row 3 of the query vectors" in str(error)


@pytest.mark.parametrize("products", ["in full", "short"])
def test_tile_hits__beside_a_huge_query_all_donors_tie(products, request):
    """Distances that float64 cannot tell apart go by row, however the table is cut (found by hypothesis)."""
    if products == "short":
        request.getfixturevalue("always")
    rng = np.random.default_rng(6741)
    queries = np.concatenate([rng.standard_normal((1, 38)) * 1e18, rng.standard_normal((3, 38))]).astype("f4")
    donors = rng.standard_normal((10, 38)).astype("f4")
    distances = np.sqrt(((queries[0].astype("f8") - donors.astype("f8")) ** 2).sum(axis=1))
    whole = tile_hits(queries, donors, np.arange(10), k=2, metric="euclidean")
    assert whole["row"][0].tolist() == np.argsort(distances, kind="stable")[:2].tolist()
    alone = tile_hits(queries[:1], donors, np.arange(10), k=2, metric="euclidean")
    assert alone.tobytes() == whole[:1].tobytes()


def test_tile_hits__a_threshold_beside_denormal_vectors():
    tiny = np.full((1, 1), 1e-44, "f4")
    hits = tile_hits(tiny, np.zeros((1, 1), "f4"), np.arange(1), k=1, metric="euclidean", threshold=0.8)
    assert hits["row"].tolist() == [[0]]
