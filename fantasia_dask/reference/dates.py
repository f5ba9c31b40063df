"""Annotations by their date: what was known of a protein before some day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["dated_before", "days"]


def days(annotations: pd.DataFrame) -> pd.Series:
    """Return the day of each annotation as ``YYYYMMDD``; an empty string where none can be read.

    References that earlier releases made from tables have dashes in them.
    """
    dates = annotations["date"].str.replace("-", "")
    return dates.where(dates.str.fullmatch(r"[0-9]{8}"), "")


def dated_before(annotations: pd.DataFrame, day: str) -> np.ndarray:
    """Tell which annotations are of an earlier day; one without a date is not.

    Parameters
    ----------
    annotations : DataFrame
        `schema.ANNOTATIONS`.
    day : str
        ``YYYY-MM-DD``.

    Returns
    -------
    bool array, one per annotation

    Raises
    ------
    InputError
        If none has a date at all: which of them are early cannot be known.

    Examples
    --------
    >>> import pandas as pd
    >>> dated_before(pd.DataFrame({"date": ["20191231", "20200131", "2020-12-15", ""]}), "2020-01-31").tolist()
    [True, False, False, False]
    """
    dates = days(annotations)
    if len(dates) and not (dates != "").any():
        raise InputError(
            f"none of the {len(dates)} annotations has a date, so that those of before {day} cannot be told: expected "
            "a reference made from GAF, GPAD or a table with dates (FANTASIA's dumps have none)."
        )
    return ((dates != "") & (dates < day.replace("-", ""))).to_numpy(dtype=bool)
