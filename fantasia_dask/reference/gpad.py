"""GO annotations in GPAD 1.x and 2.0: GAF's content without what is known of the protein itself.

The aspect of a term and the protein's own taxon are not told: the ontology and the FASTA file have them. Evidence is
told as a term of the Evidence & Conclusion Ontology (ECO); GO's own code stands among the properties, or is the one
that the term stands for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .annotation_lines import AnnotationLines, annotation_record

__all__ = ["GPAD_VERSIONS", "gpad_records"]

GPAD_VERSIONS = ("1.0", "1.1", "1.2", "2.0")
GPAD_COLUMNS = 10
"""Columns 11 and 12 may be left out at the end of a line."""

CODE_OF = {
    "ECO:0000269": "EXP", "ECO:0000314": "IDA", "ECO:0000353": "IPI", "ECO:0000315": "IMP", "ECO:0000316": "IGI",
    "ECO:0000270": "IEP", "ECO:0006056": "HTP", "ECO:0007005": "HDA", "ECO:0007001": "HMP", "ECO:0007003": "HGI",
    "ECO:0007007": "HEP", "ECO:0000318": "IBA", "ECO:0000319": "IBD", "ECO:0000320": "IKR", "ECO:0000321": "IRD",
    "ECO:0000250": "ISS", "ECO:0000266": "ISO", "ECO:0000247": "ISA", "ECO:0000255": "ISM", "ECO:0000317": "IGC",
    "ECO:0000245": "RCA", "ECO:0000304": "TAS", "ECO:0000303": "NAS", "ECO:0000305": "IC", "ECO:0000307": "ND",
    "ECO:0000501": "IEA", "ECO:0000256": "IEA", "ECO:0000265": "IEA", "ECO:0007322": "IEA",
}  # fmt: skip
"""GO's code of the terms that GO uses; an annotation with another term keeps the term, which no choice of codes has."""

RELATION_OF = {
    "RO:0002327": "enables", "RO:0002326": "contributes_to", "RO:0002331": "involved_in", "RO:0001025": "located_in",
    "RO:0002325": "colocalizes_with", "RO:0002432": "is_active_in", "BFO:0000050": "part_of",
    "RO:0002263": "acts_upstream_of", "RO:0004034": "acts_upstream_of_positive_effect",
    "RO:0004035": "acts_upstream_of_negative_effect", "RO:0002264": "acts_upstream_of_or_within",
    "RO:0004032": "acts_upstream_of_or_within_positive_effect",
    "RO:0004033": "acts_upstream_of_or_within_negative_effect",
}  # fmt: skip
"""GPAD 2.0 names relations by number."""

GO_EVIDENCE = re.compile(r"(?:^|\|)go_evidence=([A-Z]{2,3})(?:\||$)")
OF_THE_PROTEIN = re.compile(r"(-\d+|:PRO_\d+)$")
"""An isoform or a chain, which GAF folds into its protein."""


def gpad_records(lines: AnnotationLines, version: str) -> Iterator[list[str]]:
    """Read the annotations of a GPAD file whose header has been read."""
    for line in lines:
        if not line.strip() or line.startswith("!"):
            continue
        values = line.rstrip("\r\n").split("\t")
        if len(values) < GPAD_COLUMNS:
            raise lines.wrong(f"has {len(values)} columns: GPAD has 12")
        # The first columns differ: protein, negation, relation in 2.0; database, protein, relation before.
        if version == "2.0":
            database, _, name = values[0].partition(":")
            qualifier = "|".join(filter(None, (values[1].strip(), RELATION_OF.get(values[2].strip(), values[2]))))
        else:
            database, name, qualifier = values[:3]
        if database.strip() == "UniProtKB":
            name = OF_THE_PROTEIN.sub("", name.strip())
        stated = GO_EVIDENCE.search(values[11]) if len(values) > 11 else None
        eco = values[5].strip()
        code = stated.group(1) if stated else CODE_OF.get(eco, eco)
        yield annotation_record(lines, name, values[3], "", code, qualifier, "", values[4], values[8])
