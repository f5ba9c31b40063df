"""Where published references, the GO graph and NCBI's taxonomy are: names for addresses.

Sizes and checksums of these files are not known here; they are written down when a file is first fetched.
"""

from __future__ import annotations

import re

from ..errors import InputError, did_you_mean

__all__ = ["PUBLISHED", "address_of"]

ZENODO = "https://zenodo.org/records"
PUBLISHED: dict[str, dict[str, str]] = {
    "reference": {
        # FANTASIA's database of December 2025: the last layer of five models.
        "fantasia-2025-12": f"{ZENODO}/17795871/files/"
        "BioData_Dec25_esm2_prott5_prostt5_ankh3_large_esm3c_Layer0.backup?download=1",
        # The same with the first three and the last three layers.
        "fantasia-2025-12-layers": f"{ZENODO}/17793273/files/"
        "BioData_Dec25_esm2_prott5_prostt5_ankh3_large_esm3c_Layers_3Frist_3Last.backup?download=1",
        # FANTASIA-Lite's bundle: ProtT5 and Ankh3 vectors of 124,397 sequences.
        "fantasia-lite": "doi:10.5281/zenodo.17720428",
    },
    "ontology": {"go-basic": "https://current.geneontology.org/ontology/go-basic.obo"},
    "taxonomy_dump": {"ncbi": "https://ftp.ncbi.nlm.nih.gov/pub/taxonomy/taxdump.tar.gz"},
}
"""What can be named instead of an address, by what it is."""

RELEASE = re.compile(r"go-basic-(\d{4}-\d{2}-\d{2})")


def address_of(what: str, given: str) -> str:
    """Return the address that a name stands for; an address stands for itself.

    Parameters
    ----------
    what : {"reference", "ontology", "taxonomy_dump"}
    given
        ``https://...``, ``doi:...``, a name of `PUBLISHED`, or ``go-basic-2025-10-10``, a release of the GO graph.

    Raises
    ------
    InputError
        If it is none of these.

    Examples
    --------
    >>> address_of("ontology", "go-basic-2025-10-10")
    'https://release.geneontology.org/2025-10-10/ontology/go-basic.obo'
    """
    if given.startswith(("http://", "https://", "doi:")):
        return given
    named = PUBLISHED[what]
    if given in named:
        return named[given]
    if what == "ontology" and (release := RELEASE.fullmatch(given)):
        return f"https://release.geneontology.org/{release[1]}/ontology/go-basic.obo"
    raise InputError(
        f"sources.{what} is {given!r}: expected https://..., doi:..., or {', '.join(named)}."
        + did_you_mean(given, named)
    )
