"""Simulated proteins, embeddings and references: for tests, examples and a first try without any data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .schema import ANNOTATIONS, PROTEINS, RELATIONS, TERMS, Space
from .sequences import Protein
from .store import EmbeddingStore, StoreWriter

if TYPE_CHECKING:
    from .reference.bundle import Reference

__all__ = ["simulate_embeddings", "simulate_proteins", "simulate_reference", "simulate_store"]

AMINO_ACIDS = np.array(list("ACDEFGHIKLMNPQRSTVWY"))


def simulate_proteins(n: int, *, seed: int = 0, shortest: int = 30, longest: int = 400) -> list[Protein]:
    """Draw n random proteins.

    Examples
    --------
    >>> [len(p.sequence) for p in simulate_proteins(3, longest=40)]
    [39, 37, 35]
    """
    rng = np.random.default_rng(seed)
    lengths = rng.integers(shortest, longest + 1, n)
    return [
        Protein(f"SIM{i:05d}", "M" + "".join(rng.choice(AMINO_ACIDS, length - 1))) for i, length in enumerate(lengths)
    ]


def simulate_embeddings(n: int, d: int = 32, *, seed: int = 0, families: int = 10, spread: float = 0.3) -> np.ndarray:
    """Draw n vectors around the centres of a few families.

    Returns
    -------
    array, shape (n, d), float32
        Row i belongs to family ``i % families``; the centres depend on `d` and `families` alone, so that two draws
        with different seeds are of the same families.

    Examples
    --------
    >>> simulate_embeddings(4, 8).shape
    (4, 8)
    """
    centres = np.random.default_rng([d, families]).standard_normal((families, d))
    noise = np.random.default_rng(seed).standard_normal((n, d)) * spread
    return (centres[np.arange(n) % families] + noise).astype(np.float32)


def simulate_store(
    path: str | os.PathLike[str], n: int, spaces: tuple[Space, ...] = (Space("Sim", 0, 32, "clean"),), *, seed: int = 0
) -> EmbeddingStore:
    """Write a store of n simulated proteins and their vectors in every space."""
    from .store import open_store

    proteins = simulate_proteins(n, seed=seed)
    with StoreWriter(
        path, ids=[p.accession for p in proteins], sequences=[p.sequence for p in proteins], spaces=spaces
    ) as writer:
        for space in spaces:
            vectors = simulate_embeddings(n, space.dimension, seed=seed + space.layer)
            for start in range(0, n, writer.chunk_rows):
                writer.write(space, start, vectors[start : start + writer.chunk_rows])
    return open_store(path)


def simulate_reference(
    path: str | os.PathLike[str],
    n: int = 50,
    spaces: tuple[Space, ...] = (Space("Sim", 0, 32, "clean"),),
    *,
    seed: int = 1,
    taxa: tuple[int, ...] = (9606, 10090, 559292),
) -> Reference:
    """Write a reference of n simulated proteins; those of one family carry one term, in every aspect in turn.

    Examples
    --------
    >>> import tempfile
    >>> simulate_reference(Path(tempfile.mkdtemp(), "reference"), 20).rows
    20
    """
    import pandas as pd

    from .reference.build import ReferenceTables, typed
    from .reference.bundle import write_reference

    path = Path(path)
    store = simulate_store(path.with_name(path.name + ".vectors.zarr"), n, spaces, seed=seed)
    number = np.arange(n)
    proteins = pd.DataFrame(
        {
            "protein": number,
            "row": number,
            "accession": store.ids,
            "taxon": np.asarray(taxa)[number % len(taxa)],
            "organism": [f"species {taxon}" for taxon in np.asarray(taxa)[number % len(taxa)]],
            "gene": [f"gen{i}" for i in number],
            "length": store.lengths,
            "sequence": store.sequences,
        }
    )
    family = number % 10
    aspects = np.array(list("FPC"))[family % 3]
    annotations = pd.DataFrame({"protein": number, "go_id": [f"GO:{f:07d}" for f in family], "aspect": aspects})
    terms = pd.DataFrame({"go_id": [f"GO:{f:07d}" for f in range(10)], "name": [f"term {f}" for f in range(10)]})
    tables = ReferenceTables(
        typed(proteins, PROTEINS),
        typed(annotations.assign(evidence="EXP", qualifier="", source="", date=""), ANNOTATIONS),
        typed(terms.assign(aspect=np.array(list("FPC"))[np.arange(10) % 3], obsolete=False, replaced_by=""), TERMS),
        typed(pd.DataFrame(columns=[c.name for c in RELATIONS]), RELATIONS),
        {},
        "simulated",
    )
    return write_reference(path, tables=tables, embeddings=store.path, move=True)
