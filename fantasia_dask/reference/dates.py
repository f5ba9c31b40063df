"""Annotations by their date: what was known of a protein before some day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["dated_before"]


def dated_before(annotations: pd.DataFrame, day: str) -> np.ndarray:
    """Tell which annotations are of an earlier day; one without a date is not.

    Parameters
    ----------
    annotations : DataFrame
        `schema.ANNOTATIONS`; dates as GAF writes them.
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
    >>> dated_before(pd.DataFrame({"date": ["20191231", "20200131", ""]}), "2020-01-31").tolist()
    [True, False, False]
    """
    dates = annotations["date"]
    if len(dates) and not (dates != "").any():
        raise InputError(
            f"none of the {len(dates)} annotations has a date, so that those of before {day} cannot be told: expected "
            "a reference made from GAF, GPAD or a table with dates (FANTASIA's dumps have none)."
        )
    return ((dates != "") & (dates < day.replace("-", ""))).to_numpy(dtype=bool)
