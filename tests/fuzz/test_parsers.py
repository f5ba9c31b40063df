"""Files made from what they should say: each is read as it was meant, or refused in one sentence.

Where the campaign breaks valid files, hypothesis builds files of every shape that a format allows, and of some that it
does not.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import string
import tempfile
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_st

from fantasia_dask.config import known_keys, load_config, make_config
from fantasia_dask.errors import InputError
from fantasia_dask.interchange import import_vectors
from fantasia_dask.reference import ncbi
from fantasia_dask.reference.obo import read_obo
from fantasia_dask.reference.sources import read_annotations
from fantasia_dask.sequences import Protein, read_fasta

thorough = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
few = settings(thorough, max_examples=15)

SIGNS = st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r")
WORD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r "), min_size=1, max_size=12)
FIELD = st.text(SIGNS, max_size=12)
PACK = st.sampled_from([("", bytes), (".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)])
LINE_END = st.sampled_from(["\n", "\r\n", "\r"])


@contextmanager
def written(name: str, content: str | bytes) -> Iterator[Path]:
    """A file in a folder that goes with it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        yield path


def is_one_sentence(text: str) -> bool:
    """Whether a terminal shows a text as one line, and does nothing else."""
    return len(text.splitlines()) == 1 and len(text) < 2000 and not {"Cc", "Cs"} & set(map(unicodedata.category, text))


@contextmanager
def success_or_one_sentence() -> Iterator[None]:
    """Nothing but an `InputError` may come out, and that is one printable line."""
    said = "success"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError as error:
        said = str(error)
    assert is_one_sentence(said), ascii(said)


# FASTA ---------------------------------------------------------------------------------------------------------------


@st.composite
def records(draw):
    """One record: name, description, residues as a file has them, and as they are to be read."""
    name, description = draw(WORD), draw(FIELD).strip()
    if not description:
        name = name.rstrip() or "P1"  # white space at the end of a line, of any kind, belongs to no name
    meant = draw(st.text(string.ascii_uppercase, max_size=60))
    spelt = []
    for letter in meant:
        stop = draw(st.sampled_from("*.")) if letter == "X" and draw(st.booleans()) else ""
        spelt.append(draw(st.sampled_from(["", "", "-"])) + (stop or draw(st.sampled_from([letter, letter.lower()]))))
    text = "".join(spelt) + draw(st.sampled_from(["", "*", ".", "-", "*-"]))
    return (name, description), text, Protein(name, _stops_dropped(meant, spelt), description)


def _stops_dropped(meant: str, spelt: list[str]) -> str:
    """A stop at the end is no residue, however many there are."""
    kept = len(meant)
    while kept and spelt[kept - 1][-1] in "*.":
        kept -= 1
    return meant[:kept]


@thorough
@given(st.lists(records(), min_size=1, max_size=5, unique_by=lambda r: r[0][0]), st.integers(1, 70), LINE_END, PACK)
def test_fasta__text_to_proteins(drawn, width, end, pack):
    lines = ["; a remark"]
    for (name, description), text, _ in drawn:
        lines += [f">{name} {description}".rstrip(" "), *(text[i : i + width] for i in range(0, len(text), width)), ""]
    suffix, packed = pack
    with written(f"in.fasta{suffix}", packed(end.join([*lines, ""]).encode())) as path:
        assert read_fasta(path) == [protein for _, _, protein in drawn]


@thorough
@given(st.text(st.sampled_from(">;MKTx*-. \t\r\n7é\0\x85\u2028"), max_size=60) | st.binary(max_size=60), PACK)
def test_fasta__anything(content, pack):
    suffix, packed = pack
    data = content if isinstance(content, bytes) else content.encode()
    with written(f"in.fasta{suffix}", packed(data)) as path, success_or_one_sentence():
        found = read_fasta(path)
        assert found
        assert all(set(p.sequence) <= set(string.ascii_uppercase) for p in found)
        assert len({p.accession for p in found}) == len(found)


# Annotations ---------------------------------------------------------------------------------------------------------

ACCESSION = WORD.filter(lambda word: word == word.strip())
GO = st.from_regex(r"GO:[0-9]{7}", fullmatch=True)
CODE = st.sampled_from(["IDA", "IEA", "EXP", "TAS", "ND"])
PLAIN = st.text(st.characters(codec="ascii", exclude_categories=["C"], exclude_characters="|,"), max_size=10).map(
    str.strip
)
LINE = st.fixed_dictionaries(
    {
        "accession": ACCESSION,
        "go_id": GO,
        "aspect": st.sampled_from("FPC"),
        "evidence": CODE,
        "negated": st.booleans(),
        "taxon": st.integers(1, 10**9),
        "date": st.dates().map(lambda day: day.strftime("%Y%m%d").rjust(8, "0")),
        "name": PLAIN,
    }
)
GPAD_CODE = {
    "IDA": "ECO:0000314",
    "IEA": "ECO:0000501",
    "EXP": "ECO:0000269",
    "TAS": "ECO:0000304",
    "ND": "ECO:0000307",
}


