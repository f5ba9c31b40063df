"""What `initialize` is about to fetch, told before it is, and whether the disks have room for it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..download import RemoteFile, remote_size
from ..errors import InputError
from ..locations import existing_above

if TYPE_CHECKING:
    from ..embed.models import ModelSpec

__all__ = ["fetch_plan"]

ROOM = {"reference": 4, "ontology": 2, "taxonomy_dump": 9}
"""How many times the size of a download disks have to hold at most, the download included: a reference is laid down
twice while it is made, and a taxonomy unpacks to eight times its size. All but the download is where it belongs."""


def fetch_plan(
    missing: Mapping[str, tuple[Path, Sequence[RemoteFile]]], specs: Sequence[ModelSpec], folder: Path
) -> str:
    """Say what is to be fetched, and how much disk it takes.

    Parameters
    ----------
    missing : mapping
        Of the reference, the ontology and the taxonomy dump those that are not there: where each belongs, and the files
        that it is made from.
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

    parts, needs, sure = [], [], True
    for what, (path, files) in missing.items():
        sizes = [remote_size(remote) for remote in files]
        sure = sure and None not in sizes
        total = sum(size or 0 for size in sizes)
        needs += [(folder, total), (path, total * (ROOM[what] - 1))]
        told = _amount(total) if None not in sizes else "size not told"
        parts.append(f"{what} ({', '.join(remote.url for remote in files)}, {told})")
    weights = {spec: size for spec in specs if (size := download_bytes(spec))}
    parts += [f"model {spec.key} ({spec.checkpoint}, {spec.size})" for spec in weights]
    needs.append((Path(constants.HF_HUB_CACHE), sum(weights.values())))
    total = sum(size for _, size in needs)
    takes = f"takes {'up to' if sure else 'more than'} {_amount(total)} of disk" if total or sure else "of unknown size"
    text = f"to be fetched: {'; '.join(parts)}; {takes}"
    free = _check_room(needs, text)
    return f"{text}, {free} free"


def _check_room(needs: Sequence[tuple[Path, int]], text: str) -> str:
    """Compare what folders take with what their disks have; two folders may be on one."""
    disks: dict[int, tuple[Path, int]] = {}
    for folder, size in needs:
        room = existing_above(folder)
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
