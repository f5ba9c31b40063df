"""Who computes: this process, or the workers of a Dask cluster that somebody else opened."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..errors import InputError, did_you_mean
from ..store import sequence_digest
from .worker import Packet, PacketResult, embed_packet, release_model

__all__ = ["Progress", "resolve_device", "run_packets"]

DEVICES = ("auto", "cpu", "cuda")


class Progress:
    """Count proteins and pass the count on.

    Parameters
    ----------
    call : callable or None
        Receives proteins done, proteins in all, and what is being done.
    total : int
        Distinct sequences, times models.
    """

    def __init__(self, call: Callable[[int, int, str], None] | None, total: int):
        self.call, self.total, self.done = call, total, 0

    def add(self, proteins: int, description: str) -> None:
        """Note that some more proteins are done."""
        self.done += proteins
        if self.call is not None:
            self.call(self.done, self.total, description)


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def resolve_device(device: str, client: Any = None) -> str:
    """Turn ``auto`` into what the workers have.

    Raises
    ------
    InputError
        If the device is unknown, or a GPU is asked for where none is found.
    """
    if device not in DEVICES:
        raise InputError(f"unknown device {device!r}.{did_you_mean(device, DEVICES)} Expected {', '.join(DEVICES)}.")
    if device == "cpu":
        return device
    found = client.submit(_has_cuda, pure=False).result() if client is not None else _has_cuda()
    if device == "cuda" and not found:
        raise InputError("device is cuda, but no GPU was found where the models run: set it to auto or cpu.")
    return "cuda" if found else "cpu"


def run_packets(packets: Sequence[Packet], client: Any = None) -> Iterator[tuple[Packet, PacketResult]]:
    """Compute packets and hand them out as they are done; the models are released at the end.

    Parameters
    ----------
    packets : sequence of Packet
    client : distributed.Client, optional
        Without one the packets are computed here, in order.
    """
    try:
        if client is None:
            packets = [replace(packet, driver=os.getpid()) for packet in packets]
            yield from ((packet, embed_packet(packet)) for packet in packets)
        else:
            yield from _run_on_cluster(packets, client)
    finally:
        if client is None:
            release_model()
        elif client.status == "running":
            client.run(release_model)


def _run_on_cluster(packets: Sequence[Packet], client: Any) -> Iterator[tuple[Packet, PacketResult]]:
    """Keep a bounded number of packets on the cluster; results are paths, so the scheduler stays light."""
    from distributed import KilledWorker, as_completed

    where = client.run(_whereabouts)
    packets = _share_cores(packets, list(where.values()))
    waiting = list(reversed(packets))
    packet_of: dict[Any, Packet] = {}

    def submit(packet: Packet) -> Any:
        future = client.submit(embed_packet, packet, pure=False, key=f"embed-packet-{os.urandom(8).hex()}")
        packet_of[future] = packet
        return future

    first = [submit(waiting.pop()) for _ in range(min(len(waiting), 2 * max(1, len(where)) + 2))]
    queue = as_completed(first)
    try:
        for future in queue:
            packet = packet_of.pop(future)
            try:
                result = future.result()
            except KilledWorker:
                result, halves = _after_a_kill(packet)
                waiting += halves
            future.release()
            while waiting and len(packet_of) < 2 * max(1, len(where)) + 2:
                queue.add(submit(waiting.pop()))
            if result is not None:
                yield packet, result
    finally:
        client.cancel(list(packet_of))


def _after_a_kill(packet: Packet) -> tuple[PacketResult | None, list[Packet]]:
    """Halve a packet that took its workers with it, until the protein that does so is alone and can be named."""
    if len(packet.sequences) > 1:
        middle = len(packet.sequences) // 2
        parts = (packet.sequences[:middle], packet.sequences[middle:])
        return None, [replace(packet, sequences=part) for part in parts]
    reason = f"the worker was killed, most likely out of memory, with {len(packet.sequences[0])} residues"
    return PacketResult(None, {sequence_digest(packet.sequences[0]): reason}), []


def _whereabouts() -> tuple[str, int]:
    return socket.gethostname(), os.getpid()


def _share_cores(packets: Sequence[Packet], where: list[tuple[str, int]]) -> list[Packet]:
    """Tell every packet how many worker processes share the busiest host."""
    processes = max(Counter(host for host, _ in set(where)).values(), default=1)
    return [replace(packet, driver=os.getpid(), processes=processes) for packet in packets]
