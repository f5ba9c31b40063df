"""Files from a server on this machine that cuts, lies, changes its mind, or answers with a web page."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import types
from pathlib import Path

import numpy as np
import pytest

from fantasia_dask import resumable
from fantasia_dask.download import RECORDS, RemoteFile, fetch, is_fetched, remote_files, remote_size
from fantasia_dask.errors import InputError
from fantasia_dask.progress import Progress
from fantasia_dask.resumable import Resumable

QUIET = Progress(quiet=True)
CONTENT = np.random.default_rng(0).bytes(3_000_000)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(resumable, "PAUSE_S", 0.0)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def get(url, folder, **known):
    (remote,) = remote_files(url, **known)
    return fetch(remote, folder, QUIET)


def refused(url, folder, match, **known):
    with pytest.raises(InputError, match=match) as caught:
        get(url, folder, **known)
    assert "\n" not in str(caught.value)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_fetch__whole_and_recorded(web, tmp_path):
    url = web.put("/data/go%20basic.obo", CONTENT) + "?download=1"
    file = get(url, tmp_path / "new")
    assert file == tmp_path / "new" / "go basic.obo"
    assert file.read_bytes() == CONTENT
    record = json.loads((tmp_path / "new" / RECORDS).read_text())["go basic.obo"]
    assert (record["url"], record["bytes"], record["sha256"]) == (url, len(CONTENT), sha256(CONTENT))
    assert record["date"].startswith("20")
    assert files(tmp_path / "new") == [RECORDS, "go basic.obo"]


def test_fetch__another_process_writes_to_the_same_file(web, tmp_path, monkeypatch):
    url = web.put("/go.obo", CONTENT)
    told = Resumable._tell

    def beside(self, have):
        with self._part.open("ab") as other:
            other.write(b"x")
        told(self, have)

    monkeypatch.setattr(Resumable, "_tell", beside)
    refused(url, tmp_path, "go.obo.part is written by another process too")
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("known", "told"), [({}, "begins anew, as the server"), ({"sha256": sha256(CONTENT)}, "takes it up there")]
)
def test_fetch__a_server_that_tells_no_version(web, tmp_path, known, told):
    url = web.put("/go.obo", CONTENT, etag="", cuts=[2_000_000] + 5 * [100 if known else 2_000_000])
    refused(url, tmp_path, rf"broke off after \d+ bytes .*: the same command {told}", **known)


def test_fetch__a_second_time_asks_for_nothing(web, tmp_path):
    url = web.put("/a.bin", CONTENT)
    get(url, tmp_path)
    asked = len(web.asked)
    assert get(url, tmp_path).read_bytes() == CONTENT
    assert get(url, tmp_path, sha256=sha256(CONTENT).upper()).read_bytes() == CONTENT
    assert len(web.asked) == asked


def test_fetch__a_file_that_was_changed_here_comes_again(web, tmp_path):
    url = web.put("/a.bin", CONTENT)
    get(url, tmp_path).write_bytes(b"harmed")
    assert get(url, tmp_path).read_bytes() == CONTENT


def test_fetch__taken_up_where_it_was_cut(web, tmp_path):
    url = web.put("/a.bin", CONTENT, cuts=[20 << 16, 10 << 16])
    assert get(url, tmp_path).read_bytes() == CONTENT
    ranges = [headers.get("Range") for method, _, headers in web.asked if method == "GET"]
    assert ranges == [None, f"bytes={20 << 16}-", f"bytes={30 << 16}-"]
    assert files(tmp_path) == ["a.bin", RECORDS]


def test_fetch__taken_up_by_the_next_call(web, tmp_path):
    url = web.put("/a.bin", CONTENT, cuts=[30 << 16, 0, 0, 0])
    refused(url, tmp_path, f"broke off after {30 << 16} bytes .*: the same command takes it up there")
    assert files(tmp_path) == ["a.bin.part", "a.bin.part.mark"]
    asked = len(web.asked)
    assert get(url, tmp_path).read_bytes() == CONTENT
    assert [headers.get("Range") for method, _, headers in web.asked[asked:] if method == "GET"] == [
        f"bytes={30 << 16}-"
    ]


def test_fetch__size_not_told(web, tmp_path):
    url = web.put("/a.bin", CONTENT, length=False)
    assert remote_size(remote_files(url)[0]) is None
    assert get(url, tmp_path).read_bytes() == CONTENT


def test_fetch__the_file_has_changed_between_two_calls(web, tmp_path):
    url = web.put("/a.bin", CONTENT, cuts=[30 << 16, 0, 0, 0])
    refused(url, tmp_path, "broke off")
    other = CONTENT[::-1]
    web.put("/a.bin", other, etag='"two"')
    assert get(url, tmp_path).read_bytes() == other


def test_fetch__no_mark_and_no_checksum_begins_anew(web, tmp_path):
    url = web.put("/a.bin", CONTENT, etag="", cuts=[20 << 16])
    assert get(url, tmp_path).read_bytes() == CONTENT
    assert all("Range" not in headers for _, _, headers in web.asked)


def test_fetch__no_mark_but_a_checksum_takes_up(web, tmp_path):
    url = web.put("/a.bin", CONTENT, etag="", cuts=[20 << 16])
    assert get(url, tmp_path, sha256=sha256(CONTENT)).read_bytes() == CONTENT
    assert web.asked[-1][2]["Range"] == f"bytes={20 << 16}-"


def test_fetch__server_without_ranges(web, tmp_path):
    url = web.put("/a.bin", CONTENT, ranges=False, cuts=[20 << 16])
    assert get(url, tmp_path).read_bytes() == CONTENT


def test_fetch__a_part_that_is_whole_or_too_long(web, tmp_path):
    url = web.put("/a.bin", CONTENT)
    for part, mark in ((CONTENT, '"one"'), (CONTENT + b"x", '"one"')):
        (tmp_path / "a.bin.part").write_bytes(part)
        (tmp_path / "a.bin.part.mark").write_text(mark)
        assert get(url, tmp_path).read_bytes() == CONTENT
        (tmp_path / "a.bin").unlink()


def test_fetch__wrong_checksum(web, tmp_path):
    url = web.put("/a.bin", CONTENT)
    refused(
        url,
        tmp_path,
        "its checksum is not sha256:00+. Check the address and",
        sha256="00" * 32,
    )
    assert files(tmp_path) == []


def test_fetch__what_a_killed_download_leaves_is_swept(web, tmp_path):
    """pooch's temporary file has a random name, so it is made in a folder that the next call knows."""
    url = web.put("/a.bin", CONTENT)

    def killed(self, url, output_file, pooch):
        assert Path(output_file).parent == tmp_path / "a.bin.checking"
        os._exit(9)

    if (pid := os.fork()) == 0:
        Resumable.__call__ = killed
        get(url, tmp_path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    assert files(tmp_path) == ["a.bin.checking"]
    assert get(url, tmp_path).read_bytes() == CONTENT
    assert files(tmp_path) == ["a.bin", RECORDS]


def test_fetch__other_content_than_the_first_time(web, tmp_path):
    url = web.put("/a.bin", CONTENT)
    get(url, tmp_path).unlink()
    web.put("/a.bin", CONTENT[::-1])
    refused(
        url,
        tmp_path,
        f"not the file that it was when it was first .* remove its entry in .*{RECORDS}",
    )
    assert files(tmp_path) == [RECORDS]


@pytest.mark.parametrize(
    ("how", "known", "match"),
    [
        ({"content_type": "text/html; charset=utf-8"}, {}, "answers with a web page"),
        ({"content": b"\n <!DOCTYPE HTML><title>log in</title>"}, {}, "answers with a web page"),
        ({"status": 403}, {}, "answers 403"),
        ({}, {"size": 7}, "has 3000000 bytes where 7 are expected"),
        ({"length": False}, {"size": 7}, "more than the 7 bytes expected"),
    ],
)
def test_fetch__not_the_file(web, tmp_path, how, known, match):
    url = web.put("/a.bin", **{"content": CONTENT, **how})
    refused(url, tmp_path, match, **known)
    assert files(tmp_path) == []


def test_fetch__nothing_there(web, tmp_path):
    refused(web.address + "/a.bin", tmp_path, "answers 404 Not Found: check the address")


def test_fetch__a_server_in_trouble(web, tmp_path):
    url = web.put("/a.bin", CONTENT, status=503)
    refused(url, tmp_path, "cannot be reached .*503")
    assert web.got == ["/a.bin"] * resumable.TRIES


def test_fetch__nobody_listens(web, tmp_path):
    web.address = "http://127.0.0.1:9"
    refused(web.put("/a.bin", b""), tmp_path, "cannot be reached .*refused.*: check the address, the network")


def test_fetch__no_room(web, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=1000))
    refused(web.put("/a.bin", CONTENT), tmp_path, "has 1000 bytes free, and .* needs 3000000 more")


