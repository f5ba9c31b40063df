"""What became of every protein: the numbers behind a report, read from status.tsv a piece at a time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..schema import OUTCOME, REASONS_APART

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Account", "read_account"]

PIECE = 100_000
"""Lines of status.tsv that are in memory at a time."""

RESIDUES = r"^\d+ residues(?=, and )"
"""How the reason of a protein begins that is longer than its model can take."""

DISTINCT_REASONS = 1000
OTHER_REASON = "another reason: see status.tsv"


@dataclass(frozen=True)
class Account:
    """The proteins of a run, in the order of the input.

    Attributes
    ----------
    accessions : list of str
        Of the first proteins, as many as were asked for.
    residues : int64 array, shape (n,)
        The most that any model saw of a protein; 0 when it has no vector, or no sequence was given.
    embedded, truncated : bool arrays, shape (n,)
        With a vector in at least one space; shortened for at least one.
    terms : int64 array, shape (n,)
        The most terms that a protein got in one space.
    reason : int64 array, shape (n,)
        Place in `reasons`: why a protein failed or stayed without terms, in the first space that says so; -1 for none.
    reasons : list of str
    spaces : DataFrame
        model, layer, embedded, truncated, failed, answered (with a neighbour), annotated: proteins per space.
    """

    accessions: list[str]
    residues: np.ndarray
    embedded: np.ndarray
    truncated: np.ndarray
    terms: np.ndarray
    reason: np.ndarray
    reasons: list[str]
    spaces: pd.DataFrame

    def __len__(self) -> int:
        return len(self.embedded)

    @property
    def annotated(self) -> np.ndarray:
        """Whether a protein has a term: shape (n,), bool."""
        return self.terms > 0

    def why(self, some: np.ndarray) -> list[tuple[str, int]]:
        """Return the reasons that hold for some proteins, and how many each, the commonest first."""
        codes, counts = np.unique(self.reason[some], return_counts=True)
        words = [self.reasons[code] if code >= 0 else "no reason given" for code in codes]
        named = zip(words, counts.tolist(), strict=True)
        return sorted(named, key=lambda pair: (-pair[1], pair[0]))


def read_account(path: str | os.PathLike[str], listed: int) -> Account:
    """Read status.tsv, `schema.OUTCOME`: the lines of one space after those of another, proteins in the same order.

    Parameters
    ----------
    path
    listed : int
        Proteins whose accession is kept.

    Raises
    ------
    InputError
        If the file was cut, or saved by another program in another shape.
    """
    import pandas as pd

    account = _Accumulated(listed)
    kinds = {column.name: column.dtype for column in OUTCOME if column.name != "residues"}
    try:
        with pd.read_csv(path, sep="\t", dtype=kinds, keep_default_na=False, chunksize=PIECE) as pieces:
            for piece in pieces:
                for space, lines in piece.groupby(["model", "layer"], sort=False):
                    account.add(space, lines)
    except (ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path} is not as a run writes it ({reason}): run fantasia-dask run again, which makes it anew."
        ) from error
    return account.result()


class _Accumulated:
    """Arrays that grow with the lines of the first space and are updated by those of the others."""

    def __init__(self, listed: int) -> None:
        self.listed = listed
        self.accessions: list[str] = []
        self.columns = {
            "residues": np.empty(0, np.int64),
            "embedded": np.empty(0, bool),
            "truncated": np.empty(0, bool),
            "terms": np.empty(0, np.int64),
            "reason": np.empty(0, np.int64),
        }
        self.reasons: dict[str, int] = {}
        self.spaces: dict[tuple[str, int], dict[str, int]] = {}

    def add(self, space: Any, lines: pd.DataFrame) -> None:
        seen = self.spaces.setdefault(
            space, dict.fromkeys(("proteins", "embedded", "truncated", "failed", "answered", "annotated"), 0)
        )
        start, stop = seen["proteins"], seen["proteins"] + len(lines)
        new = self._columns(lines)
        held = len(self.columns["embedded"])
        if stop > held:
            more = {"residues": 0, "embedded": False, "truncated": False, "terms": 0, "reason": -1}
            self.columns = {
                name: np.concatenate([old, np.full(stop - held, more[name], old.dtype)])
                for name, old in self.columns.items()
            }
            if held < self.listed:
                self.accessions += lines["accession"].tolist()[: self.listed - held]
        here = {name: old[start:stop] for name, old in self.columns.items()}
        for name in ("residues", "terms"):
            np.maximum(here[name], new[name], out=here[name])
        for name in ("embedded", "truncated"):
            here[name] |= new[name]
        np.copyto(here["reason"], new["reason"], where=here["reason"] < 0)
        seen["proteins"] = stop
        seen["embedded"] += int(new["embedded"].sum())
        seen["truncated"] += int(new["truncated"].sum())
        seen["failed"] += int((~new["embedded"]).sum())
        seen["answered"] += int((lines["neighbours"] > 0).sum())
        seen["annotated"] += int((lines["terms"] > 0).sum())

    def _columns(self, lines: pd.DataFrame) -> dict[str, Any]:
        status = lines["status"].to_numpy()
        # That a protein was shortened is no trouble; why it has no term nevertheless stands behind it.
        reasons = lines["reason"].where(status != "truncated", lines["reason"].str.partition(REASONS_APART)[2])
        # Proteins that failed alike are counted together, however long each of them is.
        told = reasons.str.replace(RESIDUES, "too many residues", regex=True).to_numpy()
        return {
            "residues": lines["residues"].to_numpy(dtype=np.int64),
            "embedded": status != "failed",
            "truncated": status == "truncated",
            "terms": lines["terms"].to_numpy(dtype=np.int64),
            "reason": np.fromiter(map(self._reason, told), np.int64, len(told)),
        }

    def _reason(self, text: str) -> int:
        if not text:
            return -1
        if text not in self.reasons and len(self.reasons) >= DISTINCT_REASONS:
            text = OTHER_REASON
        return self.reasons.setdefault(text, len(self.reasons))

    def result(self) -> Account:
        import pandas as pd

        spaces = [{"model": model, "layer": layer, **seen} for (model, layer), seen in self.spaces.items()]
        return Account(
            accessions=self.accessions, reasons=list(self.reasons), spaces=pd.DataFrame(spaces), **self.columns
        )
