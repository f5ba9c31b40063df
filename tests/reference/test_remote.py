"""A reference at a URL: object storage, a web server, memory; read lazily, the same as from the folder."""

from __future__ import annotations

import pickle
import uuid

import numpy as np
import pandas as pd
import pytest

from fantasia_dask.errors import InputError
from fantasia_dask.locations import as_path, is_remote
from fantasia_dask.reference import describe, open_reference, verify_reference
from fantasia_dask.store import open_store


@pytest.fixture(scope="session")
def folder(root):
    return root / "fantasia_dask" / "sample" / "reference"


@pytest.fixture
def memory(folder):
    fsspec = pytest.importorskip("fsspec")
    pytest.importorskip("upath")
    name = uuid.uuid4().hex
    system = fsspec.filesystem("memory")
    system.put(str(folder), f"/{name}/ref", recursive=True)
    yield f"memory://{name}/ref"
    system.rm(f"/{name}", recursive=True)


@pytest.fixture
def served(web, folder):
    """A server of plain files, which cannot list a folder."""
    pytest.importorskip("upath")
    pytest.importorskip("aiohttp")
    for file in folder.rglob("*"):
        if file.is_file():
            web.put(f"/ref/{file.relative_to(folder).as_posix()}", file.read_bytes())
    return f"{web.address}/ref"


@pytest.fixture(scope="module")
def bucket(folder):
    """Object storage on this machine, and what is needed to reach it."""
    moto = pytest.importorskip("moto.server")
    fsspec = pytest.importorskip("fsspec")
    pytest.importorskip("s3fs")
    pytest.importorskip("upath")
    server = moto.ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    options = {"key": "x", "secret": "x", "client_kwargs": {"endpoint_url": f"http://{host}:{port}"}}
    system = fsspec.filesystem("s3", **options)
    system.mkdir("references")
    system.put(str(folder), "references/sample", recursive=True)
    yield "s3://references/sample", options
    server.stop()


def same(reference, folder):
    """All that a reference gives equals what the folder gives."""
    local = open_reference(folder)
    assert reference.manifest == local.manifest
    for name in ("proteins", "annotations", "terms", "relations", "taxonomy_table"):
        pd.testing.assert_frame_equal(getattr(reference, name), getattr(local, name))
    assert reference.subsets is None
    assert reference.spaces == local.spaces
    assert reference.fingerprint == local.fingerprint
    for space in local.spaces:
        lazy = reference.vectors(space.model, space.layer, block_rows=10)
        assert lazy.shape == (local.rows, space.dimension)
        np.testing.assert_array_equal(lazy.compute(), local.vectors(space.model, space.layer).compute())


def test_open_reference__memory(memory, folder):
    reference = open_reference(memory)
    assert is_remote(reference.path)
    same(reference, folder)
    assert "sequences" in describe(memory)


def test_open_reference__web_server(served, folder, web):
    reference = open_reference(served)
    read = [path for path in web.got if "embeddings.zarr/models" in path]
    assert read == []
    same(reference, folder)


def test_open_reference__s3(bucket, folder):
    url, options = bucket
    reference = open_reference(url, options)
    same(reference, folder)
    # Where a block is read in another process, what is needed to reach it comes along.
    stored = pickle.loads(pickle.dumps(reference.store.stored("Tiny-ESM2", 0)))
    np.testing.assert_array_equal(stored[3:5], open_reference(folder).store.stored("Tiny-ESM2", 0)[3:5])


