"""The page of a run, `report.html`: its tables, and what the ontology says of the terms in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Config
from ..run_folder import RunFolder
from ..schema import ASPECTS

if TYPE_CHECKING:
    import pandas as pd

    from ..annotate.ontology import Ontology
    from ..reference.bundle import Reference
    from ..report.overview import Slim

__all__ = ["write_page_of"]

GENERIC_SLIM = "goslim_generic"


def write_page_of(
    folder: RunFolder,
    config: Config,
    manifest: Mapping[str, Any],
    reference: Reference | None,
) -> Path:
    """Write ``report.html`` and ``figures/`` of a run whose tables are written; nothing else is read or changed.

    Parameters
    ----------
    folder, config
    manifest : mapping
        What is known of the run, as for `FinishedRun`.
    reference : Reference or None
        What was looked up in; None after `only_embedding`.
    """
    import numpy as np
    import pandas as pd

    from ..annotate.ontology import Ontology
    from ..report.html import write_page
    from ..report.overview import gather_overview

    about: dict[str, Any] = {}
    if reference is not None:
        terms, annotations = reference.terms, reference.annotations
        if folder.newer_terms.exists():
            terms, annotations = pd.read_parquet(folder.newer_terms), pd.read_parquet(folder.newer_annotations)
        ontology = Ontology(terms, reference.relations)
        content = ontology.information_content(annotations)
        known = ~np.isnan(content)
        about = {
            "spaces": [(space["model"], space["layer"]) for space in manifest["spaces"]],
            "information": dict(zip(ontology.go_ids[known], content[known].tolist(), strict=True)),
            "slim": _slim(ontology, terms, reference.subsets),
        }
    overview = gather_overview(folder, manifest=manifest, config=config.model_dump(mode="json"), **about)
    return write_page(overview, folder.path)


def _slim(ontology: Ontology, terms: pd.DataFrame, subsets: pd.DataFrame | None) -> Slim | None:
    """Return GO's generic slim where the reference knows it, else the terms right below the roots."""
    from ..report.overview import Slim

    generic = [] if subsets is None else subsets["go_id"][subsets["subset"] == GENERIC_SLIM].tolist()
    broad = [go_id for go_id in generic if go_id in ontology and ontology.depth(go_id) > 0]
    name = "the terms of GO's generic slim"
    if not broad:
        broad, name = (
            ontology.go_ids[ontology.depths == 1].tolist(),
            "the terms right below the roots of the Gene Ontology",
        )
    if not broad:
        return None
    members = terms[terms["go_id"].isin(broad)].drop_duplicates("go_id")
    return Slim(
        name,
        dict(zip(members["go_id"], members["name"], strict=True)),
        dict(zip(members["go_id"], members["aspect"].map(ASPECTS), strict=True)),
        lambda go_ids: ontology.slim(go_ids, broad),
    )
