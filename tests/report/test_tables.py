from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fantasia_dask.errors import InputError
from fantasia_dask.report.delimited import escaped, restored
from fantasia_dask.report.tables import spaces_of, summarise, summary_columns, summary_files

HOSTILE = [
    "NA",
    "00123",
    "1e5",
    "a,b",
    'say "hi"',
    "tab\there",
    "line\nend",
    "cr\rhere",
    "nan",
    "",
    " pad ",
    "'x",
    "=1+1",
    "é",
]


def read(path):
    return pd.read_csv(path, dtype=str, keep_default_na=False, sep="\t" if path.suffix == ".tsv" else ",")


def write_summary(blocks, *paths):
    with summary_files(*paths) as add:
        for block in [blocks] if isinstance(blocks, pd.DataFrame) else blocks:
            add(block)


@pytest.mark.shared
@pytest.mark.parametrize("case", ["cosine_k5", "euclidean_k5", "threshold", "tax_exclude"])
def test_summarise__golden(golden, golden_rows, case, tmp_path):
    rows, asked = golden_rows(case)
    path = tmp_path / "summary.csv"
    write_summary(summarise(rows, k=5, **asked), path)
    ours, theirs = read(path), read(golden / "outputs" / case / "summary.csv")
    assert list(ours.columns) == list(theirs.columns)
    for name in ours:
        if name in ("accession", "go_id", "term_count", "proteins"):
            assert ours[name].tolist() == theirs[name].tolist()
        else:
            # FANTASIA prints float32 means.
            np.testing.assert_allclose(ours[name].astype(float), theirs[name].astype(float), atol=2e-7)
            np.testing.assert_array_equal(ours[name].astype(float).round(4), theirs[name].astype(float).round(4))


@pytest.mark.shared
def test_summarise__golden_models_together_as_each_alone(golden_rows):
    rows, asked = golden_rows("multi")
    together = summarise(rows, k=5, **asked).set_index(["accession", "go_id"])
    assert together.index.is_unique
    assert together["term_count"].sum() == len(rows)
    for model, layer in [("ESM", 0), ("Prot-T5", 0), ("Prot-T5", 1)]:
        own = rows[(rows["model_name"] == model) & (rows["layer_index"] == layer)]
        alone = summarise(own, k=5, **asked).set_index(["accession", "go_id"]).filter(like=f"_{model}_L{layer}")
        columns = [f"{name}_{model}_L{layer}" for name in summary_columns(**asked)]
        assert list(alone.columns) == columns
        pd.testing.assert_frame_equal(together.loc[alone.index, columns], alone)
        assert together.drop(alone.index)[columns].isna().all(axis=None)


def test_summarise__models(make_rows, summary_settings):
    rows = make_rows(
        [
            ("q2", "A", 0, "GO:2", "P1", 0.9, 0.5),
            ("q2", "A", 0, "GO:2", "P2", 0.7, 0.3),
            ("q2", "B", 1, "GO:2", "P2", 0.8, 0.3),
            ("q2", "B", 1, "GO:1", "P3", 0.6, 0.1),
            ("q1", "B", 1, "GO:3", "P1", 0.5, 0.2),
        ]
    )
    summary = summarise(rows, k=2, **summary_settings, accessions=["q1", "q2", "q3"])
    assert summary[["accession", "go_id"]].to_numpy().tolist() == [["q1", "GO:3"], ["q2", "GO:1"], ["q2", "GO:2"]]
    assert summary["term_count"].tolist() == [1, 1, 3]
    assert summary["proteins"].tolist() == ["P1", "P3", "P1|P2"]
    assert summary["max_ri_A_L0"].fillna(-1).tolist() == [-1, -1, 0.9]
    assert summary["final_score_A_L0"].fillna(-1).tolist() == [-1, -1, 0.76]
    assert summary["max_ri_B_L1"].tolist() == [0.5, 0.6, 0.8]
    assert summary["count_A_L0"].fillna(-1).tolist() == [-1, -1, 1]
    assert summary["mean_id_g_A_L0"].fillna(-1).tolist() == [-1, -1, 0.4]


def test_summarise__empty_block_has_the_same_columns(make_rows, summary_settings):
    spaces = [("A", 0), ("B", 1)]
    full = summarise(make_rows([("q", "B", 1, "GO:1", "P", 0.5, 0.5)]), k=1, spaces=spaces, **summary_settings)
    empty = summarise(make_rows([]), k=1, spaces=spaces, **summary_settings)
    assert list(full.columns) == list(empty.columns)
    assert len(empty) == 0
    assert full["max_ri_A_L0"].isna().all()


def test_summarise__without_alignments(make_rows, summary_settings):
    rows = make_rows([("q", "A", 0, "GO:1", "P", 0.5, np.nan)])
    line = summarise(rows, k=1, **summary_settings).iloc[0]
    assert np.isnan(line["max_id_g_A_L0"])
    assert np.isnan(line["w_max_id_g_A_L0"])
    assert line["final_score_A_L0"] == pytest.approx(0.4 * 0.5 + 0.2)


