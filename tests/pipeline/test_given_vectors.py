"""Vectors brought along as the input of a run: which of several arrays is read."""

from __future__ import annotations

import numpy as np
import pytest

from fantasia_dask.errors import InputError
from fantasia_dask.pipeline.plan import plan_run
from fantasia_dask.run_folder import RunFolder


@pytest.fixture
def two_arrays(tmp_path):
    """An npz of five proteins with two arrays of vectors."""
    path, rng = tmp_path / "two.npz", np.random.default_rng(7)
    vectors = {name: rng.normal(size=(5, 32)).astype("float32") for name in ("last_mean", "all_mean")}
    np.savez(path, ids=list("ABCDE"), **vectors)
    return path


@pytest.fixture
def config(lookup_config, two_arrays):
    return lambda **changes: lookup_config(
        **{"input": str(two_arrays), "embedding__models": {"Sim": {"layer_index": [0]}}, **changes}
    )


def test_vectors_key__another_array_is_another_lookup(config, run_quietly):
    hits = {}
    for key, prefix in (("last_mean", "run"), ("all_mean", "run"), ("all_mean", "fresh")):
        made = config(vectors_key=key, prefix=prefix)
        assert plan_run(made).text()
        run_quietly(made)
        hits[key, prefix] = RunFolder(made.run_folder).read_hits("Sim", 0)
    assert len(hits["last_mean", "run"]) == 15
    assert not hits["last_mean", "run"].equals(hits["all_mean", "run"])
    assert hits["all_mean", "run"].equals(hits["all_mean", "fresh"])


@pytest.mark.parametrize("start", [plan_run, None])
def test_vectors_key__the_mistake_says_how_to_name_it(config, run_quietly, start):
    made = config()
    with pytest.raises(InputError, match=r"2 arrays of vectors .* --set vectors_key=last_mean\)"):
        (start or run_quietly)(made)
    with pytest.raises(InputError, match=r"has no array 'last_meen'.*Did you mean last_mean"):
        (start or run_quietly)(config(vectors_key="last_meen"))
    assert not made.run_folder.exists()


def test_vectors_key__where_it_has_no_effect(lookup_config, sample_config, run_quietly):
    with pytest.raises(InputError, match=r"vectors_key is set, and input .* is a store of fantasia-dask"):
        run_quietly(lookup_config(vectors_key="last_mean"))
    with pytest.raises(InputError, match=r"vectors_key is set, but input .* is not a file of vectors"):
        run_quietly(sample_config(vectors_key="last_mean"))
