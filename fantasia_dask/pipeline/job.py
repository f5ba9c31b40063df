"""A run before anything is written: read the inputs and refuse what cannot work."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..config import Config, warn_bounded_batches
from ..errors import FantasiaWarning, InputError
from .choices import check_choices

if TYPE_CHECKING:
    import pandas as pd

    from ..embed.models import EmbeddingRequest
    from ..reference.bundle import Reference
    from ..sequences import Protein

__all__ = ["Job", "check", "requests_of", "warn"]

VECTOR_SUFFIXES = {".zarr", ".h5", ".hdf5", ".npz"}


@dataclass(frozen=True)
class Job:
    """A run that has been checked.

    Attributes
    ----------
    config : Config
    proteins : sequence of Protein
        The queries; when vectors are given, those of `sequences`, in an order of their own.
    requests : tuple of EmbeddingRequest or None
        The models to run; None when vectors are given.
    profile : str or None
        The pooling convention of the queries; None when it is whatever the given vectors have.
    reference : Reference or None
        None when only vectors are wanted.
    allowed : bool array, shape (proteins of the reference,), or None
        Which of its proteins passed the taxonomy filter.
    own_terms : three of DataFrame, or None
        Annotations, terms and relations of the run: in the release of `ontology`, of before `annotations_before`. None
        when neither is set, and those of the reference hold.
    """

    config: Config
    proteins: Sequence[Protein]
    requests: tuple[EmbeddingRequest, ...] | None
    profile: str | None
    reference: Reference | None
    allowed: np.ndarray | None
    own_terms: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame] | None = None

    @property
    def annotations(self) -> pd.DataFrame:
        """The annotations that may be lent, `schema.ANNOTATIONS`."""
        assert self.reference is not None
        return self.reference.annotations if self.own_terms is None else self.own_terms[0]

    def headers_of(self, accessions: Iterable[str]) -> dict[str, str]:
        """Return the FASTA header of each protein by its accession; of vectors without headers, the accession."""
        known = {p.accession: f"{p.accession} {p.description}".rstrip() for p in self.proteins}
        return {str(accession): known.get(accession, str(accession)) for accession in accessions}

    def check_choices(self, headers: Callable[[], Mapping[str, str]]) -> None:
        """Refuse settings that say nothing of these queries, or of this reference; see `choices.check_choices`."""
        if self.reference is not None:
            terms = self.reference.terms if self.own_terms is None else self.own_terms[1]
            check_choices(self.config, headers, self.reference.subsets, terms["go_id"].tolist())

    @property
    def wanted(self) -> list[tuple[str, int]]:
        """The models and layers that the configuration asks for."""
        models = self.config.embedding.enabled_models
        return [(key, layer) for key, model in models.items() for layer in model.layer_index]


def warn(message: str) -> None:
    """Tell the user something that does not stop the run."""
    warnings.warn(message, FantasiaWarning, stacklevel=2)


def check(config: Config) -> Job:
    """Read the inputs and refuse what cannot work; nothing is written.

    Raises
    ------
    InputError
        In the words that the user needs.
    """
    from ..reference.bundle import open_reference
    from ..sequences import read_fasta

    reference = None if config.only_embedding else open_reference(_fetched_reference(config))
    allowed = None if reference is None else _allowed_proteins(config, reference)
    own = None if reference is None else _own_terms(config, reference)
    if Path(config.input).suffix.lower() in VECTOR_SUFFIXES:
        if config.only_embedding:
            raise InputError(f"input {config.input} holds vectors, and only_embedding is true: expected FASTA.")
        return Job(config, _proteins_beside(config), None, config.embedding.profile, reference, allowed, own)
    for name in ("vectors_key", "sequences"):
        if getattr(config, name) is not None:
            raise InputError(f"{name} is set, but input {config.input} is not a file of vectors: leave it out.")
    if config.only_lookup:
        raise InputError(
            f"only_lookup is true, but input {config.input} is not a file of vectors: expected .zarr, .h5 or .npz."
        )
    warn_bounded_batches(config)
    proteins = read_fasta(config.input, skip_invalid=config.invalid_proteins == "skip")
    job = Job(config, proteins, requests_of(config), _profile(config, reference), reference, allowed, own)
    job.check_choices(lambda: job.headers_of(p.accession for p in proteins))
    return job


def _proteins_beside(config: Config) -> list[Protein]:
    """Read the FASTA that goes with vectors: each protein by its name there, and by UniProt's accession in that name.

    UniProt's own files of vectors say P12345 where its FASTA says sp|P12345|NAME.
    """
    from ..reference.sources import bare_accession
    from ..sequences import read_fasta

    if config.sequences is None:
        return []
    proteins = read_fasta(config.sequences)
    return [*(replace(protein, accession=bare_accession(protein.accession)) for protein in proteins), *proteins]


def _fetched_reference(config: Config) -> Path:
    """Return the folder of the reference; one that has yet to be fetched is no riddle."""
    folder = config.require_reference()
    if config.sources.reference.url is not None and not folder.exists():
        raise InputError(f"reference {folder} is not there yet: `fantasia-dask initialize CONFIG` fetches it.")
    return folder


def requests_of(config: Config) -> tuple[EmbeddingRequest, ...]:
    """Describe the models, refusing those that are unknown, not there, or lack a layer."""
    from ..embed.models import EmbeddingRequest, check_layers, model_spec

    requests = []
    for key, model in config.embedding.enabled_models.items():
        spec = model_spec(key, model.checkpoint, model.family)
        check_layers(spec, model.layer_index)
        requests.append(EmbeddingRequest(spec, model.layer_index, config.embedding.effective_batch_size(key)))
    return tuple(requests)


def _profile(config: Config, reference: Reference | None) -> str:
    """Return the pooling convention: the one asked for, else the reference's, else the models' authors'."""
    if config.embedding.profile:
        return config.embedding.profile
    models = config.embedding.enabled_models
    known = {s.profile for s in reference.spaces if s.model in models} - {"unknown"} if reference else set()
    if len(known) > 1:
        raise InputError(
            f"{config.reference} holds vectors of the profiles {' and '.join(sorted(known))}: "
            "set embedding.profile to one of them."
        )
    return known.pop() if known else "clean"