def test_summarise__counts_off(make_rows, summary_settings):
    rows = make_rows([("q", "A", 0, "GO:1", "P", 0.5, 0.5)] * 3)
    raw = summarise(rows, k=5, **summary_settings, normalize_count=False)
    assert raw["count_A_L0"].tolist() == [3]
    summary_settings["weights"] = {}
    plain = summarise(rows, k=5, **summary_settings, include_counts=False, export_raw_count=False)
    assert list(plain.columns) == ["accession", "go_id"] + [
        f"{name}_A_L0" for name in ("max_ri", "min_id_g", "max_id_g", "mean_id_g", "min_id_l", "max_id_l", "mean_id_l")
    ] + ["proteins"]


def test_summarise__weights_are_shares_of_their_sum(make_rows, summary_settings):
    rows = make_rows([("q", "A", 0, "GO:1", "P", 0.5, 0.25)])
    summary_settings["weights"] = {"identity": {"max": 3}, "reliability_index": {"max": 1}}
    line = summarise(rows, k=1, **summary_settings).iloc[0]
    assert line["w_max_ri_A_L0"] == 0.125
    assert line["w_max_id_g_A_L0"] == 0.1875
    assert line["final_score_A_L0"] == 0.3125


@pytest.mark.parametrize(
    "change",
    [
        {"metrics": {"identitty": ["max"]}},
        {"metrics": {"go_id": ["max"]}},
        {"metrics": {"identity": ["mode"]}},
        {"weights": {"max_foo": 1}},
        {"weights": {"identity": {"median": 1}}},
    ],
)
def test_summarise__unknown_names(make_rows, summary_settings, change):
    with pytest.raises(InputError):
        summarise(make_rows([]), k=1, **{**summary_settings, **change})


lines = st.lists(
    st.tuples(
        st.sampled_from(HOSTILE),
        st.sampled_from(["A", "B"]),
        st.integers(0, 1),
        st.sampled_from(["GO:1", "GO:2"]),
        st.sampled_from(["P1", "P2", "P3"]),
        st.floats(-1, 1),
        st.floats(0, 1) | st.just(np.nan),
    ),
    max_size=30,
)


@given(lines)
@settings(max_examples=50, deadline=None)
def test_summarise__naive(drawn):
    given_names = ["accession", "model_name", "layer_index", "go_id", "protein_id", "reliability_index", "identity"]
    rows = pd.DataFrame(drawn, columns=given_names).astype(
        {"layer_index": "int64", "reliability_index": "float64", "identity": "float64"}
    )
    summary = summarise(rows, k=3, metrics={"reliability_index": ["max"], "identity": ["mean"]})
    assert len(summary) == len({(line[0], line[3]) for line in drawn})
    for line in summary.to_dict("records"):
        mine = [other for other in drawn if (other[0], other[3]) == (line["accession"], line["go_id"])]
        assert line["term_count"] == len(mine)
        assert line["proteins"] == "|".join(dict.fromkeys(other[4] for other in mine))
        for model, layer in spaces_of(rows):
            here = [other for other in mine if other[1:3] == (model, layer)]
            if not here:
                assert np.isnan(line[f"max_reliability_index_{model}_L{layer}"])
                continue
            assert line[f"max_reliability_index_{model}_L{layer}"] == max(round(other[5], 4) for other in here)
            assert line[f"count_{model}_L{layer}"] == round(len(here) / 3, 7)
            identities = [round(other[6], 4) for other in here if other[6] == other[6]]
            mean = np.mean(identities) if identities else np.nan
            assert line[f"mean_identity_{model}_L{layer}"] == pytest.approx(mean, abs=1e-6, nan_ok=True)


def test_write_summary__hostile_ids_come_back(make_rows, summary_settings, tmp_path):
    rows = make_rows([(word, "A", 0, "GO:1", word, 0.5, 0.5) for word in HOSTILE])
    paths = [tmp_path / "summary.csv", tmp_path / "summary.tsv"]
    write_summary(summarise(rows, k=1, **summary_settings), *paths)
    for name, exact in {"accession": HOSTILE, "proteins": [escaped(word, "|") for word in HOSTILE]}.items():
        assert read(paths[1])[name].tolist() == exact
        in_spreadsheets = read(paths[0])[name]
        assert [restored(word) for word in in_spreadsheets] == exact
        assert not in_spreadsheets.str.match(r"[=+@\t\r-]").any()


def test_write_summary__blocks_equal_the_whole(make_rows, summary_settings, tmp_path):
    drawn = [(f"q{i // 3}", "AB"[i % 2], 0, f"GO:{i % 5}", f"P{i}", i / 40, i / 50) for i in range(30)]
    spaces = [("A", 0), ("B", 0), ("C", 3)]
    whole = summarise(make_rows(drawn), k=3, spaces=spaces, **summary_settings)
    parts = (summarise(make_rows(drawn[i : i + 9]), k=3, spaces=spaces, **summary_settings) for i in range(0, 36, 9))
    write_summary(whole, tmp_path / "whole.csv")
    write_summary(parts, tmp_path / "parts.csv")
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "parts.csv").read_bytes()


def test_write_summary__other_columns_leave_nothing_behind(make_rows, summary_settings, tmp_path):
    rows = make_rows([("q", "A", 0, "GO:1", "P", 0.5, 0.5)])
    one = summarise(rows, k=1, **summary_settings)
    with pytest.raises(ValueError, match="columns"):
        write_summary([one, one.iloc[:, 1:]], tmp_path / "summary.csv")
    assert list(tmp_path.iterdir()) == []
