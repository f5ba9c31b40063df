"""The shell completes commands and options, with the scripts that the documentation names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).parent / "fantasia-dask"
SHELLS = ("bash", "zsh", "fish")


def asked(shell: str, step: str, **variables: str) -> str:
    environment = {**os.environ, "_FANTASIA_DASK_COMPLETE": f"{shell}_{step}", **variables}
    return subprocess.run([PROGRAM], env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_script__is_one_that_the_shell_reads(shell):
    script = asked(shell, "source")
    assert "fantasia-dask" in script
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on this machine to read the script; that it is printed was checked")
    subprocess.run([shell, "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("fantasia-dask re", {"reference"}),
        ("fantasia-dask reference ", {"build", "import", "info", "merge", "subset", "verify"}),
        ("fantasia-dask run --only-", {"--only-lookup", "--only-embedding"}),
    ],
)
@pytest.mark.parametrize("shell", SHELLS)
def test_completion__knows_commands_and_options(shell, words, expected):
    # bash and zsh count the words; fish hands over the last one by itself
    position = {"COMP_CWORD": words.split(" ")[-1] if shell == "fish" else str(len(words.split(" ")) - 1)}
    answer = asked(shell, "complete", COMP_WORDS=words, **position)
    assert expected <= {word for line in answer.splitlines() for word in line.replace(",", " ").split()}


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
def test_completion__in_bash_itself():
    """Read the script, let bash call the function that it registers, and look at what bash would offer."""
    inside = """
    eval "$(_FANTASIA_DASK_COMPLETE=bash_source fantasia-dask)"
    handler=$(complete -p fantasia-dask | sed 's/.*-F \\([^ ]*\\).*/\\1/')
    COMP_WORDS=(fantasia-dask reference ver) COMP_CWORD=2
    "$handler" fantasia-dask ver reference
    printf '%s\\n' "${COMPREPLY[@]}"
    """
    environment = {**os.environ, "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", inside], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["verify"]
