"""Write the files of the bundled sample from its records, its terms, a full GO graph and a full NCBI dump.

    python tools/make_sample.py --obo go-basic.obo[.gz] --taxonomy DUMP_FOLDER --out fantasia_dask/sample

The records and terms are beside this script (``sample_records.tsv``, ``sample_terms.tsv``) and are checked by
``check_sample.py``. The graph and the dump are cut down to what they need, line by line, so the slices keep the form of
the real files.
"""

from __future__ import annotations

import argparse
import csv
import re
from pathlib import Path

from fantasia_dask.sequences import open_text

HERE = Path(__file__).resolve().parent
ANNOTATION = ["accession", "go_id", "evidence", "aspect", "qualifier", "taxon", "reference", "date", "assigned_by"]
RELATIONS = {"part_of", "regulates", "positively_regulates", "negatively_regulates"}
KEPT_TAGS = {"id", "name", "namespace", "alt_id", "is_a", "relationship", "is_obsolete", "replaced_by", "consider"}
# GO made this term obsolete after the release the sample is cut from. Written in here, so that the sample has what
# every real pair of annotations and graph has: rows that name a term by an identifier since replaced.
SINCE_REPLACED = {"GO:0005615": "GO:0005576"}  # extracellular space -> extracellular region


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a TSV file."""
    with path.open(newline="") as text:
        return list(csv.DictReader(text, delimiter="\t"))


def fasta(records: list[dict[str, str]]) -> str:
    """UniProt's FASTA, 60 residues a line."""
    lines = []
    for r in records:
        section = "tr" if r["entry"].startswith(r["accession"]) else "sp"  # unreviewed entries are named by accession
        lines.append(
            f">{section}|{r['accession']}|{r['entry']} {r['protein']} OS={r['organism']} OX={r['taxon']} "
            f"GN={r['gene']} PE=1 SV=1"
        )
        lines += re.findall(".{1,60}", r["sequence"])
    return "\n".join(lines) + "\n"


def annotations(terms: list[dict[str, str]]) -> str:
    """One row per protein, term and evidence."""
    return "\n".join("\t".join(row) for row in [ANNOTATION, *([t[c] for c in ANNOTATION] for t in terms)]) + "\n"


def stanzas(path: Path) -> tuple[str, dict[str, list[str]], list[str]]:
    """The header of an OBO file, its terms by identifier as lines, its other stanzas as text."""
    with open_text(path) as text:
        header, *blocks = text.read().strip().split("\n\n")
    terms, others = {}, []
    for block in blocks:
        lines = block.strip().split("\n")
        if lines[0] == "[Term]":
            terms[lines[1].removeprefix("id: ")] = lines
        else:
            others.append(block.strip())
    return header, terms, others


def replace_term(terms: dict[str, list[str]], old: str, new: str) -> None:
    """Make `old` obsolete in favour of `new`; what pointed to it now points to `new`, and its own edges are gone."""
    if any(line.startswith("is_obsolete") for line in terms[old]):
        return
    for term, lines in terms.items():
        pointed = [line.replace(old, new) if line.startswith(("is_a", "relationship")) else line for line in lines]
        terms[term] = list(dict.fromkeys(line for line in pointed if not line.startswith(f"is_a: {term} ")))
    lines = [line for line in terms[old] if not line.startswith(("is_a", "relationship", "alt_id"))]
    lines = [line.replace("name: ", "name: obsolete ") if line.startswith("name: ") else line for line in lines]
    terms[old] = [*lines, "is_obsolete: true", f"replaced_by: {new}"]


def parents(lines: list[str]) -> list[str]:
    """Terms that a stanza points to over the relations kept here."""
    found = []
    for line in lines:
        words = line.split()
        if words[0] == "is_a:" or words[0] == "replaced_by:":
            found.append(words[1])
        elif words[0] == "relationship:" and words[1] in RELATIONS:
            found.append(words[2])
    return found


def slice_graph(path: Path, wanted: set[str]) -> str:
    """The wanted terms and all their ancestors, as an OBO file."""
    header, terms, others = stanzas(path)
    for old, new in SINCE_REPLACED.items():
        replace_term(terms, old, new)
    primary = {a: t for t, lines in terms.items() for a in (x[8:] for x in lines if x.startswith("alt_id: "))}
    todo, kept = [primary.get(term, term) for term in wanted], set()
    while todo:
        term = todo.pop()
        if term not in kept:
            kept.add(term)
            todo += parents(terms[term])
    release = re.search(r"^data-version: (.*)$", header, re.MULTILINE)
    parts = [
        "format-version: 1.2\n"
        f"data-version: {release.group(1) if release else 'unknown'}-sample\n"
        "remark: A slice of the Gene Ontology, with the terms of a small sample and their ancestors.\n"
        "remark: Source: Gene Ontology Consortium, http://geneontology.org, CC BY 4.0. Definitions left out.\n"
        "ontology: go"
    ]
    for term in sorted(kept):
        lines = [line for line in terms[term][1:] if line.split(":")[0] in KEPT_TAGS]
        lines = [line for line in lines if not line.startswith("relationship") or line.split()[1] in RELATIONS]
        parts.append("\n".join(["[Term]", *lines]))
    parts += [block for block in others if block.split("\n")[1].removeprefix("id: ") in RELATIONS]
    return "\n\n".join(parts) + "\n"


def fields(line: str) -> list[str]:
    """The fields of one line of a dump file."""
    return [field.strip() for field in line.rstrip("\n").removesuffix("|").split("|")]


def slice_taxonomy(folder: Path, wanted: set[str]) -> dict[str, str]:
    """Lineages of the wanted taxa to the root, as the four dump files by name."""
    lines = {
        name: (folder / f"{name}.dmp").read_text().splitlines(keepends=True) for name in ("nodes", "names", "merged")
    }
    parent = {f[0]: f[1] for f in map(fields, lines["nodes"])}
    merged = {f[0]: f[1] for f in map(fields, lines["merged"])}
    kept: set[str] = set()
    for taxon in wanted:
        here = merged.get(taxon, taxon)
        while here not in kept:
            kept.add(here)
            here = parent[here]
    return {
        "nodes": "".join(x for x in lines["nodes"] if fields(x)[0] in kept),
        "names": "".join(x for x in lines["names"] if fields(x)[0] in kept),
        "merged": "".join(x for x in lines["merged"] if fields(x)[1] in kept),
        "delnodes": "",
    }


def write(path: Path, text: str) -> None:
    """Write aside, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".part")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def main() -> None:
    """Write every file of the sample but the checkpoint and the README."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--obo", type=Path, required=True, help="the full GO graph, go-basic.obo or go.obo")
    parser.add_argument("--taxonomy", type=Path, required=True, help="folder of nodes.dmp, names.dmp and merged.dmp")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    records, terms = read_table(HERE / "sample_records.tsv"), read_table(HERE / "sample_terms.tsv")
    for role, name in (("reference", "reference.fasta"), ("query", "queries.fasta")):
        write(args.out / name, fasta([r for r in records if r["role"] == role]))
    write(args.out / "annotations.tsv", annotations(terms))
    write(args.out / "go.obo", slice_graph(args.obo, {t["go_id"] for t in terms}))
    for name, text in slice_taxonomy(args.taxonomy, {r["taxon"] for r in records}).items():
        write(args.out / "taxonomy" / f"{name}.dmp", text)


if __name__ == "__main__":
    main()
