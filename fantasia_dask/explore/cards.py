"""What a notebook shows of a run: small tables in HTML that take the colours of the page. Every word is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:
    from .run import OpenRun
    from .space import OpenSpace

__all__ = ["run_card", "space_card"]


def run_card(run: OpenRun) -> str:
    """Describe a run: counts, what was looked up, versions, time."""
    facts = run.manifest
    counts, reference = facts.get("counts", {}), facts.get("reference") or {}
    versions, stages = facts.get("versions", {}), facts.get("stages", {})
    lines: list[tuple[str, Any]] = [
        ("folder", run.path),
        ("input", run.config.input),
        ("state", f"finished, {facts.get('started', '')}" if run.finished else "not finished"),
        *((name.replace("_", " "), count) for name, count in counts.items()),
        ("reference", reference.get("path", run.config.reference or "none")),
        ("GO release", reference.get("go_release", "")),
        ("distance", f"{run.config.embedding.distance_metric}, k = {run.config.limit_per_entry}"),
        ("seconds", ", ".join(f"{name} {stage.get('seconds', 0):.1f}" for name, stage in stages.items())),
        ("fantasia-dask", versions.get("fantasia-dask", "")),
    ]
    return _card("Run", lines) + _spaces(run)


def _spaces(run: OpenRun) -> str:
    try:
        spaces = run.spaces
    except InputError:  # a run that has not come so far, or whose vectors were moved
        return ""
    rows = [(str(s), s.space.dimension, s.space.dtype, s.space.profile, "yes" if s.looked_up else "no") for s in spaces]
    return _table(("space", "d", "dtype", "pooling", "looked up"), rows)


def space_card(space: OpenSpace) -> str:
    """Describe one embedding space of a run."""
    facts, queries = space.space, space.queries
    reference = f"{space.run.reference.rows:,} × {facts.dimension}" if space.looked_up else "not looked up"
    made_by = f"{facts.checkpoint} {facts.revision}".strip() or "brought along"
    lines = [
        ("queries", f"{queries.shape[0]:,} × {facts.dimension}, {facts.dtype}, {queries.npartitions} chunks"),
        ("reference", reference),
        ("made by", made_by),
        ("pooling", facts.profile),
        ("distance", space.metric),
    ]
    return _card(str(space), lines)


def _card(title: str, lines: Iterable[tuple[str, Any]]) -> str:
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left">{escape(str(name))}</th>'
        f'<td style="text-align:left">{escape(str(value))}</td></tr>'
        for name, value in lines
        if str(value).strip()
    )
    return f'<table><caption style="text-align:left"><strong>{escape(title)}</strong></caption>{rows}</table>'


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
