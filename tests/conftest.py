"""Fixtures that every test may use."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings

# Continuous integration draws the same examples every time; at a desk hypothesis goes on looking for new ones.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

CHROMIUM = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and of FANTASIA's own outputs, beside the repository."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("needs the real data that lies beside the repository (../shared)")
    return folder


@pytest.fixture(scope="session")
def golden(shared: Path) -> Path:
    """Inputs and outputs of FANTASIA itself."""
    return shared / "golden"


@pytest.fixture(scope="session")
def golden_reference(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reference with the content of FANTASIA's database, made from the tables and vectors of the golden case."""
    import numpy as np
    import pandas as pd

    from fantasia_dask.reference.build import ReferenceTables, typed
    from fantasia_dask.reference.bundle import write_reference
    from fantasia_dask.reference.obo import read_obo
    from fantasia_dask.schema import ANNOTATIONS, ASPECTS, PROTEINS, TERMS, Space
    from fantasia_dask.store import StoreWriter

    inputs, folder = golden / "inputs", tmp_path_factory.mktemp("golden")

    def table(name: str) -> pd.DataFrame:
        return pd.read_csv(inputs / f"{name}.csv", dtype=str, keep_default_na=False)

    listed, annotated, terms = table("proteins"), table("annotations"), table("go_terms")
    # A sequence that belongs to no protein cannot lend anything; FANTASIA leaves it out too.
    sequences = table("sequences").query("sequence_id in @listed.sequence_id").reset_index(drop=True)
    row = {number: i for i, number in enumerate(sequences["sequence_id"])}
    rows = listed["sequence_id"].map(row).to_numpy()
    proteins = pd.DataFrame(
        {
            "protein": range(len(listed)),
            "row": rows,
            "accession": listed["protein_id"],
            "taxon": listed["taxonomy_id"].replace("", "0"),
            "organism": listed["organism"],
            "gene": listed["gene_name"],
            "length": sequences["sequence"].str.len().to_numpy()[rows],
            "sequence": sequences["sequence"].to_numpy()[rows],
        }
    )
    aspect = terms.set_index("go_id")["category"].map({category: letter for letter, category in ASPECTS.items()})
    annotations = pd.DataFrame(
        {
            "protein": annotated["protein_id"].map({name: i for i, name in enumerate(listed["protein_id"])}),
            "go_id": annotated["go_id"],
            "aspect": annotated["go_id"].map(aspect),
            "evidence": annotated["evidence_code"],
            "qualifier": "",
            "source": "",
            "date": "",
        }
    )
    named = pd.DataFrame({"go_id": terms["go_id"], "name": terms["description"], "aspect": aspect.to_numpy()})
    graph = read_obo(inputs / "go-basic.obo")
    tables = ReferenceTables(
        typed(proteins, PROTEINS),
        typed(annotations, ANNOTATIONS),
        typed(named.assign(obsolete=False, replaced_by=""), TERMS),
        graph.relations,
        {},
        graph.release,
    )
    vectors = np.load(inputs / "ref_embeddings.npz")
    place = {str(number): i for i, number in enumerate(vectors["sequence_id"])}
    order = [place[number] for number in sequences["sequence_id"]]
    spaces = {}
    for key in vectors.files[1:]:
        model, _, layer = key.partition("|L")
        spaces[key] = Space(model, int(layer), vectors[key].shape[1], profile="pis-3.1", dtype="float16")
    names = [protein.accession for protein in tables.representatives]
    with StoreWriter(
        folder / "e.zarr", ids=names, sequences=list(sequences["sequence"]), spaces=spaces.values()
    ) as writer:
        for key, space in spaces.items():
            writer.write(space, 0, vectors[key][order])
    return write_reference(folder / "reference", tables=tables, embeddings=folder / "e.zarr").path


@dataclass
class Page:
    """What a server of the tests has at one address, and how it misbehaves."""

    content: bytes = b""
    etag: str = '"one"'
    status: int = 200
    content_type: str = "application/octet-stream"
    cuts: list[int] = field(default_factory=list)
    """How many bytes each of the next answers breaks off after."""
    ranges: bool = True
    length: bool = True
    """Whether the size is told."""


class Web:
    """A server of the tests: pages by path, and the requests that came, with their headers."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []

    def put(self, path: str, content: bytes, **how: Any) -> str:
        """Put a page at a path; return its address."""
        self.pages[path] = Page(content, **how)
        return self.address + path

    @property
    def got(self) -> list[str]:
        """The paths that were fetched, a request after another."""
        return [path for method, path, _ in self.asked if method == "GET"]


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A server on this machine; proxies of the environment are left out."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self, body: bool) -> None:
            served.asked.append((self.command, self.path, dict(self.headers)))
            page = served.pages.get(self.path.partition("?")[0])
            if page is None:
                return self.send_error(404)
            content, start, end = page.content, 0, len(page.content)
            part = False
            asked, same = self.headers.get("Range"), self.headers.get("If-Range", page.etag) == page.etag
            if asked and page.ranges and same:
                first, _, last = asked.removeprefix("bytes=").partition("-")
                part, start, end = True, int(first), min(end, int(last) + 1) if last else end
                if start >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
            self.send_response(206 if part else page.status)
            self.send_header("Content-Type", page.content_type)
            if page.etag:
                self.send_header("ETag", page.etag)
            if part:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
            if page.length:
                self.send_header("Content-Length", str(end - start))
            self.end_headers()
            if body:
                stop = start + page.cuts.pop(0) if page.cuts else end
                # A client that has seen enough hangs up.
                with suppress(ConnectionError):
                    self.wfile.write(content[start:stop])
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Web(f"http://127.0.0.1:{server.server_address[1]}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def anndata() -> ModuleType:
    """The package anndata; with pandas 3 there is none for Python 3.11."""
    reason = "needs the extra anndata"
    if sys.version_info < (3, 12):
        reason += ": releases for Python 3.11 (the last is 0.12.19) want pandas < 3, and 0.13 wants Python 3.12"
    return pytest.importorskip("anndata", reason=reason)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, as Debian has it; one for each module, as it brings an event loop of its own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install '.[test]')")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("needs Chromium on the PATH (apt-get install chromium)")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def fmax(root: Path) -> ModuleType:
    """The benchmark of transferred terms, as a module."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("fmax", root / "benchmarks" / "fmax.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
