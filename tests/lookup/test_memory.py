"""Blocks fit the budget, cover the table, and keep the workers busy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fantasia_dask.errors import InputError
from fantasia_dask.lookup.memory import plan_lookup, task_bytes


@given(
    q=st.integers(1, 200_000),
    r=st.integers(1, 5_000_000),
    d=st.sampled_from([64, 1024, 2560]),
    k=st.sampled_from([1, 5, 100]),
    budget=st.integers(100 * 10**6, 10**10),
    threads=st.integers(1, 64),
)
def test_plan_lookup__stays_within_the_budget(q, r, d, k, budget, threads):
    plan = plan_lookup(q, r, d, k=k, budget=budget, threads=threads)
    assert plan.task_bytes <= budget
    assert 1 <= plan.query_rows <= q
    assert 1 <= plan.reference_rows <= r
    assert plan.tasks == -(-q // plan.query_rows) * -(-r // plan.reference_rows)


def test_plan_lookup__enough_tasks_for_every_thread():
    assert plan_lookup(5000, 30_000, 1024, k=5, threads=16).tasks >= 16


def test_plan_lookup__refuses_with_the_least_that_would_do():
    with pytest.raises(InputError, match=r"needs at least 0\.\d\d GB; a worker thread has 0\.00 GB"):
        plan_lookup(10**6, 10**6, 4096, k=50, budget=10**6)


@given(st.integers(1, 10_000), st.integers(1, 100_000))
def test_task_bytes__grows_with_either_side(q, r):
    how = {"d": 128, "k": 5, "batch_size": 256, "query_itemsize": 4, "reference_itemsize": 2}
    assert task_bytes(q, r, **how) < task_bytes(q + 1, r, **how)
    assert task_bytes(q, r, **how) < task_bytes(q, r + 1, **how)
