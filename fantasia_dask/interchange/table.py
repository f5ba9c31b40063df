"""What a file of vectors holds, told before any vector is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..errors import InputError
from ..schema import Space
from ..store import MAX_DIMENSION

__all__ = ["Blocks", "VectorTable", "cast_block", "check_dimension", "check_ids", "check_model", "stored_dtype"]

Blocks: TypeAlias = Iterator[tuple[np.ndarray, np.ndarray]]
"""Vectors (m, d), float, and whether each row has one, (m,) bool; all but the last block have the rows asked for."""


@dataclass(frozen=True)
class VectorTable:
    """The proteins and embedding spaces of one file, and a way to stream the vectors of a space.

    Attributes
    ----------
    ids : list of str
        One per protein, exactly as given.
    sequences : list of str
        One per protein; an empty string where the file has none.
    spaces : list of Space
        What the file holds; `dtype` is the one in which the vectors would be stored without loss or in float32.
    blocks : callable
        ``blocks(space, rows)`` yields the vectors of one space, `rows` proteins at a time, in the order of `ids`.
    attributes : dict
        What the file says about itself.
    """

    ids: list[str]
    sequences: list[str]
    spaces: list[Space]
    blocks: Callable[[Space, int], Blocks]
    attributes: dict[str, Any] = field(default_factory=dict)


def check_ids(ids: Sequence[str], path: Path) -> None:
    """Refuse a file without proteins, and one that has a protein without a name or names one twice."""
    if not ids:
        raise InputError(f"{path} holds no protein: expected at least one vector with its id.")
    seen: set[str] = set()
    for row, name in enumerate(ids):
        if not name:
            raise InputError(f"{path}: protein {row + 1} has an empty id; every protein needs a name.")
        if name in seen:
            raise InputError(f"{path} names protein {name!r} twice: every protein needs an id of its own.")
        seen.add(name)


def check_model(model: str | None, layer: int | None, path: Path) -> tuple[str, int]:
    """Return the model and layer of vectors whose file names neither; both must come from the user."""
    if not model or layer is None:
        raise InputError(
            f"{path} does not say which model made its vectors: give the model and the layer, "
            "for instance --model Prot-T5 --layer 0."
        )
    if "/" in model or model in (".", "..") or layer < 0:
        raise InputError(
            f"{model!r} layer {layer} cannot name an embedding space: "
            "expected a model name without '/' and a layer of 0 (the last) or more."
        )
    return model, layer


def check_dimension(shape: tuple[int, ...], what: str) -> int:
    """Return d for a vector of shape (d,) or (1, d), or refuse it in the name of its protein."""
    if len(shape) == 2 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) != 1:
        per_residue = " These look like vectors per residue: average them first." if len(shape) == 2 else ""
        raise InputError(f"{what} has an array of shape {shape}: expected one vector per protein.{per_residue}")
    if not 1 <= shape[0] <= MAX_DIMENSION:
        raise InputError(f"{what} has a vector of {shape[0]} numbers: expected 1 to {MAX_DIMENSION}.")
    return shape[0]


def stored_dtype(dtype: np.dtype, what: str) -> np.dtype:
    """Return the dtype in which vectors are kept: float16 stays, any other float becomes float32."""
    if dtype.kind != "f":
        raise InputError(f"{what} holds {dtype} values: expected floating-point vectors.")
    return np.dtype("float16" if dtype.itemsize == 2 else "float32")


def cast_block(vectors: np.ndarray, present: np.ndarray, space: Space, ids: Sequence[str], path: Path) -> np.ndarray:
    """Bring one block of vectors to the dtype of its space.

    Parameters
    ----------
    vectors : array, shape (m, d)
    present : bool array, shape (m,)
        Which rows hold a vector; what the others hold does not matter.
    space
    ids : sequence of str, length m or more
        For what is said of a vector.
    path
        Where they are from.

    Raises
    ------
    InputError
        Naming the first protein with a number that is not finite in that dtype.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        cast = np.asarray(vectors).astype(space.dtype)
    wrong = np.flatnonzero(present & ~np.isfinite(cast).all(axis=1))
    if len(wrong):
        raise InputError(
            f"{path}: the vector of protein {ids[wrong[0]]!r} ({space}) has a value that is not finite in "
            f"{space.dtype}: expected numbers. Compute it again or leave the protein out."
        )
    return cast
