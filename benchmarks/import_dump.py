"""What importing FANTASIA's dump costs: CPU per vector and peak memory.

Writes a dump in custom format (zlib, as pg_dump does by default) of two models with vectors of 1,024 numbers, then
imports it in a process of its own, once with each way of reading. FANTASIA's own loading of as many rows into memory
takes 0.4 ms of CPU a row::

    python benchmarks/import_dump.py
    python benchmarks/import_dump.py --rows 124000 --keep /scratch/big.backup
"""

from __future__ import annotations

import argparse
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

D = 1024
MODELS = {2: "Prost-T5", 3: "Prot-T5"}
FANTASIA_MS = 0.4
COLUMNS = {
    "go_terms": "go_id, category, description",
    "protein": "id, sequence_id, gene_name, organism, taxonomy_id",
    "protein_go_term_annotation": "id, protein_id, go_id, evidence_code",
    "sequence": "id, sequence, sequence_hash",
    "sequence_embedding_type": "id, name, model_name",
    "sequence_embeddings": "id, sequence_id, embedding_type_id, layer_index, embedding, shape, created_at",
}


def rows_of(table: str, n: int, rng: np.random.Generator) -> Iterator[str]:
    """Yield the lines of one table."""
    if table == "go_terms":
        yield "GO:0008150\tBP\tbiological_process"
    elif table == "protein":
        yield from (f"P{i:06d}\t{i}\tG{i}\tHomo sapiens\t9606" for i in range(1, n + 1))
    elif table == "protein_go_term_annotation":
        yield from (f"{i}\tP{i:06d}\tGO:0008150\tIDA" for i in range(1, n + 1))
    elif table == "sequence":
        letters = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
        yield from (f"{i}\t{''.join(rng.choice(letters, 300))}\thash" for i in range(1, n + 1))
    elif table == "sequence_embedding_type":
        yield from (f"{number}\t{model}\tcheckpoint" for number, model in MODELS.items())
    else:
        yield from vectors(n, rng)


def vectors(n: int, rng: np.random.Generator) -> Iterator[str]:
    """Yield the vectors, sequences in an order of chance, as a halfvec is written: the shortest text of a float32."""
    for model, number in enumerate(MODELS):
        order = rng.permutation(n) + 1
        for start in range(0, n, 1000):
            sequences = order[start : start + 1000].tolist()
            block = (rng.standard_normal((len(sequences), D)) * 0.2).astype("float16").astype("float32")
            for i, (sequence, vector) in enumerate(zip(sequences, block, strict=True), 1):
                text = ",".join(map(str, vector))
                yield f"{model * n + start + i}\t{sequence}\t{number}\t0\t[{text}]\t{{{D}}}\t2025-12-01 00:00:00"


def integer(value: int) -> bytes:
    return struct.pack("<BI", value < 0, abs(value))


def text(value: str | None) -> bytes:
    return integer(-1) if value is None else integer(len(value)) + value.encode()


def contents(offsets: list[int]) -> bytes:
    """Return the header and the table of contents."""
    out = b"PGDMP" + bytes((1, 14, 0, 4, 8, 1)) + integer(-1)
    out += b"".join(map(integer, (0, 0, 0, 1, 0, 126, 0))) + text("BioData") + text("15.0") + text("15.0")
    out += integer(len(COLUMNS))
    for number, (name, columns) in enumerate(COLUMNS.items(), 1):
        copy = f"COPY public.{name} ({columns}) FROM stdin;\n"
        out += integer(number) + integer(1) + text("0") + text("0") + text(name) + text("TABLE DATA") + integer(3)
        out += text("") + text("") + text(copy) + text("public") + text("") + text(None) + text("owner")
        out += text("false") + text(None) + struct.pack("<BQ", 2, offsets[number - 1])
    return out