def test_fetch__through_a_proxy(web, tmp_path, monkeypatch):
    """A proxy is asked for the whole address, of a host that only it could know."""
    monkeypatch.setenv("http_proxy", web.address)
    web.pages["http://reference.invalid/a.bin"] = types.SimpleNamespace(
        content=CONTENT, etag='"x"', status=200, content_type="x/y", cuts=[], ranges=True, length=True
    )
    assert get("http://reference.invalid/a.bin", tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "url", ["ftp://example.org/a", "example.org/a", "", "file:///etc/passwd", "https://", "/etc/passwd"]
)
def test_remote_files__no_address(url):
    with pytest.raises(InputError, match="is no address"):
        remote_files(url)


@pytest.mark.parametrize("path", ["", "/", "/..", "/%2e%2e", "/a%2f..%2fb%00", "/.bashrc", f"/{RECORDS}", "/..%5cb"])
def test_remote_files__no_name_of_a_file(path):
    with pytest.raises(InputError, match="name of a file"):
        remote_files("https://example.org" + path)
    assert remote_files("https://example.org/a%2f..%2fb")[0].name == "b"


class Repository:
    """What pooch makes of a DOI, without the web."""

    def __init__(self, web, content):
        self.urls = {name: web.put(f"/files/{name}", data) for name, data in content.items()}
        self.sums = {name: "md5:" + hashlib.md5(data).hexdigest() for name, data in content.items()}

    def populate_registry(self, pooch):
        pooch.registry.update(self.sums)

    def download_url(self, name):
        return self.urls[name]


