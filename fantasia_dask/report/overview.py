"""All numbers of a report, gathered from the files of a run in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..run_folder import RunFolder
from .account import Account, read_account
from .best_terms import BestTerms
from .rows import read_blocks
from .tally import COLUMNS, Tally, ToSlim

__all__ = ["LISTED", "Overview", "Slim", "gather_overview"]

LISTED = 20_000
"""Proteins that the table of a report lists: as many as keep the page below 5 MB."""


@dataclass(frozen=True)
class Slim:
    """Broad terms that stand for the many.

    Attributes
    ----------
    name : str
        What the broad terms are, for the caption.
    names, aspects : mapping of GO id to str
        Name and category (BP, MF, CC) of the broad terms.
    map : function
        GO ids to ids of broad terms.
    """

    name: str
    names: Mapping[str, str]
    aspects: Mapping[str, str]
    map: ToSlim


@dataclass(frozen=True)
class Overview:
    """What a report says, in numbers.

    Attributes
    ----------
    account : Account
        What became of every protein.
    lengths : int64 array, shape (n,)
        Lengths of the proteins in residues; 0 where not known.
    tally : Tally
        What the terms add up to.
    best : dict
        The best term of each listed protein, see `BestTerms.columns`.
    terms : int64 array
        Distinct terms of each listed protein, over all spaces.
    manifest, config : dict
        What was run, as ``manifest.json`` and ``config.yaml`` say it.
    slim : Slim, optional
    genes : mapping of str to str, optional
        The gene of each protein that has one, where results are wanted per gene.
    """

    account: Account
    lengths: np.ndarray
    tally: Tally
    best: dict[str, Any]
    terms: np.ndarray
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    slim: Slim | None = None
    genes: Mapping[str, str] | None = None

    @property
    def looked_up(self) -> bool:
        """Whether the run looked for donors; False after `only_embedding`."""
        return self.manifest.get("reference") is not None

    @property
    def metric(self) -> str:
        """What distances are: cosine or euclidean."""
        return str(self.config["embedding"]["distance_metric"])


def gather_overview(
    folder: RunFolder,
    *,
    manifest: Mapping[str, Any],
    config: Mapping[str, Any],
    spaces: Sequence[tuple[str, int]] = (),
    proteins_with: Mapping[str, int] | None = None,
    slim: Slim | None = None,
    genes: Mapping[str, str] | None = None,
    listed: int = LISTED,
) -> Overview:
    """Gather the numbers of a run: from status.tsv, the query table and the annotations, a part at a time.

    Parameters
    ----------
    folder : RunFolder
        Of a run whose tables are written.
    manifest, config : mapping
        What was run.
    spaces : sequence of (model, layer)
        The embedding spaces that were looked up.
    proteins_with : mapping of GO id to int, optional
        How many proteins of the reference have a term: it decides between the terms of one donor.
    slim : Slim, optional
    genes : mapping of str to str, optional
        The gene of each protein that has one, where results are wanted per gene.
    listed : int
        Proteins in the table, the first of the input.
    """
    account = read_account(folder.status, listed)
    tally = Tally(list(spaces), None if slim is None else slim.map)
    best = BestTerms(account.accessions, spaces, proteins_with or {})
    for rows in read_blocks(folder.annotations, COLUMNS) if spaces else ():
        tally.add(rows)
        best.add(rows)
    lengths = _lengths(folder, account) if spaces else account.residues
    return Overview(account, lengths, tally, best.columns(), best.terms, manifest, config, slim, genes)


def _lengths(folder: RunFolder, account: Account) -> np.ndarray:
    """Return the lengths of the proteins, in the order of the account."""
    import pyarrow.parquet as pq

    if folder.queries.exists():
        lengths = pq.read_table(folder.queries, columns=["length"])["length"].to_numpy()
        if len(lengths) == len(account):
            return np.maximum(lengths, account.residues)
    return account.residues
