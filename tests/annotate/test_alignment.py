from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from Bio.Align import PairwiseAligner, substitution_matrices
from hypothesis import given, settings
from hypothesis import strategies as st

from fantasia_dask.annotate.alignment import COLUMNS, align_pairs

LETTERS = "ARNDCQEGHILKMFPSTWYVBZX"
proteins = st.text(LETTERS, min_size=1, max_size=60)


def aligner(mode: str) -> PairwiseAligner:
    return PairwiseAligner(
        mode=mode,
        substitution_matrix=substitution_matrices.load("BLOSUM62"),
        open_gap_score=-10,
        extend_gap_score=-1,
    )


@st.composite
def relatives(draw):
    """Two sequences that share stretches, so that gaps and co-optimal alignments occur."""
    shared = draw(st.lists(proteins, min_size=1, max_size=3))
    insert = draw(st.text(LETTERS, max_size=10))
    return "".join(shared), insert.join(shared) + draw(st.text(LETTERS, max_size=5))


@given(relatives(), st.sampled_from(["trace", "statistics"]))
@settings(max_examples=100, deadline=None)
def test_align_pairs__score_is_that_of_biopython(pair, method):
    row = align_pairs([pair], method=method, threads=1).iloc[0]
    assert row["alignment_score"] == aligner("global").score(*pair)
    assert row["alignment_score_sw"] == max(0, aligner("local").score(*pair))


@given(relatives(), st.sampled_from(["trace", "statistics"]))
@settings(max_examples=100, deadline=None)
def test_align_pairs__numbers_belong_to_one_alignment(pair, method):
    row = align_pairs([pair], method=method, threads=1).iloc[0]
    columns = row["alignment_length"]
    gaps = row["gaps_percentage"] * columns
    # Every column without a gap takes two letters, every other one takes one.
    assert 2 * (columns - gaps) + gaps == pytest.approx(len(pair[0]) + len(pair[1]))
    for suffix in ("", "_sw"):
        assert 0 <= row[f"identity{suffix}"] <= row[f"similarity{suffix}"] <= 1
        assert row[f"similarity{suffix}"] + row[f"gaps_percentage{suffix}"] <= 1 + 1e-12
        assert row[f"alignment_length{suffix}"] <= len(pair[0]) + len(pair[1])


def test_align_pairs__empty_sequence_is_nan():
    frame = align_pairs([("", "MKT"), ("MKT", ""), ("", ""), ("MKT", "MKT")])
    assert frame.iloc[:3][list(COLUMNS)].isna().all(axis=None)
    assert frame["alignment_method"].tolist() == ["", "", "", "trace"]
    assert frame.iloc[3]["identity"] == 1


@pytest.mark.parametrize("method", ["trace", "statistics"])
def test_align_pairs__nothing_in_common_has_an_empty_local_alignment(method):
    row = align_pairs([("WWW", "PPP")], method=method).iloc[0]
    assert row[[name for name in COLUMNS if name.endswith("_sw")]].tolist() == [0, 0, 0, 0, 0]
    assert row["alignment_score"] == -12


@pytest.mark.parametrize("method", ["trace", "statistics"])
@pytest.mark.parametrize(
    ("a", "b", "identity"), [("MUK", "MUK", 1), ("M*K", "MAK", 2 / 3), ("XX", "XX", 1), ("mkt", "MKT", 1)]
)
def test_align_pairs__odd_letters(a, b, identity, method):
    assert align_pairs([(a, b)], method=method)["identity"][0] == pytest.approx(identity)


@pytest.mark.parametrize("method", ["trace", "statistics"])
def test_align_pairs__score_beyond_16_bits(method):
    giant = "W" * 4000
    row = align_pairs([(giant, giant)], method=method).iloc[0]
    assert row["alignment_score"] == row["alignment_score_sw"] == 44_000
    assert row["identity"] == row["identity_sw"] == 1
    assert row["alignment_length"] == row["alignment_length_sw"] == 4000


def test_align_pairs__giant_is_not_traced(monkeypatch):
    from fantasia_dask.annotate import alignment

    traced = []
    plain = alignment._traced
    monkeypatch.setattr(alignment, "_traced", lambda kind, a, b: traced.append((a, b)) or plain(kind, a, b))
    pairs = [("MKTAYIAK" * 4, "MKTAYIAK" * 4), ("MKT", "MKT")]
    frame = align_pairs(pairs, max_cells=100)
    assert set(traced) == {("MKT", "MKT")}
    assert frame["alignment_method"].tolist() == ["statistics", "trace"]
    assert frame["identity"].tolist() == [1, 1]
    assert frame["gaps_percentage_sw"].tolist() == [0, 0]


def test_align_pairs__order_duplicates_and_threads():
    rng = np.random.default_rng(3)
    words = ["".join(rng.choice(list(LETTERS), n)) for n in rng.integers(1, 90, 30)]
    pairs = [(words[i], words[j]) for i, j in rng.integers(0, 30, (300, 2))]
    once = pd.concat([align_pairs([pair], threads=1) for pair in pairs], ignore_index=True)
    for threads in (1, 3):
        pd.testing.assert_frame_equal(align_pairs(pairs, threads=threads), once)


def test_align_pairs__none():
    frame = align_pairs([])
    assert frame.shape == (0, 11)
    assert (frame.dtypes[list(COLUMNS)] == "float64").all()


def test_align_pairs__unknown_method():
    with pytest.raises(ValueError, match="trace"):
        align_pairs([], method="blast")


@pytest.mark.shared
def test_align_pairs__golden(golden):
    files = sorted(golden.glob("outputs/*/raw_results/*/*/*.csv"))
    raw = pd.concat([pd.read_csv(path, keep_default_na=False) for path in files], ignore_index=True)
    ours = align_pairs(list(zip(raw["sequence_query"], raw["sequence_reference"], strict=True)))
    for name in COLUMNS:
        assert [f"{value:.4f}" for value in ours[name]] == [f"{value:.4f}" for value in raw[name]]
