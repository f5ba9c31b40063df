"""Every notebook runs from top to bottom, offline, and is kept without output."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LONGEST_CELL_SECONDS = 300

notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_notebooks__are_there():
    assert [path.stem for path in NOTEBOOKS] == [
        "choosing_models_and_layers",
        "exploring_intermediate_arrays",
        "first_annotation",
        "on_an_existing_cluster",
        "own_reference",
    ]


@notebooks
def test_notebook__is_kept_without_output(path):
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code_cells(path))


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Keep the kernel from writing anywhere but to a temporary folder."""
    for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR", "TMPDIR"):
        folder = tmp_path / variable.lower()
        folder.mkdir()
        monkeypatch.setenv(variable, str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)  # puts back what this process remembers of TMPDIR
    return tmp_path


@pytest.mark.filterwarnings("ignore")  # those of Jupyter's own packages; the notebook has a process of its own
@notebooks
def test_notebook__runs(path, home):
    from nbclient import NotebookClient

    notebook, beside = nbformat.read(path, as_version=4), set(path.parent.iterdir())
    NotebookClient(
        notebook,
        timeout=LONGEST_CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    ran = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in ran)
    assert any(output.output_type == "execute_result" for cell in ran for output in cell.outputs)
    written = list(home.glob("tmpdir/**/manifest.json"))
    assert written or path.stem == "choosing_models_and_layers", "results go to a temporary folder"
    assert set(path.parent.iterdir()) == beside