def test_doi__a_file_or_the_whole_record(web, tmp_path, monkeypatch):
    import pooch

    asked = []
    repository = Repository(web, {"a.npz": b"one", "b.json": b"two"})
    monkeypatch.setattr(pooch.downloaders, "doi_to_repository", lambda doi: asked.append(doi) or repository)
    one = remote_files("doi:10.5281/zenodo.7/b.json")
    assert [(r.name, r.checksum) for r in one] == [("b.json", repository.sums["b.json"])]
    everything = remote_files("doi:10.5281/zenodo.7")
    assert [fetch(remote, tmp_path, QUIET).read_bytes() for remote in everything] == [b"one", b"two"]
    assert asked == ["10.5281/zenodo.7"] * 2
    with pytest.raises(InputError, match=r"no file 'c': it has a.npz, b.json"):
        remote_files("doi:10.5281/zenodo.7/c")
    repository.sums["a.npz"] = "md5:" + "0" * 32
    (tmp_path / "a.npz").unlink()
    with pytest.raises(InputError, match="its checksum is not md5:000"):
        fetch(remote_files("doi:10.5281/zenodo.7/a.npz")[0], tmp_path, QUIET)


def test_doi__no_network(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"doi:10.5281/zenodo.7 cannot be resolved .*: check the DOI and the network"):
        remote_files("doi:10.5281/zenodo.7")


def test_is_fetched__records_that_are_broken(tmp_path):
    (tmp_path / RECORDS).write_text("{oops")
    (tmp_path / "a").write_text("x")
    with pytest.raises(InputError, match=r"cannot be read .*: remove it"):
        is_fetched(RemoteFile("https://example.org/a", "a"), tmp_path)
    (tmp_path / RECORDS).write_text("[]")
    assert is_fetched(RemoteFile("https://example.org/a", "a"), tmp_path)
