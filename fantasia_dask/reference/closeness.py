"""Whether two proteins are one another's near copy, told by aligning them: the last word of the strict mode.

Aligning every hit would be slow, and is rarely needed: an alignment of L columns of which a share I are equal is cut
by its unequal columns into at most (1 - I) L + 1 runs, so one run is at least I L / ((1 - I) L + 1) long, and both
sequences hold that word. At an identity of 0.9 this word has 8 or 9 letters, and hardly any pair shares one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Align", "CloseTest", "may_be_close"]

Align: TypeAlias = "Callable[[Sequence[tuple[str, str]]], pd.DataFrame]"
"""Aligns pairs: columns identity, identity_sw and alignment_length_sw, as `annotate.alignment.align_pairs`."""

SHOWN = 5e-5
"""Tables show identities with four decimals: one that is shown as the limit counts as the limit."""


class CloseTest:
    """Tell of pairs of queries and donors whether they are at or above an identity.

    They are when their global alignment has that share of equal columns; or when their local alignment has it and is
    long enough: with a coverage, at least that share of the shorter sequence; without one, so long that its equal
    columns alone are the identity's share of the shorter sequence, which is then a piece of the longer one; or when
    they are among the pairs known already. A donor whose sequence is not known cannot be shown to be no copy, so it
    counts as close.

    Parameters
    ----------
    query_sequences, reference_sequences : iterables of str, lengths q and r
        In row order; empty where a sequence is not known.
    identity, coverage : float
        Between 0 and 1.
    align : Align
        What aligns pairs of sequences.
    known : pair of int arrays, shape (p,), optional
        Rows of pairs known to be close, as `redundancy.close_pairs` returns them.

    Examples
    --------
    >>> import pandas as pd
    >>> def align(pairs):  # of equal lengths, without gaps
    ...     same = [np.mean([x == y for x, y in zip(*pair)]) for pair in pairs]
    ...     return pd.DataFrame({"identity": same, "identity_sw": same, "alignment_length_sw": 8})
    >>> test = CloseTest(["MKTAYIAK"], ["MKTAYIAR", "MKTWWWWW"], identity=0.8, coverage=0, align=align)
    >>> test(np.array([0, 0]), np.array([0, 1]))
    array([ True, False])
    """

    def __init__(
        self,
        query_sequences: Iterable[str],
        reference_sequences: Iterable[str],
        *,
        identity: float,
        coverage: float,
        align: Align,
        known: tuple[np.ndarray, np.ndarray] | None = None,
    ):
        self.queries = [sequence.upper() for sequence in query_sequences]
        self.donors = [sequence.upper() for sequence in reference_sequences]
        self.identity, self.coverage, self.align = identity, coverage, align
        q_rows, r_rows = known if known is not None else (np.empty(0, np.int64), np.empty(0, np.int64))
        # What was aligned is remembered: the spaces of a run ask for the same pairs again.
        self._known = dict.fromkeys(zip(map(int, q_rows), map(int, r_rows), strict=True), True)

    def __call__(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Tell of each pair of rows whether it is close.

        Parameters
        ----------
        queries, rows : int arrays, shape (p,)

        Returns
        -------
        bool array, shape (p,)

        Raises
        ------
        InputError
            If the sequence of a query is not known.
        """
        pairs = list(zip(np.asarray(queries).tolist(), np.asarray(rows).tolist(), strict=True))
        verdicts = {pair: self._at_a_glance(*pair) for pair in dict.fromkeys(pairs)}
        doubtful = [pair for pair, verdict in verdicts.items() if verdict is None]
        if doubtful:
            table = self.align([(self.queries[query], self.donors[row]) for query, row in doubtful])
            aligned = dict(zip(doubtful, self._close(doubtful, table).tolist(), strict=True))
            self._known |= aligned
            verdicts |= aligned
        return np.fromiter((verdicts[pair] for pair in pairs), bool, len(pairs))

    def _at_a_glance(self, query: int, row: int) -> bool | None:
        """Tell whether a pair is close where that takes no alignment; None where it does."""
        if (query, row) in self._known:
            return self._known[query, row]
        asking, donor = self.queries[query], self.donors[row]
        if not asking:
            raise InputError(
                f"the sequence of query row {query} is not known, and redundancy_mode: identity aligns it with its "
                "donors: give FASTA, or vectors that come with sequences."
            )
        if asking == donor or not donor:
            return True
        return None if may_be_close(asking, donor, self.identity, self.coverage) else False

    def _close(self, pairs: Sequence[tuple[int, int]], table: pd.DataFrame) -> np.ndarray:
        least = self.identity - SHOWN
        shorter = np.array([min(len(self.queries[q]), len(self.donors[r])) for q, r in pairs])
        columns, alike = table["alignment_length_sw"].to_numpy(), table["identity_sw"].to_numpy()
        covered = columns >= self.coverage * shorter if self.coverage else columns * alike >= least * shorter
        return (table["identity"].to_numpy() >= least) | (covered & (alike >= least))


def may_be_close(query: str, donor: str, identity: float, coverage: float) -> bool:
    """Tell whether two sequences can pass for close at all; False is certain.

    Parameters
    ----------
    query, donor : str
        Upper-case letters, at least one.
    identity, coverage : float
        As for `CloseTest`.

    Returns
    -------
    bool

    Examples
    --------
    >>> may_be_close("MKTAYIAKQRQISFVK", "MKTAYIAKQRQISFVKS", 0.9, 0)
    True
    >>> may_be_close("MKTAYIAKQRQISFVK", "AAAAAAAAAAAAAAAA", 0.9, 0.8)
    False
    >>> may_be_close("MKTAYIAKQRQISFVK", "AKQRQ", 0.9, 0)
    True
    """
    shorter, longer = sorted((len(query), len(donor)))
    least = identity - SHOWN
    words = []
    # The columns of a global alignment are no fewer than the longer sequence, its equal ones no more than the shorter.
    if shorter >= least * longer:
        words.append(_word(longer, least))
    # A local alignment has as many columns as the coverage demands, or as it has equal ones.
    words.append(_word(max(1, math.ceil((coverage or least) * shorter - 1e-9)), least))
    return _share(query, donor, min(words))


def _word(columns: int, identity: float) -> int:
    """Return how long a run of equal columns an alignment of that many columns, or more, must have."""
    return math.ceil(identity * columns / ((1 - identity) * columns + 1) - 1e-9)


def _share(query: str, donor: str, length: int) -> bool:
    if length <= 1:
        return True
    words = _words(query, length)
    return any(donor[i : i + length] in words for i in range(len(donor) - length + 1))


@lru_cache(maxsize=64)
def _words(sequence: str, length: int) -> frozenset[str]:
    return frozenset(sequence[i : i + length] for i in range(len(sequence) - length + 1))