def gaf(line):
    qualifier = "NOT|enables" if line["negated"] else "enables"
    return "\t".join(
        ("DB", line["accession"], "sym", qualifier, line["go_id"], "PMID:1", line["evidence"], "", line["aspect"])
    ) + "\t".join(("", line["name"], "", "protein", f"taxon:{line['taxon']}", line["date"], "X", "", ""))


def gpad(line):
    columns = (f"DB:{line['accession']}", "NOT" if line["negated"] else "", "RO:0002327", line["go_id"], "PMID:1")
    return "\t".join((*columns, GPAD_CODE[line["evidence"]], "", "", line["date"], "X", "", f"remark={line['name']}"))


@pytest.mark.parametrize(("spell", "header"), [(gaf, "!gaf-version: 2.2"), (gpad, "!gpad-version: 2.0")])
@thorough
@given(st.lists(LINE, max_size=6), st.lists(st.just("! a remark") | st.just(""), max_size=2), LINE_END, PACK)
def test_annotations__lines_to_table(spell, header, lines, remarks, end, pack):
    suffix, packed = pack
    text = end.join([header, *remarks, *map(spell, lines), ""])
    with written(f"in{suffix}", packed(text.encode())) as path:
        source = read_annotations(path)
    kept = [line for line in lines if not line["negated"] and line["evidence"] != "ND"]
    for name in ("accession", "go_id", "evidence", "date"):
        assert source.table[name].tolist() == [line[name] for line in kept]
    if spell is gaf:
        assert source.table["taxon"].tolist() == [line["taxon"] for line in kept]
        assert source.table["aspect"].tolist() == [line["aspect"] for line in kept]
    assert source.counts["read"] == len(lines)
    assert source.counts["not"] == sum(line["negated"] for line in lines)


@pytest.mark.parametrize(
    "header", ["!gaf-version: 2.2", "!gpad-version: 2.0", "!gpa-version: 1.1", "accession\tgo_id", "P1\tGO:1"]
)
@few
@given(st.lists(st.lists(FIELD | GO | CODE, min_size=1, max_size=18).map("\t".join), max_size=4))
def test_annotations__anything(header, lines):
    with written("in.txt", "\n".join([header, *lines])) as path, success_or_one_sentence():
        table = read_annotations(path).table
        assert table["accession"].str.len().gt(0).all()


