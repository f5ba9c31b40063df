"""CAFA's predictions, judged by cafaeval itself."""

from __future__ import annotations

import json
import subprocess
import sys

import pandas as pd
import pytest

from fantasia_dask.report.predictions import MOST_TERMS, cafa_file

OBO = """format-version: 1.2

[Term]
id: GO:0008150
name: root
namespace: biological_process

[Term]
id: GO:0000001
name: one
namespace: biological_process
is_a: GO:0008150 ! root

[Term]
id: GO:0000002
name: two
namespace: biological_process
is_a: GO:0000001 ! one

[Term]
id: GO:0000003
name: three
namespace: biological_process
is_a: GO:0000001 ! one
"""

JUDGE = """
import json, sys
from cafaeval.evaluation import cafa_eval
table, best = cafa_eval(*sys.argv[1:4])
print(json.dumps({tau: [pr, rc] for tau, pr, rc in zip(
    table.index.get_level_values("tau").round(2).tolist(), table["pr"].tolist(), table["rc"].tolist())}))
"""


def test_cafa_file__judged_by_cafaeval(tmp_path):
    pytest.importorskip("cafaeval", reason="cafaeval is not installed")
    (tmp_path / "go.obo").write_text(OBO)
    (tmp_path / "truth.tsv").write_text("A/B\tGO:0000002\n00123\tGO:0000003\n")
    scores = pd.DataFrame(
        [
            *(("A/B", "GO:0000001", 1.0), ("A/B", "GO:0000002", 0.75), ("A/B", "GO:0008150", 1.0)),
            *(("00123", "GO:0000001", 0.5), ("00123", "GO:0000002", 0.25), ("00123", "GO:0000003", 0.0001)),
        ],
        columns=["accession", "go_id", "score"],
    )
    (tmp_path / "predictions").mkdir()
    with cafa_file(tmp_path / "predictions" / "cafa.tsv") as add:
        add(scores[:3])
        add(scores[3:])
    arguments = [str(tmp_path / name) for name in ("go.obo", "predictions", "truth.tsv")]
    command = [sys.executable, "-W", "ignore", "-c", JUDGE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    curve = {float(tau): pair for tau, pair in json.loads(done.stdout.splitlines()[-1]).items()}
    # Two targets with three terms each, the root among them: at 0.6 one is wholly right and the other has nothing; at
    # 0.4 that one has two of its three, and at 0.2 a wrong one too.
    assert curve[0.6] == pytest.approx([1, 1 / 2])
    assert curve[0.4] == pytest.approx([1, (1 + 2 / 3) / 2])
    assert curve[0.2] == pytest.approx([(1 + 2 / 3) / 2, (1 + 2 / 3) / 2])


def test_cafa_file__limits(tmp_path):
    many = pd.DataFrame({"accession": "a b", "go_id": [f"GO:{i:07d}" for i in range(2000)], "score": 0.5})
    many.loc[1999, "score"] = 0.9
    with cafa_file(tmp_path / "cafa.tsv") as add:
        add(many)
        add(pd.DataFrame({"accession": ["c"], "go_id": ["GO:0000001"], "score": [0.0007]}))
    lines = [line.split("\t") for line in (tmp_path / "cafa.tsv").read_text().splitlines()]
    assert len(lines) == MOST_TERMS + 1
    assert ["a%20b", "GO:0001999", "0.900"] in lines
    assert lines[-1] == ["c", "GO:0000001", "0.001"]
