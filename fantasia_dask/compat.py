"""The old spellings, all in one place: FANTASIA 4.1's configuration becomes ours, each change said in one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

__all__ = ["is_fantasia", "translate"]

NO_SERVER = "there is no database server"
NO_BROKER = "there is no message broker"
GONE = {
    "DB_": NO_SERVER,
    "rabbitmq_": NO_BROKER,
    "delete_queues": NO_BROKER,
    "sequence_queue_package": "embedding.queue_batch_size sets how many proteins a task holds",
    "constants": "models are known by name, and embedding.models.<Key>.checkpoint gives one of your own",
    "log_path": "the log is run.log in the run's folder",
    "monitor_interval": "nothing is polled",
    "max_workers": "cluster.workers sets how many processes work",
    "embeddings_url": "reference names the folder of a reference, and sources.reference where it is fetched",
    "lookup_reference_tag": "reference names the folder of a reference",
    "length_filter": "embedding.max_sequence_length cuts long proteins",
    "lookup.lookup_cache_max": "the reference is read block by block and never held whole",
}
"""Keys, or beginnings of keys, that have no successor, and why."""

RENAMED = {
    "fantasia_input_fasta": "input",
    "fantasia_prefix": "prefix",
    "topgo?": "topgo",
    "distance_metric": "embedding.distance_metric",
    "max_sequence_length": "embedding.max_sequence_length",
    "queue_batch_size": "embedding.queue_batch_size",
    "lookup.batch_size": "batch_size",
    "lookup.limit_per_entry": "limit_per_entry",
    "lookup.distance_metric": "embedding.distance_metric",
    "lookup.topgo": "topgo",
    "lookup.precision": "precision",
    "redundancy.identity": "redundancy_filter",
    "redundancy.coverage": "alignment_coverage",
    "redundancy.threads": "threads",
    "taxonomy.exclude": "taxonomy_ids_to_exclude",
    "taxonomy.include_only": "taxonomy_ids_included_exclusively",
    "taxonomy.get_descendants": "get_descendants",
}
"""Old key to new key."""

GROUPS = ("lookup", "redundancy", "taxonomy")
"""Groups of FANTASIA that we do not have. The last two stand in `lookup` or at the root."""

SIGNS = ("lookup", "redundancy", "taxonomy", "limit_execution", "fantasia_input_fasta", "fantasia_prefix", "topgo?")
"""Keys at the root that only FANTASIA's files have, beside those of `GONE`."""

EMBEDDING_SUFFIXES = (".h5", ".hdf5")


def is_fantasia(mapping: Mapping[Any, Any]) -> bool:
    """Tell whether a configuration was written for FANTASIA itself.

    Examples
    --------
    >>> is_fantasia({"input": "ants.fasta", "DB_HOST": "localhost"})
    True
    >>> is_fantasia({"input": "ants.fasta", "limit_per_entry": 5})
    False
    """
    return any(key in SIGNS or _why_gone(key) for key in mapping if isinstance(key, str))


def translate(mapping: Mapping[Any, Any]) -> tuple[dict[str, Any], list[str]]:
    """Translate a configuration of FANTASIA 4.1, or an older flat one, into ours.

    Keys that are unknown to both are left where they are, for the check of the configuration to complain about.

    Parameters
    ----------
    mapping : mapping
        The content of FANTASIA's YAML file.

    Returns
    -------
    translated : dict
        Nested settings with our names; the given mapping is not changed.
    notes : list of str
        One line for each key that was renamed or no longer applies, and for what behaves differently.

    Examples
    --------
    >>> settings, notes = translate({"lookup": {"limit_per_entry": 1}, "DB_HOST": "localhost"})
    >>> settings
    {'limit_per_entry': 1}
    >>> print(*notes[:2], sep="\\n")
    lookup.limit_per_entry is now limit_per_entry
    DB_HOST no longer applies: there is no database server
    """
    settings: dict[str, Any] = {}
    notes: list[str] = []
    for key, value in _flattened(deepcopy(dict(mapping))).items():
        if not _special(key, value, settings, notes):
            _place(key, value, settings, notes)
    _settle_redundancy(settings, notes)
    _settle_input(settings, notes)
    _tell_differences(settings, notes)
    return settings, notes


