"""Imports that are stopped, killed, or begun twice: the same command goes on, to the bundle of an undisturbed one."""

from __future__ import annotations

import errno
import io
import os

import numpy as np
import pytest

from fantasia_dask.errors import InputError
from fantasia_dask.progress import Progress
from fantasia_dask.reference import making as making_module
from fantasia_dask.reference import open_reference
from fantasia_dask.reference.checksums import file_digest
from fantasia_dask.reference.importers import fantasia_dump, import_reference, vector_files, vector_text
from fantasia_dask.reference.importers.placement import ScatteredVectors
from fantasia_dask.reference.making import making
from fantasia_dask.schema import Space
from fantasia_dask.store import StoreWriter
from tests.killing import told_by
from tests.reference.test_import_dump import TABLES, write_custom

QUIET = Progress(quiet=True)
D = 256
SCRIPT = """
import json, random, sys, time
from pathlib import Path
from tests.killing import KILLED, ended, killed_after, rehearse, start
from fantasia_dask.progress import Progress
from fantasia_dask.reference.importers import import_reference, placement

dump, home, times = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
placement.SECONDS_BETWEEN_NOTES = 0.01
rng, kills, stages, bundles, life = random.Random(5), 0, [], [], 0

def work(out):
    with open(home / "told.txt", "a") as told:
        import_reference(dump, out, progress=Progress(told))

def stage(out):
    making = home / f".{out.name}.making"
    if out.exists():
        return "made"
    if (making / "embeddings.zarr.partial").exists() or (making / "embeddings.zarr").exists():
        return "storing"
    return "noted" if (making / "reading.npz").exists() else "begun"

rehearse(lambda: work(home / "rehearsed"))
before = time.perf_counter()
assert ended(start(lambda: work(home / "undisturbed"))) == 0
whole = time.perf_counter() - before
while kills < times:
    out = home / f"life{life}"
    pid = start(lambda: work(out))
    code = killed_after(pid, rng.uniform(0, 1.1 * whole))
    if code == KILLED:
        kills += 1
        stages.append(stage(out))
    if code == KILLED and out.exists():  # at the very end: the same command says so, and clears up
        assert ended(start(lambda: work(out))) == 1
    if code != KILLED or out.exists():
        assert code in (0, KILLED)
        bundles.append(out.name)
        life += 1
pid = start(lambda: work(home / f"life{life}")) if not (home / f"life{life}").exists() else None
assert pid is None or ended(pid) == 0
bundles.append(f"life{life}")
went_on = (home / "told.txt").read_text().count("going on where an earlier command stopped")
left = sorted(path.name for path in home.iterdir() if path.name.startswith("."))
print(json.dumps({"seconds": whole, "stages": stages, "bundles": bundles, "left": left, "went_on": went_on}))
"""


def write_large_dump(path, rows=2500):
    """Write a dump whose vectors take some blocks of text to read; equal sequences, and sequences of no protein."""
    rng = np.random.default_rng(3)
    vectors = []
    for kind in (1, 3):
        for sequence in rng.permutation(rows) + 1:
            numbers = ",".join(map(str, (rng.standard_normal(D) * 0.2).astype("float16").astype("float32")))
            vectors.append(f"{len(vectors) + 1}\t{sequence}\t{kind}\t0\t[{numbers}]\t{{{D}}}\tnow")
    letters = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
    sequences = ["".join(rng.choice(letters, 30)) for _ in range(rows)]
    sequences[7] = sequences[70]
    tables = TABLES | {
        "protein": [f"P{i}\t{i}\t\\N\tYeast\t4932" for i in range(1, rows + 1) if i % 50],
        "sequence": [f"{i}\t{sequence}\thash" for i, sequence in enumerate(sequences, 1)],
        "sequence_embeddings": vectors,
    }
    return write_custom(path, tables)


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    return write_large_dump(tmp_path_factory.mktemp("dump") / "large.backup")


@pytest.fixture(scope="module")
def undisturbed(dump):
    out = dump.parent / "undisturbed"
    import_reference(dump, out, progress=QUIET)
    return out


