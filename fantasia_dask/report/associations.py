"""GO's own formats: GAF 2.2, and GPAD 2.0 with its companion GPI 2.0.

Every line is a term that was transferred by software and reviewed by no one: evidence code IEA, the donors in the
column With/From. A relation follows from the aspect: a protein enables a function, is involved in a process, is located
in a cellular component or part of a protein complex.

References
----------
https://geneontology.org/docs/go-annotation-file-gaf-format-2.2/ and
https://geneontology.org/docs/gene-product-association-data-gpad-format-2.0/
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..run_folder import text_aside
from .delimited import escaped, escaped_words
from .facts import METHOD, Facts

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COMPLEX", "ROOTS", "gaf_file", "gpad_file", "gpi_file"]

ROOTS = frozenset({"GO:0003674", "GO:0005575", "GO:0008150"})
"""The three roots: GO keeps them for proteins of which nothing is known, so no line is written for them."""

COMPLEX = "GO:0032991"
"""Protein-containing complex: a protein is part of one, not located in it."""

RELATIONS = {
    "MF": ("enables", "RO:0002327"),
    "BP": ("involved_in", "RO:0002331"),
    "CC": ("located_in", "RO:0001025"),
}
IN_COMPLEX = ("part_of", "BFO:0000050")
LETTERS = {"MF": "F", "BP": "P", "CC": "C"}
AUTOMATIC = ("IEA", "ECO:0000501")
UNIPROT = re.compile(r"([OPQ][0-9][A-Z0-9]{3}[0-9]|[A-NR-Z][0-9]([A-Z][A-Z0-9]{2}[0-9]){1,2})(-[0-9]+)?")
"""Accessions of UniProt, isoforms included: https://www.uniprot.org/help/accession_numbers"""

LISTED = "|,"
"""Signs that separate the members of a list within a column."""


@contextmanager
def gaf_file(
    path: str | os.PathLike[str], facts: Facts, complexes: Collection[str] = ()
) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write a GAF 2.2 file.

    Parameters
    ----------
    path
        Usually ``annotations.gaf``.
    facts : Facts
    complexes : collection of str
        Terms of protein complexes: `COMPLEX` and all below it.

    Yields
    ------
    callable
        Takes tables of `schema.CONSENSUS` as they come.
    """
    kind = "gene_product" if facts.genes else "protein"
    listed = partial(escaped, more=LISTED)
    end = f"\t\t\t{kind}\ttaxon:{facts.taxon}\t{facts.day:%Y%m%d}\tfantasia-dask\t\t\n"
    with text_aside(path) as file:
        file.write(f"!gaf-version: 2.2\n{_header(facts)}")

        def add(consensus: pd.DataFrame) -> None:
            accessions = escaped_words(consensus["accession"])
            for accession, go_id, category, donors in _lines(consensus, facts, accessions, listed):
                relation = _relation(go_id, category, complexes)[0]
                file.write(
                    f"{facts.database}\t{accession}\t{accession}\t{relation}\t{go_id}\t{METHOD}\t{AUTOMATIC[0]}\t{donors}"
                    f"\t{LETTERS[category]}{end}"
                )

        yield add


@contextmanager
def gpad_file(
    path: str | os.PathLike[str], facts: Facts, complexes: Collection[str] = ()
) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write a GPAD 2.0 file; as `gaf_file`."""
    end = f"\t\t{facts.day.isoformat()}\tfantasia-dask\t\t\n"
    with text_aside(path) as file:
        file.write(f"!gpad-version: 2.0\n{_header(facts)}")

        def add(consensus: pd.DataFrame) -> None:
            spelt = {name: _local_id(name) for name in consensus["accession"].unique()}
            accessions = consensus["accession"].map(spelt)
            for accession, go_id, category, donors in _lines(consensus, facts, accessions, _local_id):
                relation = _relation(go_id, category, complexes)[1]
                file.write(
                    f"{facts.database}:{accession}\t\t{relation}\t{go_id}\t{METHOD}\t{AUTOMATIC[1]}\t{donors}{end}"
                )

        yield add


@contextmanager
def gpi_file(path: str | os.PathLike[str], facts: Facts) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write a GPI 2.0 file: one line per protein, or gene, that has a line in the GPAD file."""
    kind = "SO:0000704" if facts.genes else "PR:000000001"
    with text_aside(path) as file:
        file.write(f"!gpi-version: 2.0\n{_header(facts)}")

        def add(consensus: pd.DataFrame) -> None:
            named = consensus.loc[~consensus["go_id"].isin(list(ROOTS)), "accession"]
            file.writelines(
                f"{facts.database}:{word}\t{word}\t\t\t{kind}\tNCBITaxon:{facts.taxon}\t\t\t\t\t\n"
                for word in map(_local_id, named.drop_duplicates())
            )

        yield add


def _header(facts: Facts) -> str:
    release = f"!go-version: {escaped(facts.go_release)}\n" if facts.go_release else ""
    # GO's grammar has the bare name of a group here; what it does not know is passed over by its readers.
    return (
        f"!generated-by: fantasia-dask\n!date-generated: {facts.day.isoformat()}\n"
        f"!fantasia-dask-version: {facts.version}\n{release}"
    )


def _relation(go_id: str, category: str, complexes: Collection[str]) -> tuple[str, str]:
    return IN_COMPLEX if go_id in complexes else RELATIONS[category]


def _local_id(name: str) -> str:
    """Percent-encode what GPAD and GPI do not allow in an id: all but ASCII letters, digits and ``_ . : -``.

    Examples
    --------
    >>> _local_id("ENSP00000000233.1"), _local_id("sp|P01326|INS2_MOUSE"), _local_id("50%~")
    ('ENSP00000000233.1', 'sp%7CP01326%7CINS2_MOUSE', '50%25%7E')
    """
    return quote(name, safe=":").replace("~", "%7E")


def _lines(
    consensus: pd.DataFrame, facts: Facts, accessions: Iterable[str], spelt: Callable[[str], str]
) -> Iterator[tuple[str, str, str, str]]:
    """Yield accession, term, category and donors of each line, ready to be written; donors as `spelt` writes them."""
    known: dict[str, str] = {}

    def identifier(donor: str) -> str:
        if donor not in known:
            database = "UniProtKB" if UNIPROT.fullmatch(donor) else facts.database
            known[donor] = f"{database}:{spelt(donor)}"
        return known[donor]

    columns = (consensus[name].tolist() for name in ("go_id", "category", "donor_ids"))
    for accession, go_id, category, donors in zip(accessions, *columns, strict=True):
        if go_id not in ROOTS and category in RELATIONS:
            yield accession, go_id, category, "|".join(map(identifier, donors))
