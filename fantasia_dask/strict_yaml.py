"""YAML read strictly: what another reader would pass over in silence is one sentence here."""

from __future__ import annotations

import os
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from .errors import InputError

__all__ = ["parse_value", "read_mapping"]

MERGE_TAG = "tag:yaml.org,2002:merge"
LARGEST_FILE = 10_000_000


class _StrictLoader(yaml.SafeLoader):
    """Safe, and a key written twice is an error: plain YAML keeps the last one without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True) if key_node.tag != MERGE_TAG else None
            if isinstance(key, Hashable) and key is not None:
                if key in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"the key {key} stands there a second time", problem_mark=key_node.start_mark
                    )
                seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _sentence(source: str, error: yaml.YAMLError) -> str:
    """Say where the text stops being YAML, and mend the most frequent cause by name."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return f"{source} is not YAML text ({str(error).splitlines()[0]})."
    mark = error.problem_mark
    place = f"{source}, line {mark.line + 1}, column {mark.column + 1}"
    if "'\\t'" in (error.problem or ""):
        return f"{place}: found a tab, and YAML is indented with spaces only. Replace the tab by spaces."
    return f"{place}: {error.problem}."


def _parse(text: str, source: str) -> Any:
    try:
        value = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 (a SafeLoader)
        _refuse_cycles(value, source, {})
        return value
    except yaml.YAMLError as error:
        raise InputError(_sentence(source, error)) from error
    except (ValueError, OverflowError) as error:  # a date or a number that cannot be, such as 2024-13-45
        raise InputError(f"{source} has a value that cannot be read ({error}): put text in quotes.") from error
    except RecursionError as error:
        raise InputError(f"{source} is nested too deeply to be a configuration.") from error


def _refuse_cycles(value: Any, source: str, walked: dict[int, bool]) -> None:
    """Refuse a list or mapping that holds itself, by an alias within its anchor; `walked` tells which are done."""
    if not isinstance(value, dict | list):
        return
    if id(value) in walked:
        if not walked[id(value)]:
            raise InputError(f"{source} has an alias (*) within what it stands for: write the value out.")
        return
    walked[id(value)] = False
    for inner in value.values() if isinstance(value, dict) else value:
        _refuse_cycles(inner, source, walked)
    walked[id(value)] = True


def parse_value(text: str, source: str) -> Any:
    """Return the value that a piece of YAML stands for.

    Raises
    ------
    InputError
        If the text is not YAML; the sentence begins with `source`.

    Examples
    --------
    >>> parse_value("[0, 1]", "--set embedding.models.ESM.layer_index")
    [0, 1]
    """
    return _parse(text, source)


def read_mapping(path: str | os.PathLike[str]) -> dict[Any, Any]:
    """Read a YAML file whose root is a mapping of keys to values.

    Raises
    ------
    InputError
        If the file is missing, empty, not UTF-8, not YAML, holds a key twice, or is a list or a single value.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist: expected a configuration file (YAML).")
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{path} is too large to be a configuration file: expected YAML of a few kilobytes.")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}): expected a YAML configuration.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    root = _parse(text, str(path))
    if root is None:
        raise InputError(f"{path} is empty: expected keys and values, such as 'input: proteins.fasta'.")
    if not isinstance(root, dict):
        raise InputError(
            f"{path} holds a {type(root).__name__}: expected keys and values, such as 'input: ants.fasta'."
        )
    return root
