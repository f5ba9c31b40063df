"""The k nearest that pass a test are those that a full search would find, with no more tests than needed."""

from __future__ import annotations

import dask.array as da
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fantasia_dask.lookup import nearest_neighbours
from fantasia_dask.lookup.separation import clean_neighbours
from fantasia_dask.lookup.topk import empty_hits
from fantasia_dask.schema import HIT


def asker(queries, reference, asked=None, **how):
    """Look up some of the queries, and note what was asked for."""

    def ask(rows, k):
        if asked is not None:
            asked.append((rows.tolist(), k))
        table = da.from_array(reference, chunks=(7, -1))
        return nearest_neighbours(da.from_array(queries[rows], chunks=(4, -1)), table, k=k, **how).compute()

    return ask


@settings(max_examples=60, deadline=None)
@given(
    q=st.integers(1, 9),
    r=st.integers(1, 60),
    k=st.integers(1, 6),
    share=st.sampled_from([0, 0.1, 0.6, 0.95, 1]),
    seed=st.integers(0, 2**31),
    threshold=st.sampled_from([None, 0.9]),
)
def test_clean_neighbours__equal_a_full_search(q, r, k, share, seed, threshold):
    rng = np.random.default_rng(seed)
    queries, reference = (rng.integers(-3, 4, (n, 5)).astype("f4") for n in (q, r))  # so that there are ties
    close = rng.random((q, r)) < share
    tested = set()

    def is_close(lines, rows):
        assert (rows >= 0).all()
        tested.update(zip(lines.tolist(), rows.tolist(), strict=True))
        return close[lines, rows]

    hits = clean_neighbours(asker(queries, reference, threshold=threshold), is_close, np.arange(q), k)
    everyone = asker(queries, reference, threshold=threshold)(np.arange(q), r)
    expected = empty_hits(q, k)
    for line, found in enumerate(everyone):
        clean = [hit for hit in found if hit["row"] >= 0 and not close[line, hit["row"]]][:k]
        expected[line, : len(clean)] = clean
        # Nothing beyond the last one that was needed has been tested.
        last = clean[-1]["row"] if len(clean) == k else None
        rows = [row for row in found["row"].tolist() if row >= 0]
        needed = rows[: rows.index(last) + 1] if last is not None else rows
        assert {row for query, row in tested if query == line} == set(needed)
    assert hits.dtype == HIT
    assert hits.shape == (q, k)
    assert hits.tobytes() == expected.tobytes()


def test_clean_neighbours__only_those_who_fell_short_are_asked_again():
    rng = np.random.default_rng(0)
    queries, reference = rng.standard_normal((5, 8)), rng.standard_normal((200, 8))
    asked = []
    nearest = asker(queries, reference)(np.array([3]), 60)["row"][0]
    banned = set(nearest[:50].tolist())

    def is_close(lines, rows):
        return (lines == 3) & np.isin(rows, list(banned))

    hits = clean_neighbours(asker(queries, reference, asked), is_close, np.arange(5), 2)
    assert hits["row"][3].tolist() == nearest[50:52].tolist()
    assert [rows for rows, _ in asked] == [[0, 1, 2, 3, 4], [3], [3]]
    assert [k for _, k in asked] == sorted({k for _, k in asked})


def test_clean_neighbours__nobody_asks_or_nobody_answers():
    def refuse(*_):
        raise AssertionError("there is nothing to test")

    assert clean_neighbours(refuse, refuse, np.arange(0), 3).shape == (0, 3)
    nothing = clean_neighbours(lambda rows, k: empty_hits(len(rows), 0), refuse, np.arange(2), 3)
    assert nothing["row"].tolist() == [[-1, -1, -1]] * 2
    no_donor = clean_neighbours(lambda rows, k: empty_hits(len(rows), k), refuse, np.arange(2), 3)
    assert no_donor["row"].tolist() == [[-1, -1, -1]] * 2
