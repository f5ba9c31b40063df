"""The documentation is built as `make docs` does, offline, and its tutorial shows what its commands print today."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import docs_tutorial  # noqa: E402

LOADING = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
SECONDS = re.compile(r"done in \d+\.\d s")
SVG = "{http://www.w3.org/2000/svg}"


# The site --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("sphinx", reason="needs the extra docs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-d", str(folder / "trees")]
    built = subprocess.run([*command, str(ROOT / "docs"), str(folder / "html")], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder / "html"


class References(HTMLParser):
    """Collect what a page loads from elsewhere."""

    def __init__(self, page: Path):
        super().__init__()
        self.found: list[str] = []
        self.pictures: list[dict[str, str | None]] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "img":
            self.pictures.append(given)
        if tag in LOADING and given.get("rel") not in ("canonical", "next", "prev") and LOADING[tag] in given:
            self.found.append(given[LOADING[tag]])


def test_site__every_page_is_built_and_loads_nothing_from_elsewhere(site):
    pages = {page.relative_to(ROOT / "docs").with_suffix(".html") for page in (ROOT / "docs").rglob("*.md")}
    for page in pages:
        references = References(site / page)
        assert references.found
        assert [url for url in references.found if re.match(r"(https?:)?//", url)] == []
        assert all(picture.get("alt") for picture in references.pictures), page
    for style in (site / "_static").rglob("*.css"):
        assert not re.search(r"@import[^;]*//|url\(\s*['\"]?(https?:)?//", style.read_text(encoding="utf-8")), style


def test_site__the_code_is_described(site):
    page = (site / "reference" / "api.html").read_text(encoding="utf-8")
    for name in ("open_run", "nearest_neighbours", "explore.OpenSpace.distances"):
        assert f'id="fantasia_dask.{name}"' in page
    text = re.sub(r"<[^>]+>", "", page)
    assert "queries (dask array, shape (q, d), float16 or float32)" in text
    assert "embedding.distance_metric" in (site / "reference" / "configuration.html").read_text(encoding="utf-8")


# The tutorial ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory):
    """The tutorial, executed, and the folder that it ran in."""
    import pandas as pd

    folder = tmp_path_factory.mktemp("tutorial")
    docs_tutorial.lay_out(folder)
    with pd.option_context("display.width", 80, "display.max_columns", 0):  # the tutorial sets them
        return docs_tutorial.executed(docs_tutorial.TUTORIAL.read_text(encoding="utf-8"), folder), folder


def test_tutorial__shows_what_is_printed_today(tutorial):
    shown = docs_tutorial.TUTORIAL.read_text(encoding="utf-8")
    again = "python tools/docs_tutorial.py writes it anew"
    assert SECONDS.sub("done", tutorial[0]) == SECONDS.sub("done", shown), again


def words(picture: Path) -> list[str]:
    return [text.text or "" for text in ElementTree.parse(picture).iter(f"{SVG}text")]


def test_tutorial__pictures_are_those_of_the_run(tutorial, tmp_path):
    for drawn in docs_tutorial.draw(tutorial[1] / "experiments" / "sample", tmp_path):
        assert words(drawn) == words(docs_tutorial.IMAGES / drawn.name)
        assert len(words(drawn)) > 5


@pytest.mark.parametrize("picture", sorted((ROOT / "docs" / "images").glob("*.svg")), ids=lambda path: path.stem)
def test_pictures__load_nothing_from_elsewhere_and_are_described(picture):
    root = ElementTree.parse(picture).getroot()
    links = [value for node in root.iter() for name, value in node.attrib.items() if name.endswith("href")]
    assert all(link.startswith("#") for link in links)
    used = [page for page in (ROOT / "docs").rglob("*.md") if f"images/{picture.name})" in page.read_text()]
    assert used, "no page shows this picture"
    if not picture.name.startswith("sample_"):
        assert root.find(f"{SVG}title") is not None
        assert root.find(f"{SVG}desc") is not None
