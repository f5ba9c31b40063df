"""The page of a run, `report.html`: its tables, and what the ontology says of the terms in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Config
from ..ledger import open_files
from ..run_folder import RunFolder
from ..settings import PostprocessSettings
from .choices import genes_of
from .exports import Vocabulary
from .made_from import page_made_from

if TYPE_CHECKING:
    from ..report.overview import Slim
    from .files import FinishedRun

__all__ = ["write_page_of", "write_plain_page"]


def write_page_of(run: FinishedRun, vocabulary: Vocabulary) -> Path:
    """Write ``report.html`` and ``figures/`` of a run whose tables are written; nothing else is changed."""
    from ..report.html import write_page
    from ..report.overview import gather_overview

    proteins_with = vocabulary.ontology.proteins_with(vocabulary.table("annotations"))
    post = run.config.postprocess
    overview = gather_overview(
        run.folder,
        manifest=run.manifest,
        config=run.config.model_dump(mode="json"),
        spaces=run.pairs,
        proteins_with=dict(zip(vocabulary.ontology.go_ids, proteins_with.tolist(), strict=True)),
        slim=_slim(vocabulary),
        genes=genes_of(post, run.headers if post.by_gene else {}),
    )
    return write_page(overview, run.folder.path)


def write_plain_page(folder: RunFolder, config: Config, manifest: Mapping[str, Any]) -> list[Path]:
    """Write ``report.html`` after `only_embedding`, if it is wanted: of the proteins, and nothing of terms."""
    from ..report.html import REPORT, write_page
    from ..report.overview import gather_overview

    made_from = {"report": page_made_from(folder, config, manifest)} if config.report else {}
    ledger = open_files(folder, made_from, day=manifest["started"], among=["report"])
    if ledger.lacks("report"):
        with ledger.making("report"):
            write_page(gather_overview(folder, manifest=manifest, config=config.model_dump(mode="json")), folder.path)
    return [folder.path / REPORT] if config.report else []


def _slim(vocabulary: Vocabulary) -> Slim | None:
    """Return the configured slim; where there is none, the terms right below the roots."""
    from ..report.overview import Slim
    from ..schema import ASPECTS

    ontology = vocabulary.ontology
    if (table := vocabulary.slim()) is not None:
        wanted = vocabulary.run.config.postprocess.slim
        usual = wanted == PostprocessSettings.model_fields["slim"].default
        name = "the terms of GO's generic slim" if usual else f"the terms of the slim {Path(wanted).name}"
        broad = [go_id for go_id in table["go_id"] if ontology.depth(go_id) > 0]
    else:
        name = "the terms right below the roots of the Gene Ontology"
        broad = ontology.go_ids[ontology.depths == 1].tolist()
    if not broad:
        return None
    return Slim(
        name,
        {go_id: vocabulary.descriptions.get(go_id, "") for go_id in broad},
        dict(zip(broad, (ASPECTS.get(a, "") for a in ontology.aspects[ontology.places(broad)]), strict=True)),
        lambda go_ids: ontology.slim(go_ids, broad, implied=True),
    )