def _why_gone(key: str) -> str | None:
    """Why a key has no successor; None when it has one, or was never known."""
    return next(
        (why for gone, why in GONE.items() if key == gone or (gone.endswith("_") and key.startswith(gone))), None
    )


def _flattened(mapping: dict[Any, Any]) -> dict[Any, Any]:
    """Take the groups of FANTASIA apart into dotted keys; ours stay whole."""
    flat: dict[Any, Any] = {}
    for key, value in mapping.items():
        if key == "lookup" and isinstance(value, Mapping):
            inner = _flattened(dict(value))
            flat |= {
                name if str(name).startswith(GROUPS[1:]) else f"lookup.{name}": item for name, item in inner.items()
            }
        elif key in GROUPS and isinstance(value, Mapping):
            flat |= {f"{key}.{name}": item for name, item in value.items()}
        elif key not in GROUPS or value is not None:
            flat[key] = value
    return flat


def _special(key: Any, value: Any, settings: dict[str, Any], notes: list[str]) -> bool:
    """Translate the keys that are more than a name; return whether this was one."""
    rules: dict[str, Callable[[Any, dict[str, Any]], str]] = {
        "lookup.use_gpu": _use_gpu,
        "limit_execution": _limit_execution,
    }
    if key not in rules:
        return False
    notes.append(rules[key](value, settings))
    return True


def _use_gpu(value: Any, settings: dict[str, Any]) -> str:
    if value:
        return "lookup.use_gpu is now cluster.kind: auto, which takes a GPU where one is found"
    settings.setdefault("cluster", {})["kind"] = "local"
    return "lookup.use_gpu: false is now cluster.kind: local"


def _limit_execution(value: Any, settings: dict[str, Any]) -> str:
    if not value:
        return "limit_execution no longer applies: all proteins of the input are always used"
    return (
        f"limit_execution: {value} no longer applies: all proteins are used, so cut the input file to test with a few"
    )


def _place(key: Any, value: Any, settings: dict[str, Any], notes: list[str]) -> None:
    """Put one value under its new name, or drop it and say why."""
    why = _why_gone(key) if isinstance(key, str) else None
    new = RENAMED.get(key, key)
    if why:
        notes.append(f"{key} no longer applies: {why}")
        return
    if new != key:
        notes.append(f"{key} is now {new}")
    *groups, name = new.split(".") if new != key else (key,)
    place = settings
    for group in groups:
        if not isinstance(place.get(group), dict):
            place[group] = {}
        place = place[group]
    if isinstance(value, Mapping) and isinstance(place.get(name), dict):
        value = {**value, **place[name]}  # what an older key said of a group that comes later in the file
    place[name] = value


def _settle_redundancy(settings: dict[str, Any], notes: list[str]) -> None:
    """FANTASIA keeps a coverage in files that switch the filter off; ours are both 0 then."""
    if not settings.get("redundancy_filter") and settings.get("alignment_coverage"):
        settings["alignment_coverage"] = 0.0
        notes.append("alignment_coverage is set to 0, as redundancy.identity is 0: the redundancy filter is off")


def _settle_input(settings: dict[str, Any], notes: list[str]) -> None:
    given = settings.get("input")
    if isinstance(given, str) and given.endswith(EMBEDDING_SUFFIXES) and not settings.get("only_lookup"):
        settings["only_lookup"] = True
        notes.append(f"only_lookup is set to true, as {given} holds embeddings")


def _tell_differences(settings: dict[str, Any], notes: list[str]) -> None:
    """Say what gives other results, or is missing, though no key was renamed."""
    if "reference" not in settings:
        notes.append(
            "reference takes the place of the database: give the folder of a reference, such as --reference FOLDER"
        )
    if "donors" not in settings:
        notes.append(
            "donors is annotated: only proteins with a GO term answer; set donors: all for FANTASIA's way, where an "
            "unannotated neighbour uses up a place"
        )
    if settings.get("taxonomy_ids_to_exclude") and settings.get("taxonomy_ids_included_exclusively"):
        notes.append("the list of taxa included overrides the list of taxa excluded; FANTASIA applied both")
    notes.append("relative paths are read from the folder of the configuration file")
