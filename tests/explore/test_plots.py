"""Pictures show the numbers of the run: what is read off an axis is what was stored."""

from __future__ import annotations

from itertools import pairwise

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fantasia_dask.errors import InputError
from fantasia_dask.explore.map import principal_plane
from fantasia_dask.explore.plots import plot_neighbours
from fantasia_dask.explore.space import OpenSpace

from .conftest import IDS

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def closed():
    from matplotlib import pyplot

    yield
    pyplot.close("all")


def map_neighbours(opened, accession):
    return [space.neighbours(accession) for space in opened.spaces]


def offsets(collection):
    return np.asarray(collection.get_offsets())


def test_plot_neighbours__marks_lie_at_the_distances(opened):
    ax = opened.plot_neighbours("A/B")
    for space, marks in zip(opened.spaces, ax.collections, strict=True):
        np.testing.assert_array_equal(offsets(marks)[:, 0], space.neighbours("A/B")["distance"])
    labels = [label.get_text() for label in ax.get_yticklabels()]
    nearest = min((found.iloc[0] for found in map_neighbours(opened, "A/B")), key=lambda hit: hit["distance"])
    assert labels[0] == f"{nearest['donor']} {nearest['gene']}\n{nearest['organism']}"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["Sim layer 0", "Sim layer 1"]


def test_plot_neighbours__a_name_is_no_formula_and_none_is_fine(opened, tmp_path):
    opened.plot_neighbours("<b>$x$</b>").figure.savefig(tmp_path / "named.png")
    ax = opened["Sim", 0].plot_neighbours("silent")
    assert ax.get_title() == "Donors of silent: none"
    ax.figure.savefig(tmp_path / "none.png")


def test_plot_neighbours__whole_marks_within_the_frame(opened):
    ax = opened.plot_neighbours("A/B")
    ax.figure.draw_without_rendering()
    frame = ax.get_window_extent()
    for marks in ax.collections:
        for place in ax.transData.transform(offsets(marks)):
            assert frame.x0 + 4 < place[0] < frame.x1 - 4
            assert frame.y0 + 8 < place[1] < frame.y1 - 8


def test_plot_neighbours__long_names_leave_room_for_the_figure(opened, monkeypatch):
    strain = "Saccharomyces cerevisiae (strain ATCC 204508 / S288c)"
    found = OpenSpace.neighbours
    monkeypatch.setattr(OpenSpace, "neighbours", lambda *asked: found(*asked).assign(organism=strain))
    ax = opened.plot_neighbours("A/B")
    assert {label.get_text().partition("\n")[2] for label in ax.get_yticklabels()} == {"Saccharomyces cerevisiae"}
    ax.figure.draw_without_rendering()
    assert ax.get_window_extent().width > 0.6 * ax.figure.bbox.width
    ends = [label.get_window_extent() for label in ax.get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in pairwise(ends))
    monkeypatch.setattr(OpenSpace, "neighbours", lambda *asked: found(*asked).assign(organism="Candidatus " * 9))
    labels = opened.plot_neighbours("A/B").get_yticklabels()
    assert {label.get_text().partition("\n")[2] for label in labels} == {"Candidatus Candidatus Candi…"}


def test_plot_reliability__is_a_share_of_all_queries(opened):
    """As in the report, the more is asked, farther to the right, the fewer are left: from all to none."""
    ax = opened.plot_reliability()
    assert not ax.xaxis_inverted()
    assert ax.get_xlabel() == "smallest reliability that is kept"
    for space, line in zip(opened.spaces, ax.lines, strict=True):
        reliability, share = line.get_data()
        assert (share[0], share[-1]) == ((len(IDS) - 1) / len(IDS), 0)
        assert reliability[0] == min(s.nearest["reliability"].min() for s in opened.spaces)
        assert (reliability[-1], line.get_drawstyle()) == (1, "steps-pre")
        middle = len(share) // 2
        at_least = (space.nearest["reliability"] >= reliability[middle]).sum()
        assert share[middle] == pytest.approx(at_least / len(IDS))


def test_plot_map__draws_a_sample_and_says_so(opened):
    ax = opened["Sim", 0].plot_map(most=100, seed=3)
    lines, donors, queries = ax.collections
    assert len(offsets(queries)) == 100
    ends = np.array(lines.get_segments())
    np.testing.assert_array_equal(ends[:, 0], offsets(queries))
    assert {tuple(end) for end in ends[:, 1]} == {tuple(place) for place in offsets(donors)}
    assert f"{len(offsets(donors))} donors" in [text.get_text() for text in ax.get_legend().get_texts()]
    assert ax.get_title().endswith("\na sample of 100 of 1,106 queries")
    again = opened["Sim", 0].plot_map(most=100, seed=3)
    np.testing.assert_array_equal(offsets(again.collections[2]), offsets(queries))


def test_plot_map__joins_only_what_can_be_followed(opened):
    from fantasia_dask.explore.plots import JOINED

    assert len(opened["Sim", 0].plot_map(most=JOINED).collections) == 3
    ax = opened["Sim", 0].plot_map(most=JOINED + 1)
    _, queries = ax.collections
    assert len(offsets(queries)) == JOINED + 1
    assert "sample" not in opened["Sim", 0].plot_map().get_title()


def test_plots__draw_on_the_axes_given(opened):
    from matplotlib import pyplot

    axes = pyplot.subplots(3)[1]
    assert opened.plot_neighbours("NA", axes[0]) is axes[0]
    assert opened.plot_reliability(axes[1]) is axes[1]
    assert opened["Sim", 1].plot_map(axes[2], most=5) is axes[2]


def test_plots__of_nothing():
    with pytest.raises(InputError, match="no neighbours to draw"):
        plot_neighbours([], "NA")


def test_principal_plane__is_that_of_scikit_learn():
    from sklearn.decomposition import PCA

    vectors = np.random.default_rng(0).standard_normal((50, 8)) * np.arange(1, 9)
    plane, share = principal_plane(vectors)
    pca = PCA(2).fit(vectors)
    np.testing.assert_allclose(np.abs(plane), np.abs(pca.transform(vectors)), atol=1e-9)
    np.testing.assert_allclose(share, pca.explained_variance_ratio_)


@given(arrays("float32", st.tuples(st.integers(0, 6), st.integers(1, 4)), elements=st.floats(-9, 9, width=32)))
def test_principal_plane__of_little_or_equal_vectors(vectors):
    for unit_length in (False, True):
        plane, share = principal_plane(vectors, unit_length=unit_length)
        assert plane.shape == (len(vectors), 2)
        assert np.isfinite(plane).all()
        assert 0 <= share.sum() <= 1 + 1e-9