@few
@given(st.lists(st.tuples(st.text(SIGNS | st.sampled_from('\n",\t'), min_size=1, max_size=9), GO), max_size=5))
def test_annotations__a_table_with_quotes(lines):
    """As a spreadsheet saves it; a name may hold the separator, quotes and ends of line."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([("accession", "go_id"), *lines])
    with written("in.csv", stream.getvalue()) as path, success_or_one_sentence():
        assert read_annotations(path).table["accession"].tolist() == [name.strip() for name, _ in lines]


# Ontology ------------------------------------------------------------------------------------------------------------

TERM_NAME = (
    st.text(SIGNS.filter(lambda sign: sign not in '{}!\\"'), min_size=1, max_size=20).map(str.strip).filter(bool)
)
SPACES_OF = {"F": "molecular_function", "P": "biological_process", "C": "cellular_component"}


@st.composite
def ontologies(draw):
    """Terms with names, aspects and parents among those before them."""
    ids = draw(st.lists(GO, min_size=1, max_size=8, unique=True))
    terms = []
    for i, go_id in enumerate(ids):
        parents = draw(st.lists(st.sampled_from(ids[:i]), max_size=3, unique=True)) if i else []
        kinds = [draw(st.sampled_from(["is_a", "part_of", "regulates"])) for _ in parents]
        terms.append((go_id, draw(TERM_NAME), draw(st.sampled_from("FPC")), list(zip(kinds, parents, strict=True))))
    return terms


@thorough
@given(ontologies(), LINE_END, st.permutations(["name", "namespace", "edges"]))
def test_obo__stanzas_to_tables(terms, end, order):
    lines = ["format-version: 1.2", "data-version: today", ""]
    for go_id, name, aspect, edges in terms:
        parts = {
            "name": [f"name: {name}"],
            "namespace": [f"namespace: {SPACES_OF[aspect]}"],
            "edges": [f"is_a: {p} ! up" if k == "is_a" else f"relationship: {k} {p} ! up" for k, p in edges],
        }
        lines += ["[Term]", f"id: {go_id}", *(line for part in order for line in parts[part]), ""]
    with written("in.obo", end.join(lines)) as path:
        found = read_obo(path)
    assert found.terms[["go_id", "name", "aspect"]].values.tolist() == sorted([i, n, a] for i, n, a, _ in terms)
    edges = sorted((go_id, kind, parent) for go_id, _, _, above in terms for kind, parent in above)
    assert list(found.relations.itertuples(index=False, name=None)) == edges
    assert found.release == "today"


TAGS = st.sampled_from(
    ["id", "name", "is_a", "relationship", "alt_id", "namespace", "is_obsolete", "replaced_by", "xref", "def", ""]
)
VALUE = GO | FIELD | st.sampled_from(["part_of GO:0000001", "true", '"a" [x]', "{a}", "\\", "! x", '"'])


@thorough
@given(
    st.lists(
        st.sampled_from(["[Term]", "[Typedef]", "[", "", "id: GO:0000001", "name: x"])
        | st.tuples(TAGS, VALUE).map(": ".join)
        | FIELD,
        max_size=12,
    )
)
def test_obo__anything(lines):
    with written("in.obo", "\n".join(lines)) as path, success_or_one_sentence():
        assert len(read_obo(path).terms) >= 1


# Taxonomy ------------------------------------------------------------------------------------------------------------


@st.composite
def trees(draw):
    """Parents by taxon, the root its own, and names."""
    taxa = draw(st.lists(st.integers(2, 10**6), min_size=1, max_size=8, unique=True))
    parents = {1: 1}
    for taxon in taxa:
        parents[taxon] = draw(st.sampled_from(list(parents)))
    names = {taxon: draw(TERM_NAME.filter(lambda name: "|" not in name)) for taxon in parents}
    return parents, names


@thorough
@given(trees(), st.data())
def test_taxonomy__rows_to_lineages(tree, data):
    parents, names = tree
    merged = data.draw(st.dictionaries(st.integers(10**6 + 1, 10**7), st.sampled_from(list(parents)), max_size=2))
    with written("nodes.dmp", "".join(f"{t}\t|\t{p}\t|\trank\t|\t\t|\n" for t, p in parents.items())) as path:
        rows = (f"{t}\t|\t{name}\t|\t\t|\tscientific name\t|\n" for t, name in names.items())
        (path.parent / "names.dmp").write_text("".join(rows), "utf-8")
        (path.parent / "merged.dmp").write_text("".join(f"{old}\t|\t{new}\t|\n" for old, new in merged.items()))
        lineages = ncbi.lineages_from_dump(path.parent, [*parents, *merged])
        for taxon in parents:
            above = [taxon]
            while parents[above[-1]] != above[-1]:
                above.append(parents[above[-1]])
            assert list(lineages[taxon]) == above
        for old, new in merged.items():
            assert lineages[old] == (old, *lineages[new])
        for taxon, name in names.items():
            if ncbi.is_number(name):
                continue
            same = {t for t, other in names.items() if other.lower() == name.lower()}
            assert set(ncbi.resolve_taxa([name], path.parent)) == same, taxon


ROW = st.lists(st.integers(-1, 9).map(str) | FIELD, max_size=5).map("\t|\t".join)


@thorough
@given(*[st.lists(ROW, max_size=5).map("\n".join)] * 3)
def test_taxonomy__anything(nodes, names, merged):
    with written("nodes.dmp", nodes) as path:
        (path.parent / "names.dmp").write_text(names, "utf-8")
        (path.parent / "merged.dmp").write_text(merged, "utf-8")
        with success_or_one_sentence():
            assert set(ncbi.lineages_from_dump(path.parent, [1, 2])) == {1, 2}
        with success_or_one_sentence():
            ncbi.resolve_taxa([1, "a"], path.parent)


# Configuration -------------------------------------------------------------------------------------------------------

SCALAR = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.binary(max_size=4)
    | st.sampled_from(
        ["auto", "0", "1e999", "GO:1", "../../x", "(", "~", "~x", "8GB", "esm2", "cosine", "\ud800", "\0", "a" * 300]
    )
)
ANY = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SCALAR, inner, max_size=3), max_leaves=5
)


def placed(key: str, value: object) -> dict:
    """A small configuration with a value at a dotted key."""
    made: dict = {"input": "x.fasta", "embedding": {"models": {"ESM": {}}}}
    inside = made
    *groups, last = key.replace("<Key>", "ESM").split(".")
    for name in groups:
        inside = inside.setdefault(name, {})
    inside[last] = value
    return made


@pytest.mark.parametrize("route", ["python", "yaml"])
@settings(thorough, max_examples=150)
@given(
    key=st.sampled_from([*known_keys(), "embedding", "embedding.models", "embedding.models.<Key>", "cluster"]),
    value=ANY,
)
def test_configuration__any_value_at_any_key(route, key, value):
    config, said = None, ""
    text = yaml.dump(placed(key, value), allow_unicode=True).encode("utf-8", "backslashreplace")
    try:
        with warnings.catch_warnings(), written("c.yaml", text) as path:
            warnings.simplefilter("ignore")
            config = load_config(path) if route == "yaml" else make_config(placed(key, value))
    except InputError as error:
        said = str(error)
    if config is not None:
        assert make_config(config.model_dump(mode="json")) == config
    else:
        assert is_one_sentence(said), ascii(said)
        assert key.replace("<Key>", "ESM").partition(".")[0] in said, said


# Vectors -------------------------------------------------------------------------------------------------------------

FLOATS = numpy_st.arrays(
    st.sampled_from([np.dtype(kind) for kind in ("<f2", "<f4", "<f8", ">f4")]),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    elements=st.floats(width=16),
)
ARRAYS = numpy_st.arrays(
    numpy_st.scalar_dtypes() | numpy_st.unicode_string_dtypes() | numpy_st.byte_string_dtypes(),
    numpy_st.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)
TEXT_IDS = st.lists(st.text(max_size=6), min_size=1, max_size=4)


def check_import(path: Path, ids: list[str] | None, vectors: np.ndarray) -> None:
    """Import a file: its ids and vectors come back, or it is refused for a reason."""
    good = (
        ids is not None
        and all(ids)
        and len(set(ids)) == len(ids) == len(vectors)
        and np.isfinite(vectors.astype("float32" if vectors.dtype.itemsize > 2 else "float16")).all()
    )
    store, said = None, ""
    try:
        store = import_vectors(path, path.parent / "out.zarr", model="Any", layer=0)
    except InputError as error:
        said = str(error)
    assert (store is not None) == good, said
    if store is not None:
        assert store.ids.tolist() == ids
        np.testing.assert_array_equal(store.vectors("Any", 0).compute(), vectors.astype(store.spaces[0].dtype))
    else:
        assert is_one_sentence(said), ascii(said)
        assert {item.name for item in path.parent.iterdir()} == {path.name}


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(path, **arrays)


def write_zarr(path: Path, arrays: dict[str, np.ndarray]) -> None:
    import zarr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        group = zarr.open_group(path, mode="w")
        for name, array in arrays.items():
            config = {"write_empty_chunks": True}  # a chunk of zeros that is left out is taken for one that is lost
            group.create_array(name, shape=array.shape, dtype=array.dtype, config=config)[...] = array


def write_h5(path: Path, arrays: dict[str, np.ndarray]) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array.astype(h5py.string_dtype()) if array.dtype.kind == "U" else array


@pytest.fixture(autouse=True, scope="module")
def _no_child_process():
    """What h5py wrote a moment ago does not hang its library; a child for each file would take minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fantasia_dask.hdf5_probe._probe", lambda *_: None)
        yield


