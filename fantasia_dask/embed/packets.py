"""What one model still has to compute, cut into packets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..errors import InputError
from ..schema import Space
from ..store import CHUNK_ROWS, EmbeddingStore
from .assemble import Inputs, Layer, stored_before
from .cache import Part, clear_abandoned, find_parts
from .checkpoints import fetch_checkpoint
from .models import EmbeddingRequest, ModelSpec
from .resident import compute_dtype
from .schedule import Progress, run_packets
from .worker import Packet, PacketResult

__all__ = ["ModelRun", "cut_packets", "parts_folder"]


def parts_folder(cache: Path, model: ModelSpec, profile: str, device: str) -> Path:
    """Return the folder of committed vectors that may stand for one another: one model, revision and profile.

    Vectors computed in half precision have a folder of their own.
    """
    precision = compute_dtype(model, device)
    name = f"{model.key}-{model.revision[:19]}-{profile}" + ("" if precision == "float32" else f"-{precision}")
    return cache / quote(name, safe="")


def cut_packets(texts: dict[str, str], packet_size: int) -> Iterator[list[str]]:
    """Cut distinct sequences into packets of similar length.

    Parameters
    ----------
    texts : dict of str to str
        Digest and letters of each sequence, in the order of the input.
    packet_size : int

    Yields
    ------
    list of str
        Digests. Depends on the input alone; sorted by length within windows of `CHUNK_ROWS`, so that what is
        computed together is also stored together.
    """
    digests = list(texts)
    for window in range(0, len(digests), CHUNK_ROWS):
        ordered = sorted(digests[window : window + CHUNK_ROWS], key=lambda digest: len(texts[digest]))
        for start in range(0, len(ordered), packet_size):
            yield ordered[start : start + packet_size]


class ModelRun:
    """One model's share of a run: the sequences it can take, the layers wanted, and what is already there.

    Attributes
    ----------
    texts : dict of str to str
        Distinct sequences by digest, in the order of the input, without those that the model cannot take.
    layers : list of Layer
        One per layer asked for.
    """

    def __init__(
        self,
        request: EmbeddingRequest,
        inputs: Inputs,
        *,
        profile: str,
        device: str,
        dtype: str | None,
        cache: Path,
        previous: EmbeddingStore | None,
        cpu_fallback: bool,
    ):
        self.request, self.profile, self.device, self.cpu_fallback = request, profile, device, cpu_fallback
        self.folder = parts_folder(cache, request.model, profile, device)
        distinct = dict(zip(inputs.digests, inputs.texts, strict=True))
        failures = {digest: reason for digest, text in distinct.items() if (reason := _unfit(request.model, text))}
        self.texts = {digest: text for digest, text in distinct.items() if digest not in failures}
        self.layers = [
            Layer(space, stored_before(previous, space, self.texts), dict(failures))
            for space in _spaces(request, profile, dtype or _stored_dtype(request.model, device))
        ]

    def run(self, packet_size: int, client: Any, report: Progress) -> None:
        """Compute and commit what is missing, and note in `layers` where every vector lies."""
        self._find_committed()
        packets = [packet for digests in cut_packets(self.texts, packet_size) if (packet := self._missing(digests))]
        key = self.request.model.key
        report.add(len(self.texts) - sum(len(packet.sequences) for packet in packets), f"embedding with {key}")
        if not packets:
            return
        fetch_checkpoint(self.request.model)
        for packet, result in run_packets(packets, client):
            self._note(packet, result)
            report.add(len(packet.sequences), f"embedding with {key}")

    def _find_committed(self) -> None:
        """Look for parts that an earlier run, or another one, has committed."""
        clear_abandoned(self.folder)
        wanted = {digest for layer in self.layers for digest in self.texts if digest not in layer.found}
        found = find_parts(self.folder, wanted, [layer.space.layer for layer in self.layers]) if wanted else {}
        for layer in self.layers:
            layer.found = found.get(layer.space.layer, {}) | layer.found

    def _missing(self, digests: list[str]) -> Packet | None:
        """Return what of a packet has to be computed, if anything."""
        lacking = [layer for layer in self.layers if any(digest not in layer.found for digest in digests)]
        if not lacking:
            return None
        sequences = [self.texts[d] for d in digests if any(d not in layer.found for layer in lacking)]
        return Packet(
            model=self.request.model,
            layers=tuple(layer.space.layer for layer in lacking),
            profile=self.profile,
            batch_size=self.request.batch_size,
            device=self.device,
            sequences=tuple(sequences),
            folder=os.fspath(self.folder),
            cpu_fallback=self.cpu_fallback,
        )

    def _note(self, packet: Packet, result: PacketResult) -> None:
        """Note where the vectors of a packet lie and which proteins failed."""
        wanted = [layer for layer in self.layers if layer.space.layer in packet.layers]
        for layer in wanted:
            layer.failures.update({d: why for d, why in result.failures.items() if d not in layer.found})
        if result.path is None:
            return
        if not Path(result.path).exists():
            raise InputError(
                f"{result.path} was written by a worker and is not seen from here: give embedding.cache (or the run "
                "folder) on a file system that this machine and the workers share."
            )
        part = Part(result.path)
        for layer in wanted:
            layer.found |= {d: (part, row) for row, d in enumerate(part.digests()) if d not in layer.found}


def _unfit(model: ModelSpec, text: str) -> str:
    """Say why a model cannot take a sequence, or nothing."""
    if not text:
        return "the sequence is empty"
    if model.max_residues is not None and len(text) > model.max_residues:
        return (
            f"{len(text)} residues, and {model.key} takes at most {model.max_residues}: "
            f"set max_sequence_length to {model.max_residues}"
        )
    return ""


def _stored_dtype(model: ModelSpec, device: str) -> str:
    return compute_dtype(model, device)


def _spaces(request: EmbeddingRequest, profile: str, dtype: str) -> list[Space]:
    model = request.model
    return [
        Space(model.key, layer, model.dimension, profile, model.name, model.revision, dtype)
        for layer in sorted(set(request.layers))
    ]
