"""Scored predictions, as CAFA takes them and cafaeval reads them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..run_folder import text_aside
from .associations import ROOTS
from .delimited import BLANKS, escaped_words

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MOST_TERMS", "cafa_file"]

MOST_TERMS = 1500
"""Terms that CAFA takes for one target."""

LEAST = 0.001


@contextmanager
def cafa_file(path: str | os.PathLike[str]) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write ``target<TAB>GO id<TAB>score``, without header: three decimals, at most 1,500 terms a target, no roots.

    Yields
    ------
    callable
        Takes tables with the columns ``accession, go_id, score``, score in (0, 1], propagated to the ancestors.
    """
    with text_aside(path) as file:

        def add(scores: pd.DataFrame) -> None:
            told = scores[(scores["score"] >= LEAST / 2) & ~scores["go_id"].isin(list(ROOTS))]
            if len(told) and told["accession"].value_counts().iloc[0] > MOST_TERMS:
                rank = told.groupby("accession")["score"].rank(method="first", ascending=False)
                told = told[rank <= MOST_TERMS]
            # cafaeval splits at any white space
            targets = escaped_words(told["accession"], BLANKS)
            lines = zip(targets, told["go_id"].tolist(), told["score"].tolist(), strict=True)
            file.writelines(f"{target}\t{go_id}\t{max(score, LEAST):.3f}\n" for target, go_id, score in lines)

        yield add
