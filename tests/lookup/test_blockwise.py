"""Any cut of the tables gives the same neighbours, and they are those of a plain float64 loop."""

from __future__ import annotations

import math

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from fantasia_dask.errors import InputError
from fantasia_dask.lookup import nearest_neighbours
from fantasia_dask.lookup.kernel import NonFiniteVectorError
from fantasia_dask.schema import HIT
from tests.strategies import chunkings, embeddings


def distance(x, y, metric):
    """One distance, as the textbook has it, summed without rounding."""
    x, y = [float(v) for v in x], [float(v) for v in y]
    if metric == "euclidean":
        return math.sqrt(math.fsum((a - b) ** 2 for a, b in zip(x, y, strict=True)))
    dot = math.fsum(a * b for a, b in zip(x, y, strict=True))
    norms = math.sqrt(math.fsum(a * a for a in x)) * math.sqrt(math.fsum(b * b for b in y))
    return 1.0 if norms == 0 else 1.0 - dot / norms


def brute_force(queries, reference, k, metric, threshold=None, keep=None, apart=None, asked=None):
    """All distances, sorted: what the lookup must find."""
    hits = []
    for q, query in enumerate(queries):
        found = []
        for r, donor in enumerate(reference):
            if (keep is not None and not keep[r]) or (asked is not None and not asked[q]):
                continue
            if apart is not None and apart[0][q] >= 0 and apart[0][q] == apart[1][r]:
                continue
            d = distance(query, donor, metric)
            if threshold is None or d <= threshold:
                found.append((d, r))
        hits.append(sorted(found)[:k])
    return hits


