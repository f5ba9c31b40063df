"""Run every command and example of the tutorial, and put what they print and draw into the documentation.

::

    python tools/docs_tutorial.py

The bundled sample is copied to a temporary folder with `config/`, and the commands of the tutorial run there. A test
does the same and compares, so nothing that the tutorial shows is written by hand.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TUTORIAL = ROOT / "docs" / "tutorial.md"
IMAGES = ROOT / "docs" / "images"
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def lay_out(folder: Path) -> None:
    """Copy what a clone has and the tutorial uses."""
    shutil.copytree(ROOT / "config", folder / "config")
    shutil.copytree(ROOT / "fantasia_dask" / "sample", folder / "fantasia_dask" / "sample")


def executed(text: str, folder: Path) -> str:
    """Return a page with the output of its commands and examples, run one after the other in a folder."""
    names: dict[str, Any] = {"__name__": "__tutorial__"}

    def run(block: re.Match[str]) -> str:
        answer = _console(block[2], folder) if block[1] == "console" else _python(block[2], names)
        return f"```{block[1]}\n{answer}```"

    here = Path.cwd()
    os.chdir(folder)
    try:
        return BLOCK.sub(run, text)
    finally:
        os.chdir(here)


def _console(block: str, folder: Path) -> str:
    """Run the lines that begin with a dollar sign; a block without output keeps none."""
    commands = re.findall(r"^\$ (?:.*\\\n)*.*$", block, re.MULTILINE)
    wanted = [line for line in block.splitlines() if not line.startswith("$ ")]
    if not wanted:
        return block
    shown = ""
    for command in commands:
        words = shlex.split(command[2:].replace("\\\n", " "), comments=True)
        assert words[0] == "fantasia-dask", f"the tutorial runs nothing but fantasia-dask: {command}"
        lines = None
        if "|" in words:
            *words, pipe, head, dash_n, count = words
            assert (pipe, head, dash_n) == ("|", "head", "-n"), command
            lines = int(count)
        printed = _printed(lambda words=words: _main(words[1:])).replace(str(folder) + "/", "")
        shown += command + "\n" + "".join(printed.splitlines(keepends=True)[:lines])
    return shown


def _main(arguments: list[str]) -> None:
    from fantasia_dask.cli import main

    with contextlib.suppress(SystemExit), contextlib.redirect_stderr(io.StringIO()):
        main(arguments)


def _python(block: str, names: dict[str, Any]) -> str:
    """Run a block of examples as an interpreter would; a block without any is left alone."""
    examples = doctest.DocTestParser().get_examples(block)
    if not examples:
        return block
    shown = ""
    for example in examples:
        first, *rest = example.source.splitlines()
        shown += "\n".join([f">>> {first}", *(f"... {line}" for line in rest)]) + "\n"
        code = compile(example.source, "tutorial", "single")
        shown += _printed(lambda code=code: exec(code, names))
    return shown


def _printed(act: Callable[[], None]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        act()
    return printed.getvalue()


def draw(folder: Path, images: Path) -> list[Path]:
    """Draw the pictures of the tutorial from the run in a folder; return their files."""
    import matplotlib
    from matplotlib import pyplot

    from fantasia_dask import open_run

    run = open_run(folder)
    space = run.spaces[0]
    pictures = {
        "sample_map": space.plot_map,
        "sample_reliability": run.plot_reliability,
        "sample_neighbours": lambda: run.plot_neighbours("sp|P01326|INS2_MOUSE"),
    }
    images.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "fantasia-dask", "backend": "Agg"}):
        for name, plot in pictures.items():
            figure = plot().figure
            figure.savefig(images / f"{name}.svg", metadata={"Date": None})
            pyplot.close(figure)
    return [images / f"{name}.svg" for name in pictures]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        lay_out(Path(scratch).resolve())
        text = executed(TUTORIAL.read_text(encoding="utf-8"), Path(scratch).resolve())
        TUTORIAL.write_text(text, encoding="utf-8")
        draw(Path(scratch) / "experiments" / "sample", IMAGES)
