"""`report.html`: one file that a person opens first, without a network.

Whatever comes from outside (accessions, headers, names, settings) is text to the page: the template escapes it, the
table's data is JSON that cannot end its element, and a content security policy lets nothing run or load but the style
sheet and the script that the page was written with.
"""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._version import __version__
from .canvas import BLUE, GREEN, INK, LINE, MUTED, ORANGE, PAPER, PURPLE, SKY, VERMILION, headed, style
from .drawing import inlined, write_drawing
from .plates import ASPECT_NAMES, draw_plates, origin
from .tally import STRETCH, TWILIGHT
from .words import counted, label, percent, printable, shortened

if TYPE_CHECKING:
    from .overview import Overview

__all__ = ["FIGURES", "REPORT", "write_page"]

REPORT = "report.html"
FIGURES = "figures"

LONGEST_ACCESSION = 120
TOP_TERMS = 10
SHOWN_REASONS = 10

COLOURS = {
    colour: f"var(--{name})"
    for name, colour in (
        *(("ink", INK), ("muted", MUTED), ("line", LINE), ("paper", PAPER), ("blue", BLUE), ("vermilion", VERMILION)),
        *(("sky", SKY), ("green", GREEN), ("orange", ORANGE), ("purple", PURPLE)),
    )
}
"""Colours of the figures as the page's own, which follow the reader from light to dark."""

MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
STAGES = {"embed": "embedding", "lookup": "lookup", "annotate": "transfer of terms", "report": "files"}


def write_page(overview: Overview, folder: Path) -> Path:
    """Write ``report.html``, and each of its figures as SVG and PNG in ``figures/``.

    Equal numbers give equal bytes. Files of an earlier report are replaced.

    Parameters
    ----------
    overview : Overview
    folder : Path
        The run folder.

    Returns
    -------
    Path
        The page.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    from ..run_folder import write_aside
    from .files import folder_aside

    plates = {}
    with folder_aside(folder / FIGURES) as drawings, style():
        for plate in draw_plates(overview):
            from_where = origin(overview)
            figure = headed(plate.figure, plate.heading, from_where)
            svg = write_drawing(figure, drawings, plate.name, f"{plate.heading}; {from_where}")
            drawing = Markup(inlined(svg, plate.name, plate.title, COLOURS))  # noqa: S704 (matplotlib escapes)
            plates[plate.name] = {"plate": plate, "drawing": drawing}
    files = resources.files(__package__) / "templates"
    css, script = ((files / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": "{:,}".format, "text": printable}
    page = environment.get_template("report.html.j2").render(
        **_facts(overview),
        plates=plates,
        css=Markup(css),  # noqa: S704 (our own)
        script=Markup(script),  # noqa: S704 (our own)
        css_hash=_digest(css),
        script_hash=_digest(script),
        data=Markup(_embedded(_table(overview))),  # noqa: S704 (see _embedded)
        percent=percent,
        counted=counted,
        version=__version__,
    )
    write_aside(folder / REPORT, page)
    return folder / REPORT


def _digest(text: str) -> str:
    """Return the hash by which a content security policy knows a script or a style sheet."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _embedded(content: Any) -> str:
    r"""Return JSON that cannot end the element it stands in.

    Examples
    --------
    >>> _embedded(["</script><!--"])
    '["\\u003c/script\\u003e\\u003c!--"]'
    """
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _table(overview: Overview) -> dict[str, Any]:
    """Return what the page's table is made of, as plain columns."""
    account, best = overview.account, overview.best
    n = len(account.accessions)
    silent = [i for i in range(n) if account.terms[i] == 0 and account.reason[i] >= 0]
    return best | {
        "accessions": [shortened(name, LONGEST_ACCESSION) for name in account.accessions],
        "lengths": overview.lengths[:n].tolist(),
        "counts": overview.terms[:n].tolist(),
        "spaces": [label(space) for space in overview.tally.spaces],
        "twilight": TWILIGHT / 100,
        "reasons": [printable(reason) for reason in account.reasons],
        "silent": {"protein": silent, "reason": [int(account.reason[i]) for i in silent]},
        "common": _common(overview),
    }


