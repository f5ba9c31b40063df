"""Does this installation compute what it should: the bundled sample against stored answers.

The lookup of stored vectors has one right answer on every machine: the same donors, and distances that differ by the
rounding of float64 at the most. Vectors computed here differ in their last bits from one processor to the next, and so
do the distances between them; the donors and terms of the sample are far enough apart to stay the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeAlias

from ..config import make_config
from ..errors import InputError
from ..progress import Progress
from ..run_folder import RunFolder
from ..scratch import scratch

__all__ = ["ANSWERS", "answers", "check_sample"]

SAMPLE = Path(__file__).parents[1] / "sample"
ANSWERS = SAMPLE / "answers.json"
MODEL, LAYERS, K = "Tiny-ESM2", (0, 1), 3
TOLERANCES = {"stored vectors": 1e-12, "computed vectors": 1e-4}
"""How far a distance may be from the stored one; the second allows for the float32 arithmetic of other processors."""

Answers: TypeAlias = dict[str, Any]


def check_sample() -> str:
    """Annotate the bundled sample and compare what comes out with the stored answers.

    Returns
    -------
    str
        What was compared, for the terminal.

    Raises
    ------
    InputError
        Naming the first difference.
    """
    stored = json.loads(ANSWERS.read_text(encoding="utf-8"))
    lines = []
    for kind, found in answers().items():
        _compare_hits(kind, found["hits"], stored[kind]["hits"])
        for accession, terms in stored[kind]["terms"].items():
            if found["terms"].get(accession, []) != terms:
                raise _differs(kind, accession, f"terms {found['terms'].get(accession)}", str(terms))
        count = sum(map(len, found["hits"].values()))
        lines.append(f"{kind}: {count} hits and the terms of {len(found['terms'])} proteins are as stored")
    return "\n".join(lines)


def answers() -> Answers:
    """Compute what `check_sample` compares: hits and terms of stored vectors, and of vectors computed here."""
    with scratch("selftest") as folder:
        return {
            "stored vectors": _run(folder / "stored", SAMPLE / "reference" / "embeddings.zarr", only_lookup=True),
            "computed vectors": _run(folder / "computed", SAMPLE / "queries.fasta"),
        }


def _run(base: Path, source: Path, **more: Any) -> Answers:
    from . import run

    model = {"family": "esm2", "checkpoint": str(SAMPLE / "tiny-esm2"), "layer_index": LAYERS}
    config = make_config(
        {
            "input": str(source),
            "reference": str(SAMPLE / "reference"),
            "base_directory": str(base),
            "limit_per_entry": K,
            "topgo": False,
            "cluster": {"kind": "local"},
            "embedding": {"device": "cpu", "models": {MODEL: model}},
            **more,
        }
    )
    run(config, progress=Progress(quiet=True))
    return _found(RunFolder(config.run_folder))


def _found(folder: RunFolder) -> Answers:
    """Read what a run found: donors and distances per query and layer, terms per query."""
    import pandas as pd

    rows = pd.read_parquet(folder.annotations)
    hits: dict[str, list[list[Any]]] = {}
    nearest = rows.drop_duplicates(["accession", "layer_index", "protein_id"]).sort_values(
        ["accession", "layer_index", "distance", "ref_idx"], kind="stable"
    )
    columns = [nearest[name].tolist() for name in ("accession", "layer_index", "protein_id", "distance")]
    for accession, layer, donor, distance in zip(*columns, strict=True):
        hits.setdefault(f"{accession} layer {layer}", []).append([donor, distance])
    terms = {str(name): sorted(set(go)) for name, go in rows.groupby("accession")["go_id"]}
    return {"hits": hits, "terms": terms}


def _compare_hits(kind: str, found: dict[str, Any], stored: dict[str, Any]) -> None:
    for query, expected in stored.items():
        there = found.get(query, [])
        same = [donor for donor, _ in there] == [donor for donor, _ in expected]
        if not same or any(abs(a - b) > TOLERANCES[kind] for (_, a), (_, b) in zip(there, expected, strict=True)):
            raise _differs(kind, query, f"donors {there}", str(expected))


def _differs(kind: str, name: str, found: str, expected: str) -> InputError:
    return InputError(
        f"the bundled sample, {kind}, {name}: {found} where {expected} is expected. This installation computes "
        "something else: make a new environment (docs/reliability.md), and report it if it stays so."
    )
