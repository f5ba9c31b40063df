"""What all models, layers and donors together say of a protein, or of a gene: one line per term."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..schema import ASPECTS, CONSENSUS, names
from .ontology import Ontology

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EVIDENCE", "agree", "evidence_of", "implied", "most_specific", "support"]

PAIR = ("model_name", "layer_index", "protein_id", "distance", "reliability_index", "identity")
EVIDENCE = ("accession", "go_id", "category", *PAIR)
"""The raw columns that a consensus is made of."""

NEAREST = 1e-9
"""Distances below this weigh alike: equal vectors outweigh all others, and count the same among themselves."""


def evidence_of(raw: pd.DataFrame, summary: pd.DataFrame, spaces: Sequence[tuple[str, int]]) -> pd.DataFrame:
    """Return who speaks for which term: one line per query, term, space and donor protein.

    Parameters
    ----------
    raw : DataFrame, `EVIDENCE`
        All rows of some queries; a donor that has a term by several kinds of evidence speaks once.
    summary : DataFrame
        Of `report.tables.summarise`, for the same queries.
    spaces : sequence of (model, layer)
        All spaces of the run.

    Returns
    -------
    DataFrame
        `EVIDENCE`, with ``protein`` (the query, also when ``accession`` becomes a gene) and ``final_score``: the mean
        of the summary's over all spaces, where a space without the term counts 0; NaN where nothing is weighted.
    """
    columns = [name for model, layer in spaces if (name := f"final_score_{model}_L{layer}") in summary]
    scores = summary[["accession", "go_id"]].copy()
    scores["final_score"] = summary[columns].fillna(0.0).mean(axis=1) if columns else np.nan
    voices = raw[list(EVIDENCE)].drop_duplicates(["accession", "go_id", "model_name", "layer_index", "protein_id"])
    return voices.merge(scores, on=["accession", "go_id"], how="left").assign(protein=lambda lines: lines["accession"])


def implied(evidence: pd.DataFrame, ontology: Ontology) -> pd.DataFrame:
    """Let each donor speak for all that its terms imply, too.

    Returns
    -------
    DataFrame
        As given, one line per protein, implied term, space and donor, with the best ``final_score`` of the terms that
        imply it; a term that is not current implies itself alone.
    """
    import pandas as pd

    code, go_ids = pd.factorize(evidence["go_id"])
    groups = ontology.implications(go_ids)
    starts = np.cumsum([0, *map(len, groups)])
    above = pd.Series([go_id for group in groups for go_id in group], dtype="str")
    line, which = _expanded(code, starts)
    wide = evidence.take(line).assign(go_id=above.array.take(which))
    known = dict(zip(ontology.go_ids.tolist(), map(ASPECTS.get, ontology.aspects.tolist()), strict=True))
    category = wide["go_id"].map(known)
    wide["category"] = category.where(category.notna(), wide["category"]).astype("str")
    keys = ["accession", "protein", "go_id", "model_name", "layer_index", "protein_id"]
    best = wide.groupby(["accession", "go_id"], sort=False)["final_score"].transform("max")
    return wide.assign(final_score=best).drop_duplicates(keys).reset_index(drop=True)


def _expanded(code: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Repeat each line for every member of its group; return lines and members."""
    count = np.diff(starts)[code] if len(code) else np.empty(0, np.int64)
    line = np.repeat(np.arange(len(code)), count)
    within = np.arange(len(line)) - np.repeat(np.cumsum(count) - count, count)
    return line, (starts[code[line]] + within if len(line) else np.empty(0, np.int64))


