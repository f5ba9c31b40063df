import pytest

from fantasia_dask.config import load_config
from fantasia_dask.errors import InputError
from fantasia_dask.strict_yaml import parse_value, read_mapping


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("- a\n- b\n", "holds a list"),
        ("only words", "holds a str"),
        ("input: a\n\tprefix: b\n", "line 2, column 1: found a tab"),
        ("embedding:\n  device: cpu\n  device: cuda\n", "line 3, column 3: the key device stands there a second time"),
        ("input: [a", "line 1"),
        ("input: a\n---\ninput: b\n", "line 2"),
        ("prefix: 2024-13-45\n", "put text in quotes"),
        ("a: !!python/object/apply:os.system [echo]\n", "could not determine a constructor"),
        ("? [a, b]\n: 1\n", "unhashable key"),
        ("a: " + "[" * 5000, "line 1"),
        ("a: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
    ],
)
def test_read_mapping__not_a_mapping(tmp_path, text, complaint):
    path = tmp_path / "ants.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"ants.yaml") as caught:
        read_mapping(path)
    # the parser gives up on the unclosed brackets either at their end or for their depth
    expected = {complaint, "nested too deeply"} if text.endswith("[" * 5000) else {complaint}
    assert any(words in str(caught.value) for words in expected), caught.value
    assert "\n" not in str(caught.value)


def test_read_mapping__missing_file(tmp_path):
    with pytest.raises(InputError, match=r"none.yaml does not exist"):
        read_mapping(tmp_path / "none.yaml")


def test_read_mapping__folder(tmp_path):
    with pytest.raises(InputError, match="does not exist: expected a configuration file"):
        read_mapping(tmp_path)


def test_read_mapping__latin1(tmp_path):
    path = tmp_path / "ants.yaml"
    path.write_bytes("prefix: fourmi_\xe9\n".encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8 text"):
        read_mapping(path)


def test_read_mapping__byte_order_mark_and_windows_lines(tmp_path):
    path = tmp_path / "ants.yaml"
    path.write_bytes(b"\xef\xbb\xbfinput: ants.fasta\r\nprefix: a\r\n")
    assert read_mapping(path) == {"input": "ants.fasta", "prefix": "a"}


def test_read_mapping__merge_key_may_repeat_what_it_overrides(tmp_path):
    path = tmp_path / "ants.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n")
    assert read_mapping(path)["b"] == {"x": 3, "y": 2}


def test_parse_value__names_its_source():
    with pytest.raises(InputError, match="--set threads, line 1"):
        parse_value("[1", "--set threads")


@pytest.mark.parametrize("text", ["a: &x [*x, *x]", "a: &x {b: {c: *x}}", "a: [&x [1, [*x]], 2]"])
def test_read_mapping__what_holds_itself_is_refused(tmp_path, text):
    path = tmp_path / "round.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"round\.yaml has an alias \(\*\) within what it stands for"):
        read_mapping(path)


def test_read_mapping__the_same_twice_is_no_circle(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("a: &x [1, 2]\nb: *x\nc: [*x, *x]")
    assert read_mapping(path) == {"a": [1, 2], "b": [1, 2], "c": [[1, 2], [1, 2]]}


@pytest.mark.parametrize("key", ["input", "embedding", "limit_taxa", "nothing"])
def test_load_config__aliases_of_aliases_are_not_gone_through_one_by_one(tmp_path, key):
    """Thirty lines that stand for a thousand million values: one sentence, at once."""
    lines = ["a0: &a0 [x, x]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 30)), f"{key}: *a29"]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(InputError):
        load_config(path)