@pytest.fixture
def noting(monkeypatch):
    """Have every block noted, whatever the disk has to do."""
    note_every_block(monkeypatch)


def note_every_block(monkeypatch):
    note = ScatteredVectors.note
    monkeypatch.setattr(
        ScatteredVectors, "note", lambda self, n, at_once=True, **facts: note(self, n, at_once=True, **facts)
    )


def bytes_of(bundle):
    """Return the checksum of every file; the manifest, which tells the time, by its other content."""
    told = {"manifest.json", "checksums.json"}
    files = {f.relative_to(bundle): file_digest(f) for f in bundle.rglob("*") if f.is_file() and f.name not in told}
    return files, {key: value for key, value in open_reference(bundle).manifest.items() if key != "created"}


def stopped_at(monkeypatch, module, name, call, error=KeyboardInterrupt):
    """Have the call of this number of a function stop the import, 0 none; return a list that grows with each call."""
    real, calls = getattr(module, name), []

    def stopping(*arguments, **named):
        calls.append(1)
        if len(calls) == call:
            raise error
        return real(*arguments, **named)

    monkeypatch.setattr(module, name, stopping)
    return calls


def test_import__killed_at_random_moments(dump, undisturbed, tmp_path):
    told = told_by(SCRIPT, dump, tmp_path, 8)
    assert told["left"] == [], "nothing is left behind by an import that has come to its end"
    assert told["went_on"] > 0
    for bundle in told["bundles"]:
        assert bytes_of(tmp_path / bundle) == bytes_of(undisturbed)


def test_import__goes_on_where_it_was_stopped(dump, undisturbed, tmp_path, monkeypatch, noting):
    reads = stopped_at(monkeypatch, vector_text, "parse_text", 8)
    with pytest.raises(KeyboardInterrupt):
        import_reference(dump, tmp_path / "out", progress=QUIET)
    assert (tmp_path / ".out.making" / "reading.npz").is_file()
    said = io.StringIO()
    import_reference(dump, tmp_path / "out", progress=Progress(said))
    assert "going on where an earlier command stopped" in said.getvalue()
    blocks = len(reads) - 1
    reads = stopped_at(monkeypatch, vector_text, "parse_text", 0)
    import_reference(dump, tmp_path / "again", progress=QUIET)
    assert len(reads) == blocks, "every block was read once"
    assert bytes_of(tmp_path / "out") == bytes_of(undisturbed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "out"]


