"""What reads files of others: valid files to begin with, and the reading, which ends in success or one sentence."""

from __future__ import annotations

import bz2
import gzip
import importlib.util
import io
import json
import lzma
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import fantasia_dask
from fantasia_dask.progress import Progress

SAMPLE = Path(fantasia_dask.__file__).parent / "sample"
ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
QUIET = Progress(quiet=True)

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes
    ----------
    seeds : callable
        Valid files by name; the name's ending tells their format. A name may lead into folders.
    read : callable
        Reads what lies in a folder, named like the seeds.
    together : bool
        Whether the seeds are parts of one input, of which one is made wrong; else each is an input of its own.
    every : int
        Read one case of so many, where a reading takes long.
    """

    seeds: Callable[[], dict[str, bytes]]
    read: Callable[[Path, str], object]
    together: bool = False
    every: int = 1


def _real(name: str, lines: int) -> dict[str, bytes]:
    """The first lines of a real file, where there are any."""
    path = DATA / name
    if not path.is_file():
        return {}
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        return {path.name.removesuffix(".gz"): b"".join(line for _, line in zip(range(lines), file, strict=False))}


# FASTA ---------------------------------------------------------------------------------------------------------------


def _fasta_seeds() -> dict[str, bytes]:
    plain = (SAMPLE / "queries.fasta").read_bytes()[:2500]
    hard = b">A/B\nMKT*\n>NA x\nmk-t\n\n>=cmd() |\nM\n>empty\n>00123\nMKTUZOBX.\n;remark\n"
    return {
        "plain.fasta": plain,
        "hard.fa": hard,
        "packed.fasta.gz": gzip.compress(plain, mtime=0),
        "packed.fasta.bz2": bz2.compress(plain),
        "packed.fasta.xz": lzma.compress(plain),
        **_real("fasta/fantasia_test.fa", 60),
    }


def _read_fasta(folder: Path, name: str) -> object:
    from fantasia_dask.reference.sources import read_proteins
    from fantasia_dask.sequences import read_fasta

    read_fasta(folder / name, skip_invalid=True)
    return read_proteins(folder / name)


# Annotations, ontology, taxonomy -------------------------------------------------------------------------------------

GAF = (
    b"\n".join(
        b"\t".join(columns.split(b" "))
        for columns in (
            b"!gaf-version:_2.2",
            b"UniProtKB P1 ONE enables GO:0003674 PMID:1 IDA  F Name A|B protein taxon:9606 20240101 UniProt  ",
            b"UniProtKB P2 TWO NOT|involved_in GO:0008150 PMID:2 IMP X:1|Y:2 P   protein "
            b"taxon:9606|taxon:10090 20240101 SGD part_of(X:1) X:2",
        )
    ).replace(b"_", b" ", 1)
    + b"\n"
)


def _annotation_seeds() -> dict[str, bytes]:
    table = b"".join((SAMPLE / "annotations.tsv").read_bytes().splitlines(keepends=True)[:25])
    return {
        "small.gaf": GAF,
        "packed.gaf.gz": gzip.compress(GAF, mtime=0),
        "table.tsv": table,
        "table.csv": table.replace(b"\t", b","),
        **_real("gaf/S_cerevisiae.goa.gz", 40),
    }


def _read_annotations(folder: Path, name: str) -> object:
    from fantasia_dask.reference.sources import read_annotations

    return read_annotations(folder / name)


def _obo_seeds() -> dict[str, bytes]:
    stanzas = (SAMPLE / "go.obo").read_bytes().split(b"\n\n")
    return {"go.obo": b"\n\n".join(stanzas[:25]), **_real("ontology/smell.obo", 150)}


def _read_obo(folder: Path, name: str) -> object:
    from fantasia_dask.reference.obo import read_obo

    return read_obo(folder / name)


def _taxonomy_seeds() -> dict[str, bytes]:
    return {f"{name}.dmp": (SAMPLE / "taxonomy" / f"{name}.dmp").read_bytes() for name in ("nodes", "names", "merged")}


def _read_taxonomy(folder: Path, name: str) -> object:
    from fantasia_dask.reference import ncbi

    ncbi._database.cache_clear()
    ncbi._index.cache_clear()
    ncbi.resolve_taxa([9606, "Mus musculus"], folder)
    return ncbi.lineages_from_dump(folder, [9606, 10090, 4932, 36329])


# Vectors -------------------------------------------------------------------------------------------------------------


def _store(suffix: str) -> Path:
    from fantasia_dask.schema import Space
    from fantasia_dask.store import StoreWriter

    path = Path(tempfile.mkdtemp()) / f"store{suffix}"
    spaces = [Space("ESM", 0, 6, "clean"), Space("Prot-T5", 1, 4, "clean", dtype="float16")]
    vectors = np.random.default_rng(0).standard_normal((5, 6)).astype("float32")
    with StoreWriter(path, ids=list("ABCDE"), sequences=["MKT", "", "MA", "MKT", "M"], spaces=spaces) as writer:
        for space in spaces:
            writer.write(space, 0, vectors[:, : space.dimension], np.array([True, True, False, True, True]))
    return path


def _hdf5_seeds() -> dict[str, bytes]:
    import h5py

    from fantasia_dask.interchange import export_fantasia_hdf5
    from fantasia_dask.store import open_store

    store = _store(".h5")
    theirs = store.with_name("fantasia.h5")
    export_fantasia_hdf5(open_store(store), theirs)
    simple = store.with_name("per_protein.h5")
    with h5py.File(simple, "w") as file:
        for name in ("P1", "P2", "A/B"):
            file[name] = np.arange(4, dtype="float16")
    seeds = {path.name: path.read_bytes() for path in (store, theirs, simple)}
    shutil.rmtree(store.parent)
    return seeds


def _npz_seeds() -> dict[str, bytes]:
    seeds = {}
    for name, arrays in {
        "plain.npz": {"ids": np.array(["P1", "P2"]), "embeddings": np.eye(2, dtype="float16")},
        "lite.npz": {"prot_t5_ids": np.array(["P1", "P2"]), "prot_t5_embeddings": np.ones((2, 3), order="F")},
    }.items():
        for packed in (False, True):
            stream = io.BytesIO()
            (np.savez_compressed if packed else np.savez)(stream, **arrays)
            seeds[f"{'packed_' * packed}{name}"] = stream.getvalue()
    return seeds


def _read_vectors(folder: Path, name: str) -> object:
    from fantasia_dask.interchange import import_vectors, recognise

    says = recognise(folder / name) in ("store", "fantasia-hdf5")
    asked = {} if says else {"model": "Prot-T5", "layer": 0}
    store = import_vectors(folder / name, folder / "out.zarr", **asked)
    return [store.vectors(space.model, space.layer)[:].compute(scheduler="sync") for space in store.spaces]


def _files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root.parent).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def _read_store(folder: Path, name: str) -> object:
    from fantasia_dask.store import open_store

    store = open_store(folder / "store.zarr")
    found = [store.ids, store.lengths, store.sequences, store.digests]
    for space in store.spaces:
        found += [store.present(space.model, space.layer), store.stored(space.model, space.layer)[0 : len(store)]]
    return found


def _read_reference(folder: Path, name: str) -> object:
    from fantasia_dask.reference.bundle import open_reference, verify_reference

    reference = open_reference(folder / "reference")
    found = [reference.proteins, reference.annotations, reference.terms, reference.relations, reference.taxonomy]
    verify_reference(folder / "reference")
    return found, reference.spaces, repr(reference)


# Dumps and other references ------------------------------------------------------------------------------------------


def _dump_writers():
    """The tests' own writers of PostgreSQL dumps."""
    name = "fuzz_dump_writers"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, ROOT / "tests" / "reference" / "test_import_dump.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def _dump_seeds() -> dict[str, bytes]:
    writers, folder, seeds = _dump_writers(), Path(tempfile.mkdtemp()), {}
    for name, options in {
        "packed.dump": {},
        "plain.dump": {"packed": False},
        "piped.dump": {"packed": False, "offsets": False},
        "old.dump": {"version": 12},
    }.items():
        seeds[name] = writers.write_custom(folder / name, writers.TABLES, **options).read_bytes()
    seeds["tar.dump"] = writers.write_tar(folder / "tar.dump", writers.TABLES).read_bytes()
    shutil.rmtree(folder)
    return seeds