def assert_same_neighbours(hits, expected, scale=1.0):
    """Same distances within the rounding of float64; same rows wherever distances are not equal to within it."""
    tolerance = 1e-12 * scale
    for line, wanted in zip(hits, expected, strict=True):
        found = [(d, r) for d, r in line if r >= 0]
        assert len(found) == len(wanted)
        np.testing.assert_allclose([d for d, _ in found], [d for d, _ in wanted], atol=tolerance, rtol=1e-12)
        for i, ((_, row), (d, expected_row)) in enumerate(zip(found, wanted, strict=True)):
            alone = all(abs(d - other) > 2 * tolerance for j, (other, _) in enumerate(wanted) if j != i)
            if row != expected_row and alone and i < len(wanted) - 1:
                raise AssertionError(f"row {row} instead of {expected_row} at distance {d}")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_nearest_neighbours__any_cut_gives_one_answer(data):
    q, r, d = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 80)), data.draw(st.integers(1, 70))
    seed, metric = data.draw(st.integers(0, 2**32)), data.draw(st.sampled_from(["cosine", "euclidean"]))
    dtype = data.draw(st.sampled_from(["float32", "float16"]))
    everything = data.draw(embeddings(q + r, d, seed))
    if dtype == "float16":
        everything = np.clip(everything, -6e4, 6e4).astype(dtype)
    queries, reference = everything[:q], everything[q:]
    rng = np.random.default_rng(seed)
    filters = {
        "keep": data.draw(st.sampled_from([None, rng.random(r) < 0.5])),
        "asked": data.draw(st.sampled_from([None, rng.random(q) < 0.7])),
        "apart": data.draw(st.sampled_from([None, (rng.integers(-1, 3, q), rng.integers(-1, 3, r))])),
        "threshold": data.draw(st.sampled_from([None, 0.8])),
    }
    k = data.draw(st.sampled_from([1, 3, r, r + 5]))
    answers = [
        nearest_neighbours(
            da.from_array(queries, chunks=(data.draw(chunkings(q)), d)),
            da.from_array(reference, chunks=(data.draw(chunkings(r)), d)),
            k=k,
            metric=metric,
            batch_size=data.draw(st.integers(1, 20)),
            split_every=data.draw(st.integers(2, 5)),
            **filters,
        ).compute(scheduler="threads")
        for _ in range(3)
    ]
    assert answers[0].shape == (q, min(k, r))
    assert answers[0].dtype == HIT
    for other in answers[1:]:
        assert other.tobytes() == answers[0].tobytes()
    largest = float(np.abs(everything.astype("f8")).max())
    scale = 1.0 if metric == "cosine" else max(1.0, largest * math.sqrt(d))
    # At the threshold itself, the last bit decides: draws that sit there are not judged.
    if filters["threshold"] is not None:
        distances = [distance(a, b, metric) for a in queries for b in reference]
        if any(abs(x - filters["threshold"]) < 1e-9 * scale for x in distances):
            return
    assert_same_neighbours(answers[0], brute_force(queries, reference, k, metric, **filters), scale)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("k", [1, 5, 50])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_nearest_neighbours__equals_scipy(metric, k, dtype):
    rng = np.random.default_rng(1)
    queries, reference = rng.standard_normal((60, 256)).astype(dtype), rng.standard_normal((3000, 256)).astype(dtype)
    hits = nearest_neighbours(
        da.from_array(queries, chunks=(25, 256)), da.from_array(reference, chunks=(700, 256)), k=k, metric=metric
    ).compute()
    table = cdist(queries.astype("f8"), reference.astype("f8"), metric)
    order = np.argsort(table, axis=1)[:, :k]
    np.testing.assert_array_equal(hits["row"], order)
    np.testing.assert_allclose(hits["distance"], np.take_along_axis(table, order, 1), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_nearest_neighbours__thousands_of_ties_come_in_row_order(metric):
    rng = np.random.default_rng(2)
    reference = np.repeat(rng.standard_normal((4, 64)).astype("f4"), 3000, axis=0)
    rng.shuffle(reference)
    hits = nearest_neighbours(
        da.from_array(reference[:7], chunks=(3, 64)), da.from_array(reference, chunks=(1024, 64)), k=9, metric=metric
    ).compute()
    for query, line in zip(reference[:7], hits, strict=True):
        copies = np.flatnonzero((reference == query).all(axis=1))[:9]
        np.testing.assert_array_equal(line["row"], copies)
        assert (line["distance"] == 0).all()


def test_nearest_neighbours__equal_vectors_are_at_zero_and_zero_vectors_at_one():
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((50, 100)).astype("f4")
    vectors[7] = 0
    hits = nearest_neighbours(da.from_array(vectors), da.from_array(vectors), k=50).compute()
    assert (hits["distance"][:, 0] == np.where(np.arange(50) == 7, 1, 0)).all()
    assert (hits["distance"][7] == 1).all()
    np.testing.assert_array_equal(hits["row"][7], np.arange(50))


@pytest.mark.parametrize("gap", [1e-7, 1e-6])
def test_nearest_neighbours__near_duplicates_beyond_float32_are_told_apart(gap):
    """Differences that the float32 product cannot see decide the order all the same."""
    rng = np.random.default_rng(4)
    base = rng.standard_normal(512)
    # Steps of a few units in the last place of float32: every copy differs, all products round alike.
    reference = (base + gap * rng.standard_normal((500, 512))).astype("f4")
    query = base.astype("f4")[None]
    for metric in ("cosine", "euclidean"):
        hits = nearest_neighbours(da.from_array(query), da.from_array(reference, chunks=(60, 512)), k=5, metric=metric)
        exact = [(distance(query[0], donor, metric), row) for row, donor in enumerate(reference)]
        expected = sorted(exact)[:5]
        found = hits.compute()[0]
        np.testing.assert_allclose(found["distance"], [d for d, _ in expected], atol=2e-15 * 512)
        if metric == "euclidean":
            np.testing.assert_array_equal(found["row"], [row for _, row in expected])


def test_nearest_neighbours__draws_without_computing():
    def refuse(*_args, **_kwargs):
        raise AssertionError("something was computed while the graph was drawn")

    with dask.config.set(scheduler=refuse):
        lazy = nearest_neighbours(da.zeros((10, 4), chunks=3), da.zeros((20, 4), chunks=7), k=3)
    assert lazy.shape == (10, 3)
    assert lazy.dtype == HIT


def test_nearest_neighbours__graph_grows_with_blocks_not_with_queries():
    def tasks(q):
        lazy = nearest_neighbours(da.zeros((q, 8), chunks=(q, 8)), da.zeros((64_000, 8), chunks=(16_000, 8)), k=3)
        return len(dict(lazy.__dask_graph__()))

    assert tasks(10) == tasks(100_000)


@pytest.mark.parametrize(("q", "r"), [(0, 5), (5, 0), (0, 0)])
def test_nearest_neighbours__empty_side(q, r):
    hits = nearest_neighbours(da.zeros((q, 4), chunks=2), da.zeros((r, 4), chunks=2), k=3).compute()
    assert hits.shape == (q, min(3, r))


def test_nearest_neighbours__nobody_allowed():
    hits = nearest_neighbours(da.ones((2, 4)), da.ones((3, 4)), k=2, keep=np.zeros(3, bool)).compute()
    assert (hits["row"] == -1).all()
    assert np.isinf(hits["distance"]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_nearest_neighbours__not_finite_names_side_and_row(value, dtype):
    good = np.ones((9, 4), dtype)
    bad = good.copy()
    bad[7, 2] = value
    with pytest.raises(NonFiniteVectorError, match="row 7 of the reference vectors") as error:
        nearest_neighbours(da.from_array(good), da.from_array(bad, chunks=(2, 4)), k=2).compute()
    assert (error.value.side, error.value.row) == ("reference", 7)
    with pytest.raises(NonFiniteVectorError, match="row 7 of the query vectors"):
        nearest_neighbours(da.from_array(bad, chunks=(2, 4)), da.from_array(good), k=2).compute()


def test_nearest_neighbours__not_finite_where_nobody_looks():
    bad = np.ones((9, 4), "f4")
    bad[7] = np.nan
    others = np.arange(9) != 7
    hits = nearest_neighbours(
        da.from_array(bad, chunks=(2, 4)), da.from_array(bad, chunks=(3, 4)), k=2, keep=others, asked=others
    ).compute()
    assert (hits["row"][7] == -1).all()
    assert 7 not in hits["row"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "cosinus"}, "unknown metric 'cosinus'"),
        ({"k": 0}, "k is 0"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"threshold": -1.0}, "threshold is -1.0"),
        ({"threshold": float("nan")}, "threshold is nan"),
        ({"keep": np.ones(3, bool)}, r"keep has shape \(3,\)"),
    ],
)
def test_nearest_neighbours__wrong_arguments(change, message):
    with pytest.raises(InputError, match=message):
        nearest_neighbours(da.ones((2, 4)), da.ones((5, 4)), **change)


def test_nearest_neighbours__dimensions_differ():
    with pytest.raises(InputError, match=r"\(2, 4\).*\(5, 3\)"):
        nearest_neighbours(da.ones((2, 4)), da.ones((5, 3)))
