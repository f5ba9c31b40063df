"""Separated values that any reader takes back as they were.

Three kinds of text file, each with its rule for an accession that could do harm:

- ``.tsv``: for programs. A field that holds a separator, quote or end of line is quoted; each comes back exactly.
- ``.csv``: for spreadsheets too, which would run a field such as ``=cmd()``. It gets an apostrophe in front
  (`inert`), so that it is shown and not run; `restored` takes it off again. The same is there as ``.tsv`` or Parquet.
- formats without quotes (topGO, GAF, GPAD, goatools ...): what would break a line is percent-encoded (`escaped`), and
  nothing else is changed; `unescaped` brings it back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TextIO

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "escaped",
    "escaped_words",
    "inert",
    "number_texts",
    "quoted",
    "restored",
    "rows_of",
    "unescaped",
    "word_texts",
    "write_frame",
]

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


FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""How a field begins that a spreadsheet would run, full-width signs among them; or that `inert` has been at."""

BREAKS = "\0\t\n\r"


def inert(field: str) -> str:
    """Put an apostrophe before a field that a spreadsheet would take for a formula.

    Examples
    --------
    >>> inert("=cmd()"), inert("P1"), inert("'x"), restored(inert("'=1"))
    ("'=cmd()", 'P1', "'x", "'=1")
    """
    return "'" + field if FORMULA.match(field) else field


def restored(field: str) -> str:
    """Take back what `inert` does."""
    return field[1:] if field.startswith("'") and FORMULA.match(field) else field


def escaped(field: str, more: str = "") -> str:
    r"""Percent-encode what would end a field or a line where there are no quotes; `more` signs too, if any.

    A ``%`` is encoded only where it could be taken for such a code, so that the others stay readable.

    Examples
    --------
    >>> escaped("50%"), escaped("a\tb"), escaped("a%09b"), escaped("sp|P1|X", "|")
    ('50%', 'a%09b', 'a%2509b', 'sp%7CP1%7CX')
    """
    if "%" in field:
        codes = "|".join(f"{ord(sign):02X}" for sign in (*BREAKS, "%", *more))
        field = re.sub(f"%(?={codes})", "%25", field)
    for sign in (*BREAKS, *more):
        if sign in field:
            field = field.replace(sign, f"%{ord(sign):02X}")
    return field


def unescaped(field: str, more: str = "") -> str:
    r"""Take back what `escaped` does.

    Examples
    --------
    >>> unescaped("a%09b"), unescaped("a%2509b"), unescaped("50%")
    ('a\tb', 'a%09b', '50%')
    """
    codes = "|".join(f"{ord(sign):02X}" for sign in (*BREAKS, "%", *more))
    return re.sub(f"%({codes})", lambda code: chr(int(code[1], 16)), field)


def rows_of(columns: Iterable[list[str]], separator: str) -> Iterator[str]:
    """Join columns of text to lines."""
    return (separator.join(fields) + "\n" for fields in zip(*columns, strict=True))


def number_texts(values: pd.Series | np.ndarray, form: str = "") -> list[str]:
    """Print numbers, each distinct one once; NaN is an empty field. By default, floats have the digits they need."""
    distinct, place = np.unique(np.asarray(values), return_inverse=True)
    texts = ["" if value != value else format(value, form) for value in distinct.tolist()]
    return np.array(texts, dtype=object)[place].tolist()


def word_texts(values: pd.Series, separator: str) -> list[str]:
    """Return words, each quoted where it must be, and inert where commas separate them."""
    import pandas as pd

    code, distinct = pd.factorize(values)
    words = map(inert, distinct.tolist()) if separator == "," else distinct.tolist()
    return np.array([quoted(word) for word in words], dtype=object)[code].tolist()


def escaped_words(values: pd.Series, more: str = "") -> list[str]:
    """Return words, each `escaped`."""
    import pandas as pd

    code, distinct = pd.factorize(values)
    return np.array([escaped(word, more) for word in distinct.tolist()], dtype=object)[code].tolist()


def write_frame(frame: pd.DataFrame, file: TextIO, separator: str, *, header: bool = True) -> None:
    """Append a table to an open file."""
    if header:
        file.write(separator.join(map(quoted, frame.columns)) + "\n")
    columns = [
        number_texts(frame[name]) if frame[name].dtype.kind in "iuf" else word_texts(frame[name], separator)
        for name in frame
    ]
    file.writelines(rows_of(columns, separator))
