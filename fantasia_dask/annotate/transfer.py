"""Donors' GO terms become the queries': one line per hit, donor protein and annotation."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ..run_folder import aside
from ..schema import ASPECTS, RAW_ANNOTATIONS, Space, names
from .alignment import COLUMNS as ALIGNMENT_COLUMNS
from .alignment import METHODS, align_pairs

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["align_hits", "reliability_index", "transfer_terms", "write_annotations"]

NOT_ALIGNED = "none"
METHOD = "alignment_method"
OFFERED = ("go_id", "category", "evidence_code", "go_description", "protein_id", "organism", "gene_name")


def transfer_terms(
    hits: pd.DataFrame,
    *,
    queries: pd.DataFrame,
    proteins: pd.DataFrame,
    annotations: pd.DataFrame,
    terms: pd.DataFrame,
    space: Space,
    type_id: int = 0,
    metric: str = "cosine",
    threshold: float | None = None,
    alignments: str | pd.DataFrame = "trace",
    keep_sequences: bool = True,
    threads: int | None = None,
) -> pd.DataFrame:
    """Give each query the GO terms of its neighbours, with what is known about each pair.

    Parameters
    ----------
    hits : DataFrame, `schema.HITS`
        Neighbours in one embedding space, in any order.
    queries : DataFrame, `schema.QUERIES`
        At least the queries of `hits`.
    proteins : DataFrame, `schema.PROTEINS`
        Only those that may lend a term: the proteins that a filter drops must be left out.
    annotations, terms : DataFrame, `schema.ANNOTATIONS` and `schema.TERMS`
        Of the reference. Annotations that name the same protein, term and evidence count once.
    space : Space
        Where the neighbours were found.
    type_id : int
        FANTASIA's number of the model; 0 for a model that FANTASIA does not know.
    metric : {"cosine", "euclidean"}
        What the distances of `hits` are.
    threshold : float, optional
        The largest distance that the lookup allowed; only noted.
    alignments : {"trace", "statistics", "none"} or DataFrame
        How a query and a donor are aligned, see `align_pairs`; with ``"none"`` those columns are NaN. Or the result of
        `align_hits`, for pairs that have been aligned already.
    keep_sequences : bool
        Whether the two sequences stand in every line; they are most of its bytes.
    threads : int, optional
        For the alignments.

    Returns
    -------
    DataFrame, `schema.RAW_ANNOTATIONS`
        Ordered by query, rank, protein number, and place in `annotations`. Nothing is rounded. `query_idx` is the
        number of the distinct query sequence, `ref_idx` the donor's row in the reference (FANTASIA's numbers follow
        from the order in which it wrote). A hit without any annotated protein has no line.
    """
    import pandas as pd

    if isinstance(alignments, str) and alignments not in (*METHODS, NOT_ALIGNED):
        raise ValueError(f"alignments is {alignments!r}, expected one of {(*METHODS, NOT_ALIGNED)}")
    hits = hits.sort_values(["query", "rank"], ignore_index=True)
    proteins = proteins[np.isin(proteins["row"].to_numpy(), hits["row"].to_numpy())].sort_values("protein")
    if isinstance(alignments, str) and alignments != NOT_ALIGNED:
        alignments = align_hits(
            hits, queries=queries, proteins=proteins, annotations=annotations, method=alignments, threads=threads
        )
    offers = _offers(proteins, annotations, terms)
    hit, offer = _expand(hits["row"].to_numpy(), offers["row"].to_numpy())
    useful, hit = np.unique(hit, return_inverse=True)
    aligned = None if isinstance(alignments, str) else alignments
    pairs = _about_pairs(hits.iloc[useful], queries, proteins, metric, aligned, keep_sequences)
    columns: dict[str, Any] = {
        **{name: values.array.take(hit) for name, values in pairs.items()},
        **{name: offers[name].array.take(offer) for name in OFFERED},
        "model_name": _constant(space.model, len(hit)),
        "embedding_type_id": type_id,
        "layer_index": space.layer,
        "distance_metric": _constant(metric, len(hit)),
        "distance_threshold": float(threshold or np.nan),
    }
    frame = pd.DataFrame(columns, index=pd.RangeIndex(len(hit)), columns=names(RAW_ANNOTATIONS))
    return frame.astype({column.name: column.dtype for column in RAW_ANNOTATIONS})


def align_hits(
    hits: pd.DataFrame,
    *,
    queries: pd.DataFrame,
    proteins: pd.DataFrame,
    annotations: pd.DataFrame,
    method: str = "trace",
    threads: int | None = None,
    share: tuple[int, int] = (0, 1),
) -> pd.DataFrame:
    """Align each query with its donors, each pair of sequences once.

    Parameters
    ----------
    hits : DataFrame, `schema.HITS`
        Neighbours in one or in several embedding spaces: a pair found in two of them is aligned once. Those that have
        no term to lend are not aligned.
    queries, proteins, annotations
        As for `transfer_terms`.
    method, threads
        As for `align_pairs`.
    share : (int, int)
        Which share of the work to do, of how many: the pairs are dealt out by size, so that shares cost about the same.

    Returns
    -------
    DataFrame
        ``distinct`` (the number of the query sequence), ``row`` (the donor's), and the columns of `align_pairs`.
    """
    lending = proteins["row"][np.isin(proteins["protein"].to_numpy(), annotations["protein"].to_numpy())]
    useful = hits.loc[np.isin(hits["row"].to_numpy(), lending.to_numpy()), ["query", "row"]]
    asked = queries.set_index("row").loc[useful["query"]]
    pairs = useful.assign(distinct=asked["distinct"].array, sequence=asked["sequence"].array)
    pairs = pairs.drop_duplicates(["distinct", "row"])
    pairs["donor"] = proteins.drop_duplicates("row").set_index("row")["sequence"].loc[pairs["row"]].array
    cells = pairs["sequence"].str.len().to_numpy("int64") * pairs["donor"].str.len().to_numpy("int64")
    first, of = share
    pairs = pairs.iloc[np.lexsort((pairs["row"], pairs["distinct"], -cells))[first::of]]
    sequences = zip(pairs["sequence"].tolist(), pairs["donor"].tolist(), strict=True)
    aligned = align_pairs(list(sequences), method=method, threads=threads)
    return aligned.assign(distinct=pairs["distinct"].array, row=pairs["row"].array)


def reliability_index(distance: np.ndarray, metric: str) -> np.ndarray:
    """Turn distances into FANTASIA's reliability index, 1 for identical vectors.

    Parameters
    ----------
    distance : float array, any shape
    metric : {"cosine", "euclidean"}
        cosine: 1 - d, in [-1, 1]; euclidean: 0.5 / (0.5 + d), in (0, 1].

    Examples
    --------
    >>> reliability_index(np.array([0.0, 0.5]), "euclidean")
    array([1. , 0.5])
    """
    if metric == "cosine":
        return 1.0 - distance
    if metric == "euclidean":
        return 0.5 / (0.5 + distance)
    raise ValueError(f"metric is {metric!r}, expected 'cosine' or 'euclidean'")


def _offers(proteins: pd.DataFrame, annotations: pd.DataFrame, terms: pd.DataFrame) -> pd.DataFrame:
    """Return what these proteins, in ascending order, lend: distinct annotations by row, protein and place."""
    import pandas as pd

    annotations = annotations[np.isin(annotations["protein"].to_numpy(), proteins["protein"].to_numpy())]
    annotations = annotations.drop_duplicates(["protein", "go_id", "evidence"])
    lender = np.searchsorted(proteins["protein"].to_numpy(), annotations["protein"].to_numpy())
    row = proteins["row"].to_numpy()[lender]
    order = np.lexsort((lender, row))  # stable: annotations of one protein stay in place
    row, lender, annotations = row[order], lender[order], annotations.take(order)
    described = terms.drop_duplicates("go_id").set_index("go_id")["name"]
    return pd.DataFrame(
        {
            "row": row,
            "go_id": annotations["go_id"].array,
            "category": _looked_up(annotations["aspect"], pd.Series(ASPECTS)),
            "evidence_code": annotations["evidence"].array,
            "go_description": _looked_up(annotations["go_id"], described),
            "protein_id": proteins["accession"].array.take(lender),
            "organism": proteins["organism"].array.take(lender),
            "gene_name": proteins["gene"].array.take(lender),
        }
    )


def _looked_up(words: pd.Series, meanings: pd.Series) -> np.ndarray:
    """Return the meaning of each word, an empty string where there is none."""
    import pandas as pd

    places = meanings.index.get_indexer(pd.Index(words))
    return np.append(meanings.to_numpy(dtype=object), "")[places]


def _expand(rows: np.ndarray, offered_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pair every hit with every offer of its row.

    Parameters
    ----------
    rows : int array, shape (n,)
        The row of each hit.
    offered_rows : int array, shape (m,)
        The row of each offer, ascending.

    Returns
    -------
    hit, offer : int arrays
        Places in `rows` and in `offered_rows`, hit by hit.
    """
    first = np.searchsorted(offered_rows, rows, "left")
    count = np.searchsorted(offered_rows, rows, "right") - first
    hit = np.repeat(np.arange(len(rows)), count)
    within = np.arange(len(hit)) - np.repeat(np.cumsum(count) - count, count)
    return hit, first[hit] + within


def _about_pairs(
    hits: pd.DataFrame,
    queries: pd.DataFrame,
    proteins: pd.DataFrame,
    metric: str,
    aligned: pd.DataFrame | None,
    keep_sequences: bool,
) -> dict[str, pd.Series]:
    """Return the columns that follow from a query and a donor sequence alone; one value per hit."""
    import pandas as pd

    asked = queries.set_index("row").loc[hits["query"]]
    donors = proteins.drop_duplicates("row").set_index("row").loc[hits["row"]]
    pair = pd.MultiIndex.from_arrays([asked["distinct"], hits["row"]])
    if aligned is None:
        measures = pd.DataFrame(np.nan, index=pair, columns=list(ALIGNMENT_COLUMNS)).assign(**{METHOD: ""})
    else:
        measures = aligned.set_index(["distinct", "row"]).loc[pair]
    blank = _constant("", len(hits))
    return {
        "accession": asked["accession"],
        "distance": hits["distance"],
        "query_idx": asked["distinct"],
        "ref_idx": hits["row"],
        "query_len": asked["length"],
        "ref_len": donors["length"],
        "sequence_query": asked["sequence"] if keep_sequences else blank,
        "sequence_reference": donors["sequence"] if keep_sequences else blank,
        "reliability_index": pd.Series(reliability_index(hits["distance"].to_numpy("float64"), metric)),
        "length_query": asked["length"],
        "length_reference": donors["length"],
        **{name: measures[name] for name in (*ALIGNMENT_COLUMNS, METHOD)},
    }


def _constant(word: str, n: int) -> pd.Series:
    import pandas as pd

    return pd.Series(word, index=range(n), dtype="str")


def write_annotations(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write the lines of one block of queries as Parquet (zstd), aside, then under their name.

    Parameters
    ----------
    frame : DataFrame, `schema.RAW_ANNOTATIONS`
        Equal frames give equal bytes; an empty one gives a file with the same columns.
    path
        Its folder is made when it is not there.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"str": pa.string(), "int64": pa.int64(), "float64": pa.float64()}
    schema = pa.schema([(column.name, kinds[column.dtype]) for column in RAW_ANNOTATIONS])
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False).replace_schema_metadata(None)
    with aside(path) as partial:
        pq.write_table(table, partial, compression="zstd", write_page_checksum=True)
