from __future__ import annotations

import re
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest

from fantasia_dask.report import figures
from fantasia_dask.report.drawing import inlined, write_drawing
from fantasia_dask.report.words import printable

NAMES = ["Homo sapiens", "$x^2$ & <i>cerevisiae</i>", printable("tab\there\x00"), "線虫", "x" * 500]


def drawn(folder):
    with figures.style():
        figure = figures.donors([(name, 10 - i) for i, name in enumerate(NAMES)], 40)
        return write_drawing(figure, folder, "donors")


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
    part = inlined(drawn(tmp_path), "donors", "Species & <donors>", {figures.BLUE: "var(--blue)"})
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
    assert figures.BLUE not in part
    assert 'fill="#ffffff"' not in part


def test_inlined__hatches_and_clips_find_their_definitions(tmp_path):
    some = np.array([True, False, False])
    with figures.style():
        figure = figures.coverage(np.array([10, 60, 5000]), np.array([True, True, False]), some)
        part = inlined(write_drawing(figure, tmp_path, "coverage"), "coverage", "", {})
    defined = set(re.findall(r'id="([^"]+)"', part))
    assert set(re.findall(r'(?:url\(#|href="#)([\w-]+)', part)) <= defined
    assert "pattern" in part


@pytest.mark.parametrize("looked_up", [True, False])
def test_coverage__only_embedding_speaks_of_vectors(looked_up):
    with figures.style():
        figure = figures.coverage(
            np.array([10, 60]), np.array([True, False]), np.array([False, False]), looked_up=looked_up
        )
    labels = figure.axes[1].get_legend_handles_labels()[1]
    assert labels == (
        ["annotated", "vector, but no term", "no vector"] if looked_up else ["with a vector", "no vector"]
    )


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_to_reliability__is_that_of_the_annotations(metric):
    from fantasia_dask.annotate.transfer import reliability_index

    distances = np.linspace(0, 2, 9)
    assert np.array_equal(figures.to_reliability(distances, metric), reliability_index(distances, metric))
