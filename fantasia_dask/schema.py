"""Every array and every column that crosses from one stage to the next.

Stages take their column names from here, tests and documentation read it. Axes are always
``q`` query proteins, ``r`` reference rows, ``d`` embedding dimensions and ``k`` neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

__all__ = [
    "ANNOTATIONS",
    "ASPECTS",
    "CONSENSUS",
    "HIT",
    "HITS",
    "NO_DONOR",
    "OUTCOME",
    "PART_QUERIES",
    "PROTEINS",
    "QUERIES",
    "RAW_ANNOTATIONS",
    "RELATIONS",
    "SLIM_COUNTS",
    "STATUS",
    "SUBSETS",
    "TAXONOMY",
    "TERMS",
    "Column",
    "Space",
    "names",
]

HIT = np.dtype([("distance", "f8"), ("row", "i8")])
"""One neighbour: its exact distance and its row in the reference. Sorted by distance, then by row."""

NO_DONOR = -1
"""The row of a `HIT` that stands for "no donor left"; its distance is infinite."""

PART_QUERIES = 1024
"""Queries whose hits, and whose annotations, are one file: fixed, so that no file depends on the cluster."""

ASPECTS = {"F": "MF", "P": "BP", "C": "CC"}
"""GAF's one-letter aspects and the categories that FANTASIA writes."""


@dataclass(frozen=True)
class Space:
    """One embedding space: vectors are comparable only within it.

    Attributes
    ----------
    model : str
        The model's key, for instance ``"Prot-T5"``.
    layer : int
        Counted from the output: 0 is the last layer.
    dimension : int
        d, the length of a vector.
    profile : str
        The pooling convention, ``"pis-3.1"`` or ``"clean"``; ``"unknown"`` for vectors brought along without one.
    checkpoint, revision : str
        What computed the vectors; empty for vectors brought along.
    dtype : str
        How a vector is stored: ``"float16"`` or ``"float32"``.
    """

    model: str
    layer: int
    dimension: int
    profile: str = "unknown"
    checkpoint: str = ""
    revision: str = ""
    dtype: str = "float32"

    def __str__(self) -> str:
        return f"{self.model} layer {self.layer}"


@dataclass(frozen=True)
class Column:
    """One column of a table: its name, pandas dtype, meaning, unit and what a missing value looks like."""

    name: str
    dtype: str
    meaning: str
    unit: str = ""
    missing: str = "never missing"


def names(table: Iterable[Column]) -> list[str]:
    """Return the column names of a table, in order.

    Examples
    --------
    >>> names(RELATIONS)
    ['child', 'relation', 'parent']
    """
    return [column.name for column in table]


QUERIES = (
    Column("row", "int64", "row of the protein in the query store, in FASTA order"),
    Column("accession", "str", "first word of the FASTA header, exactly as given"),
    Column("length", "int64", "length of the sequence; 0 when only a vector was given and no sequence", "residues"),
    Column("sequence", "str", "amino acids, upper case", missing="empty string"),
    Column("distinct", "int64", "number of the distinct sequence, in order of first appearance"),
    Column("description", "str", "the rest of the FASTA header", missing="empty string"),
)
"""One line per query protein."""

STATUS = (
    Column("accession", "str", "query protein, exactly as given"),
    Column("model", "str", "model key"),
    Column("layer", "int64", "layer, 0 = last"),
    Column("status", "str", "embedded, truncated or failed"),
    Column("residues", "int64", "residues that the model saw", "residues"),
    Column("reason", "str", "why the protein failed or was shortened", missing="empty string"),
)
"""What the embedding made of each input protein, model and layer: nothing disappears."""

REASONS_APART = "; "
"""Between what happened to a protein and why it has no term."""

OUTCOME = (
    *STATUS[:-1],
    Column("reason", "str", "why the protein failed, was shortened, or has no term", missing="empty string"),
    Column("neighbours", "int64", "donors found", missing="0"),
    Column("terms", "int64", "distinct GO terms transferred", missing="0"),
)
"""What became of each input protein, model and layer by the end of a run: the columns of status.tsv."""

PROTEINS = (
    Column("protein", "int64", "number of the protein within the reference"),
    Column("row", "int64", "row of its sequence in every embedding array; proteins with one sequence share a row"),
    Column("accession", "str", "protein accession"),
    Column("taxon", "int64", "NCBI taxon id", missing="0"),
    Column("organism", "str", "species name", missing="empty string"),
    Column("gene", "str", "gene name", missing="empty string"),
    Column("length", "int64", "length of the sequence", "residues", missing="0"),
    Column("sequence", "str", "amino acids, upper case", missing="empty string"),
)
"""One line per reference protein. Row numbers are dense: 0 .. r-1."""

ANNOTATIONS = (
    Column("protein", "int64", "number of the annotated protein, as in PROTEINS"),
    Column("go_id", "str", "GO term, current and never obsolete"),
    Column("aspect", "str", "F, P or C"),
    Column("evidence", "str", "evidence code", missing="empty string"),
    Column("qualifier", "str", "relation of the annotation, for instance located_in", missing="empty string"),
    Column("source", "str", "the reference that supports it, for instance PMID:123", missing="empty string"),
    Column("date", "str", "YYYYMMDD", missing="empty string"),
)
"""One line per annotation of a reference protein; lines that differ only in source and date are kept apart."""

TAXONOMY = (
    Column("taxon", "int64", "NCBI taxon id"),
    Column("parent", "int64", "the taxon above it, or the one that it was merged into", missing="0, at the root"),
    Column("rank", "str", "for instance species; merged for a number that was merged into another"),
    Column("name", "str", "scientific name", missing="empty string"),
)
"""The taxa of a reference, all their ancestors, and the numbers merged into them; a reference may lack it."""

