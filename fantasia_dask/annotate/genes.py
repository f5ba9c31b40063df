"""From proteins to their genes: isoforms answer together."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import InputError
from ..sequences import open_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["by_gene", "genes_in_headers", "read_gene_map"]


def read_gene_map(path: str | os.PathLike[str], accessions: Collection[str]) -> dict[str, str]:
    """Read a table of proteins and their genes.

    Parameters
    ----------
    path
        Tab-separated, protein and gene first on each line; further columns are not read. A line whose protein is none
        of `accessions`, a header for instance, is passed over.
    accessions : collection of str
        The proteins of the run.

    Returns
    -------
    dict of str to str
        The gene of each protein that is listed.

    Raises
    ------
    InputError
        If a line has no second column, a protein has two genes, or no line names a protein of the run.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> file = Path(tempfile.mkdtemp(), "genes.tsv")
    >>> _ = file.write_text("protein\\tgene\\nA.1\\tA\\nA.2\\tA\\n")
    >>> read_gene_map(file, ["A.1", "A.2", "B.1"])
    {'A.1': 'A', 'A.2': 'A'}
    """
    known = set(accessions)
    genes: dict[str, str] = {}
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            fields = line.rstrip("\r\n").split("\t")
            if not line.strip():
                continue
            if len(fields) < 2 or not fields[1]:
                raise InputError(f"{path}, line {number}, has no gene: expected a protein, a tab and its gene.")
            protein, gene = fields[:2]
            if genes.get(protein, gene) != gene:
                both = f"{genes[protein]!r} and {gene!r}"
                raise InputError(f"{path}, line {number}: protein {protein!r} has two genes, {both}: expected one.")
            if protein in known:
                genes[protein] = gene
    if not genes and known:
        raise InputError(f"{path} names no protein of the run: expected their accessions in its first column.")
    return genes


def genes_in_headers(pattern: str, headers: Mapping[str, str]) -> dict[str, str]:
    """Find the gene of each protein in its FASTA header.

    Parameters
    ----------
    pattern : str
        A regular expression; its first group is the gene.
    headers : mapping of str to str
        Whole header by accession.

    Returns
    -------
    dict of str to str
        The gene of each protein whose header matches.

    Raises
    ------
    InputError
        If no header matches.

    Examples
    --------
    >>> genes_in_headers(r"gene:(\\S+)", {"P.1": "P.1 pep gene:G1 transcript:T1", "Q.1": "Q.1 pep"})
    {'P.1': 'G1'}
    """
    search = re.compile(pattern).search
    found = {accession: match for accession, header in headers.items() if (match := search(header))}
    genes = {accession: match[1] for accession, match in found.items() if match[1]}
    if not genes and headers:
        header = next(iter(headers.values()))
        raise InputError(
            f"postprocess.gene_pattern {pattern!r} finds a gene in no header: expected a match in headers such as "
            f"{header!r}."
        )
    return genes


def by_gene(
    blocks: Iterable[pd.DataFrame], genes: Mapping[str, str], accessions: Sequence[str]
) -> Iterator[pd.DataFrame]:
    """Put the evidence of a gene's proteins together, block by block.

    A gene is given out as soon as the last of its proteins has passed, so that little waits where a file lists the
    isoforms of a gene one after the other.

    Parameters
    ----------
    blocks : iterable of DataFrame
        Of `evidence_of`, in the order of `accessions`.
    genes : mapping of str to str
        The gene of each protein; one that is not listed stands for itself.
    accessions : sequence of str
        All queries of the run.

    Yields
    ------
    DataFrame
        As given, ``accession`` being the gene; all lines of a gene are in one frame.
    """
    import pandas as pd

    place = {accession: i for i, accession in enumerate(accessions)}
    last = {genes.get(accession, accession): i for accession, i in place.items()}
    waiting: list[pd.DataFrame] = []
    for block in blocks:
        if block.empty:
            continue
        read = max(place[accession] for accession in block["protein"].unique())
        lines = pd.concat([*waiting, block.assign(accession=block["protein"].map(lambda p: genes.get(p, p)))])
        whole = (lines["accession"].map(last) <= read).to_numpy(dtype=bool)
        yield lines[whole].reset_index(drop=True)
        waiting = [lines[~whole]]
    yield from (lines.reset_index(drop=True) for lines in waiting)
