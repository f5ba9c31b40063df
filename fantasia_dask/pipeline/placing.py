"""From what was fetched to what a run reads: an OBO file, the folder of a taxonomy dump, a reference."""

from __future__ import annotations

from pathlib import Path

from ..config import Config, ReferenceSourceSettings
from ..errors import InputError
from ..progress import Progress
from ..store import remove

__all__ = ["DUMP_FILES", "place", "verify"]

DUMP_FILES = ("nodes.dmp", "names.dmp", "merged.dmp")


def place(what: str, path: Path, files: list[Path], config: Config, progress: Progress) -> None:
    """Make what a run reads from the files that were fetched, aside, and give it its name when it is whole.

    Parameters
    ----------
    what : {"reference", "ontology", "taxonomy_dump"}
    path
        Where it belongs.
    files
        What was fetched.
    config, progress

    Raises
    ------
    InputError
        If the files are not what they should be; nothing is then at `path`.
    """
    aside = path.with_name(path.name + ".fetched")
    remove(aside)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if what == "ontology":
            _place_ontology(files, aside, path)
        elif what == "taxonomy_dump":
            _place_taxonomy(files, aside, path)
        else:
            _place_reference(files, aside, path, config.sources.reference, config, progress)
    finally:
        remove(aside)


def _place_ontology(files: list[Path], aside: Path, path: Path) -> None:
    from ..archives import unpack_file
    from ..reference.obo import read_obo

    if len(files) != 1:
        raise InputError(f"sources.ontology is {len(files)} files: expected one, in OBO format.")
    unpack_file(files[0], aside)
    read_obo(aside)
    aside.replace(path)


def _place_taxonomy(files: list[Path], aside: Path, path: Path) -> None:
    from ..archives import is_archive, unpack
    from ..reference.dump_check import verify_dump

    if len(files) != 1 or not is_archive(files[0]):
        raise InputError(f"{files[0]} is no archive: expected NCBI's taxdump.tar.gz or new_taxdump.zip.")
    unpack(files[0], aside, lambda name: name.rpartition("/")[2] in DUMP_FILES)
    found = next((file.parent for file in sorted(aside.rglob(DUMP_FILES[0]))), aside)
    verify_dump(found, files[0])
    remove(path)
    found.replace(path)


def _place_reference(
    files: list[Path], aside: Path, path: Path, source: ReferenceSourceSettings, config: Config, progress: Progress
) -> None:
    from ..archives import is_archive, unpack
    from ..reference.bundle import is_reference, verify_reference
    from ..reference.importers import import_reference

    for file in files:
        if is_archive(file):
            unpack(file, aside)
    found = _reference_within(aside if aside.is_dir() else files[0].parent, files)
    if is_reference(found):
        verify_reference(found)
        remove(path)
        found.replace(path)
        return
    import_reference(
        found,
        path,
        ontology=config.ontology,
        taxonomy_dump=config.taxonomy_dump,
        annotations=[source.annotations] if source.annotations else [],
        fasta=source.fasta,
        model=source.model,
        layer=source.layer,
        profile=source.profile,
        progress=progress,
    )


def _reference_within(folder: Path, files: list[Path]) -> Path:
    """Find what can be imported: a bundle of ours or FANTASIA-Lite's, or the one file that there is."""
    from ..download import RECORDS
    from ..reference.bundle import is_reference
    from ..reference.importers.fantasia_lite import is_lite

    below = [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]
    for kind in (is_reference, is_lite):
        if found := next((path for path in below if kind(path)), None):
            return found
    there = files if folder == files[0].parent else [path for path in sorted(folder.rglob("*")) if path.is_file()]
    there = [path for path in there if path.name != RECORDS]
    if len(there) != 1:
        shown = ", ".join(path.name for path in there[:5]) or "nothing"
        raise InputError(f"{files[0]} holds no reference that is known, but {shown}: expected a dump or a bundle.")
    return there[0]


def verify(what: str, path: Path) -> None:
    """Read what is there as far as needed to say that it is whole.

    Raises
    ------
    InputError
        Naming what is damaged.
    """
    from ..reference.bundle import verify_reference
    from ..reference.dump_check import verify_dump
    from ..reference.obo import read_obo

    if what == "reference":
        verify_reference(path)
    elif what == "ontology":
        read_obo(path)
    else:
        verify_dump(path)
