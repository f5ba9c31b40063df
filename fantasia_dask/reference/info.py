"""What a reference holds, as text for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import one_line

if TYPE_CHECKING:
    from .bundle import Reference

__all__ = ["describe_reference"]

TOP_TAXA = 10
LEFT_OUT = {
    "other_protein": "of other proteins",
    "other_evidence": "with other evidence",
    "not": "NOT",
    "no_data": "ND",
    "alternative_dropped": "of ambiguous ids",
    "obsolete_dropped": "obsolete",
    "unknown_dropped": "unknown to the ontology",
    "duplicate": "twice",
}
"""Why lines of annotation files are no annotations of a reference, by their names among the counts of its manifest."""
LONGEST_CELL = 100
SPACE_HEADER = ("model", "layer", "d", "dtype", "vectors", "size", "profile", "checkpoint")


def describe_reference(reference: Reference) -> str:
    """Return the embedding spaces, and counts of proteins, taxa and evidence, as lines of text."""
    manifest = reference.manifest
    facts = [
        ("reference", str(reference.path)),
        ("created", f"{manifest.get('created', '')} by {manifest.get('software', '')}"),
        ("GO release", manifest.get("go_release") or "not named"),
        ("GO slims", ", ".join(_slims(reference)) or "none"),
        ("sequences", f"{reference.rows:,} (rows of every array)"),
        ("proteins", f"{len(reference.proteins):,}, of them annotated {reference.annotations['protein'].nunique():,}"),
        ("annotations", f"{len(reference.annotations):,}"),
        *_left_out(manifest.get("counts", {})),
        ("lineages", _lineages(reference)),
    ]
    parts = [
        "\n".join(f"{name:<12} {one_line(str(value))}" for name, value in facts),
        "Embeddings\n" + _columns([SPACE_HEADER, *_space_lines(reference)]),
        "Taxa\n" + _columns(_taxon_lines(reference)),
        "Evidence\n" + _columns(_evidence_lines(reference)),
    ]
    return "\n\n".join(parts)


def _left_out(counts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Tell how many annotations were read, and why some were left out; nothing where only annotations were read."""
    if "annotations_read" not in counts:
        return []
    reasons = [(counts.get(f"annotations_{name}", 0), what) for name, what in LEFT_OUT.items()]
    told = ", ".join(f"{n:,} {what}" for n, what in reasons if n)
    return [("left out", f"of {counts['annotations_read']:,} lines: {told or 'none'}")]


def _lineages(reference: Reference) -> str:
    taxonomy = reference.taxonomy
    if taxonomy is None:
        return "none: clades need a taxonomy dump"
    taxa = set(reference.proteins["taxon"].tolist()) - {0}
    placed = len(taxa & set(taxonomy.lineages))
    return "of its taxa" if placed == len(taxa) else f"of {placed:,} of its {len(taxa):,} taxa: others need a dump"


def _slims(reference: Reference) -> list[str]:
    subsets = reference.subsets
    return [] if subsets is None else sorted(name for name in subsets["subset"].unique() if "slim" in name)


def _space_lines(reference: Reference) -> Iterable[tuple[str, ...]]:
    for space in reference.spaces:
        vectors = reference.store.count(space.model, space.layer)
        itemsize = 2 if space.dtype == "float16" else 4
        yield (
            space.model,
            str(space.layer),
            str(space.dimension),
            space.dtype,
            f"{vectors:,}",
            _size(reference.rows * space.dimension * itemsize),
            space.profile,
            space.checkpoint or "brought along",
        )


def _size(n: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:.3g} TB"


def _taxon_lines(reference: Reference) -> list[tuple[str, ...]]:
    groups = reference.proteins.groupby("taxon")["organism"].agg(["size", "first"])
    groups = groups.sort_values(["size"], ascending=False, kind="stable")
    lines: list[tuple[str, ...]] = [
        (str(taxon) if taxon else "unknown", f"{size:,}", str(organism))
        for taxon, size, organism in groups.head(TOP_TAXA).itertuples()
    ]
    rest = groups["size"].iloc[TOP_TAXA:]
    return [*lines, (f"{len(rest)} more", f"{rest.sum():,}", "")] if len(rest) else lines


def _evidence_lines(reference: Reference) -> list[tuple[str, ...]]:
    counts: Any = reference.annotations["evidence"].value_counts().sort_values(ascending=False, kind="stable")
    return [(str(code) or "none", f"{n:,}") for code, n in counts.items()]


def _columns(lines: Sequence[Sequence[str]]) -> str:
    """Lay lines out in columns."""
    lines = [[one_line(cell, LONGEST_CELL) for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
