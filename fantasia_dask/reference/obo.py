"""The ontology file, read once: its terms, its edges and its subsets as tables."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ..errors import FantasiaWarning, InputError, did_you_mean
from ..schema import RELATIONS, SUBSETS, TERMS, names
from ..sequences import open_text

if TYPE_CHECKING:
    import networkx
    import pandas as pd

__all__ = ["Ontology", "read_obo", "slim_terms"]

ASPECT_OF = {"molecular_function": "F", "biological_process": "P", "cellular_component": "C"}
HIERARCHY = ("is_a", "part_of")


@dataclass(frozen=True)
class Ontology:
    """The GO graph as tables.

    Attributes
    ----------
    terms : DataFrame
        Columns of `schema.TERMS`, sorted by GO id: current terms, obsolete ones and alternative ids. A term is
        current when it is not obsolete and `replaced_by` is empty.
    relations : DataFrame
        Columns of `schema.RELATIONS`, sorted: every edge between two terms of the file.
    subsets : DataFrame
        Columns of `schema.SUBSETS`, sorted: the current terms of each subset that the file knows.
    release : str
        The file's ``data-version``; an empty string when it names none.
    """

    terms: pd.DataFrame
    relations: pd.DataFrame
    subsets: pd.DataFrame
    release: str


def read_obo(path: str | os.PathLike[str]) -> Ontology:
    """Read an ontology in OBO format, plain or packed (``.gz``, ``.bz2``, ``.xz``).

    Raises
    ------
    InputError
        If the file is not OBO, holds no term, is cut, or its is_a and part_of edges run in a circle.

    Warns
    -----
    FantasiaWarning
        If relations lead to terms that the file does not have: a part of it may be missing, or it is a part itself.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "tiny.obo")
    >>> _ = file.write_text("data-version: today\\nontology: go\\n\\n[Term]\\nid: GO:1\\nname: root\\nalt_id: GO:2\\n")
    >>> read_obo(file).terms[["go_id", "name", "replaced_by"]].values.tolist()
    [['GO:1', 'root', ''], ['GO:2', 'root', 'GO:1']]
    """
    path = Path(path)
    graph, defined = _parse(path)
    _check_acyclic(graph, path)
    relations = _relations(graph, defined)
    if nowhere := graph.number_of_edges() - len(relations):
        warnings.warn(
            f"{nowhere} of {graph.number_of_edges()} relations of {path} lead to terms that it does not have, and are "
            "left out: fetch it again if it should be whole.",
            FantasiaWarning,
            stacklevel=2,
        )
    release = str(graph.graph.get("data-version") or "")
    return Ontology(_terms(defined), relations, _subsets(defined), release)


def slim_terms(slim: str | os.PathLike[str], subsets: pd.DataFrame | None = None) -> list[str]:
    """Return the terms of a slim.

    Parameters
    ----------
    slim
        Name of a subset, such as ``goslim_generic``, or the path of an OBO file that holds the terms of a slim and no
        other, such as ``goslim_generic.obo``.
    subsets : DataFrame, optional
        Columns of `schema.SUBSETS`: those of the reference.

    Raises
    ------
    InputError
        If there is neither such a subset nor such a file.

    Examples
    --------
    >>> import pandas as pd
    >>> slim_terms("goslim_generic", pd.DataFrame({"subset": ["goslim_generic"], "go_id": ["GO:0000003"]}))
    ['GO:0000003']
    """
    known = [] if subsets is None else sorted(subsets["subset"].unique())
    if subsets is not None and slim in known:
        return list(subsets["go_id"][subsets["subset"] == slim])
    if Path(slim).is_file():
        terms = _terms(_parse(Path(slim))[1])  # a slim may leave out what is between its terms
        return list(terms["go_id"][~terms["obsolete"] & (terms["replaced_by"] == "")])
    named = ", ".join(name for name in known if "slim" in name) or "none: its GO file had none"
    raise InputError(
        f"there is no GO slim {os.fspath(slim)!r}: expected an OBO file, or one that the reference holds ({named})."
        + did_you_mean(os.fspath(slim), known)
    )


def _parse(path: Path) -> tuple[networkx.MultiDiGraph, dict[str, dict[str, Any]]]:
    """Read a file whole; return its graph, and the terms in it that have a name."""
    import obonet

    with open_text(path) as text, _quiet():
        lines = _Lines(text)
        try:
            graph = obonet.read_obo(lines, ignore_obsolete=False)
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            reason = " ".join(str(error).split())[:120]
            raise InputError(
                f"{path} cannot be read as OBO ({reason}): expected 'tag: value' lines and one id per [Term]."
            ) from error
    defined = {go_id: term for go_id, term in graph.nodes(data=True) if "name" in term}
    if not defined:
        raise InputError(f"{path} holds no term: expected an ontology in OBO format, with [Term] stanzas.")
    if why := _cut(lines):
        raise InputError(f"{path} is cut: {why}. Fetch it again; if it is whole, end it with a line end.")
    return graph, defined


class _Lines:
    """The lines of a file as obonet takes them, of which the last stanza is remembered."""

    def __init__(self, text: TextIO):
        self._text = text
        self.stanza: list[str] = []

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the file to whoever opened it."""

    def __iter__(self) -> Iterator[str]:
        for line in self._text:
            if line.startswith("["):
                self.stanza.clear()
            self.stanza.append(line)
            yield line