def test_open_reference__s3_on_a_cluster(bucket, folder):
    from distributed import Client, LocalCluster

    url, options = bucket
    lazy = open_reference(url, options).vectors("Tiny-ESM2", 1, block_rows=12)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster),
    ):
        means = lazy.mean(axis=1).compute()
    np.testing.assert_allclose(means, open_reference(folder).vectors("Tiny-ESM2", 1).compute().mean(axis=1), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "attribute"),
    [("terms.parquet", "terms"), ("embeddings.zarr/zarr.json", "store"), ("proteins.parquet", "")],
)
def test_open_reference__damaged_on_the_way(memory, name, attribute):
    """A flipped bit of a table reads as other values: what comes over a network has its checksum compared too."""
    import fsspec

    system, path = fsspec.filesystem("memory"), memory.removeprefix("memory:/") + f"/{name}"
    content = bytearray(system.cat_file(path))
    content[len(content) // 2] ^= 1
    system.pipe_file(path, bytes(content))
    reference = open_reference(memory)
    if attribute:
        with pytest.raises(InputError, match=f"{name} is damaged or missing: fetch or build the reference again"):
            getattr(reference, attribute)
    else:
        assert len(reference.terms)
        with pytest.raises(InputError, match="damaged"):
            describe(memory)


def test_open_reference__lazy(memory, monkeypatch):
    import fsspec

    opened = []
    system = fsspec.filesystem("memory")
    for name in ("open", "cat_file", "_open"):
        before = getattr(type(system), name)

        def noted(self, path, *args, _before=before, **more):
            opened.append(path)
            return _before(self, path, *args, **more)

        monkeypatch.setattr(type(system), name, noted)
    reference = open_reference(memory)
    assert {path.rpartition("/")[2] for path in opened} == {"manifest.json"}
    lazy = reference.vectors("Tiny-ESM2", 0)
    assert not any("vectors/c/" in path for path in opened)
    lazy.compute()
    assert any("vectors/c/" in path for path in opened)


def test_open_reference__nothing_there(memory, bucket, web):
    _, options = bucket
    for place, more in ((memory + "x", None), ("s3://references/other", options), (f"{web.address}/none", None)):
        with pytest.raises(InputError, match="does not exist"):
            open_reference(place, more)
    with pytest.raises(InputError, match=r"does not exist|cannot be read"):
        open_reference("s3://no-such-bucket/other", options)


def test_open_reference__not_a_reference(memory):
    import fsspec

    system = fsspec.filesystem("memory")
    path = memory.removeprefix("memory:/")
    system.pipe(f"{path}/manifest.json", b"{}")
    with pytest.raises(InputError, match="is not a reference"):
        open_reference(memory)


def test_open_reference__a_part_is_missing_or_damaged(memory):
    import fsspec

    reference, system = open_reference(memory), fsspec.filesystem("memory")
    path = memory.removeprefix("memory:/")
    system.rm(f"{path}/embeddings.zarr/models/Tiny-ESM2/layer_0/vectors/c/0/0")
    with pytest.raises(InputError, match="is missing: the store is incomplete"):
        reference.vectors("Tiny-ESM2", 0).compute()
    chunk = f"{path}/embeddings.zarr/models/Tiny-ESM2/layer_1/vectors/c/0/0"
    system.pipe(chunk, system.cat(chunk)[:-1] + b"x")
    with pytest.raises(InputError, match="cannot be read"):
        reference.vectors("Tiny-ESM2", 1).compute()
    system.pipe(f"{path}/terms.parquet", b"harmed")
    with pytest.raises(InputError, match=r"terms.parquet is damaged or missing"):
        _ = reference.terms
    system.rm(f"{path}/proteins.parquet")
    with pytest.raises(InputError, match=r"proteins.parquet is missing"):
        open_reference(memory)


def test_open_reference__nobody_answers():
    pytest.importorskip("aiohttp")
    with pytest.raises(InputError, match=r"cannot be read|does not exist"):
        open_reference("http://127.0.0.1:9/ref")


def test_as_path__kinds(tmp_path):
    assert not is_remote(as_path(tmp_path))
    assert as_path("C:/x").as_posix() == "C:/x"
    with pytest.raises(InputError, match="of no kind that is known"):
        as_path("gopher://example.org/ref")


def test_as_path__not_installed(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(InputError, match="install fantasia-dask with its extra, cloud"):
        open_reference("s3://bucket/reference")


def test_remote__what_needs_a_copy_here(memory):
    with pytest.raises(InputError, match="verify a copy"):
        verify_reference(memory)
    with pytest.raises(InputError, match="is HDF5"):
        open_store("memory://x/vectors.h5")
