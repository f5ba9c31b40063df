"""Gene-to-GO files for topGO: FANTASIA's three columns, and the maps that topGO reads itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ..schema import ASPECTS
from .delimited import BLANKS, escaped_words
from .files import folder_aside, safe_name
from .rows import read_blocks, rounded

if TYPE_CHECKING:
    import pandas as pd

    from .rows import Rows

__all__ = ["gene_maps", "map_lines", "write_topgo"]

CATEGORIES = sorted(ASPECTS.values())
COLUMNS = ("accession", "model_name", "layer_index", "go_id", "category", "reliability_index")
ENSEMBLE = "ensemble"


def write_topgo(
    rows: Rows, folder: str | os.PathLike[str], *, spaces: Iterable[tuple[str, int]], precision: int = 4
) -> None:
    """Write the topGO files of a run: by model and layer, and over all of them.

    ``<Model>/layer_<k>/{BP,CC,MF}.topgo`` hold accession, GO id and reliability, tab-separated, without header: every
    distinct value, in the order of the rows. ``ensemble/{BP,CC,MF}.topgo`` keep the largest reliability of each
    accession and term, ordered by query and GO id. Beside each lies a ``.map``: ``accession<TAB>GO:1, GO:2``, one
    line per gene, which topGO's ``readMappings`` reads.

    Parameters
    ----------
    rows
        See `rows.read_blocks`.
    folder
        Usually ``topgo``; what was there is replaced.
    spaces : iterable of (model, layer)
        All of them get their files, also without any row.
    precision : int
        Decimals of the reliability.
    """
    with folder_aside(folder) as partial, ExitStack() as stack:
        homes = {space: Path(safe_name(space[0]), f"layer_{space[1]}") for space in spaces}
        files = {home: _open(partial / home, stack) for home in [*homes.values(), Path(ENSEMBLE)]}
        for block in read_blocks(rows, COLUMNS):
            block = block.assign(reliability_index=rounded(block["reliability_index"], precision))
            for (model, layer), home in homes.items():
                here = block[(block["model_name"] == model) & (block["layer_index"] == layer)]
                _write(here.drop_duplicates(["accession", "go_id", "reliability_index"]), files[home])
            _write(_largest(block), files[Path(ENSEMBLE)])


@contextmanager
def gene_maps(folder: str | os.PathLike[str]) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write ``{BP,CC,MF}.map`` over all models and layers, from tables of `schema.CONSENSUS` as they come."""
    with folder_aside(folder) as partial, ExitStack() as stack:
        files = {
            category: stack.enter_context((partial / f"{category}.map").open("w", encoding="utf-8", newline=""))
            for category in CATEGORIES
        }

        def add(consensus: pd.DataFrame) -> None:
            for category, file in files.items():
                part = consensus[consensus["category"] == category]
                file.writelines(map_lines(part["accession"], part["go_id"].tolist()))

        yield add


def _open(home: Path, stack: ExitStack) -> dict[str, TextIO]:
    home.mkdir(parents=True)
    names = [f"{category}.{ending}" for category in CATEGORIES for ending in ("topgo", "map")]
    return {name: stack.enter_context((home / name).open("w", encoding="utf-8", newline="")) for name in names}


def _largest(block: pd.DataFrame) -> pd.DataFrame:
    """Keep the most reliable row of each accession and term, ordered by query and GO id."""
    import pandas as pd

    order = pd.DataFrame({"query": pd.factorize(block["accession"])[0], "go_id": block["go_id"].to_numpy()})
    order["less"] = -block["reliability_index"].to_numpy()
    block = block.iloc[order.sort_values(["query", "go_id", "less"], kind="stable").index.to_numpy()]
    return block.drop_duplicates(["accession", "go_id"])


def _write(rows: pd.DataFrame, files: dict[str, TextIO]) -> None:
    """Append the rows of some queries to the files of one folder."""
    for category in CATEGORIES:
        part = rows[rows["category"] == category]
        go_ids, values = part["go_id"].tolist(), part["reliability_index"].tolist()
        lines = zip(escaped_words(part["accession"]), go_ids, values, strict=True)
        files[f"{category}.topgo"].writelines(f"{gene}\t{go_id}\t{value!r}\n" for gene, go_id, value in lines)
        files[f"{category}.map"].writelines(map_lines(part["accession"], go_ids))


def map_lines(accessions: pd.Series, go_ids: Sequence[str], between: str = ", ") -> Iterator[str]:
    """Yield one line per gene with its distinct terms; readers drop the spaces of a name, so all are encoded."""
    genes: dict[str, dict[str, None]] = {}
    for gene, go_id in zip(escaped_words(accessions, BLANKS), go_ids, strict=True):
        genes.setdefault(gene, {})[go_id] = None
    for gene, terms in genes.items():
        yield f"{gene}\t{between.join(terms)}\n"
