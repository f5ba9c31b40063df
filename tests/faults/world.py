"""A small world in which runs are disturbed: the command line, in processes of its own, and what it leaves."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

import fantasia_dask
from fantasia_dask.testing import simulate_proteins

SAMPLE = Path(fantasia_dask.__file__).parent / "sample"
TIMED = {"manifest.json", "run.log", "events.jsonl", "ledger.json", "ro-crate-metadata.json", "report.html"}
"""Files that tell the time."""


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file of a run, but for those that tell the time."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in TIMED
    }


def wait_for(true, process=None):
    """Wait until something is so; a process that ends before is a failure of the test."""
    while not true():
        assert process is None or process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


class World:
    """Proteins, a configuration, and runs of it as commands."""

    def __init__(self, home: Path, proteins: int = 60, seed: int = 3):
        self.home = home
        fasta = home / "proteins.fasta"
        drawn = simulate_proteins(proteins, seed=seed, shortest=30, longest=120)
        fasta.write_text("".join(f">{p.accession}/{i}\n{p.sequence}\n" for i, p in enumerate(drawn)))
        self.settings = {
            "input": str(fasta),
            "reference": str(SAMPLE / "reference"),
            "base_directory": str(home / "runs"),
            "prefix": "run",
            "limit_per_entry": 3,
            "raw_csv": True,
            "embedding": {
                "device": "cpu",
                "queue_batch_size": 16,
                "models": {
                    "Tiny-ESM2": {"family": "esm2", "checkpoint": str(SAMPLE / "tiny-esm2"), "layer_index": [0, 1]}
                },
            },
        }
        self.config = home / "config.yaml"
        self.configure()

    def configure(self, **settings) -> None:
        """Write the configuration, with some settings more."""
        self.config.write_text(yaml.safe_dump(self.settings | settings))

    @property
    def folder(self) -> Path:
        return self.home / "runs" / "experiments" / "run"

    def start(self, *arguments, **environment):
        """Begin a run."""
        return subprocess.Popen(
            [sys.executable, "-m", "fantasia_dask", "run", self.config, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
            env={**os.environ, "TMPDIR": str(self.scratch()), **environment},
        )

    def scratch(self) -> Path:
        """A temporary folder of its own, to see what is left in it."""
        folder = self.home / "scratch"
        folder.mkdir(exist_ok=True)
        return folder

    def left(self) -> list[str]:
        """What is left in the temporary folder; torch keeps a cache there."""
        return [path.name for path in self.scratch().iterdir() if not path.name.startswith("torchinductor_")]

    def finish(self, *arguments, **environment) -> dict[str, str]:
        """Run to the end, and return the contents of the run folder."""
        process = self.start(*arguments, **environment)
        _, said = process.communicate()
        assert process.returncode == 0, said
        return contents(self.folder)

    def refused(self, *arguments, **environment) -> str:
        """Run into a fault that is told in one sentence, and return that."""
        process = self.start(*arguments, **environment)
        _, said = process.communicate()
        assert process.returncode == 2, said
        assert "Traceback" not in said
        (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
        return line


def same(found: dict[str, str], expected: dict[str, str], *, renamed: bool = False) -> bool:
    """Compare two runs in two places, which a few files name; the figures name a run that has another name."""
    placed = ("config.yaml", "exports/fantasia_dask_mqc.json", "report.html", *(("figures/",) if renamed else ()))
    one, other = ({k: v for k, v in run.items() if not k.startswith(placed)} for run in (found, expected))
    return one == other


def interrupt(process: subprocess.Popen, number: signal.Signals) -> str:
    """Send a signal and return what was said. As from a terminal, Ctrl-C reaches the workers too."""
    send = os.killpg if number == signal.SIGINT else os.kill
    send(process.pid, number)
    # The promise is five seconds; processors may be shared with others.
    _, said = process.communicate(timeout=15)
    return said
