"""The summary: one line per query and GO term, over all models and layers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, did_you_mean
from ..run_folder import text_aside
from ..schema import RAW_ANNOTATIONS
from .delimited import escaped, write_frame
from .rows import rounded

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["STATISTICS", "input_columns", "spaces_of", "summarise", "summary_columns", "summary_files"]

STATISTICS = ("min", "max", "mean")
COUNT = "count"
MORE_DECIMALS = 3
"""Decimals that a mean or a share of k has beyond those of the values it is made of."""

NUMBERS = [column.name for column in RAW_ANNOTATIONS if column.dtype == "float64"]

Metrics = Mapping[str, Sequence[str]]
Weights = Mapping[str, float | Mapping[str, float]]


def summarise(
    raw: pd.DataFrame,
    *,
    k: int,
    metrics: Metrics,
    aliases: Mapping[str, str] | None = None,
    weights: Weights | None = None,
    weighted_prefix: str = "w_",
    include_counts: bool = True,
    normalize_count: bool = True,
    export_raw_count: bool = True,
    precision: int = 4,
    spaces: Sequence[tuple[str, int]] | None = None,
    accessions: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Aggregate raw rows to one line per query and GO term.

    Parameters
    ----------
    raw : DataFrame, `schema.RAW_ANNOTATIONS`
        All rows of some queries, in all embedding spaces.
    k : int
        Neighbours asked for, which a count is divided by.
    metrics : mapping of str to sequence of {"min", "max", "mean"}
        Raw columns and what is wanted of each.
    aliases : mapping of str to str, optional
        Short names of raw columns; ``max`` of ``identity``, alias ``id_g``, is the column ``max_id_g``.
    weights : mapping, optional
        What counts in the final score: ``{"max_id_g": 0.2, "count": 0.2}`` or ``{"reliability_index": {"max": 0.4}}``.
    weighted_prefix : str
        Put before the name of a weighted column.
    include_counts, normalize_count, export_raw_count : bool
        Whether to write ``count``, to divide it by `k`, and to write ``term_count``, the rows over all spaces.
    precision : int
        Decimals. Raw values are rounded first, then aggregated, as FANTASIA does; means and counts per k keep three
        decimals more.
    spaces : sequence of (model, layer), optional
        The spaces of the run, in the order of the columns; by default those in `raw`, in order of appearance. Give
        them when `raw` is one block of several, so that all blocks have the same columns.
    accessions : sequence of str, optional
        The order of the queries; by default that of `raw`. A query without any term has no line.

    Returns
    -------
    DataFrame
        ``accession, go_id, term_count``, then for each space, with the suffix ``_<Model>_L<layer>``, the aggregates,
        each followed by its weighted value ``round(value * weight / sum of weights)``, and ``final_score``, their sum;
        then ``proteins``, the donors in order of rows, joined by ``|`` (`delimited.joined`). Ordered by query and GO
        id. NaN in the columns of a space that lacks the term; an aggregate that is NaN (no alignment) adds nothing to
        ``final_score``.

    Raises
    ------
    InputError
        If a metric, statistic or weight names something that is not there.
    """
    import pandas as pd

    spaces = spaces_of(raw) if spaces is None else list(spaces)
    wanted = _aggregates(metrics, aliases or {})
    shares = _shares(weights or {}, wanted, aliases or {}, include_counts)
    query, names = _codes(raw["accession"], accessions)
    term, go_ids = pd.factorize(raw["go_id"], sort=True)
    key, first, place = np.unique(query * max(len(go_ids), 1) + term, return_index=True, return_inverse=True)

    columns: dict[str, object] = {
        "accession": pd.Series(names, dtype="str").take(query[first]).array,
        "go_id": raw["go_id"].take(first).array,
    }
    if export_raw_count:
        columns["term_count"] = np.bincount(place, minlength=len(key))
    values = pd.DataFrame({name: rounded(raw[name], precision) for name in metrics})
    divisor = k if normalize_count else 1
    for model, layer in spaces:
        here = ((raw["model_name"] == model) & (raw["layer_index"] == layer)).to_numpy()
        groups = values[here].groupby(place[here])
        counts = groups.size() / divisor if include_counts else None
        part = _space_columns(groups, wanted, counts, shares, weighted_prefix, precision)
        part = part.reindex(range(len(key)))
        columns |= {f"{name}_{model}_L{layer}": part[name].array for name in part}
    columns["proteins"] = pd.Series(_joined(place, raw["protein_id"], len(key)), dtype="str").array
    return pd.DataFrame(columns)


def input_columns(metrics: Metrics) -> list[str]:
    """Return the raw columns that `summarise` reads, so that others need not be."""
    return ["accession", "model_name", "layer_index", "go_id", "protein_id", *metrics]


def spaces_of(raw: pd.DataFrame) -> list[tuple[str, int]]:
    """Return the (model, layer) pairs of raw rows, in order of appearance."""
    pairs = raw[["model_name", "layer_index"]].drop_duplicates()
    return [(str(model), int(layer)) for model, layer in pairs.itertuples(index=False)]


