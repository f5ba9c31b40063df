"""One run, described: one frozen tree of settings, each with one home, one name and a word on when to change it.

`config.py` fills the tree from files and the command line. The descriptions are the documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from .errors import InputError
from .schema import RAW_ANNOTATIONS
from .values import (
    METRICS,
    USUAL_EXPORTS,
    WEIGHTS,
    Count,
    Database,
    Day,
    Digest,
    Exports,
    Family,
    FolderName,
    Fraction,
    GenePattern,
    Layers,
    Lines,
    Memory,
    Natural,
    Profile,
    Statistic,
    Taxa,
    Threshold,
    Walltime,
    Weight,
    a_number,
)

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
]

WHOLE = "whole"
"""Type of an error that is about several keys; its message names them itself."""

MODEL_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
MEASURES = tuple(column.name for column in RAW_ANNOTATIONS if column.dtype == "float64")


def _clash(text: str) -> PydanticCustomError:
    """An error of keys that do not go together; `text` begins with the key, relative to the group."""
    return PydanticCustomError(WHOLE, "{text}", {"text": text})


class _Settings(BaseModel):
    """Frozen, and no key passes unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelSettings(_Settings):
    """One protein language model of the run."""

    enabled: bool = Field(
        default=True, description="Whether this model is used. Set it to false to keep a model's settings for later."
    )
    batch_size: Count = Field(
        default=32,
        description="Proteins that go through the model at once; lower it when memory runs out. It is bounded by "
        "embedding.queue_batch_size.",
    )
    layer_index: Layers = Field(
        default=(0,),
        description="Hidden layers to embed and to look up, counted from the output: 0 is the last. One forward "
        "pass gives them all; the reference must hold the same layers.",
    )
    distance_threshold: Threshold = Field(
        default=None,
        description="Largest distance between a query and a donor, applied before limit_per_entry; null, false or "
        "0: no limit. Set it when few, close donors are wanted rather than the nearest ones, however "
        "far.",
    )
    checkpoint: Path | None = Field(
        default=None,
        description="Folder of the model's weights and tokenizer. Set it on machines without network, or for a "
        "model of one's own; null: the published checkpoint of a model that is known by name.",
    )
    family: Family | None = Field(
        default=None,
        description="How the checkpoint is loaded and its text prepared. Needed only for a model of one's own; "
        "null: that of the model known by name.",
    )


class EmbeddingSettings(_Settings):
    """How proteins become vectors, and how vectors are compared."""

    device: Literal["auto", "cuda", "cpu"] = Field(
        default="auto",
        description="Where models run; auto takes a GPU where one is found. Set cuda to fail rather than to fall back.",
    )
    queue_batch_size: Count = Field(
        default=256,
        description="Proteins per Dask task, the unit that is resumed after a stop. Lower it to lose less work or "
        "to feed more workers, raise it when there are millions of short proteins.",
    )
    max_sequence_length: Natural = Field(
        default=0,
        description="Residues kept of a protein; 0: all. Set it when a few giants run out of memory; what was cut "
        "is listed in status.tsv.",
    )
    distance_metric: Literal["cosine", "euclidean"] = Field(
        default="cosine",
        description="Distance between two vectors. Change it to repeat a study made with euclidean distances.",
    )
    profile: Profile | None = Field(
        default=None,
        description="Which tokens a protein's mean runs over: pis-3.1 as in FANTASIA's published tables, clean as "
        "the models' authors advise; null: that of the reference. Set it when embedding without a "
        "reference.",
    )
    format: Literal["zarr", "hdf5"] = Field(
        default="zarr",
        description="File format of the query embeddings. hdf5 gives a single file, written by one process; zarr is "
        "written by all workers.",
    )
    cache: Path | None = Field(
        default=None,
        description="Folder that keeps embeddings across runs, found again by sequence and model. Set it when the "
        "same proteins come back; null: none.",
    )
    models: dict[str, Annotated[ModelSettings, BeforeValidator(lambda value: {} if value is None else value)]] = Field(
        default_factory=dict,
        description="The models by name: ESM, Prot-T5, Prost-T5, Ankh3-Large, ESM3c, or a name of one's own. Each "
        "is looked up in the part of the reference that bears its name.",
    )

    @property
    def enabled_models(self) -> dict[str, ModelSettings]:
        """The models that the run uses, by name, in the order of the file."""
        return {key: model for key, model in self.models.items() if model.enabled}

    def effective_batch_size(self, model: str) -> int:
        """Return the proteins that go through a model at once: never more than one task holds."""
        return min(self.models[model].batch_size, self.queue_batch_size)

    @model_validator(mode="after")
    def _check_models(self) -> EmbeddingSettings:
        for key in self.models:
            if not MODEL_KEY.fullmatch(key):
                raise _clash(f"models.{key}: expected a name of letters, digits and . _ + -, such as Prot-T5")
        if not self.enabled_models:
            raise _clash("models: no model is enabled, and at least one is needed, such as Prot-T5: {enabled: true}")
        return self


