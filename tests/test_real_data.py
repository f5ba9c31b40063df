"""Real proteins, real vectors, real annotations: transferred terms are as good as an independent computation's."""

from __future__ import annotations

import pandas as pd
import pytest

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def results(fmax, shared, tmp_path_factory):
    data = shared / "data"
    scores = fmax.nearest_and_random(data, tmp_path_factory.mktemp("fmax"))
    truth, information = fmax.read_truth(data), fmax.read_information(data)
    return {donors: fmax.weighted_fmax(table, truth, information) for donors, table in scores.items()}


@pytest.mark.parametrize(("aspect", "least", "at_random"), [("F", 0.29, 0.15), ("P", 0.155, 0.12), ("C", 0.365, 0.33)])
def test_e2e__weighted_fmax(results, aspect, least, at_random):
    print(f"weighted Fmax {aspect}: {results['nearest'][aspect]:.3f}, random donors {results['random'][aspect]:.3f}")
    assert results["nearest"][aspect] >= least
    assert results["random"][aspect] < at_random


def test_weighted_fmax__by_hand(fmax):
    """Two proteins: one predicted half right and half wrong, the other not at all."""
    truth = pd.DataFrame({"accession": ["A", "A", "B"], "go_id": ["GO:1", "GO:2", "GO:1"], "aspect": "F"})
    scores = pd.DataFrame({"accession": ["A", "A"], "go_id": ["GO:1", "GO:3"], "aspect": "F", "score": [0.9, 0.5]})
    information = pd.Series({"GO:1": 1.0, "GO:2": 3.0, "GO:3": 1.0})
    # At 0.9: precision 1, recall (1/4 + 0) / 2. At 0.5: precision 1/2, the same recall.
    assert fmax.weighted_fmax(scores, truth, information)["F"] == pytest.approx(2 * 1 * 0.125 / 1.125)
    assert fmax.weighted_fmax(scores[:0], truth, information) == {"F": 0.0}
