"""Disks that are full, read-only or rotten, and clocks that jump."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fantasia_dask import run
from fantasia_dask.config import load_config
from fantasia_dask.errors import InputError
from fantasia_dask.progress import Progress
from tests.faults.world import SAMPLE, TIMED, World, contents, same, wait_for

FAKETIME = [Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"), Path("/usr/lib/faketime/libfaketimeMT.so.1")]


def mount(*arguments):
    """Mount something, or skip where that is not permitted."""
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not permitted here ({done.stderr.strip()})")


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 400 kB, and a way to make it larger."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("there is no mount")
    mount("-t", "tmpfs", "-o", "size=400k", "tmpfs", disk)
    yield disk, lambda: mount("-o", "remount,size=100m", disk)
    subprocess.run(["umount", "-l", disk], check=True)


def test_full_disk__one_sentence_and_then_the_same_results(world, undisturbed, small_disk):
    disk, enlarge = small_disk
    line = world.refused("--base-directory", disk)
    assert "the disk is full: make room. Then give the same command again" in line
    assert world.left() == []
    enlarge()
    process = world.start("--base-directory", disk)
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert same(contents(disk / "experiments" / "run"), undisturbed)


LIMITED = """
import resource, sys
from fantasia_dask import cli
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
cli.main(["run", sys.argv[1]])
"""

# A quota needs a disk of its own; its error is raised where a file system that defers its work tells it: on fsync.
QUOTA = """
import errno, os, sys
from fantasia_dask import cli
fsync, left = os.fsync, int(sys.argv[2])

def limited(file):
    global left
    left -= 1
    if left < 0:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
    return fsync(file)

os.fsync = limited
cli.main(["run", sys.argv[1]])
"""


@pytest.mark.faults
@pytest.mark.parametrize(
    ("script", "most", "remedy"),
    [
        (LIMITED, 2_000, "raise the limit (ulimit -f)"),
        (LIMITED, 20_000, "raise the limit (ulimit -f)"),
        (QUOTA, 4, "the quota of the disk is used up: make room"),
        (QUOTA, 20, "the quota of the disk is used up: make room"),
    ],
)
def test_write_errors__a_limit_of_the_system(world, undisturbed, script, most, remedy):
    done = subprocess.run(
        [sys.executable, "-c", script, world.config, str(most)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert remedy in done.stderr
    assert same(world.finish(), undisturbed)


@pytest.mark.faults
def test_read_only_reference(world, undisturbed, tmp_path):
    reference = tmp_path / "reference"
    shutil.copytree(SAMPLE / "reference", reference)
    mount("--bind", reference, reference)
    try:
        mount("-o", "remount,bind,ro", reference)
        with pytest.raises(OSError, match="Read-only"):
            (reference / "x").write_text("x")
        assert same(world.finish("--reference", reference), undisturbed)
    finally:
        subprocess.run(["umount", "-l", reference], check=True)


@pytest.mark.faults
def test_read_only_disk(world, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount("-t", "tmpfs", "-o", "ro", "tmpfs", disk)
    try:
        assert "cannot be written (Read-only file system)" in world.refused("--base-directory", disk)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


# A reference that rots ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def looked_up(tmp_path_factory):
    """A lookup in the sample's reference, and what it finds when nothing is wrong."""
    from fantasia_dask.cluster import connect

    home = tmp_path_factory.mktemp("rot")
    world = World(home)
    shutil.copytree(SAMPLE / "reference", home / "sound")
    with connect("local", threads_per_worker=1) as client:

        def look(reference):
            overrides = {"reference": str(reference), "only_lookup": True, "raw_csv": False, "alignments": "none",
                         "input": str(home / "sound" / "embeddings.zarr")}  # fmt: skip
            shutil.rmtree(world.folder, ignore_errors=True)
            run(load_config(world.config, overrides), client=client, progress=Progress(quiet=True))
            results = contents(world.folder)
            ledgers = [name for name in results if name.endswith("_made_from.json")]  # they tell references apart
            return {
                name: digest
                for name, digest in results.items()
                if name not in (*ledgers, "config.yaml", "report.html", *TIMED)
            }

        yield home / "sound", look, look(home / "sound")


def flip(data, rng):
    changed = bytearray(data)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncate(data, rng):
    return data[: rng.randrange(len(data))]


@pytest.mark.parametrize("damage", [flip, truncate, None], ids=["flipped", "truncated", "deleted"])
def test_reference__a_damaged_file_is_named_or_changes_nothing(looked_up, tmp_path, damage):
    sound, look, expected = looked_up
    rng, named = random.Random(5), 0
    for file in sorted(path.relative_to(sound) for path in sound.rglob("*") if path.is_file()):
        rotten = tmp_path / "reference"
        shutil.copytree(sound, rotten)
        if damage is None:
            (rotten / file).unlink()
        else:
            (rotten / file).write_bytes(damage((sound / file).read_bytes(), rng))
        try:
            found, said = look(rotten), ""
        except InputError as error:
            found, said = None, str(error)
        if found is None:
            # Without its manifest or its root the folder is no reference, and that is said of the folder.
            assert str(file) in said or file.name in ("manifest.json", "zarr.json", "checksums.json"), said
            assert str(rotten) in said
            named += 1
        else:
            assert found == expected, file
            assert "vectors" not in file.parts, f"{file} is read, and its damage is not seen"
        shutil.rmtree(rotten)
    assert named > 10


@pytest.mark.faults
def test_reference__a_flipped_bit_anywhere_in_its_vectors(looked_up, tmp_path):
    sound, look, _ = looked_up
    rng = random.Random(9)
    chunk = Path("embeddings.zarr/models/Tiny-ESM2/layer_0/vectors/c/0/0")
    shutil.copytree(sound, tmp_path / "reference")
    data = (sound / chunk).read_bytes()
    for _ in range(40):
        (tmp_path / "reference" / chunk).write_bytes(flip(data, rng))
        with pytest.raises(InputError, match=f"{chunk} cannot be read"):
            look(tmp_path / "reference")


# Clocks -------------------------------------------------------------------------------------------------------------


@pytest.mark.faults
def test_clock__jumps_by_years_in_the_middle(world, undisturbed, tmp_path):
    library = next((path for path in FAKETIME if path.exists()), None)
    if library is None:
        pytest.skip("libfaketime is not installed")
    offset = tmp_path / "offset"
    offset.write_text("+0")
    environment = {
        "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
    }  # fmt: skip
    process = world.start(**environment)
    wait_for(lambda: (world.folder / "embeddings.zarr.parts").exists(), process)
    offset.write_text("-3650d")
    wait_for(lambda: (world.folder / "hits").exists(), process)
    offset.write_text("+3650d")
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert same(contents(world.folder), undisturbed)
    years = {line[:4] for line in (world.folder / "run.log").read_text().splitlines()}
    assert len(years) > 1, "the clock did jump"


def test_clock__results_of_the_future_are_taken_up(world, undisturbed):
    world.finish()
    part = world.folder / "hits/model=Tiny-ESM2/layer=0/part-00000.parquet"
    for file in world.folder.rglob("*"):
        os.utime(file, (4e9, 4e9))
    assert same(world.finish(), undisturbed)
    assert part.stat().st_mtime == 4e9, "it was not made again"
