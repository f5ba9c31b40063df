from __future__ import annotations

import re
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fantasia_dask.report import figures
from fantasia_dask.report.canvas import BLUE, HEADING_INCHES, headed, style
from fantasia_dask.report.drawing import inlined, write_drawing
from fantasia_dask.report.words import printable

ORIGIN = printable("run <ants> & $x^2$\x00 · A layer 0")
SVG = "{http://www.w3.org/2000/svg}"
NAMES = ["Homo sapiens", "$x^2$ & <i>cerevisiae</i>", printable("tab\there\x00"), "線虫", "x" * 500]


def drawn(folder):
    with style():
        figure = figures.donors([(name, 10 - i) for i, name in enumerate(NAMES)], 40)
        headed(figure, "Donors", ORIGIN)
        return write_drawing(figure, folder, "donors", f"Donors; {ORIGIN}")


def test_write_drawing__same_bytes_whatever_the_users_settings(tmp_path):
    first = drawn(tmp_path / "a")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert drawn(tmp_path / "b") == first
    for name in ("donors.svg", "donors.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["donors.png", "donors.svg"]


def test_write_drawing__names_are_text(tmp_path):
    root = ElementTree.fromstring(drawn(tmp_path))
    texts = {"".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"Homo sapiens", "$x^2$ & <i>cerevisiae</i>", "tab here\N{REPLACEMENT CHARACTER}", "線虫"} <= texts
    assert max(map(len, texts)) < 100


def test_inlined__nothing_that_the_policy_forbids(tmp_path):
    part = inlined(drawn(tmp_path), "donors", "Species & <donors>", {BLUE: "var(--blue)"})
    root = ElementTree.fromstring(part)
    assert root.attrib["aria-label"] == "Species & <donors>"
    assert {"style", "script", "metadata"}.isdisjoint(element.tag for element in root.iter())
    ids = []
    for element in root.iter():
        assert "style" not in element.attrib
        ids += [element.attrib["id"]] if "id" in element.attrib else []
        if "href" in element.attrib:
            assert element.attrib["href"].startswith("#donors-")
    assert all(name.startswith("donors-") for name in ids)
    assert "var(--blue)" in part
    assert BLUE not in part
    assert 'fill="#ffffff"' not in part


def test_write_drawing__a_file_says_alone_what_it_shows_and_of_which_run(tmp_path):
    svg = drawn(tmp_path)
    root = ElementTree.fromstring(svg)
    assert root.findtext(f"{SVG}title") == f"Donors; {ORIGIN}"
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert {"Donors", ORIGIN} <= set(texts)
    page = inlined(svg, "donors", "Donors", {})
    assert "ants" not in page
    assert "<title" not in page
    height = [float(part.get("viewBox").split()[3]) for part in (root, ElementTree.fromstring(page))]
    assert height[0] - height[1] == pytest.approx(72 * HEADING_INCHES)


def test_headed__a_long_name_is_cut(tmp_path):
    with style():
        figure = headed(figures.donors([("Homo sapiens", 1)], 1), "t" * 500, "r" * 500)
        figure.draw_without_rendering()
    for text in figure.texts:
        assert text.get_text().endswith("…")
        assert text.get_window_extent().x1 < figure.bbox.x1


def test_inlined__hatches_and_clips_find_their_definitions(tmp_path):
    some = np.array([True, False, False])
    with style():
        figure = figures.coverage(*figures.length_counts(np.array([10, 60, 5000]), np.array([True, True, False]), some))
        part = inlined(write_drawing(figure, tmp_path, "coverage", "Coverage"), "coverage", "", {})
    defined = set(re.findall(r'id="([^"]+)"', part))
    assert set(re.findall(r'(?:url\(#|href="#)([\w-]+)', part)) <= defined
    assert "pattern" in part


@pytest.mark.parametrize("looked_up", [True, False])
def test_coverage__only_embedding_speaks_of_vectors(looked_up):
    with style():
        counted = figures.length_counts(np.array([10, 60]), np.array([True, False]), np.array([False, False]))
        figure = figures.coverage(*counted, looked_up=looked_up)
    labels = figure.axes[1].get_legend_handles_labels()[1]
    assert labels == (
        ["annotated", "processed, but no term", "not processed"] if looked_up else ["processed", "not processed"]
    )


@given(st.lists(st.integers(1, 40_000), min_size=1))
def test_length_classes__equally_wide_on_the_axis_and_hold_every_protein(lengths):
    lengths = np.array(lengths)
    edges = figures.length_classes(lengths)
    assert edges[0] <= lengths.min()
    assert lengths.max() < edges[-1]
    np.testing.assert_allclose(edges[1:] / edges[:-1], np.sqrt(2))
    # No class at either end is empty.
    assert lengths.min() < edges[1]
    assert edges[-2] <= lengths.max()


@given(st.lists(st.tuples(st.integers(1, 40_000), st.sampled_from([(0, 0), (1, 0), (1, 1)])), min_size=1))
def test_length_counts__each_protein_once(proteins):
    lengths = np.array([length for length, _ in proteins])
    embedded, annotated = np.array([fate for _, fate in proteins], dtype=bool).T
    edges, counts = figures.length_counts(lengths, embedded, annotated)
    for start, end, found in zip(edges, edges[1:], counts, strict=False):
        here = (start <= lengths) & (lengths < end)
        fates = (annotated, embedded & ~annotated, ~embedded)
        assert found.tolist() == [(here & fate).sum() for fate in fates]


@given(st.lists(st.integers(1, 40_000), min_size=1, max_size=4))
@settings(max_examples=30, deadline=None)
def test_coverage__lengths_can_be_read(lengths):
    lengths = np.array(lengths)
    figure = figures.coverage(*figures.length_counts(lengths, lengths > 0, lengths > 0))
    for axis in figure.axes:
        low, high = axis.get_xlim()
        assert sum(low <= tick <= high for tick in axis.get_xticks()) > 1


def test_coverage__breaks_the_line_where_there_is_no_protein():
    lengths = np.array([50, 60, 1000])
    with style():
        figure = figures.coverage(*figures.length_counts(lengths, lengths > 0, lengths < 55))
        figure.draw_without_rendering()
    share, counts = figure.axes
    places, found = share.lines[0].get_data()
    empty = np.bincount(np.searchsorted(figures.length_classes(lengths), lengths, "right") - 1) == 0
    assert empty.any()
    assert np.isnan(found).tolist() == empty.tolist()
    assert (counts.get_xscale(), share.get_xscale(), len(places)) == ("log", "log", len(empty))
    (legend,) = figure.legends
    assert legend.get_window_extent().y0 >= share.get_window_extent().y1
    assert [text.get_text() for text in counts.get_xticklabels()] == ["50", "100", "200", "500", "1,000"]


@pytest.mark.parametrize("most", [1, 40, 100])
def test_slim__all_panels_have_the_same_scale(most):
    with style():
        axis = figures.slim([("kinase activity", most), ("binding", 1)], 100).axes[0]
    assert axis.get_xticks().tolist() == [0, 25, 50, 75, 100]
    assert axis.get_xlim() == (0, 137)
    assert [bar.get_width() for bar in axis.patches] == [most, 1]


def tallied(distances):
    from fantasia_dask.report.tally import Tally

    tally = Tally([("A", 0)])
    for histogram in (tally.by_space[0].donors, tally.by_space[0].nearest, tally.by_space[0].pairs):
        histogram.add(np.array(distances))
    return tally


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_reliability__falls_from_all_to_none_over_the_whole_axis(metric):
    with style():
        axis = figures.reliability(tallied([0.2, 0.3, 0.3, 0.5]), metric).axes[0]
    for line in axis.lines:
        places, kept = line.get_data()
        assert places[0] == 1
        assert places[-1] <= axis.get_xlim()[0]
        assert (kept[0], kept[1], kept[-2], kept[-1]) == (0, 0, 100, 100)


@pytest.mark.parametrize("model", ["ESM-2", "a-model-with-a-name-as-long-as-this-one"])
def test_identity__names_stay_within_the_figure(model):
    from fantasia_dask.report.tally import Tally

    tally = Tally([(model, layer) for layer in range(3)])
    for space in tally.by_space:
        space.nearest.add(np.array([0.1, 0.2]), np.array([3, 9]))
    with style():
        figure = figures.identity(tally, "cosine")
        figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert len(figure.legends[0].get_texts()) == 3
    assert legend.x1 <= figure.bbox.x1
    assert legend.y0 >= figure.axes[0].get_window_extent().y1


def test_distances__the_names_cover_nothing():
    with style():
        figure = figures.distances(tallied(np.linspace(0, 1, 50)), "cosine")
        figure.draw_without_rendering()
    assert figure.legends[0].get_window_extent().y0 >= figure.axes[0].title.get_window_extent().y1 - 1
    assert figure.axes[0].patches[1].get_linewidth() > 1


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_to_reliability__is_that_of_the_annotations(metric):
    from fantasia_dask.annotate.transfer import reliability_index

    distances = np.linspace(0, 2, 9)
    assert np.array_equal(figures.to_reliability(distances, metric), reliability_index(distances, metric))
