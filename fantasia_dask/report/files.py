"""Files that appear whole or not at all, under names that no accession can abuse."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

__all__ = ["file_names", "folder_aside", "safe_name"]

LONGEST_NAME = 120
"""Characters of a file name before its ending; file systems allow 255 bytes."""

RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10))}
"""Names that Windows keeps for itself, whatever their ending."""


@contextmanager
def folder_aside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a folder under another name; it takes the place of the old one when the block ends without an error."""
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if path.exists():
            shutil.rmtree(path)
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def safe_name(word: str) -> str:
    """Return a word as a file name: percent-encoded where it must be, shortened with a digest where it is too long.

    Only ASCII letters, digits and ``. _ -`` stay as they are; no name begins or ends with a dot. Different words get
    different names, but on file systems that ignore case only up to case: see `file_names`.

    Examples
    --------
    >>> safe_name("Prot-T5"), safe_name("../../x"), safe_name("P1:2"), safe_name("nul")
    ('Prot-T5', '%2E.%2F..%2Fx', 'P1%3A2', '%6Eul')
    """
    # quote() leaves "~" alone; encoded, it can set off a digest that no other word's name contains.
    name = quote(word, safe="", errors="surrogatepass").replace("~", "%7E")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if name.endswith("."):
        name = name[:-1] + "%2E"
    if not name or name.split(".")[0].lower() in RESERVED:
        name = f"%{ord(name[0]):02X}{name[1:]}" if name else "%"
    return name if len(name) <= LONGEST_NAME else _with_digest(name, word)


def file_names(words: Iterable[str]) -> dict[str, str]:
    """Return a lower-case file name for each word, without its ending, as FANTASIA writes them.

    Words that differ in case alone would share a name: all of them get a digest behind theirs.

    Examples
    --------
    >>> file_names(["Q00001", "A/B"])
    {'Q00001': 'q00001', 'A/B': 'a%2fb'}
    >>> file_names(["abc", "ABC"])
    {'abc': 'abc~ba7816bf8f01cfea', 'ABC': 'abc~b5d4045c3f466fa9'}
    """
    names = {word: safe_name(word).lower() for word in words}
    shared = {name for name, n in Counter(names.values()).items() if n > 1}
    return {word: _with_digest(name, word) if name in shared else name for word, name in names.items()}


def _with_digest(name: str, word: str) -> str:
    digest = hashlib.sha256(word.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{name[:LONGEST_NAME]}~{digest}"
