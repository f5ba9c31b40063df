"""Mistakes that the user can mend, told apart from bugs."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["FantasiaWarning", "InputError", "did_you_mean"]


class InputError(Exception):
    """Something the user gave is wrong, and the user can put it right.

    The message is one sentence (two at the most): what was found, where, what was expected, what to do.
    The command line prints it without a traceback and exits with code 2; any other exception is a bug.

    Examples
    --------
    >>> raise InputError("ants.fasta holds no protein: expected at least one '>' header.")
    Traceback (most recent call last):
        ...
    fantasia_dask.errors.InputError: ants.fasta holds no protein: expected at least one '>' header.
    """


class FantasiaWarning(UserWarning):
    """Something that the user should know and that does not stop the work."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a sentence that names the known word nearest to `word`, or an empty string.

    Examples
    --------
    >>> did_you_mean("distence_metric", ["distance_metric", "device"])
    ' Did you mean distance_metric?'
    >>> did_you_mean("zzz", ["distance_metric"])
    ''
    """
    nearest = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {nearest[0]}?" if nearest else ""
