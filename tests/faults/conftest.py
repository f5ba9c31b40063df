"""The world of the faults, for every test."""

from __future__ import annotations

import shutil

import pytest

from tests.faults.world import World


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """What a run of the world leaves when nothing disturbs it. Paths differ, so the configuration is left out."""
    world = World(tmp_path_factory.mktemp("undisturbed"))
    found = world.finish()
    shutil.rmtree(world.home / "runs")
    return found