def _cut(lines: _Lines) -> str:
    """Tell how the last lines show that more should follow; an empty string where they do not."""
    last = lines.stanza[-1]
    if not last.endswith("\n"):
        return f"it ends in the middle of a line, {last[:40]!r}"
    if not lines.stanza[0].startswith("[Term]"):
        return ""
    tags = {line.partition(":")[0] for line in lines.stanza}
    return "" if {"id", "name"} <= tags else "its last term has no name"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep obonet's remarks on missing headers from the terminal; what matters is checked here."""
    logger = logging.getLogger("obonet")
    # obonet also speaks through the root logger, which is silenced below WARNING for the length of the reading.
    previous, root_disabled = logger.level, logging.root.manager.disable
    logging.disable(max(logging.WARNING, root_disabled))
    try:
        yield
    finally:
        logging.disable(root_disabled)
        logger.setLevel(previous)


def _terms(defined: dict[str, dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    rows = {go_id: _term_row(go_id, term) for go_id, term in defined.items()}
    for go_id, term in defined.items():
        if term.get("is_obsolete") == "true":
            continue
        for alternative in term.get("alt_id", []):
            # A stanza of its own says more than being mentioned as an alternative; the first mention wins.
            name, aspect = rows[go_id][1], rows[go_id][2]
            rows.setdefault(alternative, (alternative, name, aspect, False, go_id))
    table = pd.DataFrame(sorted(rows.values()), columns=names(TERMS))
    return table.astype({column.name: column.dtype for column in TERMS})


def _term_row(go_id: str, term: dict[str, Any]) -> tuple[str, str, str, bool, str]:
    obsolete = term.get("is_obsolete") == "true"
    replacements = term.get("replaced_by", []) if obsolete else []
    # Two replacements are a choice that only a curator can make.
    replaced_by = replacements[0] if len(replacements) == 1 else ""
    return go_id, term["name"], ASPECT_OF.get(term.get("namespace", ""), ""), obsolete, replaced_by


def _relations(graph: networkx.MultiDiGraph, defined: dict[str, dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    edges = sorted(
        (child, relation, parent)
        for child, parent, relation in graph.edges(keys=True)
        if child in defined and parent in defined
    )
    table = pd.DataFrame(edges, columns=names(RELATIONS))
    return table.astype({column.name: column.dtype for column in RELATIONS})


def _subsets(defined: dict[str, dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    lines = sorted(
        (subset, go_id)
        for go_id, term in defined.items()
        if term.get("is_obsolete") != "true"
        for subset in dict.fromkeys(term.get("subset", []))
    )
    return pd.DataFrame(lines, columns=names(SUBSETS)).astype({column.name: column.dtype for column in SUBSETS})


def _check_acyclic(graph: networkx.MultiDiGraph, path: Path) -> None:
    """Refuse a graph in which a term is its own ancestor: no ancestors, depths or counts could be told."""
    import networkx

    hierarchy = networkx.DiGraph((c, p) for c, p, relation in graph.edges(keys=True) if relation in HIERARCHY)
    if not networkx.is_directed_acyclic_graph(hierarchy):
        circle = [child for child, _ in networkx.find_cycle(hierarchy)]
        shown = " -> ".join([*circle[:5], *(["..."] if len(circle) > 5 else []), circle[0]])
        raise InputError(f"{path}: is_a and part_of run in a circle, {shown}: fetch the ontology again.")
