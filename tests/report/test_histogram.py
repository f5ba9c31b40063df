from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fantasia_dask.report.histogram import BINS, Histogram

numbers = st.lists(st.floats(0, 1e6, allow_nan=False) | st.floats(0, 1), min_size=1, max_size=40)


@given(numbers, st.randoms(use_true_random=False), st.integers(1, 5))
def test_histogram__order_and_pieces_change_nothing(values, random, pieces):
    whole, parts = Histogram(), Histogram()
    whole.add(np.array(values))
    random.shuffle(values)
    for part in np.array_split(np.array(values), pieces):
        parts.add(part)
    assert parts.width == whole.width
    assert np.array_equal(parts.counts, whole.counts)
    expected, _ = np.histogram(values, np.arange(BINS + 1) * whole.width)
    assert np.array_equal(whole.counts[:, 0], expected)


def test_histogram__quantiles_are_those_of_numpy_within_a_bin():
    values = np.random.default_rng(0).gamma(2, 0.01, 5000)
    histogram = Histogram()
    histogram.add(values)
    for share in (0.05, 0.5, 0.95):
        assert histogram.quantile(share) == pytest.approx(np.quantile(values, share), abs=2 * histogram.width)
    assert np.isnan(Histogram().quantile(0.5))


def test_histogram__columns_are_counted_apart():
    histogram = Histogram(3)
    histogram.add(np.array([0.5, 0.5, 2.0]), np.array([0, 2, 2]))
    histogram.add(np.array([300.0]), 1)
    assert histogram.counts.sum(axis=0).tolist() == [1, 1, 2]
    assert histogram.quantile(0.5, 1) == pytest.approx(300, abs=histogram.width)


def test_histogram__share_below_ends_at_one():
    histogram = Histogram()
    histogram.add(np.array([0.25, 0.25, 0.75, -1e-12]))
    ends, below = histogram.share_below()
    assert (below[0], below[-1]) == (0, 1)
    assert below[np.searchsorted(ends, 0.5)] == 0.75
    assert [len(part) for part in Histogram().share_below()] == [0, 0]


def test_histogram__share_below_begins_at_zero():
    """A curve of it is level before it rises."""
    histogram = Histogram()
    histogram.add(np.array([0.25, 0.25, 0.75]))
    ends, below = histogram.share_below()
    assert (ends[0], below[0], below[1]) == (0, 0, 0)
    assert ends[1] == 0.25
    histogram.add(np.array([0.0]))
    assert histogram.share_below()[0][:2].tolist() == [0, histogram.width]


def test_histogram__bars_add_up():
    histogram = Histogram()
    histogram.add(np.linspace(0, 1, 1000))
    bars = histogram.bars(histogram.width * 64)
    assert bars.sum() == 1000
    assert histogram.bars(histogram.width / 8).sum() == 1000
