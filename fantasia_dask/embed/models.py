"""The registry of protein language models: data, no code of any model.

Adding a model of a known family is one row of `ROWS`; its weights may also be given as a local folder.

What becomes of letters outside the twenty residues (sequences arrive upper case, without gaps and stops, see
`fantasia_dask.sequences`):

========  ==========================================================================================
family    letters
========  ==========================================================================================
esm2      X, B, U, Z and O have tokens of their own and are kept; J becomes X
esmc      X, B, U, Z and O have tokens of their own and are kept; J becomes X
t5        U, Z, O, B and J become X (ProtT5, ProstT5); the Ankh models keep what their vocabulary knows
========  ==========================================================================================

In every family a letter that the tokenizer does not know becomes X: one residue is one token, always.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import InputError, did_you_mean

__all__ = ["FAMILIES", "PROFILES", "EmbeddingRequest", "ModelSpec", "check_layers", "model_keys", "model_spec"]

FAMILIES = ("esm2", "t5", "esmc")
PROFILES = ("pis-3.1", "clean")


@dataclass(frozen=True)
class ModelSpec:
    """One protein language model: what it is, and what it needs.

    Attributes
    ----------
    key : str
        FANTASIA's name of the model, or one of ours.
    checkpoint : str
        A name on the Hugging Face hub, or the path of a local folder.
    revision : str
        Pinned commit on the hub (``"main"`` where none is pinned), or a short digest of the local files.
    family : {"esm2", "t5", "esmc"}
        Which module loads and runs it.
    dimension : int
        d, the length of a vector.
    layers : int
        Entries of ``hidden_states``: the transformer blocks and the embedding layer. Valid layers are 0 .. layers - 1.
    max_residues : int or None
        The longest sequence the architecture can take; None where only memory limits it.
    trained_residues : int or None
        The longest sequence it saw in training, where its authors tell; longer ones run.
    type_id : int
        FANTASIA's number of the model, 0 for those it does not know.
    prefix : str
        Put before the residues.
    spaced : bool
        Whether residues are separated by blanks.
    rare_to_x : bool
        Whether U, Z, O and B become X.
    size : str
        Of the download.
    licence : str
        Of the weights; read the model card.
    """

    key: str
    checkpoint: str
    revision: str
    family: str
    dimension: int
    layers: int
    max_residues: int | None = None
    trained_residues: int | None = None
    type_id: int = 0
    prefix: str = ""
    spaced: bool = False
    rare_to_x: bool = False
    size: str = ""
    licence: str = ""

    @property
    def name(self) -> str:
        """What a store notes as the checkpoint: a local folder by its last name, no path of a machine."""
        return Path(self.checkpoint).name if self.local else self.checkpoint

    @property
    def local(self) -> bool:
        """Whether the checkpoint is a folder on disk."""
        return Path(self.checkpoint).is_dir()


@dataclass(frozen=True)
class EmbeddingRequest:
    """Which layers of which model, and how many proteins it may see at once.

    Attributes
    ----------
    model : ModelSpec
    layers : tuple of int
        Counted from the output, 0 = last.
    batch_size : int
        Proteins of one forward pass, at the most.
    """

    model: ModelSpec
    layers: tuple[int, ...]
    batch_size: int = 8


def _esm2(key: str, name: str, revision: str, blocks: int, dimension: int, size: str, type_id: int = 0) -> ModelSpec:
    checkpoint = f"facebook/esm2_{name}_UR50D"
    return ModelSpec(
        key,
        checkpoint,
        revision,
        "esm2",
        dimension,
        blocks + 1,
        trained_residues=1022,
        type_id=type_id,
        size=size,
        licence="MIT",
    )


def _prott5(key: str, name: str, revision: str, size: str, licence: str, type_id: int, prefix: str = "") -> ModelSpec:
    return ModelSpec(
        key,
        f"Rostlab/{name}",
        revision,
        "t5",
        1024,
        25,
        type_id=type_id,
        prefix=prefix,
        spaced=True,
        rare_to_x=True,
        size=size,
        licence=licence,
    )


def _ankh(
    key: str, name: str, revision: str, dimension: int, size: str, type_id: int = 0, prefix: str = ""
) -> ModelSpec:
    return ModelSpec(
        key,
        f"ElnaggarLab/{name}",
        revision,
        "t5",
        dimension,
        49,
        type_id=type_id,
        prefix=prefix,
        size=size,
        licence="CC BY-NC-SA 4.0: not for commercial use",
    )


def _esmc(key: str, name: str, blocks: int, dimension: int, size: str, licence: str, type_id: int = 0) -> ModelSpec:
    return ModelSpec(
        key,
        f"biohub/{name}",
        "main",
        "esmc",
        dimension,
        blocks,
        trained_residues=2046,
        type_id=type_id,
        size=size,
        licence=licence,
    )


AFL = "Academic Free License 3.0"

ROWS = (
    _esm2("ESM", "t33_650M", "08e4846e537177426273712802403f7ba8261b6c", 33, 1280, "2.6 GB", type_id=1),
    _prott5("Prot-T5", "prot_t5_xl_uniref50", "973be27c52ee6474de9c945952a8008aeb2a1a73", "11.3 GB", AFL, 3),
    _prott5("Prost-T5", "ProstT5", "d7d097d5bf9a993ab8f68488b4681d6ca70db9e5", "11.3 GB", "MIT", 2, "<AA2fold> "),
    _ankh("Ankh3-Large", "ankh3-large", "2be091622e8a393f0ef21735070084123c874b6e", 1536, "7.5 GB", 4, "[NLU]"),
    _esmc("ESM3c", "ESMC-600M", 36, 1152, "2.3 GB", "Cambrian Non-Commercial License", type_id=5),
    _esm2("ESM2-8M", "t6_8M", "c731040fcd8d73dceaa04b0a8e6329b345b0f5df", 6, 320, "31 MB"),
    _esm2("ESM2-35M", "t12_35M", "6fbf070e65b0b7291e7bbcd451118c216cff79d8", 12, 480, "136 MB"),
    _esm2("ESM2-150M", "t30_150M", "a695f6045e2e32885fa60af20c13cb35398ce30c", 30, 640, "595 MB"),
    _prott5(
        "Prot-T5-half", "prot_t5_xl_half_uniref50-enc", "94a6abc029ae13029317b140b7424e012bf8dfbf", "2.4 GB", AFL, 0
    ),
    _ankh("Ankh-Base", "ankh-base", "main", 768, "3.0 GB"),
    _ankh("Ankh-Large", "ankh-large", "main", 1536, "7.5 GB"),
    _esmc("ESMC-300M", "ESMC-300M", 30, 960, "1.3 GB", "Cambrian Open License"),
)

KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")

REGISTRY = {spec.key: spec for spec in ROWS}


def model_keys() -> tuple[str, ...]:
    """Return the keys of all known models, FANTASIA's five first.

    Examples
    --------
    >>> model_keys()[:5]
    ('ESM', 'Prot-T5', 'Prost-T5', 'Ankh3-Large', 'ESM3c')
    """
    return tuple(REGISTRY)


def model_spec(key: str, checkpoint: str | os.PathLike[str] | None = None, family: str | None = None) -> ModelSpec:
    """Look up a model, or describe one whose weights are given.

    Parameters
    ----------
    key : str
        A key of the registry; any name when `checkpoint` and `family` are given.
    checkpoint : optional
        A local folder (then dimension, layers and revision are read from its files), or another name on the hub.
    family : {"esm2", "t5", "esmc"}, optional
        Needed for a key that is not in the registry.

    Raises
    ------
    InputError
        If the model is unknown, or the checkpoint is not one of its family.

    Examples
    --------
    >>> model_spec("ESM").dimension
    1280
    >>> model_spec("Prot-T6")
    Traceback (most recent call last):
        ...
    fantasia_dask.errors.InputError: unknown model Prot-T6. Did you mean Prot-T5? A model ...
    """
    if not KEY.fullmatch(key):
        raise InputError(f"model key {key!r} cannot name a folder: use letters, digits, '.', '_', '+' and '-'.")
    known = REGISTRY.get(key)
    if known is None and (checkpoint is None or family is None):
        raise InputError(
            f"unknown model {key}.{did_you_mean(key, REGISTRY)} A model that is not in the registry "
            f"({', '.join(REGISTRY)}) needs a checkpoint and a family ({', '.join(FAMILIES)})."
        )
    family = family or (known.family if known else "")
    if family not in FAMILIES:
        raise InputError(f"model {key} has family {family!r}: expected {', '.join(FAMILIES)}.")
    if checkpoint is None:
        assert known is not None
        return known
    base = known if known and known.family == family else ModelSpec(key, "", "main", family, 0, 0)
    folder = Path(checkpoint).expanduser()
    if folder.is_dir():
        return _local_spec(base, folder.resolve())
    return _hub_spec(base, os.fspath(checkpoint))


def _hub_spec(base: ModelSpec, checkpoint: str) -> ModelSpec:
    """Describe another checkpoint of the hub; its dimensions must be known."""
    same = [spec for spec in ROWS if spec.checkpoint == checkpoint]
    if same:
        return replace(same[0], key=base.key, type_id=base.type_id)
    raise InputError(
        f"checkpoint {checkpoint} of model {base.key} is neither a folder nor a checkpoint of the registry: "
        "download it and give the path of its folder."
    )


# How each family's config.json names its width and depth, and how many layers FANTASIA counts beyond the blocks: the
# embedding layer is layer number `blocks` of ESM-2 and T5, and none of ESM-C.
CONFIG_KEYS = {
    "esm2": ("esm", "hidden_size", "num_hidden_layers", 1),
    "t5": ("t5", "d_model", "num_layers", 1),
    "esmc": ("esmc", "hidden_size", "num_hidden_layers", 0),
}


def _local_spec(base: ModelSpec, folder: Path) -> ModelSpec:
    """Describe the checkpoint in a folder: what its files say goes over what the registry says."""
    from .checkpoints import local_revision

    config = _read_config(folder)
    model_type, width, depth, beyond = CONFIG_KEYS[base.family]
    found = str(config.get("model_type"))
    if found.lower() != model_type:
        raise InputError(
            f"{folder} holds a model of type {found!r}: {base.key} needs one of family {base.family} ({model_type!r})."
        )
    if lacking := [key for key in (width, depth) if not isinstance(config.get(key), int)]:
        raise InputError(f"{folder}/config.json does not tell {' and '.join(lacking)}: fetch the checkpoint again.")
    return replace(
        base,
        checkpoint=str(folder),
        revision=local_revision(folder),
        dimension=int(config[width]),
        layers=int(config[depth]) + beyond,
        max_residues=_position_limit(config) or base.max_residues,
        size="",
    )


def _read_config(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder} has no config.json: expected a checkpoint saved by transformers.") from None
    except ValueError as error:
        raise InputError(f"{file} is not JSON ({error}): fetch the checkpoint again.") from None


def _position_limit(config: dict[str, Any]) -> int | None:
    """Return the longest sequence of a model with learned positions (ESM-1b); rotary models have no such limit."""
    if config.get("model_type") != "esm" or config.get("position_embedding_type", "absolute") != "absolute":
        return None
    # Positions are counted from padding_idx + 1, and <cls> and <eos> take two.
    return int(config["max_position_embeddings"]) - int(config.get("pad_token_id") or 1) - 1 - 2


def check_layers(model: ModelSpec, layers: tuple[int, ...]) -> None:
    """Refuse a layer that the model does not have.

    Raises
    ------
    InputError
        Naming the layer and those that exist.

    Examples
    --------
    >>> check_layers(model_spec("ESM"), (0, 40))
    Traceback (most recent call last):
        ...
    fantasia_dask.errors.InputError: layer 40 is not in ESM: it has layers 0 .. 33.
    """
    if not layers:
        raise InputError(f"no layer of {model.key} is asked for: expected some of 0 .. {model.layers - 1}.")
    for layer in layers:
        if not 0 <= layer < model.layers:
            raise InputError(f"layer {layer} is not in {model.key}: it has layers 0 .. {model.layers - 1}.")
