"""FANTASIA-Lite's bundle: one npz of vectors and two JSON files.

``lookup_table.npz`` holds ``ids`` and ``embeddings``, or for each of several models ``<prefix>_ids`` and
``<prefix>_embeddings``; ``annotations.json`` the GO terms of each id; ``accessions.json`` its accession. There are no
sequences and no taxa; a FASTA file can bring them.
"""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...interchange import TYPE_IDS
from ...interchange.npz import npz_table
from ...interchange.table import VectorTable
from ...progress import Progress
from ...schema import ANNOTATIONS, names
from ..build import ReferenceTables
from .tables import letter_of, reference_tables
from .vector_files import known_proteins, number_proteins, place_vectors

__all__ = ["import_lite", "is_lite"]

VECTORS, ANNOTATED, ACCESSIONS = "lookup_table.npz", "annotations.json", "accessions.json"
SUFFIX = "embeddings"
MODEL_WORDS = {
    "prott5": "Prot-T5",
    "prostt5": "Prost-T5",
    "ankh3": "Ankh3-Large",
    "esm3c": "ESM3c",
    "esmc": "ESM3c",
    "esm2": "ESM",
    "esm": "ESM",
}


def is_lite(path: Path) -> bool:
    """Tell whether a folder is FANTASIA-Lite's bundle, or a file its table of vectors."""
    return (path / VECTORS).is_file() or (path.name == VECTORS and path.is_file())


def import_lite(
    source: Path,
    scratch: Path,
    *,
    ontology: str | os.PathLike[str] | None = None,
    evidence: Collection[str] | None = None,
    fasta: str | os.PathLike[str] | None = None,
    model: str | None = None,
    layer: int | None = None,
    profile: str | None = None,
    progress: Progress,
) -> tuple[ReferenceTables, Path]:
    """Read the bundle; return the tables, and a store with their vectors in the folder `scratch`.

    Raises
    ------
    InputError
        If a file is missing or not of its shape, holds Python objects, or does not say which model made its vectors.
    """
    import pandas as pd

    folder = source if source.is_dir() else source.parent
    files = [
        npz_table(folder / VECTORS, name, layer or 0, array, profile or "unknown")
        for array, name in _arrays(folder / VECTORS, model)
    ]
    number_of = {name: i for i, name in enumerate(dict.fromkeys(name for table in files for name in table.ids))}
    accessions = _accessions(list(number_of), folder / ACCESSIONS)
    proteins = number_proteins(accessions, known_proteins(fasta), folder / VECTORS)
    lines, terms, counts = _annotations(number_of, folder / ANNOTATED)
    tables = reference_tables(
        proteins,
        pd.DataFrame(lines, columns=names(ANNOTATIONS)),
        terms,
        ontology=ontology,
        evidence=evidence,
        counts=counts,
        sources=[folder / VECTORS, folder / ANNOTATED, folder / ACCESSIONS, *([Path(fasta)] if fasta else [])],
    )
    placed = [(table, number_of) for table in _distinct(files, folder / VECTORS)]
    return tables, place_vectors(placed, tables, scratch, folder / VECTORS, progress)


def _arrays(path: Path, model: str | None) -> list[tuple[str, str]]:
    """Find the arrays of vectors, and the model that each of them is of."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(f"{SUFFIX}.npy")]
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read as npz ({error}): fetch it again.") from error
    if not members:
        raise InputError(f"{path} has no array of vectors: expected 'embeddings' or '<model>_embeddings'.")
    if model is not None:
        if len(members) > 1:
            raise InputError(f"{path} holds several models ({', '.join(members)}): leave --model out.")
        return [(members[0], model)]
    return [(member, _model_of(member, path)) for member in members]


def _model_of(member: str, path: Path) -> str:
    """Tell the model by the name of its array: ``prot_t5_embeddings``."""
    word = "".join(c for c in member.removesuffix(SUFFIX).lower() if c.isalnum())
    for start, model in MODEL_WORDS.items():
        if word.startswith(start):
            return model
    raise InputError(
        f"{path}: array {member!r} does not say which model made it: give --model ({', '.join(TYPE_IDS)})."
    )


def _distinct(files: list[VectorTable], path: Path) -> list[VectorTable]:
    models = [table.spaces[0].model for table in files]
    if len(set(models)) < len(models):
        raise InputError(f"{path} holds two arrays of one model ({', '.join(models)}): expected one each.")
    return files


# The two JSON files -------------------------------------------------------------------------------------------------


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing: expected it beside {VECTORS}.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}): fetch it again.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is a JSON {type(content).__name__}: expected an object with one entry per id.")
    return content


def _accessions(ids: list[str], path: Path) -> list[str]:
    """Return the accession of each id; the id itself where it has none, or one that was given before."""
    accession_of = _read_object(path)
    found: dict[str, None] = {}
    for name in ids:
        accession = accession_of.get(name, name)
        if not isinstance(accession, str):
            raise InputError(f"{path}: the accession of {name!r} is {str(accession)[:40]}: expected a text.")
        chosen = accession if accession and accession not in found else name
        if chosen in found:
            raise InputError(f"{path}: {chosen!r} is both an id and the accession of another: expected distinct names.")
        found[chosen] = None
    return list(found)


def _annotations(
    number_of: dict[str, int], path: Path
) -> tuple[list[tuple[int, str, str, str, str, str, str]], list[tuple[str, str, str]], dict[str, int]]:
    """Read the annotations: lines of `schema.ANNOTATIONS`, the terms they name, and what is left out."""
    lines = []
    names_of: dict[tuple[str, str], str] = {}
    counts = {"annotations_other_protein": 0}
    for name, entries in _read_object(path).items():
        if not isinstance(entries, list):
            raise InputError(f"{path}: the entry of {name!r} is no list: expected one object per GO term.")
        if name not in number_of:
            counts["annotations_other_protein"] += len(entries)
            continue
        for entry in entries:
            go_id, category, description, code = _fields(entry, name, path)
            aspect = letter_of(category, f"term {go_id} of {name!r} in {path}")
            names_of.setdefault((go_id, aspect), description)
            lines.append((number_of[name], go_id, aspect, code, "", "", ""))
    by_id = {go_id: (go_id, text, aspect) for (go_id, aspect), text in names_of.items()}
    return lines, list(by_id.values()), counts


def _fields(entry: object, name: str, path: Path) -> list[str]:
    keys = ("go_id", "category", "go_description", "evidence_code")
    values = [entry.get(key, "") for key in keys] if isinstance(entry, dict) else []
    texts = [sys.intern(value) for value in values if isinstance(value, str)]
    if len(texts) < len(keys) or not texts[0]:
        raise InputError(f"{path}: an annotation of {name!r} is {str(entry)[:60]}: expected texts {', '.join(keys)}.")
    return texts