def test_import__full_disk(dump, undisturbed, tmp_path, monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device")
    stopped_at(monkeypatch, StoreWriter, "write", 1, full)
    with pytest.raises(InputError, match=r"disk .* is full.*What is done is kept in .*\.out\.making"):
        import_reference(dump, tmp_path / "out", progress=QUIET)
    reads = stopped_at(monkeypatch, vector_text, "parse_text", 0)
    import_reference(dump, tmp_path / "out", progress=QUIET)
    assert reads == [], "all had been read"
    assert bytes_of(tmp_path / "out") == bytes_of(undisturbed)


def test_import__another_source_begins_anew(dump, tmp_path, monkeypatch, noting):
    source = tmp_path / "source.backup"
    source.write_bytes(dump.read_bytes())
    stopped_at(monkeypatch, vector_text, "parse_text", 8)
    with pytest.raises(KeyboardInterrupt):
        import_reference(source, tmp_path / "out", progress=QUIET)
    write_custom(source, TABLES)
    said = io.StringIO()
    reference = import_reference(source, tmp_path / "out", progress=Progress(said))
    assert "going on" not in said.getvalue()
    assert reference.proteins["accession"].tolist() == ["P1", "P2", "P3", "P6"]


def test_import__a_mistake_leaves_nothing(dump, tmp_path, monkeypatch, noting):
    stopped_at(monkeypatch, fantasia_dump, "_tell", 8, InputError("found late"))
    with pytest.raises(InputError, match="found late"):
        import_reference(dump, tmp_path / "out", progress=QUIET)
    assert list(tmp_path.iterdir()) == []


def test_import__a_note_that_is_damaged_is_no_note(dump, undisturbed, tmp_path, monkeypatch, noting):
    stopped_at(monkeypatch, vector_text, "parse_text", 8)
    with pytest.raises(KeyboardInterrupt):
        import_reference(dump, tmp_path / "out", progress=QUIET)
    note = tmp_path / ".out.making" / "reading.npz"
    note.write_bytes(note.read_bytes()[:-100])
    import_reference(dump, tmp_path / "out", progress=QUIET)
    assert bytes_of(tmp_path / "out") == bytes_of(undisturbed)


def test_import__vectors_go_on_too(tmp_path, monkeypatch, noting):
    """Vectors in a file of their own, with three spaces in an HDF5 of our own kind, in blocks of two proteins."""
    rng, spaces = np.random.default_rng(0), [Space("A", 0, 4), Space("A", 1, 4), Space("B", 0, 3)]
    names = [f"P{i}" for i in range(7)]
    with StoreWriter(
        tmp_path / "v.h5", ids=names, sequences=[f"MK{'A' * i}" for i in range(7)], spaces=spaces, chunk_rows=7
    ) as writer:
        for space in spaces:
            writer.write(space, 0, rng.standard_normal((7, space.dimension)))
    (tmp_path / "a.tsv").write_text("accession\tgo_id\n" + "".join(f"{name}\tGO:0000001\n" for name in names))
    (tmp_path / "go.obo").write_text(
        "data-version: x\nontology: go\n\n[Term]\nid: GO:0000001\nname: n\nnamespace: molecular_function\n"
    )
    given = {"annotations": tmp_path / "a.tsv", "ontology": tmp_path / "go.obo", "progress": QUIET}
    monkeypatch.setattr(vector_files, "CHUNK_ROWS", 2)
    undisturbed = import_reference(tmp_path / "v.h5", tmp_path / "undisturbed", **given).path
    for stop in range(1, 13):
        places = stopped_at(monkeypatch, vector_files, "cast_block", stop)
        with pytest.raises(KeyboardInterrupt):
            import_reference(tmp_path / "v.h5", tmp_path / f"out{stop}", **given)
        import_reference(tmp_path / "v.h5", tmp_path / f"out{stop}", **given)
        assert len(places) == 13, "twelve blocks, and the one that was stopped"
        assert bytes_of(tmp_path / f"out{stop}") == bytes_of(undisturbed)
        monkeypatch.undo()
        note_every_block(monkeypatch)
        monkeypatch.setattr(vector_files, "CHUNK_ROWS", 2)


def test_import__two_at_once(dump, tmp_path):
    with (
        making(tmp_path / "out", False, QUIET),
        pytest.raises(InputError, match=r"in use by process .* another name"),
    ):
        import_reference(dump, tmp_path / "out", progress=QUIET)


def test_making__made_meanwhile(dump, tmp_path):
    """What another command has finished since this one looked is not replaced."""
    import_reference(dump, tmp_path / "out", progress=QUIET)
    with pytest.raises(InputError, match="holds a reference already"), making(tmp_path / "out", False, QUIET):
        raise AssertionError


def test_making__no_place_to_write(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"nothing can be made in .* folder of your own"):
        making(tmp_path / "file" / "out", False, QUIET).__enter__()


def test_scattered_vectors__of_another_size_begins_anew(tmp_path):
    space = Space("A", 0, 2)
    with ScatteredVectors(tmp_path, 3) as scattered:
        scattered.place(space, np.array([2]), np.ones((1, 2), "float32"))
        scattered.note(5, at_once=True, why="test")
    with ScatteredVectors(tmp_path, 3) as scattered:
        assert (scattered.position, scattered.facts, scattered.spaces) == (5, {"why": "test"}, [space])
        assert scattered.present(space).tolist() == [False, False, True]
    with ScatteredVectors(tmp_path, 4) as scattered:
        assert (scattered.position, scattered.spaces) == (0, [])
    (tmp_path / "plane0.raw").write_bytes(b"")
    with ScatteredVectors(tmp_path, 3) as scattered:
        assert (scattered.position, scattered.spaces) == (0, [])


def test_import__the_same_name_in_another_folder_begins_anew(dump, tmp_path, monkeypatch, noting):
    """Archives that are reproducible give two releases of a file the same name, size and time."""
    for release in ("one", "two"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "source.backup").write_bytes(dump.read_bytes())
        os.utime(tmp_path / release / "source.backup", (1_000_000_000,) * 2)
    stopped_at(monkeypatch, vector_text, "parse_text", 8)
    with pytest.raises(KeyboardInterrupt):
        import_reference(tmp_path / "one" / "source.backup", tmp_path / "out", progress=QUIET)
    said = io.StringIO()
    import_reference(tmp_path / "two" / "source.backup", tmp_path / "out", progress=Progress(said))
    assert "going on" not in said.getvalue()


def test_import__overwrite_forgotten_once(dump, undisturbed, tmp_path, monkeypatch, noting):
    import_reference(dump, tmp_path / "out", progress=QUIET)
    reads = stopped_at(monkeypatch, vector_text, "parse_text", 8)
    with pytest.raises(KeyboardInterrupt):
        import_reference(dump, tmp_path / "out", overwrite=True, progress=QUIET)
    with pytest.raises(InputError, match="holds a reference already"):
        import_reference(dump, tmp_path / "out", progress=QUIET)
    said = io.StringIO()
    import_reference(dump, tmp_path / "out", overwrite=True, progress=Progress(said))
    assert "going on where an earlier command stopped" in said.getvalue()
    assert len(reads) > 8
    assert bytes_of(tmp_path / "out") == bytes_of(undisturbed)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_making__nobody_comes_in_while_it_clears_up(tmp_path, monkeypatch):
    out, real, removed = tmp_path / "out", making_module.remove, []

    def watched(path):
        with pytest.raises(InputError, match="in use by process"), making(out, False, QUIET):
            raise AssertionError
        removed.append(path.name)
        real(path)

    with making(out, False, QUIET, until_made=tmp_path / ".out.vectors") as folder:
        (folder / "plane0.raw").write_bytes(b"0")
        (folder / "embeddings.zarr").mkdir()
        (tmp_path / ".out.vectors").mkdir()
        monkeypatch.setattr(making_module, "remove", watched)
    assert sorted(removed) == [".out.vectors", "embeddings.zarr", "made_from.json", "plane0.raw"]
    assert list(tmp_path.iterdir()) == []


def test_making__what_is_beside_stays_when_it_fails(tmp_path):
    (tmp_path / ".out.vectors").mkdir()
    with pytest.raises(ZeroDivisionError), making(tmp_path / "out", False, QUIET, until_made=tmp_path / ".out.vectors"):
        _ = 1 / 0
    assert [path.name for path in tmp_path.iterdir()] == [".out.vectors"]


def test_making__killed_when_all_was_done(dump, tmp_path):
    import_reference(dump, tmp_path / "out", progress=QUIET)
    for name in (".out.making", ".out.vectors"):
        (tmp_path / name).mkdir()
    note = tmp_path / ".out.making" / "made_from.json"
    note.write_text("null")
    os.utime(note, (1_000_000_000,) * 2)
    beside = tmp_path / ".out.vectors"
    with (
        pytest.raises(InputError, match="holds a reference already"),
        making(tmp_path / "out", False, QUIET, until_made=beside),
    ):
        raise AssertionError
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(("options", "goes_on"), [({}, False), ({"made_from": {"version": 1}}, True)])
def test_making__what_a_mishap_promises(tmp_path, options, goes_on):
    with pytest.raises(InputError) as caught, making(tmp_path / "out", False, QUIET, **options):
        raise OSError(errno.EIO, "Input/output error", "plane0.raw")
    assert str(caught.value).endswith("it goes on where it stopped." if goes_on else "give the same command again.")
    assert (tmp_path / ".out.making").exists() is goes_on
