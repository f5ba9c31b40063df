"""The documentation is true: links lead somewhere, configurations load, commands exist, tables are those of the code.

The tables of `docs/` that list columns, keys, models and options stand between two comments; ``python
tools/docs_tables.py`` writes them anew.
"""

from __future__ import annotations

import doctest
import re
import shlex
import sys
from contextlib import suppress
from pathlib import Path

import click
import pytest
import yaml

from fantasia_dask import load_config, open_store
from fantasia_dask.cli import cli

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import docs_tables  # noqa: E402

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
FORMATS = DOCS / "reference" / "formats.md"

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DIRECTIVE = re.compile(r"^```\{(\w+)\}.*?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
INLINE = re.compile(r"(?<!`)`(fantasia-dask [^`\n]+)`(?!`)")
ONE_MODEL = {"input": "proteins.fasta", "embedding": {"models": {"ESM": None}}}

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


# Tables ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", docs_tables.pages_with_tables(), ids=lambda page: page.name)
def test_tables__are_those_of_the_code(page):
    text = page.read_text(encoding="utf-8")
    again = "python tools/docs_tables.py writes its tables anew"
    assert docs_tables.with_tables(text) == text, f"{page.name} is out of date: {again}"


def listed() -> list[tuple[str, str]]:
    return [found for page in PAGES for found in docs_tables.TABLE.findall(page.read_text(encoding="utf-8"))]


def test_tables__every_table_of_the_schema_is_listed_once():
    assert sorted(name for kind, name in listed() if kind == "columns") == sorted(docs_tables.tables())


@pytest.mark.parametrize("kind", ["keys", "models", "commands"])
def test_tables__everything_else_is_listed_once(kind):
    assert [name for found, name in listed() if found == kind] == ["ALL"]


def test_tables__hold_what_is_known_to_exist():
    assert "| `embedding.models.<Key>.layer_index` | `[0]` |" in docs_tables.key_table("ALL")
    assert "| `Prot-T5` |" in docs_tables.model_table("ALL")
    sections = docs_tables.command_sections("ALL")
    assert "## `fantasia-dask reference build`" in sections
    assert "| `-k, --limit-per-entry K` | Neighbours kept per query. |" in sections


# Links -----------------------------------------------------------------------------------------------------------


def prose(page: Path) -> str:
    return FENCE.sub("", DIRECTIVE.sub("", page.read_text(encoding="utf-8")))


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


def test_links__every_page_is_in_one_table_of_contents():
    entries = [
        (page.parent / f"{line}.md").relative_to(DOCS)
        for page in DOCS.rglob("*.md")
        for name, text in DIRECTIVE.findall(page.read_text(encoding="utf-8"))
        for line in text.splitlines()
        if name == "toctree" and line and not line.startswith(":")
    ]
    assert sorted(entries) == sorted(p.relative_to(DOCS) for p in DOCS.rglob("*.md") if p != DOCS / "index.md")


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
        pytest.param(text, id=f"{page.stem}-{i}") for page in PAGES for i, text in enumerate(blocks(page, *languages))
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
    """Return the command lines of ours in a shell block, continued lines joined, and without what they are piped to."""
    lines = text.replace("\\\n", " ").splitlines()
    stripped = [re.sub(r"^\s*(?:\$ )?", "", line) for line in lines]
    return [line.partition(" | ")[0] for line in stripped if line.startswith("fantasia-dask")]


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


@pytest.mark.parametrize(
    "text", [p for p in shown("python") if ">>>" in p.values[0] and not p.id.startswith("tutorial-")]
)  # tests/test_site.py goes through the tutorial
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
