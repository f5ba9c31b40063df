"""The tables over all models and layers: the consensus, and how often each term of a GO slim is met."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from ..run_folder import text_aside
from ..schema import CONSENSUS, SLIM_COUNTS, names
from .delimited import joined, write_frame
from .rows import rounded

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["consensus_file", "slim_file"]

NUMBERS = [column.name for column in CONSENSUS if column.dtype == "float64"]


@contextmanager
def consensus_file(path: str | os.PathLike[str], precision: int) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write ``consensus.tsv``: one line per protein, or gene, and term; takes tables of `schema.CONSENSUS`."""
    with text_aside(path) as file:
        file.write("\t".join(names(CONSENSUS)) + "\n")

        def add(consensus: pd.DataFrame) -> None:
            shown = consensus.assign(donor_ids=consensus["donor_ids"].map(lambda ids: joined(ids, "|")).astype("str"))
            for name in NUMBERS:
                shown[name] = rounded(shown[name], precision)
            write_frame(shown, file, "\t", header=False)

        yield add


@contextmanager
def slim_file(
    path: str | os.PathLike[str], slims: Callable[[Sequence[str]], Mapping[str, Sequence[str]]], terms: pd.DataFrame
) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write ``goslim.tsv``: how many proteins, or genes, have each term of a slim or one below it.

    Parameters
    ----------
    path
    slims : callable
        Terms to all slim terms at or above them, as `Ontology.slim` with ``implied=True``.
    terms : DataFrame
        The slim: columns ``go_id, aspect (BP, MF, CC), name``. All of it is listed, also with a count of 0.

    Yields
    ------
    callable
        Takes tables of `schema.CONSENSUS`; all lines of a protein must be in one of them.
    """
    import pandas as pd

    counts: dict[str, int] = defaultdict(int)
    proteins = 0
    with text_aside(path) as file:

        def add(consensus: pd.DataFrame) -> None:
            nonlocal proteins
            proteins += consensus["accession"].nunique()
            mapped = slims(consensus["go_id"].unique().tolist())
            pairs = zip(consensus["accession"].tolist(), consensus["go_id"].tolist(), strict=True)
            for _, slim in {(accession, slim) for accession, go_id in pairs for slim in mapped[go_id]}:
                counts[slim] += 1

        yield add
        number = np.array([counts[go_id] for go_id in terms["go_id"]], dtype="int64")
        columns = {
            "go_id": terms["go_id"],
            "category": terms["category"],
            "go_description": terms["name"],
            "proteins": number,
            "share": rounded(number / max(proteins, 1), 4),
        }
        table = pd.DataFrame(columns, columns=names(SLIM_COUNTS))
        write_frame(table.sort_values(["category", "proteins"], ascending=[True, False], kind="stable"), file, "\t")
