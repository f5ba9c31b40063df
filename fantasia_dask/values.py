"""What a value may look like: the types of settings, with the sentence for each that is not one.

A validator runs before or after pydantic's own; what it raises ends in the sentence that the user reads.
"""

from __future__ import annotations

import math
import re
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

__all__ = [
    "METRICS",
    "STATISTICS",
    "USUAL_EXPORTS",
    "WEIGHTS",
    "Count",
    "Database",
    "Day",
    "Digest",
    "ExportName",
    "Exports",
    "Family",
    "FolderName",
    "Fraction",
    "GenePattern",
    "Layers",
    "Lines",
    "Memory",
    "Natural",
    "Number",
    "Profile",
    "Statistic",
    "Taxa",
    "Taxon",
    "Threshold",
    "Walltime",
    "Weight",
    "a_day",
    "a_number",
    "several",
]

MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGTP]i?)?B?", re.IGNORECASE)
PREFIXES = " kmgtp"
WALLTIME = re.compile(r"(\d+-)?\d{1,3}:\d{2}(:\d{2})?")


def a_number(value: Any) -> Any:
    """Keep `true` from being read as 1, which YAML's `yes` and `on` would otherwise become."""
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


def several(value: Any) -> Any:
    """Let a single value stand for a list of one, and nothing for an empty list."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _folder_name(value: str) -> str:
    plain = value.strip() == value and value not in {"", ".", ".."} and len(value.encode()) <= 200
    if not plain or re.search(r"[/\\\x00-\x1f\x7f]", value) or value.startswith("-"):
        raise ValueError("expected a plain folder name, such as ants_2026, without a path in it")
    return value


def _no_threshold(value: Any) -> Any:
    """0, false and null all say "no threshold", as in FANTASIA."""
    if value is False or value is None or (isinstance(value, int | float) and value == 0):
        return None
    return a_number(value)


def _layers(value: tuple[int, ...]) -> tuple[int, ...]:
    if not value or len(set(value)) < len(value):
        raise ValueError("expected at least one layer, and each layer once")
    return value


def _taxon(value: int | str) -> int | str:
    text = str(value).strip()
    if not text or (text.isdecimal() and int(text) == 0):
        raise ValueError("expected an NCBI taxon id, such as 9606, or a taxon's name")
    return int(text) if text.isdecimal() else text


def _walltime(value: Any) -> Any:
    """SLURM reads 90 as minutes, and YAML reads 12:00:00 as 43200: only text says what is meant."""
    if not isinstance(value, str) or not WALLTIME.fullmatch(value.strip()):
        raise ValueError("expected hours, minutes and seconds in quotes, such as '12:00:00' or '2-00:00:00'")
    return value.strip()


def a_day(value: Any) -> Any:
    """Write a day as ISO 8601, whether YAML read a date, a number or text."""
    if value is None or value is False:
        return None
    try:
        if isinstance(value, date) and not isinstance(value, datetime):
            return value.isoformat()
        return date.fromisoformat(str(value).strip()).isoformat()
    except ValueError as error:
        raise ValueError("expected a day, such as 2020-01-31") from error


def _one_line(value: tuple[str, ...]) -> tuple[str, ...]:
    if any("\n" in line for line in value):
        raise ValueError("expected a list of single lines")
    return value


def _bytes(value: Any) -> Any:
    """Turn "8GB" or "8 GiB" into bytes."""
    if isinstance(value, str):
        match = MEMORY.fullmatch(value.strip())
        if not match:
            raise ValueError("expected an amount of memory, such as 8GB")
        unit = (match[2] or "").lower()
        power = PREFIXES.index(unit[:1] or " ")
        amount = float(match[1]) * (1024 if unit.endswith("i") else 1000) ** power
        if math.isinf(amount):
            raise ValueError("expected an amount of memory that exists, such as 8GB")
        return int(amount)
    return a_number(value)


def _digest(value: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", value):
        raise ValueError("expected a SHA-256, 64 hexadecimal digits")
    return value.lower()


def _database(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value):
        raise ValueError("expected a short name of letters, digits and _ . -, such as ENSEMBL")
    return value


def _pattern(value: str) -> str:
    try:
        groups = re.compile(value).groups
    except re.error as error:
        raise ValueError(f"expected a regular expression ({error})") from error
    if not groups:
        raise ValueError(r"expected a group that holds the gene, as in gene:(\S+)")
    return value


def _once(value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value))


Count = Annotated[int, BeforeValidator(a_number), Field(ge=1)]
Natural = Annotated[int, BeforeValidator(a_number), Field(ge=0)]
Number = Annotated[float, BeforeValidator(a_number), Field(allow_inf_nan=False)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
Threshold = Annotated[Annotated[float, Field(gt=0, allow_inf_nan=False)] | None, BeforeValidator(_no_threshold)]
Layers = Annotated[tuple[Natural, ...], BeforeValidator(several), AfterValidator(_layers)]
Taxon = Annotated[Annotated[int, Field(ge=1)] | str, BeforeValidator(a_number), AfterValidator(_taxon)]
Taxa = Annotated[tuple[Taxon, ...], BeforeValidator(several)]
Memory = Annotated[Annotated[int, Field(ge=1)] | None, BeforeValidator(_bytes)]
Lines = Annotated[tuple[str, ...], BeforeValidator(several), AfterValidator(_one_line)]
FolderName = Annotated[str, AfterValidator(_folder_name)]
Statistic = Literal["min", "max", "mean"]
STATISTICS: tuple[Statistic, ...] = ("min", "max", "mean")
Weight = Number | dict[Statistic, Number]
Day = Annotated[str | None, BeforeValidator(a_day)]
Digest = Annotated[str, AfterValidator(_digest)]
ExportName = Literal[
    "consensus", "gaf", "gpad", "clusterprofiler", "goatools", "goslim", "multiqc", "ro-crate", "cafa", "raw-tsv"
]
Exports = Annotated[tuple[ExportName, ...], BeforeValidator(several), AfterValidator(_once)]
USUAL_EXPORTS: tuple[ExportName, ...] = (
    "consensus", "gaf", "gpad", "clusterprofiler", "goatools", "goslim", "multiqc", "ro-crate",
)  # fmt: skip
Walltime = Annotated[str, BeforeValidator(_walltime)]
Database = Annotated[str, AfterValidator(_database)]
GenePattern = Annotated[str, AfterValidator(_pattern)]
Profile = Literal["pis-3.1", "clean"]
Family = Literal["esm2", "t5", "esmc"]

METRICS: dict[str, tuple[Statistic, ...]] = {
    "reliability_index": ("max",),
    "identity": STATISTICS,
    "identity_sw": STATISTICS,
}
WEIGHTS: dict[str, Weight] = {
    "reliability_index": {"max": 0.4},
    "identity": {"max": 0.2},
    "identity_sw": {"max": 0.2},
    "count": 0.2,
}
"""FANTASIA's, by raw column, so that they hold whatever the columns of the summary are called."""
