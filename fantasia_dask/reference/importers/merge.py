"""Two references of one kind of vectors, made one."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import FantasiaWarning, InputError
from ...progress import Progress
from ...schema import ANNOTATIONS, PROTEINS, RELATIONS, TERMS, Space, names
from ..build import ReferenceTables, current_annotations, typed
from ..bundle import MANIFEST, Reference, open_reference, write_reference
from ..making import making
from ..obo import read_obo
from ..vectors import NOWHERE, gather_rows
from .tables import tally

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["merge_references"]


def merge_references(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    ontology: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Reference:
    """Make one reference of two.

    The rows of `first` keep their numbers; proteins of one sequence share a row, with the vector of `first`. A protein
    that both have is there once, with the annotations of both.

    Parameters
    ----------
    first, second
        Bundles with the same models, layers, pooling profile and checkpoints.
    out
        The folder to make.
    ontology : path, optional
        OBO to which the GO ids of both are brought; needed when the two were made with different GO releases.
    overwrite : bool
        Replace a reference that is there.
    progress : Progress, optional

    Raises
    ------
    InputError
        If the two cannot be compared, or a protein of both has another sequence or taxon in each.

    Warns
    -----
    FantasiaWarning
        If annotations have no term in `ontology`, or one of the two brings lineages and taxa of the other have none.
    """
    a, b = open_reference(first), open_reference(second)
    _check_spaces(a, b)
    _check_releases(a, b, ontology)
    progress = progress or Progress()
    with making(Path(out), overwrite, progress) as scratch:
        proteins, row_of_b, number_of_b = _merge_proteins(a, b)
        r = int(proteins["row"].max()) + 1
        tables = _merge_tables(a, b, proteins, number_of_b, ontology)
        in_a = np.where(np.arange(r) < a.rows, np.arange(r), NOWHERE)
        in_b = np.full(r, NOWHERE, "int64")
        in_b[row_of_b] = np.arange(b.rows)
        with progress.stage("merging vectors", r * len(a.spaces), "vectors") as advance:
            store = gather_rows(tables, [a.store, b.store], [in_a, in_b], scratch / "embeddings.zarr", advance)
        return write_reference(out, tables=tables, embeddings=store.path, overwrite=overwrite, move=True)


def _kind(space: Space) -> tuple[object, ...]:
    """Return all that must agree for two vectors to be comparable."""
    return space.model, space.layer, space.dimension, space.profile, space.checkpoint, space.revision


def _check_spaces(a: Reference, b: Reference) -> None:
    differing = sorted({_kind(space) for space in a.spaces} ^ {_kind(space) for space in b.spaces}, key=str)
    if differing:
        model, layer, d, profile, checkpoint, revision = differing[0]
        made_by = f", {checkpoint} {revision}".rstrip() if checkpoint else ""
        raise InputError(
            f"{a.path} and {b.path} do not hold the same embeddings: only one has {model} layer {layer} (d = {d}, "
            f"profile {profile}{made_by}); expected the same models, layers, profiles and checkpoints."
        )


def _check_releases(a: Reference, b: Reference, ontology: object) -> None:
    releases = a.manifest.get("go_release") or "", b.manifest.get("go_release") or ""
    if ontology is None and releases[0] != releases[1]:
        named = " and ".join(release or "no release" for release in releases)
        raise InputError(
            f"{a.path} and {b.path} were made with different GO releases ({named}): give one to bring both to, with "
            "--ontology."
        )


def _merge_proteins(a: Reference, b: Reference) -> tuple[pd.DataFrame, np.ndarray, pd.Series]:
    """Put the proteins of `b` after those of `a`.

    Returns
    -------
    proteins : DataFrame
        Columns of `schema.PROTEINS`.
    row_of_b : int64 array, shape (r of b,)
        The row of each row of `b`.
    number_of_b : Series
        The number of each protein of `b`, by its old one.
    """
    import pandas as pd

    _check_alike(a, b)
    row_of_a = dict(zip(a.proteins["accession"], a.proteins["row"].tolist(), strict=True))
    row_of = {s: row for s, row in zip(a.proteins["sequence"], a.proteins["row"], strict=True) if s}
    row_of_b = np.full(b.rows, NOWHERE, "int64")
    following = a.rows
    for accession, sequence, old in b.proteins[["accession", "sequence", "row"]].itertuples(index=False):
        if row_of_b[old] == NOWHERE:
            row_of_b[old] = row_of_a.get(accession, row_of.get(sequence, following))
            following += int(row_of_b[old] == following)
    added = b.proteins[~b.proteins["accession"].isin(row_of_a)]
    added = added.assign(row=row_of_b[added["row"]], protein=np.arange(len(a.proteins), len(a.proteins) + len(added)))
    number_of = dict(zip(a.proteins["accession"], a.proteins["protein"].tolist(), strict=True))
    number_of |= dict(zip(added["accession"], added["protein"].tolist(), strict=True))
    number_of_b = b.proteins.set_index("protein")["accession"].map(number_of)
    return typed(pd.concat([a.proteins, added[names(PROTEINS)]]), PROTEINS), row_of_b, number_of_b


def _check_alike(a: Reference, b: Reference) -> None:
    """Refuse proteins of both that are not the same protein."""
    columns = ["accession", "sequence", "taxon"]
    both = a.proteins[columns].merge(b.proteins[columns], on="accession", suffixes=("", "_of_b"))
    for what in ("sequence", "taxon"):
        differing = both.loc[both[what] != both[f"{what}_of_b"], "accession"]
        if len(differing):
            raise InputError(
                f"{len(differing)} of the {len(both)} proteins that are in {a.path} and in {b.path} have another "
                f"{what} there, {differing.iloc[0]!r} for instance: keep them in one of the two alone (fantasia-dask "
                "reference subset --accessions keeps those of a list)."
            )


def _merge_taxonomies(a: Reference, b: Reference) -> pd.DataFrame | None:
    """Put the lineages of two references together; where they differ, those of the first hold."""
    import pandas as pd

    tables = [reference.taxonomy_table for reference in (a, b)]
    held = [table for table in tables if table is not None]
    return pd.concat(held).drop_duplicates("taxon").sort_values("taxon") if held else None


def _merge_subsets(a: Reference, b: Reference) -> pd.DataFrame | None:
    """Put the subsets of two references of one GO release together."""
    import pandas as pd

    held = [reference.subsets for reference in (a, b) if reference.subsets is not None]
    return pd.concat(held).drop_duplicates().sort_values(["subset", "go_id"]) if held else None


def _merge_tables(
    a: Reference, b: Reference, proteins: pd.DataFrame, number_of_b: pd.Series, ontology: str | os.PathLike[str] | None
) -> ReferenceTables:
    import pandas as pd

    added = b.annotations.assign(protein=b.annotations["protein"].map(number_of_b))
    annotations = pd.concat([a.annotations, added]).drop_duplicates().sort_values("protein", kind="stable")
    sources = [a.path / MANIFEST, b.path / MANIFEST]
    merged = ReferenceTables(
        proteins,
        typed(annotations, ANNOTATIONS),
        typed(pd.concat([a.terms, b.terms]).drop_duplicates("go_id").sort_values("go_id"), TERMS),
        typed(pd.concat([a.relations, b.relations]).drop_duplicates(), RELATIONS),
        {"merged": [a.path.name, b.path.name], "proteins_of_both": len(a.proteins) + len(b.proteins) - len(proteins)},
        a.manifest.get("go_release") or "",
        tuple(dict.fromkeys([*a.manifest.get("evidence", []), *b.manifest.get("evidence", [])])),
        tuple(sources),
        _merge_taxonomies(a, b),
        _merge_subsets(a, b),
    )
    if ontology is not None:
        graph = read_obo(ontology)
        annotations, counts = current_annotations(merged.annotations, graph)
        dropped = len(merged.annotations) - len(annotations)
        if annotations.empty:
            raise InputError(
                f"no annotation of {a.path} and {b.path} has a term in {ontology}: give the GO graph that they were "
                "made with, or a newer one."
            )
        if dropped:
            warnings.warn(
                f"{dropped} of {len(merged.annotations)} annotations have no current term in {ontology}: left out.",
                FantasiaWarning,
                stacklevel=2,
            )
        merged = replace(
            merged,
            annotations=typed(annotations.drop_duplicates(), ANNOTATIONS),
            terms=graph.terms,
            relations=graph.relations,
            subsets=graph.subsets,
            counts={**merged.counts, **counts},
            go_release=graph.release,
            sources=(*merged.sources, Path(ontology)),
        )
    return tally(_placed(merged))


def _placed(merged: ReferenceTables) -> ReferenceTables:
    """Count the taxa that have no lineage, where others have one, and tell of them."""
    if merged.taxonomy is None:
        return merged
    taxa = set(merged.proteins["taxon"].tolist()) - {0} - set(merged.taxonomy["taxon"].tolist())
    if taxa:
        warnings.warn(
            f"{len(taxa)} taxa have no lineage in either reference, {min(taxa)} for instance: their proteins pass no "
            "filter by clade unless a run has a taxonomy_dump.",
            FantasiaWarning,
            stacklevel=2,
        )
    return replace(merged, counts={**merged.counts, "taxa_without_lineage": len(taxa)})