def _read_dump(folder: Path, name: str) -> object:
    from fantasia_dask.reference.importers import import_reference

    return import_reference(folder / name, folder / "out", reader="python", progress=QUIET).annotations


def _lite_seeds() -> dict[str, bytes]:
    table = io.BytesIO()
    vectors = np.array([[1, 2], [3, 4], [5, 6]], "float16")
    np.savez(table, prot_t5_ids=np.array(["s1", "s2", "s3"]), prot_t5_embeddings=vectors)
    term = {"go_id": "GO:0000001", "category": "MF", "go_description": "one", "evidence_code": "IDA"}
    return {
        "lite/lookup_table.npz": table.getvalue(),
        "lite/annotations.json": json.dumps({"s1": [term], "s2": [], "s3": [term, term]}).encode(),
        "lite/accessions.json": json.dumps({"s1": "A1", "s2": "A2", "s3": "A3"}).encode(),
    }


def _read_lite(folder: Path, name: str) -> object:
    from fantasia_dask.reference.importers import import_reference

    return import_reference(folder / "lite", folder / "out", progress=QUIET).annotations


# Configuration -------------------------------------------------------------------------------------------------------

FANTASIA = b"""
DB_HOST: localhost
DB_PASSWORD: clave
input: proteins.fasta
prefix: run
lookup:
  batch_size: 100
  limit_per_entry: 3
  use_gpu: false
  redundancy: {identity: 0.5, coverage: 0.7}
  taxonomy: {exclude: [559292], get_descendants: true}
embedding:
  models:
    Prot-T5: {enabled: true, batch_size: 1, layer_index: [0, 1], distance_threshold: 0}
    ESM: {enabled: false}
limit_execution: 5
"""