def packed(lines: Iterable[str]) -> Iterator[bytes]:
    """Yield zlib data in the pieces of 4,096 bytes that pg_dump writes."""
    packer, ready = zlib.compressobj(6), b""
    for line in lines:
        ready += packer.compress(f"{line}\n".encode())
        while len(ready) >= 4096:
            yield ready[:4096]
            ready = ready[4096:]
    ready += packer.compress(b"\\.\n\n\n") + packer.flush()
    for start in range(0, len(ready), 4096):
        yield ready[start : start + 4096]


def write_dump(path: Path, n: int) -> None:
    rng = np.random.default_rng(0)
    offsets = [0] * len(COLUMNS)
    with path.open("wb") as file:
        file.write(contents(offsets))
        for number, table in enumerate(COLUMNS, 1):
            offsets[number - 1] = file.tell()
            file.write(b"\x01" + integer(number))
            for piece in packed(rows_of(table, n, rng)):
                file.write(integer(len(piece)) + piece)
            file.write(integer(0))
        file.seek(0)
        file.write(contents(offsets))


def cpu_seconds() -> float:
    """Return the CPU time of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def read_vectors(dump: Path, reader: str) -> float:
    """Read every vector into memory and let it go; return the CPU seconds: what FANTASIA's 0.4 ms a row are for."""
    from fantasia_dask.reference.importers.archive import open_archive
    from fantasia_dask.reference.importers.copy_text import places, whole_lines
    from fantasia_dask.reference.importers.vector_text import parse_text

    wanted = ("sequence_id", "embedding_type_id", "layer_index", "embedding")
    cpu = cpu_seconds()
    with open_archive(dump, reader).table("sequence_embeddings") as copy:
        chosen = np.array(places(copy, wanted, "sequence_embeddings", dump))
        for block in whole_lines(copy, dump):
            parse_text(block, len(copy.columns), chosen).values.astype("float16")
    return cpu_seconds() - cpu


def measure(dump: Path, reader: str, rows: int) -> None:
    """Import once and print what it took; a tiny import before it pays for loading and compiling."""
    from fantasia_dask.progress import Progress
    from fantasia_dask.reference.importers import import_reference

    quiet = Progress(quiet=True)
    with tempfile.TemporaryDirectory(dir=dump.parent) as folder:
        write_dump(Path(folder, "tiny.backup"), 10)
        import_reference(Path(folder, "tiny.backup"), Path(folder, "tiny"), reader=reader, progress=quiet)
        cpu, wall, before = cpu_seconds(), time.perf_counter(), peak_mb()
        import_reference(dump, Path(folder, "out"), reader=reader, progress=quiet)
        cpu, wall = cpu_seconds() - cpu, time.perf_counter() - wall
    peak, n = peak_mb(), rows * len(MODELS) / 1000
    read = read_vectors(dump, reader) / n
    print(
        f"{reader:<12}{read:>8.3f}{FANTASIA_MS / read:>8.1f}{cpu / n:>8.3f}{wall:>8.1f}{peak:>8.0f}{before:>8.0f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=20_000, help="sequences; each has a vector of two models")
    parser.add_argument("--keep", type=Path, help="where to keep the dump; used as it is when it is there")
    parser.add_argument("--measure", nargs=2, metavar=("DUMP", "READER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(Path(options.measure[0]), options.measure[1], options.rows)
        return
    with tempfile.TemporaryDirectory() as folder:
        dump = options.keep or Path(folder, "big.backup")
        if not dump.is_file():
            write_dump(dump, options.rows)
        print(f"{options.rows} sequences x {len(MODELS)} models x {D}: a dump of {dump.stat().st_size / 1e6:.0f} MB")
        print(
            "CPU in ms per vector: reading them, 0.4 over that, whole import; then wall s, peak MB, MB before",
            flush=True,
        )
        for reader in ("python", "pg_restore") if shutil.which("pg_restore") else ("python",):
            command = [sys.executable, __file__, "--rows", str(options.rows), "--measure", str(dump), reader]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