class SecuritySettings(_Settings):
    """The certificates of a cluster that speaks TLS."""

    ca_file: Path = Field(description="Certificate of the authority that signed those of the cluster (PEM).")
    cert: Path = Field(description="Certificate of this client (PEM).")
    key: Path = Field(description="Private key of this client (PEM).")


class SlurmSettings(_Settings):
    """How the jobs of a SLURM cluster are asked for: each is one worker."""

    partition: str | None = Field(default=None, description="Partition (queue) of the jobs; null: the site's default.")
    account: str | None = Field(default=None, description="Account that the jobs are charged to; null: the default.")
    walltime: Walltime = Field(
        default="01:00:00",
        description="Time after which SLURM ends a job, in quotes. A new job then takes its place, and what its worker "
        "was doing is done again: ask for as long as the run takes where you can.",
    )
    interface: str | None = Field(
        default=None,
        description="Network by which workers and this process reach each other, such as ib0; null: the one that "
        "leads out of this machine. Set it when jobs start but no worker comes.",
    )
    directives: Lines = Field(
        default=(), description="Further options of sbatch, one per line, such as --gpus=1 or --constraint=avx512."
    )
    prologue: Lines = Field(
        default=(), description="Commands that a job runs before its worker starts, such as module load cuda."
    )


class ClusterSettings(_Settings):
    """Where the work is done."""

    kind: Literal["auto", "local", "cuda", "slurm", "address", "scheduler_file"] = Field(
        default="auto",
        description="Which Dask cluster: auto takes the GPUs of this machine where there are any and its cores "
        "otherwise, local the cores, cuda the GPUs; slurm submits a job per worker; address and scheduler_file join "
        "a cluster that runs already.",
    )
    address: str | None = Field(
        default=None,
        description="Address of a running scheduler, such as tcp://10.0.0.1:8786. Set it to use a cluster of one's "
        "own.",
    )
    scheduler_file: Path | None = Field(
        default=None,
        description="File in which a running scheduler wrote its address, as on SLURM. Set it instead of address.",
    )
    workers: Count | None = Field(
        default=None,
        description="Worker processes of a local cluster; null: one, which shares its memory between threads, or "
        "one per GPU. More are rarely faster on one machine. Of slurm: jobs; null: one.",
    )
    threads_per_worker: Count | None = Field(
        default=None,
        description="Threads of each local worker; null: all cores that this process may use, shared out. Of slurm: "
        "cores of a job; null: one.",
    )
    memory_limit: Memory = Field(
        default=None,
        description="Memory of each local worker, such as 8GB; null: what the machine has, shared out. Set it on "
        "machines used by others; slurm needs it, as the memory of a job.",
    )
    device_memory_limit: Memory = Field(
        default=None,
        description="Memory of each GPU that a worker of kind cuda may fill, such as 20GB; null: most of what it has. "
        "Set it on a GPU used by others.",
    )
    slurm: SlurmSettings | None = Field(
        default=None, description="How SLURM is asked for jobs, with kind slurm; null: with the site's defaults."
    )
    dashboard: bool = Field(
        default=False,
        description="Whether a local cluster serves Dask's dashboard, on this machine only and on a free port.",
    )
    security: SecuritySettings | None = Field(
        default=None, description="Certificates of a cluster that speaks TLS; null: none."
    )

    @property
    def shows_dashboard(self) -> bool:
        """Whether there is a dashboard to look at: one asked for here, or that of a cluster that runs already."""
        return self.dashboard or self.kind in ("address", "scheduler_file")

    @model_validator(mode="before")
    @classmethod
    def _infer_kind(cls, values: Any) -> Any:
        """An address, a scheduler file or SLURM's settings say by themselves which kind is meant."""
        if not isinstance(values, Mapping):
            return values
        given = [name for name in ("address", "scheduler_file", "slurm") if values.get(name) is not None]
        kind = values.get("kind", "auto")
        if len(given) > 1:
            raise _clash(f"{given[0]} and {given[1]} are both set: expected one of them")
        if given and kind not in ("auto", given[0]):
            raise _clash(f"{given[0]} is set, but kind is {kind}: expected kind {given[0]} or auto")
        if not given and kind in ("address", "scheduler_file"):
            raise _clash(f"kind is {kind}, but {kind} is not set")
        return {**values, "kind": given[0]} if given else values

    @model_validator(mode="after")
    def _check_job(self) -> ClusterSettings:
        if self.kind == "slurm" and self.memory_limit is None:
            raise _clash("memory_limit is not set, but kind is slurm: expected the memory of a job, such as 32GB")
        return self


