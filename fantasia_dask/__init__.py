"""Gene Ontology annotation of proteins by similarity in embedding space, out of core, on Dask.

The names below are the front door; each is imported when it is first used, so that ``import fantasia_dask`` costs
next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .annotate.transfer import transfer_terms
    from .cluster import connect
    from .config import load_config
    from .embed.blocks import embed_proteins
    from .errors import FantasiaWarning, InputError
    from .explore.run import open_run
    from .lookup.blockwise import nearest_neighbours
    from .pipeline import build_reference, run, write_report
    from .pipeline.plan import plan_run
    from .reference.bundle import open_reference
    from .sequences import read_fasta
    from .store import open_store

__all__ = [
    "FantasiaWarning",
    "InputError",
    "__version__",
    "build_reference",
    "connect",
    "embed_proteins",
    "load_config",
    "nearest_neighbours",
    "open_reference",
    "open_run",
    "open_store",
    "plan_run",
    "read_fasta",
    "run",
    "transfer_terms",
    "write_report",
]

_HOMES = {
    "FantasiaWarning": "errors",
    "InputError": "errors",
    "build_reference": "pipeline",
    "connect": "cluster",
    "embed_proteins": "embed.blocks",
    "load_config": "config",
    "nearest_neighbours": "lookup.blockwise",
    "open_reference": "reference.bundle",
    "open_run": "explore.run",
    "open_store": "store",
    "plan_run": "pipeline.plan",
    "read_fasta": "sequences",
    "run": "pipeline",
    "transfer_terms": "annotate.transfer",
    "write_report": "pipeline",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
