"""Write the tables of the documentation anew: keys, columns, models and command-line options, as the code has them.

Each stands in its page between two comments, ``<!-- keys: ALL -->`` and ``<!-- end -->``::

    python tools/docs_tables.py

A test compares pages and code, so this is run whenever the test says that a page is out of date.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import click

from fantasia_dask import schema
from fantasia_dask.cli import cli
from fantasia_dask.config import known_keys
from fantasia_dask.embed.models import model_keys, model_spec

DOCS = Path(__file__).resolve().parent.parent / "docs"
TABLE = re.compile(r"<!-- (columns|keys|models|commands): (\w+) -->\n.*?<!-- end -->", re.DOTALL)


def with_tables(text: str) -> str:
    """Return a page with its tables made anew."""
    makers = {"columns": column_table, "keys": key_table, "models": model_table, "commands": command_sections}
    return TABLE.sub(lambda m: f"<!-- {m[1]}: {m[2]} -->\n{makers[m[1]](m[2])}\n<!-- end -->", text)


def markdown(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table in Markdown."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


# Columns ---------------------------------------------------------------------------------------------------------


def tables() -> dict[str, tuple[schema.Column, ...]]:
    """Return every table of the schema by name."""
    found = {name: getattr(schema, name) for name in schema.__all__}
    return {
        name: table
        for name, table in found.items()
        if isinstance(table, tuple) and all(isinstance(column, schema.Column) for column in table)
    }


def column_table(name: str) -> str:
    """Return the columns of one table of the schema."""
    rows = [(f"`{c.name}`", c.dtype, c.meaning + (f" ({c.unit})" if c.unit else ""), c.missing) for c in tables()[name]]
    return markdown(("column", "type", "meaning", "when missing"), rows)


# Keys ------------------------------------------------------------------------------------------------------------


def key_table(name: str) -> str:
    """Return every key of the configuration."""
    assert name == "ALL"
    rows = [(f"`{key}`", default_of(field), described(field)) for key, field in known_keys().items()]
    return markdown(("key", "default", "meaning"), rows)


def default_of(field: Any) -> str:
    """Return the default of a setting."""
    if field.is_required():
        return "none: must be given"
    value = field.get_default(call_default_factory=True)
    return f"`{json.dumps(value, default=str)}`"


def described(field: Any) -> str:
    """Return the meaning of a setting, its choices first."""
    choices = [f"`{choice}`" for kind in (field.annotation, *get_args(field.annotation)) for choice in literals(kind)]
    meaning = str(field.description).replace("<", "\\<")
    return f"One of {', '.join(choices)}. {meaning}" if choices else meaning


def literals(kind: Any) -> tuple[Any, ...]:
    """Return the values of a `Literal`."""
    return get_args(kind) if str(get_origin(kind)) == "typing.Literal" else ()


# Models ----------------------------------------------------------------------------------------------------------


def model_table(name: str) -> str:
    """Return every model of the registry."""
    assert name == "ALL"
    specs = [model_spec(key) for key in model_keys()]
    rows = [
        (
            f"`{s.key}`",
            s.checkpoint,
            f"`{s.family}`",
            str(s.dimension),
            str(s.layers),
            str(s.trained_residues or ""),
            s.size,
            s.licence,
        )
        for s in specs
    ]
    header = ("key", "checkpoint", "family", "d", "hidden states", "residues in training", "download", "licence")
    return markdown(header, rows)


# Commands --------------------------------------------------------------------------------------------------------


def commands(group: click.Group = cli, above: str = "fantasia-dask") -> Iterator[tuple[str, click.Command]]:
    """Yield every command that does something, with its full name."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{above} {name}")
        elif not command.hidden:
            yield f"{above} {name}", command


def command_sections(name: str) -> str:
    """Return a section per command: usage, what it does, its options."""
    assert name == "ALL"
    return "\n\n".join(command_section(*entry) for entry in commands())


def command_section(name: str, command: click.Command) -> str:
    """Return the section of one command."""
    context = click.Context(command, info_name=name)
    usage = " ".join(command.collect_usage_pieces(context))
    text = inspect.cleandoc(command.help or "").replace("<", "\\<")
    rows = [option_row(p, context) for p in command.params if isinstance(p, click.Option) and not p.hidden]
    options = "\n\n" + markdown(("option", "meaning"), rows) if rows else ""
    return f"## `{name}`\n\n```text\n{name} {usage}\n```\n\n{text}{options}"


def option_row(option: click.Option, context: click.Context) -> tuple[str, str]:
    """Return the names of an option with its argument, and its meaning with its default."""
    argument = "" if option.is_flag else f" {option.make_metavar(context)}"
    default = option.get_default(context, call=False)
    shown = ", ".join(map(str, default)) if isinstance(default, tuple) else default
    known = isinstance(shown, str | int | float) and not isinstance(shown, bool) and str(shown) != ""
    notes = ["Required." if option.required else "", f"Default: `{shown}`." if known else ""]
    meaning = " ".join(part for part in [option.help or "", *notes] if part)
    return f"`{', '.join([*option.opts, *option.secondary_opts])}{argument}`", meaning.replace("<", "\\<")


def pages_with_tables() -> list[Path]:
    """Return the pages that hold such tables."""
    return [page for page in sorted(DOCS.rglob("*.md")) if TABLE.search(page.read_text(encoding="utf-8"))]


if __name__ == "__main__":
    for page in pages_with_tables():
        page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