def _common(overview: Overview) -> list[tuple[str, str, int, str]]:
    """Return id, name and proteins of the terms that the page counts, and what else counts for one of the slim."""
    own = [(*term, "") for group in _top_terms(overview) for term in group["terms"]]
    names = overview.slim.names if overview.slim else {}
    slim = overview.tally.proteins_of_slim.items()
    return own + [(go_id, names.get(go_id, ""), n, " or a term below it") for go_id, n in slim]


def _facts(overview: Overview) -> dict[str, Any]:
    """Return what the sentences and lists of the page say."""
    import yaml

    account, tally, manifest = overview.account, overview.tally, overview.manifest
    n, annotated = len(account), account.annotated
    silent = ~annotated if overview.looked_up else ~account.embedded
    reasons = account.why(silent)
    return {
        "run_name": str(overview.config["prefix"]),
        "input_name": Path(str(overview.config["input"])).name,
        "looked_up": overview.looked_up,
        "proteins": n,
        "genes": None if overview.genes is None else len(set(overview.genes.values())),
        "without_gene": n - len(overview.genes or ()),
        "embedded": int(account.embedded.sum()),
        "truncated": int(account.truncated.sum()),
        "annotated": int(annotated.sum()),
        "silent": int(silent.sum()),
        "reasons": reasons[:SHOWN_REASONS],
        "more_reasons": (len(reasons[SHOWN_REASONS:]), sum(n for _, n in reasons[SHOWN_REASONS:])),
        "by_space": account.spaces.to_dict("records"),
        "spaces": [label(space) for space in tally.spaces],
        "aligned": tally.aligned,
        "unlike": tally.unlike,
        "twilight": TWILIGHT,
        "stretch": STRETCH,
        "pairs": int(tally.support.sum()),
        "distinct_terms": len(tally.names),
        "listed": len(account.accessions),
        "top_terms": _top_terms(overview),
        "slim_name": overview.slim.name if overview.slim else "",
        "manifest": manifest,
        "started": _moment(str(manifest.get("started", ""))),
        "config": overview.config,
        "config_text": yaml.safe_dump(dict(overview.config), sort_keys=False, allow_unicode=True),
        "stages": _stages(manifest.get("stages", {})),
    }


def _top_terms(overview: Overview) -> list[dict[str, Any]]:
    """Return the terms that most proteins have, for each aspect."""
    tally = overview.tally
    groups = []
    for aspect, name in ASPECT_NAMES.items():
        here = [(go_id, n) for go_id, n in tally.proteins_of_term.items() if tally.aspects[go_id] == aspect]
        ranked = sorted(here, key=lambda pair: (-pair[1], pair[0]))[:TOP_TERMS]
        if ranked:
            groups.append({"name": name, "terms": [(go_id, tally.names[go_id], n) for go_id, n in ranked]})
    return groups


def _stages(stages: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """Return name, time, memory, that of the largest worker, and the length of a bar for each stage."""
    longest = max((facts["seconds"] for facts in stages.values()), default=0) or 1
    return [
        {
            "name": STAGES.get(name, name),
            "time": _duration(facts["seconds"]),
            "memory": _gigabytes(facts["peak_memory_bytes"]),
            "worker": _gigabytes(facts.get("largest_child_peak_memory_bytes", 0)),
            "share": round(100 * facts["seconds"] / longest, 1),
        }
        for name, facts in stages.items()
    ]


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.2f} GB" if size else "–"


def _moment(text: str) -> str:
    """Return a date and time in words.

    Examples
    --------
    >>> _moment("2026-03-05T08:09:10+00:00"), _moment("")
    ('5 March 2026, 08:09 UTC', 'at a time that is not known')
    """
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return "at a time that is not known"
    return f"{moment.day} {MONTHS[moment.month - 1]} {moment:%Y, %H:%M} UTC"


def _duration(seconds: float) -> str:
    """Return a duration in the units that a person would use.

    Examples
    --------
    >>> _duration(3.21), _duration(75), _duration(7260)
    ('3.2 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