def _aggregates(metrics: Metrics, aliases: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return name of summary column -> (raw column, statistic)."""
    wanted = {}
    for metric, statistics in metrics.items():
        if metric not in NUMBERS:
            raise InputError(
                f"the summary asks for {metric!r}, which is no number in the raw rows.{did_you_mean(metric, NUMBERS)}"
            )
        for statistic in statistics:
            if statistic not in STATISTICS:
                raise InputError(
                    f"the summary asks for the {statistic!r} of {metric}: expected {', '.join(STATISTICS)}."
                )
            wanted[f"{statistic}_{aliases.get(metric, metric)}"] = (metric, statistic)
    return wanted


def _shares(
    weights: Weights, wanted: Mapping[str, tuple[str, str]], aliases: Mapping[str, str], counted: bool
) -> dict[str, float]:
    """Return name of summary column -> its weight over the sum of weights."""
    flat: dict[str, float] = {}
    for name, weight in weights.items():
        if isinstance(weight, Mapping):
            flat |= {f"{statistic}_{aliases.get(name, name)}": value for statistic, value in weight.items()}
        else:
            flat[name] = weight
    known = [*wanted, *([COUNT] if counted else [])]
    for name in flat:
        if name not in known:
            raise InputError(
                f"the summary weighs {name!r}, which is none of its columns: expected one of {', '.join(known)}."
            )
    total = sum(flat.values())
    return {name: weight / total for name, weight in flat.items()} if total else {}


def summary_columns(
    metrics: Metrics,
    aliases: Mapping[str, str] | None = None,
    weights: Weights | None = None,
    weighted_prefix: str = "w_",
    include_counts: bool = True,
) -> list[str]:
    """Return the columns that the summary has for each embedding space, without the suffix.

    Examples
    --------
    >>> summary_columns({"identity": ["max"]}, {"identity": "id_g"}, {"max_id_g": 1.0})
    ['max_id_g', 'w_max_id_g', 'count', 'final_score']
    """
    wanted = _aggregates(metrics, aliases or {})
    shares = _shares(weights or {}, wanted, aliases or {}, include_counts)
    names = []
    for name in [*wanted, *([COUNT] if include_counts else [])]:
        names += [name, weighted_prefix + name] if name in shares else [name]
    return [*names, "final_score"] if shares else names


def _space_columns(
    groups: Any,
    wanted: Mapping[str, tuple[str, str]],
    counts: pd.Series | None,
    shares: Mapping[str, float],
    prefix: str,
    precision: int,
) -> pd.DataFrame:
    """Return the columns of one space, one line per group."""
    import pandas as pd

    columns = {name: groups[metric].agg(statistic) for name, (metric, statistic) in wanted.items()}
    if counts is not None:
        columns[COUNT] = counts
    ordered = {}
    for name, values in columns.items():
        ordered[name] = pd.Series(rounded(values, precision + MORE_DECIMALS), values.index)
        if name in shares:
            ordered[prefix + name] = pd.Series(rounded(values * shares[name], precision), values.index)
    if shares:
        total = pd.DataFrame({name: ordered[prefix + name] for name in shares}).sum(axis=1)
        ordered["final_score"] = pd.Series(rounded(total, precision), total.index)
    return pd.DataFrame(ordered)


def _codes(words: pd.Series, order: Sequence[str] | None) -> tuple[np.ndarray, list[str]]:
    """Number words by a given order, or by first appearance."""
    import pandas as pd

    if order is None:
        codes, distinct = pd.factorize(words)
        return codes.astype("int64"), distinct.tolist()
    codes = pd.Index(list(order), dtype="str").get_indexer(pd.Index(words.to_list(), dtype="str"))
    if (codes < 0).any():
        raise ValueError(f"accession {words.iloc[int(np.argmax(codes < 0))]!r} is not in the given order")
    return codes.astype("int64"), list(order)


def _joined(place: np.ndarray, proteins: pd.Series, n: int) -> list[str]:
    """Join the distinct proteins of each group by ``|``, in order of appearance; as `delimited.joined`."""
    import pandas as pd

    code, accession = pd.factorize(proteins)
    pairs = pd.DataFrame({"place": place, "code": code}).drop_duplicates().sort_values("place", kind="stable")
    words = np.array([escaped(word, "|") for word in accession.tolist()], dtype=object)[
        pairs["code"].to_numpy()
    ].tolist()
    ends = np.searchsorted(pairs["place"].to_numpy(), np.arange(n), "right").tolist()
    return ["|".join(words[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


@contextmanager
def summary_files(*paths: str | os.PathLike[str]) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write a summary, as comma-separated values or, for a path that ends in ``.tsv``, tab-separated ones.

    Parameters
    ----------
    *paths
        Every one gets the whole summary. A field that holds a separator, quote or newline is quoted; an empty field
        is a missing value. ``pandas.read_csv(path, dtype=str, keep_default_na=False)`` gives every id back as it was;
        of CSV after `delimited.restored`.

    Yields
    ------
    callable
        Takes what `summarise` returns, block by block, all with the same columns.
    """
    header: list[str] = []
    with ExitStack() as stack:
        files = [(stack.enter_context(text_aside(path)), _separator(path)) for path in paths]

        def add(block: pd.DataFrame) -> None:
            if header and header != list(block.columns):
                raise ValueError(f"a block of the summary has the columns {list(block.columns)}, expected {header}")
            for file, separator in files:
                write_frame(block, file, separator, header=not header)
            header[:] = block.columns

        yield add


def _separator(path: str | os.PathLike[str]) -> str:
    return "\t" if Path(path).suffix == ".tsv" else ","
