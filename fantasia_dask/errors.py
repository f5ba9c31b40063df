"""Mistakes that the user can mend, told apart from bugs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["FantasiaWarning", "InputError", "did_you_mean", "one_line"]

LONGEST = 1200
"""Characters of a message."""
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line ends, turned directions and half pairs."""


def one_line(text: str, longest: int = LONGEST) -> str:
    """Return a text as a terminal and a log show it and do not obey it, whatever file it came from; shortened.

    Examples
    --------
    >>> one_line("found 'a\\nb\\x1b[2J'."), one_line("x" * 5000, 20)
    ("found 'a b\\\\x1b[2J'.", 'xxxxxxxxxx ... xxxxx')
    """
    line = UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text.replace("\n", " "))
    return line if len(line) <= longest else f"{line[: longest // 2]} ... {line[-longest // 4 :]}"


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

    What a hostile or damaged file put into it stays one line that a terminal shows and does not obey.

    >>> str(InputError("found 'a\\nb\\x1b[2J'."))
    "found 'a b\\\\x1b[2J'."
    """

    def __str__(self) -> str:
        return one_line(super().__str__())


class FantasiaWarning(UserWarning):
    """Something that the user should know and that does not stop the work."""

    def __str__(self) -> str:
        return one_line(super().__str__())


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
