"""Where the weights of a model are: a local folder, the cache of the hub, or the hub itself."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from .models import ModelSpec

__all__ = ["checkpoint_folder", "fetch_checkpoint", "is_cached", "local_revision"]

TEXT_FILES = ("config.json", "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "spiece.model")
SAFETENSORS = ("model*.safetensors", "model.safetensors.index.json")
PICKLED = ("pytorch_model*.bin", "pytorch_model.bin.index.json")


def local_revision(folder: Path) -> str:
    """Return a short SHA-256 of the weights, configuration and vocabulary in a folder.

    Two checkpoints never share a revision, so vectors of a stand-in are never taken for those of the real model.
    """
    digest = hashlib.sha256()
    for pattern in (*TEXT_FILES, *SAFETENSORS, *PICKLED):
        for file in sorted(folder.glob(pattern)):
            digest.update(file.name.encode())
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return "sha256-" + digest.hexdigest()[:12]


def _has_weights(folder: Path) -> bool:
    return any(any(folder.glob(pattern)) for pattern in (SAFETENSORS[0], PICKLED[0]))


def _cached_folder(spec: ModelSpec) -> Path | None:
    """Return the folder of a checkpoint in the cache of the hub, without touching the network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(spec.checkpoint, revision=spec.revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    return folder if (folder / "config.json").is_file() and _has_weights(folder) else None


def is_cached(spec: ModelSpec) -> bool:
    """Tell whether a model can be loaded without the network."""
    return spec.local or _cached_folder(spec) is not None


def checkpoint_folder(spec: ModelSpec) -> Path:
    """Return the folder with the weights of a model; nothing is fetched.

    Raises
    ------
    InputError
        If it is not there.
    """
    if spec.local:
        folder = Path(spec.checkpoint)
        if not _has_weights(folder):
            raise InputError(f"{folder} has no weights: expected model.safetensors or pytorch_model.bin beside them.")
        return folder
    cached = _cached_folder(spec)
    if cached is None:
        raise InputError(
            f"the weights of {spec.key} ({spec.checkpoint}, {spec.revision}) are not in the cache of this machine: "
            "run `fantasia-dask initialize CONFIG --models` with a network, or give the model as a local folder."
        )
    return cached


def fetch_checkpoint(spec: ModelSpec) -> Path:
    """Return the folder with the weights of a model, downloading them when they are not cached.

    Safetensors are preferred; a checkpoint that has none is fetched as ``pytorch_model.bin``. ``HF_HOME`` and
    ``HF_HUB_OFFLINE`` are honoured.

    Raises
    ------
    InputError
        At once, if the weights are neither cached nor within reach.
    """
    from huggingface_hub import constants

    if is_cached(spec) or constants.HF_HUB_OFFLINE:
        return checkpoint_folder(spec)
    return _download(spec)


def _download(spec: ModelSpec) -> Path:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    # The hub's client raises the errors of whichever HTTP library it is built on; its own error inherits from them.
    unreachable: tuple[type[Exception], ...] = (*HfHubHTTPError.__bases__, OSError)
    try:
        # One question without retries: where no hub answers, the user learns it in seconds.
        answer = HfApi().model_info(spec.checkpoint, revision=spec.revision, timeout=6)
        files = [Path(sibling.rfilename) for sibling in answer.siblings or []]
        weights = SAFETENSORS if any(file.match(SAFETENSORS[0]) for file in files) else PICKLED
        folder = snapshot_download(spec.checkpoint, revision=spec.revision, allow_patterns=[*TEXT_FILES, *weights])
    except unreachable as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"the weights of {spec.key} ({spec.checkpoint}) are not in the cache and cannot be downloaded ({reason}): "
            "check the network, run `fantasia-dask initialize CONFIG --models` where there is one, "
            "or give the model as a local folder."
        ) from error
    return Path(folder)
