"""From a file and the command line to one checked `Config`; from a `Config` back to a file.

`load_config` reads YAML, translates it where it is FANTASIA's own, applies what the command line changes, makes
paths absolute, checks all of it, and says in one sentence what is wrong. The settings themselves are in `settings.py`.
"""

from __future__ import annotations

import os
import re
import reprlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from .compat import is_fantasia, translate
from .errors import FantasiaWarning, InputError
from .locations import is_url
from .settings import (
    WHOLE,
    ClusterSettings,
    Config,
    EmbeddingSettings,
    ModelSettings,
    PostprocessSettings,
    ReferenceSourceSettings,
    SecuritySettings,
    SlurmSettings,
    SourceSettings,
    SourcesSettings,
    SummarySettings,
)
from .strict_yaml import parse_value, read_mapping

__all__ = [
    "ClusterSettings",
    "Config",
    "EmbeddingSettings",
    "ModelSettings",
    "PostprocessSettings",
    "ReferenceSourceSettings",
    "SecuritySettings",
    "SlurmSettings",
    "SourceSettings",
    "SourcesSettings",
    "SummarySettings",
    "dump_config",
    "known_keys",
    "load_config",
    "make_config",
    "parse_overrides",
    "warn_bounded_batches",
]

PLAIN_WORDS = {
    "string_type": "expected text; put it in quotes",
    "path_type": "expected a path",
    "invalid_key": "expected a key that is text; put it in quotes",
    "dict_type": "expected keys and values below it",
    "model_type": "expected keys and values below it",
    "int_from_float": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_type": "expected a whole number",
    "float_parsing": "expected a number",
    "float_type": "expected a number",
}
"""What pydantic says in a programmer's words."""

HALF_SIGN = re.compile("[\ud800-\udfff]")

ANY_KEY = "<Key>"
"""Stands in a dotted key for a name that the user chooses."""


def _warn(text: str) -> None:
    warnings.warn(text, FantasiaWarning, stacklevel=3)


def load_config(
    path: str | os.PathLike[str],
    overrides: Mapping[str, Any] | Sequence[str] = (),
    *,
    note: Callable[[str], object] = _warn,
) -> Config:
    """Read the configuration of a run.

    Parameters
    ----------
    path : path
        A YAML file of ours, or one of FANTASIA 4.1. Relative paths in it are relative to its folder.
    overrides : mapping or sequence of str
        What differs from the file, by dotted key: ``{"embedding.device": "cpu"}`` or ``["embedding.device=cpu"]``. A
        key has the value that is given: with ``{"embedding.models": {"ESM": {}}}`` no other model of the file is left.
        Of a group of settings, as in ``{"embedding": {"device": "cpu"}}``, those that are not named stay.
        Relative paths in it are relative to the current folder.
    note : callable
        Takes one line for each thing that was translated; by default it becomes a `FantasiaWarning`.

    Returns
    -------
    Config

    Raises
    ------
    InputError
        If the file or an override is wrong; the sentence names the file and the key.
    """
    path = Path(path)
    mapping = read_mapping(path)
    if is_fantasia(mapping):
        mapping, notes = translate(mapping)
        _find_fantasia_input(mapping, path.parent)
        for line in notes:
            note(line)
    return make_config(mapping, overrides, folder=path.parent, source=str(path))


def make_config(
    mapping: Mapping[str, Any],
    overrides: Mapping[str, Any] | Sequence[str] = (),
    *,
    folder: str | os.PathLike[str] = ".",
    source: str = "the configuration",
) -> Config:
    """Check a nested mapping of settings, whose relative paths are seen from `folder`; overrides as for `load_config`.

    Raises
    ------
    InputError
        If a key is unknown or a value is not what it must be.

    Examples
    --------
    >>> config = make_config({"input": "ants.fasta", "embedding": {"models": {"ESM": {"layer_index": [0, 1]}}}})
    >>> config.embedding.models["ESM"].layer_index
    (0, 1)
    >>> make_config({"input": "ants.fasta", "limit_per_entri": 3})
    Traceback (most recent call last):
        ...
    fantasia_dask.errors.InputError: unknown key limit_per_entri in the configuration. Did you mean limit_per_entry?
    """
    _refuse_half_signs(mapping, source)
    changes = dict(overrides) if isinstance(overrides, Mapping) else parse_overrides(overrides)
    _refuse_half_signs(changes, "an override")
    values = _anchored({"base_directory": ".", **mapping}, Config, Path(folder), source)
    for key, value in changes.items():
        parts = _split(key)
        values = _spelt_out(values, parts)
        changed = _anchored(_with({}, parts, value), Config, Path(), "an override")
        values = _with(values, parts, reduce(getitem, parts, changed))
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise InputError(_sentence(error, values, source, list(changes))) from error