def _allowed_proteins(config: Config, reference: Reference) -> np.ndarray:
    """Tell which reference proteins pass the taxonomy filter: shape (proteins,), bool."""
    from ..reference.taxonomy import protein_mask

    allowed = protein_mask(
        reference.proteins,
        exclude=config.taxonomy_ids_to_exclude,
        include=config.taxonomy_ids_included_exclusively,
        descendants=config.get_descendants,
        dump=config.taxonomy_dump,
        taxonomy=reference.taxonomy,
    )
    if not allowed.any():
        raise InputError(
            f"no protein of reference {reference.path} passes the taxonomy filter: check taxonomy_ids_to_exclude and "
            "taxonomy_ids_included_exclusively."
        )
    return allowed


def _own_terms(config: Config, reference: Reference) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame] | None:
    """Take the annotations of the reference that are early enough, in the release of the configured ontology."""
    from ..reference.build import current_annotations
    from ..reference.dates import dated_before
    from ..reference.obo import read_obo

    day = config.annotations_before
    if config.ontology is None and day is None:
        return None
    annotations, terms, relations = reference.annotations, reference.terms, reference.relations
    if day is not None:
        early = dated_before(annotations, day)
        if not early.any():
            raise InputError(f"no annotation of reference {reference.path} is of before {day}: set a later day.")
        annotations = annotations[early].reset_index(drop=True)
    if config.ontology is not None:
        graph = read_obo(config.ontology)
        annotations, counts = current_annotations(annotations, graph)
        dropped = counts["annotations_obsolete_dropped"] + counts["annotations_unknown_dropped"]
        if dropped:
            warn(f"{dropped} annotations of the reference have no current term in {config.ontology}: left out.")
        terms, relations = graph.terms, graph.relations
    return annotations, terms, relations
