"""Who may lend an annotation: reference bundles, taxa and redundancy.

A reference is made in three steps and used as a folder::

    FASTA ----------- sources.py --.
    GAF or table ---- sources.py --+-- build.collect --> ReferenceTables --.
    OBO ------------- obo.py ------'                                       +-- bundle.write_reference --> a folder
    vectors, embedded here or brought along -- vectors.gather_embeddings --'

1. `collect` reads proteins, annotations and ontology, gives proteins of one sequence one row, leaves out what is no
   annotation (``NOT``, ``ND``, other evidence codes, other proteins), brings GO ids to current terms, and counts all
   of it.
2. The vectors are either computed from `ReferenceTables.representatives`, or imported
   (`fantasia_dask.interchange.import_vectors`) and put into row order by `gather_embeddings`.
3. `write_reference` writes the folder aside, with checksums, and renames it.

`open_reference` reads it lazily; `protein_mask` and `donor_rows` say which of its proteins may answer;
`redundancy` and `closeness` keep near copies of a query from answering it.
"""

from .build import CURATED, EXPERIMENTAL, ReferenceTables, collect, with_taxonomy
from .bundle import Reference, describe, open_reference, verify_reference, write_reference
from .lineages import Taxonomy, taxonomy_table
from .ncbi import lineages_from_dump, resolve_taxa
from .obo import Ontology, read_obo, slim_terms
from .taxonomy import donor_rows, protein_mask
from .vectors import gather_embeddings

__all__ = [
    "CURATED",
    "EXPERIMENTAL",
    "Ontology",
    "Reference",
    "ReferenceTables",
    "Taxonomy",
    "collect",
    "describe",
    "donor_rows",
    "gather_embeddings",
    "lineages_from_dump",
    "open_reference",
    "protein_mask",
    "read_obo",
    "resolve_taxa",
    "slim_terms",
    "taxonomy_table",
    "verify_reference",
    "with_taxonomy",
    "write_reference",
]
