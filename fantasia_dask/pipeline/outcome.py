"""How a run ended: what became of every protein, the manifest, and the summary on the terminal."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Config
from ..errors import one_line
from ..report.delimited import write_frame
from ..run_folder import MANIFEST_FORMAT, RunFolder, file_sha256, software_versions, text_aside
from ..schema import OUTCOME, REASONS_APART, Space, names
from .clock import Clock
from .job import Job

if TYPE_CHECKING:
    import pandas as pd

    from ..store import EmbeddingStore

__all__ = ["RunSummary", "describe_run", "outcome_of", "summarise_run"]


LONGEST_NAME = 80
SHOWN = 15
"""Proteins whose nearest donor is shown on the terminal."""


@dataclass(frozen=True)
class RunSummary:
    """What a run did: how many proteins were annotated, with what, and where the files are.

    Attributes
    ----------
    folder : Path
        The run folder.
    proteins, embedded, annotated : int
        Proteins read, with a vector in at least one space, with at least one GO term.
    terms : int
        Distinct GO terms over all proteins, counted once per protein.
    spaces : tuple of str
        The embedding spaces that were looked up, or only embedded.
    looked_up : bool
        False after `only_embedding`.
    failures : tuple of (str, str)
        Proteins without any vector, and why.
    seconds : float
        Wall time.
    files : tuple of Path
        What a person opens first.
    nearest : tuple of (str, str, str, float)
        Of the first few proteins: accession, then accession and gene, organism and distance of the nearest donor, in
        the first embedding space.
    """

    folder: Path
    proteins: int
    embedded: int
    annotated: int
    terms: int
    spaces: tuple[str, ...]
    looked_up: bool
    failures: tuple[tuple[str, str], ...]
    seconds: float = 0.0
    files: tuple[Path, ...] = ()
    nearest: tuple[tuple[str, str, str, float], ...] = ()

    def text(self) -> str:
        """Return the summary as a few lines for a terminal."""
        lines = [f"{self.proteins} proteins, {self.embedded} with vectors"]
        if self.spaces:
            lines[0] += f" ({', '.join(self.spaces)})"
        elif self.looked_up:
            lines.append("the reference has none of the models and layers asked for: nothing could be looked up")
        if self.looked_up:
            share = 100 * self.annotated / max(self.proteins, 1)
            lines.append(f"{self.annotated} annotated ({share:.0f}%), with {self.terms} pairs of protein and GO term")
        lines += [
            f"  {query:<{width}}  {donor} ({organism}), distance {distance:.4f}"
            for width in [max((len(line[0]) for line in self.nearest), default=0)]
            for query, donor, organism, distance in self.nearest
        ]
        if self.looked_up and self.proteins > len(self.nearest) > 0:
            lines.append(f"  ... nearest donors of {len(self.nearest)} of {self.proteins} proteins in {self.spaces[0]}")
        lines += [f"without a vector: {_shown(name)} ({reason})" for name, reason in self.failures[:5]]
        if len(self.failures) > 5:
            lines.append(f"... and {len(self.failures) - 5} more: see status.tsv")
        lines.append(f"done in {self.seconds:.1f} s; results in {self.folder}")
        lines += [f"  {file.relative_to(self.folder)}" for file in self.files]
        return "\n".join(lines)


def outcome_of(job: Job, folder: RunFolder, status: pd.DataFrame, spaces: Sequence[Space]) -> pd.DataFrame:
    """Say what became of every protein, model and layer, and write status.tsv.

    Returns
    -------
    DataFrame
        Columns of `schema.OUTCOME`, lines in the order of `status`.
    """
    status = status.assign(neighbours=0, terms=0)
    for space in spaces if job.reference is not None else []:
        here = ((status["model"] == space.model) & (status["layer"] == space.layer)).to_numpy()
        neighbours, terms = _found(folder, space)
        of_space = status.loc[here, "accession"]
        status.loc[here, "neighbours"] = of_space.map(neighbours).fillna(0).astype("int64")
        status.loc[here, "terms"] = of_space.map(terms).fillna(0).astype("int64")
    if job.reference is not None:
        _explain(job.config, status, {(s.model, s.layer) for s in spaces})
    status = status[names(OUTCOME)]
    with text_aside(folder.status) as file:
        write_frame(status, file, "\t")
    return status


def _found(folder: RunFolder, space: Space) -> tuple[pd.Series, pd.Series]:
    """Count neighbours and distinct terms per accession in one space."""
    import pandas as pd

    accession = pd.read_parquet(folder.queries, columns=["row", "accession"]).set_index("row")["accession"]
    hits = folder.read_hits(space.model, space.layer, ["query"])["query"].map(accession)
    parts = sorted(folder.annotations_of(space.model, space.layer).glob("part-*.parquet"))
    counts = [
        pd.read_parquet(part, columns=["accession", "go_id"]).drop_duplicates()["accession"].value_counts()
        for part in parts
    ]
    return hits.value_counts(), pd.concat(counts) if counts else pd.Series(dtype="int64")


def _explain(config: Config, status: pd.DataFrame, spaces: set[tuple[str, int]]) -> None:
    """Say why a protein with a vector got no term, behind what there is to say of the vector."""
    silent = (status["status"] != "failed") & (status["terms"] == 0)
    for (model, layer), lines in status[silent].groupby(["model", "layer"]):
        threshold = config.embedding.models[str(model)].distance_threshold
        alone = "no donor is allowed to answer" if threshold is None else f"no donor within distance {threshold}"
        if (model, layer) not in spaces:
            alone = "the reference has no vectors of this model and layer"
        met = lines["neighbours"] > 0
        why = met.map({True: "its neighbours have no GO term", False: alone})
        status.loc[lines.index, "reason"] = why.where(lines["reason"] == "", lines["reason"] + REASONS_APART + why)


def summarise_run(job: Job, folder: RunFolder, outcome: pd.DataFrame, spaces: Sequence[Space]) -> RunSummary:
    """Count what a run did, up to the report: `seconds` and `files` are known when that is written."""
    by_protein = outcome.assign(failed=outcome["status"] == "failed").groupby("accession", sort=False)
    failed = by_protein["failed"].all()
    reasons = by_protein["reason"].first()
    annotated = by_protein["terms"].max() > 0
    return RunSummary(
        folder.path,
        len(by_protein),
        int((~failed).sum()),
        int(annotated.sum()),
        _pairs(folder, spaces) if job.reference is not None else 0,
        tuple(map(str, spaces)),
        job.reference is not None,
        tuple((str(a), str(why)) for a, why, missing in zip(failed.index, reasons, failed, strict=True) if missing),
        nearest=_nearest(folder, spaces[0]) if job.reference is not None and spaces else (),
    )


def _nearest(folder: RunFolder, space: Space) -> tuple[tuple[str, str, str, float], ...]:
    """Return the nearest donor of the first few proteins, to show that the run makes sense."""
    import pandas as pd

    first = folder.annotations_of(space.model, space.layer) / "part-00000.parquet"
    columns = ["accession", "protein_id", "gene_name", "organism", "distance"]
    best = pd.read_parquet(first, columns=columns).drop_duplicates("accession").head(SHOWN)
    return tuple(
        (_shown(accession), _shown(f"{donor} {gene}".strip()), _shown(organism), float(distance))
        for accession, donor, gene, organism, distance in best.itertuples(index=False)
    )


def _shown(name: str) -> str:
    return one_line(name, LONGEST_NAME)


def _pairs(folder: RunFolder, spaces: Sequence[Space]) -> int:
    """Count distinct pairs of protein and term over all spaces; parts of all spaces cover the same queries."""
    import pandas as pd

    parts: dict[str, list[Path]] = {}
    for space in spaces:
        for part in folder.annotations_of(space.model, space.layer).glob("part-*.parquet"):
            parts.setdefault(part.name, []).append(part)
    return sum(
        len(pd.concat([pd.read_parquet(p, columns=["accession", "go_id"]) for p in same]).drop_duplicates())
        for same in parts.values()
    )


def describe_run(
    job: Job, store: EmbeddingStore, spaces: Sequence[Space], summary: RunSummary, clock: Clock
) -> dict[str, Any]:
    """Say what was run, on what, with what, and what came out, up to the report: the content of ``manifest.json``."""
    reference = job.reference
    source = Path(job.config.input)
    return {
        "format": MANIFEST_FORMAT,
        "started": clock.started,
        "host": socket.gethostname(),
        "versions": software_versions(),
        "input": {"path": str(source), "sha256": file_sha256(source) if source.is_file() else None},
        "embeddings": str(store.path),
        "spaces": [asdict(space) for space in spaces],
        "reference": None
        if reference is None
        else {
            "path": str(reference.path),
            "manifest_sha256": file_sha256(reference.path / "manifest.json"),
            "go_release": reference.manifest.get("go_release"),
            "proteins": len(reference.proteins),
            "proteins_allowed": int(job.allowed.sum()) if job.allowed is not None else None,
        },
        "counts": {
            "proteins": summary.proteins,
            "embedded": summary.embedded,
            "annotated": summary.annotated,
            "protein_term_pairs": summary.terms,
        },
        "stages": dict(clock.stages),
    }