def agree(evidence: pd.DataFrame, descriptions: Mapping[str, str]) -> pd.DataFrame:
    """Say for each protein, or gene, and term how reliable it is and how many agree.

    Parameters
    ----------
    evidence : DataFrame
        Of `evidence_of`, `genes.by_gene` or `implied`.
    descriptions : mapping of GO id to name

    Returns
    -------
    DataFrame, `schema.CONSENSUS`
        Proteins in order of appearance, terms in order of id. Nothing is rounded.
    """
    import pandas as pd

    unit, units = pd.factorize(evidence["accession"])
    term, go_ids = pd.factorize(evidence["go_id"], sort=True)
    donor, donors = pd.factorize(evidence["protein_id"])
    model = pd.factorize(evidence["model_name"])[0]
    layer, layers = pd.factorize(evidence["layer_index"])
    space = model * max(len(layers), 1) + layer
    isoform = pd.factorize(evidence["protein"])[0]
    reliability = evidence["reliability_index"].to_numpy(dtype="float64")

    # The most reliable voice of each protein and term comes first.
    order = np.lexsort((np.arange(len(unit)), -reliability, term, unit))
    group = unit[order].astype(np.int64) * max(len(go_ids), 1) + term[order]
    first = np.flatnonzero(np.r_[True, group[1:] != group[:-1]]) if len(group) else np.empty(0, np.int64)
    place = np.repeat(np.arange(len(first)), np.diff(np.r_[first, len(group)]))
    best = order[first]

    def distinct(codes: np.ndarray) -> np.ndarray:
        return np.bincount(_pairs(place, codes[order])[0], minlength=len(first))

    speaking, speaker = _pairs(place, donor[order], in_order=True)
    ends = np.searchsorted(speaking, np.arange(len(first)), "right").tolist()
    accessions = np.asarray(donors, dtype=object)[speaker].tolist()
    score = evidence["final_score"].to_numpy(dtype="float64")[order]
    columns = {
        "accession": pd.Series(units, dtype="str").take(unit[best]).array,
        "go_id": pd.Series(go_ids, dtype="str").take(term[best]).array,
        "category": evidence["category"].array.take(best),
        "go_description": pd.Series([descriptions.get(go_id, "") for go_id in go_ids], dtype="str")
        .take(term[best])
        .array,
        "best_reliability": reliability[best],
        "mean_reliability": np.bincount(place, reliability[order], len(first)) / np.maximum(np.bincount(place), 1),
        "final_score": np.fmax.reduceat(score, first) if len(first) else np.empty(0),
        "models": distinct(model),
        "layers": distinct(space),
        "donors": distinct(donor),
        "proteins": distinct(isoform),
        "identity": evidence["identity"].to_numpy(dtype="float64")[best],
        "donor_ids": [tuple(accessions[start:end]) for start, end in zip([0, *ends], ends, strict=False)],
    }
    return pd.DataFrame(columns, columns=names(CONSENSUS))


def _pairs(place: np.ndarray, codes: np.ndarray, *, in_order: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct pairs of group and code by group; within a group by code, or in order of appearance."""
    key = place * (int(codes.max(initial=0)) + 1) + codes
    first = np.unique(key, return_index=True)[1]
    chosen = np.sort(first) if in_order else first
    return place[chosen], codes[chosen]


def most_specific(consensus: pd.DataFrame, ontology: Ontology) -> pd.DataFrame:
    """Leave out each term that another term of the same protein implies."""
    import pandas as pd

    unit = pd.factorize(consensus["accession"])[0]
    code, go_ids = pd.factorize(consensus["go_id"])
    known = {go_id: i for i, go_id in enumerate(go_ids)}
    groups = [
        [known[a] for a in group if a in known and a != go_id]
        for go_id, group in zip(go_ids, ontology.implications(go_ids), strict=True)
    ]
    starts = np.cumsum([0, *map(len, groups)])
    line, which = _expanded(code, starts)
    above = np.array([a for group in groups for a in group], dtype=np.int64)[which]
    n = max(len(go_ids), 1)
    said_already = np.isin(unit.astype(np.int64) * n + code, unit[line].astype(np.int64) * n + above)
    return consensus[~said_already].reset_index(drop=True)


def support(evidence: pd.DataFrame, ontology: Ontology) -> pd.DataFrame:
    """Score each protein and implied term by the share of donors that carry it, as CAFA's evaluation wants it.

    A donor weighs the inverse of its distance, among the donors with any term of the aspect; over several embedding
    spaces the shares are averaged, over several isoforms the best counts.

    Parameters
    ----------
    evidence : DataFrame
        Of `evidence_of` or `genes.by_gene`; not of `implied`.
    ontology : Ontology

    Returns
    -------
    DataFrame
        ``accession, go_id, score``, score in (0, 1]; proteins in order of appearance, terms in order of id.

    References
    ----------
    Littmann et al. (2021) Embeddings from deep learning transfer GO annotations beyond homology. Scientific Reports
    11, 1160: an average over neighbours; here it is weighted by distance.
    """
    wide = implied(evidence, ontology)
    wide = wide.assign(weight=1.0 / wide["distance"].clip(lower=NEAREST))
    space = ["accession", "protein", "model_name", "layer_index"]
    speaking = wide.drop_duplicates([*space, "category", "protein_id"])
    whole = speaking.groupby([*space, "category"], sort=False)["weight"].sum().rename("whole").reset_index()
    spaces = whole.drop_duplicates(space).groupby(["accession", "protein"], sort=False).size().rename("spaces")
    shares = wide.groupby([*space, "category", "go_id"], sort=False)["weight"].sum().reset_index()
    shares = shares.merge(whole, on=[*space, "category"]).assign(score=lambda lines: lines["weight"] / lines["whole"])
    mean = shares.groupby(["accession", "protein", "go_id"], sort=False)["score"].sum().reset_index()
    mean = mean.merge(spaces.reset_index(), on=["accession", "protein"])
    mean["score"] = (mean["score"] / mean["spaces"]).clip(upper=1.0)
    best = mean.groupby(["accession", "go_id"], sort=False)["score"].max().reset_index()
    order = best["accession"].map({a: i for i, a in enumerate(evidence["accession"].unique())})
    return best.assign(order=order).sort_values(["order", "go_id"], ignore_index=True).drop(columns="order")
