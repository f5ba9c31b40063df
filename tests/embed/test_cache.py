from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fantasia_dask.embed.cache import Part, clear_abandoned, find_parts, write_part
from fantasia_dask.errors import FantasiaWarning
from fantasia_dask.store import sequence_digest

DIGESTS = [sequence_digest(word) for word in ("MKT", "MRT", "GG")]


@pytest.fixture
def vectors():
    return np.random.default_rng(1).normal(size=(3, 2, 400)).astype(np.float32)


def test_part__returns_what_was_written(tmp_path, vectors):
    part = Part(str(write_part(tmp_path, DIGESTS, (0, 5), vectors)))
    assert part.digests() == DIGESTS
    assert part.layers() == {0, 5}
    np.testing.assert_array_equal(part.vectors(5), vectors[:, 1])
    np.testing.assert_array_equal(part.rows(0, np.array([2, 0, 2])), vectors[[2, 0, 2], 0])


def test_part__of_many_pages(tmp_path):
    many = np.random.default_rng(2).normal(size=(3000, 1, 320)).astype(np.float32)
    digests = [sequence_digest(str(i)) for i in range(3000)]
    part = Part(str(write_part(tmp_path, digests, (0,), many)))
    np.testing.assert_array_equal(part.vectors(0), many[:, 0])


def test_write_part__twice_is_once(tmp_path, vectors):
    first = write_part(tmp_path, DIGESTS, (0, 1), vectors)
    before = first.read_bytes()
    assert write_part(tmp_path, DIGESTS, (0, 1), vectors) == first
    assert [file.name for file in tmp_path.iterdir()] == [first.name]
    assert first.read_bytes() == before


def test_find_parts__wanted_digests_and_layers_only(tmp_path, vectors):
    path = str(write_part(tmp_path, DIGESTS, (0, 1), vectors))
    found = find_parts(tmp_path, {DIGESTS[1], "00"}, [1, 7])
    assert found == {1: {DIGESTS[1]: (Part(path), 1)}, 7: {}}


def test_find_parts__no_folder(tmp_path):
    assert find_parts(tmp_path / "none", DIGESTS, [0]) == {0: {}}


@settings(deadline=None)
@given(st.data())
def test_find_parts__a_flipped_bit_is_found_or_harmless(tmp_path_factory, data):
    """Whichever byte of the file is changed: right vectors come back, or none and a warning."""
    folder = tmp_path_factory.mktemp("parts")
    vectors = np.random.default_rng(1).normal(size=(3, 2, 40)).astype(np.float32)
    path = write_part(folder, DIGESTS, (0, 1), vectors)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(bytes(content))
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FantasiaWarning)
        found = find_parts(folder, DIGESTS, [0, 1])
    for layer, rows in found.items():
        for digest, (part, row) in rows.items():
            np.testing.assert_array_equal(part.vectors(layer)[row], vectors[DIGESTS.index(digest), layer])


@pytest.mark.parametrize("size", [0, 100, -1])
def test_find_parts__a_damaged_file_is_removed_with_a_warning(tmp_path, vectors, size):
    path = write_part(tmp_path, DIGESTS, (0, 1), vectors)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.warns(FantasiaWarning, match="is damaged"):
        assert find_parts(tmp_path, DIGESTS, [0]) == {0: {}}
    assert not path.exists()


def test_clear_abandoned__only_what_is_old(tmp_path: Path):
    import os

    old, new, whole = (tmp_path / name for name in ("a.partial", "b.partial", "c.parquet"))
    for file in (old, new, whole):
        file.touch()
    os.utime(old, (0, 0))
    os.utime(whole, (0, 0))
    clear_abandoned(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["b.partial", "c.parquet"]
