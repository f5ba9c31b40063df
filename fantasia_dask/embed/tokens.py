"""Residues to token ids: one residue is one token, and a tokenizer for which that is not so is refused.

The tokenizer of a checkpoint is asked once, when the model is loaded, for the id of every letter and for what it
puts before and after a sequence. From then on a sequence is encoded by a table, so that no sequence, however it
looks, can come out with more or fewer tokens than residues.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

import numpy as np

from ..errors import InputError

__all__ = ["RESIDUES", "Encoder", "read_encoder"]

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
RARE = "UZOB"


@dataclass(frozen=True)
class Encoder:
    """Turn sequences into token ids.

    Attributes
    ----------
    before, after : tuple of int
        Token ids that surround every sequence: ``<cls>``, a prefix, ``</s>``.
    table : int array, shape (26,)
        Token id of each letter, A to Z.
    pad : int
        Token id that fills a batch; it is masked out.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    table: np.ndarray
    pad: int

    def encode(self, sequence: str) -> np.ndarray:
        """Return the token ids of a sequence, shape (len(before) + L + len(after),), int64."""
        letters = np.frombuffer(sequence.encode("ascii"), np.uint8) - ord("A")
        return np.concatenate([self.before, self.table[letters], self.after]).astype(np.int64)


def read_encoder(
    tokenizers: Iterable[Callable[[], Any]], text: Callable[[str], str], rare_to_x: bool, where: str
) -> Encoder:
    """Take the first tokenizer that gives each residue one token of its own.

    Parameters
    ----------
    tokenizers
        Ways to load the tokenizer of one checkpoint, best first.
    text
        What is shown to the tokenizer for a sequence.
    rare_to_x : bool
        Whether U, Z, O and B are read as X.
    where : str
        The checkpoint, for the error.

    Raises
    ------
    InputError
        If no tokenizer does, as when its file is missing and every residue would be ``<unk>``.
    """
    complaints = []
    for load in tokenizers:
        try:
            return _examine(load(), text, rare_to_x)
        except (_Unfit, OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
            complaints.append(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
    raise InputError(
        f"the tokenizer in {where} is wrong or missing ({'; '.join(dict.fromkeys(complaints))}): every residue needs a "
        "token of its own. Fetch the checkpoint again, with all its tokenizer files."
    )


class _Unfit(Exception):
    """This tokenizer does not give one token per residue."""


def _examine(tokenizer: Any, text: Callable[[str], str], rare_to_x: bool) -> Encoder:
    """Read the ids of all letters off a tokenizer, and check them on whole sequences."""

    def ids(sequence: str) -> list[int]:
        return list(tokenizer(text(sequence))["input_ids"])

    start, stop = _residue_span(ids)
    single = {letter: ids(letter) for letter in ascii_uppercase}
    known = {
        letter: tokens[start]
        for letter, tokens in single.items()
        if len(tokens) == start + 1 + stop and tokens[start] != tokenizer.unk_token_id
    }
    if missing := [letter for letter in RESIDUES if letter not in known]:
        raise _Unfit(f"it does not know the residues {''.join(missing)}")
    if len({known[letter] for letter in RESIDUES}) != len(RESIDUES):
        raise _Unfit("it gives one id to several residues")
    if "X" not in known:
        raise _Unfit("it does not know X")
    first = single["A"]
    before, after = tuple(first[:start]), tuple(first[start + 1 :])
    _check_sequences(ids, before, known, after)
    rare = RARE if rare_to_x else ""
    table = np.array([known["X"] if c in rare else known.get(c, known["X"]) for c in ascii_uppercase], np.int64)
    pad = tokenizer.pad_token_id
    return Encoder(before, after, table, int(pad) if pad is not None else 0)


def _residue_span(ids: Callable[[str], list[int]]) -> tuple[int, int]:
    """Return how many tokens stand before and after the residues: where ``A`` and ``C`` differ is the residue."""
    one, other = ids("A"), ids("C")
    places = [place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]]
    if len(one) != len(other) or len(places) != 1:
        raise _Unfit("A and C are not one token each")
    return places[0], len(one) - places[0] - 1


def _check_sequences(
    ids: Callable[[str], list[int]], before: tuple[int, ...], known: dict[str, int], after: tuple[int, ...]
) -> None:
    """Compare the table with the tokenizer itself, on sequences with every letter and with repeats."""
    letters = "".join(known)
    for probe in (RESIDUES, letters[::-1], "".join(2 * letter for letter in letters), "M" * 30):
        expected = [*before, *(known[letter] for letter in probe), *after]
        found = ids(probe)
        if len(found) != len(expected):
            raise _Unfit(f"{len(probe)} residues become {len(found) - len(before) - len(after)} tokens")
        if found != expected:
            raise _Unfit("the token of a residue changes with its place")
