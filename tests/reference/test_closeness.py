"""No donor at or above the identity: told by other alignments than our own."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pandas as pd
import parasail
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fantasia_dask.annotate.alignment import align_pairs
from fantasia_dask.errors import InputError
from fantasia_dask.lookup import nearest_neighbours
from fantasia_dask.lookup.separation import clean_neighbours
from fantasia_dask.reference.bundle import open_reference
from fantasia_dask.reference.closeness import CloseTest, may_be_close
from fantasia_dask.reference.redundancy import close_pairs
from fantasia_dask.sequences import read_fasta


def identities(query, donor):
    """Global identity, local identity and local columns, counted letter by letter on parasail's alignments."""
    numbers = []
    for align in (parasail.nw_trace_striped_32, parasail.sw_trace_striped_32):
        lines = align(query, donor, 10, 1, parasail.blosum62).traceback
        equal = sum(x == y for x, y in zip(lines.query, lines.ref, strict=True))
        numbers += [equal / max(1, len(lines.query)), len(lines.query)]
    return numbers[0], numbers[2], numbers[3]


def long_enough(query, donor, identity, coverage):
    """Tell whether a local alignment covers its share of the shorter protein, or is most of it."""
    _, locally, columns = identities(query, donor)
    shorter = min(len(query), len(donor))
    return columns >= coverage * shorter if coverage else round(locally * columns) >= identity * shorter


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_may_be_close__never_rules_out_a_close_pair(data):
    letters = data.draw(st.sampled_from(["AC", "ACDEFGHIKLMNPQRSTVWY", "AX"]))
    query = data.draw(st.text(letters, min_size=1, max_size=60))
    start, stop = sorted((data.draw(st.integers(0, len(query))), data.draw(st.integers(0, len(query)))))
    donor = data.draw(st.text(letters, max_size=5)) + query[start:stop] + data.draw(st.text(letters, max_size=20))
    for place in data.draw(st.lists(st.integers(0, 80), max_size=4)):
        donor = donor[:place] + data.draw(st.text(letters, max_size=2)) + donor[place + 1 :]
    if not donor:
        return
    identity = data.draw(st.sampled_from([0.05, 0.3, 0.5, 0.8, 0.9, 1.0]))
    coverage = data.draw(st.sampled_from([0, 0.1, 0.8, 1.0]))
    globally, locally, _ = identities(query, donor)
    close = globally >= identity or (locally >= identity and long_enough(query, donor, identity, coverage))
    if close:
        assert may_be_close(query, donor, identity, coverage)
    test = CloseTest([query], [donor], identity=identity, coverage=coverage, align=align_pairs)
    # Equal sequences are close even where their alignment is not (X aligned with X costs).
    assert test(np.array([0]), np.array([0])).tolist() == [close or query == donor]


def test_close_test__a_pair_is_aligned_once():
    asked = []

    def align(pairs):
        asked.extend(pairs)
        return align_pairs(pairs)

    query, donors = "MKTAYIAKQR", ["MKTAYIAKQK", "MKTAYIAWWW", "MKTAYIAKQR", "", "WWWWWWWWWW", "mktayiakqr"]
    known = np.array([0]), np.array([1])
    test = CloseTest([query], donors, identity=0.9, coverage=0.5, align=align, known=known)
    rows = np.array([0, 1, 2, 3, 4, 5, 0])
    assert test(np.zeros(7, int), rows).tolist() == [True, True, True, True, False, True, True]
    assert test(np.zeros(7, int), rows).tolist() == [True, True, True, True, False, True, True]
    assert asked == [(query, donors[0])]
    assert test(np.empty(0, int), np.empty(0, int)).tolist() == []


def test_close_test__a_piece_of_the_other_is_a_copy_without_a_coverage_too():
    """Its global alignment is mostly gap; no search is needed to see it, however short it is."""
    whole = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQ"
    piece, altered = whole[20:34], whole[20:26] + "W" + whole[27:34]
    queries, donors = [whole, piece], [whole, piece, altered, "WWWWW" + piece[:6] + "CCCCCCC", whole[:5] + "W" * 40]
    test = CloseTest(queries, donors, identity=0.9, coverage=0, align=align_pairs)
    assert [bool(test(np.array([0]), np.array([row]))[0]) for row in range(5)] == [True, True, True, False, False]
    assert test(np.array([1, 1]), np.array([0, 2])).tolist() == [True, True]


