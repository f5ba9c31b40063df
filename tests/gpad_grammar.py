"""The grammar of GPAD and GPI 2.0, column by column."""

from __future__ import annotations

import re

import pandas as pd

# The grammar of the GO consortium, https://github.com/geneontology/go-annotation/blob/master/specs/gpad-gpi-2-0.md, and
# percent-encoded bytes in ids, for names that it has no signs for.
PREFIX = r"[A-Za-z][A-Za-z0-9_.-]*"
ID = rf"{PREFIX}:([A-Za-z0-9_.:-]|%[0-9A-F]{{2}})+"
IDS = rf"({ID}(\|{ID})*)?"
DAY = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
TEXT = r"[ -{}~]+"  # all of ASCII that is printed, but for the separator |
PAIRS = rf"([A-Za-z0-9-]+={TEXT}(\|[A-Za-z0-9-]+={TEXT})*)?"
EXPRESSIONS = rf"{ID}\({ID}\)(,{ID}\({ID}\))*"
RELATIONS = {
    "F": r"RO:0002327|RO:0002326",
    "P": r"RO:0002331|RO:0002263|RO:000403[2-5]|RO:0002264",
    "C": r"BFO:0000050|RO:0001025|RO:0002432|RO:0002325",
}
GPAD = {
    "DB_Object_ID": ID,
    "Negation": "(NOT)?",
    "Relation": "|".join(RELATIONS.values()),
    "Ontology_Class_ID": r"GO:\d{7}",
    "Reference": rf"{ID}(\|{ID})*",
    "Evidence_Type": r"ECO:\d{7}",
    "With_Or_From": rf"({ID}([|,]{ID})*)?",
    "Interacting_Taxon_ID": r"(NCBITaxon:\d+(\|NCBITaxon:\d+)*)?",
    "Annotation_Date": DAY,
    "Assigned_By": PREFIX,
    "Annotation_Extensions": rf"({EXPRESSIONS}(\|{EXPRESSIONS})*)?",
    "Annotation_Properties": PAIRS,
}
GPI = {
    "DB_Object_ID": ID,
    "DB_Object_Symbol": r"[!-{}~]+",
    "DB_Object_Name": f"({TEXT})?",  # Text in the grammar, 0 or 1 on the page of the format
    "DB_Object_Synonyms": rf"({TEXT}(\|{TEXT})*)?",
    "DB_Object_Type": r"(PR:000000001|GO:0032991|SO:\d{7})",
    "DB_Object_Taxon": r"NCBITaxon:\d+",
    "Encoded_By": IDS,
    "Parent_Protein": IDS,
    "Protein_Containing_Complex_Members": IDS,
    "DB_Xrefs": IDS,
    "Gene_Product_Properties": PAIRS,
}


def against(columns, lines):
    """Return what does not match the expression of its column, five of each."""
    table = pd.DataFrame(lines)
    assert table.shape[1] == len(columns)
    found = {}
    for (name, pattern), column in zip(columns.items(), table.columns, strict=True):
        told = table[column].drop_duplicates()
        found[name] = told[~told.map(re.compile(pattern).fullmatch).astype(bool)].tolist()[:5]
    return {name: wrong for name, wrong in found.items() if wrong}
