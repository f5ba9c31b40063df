"""The order of hits is total, so merging in any shape gives one answer."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fantasia_dask.lookup.topk import empty_hits, hits_from, merge_hits, sort_hits

records = st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.integers(0, 50)), min_size=1, max_size=30)


@given(records, st.integers(1, 8), st.integers(1, 29))
def test_merge_hits__in_two_steps_or_one(pairs, k, cut):
    hits = hits_from([[d for d, _ in pairs]], [[r for _, r in pairs]])
    at_once = merge_hits(hits, k=k)
    parts = [merge_hits(part, k=k) for part in (hits[:, :cut], hits[:, cut:]) if part.shape[1]]
    assert merge_hits(np.concatenate(parts[::-1], axis=1), k=k).tobytes() == at_once.tobytes()
    assert at_once[0].tolist() == sorted(pairs)[:k]


def test_sort_hits__nobody_comes_last():
    hits = np.concatenate([empty_hits(1, 2), hits_from([[0.5, 0.1]], [[3, 9]])], axis=1)
    assert sort_hits(hits)["row"].tolist() == [[9, 3, -1, -1]]
