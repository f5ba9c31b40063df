"""Separated values that any reader takes back as they were."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TextIO

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["number_texts", "quoted", "rows_of", "word_texts", "write_frame"]

QUOTE_NEEDED = re.compile(r'[,\t"\r\n]')
"""For either separator. Python's csv module would leave a lone carriage return bare, where readers end the line."""


def quoted(field: str) -> str:
    r"""Quote a field if it holds a separator, a quote or an end of line, as RFC 4180 says.

    Examples
    --------
    >>> quoted("P1"), quoted('a "b", c')
    ('P1', '"a ""b"", c"')
    """
    return '"' + field.replace('"', '""') + '"' if QUOTE_NEEDED.search(field) else field


def rows_of(columns: Iterable[list[str]], separator: str) -> Iterator[str]:
    """Join columns of text to lines."""
    return (separator.join(fields) + "\n" for fields in zip(*columns, strict=True))


def number_texts(values: pd.Series | np.ndarray, form: str = "") -> list[str]:
    """Print numbers, each distinct one once; NaN is an empty field. By default, floats have the digits they need."""
    distinct, place = np.unique(np.asarray(values), return_inverse=True)
    texts = ["" if value != value else format(value, form) for value in distinct.tolist()]
    return np.array(texts, dtype=object)[place].tolist()


def word_texts(values: pd.Series) -> list[str]:
    """Return words, each quoted where it must be."""
    import pandas as pd

    code, distinct = pd.factorize(values)
    return np.array([quoted(word) for word in distinct.tolist()], dtype=object)[code].tolist()


def write_frame(frame: pd.DataFrame, file: TextIO, separator: str, *, header: bool = True) -> None:
    """Append a table to an open file."""
    if header:
        file.write(separator.join(map(quoted, frame.columns)) + "\n")
    columns = [
        number_texts(frame[name]) if frame[name].dtype.kind in "iuf" else word_texts(frame[name]) for name in frame
    ]
    file.writelines(rows_of(columns, separator))
