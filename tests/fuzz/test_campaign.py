"""A short campaign of wrong files, and what the campaign sees; the long one is `make test-fuzz`."""

from __future__ import annotations

import bz2
import gzip
import importlib.util
import lzma
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fantasia_dask.errors import InputError

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def campaign():
    spec = importlib.util.spec_from_file_location("fuzz_campaign", HERE / "campaign.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_campaign__every_reader_ends_in_success_or_one_sentence(tmp_path):
    done = subprocess.run(
        [sys.executable, HERE / "campaign.py", "--cases", "40", "--seed", "7", "--keep", tmp_path / "findings"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"cases": 490' in done.stdout


def test_guided__atheris_finds_its_way(tmp_path):
    pytest.importorskip("atheris", reason="there is no wheel for this Python")
    command = [sys.executable, HERE / "guided.py", "overrides", "-runs=300", "-seed=1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Done 300 runs" in done.stderr


def wrong(reading):
    from types import SimpleNamespace

    return SimpleNamespace(read=reading)


def test_verdict__what_is_a_finding(campaign, monkeypatch, tmp_path):
    import signal

    monkeypatch.setattr(campaign, "SECONDS", 0.2)
    monkeypatch.setattr(campaign, "PATIENCE", 5)
    before = {alarm: signal.signal(alarm, campaign._alarm) for alarm in campaign.ALARMS}

    def refuse(folder, name):
        raise InputError("one sentence")

    def fail(folder, name):
        raise ValueError("a bug")

    def work(folder, name):
        while True:
            pass

    def wait(folder, name):
        while True:
            time.sleep(0.01)

    def be_kept_waiting(folder, name):
        time.sleep(0.4)

    try:
        assert campaign.verdict(wrong(lambda folder, name: None), tmp_path, "x") == ""
        assert campaign.verdict(wrong(refuse), tmp_path, "x") == ""
        assert "ValueError: a bug" in campaign.verdict(wrong(fail), tmp_path, "x")
        assert "hangs" in campaign.verdict(wrong(work), tmp_path, "x")
        assert "hangs" in campaign.verdict(wrong(wait), tmp_path, "x")
        assert campaign.verdict(wrong(be_kept_waiting), tmp_path, "x") == ""
    finally:
        for alarm, handler in before.items():
            signal.signal(alarm, handler)


def test_mutated__the_same_again_and_mostly_something_else(campaign):
    seed = b"one two\tthree 3\nfour\n" * 20
    first = [campaign.mutated(seed, campaign.case_rng("x", 0, case)) for case in range(300)]
    again = [campaign.mutated(seed, campaign.case_rng("x", 0, case)) for case in range(300)]
    assert first == again
    assert sum(data != seed for data in first) > 200
    assert campaign.mutated(b"", random.Random(0)) is not None


BOMB = """
import resource, sys
from fantasia_dask.errors import InputError
from fantasia_dask.reference.obo import read_obo
from fantasia_dask.reference.sources import read_annotations
from fantasia_dask.sequences import read_fasta
import numba, numpy, obonet, pandas, Bio.UniProt.GOA

used = next(int(l.split()[1]) * 1024 for l in open("/proc/self/status") if l.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (used + 1_000_000_000,) * 2)
for path in sys.argv[2:]:
    try:
        {"fasta": read_fasta, "gaf": read_annotations, "obo": read_obo}[sys.argv[1]](path)
        print("read")
    except InputError as error:
        print(error)
"""


def refuse(kind, *paths):
    done = subprocess.run(
        [sys.executable, "-c", BOMB, kind, *paths], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = done.stdout.splitlines()
    assert len(said) == len(paths)
    return said


@pytest.mark.parametrize("kind", ["fasta", "gaf", "obo"])
def test_bombs__ten_gigabytes_of_zeros(tmp_path, kind):
    """Packed in members of 100 MB, a hundred of them: as long to read as one, and made in a moment. And unpacked."""
    zeros, paths = bytes(100_000_000), []
    for suffix, pack in ((".gz", lambda data: gzip.compress(data, 1)), (".bz2", bz2.compress), (".xz", lzma.compress)):
        if kind != "fasta" and suffix != ".bz2":
            continue
        paths.append(tmp_path / f"zeros.{kind}{suffix}")
        paths[-1].write_bytes(pack(zeros) * 100)
    paths.append(tmp_path / f"zeros.{kind}")
    with paths[-1].open("wb") as sparse:
        sparse.truncate(10_000_000_000)
    for line in refuse(kind, *paths):
        assert "characters: it is no text file" in line


def test_bombs__many_lines(tmp_path):
    packed = {
        "record.fasta.bz2": bz2.compress(b">P1\n") + bz2.compress((b"A" * 79 + b"\n") * 1_000_000) * 200,
        "comments.fasta.bz2": bz2.compress(b">P1\nM\n") + bz2.compress((b";" * 1000 + b"\n") * 20_000) * 100,
    }
    for name, data in packed.items():
        (tmp_path / name).write_bytes(data)
    record, comments = refuse("fasta", *[tmp_path / name for name in packed])
    assert "more than 10,000,000 residues" in record
    assert "unpacks to more than 100 times its size" in comments
