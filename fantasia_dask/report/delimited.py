"""Separated values that any reader takes back as they were.

Three kinds of text file, each with its rule for an accession that could do harm:

- ``.tsv``: for programs. A field that holds a separator, quote or end of line is quoted; each comes back exactly.
- ``.csv``: for spreadsheets too, which would run a field such as ``=cmd()``. It gets an apostrophe in front
  (`inert`), so that it is shown and not run; `restored` takes it off again. The same is there as ``.tsv`` or Parquet.
- formats without quotes (topGO, GAF, GPAD, goatools ...): what would break a line is percent-encoded (`escaped`), and
  nothing else is changed; `unescaped` brings it back. Lists within a field of any file (`joined`) are made alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, TextIO
from urllib.parse import unquote

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "BLANKS",
    "escaped",
    "escaped_words",
    "inert",
    "joined",
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

BREAKS = "\0\t\n\x0b\x0c\r\x1c\x1d\x1e\x85\u2028\u2029"
"""What ends a field or a line, for one reader or another: Python's `str.splitlines` knows all of them but the tab."""

BLANKS = " \x1f\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
"""All other white space, at which some readers split, and which many strip from the ends of a field."""


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

    White space at the ends is encoded as well, for readers that strip it. A ``%`` is encoded only where it could be
    taken for such a code, so that the others stay readable.

    Examples
    --------
    >>> escaped("50%"), escaped("a\tb "), escaped("a%09b"), escaped("sp|P1|X", "|")
    ('50%', 'a%09b%20', 'a%2509b', 'sp%7CP1%7CX')
    """
    if field.isalnum():  # as nearly all are
        return field
    wrong, _ = _patterns(more)
    return wrong.sub(lambda sign: _code(sign[0]), field)


def unescaped(field: str, more: str = "") -> str:
    r"""Take back what `escaped` does.

    Examples
    --------
    >>> unescaped("a%09b%20"), unescaped("a%2509b"), unescaped("50%")
    ('a\tb ', 'a%09b', '50%')
    """
    _, codes = _patterns(more)
    return codes.sub(lambda code: unquote(code[0]), field)


def _code(sign: str) -> str:
    """Percent-encode the bytes of a sign."""
    return "".join(f"%{byte:02X}" for byte in sign.encode("utf-8", "surrogatepass"))


@cache
def _patterns(more: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what finds the signs to encode, and what finds codes."""
    codes = "|".join(map(_code, dict.fromkeys(BREAKS + BLANKS + "%" + more)))
    white = f"[{re.escape(BLANKS)}]"
    return re.compile(f"[{re.escape(BREAKS + more)}]|^{white}+|{white}+$|(?={codes})%"), re.compile(codes)


def joined(words: Iterable[str], separator: str) -> str:
    """Join words to a list within one field; the separator is percent-encoded where a word holds it, as by `escaped`.

    Examples
    --------
    >>> joined(["P1", "sp|P2|X"], "|")
    'P1|sp%7CP2%7CX'
    """
    return separator.join(escaped(word, separator) for word in words)


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
