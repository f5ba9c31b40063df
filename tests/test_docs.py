"""The documentation is true: links lead somewhere, configurations load, commands exist, tables are those of the code.

The tables of `docs/` that list columns and keys stand between two comments; ``python tests/test_docs.py`` writes
them anew.
"""

from __future__ import annotations

import doctest
import json
import re
import shlex
from contextlib import suppress
from pathlib import Path
from typing import get_args, get_origin

import click
import pytest
import yaml

from fantasia_dask import load_config, open_store, schema
from fantasia_dask.cli import cli
from fantasia_dask.config import known_keys
from fantasia_dask.embed.models import model_keys, model_spec

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FORMATS = ROOT / "docs" / "formats.md"
KEYS = ROOT / "docs" / "configuration.md"
MODELS = ROOT / "docs" / "profiles.md"

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
INLINE = re.compile(r"(?<!`)`(fantasia-dask [^`\n]+)`(?!`)")
TABLE = re.compile(r"<!-- (columns|keys|models): (\w+) -->\n.*?<!-- end -->", re.DOTALL)
ONE_MODEL = {"input": "proteins.fasta", "embedding": {"models": {"ESM": None}}}

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


# Tables ----------------------------------------------------------------------------------------------------------


def tables() -> dict[str, tuple[schema.Column, ...]]:
    """Return every table of the schema by name."""
    found = {name: getattr(schema, name) for name in schema.__all__}
    return {
        name: table
        for name, table in found.items()
        if isinstance(table, tuple) and all(isinstance(column, schema.Column) for column in table)
    }


