"""The bundle on disk: whole or not there, the same bytes twice, and damage is noticed."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest

from fantasia_dask.errors import InputError
from fantasia_dask.reference import describe, open_reference, verify_reference, write_reference
from fantasia_dask.store import StoreWriter, open_store


@pytest.fixture
def bundle(tables, embeddings, tmp_path):
    return write_reference(tmp_path / "ref", tables=tables, embeddings=embeddings).path


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_write_and_open__everything_comes_back(bundle, tables, sources):
    reference = open_reference(bundle)
    for name in ("proteins", "annotations", "terms", "relations", "subsets"):
        pd.testing.assert_frame_equal(getattr(reference, name), getattr(tables, name))
    assert reference.subsets.to_numpy().tolist() == [["goslim_generic", "GO:0000001"]]
    assert "goslim_generic" in describe(bundle)
    assert reference.rows == 3
    assert [str(space) for space in reference.spaces] == ["Demo layer 0"]
    assert reference.vectors("Demo", 0, block_rows=2).chunks == ((2, 1), (2,))
    assert reference.vectors("Demo", 0).compute()[:2].tolist() == [[3, 3], [2, 2]]
    manifest = reference.manifest
    assert manifest["go_release"] == "releases/2024-01-01"
    assert manifest["counts"] == tables.counts
    assert manifest["spaces"][0]["vectors"] == 2
    assert [source["name"] for source in manifest["sources"]] == ["r.fasta", "a.tsv", "go.obo"]
    assert manifest["sources"][0]["bytes"] == sources["fasta"].stat().st_size
    assert str(sources["fasta"].parent) not in json.dumps(manifest)


def test_write__twice_gives_the_same_bytes(bundle, tables, embeddings, tmp_path):
    again = write_reference(tmp_path / "again", tables=tables, embeddings=embeddings).path
    first, second = contents(bundle), contents(again)
    first_manifest, second_manifest = (json.loads(c.pop("manifest.json")) for c in (first, second))
    del first_manifest["created"], second_manifest["created"]
    assert first_manifest == second_manifest
    first_sums, second_sums = (json.loads(c.pop("checksums.json")) for c in (first, second))
    del first_sums["manifest.json"], second_sums["manifest.json"]
    assert first_sums == second_sums
    assert first == second


def test_write__what_is_there_stays(bundle, tables, embeddings, tmp_path):
    before = contents(bundle)
    with pytest.raises(InputError, match="holds a reference already"):
        write_reference(bundle, tables=tables, embeddings=embeddings)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("x")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="exists and is not a reference"):
            write_reference(precious, tables=tables, embeddings=embeddings, overwrite=overwrite)
    assert contents(bundle) == before
    assert (precious / "thesis.txt").read_text() == "x"
    write_reference(bundle, tables=tables, embeddings=embeddings, overwrite=True)
    assert verify_reference(bundle) == len(before) - 1
    assert not list(tmp_path.glob("ref.*"))


def test_write__a_failure_leaves_the_old_one(bundle, tables, embeddings, tmp_path, monkeypatch):
    before = contents(bundle)
    monkeypatch.setattr("fantasia_dask.reference.bundle.write_checksums", lambda folder: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_reference(bundle, tables=tables, embeddings=embeddings, overwrite=True)
    assert contents(bundle) == before
    assert not list(tmp_path.glob("ref.*"))


def test_write__move_and_hdf5(tables, embeddings, tmp_path):
    store = open_store(embeddings)
    space = store.spaces[0]
    with StoreWriter(tmp_path / "x.h5", ids=list(store.ids), sequences=list(store.sequences), spaces=[space]) as writer:
        writer.write(space, 0, store.stored("Demo", 0)[0:3], store.present("Demo", 0))
    from_hdf5 = write_reference(tmp_path / "a", tables=tables, embeddings=tmp_path / "x.h5")
    moved = write_reference(tmp_path / "b", tables=tables, embeddings=embeddings, move=True)
    assert not embeddings.exists()
    assert from_hdf5.spaces == moved.spaces
    assert from_hdf5.store.present("Demo", 0).tolist() == [True, True, False]


def test_write__rows_of_another_reference(tables, vectors, tmp_path):
    with pytest.raises(InputError, match=r"row 0 of .* is 'P9' where the reference has 'P1'"):
        write_reference(tmp_path / "ref", tables=tables, embeddings=vectors.path)
    assert not (tmp_path / "ref").exists()


@pytest.mark.parametrize(
    "name",
    ["proteins.parquet", "terms.parquet", "manifest.json", "embeddings.zarr/models/Demo/layer_0/vectors/c/0/0"],
)
@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_verify__names_what_is_damaged(bundle, name, harm):
    file = bundle / name
    data = bytearray(file.read_bytes())
    if harm == "flip":
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    elif harm == "cut":
        file.write_bytes(data[:-1])
    else:
        file.unlink()
    with pytest.raises(InputError, match=f"{name} is (damaged|missing)"):
        verify_reference(bundle)


def test_verify__extra_files_links_and_checksums(bundle):
    n = verify_reference(bundle)
    assert n == len(contents(bundle)) - 1
    (bundle / "extra").write_text("")
    with pytest.raises(InputError, match="extra does not belong"):
        verify_reference(bundle)
    (bundle / "extra").unlink()
    (bundle / ".DS_Store").write_text("of the system that the folder was carried through")
    assert verify_reference(bundle) == n
    (bundle / "terms.parquet").rename(bundle.parent / "elsewhere")
    (bundle / "terms.parquet").symlink_to(bundle.parent / "elsewhere")
    with pytest.raises(InputError, match=r"terms.parquet is damaged"):
        verify_reference(bundle)
    (bundle / "checksums.json").write_text("[")
    with pytest.raises(InputError, match="cannot be verified"):
        verify_reference(bundle)


@pytest.mark.parametrize("name", ["relations.parquet", "embeddings.zarr", "checksums.json"])
def test_open__a_part_is_missing(bundle, name):
    part = bundle / name
    shutil.rmtree(part) if part.is_dir() else part.unlink()
    with pytest.raises(InputError, match=f"{name}.* is missing"):
        open_reference(bundle)


def test_open__no_bundle_or_a_newer_one(bundle, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        open_reference(tmp_path / "none")
    manifest = bundle / "manifest.json"
    told = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(told | {"version": 2}))
    with pytest.raises(InputError, match="format version 2; this release reads 1"):
        open_reference(bundle)
    for text in ("{", "[]", '{"format": "other"}'):
        manifest.write_text(text)
        with pytest.raises(InputError, match="is not a reference"):
            open_reference(bundle)
    with pytest.raises(InputError, match="is not a reference"):
        open_reference(tmp_path / "r.fasta")


def test_open__a_broken_table(bundle):
    (bundle / "proteins.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match=r"proteins.parquet is damaged"):
        _ = open_reference(bundle).proteins


def test_describe__what_can_be_asked_of_it(bundle):
    text = describe(bundle)
    rows = [line.split() for line in text.splitlines()]
    assert ["Demo", "0", "2", "float16", "2", "12", "B", "unknown", "brought", "along"] in rows
    assert ["IDA", "3"] in rows
    assert ["4932", "1", "Saccharomyces", "cerevisiae"] in rows
    assert ["unknown", "1"] in rows
    assert "releases/2024-01-01" in text
