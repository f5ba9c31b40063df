"""What tools of enrichment analysis read: clusterProfiler's TERM2GENE and TERM2NAME, goatools' associations."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..run_folder import text_aside
from .delimited import escaped, escaped_words
from .topgo import map_lines

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["associations_file", "term_tables"]


@contextmanager
def term_tables(
    folder: str | os.PathLike[str], descriptions: Mapping[str, str]
) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write ``term2gene.tsv`` (term, gene) and ``term2name.tsv`` (term, name), which clusterProfiler's enricher takes.

    Parameters
    ----------
    folder
        Where the two files go.
    descriptions : mapping of GO id to name

    Yields
    ------
    callable
        Takes tables with the columns ``accession`` and ``go_id``, terms and all that they imply: clusterProfiler does
        not go up the graph itself.
    """
    seen: set[str] = set()
    folder = Path(folder)
    with text_aside(folder / "term2gene.tsv") as file, text_aside(folder / "term2name.tsv") as names:
        file.write("term\tgene\n")

        def add(pairs: pd.DataFrame) -> None:
            go_ids = pairs["go_id"].tolist()
            seen.update(go_ids)
            lines = zip(go_ids, escaped_words(pairs["accession"]), strict=True)
            file.writelines(f"{go_id}\t{gene}\n" for go_id, gene in lines)

        yield add
        names.write("term\tname\n")
        names.writelines(f"{go_id}\t{escaped(descriptions.get(go_id, go_id))}\n" for go_id in sorted(seen))


@contextmanager
def associations_file(path: str | os.PathLike[str]) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write ``gene<TAB>GO:1;GO:2``, one line per gene, which goatools reads as id2gos; takes `schema.CONSENSUS`."""
    with text_aside(path) as file:

        def add(consensus: pd.DataFrame) -> None:
            file.writelines(map_lines(consensus["accession"], consensus["go_id"].tolist(), ";"))

        yield add
