"""Which donors are too much like a query to answer: those in its cluster, or those at or above an identity.

Annotating a protein from its own copy tests nothing. Two ways keep copies out:

- **Clusters** (`cluster_labels`), as FANTASIA does: MMseqs2 clusters references and queries together, and a donor in
  the query's own cluster does not answer. Clusters are greedy: two members of different clusters may be as alike as
  the identity allows, so copies leak.
- **Identity** (`close_pairs`, then `closeness.CloseTest` on every hit): MMseqs2 searches the reference for each query,
  and every donor that is left among the hits is aligned with the query, so no donor at or above the identity answers.

Both are cached by content: the sequences themselves, the parameters and the release of MMseqs2.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from .mmseqs import find_mmseqs, mmseqs, mmseqs_version

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["close_pairs", "cluster_labels"]

MAX_HITS = 10_000
"""Donors of one query that the search may pass on to its alignment."""

ROUNDING = 5e-4
"""What an identity or a coverage may lose where MMseqs2 writes three decimals."""


def cluster_labels(
    query_sequences: Iterable[str],
    reference_sequences: Iterable[str],
    *,
    identity: float,
    coverage: float,
    threads: int | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Cluster queries and references together, as FANTASIA does.

    That is ``mmseqs cluster --min-seq-id identity --cov-mode 1 -c coverage`` on the distinct sequences, in
    alphabetical order and under neutral names. Accessions take no part. The number of threads does not change it.

    Parameters
    ----------
    query_sequences, reference_sequences : iterables of str, lengths q and r
        In row order. Letters of either case; empty where the sequence is not known.
    identity, coverage : float
        Between 0 and 1: the identity of a member with its cluster's representative, over the alignment, and the share
        of the member that the alignment covers.
    threads : int, optional
        By default the cores that this process may use.
    cache
        A folder that keeps the clusters; with the same sequences and parameters nothing is clustered again.

    Returns
    -------
    pair of int64 arrays, shapes (q,) and (r,)
        Cluster labels, for `nearest_neighbours(apart=...)`. Equal sequences have equal labels; -1 is a sequence that
        is not known.

    Raises
    ------
    InputError
        If a share is not between 0 and 1, MMseqs2 is not installed, or it fails.

    References
    ----------
    Steinegger and Söding (2017) MMseqs2 enables sensitive protein sequence searching for the analysis of massive data
    sets. Nature Biotechnology 35, 1026-1028.
    """
    _check_shares(identity, coverage)
    queries, donors = _upper(query_sequences), _upper(reference_sequences)
    sequences = _distinct([*queries, *donors])
    if not sequences:
        return np.full(len(queries), -1), np.full(len(donors), -1)
    table = _cached(
        cache,
        "clusters",
        (repr((identity, coverage)), sequences),
        lambda: {"cluster": _cluster(sequences, identity, coverage, threads)},
        rows=len(sequences),
    )
    label = dict(zip(sequences, table["cluster"].tolist(), strict=True))
    return _numbers(queries, label), _numbers(donors, label)


