"""A part of a reference: by taxon, evidence, date or accession."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Collection, Container
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import FantasiaWarning, InputError
from ...progress import Progress
from ...schema import ANNOTATIONS, PROTEINS
from ...sequences import open_text
from ...values import a_day
from ..build import ReferenceTables, check_evidence, typed
from ..bundle import MANIFEST, Reference, open_reference, write_reference
from ..dates import dated_before, days
from ..making import making
from ..taxonomy import Taxa, protein_mask
from ..vectors import gather_rows
from .tables import tally

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["subset_reference"]

COLUMNS = re.compile(r"[\s,;]")


def subset_reference(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    taxa: Taxa = (),
    taxonomy_dump: str | os.PathLike[str] | None = None,
    evidence: Collection[str] | None = None,
    before: str | None = None,
    accessions: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Reference:
    """Make a reference of some proteins and annotations of another.

    A protein stays although no annotation of it does: whether such a one may answer is a setting of the run.

    Parameters
    ----------
    source
        A bundle.
    out
        The folder to make.
    taxa
        NCBI numbers or names to keep; with their descendants when the reference carries lineages or a dump is given,
        else exactly these.
    taxonomy_dump : path, optional
        Folder of an NCBI dump, where the reference carries no lineages, or older ones.
    evidence : collection of str, optional
        Evidence codes to keep; annotations without a code are kept.
    before : str, optional
        Keep annotations of an earlier date, ``YYYY-MM-DD`` or ``YYYYMMDD``; those without a date are dropped.
    accessions : path, optional
        A text file with one accession per line: the proteins to keep.
    overwrite : bool
        Replace a reference that is there.
    progress : Progress, optional

    Raises
    ------
    InputError
        If nothing is chosen or left, or a choice cannot be understood.
    """
    taxa = list(taxa)
    if not taxa and evidence is None and before is None and accessions is None:
        raise InputError(
            f"nothing is chosen of {source}: expected --taxon, --evidence, --before or --accessions. A whole "
            "reference is copied as any folder is."
        )
    reference = open_reference(source)
    progress = progress or Progress()
    with making(Path(out), overwrite, progress) as scratch:
        kept = _chosen_proteins(reference, taxa, taxonomy_dump, accessions)
        lines, counts = _chosen_annotations(reference, evidence, before)
        proteins, old_rows = _renumbered(reference.proteins[kept])
        tables = _tables(reference, proteins, lines, counts)
        with progress.stage("copying vectors", len(old_rows) * len(reference.spaces), "vectors") as advance:
            store = gather_rows(tables, [reference.store], [old_rows], scratch / "embeddings.zarr", advance)
        return write_reference(out, tables=tables, embeddings=store.path, overwrite=overwrite, move=True)


def _chosen_proteins(
    reference: Reference,
    taxa: list[int | str],
    dump: str | os.PathLike[str] | None,
    accessions: str | os.PathLike[str] | None,
) -> np.ndarray:
    """Tell which proteins stay: shape (proteins,), bool."""
    proteins = reference.proteins
    descendants = True if dump is not None else None
    kept = protein_mask(proteins, include=taxa, descendants=descendants, dump=dump, taxonomy=reference.taxonomy)
    if accessions is not None:
        wanted = _read_accessions(Path(accessions), set(proteins["accession"]))
        found = proteins["accession"].isin(wanted)
        if not found.any():
            raise InputError(
                f"no protein of {reference.path} is in {accessions}: it lists {wanted[0]!r} and others, the reference "
                f"has {proteins['accession'].iloc[0]!r} and others."
            )
        if missing := len(wanted) - int(found.sum()):
            warnings.warn(
                f"{missing} of the {len(wanted)} proteins in {accessions} are not in {reference.path}.",
                FantasiaWarning,
                stacklevel=2,
            )
        kept = kept & found.to_numpy()
    if not kept.any():
        raise InputError(f"no protein of {reference.path} is left: choose other taxa or accessions.")
    return kept


def _read_accessions(path: Path, known: Container[str]) -> list[str]:
    wanted: dict[str, None] = {}
    with open_text(path) as text:
        for number, line in enumerate(text, 1):
            accession = line.strip()
            if accession not in known and COLUMNS.search(accession):
                raise InputError(
                    f"line {number} of {path} has more than an accession ({accession[:60]!r}): expected one per line, "
                    "and nothing else."
                )
            if accession:
                wanted[accession] = None
    if not wanted:
        raise InputError(f"{path} lists no accession: expected one per line.")
    return list(wanted)


def _chosen_annotations(
    reference: Reference, evidence: Collection[str] | None, before: str | None
) -> tuple[pd.DataFrame, dict[str, int]]:
    lines, counts = reference.annotations, {}
    early = None if before is None else dated_before(lines, _day(before))
    if evidence is not None:
        right = lines["evidence"].isin((*check_evidence(evidence), ""))
        counts["annotations_other_evidence"] = int((~right).sum())
        lines = lines[right]
    if early is not None:
        early = early[lines.index]
        counts["annotations_without_date"] = int((days(lines) == "").sum())
        counts["annotations_too_late"] = int((~early).sum()) - counts["annotations_without_date"]
        lines = lines[early]
    return lines, counts


def _day(text: str) -> str:
    try:
        return str(a_day(text))
    except ValueError as error:
        raise InputError(f"{text!r} is no date: expected YYYY-MM-DD, such as 2020-01-31.") from error


def _renumbered(proteins: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Number the rows that are left from 0; return the old number of each as well. Proteins keep their numbers."""
    old_rows, rows = np.unique(proteins["row"].to_numpy(), return_inverse=True)
    return proteins.assign(row=rows), old_rows


def _tables(
    reference: Reference, proteins: pd.DataFrame, lines: pd.DataFrame, counts: dict[str, int]
) -> ReferenceTables:
    number = {old: new for new, old in enumerate(proteins["protein"])}
    lines = lines[lines["protein"].isin(number)]
    if lines.empty:
        raise InputError(f"no annotation of {reference.path} is left: choose other taxa, evidence codes or dates.")
    noted: dict[str, Any] = {"subset_of": reference.path.name, **counts}
    return tally(
        ReferenceTables(
            typed(proteins.assign(protein=range(len(proteins))), PROTEINS),
            typed(lines.assign(protein=lines["protein"].map(number)), ANNOTATIONS),
            reference.terms,
            reference.relations,
            noted,
            reference.manifest.get("go_release") or "",
            tuple(sorted({str(code) for code in lines["evidence"].unique()} - {""})),
            (reference.path / MANIFEST,),
            reference.taxonomy_table,
            reference.subsets,
        )
    )
