"""A run folder, opened: what was run, on what, and all that came of it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Config, load_config
from ..errors import InputError
from ..interchange.outputs import find_store
from ..reference.bundle import Reference, is_reference, open_reference
from ..run_folder import RunFolder
from ..schema import CONSENSUS, QUERIES
from ..store import EmbeddingStore, is_store, open_store
from .space import OpenSpace

if TYPE_CHECKING:
    import anndata
    import dask.dataframe as dd

__all__ = ["OpenRun", "open_run"]


class OpenRun:
    """A run, read when asked for. Made by `open_run`.

    Attributes
    ----------
    path : Path
        The run folder.
    config : Config
        The resolved configuration.
    manifest : dict
        Versions, checksums, timings and counts; empty while the run has not finished.
    """

    def __init__(self, path: Path, config: Config, manifest: dict[str, Any], reference: Path | None):
        self.path, self.config, self.manifest = path, config, manifest
        self.folder = RunFolder(path)
        self._reference = reference

    def __repr__(self) -> str:
        state = "finished" if self.finished else "not finished"
        return f"<OpenRun {self.path}: {state}; {', '.join(map(str, self.spaces))}>"

    def _repr_html_(self) -> str:
        from .cards import run_card

        return run_card(self)

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return bool(self.manifest)

    @cached_property
    def store(self) -> EmbeddingStore:
        """The query vectors; with `only_lookup` they may lie where the input of the run is."""
        inside = [self.folder.embeddings(kind) for kind in ("zarr", "hdf5")]
        return find_store(self.path) if any(path.exists() for path in inside) else open_store(self.config.input)

    @cached_property
    def reference(self) -> Reference:
        """The reference that was looked up.

        Raises
        ------
        InputError
            If the run had none, or it is no longer where it was.
        """
        place = self._reference or self.config.reference
        if place is None:
            raise InputError(f"{self.path} is a run without a reference (only_embedding): it has vectors alone.")
        try:
            return open_reference(place)
        except InputError as error:
            raise InputError(f"{error} Say where it is now: open_run(path, reference=...).") from error

    @cached_property
    def spaces(self) -> tuple[OpenSpace, ...]:
        """What was computed with each model and layer that the run used."""
        asked = [
            (key, layer) for key, model in self.config.embedding.enabled_models.items() for layer in model.layer_index
        ]
        return tuple(
            OpenSpace(self, self.store.space(model, layer)) for model, layer in asked if self.store.has(model, layer)
        )

    def __getitem__(self, key: tuple[str, int] | str) -> OpenSpace:
        """Return the space of a model and layer, ``run["Prot-T5", 0]``; of the model's first layer, ``run["Prot-T5"]``.

        Raises
        ------
        InputError
            If the run has no such space.
        """
        model, layer = key if isinstance(key, tuple) else (key, None)
        for space in self.spaces:
            if space.model == model and layer in (None, space.layer):
                return space
        wanted, known = model if layer is None else f"{model} layer {layer}", [str(space) for space in self.spaces]
        raise InputError(
            f"{self.path} has no vectors of {wanted}: expected {' or '.join(known) or 'none; it has not come so far'}."
        )

    @property
    def queries(self) -> dd.DataFrame:
        """The query proteins, `schema.QUERIES`."""
        from .frames import parquet_frame

        return parquet_frame([self._written(self.folder.queries)], QUERIES)

    @property
    def status(self) -> dd.DataFrame:
        """What became of every protein, model and layer, `schema.OUTCOME`."""
        from .frames import separated_frame

        return separated_frame(self._written(self.folder.status))

    @property
    def summary(self) -> dd.DataFrame:
        """One line per protein and GO term, over all spaces."""
        from .frames import separated_frame

        return separated_frame(self._written(self.path / "summary.tsv"))

    @property
    def consensus(self) -> dd.DataFrame:
        """One line per protein, or gene, and GO term: what models, layers and donors agree on, `schema.CONSENSUS`."""
        from .frames import separated_frame

        return separated_frame(self._written(self.path / "consensus.tsv"), CONSENSUS)

    def _written(self, file: Path) -> Path:
        if not file.is_file():
            why = "this run was set not to write it" if self.finished else "the run has not finished: start it again"
            raise InputError(f"{file} is missing: {why}.")
        return file

    def to_anndata(self) -> anndata.AnnData:
        """Return vectors and outcome as AnnData, for scanpy and its relatives.

        Returns
        -------
        AnnData
            ``obs`` has one row per protein, indexed by accession, with its length and, for each space, nearest donor
            and distance; ``obsm`` the vectors of each space, lazily (``.to_memory()`` reads them); ``uns`` how each was
            made, and the counts of the run.

        Raises
        ------
        InputError
            If the package anndata is not installed.
        """
        from ..interchange.anndata import as_anndata

        table = as_anndata(self.store)
        for space in self.spaces:
            if space.looked_up:
                nearest = space.nearest.set_index("query").reindex(range(len(self.store)))
                table.obs[f"{space.key}_donor"] = nearest["donor"].fillna("").to_numpy()
                table.obs[f"{space.key}_distance"] = nearest["distance"].to_numpy()
        table.uns["run"] = {name: int(count) for name, count in self.manifest.get("counts", {}).items()}
        return table

    def plot_reliability(self, ax: Any = None) -> Any:
        """Draw how reliable the nearest donor is, over all queries; as `plots.plot_reliability`."""
        from .plots import plot_reliability

        return plot_reliability([space for space in self.spaces if space.looked_up], ax)

    def plot_neighbours(self, accession: str, ax: Any = None) -> Any:
        """Draw the donors of one protein in every space, by distance; as `plots.plot_neighbours`."""
        from .plots import plot_neighbours

        return plot_neighbours([space for space in self.spaces if space.looked_up], accession, ax)


def open_run(path: str | os.PathLike[str], *, reference: str | os.PathLike[str] | None = None) -> OpenRun:
    """Open a run folder; nothing but its configuration and manifest is read.

    Parameters
    ----------
    path
        ``<base_directory>/experiments/<prefix>``. It may be a copy from another machine.
    reference : path, optional
        Where the reference is now; by default where it was.

    Raises
    ------
    InputError
        If there is no run at `path`.
    """
    path = Path(path)
    folder = RunFolder(path)
    if not folder.config.is_file():
        raise InputError(_no_run(path))
    config = load_config(folder.config, note=lambda line: None)
    return OpenRun(path, config, _manifest(folder.manifest), None if reference is None else Path(reference))


def _manifest(file: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read ({error}): give the command of the run again.") from error
    return manifest if isinstance(manifest, dict) else {}


def _no_run(path: Path) -> str:
    """Say what is there instead, and what to open."""
    if not path.exists():
        return f"{path} does not exist: expected the folder of a run, such as experiments/my_proteins."
    if is_reference(path):
        return f"{path} is a reference: open_reference opens it. Expected the folder of a run."
    if is_store(path):
        return f"{path} is a store of vectors: open_store opens it. Expected the folder of a run."
    runs = _runs_below(path)
    found = f" Found {', '.join(map(str, runs))}." if runs else ""
    return f"{path} is not the folder of a run: expected one with config.yaml, such as experiments/my_proteins.{found}"


def _runs_below(path: Path) -> Sequence[Path]:
    return sorted(file.parent for pattern in ("*", "experiments/*") for file in path.glob(f"{pattern}/config.yaml"))[:5]
