"""A host in memory for every test that asks for one."""

from pathlib import Path

import pytest

from tests.unit.agent.host import MemoryHost


@pytest.fixture
def host(tmp_path: Path) -> MemoryHost:
    return MemoryHost(tmp_path)