def _yaml_seeds() -> dict[str, bytes]:
    ours = {path.name: path.read_bytes() for path in (ROOT / "config").glob("*.yaml")}
    return {**ours, "fantasia.yaml": FANTASIA}


def _read_yaml(folder: Path, name: str) -> object:
    from fantasia_dask.config import dump_config, load_config

    return dump_config(load_config(folder / name))


def _override_seeds() -> dict[str, bytes]:
    lines = [b"embedding.device=cpu", b"limit_per_entry=3", b"embedding.models.ESM.layer_index=[0, 1]", b"prefix=2026"]
    lines += [
        b"cluster.memory_limit=8GB",
        b"taxonomy_ids_to_exclude=[9606, Mus musculus]",
        b"postprocess.summary.weights.count=1",
    ]
    return {f"{i}.txt": line for i, line in enumerate(lines)}


def _read_override(folder: Path, name: str) -> object:
    from fantasia_dask.config import make_config

    text = (folder / name).read_bytes().decode("utf-8", "surrogateescape")
    return make_config({"input": "x.fasta", "embedding": {"models": {"ESM": None}}}, [text])


def _scheduler_seeds() -> dict[str, bytes]:
    content = {"type": "Scheduler", "id": "S-1", "address": "tcp://127.0.0.1:1", "services": {}, "workers": {}}
    return {"scheduler.json": json.dumps(content).encode()}


def _read_scheduler_file(folder: Path, name: str) -> object:
    from fantasia_dask.cluster.joined import _read_scheduler_file

    return _read_scheduler_file(folder / name, 0.0)


TARGETS = {
    "fasta": Target(_fasta_seeds, _read_fasta),
    "annotations": Target(_annotation_seeds, _read_annotations),
    "obo": Target(_obo_seeds, _read_obo),
    "taxonomy": Target(_taxonomy_seeds, _read_taxonomy, together=True),
    "hdf5": Target(_hdf5_seeds, _read_vectors, every=4),
    "npz": Target(_npz_seeds, _read_vectors),
    "store": Target(lambda: _files(_store(".zarr")), _read_store, together=True),
    "reference": Target(lambda: _files(SAMPLE / "reference"), _read_reference, together=True),
    "dump": Target(_dump_seeds, _read_dump),
    "lite": Target(_lite_seeds, _read_lite, together=True),
    "yaml": Target(_yaml_seeds, _read_yaml),
    "overrides": Target(_override_seeds, _read_override),
    "scheduler_file": Target(_scheduler_seeds, _read_scheduler_file),
}


def read_quietly(target: Target, folder: Path, name: str) -> None:
    """Read one input, warnings left aside."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        target.read(folder, name)