def close_pairs(
    query_sequences: Iterable[str],
    reference_sequences: Iterable[str],
    *,
    identity: float,
    coverage: float,
    threads: int | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Search the reference for donors at or above an identity with a query.

    A pair is close if their sequences are equal, or if MMseqs2 finds an alignment (E-value up to 0.001) of that
    identity that covers that share of either sequence. A search may miss pairs: this is the first step of the strict
    mode, which saves most of the second; `closeness.CloseTest` is the second, and misses none.

    Parameters
    ----------
    query_sequences, reference_sequences, identity, coverage, threads, cache
        As for `cluster_labels`.

    Returns
    -------
    pair of int64 arrays, shape (p,)
        Query and reference rows of the pairs, in order. A sequence that is not known is in none.

    Raises
    ------
    InputError
        As `cluster_labels`.
    """
    _check_shares(identity, coverage)
    queries, donors = _upper(query_sequences), _upper(reference_sequences)
    asking, answering = _distinct(queries), _distinct(donors)
    if not asking or not answering:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    table = _cached(
        cache,
        "pairs",
        (repr((identity, coverage, MAX_HITS)), asking, answering),
        lambda: _search(asking, answering, identity, coverage, threads),
    )
    return _expand(queries, donors, asking, answering, table)


def _check_shares(identity: float, coverage: float) -> None:
    for name, share in (("redundancy_filter", identity), ("alignment_coverage", coverage)):
        if not 0 <= share <= 1:
            raise InputError(f"{name} is {share}: expected a share between 0 and 1.")


def _upper(sequences: Iterable[str]) -> list[str]:
    return [sequence.upper() for sequence in sequences]


def _distinct(sequences: Iterable[str]) -> list[str]:
    """Return the known sequences once each, in an order that depends on nothing else."""
    return sorted(set(sequences) - {""})


def _numbers(sequences: Sequence[str], number: dict[str, int]) -> np.ndarray:
    return np.fromiter((number.get(sequence, -1) for sequence in sequences), np.int64, len(sequences))


# MMseqs2 ------------------------------------------------------------------------------------------------------------


def _cluster(sequences: Sequence[str], identity: float, coverage: float, threads: int | None) -> np.ndarray:
    """Return, for each sequence, the number of its cluster's representative: shape (n,), int64."""
    labels = np.arange(len(sequences))
    with mmseqs(threads) as program:
        program.database("all", sequences)
        shares = ("--min-seq-id", str(identity), "--cov-mode", "1", "-c", str(coverage))
        program.run("cluster", "all", "clusters", "tmp", *shares, *program.whole)
        program.run("createtsv", "all", "all", "clusters", "clusters.tsv")
        for representative, member in program.table("clusters.tsv"):
            labels[int(member[1:])] = int(representative[1:])
    return labels


def _search(
    queries: Sequence[str], donors: Sequence[str], identity: float, coverage: float, threads: int | None
) -> dict[str, np.ndarray]:
    """Return pairs of distinct sequences, by their numbers."""
    pairs: list[tuple[int, int]] = []
    with mmseqs(threads) as program:
        program.database("queries", queries)
        program.database("donors", donors)
        how = (*_how_to_search(identity, len(donors)), *program.whole)
        program.run("search", "queries", "donors", "hits", "tmp", *how)
        columns = ("--format-output", "query,target,qcov,tcov")
        program.run("convertalis", "queries", "donors", "hits", "hits.tsv", *columns)
        for query, donor, *covered in program.table("hits.tsv"):
            # The longer of two proteins is covered less; either may be the one that contains the other.
            if max(map(float, covered)) >= coverage - ROUNDING:
                pairs.append((int(query[1:]), int(donor[1:])))
    found = np.array(sorted(set(pairs)), np.int64).reshape(-1, 2)
    return {"query": found[:, 0], "donor": found[:, 1]}


def _how_to_search(identity: float, donors: int) -> list[str]:
    # The rule by which `mmseqs cluster` chooses its own sensitivity: relatives at a high identity share long words,
    # and looking for remote ones too takes a hundred times as long. What is missed is aligned later.
    sensitivity = min(7.5, max(1.0, 1 + 10 * (1 - identity)))
    settings = {
        "-s": round(sensitivity, 1),
        "--max-seqs": min(donors, MAX_HITS),
        "--min-seq-id": max(0.0, identity - ROUNDING),
        "--alignment-mode": 3,
        "--mask": 0,  # repeats are part of a copy as well
    }
    return [str(part) for setting in settings.items() for part in setting]


def _expand(
    queries: Sequence[str],
    donors: Sequence[str],
    asking: Sequence[str],
    answering: Sequence[str],
    table: pd.DataFrame,
) -> tuple[np.ndarray, np.ndarray]:
    """Turn pairs of distinct sequences, and equal sequences, into pairs of rows."""
    import pandas as pd

    q_number = {sequence: i for i, sequence in enumerate(asking)}
    r_number = {sequence: i for i, sequence in enumerate(answering)}
    equal = [(q_number[sequence], i) for sequence, i in r_number.items() if sequence in q_number]
    pairs = pd.concat([table, pd.DataFrame(equal, columns=["query", "donor"], dtype="int64")]).drop_duplicates()
    q_rows = pd.DataFrame({"query": _numbers(queries, q_number), "q_row": np.arange(len(queries))})
    r_rows = pd.DataFrame({"donor": _numbers(donors, r_number), "r_row": np.arange(len(donors))})
    rows = pairs.merge(q_rows, on="query").merge(r_rows, on="donor").sort_values(["q_row", "r_row"])
    return rows["q_row"].to_numpy(np.int64), rows["r_row"].to_numpy(np.int64)


# Cache --------------------------------------------------------------------------------------------------------------


def _cached(
    cache: str | os.PathLike[str] | None,
    kind: str,
    content: tuple[str | Sequence[str], ...],
    compute: Callable[[], dict[str, np.ndarray]],
    rows: int | None = None,
) -> pd.DataFrame:
    """Return the table kept in `cache` under its content, or compute it and keep it there."""
    import pandas as pd

    if cache is None:
        return pd.DataFrame(compute())
    file = Path(cache) / f"{kind}-{_digest((mmseqs_version(find_mmseqs()), *content))}.parquet"
    table = _read(file)
    if table is None or (rows is not None and len(table) != rows):
        table = pd.DataFrame(compute())
        _keep(table, file)
    return table


def _keep(table: pd.DataFrame, file: Path) -> None:
    # Two runs may share a cache: each writes under a name of its own, and the last to rename wins.
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(partial, index=False, compression="zstd")
        partial.replace(file)
    except OSError as error:
        raise InputError(f"{file} cannot be written ({error}): name another folder for the cache.") from error


def _read(file: Path) -> pd.DataFrame | None:
    """Read a table of the cache; None if there is none that can be read, which costs time and nothing else."""
    import pandas as pd
    import pyarrow as pa

    try:
        return pd.read_parquet(file)
    except (OSError, ValueError, pa.ArrowException):
        return None


def _digest(content: tuple[str | Sequence[str], ...]) -> str:
    """Return the SHA-256 of texts and lists of sequences, in hexadecimal."""
    digest = hashlib.sha256()
    for part in content:
        lines = [part] if isinstance(part, str) else part
        digest.update(f"{len(lines)}\n".encode())
        for line in lines:
            digest.update(f"{line}\n".encode())
    return digest.hexdigest()