WRITERS = {"npz": write_npz, "zarr": write_zarr, "h5": write_h5}


@pytest.mark.parametrize("layout", WRITERS)
@few
@given(TEXT_IDS, FLOATS)
def test_vectors__ids_and_floats(layout, ids, vectors):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"in.{layout}")
        array = np.array(ids, dtype=str)
        try:
            WRITERS[layout](path, {"ids": array, "embeddings": vectors})
        except (ValueError, UnicodeEncodeError):  # a name that this layout cannot hold
            return
        check_import(path, array.tolist(), vectors)


@pytest.mark.parametrize("layout", WRITERS)
@few
@given(
    st.dictionaries(st.sampled_from(["ids", "embeddings", "x_ids", "x_embeddings", "a"]), ARRAYS | FLOATS, max_size=3)
)
def test_vectors__anything(layout, arrays):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"in.{layout}")
        try:
            WRITERS[layout](path, arrays)
        except (ValueError, TypeError, NotImplementedError, UnicodeEncodeError):  # no such array in this layout
            return
        with success_or_one_sentence():
            store = import_vectors(path, Path(folder, "out.zarr"), model="Any", layer=0)
            assert np.isfinite(store.vectors("Any", 0).compute()).all()
            assert len(set(store.ids)) == len(store) > 0


def test_vectors__objects_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "in.npz", ids=np.array(["a", None], dtype=object), embeddings=np.eye(2))
    with pytest.raises(InputError, match="Python objects"):
        import_vectors(tmp_path / "in.npz", tmp_path / "out.zarr", model="Any", layer=0)
