"""Check every record and every term of the bundled sample; a record that nothing confirms makes the check fail.

    python tools/check_sample.py [--fasta REAL.fasta[.gz] ...] [--annotations REAL.tsv[.gz]] [--truth TRUTH.tsv[.gz]]

Without real data each record is still held against its known length and mass, the signature of its family, the
residues found word for word in public source text (``sample_windows.tsv``) and its nearest relative in the sample.
With real data what is there must be equal, letter for letter, and what claims to be confirmed by it must be there.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from pathlib import Path

from fantasia_dask.sequences import open_text, read_fasta

HERE = Path(__file__).resolve().parent
SIGNATURES = {  # residues without which a protein is no member of the family
    "insulin": r"CGSHLVEALYLVCGERGFFY.*KRGIV[DE]QCC",
    "globin": r"K[AGK]HG",  # distal histidine
    "cytochrome c": r"C..CH",  # haem
    "lysozyme C": r"C.{3}C..[LMF].{3}[DEN][LI].{5}C",
    "ubiquitin": r"LHLVL[AR]LRGG",
    "histone": r"^MARTKQTARKS|GGAKRHRK|AGLTFPVGR|HPDTGISQKSM",
    "calmodulin": r"D.[DN]G.[GI]",  # EF hand
    "thioredoxin": r"WCGPC",
    "superoxide dismutase": r"GFH[IV]H[EQ]FGD",
    "Ras GTPase": r"G.G.VGK[ST]",  # P loop
    "cyclophilin": r"F[HY].[IV]I..F[LM][CL]QGGD",
}
LEAST_IDENTITY = 0.25  # of the shorter sequence; haemoglobin and myoglobin share about as much
MASS_ERROR = 1.01  # Da: UniProt gives whole numbers


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a TSV file, packed or not."""
    with open_text(path) as text:
        return list(csv.DictReader(text, delimiter="\t"))


def identity(one: str, other: str) -> float:
    """Identical residues of the best global alignment (free end gaps), as a share of the shorter sequence."""
    import parasail

    result = parasail.sg_stats_striped_16(one, other, 11, 1, parasail.blosum62)
    return result.matches / min(len(one), len(other))


def real_sequences(paths: list[Path]) -> dict[str, str]:
    """Sequences by bare accession."""
    proteins = [protein for path in paths for protein in read_fasta(path)]
    return {[*p.accession.split("|"), p.accession][bool("|" in p.accession)]: p.sequence for p in proteins}


def faults(record: dict[str, str], relatives: list[str], windows: list[str], real: dict[str, str]) -> list[str]:
    """What is wrong with a record; nothing if it is confirmed."""
    from Bio.SeqUtils import molecular_weight

    sequence, accession = record["sequence"], record["accession"]
    found = []
    if not re.fullmatch("M[ACDEFGHIKLMNPQRSTVWY]+", sequence):
        found.append("is not M and standard amino acids")
    if len(sequence) != int(record["length"]):
        found.append(f"has {len(sequence)} residues, not {record['length']}")
    if record["mass"] and abs(molecular_weight(sequence, "protein") - float(record["mass"])) > MASS_ERROR:
        found.append(f"weighs {molecular_weight(sequence, 'protein'):.1f} Da, not {record['mass']}")
    if not re.search(SIGNATURES[record["family"]], sequence):
        found.append(f"lacks the signature of the {record['family']} family")
    found += [f"lacks {window}" for window in windows if window not in sequence]
    if real.get(accession, sequence) != sequence:
        found.append("differs from the real data")
    exact = record["confirmed_by"].startswith("exact")
    if exact and real and accession not in real:
        found.append("is not in the real data")
    if not exact and not windows:
        found.append("is confirmed by nothing outside the sample")
    if not exact and max(identity(sequence, other) for other in relatives) < LEAST_IDENTITY:
        found.append("is like none of its family")
    return found


def term_faults(terms: list[dict[str, str]], rows: list[dict[str, str]], truth: set[tuple[str, str]]) -> list[str]:
    """Terms that claim a row of the real annotations, or of the truth, that is not there."""
    columns = [c for c in terms[0] if c != "confirmed_by"]
    there = {tuple(row[c] for c in columns) for row in rows}
    found = []
    for term in terms:
        name = f"{term['accession']} {term['go_id']} {term['evidence']}"
        if rows and term["confirmed_by"].startswith("exact") and tuple(term[c] for c in columns) not in there:
            found.append(f"{name}: no such row in the real annotations")
        if truth and "truth" in term["confirmed_by"] and (term["accession"], term["go_id"]) not in truth:
            found.append(f"{name}: not in the truth")
    return found


def main() -> int:
    """Print a verdict per record, then the faults; 1 if there is any."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fasta", type=Path, nargs="*", default=[], help="real sequences")
    parser.add_argument("--annotations", type=Path, help="real annotations, columns as in sample_terms.tsv")
    parser.add_argument("--truth", type=Path, help="real propagated terms: accession, go_id, aspect")
    args = parser.parse_args()
    records, terms = read_table(HERE / "sample_records.tsv"), read_table(HERE / "sample_terms.tsv")
    windows = read_table(HERE / "sample_windows.tsv")
    real = real_sequences(args.fasta)
    bad = []
    for record in records:
        own = [w["window"] for w in windows if w["accession"] == record["accession"]]
        kin = [r["sequence"] for r in records if r["family"] == record["family"] and r is not record]
        wrong = faults(record, kin, own, real)
        seen = "sequence equal in the real data" if record["accession"] in real else record["confirmed_by"]
        print(f"{record['accession']:8} {record['entry']:13} {'; '.join(wrong) or seen + ', length and mass'}")
        bad += [f"{record['accession']} {fault}" for fault in wrong]
    truth = {(row["accession"], row["go_id"]) for row in read_table(args.truth)} if args.truth else set()
    bad += term_faults(terms, read_table(args.annotations) if args.annotations else [], truth)
    donors = {t["accession"] for t in terms}
    bad += [
        f"{r['accession']} has no term" for r in records if r["role"] == "reference" and r["accession"] not in donors
    ]
    print(f"{len(records)} records, {len(terms)} terms, {len(bad)} faults", *bad, sep="\n")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