class SummarySettings(_Settings):
    """How the rows of a protein and term become one line of the summary."""

    enabled: bool = Field(
        default=True, description="Whether the summary is written. Set it to false when only the raw rows are read."
    )
    include_counts: bool = Field(
        default=True, description="Whether the number of rows that support a term has a column."
    )
    normalize_count_by_limit_per_entry: bool = Field(
        default=True,
        description="Whether that number is divided by limit_per_entry, to compare runs that differ in it.",
    )
    export_raw_count: bool = Field(
        default=True, description="Whether the undivided number over all models is written too (term_count)."
    )
    metrics: dict[str, tuple[Statistic, ...]] = Field(
        default_factory=lambda: dict(METRICS),
        description="Raw columns to aggregate, each with the statistics wanted (min, max, mean).",
    )
    aliases: dict[str, str] = Field(
        default_factory=lambda: {"reliability_index": "ri", "identity": "id_g", "identity_sw": "id_l"},
        description="Short names of raw columns in the summary's header; no two of its columns may have one name.",
    )
    weights: dict[str, Weight] = Field(
        default_factory=lambda: dict(WEIGHTS),
        description="Weights of the columns that add up to final_score, by raw column and statistic or by the "
        "summary's own column name. Of the default, what has no column counts for nothing; of weights that are given, "
        "each must have one, unless it is 0. Change them to trust sequence identity more, or less, than the embedding.",
    )
    weighted_prefix: str = Field(default="w_", description="What the names of weighted columns begin with.")

    @property
    def column_weights(self) -> dict[str, float]:
        """The weight of each column that has one, by the summary's own column name.

        A weight of 0 asks for nothing, and the default weights ask for those columns that there are: of both, the rest
        is left out.
        """
        columns = self._columns()
        return {column: weight for _, column, weight in self._weighed(self.weights) if column in columns}

    def _column(self, measure: str, statistic: str) -> str:
        return f"{statistic}_{self.aliases.get(measure, measure)}"

    def _columns(self) -> dict[str, str]:
        """Name the columns of an embedding space, and the raw column that each is of."""
        columns: dict[str, str] = {}
        for measure, statistics in self.metrics.items():
            for column in dict.fromkeys(self._column(measure, statistic) for statistic in statistics):
                if column in columns:
                    raise _clash(
                        f"aliases: two columns would be called {column}, that of {columns[column]} and that of "
                        f"{measure}: expected a name for each"
                    )
                columns[column] = measure
        return {**columns, "count": "count"} if self.include_counts else columns

    def _weighed(self, weights: Mapping[str, Weight]) -> Iterator[tuple[str, str, float]]:
        """Yield the key, the column and the weight of all that is weighed."""
        for name, weight in weights.items():
            if isinstance(weight, Mapping):
                for statistic, value in weight.items():
                    yield f"weights.{name}.{statistic}", self._column(name, statistic), value
            else:
                yield f"weights.{name}", name, weight

    @model_validator(mode="after")
    def _check_columns(self) -> SummarySettings:
        for name, given in (("metrics", self.metrics), ("aliases", self.aliases)):
            for column in given:
                _require_known(f"{name}.{column}", column, MEASURES)
        columns = self._columns()
        # Also those that a file of an earlier release, or of FANTASIA, spells out in its own way.
        usual = {(column, weight) for _, column, weight in self._weighed(WEIGHTS)}
        by_default = {(column, weight) for _, column, weight in self._weighed(self.weights)} == usual
        keys: dict[str, str] = {}
        for key, column, weight in self._weighed(self.weights):
            if weight < 0:
                raise _clash(f"{key} is {weight}: expected a weight of 0 or more")
            if column in keys:
                raise _clash(f"{key} and {keys[column]} both weigh {column}: expected one of them")
            if column not in columns and weight and not by_default:
                raise _clash(
                    f"{key} is {weight}, but the summary has no column {column}: expected one of "
                    f"{', '.join(columns) or 'none'}, or another setting of metrics or include_counts"
                )
            if self.weighted_prefix + column in columns:
                raise _clash(
                    f"weighted_prefix is {self.weighted_prefix!r}, and two columns would be called "
                    f"{self.weighted_prefix}{column}: expected another one, such as w_"
                )
            keys[column] = key
        return self