def markdown(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def column_table(name: str) -> str:
    """Return the columns of one table of the schema, as Markdown."""
    rows = [(f"`{c.name}`", c.dtype, c.meaning + (f" ({c.unit})" if c.unit else ""), c.missing) for c in tables()[name]]
    return markdown(("column", "type", "meaning", "when missing"), rows)


def key_table(name: str) -> str:
    """Return every key of the configuration, as Markdown."""
    assert name == "ALL"
    rows = [(f"`{key}`", default_of(field), described(field)) for key, field in known_keys().items()]
    return markdown(("key", "default", "meaning"), rows)


def model_table(name: str) -> str:
    """Return every model of the registry, as Markdown."""
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


def default_of(field) -> str:
    if field.is_required():
        return "none: must be given"
    value = field.get_default(call_default_factory=True)
    return f"`{json.dumps(value, default=str)}`"


def described(field) -> str:
    choices = [f"`{choice}`" for kind in (field.annotation, *get_args(field.annotation)) for choice in literals(kind)]
    meaning = str(field.description).replace("<", "\\<")
    return f"One of {', '.join(choices)}. {meaning}" if choices else meaning


def literals(kind) -> tuple:
    return get_args(kind) if str(get_origin(kind)) == "typing.Literal" else ()


def with_tables(text: str) -> str:
    """Return a page with its tables made anew."""
    makers = {"columns": column_table, "keys": key_table, "models": model_table}
    return TABLE.sub(lambda m: f"<!-- {m[1]}: {m[2]} -->\n{makers[m[1]](m[2])}\n<!-- end -->", text)


@pytest.mark.parametrize("page", [FORMATS, KEYS, MODELS], ids=lambda page: page.name)
def test_tables__are_those_of_the_code(page):
    text = page.read_text(encoding="utf-8")
    assert with_tables(text) == text, f"{page.name} is out of date: python tests/test_docs.py writes its tables anew"


def test_tables__every_table_of_the_schema_is_listed_once():
    listed = [name for kind, name in TABLE.findall(FORMATS.read_text(encoding="utf-8")) if kind == "columns"]
    assert sorted(listed) == sorted(tables())


def test_tables__every_model_is_listed():
    assert TABLE.findall(MODELS.read_text(encoding="utf-8")) == [("models", "ALL")]
    assert "| `Prot-T5` |" in model_table("ALL")


def test_tables__every_key_is_listed():
    assert TABLE.findall(KEYS.read_text(encoding="utf-8")) == [("keys", "ALL")]
    assert "`embedding.models.<Key>.layer_index`" in key_table("ALL")


# Links -----------------------------------------------------------------------------------------------------------


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pages
def test_links__lead_somewhere(page):
    for target in LINK.findall(prose(page)):
        if re.match(r"https?://|mailto:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        assert ROOT in (file, *file.parents), f"{target} leads out of the repository"
        assert not anchor or anchor in anchors(file), target


def test_links__every_page_is_reached_from_the_readme():
    reached = {(ROOT / target.partition("#")[0]).resolve() for target in LINK.findall(prose(PAGES[0]))}
    assert set(PAGES[1:]) <= reached


@pages
def test_pages__show_no_path_of_a_machine(page):
    assert not re.findall(r"/(?:root|tmp|work|home)/\S*", page.read_text(encoding="utf-8"))


def test_readme__is_short():
    assert len(PAGES[0].read_text(encoding="utf-8").splitlines()) < 150


# Configurations --------------------------------------------------------------------------------------------------


def blocks(page: Path, *languages: str) -> list[str]:
    return [text for language, text in FENCE.findall(page.read_text(encoding="utf-8")) if language in languages]


def shown(*languages: str) -> list:
    """Return the blocks of all pages as test parameters."""
    return [
        pytest.param(text, id=f"{page.name}-{i}") for page in PAGES for i, text in enumerate(blocks(page, *languages))
    ]


@pytest.mark.parametrize("text", shown("yaml"))
def test_yaml__loads(text, tmp_path):
    settings = yaml.safe_load(text)
    if "input" not in settings:
        # a part of a configuration is laid over the least that makes a whole one
        settings = {**ONE_MODEL, **settings}
    file = tmp_path / "shown.yaml"
    file.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    config = load_config(file, note=lambda line: None)
    assert config.embedding.enabled_models


# Commands --------------------------------------------------------------------------------------------------------


def command_lines(text: str) -> list[str]:
    """Return the command lines of ours in a shell block, continued lines joined."""
    lines = text.replace("\\\n", " ").splitlines()
    stripped = [re.sub(r"^\s*(?:\$ )?", "", line) for line in lines]
    return [line for line in stripped if line.startswith("fantasia-dask")]


def parse(line: str) -> None:
    """Parse one command line with the click tree; nothing is run."""
    arguments = shlex.split(line, comments=True)[1:]
    command: click.Command = cli
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        name = arguments.pop(0)
        assert name in command.commands, f"{line}: there is no command {name}"
        command = command.commands[name]
    with suppress(click.exceptions.Exit):  # --help and --version
        command.make_context(str(command.name), arguments)


SHELL_BLOCKS = [text for page in PAGES for text in blocks(page, "console", "bash", "sh")]
COMMANDS = sorted({line for text in SHELL_BLOCKS for line in command_lines(text)})
MENTIONED = sorted({line for page in PAGES for line in INLINE.findall(prose(page))})


def test_commands__are_shown_and_found():
    assert any(line.startswith("fantasia-dask run") for line in COMMANDS)
    assert any(line.startswith("fantasia-dask reference build") for line in COMMANDS)


@pytest.mark.parametrize("line", COMMANDS)
def test_commands__parse(line):
    parse(line)


@pytest.mark.parametrize("line", MENTIONED)
def test_commands__mentioned_in_a_sentence_exist(line):
    with suppress(click.MissingParameter):  # a sentence may name a command without all that it needs
        parse(line)


@pytest.mark.parametrize("line", ["fantasia-dask fly", "fantasia-dask run --fast", "fantasia-dask reference info"])
def test_parse__refuses_what_does_not_exist(line):
    with pytest.raises((AssertionError, click.UsageError)):
        parse(line)


# Examples --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [p for p in shown("python") if ">>>" in p.values[0]])
def test_python__examples_give_what_is_shown(text, monkeypatch):
    monkeypatch.chdir(ROOT)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    example = doctest.DocTestParser().get_doctest(text, {}, "docs", None, 0)
    result = doctest.DocTestRunner(optionflags=flags).run(example)
    assert result.attempted > 0
    assert result.failed == 0


def test_store__is_laid_out_as_formats_says(tmp_path):
    """Open a store with zarr alone, by the names that formats.md promises."""
    import zarr

    path = ROOT / "fantasia_dask" / "sample" / "reference" / "embeddings.zarr"
    store, text = open_store(path), FORMATS.read_text(encoding="utf-8")
    root = zarr.open_group(path, mode="r")
    for name in ("encoding-type", "encoding-version", "chunk-rows"):
        assert name in root.attrs
        assert f"`{name}`" in text
    for name in ("ids", "lengths", "digests", "sequences"):
        assert root[name].shape == (len(store),)
        assert f"`{name}`" in text
    space = store.spaces[0]
    group = root[f"models/{space.model}/layer_{space.layer}"]
    assert group["vectors"].shape == (len(store), space.dimension)
    assert group["present"].dtype == bool
    for name in group.attrs:
        assert f"`{name}`" in text


if __name__ == "__main__":
    for page in (FORMATS, KEYS, MODELS):
        page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
