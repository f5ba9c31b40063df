"""What the user chooses that a run itself must bear out: the genes of its proteins, and the terms of a GO slim.

A run asks before it computes anything, and a report before it touches a file, so that a choice that cannot be met
costs no time and no results.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from ..config import Config, PostprocessSettings
from ..errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from ..annotate.ontology import Ontology

__all__ = ["check_choices", "genes_of", "knows_slim", "slim_of"]


def check_choices(
    config: Config, headers: Callable[[], Mapping[str, str]], subsets: pd.DataFrame | None, terms: Collection[str]
) -> None:
    """Refuse a gene map, a gene pattern or a slim that says nothing of this run.

    Parameters
    ----------
    config
    headers : callable
        Returns the FASTA header of each protein by its accession; of vectors without headers, the accession. Asked
        only where genes are wanted, as a proteome has many.
    subsets : DataFrame or None
        Those of the reference, `schema.SUBSETS`.
    terms : collection of str
        All GO ids of the ontology, current or not.

    Raises
    ------
    InputError
        Naming the setting, or the file.
    """
    from ..reference.obo import slim_terms

    if config.postprocess.by_gene:
        genes_of(config.postprocess, headers())
    if (config.report or "goslim" in config.exports) and knows_slim(config, subsets):
        wanted = config.postprocess.slim
        if not set(terms).intersection(slim_terms(wanted, subsets)):
            raise _no_term(wanted)


def genes_of(post: PostprocessSettings, headers: Mapping[str, str]) -> Mapping[str, str] | None:
    """Return the gene of each protein that has one; None when results are wanted per protein.

    Parameters
    ----------
    post
    headers : mapping of str to str
        What `check_choices` asks for.

    Raises
    ------
    InputError
        If the gene map cannot be read, or no protein has a gene.
    """
    from ..annotate.genes import genes_in_headers, read_gene_map

    if post.gene_map is not None:
        return read_gene_map(post.gene_map, headers)
    if post.gene_pattern is not None:
        return genes_in_headers(post.gene_pattern, headers)
    return None


def knows_slim(config: Config, subsets: pd.DataFrame | None) -> bool:
    """Tell whether there is a slim to speak of.

    There is none where nothing was configured, and the reference does not know the usual one, as none does that was
    made without a whole ontology.
    """
    wanted = config.postprocess.slim
    usual = wanted == PostprocessSettings.model_fields["slim"].default
    return not usual or (subsets is not None and wanted in set(subsets["subset"]))


def slim_of(config: Config, subsets: pd.DataFrame | None, ontology: Ontology) -> list[str]:
    """Return the terms of the slim as the ontology has them today, in order of id; none where `knows_slim` is False.

    Raises
    ------
    InputError
        If there is no such slim, or the ontology has none of its terms.
    """
    from ..reference.obo import slim_terms

    if not knows_slim(config, subsets):
        return []
    wanted = config.postprocess.slim
    current = {ontology.current(go_id) for go_id in slim_terms(wanted, subsets)}
    ids = sorted(go_id for go_id in current if go_id is not None)
    if not ids:
        raise _no_term(wanted)
    return ids


def _no_term(slim: str) -> InputError:
    return InputError(f"no term of the slim {slim} is in the ontology of the run: set postprocess.slim.")