TERMS = (
    Column("go_id", "str", "GO term"),
    Column("name", "str", "name of the term"),
    Column("aspect", "str", "F, P or C", missing="empty string"),
    Column("obsolete", "bool", "whether the term is obsolete"),
    Column("replaced_by", "str", "term that took its place, for obsolete and alternative ids", missing="empty string"),
)
"""One line per GO id: current, obsolete and alternative ones."""

RELATIONS = (
    Column("child", "str", "GO term"),
    Column("relation", "str", "is_a, part_of, regulates, ..."),
    Column("parent", "str", "GO term"),
)
"""The edges of the GO graph."""

SUBSETS = (
    Column("subset", "str", "name of the subset, such as goslim_generic"),
    Column("go_id", "str", "GO term, current"),
)
"""The terms of GO's subsets, the slims among them; a reference may lack it."""

HITS = (
    Column("query", "int64", "row of the query protein, as in QUERIES"),
    Column("rank", "int64", "1 = nearest"),
    Column("row", "int64", "row of the donor in the reference, as in PROTEINS"),
    Column("distance", "float64", "exact distance, in the metric of the run"),
)
"""One line per query and neighbour, for one embedding space; a query without any neighbour has no line."""

RAW_ANNOTATIONS = (
    Column("accession", "str", "query protein, exactly as given"),
    Column("model_name", "str", "model key"),
    Column("embedding_type_id", "int64", "FANTASIA's number of the model", missing="0"),
    Column("layer_index", "int64", "layer, 0 = last"),
    Column("distance", "float64", "distance between query and donor"),
    Column("go_id", "str", "transferred GO term"),
    Column("category", "str", "BP, MF or CC"),
    Column("evidence_code", "str", "evidence of the donor's annotation", missing="empty string"),
    Column("go_description", "str", "name of the term", missing="empty string"),
    Column("protein_id", "str", "accession of the donor protein"),
    Column("organism", "str", "species of the donor", missing="empty string"),
    Column("gene_name", "str", "gene of the donor", missing="empty string"),
    Column("query_idx", "int64", "number of the distinct query sequence, as in the query index"),
    Column("ref_idx", "int64", "number of the distinct donor sequence, as in sequences.fasta"),
    Column("query_len", "int64", "length of the query", "residues", missing="0"),
    Column("ref_len", "int64", "length of the donor", "residues", missing="0"),
    Column("sequence_query", "str", "sequence of the query; only with keep_sequences", missing="empty string"),
    Column("sequence_reference", "str", "sequence of the donor; only with keep_sequences", missing="empty string"),
    Column("reliability_index", "float64", "cosine 1 - d; euclidean 0.5 / (0.5 + d)"),
    Column("identity", "float64", "equal letters over columns of the global alignment", missing="NaN"),
    Column("similarity", "float64", "letters with a positive score over those columns", missing="NaN"),
    Column("alignment_score", "float64", "BLOSUM62 score of the global alignment", missing="NaN"),
    Column("gaps_percentage", "float64", "gap columns over all columns, a fraction", missing="NaN"),
    Column("alignment_length", "float64", "columns of the global alignment", missing="NaN"),
    Column("length_query", "int64", "length of the query", "residues", missing="0"),
    Column("length_reference", "int64", "length of the donor", "residues", missing="0"),
    Column("identity_sw", "float64", "as identity, local alignment", missing="NaN"),
    Column("similarity_sw", "float64", "as similarity, local alignment", missing="NaN"),
    Column("alignment_score_sw", "float64", "as alignment_score, local alignment", missing="NaN"),
    Column("gaps_percentage_sw", "float64", "as gaps_percentage, local alignment", missing="NaN"),
    Column("alignment_length_sw", "float64", "as alignment_length, local alignment", missing="NaN"),
    Column("distance_metric", "str", "cosine or euclidean"),
    Column("distance_threshold", "float64", "largest distance allowed", missing="NaN"),
    Column("alignment_method", "str", "trace or statistics: how the pair was aligned", missing="empty string"),
)
"""One line per query, donor protein and GO annotation, for one embedding space: FANTASIA's raw columns, and how the
pair was aligned."""

CONSENSUS = (
    Column("accession", "str", "query protein, exactly as given; its gene where genes are wanted"),
    Column("go_id", "str", "GO term"),
    Column("category", "str", "BP, MF or CC", missing="empty string"),
    Column("go_description", "str", "name of the term", missing="empty string"),
    Column("best_reliability", "float64", "largest reliability index of all donors, models and layers"),
    Column("mean_reliability", "float64", "mean over the donors that have the term, once per model and layer"),
    Column("final_score", "float64", "mean of the summary's final_score over all models and layers of the run; one "
           "without the term counts 0; of a gene, the largest of its isoforms", missing="NaN"),
    Column("models", "int64", "models that agree"),
    Column("layers", "int64", "pairs of model and layer that agree"),
    Column("donors", "int64", "distinct donor proteins"),
    Column("proteins", "int64", "query proteins that have the term: 1, or isoforms of a gene"),
    Column("identity", "float64", "global identity with the most reliable donor", missing="NaN"),
    Column("donor_ids", "str", "accessions of the donors, the most reliable first, joined by |"),
)  # fmt: skip
"""One line per query protein, or gene, and GO term, over all models and layers."""

SLIM_COUNTS = (
    Column("go_id", "str", "term of the slim"),
    Column("category", "str", "BP, MF or CC", missing="empty string"),
    Column("go_description", "str", "name of the term", missing="empty string"),
    Column("proteins", "int64", "query proteins, or genes, that have the term or one below it"),
    Column("share", "float64", "of the proteins that have any term"),
)
"""One line per term of a GO slim."""