def parse_overrides(assignments: Sequence[str]) -> dict[str, Any]:
    """Read assignments such as ``embedding.device=cpu``; the value is YAML, or plain text where text is expected.

    Raises
    ------
    InputError
        If an assignment has no ``=`` or its value is not YAML.

    Examples
    --------
    >>> parse_overrides(["limit_per_entry=3", "prefix=2026", "embedding.models.ESM.layer_index=[0, 1]"])
    {'limit_per_entry': 3, 'prefix': '2026', 'embedding.models.ESM.layer_index': [0, 1]}
    """
    if isinstance(assignments, str):
        raise TypeError("overrides are a sequence of assignments, not one string")
    return dict(_assignment(text) for text in assignments)


def _assignment(text: str) -> tuple[str, Any]:
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InputError(f"--set {text} is not UTF-8 text: expected KEY=VALUE, such as embedding.device=cpu.")
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise InputError(f"--set {text} is not an assignment: expected KEY=VALUE, such as embedding.device=cpu.")
    field = known_keys().get(".".join(_pattern(_split(key))))
    parsed = None if field is not None and _is_text(field) else parse_value(value, f"--set {key}")
    if field is not None and _is_text(field):
        return key, None if value.strip() in {"", "null", "~"} else value.strip()
    return key, parsed


def dump_config(config: Config) -> str:
    """Return a configuration as YAML text with absolute paths; loaded again, it gives an equal `Config`.

    Examples
    --------
    >>> config = make_config({"input": "-", "embedding": {"models": {"ESM": None}}})
    >>> dump_config(config).splitlines()[0]
    "input: '-'"
    """
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


def warn_bounded_batches(config: Config) -> None:
    """Warn of each model whose `batch_size` is larger than the packets it gets."""
    packet = config.embedding.queue_batch_size
    for key, model in config.embedding.enabled_models.items():
        if model.batch_size > packet:
            _warn(
                f"embedding.models.{key}.batch_size is {model.batch_size}, and a packet holds {packet} proteins: "
                f"batches of {packet} are used. Raise embedding.queue_batch_size for larger ones."
            )


# Keys ------------------------------------------------------------------------------------------------------------


def known_keys(model: type[BaseModel] = Config, prefix: str = "") -> dict[str, FieldInfo]:
    """Return every setting by its dotted key, in the order of declaration; ``<Key>`` stands for a name of one's own.

    Examples
    --------
    >>> [key for key in known_keys() if key.endswith("layer_index")]
    ['embedding.models.<Key>.layer_index']
    """
    found: dict[str, FieldInfo] = {}
    for name, field in model.model_fields.items():
        inner, keyed = _group(field)
        if inner is None:
            found[prefix + name] = field
        else:
            found.update(known_keys(inner, f"{prefix}{name}.{ANY_KEY}." if keyed else f"{prefix}{name}."))
    return found


def _types(annotation: Any) -> Iterator[Any]:
    """Every type within an annotation."""
    yield annotation
    for argument in get_args(annotation):
        yield from _types(argument)


