"""What `initialize` is about to fetch, told before it is, and whether the disks have room for it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..download import RemoteFile, remote_size
from ..errors import InputError

if TYPE_CHECKING:
    from ..embed.models import ModelSpec

__all__ = ["fetch_plan"]

ROOM = {"reference": 4, "ontology": 2, "taxonomy_dump": 9}
"""How many times the size of a download the disk has to hold at most, the download included: a reference is laid down
twice while it is made, and a taxonomy unpacks to eight times its size."""


def fetch_plan(remotes: dict[str, list[RemoteFile]], specs: Sequence[ModelSpec], folder: Path) -> str:
    """Say what is to be fetched, and how much disk it takes.

    Parameters
    ----------
    remotes : dict
        The files of the reference, ontology and taxonomy dump that are not there.
    specs : sequence of ModelSpec
        The models; their weights are counted where they are not on this machine.
    folder
        Where downloads go.

    Raises
    ------
    InputError
        If a disk has less room, or a server cannot be reached.
    """
    from huggingface_hub import constants

    from ..embed.weights import download_bytes

    parts, known, sure = [], 0, True
    for what, files in remotes.items():
        sizes = [remote_size(remote) for remote in files]
        sure = sure and None not in sizes
        total = sum(size or 0 for size in sizes)
        known += total * ROOM[what]
        told = _amount(total) if None not in sizes else "size not told"
        parts.append(f"{what} ({', '.join(remote.url for remote in files)}, {told})")
    weights = {spec: size for spec in specs if (size := download_bytes(spec))}
    parts += [f"model {spec.key} ({spec.checkpoint}, {spec.size})" for spec in weights]
    takes = f"takes {'up to' if sure else 'more than'} {_amount(known + sum(weights.values()))} of disk"
    text = f"to be fetched: {'; '.join(parts)}; {takes}"
    free = _check_room([(folder, known), (Path(constants.HF_HUB_CACHE), sum(weights.values()))], text)
    return f"{text}, {free} free"


def _check_room(needs: Sequence[tuple[Path, int]], text: str) -> str:
    """Compare what folders take with what their disks have; two folders may be on one."""
    disks: dict[int, tuple[Path, int]] = {}
    for folder, size in needs:
        room = next(above for above in (folder.absolute(), *folder.absolute().parents) if above.exists())
        disk = room.stat().st_dev
        first, before = disks.get(disk, (room, 0))
        disks[disk] = (first, before + size)
    told: list[str] = []
    for room, size in disks.values():
        free = shutil.disk_usage(room).free
        if size > free:
            raise InputError(f"{text}, and {room} has {_amount(free)} free: make room, or choose other folders.")
        told += [f"{room} has {_amount(free)}"] if size or not told else []
    return " and ".join(told)


def _amount(size: float) -> str:
    """Return an amount of bytes as people write it.

    Examples
    --------
    >>> _amount(2_504_000_000)
    '2.5 GB'
    """
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.{0 if unit == 'bytes' else 1}f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
