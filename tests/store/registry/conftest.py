"""A registry without a door, and its garbage."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.registry_world import World


@pytest.fixture
def world(store_url: str, tmp_path: Path) -> Iterator[World]:
    world = World(store_url, tmp_path)
    yield world
    world.store.close()
