"""Queries and donors that are too much alike to be paired: the redundancy filter of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..progress import Progress
from .job import Job, warn

if TYPE_CHECKING:
    from ..store import EmbeddingStore

__all__ = ["Separation", "separate"]


@dataclass(frozen=True)
class Separation:
    """What keeps copies of a query from answering it.

    Attributes
    ----------
    labels : pair of int64 arrays, shapes (q,) and (r,), or None
        Clusters: a query and a donor of one cluster are never paired.
    is_close : callable or None
        Tells of pairs of rows, shape (p,) each, whether they are at or above the identity.
    """

    labels: tuple[np.ndarray, np.ndarray] | None = None
    is_close: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None


def separate(job: Job, store: EmbeddingStore, progress: Progress) -> Separation:
    """Prepare the redundancy filter that the configuration asks for.

    Raises
    ------
    InputError
        If a query has a vector but no sequence, or MMseqs2 is not there or fails.
    """
    config, reference = job.config, job.reference
    if not config.redundancy_filter or reference is None:
        return Separation()
    from ..annotate.alignment import align_pairs
    from ..reference.closeness import CloseTest
    from ..reference.redundancy import close_pairs, cluster_labels

    queries, donors = store.sequences, reference.store.sequences
    unknown = np.flatnonzero(queries == "")
    if len(unknown):
        spaces = [space for space in store.spaces if store.present(space.model, space.layer)[unknown].any()]
        if spaces:
            raise InputError(
                f"query {store.ids[unknown[0]]!r} has a vector but no sequence, which redundancy_filter compares: give "
                "FASTA, embeddings with their sequences, or their FASTA as sequences."
            )
    if lacking := int((donors == "").sum()):
        outcome = (
            "nothing shows that they are no copies, so they do not answer"
            if config.redundancy_mode == "identity"
            else "they are in no cluster, so they answer, copies among them too"
        )
        warn(f"{lacking} of {len(donors)} reference rows have no sequence for redundancy_filter to compare: {outcome}.")
    identity, coverage = config.redundancy_filter, config.alignment_coverage
    how: dict[str, Any] = {"threads": config.threads, "cache": config.base_directory / "cache" / "redundancy"}
    with progress.stage("redundancy", len(queries) + len(donors), "sequences") as advance:
        if config.redundancy_mode == "clusters":
            separation = Separation(labels=cluster_labels(queries, donors, identity=identity, coverage=coverage, **how))
        else:
            known = close_pairs(queries, donors, identity=identity, coverage=coverage, **how)
            test = CloseTest(queries, donors, identity=identity, coverage=coverage, align=align_pairs, known=known)
            separation = Separation(is_close=test)
        advance(len(queries) + len(donors))
    return separation
