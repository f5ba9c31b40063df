"""Archives that are what they should be, and those that would write elsewhere or fill the disk."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile

import pytest

from fantasia_dask import archives
from fantasia_dask.archives import is_archive, unpack, unpack_file
from fantasia_dask.errors import InputError


def tar(path, *members):
    with tarfile.open(path, "w:gz") as archive:
        for name, content, *kind in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if kind:
                info.type, info.linkname = kind
            archive.addfile(info, io.BytesIO(content))
    return path


def zipped(path, *members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def refused(archive, tmp_path, match):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=match) as caught:
        unpack(archive, tmp_path / "out" / "deep")
    assert "\n" not in str(caught.value)
    outside = [path for path in tmp_path.rglob("*") if tmp_path / "out" not in (path, *path.parents)]
    assert sorted(outside) == before


@pytest.mark.parametrize(("name", "make"), [("a.tar.gz", tar), ("a.zip", zipped)])
def test_unpack(tmp_path, name, make):
    archive = make(tmp_path / name, ("x/nodes.dmp", b"1"), ("x/readme", b"2"), ("names.dmp", b"3"))
    assert is_archive(archive)
    written = unpack(archive, tmp_path / "out", lambda name: name.endswith(".dmp"))
    assert [path.relative_to(tmp_path / "out").as_posix() for path in written] == ["x/nodes.dmp", "names.dmp"]
    assert [path.read_bytes() for path in written] == [b"1", b"3"]
    assert not (tmp_path / "out" / "x" / "readme").exists()
    assert not is_archive(tmp_path / "lookup_table.npz")


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil", "..\\evil", "C:\\evil", "C:evil"])
@pytest.mark.parametrize(("archive", "make"), [("a.tar.gz", tar), ("a.zip", zipped)])
def test_unpack__outside(tmp_path, name, archive, make):
    refused(make(tmp_path / archive, ("good", b"1"), (name, b"evil")), tmp_path, "outside its folder")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_unpack__no_files(tmp_path, kind):
    refused(tar(tmp_path / "a.tar.gz", ("link", b"", kind, "/etc/passwd")), tmp_path, "which is no file")


@pytest.mark.parametrize(("name", "make"), [("a.tar.gz", tar), ("a.zip", zipped)])
def test_unpack__bomb(tmp_path, monkeypatch, name, make):
    monkeypatch.setattr(archives, "ALWAYS_ALLOWED", 1 << 20)
    refused(make(tmp_path / name, ("zeros", bytes(20 << 20))), tmp_path, "unpacks to more than")
    # Members that nobody wants count too: they have to be read through.
    with pytest.raises(InputError, match="unpacks to more than"):
        unpack(tmp_path / name, tmp_path / "none", lambda name: False)


def test_unpack__a_zip_that_lies_about_sizes(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "ALWAYS_ALLOWED", 1 << 20)
    archive = zipped(tmp_path / "a.zip", ("zeros", bytes(20 << 20)))
    data = archive.read_bytes()
    size = (20 << 20).to_bytes(4, "little")
    assert data.count(size) == 2
    archive.write_bytes(data.replace(size, (9).to_bytes(4, "little")))
    with pytest.raises(InputError):
        unpack(archive, tmp_path / "out")
    assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file()) <= 1 << 20


@pytest.mark.parametrize(
    "harm", [lambda data: data[: len(data) // 2], lambda data: b"no archive" * 9, lambda data: b""]
)
@pytest.mark.parametrize(("name", "make"), [("a.tar.gz", tar), ("a.zip", zipped)])
def test_unpack__damaged(tmp_path, name, make, harm):
    archive = make(tmp_path / name, ("x", bytes(range(256)) * 999), ("y", b"y" * 999))
    archive.write_bytes(harm(archive.read_bytes()))
    refused(archive, tmp_path, "cannot be unpacked")


def test_unpack__one_name_twice(tmp_path):
    refused(tar(tmp_path / "a.tar.gz", ("x", b"1"), ("x", b"2")), tmp_path, "two files of one name")


def test_unpack_file(tmp_path, monkeypatch):
    (tmp_path / "a.obo.gz").write_bytes(gzip.compress(b"x" * 1000))
    unpack_file(tmp_path / "a.obo.gz", tmp_path / "a.obo")
    assert (tmp_path / "a.obo").read_bytes() == b"x" * 1000
    unpack_file(tmp_path / "a.obo", tmp_path / "b.obo")
    assert (tmp_path / "b.obo").read_bytes() == b"x" * 1000
    monkeypatch.setattr(archives, "ALWAYS_ALLOWED", 1 << 20)
    (tmp_path / "b.gz").write_bytes(gzip.compress(bytes(20 << 20)))
    with pytest.raises(InputError, match="unpacks to more than"):
        unpack_file(tmp_path / "b.gz", tmp_path / "b")
    (tmp_path / "c.gz").write_bytes(b"no gz")
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack_file(tmp_path / "c.gz", tmp_path / "c")