def test_close_test__a_query_without_sequence():
    test = CloseTest([""], ["MKT"], identity=0.9, coverage=0, align=align_pairs)
    with pytest.raises(InputError, match=r"query row 0 is not known"):
        test(np.array([0]), np.array([0]))


def strict_neighbours(vectors, sequences, donors, k, identity, coverage, known=None):
    """Look up `vectors` (q, r) of proteins with those `sequences` among `donors`, keeping copies out."""
    queries, reference = vectors

    def ask(rows, n):
        table = da.from_array(reference, chunks=(1000, -1))
        return nearest_neighbours(da.from_array(queries[rows], chunks=(1000, -1)), table, k=n).compute()

    test = CloseTest(sequences, donors, identity=identity, coverage=coverage, align=align_pairs, known=known)
    return clean_neighbours(ask, test, np.arange(len(queries)), k)


def assert_no_copy(hits, sequences, donors, identity, coverage):
    assert (hits["row"] >= 0).all()
    for query, line in zip(sequences, hits["row"], strict=True):
        for row in line:
            globally, locally, _ = identities(query, donors[row])
            assert globally < identity
            assert locally < identity or not long_enough(query, donors[row], identity, coverage)


@pytest.mark.shared
def test_strict_mode__golden_reference(golden, golden_reference):
    reference = open_reference(golden_reference)
    donors = list(reference.store.sequences)
    queries = pd.read_csv(golden / "inputs/queries.csv")["sequence"].tolist()
    held = np.load(golden / "inputs/query_embeddings.npz")
    vectors = held["Prot-T5|L0"].astype("f4"), reference.vectors("Prot-T5", 0).compute()
    identity, coverage = 0.9, 0.8
    known = close_pairs(queries, donors, identity=identity, coverage=coverage)
    assert len(known[0])
    hits = strict_neighbours(vectors, queries, donors, 5, identity, coverage, known)
    assert_no_copy(hits, queries, donors, identity, coverage)
    # The search saves work and changes nothing that an alignment of all would not: none of its pairs came back.
    close = set(zip(*(rows.tolist() for rows in known), strict=True))
    assert not close & {(q, row) for q, line in enumerate(hits["row"].tolist()) for row in line}


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize(("coverage", "proteins"), [(0, 3000), (0.8, 1000)])
def test_strict_mode__real_proteins(shared, coverage, proteins):
    """Yeast against yeast: every query's own copy is there, and so are its paralogues."""
    held = np.load(shared / "data/embeddings/yeast_UP000002311_unirep256.npz")
    named = {p.accession.split("|")[1]: p.sequence for p in read_fasta(shared / "data/fasta/yeast.fasta.gz")}
    chosen = range(0, 6000, 6000 // proteins)
    sequences, table = [named[held["ids"][row]] for row in chosen], held["last_mean"][chosen]
    hits = strict_neighbours((table, table), sequences, sequences, 3, 0.9, coverage)
    assert_no_copy(hits, sequences, sequences, 0.9, coverage)
    # It kept apart what had to be kept apart, and no more: walk through some queries' neighbours one by one.
    unit = table.astype("f8") / np.linalg.norm(table.astype("f8"), axis=1, keepdims=True)
    for query in range(0, proteins, proteins // 20):
        wanted = []
        for row in np.argsort((1 - unit @ unit[query]).round(12), kind="stable"):
            globally, locally, columns = identities(sequences[query], sequences[row])
            covered = columns >= coverage * min(len(sequences[query]), len(sequences[row]))
            if globally < 0.9 and not (coverage and covered and locally >= 0.9):
                wanted.append(int(row))
            if len(wanted) == 3:
                break
        assert hits["row"][query].tolist() == wanted
