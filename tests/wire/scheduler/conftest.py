"""EventBridge Scheduler among all services, with the schedules loop beside them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.schedules import Berth


@pytest.fixture
def berth(store_url: str, tmp_path: Path) -> Iterator[Berth]:
    berth = Berth(store_url, tmp_path)
    yield berth
    berth.close()