def _group(field: FieldInfo) -> tuple[type[BaseModel] | None, bool]:
    """The group of settings that a field holds, if any, and whether it holds one per name."""
    inner = [kind for kind in _types(field.annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return (inner[0] if inner else None), get_origin(field.annotation) is dict


def _is_path(name: str, field: FieldInfo) -> bool:
    return name == "input" or Path in _types(field.annotation)


def _is_text(field: FieldInfo) -> bool:
    kinds = set(_plain(field.annotation))
    return kinds in ({str}, {Path})


def _plain(annotation: Any) -> Iterator[Any]:
    """The types that a value may have, without None."""
    arguments = [argument for argument in get_args(annotation) if argument is not type(None)]
    if get_origin(annotation) is None or not arguments:
        yield annotation
    elif type(None) in get_args(annotation):
        for argument in arguments:
            yield from _plain(argument)
    else:
        yield annotation


def _split(key: str) -> list[str]:
    """Cut a dotted key. A model's name may hold dots itself, so it ends where one of its settings begins."""
    parts = key.split(".")
    if parts[:2] == ["embedding", "models"] and len(parts) > 4:
        return [*parts[:2], ".".join(parts[2:-1]), parts[-1]]
    return parts


def _pattern(parts: list[str]) -> list[str]:
    return [*parts[:2], ANY_KEY, *parts[3:]] if parts[:2] == ["embedding", "models"] and len(parts) > 2 else parts


def _with(tree: Mapping[str, Any], parts: Sequence[str], value: Any, above: Sequence[str] = ()) -> dict[str, Any]:
    """Return a tree in which a key has a value; the given tree is not changed.

    A group of settings is laid over the one that is there. A mapping whose keys the user chooses (models, weights,
    metrics, aliases) is a value like any other: it takes the place of what is there.
    """
    name, *below = parts
    here, under = [*above, name], tree.get(name)
    if below or (isinstance(value, Mapping) and _is_group(here)):
        laid = dict(under) if isinstance(under, Mapping) else {}
        for inner, item in [(below, value)] if below else [([key], item) for key, item in value.items()]:
            laid = _with(laid, inner, item, here)
        value = laid
    return {**tree, name: value}


def _spelt_out(values: dict[str, Any], parts: Sequence[str]) -> dict[str, Any]:
    """Write out a default of the summary of which a part is to be changed, such as one weight: the rest of it stays."""
    above, name = ("postprocess", "summary"), parts[2] if len(parts) > 3 else ""
    field = SummarySettings.model_fields.get(name)
    if tuple(parts[:2]) != above or field is None:
        return values
    there: Any = values
    for part in (*above, name):
        there = there.get(part) if isinstance(there, Mapping) else None
    default = field.get_default(call_default_factory=True)
    return values if there is not None else _with(values, [*above, name], default)


def _is_group(parts: list[str]) -> bool:
    """Tell whether a key holds settings of ours, and not one of its own or what the user names."""
    start = ".".join(map(str, _pattern(parts))) + "."
    inside = [key for key in known_keys() if key.startswith(start)]
    return bool(inside) and not inside[0].startswith(start + ANY_KEY)


def _refuse_half_signs(values: Any, source: str, key: str = "", walked: set[int] | None = None) -> None:
    """Refuse text that is none: half a surrogate pair, which YAML can spell and no file can hold."""
    walked = set() if walked is None else walked
    if isinstance(values, Mapping | list | tuple):
        if id(values) in walked:  # an alias: to go in again and again might never end
            return
        walked.add(id(values))
    if isinstance(values, Mapping):
        for name, value in values.items():
            _refuse_half_signs(name, source, key, walked)
            _refuse_half_signs(value, source, f"{key}.{name}".lstrip("."), walked)
    elif isinstance(values, list | tuple):
        for value in values:
            _refuse_half_signs(value, source, key, walked)
    elif isinstance(values, str | Path) and HALF_SIGN.search(str(values)):
        raise InputError(f"{key or 'a key'} in {source} holds half a surrogate pair, which is no text: write it again.")


# Paths -----------------------------------------------------------------------------------------------------------


def _anchored(
    values: Mapping[str, Any], model: type[BaseModel], folder: Path, source: str, prefix: str = ""
) -> dict[str, Any]:
    """Make every path in a tree absolute, seen from a folder."""
    anchored = dict(values)
    for name, field in model.model_fields.items():
        value = anchored.get(name)
        inner, keyed = _group(field)
        if inner is not None and isinstance(value, Mapping):
            nested = value if keyed else {"": value}
            placed = {
                key: _anchored(item, inner, folder, source, f"{prefix}{name}." + (f"{key}." if keyed else ""))
                if isinstance(item, Mapping)
                else item
                for key, item in nested.items()
            }
            anchored[name] = placed if keyed else placed[""]
        elif isinstance(value, str | Path) and _is_path(name, field) and not (name == "input" and value == "-"):
            anchored[name] = _absolute(value, folder, prefix + name, source)
    return anchored


def _absolute(value: str | Path, folder: Path, name: str, source: str) -> str:
    if not str(value).strip() or "\0" in str(value):
        found = "holds a NUL" if "\0" in str(value) else "is empty"
        raise InputError(f"{name} in {source} {found}: expected a path, or leave the key out.")
    if is_url(value):
        raise InputError(
            f"{name} in {source} is an address, {str(value)!r}: expected a path on this machine; what "
            "`fantasia-dask initialize` has to fetch stands below sources."
        )
    try:
        path = folder / Path(value).expanduser()
    except RuntimeError as error:
        raise InputError(
            f"{name} in {source} begins with {str(value).split('/')[0]!r}, which is no user of this machine: "
            "expected a path; a name that begins so is written ./~name."
        ) from error
    # not Path.resolve: a link into another disk stays the name that the user chose
    return os.path.abspath(path)  # noqa: PTH100


def _find_fantasia_input(mapping: dict[str, Any], folder: Path) -> None:
    """FANTASIA reads its input relative to the current folder: do so where only that finds it."""
    given = mapping.get("input")
    if isinstance(given, str) and given.strip() and not _is_there(folder / given) and _is_there(given):
        mapping["input"] = str(Path(given).absolute())


def _is_there(path: str | Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 (Path's raises where a name is too long for a file)


# One sentence ----------------------------------------------------------------------------------------------------


def _sentence(error: ValidationError, values: Mapping[str, Any], source: str, overridden: Sequence[str]) -> str:
    """Say the first thing that is wrong; an unknown key comes first, as it explains a missing one."""
    found = error.errors()
    first = next((entry for entry in found if entry["type"] == "extra_forbidden"), found[0])
    parts = _location(first["loc"], values, missing=first["type"] == "missing")
    key = ".".join(parts)
    where = "given as an override" if any(_within(key, other) for other in overridden) else f"in {source}"
    if first["type"] == "extra_forbidden":
        return f"unknown key {key} {where}.{_nearest(parts)}"
    if first["type"] == "missing":
        field = known_keys().get(".".join(_pattern(parts)))
        about = f" {field.description}" if field is not None else " Expected at least models: with one model."
        return f"{key} is missing {where}.{about}"
    if first["type"] == WHOLE:
        text = ".".join([*parts, first["msg"]])
        named = text.partition(" ")[0].rstrip(":")
        return f"{'an override' if any(_within(named, other) for other in overridden) else source}: {text}."
    return f"{key} {where} is {reprlib.repr(first['input'])}: {_expectation(first)}."


def _within(key: str, group: str) -> bool:
    return key == group or key.startswith(group + ".")


def _location(location: Sequence[int | str], values: Any, *, missing: bool) -> list[str]:
    """Keep of pydantic's location what stands in the file: it also names the types it tried."""
    parts: list[str] = []
    for part in location:
        if isinstance(values, Mapping) and part in values:
            parts.append(str(part))
            values = values[part]
    return [*parts, str(location[-1])] if missing else parts


def _nearest(parts: list[str]) -> str:
    """Name the known key that is nearest: of the same group where it has one of that name, else of any group."""
    known = [key.split(".") for key in known_keys()]
    depth = len(parts)
    group = {key[depth - 1] for key in known if len(key) >= depth and key[: depth - 1] == _pattern(parts)[: depth - 1]}
    elsewhere = {key[-1]: ".".join(key) for key in reversed(known)}
    near = get_close_matches(parts[-1], group | elsewhere.keys(), n=1, cutoff=0.65)
    if not near:
        return ""
    return f" Did you mean {'.'.join([*parts[:-1], near[0]]) if near[0] in group else elsewhere[near[0]]}?"


def _expectation(entry: Any) -> str:
    own = entry.get("ctx", {}).get("error")
    if isinstance(own, ValueError):
        return str(own)
    text = re.sub(r"^Input should be (greater|less)", r"expected a number \1", entry["msg"])
    text = PLAIN_WORDS.get(entry["type"], text.replace("Input should be", "expected"))
    return text[:1].lower() + text[1:]
