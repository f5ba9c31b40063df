"""Weights ahead of time: which models are known and at hand, what has to be fetched, and whether it came whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import InputError
from .checkpoints import checkpoint_folder, fetch_checkpoint, is_cached
from .models import ModelSpec, model_keys, model_spec

__all__ = ["check_files", "describe_models", "download_bytes", "prepare_models"]

UNITS = {"MB": 10**6, "GB": 10**9}


def describe_models() -> str:
    """Return a table of all known models, and whether their weights are on this machine; nothing is loaded.

    Examples
    --------
    >>> print(describe_models())
    model         d     layers  download  cached  number  licence
    ESM           1280  34      2.6 GB    ...
    """
    head = ("model", "d", "layers", "download", "cached", "number", "licence")
    rows = [head]
    for spec in map(model_spec, model_keys()):
        cached = "yes" if is_cached(spec) else "no"
        number = str(spec.type_id or "-")
        rows.append((spec.key, str(spec.dimension), str(spec.layers), spec.size, cached, number, spec.licence))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def prepare_models(
    specs: Sequence[ModelSpec],
    *,
    offline: bool = False,
    check: bool = False,
    tell: Callable[[str], object] = print,
) -> None:
    """Fetch the weights that are not at hand and verify all of them, so that a run needs no network.

    Parameters
    ----------
    specs : sequence of ModelSpec
    offline : bool
        Fetch nothing, and say what is missing.
    check : bool
        Load every model on the CPU as well, one after the other, and try its tokenizer.
    tell : callable
        Receives a line on what is to be fetched before it is, and one on every model that is ready.

    Raises
    ------
    InputError
        If weights are missing and cannot be fetched, or are not whole.
    """
    missing = [spec for spec in specs if not is_cached(spec)]
    if missing and offline:
        raise InputError(
            f"not on this machine: {', '.join(map(_named, missing))}. Run `fantasia-dask initialize CONFIG --models` "
            "with a network, or give each model as a local folder."
        )
    if missing:
        tell(f"to be fetched: {', '.join(map(_named, missing))}")
    for spec in specs:
        folder = fetch_checkpoint(spec) if spec in missing else checkpoint_folder(spec)
        check_files(spec, folder)
        if check:
            _load_once(spec)
        tell(f"{spec.key}: {'loads and ' if check else ''}is whole, in {folder}")


def download_bytes(spec: ModelSpec) -> int:
    """Return the bytes that fetching a model takes; 0 if it is on this machine, or nobody told."""
    if not spec.size or is_cached(spec):
        return 0
    amount, unit = spec.size.split()
    return int(float(amount) * UNITS[unit])


def _named(spec: ModelSpec) -> str:
    return f"{spec.key} ({spec.checkpoint}{', ' + spec.size if spec.size else ''})"


def check_files(spec: ModelSpec, folder: Path) -> None:
    """Compare what the files of a checkpoint say of themselves with what is there; no tensor is read.

    Raises
    ------
    InputError
        If a file that an index names is missing, or a safetensors file is not as long as its header says.
    """
    for index in folder.glob("*.index.json"):
        named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        if lost := sorted(name for name in named if not (folder / name).is_file()):
            raise InputError(f"the weights of {spec.key} in {folder} lack {', '.join(lost)}: fetch them again.")
    for file in sorted(folder.glob("*.safetensors")):
        expected, found = _safetensors_size(file), file.stat().st_size
        if expected != found:
            raise InputError(
                f"the weights of {spec.key} are damaged: {file} has {found} bytes, and its header tells of "
                f"{expected or 'nothing that can be read'}. Delete it and fetch it again."
            )


def _safetensors_size(file: Path) -> int:
    """Return how long the header says that the file is; 0 if the header cannot be read."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 0 < length <= file.stat().st_size:
            return 0
        try:
            header = json.loads(stream.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return 0
    return 8 + length + max(ends, default=0)


def _load_once(spec: ModelSpec) -> None:
    """Load a model on the CPU and let go of it: the guard of the tokenizer and of the weights."""
    import gc

    from .resident import load

    load(spec, "cpu")
    gc.collect()
