"""Is this machine fit for a run: what is there, what is missing, and what to do about it."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from ..config import Config
from ..errors import InputError

__all__ = ["Finding", "examine"]

OLDEST_PYTHON = (3, 11)
LEAST_FREE_BYTES = 5_000_000_000
LEAST_MEMORY_BYTES = 4_000_000_000
COMPILED = ("numpy", "numba", "pyarrow", "h5py", "zarr", "parasail", "torch", "transformers", "distributed")
"""Packages that may be installed and yet not load, for want of a system library or of instructions of the processor."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    subject, found : str
        What was looked at, and what is there.
    remedy : str
        What to do; empty when all is well.
    """

    subject: str
    found: str
    remedy: str = ""

    def text(self) -> str:
        """Return the finding as one line.

        Examples
        --------
        >>> Finding("disk", "1.2 GB free in /data", "make room").text()
        'BAD  disk: 1.2 GB free in /data. Remedy: make room.'
        """
        verdict = "BAD " if self.remedy else "ok  "
        return f"{verdict} {self.subject}: {self.found}" + (
            f". Remedy: {self.remedy.rstrip('.')}." if self.remedy else ""
        )


def examine(config: Config | None = None) -> Iterator[Finding]:
    """Look at everything that a run needs, one thing after the other.

    Parameters
    ----------
    config : Config, optional
        Looks at what this run needs too: its input, reference, models, cluster and disk.

    Yields
    ------
    Finding
    """
    for look in (_python, _packages, _memory, _gpu, _mmseqs, _disk, _caches, _input, _reference, _models, _cluster):
        yield from _guarded(look, config)


def _guarded(look: Callable[[Config | None], Iterator[Finding]], config: Config | None) -> Iterator[Finding]:
    """What a look stumbles over is its finding."""
    try:
        yield from look(config)
    except (InputError, OSError) as error:
        yield Finding(look.__name__.strip("_"), "not as it should be", str(error))


def _python(config: Config | None) -> Iterator[Finding]:
    found = f"{platform.python_version()} on {platform.platform()}, {sys.executable}"
    wanted = ".".join(map(str, OLDEST_PYTHON))
    yield Finding("python", found, "" if sys.version_info >= OLDEST_PYTHON else f"install Python {wanted} or newer")


def _packages(config: Config | None) -> Iterator[Finding]:
    """Compare what is installed with what this release asks for, and load what is compiled."""
    from packaging.requirements import Requirement

    bad = 0
    wanted = [Requirement(text) for text in metadata.requires("fantasia-dask") or ()]
    wanted = [r for r in wanted if r.marker is None or r.marker.evaluate({"extra": ""})]
    for requirement in wanted:
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            version = "not installed"
        if version == "not installed" or not requirement.specifier.contains(version, prereleases=True):
            bad += 1
            yield Finding("packages", f"{requirement.name} {version}", f"pip install '{requirement}'")
    for name in COMPILED:
        try:
            importlib.import_module(name)
        except (ImportError, OSError, RuntimeError) as error:
            bad += 1
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            yield Finding("packages", f"{name} cannot be loaded ({reason})", f"pip install --force-reinstall {name}")
    if not bad:
        yield Finding("packages", f"all {len(wanted)} are there and load")


def _memory(config: Config | None) -> Iterator[Finding]:
    from distributed.system import MEMORY_LIMIT

    from ..cluster import usable_cores

    few = "close other programs, or ask for more: a large model needs 6 GB and more" * (
        MEMORY_LIMIT < LEAST_MEMORY_BYTES
    )
    yield Finding("memory", f"{_gigabytes(MEMORY_LIMIT)} and {usable_cores()} cores may be used", few)


def _gpu(config: Config | None) -> Iterator[Finding]:
    import torch

    wanted = config is not None and "cuda" in (config.embedding.device, config.cluster.kind)
    built = f"torch {torch.__version__}" + (
        f" for CUDA {torch.version.cuda}" if torch.version.cuda else " without CUDA"
    )
    if torch.cuda.is_available():
        cards = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        yield Finding("gpu", f"{', '.join(cards)}; {built}")
        lacking = [name for name in ("cupy", "dask_cuda") if find_spec(name) is None]
        found = (
            f"{' and '.join(lacking)} not installed: the lookup runs on the CPU" if lacking else "cupy and dask-cuda"
        )
        remedy = "pip install 'fantasia-dask[cuda13]'" * bool(lacking and wanted)
        yield Finding("cuda packages", found, remedy)
    elif shutil.which("nvidia-smi") is not None:
        yield Finding(
            "gpu",
            f"the driver is there, but {built} sees no GPU",
            "install a torch built for CUDA (pip install --force-reinstall torch), and check CUDA_VISIBLE_DEVICES and "
            "that nvidia-smi lists a GPU",
        )
    else:
        remedy = "set embedding.device and cluster.kind to auto, or run where there is one" * wanted
        yield Finding("gpu", f"none, models run on the CPU; {built}", remedy)


def _mmseqs(config: Config | None) -> Iterator[Finding]:
    from ..reference.mmseqs import find_mmseqs, mmseqs_version

    needed = config is not None and config.redundancy_filter > 0
    try:
        program = find_mmseqs()
        yield Finding("mmseqs2", f"{mmseqs_version(program)}, {program}")
    except InputError as error:
        found = "not found; only redundancy_filter needs it"
        yield Finding("mmseqs2", found, str(error) if needed else "")


def _disk(config: Config | None) -> Iterator[Finding]:
    base = Path() if config is None else config.base_directory
    while not base.exists() and base != base.parent:
        base = base.parent
    for name, folder in (("disk", base.resolve()), ("temporary folder", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(folder).free
        remedy = "make room, or point base_directory (or TMPDIR) at another disk" * (free < LEAST_FREE_BYTES)
        if not os.access(folder, os.W_OK):
            remedy = "point base_directory (or TMPDIR) at a folder that you may write"
        yield Finding(name, f"{_gigabytes(free)} free in {folder}", remedy)


def _caches(config: Config | None) -> Iterator[Finding]:
    """The caches need not exist, but what is there must be writable."""
    from huggingface_hub import constants

    folders = [("models", Path(constants.HF_HUB_CACHE))]
    if config is not None and config.embedding.cache is not None:
        folders.append(("embeddings", config.embedding.cache))
    for name, folder in folders:
        there = folder.is_dir()
        offline = ", offline" * (name == "models" and constants.HF_HUB_OFFLINE)
        remedy = f"make {folder} writable, or set HF_HOME or embedding.cache" * (
            there and not os.access(folder, os.W_OK)
        )
        yield Finding(f"cache of {name}", f"{folder}{'' if there else ', not there yet'}{offline}", remedy)


def _input(config: Config | None) -> Iterator[Finding]:
    if config is None or config.input == "-":
        return
    there = Path(config.input).exists()
    yield Finding("input", config.input, "" if there else "it does not exist: set input to a file that does")


def _reference(config: Config | None) -> Iterator[Finding]:
    """Verify the checksums of the reference, or of the bundled one."""
    from ..reference.bundle import open_reference, verify_reference

    if config is not None and config.reference is None:
        return
    path = Path(__file__).parents[1] / "sample" / "reference" if config is None else config.require_reference()
    reference = open_reference(path)
    count = verify_reference(path)
    yield Finding("reference", f"{path}: {count} files as they were written, {', '.join(map(str, reference.spaces))}")
    if config is not None:
        for key, model in config.embedding.enabled_models.items():
            for layer in model.layer_index:
                if not reference.store.has(key, layer):
                    remedy = "build it with this layer, or ask for one that it holds"
                    yield Finding("reference", f"no vectors of {key} layer {layer}", remedy)


def _models(config: Config | None) -> Iterator[Finding]:
    if config is None or config.only_lookup:
        return
    from ..embed.checkpoints import checkpoint_folder
    from ..embed.models import check_layers, model_spec
    from ..embed.weights import check_files

    for key, model in config.embedding.enabled_models.items():
        spec = model_spec(key, model.checkpoint, model.family)
        check_layers(spec, model.layer_index)
        folder = checkpoint_folder(spec)
        check_files(spec, folder)
        yield Finding("model", f"{key} in {folder}")


def _cluster(config: Config | None) -> Iterator[Finding]:
    """Join the cluster, or start the one that a run would start, and let it compute something."""
    from ..cluster import connect

    settings = {} if config is None else config.cluster.model_dump()
    with connect(**settings) as client:
        assert client.submit(sum, (1, 1), pure=False).result(timeout=60) == 2
        workers = len(client.scheduler_info(n_workers=-1)["workers"])
        threads = sum(client.nthreads().values())
        where = client.scheduler.address
    yield Finding("cluster", f"{where} answers and computes: {workers} workers, {threads} threads")


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
