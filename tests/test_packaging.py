"""What the project promises about its own installation."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement

import fantasia_dask


def floors(requirements):
    """Name and version range of each requirement, one per distribution."""
    return {r.name: str(r.specifier) for r in map(Requirement, requirements)}


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]


def test_environment__has_the_floors_of_pyproject(root, project):
    listed = yaml.safe_load((root / "environment.yml").read_text())["dependencies"]
    from_pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    conda = floors(
        entry for entry in listed if isinstance(entry, str) and not entry.startswith(("python>", "pip", "mmseqs2"))
    )
    pip = floors(entry for entry in from_pip if not entry.startswith("-e"))
    assert not conda.keys() & pip.keys()
    given = conda | pip
    expected = floors(project["dependencies"])
    expected["distributed"] = expected["dask"]
    assert given == expected
    assert f"python{project['requires-python']}" in listed


def test_gpu_extra__has_floors_that_resolve_to_cuda_13(project):
    assert floors(project["optional-dependencies"]["cuda13"]) == {"cupy-cuda13x": ">=14", "dask-cuda": ">=26.8"}


def test_front_door__every_name_is_there():
    for name in fantasia_dask.__all__:
        assert getattr(fantasia_dask, name) is not None
    assert set(fantasia_dask.__all__) <= set(dir(fantasia_dask))
    with pytest.raises(AttributeError, match="nothing"):
        _ = fantasia_dask.nothing


def test_import__leaves_heavy_packages_alone():
    heavy = (
        "torch",
        "transformers",
        "dask",
        "distributed",
        "numba",
        "pandas",
        "pyarrow",
        "zarr",
        "h5py",
        "Bio",
        "obonet",
        "matplotlib",
    )
    code = f"import sys, fantasia_dask, fantasia_dask.cli; print([m for m in {heavy!r} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert loaded == "[]"


def test_version__is_that_of_the_changelog(root):
    newest = re.search(r"^## (\d\S*)", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest.group(1) == fantasia_dask.__version__


def test_repository__names_no_path_of_a_machine(root):
    files = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )
    if not any(files):
        pytest.skip("not a git checkout")
    pattern = re.compile(r"(^|[^A-Za-z0-9_.~-])/(work|root|tmp/bash)/[A-Za-z.]")
    for name in files:
        path = root / name
        if path.suffix in {".py", ".md", ".yaml", ".yml", ".toml", ".ipynb"} and path.is_file():
            assert not pattern.search(path.read_text(encoding="utf-8")), name