def _require_known(key: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        nearest = get_close_matches(name, known, n=1, cutoff=0)
        raise _clash(f"{key} names no column: expected for instance {nearest[0]}")


class PostprocessSettings(_Settings):
    """What is made of the raw rows."""

    keep_sequences: bool = Field(
        default=True,
        description="Whether raw rows carry both sequences. Set it to false to save disk space in large runs.",
    )
    summary: SummarySettings = Field(default_factory=SummarySettings, description="One line per query and term.")
    terms: Literal["direct", "specific", "propagated"] = Field(
        default="direct",
        description="Which terms a protein has in the consensus and in the exports made from it: direct, those that "
        "its donors have; specific, of these only the ones that no other implies; propagated, with all that they "
        "imply. Formats that have a rule of their own keep it.",
    )
    gene_map: Path | None = Field(
        default=None,
        description="Tab-separated table of proteins and their genes: the consensus and the exports made from it then "
        "have a line per gene, from all of its isoforms; null: per protein.",
    )
    gene_pattern: GenePattern | None = Field(
        default=None,
        description="Regular expression whose first group finds the gene in a FASTA header, such as gene:(\\S+); "
        "instead of gene_map.",
    )
    slim: str = Field(
        default="goslim_generic",
        description="GO slim whose terms are counted in goslim.tsv: name of a subset that the reference knows, or the "
        "path of an OBO file. The default is passed over where the reference does not know it.",
    )
    database: Database = Field(
        default="LOCAL",
        description="Where the accessions are from, the first column of GAF. Set it before handing annotations to a "
        "database, for instance to ENSEMBL.",
    )
    taxon: Annotated[int, BeforeValidator(a_number), Field(ge=1)] = Field(
        default=32644,
        description="NCBI taxon id of the query proteins, for GAF and GPI; 32644 stands for unidentified.",
    )

    @property
    def by_gene(self) -> bool:
        """Whether results are wanted per gene."""
        return self.gene_map is not None or self.gene_pattern is not None

    @model_validator(mode="after")
    def _check_genes(self) -> PostprocessSettings:
        if self.gene_map is not None and self.gene_pattern is not None:
            raise _clash("gene_map and gene_pattern are both set: expected one of them, the other null")
        return self


class SourceSettings(_Settings):
    """Where a file or folder comes from."""

    url: str | None = Field(
        default=None,
        description="Address: https://..., doi:<DOI>/<file>, doi:<DOI> for all files of a record, or a known name; "
        "null: it is there already.",
    )
    size: Memory = Field(
        default=None, description="Bytes of the file, such as 2504000; anything else is refused. null: not known."
    )
    sha256: Digest | None = Field(
        default=None,
        description="SHA-256 of the file; null: written down at the first download, and compared from then on.",
    )


class ReferenceSourceSettings(SourceSettings):
    """Where a reference comes from, and what it does not say itself."""

    model: str | None = Field(
        default=None, description="Model that made the vectors, where the source does not say, such as Prot-T5."
    )
    layer: Natural | None = Field(
        default=None, description="Layer of the vectors, 0 = last, where the source does not say."
    )
    profile: Profile | None = Field(
        default=None,
        description="Pooling of the vectors, where the source does not say; null: pis-3.1 for FANTASIA's dumps, "
        "otherwise unknown.",
    )
    annotations: Path | None = Field(
        default=None, description="GAF, GPAD or table that goes with a source that holds vectors alone."
    )
    fasta: Path | None = Field(
        default=None, description="Sequences and taxa that go with a source that has none of its own."
    )


def _named(value: Any) -> Any:
    """Let an address alone stand for its group, and nothing for an empty one."""
    return {"url": value} if isinstance(value, str) else {} if value is None else value


class SourcesSettings(_Settings):
    """Where 'fantasia-dask initialize' fetches what is not there."""

    folder: Path | None = Field(
        default=None, description="Folder that keeps what is fetched; null: <base_directory>/downloads."
    )
    reference: Annotated[ReferenceSourceSettings, BeforeValidator(_named)] = Field(
        default_factory=ReferenceSourceSettings, description="What the folder named by reference is made from."
    )
    ontology: Annotated[SourceSettings, BeforeValidator(_named)] = Field(
        default_factory=SourceSettings, description="What the file named by ontology is."
    )
    taxonomy_dump: Annotated[SourceSettings, BeforeValidator(_named)] = Field(
        default_factory=SourceSettings, description="The archive that the folder named by taxonomy_dump holds."
    )


class Config(_Settings):
    """One run: from a FASTA file, or from embeddings, to GO terms."""

    input: str = Field(
        description="Proteins to annotate: FASTA (.gz, .bz2 and .xz too; - is standard input), or embeddings "
        "(.zarr, .h5, .npz) when only_lookup is true."
    )
    invalid_proteins: Literal["stop", "skip"] = Field(
        default="stop",
        description="What to do with a protein that has a character other than amino-acid letters: stop before "
        "anything is computed, or skip it with a row in status.tsv that says why. Skip when a file cannot be mended.",
    )
    only_lookup: bool = Field(
        default=False, description="Whether to look up embeddings that exist already, and to embed nothing."
    )
    vectors_key: str | None = Field(
        default=None,
        description="Array of vectors to read, of an input with only_lookup that holds several (npz, HDF5 or Zarr); "
        "null: the only one there is.",
    )
    sequences: Path | None = Field(
        default=None,
        description="FASTA of the proteins whose vectors are the input, with only_lookup, where these come without "
        "sequences: for lengths, alignments, redundancy_filter and genes; null: what the input holds.",
    )
    only_embedding: bool = Field(default=False, description="Whether to stop after the embedding; needs no reference.")
    prefix: FolderName = Field(
        default="fantasia",
        description="Name of the run: its folder below <base_directory>/experiments. Change it for every new run.",
    )
    base_directory: Path = Field(
        default=Path(), description="Folder that holds experiments/. Point it at a disk with room."
    )
    reference: Path | None = Field(
        default=None,
        description="Folder of the reference, made by 'fantasia-dask reference build'. Needed unless only_embedding.",
    )
    ontology: Path | None = Field(
        default=None,
        description="GO file (OBO) whose names, obsolete and alternative ids replace those of the reference; null: "
        "those of the reference. Set it to report in a newer release.",
    )
    taxonomy_dump: Path | None = Field(
        default=None,
        description="Folder of NCBI's taxonomy dump (nodes.dmp, names.dmp, merged.dmp); needed for get_descendants "
        "and for taxa given by name, unless the reference was built with one.",
    )
    sources: Annotated[SourcesSettings, BeforeValidator(lambda value: {} if value is None else value)] = Field(
        default_factory=SourcesSettings, description="Where 'fantasia-dask initialize' fetches what is not there."
    )
    batch_size: Count = Field(
        default=1024,
        description="Lookup: query proteins per tile of distances. A ceiling: lower it when a lookup runs out of "
        "memory.",
    )
    limit_per_entry: Count = Field(
        default=5,
        description="k: neighbours kept per query, for each model and layer. 1 is strict, 5 to 10 finds more terms, "
        "with more errors among them.",
    )
    donors: Literal["annotated", "all"] = Field(
        default="annotated",
        description="Which reference proteins may answer: annotated, those with a usable GO term; all, as FANTASIA "
        "does, where an unannotated neighbour uses up a place of k.",
    )
    annotations_before: Day = Field(
        default=None,
        description="Day, such as 2020-01-31: only annotations of an earlier date are lent, and a donor without any is "
        "none; null: all. Set it to test on what was found later; goes with the filters of taxa and identity.",
    )
    redundancy_filter: Fraction = Field(
        default=0.0,
        description="Identity (0 to 1) from which a donor counts as the same protein as the query and may not "
        "answer (MMseqs2); 0: off. Set it to test a method, not to annotate.",
    )
    redundancy_mode: Literal["clusters", "identity"] = Field(
        default="clusters",
        description="How redundancy_filter is applied. clusters, as in FANTASIA: a donor in the query's MMseqs2 "
        "cluster does not answer, and some near copies in other clusters do; identity: no donor at or above the "
        "identity answers, each being aligned with its query; it needs redundancy_filter. Take identity for a test "
        "that must not leak.",
    )
    alignment_coverage: Fraction = Field(
        default=0.0,
        description="Share of the sequence that such an alignment must cover (MMseqs2 -c); used with "
        "redundancy_filter.",
    )
    threads: Count | None = Field(
        default=None, description="Threads of MMseqs2, for redundancy_filter; null: all cores of this process."
    )
    taxonomy_ids_to_exclude: Taxa = Field(
        default=(),
        description="NCBI taxon ids whose proteins may not answer, for instance the query's own species in a test.",
    )
    taxonomy_ids_included_exclusively: Taxa = Field(
        default=(),
        description="NCBI taxon ids whose proteins alone may answer; when set, it overrides the list of excluded ones.",
    )
    get_descendants: bool = Field(
        default=False,
        description="Whether both lists hold for everything below a taxon too; needs taxonomy_dump, or a reference "
        "that was built with one.",
    )
    precision: Annotated[Natural, Field(le=17)] = Field(
        default=4, description="Decimals in the text files. Parquet keeps every digit."
    )
    topgo: bool = Field(default=True, description="Whether gene-to-GO maps for topGO are written.")
    report: bool = Field(
        default=True,
        description="Whether report.html is written, a page with figures that tells what was found. Set it to false in "
        "a workflow that nobody looks at.",
    )
    exports: Exports = Field(
        default=USUAL_EXPORTS,
        description="What is written beside summary, topGO maps and raw rows: consensus (consensus.tsv); in exports/ "
        "gaf, gpad (with gpi), clusterprofiler, goatools, goslim, multiqc; ro-crate (ro-crate-metadata.json); on "
        "request cafa and raw-tsv (annotations.tsv.gz). [] for none.",
    )
    raw_csv: bool = Field(
        default=False,
        description="Whether the raw rows are written as FANTASIA's CSV files too, one per query. Slow: Parquet has "
        "them all.",
    )
    alignments: Literal["trace", "statistics", "none"] = Field(
        default="trace",
        description="How a query is aligned with its donors: trace gives identity and similarity, globally and "
        "locally, as FANTASIA does; statistics counts without a traceback, about twice as fast, and may take another "
        "of several equally good alignments; none leaves those columns empty, when only the embedding counts.",
    )
    embedding: EmbeddingSettings = Field(description="Models, layers, and how their vectors are made and compared.")
    cluster: ClusterSettings = Field(default_factory=ClusterSettings, description="Where the work is done.")
    postprocess: PostprocessSettings = Field(
        default_factory=PostprocessSettings, description="What is made of the raw rows, as in FANTASIA 4.1."
    )

    @model_validator(mode="after")
    def _check_stages(self) -> Config:
        if self.only_lookup and self.only_embedding:
            raise _clash("only_lookup and only_embedding are both true: expected at most one of them")
        if self.only_lookup and self.input == "-":
            raise _clash("input is -, but only_lookup reads embeddings from a file (.zarr, .h5, .npz)")
        for name in ("reference", "ontology", "taxonomy_dump"):
            if getattr(self.sources, name).url is not None and getattr(self, name) is None:
                raise _clash(f"sources.{name} has an address, but {name} is not set: expected where it goes")
        if self.redundancy_mode == "identity" and not self.redundancy_filter:
            raise _clash(
                "redundancy_mode is identity, but redundancy_filter is 0, which switches it off: expected an identity "
                "such as 0.9"
            )
        if not self.input.strip():
            raise _clash("input is empty: expected a FASTA file, or embeddings with only_lookup")
        return self

    @property
    def run_folder(self) -> Path:
        """Where everything that the run writes lies."""
        return self.base_directory / "experiments" / self.prefix

    def require_reference(self) -> Path:
        """Return the folder of the reference.

        Raises
        ------
        InputError
            If the configuration names none.
        """
        if self.reference is None:
            raise InputError(
                "reference is not set, and a lookup needs one: set it to a folder made by "
                "'fantasia-dask reference build', or set only_embedding: true."
            )
        return self.reference
