"""What runs fantasia-dask elsewhere: linted where no engine is at hand, run where one is."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fantasia_dask import open_run
from fantasia_dask.schema import Space
from fantasia_dask.testing import simulate_reference, simulate_store

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = ROOT / "workflows"
DOCKERFILE, APPTAINER = WORKFLOWS / "Dockerfile", WORKFLOWS / "fantasia-dask.def"
NEXTFLOW = WORKFLOWS / "nextflow" / "main.nf"
BIN = Path(sys.executable).parent


def tool(name: str) -> str:
    """Find a program of this environment, or skip."""
    found = shutil.which(name, path=f"{BIN}:{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"{name} is not installed here")
    return found


def shellcheck(script: str, shell: str = "bash") -> str:
    checked = subprocess.run(
        [tool("shellcheck"), f"--shell={shell}", "-"], input=script, capture_output=True, text=True, check=False
    )
    return checked.stdout


# Containers ------------------------------------------------------------------------------------------------------


def test_dockerfile__is_clean():
    found = subprocess.run([tool("hadolint"), DOCKERFILE], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_dockerfile__copies_what_exists_and_what_is_not_ignored():
    copied = [
        path for line in re.findall(r"^COPY (?!--)(.*)$", DOCKERFILE.read_text(), re.M) for path in line.split()[:-1]
    ]
    kept = re.findall(r"^!(.*)$", (WORKFLOWS / "Dockerfile.dockerignore").read_text(), re.M)
    assert sorted(copied) == sorted(kept)
    assert all((ROOT / path).exists() for path in copied)


def sections() -> dict[str, str]:
    """Return the sections of the Apptainer definition; what precedes them is the header."""
    parts = re.split(r"^%(\w+).*\n", APPTAINER.read_text(), flags=re.MULTILINE)
    return {"header": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def test_apptainer__has_known_sections_and_the_base_of_the_dockerfile():
    known = {"arguments", "setup", "files", "environment", "post", "runscript", "startscript", "test", "labels", "help"}
    assert set(sections()) - {"header"} <= known
    header = dict(line.split(": ") for line in sections()["header"].strip().splitlines())
    assert header["Bootstrap"] == "docker"
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE.read_text(), re.M)) == {header["From"]}
    for line in sections()["files"].strip().splitlines():
        assert (ROOT / line.split()[0]).exists()


@pytest.mark.parametrize("name", ["post", "environment", "runscript", "test"])
def test_apptainer__scripts_are_clean(name):
    arguments = dict(line.strip().split("=") for line in sections()["arguments"].strip().splitlines())
    script = re.sub(r"\{\{ (\w+) \}\}", lambda m: arguments[m[1]], sections()[name])
    assert shellcheck(script, "sh") == ""


def test_containers__python_is_one_that_the_package_supports():
    import tomllib

    from packaging.specifiers import SpecifierSet

    version = re.search(r"^From: python:([\d.]+)", APPTAINER.read_text(), re.M)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert version is not None
    assert version[1] in SpecifierSet(project["requires-python"])


# SLURM -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", sorted((WORKFLOWS / "slurm").glob("*.sh")), ids=lambda path: path.name)
def test_slurm__scripts_are_clean(script):
    assert shellcheck(script.read_text()) == ""
    directives = re.findall(r"^#SBATCH (--[a-z-]+=\S+)$", script.read_text(), re.M)
    assert {option.split("=")[0] for option in directives} >= {"--job-name", "--time", "--output"}


@pytest.fixture
def lookup(tmp_path):
    """A configuration of a lookup of 30 simulated proteins."""
    spaces = (Space("Sim", 0, 16, "clean", "sim", "r1"),)
    simulate_reference(tmp_path / "reference", 40, spaces)
    simulate_store(tmp_path / "queries.zarr", 30, spaces, seed=5)
    settings = {
        "input": "queries.zarr",
        "only_lookup": True,
        "reference": "reference",
        "prefix": "run",
        "embedding": {"models": {"Sim": None}},
    }
    (tmp_path / "lookup.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path / "lookup.yaml"


def test_slurm__one_node_gives_the_run_what_the_job_has(lookup):
    job = {"SLURM_CPUS_PER_TASK": "2", "SLURM_MEM_PER_NODE": "3000", "PATH": f"{BIN}:{os.environ['PATH']}"}
    script = [WORKFLOWS / "slurm" / "one_node.sh", lookup.name, "--limit-per-entry", "2"]
    subprocess.run(["bash", *script], cwd=lookup.parent, env={**os.environ, **job}, check=True, capture_output=True)
    run = open_run(lookup.parent / "experiments" / "run")
    assert run.config.cluster.threads_per_worker == 2
    assert run.config.cluster.memory_limit == 3000 * 10**6
    assert len(run["Sim"].hits.compute()) == 30 * 2


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_slurm__many_nodes_with_the_tasks_of_a_job(lookup):
    """Start what srun would start: four tasks with SLURM's variables, of which two become workers."""
    pytest.importorskip("dask_jobqueue", reason="needs the extra slurm")
    job = {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "4", "SLURM_CPUS_PER_TASK": "1", "SLURM_MEM_PER_CPU": "2000"}
    command = [sys.executable, WORKFLOWS / "slurm" / "many_nodes.py", lookup.name]
    tasks = [
        subprocess.Popen(
            command,
            cwd=lookup.parent,
            env={**os.environ, **job, "SLURM_PROCID": str(number), "TMPDIR": str(lookup.parent)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    try:
        said, complained = tasks[1].communicate(timeout=120)
        assert tasks[1].returncode == 0, complained
        codes = [task.wait(timeout=60) for task in tasks]
    finally:
        for task in tasks:
            task.kill()
            task.communicate()
    assert "30 proteins, 30 with vectors" in said
    assert codes == [0, 0, 0, 0]
    assert open_run(lookup.parent / "experiments" / "run").finished


# Workflow managers -----------------------------------------------------------------------------------------------


def test_snakemake__annotates_the_sample(tmp_path, root):
    pytest.importorskip("snakemake", reason="snakemake has no wheels for this Python")
    (tmp_path / "proteomes").mkdir()
    shutil.copy(root / "fantasia_dask" / "sample" / "queries.fasta", tmp_path / "proteomes" / "it's mine.fasta")
    model = {"family": "esm2", "checkpoint": str(root / "fantasia_dask" / "sample" / "tiny-esm2")}
    settings = {"input": "replaced", "embedding": {"device": "cpu", "models": {"Tiny-ESM2": model}}}
    (tmp_path / "annotate.yaml").write_text(yaml.safe_dump(settings))
    summary = tmp_path / "experiments" / "it's mine" / "summary.tsv"
    command = [sys.executable, "-m", "snakemake", "-s", WORKFLOWS / "Snakefile", "--cores", "2", "--nocolor"]
    reference = f"reference={root / 'fantasia_dask' / 'sample' / 'reference'}"
    done = subprocess.run(
        [*command, "--config", reference, "--", summary.relative_to(tmp_path)],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "XDG_CACHE_HOME": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    log = tmp_path / "logs" / "it's mine.log"
    assert done.returncode == 0, done.stderr + (log.read_text() if log.exists() else "")
    run = open_run(summary.parent)
    assert run.manifest["counts"]["annotated"] == 12
    assert run.config.cluster.threads_per_worker == 2


def test_nextflow__braces_close_and_every_output_is_written_by_a_run():
    text = re.sub(r"//.*", "", NEXTFLOW.read_text())
    assert text.count('"""') == 4
    bare = re.sub(r'"""(.*?)"""', "", text, flags=re.DOTALL)
    for left, right in ("{}", "()", "[]"):
        assert bare.count(left) == bare.count(right)
    blocks = re.findall(r"^    (input|output|script|stub):$", text, re.M)
    assert blocks == ["input", "output", "script", "stub"]
    outputs = re.findall(r"experiments/\$\{meta.id\}/(\w+(?:\.\w+)?)\"", text)
    assert set(outputs) == {"summary.tsv", "status.tsv", "annotations"}


def test_nextflow__its_command_is_one_of_ours():
    from fantasia_dask.cli import cli

    script = re.findall(r'"""(.*?)"""', NEXTFLOW.read_text(), re.DOTALL)[0]
    # what Groovy does: its own variables filled in, then one backslash taken off
    values = {"settings": "a.yaml", "proteins": "p.fasta", "reference": "r", "meta.id": "ants", "task.cpus": "4"}
    values |= {"memory": "--set cluster.memory_limit=8000MB", "args": "--limit-per-entry 3", "task.process": "P"}
    script = re.sub(r"(?<!\\)\$\{([\w.]+)\}", lambda m: values[m[1]], script)
    script = script.replace("\\\\", "\\").replace("\\$", "$").replace("\\n", "n")
    assert shellcheck(script) == ""
    line = next(
        line for line in script.replace("\\\n", " ").splitlines() if line.strip().startswith("fantasia-dask run")
    )
    arguments = shlex.split(line)[2:]
    context = cli.commands["run"].make_context("run", arguments)
    assert context.params["settings"] == ("cluster.threads_per_worker=4", "cluster.memory_limit=8000MB")
    assert context.params["prefix"] == "ants"
