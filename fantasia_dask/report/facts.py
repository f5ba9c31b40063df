"""What the exports say of the run that they come from."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    Adding = AbstractContextManager[Callable[[pd.DataFrame], None]]
    """An export that is open: it takes tables as they come, and gets its name when the last one is in."""

__all__ = ["METHOD", "Facts"]

METHOD = "PMID:33441905"
"""Transfer of GO terms by nearness in embedding space: Littmann et al. (2021) Scientific Reports 11, 1160."""


@dataclass(frozen=True)
class Facts:
    """The run behind an export.

    Attributes
    ----------
    name : str
        The run's prefix.
    day : date
        When the run was started, not when a file is made again.
    version : str
        Of fantasia-dask.
    go_release : str
        Of the ontology that the terms are from; empty if unknown.
    database : str
        Where the accessions are from, as a prefix: letters, digits and ``_ . -``.
    taxon : int
        NCBI taxon of the query proteins; 32644 is NCBI's "unidentified".
    genes : bool
        Whether the accessions are genes, not proteins.
    precision : int
        Decimals in text files.
    counts : dict
        ``proteins``, ``embedded``, ``annotated``, ``protein_term_pairs``.
    """

    name: str
    day: date
    version: str
    go_release: str = ""
    database: str = "LOCAL"
    taxon: int = 32644
    genes: bool = False
    precision: int = 4
    counts: dict[str, Any] = field(default_factory=dict)
