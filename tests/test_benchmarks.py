"""The benchmarks of the lookup run, at sizes that prove nothing but that."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys

import numpy as np
import pytest

from fantasia_dask.store import open_store

SCRIPTS = {
    "outofcore": ("--references 3000 --queries 20 --workers 1", 2),
    "scaling": ("--references 500 1000 --queries 10 20 --workers 1", 3),
    "headline": ("--references 300 --queries 40", 6),
    "lookup": ("--references 900 --queries 40 --metric cosine --no-peers", 2),
}
NUMBER = re.compile(r"\d")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


def start(root, script, *options):
    command = [sys.executable, str(root / "benchmarks" / f"{script}.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_benchmark__prints_its_table(root, folder, script):
    sizes, lines = SCRIPTS[script]
    said = start(root, script, *sizes.split(), *f"--dimensions 64 --rounds 1 -k 3 --folder {folder}".split())
    table = [line for line in said.split("\n\n")[1].split("\n") if line.startswith("|")]
    assert len(table) == 2 + lines
    assert "÷" in table[0]
    assert len({line.count("|") for line in table}) == 1
    assert all(NUMBER.search(cell) for line in table[2:] for cell in line.split("|")[2:-1])


@pytest.fixture
def contest(root, monkeypatch):
    monkeypatch.syspath_prepend(root / "benchmarks")
    return importlib.import_module("contest")


def test_store_of__is_found_again_and_the_same_in_any_folder(contest, tmp_path, capsys):
    first = contest.store_of(tmp_path / "a", "reference", 50, 16, seed=1)
    assert "writing 50 x 16 synthetic vectors" in capsys.readouterr().out
    assert contest.store_of(tmp_path / "a", "reference", 50, 16, seed=1) == first
    assert capsys.readouterr().out == ""
    second = contest.store_of(tmp_path / "b", "reference", 50, 16, seed=1)
    found = [contest.in_memory(open_store(path), 50) for path in (first, second)]
    assert np.isfinite(found[0]).all()
    np.testing.assert_array_equal(*found)


def test_drawing__has_the_mean_and_covariance_of_real_vectors(contest, shared):
    kind, draw = contest.drawing(1024)
    assert "covariance of 14,733 real ones" in kind
    drawn, real = draw(3000, 0, 0).astype("f4"), contest._real(1024)
    assert np.corrcoef(drawn.std(axis=0), real.std(axis=0))[0, 1] > 0.99
    assert np.linalg.norm(drawn.mean(axis=0) - real.mean(axis=0)) < 0.05 * np.linalg.norm(real.mean(axis=0))


@pytest.mark.parametrize("script", SCRIPTS)
def test_benchmark__has_a_quick_variant(root, script):
    assert "--quick" in start(root, script, "--help")
