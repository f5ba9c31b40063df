from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fantasia_dask.report.files import LONGEST_NAME, file_names, folder_aside, safe_name
from fantasia_dask.run_folder import text_aside

HOSTILE = [
    *("../../x", "A/B", "A\\B", "abc", "ABC", "Abc", "P1:2", "P1?2", "", ".", "..", "...", ".hidden", "x.", "CON"),
    *("nul.txt", "a" * 5000, "A" * 5000, "a" * 4999 + "b", "~", "abc~ba7816bf8f01cfea", "%2E", "é", "É", "e\u0301"),
    *("a\nb", "a\0b", " ", "*", "\ud800"),
]


def check(words):
    names = file_names(words)
    assert set(names) == set(words)
    folded = [name.casefold() for name in names.values()]
    assert len(set(folded)) == len(folded)
    for name in names.values():
        assert name
        assert os.path.basename(name) == name  # noqa: PTH119
        assert not name.startswith(".")
        assert not name.endswith(".")
        assert len(name) < 200
        assert name.isascii()
        assert name == name.lower()


def test_file_names__hostile():
    check(HOSTILE)


@given(st.sets(st.text(max_size=200) | st.text("aAbB./\\~%é", max_size=6)))
def test_file_names__any_words(words):
    check(words)


@given(st.sets(st.text("abCD./~% ", max_size=6), min_size=2))
def test_safe_name__different_words_different_names(words):
    assert len({safe_name(word) for word in words}) == len(words)


def test_file_names__ordinary_accessions_as_fantasia():
    words = ["Q00001", "sp_P69905", "ENSP00000251595.7", "AT1G01010.1", "gene-17"]
    assert file_names(words) == {word: word.lower() for word in words}


def test_safe_name__long():
    assert len(safe_name("x" * 5000)) == LONGEST_NAME + 17


def test_text_aside__error_leaves_the_old_file(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with text_aside(path) as file:
        file.write("old")
    with pytest.raises(TypeError), text_aside(path) as file:
        file.writelines(["half", None])
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_folder_aside__error_leaves_the_old_folder(tmp_path):
    folder = tmp_path / "a"
    with folder_aside(folder) as partial:
        (partial / "x").write_text("old")
    with pytest.raises(FileNotFoundError), folder_aside(folder) as partial:
        (partial / "y" / "z").write_text("half")
    assert [path.name for path in folder.iterdir()] == ["x"]
    with folder_aside(folder) as partial:
        (partial / "y").write_text("new")
    assert [path.name for path in folder.iterdir()] == ["y"]
    assert list(tmp_path.iterdir()) == [folder]
